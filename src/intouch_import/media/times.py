"""`CaptureTimes`: the capture times of a file, and the one that is chosen.

Pure. The order of trust:

1. the capture name: the app wrote it, and the practice relies on it;
2. Exif's original time with its own offset from UTC;
3. QuickTime's creation date, which has an offset (iPhones write it);
4. Exif's original time without an offset: the local time of the clinic, in the practice's zone;
5. the creation time in the index of an MP4 or QuickTime movie, in UTC by the standard.

The location's own time is listed too, but never chosen: it says when the file was written, which is often the
time of a copy. Nothing is guessed: local times that a clock change skipped or repeated, times of clocks that
were never set, and times in the future are listed but not chosen.
"""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, assert_never

import attrs

from intouch_import.model import TakenAtFlag, TakenFrom
from intouch_import.verdicts import place_in_zone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    from intouch_import.media.exif import Exif
    from intouch_import.media.movies import Movie

__all__ = [
    "CaptureTimes",
    "FoundTime",
    "ZoneFrom",
    "capture_times",
    "choose",
    "from_exif",
    "from_movie",
]

_EPOCH_1904: Final = datetime(1904, 1, 1, tzinfo=UTC)
# No digital camera is older. Clocks that were never set show 1904, 1970 or 1980.
_FIRST_YEAR: Final = 1990
# A camera's clock may be in a zone up to 26 hours ahead of the practice's.
_AHEAD: Final = timedelta(hours=26)
_LONGEST_OFFSET: Final = timedelta(hours=14)
_EXIF_TIME: Final = re.compile(r"(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_EXIF_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,6}", re.ASCII)


class ZoneFrom(enum.StrEnum):
    """The source of a time's offset from UTC."""

    OWN = "own"
    """The file contains the offset."""
    PRACTICE = "practice"
    """The time is a local time in the practice's zone."""
    UTC = "utc"
    """The time is in UTC by the format's standard. Many cameras write their local time nevertheless."""


@attrs.frozen(kw_only=True)
class FoundTime:
    """One time that was found.

    Args:
        taken_from: The source of the time.
        at: The time, aware: with the file's own offset if it has one, otherwise in UTC. None if a change of
            the practice's clocks skipped or repeated that local time.
        zone_from: The source of the offset.
        local: The naive local time as written; None if the source has none.
        flag: Whether a clock change skipped or repeated ``local``.
    """

    taken_from: TakenFrom
    at: datetime | None
    zone_from: ZoneFrom
    local: datetime | None = None
    flag: TakenAtFlag = TakenAtFlag.EXACT


@attrs.frozen(kw_only=True)
class CaptureTimes:
    """The capture times of a file.

    Args:
        found: Every time that was found, the most trusted first.
        chosen: The capture time; None if no time can be used.
        disagree: Whether another time differs from the chosen one by more than the tolerance.
    """

    found: tuple[FoundTime, ...] = ()
    chosen: FoundTime | None = None
    disagree: bool = False


def capture_times(
    *,
    named_at: datetime | None,
    exif: Exif | None,
    movie: Movie | None,
    modified_at: datetime | None,
    zone: tzinfo,
    now: datetime,
    tolerance: timedelta,
) -> CaptureTimes:
    """Collect the times from all sources, and choose one. ``named_at`` is already in UTC."""
    found: list[FoundTime] = []
    if named_at is not None:
        found.append(FoundTime(taken_from=TakenFrom.NAME, at=named_at, zone_from=ZoneFrom.PRACTICE))
    if exif is not None and (time := from_exif(exif, zone)) is not None:
        found.append(time)
    if movie is not None:
        found += from_movie(movie, zone)
    if modified_at is not None:
        found.append(FoundTime(taken_from=TakenFrom.SOURCE, at=modified_at, zone_from=ZoneFrom.UTC))
    duration = timedelta(seconds=min((movie and movie.duration_s) or 0.0, 86_400.0))
    return choose(found, zone=zone, now=now, tolerance=tolerance, duration=duration)


def from_exif(exif: Exif, zone: tzinfo) -> FoundTime | None:
    """Return the time that a camera wrote; None if it wrote none, or one that does not exist."""
    return _placed(TakenFrom.EXIF, _local(exif.taken, exif.sub_second), _offset(exif.offset), zone)


