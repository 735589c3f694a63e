"""The read-only file system of a source: fsspec's own tests, and what programs do with it."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import fsspec
import pandas as pd
import pytest
from fsspec.generic import rsync, set_generic_fs
from fsspec.tests.abstract import AbstractFixtures
from fsspec.tests.abstract.get import AbstractGetTests
from PIL import Image

from intouch_import import open_source
from intouch_import.errors import SourceError
from intouch_import.sources.filesystem import SourceFileSystem
from intouch_import.testing import MemoryFolder, MemorySource
from services.doubles.dropbox import DropboxServer, Fault
from services.doubles.onedrive import OneDriveServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from intouch_import.sources import Source
    from services.azurite import Azurite

FOLDER = "practice/dr [jones] #1"


class _Local:
    def __init__(self, root: Path) -> None:
        self._root = root / FOLDER
        self._root.mkdir(parents=True)
        self.source: Source = open_source(self._root)

    def write(self, path: str, content: bytes) -> None:
        file = self._root / path.strip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def make_folder(self, path: str) -> None:
        (self._root / path.strip("/")).mkdir(parents=True, exist_ok=True)

    def delete(self, path: str) -> None:
        shutil.rmtree(self._root / path.strip("/"))


class _Dropbox:
    def __init__(self, server: DropboxServer) -> None:
        self._server = server
        server.make_folder(f"/{FOLDER}")
        server.put("/practice/other.jpg", b"other")
        token = server.token()
        self.source: Source = open_source(
            f"dropbox:///{quote(FOLDER)}", signin=lambda _force=False: token, endpoint=server.url
        )

    def write(self, path: str, content: bytes) -> None:
        self._server.put(f"/{FOLDER}/{path.strip('/')}", content)

    def make_folder(self, path: str) -> None:
        self._server.make_folder(f"/{FOLDER}/{path.strip('/')}")

    def delete(self, path: str) -> None:
        self._server.delete(f"/{FOLDER}/{path.strip('/')}")


class _OneDrive:
    def __init__(self, server: OneDriveServer) -> None:
        self._drive = server.drive
        self._drive.folder(FOLDER)
        self._drive.write(self._drive.folder("practice"), "other.jpg", b"other")
        self.source: Source = open_source(
            f"onedrive:///{quote(FOLDER)}", signin=server.signin(), endpoint=server.endpoint
        )

    def write(self, path: str, content: bytes) -> None:
        folder, _, name = path.strip("/").rpartition("/")
        self._drive.write(self._drive.folder(f"{FOLDER}/{folder}"), name, content)

    def make_folder(self, path: str) -> None:
        self._drive.folder(f"{FOLDER}/{path.strip('/')}")

    def delete(self, path: str) -> None:
        self._drive.delete(self._drive.folder(f"{FOLDER}/{path.strip('/')}"))


_CLOUDS = ("dropbox", "onedrive", "azure")


class _Azure:
    def __init__(self, azurite: Azurite) -> None:
        self._container = azurite.container()
        self._container.upload_blob("practice/other.jpg", b"other")
        self.source: Source = azurite.open(f"{self._container.container_name}/{FOLDER}")

    def write(self, path: str, content: bytes) -> None:
        self._container.upload_blob(f"{FOLDER}/{path.strip('/')}", content, overwrite=True)

    def make_folder(self, path: str) -> None:
        self._container.upload_blob(f"{FOLDER}/{path.strip('/')}/", b"", overwrite=True)

    def delete(self, path: str) -> None:
        for name in list(self._container.list_blob_names(name_starts_with=f"{FOLDER}/{path.strip('/')}/")):
            self._container.delete_blob(name)


@pytest.fixture(params=["local", *_CLOUDS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A folder of a source, and another program that writes there."""
    yield from _opened(request, tmp_path)


def _opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    match request.param:
        case "local":
            made: Any = _Local(tmp_path)
            yield made
        case "azure":
            made = _Azure(request.getfixturevalue("azurite"))
            yield made
            made.source.close()
        case "dropbox":
            with DropboxServer() as server:
                made = _Dropbox(server)
                yield made
                made.source.close()
        case _:
            with OneDriveServer("personal") as server:
                made = _OneDrive(server)
                yield made
                made.source.close()


class _Prepared(SourceFileSystem):
    """The file system, with the few methods that fsspec's tests write their files with."""

    def __init__(self, place: Any) -> None:
        super().__init__(place.source)
        self._place = place

    def touch(self, path: str, **_: Any) -> None:
        self._place.write(path, b"")

    def pipe(self, path: str, value: bytes) -> None:
        self._place.write(path, value)

    def makedirs(self, path: str, **_: Any) -> None:
        self._place.make_folder(path)

    mkdir = makedirs

    def rm(self, path: str, **_: Any) -> None:
        self._place.delete(path)


