"""Reassign: from one patient's record into another's, told on both sides, the bytes unchanged."""

from __future__ import annotations

import io
import re
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import.clock import Clock
from intouch_import.errors import (
    AlreadyAssigned,
    LedgerError,
    NotRemoved,
    NotSupported,
    RepositoryError,
    SelectionError,
    UnknownPatient,
)
from intouch_import.ledger import Event
from intouch_import.model import Patient, Reason, State
from intouch_import.repositories.base import PatientRepository
from intouch_import.repositories.sql import SqlRepository
from intouch_import.repositories.tables import attachments
from intouch_import.sources.local import LocalSource
from miniature import NOW, jpeg

if TYPE_CHECKING:
    from intouch_import.inbox import Inbox
    from intouch_import.model import StoredAttachment
    from intouch_import.reports import Outcome
    from miniature import Practice

pytestmark = pytest.mark.both_databases

PHOTO = "10042_DRJ_20260131_142501.jpg"


@pytest.fixture
def records(practice: Practice) -> SqlRepository:
    return practice.records()


@pytest.fixture
def inbox(practice: Practice, records: SqlRepository) -> Inbox:
    """An inbox whose only file was imported for the first patient."""
    practice.photo(PHOTO)
    inbox = practice.inbox(records=records, operator="reception")
    assert inbox.refresh().imported == 1
    return inbox


@pytest.fixture
def stored(inbox: Inbox, records: SqlRepository) -> StoredAttachment:
    (stored,) = records.attachments("10042")
    return stored


def whose(records: SqlRepository) -> dict[str, int]:
    """By patient: how many attachments."""
    counts = {patient: len(records.attachments(patient)) for patient in ("10042", "10043", "10044")}
    return {patient: count for patient, count in counts.items() if count}


def told(inbox: Inbox, patient: str | None = None) -> list[tuple[Event, str | None, str | None]]:
    """The ledger's entries on reassignments: event, from whom, to whom."""
    return [
        (entry.event, entry.from_patient_id, entry.patient_id)
        for entry in inbox.ledger.entries(patient_id=patient)
        if "reassign" in entry.event
    ]


BEGUN = (Event.REASSIGNING, "10042", "10043")
DONE = (Event.REASSIGNED, "10042", "10043")
NOT_DONE = (Event.NOT_REASSIGNED, "10042", "10043")


def test_an_attachment_moves_and_both_sides_hear_of_it(
    inbox: Inbox, records: SqlRepository, stored: StoredAttachment
) -> None:
    """Everything but the patient stays; the ledger names from whom and to whom, in the history of each."""
    outcome = inbox.reassign(stored, patient="10043")
    assert (outcome.state, outcome.reason) == (State.IMPORTED, Reason.REASSIGNED)
    assert (outcome.import_id, outcome.attachment_id, outcome.sha256) == (
        stored.import_id,
        stored.id,
        stored.sha256,
    )
    assert whose(records) == {"10043": 1}
    assert records.attachments("10043") == [attrs.evolve(stored, patient_id="10043")]
    with records.open_attachment(stored.id) as file:
        assert file.read() == jpeg(PHOTO)
    assert told(inbox) == told(inbox, "10042") == told(inbox, "10043") == [BEGUN, DONE]
    entry = list(inbox.ledger.entries())[-1]
    assert (entry.operator, entry.reason, entry.sha256) == ("reception", "reassigned", stored.sha256)
    assert inbox.ledger.verify() == []
    assert not re.search("1004[23]", f"{outcome!r}{entry!r}{outcome.reason.text}")


def test_it_may_be_named_by_any_id_or_by_what_carries_one(
    inbox: Inbox, records: SqlRepository, stored: StoredAttachment
) -> None:
    """An import id, the outcome of its import, an attachment; there and back again."""
    for which, patient in (
        (stored.import_id, Patient(id="10043")),
        (inbox.reassign(stored, patient="10043"), "10042"),
        (stored, "10044"),
        (stored.id, "10042"),
    ):
        assert inbox.reassign(which, patient=patient).state is State.IMPORTED
        wanted = patient if isinstance(patient, str) else patient.id
        assert whose(records) == {wanted: 1}
    assert inbox.ledger.verify() == []


