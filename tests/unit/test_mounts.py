"""Where a folder is mounted, and whether its file system keeps inode numbers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from intouch_import import mounts

LIST = rb"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 7:0 / /media/card\0401 rw,nosuid - fuseblk /dev/loop0 rw
31 22 0:40 / /mnt rw - autofs systemd-1 rw
32 31 0:41 / /mnt rw - cifs //server/photos rw
33 32 0:42 / /mnt/fast rw shared:2 master:1 - xfs /dev/sdb rw
""".strip().splitlines(keepends=True)


@pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")
@pytest.mark.parametrize(
    ("folder", "point", "keeps_inodes"),
    [
        ("/srv/photos", "/", True),
        ("/media/card 1", "/media/card 1", False),
        ("/media/card 1/DCIM", "/media/card 1", False),
        ("/media/card 10", "/", True),
        ("/mnt/drj", "/mnt", False),
        ("/mnt/fast/drj", "/mnt/fast", True),
    ],
)
def test_the_longest_mount_point_counts(folder: str, point: str, keeps_inodes: bool) -> None:
    """A folder belongs to the last mount above it; exFAT, FUSE and network shares don't keep inode numbers."""
    assert mounts._in_list(folder, LIST) == mounts.Mount(point, keeps_inodes)


def test_an_unknown_file_system_counts_as_weak() -> None:
    """What is not known to keep inode numbers is treated with more care."""
    assert not mounts._in_list("/", [b"22 1 0:1 / / rw - newfs none rw\n"]).keeps_inodes


def test_a_folder_without_a_mount_is_no_mount_point(tmp_path: Path) -> None:
    """A mount point that nothing is mounted at any more is noticed; the mount of this folder is mounted."""
    mount = mounts.mount_of(str(tmp_path))
    assert mount.is_mounted()
    assert not mounts.Mount(str(tmp_path), keeps_inodes=False).is_mounted()


@pytest.mark.skipif(sys.platform == "win32", reason="drives are looked up by another call")
def test_without_the_kernels_list_folders_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On other systems, the nearest mount point above the folder is found by looking."""
    monkeypatch.setattr(sys, "platform", "other")
    above = mounts.mount_of(str(tmp_path)).point
    assert os.path.ismount(above)
    assert tmp_path.is_relative_to(above)
