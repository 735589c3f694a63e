"""An archive: how it is opened, and how all the folders below its top are walked.

An inbox never looks below its folder; an archive is made of sub-folders. Each of them is a source of its
own, with the promises of any source: its files are read and removed by the version that was listed, and links
are not followed, neither those in a listing nor those that take the place of a folder later.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from intouch_import.errors import ConfigError, InTouchImportError
from intouch_import.model import EntryKind, Reason, SourceFile
from intouch_import.sources.base import Source
from intouch_import.sources.opening import open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Archive", "Folders", "Found", "archive_of", "folder_id", "walk"]

_KEPT = frozenset({"source_id", "provider", "label"})


@attrs.frozen
class Archive:
    """A folder with everything below it. Called, it opens its top folder; it can be pickled.

    Args:
        url: As `open_source` takes it.
        options: Likewise. They may hold secrets: they are not shown, and not kept in a plan.
    """

    url: str = attrs.field(converter=os.fspath, repr=False)
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def __call__(self) -> Source:
        """Open the top folder. Whoever does closes it."""
        return open_source(self.url, **self.options)

    @property
    def kept(self) -> dict[str, Any] | None:
        """What a plan keeps of it, as JSON values; None if it can't be opened again from that alone."""
        if set(self.options) - _KEPT:
            return None
        return {"url": self.url, **{name: str(value) for name, value in self.options.items()}}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any]) -> Archive:
        """The archive of a plan that kept it: the inverse of `kept`."""
        return cls(kept["url"], {name: value for name, value in kept.items() if name != "url"})


