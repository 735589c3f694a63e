"""An undo of a file that never left its source, while other workstations finish what they have begun."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pytest

from intouch_import.errors import NotRemoved, RepositoryError, SelectionError, SourceUnavailable
from intouch_import.inbox.corrections import Corrections
from intouch_import.ledger import Event, claims
from intouch_import.ledger.claims import Claim
from intouch_import.model import Reason, State
from intouch_import.sources.local import LocalSource
from intouch_import.testing import MemoryRepository
from intouch_import.verdicts import waiting
from miniature import PATIENTS, PROVIDERS, jpeg, reasons
from moving_bench import raising

if TYPE_CHECKING:
    from intouch_import.inbox import Inbox
    from intouch_import.reports import Report
    from intouch_import.repositories.sql import SqlRepository
    from miniature import Practice

PHOTO = "10042_DRJ_20260131_142501.jpg"


def stored_not_removed(practice: Practice) -> tuple[SqlRepository, Inbox]:
    """A photo that is in the record and still in its folder."""
    practice.photo(PHOTO)
    records = practice.records()
    inbox = practice.inbox(records=records)
    with pytest.MonkeyPatch.context() as patched:

        def refuse(*_: Any, **__: Any) -> None:
            raise NotRemoved("in use")

        patched.setattr(LocalSource, "remove", refuse)
        (outcome,) = inbox.refresh().outcomes
    assert outcome.state is State.STORED
    return records, inbox


def begin_undo(inbox: Inbox, records: SqlRepository) -> None:
    """An undo that dies after it has written into the ledger what it is going to do."""
    with pytest.MonkeyPatch.context() as patched:
        write = Corrections._write

        def die(*args: Any, **options: Any) -> None:
            write(*args, **options)
            raise KeyboardInterrupt

        patched.setattr(Corrections, "_write", die)
        with pytest.raises(KeyboardInterrupt):
            inbox.undo(records.attachments("10042")[0])


class Stalled:
    """A save in a thread of its own, which stops at a step until the test lets it go on.

    Args:
        inbox: Its one photo is saved.
        owner, name: The step. The save stops before it.
        after: Stop after the step instead.
    """

    def __init__(self, inbox: Inbox, owner: Any, name: str, *, after: bool = False) -> None:
        self._at, self._go = threading.Event(), threading.Event()
        step = getattr(owner, name)
        self.reports: list[Report] = []

        def stalling(*args: Any, **options: Any) -> Any:
            setattr(owner, name, step)
            result = step(*args, **options) if after else None
            self._at.set()
            assert self._go.wait(20)
            return result if after else step(*args, **options)

        setattr(owner, name, stalling)
        inbox.refresh()
        request = inbox.prepare(inbox.rows, patient="10042")
        self._thread = threading.Thread(target=lambda: self.reports.append(inbox.save(request)))
        self.import_id = request.rows[0].import_id

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._at.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._go.set()
        self._thread.join(20)
        assert len(self.reports) == 1


def test_an_undo_waits_for_a_removal(practice: Practice) -> None:
    """While a photo is stored and not yet removed, its undo is refused; afterwards it is put back."""
    practice.photo("IMG_1.jpg")
    inbox, other = practice.inbox(), practice.inbox()
    with Stalled(inbox, inbox.sources[0], "remove") as save:
        outcome = other.undo(save.import_id)
        assert (outcome.state, outcome.reason, outcome.retry_helps) == (
            State.FAILED,
            Reason.IN_PROGRESS,
            True,
        )
        # The other workstation finishes this move, too. The first removal is still to come.
        assert other.refresh().imported == 1
        assert other.undo(save.import_id).reason is Reason.IN_PROGRESS
    assert save.reports[0].imported == 1
    assert other.undo(save.import_id).state is State.WAITING
    assert (practice.photos / "IMG_1.jpg").read_bytes() == jpeg("IMG_1.jpg")


def test_a_photo_that_was_undone_meanwhile_is_not_removed(practice: Practice) -> None:
    """An undo is at work when a save on another workstation wants to begin: the photo stays in its folder."""
    records, inbox = stored_not_removed(practice)
    (stored,) = records.attachments("10042")
    other = practice.inbox(records=practice.records())
    other.scan()
    row = other.rows[0]
    withdraw = records.withdraw
    reports: list[Report] = []

    def meanwhile(attachment_id: str) -> None:
        row.judge(waiting(row.name, Reason.UNDONE))  # as the next refresh would list it
        reports.append(other.save(other.prepare([row], patient="10042")))
        assert other.reassign(stored, patient="10043").reason is Reason.IN_PROGRESS
        withdraw(attachment_id)

    records.withdraw = meanwhile  # type: ignore[method-assign]
    assert inbox.undo(stored).state is State.WAITING
    assert reasons(reports[0]) == {PHOTO: ("waiting", "undone")}
    assert practice.left() == [PHOTO]
    assert records.attachments("10042") == records.attachments("10043") == []


def test_an_undo_is_not_finished_by_another_workstation_while_it_goes_on(practice: Practice) -> None:
    """A refresh during an undo leaves it alone. It could withdraw what is saved again in the meantime."""
    records, inbox = stored_not_removed(practice)
    other = practice.inbox(records=practice.records())
    withdraw = records.withdraw

    def meanwhile(attachment_id: str) -> None:
        other.refresh()
        assert len(records.attachments("10042")) == 1
        withdraw(attachment_id)

    records.withdraw = meanwhile  # type: ignore[method-assign]
    assert inbox.undo(records.attachments("10042")[0]).state is State.WAITING
    assert records.attachments("10042") == []
    assert (practice.photos / PHOTO).read_bytes() == jpeg(PHOTO)
    assert practice.inbox(records=records).refresh().waiting == 1


def test_an_undo_that_was_done_just_before_is_not_done_again(practice: Practice) -> None:
    """Two people undo the same import: the second is told that it is no longer stored."""
    practice.photo(PHOTO)
    records = practice.records()
    inbox, other = practice.inbox(records=records), practice.inbox()
    (outcome,) = inbox.refresh().outcomes
    claim = inbox.ledger.claims.undo

    def late(import_id: str) -> Claim:
        assert other.undo(outcome).state is State.WAITING
        return claim(import_id)

    inbox.ledger.claims.undo = late  # type: ignore[method-assign]
    with pytest.raises(SelectionError, match="nothing is stored"):
        inbox.undo(outcome)
    assert practice.left() == [PHOTO]


def test_a_removal_that_may_still_happen_holds_up_an_undo(practice: Practice) -> None:
    """If nobody knows whether a service will still remove the file, an undo waits for some minutes."""
    practice.photo(PHOTO)
    inbox = practice.inbox()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LocalSource, "remove", raising(SourceUnavailable("no answer")))
        (outcome,) = inbox.refresh().outcomes
    assert outcome.state is State.STORED
    assert inbox.undo(outcome).reason is Reason.IN_PROGRESS
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(claims, "_now", lambda _: datetime.now(UTC) + timedelta(minutes=11))
        assert inbox.undo(outcome).state is State.WAITING


def test_a_move_that_was_stopped_for_long_removes_nothing(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After half an hour of sleep a claim may soon not count any more: the file stays for the next refresh."""
    practice.photo(PHOTO)
    inbox = practice.inbox()
    monkeypatch.setattr(Claim, "is_good", False)
    (outcome,) = inbox.refresh().outcomes
    assert (outcome.state, outcome.reason, outcome.retry_helps) == (State.STORED, Reason.NOT_REMOVED, True)
    assert practice.left() == [PHOTO]
    monkeypatch.undo()
    assert inbox.refresh().imported == 1


