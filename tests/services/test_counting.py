"""Aggregates through the whole service: counted in the deciding transaction, exactly, once, when due."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from controls.bootstrap import read_rule_files
from controls.rules.release import compile_release
from controls.services.administration import Confirm, Propose
from controls.services.idempotency import Once
from controls.services.reviews import Resolution, Resolve
from controls.services.service import Service
from controls.store.tables import aggregates, observations
from tests.desk import DESK_RULES, Desk, a_request, activation_of, start_desk, submit
from tests.rules.rule_sets import FIXTURES

RULES = FIXTURES / "counting"
PEOPLE = """\
person,name,account,roles
p-01,Alma Arce,alma.admin,administrator
p-02,Blas Bueno,blas.admin,administrator
p-03,Sara Sanz,sara.super,supervisor
p-04,Saul Soto,saul.super,supervisor
p-05,Tina Toro,tina.trader,trader
p-05,Tina Toro,tina.bot,trader
p-06,Tomas Tena,tomas.trader,trader
"""
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass
class Counted:
    """A running service under the rules of `fixtures/rules/counting`, whose clock the test sets."""

    desk: Desk
    now: datetime = START
    service: Service = field(init=False)

    def clock(self) -> datetime:
        return self.now

    async def ask(self, *bodies: dict[str, Any]) -> Any:
        return await submit(self.service, self.desk.decide(*bodies))

    async def outcome(self, *bodies: dict[str, Any]) -> Any:
        """The outcomes of one or several requests."""
        told = await self.ask(*bodies)
        return [item["outcome"] for item in told] if isinstance(told, list) else told["outcome"]

    async def approve(self, held: dict[str, Any], supervisor: str) -> None:
        """Approve the review of an answer."""
        new_id, key = self.service.new_id, self.desk.key_ids[supervisor]
        case = held["review"]["id"]
        await submit(self.service, Resolve(new_id("res"), key, case, Resolution.APPROVE, "seen"))

    async def entry(self, answer: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The entry of an answer, and its disclosure."""
        found: Any = await self.service.queries.decision(answer["id"])
        return found["entry"], found.get("disclosure", {})

    async def rows(self) -> int:
        async with self.service.database.read() as connection:
            return int(
                (await connection.execute(select(func.count()).select_from(observations))).scalar_one()
            )

    async def activate(self, rules: Path, **changed: Callable[[str], str]) -> None:
        """Put another release into force, with some of its files changed."""
        files = {
            path: changed.get(path.rpartition("/")[2].removesuffix(".yaml"), str)(text)
            for path, text in read_rule_files(rules).items()
        }
        new_id, keys = self.service.new_id, self.desk.key_ids
        change = await activation_of(self.service, compile_release(files))
        proposed = await submit(
            self.service, Propose(new_id("chg"), new_id("change"), keys["admin1"], change)
        )
        confirm = Confirm(new_id("chg"), keys["admin2"], proposed["change"])
        confirm.prepared = await self.service.releases.prepared(proposed["change"])
        await submit(self.service, confirm)


@asynccontextmanager
async def started(desk: Desk, now: datetime = START) -> AsyncIterator[Counted]:
    counted = Counted(desk, now)
    counted.service = desk.build(clock=counted.clock)
    await counted.service.start()
    try:
        yield counted
    finally:
        await counted.service.close()


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(
        tmp_path, database_url=migrated_database_url, rules=RULES, directory=PEOPLE, clock=lambda: START
    )


@pytest.fixture
async def counted(desk: Desk) -> AsyncIterator[Counted]:
    async with started(desk) as running:
        yield running


def order(
    number: str,
    *,
    login: str = "tina.trader",
    action: str = "capture",
    claim: bool = True,
    **facts: str | None,
) -> dict[str, Any]:
    """A request about an order of account A for 1,000 EUR."""
    said = {"account": "A", "notional": "1000.00 EUR"} | facts
    return {
        "subject": {"type": "account", "id": login},
        "action": {"name": action},
        "resource": {
            "type": "order",
            "id": number,
            "properties": {name: item for name, item in said.items() if item is not None},
        },
        "context": {} if claim else {"claim": False},
    }


