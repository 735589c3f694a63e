"""Downloads and uploads of the bytes of one blob."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, ContentSettings, generate_container_sas

from intouch_import import disk
from intouch_import.azure.client import CHUNK_BYTES, abandon
from intouch_import.azure.errors import Failed, Kind
from intouch_import.azure.listing import etag_of, is_appended, quoted_etag
from intouch_import.errors import ContentMismatch, FileUnreadable, StillArriving
from intouch_import.forks import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from azure.storage.blob import BlobClient

    from intouch_import.azure.account import Account
    from intouch_import.model import SourceFile

__all__ = ["Download", "FastReader", "upload"]

# A program that appends to a blob does so every few seconds, or it has finished.
_QUIET_AFTER: Final = timedelta(seconds=60)


class Download:
    """The download of one version of a blob. A retry continues where it was cut.

    Args:
        file: The listed file.
        target: Unbuffered file for the bytes.
        fast: Downloads the blob with obstore at the first attempt; None to use the SDK from the start.
    """

    def __init__(self, file: SourceFile, target: BinaryIO, fast: FastReader | None) -> None:
        self._file = file
        self._target = target
        self._fast = None if is_appended(file.version) else fast
        self._etag = quoted_etag(file.version)
        self._position = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if file.vendor_hash is not None else None

    def run(self, blob: BlobClient) -> None:
        """Download the blob, or continue. Each request is pinned to the listed ETag."""
        fast, self._fast = self._fast, None
        if fast is not None and fast.can_read(blob.blob_name):
            try:
                for data in fast.chunks(blob.blob_name, self._etag, self._file.size_bytes):
                    self._take(data)
            except Exception as exc:
                if isinstance(exc, OSError) and exc.errno is not None:
                    raise  # this machine's own disk
                # Anything else: continue with the SDK. Only its answer decides.
            else:
                return
        size = self._file.size_bytes
        if is_appended(self._file.version) and self._position == 0:
            self._check_quiet(blob)
        if size == 0:
            self._check_empty(blob)
        while self._position < size:
            self._take(self._piece(blob, min(CHUNK_BYTES, size - self._position)))

    def end(self) -> disk.Digested:
        """Compare size and MD5 with those that the service has, and return size and SHA-256.

        Raises:
            FileUnreadable: The download has another size than the listed file.
            ContentMismatch: The download has another MD5 than the one stored with the blob.
        """
        if self._position != self._file.size_bytes:
            raise FileUnreadable("the download has another size than the file")
        if self._md5 is not None and f"md5:{self._md5.hexdigest()}" != self._file.vendor_hash:
            raise ContentMismatch("the bytes have another MD5 than the one stored with the blob")
        return disk.Digested(self._position, self._sha256.hexdigest())

    def _piece(self, blob: BlobClient, length: int) -> bytes:
        try:
            piece = blob.download_blob(
                offset=self._position,
                length=length,
                etag=self._etag,
                match_condition=MatchConditions.IfNotModified,
                decompress=False,
                max_concurrency=1,
            )
            data: bytes = piece.readall()
        except BaseException:
            abandon()
            raise
        if etag_of(str(piece.properties.etag)) != etag_of(self._etag) or len(data) != length:
            raise FileUnreadable("the answer is not the requested part of the file")
        return data

    def _check_empty(self, blob: BlobClient) -> None:
        """Check an empty blob without a download: the SDK would send two requests and leave one unread."""
        found = blob.get_blob_properties(etag=self._etag, match_condition=MatchConditions.IfNotModified)
        if found.size != 0:
            raise FileUnreadable("the answer is not about the listed version")

    def _take(self, data: Any) -> None:
        view = memoryview(data)
        self._sha256.update(view)
        if self._md5 is not None:
            self._md5.update(view)
        self._position += len(view)
        while view:
            view = view[self._target.write(view) :]

    def _check_quiet(self, blob: BlobClient) -> None:
        """Refuse an append blob that may be incomplete. Both times are from the service's clock."""
        answered_at: list[datetime] = []

        def read(response: Any) -> None:
            answered_at.append(parsedate_to_datetime(response.http_response.headers["Date"]))

        found = blob.get_blob_properties(
            etag=self._etag, match_condition=MatchConditions.IfNotModified, raw_response_hook=read
        )
        if answered_at and answered_at[0].astimezone(UTC) - found.last_modified < _QUIET_AFTER:
            raise StillArriving("a program appended to the blob a moment ago")


# Names that all libraries encode in the same way. Other names are read with the SDK.
_PLAIN_NAME: Final = re.compile(r"[\w\-. ()/]+")
_PIECE_BYTES: Final = 1024 * 1024
_SIGNED_FOR: Final = timedelta(hours=1)
_RENEWED_BEFORE: Final = timedelta(minutes=10)
_SCOPE: Final = "https://storage.azure.com/.default"
_SERVICE_VERSION: Final = "2023-11-03"


