"""A small practice system that imports photos. `ClinicRecords` is the class that it wrote for this library.

Run it on a folder of photos::

    python host_app.py photos clinic

It imports the photos whose names identify a patient, and lists the other files with the reason.
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
    Content,
    Destination,
    Inbox,
    Patient,
    PatientRepository,
    Provider,
    RepositoryError,
    StoredAttachment,
    UnknownPatient,
    open_source,
)
from intouch_import.errors import AlreadyAssigned, ContentMismatch, StorageFull

# --- The practice system before the import was added ---

SCHEMA = """
CREATE TABLE IF NOT EXISTS patient (number TEXT PRIMARY KEY, full_name TEXT, archived INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS doctor (code TEXT PRIMARY KEY, full_name TEXT);
CREATE TABLE IF NOT EXISTS document (
    document_no INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: it names the file
    import_id TEXT NOT NULL UNIQUE,                 -- new: makes `add` idempotent
    patient_number TEXT NOT NULL REFERENCES patient,
    tab TEXT NOT NULL,
    caption TEXT NOT NULL,
    filed_at TEXT NOT NULL,
    details TEXT NOT NULL                           -- new: all fields of the attachment, as JSON
);
"""


class Database:
    """The clinic's database. A thread commits everything in one transaction, or nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.local()
        with self.connected() as connection:
            connection.executescript(f"PRAGMA journal_mode = WAL; {SCHEMA}")

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Return the connection of this thread's transaction, or a new connection."""
        if self.in_transaction:
            yield self._thread.connection
            return
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = FULL")  # COMMIT returns when the data is on the disk
            yield connection
        except sqlite3.Error:
            # No `from exc`: the message of SQLite may contain a value, such as a patient's number.
            raise RepositoryError("the clinic's database failed") from None
        finally:
            connection.close()  # rolls back an open transaction

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything that the block does, or nothing."""
        with self.connected() as connection:
            # Take the write lock now. A transaction that reads first may fail when it writes.
            connection.execute("BEGIN IMMEDIATE")
            self._thread.connection = connection
            try:
                yield
                connection.execute("COMMIT")
            finally:
                self._thread.connection = None

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[sqlite3.Connection]:
        """If the block fails, undo what it did, but nothing else in the transaction."""
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
        return getattr(self._thread, "connection", None) is not None

    def one(self, sql: str, *values: Any) -> Any:
        """Return the first row, or None."""
        with self.connected() as connection:
            return connection.execute(sql, values).fetchone()


# --- The class that this library needs ---


class ClinicRecords(PatientRepository):
    """The clinic's records: rows in its database, documents in a folder."""

    def __init__(self, folder: Path) -> None:
        self.documents, self.incoming = folder / "documents", folder / "incoming"
        for needed in (self.documents, self.incoming):
            needed.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database = Database(folder / "clinic.db")

    @property
    def staging(self) -> Path | None:
        return self.incoming  # on the same file system as the documents: files are linked, not copied

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
        with self.database.transaction():
            yield

    def add(self, attachment: Attachment, content: Content) -> StoredAttachment:
        with self.transaction():
            stored = self.find_attachment([attachment.import_id]).get(attachment.import_id)
            if stored is None:
                return self._insert(attachment, content)
            if stored.patient_id != attachment.patient_id:
                raise AlreadyAssigned("stored in another patient's record", import_id=stored.import_id)
            if stored.sha256 != attachment.sha256:
                raise ContentMismatch("stored with different bytes", import_id=stored.import_id)
            return stored

    def _insert(self, attachment: Attachment, content: Content) -> StoredAttachment:
        if self.find_patient(attachment.patient_id) is None:
            raise UnknownPatient("no patient has this number")
        try:
            with self.database.savepoint() as connection:
                # Insert the row first. Its number names the file, so no other row can have this name.
                row = connection.execute(INSERT, _row(attachment)).fetchone()
                path = self.documents / str(row[0])
                path.unlink(missing_ok=True)  # left behind by a crash
                content.save_to(path)  # durable before the row is committed
        except OSError as exc:
            full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
            raise (StorageFull if full else RepositoryError)("the file could not be stored") from None
        return _stored(row)

    def find_attachment(self, import_ids: Collection[str]) -> dict[str, StoredAttachment]:
        # One parameter for all ids: SQLite limits the number of parameters.
        sql = "SELECT * FROM document WHERE import_id IN (SELECT value FROM json_each(?))"
        with self.database.connected() as connection:
            rows = connection.execute(sql, (json.dumps(list(import_ids)),)).fetchall()
        return {stored.import_id: stored for stored in map(_stored, rows)}

    def open_attachment(self, attachment_id: str) -> BinaryIO:
        row = self.database.one("SELECT document_no FROM document WHERE document_no = ?", attachment_id)
        try:
            return (self.documents / str(row[0])).open("rb")
        except (TypeError, OSError):
            raise RepositoryError("the document does not exist or can't be read") from None

    def withdraw(self, attachment_id: str) -> None:
        sql = "DELETE FROM document WHERE document_no = ? RETURNING document_no"
        row = self.database.one(sql, attachment_id)
        if row is not None:  # delete the row first: a row must never be without its bytes
            (self.documents / str(row[0])).unlink(missing_ok=True)


INSERT = """
INSERT INTO document (import_id, patient_number, tab, caption, filed_at, details)
VALUES (?, ?, ?, ?, ?, ?) RETURNING *
"""


def _row(attachment: Attachment) -> tuple[str, ...]:
    tab = "Images" if attachment.destination is Destination.IMAGES else "Notes"
    # json.dumps writes ASCII, so that a file name that is not UTF-8 survives as an escape.
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


# --- How the practice system uses it ---


def main(photos: str, folder: str) -> None:
    """Import what can be imported, and list the rest."""
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
    print(
        f"{report.listed} files: {report.imported} imported, {report.waiting} waiting, {report.failed} failed"
    )
    for row in inbox.rows:
        print(f"  {row.name:40} {row.reason.text}")


if __name__ == "__main__":
    main(*sys.argv[1:])
