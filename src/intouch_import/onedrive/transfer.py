"""The bytes of one file: fetched and verified, or written whole."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from intouch_import import disk
from intouch_import.errors import (
    ContentAltered,
    ContentMismatch,
    FileChanged,
    FileVanished,
    NameRefused,
    NameTaken,
    SourceUnavailable,
)
from intouch_import.onedrive.errors import GraphError, is_gone
from intouch_import.onedrive.listing import (
    DriveFile,
    Folder,
    file_of,
    hashes_of,
    is_in,
    item_path,
    quoted_tag,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO, BinaryIO

    from intouch_import.model import SourceFile
    from intouch_import.onedrive.client import Graph

__all__ = ["Fetched", "QuickXor", "address_of", "fetch_into", "find_version", "look_for", "upload"]

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


# Small uploads of up to 250 MB are taken by now, 4 MiB everywhere and since ever; larger ones in fragments
# of a multiple of 320 KiB (https://learn.microsoft.com/graph/api/driveitem-createuploadsession).
_SMALL_BYTES: Final = 4 * 1024 * 1024
_FRAGMENT_BYTES: Final = 16 * 320 * 1024
_FAIL: Final = "fail"
_BEHAVIOUR: Final = "@microsoft.graph.conflictBehavior"


def address_of(folder: Folder, name: str) -> str:
    """The address of whatever has this name in the folder."""
    return f"{item_path(folder.drive_id, folder.id)}:/{quote(name, safe='')}:"


def look_for(graph: Graph, folder: Folder, name: str) -> dict[str, Any] | None:
    """What stands under a name; None if nothing does.

    Raises:
        GraphError: It can't be asked, or the folder itself is gone.
    """
    try:
        item = graph.get(address_of(folder, name))
    except GraphError as exc:
        if not is_gone(exc):
            raise
        graph.get(item_path(folder.drive_id, folder.id), **{"$select": "id"})  # raises if there is no folder
        return None
    # The service drops blanks and, at times, dots at the end of a name: that is another file.
    return item if str(item["name"]).lower() == name.lower() else None


def upload(graph: Graph, folder: Folder, name: str, chunks: Iterable[bytes]) -> DriveFile:
    """Write a new file.

    Raises:
        NameTaken: A file of that name is there; it was not touched.
        NameRefused: The service can't hold a file of that name.
        SourceUnavailable: What arrived there is not what was sent; it was taken away again.
        GraphError, SourceError: It could not be written.
    """
    with tempfile.TemporaryFile() as whole:
        hashing = QuickXor()
        size = disk.copy_and_digest(_hashed(chunks, hashing), whole).size_bytes
        whole.seek(0)
        sent = _Sent(graph, folder, name, size, hashing.hexdigest())
        item = sent.small(whole.read()) if size <= _SMALL_BYTES else sent.large(whole)
    return sent.checked(item)


class _Sent:
    """One upload."""

    def __init__(self, graph: Graph, folder: Folder, name: str, size: int, quickxor: str) -> None:
        self._graph = graph
        self._folder = folder
        self._name = name
        self._size = size
        self._quickxor = quickxor
        self._in_doubt = False

    def small(self, content: bytes) -> dict[str, Any]:
        """All in one request."""

        def attempt() -> dict[str, Any]:
            try:
                response = self._graph.send(
                    "PUT",
                    f"{address_of(self._folder, self._name)}/content",
                    params={_BEHAVIOUR: _FAIL},
                    headers={"Content-Type": "application/octet-stream"},
                    content=content,
                )
            except GraphError as exc:
                return self._after(exc)
            except Exception:
                self._in_doubt = True
                raise
            found: dict[str, Any] = response.json()
            return found

        return self._graph.ask(attempt)

    def large(self, whole: IO[bytes]) -> dict[str, Any]:
        """In fragments, to an address of its own; the file appears with the last."""
        address = self._graph.ask(self._begin)
        try:
            while True:
                item = self._graph.ask(lambda: self._next_fragment(address, whole))
                if item is not None:
                    return item
        except BaseException:
            self._give_up(address)
            raise

    def checked(self, item: dict[str, Any]) -> DriveFile:
        """What stands there now, if it is what was sent."""
        told = hashes_of(item).get("quickxor", self._quickxor)
        file = file_of(item)
        if (
            file.size_bytes == self._size
            and told == self._quickxor
            and file.name.lower() == self._name.lower()
        ):
            return file
        # Ours, and wrong. It has just been made, by this very call: nobody else can mean it.
        if file.etag is not None:
            address = item_path(self._folder.drive_id, str(item["id"]))
            headers = {"If-Match": quoted_tag(file.etag)}
            self._graph.ask(lambda: self._graph.send("DELETE", address, headers=headers))
        raise SourceUnavailable("OneDrive did not keep the file as it was sent")

    def _begin(self) -> str:
        try:
            response = self._graph.send(
                "POST",
                f"{address_of(self._folder, self._name)}/createUploadSession",
                json={"item": {_BEHAVIOUR: _FAIL}},
            )
        except GraphError as exc:
            raise _named(exc) from None
        return str(response.json()["uploadUrl"])

    def _next_fragment(self, address: str, whole: IO[bytes]) -> dict[str, Any] | None:
        """Send what is wanted next; the item, once that was the last."""
        start = 0
        if whole.tell() or self._in_doubt:
            try:
                start = _next_start(self._graph.upload_status(address))
            except GraphError as exc:
                # The last fragment had its effect and its answer was lost: the upload is over, the file is
                # there.
                if exc.status == 404 and self._in_doubt:  # noqa: PLR2004
                    return self._ours() or self._raise(exc)
                raise
        whole.seek(start)
        piece = whole.read(_FRAGMENT_BYTES)
        headers = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{self._size}"}
        try:
            response = self._graph.upload(address, content=piece, headers=headers)
        except GraphError as exc:
            if exc.status >= 500:  # noqa: PLR2004
                self._in_doubt = True
            raise _named(exc) from None
        except Exception:
            self._in_doubt = True
            raise
        found: dict[str, Any] = response.json()
        return found if "id" in found else None

    def _give_up(self, address: str) -> None:
        try:
            self._graph.cancel_upload(address)
        except Exception:  # noqa: BLE001  # it ends by itself after some days, and nothing of it is ever seen
            return

    def _after(self, exc: GraphError) -> dict[str, Any]:
        """What a refusal of the small upload means."""
        if exc.status >= 500:  # noqa: PLR2004
            self._in_doubt = True
        if exc.status == 409 and self._in_doubt and (item := self._ours()) is not None:  # noqa: PLR2004
            return item
        raise _named(exc) from None

    def _ours(self) -> dict[str, Any] | None:
        """The file, if an earlier request of ours has made it though its answer was lost."""
        item = look_for(self._graph, self._folder, self._name)
        if item is None or hashes_of(item).get("quickxor") != self._quickxor:
            return None
        return item if file_of(item).size_bytes == self._size else None

    @staticmethod
    def _raise(exc: GraphError) -> dict[str, Any]:
        raise exc


def _named(exc: GraphError) -> Exception:
    """A refusal that is about the name."""
    if exc.status == 409:  # noqa: PLR2004
        return NameTaken("a file of that name is there already")
    if exc.status == 400 and exc.codes & {"invalidPath", "invalidRequest", "pathIsTooLong"}:  # noqa: PLR2004
        return NameRefused("OneDrive can't hold a file of that name")
    return exc


def _next_start(status: dict[str, Any]) -> int:
    return int(str(status["nextExpectedRanges"][0]).partition("-")[0])


def _hashed(chunks: Iterable[bytes], hashing: QuickXor) -> Iterable[bytes]:
    for chunk in chunks:
        hashing.update(chunk)
        yield chunk


_WIDTH_BITS: Final = 160
_SHIFT_BITS: Final = 11
# Byte number i is turned left by 11 i bits within 160. After 160 bytes the turns repeat, so that all such
# blocks can be laid over each other first, as big integers, and only one block be turned byte by byte.
_BLOCK_BYTES: Final = 160
# An integer of this size is made and XORed faster, byte for byte, than a much smaller or larger one.
_SLICE_BYTES: Final = 64 * _BLOCK_BYTES
_MASK: Final = (1 << _WIDTH_BITS) - 1


class QuickXor:
    """Hash what is given in pieces, as `hashlib` does."""

    def __init__(self, data: bytes = b"") -> None:
        self._columns = 0
        self._length = 0
        if data:
            self.update(data)

    def update(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        offset = self._length % _BLOCK_BYTES
        # Little-endian: byte number i of the block is at 8 i bits of the integer.
        self._columns ^= _folded(_laid_over(memoryview(data)) << (8 * offset))
        self._length += len(data)

    def digest(self) -> bytes:
        """The 20 bytes of the hash of what was given so far."""
        state = 0
        for number, byte in enumerate(self._columns.to_bytes(_BLOCK_BYTES, "little")):
            turn = number * _SHIFT_BITS % _WIDTH_BITS
            wide = byte << turn
            state ^= (wide & _MASK) | (wide >> _WIDTH_BITS)
        # The length goes over the last 8 bytes.
        state ^= self._length << (_WIDTH_BITS - 64)
        return state.to_bytes(_WIDTH_BITS // 8, "little")

    def hexdigest(self) -> str:
        """The hash in lower-case hex, as `intouch_import.model.SourceFile.vendor_hash` has it."""
        return self.digest().hex()

    def base64(self) -> str:
        """The hash as Microsoft Graph writes it."""
        return base64.b64encode(self.digest()).decode("ascii")


def _laid_over(data: memoryview) -> int:
    """All slices of the data laid over each other by XOR, little-endian."""
    number = 0
    for start in range(0, len(data), _SLICE_BYTES):
        number ^= int.from_bytes(data[start : start + _SLICE_BYTES], "little")
    return number


def _folded(number: int) -> int:
    """All 160-byte blocks of a little-endian number laid over each other by XOR."""
    blocks = -(-number.bit_length() // (8 * _BLOCK_BYTES))
    while blocks > 1:
        half = (blocks + 1) // 2
        bits = half * 8 * _BLOCK_BYTES
        number = (number >> bits) ^ (number & ((1 << bits) - 1))
        blocks = half
    return number
