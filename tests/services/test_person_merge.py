"""Two persons found to be one: united histories, open chains looked at again, and nobody's own doing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from controls.bootstrap import read_rule_files
from controls.ledger.verifier import Key, Verification
from controls.model.errors import ControlsError
from controls.rules.release import compile_release
from controls.services.administration import Confirm, Propose
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.person_merge import PersonMerge
from controls.services.reviews import Resolution, Resolve
from controls.services.service import Service
from tests.desk import DESK_RULES, Desk, activation_of, an_order, ask, start_desk, submit
from tests.ledger.test_verifier_on_a_desk import exported
from tests.rules.rule_sets import FIXTURES

# For the rules of `fixtures/rules/lineage`, where every hand may take every step.
HANDS = """\
person,name,account,roles
p-01,Alma Arce,alma.admin,administrator
p-02,Blas Bueno,blas.admin,administrator
p-03,Sara Sanz,sara.super,supervisor
p-05,Ana Amor,ana,hand
p-06,Ben Bravo,ben,hand
p-07,Cai Cano,cai,hand
p-08,Dee Duro,dee,hand
"""


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(tmp_path, database_url=migrated_database_url)


@pytest.fixture
async def service(desk: Desk) -> AsyncIterator[Service]:
    running = desk.build()
    await running.start()
    yield running
    await running.close()


async def proposed(service: Service, desk: Desk, change: Any, *, key: str = "admin1") -> str:
    command = Propose(service.new_id("chg"), service.new_id("change"), desk.key_ids[key], change)
    return str((await submit(service, command))["change"])


async def confirmed(service: Service, desk: Desk, change: str, *, key: str = "admin2") -> Any:
    command = Confirm(service.new_id("chg"), desk.key_ids[key], change)
    command.prepared = await service.releases.prepared(change)
    command.merging = await service.changes.merging(change)
    return await submit(service, command)


async def merged(service: Service, desk: Desk, person: str, into: str) -> Any:
    return await confirmed(service, desk, await proposed(service, desk, PersonMerge(person, into)))


async def asked(service: Service, desk: Desk, action: str, login: str, order: Any) -> Any:
    return await submit(service, desk.decide(ask(action, login, order)))


async def done(service: Service, desk: Desk, action: str, login: str, order: Any) -> Any:
    answer = await asked(service, desk, action, login, order)
    assert answer["outcome"] == "permit", answer
    report = ReportOutcome(service.new_id("out"), desk.key_ids["caller"], answer["id"], Reported.PERFORMED)
    await submit(service, report)
    return answer


def rules(answer: Any) -> list[str]:
    return [finding["rule"] for finding in answer["findings"]]


async def verified(desk: Desk) -> Any:
    report = Verification([Key.of(desk.vkey)]).run((await exported(desk)).splitlines(keepends=True))
    assert report.problems == []
    return report


async def test_what_two_persons_did_is_one_person_s(service: Service, desk: Desk) -> None:
    """The survivor's duties count both histories at once, whichever account asks; the ledger still verifies
    and a service starts on it."""
    order = an_order()
    await done(service, desk, "capture", "tina.trader", order)
    other = an_order()
    await done(service, desk, "capture", "tomas.trader", other)
    change = DirectoryChange(read_directory("person,account,roles\np-05,tina.trader,risk_officer\n"))
    await confirmed(service, desk, await proposed(service, desk, change))
    assert (await asked(service, desk, "approve", "tina.trader", order))["outcome"] == "deny"
    await merged(service, desk, "p-06", "p-05")
    refused = await asked(service, desk, "approve", "tina.trader", other)
    assert "maker_checker" in rules(refused)
    again = await asked(service, desk, "approve", "tomas.trader", order)
    assert "maker_checker" in rules(again)
    acts = (await service.queries.chain(other["id"], kind=None))["acts"]
    assert [act["person"] for act in acts] == ["p-05"]  # type: ignore[call-overload, index, union-attr]
    assert (await verified(desk)).merged == 1
    replica = desk.build()
    await replica.start()
    assert (await replica.snapshot())[1].survivor("p-06") == "p-05"
    await replica.close()


async def test_the_one_who_goes_has_nothing_in_force_and_the_logins_stay(
    service: Service, desk: Desk
) -> None:
    """Roles are not taken over, so nobody holds by a merge what nobody would be granted."""
    await merged(service, desk, "p-07", "p-05")  # a risk officer is found to be a trader
    _, directory = await service.snapshot()
    at = service.now()
    assert directory.roles("p-07", at=at) == frozenset()
    assert not directory.available("p-07", at=at)
    account = directory.account("rita.risk", at=at)
    assert account is not None
    assert (account.person.id, account.person.roles) == ("p-05", {"trader"})
    assert "no_grant" in rules(await asked(service, desk, "approve", "rita.risk", an_order()))
    again = DirectoryChange(read_directory("person,account,roles\np-07,rita.risk,risk_officer\n"))
    with pytest.raises(ControlsError) as refused:
        await proposed(service, desk, again)
    assert {error.code for error in refused.value.errors} >= {"person_merged"}


async def test_open_chains_that_both_have_acted_on_are_looked_at_again(service: Service, desk: Desk) -> None:
    """A case for each on which the two together break a constraint; of the others nothing is said."""
    broken, apart = an_order(), an_order()
    for order in (broken, apart):
        await done(service, desk, "capture", "tina.trader", order)
    await done(service, desk, "approve", "rita.risk", broken)
    await done(service, desk, "approve", "raul.risk", apart)
    told = await merged(service, desk, "p-07", "p-05")
    (case,) = (await service.queries.reviews(state="open", limit=50, cursor=None))["reviews"]  # type: ignore[misc]
    assert isinstance(case, dict)
    assert (case["kind"], case["person"]) == ("merge", "p-05")
    assert case["resource"] == {"type": "order", "id": broken["id"]}
    reasons = case["reasons"]
    assert isinstance(reasons, list)
    assert [reason["rule"] for reason in reasons if isinstance(reason, dict)] == ["maker_checker"]
    assert "p-07 was found to be p-05" in str(reasons)
    index = told["receipt"]["index"]
    entry = (await service.queries.entry(index))["entry"]
    assert isinstance(entry, dict)
    assert (entry["merges"], entry["chains"]) == ({"person": "p-07", "into": "p-05"}, 1)
    resolve = Resolve(
        service.new_id("res"), desk.key_ids["supervisor1"], str(case["id"]), Resolution.APPROVE, "looked at"
    )
    assert (await submit(service, resolve))["state"] == "approved"
    await verified(desk)


async def test_lines_on_which_both_have_acted_are_looked_at_again(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """One captured the block, the other approved what became of it: a case for the open chain, once."""
    desk = start_desk(
        tmp_path, database_url=migrated_database_url, rules=FIXTURES / "lineage", directory=HANDS
    )
    service = desk.build()
    await service.start()
    try:
        block, half, other = (an_order(lineage=links) for links in (None, [], []))
        for child in (half, other):
            child["properties"]["lineage"] = [{"relation": "split_from", "id": block["id"]}]
        await done(service, desk, "capture", "ana", block)
        await done(service, desk, "capture", "cai", half)
        await done(service, desk, "approve", "ben", half)
        await done(service, desk, "capture", "ben", other)
        await merged(service, desk, "p-06", "p-05")
        (case,) = (await service.queries.reviews(state="open", limit=50, cursor=None))["reviews"]  # type: ignore[misc]
        assert isinstance(case, dict)
        assert (case["kind"], case["person"], case["action"]) == ("merge", "p-05", "approve")
        assert case["resource"] == {"type": "order", "id": half["id"]}
        (reason,) = case["reasons"]  # type: ignore[misc]
        assert isinstance(reason, dict)
        assert reason["rule"] == "apart"
        said = f"acted on capture, approve, on {half['id']} and the chains that hang together with it"
        assert said in reason["message"]["en"]  # type: ignore[call-overload, index, operator]
        resolve = Resolve(
            service.new_id("res"), desk.key_ids["supervisor1"], str(case["id"]), Resolution.REJECT, "seen"
        )
        assert (await submit(service, resolve))["state"] == "rejected"
        assert "apart" in rules(await asked(service, desk, "approve", "ana", other))
        await done(service, desk, "execute", "dee", half)
    finally:
        await service.close()
    await verified(desk)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ('order.notional > "1000.00 EUR"', "applies"),
        ('order.notional > "10000001.00 EUR"', ""),
        ('account.open_exposure > "1.00 EUR"', "untold"),  # not material: nothing of it is on record
    ],
)
async def test_a_constraint_with_a_condition_is_looked_at_by_the_facts_on_record(
    service: Service, desk: Desk, when: str, told: str
) -> None:
    """A case where it applied or may have; none where the record says that it did not."""
    files = dict(read_rule_files(DESK_RULES))
    name = next(file for file in files if file.startswith("duties/"))
    files[name] = files[name].replace('order.notional > "10000000.00 EUR"', when)
    change = await activation_of(service, compile_release(files))
    await confirmed(service, desk, await proposed(service, desk, change))
    order = an_order()
    for action, login in (
        ("capture", "tina.trader"),
        ("approve", "rita.risk"),
        ("execute", "tina.trader"),
        ("allocate", "mara.middle"),
        ("confirm", "mara.middle"),
        ("instruct", "clara.clerk"),
    ):
        await done(service, desk, action, login, order)
    await merged(service, desk, "p-11", "p-09")
    cases: Any = (await service.queries.reviews(state="open", limit=50, cursor=None))["reviews"]
    found = [(reason["rule"], reason["message"]) for case in cases for reason in case["reasons"]]
    assert [rule for rule, _ in found] == (["large_orders_apart"] if told else [])
    for _, message in found:
        assert "acted on confirm, instruct: large_orders_apart does not allow it" in message["en"]
        assert ("could not be told from the record" in message["en"]) is (told == "untold")
        assert ("No se ha podido saber por el registro" in message["es"]) is (told == "untold")
    await verified(desk)


@pytest.mark.parametrize(
    ("rule", "acted"),
    [
        ("kind: at_least, steps: [capture, approve, allocate], min: 3", "capture, approve"),
        ("kind: coalition, steps: [capture, approve, allocate], people: 3", "capture, approve"),
        ("kind: relation, steps: [capture, approve], differ: [department]", "capture, approve"),
    ],
)
async def test_constraints_that_somebody_else_s_act_would_break_are_looked_at_too(
    service: Service, desk: Desk, rule: str, acted: str
) -> None:
    """Too few persons are told of whoever acted last; and who is one person is of one department."""
    files = dict(read_rule_files(DESK_RULES))
    name = next(file for file in files if file.startswith("duties/"))
    files[name] += f"- {{id: few, {rule}, then: deny}}\n"
    change = await activation_of(service, compile_release(files))
    await confirmed(service, desk, await proposed(service, desk, change))
    rows = (
        "person,account,roles,department\n"
        "p-06,tomas.trader,trader,front\np-07,rita.risk,risk_officer,middle\n"
    )
    known = DirectoryChange(read_directory(rows))
    await confirmed(service, desk, await proposed(service, desk, known))
    order = an_order()
    for action, login in (
        ("capture", "tomas.trader"),
        ("approve", "rita.risk"),
        ("execute", "tina.trader"),
        ("allocate", "mara.middle"),
    ):
        await done(service, desk, action, login, order)
    await merged(service, desk, "p-07", "p-06")
    cases: Any = (await service.queries.reviews(state="open", limit=50, cursor=None))["reviews"]
    told = {reason["rule"]: reason["message"]["en"] for case in cases for reason in case["reasons"]}
    assert "few" in told
    assert f"has acted on {acted}: few does not allow it" in told["few"]
    await verified(desk)


async def test_a_finished_chain_is_left_to_the_analysis(service: Service, desk: Desk) -> None:
    """Nothing can be done about it any more but to know it, which `controls duties analyse` tells."""
    order = an_order()
    for action, login in (
        ("capture", "tina.trader"),
        ("approve", "rita.risk"),
        ("execute", "tina.trader"),
        ("allocate", "mara.middle"),
        ("confirm", "mara.middle"),
        ("instruct", "clara.clerk"),
        ("settle", "clara.clerk"),
        ("reconcile", "rosa.recon"),
    ):
        await done(service, desk, action, login, order)
    told = await merged(service, desk, "p-07", "p-05")
    assert (await service.queries.reviews(state="open", limit=50, cursor=None))["reviews"] == []
    assert told["state"] == "confirmed"
    await verified(desk)


async def test_of_two_votes_of_one_person_the_later_is_void(service: Service, desk: Desk) -> None:
    """The step takes another one's vote, which the survivor cannot give again."""
    files = dict(read_rule_files(DESK_RULES))
    name = next(file for file in files if file.startswith("duties/"))
    files[name] += "- {id: two_votes, kind: votes, step: approve, votes: 2, then: deny}\n"
    change = await activation_of(service, compile_release(files))
    await confirmed(service, desk, await proposed(service, desk, change))
    order = an_order()
    await done(service, desk, "capture", "tina.trader", order)
    for login in ("rita.risk", "raul.risk"):
        await done(service, desk, "approve", login, order)
    await merged(service, desk, "p-08", "p-07")
    acts = (await service.queries.chain(order["id"], kind=None))["acts"]
    found = [(act["step"], act["person"], act["state"]) for act in acts]  # type: ignore[call-overload, index, union-attr]
    assert found == [
        ("capture", "p-05", "performed"),
        ("approve", "p-07", "performed"),
        ("approve", "p-07", "void"),
    ]
    assert (await asked(service, desk, "execute", "tina.trader", order))["outcome"] == "deny"
    assert (await asked(service, desk, "approve", "raul.risk", order))["outcome"] == "deny"
    await verified(desk)


