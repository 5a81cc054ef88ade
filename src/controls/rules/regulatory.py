"""Regulatory rules from files: `regulatory/<stage>/*.yaml`.

Guarantees: a rule that comes out watches an action that somebody may take, quotes only what it read, has an
example that fires and one that does not, and never overlaps in time with another of its id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from controls.model.duty import Period
from controls.model.finding import Effect, Text
from controls.model.values import Json, canonical
from controls.rules.chains import RESERVED_RESOURCES, Chains
from controls.rules.condition import WholeCondition
from controls.rules.condition_files import ConditionScope
from controls.rules.constraints import sources_of
from controls.rules.coverage import Budget
from controls.rules.decision_tables import PERMIT, TableSource
from controls.rules.diagnostics import Diagnostics, Place, closest, listed, quoted
from controls.rules.due import Due
from controls.rules.due_files import due_of, parameters_named
from controls.rules.example_files import example_of
from controls.rules.findings import DUE_AT
from controls.rules.messages import placeholders
from controls.rules.nodes import MappingNode, Node, Scalar, as_json, mappings_of
from controls.rules.parameters import Parameters, parameters_of
from controls.rules.periods import check_overlaps, period_of
from controls.rules.rule import Example, MissingPolicy, Parameter, Rule
from controls.rules.rule_structure import RULE
from controls.rules.shapes import is_sound
from controls.rules.sources import SourceFile
from controls.rules.table_checks import check_rows
from controls.rules.table_files import read_table
from controls.rules.versions import condition_text, data_json, period_json, version_of
from controls.rules.vocabulary import SERVICE_FACTS


def rules_of(
    files: Iterable[SourceFile],
    *,
    actions: frozenset[str],
    actions_complete: bool,
    chains: Chains,
    scope: ConditionScope,
    decisions: Mapping[str, Node | None],
    complete: bool,
) -> tuple[Rule, ...]:
    """The rules of all files.

    Args:
        files: the files, with their structure checked.
        actions: every `resource.action` that a grant or a chain step knows.
        actions_complete: the files that say so could all be read.
        chains: the chain kinds, whose steps conditions may name.
        scope: what conditions may name besides.
        decisions: the grids of `decisions/*.csv` by path; None: it could not be read.
        complete: every rule file was read and is right in structure.
    """
    reader = _Reader(actions if actions_complete else None, chains, scope, decisions)
    for file in files:
        for node in mappings_of(file.node):
            if file.clean or is_sound(RULE, node):
                reader.read(node, file.path)
    for id_, periods in reader.periods.items():
        check_overlaps(periods, what=quoted(id_), diagnostics=scope.diagnostics)
    for path in sorted(decisions.keys() - reader.named) if complete else ():
        scope.diagnostics.add(
            Place(path, 1, 1), "unused_file", "no rule's `table` names this file: remove it"
        )
    return tuple(reader.rules)


@dataclass(slots=True)
class _Reader:
    """Reads one rule after another, remembering when each id applies. `actions` None: not known."""

    actions: frozenset[str] | None
    chains: Chains
    scope: ConditionScope
    decisions: Mapping[str, Node | None]
    rules: list[Rule] = field(default_factory=list)
    periods: dict[str, list[tuple[Period, Place]]] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)  # files of decision tables
    budget: Budget = field(default_factory=Budget)

    @property
    def diagnostics(self) -> Diagnostics:
        return self.scope.diagnostics

    def read(self, node: MappingNode, path: str) -> None:
        before = self.diagnostics.count
        id_ = node.text("id")
        periods = self._periods(node, id_)
        on = node.texts("on")
        self._check_actions(node)
        parameters = parameters_of(node, types=self.scope.types, diagnostics=self.diagnostics)
        steps = self.chains.steps_of(action.partition(".")[0] for action in on)
        condition, table = self._condition(node, parameters, steps)
        outcomes = (PERMIT, node.text("then")) if "then" in node else table.outcomes if table else ()
        if condition is not None:
            self._check_aggregates(node, condition)
            self._check_parameters_used(node, condition, parameters)
            self._check_messages(node, condition, parameters, table)
        self._check_policy(node, outcomes)
        due = self._due(node, parameters)
        examples = self._examples(node, outcomes, on=on, periods=periods, steps=steps)
        if condition is None or self.diagnostics.count > before:
            return
        rule = Rule(
            id=id_,
            version="",
            title=node.bilingual("title") or Text("", ""),
            on=on,
            condition=condition,
            then=Effect(outcomes[-1]),
            message=node.bilingual("message") or Text("", ""),
            missing=MissingPolicy(node.text("missing", MissingPolicy.REVIEW)),
            because=node.text("because"),
            sources=sources_of(node),
            periods=periods or (Period(),),
            observe=node.text("mode") == "observe",
            silent=node.flag("silent", default=False),
            severity=node.text("severity", "medium"),
            owner=node.text("owner"),
            jurisdiction=node.texts("jurisdiction"),
            parameters={
                name: Parameter(value, str(type_), parameters.basis[name])
                for name, (type_, value) in sorted(parameters.known.items())
            },
            obligation=_obligation(node),
            due=due,
            examples=examples,
            file=path,
            line=node.place.line,
        )
        calendars = set(condition.calendars)
        if due is not None and due.calendar is not None:
            calendars.add(due.calendar.name)
        said = {"when": condition_text(node.text("when"))} if table is None else table.meaning()
        meaning: dict[str, Json] = {
            **said,
            "obligation": as_json(node.entries["obligation"].value) if "obligation" in node else None,
            **data_json(condition.data),
        }
        if calendars:
            meaning["calendars"] = dict[str, Json](self.scope.calendar_digests(calendars))
        if aggregates := condition.names & self.scope.aggregates.keys():
            meaning["aggregates"] = {name: self.scope.aggregates[name].version for name in aggregates}
        rule = _versioned(rule, meaning)
        self.rules.append(rule if table is None else replace(rule, table=table.table(rule)))

    def _condition(
        self, node: MappingNode, parameters: Parameters, steps: frozenset[str]
    ) -> tuple[WholeCondition | None, TableSource | None]:
        """What `when` says, or `table`."""
        broken = frozenset(parameters.broken)
        when, tabular = node.scalar("when"), node.mapping("table")
        if tabular is None:
            assert when is not None
            return self.scope.compile(when, steps=steps, parameters=parameters.known, broken=broken), None
        self.named.update(tabular.texts("rows"))
        names = self.scope.names(steps=steps, parameters=parameters.known)
        table = read_table(tabular, files=self.decisions, names=names, broken=broken, scope=self.scope)
        if table is None:
            return None, None
        check_rows(table, budget=self.budget, diagnostics=self.diagnostics)
        return table.condition, table

    def _periods(self, node: MappingNode, id_: str) -> tuple[Period, ...]:
        of_id = self.periods.setdefault(id_, [])
        if "effective" not in node:
            of_id.append((Period(), node.place_of("id")))
            return (Period(),)
        found: list[Period] = []
        for item in node.items("effective"):
            period = period_of(item, self.diagnostics) if isinstance(item, MappingNode) else None
            if period is not None:
                found.append(period)
                of_id.append((period, item.place))
        return tuple(found)

    def _check_actions(self, node: MappingNode) -> None:
        if self.actions is None:
            return
        for action in node.scalars("on"):
            name = str(action.value)
            if name not in self.actions:
                self.diagnostics.add(
                    action.place,
                    "unreachable_rule",
                    f"no grant and no chain step knows {quoted(name)}{closest(name, self.actions)}",
                )

    def _check_aggregates(self, node: MappingNode, condition: WholeCondition) -> None:
        if condition.names.isdisjoint(self.scope.aggregates):
            return
        for action in node.scalars("on"):
            if str(action.value).partition(".")[0] in RESERVED_RESOURCES:
                self.diagnostics.add(
                    action.place,
                    "reserved_resource",
                    "aggregates are not read for acts of the service itself: remove it, or the aggregate",
                )

    def _check_parameters_used(
        self, node: MappingNode, condition: WholeCondition, parameters: Parameters
    ) -> None:
        declared, due = node.mapping("parameters"), _due_node(node)
        used = condition.parameters | (parameters_named(due, parameters) if due is not None else set())
        for name in parameters.known:
            if name not in used and declared is not None:
                self.diagnostics.add(
                    declared.entries[name].key.place,
                    "unused_parameter",
                    f"neither `when` nor `due` uses {quoted(name)}: use it or remove it",
                )

    def _check_messages(
        self,
        node: MappingNode,
        condition: WholeCondition,
        parameters: Parameters,
        table: TableSource | None,
    ) -> None:
        message = node.mapping("message")
        assert message is not None
        outputs = frozenset() if table is None else table.outputs.keys()
        read = condition.names | condition.cells | parameters.known.keys() | outputs
        obligation = node.mapping("obligation")
        due = {DUE_AT} if obligation is not None and "due" in obligation else set[str]()
        allowed = read | parameters.broken | SERVICE_FACTS.keys() | due
        messages = [(message.scalar("en"), message.scalar("es"))]
        rows = () if table is None else table.rows
        messages += [(row.message["en"], row.message["es"]) for row in rows if row.message]
        for english, spanish in messages:
            assert english is not None
            assert spanish is not None
            before = self.diagnostics.count
            for scalar in (english, spanish):
                self._check_message(scalar, read, allowed=allowed)
            if self.diagnostics.count == before:
                self._check_translation(english, spanish)

    def _check_message(self, scalar: Scalar, read: Set[str], *, allowed: Set[str]) -> None:
        for offset, name in placeholders(str(scalar.value)):
            if name in ("{", "}"):
                self.diagnostics.add(
                    scalar.locate(offset), "bad_placeholder", f"write {name}{name} for a brace as such"
                )
            elif name not in allowed:
                self.diagnostics.add(
                    scalar.locate(offset),
                    "bad_placeholder",
                    f"the rule reads {listed(sorted(read)) or 'nothing'}, and not {quoted(name)}"
                    f"{closest(name, read)}",
                )

    def _check_translation(self, english: Scalar, spanish: Scalar) -> None:
        """Note a value that only one of the languages tells."""
        ours, theirs = (
            {name for _, name in placeholders(str(scalar.value))} for scalar in (english, spanish)
        )
        for scalar, language, lacking in ((english, "en", theirs - ours), (spanish, "es", ours - theirs)):
            if lacking:
                told = listed([f"{{{name}}}" for name in sorted(lacking)])
                self.diagnostics.add(
                    scalar.place,
                    "untranslated_value",
                    f"`{language}` does not tell {told}, and the other language does: tell the same in both",
                )

    def _check_policy(self, node: MappingNode, outcomes: tuple[str, ...]) -> None:
        skips = node.text("missing") == MissingPolicy.SKIP
        if skips and "because" not in node:
            self.diagnostics.add(
                node.place_of("missing"),
                "missing_because",
                "say in `because` why an absent fact may be skipped",
            )
        if "because" in node and not skips:
            self.diagnostics.add(
                node.entries["because"].key.place, "misplaced_key", "`because` belongs to `missing: skip`"
            )
        if node.flag("silent", default=False) and (
            not skips or not {PERMIT, Effect.FLAG}.issuperset(outcomes)
        ):
            self.diagnostics.add(
                node.entries["silent"].key.place,
                "misplaced_key",
                "`silent` goes with `then: flag` and `missing: skip`: whoever is held up is told why",
            )
        obliges = Effect.OBLIGE in outcomes
        if obliges and "obligation" not in node:
            place = node.place_of("then" if "then" in node else "table")
            self.diagnostics.add(place, "missing_key", "`then: oblige` needs an `obligation`")
        if "obligation" in node and outcomes and not obliges:
            self.diagnostics.add(
                node.entries["obligation"].key.place,
                "misplaced_key",
                "`obligation` belongs to `then: oblige`",
            )

    def _due(self, node: MappingNode, parameters: Parameters) -> Due | None:
        due = _due_node(node)
        if due is None:
            return None
        if not any("due" in item for item in node.items("examples") if isinstance(item, MappingNode)):
            self.diagnostics.add(
                node.entries["examples"].key.place,
                "missing_example",
                "add an example that says when the obligation is `due`",
            )
        return due_of(due, parameters=parameters, scope=self.scope)

    def _examples(
        self,
        node: MappingNode,
        outcomes: tuple[str, ...],
        *,
        on: tuple[str, ...],
        periods: tuple[Period, ...],
        steps: frozenset[str],
    ) -> tuple[Example, ...]:
        examples: list[Example] = []
        names: set[str] = set()
        for item in node.items("examples"):
            assert isinstance(item, MappingNode)
            name = item.text("name")
            if name in names:
                self.diagnostics.add(
                    item.place_of("name"), "duplicate_id", f"{quoted(name)} is already there"
                )
            names.add(name)
            examples.append(example_of(item, on=on, periods=periods, steps=steps, scope=self.scope))
        expected = {example.expect for example in examples}
        place = node.entries["examples"].key.place
        for outcome in outcomes:
            if outcome in expected:
                continue
            fires = "that does not fire" if outcome == PERMIT else "that fires"
            self.diagnostics.add(
                place, "missing_example", f"add an example {fires}: one that expects {outcome}"
            )
        return tuple(examples)


def _due_node(node: MappingNode) -> MappingNode | None:
    obligation = node.mapping("obligation")
    return None if obligation is None else obligation.mapping("due")


def _obligation(node: MappingNode) -> Mapping[str, Json] | None:
    """What the obligation says besides when it is due."""
    obligation = node.mapping("obligation")
    if obligation is None:
        return None
    return {name: as_json(entry.value) for name, entry in obligation.entries.items() if name != "due"}


def _versioned(rule: Rule, meaning: Mapping[str, Json]) -> Rule:
    """The rule with the version of its meaning; `meaning` is what the compiled rule does not say as such."""
    whole: dict[str, Json] = {
        "id": rule.id,
        "on": list(rule.on),
        "then": rule.then.value,
        "missing": rule.missing.value,
        "observe": rule.observe,
        **({"silent": True} if rule.silent else {}),
        "effective": [period_json(period) for period in rule.periods],
        "parameters": {
            name: [parameter.type, canonical(parameter.value)] for name, parameter in rule.parameters.items()
        },
        **meaning,
    }
    return replace(rule, version=version_of(whole))
