"""How the rest of a chain stands: who can take which step, and how many of them may be away.

Guarantees: a person is named for a step exactly when he or she could take it next to what has been done,
whoever takes the others. `absences` is a number of persons of whom any may be away and the rest can be done
all the same: each set of so many was tried. It is the greatest such number where `exact`; else trying ended
first, at `MOST_ABSENCES` or when the work was spent. The same problem gives the same answer: work is counted,
and takes some tenths of a second at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Final

from controls.duties.satisfiability import Budget, Problem, Verdict, conflict, solve
from controls.duties.satisfiability_problem import members

# Nobody plans for more of them away at once.
MOST_ABSENCES: Final = 4
# Work for one outlook: searching, and ways to be away that are tried.
WORK: Final = 20_000
MOST_TRIED: Final = 2_000


@dataclass(frozen=True, slots=True)
class StepOutlook:
    """A step that remains, how many persons it still takes, and all who could."""

    step: str
    takes: int
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outlook:
    """The rest of a chain.

    `verdict` says whether it can be done, and `stranded` which steps cannot be done together where not.
    `critical` are the persons without any one of whom it could not; whether that holds of those in `untold`
    was too much work to tell.
    """

    steps: tuple[StepOutlook, ...]
    verdict: Verdict
    stranded: tuple[str, ...] = ()
    absences: int = 0
    exact: bool = False
    critical: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()


def outlook_of(problem: Problem, steps: Mapping[int, str], *, people: Sequence[tuple[str, ...]]) -> Outlook:
    """The outlook of a problem whose wanted numbers stand for `steps`, those of several votes more than once,
    and whose groups are `people`."""
    problem = _without_empty(problem)
    takes = Counter(steps.values())
    first = {step: number for number, step in sorted(steps.items(), reverse=True)}
    told = tuple(
        StepOutlook(step, takes[step], _able(problem, number, people=people))
        for step, number in sorted(first.items(), key=lambda item: item[1])
    )
    budget = Budget(WORK)
    verdict = solve(problem, budget=budget).verdict
    if verdict is Verdict.UNSATISFIABLE:
        found = conflict(problem, budget=budget)
        stranded = tuple(dict.fromkeys(steps[number] for number in members(found)))
        return Outlook(told, verdict, stranded, exact=True)
    if verdict is Verdict.GAVE_UP or not told:
        return Outlook(told, verdict, exact=not told)
    critical: list[str] = []
    untold: list[str] = []
    for away in _ways(problem, 1):
        alone = solve(_without(problem, away), budget=Budget(WORK // 10)).verdict
        if alone is not Verdict.SATISFIABLE:
            (group,) = away
            (critical if alone is Verdict.UNSATISFIABLE else untold).extend(people[group])
    if critical or untold:
        return Outlook(
            told,
            verdict,
            exact=bool(critical),
            critical=tuple(sorted(critical)),
            untold=tuple(sorted(untold)),
        )
    absences, exact = _survived(problem, budget)
    return Outlook(told, verdict, absences=absences, exact=exact)


def outlook_of_lines(each: Sequence[Outlook], *, together: Outlook) -> Outlook:
    """The outlook of a chain on several lines. Whoever takes a step takes it on every one of them, so what is
    proven impossible on one is impossible; what is possible `together`, which is stricter, is possible."""
    critical = {person for one in each for person in one.critical}
    untold = {person for one in (*each, together) for person in (*one.untold, *one.critical)} - critical
    steps = tuple(
        replace(first, people=tuple(sorted(set(first.people).intersection(*(step.people for step in rest)))))
        for first, *rest in zip(*(one.steps for one in each), strict=True)
    )
    stranded = next((one for one in each if one.verdict is Verdict.UNSATISFIABLE), None)
    if stranded is not None:
        return replace(stranded, steps=steps)
    if together.verdict is not Verdict.SATISFIABLE:
        return Outlook(steps, Verdict.GAVE_UP)
    least = 0 if critical or untold else together.absences
    return Outlook(
        steps,
        Verdict.SATISFIABLE,
        absences=least,
        exact=bool(critical) or any(one.exact and one.absences == least for one in each),
        critical=tuple(sorted(critical)),
        untold=tuple(sorted(untold)),
    )


def _survived(problem: Problem, budget: Budget) -> tuple[int, bool]:
    """How many absences the rest survives, one at least, and whether one more would strand it."""
    tried = 0
    for count in range(2, MOST_ABSENCES + 1):
        for away in _ways(problem, count):
            tried += 1
            if tried > MOST_TRIED:
                return count - 1, False
            verdict = solve(_without(problem, away), budget=budget).verdict
            if verdict is not Verdict.SATISFIABLE:
                return count - 1, verdict is Verdict.UNSATISFIABLE
    return MOST_ABSENCES, False


def _ways(problem: Problem, count: int) -> Iterator[tuple[int, ...]]:
    """The ways in which `count` of those who can do anything may be away, as their groups."""
    useful = 0
    for number in members(problem.wanted):
        useful |= problem.can[number]
    for away in combinations_with_replacement(members(useful), count):
        if all(problem.sizes[group] >= many for group, many in Counter(away).items()):
            yield away


def _without(problem: Problem, away: Sequence[int]) -> Problem:
    """The problem with one person fewer in each of these groups."""
    sizes = list(problem.sizes)
    for group in away:
        sizes[group] -= 1
    return _without_empty(replace(problem, sizes=tuple(sizes)))


def _without_empty(problem: Problem) -> Problem:
    """The same, where groups of nobody can take nothing."""
    empty = sum(1 << group for group, size in enumerate(problem.sizes) if not size)
    return replace(problem, can=tuple(found & ~empty for found in problem.can)) if empty else problem


def _able(problem: Problem, number: int, *, people: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Who could take one step by itself."""
    alone = problem.part(1 << number)
    found: list[str] = []
    for group in members(problem.can[number]):
        can = (*alone.can[:number], 1 << group, *alone.can[number + 1 :])
        if solve(replace(alone, can=can), budget=Budget(WORK // 10)).verdict is Verdict.SATISFIABLE:
            found += people[group]
    return tuple(sorted(found))
