"""Whether a TIFF ends too early. Every directory is read: pages, previews, the full picture of a raw file.

Formats: TIFF 6.0, BigTIFF, TIFF Technical Note 1 (SubIFDs), Exif 3.0.
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.media.cuts.edges import Edges

__all__ = ["tiff_is_cut"]

_MOST_DIRECTORIES: Final = 10_000
_MOST_ENTRIES: Final = 65_535
# Hostile directories may overlap, and list the same numbers many times.
_MOST_NUMBERS: Final = 1_000_000
_NUMBERS_AT_ONCE: Final = 8192
_SIZES: Final = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
"""The bytes of a value by its type."""
_NUMBERS: Final = {3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
_COMPRESSION: Final = 259
_JPEGS: Final = {6: 65_536, 7: 4096}
"""How far from the end of a JPEG its end mark may be: old writers left remains of their buffers behind it."""
# LZW, Deflate and what came after them never end in many zeros.
_WITHOUT_ZEROS: Final = frozenset({5, 8, 32946, 34712, 34892, 34925, 50000, 50001, 50002})
_END_BYTES: Final = 64
_PIECES: Final = ((273, 279), (324, 325), (513, 514))
"""The tags of offsets and sizes: of strips, of tiles, and of the JPEG in an old TIFF or a preview."""
_DIRECTORIES: Final = (330, 34665, 34853, 40965)
"""The tags of offsets of directories: SubIFDs, Exif, GPS, interoperability."""


class _Value(NamedTuple):
    type_code: int
    items: int
    raw: bytes
    """The value, or its offset if it is longer."""


def tiff_is_cut(known: Edges) -> bool:
    """Return whether a directory, a value, a strip or a tile is not in the file, as far as they are known."""
    order = "<" if known.head.startswith(b"II") else ">"
    big = b"+" in known.head[2:4]
    forms = ("Q", "Q", "HHQ8s") if big else ("L", "H", "HHL4s")
    number, counter, entry = (struct.Struct(order + form) for form in forms)
    return _Walk(known, order, number, counter, entry).is_cut()


@attrs.define
class _Walk:
    """The way through the directories of a file."""

    known: Edges
    order: str
    number: struct.Struct
    counter: struct.Struct
    entry: struct.Struct
    numbers_left: int = _MOST_NUMBERS

    def is_cut(self) -> bool:
        first = self.known.at(self.number.size, self.number.size)
        # An interrupted writer leaves zero as the offset of the first directory.
        if first is None or not any(first):
            return True
        waiting, visited = [self._unpacked(first)], set[int]()
        while waiting and self.numbers_left > 0 and len(visited) < _MOST_DIRECTORIES:
            at = waiting.pop()
            if not at or at in visited:
                continue
            visited.add(at)
            if at + self.counter.size > self.known.size:
                return True
            counted = self.known.at(at, self.counter.size)
            if counted is None:
                continue
            count = self.counter.unpack(counted)[0]
            at += self.counter.size
            length = count * self.entry.size
            if not count or at + length > self.known.size:
                return True
            table = self.known.at(at, length) if count <= _MOST_ENTRIES else None
            if table is None:
                continue
            self.numbers_left -= count
            values = {tag: _Value(*rest) for tag, *rest in reversed([*self.entry.iter_unpack(table)])}
            if any(self._is_beyond(value) for value in values.values()) or self._lacks_pieces(values):
                return True
            waiting += self._directories(values, at + length)
        return False

    def _unpacked(self, raw: bytes) -> int:
        return int(self.number.unpack(raw)[0])

    def _is_beyond(self, value: _Value) -> bool:
        length = value.items * _SIZES.get(value.type_code, 0)
        return length > len(value.raw) and self._unpacked(value.raw) + length > self.known.size

    def _directories(self, values: dict[int, _Value], next_at: int) -> list[int]:
        """Return the offsets of the directories that a directory names. The next page comes last."""
        found = [at for tag in _DIRECTORIES if tag in values for at in self._numbers(values[tag])]
        following = self.known.at(next_at, self.number.size)
        # Some writers end the file after the last entry.
        return [*found, self._unpacked(following)] if following is not None else found

    def _lacks_pieces(self, values: dict[int, _Value]) -> bool:
        """Return whether a strip or a tile ends beyond the file, or the last one is not complete."""
        last = (0, 0)
        for offsets, sizes in _PIECES:
            if offsets not in values:
                continue
            listed = self._numbers(values[sizes]) if sizes in values else itertools.repeat(0)
            for offset, size in zip(self._numbers(values[offsets]), listed, strict=False):
                if offset + size > self.known.size:
                    return True
                last = max(last, (offset, size))
        compression = next(self._numbers(values[_COMPRESSION]), 1) if _COMPRESSION in values else 1
        return self._is_half(*last, compression)

    def _is_half(self, offset: int, size: int, compression: int) -> bool:
        """Return whether a piece is a JPEG without its end mark, or compressed and ends in zeros."""
        length = min(size, _JPEGS.get(compression, _END_BYTES))
        start, end = self.known.at(offset, 2), self.known.at(offset + size - length, length)
        if not end:
            return False
        if compression in _JPEGS and start == b"\xff\xd8":
            return b"\xff\xd9" not in end
        return compression in _WITHOUT_ZEROS and len(end) == _END_BYTES and not end.strip(b"\0")

    def _numbers(self, value: _Value) -> Iterator[int]:
        """Yield the numbers of a value, as far as they are known."""
        if value.type_code not in _NUMBERS:
            return
        one = struct.Struct(self.order + _NUMBERS[value.type_code])
        if value.items * one.size <= len(value.raw):
            yield from (number for (number,) in one.iter_unpack(value.raw[: value.items * one.size]))
            return
        at = self._unpacked(value.raw)
        for first in range(0, min(value.items, self.numbers_left), _NUMBERS_AT_ONCE):
            count = min(_NUMBERS_AT_ONCE, value.items - first)
            raw = self.known.at(at + first * one.size, count * one.size)
            self.numbers_left -= count
            if raw is None:
                return
            yield from (number for (number,) in one.iter_unpack(raw))
