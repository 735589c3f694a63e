"""What the operating system offers, and what is done where it does not."""

from __future__ import annotations

import errno
import hashlib
import io
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import import disk
from intouch_import.disk import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="read leases exist on Linux alone")
OPEN_FOR_WRITING = "import os, sys; print('here', flush=True); os.close(os.open(sys.argv[1], os.O_WRONLY)); print('in', flush=True)"


def failing(code: int) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


# --- digests


@pytest.mark.parametrize("size", [0, 1, 262_143, 262_144, 262_145, 400_000])
def test_digests_have_size_and_hash(size: int) -> None:
    """Whatever the size, one pass finds size and SHA-256, and copies the bytes."""
    content = os.urandom(size)
    copy, copy_of_chunks = io.BytesIO(), io.BytesIO()
    chunks = [content[start : start + 50_000] for start in range(0, size, 50_000)]
    for digested in (
        disk.digest_stream(io.BytesIO(content)),
        disk.digest_stream(io.BytesIO(content), copy),
        disk.copy_and_digest(chunks, copy_of_chunks),
    ):
        assert digested.size_bytes == size
        assert digested.sha256 == hashlib.sha256(content).hexdigest()
    assert copy.getvalue() == copy_of_chunks.getvalue() == content


def test_short_reads_and_short_writes_lose_nothing() -> None:
    """A stream that gives little at a time and a target that takes little are served whole."""

    class Slow(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            return super().readinto(memoryview(buffer)[:7])

        def write(self, data: Any, /) -> int:
            return super().write(bytes(data[:3]))

    content = os.urandom(1000)
    target = Slow()
    digested = disk.digest_stream(Slow(content), target)
    assert target.getvalue() == content
    assert digested.size_bytes == 1000


# --- syncs


def test_syncs_reach_every_file_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handful of files is synced one by one, with each folder once."""
    paths = []
    for number in range(4):
        folder = tmp_path / str(number % 2)
        folder.mkdir(exist_ok=True)
        paths.append(folder / f"{number}")
        paths[-1].write_bytes(b"x")
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino) or real(fd))
    disk.sync_many(paths)
    expected = [path.stat().st_ino for path in paths]
    if sys.platform != "win32":
        expected += [(tmp_path / name).stat().st_ino for name in "01"]
    assert sorted(synced) == sorted(expected)


@pytest.mark.parametrize("way", ["syncfs", "no syncfs", "not linux", "ENOSYS"])
def test_a_batch_is_synced_one_way_or_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """With syncfs one call serves a batch; without it every file is synced."""
    paths = [tmp_path / str(number) for number in range(6)]
    for path in paths:
        path.write_bytes(b"x")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)

    class Library:
        def __init__(self, *_args: Any, **_kwargs: Any) -> None:
            if way != "no syncfs":
                self.syncfs = lambda _fd: 0 if way == "syncfs" else -1

    monkeypatch.setattr(disk.ctypes, "CDLL", Library)
    monkeypatch.setattr(disk.ctypes, "get_errno", lambda: errno.ENOSYS)
    monkeypatch.setattr(disk.sys, "platform", "freebsd14" if way == "not linux" else "linux")
    disk.sync_many(paths)
    assert len(synced) == (0 if way == "syncfs" else 7)


def test_a_failed_syncfs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that says it could not sync is believed."""

    class Library:
        def __init__(self, *_args: Any, **_kwargs: Any) -> None:
            self.syncfs = lambda _fd: -1

    monkeypatch.setattr(disk.ctypes, "CDLL", Library)
    monkeypatch.setattr(disk.ctypes, "get_errno", lambda: errno.EIO)
    monkeypatch.setattr(disk.sys, "platform", "linux")
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        disk._syncfs(tmp_path)


def test_folders_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network folder that refuses a sync is let off; a device error is not; Windows has no such call."""
    if sys.platform == "win32":
        disk.sync_folder(tmp_path / "none")
        return
    for code in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
        monkeypatch.setattr(os, "fsync", failing(code))
        disk.sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        disk.sync_folder(tmp_path)
    monkeypatch.setattr(disk.sys, "platform", "win32")
    disk.sync_folder(tmp_path / "none")


def test_windows_syncs_through_a_handle_that_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a handle opened for reading can't be flushed."""
    path = tmp_path / "a"
    path.write_bytes(b"x")
    modes: list[str] = []
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", **kw: modes.append(mode) or real(self, mode, **kw)
    )
    monkeypatch.setattr(disk.sys, "platform", "win32")
    disk.sync_many([path])
    assert modes == ["r+b"]


