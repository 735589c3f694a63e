"""Other programs change a file, and records fail, at every step of its move: what is whole stays whole."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import import disk
from intouch_import.errors import RepositoryError
from intouch_import.ledger import Event, Ledger
from intouch_import.model import State
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources.local import LocalSource
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from intouch_import.inbox import Inbox
    from intouch_import.sources import Source
    from miniature import Practice

# What a move does, one call each. A change can come before each of them and after it.
STEPS = (
    (LocalSource, "fetch"),
    (SqlRepository, "find_by_digest"),
    (SqlRepository, "add_many"),
    (SqlRepository, "open_attachment"),
    (Ledger, "append"),
    (LocalSource, "remove"),
    (LocalSource, "sync"),
)
MOMENTS = [
    pytest.param(owner, name, when, id=f"{when}-{name}")
    for owner, name in STEPS
    for when in ("before", "after")
]
NEW = jpeg("what another program brought")


def replaced(path: Path) -> None:
    """Another file is renamed over it, as programs save."""
    beside = path.with_name(".new")
    beside.write_bytes(NEW)
    beside.rename(path)


def rewritten(path: Path) -> None:
    """It is opened and written from its beginning."""
    _write(path, NEW, os.O_WRONLY | os.O_TRUNC)


def grown(path: Path) -> None:
    """Something is written at its end."""
    _write(path, b"more", os.O_WRONLY | os.O_APPEND)


def renamed(path: Path) -> None:
    """It gets another name."""
    with contextlib.suppress(FileNotFoundError):
        path.rename(path.with_name("renamed.jpg"))


def removed(path: Path) -> None:
    """It is deleted."""
    path.unlink(missing_ok=True)


def touched(path: Path) -> None:
    """It gets another time."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(path, (1, 1))


def linked(path: Path) -> None:
    """It gets a second name elsewhere."""
    with contextlib.suppress(FileNotFoundError):
        os.link(path, path.parent.parent / f"second-{path.parent.name}")


def exchanged(path: Path) -> None:
    """A symbolic link takes its place."""
    path.unlink(missing_ok=True)
    path.symlink_to("/etc/hostname")


CHANGES = (replaced, rewritten, grown, renamed, removed, touched, linked, exchanged)
WRITERS: list[threading.Thread] = []


def _write(path: Path, content: bytes, flags: int) -> None:
    """As another program would: it waits where the kernel makes it wait, so it has a thread of its own."""

    def write() -> None:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, flags)
            try:
                os.write(fd, content)
            finally:
                os.close(fd)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(0.01)
    WRITERS.append(writer)


@contextlib.contextmanager
def once(owner: Any, name: str, when: str, act: Callable[[], None]) -> Iterator[list[int]]:
    """Do something once, before or after the first call of a function. Yields its calls."""
    function, calls, lock = getattr(owner, name), [], threading.Lock()

    @functools.wraps(function)
    def watched(*args: Any, **options: Any) -> Any:
        with lock:
            calls.append(1)
            mine = len(calls) == 1
        if mine and when == "before":
            act()
        try:
            return function(*args, **options)
        finally:
            if mine and when == "after":
                act()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(owner, name, watched)
        yield calls


def content_of(folder: Path) -> set[bytes]:
    """What is in the files of a folder."""
    return {path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.is_symlink()}


def stored_in(records: SqlRepository, source: Source) -> list[bytes]:
    """What is stored from a source; each is what its record says."""
    found = []
    for patient in ("10042", "10043"):
        for stored in records.attachments(patient):
            with records.open_attachment(stored.id) as file:
                content = file.read()
            assert hashlib.sha256(content).hexdigest() == stored.sha256
            assert len(content) == stored.size_bytes
            if stored.source_id == source.source_id:
                found.append(content)
    return found


def run(inbox: Inbox, work: str) -> None:
    """What a workstation does."""
    report = inbox.refresh()
    assert report.closes
    waiting = [row for row in inbox.rows if row.state is State.WAITING]
    if work == "save" and waiting:
        report = inbox.save(inbox.prepare(waiting, patient="10043"))
        assert report.closes


