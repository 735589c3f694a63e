"""What Microsoft Graph says of an item, as this library's values. No I/O.

Facts are from https://learn.microsoft.com/graph/api/resources/driveitem.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from intouch_import.model import EntryKind, SourceFile

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DriveFile",
    "Folder",
    "can_be_held",
    "file_of",
    "hashes_of",
    "is_in",
    "item_path",
    "quoted_tag",
    "same_drive",
    "same_id",
]

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
