"""Review cases and approvals through the service, on both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from controls.model.errors import Conflict
from controls.services.identifiers import new_id
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.reviews import Resolution, Resolve
from controls.services.service import Service
from tests.desk import DESK_PEOPLE, DESK_RULES, Desk, an_order, ask, start_desk, submit

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


async def test_nobody_approves_for_a_person_to_whom_he_or_she_may_not_be_related(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Sara, who reports to the trader, may reject and not approve; Saul, who does not, may approve."""
    files = Path(copytree(DESK_RULES, tmp_path / "rules"))
    (duties,) = (files / "duties").glob("*.yaml")
    rule = "{id: not_my_boss, kind: relation, steps: [capture, approve], forbid: [reports_to], then: deny}"
    duties.write_text(f"{duties.read_text('utf-8')}- {rule}\n", "utf-8")
    above = {"p-03": "p-05"}
    rows = [f"{row},{above.get(row[:4], 'p-14')}" for row in DESK_PEOPLE.splitlines()]
    rows[0] = f"{DESK_PEOPLE.splitlines()[0]},reports_to"
    desk = start_desk(tmp_path, database_url=migrated_database_url, rules=files, directory="\n".join(rows))
    service = desk.build()
    await service.start()
    try:
        first, second = an_order(notional=LARGE), an_order(notional=LARGE)
        for order in (first, second):
            held = await asked(service, desk, "capture", "tina.trader", order)
            assert (held["outcome"], rules_of(held)) == ("review", ["pre.large_order"])
            case = held["review"]["id"]
            command = Resolve(new_id("res"), desk.key_ids["supervisor1"], case, Resolution.APPROVE, "fine")
            with pytest.raises(Conflict) as refused:
                await submit(service, command)
            assert refused.value.code == "resolution_refused"
            assert [error.code for error in refused.value.errors] == ["not_my_boss"]
            assert "p-03" in refused.value.detail
        told = Resolve(new_id("res"), desk.key_ids["supervisor1"], case, Resolution.REJECT, "no")
        assert (await submit(service, told))["state"] == "rejected"
        again = await asked(service, desk, "capture", "tina.trader", first)
        await approved(service, desk, again, "supervisor2")
        assert (await asked(service, desk, "capture", "tina.trader", first))["outcome"] == "permit"
    finally:
        await service.close()


async def test_an_approval_begins_no_chain(service: Service, desk: Desk) -> None:
    """While only a supervisor has a hand in a chain there is nothing to amend."""
    order = an_order(notional=LARGE)
    await approved(service, desk, await asked(service, desk, "capture", "tina.trader", order), "supervisor1")
    amended = await asked(service, desk, "amend", "tina.trader", order)
    assert (amended["outcome"], rules_of(amended)) == ("deny", ["unknown_chain"])
