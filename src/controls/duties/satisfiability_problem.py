"""Who can do the rest of a chain, as a problem in small integers; `satisfiability` answers it.

The workflow satisfiability problem (Wang and Li, TISSEC 2010): steps, persons, who is authorised for which
step, and constraints over who does which steps together. Three forms of constraint say everything that duty
constraints ask for (`remaining` translates): how many steps one person may have, how many persons there may
or must be, and who may not act beside whom.

Steps are numbered from 0, and a set of steps is an integer whose bit `s` stands for step `s`. Persons who
differ in nothing that matters are one group; a set of groups is an integer in the same way, so that ten
thousand persons are a few machine words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

# More than any chain has, which is 64 and some for the votes on them.
MOST_STEPS: Final = 256


@dataclass(frozen=True, slots=True)
class Past:
    """What counts already against each of `groups` under a cap: the steps `held`, and `more` besides."""

    groups: int
    held: int = 0
    more: int = 0


@dataclass(frozen=True, slots=True)
class Cap:
    """Whoever takes one of `steps` has at most `most` of them, what counts already included.

    For the person p: taken(p) & steps is empty, or size((taken(p) | held(p)) & steps) + more(p) <= most. The
    size of a set of steps is how many they are or, with `parts`, the smallest number of parts that hold them
    all; a step that is in no part does not count. `past` holds disjoint sets of groups.
    """

    steps: int
    most: int
    past: tuple[Past, ...] = ()
    parts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """The number of persons over `steps`, once one of them is taken: at least `least`, at most `most`.

    `already` persons are counted before anything is taken; the persons of `known` are among them.
    """

    steps: int
    least: int = 0
    most: int | None = None
    already: int = 0
    known: int = 0


@dataclass(frozen=True, slots=True)
class Apart:
    """Two persons who take different ones of `steps` are no foes: `foes[g]` are the groups of those of g's
    members; g itself among them says that its members are foes of each other. Symmetric.

    Steps that are together in a set of `alike` are not different.
    """

    steps: int
    foes: Sequence[int]
    alike: tuple[int, ...] = ()

    def compares(self, one: int, other: int) -> bool:
        """Whether persons with these steps, which are not the same ones, may not be foes."""
        one, other = one & self.steps, other & self.steps
        if not one or not other:
            return False
        return not any(not (one | other) & ~alike for alike in self.alike)


@dataclass(frozen=True, slots=True)
class Ring:
    """No fewer than `people` persons together have a hand in each of `things`, once a step of one is taken.

    A thing is a set of steps, in which whoever takes one of them has a hand, with the persons who have one
    already: groups of one person each, or negative numbers for persons who can do nothing more.
    """

    people: int
    things: tuple[tuple[int, frozenset[int]], ...]

    @property
    def steps(self) -> int:
        found = 0
        for steps, _ in self.things:
            found |= steps
        return found

    def part(self, kept: int, *, left_out: int) -> Ring:
        """The same with fewer steps: fewer persons will do, one for each thing that nobody is left for."""
        gone = sum(1 for own, hands in self.things if own & left_out and not own & kept and not hands)
        return Ring(self.people - gone, self.things)


@dataclass(frozen=True, slots=True)
class Problem:
    """Assign every step of `wanted` to a person.

    `sizes[g]` is the number of persons in group g; `can[s]` the groups whose members may take step s.

    Raises:
        ValueError: a number is out of its range.
    """

    sizes: tuple[int, ...]
    can: tuple[int, ...]
    wanted: int
    caps: tuple[Cap, ...] = ()
    spreads: tuple[Spread, ...] = ()
    aparts: tuple[Apart, ...] = ()
    rings: tuple[Ring, ...] = ()

    def __post_init__(self) -> None:
        if len(self.can) > MOST_STEPS:
            raise ValueError(f"{len(self.can)} steps; at most {MOST_STEPS} can be solved")
        groups = len(self.sizes)
        if any(found >> groups for found in self.can):
            raise ValueError(f"a step may be taken by a group that is none of the {groups}")
        if self.wanted >> len(self.can):
            raise ValueError(f"a step is wanted that is none of the {len(self.can)}")
        if self.sizes and min(self.sizes) < 0:
            raise ValueError("a group has fewer than no persons")
        if any(len(apart.foes) != groups for apart in self.aparts):
            raise ValueError(f"foes must be told for each of the {groups} groups")

    def part(self, steps: int) -> Problem:
        """The same with fewer steps, and never harder: each one left out may have had a person of its own."""
        left_out = self.wanted & ~steps
        return replace(
            self,
            wanted=steps,
            spreads=tuple(
                replace(spread, least=spread.least - (spread.steps & left_out).bit_count())
                for spread in self.spreads
            ),
            rings=tuple(ring.part(steps, left_out=left_out) for ring in self.rings),
        )


@dataclass(slots=True)
class Budget:
    """How much may be spent: units of `work` (about 20 microseconds each), and until `expired` says so.

    A deadline makes the answer depend on the machine: where it must be the same again, give `work` only.
    """

    work: int
    expired: Callable[[], bool] | None = None
    spent: int = 0

    def spend(self) -> None:
        """Count one unit.

        Raises:
            BudgetSpent: that was one too many.
        """
        self.spent += 1
        if self.spent > self.work or (self.expired is not None and not self.spent % 32 and self.expired()):
            raise BudgetSpent


class BudgetSpent(Exception):
    """Neither a solution nor a proof that there is none was found in time."""


class Verdict(StrEnum):
    SATISFIABLE = "satisfiable"
    UNSATISFIABLE = "unsatisfiable"
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether everything can be done.

    `witness` (when satisfiable) names for each wanted step who could take it, as group and number within the
    group: equal pairs are one person.
    """

    verdict: Verdict
    witness: dict[int, tuple[int, int]] | None = None


def members(found: int) -> Iterator[int]:
    """The numbers in a set, in rising order."""
    while found:
        low = found & -found
        yield low.bit_length() - 1
        found ^= low
