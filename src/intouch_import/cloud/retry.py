"""Waiting for a service that asks for time: within a budget, in sight of the caller, all threads together."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from intouch_import.errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Again", "Patience", "Pause"]

_T = TypeVar("_T")
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0


@attrs.frozen(kw_only=True)
class Again:
    """An answer that is worth asking for again.

    Args:
        after_s: How long the service wants to be left alone, seconds (its ``Retry-After``); None if it
            did not say.
        throttled: Whether it asked everybody to slow down, so that all threads pause; else only the call
            that failed does.
    """

    after_s: float | None = None
    throttled: bool = False


@attrs.frozen(kw_only=True)
class Pause:
    """One pause, told before it begins.

    Args:
        seconds: How long.
        spent_s: What this operation has waited before.
        budget_s: What it may wait in all.
        throttled: Whether the service asked for it; else a connection failed and is tried again.
    """

    seconds: float
    spent_s: float
    budget_s: float
    throttled: bool


class Patience:
    """How long one source waits, and what it does meanwhile. Shared by the threads that use the source.

    Args:
        budget_s: What one operation may spend on pauses, all of them together, seconds. 0 never waits.
        on_wait: Called before each pause, in the thread that pauses.
        monotonic_s, sleep: The clock, and how to wait.
        chance: Gives numbers from 0 to 1, to spread the attempts of many workstations.
    """

    def __init__(
        self,
        budget_s: float = 60.0,
        *,
        on_wait: Callable[[Pause], object] | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.budget_s = budget_s
        self._on_wait = on_wait
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._chance = chance
        self._lock = threading.Lock()
        self._quiet_until_s = 0.0

    def ask(self, attempt: Callable[[], _T], *, again: Callable[[Exception], Again | None]) -> _T:
        """Call ``attempt`` until it returns, fails for good, or the budget is spent.

        A request whose effect is in doubt must not be repeated blindly: let ``attempt`` look first.

        Args:
            attempt: One request. It may be called again after any exception that ``again`` accepts.
            again: Whether asking again helps after this exception; None if it does not.

        Raises:
            Throttled: The service asked for a longer pause than is left of the budget.
            Exception: What ``attempt`` raised, where asking again does not help or nothing is left.
        """
        spent_s = 0.0
        failures = 0
        while True:
            spent_s = self._keep_quiet(spent_s)
            try:
                return attempt()
            except Exception as exc:
                answer = again(exc)
                if answer is None:
                    raise
                seconds = self._pause_after(failures, answer)
                if not answer.throttled and spent_s + seconds > self.budget_s:
                    raise
            failures += 1
            if answer.throttled:
                with self._lock:
                    self._quiet_until_s = max(self._quiet_until_s, self._monotonic_s() + seconds)
            else:
                self._pause(seconds, spent_s, throttled=False)
                spent_s += seconds

    def _pause_after(self, failures: int, answer: Again) -> float:
        # Full jitter: many workstations that failed together do not come back together.
        ours = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**failures) * (0.5 + self._chance() / 2)
        return ours if answer.after_s is None else max(0.0, answer.after_s)

    def _keep_quiet(self, spent_s: float) -> float:
        """Wait while the service wants to be left alone, whoever was told so. Returns what is spent then."""
        while (seconds := self._quiet_until_s - self._monotonic_s()) > 0:
            if spent_s + seconds > self.budget_s:
                raise Throttled(
                    "the service asks for a longer pause than was allowed",
                    after_s=seconds,
                )
            self._pause(seconds, spent_s, throttled=True)
            spent_s += seconds
        return spent_s

    def _pause(self, seconds: float, spent_s: float, *, throttled: bool) -> None:
        if self._on_wait is not None:
            self._on_wait(
                Pause(seconds=seconds, spent_s=spent_s, budget_s=self.budget_s, throttled=throttled)
            )
        self._sleep(seconds)
