"""`Glimpses`: the first and last bytes of chosen files, read to find out what to ask before a save."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from intouch_import.media.identity import IDENTITY_BYTES, identity_in, is_dicom
from intouch_import.media.kinds import PICTURES, sniff
from intouch_import.media.sniffing import HEAD_BYTES, content_reason
from intouch_import.model import ContentCheck, Destination, Reason, Soundness

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from intouch_import.inbox.rows import Row
    from intouch_import.media.identity import Identity

__all__ = ["Glimpses"]

log = logging.getLogger(__name__)

# The person waits for the answer. The save checks all files completely, and its outcomes report the rest.
_READ_AT_MOST_BYTES: Final = 256 * 1024 * 1024
_FETCH_AT_MOST_BYTES: Final = 16 * 1024 * 1024
_IMAGES: Final = Destination.IMAGES


class Glimpses:
    """What the first and last bytes of some files show. Nothing is decoded.

    Args:
        staging: The folder for temporary files, where a location can only be read as a whole.
    """

    def __init__(self, staging: Path | None) -> None:
        self._staging = staging
        self._read_left = _READ_AT_MOST_BYTES
        self._fetch_left = _FETCH_AT_MOST_BYTES
        self._checks: dict[Row, ContentCheck] = {}
        self._identities: dict[Row, Identity] = {}

    def look(self, rows: Iterable[Row]) -> None:
        """Read the files, until the limit is reached."""
        for row in rows:
            try:
                edges = self._edges(row)
            except Exception as exc:  # noqa: BLE001  # whatever it is, the save will meet and report it
                log.info("a file can't be read before its save", extra={"kind": type(exc).__name__})
                continue
            if edges is None:
                continue
            head, tail = edges
            if (identity := identity_in(head)) is not None:
                self._identities[row] = identity
            head, tail = head[:HEAD_BYTES], tail[-HEAD_BYTES:]
            kind = sniff(head)
            doubt = content_reason(row.name, head=head, tail=tail, size_bytes=row.size_bytes, kind=kind)
            if doubt is Reason.CONTENT_NOT_AS_NAMED and kind in PICTURES and row.destination is _IMAGES:
                doubt = None  # a picture under the extension of another kind: all viewers show it
            self._checks[row] = ContentCheck(kind=kind.value, soundness=Soundness.UNVERIFIED, doubt=doubt)

    def check(self, row: Row) -> ContentCheck | None:
        """Return what the bytes of a row are; None if they were not read."""
        return self._checks.get(row)

    def identity(self, row: Row) -> Identity | None:
        """Return the patient that the bytes of a row name."""
        return self._identities.get(row)

    def _edges(self, row: Row) -> tuple[bytes, bytes] | None:
        if self._read_left <= 0:
            return None
        edges = row.source.peek(row.file, HEAD_BYTES)
        if edges is not None and is_dicom(edges[0]):
            edges = row.source.peek(row.file, IDENTITY_BYTES)
        if edges is None:
            edges = self._fetch(row)
        if edges is not None:
            self._read_left -= len(edges[0]) + len(edges[1])
        return edges

    def _fetch(self, row: Row) -> tuple[bytes, bytes] | None:
        if row.size_bytes > self._fetch_left:
            return None
        self._fetch_left -= row.size_bytes
        with row.source.fetch(row.file, staging=self._staging) as content:
            row.sha256 = content.sha256
            return content.edges(IDENTITY_BYTES)
