"""`deploy/postgresql-roles.sql`: what the three roles may and may not do on a real server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from controls.store.migrate import migrate
from tests.databases import PROJECT, OwnServer, PostgresServer, database_on, start_postgres

SCRIPT = PROJECT / "deploy" / "postgresql-roles.sql"
PASSWORD = "for-this-test-only"


@pytest.fixture(scope="module")
def server(postgres_server: PostgresServer) -> Iterator[OwnServer]:
    """A server of our own: roles belong to the whole server, and a lent one is not ours to change."""
    with start_postgres() as own:
        yield own


@pytest.fixture
def database(server: OwnServer) -> Iterator[str]:
    """A database on which the script ran, with one table that a migration made."""
    with database_on(server) as name:
        run_script(server, name)
        with psycopg.connect(server.conninfo_of(name)) as connection:
            connection.execute(f"ALTER ROLE controls_service PASSWORD '{PASSWORD}'")
            connection.execute("SET ROLE controls_owner")
            connection.execute("CREATE TABLE entry (index bigint PRIMARY KEY)")
            connection.execute("GRANT SELECT, INSERT ON entry TO controls_service")
        yield name


def run_script(server: OwnServer, database: str) -> None:
    """Run the script with psql, as its first lines say."""
    parts = conninfo_to_dict(server.conninfo)
    command: list[str | Path] = [server.binaries / "psql", "--no-psqlrc", "-q", "-v", "ON_ERROR_STOP=1"]
    command += ["-v", f"database={database}", "-h", "127.0.0.1", "-p", str(server.port)]
    command += ["-U", str(parts["user"]), "-d", "postgres", "-f", SCRIPT]
    environment = {"PGPASSWORD": str(parts["password"])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def as_service(server: OwnServer, database: str) -> psycopg.Connection:
    """A connection as the service."""
    conninfo = make_conninfo(server.conninfo, dbname=database, user="controls_service", password=PASSWORD)
    return psycopg.connect(conninfo, autocommit=True)


def test_the_script_may_run_again(server: OwnServer, database: str) -> None:
    """A second run changes nothing and does not fail."""
    run_script(server, database)
    with as_service(server, database) as connection:
        connection.execute("INSERT INTO entry VALUES (0)")


def test_the_service_does_what_a_migration_granted(server: OwnServer, database: str) -> None:
    """The service reads and appends."""
    with as_service(server, database) as connection:
        connection.execute("INSERT INTO entry VALUES (0)")
        assert connection.execute("SELECT index FROM entry").fetchall() == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET index = 1",
        "DELETE FROM entry",
        "TRUNCATE entry",
        "DROP TABLE entry",
        "ALTER TABLE entry DISABLE TRIGGER ALL",
        "CREATE TABLE other (x int)",
        "CREATE SCHEMA other",
        "CREATE TEMPORARY TABLE entry (index bigint)",
        "SET ROLE controls_owner",
        "SET session_replication_role = replica",
    ],
)
def test_the_service_does_nothing_else(server: OwnServer, database: str, statement: str) -> None:
    """Rewriting, dropping, shadowing, switching guards off and becoming the owner are refused."""
    with as_service(server, database) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("role", ["controls_owner", "controls_reader"])
def test_owner_and_reader_cannot_log_in(server: OwnServer, database: str, role: str) -> None:
    """Nobody logs in as the owner of the guards, not even with a password."""
    with psycopg.connect(server.conninfo) as connection:
        connection.execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
    conninfo = make_conninfo(server.conninfo, dbname=database, user=role, password=PASSWORD)
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(conninfo)


def test_a_new_table_is_closed_to_the_service_and_the_reader(server: OwnServer, database: str) -> None:
    """Without a grant of its migration, a table can be read by its owner only."""
    with psycopg.connect(server.conninfo_of(database), autocommit=True) as connection:
        connection.execute("SET ROLE controls_owner")
        connection.execute("CREATE TABLE disclosure (salt bytea)")
        for role in ("controls_service", "controls_reader"):
            connection.execute("RESET ROLE")
            connection.execute(f"SET ROLE {role}")
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM disclosure")


def test_what_a_person_migrates_belongs_to_the_owner(server: OwnServer, database: str) -> None:
    """After the grant that the script names, a migration makes tables that are the owner's, not hers."""
    with psycopg.connect(server.conninfo_of(database), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE maria LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("GRANT controls_owner TO maria")
    migrate(f"postgresql+asyncpg://maria:{PASSWORD}@127.0.0.1:{server.port}/{database}")
    with psycopg.connect(server.conninfo_of(database)) as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
        assert owners.fetchall() == [("controls_owner",)]
