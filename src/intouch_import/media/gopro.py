"""Read the clock of the satellites in a GoPro's movie. The clock of its container is the camera's local time.

Format: GoPro's own (GPMF, github.com/gopro/gpmf-parser): keys with a type, a size and a count. No type, count
or offset is trusted.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from intouch_import.media.boxes import boxes, find_box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.media.boxes import Box, Reader

__all__ = ["gps_time", "is_gopro"]

_MOST_PAYLOADS: Final = 8
_MOST_BYTES: Final = 64 * 1024
_MOST_ENTRIES: Final = 2000
_DEPTH: Final = 3
_EPOCH_2000: Final = datetime(2000, 1, 1, tzinfo=UTC)
_GPSU: Final = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.\d{3}")
_FIX_2D: Final = 2
_SCALES: Final = struct.Struct(">9l")
_GPS9: Final = struct.Struct(">7lHH")
# The first GoPro with this format is of 2015. A receiver that has no time yet shows another one.
_FIRST: Final = datetime(2015, 1, 1, tzinfo=UTC)
_DAY_S: Final = 86_400
_OWN_BOXES: Final = frozenset({b"FIRM", b"CAME", b"GPMF", b"HMMT"})


def is_gopro(reader: Reader, user_data: Box) -> bool:
    """Return whether the user data of a movie is that of a GoPro."""
    return any(box.kind in _OWN_BOXES for box in boxes(reader, user_data.start, user_data.end))


def gps_time(reader: Reader, track: Box, duration_s: float) -> datetime | None:
    """Return when a movie began, by the satellites; None if the track has no such time."""
    tables = find_box(reader, track.start, track.end, b"mdia", b"minf", b"stbl")
    if tables is None:
        return None
    found = {box.kind: box for box in boxes(reader, tables.start, tables.end)}
    described = found.get(b"stsd")
    if described is None or reader.at(described.start + 12, 4) != b"gpmd":
        return None
    table, width = found.get(b"stco"), 4
    if table is None:
        table, width = found.get(b"co64"), 8
    if table is None:
        return None
    count = min(int.from_bytes(reader.at(table.start + 4, 4), "big"), (table.end - table.start - 8) // width)
    # The receiver may need minutes to find the satellites.
    for number in sorted({count * part // _MOST_PAYLOADS for part in range(_MOST_PAYLOADS)}) if count else ():
        at = int.from_bytes(reader.at(table.start + 8 + number * width, width), "big")
        payload = reader.at(at, 8 + int.from_bytes(reader.at(at + 6, 2), "big"))
        if (seen := _time_in(payload)) is not None:
            return seen - timedelta(seconds=duration_s * number / count)
    return None


def _time_in(payload: bytes) -> datetime | None:
    for stream in _streams(payload[:_MOST_BYTES], _DEPTH):
        seen = _clock(stream) or _clock_of_hero11(stream)
        if seen is not None and seen >= _FIRST:
            return seen
    return None


def _streams(data: bytes, depth: int) -> Iterator[dict[bytes, bytes]]:
    """Yield the first value of each key of every stream."""
    values: dict[bytes, bytes] = {}
    at = 0
    for _count in range(_MOST_ENTRIES):
        if at + 8 > len(data):
            break
        key, kind, size, repeat = struct.unpack_from(">4scBH", data, at)
        content = data[at + 8 : at + 8 + size * repeat]
        if kind == b"\0" and depth:
            yield from _streams(content, depth - 1)
        else:
            values.setdefault(key, content)
        at += 8 + (size * repeat + 3) // 4 * 4
    yield values


def _clock(stream: dict[bytes, bytes]) -> datetime | None:
    match = _GPSU.match(stream.get(b"GPSU", b""))
    fix = int.from_bytes(stream.get(b"GPSF", b""), "big")
    if match is None or fix < _FIX_2D:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def _clock_of_hero11(stream: dict[bytes, bytes]) -> datetime | None:
    """Return the time of the first entry with a fix: days since 2000 and seconds, each with a scale."""
    entries = stream.get(b"GPS9", b"")
    raw = stream.get(b"SCAL", b"")
    if len(raw) != _SCALES.size:
        return None
    scales = [abs(scale) or 1 for scale in _SCALES.unpack(raw)]
    for entry in _GPS9.iter_unpack(entries[: len(entries) // _GPS9.size * _GPS9.size]):
        days, seconds, fix = (entry[at] / scales[at] for at in (5, 6, 8))
        if fix >= _FIX_2D and 0 <= seconds < _DAY_S and 0 <= days < 100 * 366:
            return _EPOCH_2000 + timedelta(days=int(days), seconds=int(seconds))
    return None
