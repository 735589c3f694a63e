"""The move: from a source into a patient's record. The only room that may remove a source file.

For every file, in this order, and never one step before the one above it has succeeded::

    fetch    read the pinned version, hashing                    (in threads)
    check    is the content what the name says, and whole?       only automatic imports wait
    compare  are these bytes in a record already?                in the transaction that stores
    store    repository.add, idempotent on the import id         one transaction a batch
    verify   read back what was stored, compare digests          (in threads)
    ledger   "stored"                                            one write a batch
    remove   only if the version is still the one that was read  (in threads)
    ledger   "moved"                                             one write a batch

A crash between any two steps leaves the file in its source or verified in the repository, mostly both;
the next refresh finds its import id stored and finishes here, with the same steps.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import attrs

from intouch_import import disk
from intouch_import.copies import Copy, CopyFinder, Incoming
from intouch_import.errors import (
    AlreadyAssigned,
    ContentAltered,
    ContentMismatch,
    FileChanged,
    FileError,
    FileUnreadable,
    FileVanished,
    InTouchImportError,
    NameRefused,
    RepositoryError,
    SourceError,
    StillArriving,
    StorageFull,
    UnknownPatient,
)
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.media import HEAD_BYTES, content_reason
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
from intouch_import.reports import Outcome, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from intouch_import.content import Content
    from intouch_import.ledger import Ledger
    from intouch_import.media import Examiner, MediaFacts
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Mover", "Order", "remove_pinned"]

log = logging.getLogger(__name__)

_Work = TypeVar("_Work", "_Job", "_Group")

# A leased file keeps a descriptor until its move is over: 200 stay well below the usual limit of
# 1,024 descriptors a process.
_BATCH_FILES: Final = 200
_BATCH_BYTES: Final = 256 * 1024 * 1024
_WORKERS: Final = 2
_GIVE_UP_AFTER: Final = 3


@attrs.frozen(kw_only=True)
class Order:
    """One file to be moved.

    Args:
        source, file: Which.
        patient_id: Into whose record.
        reason: Why there.
        automatic: No person looked at it: its content must be what its extension says, and be whole.
        stored: What the repository holds already, if an interrupted move is to be finished.

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
    operator: str | None = None
    reason: Reason
    automatic: bool = False
    stored: StoredAttachment | None = None

    @property
    def import_id(self) -> str:
        """The import id of this version of this file."""
        return import_id(self.source.source_id, self.file.name, self.file.version)


class _Job:
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
    def digest(self) -> str:
        """Of the bytes, once they were read."""
        if self.content is None:
            raise AssertionError("only files that were read have a digest")
        return self.content.sha256

    def is_copy(self, copy: Copy) -> None:
        """Take what is known of these bytes: they wait, unless a person chose them."""
        self.copy = copy
        if self.order.automatic:
            self.end(State.WAITING, copy.doubt)

    def fail(self, exc: Exception) -> None:
        reason, state, retry_helps = _explain(exc)
        self.end(state, reason, retry_helps=retry_helps)


@attrs.frozen
class _Group:
    """Files of one source that leave it in one request."""

    source: Source
    jobs: list[_Job]


class _Begun(NamedTuple):
    """A batch that is being read."""

    jobs: list[_Job]
    futures: list[Future[None]]


class _Steps(NamedTuple):
    """How a step is run over a batch: in the threads of each source, or in those of this machine."""

    transfer: Callable[[Callable[[Any], None], Sequence[Any]], None]
    spread: Callable[[Callable[[_Job], None], list[_Job]], None]


