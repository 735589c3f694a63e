"""Retries, on a clock that only moves when somebody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.cloud.retry import Again, Patience, Pause
from intouch_import.errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Callable


class WaitingClock:
    """A clock that only moves during a sleep."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds

    def patience(self, budget_s: float = 60.0, **options: Any) -> Patience:
        return Patience(
            budget_s,
            chance=lambda: 1.0,
            clock=Clock(monotonic_s=lambda: self.now_s, sleep=self.sleep),
            **options,
        )


def failing(times: int, exc: Exception) -> Callable[[], str]:
    """A request that fails a number of times, then succeeds."""
    left = [exc] * times

    def attempt() -> str:
        if left:
            raise left.pop()
        return "answer"

    return attempt


def test_an_answer_at_once_costs_no_pause() -> None:
    """Without a failure there is no pause."""
    clock = WaitingClock()
    assert clock.patience().ask(failing(0, OSError()), again=lambda _: Again()) == "answer"
    assert clock.slept == []


def test_pauses_grow_and_are_told_before_they_begin() -> None:
    """Each failure doubles the pause, up to half a minute; the caller sees each pause and the time spent."""
    clock = WaitingClock()
    seen: list[Pause] = []
    patience = clock.patience(600.0, on_wait=seen.append)
    assert patience.ask(failing(9, OSError()), again=lambda _: Again()) == "answer"
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert [pause.spent_s for pause in seen[:4]] == [0.0, 0.5, 1.5, 3.5]
    assert {(pause.budget_s, pause.throttled) for pause in seen} == {(600.0, False)}


def test_what_asking_again_does_not_help_is_raised_at_once() -> None:
    """A final failure is not retried."""
    clock = WaitingClock()
    with pytest.raises(KeyError):
        clock.patience().ask(failing(1, KeyError()), again=lambda _: None)
    assert clock.slept == []


def test_a_spent_budget_raises_what_happened_last() -> None:
    """A pause that would exceed the budget is not started."""
    clock = WaitingClock()
    with pytest.raises(ConnectionError):
        clock.patience(2.0).ask(failing(9, ConnectionError()), again=lambda _: Again())
    assert clock.slept == [0.5, 1.0]


def test_the_service_says_how_long() -> None:
    """The pause is exactly the Retry-After, even if it is zero or negative."""
    clock = WaitingClock()
    patience = clock.patience()
    assert patience.ask(failing(1, OSError()), again=lambda _: Again(after_s=7.0, throttled=True)) == "answer"
    assert patience.ask(failing(1, OSError()), again=lambda _: Again(after_s=-3.0)) == "answer"
    assert clock.slept == [7.0, 0.0]


def test_a_longer_pause_than_allowed_is_throttling() -> None:
    """The error says how long the service asked for, and no time was spent on waiting."""
    clock = WaitingClock()
    with pytest.raises(Throttled) as caught:
        clock.patience(10.0).ask(failing(1, OSError()), again=lambda _: Again(after_s=300.0, throttled=True))
    assert caught.value.after_s == 300.0
    assert clock.slept == []


def test_a_throttled_service_is_left_alone_by_every_call() -> None:
    """A pause that one call was asked for applies to the next call, which counts it in its own budget."""
    clock = WaitingClock()
    patience = clock.patience(5.0)
    with pytest.raises(Throttled):
        # Told to wait 4 s twice: the second time, 1 s is left.
        patience.ask(failing(2, OSError()), again=lambda _: Again(after_s=4.0, throttled=True))
    assert clock.slept == [4.0]
    assert patience.ask(failing(0, OSError()), again=lambda _: None) == "answer"
    assert clock.slept == [4.0, 4.0]
    with pytest.raises(Throttled):
        patience.ask(failing(1, OSError()), again=lambda _: Again(after_s=9.0, throttled=True))
    with pytest.raises(Throttled):
        patience.ask(failing(0, OSError()), again=lambda _: None)
    assert clock.slept == [4.0, 4.0]


def test_without_a_budget_nothing_is_waited_for() -> None:
    """A budget of 0 means one attempt."""
    clock = WaitingClock()
    with pytest.raises(ConnectionError):
        clock.patience(0.0).ask(failing(1, ConnectionError()), again=lambda _: Again())
    assert clock.slept == []
