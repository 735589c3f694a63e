"""`reassign`: out of one record into another, in one step; or refused."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import AlreadyAssigned, NotSupported, RepositoryError, UnknownPatient
from intouch_import.model import StoredAttachment
from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import Checks, expect, fails, together
from intouch_import.testing.contents import BytesContent
from intouch_import.testing.repositories.bench import Records, bench, new, read, same, unique
from intouch_import.testing.samples import FORMER_PATIENT, NOBODY, OTHER_PATIENT, PATIENT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

_ROUNDS = 4


def _move(repository: PatientRepository, attachment_id: str, *, to: str) -> Callable[[], StoredAttachment]:
    return partial(repository.reassign, attachment_id, from_patient_id=PATIENT.id, to_patient_id=to)


def _refused(repository: PatientRepository, stored: StoredAttachment) -> bool:
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
    if _refused(repository, stored):
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
    if _refused(repository, stored):
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
        if _refused(workstations[0], stored):
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
