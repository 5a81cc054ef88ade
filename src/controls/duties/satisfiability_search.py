"""Searching the ways to share steps among persons: partitions first, persons second.

Guarantees: exact. `Search.run` gives an assignment that keeps every constraint, None when there is none, and
`BudgetSpent` when the budget ends before either is known; the same problem is always searched the same way.

Constraints here mostly do not look at who a person is, only at which steps are in one hand. So the search
goes through partitions of the steps into blocks (Cohen, Crampton, Gagarin, Gutin and Jones, JAIR 2014), one
block for each person, and matches the blocks built so far with persons at every node (Karapetyan, Parkes,
Gutin and Gagarin, JAIR 2019). The next step is the one with the fewest ways left; blocks are cut off as soon
as nobody could have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from controls.duties.satisfiability_problem import Apart, Budget, Cap, Problem, Spread, members

Blocks: TypeAlias = list[int]  # each a set of steps in one hand
Staff: TypeAlias = list[int]  # the group of each block


class Search:
    """One problem, prepared and searched once."""

    def __init__(self, problem: Problem, *, budget: Budget) -> None:
        self._budget = budget
        self._sizes = problem.sizes
        wanted = problem.wanted
        there = sum(1 << group for group, size in enumerate(problem.sizes) if size)
        self._can = {step: problem.can[step] & there for step in members(wanted)}
        self._caps = [cap for cap in problem.caps if self._take_cap(cap, wanted)]
        self._spreads = [spread for spread in problem.spreads if spread.steps & wanted]
        self._blocks = [1 << step for step in members(wanted)]
        self._spreads = [spread for spread in self._spreads if self._take_spread(spread, wanted)]
        self._aparts = [
            apart for apart in problem.aparts if (apart.steps & wanted).bit_count() > 1 and any(apart.foes)
        ]
        # How many blocks may touch the steps of a spread: the persons that may be new, and those known.
        self._rooms = [
            (spread.steps, spread.most - spread.already + self._persons(spread.known))
            for spread in self._spreads
            if spread.most is not None
        ]
        # Where it matters who has a block, and not only how many can, matching alone proves too little.
        self._personal = bool(self._aparts) or any(spread.known for spread in self._spreads)
        self._early = bool(self._aparts) or any(
            spread.known and spread.most is not None for spread in self._spreads
        )
        self._kept: dict[int, int] = {}
        self._beside: dict[tuple[int, int], bool] = {}

    def run(self) -> tuple[Blocks, Staff] | None:
        """Blocks and the group of each; every block is another person, also within one group."""
        self._budget.spend()
        blocks = self._blocks
        takers = [self._takers(block) for block in blocks]
        if not all(takers):
            return None
        # Mostly there are enough people to give everybody one thing, and no search is needed.
        staff = self._matched(takers)
        if staff is not None and self._keeps(blocks, staff, complete=True):
            return blocks, staff
        return self._descend([], [], blocks)

    # -- preparation ---------------------------------------------------------------------------------------

    def _take_cap(self, cap: Cap, wanted: int) -> bool:
        """Bar those for whom one step is too many; whether the cap can say anything besides."""
        steps = cap.steps & wanted
        fresh = -1
        for past in cap.past:
            fresh &= ~past.groups
            room = cap.most - past.count
            if room <= 0:
                self._bar(steps if room < 0 else steps & ~past.again, past.groups)
        if cap.most <= 0:
            self._bar(steps, fresh)
        return bool(cap.past) or steps.bit_count() > cap.most

    def _take_spread(self, spread: Spread, wanted: int) -> bool:
        """Bar everybody new where there are enough, join what must be in one hand; whether it says more."""
        steps = spread.steps & wanted
        if spread.most is not None:
            room = spread.most - spread.already
            if room <= 0:
                self._bar(steps, -1 if room < 0 else ~spread.known)
            if spread.least > spread.most:
                self._bar(steps, -1)
            if room == 1 and not spread.known:
                self._join(steps)
        at_once = sum(1 for block in self._blocks if block & steps)
        surely = spread.already + (0 if spread.known else 1)
        too_many = spread.most is not None and spread.already < spread.most < spread.already + at_once
        return spread.least > surely or too_many

    def _persons(self, groups: int) -> int:
        return sum(self._sizes[group] for group in members(groups))

    def _bar(self, steps: int, groups: int) -> None:
        for step in members(steps):
            self._can[step] &= ~groups

    def _join(self, steps: int) -> None:
        """All of `steps`, and what is joined with one of them, are one block from now on."""
        joined = [block for block in self._blocks if block & steps]
        self._blocks = [block for block in self._blocks if not block & steps]
        self._blocks.append(sum(joined))

    # -- one block -----------------------------------------------------------------------------------------

    def _takers(self, block: int) -> int:
        """The groups whose members may have all of `block`."""
        found = self._kept.get(block)
        if found is not None:
            return found
        found = -1
        for step in members(block):
            found &= self._can[step]
        for cap in self._caps:
            if not found:
                break
            own = block & cap.steps
            if not own:
                continue
            past_groups = 0
            for past in cap.past:
                past_groups |= past.groups
                if past.count + (own & ~past.again).bit_count() > cap.most:
                    found &= ~past.groups
            if own.bit_count() > cap.most:
                found &= past_groups
        self._kept[block] = found
        return found

    # -- the tree ------------------------------------------------------------------------------------------

    def _descend(self, blocks: Blocks, takers: list[int], left: Sequence[int]) -> tuple[Blocks, Staff] | None:
        self._budget.spend()
        if not self._can_spread(blocks, takers, left):
            return None
        matching = self._staffed(blocks, takers, complete=not left)
        if matching is None:
            return None
        if not left:
            return blocks, matching
        full = self._full(matching)
        closed = self._closed(blocks)
        chosen = -1
        ways: list[tuple[int, int]] = []  # (block to join, its takers then); -1: a block of its own
        for unit in left:
            own = self._takers(unit)
            within = [steps for steps in closed if steps & unit]
            found: list[tuple[int, int]] = []
            if not within and (own & ~full or self._matched([*takers, own]) is not None):
                found.append((-1, own))
            for index, block in enumerate(blocks):
                joined = self._kept.get(block | unit)
                if joined is None:
                    joined = self._takers(block | unit)
                if joined and all(block & steps for steps in within):
                    found.append((index, joined))
            if chosen < 0 or len(found) < len(ways):
                chosen, ways = unit, found
                if len(ways) < 2:
                    break
        rest = [unit for unit in left if unit != chosen]
        for index, joined in ways:
            if index < 0:
                next_blocks, next_takers = [*blocks, chosen], [*takers, joined]
            else:
                next_blocks, next_takers = blocks.copy(), takers.copy()
                next_blocks[index] |= chosen
                next_takers[index] = joined
            if self._aparts and not self._all_beside(next_blocks, next_takers, index):
                continue
            solved = self._descend(next_blocks, next_takers, rest)
            if solved is not None:
                return solved
        return None

    def _closed(self, blocks: Blocks) -> list[int]:
        """The steps of each spread that has all the persons it may have."""
        return [steps for steps, room in self._rooms if sum(1 for block in blocks if block & steps) >= room]

    def _can_spread(self, blocks: Blocks, takers: list[int], left: Sequence[int]) -> bool:
        """Whether the number of persons can still come to lie within every spread."""
        for spread in self._spreads:
            steps, known = spread.steps, spread.known
            possibly = surely = 0
            for block, own in zip(blocks, takers, strict=True):
                if block & steps:
                    possibly += own & ~known != 0
                    surely += own & known == 0
            if spread.most is not None and spread.already + surely > spread.most:
                return False
            possibly += sum(1 for unit in left if unit & steps and self._takers(unit) & ~known)
            if spread.already + possibly < spread.least:
                return False
        return True

    # -- persons -------------------------------------------------------------------------------------------

    def _matched(self, takers: Sequence[int]) -> Staff | None:
        """A person for each block, if there are as many: a matching of blocks and groups of limited size."""
        staff: Staff = []
        room: dict[int, int] = {}
        full = 0
        for own in takers:
            free = own & ~full
            if free:
                group = (free & -free).bit_length() - 1
                staff.append(group)
            else:
                staff.append(-1)
                group = self._augment(len(staff) - 1, takers, staff, full, [0])
                if group < 0:
                    return None
            left = room.get(group, self._sizes[group]) - 1
            room[group] = left
            if not left:
                full |= 1 << group
        return staff

    def _augment(self, block: int, takers: Sequence[int], staff: Staff, full: int, seen: list[int]) -> int:
        """Give `block` a group, moving others on; the group that has one person less free then, or -1."""
        own = takers[block] & ~seen[0]
        free = own & ~full
        if free:
            staff[block] = (free & -free).bit_length() - 1
            return staff[block]
        while own:
            group = (own & -own).bit_length() - 1
            seen[0] |= 1 << group
            for other, held in enumerate(staff):
                if held == group and other != block:
                    taken = self._augment(other, takers, staff, full, seen)
                    if taken >= 0:
                        staff[block] = group
                        return taken
            own &= ~seen[0]
        return -1

    def _full(self, staff: Staff) -> int:
        """The groups without anybody left."""
        room: dict[int, int] = {}
        full = 0
        for group in staff:
            left = room.get(group, self._sizes[group]) - 1
            room[group] = left
            if not left:
                full |= 1 << group
        return full

    def _staffed(self, blocks: Blocks, takers: list[int], *, complete: bool) -> Staff | None:
        """A person for each block. When complete they keep every constraint; before, it may prove less."""
        staff = self._matched(takers)
        if staff is None or not self._personal or not (complete or self._early):
            return staff
        if self._keeps(blocks, staff, complete=complete):
            return staff
        return self._place(blocks, dict(enumerate(takers)), {}, complete=complete)

    def _place(
        self, blocks: Blocks, open_: dict[int, int], placed: dict[int, int], *, complete: bool
    ) -> Staff | None:
        """Persons one by one, the block with the fewest takers first."""
        self._budget.spend()
        if not open_:
            staff = [placed[index] for index in range(len(blocks))]
            return staff if self._keeps(blocks, staff, complete=complete) else None
        index = min(open_, key=lambda item: (open_[item].bit_count(), item))
        rest = {other: own for other, own in open_.items() if other != index}
        tried: set[tuple[int, ...]] = set()
        for group in members(open_[index]):
            likeness = self._likeness(group, len(blocks))
            if likeness in tried:
                continue
            if likeness:
                tried.add(likeness)
            placed[index] = group
            used = sum(1 for held in placed.values() if held == group)
            left = self._others(blocks, blocks[index], rest, group, used)
            some = [blocks[item] for item in placed]
            if all(left.values()) and self._within(some, list(placed.values()), complete=False):
                solved = self._place(blocks, left, placed, complete=complete)
                if solved is not None:
                    return solved
            del placed[index]
        return None

    def _others(
        self, blocks: Blocks, block: int, open_: dict[int, int], group: int, used: int
    ) -> dict[int, int]:
        """Who remains for the open blocks once somebody of `group` has `block`."""
        gone = 1 << group if used >= self._sizes[group] else 0
        left = {index: own & ~gone for index, own in open_.items()}
        for apart in self._aparts:
            if block & apart.steps:
                for index in left:
                    if blocks[index] & apart.steps:
                        left[index] &= ~apart.foes[group]
        return left

    def _likeness(self, group: int, blocks: int) -> tuple[int, ...]:
        """Equal for groups of which one will do as well as the other; empty where nothing is like it."""
        if self._sizes[group] < blocks:
            return ()
        foes = [apart.foes[group] for apart in self._aparts]
        return (*foes, *((spread.known >> group) & 1 for spread in self._spreads), 1)

    def _keeps(self, blocks: Blocks, staff: Staff, *, complete: bool) -> bool:
        """Whether persons placed so keep spreads and foes (caps are kept by the takers)."""
        return self._within(blocks, staff, complete=complete) and not any(
            self._at_odds(apart, blocks, staff, first)
            for apart in self._aparts
            for first in range(len(blocks))
        )

    def _within(self, blocks: Blocks, staff: Staff, *, complete: bool) -> bool:
        """Whether the number of persons is within every spread; too few are, while more may come."""
        for spread in self._spreads:
            count = spread.already + sum(
                1
                for block, group in zip(blocks, staff, strict=True)
                if block & spread.steps and not (spread.known >> group) & 1
            )
            if (complete and count < spread.least) or (spread.most is not None and count > spread.most):
                return False
        return True

    @staticmethod
    def _at_odds(apart: Apart, blocks: Blocks, staff: Staff, first: int) -> bool:
        if not blocks[first] & apart.steps:
            return False
        foes = apart.foes[staff[first]]
        return any(
            blocks[other] & apart.steps and (foes >> staff[other]) & 1
            for other in range(first + 1, len(blocks))
        )

    def _all_beside(self, blocks: Blocks, takers: list[int], changed: int) -> bool:
        """Whether the block that changed can stand beside each of the others."""
        block, own = blocks[changed], takers[changed]
        changed %= len(blocks)
        return all(
            index == changed or self._can_be_beside(block, own, blocks[index], other)
            for index, other in enumerate(takers)
        )

    def _can_be_beside(self, one: int, takers: int, other: int, others: int) -> bool:
        """Whether two blocks can have two persons who are no foes."""
        key = (one, other) if one < other else (other, one)
        found = self._beside.get(key)
        if found is None:
            aparts = [apart for apart in self._aparts if one & apart.steps and other & apart.steps]
            found = not aparts or any(self._friend(group, others, aparts) for group in members(takers))
            self._beside[key] = found
        return found

    def _friend(self, group: int, others: int, aparts: Sequence[Apart]) -> bool:
        for apart in aparts:
            others &= ~apart.foes[group]
        if self._sizes[group] < 2:
            others &= ~(1 << group)
        return others != 0


__all__: Final = ["Search"]
