"""The first tables and their guards.

Guarantees: the ledger's tables only ever grow, entry by entry, whoever writes (on PostgreSQL even with
`session_replication_role = replica`, on SQLite even with `INSERT OR REPLACE` and recursive triggers off);
the head row never goes back and always says how many entries there are; an approval is used once. Going
back deletes everything, so it is refused while the ledger holds anything.

`controls.store.guards` knows every guard by its fingerprint: a migration that changes one changes it there.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import context, op

from controls.store.migrate import LedgerNotEmpty

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Tables whose rows never change or go, and what makes a row the same as another.
ONLY_GROW: Final = {
    "ledger_entries": (("tenant", "index"), ("tenant", "id")),
    "ledger_blobs": (("tenant", "digest"),),
    "ledger_tiles": (("tenant", "level", "index"),),
    "ledger_checkpoints": (("tenant", "size"),),
    "approval_uses": (("tenant", "approval"),),
}
HEADS: Final = "ledger_heads"


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    _make_ledger()
    _make_working_state()
    _make_directory()
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def downgrade() -> None:
    allowed = context.get_x_argument(as_dictionary=True).get("allow_data_loss") == "yes"
    bind = op.get_bind()
    for table in (*ONLY_GROW, HEADS):
        if bind.dialect.name == "postgresql":
            op.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        if not allowed and bind.execute(sa.text(f"SELECT 1 FROM {table} LIMIT 1")).first():
            raise LedgerNotEmpty(table)
    for table in (
        *("changes", "api_keys", "role_assignments", "accounts", "persons", "idempotency"),
        *("approval_uses", "approvals", "reviews", "acts"),
        *("ledger_checkpoints", "ledger_tiles", "ledger_blobs", "ledger_disclosures"),
        *("ledger_entries", "ledger_heads"),
    ):
        op.drop_table(table)
    if bind.dialect.name == "postgresql":
        for function in ("guard_refuse", "guard_next_entry", "guard_head"):
            op.execute(f"DROP FUNCTION {function}()")


def _make_ledger() -> None:
    op.create_table(
        "ledger_heads",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("directory_index", sa.BigInteger(), nullable=False),
        sa.Column("keys_index", sa.BigInteger(), nullable=False),
        sa.Column("release", identifier(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_ledger_heads")),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("kind", identifier(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("chain", identifier(512)),
        sa.Column("person", identifier()),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "index", name=op.f("pk_ledger_entries")),
        sa.UniqueConstraint("id", "tenant", name=op.f("uq_ledger_entries_id_tenant")),
    )
    op.create_table(
        "ledger_disclosures",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "index", name=op.f("pk_ledger_disclosures")),
    )
    op.create_table(
        "ledger_blobs",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("digest", identifier(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest", name=op.f("pk_ledger_blobs")),
    )
    op.create_table(
        "ledger_tiles",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "level", "index", name=op.f("pk_ledger_tiles")),
    )
    op.create_table(
        "ledger_checkpoints",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "size", name=op.f("pk_ledger_checkpoints")),
    )


def _make_working_state() -> None:
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
        sa.Column("scope_account", identifier(1024), nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
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
    op.create_index("ix_acts_scope_account", "acts", ["scope_account", "tenant", "person"])
    op.create_index(
        "uq_acts_live_step",
        "acts",
        ["tenant", "kind", "chain", "step"],
        unique=True,
        postgresql_where=sa.text("exclusive AND state IN ('claimed', 'performed')"),
        sqlite_where=sa.text("exclusive = 1 AND state IN ('claimed', 'performed')"),
    )
    op.create_table(
        "reviews",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("kind", identifier(), nullable=False),
        sa.Column("state", identifier(), nullable=False),
        sa.Column("decision", identifier(), nullable=False),
        sa.Column("claim", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("action", identifier(), nullable=False),
        sa.Column("resource_type", identifier(), nullable=False),
        sa.Column("resource_id", identifier(), nullable=False),
        sa.Column("chain_kind", identifier(), nullable=False),
        sa.Column("material", identifier(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger()),
        sa.Column("resolved_by", identifier()),
        sa.Column("resolution", identifier()),
        sa.Column("follows", identifier(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", "tenant", name=op.f("pk_reviews")),
    )
    op.create_index("ix_reviews_resource", "reviews", ["resource_id", "resource_type", "tenant"])
    op.create_index("ix_reviews_state", "reviews", ["state", "tenant", "opened_at", "id"])
    op.create_table(
        "approvals",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("review", identifier(), nullable=False),
        sa.Column("approver", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("action", identifier(), nullable=False),
        sa.Column("resource_type", identifier(), nullable=False),
        sa.Column("resource_id", identifier(), nullable=False),
        sa.Column("material", identifier(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", "tenant", name=op.f("pk_approvals")),
    )
    op.create_index("ix_approvals_resource", "approvals", ["resource_id", "resource_type", "tenant"])
    op.create_table(
        "approval_uses",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("approval", identifier(), nullable=False),
        sa.Column("decision", identifier(), nullable=False),
        sa.PrimaryKeyConstraint("approval", "tenant", name=op.f("pk_approval_uses")),
    )
    op.create_table(
        "idempotency",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("key", identifier(), nullable=False),
        sa.Column("route", identifier(), nullable=False),
        sa.Column("token", identifier(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", "key", "route", "tenant", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_at", "idempotency", ["at", "tenant"])


def _make_directory() -> None:
    op.create_table(
        "persons",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_persons")),
    )
    op.create_table(
        "accounts",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("login", identifier(), nullable=False),
        sa.Column("ref", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "login", "valid_from", name=op.f("pk_accounts")),
        sa.UniqueConstraint("ref", "tenant", name=op.f("uq_accounts_ref_tenant")),
    )
    op.create_table(
        "role_assignments",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("person", identifier(), nullable=False),
        sa.Column("role", identifier(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "person", "role", "valid_from", name=op.f("pk_role_assignments")),
    )
    op.create_table(
        "api_keys",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("mac", identifier(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.Column("speaks_for", sa.Text(), nullable=False),
        sa.Column("account", identifier(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "changes",
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("id", identifier(), nullable=False),
        sa.Column("kind", identifier(), nullable=False),
        sa.Column("state", identifier(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("proposed_by", identifier(), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_by", identifier()),
        sa.Column("confirmed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", "tenant", name=op.f("pk_changes")),
    )


def _guard_sqlite() -> None:
    for table, keys in ONLY_GROW.items():
        _refuse_sqlite(table, "UPDATE")
        _refuse_sqlite(table, "DELETE")
        _refuse_replacing_sqlite(table, keys)
    _refuse_sqlite(HEADS, "DELETE")
    _refuse_replacing_sqlite(HEADS, (("tenant",),))
    _create_trigger_sqlite(
        "ledger_entries_next",
        f'BEFORE INSERT ON ledger_entries WHEN NEW."index" IS NOT {_SQLITE_COUNT}',
        "an entry must have the next index of its ledger",
    )
    # The count holds after the entries of the same transaction are in, so the head is written last.
    _create_trigger_sqlite(
        "ledger_heads_forward",
        f"""BEFORE UPDATE ON ledger_heads WHEN
            NEW.tenant IS NOT OLD.tenant OR NEW.origin IS NOT OLD.origin OR NEW.rowid IS NOT OLD.rowid
            OR typeof(NEW.size) <> 'integer' OR NEW.size < OLD.size
            OR typeof(NEW.last_at) <> 'integer' OR NEW.last_at < OLD.last_at
            OR (NEW.size = OLD.size AND NEW.frontier IS NOT OLD.frontier)
            OR (NEW.size <> OLD.size AND NEW.size <> {_SQLITE_COUNT})""",
        "the head of a ledger only goes forward, to the number of its entries",
    )


_SQLITE_COUNT: Final = '(SELECT coalesce(max("index") + 1, 0) FROM ledger_entries WHERE tenant = NEW.tenant)'


def _refuse_sqlite(table: str, action: str) -> None:
    _create_trigger_sqlite(
        f"{table}_no_{action.lower()}", f"BEFORE {action} ON {table}", f"{action} is refused on {table}"
    )


def _refuse_replacing_sqlite(table: str, keys: tuple[tuple[str, ...], ...]) -> None:
    """Refuse `INSERT OR REPLACE`, which deletes the old row without a word when recursive triggers are off.

    A row can be replaced through each of its unique keys, and through its hidden rowid: an INSERT may name
    it. One that does not has -1 there (or whatever a later SQLite puts there: it calls that undefined)
    before the row is in; therefore no row may ever have a rowid below 1.
    """
    conditions = [" AND ".join(f'"{name}" = NEW."{name}"' for name in key) for key in keys]
    conditions.append("rowid = NEW.rowid")
    same = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE {condition})" for condition in conditions)
    message = f"a row of {table} cannot be replaced"
    _create_trigger_sqlite(f"{table}_no_replace", f"BEFORE INSERT ON {table} WHEN {same}", message)
    _create_trigger_sqlite(f"{table}_rowid", f"AFTER INSERT ON {table} WHEN NEW.rowid < 1", message)


def _create_trigger_sqlite(name: str, when: str, message: str) -> None:
    op.execute(f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{message}'); END")


def _guard_postgresql() -> None:
    bind = op.get_bind()
    # Whole names in the functions: nobody can slip other tables in through search_path or pg_temp.
    schema = bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    entries = f"{schema}.ledger_entries"
    _create_function_postgresql(
        "guard_refuse",
        """BEGIN
    RAISE EXCEPTION '% is refused on %', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END""",
    )
    _create_function_postgresql(
        "guard_next_entry",
        f"""BEGIN
    IF NEW.index = 0 OR (NEW.index > 0 AND EXISTS (
        SELECT FROM {entries} WHERE tenant = NEW.tenant AND index = NEW.index - 1
    )) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'an entry must have the next index of its ledger'
        USING ERRCODE = 'integrity_constraint_violation';
