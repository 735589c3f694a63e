"""Thumbnails for widgets: made on request, the newest request first, and kept in memory only."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Picture", "PictureRequest", "Pictures"]

log = logging.getLogger(__name__)

_THREADS: Final = 2
_KEEP_BYTES: Final = 32 * 1024 * 1024
_BATCH: Final = 24
_BATCH_EVERY_S: Final = 0.12
_LINGER_S: Final = 5.0


@attrs.frozen(kw_only=True)
class PictureRequest:
    """A request for one picture.

    Args:
        place: The list and the row that will show the picture.
        key: Identifies the picture: equal keys mean equal pictures.
        px: Longer side of the picture, pixels.
        make: Returns a JPEG, or None if there is no picture. May take long.
    """

    place: tuple[int, int]
    key: str
    px: int
    make: Callable[[], bytes | None] = attrs.field(eq=False)


@attrs.frozen(kw_only=True)
class Picture:
    """The answer to a request: a JPEG, or None if there is no picture."""

    place: tuple[int, int]
    px: int
    content: bytes | None = attrs.field(repr=False)


class Pictures:
    """Makes pictures in a few threads, which end when there are no requests.

    Args:
        deliver: Called with the finished pictures, a batch at a time, in one of these threads.
        keep_bytes: Size limit of the pictures that are kept for requests that come again.
    """

    def __init__(
        self, deliver: Callable[[Sequence[Picture]], object], *, keep_bytes: int = _KEEP_BYTES
    ) -> None:
        self._deliver = deliver
        self._keep_bytes = keep_bytes
        self._changed = threading.Condition()
        self._requests: dict[str, list[PictureRequest]] = {}
        self._made: OrderedDict[tuple[str, int], bytes | None] = OrderedDict()
        self._made_bytes = 0
        self._ready: list[Picture] = []
        self._sent_s = float("-inf")
        self._threads = 0
        self._reading = 0
        self._resting = 0
        self._closed = False

    def request(self, view: str, requests: Sequence[PictureRequest]) -> None:
        """Replace the requests of a view. Its earlier requests are dropped unless they are in progress.

        Args:
            view: The view that shows the pictures.
            requests: The requests, the most urgent first.
        """
        with self._changed:
            self._requests[view] = list(reversed(requests))
            while not self._closed and self._threads < min(_THREADS, len(requests)):
                self._threads += 1
                threading.Thread(target=self._work, name="intouch-pictures", daemon=True).start()
            self._changed.notify_all()

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """Keep all files closed while the block runs: on Windows, an open file can't be moved."""
        with self._changed:
            self._resting += 1
            self._changed.wait_for(lambda: not self._reading)
        try:
            yield
        finally:
            with self._changed:
                self._resting -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Stop making pictures, and forget those that are kept."""
        with self._changed:
            self._closed = True
            self._requests.clear()
            self._made.clear()
            self._made_bytes = 0
            self._changed.notify_all()

    # --- inside

    def _work(self) -> None:
        while True:
            with self._changed:
                batch, request = self._next()
                if batch is None and request is None:
                    self._threads -= 1
                    return
                if request is not None:
                    self._reading += 1
            if batch is not None:
                self._try_to_deliver(batch)
            if request is not None:
                content = self._make(request)
                with self._changed:
                    self._reading -= 1
                    self._ready.append(Picture(place=request.place, px=request.px, content=content))
                    self._changed.notify_all()

    def _try_to_deliver(self, batch: list[Picture]) -> None:
        try:
            self._deliver(batch)
        except Exception as exc:  # noqa: BLE001  # the browser may be gone; another one sends new requests
            log.info("pictures could not be sent", extra={"kind": type(exc).__name__})

    def _make(self, request: PictureRequest) -> bytes | None:
        """Make a picture and keep the result, also if there is no picture; a failure is not kept."""
        try:
            content = request.make()
        except Exception as exc:  # noqa: BLE001  # one picture must not stop the others
            log.info("a file could not be read for a picture", extra={"kind": type(exc).__name__})
            return None
        with self._changed:
            self._keep(request, content)
        return content

    def _next(self) -> tuple[list[Picture] | None, PictureRequest | None]:
        """Return the batch to deliver and the request to work on; None and None to end. Needs the lock."""
        give_up_s = time.monotonic() + _LINGER_S
        while not self._closed:
            now_s = time.monotonic()
            request = None if self._resting else self._take_request()
            due = len(self._ready) >= _BATCH or now_s >= self._sent_s + _BATCH_EVERY_S
            if self._ready and due:
                batch, self._ready = self._ready[:_BATCH], self._ready[_BATCH:]
                self._sent_s = now_s
                return batch, request
            if request is not None:
                return None, request
            if now_s >= give_up_s and not self._resting:
                break
            until_s = self._sent_s + _BATCH_EVERY_S if self._ready else give_up_s
            self._changed.wait(max(0.001, until_s - now_s) if not self._resting else None)
        return None, None

    def _take_request(self) -> PictureRequest | None:
        """Return the most urgent request for a new picture. Pictures that are kept become ready."""
        for requests in self._requests.values():
            while requests:
                request = requests.pop()
                known = (request.key, request.px)
                if known not in self._made:
                    return request
                self._made.move_to_end(known)
                self._ready.append(Picture(place=request.place, px=request.px, content=self._made[known]))
        return None

    def _keep(self, request: PictureRequest, content: bytes | None) -> None:
        if self._closed:
            return
        self._made[request.key, request.px] = content
        self._made_bytes += len(content or b"")
        while self._made_bytes > self._keep_bytes and len(self._made) > 1:
            _, oldest = self._made.popitem(last=False)
            self._made_bytes -= len(oldest or b"")
