"""Read the headers of a file: byte ranges within a budget, and the boxes of ISO media files and JPEG 2000.

ISO media files are MP4, QuickTime, HEIC and AVIF. Boxes are their nested parts. Without the budget, a hostile
header could keep a reader busy for ever.

Formats: ISO/IEC 14496-12 (boxes, ``iloc``), ISO/IEC 23008-12 (items of a HEIC).
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Block", "Box", "Reader", "boxes", "find_box", "metadata_items", "read_ranges"]

_MOST_BYTES: Final = 2 * 1024 * 1024
_MOST_READS: Final = 4000
_WINDOW_BYTES: Final = 2048
_MOST_BOXES: Final = 2000
_MOST_ENTRIES: Final = 2000
_MOST_INFO: Final = 256
_XMP_TYPE: Final = b"application/rdf+xml"
_HEADER: Final = struct.Struct(">L4s")
_LONG_HEADER_BYTES: Final = 16


def read_ranges(stream: BinaryIO, *ranges: tuple[int, int]) -> list[bytes]:
    """Read ranges of a stream, each given by its offset and length; shorter only at the end of the stream.

    Raises:
        OSError: The stream can't be read.
    """
    found = []
    for offset, length in ranges:
        stream.seek(offset)
        parts = []
        left = length
        # An unbuffered stream may return less than it has.
        while left > 0 and (part := stream.read(left)):
            parts.append(part)
            left -= len(part)
        found.append(b"".join(parts))
    return found


@attrs.define
class Reader:
    """Reads the bytes of one file by their offsets, within a budget.

    Args:
        stream: Binary and seekable; belongs to the caller.
        size_bytes: Size of the file in bytes.
        head: The first bytes of the file, if they are known.
        bytes_left, reads_left: The budget.
    """

    _stream: BinaryIO
    size_bytes: int
    _head: bytes = attrs.field(default=b"", kw_only=True, repr=False)
    # Entries and values are often close together: the bytes behind each one that is read are kept.
    _window: bytes = attrs.field(default=b"", init=False, repr=False)
    _window_at: int = attrs.field(default=0, init=False)
    _bytes_left: int = attrs.field(default=_MOST_BYTES, kw_only=True)
    _reads_left: int = attrs.field(default=_MOST_READS, kw_only=True)

    def at(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes at an offset, or fewer at the end of the file and of the budget.

        Raises:
            OSError: The stream can't be read.
        """
        length = min(length, self.size_bytes - offset, self._bytes_left)
        if length <= 0 or self._reads_left == 0:
            return b""
        self._bytes_left -= length
        self._reads_left -= 1
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        skip = offset - self._window_at
        if skip < 0 or skip + length > len(self._window):
            self._window = read_ranges(self._stream, (offset, max(length, _WINDOW_BYTES)))[0]
            self._window_at, skip = offset, 0
        return self._window[skip : skip + length]


@attrs.frozen
class Block:
    """A part of a file, or of what was compressed in a file, that has its own offsets."""

    reader: Reader
    start: int
    end: int

    @classmethod
    def of(cls, data: bytes) -> Block:
        """Return a block of bytes."""
        return cls(Reader(BytesIO(data), len(data), head=data), 0, len(data))

    def at(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes at an offset, or fewer at the end of the block."""
        at = self.start + offset
        return self.reader.at(at, min(length, self.end - at))

    def part(self, start: int, end: int) -> Block:
        """Return a part of this block."""
        return Block(self.reader, self.start + start, min(self.start + end, self.end))


@attrs.frozen
class Box:
    """One box: its type, and the offsets in the file at which its content starts and ends."""

    kind: bytes
    start: int
    end: int


def boxes(reader: Reader, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two offsets, up to the first invalid one."""
    for _count in range(_MOST_BOXES):
        header = reader.at(start, _LONG_HEADER_BYTES)
        if start + _HEADER.size > end or len(header) < _HEADER.size:
            return
        length, kind = _HEADER.unpack_from(header)
        content = start + _HEADER.size
        if length == 1 and len(header) == _LONG_HEADER_BYTES:
            length = int.from_bytes(header[_HEADER.size :], "big")
            content = start + _LONG_HEADER_BYTES
        elif length == 0:  # to the end of the surrounding box
            length = end - start
        if length < content - start:
            return
        yield Box(kind, content, min(start + length, end))
        start += length


def find_box(reader: Reader, start: int, end: int, *path: bytes) -> Box | None:
    """Return the first box at the end of a path of types."""
    for kind in path:
        found = next((box for box in boxes(reader, start, end) if box.kind == kind), None)
        if found is None:
            return None
        start, end = found.start, found.end
    return found


# --- HEIC and AVIF


def metadata_items(reader: Reader) -> Iterator[tuple[bytes, int, int]]:
    """Yield the items of a HEIC or AVIF with Exif (``Exif``) or XMP (``mime``): kind, start and end."""
    meta = find_box(reader, 0, reader.size_bytes, b"meta")
    if meta is None:
        return
    parts = {box.kind: box for box in boxes(reader, meta.start + 4, meta.end)}
    infos, places = parts.get(b"iinf"), parts.get(b"iloc")
    if infos is None or places is None:
        return
    table = b""
    for item, kind in _metadata_ids(reader, infos):
        table = table or reader.at(places.start, places.end - places.start)
        if (extent := _extent(table, item)) is not None:
            start, length = extent
            yield kind, start, start + length


def _metadata_ids(reader: Reader, infos: Box) -> Iterator[tuple[int, bytes]]:
    skip = 6 if reader.at(infos.start, 1) == b"\0" else 8
    for info in boxes(reader, infos.start + skip, infos.end):
        content = reader.at(info.start, min(_MOST_INFO, info.end - info.start))
        wide = content[:1] == b"\3"
        at = 10 if wide else 8
        kind = content[at : at + 4]
        # A name, then the type of the content, both ended by zero.
        is_xmp = kind == b"mime" and content[at + 4 :].partition(b"\0")[2].startswith(_XMP_TYPE + b"\0")
        if kind == b"Exif" or is_xmp:
            yield int.from_bytes(content[4 : 8 if wide else 6], "big"), kind


def _extent(table: bytes, wanted: int) -> tuple[int, int] | None:
    """Return offset and length of the first extent of an item in an ``iloc`` table; None if it is missing."""
    numbers = _Numbers(table)
    version = numbers.take(1)
    numbers.take(3)
    sizes = numbers.take(2)
    offset_bytes, length_bytes, base_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_bytes = sizes & 15 if version else 0
    wide = version >= 2  # noqa: PLR2004
    left = _MOST_ENTRIES  # extents may have a size of zero bytes, so the length of the table is no limit
    for _item in range(numbers.take(4 if wide else 2)):
        item = numbers.take(4 if wide else 2)
        method = numbers.take(2) & 15 if version else 0
        numbers.take(2)
        base = numbers.take(base_bytes)
        extents = numbers.take(2)
        left -= 1 + extents
        if left < 0 or numbers.is_over:
            return None
        places = [
            (numbers.take(index_bytes), base + numbers.take(offset_bytes), numbers.take(length_bytes))
            for _extent in range(extents)
        ]
        if item == wanted:
            return places[0][1:] if places and method == 0 and not numbers.is_over else None
    return None


class _Numbers:
    """Reads consecutive big-endian numbers; zeros after the end."""

    def __init__(self, table: bytes) -> None:
        self._table = table
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether a number was read after the end."""
        return self._at > len(self._table)

    def take(self, size_bytes: int) -> int:
        number = int.from_bytes(self._table[self._at : self._at + size_bytes], "big")
        self._at += size_bytes
        return number
