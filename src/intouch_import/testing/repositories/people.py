"""Who the patients and providers are: exactly those that are asked for, and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intouch_import.model import Patient, Provider
from intouch_import.testing.checks import Checks, expect, given
from intouch_import.testing.repositories.bench import Records, bench
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
    from intouch_import.repositories.base import PatientRepository

__all__ = ["CHECKS"]

CHECKS: Checks[Records] = Checks(bench)

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