def test_without_the_database_of_the_ledger_nothing_is_stored(practice: Practice) -> None:
    """If no claim can be written, the files stay, the report says so, and the next refresh imports them."""
    practice.photo(PHOTO)
    records = practice.records()
    inbox = practice.inbox(records=records)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inbox.ledger.claims, "move", raising(RepositoryError("locked")))
        (outcome,) = inbox.refresh().outcomes
    assert (outcome.state, outcome.reason, outcome.retry_helps) == (State.FAILED, Reason.LEDGER_FAILED, True)
    assert practice.left() == [PHOTO]
    assert records.attachments("10042") == []
    assert inbox.refresh().imported == 1


def test_an_undo_is_not_finished_from_a_damaged_copy(practice: Practice) -> None:
    """Recovery takes nothing out of the folder that it could not put back."""
    records, inbox = stored_not_removed(practice)
    (stored,) = records.attachments("10042")
    begin_undo(inbox, records)
    kept = practice.files / stored.id[:2] / stored.id
    kept.unlink()
    for damage in (lambda: kept.write_bytes(b"damaged"), kept.unlink):
        damage()
        assert practice.inbox(records=records).refresh().closes
        assert (practice.photos / PHOTO).read_bytes() == jpeg(PHOTO)
        assert records.attachments("10042") == [stored]


def test_a_file_that_is_put_back_keeps_its_time(practice: Practice) -> None:
    """Photos without Exif are sorted by that time. The put-back photo may have its first version again."""
    path = practice.photo("IMG_1.jpg")
    os.utime(path, ns=(1_500_000_000_123_456_000,) * 2)
    records = practice.records()
    inbox = practice.inbox(records=records)
    for _ in range(2):
        inbox.refresh()
        (outcome,) = inbox.save(inbox.prepare(inbox.rows, patient="10042")).outcomes
        assert inbox.undo(outcome).state is State.WAITING
        assert path.stat().st_mtime_ns == 1_500_000_000_123_456_000
    inbox.refresh()
    assert inbox.save(inbox.prepare(inbox.rows, patient="10043")).imported == 1
    assert len(records.attachments("10043")) == 1


