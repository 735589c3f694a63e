"""The generic source on a file system that fails in the ways in which real ones fail."""

from __future__ import annotations

import errno
import hashlib
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import fsspec
import pytest

from failing_fsspec import FailingFileSystem, faulty, raising
from intouch_import.errors import (
    ConfigError,
    FileChanged,
    FileUnreadable,
    FileVanished,
    NameTaken,
    NotRemoved,
    SourceUnavailable,
    StillArriving,
    StorageFull,
)
from intouch_import.model import EntryKind
from intouch_import.remote import modified_ns
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intouch_import.sources import Source

PHOTO = b"a photo"
DIGEST = hashlib.sha256(PHOTO).hexdigest()


@pytest.fixture
def failing() -> Iterator[type[FailingFileSystem]]:
    with faulty() as kind:
        yield kind


@pytest.fixture
def source(failing: type[FailingFileSystem]) -> Iterator[Source]:
    with open_source("failing://photos") as source:
        failing().pipe_file("/photos/a.jpg", PHOTO)
        yield source


def test_a_listing_that_is_none_is_not_an_empty_folder(source: Source, failing) -> None:
    """A file system that returns None instead of raising an error has listed nothing, and this is reported."""
    failing.faults["ls"] = lambda _listed: None
    with pytest.raises(SourceUnavailable):
        list(source.scan())


def test_a_listing_of_another_folder_is_told(source: Source, failing) -> None:
    """Entries from another folder are an error: if they were left out, files would wait forever unseen."""
    failing.faults["ls"] = lambda _listed: [{"name": "/other/b.jpg", "size": 1, "type": "file"}]
    with pytest.raises(SourceUnavailable, match="another folder"):
        list(source.scan())


def test_the_marker_of_the_folder_itself_is_no_file(source: Source, failing) -> None:
    """Object stores list an empty object that represents the folder."""
    failing.faults["ls"] = lambda listed: [{"name": "/photos/", "size": 0, "type": "file"}, *listed]
    assert [file.name for file in source.scan()] == ["a.jpg"]


def test_a_folder_that_is_gone_is_not_an_empty_folder(source: Source, failing) -> None:
    """Some FTP servers list a missing folder as an empty one."""
    failing().rm_file("/photos/a.jpg")
    assert list(source.scan()) == []
    failing.pseudo_dirs.remove("/photos")
    with pytest.raises(SourceUnavailable):
        list(source.scan())
    failing.faults["ls instead"] = lambda _path: []
    with pytest.raises(SourceUnavailable, match="does not exist"):
        list(source.scan())


def test_a_folder_that_became_a_file_is_not_an_empty_folder(source: Source, failing) -> None:
    """Most file systems list a file as itself, which looks like the marker of an object store."""
    failing().rm_file("/photos/a.jpg")
    failing.pseudo_dirs.remove("/photos")
    failing().pipe_file("/photos", PHOTO)
    with pytest.raises(SourceUnavailable, match="not a folder"):
        list(source.scan())


@pytest.mark.parametrize("exc", [OSError(errno.EIO, "x"), RuntimeError("x"), EOFError(), ValueError("x")])
def test_a_location_that_can_not_be_asked_is_told(source: Source, failing, exc: Exception) -> None:
    """Whatever it raises, a location that does not answer is not an empty folder."""
    (file,) = source.scan()
    failing.faults["info"] = raising(exc)
    for call in (
        lambda: source.look("a.jpg"),
        lambda: source.fetch(file),
        lambda: source.remove(file, sha256=DIGEST),
        lambda: source.put("b.jpg", [PHOTO]),
    ):
        with pytest.raises(SourceUnavailable):
            call()


def test_a_transfer_that_breaks_off_is_told(source: Source, failing) -> None:
    """A file whose transfer fails is unreadable now, and no staged copy remains."""
    (file,) = source.scan()
    failing.faults["open rb"] = raising(ConnectionResetError())
    with pytest.raises(FileUnreadable):
        source.fetch(file)
    with pytest.raises(FileUnreadable):
        source.remove(file, sha256=DIGEST)
    assert source.look("a.jpg") is not None


