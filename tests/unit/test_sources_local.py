"""Local folders: only what is directly in them, only the version that was listed, nothing overwritten."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import socket
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest

from intouch_import import disk
from intouch_import.errors import (
    FileChanged,
    FileUnreadable,
    FileVanished,
    NameRefused,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
    StillArriving,
    StorageFull,
)
from intouch_import.model import EntryKind, SourceFile
from intouch_import.mounts import Mount
from intouch_import.sources import local
from intouch_import.sources.base import Weakness
from intouch_import.sources.local import LocalSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

posix_only = pytest.mark.skipif(os.name == "nt", reason="POSIX file kinds")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def source(folder: Path) -> LocalSource:
    return LocalSource(str(folder))


@pytest.fixture(params=["leases", "no leases"])
def leases(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run with the read leases of this system, and without them."""
    if request.param == "no leases":
        monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
    return bool(request.param == "leases")


def put(folder: Path, name: str = "a.jpg", content: bytes = b"the bytes") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def listed(source: LocalSource, name: str = "a.jpg") -> SourceFile:
    (file,) = (file for file in source.scan() if file.name == name)
    assert source.look(name) == file
    return file


def failing(code: int, **attributes: Any) -> Callable[..., Any]:
    def fail(*_args: Any, **_kwargs: Any) -> Any:
        exc = OSError(code, os.strerror(code), "/secret")
        for name, value in attributes.items():
            setattr(exc, name, value)
        raise exc

    return fail


# --- scan and look


@posix_only
def test_everything_in_the_folder_is_listed_with_its_kind(folder: Path, source: LocalSource) -> None:
    """Files, folders, links, FIFOs and sockets are listed; the contents of sub-folders are not."""
    path = put(folder)
    (folder / "sub").mkdir()
    put(folder / "sub", "below.jpg")
    (folder / "link.jpg").symlink_to(path)
    (folder / "dangling.jpg").symlink_to(folder / "nowhere")
    (folder / "to folder").symlink_to(folder / "sub")
    os.mkfifo(folder / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(folder)
        server.bind("socket.jpg")
    assert {file.name: file.kind for file in source.scan()} == {
        "a.jpg": EntryKind.FILE,
        "sub": EntryKind.FOLDER,
        "link.jpg": EntryKind.LINK,
        "dangling.jpg": EntryKind.LINK,
        "to folder": EntryKind.LINK,
        "fifo.jpg": EntryKind.SPECIAL,
        "socket.jpg": EntryKind.SPECIAL,
    }
    assert all(file.size_bytes == 0 for file in source.scan() if file.kind is not EntryKind.FILE)


@pytest.fixture(autouse=True)
def _back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.getcwd())


def test_a_file_is_listed_with_size_time_and_version(folder: Path, source: LocalSource) -> None:
    """Size and time are those of the file, and the version changes with either or with the inode."""
    path = put(folder)
    file = listed(source)
    found = path.stat()
    assert (file.size_bytes, file.modified_ns) == (9, found.st_mtime_ns)
    versions = {file.version}
    put(folder, content=b"ten bytes!")
    versions.add(listed(source).version)
    os.utime(path, ns=(1, 1))
    versions.add(listed(source).version)
    put(folder, "b", b"ten bytes!").replace(path)
    os.utime(path, ns=(1, 1))
    versions.add(listed(source).version)
    assert len(versions) == 4


def test_nothing_stands_under_other_names(folder: Path, source: LocalSource) -> None:
    """A missing name is None, an invalid name is refused, and a missing folder is an error."""
    assert source.look("a.jpg") is None
    with pytest.raises(NameRefused):
        source.look("../photos")
    folder.rmdir()
    with pytest.raises(SourceUnavailable, match="does not exist"):
        source.look("a.jpg")
    with pytest.raises(SourceUnavailable):
        list(source.scan())


