"""Connections to SQLite and PostgreSQL: durable commits, one writer at a time, and errors without values."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from intouch_import.disk import create_private, sync_file
from intouch_import.engines import connected
from intouch_import.errors import ConfigError, RepositoryError, without_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

__all__: list[str] = []  # internal: hosts open `SqlRepository` and `Ledger` by URL

_BUSY_TIMEOUT_S = 30
_WRITE = "intouch_write"
_DURABLE = "intouch_durable"
_LOGGER = "intouch"
_SQLITE_MEANINGS = {
    "SQLITE_BUSY": "another program keeps the database locked",
    "SQLITE_CANTOPEN": "the database can't be opened: its folder does not exist or can't be used",
    "SQLITE_FULL": "the disk of the database is full",
    "SQLITE_NOTADB": "that file is not a database",
    "SQLITE_READONLY": "the database is read-only",
}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware time, stored in UTC with a resolution of 1 µs: ``timestamptz``, or ISO text in SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        text = dialect.name == "sqlite"
        return dialect.type_descriptor(sa.Text() if text else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return utc_text(value)

    def process_result_value(
        self,
        value: Any,
        dialect: sa.Dialect,  # noqa: ARG002  # SQLAlchemy passes it
    ) -> datetime | None:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return None if value is None else value.astimezone(UTC)


@functools.lru_cache(maxsize=32)
def utc_text(at: datetime) -> str:
    """Return an aware time as ISO text in UTC, resolution 1 µs. Cached: the rows of a batch have one time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def connect(url: str | sa.URL) -> sa.Engine:
    """Open a database by SQLAlchemy URL.

    A commit is on the disk when it returns, whatever the default of the server. SQLite uses write-ahead
    logging and foreign keys, and waits up to 30 s for another writer.

    Raises:
        ConfigError: The URL is not valid, or its driver is not installed.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            options["connect_args"] = {"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False}
        elif parsed.get_backend_name() == "postgresql":
            # On a server with a stricter default, transactions would fail with serialization errors.
            options["isolation_level"] = "READ COMMITTED"
        # At DEBUG level, SQLAlchemy logs every row that it reads: patients.
        logging.getLogger(f"sqlalchemy.engine.Engine.{_LOGGER}").addFilter(_above_debug)
        engine = sa.create_engine(parsed, hide_parameters=True, logging_name=_LOGGER, **options)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ValueError):
        raise ConfigError("the database URL is not valid") from None  # it may contain a password
    except ModuleNotFoundError as exc:
        raise ConfigError(
            "the driver of this database is missing: for PostgreSQL, pip install 'intouch-import[postgresql]'"
        ) from exc
    if engine.dialect.name == "sqlite":
        event.listen(engine, "do_connect", _create_private)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _configure_postgresql)
    return engine


def one_of(
    dialect: sa.Dialect, column: sa.ColumnElement[Any], values: Collection[str] | Collection[int]
) -> sa.ColumnElement[bool]:
    """Return the condition that a column has one of these values, with one parameter for all values.

    ``IN`` with one parameter per value allows some thousand values, and building it takes longer than the
    query.
    """
    if dialect.name == "sqlite":
        each = sa.func.json_each(json.dumps(list(values))).table_valued("value")
        return column.in_(sa.select(each.c.value))
    return column == sa.any_(sa.literal(list(values), sa.ARRAY(column.type)))


def insert_many(connection: sa.Connection, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns; ``statement`` is a constant of its module.

    SQLAlchemy processes every parameter of every row, which takes longer than SQLite needs to store the row.
    So for SQLite, the statement is compiled once, and the driver gets tuples.
    """
    if not connection.dialect.positional:
        connection.execute(statement, rows)
        return
    form = _driver_form(statement, connection.dialect, tuple(rows[0]))
    connection.exec_driver_sql(form.text, [form.values_of(row) for row in rows])


class _DriverForm:
    """An insert statement with positional parameters, for the driver."""

    def __init__(self, statement: sa.Insert, dialect: sa.Dialect, names: tuple[str, ...]) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        types = {column.name: column.type for column in statement.table.columns}
        self.text = str(compiled)
        self._order = compiled.positiontup or []
        processors = [types[name].bind_processor(dialect) for name in self._order]
        self._conversions = [(at, convert) for at, convert in enumerate(processors) if convert is not None]

    def values_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values of a row, in the order of the statement."""
        values = [row[name] for name in self._order]
        for at, convert in self._conversions:
            values[at] = convert(values[at])
        return tuple(values)


_driver_form = functools.lru_cache(maxsize=8)(_DriverForm)


@contextlib.contextmanager
def writing(engine: sa.Engine, *, lock: int | None = None, durable: bool = True) -> Iterator[sa.Connection]:
    """Run a transaction that writes. It commits at the end of the block, and rolls back after an exception.

    Args:
        engine: From `connect`.
        lock: Number of the PostgreSQL advisory lock to hold until the commit. SQLite has only one writer.
        durable: Whether the commit waits for the disk.

    Raises:
        RepositoryError: The database failed. The driver's message is not chained: it may contain values.
    """
    with (
        _translated(),
        connected(engine) as connection,
        connection.execution_options(**{_WRITE: True, _DURABLE: durable}).begin(),
    ):
        if not durable and engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
        if lock is not None and engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
        yield connection


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Run a transaction that only reads. It does not wait for writers.

    Raises:
        RepositoryError: The database failed.
    """
    with _translated(), connected(engine) as connection:
        yield connection


