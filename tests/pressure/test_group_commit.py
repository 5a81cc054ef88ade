"""The writer's batches: who is in one neither harms the others nor is lost, whatever happens around it."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controls.model.errors import Conflict, ControlsError, InvalidInput, Unavailable
from controls.services import writer as writer_module
from controls.services.commands import Command, Context, Render
from controls.services.decisions import Decide
from controls.services.service import Service
from controls.store.database import StoreConnection
from controls.store.workspace import Needs
from tests.desk import Desk

from .running import audit, body, pressure_desk, running


@dataclass(slots=True)
class Poisoned:
    """Decides like its command, and fails in the end; or fails as soon as it is prepared."""

    command: Decide
    error: BaseException
    when: str = "executed"
    attempts: int = 0
    id: str = field(init=False)
    key: str = field(init=False)
    alone: bool = False
    weight: int = 1

    def __post_init__(self) -> None:
        self.id, self.key = self.command.id, self.command.key

    def prepare(self, context: Context, needs: Needs) -> None:
        self.attempts += 1
        if self.when == "prepared":
            raise self.error
        self.command.prepare(context, needs)

    def execute(self, context: Context) -> Render:
        render = self.command.execute(context)
        if self.when == "executed":
            raise self.error
        if self.when == "written":
            context.work.later(self._fail)
        return render

    async def _fail(self, _connection: StoreConnection) -> None:
        raise self.error

    def refused_act(self) -> dict[str, Any]:
        return self.command.refused_act()


def capture(desk: Desk, order: str = "") -> Decide:
    """A question that is permitted, about an order of its own."""
    return desk.decide(body("capture", "tina.trader", order or f"O-{secrets.token_hex(6)}"))


async def in_one_batch(service: Service, commands: list[Command]) -> list[Any]:
    """Submit all at once; answers or errors in order. A batch takes all that waits when it begins."""
    return await asyncio.gather(*map(service.writer.submit, commands), return_exceptions=True)


def batches(service: Service) -> float:
    """How many units of work there were."""
    return service.metrics.registry.get_sample_value("controls_batch_size_count") or 0.0


DEFECTS: list[tuple[Callable[[], BaseException], str, str]] = [
    (lambda: ZeroDivisionError("poison"), "executed", "internal_error"),
    (lambda: ZeroDivisionError("poison"), "prepared", "internal_error"),
    (lambda: ZeroDivisionError("poison"), "written", "internal_error"),
    (lambda: OverflowError("Python int too large"), "written", "internal_error"),
]


@pytest.mark.parametrize(("error", "when", "code"), DEFECTS)
async def test_a_poisoned_command_fails_alone(
    migrated_database_url: str, tmp_path: Path, error: Callable[[], BaseException], when: str, code: str
) -> None:
    """A command that raises where it must not fails alone: 30 neighbours are answered, no trace is left."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    poisoned = Poisoned(capture(desk), error(), when)
    commands: list[Command] = [capture(desk) for _ in range(30)]
    async with running(desk) as service:
        before = batches(service)
        told = await in_one_batch(service, [*commands[:17], poisoned, *commands[17:]])
        assert batches(service) == before + 1
    failed = told.pop(17)
    assert isinstance(failed, ControlsError)
    assert failed.code == code
    answers = [json.loads(item) for item in told]
    assert [answer["id"] for answer in answers] == [command.id for command in commands]
    assert all(answer["decision"] for answer in answers)
    checked = audit(desk)
    checked.check_answers(answers)
    assert poisoned.id not in checked.by_id()
    assert len(checked.of_kind("decision")) == 30
    assert len(checked.claims()) == 30
    assert checked.refusals() == []


