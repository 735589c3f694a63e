"""`Run`: the steps of a move, in their order. The only room that may remove a source file."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Final

from intouch_import import disk
from intouch_import.copies import CopyFinder, Incoming
from intouch_import.errors import (
    FileChanged,
    FileError,
    FileUnreadable,
    FileVanished,
    InTouchImportError,
    SourceError,
    UnknownPatient,
    kind_and_place,
)
from intouch_import.ledger import Event
from intouch_import.media.sniffing import HEAD_BYTES, content_reason
from intouch_import.model import Reason, State
from intouch_import.moving.jobs import attachment_of, entry_of, open_ones, precisely
from intouch_import.moving.pacing import together
from intouch_import.moving.twins import doubt_rivals, follow, name_twins, one_of_each
from intouch_import.reports import Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from intouch_import.content import Content
    from intouch_import.ledger import Ledger
    from intouch_import.media import Examiner
    from intouch_import.model import SourceFile
    from intouch_import.moving.jobs import Job
    from intouch_import.moving.pacing import Group, Steps
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["Run", "remove_pinned"]

log = logging.getLogger(__name__)

_GIVE_UP_AFTER: Final = 3
_END_EVENTS: Final = {State.IMPORTED: Event.MOVED, State.STORED: Event.NOT_REMOVED}


def remove_pinned(source: Source, file: SourceFile, *, sha256: str) -> None:
    """Take a file out of its source, if it still is the version that was read. See `Source.remove`.

    The one line of this library that does so. Whoever calls it has the bytes, verified, in a repository.
    """
    source.remove(file, sha256=sha256)


class Run:
    """One call of `Mover.move`: what is done with each batch, and what has been found on the way.

    Args:
        repository, ledger, clock, examiner: As those of the `Mover`.
        cancelled, pace: As for `Mover.move`.

    Attributes:
        told: Whether the ledger knows how each file ended.
    """

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        clock: Callable[[], datetime],
        cancelled: Callable[[], bool],
        examiner: Examiner | None = None,
        pace: Callable[[SourceFile], None] = lambda _file: None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self._cancelled = cancelled
        self._pace = pace
        self.told = True
        self._examiner = examiner
        self._lock = threading.Lock()
        self._problems: dict[str, Problem] = {}
        self._failures_in_a_row = 0
        self._broken_off = False
        self._staging = repository.staging
        self._find_copies = CopyFinder(repository, ledger)

    @property
    def problems(self) -> list[Problem]:
        """One per location that failed."""
        return list(self._problems.values())

    def break_off(self) -> None:
        """Read no file that has not been begun."""
        self._broken_off = True

    def fetch(self, job: Job) -> None:
        """Read the pinned version, and look whether it may go on."""
        order = job.order
        if not self._broken_off:
            self._pace(order.file)
        if self._broken_off or self._cancelled():
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
            if order.keep:
                content.stay_apart()
        except Exception as exc:  # noqa: BLE001  # a source's bug must not stop the other files
            self._note(order.source, exc)
            job.fail(exc)
            return
        if order.stored is not None and order.stored.sha256 != content.sha256:
            job.end(State.FAILED, Reason.STORED_COPY_DIFFERS)
        elif order.stored is None and (order.automatic or self._examiner is not None):
            self._look_inside(job, content)

    def finish(self, jobs: list[Job], steps: Steps) -> None:
        """Bring files that were read to their end: store, verify, write down, remove, write down."""
        self._look_for_vanished(jobs)
        self._store(open_ones(jobs))
        steps.spread(self._verify, open_ones(jobs))
        self._write_stored(open_ones(jobs))
        self._let_stay([job for job in open_ones(jobs) if job.order.keep])
        removing = open_ones(jobs)
        steps.transfer(self._remove, [job for job in removing if not job.source.removes_together])
        steps.transfer(self._remove_together, together(removing))
        self._write_ends(jobs, removing)

    # --- the steps

    def _look_inside(self, job: Job, content: Content) -> None:
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

    def _doubt(self, job: Job, content: Content) -> Reason | None:
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
                named_at=None if job.order.trust_content else job.order.taken_at,
                modified_at=file.modified_at,
            )
        return job.facts.doubt

    def _look_for_vanished(self, jobs: list[Job]) -> None:
        """A file that is gone may have been moved by another workstation: say whose record it is in then."""
        gone = [job for job in jobs if job.outcome is not None and job.outcome.reason is Reason.VANISHED]
        if not gone:
            return
        try:
            stored = self._repository.find_attachment([job.import_id for job in gone])
            by_job = [(job, stored.get(job.import_id)) for job in gone]
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises: the file is gone anyway
            log.warning("the repository can't be asked", extra=kind_and_place(exc))
            return
        for job, found in by_job:
            if found is None:
                continue
            job.stored = found
            if found.patient_id == job.order.patient_id:
                job.end(State.IMPORTED, Reason.FINISHED_ELSEWHERE)
            else:
                job.end(State.FAILED, Reason.ALREADY_ASSIGNED)

    def _store(self, jobs: list[Job]) -> None:
        new = [job for job in jobs if job.stored is None]
        doubt_rivals(new)
        while new := open_ones(new):
            # Of files with the same bytes one at a time, so that each finds the one before it stored.
            first, new = one_of_each(new)
            self._store_together(first)
            follow(first, new)

    def _store_together(self, new: list[Job]) -> None:
        try:
            self._add(new)
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            if len(new) == 1:
                self._repository_failed(new[0], exc)
                return
            # Something in the batch broke the transaction. One at a time, so that it stops nobody else.
            for job in new:
                self._store_alone(job)

    def _store_alone(self, job: Job) -> None:
        if self._failures_in_a_row >= _GIVE_UP_AFTER:
            job.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
            return
        try:
            self._add([job])
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            self._repository_failed(job, exc)

    def _add(self, jobs: list[Job]) -> None:
        # In one transaction: what was not found is then still not there when these are stored.
        with self._repository.transaction() if self._find_copies.able else contextlib.nullcontext():
            jobs = self._without_copies(jobs)
            items = [(attachment_of(job), job.content) for job in jobs if job.content is not None]
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
        name_twins(jobs)
        self._failures_in_a_row = 0

    def _without_copies(self, jobs: list[Job]) -> list[Job]:
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
        return open_ones(jobs)

    def _repository_failed(self, job: Job, exc: Exception) -> None:
        if not isinstance(exc, (FileError, UnknownPatient)):
            self._failures_in_a_row += 1
            log.error("the repository failed", extra=kind_and_place(exc, import_id=job.import_id))
        if not isinstance(exc, InTouchImportError):
            job.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
            return
        job.fail(exc)

    def _verify(self, job: Job) -> None:
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
            log.error("a stored file can't be read back", extra=kind_and_place(exc, import_id=job.import_id))
            job.end(State.FAILED, Reason.STORED_COPY_DIFFERS, retry_helps=True)
            return
        if (found.sha256, found.size_bytes) != (content.sha256, content.size_bytes):
            log.error("a stored file differs from what was read", extra={"import_id": job.import_id})
            job.end(State.FAILED, Reason.STORED_COPY_DIFFERS)

    def _write_stored(self, jobs: list[Job]) -> None:
        try:
            now = self._clock()
            self._ledger.append(entry_of(job, Event.STORED, job.order.reason, now) for job in jobs)
        except Exception as exc:  # noqa: BLE001  # whatever it is, the batch must come to its end
            log.error(
                "the ledger could not be written; nothing was removed", extra={"kind": type(exc).__name__}
            )
            for job in jobs:
                job.end(State.STORED, Reason.LEDGER_FAILED, retry_helps=True)

    @staticmethod
    def _let_stay(jobs: list[Job]) -> None:
        """A file that is copied has come to its end when the ledger says that it is stored."""
        for job in jobs:
            job.end(State.IMPORTED, job.order.reason)

    def _remove(self, job: Job) -> None:
        digest = job.digest
        try:
            remove_pinned(job.source, job.order.file, sha256=digest)
        except Exception as exc:  # noqa: BLE001  # a failure to remove is not a failure to store
            self._removed(job, exc)
        else:
            self._removed(job, None)

    def _remove_together(self, group: Group) -> None:
        jobs = group.jobs
        try:
            found = group.source.remove_many([job.order.file for job in jobs])
            if len(found) != len(jobs):
                raise AssertionError("one answer for each file")
        except Exception as exc:  # noqa: BLE001  # as for one
            found = [exc] * len(jobs)
        for job, end in zip(jobs, found, strict=True):
            self._removed(job, end)

    def _removed(self, job: Job, exc: Exception | None) -> None:
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
                reason = precisely(exc, Reason.NOT_REMOVED)
                job.end(State.STORED, reason, retry_helps=getattr(exc, "retry_helps", True))
        try:
            job.read.settle()
        except Exception as error:  # noqa: BLE001  # the file is stored and gone; the others go on
            log.error(
                "a stored file may still be open to another program",
                extra={"import_id": job.import_id, "kind": type(error).__name__},
            )

    def _write_ends(self, jobs: list[Job], removed: list[Job]) -> None:
        for source in {job.source.source_id: job.source for job in removed}.values():
            try:
                source.sync()
            except Exception as exc:  # noqa: BLE001  # the files are gone already; say so all the same
                self._note(source, exc)
                log.warning("a source could not be synced", extra={"kind": type(exc).__name__})
        if any(job.outcome is not None and job.outcome.state is State.STORED for job in removed):
            self.told = False  # it may be gone all the same, or be taken away by hand
        now = self._clock()
        entries = []
        for job in jobs:
            outcome = job.outcome
            if outcome is None or outcome.state in (State.WAITING, State.IGNORED):
                continue
            if outcome.state is State.IMPORTED and (job.content is None or job.order.keep):
                continue  # it was not moved here: whoever moved it writes that down
            entries.append(entry_of(job, _END_EVENTS.get(outcome.state, Event.FAILED), outcome.reason, now))
        try:
            self._ledger.append(entries)
        except Exception as exc:  # noqa: BLE001  # likewise
            # The files are stored and the ledger says so; `Inbox.refresh` writes the missing "moved".
            self.told = False
            log.error("the ledger could not be written after a removal", extra={"kind": type(exc).__name__})

    # --- inside

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
