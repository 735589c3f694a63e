"""Which storage account, and by which right: options checked, nothing asked of any server yet."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final, NoReturn
from urllib.parse import parse_qs

from intouch_import.cloud.endpoints import origin_of
from intouch_import.errors import ConfigError
from intouch_import.secret import Secret

__all__ = ["Account", "Folder"]

_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER: Final = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
_MAX_BLOB_NAME: Final = 1024
_PUBLIC_CLOUD: Final = "core.windows.net"
_EMULATOR_ENDPOINT: Final = "http://127.0.0.1:10000/devstoreaccount1"
# Published with the emulator; it opens nothing else.
_EMULATOR_KEY: Final = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_NEEDED_RIGHTS: Final = frozenset("rld")
_A_SIGNATURE: Final = re.compile(r"[?&]sig=", re.IGNORECASE)


class Account:
    """The blob endpoint of an account and one right to use it.

    Args:
        account_name: The account; it gives the endpoint where none is given.
        account_key: Shared key of the account: may do everything, in every container.
        sas_token: Shared access signature, with or without its leading ``?``.
        connection_string: As the portal shows it, with a key or a signature in it.
        credential: An object with ``get_token``, such as one of ``azure.identity``.
        endpoint: The blob endpoint, account path included where the server wants one. https, or
            plain http for loopback alone.

    Raises:
        ConfigError: Not exactly one right is given, or something in it can't be. No value is repeated.
    """

    __slots__ = ("_key", "_sas", "credential", "endpoint", "expires_at", "name")

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
                raise ConfigError("account_name is another account than that of the connection string")
            account_name, key = found.get("accountname"), found.get("accountkey")
            sas = found.get("sharedaccesssignature")
            endpoint = (
                endpoint or found.get("blobendpoint") or _usual(account_name, found.get("endpointsuffix"))
            )
        endpoint = endpoint or _usual(account_name)
        if endpoint is None:
            raise ConfigError("an Azure folder needs account_name, endpoint or connection_string")
        if account_name is not None and not _ACCOUNT.fullmatch(account_name):
            raise ConfigError("account_name is 3 to 24 lower-case letters and digits")
        self.endpoint = _checked_endpoint(endpoint)
        self.name = account_name
        self.credential = credential
        self._key = _checked_key(key, account_name)
        self._sas, self.expires_at = _checked_signature(sas)
        if credential is not None:
            _check_credential(credential, plain=self.is_plain)

    @property
    def is_plain(self) -> bool:
        """Whether the endpoint is plain http, as an emulator on this machine has it."""
        return self.endpoint.startswith("http://")

    def key(self) -> tuple[str, str] | None:
        """Account name and shared key, if that is the right."""
        if self._key is None or self.name is None:
            return None
        return self.name, self._key.reveal()

    def signature(self) -> str | None:
        """The signature without its question mark, if that is the right."""
        return None if self._sas is None else self._sas.reveal()

    def __repr__(self) -> str:
        return "<Account>"

    def __reduce_ex__(self, protocol: Any, /) -> NoReturn:
        raise TypeError("an account holds a secret and can't be pickled")


class Folder:
    """A container and a folder in it: which blobs are ours.

    Args:
        path: ``container/folder``, decoded. Without a folder, the container itself.

    Raises:
        ConfigError: It is no container, or the folder can't be one.
    """

    __slots__ = ("container", "prefix")

    def __init__(self, path: str) -> None:
        if _A_SIGNATURE.search(path):
            raise ConfigError("a signature belongs into sas_token=, never into the URL")
        container, _, rest = path.partition("/")
        if "@" in container:
            raise ConfigError("write az://container/folder, and give the account as account_name=")
        if not _CONTAINER.fullmatch(container):
            raise ConfigError(
                "a container has 3 to 63 lower-case letters, digits, single hyphens: az://container/folder"
            )
        folder = rest.strip("/")
        if folder and not all(_is_segment(segment) for segment in folder.split("/")):
            raise ConfigError("the folder has an empty part, . or .., a backslash or a control character")
        if len(folder) >= _MAX_BLOB_NAME:
            raise ConfigError("the folder's name is too long")
        self.container = container
        self.prefix = f"{folder}/" if folder else ""

    def blob(self, name: str) -> str | None:
        """The blob that a file of this name in this folder is; None if there can be none."""
        blob = f"{self.prefix}{name}"
        return blob if _is_segment(name) and "/" not in name and len(blob) <= _MAX_BLOB_NAME else None


def _is_segment(segment: str) -> bool:
    """Whether a part of a name reaches the service as it is.

    HTTP clients resolve ``.`` and ``..`` on the way, and the service takes a backslash for a slash: both
    would address another blob, of another folder. Control characters but the tab can't stand in a listing.
    """
    if segment in {"", ".", ".."} or "\\" in segment:
        return False
    if any((ch < " " and ch not in "\t\n") or ch in "\x7f\ufffe\uffff" for ch in segment):
        return False
    try:
        segment.encode()
    except UnicodeEncodeError:  # a lone surrogate: bytes that are no text
        return False
    return True


def _usual(account_name: str | None, suffix: str | None = None) -> str | None:
    """The endpoint of an account, by its name."""
    return f"https://{account_name}.blob.{suffix or _PUBLIC_CLOUD}" if account_name else None


def _revealed(value: str | Secret | None) -> str | None:
    return value.reveal() if isinstance(value, Secret) else value


def _connection(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.strip().rstrip(";").split(";")]
    if not all(name and equals for name, equals, _ in pairs):
        raise ConfigError("the connection string is not made of name=value; pairs")
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
        raise ConfigError("the connection string asks for plain http")
    return found


def _checked_endpoint(text: str) -> str:
    origin, parts = origin_of(text, such_as="https://account.blob.core.windows.net")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ConfigError("endpoint has no user, query or fragment: a signature belongs into sas_token=")
    path = parts.path.strip("/")
    if path and not all(_is_segment(segment) for segment in path.split("/")):
        raise ConfigError("endpoint's path is at most an account")
    return f"{origin}/{path}" if path else origin


def _check_credential(credential: Any, *, plain: bool) -> None:
    if not callable(getattr(credential, "get_token", None)):
        raise ConfigError("credential is an object with get_token, such as one of azure.identity")
    if plain:
        raise ConfigError("Azure takes a credential through https alone, not from this endpoint")


def _checked_key(key: str | None, account_name: str | None) -> Secret | None:
    if key is None:
        return None
    if account_name is None:
        raise ConfigError("account_key needs account_name")
    if not re.fullmatch(r"[A-Za-z0-9+/]{4,}={0,2}", key) or len(key) % 4:
        raise ConfigError("account_key is base64, as the portal shows it")
    return Secret(key)


def _checked_signature(sas: str | None) -> tuple[Secret | None, datetime | None]:
    """The signature without its question mark, and when it ends."""
    if sas is None:
        return None, None
    sas = sas.strip().removeprefix("?").strip("&")
    fields = parse_qs(sas)
    if "sig" not in fields:
        raise ConfigError("sas_token is not a shared access signature")
    rights = fields.get("sp")
    if rights is not None and not set(rights[0]) >= _NEEDED_RIGHTS:
        raise ConfigError("the SAS must allow to read, to list and to delete: its sp= lacks one of r, l, d")
    if fields.get("sr", ["c"])[0] == "b":
        raise ConfigError("the SAS is for a single blob: it must be for the container")
    try:
        text = fields["se"][0]
        ends_at = datetime.fromisoformat(text)
    except (KeyError, ValueError):
        return Secret(sas), None  # it stands in a stored access policy, which only the service knows
    return Secret(sas), ends_at if ends_at.tzinfo is not None else ends_at.replace(tzinfo=UTC)
