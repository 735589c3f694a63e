"""A memory card whose files get new inode numbers each time it is plugged in: a real one, or a folder that acts as one."""

from __future__ import annotations

import abc
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from intouch_import.mounts import Mount
from services.cache import Unavailable
from services.debian import find_programs

__all__ = ["Card", "ExfatCard", "FolderCard"]


class Card(abc.ABC):
    """A card, plugged in.

    Attributes:
        path: Where it is mounted. While it is unplugged, an empty folder remains there.
    """

    path: Path

    @abc.abstractmethod
    def pull(self) -> None:
        """Unplug it."""

    @abc.abstractmethod
    def plug(self) -> None:
        """Plug it in."""

    @abc.abstractmethod
    def throw_away(self) -> None:
        """Unplug it for ever."""


class FolderCard(Card):
    """A folder in the place of a card. Its files are copied when it is plugged in, so their inodes change.

    Times are whole, even seconds, as on FAT. Name it to the library as a mount: see `mount`.
    """

    def __init__(self, root: Path) -> None:
        self.path, self._aside = root / "card", root / "unplugged"
        self.path.mkdir()

    @property
    def is_plugged_in(self) -> bool:
        return not self._aside.exists()

    @property
    def mount(self) -> Mount:
        """The mount that the card would be."""
        return Mount(str(self.path), keeps_inodes=False)

    def pull(self) -> None:
        self.path.rename(self._aside)
        self.path.mkdir()

    def plug(self) -> None:
        renumbered = self.path.with_name("renumbered")
        shutil.copytree(self._aside, renumbered)
        for path in renumbered.rglob("*.*"):
            second = int((self._aside / path.relative_to(renumbered)).stat().st_mtime) // 2 * 2
            os.utime(path, (second, second))
        self.path.rmdir()
        renumbered.rename(self.path)
        shutil.rmtree(self._aside)

    def throw_away(self) -> None:
        """Do nothing: the folder is a temporary one."""


class ExfatCard(Card):
    """An exFAT file system in an image file, mounted by FUSE.

    Raises:
        Unavailable: It can't be mounted here: that needs Linux, the rights of root, and exfat-fuse.
    """

    def __init__(self, root: Path) -> None:
        if sys.platform != "linux" or os.geteuid() != 0 or not Path("/dev/fuse").exists():
            raise Unavailable("mounting needs the rights of root, and FUSE")
        self._programs = find_programs(
            "mount.exfat-fuse", "mkfs.exfat", packages=("exfat-fuse", "exfatprogs")
        )
        self.path = root / "card"
        self.path.mkdir()
        image = root / "card.img"
        with image.open("wb") as file:
            file.truncate(8 << 20)
        self._run(self._programs["mkfs.exfat"], str(image))
        self._device = self._run("losetup", "--show", "--find", str(image)).strip()
        try:
            self.plug()
        except Unavailable:
            self._run("losetup", "--detach", self._device)
            raise

    def pull(self) -> None:
        self._run("umount", str(self.path))

    def plug(self) -> None:
        self._run(self._programs["mount.exfat-fuse"], self._device, str(self.path))

    def throw_away(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=False, capture_output=True)
        subprocess.run(["losetup", "--detach", self._device], check=False, capture_output=True)

    def _run(self, *command: str) -> str:
        with tempfile.TemporaryFile() as output:  # not a pipe, which the FUSE daemon would keep open
            done = subprocess.run(
                command, check=False, stdout=output, stderr=subprocess.STDOUT, env=self._programs.environment
            )
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        if done.returncode != 0:
            raise Unavailable(f"{command[0]}: {text.strip()}")
        return text
