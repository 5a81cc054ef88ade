"""Can the rest of a chain still be done, and if not, which steps stand in each other's way?

Guarantees: `solve` is exact within its budget, and says so when that ends first (`Verdict.GAVE_UP`); a
witness keeps every constraint of the problem. `conflict` names nothing in vain: each of its steps is part of
the reason.

Which constraints are in a problem is the caller's choice; of duty constraints only those that deny belong
there: what asks for a review can be had with a supervisor's approval, so it strands nothing.
"""

from __future__ import annotations

from controls.duties.satisfiability_caps import Bearing
from controls.duties.satisfiability_problem import Answer, Budget, BudgetSpent, Problem, Verdict, members
from controls.duties.satisfiability_search import Search

__all__ = ["Answer", "Budget", "Problem", "Verdict", "able", "conflict", "solve"]


def solve(problem: Problem, *, budget: Budget) -> Answer:
    """Whether every wanted step can have a person, with an assignment that shows it."""
    return _solve(problem, budget=budget, bearing=Bearing(problem.caps))


def _solve(problem: Problem, *, budget: Budget, bearing: Bearing) -> Answer:
    try:
        found = Search(problem, budget=budget, bearing=bearing).run()
    except BudgetSpent:
        return Answer(Verdict.GAVE_UP)
    if found is None:
        return Answer(Verdict.UNSATISFIABLE)
    witness: dict[int, tuple[int, int]] = {}
    numbers: dict[int, int] = {}
    for block, group in zip(*found, strict=True):
        number = numbers.get(group, 0)
        numbers[group] = number + 1
        witness.update(dict.fromkeys(members(block), (group, number)))
    return Answer(Verdict.SATISFIABLE, witness)


def able(problem: Problem, step: int) -> int:
    """How many persons could take a step, if nobody else took anything else."""
    found = Bearing(problem.caps).groups(1 << step) & problem.can[step]
    return sum(problem.sizes[group] for group in members(found))


def conflict(problem: Problem, *, budget: Budget) -> int:
    """Why a problem is unsatisfiable: the steps that nobody at all can take or, where there is none, steps
    that cannot be done together although they could without any one of them.

    Late steps are named rather than early ones: they are the ones that would be found impossible. Where the
    budget ends first the set may hold more than it must.
    """
    bearing = Bearing(problem.caps)
    kept = Search(problem, budget=budget, bearing=bearing).hopeless()
    if kept:
        return kept
    kept = problem.wanted
    for step in members(problem.wanted):
        less = kept & ~(1 << step)
        if _solve(problem.part(less), budget=budget, bearing=bearing).verdict is Verdict.UNSATISFIABLE:
            kept = less
    return kept
