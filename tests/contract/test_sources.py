"""The test kit over every location, one test for each promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract.places import PLACES, in_memory
from intouch_import.testing import SOURCE_CHECKS, check_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from intouch_import.testing import Check, Place


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=str)
@pytest.mark.parametrize("made", PLACES, ids=lambda made: made.__name__)
def test_a_location_keeps_each_promise(
    check: Check,
    made: Callable[[pytest.FixtureRequest], Callable[[], Place]],
    request: pytest.FixtureRequest,
) -> None:
    """Each location of this library passes each check of the kit, except for its declared weaknesses."""
    check(made(request))


def test_the_whole_kit_is_one_call(request: pytest.FixtureRequest) -> None:
    """One function checks every promise."""
    check_source(in_memory(request))
