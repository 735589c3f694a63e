"""Faults for the doubles: which call fails, and whether before or after it takes effect."""

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
    """What happens, and how many times more; None for always."""

    action: Callable[..., Any]
    left: int | None


class Faults:
    """The faults of one double. They can be switched on while other threads use the double.

    ::

        records.faults.before("add", raising(StorageFull("no room left")))     # nothing is stored
        records.faults.after("commit", raising(RepositoryError("cut off")))    # it is stored all the same
        records.faults.before("add", waiting(0.2), times=None)                 # always slow
        records.faults.change("add", lambda stored: attrs.evolve(stored, sha256="0" * 64))    # a wrong answer
        source.faults.before("remove", lambda: folder.write("a.jpg", b"replaced just before"))

    Args:
        points: Names of the calls that can fail.
    """

    def __init__(self, *points: str) -> None:
        self.points = points
        self._lock = threading.Lock()
        self._set: dict[tuple[str, str], list[_Fault[Any]]] = {}

    def before(self, point: str, action: Callable[[], object], *, times: int | None = 1) -> None:
        """Run an action before the call has any effect.

        Args:
            point: The call.
            action: What to do. If the action raises, the call raises.
            times: How many times; None for always.
        """
        self._add("before", point, action, times)

    def after(self, point: str, action: Callable[[], object], *, times: int | None = 1) -> None:
        """Run an action after the call has taken effect, but before it returns. See `before`."""
        self._add("after", point, action, times)

    def change(self, point: str, action: Callable[[Any], Any], *, times: int | None = 1) -> None:
        """Change what the call returns: ``action`` takes the result, and returns another one."""
        self._add("change", point, action, times)

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._set.clear()

    def around(self, point: str, call: Callable[[], Result]) -> Result:
        """Make a call of the double, with its faults."""
        self.strike("before", point)
        result = call()
        self.strike("after", point)
        for fault in self._due("change", point):
            result = fault.action(result)
        return result

    def strike(self, when: str, point: str) -> None:
        """Run the actions for this moment: ``"before"`` or ``"after"`` a call."""
        for fault in self._due(when, point):
            fault.action()

    def _add(self, when: str, point: str, action: Callable[..., Any], times: int | None) -> None:
        if point not in self.points:
            raise ValueError(f"{point!r} is none of {', '.join(self.points)}")
        with self._lock:
            self._set.setdefault((when, point), []).append(_Fault(action, times))

    def _due(self, when: str, point: str) -> list[_Fault[Any]]:
        with self._lock:
            due = self._set.get((when, point), [])
            for fault in due:
                if fault.left is not None:
                    fault.left -= 1
            self._set[when, point] = [fault for fault in due if fault.left != 0]
            return due


def raising(exc: BaseException) -> Callable[[], None]:
    """Return an action that raises this exception."""

    def strike() -> None:
        raise exc

    return strike


def waiting(seconds: float) -> Callable[[], None]:
    """Return an action that takes some time."""
    return lambda: time.sleep(seconds)
