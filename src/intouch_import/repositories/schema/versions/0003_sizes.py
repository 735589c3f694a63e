"""An index of sizes."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the index for `sizes_stored`."""
    op.create_index("intouch_attachment_size", "intouch_attachment", ["size_bytes"])
