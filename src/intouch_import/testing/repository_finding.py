"""What a repository finds: patients, providers, attachments, bytes, and copies of the same bytes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from intouch_import.errors import RepositoryError
from intouch_import.model import Patient, Provider
from intouch_import.repositories.base import PatientRepository
from intouch_import.testing.checks import Checks, expect, fails, given
from intouch_import.testing.records import Records, bench, bytes_of, new, read, same, unique
from intouch_import.testing.samples import (
    FORMER_PATIENT,
    HOSTILE_TEXTS,
    LETTERED_PATIENT,
    NOBODY,
    OTHER_PATIENT,
    PATIENT,
    PROVIDER,
)

if TYPE_CHECKING:
    from intouch_import.model import Attachment

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

# --- patients and providers

_MANY = 3000


def _near(identity: str) -> list[str]:
    """Ids that a careless comparison takes for this one."""
    wide = identity.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    return [
        *(f" {identity}", f"{identity} ", f"\t{identity}", f"{identity}\n", f"\u00a0{identity}"),
        *(f"0{identity}", f"000{identity}", f"+{identity}", f"{identity}.0", f"{identity}e0"),
        *(identity.lower(), identity.upper(), identity.swapcase(), identity[:-1], f"{identity}0"),
        *(f"{identity}%", f"%{identity}", "%", "_" * len(identity), f"{identity}\u200b", wide),
        *(f"{identity}' OR '1'='1", f'"{identity}"', f"{identity}\\", ""),
    ]


def _patients(repository: PatientRepository) -> list[Patient]:
    lettered = repository.find_patient(LETTERED_PATIENT.id)  # only where ids may have letters
    return [PATIENT, OTHER_PATIENT, *([LETTERED_PATIENT] if lettered is not None else [])]


@CHECKS.promise("find_patient finds the patients that there are, and says whether they are active.")
def patients_are_found(records: Records) -> None:
    repository = records.open()
    for wanted in (PATIENT, OTHER_PATIENT, FORMER_PATIENT):
        found = given(
            repository.find_patient(wanted.id),
            f"the kit's patient {wanted.id} was not found: put in all of PATIENTS",
        )
        expect(isinstance(found, Patient), f"find_patient gave a {type(found).__name__}")
        expect(found.id == wanted.id, f"the patient found for {wanted.id} has another id")
        state = "active" if wanted.active else "inactive"
        expect(found.active is wanted.active, f"the {state} patient {wanted.id} was not returned as {state}")


@CHECKS.promise("find_patient finds exactly the id that is asked for, never a near match.")
def patients_are_not_guessed(records: Records) -> None:
    repository = records.open()
    for patient in _patients(repository):
        for near in _near(patient.id):
            if near != patient.id:
                found = repository.find_patient(near)
                expect(found is None, f"somebody was found for {near!a}, where there is only {patient.id!a}")
    expect(repository.find_patient(NOBODY) is None, f"somebody was found for {NOBODY}, whom nobody knows")
    expect(repository.find_patient(PATIENT.name) is None, "a patient was found by the name")


@CHECKS.promise("find_patients says the same as find_patient, for many ids at once.")
def many_patients_are_found_at_once(records: Records) -> None:
    repository = records.open()
    known = [PATIENT, OTHER_PATIENT, FORMER_PATIENT]
    near = [text for text in _near(PATIENT.id) if text != PATIENT.id]
    asked = [*near, *(f"x{number}" for number in range(_MANY)), *(patient.id for patient in known)]
    found = repository.find_patients(asked)
    expect(
        set(found) == {patient.id for patient in known},
        f"of {len(asked)} ids, {len(known)} of them known, {len(found)} were answered",
    )
    for patient in known:
        single = repository.find_patient(patient.id)
        expect(found[patient.id] == single, f"the two answers for {patient.id} differ")
    expect(dict(repository.find_patients([])) == {}, "somebody was found when nobody was asked for")


@CHECKS.promise("find_provider finds exactly the id that is asked for, or None.")
def providers_are_not_guessed(records: Records) -> None:
    repository = records.open()
    found = given(
        repository.find_provider(PROVIDER.id),
        f"the kit's provider {PROVIDER.id} was not found: put in all of PROVIDERS",
    )
    expect(isinstance(found, Provider), f"find_provider gave a {type(found).__name__}")
    expect(found.id == PROVIDER.id, "the provider that was found has another id")
    for near in _near(PROVIDER.id):
        if near != PROVIDER.id:
            expect(repository.find_provider(near) is None, f"somebody was found for {near!a}")


@CHECKS.promise("search_patients offers patients that there are, no more than it was asked for.")
def searching_offers_real_patients(records: Records) -> None:
    repository = records.open()
    offered = repository.search_patients(PATIENT.id)
    expect(PATIENT.id in [patient.id for patient in offered], "a patient was not found by the whole id")
    for text in (*HOSTILE_TEXTS, PATIENT.name[:3], "%", "_", "*", "\\", "1"):
        for patient in repository.search_patients(text, limit=5):
            there = repository.find_patient(patient.id)
            expect(there == patient, f"searching for {text[:20]!a} offered somebody whom nobody knows")
    expect(len(repository.search_patients("1", limit=1)) <= 1, "more were offered than the limit allows")
    expect(not repository.search_patients(PATIENT.id, limit=0), "somebody was offered with a limit of 0")


# --- attachments

_THOUSANDS = 5000


@CHECKS.promise("find_attachment answers for thousands of ids at once, and leaves out what is not stored.")
def thousands_are_found_at_once(records: Records) -> None:
    repository = records.open()
    items = [new() for _ in range(3)]
    stored = {attachment.import_id: repository.add(attachment, content) for attachment, content in items}
    unknown = [secrets.token_hex(20) for _ in range(_THOUSANDS)]
    first, second, third = stored
    asked = [first, *unknown[:2500], second, *unknown[2500:], third]
    for form in (asked, tuple(asked), set(asked), dict.fromkeys(asked).keys()):
        found = repository.find_attachment(form)
        expect(
            dict(found) == stored,
            f"of {len(asked):,} ids in a {type(form).__name__}, 3 of them stored, {len(found)} were found",
        )


@CHECKS.promise("find_attachment finds exactly the ids that are asked for.")
def import_ids_are_not_guessed(records: Records) -> None:
    repository = records.open()
    attachment, content = new()
    repository.add(attachment, content)
    one = attachment.import_id
    near = [one[:-1], f"{one}0", one.upper(), f" {one}", f"{one[:-1]}%", "%", "", "_" * 40]
    near = [text for text in near if text != one]
    expect(
        not repository.find_attachment(near), "something was found for an id that only resembles a stored one"
    )
    expect(not repository.find_attachment([]), "something was found when nothing was asked for")


@CHECKS.promise("find_attachment sees everything that anybody has committed.")
def what_others_stored_is_found(records: Records) -> None:
    here, there = records.open(), records.open()
    known, content = new()
    here.add(known, content)
    for first, second in ((here, there), (there, here)):
        attachment, content = new()
        expect(not second.find_attachment([attachment.import_id]), "something is stored that nobody stored")
        data = bytes_of(content)
        stored = first.add(attachment, content)
        found = second.find_attachment([known.import_id, attachment.import_id])
        expect(
            found.get(attachment.import_id) == stored,
            "what another workstation has stored meanwhile was not found",
        )
        same(found.get(known.import_id), known, "find_attachment")
        expect(read(second, stored.id) == data, "what another workstation has stored can't be read")


@CHECKS.promise("open_attachment reads from the start, as often and as many at once as it is asked to.")
def reading_starts_at_the_start(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(100_000, b"-") + b"end"
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    with repository.open_attachment(stored.id) as first:
        head = first.read(10)
        with repository.open_attachment(stored.id) as second:
            expect(second.read(10) == data[:10], "a second reader did not begin at the start")
            expect(head + first.read(10) == data[:20], "two readers disturb each other")
        rest = bytearray()
        while part := first.read(7919):
            rest += part
        expect(bytes(head) + data[10:20] + bytes(rest) == data, "reading in pieces gave other bytes")
    expect(read(repository, stored.id) == data, "reading a second time gave other bytes")


@CHECKS.promise("open_attachment raises RepositoryError for what is not there.")
def what_is_not_there_is_told(records: Records) -> None:
    repository = records.open()
    for attachment_id in (
        secrets.token_hex(20),
        NOBODY * 3,
        "",
        "../../etc/passwd",
        "%",
        "' OR 1=1 --",
        "\u6f22",
    ):
        fails(
            RepositoryError,
            f"opening the attachment {attachment_id!a}",
            lambda: read(repository, attachment_id),
        )


@CHECKS.promise("open_attachment reads what is really stored now, not what is remembered.")
def reading_is_not_from_memory(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(5000, b"-")
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    content.close()
    expect(read(repository, stored.id) == data, "other bytes came back than were stored")
    expect(read(records.open(), stored.id) == data, "other bytes came back after opening the records anew")
    if records.damage is None:
        return
    records.damage(stored.id)
    try:
        found = read(repository, stored.id)
    except RepositoryError:
        return  # it noticed by itself
    expect(found != data, "the stored bytes were damaged, and the undamaged ones came back")


# --- the same bytes, where the repository offers that

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
