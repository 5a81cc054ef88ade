"""Satisfiability problems at random, what it means to solve one, and CP-SAT's word on it.

Written from the docstrings of `satisfiability_problem`, person by person, without groups, blocks or bitsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from random import Random
from typing import TypeAlias

from ortools.sat.python import cp_model

from controls.duties.satisfiability_problem import Apart, Cap, Past, Problem, Spread

Somebody: TypeAlias = tuple[int, int]  # group and number within it


def steps_in(found: int) -> list[int]:
    return [step for step in range(found.bit_length()) if found >> step & 1]


def everybody(problem: Problem) -> list[Somebody]:
    return [(group, number) for group, size in enumerate(problem.sizes) for number in range(size)]


def counted(cap: Cap, person: Somebody) -> Past:
    """What counts against the person under the cap already."""
    return next((past for past in cap.past if past.groups >> person[0] & 1), Past(0, 0))


def broken(problem: Problem, witness: Mapping[int, Somebody]) -> list[str]:
    """What is wrong with an assignment; nothing when it solves the problem."""
    said: list[str] = []
    if sorted(witness) != steps_in(problem.wanted):
        said.append("not every wanted step, or another one, is assigned")
    people = set(everybody(problem))
    for step, person in witness.items():
        if person not in people:
            said.append(f"{person} does not exist")
        elif not problem.can[step] >> person[0] & 1:
            said.append(f"{person} may not take {step}")

    def takers(steps: int) -> set[Somebody]:
        return {person for step, person in witness.items() if steps >> step & 1}

    for cap in problem.caps:
        for person in takers(cap.steps):
            past = counted(cap, person)
            taken = [step for step in steps_in(cap.steps) if witness.get(step) == person]
            new = [step for step in taken if not past.again >> step & 1]
            if past.count + len(new) > cap.most:
                said.append(f"{person} has too many of {cap}")
    for spread in problem.spreads:
        if not spread.steps & problem.wanted:
            continue
        count = spread.already + sum(
            1 for person in takers(spread.steps) if not spread.known >> person[0] & 1
        )
        if count < spread.least or (spread.most is not None and count > spread.most):
            said.append(f"{count} persons break {spread}")
    for apart in problem.aparts:
        for one, other in combinations(sorted(takers(apart.steps)), 2):
            if apart.foes[one[0]] >> other[0] & 1:
                said.append(f"{one} and {other} are foes")
    return said


def by_cp_sat(problem: Problem) -> bool:
    """Whether CP-SAT finds the problem satisfiable."""
    model = cp_model.CpModel()
    people = everybody(problem)
    wanted = steps_in(problem.wanted)
    takes = {
        (person, step): model.new_bool_var("")
        for step in wanted
        for person in people
        if problem.can[step] >> person[0] & 1
    }

    def of(person: Somebody, steps: Iterable[int]) -> list[cp_model.IntVar]:
        return [takes[person, step] for step in steps if (person, step) in takes]

    def any_of(found: list[cp_model.IntVar]) -> cp_model.IntVar:
        one = model.new_bool_var("")
        model.add_max_equality(one, found or [model.new_constant(0)])
        return one

    for step in wanted:
        model.add_exactly_one([takes[person, step] for person in people if (person, step) in takes])
    for cap in problem.caps:
        for person in people:
            past = counted(cap, person)
            own = of(person, steps_in(cap.steps))
            new = of(person, steps_in(cap.steps & ~past.again))
            if own:
                model.add(sum(new) + past.count <= cap.most).only_enforce_if(any_of(own))
    for spread in problem.spreads:
        if spread.steps & problem.wanted:
            new = [
                any_of(of(person, steps_in(spread.steps)))
                for person in people
                if not spread.known >> person[0] & 1
            ]
            model.add(sum(new) + spread.already >= spread.least)
            if spread.most is not None:
                model.add(sum(new) + spread.already <= spread.most)
    for apart in problem.aparts:
        for one, other in combinations(people, 2):
            if apart.foes[one[0]] >> other[0] & 1:
                mine, theirs = (any_of(of(person, steps_in(apart.steps))) for person in (one, other))
                model.add_at_most_one([mine, theirs])
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    status = solver.solve(model)
    assert status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.INFEASIBLE), solver.status_name(status)
    return status != cp_model.INFEASIBLE


def a_problem(random: Random, *, steps: int = 7, groups: int = 7) -> Problem:
    """Any problem with at most so many steps and groups: about as many can be solved as not."""
    count, people = random.randint(1, steps), random.randint(1, groups)
    every = (1 << count) - 1
    generous = random.random() * 0.6 + 0.3
    sizes = tuple(random.choice((0, 1, 1, 1, 2, 3)) for _ in range(people))
    can = tuple(
        sum(1 << group for group in range(people) if random.random() < generous) for _ in range(count)
    )
    wanted = every if random.random() < 0.7 else random.randint(0, every)

    def some() -> int:
        chosen = random.sample(range(count), min(count, random.choice((1, 2, 2, 2, 3, 3, 4, count))))
        return sum(1 << step for step in chosen)

    caps = []
    for _ in range(random.randint(0, 4)):
        over, past = some(), []
        for group in random.sample(range(people), random.choice((0, 0, 1, min(2, people)))):
            again = over & random.randint(0, every)
            past.append(Past(1 << group, again.bit_count() + random.randint(0, 1), again))
        caps.append(Cap(over, random.choice((0, 1, 1, 1, 2, 2, 3)), tuple(past)))
    alone = [group for group, size in enumerate(sizes) if size == 1]
    spreads = []
    for _ in range(random.randint(0, 2)):
        known = sum(1 << group for group in alone if random.random() < 0.3)
        least = random.randint(0, 4) if random.random() < 0.6 else 0
        most = random.randint(1, 3) if random.random() < 0.5 else None
        spreads.append(Spread(some(), least, most, known.bit_count() + random.choice((0, 0, 1)), known))
    aparts = []
    for _ in range(random.choice((0, 0, 1, 2))):
        foes = [0] * people
        for one, other in combinations(range(people), 2):
            if random.random() < 0.25:
                foes[one] |= 1 << other
                foes[other] |= 1 << one
        own = sum(1 << group for group in range(people) if random.random() < 0.25)
        aparts.append(Apart(some(), tuple(found | (own & 1 << group) for group, found in enumerate(foes))))
    return Problem(sizes, can, wanted, tuple(caps), tuple(spreads), tuple(aparts))
