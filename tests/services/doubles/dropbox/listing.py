"""Listing: pages, cursors, changes, and long polls."""

from __future__ import annotations

import secrets
import time
from typing import Any

import attrs

from services.doubles.dropbox.core import Routes, View
from services.doubles.dropbox.drive import Entry, folded, parent_of
from services.doubles.dropbox.errors import BadInput, Refused

__all__ = ["Listing"]

_MOST_ENTRIES = 2000
_SHORTEST_POLL_S, _LONGEST_POLL_S = 30, 480


@attrs.frozen(kw_only=True)
class _Cursor:
    """A position in a listing. A cursor never changes: used again, it gives the same page."""

    view: View
    folder: str
    recursive: bool
    include_deleted: bool
    limit: int
    listed: tuple[Entry, ...]
    index: int
    position: int


class Listing(Routes):
    """The routes that list.

    Attributes:
        page_entries: The most entries of a page, whatever the request asks for.
        longest_poll_s: The longest time of a long poll, seconds.
    """

    page_entries = _MOST_ENTRIES
    longest_poll_s = 480.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursors: dict[str, _Cursor] = {}

    def list_folder(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        path = arg.get("path", "")
        with self.drive.lock:
            cursor = self._begin(view, path, arg)
            return self._page(cursor)

    def latest_cursor(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        with self.drive.lock:
            cursor = self._begin(view, arg.get("path", ""), arg)
            return {"cursor": self._keep(attrs.evolve(cursor, listed=(), index=0))}

    def list_folder_continue(self, view: View, arg: dict[str, Any]) -> dict[str, Any]:
        with self.drive.lock:
            cursor = self._cursors.get(str(arg.get("cursor")))
            if cursor is None:
                raise Refused({".tag": "reset"})
            if cursor.view != view:
                raise BadInput("cursor: was made for another root or by another app")
            if cursor.folder != folded(view.base) and self.drive.find(cursor.folder) is None:
                raise Refused({".tag": "path", "path": {".tag": "not_found"}})
            return self._page(cursor)

    def longpoll(self, arg: dict[str, Any]) -> dict[str, Any]:
        timeout_s = arg.get("timeout", 30)
        if not isinstance(timeout_s, int) or not _SHORTEST_POLL_S <= timeout_s <= _LONGEST_POLL_S:
            raise BadInput("timeout: must be between 30 and 480")
        with self.drive.lock:
            cursor = self._cursors.get(str(arg.get("cursor")))
            if cursor is None:
                raise Refused({".tag": "reset"})
            ends_s = time.monotonic() + min(timeout_s, self.longest_poll_s)
            while not (changed := self._has_more(cursor)) and not self.closing.is_set():
                left_s = ends_s - time.monotonic()
                if left_s <= 0:
                    break
                self.drive.lock.wait(min(left_s, 0.1))
            return {"changes": changed}

    def end_cursors(self) -> None:
        """Make every cursor invalid: the next call that uses one is answered with ``reset``."""
        with self.drive.lock:
            self._cursors.clear()

    def _begin(self, view: View, path: str, arg: dict[str, Any]) -> _Cursor:
        folder = self.absolute(view, path)
        if path.startswith("id:"):
            found = self.drive.by_id(path)
            folder = found.path if found is not None else "/\0nowhere"
        if folder != view.base:
            found = self.drive.find(folder)
            if found is None:
                raise Refused({".tag": "path", "path": {".tag": "not_found"}})
            if found.tag != "folder":
                raise Refused({".tag": "path", "path": {".tag": "not_folder"}})
            folder = found.path
        limit = arg.get("limit") or _MOST_ENTRIES
        if not 1 <= limit <= _MOST_ENTRIES:
            raise BadInput(f"limit: must be between 1 and {_MOST_ENTRIES}")
        recursive = bool(arg.get("recursive"))
        return _Cursor(
            view=view,
            folder=folded(folder),
            recursive=recursive,
            include_deleted=bool(arg.get("include_deleted")),
            limit=limit,
            listed=tuple(self.drive.below(folder) if recursive else self.drive.children(folder)),
            index=0,
            position=self.drive.position,
        )

    def _page(self, cursor: _Cursor) -> dict[str, Any]:
        fault = self.faults.strike("files/list_folder page")
        if fault is not None:
            return {"entries": [], "cursor": self._keep(cursor), "has_more": True}
        if cursor.index < len(cursor.listed):
            upto = cursor.index + min(cursor.limit, self.page_entries)
            entries = cursor.listed[cursor.index : upto]
            after = attrs.evolve(cursor, index=min(upto, len(cursor.listed)))
        else:
            changes = self.drive.changes(cursor.position)[: cursor.limit]
            # Each path is listed once, with its last state.
            last = {key: entry for key, entry in changes if self._concerns(cursor, key)}
            entries = tuple(last.values())
            after = attrs.evolve(cursor, position=cursor.position + len(changes))
        return {
            "entries": [entry.metadata(cursor.view.base) for entry in entries],
            "cursor": self._keep(after),
            "has_more": self._has_more(after),
        }

    def _has_more(self, cursor: _Cursor) -> bool:
        if cursor.index < len(cursor.listed):
            return True
        return any(self._concerns(cursor, key) for key, _ in self.drive.changes(cursor.position))

    @staticmethod
    def _concerns(cursor: _Cursor, key: str) -> bool:
        if cursor.recursive:
            return key.startswith(f"{cursor.folder}/")
        return parent_of(key) == cursor.folder and key != ""

    def _keep(self, cursor: _Cursor) -> str:
        token = f"AA{secrets.token_urlsafe(60)}"
        self._cursors[token] = cursor
        return token
