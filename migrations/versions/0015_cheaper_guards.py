"""On SQLite the guards of each insert refuse what they refused, in half the time.

Guarantees: refuses exactly what 0001 and 0011 refuse, either way, and changes no row. Whatever has the next
index of its ledger replaces no entry by its index, so that this need not be looked up, and one trigger does
what two did; and a list of two names cost SQLite a table of its own for each act (together a third of the
time of writing an entry and an act). PostgreSQL's guards are what they were.
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

MERGED: Final = "this person was found to be another one, who acts in his or her own name"
NEXT: Final = "an entry must have the next index of its ledger"
REPLACED: Final = "a row of ledger_entries cannot be replaced"

_NOT_NEXT: Final = (
    'NEW."index" IS NOT (SELECT coalesce(max("index") + 1, 0) FROM ledger_entries WHERE tenant = NEW.tenant)'
)
_SAME_INDEX: Final = (
    'EXISTS (SELECT 1 FROM ledger_entries WHERE "tenant" = NEW."tenant" AND "index" = NEW."index")'
)
_SAME_ID: Final = 'EXISTS (SELECT 1 FROM ledger_entries WHERE "tenant" = NEW."tenant" AND "id" = NEW."id")'
_SAME_ROW: Final = "EXISTS (SELECT 1 FROM ledger_entries WHERE rowid = NEW.rowid)"
_GIVEN_UP: Final = "EXISTS (SELECT 1 FROM merged_persons m WHERE m.tenant = NEW.tenant AND m.person {})"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("ledger_entries_no_replace", "ledger_entries_next", "acts_own_name"):
            op.execute(f"DROP TRIGGER {name}")
        when = " OR ".join((_NOT_NEXT, _SAME_ID, _SAME_ROW))
        _before_insert("ledger_entries", "next", when, f"{NEXT}, and replaces none")
        either = " OR ".join(_GIVEN_UP.format(f"= NEW.{name}") for name in ("person", "beside"))
        _before_insert("acts", "own_name", either, MERGED)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in ("ledger_entries_next", "acts_own_name"):
            op.execute(f"DROP TRIGGER {name}")
        _before_insert("ledger_entries", "next", _NOT_NEXT, NEXT)
        when = " OR ".join((_SAME_INDEX, _SAME_ID, _SAME_ROW))
        _before_insert("ledger_entries", "no_replace", when, REPLACED)
        _before_insert("acts", "own_name", _GIVEN_UP.format("IN (NEW.person, NEW.beside)"), MERGED)


def _before_insert(table: str, name: str, when: str, message: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_{name} BEFORE INSERT ON {table} WHEN {when}"
        f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )
