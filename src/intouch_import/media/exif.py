"""Read the few entries of an Exif block that this library needs.

The block is read in this process, without Pillow: at most three short tables, in almost every photo. No type,
count or offset is trusted. Format: CIPA DC-008 (Exif 3.0), which uses the structure of TIFF 6.0.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.places import exif_place

if TYPE_CHECKING:
    from intouch_import.media.boxes import Reader
    from intouch_import.media.kinds import Kind

__all__ = ["Exif", "find_exif"]

_EXIF_DIRECTORY: Final = 0x8769
_DATE_TIME_ORIGINAL: Final = 0x9003
_OFFSET_TIME_ORIGINAL: Final = 0x9011
_SUB_SEC_TIME_ORIGINAL: Final = 0x9291
_POINTERS: Final = frozenset({4, 13})
_TEXTS: Final = frozenset({1, 2, 7})  # some cameras write BYTE and UNDEFINED instead of ASCII
_MOST_ENTRIES: Final = 1000
_MOST_TEXT: Final = 64


@attrs.frozen(kw_only=True)
class Exif:
    """The entries that a camera wrote, as written.

    Args:
        taken: DateTimeOriginal, the local time of the camera.
        offset: OffsetTimeOriginal, such as ``"+10:00"``.
        sub_second: SubSecTimeOriginal, decimals of a second.
    """

    taken: str | None = None
    offset: str | None = None
    sub_second: str | None = None


def find_exif(kind: Kind, reader: Reader) -> Exif | None:
    """Read the Exif data of a file of this kind; None if it has none."""
    place = exif_place(kind, reader)
    return _read(_Block(reader, *place)) if place is not None else None


@attrs.frozen
class _Block:
    """A part of a file that has its own offsets."""

    reader: Reader
    start: int
    end: int

    def at(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes at an offset, or fewer at the end of the block."""
        at = self.start + offset
        return self.reader.at(at, min(length, self.end - at))


def _read(block: _Block) -> Exif | None:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block.at(0, 4))
    if order is None:
        return None
    start = block.at(4, 4)
    main = _directory(block, order, start, {_EXIF_DIRECTORY})
    pointer = main.get(_EXIF_DIRECTORY)
    wanted = {_DATE_TIME_ORIGINAL, _OFFSET_TIME_ORIGINAL, _SUB_SEC_TIME_ORIGINAL}
    inner = _directory(block, order, pointer[1], wanted) if pointer and pointer[0] in _POINTERS else {}
    return Exif(
        taken=_text(inner.get(_DATE_TIME_ORIGINAL)),
        offset=_text(inner.get(_OFFSET_TIME_ORIGINAL)),
        sub_second=_text(inner.get(_SUB_SEC_TIME_ORIGINAL)),
    )


def _directory(block: _Block, order: str, where: bytes, wanted: set[int]) -> dict[int, tuple[int, bytes]]:
    """Return type and value of the wanted entries of a directory; of a repeated tag, the first one."""
    number = struct.Struct(order + "L")
    counted = block.at(at := _unpacked(number, where), 2)
    count = min(_unpacked(struct.Struct(order + "H"), counted), _MOST_ENTRIES)
    entry = struct.Struct(order + "HHL4s")
    table = block.at(at + 2, count * entry.size)
    found: dict[int, tuple[int, bytes]] = {}
    for tag, type_code, length, value in entry.iter_unpack(table[: len(table) // entry.size * entry.size]):
        if tag not in wanted or tag in found:
            continue
        if type_code in _TEXTS and length > len(value):
            found[tag] = type_code, block.at(number.unpack(value)[0], min(length, _MOST_TEXT))
        else:
            found[tag] = type_code, value[:length] if type_code in _TEXTS else value
    return found


def _unpacked(form: struct.Struct, raw: bytes) -> int:
    return int(form.unpack(raw)[0]) if len(raw) == form.size else 0


def _text(entry: tuple[int, bytes] | None) -> str | None:
    if entry is None or entry[0] not in _TEXTS:
        return None
    return entry[1].partition(b"\0")[0].decode("ascii", "replace").strip() or None