async def test_who_is_found_to_have_done_a_whole_chain_may_do_what_is_beside_it(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """A step that the chain does not need breaks nothing, and the verifier says so too."""
    rules = Path(copytree(FIXTURES / "lineage", tmp_path / "rules"))
    chain = rules / "chains" / "allocation.yaml"
    copying = "  - {id: copy, optional: true, title: {en: Copy, es: Copia}}\n"
    chain.write_text(chain.read_text("utf-8") + copying, "utf-8")
    roles = rules / "roles.yaml"
    roles.write_text(roles.read_text("utf-8").replace("[allocate, ", "[copy, allocate, "), "utf-8")
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url, rules=rules, directory=HANDS)
    service = desk.build()
    await service.start()
    try:
        lot = {"type": "allocation", "id": "A-1", "properties": {}}
        await done(service, desk, "allocate", "ana", lot)
        await done(service, desk, "confirm", "ben", lot)
        await merged(service, desk, "p-06", "p-05")
        await done(service, desk, "copy", "ana", lot)
    finally:
        await service.close()
    await verified(desk)


async def test_nobody_s_own_approval_counts_once_the_two_are_one(service: Service, desk: Desk) -> None:
    """An approval that was given, not used yet, and turns out to be of the person who asks, is none."""
    large = an_order(notional="6000000.00 EUR")
    held = await asked(service, desk, "capture", "tina.trader", large)
    resolve = Resolve(
        service.new_id("res"), desk.key_ids["supervisor1"], held["review"]["id"], Resolution.APPROVE, "fine"
    )
    await submit(service, resolve)
    await merged(service, desk, "p-03", "p-05")
    again = await asked(service, desk, "capture", "tina.trader", large)
    assert again["outcome"] != "permit"
    await verified(desk)


