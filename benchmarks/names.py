"""How fast names are judged, against a peer in the same run: ``python benchmarks/names.py``."""

from __future__ import annotations

import os.path
import re
import statistics
import time
from datetime import datetime
from typing import TYPE_CHECKING

from intouch_import.extensions import classify
from intouch_import.filenames import CaptureNaming

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RUNS = 5
NAMES = 20_000
EXTENSIONS = ("jpg", "JPG", "HEIC", "mp4", "png", "pdf", "jfif", "TIFF")
BARE = re.compile(
    r"([A-Za-z0-9-]+)_([A-Za-z0-9-]+)_"
    r"([0-9]{4})([0-9]{2})([0-9]{2})_([0-9]{2})([0-9]{2})([0-9]{2})"
    r"(?:_([0-9]+))?(\.[A-Za-z0-9]{1,10})"
)


def bare(name: str, /) -> datetime | None:
    """Match one name and make the time of it: the least that any reader of names must do."""
    match = BARE.fullmatch(name)
    if match is None:
        return None
    _, _, year, month, day, hour, minute, second, _, _ = match.groups()
    parts = int(year), int(month), int(day), int(hour), int(minute), int(second)
    return datetime(*parts)  # noqa: DTZ001 (names carry the wall time of the clinic)


def capture_names() -> list[str]:
    """Make names with the capture structure, a quarter of them with a sequence."""
    return [
        f"{10_000 + n}_DR{n % 7}_2026{n % 12 + 1:02}{n % 28 + 1:02}_{n % 24:02}{n % 60:02}{n % 59:02}"
        f"{'' if n % 4 else f'_{n % 10:02}'}.{EXTENSIONS[n % 8]}"
        for n in range(NAMES)
    ]


def camera_names() -> list[str]:
    """Make names without the capture structure."""
    return [f"IMG_{n:04} (copy).{EXTENSIONS[n % 8]}" for n in range(NAMES)]


def names_per_second(
    ours: Callable[[str], object], peer: Callable[[str], object], names: Sequence[str]
) -> tuple[float, float]:
    """Time both in turn over the same names; the medians of `RUNS` runs."""

    def once(judge: Callable[[str], object]) -> float:
        started = time.perf_counter()
        for name in names:
            judge(name)
        return len(names) / (time.perf_counter() - started)

    pairs = [(once(ours), once(peer)) for _ in range(RUNS)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def rows() -> list[tuple[str, str, str, str]]:
    """Measure. Each row says what, ours, the peer, and our time as a multiple of the peer's."""
    parse = CaptureNaming().parse
    captured, camera = capture_names(), camera_names()
    measured = [
        (
            "classify, against os.path.splitext",
            names_per_second(classify, os.path.splitext, captured + camera),
        ),
        ("parse a capture name, against a bare regex and datetime", names_per_second(parse, bare, captured)),
        ("parse any other name, against a bare regex", names_per_second(parse, bare, camera)),
    ]
    return [
        (what, f"{ours / 1e6:.2f} M names/s", f"{peer / 1e6:.2f} M names/s", f"{peer / ours:.2f} x")
        for what, (ours, peer) in measured
    ]


def main() -> None:
    """Print the table."""
    head = ("what", "ours", "peer", "time ratio")
    table = [head, *rows()]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
