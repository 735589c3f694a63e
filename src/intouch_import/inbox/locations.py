"""The sources of an inbox: open sources, locations to open later, and sign-ins."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import ConfigError, SignInNeeded, SourceError
from intouch_import.model import Progress, Stage
from intouch_import.reports import Problem
from intouch_import.sources.base import Source
from intouch_import.sources.opening import Unopened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Locations", "Opening", "let_sign_in", "problem_of"]

log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Opening:
    """An attempt to open a location, and its result."""

    begun: Unopened
    found: Source | Unopened


class Locations:
    """The open sources, and the locations to try again. Not thread-safe.

    Raises:
        ConfigError: Two sources have one id, or one is no source.
    """

    def __init__(self, sources: Source | Iterable[Source], unopened: Iterable[Unopened]) -> None:
        self.opened = tuple(sources) if isinstance(sources, Iterable) else (sources,)
        if not all(isinstance(source, Source) for source in self.opened):
            raise ConfigError("an inbox takes opened sources: open_source(folder)")
        self.unopened = tuple(unopened)
        self._being_opened: list[Unopened] = []
        if len({source.source_id for source in self.opened}) != len(self.opened):
            raise ConfigError("two sources have the same source id: is it the same folder twice?")

    @property
    def problems(self) -> list[Problem]:
        """The problems of the locations that are not open."""
        return [one.problem for one in self.unopened]

    def to_open(self) -> list[Unopened]:
        """Return the locations to try now.

        The caller must `take` each, or `give_up`: until then no other thread opens it.
        """
        now = [one for one in self.unopened if one.may_open and not _among(self._being_opened, one)]
        self._being_opened += now
        return now

    def take(self, opening: Opening) -> Source | None:
        """Take the result of an attempt: return a source that can be listed now, or None."""
        self.give_up([opening.begun])
        found = opening.found
        if not isinstance(found, Unopened):
            if not any(found.source_id == source.source_id for source in self.opened):
                self.opened = (*self.opened, found)
                self.unopened = tuple(one for one in self.unopened if one is not opening.begun)
                return found
            text = "another source has the same source id: is it the same folder twice?"
            problem = attrs.evolve(opening.begun.problem, text=text, retry_helps=False)
            with contextlib.suppress(Exception):  # a foreign source may raise anything; nobody will use it
                found.close()
            found = attrs.evolve(opening.begun, problem=problem, may_open=False)
        self.unopened = tuple(found if one is opening.begun else one for one in self.unopened)
        return None

    def give_up(self, begun: Iterable[Unopened]) -> None:
        """End these attempts without a result."""
        over = list(begun)
        self._being_opened = [one for one in self._being_opened if not _among(over, one)]


def _among(many: Iterable[Unopened], one: Unopened) -> bool:
    return any(another is one for another in many)


def problem_of(source: Source, exc: Exception) -> Problem:
    """Return the problem of a location that failed, for a report."""
    if isinstance(exc, SourceError):
        text, retry_helps = str(exc), exc.retry_helps
    else:
        log.error("a source failed", extra={"source_id": source.source_id, "kind": type(exc).__name__})
        text, retry_helps = "an unexpected error", True
    return Problem(
        source_id=source.source_id,
        location=source.location,
        text=text,
        retry_helps=retry_helps,
        sign_in=isinstance(exc, SignInNeeded),
    )


def let_sign_in(
    sources: Sequence[Source],
    problems: Sequence[Problem],
    *,
    tell: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> tuple[list[str], list[Problem]]:
    """Let people sign in at all locations that need it, at the same time, and wait for each attempt to end.

    Args:
        sources: The sources of the inbox.
        problems: The problems of a first refresh.
        tell: Called with the progress.
        cancelled: Called now and then; once it returns True, the wait ends.

    Returns:
        Ids of the sources that can be listed now, and the remaining problems, including those of failed
        attempts.
    """
    by_id = {source.source_id: source for source in sources}
    waiting = [problem for problem in problems if problem.sign_in]
    left = [problem for problem in problems if not problem.sign_in]
    ready: list[str] = []

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
                ready.append(problem.source_id)
            else:
                left.append(end)
    tell(Progress(stage=Stage.SIGNING_IN, done=len(ready), total=len(waiting)))
    return ready, left
