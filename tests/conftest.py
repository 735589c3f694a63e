"""A practice in miniature: patients, providers, a photo folder, and inboxes over them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from miniature import NOBODY, PATIENTS, PROVIDERS, Practice, reasons
from services.azurite import azurite, fresh_azurite
from services.openssh import openssh_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intouch_import.reports import Report

__all__ = ["azurite", "fresh_azurite", "openssh_server"]


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    practice = Practice(tmp_path_factory.mktemp("template"))
    with practice.records() as records:
        records.add_patients(PATIENTS)
        records.add_providers(PROVIDERS)
        practice.photos.mkdir()
        practice.inbox(records=records).refresh()
    return practice.root / "clinic.db"


@pytest.fixture
def practice(tmp_path: Path, _template: Path) -> Practice:
    """A practice with three patients, two providers and an empty photo folder."""
    practice = Practice(tmp_path / "practice")
    practice.photos.mkdir(parents=True)
    shutil.copy(_template, practice.root / "clinic.db")
    return practice


@pytest.fixture
def open_practice(_template: Path) -> Iterator[Practice]:
    """A practice in a folder that an unprivileged user reaches (pytest's own are private to root)."""
    root = Path(tempfile.mkdtemp(prefix="intouch-test-"))
    practice = Practice(root)
    practice.photos.mkdir()
    shutil.copy(_template, root / "clinic.db")
    practice.records().close()
    if os.geteuid() == 0:
        for folder, _, names in os.walk(root):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                os.chown(path, NOBODY, NOBODY)
    yield practice
    for folder, _, _ in os.walk(root):
        os.chmod(folder, 0o700)
    shutil.rmtree(root)


@pytest.fixture
def unprivileged() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A context in which this process has no rights beyond those of an ordinary user."""
    if os.name == "nt":
        pytest.skip("rights on Windows are not told by mode bits")

    @contextlib.contextmanager
    def dropped() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)

    return dropped


@pytest.fixture(name="reasons")
def _reasons() -> Callable[[Report], dict[str, tuple[str, str]]]:
    return reasons