def test_a_full_disk_here_is_told_as_that(source: Source, failing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full staging disk is not a failure of the location."""
    from intouch_import import disk

    (file,) = source.scan()

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(disk, "digest_stream", full)
    with pytest.raises(StorageFull):
        source.fetch(file)


def test_a_file_that_is_cut_short_while_it_is_read_is_told(source: Source, failing) -> None:
    """A transfer with fewer bytes than listed is not accepted as the file."""
    (file,) = source.scan()
    failing.faults["open rb"] = lambda path: failing().pipe_file(path, PHOTO[:3])
    with pytest.raises(StillArriving):
        source.fetch(file)


def test_a_removal_that_is_only_logged_is_told(source: Source, failing) -> None:
    """The source checks a removal even if the file system returns normally."""
    (file,) = source.scan()
    failing.faults["rm"] = lambda _path: "nothing"
    with pytest.raises(NotRemoved):
        source.remove(file, sha256=DIGEST)
    assert source.look("a.jpg") is not None


def test_a_removal_that_fails_is_told(source: Source, failing) -> None:
    """The listed version is there and could not be removed."""
    (file,) = source.scan()
    failing.faults["rm"] = raising(PermissionError(errno.EACCES, "x"))
    with pytest.raises(NotRemoved):
        source.remove(file, sha256=DIGEST)


def test_a_removal_whose_answer_is_lost_has_taken_effect(source: Source, failing) -> None:
    """An error is no failure if the file is gone: the source looks again."""
    (file,) = source.scan()
    failing.faults["after rm"] = raising(ConnectionResetError())
    source.remove(file, sha256=DIGEST)
    assert source.look("a.jpg") is None


def test_a_removal_that_somebody_else_did_first_is_told(source: Source, failing) -> None:
    """The file vanishes between the comparison and the removal."""
    (file,) = source.scan()
    failing.faults["rm"] = raising(FileNotFoundError())
    with pytest.raises(FileVanished):
        source.remove(file, sha256=DIGEST)


def test_a_file_that_comes_right_after_a_removal_stays(source: Source, failing) -> None:
    """The listed file is gone; a new file with its name is another file."""
    (file,) = source.scan()
    failing.faults["after rm"] = lambda path: failing().pipe_file(path, b"the next photo")
    source.remove(file, sha256=DIGEST)
    there = source.look("a.jpg")
    assert there is not None
    assert there.size_bytes == 14


def test_a_failed_removal_of_a_replaced_file_is_told(source: Source, failing) -> None:
    """After an error, another version is there: the removal did not make that change."""
    (file,) = source.scan()

    def replaced(path: str) -> None:
        failing().pipe_file(path, b"the next photo")
        raise ConnectionResetError

    failing.faults["rm"] = replaced
    with pytest.raises(FileChanged):
        source.remove(file, sha256=DIGEST)


def test_whether_it_was_removed_may_not_be_known(source: Source, failing) -> None:
    """If the source can't look again, it reports a failed location and claims nothing."""
    (file,) = source.scan()

    def down(_path: str) -> None:
        failing.faults["info"] = raising(ConnectionResetError())
        raise ConnectionResetError

    failing.faults["rm"] = down
    with pytest.raises(SourceUnavailable):
        source.remove(file, sha256=DIGEST)


def test_an_upload_that_is_cut_short_is_told(source: Source, failing) -> None:
    """A file system that closes an incomplete upload without an error is found out by the size."""

    def lose(path: str) -> None:
        if path.endswith(".part"):
            failing.faults["info"] = cut

    def cut(path: str) -> None:
        if path.endswith(".part"):
            failing.store[path].truncate(2)

    failing.faults["open wb"] = lose
    with pytest.raises(SourceUnavailable):
        source.put("b.jpg", [PHOTO])
    failing.faults.clear()
    assert {file.name for file in source.scan()} == {"a.jpg"}


def test_a_copy_that_is_cut_short_is_told(source: Source, failing) -> None:
    """The size of the published file is compared, too."""
    failing.faults["cp"] = lambda path: failing.store[path].truncate(2)
    with pytest.raises(SourceUnavailable):
        source.put("b.jpg", [PHOTO])


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(source: Source, failing) -> None:
    """The name is checked again after the upload, which may take minutes."""

    def chunks():
        yield PHOTO
        failing().pipe_file("/photos/b.jpg", b"somebody else's")

    with pytest.raises(NameTaken):
        source.put("b.jpg", chunks())
    assert failing().cat_file("/photos/b.jpg") == b"somebody else's"
    assert {file.name for file in source.scan()} == {"a.jpg", "b.jpg"}


def test_each_thread_has_a_connection_of_its_own(source: Source, failing) -> None:
    """File systems with one connection mix up answers, or hang, when two threads use it."""
    for number in range(12):
        failing().pipe_file(f"/photos/{number}.jpg", PHOTO * number)
    files = list(source.scan())
    barrier = threading.Barrier(4)

    def read(part: int) -> int:
        barrier.wait(10)
        done = 0
        for file in files[part::4]:
            with source.fetch(file) as content:
                assert content.size_bytes == file.size_bytes
                done += 1
        return done

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(read, range(4))) == len(files)
    failing.opened = 0
    list(source.scan())
    assert failing.opened == 0  # those that are idle are used again


