"""Persons for blocks of steps: matching first, then one by one where it matters who they are.

Guarantees: exact within the budget. `staffed` finds persons whenever there are some, each with one block, so
that sizes, spreads, foes and rings are kept; while steps are still in no block, it asks no more than what
must hold all the same once they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from controls.duties.satisfiability_problem import Apart, Budget, Problem, Spread, members

Blocks: TypeAlias = list[int]  # each a set of steps in one hand
Staff: TypeAlias = list[int]  # the group of each block


class Staffing:
    """The persons of one problem, and what it says of them beyond how many steps each may have."""

    def __init__(self, problem: Problem, *, spreads: Sequence[Spread], budget: Budget) -> None:
        wanted = problem.wanted
        self._budget = budget
        self._sizes = problem.sizes
        self._wanted = wanted
        self._spreads = spreads
        self._aparts = [
            apart for apart in problem.aparts if (apart.steps & wanted).bit_count() > 1 and any(apart.foes)
        ]
        self._rings = [ring for ring in problem.rings if ring.steps & wanted]
        self._named = {one for ring in self._rings for _, hands in ring.things for one in hands}
        # Where it matters who has a block, and not only how many can, matching alone proves too little.
        self._personal = bool(self._aparts or self._rings) or any(spread.known for spread in spreads)
        self._early = bool(self._aparts) or any(
            spread.known and spread.most is not None for spread in spreads
        )
        self._beside: dict[tuple[int, int], bool] = {}

    def matched(self, takers: Sequence[int]) -> Staff | None:
        """A person for each block, if there are as many: a matching of blocks and groups of limited size."""
        return _matched(takers, self._sizes)

    def shared(self, takers: Sequence[int], rooms: Sequence[int]) -> bool:
        """Whether each of some steps can have somebody when each group has room for so many of them."""
        full = sum(1 << group for group, room in enumerate(rooms) if not room)
        return _matched(takers, rooms, full=full) is not None

    def full(self, staff: Staff) -> int:
        """The groups without anybody left."""
        room: dict[int, int] = {}
        full = 0
        for group in staff:
            left = room.get(group, self._sizes[group]) - 1
            room[group] = left
            if not left:
                full |= 1 << group
        return full

    def staffed(self, blocks: Blocks, takers: list[int], *, complete: bool) -> Staff | None:
        """A person for each block. When complete they keep every constraint; before, it may prove less."""
        staff = self.matched(takers)
        if staff is None or not self._personal or not (complete or self._early):
            return staff
        if self.keeps(blocks, staff, complete=complete):
            return staff
        return self._place(blocks, dict(enumerate(takers)), {}, complete=complete)

    def _place(
        self, blocks: Blocks, open_: dict[int, int], placed: dict[int, int], *, complete: bool
    ) -> Staff | None:
        """Persons one by one, the block with the fewest takers first."""
        self._budget.spend()
        if not open_:
            staff = [placed[index] for index in range(len(blocks))]
            return staff if self.keeps(blocks, staff, complete=complete) else None
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
            some, staff = [blocks[item] for item in placed], list(placed.values())
            if (
                all(left.values())
                and self._within(some, staff, complete=False)
                and self._can_close(some, self._names(staff))
            ):
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
                    if apart.compares(block, blocks[index]):
                        left[index] &= ~apart.foes[group]
        return left

    def _likeness(self, group: int, blocks: int) -> tuple[int, ...]:
        """Equal for groups of which one will do as well as the other; empty where nothing is like it."""
        if self._sizes[group] < blocks or group in self._named:
            return ()
        foes = [apart.foes[group] for apart in self._aparts]
        return (*foes, *((spread.known >> group) & 1 for spread in self._spreads), 1)

    def keeps(self, blocks: Blocks, staff: Staff, *, complete: bool) -> bool:
        """Whether persons placed so keep all but caps, which the takers keep already."""
        return (
            self._within(blocks, staff, complete=complete)
            and not any(
                self._at_odds(apart, blocks, staff, first)
                for apart in self._aparts
                for first in range(len(blocks))
            )
            and self._can_close(blocks, self._names(staff))
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
            (foes >> staff[other]) & 1 and apart.compares(blocks[first], blocks[other])
            for other in range(first + 1, len(blocks))
        )

    def can_close_with_anybody(self, blocks: Blocks) -> bool:
        """`_can_close` where all who have a block are new: then nobody has a hand in more than the block."""
        return not self._rings or self._can_close(
            blocks, [len(self._sizes) + number for number in range(len(blocks))]
        )

    def _can_close(self, blocks: Blocks, persons: Sequence[int]) -> bool:
        """Whether each ring can still take as many persons as it must, some steps being in no block yet."""
        covered = sum(blocks)
        for ring in self._rings:
            in_hand: dict[int, int] = {}  # person -> things that he or she has a hand in
            things = still_open = 0
            for steps, hands in ring.things:
                if steps & self._wanted & ~covered:
                    still_open += 1  # at best it takes a person of its own
                    continue
                taking = {one for block, one in zip(blocks, persons, strict=True) if block & steps}
                for person in hands | taking:
                    in_hand[person] = in_hand.get(person, 0) | 1 << things
                things += 1
            if fewest((1 << things) - 1, list(in_hand.values())) + still_open < ring.people:
                return False
        return True

    def _names(self, staff: Staff) -> list[int]:
        """What rings call persons: those of larger groups have numbers beyond those of the groups."""
        return [
            group if self._sizes[group] == 1 else len(self._sizes) + number
            for number, group in enumerate(staff)
        ]

    def all_beside(self, blocks: Blocks, takers: list[int], changed: int) -> bool:
        """Whether the block that changed can stand beside each of the others."""
        if not self._aparts:
            return True
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
            aparts = [apart for apart in self._aparts if apart.compares(one, other)]
            found = not aparts or any(self._friend(group, others, aparts) for group in members(takers))
            self._beside[key] = found
        return found

    def _friend(self, group: int, others: int, aparts: Sequence[Apart]) -> bool:
        for apart in aparts:
            others &= ~apart.foes[group]
        if self._sizes[group] < 2:
            others &= ~(1 << group)
        return others != 0


def _matched(takers: Sequence[int], rooms: Sequence[int], *, full: int = 0) -> Staff | None:
    """A group for each block, so many blocks to a group as it has room for; `full` have no room at all."""
    staff: Staff = []
    left: dict[int, int] = {}
    for own in takers:
        free = own & ~full
        if free:
            group = (free & -free).bit_length() - 1
            staff.append(group)
        else:
            staff.append(-1)
            group = _augment(len(staff) - 1, takers, staff, full, [0])
            if group < 0:
                return None
        room = left.get(group, rooms[group]) - 1
        left[group] = room
        if not room:
            full |= 1 << group
    return staff


def _augment(block: int, takers: Sequence[int], staff: Staff, full: int, seen: list[int]) -> int:
    """Give `block` a group, moving others on; the group that has one place less then, or -1."""
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
                taken = _augment(other, takers, staff, full, seen)
                if taken >= 0:
                    staff[block] = group
                    return taken
        own &= ~seen[0]
    return -1


def fewest(wanted: int, parts: Sequence[int]) -> int:
    """The smallest number of parts that hold all of `wanted` that is in any part."""
    useful: list[int] = []
    held = 0
    for part in sorted({part & wanted for part in parts}, key=int.bit_count, reverse=True):
        if not any(part | larger == larger for larger in useful):
            useful.append(part)
            held |= part
    return _fewest(held, useful, most=len(useful))


def _fewest(left: int, parts: Sequence[int], *, most: int) -> int:
    """The smallest number of parts that hold all of `left`, or `most` if that is less."""
    if not left or most <= 1:
        return most if left else 0
    first, best = left & -left, most
    for part in parts:
        if part & first:
            best = min(best, 1 + _fewest(left & ~part, parts, most=best - 1))
    return best
