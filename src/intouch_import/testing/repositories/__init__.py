"""`check_repository`: every promise of `PatientRepository`, tried on a host's class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.testing.checks import Check, run_all
from intouch_import.testing.repositories import (
    adding,
    copies,
    finding,
    people,
    reassigning,
    texts,
    together,
    transactions,
    withdrawing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.repositories.base import PatientRepository
    from intouch_import.testing.repositories.bench import Records

__all__ = ["REPOSITORY_CHECKS", "check_repository"]

REPOSITORY_CHECKS: Final[tuple[Check[Records], ...]] = (
    *people.CHECKS,
    *adding.CHECKS,
    *texts.CHECKS,
    *finding.CHECKS,
    *transactions.CHECKS,
    *withdrawing.CHECKS,
    *copies.CHECKS,
    *reassigning.CHECKS,
    *together.CHECKS,
)
"""One check for each promise. Call one with what `check_repository` takes."""


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
