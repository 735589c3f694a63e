"""Listings of a OneDrive folder that are kept up to date, and the items of Microsoft Graph as our values.

Files that come, go or are renamed while a folder is paged through may be missed or repeated
(https://learn.microsoft.com/graph/api/driveitem-delta). So a delta link is taken *before* the first page, and
after the last page it tells the changes since then. The next refresh uses the same link.

Facts about items are from https://learn.microsoft.com/graph/api/resources/driveitem.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from intouch_import.errors import SourceUnavailable
from intouch_import.forks import PerProcess
from intouch_import.model import EntryKind, SourceFile
from intouch_import.onedrive.errors import GraphError, is_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from intouch_import.onedrive.client import GraphClient

__all__ = [
    "DriveFile",
    "Folder",
    "Listing",
    "can_be_held",
    "hashes_of",
    "is_in",
    "item_path",
    "pages",
    "quoted_tag",
    "same_drive",
    "same_id",
    "source_file",
]

_SELECT: Final = (
    "id,name,size,eTag,cTag,parentReference,lastModifiedDateTime,"
    "file,folder,package,remoteItem,malware,bundle"
)
_PAGE: Final = "1000"
_MAX_PAGES: Final = 10_000
# If more files than this have changed, listing the folder takes fewer requests than asking for each file.
_MAX_SINGLE: Final = 200
# The drive tells no changes, or the delta link has expired.
_NO_DELTA: Final = frozenset({400, 403, 404, 405, 410, 501})
_PERSONAL: Final = "personal"
# https://support.microsoft.com/office/64883a5d-228e-48f5-b3d2-eb39e07630fa
_REFUSED: Final = re.compile(r'[\x00-\x1f"*:<>?/\\|\ud800-\udfff]')
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f]{12,15}")
_LONGEST_NAME: Final = 400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# An item with one of these facets can't be read, is no file, or is somewhere else.
_NO_PLAIN_FILE: Final = ("package", "malware", "bundle")


@attrs.frozen(kw_only=True)
class DriveFile(SourceFile):
    """A `SourceFile` with the eTag, which a removal is pinned to.

    The eTag also changes with the metadata, so it is not the version: a comment must not turn a photo into
    another one.
    """

    etag: str | None = attrs.field(default=None, eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Folder:
    """The folder of a source, as Graph knows it.

    Args:
        drive_id: Id of the drive.
        id: Id of the item.
        kind: ``"personal"``, ``"business"`` or ``"documentLibrary"``.
    """

    drive_id: str
    id: str
    kind: str


def pages(client: GraphClient, address: str) -> Iterator[dict[str, Any]]:
    """Return the items of a listing, page by page.

    Raises:
        GraphError: Graph refused.
        SourceUnavailable: An answer is not a page, or the pages do not end.
    """
    answer = client.get(address, **{"$top": _PAGE, "$select": _SELECT})
    seen = set()
    for _ in range(_MAX_PAGES):
        yield from _values(answer)
        link = answer.get("@odata.nextLink")
        if link is None:
            return
        if link in seen:
            break
        seen.add(link)
        answer = client.get(str(link))
    raise SourceUnavailable("the listing does not come to an end")


class Listing:
    """The files of a folder at the time of the last `refresh`. Thread-safe.

    Args:
        client: The connection to Graph.
        relist_after_s: Age at which the folder is listed from the start again, seconds, in case that changes
            were missed.
        monotonic_s: The clock, seconds.
    """

    def __init__(
        self, client: GraphClient, *, relist_after_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._relist_after_s = relist_after_s
        self._monotonic_s = monotonic_s
        self._states = PerProcess(_State)

    def refresh(self, folder: Folder) -> list[DriveFile]:
        """Update the listing and return it.

        Raises:
            GraphError: The folder can't be listed. What is known is kept for the next attempt.
            SourceUnavailable: An answer makes no sense.
        """
        state = self._states()
        with state.lock:
            if folder != state.folder or not self._apply_changes(state, folder):
                self._list_again(state, folder)
            return list(state.files.values())

    def forget(self, item_id: str) -> None:
        """Take a removed file off the list."""
        state = self._states()
        with state.lock:
            state.files.pop(_key(item_id), None)

    # --- the whole folder

    def _list_again(self, state: _State, folder: Folder) -> None:
        state.folder = None
        delta_link = self._delta_link(folder)
        started_s = self._monotonic_s()
        files: dict[str, DriveFile] = {}
        for item in pages(self._client, f"{item_path(folder.drive_id, folder.id)}/children"):
            if not is_in(item, folder):
                raise SourceUnavailable("the listing has an item that is not in the folder")
            file = source_file(item)
            files[_key(item["id"])] = file
        state.files, state.delta_link, state.listed_at_s = files, delta_link, started_s
        state.folder = folder
        if delta_link is not None and not self._apply_changes(state, folder):
            state.delta_link = None  # too many changes meanwhile, or the link does not work

    def _delta_link(self, folder: Folder) -> str | None:
        """Return a link that later tells the changes since now; None if the drive has none."""
        # Only personal accounts tell the changes of one folder; the others tell those of the whole drive.
        drive = f"{item_path(folder.drive_id)}/root"
        scope = item_path(folder.drive_id, folder.id) if folder.kind == _PERSONAL else drive
        try:
            answer = self._client.get(f"{scope}/delta", token="latest")  # noqa: S106  # no secret
        except GraphError as exc:
            if exc.status in _NO_DELTA:
                return None
            raise
        link = answer.get("@odata.deltaLink")
        return str(link) if link else None

    # --- changes

    def _apply_changes(self, state: _State, folder: Folder) -> bool:
        """Apply the changes since the last refresh; False if the folder must be listed again."""
        if state.delta_link is None or self._monotonic_s() - state.listed_at_s > self._relist_after_s:
            return False
        try:
            changed, delta_link = self._changes(state.delta_link)
        except GraphError as exc:
            # 410: the link has expired, and the whole drive should be read again. One folder is enough.
            if exc.status in _NO_DELTA:
                return False
            raise
        if delta_link is None:
            return False
        news = self._news(state, folder, changed)
        if news is None:
            return False
        for key, file in news.items():
            if file is None:
                state.files.pop(key, None)
            else:
                state.files[key] = file
        state.delta_link = delta_link
        return True

    def _changes(self, link: str) -> tuple[dict[str, dict[str, Any]], str | None]:
        """Return the last change of each item, by id, and the next delta link."""
        changed: dict[str, dict[str, Any]] = {}
        seen = set()
        for _ in range(_MAX_PAGES):
            if link in seen:
                break
            seen.add(link)
            answer = self._client.get(link)
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
        self, state: _State, folder: Folder, changed: dict[str, dict[str, Any]]
    ) -> dict[str, DriveFile | None] | None:
        """Return the changed files of this folder, None for each that left it; None if there are too many."""
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
            known = state.files.get(key)
            if "file" in item and "cTag" not in item:
                # Business accounts leave out the cTag, which says whether the bytes have changed.
                if known is not None and known.etag == item.get("eTag") and known.name == item.get("name"):
                    continue
                asked += 1
                if asked > _MAX_SINGLE:
                    return None
                news[key] = self._file(folder, item_id)
            else:
                news[key] = source_file(item)
        return news

    def _file(self, folder: Folder, item_id: str) -> DriveFile | None:
        try:
            item = self._client.get(item_path(folder.drive_id, item_id), **{"$select": _SELECT})
        except GraphError as exc:
            if is_gone(exc):
                return None
            raise
        return source_file(item) if is_in(item, folder) else None


class _State:
    """What one process knows of the folder."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.folder: Folder | None = None
        self.files: dict[str, DriveFile] = {}
        self.delta_link: str | None = None
        self.listed_at_s = 0.0


