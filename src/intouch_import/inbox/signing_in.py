"""Waiting for the people who have to sign in, without holding up anything else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from intouch_import.inbox.listing import problem_of
from intouch_import.model import Progress, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intouch_import.reports import Problem
    from intouch_import.sources.base import Source

__all__ = ["let_sign_in"]


def let_sign_in(
    sources: Sequence[Source],
    problems: Sequence[Problem],
    *,
    tell: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> tuple[list[Source], list[Problem]]:
    """Where nobody is signed in, let people do so, everywhere at once, and wait for the end of each attempt.

    Args:
        sources: The sources of the inbox.
        problems: What a first refresh ran into.
        tell: Hears that it is waited for.
        cancelled: Asked now and then; once True, nobody is waited for any longer.

    Returns:
        The sources that can be listed now, and the problems that are left, those of failed attempts included.
    """
    by_id = {source.source_id: source for source in sources}
    waiting = [problem for problem in problems if problem.sign_in]
    left = [problem for problem in problems if not problem.sign_in]
    ready: list[Source] = []

    def wait_for(problem: Problem) -> Problem | None:
        source = by_id[problem.source_id]
        try:
            return None if source.sign_in(cancelled=cancelled) else problem
        except Exception as exc:  # noqa: BLE001  # a foreign source may raise anything
            return problem_of(source, exc)

    tell(Progress(stage=Stage.SIGNING_IN, done=0, total=len(waiting)))
    with ThreadPoolExecutor(len(waiting), thread_name_prefix="intouch-sign-in") as pool:
        for problem, end in zip(waiting, pool.map(wait_for, waiting), strict=True):
            if end is None:
                ready.append(by_id[problem.source_id])
            else:
                left.append(end)
    tell(Progress(stage=Stage.SIGNING_IN, done=len(ready), total=len(waiting)))
    return ready, left