def quote(
    action: str = "send", *, login: str = "tina.trader", claim: bool = True, **facts: Any
) -> dict[str, Any]:
    return {
        "subject": {"type": "account", "id": login},
        "action": {"name": action},
        "resource": {
            "type": "quote",
            "id": "Q-1",
            "properties": {"account": "A", "size": "1", "legs": 1} | facts,
        },
        "context": {} if claim else {"claim": False},
    }


def seen(answer: dict[str, Any]) -> tuple[int, Decimal, int]:
    """What the rules saw of earlier quotes: how many, their size, and the person's legs."""
    (finding,) = [item for item in answer["findings"] if item["rule"] == "seen.quotes"]
    values = finding["values"]
    return values["aggregate.quotes"], Decimal(values["aggregate.quoted"]), values["aggregate.legs"]


# --- Against a naive model ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """Some quotes asked about together, a while after the ones before."""

    pause: timedelta
    quotes: tuple[tuple[str, str, int, bool, str], ...]  # account, size, legs, claim, login


TEN = timedelta(seconds=10)
MICRO = timedelta(microseconds=1)
PAUSES = st.sampled_from([timedelta(), MICRO, SECOND, 5 * SECOND, TEN - MICRO, TEN, TEN + MICRO])
QUOTES = st.tuples(
    st.sampled_from(["A", "B"]),
    st.sampled_from(["1", "0.1", "2.50", "-3", "1000000000000000000000.000001"]),
    st.integers(-3, 3),
    st.sampled_from([True, True, True, False]),
    st.sampled_from(["tina.trader", "tina.bot", "tomas.trader", "nobody"]),
)
PERSONS = {"tina.trader": "p-05", "tina.bot": "p-05", "tomas.trader": "p-06"}
STEPS = st.lists(st.builds(Step, PAUSES, st.lists(QUOTES, min_size=1, max_size=4).map(tuple)), max_size=8)


async def play(counted: Counted, steps: list[Step]) -> None:
    """Every answer saw exactly what a list of all quotes so far says."""
    counted.now += timedelta(hours=1)  # whatever was asked before is out of every window
    happened: list[tuple[datetime, str, Decimal, int, str]] = []
    for step in steps:
        counted.now += step.pause
        bodies = [
            quote(account=account, size=size, legs=legs, claim=claim, login=login)
            for account, size, legs, claim, login in step.quotes
        ]
        told = await counted.ask(*bodies)
        for answer, (account, size, legs, claim, login) in zip(
            told if isinstance(told, list) else [told], step.quotes, strict=True
        ):
            inside = [item for item in happened if counted.now - item[0] < TEN]
            person = PERSONS.get(login, "")
            if person:
                assert seen(answer) == (
                    len(inside),
                    sum((item[2] for item in inside if item[1] == account), Decimal(0)),
                    sum(item[3] for item in inside if (item[1], item[4]) == (account, person)),
                )
            else:
                assert answer["outcome"] == "deny"
            if claim:
                happened.append((counted.now, account, Decimal(size), legs, person))


@pytest.fixture
def run(desk: Desk) -> Iterator[Callable[[Callable[[Counted], Coroutine[Any, Any, None]]], None]]:
    """Runs coroutines on one service and one loop, for a test that makes many runs."""
    with asyncio.Runner() as runner:
        context = started(desk)
        counted = runner.run(context.__aenter__())
        yield lambda do: runner.run(do(counted))
        runner.run(context.__aexit__(None, None, None))


def test_windows_are_those_of_a_naive_model(run: Callable[..., None]) -> None:
    """Random requests, groups, pauses and lists: exact at the edges, whoever asks, opinions left out."""

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(STEPS)
    def check(steps: list[Step]) -> None:
        run(lambda counted: play(counted, steps))

    check()


# --- What counts ----------------------------------------------------------------------------------------


async def test_a_limit_counts_what_was_granted(counted: Counted) -> None:
    """Three orders of an account pass, the fourth does not, and what is denied does not count."""
    assert await counted.outcome(*(order(f"O-{n}") for n in range(5))) == ["permit"] * 3 + ["deny"] * 2
    assert await counted.outcome(order("B-1", account="B")) == "permit"
    counted.now += timedelta(hours=1)
    assert await counted.outcome(*(order(f"P-{n}") for n in range(4))) == ["permit"] * 3 + ["deny"]


