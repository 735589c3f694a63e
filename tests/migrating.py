"""A small archive: folders of photos, records, and plans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs

from intouch_import import migration
from intouch_import.clock import Clock
from intouch_import.repositories.sql import SqlRepository
from miniature import NOW, PATIENTS, PROVIDERS, jpeg

RULE = migration.FolderRule("{patient} - {*}/{date:%Y-%m-%d}") | migration.FolderRule("{patient} - {*}")
MARSH, OKAFOR = "10042 - Marsh, Ada", "10043 - Okafor, Ben"


@attrs.frozen
class Archive:
    """A folder with sub-folders.

    Args:
        root: The folder for everything.
        database: URL of another database.
    """

    root: Path
    database: str | None = None

    @property
    def disk(self) -> Path:
        """The top folder of the archive."""
        return self.root / "old disk"

    @property
    def url(self) -> str:
        """The URL of the records."""
        return self.database or f"sqlite:///{self.root / 'clinic.db'}"

    def records(self) -> SqlRepository:
        """Open records with the patients and providers of the tests."""
        records = SqlRepository.open(self.url, files=self.root / "files")
        records.add_patients(PATIENTS)
        records.add_providers(PROVIDERS)
        return records

    def lay(self, path: str, content: bytes | None = None) -> Path:
        """Write a file into the archive."""
        file = self.disk / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(jpeg(path) if content is None else content)
        return file

    def plan(
        self, rule: Any = RULE, *, records: SqlRepository | None = None, **options: Any
    ) -> migration.Plan:
        """Plan the archive, in UTC, into the folder ``plan``."""
        self.disk.mkdir(parents=True, exist_ok=True)
        options = {"to": self.root / "plan", "zone": "UTC", "clock": Clock(now=lambda: NOW), **options}
        return migration.plan(self.disk, rule, records or self.records(), **options)

    def left(self) -> list[str]:
        """Return the paths of all files in the archive."""
        return sorted(
            path.relative_to(self.disk).as_posix() for path in self.disk.rglob("*") if path.is_file()
        )


def reasons(plan: migration.Plan) -> dict[str, str]:
    """Return the reason of each path."""
    return {row.path: row.reason.value for row in plan.rows()}


def six_photos(root: Path) -> Archive:
    """Make an archive with six photos of two patients, and one photo of an unknown patient."""
    archive = Archive(root)
    for folder in (f"{MARSH}/2024-03-01", f"{MARSH}/close-ups", OKAFOR):
        for number in (1, 2):
            archive.lay(f"{folder}/IMG_{number}.jpg")
    archive.lay("loose.jpg")
    return archive
