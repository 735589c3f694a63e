"""Values as the rows of the reference repository's tables hold them, and back."""

from __future__ import annotations

import operator
import unicodedata
from typing import TYPE_CHECKING, Any

import attrs

from intouch_import.model import Attachment, Destination, Patient, StoredAttachment, printable

if TYPE_CHECKING:
    from datetime import datetime

    import sqlalchemy as sa

__all__ = ["as_stored", "attachment_of", "folded", "is_text", "patient_of", "row_of"]

_FIELDS = [field.name for field in attrs.fields(Attachment)]
_values_of = operator.attrgetter(*_FIELDS)


def row_of(attachment: Attachment, stored_at: datetime) -> dict[str, Any]:
    """The row of an attachment, as `attachments` takes it."""
    row: dict[str, Any] = dict(zip(_FIELDS, _values_of(attachment), strict=True))
    row["destination"] = str(attachment.destination)
    if attachment.taken_from is not None:
        row["taken_from"] = str(attachment.taken_from)
    if attachment.soundness is not None:
        row["soundness"] = str(attachment.soundness)
    row["stored_at"] = stored_at
    row["name_bytes"] = None
    if not is_text(attachment.name):
        row["name"] = printable(attachment.name)
        row["name_bytes"] = attachment.name.encode("utf-8", "surrogatepass")
    if attachment.operator is not None:
        row["operator"] = printable(attachment.operator)
    return row


def as_stored(attachment: Attachment, stored_at: datetime) -> StoredAttachment:
    """What `attachment_of` would make of that row."""
    values: dict[str, Any] = dict(zip(_FIELDS, _values_of(attachment), strict=True))
    return StoredAttachment(id=attachment.import_id, stored_at=stored_at, **values)


def attachment_of(row: sa.Row[Any]) -> StoredAttachment:
    """The attachment of a row."""
    values = dict(row._mapping)  # noqa: SLF001  # the public way to a row as a mapping
    raw = values.pop("name_bytes")
    if raw is not None:
        values["name"] = raw.decode("utf-8", "surrogatepass")
    values["destination"] = Destination(values["destination"])
    return StoredAttachment(id=row.import_id, **values)


def patient_of(row: sa.Row[Any]) -> Patient:
    """The patient of a row."""
    return Patient(id=row.id, name=row.name, active=row.active, birth_date=row.birth_date)


def is_text(value: str) -> bool:
    """Whether databases take it: no lone surrogates, no NUL."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def folded(text: str) -> str:
    """Text as it is searched: letter case aside, and one form of each character."""
    return unicodedata.normalize("NFKC", text).casefold()
