"""An archive: how it is opened, and how all folders below its top are listed.

An inbox never looks below its folder; an archive is made of sub-folders. Each of them is a source of its own,
with the promises of every source: its files are read and removed only in the version that was listed, and
links are not followed, neither links in a listing nor links that replace a folder later.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
from collections import OrderedDict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import attrs

from intouch_import.errors import ConfigError, FileError, InTouchImportError, SourceError
from intouch_import.exclusions import Exclusions
from intouch_import.model import EntryKind, Reason, SourceFile
from intouch_import.sources.base import Source
from intouch_import.sources.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from intouch_import.migration.companions import Grouping, Place

__all__ = ["AnyArchive", "Archive", "Folders", "FoundFiles", "archive_of", "folder_id", "open_root", "walk"]

AnyArchive: TypeAlias = "str | os.PathLike[str] | Source | Callable[[], Source]"
"""What a caller may give as an archive."""

_KEPT: Final = frozenset({"source_id", "provider", "label"})
_OPEN_FOLDERS: Final = 64
_CHUNK: Final = 1000
# What belongs together is found among at most so many entries of a folder: they are in memory together.
_MOST_TOGETHER: Final = 200_000
_DEEPEST: Final = 512
_CHECK_ROOT_AFTER: Final = 20


@attrs.frozen
class Archive:
    """A folder with everything below it. Call it to open its top folder. Can be pickled.

    Args:
        url: As for `open_source`.
        options: As for `open_source`. They may contain secrets, so they are not shown, and a plan does not
            keep them.
    """

    url: str = attrs.field(converter=os.fspath, repr=False)
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def __call__(self) -> Source:
        """Open the top folder. The caller closes it."""
        return open_source(self.url, **self.options)

    @property
    def kept(self) -> dict[str, Any] | None:
        """What a plan keeps, as JSON values; None if the archive can't be opened again from that."""
        kept = {name: value for name, value in self.options.items() if name != "exclude"}
        if set(kept) - _KEPT:
            return None
        return {"url": self.url, **{name: str(value) for name, value in kept.items()}}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any]) -> Archive:
        """Make an archive from what `kept` returned."""
        return cls(kept["url"], {name: value for name, value in kept.items() if name != "url"})


