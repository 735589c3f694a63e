"""How much memory the move of one big video takes, in a process of its own (Linux)."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import PATIENT, Line, clinic, lay_photos, part_of
from moving import is_other

from intouch_import.inbox import Inbox
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from measuring import Sizes

LIMIT_MB = 64
PIECE_BYTES = 1_000_000
STATUS = Path("/proc/self/status")


def lines(sizes: Sizes) -> list[Line]:
    """Measure within one file system and, where there are two, across."""
    places = [("within one file system", sizes.folder)]
    if is_other(sizes):
        places.append(("from another file system to the disk", sizes.other_folder))
    return [line(sizes, where, parent) for where, parent in places]


def line(sizes: Sizes, where: str, parent: Path) -> Line:
    """Measure once: a high-water mark does not vary as times do."""
    what = (
        f"peak memory of moving one video of {sizes.video_mb:,} MB {where}, above the idle process (one run)"
    )
    if not STATUS.exists():
        return Line(what=what, ours="not measured: needs Linux")
    photos, target = part_of(parent) / "photos", part_of(sizes.folder)
    lay_video(photos, sizes.video_mb)
    command = [sys.executable, __file__, str(photos), str(target)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(target)
    idle_kb, peak_kb = map(int, done.stdout.split())
    above_mb = (peak_kb - idle_kb) * 1024 / 1e6
    return Line(
        what=what,
        ours=f"+{above_mb:.1f} MB",
        peer=f"idle: {idle_kb * 1024 / 1e6:.0f} MB",
        target=f"<= {LIMIT_MB} MB: {'met' if above_mb <= LIMIT_MB else 'MISSED'}",
    )


def lay_video(folder: Path, size_mb: int) -> None:
    """Make one file of real bytes, no two of its pieces alike."""
    lay_photos(folder, 1, PIECE_BYTES, name="theatre.mp4")
    video = folder / "theatre.mp4"
    piece = bytearray(video.read_bytes())
    with open(video, "ab", buffering=0) as file:
        for number in range(1, size_mb):
            piece[:8] = number.to_bytes(8, "big")
            file.write(piece)


def main() -> None:
    """Move all of a folder, and print the resident memory before and its peak since, both in KiB."""
    photos, target = map(Path, sys.argv[1:])
    with clinic(target) as records:
        inbox = Inbox(records, [open_source(str(photos))], auto_import=False, settle_s=0)
        inbox.refresh()
        job = inbox.prepare(inbox.rows, patient=PATIENT)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        idle_kb = status_kb("VmRSS")
        report = inbox.save(job)
        peak_kb = status_kb("VmHWM")
        if report.imported != 1:
            raise AssertionError("the video was not moved")
    print(idle_kb, peak_kb)


def status_kb(key: str) -> int:
    """One number of what the kernel knows of this process, KiB."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1])


if __name__ == "__main__":
    main()
