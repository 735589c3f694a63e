"""How many files are under way at once: batches, and the threads that a step runs in."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from intouch_import.moving.jobs import Job, Order
    from intouch_import.sources.base import Source

__all__ = ["Begun", "Group", "Steps", "batches_of", "spread", "start", "together", "transfer", "wait_for"]

Work = TypeVar("Work", "Job", "Group")


def _most_files(usual: int = 500) -> int:
    """How many files a batch may have: a leased one keeps a descriptor until its move is over.

    A third of those that the process may have open at once, 1,024 as a rule, is for a batch.
    """
    if sys.platform == "win32":
        return usual
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return usual if allowed == resource.RLIM_INFINITY else max(1, min(usual, allowed // 3))


BATCH_FILES: Final = _most_files()
"""The larger, the fewer commits, each of which waits for the disk."""

BATCH_FAR_FILES: Final = 200
"""Likewise of what comes over a network: whoever waits for it hears of a batch every few seconds."""

_NEAR: Final = 2  # threads that a source on a disk asks for
BATCH_BYTES: Final = 256 * 1024 * 1024


@attrs.frozen
class Group:
    """Files of one source that leave it in one request."""

    source: Source
    jobs: list[Job]


class Begun(NamedTuple):
    """A batch that is being read."""

    jobs: list[Job]
    futures: list[Future[None]]


class Steps(NamedTuple):
    """How a step is run over a batch: in the threads of each source, or in those of this machine."""

    transfer: Callable[[Callable[[Any], None], Sequence[Any]], None]
    spread: Callable[[Callable[[Job], None], list[Job]], None]


def batches_of(orders: Sequence[Order]) -> Iterator[list[Order]]:
    """Orders, so many at a time as one transaction takes."""
    batch: list[Order] = []
    size = 0
    for order in orders:
        files = BATCH_FILES if order.source.concurrency <= _NEAR else min(BATCH_FILES, BATCH_FAR_FILES)
        if batch and (len(batch) >= files or size + order.file.size_bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(order)
        size += order.file.size_bytes
    if batch:
        yield batch


def transfer(pool: ThreadPoolExecutor, step: Callable[[Work], None], work: Iterable[Work]) -> None:
    """Run a step over work, as `start` does, to its end."""
    wait_for(start(pool, step, work))


def start(pool: ThreadPoolExecutor, step: Callable[[Work], None], work: Iterable[Work]) -> list[Future[None]]:
    """Start a step over work, each source's in as many threads as help it. Whoever is free takes the next."""
    by_source: dict[str, list[Work]] = {}
    for piece in work:
        by_source.setdefault(piece.source.source_id, []).append(piece)
    shares: list[Iterator[Work]] = []
    for own in by_source.values():
        shares += [iter(own)] * min(own[0].source.concurrency, len(own))
    return [pool.submit(_each, step, share) for share in shares]


def together(jobs: list[Job]) -> list[Group]:
    """The jobs whose sources remove several files in one request, in groups."""
    by_source: dict[str, list[Job]] = {}
    for job in jobs:
        if job.source.removes_together:
            by_source.setdefault(job.source.source_id, []).append(job)
    return [
        Group(own[0].source, own[start : start + own[0].source.removes_together])
        for own in by_source.values()
        for start in range(0, len(own), own[0].source.removes_together)
    ]


def spread(pool: ThreadPoolExecutor, workers: int, step: Callable[[Job], None], jobs: list[Job]) -> None:
    """Run a step over jobs, a slice per thread: a future per file costs more than the step itself."""
    slices = [jobs[start::workers] for start in range(min(workers, len(jobs)))]
    wait_for([pool.submit(_each, step, part) for part in slices])


def wait_for(futures: list[Future[None]]) -> None:
    """Wait for all of them; raise what the first that failed has raised."""
    try:
        for future in futures:
            future.result()
    finally:
        # Interrupted from outside: what the threads use must not be closed under them.
        wait(futures)


def _each(step: Callable[[Work], None], work: Iterable[Work]) -> None:
    for piece in work:
        step(piece)
