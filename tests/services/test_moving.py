"""A chain that is amended from one place to another: what was done on it counts there as well."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controls.services.duty_ledger import examine_ledger
from tests.services.test_approving import (
    APART,
    COOL,
    FEW,
    LATER,
    WALL,
    a_desk,
    approved,
    held,
    kept_from,
    playing,
)
from tests.services.test_counting import Counted, started
from tests.services.test_duty_kinds import HOUR, PEOPLE, claim, report, rules_of, take, trade

NOBODY = "trade.value"  # a step that is not taken here
OVER = {
    "account": ({"account": "B"}, APART),
    "instrument": ({"instrument": "B"}, APART.replace("account,", "instrument, within: P30D,")),
    "few": ({"account": "B"}, FEW),
    "wall": ({"sector": "oil", "issuer": "B"}, WALL),
    "cool": ({"desk": "B"}, COOL.replace("capture, pay", "capture, approve")),
}


async def moved(
    running: Counted, who: str, number: str, there: dict[str, str], *outcomes: str
) -> dict[str, Any]:
    answer: dict[str, Any] = await running.ask(trade("amend", who, number, **there))
    assert answer["outcome"] in outcomes, answer["findings"]
    return answer


@pytest.mark.parametrize("name", OVER)
@pytest.mark.parametrize("then", ["deny", "review"])
async def test_what_was_done_on_a_chain_counts_where_it_is_brought(
    name: str, then: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Ana captured what Dee would bring to where Ana has approved: what neither may do alone, nor does."""
    there, duty = OVER[name]
    first = there | ({"issuer": "X"} if name == "wall" else {})
    async with started(
        a_desk(tmp_path, migrated_database_url, NOBODY, duty.replace("deny", then))
    ) as running:
        await take(running, trade("capture", "ana", "T-2"))
        await take(running, trade("approve", "ana", "T-1", **first))
        running.now += HOUR  # how long ago it is does not matter
        answer = await moved(running, "dee", "T-2", there, then)
        (finding,) = answer["findings"]
        assert (finding["rule"], finding["effect"]) == ("moved_history", then)
        english, spanish = finding["message"]["en"], finding["message"]["es"]
        for told in ("T-2", "p-05", "on chain T-1", " B", "would break", "2026-03-02 09:30:00 UTC"):
            assert told in english
        assert "en la cadena T-1" in spanish
        assert "incumpliría" in spanish
        # Elsewhere, and of what somebody else captured, there is nothing to be said.
        await take(running, trade("capture", "ben", "T-3"))
        if name != "cool":
            await moved(running, "dee", "T-3", there, "permit")
        await moved(running, "dee", "T-2", dict.fromkeys(there, "C"), "permit")
        found = await examine_ledger(running.service.database, running.desk.settings.tenant, now=running.now)
        assert found.breaches == ()


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_is_brought_is_measured_from_when_it_was_done(
    at_once: bool, tmp_path: Path, migrated_database_url: str
) -> None:
    """A step that was only claimed an hour before the other one was asked for has not cooled off."""
    there, duty = OVER["cool"]
    async with started(a_desk(tmp_path, migrated_database_url, NOBODY, duty)) as running:
        approved_there = await claim(running, trade("approve", "ana", "T-1", **there))
        if at_once:
            await report(running, approved_there)
        running.now += HOUR
        await take(running, trade("capture", "ben", "T-2"))
        if not at_once:
            await report(running, approved_there)
        running.now += HOUR
        answer = await moved(running, "dee", "T-2", there, "permit" if at_once else "deny")
        assert rules_of(answer) == (set() if at_once else {"moved_history"})


