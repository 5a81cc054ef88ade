"""The connection to the database is lost, at every moment it can be: a recorded answer or 503, never both."""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from controls.bootstrap import build_service
from controls.model.errors import Unavailable
from controls.services import writer as writer_module
from controls.services.commands import Command
from controls.services.service import Service
from controls.store import database as database_module
from controls.store.database import CommitUnknown, StoreConnection
from tests.databases import (
    OwnServer,
    PostgresServer,
    PostgresUnavailableError,
    database_on,
    start_postgres,
)
from tests.desk import Desk

from .proxy import Cut, Proxy, proxy_to
from .running import audit, body, once, pressure_desk, running
from .test_group_commit import Poisoned, capture


def asked(desk: Desk, count: int) -> list[tuple[str, dict[str, Any]]]:
    """Idempotency-Keys and bodies, each about an order of its own."""
    return [
        (secrets.token_hex(8), body("capture", "tina.trader", f"O-{secrets.token_hex(8)}"))
        for _ in range(count)
    ]


async def submit_all(service: Service, commands: list[Command]) -> list[Any]:
    return await asyncio.gather(*map(service.writer.submit, commands), return_exceptions=True)


def check_recorded_once(desk: Desk, bodies: list[dict[str, Any]], answers: list[bytes]) -> None:
    """Each order was decided exactly once, and as it was answered."""
    checked = audit(desk)
    checked.check_answers([json.loads(answer) for answer in answers])
    orders = [entry["request"]["resource"]["id"] for entry in checked.of_kind("decision")]
    assert sorted(orders) == sorted(said["resource"]["id"] for said in bodies)
    assert len(checked.claims()) == len(bodies)


@asynccontextmanager
async def behind_proxy(desk: Desk) -> AsyncIterator[tuple[Service, Proxy]]:
    """A service that reaches its PostgreSQL over a wire that can be cut."""
    url = make_url(desk.settings.database_url)
    async with proxy_to(url.host or "", url.port or 5432) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
        service = build_service(desk.settings.model_copy(update={"database_url": through}))
        await service.start()
        try:
            yield service, proxy
        finally:
            proxy.closed = False
            await service.close()


@pytest.mark.parametrize(("size", "keyed"), [(1, False), (20, True), (20, False)])
@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER, Cut.ANSWERED])
async def test_the_connection_ends_during_commit(
    migrated_postgres_url: str, tmp_path: Path, cut: Cut, size: int, keyed: bool
) -> None:
    """Cut around COMMIT: the ids are looked up, everybody is answered, and nothing is recorded twice."""
    desk = pressure_desk(tmp_path, migrated_postgres_url)
    pairs = asked(desk, size)
    plain = [capture(desk) for _ in range(size)]  # without a key by which the second try could find them
    async with behind_proxy(desk) as (service, proxy):
        proxy.cut = cut
        commands = [once(desk, token, said) for token, said in pairs] if keyed else plain
        told = await submit_all(service, commands)
        assert all(isinstance(item, bytes) for item in told), told
        assert proxy.cuts == 1
        if keyed:
            assert await submit_all(service, [once(desk, token, said) for token, said in pairs]) == told
    checked = audit(desk)
    checked.check_answers([json.loads(answer) for answer in told])
    assert len(checked.of_kind("decision")) == len(checked.claims()) == size