def test_an_entry_that_vanishes_while_it_is_listed_is_left_out(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing continues after a file that vanished, and stops at any other error."""

    class Entry:
        name = "gone.jpg"
        path = str(folder / "gone.jpg")

        def __init__(self, code: int) -> None:
            self.stat = failing(code)

    class Entries(list[Any]):
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_args: object) -> None:
            pass

    put(folder)
    with os.scandir(folder) as entries:
        real = list(entries)
    monkeypatch.setattr(os, "scandir", lambda _path: Entries([Entry(errno.ENOENT), *real]))
    assert [file.name for file in source.scan()] == ["a.jpg"]
    monkeypatch.setattr(os, "scandir", lambda _path: Entries([Entry(errno.EIO), *real]))
    with pytest.raises(SourceUnavailable):
        list(source.scan())


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.EACCES, "the folder may not be used: no rights"),
        (errno.EROFS, "the folder is read-only"),
        (errno.ENOSPC, "the folder's disk is full"),
        (errno.ESTALE, "the network folder is no longer connected"),
        (errno.ENOTCONN, "the network folder is no longer connected"),
        (errno.EIO, "the folder's disk can't be read: is it still connected?"),
        (errno.EMFILE, "the folder can't be used"),
    ],
)
def test_failures_of_the_folder_are_told(
    source: LocalSource, monkeypatch: pytest.MonkeyPatch, code: int, text: str
) -> None:
    """The errors of scan, look and sync say what is wrong with the folder, without its path."""
    monkeypatch.setattr(os, "scandir", failing(code))
    monkeypatch.setattr(os, "lstat", failing(code))
    monkeypatch.setattr(disk, "sync_folder", failing(code))
    for ask in (lambda: list(source.scan()), lambda: source.look("a.jpg"), source.sync):
        with pytest.raises(SourceUnavailable) as caught:
            ask()
        assert str(caught.value) == text
        assert (caught.value.source_id, caught.value.errno) == (source.source_id, code)  # type: ignore[attr-defined]
        assert "secret" not in repr(caught.value.__cause__)


# --- fetch


def test_the_listed_version_is_read_whole(folder: Path, source: LocalSource, leases: bool) -> None:
    """Bytes and digest are those of the file, by every way of reading."""
    import hashlib

    content = os.urandom(300_000)
    put(folder, content=content)
    with source.fetch(listed(source)) as fetched:
        assert fetched.size_bytes == len(content)
        assert fetched.sha256 == hashlib.sha256(content).hexdigest()
        with fetched.open() as file:
            assert file.read() == content


@pytest.mark.parametrize(
    "change", ["replaced", "appended", "touched", "folder", "link", "fifo", "socket", "gone"]
)
@posix_only
def test_another_version_is_not_read(folder: Path, source: LocalSource, leases: bool, change: str) -> None:
    """Only the listed version is read, whatever has replaced it, and nothing hangs."""
    path = put(folder)
    file = listed(source)
    elsewhere = put(folder.parent, "elsewhere.jpg")
    if change == "replaced":
        put(folder, "b", b"the BYTES").replace(path)
    elif change == "appended":
        with path.open("ab") as stream:
            stream.write(b"!")
    elif change == "touched":
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
        if change == "folder":
            path.mkdir()
        elif change == "link":
            path.symlink_to(elsewhere)
        elif change == "fifo":
            os.mkfifo(path)
        elif change == "socket":
            os.chdir(folder)
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("a.jpg")
    for act in (lambda: source.fetch(file), lambda: source.remove(file, sha256="")):
        with pytest.raises(FileVanished if change == "gone" else FileChanged):
            act()
    assert os.path.lexists(path) is (change != "gone")
    assert elsewhere.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/null as on Linux")
def test_a_device_is_not_read(tmp_path: Path) -> None:
    """A device is listed as special and never read."""
    source = LocalSource("/dev")
    file = source.look("null")
    assert file is not None
    assert file.kind is EntryKind.SPECIAL
    with pytest.raises(FileChanged):
        source.fetch(file)


def test_a_file_that_changes_while_it_is_copied_has_not_arrived(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without leases, size and time show the change afterwards; the staged copy is deleted."""
    monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
    path = put(folder)
    file = listed(source)
    digest = disk.digest_stream

    def growing(*args: Any) -> Any:
        with path.open("ab") as stream:
            stream.write(b"more")
        return digest(*args)

    monkeypatch.setattr(disk, "digest_stream", growing)
    with pytest.raises(StillArriving):
        source.fetch(file, staging=folder.parent)
    assert os.listdir(folder.parent) == ["photos"]


@pytest.mark.parametrize("winerror", [32, 33])
def test_a_file_in_use_on_windows_has_not_arrived(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch, winerror: int
) -> None:
    """A sharing violation means that another program is using the file."""
    put(folder)
    file = listed(source)
    monkeypatch.setattr(os, "open", failing(errno.EACCES, winerror=winerror))
    with pytest.raises(StillArriving) as caught:
        source.fetch(file)
    assert caught.value.open_elsewhere  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EACCES, FileUnreadable),
        (errno.EIO, FileUnreadable),
        (errno.ELOOP, FileChanged),
        (errno.ENXIO, FileChanged),
        (errno.ENOENT, FileVanished),
    ],
)
def test_failures_to_open_are_told_apart(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    """Missing permission, a device error, a link and a missing file have different errors."""
    put(folder)
    file = listed(source)
    monkeypatch.setattr(os, "open", failing(code))
    with pytest.raises(kind):
        source.fetch(file)


def test_a_folder_that_is_gone_is_not_a_file_that_is_gone(folder: Path, source: LocalSource) -> None:
    """In a missing folder, fetching and removing fail as the location, not as the file."""
    put(folder)
    file = listed(source)
    folder.rename(folder.with_name("away"))
    with pytest.raises(SourceUnavailable):
        source.fetch(file)
    with pytest.raises((SourceUnavailable, NotRemoved)):
        source.remove(file, sha256="")


def test_a_device_error_while_reading_leaves_nothing(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch, leases: bool
) -> None:
    """The file is unreadable, and no staged copy remains."""
    put(folder)
    file = listed(source)
    monkeypatch.setattr(disk, "digest_file" if leases else "digest_stream", failing(errno.EIO))
    with pytest.raises(FileUnreadable):
        source.fetch(file, staging=folder.parent)
    assert os.listdir(folder.parent) == ["photos"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_to_stage_is_told(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A full staging folder is reported as full storage, not as a bad file, whenever it happens."""
    monkeypatch.setattr(disk, "take_lease", lambda _fd: disk.Lease.UNAVAILABLE)
    put(folder)
    file = listed(source)
    with monkeypatch.context() as patched:
        patched.setattr(disk, "digest_stream", failing(code))
        with pytest.raises(StorageFull):
            source.fetch(file, staging=folder.parent)
    assert os.listdir(folder.parent) == ["photos"]
    monkeypatch.setattr("tempfile.mkstemp", failing(code))
    with pytest.raises(StorageFull):
        source.fetch(file, staging=folder.parent)


def test_descriptors_are_given_back(folder: Path, source: LocalSource, leases: bool) -> None:
    """Fetching and closing many files, including changed ones, leaves no descriptor open."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")
    put(folder)
    file = listed(source)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        source.fetch(file).close()
    put(folder, content=b"changed")
    for _ in range(20):
        with pytest.raises(FileChanged):
            source.fetch(file)
        with pytest.raises(FileChanged):
            source.remove(file, sha256="")
    assert len(os.listdir("/proc/self/fd")) == before


# --- remove


@pytest.mark.parametrize("by_descriptor", [True, False])
def test_only_the_listed_version_is_removed(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch, by_descriptor: bool
) -> None:
    """By folder descriptor and by path, the listed version is removed and another version stays."""
    monkeypatch.setattr(local, "_BY_DESCRIPTOR", by_descriptor and local._BY_DESCRIPTOR)
    path = put(folder)
    first = listed(source)
    put(folder, "b", b"the BYTES").replace(path)
    with pytest.raises(FileChanged):
        source.remove(first, sha256="")
    assert path.read_bytes() == b"the BYTES"
    source.remove(listed(source), sha256="")
    assert not path.exists()
    with pytest.raises(FileVanished):
        source.remove(first, sha256="")
    with pytest.raises(NameRefused):
        source.remove(SourceFile(name="../a.jpg", size_bytes=1, version=""), sha256="")


@pytest.mark.parametrize("by_descriptor", [True, False])
def test_a_failed_removal_is_told(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch, by_descriptor: bool
) -> None:
    """The listed version stays; the error has the system's number and no path."""
    monkeypatch.setattr(local, "_BY_DESCRIPTOR", by_descriptor and local._BY_DESCRIPTOR)
    path = put(folder)
    file = listed(source)
    monkeypatch.setattr(os, "unlink", failing(errno.EACCES))
    with pytest.raises(NotRemoved) as caught:
        source.remove(file, sha256="")
    assert caught.value.errno == errno.EACCES  # type: ignore[attr-defined]
    assert "secret" not in repr(caught.value.__cause__)
    assert path.exists()


# --- put


def test_put_writes_a_whole_file(folder: Path, source: LocalSource) -> None:
    """R16: the file appears complete under its name, and is the file that is returned."""
    file = source.put("10042_DRJ_20260131_142501.jpg", iter([b"the ", b"", b"bytes"]))
    assert os.listdir(folder) == [file.name]
    assert (folder / file.name).read_bytes() == b"the bytes"
    assert listed(source, file.name) == file


def test_put_is_never_seen_half_written(folder: Path, source: LocalSource) -> None:
    """During writing there is only a hidden file; if writing fails, nothing remains."""
    seen: list[str] = []

    def chunks() -> Any:
        yield b"the "
        seen.extend(os.listdir(folder))
        raise RuntimeError("the upload broke")

    with pytest.raises(RuntimeError):
        source.put("a.jpg", chunks())
    assert len(seen) == 1
    assert seen[0].startswith(".")
    assert os.listdir(folder) == []


def test_put_never_overwrites(folder: Path, source: LocalSource) -> None:
    """An existing file, folder or link with the name is not touched."""
    put(folder, "file")
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(folder / "nowhere")
    for name in ("file", "folder", "link"):
        with pytest.raises(NameTaken):
            source.put(name, [b"new"])
    assert (folder / "file").read_bytes() == b"the bytes"
    assert sorted(os.listdir(folder)) == ["file", "folder", "link"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 256, "a\0"])
def test_put_refuses_names(folder: Path, source: LocalSource, name: str) -> None:
    """With an invalid name, nothing is written."""
    with pytest.raises(NameRefused):
        source.put(name, [b"x"])
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENAMETOOLONG, NameRefused), (errno.ENOSPC, SourceUnavailable), (errno.EROFS, SourceUnavailable)],
)
def test_put_tells_why_it_failed(
    folder: Path, source: LocalSource, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]
) -> None:
    """An invalid name, a full disk and a read-only disk have different errors; nothing remains."""
    monkeypatch.setattr(disk, "publish", failing(code))
    with pytest.raises(kind) as caught:
        source.put("a.jpg", [b"x"])
    assert "secret" not in repr(caught.value.__cause__)
    assert os.listdir(folder) == []


