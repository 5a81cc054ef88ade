"""Who has acted at a place of a trail, and when last, is found by an index alone.

Guarantees: changes no row, either way.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

OF_SOMEBODY: Final = "person <> ''"


def upgrade() -> None:
    op.create_index(
        "ix_trail_marks_hands",
        "trail_marks",
        ["tenant", "value", "trail", "person", "step", "part", "kind", "at"],
        postgresql_where=sa.text(OF_SOMEBODY),
        sqlite_where=sa.text(OF_SOMEBODY),
    )


def downgrade() -> None:
    op.drop_index("ix_trail_marks_hands", "trail_marks")
