"""`controls serve` as a program: it starts only on a whole ledger, says why not, and ends in order."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx2
import psycopg
import pytest

from controls.cli.output import Exit
from controls.services.signing import create_key_file
from tests.databases import PostgresServer
from tests.desk import Desk, ask, start_desk

from .commands import Said, controls, forked, starting, well
from .conftest import acting

SERVE = ("serve", "--port", "0")


def file_of(desk: Desk) -> Path:
    """The desk's SQLite file."""
    return Path(desk.settings.database_url.removeprefix("sqlite+aiosqlite:///"))


def capture(url: str, desk: Desk) -> httpx2.Response:
    """A decision that is permitted."""
    return httpx2.post(
        f"{url}/v1/decisions", json=ask("capture", "tina.trader"), headers=desk.headers(), timeout=30
    )


@pytest.mark.parametrize(("database", "number"), [("sqlite", signal.SIGINT), ("postgres", signal.SIGTERM)])
def test_it_says_where_it_listens_answers_and_ends_in_order(
    database: str, number: signal.Signals, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Exit code 0, and the checkpoint kept outside is the newest, though a busy second held it back."""
    desk = start_desk(tmp_path, database_url=request.getfixturevalue(f"migrated_{database}_url"))
    env = desk.environment()
    with starting("-m", "controls.cli.main", *SERVE, env=env, folder=desk.folder) as service:
        service.url = service.until(r"Serving on (http://\S+) ")[1]
        assert service.out == ""
        answers = [capture(service.url, desk) for _ in range(12)]
        assert {answer.status_code for answer in answers} == {200}
        last = answers[-1].json()["receipt"]["index"]
        assert service.end(number) == 0
    said, *logged = service.err.splitlines()
    assert said == f"Serving on {service.url} (Ctrl-C stops)."
    assert {json.loads(line)["event"] for line in logged} == {"request"}
    kept = desk.settings.checkpoint_file.read_text()
    assert kept == well("ledger", "checkpoint", env=env).out
    assert int(kept.splitlines()[1]) == last + 1 == 13


def test_a_caller_that_never_ends_its_request_does_not_keep_it_from_ending(desk: Desk) -> None:
    """After a time of grace it is cut off, and the checkpoint is kept all the same."""
    impatient = "from controls.cli import main, serve; serve.GRACE_SECONDS = 1; main.main()"
    arguments = ("-c", impatient, *SERVE)
    with starting(*arguments, env=desk.environment(), folder=desk.folder) as service:
        url = service.until(r"Serving on (http://\S+) ")[1]
        for _ in range(3):
            capture(url, desk)
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as stuck:
            stuck.sendall(b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            assert capture(url, desk).status_code == 200  # by now the other one was read
            assert service.end(signal.SIGTERM) == 0
    assert desk.settings.checkpoint_file.read_text().splitlines()[1] == "5"


def test_a_port_that_is_taken_is_told(desk: Desk) -> None:
    """Exit code 1 with the address, not a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = forked("serve", "--port", str(port), env=desk.environment())
    assert said.code == Exit.FAILURE
    assert f"127.0.0.1:{port}" in said.err
    assert "--port" in said.err
    assert "Traceback" not in said.err
    assert "Serving" not in said.err


# -- what keeps it from starting ---------------------------------------------------------------------------


def refused(env: dict[str, str], **changed: str | Path) -> Said:
    """What `serve` says then; it must end by itself, without a traceback or a promise."""
    said = forked(
        *SERVE, env=env | {f"CONTROLS_{name.upper()}": str(value) for name, value in changed.items()}
    )
    assert said.out == ""
    assert "Traceback" not in said.err
    assert "Serving" not in said.err
    assert len(said.err.splitlines()) >= 2  # what is wrong, and what to do
    return said


def test_it_needs_a_signing_key_that_nobody_else_can_read(desk: Desk) -> None:
    """No key, a key that others can read, the key of another ledger, a demo's key in production."""
    env = desk.environment()
    missing = refused(env, signing_key_file=desk.folder / "none.key")
    assert missing.code == Exit.USAGE
    assert "none.key cannot be read" in missing.err
    assert "controls init" in missing.err
    exposed = desk.folder / "exposed.key"
    shutil.copy(desk.settings.signing_key_file, exposed)
    exposed.chmod(0o640)
    said = refused(env, signing_key_file=exposed)
    assert said.code == Exit.USAGE
    assert f"Others can read the signing key {exposed}" in said.err
    assert f"chmod 600 {exposed}" in said.err
    foreign = desk.folder / "foreign.key"
    create_key_file(foreign, origin="demo/other", entropy=bytes(range(32)))
    assert refused(env, signing_key_file=foreign).code == Exit.VERIFICATION_FAILED
    production = refused(env, mode="production")
    assert production.code == Exit.USAGE
    assert "demo" in production.err


def test_it_needs_a_ledger(desk: Desk, sqlite_template: Path) -> None:
    """An empty database is named as what it is: not migrated, not started, or not the one of before."""
    env = desk.environment()
    for part in sqlite_template.parent.iterdir():
        shutil.copy(part, desk.folder / f"empty-{part.name}")
    empty = f"sqlite+aiosqlite:///{desk.folder}/empty-{sqlite_template.name}"
    none = desk.folder / "none.txt"
    new = f"sqlite+aiosqlite:///{desk.folder}/new.db"
    not_migrated = refused(env, database_url=new, checkpoint_file=none)
    assert not_migrated.code == Exit.USAGE
    assert "controls migrate" in not_migrated.err
    not_started = refused(env, database_url=empty, checkpoint_file=none)
    assert not_started.code == Exit.FAILURE
    assert "controls init" in not_started.err
    lost = refused(env, database_url=empty)
    assert lost.code == Exit.VERIFICATION_FAILED
    assert "this database has no ledger" in lost.err
    assert "backup" in lost.err


def test_a_restored_backup_is_noticed(desk: Desk) -> None:
    """The checkpoint kept outside is newer than the database: exit code 7, and what going on would mean."""
    backup = desk.folder / "backup.db"
    with sqlite3.connect(file_of(desk)) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    env = acting(desk)
    people = desk.folder / "people.csv"
    people.write_text("person,name,account,roles\np-90,Nina,nina.trader,trader\n")
    well("directory", "import", people, env=env)
    restored = f"sqlite+aiosqlite:///{backup}"
    said = refused(env, database_url=restored)
    assert said.code == Exit.VERIFICATION_FAILED
    assert "The kept checkpoint covers 2 entries; this database has only 1." in said.err
    assert "restored old backup" in said.err
    administers = controls("changes", "list", env={**env, "CONTROLS_DATABASE_URL": restored})
    assert administers.code == Exit.VERIFICATION_FAILED


NO_UPDATE = "DROP TRIGGER ledger_entries_no_update"


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (NO_UPDATE, "the trigger ledger_entries_no_update is missing"),
        (
            "CREATE TRIGGER mine AFTER INSERT ON ledger_entries BEGIN SELECT 1; END",
            "ledger_entries has a trigger mine that is not ours",
        ),
        ("DROP INDEX uq_acts_live_step", "uq_acts_live_step"),
    ],
)
def test_guards_that_are_not_in_place_are_named(desk: Desk, statement: str, says: str) -> None:
    """A dropped trigger, a foreign one and a dropped index each keep it from starting, with exit code 7."""
    with sqlite3.connect(file_of(desk)) as connection:
        connection.execute(statement)
    connection.close()
    said = refused(desk.environment())
    assert said.code == Exit.VERIFICATION_FAILED
    assert "The guards of the ledger are not in place" in said.err
    assert says in said.err


