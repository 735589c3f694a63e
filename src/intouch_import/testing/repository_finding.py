"""What a repository finds: patients, providers, attachments and their bytes, and copies."""

from __future__ import annotations

import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from intouch_import.errors import RepositoryError
from intouch_import.inbox import DoubtKind, Inbox
from intouch_import.inbox.doubts import described
from intouch_import.model import CompanionRole, Patient, Provider
from intouch_import.testing.checks import Checks, expect, fails, given
from intouch_import.testing.memory import MemoryFolder
from intouch_import.testing.records import (
    Records,
    add,
    bytes_of,
    new,
    offers,
    read,
    same,
    unique,
)
from intouch_import.testing.samples import (
    FORMER_PATIENT,
    HOSTILE_TEXTS,
    LETTERED_PATIENT,
    NOBODY,
    OTHER_PATIENT,
    PATIENT,
    PROVIDER,
    PROVIDERS,
)

if TYPE_CHECKING:
    from intouch_import.model import Attachment
    from intouch_import.repositories.base import PatientRepository

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(Records)

_UNUSED_DIGEST = "0" * 64
_UNUSED_SIZE = 2**50 + 1

# --- patients and providers


def _similar(identity: str) -> list[str]:
    """Return ids that a careless comparison takes for this one."""
    wide = identity.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    similar = [
        *(f" {identity}", f"{identity} ", f"\t{identity}", f"{identity}\n", f"\u00a0{identity}"),
        *(f"0{identity}", f"000{identity}", f"+{identity}", f"{identity}.0", f"{identity}e0"),
        *(identity.lower(), identity.upper(), identity.swapcase(), identity[:-1], f"{identity}0"),
        *(f"{identity}%", f"%{identity}", "%", "_" * len(identity), f"{identity}\u200b", wide),
        *(f"{identity}' OR '1'='1", f'"{identity}"', f"{identity}\\", ""),
    ]
    return [text for text in similar if text != identity]


@CHECKS.promise("find_patient finds every patient of the practice, with the right value of active.")
def patients_are_found(records: Records) -> None:
    repository = records.open()
    for wanted in (PATIENT, OTHER_PATIENT, FORMER_PATIENT):
        found = given(
            repository.find_patient(wanted.id),
            f"it did not find the kit's patient {wanted.id}: put in all of PATIENTS",
        )
        expect(isinstance(found, Patient), f"find_patient returned a {type(found).__name__}")
        expect(found.id == wanted.id, f"the patient found for {wanted.id} has another id")
        state = "active" if wanted.active else "inactive"
        expect(found.active is wanted.active, f"the {state} patient {wanted.id} was not returned as {state}")


@CHECKS.promise("find_patient finds exactly the id that it is given, never a similar one.")
def patients_are_not_guessed(records: Records) -> None:
    repository = records.open()
    lettered = repository.find_patient(LETTERED_PATIENT.id)  # only where ids may contain letters
    for patient in (PATIENT, OTHER_PATIENT, *([LETTERED_PATIENT] if lettered is not None else [])):
        for similar in _similar(patient.id):
            found = repository.find_patient(similar)
            expect(found is None, f"it found a patient for {similar!a}, and only {patient.id!a} exists")
    expect(repository.find_patient(NOBODY) is None, f"it found a patient for {NOBODY}, an unknown id")
    expect(repository.find_patient(PATIENT.name) is None, "it found a patient by name")


@CHECKS.promise("find_patients returns the same as find_patient, for many ids at once.")
def many_patients_are_found_at_once(records: Records) -> None:
    repository = records.open()
    known = [PATIENT, OTHER_PATIENT, FORMER_PATIENT]
    unknown = [*_similar(PATIENT.id), *(f"x{number}" for number in range(3000))]
    found = repository.find_patients([*unknown, *(patient.id for patient in known)])
    expect(
        set(found) == {patient.id for patient in known},
        f"for {len(known)} known and {len(unknown)} unknown ids, it found {len(found)} patients",
    )
    for patient in known:
        single = repository.find_patient(patient.id)
        expect(found[patient.id] == single, f"the two methods return different patients for {patient.id}")
    expect(dict(repository.find_patients([])) == {}, "it found a patient for an empty list of ids")


