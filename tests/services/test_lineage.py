"""Lineages through the whole service: no way of making a new chain of an old one resets its history."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from controls.bootstrap import read_rule_files
from controls.ledger.verifier import Key, Report, Verification
from controls.model.errors import Conflict
from controls.model.lineage import MAX_CHAINS, Relation
from controls.rules.release import compile_release
from controls.services.duty_ledger import examine_ledger
from controls.services.identifiers import new_id
from controls.services.ledger_export import export_ledger
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.outlooks import chain_outlook
from controls.services.releases import check_release
from controls.store.tables import lineage_links
from tests.desk import Desk, start_desk, submit
from tests.rules.rule_sets import FIXTURES
from tests.services.test_counting import Counted, started

RULES = FIXTURES / "lineage"
PEOPLE = """\
person,name,account,roles
p-01,Alma Arce,alma.admin,administrator
p-02,Blas Bueno,blas.admin,administrator
p-03,Sara Sanz,sara.super,supervisor;hand
p-04,Saul Soto,saul.super,supervisor
p-05,Ana Amor,ana,hand
p-05,Ana Amor,ana.bot,hand
p-06,Ben Bravo,ben,hand
p-07,Cai Cano,cai,hand
p-08,Dee Duro,dee,hand
"""
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
KIND_OF = {"O": "order", "A": "allocation", "N": "instruction"}


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(
        tmp_path, database_url=migrated_database_url, rules=RULES, directory=PEOPLE, clock=lambda: START
    )


@pytest.fixture
async def running(desk: Desk) -> AsyncIterator[Counted]:
    async with started(desk) as counted:
        yield counted


def step(action: str, login: str, name: str, *older: str, relation: str = "split_from") -> dict[str, Any]:
    """A request about a chain whose name tells its kind; `older` are those that it comes from."""
    facts: dict[str, Any] = {}
    if name.startswith("O"):
        facts = {"account": f"C-{name}", "instrument": "X", "side": "buy", "quantity": "100"}
    if older:
        facts["lineage"] = [
            {"relation": relation, "id": other, "type": KIND_OF.get(other[0], other)} for other in older
        ]
    return {
        "subject": {"type": "account", "id": login},
        "action": {"name": action},
        "resource": {"type": KIND_OF[name[0]], "id": name, "properties": facts},
    }


def rules_of(answer: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in answer["findings"]}


async def done(running: Counted, *bodies: dict[str, Any]) -> None:
    for body in bodies:
        answer = await running.ask(body)
        assert answer["outcome"] == "permit", answer["findings"]


async def verified(running: Counted) -> Report:
    """What the program that shares no code with the service finds in the ledger."""
    desk = running.desk
    lines = export_ledger(running.service.database, desk.settings.tenant, origin="demo/desk", vkey=desk.vkey)
    export = b"".join([line async for line in lines])
    return Verification([Key.of(desk.vkey)], None).run(export.splitlines(keepends=True))


def test_the_rules_are_sound() -> None:
    """A constraint over steps of two kinds is one of all kinds; one over steps of one kind is of that one."""
    checked = check_release(read_rule_files(RULES))
    assert checked.failures == ()
    chains = {item.id: item.chain for item in checked.release.constraints}
    assert chains["apart"] == "order"
    assert chains["not_to_the_end"] == chains["two_of_four"] == ""


async def test_an_outlook_counts_what_was_done_on_all_lines(running: Counted) -> None:
    """Whoever is named for a step would be let take it, and nobody else, on one line and on several; where
    all others of a line are kept from it, nobody can."""
    logins = {"p-03": "sara.super", "p-05": "ana", "p-06": "ben", "p-07": "cai", "p-08": "dee"}

    async def outlook(name: str) -> tuple[str, list[str]]:
        told: Any = await chain_outlook(running.service, name, kind=None, on=None)
        (approval,) = [item for item in told["steps"] if item["step"] == "approve"]
        could = []
        for person, login in logins.items():
            body = step("approve", login, name)
            answer = await running.ask(body | {"context": {"claim": False}})
            if "apart" not in rules_of(answer):
                could.append(person)
        assert approval["persons"] == could
        assert approval["count"] == len(could)
        return told["state"], could

    await done(running, step("capture", "ana", "O-1"))
    await done(running, step("capture", "ben", "O-2", "O-1"), step("capture", "ana", "O-3", "O-1"))
    assert await outlook("O-2") == ("can_be_done", ["p-03", "p-07", "p-08"])
    assert await outlook("O-3") == ("can_be_done", ["p-03", "p-06", "p-07", "p-08"])
    assert await outlook("O-1") == ("can_be_done", ["p-03", "p-07", "p-08"])
    older = "O-3"
    for number, login in enumerate(("ben", "cai", "dee"), start=4):
        await done(running, step("capture", login, f"O-{number}", older))
        older = f"O-{number}"
    assert await outlook(older) == ("can_be_done", ["p-03"])
    assert await outlook("O-1") == ("can_be_done", ["p-03"])
    assert (await running.ask(step("capture", "sara.super", "O-7", older)))["outcome"] == "review"


# --- Resetting history ------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["ana", "ana.bot"])
@pytest.mark.parametrize("relation", list(Relation))
async def test_no_relation_resets_history(running: Counted, relation: Relation, login: str) -> None:
    """Whoever captured the old order approves no order that comes of it, by no account and at no remove."""
    await done(running, step("capture", "ana", "O-1"))
    await done(running, step("capture", "ben", "O-2", "O-1", relation=relation))
    refused = await running.ask(step("approve", login, "O-2"))
    assert rules_of(refused) == {"apart"}
    assert "on chain O-1" in refused["findings"][0]["message"]["en"]
    # Under a third name, and with the links of the chain before it alone.
    await done(running, step("capture", "cai", "O-3", "O-2", relation=relation))
    assert rules_of(await running.ask(step("approve", login, "O-3"))) == {"apart"}
    # Beginning the new chain with the step that is kept apart does not help.
    assert rules_of(await running.ask(step("approve", login, "O-4", "O-1", relation=relation))) == {"apart"}
    assert await running.outcome(step("approve", "dee", "O-3")) == "permit"


async def test_a_lineage_leads_from_kind_to_kind(running: Counted) -> None:
    """Whoever executed the block does not release what becomes of it, two kinds of chain later."""
    await done(
        running,
        step("capture", "ben", "O-1"),
        step("execute", "ana", "O-1"),
        step("allocate", "cai", "A-1", "O-1", relation="allocation_of"),
        step("instruct", "dee", "N-1", "A-1", relation="instruction_of"),
    )
    assert rules_of(await running.ask(step("release", "ana.bot", "N-1"))) == {"not_to_the_end"}
    await done(running, step("release", "ben", "N-1"))
    # And not the other way round: what comes of an order counts on the order.
    assert rules_of(await running.ask(step("execute", "ben", "O-1"))) == {
        "claimed_by_other",
        "not_to_the_end",
    }


async def test_steps_are_counted_over_all_kinds(running: Counted) -> None:
    """Two of the four steps are for one person, wherever on the line they are taken."""
    await done(
        running,
        step("capture", "ana", "O-1"),
        step("allocate", "ana", "A-1", "O-1", relation="allocation_of"),
    )
    refused = await running.ask(step("instruct", "ana", "N-1", "A-1", relation="instruction_of"))
    assert rules_of(refused) == {"two_of_four"}
    await done(running, step("instruct", "ben", "N-1", "A-1", relation="instruction_of"))


async def test_the_whole_chain_is_that_of_the_line(running: Counted) -> None:
    """Nobody takes part in every step by cancelling, rebooking, and abandoning in between."""
    steps = ("approve", "execute")
    await done(running, step("settle", "ana", "O-1"), *(step(name, "ana", "O-1") for name in steps))
    for number in (2, 3):
        await done(running, step("settle", "ben", f"O-{number}", f"O-{number - 1}", relation="replaces"))
    refused = await running.ask(step("capture", "ana", "O-3"))
    assert {"whole_chain", "apart"} <= rules_of(refused)


async def test_what_was_abandoned_counts_on_the_line(running: Counted) -> None:
    """Ending a claim frees the step, never the person; nor does a new chain."""
    answer = await running.ask(step("capture", "ana", "O-1"))
    key = running.desk.key_ids["caller"]
    await submit(running.service, ReportOutcome(new_id("out"), key, answer["id"], Reported.ABANDONED))
    await done(running, step("capture", "ben", "O-2", "O-1", relation="replaces"))
    assert rules_of(await running.ask(step("approve", "ana", "O-2"))) == {"apart"}


async def test_halves_are_told_apart_until_they_are_joined(running: Counted) -> None:
    """A step on one half is none on the other, counts on the block, and on what joins the halves again."""
    await done(
        running,
        step("execute", "dee", "O-1"),
        step("capture", "ana", "O-2", "O-1"),
        step("execute", "ben", "O-3", "O-1"),
        step("approve", "ana", "O-3"),
    )
    assert await running.outcome(step("settle", "ben", "O-2")) == "permit"
    assert "apart" in rules_of(await running.ask(step("approve", "ana", "O-1")))
    refused = await running.ask(step("settle", "cai", "O-4", "O-2", "O-3", relation="merged_from"))
    assert rules_of(refused) == {"joined_history"}
    assert refused["findings"][0]["values"]["person"] == "p-05"
    assert "apart" in refused["findings"][0]["message"]["en"]
    # One by one the same is tried in vain: the second of them joins nothing that is not there.
    await done(running, step("settle", "cai", "O-5", "O-2", relation="merged_from"))
    changed = await running.ask(step("execute", "cai", "O-5", "O-3", relation="merged_from"))
    assert rules_of(changed) == {"lineage_changed"}


async def test_what_is_joined_counts_before_it_was_joined(running: Counted) -> None:
    """After two chains were netted, a step on one of them is a step on the other one's money."""
    await done(
        running,
        step("capture", "ana", "O-1"),
        step("execute", "ben", "O-2"),
        step("capture", "cai", "O-3", "O-1", "O-2", relation="netted_from"),
    )
    assert rules_of(await running.ask(step("approve", "ana", "O-2"))) == {"apart"}
    assert rules_of(await running.ask(step("approve", "ana", "O-3"))) == {"apart"}
    assert await running.outcome(step("approve", "dee", "O-2")) == "permit"


