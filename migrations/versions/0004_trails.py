"""Acts that are looked at beyond their chain, and votes.

Guarantees: what counted by account counts on: the marks of all acts so far are made from their account. Going
back would lose on which chains limits count, so it is refused while there is any act.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEPT = (
    "tenant, claim, decision, kind, chain, step, person, account, capacity, state, at, valid_until,"
    ' "index", key, material, exclusive, "case"'
)


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "trail_marks",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("trail", identifier(512), nullable=False),
        sa.Column("value", identifier(32), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("claim", identifier(), nullable=False),
        sa.Column("part", identifier(32), nullable=False),
        sa.Column("kind", identifier(), nullable=False),
        sa.Column("step", identifier(), nullable=False),
        sa.PrimaryKeyConstraint(
            "value", "trail", "person", "at", "claim", "part", "tenant", name=op.f("pk_trail_marks")
        ),
    )
    _mark_accounts()
    voting = sa.Column("voting", sa.Boolean(), nullable=False)
    _make_acts_anew(voting, value="false", gone="ix_acts_scope_account")
    op.create_index(
        "uq_acts_live_vote",
        "acts",
        ["tenant", "kind", "chain", "step", "person"],
        unique=True,
        postgresql_where=sa.text("voting AND state IN ('claimed', 'performed')"),
        sqlite_where=sa.text("voting = 1 AND state IN ('claimed', 'performed')"),
    )


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    if bind.dialect.name == "postgresql":
        op.execute("LOCK TABLE acts IN ACCESS EXCLUSIVE MODE")
    if not allowed and bind.execute(sa.text("SELECT 1 FROM acts LIMIT 1")).first():
        raise LedgerNotEmpty("acts")
    scope = sa.Column("scope_account", identifier(1024), nullable=False)
    _make_acts_anew(scope, value="''", gone="uq_acts_live_vote")
    op.create_index("ix_acts_scope_account", "acts", ["scope_account", "tenant", "person"])
    op.drop_table("trail_marks")


def _mark_accounts() -> None:
    """A chain is one of every account that any of its acts names, with all its acts."""
    bind = op.get_bind()
    names = "tenant, kind, chain, step, person, at, claim, scope_account"
    acts = bind.execute(sa.text(f"SELECT {names} FROM acts ORDER BY tenant, kind, chain"))
    insert = sa.text(
        "INSERT INTO trail_marks (tenant, trail, value, person, at, claim, part, kind, step)"
        " VALUES (:tenant, 'account', :value, :person, :at, :claim, '', :kind, :step)"
    )
    chains = groupby(acts.all(), key=lambda row: (row.tenant, row.kind, row.chain))
    rows = [row for _, chain in chains for row in _marks(list(chain))]
    if rows:
        bind.execute(insert, rows)


def _marks(chain: list[sa.Row]) -> Iterator[dict[str, object]]:  # type: ignore[type-arg]
    for account in {act.scope_account for act in chain} - {""}:
        for act in chain:
            yield {
                "tenant": act.tenant,
                "value": sha256(account.encode()).hexdigest()[:32],
                "person": act.person,
                "at": act.at,
                "claim": act.claim,
                "kind": act.kind,
                "step": act.step,
            }


def _make_acts_anew(new: sa.Column[object], *, value: str, gone: str) -> None:
    """The acts in a table where one column has taken the place of another, and one index is gone."""
    op.rename_table("acts", "acts_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE acts_before RENAME CONSTRAINT pk_acts TO pk_acts_before")
    for index in (gone, "ix_acts_chain", "ix_acts_open", "uq_acts_live_step"):
        op.drop_index(index, "acts_before")
    marks = [sa.Column("exclusive", sa.Boolean(), nullable=False), new]
    op.create_table(
        "acts",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("claim", identifier(), nullable=False),
        sa.Column("decision", identifier(), nullable=False),
        sa.Column("kind", identifier(), nullable=False),
        sa.Column("chain", identifier(), nullable=False),
        sa.Column("step", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("account", identifier(), nullable=False),
        sa.Column("capacity", identifier(), nullable=False),
        sa.Column("state", identifier(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("key", identifier(), nullable=False),
        sa.Column("material", sa.Text(), nullable=False),
        *(marks if new.name == "voting" else reversed(marks)),
        sa.Column("case", identifier(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("claim", "tenant", name=op.f("pk_acts")),
    )
    op.create_index("ix_acts_chain", "acts", ["chain", "kind", "tenant", "index"])
    op.create_index(
        "ix_acts_open",
        "acts",
        ["tenant", "valid_until"],
        postgresql_where=sa.text("state = 'claimed' AND \"case\" = ''"),
        sqlite_where=sa.text("state = 'claimed' AND \"case\" = ''"),
    )
    op.create_index(
        "uq_acts_live_step",
        "acts",
        ["tenant", "kind", "chain", "step"],
        unique=True,
        postgresql_where=sa.text("exclusive AND state IN ('claimed', 'performed')"),
        sqlite_where=sa.text("exclusive = 1 AND state IN ('claimed', 'performed')"),
    )
    op.execute(
        f"INSERT INTO acts ({KEPT}, {new.name})"  # names and values from above
        f" SELECT {KEPT}, {value} FROM acts_before"
    )
    op.drop_table("acts_before")
