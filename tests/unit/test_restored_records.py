"""Records that are older than their ledger, because somebody has restored them from a backup."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from commanding import Command
from intouch_import.errors import NotRemoved
from intouch_import.ledger import Event, Ledger
from intouch_import.model import Reason
from intouch_import.reports import RECORDS
from intouch_import.sources.local import LocalSource
from intouch_import.testing import MemoryRepository
from miniature import PATIENTS, PROVIDERS

if TYPE_CHECKING:
    from pathlib import Path

    from intouch_import.inbox import Inbox
    from miniature import Practice

FIRST = "10042_DRJ_20260131_142501.jpg"
SECOND = "10042_DRJ_20260131_142502.jpg"


@pytest.fixture
def ledger(practice: Practice) -> Path:
    """Return the path of a ledger in a database of its own."""
    return practice.root / "ledger.db"


def restore_after(practice: Practice, use: Any) -> None:
    """Back the records up, use them, and restore them. The ledger is not restored."""
    backup = practice.root / "backup.db"
    shutil.copy(practice.root / "clinic.db", backup)
    with practice.records() as records:
        use(records)
    shutil.copy(backup, practice.root / "clinic.db")


def events(inbox: Inbox) -> list[Event]:
    return [entry.event for entry in inbox.ledger.entries()]


def test_files_that_were_imported_since_the_backup_are_a_problem(practice: Practice, ledger: Path) -> None:
    """Every refresh reports them: they have left their folder, and are in no record."""
    practice.photo(FIRST)
    practice.photo(SECOND)
    restore_after(practice, lambda records: practice.inbox(records=records, ledger=ledger).refresh())
    inbox = practice.inbox(ledger=ledger)
    for _ in range(2):
        (problem,) = inbox.refresh().problems
        assert problem.location == RECORDS
        assert "2 files" in problem.text
        assert not problem.retry_helps
    assert [one.location for one in inbox.scan()] == [RECORDS]


def test_an_unfinished_move_is_not_called_finished(practice: Practice, ledger: Path) -> None:
    """A file that is neither in its folder nor in the record was not moved: the ledger must not say so."""

    def crash(records: Any) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise NotRemoved("in use")

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(LocalSource, "remove", refuse)
            practice.inbox(records=records, ledger=ledger).refresh()

    practice.photo(FIRST)
    restore_after(practice, crash)
    (practice.photos / FIRST).unlink()
    inbox = practice.inbox(ledger=ledger)
    for _ in range(2):
        assert [problem.location for problem in inbox.refresh().problems] == [RECORDS]
        assert events(inbox) == [Event.STORED, Event.NOT_REMOVED]


def test_a_missing_file_that_comes_back_is_imported(practice: Practice, ledger: Path) -> None:
    """A photo that is still on the camera is imported again, and then nothing is missing."""
    practice.photo(FIRST)
    restore_after(practice, lambda records: practice.inbox(records=records, ledger=ledger).refresh())
    inbox = practice.inbox(ledger=ledger)
    assert inbox.refresh().problems
    practice.photo(FIRST)  # the same bytes, as a new file
    assert inbox.refresh().imported == 1
    assert inbox.refresh().problems == ()


def test_an_undo_is_not_a_missing_file(practice: Practice, ledger: Path) -> None:
    """The records lack what a person has taken out of them; also while the undo is under way elsewhere."""
    practice.photo(FIRST)
    inbox = practice.inbox(ledger=ledger)
    (outcome,) = inbox.refresh().outcomes
    inbox.undo(outcome)
    assert inbox.refresh().problems == ()
    assert inbox.save(inbox.prepare(inbox.rows, patient="10043")).imported == 1
    (stored,) = practice.records().attachments("10043")
    entry = [one for one in inbox.ledger.entries() if one.event is Event.MOVED][-1]
    for event in (Event.PUTTING_BACK, Event.WITHDRAWN):
        inbox.ledger.append([attrs.evolve(entry, event=event, seq=None, digest=None)])
        practice.records().withdraw(stored.id)
        assert practice.inbox(ledger=ledger).refresh().problems == ()


def test_a_watch_shows_the_problem_until_it_is_over(practice: Practice, ledger: Path) -> None:
    """The problem is in the changes of every watch."""
    practice.photo(FIRST)
    restore_after(practice, lambda records: practice.inbox(records=records, ledger=ledger).refresh())
    with practice.inbox(ledger=ledger).watch() as watching:
        assert [problem.location for problem in next(watching).problems] == [RECORDS]


def test_records_of_a_host_are_compared_too(practice: Practice, ledger: Path) -> None:
    """No more is needed than `find_attachment`; and what an inbox has found missing, it does not forget."""
    practice.photo(FIRST)
    records = MemoryRepository(PATIENTS, PROVIDERS)
    inbox = practice.inbox(records=records, ledger=ledger)
    inbox.refresh()
    records.withdraw(records.attachments("10042")[0].id)
    assert [problem.location for problem in inbox.refresh().problems] == [RECORDS]
    # So many files are imported that the missing one is not among the newest any more.
    for number in range(120):
        practice.photo(f"10043_DRJ_20260131_15{number // 60:02}{number % 60:02}.jpg")
    assert inbox.refresh().imported == 120
    assert len(inbox.refresh().problems) == 1


def test_the_command_fails_for_records_that_lack_files(command: Command, practice: Practice) -> None:
    """A script that runs ``refresh`` notices: the exit code is that of records that failed."""
    practice.photo(FIRST)
    assert command("refresh", practice.photos).code == 0
    with practice.records() as records:
        (stored,) = records.attachments("10042")
        records.withdraw(stored.id)
    for name in ("scan", "refresh"):
        done = command(name, practice.photos)
        assert done.code == 4
        assert "records verify" in done.err


@pytest.mark.both_databases
def test_the_ledger_lists_what_must_be_in_the_records(practice: Practice) -> None:
    """All of it in pages, or since a time, or the newest."""
    for number in range(5):
        practice.photo(f"10042_DRJ_20260131_14250{number}.jpg")
    inbox = practice.inbox()
    inbox.refresh()
    ledger: Ledger = inbox.ledger
    everything = list(ledger.stored())
    assert len(everything) == 5
    assert list(ledger.stored(since=everything[0].at)) == everything
    assert [entry.seq for entry in ledger.stored(newest=2)] == [everything[4].seq, everything[3].seq]
    undone = inbox.undo(everything[2].import_id)
    assert undone.reason is Reason.UNDONE
    assert len(list(ledger.stored())) == 4
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("intouch_import.ledger.book._PAGE", 3)
        assert list(ledger.stored()) == [entry for entry in everything if entry is not everything[2]]
