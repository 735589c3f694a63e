"""What a backup folder contains, and the report of making or checking one.

::

    clinic.db          the records, and the ledger if it is in the same database
    ledger.db          the ledger, if it has a database of its own
    clinic-files/      the stored files, in the folders and with the names that the records use
    SHA256SUMS         the digest of each of these files; ``sha256sum --check`` understands it
    backup.json        when the backup was made, the last entry of the ledger, the digest of SHA256SUMS

``backup.json`` is written last: without it, the backup is not complete.
"""

from __future__ import annotations

import contextlib
import enum
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import sqlalchemy as sa

from intouch_import.errors import RepositoryError, without_path
from intouch_import.ledger import Ledger
from intouch_import.repositories.tables import attachments

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from intouch_import.ledger import LedgerEntry

__all__ = [
    "ABOUT",
    "FILES",
    "LEDGER",
    "RECORDS",
    "SUMS",
    "BackupFault",
    "BackupReport",
    "FaultKind",
    "copied_ledger",
    "ledger_ahead",
    "path_of",
    "stored_in",
]

RECORDS: Final = "clinic.db"
LEDGER: Final = "ledger.db"
FILES: Final = "clinic-files"
SUMS: Final = "SHA256SUMS"
ABOUT: Final = "backup.json"


class FaultKind(enum.StrEnum):
    """What is wrong with a backup."""

    INCOMPLETE = "incomplete"
    MISSING = "missing"
    ALTERED = "altered"
    UNREADABLE = "unreadable"
    UNLISTED = "unlisted"
    LEDGER_AHEAD = "ledger_ahead"
    LEDGER_BROKEN = "ledger_broken"

    @property
    def text(self) -> str:
        """The meaning, in a sentence."""
        return _TEXTS[self]


_TEXTS: Final = {
    FaultKind.INCOMPLETE: "The backup was not finished, or its list was changed.",
    FaultKind.MISSING: "The file does not exist.",
    FaultKind.ALTERED: "The file has other bytes than its record or the list says.",
    FaultKind.UNREADABLE: "The file can't be read.",
    FaultKind.UNLISTED: "The file is not in the list.",
    FaultKind.LEDGER_AHEAD: "The ledger has this file, and the records do not.",
    FaultKind.LEDGER_BROKEN: "The ledger was changed, or is not the one that was backed up.",
}


@attrs.frozen
class BackupFault:
    """A fault of a backup.

    Args:
        kind: What is wrong.
        path: The file, relative to the backup; or the import id, for ``UNLISTED`` and ``LEDGER_AHEAD``.
    """

    kind: FaultKind
    path: str


@attrs.frozen(kw_only=True)
class BackupReport:
    """The result of making or checking a backup.

    Args:
        made_at: When the backup was made; None if it is not known.
        files: Number of stored files that the backup lists.
        size_bytes: Size of the stored files that were copied or read.
        ledger_entries: Number of entries in the ledger.
        faults: What is wrong.
    """

    made_at: datetime | None = None
    files: int = 0
    size_bytes: int = 0
    ledger_entries: int = 0
    faults: tuple[BackupFault, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether the backup is complete, and nothing in it is damaged."""
        return not self.faults

    def __str__(self) -> str:
        return f"{self.files} files, {self.ledger_entries} ledger entries, {len(self.faults)} faults"

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "made_at": self.made_at.isoformat() if self.made_at is not None else None,
            "files": self.files,
            "size_bytes": self.size_bytes,
            "ledger_entries": self.ledger_entries,
            "sound": self.sound,
            "faults": [
                {"kind": fault.kind.value, "path": fault.path, "text": fault.kind.text}
                for fault in self.faults
            ],
        }


def path_of(import_id: str) -> str:
    """Return the path of a stored file in a backup."""
    return f"{FILES}/{import_id[:2]}/{import_id}"


def stored_in(database: Path) -> dict[str, str]:
    """Return the digests of the attachments in a copy of the records, by import id.

    Neither the copy nor a file beside it is changed: the copy must stay the file that is in the list.

    Raises:
        RepositoryError: The file is not a database of records, or is damaged.
    """
    columns = f"{attachments.c.import_id.name}, {attachments.c.sha256.name}"
    try:
        with contextlib.closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?immutable=1", uri=True)
        ) as copy:
            if copy.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                raise RepositoryError("the copy of the records is damaged")
            return dict(copy.execute(f"SELECT {columns} FROM {attachments.name}"))  # noqa: S608  # constants
    except sqlite3.Error as exc:
        raise RepositoryError("the copy of the records can't be read", kind=type(exc).__name__) from None


@contextlib.contextmanager
def copied_ledger(folder: Path) -> Iterator[Ledger]:
    """Open the ledger of a backup: a temporary copy of it, because opening upgrades a database.

    Raises:
        RepositoryError: The ledger can't be read.
    """
    source = folder / LEDGER
    with tempfile.TemporaryDirectory(prefix="intouch-") as temporary:
        copy = Path(temporary, LEDGER)
        try:
            shutil.copyfile(source if source.exists() else folder / RECORDS, copy)
        except OSError as exc:
            raise RepositoryError("the copy of the ledger can't be read", errno=exc.errno) from without_path(
                exc
            )
        ledger = Ledger.open(sa.URL.create("sqlite", database=str(copy)))
        try:
            yield ledger
        finally:
            ledger.close()


def ledger_ahead(ledger: Ledger, stored: Mapping[str, str]) -> list[LedgerEntry]:
    """Return the files that the ledger has and these records do not, although they should."""
    digests = set(stored.values())
    gone = [
        entry for entry in ledger.stored() if entry.import_id not in stored and entry.sha256 not in digests
    ]
    expected = ledger.in_records([entry.import_id for entry in gone]) if gone else set()
    return [entry for entry in gone if entry.import_id in expected]
