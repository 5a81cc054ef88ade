"""Can the rest of a chain still be done, and if not, which steps stand in each other's way?

Guarantees: `solve` is exact within its budget, and says so when that ends first (`Verdict.GAVE_UP`); a
witness keeps every constraint of the problem. `conflict` names steps that cannot be done together although
they could without any one of them, so that each of them is part of the reason.

Which constraints are in a problem is the caller's choice; of duty constraints only those that deny belong
there: what asks for a review can be had with a supervisor's approval, so it strands nothing.
"""

from __future__ import annotations

from controls.duties.satisfiability_problem import Answer, Budget, BudgetSpent, Problem, Verdict, members
from controls.duties.satisfiability_search import Search

__all__ = ["Answer", "Budget", "Problem", "Verdict", "conflict", "solve"]


def solve(problem: Problem, *, budget: Budget) -> Answer:
    """Whether every wanted step can have a person, with an assignment that shows it."""
    try:
        found = Search(problem, budget=budget).run()
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


def conflict(problem: Problem, *, budget: Budget) -> int:
    """The steps of an unsatisfiable problem that cannot be done together, none of them in vain.

    Late steps are kept rather than early ones: they are the ones that would be found impossible. Where the
    budget ends first the set may hold more than it must.
    """
    kept = problem.wanted
    for step in members(kept):
        alone = problem.part(1 << step)
        if solve(alone, budget=budget).verdict is Verdict.UNSATISFIABLE:
            return 1 << step
    for step in members(problem.wanted):
        less = kept & ~(1 << step)
        if solve(problem.part(less), budget=budget).verdict is Verdict.UNSATISFIABLE:
            kept = less
    return kept
