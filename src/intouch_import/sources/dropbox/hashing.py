"""Dropbox's content hash, next to SHA-256, in one pass."""

from __future__ import annotations

import hashlib
from typing import IO, Final

from intouch_import import disk

__all__ = ["BLOCK_BYTES", "ContentHash", "content_hash_of", "digest_both"]

BLOCK_BYTES: Final = 4 * 1024 * 1024


class ContentHash:
    """SHA-256 of the concatenated SHA-256 of blocks of 4 MiB, as the content comes in.

    The rule is published at https://www.dropbox.com/developers/reference/content-hash.
    """

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self._block = hashlib.sha256()
        self._room = BLOCK_BYTES

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        view = memoryview(data)
        while view:
            part = view[: self._room]
            self._block.update(part)
            self._room -= len(part)
            view = view[len(part) :]
            if self._room == 0:
                self._whole.update(self._block.digest())
                self._block = hashlib.sha256()
                self._room = BLOCK_BYTES

    def hexdigest(self) -> str:
        """The hash of what came so far, in lower-case hex."""
        whole = self._whole.copy()
        if self._room < BLOCK_BYTES:
            whole.update(self._block.digest())
        return whole.hexdigest()


def content_hash_of(data: bytes) -> str:
    """The content hash of bytes that are there whole."""
    hashed = ContentHash()
    hashed.update(data)
    return hashed.hexdigest()


def digest_both(source: IO[bytes], target: IO[bytes], *, size_bytes: int) -> tuple[disk.Digested, str]:
    """Read ``source`` to its end into ``target``; give its SHA-256 and its content hash.

    Args:
        source: The content.
        target: Where to.
        size_bytes: How long it should be. Up to one block the second hash follows from the first.
    """
    if size_bytes <= BLOCK_BYTES:
        digested = disk.digest_stream(source, target)
        if digested.size_bytes <= BLOCK_BYTES:
            block = bytes.fromhex(digested.sha256) if digested.size_bytes else b""
            return digested, hashlib.sha256(block).hexdigest()
        # Longer than it should be: whoever compares sizes refuses it, whatever its hash.
        return digested, ""
    hashed = _Hashing(target)
    digested = disk.digest_stream(source, hashed)  # type: ignore[arg-type]  # it only writes
    return digested, hashed.hash.hexdigest()


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self.hash = ContentHash()

    def write(self, chunk: memoryview) -> int:
        written = self._target.write(chunk)
        self.hash.update(chunk[:written])
        return written