def archive_of(source: AnyArchive) -> Callable[[], Source]:
    """Return a callable that opens an archive.

    Raises:
        ConfigError: The source was not opened by `open_source`.
    """
    if isinstance(source, Source):
        if source.opened_with is None:
            raise ConfigError("give the archive as a path, a URL, or a source opened by open_source")
        url, options = source.opened_with
        return Archive(url, {**options, "source_id": source.source_id})
    if callable(source):
        return source
    text = os.fspath(source)
    # Absolute, so that the plan can be run from any working directory.
    return Archive(text if "://" in text else os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111


def open_root(archive: Callable[[], Source], *, source_id: str) -> Source:
    """Open the top folder of a plan's archive. The caller closes it.

    Raises:
        ConfigError: It is another archive: its source id differs.
        SourceError: The archive can't be opened.
    """
    root = archive()
    if root.source_id != source_id:
        root.close()
        raise ConfigError("that is another archive than the plan's: its source id differs")
    return root


class FoundFiles(NamedTuple):
    """Some entries of one folder.

    Args:
        folder: Folders from the top of the archive, joined by slashes; empty for the top.
        files: The entries, without the folders that are walked themselves.
        source_id: The folder's source id.
        why: Why a single entry, a folder, is not walked.
        places: By name, the places of files that belong together. The parts of a file follow it in ``files``.
    """

    folder: str
    files: list[SourceFile]
    source_id: str = ""
    why: Reason | None = None
    places: Mapping[str, Place] = MappingProxyType({})


def folder_id(root_id: str, folder: str) -> str:
    """Return the source id of a folder: the same on every machine where the archive has the same id.

    It never equals the id of a source that an inbox opens on the same folder. Otherwise the inbox would take
    a copied file, which stays in the archive, for an interrupted move, and remove it.
    """
    digest = hashlib.sha256(folder.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{root_id}/{digest}"


@attrs.define(eq=False)
class Folders:
    """The folders of an archive, opened on demand; the last 64 stay open. Thread-safe.

    Args:
        root: The archive's top folder. Its opener closes it.
        exclusions: The folders that are not looked into.
    """

    root: Source
    exclusions: Exclusions = attrs.field(factory=Exclusions)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _open: OrderedDict[str, Source] = attrs.field(factory=OrderedDict, init=False)

    def open(self, folder: str) -> Source:
        """Return the source of a folder.

        Raises:
            SourceError: The folder is not there, or is not a folder any more.
            NameRefused: The location can't open a folder with that name.
        """
        with self._lock:
            source = self._open.get(folder)
            if source is not None:
                self._open.move_to_end(folder)
                return source
        parts = folder.split("/") if folder else []
        source = self.root.below(*parts, source_id=folder_id(self.root.source_id, folder))
        with self._lock:
            self._open[folder] = source
            while len(self._open) > _OPEN_FOLDERS:
                # Not closed: another thread may be reading from it. A local folder has nothing open between
                # two calls, and the others share the connections of the root.
                self._open.popitem(last=False)
        return source

    def is_gone(self, folder: str) -> bool:
        """Return whether a folder that can't be opened is not there any more."""
        parent, _, name = folder.rpartition("/")
        try:
            return self.open(parent).look(name) is None
        except (SourceError, FileError):
            return bool(parent) and self.is_gone(parent)

    def close(self) -> None:
        """Close the folders; the root stays open."""
        with self._lock:
            opened, self._open = list(self._open.values()), OrderedDict()
        for source in opened:
            with contextlib.suppress(InTouchImportError):
                source.close()


def walk(folders: Folders, grouping: Grouping | None = None) -> Iterator[FoundFiles]:
    """List everything in an archive, folder by folder, at most some thousand entries at a time.

    Memory is used for the entries of a folder, and for the names of folders that are still to be listed. A
    location on a network lists several folders in parallel.

    Args:
        folders: The archive.
        grouping: Finds what belongs together in each folder.

    Raises:
        SourceError: The top folder can't be listed, at first or after many folders that could not be listed.
    """
    threads = min(folders.root.concurrency, 16)
    on_network = threads > 2  # noqa: PLR2004  # a local disk has two
    return (_ParallelWalk(folders, grouping, threads) if on_network else _Walk(folders, grouping)).run()


class _Walk:
    """Lists one folder after the other."""

    def __init__(self, folders: Folders, grouping: Grouping | None) -> None:
        self._folders = folders
        self._grouping = grouping
        self._pending = [""]
        self._failures = 0

    def run(self) -> Iterator[FoundFiles]:
        while self._pending:
            below: list[str] = []
            yield from self._list(self._pending.pop(), below)
            self._pending += sorted(below, reverse=True)

    def _list(self, folder: str, below: list[str]) -> Iterator[FoundFiles]:
        try:
            yield from _list(self._folders, folder, below, self._grouping)
            self._failures = 0
        except InTouchImportError:
            self._failures += 1
            # After many failures in a row: can the top folder be listed, or is the whole archive gone?
            if not folder or (self._failures % _CHECK_ROOT_AFTER == 0 and _is_lost(self._folders)):
                raise
            yield _unreadable(folder)


class _ParallelWalk(_Walk):
    """Lists folders in several threads, and yields what they find in one."""

    def __init__(self, folders: Folders, grouping: Grouping | None, threads: int) -> None:
        super().__init__(folders, grouping)
        self._threads = threads
        self._found: queue.Queue[FoundFiles | BaseException | None] = queue.Queue(maxsize=4 * threads)
        self._condition = threading.Condition()
        self._busy = 0
        self._stopped = False

    def run(self) -> Iterator[FoundFiles]:
        threads = [
            threading.Thread(target=self._work, name="intouch-walk", daemon=True)
            for _ in range(self._threads)
        ]
        for thread in threads:
            thread.start()
        ended = 0
        try:
            while ended < len(threads):
                found = self._found.get()
                if found is None:
                    ended += 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    yield found
        finally:
            with self._condition:
                self._stopped = True
                self._condition.notify_all()
            while any(thread.is_alive() for thread in threads):
                with contextlib.suppress(queue.Empty):
                    self._found.get(timeout=0.05)  # a thread may be waiting for room in the queue

    def _work(self) -> None:
        while (folder := self._next_folder()) is not None:
            below: list[str] = []
            try:
                for found in self._list(folder, below):
                    self._found.put(found)
            except BaseException as exc:  # noqa: BLE001  # raised again in the thread of `run`
                self._found.put(exc)
            with self._condition:
                self._pending += sorted(below, reverse=True)
                self._busy -= 1
                self._condition.notify_all()
        self._found.put(None)

    def _next_folder(self) -> str | None:
        with self._condition:
            while not self._stopped:
                if self._pending:
                    self._busy += 1
                    return self._pending.pop()
                if self._busy == 0:
                    self._condition.notify_all()
                    return None
                self._condition.wait()
            return None


def _list(folders: Folders, folder: str, below: list[str], grouping: Grouping | None) -> Iterator[FoundFiles]:
    """List one folder; append the folders to be walked to ``below``."""
    files: list[SourceFile] = []
    failure: InTouchImportError | None = None
    too_deep = Reason.FOLDER_UNREADABLE if folder.count("/") >= _DEEPEST else None
    source = folders.open(folder)
    try:
        for file in source.scan():
            if file.kind is not EntryKind.FOLDER:
                files.append(file)
                if len(files) >= (_CHUNK if grouping is None else _MOST_TOGETHER):
                    yield from _chunks(folder, source, files, grouping)
                    files = []
                continue
            name = file.name.rstrip("/")
            why = folders.exclusions.of_folder(name) or too_deep
            if why is not None:
                yield FoundFiles(folder, [file], why=why)
            else:
                below.append(f"{folder}/{name}" if folder else name)
    except InTouchImportError as exc:
        failure = exc
    if files:
        yield from _chunks(folder, source, files, grouping)
    if failure is not None:
        raise failure  # after the entries that were listed before it


def _chunks(
    folder: str, source: Source, files: list[SourceFile], grouping: Grouping | None
) -> Iterator[FoundFiles]:
    """Yield entries of a folder, some thousand at a time. Files that belong together are not separated."""
    files, places = grouping.group(source, files) if grouping is not None else (files, {})
    start = 0
    while start < len(files):
        stop = start + _CHUNK
        while stop < len(files) and files[stop].name in places and places[files[stop].name].behind:
            stop += 1
        yield FoundFiles(folder, files[start:stop], source.source_id, places=places)
        start = stop


def _is_lost(folders: Folders) -> bool:
    """Return whether the top folder can't be listed any more: then the whole archive is gone."""
    try:
        next(iter(folders.open("").scan()), None)
    except InTouchImportError:
        return True
    return False


def _unreadable(folder: str) -> FoundFiles:
    parent, _, name = folder.rpartition("/")
    entry = SourceFile(name=name, kind=EntryKind.FOLDER, size_bytes=0, version="")
    return FoundFiles(parent, [entry], why=Reason.FOLDER_UNREADABLE)
