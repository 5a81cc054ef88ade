"""Break-glass: what a second person may lift, for whom, how long, how often, and what follows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controls.bootstrap import read_rule_files
from controls.model.errors import ControlsError
from controls.model.values import microseconds, utc_text
from controls.rules.release import compile_release
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.exceptions import Exceptions
from controls.services.reviews import Resolution, Resolve
from tests.desk import DESK_RULES, activation_of, an_order, ask, submit
from tests.services.seats import Seat, rules, seated

FIRE = {"reason": "the risk desk is out", "minutes": 15}
BOTH = "person,account,roles\np-05,tina.trader,trader;risk_officer\np-14,hugo.head,head_of_desk;trader\n"


@pytest.fixture
async def seat(tmp_path: Path, migrated_database_url: str) -> AsyncIterator[Seat]:
    """A desk on which Tina may capture and approve, so that maker_checker denies her the second."""
    async with seated(tmp_path, migrated_database_url) as made:
        await made.confirmed(DirectoryChange(read_directory(BOTH)))
        yield made


async def asked(seat: Seat, order: Any, **more: Any) -> Any:
    """Tina asks to approve what she captured."""
    return await seat.asked("approve", "tina.trader", order, **more)


async def resolved(seat: Seat, review: str, key: str, resolution: Resolution = Resolution.APPROVE) -> Any:
    command = Resolve(seat.service.new_id("res"), seat.desk.key_ids[key], review, resolution, "looked at it")
    return await submit(seat.service, command)


async def begun(seat: Seat) -> dict[str, Any]:
    order = an_order()
    await seat.done("capture", "tina.trader", order)
    return order


async def authorised(seat: Seat, order: Any, **more: Any) -> str:
    """The case that a supervisor has approved."""
    answer = await asked(seat, order, break_glass=FIRE, **more)
    assert answer["outcome"] == "deny"
    await resolved(seat, answer["review"]["id"], "supervisor1")
    return str(answer["review"]["id"])


async def test_a_second_person_lifts_it_once_and_a_third_looks_at_it(seat: Seat) -> None:
    """From the denial to the review with its deadline; all of it on record and verified."""
    order = await begun(seat)
    assert "review" not in await asked(seat, order)
    held = await asked(seat, order, break_glass=FIRE)
    assert (held["outcome"], held["decision"], rules(held)) == ("deny", False, {"maker_checker"})
    case: Any = await seat.service.queries.review(held["review"]["id"])
    assert (case["kind"], case["person"], case["action"]) == ("break_glass", "p-05", "approve")
    assert "because: the risk desk is out" in case["reasons"][0]["message"]["en"]
    assert datetime.fromisoformat(case["due_at"]) == seat.clock.now + timedelta(minutes=15)
    again = await asked(seat, order, break_glass=FIRE)
    assert again["review"]["id"] == held["review"]["id"]
    await resolved(seat, held["review"]["id"], "supervisor1")
    assert (await asked(seat, order))["outcome"] == "deny"  # only who asks for it
    used = await asked(seat, order, break_glass=FIRE)
    assert used["outcome"] == "permit"
    assert [item["rule"] for item in used["approval"]["cleared"]] == ["maker_checker"]
    after: Any = await seat.service.queries.review(used["review"]["id"])
    assert (after["kind"], after["state"]) == ("exception", "open")
    assert datetime.fromisoformat(after["due_at"]) == seat.clock.now + timedelta(days=1)
    entry: Any = (await seat.service.queries.decision(used["id"]))["entry"]
    assert (entry["break_glass"], entry["request"]["break_glass"]) == (True, {"minutes": 15})
    assert "risk desk" not in json.dumps(entry)
    once_more = await asked(seat, order, break_glass=FIRE)
    assert once_more["outcome"] == "deny"
    with pytest.raises(ControlsError) as refused:  # who authorised it has a hand in the chain
        await resolved(seat, used["review"]["id"], "supervisor1")
    assert refused.value.code == "resolution_refused"
    told = await resolved(seat, used["review"]["id"], "supervisor2", Resolution.REJECT)
    follow: Any = await seat.service.queries.review(told["follow_up"])
    assert (follow["kind"], follow["follows"], "due_at" in follow) == (
        "follow_up",
        used["review"]["id"],
        False,
    )
    assert (await seat.verified()).exceptions == 1


async def test_it_lives_for_its_minutes(seat: Seat) -> None:
    """From when it was asked for: then it is neither authorised nor used, and another request is another
    case."""
    late, unused = await begun(seat), await begun(seat)
    held = await asked(seat, late, break_glass=FIRE)
    await authorised(seat, unused)
    seat.clock.now += timedelta(minutes=15) - timedelta(seconds=1)
    lapsing = await begun(seat)
    await authorised(seat, lapsing)
    assert (await asked(seat, lapsing, break_glass=FIRE))["outcome"] == "permit"
    seat.clock.now += timedelta(seconds=1)
    with pytest.raises(ControlsError) as refused:
        await resolved(seat, held["review"]["id"], "supervisor1")
    assert refused.value.code == "break_glass_lapsed"
    assert (await asked(seat, unused, break_glass=FIRE))["outcome"] == "deny"
    renewed = await asked(seat, late, break_glass=FIRE)
    assert renewed["review"]["id"] != held["review"]["id"]
    await resolved(seat, held["review"]["id"], "supervisor1", Resolution.REJECT)
    await resolved(seat, renewed["review"]["id"], "supervisor1")
    assert (await asked(seat, late, break_glass=FIRE))["outcome"] == "permit"
    await seat.verified()


async def test_it_is_for_one_chain_one_step_and_one_person(seat: Seat) -> None:
    """With the facts and findings that the supervisor saw; nothing of it carries over."""
    order, other = await begun(seat), await begun(seat)
    await authorised(seat, order)
    assert (await asked(seat, other, break_glass=FIRE))["outcome"] == "deny"
    assert (await asked(seat, order, break_glass=FIRE, notional="1.00 EUR"))["outcome"] == "deny"
    rita = await seat.asked("approve", "rita.risk", other, break_glass=FIRE)
    assert (rita["outcome"], "approval" in rita) == ("permit", False)
    assert (await asked(seat, order, break_glass=FIRE))["outcome"] == "permit"
    await seat.verified()


async def test_neither_the_person_nor_a_party_nor_just_anybody_authorises(seat: Seat) -> None:
    """A supervisor who has no hand in the chain, and is somebody else than who asks."""
    order = an_order()
    await seat.done("capture", "hugo.head", order)
    both = "person,account,roles\np-14,hugo.head,head_of_desk;trader;risk_officer\n"
    await seat.confirmed(DirectoryChange(read_directory(both)))
    held = await seat.asked("approve", "hugo.head", order, break_glass=FIRE)
    for key in ("head", "admin1", "caller"):
        with pytest.raises(ControlsError) as refused:
            await resolved(seat, held["review"]["id"], key)
        assert refused.value.code in ("resolution_refused", "key_not_personal")
    tina = await begun(seat)
    seen = await asked(seat, tina, break_glass=FIRE)
    await resolved(seat, seen["review"]["id"], "head", Resolution.REJECT)
    assert (await asked(seat, tina, break_glass=FIRE))["outcome"] == "deny"


MAKER = "- {id: made, kind: separate, steps: [capture, approve], %s, then: deny}\n"
URGENT = "\n  order.urgent: {type: bool, label: {en: Urgent, es: Urgente}}\n"


@pytest.mark.parametrize(
    ("more", "action", "rule"),
    [
        ("absolute: true", "approve", "made"),
        ("when: order.urgent == true", "approve", "made"),
        ("", "settle", "no_grant"),
    ],
)
async def test_what_is_never_lifted(seat: Seat, more: str, action: str, rule: str) -> None:
    """An absolute constraint, one that is not known to apply, and what is no duty constraint: no case is
    opened, and the answer says what stands."""
    if more:
        files = dict(read_rule_files(DESK_RULES))
        files["vocabulary.yaml"] += URGENT
        name = next(file for file in files if file.startswith("duties/"))
        release = compile_release(files | {name: MAKER % more})
        await seat.confirmed(await activation_of(seat.service, release))
    answer = await seat.asked(action, "tina.trader", await begun(seat), break_glass=FIRE)
    assert answer["outcome"] == "deny"
    assert {rule, "break_glass_refused"} <= rules(answer)
    assert "review" not in answer
    told = next(item for item in answer["findings"] if item["rule"] == "break_glass_refused")
    assert rule in told["message"]["en"]
    assert rule in told["message"]["es"]


EVERYTHING = (
    "grants:\n"
    "  - {role: trader, resource: order, actions: [approve, allocate, confirm, instruct, settle, reconcile]}"
)


async def test_the_whole_chain_is_never_lifted(seat: Seat) -> None:
    """Nor the last step for the chain's only actor: both are built in and absolute."""
    files = dict(read_rule_files(DESK_RULES))
    del files[next(file for file in files if file.startswith("duties/"))]
    files["roles.yaml"] = files["roles.yaml"].replace("grants:", EVERYTHING)
    await seat.confirmed(await activation_of(seat.service, compile_release(files)))
    order = an_order()
    steps = ("capture", "approve", "execute", "allocate", "confirm", "instruct", "settle")
    for step in steps:
        await seat.done(step, "tina.trader", order)
    answer = await seat.asked("reconcile", "tina.trader", order, break_glass=FIRE)
    assert {"whole_chain", "sole_actor", "break_glass_refused"} <= rules(answer)
    assert "review" not in answer


