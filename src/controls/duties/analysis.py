"""Static analysis of access: who could break which separation of duties, and how many it would take.

Guarantees: exact for any number of persons and items (property tests compare with plain sets); inherited
roles count; a conflict that rests on a grant with a condition is told apart from one that holds at any time;
the same input gives the same answer in the same order.

In the formulas H(p) is the set of all that person p holds, and S the separation's items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

from controls.duties.access import Access, Item, Sort, in_more_than, members
from controls.duties.collusion import Group, smallest_group
from controls.model.finding import Effect, Text


@dataclass(frozen=True, slots=True)
class Separation:
    """Items that are not for one person, or for few.

    `most`: one person may hold so many of them; p is in conflict if |H(p) & S| > most. `people`: the fewest
    persons who may together hold all of S; fewer are a conflict of a group, 1 just asks for the number. None
    asks nothing. `standing` separations must be kept by the directory itself; the others are enforced again
    at each step of a chain. `when` is the text of a condition under which alone it holds, and `severity` what
    a foreign file calls it. `kind` and `chain` are those of the constraint that it comes from.
    """

    id: str
    items: tuple[Item, ...]
    then: Effect
    title: Text
    most: int | None = None
    people: int | None = None
    kind: str = ""
    chain: str = ""
    standing: bool = True
    when: str = ""
    severity: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """The sets of persons in conflict with a separation: all, and those who are whatever a request says."""

    separation: Separation
    people: int
    unconditionally: int


@dataclass(frozen=True, slots=True)
class Collusion:
    """The smallest group for the items of a separation that has `people`.

    `unconditional` is the smallest one where no condition of a grant is ever met.
    """

    separation: Separation
    group: Group
    unconditional: Group

    @property
    def conflict(self) -> bool:
        """Whether a group that is too small could do it all."""
        found, wanted = len(self.group.members), self.separation.people or 1
        return not self.group.nobody and found < wanted

    @property
    def open(self) -> bool:
        """Whether a smaller group, not found and not ruled out, would be a conflict."""
        return (
            not self.conflict
            and not self.group.proved
            and self.group.at_least < (self.separation.people or 1)
        )


@dataclass(frozen=True, slots=True)
class Conflict:
    """One person who holds too many items of a separation; `conditional` ones by a grant with a condition."""

    separation: Separation
    person: str
    index: int
    items: tuple[Item, ...]
    conditional: bool


@dataclass(frozen=True, slots=True)
class RoleTally:
    """One role: what it breaks on its own, and how many of its holders are in a conflict that it adds to."""

    role: str
    alone: tuple[Separation, ...]
    holders: int
    in_conflict: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """How many persons hold both of each pair of items; each item alone on the diagonal.

    `apart` are the pairs (row below column) that a separation keeps from one person.
    """

    title: Text
    items: tuple[Item, ...]
    counts: tuple[tuple[int, ...], ...]
    apart: frozenset[tuple[int, int]]


class Analysis:
    """Conflicts and collusion numbers of one access under some separations."""

    def __init__(self, access: Access, separations: Iterable[Separation]) -> None:
        self.access = access
        self.separations = tuple(separations)

    @cached_property
    def tallies(self) -> tuple[Tally, ...]:
        """The conflicts with each separation that has `most`."""
        return tuple(_tally(self.access, item) for item in self.separations if item.most is not None)

    @cached_property
    def collusion(self) -> tuple[Collusion, ...]:
        """The smallest group for each separation that has `people`."""
        return tuple(_collusion(self.access, item) for item in self.separations if item.people is not None)

    @cached_property
    def in_conflict(self) -> int:
        """The set of persons with any conflict."""
        return reduce(or_, (tally.people for tally in self.tallies), 0)

    @cached_property
    def conflicts_by_person(self) -> dict[str, int]:
        """How many separations each person is in conflict with: the most first, then by id."""
        counted: Counter[int] = Counter()
        for tally in self.tallies:
            counted.update(members(tally.people))
        ordered = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
        return {self.access.people[index]: count for index, count in ordered}

    def conflicts(self) -> Iterator[Conflict]:
        """Every conflict, by separation and then by person."""
        for tally in self.tallies:
            held: dict[int, list[Item]] = {index: [] for index in members(tally.people)}
            for item in tally.separation.items:
                for index in members(self.access.holders(item) & tally.people):
                    held[index].append(item)
            certain = set(members(tally.unconditionally))
            for index, items in held.items():
                yield Conflict(
                    separation=tally.separation,
                    person=self.access.people[index],
                    index=index,
                    items=tuple(items),
                    conditional=index not in certain,
                )

    def roles(self) -> tuple[RoleTally, ...]:
        """The roles behind the conflicts: first those that break most on their own."""
        of_roles = Analysis(self.access.of_roles(), self.separations)
        alone: dict[str, list[Separation]] = {}
        for conflict in of_roles.conflicts():
            alone.setdefault(conflict.person, []).append(conflict.separation)
        conflicts: dict[Item, int] = dict.fromkeys(self.access.roles, 0)
        for tally in self.tallies:
            givers = {giver for item in tally.separation.items for giver in self.access.sources(item)}
            for role in givers & conflicts.keys() if tally.people else ():
                conflicts[role] |= tally.people
        found: list[RoleTally] = []
        for role, people in conflicts.items():
            holders = self.access.holders(role)
            in_conflict = (holders & people).bit_count()
            broken = tuple(alone.get(role.name, ()))
            if broken or in_conflict:
                found.append(RoleTally(role.name, broken, holders.bit_count(), in_conflict))
        return tuple(sorted(found, key=lambda item: (-len(item.alone), -item.in_conflict, item.role)))

    def matrix(self, title: Text, items: Sequence[Item]) -> Matrix:
        """Persons by pair of `items`."""
        holders = [self.access.holders(item) for item in items]
        place = {item: number for number, item in enumerate(items)}
        apart: set[tuple[int, int]] = set()
        for separation in self.separations:
            if separation.most == 1:
                shown = sorted(place[item] for item in separation.items if item in place)
                apart.update((one, other) for one in shown for other in shown if one < other)
        return Matrix(
            title=title,
            items=tuple(items),
            counts=tuple(tuple((one & other).bit_count() for other in holders) for one in holders),
            apart=frozenset(apart),
        )


@dataclass(frozen=True, slots=True)
class GrantEffect:
    """What assigning an item to a person would change, before it is done."""

    person: str
    item: Item
    already: bool  # the person holds it, by whatever way
    conflicts: tuple[Conflict, ...]  # that the person would have and has not now, or not as far
    collusion: tuple[tuple[Collusion, Collusion], ...]  # before and after, where the number changes

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What the separations that the directory itself must keep say of it; not proved is for review."""
        found = [item.separation.then for item in self.conflicts if item.separation.standing]
        for before, after in self.collusion:
            if after.separation.standing and after.conflict and not before.conflict:
                found.append(after.separation.then)
            elif after.separation.standing and after.open:
                found.append(Effect.REVIEW)
        return tuple(found)


