"""Locks, connections and threads that a forked child makes anew."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

import forking
from forking import FORKS, fork, in_child
from intouch_import import Inbox, open_source
from intouch_import.forks import ForkSafeLock, PerProcess
from intouch_import.remote import Connections
from intouch_import.sources import local
from intouch_import.testing import MemoryRepository

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = forking.marks


def test_threads_share_one_value() -> None:
    """The value is made once, even if several threads ask for it at the same moment."""
    made: list[object] = []
    barrier = threading.Barrier(4)

    def make() -> object:
        made.append(object())
        return made[-1]

    value = PerProcess(make)

    def ask(_: int) -> object:
        barrier.wait(10)
        return value()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == len(made) == 1


def test_a_value_that_was_taken_is_made_again() -> None:
    """`take` returns the value once and forgets it."""
    made = iter(range(9))
    value = PerProcess(lambda: str(next(made)))
    assert value.take() is None
    assert (value(), value(), value.take(), value.take(), value()) == ("0", "0", "0", None, "1")


@pytest.mark.parametrize("how", FORKS)
def test_a_forked_child_makes_its_own_value(how: str) -> None:
    """A child does not use the value of its parent."""
    value = PerProcess(os.getpid)
    assert value() == os.getpid()
    assert in_child(lambda: value() == os.getpid(), how=how)


@pytest.mark.parametrize("how", FORKS)
@pytest.mark.parametrize("make", [threading.Lock, threading.RLock])
def test_a_lock_is_free_in_a_forked_child(make: type, how: str) -> None:
    """A child does not wait for a thread that it does not have, and its locks exclude its own threads."""
    lock = ForkSafeLock(make)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            go_on.wait(60)

    def use() -> bool:
        with lock:
            threads = [threading.Thread(target=hold) for _ in range(2)]
            held.clear()
            go_on.set()
            for thread in threads:
                thread.start()
            excluded = not held.wait(0.05)
        for thread in threads:
            thread.join(60)
        return excluded and held.is_set()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    try:
        assert in_child(use, how=how)
    finally:
        go_on.set()
        holder.join(60)


def test_a_fork_under_a_lock_leaves_the_lock_to_the_parent() -> None:
    """A child that was forked inside a block can leave the block and lock again."""
    lock = ForkSafeLock()

    def leave_and_lock() -> bool:
        lock.__exit__(None, None, None)
        with lock:
            return True

    with lock:
        assert in_child(leave_and_lock)


def test_an_inbox_answers_in_a_child_forked_during_a_refresh(tmp_path: Path) -> None:
    """A child can read and refresh the list, though a thread of its parent is refreshing it."""
    listing, go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    class Slow(MemoryRepository):
        def find_attachment(self, import_ids):  # type: ignore[no-untyped-def]
            if os.getpid() == parent:
                listing.set()
                go_on.wait(60)
            return super().find_attachment(import_ids)

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"bytes")
    inbox = Inbox(
        Slow(), [open_source(tmp_path / "photos")], ledger=f"sqlite:///{tmp_path / 'ledger.db'}", settle_s=0
    )
    thread = threading.Thread(target=inbox.refresh)
    thread.start()
    assert listing.wait(60)
    try:
        assert in_child(lambda: [len(inbox.rows), inbox.refresh().listed, len(inbox.rows)]) == [0, 1, 1]
    finally:
        go_on.set()
        thread.join(60)


@pytest.mark.parametrize("how", FORKS)
def test_a_child_opens_file_systems_of_its_own(how: str) -> None:
    """A child neither uses nor closes the connections of its parent."""
    closed: list[int] = []

    class System:
        protocol = "test"

        def __init__(self) -> None:
            self.pid = os.getpid()

        def invalidate_cache(self) -> None:
            """Do nothing."""

        def close(self) -> None:
            closed.append(self.pid)

    connections = Connections("test://", {}, opened=lambda *_, **__: (System(), ""))  # type: ignore[arg-type,return-value]

    def use() -> bool:
        with connections.borrow() as filesystem:
            its_own: bool = filesystem.pid == os.getpid()
        connections.close()
        return its_own and closed == [os.getpid()]

    assert in_child(use, how=how)
    with connections.borrow() as filesystem:
        assert filesystem.pid == os.getpid()
    assert closed == []


@pytest.mark.skipif(not local.available(), reason="watchfiles is not installed")
def test_a_child_listens_to_a_folder_itself(tmp_path: Path) -> None:
    """Parent and child both notice a new file."""
    events = local.FolderEvents(tmp_path)
    events.wait(0)
    ready, write = os.pipe()

    def listen() -> bool:
        events.wait(0)
        os.write(write, b"1")
        return events.wait(60)

    child = fork(listen)
    assert os.read(ready, 1)
    (tmp_path / "new.jpg").write_bytes(b"bytes")
    assert events.wait(60)
    assert child.result()
    events.close()


def test_a_watch_can_be_closed_in_a_child(tmp_path: Path) -> None:
    """The end of a child does not wait for the threads of a watch of its parent."""
    inbox = Inbox(
        MemoryRepository(), [open_source(tmp_path)], ledger=f"sqlite:///{tmp_path / 'ledger.db'}", settle_s=0
    )
    with inbox.watch() as watch:
        next(watch)
        assert in_child(watch.close) is None
        assert in_child(lambda: inbox.refresh().listed) == inbox.refresh().listed
