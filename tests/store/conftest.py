"""Databases with a ledger in them: made once, copied for each test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from controls.store.database import Database
from tests.databases import PostgresServer, database_on
from tests.store.ledgers import Ledger

# Two full tiles and some.
SEEDED = 600


@dataclass(frozen=True)
class Template:
    """A database with a ledger of SEEDED entries, and its last checkpoint."""

    where: str
    checkpoint: str


def seed(url: str) -> str:
    """Write the ledger; its last checkpoint."""

    async def write() -> str:
        database = Database(url)
        try:
            ledger = await Ledger(database).start()
            for count in (1, 255, 300, SEEDED - 556):
                await ledger.append(count)
            async with database.write() as connection:
                for table, columns, values in (
                    ("ledger_blobs", "tenant, digest, data", "'t', 'sha256:1', 'blob'"),
                    ("approval_uses", "tenant, approval, decision", "'t', 'app_1', 'dec_7_1'"),
                    (
                        "duty_limits",
                        "tenant, release, kind, rule, act, step, most",
                        "'t', 'sha256:1', 'order', 'whole_chain', 'capture', 'capture', 1",
                    ),
                ):
                    await connection.exec_driver_sql(f"INSERT INTO {table} ({columns}) VALUES ({values})")
        finally:
            await database.close()
        assert ledger.checkpoint is not None
        return ledger.checkpoint

    return asyncio.run(write())


@pytest.fixture(scope="session")
def sqlite_ledger_template(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Template:
    path = tmp_path_factory.mktemp("sqlite-ledger") / "controls.db"
    for part in sqlite_template.parent.iterdir():
        shutil.copy(part, path.parent / part.name)
    return Template(str(path), seed(f"sqlite+aiosqlite:///{path}"))


@pytest.fixture(scope="session")
def postgres_ledger_template(postgres_server: PostgresServer, postgres_template: str) -> Iterator[Template]:
    with database_on(postgres_server, template=postgres_template) as name:
        yield Template(name, seed(postgres_server.url(name)))


@pytest.fixture
def sqlite_ledger(sqlite_ledger_template: Template, tmp_path: Path) -> Path:
    """A SQLite file with a ledger."""
    source = Path(sqlite_ledger_template.where)
    for part in source.parent.iterdir():
        shutil.copy(part, tmp_path / part.name)
    return tmp_path / source.name


@pytest.fixture
def postgres_ledger(postgres_server: PostgresServer, postgres_ledger_template: Template) -> Iterator[str]:
    """The name of a PostgreSQL database with a ledger."""
    with database_on(postgres_server, template=postgres_ledger_template.where) as name:
        yield name


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest) -> str:
    """A database with a ledger: the test runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{request.getfixturevalue('sqlite_ledger')}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url(request.getfixturevalue("postgres_ledger"))


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared_ledger_url(request: pytest.FixtureRequest) -> str:
    """As `ledger_url`, but one for all tests: nothing may be committed to it."""
    if request.param == "sqlite":
        template: Template = request.getfixturevalue("sqlite_ledger_template")
        return f"sqlite+aiosqlite:///{template.where}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template = request.getfixturevalue("postgres_ledger_template")
    return server.url(template.where)


@pytest_asyncio.fixture
async def database(migrated_database_url: str) -> AsyncIterator[Database]:
    """A migrated database without a ledger, on each kind."""
    opened = Database(migrated_database_url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def ledger(database: Database) -> Ledger:
    """A new ledger, on each kind of database."""
    return await Ledger(database).start()
