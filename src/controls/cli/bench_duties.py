"""What looking ahead costs: whether the rest of a chain can be done, asked of large desks and long chains.

The desks are made up, with every kind of constraint that says something of the rest of a chain, and harder
than real ones: three in ten pairs of steps are kept apart, people have departments that must differ, and on
every other desk some steps are granted to a handful of people only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from random import Random
from time import process_time
from typing import Final

from controls.duties.lookahead import LookAhead, Taken
from controls.model.chain import Act, ActState, Capacity, ChainHistory, ChainKind, Step, Votes
from controls.model.crowd import Crowd
from controls.model.duty import Constraint, ConstraintKind, Grant
from controls.model.finding import Effect, Text
from controls.model.people import Profile

# Steps of the chain and people of the desk.
SIZES: Final = ((12, 1_000), (12, 10_000), (15, 10_000), (18, 1_000), (18, 10_000))
DESKS: Final = 20
CHAINS: Final = 50  # asked about on each desk
NOW: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NO_TEXT: Final = Text("", "")


@dataclass(frozen=True, slots=True)
class LookAheadCost:
    """What one size costs, in processor time.

    `grouped` is what it takes to group a desk's people, in milliseconds, done when the directory changes;
    `p50`, `p99` and `largest` are milliseconds of one question that was not asked before, `kept` microseconds
    of one that was. `stranded` and `unknown` say how many of the questions ended so.
    """

    steps: int
    people: int
    questions: int
    groups: int
    grouped: float
    p50: float
    p99: float
    largest: float
    kept: float
    stranded: int
    unknown: int


def measure_look_ahead() -> list[LookAheadCost]:
    """Every size, smallest first."""
    return [_measure(steps, people) for steps, people in SIZES]


def _measure(steps: int, people: int) -> LookAheadCost:
    times: list[float] = []
    grouped: list[float] = []
    groups: list[int] = []
    again = 0.0
    rules: list[str] = []
    for number in range(DESKS):
        random = Random(f"{steps} {people} {number}")  # noqa: S311  # the same desks in every run
        desk = _Desk(random, steps=steps, people=people, scarce=number % 2 == 1)
        questions = [desk.question(random) for _ in range(CHAINS)]
        started = process_time()
        groups.append(desk.ahead.groups(questions[0].kind, crowd=desk.crowd))
        grouped.append(process_time() - started)
        for taken in questions:
            started = process_time()
            found = desk.ahead.finding(taken, crowd=desk.crowd)
            times.append(process_time() - started)
            rules.append("" if found is None else found.rule)
        started = process_time()
        for taken in questions:
            desk.ahead.finding(taken, crowd=desk.crowd)
        again += process_time() - started
    times.sort()
    return LookAheadCost(
        steps=steps,
        people=people,
        questions=len(times),
        groups=max(groups),
        grouped=1e3 * max(grouped),
        p50=1e3 * times[len(times) // 2],
        p99=1e3 * times[len(times) * 99 // 100],
        largest=1e3 * times[-1],
        kept=1e6 * again / len(times),
        stranded=rules.count("would_strand"),
        unknown=rules.count("strand_unknown"),
    )


class _Desk:
    """A chain kind, its rules, and the people of one desk."""

    def __init__(self, random: Random, *, steps: int, people: int, scarce: bool) -> None:
        names = [f"step{number:02}" for number in range(steps)]
        self._votes = {random.choice(names[2:]): Votes(2)}
        self._kind = ChainKind(
            id="bench",
            title=NO_TEXT,
            resource="item",
            steps=tuple(
                Step(
                    name,
                    NO_TEXT,
                    after=tuple(names[max(0, at - 1) : at]),
                    votes=self._votes[name].needed if name in self._votes else 1,
                )
                for at, name in enumerate(names)
            ),
        )
        self._names = names
        few = random.sample(names, 3) if scarce else []
        many = [name for name in names if name not in few]
        roles: dict[str, frozenset[str]] = {}
        for number in range(people):
            pool = few if number < 4 else many
            held = random.sample(pool, min(len(pool), random.choice((1, 2, 2, 3))))
            # Each of the few steps is somebody's at least, else no chain could be under way.
            roles[f"p{number:05}"] = frozenset((*held, *few[number : number + 1]))
        profiles = {
            person: Profile(person, department=f"d{random.randrange(20)}", reports_to=person)
            for person in roles
        }
        self.crowd = Crowd(roles, profiles)
        self._able = {name: [person for person, held in roles.items() if name in held] for name in names}
        self.ahead = LookAhead(
            [Grant(name, name, (name,), "item") for name in names],
            {name: frozenset() for name in names},
            tuple(self._constraints(random)),
            [self._kind],
        )

    def _constraints(self, random: Random) -> Iterator[Constraint]:
        names = self._names
        pairs = [pair for pair in combinations(names, 2) if random.random() < 0.3]
        for number, pair in enumerate(pairs):
            yield _constraint(f"apart{number}", ConstraintKind.SEPARATE, *pair)
        free = [pair for pair in combinations(names, 2) if pair not in pairs]
        yield _constraint("same", ConstraintKind.BIND, *random.choice(free))
        yield _constraint("few", ConstraintKind.AT_MOST, *names, limit=3)
        yield _constraint("many", ConstraintKind.AT_LEAST, *names, limit=len(names) // 3)
        yield _constraint("ring", ConstraintKind.COALITION, *random.sample(names, 4), limit=3)
        two = random.sample(names, 2)
        yield replace(_constraint("other", ConstraintKind.RELATION, *two), differ=("department",))
        (voted,) = self._votes
        other = tuple(random.sample([name for name in names if name != voted], 1))
        yield replace(_constraint("votes", ConstraintKind.VOTES, voted, limit=2), distinct_from=other)

    def question(self, random: Random) -> Taken:
        """Somebody takes a step somewhere along the chain, after others that were taken by anybody able."""
        at = random.randrange(len(self._names) - 1)
        acts = tuple(self._act(random, name, number) for number, name in enumerate(self._names[: at + 1]))
        return Taken(self._kind, ChainHistory("bench", "B-1", acts[:-1], self._votes), acts[-1], {})

    def _act(self, random: Random, step: str, number: int) -> Act:
        return Act(
            claim=f"claim{number}",
            decision="",
            chain="B-1",
            step=step,
            person=random.choice(self._able[step]),
            account="",
            capacity=Capacity.ACTOR,
            state=ActState.PERFORMED,
            at=NOW,
            done_at=NOW,
            valid_until=NOW + timedelta(hours=24),
            index=number,
        )


def _constraint(name: str, kind: ConstraintKind, *steps: str, limit: int = 0) -> Constraint:
    return Constraint(
        id=name,
        version="1",
        kind=kind,
        chain="bench",
        then=Effect.DENY,
        title=NO_TEXT,
        steps=steps,
        limit=limit,
    )
