"""After an interruption: finish the undos that were begun, and write down the moves that were done."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import FileError, SourceError
from intouch_import.inbox.undo import holds
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.model import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from intouch_import.inbox.rows import Row
    from intouch_import.ledger import Ledger
    from intouch_import.model import StoredAttachment
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Recovery"]

# Another workstation may be at work on an undo right now; none takes this long.
_GIVEN_UP_AFTER: Final = timedelta(hours=1)

log = logging.getLogger(__name__)


class Recovery:
    """What a refresh does about interruptions.

    Undos are looked for by every refresh: until one is finished, its file waits in the list, for staff to
    store it a second time. Moves are, once for each source: what happens to them after that is seen here.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        repository: PatientRepository,
        ledger: Ledger,
        now: Callable[[], datetime],
    ) -> None:
        self._sources = {source.source_id: source for source in sources}
        self._repository = repository
        self._ledger = ledger
        self._now = now
        self._left = set(self._sources)
        self._unfinished: list[LedgerEntry] = []

    def before_listing(self) -> None:
        """Finish undos, and read which moves the ledger knows to be under way.

        Read before anything is listed: a file that another workstation stores meanwhile is not in it.
        """
        begun = [entry for source_id in self._sources for entry in self._ledger.undoing(source_id)]
        stored = self._repository.find_attachment([entry.import_id for entry in begun]) if begun else {}
        ends = [(entry, self._end_of_undo(entry, stored.get(entry.import_id))) for entry in begun]
        self._write((entry, event) for entry, event in ends if event is not None)
        self._unfinished = [entry for source_id in self._left for entry in self._ledger.unfinished(source_id)]

    def after_listing(self, rows: Iterable[Row], *, listed: Collection[str]) -> None:
        """A file that was stored and is gone from its source was moved: the crash came before the ledger.

        Args:
            rows: What was listed.
            listed: Ids of the sources that were; the others are asked about again by the next refresh.
        """
        here = {row.import_id for row in rows} if self._unfinished else set()
        self._write(
            (entry, Event.MOVED)
            for entry in self._unfinished
            if entry.source_id in listed and entry.import_id not in here
        )
        self._left -= set(listed)
        self._unfinished = []

    def _end_of_undo(self, entry: LedgerEntry, stored: StoredAttachment | None) -> Event | None:
        """How an undo ended, withdrawing the attachment if its bytes are back; None if it can't be told now.

        Left as it is, the file would be in its source and in the record, to be stored a second time.
        """
        if stored is None:
            # The crash may have come between the row and the bytes; withdrawing again is no error.
            self._repository.withdraw(entry.attachment_id or entry.import_id)
            return Event.WITHDRAWN
        source = self._sources[entry.source_id]
        try:
            there = source.look(stored.name)
            if there is not None and holds(source, there, stored):
                self._repository.withdraw(stored.id)
                return Event.WITHDRAWN
        except (FileError, SourceError):
            return None
        except Exception as exc:  # noqa: BLE001  # a foreign source may raise anything
            log.error("an interrupted undo can't be looked at", extra={"kind": type(exc).__name__})
            return None
        return Event.NOT_PUT_BACK if entry.at < self._now() - _GIVEN_UP_AFTER else None

    def _write(self, ends: Iterable[tuple[LedgerEntry, Event]]) -> None:
        now, reason = self._now(), Reason.INTERRUPTED.value
        self._ledger.append(
            attrs.evolve(entry, event=event, at=now, reason=reason, seq=None, digest=None)
            for entry, event in ends
        )