# --- publish


def test_publish_gives_the_final_name(tmp_path: Path) -> None:
    """The finished file has its final name and no other."""
    (tmp_path / "t").write_bytes(b"new")
    disk.publish(tmp_path / "t", tmp_path / "final")
    assert os.listdir(tmp_path) == ["final"]
    assert (tmp_path / "final").read_bytes() == b"new"


@pytest.mark.parametrize("code", [None, errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
@pytest.mark.parametrize("dangling", [False, True])
def test_publish_never_overwrites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None, dangling: bool
) -> None:
    """A name that exists, be it a link to nowhere, is left alone, with hard links or without."""
    (tmp_path / "t").write_bytes(b"new")
    if dangling:
        (tmp_path / "final").symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / "final").write_bytes(b"old")
    if code is not None:
        monkeypatch.setattr(os, "link", failing(code))
    with pytest.raises(FileExistsError):
        disk.publish(tmp_path / "t", tmp_path / "final")
    assert (tmp_path / "t").read_bytes() == b"new"
    assert dangling or (tmp_path / "final").read_bytes() == b"old"
    if code is not None:
        disk.publish(tmp_path / "t", tmp_path / "other")
        assert (tmp_path / "other").read_bytes() == b"new"
        assert not (tmp_path / "t").exists()


@pytest.mark.skipif(os.name == "nt", reason="on Windows, a rename never overwrites")
@pytest.mark.parametrize("at_once", [True, False])
def test_two_files_published_under_one_name_do_not_replace_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    """Without hard links, the second of two programs is refused, or waits until the first has renamed its file."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "t").write_bytes(b"new")
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    if not at_once:
        monkeypatch.setattr(disk, "_renamed_at_once", lambda *_: False)
    elif not disk._renamed_at_once(tmp_path / "t", tmp_path / "t1"):
        pytest.skip("this system has no rename that never overwrites")
    else:
        (tmp_path / "t1").rename(tmp_path / "t")
    looked = []

    def meanwhile(path: Path) -> bool:
        looked.append(path)
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(folder)
        return False

    monkeypatch.setattr(os.path, "lexists", meanwhile)
    disk.publish(tmp_path / "t", tmp_path / "final")
    assert looked == ([] if at_once else [tmp_path / "final"])
    assert os.listdir(tmp_path) == ["final"]


@pytest.mark.skipif(sys.platform != "linux", reason="the call exists on Linux alone")
def test_a_rename_that_fails_is_not_tried_in_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is gone is reported as such."""
    (tmp_path / "t").write_bytes(b"new")
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    with pytest.raises(FileNotFoundError):
        disk.publish(tmp_path / "t", tmp_path / "gone" / "final")
    assert os.listdir(tmp_path) == ["t"]


def test_publish_passes_other_errors_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is not taken for a file system without links."""
    (tmp_path / "t").write_bytes(b"new")
    monkeypatch.setattr(os, "link", failing(errno.ENOSPC))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        disk.publish(tmp_path / "t", tmp_path / "final")
    assert os.listdir(tmp_path) == ["t"]


def test_publish_on_windows_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a rename refuses an existing name by itself, and no link is asked for."""
    (tmp_path / "t").write_bytes(b"new")
    monkeypatch.setattr(disk.sys, "platform", "win32")
    monkeypatch.setattr(os, "link", failing(errno.EIO))
    disk.publish(tmp_path / "t", tmp_path / "final")
    assert os.listdir(tmp_path) == ["final"]


