"""After an interruption: finish the undos that were begun, and write down the moves that were done."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import FileError, SourceError
from intouch_import.inbox.reassign import finished
from intouch_import.inbox.undo import holds, is_whole, never_left, put_anew
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.model import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from intouch_import.inbox.rows import Row
    from intouch_import.ledger import Ledger
    from intouch_import.model import StoredAttachment
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Recovery"]

# Another workstation may be at work on an undo or a reassignment right now; none takes this long.
_GIVEN_UP_AFTER: Final = timedelta(hours=1)

log = logging.getLogger(__name__)


class Recovery:
    """What a refresh does about interruptions.

    Undos are looked for by every refresh: until one is finished, its file waits in the list, for staff to
    store it a second time. Moves are, once for each source: what happens to them after that is seen here, and
    `look_again` tells what was not.
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

    def add(self, source: Source) -> None:
        """Take one more source."""
        self._sources[source.source_id] = source
        self._left.add(source.source_id)

    def look_again(self, sources: Collection[str]) -> None:
        """Look once more for moves that were done: of these, the ledger may not have been told all."""
        self._left |= self._sources.keys() & sources

    def before_listing(self, sources: Collection[str]) -> dict[str, list[LedgerEntry]]:
        """Finish undos and reassignments, and read which moves the ledger knows to be under way.

        Read before anything is listed: a file that another workstation stores meanwhile is not in it.

        Args:
            sources: Ids of the sources that will be listed.

        Returns:
            By source, what `after_listing` wants to hear of again.
        """
        begun = [(entry, source_id) for source_id in sources for entry in self._ledger.undoing(source_id)]
        stored = self._repository.find_attachment([entry.import_id for entry, _ in begun]) if begun else {}
        ends = [
            (entry, self._end_of_undo(entry, stored.get(entry.import_id), self._sources[source_id]))
            for entry, source_id in begun
        ]
        self._write((entry, event) for entry, event in ends if event is not None)
        self._write_ends_of_reassignments()
        return {source_id: self._ledger.unfinished(source_id) for source_id in self._left & set(sources)}

    def after_listing(self, rows: Iterable[Row], unfinished: Mapping[str, Collection[LedgerEntry]]) -> None:
        """A file that was stored and is gone from its source was moved: the crash came before the ledger.

        Args:
            rows: What was listed.
            unfinished: From `before_listing`, for the sources that were listed. Those that failed are asked
                again by the next refresh.
        """
        begun = [entry for entries in unfinished.values() for entry in entries]
        here = {row.import_id for row in rows} if begun else set()
        gone = [entry for entry in begun if entry.import_id not in here]
        # Whose record it is in may have changed since it was stored.
        stored = self._repository.find_attachment([entry.import_id for entry in gone]) if gone else {}
        self._write((_with_patient(entry, stored.get(entry.import_id)), Event.MOVED) for entry in gone)
        self._left -= unfinished.keys()

    def _write_ends_of_reassignments(self) -> None:
        """What the records say is what has become of a reassignment that was cut off."""
        begun = self._ledger.reassigning()
        if not begun:
            return
        stored = self._repository.find_attachment([entry.import_id for entry in begun])
        long_ago = self._now() - _GIVEN_UP_AFTER
        ends = []
        for entry in begun:
            now = stored.get(entry.import_id)
            if now is not None and printable(now.patient_id) == entry.patient_id:
                ends.append((entry, Event.REASSIGNED))
            elif entry.at < long_ago:
                ends.append((entry, Event.NOT_REASSIGNED))
        self._write(ends)

    def _end_of_undo(
        self, entry: LedgerEntry, stored: StoredAttachment | None, source: Source
    ) -> Event | None:
        """How an undo ended, withdrawing the attachment if its bytes are back; None if it can't be told now.

        Left as it is, the file would be in its source and in the record, to be stored a second time.
        """
        if stored is None:
            # The crash may have come between the row and the bytes. Withdrawing again is no error, but an id
            # of a host's own may have been given to another attachment since.
            if entry.attachment_id in {None, entry.import_id}:
                self._repository.withdraw(entry.import_id)
            return Event.WITHDRAWN
        try:
            if self._is_back(stored, source):
                self._repository.withdraw(stored.id)
                return Event.WITHDRAWN
        except (FileError, SourceError):
            return None
        except Exception as exc:  # noqa: BLE001  # a foreign source may raise anything, and so may a host's records
            log.error("an interrupted undo can't be looked at", extra={"kind": type(exc).__name__})
            return None
        return Event.NOT_PUT_BACK if entry.at < self._now() - _GIVEN_UP_AFTER else None

    def _is_back(self, stored: StoredAttachment, source: Source) -> bool:
        """Whether the bytes of an undo are back in their source, where no removal can still take them."""
        there = source.look(stored.name)
        if there is None or not holds(source, there, stored):
            return False
        if not never_left(stored, there, source):
            return True
        # The undo was cut off before it had done anything, or is under way elsewhere right now.
        return is_whole(self._repository, stored) and holds(
            source, put_anew(self._repository, stored, there, source), stored
        )

    def _write(self, ends: Iterable[tuple[LedgerEntry, Event]]) -> None:
        now = self._now()
        self._ledger.append(finished(entry, event, now) for entry, event in ends)


def _with_patient(entry: LedgerEntry, stored: StoredAttachment | None) -> LedgerEntry:
    return entry if stored is None else attrs.evolve(entry, patient_id=stored.patient_id)
