"""Run a step of a move over files, in the threads of a pool."""

from __future__ import annotations

from concurrent.futures import wait
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future, ThreadPoolExecutor

    from intouch_import.moving.file_move import FileMove
    from intouch_import.sources.base import Source

__all__ = ["start", "start_slices", "start_together", "wait_for"]

_Work = TypeVar("_Work")


def start(
    pool: ThreadPoolExecutor, step: Callable[[FileMove], None], moves: Iterable[FileMove]
) -> list[Future[None]]:
    """Start a step over files. The threads of a source share an iterator: each takes the next file."""
    shares: list[Iterator[FileMove]] = []
    for own in _by_source(moves):
        shares += [iter(own)] * min(own[0].source.concurrency, len(own))
    return [pool.submit(_each, step, share) for share in shares]


def start_slices(
    pool: ThreadPoolExecutor, step: Callable[[FileMove], None], moves: Sequence[FileMove], *, count: int
) -> list[Future[None]]:
    """Start a step over files in some threads. A future per file would cost more than the step itself."""
    slices = [moves[first::count] for first in range(min(count, len(moves)))]
    return [pool.submit(_each, step, part) for part in slices]


def start_together(
    pool: ThreadPoolExecutor,
    step: Callable[[Source, Sequence[FileMove]], None],
    moves: Iterable[FileMove],
) -> list[Future[None]]:
    """Start a step that takes several files of one source at once."""
    futures: list[Future[None]] = []
    for own in _by_source(moves):
        source, size = own[0].source, own[0].source.removes_together
        groups = [own[first : first + size] for first in range(0, len(own), size)]
        share, threads = iter(groups), min(source.concurrency, len(groups))
        futures += [pool.submit(_each, partial(step, source), share) for _ in range(threads)]
    return futures


def wait_for(futures: list[Future[None]]) -> None:
    """Wait for all of them; raise what the first that failed has raised."""
    try:
        for future in futures:
            future.result()
    finally:
        # After an interruption from outside: what the threads use must not be closed while they use it.
        wait(futures)


def _by_source(moves: Iterable[FileMove]) -> Iterable[list[FileMove]]:
    groups: dict[str, list[FileMove]] = {}
    for move in moves:
        groups.setdefault(move.source.source_id, []).append(move)
    return groups.values()


def _each(step: Callable[[_Work], None], work: Iterable[_Work]) -> None:
    for piece in work:
        step(piece)
