"""A refresh costs what has changed: what was looked at, looked up, read and judged before is not again."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.errors import RepositoryError
from intouch_import.filenames import CaptureNaming
from intouch_import.inbox import listing, rows
from intouch_import.media import Examiner
from intouch_import.model import Patient, Provider
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources.local import LocalSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from miniature import Practice

PLAIN = [f"IMG_{number}.jpg" for number in range(20)]
CLAIMS = {
    "10042_DRJ_20260131_142501.jpg": "other_provider",
    "10044_DRK_20260131_142502.jpg": "patient_inactive",
    "99999_DRK_20260131_142503.jpg": "patient_unknown",
    "10042_DRX_20260131_142504.jpg": "other_provider",
}
BAD = "10042_DRK_20260131_142505.jpg"
IGNORED = ["Thumbs.db", ".hidden", "x.part"]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts every call that costs something for a file."""
    calls: Counter[str] = Counter()

    def count(owner: Any, name: str, as_name: str, size: Callable[[Any], int] = lambda _: 1) -> None:
        real = getattr(owner, name)

        def counting(*args: Any, **options: Any) -> Any:
            calls[as_name] += size(args)
            return real(*args, **options)

        monkeypatch.setattr(owner, name, counting)

    count(LocalSource, "look", "looked")
    count(LocalSource, "fetch", "read and hashed")
    count(Examiner, "examine", "sniffed")
    count(SqlRepository, "find_attachment", "looked up", size=lambda args: len(args[1]))
    count(CaptureNaming, "parse", "name read")
    count(listing, "identify", "judged")
    count(listing, "screen", "screened")
    count(rows, "import_id", "id derived")
    count(listing, "Row", "row made")
    return calls


def fill(practice: Practice) -> None:
    for name in (*PLAIN, *CLAIMS, *IGNORED):
        practice.photo(name)
    practice.photo(BAD, b"<html>no photo</html>")


def test_nothing_changed_costs_a_listing(practice: Practice, counted: Counter[str]) -> None:
    """No file is looked at, looked up, read, sniffed, judged or given an id; what waits waits for the same reason."""
    fill(practice)
    inbox = practice.inbox(practice.source(provider="DRK"))
    first = inbox.refresh()
    before = [(row.name, row.reason) for row in inbox.rows]
    objects = list(map(id, inbox.rows))
    assert counted["read and hashed"] == counted["sniffed"] == 1
    assert counted["name read"] == len(PLAIN) + len(CLAIMS) + 1
    counted.clear()
    for _ in range(3):
        again = inbox.refresh()
        assert (again.listed, again.waiting, again.ignored) == (first.listed, first.waiting, first.ignored)
    assert counted == Counter()
    assert [(row.name, row.reason) for row in inbox.rows] == before
    assert list(map(id, inbox.rows)) == objects
    assert {name: reason.value for name, reason in before if name in CLAIMS} == CLAIMS


def test_one_new_file_costs_one_file(practice: Practice, counted: Counter[str]) -> None:
    """Only what came is looked up, read by name and judged."""
    fill(practice)
    inbox = practice.inbox(practice.source(provider="DRK"))
    inbox.refresh()
    counted.clear()
    practice.photo("10043_DRK_20260131_142506.jpg")
    practice.photo("IMG_new.jpg")
    assert inbox.refresh().imported == 1
    assert counted["looked up"] == counted["name read"] == counted["screened"] == counted["row made"] == 2
    assert counted["judged"] == counted["read and hashed"] == counted["sniffed"] == 1


def test_one_changed_file_costs_one_file(practice: Practice, counted: Counter[str]) -> None:
    """A file with other bytes under its old name is a new file; the others are not touched."""
    fill(practice)
    inbox = practice.inbox(practice.source(provider="DRK"))
    inbox.refresh()
    counted.clear()
    (practice.photos / PLAIN[0]).write_bytes(b"other bytes, another size")
    inbox.refresh()
    assert counted["looked up"] == counted["name read"] == counted["row made"] == 1
    assert counted["judged"] == counted["read and hashed"] == 0


def test_what_changes_around_a_file_is_noticed(practice: Practice, counted: Counter[str]) -> None:
    """A patient who is added or becomes active, and a provider who is added, concern their files and no other."""
    fill(practice)
    records = practice.records()
    inbox = practice.inbox(practice.source(), records=records)
    inbox.refresh()
    reasons = {row.name: row.reason.value for row in inbox.rows}
    assert reasons["10042_DRX_20260131_142504.jpg"] == "provider_unknown"
    counted.clear()
    records.add_patient(Patient(id="99999", name="New", active=False))
    inbox.refresh()
    assert counted["judged"] == 1
    records.add_patient(Patient(id="99999", name="New"))
    assert inbox.refresh().imported == 1
    assert counted["judged"] == 2
    records.add_provider(Provider(id="DRX"))
    assert inbox.refresh().imported == 1
    assert counted["judged"] == 3
    records.add_patient(Patient(id="10044", name="Chiara", active=True))
    assert inbox.refresh().imported == 1


