"""The people who can do the rest of a chain: its kind's groups, with those taken out who have a past.

Guarantees: two persons of one group of these differ in nothing that the chain's rules look at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, overload

from controls.duties.groups import Groups
from controls.duties.remaining import Hand, Rest

# What limits that reach beyond the chain hold, by the number of each and by person: the steps or, of a wall,
# that there is anything.
Beyond: TypeAlias = tuple[tuple[int, tuple[tuple[str, int], ...]], ...]


class RemainingPeople:
    """Groups of people, of whom each with a hand in the chain is a group alone, and those against whom the
    same is held of what they did elsewhere are one.

    `sizes` are the groups', those taken out after all others; `marks` the groups of `hands`, 0 for who cannot
    act now.

    Args:
        hands: those with a hand in the chain, by name.
        beyond: what is held against persons of what they did on chains of other lines.
    """

    def __init__(self, groups: Groups, hands: Sequence[tuple[Hand, str]], beyond: Beyond) -> None:
        self._groups = groups
        self._beyond = {number: dict(held) for number, held in beyond}
        self._hands = hands
        self._alike = self._elsewhere()
        left = list(groups.sizes)
        marks: list[int] = []
        self._from: list[tuple[int, int]] = []  # group before, mark now
        for group, people in (
            *((hand.group, 1) for hand, _ in hands),
            *((group, len(people)) for (group, _), people in self._alike.items()),
        ):
            if group < 0:
                marks.append(0)
                continue
            left[group] -= people
            mark = 1 << len(left) + len(self._from)
            marks.append(mark)
            self._from.append((group, mark))
        self.marks = tuple(marks[: len(hands)])
        self._marks = tuple(marks)
        alone = (1 for hand, _ in hands if hand.group >= 0)
        self.sizes = (*left, *alone, *(len(people) for people in self._alike.values()))

    def _elsewhere(self) -> Mapping[tuple[int, tuple[int, ...]], list[str]]:
        """Those with no hand in the chain who can act, by group and what each limit has against them."""
        acting = {person for _, person in self._hands}
        of = self._groups.of
        found: dict[tuple[int, tuple[int, ...]], list[str]] = {}
        for person in sorted({person for held in self._beyond.values() for person in held} - acting):
            if person in of:
                held = tuple(limit.get(person, 0) for limit in self._beyond.values())
                found.setdefault((of[person], held), []).append(person)
        return found

    def seen_by(self, number: int, rest: Rest) -> Rest:
        """The rest as a limit sees it: of those that reach beyond the chain, with what it holds against whom,
        here and elsewhere."""
        held = self._beyond.get(number)
        if held is None:
            return rest
        place = list(self._beyond).index(number)
        more = [held.get(person, 0) for _, person in self._hands]
        more += [against[place] for _, against in self._alike]
        hands = [hand for hand, _ in self._hands]
        hands += [Hand(group, 0, 0) for group, _ in self._alike]
        return replace(
            rest,
            hands=tuple(hand._replace(mine=steps) for hand, steps in zip(hands, more, strict=True)),
            marks=self._marks,
            walled=sum(mark for mark, steps in zip(self._marks, more, strict=True) if steps),
            lasting=True,
        )

    def names(self) -> list[tuple[str, ...]]:
        """The persons of each group, in order; those with the same past may be the other way round, and
        nothing tells them apart."""
        taken: list[tuple[str, ...]] = [(person,) for hand, person in self._hands if hand.group >= 0]
        taken += [tuple(people) for people in self._alike.values()]
        apart = {person for people in taken for person in people}
        found: list[list[str]] = [[] for _ in self._groups.sizes]
        for person, group in self._groups.of.items():
            if person not in apart:
                found[group].append(person)
        return [*(tuple(sorted(one)) for one in found), *taken]

    def widened(self, groups: int) -> int:
        """`groups` with everybody who was taken out of one of them."""
        found = groups
        for group, mark in self._from:
            if groups >> group & 1:
                found |= mark
        return found

    def rows(self, of_groups: Sequence[int]) -> Sequence[int]:
        """What is told of each group before, told of those taken out, too."""
        return _Rows(self, of_groups)

    def before(self, group: int) -> int:
        """The group that somebody who was taken out of it was in."""
        whole = len(self._groups.sizes)
        return group if group < whole else self._from[group - whole][0]


class _Rows(Sequence[int]):
    """What is told of each group, worked out for those that are asked about."""

    def __init__(self, people: RemainingPeople, of_groups: Sequence[int]) -> None:
        self._people = people
        self._of_groups = of_groups

    def __len__(self) -> int:
        return len(self._people.sizes)

    @overload
    def __getitem__(self, group: int) -> int: ...
    @overload
    def __getitem__(self, group: slice) -> Sequence[int]: ...
    def __getitem__(self, group: int | slice) -> int | Sequence[int]:
        if isinstance(group, slice):
            return [self[number] for number in range(len(self))[group]]
        if not -len(self) <= group < len(self):
            raise IndexError(group)
        return self._people.widened(self._of_groups[self._people.before(group % len(self))])