class FastReader:
    """Downloads blobs of one container with obstore, which takes less processor time than the SDK.

    After any failure here, `Download` continues with the SDK, and only the SDK's answer decides. So the
    results are the same with and without obstore.

    Args:
        account, container: The container, and the credential for it.
        timeout_s: Longest wait for an answer or for more of it, seconds.

    Raises:
        ImportError: obstore is not installed.
    """

    # obstore's threads do not survive a fork: a child process that used them would hang.
    _process: int | None = None

    def __init__(self, account: Account, container: str, *, timeout_s: float) -> None:
        import obstore
        from obstore.store import HTTPStore

        self._get = obstore.get
        self._open_store = HTTPStore.from_url
        self._account = account
        self._container = container
        self._timeout_s = timeout_s
        self._lock = ForkSafeLock()
        self._store: Any = None
        self._good_until = datetime.min.replace(tzinfo=UTC)
        # obstore would use a proxy from the environment, also for an emulator on this machine.
        self._closed = account.is_plain and bool(getproxies())

    def can_read(self, name: str) -> bool:
        """Return whether obstore can read a blob with this name in this process."""
        if FastReader._process not in {None, os.getpid()}:
            return False
        return not self._closed and _PLAIN_NAME.fullmatch(name) is not None

    def chunks(self, name: str, etag: str, size_bytes: int) -> Iterator[Any]:
        """Yield the bytes of one version of a blob.

        Args:
            name: Full name of the blob.
            etag: ETag of the version, in quotes.
            size_bytes: Size of the version.

        Raises:
            ValueError: The answer is not about this version: a proxy's page, for example.
        """
        FastReader._process = os.getpid()
        found = self._get(self._current_store(), name, options={"if_match": etag})
        answer = (found.meta["e_tag"] or "").strip('"'), found.meta["size"], tuple(found.range)
        if answer != (etag.strip('"'), size_bytes, (0, size_bytes)):
            raise ValueError
        return iter(found.stream(min_chunk_size=_PIECE_BYTES))

    def _current_store(self) -> Any:
        with self._lock:
            now = datetime.now(UTC)
            if self._store is None or now >= self._good_until - _RENEWED_BEFORE:
                query, headers, self._good_until = self._credential(now)
                # A plain HTTP store: obstore's store for Azure reads keys and settings from the environment,
                # and they could override ours.
                self._store = self._open_store(
                    f"{self._account.endpoint}/{self._container}{query}",
                    client_options={
                        "allow_http": self._account.is_plain,
                        "connect_timeout": timedelta(seconds=min(self._timeout_s, 10.0)),
                        "read_timeout": timedelta(seconds=self._timeout_s),
                        "timeout": timedelta(days=1),  # for a whole download: a video may take long
                        "default_headers": headers,
                    },
                    retry_config={"max_retries": 0, "retry_timeout": timedelta(0)},
                )
            return self._store

    def _credential(self, now: datetime) -> tuple[str, dict[str, str], datetime]:
        """Return a query and headers that allow reading, and when they expire. A key becomes a SAS."""
        account = self._account
        signature, key = account.signature(), account.key()
        if signature is not None:
            return f"?{signature}", {}, datetime.max.replace(tzinfo=UTC)
        if key is not None:
            until = now + _SIGNED_FOR
            name, secret = key
            signed = generate_container_sas(
                name, self._container, account_key=secret, permission="r", expiry=until
            )
            return f"?{signed}", {}, until
        token = account.credential.get_token(_SCOPE)
        until = datetime.fromtimestamp(token.expires_on, UTC)
        return "", {"Authorization": f"Bearer {token.token}", "x-ms-version": _SERVICE_VERSION}, until


_BLOCK_BYTES: Final = 4 * 1024 * 1024
_OURS: Final = "intouch_put"
_TAKEN: Final = frozenset({Kind.TAKEN, Kind.CHANGED, Kind.LEASED, Kind.IMMUTABLE, Kind.SNAPSHOTS})


def upload(send: Callable[[Callable[[], Any]], Any], blob: BlobClient, chunks: Iterable[bytes]) -> Any:
    """Create a blob. It appears under its name only when it is complete.

    Args:
        send: Sends one request, with retries.
        blob: Client of the new blob.
        chunks: Its bytes. If they raise an exception, no blob is created.

    Returns:
        The properties of the new blob, or None if another blob has the name; that one was not touched.

    Raises:
        Failed: The blob could not be written and does not exist.
    """
    run, md5, blocks = secrets.token_hex(8), hashlib.md5(usedforsecurity=False), []
    for number, block in enumerate(_blocks(chunks)):
        block_id = base64.b64encode(f"{run}-{number:07}".encode()).decode()
        send(lambda block_id=block_id, block=block: blob.stage_block(block_id, block, len(block)))  # type: ignore[misc]
        blocks.append(BlobBlock(block_id))
        md5.update(block)
    settings = ContentSettings(content_md5=bytearray(md5.digest()))
    try:
        send(
            lambda: blob.commit_block_list(
                blocks,
                match_condition=MatchConditions.IfMissing,
                content_settings=settings,
                metadata={_OURS: run},
            )
        )
    except Failed as exc:
        if exc.fault.kind not in _TAKEN:
            raise
        if not exc.in_doubt:
            return None
    # If an answer was lost, check whether the blob is the one that we wrote.
    found = send(blob.get_blob_properties)
    return found if (found.metadata or {}).get(_OURS) == run else None


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Regroup chunks of any size into blocks of one size."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= _BLOCK_BYTES:
            yield bytes(held[:_BLOCK_BYTES])
            del held[:_BLOCK_BYTES]
    if held:
        yield bytes(held)
