"""For pytest: each check of the kit as a test of its own.

A test that takes ``repository_check`` or ``source_check`` is run once for each check::

    def test_our_records(repository_check, records):      # `records`: a fixture of yours that gives a factory
        repository_check(records)

pytest finds this module by itself once the library is installed, in every project. So it imports nothing
before a test asks for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

__all__ = ["pytest_generate_tests"]

_CHECKS: Final = {"repository_check": "REPOSITORY_CHECKS", "source_check": "SOURCE_CHECKS"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each check, for the tests that take them."""
    for argument, name in _CHECKS.items():
        if argument in metafunc.fixturenames:
            checks = getattr(importlib.import_module("intouch_import.testing"), name)
            metafunc.parametrize(argument, checks, ids=[check.name for check in checks])
