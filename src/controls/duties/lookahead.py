"""Looking ahead: if this person takes this step, can somebody still do the rest of the chain?

Guarantees: a function of the request, the chain's history, the crowd and the release alone, so that it says
the same when it is asked again; `would_strand` is proven, that is, there is no way to share the remaining
steps among those who are authorised and available; where it cannot be told it is `strand_unknown`, never
silence. What was done for somebody counts for both; that somebody may still act for somebody else is not
worked out, so where nothing else helps and one of the steps is delegated it is `strand_unknown`.

What is looked at:
- the steps that remain: the mandatory ones, and those that are begun and keep others waiting;
- the persons of the crowd, with a grant of the step to a role of theirs, or to one that it inherits;
- the constraints that deny. One that asks for a review can be had with a supervisor's word;
- what was done on the other chains of a line with this one: on those of the same kind as on this one, on
  those of other kinds where a constraint over several kinds counts it (unless this kind has a step of that
  name). Not looked at: what this step takes from whoever would do the rest of another chain;
- conditions, by what holds for the rest of the chain already: its material facts, and who took which step.
  What a grant waits for besides comes with later requests, so it counts as met: a fact that is not known yet
  is no reason to hold up this step. A constraint whose condition is not known yet applies, as it would if the
  fact were never stated; where that alone keeps the rest from being done, it is `strand_unknown`. So it is
  where only grants are left whose conditions cannot be computed, which permit nothing to anybody.

Most questions have been asked before, persons of one group being alike: their answers are kept for as long as
the same crowd is given. Of the others, most are answered without a search (`satisfiability`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeAlias

from controls.duties.chain_rules import ChainRules, Limit, Right
from controls.duties.constraints import with_built_in
from controls.duties.forecast import NO, UNCLEAR, YES, Answer, Forecaster, Remainder, Stranded, Truths
from controls.duties.groups import Groups
from controls.duties.outlook import Outlook, outlook_of
from controls.duties.satisfiability_problem import members
from controls.duties.stranding import Orphan, strand_unknown, would_strand
from controls.model.chain import AMEND, Act, ActState, Capacity, ChainHistory, ChainKind
from controls.model.condition import Facts, Truth
from controls.model.crowd import Crowd
from controls.model.duty import Constraint, Grant
from controls.model.finding import Finding
from controls.model.record import record
from controls.model.values import Value

# Answers that are kept for one chain kind; when there are more, all are forgotten.
KEPT: Final = 10_000


@record
class Taken:
    """What is about to be permitted: `act`, a step of `kind` or an amendment, on the chain of `history`.

    `reopens` are the steps that an amendment opens again. `values` are the facts as stated, of which those
    that `act.material` names hold for the rest of the chain. `now` is when it is asked, if not at the act.
    """

    kind: ChainKind
    history: ChainHistory
    act: Act
    values: Mapping[str, Value]
    reopens: tuple[str, ...] = ()
    now: datetime | None = None

    @property
    def moment(self) -> datetime:
        return self.act.at if self.now is None else self.now


Hands: TypeAlias = dict[str, tuple[int, int]]
Stands: TypeAlias = tuple[tuple[int, str, str], ...]
_NOTHING: Final = (0, 0)


class LookAhead:
    """The look-ahead of one release. Keeps for each chain kind what it worked out for the last crowd.

    Args:
        grants: the release's grants.
        role_closure: for each role all roles that it inherits, directly or not.
        constraints: the release's constraints; the built-in ones of each chain kind are added.
        chains: the chain kinds of the release.
    """

    def __init__(
        self,
        grants: Iterable[Grant],
        role_closure: Mapping[str, frozenset[str]],
        constraints: Iterable[Constraint],
        chains: Iterable[ChainKind],
    ) -> None:
        kinds, given = tuple(chains), tuple(grants)
        closure = {role: held | {role} for role, held in role_closure.items()}
        every = with_built_in(constraints, chains=kinds)
        self._rules = {
            kind.id: ChainRules(kind, grants=given, closure=closure, constraints=every) for kind in kinds
        }
        self._kept: dict[str, tuple[Crowd, _Kept]] = {}  # by chain kind

    def finding(self, taken: Taken, *, crowd: Crowd) -> Finding | None:
        """`would_strand` or `strand_unknown`; None when the rest can be done, or nothing remains."""
        return self._of(taken.kind, crowd).finding(taken)

    def groups(self, kind: ChainKind, *, crowd: Crowd) -> int:
        """How many groups of persons who are alike the crowd has for a chain kind; made once for a crowd."""
        return self._of(kind, crowd).groups

    def _of(self, kind: ChainKind, crowd: Crowd) -> _Kept:
        held = self._kept.get(kind.id)
        if held is None or held[0] is not crowd:
            held = self._kept[kind.id] = crowd, _Kept(self._rules[kind.id], crowd)
        return held[1]

    def outlook(self, taken: Taken, *, crowd: Crowd) -> Outlook:
        """Who can do what remains once the act is done, and how many of them may be away. Keeps nothing, so
        that it may be asked in a thread of its own."""
        return _Kept(self._rules[taken.kind.id], crowd).outlook(taken)


_NOT_ASKED: Final = object()


class _Kept:
    """The people of one crowd as one chain kind sees them, and the answers so far."""

    def __init__(self, rules: ChainRules, crowd: Crowd) -> None:
        self._rules = rules
        self._crowd = crowd
        self._groups = Groups(crowd, sign=lambda _, roles: rules.sign(roles), relations=rules.relations)
        self._forecaster = Forecaster(rules, self._groups)
        self._named = bool(rules.relations)  # then it matters who those are that can do nothing more
        self._moves = bool(rules.moving_rights or rules.moving_limits)
        self._answers: dict[object, Answer] = {}
        self._easy: dict[object, bool] = {}  # whether the rest can be done whatever holds

    @property
    def groups(self) -> int:
        return len(self._groups.sizes)

    def finding(self, taken: Taken) -> Finding | None:
        remainder = self._remainder(taken)
        if not remainder.wanted:
            return None
        if remainder.stands:  # an act of two persons: few chains have one, and fewer are alike
            truths = self._truths(_Later(taken), remainder.wanted) if self._moves else ()
            return self._told(self._answer(taken, remainder, truths), taken)
        steps = (remainder.wanted, tuple(remainder.votes.items()), self._alike(remainder.hands))
        if self._whatever_holds(steps, remainder):
            return None
        truths = self._truths(_Later(taken), remainder.wanted) if self._moves else ()
        key = (steps, truths)
        answer = self._answers.get(key, _NOT_ASKED)
        if answer is _NOT_ASKED:
            answer = self._forecaster.answer(remainder, self._all(truths))
            if answer is not None and self._rules.personal:
                # Who has a grant of this kind depends on the very request: nothing to be kept.
                return self._told(self._personally(taken, remainder, truths), taken)
            if len(self._answers) >= KEPT:
                self._answers.clear()
            self._answers[key] = answer
        return self._told(answer, taken)  # type: ignore[arg-type]

    def _whatever_holds(self, steps: object, remainder: Remainder) -> bool:
        """Whether the rest can be done however the conditions turn out: even if no grant with a condition is
        given and every constraint applies. Then none of them need be evaluated."""
        if not self._moves or self._rules.personal:
            return False
        known = self._easy.get(steps)
        if known is None:
            strictest = (NO,) * len(self._rules.moving_rights) + (YES,) * len(self._rules.moving_limits)
            known = self._forecaster.answer(remainder, self._all(strictest)) is None
            if len(self._easy) >= KEPT:
                self._easy.clear()
            self._easy[steps] = known
        return known

    def _answer(self, taken: Taken, remainder: Remainder, truths: tuple[int, ...]) -> Answer:
        """The answer, worked out anew."""
        answer = self._forecaster.answer(remainder, self._all(truths))
        if answer is not None and self._rules.personal:
            return self._personally(taken, remainder, truths)
        return answer

    def outlook(self, taken: Taken) -> Outlook:
        """See `LookAhead.outlook`."""
        rules, remainder = self._rules, self._remainder(taken)
        truths = self._all(self._truths(_Later(taken), remainder.wanted))
        forecaster = self._forecaster
        if rules.personal:
            forecaster = Forecaster(rules, self._personal_groups(taken, remainder))
        problem = forecaster.problem(remainder, truths, lenient=False)
        further = forecaster.further(remainder)
        steps = {number: rules.steps[further.get(number, number)] for number in members(problem.wanted)}
        return outlook_of(problem, steps, people=forecaster.people(remainder))

    def _told(self, answer: Answer, taken: Taken) -> Finding | None:
        if answer is None:
            return None
        rules, person, action = self._rules, taken.act.person, taken.act.step
        if isinstance(answer, Stranded):
            lent = self._crowd.lent
            delegated = any((rules.kind.id, rules.steps[number]) in lent for number in answer.steps)
            if delegated or self._crowd.eased:
                return strand_unknown(rules.kind, person=person, action=action, rules=(), excepted=True)
            orphans = [
                Orphan(rules.steps[number], able, rules.eligible(number))
                for number, able in zip(answer.steps, answer.able, strict=True)
            ]
            return would_strand(rules.kind, person=person, action=action, orphans=orphans)
        return strand_unknown(rules.kind, person=person, action=action, rules=answer.rules)

    def _remainder(self, taken: Taken) -> Remainder:
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
        if taken.history.votes is None:
            return Remainder(wanted, {}, hands, by_whom)
        return self._with_votes(taken.history, wanted, hands, by_whom)

    def _stands(self, taken: Taken) -> Stands:
        """The acts that hold their steps then, each with its one or two persons."""
        return tuple(
            (self._rules.bits.get(act.step, self._rules.other), act.person, act.beside)
            for act in (*taken.history.acts, taken.act)
            if act.stands() and act.step not in taken.reopens
        )

    def _with_votes(self, history: ChainHistory, wanted: int, hands: Hands, stands: Stands) -> Remainder:
        """The remainder where steps take several persons: such a step is done once all have their vote."""
        rules, left = self._rules, dict[int, int]()
        for number, step in rules.voted:
            bit = 1 << number
            given = sum(1 for _, standing in hands.values() if standing & bit)
            begun = given and not rules.kind.free_order
            if rules.mandatory & bit or begun or wanted & bit:
                needed = history.needed(step)
                if given < needed > 1:
                    wanted |= bit
                    left[number] = needed - given
        return Remainder(wanted, left, hands, stands)

    def _alike(self, hands: Mapping[str, tuple[int, int]]) -> tuple[tuple[int, int, int, str], ...]:
        """What matters of the persons so far: people of one group with the same past are alike."""
        of, named = self._groups.of, self._named
        found = [
            (of.get(person, -1), mine, standing, person if named and person not in of else "")
            for person, (mine, standing) in hands.items()
        ]
        found.sort()
        return tuple(found)

    def _truths(self, later: _Later, wanted: int) -> tuple[int, ...]:
        """What moves, of that which is about the remaining steps."""
        rules = self._rules
        rights = (later.given(right) if wanted >> right.step & 1 else NO for _, right in rules.moving_rights)
        limits = (later.applies(limit) if limit.steps & wanted else NO for limit in rules.moving_limits)
        return (*rights, *limits)

    def _all(self, moving: tuple[int, ...]) -> Truths:
        """The truths of everything: what does not move is as it says."""
        rules = self._rules
        told = iter(moving)
        rights = [YES] * len(rules.rights)  # who has the personal ones is in the signs
        for (index, _), truth in zip(rules.moving_rights, told, strict=False):
            rights[index] = truth
        exclusions = [next(told) if limit.moving else YES for limit in rules.exclusions]
        limits = [next(told) if limit.moving else YES for limit in rules.limits]
        return Truths(rights, exclusions, limits)

    def _personally(self, taken: Taken, remainder: Remainder, truths: tuple[int, ...]) -> Answer:
        """The answer where grants look at who a person is."""
        groups = self._personal_groups(taken, remainder)
        return Forecaster(self._rules, groups).answer(remainder, self._all(truths))

    def _personal_groups(self, taken: Taken, remainder: Remainder) -> Groups:
        """The groups where each of those who hold a role is asked about."""
        rules, later = self._rules, _Later(taken)
        places = len(rules.rights) + len(rules.exclusions)
        personal = [(place, *item) for place, item in enumerate(rules.personal)]

        def sign(person: str, roles: frozenset[str]) -> int:
            found = rules.sign(roles)
            for place, index, right in personal:
                if found >> index & 1 and remainder.wanted >> right.step & 1:
                    truth = later.given(right, person=person, roles=roles)
                    found |= (truth == YES) << places + place
                    found |= (truth != NO) << places + len(personal) + place
            return found

        return Groups(self._crowd, sign=sign, relations=rules.relations)


class _Later:
    """What is known of later requests about a chain."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken
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
        """The chain with the act on it."""
        if self._chain is None:
            taken = self._taken
            history, acts = taken.history, taken.history.acts
            if taken.reopens:
                acts = tuple(
                    replace(act, state=ActState.REOPENED)
                    if act.step in taken.reopens and act.stands()
                    else act
                    for act in acts
                )
            self._chain = ChainHistory(history.kind, history.chain, (*acts, taken.act), history.votes)
        return self._chain


_TRUTHS: Final = (NO, UNCLEAR, YES)  # of a condition that is false, unknown, true
