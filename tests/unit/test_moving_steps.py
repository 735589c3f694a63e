"""What each step of the move hands to the next, to the source and to the records."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import attrs
import pytest

import pictures
from intouch_import.ledger import Event
from intouch_import.media import Examiner
from intouch_import.model import Reason, SourceFile, State, TakenFrom
from intouch_import.moving import mover as batching
from intouch_import.moving.file_move import FileMove
from intouch_import.sources.local import LocalSource
from miniature import jpeg
from moving_bench import Bench, raising, wrap
from pictures import HTML

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from intouch_import.content import Content
    from miniature import Practice


class Watched(LocalSource):
    """A folder that keeps what it is asked."""

    def __init__(self, folder: str, **options: Any) -> None:
        super().__init__(folder, **options)
        self.fetched: list[tuple[str, str, Path | None]] = []
        self.removed: list[tuple[str, str]] = []

    def fetch(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        self.fetched.append(("fetch", file.name, staging))
        return super().fetch(file, staging=staging)

    def fetch_as_delivered(self, file: SourceFile, *, staging: Path | None = None) -> Content:
        self.fetched.append(("as delivered", file.name, staging))
        return super().fetch(file, staging=staging)

    def remove(self, file: SourceFile, *, sha256: str) -> None:
        self.removed.append((file.name, sha256))
        super().remove(file, sha256=sha256)


def watched(practice: Practice, *names: str) -> tuple[Bench, Watched]:
    bench = Bench(practice, *names)
    bench.source = source = Watched(str(practice.photos))
    return bench, source


# --- fetch


@pytest.mark.parametrize(("automatic", "way"), [(True, "fetch"), (False, "as delivered")])
def test_only_a_person_takes_what_is_delivered(practice: Practice, automatic: bool, way: str) -> None:
    """Altered bytes are for a person to accept. Both ways are told where the records stage files."""
    bench, source = watched(practice, "a.jpg")
    bench.move(bench.orders(automatic=automatic))
    assert bench.records.staging is not None
    assert source.fetched == [(way, "a.jpg", bench.records.staging)]


def test_the_pace_is_asked_before_every_file(practice: Practice) -> None:
    """Whoever sets the pace is told which file is next."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    told: list[str] = []
    bench.move(pace=lambda file: told.append(file.name))
    assert sorted(told) == ["a.jpg", "b.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has leases to link under")