def test_a_connection_that_failed_is_not_used_again(source: Source, failing) -> None:
    """After an interrupted answer, the rest of it would be taken for the next answer."""
    (file,) = source.scan()
    failing.opened = failing.closed = 0
    failing.faults["open rb"] = raising(ConnectionResetError())
    with pytest.raises(FileUnreadable):
        source.fetch(file)
    assert failing.closed == 1
    failing.faults.clear()
    with source.fetch(file) as content:
        assert content.sha256 == DIGEST
    assert failing.opened == 1
    source.close()
    assert failing.closed == 2


def test_an_answer_that_says_no_leaves_the_connection_as_it_is(source: Source, failing) -> None:
    """A missing file is an answer, not a failure of the connection."""
    failing.opened = failing.closed = 0
    for _ in range(3):
        assert source.look("missing.jpg") is None
    assert (failing.opened, failing.closed) == (0, 0)


@pytest.fixture
def debugging() -> Iterator[list[str]]:
    """Log everything, as a host does that looks for a fault; return the names of the loggers."""
    root, seen = logging.getLogger(), []
    handler = logging.NullHandler()
    handler.handle = lambda record: bool(seen.append(record.name)) or True  # type: ignore[method-assign]
    names = ("fsspec", "s3fs", "botocore", "aiobotocore", "gcsfs", "adlfs", "smbprotocol")
    before = {name: logging.getLogger(name).level for name in ("", *names)}
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield seen
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def test_the_packages_of_a_location_do_not_log_paths(failing, debugging: list[str]) -> None:
    """At DEBUG, they log paths, requests and answers. A host that wants that sets the level of the package."""
    for name in ("fsspec", "s3fs", "botocore"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    logging.getLogger("s3fs").setLevel(logging.DEBUG)
    with open_source("failing://photos"):
        for name in ("fsspec", "s3fs", "botocore.endpoint", "clinic"):
            logging.getLogger(name).debug("read %s", "/photos/10042.jpg")
    assert debugging == ["s3fs", "clinic"]


@pytest.mark.parametrize("kind", ["directory", "link", "other", None])
def test_only_files_are_files(source: Source, failing, kind: str | None) -> None:
    """Entries of other types are listed with their kind and without a size."""
    failing.faults["ls"] = lambda _listed: [{"name": "/photos/x", "size": 7, "type": kind}]
    (entry,) = source.scan()
    expected = {"directory": EntryKind.FOLDER, "link": EntryKind.LINK}.get(str(kind), EntryKind.SPECIAL)
    assert (entry.kind, entry.size_bytes) == (expected, 0)


def test_an_etag_is_the_version_where_there_is_one(source: Source, failing) -> None:
    """Size and time are the version only if the location has nothing better."""
    failing.faults["ls"] = lambda _listed: [
        {
            "name": "/photos/x",
            "size": 7,
            "type": "file",
            "ETag": '"abc"',
            "LastModified": "2026-01-31T14:25:01Z",
        }
    ]
    (entry,) = source.scan()
    assert entry.version == '"abc"-7'
    assert entry.modified_at == datetime(2026, 1, 31, 14, 25, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({}, None),
        ({"mtime": None}, None),
        ({"mtime": 1.5}, 1_500_000_000),
        ({"mtime": 0}, 0),
        ({"modified": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)}, 1_000_000_000),
        ({"created": datetime(1970, 1, 1, 0, 0, 1)}, 1_000_000_000),  # without a zone it is UTC
        ({"updated": "1970-01-01T00:00:01+00:00"}, 1_000_000_000),
        ({"updated": "yesterday"}, None),
        ({"modify": "19700101000001"}, 1_000_000_000),
        ({"modify": "19700101000001.25"}, 1_000_000_000),
        ({"modify": "Jan 31 14:25"}, None),
        ({"updated": object()}, None),
    ],
)
def test_times_are_read_in_every_form(info: dict[str, object], expected: int | None) -> None:
    """As numbers, dates or text, or as FTP servers tell them; what is none of these is not known.

    Without a time, two photos of one name and size would be one version: scanners write files of one size.
    """
    assert modified_ns(info) == expected


