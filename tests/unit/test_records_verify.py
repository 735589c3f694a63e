"""`verify_records`: every stored file is looked up, and its bytes are read again."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from intouch_import.clock import Clock
from intouch_import.errors import ConfigError, RepositoryError
from intouch_import.ledger import Event, Ledger
from intouch_import.model import Stage
from intouch_import.records import StoredBytes, accept_missing, verify_records
from intouch_import.testing import MemoryRepository, raising
from miniature import NOW, PATIENTS, PROVIDERS, HostRecords

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from intouch_import.model import Progress, StoredAttachment
    from intouch_import.repositories.sql import SqlRepository
    from miniature import Practice

NAMES = [f"10042_DRJ_20260131_14250{number}.jpg" for number in range(6)]


@pytest.fixture
def stored(practice: Practice) -> list[StoredAttachment]:
    """Return six photos that were imported for one patient, by name."""
    return practice.imported(NAMES)


def file_of(practice: Practice, attachment: StoredAttachment) -> Path:
    return practice.files / attachment.id[:2] / attachment.id


def test_whole_records_are_sound(practice: Practice, stored: list[StoredAttachment]) -> None:
    """Every file is listed and read, and the progress is reported."""
    told: list[Progress] = []
    report = verify_records(practice.records(), on_progress=told.append, clock=Clock(now=lambda: NOW))
    assert (report.listed, report.read, report.intact, report.sound) == (6, 6, 6, True)
    assert report.read_bytes == sum(one.size_bytes for one in stored)
    assert (told[-1].stage, told[-1].done, told[-1].done_bytes) == (Stage.VERIFYING, 6, report.read_bytes)
    assert report.checked_at == NOW


@pytest.mark.both_databases
def test_missing_altered_and_unreadable_files_are_found(
    practice: Practice, stored: list[StoredAttachment]
) -> None:
    """Each is reported with what it was when it was stored."""
    no_bytes, no_row, longer, flipped, folder, _whole = stored
    records = practice.records()
    file_of(practice, no_bytes).unlink()
    records.withdraw(no_row.id)
    with file_of(practice, longer).open("ab") as file:
        file.write(b"more")
    data = bytearray(file_of(practice, flipped).read_bytes())
    data[-3] ^= 1
    file_of(practice, flipped).write_bytes(data)
    file_of(practice, folder).unlink()
    file_of(practice, folder).mkdir()
    report = verify_records(records)
    assert {(one.entry.import_id, one.damage, one.in_records) for one in report.findings} == {
        (no_bytes.id, StoredBytes.MISSING, True),
        (no_row.id, StoredBytes.MISSING, False),
        (longer.id, StoredBytes.ALTERED, True),
        (flipped.id, StoredBytes.ALTERED, True),
        (folder.id, StoredBytes.UNREADABLE, True),
    }
    assert (report.listed, report.read, report.intact) == (6, 5, 1)
    assert (report.missing, report.altered, report.unreadable, report.sound) == (2, 2, 1, False)
    values = json.loads(json.dumps(report.to_dict()))
    assert values["missing"] == 2
    (lost,) = [one for one in values["findings"] if not one["in_records"]]
    assert (lost["name"], lost["patient_id"], lost["sha256"]) == (no_row.name, "10042", no_row.sha256)


def test_a_row_that_was_changed_with_its_bytes_is_altered(
    practice: Practice, stored: list[StoredAttachment]
) -> None:
    """The ledger knows the digest of what was stored, whatever the records say now."""
    import sqlite3
    from hashlib import sha256

    forged = b"other bytes"
    file_of(practice, stored[0]).write_bytes(forged)
    with sqlite3.connect(practice.root / "clinic.db") as database:
        database.execute(
            "UPDATE intouch_attachment SET sha256 = ?, size_bytes = ? WHERE import_id = ?",
            (sha256(forged).hexdigest(), len(forged), stored[0].id),
        )
    database.close()
    report = verify_records(practice.records())
    assert [(one.entry.import_id, one.damage) for one in report.findings] == [
        (stored[0].id, StoredBytes.ALTERED)
    ]


def test_the_records_of_any_host_can_be_verified(practice: Practice) -> None:
    """The ledger is the list of what was stored: no method is needed for it."""
    for name in NAMES:
        practice.photo(name)
    inner = MemoryRepository(PATIENTS, PROVIDERS)
    records = HostRecords(inner)
    ledger = practice.root / "ledger.db"
    practice.inbox(records=records, ledger=ledger).refresh()
    first, second, *_ = inner.attachments("10042")
    inner.damage(first.id)
    inner.withdraw(second.id)
    report = verify_records(records, ledger=ledger)
    assert {(one.entry.import_id, one.damage) for one in report.findings} == {
        (first.import_id, StoredBytes.ALTERED),
        (second.import_id, StoredBytes.MISSING),
    }
    with pytest.raises(ConfigError, match="ledger="):
        verify_records(records)
    inner.faults.before("find_attachment", raising(KeyError("10042 Ada Marsh")))
    with pytest.raises(RepositoryError) as failed:
        verify_records(records, ledger=ledger)
    assert "Ada" not in str(failed.value)


@pytest.mark.both_databases
def test_attachments_that_the_ledger_does_not_know_are_read_too(
    practice: Practice, stored: list[StoredAttachment], tmp_path: Path
) -> None:
    """Each file is listed once, whether ledger, records or both know it."""
    file_of(practice, stored[0]).write_bytes(b"altered")
    other = tmp_path / "other.db"
    report = verify_records(practice.records(), ledger=other)
    assert (report.listed, report.read, report.altered) == (6, 6, 1)
    (finding,) = report.findings
    assert finding.entry.name == stored[0].name
    assert verify_records(practice.records()).listed == 6


@pytest.mark.both_databases
def test_only_what_was_stored_since_a_time(practice: Practice, stored: list[StoredAttachment]) -> None:
    """Ledger and records give the same answer."""
    practice.photo("10043_DRJ_20260131_142500.jpg")
    later = NOW + timedelta(days=1)
    practice.inbox(clock=Clock(now=lambda: later)).refresh()
    report = verify_records(practice.records(), since=later)
    assert (report.listed, report.read, report.since) == (1, 1, later)
    assert verify_records(practice.records(), since=datetime.now(UTC) + timedelta(days=999)).listed == 0
    with pytest.raises(ConfigError, match="zone"):
        verify_records(practice.records(), since=datetime(2026, 1, 1))


@pytest.mark.parametrize(("sample", "read"), [(2, {2}), (100, {5}), (1.0, {5}), (0.5, {1, 2, 3, 4})])
def test_a_sample_is_read_and_everything_is_looked_up(
    practice: Practice, stored: list[StoredAttachment], sample: float, read: set[int]
) -> None:
    """A missing row is found with the smallest sample."""
    practice.records().withdraw(stored[0].id)
    report = verify_records(practice.records(), sample=sample, rng=random.Random(7))
    assert (report.listed, report.missing, report.sample) == (6, 1, sample)
    assert report.read in read


def test_a_number_of_files_is_chosen_evenly() -> None:
    """Each file has the same chance to be in the sample."""
    from intouch_import.records.verify import _sample

    rng = random.Random(1)
    counts = [0] * 10
    for _ in range(3000):
        for chosen in _sample(range(10), 3, rng):
            counts[chosen] += 1
    assert all(800 < count < 1000 for count in counts)


@pytest.mark.parametrize("sample", [0, -1, 0.0, 1.5])
def test_a_sample_that_makes_no_sense_is_refused(practice: Practice, sample: float) -> None:
    """A sample of nothing would prove nothing."""
    with pytest.raises(ConfigError, match="sample="):
        verify_records(practice.records(), sample=sample)


def _while_reading(records: SqlRepository, act: Callable[[str], object]) -> None:
    """Let something happen just before the bytes of each attachment are read."""
    opened = records.open_attachment

    def open_attachment(attachment_id: str) -> Any:
        act(attachment_id)
        return opened(attachment_id)

    records.open_attachment = open_attachment  # type: ignore[method-assign]


def test_an_undo_during_the_check_is_no_finding(practice: Practice, stored: list[StoredAttachment]) -> None:
    """A file that a person takes out of the record between the lookup and the reading is not missing."""
    records = practice.records()
    inbox = practice.inbox()
    undone: list[str] = []

    def undo(attachment_id: str) -> None:
        if not undone:
            undone.append(attachment_id)
            inbox.undo(attachment_id)

    _while_reading(records, undo)
    report = verify_records(records)
    assert (report.listed, report.sound) == (5, True)


def test_accepted_losses_are_not_reported_again(practice: Practice, stored: list[StoredAttachment]) -> None:
    """A person writes into the ledger that a file is lost; missing bytes of an attachment are not accepted."""
    records = practice.records()
    records.withdraw(stored[0].id)
    file_of(practice, stored[1]).unlink()
    inbox = practice.inbox(records=records)
    assert inbox.refresh().problems
    report = verify_records(records)
    assert accept_missing(report, records, ledger=inbox.ledger, operator="boss") == 1
    assert inbox.refresh().problems == ()
    assert [one.entry.import_id for one in verify_records(records).findings] == [stored[1].id]
    (entry,) = [one for one in inbox.ledger.entries() if one.event is Event.MISSING]
    assert (entry.operator, entry.import_id, entry.patient_id) == ("boss", stored[0].id, "10042")
    assert inbox.ledger.verify() == []
    assert accept_missing(report, records, ledger=inbox.ledger) == 0


def test_a_lost_file_that_is_found_is_imported(practice: Practice, stored: list[StoredAttachment]) -> None:
    """After a loss was accepted, the same version of the file can be imported again, and is in the ledger."""
    records = practice.records()
    records.withdraw(stored[0].id)
    ledger = Ledger.open(practice.url)
    accept_missing(verify_records(records), records, ledger=ledger)
    practice.photo(stored[0].name)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("intouch_import.inbox.rows.import_id", lambda *_: stored[0].id)
        assert practice.inbox(records=records).refresh().imported == 1
    events = [one.event for one in ledger.entries(import_id=stored[0].id)]
    assert events == [Event.STORED, Event.MOVED, Event.MISSING, Event.STORED, Event.MOVED]
    assert verify_records(records).sound
