"""Is there a request on which conditions have given truths? A witness, a proof of none, or neither.

Guarantees: a `Witness` has been evaluated and gives the truths that were asked for; `Impossible` is proved
for every value that the domains allow, facts absent included; everything else is `NotDecided`. The answer
depends on the question only, never on time or chance.

Decided exactly, if the search ends within its bounds: any boolean combination of leaves that each read one
fact and are `fact <operator> constant` (numbers, money, dates, moments, durations; text for == and !=),
`fact in constants`, `has(fact)`, a bool, `constant in list` for up to five constants a list, a comparison of
`amount(fact)` or `currency(fact)` with a constant; of any leaf over enumerated texts and bools only; of
`chain.performed`, `chain.claimed`, `constant in chain.steps` and comparisons of `now` with constants. Each
fact has finitely many samples that stand for all its values, so that trying them all is a proof.

Other leaves, those over lists and tables of the release among them, may have any truth in a proof, and get
likely values when a witness is looked for. What remains goes to the solver of `linear`, when it is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import product
from math import prod
from operator import or_
from typing import Final, TypeAlias

from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.values import Missing, Value
from controls.rules import linear
from controls.rules.domains import Domain, Sample
from controls.rules.evaluate import compiled
from controls.rules.folding import Folder
from controls.rules.guesses import guesses_of, hints_of
from controls.rules.leaves import NOW, Variable, classified
from controls.rules.reading import Run
from controls.rules.tree import Typed, key_of
from controls.rules.truths import (
    ANY,
    Among,
    Combined,
    Goal,
    Leaves,
    Mask,
    Skeleton,
    mask_of,
    possible,
    reached,
)

MAX_VISITS: Final = 3_000  # partial assignments looked at
MAX_OUTSIDE: Final = 3  # leaves outside the fragment whose truths are tried together
MAX_TRIES: Final = 240  # whole assignments evaluated for one question with leaves outside the fragment

_CHAIN: Final = "witness"
_NOW: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_BAD_FACTS: Final = (TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A condition's tree (`WholeCondition.tree`) and the truths that it shall have one of."""

    condition: Typed
    truths: frozenset[Truth]


@dataclass(frozen=True, slots=True)
class Together:
    """`every` one of what is wanted, or one of it at least."""

    every: bool
    parts: tuple[Asked, ...]


Asked: TypeAlias = "Wanted | Together"


