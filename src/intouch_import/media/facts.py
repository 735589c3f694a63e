"""When a file was taken: every time that its name and its bytes say, who says so, and which one counts.

Pure. The order of trust:

1. the capture name: the app wrote it, and the practice relies on it;
2. Exif's original time with its own offset from UTC;
3. QuickTime's creation date, which carries an offset (iPhones write it);
4. Exif's original time without an offset: wall time of the clinic, read in the practice's zone;
5. the creation time of an MP4 or QuickTime index, in UTC by the standard.

The location's own time for a file is listed too, and never chosen: it says when the file was written,
which is often when it was copied. Nothing is guessed: a wall time that a change of clocks skipped or
repeated, a clock that was never set and a time in the future are shown and not chosen.
"""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, assert_never

import attrs

from intouch_import.model import ContentCheck, Reason, Soundness, TakenAtFlag, TakenFrom
from intouch_import.verdicts import place_in_zone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    from intouch_import.media.boxes import Movie
    from intouch_import.media.exif import Exif
    from intouch_import.media.kinds import Kind
    from intouch_import.media.messages import Obstacle

__all__ = [
    "CaptureTimes",
    "FoundTime",
    "MediaFacts",
    "ZoneFrom",
    "choose",
    "from_exif",
    "from_movie",
    "from_name",
    "from_source",
]

_EPOCH_1904: Final = datetime(1904, 1, 1, tzinfo=UTC)
# No digital camera is older. Clocks that were never set say 1904, 1970 or 1980.
_FIRST_YEAR: Final = 1990
# A camera's clock may run in a zone up to 26 hours ahead of the practice's.
_AHEAD: Final = timedelta(hours=26)
_LONGEST_OFFSET: Final = timedelta(hours=14)
_EXIF_TIME: Final = re.compile(r"(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_EXIF_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,6}", re.ASCII)


class ZoneFrom(enum.StrEnum):
    """How a time was placed on the time line."""

    OWN = "own"
    """The file says its offset from UTC itself."""
    PRACTICE = "practice"
    """A wall time, read in the practice's zone."""
    UTC = "utc"
    """In UTC, as the format's standard has it. Many cameras write their wall time all the same."""


@attrs.frozen(kw_only=True)
class FoundTime:
    """One time that was found.

    Args:
        taken_from: Who says so.
        at: The instant, aware: in the file's own offset where it says one, else in UTC. None where the
            practice's clocks skipped or repeated that wall time.
        zone_from: How the instant was found.
        local: The naive wall time as written, where it is one.
        flag: What a change of clocks does to ``local``.
    """

    taken_from: TakenFrom
    at: datetime | None
    zone_from: ZoneFrom
    local: datetime | None = None
    flag: TakenAtFlag = TakenAtFlag.EXACT


@attrs.frozen(kw_only=True)
class CaptureTimes:
    """What is known of when a file was taken.

    Args:
        found: Every time that was found, the most trusted first.
        chosen: The one that counts; None if there is none.
        disagree: Whether another one differs from it by more than the tolerance.
    """

    found: tuple[FoundTime, ...] = ()
    chosen: FoundTime | None = None
    disagree: bool = False


@attrs.frozen(kw_only=True)
class MediaFacts:
    """What one file is.

    Args:
        kind: What the bytes are, by their magic numbers.
        soundness: Whether they were decoded whole.
        doubt: Why an automatic import must wait; None if nothing speaks against it.
        obstacle: Why it is not verified; None if it is, or if its ends alone show that it is not whole.
        width_px, height_px: Size of the first picture, before it is turned; None if not known.
        orientation: How it is to be turned, as Exif counts, 1 to 8; None if not said or not decoded.
        frames: How many pictures are in it, as far as they were decoded; None if not known.
        duration_s: Length of a movie, seconds; None if not known.
        times: When it was taken, and who says so.
    """

    kind: Kind
    soundness: Soundness
    doubt: Reason | None = None
    obstacle: Obstacle | None = None
    width_px: int | None = None
    height_px: int | None = None
    orientation: int | None = None
    frames: int | None = None
    duration_s: float | None = None
    times: CaptureTimes = attrs.field(factory=CaptureTimes)

    @property
    def taken(self) -> FoundTime | None:
        """The capture time that counts."""
        return self.times.chosen

    @property
    def taken_at(self) -> datetime | None:
        """The same, as an aware time."""
        return self.times.chosen.at if self.times.chosen is not None else None

    @property
    def check(self) -> ContentCheck:
        """The part of it that an outcome and a row carry."""
        return ContentCheck(kind=self.kind.value, soundness=self.soundness, doubt=self.doubt)


