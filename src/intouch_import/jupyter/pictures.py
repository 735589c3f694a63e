"""Thumbnails for those who look: made on demand, newest wish first, kept in memory alone."""

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

__all__ = ["Picture", "Pictures", "Wish"]

log = logging.getLogger(__name__)

_THREADS: Final = 2
_KEEP_BYTES: Final = 32 * 1024 * 1024
_BATCH: Final = 24
_BATCH_EVERY_S: Final = 0.12
_LINGER_S: Final = 5.0


@attrs.frozen(kw_only=True)
class Wish:
    """A picture that somebody would like to see.

    Args:
        place: Where it is wanted: which list, and which of its rows.
        key: What it shows: the same key is the same picture.
        px: Longer side, pixels.
        make: Makes it: a JPEG, or None if there is nothing to show. May take long.
    """

    place: tuple[int, int]
    key: str
    px: int
    make: Callable[[], bytes | None] = attrs.field(eq=False)


@attrs.frozen(kw_only=True)
class Picture:
    """A wish come true, or not: ``content`` is a JPEG, or None where there is nothing to show."""

    place: tuple[int, int]
    px: int
    content: bytes | None = attrs.field(repr=False)


class Pictures:
    """Makes pictures in a few threads of its own, which end when nobody wants any.

    Args:
        deliver: Given what is ready, a batch at a time, in one of those threads.
        keep_bytes: How much of what was made is kept, so that scrolling back costs nothing.
    """

    def __init__(
        self, deliver: Callable[[Sequence[Picture]], object], *, keep_bytes: int = _KEEP_BYTES
    ) -> None:
        self._deliver = deliver
        self._keep_bytes = keep_bytes
        self._changed = threading.Condition()
        self._wishes: dict[str, list[Wish]] = {}
        self._made: OrderedDict[tuple[str, int], bytes | None] = OrderedDict()
        self._made_bytes = 0
        self._ready: list[Picture] = []
        self._sent_s = float("-inf")
        self._threads = 0
        self._reading = 0
        self._resting = 0
        self._closed = False

    def want(self, who: str, wishes: Sequence[Wish]) -> None:
        """Say what somebody looks at now. What they wanted before and has not been begun is dropped.

        Args:
            who: The view that looks.
            wishes: The most urgent first.
        """
        with self._changed:
            self._wishes[who] = list(reversed(wishes))
            while not self._closed and self._threads < min(_THREADS, len(wishes)):
                self._threads += 1
                threading.Thread(target=self._work, name="intouch-pictures", daemon=True).start()
            self._changed.notify_all()

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """While the block runs, no file is open for a picture.

        On Windows, a file that is open can't be moved out of its folder.
        """
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
        """Make no more. What is kept is forgotten."""
        with self._changed:
            self._closed = True
            self._wishes.clear()
            self._made.clear()
            self._made_bytes = 0
            self._changed.notify_all()

    # --- inside

    def _work(self) -> None:
        while True:
            with self._changed:
                batch, wish = self._next()
                if batch is None and wish is None:
                    self._threads -= 1
                    return
                if wish is not None:
                    self._reading += 1
            if batch is not None:
                self._try_to_deliver(batch)
            if wish is not None:
                content = self._make(wish)
                with self._changed:
                    self._reading -= 1
                    self._ready.append(Picture(place=wish.place, px=wish.px, content=content))
                    self._changed.notify_all()

    def _try_to_deliver(self, batch: list[Picture]) -> None:
        try:
            self._deliver(batch)
        except Exception as exc:  # noqa: BLE001  # the browser may be gone; the next one asks anew
            log.info("pictures could not be sent", extra={"kind": type(exc).__name__})

    def _make(self, wish: Wish) -> bytes | None:
        """Make a picture, and keep it: that there is none is worth keeping too, a failure is not."""
        try:
            content = wish.make()
        except Exception as exc:  # noqa: BLE001  # a list without one picture is still a list
            log.info("a file could not be read for a picture", extra={"kind": type(exc).__name__})
            return None
        with self._changed:
            self._keep(wish, content)
        return content

    def _next(self) -> tuple[list[Picture] | None, Wish | None]:
        """What to do next: send what is ready, make a picture, or end. Called with the lock held."""
        give_up_s = time.monotonic() + _LINGER_S
        while not self._closed:
            now_s = time.monotonic()
            wish = None if self._resting else self._take_wish()
            due = len(self._ready) >= _BATCH or now_s >= self._sent_s + _BATCH_EVERY_S
            if self._ready and due:
                batch, self._ready = self._ready[:_BATCH], self._ready[_BATCH:]
                self._sent_s = now_s
                return batch, wish
            if wish is not None:
                return None, wish
            if now_s >= give_up_s and not self._resting:
                break
            until_s = self._sent_s + _BATCH_EVERY_S if self._ready else give_up_s
            self._changed.wait(max(0.001, until_s - now_s) if not self._resting else None)
        return None, None

    def _take_wish(self) -> Wish | None:
        """The most urgent wish whose picture is not made yet; those that are made become ready."""
        for wishes in self._wishes.values():
            while wishes:
                wish = wishes.pop()
                known = (wish.key, wish.px)
                if known not in self._made:
                    return wish
                self._made.move_to_end(known)
                self._ready.append(Picture(place=wish.place, px=wish.px, content=self._made[known]))
        return None

    def _keep(self, wish: Wish, content: bytes | None) -> None:
        if self._closed:
            return
        self._made[wish.key, wish.px] = content
        self._made_bytes += len(content or b"")
        while self._made_bytes > self._keep_bytes and len(self._made) > 1:
            _, oldest = self._made.popitem(last=False)
            self._made_bytes -= len(oldest or b"")
