"""`Recovery`: finish interrupted undos, write missing ledger entries, and notice records that lack files."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import FileError, SourceError
from intouch_import.inbox.corrections import finished, is_same, is_whole, never_left
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.model import Action, printable
from intouch_import.records.missing import missing_from
from intouch_import.reports import RECORDS, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from intouch_import.inbox.rows import Row
    from intouch_import.ledger import Ledger
    from intouch_import.model import StoredAttachment
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Recovery"]

# Another workstation may be doing an undo or a reassignment now. None of them takes this long.
_GIVEN_UP_AFTER: Final = timedelta(hours=1)
# How many files are looked up in the records, newest first: at the first refresh, and at each later one.
_LOOKED_UP_FIRST: Final = 1000
_LOOKED_UP_LATER: Final = 100

log = logging.getLogger(__name__)


class Recovery:
    """Recovery after interruptions, as a part of each refresh.

    Every refresh searches for unfinished undos and reassignments: until an undo is finished, its file waits
    in the list, and staff could store it a second time. It searches for unfinished moves once per source, and
    again if the ledger may be incomplete.
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
        self._missing: dict[str, LedgerEntry] = {}
        self._looked_up = _LOOKED_UP_FIRST

    def look_for_missing(self) -> None:
        """Find out if the records lack files that they must have according to the ledger.

        They do if somebody has restored them from a backup that is older than the ledger, or has opened other
        records with this ledger. The newest files of the ledger are looked up, and the missing files that an
        earlier refresh has found: they stay a problem until they are back, or a person has accepted that they
        are lost (`accept_missing`).
        """
        newest = self._ledger.stored(newest=self._looked_up)
        self._note_missing([*self._missing.values(), *newest])
        self._looked_up = _LOOKED_UP_LATER

    @property
    def problems(self) -> list[Problem]:
        """The problem that the records lack files, if they do."""
        if not self._missing:
            return []
        count, since = len(self._missing), min(entry.at for entry in self._missing.values())
        files = "a file" if count == 1 else f"at least {count} files"
        text = (
            f"the ledger has {files}, stored since {since:%Y-%m-%d %H:%M} UTC, that the patient records do"
            " not have. Were the records restored from a backup? 'intouch-import records verify' lists them."
        )
        return [Problem(source_id="", location=RECORDS, text=text, retry_helps=False)]

    def _note_missing(self, entries: Iterable[LedgerEntry]) -> set[str]:
        """Note which of these files are missing, and return their import ids."""
        known = {entry.import_id: entry for entry in entries}
        lacking = {
            entry.import_id: entry
            for entry in missing_from(self._repository, self._ledger, [*known.values()])
        }
        if lacking.keys() - self._missing.keys():
            log.error("the patient records lack files that the ledger has", extra={"count": len(lacking)})
        self._missing = {one: entry for one, entry in self._missing.items() if one not in known} | lacking
        return set(lacking)

    def add(self, source: Source) -> None:
        """Add a source."""
        self._sources[source.source_id] = source
        self._left.add(source.source_id)

    def before_listing(
        self, sources: Collection[str], *, look_again: Collection[str] = ()
    ) -> dict[str, list[LedgerEntry]]:
        """Finish undos and reassignments, and read unfinished moves from the ledger.

        Call this before the listing, so that it does not include a file that another workstation stores
        later.

        Args:
            sources: Ids of the sources that will be listed.
            look_again: Ids of sources with finished moves that may be missing from the ledger.

        Returns:
            The unfinished moves by source id, for `after_listing`; sources without unfinished moves are
            omitted.
        """
        self._left |= self._sources.keys() & look_again
        begun, reassigning = self._ledger.begun_corrections(sources)
        with contextlib.ExitStack() as claims:
            free = {
                entry.import_id
                for entry, _ in begun
                if not claims.enter_context(self._ledger.claims.undo(entry.import_id)).refused
            }
            if free:
                begun, _ = self._ledger.begun_corrections(sources)  # again: an undo may have just ended
            begun = [(entry, source_id) for entry, source_id in begun if entry.import_id in free]
            stored = (
                self._repository.find_attachment([entry.import_id for entry, _ in begun]) if begun else {}
            )
            ends = [
                (entry, self._end_of_undo(entry, stored.get(entry.import_id), self._sources[source_id]))
                for entry, source_id in begun
            ]
            ended = [(entry, event) for entry, event in ends if event is not None]
            # Also without entries: if the ledger can't be written, the refresh stops before any move.
            self._write([*ended, *self._ends_of_reassignments(reassigning)])
        unfinished = {
            source_id: self._ledger.unfinished(source_id) for source_id in self._left & set(sources)
        }
        self._left -= {source_id for source_id, entries in unfinished.items() if not entries}
        return {source_id: entries for source_id, entries in unfinished.items() if entries}

    def after_listing(self, rows: Iterable[Row], unfinished: Mapping[str, Collection[LedgerEntry]]) -> None:
        """Write the missing entries *moved*: a crash came after the removal of the file and before the entry.

        Nothing is written about a file that the records do not have: it was not moved, it is missing.

        Args:
            rows: The rows of the listing.
            unfinished: Result of `before_listing`, for the sources that were listed. The next refresh checks
                the others again.
        """
        listed = list(rows)
        here = {row.import_id for row in listed}
        # A file that could not be read may be the stored one, in a version that a mount has renumbered.
        unsure = {
            (row.source_id, printable(row.name)) for row in listed if row.verdict.action is Action.ARRIVING
        }
        begun = [entry for entries in unfinished.values() for entry in entries]
        left = [entry for entry in begun if entry.import_id not in here]
        gone = [entry for entry in left if (entry.source_id, entry.name) not in unsure]
        # The attachment may have been reassigned since it was stored.
        stored = self._repository.find_attachment([entry.import_id for entry in gone]) if gone else {}
        moved = [
            (attrs.evolve(entry, patient_id=stored[entry.import_id].patient_id), Event.MOVED)
            for entry in gone
            if entry.import_id in stored
        ]
        self._write(moved)
        self._note_missing([entry for entry in gone if entry.import_id not in stored])
        self._left -= unfinished.keys() - {entry.source_id for entry in left if entry not in gone}

    def _ends_of_reassignments(self, begun: Sequence[LedgerEntry]) -> list[tuple[LedgerEntry, Event]]:
        """Find out from the records how interrupted reassignments ended."""
        if not begun:
            return []
        stored = self._repository.find_attachment([entry.import_id for entry in begun])
        long_ago = self._now() - _GIVEN_UP_AFTER
        ends = []
        for entry in begun:
            now = stored.get(entry.import_id)
            if now is not None and printable(now.patient_id) == entry.patient_id:
                ends.append((entry, Event.REASSIGNED))
            elif entry.at < long_ago:
                ends.append((entry, Event.NOT_REASSIGNED))
        return ends

    def _end_of_undo(
        self, entry: LedgerEntry, stored: StoredAttachment | None, source: Source
    ) -> Event | None:
        """Withdraw the attachment of an undo if its bytes are back; return how the undo ended, if known.

        Without this, the file would be in its source and in the record, and could be stored a second time.
        """
        if stored is None:
            # The crash may have happened after the row was deleted and before the bytes: withdraw again. But
            # an id that the host has chosen may belong to another attachment now.
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
            log.error("an interrupted undo can't be checked", extra={"kind": type(exc).__name__})
            return None
        return Event.NOT_PUT_BACK if entry.at < self._now() - _GIVEN_UP_AFTER else None

    def _is_back(self, stored: StoredAttachment, source: Source) -> bool:
        """Return whether the bytes of an undo are back in their source."""
        there = source.look(stored.name)
        if there is None or not is_same(source, there, stored):
            return False
        # If the file never left, `undo` would have refused a damaged stored copy.
        return not never_left(stored, there, source) or is_whole(self._repository, stored)

    def _write(self, ends: Sequence[tuple[LedgerEntry, Event]]) -> None:
        now = self._now()
        self._ledger.append([finished(entry, event, now) for entry, event in ends])
