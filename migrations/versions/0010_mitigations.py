"""Conflicts of persons with constraints, accepted for a time.

Going back forgets which were accepted, so it is refused while there is any.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "mitigations",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("constraint", identifier(), nullable=False),
        sa.Column("owner", identifier(), nullable=False),
        sa.Column("control", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", "id", name=op.f("pk_mitigations")),
    )


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        op.execute("LOCK TABLE mitigations IN ACCESS EXCLUSIVE MODE")
    if not allowed and bind.execute(sa.text("SELECT 1 FROM mitigations LIMIT 1")).first():
        raise LedgerNotEmpty("mitigations")
    op.drop_table("mitigations")
