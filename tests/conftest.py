"""Fixtures for all tests: a small practice, its databases, and the real services."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scenes import killer

from commanding import command
from intouch_import.repositories.sql import SqlRepository
from miniature import PATIENTS, PROVIDERS, Practice, reasons
from rights import ordinary_rights
from services.azurite import azurite
from services.chromium import browser
from services.dropbox_server import dropbox_server, open_dropbox
from services.jupyterlab import jupyterlab
from services.openssh import openssh_server
from services.postgresql import fresh_database, postgresql_server, postgresql_template, postgresql_url
from services.s3 import s3_server

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator

    from intouch_import.reports import Report
    from services.postgresql import PostgresServer

__all__ = [
    "azurite",
    "browser",
    "command",
    "dropbox_server",
    "jupyterlab",
    "killer",
    "open_dropbox",
    "openssh_server",
    "postgresql_server",
    "postgresql_template",
    "postgresql_url",
    "s3_server",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the marker ``both_databases`` on each database."""
    if "database" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_databases"):
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Return the kind of database that a test runs on."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def database_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of that kind."""
    if database == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'fresh.db'}"


@pytest.fixture(scope="session")
def _template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    practice = Practice(tmp_path_factory.mktemp("template"))
    with practice.records() as records:
        records.add_patients(PATIENTS)
        records.add_providers(PROVIDERS)
        practice.photos.mkdir()
        practice.inbox(records=records).refresh()
    return practice.root / "clinic.db"


@pytest.fixture(scope="session")
def _postgresql_practice(postgresql_server: PostgresServer, postgresql_template: str) -> str:
    name = postgresql_server.create_database(template=postgresql_template)
    with SqlRepository.open(postgresql_server.url(name), files=f"memory://{name}") as records:
        records.add_patients(PATIENTS)
        records.add_providers(PROVIDERS)
    return name


@pytest.fixture
def practice(
    request: pytest.FixtureRequest, tmp_path: Path, _template: Path, database: str
) -> Iterator[Practice]:
    """Return a practice with three patients, two providers and an empty photo folder."""
    root = tmp_path / "practice"
    (root / "photos").mkdir(parents=True)
    if database == "sqlite":
        shutil.copy(_template, root / "clinic.db")
        yield Practice(root)
        return
    server: PostgresServer = request.getfixturevalue("postgresql_server")
    with fresh_database(server, request.getfixturevalue("_postgresql_practice")) as url:
        yield Practice(root, url)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Callable[[], contextlib.AbstractContextManager[None]]]:
    """Return a context in which file permissions apply to root, too."""
    yield ordinary_rights
    for folder, _, _ in os.walk(tmp_path):
        os.chmod(folder, 0o700)  # else pytest could not remove it


@pytest.fixture(name="reasons")
def _reasons() -> Callable[[Report], dict[str, tuple[str, str]]]:
    return reasons
