"""The guards on PostgreSQL: every way around them is tried, as the owner of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString, cast

import psycopg
import pytest

from tests.databases import PostgresServer, database_on
from tests.store.conftest import SEEDED, Template
from tests.store.test_guards_sqlite import AGAIN, ENTRY, GUARDED, NEXT

KEYS = {
    "ledger_entries": "tenant, index",
    "ledger_blobs": "tenant, digest",
    "ledger_tiles": "tenant, level, index",
    "ledger_checkpoints": "tenant, size",
    "ledger_heads": "tenant",
    "approval_uses": "tenant, approval",
    "duty_limits": "tenant, release, kind, rule, act, step",
}
BYPASSES = [
    *(f"DELETE FROM {table}" for table in GUARDED),
    *(f"DELETE FROM ONLY {table} WHERE tenant = 't'" for table in GUARDED),
    *(f"TRUNCATE {table}" for table in GUARDED),
    *(f"TRUNCATE {table} RESTART IDENTITY CASCADE" for table in GUARDED),
    "TRUNCATE ledger_disclosures, ledger_entries",
    *(f"UPDATE {table} SET tenant = 'other'" for table in GUARDED),
    # Nothing to change, and still not a question that anybody may ask (the head row may be changed).
    *(f"UPDATE {table} SET tenant = 'other' WHERE false" for table in GUARDED if table != "ledger_heads"),
    *(
        f"INSERT INTO {table} {row} ON CONFLICT ({KEYS[table]}) DO UPDATE SET tenant = 'other'"
        for table, row in AGAIN.items()
    ),
    *(f"INSERT INTO {table} {row}" for table, row in AGAIN.items()),
    *(f"MERGE INTO {table} USING (VALUES (1)) AS v ON true WHEN MATCHED THEN DELETE" for table in GUARDED),
    *(
        f"MERGE INTO {table} USING (VALUES (1)) AS v ON true WHEN MATCHED THEN UPDATE SET tenant = 'other'"
        for table in GUARDED
    ),
    "WITH gone AS (DELETE FROM ledger_entries RETURNING *) SELECT count(*) FROM gone",
    "WITH changed AS (UPDATE ledger_entries SET bytes = 'x' RETURNING 1) SELECT count(*) FROM changed",
    "UPDATE ledger_entries e SET bytes = 'x' FROM ledger_heads h WHERE h.tenant = e.tenant",
    "UPDATE ledger_entries SET index = index + 1000",
    "UPDATE ledger_entries SET id = 'other' WHERE index = 5",
    "UPDATE ledger_entries SET bytes = bytes",
    "UPDATE ledger_tiles SET data = ''",
    "UPDATE ledger_checkpoints SET note = 'other'",
    "UPDATE ledger_blobs SET data = 'other'",
    "UPDATE approval_uses SET decision = 'other'",
    "DO $$ BEGIN DELETE FROM ledger_entries WHERE index = 5; END $$",
    f"INSERT INTO ledger_entries {ENTRY} VALUES ('t', {NEXT}, 'dec_7_5', 'decision', 1, 'x', 'y')",
    *(
        f"INSERT INTO ledger_entries {ENTRY} VALUES ('{tenant}', {index}, 'new', 'decision', 1, 'x', 'y')"
        for tenant, index in (
            *(("t", NEXT + 1), ("t", -1), ("t", "NULL"), ("t", 9223372036854775807)),
            *(("t", -9223372036854775808), ("u", 1), ("u", -1)),
        )
    ),
    f"INSERT INTO ledger_entries {ENTRY} VALUES ('t', {NEXT}, 'n1', 'decision', 1, 'x', 'y'),"
    f" ('t', {NEXT + 2}, 'n2', 'decision', 1, 'x', 'y')",
    # A temporary table or another schema in front does not deceive the functions.
    "CREATE TEMPORARY TABLE ledger_entries (tenant text, index bigint);"
    " INSERT INTO pg_temp.ledger_entries VALUES ('u', 4);"
    f" INSERT INTO public.ledger_entries {ENTRY} VALUES ('u', 5, 'new', 'decision', 1, 'x', 'y')",
    "CREATE SCHEMA evil CREATE TABLE ledger_entries (tenant text, index bigint);"
    " INSERT INTO evil.ledger_entries VALUES ('u', 4); SET LOCAL search_path = evil, public;"
    f" INSERT INTO public.ledger_entries {ENTRY} VALUES ('u', 5, 'new', 'decision', 1, 'x', 'y')",
    # A parent table's statement triggers are the only ones that fire: the row triggers hold.
    *(
        f"CREATE TABLE parent (LIKE {table}); ALTER TABLE {table} INHERIT parent; {action}"
        for table in GUARDED
        for action in ("DELETE FROM parent", "UPDATE parent SET tenant = 'other'")
    ),
    # The head row.
    "UPDATE ledger_heads SET size = size - 1",
    "UPDATE ledger_heads SET size = 0, frontier = '\\x0000000000000000'",
    "UPDATE ledger_heads SET size = size + 1",
    "UPDATE ledger_heads SET size = NULL",
    "UPDATE ledger_heads SET size = 9223372036854775807",
    "UPDATE ledger_heads SET frontier = '\\x00'",
    "UPDATE ledger_heads SET last_at = last_at - 1",
    "UPDATE ledger_heads SET origin = 'other'",
]


def contents(connection: psycopg.Connection) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all guarded tables."""
    return {
        table: connection.execute(literal(f"SELECT * FROM public.{table} ORDER BY 1, 2, 3")).fetchall()
        for table in GUARDED
    }


