"""Thumbnails by digest, in a folder beside the repository: made once, then read.

A thumbnail shows a patient as much as the photo does: the folder is readable by its owner alone, and what is
withdrawn from a record should be discarded here too. It holds nothing that can't be made again.
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
from intouch_import.media.kinds import MOVIES, PILLOW, sniff
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

    Safe for several threads and processes: a file appears under its name whole or not at all.

    Args:
        folder: Where; made if it does not exist.
        px: Longer side, pixels.
        most_bytes: How much the folder may hold, about: each of its 256 parts keeps to its share, and
            discards what was made or used least lately.
        pool: What decodes.

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
        """The thumbnail of the content with this digest, if there is one here."""
        path = self._path(sha256)
        try:
            content = path.read_bytes()
            os.utime(path)  # it was used
        except OSError:
            return None
        return content

    def put(self, sha256: str, thumbnail: bytes) -> None:
        """Keep a thumbnail. A cache that can't be written is no error: it is made again."""
        path = self._path(sha256)
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True, mode=0o700)
            with disk.temporary_beside(path.parent) as (file, temporary):
                file.write(thumbnail)
                file.close()
                temporary.replace(path)
            self._make_room(path)

    def make(self, sha256: str, content: Content | bytes | Callable[[], BinaryIO]) -> bytes | None:
        """The thumbnail of a content, from here or made now.

        Args:
            sha256: The digest of the content.
            content: The bytes, or what gives or opens them (binary, seekable). Not touched if the
                thumbnail is here.

        Returns:
            A JPEG; None if it is no picture, or one that can't be decoded.

        Raises:
            OSError: The content could not be read.
        """
        known = self.get(sha256)
        if known is not None:
            return known
        stream, size_bytes = _opened(content)
        with stream:
            made = self._decode(stream, size_bytes)
        if made is not None:
            self.put(sha256, made)
        return made

    def discard(self, sha256: str) -> None:
        """Forget a content: it was withdrawn from a record."""
        self._path(sha256).unlink(missing_ok=True)

    # --- inside

    def _decode(self, stream: BinaryIO, size_bytes: int | None) -> bytes | None:
        return thumbnail_of(stream, size_bytes=size_bytes, px=self.px, pool=self._pool)

    def _path(self, sha256: str) -> Path:
        if _DIGEST.fullmatch(sha256) is None:
            raise ValueError("not a SHA-256 digest in hex")
        return self._folder / sha256[:2] / f"{sha256}-{self.px}.jpg"

    def _make_room(self, newest: Path) -> None:
        """Keep one part of the folder to its share; the newest stays, however large."""
        found = []
        with os.scandir(newest.parent) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):  # another process has discarded it
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
    """A thumbnail that is kept nowhere.

    Args:
        stream: The content from its start: binary, seekable.
        px: Longer side, pixels.
        size_bytes: Size in bytes; if not given, the stream is asked for its end.
        pool: What decodes; by default the pool that everybody shares.

    Returns:
        A JPEG, upright, in sRGB; None if it is no picture, or one that can't be decoded.

    Raises:
        OSError: The content could not be read.
    """
    kind = sniff(stream.read(HEAD_BYTES))
    if kind not in PILLOW and kind not in MOVIES:
        return None
    if size_bytes is None:
        size_bytes = stream.seek(0, os.SEEK_END)
    return (pool or shared_pool()).look(stream, kind=kind, size_bytes=size_bytes, thumbnail_px=px).thumbnail


def _opened(content: Content | bytes | Callable[[], BinaryIO]) -> tuple[BinaryIO, int | None]:
    if isinstance(content, bytes):
        return BytesIO(content), len(content)
    return (content(), None) if callable(content) else (content.open(), content.size_bytes)