def test_files_that_are_linked_are_not_read_ahead(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them holds a descriptor, and to read ahead would only slow down what is done meanwhile."""
    monkeypatch.setattr(batching, "BATCH_FILES", 1)
    bench = Bench(practice, "a.jpg", "b.jpg")
    steps: list[str] = []
    bench.move(pace=lambda file: steps.append(file.name), on_done=lambda *_: steps.append("done"))
    assert steps == ["a.jpg", "done", "b.jpg", "done"]


def test_an_interrupted_import_is_finished_whatever_its_content(practice: Practice) -> None:
    """What is in the record already is neither judged nor stored a second time: it would be in both for ever."""
    bench = Bench(practice)
    practice.photo("a.jpg", HTML)
    (order,) = bench.orders(automatic=True)
    job = FileMove(order)
    with bench.source.fetch(order.file) as job.content:
        stored = bench.records.add(job.attachment(), job.content)
    wrap(bench, add_many=raising(AssertionError("stored already")))
    assert bench.told([attrs.evolve(order, stored=stored)]) == [(State.IMPORTED, Reason.CHOSEN)]
    assert practice.left() == []


# --- check


def test_content_is_believed_before_the_order_where_that_is_asked(practice: Practice) -> None:
    """A trusted content says when it was taken; if the order says otherwise, the times disagree."""
    exif = b"Exif\0\0" + pictures.exif_block(taken=b"2025:01:31 14:25:01\0")
    practice.photo("a.jpg", pictures.encoded(pictures.picture(), "JPEG", exif=exif))
    bench = Bench(practice)
    orders = bench.orders(taken_at=datetime(2026, 1, 31, 14, 25, 1, tzinfo=UTC), trust_content=True)
    outcomes, _ = bench.mover(examiner=Examiner(zone=ZoneInfo("UTC"))).move(orders)
    assert outcomes[0].state is State.IMPORTED
    (stored,) = bench.records.attachments("10042")
    assert (stored.taken_at, stored.taken_from, stored.times_disagree) == (
        datetime(2025, 1, 31, 14, 25, 1, tzinfo=UTC),
        TakenFrom.EXIF,
        True,
    )


# --- store


def test_every_vanished_file_is_looked_for(practice: Practice) -> None:
    """One that nobody has stored does not keep the others from being told who has."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    orders = bench.orders()
    bench.move(orders[1:])
    (practice.photos / "a.jpg").unlink()
    assert bench.told(orders) == [
        (State.FAILED, Reason.VANISHED),
        (State.IMPORTED, Reason.FINISHED_ELSEWHERE),
    ]


def test_records_that_answer_nothing_at_all_stop_no_other_file(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for a vanished file, a host that gives None in the place of an empty mapping is a host that knows none."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    orders = bench.orders()
    (practice.photos / "a.jpg").unlink()
    monkeypatch.setattr(type(bench.records), "find_attachment", lambda *_: None)
    assert bench.told(orders) == [(State.FAILED, Reason.VANISHED), (State.IMPORTED, Reason.CHOSEN)]


def test_copies_are_looked_for_in_the_transaction_that_stores(practice: Practice) -> None:
    """Between the search and the storing no other workstation can store the same bytes."""
    bench = Bench(practice, "a.jpg")
    real = bench.records
    steps: list[str] = []

    @contextlib.contextmanager
    def transaction() -> Iterator[None]:
        with real.transaction():
            steps.append("begin")
            yield
            steps.append("end")

    def asked(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: steps.append(step) or call(*arguments)

    wrap(
        bench,
        transaction=transaction,
        find_by_digest=asked("search", real.find_by_digest),
        add_many=asked("store", real.add_many),
    )
    bench.move()
    assert steps == ["begin", "search", "store", "end"]


def test_records_are_not_called_with_nothing(practice: Practice) -> None:
    """Where all that is new turns out to be copies, there is nothing to store."""
    bench = Bench(practice)
    practice.photo("a.jpg", jpeg("same"))
    bench.move()
    practice.photo("b.jpg", jpeg("same"))
    wrap(bench, add_many=raising(AssertionError("nothing to store")))
    assert bench.told(bench.orders(automatic=True)) == [(State.WAITING, Reason.DUPLICATE)]


# --- remove


def test_a_removal_is_told_the_digest_of_what_was_stored(practice: Practice) -> None:
    """A source without versions has nothing else to compare the file with before it is removed."""
    bench, source = watched(practice, "a.jpg", "b.jpg")
    bench.move()
    assert sorted(source.removed) == [
        (name, hashlib.sha256(jpeg(name)).hexdigest()) for name in ("a.jpg", "b.jpg")
    ]
    assert {stored.sha256 for stored in bench.records.attachments("10042")} == {
        sha256 for _, sha256 in source.removed
    }


def test_a_copy_with_altered_bytes_is_reported(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of bytes that the location has altered is stored, and a person must compare it with the original."""
    bench, source = watched(practice, "a.jpg")
    fetch = source.fetch_as_delivered

    def altered(file: SourceFile, *, staging: Path | None = None) -> Content:
        content = fetch(file, staging=staging)
        content.is_altered = True
        return content

    monkeypatch.setattr(source, "fetch_as_delivered", altered)
    outcomes, _ = bench.move(bench.orders(keep=True))
    assert [(o.state, o.reason, o.retry_helps) for o in outcomes] == [
        (State.STORED, Reason.LEFT_IN_SOURCE, False)
    ]
    assert (source.removed, practice.left()) == ([], ["a.jpg"])
    assert [entry.reason for entry in bench.ledger.entries()][-1] == "left_in_source"


def test_a_file_that_is_copied_stays_and_shares_nothing_with_the_record(practice: Practice) -> None:
    """It is in the record, is not asked away, and what is stored is another file than the one that stays."""
    bench, source = watched(practice, "a.jpg")
    outcomes, problems = bench.move(bench.orders(keep=True, reason=Reason.LISTED))
    assert [(o.state, o.reason, o.retry_helps) for o in outcomes] == [(State.IMPORTED, Reason.LISTED, False)]
    assert (problems, source.removed, practice.left()) == ([], [], ["a.jpg"])
    assert [(one.event, one.reason) for one in bench.ledger.entries()] == [(Event.STORED, "listed")]
    (stored,) = bench.records.attachments("10042")
    (practice.photos / "a.jpg").write_bytes(b"edited in place")
    with bench.records.open_attachment(stored.id) as stream:
        assert stream.read() == jpeg("a.jpg")
