"""Whether the rest of a chain can be done: its rules and its people put together and solved.

Guarantees: `Stranded` is proven, whatever the facts that are not known yet turn out to be; the same rest of
a chain, people alike and the same truths of conditions give the same answer, because the work is bounded by
a count and not by time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from controls.duties.chain_rules import ChainRules
from controls.duties.groups import Groups
from controls.duties.outlook import Orders
from controls.duties.remaining import Bar, Hand, Part, Rest, parts_of
from controls.duties.remaining_people import Beyond, RemainingPeople
from controls.duties.satisfiability import Budget, Problem, Verdict, able, conflict, solve
from controls.duties.satisfiability_problem import Apart, Cap, Past, Ring, Spread, members
from controls.duties.turns import AS_LISTED, KINDLY, Turns, ways
from controls.model.record import record

# Units of work for one question: a fifth of a second at most, and mostly none. A lock is held meanwhile.
WORK: Final = 4_000
# Orders of the rest that an outlook looks at, each of them with everybody away in turn.
MOST_ORDERS: Final = 24

# What a condition says of the rest of the chain: that a grant is given, that a constraint applies.
NO: Final = 0
UNCLEAR: Final = 1
YES: Final = 2


class Stranded(NamedTuple):
    """Steps (numbers) that cannot be done together, and how many persons could take each by itself."""

    steps: tuple[int, ...]
    able: tuple[int, ...]


class Untold(NamedTuple):
    """It cannot be told whether the rest can be done: that depends on these grants and constraints, of which
    it is not known whether they apply; none: the search was given up, or the step is one on too many
    `lines`."""

    rules: tuple[str, ...]
    lines: int = 0


Answer: TypeAlias = Stranded | Untold | None
_Why: TypeAlias = tuple[int | None, Problem]


@record
class Remainder:
    """What remains of a chain.

    `wanted` are the steps to be done, of which those (numbers) in `votes` still take so many persons. `hands`
    says of each person so far which steps count against him or her, and which he or she holds. Where any act
    is two persons', `stands` has all acts that hold a step: the step (a bit), who acted, and for whom.
    `beyond` says of limits that reach beyond the chain, by number, what they hold against whom: the steps or,
    of a wall, that there is anything. What is forgotten within a day is not held.
    """

    wanted: int
    votes: Mapping[int, int]
    hands: Mapping[str, tuple[int, int]]
    stands: tuple[tuple[int, str, str], ...] = ()
    beyond: Beyond = ()


class Truths(NamedTuple):
    """What the conditions say: of each right, each exclusion and each limit of the chain's rules."""

    rights: Sequence[int]
    exclusions: Sequence[int]
    limits: Sequence[int]


