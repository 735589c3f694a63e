"""Reading here and there in a file, within a budget, so that no header can make a reader wander for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Reader", "Slice", "read_fully"]

_MOST_BYTES: Final = 2 * 1024 * 1024
_MOST_READS: Final = 4000


def read_fully(stream: BinaryIO, length: int) -> bytes:
    """Read ``length`` bytes, fewer only at the end; an unbuffered stream may give less than it has."""
    parts = []
    while length > 0 and (part := stream.read(length)):
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class Reader:
    """The bytes of one file by their offsets.

    What is not there, and what is over the budget, is simply missing: `at` gives fewer bytes than asked for.

    Args:
        stream: Binary and seekable; belongs to the caller.
        size_bytes: Size of the file in bytes.
        head: The start of the file, if it was read before.
    """

    def __init__(self, stream: BinaryIO, size_bytes: int, *, head: bytes = b"") -> None:
        self.size_bytes = size_bytes
        self._stream = stream
        self._head = head
        self._bytes_left = _MOST_BYTES
        self._reads_left = _MOST_READS

    def at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset`` on.

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
        self._stream.seek(offset)
        return read_fully(self._stream, length)


class Slice:
    """A part of a file that has offsets of its own, as an Exif block has."""

    def __init__(self, reader: Reader, start: int, end: int) -> None:
        self._reader = reader
        self._start = start
        self._end = min(end, reader.size_bytes)

    def at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset`` on, none of them beyond the part."""
        start = self._start + offset
        return self._reader.at(start, min(length, self._end - start))
