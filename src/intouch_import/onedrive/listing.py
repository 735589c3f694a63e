"""What is in the folder: listed whole once, then kept up to date by what Graph says has changed.

Paging through a folder promises nothing about files that come, go or are renamed meanwhile
(https://learn.microsoft.com/graph/api/driveitem-delta). So a mark is taken *before* the first page, and what
changed since then is asked for after the last one; the same mark then serves the next refresh.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from intouch_import.errors import SourceUnavailable
from intouch_import.model import EntryKind, SourceFile
from intouch_import.onedrive.client import PerProcess
from intouch_import.onedrive.errors import GraphError, is_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from intouch_import.onedrive.client import Graph

__all__ = [
    "DriveFile",
    "Folder",
    "Listing",
    "can_be_held",
    "file_of",
    "hashes_of",
    "is_in",
    "item_path",
    "quoted_tag",
    "same_drive",
    "same_id",
]

SELECT: Final = ",".join(
    (
        *("id", "name", "size", "eTag", "cTag", "parentReference", "lastModifiedDateTime"),
        *("file", "folder", "package", "remoteItem", "malware", "bundle"),
    )
)
_PAGE: Final = "1000"
_MAX_PAGES: Final = 10_000
# Above so many changed files it is cheaper to list the folder than to ask for each.
_MAX_SINGLE: Final = 200


class Listing:
    """The files of a folder, by their ids. Used by one thread at a time; others wait.

    Args:
        graph: Whom to ask.
        relist_after_s: After how long everything is listed anew, seconds, should changes have been missed.
        monotonic_s: The clock that this is measured by.
    """

    def __init__(
        self, graph: Graph, *, relist_after_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._graph = graph
        self._relist_after_s = relist_after_s
        self._monotonic_s = monotonic_s
        self._shelves: PerProcess[_Shelf] = PerProcess(_Shelf)

    def refresh(self, folder: Folder) -> list[DriveFile]:
        """What is in the folder now.

        Raises:
            GraphError: It can't be listed. What was known is kept for the next attempt.
            SourceUnavailable: An answer makes no sense.
        """
        shelf = self._shelves()
        with shelf.lock:
            if folder != shelf.folder or not self._apply_changes(shelf, folder):
                self._list_anew(shelf, folder)
            return list(shelf.files.values())

    def forget(self, item_id: str) -> None:
        """Take a file off the list: it was removed."""
        shelf = self._shelves()
        with shelf.lock:
            shelf.files.pop(_key(item_id), None)

    # --- everything

    def _list_anew(self, shelf: _Shelf, folder: Folder) -> None:
        shelf.folder = None
        mark = self._mark(folder)
        began_s = self._monotonic_s()
        files: dict[str, DriveFile] = {}
        for item in self._pages(f"{item_path(folder.drive_id, folder.id)}/children", SELECT):
            if not is_in(item, folder):
                raise SourceUnavailable("the listing holds what is not in the folder")
            file = file_of(item)
            files[_key(item["id"])] = file
        shelf.files, shelf.mark, shelf.listed_at_s = files, mark, began_s
        shelf.folder = folder
        if mark is not None and not self._apply_changes(shelf, folder):
            # Too much has happened meanwhile, or the mark is worth nothing after all.
            shelf.mark = None

    def _mark(self, folder: Folder) -> str | None:
        """A link that later tells what has changed since now; None where the drive offers none."""
        # Only personal accounts tell the changes of one folder; elsewhere it is all of the drive's.
        whole = f"{item_path(folder.drive_id)}/root"
        scope = item_path(folder.drive_id, folder.id) if folder.kind == PERSONAL else whole
        try:
            answer = self._graph.get(f"{scope}/delta", token="latest")  # noqa: S106  # no secret
        except GraphError as exc:
            if exc.status in _NO_DELTA:
                return None
            raise
        mark = answer.get("@odata.deltaLink")
        return str(mark) if mark else None

    def _pages(self, address: str, select: str) -> Iterator[dict[str, Any]]:
        answer = self._graph.get(address, **{"$top": _PAGE, "$select": select})
        seen = set()
        for _ in range(_MAX_PAGES):
            yield from _values(answer)
            link = answer.get("@odata.nextLink")
            if link is None:
                return
            if link in seen:
                break
            seen.add(link)
            answer = self._graph.get(str(link))
        raise SourceUnavailable("the listing does not come to an end")

    # --- changes

    def _apply_changes(self, shelf: _Shelf, folder: Folder) -> bool:
        """Bring the list up to date by what has changed; False if it has to be listed anew."""
        if shelf.mark is None or self._monotonic_s() - shelf.listed_at_s > self._relist_after_s:
            return False
        try:
            changed, mark = self._changes(shelf.mark)
        except GraphError as exc:
            # 410: the mark is too old, and everything is to be read again; listing one folder does that.
            if exc.status in _NO_DELTA:
                return False
            raise
        if mark is None:
            return False
        known = self._news(shelf, folder, changed)
        if known is None:
            return False
        for item_id, file in known.items():
            if file is None:
                shelf.files.pop(item_id, None)
            else:
                shelf.files[item_id] = file
        shelf.mark = mark
        return True

    def _changes(self, link: str) -> tuple[dict[str, dict[str, Any]], str | None]:
        """Changed items by id, the last word on each, and the next mark."""
        changed: dict[str, dict[str, Any]] = {}
        seen = set()
        for _ in range(_MAX_PAGES):
            if link in seen:
                break
            seen.add(link)
            answer = self._graph.get(link)
            for item in _values(answer):
                changed.pop(_key(item["id"]), None)
                changed[_key(item["id"])] = item
            if "@odata.deltaLink" in answer:
                return changed, str(answer["@odata.deltaLink"])
            if "@odata.nextLink" not in answer:
                break
            link = str(answer["@odata.nextLink"])
        return changed, None

    def _news(
        self, shelf: _Shelf, folder: Folder, changed: dict[str, dict[str, Any]]
    ) -> dict[str, DriveFile | None] | None:
        """What became of files of this folder: None for one that left it; None in all if it is too much."""
        news: dict[str, DriveFile | None] = {}
        asked = 0
        for item in changed.values():
            item_id = str(item["id"])
            if same_id(item_id, folder.id, folder.kind):
                continue
            key = _key(item_id)
            if "deleted" in item or not is_in(item, folder):
                news[key] = None
                continue
            known = shelf.files.get(key)
            if "file" in item and "cTag" not in item:
                # Business accounts leave out of a change the very tag that says whether the bytes changed.
                if known is not None and known.etag == item.get("eTag") and known.name == item.get("name"):
                    continue
                asked += 1
                if asked > _MAX_SINGLE:
                    return None
                whole = self._asked(folder, item_id)
                news[key] = None if whole is None else file_of(whole)
            else:
                news[key] = file_of(item)
        return news

    def _asked(self, folder: Folder, item_id: str) -> dict[str, Any] | None:
        try:
            item = self._graph.get(item_path(folder.drive_id, item_id), **{"$select": SELECT})
        except GraphError as exc:
            if is_gone(exc):
                return None
            raise
        return item if is_in(item, folder) else None


class _Shelf:
    """What one process knows of the folder."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.folder: Folder | None = None
        self.files: dict[str, DriveFile] = {}
        self.mark: str | None = None
        self.listed_at_s = 0.0


