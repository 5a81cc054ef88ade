"""Releases change while decisions go on: none stalls, none mixes two releases, nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from controls.bootstrap import read_rule_files
from controls.decide import ActiveRelease
from controls.model.condition import Facts
from controls.model.errors import Conflict, Unavailable
from controls.model.finding import Finding
from controls.rules.engine import Engine
from controls.rules.engine_errors import EngineFailure
from controls.rules.release import Release, compile_release
from controls.services import release_candidates, trial
from controls.services import service as service_module
from controls.services.activate import activate
from controls.services.administration import Confirm, Propose
from controls.services.candidates import MAX_BUILT, Candidates
from controls.services.identifiers import new_id
from controls.services.service import Service
from controls.services.trial import ReleaseUnusable, tried
from tests.desk import DESK_RULES, Desk, activation_of, ask, start_desk, submit

FILES = dict(read_rule_files(DESK_RULES))
FIRST = compile_release(FILES)


def numbered(number: int) -> Release:
    """One of many releases that decide alike: the desk's, with a role more."""
    return compile_release(
        FILES
        | {"roles.yaml": FILES["roles.yaml"].replace("roles:\n", f"roles:\n  spare_{number}: {{}}\n", 1)}
    )


class Watched:
    """Builds releases whose engines note what is done with them."""

    def __init__(self) -> None:
        self.built: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.late = 0  # evaluations by an engine that was closed before
        self.fails = False

    def activate(self, release: Release, *, engine: str) -> ActiveRelease:
        if self.fails:
            raise EngineFailure("durable-rules does not take the rules")
        active = activate(release, engine=engine)
        self.built[release.digest] += 1
        noted: Any = _Noted(active.engine, release.digest, self)
        return ActiveRelease(release, active.enforcement, noted)


class _Noted:
    def __init__(self, engine: Engine, digest: str, watched: Watched) -> None:
        self.name, self._engine, self._digest, self._watched = engine.name, engine, digest, watched
        self._closed = False

    def evaluate(self, action: str, facts: Facts) -> tuple[Finding, ...]:
        self._watched.late += self._closed
        return self._engine.evaluate(action, facts)

    def close(self) -> None:
        assert not self._closed
        self._closed = True
        self._watched.closed[self._digest] += 1
        self._engine.close()


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(tmp_path, database_url=migrated_database_url)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is logged, at every level: a test before this one may have configured another one."""
    configured = structlog.get_config()
    structlog.reset_defaults()
    monkeypatch.setattr(release_candidates, "_log", structlog.get_logger())
    with structlog.testing.capture_logs() as entries:
        yield entries
    structlog.configure(**configured)


@asynccontextmanager
async def running(desk: Desk, watched: Watched | None = None) -> AsyncIterator[Service]:
    service = desk.build()
    if watched is not None:
        service.state.candidates.activate = watched.activate
    await service.start()
    try:
        yield service
    finally:
        await service.close()


@pytest.fixture(autouse=True)
def _trials() -> None:
    """Here each trial is a process of its own, but where only what follows it is the subject."""


async def propose(service: Service, desk: Desk, release: Release) -> str:
    command = Propose(
        new_id("chg"), new_id("change"), desk.key_ids["admin1"], await activation_of(service, release)
    )
    return str((await submit(service, command))["change"])


async def confirm(service: Service, desk: Desk, change: str) -> Any:
    command = Confirm(new_id("chg"), desk.key_ids["admin2"], change)
    command.prepared = await service.releases.prepared(change)
    return await submit(service, command)


async def test_decisions_finish_on_the_release_they_started_with(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load: each entry names the release in force at its index, no engine is used after it was closed,
    and each that was built is closed once, on the service that changes and on a replica."""
    monkeypatch.setattr(service_module, "WATCH_SECONDS", 0.1)
    here, there = Watched(), Watched()
    answers: list[Any] = []
    stopped = asyncio.Event()

    async def caller(service: Service) -> None:
        while not stopped.is_set():
            answers.append(await submit(service, desk.decide(ask("capture", "tina.trader"))))

    entered: list[tuple[int, str]] = [(0, FIRST.digest)]
    async with running(desk, here) as one, running(desk, there) as two:
        two.builds_ahead = True
        callers = [asyncio.create_task(caller(service)) for service in (one, two) * 3]
        for number in range(6):
            release = numbered(number % 2)
            told = await confirm(one, desk, await propose(one, desk, release))
            entered.append((told["receipt"]["index"], release.digest))
            await asyncio.sleep(0.05)
        stopped.set()
        await asyncio.gather(*callers)
    assert {answer["outcome"] for answer in answers} == {"permit"}
    for answer in answers:
        index = answer["receipt"]["index"]
        assert answer["release"] == [digest for begin, digest in entered if begin <= index][-1]
    assert len({answer["release"] for answer in answers}) == 3
    for watched in (here, there):
        assert watched.late == 0
        assert watched.closed == watched.built


async def test_building_keeps_nobody_waiting(desk: Desk) -> None:
    """While a candidate takes a second to build, decisions go on by the release in force."""
    watched = Watched()

    def slowly(release: Release, *, engine: str) -> ActiveRelease:
        if release.digest != FIRST.digest:
            gate.wait(10)
        return watched.activate(release, engine=engine)

    gate = threading.Event()
    async with running(desk) as service:
        service.state.candidates.activate = slowly
        change = await propose(service, desk, numbered(1))
        confirming = asyncio.create_task(confirm(service, desk, change))
        for _ in range(20):
            answer = await submit(service, desk.decide(ask("capture", "tina.trader")))
            assert answer["release"] == FIRST.digest
        assert not confirming.done()
        gate.set()
        await confirming
        answer = await submit(service, desk.decide(ask("capture", "tina.trader")))
        assert answer["release"] == numbered(1).digest


