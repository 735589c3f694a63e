"""The move, step by step, with a fault at every step."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.errors import (
    AlreadyAssigned,
    ContentMismatch,
    FileChanged,
    FileError,
    FileUnreadable,
    FileVanished,
    LedgerError,
    NameRefused,
    NotRemoved,
    RepositoryError,
    SourceUnavailable,
    StillArriving,
    StorageFull,
    UnknownPatient,
)
from intouch_import.ledger import Event
from intouch_import.model import Destination, Reason, State, import_id
from intouch_import.moving import MoveOrder
from intouch_import.moving import mover as batching
from intouch_import.moving.file_move import FileMove
from intouch_import.moving.steps import MoveSteps
from intouch_import.sources.hard_link import LeasedContent
from intouch_import.sources.local import LocalSource
from miniature import jpeg
from moving_bench import Bench, raising, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miniature import Practice


# --- all well


def test_files_are_stored_verified_written_down_and_removed(practice: Practice) -> None:
    """Every file ends in the record, out of its source, with two lines in the ledger."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    outcomes, problems = bench.move(bench.orders(title="t", comments="c", operator="op", provider_id="DRJ"))
    assert [(o.name, o.state, o.reason, o.retry_helps) for o in outcomes] == [
        ("a.jpg", State.IMPORTED, Reason.CHOSEN, False),
        ("b.jpg", State.IMPORTED, Reason.CHOSEN, False),
    ]
    assert problems == []
    assert practice.left() == []
    assert bench.events() == [Event.STORED] * 2 + [Event.MOVED] * 2
    stored = bench.records.attachments("10042")
    assert [(s.name, s.title, s.comments, s.operator, s.provider_id, s.location) for s in stored] == [
        ("a.jpg", "t", "c", "op", "DRJ", "local"),
        ("b.jpg", "t", "c", "op", "DRJ", "local"),
    ]
    assert [o.attachment_id for o in outcomes] == [s.id for s in stored]
    with bench.records.open_attachment(stored[0].id) as file:
        assert file.read() == jpeg("a.jpg")


def test_no_orders_move_nothing(practice: Practice) -> None:
    """An empty list of orders is no error and calls nobody back."""
    called: list[object] = []
    assert Bench(practice).move([], on_done=lambda *a: called.append(a)) == ([], [])
    assert called == []


