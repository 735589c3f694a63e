"""Where a folder is mounted, and whether its file system keeps inode numbers.

FAT, exFAT, FUSE and network file systems give files new inode numbers with each mount, and some of them round
times to two seconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mount", "mount_of"]

# File systems that store inode numbers and exact times. All others, and unknown ones, count as weak.
_KEEP_INODES: Final = frozenset(
    {
        "apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "nilfs2", "ntfs", "ntfs3",
        "overlay", "ramfs", "refs", "reiserfs", "tmpfs", "ufs", "xfs", "zfs",
    }
)  # fmt: skip
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
_WINDOWS_REMOTE: Final = 4  # DRIVE_REMOTE


class Mount(NamedTuple):
    """A mounted file system.

    Attributes:
        point: Path of the mount point.
        keeps_inodes: Whether files have the same inode numbers after the next mount.
    """

    point: str
    keeps_inodes: bool

    def is_mounted(self) -> bool:
        """Return whether something is mounted at the mount point; otherwise an empty folder is there."""
        return mount_of(self.point).point == self.point


def mount_of(folder: str) -> Mount:
    """Return the file system of a folder.

    Args:
        folder: Absolute path without links.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/self/mountinfo", "rb") as lines:  # noqa: PTH123
            return _in_list(folder, lines)
    point = folder
    while not os.path.ismount(point) and os.path.dirname(point) != point:  # noqa: PTH120
        point = os.path.dirname(point)  # noqa: PTH120
    return Mount(point, _kind(point).lower() in _KEEP_INODES)


def _in_list(folder: str, lines: Iterable[bytes]) -> Mount:
    """Find a folder in the kernel's list of mounts. Later lines cover earlier ones: proc_pid_mountinfo(5)."""
    path = os.fsencode(folder)
    point, kind = b"/", b""
    for line in lines:
        before, _, after = line.partition(b" - ")
        where = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), before.split()[4])
        if len(where) >= len(point) and (path + b"/").startswith(where.rstrip(b"/") + b"/"):
            point, kind = where, after.split()[0]
    return Mount(os.fsdecode(point), kind.decode("ascii", "replace") in _KEEP_INODES)


def _kind(point: str) -> str:
    """Return the name of the file system at a mount point; empty if it is not known."""
    if sys.platform == "win32":
        name = ctypes.create_unicode_buffer(64)
        volume = f"{point.rstrip(os.sep)}{os.sep}"
        if ctypes.windll.kernel32.GetDriveTypeW(volume) == _WINDOWS_REMOTE:
            return ""
        ctypes.windll.kernel32.GetVolumeInformationW(volume, None, 0, None, None, None, name, 64)
        return name.value
    if sys.platform == "darwin":
        # struct statfs of <sys/mount.h> with 64-bit inodes: f_fstypename begins at byte 72.
        found = ctypes.create_string_buffer(4096)
        libc = ctypes.CDLL(None)
        statfs = getattr(libc, "statfs$INODE64", None) or libc.statfs
        if statfs(os.fsencode(point), found) == 0:
            return found.raw[72:88].partition(b"\0")[0].decode("ascii", "replace")
    return ""
