"""`Edges`: the bytes of a file that a test for its completeness may read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from intouch_import.media.boxes import Reader

__all__ = ["Edges"]

_BLOCK_BYTES: Final = 256 * 1024


@attrs.frozen
class Edges:
    """The head and tail of a file (all of it, if they meet), its size in bytes, and a reader for the rest."""

    head: bytes = attrs.field(repr=False)
    tail: bytes = attrs.field(repr=False)
    size: int
    reader: Reader | None = None

    @classmethod
    def of(cls, head: bytes, tail: bytes, size: int, reader: Reader | None = None) -> Edges:
        """Join head and tail if they meet, so that all bytes of the file are known."""
        overlap = len(head) + len(tail) - size
        if overlap >= 0:
            head = tail = (head + tail[overlap:])[:size]
        return cls(head, tail, size, reader)

    @property
    def tail_start(self) -> int:
        """The offset of the first byte of the tail."""
        return self.size - len(self.tail)

    def at(self, offset: int, length: int) -> bytes | None:
        """Return the bytes at an offset, or None if not all of them are known."""
        if offset + length <= len(self.head):
            return self.head[offset : offset + length]
        start = offset - self.tail_start
        if start >= 0:
            return self.tail[start : start + length] if start + length <= len(self.tail) else None
        found = self.reader.at(offset, length) if self.reader is not None else b""
        return found if len(found) == length else None

    def contains(self, mark: bytes, start: int) -> bool | None:
        """Return whether a mark occurs after an offset; None if not all bytes from there on are known."""
        last = b""
        while start < self.size:
            block = self.at(start, min(_BLOCK_BYTES, self.size - start))
            if block is None:
                return None
            if mark in last + block:
                return True
            last = block[1 - len(mark) :]
            start += len(block)
        return False