def test_a_password_in_the_url_is_in_no_label_and_no_id(failing) -> None:
    """Label and id appear in lists, certificates and logs; a slash at the end changes neither."""
    failing.pseudo_dirs += ["/me:CANARY@tower", "/me:other@tower", "/me:other@tower/a@b:c"]
    first, second = open_source("failing://me:CANARY@tower"), open_source("failing://me:other@tower/")
    assert first.label == second.label == "me@tower"
    assert open_source("failing://me:other@tower/a@b:c").label == "a@b:c"
    assert first.source_id == second.source_id
    assert "CANARY" not in repr(first)


def test_a_folder_that_is_a_file_is_refused(failing) -> None:
    """A source must be a folder."""
    failing().pipe_file("/a.jpg", PHOTO)
    with pytest.raises(SourceUnavailable, match="not a folder"):
        open_source("failing://a.jpg")
    with pytest.raises(SourceUnavailable, match="does not exist"):
        open_source("failing://nowhere")


class Strict(FailingFileSystem):
    """Accepts no options."""

    protocol = "strict"

    def __init__(self) -> None:
        super().__init__()


def test_options_that_the_file_system_refuses_are_a_mistake_in_the_settings(failing) -> None:
    """The message contains no option, because it may be a password."""
    fsspec.register_implementation("strict", Strict, clobber=True)
    with pytest.raises(ConfigError) as caught:
        open_source("strict://photos", nonsense="secret")
    assert "secret" not in str(caught.value)
    assert "nonsense" not in str(caught.value)


def test_files_in_memory_may_be_listed_while_others_are_removed() -> None:
    """The memory file system of fsspec alone fails at this about every second time."""
    fsspec.filesystem("memory").makedirs("/listed-and-removed", exist_ok=True)
    source = open_source("memory://listed-and-removed")
    for number in range(200):
        source.put(f"{number}.jpg", [b"bytes"])
    files = list(source.scan())
    over = threading.Event()

    def list_until_over() -> int:
        listings = 0
        while not over.is_set():
            list(source.scan())
            listings += 1
        return listings

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns as often as on a busy machine
    try:
        with ThreadPoolExecutor(1) as pool:
            lister = pool.submit(list_until_over)
            for file in files:
                source.remove(file, sha256=hashlib.sha256(b"bytes").hexdigest())
            over.set()
            assert lister.result(timeout=60)
    finally:
        over.set()
        sys.setswitchinterval(interval)
    assert list(source.scan()) == []
