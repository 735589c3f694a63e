"""Find the Exif block of a file, and read the few entries that this library needs.

The block is read in this process, without Pillow: at most three short tables, in almost every photo. No type,
count or offset is trusted. Format: CIPA DC-008 (Exif 3.0), which uses the structure of TIFF 6.0.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.boxes import boxes, exif_item
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.media.boxes import Reader

__all__ = ["Exif", "find_exif"]

_EXIF_DIRECTORY: Final = 0x8769
_DATE_TIME_ORIGINAL: Final = 0x9003
_OFFSET_TIME_ORIGINAL: Final = 0x9011
_SUB_SEC_TIME_ORIGINAL: Final = 0x9291
_POINTERS: Final = frozenset({4, 13})
_TEXTS: Final = frozenset({1, 2, 7})  # some cameras write BYTE and UNDEFINED instead of ASCII
_MOST_ENTRIES: Final = 1000
_MOST_TEXT: Final = 64
_MOST_SEGMENTS: Final = 200
_MOST_CHUNKS: Final = 2000
_MARK: Final = b"Exif\0\0"
_JP2_MARK: Final = b"JpgTiffExif->JP2"


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
    find = _PLACES.get(kind)
    place = find(reader) if find is not None else None
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


# --- the block ----------------------------------------------------------------------------------


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


# --- where the block is ----------------------------------------------------------------------------


def _in_jpeg(reader: Reader) -> tuple[int, int] | None:
    at = 2
    for _count in range(_MOST_SEGMENTS):
        header = reader.at(at, 4 + len(_MARK))
        if len(header) < 4 or header[0] != 0xFF or header[1] in {0xDA, 0xD9}:  # noqa: PLR2004
            return None
        if header[1] == 0xFF:  # noqa: PLR2004  # a fill byte
            at += 1
            continue
        end = at + 2 + int.from_bytes(header[2:4], "big")
        if header[1] == 0xE1 and header[4:] == _MARK:  # noqa: PLR2004
            return at + len(header), end
        at = max(end, at + 4)
    return None


def _in_png(reader: Reader) -> tuple[int, int] | None:
    at = 8
    for _count in range(_MOST_CHUNKS):
        header = reader.at(at, 8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if kind == b"eXIf":
            return at + 8, at + 8 + length
        if len(kind) < 4 or kind == b"IEND":  # noqa: PLR2004
            return None
        at += 12 + length
    return None


def _in_webp(reader: Reader) -> tuple[int, int] | None:
    at = 12
    for _count in range(_MOST_CHUNKS):
        header = reader.at(at, 8 + len(_MARK))
        kind, length = header[:4], int.from_bytes(header[4:8], "little")
        if kind == b"EXIF":
            skip = len(_MARK) if header[8:] == _MARK else 0
            return at + 8 + skip, at + 8 + length
        if len(header) < 8:  # noqa: PLR2004
            return None
        at += 8 + length + length % 2
    return None


def _in_jp2(reader: Reader) -> tuple[int, int] | None:
    for box in boxes(reader, 0, reader.size_bytes):
        if box.kind == b"uuid" and reader.at(box.start, len(_JP2_MARK)) == _JP2_MARK:
            return box.start + len(_JP2_MARK), box.end
    return None


def _in_tiff(reader: Reader) -> tuple[int, int] | None:
    return 0, reader.size_bytes


_PLACES: Final[dict[Kind, Callable[[Reader], tuple[int, int] | None]]] = {
    Kind.JPEG: _in_jpeg,
    Kind.PNG: _in_png,
    Kind.TIFF: _in_tiff,
    Kind.WEBP: _in_webp,
    Kind.JP2: _in_jp2,
    Kind.HEIC: exif_item,
    Kind.AVIF: exif_item,
}
