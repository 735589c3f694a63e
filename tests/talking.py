"""The browser's side of a widget, without a browser: send the same messages, and receive the answers."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_WITHIN_S = 30.0


class Talk:
    """A conversation with one widget.

    Args:
        widget: The widget.
    """

    def __init__(self, widget: Any) -> None:
        self.widget = widget
        self.heard: list[dict[str, Any]] = []
        self.buffers: list[list[bytes]] = []
        self._changed = threading.Condition()
        widget._sender._send = self._hear

    def _hear(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        json.dumps(content)  # what can't be sent fails here, and not in the kernel
        with self._changed:
            self.heard.append(content)
            self.buffers.append(buffers)
            self._changed.notify_all()

    def say(self, kind: str, **content: Any) -> None:
        """Send a message as the script does."""
        self.widget._handle_custom_msg({"kind": kind, **content}, [])

    def wait(self, kind: str, *, matching: Callable[[dict[str, Any]], object] = bool) -> dict[str, Any]:
        """Return the next matching message of a kind, and drop the messages before it."""
        give_up_s = time.monotonic() + _WITHIN_S
        with self._changed:
            while True:
                for position, said in enumerate(self.heard):
                    if said["kind"] == kind and matching(said):
                        self.heard = self.heard[position + 1 :]
                        self.last_buffers = self.buffers[position]
                        self.buffers = self.buffers[position + 1 :]
                        return said
                left_s = give_up_s - time.monotonic()
                assert left_s > 0, f"{kind} was not said; said were {[said['kind'] for said in self.heard]}"
                self._changed.wait(left_s)

    def ask(self, kind: str, *answers: str, **content: Any) -> dict[str, Any]:
        """Send a question and return its answer, a message of one of these kinds."""
        self.say(kind, ask=1, **content)
        give_up_s = time.monotonic() + _WITHIN_S
        with self._changed:
            while True:
                for said in self.heard:
                    if said["kind"] in answers and said.get("ask") == 1:
                        self.heard.remove(said)
                        return said
                left_s = give_up_s - time.monotonic()
                assert left_s > 0, f"no answer to {kind}"
                self._changed.wait(left_s)

    def idle(self) -> None:
        """Wait until nothing is running."""
        self.wait("busy", matching=lambda said: not any(v for k, v in said.items() if k != "kind"))
