"""A small practice system that takes photos in. `ClinicRecords` is all that it had to write for this library.

Run it on a folder of photos::

    python host_app.py photos clinic

It files what the names of the photos say, and shows what waits for a person.
"""

import contextlib
import errno
import json
import sqlite3
import sys
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from intouch_import import (
    Attachment,
    Destination,
    Inbox,
    Patient,
    PatientRepository,
    Provider,
    RepositoryError,
    StoredAttachment,
    open_source,
)
from intouch_import.content import Content
from intouch_import.disk import sync_many
from intouch_import.errors import AlreadyAssigned, ContentMismatch, StorageFull, UnknownPatient

# --- the practice system, as it was before

SCHEMA = """
CREATE TABLE IF NOT EXISTS patient (number TEXT PRIMARY KEY, full_name TEXT, archived INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS doctor (code TEXT PRIMARY KEY, full_name TEXT);
CREATE TABLE IF NOT EXISTS document (
    document_no INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: files are named after it
    import_id TEXT NOT NULL UNIQUE,         -- new: what makes `add` idempotent
    patient_number TEXT NOT NULL REFERENCES patient,
    tab TEXT NOT NULL,
    caption TEXT NOT NULL,
    filed_at TEXT NOT NULL,
    details TEXT NOT NULL                   -- new: everything this library knows of the file, as JSON
);
"""


