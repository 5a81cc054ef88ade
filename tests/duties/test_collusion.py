"""The smallest group that covers a set: against every group, and with budgets that run out."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from controls.duties.access import Access, Item, Sort
from controls.duties.collusion import smallest_group

STEPS = tuple(Item(Sort.STEP, f"order.{name}") for name in "abcdefg")
Holdings = Mapping[str, frozenset[Item]]

holdings = st.dictionaries(
    st.integers(0, 99).map("p-{:02}".format),
    st.frozensets(st.sampled_from(STEPS), max_size=4),
    max_size=9,
)


def smallest(held: Holdings) -> int | None:
    """By trying all groups, small ones first."""
    for size in range(len(held) + 1):
        for group in combinations(held.values(), size):
            if set().union(*group) >= set(STEPS):
                return size
    return None


@given(holdings)
def test_the_group_is_the_smallest_there_is(held: Holdings) -> None:
    """Proved, complete, without anybody superfluous; or it is said what nobody holds."""
    group = smallest_group(Access(held), STEPS)
    expected = smallest(held)
    if expected is None:
        assert group.members == ()
        assert group.nobody == tuple(step for step in STEPS if not any(step in own for own in held.values()))
        return
    assert (len(group.members), group.at_least, group.proved) == (expected, expected, True)
    done = [item for member in group.members for item in member.items]
    assert sorted(done) == sorted(STEPS)
    for member in group.members:
        assert member.items
        assert held[member.person].issuperset(member.items)


@given(holdings, st.integers(0, 6))
def test_a_budget_that_runs_out_claims_no_more_than_it_proved(held: Holdings, budget: int) -> None:
    """The group covers all the same; the true number lies between the bound and the group's size."""
    group = smallest_group(Access(held), STEPS, budget=budget)
    expected = smallest(held)
    if expected is not None:
        assert group.at_least <= expected <= len(group.members)
        assert group.proved == (group.at_least == len(group.members))
        assert {item for member in group.members for item in member.items} == set(STEPS)


@given(holdings, st.permutations(range(9)))
def test_renaming_people_changes_no_number(held: Holdings, order: list[int]) -> None:
    """Whoever is who."""
    renamed = {f"q-{place}": own for place, own in zip(order, held.values(), strict=False)}
    one, other = smallest_group(Access(held), STEPS), smallest_group(Access(renamed), STEPS)
    assert (len(one.members), one.proved, one.nobody) == (len(other.members), other.proved, other.nobody)


def test_greed_is_not_enough() -> None:
    """The person with the most steps is no part of the smallest group (and none is of size one)."""
    held = {
        "greedy": STEPS[:4],
        "left": (*STEPS[:2], STEPS[4]),
        "right": (*STEPS[2:4], STEPS[5]),
    }
    group = smallest_group(Access(held), STEPS[:6])
    assert [member.person for member in group.members] == ["left", "right"]
    assert group.proved


def test_a_hard_cover_is_cut_and_says_so() -> None:
    """Pairs over a cycle of odd length: the bound stays below what can be done until all is tried."""
    items = tuple(Item(Sort.PERMISSION, f"{number:02}") for number in range(25))
    held = {f"p-{number:02}": (items[number], items[(number + 1) % 25]) for number in range(25)}
    full = smallest_group(Access(held), items)
    assert (len(full.members), full.proved) == (13, True)
    held = {
        f"p-{a:02}{b:02}{c:02}": (items[a], items[b], items[c])
        for a, b, c in combinations(range(25), 3)
        if (a + b + c) % 7 == 0
    }
    cut = smallest_group(Access(held), items, budget=50)
    assert cut.at_least <= len(cut.members)
    assert {item for member in cut.members for item in member.items} == set(items)


def test_conditional_grants_can_be_left_out() -> None:
    """With conditions that are never met, more people are needed."""
    boss, clerk = Item(Sort.ROLE, "boss"), Item(Sort.ROLE, "clerk")
    access = Access(
        {"ana": [boss], "bea": [clerk]},
        gives={boss: STEPS[:2], clerk: STEPS[2:]},
        gives_on_condition={boss: STEPS[2:]},
    )
    assert len(smallest_group(access, STEPS).members) == 1
    assert len(smallest_group(access, STEPS, unconditionally=True).members) == 2


def test_nothing_to_cover_takes_nobody() -> None:
    """And that is proved."""
    group = smallest_group(Access({"ana": STEPS}), ())
    assert (group.members, group.proved) == ((), True)
