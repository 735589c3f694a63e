"""One file's bytes: the listed version, whole, and compared with the hash that the service keeps.

The service is known to tell a size or a hash of some HEIC and JPEG files that is not that of the bytes which
it then delivers: it rewrites them on their way, and drops the video of a Live Photo. A transfer that went
wrong looks the same, so what does not agree is read once more. If both readings are alike, the file is
*altered*.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import attrs

from intouch_import import disk
from intouch_import.errors import ContentAltered, ContentMismatch, FileChanged, FileVanished
from intouch_import.sources.onedrive.items import DriveFile, Folder, file_of, hashes_of, is_in, item_path
from intouch_import.sources.onedrive.quickxor import QuickXor
from intouch_import.sources.onedrive.refusals import GraphError, is_gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from intouch_import.model import SourceFile
    from intouch_import.sources.onedrive.graph import Graph

__all__ = ["Fetched", "fetch_into", "find_version"]

_ADDRESS: Final = "@microsoft.graph.downloadUrl"


@attrs.frozen(kw_only=True)
class Fetched:
    """What one reading found.

    Args:
        digested: Size and SHA-256.
        agrees: Whether size and hashes are those that the service tells.
        etag: The file's eTag at that moment.
    """

    digested: disk.Digested
    agrees: bool
    etag: str | None


def find_version(graph: Graph, folder: Folder, file: SourceFile) -> tuple[DriveFile, dict[str, Any]]:
    """The listed version of a file, as the service tells it now: one request.

    Raises:
        FileVanished: The file is not there.
        FileChanged: It has other content, another name, or stands in another folder.
        GraphError: It can't be asked.
    """
    return _compared(graph.get(item_path(folder.drive_id, _id_of(file))), folder, file)


def fetch_into(graph: Graph, folder: Folder, file: SourceFile, target: BinaryIO) -> Fetched:
    """Read the listed version into an empty file: two requests, three where the service keeps no hash.

    Returns:
        What was read. If it does not agree with what the service tells, it was read twice, alike.

    Raises:
        FileVanished, FileChanged: As `find_version`.
        ContentMismatch: Two readings differ from what the service tells, and from each other.
        GraphError, TransferFailed: It can't be read.
    """
    first = _read(graph, folder, file, target)
    if first.agrees:
        return first
    second = _read(graph, folder, file, target)
    if second.agrees or second.digested == first.digested:
        return second
    raise ContentMismatch("two downloads of the file differ, and both from its hash", retry_helps=True)


def refuse_altered() -> ContentAltered:
    """What `intouch_import.sources.Source.fetch` raises for an altered file."""
    return ContentAltered("OneDrive delivers other bytes than it says that it holds")


def _read(graph: Graph, folder: Folder, file: SourceFile, target: BinaryIO) -> Fetched:
    def attempt() -> Fetched:
        # With every try a fresh address: an old one may have ended, or lead to bytes that were replaced.
        item = _asked(graph, folder, file)
        there, item = _compared(item, folder, file)
        target.seek(0)
        target.truncate()
        sums = _Sums()
        digested = graph.download(
            str(item[_ADDRESS]), lambda pieces: disk.copy_and_digest(sums.taking(pieces), target)
        )
        hashes = hashes_of(item)
        agrees = digested.size_bytes == there.size_bytes and sums.agree_with(hashes)
        if not hashes:
            # Without a hash, only an unchanged tag says that no other version came in between.
            _compared(_asked(graph, folder, file), folder, file)
        return Fetched(digested=digested, agrees=agrees, etag=there.etag)

    return graph.ask(attempt)


def _asked(graph: Graph, folder: Folder, file: SourceFile) -> dict[str, Any]:
    try:
        return graph.get_once(item_path(folder.drive_id, _id_of(file)))
    except GraphError as exc:
        if is_gone(exc):
            raise FileVanished("the file is no longer there") from None
        raise


def _compared(item: dict[str, Any], folder: Folder, file: SourceFile) -> tuple[DriveFile, dict[str, Any]]:
    there = file_of(item)
    same = there.kind is file.kind and there.name == file.name and there.version == file.version
    if not same or not is_in(item, folder):
        raise FileChanged("the file is no longer the version that was listed")
    if (
        file.vendor_hash is not None
        and there.vendor_hash is not None
        and there.vendor_hash != file.vendor_hash
    ):
        raise FileChanged("the file is no longer the version that was listed")
    return there, item


def _id_of(file: SourceFile) -> str:
    if file.handle is None:
        raise FileVanished("the file was not listed by this location")
    return file.handle


class _Sums:
    """The hashes that the service may tell, computed while the bytes go by."""

    def __init__(self) -> None:
        self._quickxor = QuickXor()
        self._sha1 = hashlib.sha1(usedforsecurity=False)

    def taking(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._quickxor.update(piece)
            self._sha1.update(piece)
            yield piece

    def agree_with(self, told: dict[str, str]) -> bool:
        ours = {"quickxor": self._quickxor.hexdigest(), "sha1": self._sha1.hexdigest()}
        return all(ours[algorithm] == digest for algorithm, digest in told.items())
