"""What one value must be: its type, its form, and how it is shown. No value is repeated in any message."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import attrs

from intouch_import.cloud.endpoints import is_loopback
from intouch_import.errors import ConfigError, NamingPatternError
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
    "Refused",
    "Rule",
]

EXTERNAL_FILES: Final = "external-files"
"""In a list of extensions: those that the reference product takes, images included."""

LOCATION_NAMES: Final = ("local", "onedrive", "dropbox", "azure")
MAX_SETTLE_S: Final = 3_600.0

_MAX_TEXT: Final = 1_000
_MAX_SECRET: Final = 8_192
_MAX_FOLDER: Final = 500
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})
# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER: Final = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}\Z")
_EXTENSION: Final = re.compile(r"\.[a-z0-9]{1,10}")


class Refused(ValueError):
    """A value is not what its rule expects. The text says what is wrong with it, without the value."""


def text(value: Any, *, longest: int = _MAX_TEXT) -> str:
    """Take text in one line."""
    if not isinstance(value, str):
        raise Refused(f"it is {kind_of(value)}")
    if not value.strip():
        raise Refused("it is empty")
    if value != value.strip():
        raise Refused("it begins or ends with a blank")
    if not value.isprintable():
        raise Refused("it holds a control character")
    if len(value) > longest:
        raise Refused(f"it is longer than {longest:,} characters")
    return value


def kind_of(value: Any) -> str:
    """What a value is, in words, to be told without the value."""
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str() | Secret():
            return "text"
        case list() | tuple() | set() | frozenset():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "of another type"


def word(value: Any) -> str:
    """Take text without blanks."""
    found = text(value)
    if any(character.isspace() for character in found):
        raise Refused("it holds a blank")
    return found


def matching(form: re.Pattern[str]) -> Callable[[Any], str]:
    """Make what takes text of one form."""

    def take(value: Any) -> str:
        found = text(value)
        if not form.match(found):
            raise Refused("it has another form")
        return found

    return take


# --- numbers, switches, lists


def flag(value: Any) -> bool:
    """Take a switch."""
    if not isinstance(value, bool):
        raise Refused(f"it is {kind_of(value)}")
    return value


def parse_flag(written: str) -> Any:
    """A switch, as an environment variable says it."""
    lower = written.strip().lower()
    return True if lower in _YES else False if lower in _NO else written


def seconds(value: Any) -> float:
    """Take a number of seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused(f"it is {kind_of(value)}")
    if not 0 <= value <= MAX_SETTLE_S:
        raise Refused("it is out of range")
    return float(value)


def parse_number(written: str) -> Any:
    """A number, as an environment variable says it."""
    try:
        return float(written)
    except ValueError:
        return written


def parse_list(written: str) -> list[str]:
    """A list, as an environment variable says it: separated by commas."""
    return [part.strip() for part in written.split(",") if part.strip()]


