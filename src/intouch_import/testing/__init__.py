"""The kit: what a repository or a location must do, as checks to run, and doubles for tests.

`check_repository` runs every promise of `PatientRepository` against a host's class, `check_source` every
promise of `Source` against a location. Both are plain functions with plain assertions; no test framework is
needed. `REPOSITORY_CHECKS` and `SOURCE_CHECKS` are the single checks, for ``pytest.mark.parametrize``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.testing import (
    repository_adding,
    repository_changing,
    repository_finding,
    repository_together,
    source_fetching,
    source_listing,
    source_putting,
)
from intouch_import.testing.checks import Check, run_all
from intouch_import.testing.faults import Faults, raising, waiting
from intouch_import.testing.memory import MemoryFolder, MemoryRepository, MemorySource
from intouch_import.testing.places import FsspecPlace, LocalPlace, MemoryPlace, Place
from intouch_import.testing.samples import (
    FORMER_PATIENT,
    HOSTILE_NAMES,
    LETTERED_PATIENT,
    OTHER_PATIENT,
    PATIENT,
    PATIENTS,
    PROVIDER,
    PROVIDERS,
    BytesContent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.repositories.base import PatientRepository
    from intouch_import.testing.records import Records

__all__ = [
    "FORMER_PATIENT",
    "HOSTILE_NAMES",
    "LETTERED_PATIENT",
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
    "MemoryPlace",
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
)
"""One check for each promise of `PatientRepository`. Each takes the arguments of `check_repository`."""

SOURCE_CHECKS: Final[tuple[Check[Place], ...]] = (
    *source_listing.CHECKS,
    *source_fetching.CHECKS,
    *source_putting.CHECKS,
)
"""One check for each promise of `Source`. Each takes the argument of `check_source`."""


def check_repository(
    factory: Callable[[], PatientRepository], *, damage: Callable[[str], None] | None = None
) -> None:
    """Try every promise of `PatientRepository`.

    The records need not be empty: everything is stored under import ids of its own. They must know
    the patients of `PATIENTS` and the providers of `PROVIDERS`. What was stored stays there, except where it
    is withdrawn; so give it records that nobody uses.

    Args:
        factory: Opens the records. Every call opens the *same* records anew, as a second workstation does, or
            the same one after a crash. What has a ``close`` method is closed.
        damage: Changes a byte of what is stored under an attachment's id, by other means than the
            repository: edits the file, updates the column. With it the kit can see whether
            `PatientRepository.open_attachment` reads the real place. Without it, one check does less.

    Raises:
        AssertionError: With one line for every promise that is broken; it begins with the promise.
    """
    run_all(REPOSITORY_CHECKS, factory, damage=damage)


def check_source(factory: Callable[[], Place]) -> None:
    """Try every promise of `Source`.

    What the location declares in `Source.weaknesses` relaxes the checks concerned and no others.

    Args:
        factory: Makes a `Place` whose folder is empty. Called once for each check, after which the place is
            closed.

    Raises:
        AssertionError: With one line for every promise that is broken; it begins with the promise.
    """
    run_all(SOURCE_CHECKS, factory)
