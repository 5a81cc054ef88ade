"""Releases go back and forth under HTTP load: no request fails, none mixes two, and memory stays flat."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from controls.bootstrap import read_rule_files
from controls.store.database import CACHE_KIB
from tests.desk import Desk

from .running import (
    RULES,
    ServiceProcess,
    audit,
    body,
    client,
    post,
    pressure_desk,
    processes,
    verified_by_program,
)

SOAK = os.environ.get("CONTROLS_SOAK") == "1"
RELOADS = 200 if SOAK else 20
RULES_EACH = 200 if SOAK else 40
CALLERS = 8
# How far memory may rise over the reloads that follow the warm-up (a quarter of all).
FLAT = 1.10

RULE = """\
- id: all.limit_{number}
  title: {{en: Limit {number}, es: Límite {number}}}
  source: {{law: A test, basis: policy}}
  severity: low
  on: [ticket.capture]
  when: ticket.amount > {limit} && ticket.amount != {limit}.5
  then: review
  message: {{en: A supervisor decides, es: Decide un supervisor}}
  examples:
    - {{name: large, given: {{ticket.amount: "{limit}.7"}}, expect: review}}
    - {{name: small, given: {{ticket.amount: "1"}}, expect: permit}}
"""


def rules(base: int) -> dict[str, str]:
    """The rules of this folder with many more, none of which speaks of an amount below `base`."""
    text = "".join(RULE.format(number=number, limit=base + number) for number in range(RULES_EACH))
    return dict(read_rule_files(RULES)) | {"regulatory/pre_trade/limits.yaml": text}


def resident(service: ServiceProcess) -> int:
    """Kilobytes of memory that the service holds."""
    assert service.process is not None
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


class Traffic:
    """Callers that never stop asking, each answer of which must be a decision."""

    def __init__(self, http: httpx2.AsyncClient, services: list[ServiceProcess]) -> None:
        self.http, self.services = http, services
        self.answers: list[dict[str, Any]] = []
        self.slowest = 0.0
        self.stopped = False

    async def caller(self, number: int) -> None:
        service = self.services[number % len(self.services)]
        while not self.stopped:
            said = body(
                "capture", "tomas.trader", f"T-{secrets.token_hex(8)}", resource="ticket", amount="500"
            )
            begun = time.perf_counter()
            told = await post(self.http, service, said)
            self.slowest = max(self.slowest, time.perf_counter() - begun)
            assert told.status_code == 200, told.text
            answer = told.json()
            self.answers.append({name: answer[name] for name in ("id", "outcome", "release", "receipt")})


async def change(http: httpx2.AsyncClient, service: ServiceProcess, said: Any) -> dict[str, Any]:
    """Propose over HTTP and confirm as the other administrator; the answer."""
    proposed = await post(http, service, said, path="/v1/releases", key="admin1")
    assert proposed.status_code == 200, proposed.text
    path = f"/v1/changes/{proposed.json()['change']}/confirmation"
    confirmed = await post(http, service, {}, path=path, key="admin2")
    assert confirmed.status_code == 200, confirmed.text
    told: dict[str, Any] = confirmed.json()
    return told


async def reload_under_load(
    desk: Desk, services: list[ServiceProcess]
) -> tuple[Traffic, list[tuple[int, str]], list[list[int]]]:
    """All reloads; what was answered, which release came into force at which index, and memory after each."""
    entered: list[tuple[int, str]] = []
    memory: list[list[int]] = []
    async with client() as http:
        traffic = Traffic(http, services)
        callers = [asyncio.create_task(traffic.caller(number)) for number in range(CALLERS)]
        try:
            said: Any = {"files": rules(1_000)}  # permits what is asked
            for number in range(RELOADS):
                told = await change(http, services[0], said)
                entered.append((told["receipt"]["index"], told["release"]))
                answered = len(traffic.answers)
                while len(traffic.answers) < answered + 2 * CALLERS:
                    await asyncio.sleep(0.01)
                    assert not any(task.done() for task in callers), [task for task in callers if task.done()]
                memory.append([resident(service) for service in services])
                said = {"files": rules(100)} if number == 0 else {"digest": entered[number - 1][1]}
        finally:
            traffic.stopped = True
            await asyncio.gather(*callers)
    return traffic, entered, memory


@pytest.mark.parametrize("count", [1, 2], ids=["sqlite", "two-on-postgresql"])
@pytest.mark.parametrize("length", [pytest.param("long", marks=pytest.mark.soak)] if SOAK else ["short"])
async def test_nothing_is_lost_and_nothing_leaks(
    count: int, length: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Reloads between two releases that decide differently, under load from concurrent callers."""
    url = request.getfixturevalue("migrated_sqlite_url" if count == 1 else "migrated_postgres_url")
    desk = pressure_desk(tmp_path, url)
    with processes(desk, count) as services:
        traffic, entered, memory = await reload_under_load(desk, services)
    begins = [index for index, _ in entered]
    assert begins == sorted(begins)
    assert len({release for _, release in entered}) == 2
    checked = audit(desk)
    verified_by_program(desk, checked)
    checked.check_answers(traffic.answers)
    permits, reviews = (entered[0][1], entered[1][1])
    in_force = checked.entries[0]["release"]
    expected = {in_force: "permit", permits: "permit", reviews: "review"}
    changes = dict(entered)
    for index, entry in enumerate(checked.entries):
        in_force = changes.get(index, in_force)
        assert entry["release"] == in_force
        if entry["kind"] == "decision":
            assert entry["outcome"] == expected[in_force]
    assert checked.refusals() == []
    # A short run ends before SQLite's page cache is full, so that its bound comes on top.
    filling = CACHE_KIB if count == 1 and not SOAK else 0
    for number, service_memory in enumerate(zip(*memory, strict=True)):
        warm = service_memory[RELOADS // 4 :]
        sys.stderr.write(  # the figures are the result of a soak
            f"\nservice {number}: {RELOADS} reloads, {len(traffic.answers)} decisions, slowest "
            f"{traffic.slowest:.2f} s, resident {service_memory[0]} kB first, {warm[0]} after the warm-up, "
            f"{min(warm)} to {max(warm)} then, {warm[-1]} last\n"
        )
        assert max(warm) <= FLAT * warm[0] + filling
