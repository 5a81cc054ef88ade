"""The databases that the other tests rely on."""

import shutil
import socket
import subprocess
import sys
import time

import psycopg
import pytest

from tests.databases import PROJECT, PostgresServer, database_on, start_postgres


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