@CHECKS.promise("find_provider finds exactly the id that it is given, or returns None.")
def providers_are_not_guessed(records: Records) -> None:
    repository = records.open()
    known = [one for one in PROVIDERS if repository.find_provider(one.id) is not None]
    expect(known, f"it did not find the kit's provider {PROVIDER.id}: put in all of PROVIDERS")
    for wanted in known:
        found = repository.find_provider(wanted.id)
        expect(isinstance(found, Provider), f"find_provider returned a {type(found).__name__}")
        expect(found == wanted or given(found, "it is gone").id == wanted.id, "the provider has another id")
        for similar in _similar(wanted.id):
            expect(repository.find_provider(similar) is None, f"it found a provider for {similar!a}")


@CHECKS.promise("search_patients returns existing patients only, and no more than the limit.")
def searching_offers_real_patients(records: Records) -> None:
    repository = records.open()
    offered = repository.search_patients(PATIENT.id)
    expect(PATIENT.id in [patient.id for patient in offered], "it did not find a patient by the whole id")
    for text in (*HOSTILE_TEXTS, PATIENT.name[:3], "%", "_", "*", "\\", "1"):
        for patient in repository.search_patients(text, limit=5):
            there = repository.find_patient(patient.id)
            expect(there == patient, f"a search for {text[:20]!a} returned a patient who does not exist")
    expect(len(repository.search_patients("1", limit=1)) <= 1, "it returned more patients than the limit")
    expect(not repository.search_patients(PATIENT.id, limit=0), "it returned a patient with a limit of 0")


# --- attachments


@CHECKS.promise("find_attachment answers for thousands of ids at once, and leaves out unknown ids.")
def thousands_are_found_at_once(records: Records) -> None:
    repository = records.open()
    items = [new() for _ in range(3)]
    stored = {attachment.import_id: repository.add(attachment, content) for attachment, content in items}
    unknown = [secrets.token_hex(20) for _ in range(5000)]
    first, second, third = stored
    asked = [first, *unknown[:2500], second, *unknown[2500:], third]
    for form in (asked, tuple(asked), set(asked), dict.fromkeys(asked).keys()):
        found = repository.find_attachment(form)
        expect(
            dict(found) == stored,
            f"in a {type(form).__name__} of 3 stored and {len(unknown):,} unknown ids, it found {len(found)}",
        )


@CHECKS.promise("find_attachment finds exactly the import ids that it is given.")
def import_ids_are_not_guessed(records: Records) -> None:
    repository = records.open()
    attachment, content = new()
    repository.add(attachment, content)
    one = attachment.import_id
    similar = [one[:-1], f"{one}0", one.upper(), f" {one}", f"{one[:-1]}%", "%", "", "_" * 40]
    found = repository.find_attachment([text for text in similar if text != one])
    expect(not found, "it found an attachment for an id that only resembles a stored one")
    expect(not repository.find_attachment([]), "it found an attachment for an empty list of ids")


@CHECKS.promise("find_attachment sees everything that any workstation has committed.")
def what_others_stored_is_found(records: Records) -> None:
    here, there = records.open(), records.open()
    known, content = new()
    here.add(known, content)
    for first, second in ((here, there), (there, here)):
        attachment, content = new()
        early = second.find_attachment([attachment.import_id])
        expect(not early, "it found an attachment before it was added")
        data = bytes_of(content)
        stored = first.add(attachment, content)
        found = second.find_attachment([known.import_id, attachment.import_id])
        expect(
            found.get(attachment.import_id) == stored,
            "it did not find an attachment that another workstation has just stored",
        )
        same(found.get(known.import_id), known, "find_attachment")
        expect(read(second, stored.id) == data, "another workstation can't read the stored bytes")