def test_asked_for_again_it_changes_nothing(
    inbox: Inbox, records: SqlRepository, stored: StoredAttachment
) -> None:
    """Idempotent: no second move, no second line."""
    inbox.reassign(stored, patient="10043")
    before = inbox.ledger.tail()
    assert inbox.reassign(stored, patient="10043").state is State.IMPORTED
    assert inbox.ledger.tail() == before
    assert whose(records) == {"10043": 1}


def test_what_cannot_be_reassigned_is_refused_and_nothing_changes(
    inbox: Inbox, records: SqlRepository, stored: StoredAttachment, practice: Practice
) -> None:
    """No such attachment, no such patient, an outcome without an id, the patient of another folder."""
    before = inbox.ledger.tail()
    with pytest.raises(SelectionError, match="nothing is stored"):
        inbox.reassign("0" * 40, patient="10043")
    with pytest.raises(SelectionError, match="nothing is stored"):
        inbox.reassign("no\0 id", patient="10043")
    with pytest.raises(UnknownPatient):
        inbox.reassign(stored, patient="nobody")
    ignored = attrs.evolve(inbox.undo(stored), import_id=None)
    with pytest.raises(SelectionError, match="not imported"):
        inbox.reassign(ignored, patient="10043")
    with pytest.raises(SelectionError, match="another patient"):
        inbox.browse(practice.photos, patient="10042").reassign(stored, patient="10043")
    assert inbox.ledger.tail()[0] == before[0] + 2  # those of the undo


def test_a_repository_that_keeps_what_it_has_refuses(
    practice: Practice, records: SqlRepository, stored: StoredAttachment
) -> None:
    """The default body says NotSupported, and nothing is written down."""

    class Host(SqlRepository):
        reassign = PatientRepository.reassign  # type: ignore[assignment]

    host = Host(records.engine, records._files)
    inbox = practice.inbox(records=host)
    before = inbox.ledger.tail()
    with pytest.raises(NotSupported):
        inbox.reassign(stored, patient="10043")
    with pytest.raises(NotSupported):
        host.reassign(stored.id, from_patient_id="10042", to_patient_id="10043")
    assert inbox.ledger.tail() == before
    assert whose(records) == {"10042": 1}


# --- while the file is still in its source


