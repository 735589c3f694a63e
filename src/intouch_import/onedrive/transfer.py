"""The bytes of a file in a OneDrive: download one version, or upload a new file; and QuickXorHash."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from intouch_import import disk
from intouch_import.errors import (
    ContentMismatch,
    FileChanged,
    FileVanished,
    NameRefused,
    NameTaken,
    SourceUnavailable,
)
from intouch_import.media.kinds import Kind, sniff
from intouch_import.media.sniffing import HEAD_BYTES, TAIL_BYTES, content_reason
from intouch_import.model import Reason
from intouch_import.onedrive.client import json_of
from intouch_import.onedrive.errors import GraphError, is_gone
from intouch_import.onedrive.listing import hashes_of, is_in, item_path, quoted_tag, source_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO, BinaryIO

    from intouch_import.model import SourceFile
    from intouch_import.onedrive.client import GraphClient
    from intouch_import.onedrive.listing import DriveFile, Folder

__all__ = ["Downloaded", "QuickXor", "check_version", "download", "look_for", "upload"]

_DOWNLOAD_URL: Final = "@microsoft.graph.downloadUrl"
# 4 MiB in one request are accepted everywhere. Larger files go in fragments of a multiple of 320 KiB
# (https://learn.microsoft.com/graph/api/driveitem-createuploadsession).
_SMALL_BYTES: Final = 4 * 1024 * 1024
_FRAGMENT_BYTES: Final = 16 * 320 * 1024
# The answers of proxies, of sign-in pages of networks, and of services that fail.
_PAGES: Final = frozenset(
    {"text/html", "application/xhtml+xml", "application/json", "application/problem+json"}
)
_FAIL_IF_TAKEN: Final = {"@microsoft.graph.conflictBehavior": "fail"}


# --- download


@attrs.frozen(kw_only=True)
class Downloaded:
    """The result of a download.

    Args:
        digested: Size and SHA-256.
        agrees: Whether size and hashes are those that the service reports.
        fits: Whether this can be the file: it is no error page, complete, and what the extension says.
    """

    digested: disk.Digested
    agrees: bool
    fits: bool


def download(client: GraphClient, folder: Folder, file: SourceFile, target: BinaryIO) -> Downloaded:
    """Download the listed version of a file into an empty file.

    OneDrive reports a wrong size or hash for some HEIC and JPEG files: it rewrites them on their way, and
    drops the video of a Live Photo. A damaged download looks the same, so a file that does not agree is
    downloaded again. If both downloads are equal, the service alters the file. A page of a proxy is equal
    twice too, so the bytes must also be of the right kind and complete.

    Returns:
        The result. If it does not agree, two downloads were equal, and can be the file.

    Raises:
        FileVanished, FileChanged: As in `check_version`.
        ContentMismatch: Two downloads differ from each other and from the reported hash, or are not the file.
        CallFailed: The file can't be downloaded.
    """
    first = client.ask(lambda: _download_once(client, folder, file, target))
    if first.agrees:
        return first
    second = client.ask(lambda: _download_once(client, folder, file, target))
    if second.agrees:
        return second
    if not second.fits:
        exc = ContentMismatch("something else was delivered in place of the file", retry_helps=True)
        exc.reason = Reason.NOT_DELIVERED
        raise exc
    if second.digested == first.digested:
        return second
    raise ContentMismatch("two downloads of the file differ, and both from its hash", retry_helps=True)


def check_version(item: dict[str, Any], folder: Folder, file: SourceFile) -> DriveFile:
    """Return an item of Graph as a file, if it is the listed version.

    Raises:
        FileChanged: It has other content, another name, or is in another folder.
    """
    there = source_file(item)
    same = there.kind is file.kind and there.name == file.name and there.version == file.version
    hashes = {there.vendor_hash, file.vendor_hash} - {None}
    if not same or not is_in(item, folder) or len(hashes) > 1:
        raise FileChanged("the file is no longer the version that was listed")
    return there


def _download_once(client: GraphClient, folder: Folder, file: SourceFile, target: BinaryIO) -> Downloaded:
    # Each attempt asks for a new download address: an old one may have expired, or lead to replaced bytes.
    item = _item(client, folder, file)
    there = check_version(item, folder, file)
    target.seek(0)
    target.truncate()
    quickxor, sha1 = QuickXor(), hashlib.sha1(usedforsecurity=False)

    def hashed(pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            quickxor.update(piece)
            sha1.update(piece)
            yield piece

    def take(media_type: str, pieces: Iterator[bytes]) -> tuple[str, disk.Digested]:
        return media_type, disk.copy_and_digest(hashed(pieces), target)

    # Some policies of organisations omit the address.
    address = item.get(_DOWNLOAD_URL) or f"{item_path(folder.drive_id, file.handle)}/content"
    media_type, digested = client.download(str(address), take)
    reported = hashes_of(item)
    if not reported:
        # Without a hash, only an unchanged version shows that these bytes are of one version.
        check_version(_item(client, folder, file), folder, file)
    ours = {"quickxor": quickxor.hexdigest(), "sha1": sha1.hexdigest()}
    agrees = digested.size_bytes == there.size_bytes and reported.items() <= ours.items()
    fits = agrees or (media_type not in _PAGES and _can_be(file.name, target, digested.size_bytes))
    return Downloaded(digested=digested, agrees=agrees, fits=fits)


def _can_be(name: str, stream: BinaryIO, size_bytes: int) -> bool:
    """Whether bytes that do not agree can be a file of this name, altered by the service."""
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    stream.seek(max(0, size_bytes - TAIL_BYTES))
    kind, tail = sniff(head), stream.read(TAIL_BYTES)
    if kind in {Kind.EMPTY, Kind.HTML}:
        return False
    return content_reason(name, head=head, tail=tail, size_bytes=size_bytes, kind=kind) is None


def _item(client: GraphClient, folder: Folder, file: SourceFile) -> dict[str, Any]:
    if file.handle is None:
        raise FileVanished("the file was not listed by this location")
    try:
        return json_of(client.send("GET", item_path(folder.drive_id, file.handle)))
    except GraphError as exc:
        if is_gone(exc):
            raise FileVanished("the file is no longer there") from None
        raise


# --- upload


def look_for(client: GraphClient, folder: Folder, name: str) -> dict[str, Any] | None:
    """Return the item of this name in the folder; None if there is none.

    Raises:
        GraphError: Graph refused, or the folder itself does not exist.
    """
    try:
        item = client.get(_address_of(folder, name))
    except GraphError as exc:
        if not is_gone(exc):
            raise
        client.get(item_path(folder.drive_id, folder.id), **{"$select": "id"})  # raises if there is no folder
        return None
    # The service strips blanks, and sometimes dots, from the end of a name: then this is another file.
    return item if str(item["name"]).lower() == name.lower() else None


def upload(client: GraphClient, folder: Folder, name: str, chunks: Iterable[bytes]) -> DriveFile:
    """Write a new file. It appears under its name only when it is complete.

    Raises:
        NameTaken: There is already a file of that name; it was not touched.
        NameRefused: The service does not accept the name.
        SourceUnavailable: The service did not store what was sent; the file was deleted again.
        GraphError, SourceError: The file could not be written.
    """
    with tempfile.TemporaryFile() as whole:
        quickxor = QuickXor()
        size_bytes = disk.copy_and_digest(quickxor.taking(chunks), whole).size_bytes
        whole.seek(0)
        sending = _Upload(client, folder, name, size_bytes, quickxor.hexdigest())
        item = sending.small(whole.read()) if size_bytes <= _SMALL_BYTES else sending.large(whole)
    return sending.checked(item)


class _Upload:
    """One upload, and whether an earlier request of it may have taken effect."""

    def __init__(
        self, client: GraphClient, folder: Folder, name: str, size_bytes: int, quickxor: str
    ) -> None:
        self._client = client
        self._folder = folder
        self._name = name
        self._address = _address_of(folder, name)
        self._size_bytes = size_bytes
        self._quickxor = quickxor
        self._in_doubt = False

    def small(self, content: bytes) -> dict[str, Any]:
        """Send the file in one request."""
        headers = {"Content-Type": "application/octet-stream"}

        def attempt() -> dict[str, Any]:
            try:
                response = self._client.send(
                    "PUT", f"{self._address}/content", params=_FAIL_IF_TAKEN, headers=headers, content=content
                )
            except GraphError as exc:
                self._in_doubt = self._in_doubt or exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR
                item = self._ours() if self._in_doubt and exc.status == HTTPStatus.CONFLICT else None
                if item is None:
                    raise _about_name(exc) from None
                return item
            except Exception:
                self._in_doubt = True
                raise
            found: dict[str, Any] = response.json()
            return found

        return self._client.ask(attempt)

    def large(self, whole: IO[bytes]) -> dict[str, Any]:
        """Send the file in fragments to an upload session. It appears with the last fragment."""
        session = self._client.ask(self._start)
        try:
            # A server that asks for the same fragment again and again must not hold the upload forever.
            for _ in range(2 * (self._size_bytes // _FRAGMENT_BYTES + 2)):
                item = self._client.ask(lambda: self._next_fragment(session, whole))
                if item is not None:
                    return item
            raise SourceUnavailable("OneDrive does not accept the rest of the file")
        except BaseException:
            self._cancel(session)
            raise

    def checked(self, item: dict[str, Any]) -> DriveFile:
        """Return the stored file, if it is what was sent; else delete it."""
        stored_hash = hashes_of(item).get("quickxor", self._quickxor)
        file = source_file(item)
        same_name = file.name.lower() == self._name.lower()
        if file.size_bytes == self._size_bytes and stored_hash == self._quickxor and same_name:
            return file
        # This call has just created the file, so nobody else uses it.
        if file.etag is not None:
            address = item_path(self._folder.drive_id, str(item["id"]))
            headers = {"If-Match": quoted_tag(file.etag)}
            self._client.ask(lambda: self._client.send("DELETE", address, headers=headers))
        raise SourceUnavailable("OneDrive did not keep the file as it was sent")

    def _start(self) -> str:
        address, body = f"{self._address}/createUploadSession", {"item": _FAIL_IF_TAKEN}
        try:
            return str(self._client.send("POST", address, json=body).json()["uploadUrl"])
        except GraphError as exc:
            raise _about_name(exc) from None

    def _next_fragment(self, session: str, whole: IO[bytes]) -> dict[str, Any] | None:
        """Send the next fragment that the session wants; return the item after the last one."""
        start = 0
        if whole.tell() or self._in_doubt:
            try:
                status = json_of(self._client.send_bytes("GET", session))
            except GraphError as exc:
                # The session ended with the last fragment, although its answer was lost.
                ended = exc.status == HTTPStatus.NOT_FOUND and self._in_doubt
                item = self._ours() if ended else None
                if item is None:
                    raise
                return item
            start = int(str(status["nextExpectedRanges"][0]).partition("-")[0])
        whole.seek(start)
        piece = whole.read(_FRAGMENT_BYTES)
        headers = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{self._size_bytes}"}
        try:
            response = self._client.send_bytes("PUT", session, content=piece, headers=headers)
        except GraphError as exc:
            self._in_doubt = self._in_doubt or exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            raise _about_name(exc) from None
        except Exception:
            self._in_doubt = True
            raise
        found: dict[str, Any] = response.json()
        return found if "id" in found else None

    def _cancel(self, session: str) -> None:
        try:
            self._client.send_bytes("DELETE", session)
        except Exception:  # noqa: BLE001  # it expires after some days, and nobody ever sees it
            return

    def _ours(self) -> dict[str, Any] | None:
        """Return the file if an earlier request of this upload created it although its answer was lost."""
        item = look_for(self._client, self._folder, self._name)
        if item is None or hashes_of(item).get("quickxor") != self._quickxor:
            return None
        return item if source_file(item).size_bytes == self._size_bytes else None


def _address_of(folder: Folder, name: str) -> str:
    """Return the address of the item of this name in the folder."""
    return f"{item_path(folder.drive_id, folder.id)}:/{quote(name, safe='')}:"


def _about_name(exc: GraphError) -> Exception:
    """Return the error for a refusal, which may be about the name."""
    if exc.status == HTTPStatus.CONFLICT:
        return NameTaken("there is already a file of this name")
    bad_name = exc.codes & {"invalidPath", "invalidRequest", "pathIsTooLong"}
    if exc.status == HTTPStatus.BAD_REQUEST and bad_name:
        return NameRefused("OneDrive does not accept this name")
    return exc


# --- QuickXorHash

_WIDTH_BITS: Final = 160
_SHIFT_BITS: Final = 11
# Byte i is rotated left by 11 i bits within 160 bits. After 160 bytes the rotations repeat. So all blocks of
# 160 bytes are first combined by XOR as big integers, and only the result is rotated byte by byte.
_BLOCK_BYTES: Final = 160
# Integers of this size are the fastest: much smaller and much larger ones take longer for each byte.
_SLICE_BYTES: Final = 64 * _BLOCK_BYTES
_MASK: Final = (1 << _WIDTH_BITS) - 1


class QuickXor:
    """QuickXorHash, which OneDrive keeps of each file on both kinds of account. Used like `hashlib`.

    See https://learn.microsoft.com/onedrive/developer/code-snippets/quickxorhash. It finds accidents, not
    forgery: stored bytes are compared by SHA-256.
    """

    def __init__(self, data: bytes = b"") -> None:
        self._columns = 0
        self._length = 0
        if data:
            self.update(data)

    def update(self, data: bytes | memoryview) -> None:
        """Add the next bytes."""
        offset = self._length % _BLOCK_BYTES
        number = 0
        view = memoryview(data)
        for start in range(0, len(view), _SLICE_BYTES):
            # Little-endian: byte i of a block is at bit 8 i of the integer.
            number ^= int.from_bytes(view[start : start + _SLICE_BYTES], "little")
        self._columns ^= _folded(number << (8 * offset))
        self._length += len(view)

    def taking(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass chunks on, and add them to the hash."""
        for chunk in chunks:
            self.update(chunk)
            yield chunk

    def digest(self) -> bytes:
        """Return the hash of the bytes so far, 20 bytes."""
        state = 0
        for number, byte in enumerate(self._columns.to_bytes(_BLOCK_BYTES, "little")):
            rotated = byte << (number * _SHIFT_BITS % _WIDTH_BITS)
            state ^= (rotated & _MASK) | (rotated >> _WIDTH_BITS)
        # The length is combined with the last 8 bytes.
        state ^= self._length << (_WIDTH_BITS - 64)
        return state.to_bytes(_WIDTH_BITS // 8, "little")

    def hexdigest(self) -> str:
        """Return the hash in lower-case hex, as in `intouch_import.model.SourceFile.vendor_hash`."""
        return self.digest().hex()

    def base64(self) -> str:
        """Return the hash as Microsoft Graph writes it."""
        return base64.b64encode(self.digest()).decode("ascii")


def _folded(number: int) -> int:
    """Combine all 160-byte blocks of a little-endian number by XOR."""
    blocks = -(-number.bit_length() // (8 * _BLOCK_BYTES))
    while blocks > 1:
        half = (blocks + 1) // 2
        bits = half * 8 * _BLOCK_BYTES
        number = (number >> bits) ^ (number & ((1 << bits) - 1))
        blocks = half
    return number
