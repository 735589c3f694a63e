"""`withdraw` and `reassign`: in one step, or not supported."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import AlreadyAssigned, NotSupported, RepositoryError, UnknownPatient
from intouch_import.model import StoredAttachment
from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import Checks, expect, fails, together
from intouch_import.testing.records import Records, bench, bytes_of, new, read, same, unique
from intouch_import.testing.samples import FORMER_PATIENT, NOBODY, OTHER_PATIENT, PATIENT, BytesContent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

# --- withdraw


def _not_withdrawn(repository: PatientRepository, stored: StoredAttachment) -> bool:
    """Whether the class keeps the default; then it must keep what it has."""
    if type(repository).withdraw is not PatientRepository.withdraw:
        return False
    fails(NotSupported, "the default withdraw", lambda: repository.withdraw(stored.id))
    expect(repository.find_attachment([stored.import_id]), "the refused withdrawal took it away")
    return True


@CHECKS.promise("What is withdrawn is gone, bytes included, for everybody and for good.")
def withdrawn_files_are_gone(records: Records) -> None:
    repository, elsewhere = records.open(), records.open()
    attachment, content = new()
    stored = repository.add(attachment, content)
    kept, content = new()
    kept_stored = repository.add(kept, content)
    read(elsewhere, stored.id)
    if _not_withdrawn(repository, stored):
        return
    repository.withdraw(stored.id)
    for asked in (repository, elsewhere, records.open()):
        found = asked.find_attachment([attachment.import_id, kept.import_id])
        expect(attachment.import_id not in found, "it is still found")
        expect(kept.import_id in found, "another one is gone with it")
        fails(RepositoryError, "opening what was withdrawn", lambda: read(asked, stored.id))
        read(asked, kept_stored.id)


@CHECKS.promise("Withdrawing one attachment leaves others with equal bytes as they are.")
def withdrawing_leaves_equal_bytes(records: Records) -> None:
    repository = records.open()
    data = unique()
    items = [new(data), new(data), new(data, patient_id=OTHER_PATIENT.id)]
    first, second, third = (repository.add(*item) for item in items)
    if _not_withdrawn(repository, first):
        return
    repository.withdraw(first.id)
    for left in (second, third):
        expect(read(records.open(), left.id) == data, "the bytes of another attachment are gone")


@CHECKS.promise("An import id that was withdrawn may be added again, to any patient, with any bytes.")
def withdrawn_ids_are_free(records: Records) -> None:
    repository, elsewhere = records.open(), records.open()
    attachment, content = new()
    stored = repository.add(attachment, content)
    read(elsewhere, stored.id)
    if _not_withdrawn(repository, stored):
        return
    repository.withdraw(stored.id)
    data = unique("other bytes, and more of them")
    other, content = new(data, import_id=attachment.import_id, patient_id=OTHER_PATIENT.id)
    again = same(repository.add(other, content), other, "add")
    for asked in (repository, elsewhere, records.open()):
        same(asked.find_attachment([other.import_id]).get(other.import_id), other, "find_attachment")
        expect(read(asked, again.id) == data, "the bytes are those that were withdrawn")


@CHECKS.promise("Withdrawing what is not there is not an error.")
def withdrawing_twice_is_no_error(records: Records) -> None:
    repository = records.open()
    attachment, content = new()
    data = bytes_of(content)
    stored = repository.add(attachment, content)
    if _not_withdrawn(repository, stored):
        return
    repository.withdraw(stored.id)
    repository.withdraw(stored.id)
    records.open().withdraw(stored.id)
    repository.withdraw(secrets.token_hex(20))
    repository.add(attachment, BytesContent(data))


# --- reassign

_ROUNDS = 4


def _move(repository: PatientRepository, attachment_id: str, *, to: str) -> Callable[[], StoredAttachment]:
    return partial(repository.reassign, attachment_id, from_patient_id=PATIENT.id, to_patient_id=to)


def _not_reassigned(repository: PatientRepository, stored: StoredAttachment) -> bool:
    """Whether the class keeps the default; then everything stays where it is."""
    if type(repository).reassign is not PatientRepository.reassign:
        return False
    fails(NotSupported, "the default reassign", _move(repository, stored.id, to=OTHER_PATIENT.id))
    return True


@CHECKS.promise("What is reassigned is in the other record, for everybody, and else as it was.")
def reassigned_files_stay_what_they_are(records: Records) -> None:
    repository, elsewhere = records.open(), records.open()
    data = unique()
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    elsewhere.find_attachment([attachment.import_id])
    if _not_reassigned(repository, stored):
        return
    wanted = attrs.evolve(attachment, patient_id=OTHER_PATIENT.id)
    for _ in range(2):  # asked for again, it changes nothing
        moved = same(_move(repository, stored.id, to=OTHER_PATIENT.id)(), wanted, "reassign")
        expect(moved.id == stored.id, "it has another id now")
        expect(moved.stored_at == stored.stored_at, "it has another stored_at now")
        for asked in (repository, elsewhere, records.open()):
            found = asked.find_attachment([attachment.import_id]).get(attachment.import_id)
            expect(same(found, wanted, "find_attachment").id == stored.id, "it is found under another id")
            expect(read(asked, stored.id) == data, "its bytes are others now")
    again = records.open()
    fails(
        AlreadyAssigned,
        "adding it for the former patient",
        lambda: again.add(attachment, BytesContent(data)),
    )
    expect(again.add(wanted, BytesContent(data)).id == stored.id, "it was stored a second time")


@CHECKS.promise("What can't be reassigned is told, and stays where it is.")
def wrong_reassignments_are_refused(records: Records) -> None:
    repository = records.open()
    attachment, content = new(patient_id=OTHER_PATIENT.id)
    stored = repository.add(attachment, content)
    if _not_reassigned(repository, stored):
        return
    fails(
        AlreadyAssigned,
        "taking it out of a record that it is not in",
        _move(repository, stored.id, to=FORMER_PATIENT.id),
    )
    fails(
        UnknownPatient,
        "reassigning to a patient whom nobody knows",
        lambda: repository.reassign(stored.id, from_patient_id=OTHER_PATIENT.id, to_patient_id=NOBODY),
    )
    fails(
        RepositoryError,
        "reassigning what is not there",
        _move(repository, secrets.token_hex(20), to=OTHER_PATIENT.id),
    )
    found = records.open().find_attachment([attachment.import_id])
    same(found.get(attachment.import_id), attachment, "find_attachment")


@CHECKS.promise("Of several reassignments of one attachment at once, one wins and the others are told.")
def one_reassignment_wins(records: Records) -> None:
    workstations = [records.open() for _ in range(4)]
    for _ in range(_ROUNDS):
        attachment, content = new()
        stored = workstations[0].add(attachment, content)
        if _not_reassigned(workstations[0], stored):
            return
        asked = [(OTHER_PATIENT, FORMER_PATIENT)[number % 2].id for number in range(len(workstations))]
        results = together(
            [_move(one, stored.id, to=to) for one, to in zip(workstations, asked, strict=True)],
            expected=(AlreadyAssigned,),
        )
        winners = {result.patient_id for result in results if isinstance(result, StoredAttachment)}
        expect(len(winners) == 1, f"{len(winners)} records were said to have it")
        for result, to in zip(results, asked, strict=True):
            expect(
                isinstance(result, AlreadyAssigned) == (to not in winners),
                "not exactly those who lost were told",
            )
        found = records.open().find_attachment([attachment.import_id])[attachment.import_id]
        expect({found.patient_id} == winners, "it is in another record than was said")
