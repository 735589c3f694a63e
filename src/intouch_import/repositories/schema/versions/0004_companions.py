"""The attachment that an attachment belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns, empty for attachments that are already stored, and an index for `companions_of`."""
    op.add_column("intouch_attachment", sa.Column("companion_of", sa.Text))
    op.add_column("intouch_attachment", sa.Column("companion_role", sa.Text))
    op.create_index("intouch_attachment_companion", "intouch_attachment", ["companion_of"])
