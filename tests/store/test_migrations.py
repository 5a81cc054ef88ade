"""The migrations and `controls.store.migrate`: both ways, on both databases, and in the package."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from controls.model.errors import InvalidInput
from controls.store.migrate import (
    DatabaseUnreachable,
    LedgerNotEmpty,
    MigrationFailed,
    RevisionUnknown,
    current_revision,
    downgrade,
    migrate,
    migrations_folder,
    newest_revision,
    open_engine,
    sync_url,
)
from controls.store.tables import STILL_CLAIMED, metadata
from controls.store.trails import value_digest
from tests.databases import PROJECT, PostgresServer

# Tables with their columns, keys, indexes, triggers and functions: everything that a migration can leave.
POSTGRES_SCHEMA = """
SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid), a.attcollation::regcollation::text
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'index', indexname, indexdef, '', false, '', '' FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid), conrelid::regclass::text, false, '', ''
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
"""
POSTGRES_GUARDS = """
SELECT 'trigger', tgname, pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', proname, prosrc, '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""


def schema(connection: Connection, *, guards: bool = True) -> set[tuple[object, ...]]:
    """All that is defined in the database, but for Alembic's own table."""
    if connection.dialect.name == "sqlite":
        kinds = "'table', 'index', 'trigger'" if guards else "'table', 'index'"
        query = f"SELECT type, name, sql FROM sqlite_master WHERE type IN ({kinds})"
        rows = connection.execute(text(query)).all()
        found = {(kind, name, " ".join(str(sql).split())) for kind, name, sql in rows}
    else:
        found = {tuple(row) for row in connection.execute(text(POSTGRES_SCHEMA))}
        if guards:
            found |= {tuple(row) for row in connection.execute(text(POSTGRES_GUARDS))}
    return {row for row in found if not any("alembic_version" in str(item) for item in row)}


def schema_of(url: str, *, guards: bool = True) -> set[tuple[object, ...]]:
    with open_engine(url) as engine, engine.connect() as connection:
        return schema(connection, guards=guards)


