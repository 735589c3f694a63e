"""Moving from sources whose time goes into waiting: many at a time, read ahead, removed together."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from intouch_import import disk
from intouch_import.clock import Clock
from intouch_import.errors import FileChanged, FileVanished, NotRemoved, SourceUnavailable
from intouch_import.ledger import Ledger
from intouch_import.model import Destination, Reason, SourceFile, State, import_id
from intouch_import.moving import MoveOrder, Mover
from intouch_import.moving import mover as batching
from intouch_import.moving.storing import Storing
from intouch_import.sources.local import LocalSource
from miniature import NOW
from moving_bench import Bench, raising

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.sources import Source
    from miniature import Practice


def mover(practice: Practice, *names: str) -> Mover:
    """A mover into the records of a practice, and photos to move."""
    for name in names:
        practice.photo(name)
    records = practice.records()
    return Mover(records, Ledger(records.engine), clock=Clock(now=lambda: NOW))


class Slow(LocalSource):
    """A source whose time goes into waiting, with removals that go together."""

    concurrency = 6

    def __init__(self, folder: str, *, together: int = 0, **options: Any) -> None:
        super().__init__(folder, **options)
        self.removes_together = together
        self.lock = threading.Lock()
        self.at_once = self.most = 0
        self.groups: list[int] = []
        self.end: Any = None

    def fetch(self, *args: Any, **options: Any) -> Any:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        time.sleep(0.02)
        try:
            return super().fetch(*args, **options)
        finally:
            with self.lock:
                self.at_once -= 1

    def remove_many(self, files: Sequence[SourceFile]) -> list[Exception | None]:
        self.groups.append(len(files))
        if self.end is not None:
            return cast("list[Exception | None]", self.end(files))
        for file in files:
            (self.folder / file.name).unlink()
        return [None] * len(files)


def orders_of(source: Source) -> list[MoveOrder]:
    return [
        MoveOrder(
            source=source,
            file=file,
            import_id=import_id(source.source_id, file.name, file.version),
            patient_id="10042",
            destination=Destination.IMAGES,
            reason=Reason.CHOSEN,
        )
        for file in sorted(source.scan(), key=lambda file: file.name)
    ]


def test_as_many_files_are_read_at_a_time_as_help_their_source(practice: Practice) -> None:
    """A remote source has its own number of threads, beside those of other sources."""
    mover_ = mover(practice, "a.jpg", "b.jpg")
    far = practice.root / "far"
    far.mkdir()
    for number in range(18):
        practice.photo(f"{number:02}.jpg", folder=far)
    source = Slow(str(far))
    outcomes, problems = mover_.move([*orders_of(source), *orders_of(practice.source())])
    assert [outcome.state for outcome in outcomes] == [State.IMPORTED] * 20
    assert (problems, source.most) == ([], 6)


class Crowded(LocalSource):
    """A source that answers when as many threads ask at a time as there may be, and counts them."""

    concurrency = 40

    def __init__(self, folder: str, *, wanted: int) -> None:
        super().__init__(folder)
        self.barrier = threading.Barrier(wanted, timeout=30)
        self.threads: set[int] = set()

    def fetch(self, *args: Any, **options: Any) -> Any:
        self.threads.add(threading.get_ident())
        self.barrier.wait()
        return super().fetch(*args, **options)


@pytest.mark.parametrize(("most", "wanted"), [(None, 40), (4, 4), (60, 40)])
def test_there_are_as_many_threads_as_help_and_no_more_than_are_allowed(
    practice: Practice, most: int | None, wanted: int
) -> None:
    """What each source asks for, however few cores there are; and the host has the last word."""
    bench = Bench(practice, *(f"{number:02}.jpg" for number in range(40)))
    near = practice.root / "near"
    near.mkdir()
    practice.photo("first.jpg", folder=near)
    source = Crowded(str(practice.photos), wanted=wanted)
    orders = [*orders_of(practice.source(near)), *orders_of(source)]
    outcomes, _ = bench.mover(threads=most).move(orders)
    assert {outcome.state for outcome in outcomes} == {State.IMPORTED}
    assert len(source.threads) == wanted


def test_copies_are_read_ahead(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a batch is stored, the next one is read: each waits for something else."""
    monkeypatch.setattr(batching, "BATCH_FILES", 4)
    monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
    mover_ = mover(practice)
    for number in range(10):
        practice.photo(f"{number:02}.jpg")
    source = Slow(str(practice.photos), together=3)
    following = threading.Event()
    fetch, store = source.fetch, Storing.store

    def fetch_and_tell(file: SourceFile, **options: Any) -> Any:
        if file.name == "04.jpg":
            following.set()
        return fetch(file, **options)

    def store_later(storing: Storing, moves: list[Any]) -> None:
        assert following.wait(30), "the next batch is read only when this one is stored"
        store(storing, moves)

    monkeypatch.setattr(source, "fetch", fetch_and_tell)
    monkeypatch.setattr(Storing, "store", store_later)
    outcomes, _ = mover_.move(orders_of(source))
    assert [outcome.name for outcome in outcomes] == [f"{number:02}.jpg" for number in range(10)]
    assert {outcome.state for outcome in outcomes} == {State.IMPORTED}
    assert sorted(source.groups) == [1, 1, 2, 3, 3]
    assert practice.left() == []
    assert list(practice.files.rglob("*.part")) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases exist on Linux alone")