# --- times


def from_name(taken_at: datetime) -> FoundTime:
    """The time that a capture name says, placed in the practice's zone before."""
    return FoundTime(taken_from=TakenFrom.NAME, at=taken_at, zone_from=ZoneFrom.PRACTICE)


def from_source(modified_at: datetime) -> FoundTime:
    """The location's own time for the file."""
    return FoundTime(taken_from=TakenFrom.SOURCE, at=modified_at, zone_from=ZoneFrom.UTC)


def from_exif(exif: Exif, zone: tzinfo) -> FoundTime | None:
    """The time that a camera wrote; None if it wrote none, or one that can't exist.

    Args:
        exif: As written.
        zone: The practice's zone, for a time without an offset.
    """
    local = _wall_time(exif.taken, exif.sub_second)
    if local is None:
        return None
    offset = _offset(exif.offset)
    if offset is not None:
        at = local.replace(tzinfo=offset)
        return FoundTime(taken_from=TakenFrom.EXIF, at=at, zone_from=ZoneFrom.OWN, local=local)
    placed, flag = place_in_zone(local, zone)
    return FoundTime(
        taken_from=TakenFrom.EXIF, at=placed, zone_from=ZoneFrom.PRACTICE, local=local, flag=flag
    )


def from_movie(movie: Movie, zone: tzinfo) -> list[FoundTime]:
    """The times that the index of a movie says."""
    found = [_apple_time(movie.creation_date, zone)] if movie.creation_date is not None else []
    if movie.created_s:
        try:
            at = _EPOCH_1904 + timedelta(seconds=movie.created_s)
        except OverflowError:
            at = _EPOCH_1904
        if at.year >= _FIRST_YEAR:
            found.append(FoundTime(taken_from=TakenFrom.CONTAINER, at=at, zone_from=ZoneFrom.UTC))
    return [time for time in found if time is not None]


def choose(
    found: Iterable[FoundTime],
    *,
    zone: tzinfo,
    now: datetime,
    tolerance: timedelta,
    duration: timedelta = timedelta(0),
) -> CaptureTimes:
    """Choose the time that counts.

    Args:
        found: What was found.
        zone: The practice's zone.
        now: The time, aware.
        tolerance: How far two times may lie apart and still agree.
        duration: Length of a movie: some recorders write when it began, others when it ended.
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
    """How far a time lies from the chosen one, taken as kindly as it can be meant."""
    if chosen.at is None:
        raise AssertionError("a time that is chosen is known")
    at = chosen.at
    return min((abs(meant - at) for meant in _readings(time, zone)), default=timedelta.max)


def _readings(time: FoundTime, zone: tzinfo) -> list[datetime]:
    if time.at is None:
        local = time.local
        return [local.replace(tzinfo=zone, fold=fold) for fold in (0, 1)] if local is not None else []
    if time.taken_from is TakenFrom.CONTAINER:
        # By the standard UTC; in practice often the wall time of the camera.
        return [time.at, time.at.replace(tzinfo=zone)]
    return [time.at]


def _wall_time(text: str | None, sub_second: str | None = None) -> datetime | None:
    match = _EXIF_TIME.match(text or "")
    if match is None:
        return None
    decimals = _DIGITS.match(sub_second or "")
    microsecond = int(decimals[0].ljust(6, "0")) if decimals is not None else 0
    year, month, day, hour, minute, second = map(int, match.groups())
    if year < _FIRST_YEAR:
        return None
    try:
        return datetime(year, month, day, hour, minute, second, microsecond)  # noqa: DTZ001  # a wall time
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


def _apple_time(text: str, zone: tzinfo) -> FoundTime | None:
    local = _wall_time(text)
    if local is None:
        return None
    offset = _offset(text[19:].strip("\0 "))
    if offset is not None:
        at: datetime | None = local.replace(tzinfo=offset)
        return FoundTime(taken_from=TakenFrom.QUICKTIME, at=at, zone_from=ZoneFrom.OWN, local=local)
    at, flag = place_in_zone(local, zone)
    return FoundTime(
        taken_from=TakenFrom.QUICKTIME, at=at, zone_from=ZoneFrom.PRACTICE, local=local, flag=flag
    )