async def test_nobody_has_a_hand_in_the_own_merge(service: Service, desk: Desk) -> None:
    """Neither proposing nor confirming; and two administrators are left."""
    rows = "p-90,Aida,aida.admin,administrator\np-91,Abel,abel.admin,administrator\n"
    more = DirectoryChange(read_directory("person,name,account,roles\n" + rows))
    await confirmed(service, desk, await proposed(service, desk, more))
    with pytest.raises(ControlsError) as refused:
        await proposed(service, desk, PersonMerge("p-01", "p-90"))
    assert refused.value.code == "own_merge"
    change = await proposed(service, desk, PersonMerge("p-90", "p-02"))
    with pytest.raises(ControlsError) as refused:
        await confirmed(service, desk, change)
    assert refused.value.code == "own_merge"


@pytest.mark.parametrize(
    ("person", "into", "codes"),
    [
        ("p-404", "p-05", ["person_unknown"]),
        ("p-05", "p-404", ["person_unknown"]),
        ("p-05", "p-05", ["same_person"]),
        ("p-04", "p-08", ["person_merged"]),
        ("p-08", "p-04", ["person_merged"]),
        ("p-02", "p-05", ["too_few_administrators"]),
    ],
)
async def test_what_cannot_be_merged_is_refused(
    service: Service, desk: Desk, person: str, into: str, codes: list[str]
) -> None:
    """Strangers, one and the same, who is somebody else already, the last administrators."""
    await merged(service, desk, "p-04", "p-03")
    with pytest.raises(ControlsError) as refused:
        await proposed(service, desk, PersonMerge(person, into))
    assert [error.code for error in refused.value.errors] == codes


