"""`Locations`: the sources of an inbox, those that are open and those that are not yet."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import ConfigError
from intouch_import.sources.base import Source
from intouch_import.sources.opening import Unopened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intouch_import.reports import Problem

__all__ = ["Locations", "Opening"]


@attrs.frozen(kw_only=True)
class Opening:
    """An attempt to open a location, and what came of it."""

    begun: Unopened
    found: Source | Unopened


class Locations:
    """Keeps what is open apart from what is to be tried again. To be used by one thread at a time.

    Raises:
        ConfigError: Two sources have one id, or one is no source.
    """

    def __init__(self, sources: Iterable[Source], unopened: Iterable[Unopened]) -> None:
        self.opened = tuple(sources)
        if not all(isinstance(source, Source) for source in self.opened):
            raise ConfigError("an inbox takes opened sources: open_source(folder)")
        self.unopened = tuple(unopened)
        self._being_opened: list[Unopened] = []
        if len({source.source_id for source in self.opened}) != len(self.opened):
            raise ConfigError("two sources have the same source id: is it the same folder twice?")

    @property
    def problems(self) -> list[Problem]:
        """Why those are not open that are not."""
        return [one.problem for one in self.unopened]

    def to_open(self) -> list[Unopened]:
        """What is to be tried now.

        Whoever asks must `take` each, or `give_up`: meanwhile nobody else is told to open it.
        """
        now = [one for one in self.unopened if one.may_open and not _among(self._being_opened, one)]
        self._being_opened += now
        return now

    def take(self, opening: Opening) -> Source | None:
        """Take what an attempt came to: a source that can be listed now, or None."""
        self.give_up([opening.begun])
        found = opening.found
        if not isinstance(found, Unopened):
            if not any(found.source_id == source.source_id for source in self.opened):
                self.opened = (*self.opened, found)
                self.unopened = tuple(one for one in self.unopened if one is not opening.begun)
                return found
            text = "another source has the same source id: is it the same folder twice?"
            problem = attrs.evolve(opening.begun.problem, text=text, retry_helps=False)
            with contextlib.suppress(Exception):  # a foreign source may raise anything; nobody will use it
                found.close()
            found = attrs.evolve(opening.begun, problem=problem, may_open=False)
        self.unopened = tuple(found if one is opening.begun else one for one in self.unopened)
        return None

    def give_up(self, begun: Iterable[Unopened]) -> None:
        """These attempts are over; what they came to is not known."""
        over = list(begun)
        self._being_opened = [one for one in self._being_opened if not _among(over, one)]


def _among(many: Iterable[Unopened], one: Unopened) -> bool:
    return any(another is one for another in many)
