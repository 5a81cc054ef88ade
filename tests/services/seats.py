"""A service on a desk with a clock of its own, and the short forms of the tests that sit there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controls.ledger.verifier import Key, Verification
from controls.model.errors import ControlsError
from controls.model.values import microseconds
from controls.services.administration import Confirm, Propose
from controls.services.delegations import DelegationGrant
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.service import Service
from tests.desk import Desk, ask, start_desk, submit
from tests.ledger.test_verifier_on_a_desk import exported

CHAIN = "order_to_settlement"


@dataclass(slots=True)
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass(slots=True)
class Seat:
    """A service on a desk with a clock, and the short forms of these tests."""

    desk: Desk
    service: Service
    clock: Clock

    def grant(self, person: str, delegate: str, *steps: str, **more: Any) -> DelegationGrant:
        until = more.pop("until", self.clock.now + timedelta(days=3))
        said: dict[str, Any] = {"chain": CHAIN, "reason": "on holiday"} | more
        return DelegationGrant(person, delegate, steps=steps, until=microseconds(until), **said)

    async def proposed(self, change: Any, *, key: str = "admin1") -> str:
        command = Propose(
            self.service.new_id("chg"), self.service.new_id("change"), self.desk.key_ids[key], change
        )
        return str((await submit(self.service, command))["change"])

    async def confirmed(self, change: Any, *, key: str = "admin2") -> Any:
        proposed = await self.proposed(change)
        command = Confirm(self.service.new_id("chg"), self.desk.key_ids[key], proposed)
        command.prepared = await self.service.releases.prepared(proposed)
        command.merging = await self.service.changes.merging(proposed)
        return await submit(self.service, command)

    async def delegated(self, person: str, delegate: str, *steps: str, **more: Any) -> str:
        """The id of a delegation that is in force."""
        await self.confirmed(self.grant(person, delegate, *steps, **more))
        _, directory = await self.service.snapshot()
        return directory.people[person].delegations[-1].id

    async def asked(self, action: str, login: str, order: Any, **more: Any) -> Any:
        return await submit(self.service, self.desk.decide(ask(action, login, order, **more)))

    async def claimed(self, action: str, login: str, order: Any, **more: Any) -> Any:
        answer = await self.asked(action, login, order, **more)
        assert answer["outcome"] == "permit", answer["findings"]
        return answer

    async def report(self, answer: Any, said: Reported = Reported.PERFORMED) -> None:
        key = self.desk.key_ids["caller"]
        await submit(self.service, ReportOutcome(self.service.new_id("out"), key, answer["id"], said))

    async def done(self, action: str, login: str, order: Any, **more: Any) -> Any:
        answer = await self.claimed(action, login, order, **more)
        await self.report(answer)
        return answer

    async def walked(self, order: Any, *steps: tuple[str, str]) -> None:
        for action, login in steps:
            await self.done(action, login, order)

    async def refused(self, change: Any) -> list[tuple[str, str]]:
        with pytest.raises(ControlsError) as caught:
            await self.proposed(change)
        return [(error.pointer, error.code) for error in caught.value.errors]

    async def verified(self) -> Any:
        lines = (await exported(self.desk)).splitlines(keepends=True)
        report = Verification([Key.of(self.desk.vkey)]).run(lines)
        assert report.problems == []
        return report


BEGUN_AT = datetime.now(UTC)


@asynccontextmanager
async def seated(folder: Path, url: str) -> AsyncIterator[Seat]:
    """A seat on the tests' desk, with the time of BEGUN_AT until its clock is moved."""
    clock = Clock(BEGUN_AT)
    desk = start_desk(folder, database_url=url, clock=clock)
    service = desk.build(clock=clock)
    await service.start()
    yield Seat(desk, service, clock)
    await service.close()


BEGUN = (
    ("capture", "tina.trader"),
    ("approve", "rita.risk"),
    ("execute", "tina.trader"),
    ("allocate", "mateo.middle"),
    ("confirm", "mateo.middle"),
    ("instruct", "clara.clerk"),
)


def rules(answer: Any) -> set[str]:
    return {finding["rule"] for finding in answer["findings"]}