def test_dropped_guards_on_postgresql_are_named(
    tmp_path: Path, migrated_postgres_url: str, postgres_server: PostgresServer
) -> None:
    """The same on the other database."""
    desk = start_desk(tmp_path, database_url=migrated_postgres_url)
    name = migrated_postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_server.conninfo_of(name), autocommit=True) as connection:
        connection.execute("ALTER TABLE ledger_entries DISABLE TRIGGER USER")
    said = refused(desk.environment())
    assert said.code == Exit.VERIFICATION_FAILED
    assert "is not enabled always" in said.err


def change_last_entry(desk: Desk) -> None:
    """Change an entry and put the guard back as it was."""
    with sqlite3.connect(file_of(desk)) as connection:
        (guard,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'ledger_entries_no_update'"
        ).fetchone()
        connection.execute(NO_UPDATE)
        connection.execute(
            "UPDATE ledger_entries"
            " SET bytes = CAST(replace(CAST(bytes AS TEXT), 'default', 'tluafed') AS BLOB)"
        )
        connection.execute(guard)
    connection.close()


def delete_last_entry(desk: Desk) -> None:
    """Take the only entry away and put the guard back as it was."""
    with sqlite3.connect(file_of(desk)) as connection:
        guards = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'ledger_entries'"
        ).fetchall()
        for name, _ in guards:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM ledger_entries")
        for _, text in guards:
            connection.execute(text)
    connection.close()


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (change_last_entry, "The bytes of entry 0 do not have its leaf hash."),
        (delete_last_entry, "The head says 1 entries; there are 0"),
    ],
)
def test_a_changed_ledger_is_noticed_even_with_its_guards_back(
    desk: Desk, tamper: Callable[[Desk], None], says: str
) -> None:
    """Bytes that do not have their hash, and entries that are gone."""
    tamper(desk)
    said = refused(desk.environment())
    assert said.code == Exit.VERIFICATION_FAILED
    assert says in said.err
