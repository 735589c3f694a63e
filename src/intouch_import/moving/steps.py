"""The steps of a move, in their order. The only file that may remove a source file."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from intouch_import import disk
from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.errors import (
    FileChanged,
    FileError,
    FileUnreadable,
    FileVanished,
    SignInNeeded,
    SourceError,
    kind_and_place,
)
from intouch_import.ledger import Event
from intouch_import.media.sniffing import HEAD_BYTES, content_reason
from intouch_import.model import Reason, State
from intouch_import.moving.file_move import hold_companions, precise_reason
from intouch_import.moving.identity import compare_identity
from intouch_import.moving.settling import Settling, check_age, was_changed
from intouch_import.moving.storing import Storing
from intouch_import.moving.threads import start, start_slices, start_together, wait_for
from intouch_import.reports import LEDGER, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    from intouch_import.content import Content
    from intouch_import.ledger import Ledger
    from intouch_import.ledger.claims import Claim
    from intouch_import.media import Examiner
    from intouch_import.model import SourceFile
    from intouch_import.moving.file_move import FileMove
    from intouch_import.repositories.base import PatientRepository
    from intouch_import.sources.base import Source

__all__ = ["MoveSteps"]

log = logging.getLogger(__name__)

_LEDGER_KEY: Final = f"\0{LEDGER}"  # no source has such an id
_LEDGER_PROBLEM: Final = Problem(source_id="", location=LEDGER, text="the ledger could not be written")
_END_EVENTS: Final = {State.IMPORTED: Event.MOVED, State.STORED: Event.NOT_REMOVED}


class MoveSteps:
    """The steps of one call of `Mover.move`, and what they have found on the way.

    Args:
        repository, ledger, clock, examiner: See `Mover`.
        cancelled, pace, rehearsal: See `Mover.move`.
        pool: Runs the steps that read, verify and remove.
        workers: How many threads verify.

    Attributes:
        problems: One per location that failed, by source id; and those of the records and the ledger.
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
        rehearsal: bool = False,
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
        self._rehearsal = rehearsal
        self._lock = threading.Lock()
        self._broken_off = False
        self._staging = repository.staging
        self._storing = Storing(repository, ledger, problems=self.problems)
        self._settling = Settling(repository, ledger, clock)

    def break_off(self) -> None:
        """Read no further file."""
        self._broken_off = True

    def begin(self, moves: Sequence[FileMove]) -> list[Future[None]]:
        """Start to read files."""
        return start(self._pool, self._fetch, moves)

    def finish(self, moves: list[FileMove]) -> None:
        """Take files that were read through the other steps. A file that has ended takes no further step."""
        self._look_for_vanished(moves)
        hold_companions(moves)
        if self._rehearsal:
            self._storing.rehearse([move for move in moves if move.outcome is None])
            return
        claim = self._claim([move for move in moves if move.outcome is None])
        if claim is None:
            self._write_ends(moves, [])
            return
        with claim:
            try:
                self._storing.store([move for move in moves if move.outcome is None])
                stored = [move for move in moves if move.outcome is None]
                wait_for(start_slices(self._pool, self._verify, stored, count=self._workers))
                self._write_stored([move for move in moves if move.outcome is None])
                removing = [move for move in moves if move.outcome is None]
                self._remove_all(removing, claim)
            finally:
                for move in moves:
                    self._settling.settle(move)
            self._write_ends(moves, removing)

    def _claim(self, moves: Sequence[FileMove]) -> Claim | None:
        """Claim files, so that no undo takes them out of the records meanwhile. None: no file can go on."""
        if not moves:
            return None
        try:
            ids = [(move.import_id, move.own_id) for move in moves]
            claim = self._ledger.claims.move({one for both in ids for one in both})
        except Exception as exc:  # noqa: BLE001  # whatever it is, the batch must come to its end
            self.problems[_LEDGER_KEY] = _LEDGER_PROBLEM
            log.error("the ledger could not be written; nothing was stored", extra=kind_and_place(exc))
            for move in moves:
                move.end(State.FAILED, Reason.LEDGER_FAILED, retry_helps=True)
            return None
        for move, both in zip(moves, ids, strict=True):
            if claim.refused.intersection(both):
                move.end(State.WAITING, Reason.UNDONE, retry_helps=True)
        hold_companions(moves)
        return claim

    def _remove_all(self, moves: Sequence[FileMove], claim: Claim) -> None:
        alone = [move for move in moves if not move.source.removes_together]
        together = [move for move in moves if move.source.removes_together]
        wait_for(start(self._pool, partial(self._remove, claim), alone))
        wait_for(start_together(self._pool, partial(self._remove_together, claim), together))

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
            if order.keep or not self._settling.able:
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
                named_at=order.taken_at,
                named_from=order.taken_from,
                trust_content=order.trust_content,
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
            if not self._settling.prove(move, content):
                return
            with self._repository.open_attachment(stored.id) as stream:
                if content.is_same_file(stream):
                    return
                found = disk.digest_stream(stream)
            is_whole = (found.sha256, found.size_bytes) == (content.sha256, content.size_bytes)
            if not is_whole and was_changed(content):
                self._settling.take_back(move, content)
                return
        except Exception as exc:  # noqa: BLE001  # whatever a host's repository raises
            log.error("a stored file can't be read back", extra=kind_and_place(exc, import_id=move.import_id))
            move.end(State.FAILED, Reason.STORED_COPY_DIFFERS, retry_helps=True)
            return
        if not is_whole:
            log.error("a stored file differs from what was read", extra={"import_id": move.import_id})
            move.end(State.FAILED, Reason.STORED_COPY_DIFFERS)

    def _write_stored(self, moves: list[FileMove]) -> None:
        """Write "stored" into the ledger. A file that is only copied ends here."""
        try:
            now = self._clock.now()
            self._ledger.append([move.ledger_entry(Event.STORED, move.order.reason, now) for move in moves])
        except Exception as exc:  # noqa: BLE001  # whatever it is, the batch must come to its end
            self.problems[_LEDGER_KEY] = _LEDGER_PROBLEM
            log.error(
                "the ledger could not be written; nothing was removed", extra={"kind": type(exc).__name__}
            )
            for move in moves:
                move.end(State.STORED, Reason.LEDGER_FAILED, retry_helps=True)
            return
        for move in moves:
            if move.order.keep and move.content is not None and move.content.is_altered:
                move.end(State.STORED, Reason.LEFT_IN_SOURCE)
            elif move.order.keep:
                move.end(State.IMPORTED, move.order.reason)

    def _remove(self, claim: Claim, move: FileMove) -> None:
        """Remove one file from its source."""
        if move.content is None:
            raise AssertionError("only files that were read are removed")
        try:
            check_age(claim)
            if not self._settling.prove(move, move.content):
                return
            move.source.remove(move.order.file, sha256=move.sha256)
        except Exception as exc:  # noqa: BLE001  # a failure to remove is not a failure to store
            self._removed(move, exc, claim)
        else:
            self._removed(move, None, claim)

    def _remove_together(self, claim: Claim, source: Source, moves: Sequence[FileMove]) -> None:
        """Remove files of one source in one request."""
        try:
            check_age(claim)
            found = source.remove_many([move.order.file for move in moves])
            if len(found) != len(moves):
                raise AssertionError("one answer for each file")
        except Exception as exc:  # noqa: BLE001  # a failure to remove is not a failure to store
            found = [exc] * len(moves)
        for move, end in zip(moves, found, strict=True):
            self._removed(move, end, claim)

    def _removed(self, move: FileMove, exc: Exception | None, claim: Claim) -> None:
        """Note how a removal ended: done, or why not."""
        match exc:
            case None:
                move.end(State.IMPORTED, move.order.reason)
            case FileVanished():
                move.end(State.IMPORTED, Reason.FINISHED_ELSEWHERE)
            case FileChanged():
                move.end(State.STORED, Reason.CHANGED)
            case _:
                if not isinstance(exc, FileError):
                    claim.keep(move.import_id)  # it is not known whether the file will be removed
                self._note(move.source, exc)
                log.warning(
                    "a stored file could not be removed",
                    extra={"import_id": move.import_id, "kind": type(exc).__name__},
                )
                reason = precise_reason(exc, Reason.NOT_REMOVED)
                move.end(State.STORED, reason, retry_helps=getattr(exc, "retry_helps", True))
        self._settling.settle(move)

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
            self.problems[_LEDGER_KEY] = _LEDGER_PROBLEM
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
                    sign_in=isinstance(exc, SignInNeeded),
                ),
            )
