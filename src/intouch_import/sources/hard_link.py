"""A local file that becomes the stored one without copying its bytes.

A hard link shares the inode: whoever can write to the source file could change what is stored. So a link
is made only under a read lease of the kernel (Linux, files of our own user), which proves that
nobody has the file open for writing or mapped writable, and which stands from before the first byte is
hashed until the source name is gone.

What remains open: a process that holds the file open for *reading* can open it for writing through
``/proc/self/fd`` after the move, if its user owns the file; and a crash between the link and the
end of the move leaves two names for one inode until the next refresh, which compares digests before it
removes anything.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from intouch_import import disk
from intouch_import.content import Content, StagedContent, copy_beside

if TYPE_CHECKING:
    from typing import BinaryIO

    from typing_extensions import Buffer

__all__ = ["LeasedContent", "SharedContent"]

log = logging.getLogger(__name__)


class LeasedContent(Content):
    """The source file itself, held by a descriptor with a read lease.

    Args:
        fd: Open for reading, with a lease held; owned by this object from now on.
        found: What ``fstat`` says of it.
        digested: What one pass over it, under the lease, found.
        staging: Folder for temporary files, if there is one.
    """

    is_copy = False

    def __init__(
        self, fd: int, found: os.stat_result, digested: disk.Digested, *, staging: Path | None = None
    ) -> None:
        super().__init__(digested)
        self._fd = fd
        self._staging = staging
        self._identity = (found.st_dev, found.st_ino)
        self._placed: str | os.PathLike[str] | None = None
        self._settled = False
        self._apart = False

    def open(self) -> BinaryIO:
        # Not os.dup: a duplicate shares the file position with every other reader.
        return cast("BinaryIO", _PositionedReader(self._fd))

    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        linked = False
        if not self._apart and disk.lease_holds(self._fd):
            linked = self._link(path)
        if not linked:
            copy_beside(self.open(), Path(path), durable=durable, staging=self._staging)
        if durable:
            disk.sync_many([path])

    def is_same_file(self, stored: BinaryIO) -> bool:
        try:
            other = os.fstat(stored.fileno())
        except (OSError, AttributeError):
            return False
        if (other.st_dev, other.st_ino) != self._identity:
            return False
        if self._placed is None:
            self._placed = _path_of(stored)  # another process made the link; `settle` must know of it
        return disk.lease_holds(self._fd)

    def stay_apart(self) -> None:
        self._apart = True

    def settle(self) -> None:
        """Replace the link by a private copy if somebody asked to write, or made a link of their own.

        A writer that waits in ``open`` has found the inode already and gets it as soon as the
        lease is given up. Until then the bytes are the hashed ones.
        """
        placed = self._placed
        if placed is None or self._settled:
            return
        self._settled = True
        if not (disk.lease_holds(self._fd) and os.fstat(self._fd).st_nlink == 1):
            _make_private(self, Path(placed), self._staging)

    def close(self) -> None:
        if self._fd < 0:
            return
        try:
            _settle_at_last(self)
        finally:
            os.close(self._fd)  # gives up the lease
            self._fd = -1

    def _link(self, path: str | os.PathLike[str]) -> bool:
        if sys.platform != "linux":
            return False
        try:
            # By descriptor, not by name: the name may have been given to another file since.
            # A folder descriptor makes Python call linkat, which follows /proc's link; link(2) does not.
            os.link(f"/proc/self/fd/{self._fd}", path, src_dir_fd=self._fd, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:
            return False  # another file system, no /proc, links forbidden: copy
        self._placed = path
        return True


class SharedContent(StagedContent):
    """A copy of a file that has another name. If that is a stored file, the link of a crash, it is replaced.

    Args:
        path: The copy.
        digested: What one pass over it found.
        found: What ``fstat`` said of the file itself.
    """

    def __init__(self, path: Path, digested: disk.Digested, found: os.stat_result) -> None:
        super().__init__(path, digested)
        self._identity = (found.st_dev, found.st_ino)
        self._shared: Path | None = None

    def is_same_file(self, stored: BinaryIO) -> bool:
        with contextlib.suppress(OSError, AttributeError):  # without a descriptor it is no file here
            other = os.fstat(stored.fileno())
            if (other.st_dev, other.st_ino) == self._identity:
                self._shared = _path_of(stored)
        return False

    def settle(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            _make_private(self, shared, self._path.parent)

    def close(self) -> None:
        _settle_at_last(self)
        super().close()


def _settle_at_last(content: Content) -> None:
    """A move that ended before the removal leaves the file: edited in place, it would change the record."""
    try:
        content.settle()
    except OSError as exc:
        log.error("a stored file may still be open to another program", extra={"errno": exc.errno})


def _make_private(content: Content, stored: Path, staging: Path | None) -> None:
    copy_beside(content.open(), stored, replace=True, staging=staging)
    disk.sync_folder(stored.parent)


def _path_of(stored: BinaryIO) -> Path | None:
    name = getattr(stored, "name", None)
    return Path(name) if isinstance(name, str) else None


class _PositionedReader(io.RawIOBase):
    """Reads a descriptor from the start, with a position of its own; closing leaves the descriptor open."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence != os.SEEK_SET:
            raise io.UnsupportedOperation
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        if sys.platform == "win32":
            raise io.UnsupportedOperation  # leases exist on Linux alone
        count = os.preadv(self._fd, [buffer], self._position)
        self._position += count
        return count