async def test_commit_is_met_with_silence(
    migrated_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes back and nothing is closed: after a while the connection is given up, as if cut."""
    monkeypatch.setattr(database_module, "STATEMENT_SECONDS", 1)
    desk = pressure_desk(tmp_path, migrated_postgres_url)
    async with behind_proxy(desk) as (service, proxy):
        proxy.cut = Cut.SILENCE
        told = await submit_all(service, [capture(desk) for _ in range(20)])
        assert all(isinstance(item, bytes) for item in told), told
        assert proxy.cuts == 1
    assert len(audit(desk).of_kind("decision")) == 20


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER, Cut.ANSWERED])
async def test_the_database_is_gone_after_commit_was_sent(
    migrated_postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: Cut
) -> None:
    """No look-up is possible either: 503; the same keys get the truth once the database is back."""
    monkeypatch.setattr(writer_module, "LOOK_UP_PAUSE_SECONDS", 0.05)
    desk = pressure_desk(tmp_path, migrated_postgres_url)
    pairs = asked(desk, 8)
    async with behind_proxy(desk) as (service, proxy):
        proxy.cut, proxy.close_after_cut = cut, True
        told = await submit_all(service, [once(desk, token, said) for token, said in pairs])
        assert {type(item) for item in told} == {CommitUnknown}
        down = await submit_all(service, [capture(desk)])
        assert isinstance(down[0], Unavailable)
        proxy.closed = proxy.close_after_cut = False
        again = await submit_all(service, [once(desk, token, said) for token, said in pairs])
        repeated = await submit_all(service, [once(desk, token, said) for token, said in pairs])
    assert again == repeated
    check_recorded_once(desk, [said for _, said in pairs], again)


async def hold_lock(service: Service, desk: Desk) -> AsyncIterator[None]:
    """Hold the head row's lock until asked for more, then write."""
    async with service.database.write() as connection:
        await writer_module.lock_head(connection, desk.settings.tenant)
        yield
        await connection.execute(text("SELECT 1"))


async def test_backends_are_ended_while_idle(
    postgres_server: PostgresServer, migrated_postgres_url: str, tmp_path: Path
) -> None:
    """An administrator ends every connection: the next requests and reads do not notice."""
    desk = pressure_desk(tmp_path, migrated_postgres_url)
    name = make_url(migrated_postgres_url).database or ""
    pairs = asked(desk, 30)
    told: list[Any] = []
    async with running(desk) as service:
        for start in range(0, 30, 10):
            postgres_server.disconnect_everybody(name)
            told += await submit_all(
                service, [once(desk, token, said) for token, said in pairs[start : start + 10]]
            )
    assert all(isinstance(item, bytes) for item in told), told
    check_recorded_once(desk, [said for _, said in pairs], told)


async def test_backends_are_ended_while_waiting_for_the_lock(
    postgres_server: PostgresServer, migrated_postgres_url: str, tmp_path: Path
) -> None:
    """The connection of a batch that waits for the head row is ended: the batch is tried again."""
    desk = pressure_desk(tmp_path, migrated_postgres_url)
    name = make_url(migrated_postgres_url).database or ""
    pairs = asked(desk, 10)
    async with running(desk) as service, running(desk) as other:
        held = hold_lock(other, desk)
        await anext(held)
        waiting = asyncio.create_task(submit_all(service, [once(desk, token, said) for token, said in pairs]))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(postgres_server.disconnect_everybody, name)
        with pytest.raises(Unavailable):
            await anext(held)
        told = await waiting
    assert all(isinstance(item, bytes) for item in told), told
    check_recorded_once(desk, [said for _, said in pairs], told)


async def test_a_backend_is_ended_in_the_middle_of_writing(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    """The connection ends after the entries are inserted, before COMMIT: all is tried again, once."""
    desk = pressure_desk(tmp_path, migrated_postgres_url)
    commands = [capture(desk) for _ in range(10)]

    class Ending(Poisoned):
        async def _fail(self, connection: StoreConnection) -> None:
            if self.attempts == 1:
                await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    ending = Ending(capture(desk), ZeroDivisionError(), "written")
    async with running(desk) as service:
        told = await submit_all(service, [*commands, ending])
    assert all(isinstance(item, bytes) for item in told), told
    assert ending.attempts == 2
    assert len(audit(desk).of_kind("decision")) == 11


@pytest.fixture(scope="module")
def own_server() -> Iterator[OwnServer]:
    """A PostgreSQL that these tests may stop."""
    try:
        with start_postgres() as server:
            yield server
    except PostgresUnavailableError as reason:
        pytest.skip(f"NOT TESTED: {reason}")


def stop_soon(server: OwnServer, *, immediately: bool) -> None:
    """Stop the server once the flood has begun."""
    time.sleep(0.1)
    server.stop(immediately=immediately)


@pytest.mark.parametrize("immediately", [False, True])
async def test_the_server_is_restarted(
    own_server: OwnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, immediately: bool
) -> None:
    """While PostgreSQL is down everybody gets 503 at once; after it is back the same service goes on."""
    with database_on(own_server) as name:
        desk = pressure_desk(tmp_path, own_server.url(name))
        pairs = asked(desk, 30)
        async with running(desk) as service:
            before = await submit_all(service, [once(desk, *pair) for pair in pairs[:10]])
            flooded, _ = await asyncio.gather(
                submit_all(service, [capture(desk) for _ in range(500)]),
                asyncio.to_thread(stop_soon, own_server, immediately=immediately),
            )
            async with asyncio.timeout(5):
                down = await submit_all(service, [once(desk, *pair) for pair in pairs[10:20]])
            assert all(isinstance(item, Unavailable) for item in down), down
            assert "database" in await service.ready()
            own_server.start()  # in this thread: the server ends with the thread that started it
            again = await submit_all(service, [once(desk, *pair) for pair in pairs])
            assert not await service.ready()
        assert all(isinstance(item, bytes | Unavailable) for item in flooded)
        assert again[:10] == before
        assert all(isinstance(item, bytes) for item in again), again
        checked = audit(desk)
        answered = [json.loads(item) for item in [*flooded, *again] if isinstance(item, bytes)]
        checked.check_answers(answered)
        # A request whose COMMIT was not answered may be on record without an answer; nothing else may.
        unknown = sum(isinstance(item, CommitUnknown) for item in flooded)
        assert 0 <= len(checked.of_kind("decision")) - len(answered) <= unknown


@contextmanager
def write_lock_held(path: str) -> Iterator[None]:
    """Another process has a write transaction open."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.kill()
        holder.communicate()


HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


async def test_another_process_holds_the_write_lock(
    migrated_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's write lock is held for too long: 503 for all within two waits; then the service goes on."""
    monkeypatch.setattr(database_module, "LOCK_SECONDS", 1)
    desk = pressure_desk(tmp_path, migrated_sqlite_url)
    pairs = asked(desk, 20)
    async with running(desk) as service:
        with write_lock_held(str(make_url(migrated_sqlite_url).database)):
            async with asyncio.timeout(4):
                held = await submit_all(service, [once(desk, *pair) for pair in pairs])
        assert {(type(item).__name__, item.code) for item in held} == {
            ("StoreUnavailable", "store_unavailable")
        }
        told = await submit_all(service, [once(desk, *pair) for pair in pairs])
    assert all(isinstance(item, bytes) for item in told), told
    check_recorded_once(desk, [said for _, said in pairs], told)


async def test_the_lock_is_free_again_in_time(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """Somebody else writes to the SQLite file for a moment: the service waits and answers."""
    desk = pressure_desk(tmp_path, migrated_sqlite_url)
    async with running(desk) as service:
        other = sqlite3.connect(str(make_url(migrated_sqlite_url).database), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(service.writer.submit(capture(desk)))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        other.execute("ROLLBACK")
        other.close()
        assert json.loads(await waiting)["decision"]


async def test_close_does_not_wait_for_ever(
    migrated_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that is stopped while it waits for SQLite's lock ends, and says that it does not know."""
    monkeypatch.setattr(database_module, "LOCK_SECONDS", 2)
    monkeypatch.setattr(writer_module, "CLOSE_SECONDS", 0.2)
    desk = pressure_desk(tmp_path, migrated_sqlite_url)
    path = str(make_url(migrated_sqlite_url).database)
    async with asyncio.timeout(10), running(desk) as service:
        with write_lock_held(path):
            waiting = [asyncio.create_task(service.writer.submit(capture(desk))) for _ in range(5)]
            await asyncio.sleep(0.2)
            late = asyncio.create_task(service.writer.submit(capture(desk)))
            await asyncio.sleep(0.1)
            await service.close()
            told = await asyncio.gather(*waiting, late, return_exceptions=True)
    assert [item.code for item in told if isinstance(item, Unavailable)] == ["interrupted"] * 5 + ["stopping"]
