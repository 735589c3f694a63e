"""What rules and lists say of a file, and what it comes to when several of them, or several readings, speak.

Pure: no disk, no clock.
"""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING, NamedTuple

from intouch_import.model import Reason, TakenFrom

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from intouch_import.migration.patterns import Reading

__all__ = ["NOON", "Entry", "Listed", "Said", "Told", "agreed", "together"]

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