END""",
    )
    _create_function_postgresql(
        "guard_head",
        f"""BEGIN
    IF NEW.tenant = OLD.tenant AND NEW.origin = OLD.origin AND NEW.last_at >= OLD.last_at AND (
        (NEW.size = OLD.size AND NEW.frontier = OLD.frontier)
        OR (
            NEW.size > OLD.size
            AND EXISTS (SELECT FROM {entries} WHERE tenant = NEW.tenant AND index = NEW.size - 1)
            AND NOT EXISTS (SELECT FROM {entries} WHERE tenant = NEW.tenant AND index = NEW.size)
        )
    ) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the head of a ledger only goes forward, to the number of its entries'
        USING ERRCODE = 'integrity_constraint_violation';
END""",
    )
    for table in ONLY_GROW:
        # Statement triggers fire before anything is looked at, and are all that TRUNCATE knows; row
        # triggers hold where rows are changed without a statement (logical replication, a parent table).
        _create_trigger_postgresql(
            table, "refuse", "BEFORE UPDATE OR DELETE OR TRUNCATE", "STATEMENT", "refuse"
        )
        _create_trigger_postgresql(table, "refuse_row", "BEFORE UPDATE OR DELETE", "ROW", "refuse")
    _create_trigger_postgresql(HEADS, "refuse", "BEFORE DELETE OR TRUNCATE", "STATEMENT", "refuse")
    _create_trigger_postgresql(HEADS, "refuse_row", "BEFORE DELETE", "ROW", "refuse")
    _create_trigger_postgresql(HEADS, "forward", "BEFORE UPDATE", "ROW", "head")
    _create_trigger_postgresql("ledger_entries", "next", "BEFORE INSERT", "ROW", "next_entry")


def _create_function_postgresql(name: str, body: str) -> None:
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql"
        f" SET search_path = pg_catalog, pg_temp AS $guard${body}$guard$"
    )


def _create_trigger_postgresql(table: str, suffix: str, when: str, each: str, function: str) -> None:
    name = f"{table}_{suffix}"
    op.execute(f"CREATE TRIGGER {name} {when} ON {table} FOR EACH {each} EXECUTE FUNCTION guard_{function}()")
    # ALWAYS: also for sessions that say they are a replica.
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
