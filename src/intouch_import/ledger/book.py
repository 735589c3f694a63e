"""`Ledger`: append, query, export and verify entries. No code here changes or deletes an entry."""

from __future__ import annotations

import contextlib
import functools
import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, assert_never

import sqlalchemy as sa

from intouch_import.database import connect, copy_sqlite, insert_many, one_of, reading, upgrade, writing
from intouch_import.errors import LedgerError, RepositoryError
from intouch_import.ledger.audit import to_dicom, to_fhir
from intouch_import.ledger.claims import Claims
from intouch_import.ledger.entry import (
    CHAIN_START,
    IS_PUTTING_BACK,
    IS_REASSIGNING,
    Event,
    LedgerEntry,
    advance,
    chain,
    chain_digest,
    entry_of,
    in_records,
    ledger_table,
)
from intouch_import.model import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = ["VERSION_TABLE", "Ledger"]

VERSION_TABLE: Final = "intouch_ledger_version"
_LOCK: Final = 0x696E_746F_0002
_PAGE: Final = 1000
_INSERT = sa.insert(ledger_table)
_LAST = sa.select(ledger_table.c.seq, ledger_table.c.digest).order_by(ledger_table.c.seq.desc()).limit(1)


def _open_ended(
    begins: sa.ColumnElement[bool] | sa.TextClause, ended_by: tuple[Event, ...]
) -> sa.Select[Any]:
    """Return the query for entries that are not followed by one of these events of the same file."""
    later = ledger_table.alias()
    ended = sa.exists().where(
        later.c.import_id == ledger_table.c.import_id,
        later.c.seq > ledger_table.c.seq,
        later.c.event.in_([event.value for event in ended_by]),
    )
    return sa.select(ledger_table).where(begins, ~ended).order_by(ledger_table.c.seq)


_IN_RECORDS: Final = _open_ended(
    ledger_table.c.event == Event.STORED.value, (Event.WITHDRAWN, Event.MISSING, Event.STORED)
)
_ENDS_OF_UNDO: Final = (Event.WITHDRAWN, Event.NOT_PUT_BACK, Event.STORED, Event.PUTTING_BACK)
_REASSIGNMENTS: Final = _open_ended(
    IS_REASSIGNING, (Event.REASSIGNED, Event.NOT_REASSIGNED, Event.REASSIGNING, Event.WITHDRAWN)
)


