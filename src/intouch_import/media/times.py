"""`CaptureTimes`: the capture times of a file, and the one that is chosen.

Pure. The order of trust:

1. the capture name: the app wrote it, and the practice relies on it;
2. Exif's original time with its own offset from UTC;
3. the clock of the satellites that a GoPro saw, in UTC;
4. QuickTime's creation date, which has an offset (iPhones write it);
5. Exif's original time without an offset: the local time of the clinic, in the practice's zone;
6. the original time in XMP;
7. the time at which the photo was digitized: for a photo on paper, that is when it was scanned;
8. the creation time in the index of a movie, in UTC by the standards.

A time that a migration found in a folder, a list or a name is before all of these, or after them if the plan
trusts the camera more. The location's own time is listed too, but never chosen: it says when the file was
written, which is often the time of a copy.

Nothing is guessed: local times that a clock change skipped or repeated, times of clocks that were never set,
and times in the future are listed but not chosen. A time that looks like that of a clock that was reset is
chosen only if there is no other.
"""

from __future__ import annotations

import enum
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final, assert_never

import attrs

from intouch_import.media.movies import EPOCH_1904
from intouch_import.media.time_texts import read_time
from intouch_import.model import TakenAtFlag, TakenFrom
from intouch_import.verdicts import place_in_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, timezone, tzinfo

    from intouch_import.media.clocks import CameraClock
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
    "readings",
]