@CHECKS.promise("open_attachment reads from the start, any number of times, also at the same time.")
def reading_starts_at_the_start(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(100_000, b"-") + b"end"
    stored = repository.add(*new(data))
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


@CHECKS.promise("open_attachment raises RepositoryError for an attachment that does not exist.")
def missing_attachments_raise(records: Records) -> None:
    repository = records.open()
    unknown = (secrets.token_hex(20), NOBODY * 3, "", "../../etc/passwd", "%", "' OR 1=1 --", "\u6f22")
    for attachment_id in unknown:
        what = f"opening the attachment {attachment_id!a}"
        fails(RepositoryError, what, lambda: read(repository, attachment_id))


@CHECKS.promise("open_attachment reads the bytes that are stored now, not a copy in memory.")
def reading_is_not_from_memory(records: Records) -> None:
    repository = records.open()
    data = unique().ljust(5000, b"-")
    attachment, content = new(data)
    stored = repository.add(attachment, content)
    content.close()
    expect(read(repository, stored.id) == data, "it returned other bytes than were stored")
    expect(read(records.open(), stored.id) == data, "it returned other bytes after the records were reopened")
    if records.damage is None:
        return
    records.damage(stored.id)
    try:
        found = read(repository, stored.id)
    except RepositoryError:
        return  # the repository noticed the damage by itself
    expect(found != data, "after the stored bytes were damaged, it still returned the undamaged ones")


# --- copies, where the repository can find them


@CHECKS.promise("find_by_digest finds every attachment with these bytes, in any record, and no other.")
def copies_are_found(records: Records) -> None:
    repository = records.open()
    if not offers(repository, "find_by_digest"):
        return
    data = unique()
    items = [new(data), new(data, patient_id=OTHER_PATIENT.id), new()]
    for item in items:
        repository.add(*item)
    once, twice = items[2][0], items[0][0]
    wanted = {attachment.import_id: attachment for attachment, _ in items}
    digests = [once.sha256, twice.sha256, _UNUSED_DIGEST]
    for asked in (repository, records.open()):
        _finds_copies(asked, digests, wanted)
        with asked.transaction():  # as a save does
            _finds_copies(asked, digests, wanted)
        expect(not asked.find_by_digest([]), "it found an attachment for an empty list of digests")
        expect(not asked.find_by_digest([once.sha256[:-1]]), "it found an attachment by a part of its digest")


def _finds_copies(repository: PatientRepository, digests: list[str], wanted: dict[str, Attachment]) -> None:
    found = {digest: list(those) for digest, those in repository.find_by_digest(digests).items()}
    expect(not set(found) - set(digests), "the answer contains a digest that was not asked for")
    expect(_UNUSED_DIGEST not in found, "the answer contains a digest that no attachment has")
    ids = sorted(one.import_id for those in found.values() for one in those)
    expect(ids == sorted(wanted), "an attachment is missing from the answer, or is there twice")
    for digest, those in found.items():
        for one in those:
            expect(one.sha256 == digest, "an attachment is returned for another digest than its own")
            same(one, wanted[one.import_id], "find_by_digest")


@CHECKS.promise("find_by_digest finds no attachment that was withdrawn.")
def withdrawn_copies_are_not_found(records: Records) -> None:
    repository, elsewhere = records.open(), records.open()
    if not offers(repository, "find_by_digest") or not offers(repository, "withdraw"):
        return
    attachment, content = new()
    stored = repository.add(attachment, content)
    elsewhere.find_by_digest([attachment.sha256])
    repository.withdraw(stored.id)
    for asked in (repository, elsewhere):
        expect(not asked.find_by_digest([attachment.sha256]), "it still finds the attachment")


@CHECKS.promise("companions_of finds every attachment that belongs to one of these, and no other.")
def companions_are_found(records: Records) -> None:
    repository = records.open()
    if not offers(repository, "companions_of"):
        return
    owner, alone = new(), new()
    roles = (CompanionRole.MOVIE, CompanionRole.SIDECAR)
    parts = [new(companion_of=owner[0].import_id, companion_role=role) for role in roles]
    for item in (owner, alone, *parts):
        add(repository, *item)
    wanted = {attachment.import_id: attachment for attachment, _ in parts}
    for asked in (repository, records.open()):
        found = asked.companions_of([owner[0].import_id, alone[0].import_id, *wanted])
        expect(set(found) == {owner[0].import_id}, "the answer contains an id without companions")
        those = found[owner[0].import_id]
        ids = sorted(one.import_id for one in those)
        expect(ids == sorted(wanted), "a companion is missing from the answer, or is there twice")
        for one in those:
            same(one, wanted[one.import_id], "companions_of")
        expect(not asked.companions_of([]), "it found an attachment for an empty list of ids")


@CHECKS.promise("sizes_stored returns exactly the given sizes that a stored attachment has.")
def stored_sizes_are_reported(records: Records) -> None:
    repository = records.open()
    if not offers(repository, "sizes_stored"):
        return
    small, large = new(unique()), new(unique().ljust(70_001, b"x"))
    for item in (small, large):
        repository.add(*item)
    wanted = {small[0].size_bytes, large[0].size_bytes}
    for asked in (repository, records.open()):
        found = set(asked.sizes_stored({*wanted, _UNUSED_SIZE}))
        expect(wanted <= found, "a size that is stored is missing from the answer")
        expect(found <= wanted, "the answer contains a size that no attachment has")
        expect(not asked.sizes_stored(()), "it returned a size for an empty list of sizes")


@CHECKS.promise("list_attachments returns every stored attachment once, or those stored since a time.")
def attachments_are_listed(records: Records) -> None:
    repository = records.open()
    if not offers(repository, "list_attachments"):
        return
    wanted = [attachment for attachment, content in (new(), new()) if repository.add(attachment, content)]
    latest = repository.find_attachment([one.import_id for one in wanted])[wanted[-1].import_id]
    for asked in (repository, records.open()):
        listed = list(asked.list_attachments())
        for attachment in wanted:
            found = [one for one in listed if one.import_id == attachment.import_id]
            expect(len(found) == 1, f"an attachment is listed {len(found)} times")
            same(found[0], attachment, "list_attachments")
        since = list(asked.list_attachments(since=latest.stored_at))
        expect(latest in since, "an attachment that was stored at the given time is missing")
        expect(
            all(one.stored_at >= latest.stored_at for one in since),
            "an attachment that was stored before the given time is listed",
        )


@CHECKS.promise("A person is asked before a file that identifies another patient is saved.")
def another_patient_is_asked_about(records: Records) -> None:
    repository = records.open()
    folder = MemoryFolder()
    folder.write(f"{OTHER_PATIENT.id}_{PROVIDER.id}_20260131_142501.jpg", unique())
    with tempfile.TemporaryDirectory() as work:
        ledger = Path(work) / "ledger.db"
        with Inbox(repository, folder.open(), ledger=ledger, auto_import=False, settle_s=0.0) as inbox:
            inbox.scan()
            request = inbox.prepare(inbox.rows, patient=PATIENT.id)
    found = [doubt.patient for doubt in request.doubts if doubt.kind is DoubtKind.OTHER_PATIENT]
    expect(
        [one and one.id for one in found] == [OTHER_PATIENT.id], "nothing was asked about the other patient"
    )
    for patient_id in (PATIENT.id, OTHER_PATIENT.id):
        shown = given(repository.find_patient(patient_id), "find_patient does not find a patient of the kit")
        expect(
            described(shown) in (request.warning or ""),
            "find_patients and find_patient describe a patient differently",
        )