class Ledger:
    """An append-only record in a SQL database.

    Each entry contains a digest of itself and of the previous digest. So `verify` finds every row that
    another program has changed, removed or inserted. It can't find rows that were removed from the end: to
    detect that, keep the result of `tail` in another place.

    Args:
        engine: A SQLAlchemy engine, which may also be used by the patient records. See `open`.

    Attributes:
        claims: The files that are being moved or put back now.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._own_engine = False
        upgrade(engine, Path(__file__).with_name("schema"), version_table=VERSION_TABLE, lock=_LOCK)
        self.claims = Claims(engine, lock=_LOCK)

    @classmethod
    def open(cls, url: str | sa.URL) -> Self:
        """Open a ledger by SQLAlchemy URL; create its table if it does not exist.

        Raises:
            ConfigError: The URL is not valid, or its driver is not installed.
            RepositoryError: The database can't be used.
        """
        ledger = cls(connect(url))
        ledger._own_engine = True
        return ledger

    def close(self) -> None:
        """Close the connections, if the ledger was opened by URL."""
        if self._own_engine:
            self._engine.dispose()

    def __repr__(self) -> str:
        return f"<Ledger {self._engine.dialect.name}>"

    def append(self, entries: Iterable[LedgerEntry], /) -> None:
        """Write entries, in order, in one durable transaction.

        ``STORED``, ``MOVED`` and ``REASSIGNED`` describe the state of a file: if another workstation has
        already written such an entry, it is not written again.

        Raises:
            LedgerError: The ledger can't be written. No entry was written.
        """
        new = list(entries)
        if not new:
            return
        facts = self._facts({entry.import_id for entry in new})
        try:
            with writing(self._engine, lock=_LOCK) as connection:
                known = connection.execute(facts).all()
                last = connection.execute(_LAST).first()
                seq, digest = (last.seq, last.digest) if last is not None else (0, CHAIN_START)
                rows = chain(new, known, seq=seq, digest=digest)
                if rows:
                    insert_many(connection, _INSERT, rows)
        except RepositoryError as exc:
            raise LedgerError("the ledger could not be written") from exc

    def moved(self, import_ids: Collection[str]) -> set[str]:
        """Return those of these import ids that were moved and not withdrawn since."""
        facts = self._facts(import_ids)
        with reading(self._engine) as connection:
            known = connection.execute(facts).all()
        states: defaultdict[str, set[str]] = defaultdict(set)
        advance(states, known)
        return {import_id for import_id, state in states.items() if Event.MOVED in state}

    def in_records(self, import_ids: Collection[str], *, undoing: bool = False) -> set[str]:
        """Return those of these import ids that the records must have: stored, and not taken out since.

        Args:
            import_ids: The import ids.
            undoing: Include files of which an undo has begun. The records may not have them any more.
        """
        with reading(self._engine) as connection:
            stored, leaving = in_records(connection.execute(self._facts(import_ids)))
        return stored if undoing else stored - leaving

    def stored(self, *, since: datetime | None = None, newest: int | None = None) -> Iterator[LedgerEntry]:
        """Iterate over the ``STORED`` entries of all files that were not taken out of the records since.

        The entries are read in pages, so that no transaction stays open while the caller works.

        Args:
            since: Only files that were stored at this time or later, aware.
            newest: Only so many files, the newest. By default, all files, oldest first.
        """
        query = _IN_RECORDS if since is None else _IN_RECORDS.where(ledger_table.c.at >= since)
        if newest is not None:
            yield from self._read(query.order_by(None).order_by(ledger_table.c.seq.desc()).limit(newest))
            return
        seq = 0
        while page := self._read(query.where(ledger_table.c.seq > seq).limit(_PAGE)):
            yield from page
            seq = page[-1].seq or 0

    def put_back(self, source_id: str, names: Collection[str]) -> set[tuple[str, int, str]]:
        """Return name (`printable`), size and digest of files with these names that an undo has put back."""
        wanted = set(names) if all(map(str.isprintable, names)) else {printable(name) for name in names}
        columns = ledger_table.c.name, ledger_table.c.size_bytes, ledger_table.c.sha256
        query = sa.select(*columns).where(_of(source_id, Event.PUTTING_BACK))
        with reading(self._engine) as connection:
            found = connection.execute(query).all()
        return {tuple(row) for row in found if row.name in wanted} if found else set()

    def undone(self, digests: Collection[str]) -> set[tuple[str | None, str]]:
        """Return patient (`printable`) and digest of files with these digests that an undo has put back."""
        query = sa.select(ledger_table.c.patient_id, ledger_table.c.sha256).where(
            IS_PUTTING_BACK, one_of(self._engine.dialect, ledger_table.c.sha256, digests)
        )
        with reading(self._engine) as connection:
            found = connection.execute(query).all()
        return {*map(tuple, found)}

    def import_id_of(self, attachment_id: str) -> str | None:
        """Return the import id of an attachment; None if it is not in the ledger."""
        query = (
            sa.select(ledger_table.c.import_id)
            .where(ledger_table.c.attachment_id == printable(attachment_id))
            .order_by(ledger_table.c.seq.desc())
            .limit(1)
        )
        with reading(self._engine) as connection:
            return connection.scalar(query)

    def begun_corrections(
        self, source_ids: Collection[str]
    ) -> tuple[list[tuple[LedgerEntry, str]], list[LedgerEntry]]:
        """Find the undos and the reassignments that have no end in the ledger, oldest first.

        Returns:
            The ``PUTTING_BACK`` entries of these sources, each with its source id; and all ``REASSIGNING``
            entries.
        """
        undos = [_open_ended(_of(source_id, Event.PUTTING_BACK), _ENDS_OF_UNDO) for source_id in source_ids]
        with reading(self._engine) as connection:
            found = list(map(connection.execute, undos))
            undoing = list(map(sa.Result.all, found))
            reassigning = connection.execute(_REASSIGNMENTS).all()
        if not reassigning and not any(undoing):
            return [], []
        begun = zip(undoing, source_ids, strict=True)
        return [(entry_of(row), one) for rows, one in begun for row in rows], [*map(entry_of, reassigning)]

    def reassigning(self) -> list[LedgerEntry]:
        """Return the ``REASSIGNING`` entries that have no end in the ledger, oldest first."""
        return self._read(_REASSIGNMENTS)

    def unfinished(self, source_id: str) -> list[LedgerEntry]:
        """Return the ``STORED`` entries of a source that are not followed by ``MOVED``, oldest first."""
        return self._read(
            _open_ended(_of(source_id, Event.STORED), (Event.MOVED, Event.WITHDRAWN, Event.MISSING))
        )

    def undoing(self, source_id: str) -> list[LedgerEntry]:
        """Return the ``PUTTING_BACK`` entries of a source that have no end in the ledger, oldest first."""
        return self._read(_open_ended(_of(source_id, Event.PUTTING_BACK), _ENDS_OF_UNDO))

    def _read(self, query: sa.Select[Any]) -> list[LedgerEntry]:
        with reading(self._engine) as connection:
            found = connection.execute(query).all()
        return [entry_of(row) for row in found]

    def entries(
        self, *, import_id: str | None = None, patient_id: str | None = None
    ) -> Iterator[LedgerEntry]:
        """Iterate over the entries of one file, of one patient, or of all, oldest first.

        The entries are read one by one. A reassignment is an entry of both patients.

        Raises:
            LedgerError: An entry can't be read.
        """
        query = sa.select(ledger_table).order_by(ledger_table.c.seq)
        if import_id is not None:
            query = query.where(ledger_table.c.import_id == import_id)
        if patient_id is not None:
            wanted = printable(patient_id)
            query = query.where(
                (ledger_table.c.patient_id == wanted) | (ledger_table.c.from_patient_id == wanted)
            )
        with reading(self._engine) as connection:
            try:
                with connection.execution_options(yield_per=1000).execute(query) as rows:
                    for row in rows:
                        yield entry_of(row)
            except (ValueError, sa.exc.DBAPIError) as exc:
                raise LedgerError(
                    "an entry can't be read: verify the ledger", kind=type(exc).__name__
                ) from None

    def export(
        self, *, support: bool = False, form: Literal["json", "fhir", "dicom"] = "json"
    ) -> Iterator[str]:
        """Iterate over the ledger as lines of text, one per entry, oldest first.

        Args:
            support: Omit patients, file names and operators, for use outside the practice.
            form: ``json``: the fields of the entries. ``fhir``: one AuditEvent resource per line, as in FHIR
                bulk data. ``dicom``: audit messages in XML.
        """
        for entry in self.entries():
            entry_for = entry.without_persons() if support else entry
            match form:
                case "json":
                    yield entry.to_json(support=support)
                case "fhir":
                    yield json.dumps(to_fhir(entry_for), ensure_ascii=False)
                case "dicom":
                    yield to_dicom(entry_for)
                case _:
                    assert_never(form)

    def is_in(self, engine: sa.Engine) -> bool:
        """Return whether the ledger is in the database of this engine."""
        return self._engine is engine or self._engine.url == engine.url

    def copy_to(self, path: Path) -> None:
        """Write a consistent copy of the ledger's database to a file that only its owner can read."""
        copy_sqlite(self._engine, path)

    def tail(self) -> tuple[int, str]:
        """Return the number of entries and the last digest, to prove later that no entry was removed."""
        with reading(self._engine) as connection:
            last = connection.execute(_LAST).first()
        return (last.seq, last.digest) if last is not None else (0, CHAIN_START)

    def verify(self) -> list[int]:
        """Check the digests of all entries.

        Returns:
            The ``seq`` of each wrong entry: it was changed, or an entry before it was removed or inserted.
            Empty if nothing is wrong.
        """
        broken = []
        digest = CHAIN_START
        expected = 1
        for values in self._raw():
            seq = values["seq"] if type(values["seq"]) is int else expected
            if values["seq"] != expected or values["digest"] != _digest_of(values, digest):
                broken.append(seq)
            # Continue with the stored values, so that one change is reported once.
            digest = values["digest"]
            expected = seq + 1
        return broken

    def _raw(self) -> Iterator[dict[str, Any]]:
        """Iterate over the stored rows, oldest first; ``at`` is None if it is not a time.

        A row that somebody has changed may contain values that no entry can have.
        """
        at = ledger_table.c.at
        as_text = (
            sa.type_coerce(at, sa.Text)
            if self._engine.dialect.name == "sqlite"
            # With the era: otherwise, the year 2026 BC would look like 2026.
            else sa.func.to_char(sa.func.timezone("UTC", at), 'AD YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
        )
        others = [column for column in ledger_table.c if column is not at]
        query = sa.select(as_text.label("at"), *others).order_by(ledger_table.c.seq)
        with (
            reading(self._engine) as connection,
            _any_text(connection),
            connection.execution_options(yield_per=1000).execute(query) as rows,
        ):
            for row in rows:
                yield {**row._asdict(), "at": _time(row.at)}

    def _facts(self, import_ids: Collection[str]) -> sa.Select[Any]:
        """Return the query for all events of these files, oldest first."""
        wanted = one_of(self._engine.dialect, ledger_table.c.import_id, import_ids)
        return (
            sa.select(ledger_table.c.import_id, ledger_table.c.event)
            .where(wanted)
            .order_by(ledger_table.c.seq)
        )


@functools.lru_cache(maxsize=256)  # an inbox asks about the same few sources at every refresh
def _of(source_id: str, event: Event) -> sa.ColumnElement[bool]:
    return (ledger_table.c.source_id == printable(source_id)) & (ledger_table.c.event == event.value)


@contextlib.contextmanager
def _any_text(connection: sa.Connection) -> Iterator[None]:
    """Make SQLite return text that is not valid UTF-8. By default, the whole query fails."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite":
        yield
        return
    driver.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = str


def _time(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text.removeprefix("AD "))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _digest_of(values: dict[str, Any], previous: Any) -> str | None:
    """Return the digest that a row should have; None if it contains values that the ledger never writes."""
    try:
        return chain_digest(previous, values) if values["at"] is not None else None
    except (TypeError, ValueError):
        return None
