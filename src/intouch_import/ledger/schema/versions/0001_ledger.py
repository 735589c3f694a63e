"""The ledger."""

import sqlalchemy as sa
from alembic import op

from intouch_import.database import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "intouch_ledger",
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
    )
    op.create_index("intouch_ledger_import", "intouch_ledger", ["import_id"])
    op.create_index("intouch_ledger_event", "intouch_ledger", ["source_id", "event"])