@pytest.mark.parametrize("when", ["executed", "prepared"])
async def test_a_command_refused_half_way_is_undone_and_recorded_as_refused(
    migrated_database_url: str, tmp_path: Path, when: str
) -> None:
    """A refusal after something was changed undoes that, spares the neighbours, and is on record itself."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    refused = Poisoned(capture(desk), Conflict("half_way", "No"), when)
    async with running(desk) as service:
        told = await in_one_batch(service, [capture(desk), refused, capture(desk)])
        alone = await in_one_batch(service, [Poisoned(capture(desk), Conflict("half_way", "No"), when)])
    assert [isinstance(item, bytes) for item in told] == [True, False, True]
    assert [item.code for item in (told[1], *alone)] == ["half_way", "half_way"]
    checked = audit(desk)
    assert checked.refusals() == ["half_way", "half_way"]
    assert len(checked.claims()) == len(checked.of_kind("decision")) == 2


async def test_a_value_that_the_database_does_not_take_is_not_its_trouble(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    """PostgreSQL refuses a NUL in a text: that request fails alone, its neighbours are recorded."""
    desk = pressure_desk(tmp_path, migrated_postgres_url)
    async with running(desk) as service:
        told = await in_one_batch(service, [capture(desk), capture(desk, "O-\0"), capture(desk)])
        assert [isinstance(item, bytes) for item in told] == [True, False, True]
        assert told[1].code == "write_refused"
        assert json.loads(await service.writer.submit(capture(desk)))["decision"]
    checked = audit(desk)
    assert checked.refusals() == ["write_refused"]
    assert len(checked.claims()) == 3


async def test_an_entry_that_is_too_large_takes_its_whole_list_with_it(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """The third item of a list cannot be recorded: the first two claim nothing, all is refused."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    huge = body("capture", "tina.trader", "O" * 70_000)
    listed = desk.decide(body("capture", "tina.trader", "O-1"), body("capture", "tina.trader", "O-2"), huge)
    async with running(desk) as service:
        told = await in_one_batch(service, [capture(desk), listed, capture(desk)])
    assert [isinstance(item, bytes) for item in told] == [True, False, True]
    assert isinstance(told[1], InvalidInput)
    checked = audit(desk)
    assert checked.refusals() == ["entry_too_large"]
    assert len(checked.claims()) == 2


