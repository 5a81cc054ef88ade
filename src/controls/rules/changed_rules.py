"""The changes of regulatory rules between two rule sets.

Guarantees: each aspect (a parameter, the condition, `then`, `missing`, the mode) is compared with the rest of
the first version kept, and when several changed, they are compared together as well (by `compare_rules`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias, cast

from controls.model.values import Value, canonical
from controls.rules.changed_data import changed_data, differs, recounted
from controls.rules.changes import Change, ChangeClass, Shown, by_sets
from controls.rules.compare_conditions import Comparison
from controls.rules.compare_due import compared_due, due_text
from controls.rules.compare_rules import Versions, said_by
from controls.rules.compare_tables import rows_text, same_rows
from controls.rules.condition import ConditionInvalid, WholeCondition, condition_of_tree
from controls.rules.effective import compared_periods, periods_text
from controls.rules.examples import facts_of_example
from controls.rules.nodes import canonical_json
from controls.rules.rule import CompiledCondition, DecisionTable, Rule
from controls.rules.rule_sets import RuleSet, Where
from controls.rules.versions import condition_text
from controls.rules.with_parameters import NotReplaceable, with_parameters

# What changed, its name, the first version with it alone changed (or why there is none), both values.
Aspect: TypeAlias = "tuple[str, str, Rule | str, str, str]"
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
        aspects = list(self._aspects())
        for what, name, variant, old, new in aspects:
            comparison = self._compared(variant)
            yield self._change(what, comparison, name=name, before=old, after=new)
        if len(aspects) > 1:
            names = ", ".join(name or what for what, name, *_ in aspects)
            yield self._change(
                "rule", self._compared(self._unless_recounted(after)), before="", after="", together=names
            )
        yield from self._applies()
        if before.obligation != after.obligation and (before.then is after.then or before.table is not None):
            yield self._plain(
                "obligation",
                ChangeClass.NOT_PROVED,
                "which of the two obligations asks for more cannot be told from their fields",
                str(before.obligation and dict(before.obligation)),
                str(after.obligation and dict(after.obligation)),
            )
        if before.due != after.due:
            kind, reason = compared_due(before.due, after.due)
            yield self._plain("due", kind, reason, due_text(before.due), due_text(after.due))
        yield from self._wording()

    def parameters(self, *, basis: str) -> Iterator[Change]:
        """The changed parameters with that basis before."""
        for what, name, variant, old, new in self._aspects():
            if what == "parameter" and self.before.parameters[name].basis == basis:
                yield self._change(what, self._compared(variant), name=name, before=old, after=new)

    def _aspects(self) -> Iterator[Aspect]:
        """Each changed aspect: what, its name, the first version with it alone changed, both values.

        Where there is no such version, the reason stands in its place.
        """
        before, after = self.before, self.after
        values = {name: parameter.value for name, parameter in after.parameters.items()}
        common = [name for name in before.parameters if name in after.parameters]
        changed = [name for name in common if before.parameters[name].value != after.parameters[name].value]
        for name in changed:
            old, new = before.parameters[name], after.parameters[name]
            variant = _with(before, {name: values[name]}) if old.type == new.type else "its type changed, too"
            yield "parameter", name, variant, _text(old.value), _text(new.value)
        rewritten = _with(after, {name: before.parameters[name].value for name in changed})
        yield from self._conditions(rewritten)
        if before.then is not after.then and before.table is None and after.table is None:
            variant = replace(before, then=after.then)
            yield "then", "", variant, before.then.value, after.then.value
        if before.missing is not after.missing:
            variant = replace(before, missing=after.missing)
            yield "missing", "", variant, before.missing.value, after.missing.value
        if before.observe is not after.observe:
            yield "mode", "", replace(before, observe=after.observe), _mode(before), _mode(after)

    def _conditions(self, rewritten: Rule | str) -> Iterator[Aspect]:
        """What is asked, and what is looked up for that. `rewritten`: with the first one's parameters."""
        before, after = self.before, self.after
        variant = rewritten
        if isinstance(rewritten, Rule):
            variant = replace(before, condition=rewritten.condition, table=rewritten.table)
        variant = self._unless_recounted(variant)
        old_text, new_text = (condition_text(rule.condition.source) for rule in (before, after))
        looked_up = changed_data(_whole(before).tree, _whole(after).tree)
        recounts = self._recounted()
        if before.table is not None or after.table is not None:
            known = rewritten if isinstance(rewritten, Rule) else after
            tables = (before.table, known.table)
            if None in tables or not same_rows(*cast(tuple[DecisionTable, DecisionTable], tables)):
                yield "table", "", variant, rows_text(before, known), rows_text(known, before)
                return
            rewrites = False
        else:
            rewrites = isinstance(rewritten, Rule) and _whole(rewritten).key != _whole(before).key
            rewrites = rewrites and not looked_up
            if old_text != new_text or rewrites:
                yield "condition", "", variant, old_text, new_text
                return
        if looked_up or recounts:
            old = [f"{item.name}: {item.before}" for item in looked_up if item.before]
            new = [f"{item.name}: {item.after}" for item in looked_up if item.after]
            yield "data", "", variant, "; ".join(old), "; ".join(new)

    def _recounted(self) -> tuple[str, ...]:
        return recounted(
            _whole(self.before).tree,
            _whole(self.after).tree,
            ours=self.one.release.aggregates,
            theirs=self.other.release.aggregates,
        )

    def _unless_recounted(self, variant: Rule | str) -> Rule | str:
        """The variant, which reads what the second version reads, unless that is counted otherwise there."""
        names = self._recounted()
        return differs(names) if names else variant

    def _compared(self, variant: Rule | str) -> Comparison:
        if isinstance(variant, str):
            return Comparison(ChangeClass.NOT_PROVED, (), variant)
        vocabularies = (self.one.release.vocabulary, self.other.release.vocabulary)
        return Versions.of(self.before, self.after, vocabularies=vocabularies).compared(self.before, variant)

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
        if not changed and _row_texts(before) != _row_texts(after) and not list(self._aspects()):
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


def _whole(rule: Rule) -> WholeCondition:
    return cast(WholeCondition, rule.condition)


def _with(rule: Rule, values: Mapping[str, Value]) -> Rule | str:
    """The rule with other values of its parameters, or why there is none."""
    try:
        if rule.table is None:
            return replace(rule, condition=_rewritten(rule.condition, values))
        rows = tuple(replace(row, condition=_rewritten(row.condition, values)) for row in rule.table.rows)
        return replace(rule, table=replace(rule.table, rows=rows))  # `condition` says what is read: the same
    except NotReplaceable as problem:
        return str(problem)
    except ConditionInvalid as problem:
        return f"by itself it would not load: {problem.errors[0].message}"


def _rewritten(compiled: CompiledCondition, values: Mapping[str, Value]) -> WholeCondition:
    condition = cast(WholeCondition, compiled)
    tree = with_parameters(condition.tree, values)
    return condition if tree is condition.tree else condition_of_tree(tree, source=condition.source)


def _row_texts(rule: Rule) -> list[object]:
    rows = () if rule.table is None else rule.table.rows
    return [None if row.speaks is None else (row.speaks.message, row.speaks.parameters) for row in rows]


def _text(value: Value) -> str:
    """A parameter's value as a rule file writes it."""
    written = canonical(value)
    return written if isinstance(written, str) else canonical_json(written).decode()


def _mode(rule: Rule) -> str:
    return "observe" if rule.observe else "enforce"
