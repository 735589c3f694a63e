"""A local file that becomes the stored file without a copy, and programs that must not write to it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import import disk
from intouch_import.errors import LedgerError, StillArriving
from intouch_import.model import Reason
from intouch_import.repositories.files import open_files
from intouch_import.sources.hard_link import LeasedContent
from intouch_import.sources.local import LocalSource
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miniature import Practice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="read leases exist on Linux alone")

WRITER = """
import sys
print("here", flush=True)
with open(sys.argv[1], "r+b") as file:
    file.write(b"WRITTEN LATER")
print("done", flush=True)
"""


@pytest.fixture(autouse=True)
def _leases(tmp_path: Path) -> None:
    path = tmp_path / "probe"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    lease = disk.take_lease(fd)
    os.close(fd)
    path.unlink()
    if lease is disk.Lease.UNAVAILABLE:
        pytest.skip("this file system has no leases")


@contextlib.contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A program that opens the file for writing as soon as the lease allows it."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process


def until_broken(content: LeasedContent) -> None:
    for _ in range(1000):
        if not disk.lease_holds(content._fd):
            return
        threading.Event().wait(0.01)
    raise AssertionError("the writer never came")


def fetched(folder: Path, name: str = "a.jpg", content: bytes = b"the bytes") -> tuple[LocalSource, Any, Any]:
    (folder / name).write_bytes(content)
    source = LocalSource(str(folder))
    file = source.look(name)
    assert file is not None
    return source, file, source.fetch(file, staging=folder)


def test_an_undisturbed_file_is_linked_not_copied(tmp_path: Path) -> None:
    """The stored file is the source file itself, and has no other name after the removal."""
    source, file, content = fetched(tmp_path)
    assert isinstance(content, LeasedContent)
    stored = tmp_path / "stored"
    inode = (tmp_path / "a.jpg").stat().st_ino
    with content:
        content.save_to(stored)
        with stored.open("rb", buffering=0) as opened:
            assert content.is_same_file(opened)
        source.remove(file, sha256=content.sha256)
        content.settle()
    assert stored.stat().st_ino == inode
    assert os.listdir(tmp_path) == ["stored"]
    content.close()


def test_readers_have_positions_of_their_own(tmp_path: Path) -> None:
    """Each reader starts at the beginning, and closing one leaves the file open for the next."""
    _, _, content = fetched(tmp_path)
    with content:
        one, two = content.open(), content.open()
        assert one.read(3) == two.read(3) == b"the"
        assert one.readable()
        one.close()
        assert two.read() == b" bytes"
        assert content.edges(4) == (b"the ", b"ytes")
        assert not content.is_same_file(io.BytesIO(b"the bytes"))


def test_a_file_open_for_writing_is_not_read(tmp_path: Path) -> None:
    """If a program has the file open for writing, the file is still arriving."""
    (tmp_path / "a.jpg").write_bytes(b"half")
    source = LocalSource(str(tmp_path))
    file = source.look("a.jpg")
    assert file is not None
    with (tmp_path / "a.jpg").open("ab"), pytest.raises(StillArriving) as caught:
        source.fetch(file)
    assert caught.value.open_elsewhere  # type: ignore[attr-defined]
    source.fetch(file).close()


def test_a_writer_that_comes_while_the_file_is_read_stops_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the lease breaks before the last byte is hashed, nothing is imported."""
    (tmp_path / "a.jpg").write_bytes(b"the bytes")
    source = LocalSource(str(tmp_path))
    file = source.look("a.jpg")
    assert file is not None
    digest = disk.digest_file
    with contextlib.ExitStack() as stack:

        def disturbed(fd: int, size_bytes: int) -> Any:
            stack.enter_context(writer(tmp_path / "a.jpg"))
            for _ in range(1000):
                if not disk.lease_holds(fd):
                    break
                threading.Event().wait(0.01)
            return digest(fd, size_bytes)

        monkeypatch.setattr(disk, "digest_file", disturbed)
        with pytest.raises(StillArriving):
            source.fetch(file)


def test_a_writer_that_comes_before_the_bytes_are_stored_gets_no_link(tmp_path: Path) -> None:
    """After a program asked to write, the bytes are copied, not linked."""
    _, _, content = fetched(tmp_path)
    with writer(tmp_path / "a.jpg") as process:
        until_broken(content)
        content.save_to(tmp_path / "stored")
        assert (tmp_path / "stored").stat().st_ino != (tmp_path / "a.jpg").stat().st_ino
        content.close()
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
    assert (tmp_path / "stored").read_bytes() == b"the bytes"
    assert (tmp_path / "a.jpg").read_bytes() == b"WRITTEN LATER"


def test_a_writer_that_comes_after_the_bytes_are_stored_reaches_nothing(tmp_path: Path) -> None:
    """A program that opened the inode before the move writes into a file without a name."""
    source, file, content = fetched(tmp_path)
    stored = tmp_path / "stored"
    content.save_to(stored)
    with writer(tmp_path / "a.jpg") as process:
        until_broken(content)
        with stored.open("rb", buffering=0) as opened:
            assert not content.is_same_file(opened)
        source.remove(file, sha256=content.sha256)
        content.settle()
        content.close()
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
    assert stored.read_bytes() == b"the bytes"
    assert os.listdir(tmp_path) == ["stored"]


def test_a_second_name_made_meanwhile_reaches_nothing(tmp_path: Path) -> None:
    """A hard link that is made during the move does not lead to the stored bytes."""
    source, file, content = fetched(tmp_path)
    stored = tmp_path / "stored"
    with content:
        content.save_to(stored)
        os.link(tmp_path / "a.jpg", tmp_path / "second")
        source.remove(file, sha256=content.sha256)
        content.settle()
    (tmp_path / "second").write_bytes(b"WRITTEN LATER")
    assert stored.read_bytes() == b"the bytes"


