"""What follows when a delegation is used: a case with a deadline, and a line in the report of exceptions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controls.model.errors import ControlsError
from controls.model.values import microseconds, utc_text
from controls.services.delegations import DelegationEnd
from controls.services.exceptions import Exceptions
from controls.services.reviews import Resolution, Resolve
from tests.desk import an_order, submit
from tests.services.seats import Seat


async def captured(seat: Seat, order: Any, **more: Any) -> Any:
    """Tomas captures for Tina, or asks for it again."""
    return await seat.claimed("capture", "tomas.trader", order, on_behalf_of="tina.trader", **more)


async def resolved(seat: Seat, review: str, key: str, resolution: Resolution = Resolution.APPROVE) -> Any:
    command = Resolve(seat.service.new_id("res"), seat.desk.key_ids[key], review, resolution, "looked at it")
    return await submit(seat.service, command)


async def reported(seat: Seat, **page: Any) -> Any:
    report = Exceptions(seat.service.database, seat.service.tenant)
    return await report.page(at=microseconds(seat.clock.now), **{"limit": 10} | page)


async def cases(seat: Seat) -> Any:
    return (await seat.service.queries.reviews(state=None, limit=50, cursor=None))["reviews"]


async def test_each_use_has_a_case_of_its_own_with_a_deadline(seat: Seat) -> None:
    """It says in both languages who acted for whom, by which delegation and until when that lasts."""
    delegation = await seat.delegated("p-05", "p-06", "capture")
    until = seat.clock.now + timedelta(days=3)
    found = []
    for order in (an_order(), an_order()):
        answer = await captured(seat, order)
        case: Any = await seat.service.queries.review(answer["review"]["id"])
        assert (case["kind"], case["state"], case["claim"]) == ("exception", "open", answer["claim"]["id"])
        assert (case["person"], case["on_behalf_of"]) == ("p-06", "p-05")
        assert case["due_at"] == utc_text(seat.clock.now + timedelta(days=1))
        (reason,) = case["reasons"]
        assert (reason["rule"], reason["effect"]) == ("delegation", "flag")
        told = f"{delegation}, {{}} {until:%Y-%m-%d %H:%M:%S} UTC."
        assert "p-06 takes capture on behalf of p-05 by delegation" in reason["message"]["en"]
        assert told.format("in force until") in reason["message"]["en"]
        assert "p-06 realiza capture en nombre de p-05 por la delegación" in reason["message"]["es"]
        assert told.format("vigente hasta el") in reason["message"]["es"]
        entry: Any = (await seat.service.queries.decision(answer["id"]))["entry"]
        assert (entry["review"], answer["findings"]) == (case["id"], [])
        found.append(case["id"])
    assert len(set(found)) == 2
    await seat.verified()


async def test_asking_again_for_the_same_claim_is_no_other_use(seat: Seat) -> None:
    """The case is shared while it is open; once somebody has looked at it there is none."""
    await seat.delegated("p-05", "p-06", "capture")
    order = an_order()
    first = await captured(seat, order)
    seat.clock.now += timedelta(hours=1)
    again = await captured(seat, order)
    assert (again["claim"]["id"], again["review"]) == (first["claim"]["id"], first["review"])
    assert (await resolved(seat, first["review"]["id"], "supervisor1"))["state"] == "approved"
    assert "review" not in await captured(seat, order)
    assert [case["state"] for case in await cases(seat)] == ["approved"]
    other = await captured(seat, an_order())
    assert other["review"]["id"] != first["review"]["id"]
    assert len(await cases(seat)) == 2
    await seat.verified()


async def test_another_delegation_is_another_use(seat: Seat) -> None:
    """The same claim under a delegation that was made anew: nobody has looked at that one."""
    first = await seat.delegated("p-05", "p-06", "capture")
    order = an_order()
    before = await captured(seat, order)
    await seat.confirmed(DelegationEnd(first))
    await seat.delegated("p-05", "p-06", "capture")
    after = await captured(seat, order)
    assert after["claim"]["id"] == before["claim"]["id"]
    assert after["review"]["id"] != before["review"]["id"]
    await seat.verified()


async def test_neither_of_the_two_looks_at_it(seat: Seat) -> None:
    """The delegator's and the delegate's own word is refused; a rejection has somebody follow it up."""
    await seat.delegated("p-14", "p-06", "capture")
    await seat.delegated("p-05", "p-14", "capture")
    for login, whom in (("tomas.trader", "hugo.head"), ("hugo.head", "tina.trader")):
        answer = await seat.claimed("capture", login, an_order(), on_behalf_of=whom)
        review = answer["review"]["id"]
        with pytest.raises(ControlsError) as refused:
            await resolved(seat, review, "head")
        assert refused.value.code == "resolution_refused"
        told = await resolved(seat, review, "supervisor1", Resolution.REJECT)
        follow: Any = await seat.service.queries.review(told["follow_up"])
        assert (follow["kind"], follow["follows"], follow["reasons"][0]["rule"]) == (
            "follow_up",
            review,
            "delegation",
        )
    await seat.verified()


async def test_who_used_it_and_what_is_overdue_is_in_the_report(seat: Seat) -> None:
    """Once, with its case and what became of that; by pages as everything else."""
    delegation = await seat.delegated("p-05", "p-06", "capture")
    first, second = [await captured(seat, an_order()) for _ in range(2)]
    seat.clock.now += timedelta(days=1)
    await resolved(seat, first["review"]["id"], "supervisor1")
    page = await reported(seat)
    assert page["overdue"] == 1
    by_decision = {row["decision"]: row for row in page["exceptions"]}
    assert len(page["exceptions"]) == len(by_decision) == 2
    for answer, state in ((first, "approved"), (second, "overdue")):
        row = by_decision[answer["id"]]
        assert (row["kind"], row["person"], row["on_behalf_of"]) == ("delegation", "p-06", "p-05")
        assert (row["step"], row["delegation"]) == ("capture", delegation)
        assert (row["review"]["id"], row["review"]["state"]) == (answer["review"]["id"], state)
    assert by_decision[first["id"]]["review"]["resolved_by"] != ""
    newest = await reported(seat, limit=1)
    older = await reported(seat, limit=1, cursor=newest["next"])
    assert newest["exceptions"] + older["exceptions"] == page["exceptions"]
    assert "next" not in older


async def test_who_uses_none_opens_no_case(seat: Seat) -> None:
    """An opinion, a bot of the own, the own account, and what was denied."""
    await seat.delegated("p-05", "p-06", "capture")
    opinion = await seat.asked(
        "capture", "tomas.trader", an_order(), on_behalf_of="tina.trader", context={"claim": False}
    )
    assert opinion["outcome"] == "would_permit"
    await seat.claimed("capture", "tina.bot", an_order(), on_behalf_of="tina.trader")
    await seat.claimed("capture", "tomas.trader", an_order())
    denied = await seat.asked("capture", "tina.trader", an_order(), on_behalf_of="tomas.trader")
    assert denied["outcome"] == "deny"
    assert await cases(seat) == []


async def test_a_step_that_a_supervisor_let_pass_is_looked_at_by_a_third(seat: Seat) -> None:
    """What held it is told beside the delegation; the approver has a hand in the chain."""
    await seat.delegated("p-05", "p-06", "capture")
    large = an_order(notional="6000000.00 EUR")
    held = await seat.asked("capture", "tomas.trader", large, on_behalf_of="tina.trader")
    assert held["outcome"] == "review"
    await resolved(seat, held["review"]["id"], "supervisor1")
    answer = await captured(seat, large)
    case: Any = await seat.service.queries.review(answer["review"]["id"])
    assert (case["kind"], case["reasons"][0]["rule"]) == ("exception", "delegation")
    assert {item["rule"] for item in answer["approval"]["cleared"]} == {
        reason["rule"] for reason in case["reasons"][1:]
    }
    with pytest.raises(ControlsError) as refused:
        await resolved(seat, case["id"], "supervisor1")
    assert refused.value.code == "resolution_refused"
    await resolved(seat, case["id"], "supervisor2")
    await seat.verified()
