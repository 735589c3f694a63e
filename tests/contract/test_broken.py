"""The kit rejects broken classes, and names the broken promise. A kit that accepts everything would be useless."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import pytest

from contract.broken_repositories import BROKEN_REPOSITORIES
from contract.broken_sources import BROKEN_SOURCES
from intouch_import.sources import Weakness
from intouch_import.testing import (
    PATIENTS,
    PROVIDERS,
    REPOSITORY_CHECKS,
    SOURCE_CHECKS,
    Check,
    MemoryFolder,
    MemoryRepository,
    check_repository,
    checks,
)

if TYPE_CHECKING:
    from collections.abc import Callable

BY_NAME = {check.name: check for check in (*REPOSITORY_CHECKS, *SOURCE_CHECKS)}


def _said(check: Check, factory, **hands) -> str | None:
    try:
        check(factory, **hands)
    except AssertionError as exc:
        return str(exc)
    return None


def hands(records: MemoryRepository) -> dict[str, Callable[[str], object]]:
    """Return what reaches the records without their methods: see `check_repository`."""
    return {
        "damage": records.damage,
        "seen": lambda patient_id: [one.id for one in records.attachments(patient_id)],
    }


@pytest.mark.parametrize("name", BROKEN_REPOSITORIES)
def test_a_broken_repository_is_rejected(name: str) -> None:
    """The check of the broken promise fails, and its message begins with the promise."""
    broken, expected = BROKEN_REPOSITORIES[name]
    if expected == "killed_processes_leave_no_remains" and sys.platform == "win32":
        pytest.skip("Windows has no fork")
    check = BY_NAME[expected]
    records = broken(PATIENTS, PROVIDERS)
    said = _said(check, records.reopen, **hands(records))
    assert said is not None, f"{expected} accepted it"
    assert said.startswith(check.promise)
    assert said.endswith(f"[{expected}]")
    unbroken = MemoryRepository(PATIENTS, PROVIDERS)
    assert _said(check, unbroken.reopen, **hands(unbroken)) is None


@pytest.mark.parametrize("name", BROKEN_SOURCES)
def test_a_broken_source_is_rejected(name: str) -> None:
    """The check of the broken promise fails, and its message begins with the promise."""
    broken, expected = BROKEN_SOURCES[name]
    check = BY_NAME[expected]
    said = _said(check, lambda: MemoryFolder(opened=broken))
    assert said is not None, f"{expected} accepted it"
    assert said.startswith(check.promise)
    assert said.endswith(f"[{expected}]")
    assert _said(check, MemoryFolder) is None


def test_every_check_rejects_something() -> None:
    """Every check fails for at least one broken class; otherwise it may be a check that can't fail."""
    used = {expected for _, expected in (*BROKEN_REPOSITORIES.values(), *BROKEN_SOURCES.values())}
    assert set(BY_NAME) - used == set()


def test_every_check_has_a_name_and_a_promise_of_its_own() -> None:
    """Names are test ids, and hosts read promises: both must be unique."""
    checks = (*REPOSITORY_CHECKS, *SOURCE_CHECKS)
    assert len(BY_NAME) == len(checks)
    assert len({check.promise for check in checks}) == len(checks)
    for check in checks:
        assert check.promise.endswith(".")
        assert check.promise[0].isupper() or check.promise.split()[0] in check.promise


class Hangs(MemoryRepository):
    """Waits until the test is over."""

    over = threading.Event()

    def add(self, attachment, content):
        self.over.wait()
        return super().add(attachment, content)


