"""`controls.store.guard_checks`: whoever tampers with a guard is found out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from controls.store.database import Database
from controls.store.guard_checks import check_guards, check_surroundings
from controls.store.guard_definitions import POSTGRES_TRIGGERS, SQLITE_TRIGGERS
from tests.databases import PostgresServer, database_on


async def findings(url: str) -> tuple[str, ...]:
    database = Database(url)
    try:
        async with database.read() as connection:
            return await check_guards(connection)
    finally:
        await database.close()


async def test_a_migrated_database_has_all_guards(migrated_database_url: str) -> None:
    """The fingerprints are those of the newest migration. After a change of a guard, change them too."""
    assert await findings(migrated_database_url) == ()


async def test_an_empty_database_has_none(database_url: str) -> None:
    """Before the migration, every guard and table is missing."""
    found = await findings(database_url)
    known = SQLITE_TRIGGERS if database_url.startswith("sqlite") else POSTGRES_TRIGGERS
    assert {f"the trigger {name} is missing" for name in known} < set(found)
    assert "the table ledger_entries is missing" in found


NOOP = "CREATE TRIGGER ledger_tiles_no_update BEFORE UPDATE ON ledger_tiles BEGIN SELECT 1; END"
INDEX = "CREATE {}INDEX uq_acts_live_step ON acts (tenant, kind, chain, {}) {}"
LIVE = "WHERE exclusive = 1 AND state IN ('claimed', 'performed')"


@pytest.mark.parametrize(
    ("statements", "finding"),
    [
        ("DROP TRIGGER ledger_tiles_no_update", "the trigger ledger_tiles_no_update is missing"),
        (f"DROP TRIGGER ledger_tiles_no_update; {NOOP}", "the trigger ledger_tiles_no_update was changed"),
        (
            "PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = 'ledger_entries_no_delete'",
            "the trigger ledger_entries_no_delete is missing",
        ),
        (
            "PRAGMA writable_schema = ON;"
            " UPDATE sqlite_master SET sql = replace(sql, 'ABORT, ', 'IGNORE); SELECT (')"
            " WHERE name = 'ledger_heads_forward'",
            "the trigger ledger_heads_forward was changed",
        ),
        (
            "CREATE TRIGGER mine AFTER INSERT ON ledger_entries BEGIN SELECT 1; END",
            "ledger_entries has a trigger mine that is not ours",
        ),
        ("DROP INDEX uq_acts_live_step", "the unique index uq_acts_live_step is missing or was changed"),
        (
            f"DROP INDEX uq_acts_live_step; {INDEX.format('', 'step', LIVE)}",
            "the unique index uq_acts_live_step is missing or was changed",
        ),
        (
            f"DROP INDEX uq_acts_live_step; {INDEX.format('UNIQUE ', 'step, claim', LIVE)}",
            "the unique index uq_acts_live_step is missing or was changed",
        ),
        (
            f"DROP INDEX uq_acts_live_step; {INDEX.format('UNIQUE ', 'step', 'WHERE exclusive = 2')}",
            "the unique index uq_acts_live_step is missing or was changed",
        ),
        (
            "ALTER TABLE ledger_entries RENAME TO old; CREATE TABLE ledger_entries AS SELECT * FROM old",
            "the primary key of ledger_entries is missing or was changed",
        ),
        (
            "ALTER TABLE ledger_entries RENAME TO old; CREATE TABLE ledger_entries AS SELECT * FROM old",
            "ledger_entries does not keep ids unique",
        ),
        ("ALTER TABLE ledger_entries DROP COLUMN chain", "the columns of ledger_entries were changed"),
        ("DROP TABLE ledger_blobs", "the table ledger_blobs is missing"),
        ("DROP TRIGGER acts_within_limits", "the trigger acts_within_limits is missing"),
        (
            "CREATE TRIGGER mine AFTER INSERT ON acts BEGIN DELETE FROM duty_limits; END",
            "acts has a trigger mine that is not ours",
        ),
    ],
)
async def test_sqlite_tampering_is_noticed(migrated_sqlite_url: str, statements: str, finding: str) -> None:
    """What was done to the schema is named."""
    path = Path(migrated_sqlite_url.removeprefix("sqlite+aiosqlite:///"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(statements)
    assert finding in await findings(migrated_sqlite_url)


async def test_a_temporary_trigger_is_noticed(migrated_sqlite_url: str) -> None:
    """One that only this connection has counts too; so does a connection without recursive triggers."""
    database = Database(migrated_sqlite_url)
    try:
        async with database.write() as connection:
            await connection.exec_driver_sql(
                "CREATE TEMP TRIGGER mine BEFORE INSERT ON main.ledger_entries BEGIN SELECT 1; END"
            )
            found = await check_guards(connection)
        assert found == ("ledger_entries has a trigger mine that is not ours",)
        async with database.read() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute("ROLLBACK")
            await driver.execute("PRAGMA recursive_triggers = OFF")
            await driver.execute("BEGIN")
            assert await check_guards(connection) == ("recursive_triggers is off on this connection",)
    finally:
        await database.close()


@pytest.fixture(scope="module")
def untouched(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    """A migrated PostgreSQL database for tests that commit nothing."""
    with database_on(postgres_server, template=postgres_template) as name:
        yield name


EMPTY = "RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$BEGIN RETURN NEW; END$$"


@pytest.mark.parametrize(
    ("statements", "finding"),
    [
        ("DROP TRIGGER ledger_tiles_refuse ON ledger_tiles", "the trigger ledger_tiles_refuse is missing"),
        (
            "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
            "the trigger ledger_entries_next is not enabled always",
        ),
        (
            "ALTER TABLE ledger_entries ENABLE TRIGGER ledger_entries_refuse_row",
            "the trigger ledger_entries_refuse_row is not enabled always",
        ),
        (
            f"CREATE OR REPLACE FUNCTION guard_refuse() {EMPTY}",
            "the function guard_refuse of the trigger ledger_blobs_refuse was changed",
        ),
        (
            "ALTER FUNCTION guard_next_entry() RESET search_path",
            "the function guard_next_entry of the trigger ledger_entries_next was changed",
        ),
        (
            "ALTER FUNCTION guard_head() SECURITY DEFINER",
            "the function guard_head of the trigger ledger_heads_forward was changed",
        ),
        (
            f"CREATE FUNCTION other() {EMPTY}; DROP TRIGGER ledger_entries_next ON ledger_entries;"
            " CREATE TRIGGER ledger_entries_next BEFORE INSERT ON ledger_entries FOR EACH ROW"
            " EXECUTE FUNCTION other(); ALTER TABLE ledger_entries ENABLE ALWAYS TRIGGER ledger_entries_next",
            "the trigger ledger_entries_next was changed",
        ),
        (
            "DROP TRIGGER ledger_heads_forward ON ledger_heads; CREATE TRIGGER ledger_heads_forward"
            " BEFORE UPDATE ON ledger_heads FOR EACH ROW WHEN (false) EXECUTE FUNCTION guard_head();"
            " ALTER TABLE ledger_heads ENABLE ALWAYS TRIGGER ledger_heads_forward",
            "the trigger ledger_heads_forward was changed",
        ),
        (
            "DROP TRIGGER ledger_heads_forward ON ledger_heads; CREATE TRIGGER ledger_heads_forward"
            " BEFORE UPDATE OF release ON ledger_heads FOR EACH ROW EXECUTE FUNCTION guard_head();"
            " ALTER TABLE ledger_heads ENABLE ALWAYS TRIGGER ledger_heads_forward",
            "the trigger ledger_heads_forward was changed",
        ),
        (
            "CREATE OR REPLACE TRIGGER ledger_tiles_refuse BEFORE TRUNCATE ON ledger_tiles"
            " FOR EACH STATEMENT EXECUTE FUNCTION guard_refuse();"
            " ALTER TABLE ledger_tiles ENABLE ALWAYS TRIGGER ledger_tiles_refuse",
            "the trigger ledger_tiles_refuse was changed",
        ),
        (
            f"CREATE FUNCTION other() {EMPTY}; CREATE TRIGGER mine BEFORE INSERT ON ledger_entries"
            " FOR EACH ROW EXECUTE FUNCTION other()",
            "ledger_entries has a trigger mine that is not ours",
        ),
        (
            "CREATE RULE mine AS ON DELETE TO ledger_entries DO INSTEAD NOTHING",
            "ledger_entries has a rule that rewrites statements",
        ),
        ("ALTER TABLE ledger_tiles SET UNLOGGED", "ledger_tiles is not written durably"),
        ("ALTER TABLE ledger_entries ENABLE ROW LEVEL SECURITY", "ledger_entries hides rows by a policy"),
        (
            "CREATE TABLE parent (LIKE ledger_blobs); ALTER TABLE ledger_blobs INHERIT parent",
            "ledger_blobs inherits or is inherited from",
        ),
        (
            "CREATE TABLE child () INHERITS (ledger_entries)",
            "ledger_entries inherits or is inherited from",
        ),
        (
            "ALTER TABLE ledger_entries RENAME TO old; CREATE VIEW ledger_entries AS SELECT * FROM old",
            "ledger_entries is not an ordinary table",
        ),
        (
            "ALTER TABLE ledger_tiles DROP CONSTRAINT pk_ledger_tiles",
            "the primary key of ledger_tiles is missing or was changed",
        ),
        (
            "ALTER TABLE ledger_entries DROP CONSTRAINT uq_ledger_entries_id_tenant",
            "ledger_entries does not keep ids unique",
        ),
        ("ALTER TABLE ledger_entries DROP COLUMN chain", "the columns of ledger_entries were changed"),
        ("DROP INDEX uq_acts_live_step", "the unique index uq_acts_live_step is missing or was changed"),
        ("DROP TABLE approval_uses", "the table approval_uses is missing"),
        (
            f"CREATE OR REPLACE FUNCTION guard_act() {EMPTY}",
            "the function guard_act of the trigger acts_within_limits was changed",
        ),
        ("ALTER TABLE acts DISABLE TRIGGER ALL", "the trigger acts_within_limits is not enabled always"),
    ],
)
async def test_postgresql_tampering_is_noticed(
    untouched: str, postgres_server: PostgresServer, statements: str, finding: str
) -> None:
    """What was done to tables, triggers and functions is named."""
    database = Database(postgres_server.url(untouched))
    try:
        async with database.read() as connection:
            assert await check_guards(connection) == ()
            # The driver's own call takes several statements; the transaction has begun, and is rolled back.
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute(statements)
            assert finding in await check_guards(connection)
            await connection.rollback()
    finally:
        await database.close()


async def test_a_table_that_hides_the_real_one_is_noticed(migrated_postgres_url: str) -> None:
    """The service would write into the temporary table; so that is what is checked."""
    database = Database(migrated_postgres_url)
    try:
        async with database.write() as connection:
            await connection.execute(text("CREATE TEMP TABLE ledger_tiles (LIKE ledger_tiles)"))
            found = await check_guards(connection)
    finally:
        await database.close()
    assert "the trigger ledger_tiles_refuse is missing" in found
    assert "ledger_tiles is not written durably" in found


async def test_a_superuser_is_a_warning(migrated_postgres_url: str) -> None:
    """On a development database the guards are there, and it is said what weakens them."""
    database = Database(migrated_postgres_url)
    try:
        async with database.read() as connection:
            assert await check_guards(connection) == ()
            assert await check_surroundings(connection) == (
                "the service connects as a superuser, who can switch every guard off",
            )
            await connection.execute(text("SET LOCAL synchronous_commit = off"))
            assert (await check_surroundings(connection))[1:] == (
                "synchronous_commit is off: a crash can undo what was answered",
            )
    finally:
        await database.close()


async def test_a_forgetful_sqlite_is_a_warning(migrated_sqlite_url: str) -> None:
    """The service's own connections are durable; one that is not is found out."""
    database = Database(migrated_sqlite_url)
    try:
        async with database.read() as connection:
            assert await check_surroundings(connection) == ()
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            await driver.execute("ROLLBACK")
            await driver.execute("PRAGMA synchronous = NORMAL")
            await driver.execute("BEGIN")
            assert len(await check_surroundings(connection)) == 1
    finally:
        await database.close()
