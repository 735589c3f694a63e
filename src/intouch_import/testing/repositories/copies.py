"""`find_by_digest` and `sizes_stored`: what the same bytes are found by; or not offered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import Checks, expect
from intouch_import.testing.repositories.bench import Records, bench, new, same, unique
from intouch_import.testing.samples import OTHER_PATIENT

if TYPE_CHECKING:
    from intouch_import.model import Attachment

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

_NOWHERE = "0" * 64
_NO_SIZE = 2**50 + 1


@CHECKS.promise("find_by_digest finds all that has these bytes, in anybody's record, and nothing else.")
def copies_are_found(records: Records) -> None:
    repository = records.open()
    if type(repository).find_by_digest is PatientRepository.find_by_digest:
        return
    data = unique()
    items = [new(data), new(data, patient_id=OTHER_PATIENT.id), new()]
    for item in items:
        repository.add(*item)
    once, twice = items[2][0], items[0][0]
    wanted = {attachment.import_id: attachment for attachment, _ in items}
    digests = [once.sha256, twice.sha256, _NOWHERE]
    for asked in (repository, records.open()):
        _found(asked, digests, wanted)
        with asked.transaction():  # as a save asks
            _found(asked, digests, wanted)
        expect(not asked.find_by_digest([]), "something is found when nothing is asked for")
        expect(not asked.find_by_digest([once.sha256[:-1]]), "a part of a digest is taken for it")


@CHECKS.promise("find_by_digest finds nothing that was withdrawn.")
def withdrawn_copies_are_not_found(records: Records) -> None:
    repository, elsewhere = records.open(), records.open()
    offered = type(repository)
    if offered.find_by_digest is PatientRepository.find_by_digest:
        return
    if offered.withdraw is PatientRepository.withdraw:
        return
    attachment, content = new()
    stored = repository.add(attachment, content)
    elsewhere.find_by_digest([attachment.sha256])
    repository.withdraw(stored.id)
    for asked in (repository, elsewhere):
        expect(not asked.find_by_digest([attachment.sha256]), "it is still found")


@CHECKS.promise("sizes_stored says which sizes some attachment has, and no others.")
def sizes_are_told(records: Records) -> None:
    repository = records.open()
    if type(repository).sizes_stored is PatientRepository.sizes_stored:
        return
    small, large = new(unique()), new(unique().ljust(70_001, b"x"))
    for item in (small, large):
        repository.add(*item)
    wanted = {small[0].size_bytes, large[0].size_bytes}
    for asked in (repository, records.open()):
        found = set(asked.sizes_stored({*wanted, _NO_SIZE}))
        expect(wanted <= found, "a size that is stored is left out")
        expect(found <= wanted, "a size that nothing has is told")
        expect(not asked.sizes_stored(()), "a size is told when none is asked for")


def _found(repository: PatientRepository, digests: list[str], wanted: dict[str, Attachment]) -> None:
    found = {digest: list(those) for digest, those in repository.find_by_digest(digests).items()}
    expect(not set(found) - set(digests), "something else is found than was asked for")
    expect(_NOWHERE not in found, "a digest that nothing has is not left out")
    expect(
        sorted(one.import_id for those in found.values() for one in those) == sorted(wanted),
        "not everything that has these bytes is found, or something is found twice",
    )
    for digest, those in found.items():
        for one in those:
            expect(one.sha256 == digest, "an attachment is given for another digest than its own")
            same(one, wanted[one.import_id], "find_by_digest")
