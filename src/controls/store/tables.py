"""The tables. Every table carries its tenant; times are integer microseconds UTC, decimals are text.

Ledger tables (`ledger_entries, ledger_blobs, ledger_tiles, ledger_checkpoints`) only ever grow: triggers
made by the migrations refuse everything else. The other tables are working state that can be rebuilt from
the ledger and its disclosures; of these, `acts` and what they are measured by are guarded as well. Ids
collate `C` so that both databases sort alike.

Only primary keys and partial indexes begin with the tenant. On a young database PostgreSQL plans without
statistics and keeps those plans: of two indexes alike in their first column it can take the wrong one and
read the whole tenant (measured: appends 30 times slower at 8,000 entries, until the first ANALYZE).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def identifier(length: int = 256) -> String:
    """Text compared byte by byte on both databases."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


heads: Final = Table(
    "ledger_heads",
    metadata,
    Column("tenant", identifier(), primary_key=True),
    Column("origin", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("directory_index", BigInteger, nullable=False),
    Column("keys_index", BigInteger, nullable=False),
    Column("release", identifier(), nullable=False),
)

# The few entries that directory and keys are folded from, to be found among all the others.
OF_REGISTERS: Final = "kind IN ('genesis', 'directory', 'key')"

entries: Final = Table(
    "ledger_entries",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("id", identifier(), nullable=False),
    Column("kind", identifier(), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("chain", identifier(512)),
    Column("person", identifier()),
    Column("bytes", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "index"),
    UniqueConstraint("id", "tenant"),
    Index(
        "ix_ledger_entries_registers",
        "tenant",
        "index",
        postgresql_where=text(OF_REGISTERS),
        sqlite_where=text(OF_REGISTERS),
    ),
)

disclosures: Final = Table(
    "ledger_disclosures",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "index"),
)

blobs: Final = Table(
    "ledger_blobs",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("digest", identifier(), nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "digest"),
)

tiles: Final = Table(
    "ledger_tiles",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("level", Integer, nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("tenant", "level", "index"),
)

checkpoints: Final = Table(
    "ledger_checkpoints",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "size"),
)

LEDGER_TABLES: Final = (entries, blobs, tiles, checkpoints)

acts: Final = Table(
    "acts",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("claim", identifier(), nullable=False),
    Column("decision", identifier(), nullable=False),
    Column("kind", identifier(), nullable=False),
    Column("chain", identifier(), nullable=False),
    Column("step", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("account", identifier(), nullable=False),
    Column("capacity", identifier(), nullable=False),
    Column("state", identifier(), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("key", identifier(), nullable=False),
    Column("material", Text, nullable=False),
    Column("exclusive", Boolean, nullable=False),
    Column("voting", Boolean, nullable=False),
    Column("case", identifier(), nullable=False, server_default=text("''")),
    Column("beside", identifier(), nullable=False, server_default=text("''")),
    Column("done_at", BigInteger),
    PrimaryKeyConstraint("claim", "tenant"),
    Index("ix_acts_chain", "chain", "kind", "tenant", "index"),
    Index(
        "ix_acts_open",
        "tenant",
        "valid_until",
        postgresql_where=text("state = 'claimed' AND \"case\" = ''"),
        sqlite_where=text("state = 'claimed' AND \"case\" = ''"),
    ),
    # One live claim per non-repeating step, even if the code above the database were wrong.
    Index(
        "uq_acts_live_step",
        "tenant",
        "kind",
        "chain",
        "step",
        unique=True,
        postgresql_where=text("exclusive AND state IN ('claimed', 'performed')"),
        sqlite_where=text("exclusive = 1 AND state IN ('claimed', 'performed')"),
    ),
    # One live vote of each person, on a step that takes several.
    Index(
        "uq_acts_live_vote",
        "tenant",
        "kind",
        "chain",
        "step",
        "person",
        unique=True,
        postgresql_where=text("voting AND state IN ('claimed', 'performed')"),
        sqlite_where=text("voting = 1 AND state IN ('claimed', 'performed')"),
    ),
)

# How many of some steps of a chain one person may have a hand in, by the release that says so
# (`controls.duties.backstop`). Rows only ever come; triggers on `acts` keep to those of the release in force.
duty_limits: Final = Table(
    "duty_limits",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("release", identifier(), nullable=False),
    Column("kind", identifier(), nullable=False),
    Column("rule", identifier(), nullable=False),
    Column("act", identifier(), nullable=False),
    Column("step", identifier(), nullable=False),
    Column("most", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "release", "kind", "rule", "act", "step"),
)

# Where acts are found that are looked at beyond their chain (`controls.model.trail`). `value` and `part` are
# digests, so that every row is small; `person` is empty where acts are looked up whoever's they are. `at` is
# from when the act ages: the greatest number there is as long as it has not begun to.
STILL_CLAIMED: Final = 2**63 - 1
OF_SOMEBODY: Final = "person <> ''"
OF_CLAIMED: Final = f"at = {STILL_CLAIMED}"
trail_marks: Final = Table(
    "trail_marks",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("trail", identifier(512), nullable=False),
    Column("value", identifier(32), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("claim", identifier(), nullable=False),
    Column("part", identifier(32), nullable=False),
    Column("kind", identifier(), nullable=False),
    Column("step", identifier(), nullable=False),
    PrimaryKeyConstraint("value", "trail", "person", "at", "claim", "part", "tenant"),
    # The marks that change when their claim ends.
    Index(
        "ix_trail_marks_claimed",
        "tenant",
        "claim",
        postgresql_where=text(OF_CLAIMED),
        sqlite_where=text(OF_CLAIMED),
    ),
    # Who has acted at a place, and when last.
    Index(
        "ix_trail_marks_hands",
        *("tenant", "value", "trail", "person", "step", "part", "kind", "at"),
        postgresql_where=text(OF_SOMEBODY),
        sqlite_where=text(OF_SOMEBODY),
    ),
)

# What a chain comes from (`controls.model.lineage`), as its first act said; rows only ever come.
lineage_links: Final = Table(
    "lineage_links",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("kind", identifier(), nullable=False),
    Column("chain", identifier(), nullable=False),
    Column("relation", identifier(32), nullable=False),
    Column("to_kind", identifier(), nullable=False),
    Column("to_chain", identifier(), nullable=False),
    Column("index", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    PrimaryKeyConstraint("chain", "kind", "to_chain", "to_kind", "relation", "tenant"),
    Index("ix_lineage_links_to_chain", "to_chain", "to_kind", "tenant"),
)

reviews: Final = Table(
    "reviews",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("kind", identifier(), nullable=False),
    Column("state", identifier(), nullable=False),
    Column("decision", identifier(), nullable=False),
    Column("claim", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("action", identifier(), nullable=False),
    Column("resource_type", identifier(), nullable=False),
    Column("resource_id", identifier(), nullable=False),
    Column("chain_kind", identifier(), nullable=False),
    Column("material", identifier(), nullable=False),
    Column("findings", Text, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("resolved_by", identifier()),
    Column("resolution", identifier()),
    Column("follows", identifier(), nullable=False, server_default=text("''")),
    Column("beside", identifier(), nullable=False, server_default=text("''")),
    Column("due_at", BigInteger),
    PrimaryKeyConstraint("id", "tenant"),
    Index("ix_reviews_state", "state", "tenant", "opened_at", "id"),
    Index("ix_reviews_resource", "resource_id", "resource_type", "tenant"),
    Index(
        "ix_reviews_dated",
        "tenant",
        "opened_at",
        "id",
        postgresql_where=text("due_at IS NOT NULL"),
        sqlite_where=text("due_at IS NOT NULL"),
    ),
)

approvals: Final = Table(
    "approvals",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("review", identifier(), nullable=False),
    Column("approver", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("action", identifier(), nullable=False),
    Column("resource_type", identifier(), nullable=False),
    Column("resource_id", identifier(), nullable=False),
    Column("material", identifier(), nullable=False),
    Column("findings", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("id", "tenant"),
    Index("ix_approvals_resource", "resource_id", "resource_type", "tenant"),
)

approval_uses: Final = Table(
    "approval_uses",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("approval", identifier(), nullable=False),
    Column("decision", identifier(), nullable=False),
    PrimaryKeyConstraint("approval", "tenant"),
)

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("key", identifier(), nullable=False),
    Column("route", identifier(), nullable=False),
    Column("token", identifier(), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("claims", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("token", "key", "route", "tenant"),
    Index("ix_idempotency_at", "at", "tenant"),
)

# Which aggregates are counted, since when, and the key under which the names of their series are made.
aggregates: Final = Table(
    "aggregates",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("aggregate", identifier(), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    PrimaryKeyConstraint("aggregate", "tenant"),
)

# Requests that aggregates count, with running totals (`controls.model.window`). What they hold of a request
# is a name made with the salt above, and an amount.
observations: Final = Table(
    "aggregate_observations",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("series", identifier(), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("unit", identifier(), nullable=False),
    Column("amount", Text, nullable=False),
    Column("run", BigInteger, nullable=False),
    Column("total", Text, nullable=False),
    PrimaryKeyConstraint("series", "number", "tenant"),
    Index("ix_aggregate_observations_series", "series", "at", "number", "tenant"),
    Index("ix_aggregate_observations_at", "at", "tenant"),
)

persons: Final = Table(
    "persons",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("name", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
)

accounts: Final = Table(
    "accounts",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("login", identifier(), nullable=False),
    Column("ref", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger),
    Column("kind", identifier(), nullable=False, server_default=text("'person'")),
    PrimaryKeyConstraint("tenant", "login", "valid_from"),
    UniqueConstraint("ref", "tenant"),
    Index("ix_accounts_person", "person", "tenant"),
)

assignments: Final = Table(
    "role_assignments",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("role", identifier(), nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger),
    PrimaryKeyConstraint("tenant", "person", "role", "valid_from"),
)

# Department, desk, household and superior, each with its times.
attributes: Final = Table(
    "person_attributes",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("attribute", identifier(), nullable=False),
    Column("value", identifier(), nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger),
    PrimaryKeyConstraint("tenant", "person", "attribute", "valid_from"),
)

absences: Final = Table(
    "absences",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger),
    PrimaryKeyConstraint("tenant", "person", "valid_from"),
)

# Who may take which steps for whom; `steps` is a JSON list.
delegations: Final = Table(
    "delegations",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("delegate", identifier(), nullable=False),
    Column("kind", identifier(), nullable=False),
    Column("steps", Text, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "person", "id"),
)

# Whose conflict with which constraint is accepted, and what is done about it.
mitigations: Final = Table(
    "mitigations",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("constraint", identifier(), nullable=False),
    Column("owner", identifier(), nullable=False),
    Column("control", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "person", "id"),
)

# Who was found to be one with whom.
merged_persons: Final = Table(
    "merged_persons",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("person", identifier(), nullable=False),
    Column("survivor", identifier(), nullable=False),
    PrimaryKeyConstraint("tenant", "person"),
)

# What identity providers call users (accounts) and groups (roles) that they keep here.
provisioned: Final = Table(
    "scim_resources",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("sort", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("external_id", identifier(), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    PrimaryKeyConstraint("tenant", "sort", "id"),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("name", Text, nullable=False),
    Column("mac", identifier(), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("actions", Text, nullable=False),
    Column("speaks_for", Text, nullable=False),
    Column("account", identifier(), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    PrimaryKeyConstraint("tenant", "id"),
)

changes: Final = Table(
    "changes",
    metadata,
    Column("tenant", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("kind", identifier(), nullable=False),
    Column("state", identifier(), nullable=False),
    Column("summary", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("proposed_by", identifier(), nullable=False),
    Column("proposed_at", BigInteger, nullable=False),
    Column("confirmed_by", identifier()),
    Column("confirmed_at", BigInteger),
    PrimaryKeyConstraint("id", "tenant"),
)
