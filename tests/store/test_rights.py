"""`controls.store.rights`, with the roles that deploy/postgresql-roles.sql makes, on a server of our own."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import insert, text

from controls.model.chain import ActState
from controls.model.people import Attribute
from controls.model.trail import Trail
from controls.model.window import Window
from controls.store.database import Database
from controls.store.directory import replace_people
from controls.store.guard_checks import check_guards, check_surroundings
from controls.store.merging import unite
from controls.store.migrate import MigrationFailed, migrate, newest_revision
from controls.store.observations import (
    CountedAggregate,
    begin_aggregates,
    end_aggregates,
    forget_observations,
    observation_row,
)
from controls.store.people import Absence, AccountRecord, Assignment, AttributeRecord, PersonRecord
from controls.store.rights import READER, READER_RIGHTS, SERVICE, SERVICE_RIGHTS
from controls.store.tables import metadata, observations
from controls.store.trails import change_trails
from controls.store.unit import forget_answers
from controls.store.workspace import StoredAnswer, Workspace
from tests.databases import PROJECT, OwnServer, PostgresServer, database_on, start_postgres
from tests.store.ledgers import Ledger, stored_act
from tests.store.test_guards_postgresql import literal

PASSWORD = "for-this-test-only"


@dataclass(frozen=True)
class Production:
    """A database as the roles file sets it up, migrated by a person who may become the owner."""

    server: OwnServer
    name: str

    def url(self, role: str) -> str:
        conninfo = make_conninfo(self.server.conninfo, user=role, password=PASSWORD)
        return replace(self.server, conninfo=conninfo).url(self.name)

    def connect(self, role: str) -> psycopg.Connection:
        conninfo = make_conninfo(self.server.conninfo, dbname=self.name, user=role, password=PASSWORD)
        return psycopg.connect(conninfo, autocommit=True)

    def administrator(self) -> psycopg.Connection:
        return psycopg.connect(self.server.conninfo_of(self.name), autocommit=True)


@pytest.fixture(scope="module")
def production(postgres_server: PostgresServer) -> Iterator[Production]:
    """Roles belong to the whole server, and a lent one is not ours to change."""
    with start_postgres() as server, database_on(server) as name:
        parts = conninfo_to_dict(server.conninfo)
        script = PROJECT / "deploy" / "postgresql-roles.sql"
        command: list[str | Path] = [server.binaries / "psql", "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1"]
        command += ["-v", f"database={name}", "-h", "127.0.0.1", "-p", str(server.port)]
        command += ["-U", str(parts["user"]), "-d", "postgres", "-f", script]
        environment = {"PGPASSWORD": str(parts["password"])}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        found = Production(server, name)
        with found.administrator() as connection:
            for statement in (
                f"ALTER ROLE {SERVICE} PASSWORD '{PASSWORD}'",
                f"CREATE ROLE maria LOGIN PASSWORD '{PASSWORD}'",
                f"GRANT CONNECT ON DATABASE {name} TO maria",
                "GRANT controls_owner TO maria WITH INHERIT FALSE, SET TRUE",
            ):
                connection.execute(literal(statement))
        assert migrate(found.url("maria")) == newest_revision()
        yield found


@pytest_asyncio.fixture
async def service(production: Production) -> AsyncIterator[Database]:
    """The service's own connection."""
    database = Database(production.url(SERVICE))
    yield database
    await database.close()


