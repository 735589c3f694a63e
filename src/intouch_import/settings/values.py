"""The plain forms that a value may have. What is refused is told without being repeated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from intouch_import.errors import NamingPatternError
from intouch_import.extensions import EXTERNAL_FILE_EXTENSIONS, IMAGE_EXTENSIONS
from intouch_import.filenames import CaptureNaming
from intouch_import.secret import MASK, Secret
from intouch_import.settings.references import SecretReference

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EXTERNAL_FILES",
    "LOCATION_NAMES",
    "MAX_SETTLE_S",
    "Refused",
    "as_list",
    "extensions",
    "flag",
    "kind_of",
    "locations",
    "matching",
    "parse_flag",
    "parse_list",
    "parse_number",
    "pattern",
    "seconds",
    "secret",
    "show_extensions",
    "show_secret",
    "text",
    "word",
    "zone",
]

EXTERNAL_FILES: Final = "external-files"
"""In a list of extensions: those that the reference product takes, images included."""

LOCATION_NAMES: Final = ("local", "onedrive", "dropbox", "azure")
MAX_SETTLE_S: Final = 3_600.0

_MAX_TEXT: Final = 1_000
_MAX_SECRET: Final = 8_192
_YES: Final = frozenset({"1", "true", "yes", "on"})
_NO: Final = frozenset({"0", "false", "no", "off"})
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
