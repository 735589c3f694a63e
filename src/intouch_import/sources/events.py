"""The operating system's notifications about changes in a local folder."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

from intouch_import.errors import SourceUnavailable, without_path
from intouch_import.forks import PerProcess

if TYPE_CHECKING:
    from pathlib import Path

    from watchfiles._rust_notify import RustNotify

__all__ = ["FolderEvents", "available"]

# A burst of events (a card is being copied) is reported when it pauses, or after the longer time.
_PAUSE_MS: Final = 200
_BURST_MS: Final = 1_600


def available() -> bool:
    """Return whether the package for notifications (the extra ``watch``) is installed."""
    return importlib.util.find_spec("watchfiles") is not None


class FolderEvents:
    """The operating system's notifications for one folder. None is lost between two waits.

    For a network folder, only changes by this machine are reported.

    Args:
        folder: The folder; changes in folders below it are not reported.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listeners = PerProcess(self._listen)  # their thread does not live on in a forked child

    def wait(self, timeout_s: float) -> bool:
        """Wait for an event since the last wait. With 0, start listening and return.

        Raises:
            SourceUnavailable: The system refuses: no such folder, no permission, too many listeners.
        """
        listener = self._listeners()
        if timeout_s <= 0:
            return True
        # Not watchfiles.watch(): it logs the paths of changed files.
        answer = listener.watch(_BURST_MS, _PAUSE_MS, max(1, int(timeout_s * 1000)), None)
        if answer == "signal":
            raise KeyboardInterrupt
        return not isinstance(answer, str)

    def close(self) -> None:
        """Stop listening."""
        listener = self._listeners.take()
        if listener is not None:
            listener.close()

    def _listen(self) -> RustNotify:
        from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

        try:
            return RustNotify([str(self._folder)], False, False, 300, False, True)  # noqa: FBT003  # watchfiles' signature
        except OSError as exc:
            raise SourceUnavailable("the folder's events can't be watched") from without_path(exc)
        except WatchfilesRustInternalError:
            raise SourceUnavailable("the folder's events can't be watched") from None