def test_what_a_migration_makes_belongs_to_the_owner(production: Production) -> None:
    """Tables and functions belong to a role that nobody can log in as, not to the person who migrated."""
    with production.administrator() as connection:
        tables = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        functions = connection.execute(
            "SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert tables == functions == [("controls_owner",)]


def test_every_table_has_its_rights() -> None:
    """A table that nobody thought of would be closed to the service: say what it may do."""
    assert set(SERVICE_RIGHTS) == {*metadata.tables, "alembic_version"}
    assert set(READER_RIGHTS) < set(SERVICE_RIGHTS)


@pytest.mark.parametrize(
    ("role", "rights"), [(SERVICE, SERVICE_RIGHTS), (READER, READER_RIGHTS), ("public", {})]
)
def test_the_rights_are_exactly_the_listed_ones(
    production: Production, role: str, rights: dict[str, tuple[str, ...]]
) -> None:
    """The database's own account of rights is the list, table by table."""
    query = """
        SELECT table_name, privilege_type FROM information_schema.table_privileges
         WHERE lower(grantee) = %s AND table_schema = 'public'
    """
    with production.administrator() as connection:
        found = set(connection.execute(query, (role,)).fetchall())
    assert found == {(table, right) for table, listed in rights.items() for right in listed}


def test_migrating_again_takes_back_what_was_given_besides(production: Production) -> None:
    """A right that somebody gave by hand is gone after the next run."""
    with production.administrator() as connection:
        connection.execute("GRANT DELETE ON acts TO controls_service; GRANT SELECT ON api_keys TO PUBLIC")
        migrate(production.url("maria"))
        query = "SELECT has_table_privilege(%s, %s, %s)"
        assert connection.execute(query, (SERVICE, "acts", "DELETE")).fetchone() == (False,)
        assert connection.execute(query, (READER, "api_keys", "SELECT")).fetchone() == (False,)


def test_the_service_cannot_migrate_but_can_ask_for_it(production: Production) -> None:
    """At the newest version there is nothing to do, and no right is needed to find that out."""
    assert migrate(production.url(SERVICE)) == newest_revision()
    with database_on(production.server) as other:
        empty = replace(production, name=other)
        with pytest.raises(MigrationFailed, match="permission denied") as refused:
            migrate(empty.url(SERVICE))
        assert "postgresql-roles.sql" in refused.value.help


async def test_the_service_is_neither_owner_nor_superuser(service: Database) -> None:
    """On a database set up as it should be there is nothing to warn of."""
    async with service.read() as connection:
        assert await check_guards(connection) == ()
        assert await check_surroundings(connection) == ()


async def test_rights_that_weaken_the_guards_are_a_warning(production: Production, service: Database) -> None:
    """A right to change the ledger, and ownership by way of a role, are named."""
    with production.administrator() as connection:
        connection.execute("GRANT UPDATE, TRUNCATE ON ledger_entries TO controls_service")
        async with service.read() as reading:
            assert await check_surroundings(reading) == (
                "the service has the right to update and truncate on ledger_entries",
            )
        connection.execute("GRANT controls_owner TO controls_service")
        async with service.read() as reading:
            (warning,) = await check_surroundings(reading)
        assert warning.startswith("the service owns acts, approval_uses, duty_limits, ")
        connection.execute("REVOKE controls_owner FROM controls_service")
        connection.execute("REVOKE UPDATE, TRUNCATE ON ledger_entries FROM controls_service")


async def test_the_service_can_do_its_work(service: Database) -> None:
    """Every kind of write that the service makes is granted."""
    ledger = await Ledger(service, tenant="work").start()
    await ledger.append(300)

    def everything(workspace: Workspace) -> None:
        workspace.add_act(stored_act("c1"))
        workspace.new_blobs["sha256:aa"] = b"body"
        answer = StoredAnswer(b"b", b"a", ("c1",), workspace.at)
        workspace.remember(("key", "route", "token"), answer)

    await ledger.work(everything)

    def end(workspace: Workspace) -> None:
        workspace.load_acts([stored_act("c1")])
        workspace.change_act("c1", state=ActState.PERFORMED)

    await ledger.work(end)
    async with service.write() as connection:
        await begin_aggregates(connection, tenant="work", begun=[CountedAggregate("a", 0, bytes(32))])
        made = observation_row("series", Window().following(at=1, amount=Decimal(2)), "work")
        await connection.execute(insert(observations), [made])
        await forget_observations(connection, "work", before=2**62)
        await end_aggregates(connection, tenant="work", versions=["a"])
        trail = Trail("account", "order_to_settlement", "order.notional", first="capture")
        for _ in range(2):
            await change_trails(connection, tenant="work", begun=[trail], ended=[])
        await forget_answers(connection, "work", before=2**62)
        for _ in range(2):
            ana = PersonRecord(
                "p1",
                "Ana",
                (AccountRecord("ana.back", "a1", "p1", 0, None),),
                (Assignment("p1", "trader", 0, None),),
                (AttributeRecord("p1", Attribute.DESK, "rates", 0, None),),
                (Absence("p1", 0, None),),
                merged_into="p2",
            )
            await replace_people(connection, "work", [ana])
            await unite(connection, "work", merged="p1", survivor="p2")
        erased = text('DELETE FROM ledger_disclosures WHERE tenant = :t AND "index" = 0')
        assert (await connection.execute(erased, {"t": "work"})).rowcount == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET bytes = 'x'",
        "DELETE FROM ledger_entries",
        "TRUNCATE ledger_entries",
        "INSERT INTO approvals SELECT * FROM approvals ON CONFLICT (tenant, id) DO UPDATE SET person = 'x'",
        "MERGE INTO ledger_tiles USING (VALUES (1)) AS v ON true WHEN MATCHED THEN DELETE",
        "DELETE FROM ledger_heads",
        "DELETE FROM acts",
        "UPDATE approval_uses SET decision = 'x'",
        "DELETE FROM approvals",
        "UPDATE ledger_disclosures SET data = ''",
        "UPDATE alembic_version SET version_num = '0'",
        "TRUNCATE persons",
        "DROP TABLE ledger_entries",
        "DROP TRIGGER ledger_entries_refuse ON ledger_entries",
        "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
        "ALTER TABLE ledger_entries DISABLE TRIGGER ledger_entries_refuse",
        "ALTER TABLE ledger_entries DROP COLUMN chain",
        "ALTER TABLE ledger_entries OWNER TO controls_service",
        "ALTER TABLE ledger_entries SET UNLOGGED",
        "CREATE OR REPLACE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "ALTER FUNCTION guard_refuse() RESET search_path",
        "CREATE TRIGGER mine BEFORE INSERT ON ledger_entries FOR EACH ROW EXECUTE FUNCTION guard_refuse()",
        "CREATE RULE mine AS ON INSERT TO ledger_entries DO INSTEAD NOTHING",
        "CREATE INDEX mine ON ledger_entries (at)",
        "DROP INDEX uq_acts_live_step",
        "CREATE TABLE mine (x int)",
        "CREATE TEMPORARY TABLE ledger_entries (tenant text, index bigint)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SET session_replication_role = replica",
        "SET ROLE controls_owner",
        "SET SESSION AUTHORIZATION postgres",
        "COPY ledger_entries TO PROGRAM 'cat'",
        "DO $$ BEGIN UPDATE ledger_entries SET bytes = 'x'; END $$",
    ],
)
def test_the_service_can_do_nothing_else(production: Production, statement: str) -> None:
    """DDL, rewriting and becoming somebody else are refused for want of rights."""
    with production.connect(SERVICE) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(literal(statement))


def test_the_service_gives_no_rights(production: Production) -> None:
    """It can neither hand on what it may do nor give itself more: PostgreSQL warns and does nothing."""
    with production.connect(SERVICE) as connection:
        connection.execute("GRANT SELECT ON acts TO PUBLIC")
        connection.execute("GRANT UPDATE ON ledger_entries TO controls_service")
    query = """
        SELECT has_table_privilege('controls_reader', 'acts', 'SELECT'),
               has_table_privilege('controls_service', 'ledger_entries', 'UPDATE')
    """
    with production.administrator() as connection:
        assert connection.execute(query).fetchone() == (False, False)


@pytest.mark.parametrize(
    "statement", ["SELECT * FROM ledger_disclosures", "SELECT * FROM acts", "DELETE FROM acts"]
)
def test_the_reader_sees_the_ledger_only(production: Production, statement: str) -> None:
    """Entries can be read; what is private, and the working state, cannot."""
    with production.administrator() as connection:
        connection.execute("SET ROLE controls_reader")
        connection.execute("SELECT * FROM ledger_entries")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(literal(statement))
