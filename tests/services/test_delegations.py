"""Acting for somebody else: by whose grants, for how long, and against whom it counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from controls.bootstrap import read_rule_files
from controls.model.errors import ControlsError, VerificationFailed
from controls.model.values import microseconds
from controls.rules.release import compile_release
from controls.services.delegations import LONGEST, DelegationEnd
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.exceptions import Exceptions
from controls.services.outcomes import Reported
from controls.services.person_merge import PersonMerge
from controls.services.reviews import Resolution, Resolve
from controls.store.tables import delegations
from tests.desk import DESK_RULES, activation_of, an_order, submit
from tests.services.seats import BEGUN, Seat, rules

# -- who may -----------------------------------------------------------------------------------------------


async def test_the_delegator_s_grant_authorises_and_both_are_on_record(seat: Seat) -> None:
    """Mara has no grant to settle; for Clara she has. The answer and the entry say who is accountable, the
    history has the act for both, and the ledger verifies."""
    delegation = await seat.delegated("p-11", "p-09", "settle")
    order = an_order()
    await seat.walked(order, *BEGUN)
    assert "no_grant" in rules(await seat.asked("settle", "mara.middle", order))
    answer = await seat.claimed("settle", "mara.middle", order, on_behalf_of="clara.clerk")
    told = answer["on_behalf_of"]
    assert (told["person"], told["delegation"]) == ("p-11", delegation)
    assert "p-09 acts on behalf of p-11, who is accountable" in told["reason"]["en"]
    assert "p-09 actúa en nombre de p-11, que responde de ello" in told["reason"]["es"]
    entry = (await seat.service.queries.decision(answer["id"]))["entry"]
    assert isinstance(entry, dict)
    said = entry["on_behalf_of"]
    assert isinstance(said, dict)
    assert (entry["person"], said["person"], said["delegation"]) == ("p-09", "p-11", delegation)
    acts: Any = (await seat.service.queries.chain(order["id"], kind=None))["acts"]
    found = [(act["step"], act["person"], act["capacity"], act["beside"]) for act in acts[-2:]]
    assert found == [("settle", "p-09", "actor", "p-11"), ("settle", "p-11", "principal", "p-09")]
    await seat.report(answer)
    assert (await seat.verified()).delegated == 1


async def test_only_the_delegated_steps_and_only_to_the_delegate(seat: Seat) -> None:
    """Another step, another person, the other way round, another chain kind's step: not delegated."""
    await seat.delegated("p-11", "p-09", "settle")
    order = an_order()
    await seat.walked(order, *BEGUN[:-1])
    for login, whom in (
        ("mara.middle", "clara.clerk"),
        ("mateo.middle", "clara.clerk"),
        ("mara.middle", "carlos.clerk"),
        ("clara.clerk", "mara.middle"),
    ):
        answer = await seat.asked("instruct", login, order, on_behalf_of=whom)
        assert answer["outcome"] == "deny"
        assert "no_delegation" in rules(answer)
    nobody = await seat.asked("instruct", "mara.middle", order, on_behalf_of="nobody.known")
    assert "unknown_principal" in rules(nobody)
    entry: Any = (await seat.service.queries.decision(nobody["id"]))["entry"]
    assert "hmac" in str(entry["request"]["properties"]["on_behalf_of"])
    assert "nobody.known" not in str(entry)
    plain = await seat.asked("read", "mara.middle", {"type": "record", "id": "r", "properties": {}})
    assert plain["outcome"] == "permit"
    record = {"type": "record", "id": "r", "properties": {}}
    held = await seat.asked("read", "mara.middle", record, on_behalf_of="clara.clerk")
    assert "no_delegation" in rules(held)


async def test_a_delegate_cannot_pass_it_on(seat: Seat) -> None:
    """A delegation rests on the delegator's own roles: what Mara holds for Clara is not hers to give, and
    nobody acts through two delegations."""
    await seat.delegated("p-11", "p-09", "settle")
    assert await seat.refused(seat.grant("p-09", "p-10", "settle")) == [("/steps", "not_own")]
    await seat.delegated("p-09", "p-08", "confirm")
    order = an_order()
    await seat.walked(order, *BEGUN)
    through = await seat.asked("settle", "raul.risk", order, on_behalf_of="clara.clerk")
    assert "no_delegation" in rules(through)


