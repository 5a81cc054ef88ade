"""Review cases and approvals through the service, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controls.services.identifiers import new_id
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.reviews import Resolution, Resolve
from controls.services.service import Service
from tests.desk import Desk, an_order, ask, start_desk, submit

LARGE = "6000000.00 EUR"


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(tmp_path, database_url=migrated_database_url)


@pytest.fixture
async def service(desk: Desk) -> AsyncIterator[Service]:
    running = desk.build()
    await running.start()
    yield running
    await running.close()


async def asked(
    service: Service, desk: Desk, action: str, login: str, order: Any, **more: Any
) -> dict[str, Any]:
    answer: dict[str, Any] = await submit(service, desk.decide(ask(action, login, order, **more)))
    return answer


async def approved(service: Service, desk: Desk, answer: Mapping[str, Any], supervisor: str) -> None:
    case = answer["review"]["id"]
    command = Resolve(new_id("res"), desk.key_ids[supervisor], case, Resolution.APPROVE, "seen")
    assert (await submit(service, command))["state"] == "approved"


async def large_and_captured(service: Service, desk: Desk) -> dict[str, Any]:
    """A large order whose capture was approved by the first supervisor and performed."""
    order = an_order(notional=LARGE)
    await approved(service, desk, await asked(service, desk, "capture", "tina.trader", order), "supervisor1")
    answer = await asked(service, desk, "capture", "tina.trader", order)
    assert answer["outcome"] == "permit"
    reported = ReportOutcome(new_id("out"), desk.key_ids["caller"], answer["id"], Reported.PERFORMED)
    await submit(service, reported)
    return order


def rules_of(answer: Mapping[str, Any]) -> list[str]:
    return [finding["rule"] for finding in answer["findings"]]


async def test_an_approval_lapses_when_one_of_its_findings_is_gone(service: Service, desk: Desk) -> None:
    """What a listed finding spoke of has changed when it does not speak any more: approved was both."""
    order = await large_and_captured(service, desk)
    unknown: dict[str, Any] = {"account": {}}
    both = await asked(service, desk, "approve", "rita.risk", order, context=unknown)
    assert rules_of(both) == ["pre.credit_capital_threshold", "pre.large_order"]
    await approved(service, desk, both, "supervisor2")
    known = await asked(service, desk, "approve", "rita.risk", order)
    assert (known["outcome"], rules_of(known)) == ("review", ["pre.large_order"])
    again = await asked(service, desk, "approve", "rita.risk", order, context=unknown)
    assert again["outcome"] == "permit"


async def test_an_approval_does_not_clear_a_finding_that_came_later(service: Service, desk: Desk) -> None:
    """A finding that the supervisor did not see takes another look, and a denial is never cleared."""
    order = await large_and_captured(service, desk)
    seen = await asked(service, desk, "approve", "rita.risk", order)
    await approved(service, desk, seen, "supervisor2")
    unseen = await asked(service, desk, "approve", "rita.risk", order, context={"account": {}})
    assert unseen["outcome"] == "review"
    beyond = {"account": {"open_exposure": "9000000.00 EUR"}}
    denied = await asked(service, desk, "approve", "rita.risk", order, context=beyond)
    assert denied["outcome"] == "deny"
    assert (await asked(service, desk, "approve", "rita.risk", order))["outcome"] == "permit"


async def test_an_opinion_does_not_use_an_approval(service: Service, desk: Desk) -> None:
    """With `claim: false` an approved step would be permitted; the approval is still there afterwards."""
    order = an_order(notional=LARGE)
    await approved(service, desk, await asked(service, desk, "capture", "tina.trader", order), "supervisor1")
    for _ in range(2):
        opinion = await asked(service, desk, "capture", "tina.trader", order, context={"claim": False})
        assert (opinion["outcome"], opinion["decision"]) == ("would_permit", False)
    answer = await asked(service, desk, "capture", "tina.trader", order)
    assert answer["outcome"] == "permit"
    assert answer["approval"]["id"]


async def test_an_approval_begins_no_chain(service: Service, desk: Desk) -> None:
    """While only a supervisor has a hand in a chain there is nothing to amend."""
    order = an_order(notional=LARGE)
    await approved(service, desk, await asked(service, desk, "capture", "tina.trader", order), "supervisor1")
    amended = await asked(service, desk, "amend", "tina.trader", order)
    assert (amended["outcome"], rules_of(amended)) == ("deny", ["unknown_chain"])
