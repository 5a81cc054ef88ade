"""Satisfiability problems at random, what it means to solve one, and CP-SAT's word on it.

Written from the docstrings of `satisfiability_problem`, person by person, without groups, blocks or bitsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations, permutations
from random import Random
from typing import TypeAlias

from ortools.sat.python import cp_model

from controls.duties.satisfiability_problem import Apart, Cap, Past, Problem, Ring, Spread

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
            held = set(taken) | set(steps_in(past.held & cap.steps))
            if past.more + size(cap, held) > cap.most:
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
        for (first, one), (second, other) in combinations(sorted(witness.items()), 2):
            if one != other and different(apart, first, second) and apart.foes[one[0]] >> other[0] & 1:
                said.append(f"{one} and {other} are foes")
    for ring in problem.rings:
        if ring.steps & problem.wanted:
            hands = [{number(problem, one) for one in takers(steps)} | had for steps, had in ring.things]
            people = sorted(set().union(*hands), key=str)
            said += [
                f"{group} are enough for {ring}"
                for few in range(ring.people)
                for group in combinations(people, few)
                if all(have.intersection(group) or not have for have in hands)
            ]
    return said


def size(cap: Cap, held: set[int]) -> int:
    """How many steps, or parts that hold them, by trying every number of parts."""
    if not cap.parts:
        return len(held)
    wanted = {step for step in held if any(part >> step & 1 for part in cap.parts)}
    return next(
        few
        for few in range(len(cap.parts) + 1)
        for parts in combinations(cap.parts, few)
        if all(any(part >> step & 1 for part in parts) for step in wanted)
    )


def different(apart: Apart, one: int, other: int) -> bool:
    """Whether two steps of one cap are compared."""
    both = 1 << one | 1 << other
    return one != other and both & ~apart.steps == 0 and not any(both & ~alike == 0 for alike in apart.alike)


def number(problem: Problem, person: Somebody) -> int | Somebody:
    """How a ring calls a person: by the group where it has nobody else."""
    return person[0] if problem.sizes[person[0]] == 1 else person


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
            if not own:
                continue
            parts = cap.parts or tuple(1 << step for step in steps_in(cap.steps))
            used = [model.new_bool_var("") for _ in parts]  # a cover, which is small enough
            model.add(sum(used) + past.more <= cap.most).only_enforce_if(any_of(own))
            for step in steps_in(cap.steps):
                holding = [one for one, part in zip(used, parts, strict=True) if part >> step & 1]
                if holding and past.held >> step & 1:
                    model.add(sum(holding) >= 1)
                elif holding and (person, step) in takes:
                    model.add(sum(holding) >= takes[person, step])
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
        for one, other in permutations(people, 2):
            if apart.foes[one[0]] >> other[0] & 1:
                for first, second in permutations(wanted, 2):
                    if different(apart, first, second):
                        model.add_at_most_one([*of(one, [first]), *of(other, [second])])
    for ring in problem.rings:
        if ring.steps & problem.wanted:
            everyone = {number(problem, person) for person in people}
            everyone |= {one for _, had in ring.things for one in had}
            groups = (
                group for few in range(ring.people) for group in combinations(sorted(everyone, key=str), few)
            )
            for group in groups:
                missed = []  # something that nobody of the group has a hand in
                for steps, had in ring.things:
                    if not (steps & problem.wanted or had) or had.intersection(group):
                        continue
                    one = model.new_bool_var("")
                    able = [
                        of(person, steps_in(steps)) for person in people if number(problem, person) in group
                    ]
                    model.add(sum(sum(taken) for taken in able) == 0).only_enforce_if(one)
                    missed.append(one)
                model.add_bool_or(missed)
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
        over, old = some(), random.sample(range(people), random.choice((0, 0, 1, min(2, people))))
        past = [Past(1 << group, random.randint(0, every), random.choice((0, 0, 0, 1))) for group in old]
        parts = tuple(some() for _ in range(random.choice((0, 0, 0, 2, 3))))
        caps.append(Cap(over, random.choice((0, 1, 1, 1, 2, 2, 3)), tuple(past), parts))
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
        alike = (some(),) if random.random() < 0.3 else ()
        aparts.append(
            Apart(some(), tuple(found | (own & 1 << group) for group, found in enumerate(foes)), alike)
        )
    rings = []
    for _ in range(random.choice((0, 0, 1))):
        others = [*alone, -1, -2]
        things = [
            (1 << step, frozenset(random.sample(others, random.choice((0, 0, 1, min(2, len(others)))))))
            for step in steps_in(some())
        ]
        things += [(0, frozenset(random.sample(others, 1))) for _ in range(random.choice((0, 1, 2)))]
        rings.append(Ring(random.randint(1, 4), tuple(things)))
    return Problem(sizes, can, wanted, tuple(caps), tuple(spreads), tuple(aparts), tuple(rings))
