"""Addresses of servers: the rule about plain http, and the normalised form."""

from __future__ import annotations

import pytest

from intouch_import.cloud.endpoints import is_loopback, origin_of
from intouch_import.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Blob.Example:443/account", "https://blob.example"),
        (" https://blob.example:8443 ", "https://blob.example:8443"),
        ("http://127.0.0.1:10000/devstoreaccount1", "http://127.0.0.1:10000"),
        ("http://127.0.0.2", "http://127.0.0.2"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_one_server_has_one_spelling(text: str, origin: str) -> None:
    """Letter case, spaces around the address and the default port do not make another server."""
    assert origin_of(text, such_as="https://example")[0] == origin


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://blob.example", "plain http is only allowed on this machine"),
        ("http://127.0.0.1.example", "plain http is only allowed on this machine"),
        ("http://localhost.example", "plain http is only allowed on this machine"),
        ("http://10.0.0.1", "plain http is only allowed on this machine"),
        ("ftp://blob.example", "a URL such as https://example"),
        ("blob.example", "a URL such as https://example"),
        ("https://", "a URL such as https://example"),
        ("https://blob.example:port", "endpoint is not a URL"),
    ],
)
def test_what_is_no_address_or_leaves_this_machine_unencrypted_is_refused(text: str, said: str) -> None:
    """Keys and tokens are never sent unencrypted to another machine, whatever its name."""
    with pytest.raises(ConfigError, match=said):
        origin_of(text, such_as="https://example")


@pytest.mark.parametrize("host", ["", "example", "0.0.0.0", "::", "127.1", "LOCALHOST."])
def test_what_may_be_another_machine_is_not_this_one(host: str) -> None:
    """Only addresses that are surely loopback are accepted as this machine."""
    assert not is_loopback(host)
