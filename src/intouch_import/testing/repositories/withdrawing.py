"""`withdraw`: out of the record, bytes included; or refused."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from intouch_import.errors import NotSupported, RepositoryError
from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import Checks, expect, fails
from intouch_import.testing.contents import BytesContent
from intouch_import.testing.repositories.bench import Records, bench, bytes_of, new, read, same, unique
from intouch_import.testing.samples import OTHER_PATIENT

if TYPE_CHECKING:
    from intouch_import.model import StoredAttachment

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)


def _refused(repository: PatientRepository, stored: StoredAttachment) -> bool:
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
    if _refused(repository, stored):
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
    if _refused(repository, first):
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
    if _refused(repository, stored):
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
    if _refused(repository, stored):
        return
    repository.withdraw(stored.id)
    repository.withdraw(stored.id)
    records.open().withdraw(stored.id)
    repository.withdraw(secrets.token_hex(20))
    repository.add(attachment, BytesContent(data))
