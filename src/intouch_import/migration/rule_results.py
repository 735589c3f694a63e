"""What rules say about a file, and how several results become one. Pure: no disk, no clock."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from intouch_import.errors import ConfigError
from intouch_import.migration.readings import TooManyReadings
from intouch_import.model import Reason, TakenAtFlag, TakenFrom
from intouch_import.verdicts import is_also_a_date, place_in_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from intouch_import.migration.patterns import PathPattern, Reading

__all__ = [
    "DATE_ORDER",
    "NOON",
    "ChosenTime",
    "ListLine",
    "RuleInput",
    "RuleResult",
    "StatedTime",
    "choose_time",
    "combine_results",
    "date_order",
    "read_texts",
    "similar_ids",
    "times_after_exif",
]

NOON: Final = time(12)
"""The time of a date without a time: noon is the same day in almost every time zone."""

DATE_ORDER: Final = (TakenFrom.NAME, TakenFrom.EXIF, TakenFrom.LIST, TakenFrom.FOLDER)
"""The default order of trust. ``EXIF`` is what the camera wrote into the file, movies included."""


_TOLERANCE: Final = timedelta(minutes=5)
_ID_LENGTHS: Final = range(1, 17)  # a spreadsheet stores up to 15 digits of a number


class StatedTime(NamedTuple):
    """A time that a name, a folder or a list states. ``local`` is naive wall time of the practice."""

    taken_from: TakenFrom
    local: datetime


class ListLine(NamedTuple):
    """What a list says about a file; None for an empty cell. ``doubt`` is why the line can't be used."""

    patient: str | None = None
    provider: str | None = None
    local: datetime | None = None
    doubt: Reason | None = None


class RuleInput(NamedTuple):
    """What a rule reads: the folders from the top of the archive, the name, and the line in the list."""

    folders: tuple[str, ...]
    name: str
    line: ListLine | None = None


class RuleResult(NamedTuple):
    """What a rule says about a file.

    Args:
        patient, provider: Ids; None if the rule names nobody.
        times: Stated times.
        reason: Why this patient.
        doubt: Why a person must look at the file, whatever the patient.
        weak: Why a person must look at the file if no other rule names the patient.
        no_patient: Why the rule names no patient.
        other_ids: Words that look like patient ids. If one is another patient's, that is a conflict.
        names: Texts that may contain the patient's name.
    """

    patient: str | None = None
    provider: str | None = None
    times: tuple[StatedTime, ...] = ()
    reason: Reason | None = None
    doubt: Reason | None = None
    weak: Reason | None = None
    no_patient: Reason = Reason.NO_RULE
    other_ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def similar_ids(patient: str) -> tuple[str, ...]:
    """Return the ids that a spreadsheet may have turned into this one by removing or adding leading zeros."""
    if not (patient.isascii() and patient.isdigit()):
        return ()
    digits = patient.lstrip("0") or "0"
    return tuple(sorted({digits.zfill(length) for length in _ID_LENGTHS} - {patient}))


def combine_results(results: Sequence[RuleResult]) -> RuleResult:
    """Combine what several rules say about one file. Two different patients are a conflict."""
    naming = [result for result in results if result.patient is not None]
    patients = {result.patient for result in naming}
    providers = {result.provider for result in results if result.provider is not None}
    doubt = next((result.doubt for result in results if result.doubt is not None), None)
    if len(patients) > 1:
        doubt = Reason.PATIENT_CONFLICT
    elif len(providers) > 1:
        doubt = doubt or Reason.OTHER_PROVIDER
    without = {result.no_patient for result in results}
    return RuleResult(
        patient=naming[0].patient if len(patients) == 1 else None,
        provider=next(iter(providers)) if len(providers) == 1 else None,
        times=tuple(time for result in results for time in result.times),
        reason=naming[0].reason if naming else None,
        doubt=doubt,
        # A rule that is sure of the same patient is enough.
        weak=next((result.weak for result in naming), None) if all(r.weak for r in naming) else None,
        no_patient=without.pop() if len(without) == 1 else Reason.NO_RULE,
        other_ids=tuple(word for result in results for word in result.other_ids),
        names=tuple(name for result in results for name in result.names),
    )