async def test_a_list_with_a_resource_of_the_service_claims_nothing(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """A list that asks about the service's own resources is refused before its first item is decided."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    listed = desk.decide(
        body("capture", "tina.trader", "O-1"), body("confirm", "tina.trader", "chg", resource="change")
    )
    async with running(desk) as service:
        before = batches(service)
        told = await in_one_batch(service, [listed])
        assert batches(service) == before + 1
    assert told[0].code == "administered_resource"
    checked = audit(desk)
    assert checked.refusals() == ["administered_resource"]
    assert checked.claims() == []


async def test_leaf_order_is_decision_order(migrated_database_url: str, tmp_path: Path) -> None:
    """Answers go to whom they belong, and commands are recorded in the order in which they arrived."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    commands: list[Command] = [capture(desk) for _ in range(150)]
    async with running(desk) as service:
        told = await in_one_batch(service, commands)
        assert batches(service) < 10
    answers = [json.loads(item) for item in told]
    assert [answer["id"] for answer in answers] == [command.id for command in commands]
    indexes = [answer["receipt"]["index"] for answer in answers]
    assert indexes == list(range(1, 151))
    recorded = [entry["id"] for entry in audit(desk).of_kind("decision")]
    assert recorded == [command.id for command in commands]


async def test_time_never_goes_back(migrated_database_url: str, tmp_path: Path) -> None:
    """A clock that is set back by an hour does not take the ledger with it."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    start = datetime.now(UTC)
    steps = iter([0, 5, -3600, -3600, 4, 6])

    def clock() -> datetime:
        return start + timedelta(seconds=next(steps))

    async with running(desk, clock=clock) as service:
        for _ in range(6):
            await service.writer.submit(capture(desk))
    moments = [datetime.fromisoformat(entry["at"]) for entry in audit(desk).of_kind("decision")]
    assert [round((moment - start).total_seconds(), 3) for moment in moments] == [0, 5, 5, 5, 5, 6]


async def test_now_is_read_after_the_wait_for_the_lock(migrated_database_url: str, tmp_path: Path) -> None:
    """A command that waited for the lock is decided at the time it got it, not when it asked."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    async with running(desk) as service, running(desk) as other:
        async with other.database.write() as connection:
            await writer_module.lock_head(connection, desk.settings.tenant)
            waiting = asyncio.create_task(service.writer.submit(capture(desk)))
            await asyncio.sleep(1.0)
            released = datetime.now(UTC)
        answer = json.loads(await waiting)
    decided = datetime.fromisoformat(audit(desk).by_id()[answer["id"]]["at"])
    assert decided >= released - timedelta(milliseconds=5)


async def test_a_command_whose_client_has_gone_still_completes(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """A caller that hangs up leaves a complete record, and takes no neighbour along."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    commands = [capture(desk) for _ in range(20)]
    async with running(desk) as service:
        waiting = [asyncio.create_task(service.writer.submit(command)) for command in commands]
        await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(item, asyncio.CancelledError) for item in told] == [True, False] * 10
        await service.writer.submit(capture(desk))
    known = audit(desk).by_id()
    assert all(command.id in known for command in commands)


async def test_a_full_queue_is_told_to_the_caller(
    migrated_sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More waiting commands than the queue holds: those beyond it are refused at once, nothing is lost."""
    monkeypatch.setattr(writer_module, "MAX_WAITING", 50)
    desk = pressure_desk(tmp_path, migrated_sqlite_url)
    async with running(desk) as service:
        told = await in_one_batch(service, [capture(desk) for _ in range(80)])
        accepted = [item for item in told if isinstance(item, bytes)]
        refused = [item for item in told if not isinstance(item, bytes)]
        assert (len(accepted), len(refused)) == (50, 30)
        assert {(type(item), item.code) for item in refused} == {(Unavailable, "overloaded")}
        assert json.loads(await service.writer.submit(capture(desk)))["decision"]
    assert len(audit(desk).claims()) == 51


async def test_close_leaves_nobody_waiting(migrated_database_url: str, tmp_path: Path) -> None:
    """On close the batch in hand is answered, all others are told that nothing was recorded."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    commands: list[Command] = [capture(desk) for _ in range(300)]
    async with running(desk) as service:
        waiting = [asyncio.create_task(service.writer.submit(command)) for command in commands]
        first = asyncio.ensure_future(waiting[0])
        await asyncio.wait([first])
        await service.writer.close()
        async with asyncio.timeout(5):
            told = await asyncio.gather(*waiting, return_exceptions=True)
        late = await in_one_batch(service, [capture(desk)])
        assert late[0].code == "stopping"
    answered = {command.id for command, item in zip(commands, told, strict=True) if isinstance(item, bytes)}
    refused = [item for item in told if not isinstance(item, bytes)]
    assert answered
    assert refused
    assert {(type(item), item.code) for item in refused} == {(Unavailable, "stopping")}
    assert {entry["id"] for entry in audit(desk).of_kind("decision")} == answered


async def test_what_follows_a_commit_cannot_take_the_answer_back(
    migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the kept checkpoint cannot be written (a full disk), answers are given all the same."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    async with running(desk) as service:
        monkeypatch.setattr(type(service.signer), "_write", _no_space)
        told = await in_one_batch(service, [capture(desk) for _ in range(20)])
        alone = await in_one_batch(service, [capture(desk)])
        monkeypatch.undo()
    assert all(isinstance(item, bytes) for item in told + alone)
    checked = audit(desk)  # with the kept checkpoint, written when the service closed
    assert len(checked.of_kind("decision")) == 21


def _no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


async def test_long_lists_are_not_put_together(migrated_database_url: str, tmp_path: Path) -> None:
    """Six lists of 400 are committed in several units of work, and every one is answered in order."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    lists: list[Command] = [
        desk.decide(
            *(body("capture", "tina.trader", f"T-{number}-{item}", resource="ticket") for item in range(400))
        )
        for number in range(6)
    ]
    async with running(desk) as service:
        before = batches(service)
        told = await in_one_batch(service, [*lists, capture(desk)])
        assert batches(service) - before >= 3
    for number, item in enumerate(told[:6]):
        answers = json.loads(item)
        assert all(answer["decision"] for answer in answers)
        assert [answer["chain"]["id"] for answer in answers] == [f"T-{number}-{item}" for item in range(400)]
    assert len(audit(desk).claims()) == 2401
