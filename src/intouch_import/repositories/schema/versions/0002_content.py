"""Where the capture time was found, and whether the content was decoded."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, without values for attachments that are already stored."""
    op.add_column("intouch_attachment", sa.Column("taken_from", sa.Text))
    op.add_column(
        "intouch_attachment",
        sa.Column("times_disagree", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.add_column("intouch_attachment", sa.Column("soundness", sa.Text))
