"""Read the index of a movie in any container: MP4 and QuickTime, Matroska, Windows Media, AVI.

No type, count or offset is trusted. Formats: RFC 9559 (Matroska), Microsoft's Advanced Systems Format, and
Microsoft's AVI RIFF file reference, with the chunk ``IDIT`` that cameras add.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from intouch_import.media.kinds import Kind
from intouch_import.media.movies import EPOCH_1904, Movie, read_movie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.media.boxes import Reader

__all__ = ["find_movie"]

_MOST_PARTS: Final = 500
_MOST_TEXT: Final = 64


def find_movie(kind: Kind, reader: Reader) -> Movie | None:
    """Read the index of a movie of this kind; None if it has none, or this is no movie."""
    read = _READERS.get(kind)
    return read(reader) if read is not None else None


def _seconds_between(earlier: datetime) -> int:
    return int((earlier - EPOCH_1904).total_seconds())


# --- Matroska

_SEGMENT: Final = 0x18538067
_INFO: Final = 0x1549A966
_CLUSTER: Final = 0x1F43B675
_DATE: Final = 0x4461
_DURATION: Final = 0x4489
_SCALE: Final = 0x2AD7B1
_NS: Final = 1_000_000_000
_SINCE_2001: Final = _seconds_between(datetime(2001, 1, 1, tzinfo=UTC))


def _elements(reader: Reader, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the elements between two offsets: id, start and end of the content."""
    for _count in range(_MOST_PARTS):
        head = reader.at(start, 12)
        id_bytes = _length_of(head[:1])
        size_bytes = _length_of(head[id_bytes : id_bytes + 1])
        content = start + id_bytes + size_bytes
        if not 1 <= id_bytes <= 4 or not size_bytes or content > end:  # noqa: PLR2004
            return
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & (1 << 7 * size_bytes) - 1
        is_open = size == (1 << 7 * size_bytes) - 1
        stop = end if is_open else min(content + size, end)
        yield int.from_bytes(head[:id_bytes], "big"), content, stop
        start = stop


def _length_of(first: bytes) -> int:
    """Return the length of a number of variable length, which its first byte says; 0 if it is invalid."""
    return 9 - first[0].bit_length() if first and first[0] else 0


def _read_matroska(reader: Reader) -> Movie | None:
    for kind, start, end in _elements(reader, 0, reader.size_bytes):
        if kind != _SEGMENT:
            continue
        for part, at, stop in _elements(reader, start, end):
            if part == _INFO:
                return _matroska_info(reader, at, stop)
            if part == _CLUSTER:
                return None
    return None


def _matroska_info(reader: Reader, start: int, end: int) -> Movie:
    created_s, scale, duration = 0, 1_000_000, 0.0
    for kind, at, stop in _elements(reader, start, end):
        value = reader.at(at, min(8, stop - at))
        if kind == _DATE and len(value) == 8:  # noqa: PLR2004
            created_s = _SINCE_2001 + int.from_bytes(value, "big", signed=True) // _NS
        elif kind == _SCALE:
            scale = int.from_bytes(value, "big")
        elif kind == _DURATION and len(value) in {4, 8}:
            duration = struct.unpack(">f" if len(value) == 4 else ">d", value)[0]  # noqa: PLR2004
    return Movie(created_s=max(created_s, 0), duration_s=_length(duration * scale / _NS))


def _length(seconds: float) -> float | None:
    """Return a length if a movie can have it."""
    return seconds if 0 < seconds < 1e9 else None  # noqa: PLR2004


# --- Windows Media

_FILE_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEADER_BYTES: Final = 30
_ASF_OBJECT: Final = struct.Struct("<16sQ")
_ASF_PROPERTIES: Final = struct.Struct("<16xQQQQQQ")
_TICKS: Final = 10_000_000
_SINCE_1601: Final = _seconds_between(datetime(1601, 1, 1, tzinfo=UTC))


def _read_asf(reader: Reader) -> Movie | None:
    at = _ASF_HEADER_BYTES
    for _count in range(_MOST_PARTS):
        head = reader.at(at, _ASF_OBJECT.size)
        if len(head) < _ASF_OBJECT.size:
            return None
        kind, size = _ASF_OBJECT.unpack(head)
        if kind == _FILE_PROPERTIES:
            content = reader.at(at + _ASF_OBJECT.size, _ASF_PROPERTIES.size)
            if len(content) < _ASF_PROPERTIES.size:
                return None
            _size, created, _packets, length, _send, preroll_ms = _ASF_PROPERTIES.unpack(content)
            return Movie(
                created_s=max(_SINCE_1601 + created // _TICKS, 0),
                duration_s=_length(length / _TICKS - preroll_ms / 1000),
            )
        at += max(size, _ASF_OBJECT.size)
    return None


# --- AVI

_AVI_HEADER: Final = struct.Struct("<L12xL")


def _chunks(reader: Reader, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _count in range(_MOST_PARTS):
        head = reader.at(start, 8)
        if len(head) < 8 or start + 8 > end:  # noqa: PLR2004
            return
        size = int.from_bytes(head[4:], "little")
        yield head[:4], start + 8, min(start + 8 + size, end)
        start += 8 + size + size % 2


def _read_avi(reader: Reader) -> Movie | None:
    texts: dict[bytes, str] = {}
    duration_s: float | None = None
    for kind, start, end in _chunks(reader, 12, reader.size_bytes):
        if kind != b"LIST" or reader.at(start, 4) not in (b"hdrl", b"INFO"):
            continue
        for part, at, stop in _chunks(reader, start + 4, end):
            if part in (b"IDIT", b"ICRD"):
                text = reader.at(at, min(_MOST_TEXT, stop - at)).partition(b"\0")[0]
                texts.setdefault(part, text.decode("ascii", "replace").strip())
            elif part == b"avih" and len(header := reader.at(at, _AVI_HEADER.size)) == _AVI_HEADER.size:
                frame_us, frames = _AVI_HEADER.unpack(header)
                duration_s = _length(frame_us * frames / 1_000_000)
    return Movie(duration_s=duration_s, created_local=texts.get(b"IDIT") or texts.get(b"ICRD"))


_READERS: Final[dict[Kind, Callable[[Reader], Movie | None]]] = {
    Kind.MP4: read_movie,
    Kind.MOV: read_movie,
    Kind.HEIC: read_movie,  # a sequence of pictures has the index of a movie
    Kind.AVIF: read_movie,
    Kind.MATROSKA: _read_matroska,
    Kind.ASF: _read_asf,
    Kind.AVI: _read_avi,
}
