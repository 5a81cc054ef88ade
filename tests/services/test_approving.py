"""Whoever approves is held against what looks beyond the chain: no approval breaks a constraint."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from controls.model.errors import Conflict
from controls.services.duty_ledger import examine_ledger
from controls.services.identifiers import new_id
from controls.services.reviews import Resolution, Resolve
from controls.services.service import Service
from controls.store.tables import disclosures
from tests.desk import Desk, start_desk, submit
from tests.services.test_counting import Counted, started
from tests.services.test_duty_kinds import HOUR, PEOPLE, RULES, START, rules_of, take, trade
from tests.services.test_person_merge import merged

SUPERVISORS = PEOPLE.replace("supervisor\n", "supervisor;dealer;payer\n")
LOOK = """
id: look
title: {{en: Somebody looks at it, es: Alguien lo mira}}
source: {{law: Desk policy, basis: policy}}
on: [{on}]
when: trade.notional > "0.00 EUR"
then: review
message: {{en: A supervisor decides., es: Decide un supervisor.}}
missing: deny
examples:
  - {{name: some, given: {{trade.notional: 1.00 EUR}}, expect: review}}
  - {{name: none, given: {{trade.notional: 0.00 EUR}}, expect: permit}}
"""
LATER, FIRST = "trade.approve, trade.pay", "trade.capture"
APART = "- {id: apart, kind: separate, steps: [capture, approve], scope: account, then: deny}\n"
FEW = "- {id: few, kind: at_most, steps: [capture, approve], scope: account, max: 1, then: deny}\n"
WALL = (
    "- {id: wall, kind: chinese_wall, class: issuer.sector, dataset: issuer.id, within: P90D, then: deny}\n"
)
COOL = "- {id: cool, kind: cooling_off, steps: [capture, pay], scope: desk, apart: PT1H, then: deny}\n"
BOSS = "- {id: boss, kind: relation, steps: [capture, approve], forbid: [reports_to], then: deny}\n"


LARGE_BOSS = BOSS.replace("then", 'when: trade.notional > "5000.00 EUR", then')


def reporting(**superiors: str) -> str:
    """The same people, of whom some report to others."""
    header, *rows = SUPERVISORS.splitlines()
    above = {person.replace("_", "-"): superior for person, superior in superiors.items()}
    return "\n".join([f"{header},reports_to", *(f"{row},{above.get(row[:4], 'p-01')}" for row in rows)])


def a_desk(folder: Path, url: str, looked_at: str, duties: str, people: str = SUPERVISORS) -> Desk:
    """A desk with these constraints, on which a supervisor looks at some steps."""
    rules = Path(shutil.copytree(RULES, folder / "rules"))
    (rules / "regulatory" / "desk").mkdir(parents=True)
    (rules / "regulatory" / "desk" / "look.yaml").write_text(LOOK.format(on=looked_at), "utf-8")
    (rules / "duties" / "kinds.yaml").write_text(duties, "utf-8")
    return start_desk(folder, database_url=url, rules=rules, directory=people, clock=lambda: START)


@asynccontextmanager
async def playing(
    folder: Path, url: str, looked_at: str, duties: str, people: str = SUPERVISORS
) -> AsyncIterator[Counted]:
    """A running service, on whose record nothing is broken in the end."""
    async with started(a_desk(folder, url, looked_at, duties, people)) as counted:
        yield counted
        tenant = counted.desk.settings.tenant
        found = await examine_ledger(counted.service.database, tenant, now=counted.now)
        assert found.breaches == ()


async def held(running: Counted, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = await running.ask(body)
    assert answer["outcome"] == "review", answer["findings"]
    return answer


def approval(running: Counted, answer: dict[str, Any], supervisor: str) -> Resolve:
    key, case = running.desk.key_ids[supervisor], answer["review"]["id"]
    return Resolve(new_id("res"), key, case, Resolution.APPROVE, "seen")


async def kept_from(running: Counted, answer: dict[str, Any], *rules: str, who: str = "supervisor1") -> str:
    """Somebody is kept from approving by just these rules; what is said of it."""
    with pytest.raises(Conflict) as refused:
        await submit(running.service, approval(running, answer, who))
    assert refused.value.code == "resolution_refused"
    assert tuple(error.code for error in refused.value.errors) == rules
    return str(refused.value.detail)


async def approved(running: Counted, answer: dict[str, Any], who: str) -> list[str]:
    """Somebody approves; the rules of what is told besides."""
    told = await submit(running.service, approval(running, answer, who))
    assert told["state"] == "approved"
    return [finding["rule"] for finding in told["findings"]]


SAME_ACCOUNT, SAME_ISSUERS = {"account": "A"}, {"sector": "oil"}
CASES = [
    (APART, "apart", SAME_ACCOUNT),
    (APART.replace("deny", "review"), "apart", SAME_ACCOUNT),
    (FEW, "few", SAME_ACCOUNT),
    (WALL, "wall", SAME_ISSUERS),
    (WALL.replace("deny", "review"), "wall", SAME_ISSUERS),
]


@pytest.mark.parametrize(("duty", "rule", "shared"), CASES, ids=["deny", "review", "limit", "wall", "look"])
async def test_who_acted_on_another_chain_approves_nothing_that_this_would_break(
    duty: str, rule: str, shared: dict[str, str], tmp_path: Path, migrated_database_url: str
) -> None:
    """Sara traded there; Saul did not. On an account or in a sector of its own, Sara may approve."""
    async with playing(tmp_path, migrated_database_url, LATER, duty) as running:
        await take(running, trade("capture", "sara.super", "T-1", **shared))
        for number, facts in (("T-2", shared), ("T-3", {})):
            await take(running, trade("capture", "ana", number, **facts))
        waits = await held(running, trade("approve", "ben", "T-2", **shared))
        told = await kept_from(running, waits, rule)
        assert "p-03" in told
        assert "T-1" in told
        assert await approved(running, waits, "supervisor2") == []
        assert (await running.ask(trade("approve", "ben", "T-2", **shared)))["outcome"] == "permit"
        elsewhere = await held(running, trade("approve", "ben", "T-3"))
        assert await approved(running, elsewhere, "supervisor1") == []


async def test_what_is_approved_of_a_chain_that_nobody_has_begun_counts_at_once(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Where the question says, though the account is private: neither is more approved there nor done."""
    async with playing(tmp_path, migrated_database_url, FIRST, FEW) as running:
        first = await held(running, trade("capture", "ana", "T-1", account="A"))
        second = await held(running, trade("capture", "ana", "T-2", account="A"))
        assert await approved(running, first, "supervisor1") == []
        assert "T-1" in await kept_from(running, second, "few")
        await take(running, trade("capture", "ana", "T-1", account="A"))
        asked = await running.ask(trade("approve", "sara.super", "T-1", account="A"))
        assert rules_of(asked) == {"few"}
        await kept_from(running, second, "few")
        other = await held(running, trade("capture", "ana", "T-3", account="B"))
        assert await approved(running, other, "supervisor1") == []


