"""Connections to SQLite and PostgreSQL as this library needs them: durable, patient, one writer at a time."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event

from intouch_import.errors import ConfigError, RepositoryError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

__all__: list[str] = []  # internal: hosts open `SqlRepository` and `Ledger` by URL

_BUSY_TIMEOUT_S = 30
_WRITE = "intouch_write"
_LOGGER = "intouch"
_SQLITE_MEANINGS = {
    "SQLITE_BUSY": "the database is kept busy by another program",
    "SQLITE_CANTOPEN": "the database can't be opened: its folder does not exist, or may not be used",
    "SQLITE_FULL": "there is no room left where the database is",
    "SQLITE_NOTADB": "that file is not a database",
    "SQLITE_READONLY": "the database may not be written",
}


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware time, kept in UTC to the microsecond: ``timestamptz``, or ISO text on SQLite."""

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
    """An aware time as ISO text in UTC, to the microsecond. The rows of a batch share one."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def connect(url: str | sa.URL) -> sa.Engine:
    """Open a database by SQLAlchemy URL.

    A commit is on the disk when it returns, whatever the server's default says. SQLite runs with
    write-ahead logging, foreign keys, and a wait of 30 s for another writer.

    Raises:
        ConfigError: The URL is not one, or its driver is not installed.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            options["connect_args"] = {"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False}
        elif parsed.get_backend_name() == "postgresql":
            # A server whose default is stricter would end transactions with errors that ours never expect.
            options["isolation_level"] = "READ COMMITTED"
        # At DEBUG level SQLAlchemy logs every row that it reads; patients must not get there.
        logging.getLogger(f"sqlalchemy.engine.Engine.{_LOGGER}").addFilter(_above_debug)
        engine = sa.create_engine(parsed, hide_parameters=True, logging_name=_LOGGER, **options)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ValueError):
        raise ConfigError("the database URL is not understood") from None  # it may hold a password
    except ModuleNotFoundError as exc:
        raise ConfigError(
            "that database's driver is missing: for PostgreSQL, pip install 'intouch-import[postgresql]'"
        ) from exc
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _configure_postgresql)
    return engine


def one_of(
    dialect: sa.Dialect, column: sa.ColumnElement[Any], values: Collection[str] | Collection[int]
) -> sa.ColumnElement[bool]:
    """``column`` is one of ``values``, as one parameter however many they are.

    ``IN`` with a parameter each is limited to some thousand, and costs more to write than to look up.
    """
    if dialect.name == "sqlite":
        each = sa.func.json_each(json.dumps(list(values))).table_valued("value")
        return column.in_(sa.select(each.c.value))
    return column == sa.any_(sa.literal(list(values), sa.ARRAY(column.type)))


def insert_many(connection: sa.Connection, statement: sa.Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns; ``statement`` is a constant of its module.

    SQLAlchemy looks at every parameter of every row, which takes longer than SQLite does to store it. So for
    SQLite the statement is compiled once, and the driver gets tuples.
    """
    if not connection.dialect.positional:
        connection.execute(statement, rows)
        return
    form = _driver_form(statement, connection.dialect, tuple(rows[0]))
    connection.exec_driver_sql(form.text, [form.values_of(row) for row in rows])


class _DriverForm:
    """An insert as the driver takes it."""

    def __init__(self, statement: sa.Insert, dialect: sa.Dialect, names: tuple[str, ...]) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        types = {column.name: column.type for column in statement.table.columns}
        self.text = str(compiled)
        self._order = compiled.positiontup or []
        processors = [types[name].bind_processor(dialect) for name in self._order]
        self._conversions = [(at, convert) for at, convert in enumerate(processors) if convert is not None]

    def values_of(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values of a row, in the order of the statement."""
        values = [row[name] for name in self._order]
        for at, convert in self._conversions:
            values[at] = convert(values[at])
        return tuple(values)


_driver_form = functools.lru_cache(maxsize=8)(_DriverForm)


@contextlib.contextmanager
def writing(engine: sa.Engine, *, lock: int | None = None) -> Iterator[sa.Connection]:
    """A transaction that writes. It commits on exit, and rolls back on any exception.

    Args:
        engine: From `connect`.
        lock: PostgreSQL advisory lock to hold until the commit. SQLite has one writer anyway.

    Raises:
        RepositoryError: The database failed. The driver's text may hold values: it stays in the cause.
    """
    with (
        _translated(),
        engine.connect().execution_options(**{_WRITE: True}) as connection,
        connection.begin(),
    ):
        if lock is not None and engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
        yield connection


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that only reads; it waits for no writer.

    Raises:
        RepositoryError: The database failed.
    """
    with _translated(), engine.connect() as connection:
        yield connection


def upgrade(engine: sa.Engine, scripts: Path, *, version_table: str, lock: int) -> None:
    """Bring the tables to the newest schema version, with Alembic; does nothing when they are there.

    Args:
        engine: From `connect`.
        scripts: Folder that holds ``versions/``.
        version_table: Name of the table that remembers the version.
        lock: Advisory lock, so that two processes do not upgrade at once.
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


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.SQLAlchemyError, UnicodeError) as exc:
        # `from None`: PostgreSQL repeats the offending row in its message, patient and all.
        raise RepositoryError(_meaning(exc), kind=type(exc).__name__) from None


def _meaning(exc: Exception) -> str:
    """What a person can do something about, in words of ours: the driver's own may hold values."""
    if not isinstance(exc, sa.exc.DBAPIError):
        return "the database failed"
    name = getattr(exc.orig, "sqlite_errorname", None)
    if name is not None:
        return _SQLITE_MEANINGS.get("_".join(name.split("_")[:2]), "the database failed")
    # A server that answers gives its errors a state.
    if isinstance(exc, sa.exc.OperationalError) and getattr(exc.orig, "sqlstate", "") is None:
        return "the database was not reached, or did not let us in"
    return "the database failed"


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # else the driver begins transactions by itself, and too late
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _configure_postgresql(connection: Any, _record: object) -> None:
    # With "off" a commit is answered before it is durable: a photo would leave its source for a row that a
    # power failure takes back. "local" and stricter settings are the server's own business.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()  # what is set in a transaction that is rolled back is lost


def _begin_sqlite(connection: sa.Connection) -> None:
    # IMMEDIATE takes the write lock at once: a transaction that begins by reading and writes later
    # fails with "database is locked" instead of waiting its turn.
    write = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
