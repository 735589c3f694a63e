"""Damage whole files as interrupted copies, bad disks and careless programs do, and count what the library says."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import attrs

from intouch_import.media.kinds import Kind
from intouch_import.model import Soundness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from corpus.files import Whole
    from intouch_import.media import Examiner

__all__ = ["DAMAGES", "Found", "damaged", "look", "table"]

DAMAGES = ("cut", "zeroed", "missing", "closed early", "unfilled")
"""Cut anywhere; 4 KB zeroed; 4 KB missing; cut and closed with the mark of an end; cut and filled with zeros."""
_HOLE_BYTES = 4096
_ENDS = {
    Kind.JPEG: b"\xff\xd9",
    Kind.PNG: b"\0\0\0\0IEND\xaeB`\x82",
    Kind.GIF: b"\0;",
    Kind.J2K: b"\xff\xd9",
    Kind.JP2: b"\xff\xd9",
    Kind.PDF: b"\n%%EOF\n",
}


@attrs.frozen
class Found:
    """What the library says of a damaged file.

    Args:
        file: The whole file.
        damage: One of `DAMAGES`.
        at: Where the damage begins, bytes.
        verified: Whether the library calls it complete.
        waits: Whether an automatic import waits for a person.
    """

    file: Whole
    damage: str
    at: int
    verified: bool
    waits: bool

    @property
    def lost(self) -> int:
        """How many of the bytes that the file declares are behind the start of the damage."""
        return self.file.needed - self.at

    def __str__(self) -> str:
        says = "verified" if self.verified else "waits" if self.waits else "imported unverified"
        return f"{self.file.label}, {self.damage} at {self.at} of {self.file.needed}: {says}"


def damaged(file: Whole, damage: str, at: int) -> bytes:
    """Return the bytes of a file that is damaged in one place."""
    content = file.content
    match damage:
        case "cut":
            return content[:at]
        case "zeroed":
            return content[:at] + bytes(len(content[at : at + _HOLE_BYTES])) + content[at + _HOLE_BYTES :]
        case "missing":
            return content[:at] + content[at + _HOLE_BYTES :]
        case "closed early":
            return content[:at] + _ENDS[file.kind]
        case "unfilled":
            return content[:at] + bytes(len(content) - at)
    raise AssertionError(damage)


def _places(file: Whole, damage: str, count: int) -> Iterator[int]:
    chance = random.Random(f"{file.label} {damage}")
    if damage == "closed early" and file.kind not in _ENDS:
        return
    # A hole is inside. What is cut or unfilled may be the last bytes only.
    room = _HOLE_BYTES if damage in {"zeroed", "missing"} else 1
    for _ in range(count if file.needed > room + 1 else 0):
        yield chance.randrange(1, file.needed - room + 1)


def look(
    files: Iterable[Whole], examiner: Examiner, *, count: int, damages: Sequence[str] = DAMAGES
) -> list[Found]:
    """Damage each file in ``count`` random places in each way, and examine it. Two threads work."""

    def one(case: tuple[Whole, str, int]) -> Found:
        file, damage, at = case
        facts = examiner.examine(damaged(file, damage, at), name=file.name)
        return Found(file, damage, at, facts.soundness is Soundness.VERIFIED, facts.doubt is not None)

    cases = [
        (file, damage, at) for file in files for damage in damages for at in _places(file, damage, count)
    ]
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(one, cases))


def table(found: Iterable[Found]) -> str:
    """Count by format and damage: files, those that wait, those imported unverified, and those verified."""
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for one in found:
        counts[one.file.format][one.damage][
            "verified" if one.verified and not one.waits else "waits" if one.waits else "unverified"
        ] += 1
    lines = ["of each: wait / imported unverified / imported verified"]
    lines.append(f"{'format':22}" + "".join(f"{damage:>18}" for damage in DAMAGES))
    for name, row in sorted(counts.items()):
        cells = [
            " / ".join(str(row[damage][key]) for key in ("waits", "unverified", "verified"))
            if damage in row
            else "-"
            for damage in DAMAGES
        ]
        lines.append(f"{name:22}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)
