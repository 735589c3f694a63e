"""Retries of failed requests, within a time budget. When a service asks for a pause, all threads pause."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.errors import Throttled
from intouch_import.forks import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Again", "Patience", "Pause"]

_T = TypeVar("_T")
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0


@attrs.frozen(kw_only=True)
class Again:
    """A failed request that is worth a retry.

    Args:
        after_s: Pause that the service asks for (its ``Retry-After``), seconds; None if it asks for none.
        throttled: Whether the service asks all clients to slow down. Then all threads pause, otherwise only
            the thread whose request failed.
    """

    after_s: float | None = None
    throttled: bool = False


@attrs.frozen(kw_only=True)
class Pause:
    """One pause, reported before it begins.

    Args:
        seconds: Length of the pause.
        spent_s: How long this operation has paused before, seconds.
        budget_s: How long this operation may pause in total, seconds.
        throttled: Whether the service asked for the pause; otherwise a request failed and is retried.
    """

    seconds: float
    spent_s: float
    budget_s: float
    throttled: bool


class Patience:
    """How long one source pauses between retries. Thread-safe.

    Args:
        budget_s: How long one operation may pause in total, seconds. 0 never waits.
        on_wait: Called before each pause, in the thread that pauses.
        clock: The clock; a test passes its own.
        chance: Returns numbers from 0 to 1, to spread the retries of many workstations.
    """

    def __init__(
        self,
        budget_s: float = 60.0,
        *,
        on_wait: Callable[[Pause], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.budget_s = budget_s
        self._on_wait = on_wait
        self._clock = clock
        self._chance = chance
        self._lock = ForkSafeLock()
        self._quiet_until_s = 0.0

    def ask(self, attempt: Callable[[], _T], *, again: Callable[[Exception], Again | None]) -> _T:
        """Call ``attempt`` until it returns, fails for good, or the budget is used up.

        If a failed request may have taken effect, ``attempt`` must check that before it repeats the request.

        Args:
            attempt: Sends one request. It is called again after an exception that ``again`` accepts.
            again: Returns whether a retry may help after this exception; None means no.

        Raises:
            Throttled: The service asked for a longer pause than the budget allows.
            Exception: The exception of ``attempt``, if a retry does not help or the budget is used up.
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
                    self._quiet_until_s = max(self._quiet_until_s, self._clock.monotonic_s() + seconds)
            else:
                self._pause(seconds, spent_s, throttled=False)
                spent_s += seconds

    def _pause_after(self, failures: int, answer: Again) -> float:
        # Jitter: workstations that failed at the same time must not retry at the same time.
        ours = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**failures) * (0.5 + self._chance() / 2)
        return ours if answer.after_s is None else max(0.0, answer.after_s)

    def _keep_quiet(self, spent_s: float) -> float:
        """Wait for the end of a pause that the service asked any thread for. Return the time spent so far."""
        while (seconds := self._quiet_until_s - self._clock.monotonic_s()) > 0:
            if spent_s + seconds > self.budget_s:
                raise Throttled(
                    "the service asks for a longer pause than the budget allows",
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
        self._clock.sleep(seconds)
