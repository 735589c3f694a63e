"""What the operating system tells of changes in a folder."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

from intouch_import.errors import SourceUnavailable, without_path

if TYPE_CHECKING:
    from pathlib import Path

    from watchfiles._rust_notify import RustNotify

__all__ = ["FolderEvents", "available"]

# A burst, such as a card being copied, is told once it pauses this long, or after the longer time.
_PAUSE_MS: Final = 200
_BURST_MS: Final = 1_600


def available() -> bool:
    """Whether the package that listens to the operating system (the extra ``watch``) is installed."""
    return importlib.util.find_spec("watchfiles") is not None


class FolderEvents:
    """The events of one folder, kept from one wait to the next so that none falls in between.

    A network folder tells only what this machine changes in it, and what other machines do is not told.

    Args:
        folder: The folder; what is below it does not count.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listener: RustNotify | None = None

    def wait(self, timeout_s: float) -> bool:
        """Wait for an event since the last wait. With 0, begin to listen and return.

        Raises:
            SourceUnavailable: The system does not tell: no such folder, no rights, too many listeners.
        """
        if self._listener is None:
            self._listener = self._listen()
        if timeout_s <= 0:
            return True
        # Not watchfiles.watch(): it logs the paths of what has changed.
        told = self._listener.watch(_BURST_MS, _PAUSE_MS, max(1, int(timeout_s * 1000)), None)
        if told == "signal":
            raise KeyboardInterrupt
        return not isinstance(told, str)

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _listen(self) -> RustNotify:
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        try:
            return RustNotify([str(self._folder)], False, False, 300, False, True)  # noqa: FBT003  # their signature
        except OSError as exc:
            raise SourceUnavailable("the folder's events can't be watched") from without_path(exc)
        except WatchfilesRustInternalError:
            raise SourceUnavailable("the folder's events can't be watched") from None
