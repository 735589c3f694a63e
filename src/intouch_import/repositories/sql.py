"""The reference repository: rows in SQLite or PostgreSQL, bytes in a folder or any fsspec URL."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import attrs
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from intouch_import.clock import SYSTEM_CLOCK, Clock
from intouch_import.closing import Closable
from intouch_import.database import connect, insert_many, one_of, reading, upgrade, writing
from intouch_import.errors import (
    AlreadyAssigned,
    ConfigError,
    ContentMismatch,
    FileError,
    RepositoryError,
    UnknownPatient,
)
from intouch_import.model import Attachment, Patient, Provider, StoredAttachment
from intouch_import.repositories.base import PatientRepository
from intouch_import.repositories.csv_import import patients_in, providers_in
from intouch_import.repositories.files import check_id, open_files
from intouch_import.repositories.tables import (
    VERSION_TABLE,
    as_stored,
    attachment_of,
    attachments,
    folded,
    is_text,
    patient_of,
    patients,
    providers,
    row_of,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from intouch_import.content import Content
    from intouch_import.repositories.files import Files

__all__ = ["SqlRepository"]

_UPGRADE_LOCK = 0x696E_746F_0001
_INSERT = {dialect: dialect.insert(attachments).on_conflict_do_nothing() for dialect in (sqlite, postgresql)}
_MANY_IDS = 250  # fewer are looked up sooner than a table is read


class SqlRepository(Closable, PatientRepository):
    """Patient records in a SQL database, with the files beside it.

    Use it as it is in a notebook, a demo or a small practice; read it as the example of what a host
    implements. Open one with `SqlRepository.open`.

    Args:
        engine: A SQLAlchemy engine. See `open`.
        files: Where the bytes are kept.
        clock: Gives the time that `StoredAttachment.stored_at` records.
    """

    def __init__(self, engine: sa.Engine, files: Files, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.engine = engine
        self._files = files
        self._clock = clock
        self._local = threading.local()
        upgrade(engine, Path(__file__).with_name("schema"), version_table=VERSION_TABLE, lock=_UPGRADE_LOCK)

    @classmethod
    def open(cls, url: str, *, files: str | os.PathLike[str]) -> Self:
        """Open a repository, creating tables and folders that are missing.

        Args:
            url: SQLAlchemy URL: ``sqlite:///clinic.db``, ``postgresql://host/clinic``.
            files: A folder (created if missing) or an fsspec URL for the bytes.

        Raises:
            ConfigError: The URL is not understood, or its driver is missing.
            RepositoryError: The database or the folder can't be used.
        """
        return cls(connect(url), open_files(files))

    @property
    def staging(self) -> Path | None:
        return self._files.staging

    def close(self) -> None:
        """Close the database connections."""
        self.engine.dispose()

    def __repr__(self) -> str:
        return f"<SqlRepository {self.engine.dialect.name}>"

    # --- patients and providers

    def add_patient(self, patient: Patient, /) -> None:
        """Add a patient, or replace what is known of the one with that id."""
        self.add_patients([patient])

    def add_patients(self, many: Iterable[Patient], /) -> int:
        """`add_patient` for many, in one transaction. Returns how many.

        Raises:
            ConfigError: An id or a name holds a character that can't be stored.
        """
        many = list(many)
        if not all(is_text(f"{one.id}{one.name}{one.birth_date}") for one in many):
            raise ConfigError("a patient's id or name holds a character that can't be stored")
        return self._replace(
            patients, [{**attrs.asdict(one), "folded": folded(f"{one.id} {one.name}")} for one in many]
        )

    def add_provider(self, provider: Provider, /) -> None:
        """Add a provider, or replace what is known of the one with that id."""
        self.add_providers([provider])

    def add_providers(self, many: Iterable[Provider], /) -> int:
        """`add_provider` for many, in one transaction. Returns how many.

        Raises:
            ConfigError: An id or a name holds a character that can't be stored.
        """
        many = list(many)
        if not all(is_text(f"{one.id}{one.name}") for one in many):
            raise ConfigError("a provider's id or name holds a character that can't be stored")
        return self._replace(providers, [attrs.asdict(one) for one in many])

    def load_patients_csv(self, path: str | os.PathLike[str]) -> int:
        """Fill the patients from a CSV file (UTF-8) with columns ``id`` and ``name``.

        Optional columns: ``active`` (``yes``/``no``, ``1``/``0``, ``true``/``false``; empty is yes) and
        ``birth_date``. All rows are taken, or none.

        Returns:
            How many rows were taken.

        Raises:
            ConfigError: A column is missing, a row can't be read, or an id stands there twice for different
                people; it names the line.
        """
        return self.add_patients(patients_in(path))

    def load_providers_csv(self, path: str | os.PathLike[str]) -> int:
        """Fill the providers from a CSV file with columns ``id`` and ``name`` and, optionally, ``active``.

        The rest is as for `load_patients_csv`.
        """
        return self.add_providers(providers_in(path))

    def find_patient(self, patient_id: str) -> Patient | None:
        return self.find_patients([patient_id]).get(patient_id)

    def find_patients(self, patient_ids: Collection[str]) -> Mapping[str, Patient]:
        rows = self._select_in(patients, patients.c.id, patient_ids)
        return {row.id: patient_of(row) for row in rows}

    def find_provider(self, provider_id: str) -> Provider | None:
        for row in self._select_in(providers, providers.c.id, [provider_id]):
            return Provider(id=row.id, name=row.name, active=row.active)
        return None

    def search_patients(self, text: str, *, limit: int = 20) -> Sequence[Patient]:
        """Patients whose id or name contains ``text``, letter case aside, by name."""
        query = (
            sa.select(patients)
            .where(patients.c.folded.contains(folded(text.strip()), autoescape=True))
            .order_by(patients.c.name, patients.c.id)
            .limit(max(0, limit))
        )
        if not is_text(text):
            return []
        with reading(self.engine) as connection:
            return [patient_of(row) for row in connection.execute(query)]

    # --- attachments

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        if getattr(self._local, "batch", None) is not None:
            yield  # nested: the outer block commits
            return
        with writing(self.engine) as connection:
            batch = self._local.batch = _Batch(connection, [])
            try:
                yield
                # Before the commit: a row must never be durable while its bytes are not.
                if batch.placed:
                    self._files.sync(batch.placed)
            finally:
                self._local.batch = None

    def add(self, attachment: Attachment, content: Content) -> StoredAttachment:
        (result,) = self.add_many([(attachment, content)])
        if isinstance(result, FileError):
            raise result
        return result

    def add_many(self, items: Sequence[tuple[Attachment, Content]]) -> list[StoredAttachment | FileError]:
        with self.transaction():
            batch: _Batch = self._local.batch
            self._lock_digests(batch.connection, {attachment.sha256 for attachment, _ in items})
            known = self._stored(batch.connection, [attachment.import_id for attachment, _ in items])
            stored_at = self._clock.now()
            new: list[dict[str, Any]] = []
            for attachment, content in items:
                if attachment.import_id in known:
                    continue
                self._files.place(attachment.import_id, content)
                batch.placed.append(attachment.import_id)
                new.append(row_of(attachment, stored_at))
                known[attachment.import_id] = as_stored(attachment, stored_at)
            if new:
                self._insert(batch.connection, new, known)
            return [_agree(known[attachment.import_id], attachment) for attachment, _ in items]

    def find_attachment(self, import_ids: Collection[str]) -> Mapping[str, StoredAttachment]:
        ours = [import_id for import_id in import_ids if import_id.isalnum()]  # no NUL, no lone surrogate
        if len(ours) >= 4 * _MANY_IDS:
            ours = self._possible(ours)
        query = self._with_ids(ours)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        return {row.import_id: attachment_of(row) for row in rows}

    def find_by_digest(self, digests: Collection[str]) -> Mapping[str, Sequence[StoredAttachment]]:
        batch: _Batch | None = getattr(self._local, "batch", None)
        if batch is not None:
            self._lock_digests(batch.connection, digests)
            return self._with_digest(batch.connection, digests)
        with reading(self.engine) as connection:
            return self._with_digest(connection, digests)

    def sizes_stored(self, sizes_bytes: Collection[int]) -> Collection[int]:
        column = attachments.c.size_bytes
        query = sa.select(column).where(one_of(self.engine.dialect, column, sizes_bytes)).distinct()
        with reading(self.engine) as connection:
            return set(connection.scalars(query))

    def open_attachment(self, attachment_id: str) -> BinaryIO:
        return self._files.open(attachment_id)

    def withdraw(self, attachment_id: str) -> None:
        check_id(attachment_id)
        this = attachments.c.import_id == attachment_id
        with writing(self.engine) as connection:
            digest = connection.scalar(sa.delete(attachments).where(this).returning(attachments.c.sha256))
        # After the commit: a crash in between leaves bytes without a row, which the next import of
        # this id takes over. The reverse would leave a row without bytes.
        with writing(self.engine) as connection:
            self._lock_digests(connection, [digest] if digest is not None else [])
            # Somebody may have added the same file again since: then the bytes are theirs.
            if not connection.scalar(sa.select(sa.exists().where(this))):
                self._files.delete(attachment_id)

    def reassign(self, attachment_id: str, *, from_patient_id: str, to_patient_id: str) -> StoredAttachment:
        check_id(attachment_id)
        if not is_text(to_patient_id):
            raise UnknownPatient("no patient has this id")
        change = (
            sa.update(attachments)
            .where(attachments.c.import_id == attachment_id, attachments.c.patient_id == from_patient_id)
            .values(patient_id=to_patient_id)
        )
        with writing(self.engine) as connection:
            if connection.scalar(sa.select(patients.c.id).where(patients.c.id == to_patient_id)) is None:
                raise UnknownPatient("no patient has this id")
            if is_text(from_patient_id):
                connection.execute(change)
            # Files stand under their import ids, not by patient: the row is all there is to move.
            stored = self._stored(connection, [attachment_id]).get(attachment_id)
        if stored is None:
            raise RepositoryError("there is no such attachment")
        if stored.patient_id != to_patient_id:
            raise AlreadyAssigned("the attachment is in neither of the two records")
        return stored

    def attachments(self, patient_id: str) -> list[StoredAttachment]:
        """What is stored for a patient, in the order of the time taken (or else the source's, or stored)."""
        when = sa.func.coalesce(attachments.c.taken_at, attachments.c.modified_at, attachments.c.stored_at)
        query = (
            sa.select(attachments)
            .where(attachments.c.patient_id == patient_id)
            .order_by(when, attachments.c.name, attachments.c.import_id)
        )
        if not is_text(patient_id):
            return []
        with reading(self.engine) as connection:
            return [attachment_of(row) for row in connection.execute(query)]

    # --- inside

    def _insert(
        self, connection: sa.Connection, new: list[dict[str, Any]], known: dict[str, StoredAttachment]
    ) -> None:
        dialect = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        # In one order everywhere: two batches that insert the same ids in opposite orders would
        # deadlock on PostgreSQL.
        new.sort(key=lambda row: row["import_id"])
        try:
            insert_many(connection, _INSERT[dialect], new)
        except sa.exc.IntegrityError:
            raise UnknownPatient("no patient has this id") from None
        if dialect is postgresql:
            # Another process may have committed one of them since we looked; its row is what stands.
            known.update(self._stored(connection, [row["import_id"] for row in new]))

    def _lock_digests(self, connection: sa.Connection, digests: Collection[str]) -> None:
        """Until the transaction ends, nobody else stores these bytes, or takes them away.

        SQLite has one writer anyway. If PostgreSQL has no room for so many locks, the statement fails, and
        the move tries its files one at a time.
        """
        if digests and self.engine.dialect.name == "postgresql":
            # In one order everywhere, so that two batches do not wait for each other.
            keys = sorted({int(digest[:16], 16) - 2**63 for digest in digests})
            each = sa.func.unnest(sa.literal(keys, sa.ARRAY(sa.BigInteger))).column_valued("key")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(each)))

    def _with_digest(
        self, connection: sa.Connection, digests: Collection[str]
    ) -> dict[str, list[StoredAttachment]]:
        query = (
            sa.select(attachments)
            .where(one_of(self.engine.dialect, attachments.c.sha256, digests))
            .order_by(attachments.c.stored_at, attachments.c.import_id)
        )
        found: dict[str, list[StoredAttachment]] = {}
        for row in connection.execute(query):
            found.setdefault(row.sha256, []).append(attachment_of(row))
        return found

    def _possible(self, import_ids: list[str]) -> list[str]:
        """Return those of many ids that may be stored: where few are stored, read all of them."""
        few = len(import_ids) // 4
        with reading(self.engine) as connection:
            stored = connection.scalars(sa.select(attachments.c.import_id).limit(few + 1)).all()
        return import_ids if len(stored) > few else list(set(stored).intersection(import_ids))

    def _with_ids(self, import_ids: Collection[str]) -> sa.Select[Any]:
        return sa.select(attachments).where(one_of(self.engine.dialect, attachments.c.import_id, import_ids))

    def _stored(self, connection: sa.Connection, import_ids: Collection[str]) -> dict[str, StoredAttachment]:
        rows = connection.execute(self._with_ids(import_ids)).all()
        return {row.import_id: attachment_of(row) for row in rows}

    def _select_in(
        self, table: sa.Table, column: sa.Column[str], values: Collection[str]
    ) -> Sequence[sa.Row[Any]]:
        text = [value for value in values if value.isprintable() or is_text(value)]
        query = sa.select(table).where(one_of(self.engine.dialect, column, text))
        with reading(self.engine) as connection:
            return connection.execute(query).all()

    def _replace(self, table: sa.Table, rows: list[dict[str, Any]]) -> int:
        if not rows:
            return 0
        dialect = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        statement = dialect.insert(table)
        columns = {name: statement.excluded[name] for name in rows[0] if name != "id"}
        with writing(self.engine) as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=columns), rows)
        return len(rows)


class _Batch(NamedTuple):
    """An open transaction of one thread, and the ids of the files placed in it."""

    connection: sa.Connection
    placed: list[str]


def _agree(stored: StoredAttachment, wanted: Attachment) -> StoredAttachment | FileError:
    if stored.patient_id != wanted.patient_id:
        return AlreadyAssigned(
            "this file is stored already, in another patient's record", import_id=wanted.import_id
        )
    if stored.sha256 != wanted.sha256:
        return ContentMismatch("other bytes are stored under this import id", import_id=wanted.import_id)
    return stored
