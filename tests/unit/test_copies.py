"""Copies: the same bytes a second time, in this patient's record or in another's, by whatever way they come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.errors import RepositoryError
from intouch_import.inbox import Inbox, duplicates
from intouch_import.ledger import Event, LedgerEntry
from intouch_import.model import Reason, State
from intouch_import.moving.storing import CopyFinder, Incoming
from intouch_import.repositories.base import PatientRepository
from intouch_import.repositories.sql import SqlRepository
from intouch_import.sources.local import LocalSource
from miniature import NOW, jpeg
from moving_bench import Bench, raising

if TYPE_CHECKING:
    from intouch_import.inbox import Row, SaveRequest
    from intouch_import.reports import Outcome, Report
    from miniature import Practice

pytestmark = pytest.mark.both_databases

FIRST = "10042_DRJ_20260131_142501.jpg"
SECOND = "10042_DRJ_20260131_142502.jpg"
OTHERS = "10043_DRJ_20260131_142501.jpg"


def outcome_of(report: Report, name: str) -> Outcome:
    (outcome,) = [outcome for outcome in report.outcomes if outcome.name == name]
    return outcome


def row_of(inbox: Inbox, name: str) -> Row:
    (row,) = [row for row in inbox.rows if row.name == name]
    return row


def names(records: SqlRepository, patient: str) -> list[str]:
    return [stored.name for stored in records.attachments(patient)]


# --- a file that nobody looked at


def test_bytes_in_this_patients_record_wait_and_name_the_attachment(practice: Practice) -> None:
    """Under another name and time: not stored again, left in the folder, row and outcome say of what it is a copy."""
    records = practice.records()
    practice.photo(FIRST, jpeg("same"))
    inbox = practice.inbox(records=records)
    inbox.refresh()
    (stored,) = records.attachments("10042")
    practice.photo(SECOND, jpeg("same"))
    report = inbox.refresh()
    outcome = outcome_of(report, SECOND)
    assert (outcome.state, outcome.reason) == (State.WAITING, Reason.DUPLICATE)
    assert (outcome.duplicate_of, outcome.duplicate_elsewhere) == (stored.id, False)
    row = row_of(inbox, SECOND)
    assert (row.state, row.reason, row.duplicate_of) == (State.WAITING, Reason.DUPLICATE, stored.id)
    assert practice.left() == [SECOND]
    assert names(records, "10042") == [FIRST]
    assert report.closes
    assert report.to_dict()["outcomes"][0]["duplicate_of"] == stored.id


def test_bytes_in_another_patients_record_raise_an_alert(
    practice: Practice, caplog: pytest.LogCaptureFixture
) -> None:
    """Never imported by itself; row, outcome and log say so, and none of them names a patient."""
    records = practice.records()
    practice.photo(FIRST, jpeg("same"))
    inbox = practice.inbox(records=records)
    inbox.refresh()
    (stored,) = records.attachments("10042")
    practice.photo(OTHERS, jpeg("same"))
    outcome = outcome_of(inbox.refresh(), OTHERS)
    assert (outcome.state, outcome.reason) == (State.WAITING, Reason.DUPLICATE_ELSEWHERE)
    assert (outcome.duplicate_of, outcome.duplicate_elsewhere) == (stored.id, True)
    assert row_of(inbox, OTHERS).duplicate_elsewhere
    assert names(records, "10043") == []
    assert practice.left() == [OTHERS]
    message = "the same bytes are in another patient's record"
    (alert,) = [record for record in caplog.records if record.getMessage() == message]
    assert alert.attachment_id == stored.id  # type: ignore[attr-defined]
    assert alert.import_id == outcome.import_id  # type: ignore[attr-defined]
    assert "10042" not in f"{outcome!r}{alert.getMessage()}{outcome.reason.text}"


def test_the_other_patient_is_what_counts(practice: Practice) -> None:
    """In this record and in another's: the alert comes first."""
    records = practice.records()
    for name, patient in (("a.jpg", "10042"), ("b.jpg", "10043")):
        practice.photo(name, jpeg("same"))
        inbox = practice.inbox(records=records)
        inbox.refresh()
        inbox.save(inbox.prepare(inbox.rows, patient=patient))
    practice.photo(FIRST, jpeg("same"))
    outcome = outcome_of(practice.inbox(records=records).refresh(), FIRST)
    assert outcome.reason is Reason.DUPLICATE_ELSEWHERE
    assert outcome.duplicate_of == records.attachments("10043")[0].id


