"""Who says when a file was taken, and whether its content was decoded."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; of what is stored already, nothing is claimed."""
    op.add_column("intouch_attachment", sa.Column("taken_from", sa.Text))
    op.add_column(
        "intouch_attachment",
        sa.Column("times_disagree", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.add_column("intouch_attachment", sa.Column("soundness", sa.Text))