@pytest.mark.usefixtures("trials_here")
async def test_a_replica_that_heard_of_nothing_builds_before_it_decides(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head row is the truth: a request that comes first is answered by the new release, not refused."""
    monkeypatch.setattr(service_module, "WATCH_SECONDS", 3600)
    watched = Watched()
    async with running(desk) as here, running(desk, watched) as there:
        await confirm(here, desk, await propose(here, desk, numbered(1)))
        answers = await asyncio.gather(
            *(submit(there, desk.decide(ask("capture", "tina.trader"))) for _ in range(5))
        )
        assert {(item["outcome"], item["release"]) for item in answers} == {("permit", numbered(1).digest)}
        assert watched.closed == {FIRST.digest: 1}
        assert (await there.reload())["changed"] is False


@pytest.mark.usefixtures("trials_here")
async def test_a_replica_builds_what_is_proposed_ahead(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    """A candidate is ready on every replica before it is confirmed; the newest ones only."""
    monkeypatch.setattr(service_module, "WATCH_SECONDS", 3600)
    watched = Watched()
    async with running(desk) as here, running(desk, watched) as there:
        for number in range(MAX_BUILT + 1):
            change = await propose(here, desk, numbered(number))
        await there.releases.build_proposed()
        newest = {numbered(number).digest for number in range(1, MAX_BUILT + 1)}
        assert watched.built.keys() == newest | {FIRST.digest}
        await there.releases.build_proposed()
        assert watched.built.total() == MAX_BUILT + 1
        assert {item["release"] for item in logged if item["event"] == "release_built"} == newest
        await confirm(here, desk, change)
        watched.fails = True  # nothing needs to be built any more
        answer = await submit(there, desk.decide(ask("capture", "tina.trader")))
        assert answer["release"] == numbered(MAX_BUILT).digest
    assert watched.closed == watched.built


@pytest.mark.usefixtures("trials_here")
async def test_a_service_that_cannot_build_the_release_in_force_decides_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers 503, says why on /readyz, keeps no lock, and goes on as soon as it can."""
    monkeypatch.setattr(service_module, "WATCH_SECONDS", 3600)
    watched = Watched()
    async with running(desk) as here, running(desk, watched) as there:
        await confirm(here, desk, await propose(here, desk, numbered(1)))
        watched.fails = True
        for _ in range(2):
            with pytest.raises(Unavailable) as refused:
                await submit(there, desk.decide(ask("capture", "tina.trader")))
            assert refused.value.code == "release_unusable"
        assert "cannot be built" in (await there.ready())["release"]
        with pytest.raises(Unavailable):
            await there.reload()
        assert (await submit(here, desk.decide(ask("capture", "tina.trader"))))["outcome"] == "permit"
        watched.fails = False
        assert (await submit(there, desk.decide(ask("capture", "tina.trader"))))["outcome"] == "permit"
        assert await there.ready() == {}


async def test_a_candidate_that_fails_when_confirmed_changes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told and recorded, with the last good release in force; once it can be tried it is confirmed."""
    async with running(desk) as service:
        change = await propose(service, desk, numbered(1))
        act = {"act": "confirm", "change": change}
        with monkeypatch.context() as patch:
            patch.setattr(trial, "COMMAND", (trial.COMMAND[0], "-c", "raise SystemExit(3)"))
            with pytest.raises(ReleaseUnusable):
                await service.on_record(
                    service.releases.prepared(change), key=desk.key_ids["admin2"], act=act
                )
        answer = await submit(service, desk.decide(ask("capture", "tina.trader")))
        assert answer["release"] == FIRST.digest
        recorded: Any = (await service.queries.entry(answer["receipt"]["index"] - 1))["entry"]
        assert recorded["kind"] == "refusal"
        assert (recorded["code"], recorded["change"]) == ("release_unusable", change)
        with pytest.raises(Conflict) as unseen:
            await submit(service, Confirm(new_id("chg"), desk.key_ids["admin2"], change))
        assert unseen.value.code == "release_not_prepared"
        assert (await confirm(service, desk, change))["state"] == "confirmed"


async def test_a_trial_gives_what_the_compiler_gives() -> None:
    """The same digest and bytes as in this process."""
    found = await tried(FILES)
    assert (found.digest, found.document) == (FIRST.digest, FIRST.document)
    assert found.contents == FIRST.contents


async def test_an_abandoned_trial_leaves_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service that stops while it tries something kills what tries."""
    started = tmp_path / "started"
    script = f"import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(trial, "COMMAND", (trial.COMMAND[0], "-c", script))
    trying = asyncio.create_task(tried(FILES))
    await asyncio.to_thread(_until, lambda: started.exists() and started.read_text() != "")
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)


def _until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_a_retired_release_is_freed_without_the_collector() -> None:
    """Nothing of a release is kept by a cycle or a cache: once let go, nothing is left to be collected."""
    candidates = Candidates(engine="both")
    release = numbered(7)
    candidates.build(release.document)
    active = candidates.take(release.digest)
    assert active is not None
    assert candidates.take(release.digest) is None
    gc.collect()
    gc.disable()
    try:
        kept = weakref.ref(active.enforcement)
        active.engine.close()
        del active
        assert kept() is None
        assert gc.collect() == 0
    finally:
        gc.enable()
