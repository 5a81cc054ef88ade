"""Two versions of one regulatory rule, compared by what each would say by itself.

Guarantees: every shown request has been put to both versions through the reference engine, so that effect,
`missing` policy, mode and period are what decisions use. What is compared are the requests that both versions
watch, at the times when both apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final, cast

from controls.model.condition import Facts, Truth
from controls.model.duty import Period
from controls.model.finding import Effect
from controls.model.values import Value
from controls.rules.aggregates import PREFIX
from controls.rules.changes import ChangeClass, Shown, looser, tighter
from controls.rules.compare_conditions import (
    Comparison,
    Confirm,
    Speaker,
    asked,
    compare,
    holds,
    reads_time,
    shared_domains,
    within,
)
from controls.rules.compare_tables import compared_tables
from controls.rules.condition import WholeCondition
from controls.rules.domains import Domain
from controls.rules.effective import moment_in, overlap
from controls.rules.engine import build_engine
from controls.rules.hits import ranks_of
from controls.rules.rule import MissingPolicy, Rule
from controls.rules.table_answers import NotComparable, answers_of_table
from controls.rules.tree import Typed, facts_of
from controls.rules.vocabulary import Vocabulary

_STRICTNESS: Final = tuple(Effect)  # in rising strictness

_UNKNOWN: Final = {
    MissingPolicy.REVIEW: Effect.REVIEW,
    MissingPolicy.DENY: Effect.DENY,
    MissingPolicy.SKIP: None,
}


def said_by(rule: Rule, *, action: str, facts: Facts) -> Effect | None:
    """What the rule by itself asks for, by the reference engine; None when it is silent or observed."""
    with closing(build_engine("reference", (rule,))) as engine:
        said = [finding.effect for finding in engine.evaluate(action, facts) if not finding.observed]
    return max(said, key=_STRICTNESS.index, default=None)  # a decision table may say several things


@dataclass(frozen=True, slots=True)
class Versions:
    """What two versions of a rule are compared on."""

    vocabularies: tuple[Vocabulary, Vocabulary]
    actions: tuple[str, ...]
    periods: tuple[Period, ...]

    @classmethod
    def of(cls, before: Rule, after: Rule, *, vocabularies: tuple[Vocabulary, Vocabulary]) -> Versions:
        return cls(
            vocabularies,
            tuple(action for action in before.on if action in after.on),
            overlap(before.periods, after.periods),
        )

    def compared(self, before: Rule, after: Rule) -> Comparison:
        """How `after`, or the first version with something of it, answers where `before` answered."""
        if before.observe and after.observe:
            return Comparison(ChangeClass.NEUTRAL, (), "the rule is only observed")
        if not self.actions or not self.periods:
            return Comparison(ChangeClass.NEUTRAL, (), "no request is watched by both")
        trees = [tree for rule in (before, after) for tree in _trees(rule)]
        names = frozenset().union(*map(facts_of, trees))
        domains = shared_domains(*self.vocabularies, names)
        if isinstance(domains, str):
            return Comparison(ChangeClass.NOT_PROVED, (), domains)
        by_rows = None
        if before.table is not None and after.table is not None:
            by_rows = compared_tables(before, after)
            if by_rows.kind is ChangeClass.NEUTRAL:
                return by_rows
        found = self._searched(before, after, trees=trees, names=names, domains=domains)
        if by_rows is None or found.kind is not ChangeClass.NOT_PROVED:
            return found
        return by_rows if by_rows.kind is not ChangeClass.NOT_PROVED else found

    def _searched(
        self,
        before: Rule,
        after: Rule,
        *,
        trees: Sequence[Typed],
        names: frozenset[str],
        domains: Mapping[str, Domain],
    ) -> Comparison:
        """The same, from what is found or excluded on all requests."""
        timed = any(map(reads_time, trees))
        given = [holds(within(self.periods))] if timed and self.periods != (Period(),) else []
        moment = None if timed else moment_in(self.periods)
        one, other = (replace(rule, periods=self.periods) for rule in (before, after))
        # The same condition means the same under each action, unless it asks which one it is.
        tellers = [action for action in self.actions if asked(action, trees=trees)]
        try:
            found = [
                compare(
                    _speaker(one),
                    _speaker(other),
                    domains=domains,
                    confirm=_confirm(one, other, action=action, names=names, moment=moment),
                    given=(*given, *asked(action, trees=trees)),
                )
                for action in (tellers or self.actions[:1])
            ]
        except NotComparable as problem:
            return Comparison(ChangeClass.NOT_PROVED, (), str(problem))
        return _together(found)

    def shown_by(
        self, requests: Iterable[tuple[str, Facts]], before: Rule, after: Rule, *, found: Comparison
    ) -> Comparison:
        """What was found, with those of the requests (action, facts) that the two answer differently."""
        one, other = (replace(rule, periods=self.periods) for rule in (before, after))
        names = before.condition.names | after.condition.names
        shown = []
        for action, facts in requests:
            if action in self.actions and any(period.holds(facts.now) for period in self.periods):
                answers = [said_by(rule, action=action, facts=facts) for rule in (one, other)]
                if answers[0] is not answers[1]:
                    shown.append(Shown(action, facts, names, *answers))
        return _together([replace(found, shown=tuple(shown))])


def _trees(rule: Rule) -> tuple[Typed, ...]:
    return tuple(cast(WholeCondition, condition).tree for condition in rule.conditions)


def _speaker(rule: Rule) -> Speaker:
    skips = rule.missing is MissingPolicy.SKIP and not rule.observe
    if rule.table is not None and not rule.observe:
        meaning = (rule.table.hit, ranks_of(rule.table), rule.missing)
        answers = partial(answers_of_table, rule)
        return Speaker(_trees(rule), answers, meaning, skips)
    effects: dict[Truth, Effect | None] = {
        Truth.TRUE: rule.then,
        Truth.UNKNOWN: _UNKNOWN[rule.missing],
        Truth.FALSE: None,
    }
    tree = cast(WholeCondition, rule.condition).tree
    return Speaker.of(tree, dict.fromkeys(effects) if rule.observe else effects, skips=skips)


def _confirm(
    before: Rule, after: Rule, *, action: str, names: frozenset[str], moment: datetime | None
) -> Confirm:
    """Puts facts to both rules, with what the service itself states of a request."""
    resource, _, name = action.partition(".")

    def confirm(found: Facts) -> Shown | None:
        if any(_is_no_count(name, value) for name, value in found.values.items()):
            return None
        values: dict[str, Value] = {
            "subject.type": "account",
            "subject.id": "example",
            "resource.id": "example",
            "person.id": "p-example",
            "person.roles": (),
            **found.values,
            "action.name": name,
            "resource.type": resource,
        }
        facts = Facts(values, found.chain, found.now if moment is None else moment)
        one, other = (said_by(rule, action=action, facts=facts) for rule in (before, after))
        return Shown(action, facts, names, one, other)

    return confirm


def _is_no_count(name: str, value: Value) -> bool:
    """Whether the value is one that an aggregate may never have, as far as its type tells."""
    return name.startswith(PREFIX) and isinstance(value, int) and value < 0


def _together(found: Sequence[Comparison]) -> Comparison:
    """Comparisons, such as those under several actions, as one; few of the requests are kept."""
    kinds = {item.kind for item in found}
    every = [shown for item in found for shown in item.shown]
    milder = next((item for item in every if looser(item.before, item.after)), None)
    stricter = next((item for item in every if tighter(item.before, item.after)), None)
    one_for_both = milder is stricter  # such as a flag in place of an obligation
    shown = tuple(item for item in ((milder,) if one_for_both else (milder, stricter)) if item is not None)
    why = next((item.why for item in found if item.why), "")
    if milder is not None and stricter is not None:
        return Comparison(ChangeClass.BOTH, shown, why)
    if ChangeClass.NOT_PROVED in kinds or {ChangeClass.TIGHTENING, ChangeClass.LOOSENING} <= kinds:
        return Comparison(ChangeClass.NOT_PROVED, shown, why)
    kinds.discard(ChangeClass.NEUTRAL)
    return Comparison(kinds.pop() if kinds else ChangeClass.NEUTRAL, shown, why)
