"""The first patient of a reassignment, and indexes of undos and reassignments."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column, and two small indexes of rare events."""
    op.add_column("intouch_ledger", sa.Column("from_patient_id", sa.Text))
    for name, column, event in (
        ("intouch_ledger_put_back", "sha256", "putting_back"),
        ("intouch_ledger_reassigning", "import_id", "reassigning"),
    ):
        rare = sa.text(f"event = '{event}'")
        op.create_index(name, "intouch_ledger", [column], sqlite_where=rare, postgresql_where=rare)
