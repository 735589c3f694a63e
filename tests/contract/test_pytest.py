"""The kit in a pytest project of a host, as the documentation shows it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

from intouch_import.testing import REPOSITORY_CHECKS, SOURCE_CHECKS

ROOT = Path(__file__).parents[2]
LINE = '@pytest.mark.parametrize("check", REPOSITORY_CHECKS, ids=str)'
PROJECT = f"""\
import pytest
from intouch_import.testing import PATIENTS, PROVIDERS, REPOSITORY_CHECKS, SOURCE_CHECKS, MemoryFolder, MemoryRepository

class Careless(MemoryRepository):
    def find_patient(self, patient_id):
        return super().find_patient(patient_id.strip())

@pytest.fixture(params=[MemoryRepository, Careless])
def records(request):
    return request.param(PATIENTS, PROVIDERS)

{LINE}
def test_records(check, records):
    check(records.reopen, damage=records.damage)

{LINE.replace("REPOSITORY", "SOURCE")}
def test_place(check):
    check(MemoryFolder)
"""


def test_each_check_is_a_test_of_its_own(tmp_path: Path) -> None:
    """A host sees one line for each promise, and the text of the promise that is broken."""
    (tmp_path / "test_host.py").write_text(PROJECT, "utf-8")
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rf", "-W", "error"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = child.stdout + child.stderr
    passed, failed = 2 * len(REPOSITORY_CHECKS) + len(SOURCE_CHECKS), 1
    assert re.search(rf"^{failed} failed, {passed - failed} passed", said, re.MULTILINE), said
    assert "test_records[Careless-patients_are_not_guessed]" in said
    assert "find_patient finds exactly the id that it is given, never a similar one." in said


def test_the_pages_show_the_line() -> None:
    """The line of the test above is the one that hosts copy."""
    assert f"\n{LINE}\n" in (ROOT / "docs" / "how-to" / "host.md").read_text("utf-8")
    assert f"\n{LINE}\n" in (ROOT / "docs" / "reference" / "testing.md").read_text("utf-8")


def test_installing_the_library_changes_no_run_of_pytest() -> None:
    """A project that has this library installed, and does not import it, runs nothing of it."""
    distribution = importlib.metadata.distribution("intouch-import")
    assert not distribution.entry_points.select(group="pytest11")
