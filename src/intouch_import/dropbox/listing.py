"""A folder's listing that is kept up to date: the first time whole, then by what has changed."""

from __future__ import annotations

import threading
import time
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from intouch_import.dropbox.errors import Refused, Unanswered
from intouch_import.errors import ConfigError, NameRefused, SourceUnavailable
from intouch_import.model import EntryKind, SourceFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Listing", "checked_name", "folded", "folder_path", "key_of", "pages", "parent_of", "source_file"]

_MOST_RESETS: Final = 3
_MOST_EMPTY: Final = 1_000
_PAGE: Final = 2_000


def pages(call: Callable[[str, Any], Any], path: str, cursor: str | None) -> Iterator[tuple[list[Any], str]]:
    """The pages of a listing, or what came after a cursor, each with the cursor behind it.

    Empty pages with more behind them are legal, and are passed on. The iteration comes to the end of the
    listing or raises.

    Args:
        call: Calls a route.
        path: The folder.
        cursor: Where to go on; None to begin.

    Raises:
        Unanswered: An answer is no page, or the pages never end.
        Refused: The folder is not there; the cursor has ended (tag ``reset``).
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
                raise Unanswered
        if not has_more:
            return
        empty = 0 if entries else empty + 1
        if empty > _MOST_EMPTY:
            raise Unanswered
        cursor = following


class Listing:
    """What stands in one folder, as of the last `refresh`. Threads wait for each other.

    Args:
        call: Calls a route, with patience.
        relist_after_s: After how long the folder is listed whole again. Cursors lose nothing by what is
            published; but a photo that a lost change hid would be hidden for good.
        monotonic_s: The clock that this is measured by.
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
        self._lock = threading.Lock()
        self._folder: str | None = None
        self._identity = ""
        self._cursor: str | None = None
        self._began_s = 0.0
        self._entries: dict[str, SourceFile] = {}

    @property
    def cursor(self) -> str | None:
        """Where the listing stands; None before the first."""
        return self._cursor

    def refresh(self, folder: str, identity: str) -> list[SourceFile]:
        """Bring it up to date, and give it.

        Args:
            folder: ``path_lower`` of the folder.
            identity: Its id. Another one means that it was deleted and made anew: what was in the old one
                need not be told as deleted.

        Raises:
            Unanswered: It could not be brought up to date; the next call goes on where this one stopped.
            Refused: The folder is not there.
        """
        with self._lock:
            too_old = self._monotonic_s() - self._began_s >= self._relist_after_s
            if too_old or (folder, identity) != (self._folder, self._identity):
                self._begin(folder, identity)
            for _ in range(_MOST_RESETS):
                try:
                    self._go_on(folder)
                except Refused as exc:
                    self._begin(folder, identity)
                    if not exc.says("reset"):
                        raise
                else:
                    return list(self._entries.values())
            raise SourceUnavailable("Dropbox can't list this folder to its end: it changes too fast")

    def forget(self, file: SourceFile) -> None:
        """A file was removed: the change that says so may come late."""
        with self._lock:
            key = key_of({"name": file.name}, self._folder or "")
            if self._entries.get(key) == file:
                del self._entries[key]

    def _begin(self, folder: str, identity: str) -> None:
        self._folder, self._identity, self._cursor, self._entries = folder, identity, None, {}
        self._began_s = self._monotonic_s()

    def _go_on(self, folder: str) -> None:
        for entries, cursor in pages(self._call, folder, self._cursor):
            for entry in entries:
                self._apply(entry, folder)
            # Taken over page by page: what was applied is not asked for again after a failure.
            self._cursor = cursor

    def _apply(self, entry: Any, folder: str) -> None:
        """Take one change, in the order in which Dropbox tells them."""
        if not isinstance(entry, dict):
            raise Unanswered
        key = key_of(entry, folder)
        if entry.get(".tag") == "deleted":
            # A tombstone stands for what was there and for all that was in it.
            self._entries.pop(key, None)
        elif parent_of(key) == folder:
            self._entries[key] = source_file(entry)
        elif key != folder:
            # Left out without a word, a photo would wait for ever.
            raise Unanswered


HASH: Final = "dropbox"
"""Algorithm of ``vendor_hash``: SHA-256 of the concatenated SHA-256 of blocks of 4 MiB."""


def folder_path(path: str) -> str:
    """A folder as the API wants it: ``""`` for the root, else with a slash before it and none behind.

    Raises:
        ConfigError: It can't be one.
    """
    segments = [segment for segment in path.split("/") if segment]
    if any(segment in {".", ".."} or "\\" in segment or not segment.isprintable() for segment in segments):
        raise ConfigError("a Dropbox folder is written /apps/intouch")
    return "".join(f"/{segment}" for segment in segments)


def folded(path: str) -> str:
    """A path as Dropbox compares it, nearly: where ``path_lower`` is known, that counts."""
    return unicodedata.normalize("NFC", path).lower()


def parent_of(path: str) -> str:
    """The folder of a path."""
    return path.rpartition("/")[0]


def checked_name(name: str) -> str:
    """A name that stands for one entry of one folder.

    Dropbox takes names that a disk does not (255 characters, however many bytes they are), and is left to
    refuse what it does not take.

    Raises:
        NameRefused: It would lead elsewhere. It is not repeated in the message.
    """
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise NameRefused("a file name is empty, stands for a folder, or holds a separator")
    return name


def key_of(entry: Mapping[str, Any], folder_key: str) -> str:
    """What an entry of a listing is told by.

    Args:
        entry: As the API gave it. ``path_display`` may be missing, and of it only the last part is spelled
            reliably; ``path_lower`` is missing where nothing is mounted.
        folder_key: ``path_lower`` of the folder that was listed.

    Raises:
        Unanswered: It has no name.
    """
    lower, name = entry.get("path_lower"), entry.get("name")
    if isinstance(lower, str):
        return lower
    if not isinstance(name, str):
        raise Unanswered
    return f"{folder_key}/{folded(name)}"


def source_file(entry: Mapping[str, Any]) -> SourceFile:
    """A file or folder as a list shows it.

    Raises:
        Unanswered: Something is missing that Dropbox always gives.
    """
    name, identity = entry.get("name"), entry.get("id")
    if not isinstance(name, str):
        raise Unanswered
    if entry.get(".tag", "file") != "file":
        return SourceFile(
            name=name, kind=EntryKind.FOLDER, size_bytes=0, version=str(identity or ""), handle=identity
        )
    size, rev = entry.get("size"), entry.get("rev")
    if not isinstance(size, int) or not isinstance(rev, str) or not isinstance(identity, str):
        raise Unanswered
    kind = EntryKind.FILE
    if entry.get("symlink_info") is not None:
        kind = EntryKind.LINK
    elif entry.get("is_downloadable") is False:
        kind = EntryKind.SPECIAL  # Paper and the like: there are no bytes to have
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
    """``2026-01-31T14:25:01Z`` in nanoseconds since 1970."""
    try:
        moment = datetime.strptime(str(stamp), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000