def lay_out(practice: Practice, work: str, count: int, number: int) -> tuple[Path, list[bytes]]:
    """A folder of its own with photos that have names for this work."""
    folder = practice.root / f"photos-{work}-{count}-{number}"
    folder.mkdir()
    pattern = "10042_DRJ_20260131_1425{:02}.jpg" if work == "refresh" else "{:02}.jpg"
    contents = [jpeg(f"{folder.name} {photo}") for photo in range(count)]
    for photo, content in enumerate(contents):
        (folder / pattern.format(photo)).write_bytes(content)
    return folder, contents


@pytest.mark.parametrize("leases", [True, False], ids=["leases", "copies"])
@pytest.mark.parametrize(("owner", "name", "when"), MOMENTS)
def test_a_change_at_any_step_loses_nothing_and_mixes_nothing(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, when: str, leases: bool
) -> None:
    """What is stored is one version or the other, whole; what came meanwhile stays; other files are moved."""
    if not leases:
        monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
    works = (("refresh", 1), ("save", 3)) if leases else (("refresh", 3), ("save", 1))
    records = practice.records()
    for number, (change, (work, count)) in enumerate(itertools.product(CHANGES, works)):
        folder, contents = lay_out(practice, work, count, number)
        first, *others = contents
        source = practice.source(folder)
        change_it = functools.partial(change, min(folder.iterdir()))
        about = f"{change.__name__}, {work} of {count}"
        with once(owner, name, when, change_it) as calls:
            run(practice.inbox(source, records=records), work)
        assert calls, "not taken, so nothing was changed there"
        while WRITERS:
            WRITERS.pop().join(10)

        kept, here = stored_in(records, source), content_of(folder)
        assert sorted(content for content in kept if content in others) == sorted(others), about
        assert not here & set(others), about
        assert set(kept) - set(others) <= {first, NEW, first + b"more"}, about
        # What another program brought, or left as it was, is in the folder or in a record.
        survivors = {replaced: {NEW}, renamed: {first}, touched: {first}, linked: {first}}.get(change, set())
        assert survivors <= {*here, *kept}, about

        # And a workstation that comes later finds nothing but what a person can deal with.
        run(practice.inbox(source, records=records), "save")
        assert content_of(folder) == set(), about
        assert survivors | set(others) <= set(stored_in(records, source)), about
    ledger = practice.inbox(records=records).ledger
    assert ledger.verify() == []


# --- records that fail