async def test_an_approver_and_who_amends_it_come_with_the_chain(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Sara approved a step of what Dee would move to where Sara has captured."""
    async with playing(tmp_path, migrated_database_url, LATER, FEW) as running:
        await take(running, trade("capture", "sara.super", "T-1", account="B"))
        await take(running, trade("capture", "ana", "T-2"))
        waits = await held(running, trade("approve", "ben", "T-2"))
        assert await approved(running, waits, "supervisor1") == []
        answer = await moved(running, "dee", "T-2", {"account": "B"}, "deny")
        (finding,) = answer["findings"]
        assert "p-03 would break few" in finding["message"]["en"]
        assert "approved by p-03" in finding["message"]["en"]
        # Whoever amends is asked as for any step: Ana has a hand in both.
        await take(running, trade("capture", "ana", "T-3", account="D"))
        own = await moved(running, "ana", "T-2", {"account": "D"}, "deny")
        assert rules_of(own) == {"few", "moved_history"}


async def test_an_approver_of_an_amendment_is_asked_where_it_leads(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Sara traded on the account that the amendment is about."""
    async with playing(tmp_path, migrated_database_url, "trade.amend", APART) as running:
        await take(running, trade("approve", "sara.super", "T-1", account="B"))
        await take(running, trade("capture", "ana", "T-2"))
        waits = await held(running, trade("amend", "dee", "T-2", account="B"))
        assert "T-1" in await kept_from(running, waits, "apart")
        assert await approved(running, waits, "supervisor2") == []
        await moved(running, "dee", "T-2", {"account": "B"}, "permit")


@pytest.mark.parametrize("name", OVER)
async def test_a_chain_that_was_moved_counts_where_it_was(
    name: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """What is done on it later is done at both places: Eva captured something where it was."""
    there, duty = OVER[name]
    was = dict.fromkeys(there, "A") | ({"sector": "oil"} if name == "wall" else {})
    to = {"account": "C", "instrument": "C", "desk": "C", "sector": "gas", "issuer": "C"}
    async with playing(tmp_path, migrated_database_url, NOBODY, duty) as running:
        await take(running, trade("capture", "ana", "T-2", **was))
        assert await running.outcome(trade("amend", "dee", "T-2", **to)) == "permit"
        running.now += HOUR
        other = was | ({"issuer": "Z"} if name == "wall" else {})
        await take(running, trade("capture", "eva", "T-1", **other))
        refused = await running.ask(trade("approve", "eva", "T-2", **to))
        assert refused["outcome"] == "deny"
        (finding,) = refused["findings"]
        assert "on chain T-1" in finding["message"]["en"]
        running.now += timedelta(days=2)
        expected = "permit" if name == "cool" else "deny"
        assert await running.outcome(trade("approve", "eva", "T-2", **to)) == expected


async def test_a_chain_that_is_begun_and_moved_in_one_request_is_not_known(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Nothing was read of where it began, nor of where it would be brought by whom, so that it stays; asked
    again, it goes."""
    async with playing(tmp_path, migrated_database_url, NOBODY, APART) as running:
        begun, told = await running.ask(trade("capture", "ana"), trade("amend", "dee", account="B"))
        assert begun["outcome"] == "permit"
        assert (told["outcome"], rules_of(told)) == ("deny", {"apart", "moved_history"})
        assert {finding["cause"] for finding in told["findings"]} == {"missing"}
        assert "could not be told. Ask again." in told["findings"][-1]["message"]["en"]
        await moved(running, "dee", "T-1", {"account": "B"}, "permit")


async def test_what_begins_a_chain_and_moves_it_at_once_counts_where_it_began(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Ana has a hand in two steps on A; amending is a third one there, wherever she brings the chain."""
    few = FEW.replace("max: 1", "max: 2")
    async with playing(tmp_path, migrated_database_url, NOBODY, few) as running:
        await take(running, trade("capture", "ana", "T-1", account="A"))
        begun, told = await running.ask(
            trade("approve", "ana", "T-2", account="A"), trade("amend", "ana", "T-2", account="B")
        )
        assert begun["outcome"] == "permit"
        assert (told["outcome"], rules_of(told)) == ("deny", {"few"})
        assert "T-1" in told["findings"][0]["message"]["en"]
        both = await running.ask(trade("approve", "ben", "T-3"), trade("amend", "ben", "T-3", account="B"))
        assert [answer["outcome"] for answer in both] == ["permit", "permit"]


async def test_nobody_lifts_it_in_an_emergency(tmp_path: Path, migrated_database_url: str) -> None:
    """What several have done is no exception for one."""
    async with playing(tmp_path, migrated_database_url, NOBODY, APART) as running:
        await take(running, trade("capture", "ana", "T-2"))
        await take(running, trade("approve", "ana", "T-1", account="B"))
        glass = {"break_glass": {"reason": "it burns", "minutes": 5}}
        answer = await running.ask(trade("amend", "dee", "T-2", account="B") | glass)
        assert answer["outcome"] == "deny"
        assert rules_of(answer) == {"moved_history", "break_glass_refused"}


async def test_another_place_stated_hides_nothing_of_where_the_chain_is(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Ana captured on A, and asks to approve another chain of A as if it were on B."""
    async with started(a_desk(tmp_path, migrated_database_url, NOBODY, APART)) as running:
        await take(running, trade("capture", "ana", "T-1", account="A"))
        await take(running, trade("capture", "ben", "T-2", account="A"))
        answer = await running.ask(trade("approve", "ana", "T-2", account="B"))
        assert rules_of(answer) >= {"apart", "material_changed"}
        assert rules_of(await running.ask(trade("approve", "ana", "T-2", account="A"))) == {"apart"}


@pytest.mark.parametrize("way", ["moved", "joined"])
async def test_a_condition_about_who_asks_is_not_known_of_others(
    way: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Only dealers are kept from both steps: Ana is one, and what Dee, who is none, does is about Ana's."""
    duty = APART.replace("then", """when: '"dealer" in person.roles', then""")
    people = PEOPLE.replace("dee,dealer;payer", "dee,payer")
    if way == "joined":
        duty = duty.replace("scope: account, ", "")
    async with started(a_desk(tmp_path, migrated_database_url, NOBODY, duty, people)) as running:
        await take(running, trade("capture", "ana", "T-1"))
        await take(running, trade("approve", "ana", "T-2"))
        if way == "moved":
            answer = await moved(running, "dee", "T-1", {"account": "A-T-2"}, "deny")
        else:
            body = trade("capture", "dee", "T-3")
            links = [{"relation": "merged_from", "type": "trade", "id": number} for number in ("T-1", "T-2")]
            body["resource"]["properties"]["lineage"] = links
            answer = await running.ask(body)
        (finding,) = answer["findings"]
        assert finding["rule"] == f"{way}_history"
        assert finding["values"]["person"] == "p-05"
        # Of her own acts it is known that Dee is no dealer.
        await take(running, trade("capture", "dee", "T-4"))
        await take(running, trade("approve", "dee", "T-4"))
