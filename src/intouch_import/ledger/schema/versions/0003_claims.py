"""The files that are being moved or put back now."""

import sqlalchemy as sa
from alembic import op

from intouch_import.database import UtcDateTime

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "intouch_claims",
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("undoing", sa.Boolean, nullable=False),
        sa.Column("import_ids", sa.Text, nullable=False),
    )