async def test_a_merge_that_was_not_looked_up_is_not_confirmed(service: Service, desk: Desk) -> None:
    """Else the chains of both would not be read under the lock."""
    change = await proposed(service, desk, PersonMerge("p-06", "p-05"))
    command = Confirm(service.new_id("chg"), desk.key_ids["admin2"], change)
    with pytest.raises(ControlsError) as refused:
        await submit(service, command)
    assert refused.value.code == "merge_not_prepared"


async def test_persons_are_merged_one_after_the_other(service: Service, desk: Desk) -> None:
    """Whoever was merged into somebody who is merged is the last of them; superiors follow."""
    under = DirectoryChange(
        read_directory("person,account,roles,reports_to\np-09,mara.middle,middle_office,p-06\n")
    )
    await confirmed(service, desk, await proposed(service, desk, under))
    await merged(service, desk, "p-06", "p-05")
    await merged(service, desk, "p-05", "p-14")
    _, directory = await service.snapshot()
    assert (directory.survivor("p-06"), directory.survivor("p-05")) == ("p-14", "p-14")
    assert directory.profiles(at=service.now())["p-09"].reports_to == "p-14"
    account = directory.account("tomas.trader", at=service.now())
    assert account is not None
    assert account.person.id == "p-14"
    assert (await verified(desk)).merged == 2
