"""What remains of a chain once somebody takes a step of it, and whose hands are in what.

Guarantees: what was done on other chains of a line counts against persons, and holds nothing; of how many
persons a step will take every possible number is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from controls.duties.chain_rules import Ballot, ChainRules
from controls.duties.forecast import Remainder
from controls.duties.later import Later, Taken
from controls.duties.reaching import held_besides, held_beyond
from controls.model.chain import AMEND, ActState, Capacity
from controls.model.trail import TrailAct

# Ways in which later requests may ask for votes: each is worked out.
MOST_WAYS: Final = 16

Hands: TypeAlias = dict[str, tuple[int, int]]
Stands: TypeAlias = tuple[tuple[int, str, str], ...]
_NOTHING: Final = (0, 0)


class Remainders:
    """The remainders of chains of one kind."""

    def __init__(self, rules: ChainRules) -> None:
        self._rules = rules

    def of(self, taken: Taken) -> Remainder:
        """What remains once the act is done, and whose hands are in what."""
        rules, reopens = self._rules, taken.reopens
        bits, other = rules.bits, rules.other
        hands: Hands = {}
        shared = False
        held = open_again = 0
        for act in (*taken.history.acts, taken.act):
            step, state = act.step, act.state
            bit = bits.get(step) or rules.foreign.get(step, other)
            mine, standing = hands.get(act.person, _NOTHING)
            if bit != other:
                mine |= bit
            elif step == AMEND:
                mine |= 1  # whoever changes the facts has a hand in the step that stated them
            if act.capacity is Capacity.ACTOR:
                stands = state is ActState.CLAIMED or state is ActState.PERFORMED
                if state is ActState.REOPENED or (stands and step in reopens):
                    open_again |= bit
                elif stands:
                    standing |= bit
                    held |= bit
                    shared = shared or act.beside != ""
            hands[act.person] = mine, standing
        wanted = rules.mandatory & ~held
        if open_again and not rules.kind.free_order:
            wanted |= open_again & ~held & ~other  # an optional step, too, that others wait for
        by_whom = self._stands(taken) if shared else ()
        return Remainder(wanted, {}, hands, by_whom, held_beyond(self._rules, taken) if taken.places else ())

    def beside(self, rest: Remainder, taken: Taken, line: Sequence[TrailAct]) -> Remainder:
        """The remainder with what counts against persons of acts on other chains, which hold nothing here.

        Acts on chains of other kinds are among them, for constraints over several kinds, but for those on
        steps that this kind calls by the same name.
        """
        bits, foreign, own = self._rules.bits, self._rules.foreign, self._rules.kind.id
        hands = dict(rest.hands)
        for item in line:
            bit = bits.get(item.step, 0) if item.kind == own else foreign.get(item.step, 0)
            if bit:
                mine, standing = hands.get(item.act.person, _NOTHING)
                hands[item.act.person] = mine | bit, standing
        return replace(rest, hands=hands, beyond=held_besides(self._rules, rest.beyond, taken, line))

    def _stands(self, taken: Taken) -> Stands:
        """The acts that hold their steps then, each with its one or two persons."""
        return tuple(
            (self._rules.bits.get(act.step, self._rules.other), act.person, act.beside)
            for act in (*taken.history.acts, taken.act)
            if act.stands() and act.step not in taken.reopens
        )

    def with_votes(self, taken: Taken, rest: Remainder) -> tuple[list[Remainder], tuple[str, ...]]:
        """The remainder where steps take several persons, in every way that later requests may have it (none:
        too many), and the rules on which that depends."""
        later = Later(taken, self._rules)
        ways, fullest, doubtful = [rest], rest, list[str]()
        for ballot in self._rules.ballots:
            counts = later.needed(ballot)
            if len(counts) > 1 and not self._asked_again(ballot, fullest, least=counts[0]):
                counts = counts[:1]  # nobody asks any more how many votes there must be
            asking = [limit.constraint for limit in ballot.asked if limit.constraint.limit in counts[1:]]
            doubtful += [constraint.id for constraint in asking]
            if len(ways) * len(counts) > MOST_WAYS:
                return [], tuple(dict.fromkeys(doubtful))
            fullest = self._voted(fullest, ballot, needed=counts[-1])
            ways = [self._voted(way, ballot, needed=count) for count in counts for way in ways]
        return ways, tuple(dict.fromkeys(doubtful))

    def every_number(self, rest: Remainder) -> list[Remainder]:
        """The remainder with every number of votes that anything may ask for (none: too many ways)."""
        ways = [rest]
        for ballot in self._rules.ballots:
            limits = (limit.constraint.limit for limit in ballot.asked)
            counts = {ballot.least, *(limit for limit in limits if limit > ballot.least)}
            if len(ways) * len(counts) > MOST_WAYS:
                return []
            ways = [self._voted(way, ballot, needed=count) for count in counts for way in ways]
        return ways

    def most_votes(self, taken: Taken, rest: Remainder) -> Remainder:
        """The remainder with as many votes as anything may ask for."""
        later = Later(taken, self._rules)
        for ballot in self._rules.ballots:
            rest = self._voted(rest, ballot, needed=later.needed(ballot)[-1])
        return rest

    def _asked_again(self, ballot: Ballot, rest: Remainder, *, least: int) -> bool:
        """Whether anything that remains is, or waits for, a step that has so many votes."""
        given = self._given(ballot, rest)
        waits = not self._rules.kind.free_order and bool(rest.wanted & ballot.waiting)
        return waits or given < least or not given

    @staticmethod
    def _given(ballot: Ballot, rest: Remainder) -> int:
        return sum(1 for _, standing in rest.hands.values() if standing >> ballot.number & 1)

    def _voted(self, rest: Remainder, ballot: Ballot, *, needed: int) -> Remainder:
        """The remainder where a step takes so many persons: it is done once all have their vote."""
        kind, bit, given = self._rules.kind, 1 << ballot.number, self._given(ballot, rest)
        begun = given and not kind.free_order
        if given >= needed or needed < 2 or not ((self._rules.mandatory | rest.wanted) & bit or begun):
            return rest
        return replace(rest, wanted=rest.wanted | bit, votes={**rest.votes, ballot.number: needed - given})
