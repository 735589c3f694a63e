"""Count how many files of ours a reader opens who follows one photo through the library.

::

    python benchmarks/trace.py              # an inbox: `Inbox.refresh`
    python benchmarks/trace.py migration    # a migration: `migration.plan` and `Plan.run`
    python benchmarks/trace.py --calls      # print every call, indented by depth

Every call of a Python frame of ours is recorded, in all threads, in the order in which the calls happen; lambdas
and comprehensions count as frames. A *change of file* is a call whose code is in another file than the call
recorded just before it. Another photo goes first, so imports, set-up and caches are not counted. Compare the
numbers of two states of the code, measured by the same interpreter; the numbers alone say little.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from PIL import Image

import intouch_import
from intouch_import import Inbox, Patient, Provider, open_source
from intouch_import.repositories.sql import SqlRepository

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PACKAGE = str(Path(intouch_import.__file__).parent)


class Call(NamedTuple):
    """One call: its depth in its thread (frames of ours only), its file and its function."""

    thread: int
    depth: int
    file: str
    function: str


class Trace:
    """Record the calls of frames of ours, while entered."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._depths: dict[int, int] = {}

    def __enter__(self) -> Self:
        threading.setprofile(self._record)
        sys.setprofile(self._record)
        return self

    def __exit__(self, *_exc: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]  # None switches it off, as for `sys.setprofile`

    def _record(self, frame: FrameType, event: str, _arg: object) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(PACKAGE):
            return
        thread = threading.get_ident()
        depth = self._depths.get(thread, 0)
        if event == "return":
            self._depths[thread] = max(0, depth - 1)
            return
        self._depths[thread] = depth + 1
        file = code.co_filename.removeprefix(PACKAGE).lstrip("/\\")
        self.calls.append(Call(thread, depth + 1, file, code.co_qualname))

    def summary(self) -> dict[str, int]:
        """Count calls, functions, files and changes of file; find the greatest depth."""
        return {
            "calls": len(self.calls),
            "functions": len({(call.file, call.function) for call in self.calls}),
            "files": len({call.file for call in self.calls}),
            "changes of file": sum(one.file != next_.file for one, next_ in itertools.pairwise(self.calls)),
            "depth": max(call.depth for call in self.calls),
        }


def _photo(path: Path, colour: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), (colour, 90, 70)).save(path, "JPEG")


def _records(work: Path) -> SqlRepository:
    records = SqlRepository.open(f"sqlite:///{work / 'clinic.db'}", files=work / "clinic-files")
    records.add_patients([Patient(id="10042", name="Test")])
    records.add_providers([Provider(id="DRJ", name="Test")])
    return records


def trace_inbox(work: Path) -> Trace:
    """Refresh an inbox whose folder has one photo that is imported automatically."""
    folder = work / "photos"
    folder.mkdir()
    inbox = Inbox(_records(work), [open_source(folder, provider="DRJ")], settle_s=0)
    _photo(folder / "10042_DRJ_20260131_142501.jpg", 10)
    assert inbox.refresh().imported == 1
    _photo(folder / "10042_DRJ_20260131_142502.jpg", 20)
    with Trace() as trace:
        report = inbox.refresh()
    assert report.imported == 1
    return trace


def trace_migration(work: Path) -> Trace:
    """Plan an archive of one photo, and run the plan."""
    from intouch_import import migration

    records = _records(work)
    rule = migration.FolderRule("{patient}")

    def migrate(name: str, colour: int) -> Trace:
        photo = work / name / "10042" / "IMG_0001.jpg"
        _photo(photo, colour)
        with Trace() as trace:
            plan = migration.plan(work / name, rule, records, to=work / f"{name} plan")
            run = plan.run(records).wait()
        assert run.progress.counts == {"imported": 1}
        assert not photo.exists()
        return trace

    migrate("warm-up", 10)
    return migrate("archive", 20)


TRACES: dict[str, Callable[[Path], Trace]] = {"inbox": trace_inbox, "migration": trace_migration}


def main() -> None:
    """Trace one of the ways of a photo, and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="?", choices=TRACES, default="inbox")
    parser.add_argument("--calls", action="store_true", help="print every call, indented by depth")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        trace = TRACES[chosen.what](Path(work))
    if chosen.calls:
        for call in trace.calls:
            print(f"{call.thread % 1000:3} {'  ' * call.depth}{call.file}  {call.function}")
    for what, count in trace.summary().items():
        print(f"{what:>16} {count:6}")


if __name__ == "__main__":
    main()
