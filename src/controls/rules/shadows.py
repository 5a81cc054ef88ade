"""Rules that another rule makes pointless: whenever they speak, it speaks as strictly or more so.

Guarantees: a shadow is proved for every request: on the same actions and at the same times, whether the
condition is true or cannot be known for want of facts. Of two rules that say the same, the later one in the
files is reported. Time: a rule is evaluated on another one's example only where an index says that it could
be true there, and at most MAX_COMPARED times in all; what is left out is counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias, cast

from controls.model.condition import Facts, Truth
from controls.model.duty import Period
from controls.model.finding import Effect
from controls.model.values import Value
from controls.rules.condition import WholeCondition
from controls.rules.diagnostics import quoted
from controls.rules.domains import Domain
from controls.rules.folding import Folder
from controls.rules.rule import MissingPolicy, Rule
from controls.rules.satisfiable import Answer, Impossible, NotDecided, Wanted, Witness, find
from controls.rules.tree import (
    Comparison,
    Constant,
    FactRead,
    Logic,
    Macro,
    Membership,
    Negation,
    Operation,
    Typed,
    walk,
)
from controls.rules.types import BOOL, Kind

MAX_COMPARED: Final = 500_000
MAX_EFFORT: Final = 50  # on proofs that fail, for one rule; a counterexample costs 1
MAX_WHOLE_EFFORT: Final = 5_000
UNDECIDED_COST: Final = 15  # of a question that stays open, which takes that much longer

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_TRUE: Final = frozenset({Truth.TRUE})
_NOT_TRUE: Final = frozenset({Truth.FALSE, Truth.UNKNOWN})
_STRICTNESS: Final = {None: 0, Effect.REVIEW: 1, Effect.DENY: 2}
_OF_MISSING: Final = {
    MissingPolicy.SKIP: None,
    MissingPolicy.REVIEW: Effect.REVIEW,
    MissingPolicy.DENY: Effect.DENY,
}
_VERBS: Final = {
    Effect.DENY: "denies", Effect.REVIEW: "asks for a review", Effect.FLAG: "flags", Effect.OBLIGE: "obliges",
}  # fmt: skip

_Key: TypeAlias = "tuple[str, Value]"


@dataclass(frozen=True, slots=True)
class Shadow:
    rule: Rule
    by: Rule

    @property
    def message(self) -> str:
        """What to say at the rule."""
        same = "the same" if self.rule.then is self.by.then else "more strictly"
        return (
            f"whenever this rule speaks, {quoted(self.by.id)} ({self.by.file}:{self.by.line}) "
            f"{_VERBS[self.by.then]} already, {same}: remove this rule, or make one of the two narrower"
        )


@dataclass(frozen=True, slots=True)
class Shadows:
    found: tuple[Shadow, ...]
    uncompared: int


def shadows_of(
    rules: Iterable[Rule],
    *,
    domains: Mapping[str, Domain],
    witnesses: Mapping[int, Sequence[Facts]],
    solving: Callable[[], bool],
) -> Shadows:
    """The shadowed rules.

    Args:
        rules: rules whose conditions can be true.
        domains: what the facts may be.
        witnesses: facts on which a condition is true, by the condition's identity.
        solving: asked before each use of the solver.
    """
    search = _Search(domains, solving)
    enforced = [rule for rule in rules if not rule.observe]
    for rule in enforced:
        search.add(rule)
    found: list[Shadow] = []
    for place, rule in enumerate(enforced):
        facts = witnesses.get(id(rule.condition))
        by = search.shadow_of(place, facts) if facts else None
        if by is not None:
            found.append(Shadow(rule, by))
    return Shadows(tuple(found), search.uncompared)


@dataclass(frozen=True, slots=True)
class _Candidate:
    rule: Rule
    condition: WholeCondition
    place: int  # in the files
    on: frozenset[str]
    refused: tuple[_Key, ...]  # texts of facts with which the condition is not true


@dataclass(slots=True)
class _Bucket:
    """The rules of one action: those that need a fact to have one of a few values, by it; and the others."""

    keyed: dict[_Key, list[_Candidate]] = field(default_factory=lambda: defaultdict(list))
    names: set[str] = field(default_factory=set)
    others: list[_Candidate] = field(default_factory=list)

    def near(self, facts: Facts) -> Iterator[_Candidate]:
        """The rules that could be true on `facts`."""
        for name in self.names & facts.values.keys():
            value = facts.values[name]
            if isinstance(value, bool | str):
                yield from self.keyed.get((name, value), ())
        yield from self.others


@dataclass(slots=True)
class _Search:
    domains: Mapping[str, Domain]
    solving: Callable[[], bool]
    candidates: list[_Candidate] = field(default_factory=list)
    buckets: dict[str, _Bucket] = field(default_factory=lambda: defaultdict(_Bucket))
    compared: int = 0
    effort: int = 0
    uncompared: int = 0

    def add(self, rule: Rule) -> None:
        condition = cast(WholeCondition, rule.condition)
        tree = Folder().fold(condition.tree)
        keys = _keys_of(tree)
        place, refused = len(self.candidates), tuple(_refused_by(tree))
        candidate = _Candidate(rule, condition, place, frozenset(rule.on), refused)
        self.candidates.append(candidate)
        for action in rule.on:
            bucket = self.buckets[action]
            if not keys:
                bucket.others.append(candidate)
            for key in keys:
                bucket.keyed[key].append(candidate)
                bucket.names.add(key[0])

    def shadow_of(self, number: int, witnesses: Sequence[Facts]) -> Rule | None:
        """A rule that shadows the one of that number, whose condition is true on the witnesses."""
        candidate = self.candidates[number]
        known, effort = list(witnesses), 0
        others = list(self.buckets[candidate.rule.on[0]].near(known[0]))
        holds_with = _With(candidate.condition, known[0])
        for place, other in enumerate(others):
            if self.compared >= MAX_COMPARED or effort >= MAX_EFFORT or self.effort >= MAX_WHOLE_EFFORT:
                self.uncompared += len(others) - place
                return None
            if other is candidate:
                continue
            self.compared += 1
            # A text that `other` refuses and the candidate does not is a request that only the latter denies.
            if not _could_shadow(other, candidate, known) or any(map(holds_with, other.refused)):
                continue
            answer = self._shadows(other, candidate)
            if isinstance(answer, Impossible):
                return other.rule
            if isinstance(answer, Witness):
                known.append(answer.facts)  # it rules out others like this one
            cost = 1 if isinstance(answer, Witness) else UNDECIDED_COST
            effort += cost
            self.effort += cost
        return None

    def _shadows(self, other: _Candidate, candidate: _Candidate) -> Answer:
        """`Impossible` when `other` shadows the candidate; a witness: the candidate is true and it is not."""
        answer = self._never(candidate, _TRUE, other, _NOT_TRUE)
        if not isinstance(answer, Impossible):
            return answer
        missing = _OF_MISSING[candidate.rule.missing]
        if missing is None and _can_fail(candidate.condition.tree):
            missing = Effect.REVIEW  # what could not be computed asks for one, whatever the policy
        if missing is not None:
            weaker = {Truth.FALSE}
            if _STRICTNESS[_OF_MISSING[other.rule.missing]] < _STRICTNESS[missing]:
                weaker.add(Truth.UNKNOWN)
            if _STRICTNESS.get(other.rule.then, 0) < _STRICTNESS[missing]:
                weaker.add(Truth.TRUE)
            unknown = frozenset({Truth.UNKNOWN})
            if not isinstance(self._never(candidate, unknown, other, frozenset(weaker)), Impossible):
                return NotDecided()
        if other.place > candidate.place and self._mutual(other, candidate):
            return NotDecided()  # the other one is reported instead
        return answer

    def _mutual(self, other: _Candidate, candidate: _Candidate) -> bool:
        """Whether the candidate could be named as the other one's shadow just as well."""
        return (
            other.rule.then is candidate.rule.then
            and other.on <= candidate.on
            and _covers(candidate.rule, other.rule)
            and isinstance(self._never(other, _TRUE, candidate, _NOT_TRUE), Impossible)
        )

    def _never(
        self, one: _Candidate, truths: frozenset[Truth], other: _Candidate, others: frozenset[Truth]
    ) -> Answer:
        wanted = (Wanted(one.condition.tree, truths), Wanted(other.condition.tree, others))
        answer = find(wanted, domains=self.domains, solve=False)
        if isinstance(answer, NotDecided) and self.solving():
            return find(wanted, domains=self.domains)
        return answer


