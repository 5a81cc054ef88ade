"""No approval strands a chain: whoever is needed for a step to come leaves approving to somebody else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from controls.model.errors import Conflict
from controls.services.identifiers import new_id
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.reviews import Resolution, Resolve
from controls.services.service import Service
from tests.desk import DESK_KEYS, DESK_RULES, Desk, KeySpec, an_order, ask, start_desk, submit

# Clara is the only clerk, and supervises. Large orders are confirmed and instructed by different persons.
PEOPLE = """\
person,name,account,roles
p-01,Alma Arce,alma.admin,administrator
p-02,Blas Bueno,blas.admin,administrator
p-03,Sara Sanz,sara.super,supervisor
p-04,Saul Soto,saul.super,supervisor
p-05,Tina Toro,tina.trader,trader
p-07,Rita Rey,rita.risk,risk_officer
p-11,Clara Cano,clara.clerk,settlement_clerk;supervisor
p-13,Rosa Roca,rosa.recon,reconciler
p-14,Hugo Haro,hugo.head,trader;middle_office
"""
KEYS = {**DESK_KEYS, "clara": KeySpec(("review", "read"), account="clara.clerk")}


APART = """
- {id: month_apart, kind: separate, steps: [confirm, instruct], scope: account, within: P30D, then: deny}
"""


def a_desk(folder: Path, url: str, *, people: str = PEOPLE, more: str = "") -> Desk:
    rules = Path(shutil.copytree(DESK_RULES, folder / "rules"))
    if more:
        (rules / "duties" / "more.yaml").write_text(more, "utf-8")
    for file in (rules / "duties").glob("*.yaml"):
        file.write_text(file.read_text("utf-8").replace('"10000000.00 EUR"', '"1000000.00 EUR"'), "utf-8")
    return start_desk(folder, database_url=url, rules=rules, directory=people, keys=KEYS)


async def approved(service: Service, desk: Desk, answer: dict[str, Any], key: str) -> dict[str, Any]:
    case = answer["review"]["id"]
    resolve = Resolve(new_id("res"), desk.key_ids[key], case, Resolution.APPROVE, "seen")
    told: dict[str, Any] = await submit(service, resolve)
    return told


async def up_to_confirm(service: Service, desk: Desk, order: dict[str, Any]) -> dict[str, Any]:
    """Hugo does most of it, so that confirming is held; the answer to that."""
    for action, login in (
        *(("capture", "hugo.head"), ("approve", "rita.risk"), ("execute", "hugo.head")),
        ("allocate", "hugo.head"),
    ):
        answer = await submit(service, desk.decide(ask(action, login, order)))
        if answer["outcome"] == "review":
            await approved(service, desk, answer, "supervisor1")
            answer = await submit(service, desk.decide(ask(action, login, order)))
        assert answer["outcome"] == "permit", answer["findings"]
        done = ReportOutcome(new_id("out"), desk.key_ids["caller"], answer["id"], Reported.PERFORMED)
        await submit(service, done)
    held: dict[str, Any] = await submit(service, desk.decide(ask("confirm", "hugo.head", order)))
    assert [finding["rule"] for finding in held["findings"]] == ["few_hands"]
    return held


async def test_who_is_needed_later_does_not_approve(tmp_path: Path, migrated_sqlite_url: str) -> None:
    """The refusal says for which step, in both languages; another supervisor approves it, and it goes on."""
    desk = a_desk(tmp_path, migrated_sqlite_url)
    service = desk.build()
    await service.start()
    try:
        order = an_order()
        held = await up_to_confirm(service, desk, order)
        with pytest.raises(Conflict) as refused:
            await approved(service, desk, held, "clara")
        (error,) = refused.value.errors
        assert error.code == "would_strand"
        assert error.message == (
            "If p-11 approves Confirm, that counts as a hand in it. Those who are authorised and present "
            "could then not do what remains: Instruct. Let another supervisor approve it, or see that one "
            "more person is there with one of these roles: settlement_clerk."
        )
        await approved(service, desk, held, "supervisor2")
        again = await submit(service, desk.decide(ask("confirm", "hugo.head", order)))
        assert again["outcome"] == "permit"
    finally:
        await service.close()


async def test_who_is_one_of_several_approves(tmp_path: Path, migrated_sqlite_url: str) -> None:
    """With another clerk, Clara's hand in confirming keeps nobody from finishing."""
    people = PEOPLE + "p-12,Carlos Cid,carlos.clerk,settlement_clerk\n"
    desk = a_desk(tmp_path, migrated_sqlite_url, people=people)
    service = desk.build()
    await service.start()
    try:
        held = await up_to_confirm(service, desk, an_order())
        assert (await approved(service, desk, held, "clara"))["state"] == "approved"
    finally:
        await service.close()


async def test_a_chain_that_nobody_can_finish_anyway_is_approved_as_it_is(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """What is stranded without the approval is what the supervisor is asked about, and not the approver's
    doing."""
    people = PEOPLE.replace("p-13,Rosa Roca,rosa.recon,reconciler\n", "")
    desk = a_desk(tmp_path, migrated_sqlite_url, people=people)
    service = desk.build()
    await service.start()
    try:
        order = an_order()
        held = await submit(service, desk.decide(ask("capture", "hugo.head", order)))
        assert [finding["rule"] for finding in held["findings"]] == ["would_strand"]
        await approved(service, desk, held, "supervisor1")
        begun = await submit(service, desk.decide(ask("capture", "hugo.head", order)))
        key = desk.key_ids["caller"]
        await submit(service, ReportOutcome(new_id("out"), key, begun["id"], Reported.PERFORMED))
        held = await submit(service, desk.decide(ask("approve", "rita.risk", order)))
        assert [finding["rule"] for finding in held["findings"]] == ["would_strand"]
        assert (await approved(service, desk, held, "clara"))["state"] == "approved"
        assert (await submit(service, desk.decide(ask("approve", "rita.risk", order))))["outcome"] == "permit"
    finally:
        await service.close()


async def test_who_else_could_do_the_rest_is_known_beyond_the_chain(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """Carlos confirmed an order of the account and so instructs none there for a month: Clara is needed."""
    people = PEOPLE + "p-12,Carlos Cid,carlos.clerk,settlement_clerk;middle_office\n"
    desk = a_desk(tmp_path, migrated_sqlite_url, people=people, more=APART)
    service = desk.build()
    await service.start()
    try:
        elsewhere = await up_to_confirm(service, desk, an_order(account="A-200", quantity="2000"))
        assert (await approved(service, desk, elsewhere, "clara"))["state"] == "approved"
        earlier = an_order(quantity="2000")
        for action, login in (
            *(("capture", "tina.trader"), ("approve", "rita.risk"), ("execute", "tina.trader")),
            *(("allocate", "hugo.head"), ("confirm", "carlos.clerk")),
        ):
            answer = await submit(service, desk.decide(ask(action, login, earlier)))
            assert answer["outcome"] == "permit", answer["findings"]
            done = ReportOutcome(new_id("out"), desk.key_ids["caller"], answer["id"], Reported.PERFORMED)
            await submit(service, done)
        held = await up_to_confirm(service, desk, an_order())
        with pytest.raises(Conflict) as refused:
            await approved(service, desk, held, "clara")
        assert [error.code for error in refused.value.errors] == ["would_strand"]
        assert (await approved(service, desk, held, "supervisor2"))["state"] == "approved"
    finally:
        await service.close()
