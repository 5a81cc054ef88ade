"""A broken engine, a wrong limit, an older database: what comes of the database's own refusals."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from controls.duties.backstop import step_limits
from controls.duties.constraints import FORMULAS
from controls.model.duty import ConstraintKind
from controls.model.errors import ControlsError, VerificationFailed
from controls.rules.release import compile_release
from controls.services.administration import Confirm, Propose
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.release_changes import ReleaseActivation
from controls.services.service import Service
from controls.store.database import Database, WriteRefused
from controls.store.listings import in_force
from controls.store.tables import acts, duty_limits, entries
from tests.desk import Desk, activation_of, an_order, ask, start_desk, submit
from tests.rules.rule_sets import desk_files
from tests.services.test_person_merge import confirmed, done, proposed


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(tmp_path, database_url=migrated_database_url)


@pytest.fixture
async def service(desk: Desk) -> AsyncIterator[Service]:
    running = desk.build()
    await running.start()
    yield running
    await running.close()


async def limits_of(database: Database) -> dict[str, set[tuple[str, str, str, str, int]]]:
    """The stored limits by release."""
    found: dict[str, set[tuple[str, str, str, str, int]]] = {}
    async with database.read() as connection:
        for row in await connection.execute(select(duty_limits)):
            limit = (row.kind, row.rule, row.act, row.step, row.most)
            found.setdefault(row.release, set()).add(limit)
    return found


async def plant(database: Database, tenant: str) -> None:
    """A limit that nobody set: whoever captured an order may not execute it."""
    async with database.write() as connection:
        release, *_ = await in_force(connection, tenant)
        wrong = {"tenant": tenant, "release": release, "kind": "order_to_settlement", "rule": "planted"}
        rows = [wrong | {"act": step, "step": step, "most": 1} for step in ("capture", "execute")]
        await connection.execute(insert(duty_limits), rows)


# -- A broken engine --------------------------------------------------------------------------------------


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that has forgotten the whole chain, and who acted alone on it."""
    for kind in (ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR):
        monkeypatch.setitem(FORMULAS, kind, lambda _constraint, *, asked: None)


@pytest.mark.usefixtures("forgetful")
async def test_what_a_broken_engine_permits_is_refused(desk: Desk) -> None:
    """An administrator who confirms the own change is stopped by the database; it stays as it was."""
    running = desk.build()
    await running.start()
    try:
        change = DirectoryChange(read_directory("person,name,account,roles\np-90,Nora Neu,nora,trader\n"))
        named = await proposed(running, desk, change)
        with pytest.raises(WriteRefused):
            await confirmed(running, desk, named, key="admin1")
        _, directory = await running.snapshot()
        assert directory.account("nora", at=running.now()) is None
        await confirmed(running, desk, named, key="admin2")
        async with running.database.read() as connection:
            query = select(acts.c.person).where(acts.c.chain == named)
            assert sorted((await connection.execute(query)).scalars()) == ["p-01", "p-02"]
    finally:
        await running.close()


# -- A wrong limit ----------------------------------------------------------------------------------------


async def test_a_false_refusal_permits_nothing_and_harms_no_neighbour(service: Service, desk: Desk) -> None:
    """Whom the database refuses gets an error that is on record; everybody else in the batch an answer."""
    orders = [an_order() for _ in range(3)]
    for order in orders:
        await done(service, desk, "capture", "tina.trader", order)
        await done(service, desk, "approve", "rita.risk", order)
    await plant(service.database, service.tenant)
    execute = [
        desk.decide(ask("execute", login, order))
        for login, order in zip(("tomas.trader", "tina.trader", "tina.bot"), orders, strict=True)
    ]
    capture = [desk.decide(ask("capture", "tina.trader", an_order())) for _ in range(3)]
    batch = [execute[0], capture[0], execute[1], capture[1], execute[2], capture[2]]
    answers: list[Any] = await asyncio.gather(*map(service.writer.submit, batch), return_exceptions=True)
    refused = [answers[2], answers[4]]
    assert all(isinstance(error, WriteRefused) and error.code == "write_refused" for error in refused)
    told = [json.loads(answer) for answer in (answers[0], answers[1], answers[3], answers[5])]
    assert {item["outcome"] for item in told} == {"permit"}
    async with service.database.read() as connection:
        for order, holders in zip(orders, (["p-06"], [], []), strict=True):
            query = select(acts.c.person).where(acts.c.chain == order["id"], acts.c.step == "execute")
            assert list((await connection.execute(query)).scalars()) == holders
        last = select(entries.c.bytes).where(entries.c.kind == "refusal")
        codes = [json.loads(row)["code"] for row in (await connection.execute(last)).scalars()]
    assert codes == ["write_refused", "write_refused"]


