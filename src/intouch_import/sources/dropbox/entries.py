"""What Dropbox says of a file or folder, as values of ours; and how it compares paths."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from intouch_import.errors import ConfigError, NameRefused
from intouch_import.model import EntryKind, SourceFile
from intouch_import.sources.dropbox.faults import Unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["checked_name", "folded", "folder_path", "key_of", "parent_of", "source_file"]

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