def effect_of_grant(analysis: Analysis, *, person: str, item: Item) -> tuple[GrantEffect, Analysis]:
    """What assigning `item` to `person` would change, and the analysis after it."""
    access = analysis.access
    after = Analysis(access.granting(person, item), analysis.separations)
    known = person in access.people
    before_alone = Analysis(access.only(person), analysis.separations) if known else None
    had = set(before_alone.conflicts()) if before_alone else set()
    alone = Analysis(after.access.only(person), analysis.separations)
    effect = GrantEffect(
        person=person,
        item=item,
        already=before_alone is not None and bool(before_alone.access.holders(item)),
        conflicts=tuple(conflict for conflict in alone.conflicts() if conflict not in had),
        collusion=tuple(
            (one, other)
            for one, other in zip(analysis.collusion, after.collusion, strict=True)
            if (one.group.at_least, len(one.group.members), one.group.nobody)
            != (other.group.at_least, len(other.group.members), other.group.nobody)
        ),
    )
    return effect, after


def _collusion(access: Access, separation: Separation) -> Collusion:
    group = smallest_group(access, separation.items)
    if all(access.holders(item) == access.holders(item, unconditionally=True) for item in separation.items):
        return Collusion(separation, group, group)
    return Collusion(separation, group, smallest_group(access, separation.items, unconditionally=True))


def _tally(access: Access, separation: Separation) -> Tally:
    assert separation.most is not None
    return Tally(
        separation,
        *(
            in_more_than(
                separation.most,
                [access.holders(item, unconditionally=unconditionally) for item in separation.items],
            )
            for unconditionally in (False, True)
        ),
    )


def items_of(separations: Iterable[Separation], *sorts: Sort) -> tuple[Item, ...]:
    """The items that separations name, each once, in the order in which they are named."""
    named = (item for separation in separations for item in separation.items)
    return tuple(dict.fromkeys(item for item in named if item.sort in sorts))
