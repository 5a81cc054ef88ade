"""Acting for somebody else under load: revoked while permits are asked, never a way round a constraint."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import Any

import httpx2

from controls.services.delegations import DelegationEnd, DelegationGrant
from controls.services.service import Service
from tests.desk import Desk

from .running import (
    STEPS,
    Audit,
    ServiceProcess,
    audit,
    body,
    client,
    pressure_desk,
    processes,
    running,
    verified_by_program,
)
from .test_changes import Load, confirmed
from .test_races import post_all

DAY = 24 * 3600 * 10**6
TOMAS_FOR_TINA = {"on_behalf_of": "tina.trader"}


def in_a_day() -> int:
    return time.time_ns() // 1000 + DAY


def grant(chain: str, *steps: str) -> DelegationGrant:
    """Tina's steps to Tomas, for a day."""
    return DelegationGrant("p-05", "p-06", chain, steps, in_a_day(), "a day off")


async def delegated(service: Service, desk: Desk, chain: str, *steps: str) -> str:
    await confirmed(service, desk, grant(chain, *steps))
    _, directory = await service.snapshot()
    return directory.people["p-05"].delegations[-1].id


async def test_a_delegation_is_revoked_under_load(migrated_database_url: str, tmp_path: Path) -> None:
    """After the entry that ends it no decision permits by it, on either of two services."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    async with running(desk) as first, running(desk) as second:
        delegation = await delegated(first, desk, "ticket_to_settlement", "capture")
        load = Load(desk, [first, second], login="tomas.trader", **TOMAS_FOR_TINA)
        answer = await load.around(DelegationEnd(delegation))
    checked = audit(desk)
    load.check(checked, answer, after="deny")
    later = checked.entries[answer["receipt"]["index"] + 1 :]
    found = {item["rule"] for entry in later if entry["kind"] == "decision" for item in entry["findings"]}
    assert found == {"no_delegation"}


async def _post(http: httpx2.AsyncClient, service: ServiceProcess, key: str, path: str, said: Any) -> Any:
    told = await http.post(f"{service.url}{path}", json=said, headers=service.desk.headers(key))
    assert told.status_code == 200, told.text
    return told.json()


async def _changed(service: ServiceProcess, path: str, said: Any) -> dict[str, Any]:
    """The answer to the second administrator, over HTTP."""
    async with client() as http:
        proposed = await _post(http, service, "admin1", path, said)
        path = f"/v1/changes/{proposed['change']}/confirmation"
        answer: dict[str, Any] = await _post(http, service, "admin2", path, {})
        return answer


async def _delegate(service: ServiceProcess, chain: str, *steps: str) -> str:
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400))
    said = {"person": "p-05", "delegate": "p-06", "chain": chain, "steps": list(steps)}
    await _changed(service, "/v1/directory/delegations", said | {"until": until, "reason": "a day off"})
    async with client() as http:
        told = await http.get(
            f"{service.url}/v1/directory/persons/p-05", headers=service.desk.headers("admin1")
        )
        return str(told.json()["delegations"][-1]["delegation"])


def rush(chain: str) -> list[dict[str, Any]]:
    """Tina, her bot, Tomas for himself and Tomas for Tina ask for every step of a chain, again and again."""
    who = [("tomas.trader", TOMAS_FOR_TINA), ("tina.trader", {}), ("tomas.trader", {}), ("tina.bot", {})]
    return [
        body(STEPS[(number // 4 + number) % 8], login, chain) | more
        for number in range(96)
        for login, more in (who[number % 4],)
    ]


def check_both(checked: Audit, answers: list[dict[str, Any]], chain: str) -> None:
    """What one did for the other counts for both: three steps each at most, and nobody made and checked."""
    checked.check_answers(answers)
    checked.check_duties()
    assert any("on_behalf_of" in entry for entry in checked.claims() if entry["chain"]["id"] == chain)
    both = checked.steps_by_person(chain)
    assert both.keys() == {"p-05", "p-06"}
    assert all(len(steps) <= 3 for steps in both.values())


def _race(desk: Desk, count: int) -> None:
    with processes(desk, count) as services:
        asyncio.run(_delegate(services[0], "order_to_settlement", *STEPS))
        chains = [f"O-{number}" for number in range(3)]
        asked = [said for sayings in zip(*map(rush, chains), strict=True) for said in sayings]
        begun = [body("capture", "tomas.trader", chain) | TOMAS_FOR_TINA for chain in chains]
        answers = asyncio.run(post_all(services, begun))
        answers += asyncio.run(post_all(services, asked))
        asyncio.run(_revoked_meanwhile(services))
    checked = audit(desk)
    for chain in chains:
        check_both(checked, [item for item in answers if item["chain"]["id"] == chain], chain)
    ends = [
        number
        for number, entry in enumerate(checked.entries)
        if entry["kind"] == "directory" and entry.get("delegation")
    ]
    by_it = [
        number
        for number, entry in enumerate(checked.entries)
        if entry["kind"] == "decision" and entry["outcome"] == "permit" and "on_behalf_of" in entry
    ]
    assert max(by_it) < max(ends)
    verified_by_program(desk, checked)


async def _revoked_meanwhile(services: list[ServiceProcess]) -> None:
    """Permits by a delegation are asked of all processes while one of them revokes it."""
    async with client() as http:
        told = await http.get(
            f"{services[0].url}/v1/directory/persons/p-05", headers=services[0].desk.headers("admin1")
        )
        delegation = told.json()["delegations"][-1]["delegation"]
    stopped = False

    async def keep_asking(http: httpx2.AsyncClient, service: ServiceProcess) -> set[str]:
        outcomes = set()
        while not stopped:
            said = body("capture", "tomas.trader", f"O-{secrets.token_hex(8)}") | TOMAS_FOR_TINA
            outcomes.add((await _post(http, service, "caller", "/v1/decisions", said))["outcome"])
        last = body("capture", "tomas.trader", f"O-{secrets.token_hex(8)}") | TOMAS_FOR_TINA
        assert (await _post(http, service, "caller", "/v1/decisions", last))["outcome"] == "deny"
        return outcomes

    async with client() as http:
        callers = [asyncio.create_task(keep_asking(http, item)) for item in services for _ in range(4)]
        await asyncio.sleep(0.3)
        await _changed(services[-1], "/v1/directory/delegation-ends", {"delegation": delegation})
        await asyncio.sleep(0.2)
        stopped = True
        outcomes = await asyncio.gather(*callers)
    assert set().union(*outcomes) == {"permit", "deny"}


def test_three_processes_on_one_postgresql(migrated_postgres_url: str, tmp_path: Path) -> None:
    """Service processes asked at once: acts count for both, and a revoked delegation permits nothing more."""
    _race(pressure_desk(tmp_path, migrated_postgres_url), 3)


def test_two_processes_on_one_sqlite_file(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """The same on one file."""
    _race(pressure_desk(tmp_path, migrated_sqlite_url), 2)
