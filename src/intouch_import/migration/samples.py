"""Some rows of a plan to look at, with thumbnails."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import InTouchImportError
from intouch_import.model import Action

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intouch_import.migration.rows import PlanRow
    from intouch_import.migration.walking import Folders

__all__ = ["Sample", "draw", "thumbnail_of"]


@attrs.frozen(kw_only=True)
class Sample:
    """A row to look at.

    Args:
        row: Which.
        thumbnail: A small JPEG, or None: it is no picture, or can't be read now.
    """

    row: PlanRow
    thumbnail: bytes | None = attrs.field(default=None, repr=False)


def draw(numbers: Iterable[int], n: int, *, seed: str) -> list[int]:
    """So many of the numbers, each as likely as any other, ascending; with one seed always the same."""
    chance = random.Random(seed)  # noqa: S311  # a sample, not a secret
    drawn: list[int] = []
    for seen, number in enumerate(numbers):
        if seen < n:
            drawn.append(number)
        elif (at := chance.randint(0, seen)) < n:
            drawn[at] = number
    return sorted(drawn)


def thumbnail_of(folders: Folders, row: PlanRow, *, px: int) -> bytes | None:
    """A small JPEG of a row's file; None if it is no picture, or can't be read now.

    Args:
        folders: What opens the row's folder.
        row: Which.
        px: Its longer side, pixels.
    """
    from intouch_import.media import thumbnails

    if row.verdict is Action.IGNORE or not row.import_id:
        return None
    try:
        with folders.open(row.folder).fetch(row.file) as content, content.open() as stream:
            return thumbnails.thumbnail_of(stream, px=px, size_bytes=content.size_bytes)
    except (InTouchImportError, OSError):
        return None