def test_the_migrations_make_the_tables(migrated_database_url: str) -> None:
    """Alembic finds no difference between tables.py and a migrated database."""
    with open_engine(migrated_database_url) as engine, engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_migrations_make_exactly_the_tables(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Keys, collations and conditions of indexes, which Alembic does not compare, are the same too."""
    migrated_database_url = request.getfixturevalue(f"migrated_{kind}_url")
    if kind == "sqlite":
        database_url = f"sqlite+aiosqlite:///{tmp_path / 'other.db'}"
    else:
        database_url = request.getfixturevalue("postgres_url")
    with open_engine(database_url) as engine:
        metadata.create_all(engine)
    assert schema_of(migrated_database_url, guards=False) == schema_of(database_url, guards=False)


def test_there_is_one_line_of_migrations() -> None:
    """No two migrations follow the same one."""
    assert len(scripts().get_heads()) == 1


def test_down_and_up_again_leads_to_the_same(database_url: str) -> None:
    """Every migration can be taken back without a trace, and made again."""
    assert current_revision(database_url) is None
    assert migrate(database_url) == newest_revision() == current_revision(database_url)
    first = schema_of(database_url)
    for revision in [item for item in revisions() if item != newest_revision()]:
        assert downgrade(database_url, revision=revision) == revision
    assert downgrade(database_url, revision="base") is None
    assert schema_of(database_url) == set()
    assert migrate(database_url) == newest_revision()
    assert schema_of(database_url) == first


def scripts() -> ScriptDirectory:
    """The migrations of this checkout."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    return ScriptDirectory.from_config(config)


def revisions() -> list[str]:
    """All revisions, newest first."""
    return [script.revision for script in scripts().walk_revisions()]


def test_migrating_again_changes_nothing(migrated_database_url: str) -> None:
    """At the newest version, `migrate` does nothing and says the version."""
    before = schema_of(migrated_database_url)
    assert migrate(migrated_database_url) == newest_revision()
    assert schema_of(migrated_database_url) == before


def count_entries(url: str) -> int:
    with open_engine(url) as engine, engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM ledger_entries")).scalar_one())


def test_a_ledger_with_entries_is_not_taken_away(ledger_url: str) -> None:
    """A downgrade that would delete entries is refused and changes nothing."""
    before, entries = schema_of(ledger_url), count_entries(ledger_url)
    with pytest.raises(LedgerNotEmpty) as refused:
        downgrade(ledger_url, revision="base")
    assert "allow_data_loss" in refused.value.help
    assert (schema_of(ledger_url), count_entries(ledger_url)) == (before, entries)
    assert current_revision(ledger_url) == newest_revision()


def test_a_ledger_is_deleted_when_that_is_asked_for_by_name(ledger_url: str) -> None:
    """`allow_data_loss` takes the tables away, entries and all."""
    assert downgrade(ledger_url, revision="base", allow_data_loss=True) is None
    assert schema_of(ledger_url) == set()


def test_what_aggregates_have_counted_is_not_taken_away(migrated_database_url: str) -> None:
    """The release in force would go on asking for it, so the older tables are refused while it is counted."""
    begun = "INSERT INTO aggregates (tenant, aggregate, since, salt) VALUES ('t', 'a', 0, 'x')"
    with open_engine(migrated_database_url) as engine, engine.begin() as connection:
        connection.execute(text(begun))
    before = schema_of(migrated_database_url)
    with pytest.raises(LedgerNotEmpty) as refused:
        downgrade(migrated_database_url, revision="0001")
    assert refused.value.detail.startswith("aggregates holds rows")
    assert schema_of(migrated_database_url) == before
    assert downgrade(migrated_database_url, revision="0001", allow_data_loss=True) == "0001"
    assert migrate(migrated_database_url) == newest_revision()
    assert schema_of(migrated_database_url) == before


def alembic(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The `alembic` command, as a developer types it in the checkout."""
    command = [sys.executable, "-m", "alembic", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env=environment)


def test_the_alembic_command_works(sqlite_ledger: Path) -> None:
    """The command finds the migrations, takes the address in two ways, and refuses to lose entries."""
    url = f"sqlite+aiosqlite:///{sqlite_ledger}"
    checked = alembic("check", CONTROLS_DATABASE_URL=url)
    assert (checked.returncode, checked.stdout.strip()) == (0, "No new upgrade operations detected.")
    refused = alembic("-x", f"url={url}", "downgrade", "base")
    assert refused.returncode != 0
    assert "LedgerNotEmpty" in refused.stderr
    assert count_entries(url) > 0
    done = alembic("-x", f"url={url}", "-x", "allow_data_loss=yes", "downgrade", "base")
    assert done.returncode == 0, done.stderr
    assert schema_of(url) == set()


@pytest.mark.parametrize("arguments", [("upgrade", "head"), ("upgrade", "head", "--sql")])
def test_the_alembic_command_says_what_is_missing(arguments: tuple[str, ...]) -> None:
    """Without a database there is an explanation and no traceback."""
    done = alembic(*arguments, CONTROLS_DATABASE_URL="")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "CONTROLS_DATABASE_URL" in done.stdout + done.stderr or "--sql" in done.stdout + done.stderr


def test_a_migration_that_fails_leaves_nothing_behind(database_url: str) -> None:
    """A table that is in the way near the end undoes everything before it."""
    with open_engine(database_url) as engine, engine.begin() as connection:
        connection.execute(text("CREATE TABLE changes (mine integer)"))
    before = schema_of(database_url)
    with pytest.raises(MigrationFailed, match="changes"):
        migrate(database_url)
    assert schema_of(database_url) == before
    assert current_revision(database_url) is None


def test_migrations_of_many_processes_do_not_meet(database_url: str) -> None:
    """Processes that start together on one database migrate it once, and all succeed."""
    script = "import sys; from controls.store.migrate import migrate; print(migrate(sys.argv[1]))"
    command = [sys.executable, "-c", script, database_url]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    results = [process.communicate(timeout=60) for process in processes]
    assert results == [(newest_revision() + "\n", "")] * 2


def test_migrations_of_many_threads_do_not_meet(tmp_path: Path) -> None:
    """Threads of one process can migrate different databases."""
    urls = [f"sqlite+aiosqlite:///{tmp_path / str(number)}.db" for number in range(4)]
    with ThreadPoolExecutor(max_workers=4) as threads:
        assert list(threads.map(migrate, urls)) == [newest_revision()] * 4


# -- Clear errors -----------------------------------------------------------------------------------------


def test_a_missing_folder_is_explained(tmp_path: Path) -> None:
    """SQLite makes files, not folders."""
    with pytest.raises(DatabaseUnreachable) as error:
        migrate(f"sqlite+aiosqlite:///{tmp_path / 'nowhere' / 'controls.db'}")
    assert "folder exists" in error.value.help


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    """A file of something else is left as it is."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(DatabaseUnreachable, match="not a database"):
        migrate(f"sqlite+aiosqlite:///{path}")
    assert path.read_text() == "not a database " * 100


def test_a_server_that_does_not_answer_is_explained() -> None:
    """The address is in the message, the password is not."""
    with pytest.raises(DatabaseUnreachable) as error:
        migrate("postgresql+asyncpg://ana:secret@127.0.0.1:1/controls")
    assert "127.0.0.1:1/controls" in error.value.detail
    assert "secret" not in error.value.detail + error.value.help + str(error.value)


def test_a_database_that_does_not_exist_is_explained(postgres_server: PostgresServer) -> None:
    """The server's own words are in the message."""
    with pytest.raises(DatabaseUnreachable, match="does not exist"):
        current_revision(postgres_server.url("no_such_database"))


def test_an_unknown_revision_is_explained(database_url: str) -> None:
    """A misspelt version changes nothing."""
    with pytest.raises(RevisionUnknown, match="nonsense"):
        migrate(database_url, revision="nonsense")
    assert schema_of(database_url) == set()


def test_a_database_of_a_newer_program_is_explained(migrated_database_url: str) -> None:
    """A stored version that this program does not know is not touched."""
    with open_engine(migrated_database_url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RevisionUnknown) as error:
        migrate(migrated_database_url)
    assert "newer" in error.value.help
    assert current_revision(migrated_database_url) == "9999"


def test_asking_for_the_revision_makes_no_file(tmp_path: Path) -> None:
    """A database that is not there has no version, and still is not there."""
    path = tmp_path / "controls.db"
    assert current_revision(f"sqlite+aiosqlite:///{path}") is None
    assert not path.exists()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite+aiosqlite:////srv/a%20b.db", "sqlite:////srv/a%20b.db"),
        ("sqlite+aiosqlite:///c.db?timeout=3", "sqlite:///c.db"),
        ("postgresql+asyncpg://u:p%40@h:1/d", "postgresql+psycopg://u:p%40@h:1/d"),
        (
            "postgresql+asyncpg://u@/d?host=/run/pg&port=5433&ssl=verify-full&command_timeout=3",
            "postgresql+psycopg://u@/d?host=%2Frun%2Fpg&port=5433&sslmode=verify-full",
        ),
        ("postgresql://h/d", "postgresql+psycopg://h/d"),
    ],
)
def test_migrations_use_the_blocking_driver(url: str, expected: str) -> None:
    """The address of the service is turned into that of the same database for the other driver."""
    assert sync_url(url) == make_url(expected)


