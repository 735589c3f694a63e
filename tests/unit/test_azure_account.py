"""The options of an Azure folder, checked before any request."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from intouch_import.azure.account import Account, Folder
from intouch_import.errors import ConfigError
from intouch_import.secret import Secret

KEY = "AAAA" * 21 + "BBBB"
SAS = "sv=2024-11-04&sr=c&sp=rld&se=2030-01-31T12:00:00Z&sig=abc%2B%3D"


class Token:
    def get_token(self, *_scopes: str) -> None:
        """The method that credentials of azure.identity have."""


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ({"account_name": "practice", "account_key": KEY}, "https://practice.blob.core.windows.net"),
        ({"account_name": "practice", "sas_token": SAS}, "https://practice.blob.core.windows.net"),
        ({"account_name": "practice", "credential": Token()}, "https://practice.blob.core.windows.net"),
        (
            {"account_name": "practice", "account_key": KEY, "endpoint": "https://Practice.blob.core.chinacloudapi.cn:443/"},
            "https://practice.blob.core.chinacloudapi.cn",
        ),
        ({"sas_token": "?" + SAS, "endpoint": "https://proxy.example:8443/practice"}, "https://proxy.example:8443/practice"),
        ({"sas_token": SAS, "endpoint": "http://localhost:10000/a"}, "http://localhost:10000/a"),
        ({"sas_token": SAS, "endpoint": "http://[::1]:10000/a/"}, "http://[::1]:10000/a"),
        ({"sas_token": SAS, "endpoint": "http://127.3.2.1"}, "http://127.3.2.1"),
        ({"connection_string": f"AccountName=practice;AccountKey={KEY}"}, "https://practice.blob.core.windows.net"),
        (
            {"connection_string": f"DefaultEndpointsProtocol=https;AccountName=practice;AccountKey={KEY};EndpointSuffix=core.usgovcloudapi.net;"},
            "https://practice.blob.core.usgovcloudapi.net",
        ),
        ({"connection_string": f"BlobEndpoint=https://x.example/;SharedAccessSignature={SAS}"}, "https://x.example"),
        ({"connection_string": "UseDevelopmentStorage=true"}, "http://127.0.0.1:10000/devstoreaccount1"),
    ],
)  # fmt: skip
def test_the_endpoint_is_the_one_that_is_meant(options: dict[str, Any], endpoint: str) -> None:
    """The endpoint comes from the name, the connection string or the option, in one normalised form."""
    assert Account(**options).endpoint == endpoint


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "exactly one"),
        ({"account_name": "practice"}, "exactly one"),
        ({"account_name": "practice", "account_key": KEY, "sas_token": SAS}, "exactly one"),
        ({"account_key": KEY}, "needs account_name"),
        ({"account_name": "My Practice", "account_key": KEY}, "lower-case"),
        ({"account_name": "practice", "account_key": "not base64!"}, "base64"),
        ({"account_name": "practice", "sas_token": "sv=1&sp=rld"}, "not a shared access signature"),
        ({"account_name": "practice", "sas_token": "sp=rl&sig=x"}, "list and delete"),
        ({"account_name": "practice", "sas_token": "sp=rld&sr=b&sig=x"}, "single blob"),
        ({"account_name": "practice", "credential": "token"}, "get_token"),
        ({"credential": Token(), "endpoint": "http://127.0.0.1:10000/a"}, "only accepts a credential over https"),
        ({"sas_token": SAS, "endpoint": "http://practice.blob.core.windows.net"}, "must be https"),
        ({"sas_token": SAS, "endpoint": "http://localhost.example"}, "must be https"),
        ({"sas_token": SAS, "endpoint": "http://10.0.0.1"}, "must be https"),
        ({"sas_token": SAS, "endpoint": "ftp://127.0.0.1"}, "must be a URL"),
        ({"sas_token": SAS, "endpoint": "practice.blob.core.windows.net"}, "must be a URL"),
        ({"sas_token": SAS, "endpoint": "https://[::1"}, "not a URL"),
        ({"sas_token": SAS, "endpoint": "https://h:99999999"}, "not a URL"),
        ({"sas_token": SAS, "endpoint": "https://user:pw@h"}, "no user"),
        ({"sas_token": SAS, "endpoint": "https://h/?sig=x"}, "no user, query"),
        ({"sas_token": SAS, "endpoint": "https://h/../x"}, "only be an account"),
        ({"connection_string": "nonsense"}, "name=value"),
        ({"connection_string": "AccountName=a"}, "either AccountKey or"),
        ({"connection_string": f"AccountName=practice;AccountKey={KEY};DefaultEndpointsProtocol=http"}, "plain http"),
        ({"connection_string": f"AccountName=practice;AccountKey={KEY};BlobEndpoint=http://h"}, "must be https"),
        ({"connection_string": f"AccountName=practice;AccountKey={KEY}", "account_name": "other"}, "different accounts"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_told(options: dict[str, Any], text: str) -> None:
    """Each mistake has its own message, and nothing is guessed."""
    with pytest.raises(ConfigError, match=text):
        Account(**options)


def test_a_signature_knows_when_it_ends() -> None:
    """The expiry time is read from the SAS, unless a stored policy has it."""
    assert Account(account_name="practice", sas_token=SAS).expires_at == datetime(2030, 1, 31, 12, tzinfo=UTC)
    day = Account(account_name="practice", sas_token="sp=rld&se=2030-01-31&sig=x").expires_at
    assert day == datetime(2030, 1, 31, tzinfo=UTC)
    for text in ("si=policy&sig=x", "sp=rld&se=soon&sig=x"):
        assert Account(account_name="practice", sas_token=text).expires_at is None


def test_secrets_are_taken_concealed_or_plain() -> None:
    """A key may be a string or a `Secret`."""
    account = Account(account_name="practice", account_key=Secret(KEY))
    assert account.key() == ("practice", KEY)
    assert account.signature() is None
    assert KEY not in repr(account)
    with pytest.raises(TypeError):
        pickle.dumps(account)


@pytest.mark.parametrize(
    ("path", "container", "prefix"),
    [
        ("drjones", "drjones", ""),
        ("drjones/", "drjones", ""),
        ("drjones/photos", "drjones", "photos/"),
        ("drjones//photos/new/", "drjones", "photos/new/"),
        ("dr-jones-2/Fotos M\u00fcller #1?", "dr-jones-2", "Fotos M\u00fcller #1?/"),
    ],
)
def test_a_folder_is_a_container_and_a_prefix(path: str, container: str, prefix: str) -> None:
    """The prefix ends with a slash, so that no neighbouring folder begins with it."""
    folder = Folder(path)
    assert (folder.container, folder.prefix) == (container, prefix)
    assert folder.blob("a.jpg") == f"{prefix}a.jpg"


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "ab", "Container", "-abc", "abc-", "a--b", "a_b", "x" * 64, "$root", "$web", "me@account.dfs.core.windows.net/x",
        "abc/..", "abc/../other", "abc/a/./b", "abc/a//b", "abc/a\\b", "abc/a\0b", "abc/" + "x" * 1030, "abc/p?sv=1&sig=x", "abc/p&sig=x",
    ],
)  # fmt: skip
def test_a_folder_that_can_not_be_is_refused(path: str) -> None:
    """A path never leads to another container or folder."""
    with pytest.raises(ConfigError):
        Folder(path)