async def test_a_review_beside_the_denial_is_lifted_with_it(seat: Seat) -> None:
    """The supervisor sees both; an opinion opens no case and is never a permit."""
    large = an_order(notional="6000000.00 EUR")
    capture = await seat.asked("capture", "tina.trader", large)
    await resolved(seat, capture["review"]["id"], "supervisor2")
    await seat.done("capture", "tina.trader", large)
    opinion = await asked(seat, large, break_glass=FIRE, context={"claim": False})
    assert (opinion["outcome"], "review" in opinion) == ("deny", False)
    held = await asked(seat, large, break_glass=FIRE)
    await resolved(seat, held["review"]["id"], "supervisor1")
    opinion = await asked(seat, large, break_glass=FIRE, context={"claim": False})
    assert opinion["outcome"] == "would_permit"
    assert (await asked(seat, large, break_glass=FIRE))["outcome"] == "permit"
    await seat.verified()


async def test_an_amendment_is_lifted_and_verified_as_what_it_counts_as(seat: Seat) -> None:
    """Whoever amends has a hand in what began the chain, and may have approved that; lifted, it verifies."""
    order = an_order()
    await seat.done("capture", "tomas.trader", order)
    await seat.done("approve", "tina.trader", order)
    changed = {"break_glass": FIRE, "quantity": "2000"}
    held = await seat.asked("amend", "tina.trader", order, **changed)
    assert (held["outcome"], rules(held)) == ("deny", {"maker_checker"})
    await resolved(seat, held["review"]["id"], "supervisor1")
    assert (await seat.asked("amend", "tina.trader", order, **changed))["outcome"] == "permit"
    assert (await seat.verified()).exceptions == 1


