"""Every use of an exception is read from its case, so that nothing looks for acts of principals any more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_acts_of_principals", "acts")


def downgrade() -> None:
    op.create_index(
        "ix_acts_of_principals",
        "acts",
        ["tenant", "at", "decision"],
        postgresql_where=sa.text("capacity = 'principal'"),
        sqlite_where=sa.text("capacity = 'principal'"),
    )
