"""How many persons a step takes: by its own votes, and by the constraints of kind `votes` that apply now.

Guarantees: the most votes that anything asks for count, and a constraint whose condition cannot be told asks
for them; chain kinds without votes have no ballots, and cost nothing.

Votes and the rest of a chain: a step of several votes does not repeat, so each person has one vote, and once
all are given the step is taken as any other. Every vote is an act of its own: it is claimed, performed or
abandoned by itself, counts against its person in every constraint like an act on any step (one vote is a hand
in the step), and only what stands counts as a vote. What comes after the step waits for the last vote. An
amendment opens all votes again (`reapprove`, which such a step must say where facts are material), and every
vote must state the facts in force, so that all are given on the same facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from controls.model.chain import ChainHistory, ChainKind, Votes
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind


@dataclass(frozen=True, slots=True)
class Ballots:
    """The steps of one chain kind that take, or may take, several persons."""

    own: Mapping[str, Votes]  # by the steps themselves
    asked: tuple[Constraint, ...]
    steps: frozenset[str] = field(init=False)  # that may take more than one person

    def __post_init__(self) -> None:
        asked = {step for item in self.asked for step in item.steps}
        object.__setattr__(self, "steps", frozenset(asked.union(self.own)))

    def in_force(self, history: ChainHistory) -> ChainHistory:
        """The history with the votes that its steps take whatever the facts."""
        return ChainHistory(history.kind, history.chain, history.acts, self.own)

    def counted(self, facts: Facts) -> ChainHistory:
        """The chain of `facts` with the votes that its steps take now, each found when it is asked for."""
        chain = facts.chain
        return ChainHistory(chain.kind, chain.chain, chain.acts, _Counted(self, facts))


class _Counted(Mapping[str, Votes]):
    """The steps that take several persons by some facts.

    Most requests are about other steps, so that a condition is evaluated when somebody asks about its own.
    """

    __slots__ = ("_ballots", "_facts", "_known")

    def __init__(self, ballots: Ballots, facts: Facts) -> None:
        self._ballots = ballots
        self._facts = facts
        self._known: dict[str, Votes | None] = {}

    def __contains__(self, step: object) -> bool:
        return step in self._ballots.steps and self._of(str(step)) is not None

    def __getitem__(self, step: str) -> Votes:
        votes = self._of(step)
        if votes is None:
            raise KeyError(step)
        return votes

    def __iter__(self) -> Iterator[str]:
        return (step for step in self._ballots.steps if self._of(step) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _of(self, step: str) -> Votes | None:
        if step not in self._ballots.steps:
            return None
        if step not in self._known:
            self._known[step] = self._found(step)
        return self._known[step]

    def _found(self, step: str) -> Votes | None:
        ballots, facts = self._ballots, self._facts
        votes = ballots.own.get(step)
        told = Facts(facts.values, ballots.in_force(facts.chain), facts.now, facts.gaps)
        for constraint in ballots.asked:
            if step not in constraint.steps or not constraint.effective.holds(facts.now):
                continue
            if constraint.when is not None and constraint.when.test(told) == Truth.FALSE:
                continue
            if votes is None or votes.needed < constraint.limit:
                votes = Votes(constraint.limit, (constraint.id,))
            elif votes.needed == constraint.limit and constraint.id not in votes.rules:
                votes = Votes(constraint.limit, (*votes.rules, constraint.id))
        return votes


def ballots_of(constraints: Iterable[Constraint], *, chains: Iterable[ChainKind]) -> Mapping[str, Ballots]:
    """The ballots of each chain kind that has any, by its id."""
    asking = [item for item in constraints if item.kind is ConstraintKind.VOTES]
    found: dict[str, Ballots] = {}
    for kind in chains:
        own = {step.id: Votes(step.votes) for step in kind.steps if step.votes > 1}
        asked = tuple(item for item in asking if item.chain in ("", kind.id))
        if own or asked:
            found[kind.id] = Ballots(own, asked)
    return found