# --- What may be stated -------------------------------------------------------------------------------------


async def test_only_chains_that_have_begun_can_be_named(running: Counted) -> None:
    """Not the chain itself, none of another name or kind, none that was only asked about."""
    asked = step("capture", "ana", "O-9") | {"context": {"claim": False}}
    assert await running.outcome(asked) == "would_permit"
    for older in ("O-1", "O-9", "N-9", "nothing"):
        assert rules_of(await running.ask(step("capture", "ana", "O-1", older))) == {"lineage_unknown"}
    assert await running.outcome(step("capture", "ana", "O-1")) == "permit"


async def test_links_are_stated_by_the_first_act_alone(running: Counted) -> None:
    """Later steps may repeat them or leave them out; an opinion and a refusal record none."""
    opinion = step("capture", "ben", "O-2", "O-1") | {"context": {"claim": False}}
    await done(running, step("capture", "ana", "O-1"), step("capture", "ana", "O-3"))
    assert await running.outcome(opinion) == "would_permit"
    assert await running.outcome(step("approve", "ana", "O-2", "O-1")) == "deny"
    await done(
        running,
        step("capture", "ben", "O-2", "O-1"),
        step("execute", "cai", "O-2", "O-1"),
        step("settle", "cai", "O-2"),
    )
    for other in (
        step("approve", "dee", "O-2", "O-3"),
        step("approve", "dee", "O-2", "O-1", relation="replaces"),
    ):
        assert rules_of(await running.ask(other)) == {"lineage_changed"}
    assert rules_of(await running.ask(step("approve", "dee", "O-1", "O-3"))) == {"lineage_changed"}


