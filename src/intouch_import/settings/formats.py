"""The formats of values: how a value is checked, read from an environment variable, and shown.

No message repeats a value: it may be a secret.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import attrs

from intouch_import.cloud.endpoints import is_loopback
from intouch_import.errors import ConfigError
from intouch_import.exclusions import Exclusions
from intouch_import.extensions import EXTERNAL_FILE_EXTENSIONS, IMAGE_EXTENSIONS
from intouch_import.filenames import CaptureNaming
from intouch_import.secret import MASK, Secret
from intouch_import.settings.secret_refs import SecretReference

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ACCOUNT",
    "CONTAINER",
    "ENDPOINT",
    "EXCLUDE",
    "EXTENSIONS",
    "EXTERNAL_FILES",
    "FILES",
    "FLAG",
    "FOLDER",
    "ID",
    "LOCAL_FOLDER",
    "LOCATIONS",
    "LOCATION_NAMES",
    "PATTERN",
    "RECORDS",
    "REFERENCE",
    "SECONDS",
    "SECRET",
    "WORD",
    "ZONE",
    "Format",
    "InvalidValue",
]

EXTERNAL_FILES: Final = "external-files"
"""In a list of extensions: all those that the reference product accepts, images included."""

LOCATION_NAMES: Final = ("local", "onedrive", "dropbox", "azure")
REFERENCE: Final = '{ env = "NAME" }, { keyring = "service/user" } or { file = "path" }'

_MAX_TEXT: Final = 1_000
_MAX_SECRET: Final = 8_192
_MAX_FOLDER: Final = 500
_MAX_SETTLE_S: Final = 3_600.0


class InvalidValue(ValueError):
    """A value does not have the expected format. The text says why, without the value."""


@attrs.frozen(kw_only=True, eq=False)
class Format:
    """What the value of a setting must be.

    Args:
        expected: The format in words, to follow "expected".
        check: Returns the value as it is stored, or raises `InvalidValue`. Accepts its own result unchanged.
        parse: Turns the text of an environment variable into a value to check.
        place: Makes relative paths in the value start at a folder: that of the settings file.
        show: Returns the value as people may see it.
        secret: Whether the value may be a secret or a reference to one.
    """

    expected: str
    check: Callable[[Any], Any]
    parse: Callable[[str], Any] = lambda text: text
    place: Callable[[Any, Path], Any] = lambda value, _folder: value
    show: Callable[[Any], Any] = lambda value: value
    secret: bool = False

    def __call__(self, value: Any) -> Any:
        """Check a value that code sets: the converter of an attrs field.

        Raises:
            ConfigError: The value does not have this format.
        """
        if value is None:
            return None
        try:
            return self.check(value)
        except InvalidValue as exc:
            raise ConfigError(f"expected {self.expected}: {exc}") from None


def _refuse(reasons: dict[str, bool]) -> None:
    """Raise `InvalidValue` with the first reason that applies."""
    for reason, applies in reasons.items():
        if applies:
            raise InvalidValue(reason)


def _wrong_type(value: Any) -> InvalidValue:
    names = {bool: "true or false", int: "a number", float: "a number", dict: "a table"}
    names |= {str: "text", Secret: "text", list: "a list", tuple: "a list"}
    return InvalidValue(f"it is {names.get(type(value), 'of another type')}")


# --- text


def _text(value: Any, *, max_length: int = _MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise _wrong_type(value)
    _refuse(
        {
            "it is empty": not value.strip(),
            "it begins or ends with a space": value != value.strip(),
            "it contains a control character": not value.isprintable(),
            f"it is longer than {max_length:,} characters": len(value) > max_length,
        }
    )
    return value


def _matching(form: str, why: str = "it has another form") -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = _text(value)
        _refuse({why: not re.fullmatch(form, text)})
        return text

    return check


def _accepted_by(parse: Callable[[str], Any], why: str = "") -> Callable[[Any], str]:
    def check(value: Any) -> str:
        text = _text(value)
        try:
            parse(text)
        except (OSError, ValueError, KeyError, ConfigError) as exc:  # ZoneInfoNotFoundError is a KeyError
            raise InvalidValue(why or str(exc)) from None
        return text

    return check


ID = Format(expected="an id: one line of text, as in the practice system", check=_text)
WORD = Format(expected="text without spaces", check=_matching(r"\S+", "it contains a space"))
ZONE = Format(
    expected="a time zone such as Australia/Sydney",
    check=_accepted_by(ZoneInfo, "no time zone of that name is known here"),
)
PATTERN = Format(
    expected="a name pattern that can be read in only one way", check=_accepted_by(CaptureNaming)
)
# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
CONTAINER = Format(
    expected="the name of a container: 3 to 63 lower-case letters, digits and single hyphens between them",
    check=_matching(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*"),
)
ACCOUNT = Format(
    expected="the name of a storage account: 3 to 24 lower-case letters and digits",
    check=_matching(r"[a-z0-9]{3,24}"),
)

# --- switches, numbers, lists


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong_type(value)
    return value


def _parse_flag(text: str) -> bool | str:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    return words.get(text.strip().lower(), text)


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong_type(value)
    _refuse({"it is out of range": not 0 <= value <= _MAX_SETTLE_S})
    return float(value)


def _parse_number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _list(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise _wrong_type(value)
    return list(value)


def _parse_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _locations(value: Any) -> tuple[str, ...]:
    names = _list(value)
    _refuse({"one of them is another word": any(name not in LOCATION_NAMES for name in names)})
    _refuse({"one of them is given twice": len(set(names)) != len(names)})
    return tuple(names)


def _extensions(value: Any) -> frozenset[str]:
    extensions: set[str] = set()
    for part in [value] if isinstance(value, str) else _list(value):
        if part == EXTERNAL_FILES:
            extensions |= IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS
        elif isinstance(part, str) and re.fullmatch(r"\.[a-z0-9]{1,10}", part.lower()):
            extensions.add(part.lower())
        else:
            raise InvalidValue("one of them is not written like .jpg")
    _refuse({"the list is empty, so nothing could be imported; remove the key to allow all": not extensions})
    return frozenset(extensions)


def _exclude(value: Any) -> tuple[str, ...]:
    try:
        return Exclusions(_list(value)).patterns
    except ConfigError as exc:
        raise InvalidValue(str(exc)) from None


FLAG = Format(expected="true or false", check=_flag, parse=_parse_flag)
SECONDS = Format(
    expected=f"a number of seconds from 0 to {_MAX_SETTLE_S:,.0f}", check=_seconds, parse=_parse_number
)
LOCATIONS = Format(
    expected=f"a list of locations: {', '.join(LOCATION_NAMES)}",
    check=_locations,
    parse=_parse_list,
    show=list,
)
EXTENSIONS = Format(
    expected=f'a list of extensions such as [".jpg", ".pdf"], which may contain "{EXTERNAL_FILES}"',
    check=_extensions,
    parse=_parse_list,
    show=sorted,
)
EXCLUDE = Format(
    expected='a list of names such as ["*.bak", "Old exports/"]; those of folders end with /',
    check=_exclude,
    parse=_parse_list,
    show=list,
)

# --- folders and addresses


def _folder(value: Any) -> str:
    """Check a folder of a virtual drive: no part may lead out of it. A ``/`` at the end is removed."""
    if not isinstance(value, str):
        raise _wrong_type(value)
    path = value[1:].removesuffix("/")
    parts = path.split("/") if path else []
    _refuse(
        {
            "it does not begin with /": not value.startswith("/"),
            "it contains a control character": not value.isprintable(),
            "it contains a backslash": "\\" in value,
            f"it is longer than {_MAX_FOLDER} characters": len(value) > _MAX_FOLDER,
            "there is nothing between two /": value == "//" or "" in parts,
            "a part of it is . or ..": "." in parts or ".." in parts,
            "a part of it begins or ends with a space": any(part != part.strip() for part in parts),
        }
    )
    return f"/{path}"


def _path_text(value: Any) -> str:
    return _text(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _local_folder(value: Any) -> str:
    path = _path_text(value)
    _refuse({"it is a URL": "://" in path, "a part of it is ..": ".." in re.split(r"[/\\]", path)})
    return path


def _place_folder(value: str, start: Path) -> str:
    # A Windows drive or share is not a relative path, even where it is read on another system.
    return value if re.match(r"~|\\\\|[A-Za-z]:[\\/]", value) else str(start / value)


def _files(value: Any) -> str:
    place = _path_text(value)
    return _accepted_by(urlsplit, "it is not an address")(place) if "://" in place else place


def _place_files(value: str, start: Path) -> str:
    return value if "://" in value else _place_folder(value, start)


def _show_files(value: str) -> str:
    """Mask the user and the password of a URL, and remove its query."""
    if "://" not in value:
        return value
    parts = urlsplit(value)._replace(query="")
    # Split at the last @ of the whole URL: a secret may contain a slash that nobody escaped.
    _, at, rest = parts.geturl().rpartition("@")
    return f"{parts.scheme}://{MASK}@{rest}" if at else rest


def _endpoint(value: Any) -> str:
    address = _accepted_by(lambda text: urlsplit(text).port, "it is not an address")(value)
    parts = urlsplit(address)
    host = parts.hostname or ""
    more = parts.username is not None or parts.query or parts.fragment
    _refuse(
        {
            "it is not an address that begins with https://": parts.scheme not in {"http", "https"}
            or not host,
            "it contains more than a host and a path: no key and no token is allowed": bool(more),
            "plain http is allowed only for this computer": parts.scheme == "http" and not is_loopback(host),
        }
    )
    return address.rstrip("/")


FOLDER = Format(expected="a folder that begins with /, such as /photos", check=_folder)
LOCAL_FOLDER = Format(
    expected="the path of a local or network folder", check=_local_folder, place=_place_folder
)
FILES = Format(expected="a folder, or an fsspec URL", check=_files, place=_place_files, show=_show_files)
ENDPOINT = Format(expected="the address of a server, https://…", check=_endpoint)

# --- secrets


def _secret(value: Any) -> Secret | SecretReference:
    if isinstance(value, (Secret, SecretReference)):
        return value
    if isinstance(value, dict):
        try:
            return SecretReference.read(value)
        except ValueError as exc:
            raise InvalidValue(str(exc)) from None
    return Secret(_text(value, max_length=_MAX_SECRET))


def _place_secret(value: Secret | SecretReference, start: Path) -> Secret | SecretReference:
    return value.beside(start) if isinstance(value, SecretReference) else value


def _show_secret(value: Secret | SecretReference) -> str:
    return MASK if isinstance(value, Secret) else f"{MASK} from {value}"


def _database_url(text: str) -> Any:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidValue("it is not a database URL") from None


def _records(value: Any) -> Secret | SecretReference:
    url = _secret(value)
    if isinstance(url, Secret):
        _database_url(url.reveal())
    return url


def _place_records(value: Secret | SecretReference, start: Path) -> Secret | SecretReference:
    """Make the relative path of a SQLite file start at the folder of the settings file."""
    if isinstance(value, SecretReference):
        return value.beside(start)
    url = _database_url(value.reveal())
    in_memory = url.database in {None, "", ":memory:"}
    if not url.drivername.startswith("sqlite") or in_memory or url.database.startswith("file:"):
        return value
    try:
        placed = url.set(database=str(start / Path(url.database).expanduser()))
    except RuntimeError:
        raise InvalidValue("it begins with a home folder that is not known here") from None
    text: str = placed.render_as_string(hide_password=False)
    # SQLAlchemy before 2.1 would open another file.
    _refuse({"the name of the settings file's folder can't be part of a URL": _database_url(text) != placed})
    return Secret(text)


def _show_records(value: Secret | SecretReference) -> str:
    if isinstance(value, SecretReference):
        return _show_secret(value)
    url = _database_url(value.reveal())
    shown: str = url.set(query={}).render_as_string(hide_password=True)
    return shown + (f"?{MASK}" if url.query else "")


SECRET = Format(
    expected=f"a secret: {REFERENCE}, or the secret itself",
    check=_secret,
    place=_place_secret,
    show=_show_secret,
    secret=True,
)
RECORDS = Format(
    expected=f"a database URL such as sqlite:///clinic.db, or a reference to one: {REFERENCE}",
    check=_records,
    place=_place_records,
    show=_show_records,
    secret=True,
)
