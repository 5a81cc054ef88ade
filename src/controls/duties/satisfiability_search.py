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

from controls.duties.satisfiability_caps import Bearing
from controls.duties.satisfiability_problem import Budget, Cap, Problem, Spread, members
from controls.duties.satisfiability_staff import Blocks, Staff, Staffing


def _empty(sizes: Sequence[int]) -> int:
    """The groups that have nobody."""
    found, start = 0, 0
    for _ in range(sizes.count(0)):
        start = sizes.index(0, start)
        found |= 1 << start
        start += 1
    return found


class Search:
    """One problem, prepared and searched once. What its caps say may be shared with other parts of it."""

    def __init__(self, problem: Problem, *, budget: Budget, bearing: Bearing) -> None:
        self._budget = budget
        self._bearing = bearing
        self._sizes = problem.sizes
        wanted = problem.wanted
        empty = _empty(problem.sizes)
        self._can = {step: problem.can[step] & ~empty for step in members(wanted)}
        self._spreads = [spread for spread in problem.spreads if spread.steps & wanted]
        self._blocks = [1 << step for step in members(wanted)]
        self._spreads = [spread for spread in self._spreads if self._take_spread(spread, wanted)]
        # How many blocks may touch the steps of a spread: the persons that may be new, and those known.
        self._rooms = [
            (spread.steps, spread.most - spread.already + self._persons(spread.known))
            for spread in self._spreads
            if spread.most is not None
        ]
        self._rings = [ring for ring in problem.rings if ring.steps & wanted]
        self._wanted = wanted
        self._staffing = Staffing(problem, spreads=self._spreads, budget=budget)
        self._kept: dict[int, int] = {}

    def run(self) -> tuple[Blocks, Staff] | None:
        """Blocks and the group of each; every block is another person, also within one group."""
        self._budget.spend()
        blocks = self._blocks
        takers = [self._takers(block) for block in blocks]
        if not all(takers):
            return None
        # Mostly there are enough people to give everybody one thing, and no search is needed.
        staff = self._staffing.matched(takers)
        if staff is not None and self._staffing.keeps(blocks, staff, complete=True):
            return blocks, staff
        if not self._enough_people():
            return None
        return self._descend([], [], blocks)

    def hopeless(self) -> int:
        """The steps that nobody may take, whatever becomes of the others."""
        return sum(1 << step for step in members(self._wanted) if not self._takers(1 << step))

    # -- preparation ---------------------------------------------------------------------------------------

    def _take_spread(self, spread: Spread, wanted: int) -> bool:
        """Bar everybody new where there are enough, join what must be in one hand; whether it says more."""
        steps = spread.steps & wanted
        if spread.most is not None:
            room = spread.most - spread.already
            if room <= 0:
                self._bar(steps, -1 if room < 0 else ~spread.known)
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

    def _enough_people(self) -> bool:
        """Whether spreads, rings and caps can be kept each by itself, as far as counting persons tells."""
        for spread in self._spreads:
            able = self._able(spread.steps) & ~spread.known
            if not self._has(able, spread.least - spread.already):
                return False
            if spread.most is not None and spread.least > spread.most:
                return False
        for ring in self._rings:
            hands = {person for _, held in ring.things for person in held}
            able = self._able(ring.steps) & ~sum(1 << person for person in hands if person >= 0)
            if not self._has(able, ring.people - len(hands)):
                return False
        return all(load.cap.parts or self._can_share(load.cap) for load in self._bearing.loads)

    def _has(self, groups: int, people: int) -> bool:
        """Whether there are so many people in some groups, none of which is empty."""
        return groups.bit_count() >= people or self._persons(groups) >= people

    def _able(self, steps: int) -> int:
        """The groups of which somebody may take one of `steps`."""
        found = 0
        for step in members(steps & self._wanted):
            found |= self._takers(1 << step)
        return found

    def _can_share(self, cap: Cap) -> bool:
        """Whether the steps of a cap can be shared among persons who have room for them."""
        wanted = cap.steps & self._wanted
        takers = [self._takers(1 << step) for step in members(wanted)]
        if all(own.bit_count() >= len(takers) for own in takers):
            return True  # a person for each
        rooms = [size * max(cap.most, 0) for size in self._sizes]
        for past in cap.past:
            # What a person holds and takes again is counted once: it may be among the wanted ones.
            room = max(0, cap.most - past.more - (past.held & cap.steps & ~wanted).bit_count())
            for group in members(past.groups):
                rooms[group] = self._sizes[group] * room
        return self._staffing.shared(takers, rooms)

    # -- one block -----------------------------------------------------------------------------------------

    def _takers(self, block: int) -> int:
        """The groups whose members may have all of `block`."""
        found = self._kept.get(block)
        if found is not None:
            return found
        found = self._bearing.groups(block)
        for step in members(block):
            found &= self._can[step]
        self._kept[block] = found
        return found

    # -- the tree ------------------------------------------------------------------------------------------

    def _descend(self, blocks: Blocks, takers: list[int], left: Sequence[int]) -> tuple[Blocks, Staff] | None:
        self._budget.spend()
        if not self._can_spread(blocks, takers, left):
            return None
        staffing = self._staffing
        staff = staffing.staffed(blocks, takers, complete=not left)
        if staff is None:
            return None
        if not left:
            return blocks, staff
        full = staffing.full(staff)
        closed = self._closed(blocks)
        chosen = -1
        ways: list[tuple[int, int]] = []  # (block to join, its takers then); -1: a block of its own
        for unit in left:
            own = self._takers(unit)
            within = [steps for steps in closed if steps & unit]
            found: list[tuple[int, int]] = []
            if not within and (own & ~full or staffing.matched([*takers, own]) is not None):
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
            if not staffing.all_beside(next_blocks, next_takers, index):
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
        return self._staffing.can_close_with_anybody(blocks)