def test_an_undo_elsewhere_is_noticed(practice: Practice) -> None:
    """A file that another workstation has put back waits here too, though its row was there before."""
    name = "10042_DRK_20260131_142501.jpg"
    practice.photo(name)
    records = practice.records()
    (outcome,) = practice.inbox(records=records).refresh().outcomes
    ours = practice.inbox(records=records)
    ours.refresh()
    practice.inbox(records=records).undo(outcome)
    for _ in range(2):
        assert [one.reason.value for one in ours.refresh().outcomes] == ["undone"]


def test_what_failed_is_tried_again_though_nothing_changed(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that could not be stored is not taken for one that has been judged."""
    practice.photo("10042_DRJ_20260131_142501.jpg")
    inbox = practice.inbox()

    def fail(*_: object, **__: object) -> None:
        raise RepositoryError("full")

    with monkeypatch.context() as patched:
        patched.setattr(SqlRepository, "add", fail)
        patched.setattr(SqlRepository, "add_many", fail)
        assert inbox.refresh().failed == 1
    assert inbox.refresh().imported == 1


def test_a_cancelled_file_is_tried_again_though_nothing_changed(practice: Practice) -> None:
    """What was cancelled before its turn is imported by the next refresh."""
    import threading

    practice.photo("10042_DRJ_20260131_142501.jpg")
    inbox = practice.inbox()
    cancel = threading.Event()
    cancel.set()
    assert [one.reason.value for one in inbox.refresh(cancel=cancel).outcomes] == ["cancelled"]
    assert inbox.refresh().imported == 1


# --- some locations only


def test_only_some_locations_are_looked_at(practice: Practice, tmp_path: Any, counted: Counter[str]) -> None:
    """The rows of the others stay as they are: not listed, not settled, not imported, not counted."""
    other = tmp_path / "other"
    other.mkdir()
    here, there = practice.source(), practice.source(other)
    inbox = practice.inbox(here, there, settle_s=0.0)
    inbox.refresh()
    practice.photo("IMG_1.jpg")
    practice.photo("10042_DRJ_20260131_142501.jpg", folder=other)
    report = inbox.refresh(only=[here.source_id])
    assert (report.listed, report.imported) == (1, 0)
    assert inbox.save(inbox.prepare(inbox.rows, patient="10042")).imported == 1
    report = inbox.refresh(only=[there.source_id])
    assert (report.listed, report.imported, report.closes) == (1, 1, True)
    assert [(row.name, row.state.value) for row in inbox.rows] == [("IMG_1.jpg", "imported")]
    assert inbox.refresh(only=[]).listed == 0
    assert inbox.refresh().listed == 0


def test_a_file_does_not_settle_while_nobody_looks(practice: Practice, tmp_path: Any) -> None:
    """Time that passes between two looks at another location proves nothing about this one's files."""
    other = tmp_path / "other"
    other.mkdir()
    now_s = 0.0
    growing = practice.photo("10042_DRJ_20260131_142501.jpg")

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        growing.write_bytes(growing.read_bytes() + b"more")

    here, there = practice.source(), practice.source(other)
    inbox = practice.inbox(here, there, settle_s=2.0, clock=Clock(monotonic_s=lambda: now_s, sleep=sleep))
    assert [one.reason.value for one in inbox.refresh().outcomes] == ["still_arriving"]
    now_s += 10
    inbox.refresh(only=[there.source_id])
    (row,) = inbox.rows
    assert (row.reason.value, row.settled) == ("still_arriving", False)


def test_an_interrupted_move_is_not_closed_by_a_look_elsewhere(practice: Practice, tmp_path: Any) -> None:
    """The ledger says "moved" only once the location itself was listed without the file."""
    from intouch_import.errors import NotRemoved

    other = tmp_path / "other"
    other.mkdir()
    practice.photo("10042_DRJ_20260131_142501.jpg")
    records = practice.records()

    def refuse(*_: object, **__: object) -> None:
        raise NotRemoved("no")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalSource, "remove", refuse)
        practice.inbox(records=records).refresh()
    here, there = practice.source(), practice.source(other)
    inbox = practice.inbox(here, there, records=records)
    inbox.refresh(only=[there.source_id])
    assert practice.left() == ["10042_DRJ_20260131_142501.jpg"]
    assert not any(entry.event.value == "moved" for entry in inbox.ledger.entries())
    assert inbox.refresh(only=[here.source_id]).imported == 1
    assert any(entry.event.value == "moved" for entry in inbox.ledger.entries())
