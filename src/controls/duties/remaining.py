"""Duty constraints over what remains of a chain, in the words of `satisfiability_problem`.

Guarantees: for each kind of constraint, an assignment of the remaining steps keeps what is made of it here
exactly when the steps, taken in an order that the chain allows, violate the constraint's formula
(`constraints`) at none of them. Where a constraint minds the order in which its steps are taken and the chain
leaves it open, `Rest.turns` says in which order those that remain are thought of as taken.

What passes with time is not here: whoever waits keeps a cooling-off period, and outlives what counts `within`
some time. Optional steps that nobody has begun are not counted on: nobody need ever take them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple, TypeAlias

from controls.duties.groups import LINE
from controls.duties.satisfiability_problem import Apart, Cap, Past, Ring, Spread, members
from controls.duties.turns import AS_LISTED, Turns, is_open
from controls.model.chain import ChainKind
from controls.model.duty import Constraint, ConstraintKind


class Hand(NamedTuple):
    """What one person has had to do with a chain.

    `group` is the person's, -1 for somebody who cannot act now. `mine` are the steps that count against the
    person, `standing` those that he or she holds, as sets of numbers of the kind's steps; a number past
    all that is wanted stands for an amendment. `name` is the person's where relations look at persons, else
    empty.
    """

    group: int
    mine: int
    standing: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """The members of `groups` may not take `steps`."""

    steps: int
    groups: int


Part: TypeAlias = Bar | Cap | Spread | Apart | Ring


@dataclass(frozen=True, slots=True)
class Rest:
    """What remains of one chain.

    `slots` holds for each step of the kind the numbers that stand for it: its own, and one more for each vote
    beyond the first that is still to be given. `marks` are the groups of one person each that the hands have
    in the problem, 0 for those who cannot act. `related` tells the groups that stand to a hand's person in a
    relation, and `foes` the same for each group. Where any act is two persons', `stands` has all acts that
    hold a step: the step's bit, and the places of the act's hands. `walled` are the groups of those with an
    act elsewhere that a wall keeps from its steps; `lasting`: nobody waits until what was done is forgotten.
    """

    kind: ChainKind
    wanted: int
    slots: Mapping[str, int]
    hands: tuple[Hand, ...]
    marks: tuple[int, ...]
    related: Callable[[Hand, str], int]
    foes: Callable[[str], Sequence[int]]
    stands: tuple[tuple[int, frozenset[int]], ...] = ()
    turns: Turns = AS_LISTED
    walled: int = 0
    lasting: bool = False

    def numbers(self, steps: tuple[str, ...]) -> int:
        """The numbers of all that stands for `steps`."""
        found = 0
        for step in steps:
            found |= self.slots.get(step, 0)
        return found

    def cap(self, steps: tuple[str, ...], most: int, *, parts: tuple[int, ...] = ()) -> Cap:
        """At most so many of `steps` (or parts of them) by one person, those that count already included."""
        numbers = self.numbers(steps)
        slots = tuple(self.slots.get(step, 0) for step in dict.fromkeys(steps))
        if not parts and any(own.bit_count() > 1 for own in slots):
            parts = slots  # a person has one vote, and had a hand in the step before if he or she voted
        past = tuple(
            Past(mark, hand.mine & numbers)
            for hand, mark in zip(self.hands, self.marks, strict=True)
            if mark and hand.mine & numbers
        )
        return Cap(numbers, most, past, parts)

    def called(self, hands: Iterable[int]) -> frozenset[int]:
        """The hands in these places as a ring has them: below 0 for who cannot act, and else the group, which
        is that person's alone."""
        return frozenset(
            self.marks[place].bit_length() - 1 if self.marks[place] else ~place for place in hands
        )

    def persons(self, steps: int, among: int, *, least: int) -> Spread | Ring:
        """At least so many persons over `steps` and what holds one of `among` already, an act of two persons
        being one of theirs, whichever makes them fewer."""
        if not self.stands:
            return self.spread(steps, among, least=least)
        held = [(0, self.called(hands)) for step, hands in self.stands if step & among]
        return Ring(least, (*held, *((1 << number, frozenset[int]()) for number in members(steps))))

    def spread(self, steps: int, among: int, *, least: int = 0, most: int | None = None) -> Spread:
        """So many persons over `steps` and whoever holds one of `among` already."""
        already = known = 0
        for hand, mark in zip(self.hands, self.marks, strict=True):
            if hand.standing & among:
                already += 1
                known |= mark
        return Spread(steps, least, most, already, known)


