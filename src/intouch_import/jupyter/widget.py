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
from intouch_import.jupyter.lines import patient_of, sentence
from intouch_import.jupyter.pictures import Picture, Pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intouch_import.model import Progress
    from intouch_import.repositories.base import PatientRepository

__all__ = ["PIXELS", "Sender", "Widget", "script", "style", "throttled"]

log = logging.getLogger(__name__)

PIXELS: Final = range(16, 2049)
"""The sizes of thumbnails that a browser may request, in pixels."""

_MOST_PATIENTS: Final = 12
# A Jupyter server drops messages above 1 MB or 1,000 messages a second, averaged over 3 seconds, and reports
# it only in its log (``iopub_data_rate_limit``, ``iopub_msg_rate_limit``): a list would have gaps.
_BURST_BYTES: Final = 1_200_000
_BYTES_PER_S: Final = 500_000
_PROGRESS_EVERY_S: Final = 0.12


class Widget(anywidget.AnyWidget):
    """A widget that receives requests from the browser, and answers them from its own threads.

    No trait may contain patient data: the traits of a widget are saved with the notebook.
    """

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._sender = Sender(self.send)
        self._pictures = Pictures(self._send_pictures)
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="intouch-widget")
        # The handlers by the kind of request. They run in the thread that runs cells, so they must be short.
        self._handlers: Mapping[str, Callable[[Mapping[str, Any]], object]] = {}
        self.on_msg(self._on_message)

    def close(self) -> None:
        """End the threads."""
        self._pictures.close()
        self._threads.shutdown(wait=False)
        super().close()

    def _on_message(self, _widget: object, request: Any, _buffers: object) -> None:
        handler = self._handlers.get(str(request.get("kind"))) if isinstance(request, dict) else None
        if handler is None:
            log.warning("an unknown request from the browser")
            return
        handler(request)

    def _in_thread(self, work: Callable[[], object], *, failed: str, ask: int | None = None) -> None:
        """Run a function in a thread, and send a message without patient data if it fails.

        Args:
            work: The function.
            failed: The first sentence of the error message.
            ask: The number of the question that waits for an answer, if any.
        """

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

        with contextlib.suppress(RuntimeError):  # the widget is closed
            self._threads.submit(guarded)

    def _search_patients(self, repository: PatientRepository | None, request: Mapping[str, Any]) -> None:
        """Answer a search for patients, in a thread."""

        def search() -> None:
            text = str(request["text"])
            found = repository.search_patients(text, limit=_MOST_PATIENTS) if repository is not None else ()
            patients = [patient_of(patient) for patient in found]
            self._sender.send({"kind": "patients", "ask": request["ask"], "patients": patients})

        self._in_thread(search, failed="The patients could not be searched.", ask=request["ask"])

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
    """Sends messages; a large one waits until the server can accept it.

    Args:
        send: Sends one message: its content and its binary buffers.
        monotonic_s, sleep: The clock, and the function that waits.
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
        """Send a list or pictures as soon as the server can accept them. May wait: call it in a thread."""
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


def throttled(
    report: Callable[[Progress], object], *, monotonic_s: Callable[[], float] = time.monotonic
) -> Callable[[Progress], None]:
    """Return a function that passes on progress fewer than ten times a second.

    The last step may be dropped: the end of an operation is reported separately.
    """
    next_s = float("-inf")

    def step(progress: Progress) -> None:
        nonlocal next_s
        now_s = monotonic_s()
        if now_s >= next_s:
            next_s = now_s + _PROGRESS_EVERY_S
            report(progress)

    return step


def script(*names: str) -> str:
    """Join scripts into one module, because the module of a widget can't import other files."""
    return "\n".join(_text(f"{name}.js") for name in names)


def style(*names: str) -> str:
    """Join style sheets into one."""
    return "\n".join(_text(f"{name}.css") for name in names)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("static", name).read_text("utf-8")