async def test_a_sum_limits_the_value_of_an_account(counted: Counted) -> None:
    """The threshold is met to the cent; another account has its own."""
    assert await counted.outcome(order("O-1", notional="6000.00 EUR")) == "permit"
    assert await counted.outcome(order("O-2", notional="4000.01 EUR")) == "deny"
    assert await counted.outcome(order("O-3", notional="4000.00 EUR")) == "permit"
    assert await counted.outcome(order("O-4", notional="0.01 EUR")) == "deny"
    assert await counted.outcome(order("O-5", notional="10000.00 EUR", account="B")) == "permit"


async def test_asking_again_about_the_same_order_is_no_second_order(counted: Counted) -> None:
    """A shared claim adds nothing, and what the order itself has added is left out when it is asked about."""
    first = await counted.ask(order("O-1", notional="9000.00 EUR"))
    for _ in range(3):
        again = await counted.ask(order("O-1", notional="9000.00 EUR"))
        assert (again["outcome"], again["claim"]["id"]) == ("permit", first["claim"]["id"])
    assert await counted.outcome(order("O-2", notional="1000.00 EUR")) == "permit"
    assert await counted.outcome(order("O-3", notional="0.01 EUR")) == "deny"


async def test_an_opinion_reads_and_adds_nothing(counted: Counted) -> None:
    """`claim: false` is told what would be, any number of times."""
    opinions = [order(f"O-{n}", claim=False) for n in range(9)]
    assert await counted.outcome(*opinions) == ["would_permit"] * 9
    assert await counted.outcome(*(order(f"O-{n}") for n in range(3))) == ["permit"] * 3
    assert await counted.outcome(order("O-9", claim=False)) == "deny"


async def test_a_repeated_answer_counts_once(counted: Counted) -> None:
    """The same request under the same Idempotency-Key is not decided again, so it is not counted again."""

    def once() -> Once:
        return Once(counted.desk.decide(quote(size="2")), "/v1/decisions", "token", b"body")

    told = await asyncio.gather(*(counted.service.writer.submit(once()) for _ in range(3)))
    assert len({*told, await counted.service.writer.submit(once())}) == 1
    assert seen(await counted.ask(quote())) == (1, Decimal(2), 1)


async def test_denied_and_reviewed_requests_count_where_all_are_counted(counted: Counted) -> None:
    """`asked` counts whatever was recorded; another order alike is seen although the first was refused."""
    alike = {"instrument": "X", "quantity": "5", "notional": "20000.00 EUR"}
    first = await counted.ask(order("O-1", **alike))
    assert (first["outcome"], [item["rule"] for item in first["findings"]]) == ("deny", ["limit.value"])
    again = await counted.ask(order("O-1", **alike))
    assert "seen.same" not in {item["rule"] for item in again["findings"]}
    other = await counted.ask(order("O-2", **alike))
    (finding,) = [item for item in other["findings"] if item["rule"] == "seen.same"]
    assert finding["values"] == {"aggregate.recent_same_orders": 2}
    counted.now += 30 * SECOND
    later = await counted.ask(order("O-3", **alike))
    assert "seen.same" not in {item["rule"] for item in later["findings"]}


async def test_an_approved_request_counts_when_it_is_granted(counted: Counted) -> None:
    """A held request is not granted; asked again with the approval it is, and then it counts."""
    held = await counted.ask(order("O-1", notional="5.00 USD"))
    assert held["outcome"] == "review"  # 5 USD and a threshold in EUR cannot be compared
    assert await counted.outcome(order("O-2")) == "permit"
    await counted.approve(held, "supervisor1")
    # The approval was for what was found then; meanwhile O-2 made it something else.
    again = await counted.ask(order("O-1", notional="5.00 USD"))
    assert again["outcome"] == "review"
    await counted.approve(again, "supervisor2")
    assert await counted.outcome(order("O-1", notional="5.00 USD")) == "permit"
    mixed = await counted.ask(order("O-3"))
    assert mixed["outcome"] == "review"
    assert "more than one currency" in mixed["findings"][0]["message"]["en"]


