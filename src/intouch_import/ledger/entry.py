"""One entry of the ledger, its table, and how each entry is chained to the one before it."""

from __future__ import annotations

import enum
import functools
import hashlib
import json
import operator
from collections import defaultdict
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final

import attrs
import sqlalchemy as sa

from intouch_import.database import UtcDateTime
from intouch_import.model import printable
from intouch_import.secret import pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from intouch_import.model import StoredAttachment

__all__ = [
    "CHAIN_START",
    "IS_PUTTING_BACK",
    "IS_REASSIGNING",
    "Event",
    "LedgerEntry",
    "advance",
    "chain",
    "chain_digest",
    "entry_of",
    "ledger_table",
    "metadata",
]

CHAIN_START: Final = "0" * 64
_PRIVATE: Final = ("patient_id", "from_patient_id", "name", "operator")


class Event(enum.StrEnum):
    """What happened. The values are stored; never reuse one."""

    STORED = "stored"
    MOVED = "moved"
    NOT_REMOVED = "not_removed"
    FAILED = "failed"
    PUTTING_BACK = "putting_back"
    NOT_PUT_BACK = "not_put_back"
    WITHDRAWN = "withdrawn"
    REASSIGNING = "reassigning"
    REASSIGNED = "reassigned"
    NOT_REASSIGNED = "not_reassigned"


@attrs.frozen(kw_only=True)
class LedgerEntry:
    """One event.

    Args:
        event: What happened.
        at: When, aware; kept in UTC to the microsecond.
        operator: Who, as the host names its staff; None if not told.
        patient_id: Whose record; None where no patient was decided. Of a reassignment, the one it goes to.
        provider_id: The provider, if any.
        destination: ``images`` or ``notes``.
        import_id: Of the file.
        attachment_id: The repository's id, once there is one.
        location, source_id, name: From where.
        size_bytes, sha256: What; None where it was never read.
        reason: Why, a `Reason` value.
        from_patient_id: Of a reassignment, whose record it comes from.
        seq: Position, from 1; set by the ledger.
        digest: Chains this entry to all before it; set by the ledger.
    """

    event: Event
    at: datetime
    operator: str | None = attrs.field(default=None, repr=False)
    patient_id: str | None = attrs.field(default=None, repr=pseudonym)
    provider_id: str | None = None
    destination: str | None = None
    import_id: str
    attachment_id: str | None = None
    location: str
    source_id: str
    name: str = attrs.field(default="", repr=pseudonym)
    size_bytes: int | None = None
    sha256: str | None = None
    reason: str = ""
    from_patient_id: str | None = attrs.field(default=None, repr=pseudonym)
    seq: int | None = None
    digest: str | None = None

    @classmethod
    def about(
        cls,
        stored: StoredAttachment,
        event: Event,
        *,
        at: datetime,
        operator: str | None,
        reason: str,
        patient_id: str | None = None,
        from_patient_id: str | None = None,
    ) -> LedgerEntry:
        """Something that happened to what a record holds.

        Args:
            stored: What it happened to.
            event: What happened.
            at: When, aware.
            operator: Who, as the host names its staff; None if not told.
            reason: Why, a `Reason` value.
            patient_id: Whose record it goes to; None for the one that it is in.
            from_patient_id: Whose record it comes from, where it changes.
        """
        return cls(
            event=event,
            at=at,
            operator=operator,
            patient_id=stored.patient_id if patient_id is None else patient_id,
            from_patient_id=from_patient_id,
            provider_id=stored.provider_id,
            destination=str(stored.destination),
            import_id=stored.import_id,
            attachment_id=stored.id,
            location=stored.location,
            source_id=stored.source_id,
            name=stored.name,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            reason=str(reason),
        )

    def to_json(self, *, support: bool = False) -> str:
        """One line of JSON.

        Args:
            support: Leave out who and whom: patient, file name and operator. What is left identifies a file
                by its import id alone. The chain can't be checked on such an export.
        """
        values: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in attrs.fields(LedgerEntry)
        }
        values["at"] = _iso(self.at)
        if support:
            for key in _PRIVATE:
                del values[key]
        return json.dumps(values, ensure_ascii=False)

    def without_persons(self) -> LedgerEntry:
        """The entry without who and whom, fit to leave the practice."""
        return attrs.evolve(self, patient_id=None, from_patient_id=None, name="", operator=None)


