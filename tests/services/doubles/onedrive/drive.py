"""A drive in memory: items, their tags and hashes, a recycle bin, and the log of changes for delta."""

from __future__ import annotations

import base64
import hashlib
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Drive", "Item", "NameExists", "quick_xor"]

PERSONAL: Final = "personal"


def quick_xor(content: bytes) -> bytes:
    """Return the QuickXorHash: byte number i rotated by 11 i bits of 160, all XORed, and then the length.

    Written after https://learn.microsoft.com/onedrive/developer/code-snippets/quickxorhash.
    """
    # The rotations repeat after 160 bytes, so blocks of this size can be XORed first.
    block = 0
    for start in range(0, len(content), 160):
        block ^= int.from_bytes(content[start : start + 160], "little")
    state = 0
    for byte in reversed(block.to_bytes(160, "little")):
        state = (state << 11 | state >> 149) & (1 << 160) - 1
        state ^= byte
    return (state ^ len(content) << 96).to_bytes(20, "little")


class NameExists(Exception):
    """The folder has an item with this name, perhaps in another letter case."""


@attrs.define(kw_only=True, eq=False)
class Item:
    """A file or folder.

    Args:
        id: Stays the same when the item is renamed or moved.
        name: In its own letter case.
        parent: The folder it is in; None for the root.
        content: The bytes of a file; None for anything else.
        facets: More facets of the item, such as ``package``, ``remoteItem`` or ``malware``.
        told_size: A wrong size to report.
        told_hashes: Wrong hashes to report.
    """

    id: str
    name: str
    parent: Item | None
    content: bytes | None = attrs.field(default=None, repr=False)
    facets: dict[str, Any] = attrs.field(factory=dict)
    told_size: int | None = None
    told_hashes: dict[str, str] | None = None
    guid: str = attrs.field(factory=lambda: str(uuid.uuid4()).upper())
    changes: int = 1
    content_changes: int = 1
    modified: datetime = attrs.field(factory=lambda: datetime.now(UTC))
    deleted: bool = False
    children: dict[str, Item] = attrs.field(factory=dict, repr=False)
    hashes: dict[str, str] = attrs.field(factory=dict, repr=False)

    @property
    def is_folder(self) -> bool:
        """Whether the item can contain others."""
        return self.content is None and not ({"package", "remoteItem"} & self.facets.keys())

    @property
    def size_bytes(self) -> int:
        """The size that is reported."""
        if self.told_size is not None:
            return self.told_size
        return len(self.content) if self.content is not None else 0

    def ancestors(self) -> Iterator[Item]:
        """Yield the folder of the item, its parent, and so on up to the root."""
        folder = self.parent
        while folder is not None:
            yield folder
            folder = folder.parent


