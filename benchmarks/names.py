"""How fast names are judged: the extension, and the capture structure."""

from __future__ import annotations

import os.path
import re
from datetime import datetime
from typing import TYPE_CHECKING

from measuring import Line, in_turn, seconds

from intouch_import.extensions import classify
from intouch_import.filenames import CaptureNaming

if TYPE_CHECKING:
    from collections.abc import Callable

    from measuring import Sizes

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


def capture_names(count: int) -> list[str]:
    """Make names with the capture structure, a quarter of them with a sequence."""
    return [
        f"{10_000 + n}_DR{n % 7}_2026{n % 12 + 1:02}{n % 28 + 1:02}_{n % 24:02}{n % 60:02}{n % 59:02}"
        f"{'' if n % 4 else f'_{n % 10:02}'}.{EXTENSIONS[n % 8]}"
        for n in range(count)
    ]


def camera_names(count: int) -> list[str]:
    """Make names without the capture structure."""
    return [f"IMG_{n:04} (copy).{EXTENSIONS[n % 8]}" for n in range(count)]


def lines(sizes: Sizes) -> list[Line]:
    """Measure classifying and parsing."""
    parse = CaptureNaming().parse
    captured, camera = capture_names(sizes.names), camera_names(sizes.names)
    subjects: list[tuple[str, Callable[[str], object], Callable[[str], object], list[str]]] = [
        ("classify a name / os.path.splitext", classify, os.path.splitext, captured + camera),
        ("parse a capture name / a bare regex and datetime", parse, bare, captured),
        ("parse any other name / a bare regex", parse, bare, camera),
    ]
    return [line(what, names, ours, peer, sizes.repeat) for what, ours, peer, names in subjects]


def line(
    what: str,
    names: list[str],
    ours: Callable[[str], object],
    peer: Callable[[str], object],
    repeat: int,
) -> Line:
    """Time both in turn over the same names."""

    def judge_all(judge: Callable[[str], object]) -> None:
        for name in names:
            judge(name)

    ours_s, peer_s = in_turn(
        repeat, lambda: seconds(lambda: judge_all(ours)), lambda: seconds(lambda: judge_all(peer))
    )
    return Line(
        what=f"{what}, {len(names):,} names",
        ours=f"{ours_s / len(names) * 1e6:.2f} us/name",
        peer=f"{peer_s / len(names) * 1e6:.2f} us/name",
        ratio=f"{ours_s / peer_s:.2f} x",
    )