async def test_a_request_that_does_not_say_its_amount_spoils_the_sum(counted: Counted) -> None:
    """A sum that lacks something is no sum: who reads it is referred until that has left the window."""
    assert await counted.outcome(quote("look", price="1.00 EUR")) == "permit"
    await counted.ask(quote(price="1.00 EUR"), quote())
    answer = await counted.ask(quote("look", price="1.00 EUR"))
    assert answer["outcome"] == "review"
    assert "cannot be summed" in answer["findings"][0]["message"]["en"]
    counted.now += TEN
    assert await counted.outcome(quote("look", price="1.00 EUR")) == "permit"


async def test_a_request_without_its_group_is_told_what_to_send(counted: Counted) -> None:
    """Without the account nothing is known, and the finding names it; nor is the request in any group."""
    answer = await counted.ask(quote(account=None))
    (finding,) = answer["findings"]
    assert (finding["cause"], finding["missing"]) == ("missing", ["quote.account"])
    assert seen(await counted.ask(quote())) == (1, 0, 0)  # `by: []` is the one group that everything is in


async def test_counts_outlive_the_service(desk: Desk) -> None:
    """Another process, or the same after a restart, goes on where the ledger is."""
    async with started(desk) as first:
        assert await first.outcome(order("O-1"), order("O-2")) == ["permit", "permit"]
    async with started(desk, START + SECOND) as second, started(desk, START + SECOND) as third:
        assert await second.outcome(order("O-3")) == "permit"
        assert await third.outcome(order("O-4")) == "deny"


# --- What is on record ----------------------------------------------------------------------------------


async def test_the_entry_says_what_was_read(counted: Counted) -> None:
    """Public counts in clear, private sums as commitments with their disclosure; gaps by their reason."""
    await counted.ask(order("O-1"))
    entry, disclosure = await counted.entry(await counted.ask(order("O-2")))
    read = entry["aggregates"]
    assert read["aggregate.orders_of_account"] == 1
    assert read["aggregate.value_of_account"].keys() == {"hmac"}
    assert disclosure["aggregate.value_of_account"]["value"] == "1000 EUR"
    assert read["aggregate.recent_same_orders"] == {"missing": ["order.instrument", "order.quantity"]}
    refused, opened = await counted.entry(await counted.ask(order("O-3", notional="9999.00 EUR")))
    (finding,) = refused["findings"]
    assert (
        finding["values"]["aggregate.value_of_account"] == refused["aggregates"]["aggregate.value_of_account"]
    )
    assert opened["aggregate.value_of_account"]["value"] == "2000 EUR"
    looked, _ = await counted.entry(await counted.ask(quote("look")))
    assert looked["aggregates"] == {"aggregate.priced": {"missing": ["quote.price"]}}


async def test_an_action_that_has_nothing_to_do_with_aggregates_reads_none(counted: Counted) -> None:
    """Its entry is as it was, and it leaves no row."""
    entry, _ = await counted.entry(await counted.ask(order("O-1", action="approve")))
    assert "aggregates" not in entry
    assert await counted.rows() == 0


async def test_rows_name_nobody(counted: Counted) -> None:
    """No account, person, order or decision can be read or guessed from a row."""
    answers = await counted.ask(order("O-1", account="A-CLIENT"), order("O-2", account="A-CLIENT"))
    async with counted.service.database.read() as connection:
        rows = [dict(row._mapping) for row in await connection.execute(select(observations))]
        salts = [bytes(row.salt) for row in await connection.execute(select(aggregates))]
    assert (
        len(rows) == 2 * 2 * 2
    )  # two orders, two aggregates that have their facts, each with its own series
    text = json.dumps(rows)
    words = ["A-CLIENT", "O-1", "p-05", "tina", *(answer["id"] for answer in answers)]
    assert not [word for word in words if word in text]
    assert len(set(salts)) == len(salts) == 7
    assert all(len(salt) == 32 for salt in salts)


# --- Releases -------------------------------------------------------------------------------------------


async def test_a_new_ledger_counts_from_its_first_entry(counted: Counted) -> None:
    """There was nothing before the ledger, so its first aggregates are complete at once."""
    assert await counted.outcome(order("O-1")) == "permit"