async def test_one_use_however_many_ask_at_once(seat: Seat) -> None:
    """Forty requests at two services: one permit, and one case to look at."""
    order = await begun(seat)
    await authorised(seat, order)
    other = seat.desk.build(clock=seat.clock)
    await other.start()
    try:
        commands = [
            seat.desk.decide(ask("approve", "tina.trader", order, break_glass=FIRE)) for _ in range(40)
        ]
        services = [seat.service, other] * 20
        told = await asyncio.gather(
            *(service.writer.submit(command) for service, command in zip(services, commands, strict=True))
        )
    finally:
        await other.close()
    answers = [json.loads(item) for item in told]
    assert [answer["outcome"] for answer in answers].count("permit") == 1
    cases: Any = (await seat.service.queries.reviews(state="open", limit=50, cursor=None))["reviews"]
    assert [case["kind"] for case in cases].count("exception") == 1
    assert (await seat.verified()).exceptions == 1


# -- the report --------------------------------------------------------------------------------------------


async def test_the_report_says_who_used_what_and_what_is_overdue(seat: Seat) -> None:
    """Newest first, page by page, with the deadline; what was looked at is not overdue."""
    report = Exceptions(seat.service.database, seat.service.tenant)
    at = microseconds(seat.clock.now)
    assert await report.page(at=at, limit=10) == {
        "at": utc_text(seat.clock.now),
        "overdue": 0,
        "exceptions": [],
    }
    delegation = await seat.delegated("p-06", "p-14", "capture")
    done = an_order()
    await seat.done("capture", "hugo.head", done, on_behalf_of="tomas.trader")
    seat.clock.now += timedelta(minutes=1)
    first, second, asked_for = await begun(seat), await begun(seat), await begun(seat)
    uses = []
    for order in (first, second):
        await authorised(seat, order)
        seat.clock.now += timedelta(minutes=1)
        uses.append(await asked(seat, order, break_glass=FIRE))
        seat.clock.now += timedelta(minutes=1)
    await asked(seat, asked_for, break_glass=FIRE)
    await resolved(seat, uses[0]["review"]["id"], "supervisor2")
    seat.clock.now += timedelta(days=2)
    at = microseconds(seat.clock.now)
    told: Any = await report.page(at=at, limit=50)
    assert told["overdue"] == 2
    rows = [
        (row["kind"], row["chain"]["id"], row.get("review", {}).get("state")) for row in told["exceptions"]
    ]
    assert rows == [
        ("break_glass_request", asked_for["id"], "lapsed"),
        ("break_glass", second["id"], "overdue"),
        ("break_glass_request", second["id"], "approved"),
        ("break_glass", first["id"], "approved"),
        ("break_glass_request", first["id"], "approved"),
        ("delegation", done["id"], "overdue"),
    ]
    use, acted = told["exceptions"][3], told["exceptions"][-1]
    assert (use["person"], use["authorised_by"], use["rules"]) == ("p-05", "p-03", ["maker_checker"])
    assert use["review"]["resolved_by"] == "p-04"
    assert (acted["person"], acted["on_behalf_of"], acted["delegation"]) == ("p-14", "p-06", delegation)
    pages: list[Any] = []
    cursor = None
    while True:
        page: Any = await report.page(at=at, limit=2, cursor=cursor)
        pages += page["exceptions"]
        cursor = page.get("next")
        if cursor is None:
            break
    assert pages == told["exceptions"]
