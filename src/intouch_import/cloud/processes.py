"""What the threads of one process share, and a forked child must not: `PerProcess` values, and `Tokens`."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from intouch_import.errors import InTouchImportError, SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PerProcess", "Tokens"]

_T = TypeVar("_T")


class PerProcess(Generic[_T]):
    """A value that each process makes once, a forked child too.

    A child must not use its parent's connections, because answers could reach either process. It must not
    wait for a lock that a thread of the parent held at the fork, because nobody in the child releases it.

    Args:
        make: Makes the value, in the first thread that asks for it.
    """

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._made: dict[int, _T] = {}
        self._locks: dict[int, threading.Lock] = {}

    def __call__(self) -> _T:
        """Return the value of this process."""
        pid = os.getpid()
        made = self._made.get(pid)
        if made is None:
            with self._locks.setdefault(pid, threading.Lock()):
                made = self._made.get(pid)
                if made is None:
                    made = self._made[pid] = self._make()
        return made

    def take(self) -> _T | None:
        """Return the value of this process and forget it; None if it was not made."""
        return self._made.pop(os.getpid(), None)


class Tokens:
    """The access tokens of a token provider. Of several threads only one renews a refused token.

    Args:
        provider: See `intouch_import.signin.TokenProvider`.
        service: Name of the service, for messages.
    """

    def __init__(self, provider: Callable[[bool], str], *, service: str) -> None:
        self._provider = provider
        self._service = service
        self._renewing: PerProcess[threading.Lock] = PerProcess(threading.Lock)

    def get(self, refused: str | None) -> str:
        """Return an access token.

        Args:
            refused: The token that the service has just refused, so that another one is needed.

        Raises:
            SourceError: There is no token.
        """
        try:
            if refused is None:
                return self._provider(False)  # noqa: FBT003  # the signature of a token provider
            with self._renewing():
                token = self._provider(False)  # noqa: FBT003  # another thread may have renewed it
                return token if token != refused else self._provider(True)  # noqa: FBT003
        except InTouchImportError:
            raise
        except Exception:  # noqa: BLE001  # it may be a host's code, and its text may contain a token
            raise SourceUnavailable(f"the token provider for {self._service} failed") from None
