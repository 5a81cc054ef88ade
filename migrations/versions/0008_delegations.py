"""Delegations, and acts that are two persons' at once.

Guarantees: acts that were there are their person's alone. Going back forgets who may act for whom and who
did, so it is refused while there is any of that.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "delegations",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("delegate", identifier(), nullable=False),
        sa.Column("kind", identifier(), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", "id", name=op.f("pk_delegations")),
    )
    for table in ("acts", "reviews"):
        beside = sa.Column("beside", identifier(), nullable=False, server_default=sa.text("''"))
        op.add_column(table, beside)


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    for table, which in (("delegations", "true"), ("acts", "beside <> ''"), ("reviews", "beside <> ''")):
        if bind.dialect.name == "postgresql":
            op.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        query = sa.text(f"SELECT 1 FROM {table} WHERE {which} LIMIT 1")
        if not allowed and bind.execute(query).first():
            raise LedgerNotEmpty(table)
    op.drop_column("reviews", "beside")
    op.drop_column("acts", "beside")
    op.drop_table("delegations")
