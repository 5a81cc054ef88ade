"""How the rest of a chain stands: who can take which step, and how many of them may be away.

Guarantees: a person is named for a step exactly when he or she could take it next to what has been done,
whoever takes the others. `absences` is a number of persons of whom any may be away and the rest can be done
all the same: each set of so many was tried. It is the greatest such number where `exact`; else trying ended
first, at `MOST_ABSENCES` or when the work was spent, or it cannot be told. That the rest cannot be done, or
not without somebody, is said where that is proven: whatever the facts that are not known yet turn out to be,
and in whatever order it is taken. The same problem gives the same answer: work is counted, and takes some
tenths of a second at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Final, NamedTuple

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
    could not be told.
    """

    steps: tuple[StepOutlook, ...]
    verdict: Verdict
    stranded: tuple[str, ...] = ()
    absences: int = 0
    exact: bool = False
    critical: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()


class Orders(NamedTuple):
    """The same rest in every order in which it may be taken: problems of the same groups of people, whose
    wanted numbers stand for `steps`, those of several votes more than once."""

    problems: Sequence[Problem]
    steps: Mapping[int, str]

    def stranded(self, budget: Budget) -> tuple[str, ...]:
        """The steps that cannot be done together in any of the orders, if none of them can be done."""
        # Each of several orders fails for reasons of its own.
        numbers = self.steps if len(self.problems) > 1 else members(conflict(self.problems[0], budget=budget))
        return tuple(dict.fromkeys(self.steps[number] for number in numbers))


def outlook_of(possible: Orders, proof: Orders, *, people: Sequence[tuple[str, ...]]) -> Outlook:
    """The outlook of a rest that can be done if any of the problems in `possible` can be solved, and cannot
    if there are problems in `proof` and none of them can; `people` are the groups of all of them."""
    possible = possible._replace(problems=[_without_empty(problem) for problem in possible.problems])
    takes = Counter(possible.steps.values())
    first = {step: number for number, step in sorted(possible.steps.items(), reverse=True)}
    told = tuple(
        StepOutlook(step, takes[step], _able(possible.problems, number, people=people))
        for step, number in sorted(first.items(), key=lambda item: item[1])
    )
    budget = Budget(WORK)
    verdict = _verdict(possible, proof, budget=budget)
    if verdict is Verdict.UNSATISFIABLE:
        return Outlook(told, verdict, proof.stranded(budget), exact=True)
    if verdict is Verdict.GAVE_UP or not told:
        return Outlook(told, verdict, exact=not told)
    critical: list[str] = []
    untold: list[str] = []
    for away in _ways(possible.problems, 1):
        alone = _verdict(possible, proof, away=away, budget=Budget(WORK // 10))
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
    absences, exact = _survived(possible, proof, budget)
    return Outlook(told, verdict, absences=absences, exact=exact)


def _verdict(possible: Orders, proof: Orders, *, budget: Budget, away: Sequence[int] = ()) -> Verdict:
    """Whether the rest can be done while one person of each of these groups is away."""
    if any(_solved(problem, away, budget) is Verdict.SATISFIABLE for problem in possible.problems):
        return Verdict.SATISFIABLE
    if proof.problems and all(
        _solved(problem, away, budget) is Verdict.UNSATISFIABLE for problem in proof.problems
    ):
        return Verdict.UNSATISFIABLE
    return Verdict.GAVE_UP


def _solved(problem: Problem, away: Sequence[int], budget: Budget) -> Verdict:
    return solve(_without(problem, away), budget=budget).verdict


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


def _survived(possible: Orders, proof: Orders, budget: Budget) -> tuple[int, bool]:
    """How many absences the rest survives, one at least, and whether one more would strand it."""
    tried = 0
    for count in range(2, MOST_ABSENCES + 1):
        for away in _ways(possible.problems, count):
            tried += 1
            if tried > MOST_TRIED:
                return count - 1, False
            verdict = _verdict(possible, proof, away=away, budget=budget)
            if verdict is not Verdict.SATISFIABLE:
                return count - 1, verdict is Verdict.UNSATISFIABLE
    return MOST_ABSENCES, False


def _ways(problems: Sequence[Problem], count: int) -> Iterator[tuple[int, ...]]:
    """The ways in which `count` of those who can do anything may be away, as their groups."""
    useful = 0
    for problem in problems:
        for number in members(problem.wanted):
            useful |= problem.can[number]
    sizes = problems[0].sizes
    for away in combinations_with_replacement(members(useful), count):
        if all(sizes[group] >= many for group, many in Counter(away).items()):
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


def _able(problems: Sequence[Problem], number: int, *, people: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Who could take one step by itself."""
    found: list[str] = []
    for group, persons in enumerate(people):
        for problem in problems:
            if not problem.can[number] >> group & 1:
                continue
            alone = problem.part(1 << number)
            alone = replace(alone, can=(*alone.can[:number], 1 << group, *alone.can[number + 1 :]))
            if solve(alone, budget=Budget(WORK // 10)).verdict is Verdict.SATISFIABLE:
                found += persons
                break
    return tuple(sorted(found))
