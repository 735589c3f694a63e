"""The plugin for pytest, in a project of its own, as a host installs it."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from intouch_import.testing import REPOSITORY_CHECKS, SOURCE_CHECKS

PLUGIN = "intouch_import.testing.pytest_plugin"
PROJECT = """\
import pytest
from intouch_import.testing import PATIENTS, PROVIDERS, MemoryPlace, MemoryRepository

class Careless(MemoryRepository):
    def find_patient(self, patient_id):
        return super().find_patient(patient_id.strip())

@pytest.fixture(params=[MemoryRepository, Careless])
def records(request):
    return request.param(PATIENTS, PROVIDERS)

def test_records(repository_check, records):
    repository_check(records.reopen, damage=records.damage)

def test_place(source_check):
    source_check(MemoryPlace)

def test_of_something_else(tmp_path):
    assert tmp_path.is_dir()
"""


def _pytest(folder: Path, *arguments: str) -> str:
    child = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return child.stdout + child.stderr


def test_each_check_is_a_test_of_its_own(tmp_path: Path) -> None:
    """A host sees one line for each promise, and the words of the one that is broken."""
    (tmp_path / "test_host.py").write_text(PROJECT, "utf-8")
    said = _pytest(tmp_path, "-p", PLUGIN, "-q", "-rf", "-W", "error")
    passed, failed = 2 * len(REPOSITORY_CHECKS) + len(SOURCE_CHECKS), 1
    assert re.search(rf"^{failed} failed, {passed} passed", said, re.MULTILINE), said
    assert "test_records[Careless-patients_are_not_guessed]" in said
    assert "find_patient finds exactly the id that is asked for, never a near match." in said


def test_projects_that_do_not_use_it_pay_nothing(tmp_path: Path) -> None:
    """In any other project the plugin imports nothing of this library but itself."""
    (tmp_path / "conftest.py").write_text(
        "import sys\n"
        "def pytest_sessionfinish():\n"
        "    loaded = [name for name in sys.modules if name.startswith('intouch_import')]\n"
        "    print('LOADED', sorted(loaded), 'sqlalchemy' in sys.modules, 'fsspec' in sys.modules)\n",
        "utf-8",
    )
    (tmp_path / "test_other.py").write_text("def test_one(): pass\n", "utf-8")
    said = _pytest(tmp_path, "-p", PLUGIN, "-q", "-s", "-W", "error")
    expected = ["intouch_import", "intouch_import.testing", PLUGIN]
    assert f"LOADED {expected} False False" in said
    assert "1 passed" in said


def test_installing_the_library_installs_the_plugin() -> None:
    """Without being told, pytest finds it: it is an entry point of the installed distribution."""
    found = [one.value for one in importlib.metadata.entry_points(group="pytest11") if one.name == PLUGIN]
    if not found and os.environ.get("CI") != "true":
        pytest.skip("the library was installed before it had a plugin: install it again")
    assert found == [PLUGIN]
