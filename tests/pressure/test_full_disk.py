"""A full disk: 503 that says it may be retried, no permit, nothing half-written, and recovery by itself."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import event
from sqlalchemy.engine import make_url

from controls.api.app import create_app
from controls.services.service import Service
from tests.databases import PostgresUnavailableError, database_on, start_postgres
from tests.desk import Desk

from .running import audit, body, pressure_desk, running

MEGABYTE = 1 << 20


@contextmanager
def small_disk(size: int) -> Iterator[Path]:
    """A file system of `size` bytes; skips the test where none can be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="controls-small-disk-"))
    options = f"size={size},mode=755"
    mount = ["mount", "-t", "tmpfs", "-o", options, "controls-test", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except OSError as problem:
        folder.rmdir()
        pytest.skip(f"NOT TESTED: no small disk can be mounted here: {problem}")
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"NOT TESTED: a small disk can only be mounted by root: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """A file that takes all the space but `leave` bytes."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            free = os.statvfs(folder)
            os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave))
            while not leave:
                file.write(bytes(65536))
        except OSError:
            pass
    return filler


@dataclass(slots=True)
class Callers:
    """Callers over HTTP who remember every request and what it was answered with."""

    http: httpx2.AsyncClient
    desk: Desk
    answers: dict[str, httpx2.Response] = field(default_factory=dict)  # order -> the last answer
    tokens: dict[str, str] = field(default_factory=dict)

    async def capture(self, count: int) -> list[httpx2.Response]:
        """New orders, all at once."""
        return await self.repeat([f"O-{secrets.token_hex(8)}" for _ in range(count)])

    async def repeat(self, orders: list[str]) -> list[httpx2.Response]:
        return await asyncio.gather(*map(self._capture, orders))

    async def _capture(self, order: str) -> httpx2.Response:
        token = self.tokens.setdefault(order, secrets.token_hex(8))
        said = body("capture", "tina.trader", order)
        answer = await self.http.post("/v1/decisions", json=said, headers=self.desk.headers(token=token))
        self.answers[order] = answer
        return answer

    def failed(self) -> list[str]:
        return [order for order, answer in self.answers.items() if answer.status_code != 200]

    def check(self) -> None:
        """Every answer was a recorded decision or a 503 that says what to do."""
        for answer in self.answers.values():
            assert answer.status_code in {200, 503}, answer.text
            if answer.status_code == 503:
                problem = answer.json()
                assert problem["retryable"] is True
                assert problem["code"] in {"store_unavailable", "commit_unknown"}
                assert int(answer.headers["Retry-After"]) >= 1
                assert "decision" not in problem

    def check_in_the_end(self) -> None:
        """All orders are decided, each once, although some were asked for twice."""
        assert not self.failed()
        checked = audit(self.desk)
        checked.check_answers([answer.json() for answer in self.answers.values()])
        orders = [entry["request"]["resource"]["id"] for entry in checked.of_kind("decision")]
        assert sorted(orders) == sorted(self.answers)


@asynccontextmanager
async def callers(desk: Desk) -> AsyncIterator[tuple[Service, Callers]]:
    """A service and its callers in one process."""
    async with running(desk) as service:
        transport = httpx2.ASGITransport(create_app(service, settings=desk.settings))
        async with httpx2.AsyncClient(transport=transport, base_url="http://desk", timeout=60) as http:
            yield service, Callers(http, desk)


async def fill_and_recover(desk: Desk, make_space: Callable[[], Any], *, most: int) -> None:
    """Ask until the disk is full, look at what is answered, make space, and ask again."""
    async with callers(desk) as (service, asking):
        asked = 0
        while not asking.failed():
            await asking.capture(64)
            asked += 64
            assert asked <= most, "the disk is not full yet"
        asking.check()
        assert any(answer.status_code == 200 for answer in asking.answers.values())
        await asking.capture(20)
        asking.check()
        assert service.writer.running
        make_space()
        async with asyncio.timeout(60):
            while asking.failed():
                await asking.repeat(asking.failed())
                await asyncio.sleep(0.1)
        assert not await service.ready()
    asking.check_in_the_end()


async def test_sqlite_may_not_grow(
    migrated_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`max_page_count`: statements fail in the middle of the transaction."""
    desk = pressure_desk(tmp_path, migrated_sqlite_url)
    pages = [0]

    def bound(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages[0]}").close()

    build = Desk.build

    def bounded(self: Desk, **more: Any) -> Service:
        service = build(self, **more)
        writes = service.database._writes
        assert writes is not None
        event.listen(writes._engine, "checkout", bound)
        return service

    monkeypatch.setattr(Desk, "build", bounded)
    with sqlite3.connect(str(make_url(migrated_sqlite_url).database)) as probe:
        pages[0] = probe.execute("PRAGMA page_count").fetchone()[0] + 150
    probe.close()

    def make_space() -> None:
        pages[0] = 1_000_000

    await fill_and_recover(desk, make_space, most=6400)


async def test_sqlite_on_a_full_disk(sqlite_template: Path, tmp_path: Path, logged: list[Any]) -> None:
    """No space in the file system: the write-ahead log cannot grow, which shows at COMMIT."""
    with small_disk(4 * MEGABYTE) as disk:
        for part in sqlite_template.parent.iterdir():
            shutil.copy(part, disk / part.name)
        desk = pressure_desk(tmp_path, f"sqlite+aiosqlite:///{disk / sqlite_template.name}")
        filler = fill(disk, leave=MEGABYTE)
        await fill_and_recover(desk, filler.unlink, most=6400)
    assert "commit_unknown" in {entry["event"] for entry in logged}


async def test_sqlite_and_its_kept_checkpoint_on_a_full_disk(sqlite_template: Path) -> None:
    """The same where the outside checkpoint is on that disk too."""
    with small_disk(4 * MEGABYTE) as disk:
        for part in sqlite_template.parent.iterdir():
            shutil.copy(part, disk / part.name)
        desk = pressure_desk(disk, f"sqlite+aiosqlite:///{disk / sqlite_template.name}")
        filler = fill(disk, leave=MEGABYTE)
        await fill_and_recover(desk, filler.unlink, most=6400)


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(MEGABYTE, id="tables"),  # "could not extend file"
        pytest.param(8 * MEGABYTE, id="log", marks=pytest.mark.soak),  # PANIC, and recovery fails for a while
    ],
)
async def test_postgresql_on_a_full_disk(tmp_path: Path, leave: int) -> None:
    """PostgreSQL on a small disk: its tables cannot grow, or its log cannot and it goes down for a while."""
    with small_disk(512 * MEGABYTE) as disk:
        disk.chmod(0o755)
        try:
            with start_postgres(parent=disk) as server, database_on(server) as name:
                desk = pressure_desk(tmp_path, server.url(name))
                filler = fill(disk, leave=leave)

                def make_space() -> None:
                    filler.unlink(missing_ok=True)
                    if server.process[0].poll() is not None:
                        server.start()

                try:
                    await fill_and_recover(desk, make_space, most=64_000)
                finally:
                    make_space()
        except PostgresUnavailableError as reason:
            pytest.skip(f"NOT TESTED ON POSTGRESQL: {reason}")
