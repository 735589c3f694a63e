"""Read the index of an MP4 or QuickTime movie: its length, its size, and when it was taken.

Formats: ISO/IEC 14496-12 (``mvhd``), Apple's QuickTime File Format (``keys``).
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.media.apple import apple_id
from intouch_import.media.boxes import boxes, find_box
from intouch_import.media.gopro import gps_time, is_gopro

if TYPE_CHECKING:
    from intouch_import.media.boxes import Box, Reader

__all__ = ["EPOCH_1904", "Movie", "read_movie"]

EPOCH_1904: Final = datetime(1904, 1, 1, tzinfo=UTC)
"""The start of the clock of MP4 and QuickTime movies."""

_MOST_TEXT: Final = 256
_FIELDS: Final = {
    b"com.apple.quicktime.creationdate": "creation_date",
    b"com.apple.quicktime.content.identifier": "content_id",
    b"com.apple.quicktime.make": "make",
    b"com.apple.quicktime.model": "model",
    b"com.android.manufacturer": "make",
    b"com.android.model": "model",
}
"""The names of a movie's metadata, and the fields of `Movie`."""
_LONGEST_KEY: Final = max(map(len, _FIELDS))


@attrs.frozen(kw_only=True)
class Movie:
    """The values that were read from the index of a movie.

    Args:
        created_s: ``mvhd`` creation time, seconds since 1904-01-01, by the standard in UTC; 0 if not set.
        duration_s: Length of the movie, seconds; None if not known.
        created_is_local: Whether ``created_s`` is the camera's local time, as GoPros write it.
        created_local: The local time in an AVI, as written.
        creation_date: Apple's creation date, as written, with its offset from UTC.
        gps_at: When the movie began, by the satellites that a GoPro saw.
        content_id: Apple's content identifier, the same as that of the photo that the movie belongs to.
        make, model: The camera.
        width_px, height_px: Size of the first track that has one.
    """

    created_s: int = 0
    duration_s: float | None = None
    created_is_local: bool = False
    created_local: str | None = None
    creation_date: str | None = None
    gps_at: datetime | None = None
    content_id: str | None = None
    make: str | None = None
    model: str | None = None
    width_px: int | None = None
    height_px: int | None = None


def read_movie(reader: Reader) -> Movie | None:
    """Read the index of a movie; None if it has none."""
    moov = find_box(reader, 0, reader.size_bytes, b"moov")
    if moov is None:
        return None
    created_s, duration_s = 0, None
    is_local, gps_at = False, None
    values: dict[str, str] = {}
    size: tuple[int | None, int | None] = (None, None)
    for box in boxes(reader, moov.start, moov.end):
        if box.kind == b"mvhd":
            created_s, duration_s = _movie_header(reader.at(box.start, 36))
        elif box.kind == b"meta":
            values = _metadata(reader, box) | values
        elif box.kind == b"udta":
            is_local = is_local or is_gopro(reader, box)
            values |= _user_data(reader, box) | values
        elif box.kind == b"trak":
            size = size if size != (None, None) else _track_size(reader, box)
            gps_at = gps_at or gps_time(reader, box, duration_s or 0.0)
    return Movie(
        created_s=created_s,
        duration_s=duration_s,
        created_is_local=is_local or gps_at is not None,
        creation_date=values.get("creation_date"),
        gps_at=gps_at,
        content_id=apple_id(values.get("content_id", "")),
        make=values.get("make"),
        model=values.get("model"),
        width_px=size[0],
        height_px=size[1],
    )


def _movie_header(content: bytes) -> tuple[int, float | None]:
    form = struct.Struct(">4xQQLQ" if content[:1] == b"\1" else ">4xLLLL")
    if len(content) < form.size:
        return 0, None
    created_s, _modified_s, units_per_s, duration = form.unpack_from(content)
    unknown = duration in {0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF}
    return created_s, None if unknown or units_per_s == 0 else duration / units_per_s


def _track_size(reader: Reader, track: Box) -> tuple[int | None, int | None]:
    header = find_box(reader, track.start, track.end, b"tkhd")
    content = reader.at(header.end - 8, 8) if header is not None and header.end - header.start >= 84 else b""  # noqa: PLR2004
    if len(content) < 8 or not all(struct.unpack(">LL", content)):  # noqa: PLR2004
        return None, None  # a sound track
    width, height = struct.unpack(">LL", content)  # 16.16 fixed point
    return width >> 16, height >> 16


def _user_data(reader: Reader, data: Box) -> dict[str, str]:
    """Return the creation date in the older form of a movie's metadata."""
    for box in boxes(reader, data.start, data.end):
        skip = {b"\xa9day": 4, b"date": 0}.get(box.kind)  # a length and a language; neither
        if skip is not None:
            text = reader.at(box.start + skip, min(_MOST_TEXT, box.end - box.start - skip))
            return {"creation_date": text.decode("ascii", "replace")}
    return {}


def _metadata(reader: Reader, meta: Box) -> dict[str, str]:
    """Return the values of `_FIELDS`: ``keys`` numbers the names, ``ilst`` has the values by number."""
    # In ISO files, four bytes of version and flags precede the first box; in QuickTime files they don't.
    start = meta.start if reader.at(meta.start + 4, 4) == b"hdlr" else meta.start + 4
    keys, items = (find_box(reader, start, meta.end, kind) for kind in (b"keys", b"ilst"))
    if keys is None or items is None:
        return {}
    fields: dict[bytes, str] = {}
    for number, key in enumerate(boxes(reader, keys.start + 8, keys.end), start=1):
        name = reader.at(key.start, min(_LONGEST_KEY + 1, key.end - key.start))
        if name in _FIELDS:
            fields[number.to_bytes(4, "big")] = _FIELDS[name]
    found: dict[str, str] = {}
    for item in boxes(reader, items.start, items.end) if fields else ():
        value = find_box(reader, item.start, item.end, b"data") if item.kind in fields else None
        if value is not None:
            text = reader.at(value.start + 8, min(_MOST_TEXT, value.end - value.start - 8))
            found.setdefault(fields[item.kind], text.decode("ascii", "replace"))
    return found
