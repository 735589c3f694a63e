"""Thumbnails, kept by digest in a separate folder: made once, then read.

A thumbnail shows as much of a patient as the photo does. So only its owner can read the folder, and a
thumbnail should be discarded when its photo is withdrawn from a record. All of them can be made again.
"""

from __future__ import annotations

import contextlib
import os
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from intouch_import import disk
from intouch_import.errors import RepositoryError, without_path
from intouch_import.media.decoders import shared_pool
from intouch_import.media.kinds import sniff
from intouch_import.media.sniffing import HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from intouch_import.content import Content
    from intouch_import.media.decoders import DecodingPool

__all__ = ["Thumbnails", "thumbnail_of"]

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SHARDS: Final = 256


class Thumbnails:
    """A cache of small JPEGs: upright, in sRGB, without metadata of the original.

    Thread-safe, also for several processes: a file appears under its name only when it is complete.

    Args:
        folder: The folder; created if it does not exist.
        px: Longer side of the thumbnails, pixels.
        most_bytes: Approximate size limit of the folder. Each of its 256 subfolders has an equal share, and
            discards the least recently used thumbnails.
        pool: The pool that decodes. Default: the shared pool.

    Raises:
        RepositoryError: The folder can't be used.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        px: int = 256,
        most_bytes: int = 1024**3,
        pool: DecodingPool | None = None,
    ) -> None:
        self.px = px
        self._folder = Path(folder).absolute()
        self._most_bytes = most_bytes // _SHARDS
        self._pool = pool or shared_pool()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise RepositoryError(
                "the folder for thumbnails can't be used", errno=exc.errno
            ) from without_path(exc)

    def get(self, sha256: str) -> bytes | None:
        """Return the thumbnail of the content with this digest; None if it is not in the cache."""
        path = self._path(sha256)
        try:
            content = path.read_bytes()
            os.utime(path)  # the time of the last use
        except OSError:
            return None
        return content

    def put(self, sha256: str, thumbnail: bytes) -> None:
        """Keep a thumbnail. Ignore a cache that can't be written: the thumbnail is made again."""
        path = self._path(sha256)
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True, mode=0o700)
            with disk.temporary_beside(path.parent) as (file, temporary):
                file.write(thumbnail)
                file.close()
                temporary.replace(path)
            self._make_room(path)

    def make(self, sha256: str, content: Content | bytes | Callable[[], BinaryIO]) -> bytes | None:
        """Return the thumbnail of a content; make it if it is not in the cache.

        Args:
            sha256: The digest of the content.
            content: The bytes, or an object or function that opens them (binary, seekable). Not opened if the
                thumbnail is in the cache.

        Returns:
            A JPEG; None if the content is no picture, or can't be decoded.

        Raises:
            OSError: The content could not be read.
        """
        known = self.get(sha256)
        if known is not None:
            return known
        stream, size_bytes = _opened(content)
        with stream:
            made = thumbnail_of(stream, size_bytes=size_bytes, px=self.px, pool=self._pool)
        if made is not None:
            self.put(sha256, made)
        return made

    def discard(self, sha256: str) -> None:
        """Delete the thumbnail of a content that was withdrawn from a record."""
        self._path(sha256).unlink(missing_ok=True)

    # --- inside

    def _path(self, sha256: str) -> Path:
        if _DIGEST.fullmatch(sha256) is None:
            raise ValueError("not a SHA-256 digest in hex")
        return self._folder / sha256[:2] / f"{sha256}-{self.px}.jpg"

    def _make_room(self, newest: Path) -> None:
        """Keep a subfolder within its share. The newest thumbnail stays, however large."""
        found = []
        with os.scandir(newest.parent) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # another process deleted it
                    found.append((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._most_bytes or path == str(newest):
                break
            Path(path).unlink(missing_ok=True)
            total -= size


def thumbnail_of(
    stream: BinaryIO, *, px: int, size_bytes: int | None = None, pool: DecodingPool | None = None
) -> bytes | None:
    """Make a thumbnail, without keeping it.

    Args:
        stream: The content, at its start: binary, seekable.
        px: Longer side of the thumbnail, pixels.
        size_bytes: Size in bytes; by default the end of the stream.
        pool: The pool that decodes. Default: the shared pool.

    Returns:
        A JPEG, upright, in sRGB; None if the content is no picture, or can't be decoded.

    Raises:
        OSError: The content could not be read.
    """
    kind = sniff(stream.read(HEAD_BYTES))
    if size_bytes is None:
        size_bytes = stream.seek(0, os.SEEK_END)
    decoded = (pool or shared_pool()).decode(stream, kind=kind, size_bytes=size_bytes, thumbnail_px=px)
    return decoded.thumbnail


def _opened(content: Content | bytes | Callable[[], BinaryIO]) -> tuple[BinaryIO, int | None]:
    if isinstance(content, bytes):
        return BytesIO(content), len(content)
    return (content(), None) if callable(content) else (content.open(), content.size_bytes)