def _could_shadow(other: _Candidate, candidate: _Candidate, witnesses: Sequence[Facts]) -> bool:
    """What is quickly seen: everything but the proof about conditions."""
    test = other.condition.test
    for facts in witnesses:
        if test(facts) != Truth.TRUE:
            return False
    return (
        _as_strict(other.rule, candidate.rule)
        and candidate.on <= other.on
        and _covers(other.rule, candidate.rule)
    )


class _With:
    """Whether a condition stays true on a witness when one of its facts is another one."""

    def __init__(self, condition: WholeCondition, witness: Facts) -> None:
        self._condition = condition
        self._values = dict(witness.values)
        self._facts = replace(witness, values=self._values)
        self._known: dict[_Key, bool] = {}

    def __call__(self, key: _Key) -> bool:
        if key not in self._known:
            name, value = key
            before = self._values.get(name)
            self._values[name] = value
            self._known[key] = self._condition.test(self._facts) == Truth.TRUE
            if before is None:
                del self._values[name]
            else:
                self._values[name] = before
        return self._known[key]


def _as_strict(rule: Rule, than: Rule) -> bool:
    """Whether what `rule` leads to makes pointless what `than` leads to."""
    if rule.then is Effect.DENY:
        return True
    if than.then is Effect.OBLIGE:
        return rule.then is Effect.OBLIGE and rule.obligation == than.obligation
    # A review, once approved, still leaves a flag to be raised.
    return rule.then is than.then


