"""Attachments are found by size."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Index what `sizes_stored` asks for."""
    op.create_index("intouch_attachment_size", "intouch_attachment", ["size_bytes"])
