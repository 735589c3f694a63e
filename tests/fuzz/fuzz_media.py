"""Fuzz the code that parses content in the host's process: kinds, head and tail, Exif, boxes, times."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import atheris

with atheris.instrument_imports(include=["intouch_import"]):
    from intouch_import.media.boxes import Reader
    from intouch_import.media.containers import find_movie
    from intouch_import.media.exif import find_exif
    from intouch_import.media.kinds import MOVIES, Kind, sniff
    from intouch_import.media.sniffing import content_reason
    from intouch_import.media.times import choose, from_exif, from_movie

import fuzzing

import dated
import movies
import pictures

ZONE = ZoneInfo("Australia/Sydney")
NOW = datetime(2026, 3, 1, tzinfo=UTC)
EXTENSIONS = (
    "jpg",
    "png",
    "gif",
    "tif",
    "jp2",
    "j2k",
    "fpx",
    "pcd",
    "heic",
    "webp",
    "mp4",
    "avi",
    "wmv",
    "mkv",
    "pdf",
    "docx",
    "doc",
    "dcm",
    "mts",
    "bmp",
    "unknown",
)
EDGE_BYTES = 512


def look(data: bytes) -> None:
    """Use the first byte as the extension and the rest as a file, whole and by its head and tail."""
    choice, content = data[0] if data else 0, data[1:]
    name = f"10042_DRJ_20260131_142501.{EXTENSIONS[choice % len(EXTENSIONS)]}"
    content_reason(name, head=content, tail=content, size_bytes=len(content))
    head, tail = content[:EDGE_BYTES], content[-EDGE_BYTES:]
    content_reason(name, head=head, tail=tail, size_bytes=len(content) + 1000 * choice)
    whole = Reader(io.BytesIO(content), len(content))
    content_reason(name, head=head, tail=tail, size_bytes=len(content), reader=whole)
    kind = sniff(content)
    found = []
    for tried in (kind, Kind.TIFF, Kind.HEIC, Kind.UNKNOWN):
        exif = find_exif(tried, Reader(io.BytesIO(content), len(content), head=head))
        found += from_exif(exif, ZONE) if exif is not None else []
    for tried in {kind, *MOVIES}:
        movie = find_movie(tried, Reader(io.BytesIO(content), len(content)))
        found += from_movie(movie, ZONE) if movie is not None else []
    times = choose(found, zone=ZONE, now=NOW, tolerance=timedelta(minutes=5))
    if times.chosen is not None and (times.chosen.at is None or times.chosen.at.tzinfo is None):
        raise AssertionError("a time was chosen that is not known")


def seeds() -> list[bytes]:
    """Return a small file of each kind, and Exif and movies with every entry that is read."""
    small = [content[:6000] for _extension, content in pictures.whole().values()]
    exif = pictures.exif_block(offset=b"+10:00\0", sub_second=b"25\0")
    small += [
        exif,
        b"\xff\xd8\xff\xe1\0\xc8Exif\0\0" + exif,
        b"RIFF\xff\xff\xff\xffAVI ",
        b"\x1a\x45\xdf\xa3\x80",
    ]
    small += [content[:6000] for _extension, content in dated.dated().values()]
    small += [
        movies.movie_with(created=NOW, size=(640, 480), offset_date="2026-01-31T14:25:01+1100", iso_meta=iso)
        for iso in (False, True)
    ]
    return [bytes([number % 256]) + content for number, content in enumerate(small)]


if __name__ == "__main__":
    fuzzing.run(look, seeds(), longest_bytes=8192)
