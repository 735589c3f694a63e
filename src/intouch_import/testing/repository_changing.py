"""`withdraw` and `reassign`: both optional, and in one step where they are supported."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING

import attrs

from intouch_import.errors import AlreadyAssigned, NotSupported, RepositoryError, UnknownPatient
from intouch_import.model import StoredAttachment
from intouch_import.testing.checks import Checks, expect, fails, together
from intouch_import.testing.records import (
    Records,
    add,
    bytes_of,
    find,
    new,
    offers,
    read,
    same,
    unique,
)
from intouch_import.testing.samples import FORMER_PATIENT, NOBODY, OTHER_PATIENT, PATIENT, BytesContent

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.repositories.base import PatientRepository

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(Records)


def _supports(
    repository: PatientRepository, method: str, stored: StoredAttachment, call: Callable[[], object]
) -> bool:
    """Return whether a method is supported; if not, expect the default to raise and to change nothing."""
    if offers(repository, method):
        return True
    fails(NotSupported, f"the default {method}", call)
    expect(repository.find_attachment([stored.import_id]), f"the default {method} removed the attachment")
    return False


# --- withdraw


def _withdraws(repository: PatientRepository, stored: StoredAttachment) -> bool:
    return _supports(repository, "withdraw", stored, lambda: repository.withdraw(stored.id))


@CHECKS.promise("A withdrawn attachment is gone, with its bytes, for every workstation.")
def withdrawn_files_are_gone(records: Records) -> None:
    repository, elsewhere = records.open(), records.open()
    attachment, content = new()
    stored = repository.add(attachment, content)
    kept, content = new()
    kept_stored = repository.add(kept, content)
    read(elsewhere, stored.id)
    if not _withdraws(repository, stored):
        return
    repository.withdraw(stored.id)
    for asked in (repository, elsewhere, records.open()):
        found = asked.find_attachment([attachment.import_id, kept.import_id])
        expect(attachment.import_id not in found, "find_attachment still finds it")
        expect(kept.import_id in found, "another attachment is gone as well")
        fails(RepositoryError, "opening the withdrawn attachment", lambda: read(asked, stored.id))
        read(asked, kept_stored.id)


@CHECKS.promise("Withdrawing an attachment does not change other attachments with equal bytes.")
def withdrawing_leaves_equal_bytes(records: Records) -> None:
    repository = records.open()
    data = unique()
    items = [new(data), new(data), new(data, patient_id=OTHER_PATIENT.id)]
    first, second, third = (repository.add(*item) for item in items)
    if not _withdraws(repository, first):
        return
    repository.withdraw(first.id)
    for left in (second, third):
        expect(read(records.open(), left.id) == data, "the bytes of another attachment are gone")


@CHECKS.promise("A withdrawn import id can be added again, for any patient and with any bytes.")
def withdrawn_ids_are_free(records: Records) -> None:
    repository, elsewhere = records.open(), records.open()
    attachment, content = new()
    stored = repository.add(attachment, content)
    read(elsewhere, stored.id)
    if not _withdraws(repository, stored):
        return
    repository.withdraw(stored.id)
    data = unique("other bytes, and more of them")
    other, content = new(data, import_id=attachment.import_id, patient_id=OTHER_PATIENT.id)
    again = add(repository, other, content)
    for asked in (repository, elsewhere, records.open()):
        find(asked, other)
        expect(read(asked, again.id) == data, "the new attachment has the withdrawn bytes")


@CHECKS.promise("Withdrawing an attachment that does not exist is not an error.")
def withdrawing_twice_is_no_error(records: Records) -> None:
    repository = records.open()
    attachment, content = new()
    data = bytes_of(content)
    stored = repository.add(attachment, content)
    if not _withdraws(repository, stored):
        return
    repository.withdraw(stored.id)
    repository.withdraw(stored.id)
    records.open().withdraw(stored.id)
    repository.withdraw(secrets.token_hex(20))
    repository.add(attachment, BytesContent(data))


# --- reassign


def _move(repository: PatientRepository, attachment_id: str, *, to: str) -> Callable[[], StoredAttachment]:
    return partial(repository.reassign, attachment_id, from_patient_id=PATIENT.id, to_patient_id=to)


def _reassigns(repository: PatientRepository, stored: StoredAttachment) -> bool:
    return _supports(repository, "reassign", stored, _move(repository, stored.id, to=OTHER_PATIENT.id))


@CHECKS.promise("A reassigned attachment is in the other record, for every workstation, otherwise unchanged.")
def reassigned_files_stay_what_they_are(records: Records) -> None:
    repository, elsewhere = records.open(), records.open()
    data = unique()
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    elsewhere.find_attachment([attachment.import_id])
    if not _reassigns(repository, stored):
        return
    wanted = attrs.evolve(attachment, patient_id=OTHER_PATIENT.id)
    for _ in range(2):  # the second call changes nothing
        moved = same(_move(repository, stored.id, to=OTHER_PATIENT.id)(), wanted, "reassign")
        expect(moved.id == stored.id, "reassign changed the id")
        expect(moved.stored_at == stored.stored_at, "reassign changed stored_at")
        for asked in (repository, elsewhere, records.open()):
            expect(find(asked, wanted).id == stored.id, "find_attachment returns another id")
            expect(read(asked, stored.id) == data, "reassign changed the bytes")
    again = records.open()
    what = "adding it for the former patient"
    fails(AlreadyAssigned, what, lambda: again.add(attachment, BytesContent(data)))
    expect(again.add(wanted, BytesContent(data)).id == stored.id, "it was stored a second time")


@CHECKS.promise("A wrong reassignment raises an error, and the attachment stays in its record.")
def wrong_reassignments_are_refused(records: Records) -> None:
    repository = records.open()
    attachment, content = new(patient_id=OTHER_PATIENT.id)
    stored = repository.add(attachment, content)
    if not _reassigns(repository, stored):
        return
    fails(
        AlreadyAssigned,
        "moving it out of a record that it is not in",
        _move(repository, stored.id, to=FORMER_PATIENT.id),
    )
    fails(
        UnknownPatient,
        "moving it to an unknown patient",
        lambda: repository.reassign(stored.id, from_patient_id=OTHER_PATIENT.id, to_patient_id=NOBODY),
    )
    fails(
        RepositoryError,
        "moving an attachment that does not exist",
        _move(repository, secrets.token_hex(20), to=OTHER_PATIENT.id),
    )
    find(records.open(), attachment)


@CHECKS.promise("If several calls reassign one attachment at once, one succeeds and the others raise.")
def one_reassignment_wins(records: Records) -> None:
    workstations = [records.open() for _ in range(4)]
    for _ in range(4):
        attachment, content = new()
        stored = workstations[0].add(attachment, content)
        if not _reassigns(workstations[0], stored):
            return
        asked = [(OTHER_PATIENT, FORMER_PATIENT)[number % 2].id for number in range(len(workstations))]
        results = together(
            [_move(one, stored.id, to=to) for one, to in zip(workstations, asked, strict=True)],
            expected=(AlreadyAssigned,),
        )
        winners = {result.patient_id for result in results if isinstance(result, StoredAttachment)}
        expect(len(winners) == 1, f"calls for {len(winners)} patients succeeded")
        for result, to in zip(results, asked, strict=True):
            expect(
                isinstance(result, AlreadyAssigned) == (to not in winners),
                "a call that came too late succeeded, or the call that succeeded raised",
            )
        found = records.open().find_attachment([attachment.import_id])[attachment.import_id]
        expect({found.patient_id} == winners, "it is in another record than the successful call returned")