def test_batches_are_told_one_by_one_in_order(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """on_done hears of every batch with its bytes; batches end by number of files and by bytes."""
    monkeypatch.setattr(batching, "BATCH_FILES", 3)
    bench = Bench(practice)
    for number in range(7):
        practice.photo(f"{number}.jpg", b"x" * (number + 1))
    told: list[tuple[int, int]] = []
    outcomes, _ = bench.move(on_done=lambda outcomes, size: told.append((len(outcomes), size)))
    assert [o.name for o in outcomes] == [f"{number}.jpg" for number in range(7)]
    assert told == [(3, 6), (3, 15), (1, 7)]
    monkeypatch.setattr(batching, "BATCH_BYTES", 4)
    for number in range(3):
        practice.photo(f"{number}.jpg", b"y" * (2 + number))
    told.clear()
    bench.move(on_done=lambda outcomes, size: told.append((len(outcomes), size)))
    assert told == [(1, 2), (1, 3), (1, 4)]


def test_a_callback_that_raises_leaves_nothing_open(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt from outside closes what was read ahead; the files not stored stay."""
    monkeypatch.setattr(batching, "BATCH_FILES", 1)
    bench = Bench(practice, "a.jpg", "b.jpg", "c.jpg")
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with pytest.raises(KeyboardInterrupt):
        bench.move(on_done=raising(KeyboardInterrupt()))
    assert practice.left() == ["b.jpg", "c.jpg"]
    if before:
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 3  # the database's own
    assert list((practice.files / ".staging").iterdir()) == []


def test_cancelled_files_are_not_begun(practice: Practice) -> None:
    """Once cancelled, files wait where they are; none is half moved."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    outcomes, _ = bench.move(cancelled=lambda: True)
    assert [(o.state, o.reason, o.retry_helps) for o in outcomes] == [
        (State.WAITING, Reason.CANCELLED, True)
    ] * 2
    assert practice.left() == ["a.jpg", "b.jpg"]
    assert bench.events() == []


# --- fetch


@pytest.mark.parametrize(
    ("exc", "state", "reason", "retry_helps"),
    [
        (StillArriving("no"), State.WAITING, Reason.STILL_ARRIVING, True),
        (StillArriving("no", open_elsewhere=True), State.WAITING, Reason.OPEN_ELSEWHERE, True),
        (FileChanged("no"), State.WAITING, Reason.CHANGED, True),
        (FileVanished("no"), State.FAILED, Reason.VANISHED, False),
        (FileUnreadable("no"), State.FAILED, Reason.UNREADABLE, True),
        (FileUnreadable("no", reason=Reason.ARCHIVED), State.FAILED, Reason.ARCHIVED, True),
        (ContentMismatch("no"), State.FAILED, Reason.DIGEST_DIFFERS, False),
        (NameRefused("no"), State.FAILED, Reason.NAME_REFUSED, False),
        (StorageFull("no"), State.FAILED, Reason.STORAGE_FULL, True),
        (SourceUnavailable("no", retry_helps=False), State.FAILED, Reason.SOURCE_FAILED, False),
        (FileError("no"), State.FAILED, Reason.UNEXPECTED, True),
        (RuntimeError("a bug"), State.FAILED, Reason.UNEXPECTED, True),
    ],
)
def test_a_file_that_cannot_be_fetched_stops_no_other(
    practice: Practice,
    monkeypatch: pytest.MonkeyPatch,
    exc: Exception,
    state: State,
    reason: Reason,
    retry_helps: bool,
) -> None:
    """Every error of a source has its own reason and state; the other file is moved."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    fetch = LocalSource.fetch

    def faulty(self: LocalSource, file: Any, **options: Any) -> Any:
        if file.name == "a.jpg":
            if isinstance(exc, SourceUnavailable):
                assert fetched_b.wait(5)  # once a location has failed, its other files are not tried
            raise exc
        content = fetch(self, file, **options)
        fetched_b.set()
        return content

    fetched_b = threading.Event()
    monkeypatch.setattr(LocalSource, "fetch", faulty)
    outcomes, _ = bench.move()
    assert [(o.state, o.reason) for o in outcomes] == [(state, reason), (State.IMPORTED, Reason.CHOSEN)]
    assert outcomes[0].retry_helps is retry_helps
    assert practice.left() == ["a.jpg"]
    assert (Event.FAILED in bench.events()) is (state is State.FAILED)


def test_a_dead_source_is_asked_once_and_the_others_work_on(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first failure of a location is its problem; its other files fail without being tried."""
    bench = Bench(practice, *(f"{number}.jpg" for number in range(40)))
    second = practice.root / "second"
    second.mkdir()
    practice.photo("other.jpg", folder=second)
    living = practice.source(second)
    fetch, asked = LocalSource.fetch, []

    def dead(self: LocalSource, file: Any, **options: Any) -> Any:
        if self is living:
            return fetch(self, file, **options)
        asked.append(1)
        raise SourceUnavailable("gone", source_id=self.source_id)

    monkeypatch.setattr(LocalSource, "fetch", dead)
    (order,) = (
        MoveOrder(
            source=living,
            file=file,
            import_id=import_id(living.source_id, file.name, file.version),
            patient_id="10042",
            destination=Destination.IMAGES,
            reason=Reason.CHOSEN,
        )
        for file in living.scan()
    )
    outcomes, problems = bench.move([*bench.orders(), order])
    assert {(o.state, o.reason, o.retry_helps) for o in outcomes[:-1]} == {
        (State.FAILED, Reason.SOURCE_FAILED, True)
    }
    assert outcomes[-1].state is State.IMPORTED
    assert [(p.source_id, p.text) for p in problems] == [(bench.source.source_id, "gone")]
    assert len(asked) <= 4


def test_a_source_that_dies_between_files_fails_the_rest(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A location that fails in one batch is not tried in the next."""
    monkeypatch.setattr(batching, "BATCH_FILES", 1)
    bench = Bench(practice, "a.jpg", "b.jpg", "c.jpg")
    monkeypatch.setattr(LocalSource, "fetch", raising(SourceUnavailable("gone")))
    assert bench.told() == [(State.FAILED, Reason.SOURCE_FAILED)] * 3


def test_automatic_imports_must_be_what_their_name_says(practice: Practice) -> None:
    """Content in doubt waits when no person looked at it, and is moved when one did."""
    bench = Bench(practice)
    practice.photo("a.jpg", b"<html></html>")
    assert bench.told(bench.orders(automatic=True)) == [(State.WAITING, Reason.CONTENT_NOT_AS_NAMED)]
    assert practice.left() == ["a.jpg"]
    assert bench.told() == [(State.IMPORTED, Reason.CHOSEN)]
    practice.photo("a.jpg")
    assert bench.told(bench.orders(automatic=True)) == [(State.IMPORTED, Reason.CHOSEN)]


def test_content_that_cannot_be_looked_at_is_not_imported_by_itself(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device error while the ends of a file are looked at fails that file."""
    bench = Bench(practice, "a.jpg")
    monkeypatch.setattr("intouch_import.content.Content.edges", raising(OSError(5, "no")))
    assert bench.told(bench.orders(automatic=True)) == [(State.FAILED, Reason.UNREADABLE)]
    assert practice.left() == ["a.jpg"]


@pytest.mark.parametrize(
    ("patient", "state", "reason"),
    [
        ("10042", State.IMPORTED, Reason.FINISHED_ELSEWHERE),
        ("10043", State.FAILED, Reason.ALREADY_ASSIGNED),
    ],
)
def test_a_file_that_another_workstation_has_moved_is_told_so(
    practice: Practice, patient: str, state: State, reason: Reason
) -> None:
    """Gone because somebody else moved it: it is in this record, or the second is told that it is in another."""
    bench = Bench(practice, "a.jpg")
    late = bench.orders(patient_id=patient)
    (first,), _ = bench.move()
    lines = bench.events()
    (outcome,), _ = bench.move(late)
    assert (outcome.state, outcome.reason, outcome.attachment_id) == (state, reason, first.attachment_id)
    assert bench.events() == lines + ([Event.FAILED] if state is State.FAILED else [])
    wrap(bench, find_attachment=raising(RuntimeError("no")))
    assert bench.told(late) == [(State.FAILED, Reason.VANISHED)]


# --- store


def test_one_file_that_the_repository_refuses_stops_no_other(practice: Practice) -> None:
    """A file stored before for another patient, or with other bytes, fails alone in its batch."""
    bench = Bench(practice, "a.jpg", "b.jpg", "c.jpg")
    orders = bench.orders()
    (practice.root / "keep").mkdir()
    for name in ("a.jpg", "b.jpg"):
        os.link(practice.photos / name, practice.root / "keep" / name)
    assert bench.told([*bench.orders(patient_id="10043")[:1]]) == [(State.IMPORTED, Reason.CHOSEN)]
    os.link(practice.root / "keep" / "a.jpg", practice.photos / "a.jpg")
    assert bench.told(orders) == [
        (State.FAILED, Reason.ALREADY_ASSIGNED),
        (State.IMPORTED, Reason.CHOSEN),
        (State.IMPORTED, Reason.CHOSEN),
    ]
    assert bench.stored() == ["b.jpg", "c.jpg"]
    assert practice.left() == ["a.jpg"]


@pytest.mark.parametrize(
    ("result", "reason"),
    [(AlreadyAssigned("no"), Reason.ALREADY_ASSIGNED), (ContentMismatch("no"), Reason.DIGEST_DIFFERS)],
)
def test_an_error_in_the_place_of_a_result_is_that_files(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, result: FileError, reason: Reason
) -> None:
    """A FileError returned for one file fails that file."""
    bench = Bench(practice, "a.jpg")
    monkeypatch.setattr(bench.records, "add_many", lambda _items: [result])
    assert bench.told() == [(State.FAILED, reason)]
    assert practice.left() == ["a.jpg"]


def test_a_batch_with_an_unknown_patient_is_stored_without_it(practice: Practice) -> None:
    """What breaks the transaction of a batch fails alone when its files are tried one at a time."""
    bench = Bench(practice, "a.jpg", "b.jpg", "c.jpg")
    orders = bench.orders()
    orders[1] = bench.orders(patient_id="nobody")[1]
    assert bench.told(orders) == [
        (State.IMPORTED, Reason.CHOSEN),
        (State.FAILED, Reason.PATIENT_UNKNOWN),
        (State.IMPORTED, Reason.CHOSEN),
    ]
    assert practice.left() == ["b.jpg"]


@pytest.mark.parametrize("exc", [RepositoryError("no"), RuntimeError("the host's own")])
def test_a_repository_that_raises_keeps_the_file_in_its_source(practice: Practice, exc: Exception) -> None:
    """Whatever a host raises, the file stays and may be tried again."""
    bench = Bench(practice, "a.jpg")
    wrap(bench, add_many=raising(exc))
    outcomes, problems = bench.move()
    assert [(o.state, o.reason, o.retry_helps) for o in outcomes] == [
        (State.FAILED, Reason.REPOSITORY_FAILED, True)
    ]
    text = "no" if isinstance(exc, RepositoryError) else "the patient records failed"
    assert [(one.source_id, one.location, one.text) for one in problems] == [("", "records", text)]
    assert practice.left() == ["a.jpg"]
    assert bench.events() == [Event.FAILED]


@pytest.mark.parametrize("names", [("a.jpg",), ("a.jpg", "b.jpg")])
def test_a_repository_that_raises_after_committing_loses_and_doubles_nothing(
    practice: Practice, names: tuple[str, ...]
) -> None:
    """Stored although it raised: the file is moved now or by the next refresh, and stored once."""
    bench = Bench(practice, *names)
    real = bench.records
    failures = [1]

    @contextlib.contextmanager
    def transaction() -> Iterator[None]:
        with real.transaction():
            yield
        if failures and failures.pop():
            raise RepositoryError("the connection was lost")

    wrap(bench, transaction=transaction)
    bench.told()
    bench.records = real
    practice.inbox(bench.source, records=real).refresh()
    assert practice.left() == []
    assert bench.stored() == list(names)


def test_a_repository_that_dies_is_given_up_after_three_failures(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three failures in a row, no other file is stored or read. The report names the records once."""
    monkeypatch.setattr(batching, "BATCH_FILES", 6)
    bench = Bench(practice, *(f"{number:02}.jpg" for number in range(24)))
    calls: list[int] = []

    def add_many(items: Any) -> Any:
        calls.append(len(items))
        raise RepositoryError("the database failed")

    wrap(bench, add_many=add_many)
    outcomes, problems = bench.move()
    assert {(o.state, o.reason, o.retry_helps) for o in outcomes} == {
        (State.FAILED, Reason.REPOSITORY_FAILED, True)
    }
    assert [(one.location, one.text) for one in problems] == [("records", "the database failed")]
    assert calls == [6, 1, 1, 1]
    assert len(practice.left()) == 24


def test_a_failure_between_successes_is_not_the_end(practice: Practice) -> None:
    """Failures count in a row only, and from none again after each success: bad files among good ones stop nobody."""
    bench = Bench(practice, *(f"{number}.jpg" for number in range(8)))
    real = bench.records

    def add_many(items: Any) -> Any:
        if any(attachment.name[0] not in "25" for attachment, _ in items):
            raise RuntimeError("no")
        return real.add_many(items)

    wrap(bench, add_many=add_many)
    outcomes, problems = bench.move()
    assert [one.state for one in outcomes] == [State.FAILED, State.FAILED, State.IMPORTED] * 2 + [
        State.FAILED
    ] * 2
    assert problems == []


@pytest.mark.parametrize("wrong", ["import_id", "patient_id", "sha256", "fewer"])
def test_a_repository_that_answers_for_another_file_is_not_believed(practice: Practice, wrong: str) -> None:
    """A result that names another file or patient, or too few results, keep that file in its source."""
    import attrs

    bench = Bench(practice, "a.jpg")
    real = bench.records

    def add_many(items: Any) -> Any:
        results = real.add_many(items)
        if wrong == "fewer":
            return []
        return [attrs.evolve(one, **{wrong: "0" * 40}) if one.name == "a.jpg" else one for one in results]

    wrap(bench, add_many=add_many)
    outcomes, _ = bench.move()
    assert [(o.state, o.reason) for o in outcomes] == [(State.FAILED, Reason.REPOSITORY_FAILED)]
    assert outcomes[0].retry_helps is (wrong == "fewer")
    assert practice.left() == ["a.jpg"]
    if wrong != "fewer":
        practice.photo("b.jpg")
        assert [state for state, _ in bench.told()] == [State.FAILED, State.IMPORTED]


# --- verify


@pytest.mark.parametrize("stored", [b"", b"other bytes", None])
def test_a_stored_copy_that_differs_keeps_the_source_file(practice: Practice, stored: bytes | None) -> None:
    """Bytes that come back other than they went, or not at all, keep the file in its source."""
    bench = Bench(practice, "a.jpg")
    if stored is None:
        wrap(bench, open_attachment=raising(OSError(5, "the disk failed")))
    else:
        wrap(bench, open_attachment=lambda _id: io.BytesIO(stored))
    outcomes, _ = bench.move()
    assert [(o.state, o.reason) for o in outcomes] == [(State.FAILED, Reason.STORED_COPY_DIFFERS)]
    assert outcomes[0].retry_helps is (stored is None)
    assert practice.left() == ["a.jpg"]
    assert bench.events() == [Event.FAILED]


def test_a_copy_by_other_means_is_read_back(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the stored file is not the hashed one itself, it is read and compared."""
    monkeypatch.setattr(LeasedContent, "is_same_file", lambda *_: False)
    bench = Bench(practice, "a.jpg")
    assert bench.told() == [(State.IMPORTED, Reason.CHOSEN)]


def test_an_interrupted_move_is_finished_only_if_the_bytes_agree(practice: Practice) -> None:
    """A file with other bytes than the stored ones is not taken for the stored file."""
    import attrs

    bench = Bench(practice, "a.jpg")
    (order,) = bench.orders()
    with bench.source.fetch(order.file) as content:
        stored = bench.records.add(_move(order, content).attachment(), content)
    other = attrs.evolve(stored, sha256="0" * 64)
    only = attrs.evolve(order, stored=other, only_finish=True)
    assert bench.told([only]) == [(State.WAITING, Reason.CHANGED)]
    for_another = attrs.evolve(order, stored=stored, patient_id="10043")
    assert bench.told([for_another]) == [(State.FAILED, Reason.ALREADY_ASSIGNED)]
    assert practice.left() == ["a.jpg"]
    finished = attrs.evolve(order, stored=stored, automatic=True, reason=Reason.INTERRUPTED)
    assert bench.told([finished]) == [(State.IMPORTED, Reason.INTERRUPTED)]
    assert practice.left() == []


def test_other_bytes_than_the_stored_ones_are_imported_under_another_import_id(practice: Practice) -> None:
    """If the patient of a file is certain, another file with the same version does not stop it."""
    import attrs

    bench = Bench(practice, "a.jpg")
    (order,) = bench.orders()
    with bench.source.fetch(order.file) as content:
        stored = bench.records.add(_move(order, content).attachment(), content)
    practice.photo("a.jpg", jpeg("another photo"))
    (now,) = bench.orders(stored=stored)
    same_id = attrs.evolve(now, import_id=order.import_id)
    assert bench.told([same_id]) == [(State.IMPORTED, Reason.CHOSEN)]
    assert len({one.import_id for one in bench.records.attachments("10042")}) == 2
    assert practice.left() == []


def _move(order: MoveOrder, content: Any) -> FileMove:
    move = FileMove(order)
    move.content = content
    return move


# --- ledger


def test_nothing_is_removed_when_the_ledger_cannot_be_written(practice: Practice) -> None:
    """Stored, but not written down: the file stays in its source, and the next refresh finishes."""
    bench = Bench(practice, "a.jpg")
    bench.ledger.append = raising(LedgerError("no"))  # type: ignore[method-assign]
    outcomes, problems = bench.move()
    assert [(one.location, one.text) for one in problems] == [("ledger", "the ledger could not be written")]
    assert [(o.state, o.reason, o.retry_helps) for o in outcomes] == [
        (State.STORED, Reason.LEDGER_FAILED, True)
    ]
    assert practice.left() == ["a.jpg"]
    practice.inbox(bench.source, records=bench.records).refresh()
    assert practice.left() == []
    assert bench.stored() == ["a.jpg"]


def test_a_ledger_that_fails_after_the_removal_is_caught_up_later(practice: Practice) -> None:
    """The file is imported all the same; the missing line is written by the next refresh."""
    bench = Bench(practice, "a.jpg")
    append, calls = bench.ledger.append, []

    def once(entries: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise LedgerError("no")
        append(entries)

    bench.ledger.append = once  # type: ignore[method-assign,assignment]
    assert bench.told() == [(State.IMPORTED, Reason.CHOSEN)]
    assert bench.events() == [Event.STORED]
    practice.inbox(bench.source, records=bench.records).refresh()
    assert bench.events() == [Event.STORED, Event.MOVED]


# --- remove


@pytest.mark.parametrize(
    ("exc", "state", "reason", "retry_helps"),
    [
        (FileVanished("no"), State.IMPORTED, Reason.FINISHED_ELSEWHERE, False),
        (FileChanged("no"), State.STORED, Reason.CHANGED, False),
        (NotRemoved("no"), State.STORED, Reason.NOT_REMOVED, True),
        (NotRemoved("no", retry_helps=False), State.STORED, Reason.NOT_REMOVED, False),
        (SourceUnavailable("no"), State.STORED, Reason.NOT_REMOVED, True),
        (RuntimeError("a bug"), State.STORED, Reason.NOT_REMOVED, True),
    ],
)
def test_a_failure_to_remove_is_not_a_failure_to_store(
    practice: Practice,
    monkeypatch: pytest.MonkeyPatch,
    exc: Exception,
    state: State,
    reason: Reason,
    retry_helps: bool,
) -> None:
    """Promise 7: it is reported as what it is, and the next refresh finishes it."""
    bench = Bench(practice, "a.jpg")
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", raising(exc))
        outcomes, problems = bench.move()
    assert [(o.state, o.reason, o.retry_helps) for o in outcomes] == [(state, reason, retry_helps)]
    assert bool(problems) is isinstance(exc, SourceUnavailable)
    assert bench.stored() == ["a.jpg"]
    if state is State.STORED:
        assert bench.events() == [Event.STORED, Event.NOT_REMOVED]
        assert practice.inbox(bench.source, records=bench.records).refresh().imported == 1
        assert practice.left() == []


def test_a_file_replaced_after_it_was_read_is_not_removed(practice: Practice) -> None:
    """The removal is pinned to the version that was read: what came meanwhile stays."""
    bench = Bench(practice, "a.jpg")
    real = bench.records

    def add_many(items: Any) -> Any:
        results = real.add_many(items)
        practice.photo("new.jpg").rename(practice.photos / "a.jpg")
        return results

    wrap(bench, add_many=add_many)
    assert bench.told() == [(State.STORED, Reason.CHANGED)]
    assert (practice.photos / "a.jpg").read_bytes() == jpeg("new.jpg")


def test_a_folder_that_cannot_be_synced_is_a_problem_of_its_location(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are imported; the location is reported."""
    bench = Bench(practice, "a.jpg")
    monkeypatch.setattr(LocalSource, "sync", raising(SourceUnavailable("no")))
    outcomes, problems = bench.move()
    assert [o.state for o in outcomes] == [State.IMPORTED]
    assert len(problems) == 1


def test_a_stored_file_that_cannot_be_made_private_is_logged(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When the private copy fails, the file is imported and the log says that it may be open elsewhere."""
    bench = Bench(practice, "a.jpg")
    monkeypatch.setattr("intouch_import.content.Content.settle", raising(OSError(28, "full")))
    monkeypatch.setattr(LeasedContent, "settle", raising(OSError(28, "full")))
    with caplog.at_level(logging.ERROR):
        assert bench.told() == [(State.IMPORTED, Reason.CHOSEN)]
    assert {record.getMessage() for record in caplog.records} == {
        "a stored file may still be open to another program"
    }


# --- the inner promises


def test_steps_refuse_to_run_out_of_order(practice: Practice) -> None:
    """No step can be reached without what the step before it must have brought."""
    bench = Bench(practice, "a.jpg")
    (order,) = bench.orders()
    pool = ThreadPoolExecutor(1)
    steps = MoveSteps(bench.records, bench.ledger, pool=pool, workers=1)
    remove = partial(steps._remove, bench.ledger.claims.move([]))
    for step in (steps._verify, remove, FileMove.attachment):
        with pytest.raises(AssertionError):
            step(FileMove(order))
    with bench.source.fetch(order.file) as content, pytest.raises(AssertionError):
        steps._verify(_move(order, content))
    assert practice.left() == ["a.jpg"]


def test_unexpected_patients_are_told(practice: Practice) -> None:
    """An unknown patient is that file's failure, not the repository's, and stays unknown however often it is tried."""
    bench = Bench(practice, "a.jpg")
    wrap(bench, add_many=raising(UnknownPatient("no")))
    outcomes, _ = bench.move()
    assert [(o.state, o.reason, o.retry_helps) for o in outcomes] == [
        (State.FAILED, Reason.PATIENT_UNKNOWN, False)
    ]


def test_memory_stays_flat(practice: Practice) -> None:
    """Content is streamed: moving 64 MB takes no more than a few MB of memory."""
    import tracemalloc

    path = practice.photos / "big.mp4"
    with path.open("wb") as file:
        for number in range(64):
            file.write(bytes([number]) * 1024 * 1024)
    bench = Bench(practice)
    tracemalloc.start()
    try:
        assert bench.told() == [(State.IMPORTED, Reason.CHOSEN)]
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()