async def test_the_entry_says_what_the_chain_comes_from(running: Counted) -> None:
    """What was stated stands in every entry, what was recorded in that of the first act, once."""
    await done(running, step("capture", "ana", "O-1"))
    first = await running.ask(step("capture", "ben", "O-2", "O-1"))
    again = await running.ask(step("capture", "ben", "O-2", "O-1"))
    assert again["claim"]["id"] == first["claim"]["id"]
    entry, _ = await running.entry(first)
    assert entry["request"]["lineage"] == [{"relation": "split_from", "type": "order", "id": "O-1"}]
    assert entry["lineage"] == [{"relation": "split_from", "kind": "order", "id": "O-1"}]
    assert "lineage" not in (await running.entry(again))[0]
    async with running.service.database.read() as connection:
        rows = (await connection.execute(select(lineage_links))).all()
    assert [(row.chain, row.relation, row.to_chain) for row in rows] == [("O-2", "split_from", "O-1")]


async def test_so_many_chains_hang_together(running: Counted) -> None:
    """One more than that is refused, and says so; all within one list and over several."""
    await done(running, step("execute", "ana", "O-0"))
    bodies = [step("execute", "ben", f"O-{number}", "O-0") for number in range(1, MAX_CHAINS)]
    assert set(await running.outcome(*bodies)) == {"permit"}
    refused = await running.ask(step("execute", "ben", f"O-{MAX_CHAINS}", "O-7"))
    assert rules_of(refused) == {"lineage_too_large"}
    assert await running.outcome(step("settle", "cai", "O-7")) == "permit"
    assert await running.outcome(step("settle", "dee", "O-0")) == "permit"


