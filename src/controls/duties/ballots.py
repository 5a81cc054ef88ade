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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controls.model.chain import ChainHistory, ChainKind, Votes
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind


@dataclass(frozen=True, slots=True)
class Ballots:
    """The steps of one chain kind that take, or may take, several persons."""

    own: Mapping[str, Votes]  # by the steps themselves
    asked: tuple[Constraint, ...]

    def may_take_votes(self, step: str) -> bool:
        """Whether the step may take more than one person, whatever the facts."""
        return step in self.own or any(step in item.steps for item in self.asked)

    def in_force(self, history: ChainHistory) -> ChainHistory:
        """The history with the votes that its steps take whatever the facts."""
        return replace(history, votes=self.own)

    def counted(self, facts: Facts) -> ChainHistory:
        """The chain of `facts` with the votes that its steps take now."""
        needed = dict(self.own)
        chain = self.in_force(facts.chain)
        told = Facts(facts.values, chain, facts.now, facts.gaps)
        for constraint in self.asked:
            if not constraint.effective.holds(facts.now):
                continue
            if constraint.when is not None and constraint.when.test(told) == Truth.FALSE:
                continue
            for step in constraint.steps:
                known = needed.get(step)
                if known is None or known.needed < constraint.limit:
                    needed[step] = Votes(constraint.limit, (constraint.id,))
                elif known.needed == constraint.limit and constraint.id not in known.rules:
                    needed[step] = Votes(constraint.limit, (*known.rules, constraint.id))
        return replace(chain, votes=needed)


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
