"""How fast files move into the record: within one file system, and from one to another."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import PATIENT, Line, at_most, clinic, in_turn, lay_photos, part_of, per_file, seconds

from intouch_import.inbox import Inbox
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from measuring import Sizes

FLOOR_LIMIT = 1.3
SHELL_LIMIT = 1 / 3
THREADS = 2
SHELL = 'for file in "$1"/*; do sha256sum "$file" && cp "$file" "$2/" && rm "$file"; done >"$3"'


def lines(sizes: Sizes) -> list[Line]:
    """Measure within one file system: against the least work possible, and against a shell script."""
    count = sizes.move_files
    photos = lay_photos(part_of(sizes.folder) / "photos", count, sizes.file_kb * 1000)

    def turn(move: Callable[[Path, Path, int], float]) -> Callable[[], float]:
        def one() -> float:
            target = part_of(sizes.folder)
            taken_s = move(photos, target, count)
            put_back(photos, target, count)
            return taken_s

        return one

    ours_s, floor_s, shell_s = in_turn(sizes.repeat, turn(ours), turn(floor), turn(shell))
    what = f"move {count:,} files of {sizes.file_kb} KB within one file system (prepare and save: durable, verified)"
    return [
        Line(
            what=f"{what} / SHA-256 in two threads and a rename each, not durable",
            ours=per_file(ours_s, count),
            peer=per_file(floor_s, count),
            ratio=f"{ours_s / floor_s:.2f} x",
            target=at_most(FLOOR_LIMIT, ours_s / floor_s),
        ),
        Line(
            what=f"{what} / sh: sha256sum, cp, rm for each, not durable, not verified",
            ours=per_file(ours_s, count),
            peer=per_file(shell_s, count),
            ratio=f"1/{shell_s / ours_s:.1f}",
            target=f"<= 1/3: {'met' if ours_s / shell_s <= SHELL_LIMIT else 'MISSED'}",
        ),
    ]


def lines_across(sizes: Sizes) -> list[Line]:
    """Measure from one file system to another, against rclone."""
    count = sizes.across_files
    what = (
        f"move {count:,} files of {sizes.file_kb} KB from another file system to the disk (prepare and save: "
        "durable, verified) / rclone move --checksum --transfers 4"
    )
    if not is_other(sizes):
        return [Line(what=what, ours="not measured: no other file system; see --other-folder")]

    def turn(move: Callable[[Path, Path, int], float]) -> Callable[[], float]:
        def one() -> float:
            photos = lay_photos(part_of(sizes.other_folder) / "photos", count, sizes.file_kb * 1000)
            return move(photos, part_of(sizes.folder), count)

        return one

    if shutil.which("rclone") is None:
        (ours_s,) = in_turn(sizes.repeat, turn(ours))
        return [Line(what=what, ours=per_file(ours_s, count), peer="rclone is not installed")]
    ours_s, rclone_s, durable_s = in_turn(sizes.repeat, turn(ours), turn(rclone), turn(rclone_durably))
    return [
        Line(
            what=what + note,
            ours=per_file(ours_s, count),
            peer=per_file(peer_s, count),
            ratio=f"{ours_s / peer_s:.2f} x",
            target=target,
        )
        for note, peer_s, target in (
            (", not durable", rclone_s, at_most(1, ours_s / rclone_s)),
            (", then sync", durable_s, ""),
        )
    ]


def is_other(sizes: Sizes) -> bool:
    """Whether there are two file systems to move between."""
    other = sizes.other_folder
    return other.is_dir() and other.stat().st_dev != sizes.folder.stat().st_dev


def put_back(photos: Path, target: Path, count: int) -> None:
    """Rename what was moved back to where it was: the next party finds the same bytes, still in the cache."""
    if any(photos.iterdir()):
        raise AssertionError("files were left behind")
    files = (path for path in target.rglob("*") if path.is_file())
    moved = sorted(path for path in files if not path.name.startswith(("clinic.db", "sums")))
    if len(moved) != count:
        raise AssertionError(f"{len(moved)} of {count} files were moved")
    for number, path in enumerate(moved):
        path.rename(photos / f"IMG_{number:06}.jpg")


def ours(photos: Path, target: Path, count: int) -> float:
    """Choose all rows for one patient and save them. Listing them was done before."""
    with clinic(target) as records:
        inbox = Inbox(records, [open_source(str(photos))], auto_import=False, settle_s=0, check_content=False)
        inbox.refresh()
        taken_s = seconds(
            lambda: inbox.save(inbox.prepare(inbox.rows, patient=PATIENT, title="Left forearm"))
        )
        stored = len(records.attachments(PATIENT))
        if stored != count:
            raise AssertionError(f"{stored} of {count} files are in the record")
        return taken_s


def floor(photos: Path, target: Path, count: int) -> float:
    """Hash every file and rename it: what no verified move within a file system can do without."""
    names = sorted(os.listdir(photos))
    if len(names) != count:
        raise AssertionError("the files are not there")

    def move(names: list[str]) -> None:
        for name in names:
            with open(f"{photos}/{name}", "rb", buffering=0) as file:
                hashlib.file_digest(file, "sha256").hexdigest()
            os.rename(f"{photos}/{name}", f"{target}/{name}")

    def work() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(move, [names[start::THREADS] for start in range(THREADS)]))

    return seconds(work)


def shell(photos: Path, target: Path, count: int) -> float:
    """What a careful person types."""
    copies = target / "copies"
    copies.mkdir()
    command = ["sh", "-c", SHELL, "sh", str(photos), str(copies), str(target / "sums")]
    taken_s = seconds(lambda: subprocess.run(command, check=True))
    check(copies, count)
    return taken_s


def rclone(photos: Path, target: Path, count: int, *, durably: bool = False) -> float:
    """Let rclone move the folder, without a configuration of its own."""
    copies = target / "copies"
    command = ["rclone", "move", str(photos), str(copies), "--checksum", "--transfers", "4"]
    command += ["--config", "", "--quiet"]

    def work() -> None:
        subprocess.run(command, check=True)
        if durably:
            subprocess.run(["sync", "-f", str(copies)], check=True)

    taken_s = seconds(work)
    check(copies, count)
    return taken_s


def rclone_durably(photos: Path, target: Path, count: int) -> float:
    """`rclone`, and what is needed to survive a power cut."""
    return rclone(photos, target, count, durably=True)


def check(copies: Path, count: int) -> None:
    """See that the peer did its work."""
    if len(os.listdir(copies)) != count:
        raise AssertionError("the peer did not move every file")
