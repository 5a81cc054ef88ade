"""Looking ahead: if this person takes this step, can somebody still do the rest of the chain?

Guarantees: a function of the request, the chain's history, the crowd and the release alone, so that it says
the same when it is asked again; `would_strand` is proven, that is, there is no way to share the remaining
steps among those who are authorised and available, within a day; where it cannot be told it is
`strand_unknown`, never silence. What was done for somebody counts for both; that somebody may still act for
somebody else is not worked out, so where nothing else helps and one of the steps is delegated it is
`strand_unknown`.

What is looked at:
- the steps that remain: the mandatory ones, and those that are begun and keep others waiting;
- the persons of the crowd, with a grant of the step to a role of theirs, or to one that it inherits;
- the constraints that deny. One that asks for a review can be had with a supervisor's word;
- what was done on the other chains of a line with this one: on those of the same kind as on this one, on
  those of other kinds where a constraint over several kinds counts it (unless this kind has a step of that
  name). A step that is one on several lines is looked at on each; where they are too many and what was done
  on all of them, taken together, would keep the rest from being done, it is `strand_unknown`;
- what was done where the chain is, or has been, by walls and by what separates steps over an account, an
  instrument or a desk, as far as it counts for longer than a day (`chain_rules.WAIT`). Not
  looked at: how much anybody did there (`at_most`), pauses (`cooling_off`), which whoever waits keeps, and
  what this step takes from whoever would do the rest of another chain;
- conditions, by what holds for the rest of the chain already: its material facts, and who took which step.
  What a grant waits for besides comes with later requests, so it counts as met: a fact that is not known yet
  is no reason to hold up this step. A constraint whose condition is not known yet may apply or not, and ask
  for votes or not: where the rest can be done the one way and not the other, it is `strand_unknown`. So it is
  where only grants are left whose conditions cannot be computed, which permit nothing to anybody;
- what is claimed as if it were done: nobody waits for ever for a claim, on this chain or on another;
- the order of what remains, where the chain leaves it open and a constraint minds it: each that there is, or
  it is `strand_unknown` (`controls.duties.turns`).

Most questions have been asked before, persons of one group being alike: their answers are kept for as long as
the same crowd is given. Of the others, most are answered without a search (`satisfiability`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from controls.duties.chain_rules import ChainRules
from controls.duties.constraints import with_built_in
from controls.duties.forecast import (
    NO,
    YES,
    Answer,
    Forecaster,
    Remainder,
    Stranded,
    Truths,
    Untold,
)
from controls.duties.groups import Groups
from controls.duties.later import Later, Taken
from controls.duties.outlook import Outlook, outlook_of
from controls.duties.remainders import Remainders
from controls.duties.stranding import Orphan, strand_unknown, would_strand
from controls.model.chain import ChainKind
from controls.model.crowd import Crowd
from controls.model.duty import Constraint, Grant
from controls.model.finding import Finding

__all__ = ["LookAhead", "Taken"]

# Answers that are kept for one chain kind; when there are more, all are forgotten.
KEPT: Final = 10_000
# On how many lines of its lineage a step is looked ahead for one by one, those that are alike being one.
LINES_AHEAD: Final = 8


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
        self._reaching = {
            kind: frozenset(trail for _, trail in rules.reaching) for kind, rules in self._rules.items()
        }
        self._kept: dict[str, tuple[Crowd, _Kept]] = {}  # by chain kind

    def reaching(self, kind: str) -> frozenset[str]:
        """The trails of a chain kind whose places are looked at (`Taken.places`)."""
        return self._reaching[kind]

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


class _Kept:
    """The people of one crowd as one chain kind sees them, and the answers so far."""

    def __init__(self, rules: ChainRules, crowd: Crowd) -> None:
        self._rules = rules
        self._crowd = crowd
        self._groups = Groups(crowd, sign=lambda _, roles: rules.sign(roles), relations=rules.relations)
        self._forecaster = Forecaster(rules, self._groups)
        self._remainders = Remainders(rules)
        self._named = bool(rules.relations)  # then it matters who those are that can do nothing more
        self._moves = bool(rules.moving_rights or rules.moving_limits)
        self._answers: dict[object, Answer] = {}
        self._easy: dict[object, bool] = {}  # whether the rest can be done whatever holds
        self._certain: dict[object, bool] = {}  # and however many votes are asked for

    @property
    def groups(self) -> int:
        return len(self._groups.sizes)

    def finding(self, taken: Taken) -> Finding | None:
        remainder = self._remainders.of(taken)
        if not self._rules.ballots and not remainder.wanted:
            return None
        if len(taken.lines) < 2:
            for line in taken.lines:
                remainder = self._remainders.beside(remainder, taken, line)
            return self._told(self._voted(taken, remainder), taken)
        return self._told(self._on_lines(taken, remainder), taken)

    def _on_lines(self, taken: Taken, rest: Remainder) -> Answer:
        """The answer for a step that is one on several lines: on each of them somebody must do the rest."""
        seen: set[object] = set()
        told: Answer = None
        for line in taken.lines:
            remainder = self._remainders.beside(rest, taken, line)
            sort: object = tuple(sorted(remainder.hands.items())) if rest.stands else self._alike(remainder)
            if sort in seen:
                continue
            seen.add(sort)
            if len(seen) > LINES_AHEAD:
                return told or self._on_all(taken, rest)
            answer = self._voted(taken, remainder)
            if isinstance(answer, Stranded):
                return answer
            told = told or answer
        return told

    def _on_all(self, taken: Taken, rest: Remainder) -> Answer:
        """The answer for more lines than are looked at one by one: whoever can do the rest where all that was
        done on any line counts, can on each. (Of who does things together, less may be known than more.)"""
        if not self._rules.rings:
            for line in taken.lines:
                rest = self._remainders.beside(rest, taken, line)
            if self._voted(taken, rest) is None:
                return None
        return Untold((), lines=len(taken.lines))

    def _voted(self, taken: Taken, remainder: Remainder) -> Answer:
        """The answer, however many votes its steps may take."""
        if not self._rules.ballots:
            return self._known(taken, remainder)
        if not remainder.stands and self._however_voted(remainder):
            return None
        ways, doubtful = self._remainders.with_votes(taken, remainder)
        if not ways:
            return Untold(doubtful)
        return together([self._known(taken, way) for way in ways], doubtful)

    def _known(self, taken: Taken, remainder: Remainder) -> Answer:
        """The answer, from what is kept where it can be."""
        if not remainder.wanted:
            return None
        if remainder.stands:  # an act of two persons: few chains have one, and fewer are alike
            return self._answer(taken, remainder, self._moving(taken, remainder))
        steps = (remainder.wanted, tuple(remainder.votes.items()), self._alike(remainder))
        if self._whatever_holds(steps, remainder):
            return None
        truths = self._moving(taken, remainder)
        key = (steps, truths)
        if key not in self._answers:
            answer = self._forecaster.answer(remainder, self._all(truths))
            if answer is not None and self._rules.personal:
                # Who has a grant of this kind depends on the very request: nothing to be kept.
                return self._personally(taken, remainder, truths)
            if len(self._answers) >= KEPT:
                self._answers.clear()
            self._answers[key] = answer
        return self._answers[key]

    def _whatever_holds(self, steps: object, remainder: Remainder) -> bool:
        """Whether the rest can be done however the conditions turn out: even if no grant with a condition is
        given and every constraint applies. Then none of them need be evaluated."""
        if not self._moves or self._rules.personal:
            return False
        known = self._easy.get(steps)
        if known is None:
            known = self._strictly(remainder)
            if len(self._easy) >= KEPT:
                self._easy.clear()
            self._easy[steps] = known
        return known

    def _however_voted(self, remainder: Remainder) -> bool:
        """Whether the rest can be done whatever number of votes anything may ask for, and whatever holds."""
        if self._rules.personal:
            return False
        key = (remainder.wanted, self._alike(remainder))
        known = self._certain.get(key)
        if known is None:
            ways = self._remainders.every_number(remainder)
            known = bool(ways) and all(not way.wanted or self._strictly(way) for way in ways)
            if len(self._certain) >= KEPT:
                self._certain.clear()
            self._certain[key] = known
        return known

    def _strictly(self, remainder: Remainder) -> bool:
        """Whether the rest can be done if no grant with a condition is given and every constraint applies."""
        strictest = (NO,) * len(self._rules.moving_rights) + (YES,) * len(self._rules.moving_limits)
        return self._forecaster.possible(remainder, self._all(strictest))

    def _answer(self, taken: Taken, remainder: Remainder, truths: tuple[int, ...]) -> Answer:
        """The answer, worked out anew."""
        answer = self._forecaster.answer(remainder, self._all(truths))
        if answer is not None and self._rules.personal:
            return self._personally(taken, remainder, truths)
        return answer

    def outlook(self, taken: Taken) -> Outlook:
        """See `LookAhead.outlook`."""
        rules, remainder = self._rules, self._remainders.of(taken)
        for line in taken.lines:
            remainder = self._remainders.beside(remainder, taken, line)
        fewest: Remainder | None = remainder
        if rules.ballots:
            ways, _ = self._remainders.with_votes(taken, remainder)
            fewest = ways[0] if ways else None
            remainder = self._remainders.most_votes(taken, remainder)
        truths = self._all(self._truths(Later(taken, rules), remainder.wanted))
        forecaster = self._forecaster
        if rules.personal:
            forecaster = Forecaster(rules, self._personal_groups(taken, remainder))
        possible = forecaster.orders(remainder, truths, lenient=False)
        proof = possible._replace(problems=())
        if fewest is not None and not self._excepted(possible.steps.values()):
            proof = forecaster.orders(fewest, truths, lenient=True)
        return outlook_of(possible, proof, people=forecaster.people(remainder))

    def _excepted(self, steps: Iterable[str]) -> bool:
        """Whether somebody may do one of the steps by an exception, so that nothing about them is proven."""
        return self._crowd.eased or any((self._rules.kind.id, step) in self._crowd.lent for step in steps)

    def _told(self, answer: Answer, taken: Taken) -> Finding | None:
        if answer is None:
            return None
        rules, person, action = self._rules, taken.act.person, taken.act.step
        if isinstance(answer, Stranded):
            if self._excepted(rules.steps[number] for number in answer.steps):
                return strand_unknown(rules.kind, person=person, action=action, rules=(), excepted=True)
            orphans = [
                Orphan(rules.steps[number], able, rules.eligible(number))
                for number, able in zip(answer.steps, answer.able, strict=True)
            ]
            return would_strand(rules.kind, person=person, action=action, orphans=orphans)
        return strand_unknown(
            rules.kind, person=person, action=action, rules=answer.rules, lines=answer.lines
        )

    def _alike(self, remainder: Remainder) -> object:
        """What matters of the persons so far: people of one group with the same past are alike."""
        of, named = self._groups.of, self._named
        if any(held for _, held in remainder.beyond):  # then it matters who has that past besides
            return tuple(sorted(remainder.hands.items())), remainder.beyond
        found = [
            (of.get(person, -1), mine, standing, person if named and person not in of else "")
            for person, (mine, standing) in remainder.hands.items()
        ]
        found.sort()
        return tuple(found), bool(remainder.beyond)

    def _moving(self, taken: Taken, remainder: Remainder) -> tuple[int, ...]:
        return self._truths(Later(taken, self._rules), remainder.wanted) if self._moves else ()

    def _truths(self, later: Later, wanted: int) -> tuple[int, ...]:
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
        rules, later = self._rules, Later(taken, self._rules)
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


def together(answers: Sequence[Answer], doubtful: tuple[str, ...]) -> Answer:
    """The answer where any of these may be the right one, by rules of which that is not known."""
    if all(answer is None for answer in answers):
        return None
    untold = [answer for answer in answers if isinstance(answer, Untold)]
    if not untold and None not in answers:
        return answers[0]
    return Untold(tuple(dict.fromkeys((*doubtful, *(rule for one in untold for rule in one.rules)))))