def test_a_repository_that_hangs_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kit reports a deadlock, and does not hang itself."""
    monkeypatch.setattr(checks, "_PATIENCE_S", 0.3)
    check = BY_NAME["one_file_from_all_sides_is_stored_once"]
    said = _said(check, Hangs(PATIENTS, PROVIDERS).reopen)
    Hangs.over.set()
    assert said is not None
    assert said.startswith(check.promise)
    assert "did not finish" in said


RELAXED = [
    ("PinsNothingAndComparesNothing", Weakness.REMOVAL_NOT_PINNED, set()),  # adds a check
    ("TakesTheSizeForAVersion", Weakness.VERSION_MAY_REPEAT, {"versions_change_with_the_bytes"}),
    ("AsksThenWrites", Weakness.PUT_MAY_OVERWRITE, {"one_of_many_wins"}),
    ("Overwrites", Weakness.PUT_MAY_OVERWRITE, {"one_of_many_wins"}),
    ("WritesInPlace", Weakness.PUT_SEEN_UNFINISHED, {"nothing_half_written_is_seen"}),
    ("ReadsLinks", Weakness.LINKS_ONLY_IN_LISTINGS, {"only_files_are_read"}),
]


@pytest.mark.parametrize(("name", "weakness", "relaxed"), RELAXED)
def test_a_weakness_relaxes_its_check_alone(name: str, weakness: Weakness, relaxed: set[str]) -> None:
    """A declared weakness relaxes the checks of this weakness, and no others."""
    broken, _ = BROKEN_SOURCES[name]
    failing: list[set[str]] = []
    for declared in ((), (weakness,)):
        source = type(name, (broken,), {"weaknesses": declared})
        place = lambda: MemoryFolder(opened=source)  # noqa: B023, E731  # called before the loop goes on
        failing.append({check.name for check in SOURCE_CHECKS if _said(check, place) is not None})
    strict, lax = failing
    assert strict - lax == relaxed
    assert lax - strict <= {"unpinned_removals_compare_bytes"}


def test_every_weakness_is_known_to_the_kit() -> None:
    """Every weakness relaxes some check."""
    assert {weakness for _, weakness, _ in RELAXED} == set(Weakness)


class Numbered(MemoryRepository):
    """Keeps its patients and providers by number, as many systems do."""

    def find_patient(self, patient_id):
        return super().find_patient(self.number(patient_id))

    def find_patients(self, patient_ids):
        found = {one: self.find_patient(one) for one in patient_ids}
        return {one: patient for one, patient in found.items() if patient is not None}

    def find_provider(self, provider_id):
        return super().find_provider(self.number(provider_id))

    @staticmethod
    def number(text):
        plain = text.isascii() and text.isdecimal() and not text.startswith("0")
        return str(int(text)) if plain else "no number"


def test_ids_may_be_numbers() -> None:
    """Records whose ids are numbers pass without the patient and the provider whose ids have letters."""
    numbered = [[one for one in those if one.id.isdecimal()] for those in (PATIENTS, PROVIDERS)]
    assert [len(those) for those in numbered] == [3, 1]
    records = Numbered(*numbered)
    check_repository(records.reopen, **hands(records))


class Unreachable(MemoryRepository):
    """Fails whenever a file is added, in one line."""

    def add(self, attachment, content):
        raise ZeroDivisionError


def test_each_cause_is_reported_once() -> None:
    """Promises that one line of the host's code breaks share a line, which names the file and the line."""
    with pytest.raises(AssertionError) as caught:
        check_repository(Unreachable(PATIENTS, PROVIDERS).reopen)
    code = Unreachable.add.__code__
    place = f"{__file__}:{code.co_firstlineno + 1} in Unreachable.add"
    lines = [line for line in str(caught.value).splitlines() if place in line]
    assert len(lines) == 1
    assert "The same cause breaks" in lines[0]
    assert lines[0].count("adding_twice_stores_once") == 1


def test_a_record_that_is_not_seen_is_not_checked() -> None:
    """Without ``seen=``, nothing is said about what a record shows."""
    broken, expected = BROKEN_REPOSITORIES["ShowsEveryAttempt"]
    assert _said(BY_NAME[expected], broken(PATIENTS, PROVIDERS).reopen) is None
