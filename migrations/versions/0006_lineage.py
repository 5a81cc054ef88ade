"""Links between chains.

Guarantees: a chain has each of its links once. Going back forgets what chains come from, and with it whose
acts count on them, so it is refused while there is any link.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "lineage_links",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("kind", identifier(), nullable=False),
        sa.Column("chain", identifier(), nullable=False),
        sa.Column("relation", identifier(32), nullable=False),
        sa.Column("to_kind", identifier(), nullable=False),
        sa.Column("to_chain", identifier(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "chain", "kind", "to_chain", "to_kind", "relation", "tenant", name=op.f("pk_lineage_links")
        ),
    )
    op.create_index("ix_lineage_links_to_chain", "lineage_links", ["to_chain", "to_kind", "tenant"])


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        op.execute("LOCK TABLE lineage_links IN ACCESS EXCLUSIVE MODE")
    if not allowed and bind.execute(sa.text("SELECT 1 FROM lineage_links LIMIT 1")).first():
        raise LedgerNotEmpty("lineage_links")
    op.drop_table("lineage_links")