class Drive:
    """One drive. Every method holds one lock.

    Args:
        kind: ``"personal"``, ``"business"`` or ``"documentLibrary"``; ids, tags and delta differ.
        owner: Name of the owner; may be empty.
        clock: Returns the aware time.

    Attributes:
        quota_bytes: The free space: a larger upload is refused.
    """

    def __init__(self, kind: str = PERSONAL, *, owner: str = "", clock: Callable[[], datetime]) -> None:
        self.kind = kind
        self.owner = owner
        self._clock = clock
        self.lock = threading.RLock()
        seed = hashlib.sha256(uuid.uuid4().bytes)
        self.id = (
            f"0a{seed.hexdigest()[:14]}"
            if kind == PERSONAL
            else "b!" + _b64(seed.digest() + seed.digest())[:64]
        )
        self._count = 100
        self.items: dict[str, Item] = {}
        self.log: list[Item] = []
        self.log_starts_at = 0
        self.bin: list[Item] = []
        self.permanently_deleted: list[Item] = []
        self.quota_bytes = 5 * 1024**4
        self.root = self._new("root", None)

    # --- what people and other programs do with the files

    def folder(self, path: str) -> Item:
        """Return the folder with a path, and make it if it does not exist."""
        with self.lock:
            folder = self.root
            for name in filter(None, path.split("/")):
                folder = self.child(folder, name) or self.add(folder, name, None)
            return folder

    def child(self, folder: Item, name: str) -> Item | None:
        """Return the item with a name, in any letter case."""
        with self.lock:
            return folder.children.get(_key(name))

    def add(self, folder: Item, name: str, content: bytes | None, /, **facets: Any) -> Item:
        """Add a file, or a folder if there is no content.

        Raises:
            NameExists: The folder has an item with this name.
        """
        with self.lock:
            if _key(name) in folder.children:
                raise NameExists
            item = self._new(name, folder, content, facets)
            folder.children[_key(name)] = item
            self._logged(item)
            return item

    def write(self, folder: Item, name: str, content: bytes) -> Item:
        """Create a file, or replace its content; the id stays the same."""
        with self.lock:
            item = self.child(folder, name)
            if item is None:
                return self.add(folder, name, content)
            self.replace(item, content)
            return item

    def replace(self, item: Item, content: bytes) -> None:
        """Replace the content of a file."""
        with self.lock:
            item.content = content
            item.hashes = {}
            item.content_changes += 1
            self.touch(item)

    def touch(self, item: Item) -> None:
        """Change an item's metadata: its eTag changes, its cTag does not."""
        with self.lock:
            item.changes += 1
            item.modified = self._clock()
            self._logged(item)

    def move(self, item: Item, *, folder: Item | None = None, name: str | None = None) -> None:
        """Rename an item, move it, or both.

        Raises:
            NameExists: The folder has an item with this name.
        """
        with self.lock:
            target, called = folder or item.parent, name or item.name
            if target is None or item.parent is None:
                raise AssertionError("the root stays where it is")
            other = target.children.get(_key(called))
            if other is not None and other is not item:
                raise NameExists
            del item.parent.children[_key(item.name)]
            item.name, item.parent = called, target
            target.children[_key(called)] = item
            self.touch(item)

    def delete(self, item: Item, *, permanently: bool = False) -> None:
        """Delete an item: into the recycle bin, or permanently."""
        with self.lock:
            if item.parent is not None:
                item.parent.children.pop(_key(item.name), None)
            for gone in (item, *_below(item)):
                gone.deleted = True
                self.items.pop(gone.id, None)
                self._logged(gone)
            (self.permanently_deleted if permanently else self.bin).append(item)

    def forget_changes(self) -> None:
        """Make every delta token invalid."""
        with self.lock:
            self.log_starts_at += len(self.log) + 1
            self.log.clear()

    # --- what the protocol reports of an item

    def etag(self, item: Item) -> str:
        """Return the tag that changes with everything about the item."""
        if self.kind == PERSONAL:
            return "a" + _b64(f"{item.id}.{item.changes}".encode())
        return f'"{{{item.guid}}},{item.changes}"'

    def ctag(self, item: Item) -> str:
        """Return the tag that changes with the content."""
        if self.kind == PERSONAL:
            return "a" + _b64(f"c:{item.id}.{item.content_changes + 256}".encode())
        return f'"c:{{{item.guid}}},{item.content_changes}"'

    def hashes(self, item: Item) -> dict[str, str]:
        """Return the hashes that are reported."""
        if item.told_hashes is not None:
            return item.told_hashes
        if item.content is None:
            return {}
        if not item.hashes:
            item.hashes = {"quickXorHash": base64.b64encode(quick_xor(item.content)).decode("ascii")}
            if self.kind == PERSONAL:
                item.hashes["sha1Hash"] = (
                    hashlib.sha1(item.content, usedforsecurity=False).hexdigest().upper()
                )
        return item.hashes

    # --- inside

    def _new(
        self,
        name: str,
        parent: Item | None,
        content: bytes | None = None,
        facets: dict[str, Any] | None = None,
    ) -> Item:
        self._count += 1
        if self.kind == PERSONAL:
            identity = f"{self.id.upper()}!{self._count}"
        else:
            seed = hashlib.sha256(f"{self.id}/{self._count}".encode()).digest()
            identity = "01" + base64.b32encode(seed).decode("ascii")[:32]
        item = Item(
            id=identity,
            name=name,
            parent=parent,
            content=content,
            facets=facets or {},
            modified=self._clock(),
        )
        self.items[identity] = item
        return item

    def _logged(self, item: Item) -> None:
        self.log.append(item)


def _below(item: Item) -> Iterator[Item]:
    for child in item.children.values():
        yield child
        yield from _below(child)


def _key(name: str) -> str:
    # Letter case does not distinguish names; composed and decomposed letters do.
    return name.lower()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
