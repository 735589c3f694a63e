"""Store the files of a batch in the patients' records: in one transaction, the same bytes once.

A *copy* is a file whose bytes are in a record already. The digest alone decides, never time or name: two
photos of one burst have the same time and are two photos; one photo that was sent twice has two names and is
one photo. A copy that no person has looked at waits in the list. A copy that a person chose is stored, and
its outcome says that it is a copy.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import (
    AlreadyAssigned,
    ContentMismatch,
    FileError,
    InTouchImportError,
    RepositoryError,
    UnknownPatient,
    kind_and_place,
)
from intouch_import.model import Reason, State, printable
from intouch_import.moving.file_move import Copy, companions_held, hold_companions
from intouch_import.reports import RECORDS, Problem
from intouch_import.repositories.base import overrides
from intouch_import.secret import pseudonym
from intouch_import.verdicts import doubt_of_copies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from intouch_import.ledger import Ledger
    from intouch_import.model import StoredAttachment
    from intouch_import.moving.file_move import FileMove, MoveOrder
    from intouch_import.repositories.base import PatientRepository

__all__ = ["CopyFinder", "Incoming", "Storing"]

log = logging.getLogger(__name__)

_GIVE_UP_AFTER: Final = 3
_RECORDS_KEY: Final = f"\0{RECORDS}"  # no source has such an id


class Storing:
    """Stores files for one call of `Mover.move`.

    Args:
        repository: The patient records.
        ledger: Asked for digests that an undo has put back.
        problems: Gets the problem of a repository that has given up or has stored no file.

    Attributes:
        given_up: Whether the repository has failed so often in a row that no other file is tried.
    """

    def __init__(
        self, repository: PatientRepository, ledger: Ledger, *, problems: dict[str, Problem]
    ) -> None:
        self._repository = repository
        self._problems = problems
        self._can_take_back = overrides(repository, "transaction")
        self._copies = CopyFinder(repository, ledger)
        self._failures_in_a_row = 0
        self._has_stored = False
        self.given_up = False
        self._rehearsed: dict[str, MoveOrder] = {}  # by digest

    def store(self, moves: list[FileMove]) -> None:
        """Store files that were read. Files with the same bytes are stored one after the other."""
        new = [move for move in moves if move.stored is None]
        _follow_own_ids(moves)
        _refuse_rival_claims(new)
        hold_companions(new)
        while new := [move for move in new if move.outcome is None]:
            # One file of each digest at a time, so that the next one finds it stored.
            first, new = _one_of_each(new)
            self._store_together(first)
            _follow(first, new)
            hold_companions([*first, *new])

    def rehearse(self, moves: Sequence[FileMove]) -> None:
        """End automatic imports as `store` would, without storing anything."""
        _refuse_rival_claims(moves)
        for move in self._without_copies([move for move in moves if move.outcome is None]):
            if move.order.is_sidecar:
                continue
            earlier = self._rehearsed.setdefault(move.sha256, move.order)
            if earlier is not move.order:
                elsewhere = earlier.patient_id != move.order.patient_id
                doubt = Reason.DUPLICATE_ELSEWHERE if elsewhere else Reason.DUPLICATE
                move.take_copy(Copy(attachment_id=None, elsewhere=elsewhere, doubt=doubt))
        hold_companions(moves)
        for move in moves:
            if move.outcome is None:
                move.end(State.IMPORTED, move.order.reason)

    def _store_together(self, moves: list[FileMove]) -> None:
        try:
            self._add(moves)
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            if len(moves) == 1:
                self._failed(moves[0], exc)
                return
            # Some file broke the transaction. Store them one by one, so that it stops no other file. Photos
            # come before their sidecars.
            for move in sorted(moves, key=lambda move: move.order.companion_of is not None):
                if move.outcome is None:
                    self._store_alone(move)
                    hold_companions(moves)

    def _store_alone(self, move: FileMove) -> None:
        if self.given_up:
            move.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
            return
        try:
            self._add([move])
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            self._failed(move, exc)

    def _add(self, moves: list[FileMove]) -> None:
        try:
            others = self._add_together(moves)
        except _GroupRefused as exc:
            for move, refusal in exc.refused:
                move.fail(refusal)
            _follow_own_ids(moves)
            hold_companions(moves)
            if left := [move for move in moves if move.outcome is None]:
                self._add(left)
            return
        _name_twins(move for move in moves if move.stored is not None)
        self._failures_in_a_row = 0
        self._has_stored = True
        self.given_up = False
        self._problems.pop(_RECORDS_KEY, None)
        if others:
            self._store_together(others)

    def _add_together(self, moves: list[FileMove]) -> list[FileMove]:
        """Store files in one transaction. Return those that are to be stored under an import id of their own.

        Raises:
            _GroupRefused: The records refuse a file without which others must not be stored.
        """
        # Look and store in one transaction: what was not found is then still not there when it is stored.
        with self._repository.transaction():
            moves = self._without_copies(moves)
            items = [(move.attachment(), move.content) for move in moves if move.content is not None]
            results = self._repository.add_many(items) if items else []
            others: list[FileMove] = []
            refused: list[tuple[FileMove, FileError]] = []
            for move, result in zip(moves, results, strict=True):
                if not isinstance(result, FileError):
                    if not _is_of(result, move):
                        # Raised inside the transaction, so that the records take the file back.
                        raise RepositoryError("the records stored it otherwise than asked", retry_helps=False)
                elif isinstance(result, (AlreadyAssigned, ContentMismatch)) and self._is_other(move):
                    others.append(move)
                else:
                    refused.append((move, result))
            # Another workstation may have just stored one file of a group, for another patient.
            ended = {*others, *(move for move, _ in refused)}
            if ended and self._can_take_back and not ended.issuperset(companions_held(moves, ended)):
                raise _GroupRefused(refused)
        for move, result in zip(moves, results, strict=True):
            if not isinstance(result, FileError):
                move.stored = result
        for move, refusal in refused:
            move.fail(refusal)
        return others

    def _is_other(self, move: FileMove) -> bool:
        """Return whether other bytes are stored under the import id of a file. It then gets another id."""
        stored = self._repository.find_attachment([move.import_id]).get(move.import_id)
        return stored is not None and move.is_other_than(stored)

    def _without_copies(self, moves: list[FileMove]) -> list[FileMove]:
        """Return the files that may be stored, given what the records and the ledger know of their bytes."""
        found = self._copies.find(
            [
                Incoming(
                    import_id=move.import_id,
                    sha256=move.sha256,
                    patient_id=move.order.patient_id,
                    automatic=move.order.automatic,
                )
                for move in moves
                if not move.order.is_sidecar
            ]
        )
        for move in moves:
            if move.import_id in found:
                move.take_copy(found[move.import_id])
        hold_companions(moves)
        return [move for move in moves if move.outcome is None]

    def _failed(self, move: FileMove, exc: Exception) -> None:
        if not isinstance(exc, (FileError, UnknownPatient)):
            self._failures_in_a_row += 1
            self.given_up = self._failures_in_a_row >= _GIVE_UP_AFTER
            if self.given_up or not self._has_stored:
                text = str(exc) if isinstance(exc, InTouchImportError) else "the patient records failed"
                self._problems[_RECORDS_KEY] = Problem(source_id="", location=RECORDS, text=text)
            log.error("the repository failed", extra=kind_and_place(exc, import_id=move.import_id))
        if not isinstance(exc, InTouchImportError):
            move.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
            return
        move.fail(exc)


class _GroupRefused(Exception):
    """The records refuse files without which others must not be stored."""

    def __init__(self, refused: list[tuple[FileMove, FileError]]) -> None:
        super().__init__()
        self.refused = refused


def _is_of(stored: StoredAttachment, move: FileMove) -> bool:
    wanted = (move.import_id, move.order.patient_id, move.sha256)
    return (stored.import_id, stored.patient_id, stored.sha256) == wanted


def _follow_own_ids(moves: Iterable[FileMove]) -> None:
    """Let files belong to their owner under its own import id: another file is stored under the first one."""
    own = {move.order.import_id: move.import_id for move in moves if move.import_id != move.order.import_id}
    for move in moves:
        if move.companion_of in own:
            move.companion_of = own[move.companion_of]


def _refuse_rival_claims(moves: Iterable[FileMove]) -> None:
    """Let files wait whose bytes are the same but whose names claim different patients."""
    patients: dict[str, set[str]] = {}
    claims = [move for move in moves if move.order.automatic and not move.order.is_sidecar]
    for move in claims:
        patients.setdefault(move.sha256, set()).add(move.order.patient_id)
    for move in claims:
        if len(patients[move.sha256]) > 1:
            move.take_copy(Copy(attachment_id=None, elsewhere=True, doubt=Reason.DUPLICATE_ELSEWHERE))


def _one_of_each(moves: Sequence[FileMove]) -> tuple[list[FileMove], list[FileMove]]:
    """Split files into those to store now, and automatic imports whose bytes an earlier file has.

    The companions of a file that is stored later are stored later, too.
    """
    now: list[FileMove] = []
    later: list[FileMove] = []
    seen: dict[str, str] = {}
    waiting: set[str] = set()
    for move in moves:
        group = move.order.group_id
        if not move.order.is_sidecar and seen.setdefault(move.sha256, group) != group:
            waiting.add(group)
    for move in moves:
        first = move.order.group_id == moves[0].order.group_id
        (later if move.order.automatic and move.order.group_id in waiting and not first else now).append(move)
    return now, later


def _follow(first: Iterable[FileMove], later: Iterable[FileMove]) -> None:
    """Mark files as copies of the earlier file with the same bytes, unless that file failed."""
    earlier = {move.sha256: move for move in first}
    for move in later:
        leader = earlier.get(move.sha256)
        if leader is None or move.order.is_sidecar:
            continue
        if leader.stored is not None:
            move.take_copy(Copy(attachment_id=leader.stored.id, elsewhere=False, doubt=Reason.DUPLICATE))
        elif leader.copy is not None:
            move.take_copy(leader.copy)


def _name_twins(moves: Iterable[FileMove]) -> None:
    """Of files with the same bytes that a person saved together, mark all but the first as its copies."""
    first: dict[str, FileMove] = {}
    for move in moves:
        leader = first.setdefault(move.sha256, move)
        if (
            leader is not move
            and leader.stored is not None
            and not move.order.is_sidecar
            and move.copy is None
        ):
            elsewhere = leader.order.patient_id != move.order.patient_id
            move.copy = Copy(attachment_id=leader.stored.id, elsewhere=elsewhere, doubt=Reason.DUPLICATE)


# --- copies


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
    patient_id: str = attrs.field(repr=pseudonym)
    automatic: bool = False


class CopyFinder:
    """Asks the records and the ledger about bytes that are about to be stored.

    Attributes:
        able: Whether the repository can find attachments by digest. If not, it is not asked.
    """

    def __init__(self, repository: PatientRepository, ledger: Ledger) -> None:
        self._repository = repository
        self._ledger = ledger
        self.able = overrides(repository, "find_by_digest")

    def find(self, incoming: Sequence[Incoming]) -> dict[str, Copy]:
        """Return what is known of these bytes, by import id. Unknown bytes are left out."""
        digests = {one.sha256 for one in incoming}
        automatic = {one.sha256 for one in incoming if one.automatic}
        stored = self._repository.find_by_digest(digests) if self.able and digests else {}
        undone = self._ledger.undone(automatic) if automatic else set()
        found: dict[str, Copy] = {}
        for one in incoming:
            copy = _copy(
                one, stored, undone=bool(undone) and (printable(one.patient_id), one.sha256) in undone
            )
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
