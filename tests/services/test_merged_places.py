"""Two persons found to be one: what they broke beyond one chain, and what was delegated to them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from controls.bootstrap import read_rule_files
from controls.model.values import microseconds
from controls.rules.release import compile_release
from controls.services import person_merge
from controls.services.person_merge import PersonMerge
from controls.store import unit
from tests.desk import DESK_RULES, activation_of, an_order
from tests.services.seats import BEGUN, Seat, rules

APART = "- {id: apart, kind: separate, steps: [capture, approve], scope: %s, within: P30D, then: deny}\n"
FEW = "- {id: few, kind: at_most, steps: [capture], scope: account, max: 2, then: deny}\n"
WALL = (
    "- {id: wall, kind: chinese_wall, class: order.account, dataset: order.instrument, within: P30D, "
    "then: deny}\n"
)
OTHER = "ES0000099999"


async def ruled(seat: Seat, duties: str) -> None:
    """Put other duties in the place of those of the desk."""
    files = dict(read_rule_files(DESK_RULES))
    files[next(file for file in files if file.startswith("duties/"))] = duties
    await seat.confirmed(await activation_of(seat.service, compile_release(files)))


async def cases(seat: Seat) -> dict[str, Any]:
    """The cases of merges, by their chains."""
    page: Any = await seat.service.queries.reviews(state="open", limit=50, cursor=None)
    found = [case for case in page["reviews"] if case["kind"] == "merge"]
    return {case["resource"]["id"]: case for case in found}


@pytest.mark.parametrize(
    ("scope", "elsewhere"),
    [("account", {"account": "A-200"}), ("instrument", {"instrument": OTHER})],
)
async def test_steps_that_are_kept_apart_on_all_chains_of_an_account_or_instrument(
    seat: Seat, scope: str, elsewhere: dict[str, str]
) -> None:
    """Tina captured one order, Rita approved another one of the same account: one person did both."""
    await ruled(seat, APART % scope)
    captured, approved, apart = an_order(), an_order(), an_order(**elsewhere)
    await seat.done("capture", "tina.trader", captured)
    for order in (approved, apart):
        await seat.walked(order, ("capture", "tomas.trader"), ("approve", "rita.risk"))
    told = await seat.confirmed(PersonMerge("p-07", "p-05"))
    found = await cases(seat)
    assert found.keys() == {approved["id"]}
    case = found[approved["id"]]
    assert (case["person"], case["action"]) == ("p-05", "approve")
    (reason,) = case["reasons"]
    assert reason["rule"] == "apart"
    assert "has acted on capture, approve" in reason["message"]["en"]
    assert "other chains of the same account" in reason["message"]["en"]
    assert "otras cadenas de la misma cuenta" in reason["message"]["es"]
    entry: Any = (await seat.service.queries.entry(told["receipt"]["index"]))["entry"]
    assert (entry["chains"], "newest" in entry) == (1, False)
    await seat.verified()


async def test_too_many_acts_on_one_account_and_both_sides_of_a_wall(seat: Seat) -> None:
    """Neither had too many, nor was on both sides; who they both are has and was."""
    await ruled(seat, FEW + WALL)
    first, second, third, other = an_order(), an_order(), an_order(), an_order(instrument=OTHER)
    await seat.done("capture", "tina.trader", first)
    await seat.done("capture", "tina.trader", second)
    await seat.done("capture", "tomas.trader", other)
    far = an_order(account="A-200", instrument=OTHER)
    await seat.done("capture", "tomas.trader", far)
    await seat.confirmed(PersonMerge("p-06", "p-05"))
    found = await cases(seat)
    assert {chain: [reason["rule"] for reason in case["reasons"]] for chain, case in found.items()} == {
        other["id"]: ["few", "wall"]
    }
    assert {"few", "wall"} <= rules(await seat.asked("capture", "tomas.trader", third))
    await seat.verified()


async def test_what_one_of_them_broke_alone_and_what_is_finished_is_no_news(seat: Seat) -> None:
    """The analysis of duties has both; a case is about what can still be mended."""
    files = dict(read_rule_files(DESK_RULES))
    duties = next(file for file in files if file.startswith("duties/"))
    files[duties] = "- {id: none, kind: separate, steps: [execute, confirm], then: flag}\n"
    files["roles.yaml"] = files["roles.yaml"].replace(
        "{role: trader, actions: [capture", "{role: trader, actions: [approve, capture"
    )
    await seat.confirmed(await activation_of(seat.service, compile_release(files)))
    alone, beside, finished = an_order(), an_order(), an_order(account="A-200")
    await seat.walked(beside, ("capture", "tomas.trader"))
    await seat.walked(alone, ("capture", "tina.trader"), ("approve", "tina.trader"))
    await seat.walked(
        finished,
        *(("capture", "tina.trader"), ("approve", "rita.risk"), ("execute", "tina.trader")),
        *(("allocate", "mateo.middle"), ("confirm", "mateo.middle"), ("instruct", "clara.clerk")),
        *(("settle", "clara.clerk"), ("reconcile", "rosa.recon")),
    )
    files[duties] = APART % "account"
    await seat.confirmed(await activation_of(seat.service, compile_release(files)))
    for person in ("p-06", "p-07"):
        await seat.confirmed(PersonMerge(person, "p-05"))
    assert await cases(seat) == {}
    await seat.verified()


async def test_no_more_chains_are_looked_at_than_the_newest(
    seat: Seat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has acted on more is told so, in the entry and in the answer."""
    await ruled(seat, APART % "account")
    orders = [an_order() for _ in range(3)]
    await seat.walked(orders[0], ("capture", "tina.trader"))
    seat.clock.now += timedelta(seconds=1)
    for order in orders[1:]:
        await seat.walked(order, ("capture", "tomas.trader"), ("approve", "rita.risk"))
    for module in (unit, person_merge):
        monkeypatch.setattr(module, "NEAR_AT_MOST", 2)
    told = await seat.confirmed(PersonMerge("p-07", "p-05"))
    assert "only the newest 2 are looked at" in told["summary"]
    entry: Any = (await seat.service.queries.entry(told["receipt"]["index"]))["entry"]
    assert entry["newest"] == 2
    assert await cases(seat) == {}  # the capture is on the oldest of the three
    await seat.verified()