class TestFsspecsOwn(AbstractFixtures, AbstractGetTests):
    """fsspec's tests of file systems, those that read."""

    # In the clouds, these tests take a minute.
    @pytest.fixture(params=["local", *(pytest.param(one, marks=pytest.mark.long) for one in _CLOUDS)])
    def place(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        yield from _opened(request, tmp_path)

    @pytest.fixture
    def fs(self, place: Any) -> Any:
        return _Prepared(place)

    @pytest.fixture
    def fs_path(self) -> str:
        return "/"

    @pytest.fixture
    def fs_join(self) -> Any:
        return lambda *parts: "/".join(parts).replace("//", "/")


def test_programs_read_a_table_and_a_photo(place: Any) -> None:
    """A CSV file is read by pandas and a photo by Pillow, by path, from the file system and by URL."""
    photo = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(photo, "PNG")
    place.write("/list.csv", b"patient,taken\n10042,2026-01-31\n10043,2026-02-01\n")
    place.write("/10042/IMG 1.png", photo.getvalue())
    fs = place.source.filesystem
    with fs.open("/list.csv") as stream:
        assert list(pd.read_csv(stream)["patient"]) == [10042, 10043]
    by_url = pd.read_csv("intouch:///list.csv", storage_options={"source": place.source})
    assert list(by_url["taken"]) == ["2026-01-31", "2026-02-01"]
    with fs.open("/10042/IMG 1.png") as stream, Image.open(stream) as image:
        assert image.size == (8, 6)
        image.load()


def test_it_looks_and_reads(place: Any) -> None:
    """Listing, searching and reading work at all depths, and parts of files are right."""
    place.write("/a.txt", b"0123456789")
    place.write("/b/c/d.txt", b"deep")
    fs = place.source.filesystem
    assert sorted(fs.ls("/", detail=False)) == sorted(fs.ls("intouch://", detail=False)) == ["/a.txt", "/b"]
    assert fs.ls("/a.txt", detail=False) == ["/a.txt"]
    assert fs.find("/") == ["/a.txt", "/b/c/d.txt"]
    assert fs.glob("/**/*.txt") == ["/a.txt", "/b/c/d.txt"]
    assert [(top, folders, files) for top, folders, files in fs.walk("/b")] == [
        ("/b", ["c"], []),
        ("/b/c", [], ["d.txt"]),
    ]
    assert fs.info("/b/c/d.txt")["size"] == fs.size("/b/c/d.txt") == 4
    assert (fs.exists("/b"), fs.isdir("/b"), fs.isfile("/b"), fs.isfile("/a.txt")) == (
        True,
        True,
        False,
        True,
    )
    for nothing in ("/x", "/x/y", "/a.txt/x", "/b/../../other.jpg", "/../other.jpg", "/b/."):
        assert not fs.exists(nothing)
        for look in (fs.info, fs.ls, fs.open, fs.cat_file):
            with pytest.raises((FileNotFoundError, NotADirectoryError)):
                look(nothing)
    for folder in ("/", "/b"):
        with pytest.raises(IsADirectoryError):
            fs.open(folder)
    assert fs.cat(["/a.txt", "/b/c/d.txt"]) == {"/a.txt": b"0123456789", "/b/c/d.txt": b"deep"}
    for start, end in ((0, 3), (2, 4), (-3, None), (7, None), (6, 9), (None, 5), (5, 5), (8, 2), (0, 99)):
        assert fs.cat_file("/a.txt", start=start, end=end) == b"0123456789"[start:end]
    assert (fs.head("/a.txt", 2), fs.tail("/a.txt", 2)) == (b"01", b"89")
    assert fs.read_block("/a.txt", 4, 2) == b"45"


def test_wildcards_in_a_name_are_part_of_it(place: Any) -> None:
    """A file whose name looks like a pattern is read itself; without such a file, the pattern is one."""
    place.write("/IMG[1].jpg", b"in brackets")
    place.write("/IMG1.jpg", b"plain")
    fs = place.source.filesystem
    assert fs.cat("/IMG[1].jpg") == fs.cat(["/IMG[1].jpg"])["/IMG[1].jpg"] == b"in brackets"
    assert fs.cat("/IMG[0-9].jpg") == {"/IMG1.jpg": b"plain"}


def test_a_folder_is_copied_elsewhere(place: Any) -> None:
    """``fsspec.generic`` copies from a source to any other file system."""
    place.write("/a/1.jpg", b"one")
    place.write("/a/b/2.jpg", b"two")
    memory = fsspec.filesystem("memory", skip_instance_cache=True)
    set_generic_fs("intouch", source=place.source)
    set_generic_fs("memory")
    rsync("intouch:///a", "memory://copied", inst_kwargs={"default_method": "generic"})
    try:
        assert memory.cat(memory.find("/copied")) == {"/copied/1.jpg": b"one", "/copied/b/2.jpg": b"two"}
    finally:
        memory.rm("/copied", recursive=True)


CHANGES = {
    "rm": ("/a.jpg",), "rm_file": ("/a.jpg",), "delete": ("/a.jpg",), "rmdir": ("/sub",), "mv": ("/a.jpg", "/b.jpg"),
    "move": ("/a.jpg", "/b.jpg"), "rename": ("/a.jpg", "/b.jpg"), "cp_file": ("/a.jpg", "/b.jpg"),
    "copy": ("/a.jpg", "/b.jpg"), "cp": ("/a.jpg", "/b.jpg"), "put_file": (__file__, "/b.jpg"),
    "put": (__file__, "/b.jpg"), "upload": (__file__, "/b.jpg"), "pipe_file": ("/b.jpg", b"x"),
    "pipe": ("/b.jpg", b"x"), "touch": ("/a.jpg",), "mkdir": ("/b",), "makedirs": ("/b",), "makedir": ("/b",),
    "mkdirs": ("/b",), "write_text": ("/b.jpg", "x"), "write_bytes": ("/b.jpg", b"x"), "sign": ("/a.jpg",),
    "start_transaction": (), "open": ("/a.jpg", "wb"),
}  # fmt: skip


def test_nothing_is_changed(place: Any) -> None:
    """All methods of fsspec that write or delete are refused."""
    place.write("/a.jpg", b"photo")
    place.write("/sub/c.jpg", b"photo")
    fs = place.source.filesystem
    for method, arguments in CHANGES.items():
        with pytest.raises(NotImplementedError):
            getattr(fs, method)(*arguments)
    for mode in ("ab", "xb", "r+b", "w"):
        with pytest.raises(NotImplementedError):
            fs.open("/a.jpg", mode)
    assert fs.cat(fs.find("/")) == {"/a.jpg": b"photo", "/sub/c.jpg": b"photo"}


def test_a_location_that_fails_looks_like_no_empty_folder(dropbox_server: DropboxServer) -> None:
    """An error of the location is raised by every method, where fsspec's own would return an empty answer."""
    place = _Dropbox(dropbox_server)
    place.write("/sub/a.jpg", b"photo")
    refusal = Fault.refused({".tag": "a_new_one"})
    for route in ("files/list_folder", "files/get_metadata"):
        dropbox_server.fail(route, refusal, times=None)
    fs = place.source.filesystem
    for look in (
        fs.ls,
        fs.info,
        fs.exists,
        fs.isdir,
        fs.isfile,
        fs.find,
        fs.cat,
        lambda path: list(fs.walk(path)),
    ):
        with pytest.raises(SourceError):
            look("/sub")
    place.source.close()


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link is listed as a link. Neither the file nor the folder behind it can be read."""
    place = _Local(tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_bytes(b"secret")
    for name, target in (("file", "outside/secret.txt"), ("folder", "outside")):
        (tmp_path / FOLDER / name).symlink_to(tmp_path / target)
    fs = place.source.filesystem
    assert {entry["type"] for entry in fs.ls("/")} == {"link"}
    assert fs.find("/") == ["/file", "/folder"]
    for path in ("/file", "/folder"):
        with pytest.raises(PermissionError):
            fs.cat_file(path)
    assert not fs.exists("/folder/secret.txt")


def test_a_temporary_copy_goes_with_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing the file deletes the copy that it was read from."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = _Local(tmp_path / "place")
    place.write("/a.jpg", b"photo")
    with place.source.filesystem.open("/a.jpg") as stream:
        assert (stream.read(), stream.size) == (b"photo", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_source_that_opens_no_folders_below() -> None:
    """The file system shows the folder itself; a path below is an error, unless nothing can be there."""
    folder = MemoryFolder()
    folder.write("a.jpg", b"1")
    folder.make_folder("sub")
    fs = MemorySource(folder).filesystem
    assert fs.cat_file("/a.jpg") == b"1"
    assert not fs.exists("/nothing/x")
    with pytest.raises(Exception, match="can't be opened"):
        fs.ls("/sub")
