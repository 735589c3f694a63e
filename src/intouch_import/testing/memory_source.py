"""A location in memory: a double for tests that keeps every promise of `Source`, until it is told not to."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from intouch_import.errors import FileChanged, FileVanished, NameTaken, SourceUnavailable
from intouch_import.model import EntryKind, SourceFile
from intouch_import.sources.base import Source, check_name
from intouch_import.testing.contents import BytesContent
from intouch_import.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from intouch_import.content import Content

__all__ = ["MemoryFolder", "MemorySource"]

_POINTS: Final = ("scan", "look", "fetch", "remove", "put", "sync")


@attrs.frozen
class _Entry:
    kind: EntryKind
    data: bytes
    version: str
    modified_ns: int


class MemoryFolder:
    """A folder in memory, as other programs see it. Several sources may be opened on one.

    Args:
        name: Sources on it derive their ids from this.
    """

    def __init__(self, name: str = "photos") -> None:
        self.name = name
        self.lock = threading.RLock()
        self._entries: dict[str, _Entry] = {}
        self._versions = 0
        self._gone = False

    def write(self, name: str, content: bytes) -> None:
        """Create or replace a file, whole at once. Every write makes a new version, the same bytes too."""
        self.keep(name, EntryKind.FILE, content)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if there is none of that name."""
        entry = self._entries.get(name)
        return entry.data if entry is not None and entry.kind is EntryKind.FILE else None

    def delete(self, name: str) -> None:
        """Take an entry away, if it is there."""
        with self.lock:
            self._entries.pop(name, None)

    def make_folder(self, name: str) -> None:
        """Make a sub-folder."""
        self.keep(name, EntryKind.FOLDER)

    def make_link(self, name: str) -> None:
        """Make a link that leads out of the folder."""
        self.keep(name, EntryKind.LINK)

    def names(self) -> set[str]:
        """The files in the folder now."""
        with self.lock:
            return {name for name, entry in self._entries.items() if entry.kind is EntryKind.FILE}

    def take_away(self) -> None:
        """From now on the folder is not there any more, as a share that is not mounted."""
        self._gone = True

    def keep(self, name: str, kind: EntryKind, data: bytes = b"") -> None:
        """Put an entry of any kind there."""
        with self.lock:
            self._versions += 1
            self._entries[name] = _Entry(kind, data, f"v{self._versions}", time.time_ns())

    def entries(self) -> dict[str, _Entry]:
        """Everything that is there now.

        Raises:
            SourceUnavailable: The folder was taken away.
        """
        with self.lock:
            if self._gone:
                raise SourceUnavailable("the folder does not exist")
            return dict(self._entries)


class MemorySource(Source):
    """A source on a `MemoryFolder`. See `Source` for the other arguments.

    Args:
        folder: Which.

    Attributes:
        faults: Switches for what should go wrong (`Faults`). Its points are the methods.
    """

    location: ClassVar[str] = "memory"
    commits_whole = True

    def __init__(
        self,
        folder: MemoryFolder,
        *,
        provider: str | None = None,
        source_id: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(folder.name, provider=provider, source_id=source_id, label=label)
        self.folder = folder
        self.faults = Faults(*_POINTS)
        folder.entries()

    @property
    def filesystem(self) -> AbstractFileSystem:
        """A copy of the folder as it is now, to look around in."""
        import fsspec

        copy = fsspec.filesystem("memory", skip_instance_cache=True)
        copy.store, copy.pseudo_dirs = {}, [""]
        for name in self.folder.names():
            copy.pipe_file(f"/{name}", self.folder.read(name) or b"")
        return copy

    def scan(self) -> Iterator[SourceFile]:
        self.faults.strike("before", "scan")
        yield from self.faults.around(
            "scan", lambda: [_source_file(name, entry) for name, entry in self.folder.entries().items()]
        )

    def look(self, name: str) -> SourceFile | None:
        check_name(name, windows=False)

        def look() -> SourceFile | None:
            entry = self.folder.entries().get(name)
            return _source_file(name, entry) if entry is not None else None

        return self.faults.around("look", look)

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:  # noqa: ARG002  # all in memory
        return self.faults.around("fetch", lambda: BytesContent(self._pinned(file).data))

    def remove(self, file: SourceFile, *, sha256: str) -> None:  # noqa: ARG002  # the version pins it
        def remove() -> None:
            with self.folder.lock:
                self._pinned(file)
                self.folder.delete(file.name)

        self.faults.around("remove", remove)

    def put(self, name: str, chunks: Iterable[bytes]) -> SourceFile:
        check_name(name, windows=False)

        def put() -> SourceFile:
            data = b"".join(chunks)
            with self.folder.lock:
                if name in self.folder.entries():
                    raise NameTaken("a file of that name is there already")
                self.folder.write(name, data)
                return _source_file(name, self.folder.entries()[name])

        return self.faults.around("put", put)

    def sync(self) -> None:
        self.faults.around("sync", lambda: None)

    def _pinned(self, file: SourceFile) -> _Entry:
        check_name(file.name, windows=False)
        entry = self.folder.entries().get(file.name)
        if entry is None:
            raise FileVanished("the file is no longer there")
        if entry.kind is not EntryKind.FILE or entry.version != file.version:
            raise FileChanged("the file is no longer the version that was listed")
        return entry


def _source_file(name: str, entry: _Entry) -> SourceFile:
    return SourceFile(
        name=name,
        kind=entry.kind,
        size_bytes=len(entry.data),
        modified_ns=entry.modified_ns,
        version=entry.version,
    )