def test_an_impossible_time_keeps_no_file_from_its_folder(
    practice: Practice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file system can't have the time, the file is put back with another."""
    practice.photo(PHOTO)
    inbox = practice.inbox()
    (outcome,) = inbox.refresh().outcomes
    monkeypatch.setattr(os, "utime", raising(OSError("no such time")))
    assert inbox.undo(outcome).state is State.WAITING
    assert practice.left() == [PHOTO]


class _ReusesNumbers(MemoryRepository):
    """As SQLite numbers rows by itself: the number of the last row, once deleted, is given to the next."""

    def _add(self, attachment: Any, content: Any) -> Any:
        self._kept.next_id = 1 + max(
            (int(stored.id.rpartition("-")[2]) for stored, _ in self._kept.stored.values()), default=0
        )
        return super()._add(attachment, content)


def test_an_id_that_was_given_away_again_is_not_withdrawn(practice: Practice) -> None:
    """An undo was cut off after the withdrawal, and the number went to another photo: that one stays stored."""
    practice.photo(PHOTO)
    practice.photo("other.jpg")
    records = _ReusesNumbers(PATIENTS, PROVIDERS)
    ledger = practice.root / "ledger.db"
    inbox = practice.inbox(records=records, ledger=ledger)
    withdrawn = next(one for one in inbox.refresh().outcomes if one.name == PHOTO)
    elsewhere = practice.inbox(records=records.reopen(), ledger=ledger)
    elsewhere.refresh()
    records.faults.after("withdraw", raising(RepositoryError("the power failed")))
    with pytest.raises(RepositoryError):
        inbox.undo(withdrawn)
    assert elsewhere.save(elsewhere.prepare(elsewhere.rows, patient="10043")).imported == 1
    (saved,) = records.attachments("10043")
    assert saved.id == withdrawn.attachment_id
    report = practice.inbox(records=records.reopen(), ledger=ledger).refresh()
    assert records.attachments("10043") == [saved]
    assert reasons(report) == {PHOTO: ("waiting", "undone")}


def test_an_undo_that_was_cut_off_does_not_take_another_file_for_its_own(practice: Practice) -> None:
    """Other bytes of the same size under the name stay, the record keeps its photo, and the ledger says so."""
    records, inbox = stored_not_removed(practice)
    (stored,) = records.attachments("10042")
    begin_undo(inbox, records)
    other = jpeg(PHOTO)[::-1]
    (practice.photos / PHOTO).unlink()
    practice.photo(PHOTO, other)
    outcome = inbox.undo(stored)
    assert (outcome.state, outcome.reason, outcome.retry_helps) == (State.FAILED, Reason.NAME_TAKEN, False)
    assert (practice.photos / PHOTO).read_bytes() == other
    assert records.attachments("10042") == [stored]
    last = list(inbox.ledger.entries(import_id=stored.import_id))[-1]
    assert (last.event, last.reason, last.from_patient_id) == (Event.FAILED, "name_taken", None)
    (practice.photos / PHOTO).unlink()
    practice.photo(PHOTO)
    assert inbox.undo(stored).state is State.WAITING
    assert records.attachments("10042") == []


def test_an_undo_of_a_damaged_copy_is_refused(practice: Practice) -> None:
    """A photo that never left its folder stays there and in the record, where the damage can be seen."""
    records, inbox = stored_not_removed(practice)
    (stored,) = records.attachments("10042")
    (practice.files / stored.id[:2] / stored.id).write_bytes(jpeg(PHOTO)[::-1])
    outcome = inbox.undo(stored)
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.STORED_COPY_DIFFERS)
    assert practice.left() == [PHOTO]
    assert records.attachments("10042") == [stored]


def test_a_photo_that_is_being_undone_is_not_reassigned(practice: Practice) -> None:
    """The undo would withdraw it from the other record. A second attempt helps."""
    records, inbox = stored_not_removed(practice)
    (stored,) = records.attachments("10042")
    with inbox.ledger.claims.undo(stored.import_id):
        outcome = practice.inbox(records=records).reassign(stored, patient="10043")
    assert (outcome.state, outcome.reason, outcome.retry_helps) == (State.FAILED, Reason.IN_PROGRESS, True)
    assert records.attachments("10042") == [stored]


def test_a_photo_that_can_not_be_read_is_not_reassigned(practice: Practice) -> None:
    """Afterwards nobody could say which of the two records had lost it."""
    records, inbox = stored_not_removed(practice)
    (stored,) = records.attachments("10042")
    (practice.files / stored.id[:2] / stored.id).unlink()
    outcome = inbox.reassign(stored, patient="10043")
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.STORED_COPY_DIFFERS)
    assert records.attachments("10042") == [stored]