@pytest.mark.parametrize(
    "url", ["mysql://h/d", "sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "nonsense"]
)
def test_other_databases_are_refused(url: str) -> None:
    """What the service could not work with is not migrated either."""
    with pytest.raises(InvalidInput) as error:
        migrate(url)
    assert "sqlite+aiosqlite:///FILE" in error.value.help


def test_sqlite_keeps_its_durable_settings(migrated_sqlite_url: str) -> None:
    """The file that a migration makes is in WAL mode before the service opens it."""
    with sqlite3.connect(str(make_url(migrated_sqlite_url).database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


# -- The package ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is installed elsewhere."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.parametrize(("source", "target"), [("migrations", "_migrations"), ("rules", "_rules")])
def test_the_wheel_holds_what_the_program_reads(wheel: Path, source: str, target: str) -> None:
    """Migrations and rule files are in the package, all of them and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        prefix = f"controls/{target}/"
        packed = {name.removeprefix(prefix) for name in archive.namelist() if name.startswith(prefix)}
    files = {
        path.relative_to(PROJECT / source).as_posix()
        for path in (PROJECT / source).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == files != set()


def test_an_installed_package_migrates(wheel: Path, tmp_path: Path) -> None:
    """Away from the checkout, the migrations of the package make the tables."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import controls.store.migrate as m\n"
        "assert m.migrations_folder().parts[-2:] == ('controls', '_migrations'), m.migrations_folder()\n"
        "print(m.migrate('sqlite+aiosqlite:///controls.db'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    )
    assert done.stdout.strip() == newest_revision(), done.stderr
    engine = create_engine(f"sqlite:///{tmp_path / 'controls.db'}")
    with engine.connect() as connection:
        assert len(schema(connection)) > len(metadata.tables)
    engine.dispose()


def test_acts_from_before_say_when_they_were_done(database_url: str) -> None:
    """As their ledger tells it; where it does not, never too early; going back forgets it, and no more."""
    migrate(database_url, revision="0012")
    rows = [
        # claim, kind, step, capacity, state
        ("performed", "order", "capture", "actor", "performed"),
        ("performed:for", "order", "capture", "principal", "performed"),
        ("claimed", "order", "approve", "actor", "claimed"),
        ("claimed:for", "order", "approve", "principal", "performed"),
        ("abandoned", "order", "settle", "actor", "abandoned"),
        ("void", "order", "settle", "actor", "void"),
        ("reopened", "order", "approve", "actor", "reopened"),
        ("untold", "order", "approve", "actor", "void"),
        ("amended", "order", "amend", "actor", "performed"),
        ("approved", "order", "settle", "approver", "performed"),
        ("counted", "quick", "settle", "actor", "claimed"),
    ]
    told = [
        ("outcome", {"claim": "performed"}),
        ("outcome", {"claim": "abandoned"}),
        ("outcome", {"claim": "reopened"}),
        ("resolution", {"void": "void"}),
        ("resolution", {"void": "performed"}),
        ("decision", {"claim": {"id": "claimed"}}),
    ]
    chains = [{"chain": "order"}, {"chain": "quick", "progress": "claimed"}]
    release = {"format": 1, "files": {"chains/all.yaml": chains, "duties/some.yaml": []}}

    def kept(connection: Connection) -> list[tuple[object, ...]]:
        rows = connection.execute(text("SELECT trail, claim, at FROM trail_marks ORDER BY trail, claim"))
        return [tuple(row) for row in rows]

    with open_engine(database_url) as engine, engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO ledger_heads (tenant, origin, size, frontier, last_at, directory_index,"
                " keys_index, release) VALUES ('t', 'o', 6, :empty, 99, 0, 0, 'r')"
            ),
            {"empty": b""},
        )
        connection.execute(
            text("INSERT INTO ledger_blobs (tenant, digest, data) VALUES ('t', 'r', :data)"),
            {"data": json.dumps(release).encode()},
        )
        for index, (kind, fields) in enumerate(told):
            connection.execute(
                text(
                    'INSERT INTO ledger_entries (tenant, "index", id, kind, at, bytes, leaf)'
                    " VALUES ('t', :index, :id, :kind, :at, :bytes, :leaf)"
                ),
                {
                    "index": index,
                    "id": f"e{index}",
                    "kind": kind,
                    "at": 20 + index,
                    "bytes": json.dumps(fields).encode(),
                    "leaf": b"",
                },
            )
        for number, (claim, kind, step, capacity, state) in enumerate(rows):
            connection.execute(
                text(
                    "INSERT INTO acts (tenant, claim, decision, kind, chain, step, person, account, capacity,"
                    ' state, at, valid_until, "index", key, material, exclusive, voting)'
                    " VALUES ('t', :claim, 'd', :kind, :chain, :step, 'p', 'a', :capacity, :state, 7, 9, 0,"
                    " 'k', '{}', false, false)"
                ),
                {
                    "claim": claim,
                    "kind": kind,
                    "chain": f"O-{number}",
                    "step": step,
                    "capacity": capacity,
                    "state": state,
                },
            )
            for trail in ("account", "resembles"):
                connection.execute(
                    text(
                        "INSERT INTO trail_marks (tenant, trail, value, person, at, claim, part, kind, step)"
                        " VALUES ('t', :trail, 'v', 'p', 7, :claim, '', :kind, :step)"
                    ),
                    {"trail": trail, "claim": claim, "kind": kind, "step": step},
                )
        before = kept(connection)
    migrate(database_url)
    expected = {
        "performed": 20,
        "performed:for": 20,
        "claimed": None,
        "claimed:for": None,
        "abandoned": 21,
        "void": 23,
        "reopened": 22,
        "untold": 99,
        "amended": 7,
        "approved": 7,
        "counted": 7,
    }
    with open_engine(database_url) as engine, engine.connect() as connection:
        found = {row.claim: row.done_at for row in connection.execute(text("SELECT * FROM acts"))}
        assert found == expected
        marks = {claim: at for trail, claim, at in kept(connection) if trail == "account"}
        assert marks == {name: STILL_CLAIMED if at is None else at for name, at in expected.items()}
        assert all(at == 7 for trail, _, at in kept(connection) if trail == "resembles")
    downgrade(database_url, revision="0012")
    with open_engine(database_url) as engine, engine.connect() as connection:
        assert kept(connection) == before


def test_what_counted_by_account_counts_on(database_url: str) -> None:
    """Acts from before there were trails have their marks: each for every account that its chain had."""
    migrate(database_url, revision="0002")
    acts = [
        ("c1", "O-1", "capture", "p1", "A"),
        ("c2", "O-1", "amend", "p2", "B"),
        ("c3", "O-1", "settle", "p1", ""),
        ("c4", "O-2", "capture", "p1", "A"),
        ("c5", "O-3", "capture", "p1", ""),
    ]
    insert = text(
        "INSERT INTO acts (tenant, claim, decision, kind, chain, step, person, account, capacity, state, at,"
        ' valid_until, "index", key, material, scope_account, exclusive)'
        " VALUES ('t', :claim, 'd', 'order', :chain, :step, :person, 'a', 'actor', 'performed', 7, 9, 0, 'k',"
        " '{}', :account, false)"
    )
    names = ("claim", "chain", "step", "person", "account")
    with open_engine(database_url) as engine, engine.begin() as connection:
        connection.execute(insert, [dict(zip(names, act, strict=True)) for act in acts])
    migrate(database_url)
    with open_engine(database_url) as engine, engine.connect() as connection:
        kept = connection.execute(text("SELECT claim, chain, voting FROM acts ORDER BY claim")).all()
        marks = connection.execute(
            text("SELECT value, person, claim, kind, step, at FROM trail_marks WHERE trail = 'account'")
        ).all()
    assert [(row.claim, row.chain, bool(row.voting)) for row in kept] == [
        (claim, chain, False) for claim, chain, *_ in acts
    ]
    expected = [
        (value_digest(account), person, claim, "order", step, 7)
        for account, chains in (("A", ("O-1", "O-2")), ("B", ("O-1",)))
        for claim, chain, step, person, _ in acts
        if chain in chains
    ]
    assert sorted(tuple(row) for row in marks) == sorted(expected)