async def test_what_the_delegator_loses_the_delegate_loses(seat: Seat) -> None:
    """The grant is looked at when the step is asked for; so is whether both still are of record."""
    await seat.delegated("p-11", "p-09", "settle")
    order, other = an_order(), an_order()
    for one in (order, other):
        await seat.walked(one, *BEGUN)
    gone = DirectoryChange(read_directory("person,account,roles\np-11,clara.clerk,\n"))
    await seat.confirmed(gone)
    answer = await seat.asked("settle", "mara.middle", order, on_behalf_of="clara.clerk")
    assert "no_grant" in rules(answer)
    _, directory = await seat.service.snapshot()
    assert len(directory.people["p-11"].delegations) == 1  # a change of roles leaves it as it was


async def test_a_bot_acts_for_its_owner_and_names_who_is_accountable(seat: Seat) -> None:
    """It needs no delegation for that, and has none for anybody else."""
    order = an_order()
    answer = await seat.claimed("capture", "tina.bot", order, on_behalf_of="tina.trader")
    told = answer["on_behalf_of"]
    assert told["person"] == "p-05"
    assert "delegation" not in told
    assert "those of p-05, who is accountable" in told["reason"]["en"]
    acts: Any = (await seat.service.queries.chain(order["id"], kind=None))["acts"]
    assert [(act["person"], act["capacity"]) for act in acts] == [("p-05", "actor")]
    other = await seat.asked("capture", "tina.bot", an_order(), on_behalf_of="tomas.trader")
    assert "no_delegation" in rules(other)
    await seat.delegated("p-06", "p-05", "capture")
    now = await seat.claimed("capture", "tina.bot", an_order(), on_behalf_of="tomas.trader")
    assert now["on_behalf_of"]["person"] == "p-06"
    await seat.verified()


async def test_it_ends_at_its_time_and_when_it_is_revoked(seat: Seat) -> None:
    """Half-open: at the very moment of its end nothing is permitted by it any more."""
    end = seat.clock.now + timedelta(hours=2)
    first = await seat.delegated("p-05", "p-06", "capture", until=end)
    seat.clock.now = end - timedelta(microseconds=1)
    await seat.claimed("capture", "tomas.trader", an_order(), on_behalf_of="tina.trader")
    seat.clock.now = end
    late = await seat.asked("capture", "tomas.trader", an_order(), on_behalf_of="tina.trader")
    assert "no_delegation" in rules(late)
    with pytest.raises(ControlsError) as over:
        await seat.proposed(DelegationEnd(first))
    assert over.value.code == "delegation_over"
    second = await seat.delegated("p-05", "p-06", "capture")
    await seat.claimed("capture", "tomas.trader", an_order(), on_behalf_of="tina.trader")
    told = await seat.confirmed(DelegationEnd(second))
    assert told["kind"] == "delegation_end"
    after = await seat.asked("capture", "tomas.trader", an_order(), on_behalf_of="tina.trader")
    assert (after["outcome"], "no_delegation" in rules(after)) == ("deny", True)
    with pytest.raises(ControlsError) as unknown:
        await seat.proposed(DelegationEnd("dlg_unknown"))
    assert unknown.value.code == "delegation_unknown"
    await seat.verified()


# -- who may not be given it -------------------------------------------------------------------------------


async def test_what_could_break_a_constraint_is_not_delegated(seat: Seat) -> None:
    """Roles that exclude one another, steps that are kept apart, a whole chain, and too small a coalition."""
    assert await seat.refused(seat.grant("p-05", "p-11", "execute")) == [("/delegate", "exclusive_roles")]
    assert await seat.refused(seat.grant("p-05", "p-07", "capture")) == [("/delegate", "separate")]
    # Kept apart for large orders only: it could be one.
    assert await seat.refused(seat.grant("p-11", "p-09", "instruct")) == [("/delegate", "separate")]
    # With what somebody else has delegated already.
    await seat.delegated("p-11", "p-03", "instruct")
    assert await seat.refused(seat.grant("p-09", "p-03", "confirm")) == [("/delegate", "separate")]


