"""Copies: files whose bytes are in a record already, told by their digest alone, never by time or name.

Two photos of one burst have the same time and are two photos; one photo that was sent twice has two names and
is one. What is done about a copy depends on who decided: a file that nobody looked at waits for a person, one
that a person chose is stored, and its outcome says so.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import attrs

from intouch_import.model import printable
from intouch_import.repositories.base import PatientRepository
from intouch_import.verdicts import doubt_of_copies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intouch_import.ledger import Ledger
    from intouch_import.model import Reason, StoredAttachment

__all__ = ["Copy", "CopyFinder", "Incoming"]

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Incoming:
    """What is asked about: some bytes on their way into a record.

    Args:
        import_id: Of the file: what is stored under it is the file itself, not a copy.
        sha256: Digest of the bytes.
        patient_id: Whose record they are to go to.
        automatic: Whether no person has looked at them.
    """

    import_id: str
    sha256: str
    patient_id: str = attrs.field(repr=False)
    automatic: bool = False


@attrs.frozen(kw_only=True)
class Copy:
    """What was found for some bytes.

    Args:
        attachment_id: The attachment that has them; None if they are in no record now.
        elsewhere: Whether it is in another patient's record.
        doubt: Why a file that no person has looked at may not be imported.
    """

    attachment_id: str | None
    elsewhere: bool
    doubt: Reason


class CopyFinder:
    """Asks the records, and the ledger, about bytes that are about to be stored."""

    def __init__(self, repository: PatientRepository, ledger: Ledger) -> None:
        self._repository = repository
        self._ledger = ledger
        #: Whether the repository can tell. If it can't, it need not be asked inside a transaction.
        self.able = getattr(type(repository), "find_by_digest", None) is not PatientRepository.find_by_digest

    def __call__(self, incoming: Sequence[Incoming]) -> dict[str, Copy]:
        """What is known of these bytes, by import id; those of which nothing is known are left out."""
        digests = {one.sha256 for one in incoming}
        stored = self._repository.find_by_digest(digests) if self.able and digests else {}
        automatic = {one.sha256 for one in incoming if one.automatic}
        undone = self._ledger.undone(automatic) if automatic else set()
        found: dict[str, Copy] = {}
        for one in incoming:
            copy = _copy(one, stored, undone=(printable(one.patient_id), one.sha256) in undone)
            if copy is not None:
                found[one.import_id] = copy
        return found


def _copy(one: Incoming, stored: Mapping[str, Sequence[StoredAttachment]], *, undone: bool) -> Copy | None:
    copies = [copy for copy in stored.get(one.sha256, ()) if copy.import_id != one.import_id]
    doubt = doubt_of_copies(one.patient_id, copies, undone=undone)
    if doubt is None:
        return None
    others = [copy for copy in copies if copy.patient_id != one.patient_id]
    if others:
        log.warning(
            "the same bytes are in another patient's record",
            extra={"import_id": one.import_id, "attachment_id": others[0].id},
        )
    named = [copy.id for copy in (*others, *copies)]
    return Copy(attachment_id=named[0] if named else None, elsewhere=bool(others), doubt=doubt)
