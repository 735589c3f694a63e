"""exiftool, the judge of capture times: what it reads in files, and how the library compares.

Reads many files in one process.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs

from intouch_import.model import TakenFrom
from services.debian import find_programs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from intouch_import.media.times import CaptureTimes
    from services.debian import Programs

__all__ = ["JudgedTime", "TimeTable", "compare_times", "find_exiftool", "judge_times"]

# The most trusted first. Not the time of the last change, nor that of the satellites in a photo, which may be old.
_TAGS = (
    r"Composite:SubSecDateTimeOriginal", r"(?!XMP|RIFF|Matroska|Composite).*:DateTimeOriginal",
    r"XMP-exif:DateTimeOriginal", r"XMP-photoshop:DateCreated",
    r"Composite:SubSecCreateDate", r"(ExifIFD|IFD0|ExifOffset):CreateDate",
    r"XMP-exif:DateTimeDigitized", r"XMP-xmp:CreateDate",
    r"Track\d+:GPSDateTime", r"Keys:CreationDate", r"UserData:ContentCreateDate", r"Matroska:DateTimeOriginal", r"ASF:CreationDate",
    r"RIFF:DateTimeOriginal", r"RIFF:DateCreated", r"QuickTime:CreateDate",
)  # fmt: skip
_IN_UTC = re.compile(r".*:GPSDateTime")
# The judge has the first time of the satellites; the library, when the movie began.
_FIRST_FIX = timedelta(minutes=1)
_VALUE = re.compile(
    r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T:](\d\d):(\d\d)(?::(\d\d))?(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)?"
)
_FIRST_YEAR = 1990  # earlier times are those of clocks that were never set
_RUNS_WITHIN_S = 600


@attrs.frozen
class JudgedTime:
    """A capture time that exiftool read.

    Args:
        tag: Its name, with the group.
        local: As written, naive.
        at: The instant, if the file says the offset from UTC, or the format does.
    """

    tag: str
    local: datetime
    at: datetime | None


@attrs.define
class TimeTable:
    """How the capture times of files compare with the judge's: the names of the files, by result.

    ``unread``: only the judge has read a time. ``more``: only the library has. ``none``: neither.
    """

    same: list[str] = attrs.field(factory=list)
    different: list[str] = attrs.field(factory=list)
    unread: list[str] = attrs.field(factory=list)
    more: list[str] = attrs.field(factory=list)
    none: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(names)} {result}" for result, names in attrs.asdict(self).items())
        listed = [f"  {name}" for name in (*self.different, *self.unread, *self.more)]
        return "\n".join([f"capture times: {counts}", *listed])


@functools.cache
def find_exiftool() -> Programs:
    """Find exiftool, or unpack it from Debian's package.

    Raises:
        Unavailable: This machine does not have it, and it can't be unpacked.
    """
    return find_programs("exiftool", packages=("libimage-exiftool-perl",))


def judge_times(paths: Sequence[Path]) -> dict[Path, JudgedTime | None]:
    """Return what exiftool reads in files; None for those without a capture time.

    Raises:
        Unavailable: There is no exiftool.
    """
    programs = find_exiftool()
    by_name = {str(path): path for path in paths}
    done = subprocess.run(
        [programs["exiftool"], "-json", "-a", "-G1", "-s", "-ee", "-Time:all", "-@", "-"],
        input="\n".join(by_name),
        capture_output=True,
        text=True,
        check=False,  # it has another exit status if one of the files is damaged
        timeout=_RUNS_WITHIN_S,
        env=programs.environment,
    )
    found = {by_name[tags["SourceFile"]]: _best(tags) for tags in json.loads(done.stdout or "[]")}
    return {path: found.get(path) for path in paths}


def _best(tags: Mapping[str, object]) -> JudgedTime | None:
    for wanted in _TAGS:
        for tag, value in tags.items():
            if re.fullmatch(wanted, tag) and (time := _time(tag, str(value))) is not None:
                return time
    return None


def _time(tag: str, value: str) -> JudgedTime | None:
    match = _VALUE.fullmatch(value.strip())
    if match is None or int(match[1]) < _FIRST_YEAR:
        return None
    *parts, decimals, offset = match.groups()
    try:
        local = datetime(*(int(part or 0) for part in parts))  # type: ignore[misc, arg-type]
    except ValueError:
        return None
    local += timedelta(microseconds=int((decimals or "0").ljust(6, "0")))
    if offset is None and _IN_UTC.fullmatch(tag):
        offset = "Z"
    at = datetime.fromisoformat(local.isoformat() + offset.replace("Z", "+00:00")) if offset else None
    return JudgedTime(tag, local, at)


def compare_times(
    found: Mapping[str, CaptureTimes], judged: Mapping[str, JudgedTime | None], *, tolerance_s: float = 1.0
) -> TimeTable:
    """Compare the times of the library with those of the judge, by the names of the files.

    Args:
        found: The times that the library has found, without those of the name and the location.
        judged: The times that the judge has read.
        tolerance_s: The largest difference of two times that are the same.
    """
    table = TimeTable()
    for name, times in found.items():
        judge = judged[name]
        ours = next(iter(times.found), None)
        if judge is not None and judge.tag == "QuickTime:CreateDate":
            # The judge may not know the other clock in the movie.
            ours = next((time for time in times.found if time.taken_from is TakenFrom.CONTAINER), ours)
        if judge is None:
            (table.none if ours is None else table.more).append(name)
        elif ours is None:
            table.unread.append(f"{name}: {judge.tag} {judge.local}")
        else:
            if judge.at is not None and ours.at is not None:
                apart = abs(ours.at - judge.at)
            else:
                local = ours.local or (ours.at and ours.at.astimezone(UTC).replace(tzinfo=None))
                apart = abs(local - judge.local) if local is not None else timedelta.max
            is_same = apart < (
                _FIRST_FIX if ours.taken_from is TakenFrom.GPS else timedelta(seconds=tolerance_s)
            )
            line = name if is_same else f"{name}: {judge.tag} {judge.local}, and here {ours.at or ours.local}"
            (table.same if is_same else table.different).append(line)
    return table
