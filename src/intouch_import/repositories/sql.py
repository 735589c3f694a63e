"""`SqlRepository`: rows in SQLite or PostgreSQL, bytes in a folder or under any fsspec URL."""

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
from intouch_import.model import Attachment, CompanionRole, Patient, Provider, StoredAttachment
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
    patients,
    providers,
    row_of,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import BinaryIO

    from intouch_import.content import Content
    from intouch_import.repositories.files import Files

__all__ = ["SqlRepository"]

_UPGRADE_LOCK = 0x696E_746F_0001
_INSERT = {dialect: dialect.insert(attachments).on_conflict_do_nothing() for dialect in (sqlite, postgresql)}
_PATIENTS = sa.select(*(patients.c[field.name] for field in attrs.fields(Patient)))
_PROVIDERS = sa.select(providers)
_SIDECARS = [role for role in CompanionRole if role.is_sidecar]
_PAGE = 1000
_MANY_IDS = 250  # for more ids, reading the table is faster than looking up each id


class SqlRepository(Closable, PatientRepository):
    """Patient records in a SQL database, with the files in a folder or a service.

    Use it in a notebook, a demo or a small practice, or as an example for a host's class. Open it with
    `SqlRepository.open`.

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
        self._check_files()

    @classmethod
    def open(cls, url: str, *, files: str | os.PathLike[str] | None = None) -> Self:
        """Open a repository; create its tables and folders if they do not exist.

        Args:
            url: SQLAlchemy URL: ``sqlite:///clinic.db``, ``postgresql://host/clinic``.
            files: A folder or an fsspec URL for the bytes. By default, the folder beside the SQLite file that
                is named after it: ``clinic-files`` for ``clinic.db``. Other databases have no default.

        Raises:
            ConfigError: The URL is not valid, its driver is not installed, ``files`` is needed, or the folder
                is not the one in which these records keep their files.
            RepositoryError: The database or the folder can't be used.
        """
        engine = connect(url)
        where = files if files is not None else _folder_beside(engine.url)
        with reading(engine):
            pass  # no folder is created for a database that can't be opened
        return cls(engine, open_files(where))

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
        """Add a patient, or replace the patient with this id."""
        self.add_patients([patient])

    def add_patients(self, many: Iterable[Patient], /) -> int:
        """Add or replace several patients in one transaction, and return their number.

        Raises:
            ConfigError: An id or a name contains a character that can't be stored.
        """
        many = list(many)
        if not all(is_text(f"{one.id}{one.name}{one.birth_date}") for one in many):
            raise ConfigError("a patient's id or name contains a character that can't be stored")
        return self._replace(
            patients, [{**attrs.asdict(one), "folded": folded(f"{one.id} {one.name}")} for one in many]
        )

    def add_provider(self, provider: Provider, /) -> None:
        """Add a provider, or replace the provider with this id."""
        self.add_providers([provider])

    def add_providers(self, many: Iterable[Provider], /) -> int:
        """Add or replace several providers in one transaction, and return their number.

        Raises:
            ConfigError: An id or a name contains a character that can't be stored.
        """
        many = list(many)
        if not all(is_text(f"{one.id}{one.name}") for one in many):
            raise ConfigError("a provider's id or name contains a character that can't be stored")
        return self._replace(providers, [attrs.asdict(one) for one in many])

    def load_patients_csv(self, path: str | os.PathLike[str]) -> int:
        """Add or replace patients from a CSV file (UTF-8) with the columns ``id`` and ``name``.

        Optional columns are ``active`` (``yes``/``no``, ``1``/``0``, ``true``/``false``; empty means yes) and
        ``birth_date``. If one row is wrong, no row is used.

        Returns:
            The number of rows.

        Raises:
            ConfigError: A column is missing, a row can't be read, or two different people have the same id.
                The message names the line.
        """
        return self.add_patients(patients_in(path))

    def load_providers_csv(self, path: str | os.PathLike[str]) -> int:
        """Add or replace providers from a CSV file, like `load_patients_csv`.

        The columns are ``id``, ``name`` and, optionally, ``active``.
        """
        return self.add_providers(providers_in(path))

    def find_patient(self, patient_id: str) -> Patient | None:
        return self.find_patients([patient_id]).get(patient_id)

    def find_patients(self, patient_ids: Collection[str]) -> Mapping[str, Patient]:
        rows = self._with_texts(_PATIENTS, patients.c.id, patient_ids)
        return {row.id: Patient(**row._asdict()) for row in rows}

    def find_provider(self, provider_id: str) -> Provider | None:
        rows = self._with_texts(_PROVIDERS, providers.c.id, [provider_id])
        return Provider(**rows[0]._asdict()) if rows else None

    def search_patients(self, text: str, *, limit: int = 20) -> Sequence[Patient]:
        """Return patients with ``text`` in their id or name, sorted by name. Letter case is ignored."""
        query = (
            _PATIENTS.where(patients.c.folded.contains(folded(text.strip()), autoescape=True))
            .order_by(patients.c.name, patients.c.id)
            .limit(max(0, limit))
        )
        if not is_text(text):
            return []
        with reading(self.engine) as connection:
            return [Patient(**row._asdict()) for row in connection.execute(query)]

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
                # Before the commit: a durable row must always have durable bytes.
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
        # After the commit: a crash before this leaves bytes without a row, and the next import of this id
        # uses them. In the opposite order, it would leave a row without bytes.
        with writing(self.engine) as connection:
            self._lock_digests(connection, [digest] if digest is not None else [])
            # If the same file has been added again meanwhile, the bytes belong to the new attachment.
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
            # Files are stored by import id, not by patient: only the row must change.
            stored = self._stored(connection, [attachment_id]).get(attachment_id)
        if stored is None:
            raise RepositoryError("there is no such attachment")
        if stored.patient_id != to_patient_id:
            raise AlreadyAssigned("the attachment is in neither of the two records")
        return stored

    def companions_of(self, import_ids: Collection[str]) -> Mapping[str, Sequence[StoredAttachment]]:
        query = (
            sa.select(attachments)
            .where(one_of(self.engine.dialect, attachments.c.companion_of, import_ids))
            .order_by(attachments.c.name, attachments.c.import_id)
        )
        found: dict[str, list[StoredAttachment]] = {}
        with reading(self.engine) as connection:
            for row in connection.execute(query):
                found.setdefault(row.companion_of, []).append(attachment_of(row))
        return found

    def attachments(self, patient_id: str, *, sidecars: bool = False) -> list[StoredAttachment]:
        """Return the attachments of a patient, sorted by the time taken, or else modified, or else stored.

        Args:
            patient_id: The patient.
            sidecars: Also return sidecars and previews, which show nothing of their own
                (`Attachment.is_sidecar`). `companions_of` finds them by the attachment they belong to.
        """
        when = sa.func.coalesce(attachments.c.taken_at, attachments.c.modified_at, attachments.c.stored_at)
        query = (
            sa.select(attachments)
            .where(attachments.c.patient_id == patient_id)
            .order_by(when, attachments.c.name, attachments.c.import_id)
        )
        if not sidecars:
            role = attachments.c.companion_role
            query = query.where(role.is_(None) | role.not_in([str(one) for one in _SIDECARS]))
        if not is_text(patient_id):
            return []
        with reading(self.engine) as connection:
            return [attachment_of(row) for row in connection.execute(query)]

    def list_attachments(self, *, since: datetime | None = None) -> Iterator[StoredAttachment]:
        query = sa.select(attachments).order_by(attachments.c.import_id).limit(_PAGE)
        if since is not None:
            query = query.where(attachments.c.stored_at >= since)
        last = ""
        # In pages, so that no transaction stays open while the caller works.
        while True:
            with reading(self.engine) as connection:
                rows = connection.execute(query.where(attachments.c.import_id > last)).all()
            if not rows:
                return
            yield from map(attachment_of, rows)
            last = rows[-1].import_id

    # --- inside

    def _check_files(self) -> None:
        """Refuse an unused folder if the records have attachments: their files are elsewhere."""
        if not self._files.is_unused():
            return
        with reading(self.engine) as connection:
            used = connection.scalar(sa.select(attachments.c.import_id).limit(1)) is not None
        # Look again: another process may have stored the first file meanwhile. It did so before its row.
        if used and self._files.is_unused():
            raise ConfigError("these records keep their files elsewhere: the folder of files= has none")

    def _insert(
        self, connection: sa.Connection, new: list[dict[str, Any]], known: dict[str, StoredAttachment]
    ) -> None:
        dialect = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        # Sorted: on PostgreSQL, two batches that insert the same ids in opposite orders would deadlock.
        new.sort(key=lambda row: row["import_id"])
        try:
            insert_many(connection, _INSERT[dialect], new)
        except sa.exc.IntegrityError:
            raise UnknownPatient("no patient has this id") from None
        if dialect is postgresql:
            # Another process may have committed one of them meanwhile: its row is the stored one.
            known.update(self._stored(connection, [row["import_id"] for row in new]))

    def _lock_digests(self, connection: sa.Connection, digests: Collection[str]) -> None:
        """Prevent other processes from storing or deleting these bytes until the transaction ends.

        SQLite has only one writer. If PostgreSQL can't hold so many locks, the statement fails, and the move
        stores its files one at a time.
        """
        if digests and self.engine.dialect.name == "postgresql":
            # Sorted, so that two batches do not wait for each other.
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
        """Return those of many ids that may be stored. If only a few ids are stored, read them all."""
        few = len(import_ids) // 4
        with reading(self.engine) as connection:
            stored = connection.scalars(sa.select(attachments.c.import_id).limit(few + 1)).all()
        return import_ids if len(stored) > few else list(set(stored).intersection(import_ids))

    def _with_ids(self, import_ids: Collection[str]) -> sa.Select[Any]:
        return sa.select(attachments).where(one_of(self.engine.dialect, attachments.c.import_id, import_ids))

    def _stored(self, connection: sa.Connection, import_ids: Collection[str]) -> dict[str, StoredAttachment]:
        rows = connection.execute(self._with_ids(import_ids)).all()
        return {row.import_id: attachment_of(row) for row in rows}

    def _with_texts(
        self, query: sa.Select[Any], column: sa.Column[str], values: Collection[str]
    ) -> Sequence[sa.Row[Any]]:
        """Return the rows of a query that have one of these texts in a column."""
        texts = [value for value in values if value.isprintable() or is_text(value)]
        query = query.where(one_of(self.engine.dialect, column, texts))
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


def _folder_beside(url: sa.URL) -> Path:
    path = url.database
    if url.get_backend_name() != "sqlite" or not path or path == ":memory:" or path.startswith("file:"):
        raise ConfigError("say where the files of the records are kept: files=")
    return Path(path).with_name(f"{Path(path).stem}-files")


class _Batch(NamedTuple):
    """The open transaction of a thread, and the ids of the files that were placed in it."""

    connection: sa.Connection
    placed: list[str]


def _agree(stored: StoredAttachment, wanted: Attachment) -> StoredAttachment | FileError:
    if stored.patient_id != wanted.patient_id:
        return AlreadyAssigned(
            "this file is already stored, in another patient's record", import_id=wanted.import_id
        )
    if stored.sha256 != wanted.sha256:
        return ContentMismatch("other bytes are stored under this import id", import_id=wanted.import_id)
    return stored
