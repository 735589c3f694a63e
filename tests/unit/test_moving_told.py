"""What a move leaves in the record and the ledger, and what it says in outcomes, problems and logs."""

from __future__ import annotations

import hashlib
import io
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.errors import (
    FileUnreadable,
    LedgerError,
    NotRemoved,
    RepositoryError,
    SourceUnavailable,
)
from intouch_import.ledger import Event
from intouch_import.model import Destination, Reason, State, TakenFrom
from intouch_import.moving import MoveOrder
from intouch_import.reports import Problem
from intouch_import.sources.local import LocalSource
from miniature import NOW, jpeg
from moving_bench import Bench, raising, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniature import Practice


# --- what is kept and told


def _full(bench: Bench, **options: Any) -> MoveOrder:
    (order,) = bench.orders(
        title="t", comments="c", operator="op", provider_id="DRJ", destination=Destination.NOTES, **options
    )
    return order


def test_all_that_is_known_goes_into_the_record(practice: Practice) -> None:
    """Nothing that an order, the source or the bytes say is lost on the way, or stands in another's place."""
    bench = Bench(practice, "a.jpg")
    taken_at = datetime(2026, 1, 31, 14, 25, 1, tzinfo=UTC)
    order = _full(bench, taken_at=taken_at, taken_from=TakenFrom.FOLDER)
    bench.move([order])
    (stored,) = bench.records.attachments("10042")
    found = attrs.asdict(stored)
    del found["id"], found["stored_at"]
    assert found == {
        "import_id": order.import_id,
        "patient_id": "10042",
        "provider_id": "DRJ",
        "destination": Destination.NOTES,
        "title": "t",
        "comments": "c",
        "taken_at": taken_at,
        "taken_from": TakenFrom.FOLDER,
        "times_disagree": False,
        "taken_written": None,
        "soundness": None,
        "companion_of": None,
        "companion_role": None,
        "name": "a.jpg",
        "size_bytes": len(jpeg("a.jpg")),
        "sha256": hashlib.sha256(jpeg("a.jpg")).hexdigest(),
        "location": "local",
        "source_id": bench.source.source_id,
        "source_version": order.file.version,
        "modified_at": order.file.modified_at,
        "operator": "op",
    }


def _entries(bench: Bench, **expected: Any) -> list[dict[str, Any]]:
    """What the ledger says, without what is the same in every line."""
    entries = []
    for entry in bench.ledger.entries():
        line = attrs.asdict(entry)
        del line["seq"], line["digest"]
        for name, value in expected.items():
            assert line.pop(name) == value, name
        entries.append(line)
    return entries


