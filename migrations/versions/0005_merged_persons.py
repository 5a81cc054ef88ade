"""Persons who were found to be one with another.

Going back forgets who is whom, so that one person's acts would count as two persons' again: it is refused
while there is any such person.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "merged_persons",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("survivor", identifier(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person", name=op.f("pk_merged_persons")),
    )


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        op.execute("LOCK TABLE merged_persons IN ACCESS EXCLUSIVE MODE")
    if not allowed and bind.execute(sa.text("SELECT 1 FROM merged_persons LIMIT 1")).first():
        raise LedgerNotEmpty("merged_persons")
    op.drop_table("merged_persons")
