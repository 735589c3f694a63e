"""Every repository that the kit checks: how to open it, and how to damage its stored bytes."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import fsspec
import pytest

from intouch_import.repositories.base import PatientRepository
from intouch_import.repositories.sql import SqlRepository
from intouch_import.testing import PATIENTS, PROVIDERS, MemoryRepository

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["REPOSITORIES", "Opening"]


@attrs.frozen
class Opening:
    """The arguments of `check_repository`."""

    factory: Callable[[], PatientRepository]
    damage: Callable[[str], None] | None = None

    def seen(self, patient_id: str) -> list[str]:
        """Return the ids of the attachments that the record of a patient shows."""
        records = self.factory()
        try:
            return [one.id for one in records.attachments(patient_id)]  # type: ignore[attr-defined]
        finally:
            getattr(records, "close", lambda: None)()


def _sql(url: str, files: str) -> Callable[[], SqlRepository]:
    with SqlRepository.open(url, files=files) as records:
        records.add_patients(PATIENTS)
        records.add_providers(PROVIDERS)
    return lambda: SqlRepository.open(url, files=files)


def _damage_file(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def in_memory(request: pytest.FixtureRequest) -> Opening:
    first = MemoryRepository(PATIENTS, PROVIDERS)
    return Opening(first.reopen, first.damage)


def sqlite_and_a_folder(request: pytest.FixtureRequest) -> Opening:
    root: Path = request.getfixturevalue("tmp_path")
    files = root / "files"
    return Opening(
        _sql(f"sqlite:///{root / 'clinic.db'}", str(files)),
        lambda attachment_id: _damage_file(files / attachment_id[:2] / attachment_id),
    )


def sqlite_and_fsspec_files(request: pytest.FixtureRequest) -> Opening:
    root: Path = request.getfixturevalue("tmp_path")
    name = f"files-{secrets.token_hex(8)}"

    def damage(attachment_id: str) -> None:
        memory = fsspec.filesystem("memory")
        path = f"/{name}/{attachment_id[:2]}/{attachment_id}"
        memory.pipe_file(path, memory.cat_file(path)[::-1])

    return Opening(_sql(f"sqlite:///{root / 'clinic.db'}", f"memory://{name}"), damage)


def sqlite_and_files_on_a_local_url(request: pytest.FixtureRequest) -> Opening:
    root: Path = request.getfixturevalue("tmp_path")
    files = root / "files"
    return Opening(
        _sql(f"sqlite:///{root / 'clinic.db'}", f"local://{files}"),
        lambda attachment_id: _damage_file(files / attachment_id[:2] / attachment_id),
    )


def postgresql_and_a_folder(request: pytest.FixtureRequest) -> Opening:
    try:
        url = request.getfixturevalue("postgresql_url")
    except pytest.FixtureLookupError:
        pytest.skip("needs the fixture postgresql_url, which starts a PostgreSQL server")
    files = request.getfixturevalue("tmp_path") / "files"
    return Opening(
        _sql(url, str(files)),
        lambda attachment_id: _damage_file(files / attachment_id[:2] / attachment_id),
    )


REPOSITORIES = (
    in_memory,
    sqlite_and_a_folder,
    sqlite_and_fsspec_files,
    sqlite_and_files_on_a_local_url,
    postgresql_and_a_folder,
)
