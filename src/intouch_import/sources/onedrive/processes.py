"""Values that belong to one process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PerProcess"]

_T = TypeVar("_T")


class PerProcess(Generic[_T]):
    """A value that a forked child makes anew.

    A child must not use its parent's connections, whose answers would reach either of them, nor wait for a
    lock that a thread of the parent held at the moment of the fork and that nobody in the child will release.

    Args:
        make: Makes the value, in the first thread that asks for it.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: dict[int, _T] = {}

    def __call__(self) -> _T:
        """The value of this process."""
        pid = os.getpid()
        found = self._made.get(pid)
        # Two threads may both make one; `setdefault` is atomic, and both then use the same.
        return found if found is not None else self._made.setdefault(pid, self._make())

    def take(self) -> _T | None:
        """The value of this process, if it was made; it is forgotten here."""
        return self._made.pop(os.getpid(), None)
