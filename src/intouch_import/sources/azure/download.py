"""One version of one blob, read to its end: pinned, hashed, and taken up again where it was cut."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from azure.core import MatchConditions

from intouch_import import disk
from intouch_import.errors import ContentMismatch, FileUnreadable, StillArriving
from intouch_import.sources.azure.listing import etag_of, is_appended
from intouch_import.sources.azure.transport import CHUNK_BYTES, abandon

if TYPE_CHECKING:
    from typing import BinaryIO

    from azure.storage.blob import BlobClient

    from intouch_import.model import SourceFile
    from intouch_import.sources.azure.fast import FastLane

__all__ = ["Download"]

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
        self._etag = f'"{etag_of(file.version)}"'
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
