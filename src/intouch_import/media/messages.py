"""The messages between the host and a decoding process, and the values in them.

The host sends a task. The worker requests the bytes that it needs, piece by piece, and sends an answer. So a
worker opens no file, and keeps no more of a file in memory than its decoder wants; and this works on every
system and with every stream. Values travel as JSON: a worker that is controlled by a hostile picture can give
wrong answers about that picture, but can do nothing else to the host.

::

    host                                     worker
                                       <-    H  ready
    T  length, JSON                    ->    a task
                                       <-    R  offset, length: request bytes
    B  length, bytes                   ->    the bytes; none at the end of the file
                                       <-    A  length, length, JSON, thumbnail
"""

from __future__ import annotations

import enum
import io
import os
import struct
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.kinds import Kind

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from intouch_import.model import Soundness

__all__ = [
    "ANSWER",
    "MOST_BYTES",
    "READY",
    "REQUEST",
    "Decoded",
    "HostFile",
    "Limits",
    "Obstacle",
    "Pipe",
    "ProtocolError",
]

READY, TASK, REQUEST, BYTES, ANSWER = b"H", b"T", b"R", b"B", b"A"
MOST_BYTES: Final = 16 * 1024 * 1024
"""The longest message."""

_TWO: Final = struct.Struct(">QQ")
_ONE: Final = struct.Struct(">Q")
_FAILED: Final = 2**64 - 1


class Obstacle(enum.StrEnum):
    """Why a content could not be verified."""

    NO_PICTURE = "no_picture"
    """A document, or a kind of media that is not decoded here, such as a movie or a FlashPix image."""
    PARTLY = "partly"
    """The decoder reads only a part of it: of a Photo CD the base resolution, of a raw file the preview."""
    NO_DECODER = "no_decoder"
    """The decoder that can verify it is not installed, as an extra or as a part of Pillow."""
    UNSUPPORTED = "unsupported"
    """The header declares a variant of the format that is not decoded here, such as a lossless JPEG."""
    NO_WORKER = "no_worker"
    """No decoding process could be started on this machine."""
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_SLOW = "too_slow"
    TOO_MUCH_MEMORY = "too_much_memory"
    CRASHED = "crashed"
    """The decoder crashed its process."""
    UNDECODABLE = "undecodable"
    """The decoder reports that the content is invalid."""
    GAP = "gap"
    """A part of the picture is missing or was overwritten."""

    def sentence(self, kind: Kind) -> str | None:
        """Return what it means for a file of this kind, for people; None if there is nothing to explain."""
        extra = _EXTRAS.get(kind) if self is Obstacle.NO_DECODER else None
        if extra is not None:
            return f"The content is unverified: that needs the extra {extra} (intouch-import[{extra}])."
        return _SENTENCES.get(self)


_EXTRAS: Final = {Kind.JPEG: "media", Kind.HEIC: "heif"}
_SENTENCES: Final = {
    Obstacle.GAP: "The content is damaged: a part of the picture is missing or was overwritten.",
    Obstacle.UNDECODABLE: "The content is damaged: it can't be decoded.",
    Obstacle.UNSUPPORTED: "The content is unverified: this variant of the format can't be decoded here.",
}


@attrs.frozen(kw_only=True)
class Limits:
    """The limits for decoding one file.

    Args:
        pixels: Width times height of one picture. The default is the size at which Pillow itself refuses.
        frames: Pictures in one file.
        time_s: Seconds from the task to the answer.
        memory_bytes: Memory of a worker in addition to what it uses when idle.
    """

    pixels: int = attrs.field(default=178_956_970, validator=attrs.validators.gt(0))
    frames: int = attrs.field(default=1000, validator=attrs.validators.gt(0))
    time_s: float = attrs.field(default=20.0, validator=attrs.validators.gt(0))
    memory_bytes: int = attrs.field(default=1024**3, validator=attrs.validators.gt(0))