def as_list(value: Any) -> list[Any]:
    """Take a list of any kind."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise Refused(f"it is {kind_of(value)}")
    return list(value)


def locations(value: Any) -> tuple[str, ...]:
    """Take names of locations."""
    names = as_list(value)
    if any(name not in LOCATION_NAMES for name in names):
        raise Refused("one of them is another word")
    if len(set(names)) != len(names):
        raise Refused("one of them stands there twice")
    return tuple(names)


def extensions(value: Any) -> frozenset[str]:
    """Take extensions, the named list among them."""
    found: set[str] = set()
    for part in [value] if isinstance(value, str) else as_list(value):
        if part == EXTERNAL_FILES:
            found |= IMAGE_EXTENSIONS | EXTERNAL_FILE_EXTENSIONS
        elif isinstance(part, str) and _EXTENSION.fullmatch(part.lower()):
            found.add(part.lower())
        else:
            raise Refused("one of them is not written like .jpg")
    if not found:
        raise Refused("the list is empty, so that nothing could be imported; leave the key out to allow all")
    return frozenset(found)


def show_extensions(value: frozenset[str]) -> list[str]:
    """Extensions in a stable order."""
    return sorted(value)


# --- what other rooms know


def zone(value: Any) -> str:
    """Take the name of a time zone that is known here."""
    name = text(value)
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise Refused("no such time zone is known here") from None
    return name


def pattern(value: Any) -> str:
    """Take a name pattern that `CaptureNaming` takes."""
    found = text(value)
    try:
        CaptureNaming(found)
    except NamingPatternError as exc:
        raise Refused(str(exc)) from None
    return found


# --- secrets


def secret(value: Any) -> Secret | SecretReference:
    """Take a secret, or the place where it is kept."""
    if isinstance(value, (Secret, SecretReference)):
        return value
    if isinstance(value, dict):
        try:
            return SecretReference.read(value)
        except ValueError as exc:
            raise Refused(str(exc)) from None
    return Secret(text(value, longest=_MAX_SECRET))


def show_secret(value: Secret | SecretReference) -> str:
    """The mask, and the place where there is one."""
    return MASK if isinstance(value, Secret) else f"{MASK} from {value}"


# --- folders


def folder(value: Any) -> str:
    """Take a folder of a virtual drive, without what could lead out of it; no ``/`` at its end."""
    if not isinstance(value, str):
        raise Refused(f"it is {kind_of(value)}")
    if not value.startswith("/"):
        raise Refused("it does not begin with /")
    if not value.isprintable():
        raise Refused("it holds a control character")
    if "\\" in value:
        raise Refused("it holds a backslash")
    if len(value) > _MAX_FOLDER:
        raise Refused(f"it is longer than {_MAX_FOLDER} characters")
    path = value[1:].removesuffix("/")
    segments = path.split("/") if path else []
    if value == "//" or "" in segments:
        raise Refused("there is nothing between two /")
    if "." in segments or ".." in segments:
        raise Refused("a part of it is . or ..")
    if any(segment != segment.strip() for segment in segments):
        raise Refused("a part of it begins or ends with a blank")
    return f"/{path}"


def local_folder(value: Any) -> str:
    """Take the path of a local or network folder."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    path = text(value)
    if "://" in path:
        raise Refused("it is a URL")
    if ".." in path.replace("\\", "/").split("/"):
        raise Refused("a part of it is ..")
    return path


def place_folder(value: str, start: Path) -> str:
    """A path, taken from where the settings file lies if it is relative."""
    # A drive or a share of Windows, read elsewhere, is no path relative to the file.
    if value.startswith(("~", "\\\\")) or re.match(r"[A-Za-z]:[\\/]", value):
        return value
    return str(start / value)