def archive_of(source: str | os.PathLike[str] | Source | Callable[[], Source]) -> Callable[[], Source]:
    """What opens an archive, of whatever was given.

    Raises:
        ConfigError: A source that was not opened by `open_source`.
    """
    if isinstance(source, Source):
        if source.opened_with is None:
            raise ConfigError("give the archive as a path, a URL, or a source opened by open_source")
        url, options = source.opened_with
        return Archive(url, {**options, "source_id": source.source_id})
    if callable(source):
        return source
    text = os.fspath(source)
    # Absolute, so that the plan finds it from wherever it is run.
    return Archive(text if "://" in text else os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111


_OPEN_FOLDERS: Final = 64
_CHUNK: Final = 1000
_DEEPEST: Final = 512
_DOUBT_AFTER: Final = 20
# Folders in which systems keep copies, thumbnails and what was deleted.
_SYSTEM_FOLDERS: Final = frozenset(
    {
        "@eadir", "#recycle", "$recycle.bin", "system volume information", "__macosx", "lost+found",
        "recycler", "network trash folder", "temporary items",
    }
)  # fmt: skip


class Found(NamedTuple):
    """Some entries of one folder.

    Args:
        folder: Names of folders from the top of the archive, joined by slashes; empty for the top.
        files: Entries; folders that are walked are not among them.
        why: Where an entry is a folder that is not walked: why not.
    """

    folder: str
    files: list[SourceFile]
    why: Reason | None = None


def folder_id(root_id: str, folder: str) -> str:
    """The source id of a folder of an archive: the same on every machine that gives the archive the same id.

    Never that of a source which an inbox may have opened on the folder: a copy that leaves the archive as it
        is
    must not look to that inbox like a move that was interrupted.
    """
    digest = hashlib.sha256(folder.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{root_id}/{digest}"


class Folders:
    """The folders of an archive as sources, opened when they are needed, some dozens at a time.

    Args:
        root: The archive's top folder; closed by whoever opened it.
    """

    def __init__(self, root: Source) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Source] = OrderedDict()

    def open(self, folder: str) -> Source:
        """The source on a folder.

        Raises:
            SourceError: It is not there, or is no folder any more.
            NameRefused: It can't be opened by that name.
        """
        with self._lock:
            source = self._open.get(folder)
            if source is not None:
                self._open.move_to_end(folder)
                return source
        parts = folder.split("/") if folder else []
        source = self.root.below(*parts, source_id=folder_id(self.root.source_id, folder))
        with self._lock:
            # Those that fall out are not closed here: another thread may be reading from them. A local folder
            # holds nothing open between two calls; others share the connections of the root.
            self._open[folder] = source
            while len(self._open) > _OPEN_FOLDERS:
                self._open.popitem(last=False)
        return source

    def close(self) -> None:
        """Let go of the folders; the root stays open."""
        with self._lock:
            opened, self._open = list(self._open.values()), OrderedDict()
        for source in opened:
            with contextlib.suppress(InTouchImportError):
                source.close()


def walk(folders: Folders) -> Iterator[Found]:
    """Everything in an archive, some entries at a time, folder by folder.

    Where listing waits for a network, several folders are listed at a time. Memory holds the names of folders
    that are still to be listed, and some thousand entries.

    Raises:
        SourceError: The top folder can't be listed, before or after many below it could not be.
    """
    threads = min(folders.root.concurrency, 16)
    if threads > 2:  # noqa: PLR2004  # more than a local disk has: it waits for a network
        yield from _Listing(folders, threads).run()
        return
    failures = 0
    pending = [""]
    while pending:
        folder = pending.pop()
        below: list[str] = []
        try:
            yield from _list(folders, folder, below)
            failures = 0
        except InTouchImportError:
            failures += 1
            if not folder or (failures % _DOUBT_AFTER == 0 and _is_lost(folders)):
                raise
            yield _unreadable(folder)
        pending += sorted(below, reverse=True)


class _Listing:
    """Folders listed by several threads, handed over to one."""

    def __init__(self, folders: Folders, threads: int) -> None:
        self._folders = folders
        self._threads = threads
        self._found: queue.Queue[Found | BaseException | None] = queue.Queue(maxsize=4 * threads)
        self._condition = threading.Condition()
        self._pending = [""]
        self._busy = 0
        self._failures = 0
        self._stopped = False

    def run(self) -> Iterator[Found]:
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
                    self._found.get(timeout=0.05)  # a thread may wait for room

    def _work(self) -> None:
        while (folder := self._take()) is not None:
            below: list[str] = []
            try:
                for found in _list(self._folders, folder, below):
                    self._found.put(found)
                self._failures = 0
            except InTouchImportError as exc:
                self._failures += 1
                lost = self._failures % _DOUBT_AFTER == 0 and _is_lost(self._folders)
                last = not folder or lost
                self._found.put(exc if last else _unreadable(folder))
            except BaseException as exc:  # noqa: BLE001  # the thread that takes it raises it
                self._found.put(exc)
            with self._condition:
                self._pending += sorted(below, reverse=True)
                self._busy -= 1
                self._condition.notify_all()
        self._found.put(None)

    def _take(self) -> str | None:
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


def _list(folders: Folders, folder: str, below: list[str]) -> Iterator[Found]:
    """The entries of one folder; folders to be walked are appended to ``below``."""
    files: list[SourceFile] = []
    failure: InTouchImportError | None = None
    entries = folders.open(folder).scan()
    while True:
        try:
            file = next(entries, None)
        except InTouchImportError as exc:
            failure, file = exc, None
        if file is None:
            break
        if file.kind is not EntryKind.FOLDER:
            files.append(file)
            if len(files) >= _CHUNK:
                yield Found(folder, files)
                files = []
            continue
        name = file.name.rstrip("/")
        if (why := _not_walked(name, folder)) is not None:
            yield Found(folder, [file], why)
        else:
            below.append(f"{folder}/{name}" if folder else name)
    if files:
        yield Found(folder, files)
    if failure is not None:
        raise failure  # what was listed before it is there all the same


def _is_lost(folders: Folders) -> bool:
    """Whether the whole archive is gone, after so many folders in a row that could not be listed."""
    try:
        next(iter(folders.open("").scan()), None)
    except InTouchImportError:
        return True
    return False


def _not_walked(name: str, folder: str) -> Reason | None:
    if name.startswith("."):
        return Reason.HIDDEN
    if name.lower() in _SYSTEM_FOLDERS:
        return Reason.SYSTEM_FILE
    return Reason.FOLDER_UNREADABLE if folder.count("/") >= _DEEPEST else None


def _unreadable(folder: str) -> Found:
    parent, _, name = folder.rpartition("/")
    entry = SourceFile(name=name, kind=EntryKind.FOLDER, size_bytes=0, version="")
    return Found(parent, [entry], Reason.FOLDER_UNREADABLE)
