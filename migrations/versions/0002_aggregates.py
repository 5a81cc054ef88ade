"""Observations for aggregates in sliding windows.

Guarantees: a series of observations has each number once. Going back deletes what aggregates have counted,
so it is refused while any is counted: the release in force would go on asking for it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "aggregates",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("aggregate", identifier(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("aggregate", "tenant", name=op.f("pk_aggregates")),
    )
    op.create_table(
        "aggregate_observations",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("series", identifier(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("unit", identifier(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("series", "number", "tenant", name=op.f("pk_aggregate_observations")),
    )
    op.create_index("ix_aggregate_observations_at", "aggregate_observations", ["at", "tenant"])
    op.create_index(
        "ix_aggregate_observations_series", "aggregate_observations", ["series", "at", "number", "tenant"]
    )


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        op.execute("LOCK TABLE aggregates IN ACCESS EXCLUSIVE MODE")
    if not allowed and bind.execute(sa.text("SELECT 1 FROM aggregates LIMIT 1")).first():
        raise LedgerNotEmpty("aggregates")
    op.drop_table("aggregate_observations")
    op.drop_table("aggregates")
