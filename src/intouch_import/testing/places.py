"""`Place`: one folder of a location, as other programs see it, and what the checks do with it."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Any

from intouch_import.errors import NameRefused
from intouch_import.model import EntryKind, SourceFile
from intouch_import.sources.base import check_name
from intouch_import.sources.opening import open_source
from intouch_import.testing.checks import broken, expect
from intouch_import.testing.memory import MemoryFolder, MemorySource
from intouch_import.testing.samples import HOSTILE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content
    from intouch_import.sources.base import Source

__all__ = [
    "FsspecPlace",
    "LocalPlace",
    "MemoryPlace",
    "Place",
    "bench",
    "content_of",
    "digest",
    "held_names",
    "listed",
    "pause",
    "there",
]


class Place(abc.ABC):
    """One folder of a location: the source under test, and a second hand in the same folder.

    The second hand must reach the folder by other means than the source does (the service's own SDK, the disk
    under the server), or a fault that both share is not seen.
    """

    refused_names: frozenset[str] = frozenset()
    """Names of `HOSTILE_NAMES` that this location can't hold. `Source.put` must refuse them."""

    @abc.abstractmethod
    def open(self, **options: Any) -> Source:
        """Open a new source on the folder.

        Args:
            options: ``provider``, ``source_id``, ``label`` of `Source`.
        """

    @abc.abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Create or replace a file."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is no such file."""

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Take a file away."""

    @abc.abstractmethod
    def make_folder(self, name: str) -> None:
        """Make a sub-folder with one file in it."""

    @abc.abstractmethod
    def names(self) -> set[str]:
        """The files that are directly in the folder now."""

    def make_link(self, name: str) -> bool:  # noqa: ARG002  # most locations have none
        """Make a link to a file outside the folder; False where there are no links."""
        return False

    def take_away(self) -> bool:
        """Take the folder away for good, as a share that is not mounted; False if that can't be done."""
        return False

    def close(self) -> None:
        """Called once at the end: clear up."""


