"""Decide by a file's extension where it appears in the patient's record.

Pure: no disk, no clock, no log. Only the name is examined; `media` checks whether the content matches.
"""

from __future__ import annotations

import itertools
import string
from typing import TYPE_CHECKING, Final

from intouch_import.errors import ConfigError
from intouch_import.model import Destination

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "EXTERNAL_FILE_EXTENSIONS",
    "IMAGE_EXTENSIONS",
    "check_extensions",
    "classify",
    "extension_of",
    "is_allowed",
]

IMAGE_EXTENSIONS: Final[frozenset[str]] = frozenset(
    {
        ".fpx",
        ".gif",
        ".j2c",
        ".j2k",
        ".jfif",
        ".jif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".jpx",
        ".pcd",
        ".png",
        ".tif",
        ".tiff",
    }
)
"""The extensions that go to the Images tab, lower case, with the dot. All others go to Notes."""

EXTERNAL_FILE_EXTENSIONS: Final[frozenset[str]] = frozenset(
    {
        ".ani", ".bmp", ".cal", ".dicom", ".fax", ".gif", ".img", ".jbg", ".jpe", ".jpeg", ".jpg", ".mac",
        ".pbm", ".pcd", ".pct", ".pcx", ".pgm", ".png", ".ppm", ".psd", ".ras", ".svg", ".tga", ".tiff",
        ".wmf", ".doc", ".docx", ".htm", ".html", ".pdf", ".rtf", ".txt", ".xls", ".xlsx", ".xml", ".xsl",
        ".avi", ".mov", ".mp3", ".mp4", ".mpeg", ".mpg", ".wmv",
    }
)  # fmt: skip
"""The extensions that the reference product allows for external files, lower case, with the dot.

Source: its public help, page "External files", section "Allowed file types",
https://incisivesupport.com/support/help/spmnz/EXTERNAL-FILES.2059173958.html. The list is copied as it is:
``.tif``, ``.heic`` and ``.dcm`` are not in it.
"""

# Compare with every spelling instead of lowering the name: str.lower() turns U+212A KELVIN SIGN into "k",
# so that a file with another extension than .j2k would be stored as an image.
_EVERY_SPELLING: Final = frozenset(
    "".join(letters)
    for extension in IMAGE_EXTENSIONS
    for letters in itertools.product(*({char, char.upper()} for char in extension[1:]))
)
_ASCII_LOWER: Final = {ord(char): char.lower() for char in string.ascii_uppercase}
# Accessing an enum member takes as long as the rest of `classify`.
_IMAGES: Final = Destination.IMAGES
_NOTES: Final = Destination.NOTES


def classify(name: str, /) -> Destination:
    """Decide where a file of this name appears in the patient's record.

    Args:
        name: Base name with its extension, no folder.

    Returns:
        `Destination.IMAGES` if the extension is one of `IMAGE_EXTENSIONS` in any letter case (ASCII
        only), otherwise `Destination.NOTES`. A name without an extension, ``.jpg`` alone, and ``scan.jpg``
        followed by a space also go to Notes.
    """
    stem, _, extension = name.rpartition(".")
    return _IMAGES if extension in _EVERY_SPELLING and stem.strip(".") else _NOTES


def check_extensions(extensions: Collection[str] | None, /) -> frozenset[str] | None:
    """Return the extensions that a practice allows, in lower case; None, which allows all, unchanged.

    Raises:
        ConfigError: It is not a list of extensions such as ``.jpg``, or it is empty.
    """
    if extensions is None:
        return None
    # A text is a list of characters, none of which is an extension.
    if isinstance(extensions, str) or not all(map(_is_extension, extensions)):
        raise ConfigError('allowed_extensions is a list of extensions with their dot: [".jpg", ".pdf"]')
    if not extensions:
        raise ConfigError("allowed_extensions is empty, so nothing could be imported; None allows all files")
    return frozenset(extension.translate(_ASCII_LOWER) for extension in extensions)


def _is_extension(text: object) -> bool:
    return isinstance(text, str) and len(text) > 1 and extension_of(f"name{text}") == text


def is_allowed(name: str, allowed: Collection[str] | None, /) -> bool:
    """Return whether a file of this name may be imported at all.

    Args:
        name: Base name with its extension, no folder.
        allowed: Extensions, lower case, with the dot; None allows every file.
    """
    # Not lower(): see _EVERY_SPELLING.
    return allowed is None or extension_of(name).translate(_ASCII_LOWER) in allowed


def extension_of(name: str, /) -> str:
    """Return the extension of a name.

    Args:
        name: Base name, no folder.

    Returns:
        The last dot and everything after it, as written (``".JPG"``). Empty if there is no dot, nothing
        after it, or nothing but dots before it: ``.jpg`` is a stem, not an extension.
    """
    stem, dot, extension = name.rpartition(".")
    return dot + extension if extension and stem.strip(".") else ""
