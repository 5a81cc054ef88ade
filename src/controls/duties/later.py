"""What is known of later requests about a chain, now that somebody takes a step of it.

Guarantees: nothing counts as known that may still change, unless by an end of what stands or an amendment: of
facts those that must be stated again, of the chain who took what nobody takes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime
from typing import Final

from controls.duties.chain_rules import Ballot, ChainRules, Limit, Right
from controls.duties.forecast import NO, UNCLEAR, YES
from controls.model.chain import Act, ActState, ChainHistory, ChainKind
from controls.model.condition import Facts, Truth
from controls.model.record import record
from controls.model.trail import TrailAct, TrailPlace
from controls.model.values import Value


@record
class Taken:
    """What is about to be permitted: `act`, a step of `kind` or an amendment, on the chain of `history`.

    `reopens` are the steps that an amendment opens again. `values` are the facts as stated, of which those
    that `act.material` names hold for the rest of the chain. `now` is when it is asked, if not at the act.
    `lines` are the acts on the other chains of each line that the chain is part of, and `places` those where
    the chain is, or has been, by the name of the trail.
    """

    kind: ChainKind
    history: ChainHistory
    act: Act
    values: Mapping[str, Value]
    reopens: tuple[str, ...] = ()
    now: datetime | None = None
    lines: Sequence[Sequence[TrailAct]] = ()
    places: Mapping[str, Sequence[TrailPlace]] = field(default_factory=dict)

    @property
    def moment(self) -> datetime:
        return self.act.at if self.now is None else self.now


class Later:
    """What is known of later requests once something is taken."""

    def __init__(self, taken: Taken, rules: ChainRules) -> None:
        self._taken = taken
        self._rules = rules
        self._chain: ChainHistory | None = None

    def given(self, right: Right, *, person: str = "", roles: frozenset[str] = frozenset()) -> int:
        """Whether a grant will be given: what it waits for counts as met; an error permits nothing."""
        if right.when is None:
            return YES
        kind = self._taken.kind
        more: dict[str, Value] = {"action.name": kind.steps[right.step].id}
        if person:
            more |= {"person.id": person, "person.roles": tuple(sorted(roles))}
        facts = self._facts(right.fixed, more)
        truth = right.when.test(facts)
        if truth == Truth.UNKNOWN:
            return UNCLEAR if right.when.evaluate(facts).error else YES
        return YES if truth == Truth.TRUE else NO

    def applies(self, limit: Limit) -> int:
        """Whether a constraint will apply, as the rules in force now have it."""
        constraint = limit.constraint
        if not constraint.effective.holds(self._taken.moment):
            return NO
        if constraint.when is None:
            return YES
        return _TRUTHS[constraint.when.test(self._facts(limit.fixed, {}))]

    def needed(self, ballot: Ballot) -> tuple[int, ...]:
        """How many persons a step will take: the fewest and, rising, whatever else is possible."""
        least, more = ballot.least, set[int]()
        for limit in ballot.asked:
            truth = self.applies(limit)
            if truth == YES:
                least = max(least, limit.constraint.limit)
            elif truth == UNCLEAR:
                more.add(limit.constraint.limit)
        return (least, *sorted(count for count in more if count > least))

    def _facts(self, fixed: tuple[str, ...], more: dict[str, Value]) -> Facts:
        taken = self._taken
        values = more
        values["resource.type"] = taken.kind.resource
        values["resource.id"] = taken.history.chain
        material = taken.act.material
        for name in fixed:
            if name in material and name in taken.values:
                values[name] = taken.values[name]
        return Facts(values, self._history(), taken.moment, later=True)

    def _history(self) -> ChainHistory:
        """The chain with the act on it, but for the steps that somebody may take besides."""
        if self._chain is None:
            taken = self._taken
            history, acts = taken.history, (*taken.history.acts, taken.act)
            if taken.reopens:
                acts = tuple(
                    replace(act, state=ActState.REOPENED)
                    if act.step in taken.reopens and act is not taken.act and act.stands()
                    else act
                    for act in acts
                )
            open_still = self._rules.again | {
                ballot.step
                for ballot in self._rules.ballots
                if len({act.person for act in acts if act.step == ballot.step and act.stands()}) < ballot.most
            }
            if open_still:
                acts = tuple(act for act in acts if act.step not in open_still)
            self._chain = ChainHistory(history.kind, history.chain, acts, history.votes)
        return self._chain


_TRUTHS: Final = (NO, UNCLEAR, YES)  # of a condition that is false, unknown, true