@attrs.frozen(kw_only=True)
class Decoded:
    """The result of decoding a file.

    Args:
        soundness: Whether the whole file was decoded.
        obstacle: Why not; None if it was.
        width_px, height_px: Size of the first picture, before ``orientation``; None if not known.
        frames: Count of decoded pictures; None if there was none.
        orientation: How to turn the first picture, 1 to 8 as in Exif; None if the file does not say.
        thumbnail: A JPEG, if one was requested and could be made.
    """

    soundness: Soundness
    obstacle: Obstacle | None = None
    width_px: int | None = None
    height_px: int | None = None
    frames: int | None = None
    orientation: int | None = None
    thumbnail: bytes | None = attrs.field(default=None, repr=False)


class ProtocolError(Exception):
    """The other side is gone, or violates the protocol."""


class Pipe:
    """One end of the connection.

    Args:
        reading: Descriptor to read from.
        writing: Descriptor to write to.
    """

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = io.FileIO(reading, "rb", closefd=False)
        self._writing = writing

    def receive(self, length: int) -> bytes:
        """Read exactly ``length`` bytes.

        Raises:
            ProtocolError: The other side is gone.
        """
        if length > MOST_BYTES:
            raise ProtocolError("a message is too long")
        content = bytearray(length)
        self._receive_into(memoryview(content))
        return bytes(content)

    def _receive_into(self, view: memoryview) -> None:
        while view:
            try:
                count = self._reading.readinto(view)
            except (OSError, ValueError):
                count = 0
            if not count:
                raise ProtocolError("the other side is gone")
            view = view[count:]

    def send(self, *parts: bytes) -> None:
        """Write all parts.

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

    # --- the host's messages

    def send_task(self, task: bytes) -> None:
        """Send a task."""
        self.send(TASK, _ONE.pack(len(task)), task)

    def receive_request(self) -> tuple[int, int]:
        """Return offset and length of the requested bytes, after the mark of the request was read."""
        offset, length = _TWO.unpack(self.receive(_TWO.size))
        return offset, length

    def send_bytes(self, content: bytes | None) -> None:
        """Answer a request; None if the file could not be read."""
        if content is None:
            self.send(BYTES + _ONE.pack(_FAILED))
        else:
            self.send(BYTES + _ONE.pack(len(content)), content)

    def receive_answer(self) -> tuple[bytes, bytes]:
        """Return the JSON and the thumbnail of an answer, after its mark was read."""
        lengths = _TWO.unpack(self.receive(_TWO.size))
        return self.receive(lengths[0]), self.receive(lengths[1])

    # --- the worker's messages

    def receive_task(self) -> bytes:
        """Wait for a task."""
        if self.receive(1) != TASK:
            raise ProtocolError("not a task")
        return self.receive(_ONE.unpack(self.receive(_ONE.size))[0])

    def request_bytes(self, offset: int, view: memoryview) -> int:
        """Request bytes of the file.

        Returns:
            How many bytes were written into ``view``; 0 at the end of the file.

        Raises:
            OSError: The host could not read them.
        """
        self.send(REQUEST + _TWO.pack(offset, len(view)))
        if self.receive(1) != BYTES:
            raise ProtocolError("not bytes")
        count = _ONE.unpack(self.receive(_ONE.size))[0]
        if count == _FAILED:
            raise OSError("the host could not read the file")
        if count > len(view):
            raise ProtocolError("more bytes than were requested")
        self._receive_into(view[:count])
        return int(count)

    def send_answer(self, answer: bytes, thumbnail: bytes) -> None:
        """Send the result."""
        self.send(ANSWER + _TWO.pack(len(answer), len(thumbnail)), answer, thumbnail)


class HostFile(io.RawIOBase):
    """The file of a task, as the worker sees it: every read is a request to the host.

    Args:
        pipe: The connection to the host.
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

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        length = min(len(view), self._size_bytes - self._position, MOST_BYTES)
        if length <= 0:
            return 0
        count = self._pipe.request_bytes(self._position, view[:length])
        self._position += count
        return count
