"""When a file of an archive was taken, by the order in which its witnesses are believed. Pure."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

from intouch_import.errors import ConfigError
from intouch_import.model import Reason, TakenAtFlag, TakenFrom
from intouch_import.verdicts import place_in_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime, tzinfo

    from intouch_import.migration.statements import Told

__all__ = ["DEFAULT_ORDER", "Chosen", "DateFrom", "choose", "dates_of", "exif_before"]


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
