"""What of a rule changed: each aspect with the first version of the rule that has it alone changed.

Guarantees: every difference between two versions that can change what they say, or by when they ask for it,
apart from when and where they speak, is in one aspect; a version that cannot be made is replaced by the
reason, never by a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

from controls.model.values import Value, canonical
from controls.rules.aggregates import Aggregate
from controls.rules.changed_data import ChangedData, changed_data, differs, in_words, recounted
from controls.rules.compare_due import due_text
from controls.rules.compare_tables import rows_text, same_rows
from controls.rules.condition import ConditionInvalid, WholeCondition, condition_of_tree
from controls.rules.due import Due
from controls.rules.nodes import canonical_json
from controls.rules.rule import CompiledCondition, Rule
from controls.rules.versions import condition_text
from controls.rules.with_parameters import NotReplaceable, with_parameters

Aggregates: TypeAlias = Mapping[str, Aggregate]


@dataclass(frozen=True, slots=True)
class Aspect:
    """`what` changed, its `name`, both values, and the first version with it alone changed, or why not."""

    what: str
    name: str
    variant: Rule | str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Aspects:
    """Two versions of one rule, with the aggregates that each of them may read."""

    before: Rule
    after: Rule
    ours: Aggregates
    theirs: Aggregates

    def all(self) -> Iterator[Aspect]:
        """Each changed aspect, the parameters first."""
        before, after = self.before, self.after
        values = {name: parameter.value for name, parameter in after.parameters.items()}
        common = [name for name in before.parameters if name in after.parameters]
        changed = [name for name in common if before.parameters[name].value != after.parameters[name].value]
        for name in changed:
            old, new = before.parameters[name], after.parameters[name]
            variant = _with(before, {name: values[name]}) if old.type == new.type else "its type changed, too"
            yield Aspect("parameter", name, variant, _text(old.value), _text(new.value))
        rewritten = _with(after, {name: before.parameters[name].value for name in changed})
        yield from self._conditions(rewritten)
        if before.then is not after.then and before.table is None and after.table is None:
            variant = replace(before, then=after.then)
            yield Aspect("then", "", variant, before.then.value, after.then.value)
        if before.missing is not after.missing:
            variant = replace(before, missing=after.missing)
            yield Aspect("missing", "", variant, before.missing.value, after.missing.value)
        due = self._due()
        if before.due != due and before.obliges and after.obliges:
            yield Aspect("due", "", replace(before, due=due), due_text(before.due), due_text(due))
        if before.observe is not after.observe:
            yield Aspect("mode", "", replace(before, observe=after.observe), _mode(before), _mode(after))

    def _conditions(self, rewritten: Rule | str) -> Iterator[Aspect]:
        """What is asked, and what is looked up for that. `rewritten`: with the first one's parameters."""
        before, after = self.before, self.after
        variant = rewritten
        if isinstance(rewritten, Rule):
            variant = replace(before, condition=rewritten.condition, table=rewritten.table)
        variant = self.unless_recounted(variant)
        old_text, new_text = (condition_text(rule.condition.source) for rule in (before, after))
        looked_up = changed_data(_whole(before).tree, _whole(after).tree)
        recounts = self._recounted()
        if before.table is not None or after.table is not None:
            known = rewritten if isinstance(rewritten, Rule) else after
            what, same = "table", same_rows(before.table, known.table)
            old_text, new_text = rows_text(before, known), rows_text(known, before)
        else:
            what = "condition"
            same = not isinstance(rewritten, Rule) or _whole(rewritten).key == _whole(before).key
            same = same and old_text == new_text
        if not same and (old_text != new_text or not looked_up):
            yield Aspect(what, "", variant, old_text, new_text)
        elif looked_up or recounts:
            items = (*looked_up, *(ChangedData(name) for name in recounts))
            yield Aspect("data", "", variant, *in_words(items))

    def _due(self) -> Due | None:
        """The second version's due time, with the first one's parameters in it."""
        before, after = self.before, self.after
        values = {
            name: parameter.value
            for name, parameter in before.parameters.items()
            if name in after.parameters and after.parameters[name].type == parameter.type
        }
        return None if after.due is None else after.due.with_parameters(values)

    def _recounted(self) -> tuple[str, ...]:
        return recounted(
            _whole(self.before).tree,
            _whole(self.after).tree,
            ours=self.ours,
            theirs=self.theirs,
        )

    def unless_recounted(self, variant: Rule | str) -> Rule | str:
        """The variant, which reads what the second version reads, unless that is counted otherwise there."""
        names = self._recounted()
        return differs(names) if names else variant


def _whole(rule: Rule) -> WholeCondition:
    return cast(WholeCondition, rule.condition)


def _with(rule: Rule, values: Mapping[str, Value]) -> Rule | str:
    """The rule with other values of its parameters, or why there is none."""
    due = None if rule.due is None else rule.due.with_parameters(values)
    try:
        if rule.table is None:
            return replace(rule, condition=_rewritten(rule.condition, values), due=due)
        rows = tuple(replace(row, condition=_rewritten(row.condition, values)) for row in rule.table.rows)
        # `condition` says what is read: the same.
        return replace(rule, table=replace(rule.table, rows=rows), due=due)
    except NotReplaceable as problem:
        return str(problem)
    except ConditionInvalid as problem:
        return f"by itself it would not load: {problem.errors[0].message}"


def _rewritten(compiled: CompiledCondition, values: Mapping[str, Value]) -> WholeCondition:
    condition = cast(WholeCondition, compiled)
    tree = with_parameters(condition.tree, values)
    return condition if tree is condition.tree else condition_of_tree(tree, source=condition.source)


def _text(value: Value) -> str:
    """A parameter's value as a rule file writes it."""
    written = canonical(value)
    return written if isinstance(written, str) else canonical_json(written).decode()


def _mode(rule: Rule) -> str:
    return "observe" if rule.observe else "enforce"
