"""The tables of `SqlRepository`. Their history is in ``schema/versions``."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from intouch_import.database import UtcDateTime

__all__ = ["VERSION_TABLE", "attachments", "metadata", "patients", "providers"]

VERSION_TABLE: Final = "intouch_records_version"
metadata = sa.MetaData()

patients = sa.Table(
    "intouch_patient",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("birth_date", sa.Text),
    sa.Column("folded", sa.Text, nullable=False),  # id and name without case, to search in
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
    sa.Column("soundness", sa.Text),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_bytes", sa.LargeBinary),  # only where the name is not Unicode text
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("location", sa.Text, nullable=False),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("source_version", sa.Text, nullable=False),
    sa.Column("modified_at", UtcDateTime),
    sa.Column("operator", sa.Text),
    sa.Column("stored_at", UtcDateTime, nullable=False),
    sa.Index("intouch_attachment_patient", "patient_id", "taken_at"),
    sa.Index("intouch_attachment_sha256", "sha256"),
    sa.Index("intouch_attachment_size", "size_bytes"),
)
