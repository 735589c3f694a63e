"""The tables of `SqlRepository` and their rows. Changes of the tables are in ``schema/versions``."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

import attrs
import sqlalchemy as sa

from intouch_import.database import UtcDateTime
from intouch_import.model import Attachment, Destination, StoredAttachment, normal_form, printable

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "VERSION_TABLE",
    "as_stored",
    "attachment_of",
    "attachments",
    "folded",
    "is_text",
    "metadata",
    "patients",
    "providers",
    "row_of",
]

VERSION_TABLE: Final = "intouch_records_version"
metadata = sa.MetaData()

patients = sa.Table(
    "intouch_patient",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("birth_date", sa.Text),
    sa.Column("folded", sa.Text, nullable=False),  # id and name, prepared for searches
)

providers = sa.Table(
    "intouch_provider",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
)

attachments = sa.Table(
    "intouch_attachment",
    metadata,
    sa.Column("import_id", sa.Text, primary_key=True),
    sa.Column("patient_id", sa.Text, sa.ForeignKey("intouch_patient.id"), nullable=False),
    sa.Column("provider_id", sa.Text),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("comments", sa.Text, nullable=False),
    sa.Column("taken_at", UtcDateTime),
    sa.Column("taken_from", sa.Text),
    sa.Column("times_disagree", sa.Boolean, nullable=False),
    sa.Column("taken_written", sa.Text),
    sa.Column("soundness", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_bytes", sa.LargeBinary),  # only for a name with lone surrogates
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("source_version", sa.Text, nullable=False),
    sa.Column("modified_at", UtcDateTime),
    sa.Column("operator", sa.Text),
    sa.Column("companion_of", sa.Text),
    sa.Column("companion_role", sa.Text),
    sa.Column("stored_at", UtcDateTime, nullable=False),
    sa.Index("intouch_attachment_companion", "companion_of"),
    sa.Index("intouch_attachment_patient", "patient_id", "taken_at"),
    sa.Index("intouch_attachment_sha256", "sha256"),
    sa.Index("intouch_attachment_size", "size_bytes"),
)

_FIELDS = [field.name for field in attrs.fields(Attachment)]
_values_of = operator.attrgetter(*_FIELDS)


def row_of(attachment: Attachment, stored_at: datetime) -> dict[str, Any]:
    """Return the row of an attachment in the table `attachments`."""
    row: dict[str, Any] = dict(zip(_FIELDS, _values_of(attachment), strict=True))
    row["destination"] = str(attachment.destination)
    if attachment.taken_from is not None:
        row["taken_from"] = str(attachment.taken_from)
    if attachment.soundness is not None:
        row["soundness"] = str(attachment.soundness)
    if attachment.companion_role is not None:
        row["companion_role"] = str(attachment.companion_role)
    row["stored_at"] = stored_at
    row["name_bytes"] = None
    if not is_text(attachment.name):
        row["name"] = printable(attachment.name)
        row["name_bytes"] = attachment.name.encode("utf-8", "surrogatepass")
    if attachment.operator is not None:
        row["operator"] = printable(attachment.operator)
    return row


def as_stored(attachment: Attachment, stored_at: datetime) -> StoredAttachment:
    """Return the same attachment as `attachment_of` for this row."""
    values: dict[str, Any] = dict(zip(_FIELDS, _values_of(attachment), strict=True))
    return StoredAttachment(id=attachment.import_id, stored_at=stored_at, **values)


def attachment_of(row: sa.Row[Any]) -> StoredAttachment:
    """Return the attachment of a row."""
    values = row._asdict()
    raw = values.pop("name_bytes")
    if raw is not None:
        values["name"] = raw.decode("utf-8", "surrogatepass")
    values["destination"] = Destination(values["destination"])
    return StoredAttachment(id=row.import_id, **values)


def is_text(value: str) -> bool:
    """Return whether databases accept a text: no lone surrogates, no NUL."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def folded(text: str) -> str:
    """Prepare text for searches: ignore letter case, and use one form of each character."""
    return normal_form("NFKC", text).casefold()