def test_what_is_no_folder_is_not_opened(tmp_path: Path) -> None:
    """A file or a missing folder can't be a source."""
    path = put(tmp_path)
    with pytest.raises(SourceUnavailable, match="not a folder") as caught:
        LocalSource(str(path))
    assert not caught.value.retry_helps
    with pytest.raises(SourceUnavailable, match="does not exist"):
        LocalSource(str(tmp_path / "none"))


# --- file systems that give files new inodes with each mount


def mounted(monkeypatch: pytest.MonkeyPatch, point: str = "/", *, keeps_inodes: bool = False) -> None:
    monkeypatch.setattr(local, "mount_of", lambda _: Mount(point, keeps_inodes))


def replug(folder: Path) -> None:
    """Give every file another inode, and keep its bytes and its time, as the next mount of a card does."""
    for path in list(folder.iterdir()):
        copy = folder.parent / "copy"
        shutil.copy2(path, copy)
        copy.replace(path)


@pytest.mark.usefixtures("leases")
def test_a_card_that_was_plugged_in_again_has_the_same_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that was listed before is read and removed, whether or not an inode is part of it."""
    put(folder)
    strong = listed(LocalSource(str(folder)))
    mounted(monkeypatch)
    source = LocalSource(str(folder))
    assert source.weaknesses == (Weakness.REMOVAL_NOT_PINNED, Weakness.VERSION_MAY_REPEAT)
    weak = listed(source)
    assert weak.changed_ns is None
    for file in (weak, strong):
        replug(folder)
        assert listed(source) == weak
        with source.fetch(file) as content:
            source.remove(file, sha256=content.sha256)
        put(folder)
        os.utime(folder / "a.jpg", ns=(0, weak.modified_ns or 0))
    mounted(monkeypatch, keeps_inodes=True)
    source = LocalSource(str(folder))
    assert source.weaknesses == ()
    with source.fetch(weak) as content:
        assert content.size_bytes == 9
    source.remove(weak, sha256=content.sha256)


def test_without_a_lasting_inode_the_bytes_are_compared_before_a_removal(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file with the same name, size and time stays; so does a file that can't be read again."""
    mounted(monkeypatch)
    source = LocalSource(str(folder))
    path = put(folder)
    file = listed(source)
    put(folder, content=b"THE BYTES")
    os.utime(path, ns=(0, file.modified_ns or 0))
    with pytest.raises(FileChanged):
        source.remove(file, sha256=hashlib.sha256(b"the bytes").hexdigest())
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing(errno.EACCES))
        with pytest.raises(NotRemoved):
            source.remove(file, sha256=hashlib.sha256(b"THE BYTES").hexdigest())
    assert path.exists()
    os.utime(path, ns=(0, 0))
    with pytest.raises(FileChanged):
        source.remove(file, sha256=hashlib.sha256(b"THE BYTES").hexdigest())


