"""Persons who differ in nothing that a chain kind looks at, as one group each.

Guarantees: whatever the rules of the chain kind say of one member of a group who has had nothing to do with a
chain, they say of each. Ten thousand persons are some dozens of groups, so that what is asked of the groups
costs the same for ten as for ten thousand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from controls.model.crowd import Crowd
from controls.model.people import Profile

LINE: Final = "reports_to"  # the relation that goes through others; the rest are attributes to be compared


class Groups:
    """The groups of a crowd.

    Args:
        crowd: everybody who can act.
        sign: what matters of a person's roles, as a number; persons with other numbers are in other groups.
        relations: the attributes of profiles that matter besides.

    `of` is the group of each person, `sizes` how many each group has, `signs` their numbers.
    """

    def __init__(
        self,
        crowd: Crowd,
        *,
        sign: Callable[[str, frozenset[str]], int],
        relations: Sequence[str] = (),
    ) -> None:
        self._profiles = crowd.profiles
        self._bosses = {
            profile.reports_to for profile in crowd.profiles.values() if profile.reports_to != profile.person
        }
        numbers: dict[tuple[int, tuple[str, ...]], int] = {}
        sizes: list[int] = []
        self.of: dict[str, int] = {}
        self._members: list[str] = []  # one of each group
        for person, roles in crowd.roles.items():
            mark = sign(person, roles), tuple(self._mark(person, name) for name in relations)
            number = numbers.setdefault(mark, len(numbers))
            if number == len(sizes):
                sizes.append(0)
                self._members.append(person)
            sizes[number] += 1
            self.of[person] = number
        self.sizes: Final = tuple(sizes)
        self.signs: Final = tuple(mark[0] for mark in numbers)
        self._kin = {name: self._kinship(name) for name in relations}

    def having(self, bit: int) -> int:
        """The groups with this bit in their signs."""
        return sum(1 << number for number, sign in enumerate(self.signs) if sign >> bit & 1)

    def foes(self, name: str) -> tuple[int, ...]:
        """For each group those of whose members it is not known that they do not stand so to its own."""
        return tuple(self.related(member, name) for member in self._members)

    def related(self, person: str, name: str) -> int:
        """The groups of whose members it is not known that they do not stand so to `person`."""
        return self._kin[name](person)

    def _mark(self, person: str, name: str) -> str:
        """What of a relation persons of one group share. Whoever has people below is a group alone."""
        if name == LINE and person in self._bosses:
            return f"\0{person}"
        return _attribute(self._profiles, person, name)

    def _kinship(self, name: str) -> Callable[[str], int]:
        if name == LINE:
            return self._lines()
        every = (1 << len(self._members)) - 1
        by_value: dict[str, int] = {}
        for number, member in enumerate(self._members):
            value = _attribute(self._profiles, member, name)
            by_value[value] = by_value.get(value, 0) | 1 << number
        unknown = by_value.get("", 0)

        def same(person: str) -> int:
            value = _attribute(self._profiles, person, name)
            return by_value.get(value, 0) | unknown if value else every

        return same

    def _lines(self) -> Callable[[str], int]:
        every = (1 << len(self._members)) - 1
        below: dict[str, int] = {}  # superior -> the groups of who reports to him or her, directly or not
        unknown = 0
        for number, member in enumerate(self._members):
            line = superiors(member, profiles=self._profiles)
            if line is None:
                unknown |= 1 << number
            for superior in line or ():
                below[superior] = below.get(superior, 0) | 1 << number

        def line_of(person: str) -> int:
            line = superiors(person, profiles=self._profiles)
            if line is None:
                return every
            above = self._numbers(line)
            return above | below.get(person, 0) | unknown

        return line_of

    def _numbers(self, persons: Iterable[str]) -> int:
        found = 0
        for person in persons:
            number = self.of.get(person)
            if number is not None:
                found |= 1 << number
        return found


def superiors(person: str, *, profiles: Mapping[str, Profile]) -> frozenset[str] | None:
    """Everybody above a person; None when the line ends in somebody whose superior is not known.

    Whoever is at the top reports to himself or herself.
    """
    found: set[str] = set()
    below = person
    seen: set[str] = set()
    while below not in seen:
        seen.add(below)
        above = _attribute(profiles, below, LINE)
        if not above:
            return None
        if above != below:
            found.add(above)
        below = above
    return frozenset(found)


def _attribute(profiles: Mapping[str, Profile], person: str, name: str) -> str:
    profile = profiles.get(person)
    return "" if profile is None else str(getattr(profile, name))
