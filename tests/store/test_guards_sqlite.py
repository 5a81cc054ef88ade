"""The guards on SQLite: every way around them is tried, with recursive triggers on and off."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.conftest import SEEDED

GUARDED = (
    "ledger_entries",
    "ledger_blobs",
    "ledger_tiles",
    "ledger_checkpoints",
    "ledger_heads",
    "approval_uses",
    "duty_limits",
)
ENTRY = '(tenant, "index", id, kind, at, bytes, leaf)'
NEXT = SEEDED

# A row of each table that is there already, written again with another content.
AGAIN = {
    "ledger_entries": f"{ENTRY} VALUES ('t', 5, 'new', 'decision', 1, 'x', 'y')",
    "ledger_blobs": "(tenant, digest, data) VALUES ('t', 'sha256:1', 'other')",
    "ledger_tiles": "(tenant, level, \"index\", data) VALUES ('t', 0, 0, 'other')",
    "ledger_checkpoints": f"(tenant, size, note) VALUES ('t', {SEEDED}, 'other')",
    "ledger_heads": "(tenant, origin, size, frontier, last_at, directory_index, keys_index, release)"
    " VALUES ('t', 'other', 0, 'f', 0, -1, -1, 'r')",
    "approval_uses": "(tenant, approval, decision) VALUES ('t', 'app_1', 'other')",
    "duty_limits": "(tenant, release, kind, rule, act, step, most)"
    " VALUES ('t', 'sha256:1', 'order', 'whole_chain', 'capture', 'capture', 99)",
}
# A new row of each table that takes the hidden row number of an old one.
IN_PLACE = {
    "ledger_entries": '(rowid, tenant, "index", id, kind, at, bytes, leaf)'
    f" VALUES (1, 't', {NEXT}, 'new', 'decision', 1, 'x', 'y')",
    "ledger_blobs": "(rowid, tenant, digest, data) VALUES (1, 't', 'sha256:new', 'other')",
    "ledger_tiles": "(rowid, tenant, level, \"index\", data) VALUES (1, 't', 0, 99, 'other')",
    "ledger_checkpoints": "(rowid, tenant, size, note) VALUES (1, 't', 99999, 'other')",
    "ledger_heads": "(rowid, tenant, origin, size, frontier, last_at, directory_index, keys_index, release)"
    " VALUES (1, 'u', 'other', 0, x'0000000000000000', 0, -1, -1, 'r')",
    "approval_uses": "(rowid, tenant, approval, decision) VALUES (1, 't', 'new', 'other')",
    "duty_limits": "(rowid, tenant, release, kind, rule, act, step, most)"
    " VALUES (1, 't', 'sha256:2', 'order', 'whole_chain', 'capture', 'capture', 99)",
}
BYPASSES = [
    *(f"DELETE FROM {table}" for table in GUARDED),
    *(f"DELETE FROM {table} WHERE rowid = 1" for table in GUARDED),
    *(f"UPDATE {table} SET tenant = 'other'" for table in GUARDED),
    *(f"UPDATE {table} SET rowid = rowid + 100000" for table in GUARDED),
    *(f"REPLACE INTO {table} {row}" for table, row in AGAIN.items()),
    *(f"INSERT OR REPLACE INTO {table} {row}" for table, row in IN_PLACE.items()),
    *(f"INSERT OR IGNORE INTO {table} {row}" for table, row in AGAIN.items()),
    *(
        f"INSERT INTO {table} {row} ON CONFLICT DO UPDATE SET tenant = 'other'"
        for table, row in AGAIN.items()
    ),
    'UPDATE OR REPLACE ledger_entries SET "index" = 4 WHERE "index" = 5',
    "UPDATE OR IGNORE ledger_entries SET bytes = 'x' WHERE \"index\" = 5",
    "UPDATE ledger_entries SET id = 'other' WHERE \"index\" = 5",
    "UPDATE ledger_entries SET bytes = bytes",
    "UPDATE ledger_entries SET bytes = 'x' FROM ledger_heads h WHERE h.tenant = ledger_entries.tenant",
    "UPDATE ledger_tiles SET data = zeroblob(8192)",
    "UPDATE ledger_checkpoints SET note = 'other'",
    "UPDATE ledger_blobs SET data = 'other'",
    "UPDATE approval_uses SET decision = 'other'",
    # A new entry that takes the id of an old one away from it.
    f"INSERT OR REPLACE INTO ledger_entries {ENTRY} VALUES ('t', {NEXT}, 'dec_7_5', 'decision', 1, 'x', 'y')",
    # Gaps, negative and other impossible indexes, in a known and in a new tenant.
    *(
        f"INSERT INTO ledger_entries {ENTRY} VALUES ('{tenant}', {index}, 'new', 'decision', 1, 'x', 'y')"
        for tenant, index in (
            *(
                ("t", NEXT + 1),
                ("t", -1),
                ("t", "NULL"),
                ("t", "'abc'"),
                ("t", 599.5),
                ("t", 9223372036854775807),
            ),
            *(("u", 1), ("u", -1)),
        )
    ),
    f"INSERT OR REPLACE INTO ledger_entries {ENTRY} VALUES ('t', -1, 'new', 'decision', 1, 'x', 'y')",
    # One statement that writes a good row and then a bad one.
    f"INSERT INTO ledger_entries {ENTRY} VALUES ('t', {NEXT}, 'n1', 'decision', 1, 'x', 'y'),"
    f" ('t', {NEXT}, 'n2', 'decision', 1, 'x', 'y')",
    f"INSERT INTO ledger_entries {ENTRY} SELECT tenant, \"index\" + {NEXT + 1}, id || 'n', kind, at, bytes,"
    ' leaf FROM ledger_entries WHERE "index" < 3',
    # Hidden row numbers below 1 would be taken for "not named" later on.
    *(f"INSERT INTO {table} {row.replace('VALUES (1,', 'VALUES (-1,')}" for table, row in IN_PLACE.items()),
    # The head row.
    "UPDATE ledger_heads SET size = size - 1",
    "UPDATE ledger_heads SET size = 0, frontier = x'0000000000000000'",
    "UPDATE ledger_heads SET size = size + 1",
    "UPDATE ledger_heads SET size = 'many'",
    "UPDATE ledger_heads SET size = NULL",
    "UPDATE ledger_heads SET size = 9223372036854775807",
    "UPDATE ledger_heads SET frontier = x'00'",
    "UPDATE ledger_heads SET last_at = last_at - 1",
    "UPDATE ledger_heads SET last_at = 'never'",
    "UPDATE ledger_heads SET origin = 'other'",
    "UPDATE OR REPLACE ledger_heads SET rowid = 7",
]


def contents(connection: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all guarded tables."""
    return {
        table: connection.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()
        for table in GUARDED
    }