def literal(statement: str) -> LiteralString:
    """psycopg asks for constants; these are."""
    return cast("LiteralString", statement)


@pytest.fixture(scope="module")
def ledger(
    postgres_server: PostgresServer, postgres_ledger_template: Template
) -> Iterator[psycopg.Connection]:
    """A connection to a ledger as the tables' owner; nothing that a test does is committed."""
    with (
        database_on(postgres_server, template=postgres_ledger_template.where) as name,
        psycopg.connect(postgres_server.conninfo_of(name)) as connection,
    ):
        yield connection


@pytest.fixture(scope="module")
def before(ledger: psycopg.Connection) -> dict[str, list[tuple[object, ...]]]:
    found = contents(ledger)
    assert all(found.values()), "there is something to lose in every table"
    return found


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("statement", BYPASSES)
def test_the_bypass_is_refused(ledger: psycopg.Connection, statement: str, role: str) -> None:
    """The statement fails as a broken constraint, also for a session that says it is a replica."""
    try:
        ledger.execute(literal(f"SET LOCAL session_replication_role = {role}"))
        with pytest.raises(psycopg.errors.IntegrityError):
            ledger.execute(literal(statement))
    finally:
        ledger.rollback()


def test_the_bypasses_changed_nothing(
    ledger: psycopg.Connection, before: dict[str, list[tuple[object, ...]]]
) -> None:
    """After a refused statement in a transaction of its own, every row is as it was."""
    for statement in (
        "DELETE FROM ledger_entries",
        "TRUNCATE ledger_tiles",
        "UPDATE ledger_heads SET size = 1",
    ):
        with pytest.raises(psycopg.errors.IntegrityError):
            ledger.execute(literal(statement))
        ledger.rollback()
        assert contents(ledger) == before


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize("index", [5, -1, NEXT + 1])
def test_copy_is_refused_too(ledger: psycopg.Connection, index: int, role: str) -> None:
    """COPY can rewrite nothing and leave no gap."""
    ledger.execute(literal(f"SET LOCAL session_replication_role = {role}"))
    with pytest.raises(psycopg.errors.IntegrityError):
        copy(ledger, index)
    ledger.rollback()


def copy(connection: psycopg.Connection, *indexes: int) -> None:
    with connection.cursor().copy(literal(f"COPY ledger_entries {ENTRY} FROM STDIN")) as stream:
        for index in indexes:
            stream.write_row(("t", index, f"new{index}", "decision", 1, b"x", b"y"))


def test_the_next_rows_are_taken(ledger: psycopg.Connection) -> None:
    """What the guards let through: the next entries by COPY or INSERT, then the head that counts them."""
    copy(ledger, NEXT, NEXT + 1)
    ledger.execute(
        literal(
            f"INSERT INTO ledger_entries {ENTRY} VALUES ('t', {SEEDED + 2}, 'n', 'decision', 1, 'x', 'y'),"
            f" ('t', {SEEDED + 3}, 'm', 'decision', 1, 'x', 'y'), ('u', 0, 'n', 'decision', 1, 'x', 'y')"
        )
    )
    ledger.execute("UPDATE ledger_heads SET size = size + 4, frontier = 'x', last_at = last_at + 1")
    ledger.execute("UPDATE ledger_heads SET release = 'r', directory_index = 3, keys_index = 4")
    ledger.execute("INSERT INTO approval_uses VALUES ('t', 'app_2', 'd')")
    ledger.rollback()
