"""Capture times that the library reads, compared with those that exiftool reads."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import dated
from intouch_import.media.boxes import Reader
from intouch_import.media.containers import find_movie
from intouch_import.media.exif import find_exif
from intouch_import.media.kinds import sniff
from intouch_import.media.times import CaptureTimes, capture_times
from services.cache import Unavailable, unavailable
from services.exiftool import compare_times, judge_times

if TYPE_CHECKING:
    from pathlib import Path


def times_in(content: bytes) -> CaptureTimes:
    kind = sniff(content)
    return capture_times(
        named_at=None,
        exif=find_exif(kind, Reader(io.BytesIO(content), len(content))),
        movie=find_movie(kind, Reader(io.BytesIO(content), len(content))),
        modified_at=None,
        zone=ZoneInfo("Australia/Sydney"),
        now=datetime(2026, 3, 1, tzinfo=UTC),
        tolerance=timedelta(minutes=5),
    )


def test_capture_times_agree_with_exiftool(tmp_path: Path) -> None:
    """In every format and place of a time, the library reads what exiftool reads; none is unread."""
    files = {}
    for number, (label, (extension, content)) in enumerate(dated.dated().items()):
        files[label] = tmp_path / f"{number:03}.{extension}"
        files[label].write_bytes(content)
    try:
        judged = judge_times(list(files.values()))
    except Unavailable as exc:
        unavailable(exc)
    found = {label: times_in(path.read_bytes()) for label, path in files.items()}
    table = compare_times(found, {label: judged[path] for label, path in files.items()})
    print(table)
    assert sorted(table.same) == sorted(found), table
