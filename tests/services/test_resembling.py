"""Orders entered anew without a word of where they come from: whoever tries, however, it is flagged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from controls.services.outcomes import Reported, ReportOutcome
from controls.services.service import Service
from controls.store.tables import entries, reviews
from controls.store.trails import LATEST
from tests.desk import Desk, start_desk, submit
from tests.services.test_counting import Counted, started
from tests.services.test_lineage import PEOPLE, RULES, START, done, rules_of, step, verified

ALIKE = {"account": "C-7", "instrument": "X", "side": "buy", "quantity": "100"}


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(
        tmp_path, database_url=migrated_database_url, rules=RULES, directory=PEOPLE, clock=lambda: START
    )


@pytest.fixture
async def running(desk: Desk) -> AsyncIterator[Counted]:
    async with started(desk) as counted:
        yield counted


def order(
    name: str, login: str = "ana", *older: str, action: str = "capture", **facts: Any
) -> dict[str, Any]:
    """An order that is like all others, but for what `facts` say."""
    body = step(action, login, name, *older)
    body["resource"]["properties"] |= ALIKE | facts
    return body


async def flagged(running: Counted, *bodies: dict[str, Any]) -> list[tuple[str, ...]]:
    """The chains that each of these permitted requests was found to be like."""
    answers = [await running.ask(body) for body in bodies]
    assert [item["outcome"] for item in answers] == ["permit"] * len(answers)
    return [likes(answer) for answer in answers]


def likes(answer: dict[str, Any]) -> tuple[str, ...]:
    found = [item for item in answer["findings"] if item["rule"] == "resembles"]
    assert len(found) <= 1
    return tuple(found[0]["values"]["chains"]) if found else ()


async def open_cases(service: Service) -> list[tuple[str, str]]:
    async with service.database.read() as connection:
        rows = await connection.execute(select(reviews.c.kind, reviews.c.resource_id).order_by(reviews.c.id))
        return [(row.kind, row.resource_id) for row in rows]


@pytest.mark.parametrize("login", ["ana", "ana.bot", "ben"])
async def test_an_equal_order_is_flagged(running: Counted, login: str) -> None:
    """By the same account, by another one of the same person, and by somebody else: history began anew."""
    await done(running, order("O-1"))
    assert rules_of(await running.ask(order("O-1", login, action="approve"))) == (
        {"apart"} if login != "ben" else set()
    )
    answer = await running.ask(order("O-2", login))
    assert (answer["outcome"], likes(answer)) == ("permit", ("O-1",))
    assert answer["findings"][0]["effect"] == "flag"
    assert "O-1" in answer["findings"][0]["message"]["es"]
    assert await open_cases(running.service) == [("flag", "O-2")]
    # What was found is on record, and nothing of it is asked again of the steps that follow.
    entry, _ = await running.entry(answer)
    assert [item["rule"] for item in entry["findings"]] == ["resembles"]
    assert await flagged(running, order("O-2", "dee", action="approve")) == [()]
    assert (await verified(running)).problems == []


async def test_a_declared_link_is_enough(running: Counted) -> None:
    """The new order is what it says; equal halves of a block are alike and hang together."""
    await done(running, order("O-1"))
    assert await flagged(
        running, order("O-2", "ben", "O-1"), order("O-3", "ben", "O-1"), order("O-4", "ben", "O-3")
    ) == [(), (), ()]
    assert await flagged(running, order("O-5", "ben")) == [("O-4", "O-3", "O-2", "O-1")]
    assert await flagged(running, order("O-6", "ben", "O-1")) == [("O-5",)]


@pytest.mark.parametrize(
    "other", [{"account": "C-8"}, {"instrument": "Y"}, {"side": "sell"}, {"quantity": "100.5"}]
)
async def test_another_order_is_another_one(running: Counted, other: dict[str, str]) -> None:
    """All of account, instrument, side and quantity must be the same, as values and not as texts."""
    await done(running, order("O-1"))
    assert await flagged(running, order("O-2", **other), order("O-3", quantity="100.00")) == [(), ("O-1",)]


async def test_what_was_given_up_is_remembered(running: Counted) -> None:
    """Abandoning the first order and entering it anew is just what it looks like."""
    answer = await running.ask(order("O-1"))
    key = running.desk.key_ids["caller"]
    gone = ReportOutcome(running.service.new_id("out"), key, answer["id"], Reported.ABANDONED)
    await submit(running.service, gone)
    assert await flagged(running, order("O-2", "ben")) == [("O-1",)]


async def test_what_becomes_alike_by_an_amendment_is_flagged(running: Counted) -> None:
    """Beginning with other facts and changing them does not help, in either direction."""
    await done(running, order("O-1"), order("O-2", "ben", quantity="7"))
    assert await flagged(running, order("O-2", "ben", action="amend")) == [("O-1",)]
    await done(running, order("O-1", action="amend", quantity="8"))
    # An order was what it has ever been.
    assert set((await flagged(running, order("O-3", "cai")))[0]) == {"O-1", "O-2"}
    assert await flagged(running, order("O-4", "cai", quantity="7")) == [("O-2",)]
    assert await flagged(running, order("O-5", "cai", quantity="8")) == [("O-1",)]


async def test_it_is_forgotten_after_a_working_week(running: Counted) -> None:
    """To the microsecond; what the chain kind says instead holds."""
    await done(running, order("O-1"))
    running.now = START + timedelta(days=5) - timedelta(microseconds=1)
    assert await flagged(running, order("O-2")) == [("O-1",)]
    running.now = START + timedelta(days=5)
    assert await flagged(running, order("O-3", quantity="100")) == [("O-2",)]


async def test_a_release_sets_the_time_or_asks_for_nothing(running: Counted) -> None:
    """`resembles: PT1H`, and `never`; a release that asks again finds what was done meanwhile."""
    await done(running, order("O-1"))

    async def release(says: str) -> None:
        await running.activate(
            RULES, order=lambda text: text.replace("resource: order\n", f"resource: order\n{says}", 1)
        )

    await release("resembles: never\n")
    assert await flagged(running, order("O-2")) == [()]
    await release("resembles: PT1H\n")
    assert await flagged(running, order("O-3")) == [("O-2", "O-1")]
    running.now = START + timedelta(hours=1)
    assert await flagged(running, order("O-4")) == [()]


async def test_nobody_slips_through_at_once(running: Counted) -> None:
    """Of many equal orders that arrive together, in one list, in one batch or through two services, only the
    first is like none."""
    answers = await running.ask(*(order(f"O-{n}", "ben") for n in range(3)))
    assert [set(likes(item)) for item in answers] == [set(), {"O-0"}, {"O-0", "O-1"}]
    other = running.desk.build(clock=running.clock)
    await other.start()
    try:
        writers = [running.service.writer, other.writer]
        bodies = [order(f"O-{n}", ("ana", "ana.bot")[n % 2]) for n in range(10, 26)]
        told = await asyncio.gather(
            *(writers[n % 2].submit(running.desk.decide(body)) for n, body in enumerate(bodies))
        )
        counts = [item["values"]["count"] for text in told for item in json.loads(text)["findings"]]
        assert sorted(counts) == [*range(3, LATEST), *[LATEST] * (19 - LATEST)]
    finally:
        await other.close()


async def test_very_many_alike_cost_as_much_as_a_few(running: Counted) -> None:
    """Only the latest are read, and the finding stays short."""
    answers = await running.ask(*(order(f"O-{n}", "ben") for n in range(80)))
    assert answers[-1]["findings"][0]["values"]["count"] == LATEST
    running.now += timedelta(seconds=1)
    (finding,) = (await running.ask(order("O-99")))["findings"]
    assert finding["values"]["count"] == LATEST
    running.now += timedelta(seconds=1)
    assert "O-99" in (await flagged(running, order("O-100")))[0]
    async with running.service.database.read() as connection:
        sizes = [len(row) for row in (await connection.execute(select(entries.c.bytes))).scalars()]
    assert max(sizes) < 3_000
