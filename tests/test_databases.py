"""The databases that the other tests rely on."""

import shutil
import socket
import subprocess
import sys
import time

import psycopg
import pytest

from tests.databases import PROJECT, PostgresServer, database_on, start_postgres
from tests.reused_databases import DEFINITIONS, ReusedDatabases


def test_a_copied_database_has_what_its_template_has(postgres_server: PostgresServer) -> None:
    """A clone holds the template's rows, and a later change of one does not show in the other."""
    with database_on(postgres_server) as template:
        with psycopg.connect(postgres_server.conninfo_of(template)) as connection:
            connection.execute("CREATE TABLE step AS SELECT 'capture' AS name")
        with database_on(postgres_server, template=template) as copy:
            with psycopg.connect(postgres_server.conninfo_of(copy)) as connection:
                connection.execute("DELETE FROM step")
            with psycopg.connect(postgres_server.conninfo_of(template)) as connection:
                assert connection.execute("SELECT name FROM step").fetchall() == [("capture",)]


def test_a_reused_database_is_as_good_as_new(postgres_server: PostgresServer, postgres_template: str) -> None:
    """Rows, guarded ones too, and connections of the test before are gone; the guards are on again."""
    reused = ReusedDatabases(postgres_server, template=postgres_template)
    with reused.one() as name:
        left = psycopg.connect(postgres_server.conninfo_of(name))
        left.execute("INSERT INTO ledger_blobs (tenant, digest, data) VALUES ('t', 'sha256:1', 'blob')")
        left.commit()
        left.execute("SELECT 1")  # in a transaction
    with reused.one() as again, psycopg.connect(postgres_server.conninfo_of(again)) as connection:
        assert again == name
        assert connection.execute("SELECT count(*) FROM ledger_blobs").fetchone() == (0,)
        with pytest.raises(psycopg.OperationalError):
            left.execute("SELECT 1")
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            connection.execute("TRUNCATE ledger_blobs")
    reused.drop_all()
    assert name not in databases_of(postgres_server)


REFUSES_NOTHING = (
    "CREATE OR REPLACE FUNCTION guard_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
)
SETTING = "DO $$BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET work_mem = 4096'; END$$"


CHANGES = (
    "CREATE TABLE more (name text)",
    "DROP TABLE ledger_tiles",
    "UPDATE alembic_version SET version_num = '9999'",
    "ALTER TABLE ledger_entries ADD COLUMN more text",
    "ALTER TABLE ledger_entries ALTER COLUMN tenant SET DEFAULT 'x'",
    "ALTER TABLE ledger_entries DISABLE TRIGGER USER",
    "DROP INDEX uq_acts_live_step",
    "GRANT SELECT ON ledger_entries TO PUBLIC",
    "GRANT CREATE ON SCHEMA public TO PUBLIC",
    "CREATE SCHEMA more",
    REFUSES_NOTHING,
    SETTING,
)


def test_every_change_but_of_rows_is_seen(postgres_server: PostgresServer, postgres_template: str) -> None:
    """Tables, columns, guards, rights and settings are part of what is compared; rows are not."""
    reused = ReusedDatabases(postgres_server, template=postgres_template)
    with reused.one() as name, psycopg.connect(postgres_server.conninfo_of(name)) as connection:
        before = connection.execute(DEFINITIONS).fetchone()
        for change in CHANGES:
            connection.execute(change.encode())
            assert connection.execute(DEFINITIONS).fetchone() != before, change
            connection.rollback()
        connection.execute("INSERT INTO ledger_blobs (tenant, digest, data) VALUES ('t', 'sha256:1', 'blob')")
        assert connection.execute(DEFINITIONS).fetchone() == before
    reused.drop_all()


@pytest.mark.parametrize("change", ["DROP TABLE ledger_tiles", "DROP TABLE alembic_version"])
def test_a_changed_database_is_not_used_again(
    postgres_server: PostgresServer, postgres_template: str, change: str
) -> None:
    """A test that changes more than rows takes its database with it."""
    reused = ReusedDatabases(postgres_server, template=postgres_template)
    with reused.one() as name, psycopg.connect(postgres_server.conninfo_of(name)) as connection:
        connection.execute(change.encode())
    assert name not in databases_of(postgres_server)


def databases_of(server: PostgresServer) -> set[str]:
    with psycopg.connect(server.conninfo) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_the_server_is_durable(postgres_server: PostgresServer) -> None:
    """Nothing that PostgreSQL does for crash safety is switched off for speed."""
    with psycopg.connect(postgres_server.conninfo) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("on",)


def test_our_own_server_survives_a_crash(postgres_server: PostgresServer) -> None:
    """What was committed is there after an immediate stop and a new start."""
    with start_postgres() as server:
        with psycopg.connect(server.conninfo) as connection:
            connection.execute("CREATE TABLE step AS SELECT 'capture' AS name")
        server.stop(immediately=True)
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(server.conninfo)
        server.start()
        with psycopg.connect(server.conninfo) as connection:
            assert connection.execute("SELECT name FROM step").fetchall() == [("capture",)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_our_own_server_ends_when_its_process_is_killed(postgres_server: PostgresServer) -> None:
    """After kill -9 of the process that started it, no server is left running."""
    script = (
        "import time\n"
        "from tests.databases import start_postgres\n"
        "with start_postgres() as server:\n"
        "    print(server.port, server.folder, sep='\\n', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        port, folder = int(parent.stdout.readline()), parent.stdout.readline().strip()
        assert _listens(port)
        parent.kill()
    deadline = time.monotonic() + 20
    while _listens(port):
        assert time.monotonic() < deadline, "the server outlived the process that started it"
        time.sleep(0.05)
    # A killed process cannot clean up; that is all it leaves.
    shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
