"""`Widget`: what both widgets share: scripts, messages to and from the browser, and worker threads."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import anywidget

from intouch_import.errors import InTouchImportError, SelectionError
from intouch_import.jupyter.lines import sentence
from intouch_import.jupyter.pictures import Picture, Pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intouch_import.model import Progress

__all__ = ["Sender", "Ticker", "Widget", "script", "style"]

log = logging.getLogger(__name__)

# A Jupyter server drops what exceeds 1 MB a second or 1,000 messages a second, taken over 3 seconds, and says
# so in its log alone (``iopub_data_rate_limit``, ``iopub_msg_rate_limit``): a list would have holes.
_BURST_BYTES: Final = 1_200_000
_BYTES_PER_S: Final = 500_000
_TICK_S: Final = 0.12


class Widget(anywidget.AnyWidget):
    """A widget that is told what a person wants, and answers from threads of its own.

    Nothing of a patient may be a trait: the traits of a widget are saved with the notebook.
    """

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._sender = Sender(self.send)
        self._pictures = Pictures(self._send_pictures)
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="intouch-widget")
        # What the browser says, by its kind. Heard in the thread that runs cells: nothing may take long.
        self._acts: Mapping[str, Callable[[Mapping[str, Any]], object]] = {}
        self.on_msg(self._on_message)

    def close(self) -> None:
        """Let go of threads."""
        self._pictures.close()
        self._threads.shutdown(wait=False)
        super().close()

    def _on_message(self, _widget: object, said: Any, _buffers: object) -> None:
        act = self._acts.get(str(said.get("kind"))) if isinstance(said, dict) else None
        if act is None:
            log.warning("a message of the widget is not understood")
            return
        act(said)

    def _do(self, work: Callable[[], object], *, failed: str, ask: int | None = None) -> None:
        """Do something in a thread; what goes wrong is told in words that name nobody."""

        def guarded() -> None:
            try:
                work()
            except SelectionError as exc:
                self._sender.send({"kind": "refused", "ask": ask, "text": sentence(str(exc))})
            except InTouchImportError as exc:
                self._sender.send({"kind": "trouble", "ask": ask, "text": f"{failed} {sentence(str(exc))}"})
            except Exception as exc:  # noqa: BLE001  # a host's records may raise anything, with names in it
                log.error("a widget failed", extra={"kind": type(exc).__name__})
                self._sender.send({"kind": "trouble", "ask": ask, "text": f"{failed} An unexpected error."})

        with contextlib.suppress(RuntimeError):  # it was closed
            self._threads.submit(guarded)

    def _send_pictures(self, pictures: Sequence[Picture]) -> None:
        shown = [picture for picture in pictures if picture.content is not None]
        self._sender.send_large(
            {
                "kind": "pictures",
                "shown": [[*picture.place, picture.px] for picture in shown],
                "none": [[*one.place, one.px] for one in pictures if one.content is None],
            },
            [picture.content for picture in shown if picture.content is not None],
        )


class Sender:
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


def script(*names: str) -> str:
    """One module of several files: a widget is given a single one, which can't import its neighbours."""
    return "\n".join(_text(f"{name}.js") for name in names)


def style(*names: str) -> str:
    """One style sheet of several."""
    return "\n".join(_text(f"{name}.css") for name in names)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text("utf-8")
