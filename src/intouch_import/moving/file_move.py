"""One file on its way into a record: what is to be done, and what has been found so far."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import attrs

from intouch_import.errors import (
    AlreadyAssigned,
    ContentAltered,
    ContentMismatch,
    FileChanged,
    FileUnreadable,
    FileVanished,
    NameRefused,
    RepositoryError,
    SourceError,
    StillArriving,
    StorageFull,
    UnknownPatient,
)
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.model import (
    Attachment,
    CompanionRole,
    Destination,
    Reason,
    SourceFile,
    State,
    StoredAttachment,
    TakenFrom,
    import_id,
)
from intouch_import.reports import Outcome
from intouch_import.secret import pseudonym

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from intouch_import.content import Content
    from intouch_import.media import MediaFacts
    from intouch_import.sources.base import Source

__all__ = ["Copy", "FileMove", "MoveOrder", "companions_held", "explain", "hold_companions", "precise_reason"]

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class MoveOrder:
    """One file to move.

    Args:
        source, file: The file.
        import_id: The import id of this version of the file.
        patient_id: The patient whose record it goes to.
        reason: Why it goes there.
        automatic: No person has looked at the file: its content must be whole, and what its extension says.
        stored: What the repository holds under this import id. With the same bytes, the move is finished;
            other bytes are another file.
        only_finish: Leave another file where it is; otherwise it is imported under an import id of its own.
        keep: Copy the file: it stays in its source.
        times_differ: Whether a migration found other times than ``taken_at`` in names, folders and lists.
        trust_content: Prefer the capture times in the bytes to ``taken_at``.
        other_patient_confirmed: A person was asked about the other patient whom the bytes name.

    The other fields are those of `Attachment`.
    """

    source: Source
    file: SourceFile
    import_id: str
    patient_id: str = attrs.field(repr=pseudonym)
    provider_id: str | None = None
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    taken_at: datetime | None = None
    taken_from: TakenFrom = TakenFrom.NAME
    times_differ: bool = False
    operator: str | None = None
    companion_of: str | None = None
    companion_role: CompanionRole | None = None
    reason: Reason
    automatic: bool = False
    stored: StoredAttachment | None = None
    only_finish: bool = False
    keep: bool = False
    trust_content: bool = False
    other_patient_confirmed: bool = False

    @property
    def group_id(self) -> str:
        """What the orders for files that belong together have in common."""
        return self.companion_of or self.import_id

    @property
    def is_sidecar(self) -> bool:
        """Whether the file only adds to another one: then equal bytes do not make it a copy."""
        return self.companion_role is not None and self.companion_role.is_sidecar


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


class FileMove:
    """A file under way: its order, and what the steps have found so far.

    Attributes:
        order, source: What is done, and where the file comes from.
        import_id: The import id: that of the order, unless other bytes are stored under it.
        companion_of: The import id of the file that this one belongs to.
        content: The bytes, once they are read.
        sha256: The digest of the bytes; empty until they are read.
        facts: What the examiner found in the bytes.
        copy: An attachment with the same bytes.
        stored: What the repository holds for this file.
        outcome: How the move ended; None while it goes on.
    """

    __slots__ = (
        "companion_of", "content", "copy", "facts", "import_id", "order", "outcome", "sha256", "source",
        "stored",
    )  # fmt: skip

    def __init__(self, order: MoveOrder) -> None:
        self.order = order
        self.source = order.source
        self.import_id = order.import_id
        self.companion_of = order.companion_of
        self.content: Content | None = None
        self.sha256 = ""
        self.facts: MediaFacts | None = None
        self.copy: Copy | None = None
        self.stored = order.stored
        self.outcome: Outcome | None = None

    def end(self, state: State, reason: Reason, *, retry_helps: bool = False) -> None:
        """End the move with this state and reason."""
        self.outcome = Outcome(
            name=self.order.file.name,
            source_id=self.source.source_id,
            state=state,
            reason=reason,
            import_id=self.import_id,
            attachment_id=self.stored.id if self.stored is not None else None,
            retry_helps=retry_helps,
            content=self.facts.check if self.facts is not None else None,
            sha256=self.sha256 or None,
            duplicate_of=self.copy.attachment_id if self.copy is not None else None,
            duplicate_elsewhere=self.copy is not None and self.copy.elsewhere,
        )

    def fail(self, exc: Exception) -> None:
        """End the move with the state and reason that an exception means."""
        reason, state, retry_helps = explain(exc)
        self.end(state, reason, retry_helps=retry_helps)

    def take_copy(self, copy: Copy) -> None:
        """Note that these bytes are known. The file then waits, unless a person chose it."""
        self.copy = copy
        if self.order.automatic:
            self.end(State.WAITING, copy.doubt)

    def is_other_than(self, stored: StoredAttachment) -> bool:
        """Return whether the bytes are not the stored ones. If so, the file gets an import id of its own."""
        if self.sha256 == stored.sha256 or self.import_id == self.own_id:
            return False
        self.import_id, self.stored = self.own_id, None
        return True

    @property
    def own_id(self) -> str:
        """The import id of the file if other bytes are stored under its first one."""
        file = self.order.file
        return import_id(self.source.source_id, file.name, file.version, sha256=self.sha256)

    def attachment(self) -> Attachment:
        """Return what is to be stored, once the file is read."""
        order, content, facts = self.order, self.content, self.facts
        if content is None:
            raise AssertionError("only files that were read are stored")
        taken_at, taken_from = order.taken_at, order.taken_from if order.taken_at is not None else None
        written: str | None = None
        # Among them is the time of the order, before or after those in the bytes.
        if facts is not None and (chosen := facts.times.chosen) is not None:
            taken_at, taken_from = chosen.at, chosen.taken_from
            written = chosen.written.isoformat() if chosen.written is not None else None
        return Attachment(
            import_id=self.import_id,
            patient_id=order.patient_id,
            provider_id=order.provider_id,
            destination=order.destination,
            title=order.title,
            comments=order.comments,
            taken_at=taken_at,
            taken_from=taken_from,
            taken_written=written,
            times_disagree=order.times_differ or (facts is not None and facts.times.disagree),
            soundness=facts.soundness if facts is not None else None,
            name=order.file.name,
            size_bytes=content.size_bytes,
            sha256=content.sha256,
            location=self.source.location,
            source_id=self.source.source_id,
            source_version=order.file.version,
            modified_at=order.file.modified_at,
            operator=order.operator,
            companion_of=self.companion_of,
            companion_role=order.companion_role,
        )

    def ledger_entry(self, event: Event, reason: Reason, at: datetime) -> LedgerEntry:
        """Return the ledger entry for an event of this move."""
        order, stored, content = self.order, self.stored, self.content
        return LedgerEntry(
            event=event,
            at=at,
            operator=order.operator,
            patient_id=order.patient_id,
            provider_id=order.provider_id,
            destination=str(order.destination),
            import_id=self.import_id,
            attachment_id=stored.id if stored is not None else None,
            location=self.source.location,
            source_id=self.source.source_id,
            name=order.file.name,
            size_bytes=content.size_bytes if content is not None else order.file.size_bytes,
            sha256=content.sha256 if content is not None else None,
            reason=str(reason),
        )


_EXPLANATIONS: Final[tuple[tuple[type[Exception], Reason, State], ...]] = (
    (StillArriving, Reason.STILL_ARRIVING, State.WAITING),
    (FileChanged, Reason.CHANGED, State.WAITING),
    (FileVanished, Reason.VANISHED, State.FAILED),
    (FileUnreadable, Reason.UNREADABLE, State.FAILED),
    (AlreadyAssigned, Reason.ALREADY_ASSIGNED, State.FAILED),
    (ContentAltered, Reason.CONTENT_ALTERED, State.WAITING),
    (ContentMismatch, Reason.DIGEST_DIFFERS, State.FAILED),
    (NameRefused, Reason.NAME_REFUSED, State.FAILED),
    (UnknownPatient, Reason.PATIENT_UNKNOWN, State.FAILED),
    (StorageFull, Reason.STORAGE_FULL, State.FAILED),
    (RepositoryError, Reason.REPOSITORY_FAILED, State.FAILED),
    (SourceError, Reason.SOURCE_FAILED, State.FAILED),
)


def companions_held(moves: Collection[FileMove], ended: Collection[FileMove]) -> list[FileMove]:
    """Return the files that must wait because others wait or failed: a group, or the sidecars of a photo.

    An automatic import takes all files of a group, or none. Of the files that a person saves, only sidecars
    wait for their photo: alone in the record, nobody would see them.
    """
    groups = {move.order.group_id for move in ended}
    owners = {move.order.import_id for move in ended}
    return [
        move
        for move in moves
        if move.outcome is None
        and move.stored is None
        and (
            (move.order.automatic and move.order.group_id in groups)
            or (move.order.is_sidecar and move.order.companion_of in owners)
        )
    ]


def hold_companions(moves: Collection[FileMove]) -> None:
    """Let files wait whose companions wait or failed; see `companions_held`."""
    ended = [
        move
        for move in moves
        if move.outcome is not None and move.outcome.state in {State.WAITING, State.FAILED}
    ]
    for move in companions_held(moves, ended) if ended else ():
        move.end(State.WAITING, Reason.COMPANION_WAITS)


def explain(exc: Exception) -> tuple[Reason, State, bool]:
    """Return why a file was not moved, its state, and whether a retry helps."""
    for kind, reason, state in _EXPLANATIONS:
        if isinstance(exc, kind):
            elsewhere = getattr(exc, "open_elsewhere", False)
            precise = Reason.OPEN_ELSEWHERE if elsewhere else precise_reason(exc, reason)
            return precise, state, getattr(exc, "retry_helps", False)
    log.error("an unexpected error", extra={"kind": type(exc).__name__})
    return Reason.UNEXPECTED, State.FAILED, True


def precise_reason(exc: Exception, reason: Reason) -> Reason:
    """Return the reason that a source gives for a failure; without one, the given reason."""
    given = getattr(exc, "reason", None)
    return given if isinstance(given, Reason) else reason
