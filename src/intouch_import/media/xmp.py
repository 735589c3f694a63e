"""Read some properties of an XMP packet. No entity is expanded, and no more than 64 KiB are read.

Format: ISO 16684-1 (XMP), a subset of RDF: a property is an attribute or an element.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["MOST_BYTES", "read_properties", "read_xmp"]

# The parser is C code that stops the other threads: 30,000 attributes would take a quarter of a second.
MOST_BYTES: Final = 64 * 1024
"""The largest packet that is read; of a larger one, the start."""

_EXIF: Final = "http://ns.adobe.com/exif/1.0/ "
_TIFF: Final = "http://ns.adobe.com/tiff/1.0/ "
_NAMES: Final = {
    "xmp_taken": (_EXIF + "DateTimeOriginal", "http://ns.adobe.com/photoshop/1.0/ DateCreated"),
    "xmp_created": (_EXIF + "DateTimeDigitized", "http://ns.adobe.com/xap/1.0/ CreateDate"),
    "make": (_TIFF + "Make",),
    "model": (_TIFF + "Model",),
    "serial": ("http://ns.adobe.com/exif/1.0/aux/ SerialNumber",),
}
"""The fields of `Exif`, and the properties that give them, the most trusted first."""
_MOST_TEXT: Final = 64


def read_xmp(packet: bytes) -> dict[str, str]:
    """Return the original time, the time of creation, and the camera, as far as they are there."""
    return read_properties(packet, _NAMES)


def read_properties(packet: bytes, names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the values of some fields, as far as they are there.

    A packet that is cut or is not XML gives what was read before the fault.

    Args:
        packet: The packet.
        names: For each field the properties that give it, the most trusted first: namespace, blank, name.
    """
    properties = _Properties({name for those in names.values() for name in those})
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = properties.start
    parser.CharacterDataHandler = properties.add
    parser.EndElementHandler = properties.end
    # Entities are declared in a document type only, and XMP has none.
    parser.StartDoctypeDeclHandler = properties.refuse
    with contextlib.suppress(expat.ExpatError, ValueError):
        parser.Parse(packet.strip(b" \0\t\r\n"), True)  # noqa: FBT003  # the parser's own signature
    given = {
        field: next((text for name in those if (text := properties.found.get(name, "").strip())), None)
        for field, those in names.items()
    }
    return {field: text for field, text in given.items() if text is not None}


class _Properties:
    """Collects the wanted properties; of a repeated one, the first."""

    def __init__(self, wanted: AbstractSet[str]) -> None:
        self._wanted = wanted
        self.found: dict[str, str] = {}
        self._name, self._text = "", ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._name, self._text = name if name in self._wanted else "", ""
        for key in attributes.keys() & self._wanted:
            self.found.setdefault(key, attributes[key][:_MOST_TEXT])

    def add(self, text: str) -> None:
        if self._name:
            self._text = (self._text + text)[:_MOST_TEXT]

    def end(self, name: str) -> None:
        if name == self._name:
            self.found.setdefault(name, self._text)
        self._name = ""

    def refuse(self, *_declaration: object) -> None:
        raise ValueError("XMP has no document type")
