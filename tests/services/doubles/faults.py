"""Faults of the doubles: what goes wrong with a call, and which calls it happens to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Fault", "Faults"]


@attrs.frozen(kw_only=True)
class Fault:
    """Something that goes wrong with one call. The class methods name the usual faults.

    Args:
        after: Whether the call takes effect before it fails.
        status: Answer with this status, `headers` and `body` instead; None keeps the answer of the call.
        hang_up: Close the connection without an answer.
        cut_bytes: Announce the whole body, send only so many bytes of it, and close the connection.
        short_bytes: Send only so many bytes, and announce them as the whole body.
        flipped: Change a byte in the middle of the body.
        rewrite: Given the JSON of the answer, returns the JSON to send instead.
        pause_s: Wait before the answer, seconds.
        slow_s: Wait between the pieces of the body, seconds.
        pieces: Number of these pieces.
        meanwhile: Called before the call takes effect (with `after`: once it has): an act of somebody else.
    """

    after: bool = False
    status: int | None = None
    headers: Mapping[str, str] = {}
    body: bytes = attrs.field(default=b"", repr=False)
    hang_up: bool = False
    cut_bytes: int | None = None
    short_bytes: int | None = None
    flipped: bool = False
    rewrite: Callable[[Any], Any] | None = None
    pause_s: float = 0.0
    slow_s: float = 0.0
    pieces: int = 2
    meanwhile: Callable[[], object] | None = None

    @classmethod
    def somebody(cls, act: Callable[[], object], *, after: bool = False) -> Self:
        """Let somebody else do something at that moment; the call itself goes well."""
        return cls(meanwhile=act, after=after)

    @classmethod
    def unavailable(
        cls, status: int = 503, *, after: bool = False, retry_after_s: float | None = None
    ) -> Self:
        """Answer with a 5xx status and plain text."""
        headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
        return cls(status=status, body=b"Service Unavailable", headers=headers, after=after)

    @classmethod
    def lost(cls, *, after: bool = False) -> Self:
        """Close the connection without an answer."""
        return cls(hang_up=True, after=after)

    @classmethod
    def late(cls, seconds: float) -> Self:
        """Wait in the middle of the body."""
        return cls(slow_s=seconds)

    @classmethod
    def cut(cls, cut_bytes: int) -> Self:
        """End the body early."""
        return cls(cut_bytes=cut_bytes)

    @classmethod
    def short(cls, short_bytes: int) -> Self:
        """Shorten the body and its announced length, as some proxies do."""
        return cls(short_bytes=short_bytes)

    @classmethod
    def wrong_hash(cls) -> Self:
        """Change a byte of the body."""
        return cls(flipped=True)

    @classmethod
    def html(cls, status: int = 200) -> Self:
        """Answer with a page for people, as the networks of hotels do."""
        return cls(status=status, body=b"<html>Please sign in</html>", headers={"Content-Type": "text/html"})

    def __str__(self) -> str:
        told = {one.name: getattr(self, one.name) for one in attrs.fields(type(self)) if one.repr}
        usual = {one.name: one.default for one in attrs.fields(type(self))}
        return " ".join(f"{name}={value!r}" for name, value in told.items() if value != usual[name])


@attrs.define(kw_only=True, eq=False)
class _Plan:
    call: str
    faults: Sequence[Fault]
    left: float
    skip: int


class Faults:
    """The faults to come. Those that were added first strike first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: list[_Plan] = []

    def add(self, call: str, *faults: Fault, times: int | None = 1, skip: int = 0) -> None:
        """Let the next calls fail.

        Args:
            call: Name of the call; ``"*"`` for any call.
            faults: One for each call, in this order.
            times: How often this sequence is repeated; None for ever.
            skip: How many calls go well first.
        """
        left = float("inf") if times is None else times * len(faults)
        with self._lock:
            self._plans.append(_Plan(call=call, faults=faults, left=left, skip=skip))

    def clear(self) -> None:
        """Let all calls go well from now on."""
        with self._lock:
            self._plans.clear()

    def left(self) -> float:
        """Return how many faults are still to come."""
        with self._lock:
            return sum(plan.left for plan in self._plans)

    def strike(self, *names: str) -> Fault | None:
        """Return the fault of a call that has one of these names, and count it."""
        with self._lock:
            for plan in self._plans:
                if plan.call not in names or plan.left <= 0:
                    continue
                if plan.skip > 0:
                    plan.skip -= 1
                    continue
                plan.left -= 1
                fault, *others = plan.faults
                plan.faults = [*others, fault]
                return fault
        return None
