"""A service killed under load: its answers are on record, and what it did not answer can be asked again."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.desk import Desk

from .running import (
    LOGINS,
    STEPS,
    Audit,
    ServiceProcess,
    audit,
    body,
    client,
    post,
    pressure_desk,
    verified_by_program,
)

CLIENTS = 24
CHAINS = 12  # that all clients fight over


@dataclass(slots=True)
class Asked:
    """One request as it was sent, and its answer if there was one."""

    path: str
    said: dict[str, Any]
    token: str
    answer: bytes | None = None
    ended: bool = False  # an outcome of its claim was sent


@dataclass(slots=True)
class Load:
    """Clients that ask, report what they were permitted, and remember everything they were told."""

    service: ServiceProcess
    chance: random.Random
    asked: list[Asked] = field(default_factory=list)
    stopped: bool = False
    repeated: int = 0  # old requests that were answered with the same bytes again

    async def run(self, http: httpx2.AsyncClient) -> None:
        """One client, until it is stopped or the service is gone."""
        while not self.stopped:
            number = self.chance.randrange(CHAINS)
            own = self.chance.random() < 0.3
            said = body(
                "capture" if own else self.chance.choice(STEPS),
                self.chance.choice(LOGINS),
                f"X-{secrets.token_hex(8)}" if own else f"O-{number}",
                resource=self.chance.choice(("order", "ticket")),
            )
            made = Asked("/v1/decisions", said, secrets.token_hex(8))
            answer = await self.send(http, made)
            if answer is None:
                return
            told = answer.json()
            if told["decision"] and not own and self.chance.random() < 0.5:
                outcome = self.chance.choice(("performed", "abandoned"))
                # Every permit on this claim is over, whoever got it.
                claim = told["claim"]["id"].encode()
                for item in self.asked:
                    item.ended |= item.answer is not None and claim in item.answer
                made.ended = True
                path = f"/v1/decisions/{told['id']}/outcome"
                if await self.send(http, Asked(path, {"outcome": outcome}, secrets.token_hex(8))) is None:
                    return

    async def send(self, http: httpx2.AsyncClient, made: Asked) -> httpx2.Response | None:
        """Send and remember; None when there was no answer."""
        self.asked.append(made)
        try:
            answer = await post(http, self.service, made.said, path=made.path, token=made.token)
        except httpx2.TransportError:
            return None
        # 409: somebody else reported on a shared claim first.
        assert answer.status_code in {200, 409}, answer.text
        made.answer = answer.content if answer.status_code == 200 else b""
        return answer

    async def until_killed(self, seconds: float) -> None:
        """Load the service and kill it in the middle."""
        async with client() as http:
            clients = [asyncio.create_task(self.run(http)) for _ in range(CLIENTS)]
            await asyncio.sleep(seconds)
            self.service.kill()
            self.stopped = True
            await asyncio.gather(*clients)
        self.stopped = False

    async def ask_again(self) -> None:
        """Repeat old requests: those answered get the same bytes; those not answered are answered now."""
        decided = [item for item in self.asked if item.path == "/v1/decisions"]
        open_ones = [item for item in self.asked if item.answer is None]
        answered = [item for item in decided if item.answer and not item.ended]
        reports = [item for item in self.asked if item.path != "/v1/decisions" and item.answer]
        async with client() as http:
            for item in open_ones:
                again = await post(http, self.service, item.said, path=item.path, token=item.token)
                # 409: the claim was ended by another report, recorded just before the kill.
                assert again.status_code in {200, 409}, again.text
                item.answer = again.content if again.status_code == 200 else b""
            for item in self.chance.sample(answered, min(25, len(answered))):
                again = await post(http, self.service, item.said, token=item.token)
                if again.status_code == 409:  # reported by a request that was not answered before the kill
                    assert again.json()["code"] == "claim_ended"
                else:
                    assert again.content == item.answer
                    self.repeated += 1
            for item in self.chance.sample(reports, min(10, len(reports))):
                again = await post(http, self.service, item.said, path=item.path, token=item.token)
                assert again.content == item.answer
            ended = [item for item in decided if item.answer and item.ended]
            for item in self.chance.sample(ended, min(5, len(ended))):
                again = await post(http, self.service, item.said, token=item.token)
                assert again.status_code == 409 or again.content == item.answer

    def answers(self) -> Iterator[dict[str, Any]]:
        for item in self.asked:
            if item.answer:
                yield httpx2.Response(200, content=item.answer).json() | {"path": item.path}


def kill_and_look(desk: Desk, *, kills: int, seed: int) -> tuple[Load, Audit]:
    """Kill a loaded service several times, start it again each time, then audit the ledger."""
    service = ServiceProcess(desk)
    load = Load(service, random.Random(seed))
    try:
        service.launch()
        service.wait_until_ready()
        for _ in range(kills):
            before = len(load.asked)
            asyncio.run(load.until_killed(load.chance.uniform(0.2, 0.9)))
            assert len(load.asked) > before, "there was no load"
            service.launch()
            service.wait_until_ready()
            asyncio.run(load.ask_again())
        service.stop()
    finally:
        service.kill()
    checked = audit(desk)
    verified_by_program(desk, checked)
    return load, checked


def check(load: Load, checked: Audit) -> None:
    answers = list(load.answers())
    assert load.repeated
    decisions = [answer for answer in answers if answer["path"] == "/v1/decisions"]
    checked.check_answers(decisions)
    checked.check_duties()
    known = checked.by_id()
    for answer in answers:
        if answer["path"] != "/v1/decisions":
            assert known[answer["id"]]["outcome"] == answer["outcome"]
    # What was asked once is on record once, however often it was sent.
    own = Counter(
        entry["request"]["resource"]["id"]
        for entry in checked.of_kind("decision")
        if entry["request"]["resource"]["id"].startswith("X-")
    )
    assert own
    assert set(own.values()) == {1}
    ended = Counter(entry["claim"] for entry in checked.of_kind("outcome"))
    assert set(ended.values()) <= {1}, "a claim ended twice"


def test_killed_under_load(migrated_database_url: str, tmp_path: Path) -> None:
    """Five kills at random moments lose no answer, double none, break no duty, and old keys still answer."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    check(*kill_and_look(desk, kills=5, seed=secrets.randbelow(1_000_000)))


@pytest.mark.soak
def test_killed_under_load_again_and_again(migrated_database_url: str, tmp_path: Path) -> None:
    """Twenty kills."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    check(*kill_and_look(desk, kills=20, seed=secrets.randbelow(1_000_000)))
