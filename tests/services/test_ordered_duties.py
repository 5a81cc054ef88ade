"""Constraints that mind the order of steps: what was claimed early and may be done late counts as late."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controls.services.outcomes import Reported
from tests.services.test_amending import BOSSES, begun, job, playing
from tests.services.test_counting import Counted
from tests.services.test_duty_kinds import HOUR, claim, report, rules_of, take

# A constraint under which Ana's claim on the check keeps somebody from the enrichment; and who that is.
ORDERED = {
    "separate": ("kind: separate, steps: [enrich, check]", "ana"),
    "relation": ("kind: relation, steps: [enrich, check], forbid: [reports_to]", "ben"),
    "bind": ("kind: bind, steps: [enrich, check]", "eva"),
    "cooling_off": ("kind: cooling_off, steps: [enrich, check], apart: PT1H", "eva"),
}


async def kept_from(running: Counted, login: str) -> Any:
    answer = await running.ask(job("enrich", login))
    assert answer["outcome"] == "deny"
    assert rules_of(answer) == {"rule"}
    return answer["findings"][0]["message"]["en"]


@pytest.mark.parametrize("name", ORDERED)
async def test_what_is_claimed_before_and_may_be_done_after_counts(
    name: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Else whoever claims the second step first, and does it last, would have minded no order."""
    duty, login = ORDERED[name]
    duty += ", ordered: true, then: deny"
    async with playing(tmp_path, migrated_database_url, duty, BOSSES) as running:
        await begun(running, ("begin", "dee"))
        check = await claim(running, job("check", "ana"))
        assert "Check, by p-05, 2026-03-02 09:30:00 UTC (claimed)" in await kept_from(running, login)
        running.now += 2 * HOUR
        await kept_from(running, login)
        await report(running, check)  # now it is known that it was done before
        await take(running, job("enrich", login))


async def test_what_was_given_up_is_done_with(tmp_path: Path, migrated_database_url: str) -> None:
    duty = "kind: separate, steps: [enrich, check], ordered: true, then: deny"
    async with playing(tmp_path, migrated_database_url, duty) as running:
        await begun(running, ("begin", "dee"))
        check = await claim(running, job("check", "ana"))
        await kept_from(running, "ana.bot")
        await report(running, check, Reported.ABANDONED)
        await take(running, job("enrich", "ana"))
        assert rules_of(await running.ask(job("check", "ana"))) == {"rule"}