async def test_a_list_sees_its_own_links(running: Counted) -> None:
    """What one request of a list links, the next ones count."""
    told = await running.ask(
        step("capture", "ana", "O-1"),
        step("execute", "ben", "O-2", "O-1"),
        step("execute", "ben", "O-3", "O-2"),
        step("approve", "ana", "O-3"),
        step("approve", "ana", "O-1"),
        step("capture", "ben", "O-4"),
        step("settle", "cai", "O-5", "O-4", "O-3", relation="merged_from"),
        step("approve", "ben", "O-1"),
    )
    assert [item["outcome"] for item in told] == ["permit"] * 3 + ["deny"] * 2 + ["permit"] * 2 + ["deny"]


# --- Supervisors ------------------------------------------------------------------------------------------


async def test_a_supervisor_is_no_party_to_the_line(running: Counted) -> None:
    """Whoever had a hand in what the chain comes from approves nothing on it."""
    await done(running, step("execute", "sara.super", "O-1"), step("capture", "ana", "O-2", "O-1"))
    await done(running, step("execute", "ana", "O-2"))
    held = await running.ask(step("settle", "ana", "O-2"))
    assert rules_of(held) == {"few_hands"}
    with pytest.raises(Conflict) as caught:
        await running.approve(held, "supervisor1")
    assert caught.value.errors[0].code == "party_to_chain"
    await running.approve(held, "supervisor2")
    assert await running.outcome(step("settle", "ana", "O-2")) == "permit"


async def test_an_approval_is_for_the_links_that_it_was_given_for(running: Counted) -> None:
    """It clears neither the same step with other links, nor one that the approver is a party to then."""
    await done(running, *(step(name, "ana", "O-1") for name in ("capture", "execute")))
    await done(running, step("capture", "sara.super", "O-7"))
    held = await running.ask(step("settle", "ana", "O-2", "O-1"))
    assert rules_of(held) == {"few_hands"}
    await running.approve(held, "supervisor1")
    assert await running.outcome(step("settle", "ana", "O-2", "O-1", "O-7")) == "review"
    assert await running.outcome(step("settle", "ana", "O-2", "O-1")) == "permit"


async def test_the_ledger_shows_all_of_it(running: Counted) -> None:
    """The verifier follows the links by itself and finds every duty kept."""
    await done(
        running,
        step("capture", "ana", "O-1"),
        step("capture", "ben", "O-2", "O-1"),
        step("execute", "cai", "O-3", "O-2", "O-1", relation="merged_from"),
        step("allocate", "ana", "A-1", "O-3", relation="allocation_of"),
        step("approve", "dee", "O-3"),
    )
    report = await verified(running)
    assert report.problems == []
    assert report.verified


async def test_what_was_done_is_told_over_the_line(running: Counted) -> None:
    """Under rules that allowed it then: the analysis measures by the rules that it is given."""
    apart = "- id: apart\n  kind: separate\n  steps: [capture, approve]\n  then: deny\n"
    await running.activate(RULES, lineage=lambda text: text.replace(apart, "", 1))
    await done(running, step("capture", "ana", "O-1"), step("capture", "ben", "O-2", "O-1"))
    await done(running, step("approve", "ana", "O-2"), step("approve", "cai", "O-1"))
    rules = compile_release(read_rule_files(RULES))
    tenant = running.desk.settings.tenant
    found = await examine_ledger(running.service.database, tenant, now=START, release=rules)
    assert found.breaches is not None
    (breach,) = [item for item in found.breaches if item.constraint.id == "apart"]
    assert (breach.person, breach.chain) == ("p-05", "O-2")
    assert [(act.chain, act.step) for act in breach.acts] == [("O-1", "capture"), ("O-2", "approve")]