class Mover:
    """Carries out orders.

    Args:
        repository: Where to.
        ledger: Where it is written down.
        clock: Gives the time, aware.
        workers: Threads that verify. How many read and remove, each source says (`Source.concurrency`).
        examiner: Looks into every file. Without one, only automatic imports are judged, by their first and
            last bytes alone.
    """

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime],
        workers: int = _WORKERS,
        examiner: Examiner | None = None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self._workers = workers
        self._examiner = examiner

    def move(
        self,
        orders: Sequence[Order],
        *,
        on_done: Callable[[Sequence[Outcome], int], None] = lambda _outcomes, _size_bytes: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[list[Outcome], list[Problem]]:
        """Move files. Nothing that goes wrong with one of them stops the others.

        Args:
            orders: What to move; no file twice.
            on_done: Called in this thread after every batch with its outcomes and its bytes.
            cancelled: Asked before every file; once True, files not yet begun stay where they are.

        Returns:
            One outcome per order, in order, and one problem per location that failed.
        """
        run = _Run(self._repository, self._ledger, self._clock, cancelled, self._examiner)
        return run.all(orders, self._workers, on_done)


def remove_pinned(source: Source, file: SourceFile, *, sha256: str) -> None:
    """Take a file out of its source, if it still is the version that was read. See `Source.remove`.

    The one line of this library that does so. Whoever calls it has the bytes, verified, in a repository.
    """
    source.remove(file, sha256=sha256)


class _Run:
    """One call of `Mover.move`."""

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        clock: Callable[[], datetime],
        cancelled: Callable[[], bool],
        examiner: Examiner | None = None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self._cancelled = cancelled
        self._examiner = examiner
        self._lock = threading.Lock()
        self._problems: dict[str, Problem] = {}
        self._failures_in_a_row = 0
        self._staging = repository.staging
        self._find_copies = CopyFinder(repository, ledger)

    def all(
        self, orders: Sequence[Order], workers: int, on_done: Callable[[Sequence[Outcome], int], None]
    ) -> tuple[list[Outcome], list[Problem]]:
        outcomes: list[Outcome] = []
        sources = {order.source.source_id: order.source for order in orders}
        threads = max(workers, sum(source.concurrency for source in sources.values()))
        # What waits for a network is read ahead, while the batch before it is stored. Not what waits for a
        # disk: that was tried, and is slower, since the threads then fight for the interpreter.
        ahead = all(source.concurrency > workers for source in sources.values())
        with ThreadPoolExecutor(threads, thread_name_prefix="intouch-move") as pool:
            batches = ([_Job(order) for order in batch] for batch in _batches(orders))
            steps = _Steps(partial(_transfer, pool), partial(_spread, pool, workers))
            current = self._begin(pool, batches)
            while current.jobs:
                following = _Begun([], [])
                try:
                    _wait_for(current.futures)
                    if ahead:
                        following = self._begin(pool, batches)
                    outcomes += self._finish(current.jobs, steps, on_done)
                    if not ahead:
                        following = self._begin(pool, batches)
                except BaseException:
                    wait(following.futures)
                    _close(following.jobs)
                    raise
                finally:
                    _close(current.jobs)
                current = following
        return outcomes, list(self._problems.values())

    def _begin(self, pool: ThreadPoolExecutor, batches: Iterator[list[_Job]]) -> _Begun:
        """Start to read the next batch."""
        jobs = next(batches, [])
        return _Begun(jobs, _start(pool, self._fetch, jobs))

    def _finish(
        self, jobs: list[_Job], steps: _Steps, on_done: Callable[[Sequence[Outcome], int], None]
    ) -> list[Outcome]:
        try:
            self._look_for_vanished(jobs)
            self._store(_open(jobs))
            steps.spread(self._verify, _open(jobs))
            self._write_stored(_open(jobs))
            removing = _open(jobs)
            steps.transfer(self._remove, [job for job in removing if not job.source.removes_together])
            steps.transfer(self._remove_together, _together(removing))
            self._write_ends(jobs, removing)
        finally:
            _close(jobs)
        outcomes = [job.outcome for job in jobs if job.outcome is not None]
        on_done(outcomes, sum(job.order.file.size_bytes for job in jobs))
        return outcomes

    # --- the steps

    def _fetch(self, job: _Job) -> None:
        order = job.order
        if self._cancelled():
            job.end(State.WAITING, Reason.CANCELLED, retry_helps=True)
            return
        if order.source.source_id in self._problems:
            job.end(State.FAILED, Reason.SOURCE_FAILED, retry_helps=True)
            return
        if self._failures_in_a_row >= _GIVE_UP_AFTER:
            job.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
            return
        fetch = order.source.fetch if order.automatic else order.source.fetch_as_delivered
        try:
            content = job.content = fetch(order.file, staging=self._staging)
        except Exception as exc:  # noqa: BLE001  # a source's bug must not stop the other files
            self._note(order.source, exc)
            job.fail(exc)
            return
        if order.stored is not None and order.stored.sha256 != content.sha256:
            job.end(State.FAILED, Reason.STORED_COPY_DIFFERS)
        elif order.stored is None and (order.automatic or self._examiner is not None):
            self._look_inside(job, content)

    def _look_inside(self, job: _Job, content: Content) -> None:
        """Ask what the bytes are. Any doubt keeps an automatic import waiting; a person's choice stands."""
        try:
            doubt = self._doubt(job, content)
        except OSError as exc:
            job.fail(FileUnreadable("the file could not be read again", errno=exc.errno))
            return
        except Exception as exc:  # noqa: BLE001  # a bug in front of odd bytes must not stop the other files
            log.error(
                "a content could not be examined",
                extra={"import_id": job.import_id, "kind": type(exc).__name__},
            )
            doubt = Reason.CONTENT_UNCHECKED
        if doubt is not None and job.order.automatic:
            job.end(State.WAITING, doubt)

    def _doubt(self, job: _Job, content: Content) -> Reason | None:
        file = job.order.file
        if self._examiner is None:
            head, tail = content.edges(HEAD_BYTES)
            return content_reason(file.name, head=head, tail=tail, size_bytes=content.size_bytes)
        with content.open() as stream:
            job.facts = self._examiner.examine(
                stream,
                name=file.name,
                size_bytes=content.size_bytes,
                sha256=content.sha256,
                named_at=job.order.taken_at,
                modified_at=file.modified_at,
            )
        return job.facts.doubt

    def _look_for_vanished(self, jobs: list[_Job]) -> None:
        """A file that is gone may have been moved by another workstation: say whose record it is in then."""
        gone = [job for job in jobs if job.outcome is not None and job.outcome.reason is Reason.VANISHED]
        if not gone:
            return
        try:
            stored = self._repository.find_attachment([job.import_id for job in gone])
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises: the file is gone anyway
            log.warning("the repository can't be asked", extra={"kind": type(exc).__name__})
            return
        for job in gone:
            found = stored.get(job.import_id)
            if found is None:
                continue
            job.stored = found
            if found.patient_id == job.order.patient_id:
                job.end(State.IMPORTED, Reason.FINISHED_ELSEWHERE)
            else:
                job.end(State.FAILED, Reason.ALREADY_ASSIGNED)

    def _store(self, jobs: list[_Job]) -> None:
        new = [job for job in jobs if job.stored is None]
        _doubt_rivals(new)
        while new := _open(new):
            # Of files with the same bytes one at a time, so that each finds the one before it stored.
            first, new = _one_of_each(new)
            self._store_together(first)
            _follow(first, new)

    def _store_together(self, new: list[_Job]) -> None:
        try:
            self._add(new)
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            if len(new) == 1:
                self._repository_failed(new[0], exc)
                return
            # Something in the batch broke the transaction. One at a time, so that it stops nobody else.
            for job in new:
                self._store_alone(job)

    def _store_alone(self, job: _Job) -> None:
        if self._failures_in_a_row >= _GIVE_UP_AFTER:
            job.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
            return
        try:
            self._add([job])
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            self._repository_failed(job, exc)

    def _add(self, jobs: list[_Job]) -> None:
        # In one transaction: what was not found is then still not there when these are stored.
        with self._repository.transaction() if self._find_copies.able else contextlib.nullcontext():
            jobs = self._without_copies(jobs)
            items = [(_attachment(job), job.content) for job in jobs if job.content is not None]
            results = self._repository.add_many(items) if items else []
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, FileError):
                job.fail(result)
            elif (result.import_id, result.patient_id, result.sha256) != (
                job.import_id, job.order.patient_id, job.digest,
            ):  # fmt: skip
                job.end(State.FAILED, Reason.REPOSITORY_FAILED)
            else:
                job.stored = result
        _name_twins(jobs)
        self._failures_in_a_row = 0

    def _without_copies(self, jobs: list[_Job]) -> list[_Job]:
        """Those that may be stored, given what the records and the ledger know of their bytes."""
        found = self._find_copies(
            [
                Incoming(
                    import_id=job.import_id,
                    sha256=job.digest,
                    patient_id=job.order.patient_id,
                    automatic=job.order.automatic,
                )
                for job in jobs
            ]
        )
        for job in jobs:
            if job.import_id in found:
                job.is_copy(found[job.import_id])
        return _open(jobs)

    def _repository_failed(self, job: _Job, exc: Exception) -> None:
        if not isinstance(exc, (FileError, UnknownPatient)):
            self._failures_in_a_row += 1
            log.error("the repository failed", extra={"import_id": job.import_id, "kind": type(exc).__name__})
        if not isinstance(exc, InTouchImportError):
            job.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
            return
        job.fail(exc)

    def _verify(self, job: _Job) -> None:
        """Read back what was stored: the repository's word for it is not enough."""
        content, stored = job.content, job.stored
        if content is None or stored is None:
            raise AssertionError("only stored files are verified")
        try:
            with self._repository.open_attachment(stored.id) as stream:
                if content.is_same_file(stream):
                    return
                found = disk.digest_stream(stream)
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            log.error(
                "a stored file can't be read back",
                extra={"import_id": job.import_id, "kind": type(exc).__name__},
            )
            job.end(State.FAILED, Reason.STORED_COPY_DIFFERS, retry_helps=True)
            return
        if (found.sha256, found.size_bytes) != (content.sha256, content.size_bytes):
            log.error("a stored file differs from what was read", extra={"import_id": job.import_id})
            job.end(State.FAILED, Reason.STORED_COPY_DIFFERS)

    def _write_stored(self, jobs: list[_Job]) -> None:
        try:
            now = self._clock()
            self._ledger.append(self._entry(job, Event.STORED, job.order.reason, now) for job in jobs)
        except Exception as exc:  # noqa: BLE001  # whatever it is, the batch must come to its end
            log.error(
                "the ledger could not be written; nothing was removed", extra={"kind": type(exc).__name__}
            )
            for job in jobs:
                job.end(State.STORED, Reason.LEDGER_FAILED, retry_helps=True)

    def _remove(self, job: _Job) -> None:
        source, file, content = job.order.source, job.order.file, job.content
        if content is None:
            raise AssertionError("only files that were read are removed")
        try:
            remove_pinned(source, file, sha256=content.sha256)
        except Exception as exc:  # noqa: BLE001  # a failure to remove is not a failure to store
            self._removed(job, exc)
        else:
            self._removed(job, None)

    def _remove_together(self, group: _Group) -> None:
        jobs = group.jobs
        try:
            found = group.source.remove_many([job.order.file for job in jobs])
            if len(found) != len(jobs):
                raise AssertionError("one answer for each file")
        except Exception as exc:  # noqa: BLE001  # as for one
            found = [exc] * len(jobs)
        for job, end in zip(jobs, found, strict=True):
            self._removed(job, end)

    def _removed(self, job: _Job, exc: Exception | None) -> None:
        """Take down what became of a removal: done, or why not."""
        match exc:
            case None:
                job.end(State.IMPORTED, job.order.reason)
            case FileVanished():
                job.end(State.IMPORTED, Reason.FINISHED_ELSEWHERE)
            case FileChanged():
                job.end(State.STORED, Reason.CHANGED)
            case _:
                self._note(job.order.source, exc)
                log.warning(
                    "a stored file could not be removed",
                    extra={"import_id": job.import_id, "kind": type(exc).__name__},
                )
                reason = _precisely(exc, Reason.NOT_REMOVED)
                job.end(State.STORED, reason, retry_helps=getattr(exc, "retry_helps", True))
        try:
            if job.content is not None:
                job.content.settle()
        except Exception as error:  # noqa: BLE001  # the file is stored and gone; the others go on
            log.error(
                "a stored file may still be open to another program",
                extra={"import_id": job.import_id, "kind": type(error).__name__},
            )

    def _write_ends(self, jobs: list[_Job], removed: list[_Job]) -> None:
        for source in {job.order.source.source_id: job.order.source for job in removed}.values():
            try:
                source.sync()
            except Exception as exc:  # noqa: BLE001  # the files are gone already; say so all the same
                self._note(source, exc)
                log.warning("a source could not be synced", extra={"kind": type(exc).__name__})
        now = self._clock()
        entries = []
        for job in jobs:
            outcome = job.outcome
            if outcome is None or outcome.state in (State.WAITING, State.IGNORED):
                continue
            if outcome.state is State.IMPORTED and job.content is None:
                continue  # it was not moved here: whoever moved it writes that down
            event = {State.IMPORTED: Event.MOVED, State.STORED: Event.NOT_REMOVED}.get(
                outcome.state, Event.FAILED
            )
            entries.append(self._entry(job, event, outcome.reason, now))
        try:
            self._ledger.append(entries)
        except Exception as exc:  # noqa: BLE001  # likewise
            # The files are stored and the ledger says so; `Inbox.refresh` writes the missing "moved".
            log.error("the ledger could not be written after a removal", extra={"kind": type(exc).__name__})

    # --- inside

    @staticmethod
    def _entry(job: _Job, event: Event, reason: Reason, now: datetime) -> LedgerEntry:
        order, stored, content = job.order, job.stored, job.content
        return LedgerEntry(
            event=event,
            at=now,
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

    def _note(self, source: Source, exc: Exception) -> None:
        """Remember that a location failed, so that its other files are not tried one by one."""
        if not isinstance(exc, SourceError):
            return
        with self._lock:
            self._problems.setdefault(
                source.source_id,
                Problem(
                    source_id=source.source_id,
                    location=source.location,
                    text=str(exc),
                    retry_helps=exc.retry_helps,
                ),
            )


def _attachment(job: _Job) -> Attachment:
    order, content, facts = job.order, job.content, job.facts
    if content is None:
        raise AssertionError("only files that were read are stored")
    taken_at, taken_from = order.taken_at, TakenFrom.NAME if order.taken_at is not None else None
    if taken_at is None and facts is not None and facts.taken is not None:
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


def _explain(exc: Exception) -> tuple[Reason, State, bool]:
    for kind, reason, state in _EXPLANATIONS:
        if isinstance(exc, kind):
            elsewhere = getattr(exc, "open_elsewhere", False)
            precise = Reason.OPEN_ELSEWHERE if elsewhere else _precisely(exc, reason)
            return precise, state, getattr(exc, "retry_helps", False)
    log.error("an unexpected error", extra={"kind": type(exc).__name__})
    return Reason.UNEXPECTED, State.FAILED, True


def _precisely(exc: Exception, reason: Reason) -> Reason:
    """The reason that a source gives for a failure, where it knows better than the kind of error says."""
    given = getattr(exc, "reason", None)
    return given if isinstance(given, Reason) else reason


def _open(jobs: Iterable[_Job]) -> list[_Job]:
    """The jobs that are still under way."""
    return [job for job in jobs if job.outcome is None]


def _doubt_rivals(jobs: Iterable[_Job]) -> None:
    """Files with the same bytes that name several patients: whose they are is for a person to say."""
    named: dict[str, set[str]] = {}
    claims = [job for job in jobs if job.order.automatic]
    for job in claims:
        named.setdefault(job.digest, set()).add(job.order.patient_id)
    for job in claims:
        if len(named[job.digest]) > 1:
            job.is_copy(Copy(attachment_id=None, elsewhere=True, doubt=Reason.DUPLICATE_ELSEWHERE))


def _one_of_each(jobs: Iterable[_Job]) -> tuple[list[_Job], list[_Job]]:
    """Files to be stored now, and those that nobody looked at and whose bytes one before them has."""
    now: list[_Job] = []
    later: list[_Job] = []
    seen: set[str] = set()
    for job in jobs:
        (later if job.order.automatic and job.digest in seen else now).append(job)
        seen.add(job.digest)
    return now, later


def _follow(first: Iterable[_Job], later: Iterable[_Job]) -> None:
    """What became of a file becomes of others with its bytes; only where it failed, they are tried."""
    before = {job.digest: job for job in first}
    for job in later:
        leader = before[job.digest]
        if leader.stored is not None:
            job.is_copy(Copy(attachment_id=leader.stored.id, elsewhere=False, doubt=Reason.DUPLICATE))
        elif leader.copy is not None:
            job.is_copy(leader.copy)


def _name_twins(jobs: Iterable[_Job]) -> None:
    """Files with the same bytes that a person saved together: each but the first is a copy of it."""
    first: dict[str, _Job] = {}
    for job in jobs:
        leader = first.setdefault(job.digest, job)
        if leader is not job and leader.stored is not None and job.copy is None:
            elsewhere = leader.order.patient_id != job.order.patient_id
            job.copy = Copy(attachment_id=leader.stored.id, elsewhere=elsewhere, doubt=Reason.DUPLICATE)


def _close(jobs: Iterable[_Job]) -> None:
    for job in jobs:
        if job.content is not None:
            job.content.close()


def _batches(orders: Sequence[Order]) -> Iterator[list[Order]]:
    batch: list[Order] = []
    size = 0
    for order in orders:
        if batch and (len(batch) >= _BATCH_FILES or size + order.file.size_bytes > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(order)
        size += order.file.size_bytes
    if batch:
        yield batch


def _transfer(pool: ThreadPoolExecutor, step: Callable[[_Work], None], work: Iterable[_Work]) -> None:
    """Run a step over work, as `_start` does, to its end."""
    _wait_for(_start(pool, step, work))


def _start(
    pool: ThreadPoolExecutor, step: Callable[[_Work], None], work: Iterable[_Work]
) -> list[Future[None]]:
    """Start a step over work, each source's in as many threads as help it. Whoever is free takes the next."""
    by_source: dict[str, list[_Work]] = {}
    for piece in work:
        by_source.setdefault(piece.source.source_id, []).append(piece)
    shares: list[Iterator[_Work]] = []
    for own in by_source.values():
        shares += [iter(own)] * min(own[0].source.concurrency, len(own))
    return [pool.submit(_each, step, share) for share in shares]


def _together(jobs: list[_Job]) -> list[_Group]:
    """The jobs whose sources remove several files in one request, in groups."""
    by_source: dict[str, list[_Job]] = {}
    for job in jobs:
        if job.source.removes_together:
            by_source.setdefault(job.source.source_id, []).append(job)
    return [
        _Group(own[0].source, own[start : start + own[0].source.removes_together])
        for own in by_source.values()
        for start in range(0, len(own), own[0].source.removes_together)
    ]


def _spread(pool: ThreadPoolExecutor, workers: int, step: Callable[[_Job], None], jobs: list[_Job]) -> None:
    """Run a step over jobs, a slice per thread: a future per file costs more than the step itself."""
    slices = [jobs[start::workers] for start in range(min(workers, len(jobs)))]
    _wait_for([pool.submit(_each, step, part) for part in slices])


def _wait_for(futures: list[Future[None]]) -> None:
    try:
        for future in futures:
            future.result()
    finally:
        # Interrupted from outside: what the threads use must not be closed under them.
        wait(futures)


def _each(step: Callable[[_Work], None], work: Iterable[_Work]) -> None:
    for piece in work:
        step(piece)
