"""How many files are under way at once: batches, the threads of each source, and removals that go together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.model import Destination, Reason, SourceFile, State
from intouch_import.moving import MoveOrder
from intouch_import.moving import mover as batching
from intouch_import.testing import MemoryFolder, MemorySource
from miniature import jpeg
from moving_bench import Bench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intouch_import.sources import Source
    from miniature import Practice


class Paced(MemorySource):
    """A folder in memory that says how many of its files go together."""

    def __init__(self, name: str, *, concurrency: int = 2, together: int = 0) -> None:
        super().__init__(MemoryFolder(name))
        self.concurrency = concurrency
        self.removes_together = together
        self.groups: list[list[str]] = []
        self.fetched: list[str] = []

    def fetch(self, file: SourceFile, **options: Any) -> Any:
        self.fetched.append(file.name)
        return super().fetch(file, **options)

    def remove_many(self, files: Sequence[SourceFile]) -> list[Exception | None]:
        self.groups.append([file.name for file in files])
        for file in files:
            self.remove(file, sha256="")
        return [None] * len(files)


def order(source: Source, name: str = "a.jpg", size_bytes: int = 1) -> MoveOrder:
    return MoveOrder(
        import_id=name,
        source=source,
        file=SourceFile(name=name, size_bytes=size_bytes, version="1"),
        patient_id="10042",
        destination=Destination.IMAGES,
        reason=Reason.CHOSEN,
    )


def sizes(orders: list[MoveOrder]) -> list[list[int]]:
    return [[one.file.size_bytes for one in batch] for batch in batching.batches_of(orders)]


# --- batches


def test_a_batch_ends_before_the_file_that_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many bytes as fit, up to the limit itself; a file that is larger alone is a batch of its own."""
    monkeypatch.setattr(batching, "BATCH_BYTES", 4)
    source = Paced("near")
    assert sizes([order(source, size_bytes=size) for size in (2, 2, 2, 2, 1, 1, 1, 9, 1)]) == [
        [2, 2],
        [2, 2],
        [1, 1, 1],
        [9],
        [1],
    ]
    assert sizes([]) == []


@pytest.mark.parametrize(
    ("concurrency", "most", "most_far", "expected"),
    [(2, 3, 2, [3, 3, 1]), (3, 3, 2, [2, 2, 2, 1]), (3, 3, 5, [3, 3, 1])],
)
def test_batches_of_far_sources_are_smaller(
    monkeypatch: pytest.MonkeyPatch, concurrency: int, most: int, most_far: int, expected: list[int]
) -> None:
    """Whoever waits for a network hears of it every few seconds; no batch is larger than one may be."""
    monkeypatch.setattr(batching, "BATCH_FILES", most)
    monkeypatch.setattr(batching, "BATCH_FAR_FILES", most_far)
    source = Paced("any", concurrency=concurrency)
    assert [len(batch) for batch in sizes([order(source) for _ in range(7)])] == expected


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize(
    ("allowed", "files"),
    [("unlimited", 500), (1024, 341), (1499, 499), (1500, 500), (4096, 500), (3, 1), (2, 1), (0, 1)],
)
def test_a_batch_leaves_descriptors_for_others(
    monkeypatch: pytest.MonkeyPatch, allowed: int | str, files: int
) -> None:
    """A third of the files that the process may have open, one at least, and no more than are of use."""
    import resource

    asked: list[int] = []

    def getrlimit(which: int) -> tuple[int, int]:
        asked.append(which)
        return (resource.RLIM_INFINITY if isinstance(allowed, str) else allowed), 0

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    assert batching._most_files() == files
    assert asked == [resource.RLIMIT_NOFILE]


# --- several sources


def moved(practice: Practice, *sources: Paced) -> list[State]:
    """Move all that is in these sources in one go."""
    bench = Bench(practice)
    orders = []
    for source in sources:
        bench.source = source
        orders += bench.orders()
    outcomes, problems = bench.move(orders)
    assert problems == []
    return [outcome.state for outcome in outcomes]


def test_each_source_removes_its_own_files(practice: Practice) -> None:
    """Removals that go together are of one source: the same name in another is another file."""
    one, other, single = (Paced(name, together=2) for name in ("one", "other", "single"))
    for source, count in ((one, 3), (other, 2), (single, 1)):
        for number in range(count):
            source.folder.write(f"{number}.jpg", jpeg(f"{source.source_id} {number}"))
    assert moved(practice, one, other, single) == [State.IMPORTED] * 6
    assert sorted(one.groups) == [["0.jpg", "1.jpg"], ["2.jpg"]]
    assert other.groups == [["0.jpg", "1.jpg"]]
    assert single.groups == [["0.jpg"]]
    assert one.folder.names() | other.folder.names() | single.folder.names() == set()


def test_sources_with_and_without_common_removals_mix(practice: Practice) -> None:
    """Of each source all leave, each by its own way."""
    one, other = Paced("one", together=5), Paced("other")
    for source in (one, other):
        for number in range(3):
            source.folder.write(f"{number}.jpg", jpeg(f"{source.source_id} {number}"))
    assert moved(practice, one, other) == [State.IMPORTED] * 6
    assert one.groups == [["0.jpg", "1.jpg", "2.jpg"]]
    assert other.groups == []
    assert one.folder.names() | other.folder.names() == set()


@pytest.mark.parametrize("concurrency", [1, 2, 9])
def test_every_file_is_read_once(practice: Practice, concurrency: int) -> None:
    """However many threads share the files of a source, none is left out and none is read twice."""
    source = Paced("one", concurrency=concurrency)
    for number in range(7):
        source.folder.write(f"{number}.jpg", jpeg(str(number)))
    assert moved(practice, source) == [State.IMPORTED] * 7
    assert sorted(source.fetched) == [f"{number}.jpg" for number in range(7)]
