"""Find files that the ledger says are stored, and that the patient records do not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.errors import host_errors
from intouch_import.model import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.ledger import Ledger, LedgerEntry
    from intouch_import.model import StoredAttachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["missing_from"]

_DIGESTS: Final = 250


def missing_from(
    repository: PatientRepository, ledger: Ledger, entries: Sequence[LedgerEntry]
) -> list[LedgerEntry]:
    """Return those of these ``STORED`` entries whose file is not in the records, although it should be.

    A file whose bytes are in the record of the same patient, under another import id, is not missing.

    Raises:
        RepositoryError: The records or the ledger can't be read.
    """
    if not entries:
        return []
    with host_errors():
        found = repository.find_attachment([entry.import_id for entry in entries])
    gone = [entry for entry in entries if entry.import_id not in found]
    if not gone:
        return []
    # The ledger is read after the records: another workstation may have undone an import in between.
    still = ledger.in_records([entry.import_id for entry in gone])
    gone = [entry for entry in gone if entry.import_id in still]
    same: dict[str, Sequence[StoredAttachment]] = {}
    with host_errors():
        for start in range(0, len(gone), _DIGESTS):
            digests = {entry.sha256 for entry in gone[start : start + _DIGESTS] if entry.sha256 is not None}
            same |= repository.find_by_digest(digests)
    return [
        entry
        for entry in gone
        if all(printable(copy.patient_id) != entry.patient_id for copy in same.get(entry.sha256 or "", ()))
    ]
