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

import io
import os
import sys
from typing import TYPE_CHECKING, cast

from intouch_import import disk
from intouch_import.content import Content, copy_beside

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from typing_extensions import Buffer

__all__ = ["LeasedContent"]


class LeasedContent(Content):
    """The source file itself, held by a descriptor with a read lease.

    Args:
        fd: Open for reading, with a lease held; owned by this object from now on.
        found: What ``fstat`` says of it.
        digested: What one pass over it, under the lease, found.
    """

    def __init__(self, fd: int, found: os.stat_result, digested: disk.Digested) -> None:
        super().__init__(digested)
        self._fd = fd
        self._identity = (found.st_dev, found.st_ino)
        self._placed: Path | None = None
        self._apart = False

    def open(self) -> BinaryIO:
        # Not os.dup: a duplicate shares the file position with every other reader.
        return cast("BinaryIO", _PositionedReader(self._fd))

    def save_to(self, path: Path, *, durable: bool = True) -> None:
        linked = False
        if not self._apart and disk.lease_holds(self._fd):
            linked = self._link(path)
        if not linked:
            copy_beside(self.open(), path, durable=durable)
        if durable:
            disk.sync_many([path])

    def is_same_file(self, stored: BinaryIO) -> bool:
        try:
            other = os.fstat(stored.fileno())
        except (OSError, AttributeError):
            return False
        return (other.st_dev, other.st_ino) == self._identity and disk.lease_holds(self._fd)

    def stay_apart(self) -> None:
        self._apart = True

    def settle(self) -> None:
        """Replace the link by a private copy if somebody asked to write, or made a link of their own.

        A writer that waits in ``open`` has found the inode already and gets it as soon as the
        lease is given up. Until then the bytes are the hashed ones.
        """
        if self._placed is None:
            return
        if disk.lease_holds(self._fd) and os.fstat(self._fd).st_nlink == 1:
            return
        copy_beside(self.open(), self._placed, replace=True)
        disk.sync_folder(self._placed.parent)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)  # gives up the lease
            self._fd = -1

    def _link(self, path: Path) -> bool:
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
