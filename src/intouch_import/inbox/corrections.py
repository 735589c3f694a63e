"""Corrections by staff: undo an import, or move an attachment into the right patient's record."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import attrs

from intouch_import import disk
from intouch_import.errors import (
    AlreadyAssigned,
    FileError,
    InTouchImportError,
    LedgerError,
    NameRefused,
    NameTaken,
    NotSupported,
    RepositoryError,
    SelectionError,
    UnknownPatient,
    host_errors,
    kind_and_place,
)
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.model import EntryKind, Reason, State, import_id, printable
from intouch_import.reports import Outcome
from intouch_import.repositories.base import overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from intouch_import.ledger import Ledger
    from intouch_import.model import Patient, SourceFile, StoredAttachment
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Corrections", "finished", "is_same", "is_whole", "never_left"]

_CHUNK_BYTES = 1024 * 1024

log = logging.getLogger(__name__)


class Corrections:
    """Undoes imports and reassigns attachments.

    The ledger is written first, so that whatever happens to this process, it knows what was begun.

    Args:
        repository: The patient records.
        ledger: Where the corrections are written down.
        now: Gives the time, aware.
        operator: The member of staff, as the host names its staff.
    """

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        *,
        now: Callable[[], datetime],
        operator: str | None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._now = now
        self._operator = operator

    # --- undo

    def undo(self, wanted: str, sources: Sequence[Source], *, companions: bool) -> Outcome:
        """Put an imported file, and what belongs to it, back into their source. See `Inbox.undo`."""
        if not overrides(self._repository, "withdraw"):
            raise NotSupported("this repository can't withdraw an attachment")
        stored = self._stored(wanted)
        others = self._companions_of(stored, all_=companions)
        return _all_of(
            [partial(self._undo_one, one.import_id, sources) for one in others],
            partial(self._undo_one, wanted, sources),
        )

    def _undo_one(self, wanted: str, sources: Sequence[Source]) -> Outcome:
        """Put one file back.

        While any workstation is moving the file, the undo is refused: the removal could take the file after
        the record has released it.

        Once the ledger is written, a file of that name and size in that source is not imported automatically,
        so that a crash at any later step can't bring it back into the record. Then the bytes are put
        back and read again, and only then does the attachment leave the record.
        """
        stored = self._stored(wanted)
        source = next((source for source in sources if source.source_id == stored.source_id), None)
        if source is None:
            raise SelectionError("the source that this file came from is not open here")
        with self._ledger.claims.undo(wanted) as claim:
            if claim.refused:
                return Outcome.about(stored, State.FAILED, Reason.IN_PROGRESS, retry_helps=True)
            return self._undo(self._stored(wanted), source)  # again: another undo may have just ended

    def _undo(self, stored: StoredAttachment, source: Source) -> Outcome:
        reason = self._try_to_put_back(stored, source)
        if reason is not Reason.UNDONE:
            self._write(stored, Event.FAILED, reason)
            retry_helps = reason is Reason.SOURCE_FAILED
            return Outcome.about(stored, State.FAILED, reason, retry_helps=retry_helps)
        self._repository.withdraw(stored.id)
        self._write(stored, Event.WITHDRAWN, Reason.UNDONE)
        return Outcome.about(stored, State.WAITING, Reason.UNDONE)

    def _try_to_put_back(self, stored: StoredAttachment, source: Source) -> Reason:
        try:
            return self._put_back(stored, source)
        except NameTaken:
            return Reason.NAME_TAKEN
        except NameRefused:
            return Reason.NAME_REFUSED
        except FileError as exc:
            log.error("a file that was put back can't be read again", extra={"kind": type(exc).__name__})
            return Reason.UNREADABLE
        except RepositoryError:
            raise
        except Exception as exc:  # noqa: BLE001  # a foreign source may raise anything
            log.error("a file could not be put back", extra={"kind": type(exc).__name__})
            return Reason.SOURCE_FAILED

    def _put_back(self, stored: StoredAttachment, source: Source) -> Reason:
        there = source.look(stored.name)
        if there is None:
            if not is_whole(self._repository, stored):
                return Reason.STORED_COPY_DIFFERS
            self._write(stored, Event.PUTTING_BACK, Reason.UNDONE)
            there = source.put_back(
                stored.name, _chunks(self._repository, stored), modified_at=stored.modified_at
            )
        elif never_left(stored, there, source):
            if not (is_whole(self._repository, stored) and is_same(source, there, stored)):
                return Reason.STORED_COPY_DIFFERS
            self._write(stored, Event.PUTTING_BACK, Reason.UNDONE)
        elif self._put_back_before(stored, there, source):
            self._write(stored, Event.PUTTING_BACK, Reason.UNDONE)
        else:
            return Reason.NAME_TAKEN
        return Reason.UNDONE if is_same(source, there, stored) else Reason.STORED_COPY_DIFFERS

    def _put_back_before(self, stored: StoredAttachment, there: SourceFile, source: Source) -> bool:
        """Return whether an interrupted undo has put this file back."""
        last = [entry.event for entry in self._ledger.entries(import_id=stored.import_id)][-1:]
        return last in ([Event.PUTTING_BACK], [Event.FAILED]) and is_same(source, there, stored)

    # --- reassign

    def reassign(self, wanted: str, patient: Patient, *, companions: bool) -> Outcome:
        """Move an attachment, and what belongs to it, into another record. See `Inbox.reassign`.

        The records move it in one step. Then its bytes are read back. A crash leaves it in one record or in
        the other; the next refresh asks the records which, and writes it down.
        """
        if not overrides(self._repository, "reassign"):
            raise NotSupported("this repository can't move an attachment to another patient")
        stored = self._find(wanted) or self._find(self._ledger.import_id_of(wanted))
        if stored is None:
            raise SelectionError("nothing is stored under this id")
        owner = self._find(stored.companion_of) if stored.is_sidecar and not companions else None
        if owner is not None and owner.patient_id == stored.patient_id != patient.id:
            raise SelectionError("a sidecar is in the record of its photo: move that")
        others = self._companions_of(stored, all_=companions)
        return _all_of(
            [partial(self._reassign_one, one, patient) for one in others],
            partial(self._reassign_one, stored, patient),
        )

    def _reassign_one(self, stored: StoredAttachment, patient: Patient) -> Outcome:
        # An undo would withdraw it from the record that it has just been moved to.
        claims = self._ledger.claims
        with claims.reassign(stored.import_id) as alone, claims.move([stored.import_id]) as claim:
            if alone.refused or claim.refused:
                return Outcome.about(stored, State.FAILED, Reason.IN_PROGRESS, retry_helps=True)
            return self._reassign(self._stored(stored.import_id), patient)

    def _reassign(self, stored: StoredAttachment, patient: Patient) -> Outcome:
        if stored.patient_id == patient.id:
            self._write_missing_end(stored)
            return Outcome.about(stored, State.IMPORTED, Reason.REASSIGNED)
        if not self._can_be_read_whole(stored):
            # Afterwards nobody could say which of the two records had damaged it.
            return Outcome.about(stored, State.FAILED, Reason.STORED_COPY_DIFFERS)
        self._write(stored, Event.REASSIGNING, Reason.CHOSEN, to_patient_id=patient.id)
        return self._carry_out(stored, patient.id)

    def _carry_out(self, stored: StoredAttachment, to_patient_id: str) -> Outcome:
        failure: Exception | None = None
        try:
            self._repository.reassign(
                stored.id, from_patient_id=stored.patient_id, to_patient_id=to_patient_id
            )
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises, the records are asked
            log.warning(
                "a reassignment was refused",
                extra=kind_and_place(exc, import_id=stored.import_id),
            )
            failure = exc
        # Look what the records hold now, whatever they answered. If they fail, the next refresh asks them.
        now = self._find(stored.import_id)
        if now is None or now.patient_id != to_patient_id:
            elsewhere = now is None or now.patient_id != stored.patient_id
            reason = Reason.ALREADY_ASSIGNED if elsewhere else Reason.NOT_REASSIGNED
            self._write_end(stored, Event.NOT_REASSIGNED, to_patient_id, reason)
            if isinstance(failure, (UnknownPatient, NotSupported)):
                raise failure
            retry_helps = failure is not None and not isinstance(failure, AlreadyAssigned) and not elsewhere
            return Outcome.about(stored, State.FAILED, reason, retry_helps=retry_helps)
        self._write_end(stored, Event.REASSIGNED, to_patient_id, Reason.REASSIGNED)
        if (now.id, now.sha256) != (stored.id, stored.sha256) or not self._can_be_read_whole(now):
            log.error("a reassigned file differs from what it was", extra={"import_id": stored.import_id})
            return Outcome.about(now, State.FAILED, Reason.STORED_COPY_DIFFERS)
        return Outcome.about(now, State.IMPORTED, Reason.REASSIGNED)

    def _can_be_read_whole(self, stored: StoredAttachment) -> bool:
        try:
            return is_whole(self._repository, stored)
        except (InTouchImportError, OSError):
            return False

    def _write_missing_end(self, stored: StoredAttachment) -> None:
        """Write the end of a reassignment that a crash has kept out of the ledger."""
        for begun in self._ledger.reassigning():
            if begun.import_id == stored.import_id and begun.patient_id == printable(stored.patient_id):
                self._ledger.append([finished(begun, Event.REASSIGNED, self._now())])

    def _write_end(self, stored: StoredAttachment, event: Event, to_patient_id: str, reason: Reason) -> None:
        try:
            self._write(stored, event, reason, to_patient_id=to_patient_id)
        except LedgerError:
            # The records are as they should be; `Inbox.refresh` writes the missing line.
            log.error("the ledger could not be written after a reassignment")

    # --- inside

    def _companions_of(self, stored: StoredAttachment, *, all_: bool) -> list[StoredAttachment]:
        """Return the other attachments of a group that are in the same record.

        Args:
            stored: One of them.
            all_: Whether to return all. If not, those that nobody would see without this one: its sidecars.
        """
        if not overrides(self._repository, "companions_of"):
            return []  # with the photo alone, an undo of its movie would leave its sidecars behind
        owner_id = stored.companion_of or stored.import_id
        owner = self._find(stored.companion_of)
        found = [owner] if owner is not None else []
        found += self._repository.companions_of([owner_id]).get(owner_id, ())
        return [
            one
            for one in found
            if one.import_id != stored.import_id
            and one.patient_id == stored.patient_id
            and (all_ or (one.is_sidecar and one.companion_of == stored.import_id))
        ]

    def _stored(self, import_id: str) -> StoredAttachment:
        stored = self._find(import_id)
        if stored is None:
            raise SelectionError("nothing is stored under this import id")
        return stored

    def _find(self, import_id: str | None) -> StoredAttachment | None:
        if import_id is None:
            return None
        return self._repository.find_attachment([import_id]).get(import_id)

    def _write(
        self, stored: StoredAttachment, event: Event, reason: Reason, *, to_patient_id: str | None = None
    ) -> None:
        entry = LedgerEntry.about(
            stored,
            event,
            at=self._now(),
            operator=self._operator,
            reason=reason,
            patient_id=to_patient_id,
            from_patient_id=None if to_patient_id is None else stored.patient_id,
        )
        self._ledger.append([entry])


def _all_of(others: Iterable[Callable[[], Outcome]], asked: Callable[[], Outcome]) -> Outcome:
    """Correct the files of a group: the one that was asked for is the last.

    If one of the others fails, that one stays as it was, and its outcome has the reason: nobody may think
    that all is done. A second attempt goes on from there.
    """
    done: list[Outcome] = []
    for correct in others:
        done.append(correct())
        if done[-1].state is State.FAILED:
            return attrs.evolve(done[-1], companions=tuple(done[:-1]))
    return attrs.evolve(asked(), companions=tuple(done))


def is_same(source: Source, there: SourceFile, stored: StoredAttachment) -> bool:
    """Return whether a file of a source has the bytes that are stored.

    Raises:
        FileError, SourceError: It can't be read now.
    """
    if there.kind is not EntryKind.FILE or there.size_bytes != stored.size_bytes:
        return False
    with source.fetch(there) as content:
        return content.sha256 == stored.sha256


def is_whole(repository: PatientRepository, stored: StoredAttachment) -> bool:
    """Return whether the bytes in the record are still those that were stored."""
    with host_errors(), repository.open_attachment(stored.id) as stream:
        return disk.digest_stream(stream).sha256 == stored.sha256


def never_left(stored: StoredAttachment, there: SourceFile, source: Source) -> bool:
    """Return whether a file is the very version that was stored, not yet taken out of its source."""
    version = source.source_id, there.name, there.version
    return stored.import_id in {import_id(*version), import_id(*version, sha256=stored.sha256)}


def finished(begun: LedgerEntry, event: Event, at: datetime) -> LedgerEntry:
    """Return the entry that ends what an interruption left open."""
    return attrs.evolve(begun, event=event, at=at, reason=Reason.INTERRUPTED.value, seq=None, digest=None)


def _chunks(repository: PatientRepository, stored: StoredAttachment) -> Iterator[bytes]:
    with repository.open_attachment(stored.id) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