@pytest.fixture
def not_removed(practice: Practice, records: SqlRepository, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    """An inbox whose only file is stored for the first patient and could not be removed."""
    practice.photo(PHOTO)
    inbox = practice.inbox(records=records)
    with monkeypatch.context() as patched:
        patched.setattr(LocalSource, "remove", _refuse)
        assert inbox.refresh().stored == 1
    return inbox


def _refuse(*_args: object, **_options: object) -> None:
    raise NotRemoved("no")


@pytest.mark.parametrize("whose_list", ["the same", "another"])
def test_a_file_still_in_its_source_is_finished_for_the_right_patient(
    practice: Practice, records: SqlRepository, not_removed: Inbox, whose_list: str
) -> None:
    """Its removal goes on; the ledger's last word names the patient whose record it is in."""
    (stored,) = records.attachments("10042")
    not_removed.reassign(stored, patient="10043")
    inbox = not_removed if whose_list == "the same" else practice.inbox(records=records)
    (outcome,) = inbox.refresh().outcomes
    assert (outcome.state, outcome.reason) == (State.IMPORTED, Reason.INTERRUPTED)
    assert practice.left() == []
    assert whose(records) == {"10043": 1}
    last = list(inbox.ledger.entries())[-1]
    assert (last.event, last.patient_id) == (Event.MOVED, "10043")


def test_a_list_made_before_finishes_for_the_right_patient(
    practice: Practice, records: SqlRepository, not_removed: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the listing and the move another workstation reassigns: what is stored now counts."""
    (stored,) = records.attachments("10042")
    lister = not_removed._refresh._lister
    take = lister.take

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        result = take(*arguments, **options)
        practice.inbox(records=practice.records()).reassign(stored, patient="10043")
        return result

    monkeypatch.setattr(lister, "take", meanwhile)
    assert not_removed.refresh().imported == 1
    assert list(not_removed.ledger.entries())[-1].patient_id == "10043"


def test_a_move_whose_last_line_is_missing_is_told_of_the_right_patient(
    practice: Practice, records: SqlRepository, not_removed: Inbox
) -> None:
    """Stored, reassigned, gone: the line that a refresh adds names the patient whose record it is in."""
    not_removed.reassign(records.attachments("10042")[0], patient="10043")
    (practice.photos / PHOTO).unlink()
    inbox = practice.inbox(records=records)
    inbox.refresh()
    last = list(inbox.ledger.entries())[-1]
    assert (last.event, last.patient_id) == (Event.MOVED, "10043")


def test_saving_it_to_the_former_patient_again_is_refused(
    practice: Practice, records: SqlRepository, not_removed: Inbox
) -> None:
    """A second workstation that still has it in its list is told that it is in another record."""
    other = practice.inbox(records=records)
    other.scan()
    not_removed.reassign(records.attachments("10042")[0], patient="10043")
    (outcome,) = other.save(other.prepare(other.rows, patient="10042")).outcomes
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.ALREADY_ASSIGNED)
    assert whose(records) == {"10043": 1}
    assert practice.left() == [PHOTO]
    assert practice.inbox(records=records).refresh().imported == 1


# --- records and ledgers that fail


class Faulty(SqlRepository):
    """Records whose `reassign` is a test's own."""

    fault: Any = None

    def reassign(self, attachment_id: str, **patients: str) -> StoredAttachment:
        result: StoredAttachment = self.fault(super().reassign, attachment_id, **patients)
        return result


@pytest.fixture
def faulty(practice: Practice, records: SqlRepository) -> tuple[Faulty, Inbox]:
    host = Faulty(records.engine, records._files)
    return host, practice.inbox(records=host)


def test_records_that_refuse_leave_it_where_it_was(
    faulty: tuple[Faulty, Inbox], records: SqlRepository, stored: StoredAttachment
) -> None:
    """Whatever they raise, the outcome says that it is where it was, and so does the ledger."""
    host, inbox = faulty
    for exc in (RepositoryError("no"), RuntimeError("the host's own")):

        def fail(_reassign: Any, *_args: Any, _exc: Exception = exc, **_patients: str) -> Any:
            raise _exc

        host.fault = fail
        outcome = inbox.reassign(stored, patient="10043")
        assert (outcome.state, outcome.reason, outcome.retry_helps) == (
            State.FAILED,
            Reason.NOT_REASSIGNED,
            True,
        )
    assert told(inbox) == [BEGUN, NOT_DONE] * 2
    assert whose(records) == {"10042": 1}


def test_records_that_fail_after_they_have_done_it_have_done_it(
    faulty: tuple[Faulty, Inbox], records: SqlRepository, stored: StoredAttachment
) -> None:
    """The records are asked what they hold; what they say of themselves is not believed."""
    host, inbox = faulty

    def lost(reassign: Any, attachment_id: str, **patients: str) -> Any:
        reassign(attachment_id, **patients)
        raise RepositoryError("the connection was lost")

    host.fault = lost
    assert inbox.reassign(stored, patient="10043").state is State.IMPORTED
    assert told(inbox) == [BEGUN, DONE]
    assert whose(records) == {"10043": 1}


def test_records_that_only_say_they_have_done_it_are_not_believed(
    faulty: tuple[Faulty, Inbox], records: SqlRepository, stored: StoredAttachment
) -> None:
    """It is still in the former record, and the outcome says so."""
    host, inbox = faulty
    host.fault = lambda _reassign, _id, **_patients: attrs.evolve(stored, patient_id="10043")
    outcome = inbox.reassign(stored, patient="10043")
    assert (outcome.state, outcome.reason, outcome.retry_helps) == (
        State.FAILED,
        Reason.NOT_REASSIGNED,
        False,
    )
    assert told(inbox) == [BEGUN, NOT_DONE]


def test_somebody_else_moved_it_meanwhile(
    faulty: tuple[Faulty, Inbox], records: SqlRepository, stored: StoredAttachment
) -> None:
    """Two people reassign at once, to two patients: the second is told, and the first one's word stands."""
    host, inbox = faulty

    def meanwhile(reassign: Any, attachment_id: str, **patients: str) -> Any:
        records.reassign(attachment_id, from_patient_id="10042", to_patient_id="10044")
        return reassign(attachment_id, **patients)

    host.fault = meanwhile
    outcome = inbox.reassign(stored, patient="10043")
    assert (outcome.state, outcome.reason, outcome.retry_helps) == (
        State.FAILED,
        Reason.ALREADY_ASSIGNED,
        False,
    )
    assert whose(records) == {"10044": 1}
    assert told(inbox) == [BEGUN, NOT_DONE]


def test_many_reassign_one_attachment_at_once(
    practice: Practice, records: SqlRepository, stored: StoredAttachment
) -> None:
    """It ends in one record, and the ledger's last word says which."""
    barrier = threading.Barrier(4)
    outcomes: list[State] = []

    def work(patient: str) -> None:
        with practice.records() as own:
            inbox = practice.inbox(records=own)
            barrier.wait(30)
            outcomes.append(inbox.reassign(stored, patient=patient).state)

    threads = [threading.Thread(target=work, args=(patient,)) for patient in ("10043", "10044") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (patient,) = whose(records)
    assert len(outcomes) == 4
    ledger = practice.inbox(records=records).ledger
    done = [entry for entry in ledger.entries() if entry.event is Event.REASSIGNED]
    assert done[-1].patient_id == patient
    assert ledger.reassigning() == []
    assert ledger.verify() == []


def test_a_reassignment_waits_for_another_one(
    practice: Practice, inbox: Inbox, stored: StoredAttachment
) -> None:
    """Its entry could be the last one of the ledger, and the record that of the other. A second attempt helps."""
    with inbox.ledger.claims.reassign(stored.import_id):
        outcome = practice.inbox(records=practice.records()).reassign(stored, patient="10043")
        assert (outcome.state, outcome.reason, outcome.retry_helps) == (
            State.FAILED,
            Reason.IN_PROGRESS,
            True,
        )
    assert inbox.reassign(stored, patient="10043").state is State.IMPORTED


@pytest.mark.parametrize("when", ["before", "after"])
def test_bytes_that_are_not_what_was_stored_are_told(
    faulty: tuple[Faulty, Inbox],
    records: SqlRepository,
    stored: StoredAttachment,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    """Damaged before: it stays where it is. Damaged by the records themselves: the outcome says so."""
    host, inbox = faulty
    opened: list[str] = []

    def damaged(attachment_id: str) -> Any:
        opened.append(attachment_id)
        if len(opened) == 1 and when == "after":
            return records.open_attachment(attachment_id)
        return io.BytesIO(b"other bytes")

    monkeypatch.setattr(host, "open_attachment", damaged)
    host.fault = lambda reassign, attachment_id, **patients: reassign(attachment_id, **patients)
    outcome = inbox.reassign(stored, patient="10043")
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.STORED_COPY_DIFFERS)
    assert whose(records) == ({"10043": 1} if when == "after" else {"10042": 1})
    assert told(inbox) == ([BEGUN, DONE] if when == "after" else [])


def test_a_patient_who_goes_at_the_last_moment(
    faulty: tuple[Faulty, Inbox], records: SqlRepository, stored: StoredAttachment
) -> None:
    """What the records refuse by name is raised by name."""
    host, inbox = faulty

    def gone(*_args: Any, **_patients: str) -> Any:
        raise UnknownPatient("no patient has this id")

    host.fault = gone
    with pytest.raises(UnknownPatient):
        inbox.reassign(stored, patient="10043")
    assert told(inbox) == [BEGUN, NOT_DONE]


def test_nothing_is_reassigned_when_the_ledger_cannot_be_written(
    inbox: Inbox, records: SqlRepository, stored: StoredAttachment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the ledger, then the records."""
    with monkeypatch.context() as patched:
        patched.setattr(inbox.ledger, "append", _ledger_fails)
        with pytest.raises(LedgerError):
            inbox.reassign(stored, patient="10043")
    assert whose(records) == {"10042": 1}
    assert told(inbox) == []


def _ledger_fails(_entries: object) -> None:
    raise LedgerError("no")


@pytest.mark.parametrize("who", ["a refresh", "asked again"])
def test_a_last_line_that_is_missing_is_written_later(
    practice: Practice,
    inbox: Inbox,
    records: SqlRepository,
    stored: StoredAttachment,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    """The ledger failed, or this process was killed, in between: the records say how it ended."""
    append = inbox.ledger.append
    calls: list[int] = []

    def once(entries: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise LedgerError("no")
        append(entries)

    with monkeypatch.context() as patched:
        patched.setattr(inbox.ledger, "append", once)
        assert inbox.reassign(stored, patient="10043").state is State.IMPORTED
    assert told(inbox) == [BEGUN]
    assert len(inbox.ledger.reassigning()) == 1
    if who == "a refresh":
        practice.inbox(records=records).refresh()
    else:
        inbox.reassign(stored, patient="10043")
    assert told(inbox) == [BEGUN, DONE]
    assert inbox.ledger.reassigning() == []


@pytest.mark.parametrize("who", ["a refresh", "asked again"])
def test_a_last_line_is_written_whatever_the_id_of_the_patient(
    practice: Practice,
    inbox: Inbox,
    records: SqlRepository,
    stored: StoredAttachment,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
) -> None:
    """An id with a character that the ledger escapes is the same id in the records."""
    odd = "7\N{NO-BREAK SPACE}A"
    records.add_patient(Patient(id=odd, name="Dana Osei"))
    with monkeypatch.context() as patched:
        append = inbox.ledger.append
        patched.setattr(
            inbox.ledger,
            "append",
            lambda entries: append(one for one in entries if one.event is not Event.REASSIGNED),
        )
        assert inbox.reassign(stored, patient=odd).state is State.IMPORTED
    if who == "a refresh":
        practice.inbox(records=records, clock=Clock(now=lambda: NOW + timedelta(hours=2))).refresh()
    else:
        inbox.reassign(stored, patient=odd)
    assert [event for event, *_ in told(inbox)] == [Event.REASSIGNING, Event.REASSIGNED]


def test_a_reassignment_that_never_came_is_given_up_after_an_hour(
    practice: Practice, inbox: Inbox, records: SqlRepository, stored: StoredAttachment
) -> None:
    """Another workstation may be at it now; an hour later the ledger says that it did not come to pass."""
    (entry, *_) = inbox.ledger.entries()
    inbox.ledger.append(
        [
            attrs.evolve(
                entry,
                event=Event.REASSIGNING,
                from_patient_id="10042",
                patient_id="10043",
                seq=None,
                digest=None,
            )
        ]
    )
    practice.inbox(records=records).refresh()
    assert told(inbox) == [BEGUN]
    practice.inbox(records=records, clock=Clock(now=lambda: NOW + timedelta(hours=2))).refresh()
    assert told(inbox) == [BEGUN, NOT_DONE]
    assert whose(records) == {"10042": 1}


# --- the repository


def test_the_repository_moves_it_in_one_step(records: SqlRepository, stored: StoredAttachment) -> None:
    """Done already is no error; from a record that it is not in, to a patient who is not there, it is."""
    for _ in range(2):
        moved = records.reassign(stored.id, from_patient_id="10042", to_patient_id="10043")
        assert moved == attrs.evolve(stored, patient_id="10043")
    for former in ("10042", "nobody", "\udcff"):
        with pytest.raises(AlreadyAssigned):
            records.reassign(stored.id, from_patient_id=former, to_patient_id="10044")
    for new in ("nobody", "\udcff", "nul\0"):
        with pytest.raises(UnknownPatient):
            records.reassign(stored.id, from_patient_id="10043", to_patient_id=new)
    for missing in ("f" * 40, "x"):
        with pytest.raises(RepositoryError):
            records.reassign(missing, from_patient_id="10043", to_patient_id="10042")
    assert whose(records) == {"10043": 1}


# --- undo, while another workstation moves


def test_an_undo_while_another_workstation_removes_loses_nothing(
    practice: Practice, records: SqlRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one workstation moves a photo, an undo on another is refused; afterwards it puts the photo back."""
    practice.photo(PHOTO)
    other = practice.inbox(records=practice.records())
    remove = LocalSource.remove
    refused: list[Outcome] = []

    def late(self: LocalSource, file: Any, **options: Any) -> None:
        refused.append(other.undo(records.attachments("10042")[0]))
        remove(self, file, **options)

    monkeypatch.setattr(LocalSource, "remove", late)
    (outcome,) = practice.inbox(records=records).refresh().outcomes
    assert [(one.state, one.reason, one.retry_helps) for one in refused] == [
        (State.FAILED, Reason.IN_PROGRESS, True)
    ]
    assert outcome.state is State.IMPORTED
    assert other.undo(outcome).state is State.WAITING
    assert whose(records) == {}
    assert (practice.photos / PHOTO).read_bytes() == jpeg(PHOTO)
    assert practice.inbox(records=records).refresh().outcomes[0].reason is Reason.UNDONE


def test_a_move_that_was_undone_while_it_was_listed_is_not_begun_anew(
    practice: Practice, records: SqlRepository, not_removed: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed as an interrupted move, then withdrawn by another workstation: it waits for a person."""
    (stored,) = records.attachments("10042")
    lister = not_removed._refresh._lister
    take = lister.take

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        result = take(*arguments, **options)
        records.withdraw(stored.id)
        return result

    monkeypatch.setattr(lister, "take", meanwhile)
    (outcome,) = not_removed.refresh().outcomes
    assert (outcome.state, outcome.reason) == (State.WAITING, Reason.UNDONE)
    assert whose(records) == {}
    assert practice.left() == [PHOTO]


def test_bytes_of_a_file_that_was_added_again_are_not_deleted(
    records: SqlRepository, stored: StoredAttachment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Withdrawn by one, added again by another before the bytes are deleted: the bytes are the other's."""
    with records.engine.connect() as connection:
        row = connection.execute(attachments.select()).mappings().one()
    connect, calls = records.engine.connect, []

    def added_in_between() -> Any:
        calls.append(1)
        if len(calls) == 2:  # the one in which `withdraw` deletes the bytes
            with connect().execution_options(intouch_write=True) as connection, connection.begin():
                connection.execute(attachments.insert(), [dict(row)])
        return connect()

    with monkeypatch.context() as patched:
        patched.setattr(records.engine, "connect", added_in_between)
        records.withdraw(stored.id)
    assert records.attachments("10042") == [stored]
    with records.open_attachment(stored.id) as file:
        assert file.read() == jpeg(PHOTO)
