"""What the benchmarks share: lines of the table, sizes, fresh data, and parties timed in turn."""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from intouch_import.model import Patient, Provider
from intouch_import.repositories.sql import SqlRepository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENT = "10042"
PROVIDER = "DRJ"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the table.

    Args:
        what: What was measured, and against what exactly.
        ours, peer: The medians, with their units.
        ratio: What `target` speaks of.
        target: What the ratio must be; empty where there is no target.
    """

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    target: str = ""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured.

    Args:
        repeat: Runs of each party; the table shows medians.
        folder: Where on the disk to work; a new folder is made in it, and deleted in the end.
        other_folder: Likewise, on another file system.
        names: Names to read.
        list_files: Files in the folder that is listed for the first time.
        waiting_files: Files in the folder that is listed again.
        move_files: Files moved within one file system.
        across_files: Files moved from one file system to another.
        file_kb: Size of each moved file, thousands of bytes.
        video_mb: Size of the one big file, millions of bytes.
        photos: JPEGs of 12 megapixels that are looked into.
        together_files: Photos of the healthy folder among ill locations.
        azure_listed: Blobs in the folder that is listed; four times as many are elsewhere in the container.
        azure_waiting: Blobs in the folder that is listed again.
        azure_small: Blobs of 200 KB that are moved.
        azure_large: Blobs of 4 MB that are moved.
    """

    repeat: int = 5
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    other_folder: Path = Path("/dev/shm")
    names: int = 20_000
    list_files: int = 100_000
    waiting_files: int = 50_000
    move_files: int = 10_000
    across_files: int = 2_500
    file_kb: int = 200
    video_mb: int = 2_000
    photos: int = 48
    together_files: int = 1_000
    azure_listed: int = 5_000
    azure_waiting: int = 50_000
    azure_small: int = 2_000
    azure_large: int = 100


QUICK = {
    "repeat": 1,
    "names": 5_000,
    "list_files": 10_000,
    "waiting_files": 5_000,
    "move_files": 1_000,
    "across_files": 250,
    "video_mb": 200,
    "photos": 12,
    "together_files": 400,
    "azure_listed": 1_000,
    "azure_waiting": 2_000,
    "azure_small": 300,
    "azure_large": 20,
}
"""What ``--quick`` makes of the sizes."""


def in_turn(repeat: int, *parties: Callable[[], float]) -> list[float]:
    """Let parties do the same work in turn; the median of each.

    Args:
        repeat: How often each has its turn.
        parties: Each prepares, works, and returns the seconds of the work alone (see `seconds`).
    """
    turns = [[party() for party in parties] for _ in range(repeat)]
    return [statistics.median(turn) for turn in zip(*turns, strict=True)]


def seconds(work: Callable[[], object]) -> float:
    """Time one piece of work. What was written before is on the disk, and no garbage is left over."""
    os.sync()
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextlib.contextmanager
def workspaces(sizes: Sizes) -> Iterator[Sizes]:
    """Sizes whose folders are new ones, below the given ones; they are deleted on exit and not before.

    ext4 does not hand out an inode again for minutes after its file was deleted, and steps over each such
    inode one by one: whoever makes files after a benchmark that deleted thousands would be slowed down.
    """
    with contextlib.ExitStack() as stack:
        other = sizes.other_folder
        yield replace(
            sizes,
            folder=new_folder(sizes.folder, stack),
            other_folder=new_folder(other, stack) if other.is_dir() else other,
        )


def new_folder(parent: Path, stack: contextlib.ExitStack) -> Path:
    """A new folder that the stack deletes."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="intouch-benchmark-", dir=parent)))


def part_of(folder: Path) -> Path:
    """A new folder in a workspace, for one party's turn."""
    return Path(tempfile.mkdtemp(dir=folder))


@contextlib.contextmanager
def clinic(folder: Path) -> Iterator[SqlRepository]:
    """An empty practice in ``folder``: a SQLite database, a folder for files, one patient, one provider."""
    with SqlRepository.open(f"sqlite:///{folder / 'clinic.db'}", files=folder / "files") as records:
        records.add_patient(Patient(id=PATIENT, name="Ada Example"))
        records.add_provider(Provider(id=PROVIDER, name="Dr Jones"))
        yield records


def lay_photos(folder: Path, count: int, size_bytes: int, *, name: str = "IMG_{:06}.jpg") -> Path:
    """Make a folder of different files of random bytes between the ends of a JPEG, all in the page cache."""
    folder.mkdir()
    block = memoryview(bytearray(os.urandom(size_bytes)))
    block[:3], block[-2:] = b"\xff\xd8\xff", b"\xff\xd9"
    for number in range(count):
        block[3:11] = number.to_bytes(8, "big")
        with open(folder / name.format(number), "wb", buffering=0) as file:
            file.write(block)
    os.sync()
    for path in folder.iterdir():
        with open(path, "rb", buffering=0) as file:
            while file.read(1_000_000):
                pass
    return folder


def per_file(total_s: float, files: int) -> str:
    """A duration, and what it comes to for each file."""
    return f"{total_s:.2f} s ({total_s / files * 1e6:.1f} us/file)"


def at_most(limit: float, ratio: float) -> str:
    """A target, and whether it was met."""
    return f"<= {limit:g} x: {'met' if ratio <= limit else 'MISSED'}"
