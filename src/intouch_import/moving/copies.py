"""Find copies: files whose bytes are in a record already. The digest alone decides, never time or name.

Two photos of one burst have the same time and are two photos; one photo that was sent twice has two names and
is one photo. A copy that no person has looked at waits in the list. A copy that a person chose is stored, and
its outcome says that it is a copy.
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
    """Bytes on their way into a record.

    Args:
        import_id: Import id of the file. What is stored under this id is the file itself, not a copy.
        sha256: Digest of the bytes.
        patient_id: The patient whose record they are meant for.
        automatic: Whether no person has looked at the file.
    """

    import_id: str
    sha256: str
    patient_id: str = attrs.field(repr=False)
    automatic: bool = False


@attrs.frozen(kw_only=True)
class Copy:
    """What is known about some bytes.

    Args:
        attachment_id: The attachment with the same bytes; None if no record holds them now.
        elsewhere: Whether that attachment is in another patient's record.
        doubt: Why a file that no person has looked at is not imported.
    """

    attachment_id: str | None
    elsewhere: bool
    doubt: Reason


class CopyFinder:
    """Asks the records and the ledger about bytes that are about to be stored.

    Attributes:
        able: Whether the repository can find attachments by digest. If not, it is not asked.
    """

    def __init__(self, repository: PatientRepository, ledger: Ledger) -> None:
        self._repository = repository
        self._ledger = ledger
        self.able = getattr(type(repository), "find_by_digest", None) is not PatientRepository.find_by_digest

    def find(self, incoming: Sequence[Incoming]) -> dict[str, Copy]:
        """Return what is known of these bytes, by import id. Unknown bytes are left out."""
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