class LocalPlace(Place):
    """A folder on this disk.

    Args:
        root: An empty folder to work in; the photos are in one below it.
        opened: Opens the source on a folder; by default as a local folder. Give another one for a server on
            this machine that shows the same disk.
        refused: See `Place.refused_names`; by default what Windows refuses, on Windows.
    """

    def __init__(
        self, root: Path, *, opened: Callable[..., Source] = open_source, refused: Iterable[str] | None = None
    ) -> None:
        self.folder = root / "photos"
        self.folder.mkdir(parents=True)
        self._root = root
        self._opened = opened
        self._written = 0
        self.refused_names = frozenset(_refused_here() if refused is None else refused)

    def open(self, **options: Any) -> Source:
        return self._opened(self.folder, **options)

    def write(self, name: str, content: bytes) -> None:
        self._written += 1
        temporary = self._root / f"written-{self._written}"
        temporary.write_bytes(content)
        temporary.replace(self.folder / name)

    def read(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.is_file() and not path.is_symlink() else None

    def delete(self, name: str) -> None:
        path = self.folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def make_folder(self, name: str) -> None:
        (self.folder / name).mkdir()
        (self.folder / name / "below.jpg").write_bytes(b"below")

    def names(self) -> set[str]:
        with os.scandir(self.folder) as entries:
            return {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}

    def make_link(self, name: str) -> bool:
        outside = self._root / "outside.jpg"
        outside.write_bytes(b"outside")
        try:
            (self.folder / name).symlink_to(outside)
        except (OSError, NotImplementedError):  # Windows, without the right to
            return False
        return True

    def take_away(self) -> bool:
        shutil.rmtree(self.folder)
        return True

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class MemoryPlace(Place):
    """A `MemoryFolder`.

    Args:
        opened: Opens a source on it; by default a `MemorySource`.
    """

    def __init__(self, opened: Callable[..., Source] = MemorySource) -> None:
        self.folder = MemoryFolder()
        self._opened = opened

    def open(self, **options: Any) -> Source:
        return self._opened(self.folder, **options)

    def write(self, name: str, content: bytes) -> None:
        self.folder.write(name, content)

    def read(self, name: str) -> bytes | None:
        return self.folder.read(name)

    def delete(self, name: str) -> None:
        self.folder.delete(name)

    def make_folder(self, name: str) -> None:
        self.folder.make_folder(name)

    def names(self) -> set[str]:
        return self.folder.names()

    def make_link(self, name: str) -> bool:
        self.folder.make_link(name)
        return True

    def take_away(self) -> bool:
        self.folder.take_away()
        return True


class FsspecPlace(Place):
    """A folder of any fsspec file system, written through fsspec.

    Args:
        filesystem: The second hand.
        folder: An empty folder in it.
        opened: Opens the source on the folder.
        refused: See `Place.refused_names`.
    """

    def __init__(
        self,
        filesystem: AbstractFileSystem,
        folder: str,
        *,
        opened: Callable[..., Source],
        refused: Iterable[str] = (),
    ) -> None:
        self.filesystem = filesystem
        self.folder = folder.rstrip("/")
        self._opened = opened
        self.refused_names = frozenset(refused)
        filesystem.makedirs(self.folder, exist_ok=True)

    def open(self, **options: Any) -> Source:
        return self._opened(**options)

    def write(self, name: str, content: bytes) -> None:
        self.filesystem.pipe_file(self._path(name), content)

    def read(self, name: str) -> bytes | None:
        self.filesystem.invalidate_cache()
        try:
            if self.filesystem.info(self._path(name))["type"] != "file":
                return None
            data: bytes = self.filesystem.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return data

    def delete(self, name: str) -> None:
        if self.filesystem.isdir(self._path(name)):
            self.filesystem.rm(self._path(name), recursive=True)
        else:
            self.filesystem.rm_file(self._path(name))

    def make_folder(self, name: str) -> None:
        self.filesystem.makedirs(self._path(name))
        self.filesystem.pipe_file(f"{self._path(name)}/below.jpg", b"below")

    def names(self) -> set[str]:
        self.filesystem.invalidate_cache()
        entries = self.filesystem.ls(self.folder, detail=True)
        return {str(one["name"]).rpartition("/")[2] for one in entries if one["type"] == "file"}

    def take_away(self) -> bool:
        self.filesystem.rm(self.folder, recursive=True)
        return True

    def close(self) -> None:
        if self.filesystem.exists(self.folder):
            self.filesystem.rm(self.folder, recursive=True)

    def _path(self, name: str) -> str:
        return f"{self.folder}/{name}"


def _refused_here() -> Iterator[str]:
    for name in HOSTILE_NAMES:
        try:
            check_name(name)
        except NameRefused:
            yield name


# --- what the checks do with a place

# File systems tell times in steps of some milliseconds. A change within one step is not what is meant here.
_STEP_S = 0.03


@contextlib.contextmanager
def bench(factory: Callable[[], Place]) -> Iterator[Place]:
    """A place with an empty folder, closed when the check is over."""
    place = factory()
    try:
        yield place
    finally:
        place.close()


def digest(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def listed(source: Source) -> dict[str, SourceFile]:
    """The folder, by name."""
    found: dict[str, SourceFile] = {}
    for file in source.scan():
        expect(file.name not in found, f"{file.name!a} was listed twice")
        found[file.name] = file
    return found


def there(source: Source, name: str) -> SourceFile:
    """What stands under a name; it must be a file."""
    file = source.look(name)
    if file is None:
        broken(f"look found nothing under {name!a}, where there is a file")
    expect(file.kind is EntryKind.FILE, f"look found a {file.kind} under {name!a}, where there is a file")
    return file


def content_of(content: Content) -> bytes:
    """The bytes of a content; they must be what it says."""
    with content.open() as stream:
        data = stream.read()
    expect(len(data) == content.size_bytes, "size_bytes is not the size of what can be read")
    expect(digest(data) == content.sha256, "sha256 is not the digest of what can be read")
    return data


def held_names(place: Place) -> list[str]:
    """The hostile names that this location can hold, all written: each file contains its name.

    Where two names are one (a location that ignores letter case), the later one stands.
    """
    wanted = [name for name in HOSTILE_NAMES if name not in place.refused_names]
    for name in wanted:
        place.write(name, name.encode("utf-8", "surrogatepass"))
    held = place.names()
    lost = [name for name in wanted if name not in held and not _taken_for_another(name, held)]
    expect(not lost, f"the location spells {lost[:1]!a} otherwise: put it into refused_names")
    return sorted(held)


def _taken_for_another(name: str, held: set[str]) -> bool:
    import unicodedata

    def folded(text: str) -> str:
        return unicodedata.normalize("NFC", text).casefold()

    return folded(name) in {folded(other) for other in held}


def pause() -> None:
    """Let the clock of a file system go on, so that a change has another time."""
    time.sleep(_STEP_S)
