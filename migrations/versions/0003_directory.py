"""What the directory knows of a person besides roles: attributes, absences, and which accounts are bots'.

Guarantees: accounts that were there are persons'. Going back forgets attributes, absences, which accounts are
bots', and what identity providers call whom, so it is refused while there is any of that: the directory would
no longer be the ledger's.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "person_attributes",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("attribute", identifier(), nullable=False),
        sa.Column("value", identifier(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger()),
        sa.PrimaryKeyConstraint(
            "tenant", "person", "attribute", "valid_from", name=op.f("pk_person_attributes")
        ),
    )
    op.create_table(
        "absences",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "person", "valid_from", name=op.f("pk_absences")),
    )
    op.create_index(
        "ix_ledger_entries_registers",
        "ledger_entries",
        ["tenant", "index"],
        postgresql_where=sa.text("kind IN ('genesis', 'directory', 'key')"),
        sqlite_where=sa.text("kind IN ('genesis', 'directory', 'key')"),
    )
    op.create_table(
        "scim_resources",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("sort", identifier(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("external_id", identifier(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "sort", "id", name=op.f("pk_scim_resources")),
    )
    _make_accounts_anew(sa.Column("kind", identifier(), nullable=False, server_default=sa.text("'person'")))
    op.create_index("ix_accounts_person", "accounts", ["person", "tenant"])


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    for table, which in (
        ("person_attributes", "true"),
        ("absences", "true"),
        ("scim_resources", "true"),
        ("accounts", "kind <> 'person'"),
    ):
        if bind.dialect.name == "postgresql":
            op.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        query = sa.text(f"SELECT 1 FROM {table} WHERE {which} LIMIT 1")
        if not allowed and bind.execute(query).first():
            raise LedgerNotEmpty(table)
    _make_accounts_anew()
    op.drop_table("scim_resources")
    op.drop_index("ix_ledger_entries_registers", "ledger_entries")
    op.drop_table("absences")
    op.drop_table("person_attributes")


def _make_accounts_anew(*more: sa.Column[str]) -> None:
    """The accounts in a new table with these columns more, in the place where `create_table` puts them."""
    op.rename_table("accounts", "accounts_before")
    if op.get_bind().dialect.name == "postgresql":
        for name in ("pk_accounts", "uq_accounts_ref_tenant"):
            op.execute(f"ALTER TABLE accounts_before RENAME CONSTRAINT {name} TO {name}_before")
    op.create_table(
        "accounts",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("login", identifier(), nullable=False),
        sa.Column("ref", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger()),
        *more,
        sa.PrimaryKeyConstraint("tenant", "login", "valid_from", name=op.f("pk_accounts")),
        sa.UniqueConstraint("ref", "tenant", name=op.f("uq_accounts_ref_tenant")),
    )
    kept = "tenant, login, ref, person, valid_from, valid_to"
    op.execute(f"INSERT INTO accounts ({kept}) SELECT {kept} FROM accounts_before")
    op.drop_table("accounts_before")