def _covers(rule: Rule, other: Rule) -> bool:
    """Whether `rule` is in force whenever `other` is."""
    return rule.periods == other.periods or all(
        any(_within(period, wider) for wider in rule.periods) for period in other.periods
    )


def _within(period: Period, wider: Period) -> bool:
    starts = (wider.start or _FIRST) <= (period.start or _FIRST)
    return starts and (period.end or _LAST) <= (wider.end or _LAST)


def _can_fail(tree: Typed) -> bool:
    """Whether something else than an absent fact may keep the condition from being known."""
    return any(isinstance(part, Operation | Macro) or part.type.kind is Kind.MONEY for part in walk(tree))


def _keys_of(node: Typed) -> list[_Key]:
    """Values of one fact of which a condition needs one to be true; none when it needs no such thing."""
    match node:
        case Logic(every=True, parts=parts):
            return min((keys for keys in map(_keys_of, parts) if keys), key=len, default=[])
        case FactRead(name=name) if node.type == BOOL:
            return [(name, True)]
        case Negation(part=FactRead(name=name)):
            return [(name, False)]
        case Comparison(operator="==", left=FactRead(name=name) as fact, right=Constant(value=value)):
            return [(name, value)] if fact.type.kind is Kind.STRING else []
        case Membership(item=FactRead(name=name) as fact, source=Constant(value=tuple() as values)):
            return [(name, value) for value in values] if fact.type.kind is Kind.STRING else []
        case _:
            return []


def _refused_by(node: Typed) -> Iterator[_Key]:
    """Texts of facts with which a condition is never true: `fact != "text"` among its conjuncts."""
    match node:
        case Logic(every=True, parts=parts):
            for part in parts:
                yield from _refused_by(part)
        case Comparison(operator="!=", left=FactRead(name=name), right=Constant(value=str() as value)):
            yield name, value
        case _:
            return
