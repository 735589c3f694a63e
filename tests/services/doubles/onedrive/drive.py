"""A drive in memory: items, their tags and hashes, a recycle bin, and the log that delta reads."""

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
    """QuickXorHash: byte number i, turned left by 11 i bits within 160, all XORed, and the length on top.

    Written after https://learn.microsoft.com/onedrive/developer/code-snippets/quickxorhash.
    """
    # After 160 bytes the turns repeat: such blocks are XORed first.
    block = 0
    for start in range(0, len(content), 160):
        block ^= int.from_bytes(content[start : start + 160], "little")
    state = 0
    for byte in reversed(block.to_bytes(160, "little")):
        state = (state << 11 | state >> 149) & (1 << 160) - 1
        state ^= byte
    return (state ^ len(content) << 96).to_bytes(20, "little")


class NameExists(Exception):
    """The folder has an item of that name, in whatever case."""


@attrs.define(kw_only=True, eq=False)
class Item:
    """A file or folder, as the drive keeps it.

    Args:
        id: Stable; survives renames and moves.
        name: As somebody spelled it.
        parent: The folder it is in; None for the root.
        content: The bytes of a file; None for anything else.
        facets: More facets of the item, such as ``package``, ``remoteItem`` or ``malware``.
        told_size: The size that is reported, if it is not that of the content.
        told_hashes: The hashes that are reported, if they are not those of the content.
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
        """Whether items can be in it."""
        return self.content is None and not ({"package", "remoteItem"} & self.facets.keys())

    @property
    def size_bytes(self) -> int:
        """As reported."""
        if self.told_size is not None:
            return self.told_size
        return len(self.content) if self.content is not None else 0

    def ancestors(self) -> Iterator[Item]:
        """The folder it is in, and so on up to the root."""
        folder = self.parent
        while folder is not None:
            yield folder
            folder = folder.parent


class Drive:
    """One drive. Everything is done under one lock, so that what is seen is always whole.

    Args:
        kind: ``"personal"``, ``"business"`` or ``"documentLibrary"``: ids, tags and what delta tells differ.
        owner: Whose it is; may be empty.
        clock: Gives the time, aware.

    Attributes:
        quota_bytes: What is left of its room: an upload that is larger is refused.
    """

    def __init__(self, kind: str = PERSONAL, *, owner: str = "", clock: Callable[[], datetime]) -> None:
        self.kind = kind
        self.owner = owner
        self._clock = clock
        self.lock = threading.RLock()
        seed = hashlib.sha256(uuid.uuid4().bytes)
        self.id = (
            seed.hexdigest()[:16] if kind == PERSONAL else "b!" + _b64(seed.digest() + seed.digest())[:64]
        )
        self._count = 100
        self.items: dict[str, Item] = {}
        self.log: list[Item] = []
        self.log_starts_at = 0
        self.bin: list[Item] = []
        self.permanently_deleted: list[Item] = []
        self.quota_bytes = 5 * 1024**4
        self.root = self._new("root", None)

    # --- what people and other programs do

    def folder(self, path: str) -> Item:
        """The folder under a path, made if need be."""
        with self.lock:
            folder = self.root
            for name in filter(None, path.split("/")):
                folder = self.child(folder, name) or self.add(folder, name, None)
            return folder

    def child(self, folder: Item, name: str) -> Item | None:
        """The item of that name, in whatever case."""
        with self.lock:
            return folder.children.get(_key(name))

    def add(self, folder: Item, name: str, content: bytes | None, /, **facets: Any) -> Item:
        """A new file, or a folder if there is no content.

        Raises:
            NameExists: An item of that name is there.
        """
        with self.lock:
            if _key(name) in folder.children:
                raise NameExists
            item = self._new(name, folder, content, facets)
            folder.children[_key(name)] = item
            self._logged(item)
            return item

    def write(self, folder: Item, name: str, content: bytes) -> Item:
        """Create a file, or give it new content: the id stays."""
        with self.lock:
            item = self.child(folder, name)
            if item is None:
                return self.add(folder, name, content)
            self.replace(item, content)
            return item

    def replace(self, item: Item, content: bytes) -> None:
        """Give a file new content."""
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
        """Give an item another name, another folder, or both.

        Raises:
            NameExists: An item of that name is there.
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
        """Take an item out of its folder, into the recycle bin unless it is deleted for good."""
        with self.lock:
            if item.parent is not None:
                item.parent.children.pop(_key(item.name), None)
            for gone in (item, *_below(item)):
                gone.deleted = True
                self.items.pop(gone.id, None)
                self._logged(gone)
            (self.permanently_deleted if permanently else self.bin).append(item)

    def forget_changes(self) -> None:
        """Make every delta token given out so far useless."""
        with self.lock:
            self.log_starts_at += len(self.log) + 1
            self.log.clear()

    # --- what the protocol says of an item

    def etag(self, item: Item) -> str:
        """Changes with anything about the item."""
        if self.kind == PERSONAL:
            return "a" + _b64(f"{item.id}.{item.changes}".encode())
        return f'"{{{item.guid}}},{item.changes}"'

    def ctag(self, item: Item) -> str:
        """Changes with its content."""
        if self.kind == PERSONAL:
            return "a" + _b64(f"c:{item.id}.{item.content_changes + 256}".encode())
        return f'"c:{{{item.guid}}},{item.content_changes}"'

    def hashes(self, item: Item) -> dict[str, str]:
        """The hashes of a file, as reported."""
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
    # Names differ by case no more than on Windows; composed and decomposed letters stay apart.
    return name.lower()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
