"""Hosts that answer for another patient than the one asked for: nothing goes into a record."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from intouch_import import Inbox, Patient, Provider, open_source
from intouch_import.errors import UnknownPatient
from intouch_import.model import Reason, State
from intouch_import.repositories.base import find_exactly
from intouch_import.testing import MemoryRepository
from miniature import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from intouch_import.reports import Report

PEOPLE = ([Patient(id="10042"), Patient(id="10043")], [Provider(id="DRJ")])
PADDED = "0010042_DRJ_20260131_142501.jpg"
NAMED = "10042_DRJ_20260131_142501.jpg"


class Normalising(MemoryRepository):
    """Drops the zeros at the start of ids, everywhere."""

    def find_patient(self, patient_id: str) -> Patient | None:
        return super().find_patient(patient_id.lstrip("0"))

    def find_patients(self, patient_ids: Any) -> Any:
        found = {one: self.find_patient(one) for one in patient_ids}
        return {one: patient for one, patient in found.items() if patient is not None}

    def add_many(self, items: Any) -> Any:
        return super().add_many(
            [(attrs.evolve(one, patient_id=one.patient_id.lstrip("0")), content) for one, content in items]
        )


class Misfiling(MemoryRepository):
    """Stores every file in the record of patient 10043."""

    def add_many(self, items: Any) -> Any:
        return super().add_many([(attrs.evolve(one, patient_id="10043"), content) for one, content in items])


class MisfilingForGood(Misfiling):
    """Commits each call by itself."""

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    def add_many(self, items: Any) -> Any:
        with MemoryRepository.transaction(self):
            return super().add_many(items)


@pytest.fixture
def inbox_of(tmp_path: Path) -> Callable[[MemoryRepository], Inbox]:
    """Return a function that opens a new inbox on these records."""
    (tmp_path / "photos").mkdir()

    def open_inbox(records: MemoryRepository) -> Inbox:
        source = open_source(tmp_path / "photos", provider="DRJ")
        ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
        return Inbox(records, [source], ledger=ledger, settle_s=0, zone="UTC", check_content=False)

    return open_inbox


def stored(records: MemoryRepository) -> list[str]:
    return [one.patient_id for patient in ("10042", "10043") for one in records.attachments(patient)]


def ends(report: Report) -> list[tuple[State, Reason]]:
    return [(one.state, one.reason) for one in report.outcomes]


def test_a_patient_with_another_id_is_unknown(
    inbox_of: Callable[[MemoryRepository], Inbox], tmp_path: Path
) -> None:
    """A file that is named for 0010042 waits if the records answer with 10042, in the next inbox, too."""
    records = Normalising(*PEOPLE)
    (tmp_path / "photos" / PADDED).write_bytes(jpeg("a"))
    for _ in range(2):
        assert ends(inbox_of(records).refresh()) == [(State.WAITING, Reason.PATIENT_UNKNOWN)]
    assert stored(records) == []


def test_a_person_who_saves_to_another_id_is_told(
    inbox_of: Callable[[MemoryRepository], Inbox], tmp_path: Path
) -> None:
    """Save, browse and reassign refuse an id under which the records find another one."""
    records = Normalising(*PEOPLE)
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg("a"))
    inbox = inbox_of(records)
    inbox.refresh()
    for wrong in ("0010042", Patient(id="0010042")):
        with pytest.raises(UnknownPatient):
            inbox.prepare(inbox.rows, patient=wrong)
        with pytest.raises(UnknownPatient):
            inbox.browse(tmp_path / "photos", patient=wrong)
    saved = inbox.save(inbox.prepare(inbox.rows, patient="10042"))
    assert saved.imported == 1
    with pytest.raises(UnknownPatient):
        inbox.reassign(saved.outcomes[0], patient="0010043")
    assert stored(records) == ["10042"]


def test_records_that_store_for_another_patient_take_it_back(
    inbox_of: Callable[[MemoryRepository], Inbox], tmp_path: Path
) -> None:
    """A file that was stored in another record is refused inside the transaction, so nothing is stored."""
    records = Misfiling(*PEOPLE)
    (tmp_path / "photos" / NAMED).write_bytes(jpeg("a"))
    for _ in range(2):
        assert ends(inbox_of(records).refresh()) == [(State.FAILED, Reason.REPOSITORY_FAILED)]
        assert stored(records) == []
    assert (tmp_path / "photos" / NAMED).exists()


def test_the_next_inbox_does_not_finish_what_was_refused(
    inbox_of: Callable[[MemoryRepository], Inbox], tmp_path: Path
) -> None:
    """A file in the wrong record stays in its folder until a person decides: no crash interrupted its move."""
    records = MisfilingForGood(*PEOPLE)
    (tmp_path / "photos" / NAMED).write_bytes(jpeg("a"))
    assert ends(inbox_of(records).refresh()) == [(State.FAILED, Reason.REPOSITORY_FAILED)]
    for _ in range(2):
        inbox = inbox_of(records)
        assert ends(inbox.refresh()) == [(State.WAITING, Reason.ALREADY_ASSIGNED)]
        assert (tmp_path / "photos" / NAMED).exists()
    saved = inbox.save(inbox.prepare(inbox.rows, patient="10043"))
    assert (saved.imported, stored(records)) == (1, ["10043"])


def test_only_exact_ids_are_found() -> None:
    """Patients under their own ids are found, others are left out."""
    assert find_exactly(Normalising(*PEOPLE), ["10042", "0010043", "9"]) == {"10042": Patient(id="10042")}
