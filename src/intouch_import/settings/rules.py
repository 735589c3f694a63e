"""What one value must be: its type, its form, and how it is shown. No value is repeated in any message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import.errors import ConfigError
from intouch_import.settings import places, values
from intouch_import.settings.values import EXTERNAL_FILES, LOCATION_NAMES, Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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

# https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
_CONTAINER: Final = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}\Z")


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

ID = Rule(expected="an id: text in one line, as it stands in the practice system", take=values.text)
WORD = Rule(expected="text without blanks", take=values.word)
FLAG = Rule(expected="true or false", take=values.flag, parse=values.parse_flag)
SECONDS = Rule(
    expected=f"a number of seconds from 0 to {values.MAX_SETTLE_S:,.0f}",
    take=values.seconds,
    parse=values.parse_number,
)
ZONE = Rule(expected="a time zone such as Australia/Sydney", take=values.zone)
PATTERN = Rule(expected="a name pattern that can be read in one way only", take=values.pattern)
EXTENSIONS = Rule(
    expected=f'a list of extensions such as [".jpg", ".pdf"], "{EXTERNAL_FILES}" among them if wanted',
    take=values.extensions,
    parse=values.parse_list,
    show=values.show_extensions,
)
LOCATIONS = Rule(
    expected=f"a list of locations, of {', '.join(LOCATION_NAMES)}",
    take=values.locations,
    parse=values.parse_list,
    show=list,
)
FOLDER = Rule(expected="a folder that begins with /, such as /photos", take=places.folder)
LOCAL_FOLDER = Rule(
    expected="the path of a local or network folder", take=places.local_folder, place=places.place_folder
)
FILES = Rule(
    expected="a folder, or an fsspec URL", take=places.files, place=places.place_files, show=places.show_files
)
CONTAINER = Rule(
    expected="the name of a container: 3 to 63 lower-case letters, digits and single hyphens between them",
    take=values.matching(_CONTAINER),
)
ACCOUNT = Rule(
    expected="the name of a storage account: 3 to 24 lower-case letters and digits",
    take=values.matching(_ACCOUNT),
)
ENDPOINT = Rule(expected="the address of a server, https://…", take=places.endpoint)
SECRET = Rule(
    expected=f"a secret: {REFERENCE}, or the text itself",
    take=values.secret,
    place=places.place_secret,
    show=values.show_secret,
    secret=True,
)
RECORDS = Rule(
    expected=f"a database URL such as sqlite:///clinic.db, or a place that holds it: {REFERENCE}",
    take=places.records,
    place=places.place_records,
    show=places.show_records,
    secret=True,
)
