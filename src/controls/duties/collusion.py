"""How few persons could do it all together: the smallest group that covers a set of items.

Guarantees: the group found covers every item; `proved` is said only where every smaller group was ruled out;
the same input gives the same group. This is set cover, NP-hard (Karp 1972), for the policy "no fewer than k
persons together hold all of P" (Li, Tripunitara and Bizri 2007: coNP-complete). So the search has a budget:
when it runs out, the answer is the bound that was proved and the best group found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final

from controls.duties.access import Access, Item, members

# Groups looked at: a second or two at most. Chains of 12 steps take a few hundred.
BUDGET: Final = 200_000
# Up to so many different holdings are reduced to those that no other one includes.
_REDUCED: Final = 4_000


@dataclass(frozen=True, slots=True)
class Member:
    """One person of a group, and what of the whole he or she would do."""

    person: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The smallest group found that holds all items together, none where `nobody` holds some of them.

    `at_least` persons are needed for certain.
    """

    members: tuple[Member, ...]
    at_least: int
    nobody: tuple[Item, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether no smaller group can do it."""
        return bool(self.nobody) or self.at_least == len(self.members)


def smallest_group(
    access: Access, items: Sequence[Item], *, unconditionally: bool = False, budget: int = BUDGET
) -> Group:
    """The smallest group of persons who together hold all `items`."""
    masks = [0] * len(access.people)
    nobody: list[Item] = []
    for number, item in enumerate(items):
        holders = access.holders(item, unconditionally=unconditionally)
        if not holders:
            nobody.append(item)
        for index in members(holders):
            masks[index] |= 1 << number
    if nobody or not items:
        return Group((), at_least=0, nobody=tuple(nobody))
    first: dict[int, int] = {}  # what somebody holds -> the first person who holds just that
    for index, mask in enumerate(masks):
        if mask:
            first.setdefault(mask, index)
    search = _Search(_largest(first), whole=(1 << len(items)) - 1, budget=budget)
    chosen, at_least = search.run()
    group: list[Member] = []
    left = search.whole
    for mask in sorted(chosen, key=lambda mask: first[mask]):
        done = mask & left
        left &= ~mask
        does = tuple(item for number, item in enumerate(items) if done >> number & 1)
        group.append(Member(access.people[first[mask]], does))
    return Group(tuple(group), at_least=at_least)


def _largest(masks: dict[int, int]) -> list[int]:
    """The masks, larger ones first, without those that another one includes."""
    ordered = sorted(masks, key=lambda mask: (-mask.bit_count(), masks[mask]))
    if len(ordered) > _REDUCED:
        return ordered
    kept: list[int] = []
    for mask in ordered:
        if not any(mask | other == other for other in kept):
            kept.append(mask)
    return kept


class _Search:
    """Exhaustive search for covers of a given size, smaller sizes first, within a budget."""

    def __init__(self, masks: Sequence[int], *, whole: int, budget: int) -> None:
        self.whole = whole
        self._masks = masks
        self._left = budget
        self._with = [
            [mask for mask in masks if mask >> number & 1] for number in range(whole.bit_length())
        ]  # by item: who holds it
        self._largest = max(mask.bit_count() for mask in masks)
        self._hopeless: dict[int, int] = {}  # what is uncovered -> persons who are known not to suffice

    def run(self) -> tuple[list[int], int]:
        """The smallest cover found and how many members every cover has."""
        best = self._greedy()
        size = max(self._apart(), -(-self.whole.bit_count() // self._largest))
        while size < len(best):
            found = self._cover(self.whole, size)
            if found is not None:
                return found, size
            if self._left < 0:
                return best, size
            size += 1
        return best, len(best)

    def _greedy(self) -> list[int]:
        chosen: list[int] = []
        open_ = self.whole
        while open_:
            chosen.append(max(self._masks, key=lambda mask: (mask & open_).bit_count()))
            open_ &= ~chosen[-1]
        for mask in tuple(chosen):  # whoever the later ones have made superfluous
            others = [other for other in chosen if other != mask]
            if reduce(or_, others, 0) == self.whole:
                chosen = others
        return chosen

    def _apart(self) -> int:
        """Items of which nobody holds two: each of them takes a person of its own."""
        taken, count = 0, 0
        for number in sorted(range(len(self._with)), key=lambda number: len(self._with[number])):
            if not taken >> number & 1:
                count += 1
                taken = reduce(or_, self._with[number], taken)
        return count

    def _cover(self, open_: int, size: int) -> list[int] | None:
        """A cover of `open_` by `size` persons; None where there is none, or the budget ran out."""
        if not open_:
            return []
        if open_.bit_count() > size * self._largest or self._hopeless.get(open_, -1) >= size:
            return None
        rarest = min(
            (number for number in range(open_.bit_length()) if open_ >> number & 1),
            key=lambda number: len(self._with[number]),
        )
        for mask in sorted(self._with[rarest], key=lambda mask: -(mask & open_).bit_count()):
            self._left -= 1
            if self._left < 0:
                return None
            found = self._cover(open_ & ~mask, size - 1)
            if found is not None:
                return [mask, *found]
        if self._left >= 0:
            self._hopeless[open_] = size
        return None
