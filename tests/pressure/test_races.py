"""Any number of simultaneous requests, in one process or several, never opens a chain or passes a limit."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from controls.model.errors import Conflict
from controls.services.commands import Command
from controls.services.identifiers import new_id
from controls.services.outcomes import Reported
from controls.services.reviews import Resolution, Resolve
from controls.services.service import Service
from tests.desk import Desk, an_order, ask, start_desk
from tests.services.test_counting import PEOPLE as COUNTING_PEOPLE
from tests.services.test_counting import RULES as COUNTING
from tests.services.test_duty_kinds import PEOPLE as KINDS_PEOPLE
from tests.services.test_duty_kinds import RULES as KINDS
from tests.services.test_duty_kinds import trade
from tests.services.test_lineage import PEOPLE as LINEAGE_PEOPLE
from tests.services.test_lineage import RULES as LINEAGE
from tests.services.test_lineage import step

from .running import (
    STEPS,
    ServiceProcess,
    audit,
    body,
    client,
    once,
    post,
    pressure_desk,
    processes,
    report,
    running,
)

REQUESTS = 200


def spread(items: list[Any], over: list[Any]) -> list[tuple[Any, Any]]:
    """Each item with its service, in turn."""
    return [(item, over[number % len(over)]) for number, item in enumerate(items)]


async def submit_all(service: Service, commands: list[Command]) -> list[dict[str, Any]]:
    return [json.loads(told) for told in await asyncio.gather(*map(service.writer.submit, commands))]


async def post_all(services: list[ServiceProcess], bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    async with client() as http:
        told = await asyncio.gather(
            *(post(http, service, said) for said, service in spread(bodies, services))
        )
    assert {response.status_code for response in told} == {200}, [item.text for item in told][:3]
    return [response.json() for response in told]


def rush(chain: str, *, resource: str = "order") -> list[dict[str, Any]]:
    """One person, by two accounts, asks for every step of one chain again and again."""
    logins = ("tina.trader", "tina.bot")
    return [
        body(STEPS[number % len(STEPS)], logins[number // len(STEPS) % 2], chain, resource=resource)
        for number in range(REQUESTS)
    ]


def check_rush(desk: Desk, answers: list[dict[str, Any]]) -> None:
    """Three steps of the order (its limit), seven of the ticket's eight; everything on record."""
    checked = audit(desk)
    checked.check_answers(answers)
    checked.check_duties()
    assert len(checked.of_kind("decision")) == len(answers) == 2 * REQUESTS
    assert {len(steps) for steps in checked.steps_by_person("O-1").values()} == {3}
    assert {len(steps) for steps in checked.steps_by_person("T-1").values()} == {7}
    for chain in ("O-1", "T-1"):
        claimed = [entry for entry in checked.claims() if entry["chain"]["id"] == chain]
        assert {entry["person"] for entry in claimed} == {"p-05"}
        assert len(claimed) == len({entry["claim"]["step"] for entry in claimed}), "a step was claimed twice"


async def test_one_person_asks_for_every_step_at_once(migrated_database_url: str, tmp_path: Path) -> None:
    """200 simultaneous requests for one free-order chain, and 200 for another one, get 3 and 7 steps."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    async with running(desk) as service:
        asked = rush("O-1") + rush("T-1", resource="ticket")
        answers = await submit_all(service, [desk.decide(item) for item in asked])
    check_rush(desk, answers)


async def test_one_person_asks_two_services_of_one_process(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """The same through two services that share nothing but the database."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    asked = rush("O-1") + rush("T-1", resource="ticket")
    async with running(desk) as first, running(desk) as second:
        told = await asyncio.gather(
            *(service.writer.submit(desk.decide(item)) for item, service in spread(asked, [first, second]))
        )
    check_rush(desk, [json.loads(item) for item in told])