# -- delegations -------------------------------------------------------------------------------------------


async def test_what_the_one_who_stays_could_not_be_lent_is_over(seat: Seat) -> None:
    """A trader is not lent what settlement clerks do, under whatever name."""
    given = await seat.delegated("p-11", "p-09", "settle")
    kept = await seat.delegated("p-11", "p-10", "settle")
    seat.clock.now += timedelta(hours=1)
    order = an_order()
    await seat.walked(order, *BEGUN)
    told = await seat.confirmed(PersonMerge("p-09", "p-05"))
    assert f"these delegations end, which could not be given to one person: {given}" in told["summary"]
    entry: Any = (await seat.service.queries.entry(told["receipt"]["index"]))["entry"]
    assert (entry["ended"], entry["persons"]) == ([given], 3)
    answer = await seat.asked("settle", "mara.middle", order, on_behalf_of="clara.clerk")
    assert "no_delegation" in rules(answer)
    replica = seat.desk.build(clock=seat.clock)
    await replica.start()
    _, directory = await replica.snapshot()
    ends = {item.id: item.valid_to for item in directory.people["p-11"].delegations}
    assert ends[given] == microseconds(seat.clock.now) < ends[kept]
    await replica.close()
    await seat.verified()


async def test_of_two_delegations_that_exclude_each_other_the_first_goes_on(seat: Seat) -> None:
    """One of a trader and one of a clerk, to two persons who are one."""
    await seat.delegated("p-05", "p-10", "capture")
    over = await seat.delegated("p-11", "p-09", "settle")
    told = await seat.confirmed(PersonMerge("p-09", "p-10"))
    entry: Any = (await seat.service.queries.entry(told["receipt"]["index"]))["entry"]
    assert entry["ended"] == [over]
    await seat.claimed("capture", "mara.middle", an_order(), on_behalf_of="tina.trader")
    await seat.verified()
