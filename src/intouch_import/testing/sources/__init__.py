"""`check_source`: every promise of `Source`, tried on a location."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from intouch_import.testing.checks import Check, run_all
from intouch_import.testing.sources import conduct, fetching, listing, putting, removing, together

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.testing.places import Place

__all__ = ["SOURCE_CHECKS", "check_source"]

SOURCE_CHECKS: Final[tuple[Check[Place], ...]] = (
    *listing.CHECKS,
    *fetching.CHECKS,
    *removing.CHECKS,
    *putting.CHECKS,
    *together.CHECKS,
    *conduct.CHECKS,
)
"""One check for each promise. Call one with what `check_source` takes."""


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
