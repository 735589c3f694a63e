"""The testing kit: checks for patient records and locations, and doubles for your own tests.

`check_repository` checks every promise of `PatientRepository` on a host's class, and `check_source` every
promise of `Source` on a location. Both are functions that raise AssertionError; no test framework is needed.
`REPOSITORY_CHECKS` and `SOURCE_CHECKS` are the single checks, for ``pytest.mark.parametrize``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.testing import (
    repository_adding,
    repository_changing,
    repository_finding,
    repository_remains,
    repository_together,
    source_fetching,
    source_listing,
    source_putting,
)
from intouch_import.testing.checks import Check, run_all
from intouch_import.testing.faults import Faults, raising, waiting
from intouch_import.testing.memory import MemoryFolder, MemoryRepository, MemorySource
from intouch_import.testing.places import FsspecPlace, LocalPlace, Place
from intouch_import.testing.samples import (
    FORMER_PATIENT,
    HOSTILE_NAMES,
    LETTERED_PATIENT,
    NUMBERED_PROVIDER,
    OTHER_PATIENT,
    PATIENT,
    PATIENTS,
    PROVIDER,
    PROVIDERS,
    BytesContent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from intouch_import.repositories.base import PatientRepository
    from intouch_import.testing.records import Records

__all__ = [
    "FORMER_PATIENT",
    "HOSTILE_NAMES",
    "LETTERED_PATIENT",
    "NUMBERED_PROVIDER",
    "OTHER_PATIENT",
    "PATIENT",
    "PATIENTS",
    "PROVIDER",
    "PROVIDERS",
    "REPOSITORY_CHECKS",
    "SOURCE_CHECKS",
    "BytesContent",
    "Check",
    "Faults",
    "FsspecPlace",
    "LocalPlace",
    "MemoryFolder",
    "MemoryRepository",
    "MemorySource",
    "Place",
    "check_repository",
    "check_source",
    "raising",
    "waiting",
]

REPOSITORY_CHECKS: Final[tuple[Check[Records], ...]] = (
    *repository_finding.CHECKS,
    *repository_adding.CHECKS,
    *repository_changing.CHECKS,
    *repository_together.CHECKS,
    *repository_remains.CHECKS,
)
"""One check for each promise of `PatientRepository`. Each takes the arguments of `check_repository`."""

SOURCE_CHECKS: Final[tuple[Check[Place], ...]] = (
    *source_listing.CHECKS,
    *source_fetching.CHECKS,
    *source_putting.CHECKS,
)
"""One check for each promise of `Source`. Each takes the argument of `check_source`."""


def check_repository(
    factory: Callable[[], PatientRepository],
    *,
    damage: Callable[[str], None] | None = None,
    seen: Callable[[str], Iterable[str]] | None = None,
) -> None:
    """Check every promise of `PatientRepository`.

    The records must know the patients in `PATIENTS` and the providers in `PROVIDERS`; if their ids are
    numbers, without those whose ids have letters. They need not be empty, because the kit uses new import
    ids. The kit leaves its files in the records, so give it records that nobody needs.

    Where the system can fork, one check kills child processes inside `add`. They call ``factory``, too, in a
    thread of their own: it must open new connections.

    Args:
        factory: Opens the records. Each call opens the *same* records again, as a second workstation does, or
            the same one after a crash. The kit closes what has a ``close`` method.
        damage: Takes the id of an attachment, and changes a byte of the stored file without the repository.
            With it the kit can check that `PatientRepository.open_attachment` reads the stored bytes. Without
            it, one check is less strict.
        seen: Takes the id of a patient, and returns the ids (`StoredAttachment.id`) of all files that the
            patient's record shows, as your own screens find them. With it the kit can check that each record
            shows its own files, each once.

    Raises:
        AssertionError: With a line for every cause. Each line begins with the promise that is broken, and
            names file and line of your code, if your code has raised an exception.
    """
    run_all(REPOSITORY_CHECKS, factory, damage=damage, seen=seen)


def check_source(factory: Callable[[], Place]) -> None:
    """Check every promise of `Source`.

    A weakness that the location declares in `Source.weaknesses` relaxes the checks of that promise only.

    Args:
        factory: Makes a `Place` with an empty folder. It is called once for each check, and the place is
            closed afterwards.

    Raises:
        AssertionError: With a line for every broken promise; each line begins with the promise.
    """
    run_all(SOURCE_CHECKS, factory)
