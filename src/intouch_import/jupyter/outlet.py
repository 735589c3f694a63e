"""What leaves for the browser, at a pace that a Jupyter server lets through."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from intouch_import.model import Progress

__all__ = ["Outlet", "Ticker"]

# A Jupyter server drops what exceeds 1 MB a second or 1,000 messages a second, taken over 3 seconds, and says
# so in its log alone (``iopub_data_rate_limit``, ``iopub_msg_rate_limit``): a list would have holes.
_BURST_BYTES: Final = 1_200_000
_BYTES_PER_S: Final = 500_000
_TICK_S: Final = 0.12


class Outlet:
    """Sends messages; one that is large waits until the server has room for it.

    Args:
        send: Sends one message: its content, and its binary buffers.
        monotonic_s, sleep: The clock, and how to wait.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any], list[bytes]], object],
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._send = send
        self._monotonic_s = monotonic_s
        self._sleep = sleep
        self._lock = threading.Lock()
        self._room_bytes = float(_BURST_BYTES)
        self._at_s = monotonic_s()

    def send(self, content: dict[str, Any]) -> None:
        """Send a small message at once."""
        self._send(content, [])

    def send_large(self, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Send a list or pictures, when there is room. Call it in a thread that may wait."""
        size_bytes = len(json.dumps(content)) + sum(map(len, buffers))
        with self._lock:
            now_s = self._monotonic_s()
            self._room_bytes = min(_BURST_BYTES, self._room_bytes + (now_s - self._at_s) * _BYTES_PER_S)
            self._at_s = now_s
            self._room_bytes -= size_bytes
            wait_s = max(0.0, -self._room_bytes / _BYTES_PER_S)
        if wait_s:
            self._sleep(wait_s)
        self._send(content, list(buffers))


class Ticker:
    """Passes on how far a long operation has come, fewer than ten times a second.

    The last step may be left out: the end of an operation is told by other means.

    Args:
        tell: Told now and then.
        monotonic_s: The clock.
    """

    def __init__(
        self, tell: Callable[[Progress], object], *, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._monotonic_s = monotonic_s
        self._next_s = float("-inf")

    def __call__(self, progress: Progress) -> None:
        """Take a step."""
        now_s = self._monotonic_s()
        if now_s >= self._next_s:
            self._next_s = now_s + _TICK_S
            self._tell(progress)
