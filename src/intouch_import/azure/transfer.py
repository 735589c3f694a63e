"""The bytes of blobs: one version read to its end, with or without the fast lane, and a new one put."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import threading
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from azure.storage.blob import BlobClient

    from intouch_import.azure.account import Account
    from intouch_import.model import SourceFile

__all__ = ["Download", "FastLane", "upload"]

# Whoever appends to a blob does it every few seconds, or has gone.
_QUIET_AFTER: Final = timedelta(seconds=60)


class Download:
    """What has been read of a blob so far.

    Args:
        file: Which, as listed.
        target: Where the bytes go; unbuffered.
    """

    def __init__(self, file: SourceFile, target: BinaryIO) -> None:
        self._file = file
        self._target = target
        self._etag = quoted_etag(file.version)
        self._position = 0
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if file.vendor_hash is not None else None

    def run(self, blob: BlobClient) -> None:
        """Read on from where it stands, in pieces: each is asked for under the ETag that was listed."""
        size = self._file.size_bytes
        if is_appended(self._file.version) and self._position == 0:
            self._check_quiet(blob)
        if size == 0:
            self._check_empty(blob)
        while self._position < size:
            self._take(self._piece(blob, min(CHUNK_BYTES, size - self._position)))

    def run_fast(self, lane: FastLane, name: str) -> None:
        """Read all of it through the fast lane. Whatever goes wrong there, `run` goes on from here."""
        for data in lane.chunks(name, self._etag, self._file.size_bytes):
            self._take(data)

    def end(self) -> disk.Digested:
        """Compare what was read with what the service said of it.

        Raises:
            FileUnreadable: It is longer or shorter than it was listed.
            ContentMismatch: Its MD5 is another than the stored one.
        """
        if self._position != self._file.size_bytes:
            raise FileUnreadable("the transfer is longer or shorter than the file")
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
            raise FileUnreadable("the answer is not the part of the file that was asked for")
        return data

    def _check_empty(self, blob: BlobClient) -> None:
        """An empty blob has no part to ask for; the SDK would ask twice, and leave an answer unread."""
        found = blob.get_blob_properties(etag=self._etag, match_condition=MatchConditions.IfNotModified)
        if found.size != 0:
            raise FileUnreadable("the answer is not about the version that was listed")

    def _take(self, data: Any) -> None:
        view = memoryview(data)
        self._sha256.update(view)
        if self._md5 is not None:
            self._md5.update(view)
        self._position += len(view)
        while view:
            view = view[self._target.write(view) :]

    def _check_quiet(self, blob: BlobClient) -> None:
        """A blob that is appended to can be seen half-written. Both times are the service's own."""
        told: list[datetime] = []

        def read(response: Any) -> None:
            told.append(parsedate_to_datetime(response.http_response.headers["Date"]))

        found = blob.get_blob_properties(
            etag=self._etag, match_condition=MatchConditions.IfNotModified, raw_response_hook=read
        )
        if told and told[0].astimezone(UTC) - found.last_modified < _QUIET_AFTER:
            raise StillArriving("the blob was appended to a moment ago")


# Names that mean the same to every library. All others go through the SDK.
_PLAIN_NAME: Final = re.compile(r"[\w\-. ()/]+")
_PIECE_BYTES: Final = 1024 * 1024
_SIGNED_FOR: Final = timedelta(hours=1)
_RENEWED_BEFORE: Final = timedelta(minutes=10)
_SCOPE: Final = "https://storage.azure.com/.default"
_SERVICE_VERSION: Final = "2023-11-03"


class FastLane:
    """Reads blobs of one container through obstore, where it is installed.

    It carries bytes and judges nothing. Whatever fails in it is asked again through the SDK, whose answer is
    the one that counts; so every reason is the same with it and without it.

    Args:
        account, container: Which.
        timeout_s: How long the service may be silent, seconds.

    Raises:
        ImportError: obstore is not installed.
    """

    # obstore's threads do not survive a fork: a child that used them would wait for ever.
    _process: int | None = None

    def __init__(self, account: Account, container: str, *, timeout_s: float) -> None:
        import obstore
        from obstore.store import HTTPStore

        self._get = obstore.get
        self._open_store = HTTPStore.from_url
        self._account = account
        self._container = container
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._store: Any = None
        self._good_until = datetime.min.replace(tzinfo=UTC)
        # An emulator is not reached through a proxy, which obstore would take from the environment.
        self._closed = account.is_plain and bool(getproxies())

    def takes(self, name: str) -> bool:
        """Whether a blob of that name can be read here and now."""
        if FastLane._process not in {None, os.getpid()}:
            return False
        return not self._closed and _PLAIN_NAME.fullmatch(name) is not None

    def chunks(self, name: str, etag: str, size_bytes: int) -> Iterator[Any]:
        """The bytes of one version of a blob, in pieces.

        Args:
            name: The whole name of the blob.
            etag: Its ETag, in quotes.
            size_bytes: Its size.

        Raises:
            ValueError: The answer is not about that version: a page of a proxy, for example.
        """
        FastLane._process = os.getpid()
        found = self._get(self._current_store(), name, options={"if_match": etag})
        told = (found.meta["e_tag"] or "").strip('"'), found.meta["size"], tuple(found.range)
        if told != (etag.strip('"'), size_bytes, (0, size_bytes)):
            raise ValueError
        return iter(found.stream(min_chunk_size=_PIECE_BYTES))

    def _current_store(self) -> Any:
        with self._lock:
            now = datetime.now(UTC)
            if self._store is None or now >= self._good_until - _RENEWED_BEFORE:
                query, headers, self._good_until = self._right(now)
                # A plain HTTP store, not obstore's own for Azure: that one reads keys and settings from
                # the environment, and they could win over what we were given.
                self._store = self._open_store(
                    f"{self._account.endpoint}/{self._container}{query}",
                    client_options={
                        "allow_http": self._account.is_plain,
                        "connect_timeout": timedelta(seconds=min(self._timeout_s, 10.0)),
                        "read_timeout": timedelta(seconds=self._timeout_s),
                        "timeout": timedelta(days=1),  # of a whole download: a video takes its time
                        "default_headers": headers,
                    },
                    retry_config={"max_retries": 0, "retry_timeout": timedelta(0)},
                )
            return self._store

    def _right(self, now: datetime) -> tuple[str, dict[str, str], datetime]:
        """Query, headers and end of a right to read: our own if it fits into a URL, else one for an hour."""
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
    """Create a blob.

    Args:
        send: Sends one request.
        blob: Which.
        chunks: Its bytes. If they end with an exception there is no blob.

    Returns:
        Its properties; None if the name was taken meanwhile, and what is there was not touched.

    Raises:
        Failed: It could not be written; there is no blob.
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
    # After a lost answer: is it ours that is there?
    found = send(blob.get_blob_properties)
    return found if (found.metadata or {}).get(_OURS) == run else None


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Chunks of any size as blocks of one size."""
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= _BLOCK_BYTES:
            yield bytes(held[:_BLOCK_BYTES])
            del held[:_BLOCK_BYTES]
    if held:
        yield bytes(held)