# No digital camera is older. Clocks that were never set show 1904, 1970 or 1980.
_FIRST_YEAR: Final = 1990
# A camera's clock may be in a zone up to 26 hours ahead of the practice's.
_AHEAD: Final = timedelta(hours=26)
_NOON: Final = time(12)
_STATED: Final = frozenset({TakenFrom.NAME, TakenFrom.FOLDER, TakenFrom.LIST})
# A camera that was without power begins again on the first of January of a year, often that of its model.
# Hardly anybody had a digital camera in the first years; in later ones, most photos in January are real.
_RESET_DAYS: Final = {2000: 31, 2001: 31}
_RESET_DAYS_LATER: Final = 1
# Many cheap cameras write this time for every photo.
_FIXED: Final = datetime(2002, 12, 8, 12)  # noqa: DTZ001  # a local time


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
        written: The naive local time as the camera wrote it, if its clock was corrected.
        day_only: Whether only the day is known; ``at`` is then noon in the practice's zone.
    """

    taken_from: TakenFrom
    at: datetime | None
    zone_from: ZoneFrom
    local: datetime | None = None
    flag: TakenAtFlag = TakenAtFlag.EXACT
    written: datetime | None = None
    day_only: bool = False

    @property
    def looks_reset(self) -> bool:
        """Whether this looks like the time of a camera whose clock was reset when its battery ran out."""
        at = self.local or self.at
        believed = self.taken_from in _STATED or self.taken_from is TakenFrom.GPS
        if at is None or believed or self.written is not None:
            return False
        days = _RESET_DAYS.get(at.year, _RESET_DAYS_LATER)
        return (at.month == 1 and at.day <= days) or at.replace(tzinfo=None, microsecond=0) == _FIXED


@attrs.frozen(kw_only=True)
class CaptureTimes:
    """The capture times of a file.

    Args:
        found: Every time that was found, the most trusted first.
        chosen: The capture time; None if no time can be used.
        disagree: Whether ``chosen`` is in doubt: another time differs from it by more than the tolerance, or
            it looks like the time of a clock that was reset, and no name, folder or list confirms it.
    """

    found: tuple[FoundTime, ...] = ()
    chosen: FoundTime | None = None
    disagree: bool = False


def capture_times(
    *,
    named_at: datetime | None,
    named_from: TakenFrom = TakenFrom.NAME,
    content_first: bool = False,
    exif: Exif | None,
    movie: Movie | None,
    modified_at: datetime | None,
    zone: tzinfo,
    now: datetime,
    tolerance: timedelta,
    clocks: Sequence[CameraClock] = (),
) -> CaptureTimes:
    """Collect the times from all sources, and choose one. ``named_at`` is aware."""
    found: list[FoundTime] = []
    if named_at is not None:
        day_only = named_at.astimezone(zone).time() == _NOON
        found.append(
            FoundTime(taken_from=named_from, at=named_at, zone_from=ZoneFrom.PRACTICE, day_only=day_only)
        )
    if exif is not None:
        found += from_exif(exif, zone, clocks)
    if movie is not None:
        found += from_movie(movie, zone)
    if modified_at is not None:
        found.append(FoundTime(taken_from=TakenFrom.SOURCE, at=modified_at, zone_from=ZoneFrom.UTC))
    duration = timedelta(seconds=min((movie and movie.duration_s) or 0.0, 86_400.0))
    return choose(
        found, zone=zone, now=now, tolerance=tolerance, duration=duration, content_first=content_first
    )


def from_exif(exif: Exif, zone: tzinfo, clocks: Sequence[CameraClock] = ()) -> list[FoundTime]:
    """Return the times in the metadata of a photo: the original time, or without one, the next best ones."""

    def placed(
        taken_from: TakenFrom, text: str | None, offset: str | None = None, sub_second: str | None = None
    ) -> list[FoundTime]:
        read = read_time(text, offset=offset, sub_second=sub_second)
        if read is None:
            return []
        clock = next((clock for clock in clocks if clock.fits(exif, read[0])), None)
        return _in_zone(taken_from, *read, zone, clock)

    if found := placed(TakenFrom.EXIF, exif.taken, exif.offset, exif.sub_second):
        return found
    digitized = placed(TakenFrom.DIGITIZED, exif.digitized, exif.digitized_offset, exif.digitized_sub_second)
    return placed(TakenFrom.XMP, exif.xmp_taken) + (
        digitized or placed(TakenFrom.DIGITIZED, exif.xmp_created)
    )


def from_movie(movie: Movie, zone: tzinfo) -> list[FoundTime]:
    """Return the times in the index of a movie."""
    found = _placed(TakenFrom.QUICKTIME, movie.creation_date, zone)
    if movie.gps_at is not None:
        found.append(FoundTime(taken_from=TakenFrom.GPS, at=movie.gps_at, zone_from=ZoneFrom.OWN))
    if movie.created_s:
        try:
            at = EPOCH_1904 + timedelta(seconds=movie.created_s)
        except OverflowError:
            at = EPOCH_1904
        if movie.created_is_local:
            found += _in_zone(TakenFrom.CONTAINER, at.replace(tzinfo=None), None, zone)
        elif at.year >= _FIRST_YEAR:
            found.append(FoundTime(taken_from=TakenFrom.CONTAINER, at=at, zone_from=ZoneFrom.UTC))
    return found + _placed(TakenFrom.CONTAINER, movie.created_local, zone)


def choose(
    found: Iterable[FoundTime],
    *,
    zone: tzinfo,
    now: datetime,
    tolerance: timedelta,
    duration: timedelta = timedelta(0),
    content_first: bool = False,
) -> CaptureTimes:
    """Choose the most trusted time that can be used.

    Two times agree within the tolerance and the duration of a movie: some recorders write when a movie began,
    others when it ended.

    Args:
        found: The times.
        zone: The practice's time zone.
        now: The present time, aware.
        tolerance: The largest difference between two times that agree.
        duration: The length of the movie.
        content_first: Trust the times in the bytes more than those in a name, a folder or a list.
    """
    ordered = tuple(sorted(found, key=lambda time: _rank(time, content_first=content_first)))
    usable = [time for time in ordered if _is_usable(time, now)]
    stated = [time for time in usable if time.taken_from in _STATED]

    def differ(one: FoundTime, other: FoundTime) -> bool:
        return _distance(one, other, zone) > tolerance + duration

    def is_doubtful(time: FoundTime) -> bool:
        return time.looks_reset and all(differ(time, other) for other in stated)

    chosen = next((time for time in usable if not is_doubtful(time)), usable[0] if usable else None)
    disagree = chosen is not None and (
        is_doubtful(chosen)
        or any(
            differ(time, chosen)
            for time in ordered
            if time is not chosen and time.taken_from is not TakenFrom.SOURCE
        )
    )
    return CaptureTimes(found=ordered, chosen=chosen, disagree=disagree)


def _rank(time: FoundTime, *, content_first: bool) -> int:
    match time.taken_from:
        case TakenFrom.NAME | TakenFrom.FOLDER | TakenFrom.LIST:
            return 8 if content_first else 0
        case TakenFrom.EXIF:
            return 1 if time.zone_from is ZoneFrom.OWN else 4
        case TakenFrom.GPS:
            return 2
        case TakenFrom.QUICKTIME:
            return 3
        case TakenFrom.XMP:
            return 5
        case TakenFrom.DIGITIZED:
            return 6
        case TakenFrom.CONTAINER:
            return 7
        case TakenFrom.SOURCE:
            return 9
    assert_never(time.taken_from)


def _is_usable(time: FoundTime, now: datetime) -> bool:
    if time.at is None or time.taken_from is TakenFrom.SOURCE:
        return False
    return time.taken_from in _STATED or time.at <= now + _AHEAD


def _distance(time: FoundTime, other: FoundTime, zone: tzinfo) -> timedelta:
    """Return the difference of two times, in the interpretations that differ least."""
    pairs = [(one, two) for one in readings(time, zone) for two in readings(other, zone)]
    by_day = time.day_only or other.day_only
    if by_day and any(_day(one, zone) == _day(two, zone) for one, two in pairs):
        return timedelta(0)
    return min((abs(one - two) for one, two in pairs), default=timedelta.max)


def _day(at: datetime, zone: tzinfo) -> date:
    try:
        return at.astimezone(zone).date()
    except OverflowError:  # an end of the calendar
        return at.date()


def readings(time: FoundTime, zone: tzinfo) -> list[datetime]:
    """Return every time, aware, that a found time may mean."""
    if time.at is None:
        local = time.local
        return [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)] if local is not None else []
    if time.taken_from is TakenFrom.CONTAINER and time.zone_from is ZoneFrom.UTC:
        # UTC by the standard, but often the local time of the camera.
        return [time.at, time.at.replace(tzinfo=zone)]
    return [time.at]


def _placed(taken_from: TakenFrom, text: str | None, zone: tzinfo) -> list[FoundTime]:
    """Return the time that a text has, made aware; nothing if it has none, or one that does not exist."""
    read = read_time(text)
    return _in_zone(taken_from, *read, zone) if read is not None else []


def _in_zone(
    taken_from: TakenFrom,
    written: datetime,
    offset: timezone | None,
    zone: tzinfo,
    clock: CameraClock | None = None,
) -> list[FoundTime]:
    """Make a local time aware: with its own offset, or corrected by a clock, or in the practice's zone."""
    try:
        local = written + clock.offset if clock is not None else written
    except OverflowError:
        return []
    if local.year < _FIRST_YEAR:
        return []
    if offset is not None and clock is None:
        at = local.replace(tzinfo=offset)
        return [FoundTime(taken_from=taken_from, at=at, zone_from=ZoneFrom.OWN, local=local)]
    placed, flag = place_in_zone(local, zone)
    return [
        FoundTime(
            taken_from=taken_from,
            at=placed,
            zone_from=ZoneFrom.PRACTICE,
            local=local,
            flag=flag,
            written=written if clock is not None else None,
        )
    ]