metadata = sa.MetaData()
ledger_table = sa.Table(
    "intouch_ledger",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("operator", sa.Text),
    sa.Column("patient_id", sa.Text),
    sa.Column("provider_id", sa.Text),
    sa.Column("destination", sa.Text),
    sa.Column("import_id", sa.Text, nullable=False),
    sa.Column("attachment_id", sa.Text),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("sha256", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("from_patient_id", sa.Text),
    sa.Index("intouch_ledger_import", "import_id"),
    sa.Index("intouch_ledger_event", "source_id", "event"),
)
# Written out, not as parameters: only then does a database see that an index over such rows will do.
IS_PUTTING_BACK: Final = sa.text(f"event = '{Event.PUTTING_BACK}'")
IS_REASSIGNING: Final = sa.text(f"event = '{Event.REASSIGNING}'")
sa.Index(
    "intouch_ledger_put_back",
    ledger_table.c.sha256,
    sqlite_where=IS_PUTTING_BACK,
    postgresql_where=IS_PUTTING_BACK,
)
sa.Index(
    "intouch_ledger_reassigning",
    ledger_table.c.import_id,
    sqlite_where=IS_REASSIGNING,
    postgresql_where=IS_REASSIGNING,
)


def entry_of(row: sa.Row[Any]) -> LedgerEntry:
    """Return the entry of a row."""
    values = dict(row._mapping)  # noqa: SLF001  # the public way to a row as a mapping
    values["event"] = Event(values["event"])
    return LedgerEntry(**values)


def advance(states: defaultdict[str, set[str]], events: Iterable[Any]) -> None:
    """Apply events to the states: which of ``STORED``, ``MOVED`` and ``REASSIGNED`` are true of a file."""
    for import_id, event in events:
        state = states[import_id]
        # By value: an event that only a newer version knows must not keep this version from writing.
        if event in _FACTS:
            state.add(event)
        elif event == _WITHDRAWN:
            state.clear()
        elif event == _REASSIGNING:
            state.discard(_REASSIGNED)  # of an earlier time


def chain(
    entries: Iterable[LedgerEntry], known: Iterable[Any], *, seq: int, digest: str
) -> list[dict[str, Any]]:
    """Return entries as the values that are stored, each chained to the entry before it.

    A fact that the ledger has already is left out: another workstation was faster.

    Args:
        entries: The entries, in order.
        known: Import ids and events that the ledger has for these files, oldest first.
        seq: The position of the last entry in the ledger.
        digest: The digest of the last entry in the ledger.
    """
    states: defaultdict[str, set[str]] = defaultdict(set)
    advance(states, known)
    rows: list[dict[str, Any]] = []
    for entry in entries:
        if entry.event in states[entry.import_id]:
            continue
        advance(states, [(entry.import_id, entry.event)])
        row: dict[str, Any] = dict(zip(_FIELDS, _values_of(entry), strict=True))
        # A host may use numbers as ids. Read back, they are text, with another digest.
        for name in _TEXTS:
            if (value := row[name]) is not None and type(value) is not str:
                row[name] = str(value)
        # An id or a name with a character that databases refuse must not keep the ledger from being written.
        if not "".join([value for value in row.values() if type(value) is str]).isprintable():
            row |= {name: printable(value) for name, value in row.items() if type(value) is str}
        seq += 1
        row["seq"] = seq
        digest = row["digest"] = chain_digest(digest, row)
        rows.append(row)
    return rows


def chain_digest(previous: str, values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON list: the digest of the entry before, the time, then the other values.

    Fields that later versions added are appended where they are not None, so that older digests stay true.
    """
    chained = [previous, _iso(values["at"]), *(values[key] for key in _CHAINED)]
    chained += [[key, values[key]] for key in _CHAINED_LATER if values[key] is not None]
    listed = ", ".join([_JSON.get(type(one), json.dumps)(one) for one in chained])
    return hashlib.sha256(f"[{listed}]".encode()).hexdigest()


# The same text as from ``json.dumps``, ten times as fast for the types that most values have.
_JSON: Final[dict[type, Callable[[Any], str]]] = {
    str: encode_basestring_ascii,
    int: repr,
    type(None): lambda _: "null",
}


# Looking a member up on its enum takes longer than comparing it.
_WITHDRAWN: Final = Event.WITHDRAWN
_REASSIGNING: Final = Event.REASSIGNING
_REASSIGNED: Final = Event.REASSIGNED
_FACTS: Final = frozenset({Event.STORED, Event.MOVED, Event.REASSIGNED})
_FIELDS: Final = [field.name for field in attrs.fields(LedgerEntry)]
_values_of = operator.attrgetter(*_FIELDS)
_TEXTS: Final = [name for name in _FIELDS if name not in {"at", "size_bytes", "seq", "digest"}]
_CHAINED_LATER: Final = ("from_patient_id",)
_CHAINED: Final = tuple(name for name in _FIELDS if name not in {"at", "digest", *_CHAINED_LATER})


@functools.lru_cache(maxsize=32)
def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
