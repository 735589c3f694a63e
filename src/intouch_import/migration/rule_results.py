"""What rules and lists say of a file, and what it comes to: whose it is, and when it was taken.

Pure: no disk, no clock.
"""

from __future__ import annotations

import enum
from datetime import datetime, time
from typing import TYPE_CHECKING, Final, NamedTuple

from intouch_import.errors import ConfigError
from intouch_import.model import Reason, TakenAtFlag, TakenFrom
from intouch_import.verdicts import place_in_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

    from intouch_import.migration.patterns import Reading

__all__ = [
    "DEFAULT_ORDER",
    "NOON",
    "Chosen",
    "DateFrom",
    "Entry",
    "Listed",
    "Said",
    "Told",
    "agreed",
    "choose",
    "dates_of",
    "exif_before",
    "together",
]

NOON = time(12)


class Told(NamedTuple):
    """A time that something says.

    Args:
        taken_from: Who says it.
        local: Naive wall time of the practice. A date without a time is its noon: the same day in every zone
            that the practice may be looked at from.
    """

    taken_from: TakenFrom
    local: datetime


class Listed(NamedTuple):
    """What a list says of a file.

    Args:
        patient, provider, local: As in `Said`; empty cells are None.
        doubt: Why the line can't be used.
    """

    patient: str | None = None
    provider: str | None = None
    local: datetime | None = None
    doubt: Reason | None = None


class Entry(NamedTuple):
    """Where a file is: folders from the top of the archive, its name, and what the list says of it."""

    folders: tuple[str, ...]
    name: str
    listed: Listed | None = None


class Said(NamedTuple):
    """What a rule says of a file.

    Args:
        patient, provider: Ids; None if it does not say.
        times: Times that it says.
        reason: Why this patient.
        doubt: Why the file may not be imported without a person, whoever the patient is.
        silence: Why it says no patient.
        suspects: Ids that make a conflict if a patient other than ``patient`` has one of them.
    """

    patient: str | None = None
    provider: str | None = None
    times: tuple[Told, ...] = ()
    reason: Reason | None = None
    doubt: Reason | None = None
    silence: Reason = Reason.NO_RULE
    suspects: tuple[str, ...] = ()


def together(said: Sequence[Said]) -> Said:
    """What several rules come to that are asked together: rules that name two patients are a conflict."""
    naming = [one for one in said if one.patient is not None]
    patients = {one.patient for one in naming}
    providers = {one.provider for one in said if one.provider is not None}
    doubt = next((one.doubt for one in said if one.doubt is not None), None)
    if len(patients) > 1:
        doubt = Reason.PATIENT_CONFLICT
    elif len(providers) > 1:
        doubt = doubt or Reason.OTHER_PROVIDER
    silences = {one.silence for one in said}
    return Said(
        patient=naming[0].patient if len(patients) == 1 else None,
        provider=next(iter(providers)) if len(providers) == 1 else None,
        times=tuple(told for one in said for told in one.times),
        reason=naming[0].reason if naming else None,
        doubt=doubt,
        silence=silences.pop() if len(silences) == 1 else Reason.NO_RULE,
        suspects=tuple(suspect for one in said for suspect in one.suspects),
    )


def agreed(readings: list[Reading], reason: Reason, taken_from: TakenFrom) -> Said:
    """What several ways to read one text come to: what they agree on, and a doubt where they do not."""
    patients = _all(readings, "patient")
    providers = _all(readings, "provider")
    patient = patients.pop() if len(patients) == 1 else None
    if patients:
        return Said(doubt=Reason.PATIENT_CONFLICT, silence=Reason.PATIENT_CONFLICT)
    said = Said(
        patient=patient,
        provider=next(iter(providers)) if len(providers) == 1 else None,
        reason=reason if patient is not None else None,
        doubt=Reason.OTHER_PROVIDER if len(providers) > 1 else None,
    )
    moments = {tuple(reading.get(name) for name in "YmdHMS") for reading in readings}
    if len(moments) != 1:
        return said  # it can be read as two dates: it says none
    year, month, day, *clock = moments.pop()
    if year is None or month is None or day is None:
        return said
    try:
        hour, minute, second = (None if part is None else int(part) for part in clock)
        local = datetime(int(year), int(month), int(day))  # noqa: DTZ001  # wall time of the practice
        local = (
            datetime.combine(local, NOON)
            if hour is None or minute is None
            else local.replace(hour=hour, minute=minute, second=second or 0)
        )
    except ValueError:
        return said._replace(doubt=said.doubt or Reason.DATE_IMPOSSIBLE)
    return said._replace(times=(Told(taken_from, local),))


def _all(readings: Iterable[Reading], name: str) -> set[str]:
    return {text for reading in readings if (text := reading.get(name)) is not None}


class DateFrom(enum.StrEnum):
    """Who may say when a file was taken."""

    NAME = "name"
    EXIF = "exif"
    """What the camera wrote into the file: Exif, or the index of a movie. Read when the file is."""
    LIST = "list"
    FOLDER = "folder"


DEFAULT_ORDER: Final = (DateFrom.NAME, DateFrom.EXIF, DateFrom.LIST, DateFrom.FOLDER)
_WITNESS: Final = {
    DateFrom.NAME: TakenFrom.NAME,
    DateFrom.LIST: TakenFrom.LIST,
    DateFrom.FOLDER: TakenFrom.FOLDER,
}


class Chosen(NamedTuple):
    """The time that counts, as far as the plan can tell without reading the file.

    Args:
        taken_at: Aware, UTC; None if nobody says, or a change of clocks skipped or repeated it.
        taken_from: Who says so.
        doubt: Why the file may not be imported without a person.
    """

    taken_at: datetime | None = None
    taken_from: TakenFrom | None = None
    doubt: Reason | None = None


def dates_of(order: Iterable[str]) -> tuple[DateFrom, ...]:
    """An order as given, checked.

    Raises:
        ConfigError: It names a witness that is not known, or one twice.
    """
    try:
        dates = tuple(map(DateFrom, order))
    except ValueError:
        raise ConfigError(f"dates= takes {', '.join(DateFrom)}, in the order of trust") from None
    if len(set(dates)) != len(dates):
        raise ConfigError("dates= names a witness twice")
    return dates


def choose(told: Sequence[Told], order: Sequence[DateFrom], *, zone: tzinfo, now: datetime) -> Chosen:
    """The first witness of the order who says a time."""
    for date_from in order:
        witness = _WITNESS.get(date_from)
        local = next((one.local for one in told if one.taken_from is witness), None)
        if local is None or witness is None:
            continue
        taken_at, flag = place_in_zone(local, zone)
        named = witness is TakenFrom.NAME
        if taken_at is None:
            doubt = Reason.TIME_SKIPPED if flag is TakenAtFlag.SKIPPED else Reason.TIME_REPEATED
            return Chosen(doubt=doubt if named else None)
        if taken_at > now:
            return Chosen(taken_at, witness, Reason.TIME_IN_FUTURE if named else Reason.DATE_IN_FUTURE)
        return Chosen(taken_at, witness)
    return Chosen()


def exif_before(taken_from: TakenFrom | None, order: Sequence[DateFrom]) -> bool:
    """Whether what the camera wrote goes before what the plan has found."""
    if DateFrom.EXIF not in order:
        return False
    later = [_WITNESS[one] for one in order[order.index(DateFrom.EXIF) + 1 :] if one in _WITNESS]
    return taken_from is None or taken_from in later