class Forecaster:
    """Answers for one chain kind and the groups of its people.

    The groups' signs are those of `ChainRules.sign`, and after them for each personal right whether the
    person surely has it, and for each whether possibly (none of these bits: nobody has).
    """

    def __init__(self, rules: ChainRules, groups: Groups) -> None:
        self._rules = rules
        self._groups = groups
        rights, exclusions = len(rules.rights), len(rules.exclusions)
        self._holders = [groups.having(number) for number in range(rights)]
        self._breaking = [groups.having(rights + number) for number in range(exclusions)]
        for place, (index, _) in enumerate(rules.personal):
            self._holders[index] = groups.having(rights + exclusions + place)
        self._possible = {
            index: groups.having(rights + exclusions + len(rules.personal) + place)
            for place, (index, _) in enumerate(rules.personal)
        }
        self._foes = {name: groups.foes(name) for name in rules.relations}

    def possible(self, remainder: Remainder, truths: Truths) -> bool:
        """Whether `answer` is None."""
        verdict, _ = self._verdict(remainder, truths, lenient=False, budget=Budget(WORK))
        return verdict is Verdict.SATISFIABLE

    def answer(self, remainder: Remainder, truths: Truths) -> Answer:
        """What becomes of the remainder; None when it can be done, whatever becomes of what is unclear."""
        budget = Budget(WORK)
        verdict, why = self._verdict(remainder, truths, lenient=False, budget=budget)
        if verdict is Verdict.SATISFIABLE:
            return None
        unclear = self._unclear(remainder, truths)
        if unclear:
            # As much as possible in favour of those who are to do the rest: only then it is a proof.
            verdict, why = self._verdict(remainder, truths, lenient=True, budget=budget)
            if verdict is Verdict.SATISFIABLE:
                return Untold(unclear)
        if verdict is Verdict.GAVE_UP or why is None:
            return Untold(())
        numbers, problem = why
        steps = self._steps(conflict(problem, budget=budget) if numbers is None else numbers, remainder)
        return Stranded(steps, tuple(able(problem, number) for number in steps))

    def _verdict(
        self, remainder: Remainder, truths: Truths, *, lenient: bool, budget: Budget
    ) -> tuple[Verdict, _Why | None]:
        """Whether the remainder can be done in any order; why not, as steps (None: some of those wanted) of a
        problem that cannot be done together."""

        def solved(turns: Turns) -> tuple[Verdict, Problem]:
            problem = self.problem(remainder, truths, lenient=lenient, turns=turns)
            return solve(problem, budget=budget).verdict, problem

        verdict, problem = solved(AS_LISTED)
        pairs = self._open_pairs(remainder, truths, lenient=lenient)
        if verdict is Verdict.SATISFIABLE or not pairs:
            return verdict, (None, problem)
        verdict, kindest = solved(KINDLY)
        if verdict is not Verdict.SATISFIABLE:
            return verdict, (None, kindest)
        orders = self._orders(remainder, pairs)
        if orders is None:
            return Verdict.GAVE_UP, None
        for turns in orders:
            verdict, _ = solved(turns)
            if verdict is not Verdict.UNSATISFIABLE:
                return verdict, None
        # Each order fails for reasons of its own; what remains cannot be done together in any.
        return Verdict.UNSATISFIABLE, (remainder.wanted, problem)

    def _orders(self, remainder: Remainder, pairs: Sequence[tuple[str, str]]) -> Iterator[Turns] | None:
        """The orders of what remains that differ in what constraints mind; None where they are too many."""
        rules = self._rules
        if any(rules.steps[number] in pair for number in remainder.votes for pair in pairs):
            return None  # other steps may be taken between two votes
        wanted = [step for step in rules.steps if rules.bits[step] & remainder.wanted]
        return ways(rules.kind, pairs, last=rules.kind.mandatory[-1], wanted=wanted)

    def orders(self, remainder: Remainder, truths: Truths, *, lenient: bool) -> Orders:
        """The `problem` of the remainder in each order in which it may be taken. Where they are too many it
        is one of them or, when `lenient`, one that is easier than all."""
        pairs = self._open_pairs(remainder, truths, lenient=lenient)
        turns = [AS_LISTED]
        if pairs:
            found = list(islice(self._orders(remainder, pairs) or (), MOST_ORDERS + 1))
            turns = found if 0 < len(found) <= MOST_ORDERS else [KINDLY if lenient else AS_LISTED]
        problems = [self.problem(remainder, truths, lenient=lenient, turns=one) for one in turns]
        further, steps = self.further(remainder), self._rules.steps
        wanted = members(problems[0].wanted)
        return Orders(problems, {number: steps[further.get(number, number)] for number in wanted})

    def _open_pairs(
        self, remainder: Remainder, truths: Truths, *, lenient: bool
    ) -> tuple[tuple[str, str], ...]:
        """The pairs of remaining steps whose order the chain leaves open, and a constraint minds."""
        bits, wanted = self._rules.bits, remainder.wanted
        return tuple(
            dict.fromkeys(
                (one, other)
                for number, (one, other) in self._rules.open_pairs
                if bits[one] & wanted and bits[other] & wanted
                if truths.limits[number] == YES or (truths.limits[number] == UNCLEAR and not lenient)
            )
        )

    def _unclear(self, remainder: Remainder, truths: Truths) -> tuple[str, ...]:
        """The rules about the remaining steps of which it is not clear whether they apply."""
        rules = self._rules
        rights = [
            right.id
            for index, right in enumerate(rules.rights)
            if remainder.wanted >> right.step & 1
            and (
                truths.rights[index] == UNCLEAR
                or (right.personal and self._possible[index] & ~self._holders[index])
            )
        ]
        limits = [
            limit.constraint.id
            for limit, truth in (
                *zip(rules.exclusions, truths.exclusions, strict=True),
                *zip(rules.limits, truths.limits, strict=True),
            )
            if truth == UNCLEAR and limit.steps & remainder.wanted
        ]
        return tuple(dict.fromkeys((*rights, *limits)))

    def _steps(self, numbers: int, remainder: Remainder) -> tuple[int, ...]:
        """The steps that numbers of the problem stand for, further votes being those of their step."""
        further = self.further(remainder)
        return tuple(sorted({further.get(number, number) for number in members(numbers)}))

    def further(self, remainder: Remainder) -> dict[int, int]:
        """The numbers of all votes beyond the first of each step, with the step's."""
        steps = [step for step, left in sorted(remainder.votes.items()) for _ in range(left - 1)]
        return {len(self._rules.steps) + place: step for place, step in enumerate(steps)}

    def problem(
        self, remainder: Remainder, truths: Truths, *, lenient: bool, turns: Turns = AS_LISTED
    ) -> Problem:
        """Who may take which of the remaining steps, and what the limits ask of them; who the persons of its
        groups are is in `people`. What is unclear counts for those who are to do the rest when `lenient`, and
        else against them."""
        rules, groups = self._rules, self._groups
        further = self.further(remainder)
        wanted = remainder.wanted | sum(1 << number for number in further)
        slots = {
            step: rules.bits[step] | sum(1 << other for other, own in further.items() if own == number)
            for number, step in enumerate(rules.steps)
        } | rules.foreign
        known = self._hands(remainder)
        places = {person: place for place, (_, person) in enumerate(known)}
        crowd = RemainingPeople(groups, known, remainder.beyond)
        can = self._can(truths, lenient=lenient)
        can += [can[step] for step in further.values()]
        taking = [crowd.widened(found) for found in can]
        rest = Rest(
            rules.kind,
            wanted,
            slots,
            tuple(hand for hand, _ in known),
            crowd.marks,
            related=lambda hand, name: crowd.widened(self._related(hand, name)),
            foes=lambda name: crowd.rows(self._foes[name]),
            stands=tuple(
                (step, frozenset(places[person] for person in persons if person))
                for step, *persons in remainder.stands
            ),
            turns=turns,
        )
        parts = [*self._votes(remainder, rest)]
        for number, (limit, truth) in enumerate(zip(rules.limits, truths.limits, strict=True)):
            if limit.steps & wanted and (truth == YES or (truth == UNCLEAR and not lenient)):
                parts += parts_of(limit.constraint, crowd.seen_by(number, rest))
        for part in parts:
            if isinstance(part, Bar):
                for number in members(part.steps & wanted):
                    taking[number] &= ~part.groups
        return Problem(
            crowd.sizes,
            tuple(taking),
            wanted,
            tuple(part for part in parts if isinstance(part, Cap)),
            tuple(part for part in parts if isinstance(part, Spread)),
            tuple(part for part in parts if isinstance(part, Apart)),
            tuple(part for part in parts if isinstance(part, Ring)),
        )

    def people(self, remainder: Remainder) -> list[tuple[str, ...]]:
        """The persons of each group of a `problem`, in order; those with the same past may be the other way
        round, and nothing tells them apart."""
        return RemainingPeople(self._groups, self._hands(remainder), remainder.beyond).names()

    def _hands(self, remainder: Remainder) -> list[tuple[Hand, str]]:
        """Everybody with a hand in the chain, in the order in which the problem has them."""
        of, named = self._groups.of, bool(self._rules.relations)
        return sorted(
            (Hand(of.get(person, -1), mine, standing, "" if person in of or not named else person), person)
            for person, (mine, standing) in remainder.hands.items()
        )

    def _can(self, truths: Truths, *, lenient: bool) -> list[int]:
        """For each step the groups that a grant lets take it, and that no exclusion bars."""
        can = [0] * len(self._rules.steps)
        for index, right in enumerate(self._rules.rights):
            truth = truths.rights[index]
            if truth == YES or (truth == UNCLEAR and lenient):
                can[right.step] |= self._holders[index]
            if lenient and index in self._possible:
                can[right.step] |= self._possible[index]
        barred = 0
        for breaking, truth in zip(self._breaking, truths.exclusions, strict=True):
            if truth == YES or (truth == UNCLEAR and not lenient):
                barred |= breaking
        return [found & ~barred for found in can]

    @staticmethod
    def _votes(remainder: Remainder, rest: Rest) -> list[Part]:
        """Nobody has two votes on one step, nor one besides that which somebody gave in his or her name."""
        found: list[Part] = []
        for number in remainder.votes:
            named = {place for step, places in rest.stands if step >> number & 1 for place in places}
            slots = rest.slots[rest.kind.steps[number].id]
            past = tuple(
                Past(mark, more=1)
                for place, (hand, mark) in enumerate(zip(rest.hands, rest.marks, strict=True))
                if mark and (hand.standing >> number & 1 or place in named)
            )
            found.append(Cap(slots, 1, past))
        return found

    def _related(self, hand: Hand, name: str) -> int:
        if hand.group >= 0:
            return self._foes[name][hand.group]
        return self._groups.related(hand.name, name)