@dataclass(frozen=True, slots=True)
class Witness:
    """Facts on which every condition has a truth that was wanted."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Impossible:
    """There are no such facts."""


@dataclass(frozen=True, slots=True)
class NotDecided:
    """Nothing was found and nothing proved.

    `but_for_digits`: it is proved that there are no such facts on which every sum and product can be
    computed within 34 digits; on others an error may make the difference.
    """

    but_for_digits: bool = False


Answer: TypeAlias = "Witness | Impossible | NotDecided"


def satisfiable(condition: Typed, *, domains: Mapping[str, Domain]) -> Answer:
    """Whether the condition can be true."""
    return find((Wanted(condition, frozenset({Truth.TRUE})),), domains=domains)


def implies(condition: Typed, other: Typed, *, domains: Mapping[str, Domain]) -> Answer:
    """Whether `other` is true wherever `condition` is: `Impossible` says yes, a witness shows where not."""
    wanted = (
        Wanted(condition, frozenset({Truth.TRUE})),
        Wanted(other, frozenset({Truth.FALSE, Truth.UNKNOWN})),
    )
    return find(wanted, domains=domains)


def find(wanted: Sequence[Asked], *, domains: Mapping[str, Domain], solve: bool = True) -> Answer:
    """Facts on which each condition has one of its wanted truths.

    Args:
        wanted: the conditions, type-checked, and how they go together; all of it is wanted.
        domains: what the facts may be (`domains_of`); a fact without one may be any value of its type.
        solve: ask the solver as well, where samples do not suffice.
    """
    return _Search(wanted, domains).answer(solve=solve)


class _Search:
    """One question. Variables are facts, the states of steps, and the time."""

    def __init__(self, wanted: Sequence[Asked], domains: Mapping[str, Domain]) -> None:
        leaves = Leaves()
        self._conditions: list[Skeleton] = []
        self._runs: list[Run] = []
        self._indexes: dict[str, int] = {}
        self._goal = Combined(every=True, parts=tuple(self._goal_of(item, leaves) for item in wanted))
        self._leaves = classified(leaves.nodes, domains)
        self._leaf_runs = [compiled(node) for node in leaves.nodes]
        self._masks: list[Mask] = [ANY] * len(self._leaves)
        self._lone: dict[Variable, list[int]] = {}  # the exact leaves that read this variable only
        self._together: list[int] = []  # exact leaves that read several
        self._visits = self._tries = 0
        self._open = False  # something could be neither shown nor excluded
        self._samples = self._sampled()
        self._guesses = self._guessed()

    def _goal_of(self, asked: Asked, leaves: Leaves) -> Goal:
        if isinstance(asked, Together):
            return Combined(asked.every, tuple(self._goal_of(part, leaves) for part in asked.parts))
        tree = Folder().fold(asked.condition)
        index = self._indexes.setdefault(key_of(tree), len(self._conditions))
        if index == len(self._conditions):
            self._conditions.append(leaves.skeleton(tree))
            self._runs.append(compiled(tree))
        return Among(index, mask_of(asked.truths))

    def _reachable(self) -> bool:
        """Whether the goal may be reached with the truths that leaves may have now."""
        known: dict[int, Mask] = {}

        def truths(index: int) -> Mask:
            if index not in known:
                known[index] = possible(self._conditions[index], self._masks)
            return known[index]

        return reached(self._goal, truths)

    def answer(self, *, solve: bool) -> Answer:
        found = self._assign(list(self._samples), {})
        if found is not None:
            return Witness(found)
        if not self._open:
            return Impossible()
        solution = linear.solve(self._goal, self._conditions, self._leaves, exact=True) if solve else None
        if solution is None:
            return NotDecided()
        if solution.assignment is not None:
            facts = self._facts(solution.assignment)
            return Witness(facts) if self._holds(facts) else NotDecided()
        solution = linear.solve(self._goal, self._conditions, self._leaves, exact=False)
        if solution is not None and solution.assignment is None:
            return Impossible()
        return NotDecided(but_for_digits=True)

    # Samples

    def _sampled(self) -> dict[Variable, list[tuple[Sample, tuple[Mask, ...]]]]:
        """The samples of each variable with the truths of its lone leaves."""
        constants: dict[Variable, list[Value]] = {}
        shared: set[Variable] = set()
        for index, leaf in enumerate(self._leaves):
            if not leaf.exact:
                continue
            for variable in leaf.variables:
                constants.setdefault(variable, []).extend(leaf.constants)
            if not leaf.variables:  # parameters may switch a part on or off
                self._masks[index] = 1 << self._truth(self._leaf_runs[index], self._facts({}))
            elif len(leaf.variables) == 1:
                self._lone.setdefault(leaf.variables[0], []).append(index)
            else:
                self._together.append(index)
                shared.update(leaf.variables)
        found: dict[Variable, list[tuple[Sample, tuple[Mask, ...]]]] = {}
        for variable, its in constants.items():
            lone = self._lone.setdefault(variable, [])
            options = [(sample, self._truths(variable, sample)) for sample in variable.samples(its)]
            if variable not in shared:  # samples that no leaf tells apart are one
                options = list({truths: (sample, truths) for sample, truths in reversed(options)}.values())
                options.reverse()
            found[variable] = options
            for place, index in enumerate(lone):
                self._masks[index] = reduce(or_, (truths[place] for _, truths in options), 0)
        return found

    def _truths(self, variable: Variable, sample: Sample) -> tuple[Mask, ...]:
        """The truths of the variable's lone leaves when it has the value of the sample."""
        lone = self._lone.get(variable)
        if not lone:
            return ()
        facts = self._facts({variable: sample})
        return tuple(1 << self._truth(self._leaf_runs[index], facts) for index in lone)

    def _guessed(self) -> dict[Variable, tuple[Sample, ...]]:
        """Likely values of what the leaves outside the fragment read."""
        outside = [leaf for leaf in self._leaves if not leaf.exact]
        variables = dict.fromkeys(variable for leaf in outside for variable in leaf.variables)
        if not variables:
            return {}
        hints = hints_of(leaf.node for leaf in outside)
        return {variable: guesses_of(variable, hints) for variable in variables}

    # The search

    def _assign(self, todo: list[Variable], chosen: dict[Variable, Sample]) -> Facts | None:
        """Facts that extend `chosen`, if some are found. What is not looked at sets `_open`."""
        self._visits += 1
        if self._visits > MAX_VISITS or self._tries >= MAX_TRIES:
            self._open = True
            return None
        if not self._reachable():
            return None
        if not todo:
            return self._realised(chosen)
        variable, *rest = todo
        lone = self._lone[variable]
        waiting = [
            index
            for index in self._together
            if variable in (reads := self._leaves[index].variables)
            and all(other is variable or other == variable or other in chosen for other in reads)
        ]
        before = list(self._masks)
        for sample, truths in self._samples[variable]:
            chosen[variable] = sample
            for index, mask in zip(lone, truths, strict=True):
                self._masks[index] = mask
            if waiting:
                facts = self._facts(chosen)
                for index in waiting:
                    self._masks[index] = 1 << self._truth(self._leaf_runs[index], facts)
            found = self._assign(rest, chosen)
            if found is not None:
                return found
        del chosen[variable]
        self._masks[:] = before
        return None

    def _possible_together(self) -> bool:
        """Whether some truths of the leaves outside the fragment, each the same everywhere, would do."""
        outside = [index for index, leaf in enumerate(self._leaves) if not leaf.exact]
        if len(outside) > MAX_OUTSIDE:
            return True
        before = list(self._masks)
        found = False
        for truths in product((1, 2, 4), repeat=len(outside)):
            for index, mask in zip(outside, truths, strict=True):
                self._masks[index] = mask
            if self._reachable():
                found = True
                break
        self._masks[:] = before
        return found

    def _realised(self, chosen: Mapping[Variable, Sample]) -> Facts | None:
        """Facts with the chosen values on which the goals really hold."""
        if not self._possible_together():
            return None
        for assignment in self._completions(chosen):
            facts = self._facts(assignment)
            if self._holds(facts):
                return facts
            self._tries += 1
        self._open = True
        return None

    def _completions(self, chosen: Mapping[Variable, Sample]) -> Iterator[dict[Variable, Sample]]:
        """`chosen` with likely values for the rest, evenly spread when there are too many combinations."""
        options = {
            variable: self._alike(variable, chosen[variable], guesses) if variable in chosen else guesses
            for variable, guesses in self._guesses.items()
        }
        total = prod(len(found) for found in options.values())
        stride = 1 if total <= MAX_TRIES else total * 5 // 8 | 1
        for number in range(min(total, MAX_TRIES)):
            assignment, rest = dict(chosen), number * stride % total
            for variable, found in options.items():
                rest, place = divmod(rest, len(found))
                assignment[variable] = found[place]
            yield assignment

    def _alike(self, variable: Variable, sample: Sample, guesses: Sequence[Sample]) -> Sequence[Sample]:
        """The sample, and guesses that no leaf inside the fragment tells from it."""
        if any(variable in self._leaves[index].variables for index in self._together):
            return (sample,)
        wanted = self._truths(variable, sample)
        return (sample, *(guess for guess in guesses if self._truths(variable, guess) == wanted))

    # Evaluation

    def _facts(self, assignment: Mapping[Variable, Sample]) -> Facts:
        values: dict[str, Value] = {}
        acts: list[Act] = []
        now = _NOW
        for variable, value in assignment.items():
            if isinstance(value, Missing):
                continue
            if variable.step:
                acts.append(_act(variable.step, ActState(str(value)), len(acts)))
            elif variable == NOW:
                assert isinstance(value, datetime)
                now = value
            else:
                values[variable.fact] = value
        return Facts(values=values, chain=ChainHistory("", _CHAIN, tuple(acts)), now=now)

    def _holds(self, facts: Facts) -> bool:
        known: dict[int, Mask] = {}

        def truths(index: int) -> Mask:
            if index not in known:
                known[index] = 1 << self._truth(self._runs[index], facts)
            return known[index]

        return reached(self._goal, truths)

    @staticmethod
    def _truth(run: Run, facts: Facts) -> int:
        try:
            found = run(facts, ())
        except _BAD_FACTS:  # elements of lists are not looked at one by one before
            return Truth.UNKNOWN
        return Truth.TRUE if found is True else Truth.FALSE if found is False else Truth.UNKNOWN


def _act(step: str, state: ActState, index: int) -> Act:
    return Act(
        claim=f"claim-{index}",
        decision=f"decision-{index}",
        chain=_CHAIN,
        step=step,
        person="p-witness",
        account="witness",
        capacity=Capacity.ACTOR,
        state=state,
        at=_NOW - timedelta(hours=1),
        done_at=None if state is ActState.CLAIMED else _NOW,
        valid_until=_NOW + timedelta(hours=23),
        index=index,
    )