# --- folders that come back


def test_a_folder_that_was_made_again_is_used_again(folder: Path, source: LocalSource) -> None:
    """A folder that was deleted and created again has the same path, and its files are listed."""
    source.wait_for_change(0)
    aside = folder.rename(folder.parent / "aside")
    with pytest.raises(SourceUnavailable, match="does not exist"):
        list(source.scan())
    folder.mkdir()
    put(folder)
    assert source.wait_for_change(10)
    assert listed(source).name == "a.jpg"
    assert aside.is_dir()
    source.close()


def test_an_empty_mount_point_is_not_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left when a share is unmounted is not used in its place; the share is, once it is mounted again."""
    mounted(monkeypatch, str(folder))
    monkeypatch.setattr(Mount, "is_mounted", lambda _: (folder / "a.jpg").exists())
    put(folder)
    source = LocalSource(str(folder))
    share = folder.rename(folder.parent / "share")
    folder.mkdir()
    put(folder, "stand-in.jpg")
    for ask in (
        lambda: list(source.scan()),
        lambda: source.look("b.jpg"),
        lambda: source.wait_for_change(0.1),
    ):
        with pytest.raises(SourceUnavailable, match="no longer mounted"):
            ask()
    shutil.rmtree(folder)
    share.rename(folder)
    put(folder, "b.jpg")
    assert {file.name for file in source.scan()} == {"a.jpg", "b.jpg"}
    source.close()


@posix_only
def test_a_link_in_the_place_of_the_folder_is_not_followed(folder: Path, source: LocalSource) -> None:
    """A link is resolved when the folder is opened, and never later."""
    folder.rename(folder.parent / "aside")
    (folder.parent / "elsewhere").mkdir()
    put(folder.parent / "elsewhere")
    folder.symlink_to(folder.parent / "elsewhere")
    with pytest.raises(SourceUnavailable, match="link"):
        list(source.scan())
