"""The satisfiability solver: against CP-SAT, against labelled instances, and by its laws."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.satisfiability import Answer, Budget, Problem, Verdict, conflict, solve
from controls.duties.satisfiability_problem import MOST_STEPS, Apart, Cap, Spread
from tests.conftest import LONG_RUN
from tests.duties.problems import a_problem, broken, by_cp_sat, steps_in

PLENTY = 1_000_000
INSTANCES = 20_000 if LONG_RUN else 400

problems = st.integers(min_value=0, max_value=2**32).map(lambda seed: a_problem(Random(seed)))


def answer(problem: Problem, *, work: int = PLENTY) -> Answer:
    return solve(problem, budget=Budget(work))


def satisfiable(problem: Problem) -> bool:
    found = answer(problem)
    assert found.verdict is not Verdict.GAVE_UP
    return found.verdict is Verdict.SATISFIABLE


@pytest.mark.differential
def test_cp_sat_says_the_same() -> None:
    """Every random problem gets the verdict of an independent model, and every witness is checked."""
    seen = {True: 0, False: 0}
    for seed in range(INSTANCES):
        problem = a_problem(Random(seed))
        found = answer(problem)
        expected = by_cp_sat(problem)
        assert (found.verdict is Verdict.SATISFIABLE) is expected, (seed, problem)
        if found.witness is not None:
            assert broken(problem, found.witness) == [], (seed, problem)
        seen[expected] += 1
    assert min(seen.values()) > INSTANCES // 4, f"one-sided: {seen}"


@pytest.mark.differential
def test_cp_sat_says_the_same_of_long_chains() -> None:
    """Twelve steps and more people, where the search has something to do."""
    for seed in range(2_000 if LONG_RUN else 25):
        problem = a_problem(Random(seed), steps=12, groups=14)
        found = answer(problem)
        assert (found.verdict is Verdict.SATISFIABLE) is by_cp_sat(problem), (seed, problem)
        if found.witness is not None:
            assert broken(problem, found.witness) == [], (seed, problem)


# -- labelled instances of the literature --------------------------------------------------------------------


def instance_problems(instance: dict[str, Any]) -> list[Problem]:
    """The instance as problems of which one must be satisfiable: one for each choice of teams.

    `sep` and `bin`: different persons, the same one. `amk`: at most k persons over the steps. `ott`: all of
    the steps by persons of one of the teams.
    """
    steps, users = instance["steps"], range(1, instance["users"] + 1)
    authorised = {user: instance["authorisations"].get(str(user), range(1, steps + 1)) for user in users}
    can = [sum(1 << user - 1 for user in users if step in authorised[user]) for step in range(1, steps + 1)]

    def mask(numbers: list[int]) -> int:
        return sum(1 << number - 1 for number in set(numbers))

    caps, spreads, choices = [], [], [can]
    for kind, *said in instance["constraints"]:
        if kind == "sep":
            caps.append(Cap(mask(said), 1))
        elif kind == "bin":
            spreads.append(Spread(mask(said), most=1))
        elif kind == "amk":
            spreads.append(Spread(mask(said[1]), most=said[0]))
        else:
            assert kind == "ott", kind
            choices = [
                [found & mask(team) if step + 1 in said[0] else found for step, found in enumerate(choice)]
                for choice in choices
                for team in said[1]
            ]
    return [
        Problem((1,) * len(users), tuple(choice), (1 << steps) - 1, tuple(caps), tuple(spreads))
        for choice in choices
    ]


def test_the_labelled_instances_get_their_labels(shared_data: Path) -> None:
    """All sixty, and the published solutions are solutions in our words too."""
    with gzip.open(shared_data / "wsp" / "instances.json.gz") as file:
        instances = json.load(file)
    assert len(instances) == 60
    for instance in instances:
        found = instance_problems(instance)
        answers = [answer(problem) for problem in found]
        told = "sat" if any(item.verdict is Verdict.SATISFIABLE for item in answers) else "unsat"
        assert told == instance["label"], instance["name"]
        for problem, item in zip(found, answers, strict=True):
            assert item.witness is None or broken(problem, item.witness) == []
        if instance["solution"]:
            published = {int(step) - 1: (user - 1, 0) for step, user in instance["solution"].items()}
            assert any(broken(problem, published) == [] for problem in found), instance["name"]


def test_teams_are_a_choice_between_problems() -> None:
    """No labelled instance has `ott`, so here is one: two steps by one team, of which one can do both."""
    instance = {
        "steps": 2,
        "users": 4,
        "authorisations": {"1": [1], "2": [1], "3": [1], "4": [2]},
        "constraints": [["sep", 1, 2], ["ott", [1, 2], [[1, 2], [3, 4]]]],
    }
    assert [satisfiable(problem) for problem in instance_problems(instance)] == [False, True]


# -- laws ----------------------------------------------------------------------------------------------------


@given(problems, st.integers(min_value=0, max_value=6))
def test_more_people_never_make_it_impossible(problem: Problem, group: int) -> None:
    """Nobody is ever in the way: the newcomer takes nothing, if need be."""
    larger = [size + (index == group) for index, size in enumerate(problem.sizes)]
    known = [spread.known for spread in problem.spreads]
    hands = [had for ring in problem.rings for _, had in ring.things]
    # Whoever is counted already is one person.
    if not any(found >> group & 1 for found in known) and not any(group in had for had in hands):
        assert satisfiable(replace(problem, sizes=tuple(larger))) >= satisfiable(problem)


@given(problems)
def test_each_constraint_only_forbids(problem: Problem) -> None:
    """Leaving one out never makes it impossible."""
    possible = satisfiable(problem)
    for field in ("caps", "spreads", "aparts", "rings"):
        given_ = getattr(problem, field)
        for index in range(len(given_)):
            fewer = replace(problem, **{field: given_[:index] + given_[index + 1 :]})
            assert satisfiable(fewer) >= possible


@given(problems)
def test_a_part_is_never_harder(problem: Problem) -> None:
    """What can be done as a whole can be done in part."""
    possible = satisfiable(problem)
    for step in steps_in(problem.wanted):
        assert satisfiable(problem.part(problem.wanted & ~(1 << step))) >= possible


@given(problems)
def test_the_conflict_is_one_and_each_of_its_steps_matters(problem: Problem) -> None:
    """None of it can be done by anybody or, where there is no such step, all but any one of it could be."""
    if satisfiable(problem):
        return
    found = conflict(problem, budget=Budget(PLENTY))
    assert found
    assert found & ~problem.wanted == 0
    assert not satisfiable(problem.part(found))
    alone = [satisfiable(problem.part(1 << step)) for step in steps_in(found)]
    rest = [satisfiable(problem.part(found & ~(1 << step))) for step in steps_in(found)]
    assert not any(alone) or all(rest)


@given(problems, st.integers(min_value=0, max_value=2**32))
def test_the_order_of_groups_says_nothing(problem: Problem, seed: int) -> None:
    """The verdict is the same whatever the groups are called."""
    groups = list(range(len(problem.sizes)))
    Random(seed).shuffle(groups)

    def renamed(found: int) -> int:
        return sum(1 << groups[group] for group in range(len(groups)) if found >> group & 1)

    def moved(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(value for _, value in sorted(zip(groups, values, strict=True)))

    other = Problem(
        moved(problem.sizes),
        tuple(map(renamed, problem.can)),
        problem.wanted,
        tuple(
            replace(cap, past=tuple(replace(past, groups=renamed(past.groups)) for past in cap.past))
            for cap in problem.caps
        ),
        tuple(replace(spread, known=renamed(spread.known)) for spread in problem.spreads),
        tuple(
            replace(apart, foes=moved(tuple(renamed(found) for found in apart.foes)))
            for apart in problem.aparts
        ),
        tuple(
            replace(
                ring,
                things=tuple(
                    (steps, frozenset(one if one < 0 else groups[one] for one in had))
                    for steps, had in ring.things
                ),
            )
            for ring in problem.rings
        ),
    )
    assert answer(other).verdict is answer(problem).verdict


# -- budget and bounds ---------------------------------------------------------------------------------------


def a_hard_one(colours: int) -> Problem:
    """Mycielski's graph (1955), whose vertices need one colour more, though no three touch each other: its
    vertices are steps, its edges pairs to be kept apart, and its colours persons who may take any step."""
    edges, steps = [(0, 1)], 2
    for _ in range(colours - 1):
        copies = [(one, other + steps) for one, other in edges] + [
            (other, one + steps) for one, other in edges
        ]
        edges += copies + [(step + steps, 2 * steps) for step in range(steps)]
        steps = 2 * steps + 1
    anybody, caps = (1 << colours) - 1, (Cap(1 << one | 1 << other, 1) for one, other in edges)
    return Problem((1,) * colours, (anybody,) * steps, (1 << steps) - 1, tuple(caps))


def test_the_budget_ends_the_search_with_neither_yes_nor_no() -> None:
    """Neither a solution nor a proof; and the same amount of work gives the same answer."""
    assert answer(a_hard_one(3), work=20) == Answer(Verdict.GAVE_UP)
    assert answer(a_hard_one(3), work=20) == Answer(Verdict.GAVE_UP)
    assert answer(a_hard_one(3)) == Answer(Verdict.UNSATISFIABLE)
    ticks = count()
    late = Budget(PLENTY, expired=lambda: next(ticks) >= 3)
    assert solve(a_hard_one(4), budget=late).verdict is Verdict.GAVE_UP
    assert next(ticks) == 4  # asked now and then, not at every node
    assert late.spent == 128


def test_where_the_budget_ends_the_conflict_is_too_large_and_not_wrong() -> None:
    """All steps are a conflict, if not the least one: of this graph each one matters."""
    assert conflict(a_hard_one(3), budget=Budget(20)) == a_hard_one(3).wanted
    assert conflict(a_hard_one(3), budget=Budget(PLENTY)) == a_hard_one(3).wanted


def test_nothing_to_do_can_be_done_by_nobody() -> None:
    """A chain whose steps are all taken is satisfiable, whatever the constraints say."""
    nobody = Problem((), (0, 0), 0, (Cap(3, 0),), (Spread(3, least=9),))
    assert answer(nobody) == Answer(Verdict.SATISFIABLE, {})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Problem((1,), (1,) * (MOST_STEPS + 1), 1), f"at most {MOST_STEPS} can be solved"),
        (lambda: Problem((1,), (2,), 1), "none of the 1"),
        (lambda: Problem((1,), (-1,), 1), "none of the 1"),
        (lambda: Problem((1,), (1,), 2), "none of the 1"),
        (lambda: Problem((-1,), (1,), 1), "fewer than no persons"),
        (lambda: Problem((1,), (1,), 1, aparts=(Apart(1, ()),)), "each of the 1 groups"),
    ],
)
def test_numbers_out_of_range_are_told(wrong: Any, said: str) -> None:
    """A problem that means nothing is not solved."""
    with pytest.raises(ValueError, match=said):
        wrong()
