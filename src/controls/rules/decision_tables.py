"""A decision table as it was read: what it means, and the rules that its rows are.

Guarantees: a row that speaks is the rule with the row's own condition, outcome, message and outputs; equal
meanings have equal `meaning`, whatever the layout and, except for `hit: first`, the order of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from controls.model.finding import Effect, Text
from controls.model.values import Json, Value, canonical
from controls.rules.cells import ANY, Cell
from controls.rules.condition import CompiledExpression, WholeCondition
from controls.rules.diagnostics import Place
from controls.rules.nodes import MappingNode, Scalar
from controls.rules.rule import DecisionTable, HitPolicy, Parameter, Row, Rule
from controls.rules.types import ValueType
from controls.rules.versions import condition_text

PERMIT: Final = "permit"
OUTCOMES: Final = (PERMIT, *(effect.value for effect in Effect))


@dataclass(frozen=True, slots=True)
class Input:
    """One input: the header of its column, its expression, and its only values where they are known."""

    name: str
    expression: CompiledExpression
    values: tuple[str, ...]

    @property
    def operand(self) -> str:
        """Its text as a part of a longer condition."""
        source = self.expression.source
        return source if source in self.expression.names else f"({source})"


@dataclass(frozen=True, slots=True)
class RowSource:
    """One row as read. `cells` and `scalars` are in the order of the inputs."""

    place: Place
    cells: tuple[Cell, ...]
    scalars: tuple[Scalar, ...]
    condition: WholeCondition
    outcome: str
    outputs: Mapping[str, Value]
    message: Mapping[str, Scalar] = field(default_factory=dict)  # language -> template, or empty

    @property
    def said(self) -> tuple[object, ...]:
        """What must be equal where rows of `hit: any` overlap."""
        texts = tuple(self.message[language].value for language in sorted(self.message))
        return (
            self.outcome,
            tuple(sorted((name, canonical(value)) for name, value in self.outputs.items())),
            texts,
        )


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table as read: each of its cells is sound by itself."""

    hit: HitPolicy
    inputs: tuple[Input, ...]
    outputs: Mapping[str, ValueType]
    rows: tuple[RowSource, ...]
    default: str  # an outcome, or empty when it is not stated
    condition: WholeCondition  # some row matches
    node: MappingNode

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The outcomes that may come out, from `permit` to `deny`."""
        said = {row.outcome for row in self.rows} | {self.default}
        return tuple(outcome for outcome in OUTCOMES if outcome in said)

    def meaning(self) -> dict[str, Json]:
        """What the rule's version rests on: no layout, no messages, the order of rows for `first` only."""
        rows: list[tuple[dict[str, Json], str, dict[str, Json]]] = [
            (
                {
                    condition_text(input_.expression.source): cell.condition("x")
                    for input_, cell in zip(self.inputs, row.cells, strict=True)
                },
                row.outcome,
                {name: canonical(value) for name, value in row.outputs.items()},
            )
            for row in self.rows
        ]
        if self.hit is not HitPolicy.FIRST:
            rows.sort(key=repr)
        return {
            "hit": self.hit.value,
            "outputs": {name: str(type_) for name, type_ in self.outputs.items()},
            "rows": [list(row) for row in rows],
            "default": self.default,
        }

    def table(self, rule: Rule) -> DecisionTable:
        """The table of a rule, whose version is known by now."""
        return DecisionTable(
            self.hit,
            tuple(self._row(rule, row, number) for number, row in enumerate(self.rows, start=1)),
            self._unmatched(rule),
        )

    def _row(self, rule: Rule, row: RowSource, number: int) -> Row:
        if row.outcome == PERMIT:
            return Row(row.condition, None)
        message = (
            Text(*(str(row.message[language].value) for language in ("en", "es")))
            if row.message
            else rule.message
        )
        told = ", ".join(
            f"{input_.name} {str(scalar.value).strip()}"
            for input_, scalar, cell in zip(self.inputs, row.scalars, row.cells, strict=True)
            if not cell.any
        )
        told = (told or ANY).replace("{", "{{").replace("}", "}}")
        outputs = {
            name: Parameter(value, str(self.outputs[name]), "policy") for name, value in row.outputs.items()
        }
        speaks = replace(
            rule,
            condition=row.condition,
            then=Effect(row.outcome),
            message=Text(f"{message.en} (row {number}: {told})", f"{message.es} (fila {number}: {told})"),
            parameters={**rule.parameters, **outputs},
            due=rule.due if row.outcome == Effect.OBLIGE else None,
        )
        return Row(row.condition, speaks)

    def _unmatched(self, rule: Rule) -> Rule | None:
        if self.default == PERMIT:
            return None
        read = ", ".join(f"{name} {{{name}}}" for name in sorted(self.condition.names))
        message = Text(
            en=f"No row of the table matches: {read}",
            es=f"Ninguna fila de la tabla coincide: {read}",
        )
        # Where the rows take every input there is none that gets here; should one, a person looks at it.
        then = Effect(self.default or Effect.REVIEW)
        return replace(rule, then=then, message=message, due=rule.due if then is Effect.OBLIGE else None)