def test_descriptors_of_no_more_than_one_batch_are_open(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file that has to be copied does not make the next batch take its leases before this one has ended."""
    monkeypatch.setattr(batching, "BATCH_FILES", 4)
    mover_ = mover(practice)
    for number in range(8):
        practice.photo(f"{number:02}.jpg")
    source = LocalSource(str(practice.photos))
    fetch, store, take_lease = source.fetch, Storing.store, disk.take_lease
    refused = iter([disk.Lease.UNAVAILABLE])
    contents: list[Any] = []
    held: list[int] = []

    def fetch_and_keep(file: SourceFile, **options: Any) -> Any:
        contents.append(fetch(file, **options))
        return contents[-1]

    def store_later(storing: Storing, moves: list[Any]) -> None:
        time.sleep(0.3)  # in which the next batch would be read
        held.append(sum(not content.is_copy and content._fd >= 0 for content in contents))
        store(storing, moves)

    monkeypatch.setattr(disk, "take_lease", lambda fd: next(refused, None) or take_lease(fd))
    monkeypatch.setattr(source, "fetch", fetch_and_keep)
    monkeypatch.setattr(Storing, "store", store_later)
    outcomes, _ = mover_.move(orders_of(source))
    assert {outcome.state for outcome in outcomes} == {State.IMPORTED}
    assert held == [3, 4]


def test_what_was_read_ahead_is_let_go_when_the_work_is_broken_off(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a batch is stored leaves no staged copy of the next one, and no file half moved."""
    monkeypatch.setattr(batching, "BATCH_FILES", 2)
    monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
    mover_ = mover(practice)
    for number in range(6):
        practice.photo(f"{number:02}.jpg")
    monkeypatch.setattr(Storing, "store", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        mover_.move(orders_of(Slow(str(practice.photos))))
    assert len(practice.left()) == 6
    assert not list(practice.root.rglob("*.part"))


def test_whoever_breaks_off_need_not_wait_for_what_is_read_ahead(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while a batch is stored: of the next one, only what is being read right now is read to its end."""
    monkeypatch.setattr(batching, "BATCH_FILES", 40)
    monkeypatch.setattr(batching, "BATCH_FAR_FILES", 40)
    monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
    mover_ = mover(practice)
    for number in range(80):
        practice.photo(f"{number:02}.jpg")
    source = Slow(str(practice.photos))
    read: list[str] = []
    fetch = source.fetch

    def fetch_and_tell(file: SourceFile, **options: Any) -> Any:
        read.append(file.name)
        return fetch(file, **options)

    monkeypatch.setattr(source, "fetch", fetch_and_tell)
    monkeypatch.setattr(Storing, "store", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        mover_.move(orders_of(source))
    assert len(read) < 60
    assert not list(practice.root.rglob("*.part"))


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda files: [None, FileVanished(), FileChanged()], ["capture", "finished_elsewhere", "changed"]),
        (
            lambda files: [NotRemoved(reason=Reason.LEASED), NotRemoved(), SourceUnavailable("gone")],
            ["leased", "not_removed", "not_removed"],
        ),
        (lambda files: [None], ["not_removed"] * 3),
        (raising(RuntimeError("a bug")), ["not_removed"] * 3),
    ],
)
def test_each_file_of_a_common_removal_has_its_own_end(practice: Practice, end: Any, told: list[str]) -> None:
    """What one request says of several files is told of each; an answer of the wrong length is none."""
    mover_ = mover(practice, "a.jpg", "b.jpg", "c.jpg")
    source = Slow(str(practice.photos), together=3)
    source.end = end
    outcomes, problems = mover_.move(orders_of(source))
    expected = ["chosen" if reason == "capture" else reason for reason in told]
    assert [outcome.reason.value for outcome in outcomes] == expected
    assert bool(problems) == (told[0] == "leased")
    assert all(outcome.attachment_id for outcome in outcomes)