def test_equal_time_and_size_are_no_copy(practice: Practice) -> None:
    """Burst shots of one second and one size are different photos: only bytes decide."""
    assert len(jpeg("1")) == len(jpeg("2"))
    practice.photo("10042_DRJ_20260131_142501_1.jpg", jpeg("1"))
    practice.photo("10042_DRJ_20260131_142501_2.jpg", jpeg("2"))
    assert practice.inbox().refresh().imported == 2


def test_of_equal_bytes_in_one_refresh_one_is_stored(practice: Practice) -> None:
    """A burst that was sent twenty times: the first is stored, the others wait and name it."""
    sent = [f"10042_DRJ_20260131_1425{second:02}.jpg" for second in range(20)]
    for name in sent:
        practice.photo(name, jpeg("same"))
    records = practice.records()
    report = practice.inbox(records=records).refresh()
    assert (report.imported, report.waiting, report.failed) == (1, 19, 0)
    (stored,) = records.attachments("10042")
    copies = [outcome for outcome in report.outcomes if outcome.state is State.WAITING]
    assert {(one.reason, one.duplicate_of, one.duplicate_elsewhere) for one in copies} == {
        (Reason.DUPLICATE, stored.id, False)
    }
    assert practice.left() == sent[1:]
    # And nothing changes that later, in this list or in a new one.
    assert practice.inbox(records=records).refresh().waiting == 19
    assert len(records.attachments("10042")) == 1


def test_equal_bytes_that_name_two_patients_in_one_refresh_both_wait(practice: Practice) -> None:
    """Whose they are can't be told: neither is imported, in this refresh or the next."""
    practice.photo(FIRST, jpeg("same"))
    practice.photo(OTHERS, jpeg("same"))
    records = practice.records()
    inbox = practice.inbox(records=records)
    for _ in range(2):
        report = inbox.refresh()
        assert [(one.reason, one.duplicate_of, one.duplicate_elsewhere) for one in report.outcomes] == [
            (Reason.DUPLICATE_ELSEWHERE, None, True)
        ] * 2
    assert practice.left() == [FIRST, OTHERS]
    # A person says whose it is; the other one then is a copy of that.
    saved = inbox.save(inbox.prepare([row_of(inbox, FIRST)], patient="10042"))
    assert saved.imported == 1
    outcome = outcome_of(inbox.refresh(), OTHERS)
    assert (outcome.reason, outcome.duplicate_of) == (
        Reason.DUPLICATE_ELSEWHERE,
        records.attachments("10042")[0].id,
    )


