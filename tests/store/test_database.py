"""`controls.store.database`: every trouble says whether anything can have been written."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from controls.model.errors import InvalidInput
from controls.store import database as module
from controls.store.database import CommitUnknown, Database, StoreUnavailable, WriteRefused
from tests.databases import OwnServer, PostgresServer, start_postgres

PERSON = text("INSERT INTO persons (tenant, id, name) VALUES ('t', :id, 'Ana')")


async def add(database: Database, id: str) -> None:
    async with database.write() as connection:
        await connection.execute(PERSON, {"id": id})


async def persons(database: Database) -> list[str]:
    async with database.read() as connection:
        return list((await connection.execute(text("SELECT id FROM persons ORDER BY id"))).scalars())


@pytest.fixture
def server(postgres_server: PostgresServer) -> OwnServer:
    """A server on which connections can be ended."""
    if not isinstance(postgres_server, OwnServer):
        pytest.skip("ends connections, so it needs a server of its own")
    return postgres_server


def name_of(url: str) -> str:
    return str(make_url(url).database)


async def test_a_block_without_error_is_committed(database: Database) -> None:
    """What the block wrote is there for the next reader."""
    await add(database, "p1")
    assert await persons(database) == ["p1"]


async def test_an_error_of_the_caller_rolls_back(database: Database) -> None:
    """The caller's own error comes out as it is, nothing was written, and the connection still works."""

    class Mine(Exception):
        pass

    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(PERSON, {"id": "p1"})
            raise Mine

    with pytest.raises(Mine):
        await fail()
    await add(database, "p2")
    assert await persons(database) == ["p2"]


async def test_a_broken_constraint_is_a_refused_write(database: Database) -> None:
    """A duplicate is no reason to try again; the whole transaction is undone."""
    await add(database, "p1")

    async def duplicate() -> None:
        async with database.write() as connection:
            await connection.execute(PERSON, {"id": "p2"})
            await connection.execute(PERSON, {"id": "p1"})

    with pytest.raises(WriteRefused):
        await duplicate()
    assert await persons(database) == ["p1"]


async def test_a_guard_is_a_refused_write(database: Database) -> None:
    """A guard's refusal is told as such, with its own words."""

    async def skip() -> None:
        async with database.write() as connection:
            await connection.execute(
                text(
                    'INSERT INTO ledger_entries (tenant, "index", id, kind, at, bytes, leaf)'
                    " VALUES ('t', 1, 'x', 'decision', 1, 'x', 'y')"
                )
            )

    with pytest.raises(WriteRefused, match="an entry must have the next index"):
        await skip()


async def test_a_value_that_does_not_fit_is_a_refused_write(migrated_postgres_url: str) -> None:
    """Text that is too long, or that PostgreSQL cannot hold, will not fit the next time either."""
    database = Database(migrated_postgres_url)
    try:
        for value in ("p" * 257, "p\x00"):
            with pytest.raises(WriteRefused):
                await add(database, value)
        await add(database, "p1")
    finally:
        await database.close()


async def test_a_statement_that_fails_wrote_nothing(database: Database) -> None:
    """Any other trouble of the database is one that certainly wrote nothing."""

    async def fail() -> None:
        async with database.write() as connection:
            await connection.execute(PERSON, {"id": "p1"})
            await connection.execute(text("INSERT INTO no_such_table VALUES (1)"))

    with pytest.raises(StoreUnavailable):
        await fail()
    assert await persons(database) == []


async def test_writers_wait_for_each_other(database: Database) -> None:
    """Many writers at once all succeed: the pool and the lock make them wait."""
    await asyncio.gather(*(add(database, f"p{number:02}") for number in range(20)))
    assert len(await persons(database)) == 20


async def test_a_read_is_one_moment(database: Database) -> None:
    """What is committed while somebody reads does not show in the middle of it."""
    await add(database, "p1")
    async with database.read() as connection:
        query = text("SELECT count(*) FROM persons")
        assert (await connection.execute(query)).scalar_one() == 1
        await add(database, "p2")
        assert (await connection.execute(query)).scalar_one() == 1
    assert len(await persons(database)) == 2


async def test_a_read_that_fails_is_told(database: Database) -> None:
    """Trouble while reading is the same error as trouble while writing."""

    async def fail() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT * FROM no_such_table"))

    with pytest.raises(StoreUnavailable):
        await fail()