def _key(item_id: str) -> str:
    # Personal accounts write the same id in either case, and with or without a leading zero.
    return item_id.lower().lstrip("0") if "!" in item_id else item_id


def _values(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a page. An empty page has an empty list."""
    values = answer.get("value")
    if not isinstance(values, list):
        raise SourceUnavailable("a page of the listing was not understood")
    return values


# --- items


def source_file(item: Mapping[str, Any]) -> DriveFile:
    """Return an item of Graph as a `DriveFile`.

    Raises:
        KeyError, TypeError, ValueError: It does not have the shape of an item.
    """
    kind = _kind(item)
    size = int(item.get("size") or 0) if kind is EntryKind.FILE else 0
    etag, ctag = item.get("eTag"), item.get("cTag")
    vendor_hash = next((f"{algorithm}:{digest}" for algorithm, digest in hashes_of(item).items()), None)
    return DriveFile(
        name=str(item["name"]),
        kind=kind,
        size_bytes=size,
        modified_ns=_nanoseconds(item.get("lastModifiedDateTime")),
        version=str(ctag or etag or "").strip('"'),
        vendor_hash=vendor_hash,
        handle=str(item["id"]),
        etag=None if etag is None else str(etag),
    )


def hashes_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of a file, in lower-case hex: ``quickxor`` and ``sha1``, if the item has them.

    Other hashes are left out: ``sha256Hash`` is not always a SHA-256
    (https://learn.microsoft.com/graph/api/resources/hashes). A hash that is not base64 agrees with no file.
    """
    hashes = (item.get("file") or {}).get("hashes") or {}
    found = {}
    if text := hashes.get("quickXorHash"):
        try:
            found["quickxor"] = base64.b64decode(str(text), validate=True).hex()
        except ValueError:  # `binascii.Error`, or other characters than ASCII
            found["quickxor"] = "?"
    if text := hashes.get("sha1Hash"):
        found["sha1"] = str(text).lower()
    return found


def can_be_held(name: str) -> bool:
    """Whether OneDrive accepts a file of this name and keeps the name as it is.

    It refuses some characters and the names of its temporary files, and it strips blanks.
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

    Ids of personal drives are hexadecimal numbers. The service writes them in either case, and sometimes
    without a leading zero. All other ids are compared exactly.
    """
    if kind != _PERSONAL:
        return one == other
    return _number(one) == _number(other)


def same_id(one: str, other: str, kind: str) -> bool:
    """Whether two item ids are the same; see `same_drive`."""
    if kind != _PERSONAL:
        return bool(one) and one == other
    (drive, mark, number), (other_drive, other_mark, other_number) = one.partition("!"), other.partition("!")
    same = mark == other_mark and number.lower() == other_number.lower()
    return bool(one) and same and _number(drive) == _number(other_drive)


def item_path(drive_id: str, item_id: str | None = None) -> str:
    """Return the address of an item, or of its drive.

    Graph reports ids of personal drives without their leading zeros, and refuses them in addresses. They have
    16 hexadecimal digits (https://github.com/OneDrive/onedrive-api-docs/issues/1890).
    """
    whole = drive_id.zfill(16) if _HEXADECIMAL.fullmatch(drive_id) else drive_id
    drive = f"/drives/{quote(whole, safe='!')}"
    return drive if item_id is None else f"{drive}/items/{quote(item_id, safe='!')}"


def quoted_tag(tag: str) -> str:
    """Return a tag as ``If-Match`` needs it: personal accounts list theirs without quotes."""
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
    # The facet of a file may be empty: ``"file": {}``.
    return EntryKind.FILE if "file" in item else EntryKind.SPECIAL


def _nanoseconds(text: Any) -> int | None:
    if not text:
        return None
    try:
        since = datetime.fromisoformat(str(text)) - _EPOCH
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return None
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