def files(value: Any) -> str:
    """Take a folder or an fsspec URL."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    place = text(value)
    if "://" in place:
        try:
            urlsplit(place)
        except ValueError:
            raise Refused("it is not an address") from None
    return place


def place_files(value: str, start: Path) -> str:
    """The same, a relative path taken from where the settings file lies."""
    return value if "://" in value else place_folder(value, start)


# --- addresses


def endpoint(value: Any) -> str:
    """Take the address of a server. Plain http is for loopback alone."""
    address = text(value)
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise Refused("it is not an address") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise Refused("it is not an address that begins with https://")
    if parts.username is not None or parts.query or parts.fragment:
        raise Refused("it holds more than a host and a path: no key and no token may stand in it")
    if parts.scheme == "http" and not is_loopback(host):
        raise Refused("plain http is for this machine itself alone")
    return address.rstrip("/")


def records(value: Any) -> Secret | SecretReference:
    """Take a database URL, which may hold a password."""
    url = secret(value)
    if isinstance(url, Secret):
        from sqlalchemy.exc import ArgumentError

        try:
            _database_url(url.reveal())
        except (ArgumentError, ValueError):
            raise Refused("it is not a database URL") from None
    return url


def _database_url(text: str) -> Any:
    from sqlalchemy import make_url

    return make_url(text)


def place_records(value: Secret | SecretReference, start: Path) -> Secret | SecretReference:
    """The same, a relative SQLite file taken from where the settings file lies."""
    if isinstance(value, SecretReference):
        return value.beside(start)
    url = _database_url(value.reveal())
    if not url.drivername.startswith("sqlite") or url.database in {None, "", ":memory:"}:
        return value
    if url.database.startswith("file:"):
        return value
    try:
        placed = url.set(database=str(start / Path(url.database).expanduser()))
    except RuntimeError:
        raise Refused("it begins at a home that is not known here") from None
    written = placed.render_as_string(hide_password=False)
    if _database_url(written) != placed:  # SQLAlchemy before 2.1 would open another file
        raise Refused("the settings file lies in a folder whose name can't stand in a URL")
    return Secret(written)


def show_records(value: Secret | SecretReference) -> str:
    """A database URL without password and query."""
    if isinstance(value, SecretReference):
        return show_secret(value)
    url = _database_url(value.reveal())
    shown: str = url.set(query={}).render_as_string(hide_password=True)
    return shown + (f"?{MASK}" if url.query else "")


def show_files(value: str) -> str:
    """A folder, or a URL without user, password and query."""
    if "://" not in value:
        return value
    parts = urlsplit(value)._replace(query="")
    # The last @ of all: a secret may hold a slash that nobody has escaped.
    _, at, rest = parts.geturl().rpartition("@")
    return f"{parts.scheme}://{MASK}@{rest}" if at else rest


def place_secret(value: Secret | SecretReference, start: Path) -> Secret | SecretReference:
    """The same, the relative path of a file taken from where the settings file lies."""
    return value.beside(start) if isinstance(value, SecretReference) else value


# --- the fields


def _same(value: Any) -> Any:
    return value


def _unplaced(value: Any, _folder: Path) -> Any:
    return value


@attrs.frozen(kw_only=True, eq=False)
class Rule:
    """What the value of one setting must be.

    Args:
        expected: In words, to follow "expected".
        take: The value as it is kept; raises `Refused`. What it has returned, it returns again.
        parse: What an environment variable's text stands for.
        place: The value with relative paths taken from the folder of the file that it stands in.
        show: The value as people may see it.
        secret: Whether it may be a reference, and is never shown.
    """

    expected: str
    take: Callable[[Any], Any]
    parse: Callable[[str], Any] = _same
    place: Callable[[Any, Path], Any] = _unplaced
    show: Callable[[Any], Any] = _same
    secret: bool = False

    def __call__(self, value: Any) -> Any:
        """Check a value that code gives: what attrs calls a converter."""
        if value is None:
            return None
        try:
            return self.take(value)
        except Refused as exc:
            raise ConfigError(f"expected {self.expected}: {exc}") from None


REFERENCE: Final = '{ env = "NAME" }, { keyring = "service/user" } or { file = "path" }'

ID = Rule(expected="an id: text in one line, as it stands in the practice system", take=text)
WORD = Rule(expected="text without blanks", take=word)
FLAG = Rule(expected="true or false", take=flag, parse=parse_flag)
SECONDS = Rule(
    expected=f"a number of seconds from 0 to {MAX_SETTLE_S:,.0f}",
    take=seconds,
    parse=parse_number,
)
ZONE = Rule(expected="a time zone such as Australia/Sydney", take=zone)
PATTERN = Rule(expected="a name pattern that can be read in one way only", take=pattern)
EXTENSIONS = Rule(
    expected=f'a list of extensions such as [".jpg", ".pdf"], "{EXTERNAL_FILES}" among them if wanted',
    take=extensions,
    parse=parse_list,
    show=show_extensions,
)
LOCATIONS = Rule(
    expected=f"a list of locations, of {', '.join(LOCATION_NAMES)}",
    take=locations,
    parse=parse_list,
    show=list,
)
FOLDER = Rule(expected="a folder that begins with /, such as /photos", take=folder)
LOCAL_FOLDER = Rule(expected="the path of a local or network folder", take=local_folder, place=place_folder)
FILES = Rule(expected="a folder, or an fsspec URL", take=files, place=place_files, show=show_files)
CONTAINER = Rule(
    expected="the name of a container: 3 to 63 lower-case letters, digits and single hyphens between them",
    take=matching(_CONTAINER),
)
ACCOUNT = Rule(
    expected="the name of a storage account: 3 to 24 lower-case letters and digits",
    take=matching(_ACCOUNT),
)
ENDPOINT = Rule(expected="the address of a server, https://…", take=endpoint)
SECRET = Rule(
    expected=f"a secret: {REFERENCE}, or the text itself",
    take=secret,
    place=place_secret,
    show=show_secret,
    secret=True,
)
RECORDS = Rule(
    expected=f"a database URL such as sqlite:///clinic.db, or a place that holds it: {REFERENCE}",
    take=records,
    place=place_records,
    show=show_records,
    secret=True,
)
