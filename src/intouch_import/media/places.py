"""Find where each format keeps its Exif block: start and end in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.media.boxes import boxes, exif_item
from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.media.boxes import Reader

__all__ = ["exif_place"]

_MOST_SEGMENTS: Final = 200
_MOST_CHUNKS: Final = 2000
_MARK: Final = b"Exif\0\0"
_JP2_MARK: Final = b"JpgTiffExif->JP2"


def exif_place(kind: Kind, reader: Reader) -> tuple[int, int] | None:
    """Return start and end of the Exif block of a file of this kind; None if it has none."""
    find = _PLACES.get(kind)
    return find(reader) if find is not None else None


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