def upgrade(engine: sa.Engine, scripts: Path, *, version_table: str, lock: int) -> None:
    """Upgrade the tables to the newest schema version with Alembic, if they are older.

    Args:
        engine: From `connect`.
        scripts: Folder that contains ``versions/``.
        version_table: Name of the table that stores the version.
        lock: Number of the advisory lock, so that only one process upgrades at a time.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(scripts))
    head = script.get_current_head()
    with reading(engine) as connection:
        if sa.inspect(connection).has_table(version_table):
            table = sa.table(version_table, sa.column("version_num"))
            if connection.scalar(sa.select(table.c.version_num)) == head:
                return
    with writing(engine, lock=lock) as connection:
        context = EnvironmentContext(
            Config(),
            script,
            fn=lambda revision, _: script._upgrade_revs("head", revision),  # noqa: SLF001
        )
        with context:
            context.configure(connection=connection, version_table=version_table)
            context.run_migrations()


def copy_sqlite(engine: sa.Engine, path: Path) -> None:
    """Write a consistent copy of an SQLite database to a file that only its owner can read.

    Other programs may write to the database meanwhile. A plain copy of the file would lack everything that is
    only in the write-ahead log. The copy is one file, without a write-ahead log.

    Args:
        engine: From `connect`.
        path: Path of the copy. A copy that exists is replaced.

    Raises:
        ConfigError: It is another kind of database.
        RepositoryError: The database can't be read, or the copy can't be written.
    """
    if engine.dialect.name != "sqlite":
        raise ConfigError("only SQLite databases are copied: use the tools of the database server")
    try:
        create_private(path)
        with (
            _translated(),
            connected(engine) as connection,
            contextlib.closing(sqlite3.connect(path)) as copy,
        ):
            source: Any = connection.connection.driver_connection
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        with path.open("r+b") as file:
            sync_file(file.fileno())
    except sqlite3.Error as exc:
        meaning = _SQLITE_MEANINGS.get("_".join(exc.sqlite_errorname.split("_")[:2]), "the database failed")
        raise RepositoryError(f"the database can't be copied: {meaning}", kind=type(exc).__name__) from None
    except OSError as exc:
        raise RepositoryError("the copy of the database can't be written", errno=exc.errno) from without_path(
            exc
        )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.SQLAlchemyError, UnicodeError) as exc:
        # `from None`: PostgreSQL's message contains the row, with the patient, and its exception a password.
        raise RepositoryError(_meaning(exc), kind=type(exc).__name__) from None


def _meaning(exc: Exception) -> str:
    """Return a message about an error that a person can correct. The driver's message may contain values."""
    if not isinstance(exc, sa.exc.DBAPIError):
        return "the database failed"
    name = getattr(exc.orig, "sqlite_errorname", None)
    if name is not None:
        return _SQLITE_MEANINGS.get("_".join(name.split("_")[:2]), "the database failed")
    # An error that the server has sent has a state.
    if isinstance(exc, sa.exc.OperationalError) and getattr(exc.orig, "sqlstate", "") is None:
        return "the database can't be reached, or refused the connection"
    return "the database failed"


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _create_private(
    _dialect: sa.Dialect, _record: object, arguments: list[Any], options: dict[str, Any]
) -> None:
    """Create the file of a new SQLite database before SQLite does: with its umask, others could read it.

    SQLite gives the files beside it (``-wal``, ``-shm``) the same rights.
    """
    path = arguments[0]
    if path and path != ":memory:" and not options.get("uri"):
        with contextlib.suppress(OSError):  # SQLite's own error says what is wrong
            create_private(path)


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # otherwise the driver begins transactions itself, and too late
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _configure_postgresql(connection: Any, _record: object) -> None:
    # With "off", a commit returns before it is durable: after a power failure, a photo could be missing from
    # the source and from the record. "local" and stricter settings are safe.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()  # a rollback would undo the setting


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE takes the write lock now. A transaction that reads first and writes later would fail with
    # "database is locked" instead of waiting.
    options = connection.get_execution_options()
    write, durable = options.get(_WRITE), options.get(_DURABLE, True)
    if write and connection.info.get(_DURABLE, True) != durable:
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.info[_DURABLE] = durable
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
