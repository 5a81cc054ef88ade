"""Looking ahead over what was done beyond the chain and its lines, through the whole service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controls.services.outlooks import chain_outlook
from tests.services.test_counting import Counted
from tests.services.test_duty_kinds import DAY, desk, rules_of, running, take, trade

__all__ = ["desk", "running"]

DEALERS = ("ana", "ben", "cai", "dee", "eva")
OIL = {"sector": "oil", "issuer": "A"}


async def behind_the_wall(running: Counted, *logins: str) -> None:
    for number, login in enumerate(logins):
        await take(running, trade("capture", login, f"T-{number}", **OIL))


async def valued(running: Counted, *logins: str) -> None:
    """They value on one desk, so that for thirty days they execute nothing there."""
    for number, login in enumerate(logins):
        await take(running, trade("value", login, f"V-{number}", desk="D"))


def only(answer: dict[str, Any]) -> dict[str, Any]:
    (finding,) = answer["findings"]
    assert isinstance(finding, dict)
    return finding


async def test_a_wall_that_leaves_nobody_for_the_rest_is_told_before_the_first_step(running: Counted) -> None:
    """Four of five are behind the wall, and the fifth cannot do everything alone."""
    await behind_the_wall(running, "cai", "dee", "eva", "ana")
    held = await running.ask(trade("capture", "ben", "T-9", sector="oil", issuer="B"))
    found = only(held)
    assert (held["outcome"], found["rule"]) == ("review", "would_strand")
    assert found["values"]["steps"] == ["approve", "settle"]
    assert "Approval (who could: 1;" in found["message"]["en"]
    assert "Aprobación (quienes podrían: 1;" in found["message"]["es"]
    # A supervisor may take it upon himself.
    await running.approve(held, "supervisor1")
    assert await running.outcome(trade("capture", "ben", "T-9", sector="oil", issuer="B")) == "permit"


async def test_with_enough_people_on_this_side_of_the_wall_nothing_is_held_up(running: Counted) -> None:
    await behind_the_wall(running, "dee", "eva")
    for login, action in (("ana", "capture"), ("ben", "approve"), ("cai", "approve")):
        await take(running, trade(action, login, "T-9", sector="oil", issuer="B"))


@pytest.mark.parametrize(("days", "outcome"), [(88, "review"), (89, "permit"), (90, "permit")])
async def test_what_is_forgotten_within_a_day_keeps_nobody(running: Counted, days: int, outcome: str) -> None:
    """The wall stands for ninety days."""
    await behind_the_wall(running, "cai", "dee", "eva", "ana")
    running.now += timedelta(days=days)
    assert await running.outcome(trade("capture", "ben", "T-9", sector="oil", issuer="B")) == outcome


async def test_what_separates_steps_over_a_desk_is_looked_at(running: Counted) -> None:
    """Who valued something on a desk executes nothing there for thirty days."""
    await valued(running, *DEALERS[:4])
    assert rules_of(await running.ask(trade("execute", "ana", "T-1", desk="D"))) == {"not_my_desk"}
    held = await running.ask(trade("value", "eva", "V-4", desk="D"))
    assert (held["outcome"], only(held)["values"]["steps"]) == ("review", ["execute"])
    await running.approve(held, "supervisor1")
    await take(running, trade("value", "eva", "V-4", desk="D"))
    held = await running.ask(trade("capture", "ana", "T-2", desk="D"))
    assert (held["outcome"], only(held)["values"]["steps"]) == ("review", ["execute"])
    assert "Execution (who could: 0;" in only(held)["message"]["en"]
    # On another desk nothing of it counts, nor a month later.
    assert await running.outcome(trade("capture", "ana", "T-3", desk="E")) == "permit"
    running.now += 30 * DAY
    assert await running.outcome(trade("capture", "ana", "T-4", desk="D")) == "permit"


async def test_what_is_done_in_the_same_unit_of_work_counts(running: Counted) -> None:
    """Five valuations in one list: the last answer sees the other four."""
    told = await running.ask(*(trade("value", who, f"V-{who}", desk="D") for who in DEALERS))
    assert [item["outcome"] for item in told] == ["permit"] * 4 + ["review"]
    assert only(told[-1])["rule"] == "would_strand"


async def test_the_last_who_can_does_not_take_what_keeps_from_it(running: Counted) -> None:
    """Whoever values the trade itself executes it no more: of the last one who could that is held up."""
    await valued(running, *DEALERS[:4])
    await take(running, trade("capture", "ana", "T-1", desk="D"))
    held = await running.ask(trade("value", "eva", "T-1", desk="D"))
    assert (held["outcome"], only(held)["values"]["steps"]) == ("review", ["execute"])


async def test_an_outlook_names_those_who_are_left(running: Counted) -> None:
    await valued(running, *DEALERS[:3])
    await take(running, trade("capture", "ana", "T-1", desk="D"))
    told: Any = await chain_outlook(running.service, "T-1", kind=None, on=None)
    (step,) = [item for item in told["steps"] if item["step"] == "execute"]
    assert (step["count"], step["persons"]) == (2, ["p-08", "p-09"])
