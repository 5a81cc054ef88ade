"""For whom an act was done stays as it is, too, as the act itself does since the backstop (0007).

Guarantees: the other person of an act changes only to whom that person was found to be, and to nobody where
the two of an act were found to be one; nobody acts for a person under a name that was given up.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# What 0007 has: all that constraints over persons and steps look at, and when there were no other persons.
FIXED: Final = ("tenant", "claim", "kind", "chain", "step", "capacity", "exclusive", "voting")
MERGED: Final = "this person was found to be another one, who acts in his or her own name"
CHANGED: Final = "an act stays what it is, and with the person whose it is"
PASSES: Final = "one person would have a hand in too many steps of a chain"

_MERGED: Final = (
    "EXISTS (SELECT 1 FROM {merged_persons} m WHERE m.tenant = NEW.tenant AND m.person = NEW.person)"
)
_MERGED_EITHER: Final = (
    "EXISTS (SELECT 1 FROM {merged_persons} m"
    " WHERE m.tenant = NEW.tenant AND m.person IN (NEW.person, NEW.beside))"
)
_MERGING: Final = """EXISTS (
        SELECT 1 FROM {{merged_persons}} m
        WHERE m.tenant = OLD.tenant AND m.person = OLD.{0} AND m.survivor = NEW.{0}
    )"""
_OF_PERSON: Final = f"NEW.person = OLD.person OR {_MERGING.format('person')}"
_OF_OTHER: Final = (
    f"NEW.beside = OLD.beside OR (NEW.beside = '' AND OLD.beside = OLD.person) OR {_MERGING.format('beside')}"
)
_HERE: Final = """
    a.chain = NEW.chain AND a.kind = NEW.kind AND a.tenant = NEW.tenant AND a.person = NEW.person"""
_PASSES: Final = (
    """
    EXISTS (SELECT 1 FROM {acts} a WHERE"""
    + _HERE
    + """)
    AND EXISTS (
        SELECT 1 FROM {duty_limits} l
        WHERE l.tenant = NEW.tenant AND l.kind = NEW.kind
            AND l.release = (SELECT h.release FROM {ledger_heads} h WHERE h.tenant = NEW.tenant)
            AND (l.act = NEW.step OR l.act IN (SELECT a.step FROM {acts} a WHERE"""
    + _HERE
    + """))
        GROUP BY l.rule
        HAVING count(DISTINCT l.step) > max(l.most) AND sum(CASE WHEN l.act = NEW.step THEN 1 END) > 0
    )"""
)


def upgrade() -> None:
    _guard(of_both=True)


def downgrade() -> None:
    _guard(of_both=False)


def _guard(*, of_both: bool) -> None:
    """The triggers over names, of one or of both persons of an act, in the place of those there are."""
    merged = _MERGED_EITHER if of_both else _MERGED
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite(merged, of_both=of_both)
    else:
        _guard_postgresql(merged, of_both=of_both)


def _guard_sqlite(merged: str, *, of_both: bool) -> None:
    tables = _tables()
    changed = " OR ".join(f'NEW."{name}" IS NOT OLD."{name}"' for name in FIXED)
    moved = f"NEW.person IS NOT OLD.person AND NOT {_MERGING.format('person').format(**tables)}"
    when = f"{changed} OR ({moved})"
    if of_both:
        when += f" OR NOT ({_OF_OTHER.format(**tables)})"
    for name, guard, message in (
        ("own_name", f"BEFORE INSERT ON acts WHEN {merged.format(**tables)}", MERGED),
        ("fixed", f"BEFORE UPDATE ON acts WHEN {when}", CHANGED),
    ):
        op.execute(f"DROP TRIGGER acts_{name}")
        op.execute(f"CREATE TRIGGER acts_{name} {guard} BEGIN SELECT RAISE(ABORT, '{message}'); END")


def _guard_postgresql(merged: str, *, of_both: bool) -> None:
    bind = op.get_bind()
    # Whole names in the functions: nobody can slip other tables in through search_path or pg_temp.
    tables = _tables(bind.execute(sa.text("SELECT quote_ident(current_schema())")).scalar_one() + ".")
    _function_postgresql(
        "guard_act",
        f"""BEGIN
    IF {_PASSES.format(**tables)} THEN
        {_raise(PASSES)}
    END IF;
    IF {merged.format(**tables)} THEN
        {_raise(MERGED)}
    END IF;
    RETURN NEW;
END""",
    )
    same = " AND ".join(f"NEW.{name} = OLD.{name}" for name in FIXED)
    other = f" AND ({_OF_OTHER.format(**tables)})" if of_both else ""
    _function_postgresql(
        "guard_fixed_act",
        f"""BEGIN
    IF {same} AND ({_OF_PERSON.format(**tables)}){other} THEN
        RETURN NEW;
    END IF;
    {_raise(CHANGED)}
END""",
    )


def _tables(prefix: str = "") -> dict[str, str]:
    return {name: prefix + name for name in ("acts", "duty_limits", "ledger_heads", "merged_persons")}


def _raise(message: str) -> str:
    return f"RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation';"


def _function_postgresql(name: str, body: str) -> None:
    op.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql"
        f" SET search_path = pg_catalog, pg_temp AS $guard${body}$guard$"
    )
