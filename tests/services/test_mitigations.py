"""Conflicts that are accepted for a time: what may be granted, what happens when the person acts in one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from controls.bootstrap import read_rule_files
from controls.model.errors import ControlsError
from controls.model.values import microseconds
from controls.rules.release import compile_release
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.exceptions import Exceptions
from controls.services.mitigations import LONGEST, Mitigation, MitigationEnd
from controls.services.person_merge import PersonMerge
from controls.services.reviews import Resolution, Resolve
from controls.store.tables import disclosures
from tests.desk import DESK_RULES, activation_of, an_order, submit
from tests.services.seats import BEGUN, Seat, rules

# Tina is to be a settlement clerk besides, which front_back excludes.
BOTH = "person,account,roles\np-05,tina.trader,trader;settlement_clerk\n"


def mitigation(seat: Seat, **changed: Any) -> Mitigation:
    said: dict[str, Any] = {
        "person": "p-05",
        "constraint": "front_back",
        "owner": "p-14",
        "control": "the head of desk reads every instruction of hers",
        "evidence": "the desk's log, weekly",
        "until": microseconds(seat.clock.now + timedelta(days=10)),
    }
    return Mitigation(**said | changed)


async def walked(seat: Seat) -> dict[str, Any]:
    """An order that others have brought to the instruction."""
    order = an_order()
    logins = {"tina.trader": "tomas.trader"}
    await seat.walked(order, *((step, logins.get(login, login)) for step, login in BEGUN[:-1]))
    return order


async def test_an_accepted_conflict_can_be_granted_and_each_act_in_it_is_looked_at(seat: Seat) -> None:
    """Refused without it; with it granted, and every permit opens a case of its own with a deadline."""
    grant = DirectoryChange(read_directory(BOTH))
    assert await seat.refused(grant) == [("line 2", "exclusive_roles")]
    told = await seat.confirmed(mitigation(seat))
    assert told["summary"].startswith("p-14 accepts that p-05 is in conflict with front_back until 20")
    await seat.confirmed(grant)
    cases = set()
    for _ in range(2):
        answer = await seat.done("instruct", "tina.trader", await walked(seat))
        (finding,) = (item for item in answer["findings"] if item["rule"] == "front_back")
        assert (finding["effect"], "This conflict is accepted" in finding["message"]["en"]) == ("flag", True)
        assert "Este conflicto está aceptado" in finding["message"]["es"]
        case: Any = await seat.service.queries.review(answer["review"]["id"])
        assert (case["kind"], case["state"]) == ("exception", "open")
        assert datetime.fromisoformat(case["due_at"]) == seat.clock.now + timedelta(days=1)
        cases.add(case["id"])
    assert len(cases) == 2
    order = await walked(seat)
    shared = [await seat.claimed("instruct", "tina.trader", order) for _ in range(2)]
    assert shared[0]["review"] == shared[1]["review"]
    await seat.report(shared[0])
    cases.add(shared[0]["review"]["id"])
    seat.clock.now += timedelta(days=1)
    report: Any = await Exceptions(seat.service.database, seat.service.tenant).page(
        at=microseconds(seat.clock.now), limit=10
    )
    assert report["overdue"] == len(cases) == 3
    assert {(row["kind"], row["person"], row["review"]["state"]) for row in report["exceptions"]} == {
        ("mitigation", "p-05", "overdue")
    }
    command = Resolve(
        seat.service.new_id("res"),
        seat.desk.key_ids["supervisor1"],
        min(cases),
        Resolution.APPROVE,
        "read the log",
    )
    assert (await submit(seat.service, command))["state"] == "approved"
    replica = seat.desk.build(clock=seat.clock)
    await replica.start()
    _, directory = await replica.snapshot()
    assert directory.people["p-05"].mitigations[0].evidence == "the desk's log, weekly"
    await replica.close()
    entry = await seat.service.queries.entry(told["receipt"]["index"])
    assert "weekly" not in str(entry["entry"])
    await seat.verified()


async def test_it_ends_at_its_time_and_when_it_is_ended(seat: Seat) -> None:
    """Then the constraint speaks as if there had been none; other constraints always did."""
    end = seat.clock.now + timedelta(hours=2)
    await seat.confirmed(mitigation(seat, until=microseconds(end)))
    await seat.confirmed(DirectoryChange(read_directory(BOTH)))
    early, late = await walked(seat), await walked(seat)
    seat.clock.now = end - timedelta(microseconds=1)
    await seat.claimed("instruct", "tina.trader", early)
    seat.clock.now = end
    answer = await seat.asked("instruct", "tina.trader", late)
    assert (answer["outcome"], "front_back" in rules(answer)) == ("deny", True)
    await seat.confirmed(mitigation(seat, until=microseconds(end + timedelta(days=1))))
    opinion = await seat.asked("instruct", "tina.trader", late, context={"claim": False})
    assert opinion["outcome"] == "would_permit"
    _, directory = await seat.service.snapshot()
    second = directory.people["p-05"].mitigations[-1].id
    await seat.confirmed(MitigationEnd(second))
    assert (await seat.asked("instruct", "tina.trader", late))["outcome"] == "deny"
    for id_, code in ((second, "mitigation_over"), ("mit_unknown", "mitigation_unknown")):
        with pytest.raises(ControlsError) as refused:
            await seat.proposed(MitigationEnd(id_))
        assert refused.value.code == code
    await seat.verified()


async def test_a_constraint_that_became_absolute_is_not_mitigated(seat: Seat) -> None:
    """Neither when it is proposed nor when the person acts under an older mitigation."""
    await seat.confirmed(mitigation(seat))
    await seat.confirmed(DirectoryChange(read_directory(BOTH)))
    files = dict(read_rule_files(DESK_RULES))
    name = next(file for file in files if file.startswith("duties/"))
    files[name] = files[name].replace("{id: front_back,", "{id: front_back, absolute: true,")
    await seat.confirmed(await activation_of(seat.service, compile_release(files)))
    answer = await seat.asked("instruct", "tina.trader", await walked(seat))
    assert (answer["outcome"], "front_back" in rules(answer)) == ("deny", True)
    assert await seat.refused(mitigation(seat)) == [("/constraint", "absolute")]


async def test_a_mitigated_delegate_counts_as_both_persons_allow(seat: Seat) -> None:
    """The delegate's own conflict may be accepted; then both are asked and the act has its case."""
    assert await seat.refused(seat.grant("p-11", "p-05", "instruct")) == [("/delegate", "exclusive_roles")]
    await seat.confirmed(mitigation(seat))
    await seat.delegated("p-11", "p-05", "instruct")
    answer = await seat.claimed("instruct", "tina.trader", await walked(seat), on_behalf_of="clara.clerk")
    assert {item["effect"] for item in answer["findings"] if item["rule"] == "front_back"} == {"flag"}
    case: Any = await seat.service.queries.review(answer["review"]["id"])
    assert (case["kind"], case["on_behalf_of"]) == ("exception", "p-11")
    assert [reason["rule"] for reason in case["reasons"]] == ["delegation", "front_back"]
    report: Any = await Exceptions(seat.service.database, seat.service.tenant).page(
        at=microseconds(seat.clock.now), limit=10
    )
    (row,) = report["exceptions"]
    assert (row["kind"], row["on_behalf_of"]) == ("mitigation", "p-11")
    assert row["delegation"] == answer["on_behalf_of"]["delegation"]
    await seat.verified()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"person": "p-404"}, [("/person", "person_unknown")]),
        ({"owner": "p-404"}, [("/owner", "person_unknown")]),
        ({"owner": "p-05"}, [("/owner", "same_person")]),
        ({"constraint": "nothing"}, [("/constraint", "unknown_constraint")]),
        ({"constraint": "maker_checker"}, [("/constraint", "not_mitigable")]),
        ({"control": " "}, [("/control", "bad_text")]),
        ({"evidence": "x" * 501}, [("/evidence", "bad_text")]),
        ({"until": 0}, [("/until", "until_passed")]),
        ({"until": timedelta(seconds=1)}, [("/until", "until_too_late")]),
    ],
)
async def test_what_is_wrong_with_a_mitigation_is_named(
    seat: Seat, changed: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """Every mistake with its place."""
    if isinstance(changed.get("until"), timedelta):
        changed = {"until": microseconds(seat.clock.now + LONGEST + changed["until"])}
    assert await seat.refused(mitigation(seat, **changed)) == expected


async def test_what_is_done_about_it_can_be_erased(seat: Seat) -> None:
    """Control and evidence are disclosed apart; the conflict is accepted all the same, as stands in clear."""
    told = await seat.confirmed(mitigation(seat))
    await seat.confirmed(DirectoryChange(read_directory(BOTH)))
    async with seat.service.database.write() as connection:
        await connection.execute(delete(disclosures).where(disclosures.c.index >= told["receipt"]["index"]))
    replica = seat.desk.build(clock=seat.clock)
    await replica.start()
    _, directory = await replica.snapshot()
    (kept,) = directory.people["p-05"].mitigations
    assert (kept.constraint, kept.owner, kept.control, kept.evidence) == ("front_back", "p-14", "", "")
    assert directory.mitigated("p-05", at=replica.now()) == {"front_back": kept.id}
    await replica.close()


async def test_nobody_accepts_the_own_conflict(seat: Seat) -> None:
    """Neither proposing nor confirming."""
    with pytest.raises(ControlsError) as refused:
        await seat.proposed(mitigation(seat, person="p-01"))
    assert refused.value.code == "own_mitigation"


async def test_who_is_found_to_be_the_owner_answers_for_nothing(seat: Seat) -> None:
    """Nobody answers for the own conflict, not even under another name: the merge ends it."""
    await seat.confirmed(mitigation(seat))
    await seat.confirmed(DirectoryChange(read_directory(BOTH)))
    order = await walked(seat)
    await seat.confirmed(PersonMerge("p-14", "p-05"))
    answer = await seat.asked("instruct", "tina.trader", order)
    assert (answer["outcome"], "front_back" in rules(answer)) == ("deny", True)
    replica = seat.desk.build(clock=seat.clock)
    await replica.start()
    _, directory = await replica.snapshot()
    assert directory.mitigated("p-05", at=microseconds(seat.clock.now)) == {}
    await replica.close()
    await seat.verified()