@pytest.fixture(scope="module", params=["recursive", "plain"])
def ledger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sqlite3.Connection]:
    """A connection to a ledger, as somebody else than the service would make it."""
    template = request.getfixturevalue("sqlite_ledger_template")
    path = tmp_path_factory.mktemp("bypass") / "controls.db"
    with closing(sqlite3.connect(template.where)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {'ON' if request.param == 'recursive' else 'OFF'}")
        yield connection


@pytest.fixture(scope="module")
def before(ledger: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    found = contents(ledger)
    assert all(found.values()), "there is something to lose in every table"
    return found


@pytest.mark.parametrize("statement", BYPASSES)
def test_the_bypass_is_refused(
    ledger: sqlite3.Connection, before: dict[str, list[tuple[object, ...]]], statement: str
) -> None:
    """A guard makes the statement fail, and nothing is changed."""
    with pytest.raises(sqlite3.IntegrityError) as refused:
        ledger.execute(statement)
    assert refused.value.sqlite_errorname == "SQLITE_CONSTRAINT_TRIGGER"
    assert contents(ledger) == before


def test_the_next_rows_are_taken(sqlite_ledger: Path) -> None:
    """What the guards let through: the next entries in one statement, then the head that counts them."""
    with closing(sqlite3.connect(sqlite_ledger)) as connection:
        connection.execute(
            f"INSERT INTO ledger_entries {ENTRY} VALUES ('t', {NEXT}, 'n1', 'decision', 1, 'x', 'y'),"
            f" ('t', {NEXT + 1}, 'n2', 'decision', 1, 'x', 'y'), ('u', 0, 'n1', 'decision', 1, 'x', 'y')"
        )
        connection.execute("UPDATE ledger_heads SET size = size + 2, frontier = x'01', last_at = last_at + 1")
        connection.execute(
            "UPDATE ledger_heads SET release = 'sha256:1', directory_index = 3, keys_index = 4"
        )
        connection.execute("INSERT INTO approval_uses VALUES ('t', 'app_2', 'd')")
        connection.commit()
