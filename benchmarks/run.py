"""Measure, against peers in the same run, and print one table: ``python benchmarks/run.py [--quick]``.

All parties get the same bytes, on the disk and in the page cache before the clock starts, and take turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import signal
import sys
from typing import TYPE_CHECKING, Any

import azure_storage
import listing
import media
import memory
import moving
import names
import together
from measuring import QUICK, Line, Sizes, workspaces

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SUBJECTS: dict[str, Callable[[Sizes], list[Line]]] = {
    "names": names.lines,
    "list": listing.lines,
    "move": moving.lines,
    "across": moving.lines_across,
    "memory": memory.lines,
    "media": media.lines,
    "together": together.lines,
    "azure": azure_storage.lines,
}
HEAD = Line(what="what was measured", ours="ours", peer="peer", ratio="ratio", target="target")


def main() -> None:
    """Run the chosen subjects, one after the other."""
    # SIGTERM would leave the folders of the benchmark behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sizes, subjects = chosen(sys.argv[1:])
    table = [HEAD]
    with workspaces(sizes) as placed:
        for subject in subjects:
            print(f"measuring: {subject}", file=sys.stderr, flush=True)
            table += SUBJECTS[subject](placed)
    python = f"Python {platform.python_version()}"
    print(f"Medians of {sizes.repeat}; {os.cpu_count()} CPUs; {platform.platform()}; {python}")
    print()
    print_table(table)


def chosen(arguments: Sequence[str]) -> tuple[Sizes, list[str]]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes, one run of each")
    parser.add_argument("--only", action="append", choices=SUBJECTS, metavar="NAME", help=", ".join(SUBJECTS))
    usual = Sizes()
    for field in dataclasses.fields(Sizes):
        default = getattr(usual, field.name)
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=type(default), metavar="N" if type(default) is int else "DIR")
    given: dict[str, Any] = {k: v for k, v in vars(parser.parse_args(arguments)).items() if v is not None}
    quick, only = given.pop("quick"), given.pop("only", list(SUBJECTS))
    return Sizes(**{**(QUICK if quick else {}), **given}), only


def print_table(table: Sequence[Line]) -> None:
    """Print lines as a Markdown table, its columns aligned."""
    cells = [dataclasses.astuple(line) for line in table]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, tuple("-" * width for width in widths))
    for row in cells:
        print("|", " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)), "|")


if __name__ == "__main__":
    main()