async def test_one_person_asks_for_every_step_of_the_desk(migrated_database_url: str, tmp_path: Path) -> None:
    """200 simultaneous requests of a trader for the desk's chain get one claim on the first step."""
    desk = start_desk(tmp_path, database_url=migrated_database_url)
    logins = ("tina.trader", "tina.bot")
    asked = [ask(STEPS[number % 8], logins[number // 8 % 2], "O-1") for number in range(REQUESTS)]
    async with running(desk) as service:
        answers = await submit_all(service, [desk.decide(item) for item in asked])
    checked = audit(desk)
    checked.check_answers(answers)
    assert {answer["outcome"] for answer in answers} == {"permit", "deny"}
    assert [entry["claim"]["step"] for entry in checked.claims()] == ["capture"]
    shared = [answer for answer in answers if answer["outcome"] == "permit"]
    assert len({answer["claim"]["id"] for answer in shared}) == 1


def test_four_processes_on_one_postgresql(migrated_postgres_url: str, tmp_path: Path) -> None:
    """Four service processes asked at once over HTTP permit no more than one would."""
    desk = pressure_desk(tmp_path, migrated_postgres_url)
    lots = [body("capture", "tina.trader", f"L-{number}", resource="lot") for number in range(40)]
    with processes(desk, 4) as services:
        answers = asyncio.run(post_all(services, rush("O-1") + rush("T-1", resource="ticket")))
        check_rush(desk, answers)
        captured = asyncio.run(post_all(services, lots))
    assert sum(answer["decision"] for answer in captured) == 3
    checked = audit(desk)
    checked.check_duties()
    checked.check_answers(answers + captured)


def test_two_processes_on_one_sqlite_file(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """Two service processes on one file wait for each other and permit no more than one would."""
    desk = pressure_desk(tmp_path, migrated_sqlite_url)
    lots = [body("capture", "tina.trader", f"L-{number}", resource="lot") for number in range(40)]
    with processes(desk, 2) as services:
        answers = asyncio.run(post_all(services, rush("O-1") + rush("T-1", resource="ticket")))
        check_rush(desk, answers)
        captured = asyncio.run(post_all(services, lots))
    assert sum(answer["decision"] for answer in captured) == 3
    audit(desk).check_duties()


@pytest.mark.parametrize("services", [1, 2])
async def test_forty_orders_against_an_account_limit_of_three(
    migrated_database_url: str, tmp_path: Path, services: int
) -> None:
    """40 simultaneous lots of one account, of which a person may capture 3: exactly 3 pass."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    lots = [body("capture", "tina.trader", f"L-{number}", resource="lot") for number in range(40)]
    others = [
        body("capture", "tina.bot", f"M-{number}", resource="lot", account="A-2") for number in range(5)
    ]
    async with running(desk) as first, running(desk) as second:
        used = [first, second][:services]
        told = await asyncio.gather(
            *(service.writer.submit(desk.decide(item)) for item, service in spread(lots + others, used))
        )
    answers = [json.loads(item) for item in told]
    assert sum(answer["decision"] for answer in answers[:40]) == 3
    assert sum(answer["decision"] for answer in answers[40:]) == 3
    denied = [answer for answer in answers[:40] if not answer["decision"]]
    assert {finding["rule"] for answer in denied for finding in answer["findings"]} == {"account_limit"}
    checked = audit(desk)
    checked.check_answers(answers)
    assert checked.captures_by_account() == {("p-05", "A-1"): 3, ("p-05", "A-2"): 3}


# --- Aggregates: limits over what the service has counted ------------------------------------------------


def orders(count: int, *, account: str) -> list[dict[str, Any]]:
    """Orders of one account for 1,000 EUR each, by two persons."""
    return [
        body("capture", ("tina.trader", "tomas.trader")[number % 2], f"{account}-{number}", account=account)
        for number in range(count)
    ]


def check_counted(desk: Desk, answers: list[dict[str, Any]], *, accounts: int) -> None:
    """Three orders of each account passed, whoever asked where, and each read what the ones before left."""
    checked = audit(desk)
    checked.check_answers(answers)
    decided = checked.of_kind("decision")
    passed = [entry for entry in decided if entry["outcome"] == "permit"]
    assert len(decided) == 40 * accounts
    assert len(passed) == 3 * accounts
    assert {entry["outcome"] for entry in decided} == {"permit", "deny"}
    seen: dict[str, list[int]] = {}
    for entry in passed:
        account = entry["request"]["properties"]["order.account"]
        seen.setdefault(account, []).append(entry["aggregates"]["aggregate.orders_of_account"])
    assert list(seen.values()) == [[0, 1, 2]] * accounts


def counting_desk(folder: Path, url: str) -> Desk:
    """A ledger whose rules let three orders of an account pass within the hour."""
    return start_desk(folder, database_url=url, rules=COUNTING, directory=COUNTING_PEOPLE)


@pytest.mark.parametrize("services", [1, 2])
async def test_forty_orders_against_a_counted_limit_of_three(
    migrated_database_url: str, tmp_path: Path, services: int
) -> None:
    """40 simultaneous orders of each of two accounts, of which 3 may pass within the hour: exactly 3 do."""
    desk = counting_desk(tmp_path, migrated_database_url)
    asked = orders(40, account="A") + orders(40, account="B")
    async with running(desk) as first, running(desk) as second:
        used = [first, second][:services]
        told = await asyncio.gather(
            *(service.writer.submit(desk.decide(item)) for item, service in spread(asked, used))
        )
    check_counted(desk, [json.loads(item) for item in told], accounts=2)


def test_a_counted_limit_at_four_processes(migrated_postgres_url: str, tmp_path: Path) -> None:
    """Four service processes on one PostgreSQL, asked at once over HTTP, let 3 orders an account pass."""
    desk = counting_desk(tmp_path, migrated_postgres_url)
    asked = [item for number in range(4) for item in orders(40, account=f"A{number}")]
    with processes(desk, 4) as services:
        answers = asyncio.run(post_all(services, asked))
    check_counted(desk, answers, accounts=4)


def test_a_counted_limit_at_two_processes_on_one_sqlite_file(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """Two service processes on one file let 3 orders of each account pass."""
    desk = counting_desk(tmp_path, migrated_sqlite_url)
    with processes(desk, 2) as services:
        answers = asyncio.run(post_all(services, orders(40, account="A")))
    check_counted(desk, answers, accounts=1)


async def test_an_amendment_does_not_empty_an_account(migrated_database_url: str, tmp_path: Path) -> None:
    """A lot that is amended to another account goes on counting for the one it was captured on, and there."""
    desk = pressure_desk(tmp_path, migrated_database_url)

    async def take(service: Service, action: str, lot: str, account: str) -> str:
        asked = body(action, "tina.trader", lot, resource="lot", account=account)
        return str(json.loads(await service.writer.submit(desk.decide(asked)))["outcome"])

    async with running(desk) as service:
        assert [await take(service, "capture", f"L-{number}", "A-1") for number in range(3)] == ["permit"] * 3
        assert await take(service, "amend", "L-0", "A-2") == "permit"
        assert await take(service, "capture", "L-3", "A-1") == "deny"
        assert [await take(service, "capture", f"M-{number}", "A-2") for number in range(3)] == [
            "permit",
            "permit",
            "deny",
        ]
        # In one unit of work too: a list sees the amendment that it holds.
        steps = [
            body("capture", "rita.risk", "N-0", resource="lot", account="A-3"),
            body("amend", "rita.risk", "N-0", resource="lot", account="A-4"),
            *(body("capture", "rita.risk", f"N-{n}", resource="lot", account="A-4") for n in (1, 2, 3)),
        ]
        told = json.loads(await service.writer.submit(desk.decide(*steps)))
    assert [answer["outcome"] for answer in told] == ["permit", "permit", "permit", "permit", "deny"]


async def test_one_idempotency_key_at_two_services(migrated_database_url: str, tmp_path: Path) -> None:
    """60 copies of one request, half of them to each service, are decided once and answered alike."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    said = body("capture", "tina.trader", "O-1")
    async with running(desk) as first, running(desk) as second:
        copies = [once(desk, "token", said) for _ in range(60)]
        told = await asyncio.gather(
            *(service.writer.submit(copy) for copy, service in spread(copies, [first, second]))
        )
    assert len(set(told)) == 1
    assert len(audit(desk).of_kind("decision")) == 1


async def test_performed_and_abandoned_at_once(migrated_database_url: str, tmp_path: Path) -> None:
    """Both outcomes of each of 20 claims are reported at once to two services: one of them stands."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    asked = [body("capture", "tina.trader", f"T-{number}", resource="ticket") for number in range(20)]
    async with running(desk) as first, running(desk) as second:
        claimed = await submit_all(first, [desk.decide(item) for item in asked])
        reports = [
            service.writer.submit(report(desk, answer["id"], said))
            for answer in claimed
            for said, service in ((Reported.PERFORMED, first), (Reported.ABANDONED, second))
        ]
        told = await asyncio.gather(*reports, return_exceptions=True)
    stand = [item for item in told if isinstance(item, bytes)]
    lost = [item for item in told if isinstance(item, Conflict)]
    assert (len(stand), len(lost)) == (20, 20)
    checked = audit(desk)
    assert len({entry["claim"] for entry in checked.of_kind("outcome")}) == 20
    assert set(checked.refusals()) <= {"already_performed", "already_abandoned"}
    assert len(checked.refusals()) == 20


async def test_amend_and_execute_at_once(migrated_database_url: str, tmp_path: Path) -> None:
    """An order is amended at one service and executed at the other: what is executed was approved."""
    desk = start_desk(tmp_path, database_url=migrated_database_url)
    caller = desk.key_ids["caller"]
    async with running(desk) as first, running(desk) as second:
        orders = [an_order() for _ in range(20)]
        for action, login in (("capture", "tina.trader"), ("approve", "rita.risk")):
            claimed = await submit_all(first, [desk.decide(ask(action, login, order)) for order in orders])
            assert all(answer["decision"] for answer in claimed)
            await submit_all(first, [report(desk, answer["id"]) for answer in claimed])
        told = await asyncio.gather(
            *(
                service.writer.submit(desk.decide(said))
                for order in orders
                for said, service in (
                    (ask("amend", "tina.trader", order, notional="4000000.00 EUR"), first),
                    (ask("execute", "tina.trader", order), second),
                )
            )
        )
    answers = [json.loads(item) for item in told]
    for amended, executed in zip(answers[::2], answers[1::2], strict=True):
        assert [amended["decision"], executed["decision"]].count(True) == 1, (amended, executed)
    checked = audit(desk)
    assert {entry["key"] for entry in checked.of_kind("decision")} == {caller}


async def test_two_supervisors_at_two_services(migrated_database_url: str, tmp_path: Path) -> None:
    """A case is approved at one service and rejected at the other at once: one resolution stands."""
    desk = start_desk(tmp_path, database_url=migrated_database_url)
    async with running(desk) as first, running(desk) as second:
        large = [desk.decide(ask("capture", "tina.trader", notional="6000000.00 EUR")) for _ in range(10)]
        cases = [answer["review"]["id"] for answer in await submit_all(first, large)]
        told = await asyncio.gather(
            *(
                service.writer.submit(Resolve(new_id("res"), desk.key_ids[who], case, what, "seen"))
                for case in cases
                for who, what, service in (
                    ("supervisor1", Resolution.APPROVE, first),
                    ("supervisor2", Resolution.REJECT, second),
                )
            ),
            return_exceptions=True,
        )
    assert sum(isinstance(item, bytes) for item in told) == 10
    checked = audit(desk)
    assert sorted(entry["review"] for entry in checked.of_kind("resolution")) == sorted(cases)
    assert checked.refusals() == ["review_closed"] * 10


# --- Constraints that look beyond one chain, and votes -----------------------------------------------------


async def ask_both(desk: Desk, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All of it at once, by turns of two services that share nothing but the database."""
    async with running(desk) as first, running(desk) as second:
        told = await asyncio.gather(
            *(service.writer.submit(desk.decide(item)) for item, service in spread(asked, [first, second]))
        )
    answers = [json.loads(item) for item in told]
    audit(desk).check_answers(answers)
    return answers


def kinds_desk(folder: Path, url: str) -> Desk:
    """A ledger whose rules have walls, limits by instrument and votes."""
    return start_desk(folder, database_url=url, rules=KINDS, directory=KINDS_PEOPLE)


async def test_two_companies_of_a_sector_at_once(migrated_database_url: str, tmp_path: Path) -> None:
    """Of 40 simultaneous trades in two competitors, a person gets those in one of them: the first."""
    desk = kinds_desk(tmp_path, migrated_database_url)
    companies = ["A", "B"] * 20
    asked = [
        trade("capture", ("ana", "ana.bot")[number % 3 % 2], f"T-{number}", sector="oil", issuer=company)
        for number, company in enumerate(companies)
    ]
    answers = await ask_both(desk, asked)
    permitted = {company for company, answer in zip(companies, answers, strict=True) if answer["decision"]}
    assert len(permitted) == 1
    assert sum(answer["decision"] for answer in answers) == 20
    assert all(answer["outcome"] == "deny" for answer in answers if not answer["decision"])


async def test_twenty_trades_of_an_instrument_at_once(migrated_database_url: str, tmp_path: Path) -> None:
    """Of 20 simultaneous trades of one instrument a person gets three, and another one his own three."""
    desk = kinds_desk(tmp_path, migrated_database_url)
    asked = [
        trade("capture", ("ana", "ben")[number % 2], f"T-{number}", instrument="X") for number in range(40)
    ]
    answers = await ask_both(desk, asked)
    for person in (0, 1):
        assert sum(answer["decision"] for answer in answers[person::2]) == 3


async def test_five_persons_want_two_votes(migrated_database_url: str, tmp_path: Path) -> None:
    """Of five persons who all ask again and again for a step of two votes, two hold it."""
    desk = kinds_desk(tmp_path, migrated_database_url)
    logins = ("ana", "ben", "cai", "dee", "eva")
    answers = await ask_both(desk, [trade("approve", login, "T-1") for login in logins * 8])
    claims = audit(desk).claims()
    assert len({entry["person"] for entry in claims}) == len(claims) == 2
    shared = {answer["claim"]["id"] for answer in answers if answer["decision"]}
    assert len(shared) == 2


# --- Lineages ---------------------------------------------------------------------------------------------


async def test_an_order_is_approved_while_it_is_rebooked(migrated_database_url: str, tmp_path: Path) -> None:
    """Whoever at once approves orders and captures what replaces them gets one of the two of each; whoever
    captured the orders approves none of either."""
    desk = start_desk(tmp_path, database_url=migrated_database_url, rules=LINEAGE, directory=LINEAGE_PEOPLE)
    old = [step("capture", "ana", f"O-{number}") for number in range(10)]
    async with running(desk) as service:
        told = json.loads(await service.writer.submit(desk.decide(*old)))
    assert {answer["outcome"] for answer in told} == {"permit"}
    asked = [
        item
        for number in range(10)
        for item in (
            step("approve", "ben", f"O-{number}"),
            step("capture", "ben", f"O-{number}-new", f"O-{number}", relation="replaces"),
            step("approve", "ana.bot", f"O-{number}-new", f"O-{number}", relation="replaces"),
        )
    ]
    answers = await ask_both(desk, asked)
    for number in range(10):
        approved, captured, own = (answer["decision"] for answer in answers[3 * number : 3 * number + 3])
        assert approved is not captured
        assert not own