async def test_too_many_readers_are_told_to_come_back(migrated_database_url: str) -> None:
    """A reader who gets no connection in time gets an error that says to retry."""
    database = Database(migrated_database_url, pool_size=1)
    database._reader.pool._timeout = 0.05  # type: ignore[attr-defined]
    allowed = 1 + database._reader.pool._max_overflow  # type: ignore[attr-defined]
    reading, free = asyncio.Barrier(allowed + 1), asyncio.Event()

    async def hold() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
            await reading.wait()
            await free.wait()

    holders = [asyncio.create_task(hold()) for _ in range(allowed)]
    try:
        await reading.wait()
        with pytest.raises(StoreUnavailable):
            await persons(database)
    finally:
        free.set()
        await asyncio.gather(*holders)
        await database.close()


# -- SQLite -----------------------------------------------------------------------------------------------


async def test_every_sqlite_connection_is_durable_and_guarded(migrated_sqlite_url: str) -> None:
    """WAL, full synchronisation and recursive triggers hold for writers and readers."""
    database = Database(migrated_sqlite_url)

    async def settings(connection: AsyncConnection) -> list[object]:
        names = ("journal_mode", "synchronous", "recursive_triggers", "foreign_keys", "busy_timeout")
        return [(await connection.execute(text(f"PRAGMA {name}"))).scalar_one() for name in names]

    try:
        async with database.write() as writer:
            assert await settings(writer) == ["wal", 2, 1, 1, 10_000]
        async with database.read() as first, database.read() as second:
            assert await settings(first) == await settings(second) == ["wal", 2, 1, 1, 10_000]
    finally:
        await database.close()


