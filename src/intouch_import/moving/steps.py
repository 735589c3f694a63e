"""The steps of a move, in their order. The only file that may remove a source file."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import wait
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from intouch_import import disk
from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.errors import FileChanged, FileUnreadable, FileVanished, SourceError, kind_and_place
from intouch_import.ledger import Event
from intouch_import.media.sniffing import HEAD_BYTES, content_reason
from intouch_import.model import Reason, State
from intouch_import.moving.file_move import precise_reason
from intouch_import.moving.identity import compare_identity
from intouch_import.moving.storing import Storing
from intouch_import.reports import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    from intouch_import.content import Content
    from intouch_import.ledger import Ledger
    from intouch_import.media import Examiner
    from intouch_import.model import SourceFile
    from intouch_import.moving.file_move import FileMove
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["MoveSteps", "remove_pinned", "wait_for"]

log = logging.getLogger(__name__)

_Work = TypeVar("_Work")
_END_EVENTS: Final = {State.IMPORTED: Event.MOVED, State.STORED: Event.NOT_REMOVED}


def remove_pinned(source: Source, file: SourceFile, *, sha256: str) -> None:
    """Take a file out of its source, if it still is the version that was read. See `Source.remove`.

    The caller has the bytes, verified, in a repository.
    """
    source.remove(file, sha256=sha256)


class MoveSteps:
    """The steps of one call of `Mover.move`, and what they have found on the way.

    Args:
        repository, ledger, clock, examiner: See `Mover`.
        cancelled, pace: See `Mover.move`.
        pool: Runs the steps that read, verify and remove.
        workers: How many threads verify.

    Attributes:
        problems: One per location that failed, by source id.
        ledger_complete: Whether the ledger knows how each file ended.
    """

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        *,
        clock: Clock = SYSTEM_CLOCK,
        cancelled: Callable[[], bool] | None = None,
        examiner: Examiner | None = None,
        pace: Callable[[SourceFile], None] | None = None,
        pool: ThreadPoolExecutor,
        workers: int,
    ) -> None:
        self.problems: dict[str, Problem] = {}
        self.ledger_complete = True
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self._cancelled = cancelled
        self._pace = pace
        self._examiner = examiner
        self._pool = pool
        self._workers = workers
        self._lock = threading.Lock()
        self._broken_off = False
        self._staging = repository.staging
        self._storing = Storing(repository, ledger)

    def break_off(self) -> None:
        """Read no further file."""
        self._broken_off = True

    def begin(self, moves: Sequence[FileMove]) -> list[Future[None]]:
        """Start to read files."""
        return self._start(self._fetch, moves)

    def finish(self, moves: list[FileMove]) -> None:
        """Take files that were read through the other steps. A file that has ended takes no further step."""
        self._look_for_vanished(moves)
        self._storing.store([move for move in moves if move.outcome is None])
        stored = [move for move in moves if move.outcome is None]
        # A slice per thread: a future per file costs more than the step itself.
        slices = [stored[start :: self._workers] for start in range(min(self._workers, len(stored)))]
        wait_for([self._pool.submit(_each, self._verify, part) for part in slices])
        self._write_stored([move for move in moves if move.outcome is None])
        removing = [move for move in moves if move.outcome is None]
        wait_for(self._start(self._remove, [move for move in removing if not move.source.removes_together]))
        wait_for(self._start_together([move for move in removing if move.source.removes_together]))
        self._write_ends(moves, removing)

    @staticmethod
    def are_copies(moves: Sequence[FileMove]) -> bool:
        """Return whether a batch holds copies alone: then the next batch is read while this one is stored.

        Copies keep the disk busy, or came over a network. Files that are only linked do neither: reading
        ahead was tried for them and is slower, since the threads then compete for the interpreter. And each
        of them keeps a descriptor, of which there are enough for one batch.
        """
        contents = [move.content for move in moves if move.content is not None]
        return bool(contents) and all(content.is_copy for content in contents)

    @staticmethod
    def close(moves: Iterable[FileMove]) -> None:
        """Release what was read."""
        for move in moves:
            if move.content is not None:
                move.content.close()

    # --- the steps

    def _fetch(self, move: FileMove) -> None:
        """Read the pinned version, and check its content."""
        order = move.order
        if self._pace is not None and not self._broken_off:
            self._pace(order.file)
        if self._broken_off or (self._cancelled is not None and self._cancelled()):
            move.end(State.WAITING, Reason.CANCELLED, retry_helps=True)
            return
        if move.source.source_id in self.problems:
            move.end(State.FAILED, Reason.SOURCE_FAILED, retry_helps=True)
            return
        if self._storing.given_up:
            move.end(State.FAILED, Reason.REPOSITORY_FAILED, retry_helps=True)
            return
        fetch = move.source.fetch if order.automatic else move.source.fetch_as_delivered
        try:
            content = move.content = fetch(order.file, staging=self._staging)
            move.sha256 = content.sha256
            if order.keep:
                content.stay_apart()
        except Exception as exc:  # noqa: BLE001  # a source's bug must not stop the other files
            self._note(move.source, exc)
            move.fail(exc)
            return
        if self._is_new(move):
            self._look_inside(move, content)

    @staticmethod
    def _is_new(move: FileMove) -> bool:
        """Return whether a file that was read is to be stored: its bytes are not the stored ones."""
        order, stored = move.order, move.stored
        if stored is None:
            return True
        if not move.is_other_than(stored):
            if stored.patient_id != order.patient_id:
                move.end(State.FAILED, Reason.ALREADY_ASSIGNED)
            return False
        if order.only_finish:
            move.end(State.WAITING, Reason.CHANGED)
            return False
        return True

    def _look_inside(self, move: FileMove, content: Content) -> None:
        """Check what the bytes are, and whom they name."""
        if move.order.automatic or self._examiner is not None:
            self._check(move, content)
        if move.outcome is None:
            compare_identity(move, content, self._repository)

    def _check(self, move: FileMove, content: Content) -> None:
        """Check what the bytes are. A doubt keeps an automatic import waiting; a person's choice goes on."""
        try:
            doubt = self._doubt(move, content)
        except OSError as exc:
            move.fail(FileUnreadable("the file could not be read again", errno=exc.errno))
            return
        except Exception as exc:  # noqa: BLE001  # a bug in front of odd bytes must not stop the other files
            log.error(
                "a content could not be examined",
                extra={"import_id": move.import_id, "kind": type(exc).__name__},
            )
            doubt = Reason.CONTENT_UNCHECKED
        if doubt is not None and move.order.automatic:
            move.end(State.WAITING, doubt)

    def _doubt(self, move: FileMove, content: Content) -> Reason | None:
        order = move.order
        if self._examiner is None:
            head, tail = content.edges(HEAD_BYTES)
            return content_reason(order.file.name, head=head, tail=tail, size_bytes=content.size_bytes)
        with content.open() as stream:
            move.facts = self._examiner.examine(
                stream,
                name=order.file.name,
                size_bytes=content.size_bytes,
                sha256=content.sha256,
                named_at=None if order.trust_content else order.taken_at,
                modified_at=order.file.modified_at,
            )
        return move.facts.doubt

    def _look_for_vanished(self, moves: Sequence[FileMove]) -> None:
        """Ask the records for files that are gone: another workstation may have moved them."""
        gone = [move for move in moves if move.outcome is not None and move.outcome.reason is Reason.VANISHED]
        if not gone:
            return
        try:
            stored = self._repository.find_attachment([move.import_id for move in gone])
            found = [(move, stored.get(move.import_id)) for move in gone]
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises: the file is gone anyway
            log.warning("the repository can't be asked", extra=kind_and_place(exc))
            return
        for move, attachment in found:
            if attachment is None:
                continue
            move.stored = attachment
            if attachment.patient_id == move.order.patient_id:
                move.end(State.IMPORTED, Reason.FINISHED_ELSEWHERE)
            else:
                move.end(State.FAILED, Reason.ALREADY_ASSIGNED)

    def _verify(self, move: FileMove) -> None:
        """Read back what was stored: the repository's word is not enough."""
        content, stored = move.content, move.stored
        if content is None or stored is None:
            raise AssertionError("only stored files are verified")
        try:
            with self._repository.open_attachment(stored.id) as stream:
                if content.is_same_file(stream):
                    return
                found = disk.digest_stream(stream)
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            log.error("a stored file can't be read back", extra=kind_and_place(exc, import_id=move.import_id))
            move.end(State.FAILED, Reason.STORED_COPY_DIFFERS, retry_helps=True)
            return
        if (found.sha256, found.size_bytes) != (content.sha256, content.size_bytes):
            log.error("a stored file differs from what was read", extra={"import_id": move.import_id})
            move.end(State.FAILED, Reason.STORED_COPY_DIFFERS)

    def _write_stored(self, moves: list[FileMove]) -> None:
        """Write "stored" into the ledger. A file that is only copied ends here."""
        try:
            now = self._clock.now()
            self._ledger.append([move.ledger_entry(Event.STORED, move.order.reason, now) for move in moves])
        except Exception as exc:  # noqa: BLE001  # whatever it is, the batch must come to its end
            log.error(
                "the ledger could not be written; nothing was removed", extra={"kind": type(exc).__name__}
            )
            for move in moves:
                move.end(State.STORED, Reason.LEDGER_FAILED, retry_helps=True)
            return
        for move in moves:
            if move.order.keep:
                move.end(State.IMPORTED, move.order.reason)

    def _remove(self, move: FileMove) -> None:
        """Remove one file from its source."""
        if not move.sha256:
            raise AssertionError("only files that were read are removed")
        try:
            remove_pinned(move.source, move.order.file, sha256=move.sha256)
        except Exception as exc:  # noqa: BLE001  # a failure to remove is not a failure to store
            self._removed(move, exc)
        else:
            self._removed(move, None)

    def _remove_together(self, source: Source, moves: Sequence[FileMove]) -> None:
        """Remove files of one source in one request."""
        try:
            found = source.remove_many([move.order.file for move in moves])
            if len(found) != len(moves):
                raise AssertionError("one answer for each file")
        except Exception as exc:  # noqa: BLE001  # a failure to remove is not a failure to store
            found = [exc] * len(moves)
        for move, end in zip(moves, found, strict=True):
            self._removed(move, end)

    def _removed(self, move: FileMove, exc: Exception | None) -> None:
        """Note how a removal ended: done, or why not."""
        match exc:
            case None:
                move.end(State.IMPORTED, move.order.reason)
            case FileVanished():
                move.end(State.IMPORTED, Reason.FINISHED_ELSEWHERE)
            case FileChanged():
                move.end(State.STORED, Reason.CHANGED)
            case _:
                self._note(move.source, exc)
                log.warning(
                    "a stored file could not be removed",
                    extra={"import_id": move.import_id, "kind": type(exc).__name__},
                )
                reason = precise_reason(exc, Reason.NOT_REMOVED)
                move.end(State.STORED, reason, retry_helps=getattr(exc, "retry_helps", True))
        if move.content is None:
            raise AssertionError("only files that were read are removed")
        try:
            move.content.settle()
        except Exception as error:  # noqa: BLE001  # the file is stored and gone; the others go on
            log.error(
                "a stored file may still be open to another program",
                extra={"import_id": move.import_id, "kind": type(error).__name__},
            )

    def _write_ends(self, moves: Sequence[FileMove], removed: Sequence[FileMove]) -> None:
        """Make the removals durable, and write the end of each file into the ledger.

        Args:
            moves: The files of the batch.
            removed: Those that were removed, or should have been.
        """
        for source in {move.source.source_id: move.source for move in removed}.values():
            try:
                source.sync()
            except Exception as exc:  # noqa: BLE001  # the files are gone already; report them all the same
                self._note(source, exc)
                log.warning("a source could not be synced", extra={"kind": type(exc).__name__})
        if any(move.outcome is not None and move.outcome.state is State.STORED for move in removed):
            self.ledger_complete = False  # it may be gone all the same, or somebody may delete it by hand
        now = self._clock.now()
        entries = []
        for move in moves:
            outcome = move.outcome
            if outcome is None or outcome.state in (State.WAITING, State.IGNORED):
                continue
            if outcome.state is State.IMPORTED and (move.content is None or move.order.keep):
                continue  # it was not moved here: the workstation that moved it writes the entry
            event = _END_EVENTS.get(outcome.state, Event.FAILED)
            entries.append(move.ledger_entry(event, outcome.reason, now))
        try:
            self._ledger.append(entries)
        except Exception as exc:  # noqa: BLE001  # the batch must come to its end
            # The files are stored and the ledger says so; `Inbox.refresh` writes the missing "moved".
            self.ledger_complete = False
            log.error("the ledger could not be written after a removal", extra={"kind": type(exc).__name__})

    def _note(self, source: Source, exc: Exception) -> None:
        """Remember that a location failed, so that its other files are not tried one by one."""
        if not isinstance(exc, SourceError):
            return
        with self._lock:
            self.problems.setdefault(
                source.source_id,
                Problem(
                    source_id=source.source_id,
                    location=source.location,
                    text=str(exc),
                    retry_helps=exc.retry_helps,
                ),
            )

    # --- threads

    def _start(self, step: Callable[[FileMove], None], moves: Iterable[FileMove]) -> list[Future[None]]:
        """Start a step over files. The threads of a source share an iterator: each takes the next file."""
        shares: list[Iterator[FileMove]] = []
        for own in _by_source(moves):
            shares += [iter(own)] * min(own[0].source.concurrency, len(own))
        return [self._pool.submit(_each, step, share) for share in shares]

    def _start_together(self, moves: Iterable[FileMove]) -> list[Future[None]]:
        """Start removals that take several files of one source in one request."""
        futures = []
        for own in _by_source(moves):
            source, size = own[0].source, own[0].source.removes_together
            groups = [own[start : start + size] for start in range(0, len(own), size)]
            step, share = partial(self._remove_together, source), iter(groups)
            threads = min(source.concurrency, len(groups))
            futures += [self._pool.submit(_each, step, share) for _ in range(threads)]
        return futures


def _by_source(moves: Iterable[FileMove]) -> Iterable[list[FileMove]]:
    groups: dict[str, list[FileMove]] = {}
    for move in moves:
        groups.setdefault(move.source.source_id, []).append(move)
    return groups.values()


def _each(step: Callable[[_Work], None], work: Iterable[_Work]) -> None:
    for piece in work:
        step(piece)


def wait_for(futures: list[Future[None]]) -> None:
    """Wait for all of them; raise what the first that failed has raised."""
    try:
        for future in futures:
            future.result()
    finally:
        # After an interruption from outside: what the threads use must not be closed while they use it.
        wait(futures)
