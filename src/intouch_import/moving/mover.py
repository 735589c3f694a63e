"""`Mover`: carry out move orders, batch by batch, with the threads that each source allows."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final, NamedTuple

from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.moving.file_move import FileMove
from intouch_import.moving.steps import MoveSteps
from intouch_import.moving.threads import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from intouch_import.ledger import Ledger
    from intouch_import.media import Examiner
    from intouch_import.model import SourceFile
    from intouch_import.moving.file_move import MoveOrder
    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Mover"]

_WORKERS: Final = 2
_NEAR: Final = 2  # the threads that a source on a disk asks for


def _most_files(usual: int = 500) -> int:
    """Return how many files a batch may have: a leased file keeps a descriptor until its move is over.

    A batch may use a third of the files that the process may have open at once, usually 1,024.
    """
    if sys.platform == "win32":
        return usual
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return usual if allowed == resource.RLIM_INFINITY else max(1, min(usual, allowed // 3))


# The larger a batch, the fewer commits, each of which waits for the disk.
BATCH_FILES: Final = _most_files()
# Over a network a batch takes longer: a smaller one lets the caller see progress every few seconds.
BATCH_FAR_FILES: Final = 200
BATCH_BYTES: Final = 256 * 1024 * 1024


class Mover:
    """Carries out move orders.

    Args:
        repository: The patient records.
        ledger: Where the moves are written down.
        clock: Gives the time.
        workers: Threads that verify. `Source.concurrency` says how many read and remove.
        threads: The most threads, whatever the sources ask for together.
        examiner: Looks into every file. Without one, only automatic imports are judged, by their first and
            last bytes alone.
    """

    def __init__(
        self,
        repository: PatientRepository,
        ledger: Ledger,
        *,
        clock: Clock = SYSTEM_CLOCK,
        workers: int = _WORKERS,
        threads: int | None = None,
        examiner: Examiner | None = None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self._workers = workers
        self._threads = threads
        self._examiner = examiner
        self._incomplete: set[str] = set()

    def take_incomplete(self) -> set[str]:
        """Return the ids of sources whose removals may be missing from the ledger, and forget them."""
        incomplete, self._incomplete = self._incomplete, set()
        return incomplete

    def move(
        self,
        orders: Sequence[MoveOrder],
        *,
        on_done: Callable[[Sequence[Outcome], int], None] = lambda _outcomes, _size_bytes: None,
        cancelled: Callable[[], bool] | None = None,
        pace: Callable[[SourceFile], None] | None = None,
        rehearsal: bool = False,
    ) -> tuple[list[Outcome], list[Problem]]:
        """Move files. A failure of one file stops no other.

        Args:
            orders: What to move; no file twice.
            on_done: Called in this thread after every batch with its outcomes and its bytes.
            cancelled: Called before every file; once it returns True, no further file is begun.
            pace: Called before every file, in the thread that reads it; it may wait.
            rehearsal: Whether to read and check automatic imports only. The outcomes then say how each
                would end; nothing is stored, removed or written into the ledger.

        Returns:
            One outcome per order, in order. One problem for each location that failed, and for the records
            and the ledger.
        """
        sources = {order.source.source_id: order.source for order in orders}
        # Until the end, all of them count as incomplete: the move may be interrupted.
        incomplete, self._incomplete = self._incomplete, self._incomplete | sources.keys()
        # The threads that read the next batch are busy to its end, so the current batch has threads of its
        # own, as far as the host allows.
        threads = self._workers + sum(source.concurrency for source in sources.values())
        if self._threads is not None:
            threads = min(threads, self._threads)
        with ThreadPoolExecutor(threads, thread_name_prefix="intouch-move") as pool:
            steps = MoveSteps(
                self._repository,
                self._ledger,
                clock=self._clock,
                cancelled=cancelled,
                examiner=self._examiner,
                pace=pace,
                pool=pool,
                workers=self._workers,
                rehearsal=rehearsal,
            )
            outcomes = _move_in_batches(steps, orders, on_done)
        if steps.ledger_complete:
            self._incomplete = incomplete
        return outcomes, list(steps.problems.values())


class _Begun(NamedTuple):
    """A batch that is being read."""

    moves: list[FileMove]
    futures: list[Future[None]]


def _move_in_batches(
    steps: MoveSteps,
    orders: Sequence[MoveOrder],
    on_done: Callable[[Sequence[Outcome], int], None],
) -> list[Outcome]:
    """Take orders through the steps: a batch is read while the batch before it is stored."""
    batches = batches_of(orders)

    def begin() -> _Begun:
        moves = [FileMove(order) for order in next(batches, [])]
        return _Begun(moves, steps.begin(moves) if moves else [])

    outcomes: list[Outcome] = []
    current = begin()
    while current.moves:
        following = _Begun([], [])
        moves = current.moves
        try:
            try:
                wait_for(current.futures)
                if ahead := steps.are_copies(moves):
                    following = begin()
                steps.finish(moves)
            finally:
                steps.close(moves)
            done = [move.outcome for move in moves if move.outcome is not None]
            outcomes += done
            on_done(done, sum(move.order.file.size_bytes for move in moves))
            if not ahead:
                following = begin()
        except BaseException:
            steps.break_off()
            wait(following.futures)
            steps.close(following.moves)
            raise
        current = following
    return outcomes


def batches_of(orders: Sequence[MoveOrder]) -> Iterator[list[MoveOrder]]:
    """Split orders into batches, each the size of one transaction. A group of files is not split."""
    batch: list[MoveOrder] = []
    size = 0
    for order in orders:
        files = BATCH_FILES if order.source.concurrency <= _NEAR else min(BATCH_FILES, BATCH_FAR_FILES)
        full = len(batch) >= files or size + order.file.size_bytes > BATCH_BYTES
        if batch and full and not (order.companion_of == batch[-1].group_id and len(batch) < 2 * files):
            yield batch
            batch, size = [], 0
        batch.append(order)
        size += order.file.size_bytes
    if batch:
        yield batch
