"""Reassign: an attachment in the wrong record moves to the right one, and the ledger names both."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from intouch_import import disk
from intouch_import.errors import (
    AlreadyAssigned,
    InTouchImportError,
    LedgerError,
    NotSupported,
    SelectionError,
    UnknownPatient,
    kind_and_place,
)
from intouch_import.inbox.undo import asking
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.model import Reason, State, printable
from intouch_import.reports import Outcome
from intouch_import.repositories.base import PatientRepository

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from intouch_import.ledger import Ledger
    from intouch_import.model import Patient, StoredAttachment

__all__ = ["Reassign", "finished"]

log = logging.getLogger(__name__)


class Reassign:
    """Moves one attachment from a patient's record into another's.

    The ledger hears of it first, so that whatever happens to this process, it knows from whom and to whom.
    The records move it in one step. Then its bytes are read back. A crash leaves it in one record or in the
    other; the next refresh asks the records which, and writes it down.
    """

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime],
        operator: str | None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self._operator = operator

    def __call__(self, wanted: str, patient: Patient) -> Outcome:
        """See `Inbox.reassign`."""
        if type(self._repository).reassign is PatientRepository.reassign:
            raise NotSupported("this repository can't move an attachment to another patient")
        stored = self._find(wanted) or self._find(self._ledger.import_id_of(wanted))
        if stored is None:
            raise SelectionError("nothing is stored under this id")
        if stored.patient_id == patient.id:
            self._write_missing_end(stored)
            return Outcome.about(stored, State.IMPORTED, Reason.REASSIGNED)
        if not self._is_whole(stored):
            # Which of the two would be to blame could not be told afterwards.
            return Outcome.about(stored, State.FAILED, Reason.STORED_COPY_DIFFERS)
        self._write(stored, Event.REASSIGNING, patient.id, Reason.CHOSEN)
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
        # Not what it says of itself: what it finds. If it can't be asked, the next refresh asks it.
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
        if (now.id, now.sha256) != (stored.id, stored.sha256) or not self._is_whole(now):
            log.error("a reassigned file differs from what it was", extra={"import_id": stored.import_id})
            return Outcome.about(now, State.FAILED, Reason.STORED_COPY_DIFFERS)
        return Outcome.about(now, State.IMPORTED, Reason.REASSIGNED)

    def _find(self, import_id: str | None) -> StoredAttachment | None:
        if import_id is None:
            return None
        return self._repository.find_attachment([import_id]).get(import_id)

    def _is_whole(self, stored: StoredAttachment) -> bool:
        try:
            with asking(), self._repository.open_attachment(stored.id) as stream:
                return disk.digest_stream(stream).sha256 == stored.sha256
        except (InTouchImportError, OSError):
            return False

    def _write_missing_end(self, stored: StoredAttachment) -> None:
        """A crash may have come between the move and the line that tells it."""
        for begun in self._ledger.reassigning():
            if begun.import_id == stored.import_id and begun.patient_id == printable(stored.patient_id):
                self._ledger.append([finished(begun, Event.REASSIGNED, self._clock())])

    def _write_end(self, stored: StoredAttachment, event: Event, to_patient_id: str, reason: Reason) -> None:
        try:
            self._write(stored, event, to_patient_id, reason)
        except LedgerError:
            # The records are as they should be; `Inbox.refresh` writes the missing line.
            log.error("the ledger could not be written after a reassignment")

    def _write(self, stored: StoredAttachment, event: Event, to_patient_id: str, reason: Reason) -> None:
        self._ledger.append(
            [
                LedgerEntry.about(
                    stored,
                    event,
                    at=self._clock(),
                    operator=self._operator,
                    reason=reason,
                    patient_id=to_patient_id,
                    from_patient_id=stored.patient_id,
                )
            ]
        )


def finished(begun: LedgerEntry, event: Event, at: datetime) -> LedgerEntry:
    """The entry that ends what an interruption left open."""
    return attrs.evolve(begun, event=event, at=at, reason=Reason.INTERRUPTED.value, seq=None, digest=None)
