"""The access tokens of a cloud drive: of several threads, one renews a refused token for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intouch_import.errors import InTouchImportError, SourceUnavailable
from intouch_import.forks import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Tokens"]


class Tokens:
    """The access tokens of a token provider. Of several threads only one renews a refused token.

    Args:
        provider: See `intouch_import.signin.TokenProvider`.
        service: Name of the service, for messages.
    """

    def __init__(self, provider: Callable[[bool], str], *, service: str) -> None:
        self._provider = provider
        self._service = service
        self._renewing = ForkSafeLock()

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
            with self._renewing:
                token = self._provider(False)  # noqa: FBT003  # another thread may have renewed it
                return token if token != refused else self._provider(True)  # noqa: FBT003
        except InTouchImportError:
            raise
        except Exception:  # noqa: BLE001  # it may be a host's code, and its text may contain a token
            raise SourceUnavailable(f"the token provider for {self._service} failed") from None
