"""Sending requests with patience, and what is known when they failed for good."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar

from intouch_import.errors import InTouchImportError
from intouch_import.sources.azure.faults import Fault, Kind, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.sources.azure.account import Account
    from intouch_import.sources.patience import Again, Patience

__all__ = ["Asking", "Doubtful", "Failed"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Failed(Exception):
    """A request that failed for good. It never leaves this package."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.kind.value)
        self.fault = fault


class Asking:
    """Sends requests for one source.

    Args:
        source_id: Which.
        patience: How long it may wait.
        account: Whose right is used.
    """

    def __init__(self, source_id: str, patience: Patience, account: Account) -> None:
        self.source_id = source_id
        self._patience = patience
        self._account = account

    def __call__(self, request: Callable[[], _T]) -> _T:
        """Send a request until it is answered, fails for good, or the budget is spent.

        Raises:
            Failed: It failed, and asking again did not help.
            InTouchImportError: What the request raised of ours.
            OSError: This machine's own disk failed, with its number.
        """
        try:
            return self._patience.ask(request, again=self._again)
        except InTouchImportError as exc:
            exc.__dict__.setdefault("source_id", self.source_id)
            raise
        except Exception as exc:
            if isinstance(exc, OSError) and exc.errno is not None:
                raise
            fault = self.fault(exc)
            if fault.kind is Kind.NONSENSE:
                log.error(
                    "an answer of Azure makes no sense",
                    extra={"source_id": self.source_id, "kind": type(exc).__name__},
                )
            raise Failed(fault) from None

    def fault(self, exc: Exception) -> Fault:
        """What an exception of a request means."""
        account = self._account
        return fault_of(exc, expires_at=account.expires_at, identity=account.credential is not None)

    def _again(self, exc: Exception) -> Again | None:
        return None if isinstance(exc, InTouchImportError) else self.fault(exc).again


class Doubtful(Generic[_T]):
    """A request that changes something, and may have done so though its answer was lost.

    Args:
        asking: Sends it.
        request: It.
        doubt: Whether it was sent before.
    """

    def __init__(self, asking: Asking, request: Callable[[], _T], *, doubt: bool = False) -> None:
        self._asking = asking
        self._request = request
        self.doubt = doubt

    def __call__(self) -> _T:
        try:
            return self._request()
        except Exception as exc:
            self.doubt = self.doubt or self._asking.fault(exc).in_doubt
            raise
