"""The files of a Dropbox: revisions, folders, tombstones, and a journal of changes for cursors."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
import unicodedata
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Bytes", "Drive", "Entry", "content_hash", "folded", "parent_of"]

_BLOCK_BYTES = 4 * 1024 * 1024


def content_hash(chunks: Iterable[bytes]) -> str:
    """Return Dropbox's content hash: SHA-256 of the concatenated SHA-256 of 4 MiB blocks, in lower-case hex."""
    whole = hashlib.sha256()
    block = hashlib.sha256()
    room = _BLOCK_BYTES
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            part = view[:room]
            block.update(part)
            view = view[len(part) :]
            room -= len(part)
            if room == 0:
                whole.update(block.digest())
                block = hashlib.sha256()
                room = _BLOCK_BYTES
    if room < _BLOCK_BYTES:
        whole.update(block.digest())
    return whole.hexdigest()


def folded(path: str) -> str:
    """Return a path in the form in which Dropbox compares paths, without letter case."""
    return unicodedata.normalize("NFC", path).lower()


def parent_of(path: str) -> str:
    """Return the folder of a path; ``""`` is the root."""
    return path.rpartition("/")[0]


@attrs.frozen
class Bytes:
    """The content of one revision, in parts. Thousands of files can share a part."""

    parts: tuple[bytes, ...]
    size: int = attrs.field(init=False)
    hash: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "size", sum(map(len, self.parts)))
        object.__setattr__(self, "hash", content_hash(self.parts))

    def whole(self) -> bytes:
        """Return the bytes in one piece."""
        return b"".join(self.parts)


@attrs.frozen(kw_only=True)
class Entry:
    """A file, a folder, or a deleted entry.

    Args:
        tag: ``"file"``, ``"folder"`` or ``"deleted"``.
        path: From the root of the whole drive, in its own letter case.
        id: ``"id:…"``, the same for all revisions of a file.
        rev: Of a file.
        content: Of a file; None for a document that can't be downloaded (Paper).
        client_modified, server_modified: Of a file.
        shows_path: Whether answers contain ``path_display`` (Dropbox sometimes leaves it out).
    """

    tag: str
    path: str
    id: str = ""
    rev: str = ""
    content: Bytes | None = None
    client_modified: datetime | None = None
    server_modified: datetime | None = None
    shows_path: bool = True

    @property
    def key(self) -> str:
        """The path in the form for comparison."""
        return folded(self.path)

    def metadata(self, base: str) -> dict[str, Any]:
        """Return the metadata of the API, relative to the folder ``base``."""
        path = self.path[len(base) :]
        said: dict[str, Any] = {
            ".tag": self.tag,
            "name": self.path.rpartition("/")[2],
            "path_lower": folded(path),
            "path_display": path if self.shows_path else None,
        }
        if self.tag == "deleted":
            return said
        said["id"] = self.id
        if self.tag == "file":
            said |= {
                "client_modified": _stamp(self.client_modified),
                "server_modified": _stamp(self.server_modified),
                "rev": self.rev,
                "size": self.content.size if self.content is not None else 0,
                "is_downloadable": self.content is not None,
            }
            if self.content is None:
                said["export_info"] = {"export_as": "markdown"}
            else:
                said["content_hash"] = self.content.hash
        return said


class Drive:
    """All files of one account or team. Paths begin at the root.

    Attributes:
        lock: A condition that is notified of every change.
    """

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self._entries: dict[str, Entry] = {}
        self._children: dict[str, OrderedDict[str, None]] = {"": OrderedDict()}
        self._revisions: dict[str, Entry] = {}
        self._ids: dict[str, str] = {}
        self._journal: list[tuple[str, Entry]] = []
        # Import ids are derived from revisions, so two servers must not use the same ones.
        self._numbers = itertools.count(0x10_0000_0000 + secrets.randbits(32))

    @property
    def position(self) -> int:
        """The number of changes so far."""
        return len(self._journal)

    def find(self, path: str) -> Entry | None:
        """Return the file or folder at a path."""
        return self._entries.get(folded(path))

    def by_id(self, identity: str) -> Entry | None:
        """Return the file or folder with an id, at its current path."""
        key = self._ids.get(identity)
        return None if key is None else self._entries.get(key)

    def by_rev(self, rev: str) -> Entry | None:
        """Return a revision, also if it was replaced."""
        return self._revisions.get(rev)

    def children(self, path: str) -> list[Entry]:
        """Return the entries directly in a folder."""
        return [self._entries[key] for key in self._children.get(folded(path), ())]

    def below(self, path: str) -> Iterator[Entry]:
        """Yield the entries of a folder and of its sub-folders."""
        for entry in self.children(path):
            yield entry
            if entry.tag == "folder":
                yield from self.below(entry.path)

    def changes(self, since: int) -> list[tuple[str, Entry]]:
        """Return the changes after a position: the key, and the entry or its tombstone."""
        return self._journal[since:]

    def write(
        self,
        path: str,
        content: Bytes | None,
        *,
        client_modified: datetime | None = None,
        shows_path: bool = True,
    ) -> Entry:
        """Write a new revision of a file, and make its folders."""
        with self.lock:
            self.make_folder(parent_of(path))
            now = datetime.now(UTC)
            old = self.find(path)
            number = next(self._numbers)
            entry = Entry(
                tag="file",
                path=path if old is None else old.path,
                id=old.id if old is not None else f"id:{number:022x}",
                rev=f"{number:x}00000001{number % 97:02x}",
                content=content,
                client_modified=client_modified or now,
                server_modified=now,
                shows_path=shows_path,
            )
            self._revisions[entry.rev] = entry
            self._place(entry)
            return entry

    def make_folder(self, path: str) -> Entry | None:
        """Make a folder and its parents. Return None for the root, which always exists."""
        with self.lock:
            if path == "":
                return None
            found = self.find(path)
            if found is not None:
                return found
            self.make_folder(parent_of(path))
            entry = Entry(tag="folder", path=path, id=f"id:{next(self._numbers):022x}")
            self._children.setdefault(entry.key, OrderedDict())
            self._place(entry)
            return entry

    def delete(self, entry: Entry) -> None:
        """Delete a file, or a folder with its content. One tombstone is enough for a folder."""
        with self.lock:
            for child in self.children(entry.path) if entry.tag == "folder" else ():
                self._forget(child)
            self._forget(entry)
            self._journal.append((entry.key, Entry(tag="deleted", path=entry.path)))
            self.lock.notify_all()

    def move(self, entry: Entry, path: str) -> Entry:
        """Move a file; its id and revision stay the same."""
        with self.lock:
            self.delete(entry)
            self.make_folder(parent_of(path))
            moved = attrs.evolve(entry, path=path)
            self._place(moved)
            return moved

    def _place(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        self._ids[entry.id] = entry.key
        self._children[parent_of(entry.key)][entry.key] = None
        self._journal.append((entry.key, entry))
        self.lock.notify_all()

    def _forget(self, entry: Entry) -> None:
        for child in self.children(entry.path) if entry.tag == "folder" else ():
            self._forget(child)
        self._entries.pop(entry.key, None)
        self._children.pop(entry.key, None)
        self._children[parent_of(entry.key)].pop(entry.key, None)
        self._ids.pop(entry.id, None)


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
