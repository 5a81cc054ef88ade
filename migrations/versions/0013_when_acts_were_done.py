"""Acts keep when they were done, and marks on trails age from then on.

Guarantees: whatever is there counts from when the ledger says that it was performed or that its claim ended;
where it does not say so of a claim that has ended, from the ledger's end, which is never too early. Once that
is said of an act it stays, as the moment of the claim does. Going back loses nothing that the ledger does not
hold.
"""

from __future__ import annotations

import json
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# What 0011 has, and from now on when it was claimed.
FIXED: Final = ("tenant", "claim", "kind", "chain", "step", "capacity", "exclusive", "voting")
CHANGED: Final = "an act stays what it is, and with the person whose it is"
CLAIMED: Final = f"at = {2**63 - 1}"

_MERGING: Final = """EXISTS (
        SELECT 1 FROM {{merged_persons}} m
        WHERE m.tenant = OLD.tenant AND m.person = OLD.{0} AND m.survivor = NEW.{0}
    )"""
_OF_PERSON: Final = f"NEW.person = OLD.person OR {_MERGING.format('person')}"
_OF_OTHER: Final = (
    f"NEW.beside = OLD.beside OR (NEW.beside = '' AND OLD.beside = OLD.person) OR {_MERGING.format('beside')}"
)
_TEXT: Final = {
    "sqlite": "json_extract(CAST(e.bytes AS TEXT), '$.{}')",
    "postgresql": "CAST(convert_from(e.bytes, 'UTF8') AS json)->>'{}'",
}


def upgrade() -> None:
    op.add_column("acts", sa.Column("done_at", sa.BigInteger()))
    _date_acts()
    op.execute(
        "UPDATE trail_marks SET at = coalesce((SELECT a.done_at FROM acts a"
        f" WHERE a.claim = trail_marks.claim AND a.tenant = trail_marks.tenant), {2**63 - 1})"
        " WHERE trail <> 'resembles'"
    )
    op.create_index(
        "ix_trail_marks_claimed",
        "trail_marks",
        ["tenant", "claim"],
        postgresql_where=sa.text(CLAIMED),
        sqlite_where=sa.text(CLAIMED),
    )
    _guard(of_times=True)


def downgrade() -> None:
    _guard(of_times=False)
    op.drop_index("ix_trail_marks_claimed", "trail_marks")
    op.execute(
        "UPDATE trail_marks SET at = (SELECT a.at FROM acts a"
        " WHERE a.claim = trail_marks.claim AND a.tenant = trail_marks.tenant)"
    )
    op.drop_column("acts", "done_at")


def _date_acts() -> None:
    """Say of every act when it was done, from what the ledger says of its claim."""
    told = _TEXT[op.get_bind().dialect.name]
    op.execute(
        "UPDATE acts SET done_at = told.at FROM (SELECT tenant, claim, min(at) AS at FROM ("
        f" SELECT e.tenant, {told.format('claim')} AS claim, e.at FROM ledger_entries e"
        " WHERE e.kind = 'outcome'"
        f" UNION ALL SELECT e.tenant, {told.format('void')} AS claim, e.at FROM ledger_entries e"
        " WHERE e.kind = 'resolution') ends WHERE claim IS NOT NULL GROUP BY tenant, claim) told"
        " WHERE told.claim = acts.claim AND told.tenant = acts.tenant"
    )
    last = "(SELECT h.last_at FROM ledger_heads h WHERE h.tenant = acts.tenant)"
    op.execute(
        f"UPDATE acts SET done_at = CASE WHEN state IN ('abandoned', 'void', 'reopened') THEN {last}"
        " ELSE at END WHERE done_at IS NULL AND state <> 'claimed' AND capacity <> 'principal'"
    )
    for tenant, kind in _kinds_of_claims():
        op.get_bind().execute(
            sa.text("UPDATE acts SET done_at = at WHERE tenant = :tenant AND kind = :kind"),
            {"tenant": tenant, "kind": kind},
        )
    # What was done for somebody is done with when the actor's act is, whose claim it has, followed by ":for".
    op.execute(
        "UPDATE acts SET done_at = (SELECT b.done_at FROM acts b WHERE b.tenant = acts.tenant"
        " AND b.claim = substr(acts.claim, 1, length(acts.claim) - 4))"
        " WHERE capacity = 'principal'"
    )


def _kinds_of_claims() -> list[tuple[str, str]]:
    """The chain kinds, each with its tenant, that take claims for progress."""
    query = sa.text(
        "SELECT h.tenant, b.data FROM ledger_heads h"
        " JOIN ledger_blobs b ON b.tenant = h.tenant AND b.digest = h.release"
    )
    return [
        (row.tenant, kind["chain"])
        for row in op.get_bind().execute(query)
        for name, content in json.loads(bytes(row.data))["files"].items()
        if "chains" in name.split("/")[:-1]
        for kind in _items(content)
        if kind.get("progress") == "claimed"
    ]


def _items(content: Any) -> list[Any]:
    return content if isinstance(content, list) else [content]


def _guard(*, of_times: bool) -> None:
    """The trigger over changed acts, which looks at their times or not, in the place of the one there is."""
    fixed = (*FIXED, "at") if of_times else FIXED
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite(fixed, of_times=of_times)
    else:
        _guard_postgresql(fixed, of_times=of_times)


def _guard_sqlite(fixed: tuple[str, ...], *, of_times: bool) -> None:
    tables = {"merged_persons": "merged_persons"}
    changed = " OR ".join(f'NEW."{name}" IS NOT OLD."{name}"' for name in fixed)
    moved = f"NEW.person IS NOT OLD.person AND NOT {_MERGING.format('person').format(**tables)}"
    when = f"{changed} OR ({moved}) OR NOT ({_OF_OTHER.format(**tables)})"
    if of_times:
        when += " OR (NEW.done_at IS NOT OLD.done_at AND (OLD.done_at IS NOT NULL OR NEW.done_at < NEW.at))"
    op.execute("DROP TRIGGER acts_fixed")
    op.execute(
        f"CREATE TRIGGER acts_fixed BEFORE UPDATE ON acts WHEN {when}"
        f" BEGIN SELECT RAISE(ABORT, '{CHANGED}'); END"
    )


def _guard_postgresql(fixed: tuple[str, ...], *, of_times: bool) -> None:
    bind = op.get_bind()
    # Whole names in the function: nobody can slip other tables in through search_path or pg_temp.
    schema = bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one()
    tables = {"merged_persons": f"{schema}.merged_persons"}
    same = " AND ".join(f"NEW.{name} = OLD.{name}" for name in fixed)
    times = ""
    if of_times:
        times = (
            " AND (NEW.done_at IS NOT DISTINCT FROM OLD.done_at"
            " OR (OLD.done_at IS NULL AND NEW.done_at >= NEW.at))"
        )
    op.execute(
        f"""CREATE OR REPLACE FUNCTION guard_fixed_act() RETURNS trigger LANGUAGE plpgsql
 SET search_path = pg_catalog, pg_temp AS $guard$BEGIN
    IF {same} AND ({_OF_PERSON.format(**tables)}) AND ({_OF_OTHER.format(**tables)}){times} THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '{CHANGED}' USING ERRCODE = 'integrity_constraint_violation';
END$guard$"""
    )