async def test_a_service_does_not_start_with_limits_that_nobody_set(service: Service, desk: Desk) -> None:
    """They would refuse what is allowed: who wrote them must be found out."""
    await plant(service.database, service.tenant)
    other = desk.build()
    try:
        with pytest.raises(VerificationFailed) as refused:
            await other.start()
        assert refused.value.code == "limits_changed"
        assert "planted" in refused.value.detail
    finally:
        await other.close()


# -- Where the limits come from ---------------------------------------------------------------------------


async def test_a_release_brings_its_limits(service: Service, desk: Desk) -> None:
    """In the transaction that puts it into force; those of the release before stay its own."""
    before = await limits_of(service.database)
    assert len(before) == 1
    files = desk_files()
    more = "- {id: apart, kind: separate, steps: [capture, execute], then: deny, absolute: true}\n"
    release = compile_release({**files, "duties/desk.yaml": files["duties/desk.yaml"] + more})
    change = await activation_of(service, release)
    again = ReleaseActivation.from_payload(json.loads(json.dumps(change.payload())))
    assert again.limits == change.limits == step_limits(release.constraints, chains=release.chains.values())
    order = an_order()
    await done(service, desk, "capture", "tina.trader", order)
    command = Propose(service.new_id("chg"), service.new_id("change"), desk.key_ids["admin1"], change)
    named = str((await submit(service, command))["change"])
    assert await limits_of(service.database) == before
    confirm = Confirm(service.new_id("chg"), desk.key_ids["admin2"], named)
    confirm.prepared = await service.releases.prepared(named)
    await submit(service, confirm)
    after = await limits_of(service.database)
    assert after.keys() == before.keys() | {release.digest}
    assert after[release.digest] == {
        (item.kind, item.rule, item.act, item.step, item.most) for item in change.limits
    }
    assert {rule for _, rule, *_ in after[release.digest]} == {"whole_chain", "apart"}
    assert {key: after[key] for key in before} == before


async def test_a_database_of_an_older_program_gets_its_limits(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """The service writes what is missing when it starts, before anything is decided."""
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url)
    path = migrated_sqlite_url.removeprefix("sqlite+aiosqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        name = "duty_limits_no_delete"
        (guard,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM duty_limits")
        connection.execute(guard)
    running = desk.build()
    await running.start()
    try:
        release = running.state.active
        assert release is not None
        limits = await limits_of(running.database)
        assert {rule for _, rule, *_ in limits[release.release.digest]} == {"whole_chain"}
        order = an_order()
        await done(running, desk, "capture", "tina.trader", order)
    finally:
        await running.close()


async def test_a_refusal_by_the_database_is_a_conflict_and_no_answer(service: Service, desk: Desk) -> None:
    """It says that it is the last line of defence, and leaves nothing to proceed on."""
    order = an_order()
    await done(service, desk, "capture", "tina.trader", order)
    await done(service, desk, "approve", "rita.risk", order)
    await plant(service.database, service.tenant)
    with pytest.raises(ControlsError) as refused:
        await submit(service, desk.decide(ask("execute", "tina.trader", order)))
    assert (refused.value.code, type(refused.value).__bases__[0].__name__) == ("write_refused", "Conflict")
    assert "too many steps" in refused.value.detail
