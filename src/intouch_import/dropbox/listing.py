"""Listings of a Dropbox folder that are kept up to date, and its entries as our values."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from intouch_import.dropbox.errors import NoAnswer, Refused
from intouch_import.errors import ConfigError, NameRefused, SourceUnavailable
from intouch_import.forks import ForkSafeLock
from intouch_import.model import EntryKind, SourceFile, normal_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "HASH",
    "Listing",
    "checked_name",
    "folded",
    "folder_path",
    "key_of",
    "pages",
    "parent_of",
    "source_file",
]

HASH: Final = "dropbox"
"""Algorithm of ``vendor_hash``: SHA-256 of the concatenated SHA-256 of blocks of 4 MiB."""

_MOST_RESETS: Final = 3
_MOST_EMPTY: Final = 1_000
_PAGE: Final = 2_000


def pages(call: Callable[[str, Any], Any], path: str, cursor: str | None) -> Iterator[tuple[list[Any], str]]:
    """Return the pages of a listing, or of the changes after a cursor, each with the cursor after it.

    A page may be empty although more pages follow. The iteration either reaches the end or raises.

    Args:
        call: Calls a route.
        path: The folder.
        cursor: Where to continue; None to start.

    Raises:
        NoAnswer: An answer is not a page, or the pages do not end.
        Refused: The folder does not exist; the cursor has expired (tag ``reset``).
    """
    empty = 0
    while True:
        if cursor is None:
            page = call("files/list_folder", {"path": path, "limit": _PAGE})
        else:
            page = call("files/list_folder/continue", {"cursor": cursor})
        match page:
            case {"entries": list(entries), "cursor": str(following), "has_more": bool(has_more)}:
                yield entries, following
            case _:
                raise NoAnswer
        if not has_more:
            return
        empty = 0 if entries else empty + 1
        if empty > _MOST_EMPTY:
            raise NoAnswer
        cursor = following


class Listing:
    """The entries of one folder at the time of the last `refresh`. Thread-safe.

    Args:
        call: Calls a route, with retries.
        relist_after_s: Age at which the folder is listed from the start again, seconds. Dropbox promises that
            a cursor misses nothing; but a photo that a missed change hides would stay hidden for ever.
        monotonic_s: The clock, seconds.
    """

    def __init__(
        self,
        call: Callable[[str, Any], Any],
        *,
        relist_after_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call = call
        self._relist_after_s = relist_after_s
        self._monotonic_s = monotonic_s
        self._lock = ForkSafeLock()
        self._pid = os.getpid()
        self._folder: str | None = None
        self._identity = ""
        self._cursor: str | None = None
        self._started_s = 0.0
        self._entries: dict[str, SourceFile] = {}

    @property
    def cursor(self) -> str | None:
        """The position in the changes of the folder; None before the first listing."""
        return self._cursor

    def refresh(self, folder: str, identity: str) -> list[SourceFile]:
        """Update the listing and return it.

        Args:
            folder: ``path_lower`` of the folder.
            identity: Id of the folder. Another id means that the folder was deleted and created again:
                Dropbox may not report the deletion of each file in the old one.

        Raises:
            NoAnswer: The listing could not be updated; the next call continues where this one stopped.
            Refused: The folder does not exist.
        """
        with self._lock:
            if self._pid != os.getpid():  # another thread of the parent may have been changing the list
                self._pid, self._folder = os.getpid(), None
            too_old = self._monotonic_s() - self._started_s >= self._relist_after_s
            if too_old or (folder, identity) != (self._folder, self._identity):
                self._start(folder, identity)
            for _ in range(_MOST_RESETS):
                try:
                    self._continue(folder)
                except Refused as exc:
                    self._start(folder, identity)
                    if not exc.says("reset"):
                        raise
                else:
                    return list(self._entries.values())
            raise SourceUnavailable("Dropbox can't finish listing this folder: it changes too fast")

    def forget(self, file: SourceFile) -> None:
        """Take a removed file off the list. Dropbox may report the removal late."""
        with self._lock:
            key = key_of({"name": file.name}, self._folder or "")
            if self._entries.get(key) == file:
                del self._entries[key]

    def _start(self, folder: str, identity: str) -> None:
        self._folder, self._identity, self._cursor, self._entries = folder, identity, None, {}
        self._started_s = self._monotonic_s()

    def _continue(self, folder: str) -> None:
        for entries, cursor in pages(self._call, folder, self._cursor):
            for entry in entries:
                self._apply(entry, folder)
            # Set it after each page, so that a retry does not start over.
            self._cursor = cursor

    def _apply(self, entry: Any, folder: str) -> None:
        """Apply one change. Dropbox reports changes in order."""
        if not isinstance(entry, dict):
            raise NoAnswer
        key = key_of(entry, folder)
        if entry.get(".tag") == "deleted":
            self._entries.pop(key, None)
        elif parent_of(key) == folder:
            self._entries[key] = source_file(entry)
        elif key != folder:
            # If this entry were skipped, a photo could stay hidden for ever.
            raise NoAnswer


# --- paths


def folder_path(path: str) -> str:
    """Return a folder as the API wants it: ``""`` for the root, else ``/apps/intouch``.

    Raises:
        ConfigError: It can't be a folder.
    """
    segments = [segment for segment in path.split("/") if segment]
    if any(segment in {".", ".."} or "\\" in segment or not segment.isprintable() for segment in segments):
        raise ConfigError("write a Dropbox folder as /apps/intouch")
    return "".join(f"/{segment}" for segment in segments)


def folded(path: str) -> str:
    """Return a path as Dropbox compares it, nearly. Prefer ``path_lower`` if it is known."""
    return normal_form("NFC", path).lower()


def parent_of(path: str) -> str:
    """Return the folder of a path."""
    return path.rpartition("/")[0]


def checked_name(name: str) -> str:
    """Return the name of an entry of one folder, checked.

    Dropbox accepts names that a disk does not (255 characters, however many bytes), and refuses by itself
    what it does not accept.

    Raises:
        NameRefused: The name would lead out of the folder. The message does not repeat it.
    """
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise NameRefused("a file name is empty, means a folder, or contains a separator")
    return name


# --- entries


def key_of(entry: Mapping[str, Any], folder_key: str) -> str:
    """Return the key of an entry in a listing.

    Args:
        entry: The entry of the API. It may lack ``path_display``, and only the last part of that has the
            right letter case. It lacks ``path_lower`` if nothing is mounted there.
        folder_key: ``path_lower`` of the listed folder.

    Raises:
        NoAnswer: The entry has no name.
    """
    lower, name = entry.get("path_lower"), entry.get("name")
    if isinstance(lower, str):
        return lower
    if not isinstance(name, str):
        raise NoAnswer
    return f"{folder_key}/{folded(name)}"


def source_file(entry: Mapping[str, Any]) -> SourceFile:
    """Return an entry of the API as a `SourceFile`.

    Raises:
        NoAnswer: A field is missing that Dropbox always sends.
    """
    name, identity = entry.get("name"), entry.get("id")
    if not isinstance(name, str):
        raise NoAnswer
    if entry.get(".tag", "file") != "file":
        return SourceFile(
            name=name, kind=EntryKind.FOLDER, size_bytes=0, version=str(identity or ""), handle=identity
        )
    size, rev = entry.get("size"), entry.get("rev")
    if not isinstance(size, int) or not isinstance(rev, str) or not isinstance(identity, str):
        raise NoAnswer
    kind = EntryKind.FILE
    if entry.get("symlink_info") is not None:
        kind = EntryKind.LINK
    elif entry.get("is_downloadable") is False:
        kind = EntryKind.SPECIAL  # Paper documents and the like have no bytes
    digest = entry.get("content_hash")
    return SourceFile(
        name=name,
        kind=kind,
        size_bytes=size if kind is EntryKind.FILE else 0,
        modified_ns=_nanoseconds(entry.get("client_modified")),
        version=rev,
        vendor_hash=f"{HASH}:{digest}" if isinstance(digest, str) else None,
        handle=identity,
    )


def _nanoseconds(stamp: object) -> int | None:
    """Return ``2026-01-31T14:25:01Z`` in nanoseconds since 1970; None if it is no such time."""
    try:
        moment = datetime.strptime(str(stamp), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000