def test_temporary_files_are_private_and_go(tmp_path: Path) -> None:
    """A temporary file is hidden, its owner's alone, and gone afterwards, unless it was renamed."""
    with disk.temporary_beside(tmp_path) as (file, path):
        file.write(b"x")
        assert path.name.startswith(".intouch-")
        if os.name != "nt":
            assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == []
    with pytest.raises(ZeroDivisionError), disk.temporary_beside(tmp_path):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []
    with disk.temporary_beside(tmp_path) as (_, path):
        path.rename(tmp_path / "kept")
    assert os.listdir(tmp_path) == ["kept"]


def test_macos_asks_the_drive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There F_FULLFSYNC is used, and fsync where a file system does not know it."""
    fcntl = pytest.importorskip("fcntl")
    calls: list[str] = []
    monkeypatch.setattr(disk.sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(os, "fsync", lambda _fd: calls.append("fsync"))
    monkeypatch.setattr(fcntl, "fcntl", lambda _fd, op: calls.append(f"fcntl {op}"))
    disk.sync_file(0)
    assert calls == ["fcntl 51"]
    monkeypatch.setattr(fcntl, "fcntl", failing(errno.ENOTSUP))
    disk.sync_file(0)
    assert calls == ["fcntl 51", "fsync"]


# --- leases


@pytest.fixture
def leasable(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x" * 5000)
    fd = os.open(path, os.O_RDONLY)
    yield path, fd
    os.close(fd)


@linux_only
def test_a_lease_is_held_while_nobody_writes(leasable: tuple[Path, int]) -> None:
    """Readers do not disturb it."""
    path, fd = leasable
    if disk.take_lease(fd) is Lease.UNAVAILABLE:
        pytest.skip("this file system has no leases")
    assert disk.lease_holds(fd)
    path.read_bytes()
    assert disk.lease_holds(fd)


@linux_only
def test_a_writer_keeps_a_lease_from_being_taken(leasable: tuple[Path, int]) -> None:
    """A file open for writing is busy, in this process or through a writable memory map."""
    path, fd = leasable
    if disk.take_lease(fd) is Lease.UNAVAILABLE:
        pytest.skip("this file system has no leases")
    import fcntl

    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    with path.open("r+b") as writer:
        assert disk.take_lease(fd) is Lease.BUSY
        mapped = mmap.mmap(writer.fileno(), 0)
    assert disk.take_lease(fd) is Lease.BUSY
    mapped.close()
    assert disk.take_lease(fd) is Lease.HELD


@linux_only
def test_a_writer_that_comes_later_waits_and_is_seen(leasable: tuple[Path, int]) -> None:
    """Opening for writing elsewhere blocks, shows in `lease_holds`, and does not end this process."""
    path, fd = leasable
    if disk.take_lease(fd) is Lease.UNAVAILABLE:
        pytest.skip("this file system has no leases")
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_FOR_WRITING, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "here\n"
        for _ in range(500):
            if not disk.lease_holds(fd):
                break
            wait_s(0.01)
        assert not disk.lease_holds(fd)
        import fcntl

        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        assert writer.stdout.readline() == "in\n"
    assert writer.returncode == 0


def wait_s(seconds: float) -> None:
    import time

    time.sleep(seconds)


@linux_only
def test_where_no_lease_can_be_had(tmp_path: Path) -> None:
    """What can't be leased proves nothing either way."""
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert disk.take_lease(fd) is Lease.UNAVAILABLE
    finally:
        os.close(fd)


def test_other_systems_have_no_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """There nothing is proved and nothing holds."""
    monkeypatch.setattr(disk.sys, "platform", "darwin")
    assert disk.take_lease(0) is Lease.UNAVAILABLE
    assert not disk.lease_holds(0)
