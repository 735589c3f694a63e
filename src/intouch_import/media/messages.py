"""How the host and a decoding process talk: over two pipes, in messages that neither side has to trust.

The host sends a task; the worker asks for the bytes that it needs, piece by piece, and answers. So a worker
opens no file, holds no more of one than its decoder wants, and the same works on every system and for
every stream. Values travel as JSON: a worker that a hostile picture has taken over can lie about that
picture, and do nothing else to the host.

::

    host                                     worker
                                       <-    H  ready
    T  length, JSON                    ->    a task
                                       <-    R  offset, length: give me these bytes
    B  length, bytes                   ->    here they are; fewer at the end of the file
                                       <-    A  length, length, JSON, thumbnail
"""

from __future__ import annotations

import enum
import io
import os
import struct
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from intouch_import.model import Soundness

__all__ = [
    "ANSWER",
    "MOST_BYTES",
    "READ",
    "READY",
    "TASK",
    "HostFile",
    "Limits",
    "Look",
    "Obstacle",
    "Pipe",
    "ProtocolError",
]

READY, TASK, READ, BYTES, ANSWER = b"H", b"T", b"R", b"B", b"A"
MOST_BYTES: Final = 16 * 1024 * 1024
"""No message is longer."""

_TWO: Final = struct.Struct(">QQ")
_ONE: Final = struct.Struct(">Q")
_FAILED: Final = 2**64 - 1


class Obstacle(enum.StrEnum):
    """What kept a content from being verified."""

    NO_PICTURE = "no_picture"
    """A document, or a kind of media that no decoder here opens: a movie, a FlashPix image."""
    PARTLY = "partly"
    """The decoder opens a part of it: of a Photo CD, the base resolution."""
    NO_DECODER = "no_decoder"
    """The decoder for it is not installed: an extra, or a Pillow that was built without it."""
    NO_WORKER = "no_worker"
    """No decoding process could be started on this machine."""
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_SLOW = "too_slow"
    TOO_MUCH_MEMORY = "too_much_memory"
    CRASHED = "crashed"
    """The decoder took its process down."""
    UNDECODABLE = "undecodable"
    """The decoder says that the content is wrong."""

    @property
    def is_over_limit(self) -> bool:
        """Whether the content itself is why it was not checked to the end."""
        return self in _OVER_LIMIT


_OVER_LIMIT: Final = frozenset(
    {
        Obstacle.TOO_MANY_PIXELS,
        Obstacle.TOO_MANY_FRAMES,
        Obstacle.TOO_SLOW,
        Obstacle.TOO_MUCH_MEMORY,
        Obstacle.CRASHED,
    }
)


@attrs.frozen(kw_only=True)
class Limits:
    """How far one file may go.

    Args:
        pixels: Width times height of one picture. The default is the size at which Pillow itself refuses.
        frames: Pictures in one file.
        time_s: Seconds from the first byte to the answer.
        memory_bytes: What a worker may use beyond what it has when it is idle.
    """

    pixels: int = attrs.field(default=178_956_970, validator=attrs.validators.gt(0))
    frames: int = attrs.field(default=1000, validator=attrs.validators.gt(0))
    time_s: float = attrs.field(default=20.0, validator=attrs.validators.gt(0))
    memory_bytes: int = attrs.field(default=1024**3, validator=attrs.validators.gt(0))


@attrs.frozen(kw_only=True)
class Look:
    """What decoding a file came to.

    Args:
        soundness: Whether all of it was decoded.
        obstacle: Why not.
        width_px, height_px: Size of the first picture, before ``orientation``; None if not known.
        frames: Pictures decoded; None if none was.
        orientation: How the first picture is to be turned, 1 to 8; None if not said.
        thumbnail: A JPEG, if one was asked for and could be made.
    """

    soundness: Soundness
    obstacle: Obstacle | None = None
    width_px: int | None = None
    height_px: int | None = None
    frames: int | None = None
    orientation: int | None = None
    thumbnail: bytes | None = attrs.field(default=None, repr=False)


class ProtocolError(Exception):
    """The other side is gone, or does not keep to the protocol."""


class Pipe:
    """One end of the conversation.

    Args:
        reading: Descriptor to read from.
        writing: Descriptor to write to.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = io.FileIO(reading, "rb", closefd=False)
        self._writing = writing

    def take(self, length: int) -> bytes:
        """Read exactly ``length`` bytes.

        Raises:
            ProtocolError: The other side is gone.
        """
        if length > MOST_BYTES:
            raise ProtocolError("a message is too long")
        content = bytearray(length)
        self._take_into(memoryview(content))
        return bytes(content)

    def _take_into(self, view: memoryview) -> None:
        while view:
            try:
                count = self._reading.readinto(view)
            except (OSError, ValueError):
                count = 0
            if not count:
                raise ProtocolError("the other side is gone")
            view = view[count:]

    def give(self, *parts: bytes) -> None:
        """Write all of it.

        Raises:
            ProtocolError: The other side is gone.
        """
        for part in parts:
            view = memoryview(part)
            while view:
                try:
                    view = view[os.write(self._writing, view) :]
                except OSError:
                    raise ProtocolError("the other side is gone") from None

    # --- messages

    def give_task(self, task: bytes) -> None:
        """Host: send a task."""
        self.give(TASK, _ONE.pack(len(task)), task)

    def take_task(self) -> bytes:
        """Worker: wait for a task."""
        if self.take(1) != TASK:
            raise ProtocolError("not a task")
        return self.take(_ONE.unpack(self.take(_ONE.size))[0])

    def ask_bytes(self, offset: int, view: memoryview) -> int:
        """Worker: ask for bytes of the file.

        Returns:
            How many were put into ``view``: fewer than it holds only at the end of the file.

        Raises:
            OSError: The host could not read them.
        """
        self.give(READ + _TWO.pack(offset, len(view)))
        if self.take(1) != BYTES:
            raise ProtocolError("not bytes")
        count = _ONE.unpack(self.take(_ONE.size))[0]
        if count == _FAILED:
            raise OSError("the host could not read the file")
        if count > len(view):
            raise ProtocolError("more bytes than were asked for")
        self._take_into(view[:count])
        return int(count)

    def give_bytes(self, content: bytes | None) -> None:
        """Host: answer such a question; None if the file could not be read."""
        if content is None:
            self.give(BYTES + _ONE.pack(_FAILED))
        else:
            self.give(BYTES + _ONE.pack(len(content)), content)

    def take_place(self) -> tuple[int, int]:
        """Host: offset and length of the bytes asked for."""
        offset, length = _TWO.unpack(self.take(_TWO.size))
        return offset, length

    def give_answer(self, answer: bytes, thumbnail: bytes) -> None:
        """Worker: send the result."""
        self.give(ANSWER + _TWO.pack(len(answer), len(thumbnail)), answer, thumbnail)

    def take_answer(self) -> tuple[bytes, bytes]:
        """Host: the result, after its mark has been read."""
        lengths = _TWO.unpack(self.take(_TWO.size))
        return self.take(lengths[0]), self.take(lengths[1])


class HostFile(io.RawIOBase):
    """Worker: the file, as far as the host gives it out.

    Args:
        pipe: To the host.
        size_bytes: Size of the file in bytes.
    """

    def __init__(self, pipe: Pipe, size_bytes: int) -> None:
        self._pipe = pipe
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise OSError("a position before the start")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size_bytes - self._position, MOST_BYTES)
        if length <= 0:
            return 0
        count = self._pipe.ask_bytes(self._position, view[:length])
        self._position += count
        return count
