"""How fast a folder becomes a list with verdicts, and how much memory a row takes."""

from __future__ import annotations

import gc
import os
import tracemalloc
from typing import TYPE_CHECKING

from measuring import Line, at_most, clinic, in_turn, part_of, per_file, seconds

from intouch_import.inbox import Inbox
from intouch_import.model import Patient
from intouch_import.sources import open_source

if TYPE_CHECKING:
    from pathlib import Path

    from measuring import Sizes

    from intouch_import.repositories.sql import SqlRepository

ROW_LIMIT_BYTES = 1024


def lines(sizes: Sizes) -> list[Line]:
    """Measure the first list of a folder, and a later one."""
    return [*first(sizes), again(sizes, auto_import=False), again(sizes, auto_import=True)]


def first(sizes: Sizes) -> list[Line]:
    """List a folder that a new inbox has never seen."""
    count = sizes.list_files
    folder = lay_names(part_of(sizes.folder) / "photos", count)

    def ours() -> float:
        with clinic(part_of(sizes.folder)) as records:
            inbox = open_inbox(records, folder)
            taken_s = seconds(inbox.refresh)
            check(inbox, count)
            return taken_s

    ours_s, bare_s = in_turn(sizes.repeat, ours, lambda: seconds(lambda: bare(folder)))
    row_bytes = bytes_per_row(part_of(sizes.folder), folder, count)
    ratio = ours_s / bare_s
    return [
        Line(
            what=f"list {count:,} files into rows with verdicts (half of them with capture names, automatic "
            "import off, new inbox) / os.scandir and stat of the same folder",
            ours=per_file(ours_s, count),
            peer=per_file(bare_s, count),
            ratio=f"{ratio:.2f} x",
            target=at_most(3, ratio),
        ),
        Line(
            what=f"memory that a row of these {count:,} takes (tracemalloc, inbox and report alive)",
            ours=f"{row_bytes:.0f} bytes",
            target=f"< {ROW_LIMIT_BYTES} bytes: {'met' if row_bytes < ROW_LIMIT_BYTES else 'MISSED'}",
        ),
    ]


def again(sizes: Sizes, *, auto_import: bool) -> Line:
    """List a folder again in which nothing changed.

    Args:
        sizes: How many files.
        auto_import: Whether half of the files claim a patient who exists and another provider than the folder's,
            so that they wait although automatic import is on: whether that still holds is asked each time.
    """
    count = sizes.waiting_files
    folder = lay_names(part_of(sizes.folder) / "photos", count)
    with clinic(part_of(sizes.folder)) as records:
        if auto_import:
            records.add_patients(
                Patient(id=str(10_000 + number), name="Ada Example") for number in range(count)
            )
        inbox = open_inbox(records, folder, provider="DRK", auto_import=auto_import)
        inbox.refresh()
        ours_s, bare_s = in_turn(
            sizes.repeat, lambda: seconds(inbox.refresh), lambda: seconds(lambda: bare(folder))
        )
        check(inbox, count)
    ratio = ours_s / bare_s
    how = "on, half of them claim another provider" if auto_import else "off, half of them with capture names"
    return Line(
        what=f"refresh {count:,} waiting files of which none changed (same inbox, automatic import {how}) / "
        "os.scandir and stat of the same folder",
        ours=per_file(ours_s, count),
        peer=per_file(bare_s, count),
        ratio=f"{ratio:.2f} x",
    )


def bare(folder: Path) -> list[tuple[str, os.stat_result]]:
    """Read names, sizes and times: the least that any list of a folder must do."""
    with os.scandir(folder) as entries:
        return [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]


def lay_names(folder: Path, count: int) -> Path:
    """Make small files, every second one under a capture name."""
    folder.mkdir()
    for number in range(count):
        minute, second = divmod(number // 2, 60)
        hour, minute = divmod(minute, 60)
        captured = f"{10_000 + number}_DRJ_202601{hour // 24 + 1:02}_{hour % 24:02}{minute:02}{second:02}.jpg"
        name = captured if number % 2 else f"IMG_{number:06} (copy).jpg"
        with open(folder / name, "wb", buffering=0) as file:
            file.write(b"\xff\xd8\xff")
    return folder


def open_inbox(
    records: SqlRepository, folder: Path, *, provider: str | None = None, auto_import: bool = False
) -> Inbox:
    """A new inbox that does not wait for files to settle."""
    source = open_source(str(folder), provider=provider)
    return Inbox(records, [source], zone="Australia/Sydney", auto_import=auto_import, settle_s=0)


def check(inbox: Inbox, count: int) -> None:
    """See that what was timed is what was to be done."""
    waiting = sum(row.state == "waiting" for row in inbox.rows)
    named = sum(row.capture is not None for row in inbox.rows)
    if (waiting, named) != (count, count // 2):
        raise AssertionError(f"{waiting} rows wait and {named} have capture names, of {count}")


def bytes_per_row(work: Path, folder: Path, count: int) -> float:
    """What a refresh leaves allocated, in bytes for each row."""
    with clinic(work) as records:
        inbox = open_inbox(records, folder)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            report = inbox.refresh()
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        if report.waiting != count:
            raise AssertionError("not every file waits")
        return (after - before) / count
