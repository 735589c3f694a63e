"""The options of an Azure folder, checked before any request is sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs

from intouch_import.cloud.endpoints import origin_of
from intouch_import.errors import ConfigError
from intouch_import.secret import Secret, refuse_to_pickle

__all__ = ["Account", "Folder"]

_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER: Final = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
_MAX_BLOB_NAME: Final = 1024
_PUBLIC_CLOUD: Final = "core.windows.net"
_EMULATOR_ENDPOINT: Final = "http://127.0.0.1:10000/devstoreaccount1"
# Published with the emulator; no other account has this key.
_EMULATOR_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_NEEDED_RIGHTS: Final = frozenset("rld")
_A_SIGNATURE: Final = re.compile(r"[?&]sig=", re.IGNORECASE)


class Account:
    """The blob endpoint of a storage account, and one credential for it.

    Args:
        account_name: Name of the account; gives the endpoint if none is given.
        account_key: Shared key of the account; allows everything in every container.
        sas_token: Shared access signature (SAS), with or without its leading ``?``.
        connection_string: Connection string from the portal, with a key or a SAS.
        credential: An object with ``get_token``, such as a credential of ``azure.identity``.
        endpoint: The blob endpoint, with the account in its path if the server needs that. https, or
            plain http on this machine only.

    Raises:
        ConfigError: There is not exactly one credential, or a value is not valid. The message never
            contains the value.
    """

    def __init__(
        self,
        *,
        account_name: str | None = None,
        account_key: str | Secret | None = None,
        sas_token: str | Secret | None = None,
        connection_string: str | Secret | None = None,
        credential: Any = None,
        endpoint: str | None = None,
    ) -> None:
        given = [account_key, sas_token, connection_string, credential]
        if sum(value is not None for value in given) != 1:
            raise ConfigError(
                "an Azure folder needs exactly one of account_key, sas_token, connection_string, credential"
            )
        key, sas = _revealed(account_key), _revealed(sas_token)
        if connection_string is not None:
            found = _connection(_revealed(connection_string) or "")
            if account_name not in {None, found.get("accountname")}:
                raise ConfigError("account_name and the connection string name different accounts")
            account_name, key = found.get("accountname"), found.get("accountkey")
            sas = found.get("sharedaccesssignature")
            endpoint = (
                endpoint or found.get("blobendpoint") or _usual(account_name, found.get("endpointsuffix"))
            )
        endpoint = endpoint or _usual(account_name)
        if endpoint is None:
            raise ConfigError("an Azure folder needs account_name, endpoint or connection_string")
        if account_name is not None and not _ACCOUNT.fullmatch(account_name):
            raise ConfigError("account_name must be 3 to 24 lower-case letters and digits")
        self.endpoint = _checked_endpoint(endpoint)
        self.name = account_name
        self.credential = credential
        self._key = _checked_key(key, account_name)
        self._sas, self.expires_at = _checked_signature(sas)
        if credential is not None:
            if not callable(getattr(credential, "get_token", None)):
                raise ConfigError(
                    "credential must be an object with get_token, such as one of azure.identity"
                )
            if self.is_plain:
                raise ConfigError("Azure only accepts a credential over https: this endpoint is plain http")

    @property
    def is_plain(self) -> bool:
        """Whether the endpoint is plain http: an emulator on this machine."""
        return self.endpoint.startswith("http://")

    def key(self) -> tuple[str, str] | None:
        """Return account name and shared key, or None if the credential is another one."""
        if self._key is None or self.name is None:
            return None
        return self.name, self._key.reveal()

    def signature(self) -> str | None:
        """Return the SAS without its question mark, or None if the credential is another one."""
        return None if self._sas is None else self._sas.reveal()

    def __repr__(self) -> str:
        return "<Account>"

    __reduce__ = refuse_to_pickle


class Folder:
    """A container and a folder in it.

    Args:
        path: ``container/folder``, decoded; or only the container.

    Raises:
        ConfigError: The name of the container or of the folder is not valid.
    """

    def __init__(self, path: str) -> None:
        if _A_SIGNATURE.search(path):
            raise ConfigError("give the SAS as sas_token=, never in the URL")
        container, _, rest = path.partition("/")
        if "@" in container:
            raise ConfigError("write az://container/folder and give the account as account_name=")
        if not _CONTAINER.fullmatch(container):
            raise ConfigError(
                "a container's name is 3 to 63 lower-case letters, digits, single hyphens: az://container/folder"
            )
        folder = rest.strip("/")
        if folder and not all(_is_segment(segment) for segment in folder.split("/")):
            raise ConfigError(
                "the folder contains an empty part, . or .., a backslash or a control character"
            )
        if len(folder) >= _MAX_BLOB_NAME:
            raise ConfigError("the folder's name is too long")
        self.container = container
        self.prefix = f"{folder}/" if folder else ""

    def blob(self, name: str) -> str | None:
        """Return the blob name for a file name in this folder, or None if no blob can have it."""
        blob = f"{self.prefix}{name}"
        return blob if _is_segment(name) and "/" not in name and len(blob) <= _MAX_BLOB_NAME else None


def _is_segment(segment: str) -> bool:
    """Return whether a part of a name reaches the service unchanged.

    HTTP clients resolve ``.`` and ``..``, and the service treats a backslash as a slash: both would address a
    blob in another folder. A listing can't contain control characters, except the tab and the line feed.
    """
    if segment in {"", ".", ".."} or "\\" in segment:
        return False
    if any((ch < " " and ch not in "\t\n") or ch in "\x7f\ufffe\uffff" for ch in segment):
        return False
    try:
        segment.encode()
    except UnicodeEncodeError:  # a lone surrogate: the name is not valid text
        return False
    return True


def _usual(account_name: str | None, suffix: str | None = None) -> str | None:
    """Return the endpoint of an account in the public cloud, or in the one with this suffix."""
    return f"https://{account_name}.blob.{suffix or _PUBLIC_CLOUD}" if account_name else None


def _revealed(value: str | Secret | None) -> str | None:
    return value.reveal() if isinstance(value, Secret) else value


def _connection(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.strip().rstrip(";").split(";")]
    if not all(name and equals for name, equals, _ in pairs):
        raise ConfigError("the connection string does not consist of name=value; pairs")
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if found.get("usedevelopmentstorage", "").lower() == "true":
        return {
            "accountname": "devstoreaccount1",
            "accountkey": _EMULATOR_KEY,
            "blobendpoint": _EMULATOR_ENDPOINT,
        }
    if ("accountkey" in found) == ("sharedaccesssignature" in found):
        raise ConfigError("the connection string needs either AccountKey or SharedAccessSignature")
    if "blobendpoint" not in found and found.get("defaultendpointsprotocol", "https").lower() != "https":
        raise ConfigError("the connection string uses plain http")
    return found


def _checked_endpoint(text: str) -> str:
    origin, parts = origin_of(text, such_as="https://account.blob.core.windows.net")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ConfigError("endpoint must have no user, query or fragment: give the SAS as sas_token=")
    path = parts.path.strip("/")
    if path and not all(_is_segment(segment) for segment in path.split("/")):
        raise ConfigError("endpoint's path may only be an account")
    return f"{origin}/{path}" if path else origin


def _checked_key(key: str | None, account_name: str | None) -> Secret | None:
    if key is None:
        return None
    if account_name is None:
        raise ConfigError("account_key needs account_name")
    if not re.fullmatch(r"[A-Za-z0-9+/]{4,}={0,2}", key) or len(key) % 4:
        raise ConfigError("account_key must be base64, as the portal shows it")
    return Secret(key)


def _checked_signature(sas: str | None) -> tuple[Secret | None, datetime | None]:
    """Return the SAS without its question mark, and the time when it expires."""
    if sas is None:
        return None, None
    sas = sas.strip().removeprefix("?").strip("&")
    fields = parse_qs(sas)
    if "sig" not in fields:
        raise ConfigError("sas_token is not a shared access signature")
    rights = fields.get("sp")
    if rights is not None and not set(rights[0]) >= _NEEDED_RIGHTS:
        raise ConfigError("the SAS must allow read, list and delete: its sp= lacks r, l or d")
    if fields.get("sr", ["c"])[0] == "b":
        raise ConfigError("the SAS is for a single blob: it must be for the container")
    try:
        text = fields["se"][0]
        ends_at = datetime.fromisoformat(text)
    except (KeyError, ValueError):
        return Secret(sas), None  # a stored access policy has it, which only the service knows
    return Secret(sas), ends_at if ends_at.tzinfo is not None else ends_at.replace(tzinfo=UTC)