class Database:
    """The clinic's database. What one thread does in a transaction is committed together."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = threading.local()
        with self.connected() as connection:
            connection.executescript(f"PRAGMA journal_mode = WAL; {SCHEMA}")

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """The connection of this thread's open transaction, or one of its own."""
        if getattr(self._here, "connection", None) is not None:
            yield self._here.connection
            return
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk when it returns
            yield connection
        except sqlite3.Error:
            raise RepositoryError("the clinic's database failed") from None  # its text may quote a value
        finally:
            connection.close()  # rolls back what was not committed

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block does, or nothing of it."""
        with self.connected() as connection:
            # The write lock at once: whoever reads first and writes later may have to give up.
            connection.execute("BEGIN IMMEDIATE")
            self._here.connection = connection
            try:
                yield
                connection.execute("COMMIT")
            finally:
                self._here.connection = None

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[sqlite3.Connection]:
        """Undo what the block does if it fails, and nothing else of the transaction."""
        with self.connected() as connection:
            connection.execute("SAVEPOINT one_file")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK TO one_file")
                raise
            finally:
                connection.execute("RELEASE one_file")

    @property
    def in_transaction(self) -> bool:
        """Whether this thread is in a transaction."""
        return getattr(self._here, "connection", None) is not None

    def one(self, sql: str, *values: Any) -> Any:
        """The first row, or None."""
        with self.connected() as connection:
            return connection.execute(sql, values).fetchone()


# --- what it had to write


class ClinicRecords(PatientRepository):
    """The records of the clinic: rows in its database, documents in a folder."""

    def __init__(self, folder: Path) -> None:
        self.documents, self.incoming = folder / "documents", folder / "incoming"
        for needed in (self.documents, self.incoming):
            needed.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database = Database(folder / "clinic.db")
        self._placed = threading.local()  # what this thread's transaction has put into the folder

    @property
    def staging(self) -> Path:
        return self.incoming  # on the documents' file system: from here a file is linked, not copied

    def find_patient(self, patient_id: str) -> Patient | None:
        row = self.database.one("SELECT * FROM patient WHERE number = ?", patient_id)
        return Patient(id=row[0], name=row[1], active=not row[2]) if row else None

    def find_provider(self, provider_id: str) -> Provider | None:
        row = self.database.one("SELECT * FROM doctor WHERE code = ?", provider_id)
        return Provider(id=row[0], name=row[1]) if row else None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        if self.database.in_transaction:
            yield  # nested: the outer block commits
            return
        self._placed.paths = []
        with self.database.transaction():
            yield
            sync_many(self._placed.paths)  # bytes before rows: never a durable row without its bytes

    def add(self, attachment: Attachment, content: Content) -> StoredAttachment:
        with self.transaction():
            stored = self.find_attachment([attachment.import_id]).get(attachment.import_id)
            if stored is None:
                return self._file(attachment, content)
            if stored.patient_id != attachment.patient_id:
                raise AlreadyAssigned("filed already, in another record", import_id=stored.import_id)
            if stored.sha256 != attachment.sha256:
                raise ContentMismatch("filed already, with other bytes", import_id=stored.import_id)
            return stored

    def _file(self, attachment: Attachment, content: Content) -> StoredAttachment:
        if self.find_patient(attachment.patient_id) is None:
            raise UnknownPatient("no patient has this number")
        try:
            with self.database.savepoint() as connection:
                # The row first: whoever files the same import id meanwhile waits for it.
                row = connection.execute(INSERT, _row(attachment)).fetchone()
                path = self.documents / str(row[0])  # the row's own, and never the file's own name
                path.unlink(missing_ok=True)  # a crash left it
                content.save_to(path, durable=False)  # synced with the others, before the commit
        except OSError as exc:
            full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
            raise (StorageFull if full else RepositoryError)("the file could not be filed") from None
        self._placed.paths.append(path)
        return _stored(row)

    def find_attachment(self, import_ids: Collection[str]) -> dict[str, StoredAttachment]:
        sql = "SELECT * FROM document WHERE import_id IN (SELECT value FROM json_each(?))"
        with self.database.connected() as connection:  # one parameter, however many ids there are
            rows = connection.execute(sql, (json.dumps(list(import_ids)),)).fetchall()
        return {stored.import_id: stored for stored in map(_stored, rows)}

    def open_attachment(self, attachment_id: str) -> BinaryIO:
        row = self.database.one("SELECT document_no FROM document WHERE document_no = ?", attachment_id)
        try:
            return (self.documents / str(row[0])).open("rb")
        except (TypeError, OSError):
            raise RepositoryError("there is no such document, or it can't be read") from None

    def withdraw(self, attachment_id: str) -> None:
        sql = "DELETE FROM document WHERE document_no = ? RETURNING document_no"
        row = self.database.one(sql, attachment_id)
        if row is not None:  # the row first: never a row without its bytes
            (self.documents / str(row[0])).unlink(missing_ok=True)


INSERT = """
INSERT INTO document (import_id, patient_number, tab, caption, filed_at, details)
VALUES (?, ?, ?, ?, ?, ?) RETURNING *
"""


def _row(attachment: Attachment) -> tuple[str, ...]:
    tab = "Images" if attachment.destination is Destination.IMAGES else "Notes"
    # ASCII: a name that is not UTF-8 survives as an escape.
    details = json.dumps(attrs.asdict(attachment), default=datetime.isoformat)
    filed_at = datetime.now(UTC).isoformat()
    return attachment.import_id, attachment.patient_id, tab, attachment.title, filed_at, details


def _stored(row: tuple[Any, ...]) -> StoredAttachment:
    number, *_, filed_at, details = row
    values = json.loads(details)
    for time in ("taken_at", "modified_at"):
        values[time] = datetime.fromisoformat(values[time]) if values[time] else None
    values["destination"] = Destination(values["destination"])
    return StoredAttachment(id=str(number), stored_at=datetime.fromisoformat(filed_at), **values)


# --- and how it uses it


def main(photos: str, folder: str) -> None:
    """File what can be filed, and show what waits."""
    records = ClinicRecords(Path(folder))
    with records.database.connected() as connection:
        connection.execute("INSERT OR IGNORE INTO patient (number, full_name) VALUES ('10042', 'Ada Marsh')")
        connection.execute("INSERT OR IGNORE INTO doctor VALUES ('DRJ', 'Dr Jones')")
    inbox = Inbox(
        records,
        [open_source(photos, provider="DRJ")],
        zone="Australia/Sydney",
        operator="reception",
        ledger=f"{folder}/ledger.db",
    )
    report = inbox.refresh(on_progress=lambda progress: print(progress, file=sys.stderr))
    print(f"{report.listed} files: {report.imported} filed, {report.waiting} waiting, {report.failed} failed")
    for row in inbox.rows:
        print(f"  {row.name:40} {row.reason.text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