def _combine_readings(readings: Sequence[Reading], reason: Reason, taken_from: TakenFrom) -> RuleResult:
    """Combine all ways to read one text: keep what they agree on; two different patients are a conflict."""
    patients, providers = _values(readings, "patient"), _values(readings, "provider")
    if len(patients) > 1:
        return RuleResult(doubt=Reason.PATIENT_CONFLICT, no_patient=Reason.PATIENT_CONFLICT)
    patient = next(iter(patients), None)
    result = RuleResult(
        patient=patient,
        provider=next(iter(providers)) if len(providers) == 1 else None,
        reason=reason if patient is not None else None,
        doubt=Reason.OTHER_PROVIDER if len(providers) > 1 else None,
        weak=Reason.ID_IS_DATE if patient is not None and is_also_a_date(patient) else None,
    )
    moments = {tuple(reading.get(name) for name in "YmdHMS") for reading in readings}
    if len(moments) != 1:
        return result  # two dates can be read: use none
    year, month, day, *clock = moments.pop()
    if year is None or month is None or day is None:
        return result
    try:
        hour, minute, second = (None if part is None else int(part) for part in clock)
        local = datetime(int(year), int(month), int(day))  # noqa: DTZ001  # wall time of the practice
        if hour is None or minute is None:
            local = datetime.combine(local, NOON)
        else:
            local = local.replace(hour=hour, minute=minute, second=second or 0)
    except ValueError:
        return result._replace(doubt=result.doubt or Reason.DATE_IMPOSSIBLE)
    return result._replace(times=(StatedTime(taken_from, local),))


def read_texts(
    path: PathPattern, texts: tuple[str, ...], reason: Reason, taken_from: TakenFrom, *, whole: bool = False
) -> RuleResult:
    """Read folders or a file name with a pattern, and combine all ways to read them."""
    try:
        readings = path.read(texts, whole=whole)
    except TooManyReadings:
        return RuleResult(doubt=Reason.TOO_MANY_READINGS, no_patient=Reason.TOO_MANY_READINGS)
    if not readings:
        return RuleResult()
    result = _combine_readings(readings, reason, taken_from)
    names = path.free_texts(texts, readings) if not whole and result.patient is not None else ()
    return result._replace(other_ids=path.other_ids(texts, readings), names=names)


def _values(readings: Iterable[Reading], name: str) -> set[str]:
    return {text for reading in readings if (text := reading.get(name)) is not None}


class ChosenTime(NamedTuple):
    """When a file was taken (aware, UTC), where that is stated, and why a person must look at the file.

    ``differ``: whether another stated time differs, in the order of trust or not.
    """

    taken_at: datetime | None = None
    taken_from: TakenFrom | None = None
    doubt: Reason | None = None
    differ: bool = False


def date_order(order: Iterable[str]) -> tuple[TakenFrom, ...]:
    """Check an order of trust.

    Raises:
        ConfigError: It has an unknown name, or one twice.
    """
    names = tuple(order)
    if not set(names) <= set(DATE_ORDER):
        raise ConfigError(f"dates= takes {', '.join(DATE_ORDER)}, in the order of trust")
    dates = tuple(map(TakenFrom, names))
    if len(set(dates)) != len(dates):
        raise ConfigError("dates= has a name twice")
    return dates


def choose_time(
    times: Sequence[StatedTime], order: Sequence[TakenFrom], *, zone: tzinfo, now: datetime
) -> ChosenTime:
    """Choose the stated time that comes first in the order of trust."""
    for taken_from in order:
        local = next((time.local for time in times if time.taken_from is taken_from), None)
        if local is None:
            continue
        taken_at, flag = place_in_zone(local, zone)
        differ = any(_differ(local, time.local) for time in times)
        named = taken_from is TakenFrom.NAME
        if taken_at is None:
            doubt = Reason.TIME_SKIPPED if flag is TakenAtFlag.SKIPPED else Reason.TIME_REPEATED
            return ChosenTime(doubt=doubt if named else None, differ=differ)
        doubt = Reason.TIME_IN_FUTURE if named else Reason.DATE_IN_FUTURE
        return ChosenTime(taken_at, taken_from, doubt if taken_at > now else None, differ)
    return ChosenTime()


def _differ(one: datetime, other: datetime) -> bool:
    """Return whether two stated times differ by more than minutes; at noon, only the day is known."""
    if NOON in (one.time(), other.time()):
        return one.date() != other.date()
    return abs(one - other) > _TOLERANCE


def times_after_exif(order: Sequence[str]) -> frozenset[str | None]:
    """Return the origins of times that the camera's time overrides. None: no time is stated."""
    if TakenFrom.EXIF not in order:
        return frozenset()
    return frozenset({None, *order[order.index(TakenFrom.EXIF) + 1 :]})
