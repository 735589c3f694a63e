"""`Face`: what every widget here does alike: hear, work in threads of its own, answer."""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anywidget

from intouch_import.errors import InTouchImportError, SelectionError
from intouch_import.jupyter.lines import sentence
from intouch_import.jupyter.outlet import Outlet
from intouch_import.jupyter.pictures import Picture, Pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Face"]

log = logging.getLogger(__name__)


class Face(anywidget.AnyWidget):
    """A widget that is told what a person wants, and answers from threads of its own.

    Nothing of a patient may be a trait: the traits of a widget are saved with the notebook.
    """

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._outlet = Outlet(self.send)
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
                self._outlet.send({"kind": "refused", "ask": ask, "text": sentence(str(exc))})
            except InTouchImportError as exc:
                self._outlet.send({"kind": "trouble", "ask": ask, "text": f"{failed} {sentence(str(exc))}"})
            except Exception as exc:  # noqa: BLE001  # a host's records may raise anything, with names in it
                log.error("a widget failed", extra={"kind": type(exc).__name__})
                self._outlet.send({"kind": "trouble", "ask": ask, "text": f"{failed} An unexpected error."})

        with contextlib.suppress(RuntimeError):  # it was closed
            self._threads.submit(guarded)

    def _send_pictures(self, pictures: Sequence[Picture]) -> None:
        shown = [picture for picture in pictures if picture.content is not None]
        self._outlet.send_large(
            {
                "kind": "pictures",
                "shown": [[*picture.place, picture.px] for picture in shown],
                "none": [[*one.place, one.px] for one in pictures if one.content is None],
            },
            [picture.content for picture in shown if picture.content is not None],
        )