async def test_what_was_approved_counts_where_it_was_and_not_where_the_chain_began_instead(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """The chain began on another account, which another supervisor approved: that was Saul's act."""
    async with playing(tmp_path, migrated_database_url, FIRST, FEW) as running:
        on_a = await held(running, trade("capture", "ana", "T-1", account="A"))
        assert await approved(running, on_a, "supervisor1") == []
        on_b = await held(running, trade("capture", "ana", "T-1", account="B"))
        assert await approved(running, on_b, "supervisor2") == []
        await take(running, trade("capture", "ana", "T-1", account="B"))
        for account, who, by in (("A", "supervisor1", 1), ("B", "supervisor2", 2)):
            waits = await held(running, trade("capture", "ben", f"T-{account}", account=account))
            await kept_from(running, waits, "few", who=who)
            assert await approved(running, waits, f"supervisor{3 - by}") == []


async def test_a_time_between_steps_that_denies_keeps_everybody_from_approving(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """It began after the question was held; once it is over the approval is given."""
    async with playing(tmp_path, migrated_database_url, LATER, COOL) as running:
        await take(running, trade("capture", "ana", "T-1", desk="D"))
        running.now += HOUR
        waits = await held(running, trade("pay", "ben", "T-1", desk="D"))
        await take(running, trade("capture", "ana", "T-2", desk="D"))
        for who in ("supervisor1", "supervisor2"):
            await kept_from(running, waits, "cool", who=who)
        running.now += HOUR
        assert await approved(running, waits, "supervisor1") == []
        assert (await running.ask(trade("pay", "ben", "T-1", desk="D")))["outcome"] == "permit"


async def test_a_time_between_steps_that_asks_for_a_review_is_what_is_approved(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """No other supervisor would do, so that it is told on record and keeps nobody from approving."""
    async with started(
        a_desk(tmp_path, migrated_database_url, LATER, COOL.replace("deny", "review"))
    ) as running:
        await take(running, trade("capture", "ana", "T-1", desk="D"))
        waits = await held(running, trade("pay", "ben", "T-1", desk="D"))
        assert await approved(running, waits, "supervisor1") == ["cool"]
        assert (await running.ask(trade("pay", "ben", "T-1", desk="D")))["outcome"] == "permit"


@pytest.mark.parametrize("then", ["deny", "review"])
async def test_what_was_erased_of_the_question_is_not_known(
    then: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Nobody can tell where the approval counts: that denies, or is told where a review is asked for."""
    few = FEW.replace("deny", then)
    async with playing(tmp_path, migrated_database_url, FIRST, few) as running:
        waits = await held(running, trade("capture", "ana", "T-1", account="A"))
        async with running.service.database.write() as connection:
            await connection.execute(delete(disclosures))
        if then == "deny":
            assert "could not be told (trade.account)" in await kept_from(running, waits, "few")
        else:
            assert await approved(running, waits, "supervisor1") == ["few"]


async def test_a_chain_that_nobody_has_begun_comes_from_what_the_question_says(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Who has a hand in what it comes from is a party, and who is above somebody there may not approve."""
    people = reporting(p_07="p-04")  # Cai reports to Saul
    async with playing(tmp_path, migrated_database_url, FIRST, BOSS, people) as running:
        for number, login in (("T-1", "sara.super"), ("T-2", "cai")):
            await take(running, trade("value", "dee", number))
            await take(running, trade("approve", login, number))
        for number, rule, who in (
            ("T-1", "party_to_chain", "supervisor1"),
            ("T-2", "boss", "supervisor2"),
        ):
            body = trade("capture", "ana", f"{number}-half", issuer=None)
            links = [{"relation": "split_from", "type": "trade", "id": number}]
            body["resource"]["properties"] |= {"lineage": links}
            body["context"] = trade("capture", "ana", f"{number}-half")["context"]
            waits = await held(running, body)
            await kept_from(running, waits, rule, who=who)
            other = {"supervisor1": "supervisor2", "supervisor2": "supervisor1"}[who]
            assert await approved(running, waits, other) == []


@pytest.mark.parametrize("duty", [APART.replace("scope: account, ", ""), BOSS])
async def test_what_was_approved_of_a_chain_counts_when_it_begins_with_other_links(
    duty: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Sara approved it as one that comes from nowhere; it may not then come from where she, or who reports
    to her, had a hand."""
    people = reporting(p_07="p-03")  # Cai reports to Sara
    async with playing(tmp_path, migrated_database_url, FIRST, duty, people) as running:
        who = "cai" if duty == BOSS else "sara.super"
        await take(running, trade("value", "dee", "T-1"))
        await take(running, trade("approve", who, "T-1"))
        body = trade("capture", "ana", "T-2")
        assert await approved(running, await held(running, body), "supervisor1") == []
        body["resource"]["properties"]["lineage"] = [{"relation": "split_from", "type": "trade", "id": "T-1"}]
        answer = await running.ask(body)
        assert rules_of(answer) == {"joined_history", "look"}
        assert "p-03" in answer["findings"][0]["message"]["en"]
        assert (await running.ask(trade("capture", "ana", "T-2")))["outcome"] == "permit"


async def test_two_chains_of_an_account_are_not_approved_at_once(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """At two services that share nothing but the database: of ten, one is approved by each supervisor."""
    desk = a_desk(tmp_path, migrated_database_url, FIRST, FEW)
    async with started(desk) as running, started(desk) as other:
        services: list[Service] = [running.service, other.service]
        waits = [await held(running, trade("capture", "ana", f"T-{n}", account="A")) for n in range(10)]
        told = await asyncio.gather(
            *(
                services[number % 2].writer.submit(approval(running, answer, f"supervisor{1 + number // 5}"))
                for number, answer in enumerate(waits)
            ),
            return_exceptions=True,
        )
    refused = [item for item in told if isinstance(item, Conflict)]
    assert [len(refused), sum(isinstance(item, bytes) for item in told)] == [8, 2]
    assert {error.code for item in refused for error in item.errors} == {"few"}


@pytest.mark.parametrize(
    ("before", "after"), [("1000.00 EUR", "9000.00 EUR"), ("9000.00 EUR", "1000.00 EUR")]
)
async def test_an_approver_of_an_amendment_is_asked_by_what_it_is_and_by_what_it_was(
    before: str, after: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Sara may not be above Ben where the trade is large, as it would be, or stays if nobody amends it."""
    people = reporting(p_06="p-03")  # Ben reports to Sara
    async with playing(tmp_path, migrated_database_url, "trade.amend", LARGE_BOSS, people) as running:
        await take(running, trade("capture", "ana", "T-1", notional=before))
        await take(running, trade("approve", "ben", "T-1", notional=before))
        waits = await held(running, trade("amend", "dee", "T-1", notional=after))
        assert "p-06" in await kept_from(running, waits, "boss")
        assert await approved(running, waits, "supervisor2") == []
        assert (await running.ask(trade("amend", "dee", "T-1", notional=after)))["outcome"] == "permit"


async def test_where_a_chain_is_brought_at_the_same_time_is_not_known(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Dee moves it to where Sara has acted, in the unit of work in which she would approve a step of it."""
    async with playing(tmp_path, migrated_database_url, LATER, APART) as running:
        await take(running, trade("capture", "sara.super", "T-1", account="B"))
        await take(running, trade("capture", "ana", "T-2", account="A"))
        waits = await held(running, trade("approve", "ben", "T-2", account="A"))
        submitted = running.service.writer.submit
        move = running.desk.decide(trade("amend", "dee", "T-2", account="B"))
        moving, approving = await asyncio.gather(
            submitted(move), submitted(approval(running, waits, "supervisor1")), return_exceptions=True
        )
        assert isinstance(moving, bytes)
        assert isinstance(approving, Conflict)
        assert [error.code for error in approving.errors] == ["apart"]


@pytest.mark.parametrize(("person", "into"), [("p-03", "p-07"), ("p-07", "p-03")])
async def test_what_was_approved_by_somebody_who_is_found_to_be_a_party_counts_for_nothing(
    person: str, into: str, tmp_path: Path, migrated_database_url: str
) -> None:
    """Sara approved what comes from a chain that Cai had a hand in, and the two are one, whoever stays."""
    async with started(a_desk(tmp_path, migrated_database_url, FIRST, APART)) as running:
        await take(running, trade("value", "cai", "T-1"))
        body = trade("capture", "ana", "T-2")
        body["resource"]["properties"]["lineage"] = [{"relation": "split_from", "type": "trade", "id": "T-1"}]
        waits = await held(running, body)
        assert await approved(running, waits, "supervisor1") == []
        await merged(running.service, running.desk, person, into)
        waits = await held(running, body)
        assert await approved(running, waits, "supervisor2") == []
        assert (await running.ask(body))["outcome"] == "permit"
