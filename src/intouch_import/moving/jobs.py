"""Orders, and what has been found of each while it is carried out."""

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
    Destination,
    Reason,
    SourceFile,
    State,
    StoredAttachment,
    TakenFrom,
    import_id,
)
from intouch_import.reports import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from intouch_import.content import Content
    from intouch_import.copies import Copy
    from intouch_import.media import MediaFacts
    from intouch_import.sources.base import Source

__all__ = ["Job", "Order", "attachment_of", "close", "entry_of", "explain", "open_ones", "precisely"]

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Order:
    """One file to be moved.

    Args:
        source, file: Which.
        patient_id: Into whose record.
        reason: Why there.
        automatic: No person looked at it: its content must be what its extension says, and be whole.
        stored: What the repository holds already, if an interrupted move is to be finished.
        keep: Leave the file in its source: it is copied.
        trust_content: When it was taken, the bytes say before ``taken_at`` does.

    The other fields are those of `Attachment`.
    """

    source: Source
    file: SourceFile
    patient_id: str = attrs.field(repr=False)
    provider_id: str | None = None
    destination: Destination
    title: str = attrs.field(default="", repr=False)
    comments: str = attrs.field(default="", repr=False)
    taken_at: datetime | None = None
    taken_from: TakenFrom = TakenFrom.NAME
    operator: str | None = None
    reason: Reason
    automatic: bool = False
    stored: StoredAttachment | None = None
    keep: bool = False
    trust_content: bool = False

    @property
    def import_id(self) -> str:
        """The import id of this version of this file."""
        return import_id(self.source.source_id, self.file.name, self.file.version)


class Job:
    """An order under way: what has been found so far."""

    __slots__ = ("content", "copy", "facts", "import_id", "order", "outcome", "stored")

    def __init__(self, order: Order) -> None:
        self.order = order
        self.import_id = order.import_id
        self.content: Content | None = None
        self.facts: MediaFacts | None = None
        self.copy: Copy | None = None
        self.stored = order.stored
        self.outcome: Outcome | None = None

    @property
    def source(self) -> Source:
        return self.order.source

    def end(self, state: State, reason: Reason, *, retry_helps: bool = False) -> None:
        self.outcome = Outcome(
            name=self.order.file.name,
            source_id=self.order.source.source_id,
            state=state,
            reason=reason,
            import_id=self.import_id,
            attachment_id=self.stored.id if self.stored is not None else None,
            retry_helps=retry_helps,
            content=self.facts.check if self.facts is not None else None,
            sha256=self.content.sha256 if self.content is not None else None,
            duplicate_of=self.copy.attachment_id if self.copy is not None else None,
            duplicate_elsewhere=self.copy is not None and self.copy.elsewhere,
        )

    @property
    def read(self) -> Content:
        """The bytes; only a file that was read goes on."""
        if self.content is None:
            raise AssertionError("the file was not read")
        return self.content

    @property
    def digest(self) -> str:
        """Of the bytes."""
        return self.read.sha256

    def is_copy(self, copy: Copy) -> None:
        """Take what is known of these bytes: they wait, unless a person chose them."""
        self.copy = copy
        if self.order.automatic:
            self.end(State.WAITING, copy.doubt)

    def fail(self, exc: Exception) -> None:
        reason, state, retry_helps = explain(exc)
        self.end(state, reason, retry_helps=retry_helps)


def attachment_of(job: Job) -> Attachment:
    """What is to be stored of a job whose file was read."""
    order, content, facts = job.order, job.content, job.facts
    if content is None:
        raise AssertionError("only files that were read are stored")
    taken_at, taken_from = order.taken_at, order.taken_from if order.taken_at is not None else None
    if facts is not None and facts.taken is not None and (taken_at is None or order.trust_content):
        taken_at, taken_from = facts.taken_at, facts.taken.taken_from
    return Attachment(
        import_id=job.import_id,
        patient_id=order.patient_id,
        provider_id=order.provider_id,
        destination=order.destination,
        title=order.title,
        comments=order.comments,
        taken_at=taken_at,
        taken_from=taken_from,
        times_disagree=facts is not None and facts.times.disagree,
        soundness=facts.soundness if facts is not None else None,
        name=order.file.name,
        size_bytes=content.size_bytes,
        sha256=content.sha256,
        location=order.source.location,
        source_id=order.source.source_id,
        source_version=order.file.version,
        modified_at=order.file.modified_at,
        operator=order.operator,
    )


def entry_of(job: Job, event: Event, reason: Reason, at: datetime) -> LedgerEntry:
    """What the ledger is told of a job."""
    order, stored, content = job.order, job.stored, job.content
    return LedgerEntry(
        event=event,
        at=at,
        operator=order.operator,
        patient_id=order.patient_id,
        provider_id=order.provider_id,
        destination=order.destination.value,
        import_id=job.import_id,
        attachment_id=stored.id if stored is not None else None,
        location=order.source.location,
        source_id=order.source.source_id,
        name=order.file.name,
        size_bytes=content.size_bytes if content is not None else order.file.size_bytes,
        sha256=content.sha256 if content is not None else None,
        reason=reason.value,
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


def explain(exc: Exception) -> tuple[Reason, State, bool]:
    """Why a file could not be moved, what has become of it, and whether trying again helps."""
    for kind, reason, state in _EXPLANATIONS:
        if isinstance(exc, kind):
            elsewhere = getattr(exc, "open_elsewhere", False)
            precise = Reason.OPEN_ELSEWHERE if elsewhere else precisely(exc, reason)
            return precise, state, getattr(exc, "retry_helps", False)
    log.error("an unexpected error", extra={"kind": type(exc).__name__})
    return Reason.UNEXPECTED, State.FAILED, True


def precisely(exc: Exception, reason: Reason) -> Reason:
    """The reason that a source gives for a failure, where it knows better than the kind of error says."""
    given = getattr(exc, "reason", None)
    return given if isinstance(given, Reason) else reason


def open_ones(jobs: Iterable[Job]) -> list[Job]:
    """The jobs that are still under way."""
    return [job for job in jobs if job.outcome is None]


def close(jobs: Iterable[Job]) -> None:
    """Let go of what was read."""
    for job in jobs:
        if job.content is not None:
            job.content.close()
