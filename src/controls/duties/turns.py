"""In which order the rest of a chain is taken, where the chain leaves that open and a constraint minds it.

Guarantees: the orders tried are all that differ in anything that a constraint could see, or it is said that
there are too many.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from controls.model.chain import ChainKind

# Steps whose order is tried in every way: 120 ways, each a search of its own.
MOST_STEPS: Final = 5


@dataclass(frozen=True, slots=True)
class Turns:
    """Which of two steps is taken first, where the chain leaves it open.

    By `places` (rising), or without them as constraints list them; `kindly`, always the way that a constraint
    has nothing against. The kind way may be impossible for all pairs at once, so what cannot be done in it
    cannot be done at all; what can be done as listed can be done in any order.
    """

    places: Mapping[str, int] | None = None
    kindly: bool = False

    def listed_first(self, one: str, other: str) -> bool:
        """Whether `one`, which a constraint lists before `other`, is taken before it."""
        if self.places is None:
            return not self.kindly
        return self.places.get(one, -1) < self.places.get(other, len(self.places))

    def after(self, step: str, *, kind: ChainKind) -> frozenset[str]:
        """The steps that cannot be taken before `step` is."""
        places = self.places or {}
        later = [other for other, place in places.items() if place > places.get(step, place)]
        return frozenset(later) if kind.free_order else kind.following(step, *later).union(later)


AS_LISTED: Final = Turns()
KINDLY: Final = Turns(kindly=True)


def is_open(kind: ChainKind, one: str, other: str) -> bool:
    """Whether either of two steps may be taken first."""
    if kind.free_order:
        return True
    return other not in kind.following(one) and one not in kind.following(other)


def ways(
    kind: ChainKind, pairs: Collection[tuple[str, str]], *, last: str, wanted: Collection[str]
) -> Iterator[Turns] | None:
    """The orders that treat the open `pairs` of steps differently, or what may come before the step `last`;
    None where they are too many to be tried."""
    steps = list(dict.fromkeys(step for pair in pairs for step in pair))
    if last in wanted and last not in steps:
        steps.append(last)
    return _ways(kind, steps, pairs, last) if len(steps) <= MOST_STEPS else None


def _ways(
    kind: ChainKind, steps: Collection[str], pairs: Collection[tuple[str, str]], last: str
) -> Iterator[Turns]:
    seen: set[tuple[tuple[bool, ...], frozenset[str]]] = set()
    forced = [
        (one, other)
        for one in steps
        for other in steps
        if not kind.free_order and other in kind.following(one)
    ]
    for order in permutations(steps):
        turns = Turns({step: place for place, step in enumerate(order)})
        if all(turns.listed_first(one, other) for one, other in forced):
            sort = tuple(turns.listed_first(*pair) for pair in pairs), turns.after(last, kind=kind)
            if sort not in seen:
                seen.add(sort)
                yield turns