def from_movie(movie: Movie, zone: tzinfo) -> list[FoundTime]:
    """Return the times in the index of a movie."""
    found = []
    if movie.creation_date is not None:
        local, offset = _local(movie.creation_date), _offset(movie.creation_date[19:].strip("\0 "))
        if (time := _placed(TakenFrom.QUICKTIME, local, offset, zone)) is not None:
            found.append(time)
    if movie.created_s:
        try:
            at = _EPOCH_1904 + timedelta(seconds=movie.created_s)
        except OverflowError:
            at = _EPOCH_1904
        if at.year >= _FIRST_YEAR:
            found.append(FoundTime(taken_from=TakenFrom.CONTAINER, at=at, zone_from=ZoneFrom.UTC))
    return found


def choose(
    found: Iterable[FoundTime],
    *,
    zone: tzinfo,
    now: datetime,
    tolerance: timedelta,
    duration: timedelta = timedelta(0),
) -> CaptureTimes:
    """Choose the most trusted time that can be used.

    Two times agree within the tolerance and the duration of a movie: some recorders write when a movie began,
    others when it ended.
    """
    ordered = tuple(sorted(found, key=_rank))
    chosen = next((time for time in ordered if _is_usable(time, now)), None)
    disagree = chosen is not None and any(
        _distance(time, chosen, zone) > tolerance + duration
        for time in ordered
        if time is not chosen and time.taken_from is not TakenFrom.SOURCE
    )
    return CaptureTimes(found=ordered, chosen=chosen, disagree=disagree)


def _rank(time: FoundTime) -> int:
    match time.taken_from:
        case TakenFrom.NAME | TakenFrom.FOLDER | TakenFrom.LIST:
            return 0
        case TakenFrom.EXIF:
            return 1 if time.zone_from is ZoneFrom.OWN else 3
        case TakenFrom.QUICKTIME:
            return 2
        case TakenFrom.CONTAINER:
            return 4
        case TakenFrom.SOURCE:
            return 5
    assert_never(time.taken_from)


def _is_usable(time: FoundTime, now: datetime) -> bool:
    if time.at is None or time.taken_from is TakenFrom.SOURCE:
        return False
    return time.taken_from is TakenFrom.NAME or time.at <= now + _AHEAD


def _distance(time: FoundTime, chosen: FoundTime, zone: tzinfo) -> timedelta:
    """Return the difference from the chosen time, in the interpretation that differs least."""
    if chosen.at is None:
        raise AssertionError("a chosen time is known")
    at = chosen.at
    return min((abs(meant - at) for meant in _readings(time, zone)), default=timedelta.max)


def _readings(time: FoundTime, zone: tzinfo) -> list[datetime]:
    if time.at is None:
        local = time.local
        return [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)] if local is not None else []
    if time.taken_from is TakenFrom.CONTAINER:
        # UTC by the standard, but often the local time of the camera.
        return [time.at, time.at.replace(tzinfo=zone)]
    return [time.at]


def _local(text: str | None, sub_second: str | None = None) -> datetime | None:
    match = _EXIF_TIME.match(text or "")
    if match is None:
        return None
    decimals = _DIGITS.match(sub_second or "")
    microsecond = int(decimals[0].ljust(6, "0")) if decimals is not None else 0
    year, month, day, hour, minute, second = map(int, match.groups())
    if year < _FIRST_YEAR:
        return None
    try:
        return datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001  # a local time
    except ValueError:
        return None


def _offset(text: str | None) -> timezone | None:
    if text == "Z":
        return UTC
    match = _EXIF_OFFSET.fullmatch(text or "")
    if match is None:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    if offset > _LONGEST_OFFSET or int(match[3]) >= 60:  # noqa: PLR2004  # minutes
        return None
    return timezone(-offset if match[1] == "-" else offset)


def _placed(
    taken_from: TakenFrom, local: datetime | None, offset: timezone | None, zone: tzinfo
) -> FoundTime | None:
    """Make a local time aware: with its own offset, or in the practice's zone."""
    if local is None:
        return None
    if offset is not None:
        at = local.replace(tzinfo=offset)
        return FoundTime(taken_from=taken_from, at=at, zone_from=ZoneFrom.OWN, local=local)
    placed, flag = place_in_zone(local, zone)
    return FoundTime(taken_from=taken_from, at=placed, zone_from=ZoneFrom.PRACTICE, local=local, flag=flag)
