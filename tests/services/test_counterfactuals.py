"""Counterfactuals of duties and counts: waiting, persons, votes; each is then made true and asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controls.model.errors import Unavailable
from controls.services import counterfactuals
from controls.services.counterfactuals import Counterfactuals
from tests.desk import Desk, start_desk
from tests.services import test_counting as counting
from tests.services import test_duty_kinds as kinds
from tests.services.test_counting import SECOND, Counted, order, started
from tests.services.test_duty_kinds import HOUR, START, instruction, take, trade


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, what is found is complete."""
    monkeypatch.setattr(counterfactuals, "SECONDS_AT_MOST", 120.0)


@pytest.fixture
async def running(tmp_path: Path, migrated_database_url: str) -> AsyncIterator[Counted]:
    """The desk of all duty kinds."""
    desk = start_desk(
        tmp_path,
        database_url=migrated_database_url,
        rules=kinds.RULES,
        directory=kinds.PEOPLE,
        clock=lambda: START,
    )
    async with started(desk) as counted:
        yield counted


async def offers(running: Counted, answer: Any) -> list[Any]:
    """The changes of each counterfactual that permits."""
    service, desk = running.service, running.desk
    key = service.state.key(desk.key_ids["caller"])
    assert key is not None
    told: Any = await Counterfactuals(service).of(answer["id"], key=key)
    assert told["complete"]
    return [offer["changes"] for offer in told["counterfactuals"] if offer["outcome"] == "permit"]


async def test_a_cooling_off_is_waited_for(running: Counted) -> None:
    """The payment after changed instructions: permitted from the very second that is told, not before."""
    await take(running, instruction("change", "eva", "A-T-1"))
    await take(running, trade("capture", "ana"))
    for login in ("ben", "cai"):
        await take(running, trade("approve", login))
    running.now = START + HOUR
    body = trade("pay", "eva")
    denied = await running.ask(body)
    assert denied["outcome"] == "deny"
    (times,) = [changes for changes in await offers(running, denied) if changes[0]["kind"] == "time"]
    (change,) = times
    assert change == {"kind": "time", "at": "2026-03-03T09:30:00.000000Z"}
    running.now = datetime.fromisoformat(change["at"]) - SECOND
    assert await running.outcome(body) == "deny"
    running.now = datetime.fromisoformat(change["at"])
    assert await running.outcome(body) == "permit"


async def test_a_wall_stands_between_a_person_and_a_competitor(running: Counted) -> None:
    """Another person, or the end of the wall."""
    await take(running, trade("capture", "ana", sector="oil", issuer="A"))
    body = trade("capture", "ana", "T-2", sector="oil", issuer="B")
    denied = await running.ask(body)
    assert denied["outcome"] == "deny"
    found = await offers(running, denied)
    persons = [changes[0]["account"] for changes in found if changes[0]["kind"] == "person"]
    assert persons == ["ben", "cai", "dee", "eva"]
    times = [changes for changes in found if changes[0]["kind"] == "time"]
    assert times == [[{"kind": "time", "at": "2026-05-31T09:30:00.000000Z"}]]
    running.now = START + timedelta(days=90)
    assert await running.outcome(body) == "permit"


async def test_persons_are_told_by_open_work(running: Counted) -> None:
    """Who holds fewest steps unfinished comes first, then by pseudonym."""
    for number in range(2):
        await running.ask(trade("capture", "ben", f"T-{number}"))
    await running.ask(trade("capture", "dee", "T-5"))
    await take(running, trade("capture", "ana", "T-7", sector="oil", issuer="A"))
    denied = await running.ask(trade("capture", "ana", "T-8", sector="oil", issuer="B"))
    found = [changes[0] for changes in await offers(running, denied) if changes[0]["kind"] == "person"]
    assert [(change["account"], change["open"]) for change in found] == [
        ("cai", 0),
        ("eva", 0),
        ("dee", 1),
        ("ben", 2),
    ]


async def test_a_vote_that_is_missing(running: Counted) -> None:
    """Two votes are asked for above an amount: the one that is missing may be cast."""
    facts = {"notional": "2000000.00 EUR"}
    await take(running, trade("capture", "ana", **facts))
    for login in ("ben", "cai"):
        await take(running, trade("approve", login, **facts))
    await take(running, trade("pay", "eva", **facts))
    denied = await running.ask(trade("settle", "ben", **facts))
    assert denied["outcome"] == "deny"
    steps = [changes for changes in await offers(running, denied) if changes[0]["kind"] == "step"]
    assert steps == [[{"kind": "step", "step": "pay", "person": "p-07", "claimed": False}]]
    await take(running, trade("pay", "cai", **facts))
    assert await running.outcome(trade("settle", "ben", **facts)) == "permit"


async def test_a_window_is_waited_out(tmp_path: Path, migrated_sqlite_url: str) -> None:
    """Too many orders within an hour: permitted as soon as the first one is out of it, and by value a day
    later; or for the amount that is left."""
    desk: Desk = start_desk(
        tmp_path,
        database_url=migrated_sqlite_url,
        rules=counting.RULES,
        directory=counting.PEOPLE,
        clock=lambda: START,
    )
    async with started(desk) as running:
        for number in range(3):
            running.now = START + timedelta(minutes=10 * number)
            assert await running.outcome(order(f"O-{number}")) == "permit"
        body = order("O-4")
        denied = await running.ask(body)
        assert denied["outcome"] == "deny"
        found = await offers(running, denied)
        assert [{"kind": "time", "at": "2026-03-02T10:30:00.000000Z"}] in found
        running.now = START + HOUR - SECOND
        assert await running.outcome(body) == "deny"
        running.now = START + HOUR
        assert await running.outcome(body) == "permit"
        running.now = START + 2 * HOUR
        large = order("O-5", notional="7000.00 EUR")
        denied = await running.ask(large)
        assert denied["outcome"] == "deny"
        found = await offers(running, denied)
        assert [{"kind": "fact", "fact": "order.notional", "value": "6000 EUR"}] in found


async def test_nothing_is_told_of_a_release_that_is_gone(
    running: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another release comes into force while changes are tried: the question is to be put again."""
    await take(running, trade("capture", "ana", sector="oil", issuer="A"))
    denied = await running.ask(trade("capture", "ana", "T-2", sector="oil", issuer="B"))
    service = running.service
    key = service.state.key(running.desk.key_ids["caller"])
    assert key is not None
    built = service.state.active
    assert built is not None
    looked: list[int] = []

    def active(_state: object) -> object:
        looked.append(1)
        return built if len(looked) < 20 else None

    monkeypatch.setattr(type(service.state), "active", property(active))
    with pytest.raises(Unavailable) as refused:
        await Counterfactuals(service).of(denied["id"], key=key)
    assert refused.value.code == "question_overtaken"