def test_a_file_with_a_second_name_is_copied(tmp_path: Path) -> None:
    """A file with a second name is not linked: a program may write to it by that name later."""
    (tmp_path / "a.jpg").write_bytes(b"the bytes")
    os.link(tmp_path / "a.jpg", tmp_path / "second")
    source = LocalSource(str(tmp_path))
    file = source.look("a.jpg")
    assert file is not None
    with source.fetch(file, staging=tmp_path) as content:
        assert not isinstance(content, LeasedContent)
        content.save_to(tmp_path / "stored")
    (tmp_path / "second").write_bytes(b"WRITTEN LATER")
    assert (tmp_path / "stored").read_bytes() == b"the bytes"


def test_where_no_link_can_be_made_the_bytes_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another file system, or if links are not allowed, the bytes are copied; an existing name is never replaced."""
    _, _, content = fetched(tmp_path)
    with content:
        with monkeypatch.context() as patched:
            patched.setattr(os, "link", _no_links)
            content.save_to(tmp_path / "copied", durable=False)
            content.settle()
        monkeypatch.setattr("intouch_import.sources.hard_link.sys.platform", "freebsd14")
        assert not content._link(tmp_path / "x")
        monkeypatch.undo()
        (tmp_path / "there").write_bytes(b"old")
        with pytest.raises(FileExistsError):
            content.save_to(tmp_path / "there")
    assert (tmp_path / "copied").read_bytes() == b"the bytes"
    assert (tmp_path / "there").read_bytes() == b"old"


_link = os.link


def _no_links(source: Any, target: Any, **options: Any) -> None:
    if str(source).startswith("/proc"):
        raise OSError(18, "Invalid cross-device link")
    _link(source, target, **options)


def test_two_movers_of_one_file_leave_no_second_name(tmp_path: Path) -> None:
    """If two processes store the same file at once, it is stored once, with no link to the source."""
    folder = tmp_path / "photos"
    folder.mkdir()
    source, file, one = fetched(folder)
    two = source.fetch(file, staging=folder)
    files = open_files(tmp_path / "files")
    with one, two:
        files.place("a" * 40, one)
        files.place("a" * 40, two)
        source.remove(file, sha256=one.sha256)
        one.settle()
        two.settle()
    shelf = tmp_path / "files" / "aa"
    assert os.listdir(shelf) == ["a" * 40]
    assert (shelf / ("a" * 40)).stat().st_nlink == 1


def test_a_move_with_a_writer_in_waiting_stores_a_private_copy(practice: Practice) -> None:
    """End to end: a program that opens the photo during the move can't change the record."""
    path = practice.photo("a.jpg", b"the bytes" * 100)
    records = practice.records()
    inbox = practice.inbox(records=records)
    inbox.refresh()
    processes: list[Any] = []
    with contextlib.ExitStack() as stack:
        add_many = records.add_many

        def disturbed(items: Any) -> Any:
            results = add_many(items)
            processes.append(stack.enter_context(writer(path)))
            until_broken(items[0][1])
            return results

        records.add_many = disturbed  # type: ignore[method-assign]
        report = inbox.save(inbox.prepare(inbox.rows, patient="10042"))
        assert report.imported == 1
        assert processes[0].stdout.readline() == "done\n"
    (stored,) = records.attachments("10042")
    with records.open_attachment(stored.id) as file:
        assert file.read() == b"the bytes" * 100


def test_a_move_that_ends_before_the_removal_leaves_no_second_name(practice: Practice) -> None:
    """If the ledger fails, the source file stays, and programs that write to it do not change the record."""
    path = practice.photo("a.jpg", b"the bytes" * 100)
    records = practice.records()
    inbox = practice.inbox(records=records)
    inbox.refresh()

    def fail(*_: Any) -> None:
        raise LedgerError("no")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(inbox.ledger), "append", fail)
        report = inbox.save(inbox.prepare(inbox.rows, patient="10042"))
    assert [outcome.reason for outcome in report.outcomes] == [Reason.LEDGER_FAILED]
    with path.open("r+b") as file:
        file.write(b"EDITED IN PLACE")
    (stored,) = records.attachments("10042")
    with records.open_attachment(stored.id) as file:
        assert file.read() == b"the bytes" * 100


def test_a_link_that_a_crash_left_is_out_of_reach_when_the_move_is_finished(practice: Practice) -> None:
    """A program that waits to write while an interrupted move is finished can't change the record."""
    path = practice.photo("10042_DRJ_20260131_142501.jpg", jpeg("the photo"))
    records = practice.records()
    inbox = practice.inbox(records=records)
    with pytest.MonkeyPatch.context() as patched:

        def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        patched.setattr(LocalSource, "remove", die)
        patched.setattr(LeasedContent, "settle", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            inbox.refresh()
    assert path.stat().st_nlink == 2
    processes: list[Any] = []
    with contextlib.ExitStack() as stack:
        remove = LocalSource.remove

        def disturbed(source: Any, file: Any, **options: Any) -> None:
            processes.append(stack.enter_context(writer(path)))
            for _ in range(1000):
                if "BREAKING" in Path("/proc/locks").read_text("utf-8"):
                    break
                threading.Event().wait(0.01)
            remove(source, file, **options)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(LocalSource, "remove", disturbed)
            assert practice.inbox(records=records).refresh().imported == 1
        assert processes[0].stdout.readline() == "done\n"
    (stored,) = records.attachments("10042")
    with records.open_attachment(stored.id) as file:
        assert file.read() == jpeg("the photo")
