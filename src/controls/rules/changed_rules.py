"""The changes of regulatory rules between two rule sets.

Guarantees: each aspect (a parameter, the condition, `then`, `missing`, the mode) is compared with the rest of
the first version kept, and when several changed, they are compared together as well (by `compare_rules`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

from controls.rules.changes import Change, ChangeClass, Shown, by_sets
from controls.rules.compare_conditions import Comparison
from controls.rules.compare_due import with_due
from controls.rules.compare_rules import Versions, said_by
from controls.rules.effective import compared_periods, periods_text
from controls.rules.examples import facts_of_example
from controls.rules.rule import Rule
from controls.rules.rule_aspects import Aspect, Aspects
from controls.rules.rule_sets import RuleSet, Where

Numbered: TypeAlias = tuple[int, Rule]  # with its place among the versions of one id

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_SAYS: Final = {
    ChangeClass.TIGHTENING: "no request gets a milder answer",
    ChangeClass.LOOSENING: "no request gets a stricter answer",
    ChangeClass.BOTH: "some requests get a stricter answer and others a milder one",
    ChangeClass.NEUTRAL: "no request gets another answer",
    ChangeClass.NOT_PROVED: "not proved either way",
}


def changed_rules(one: RuleSet, other: RuleSet) -> Iterator[Change]:
    """The changes of all rules, by id."""
    ours, theirs = one.rules(), other.rules()
    for id_ in sorted(ours.keys() | theirs.keys()):
        pairs, gone, new = _paired(ours.get(id_, []), theirs.get(id_, []))
        for (number, before), (place, after) in pairs:
            yield from _Pair(one, other, before, after, number, place).changes()
        for number, rule in gone:
            where = one.where("rule", id_, number=number)
            yield _whole_rule(one, rule, act="removed", where=(where, None))
        for number, rule in new:
            where = other.where("rule", id_, number=number)
            yield _whole_rule(other, rule, act="added", where=(None, where))


def changed_law_parameters(one: RuleSet, other: RuleSet) -> Iterator[Change]:
    """The changed parameters whose basis is `law` in the first set, each compared by itself."""
    ours, theirs = one.rules(), other.rules()
    for id_ in sorted(ours.keys() & theirs.keys()):
        pairs, _, _ = _paired(ours[id_], theirs[id_])
        for (number, before), (place, after) in pairs:
            yield from _Pair(one, other, before, after, number, place).parameters(basis="law")


def _paired(
    ours: Sequence[Numbered], theirs: Sequence[Numbered]
) -> tuple[list[tuple[Numbered, Numbered]], list[Numbered], list[Numbered]]:
    """Versions of one id that belong together: those of the same periods first, then in the order of time."""
    pairs: list[tuple[Numbered, Numbered]] = []
    left, right = list(ours), list(theirs)
    for item in ours:
        same = next((found for found in right if found[1].periods == item[1].periods), None)
        if same is not None:
            pairs.append((item, same))
            left.remove(item)
            right.remove(same)
    left.sort(key=_begins)
    right.sort(key=_begins)
    together = min(len(left), len(right))
    pairs += zip(left, right, strict=False)
    return sorted(pairs, key=lambda pair: pair[0][0]), left[together:], right[together:]


def _begins(item: Numbered) -> datetime:
    return min(period.start or _FIRST for period in item[1].periods)


def _whole_rule(rules: RuleSet, rule: Rule, *, act: str, where: tuple[Where | None, Where | None]) -> Change:
    """A rule that only one side has, with an example of its own that makes it speak."""
    added = act == "added"
    shown: tuple[Shown, ...] = ()
    for example in rule.examples:
        action = example.action or rule.on[0]
        facts = facts_of_example(rules.release, rule, example)
        effect = said_by(rule, action=action, facts=facts)
        if effect is not None:
            names = rule.condition.names
            shown = (Shown(action, facts, names, *((None, effect) if added else (effect, None))),)
            break
    if rule.observe:
        kind, reason = ChangeClass.NEUTRAL, "it is only observed, so that it changes no answer"
    elif added:
        kind, reason = (
            ChangeClass.TIGHTENING,
            f"a rule more speaks: {rule.then.value} on {', '.join(rule.on)}",
        )
    else:
        kind, reason = (
            ChangeClass.LOOSENING,
            f"it no longer speaks: {rule.then.value} on {', '.join(rule.on)}",
        )
    return Change(
        what="rule",
        id=rule.id,
        act=act,
        kind=kind,
        reason=reason,
        before="" if added else rule.title.en,
        after=rule.title.en if added else "",
        where=where,
        shown=() if rule.observe else shown,
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """One rule before and after."""

    one: RuleSet
    other: RuleSet
    before: Rule
    after: Rule
    number: int
    place: int

    def changes(self) -> Iterator[Change]:
        before, after = self.before, self.after
        aspects = list(self._aspects.all())
        yield from map(self._aspect, aspects)
        if len(aspects) > 1:
            names = ", ".join(aspect.name or aspect.what for aspect in aspects)
            comparison = self._compared(self._aspects.unless_recounted(after))
            yield self._change("rule", comparison, before="", after="", together=names)
        yield from self._applies()
        if before.obligation != after.obligation and (before.then is after.then or before.table is not None):
            yield self._plain(
                "obligation",
                ChangeClass.NOT_PROVED,
                "which of the two obligations asks for more cannot be told from their fields",
                str(before.obligation and dict(before.obligation)),
                str(after.obligation and dict(after.obligation)),
            )
        yield from self._wording()

    def parameters(self, *, basis: str) -> Iterator[Change]:
        """The changed parameters with that basis before."""
        for aspect in self._aspects.all():
            if aspect.what == "parameter" and self.before.parameters[aspect.name].basis == basis:
                yield self._aspect(aspect)

    @property
    def _aspects(self) -> Aspects:
        aggregates = (self.one.release.aggregates, self.other.release.aggregates)
        return Aspects(self.before, self.after, *aggregates)

    def _aspect(self, aspect: Aspect) -> Change:
        comparison = self._compared(aspect.variant)
        return self._change(
            aspect.what, comparison, name=aspect.name, before=aspect.before, after=aspect.after
        )

    def _compared(self, variant: Rule | str) -> Comparison:
        before, after = self.before, self.after
        if isinstance(variant, str):
            if before.observe and after.observe:
                return Comparison(ChangeClass.NEUTRAL, (), "the rule is only observed")
            return Comparison(ChangeClass.NOT_PROVED, (), variant)
        vocabularies = (self.one.release.vocabulary, self.other.release.vocabulary)
        versions = Versions.of(before, after, vocabularies=vocabularies)
        found = self._answers(versions, variant)
        if (before.observe and after.observe) or not (before.obliges and variant.obliges):
            return found
        return with_due(found, before.due, variant.due)

    def _answers(self, versions: Versions, variant: Rule) -> Comparison:
        """The same, without a look at when obligations are due."""
        before, after = self.before, self.after
        found = versions.compared(before, variant)
        tabular = before.table is not None or variant.table is not None
        if not tabular or found.shown or found.kind is ChangeClass.NEUTRAL:
            return found
        # Where no search finds one for a table, what its examples show is shown.
        examples = [
            (example.action or rule.on[0], facts_of_example(rules.release, rule, example))
            for rules, rule in ((self.one, before), (self.other, after))
            for example in rule.examples
        ]
        return versions.shown_by(examples, before, variant, found=found)

    def _applies(self) -> Iterator[Change]:
        """When and where it speaks at all."""
        before, after = self.before, self.after
        silent = before.observe and after.observe
        if set(before.on) != set(after.on):
            kind = by_sets(before.on, after.on, more=ChangeClass.TIGHTENING)
            more = [action for action in after.on if action not in before.on]
            less = [action for action in before.on if action not in after.on]
            said = [f"it also watches {', '.join(more)}"] if more else []
            said += [f"it no longer watches {', '.join(less)}"] if less else []
            yield self._plain(
                "on", ChangeClass.NEUTRAL if silent else kind, "; ".join(said), ", ".join(before.on),
                ", ".join(after.on),
            )  # fmt: skip
        if before.periods != after.periods:
            kind, reason = compared_periods(before.periods, after.periods)
            yield self._plain(
                "effective", ChangeClass.NEUTRAL if silent else kind, reason, periods_text(before.periods),
                periods_text(after.periods),
            )  # fmt: skip

    def _wording(self) -> Iterator[Change]:
        """What changes no answer."""
        before, after = self.before, self.after
        for name in before.parameters:
            if name in after.parameters and before.parameters[name].basis != after.parameters[name].basis:
                yield self._plain(
                    "basis",
                    ChangeClass.NEUTRAL,
                    "no answer changes, but later releases may loosen what is not marked as law"
                    if before.parameters[name].basis == "law"
                    else "no answer changes",
                    before.parameters[name].basis,
                    after.parameters[name].basis,
                    name=name,
                )
        if before.silent is not after.silent:
            yield self._plain(
                "silent",
                ChangeClass.NEUTRAL,
                "the decision is the same; what the rule finds is "
                f"{'no longer told' if after.silent else 'now told'} to whoever asks",
                str(before.silent).lower(),
                str(after.silent).lower(),
            )
        parts = ("title", "message", "sources", "severity", "owner", "because", "jurisdiction", "examples")
        changed = [part for part in parts if getattr(before, part) != getattr(after, part)]
        if not changed and _row_texts(before) != _row_texts(after) and not list(self._aspects.all()):
            changed = ["what rows of the table say"]
        if changed:
            yield self._plain(
                "wording", ChangeClass.NEUTRAL, f"{', '.join(changed)} changed, and no answer does", "", ""
            )

    def _change(
        self,
        what: str,
        comparison: Comparison,
        *,
        before: str,
        after: str,
        name: str = "",
        together: str = "",
    ) -> Change:
        says = _SAYS[comparison.kind]
        if comparison.shown and comparison.kind is ChangeClass.TIGHTENING:
            says += ", and some a stricter one"
        if comparison.shown and comparison.kind is ChangeClass.LOOSENING:
            says += ", and some a milder one"
        if comparison.why:
            says += f" ({comparison.why})"
        parameter = self.before.parameters.get(name)
        return replace(
            self._plain(what, comparison.kind, says, before, after, name=name),
            reason=f"{together} taken together: {says}" if together else says,
            shown=comparison.shown,
            basis="" if parameter is None else parameter.basis,
        )

    def _plain(
        self, what: str, kind: ChangeClass, reason: str, before: str, after: str, *, name: str = ""
    ) -> Change:
        part = _PARTS.get(what, (what,))
        part = (*part, name) if name else part
        return Change(
            what=what,
            id=f"{self.before.id}.{name}" if name else self.before.id,
            act="changed",
            kind=kind,
            reason=reason,
            before=before,
            after=after,
            where=(
                self.one.where("rule", self.before.id, part=part, number=self.number),
                self.other.where("rule", self.after.id, part=part, number=self.place),
            ),
        )


_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "data": ("when",),
    "due": ("obligation", "due"),
    "parameter": ("parameters",),
    "basis": ("parameters",),
    "condition": ("when",),
    "rule": (),
    "wording": (),
}


def _row_texts(rule: Rule) -> list[object]:
    rows = () if rule.table is None else rule.table.rows
    return [None if row.speaks is None else (row.speaks.message, row.speaks.parameters) for row in rows]