# Refusals that mean: no changes are told here, or not since then.
_NO_DELTA: Final = frozenset({400, 403, 404, 405, 410, 501})


def _key(item_id: str) -> str:
    # Ids of personal accounts come in either case, and with or without a leading zero.
    return item_id.lower().lstrip("0") if "!" in item_id else item_id


def _values(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a page. A page without any says so by an empty list, not by saying nothing."""
    values = answer["value"]
    if not isinstance(values, list):
        raise SourceUnavailable("a page of the listing is not one")
    return values


PERSONAL: Final = "personal"
# https://support.microsoft.com/office/64883a5d-228e-48f5-b3d2-eb39e07630fa
_REFUSED: Final = re.compile(r'[\x00-\x1f"*:<>?/\\|\ud800-\udfff]')
_LONGEST_NAME: Final = 400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A photo that is one of these can't be read, is none, or stands elsewhere.
_NO_PLAIN_FILE: Final = ("package", "malware", "bundle")


@attrs.frozen(kw_only=True)
class DriveFile(SourceFile):
    """A `SourceFile` that remembers its eTag, which a removal is pinned to.

    The eTag changes with the metadata too, and so is no part of the version: a comment that somebody
    adds must not turn a photo into another one.
    """

    etag: str | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Folder:
    """The folder of a source, found.

    Args:
        drive_id: Which drive.
        id: Which item of it.
        kind: ``"personal"``, ``"business"`` or ``"documentLibrary"``.
    """

    drive_id: str
    id: str
    kind: str


def file_of(item: Mapping[str, Any]) -> DriveFile:
    """An entry of a listing.

    Raises:
        KeyError, TypeError, ValueError: It is not what Graph says that items are.
    """
    kind = _kind(item)
    size = int(item.get("size") or 0) if kind is EntryKind.FILE else 0
    etag, ctag = item.get("eTag"), item.get("cTag")
    return DriveFile(
        name=str(item["name"]),
        kind=kind,
        size_bytes=size,
        modified_ns=_modified_ns(item.get("lastModifiedDateTime")),
        version=str(ctag or etag or "").strip('"'),
        vendor_hash=_vendor_hash(item),
        handle=str(item["id"]),
        etag=None if etag is None else str(etag),
    )


def hashes_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Hashes that the service keeps of a file, in lower-case hex; ``quickxor`` and ``sha1`` where given.

    Others that it may tell are left out: what it calls ``sha256Hash`` is not always one
    (https://learn.microsoft.com/graph/api/resources/hashes).
    """
    told = (item.get("file") or {}).get("hashes") or {}
    found = {}
    if text := told.get("quickXorHash"):
        with_padding = str(text)
        try:
            found["quickxor"] = base64.b64decode(with_padding, validate=True).hex()
        except binascii.Error as exc:
            raise ValueError("a hash is not base64") from exc
    if text := told.get("sha1Hash"):
        found["sha1"] = str(text).lower()
    return found


def can_be_held(name: str) -> bool:
    """Whether OneDrive takes a file of this name, and keeps it as it is written.

    It refuses some characters and the names of its own temporary files, and drops blanks at either end.
    """
    if _REFUSED.search(name) or name != name.strip() or name.startswith("~$"):
        return False
    return 0 < len(name) <= _LONGEST_NAME


def is_in(item: Mapping[str, Any], folder: Folder) -> bool:
    """Whether an item is directly in a folder."""
    reference = item.get("parentReference") or {}
    drive = reference.get("driveId")
    inside = same_id(str(reference.get("id") or ""), folder.id, folder.kind)
    return inside and (drive is None or same_drive(str(drive), folder.drive_id, folder.kind))


def same_drive(one: str, other: str, kind: str) -> bool:
    """Whether two drive ids are the same.

    Those of personal accounts are hexadecimal numbers, which the service writes in either case and at times
    without a leading zero. Everything else is compared to the letter.
    """
    if kind != PERSONAL:
        return one == other
    return _number(one) == _number(other)


def same_id(one: str, other: str, kind: str) -> bool:
    """Whether two item ids are the same; see `same_drive`."""
    if kind != PERSONAL:
        return bool(one) and one == other
    (drive, mark, number), (other_drive, other_mark, other_number) = one.partition("!"), other.partition("!")
    same = mark == other_mark and number.lower() == other_number.lower()
    return bool(one) and same and _number(drive) == _number(other_drive)


def item_path(drive_id: str, item_id: str | None = None) -> str:
    """The address of an item, or of its drive."""
    drive = f"/drives/{quote(drive_id, safe='!')}"
    return drive if item_id is None else f"{drive}/items/{quote(item_id, safe='!')}"


def quoted_tag(tag: str) -> str:
    """A tag as ``If-Match`` wants it: personal accounts list theirs without quotes."""
    return tag if tag.startswith('"') else f'"{tag}"'


def _number(text: str) -> str:
    return text.lower().lstrip("0")


def _kind(item: Mapping[str, Any]) -> EntryKind:
    if "remoteItem" in item:
        return EntryKind.LINK
    if any(facet in item for facet in _NO_PLAIN_FILE):
        return EntryKind.SPECIAL
    if "folder" in item:
        return EntryKind.FOLDER
    # A file may say no more of itself than ``"file": {}``.
    return EntryKind.FILE if "file" in item else EntryKind.SPECIAL


def _vendor_hash(item: Mapping[str, Any]) -> str | None:
    for algorithm, digest in hashes_of(item).items():
        return f"{algorithm}:{digest}"
    return None


def _modified_ns(text: Any) -> int | None:
    if not text:
        return None
    since = datetime.fromisoformat(str(text)) - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
