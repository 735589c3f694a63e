"""`Place`: one folder of a location, as other programs see it; and what the checks of a source share."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import os
import shutil
import time
import unicodedata
from typing import TYPE_CHECKING, Any

from intouch_import.errors import NameRefused
from intouch_import.model import EntryKind, SourceFile
from intouch_import.sources.base import check_name
from intouch_import.sources.opening import open_source
from intouch_import.testing.checks import expect, given
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
    """One folder of a location, as other programs see it, and sources on it.

    The methods must use another way to the folder than the source does (the service's own SDK, the disk of
    the server). Otherwise the checks can't detect a mistake that both share.
    """

    refused_names: frozenset[str] = frozenset()
    """Names of `HOSTILE_NAMES` that files of this location can't have. `Source.put` must refuse them."""

    @abc.abstractmethod
    def open(self, **options: Any) -> Source:
        """Open a new source on the folder.

        Args:
            options: ``provider``, ``source_id`` and ``label`` of `Source`.
        """

    @abc.abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Create or replace a file."""

    @abc.abstractmethod
    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file; None if there is no file with this name."""

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Delete a file."""

    @abc.abstractmethod
    def make_folder(self, name: str) -> None:
        """Make a sub-folder with one file in it."""

    @abc.abstractmethod
    def names(self) -> set[str]:
        """Return the names of the files that are directly in the folder now."""

    def make_link(self, name: str) -> bool:  # noqa: ARG002  # most locations have none
        """Make a link to a file outside the folder. Return False if the location has no links."""
        return False

    def take_away(self) -> bool:
        """Make the folder unreachable, as a share that is not mounted. Return False if that can't be done."""
        return False

    def close(self) -> None:
        """Clean up, after the check."""


class LocalPlace(Place):
    """A folder on the local disk.

    Args:
        root: An empty folder. The photos are in a folder in it.
        opened: Opens a source on the folder with the photos; by default a local source. Give another one for
            a server that shows this disk.
        refused: See `Place.refused_names`; by default the names that this system refuses.
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
        except (OSError, NotImplementedError):  # on Windows, without the right to make links
            return False
        return True

    def take_away(self) -> bool:
        shutil.rmtree(self.folder)
        return True

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class FsspecPlace(Place):
    """A folder of any fsspec file system.

    Args:
        filesystem: The file system that the methods use.
        folder: An empty folder in the file system.
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

# The times of a file system have steps of some milliseconds. The checks make no two changes within one step.
_STEP_S = 0.03


def bench(factory: Callable[[], Place]) -> contextlib.closing[Place]:
    """Make a place with an empty folder, which is closed after the check."""
    return contextlib.closing(factory())


def digest(data: bytes) -> str:
    """Return the SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def listed(source: Source) -> dict[str, SourceFile]:
    """List the folder, by name."""
    found: dict[str, SourceFile] = {}
    for file in source.scan():
        expect(file.name not in found, f"{file.name!a} was listed twice")
        found[file.name] = file
    return found


def there(source: Source, name: str) -> SourceFile:
    """Look at a name that a file has."""
    file = given(source.look(name), f"look did not find the file {name!a}")
    expect(file.kind is EntryKind.FILE, f"look returned the file {name!a} as a {file.kind}")
    return file


def content_of(content: Content) -> bytes:
    """Return the bytes of a content, and expect its size and digest to be right."""
    with content.open() as stream:
        data = stream.read()
    expect(len(data) == content.size_bytes, "size_bytes is not the number of bytes that were read")
    expect(digest(data) == content.sha256, "sha256 is not the digest of the bytes that were read")
    return data


def held_names(place: Place) -> list[str]:
    """Write a file for every hostile name that this location accepts, and return the names.

    Each file contains its name. If the location takes two names for one (in another letter case), one of them
    is returned.
    """
    wanted = [name for name in HOSTILE_NAMES if name not in place.refused_names]
    for name in wanted:
        place.write(name, name.encode("utf-8", "surrogatepass"))
    held = place.names()
    lost = [name for name in wanted if _folded(name) not in set(map(_folded, held))]
    expect(not lost, f"the location changes the name {lost[:1]!a}: put it into refused_names")
    return sorted(held)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def pause() -> None:
    """Wait until the clock of a file system has advanced, so that the next change has another time."""
    time.sleep(_STEP_S)
