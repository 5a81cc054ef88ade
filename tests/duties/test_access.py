"""Who holds what, and who is in conflict: integers as sets against plain sets, for any inheritance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.access import Access, Item, Sort, in_more_than, members, set_of
from controls.duties.analysis import Analysis, Separation, effect_of_grant
from controls.model.finding import Effect, Outcome, Text, strictest

ROLES = tuple(Item(Sort.ROLE, name) for name in ("a", "b", "c", "d", "e"))
THINGS = tuple(Item(Sort.PERMISSION, name) for name in ("p", "q", "r", "s"))
ITEMS = (*ROLES, *THINGS)
Given = Mapping[Item, frozenset[Item]]


def role(name: str) -> Item:
    return Item(Sort.ROLE, name)


def apart(*names: str, most: int | None = 1, people: int | None = None, **more: object) -> Separation:
    """A separation of roles."""
    said = {"then": Effect.DENY, "title": Text("A rule", "Una regla"), **more}
    return Separation(id="rule", items=tuple(map(role, names)), most=most, people=people, **said)  # type: ignore[arg-type]


@dataclass(frozen=True)
class World:
    assigned: Mapping[str, frozenset[Item]]
    gives: Given
    conditional: Given
    everybody: frozenset[Item]

    def access(self) -> Access:
        return Access(
            self.assigned,
            gives=self.gives,
            gives_on_condition=self.conditional,
            everybody=self.everybody,
        )

    def held(self, person: str, *, unconditionally: bool = False) -> set[Item]:
        """By walking down from what is assigned: the definition, as slow as it is plain."""
        held: set[Item] = set()
        waiting = {*self.assigned[person], *self.everybody}
        while waiting:
            held |= waiting
            given = {item for giver in waiting for item in self.gives.get(giver, ())}
            if not unconditionally:
                given |= {item for giver in waiting for item in self.conditional.get(giver, ())}
            waiting = given - held
        return held


def broken(held: set[Item], rules: list[Separation]) -> tuple[Separation, ...]:
    return tuple(
        rule for rule in rules if rule.most is not None and len(held.intersection(rule.items)) > rule.most
    )


def given_by(items: st.SearchStrategy[Item]) -> st.SearchStrategy[Given]:
    return st.dictionaries(st.sampled_from(ROLES), st.frozensets(items, max_size=3), max_size=5)


worlds = st.builds(
    World,
    assigned=st.dictionaries(
        st.text("xyz", min_size=1, max_size=3),
        st.frozensets(st.sampled_from(ITEMS), max_size=4),
        max_size=6,
    ),
    gives=given_by(st.sampled_from(ITEMS)),
    conditional=given_by(st.sampled_from(THINGS)),
    everybody=st.frozensets(st.sampled_from(ITEMS), max_size=1),
)
separations = st.builds(
    lambda items, most: Separation(
        id="rule", items=tuple(items), then=Effect.DENY, title=Text("", ""), most=min(most, len(items) - 1)
    ),
    items=st.lists(st.sampled_from(ITEMS), min_size=2, max_size=5, unique=True),
    most=st.integers(0, 3),
)


@given(worlds)
def test_holders_are_those_who_reach_the_item(world: World) -> None:
    """With inheritance to its end, cycles included; with and without grants on a condition."""
    access = world.access()
    assert access.people == tuple(sorted(world.assigned))
    for item in ITEMS:
        for unconditionally in (False, True):
            found = {
                access.people[index]
                for index in members(access.holders(item, unconditionally=unconditionally))
            }
            assert found == {
                person
                for person in world.assigned
                if item in world.held(person, unconditionally=unconditionally)
            }


@given(worlds)
def test_through_names_the_assignments_that_give_the_item(world: World) -> None:
    """Each of them alone gives it, and the others do not."""
    access = world.access()
    for index, person in enumerate(access.people):
        for item in ITEMS:
            through = access.through(index, item)
            for held in world.assigned[person]:
                alone = World({"x": frozenset({held})}, world.gives, world.conditional, frozenset())
                assert (held in through) == (item in alone.held("x"))


@given(worlds, st.lists(separations, max_size=4))
def test_conflicts_are_those_of_plain_sets(world: World, rules: list[Separation]) -> None:
    """|H(p) & S| > most, the items told are H(p) & S, and unconditional ones are told apart."""
    analysis = Analysis(world.access(), rules)
    expected = [
        (rule, person, tuple(item for item in rule.items if item in world.held(person)))
        for rule in rules
        for person in sorted(world.assigned)
        if broken(world.held(person), [rule])
    ]
    found = list(analysis.conflicts())
    assert [(item.separation, item.person, item.items) for item in found] == expected
    for item in found:
        certain = world.held(item.person, unconditionally=True).intersection(item.separation.items)
        assert item.separation.most is not None
        assert item.conditional == (len(certain) <= item.separation.most)
    counted = {person: sum(one == person for _, one, _ in expected) for _, person, _ in expected}
    assert analysis.conflicts_by_person == counted
    assert sorted(counted.values(), reverse=True) == list(analysis.conflicts_by_person.values())


@given(worlds, st.lists(separations, max_size=3))
def test_roles_are_told_with_what_they_break_and_add_to(world: World, rules: list[Separation]) -> None:
    """Alone it breaks what a person with only that role would; it adds to what it gives an item of."""
    access = world.access()
    found = {row.role: row for row in Analysis(access, rules).roles()}
    for item in set(access.roles):
        alone = World({"x": frozenset({item})}, world.gives, world.conditional, world.everybody).held("x")
        gives = World({"x": frozenset({item})}, world.gives, world.conditional, frozenset()).held("x")
        holders = [person for person in world.assigned if item in world.held(person)]
        in_conflict = [
            person
            for person in holders
            if any(gives.intersection(rule.items) for rule in broken(world.held(person), rules))
        ]
        row = found.get(item.name)
        if row is None:
            assert (broken(alone, rules), in_conflict) == ((), [])
        else:
            assert row.alone == broken(alone, rules)
            assert (row.holders, row.in_conflict) == (len(holders), len(in_conflict))


@given(worlds)
def test_the_matrix_counts_pairs(world: World) -> None:
    """Symmetric; the diagonal is the holders of one item."""
    matrix = Analysis(world.access(), ()).matrix(Text("", ""), ITEMS)
    for row, one in enumerate(ITEMS):
        for column, other in enumerate(ITEMS):
            both = sum({one, other} <= world.held(person) for person in world.assigned)
            assert matrix.counts[row][column] == both


@given(
    worlds, st.lists(separations, max_size=3), st.sampled_from(ITEMS), st.text("xyz", min_size=1, max_size=2)
)
def test_a_grant_asked_about_is_the_grant_made(
    world: World, rules: list[Separation], item: Item, person: str
) -> None:
    """What it would change is the difference between the two analyses, of that person alone."""
    before = Analysis(world.access(), rules)
    effect, after = effect_of_grant(before, person=person, item=item)
    made = World(
        {**world.assigned, person: world.assigned.get(person, frozenset()) | {item}},
        world.gives,
        world.conditional,
        world.everybody,
    )

    def plain(analysis: Analysis) -> set[tuple[int, str, tuple[Item, ...], bool]]:
        return {(rules.index(c.separation), c.person, c.items, c.conditional) for c in analysis.conflicts()}

    assert plain(after) == plain(Analysis(made.access(), rules))
    told = {(rules.index(c.separation), c.person, c.items, c.conditional) for c in effect.conflicts}
    assert told == plain(after) - plain(before)
    assert effect.already == (person in world.assigned and item in world.held(person))


def test_adding_an_assignment_never_removes_a_conflict() -> None:
    """The grant that makes a pair is a conflict, and the widened set of three is told again."""
    access = Access({"ana": [role("a")], "bea": [role("a"), role("b")]})
    rule = apart("a", "b", "c")
    effect, after = effect_of_grant(Analysis(access, [rule]), person="ana", item=role("b"))
    assert [conflict.items for conflict in effect.conflicts] == [(role("a"), role("b"))]
    assert strictest(effect.effects) is Outcome.DENY
    effect, _ = effect_of_grant(after, person="ana", item=role("c"))
    assert [conflict.items for conflict in effect.conflicts] == [(role("a"), role("b"), role("c"))]


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        (apart("a", "b", then=Effect.REVIEW), Outcome.REVIEW),
        (apart("a", "b", then=Effect.FLAG), Outcome.PERMIT),
        (apart("a", "b", standing=False), Outcome.PERMIT),
        (apart("a", "b", most=None, people=2), Outcome.DENY),
        (apart("a", "b", most=None, people=1), Outcome.PERMIT),
        (apart("a", "c"), Outcome.PERMIT),
    ],
)
def test_only_what_the_directory_must_keep_speaks_against_a_grant(rule: Separation, outcome: Outcome) -> None:
    """What is enforced again on each chain is told, and refuses no grant."""
    analysis = Analysis(Access({"ana": [role("a")], "bea": [role("b")]}), [rule])
    effect, _ = effect_of_grant(analysis, person="ana", item=role("b"))
    assert strictest(effect.effects) is outcome


@given(st.lists(st.frozensets(st.integers(0, 40)), max_size=6), st.integers(0, 5))
def test_in_more_than_counts_memberships(sets: list[frozenset[int]], limit: int) -> None:
    """Those who are in more than `limit` of the sets, and no others."""
    bits = [set_of(people, size=41) for people in sets]
    assert [list(members(item)) for item in bits] == [sorted(people) for people in sets]
    expected = [index for index in range(41) if sum(index in people for people in sets) > limit]
    assert list(members(in_more_than(limit, bits))) == expected


def test_members_of_large_sets_are_found_both_ways() -> None:
    """Sparse and dense sets, the first and the last index, and nobody."""
    for indexes in ([0], [9_999], [0, 9_999], list(range(0, 10_000, 3)), list(range(10_000)), []):
        assert list(members(set_of(indexes, size=10_000))) == indexes


def test_matrix_marks_the_pairs_that_are_kept_apart() -> None:
    """Pairs of separations that let a person hold one of their items; others are no pairs."""
    matrix = Analysis(Access({"x": ROLES}), [apart("a", "c"), apart("b", "c", "d", most=2)]).matrix(
        Text("", ""), ROLES
    )
    assert matrix.apart == {(0, 2)}
