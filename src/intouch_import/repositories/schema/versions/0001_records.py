"""Patients, providers, attachments."""

import sqlalchemy as sa
from alembic import op

from intouch_import.database import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "intouch_patient",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("birth_date", sa.Text),
        sa.Column("folded", sa.Text, nullable=False),
    )
    op.create_table(
        "intouch_provider",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
    )
    op.create_table(
        "intouch_attachment",
        sa.Column("import_id", sa.Text, primary_key=True),
        sa.Column("patient_id", sa.Text, sa.ForeignKey("intouch_patient.id"), nullable=False),
        sa.Column("provider_id", sa.Text),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("comments", sa.Text, nullable=False),
        sa.Column("taken_at", UtcDateTime),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_bytes", sa.LargeBinary),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("source_id", sa.Text, nullable=False),
        sa.Column("source_version", sa.Text, nullable=False),
        sa.Column("modified_at", UtcDateTime),
        sa.Column("operator", sa.Text),
        sa.Column("stored_at", UtcDateTime, nullable=False),
    )
    op.create_index("intouch_attachment_patient", "intouch_attachment", ["patient_id", "taken_at"])
    op.create_index("intouch_attachment_sha256", "intouch_attachment", ["sha256"])
