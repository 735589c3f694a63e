"""The capture time as the camera wrote it, if a migration corrected the clock of the camera."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column, empty for attachments that are already stored."""
    op.add_column("intouch_attachment", sa.Column("taken_written", sa.Text))
