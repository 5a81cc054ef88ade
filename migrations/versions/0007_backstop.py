"""The database keeps to the duties by itself, whoever writes.

Guarantees: nobody's acts on one chain pass a limit that the release in force sets for everybody, always
(`duty_limits`: the whole chain, and the constraints that nothing may relax); what an act is, and whose,
never changes, but that the acts of a person who was found to be another become the other's; no act goes
away; nobody acts under the name of a person who was found to be another. Limits only come, one release after
another.

Going back forgets limits that every service writes anew when it starts, so nothing is lost.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LIMITS: Final = "duty_limits"
KEY: Final = ("tenant", "release", "kind", "rule", "act", "step")
# What an act is: all that constraints over persons and steps look at.
FIXED: Final = ("tenant", "claim", "kind", "chain", "step", "capacity", "exclusive", "voting")

PASSES: Final = "one person would have a hand in too many steps of a chain"
MERGED: Final = "this person was found to be another one, who acts in his or her own name"
CHANGED: Final = "an act stays what it is, and with the person whose it is"


def identifier(length: int = 256) -> sa.String:
    """Text compared byte by byte on both databases."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        LIMITS,
        sa.Column("tenant", identifier(), nullable=False),
        sa.Column("release", identifier(), nullable=False),
        sa.Column("kind", identifier(), nullable=False),
        sa.Column("rule", identifier(), nullable=False),
        sa.Column("act", identifier(), nullable=False),
        sa.Column("step", identifier(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(*KEY, name=op.f("pk_duty_limits")),
    )
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("within_limits", "own_name", "fixed", "no_delete"):
            op.execute(f"DROP TRIGGER acts_{name}")
    else:
        for name in ("within_limits", "fixed", "refuse", "refuse_row"):
            op.execute(f"DROP TRIGGER acts_{name} ON acts")
        op.execute("DROP FUNCTION guard_act()")
        op.execute("DROP FUNCTION guard_fixed_act()")
    op.drop_table(LIMITS)


# Most acts are their person's first ones on a chain; only for the others limits are looked up.
_HERE: Final = """
    a.chain = NEW.chain AND a.kind = NEW.kind AND a.tenant = NEW.tenant AND a.person = NEW.person"""
_PASSES: Final = (
    """
    EXISTS (SELECT 1 FROM {acts} a WHERE"""
    + _HERE
    + """)
    AND EXISTS (
        SELECT 1 FROM {limits} l
        WHERE l.tenant = NEW.tenant AND l.kind = NEW.kind
            AND l.release = (SELECT h.release FROM {heads} h WHERE h.tenant = NEW.tenant)
            AND (l.act = NEW.step OR l.act IN (SELECT a.step FROM {acts} a WHERE"""
    + _HERE
    + """))
        GROUP BY l.rule
        HAVING count(DISTINCT l.step) > max(l.most) AND sum(CASE WHEN l.act = NEW.step THEN 1 END) > 0
    )"""
)
_MERGED: Final = "EXISTS (SELECT 1 FROM {merged} m WHERE m.tenant = NEW.tenant AND m.person = NEW.person)"
_MERGING: Final = """EXISTS (
        SELECT 1 FROM {merged} m
        WHERE m.tenant = OLD.tenant AND m.person = OLD.person AND m.survivor = NEW.person
    )"""


def _tables(prefix: str = "") -> dict[str, str]:
    names = {"acts": "acts", "limits": LIMITS, "heads": "ledger_heads", "merged": "merged_persons"}
    return {name: prefix + table for name, table in names.items()}


def _guard_sqlite() -> None:
    tables = _tables()
    _trigger_sqlite("acts_within_limits", f"BEFORE INSERT ON acts WHEN {_PASSES.format(**tables)}", PASSES)
    _trigger_sqlite("acts_own_name", f"BEFORE INSERT ON acts WHEN {_MERGED.format(**tables)}", MERGED)
    changed = " OR ".join(f'NEW."{name}" IS NOT OLD."{name}"' for name in FIXED)
    moved = f"NEW.person IS NOT OLD.person AND NOT {_MERGING.format(**tables)}"
    _trigger_sqlite("acts_fixed", f"BEFORE UPDATE ON acts WHEN {changed} OR ({moved})", CHANGED)
    # REPLACE deletes the row that is in its way, and says so as recursive triggers are on.
    _trigger_sqlite("acts_no_delete", "BEFORE DELETE ON acts", "DELETE is refused on acts")
    for action in ("UPDATE", "DELETE"):
        name = f"{LIMITS}_no_{action.lower()}"
        _trigger_sqlite(name, f"BEFORE {action} ON {LIMITS}", f"{action} is refused on {LIMITS}")
    # As the ledger's tables: see the first migration for what a hidden rowid can do.
    same = " AND ".join(f'"{name}" = NEW."{name}"' for name in KEY)
    taken = f"EXISTS (SELECT 1 FROM {LIMITS} WHERE {same} OR rowid = NEW.rowid)"
    replaced = f"a row of {LIMITS} cannot be replaced"
    _trigger_sqlite(f"{LIMITS}_no_replace", f"BEFORE INSERT ON {LIMITS} WHEN {taken}", replaced)
    _trigger_sqlite(f"{LIMITS}_rowid", f"AFTER INSERT ON {LIMITS} WHEN NEW.rowid < 1", replaced)


def _trigger_sqlite(name: str, when: str, message: str) -> None:
    op.execute(f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, '{message}'); END")


def _guard_postgresql() -> None:
    bind = op.get_bind()
    # Whole names in the functions: nobody can slip other tables in through search_path or pg_temp.
    tables = _tables(bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one() + ".")
    _function_postgresql(
        "guard_act",
        f"""BEGIN
    IF {_PASSES.format(**tables)} THEN
        {_raise(PASSES)}
    END IF;
    IF {_MERGED.format(**tables)} THEN
        {_raise(MERGED)}
    END IF;
    RETURN NEW;
END""",
    )
    same = " AND ".join(f"NEW.{name} = OLD.{name}" for name in FIXED)
    _function_postgresql(
        "guard_fixed_act",
        f"""BEGIN
    IF {same} AND (NEW.person = OLD.person OR {_MERGING.format(**tables)}) THEN
        RETURN NEW;
    END IF;
    {_raise(CHANGED)}
END""",
    )
    _trigger_postgresql("acts", "within_limits", "BEFORE INSERT", "ROW", "act")
    _trigger_postgresql("acts", "fixed", "BEFORE UPDATE", "ROW", "fixed_act")
    _trigger_postgresql("acts", "refuse", "BEFORE DELETE OR TRUNCATE", "STATEMENT", "refuse")
    _trigger_postgresql("acts", "refuse_row", "BEFORE DELETE", "ROW", "refuse")
    _trigger_postgresql(LIMITS, "refuse", "BEFORE UPDATE OR DELETE OR TRUNCATE", "STATEMENT", "refuse")
    _trigger_postgresql(LIMITS, "refuse_row", "BEFORE UPDATE OR DELETE", "ROW", "refuse")


def _raise(message: str) -> str:
    return f"RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation';"


def _function_postgresql(name: str, body: str) -> None:
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql"
        f" SET search_path = pg_catalog, pg_temp AS $guard${body}$guard$"
    )


def _trigger_postgresql(table: str, suffix: str, when: str, each: str, function: str) -> None:
    name = f"{table}_{suffix}"
    op.execute(f"CREATE TRIGGER {name} {when} ON {table} FOR EACH {each} EXECUTE FUNCTION guard_{function}()")
    # ALWAYS: also for sessions that say they are a replica.
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
