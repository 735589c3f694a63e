"""`Mover`, which carries out orders: how batches follow each other through the steps of a move."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING, Final

from intouch_import.moving.jobs import Job, close
from intouch_import.moving.pacing import Begun, Steps, batches_of, spread, start, transfer, wait_for
from intouch_import.moving.steps import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from intouch_import.ledger import Ledger
    from intouch_import.media import Examiner
    from intouch_import.model import SourceFile
    from intouch_import.moving.jobs import Order
    from intouch_import.reports import Outcome, Problem
    from intouch_import.repositories.base import PatientRepository

__all__ = ["Mover"]

_WORKERS: Final = 2


class Mover:
    """Carries out orders.

    Args:
        repository: Where to.
        ledger: Where it is written down.
        clock: Gives the time, aware.
        workers: Threads that verify. How many read and remove, each source says (`Source.concurrency`).
        threads: How many threads there are at most, whatever the sources say together.
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
        threads: int | None = None,
        examiner: Examiner | None = None,
    ) -> None:
        self._repository = repository
        self._ledger = ledger
        self._clock = clock
        self._workers = workers
        self._threads = threads
        self._examiner = examiner
        self._untold: set[str] = set()

    def take_untold(self) -> set[str]:
        """Ids of sources of which the ledger may not know every removal; asked again, those since then."""
        untold, self._untold = self._untold, set()
        return untold

    def move(
        self,
        orders: Sequence[Order],
        *,
        on_done: Callable[[Sequence[Outcome], int], None] = lambda _outcomes, _size_bytes: None,
        cancelled: Callable[[], bool] = lambda: False,
        pace: Callable[[SourceFile], None] = lambda _file: None,
    ) -> tuple[list[Outcome], list[Problem]]:
        """Move files. Nothing that goes wrong with one of them stops the others.

        Args:
            orders: What to move; no file twice.
            on_done: Called in this thread after every batch with its outcomes and its bytes.
            cancelled: Asked before every file; once True, files not yet begun stay where they are.
            pace: Called before every file, in the thread that reads it; it may wait.

        Returns:
            One outcome per order, in order, and one problem per location that failed.
        """
        run = Run(self._repository, self._ledger, self._clock, cancelled, self._examiner, pace)
        sources = {order.source.source_id: order.source for order in orders}
        told, self._untold = self._untold, self._untold | sources.keys()  # should it be interrupted
        # Those that read the next batch are busy to its end: what this one needs has threads of its own, as
        # far as the host allows them.
        threads = self._workers + sum(source.concurrency for source in sources.values())
        if self._threads is not None:
            threads = min(threads, self._threads)
        with ThreadPoolExecutor(threads, thread_name_prefix="intouch-move") as pool:
            outcomes = _in_batches(run, orders, pool, self._workers, on_done)
        if run.told:
            self._untold = told
        return outcomes, run.problems


def _in_batches(
    run: Run,
    orders: Sequence[Order],
    pool: ThreadPoolExecutor,
    workers: int,
    on_done: Callable[[Sequence[Outcome], int], None],
) -> list[Outcome]:
    """Take orders through the steps: one batch is read while the one before it is stored."""
    batches = ([Job(order) for order in batch] for batch in batches_of(orders))
    steps = Steps(partial(transfer, pool), partial(spread, pool, workers))

    def begin() -> Begun:
        jobs = next(batches, [])
        return Begun(jobs, start(pool, run.fetch, jobs))

    outcomes: list[Outcome] = []
    current = begin()
    while current.jobs:
        following = Begun([], [])
        try:
            wait_for(current.futures)
            if ahead := _are_copies(current.jobs):
                following = begin()
            run.finish(current.jobs, steps)
            close(current.jobs)
            done = [job.outcome for job in current.jobs if job.outcome is not None]
            outcomes += done
            on_done(done, sum(job.order.file.size_bytes for job in current.jobs))
            if not ahead:
                following = begin()
        except BaseException:
            run.break_off()
            wait(following.futures)
            close(following.jobs)
            raise
        finally:
            close(current.jobs)
        current = following
    return outcomes


def _are_copies(jobs: Sequence[Job]) -> bool:
    """Whether a batch holds copies alone: then the next one is read while this one is stored.

    Copies take the disk some time, or came over a network. Files that are only linked take neither: that was
    tried, and is slower, since the threads then fight for the interpreter. And each of them keeps a
    descriptor, of which there are enough for one batch.
    """
    contents = [job.content for job in jobs if job.content is not None]
    return bool(contents) and all(content.is_copy for content in contents)