class Fault(SqlRepository):
    """Records that fail in a way of a test's own, from one call on.

    Attributes:
        at: The number of the call at which it begins to fail, from 1; 0 for never.
        calls: The calls so far.
        act: What it does then.
    """

    at = 0
    calls = 0
    act: Any = None

    def _call(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        self.calls += 1
        if self.at and self.calls >= self.at:
            return self.act(name, functools.partial(function, *args))
        return function(*args)

    def find_by_digest(self, digests: Any) -> Any:
        return self._call("find_by_digest", super().find_by_digest, digests)

    def find_attachment(self, import_ids: Any) -> Any:
        return self._call("find_attachment", super().find_attachment, import_ids)

    def add_many(self, items: Any) -> Any:
        return self._call("add_many", super().add_many, items)

    def open_attachment(self, attachment_id: str) -> Any:
        return self._call("open_attachment", super().open_attachment, attachment_id)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self._call("begin", lambda: None)
        with super().transaction():
            yield
        self._call("committed", lambda: None)


def goes_away(_name: str, _call: Callable[[], Any]) -> Any:
    """Every call fails from now on."""
    raise RepositoryError("the connection was lost")


def fails_with_an_error_of_its_own(_name: str, _call: Callable[[], Any]) -> Any:
    """Likewise, with an error that we know nothing of."""
    raise KeyError("patient 10042")


def answers_and_fails(name: str, call: Callable[[], Any]) -> Any:
    """Does what it was asked for, and fails then."""
    result = call()
    if isinstance(result, io.IOBase):
        result.close()
    raise RepositoryError("the connection was lost")


@pytest.mark.parametrize("act", [goes_away, fails_with_an_error_of_its_own, answers_and_fails])
@pytest.mark.parametrize(("work", "count"), [("refresh", 3), ("save", 3), ("save", 1)])
@pytest.mark.both_databases
def test_records_that_fail_at_any_call_lose_nothing(
    practice: Practice, act: Any, work: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From whatever call on: each file is in the folder or stored, and is stored once when they are back."""
    with practice.records() as opened:
        records = Fault(opened.engine, opened._files)
        monkeypatch.setattr(Fault, "act", staticmethod(act))
        for at in itertools.count(1):
            folder, contents = lay_out(practice, work, count, at)
            source = practice.source(folder)
            inbox = practice.inbox(source, records=records)
            records.at, records.calls = at, 0
            with contextlib.suppress(RepositoryError):  # a refresh that can't even ask moves nothing
                run(inbox, work)
            came_to_its_end = records.calls < at
            records.at = 0
            assert {*stored_in(records, source), *content_of(folder)} == set(contents)
            run(inbox, "save")
            assert sorted(stored_in(records, source)) == sorted(contents)
            assert content_of(folder) == set()
            if came_to_its_end:
                break
        assert at > 4
        ledger = practice.inbox(records=records).ledger
        assert ledger.verify() == []
        events = [(entry.import_id, entry.event) for entry in ledger.entries()]
        for event in (Event.STORED, Event.MOVED):
            told = [import_id for import_id, what in events if what is event]
            assert len(told) == len(set(told))


def changed(**changes: str) -> Callable[[list[Any]], list[Any]]:
    """What was stored, said otherwise."""
    return lambda results: [attrs.evolve(one, **changes) for one in results]


def with_bytes(change: Callable[[bytes], bytes]) -> Callable[[Any], Any]:
    """Other bytes than those that are stored."""

    def give(stream: Any) -> Any:
        with stream:
            return io.BytesIO(change(stream.read()))

    return give


LIES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "another digest": ("add_many", changed(sha256="0" * 64)),
    "another patient": ("add_many", changed(patient_id="10044")),
    "another file": ("add_many", changed(import_id="0" * 40)),
    "another id": ("add_many", changed(id="0" * 40)),
    "too few": ("add_many", lambda results: results[1:]),
    "nothing": ("add_many", lambda _results: None),
    "other bytes": ("open_attachment", with_bytes(lambda _content: b"other")),
    "half the bytes": ("open_attachment", with_bytes(lambda content: content[: len(content) // 2])),
    "one byte more": ("open_attachment", with_bytes(lambda content: content + b"x")),
    "no bytes": ("open_attachment", with_bytes(lambda _content: b"")),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize(("work", "count"), [("refresh", 3), ("save", 1)])
def test_records_that_lie_are_not_believed(
    practice: Practice, lie: str, work: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they say that they have stored, or give back: no file leaves its folder for it."""
    records = Fault(practice.records().engine, practice.records()._files)
    where, tell = LIES[lie]
    monkeypatch.setattr(
        Fault, "act", staticmethod(lambda name, call: tell(call()) if name == where else call())
    )
    folder, contents = lay_out(practice, work, count, 0)
    source = practice.source(folder)
    inbox = practice.inbox(source, records=records)
    records.at = 1
    run(inbox, work)
    assert content_of(folder) == set(contents)
    records.at = 0
    run(inbox, "save")
    assert content_of(folder) == set()
    assert sorted(stored_in(records, source)) == sorted(contents)


def test_slow_records_only_take_longer(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workstations at records that take their time at every call store each file once."""

    def slowly(_name: str, call: Callable[[], Any]) -> Any:
        time.sleep(0.02)
        return call()

    monkeypatch.setattr(Fault, "act", staticmethod(slowly))
    folder, contents = lay_out(practice, "refresh", 5, 0)
    source = practice.source(folder)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with practice.records() as opened:
                records = Fault(opened.engine, opened._files)
                records.at = 1
                run(practice.inbox(practice.source(folder), records=records), "save")
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert content_of(folder) == set()
    assert sorted(stored_in(practice.records(), source)) == sorted(contents)
