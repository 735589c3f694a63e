"""The test kit over every repository, one test for each promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract.repositories import REPOSITORIES
from intouch_import.testing import REPOSITORY_CHECKS, MemoryRepository, check_repository

if TYPE_CHECKING:
    from collections.abc import Callable

    from contract.repositories import Opening
    from intouch_import.testing import Check


@pytest.mark.parametrize("check", REPOSITORY_CHECKS, ids=str)
@pytest.mark.parametrize("made", REPOSITORIES, ids=lambda made: made.__name__)
def test_a_repository_keeps_each_promise(
    check: Check, made: Callable[[pytest.FixtureRequest], Opening], request: pytest.FixtureRequest
) -> None:
    """Each repository of this library passes each check of the kit that hosts run."""
    opening = made(request)
    check(opening.factory, damage=opening.damage, seen=opening.seen)


def test_the_whole_kit_is_one_call(request: pytest.FixtureRequest) -> None:
    """A host without pytest calls one function, and sees every broken promise at once."""
    made = REPOSITORIES[0](request)
    check_repository(made.factory, damage=made.damage, seen=made.seen)
    with pytest.raises(AssertionError) as caught:
        check_repository(MemoryRepository)  # without patients, and with new records each time
    lines = str(caught.value).splitlines()
    assert len(lines) > 10
    promises = [check.promise for check in REPOSITORY_CHECKS]
    assert all(line.startswith(tuple(promises)) for line in lines), lines
    assert "put in all of PATIENTS" in lines[0]