def _whole_chain(_: Constraint, rest: Rest) -> Iterator[Part]:
    mandatory = rest.kind.mandatory
    yield rest.cap(mandatory, len(mandatory) - 1)


def _sole_actor(_: Constraint, rest: Rest) -> Iterator[Part]:
    """The last step is taken as late as the chain allows, so whoever takes a step that need not follow it, or
    holds anything at all, is somebody else in time."""
    last = rest.slots[rest.kind.mandatory[-1]]
    if not last & rest.wanted:
        return
    before = rest.wanted & ~rest.numbers(tuple(rest.turns.after(rest.kind.mandatory[-1], kind=rest.kind)))
    yield rest.persons(before, among=-1, least=2)
    if before == last & rest.wanted and not any(hand.standing for hand in rest.hands):
        yield Bar(last, -1)  # of several votes the first one has nobody before it


def _separate(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    if not constraint.ordered:
        yield rest.cap(constraint.steps, 1)
        return
    for number, step in enumerate(constraint.steps):
        earlier = rest.numbers(constraint.steps[:number])
        barred = 0
        for hand, mark in zip(rest.hands, rest.marks, strict=True):
            if hand.mine & earlier:
                barred |= mark
        yield Bar(rest.slots.get(step, 0), barred)
    for one, other in _pairs(constraint, rest):
        yield Cap(one | other, 1, parts=(one, other))


def _at_most(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    parts: list[int] = []
    taken = 0
    for group in constraint.groups:  # a step counts as the first group that has it
        own = rest.numbers(group.steps) & ~taken
        taken |= own
        parts.append(own)
    yield rest.cap(constraint.steps, constraint.limit, parts=tuple(parts))


def _at_least(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    numbers = rest.numbers(constraint.steps)
    yield rest.persons(numbers & rest.wanted, numbers, least=constraint.limit)


def _bind(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    steps = tuple(dict.fromkeys(constraint.steps))
    for number, step in enumerate(steps):
        slots = rest.slots.get(step, 0)
        others = rest.numbers(steps[:number] if constraint.ordered else steps) & ~slots
        holding = [mark for hand, mark in zip(rest.hands, rest.marks, strict=True) if hand.standing & others]
        if holding:
            yield Bar(slots, ~holding[0] if len(holding) == 1 else -1)
    for one, other in _pairs(constraint, rest):
        if one & rest.wanted and other & rest.wanted:
            yield Spread((one | other) & rest.wanted, most=1)


def _votes(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    for vote in constraint.steps:
        for step in constraint.distinct_from:
            if step != vote:
                yield rest.cap((vote, step), 1)


def _exclusive_roles(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    """The dynamic form; the static one bars persons whatever the chain (`lookahead`)."""
    if constraint.dynamic:
        steps = tuple(dict.fromkeys(step for group in constraint.groups for step in group.steps))
        parts = tuple(rest.numbers(group.steps) for group in constraint.groups)
        yield rest.cap(steps, constraint.limit, parts=parts)


def _relation(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    """Nobody acts beside anybody related. Whoever has a department is of it; nobody is above oneself."""
    names = (*constraint.forbid, *constraint.differ)
    if any(name != LINE for name in names):
        yield from _separate(constraint, rest)
    for number, step in enumerate(constraint.steps):
        slots = rest.slots.get(step, 0)
        if not slots & rest.wanted:
            continue
        listed = constraint.steps[:number] if constraint.ordered else constraint.steps
        others = rest.numbers(listed) & ~slots
        barred = 0
        for hand, mark in zip(rest.hands, rest.marks, strict=True):
            if hand.mine & others:
                for name in names:
                    barred |= rest.related(hand, name) & ~mark
        yield Bar(slots, barred)
    for name in names:
        foes = rest.foes(name)
        if constraint.ordered:
            for one, other in _pairs(constraint, rest):
                yield Apart(one | other, foes, alike=(one, other))
        else:
            slots_of = tuple(rest.slots.get(step, 0) for step in constraint.steps)
            alike = tuple(slots for slots in slots_of if slots.bit_count() > 1)
            yield Apart(rest.numbers(constraint.steps), foes, alike)


def _coalition(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    things: list[tuple[int, frozenset[int]]] = []
    plain = True
    for step in dict.fromkeys(constraint.steps):
        slots = rest.slots.get(step, 0)
        hands = [number for number, hand in enumerate(rest.hands) if hand.mine & slots]
        remain = slots & rest.wanted
        if remain or hands:
            things.append((remain, rest.called(hands)))
            plain = plain and remain.bit_count() + len(hands) == 1
    if not plain:
        yield Ring(constraint.limit, tuple(things))
        return
    # One person for each step: then those who have a hand in everything are all there are.
    numbers = rest.numbers(constraint.steps)
    mine = tuple(hand._replace(standing=hand.mine) for hand in rest.hands)
    counted = Rest(rest.kind, rest.wanted, rest.slots, mine, rest.marks, rest.related, rest.foes)
    yield counted.spread(numbers & rest.wanted, numbers, least=constraint.limit)


def _chinese_wall(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    """Nobody with an act on another dataset of the class; on this chain everybody is on the same."""
    if rest.walled:
        yield Bar(rest.numbers(constraint.steps) if constraint.steps else rest.wanted, rest.walled)


def _nothing(_: Constraint, __: Rest) -> Iterator[Part]:
    yield from ()


def _pairs(constraint: Constraint, rest: Rest) -> list[tuple[int, int]]:
    """The pairs of its steps between which the constraint says something; where it minds their order, only
    those that are taken in it."""
    return [
        (rest.slots.get(one, 0), rest.slots.get(other, 0))
        for one, other in combinations(dict.fromkeys(constraint.steps), 2)
        if not constraint.ordered or _in_order(one, other, rest)
    ]


def _in_order(one: str, other: str, rest: Rest) -> bool:
    """Whether the steps, listed so, are taken so."""
    if is_open(rest.kind, one, other):
        return rest.turns.listed_first(one, other)
    return one not in rest.kind.following(other)


TRANSLATIONS: Final[Mapping[ConstraintKind, Callable[[Constraint, Rest], Iterator[Part]]]] = {
    ConstraintKind.WHOLE_CHAIN: _whole_chain,
    ConstraintKind.SOLE_ACTOR: _sole_actor,
    ConstraintKind.SEPARATE: _separate,
    ConstraintKind.AT_MOST: _at_most,
    ConstraintKind.AT_LEAST: _at_least,
    ConstraintKind.BIND: _bind,
    ConstraintKind.VOTES: _votes,
    ConstraintKind.EXCLUSIVE_ROLES: _exclusive_roles,
    ConstraintKind.RELATION: _relation,
    ConstraintKind.CHINESE_WALL: _chinese_wall,
    ConstraintKind.COOLING_OFF: _nothing,
    ConstraintKind.COALITION: _coalition,
}


def parts_of(constraint: Constraint, rest: Rest) -> Iterator[Part]:
    """What a constraint asks of who takes the remaining steps; nothing where that passes with time."""
    if constraint.within is not None and not rest.lasting:
        return iter(())
    return TRANSLATIONS[constraint.kind](constraint, rest)
