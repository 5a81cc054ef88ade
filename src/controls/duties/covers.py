"""How few it takes: the smallest group that has one of each of some sets.

Guarantees: exact. This is the hitting set problem, which is NP-hard (Karp 1972); the sets here are few (the
steps of one constraint), so that every remainder is looked at once at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache


def fewest(sets: Iterable[frozenset[str]]) -> int:
    """The smallest number of names such that each of the sets, none of them empty, holds one of them."""
    wanted = tuple(dict.fromkeys(sets))
    masks: dict[str, int] = {}
    for number, names in enumerate(wanted):
        for name in names:
            masks[name] = masks.get(name, 0) | 1 << number
    # A name that is only in sets which another one is in as well is never needed.
    different = sorted(set(masks.values()), key=lambda mask: -mask.bit_count())
    largest: list[int] = []
    for mask in different:
        if not any(mask | other == other for other in largest):
            largest.append(mask)

    @cache
    def rest(uncovered: int) -> int:
        if not uncovered:
            return 0
        first = uncovered & -uncovered
        return 1 + min(rest(uncovered & ~mask) for mask in largest if mask & first)

    return rest((1 << len(wanted)) - 1)
