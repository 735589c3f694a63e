"""Where the reference repository keeps bytes on fsspec storage, over a file system that fails."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from failing_fsspec import FailingFileSystem, faulty, raising
from intouch_import.errors import ConfigError, ContentMismatch, RepositoryError, StorageFull
from intouch_import.repositories.files import FsspecFiles
from intouch_import.testing import BytesContent
from intouch_import.testing.samples import FailingContent

if TYPE_CHECKING:
    from collections.abc import Iterator

ID, OTHER = "ab" + "0" * 38, "cd" + "0" * 38
PATH = f"/files/ab/{ID}"


@pytest.fixture
def failing() -> Iterator[type[FailingFileSystem]]:
    with faulty() as kind:
        yield kind


@pytest.fixture
def files(failing) -> FsspecFiles:
    return FsspecFiles("failing://files")


def read(files: FsspecFiles, attachment_id: str = ID) -> bytes:
    with files.open(attachment_id) as stream:
        return stream.read()


def test_bytes_are_placed_once(files: FsspecFiles, failing) -> None:
    """The same bytes again are taken as they are; nothing else is left on the storage."""
    for _ in range(2):
        files.place(ID, BytesContent(b"bytes"))
    files.sync([ID])
    assert read(files) == b"bytes"
    assert set(failing.store) == {PATH}


@pytest.mark.parametrize("other", [b"other", b"longer than it was", b""])
def test_other_bytes_are_never_replaced(files: FsspecFiles, failing, other: bytes) -> None:
    """What stands there may be somebody's photo."""
    files.place(ID, BytesContent(b"bytes"))
    with pytest.raises(ContentMismatch):
        files.place(ID, BytesContent(other))
    assert read(files) == b"bytes"


def test_what_breaks_off_leaves_nothing(files: FsspecFiles, failing) -> None:
    """Half a photo under the id would be taken for a photo, and would keep the whole one out."""
    data = b"x" * 400_000
    with pytest.raises(RepositoryError):
        files.place(ID, FailingContent(data))
    assert not failing.store
    files.place(ID, BytesContent(data))
    assert read(files) == data


def test_nothing_is_seen_before_it_is_whole(files: FsspecFiles, failing) -> None:
    """A crash at any moment of an upload leaves nothing under the id."""
    seen: list[set[str]] = []
    failing.faults["open wb"] = lambda _path: seen.append(set(failing.store))
    failing.faults["cp"] = lambda path: seen.append({path: failing.store[path].getvalue()}.keys() & set())
    files.place(ID, BytesContent(b"bytes"))
    assert seen == [set(), set()]
    assert failing.store[PATH].getvalue() == b"bytes"


def test_an_upload_that_is_cut_short_is_told(files: FsspecFiles, failing) -> None:
    """The size of what arrived is compared, and nothing that is short gets the name."""

    def cut(path: str) -> None:
        if path.endswith(".part") and path in failing.store:
            failing.store[path].truncate(2)

    failing.faults["info"] = cut
    with pytest.raises(RepositoryError):
        files.place(ID, BytesContent(b"bytes"))
    failing.faults.clear()
    assert not failing.store


def test_no_room_is_told(files: FsspecFiles, failing) -> None:
    """A full storage is told as what it is."""
    failing.faults["open wb"] = raising(OSError(errno.ENOSPC, "no room in /secret/place"))
    with pytest.raises(StorageFull) as caught:
        files.place(ID, BytesContent(b"bytes"))
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "exc", [RuntimeError("/secret"), EOFError("/secret"), OSError("/secret"), ValueError("/secret")]
)
def test_whatever_it_raises_is_a_repository_error(files: FsspecFiles, failing, exc: Exception) -> None:
    """Vendors' exceptions and their texts, which hold paths, stay inside."""
    files.place(ID, BytesContent(b"bytes"))
    for point, call in {
        "info": lambda: files.place(OTHER, BytesContent(b"bytes")),
        "open wb": lambda: files.place(OTHER, BytesContent(b"bytes")),
        "cp": lambda: files.place(OTHER, BytesContent(b"bytes")),
        "open rb": lambda: files.open(ID),
        "rm": lambda: files.delete(ID),
    }.items():
        failing.faults[point] = raising(exc)
        if point == "cp":
            failing.faults["after rm"] = lambda path: failing.store.pop(f"/files/cd/{OTHER}", None)
            failing.faults["cp"] = lambda path: (failing.store.pop(path), raising(exc)(path))
        with pytest.raises(RepositoryError) as caught:
            call()
        assert "secret" not in f"{caught.value} {caught.value.__cause__}"
        failing.faults.clear()
    assert read(files) == b"bytes"


def test_another_process_may_place_the_same_bytes(files: FsspecFiles, failing) -> None:
    """Where giving the name fails because it is there by now, with the same bytes, all is well."""
    failing.faults["cp"] = raising(FileExistsError())
    files.place(ID, BytesContent(b"bytes"))
    assert read(files) == b"bytes"


def test_another_process_may_place_other_bytes(files: FsspecFiles, failing) -> None:
    """Where giving the name fails because other bytes are there by now, they stay."""

    def theirs(path: str) -> None:
        failing.faults.clear()
        failing().pipe_file(path, b"theirs")
        raise FileExistsError

    failing.faults["cp"] = theirs
    with pytest.raises(ContentMismatch):
        files.place(ID, BytesContent(b"bytes"))
    assert read(files) == b"theirs"


def test_deleting_is_not_believed(files: FsspecFiles, failing) -> None:
    """A storage that returns as if it had deleted a photo leaves it in nobody's record, readable."""
    files.place(ID, BytesContent(b"bytes"))
    failing.faults["rm"] = lambda _path: "nothing"
    with pytest.raises(RepositoryError):
        files.delete(ID)
    failing.faults.clear()
    for _ in range(2):
        files.delete(ID)
    with pytest.raises(RepositoryError, match="no such"):
        files.open(ID)


def test_readers_have_positions_of_their_own(files: FsspecFiles, failing) -> None:
    """The memory file system of fsspec gives all readers one stream, which is the stored file itself."""
    data = bytes(range(256)) * 4000
    files.place(ID, BytesContent(data))
    with files.open(ID) as one, files.open(ID) as two:
        assert one.read(3) == two.read(3) == data[:3]
        assert one.seek(5) == 5
        assert one.tell() == 5
        assert two.read() == data[3:]
        assert not one.writable()
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: read(files), range(8))) == {data}


def test_connections_come_back(files: FsspecFiles, failing) -> None:
    """A stream that is read to its end gives its connection back; one that failed does not."""
    files.place(ID, BytesContent(b"bytes"))
    failing.opened = failing.closed = 0
    for _ in range(5):
        read(files)
    assert (failing.opened, failing.closed) == (0, 0)
    failing.faults["open rb"] = raising(ConnectionResetError())
    with pytest.raises(RepositoryError):
        files.open(ID)
    assert failing.closed == 1


@pytest.mark.parametrize("attachment_id", ["", "../../etc/passwd", "AB" + "0" * 38, "0" * 39, "%"])
def test_ids_are_never_paths(files: FsspecFiles, attachment_id: str) -> None:
    """Whatever is asked for, nothing outside is opened or deleted."""
    for call in (files.open, files.delete, lambda one: files.place(one, BytesContent(b""))):
        with pytest.raises(RepositoryError):
            call(attachment_id)


def test_a_place_that_is_none_is_a_mistake_in_the_settings() -> None:
    """A protocol that fsspec does not know."""
    with pytest.raises(ConfigError):
        FsspecFiles("nonsense://x")
