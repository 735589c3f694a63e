"""Faults for the doubles: what a test wants to go wrong, in which call, before or after its effect."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Faults", "raising", "waiting"]

Result = TypeVar("Result")


@attrs.define
class _Fault(Generic[Result]):
    """What is done to a call, and how often still; None for always."""

    action: Callable[..., Any]
    left: int | None


class Faults:
    """The switches of one double. They may be set while other threads are calling it.

    ::

        records.faults.before("add", raising(StorageFull("no room left")))     # nothing happens
        records.faults.after("commit", raising(RepositoryError("cut off")))    # it happened all the same
        records.faults.before("add", waiting(0.2), times=None)                 # always slow
        records.faults.change("add", lambda stored: attrs.evolve(stored, sha256="0" * 64))    # a lie
        source.faults.before("remove", lambda: folder.write("a.jpg", b"replaced at the last moment"))

    Args:
        points: Names of the calls that can be made to fail.
    """

    def __init__(self, *points: str) -> None:
        self.points = points
        self._lock = threading.Lock()
        self._set: dict[tuple[str, str], list[_Fault[Any]]] = {}

    def before(self, point: str, action: Callable[[], object], *, times: int | None = 1) -> None:
        """Do something before the call has any effect.

        Args:
            point: The call.
            action: What to do. If it raises, the call does.
            times: How often; None for always.
        """
        self._add("before", point, action, times)

    def after(self, point: str, action: Callable[[], object], *, times: int | None = 1) -> None:
        """Do something once the call has taken effect, and before it returns. See `before`."""
        self._add("after", point, action, times)

    def change(self, point: str, action: Callable[[Any], Any], *, times: int | None = 1) -> None:
        """Give the caller something else: ``action`` makes it of what the call would have returned."""
        self._add("change", point, action, times)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._set.clear()

    def around(self, point: str, call: Callable[[], Result]) -> Result:
        """What a double wraps its calls in."""
        self.strike("before", point)
        result = call()
        self.strike("after", point)
        for fault in self._due("change", point):
            result = fault.action(result)
        return result

    def strike(self, when: str, point: str) -> None:
        """Do what is set for this moment."""
        for fault in self._due(when, point):
            fault.action()

    def _add(self, when: str, point: str, action: Callable[..., Any], times: int | None) -> None:
        if point not in self.points:
            raise ValueError(f"{point!r} is none of {', '.join(self.points)}")
        with self._lock:
            self._set.setdefault((when, point), []).append(_Fault(action, times))

    def _due(self, when: str, point: str) -> list[_Fault[Any]]:
        with self._lock:
            faults = self._set.get((when, point))
            if not faults:
                return []
            due = list(faults)
            for fault in due:
                if fault.left is not None:
                    fault.left -= 1
            self._set[when, point] = [fault for fault in faults if fault.left != 0]
            return due


def raising(exc: BaseException) -> Callable[[], None]:
    """An action that raises."""

    def strike() -> None:
        raise exc

    return strike


def waiting(seconds: float) -> Callable[[], None]:
    """An action that takes its time."""

    def strike() -> None:
        time.sleep(seconds)

    return strike