async def test_what_a_release_brings_is_unknown_until_its_window_has_passed(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Requests from before were not counted, so the rules ask for a review until they no longer matter."""
    desk = start_desk(tmp_path, database_url=migrated_database_url, directory=PEOPLE, clock=lambda: START)
    async with started(desk) as counted:
        counted.now += SECOND
        await counted.activate(RULES)
        since = counted.now
        answer = await counted.ask(quote())
        (finding,) = answer["findings"]
        assert finding["cause"] == "error"
        assert "is counted since 2026-03-02T09:30:01.000000Z and complete from" in finding["message"]["en"]
        assert await counted.outcome(quote("look", price="1.00 EUR")) == "review"  # `missing: skip`, and yet
        assert await counted.outcome(order("O-1")) == "review"
        counted.now = since + TEN - MICRO
        assert await counted.outcome(quote("look", price="1.00 EUR")) == "review"
        counted.now = since + TEN
        assert seen(await counted.ask(quote())) == (0, 0, 0)
        counted.now = since + timedelta(days=1)
        assert await counted.outcome(order("O-2")) == "permit"


async def test_a_release_keeps_what_it_does_not_change(counted: Counted) -> None:
    """An aggregate with the same meaning goes on; one that means something else begins anew."""
    await counted.ask(order("O-1"), order("O-2"), quote(size="7"))
    await counted.activate(
        RULES, quotes=lambda text: text.replace("by: [], within: PT10S", "by: [], within: PT9S")
    )
    assert await counted.outcome(order("O-3"), order("O-4")) == ["permit", "deny"]
    (finding,) = (await counted.ask(quote()))["findings"]
    assert "aggregate.quotes is counted since" in finding["message"]["en"]
    counted.now += 9 * SECOND
    assert seen(await counted.ask(quote())) == (0, Decimal(8), 2)


async def test_what_a_release_drops_is_forgotten(counted: Counted) -> None:
    """Brought back later, it begins anew: nobody counted in between."""
    await counted.ask(order("O-1"), order("O-2"), order("O-3"))
    await counted.activate(DESK_RULES)
    async with counted.service.database.read() as connection:
        assert (await connection.execute(select(aggregates))).all() == []
    await counted.activate(RULES)
    assert await counted.outcome(order("O-4")) == "review"
    counted.now += timedelta(days=1)
    assert await counted.outcome(order("O-5")) == "permit"


async def test_what_nobody_counts_never_permits(counted: Counted) -> None:
    """If the table was emptied by hand, rules ask for a review and say what to do."""
    async with counted.service.database.write() as connection:
        await connection.execute(delete(aggregates))
    answer = await counted.ask(order("O-1"))
    assert answer["outcome"] == "review"
    assert "activate the release again" in answer["findings"][0]["message"]["en"]


# --- Forgetting -----------------------------------------------------------------------------------------


async def test_what_has_left_every_window_is_deleted(counted: Counted) -> None:
    """The sweep deletes what is older than the longest window, and nothing that still counts."""
    await counted.ask(order("O-1", notional="6000.00 EUR"))
    counted.now += timedelta(days=1) - SECOND
    await counted.ask(order("O-2", notional="1.00 EUR"))
    rows = await counted.rows()
    await counted.service._tidy()
    assert await counted.rows() == rows
    assert await counted.outcome(order("O-3", notional="4000.00 EUR")) == "deny"
    counted.now += SECOND + MICRO
    await counted.service._tidy()
    assert 0 < await counted.rows() < rows
    assert await counted.outcome(order("O-4", notional="9999.00 EUR")) == "permit"
    assert await counted.outcome(order("O-5", notional="0.01 EUR")) == "deny"
    counted.now += timedelta(days=2)
    await counted.service._tidy()
    assert await counted.rows() == 0
    assert await counted.outcome(order("O-6", notional="10000.00 EUR")) == "permit"


def test_requests_of_these_tests_are_read() -> None:
    """What the tests ask carries its facts."""
    assert a_request(order("O-1")).properties == {"order.account": "A", "order.notional": "1000.00 EUR"}
