"""Who holds what: persons, the roles and permissions assigned to them, and what those give in turn.

Guarantees: inheritance is followed to its end, cycles included; answers are in the order of the persons'
ids; what only a grant with a condition gives can be told apart. A set of persons is one integer, whose bit i
stands for person i: union and intersection over 100,000 persons are then single operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import reduce
from itertools import compress
from operator import or_
from typing import Final, NamedTuple

_BITS: Final = bytes.maketrans(b"01", b"\x00\x01")
_SPARSE: Final = 16  # one in so many: then to look for each is faster than to look at all


class Sort(StrEnum):
    """What kind of thing a person holds."""

    ROLE = "role"
    PERMISSION = "permission"
    STEP = "step"  # of a chain; named like the action, `order.capture`


class Item(NamedTuple):
    """One thing that a person can hold."""

    sort: Sort
    name: str

    def __str__(self) -> str:
        return self.name


class Access:
    """What each person holds, by assignment and by all that the assigned roles give. Immutable.

    Args:
        assigned: person -> what is assigned to him or her directly.
        gives: item -> the items that come with it: inherited roles, permissions, steps.
        gives_on_condition: the same, where a condition of the grant decides at each request.
        everybody: what every person holds without any assignment.
    """

    def __init__(
        self,
        assigned: Mapping[str, Iterable[Item]],
        *,
        gives: Mapping[Item, Iterable[Item]] | None = None,
        gives_on_condition: Mapping[Item, Iterable[Item]] | None = None,
        everybody: Iterable[Item] = (),
    ) -> None:
        self.people: Final = tuple(sorted(assigned))
        self.assigned: Final = tuple(tuple(sorted(set(assigned[person]))) for person in self.people)
        self._gives: Final = gives or {}
        self._gives_on_condition: Final = gives_on_condition or {}
        self._everybody: Final = frozenset(everybody)
        self._givers: Final = _reversed(self._gives)
        self._givers_on_condition: Final = _reversed(self._gives_on_condition)
        self._direct: dict[Item, list[int]] = {}
        for index, items in enumerate(self.assigned):
            for item in items:
                self._direct.setdefault(item, []).append(index)
        self._direct_sets: dict[Item, int] = {}
        self._holders: dict[tuple[Item, bool], int] = {}
        self._sources: dict[tuple[Item, bool], frozenset[Item]] = {}

    @property
    def all(self) -> int:
        """The set of all persons."""
        return (1 << len(self.people)) - 1

    @property
    def roles(self) -> tuple[Item, ...]:
        """Every role that is assigned to somebody or gives something, in order; not those of everybody."""
        known = self._direct.keys() | self._gives.keys() | self._gives_on_condition.keys()
        known -= self._everybody
        return tuple(sorted(item for item in known if item.sort is Sort.ROLE))

    @property
    def assignments(self) -> int:
        """How many direct assignments there are."""
        return sum(map(len, self.assigned))

    def knows(self, item: Item) -> bool:
        """Whether anybody could hold the item, or hold it once a role is given."""
        graph = (self._gives, self._gives_on_condition, self._givers, self._givers_on_condition)
        return item in self._direct or item in self._everybody or any(item in side for side in graph)

    def holders(self, item: Item, *, unconditionally: bool = False) -> int:
        """The set of persons who hold the item; with `unconditionally`, whatever a request says."""
        key = (item, unconditionally)
        if key not in self._holders:
            sources = self.sources(item, unconditionally=unconditionally)
            if sources.isdisjoint(self._everybody):
                self._holders[key] = reduce(or_, map(self._assigned_to, sources), 0)
            else:
                self._holders[key] = self.all
        return self._holders[key]

    def _assigned_to(self, item: Item) -> int:
        """The set of persons to whom the item is assigned directly."""
        if item not in self._direct_sets:
            indexes = self._direct.get(item, ())
            self._direct_sets[item] = set_of(indexes, size=len(self.people)) if indexes else 0
        return self._direct_sets[item]

    def sources(self, item: Item, *, unconditionally: bool = False) -> frozenset[Item]:
        """The item and everything that gives it, directly or not."""
        key = (item, unconditionally)
        if key not in self._sources:
            found: set[Item] = set()
            waiting = [item]
            while waiting:
                current = waiting.pop()
                if current not in found:
                    found.add(current)
                    waiting.extend(self._givers.get(current, ()))
                    if not unconditionally:
                        waiting.extend(self._givers_on_condition.get(current, ()))
            self._sources[key] = frozenset(found)
        return self._sources[key]

    def through(self, index: int, item: Item) -> tuple[Item, ...]:
        """The assignments of person `index` that give the item; none where everybody holds it."""
        sources = self.sources(item)
        return tuple(held for held in self.assigned[index] if held in sources)

    def only(self, person: str) -> Access:
        """The same with one person alone."""
        return self._with({person: self.assigned[self.people.index(person)]})

    def granting(self, person: str, item: Item) -> Access:
        """The same after `item` has been assigned to the person, who may be new."""
        assigned = dict(zip(self.people, self.assigned, strict=True))
        return self._with(assigned | {person: (*assigned.get(person, ()), item)})

    def of_roles(self) -> Access:
        """The same for roles instead of persons: each role holds itself and what it gives."""
        return self._with({role.name: (role,) for role in self.roles})

    def _with(self, assigned: Mapping[str, Iterable[Item]]) -> Access:
        return Access(
            assigned,
            gives=self._gives,
            gives_on_condition=self._gives_on_condition,
            everybody=self._everybody,
        )


def set_of(indexes: Iterable[int], *, size: int) -> int:
    """The set of the given indexes, all of them below `size`."""
    data = bytearray(size // 8 + 1)
    for index in indexes:
        data[index >> 3] |= 1 << (index & 7)
    return int.from_bytes(data, "little")


def members(people: int) -> Iterator[int]:
    """The indexes in a set, in rising order."""
    bits = f"{people:b}"[::-1].encode()
    if people.bit_count() * _SPARSE > len(bits):
        return compress(range(len(bits)), bits.translate(_BITS))
    return _positions(bits)


def _positions(bits: bytes) -> Iterator[int]:
    at = bits.find(b"1")
    while at >= 0:
        yield at
        at = bits.find(b"1", at + 1)


def in_more_than(limit: int, sets: Sequence[int]) -> int:
    """The set of those who are in more than `limit` of the sets."""
    reached = [0] * (limit + 1)  # reached[n]: those in more than n of the sets so far
    for people in sets:
        for count in range(limit, 0, -1):
            reached[count] |= reached[count - 1] & people
        reached[0] |= people
    return reached[limit]


def _reversed(gives: Mapping[Item, Iterable[Item]]) -> dict[Item, set[Item]]:
    givers: dict[Item, set[Item]] = {}
    for giver, given in gives.items():
        for item in given:
            givers.setdefault(item, set()).add(giver)
    return givers