@pytest.mark.parametrize("removed", [True, False])
def test_the_ledger_is_told_all_of_a_move(
    practice: Practice, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    """Both lines name the file, the patient, who and when; the first says why, the second what became of it."""
    bench = Bench(practice, "a.jpg")
    order = _full(bench)
    if not removed:
        monkeypatch.setattr(LocalSource, "remove", raising(NotRemoved("no")))
    bench.move([order])
    (stored,) = bench.records.attachments("10042")
    assert _entries(
        bench,
        at=NOW,
        operator="op",
        patient_id="10042",
        from_patient_id=None,
        provider_id="DRJ",
        destination="notes",
        import_id=order.import_id,
        attachment_id=stored.id,
        location="local",
        source_id=bench.source.source_id,
        name="a.jpg",
        size_bytes=len(jpeg("a.jpg")),
        sha256=hashlib.sha256(jpeg("a.jpg")).hexdigest(),
    ) == [
        {"event": Event.STORED, "reason": "chosen"},
        {"event": Event.MOVED, "reason": "chosen"}
        if removed
        else {"event": Event.NOT_REMOVED, "reason": "not_removed"},
    ]


def test_the_ledger_is_told_of_a_file_that_could_not_be_read(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is the listed one, and nothing is said of bytes that nobody has seen."""
    bench = Bench(practice, "a.jpg")
    monkeypatch.setattr(LocalSource, "fetch", raising(FileUnreadable("no")))
    bench.move()
    (line,) = bench.ledger.entries()
    assert (line.event, line.at, line.reason) == (Event.FAILED, NOW, "unreadable")
    assert (line.attachment_id, line.size_bytes, line.sha256) == (None, len(jpeg("a.jpg")), None)


def test_sizes_are_those_of_the_bytes(practice: Practice) -> None:
    """A location may list another size than it delivers; what was read is what is kept and written down."""
    bench = Bench(practice, "a.jpg")
    (order,) = bench.orders()
    bench.move([attrs.evolve(order, file=attrs.evolve(order.file, size_bytes=1))])
    sizes = {one.size_bytes for one in (*bench.records.attachments("10042"), *bench.ledger.entries())}
    assert sizes == {len(jpeg("a.jpg"))}


@pytest.mark.parametrize("first", ["waiting", "moved elsewhere", "copied"])
def test_a_file_without_a_last_line_takes_nobody_elses(practice: Practice, first: str) -> None:
    """What waits, was moved by others or stays has no end to write; the next file of its batch has."""
    bench = Bench(practice, "a.jpg", "b.jpg")
    order, other = bench.orders()
    match first:
        case "waiting":
            practice.photo("a.jpg", b"<html></html>")
            order = bench.orders(automatic=True)[0]
        case "moved elsewhere":
            bench.move([order])
        case _:
            order = attrs.evolve(order, keep=True)
    before = len(list(bench.ledger.entries()))
    bench.move([order, other])
    ends = [(one.name, one.event) for one in bench.ledger.entries()][before:]
    stored = [("a.jpg", Event.STORED)] if first == "copied" else []
    assert ends == [*stored, ("b.jpg", Event.STORED), ("b.jpg", Event.MOVED)]


def test_an_outcome_says_which_file_and_which_bytes(practice: Practice) -> None:
    """Ids and digests with which a host finds the file in its source, in the record and in the ledger."""
    bench = Bench(practice, "a.jpg")
    (order,) = bench.orders()
    (outcome,), _ = bench.move([order])
    (stored,) = bench.records.attachments("10042")
    assert attrs.asdict(outcome) == {
        "name": "a.jpg",
        "source_id": bench.source.source_id,
        "state": State.IMPORTED,
        "reason": Reason.CHOSEN,
        "import_id": order.import_id,
        "attachment_id": stored.id,
        "retry_helps": False,
        "content": None,
        "sha256": hashlib.sha256(jpeg("a.jpg")).hexdigest(),
        "duplicate_of": None,
        "duplicate_elsewhere": False,
        "companions": (),
    }


def test_a_location_that_failed_is_told_once_and_whole(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which one, what kind of place, and whether it helps to try again."""
    bench = Bench(practice, "a.jpg")
    monkeypatch.setattr(LocalSource, "fetch", raising(SourceUnavailable("gone", retry_helps=False)))
    _, problems = bench.move()
    assert problems == [
        Problem(source_id=bench.source.source_id, location="local", text="gone", retry_helps=False)
    ]


# --- what is logged


def _unexpected(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(LocalSource, "fetch", raising(KeyError("10042")))


def _unexamined(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    patched.setattr("intouch_import.content.Content.edges", raising(KeyError("10042")))


def _unasked(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    for path in bench.practice.photos.iterdir():
        path.unlink()
    wrap(bench, find_attachment=raising(KeyError("10042")))


def _unstored(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    wrap(bench, add_many=raising(RepositoryError("10042")))


def _unread(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    wrap(bench, open_attachment=raising(OSError(5, "10042")))


def _other(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    wrap(bench, open_attachment=lambda _id: io.BytesIO(b"other"))


def _unwritten(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(bench.ledger, "append", raising(LedgerError("10042")))


def _unwritten_at_last(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    append = bench.ledger.append

    def once(entries: Any) -> None:
        append(entries)
        patched.setattr(bench.ledger, "append", raising(LedgerError("10042")))

    patched.setattr(bench.ledger, "append", once)


def _unremoved(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(LocalSource, "remove", raising(SourceUnavailable("10042")))


def _unsettled(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    for kind in ("content.Content", "sources.hard_link.LeasedContent"):
        patched.setattr(f"intouch_import.{kind}.settle", raising(OSError(28, "10042")))


def _unsynced(bench: Bench, patched: pytest.MonkeyPatch) -> None:
    patched.setattr(LocalSource, "sync", raising(SourceUnavailable("10042")))


@pytest.mark.parametrize(
    ("fault", "level", "text", "kind", "tells_id"),
    [
        (_unexpected, logging.ERROR, "an unexpected error", "KeyError", False),
        (_unexamined, logging.ERROR, "a content could not be examined", "KeyError", True),
        (_unasked, logging.WARNING, "the repository can't be asked", "KeyError", False),
        (_unstored, logging.ERROR, "the repository failed", "RepositoryError", True),
        (_unread, logging.ERROR, "a stored file can't be read back", "OSError", True),
        (_other, logging.ERROR, "a stored file differs from what was read", None, True),
        (
            _unwritten,
            logging.ERROR,
            "the ledger could not be written; nothing was removed",
            "LedgerError",
            False,
        ),
        (
            _unwritten_at_last,
            logging.ERROR,
            "the ledger could not be written after a removal",
            "LedgerError",
            False,
        ),
        (
            _unremoved,
            logging.WARNING,
            "a stored file could not be removed",
            "SourceUnavailable",
            True,
        ),
        (
            _unsettled,
            logging.ERROR,
            "a stored file may still be open to another program",
            "OSError",
            True,
        ),
        (_unsynced, logging.WARNING, "a source could not be synced", "SourceUnavailable", False),
    ],
)
def test_what_goes_wrong_is_logged_with_ids_alone(
    practice: Practice,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[[Bench, pytest.MonkeyPatch], None],
    level: int,
    text: str,
    kind: str | None,
    tells_id: bool,
) -> None:
    """A constant text, the kind of error, and the import id where it is about one file: enough to look it up."""
    bench = Bench(practice, "10042_a.jpg")
    (order,) = bench.orders(automatic=True)
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "intouch_import.moving"):
        fault(bench, patched)
        bench.move([order])
    record = next(one for one in caplog.records if one.name.startswith("intouch_import.moving"))
    assert (record.levelno, record.getMessage()) == (level, text)
    assert getattr(record, "kind", None) == kind
    assert getattr(record, "import_id", None) == (order.import_id if tells_id else None)