async def test_a_locked_sqlite_file_wrote_nothing(
    migrated_sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process that holds the write lock for too long is an error to retry; then it heals."""
    monkeypatch.setattr(module, "LOCK_SECONDS", 0)
    database = Database(migrated_sqlite_url)
    try:
        with closing(sqlite3.connect(name_of(migrated_sqlite_url), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable):
                await add(database, "p1")
            other.execute("ROLLBACK")
        await add(database, "p2")
        assert await persons(database) == ["p2"]
    finally:
        await database.close()


async def test_who_waits_for_a_lock_keeps_nobody_waiting(migrated_sqlite_url: str) -> None:
    """While another process holds the write lock the loop goes on; then the write is made."""
    database = Database(migrated_sqlite_url)
    loop = asyncio.get_running_loop()
    try:
        with closing(sqlite3.connect(name_of(migrated_sqlite_url), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(add(database, "p1"))
            longest, since = 0.0, loop.time()
            for _ in range(20):
                before = loop.time()
                await asyncio.sleep(0.02)
                longest = max(longest, loop.time() - before)
            assert not waiting.done()
            assert longest < loop.time() - since - 0.1  # no single step took the whole time
            other.execute("ROLLBACK")
        await waiting
        assert await persons(database) == ["p1"]
    finally:
        await database.close()


async def test_a_full_sqlite_file_wrote_nothing(migrated_sqlite_url: str) -> None:
    """A full disk is an error to retry, and the next write after room was made succeeds."""
    database = Database(migrated_sqlite_url)

    async def limit(pages: int) -> None:
        async with database.write() as connection:
            await connection.execute(text(f"PRAGMA max_page_count = {pages}"))

    async def fill() -> None:
        async with database.write() as connection:
            await connection.execute(PERSON, {"id": "p1"})
            await connection.execute(text("INSERT INTO ledger_blobs VALUES ('t', 'd', zeroblob(10000000))"))

    try:
        await limit(1)  # SQLite takes the present size when that is more
        with pytest.raises(StoreUnavailable):
            await fill()
        await limit(1_000_000)
        await add(database, "p2")
        assert await persons(database) == ["p2"]
    finally:
        await database.close()


@pytest.mark.parametrize(
    "url", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "sqlite:///x.db", "mysql+aiomysql://h/d"]
)
def test_other_addresses_are_refused(url: str) -> None:
    """Only files and PostgreSQL, through the drivers that are tested."""
    with pytest.raises(InvalidInput):
        Database(url)


async def test_a_sqlite_folder_that_is_missing_is_unavailable() -> None:
    """A file that cannot be opened is an error to retry, for readers and writers."""
    database = Database("sqlite+aiosqlite:////no/such/folder/controls.db")
    before = set(threading.enumerate())
    try:
        with pytest.raises(StoreUnavailable):
            await add(database, "p1")
        with pytest.raises(StoreUnavailable):
            await persons(database)
        # aiosqlite's thread has a last word for this loop after the failure was told: hear it.
        async with asyncio.timeout(10):
            while any("_connection" in thread.name for thread in set(threading.enumerate()) - before):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await database.close()


async def test_sqlite_is_settled_beside_an_open_write(migrated_sqlite_url: str) -> None:
    """The log is moved into the file while a unit of work is in hand, and what it holds stays readable."""
    database = Database(migrated_sqlite_url)
    path = make_url(migrated_sqlite_url).database or ""
    await add(database, "p1")
    async with asyncio.timeout(5), database.write() as connection:
        await connection.execute(text("UPDATE persons SET name = 'open' WHERE id = 'p1'"))
        await database.settle()
    await add(database, "p2")
    await database.settle()
    with closing(sqlite3.connect(path)) as beside:
        busy, in_log, moved = beside.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert (busy, in_log) == (0, moved)
    assert await persons(database) == ["p1", "p2"]
    await database.close()


# -- PostgreSQL -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["port", "database", "password"])
async def test_a_server_that_cannot_be_reached_is_unavailable(
    postgres_server: PostgresServer, where: str
) -> None:
    """Nobody there, no such database, no such account: nothing was written."""
    address = make_url(postgres_server.url("postgres"))
    wrong = {
        "port": address.set(port=1),
        "database": address.set(database="no_such_database"),
        "password": address.set(password="wrong"),
    }[where]
    database = Database(wrong.render_as_string(hide_password=False))
    try:
        with pytest.raises(StoreUnavailable):
            await add(database, "p1")
        with pytest.raises(StoreUnavailable):
            await persons(database)
    finally:
        await database.close()


async def test_a_connection_lost_while_writing_wrote_nothing(
    migrated_postgres_url: str, server: OwnServer
) -> None:
    """The next write goes over a new connection, without a restart."""
    database = Database(migrated_postgres_url)

    async def lose() -> None:
        async with database.write() as connection:
            await connection.execute(PERSON, {"id": "p1"})
            await asyncio.to_thread(server.disconnect_everybody, name_of(migrated_postgres_url))
            await connection.execute(PERSON, {"id": "p2"})

    try:
        with pytest.raises(StoreUnavailable):
            await lose()
        await add(database, "p3")
        assert await persons(database) == ["p3"]
    finally:
        await database.close()


async def test_a_connection_lost_at_commit_is_not_known(
    migrated_postgres_url: str, server: OwnServer
) -> None:
    """Whoever loses the connection at COMMIT cannot say what became of it, and says so."""
    database = Database(migrated_postgres_url)

    async def lose() -> None:
        async with database.write() as connection:
            await connection.execute(PERSON, {"id": "p1"})
            await asyncio.to_thread(server.disconnect_everybody, name_of(migrated_postgres_url))

    try:
        with pytest.raises(CommitUnknown):
            await lose()
        await add(database, "p3")
        assert await persons(database) == ["p3"]
    finally:
        await database.close()


async def test_idle_connections_that_were_cut_heal(migrated_postgres_url: str, server: OwnServer) -> None:
    """After a fail-over every pooled connection is dead: at most each one's first use fails."""
    database = Database(migrated_postgres_url, pool_size=2)

    async def attempt(id: str) -> bool:
        try:
            await add(database, id)
        except StoreUnavailable:
            return False
        return True

    try:
        await asyncio.gather(*(add(database, f"a{number}") for number in range(4)))
        await asyncio.to_thread(server.disconnect_everybody, name_of(migrated_postgres_url))
        outcomes = [await attempt(f"b{number}") for number in range(6)]
        assert outcomes[-2:] == [True, True]
        written = [person for person in await persons(database) if person.startswith("b")]
        assert len(written) == outcomes.count(True)
    finally:
        await database.close()


async def test_a_server_that_is_down_heals(postgres_server: PostgresServer) -> None:
    """While the server is down everything is unavailable; when it is back, everything works again."""
    with start_postgres() as own:
        name = own.create_database()
        database = Database(own.url(name))
        try:
            async with database.write() as connection:
                await connection.execute(text("CREATE TABLE persons (tenant text, id text, name text)"))
            own.stop(immediately=True)
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    await add(database, "p1")
            with pytest.raises(StoreUnavailable):
                await persons(database)
            own.start()
            await add(database, "p2")
            assert await persons(database) == ["p2"]
        finally:
            await database.close()


async def test_a_held_lock_ends_in_time(migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long for somebody's lock is told to retry, and nothing was written."""
    monkeypatch.setattr(module, "LOCK_SECONDS", 1)
    database = Database(migrated_postgres_url)

    async def wait() -> None:
        async with database.write() as connection:
            await connection.execute(PERSON, {"id": "p2"})
            await connection.execute(text("LOCK TABLE accounts IN EXCLUSIVE MODE"))

    try:
        async with database.write() as holder:
            await holder.execute(text("LOCK TABLE accounts IN EXCLUSIVE MODE"))
            with pytest.raises(StoreUnavailable):
                await wait()
        assert await persons(database) == []
    finally:
        await database.close()
