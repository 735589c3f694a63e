"""`Refresh`: what happens when a list is refreshed, location by location as they answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from intouch_import.inbox.answers import Answers
from intouch_import.inbox.listing import Listed
from intouch_import.inbox.locations import Opening
from intouch_import.inbox.rows import RowOutcomes
from intouch_import.inbox.undo import asking
from intouch_import.model import State

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterable

    from intouch_import.inbox.listing import Lister
    from intouch_import.inbox.locations import Locations
    from intouch_import.inbox.ordering import RowMover
    from intouch_import.inbox.recovery import Recovery
    from intouch_import.inbox.rows import Row
    from intouch_import.ledger import LedgerEntry
    from intouch_import.model import Progress
    from intouch_import.reports import Problem
    from intouch_import.sources.base import Source
    from intouch_import.sources.opening import Unopened

__all__ = ["Refresh"]


class Refresh:
    """Lists all locations at once, and imports from each as soon as it has answered.

    Nothing is locked while a location is waited for: one that is throttled may take a minute, and staff save
    from the others meanwhile. What was listed before such a save is looked at again when its turn comes.

    Args:
        locations, lister, recovery, mover: What it works with.
        lock: Held whenever rows are looked at or changed.
        show: Takes the list, each time that it is another one.
    """

    def __init__(
        self,
        *,
        locations: Locations,
        lister: Lister,
        recovery: Recovery,
        mover: RowMover,
        lock: threading.RLock,
        show: Callable[[list[Row]], None],
    ) -> None:
        self._locations = locations
        self._lister = lister
        self._recovery = recovery
        self._mover = mover
        self._lock = lock
        self._show = show

    def __call__(
        self,
        tell: Callable[[Progress], None],
        *,
        cancel: threading.Event | None = None,
        only: Collection[str] | None = None,
    ) -> tuple[RowOutcomes, list[Problem]]:
        """See `Inbox.refresh`. Nobody is waited for to sign in."""
        outcomes = RowOutcomes((), {})
        unfinished: dict[str, list[LedgerEntry]] = {}

        def before(sources: Collection[str]) -> None:
            with asking():
                self._recovery.look_again(self._mover.take_untold())
                unfinished.update(self._recovery.before_listing(sources))

        def take(listed: Collection[Listed]) -> list[Problem]:
            nonlocal outcomes
            ids = {one.source.source_id for one in listed}
            with asking():
                problems = self._lister.take(listed, tell)
                rows = self._lister.rows()
                here = rows if len(ids) == len(self._locations.opened) else _of(rows, ids)
                seen = ids - {problem.source_id for problem in problems}
                self._recovery.after_listing(here, {one: unfinished.get(one, []) for one in seen})
            moved = self._mover.import_ready(here, tell, cancel)
            gone = {row for row, outcome in moved.by_row.items() if outcome.state is State.IMPORTED}
            if gone:
                self._lister.forget(row for row in here if id(row) in gone)
                rows = [row for row in rows if id(row) not in gone]
            self._show(rows)
            outcomes += RowOutcomes(here, moved.by_row)
            return problems + moved.problems

        problems = self._list(only, before=before, take=take)
        return outcomes, problems

    def scan(self, tell: Callable[[Progress], None]) -> list[Problem]:
        """See `Inbox.scan`."""

        def take(listed: Collection[Listed]) -> list[Problem]:
            with asking():
                problems = self._lister.take(listed, tell)
            self._show(self._lister.rows())
            return problems

        return self._list(None, before=lambda _sources: None, take=take)

    def _list(
        self,
        only: Collection[str] | None,
        *,
        before: Callable[[Collection[str]], None],
        take: Callable[[Collection[Listed]], list[Problem]],
    ) -> list[Problem]:
        """List what is open, and what can be opened now.

        Args:
            only: Ids of the sources to list; None for all, and for those that are not open yet.
            before: Called with ids of sources before they are listed; nobody else is in meanwhile.
            take: Called likewise with what was listed; gives its problems.
        """
        problems: list[Problem] = []
        with Answers[Listed | Opening]() as answers:
            opening: list[Unopened] = []
            try:
                with self._lock:
                    opening = self._locations.to_open() if only is None else []
                    sources = [
                        source
                        for source in self._locations.opened
                        if only is None or source.source_id in only
                    ]
                    before([source.source_id for source in sources])
                for source in sources:
                    answers.ask(partial(self._lister.list_one, source))
                for one in opening:
                    answers.ask(partial(_open, one))
                for group in answers:
                    with self._lock:
                        new = self._take_opened(one for one in group if isinstance(one, Opening))
                        before([source.source_id for source in new])
                        listed = [one for one in group if isinstance(one, Listed)]
                        problems += take(listed) if listed else []
                    for source in new:
                        answers.ask(partial(self._lister.list_one, source))
            finally:
                with self._lock:
                    self._locations.give_up(opening)
                    unopened = self._locations.problems if only is None else []
        return unopened + problems

    def _take_opened(self, openings: Iterable[Opening]) -> list[Source]:
        new = [source for source in map(self._locations.take, openings) if source is not None]
        for source in new:
            self._lister.add(source)
            self._recovery.add(source)
        return new


def _open(one: Unopened) -> Opening:
    return Opening(begun=one, found=one.again())


def _of(rows: Iterable[Row], source_ids: Collection[str]) -> list[Row]:
    return [row for row in rows if row.source_id in source_ids]