def test_a_copy_of_a_file_that_failed_is_tried_itself(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy waits only for bytes that are stored: where storing its twin failed, it is stored."""
    practice.photo(FIRST, jpeg("same"))
    practice.photo(SECOND, jpeg("same"))
    add_many = SqlRepository.add_many

    def refuse_first(self: SqlRepository, items: Any) -> Any:
        if any(attachment.name == FIRST for attachment, _ in items):
            raise RepositoryError("no")
        return add_many(self, items)

    records = practice.records()
    with monkeypatch.context() as patched:
        patched.setattr(SqlRepository, "add_many", refuse_first)
        report = practice.inbox(records=records).refresh()
    assert outcome_of(report, FIRST).reason is Reason.REPOSITORY_FAILED
    assert outcome_of(report, SECOND).state is State.IMPORTED
    assert names(records, "10042") == [SECOND]


def test_a_file_that_was_touched_after_it_was_stored_is_not_stored_again(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new time makes a new version, but not new bytes: the move of the stored file is finished."""
    path = practice.photo(FIRST)
    records = practice.records()
    inbox = practice.inbox(records=records)
    with monkeypatch.context() as patched:
        patched.setattr("os.unlink", _refuse)
        assert inbox.refresh().stored == 1
    path.touch()
    report = inbox.refresh()
    assert outcome_of(report, FIRST).reason is Reason.INTERRUPTED
    assert practice.left() == []
    assert len(records.attachments("10042")) == 1


def _refuse(*_args: object, **_options: object) -> None:
    raise PermissionError(13, "no")


def test_bytes_that_were_taken_back_do_not_come_in_again_under_another_name(practice: Practice) -> None:
    """Somebody decided that this photo is not this patient's: sent again, it waits, and others are imported."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    practice.photo(FIRST, jpeg("same"))
    inbox.refresh()
    inbox.undo(records.attachments("10042")[0])
    (practice.photos / FIRST).unlink()
    practice.photo(SECOND, jpeg("same"))
    practice.photo("10042_DRJ_20260131_142503.jpg", jpeg("another"))
    for listed in (inbox, inbox, practice.inbox(records=records)):
        outcome = outcome_of(listed.refresh(), SECOND)
        assert (outcome.reason, outcome.duplicate_of) == (Reason.UNDONE, None)
    assert names(records, "10042") == ["10042_DRJ_20260131_142503.jpg"]
    # For another patient nobody has decided against it.
    practice.photo(OTHERS, jpeg("same"))
    assert outcome_of(inbox.refresh(), OTHERS).state is State.IMPORTED


def test_bytes_that_were_taken_back_are_known_whatever_the_id_of_the_patient(practice: Practice) -> None:
    """The ledger escapes what databases refuse; it is the same patient all the same."""
    bench = Bench(practice)
    odd, sha256 = "7\N{NO-BREAK SPACE}A", "0" * 64
    bench.ledger.append(
        [
            LedgerEntry(
                event=Event.PUTTING_BACK, at=NOW, patient_id=odd, import_id="1", location="local", source_id="s",
                sha256=sha256,
            )
        ]
    )  # fmt: skip
    ask = CopyFinder(bench.records, bench.ledger)
    for patient, doubt in ((odd, Reason.UNDONE), ("10042", None)):
        found = ask.find([Incoming(import_id="2", sha256=sha256, patient_id=patient, automatic=True)])
        assert [one.doubt for one in found.values()] == ([doubt] if doubt is not None else [])


def test_a_file_that_was_undone_is_listed_as_undone_not_as_a_copy(practice: Practice) -> None:
    """Once its bytes have left the record, the file that is back is a copy of nothing."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    practice.photo(FIRST)
    inbox.refresh()
    inbox.undo(records.attachments("10042")[0])
    for listed in (inbox, practice.inbox(records=records)):
        outcome = outcome_of(listed.refresh(), FIRST)
        assert (outcome.reason, outcome.duplicate_of) == (Reason.UNDONE, None)


def test_copies_are_read_once_and_freed_when_the_original_leaves(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list does not read a waiting copy again, and imports it when nothing has its bytes any more."""
    records = practice.records()
    inbox = practice.inbox(records=records)
    practice.photo("a.jpg", jpeg("same"))
    inbox.refresh()
    inbox.save(inbox.prepare(inbox.rows, patient="10043"))
    practice.photo(FIRST, jpeg("same"))
    read: list[str] = []
    fetch = LocalSource.fetch
    monkeypatch.setattr(
        LocalSource, "fetch", lambda self, file, **o: read.append(file.name) or fetch(self, file, **o)
    )
    for _ in range(3):
        assert outcome_of(inbox.refresh(), FIRST).reason is Reason.DUPLICATE_ELSEWHERE
    assert read == [FIRST]
    inbox.reassign(records.attachments("10043")[0], patient="10042")
    outcome = outcome_of(inbox.refresh(), FIRST)
    assert (outcome.reason, outcome.duplicate_elsewhere) == (Reason.DUPLICATE, False)
    assert read == [FIRST]
    records.withdraw(records.attachments("10042")[0].id)
    assert outcome_of(inbox.refresh(), FIRST).state is State.IMPORTED


# --- a file that a person chose


def _prepared(
    practice: Practice, records: SqlRepository, name: str, patient: str
) -> tuple[Inbox, SaveRequest]:
    practice.photo(name, jpeg("same"))
    inbox = practice.inbox(records=records)
    inbox.refresh()
    return inbox, inbox.prepare(inbox.rows, patient=patient)


def test_a_person_is_warned_before_saving_a_copy_and_may_save_it(practice: Practice) -> None:
    """Whatever its name: the warning says where the bytes are, the job names the rows, and the save stores."""
    records = practice.records()
    inbox, job = _prepared(practice, records, "a.jpg", "10042")
    assert (job.warning, job.duplicates) == (None, ())
    inbox.save(job)
    (first,) = records.attachments("10042")

    inbox, job = _prepared(practice, records, "b.jpg", "10042")
    assert job.warning == (
        "The image will be saved to Ada Marsh (10042). It is in this patient's record already."
    )
    (duplicate,) = job.duplicates
    assert (duplicate.row.name, duplicate.attachment_id, duplicate.elsewhere) == ("b.jpg", first.id, False)
    (outcome,) = inbox.save(job).outcomes
    assert (outcome.state, outcome.reason) == (State.IMPORTED, Reason.CHOSEN)
    assert (outcome.duplicate_of, outcome.duplicate_elsewhere) == (first.id, False)
    assert outcome.attachment_id != first.id

    inbox, job = _prepared(practice, records, "c.jpg", "10043")
    assert job.warning == (
        "The image will be saved to Ben Okafor (10043). It is in another patient's record already."
    )
    assert job.duplicates[0].elsewhere
    (outcome,) = inbox.save(job).outcomes
    assert (outcome.state, outcome.duplicate_elsewhere) == (State.IMPORTED, True)
    assert "1004" not in repr(job.duplicates)
    assert practice.left() == []


def test_warnings_of_many_files_count(practice: Practice) -> None:
    """The usual warning, then how many are where."""
    records = practice.records()
    practice.photo("a.jpg", jpeg("a"))
    practice.photo("b.jpg", jpeg("b"))
    practice.photo("c.jpg", jpeg("c"))
    inbox = practice.inbox(records=records)
    inbox.refresh()
    inbox.save(inbox.prepare(inbox.rows[:2], patient="10042"))
    inbox.save(inbox.prepare(inbox.rows[2:], patient="10043"))
    for name, seed in (("d.jpg", "a"), ("e.jpg", "b"), ("f.jpg", "c"), ("g.jpg", "new")):
        practice.photo(name, jpeg(seed))
    inbox.refresh()
    job = inbox.prepare(inbox.rows, patient="10042")
    assert job.warning == (
        "4 images will be saved to Ada Marsh (10042). 1 of them is in another patient's record already."
        " 2 of them are in this patient's record already."
    )
    assert [(one.row.name, one.elsewhere) for one in job.duplicates] == [
        ("d.jpg", False), ("e.jpg", False), ("f.jpg", True),
    ]  # fmt: skip


def test_equal_files_saved_together_are_all_stored_and_told(practice: Practice) -> None:
    """A person who saves the same photo three times gets it three times, and hears of it."""
    records = practice.records()
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        practice.photo(name, jpeg("same"))
    inbox = practice.inbox(records=records)
    inbox.refresh()
    outcomes = inbox.save(inbox.prepare(inbox.rows, patient="10042")).outcomes
    first = outcomes[0].attachment_id
    assert [outcome.duplicate_of for outcome in outcomes] == [None, first, first]
    assert len(records.attachments("10042")) == 3


def test_equal_files_of_one_move_are_told_apart_by_bytes_and_patient(practice: Practice) -> None:
    """Of what goes to several patients at once, each copy names the first with its bytes, and whose that is."""
    bench = Bench(practice)
    patients = {"a.jpg": "10042", "b.jpg": "10042", "c.jpg": "10043", "d.jpg": "10042"}
    for name in patients:
        practice.photo(name, jpeg("other" if name == "b.jpg" else "same"))
    orders = [attrs.evolve(order, patient_id=patients[order.file.name]) for order in bench.orders()]
    outcomes, _ = bench.move(orders)
    first = outcomes[0].attachment_id
    assert [(one.state, one.duplicate_of, one.duplicate_elsewhere) for one in outcomes] == [
        (State.IMPORTED, None, False),
        (State.IMPORTED, None, False),
        (State.IMPORTED, first, True),
        (State.IMPORTED, first, False),
    ]


def test_only_files_of_a_known_size_are_read_before_a_save(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A choice of a hundred new photos reads none of them twice; nor is more read than a person waits for."""
    records = practice.records()
    inbox, job = _prepared(practice, records, "a.jpg", "10042")
    inbox.save(job)
    practice.photo("b.jpg", jpeg("same") + b"longer")
    practice.photo("c.jpg", jpeg("same"))
    read: list[str] = []
    fetch = LocalSource.fetch
    monkeypatch.setattr(
        LocalSource, "fetch", lambda self, file, **o: read.append(file.name) or fetch(self, file, **o)
    )
    inbox.refresh()
    assert [one.row.name for one in inbox.prepare(inbox.rows, patient="10042").duplicates] == ["c.jpg"]
    inbox.prepare(inbox.rows, patient="10042")
    assert read == ["c.jpg"]
    monkeypatch.setattr(duplicates, "_READ_AT_MOST_BYTES", 10)
    fresh = practice.inbox(records=records)
    fresh.refresh()
    assert fresh.prepare(fresh.rows, patient="10042").duplicates == ()
    assert read == ["c.jpg"]


def test_a_file_that_cannot_be_read_beforehand_is_no_obstacle(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The save itself will tell; the preparation does not fail."""
    records = practice.records()
    inbox, job = _prepared(practice, records, "a.jpg", "10042")
    inbox.save(job)
    inbox, _ = _prepared(practice, records, "b.jpg", "10042")
    fresh = practice.inbox(records=records)
    fresh.refresh()
    monkeypatch.setattr(LocalSource, "fetch", _refuse)
    assert fresh.prepare(fresh.rows, patient="10042").warning is None


def test_a_file_that_reappeared_is_no_copy_of_itself(practice: Practice) -> None:
    """What is stored under its own import id is the file, not a copy of it."""
    import os

    records = practice.records()
    path = practice.photo("a.jpg")
    os.link(path, practice.root / "kept")
    inbox = practice.inbox(records=records)
    inbox.refresh()
    inbox.save(inbox.prepare(inbox.rows, patient="10042"))
    os.link(practice.root / "kept", path)
    inbox.refresh()
    assert row_of(inbox, "a.jpg").reason is Reason.REAPPEARED
    job = inbox.prepare(inbox.rows, patient="10042")
    assert job.duplicates == ()
    (outcome,) = inbox.save(job).outcomes
    assert (outcome.state, outcome.duplicate_of) == (State.IMPORTED, None)
    assert len(records.attachments("10042")) == 1


# --- at once, and without


def test_two_workstations_import_two_files_of_the_same_bytes_at_once(practice: Practice) -> None:
    """From two folders: one is stored; the search for copies and the storing are one transaction."""
    folders = [practice.root / f"folder-{number}" for number in range(4)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        for photo in range(5):
            practice.photo(
                f"10042_DRJ_20260131_14{number:02}{photo:02}.jpg", jpeg(f"same {photo}"), folder=folder
            )
    barrier = threading.Barrier(len(folders))
    reports: list[Report] = []

    def work(folder: Any) -> None:
        with practice.records() as records:
            inbox = practice.inbox(practice.source(folder), records=records)
            inbox.scan()
            barrier.wait(30)
            reports.append(inbox.refresh())

    threads = [threading.Thread(target=work, args=(folder,)) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(report.imported for report in reports) == 5
    assert sum(report.waiting for report in reports) == 15
    stored = practice.records().attachments("10042")
    assert len({one.sha256 for one in stored}) == len(stored) == 5


class Forgetful(PatientRepository):
    """A host that implements the five methods and cannot look for bytes."""

    def __init__(self, records: SqlRepository) -> None:
        self._records = records
        for name in ("find_patient", "find_provider", "add", "find_attachment", "open_attachment"):
            setattr(self, name, getattr(records, name))

    find_patient = find_provider = add = find_attachment = open_attachment = None  # type: ignore[assignment]


def test_a_host_that_cannot_look_for_bytes_stores_copies(practice: Practice) -> None:
    """The default knows of no copies, as its docstring says; what an undo decided is known by the ledger."""
    records = practice.records()
    host = Forgetful(records)
    assert host.find_by_digest(["0" * 64]) == {}
    assert list(host.sizes_stored([1])) == []
    practice.photo(FIRST, jpeg("same"))
    inbox = practice.inbox(records=host, ledger=str(practice.root / "ledger.db"))
    inbox.refresh()
    practice.photo(SECOND, jpeg("same"))
    assert inbox.refresh().imported == 1
    practice.photo("x.jpg", jpeg("same"))
    inbox.refresh()
    job = inbox.prepare(inbox.rows, patient="10042")
    assert (job.warning, job.duplicates) == (None, ())


def test_nobody_is_asked_in_vain(practice: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither records that can't tell, nor the ledger about what a person chose, nor anybody about nothing."""
    bench = Bench(practice)
    host = Forgetful(bench.records)
    able, unable = CopyFinder(bench.records, bench.ledger), CopyFinder(host, bench.ledger)
    assert (able.able, unable.able) == (True, False)
    chosen = Incoming(import_id="1", sha256="0" * 64, patient_id="10042")
    monkeypatch.setattr(bench.ledger, "undone", raising(AssertionError("asked in vain")))
    assert able.find([chosen]) == {}
    monkeypatch.setattr(PatientRepository, "find_by_digest", raising(AssertionError("asked in vain")))
    assert unable.find([chosen]) == {}
    monkeypatch.setattr(SqlRepository, "find_by_digest", raising(AssertionError("asked in vain")))
    assert able.find([]) == {}