async def test_a_whole_chain_and_too_few_persons_are_not_delegated(seat: Seat) -> None:
    """By the rules of a desk where everybody may do almost everything."""
    files = dict(read_rule_files(DESK_RULES))
    duty = next(file for file in files if file.startswith("duties/"))
    files[duty] = (
        "- {id: rings, kind: coalition, steps: [capture, approve, execute], people: 2, then: deny}\n"
        "- {id: few, kind: at_most, steps: [instruct, settle, reconcile], max: 2, then: deny}\n"
    )
    release = await activation_of(seat.service, compile_release(files))
    await seat.confirmed(release)
    # Tina may capture and execute; if she approved for Rita, one would do.
    assert await seat.refused(seat.grant("p-07", "p-05", "approve")) == [("/delegate", "coalition")]
    assert await seat.refused(seat.grant("p-13", "p-11", "reconcile")) == [("/delegate", "at_most")]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"person": "p-404"}, [("/person", "person_unknown")]),
        ({"delegate": "p-404"}, [("/delegate", "person_unknown")]),
        ({"delegate": "p-11"}, [("/delegate", "same_person")]),
        ({"chain": "no_chain"}, [("/chain", "unknown_chain_kind")]),
        ({"chain": "administration"}, [("/chain", "unknown_chain_kind")]),
        ({"steps": ("settle", "fly")}, [("/steps", "unknown_step")]),
        ({"steps": ()}, [("/steps", "bad_steps")]),
        ({"steps": ("settle", "settle")}, [("/steps", "bad_steps")]),
        ({"steps": ("capture",)}, [("/steps", "not_own")]),
        ({"reason": "  "}, [("/reason", "bad_reason")]),
        ({"reason": "x" * 501}, [("/reason", "bad_reason")]),
        ({"until": timedelta(0)}, [("/until", "until_passed")]),
        ({"until": LONGEST + timedelta(seconds=1)}, [("/until", "until_too_late")]),
    ],
)
async def test_what_is_wrong_with_a_delegation_is_named(
    seat: Seat, changed: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """Every mistake with its place."""
    said: dict[str, Any] = {"person": "p-11", "delegate": "p-09", "steps": ("settle",)} | changed
    if "until" in said:
        said["until"] = seat.clock.now + said["until"]
    grant = seat.grant(said.pop("person"), said.pop("delegate"), *said.pop("steps"), **said)
    assert await seat.refused(grant) == expected


async def test_nobody_gives_himself_or_herself_somebody_else_s_duties(seat: Seat) -> None:
    """The delegate has no hand in it, neither proposing nor confirming."""
    with pytest.raises(ControlsError) as refused:
        await seat.proposed(seat.grant("p-05", "p-01", "capture"))
    assert refused.value.code == "own_delegation"
    with pytest.raises(ControlsError) as refused:
        await seat.confirmed(seat.grant("p-05", "p-02", "capture"))
    assert refused.value.code == "own_delegation"


# -- whom it counts against --------------------------------------------------------------------------------


async def test_history_is_not_washed_by_delegates_and_bots(seat: Seat) -> None:
    """What Mara did for Clara is Clara's and Mara's: neither checks it, nor their bots, nor their delegates,
    whatever became of the act."""
    files = dict(read_rule_files(DESK_RULES))
    duty = next(file for file in files if file.startswith("duties/"))
    files[duty] = "- {id: four_eyes, kind: separate, steps: [settle, reconcile], then: deny}\n"
    files["roles.yaml"] = files["roles.yaml"].replace(
        "{role: reconciler, actions: [reconcile]", "{role: anyone, actions: [reconcile]"
    )
    await seat.confirmed(await activation_of(seat.service, compile_release(files)))
    bots = "person,account,kind,roles\np-11,clara.bot,bot,settlement_clerk\np-09,mara.bot,bot,middle_office\n"
    await seat.confirmed(DirectoryChange(read_directory(bots)))
    # Everybody may reconcile here, so nobody could be given settling who could not break it alone before.
    await seat.delegated("p-11", "p-12", "settle")
    await seat.delegated("p-11", "p-12", "reconcile")
    await seat.delegated("p-11", "p-13", "reconcile")
    order, abandoned = an_order(), an_order()
    for one in (order, abandoned):
        await seat.walked(one, *BEGUN)
    await seat.done("settle", "carlos.clerk", order, on_behalf_of="clara.clerk")
    gone = await seat.claimed("settle", "carlos.clerk", abandoned, on_behalf_of="clara.clerk")
    await seat.report(gone, Reported.ABANDONED)
    await seat.done("settle", "carlos.clerk", abandoned)  # by the own grant, afterwards
    for one in (order, abandoned):
        for login, whom in (
            ("carlos.clerk", ""),
            ("clara.clerk", ""),
            ("clara.bot", ""),
            ("clara.bot", "clara.clerk"),
            ("carlos.clerk", "clara.clerk"),
            ("rosa.recon", "clara.clerk"),
        ):
            answer = await seat.asked("reconcile", login, one, on_behalf_of=whom)
            assert answer["outcome"] == "deny", (login, whom)
            assert "four_eyes" in rules(answer), (login, whom)
    told = await seat.asked("reconcile", "clara.clerk", order)
    (finding,) = (item for item in told["findings"] if item["rule"] == "four_eyes")
    assert "on behalf of p-11 by p-12" in finding["message"]["en"]
    assert "en nombre de p-11 por p-12" in finding["message"]["es"]
    await seat.done("reconcile", "rosa.recon", order)
    await seat.verified()


async def test_one_vote_for_two_persons(seat: Seat) -> None:
    """A vote given for somebody is that person's as well: neither votes again, be it claimed or given."""
    files = dict(read_rule_files(DESK_RULES))
    duty = next(file for file in files if file.startswith("duties/"))
    files[duty] += "- {id: two_votes, kind: votes, step: approve, votes: 2, then: deny}\n"
    await seat.confirmed(await activation_of(seat.service, compile_release(files)))
    third = DirectoryChange(read_directory("person,name,account,roles\np-20,Remo,remo.risk,risk_officer\n"))
    await seat.confirmed(third)
    await seat.delegated("p-07", "p-08", "approve")
    order = an_order()
    await seat.walked(order, ("capture", "tina.trader"))
    vote = await seat.claimed("approve", "raul.risk", order, on_behalf_of="rita.risk")
    for login, whom in (("rita.risk", ""), ("raul.risk", "")):
        assert (await seat.asked("approve", login, order, on_behalf_of=whom))["outcome"] == "deny"
    again = await seat.claimed("approve", "raul.risk", order, on_behalf_of="rita.risk")
    assert again["claim"]["id"] == vote["claim"]["id"]
    await seat.report(vote)
    for login, whom in (("rita.risk", ""), ("raul.risk", ""), ("raul.risk", "rita.risk")):
        assert "already_performed" in rules(await seat.asked("approve", login, order, on_behalf_of=whom))
    assert "not_yet" in rules(await seat.asked("execute", "tina.trader", order))
    await seat.done("approve", "remo.risk", order)
    await seat.done("execute", "tina.trader", order)
    await seat.verified()


async def test_a_vote_given_for_somebody_who_voted_under_another_name(seat: Seat) -> None:
    """Found to be one, the two have one vote: the later one is void, and the step waits for somebody else."""
    files = dict(read_rule_files(DESK_RULES))
    duty = next(file for file in files if file.startswith("duties/"))
    files[duty] += "- {id: two_votes, kind: votes, step: approve, votes: 2, then: deny}\n"
    await seat.confirmed(await activation_of(seat.service, compile_release(files)))
    third = DirectoryChange(read_directory("person,name,account,roles\np-20,Remo,remo.risk,risk_officer\n"))
    await seat.confirmed(third)
    await seat.delegated("p-07", "p-08", "approve")
    order = an_order()
    await seat.walked(order, ("capture", "tina.trader"), ("approve", "remo.risk"))
    await seat.done("approve", "raul.risk", order, on_behalf_of="rita.risk")
    await seat.confirmed(PersonMerge("p-20", "p-07"))
    acts: Any = (await seat.service.queries.chain(order["id"], kind=None))["acts"]
    votes = [act["state"] for act in acts if (act["step"], act["capacity"]) == ("approve", "actor")]
    assert votes == ["performed", "void"]
    assert "not_yet" in rules(await seat.asked("execute", "tina.trader", order))
    await seat.done("approve", "raul.risk", order)
    await seat.done("execute", "tina.trader", order)
    await seat.verified()


async def test_a_claim_is_shared_only_by_who_made_it_for_the_same_person(seat: Seat) -> None:
    """Else an act that counts for two could be taken over by one, or for somebody who never delegated."""
    await seat.delegated("p-05", "p-06", "capture")
    order = an_order()
    first = await seat.claimed("capture", "tomas.trader", order, on_behalf_of="tina.trader")
    again = await seat.claimed("capture", "tomas.trader", order, on_behalf_of="tina.trader")
    assert again["claim"]["id"] == first["claim"]["id"]
    for login in ("tomas.trader", "tina.trader"):
        assert "claimed_by_other" in rules(await seat.asked("capture", login, order))
    await seat.report(first, Reported.ABANDONED)
    await seat.done("capture", "tina.trader", order)
    assert "already_performed" in rules(
        await seat.asked("capture", "tomas.trader", order, on_behalf_of="tina.trader")
    )
    await seat.verified()


async def test_a_review_of_a_delegate_is_resolved_by_neither_and_used_only_so(seat: Seat) -> None:
    """An approval binds for whom it was asked; and whoever is acted for is a party to it."""
    await seat.delegated("p-14", "p-06", "capture")
    large = an_order(notional="6000000.00 EUR")
    held = await seat.asked("capture", "tomas.trader", large, on_behalf_of="hugo.head")
    assert held["outcome"] == "review"
    by_hugo = Resolve(
        seat.service.new_id("res"),
        seat.desk.key_ids["head"],
        held["review"]["id"],
        Resolution.APPROVE,
        "my own",
    )
    with pytest.raises(ControlsError) as refused:
        await submit(seat.service, by_hugo)
    assert refused.value.code == "resolution_refused"
    assert (await seat.service.queries.review(held["review"]["id"]))["on_behalf_of"] == "p-14"
    resolve = Resolve(
        seat.service.new_id("res"),
        seat.desk.key_ids["supervisor1"],
        held["review"]["id"],
        Resolution.APPROVE,
        "looked at",
    )
    await submit(seat.service, resolve)
    assert (await seat.asked("capture", "tomas.trader", large))["outcome"] == "review"
    await seat.claimed("capture", "tomas.trader", large, on_behalf_of="hugo.head")
    await seat.verified()


async def test_a_delegate_who_is_found_to_be_the_delegator(seat: Seat) -> None:
    """What the two did for each other is one person's; nothing is left to act by."""
    await seat.delegated("p-05", "p-06", "capture")
    order = an_order()
    await seat.done("capture", "tomas.trader", order, on_behalf_of="tina.trader")
    await seat.confirmed(PersonMerge("p-06", "p-05"))
    acts: Any = (await seat.service.queries.chain(order["id"], kind=None))["acts"]
    assert [(act["person"], act.get("beside")) for act in acts] == [("p-05", None), ("p-05", None)]
    report = Exceptions(seat.service.database, seat.service.tenant)
    told: Any = await report.page(at=microseconds(seat.clock.now), limit=1)
    assert [(row["person"], row["on_behalf_of"]) for row in told["exceptions"]] == [("p-06", "p-05")]
    own = await seat.claimed("capture", "tomas.trader", an_order(), on_behalf_of="tina.trader")
    assert "review" not in own
    await seat.verified()


async def test_what_was_lent_under_another_name_counts_when_more_is_lent(seat: Seat) -> None:
    """What was delegated to the one who goes goes on for the one who stays, next to which nothing else may
    break a constraint."""
    await seat.delegated("p-07", "p-09", "approve")
    await seat.proposed(seat.grant("p-05", "p-10", "capture"))
    await seat.confirmed(PersonMerge("p-09", "p-10"))
    order = an_order()
    await seat.done("capture", "tina.trader", order)
    await seat.claimed("approve", "mateo.middle", order, on_behalf_of="rita.risk")
    assert await seat.refused(seat.grant("p-05", "p-10", "capture")) == [("/delegate", "separate")]
    await seat.verified()


async def test_a_role_that_excludes_what_was_lent_is_not_granted_either(seat: Seat) -> None:
    """Which of the two comes first does not matter; once the delegation is over the role can be granted."""
    given = await seat.delegated("p-11", "p-09", "settle")
    rows = "person,account,roles\np-09,mara.middle,middle_office;trader\n"
    assert await seat.refused(DirectoryChange(read_directory(rows))) == [("line 2", "exclusive_roles")]
    await seat.confirmed(DelegationEnd(given))
    await seat.confirmed(DirectoryChange(read_directory(rows)))
    assert await seat.refused(seat.grant("p-11", "p-09", "settle")) == [("/delegate", "exclusive_roles")]
    await seat.verified()


async def test_a_delegation_that_no_entry_made_permits_nothing(seat: Seat) -> None:
    """A row slipped into the table, or made to last longer, is found when the directory is read."""
    await seat.delegated("p-05", "p-06", "capture")
    async with seat.service.database.write() as connection:
        await connection.execute(update(delegations).values(valid_to=delegations.c.valid_to + 1))
    other = seat.desk.build(clock=seat.clock)
    with pytest.raises(VerificationFailed) as refused:
        await other.start()
    assert refused.value.code == "register_differs"
    await other.close()
