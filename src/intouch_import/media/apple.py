"""Apple's ids: the content identifier of a live photo and its movie, and the id of a burst.

Apple's maker note is not documented by Apple; ExifTool lists its tags. No count or offset is trusted.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from intouch_import.media.boxes import Block

__all__ = ["apple_id", "ids_in_note"]

_MARK: Final = b"Apple iOS\0"
_HEADER_BYTES: Final = 16
_ORDERS: Final = {b"MM": ">", b"II": "<"}
_FIELDS: Final = {0x0B: "burst_id", 0x11: "content_id"}
_ASCII: Final = 2
_MOST_ENTRIES: Final = 200
_MOST_TEXT: Final = 64
_ID: Final = re.compile(r"(?=.*[1-9A-Fa-f])[0-9A-Fa-f-]{16,64}", re.ASCII)


def apple_id(text: str) -> str | None:
    """Return an id as it is compared; None if the text is no id, or one of zeros only."""
    text = text.strip(" \0")
    return text.upper() if _ID.fullmatch(text) else None


def ids_in_note(note: Block) -> dict[str, str]:
    """Return ``content_id`` and ``burst_id`` from a maker note, as far as they are there."""
    header = note.at(0, _HEADER_BYTES)
    order = _ORDERS.get(header[12:14])
    if not header.startswith(_MARK) or order is None or len(header) < _HEADER_BYTES:
        return {}
    entry, number = struct.Struct(order + "HHL4s"), struct.Struct(order + "L")
    count = min(struct.unpack(order + "H", header[14:])[0], _MOST_ENTRIES)
    table = note.at(_HEADER_BYTES, count * entry.size)
    found: dict[str, str] = {}
    for tag, kind, length, raw in entry.iter_unpack(table[: len(table) // entry.size * entry.size]):
        if tag in _FIELDS and kind == _ASCII:
            text = note.at(number.unpack(raw)[0], min(length, _MOST_TEXT)).decode("ascii", "replace")
            if (known := apple_id(text)) is not None:
                found.setdefault(_FIELDS[tag], known)
    return found
