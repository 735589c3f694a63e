"""A local file that becomes the stored file without a copy of its bytes.

The stored file is then a hard link to the source file: both are one inode, and a program that writes to the
source file would change the stored one. So a file is linked only if it belongs to the user of this process,
no other user may write to it, it has no second name, and a read lease from the kernel (Linux) proves that no
program has it open for writing. The lease is taken before the first byte is hashed and kept until the source
name is removed. If a program asks to write, the kernel makes it wait for some time
(``/proc/sys/fs/lease-break-time``) and then lets it write. So from the moment it asks, the stored file is
replaced by a copy, which is hashed again. If the copy has other bytes, nothing stays stored.

Two risks remain. A process of the same user that has the file open for *reading* can open it for writing
through ``/proc/self/fd`` after the move. A crash between the link and the end of the move leaves two names
for one inode until the next refresh, which compares digests before it removes anything.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from intouch_import import disk
from intouch_import.content import Content, StagedContent, changed_meanwhile, copy_beside, staging_file
from intouch_import.errors import StillArriving

if TYPE_CHECKING:
    from typing import BinaryIO

    from typing_extensions import Buffer

__all__ = ["LeasedContent", "SharedContent", "may_link"]

log = logging.getLogger(__name__)


class LeasedContent(Content):
    """The source file itself, open under a read lease.

    Args:
        fd: Descriptor, open for reading and with a lease. This object closes it.
        found: Result of ``fstat`` on the descriptor.
        digested: Size and digest, read under the lease.
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
        self._apart: StagedContent | None = None

    def open(self) -> BinaryIO:
        if self._apart is not None:
            return self._apart.open()
        # Not os.dup: all duplicates share one file position.
        return cast("BinaryIO", _PositionedReader(self._fd))

    def save_to(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        if self._apart is not None:
            self._apart.save_to(path, durable=durable)
            return
        if not (disk.lease_holds(self._fd) and self._link(path)):
            copy_beside(self.open(), Path(path), sha256=self.sha256, durable=durable, staging=self._staging)
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
            self._placed = _path_of(stored)  # made by another process; `settle` must know about it
        return disk.lease_holds(self._fd)

    def stay_apart(self) -> None:
        with staging_file(self._staging) as (target, path), self.open() as source:
            digested = disk.digest_stream(source, target)
            if digested.sha256 != self.sha256:
                raise changed_meanwhile()
        self._apart = StagedContent(path, digested)

    def prove(self) -> None:
        if not disk.lease_holds(self._fd):
            self._settle()

    def settle(self) -> None:
        """Replace the link with a separate copy if a program asked to write, or made another link.

        A program that waits in ``open`` to write gets the inode as soon as the lease ends. Until then the
        bytes are those that were hashed.
        """
        if self._placed is None or self._settled:
            return
        if disk.lease_holds(self._fd) and os.fstat(self._fd).st_nlink == 1:
            self._settled = True
        else:
            self._settle()

    def _settle(self) -> None:
        placed, settled, self._settled = self._placed, self._settled, True
        if placed is None or settled:
            return
        try:
            found = os.stat(placed)
        except FileNotFoundError:
            return  # it was withdrawn
        if (found.st_dev, found.st_ino) == self._identity:  # else, another process has replaced it
            _make_private(self, Path(placed), self._staging)

    def close(self) -> None:
        if self._fd < 0:
            return
        try:
            _settle_before_close(self)
        finally:
            os.close(self._fd)  # ends the lease
            self._fd = -1
            if self._apart is not None:
                self._apart.close()

    def _link(self, path: str | os.PathLike[str]) -> bool:
        if sys.platform != "linux":
            return False
        try:
            # By descriptor: another file may have taken the name meanwhile. With a folder descriptor, Python
            # calls linkat, which follows the link in /proc; link(2) does not.
            os.link(f"/proc/self/fd/{self._fd}", path, src_dir_fd=self._fd, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:
            return False  # another file system, no /proc, or links not allowed: copy
        self._placed = path
        return True


class SharedContent(StagedContent):
    """A copy of a file that has a second name.

    The second name may be a stored file, linked by a move that crashed. `settle` then replaces that stored
    file with a separate copy.

    Args:
        path: The copy.
        digested: Its size and digest.
        found: Result of ``fstat`` on the original file.
    """

    def __init__(self, path: Path, digested: disk.Digested, found: os.stat_result) -> None:
        super().__init__(path, digested)
        self._identity = (found.st_dev, found.st_ino)
        self._shared: Path | None = None

    def is_same_file(self, stored: BinaryIO) -> bool:
        with contextlib.suppress(OSError, AttributeError):  # without a descriptor it is no local file
            other = os.fstat(stored.fileno())
            if (other.st_dev, other.st_ino) == self._identity:
                self._shared = _path_of(stored)
        return False

    def settle(self) -> None:
        shared, self._shared = self._shared, None
        if shared is not None:
            _make_private(self, shared, self._path.parent)

    def close(self) -> None:
        _settle_before_close(self)
        super().close()


def may_link(found: os.stat_result, staging: Path | None) -> bool:
    """Return whether the leased file itself can become the stored file.

    Other files are copied: a program could write to the stored file later by a second name, and another user
    by the right to write to it.
    """
    if sys.platform != "linux" or found.st_nlink != 1:
        return False
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return False
    return staging is None or os.stat(staging).st_dev == found.st_dev


def _settle_before_close(content: Content) -> None:
    """Settle, in case the move ended early: an edit of the source file would change the record, too."""
    try:
        content.settle()
    except (OSError, StillArriving) as exc:
        log.error(
            "a stored file may still be open to another program", extra={"errno": getattr(exc, "errno", None)}
        )


def _make_private(content: Content, stored: Path, staging: Path | None) -> None:
    copy_beside(content.open(), stored, sha256=content.sha256, replace=True, staging=staging)
    disk.sync_folder(stored.parent)


def _path_of(stored: BinaryIO) -> Path | None:
    name = getattr(stored, "name", None)
    return Path(name) if isinstance(name, str) else None


class _PositionedReader(io.RawIOBase):
    """Reads a descriptor from the start, at its own position. Closing it leaves the descriptor open."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        match whence:
            case os.SEEK_CUR:
                offset += self._position
            case os.SEEK_END:
                offset += os.fstat(self._fd).st_size
        self._position = offset
        return offset

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        if sys.platform == "win32":
            raise io.UnsupportedOperation  # leases only exist on Linux
        count = os.preadv(self._fd, [buffer], self._position)
        self._position += count
        return count
