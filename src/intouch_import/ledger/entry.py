"""The entries of the ledger: their fields, their table, and the digests that chain them."""

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
    "claims_table",
    "entry_of",
    "in_records",
    "ledger_table",
    "metadata",
]

CHAIN_START: Final = "0" * 64
_PRIVATE: Final = ("patient_id", "from_patient_id", "name", "operator")


class Event(enum.StrEnum):
    """What happened to a file. The values are stored: never reuse one."""

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
    MISSING = "missing"


@attrs.frozen(kw_only=True)
class LedgerEntry:
    """One event of one file.

    Args:
        event: What happened.
        at: When, aware; stored in UTC with a resolution of 1 µs.
        operator: The member of staff, as the host identifies staff; None if not known.
        patient_id: The patient; None if no patient was chosen. For a reassignment, the new patient.
        provider_id: The provider, if any.
        destination: ``images`` or ``notes``.
        import_id: Import id of the file.
        attachment_id: The repository's id of the attachment, once it is stored.
        location, source_id, name: Where the file was.
        size_bytes, sha256: The bytes of the file; None if they were never read.
        reason: Why, a `Reason` value; empty for ``MISSING``.
        from_patient_id: For a reassignment, the first patient.
        seq: Position, starting at 1; set by the ledger.
        digest: Digest of this entry and the previous digest; set by the ledger.
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
        """Return the entry for an event of a stored attachment.

        Args:
            stored: The attachment.
            event: What happened.
            at: When, aware.
            operator: The member of staff, as the host identifies staff; None if not known.
            reason: Why, a `Reason` value.
            patient_id: The patient; None for the patient of the attachment.
            from_patient_id: For a reassignment, the first patient.
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
        """Return the entry as one line of JSON.

        Args:
            support: Omit patient, file name and operator. The import id still identifies the file, but the
                digests of such an export can't be verified.
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
        """Return the entry without patients, file name and operator, for use outside the practice."""
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
# Not as parameters: otherwise, a database does not use an index over these rows.
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

claims_table = sa.Table(
    "intouch_claims",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("undoing", sa.Boolean, nullable=False),
    sa.Column("import_ids", sa.Text, nullable=False),  # with blanks between them
)


def entry_of(row: sa.Row[Any]) -> LedgerEntry:
    """Return the entry of a row."""
    values = row._asdict()
    values["event"] = Event(values["event"])
    return LedgerEntry(**values)


def advance(states: defaultdict[str, set[str]], events: Iterable[Any]) -> None:
    """Update the state of each file: which of ``STORED``, ``MOVED`` and ``REASSIGNED`` apply to it now."""
    for import_id, event in events:
        state = states[import_id]
        # Compared as text: an event of a newer version must not prevent writing.
        if event in _FACTS:
            state.add(event)
        elif event in _OUT_OF_RECORDS:
            state.clear()
        elif event == _REASSIGNING:
            state.discard(_REASSIGNED)  # by an earlier reassignment


def in_records(events: Iterable[Any]) -> tuple[set[str], set[str]]:
    """Find the files that were stored and not taken out since.

    Args:
        events: Import ids and events, oldest first.

    Returns:
        The import ids of these files, and of those among them of which an undo has begun.
    """
    stored: set[str] = set()
    undoing: set[str] = set()
    for import_id, event in events:
        if event == _STORED:
            stored.add(import_id)
            undoing.discard(import_id)
        elif event in _OUT_OF_RECORDS:
            stored.discard(import_id)
        elif event == _PUTTING_BACK:
            undoing.add(import_id)  # the undo may withdraw the attachment before it writes the next entry
        elif event == _NOT_PUT_BACK:
            undoing.discard(import_id)
    return stored, stored & undoing


def chain(
    entries: Iterable[LedgerEntry], known: Iterable[Any], *, seq: int, digest: str
) -> list[dict[str, Any]]:
    """Return entries as rows of the table, with their positions and digests.

    An entry that another workstation has already written is omitted.

    Args:
        entries: The entries, in order.
        known: Import ids and events of these files in the ledger, oldest first.
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
        # A host may use numbers as ids. When they are read again, they are text, with another digest.
        for name in _TEXTS:
            if (value := row[name]) is not None and type(value) is not str:
                row[name] = str(value)
        # The ledger must be written even if an id or a name has a character that databases do not accept.
        if not "".join([value for value in row.values() if type(value) is str]).isprintable():
            row |= {name: printable(value) for name, value in row.items() if type(value) is str}
        seq += 1
        row["seq"] = seq
        digest = row["digest"] = chain_digest(digest, row)
        rows.append(row)
    return rows


def chain_digest(previous: str, values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON list: the previous digest, the time, then the other values.

    Fields that were added in later versions are appended only if they are not None: older digests stay valid.
    """
    chained = [previous, _iso(values["at"]), *(values[key] for key in _CHAINED)]
    chained += [[key, values[key]] for key in _CHAINED_LATER if values[key] is not None]
    listed = ", ".join([_JSON.get(type(one), json.dumps)(one) for one in chained])
    return hashlib.sha256(f"[{listed}]".encode()).hexdigest()


# The same text as ``json.dumps``, but ten times as fast for the most frequent types.
_JSON: Final[dict[type, Callable[[Any], str]]] = {
    str: encode_basestring_ascii,
    int: repr,
    type(None): lambda _: "null",
}


# Looking up a member of an enum takes longer than comparing it.
_STORED: Final = Event.STORED
_PUTTING_BACK: Final = Event.PUTTING_BACK
_NOT_PUT_BACK: Final = Event.NOT_PUT_BACK
_OUT_OF_RECORDS: Final = frozenset({Event.WITHDRAWN, Event.MISSING})
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
