"""The rate of messages to the browser, and pictures in batches."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

from intouch_import.jupyter.pictures import Picture, PictureRequest, Pictures
from intouch_import.jupyter.widget import Sender, throttled
from intouch_import.media.thumbnails import thumbnail_of
from intouch_import.model import Progress, Stage
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Clock:
    """A clock that advances only in `sleep`."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_large_messages_keep_below_the_servers_limit() -> None:
    """No more than three megabytes are sent in any three seconds; the server would drop the rest."""
    clock = Clock()
    sent: list[tuple[float, int]] = []
    sender = Sender(
        lambda _, buffers: sent.append((clock.now_s, sum(map(len, buffers)))),
        monotonic_s=clock.monotonic_s,
        sleep=clock.sleep,
    )
    for _ in range(100):
        sender.send_large({"kind": "x"}, [bytes(100_000)])
    assert len(sent) == 100
    for start, _ in sent:
        assert sum(size for at, size in sent if start <= at < start + 3) < 3_000_000
    assert clock.now_s < 20


def test_small_messages_wait_for_nothing() -> None:
    """Small messages do not wait for pictures."""
    clock = Clock()
    sender = Sender(lambda *_: None, monotonic_s=clock.monotonic_s, sleep=clock.sleep)
    sender.send_large({}, [bytes(1_000_000)])
    sender.send({"kind": "busy"})
    assert clock.now_s == 0


def test_progress_is_told_fewer_than_ten_times_a_second() -> None:
    """Progress of a thousand files in a second is sent in fewer than ten messages."""
    clock = Clock()
    told: list[Progress] = []
    step = throttled(told.append, monotonic_s=clock.monotonic_s)
    for done in range(1000):
        step(Progress(stage=Stage.SAVING, done=done, total=1000))
        clock.sleep(0.001)
    assert 2 <= len(told) < 10


class Shelf:
    """Pictures by position; records which of them were made."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.delivered: list[Picture] = []
        self.batches = 0
        self._changed = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()

    def picture(self, place: int, *, fails: bool = False) -> PictureRequest:
        def make() -> bytes | None:
            self.opened.append(place)
            self.gate.wait(30)
            if fails:
                raise OSError("MARSH.jpg")
            return thumbnail_of(io.BytesIO(jpeg(str(place))), px=32)

        return PictureRequest(place=(1, place), key=f"k{place}", px=32, make=make)

    def deliver(self, pictures: Sequence[Picture]) -> None:
        with self._changed:
            self.delivered += pictures
            self.batches += 1
            self._changed.notify_all()

    def wait(self, number: int) -> list[int]:
        """Return the positions of the delivered pictures, when there are that many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.delivered) >= number, 30)
            return sorted(picture.place[1] for picture in self.delivered)


def made(shelf: Shelf, work: Callable[[Pictures], Any]) -> None:
    pictures = Pictures(shelf.deliver)
    work(pictures)
    pictures.close()


def test_pictures_come_in_batches() -> None:
    """Forty pictures are sent as JPEGs in far fewer than forty messages."""
    shelf = Shelf()

    def work(pictures: Pictures) -> None:
        pictures.request("v", [shelf.picture(place) for place in range(40)])
        assert shelf.wait(40) == list(range(40))

    made(shelf, work)
    assert all((picture.content or b"").startswith(b"\xff\xd8") for picture in shelf.delivered)
    assert shelf.batches < 20


def test_what_is_no_longer_in_view_is_not_made() -> None:
    """Requests for pictures that are no longer visible are dropped."""
    shelf = Shelf()
    shelf.gate.clear()

    def work(pictures: Pictures) -> None:
        pictures.request("v", [shelf.picture(place) for place in range(30)])
        pictures.request("v", [shelf.picture(place) for place in range(100, 103)])
        shelf.gate.set()
        assert {100, 101, 102} <= set(shelf.wait(3)) | set(shelf.wait(len(shelf.opened)))

    made(shelf, work)
    assert len([place for place in shelf.opened if place < 100]) <= 2


def test_a_picture_that_was_made_is_not_made_again() -> None:
    """A picture that was made before is sent without reading the file."""
    shelf = Shelf()

    def work(pictures: Pictures) -> None:
        pictures.request("v", [shelf.picture(1)])
        shelf.wait(1)
        pictures.request("v", [shelf.picture(1)])
        shelf.wait(2)

    made(shelf, work)
    assert shelf.opened == [1]


def test_a_picture_that_failed_is_tried_again() -> None:
    """A failed picture is sent as missing, and is made again at the next request."""
    shelf = Shelf()

    def work(pictures: Pictures) -> None:
        pictures.request("v", [shelf.picture(1, fails=True)])
        shelf.wait(1)
        assert shelf.delivered[0].content is None
        pictures.request("v", [shelf.picture(1)])
        shelf.wait(2)

    made(shelf, work)
    assert shelf.delivered[1].content is not None


def test_memory_is_bounded() -> None:
    """The least recently used pictures are dropped."""
    shelf = Shelf()
    pictures = Pictures(shelf.deliver, keep_bytes=2000)
    pictures.request("v", [shelf.picture(place) for place in range(20)])
    shelf.wait(20)
    assert pictures._made_bytes <= 2000
    assert 1 <= len(pictures._made) < 20
    pictures.close()
    assert not pictures._made


def test_no_file_is_open_while_files_are_moved() -> None:
    """A move waits until the open file is read, and no other file is opened before it ends."""
    shelf = Shelf()
    shelf.gate.clear()
    pictures = Pictures(shelf.deliver)
    pictures.request("v", [shelf.picture(place) for place in range(8)])
    rested = threading.Event()
    go_on = threading.Event()

    def move() -> None:
        with pictures.at_rest():
            rested.set()
            go_on.wait(30)

    mover = threading.Thread(target=move)
    while not shelf.opened:
        threading.Event().wait(0.01)
    mover.start()
    assert not rested.wait(0.1)
    shelf.gate.set()
    assert rested.wait(30)
    before = len(shelf.opened)
    assert not go_on.wait(0.2)
    assert len(shelf.opened) == before
    go_on.set()
    mover.join(30)
    assert shelf.wait(8) == list(range(8))
    pictures.close()
