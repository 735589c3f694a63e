"""What a forked process must make anew: connections, locks and threads.

Everything here compares process ids. Hooks of `os.register_at_fork` are not enough: a server that forks in C,
such as uWSGI, does not run them by default.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ForkSafeLock", "PerProcess"]

_T = TypeVar("_T")


class ForkSafeLock:
    """A lock that is free in a forked child, where no thread would release what a thread of the parent held.

    Args:
        make: ``threading.Lock`` or ``threading.RLock``.
    """

    def __init__(self, make: Callable[[], Any] = threading.Lock) -> None:
        self._make: Final = make
        self._of: dict[int, Any] = {}

    def __enter__(self) -> None:
        pid = os.getpid()
        # `setdefault` is atomic: two threads of a child get the same lock.
        (self._of.get(pid) or self._of.setdefault(pid, self._make())).acquire()

    def __exit__(self, *_: object) -> None:
        held = self._of.get(os.getpid())
        if held is not None:  # None in a child that was forked in this block: the lock is the parent's
            held.release()


class PerProcess(Generic[_T]):
    """A value that each process makes once, a forked child too.

    A child must not use its parent's connections, because answers could reach either process. It does not
    close them either: that could end the parent's session.

    Args:
        make: Makes the value, in the first thread that asks for it.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: dict[int, _T] = {}
        self._lock = ForkSafeLock()

    def __call__(self) -> _T:
        """Return the value of this process."""
        pid = os.getpid()
        made = self._made.get(pid)
        if made is None:
            with self._lock:
                made = self._made.get(pid)
                if made is None:
                    made = self._made[pid] = self._make()
        return made

    def take(self) -> _T | None:
        """Return the value of this process and forget it; None if it was not made."""
        return self._made.pop(os.getpid(), None)
