"""Cases with a deadline, and what the report of exceptions is read by.

Going back forgets by when exceptions are to be looked at, so it is refused while there is any such case.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reviews", sa.Column("due_at", sa.BigInteger()))
    op.create_index(
        "ix_reviews_dated",
        "reviews",
        ["tenant", "opened_at", "id"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
        sqlite_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_acts_of_principals",
        "acts",
        ["tenant", "at", "decision"],
        postgresql_where=sa.text("capacity = 'principal'"),
        sqlite_where=sa.text("capacity = 'principal'"),
    )


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        op.execute("LOCK TABLE reviews IN ACCESS EXCLUSIVE MODE")
    dated = sa.text("SELECT 1 FROM reviews WHERE due_at IS NOT NULL LIMIT 1")
    if not allowed and bind.execute(dated).first():
        raise LedgerNotEmpty("reviews")
    op.drop_index("ix_acts_of_principals", "acts")
    op.drop_index("ix_reviews_dated", "reviews")
    op.drop_column("reviews", "due_at")
