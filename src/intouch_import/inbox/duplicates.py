"""`Duplicate`: a chosen row whose bytes are in a record already. `DuplicateFinder` finds them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.moving.storing import CopyFinder, Incoming

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.inbox.rows import Row
    from intouch_import.ledger import Ledger
    from intouch_import.model import Patient
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Duplicate", "DuplicateFinder"]

log = logging.getLogger(__name__)

# The person waits for the answer. Copies among larger files are reported by the outcomes of the save.
_READ_AT_MOST_BYTES: Final = 256 * 1024 * 1024


@attrs.frozen(kw_only=True)
class Duplicate:
    """A row whose bytes are in a record already.

    Attributes:
        row: The row.
        attachment_id: The attachment that has the same bytes.
        elsewhere: Whether that attachment is in another patient's record than the one chosen.
    """

    row: Row
    attachment_id: str
    elsewhere: bool


class DuplicateFinder:
    """Finds the rows of a choice whose bytes are stored already.

    A row whose digest is known is not read. Of the others, only those are read whose size some attachment
    has: two photos of equal size are rare, and usually the same photo.
    """

    def __init__(self, repository: PatientRepository, ledger: Ledger) -> None:
        self._repository = repository
        self._copies = CopyFinder(repository, ledger)

    def find(self, rows: Sequence[Row], patient: Patient) -> tuple[Duplicate, ...]:
        """Return the rows whose bytes are in a record already."""
        if not self._copies.able:
            return ()
        self._read([row for row in rows if row.sha256 is None])
        found = self._copies.find(
            [
                Incoming(import_id=row.import_id, sha256=row.sha256, patient_id=patient.id)
                for row in rows
                if row.sha256 is not None
            ]
        )
        copies = ((row, found.get(row.import_id)) for row in rows)
        return tuple(
            Duplicate(row=row, attachment_id=copy.attachment_id, elsewhere=copy.elsewhere)
            for row, copy in copies
            if copy is not None and copy.attachment_id is not None
        )

    def _read(self, rows: Sequence[Row]) -> None:
        sizes = {row.size_bytes for row in rows}
        known = self._repository.sizes_stored(sizes) if sizes else ()
        left_bytes = _READ_AT_MOST_BYTES
        for row in rows:
            if row.size_bytes not in known or row.size_bytes > left_bytes:
                continue
            left_bytes -= row.size_bytes
            try:
                with row.source.fetch(row.file, staging=self._repository.staging) as content:
                    row.sha256 = content.sha256
            except Exception as exc:  # noqa: BLE001  # whatever it is, the save will meet and report it
                log.info("a file can't be read before its save", extra={"kind": type(exc).__name__})
