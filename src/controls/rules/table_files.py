"""The `table` of a rule and `decisions/*.csv` -> a table whose cells are sound each by itself.

Guarantees: whatever is wrong is reported at its cell, in the CSV file too; the columns are exactly the inputs
and outputs that the rule declares, so that no column is ignored and none is taken for granted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from controls.model.condition import Truth
from controls.model.values import Json, Money, Value
from controls.rules import tree
from controls.rules.cells import ANY, Cell, CellError, parse_cell
from controls.rules.common_shapes import DEFAULT_LIST, MAX_STRING
from controls.rules.condition import (
    ConditionInvalid,
    Names,
    WholeCondition,
    compile_condition,
    condition_of,
)
from controls.rules.condition_files import ConditionScope
from controls.rules.decision_tables import OUTCOMES, PERMIT, Input, RowSource, TableSource
from controls.rules.diagnostics import Place, closest, listed, quoted
from controls.rules.formula import Constant, Or
from controls.rules.nodes import MappingNode, Node, Scalar, Sequence
from controls.rules.readers import MalformedValue, reader_of
from controls.rules.rule import HitPolicy
from controls.rules.types import BOOL, ValueType, is_scalar, type_from_text
from controls.rules.versions import condition_text

THEN: Final = "then"
MESSAGES: Final = ("message.en", "message.es")

_ALWAYS: Final = tree.Constant(type=BOOL, start=0, end=0, value=True)


def read_table(
    node: MappingNode,
    *,
    files: Mapping[str, Node | None],
    names: Names,
    broken: frozenset[str],
    scope: ConditionScope,
) -> TableSource | None:
    """The table that a rule's `table` says; None when a cell or an input is wrong, which is then noted.

    Args:
        node: its structure has been checked.
        files: the grids of `decisions/*.csv` by path; None: it could not be read.
        names: what inputs may name.
        broken: parameters that are declared but wrong, noted elsewhere.
        scope: the release's facts, and where to note what is wrong.
    """
    return _Reader(node, files, names, broken, scope).table()


@dataclass(slots=True)
class _Reader:
    node: MappingNode
    files: Mapping[str, Node | None]
    names: Names
    broken: frozenset[str]
    scope: ConditionScope

    def table(self) -> TableSource | None:
        before = self.scope.diagnostics.count
        names, inputs = self._inputs()
        outputs = self._outputs()
        columns = [*names, THEN, *outputs]
        found = [
            self._row(place, cells, inputs=inputs, outputs=outputs) for place, cells in self._grid(columns)
        ]
        rows = tuple(row for row in found if row is not None)
        if self.scope.diagnostics.count == before:
            self._check_currencies(inputs, rows)
        if self.scope.diagnostics.count > before or len(inputs) < len(names) or not rows:
            return None
        default = self.node.text("default")
        hit = HitPolicy(self.node.text("hit"))
        if not {row.outcome for row in rows} - {PERMIT} and default in ("", PERMIT):
            self._add(self.node.place, "silent_table", "every row permits: this table never says anything")
            return None
        return TableSource(hit, inputs, outputs, rows, default, _reads(rows, inputs), self.node)

    def _add(self, place: Place, code: str, message: str) -> None:
        self.scope.diagnostics.add(place, code, message)

    def _inputs(self) -> tuple[list[str], tuple[Input, ...]]:
        """The names of all inputs, and those inputs that are sound."""
        names: list[str] = []
        found: list[Input] = []
        for item in self.node.items("inputs"):
            scalar = item.scalar("value") if isinstance(item, MappingNode) else item
            assert isinstance(scalar, Scalar)
            name = item.text("name") if isinstance(item, MappingNode) else condition_text(str(scalar.value))
            if name in (*names, THEN, *MESSAGES):
                self._add(item.place, "duplicate_id", f"there is already a column {quoted(name)}")
            names.append(name)
            expression = self.scope.expression(scalar, names=self.names, broken=self.broken)
            if expression is None:
                continue
            if not is_scalar(expression.type):
                message = f"an input is one value; this is {expression.type}: take size(...) or exists(...)"
                self._add(scalar.place, "wrong_type", message)
                continue
            same = [known.name for known in found if known.expression.key == expression.key]
            if same:
                self._add(scalar.place, "duplicate_item", f"{quoted(same[0])} is the same input")
            fact = self.scope.vocabulary.vocabulary.facts.get(expression.key)
            found.append(Input(name, expression, () if fact is None else fact.values))
        return names, tuple(found)

    def _outputs(self) -> dict[str, ValueType]:
        declared = self.node.mapping("outputs")
        found: dict[str, ValueType] = {}
        for name, entry in declared.entries.items() if declared is not None else ():
            assert isinstance(entry.value, Scalar)
            if name == THEN or name in self.names.parameters:
                self._add(
                    entry.key.place, "conflicting_name", f"{quoted(name)} is taken: choose another name"
                )
            found[name] = type_from_text(str(entry.value.value))
        return found

    def _grid(self, columns: list[str]) -> Iterable[tuple[Place, Mapping[str, Scalar]]]:
        """The rows, as column -> cell; what has other columns than it should is noted and left out."""
        rows = self.node.get("rows")
        if isinstance(rows, Scalar):
            yield from self._file(rows, columns)
            return
        for row in self.node.items("rows"):
            assert isinstance(row, MappingNode)
            keys = [entry.key for entry in row.entries.values()]
            if self._has_columns(keys, columns, row.place):
                yield (
                    row.place,
                    {
                        name: entry.value
                        for name, entry in row.entries.items()
                        if isinstance(entry.value, Scalar)
                    },
                )

    def _file(self, path: Scalar, columns: list[str]) -> Iterable[tuple[Place, Mapping[str, Scalar]]]:
        name = str(path.value)
        if name not in self.files:
            self._add(
                path.place, "unknown_file", f"there is no file {quoted(name)}{closest(name, self.files)}"
            )
            return
        grid = self.files[name]
        if not isinstance(grid, Sequence):
            return  # it could not be read, which has been noted
        header, *rows = [
            [cell for cell in row.items if isinstance(cell, Scalar)]
            for row in grid.items
            if isinstance(row, Sequence)
        ]
        if self._has_columns(header, columns, header[0].place):
            for row in rows:
                if len(row) != len(header):  # only in a stored release that was tampered with
                    message = f"this row has {len(row)} cells and the header {len(header)}"
                    self._add(row[0].place, "wrong_length", message)
                    continue
                yield row[0].place, {_header(key): cell for key, cell in zip(header, row, strict=True)}

    def _has_columns(self, keys: Iterable[Scalar], columns: list[str], place: Place) -> bool:
        seen: set[str] = set()
        sound = True
        for key in keys:
            name = _header(key)
            if name in seen:
                self._add(key.place, "duplicate_key", f"the column {quoted(name)} is there twice")
                sound = False
            elif name not in columns and name not in MESSAGES:
                hint = closest(name, columns) or f": there are {listed(columns)}"
                self._add(key.place, "unknown_key", f"{quoted(name)} is no input and no output{hint}")
                sound = False
            seen.add(name)
        wanted = [*columns, *(MESSAGES if not seen.isdisjoint(MESSAGES) else ())]
        for name in wanted:
            if name not in seen:
                self._add(place, "missing_key", f"the column {quoted(name)} is missing here")
                sound = False
        return sound

    def _row(
        self,
        place: Place,
        cells: Mapping[str, Scalar],
        *,
        inputs: tuple[Input, ...],
        outputs: Mapping[str, ValueType],
    ) -> RowSource | None:
        before = self.scope.diagnostics.count
        scalars = tuple(cells[input_.name] for input_ in inputs)
        tests = [self._cell(input_, scalar) for input_, scalar in zip(inputs, scalars, strict=True)]
        outcome = _text(cells[THEN])
        if outcome not in OUTCOMES:
            wrong = f"{quoted(outcome)} is not one of {listed(OUTCOMES)}{closest(outcome, OUTCOMES)}"
            self._add(cells[THEN].place, "unknown_value", wrong)
        values = self._values(cells, outputs, permits=outcome == PERMIT)
        message = self._message(cells)
        sound = tuple(test for test in tests if test is not None)
        if self.scope.diagnostics.count > before:
            return None
        condition = self._condition(place, sound, inputs)
        if condition is None:
            return None
        return RowSource(place, sound, scalars, condition, outcome, values, message)

    def _cell(self, input_: Input, scalar: Scalar) -> Cell | None:
        try:
            return parse_cell(_text(scalar), type_=input_.expression.type, values=input_.values)
        except CellError as error:
            self._add(scalar.locate(error.offset), error.code, error.message)
        return None

    def _values(
        self, cells: Mapping[str, Scalar], outputs: Mapping[str, ValueType], *, permits: bool
    ) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for name, type_ in outputs.items():
            text = _text(cells[name])
            if text == ANY and permits:
                continue
            try:
                raw: Json = (
                    {"true": True, "false": False}.get(text.lower(), text) if type_.kind == "bool" else text
                )
                found[name] = reader_of(type_, max_length=MAX_STRING, max_items=DEFAULT_LIST)(raw)
            except MalformedValue as problem:
                message = problem.message.en.replace("send ", "write ", 1)
                self._add(cells[name].place, "bad_value", f"{quoted(text)}: {message}")
        return found

    def _message(self, cells: Mapping[str, Scalar]) -> dict[str, Scalar]:
        found = {name.removeprefix("message."): cells[name] for name in MESSAGES if name in cells}
        said = {language: scalar for language, scalar in found.items() if _text(scalar) not in ("", ANY)}
        if len(said) == 1:
            missing = next(scalar for language, scalar in found.items() if language not in said)
            self._add(missing.place, "empty_translation", "write the message in this language too")
        return said

    def _condition(
        self, place: Place, tests: tuple[Cell, ...], inputs: tuple[Input, ...]
    ) -> WholeCondition | None:
        parts = [
            test.condition(input_.operand) for input_, test in zip(inputs, tests, strict=True) if not test.any
        ]
        if not parts:
            return condition_of(Constant(Truth.TRUE), source="true", tree=_ALWAYS, data={})
        try:
            return compile_condition(" && ".join(parts), names=self.names)
        except ConditionInvalid as invalid:
            for error in invalid.errors:
                self._add(place, error.code, f"the cells of this row together: {error.message}")
        return None

    def _check_currencies(self, inputs: tuple[Input, ...], rows: tuple[RowSource, ...]) -> None:
        for number in range(len(inputs)):
            used = [
                (constant.currency, row.scalars[number])
                for row in rows
                for constant in row.cells[number].constants()
                if isinstance(constant, Money)
            ]
            for (before, _), (currency, scalar) in pairwise(used):
                if currency != before:
                    self._add(
                        scalar.place,
                        "mixed_currencies",
                        f"{currency} after {before}: amounts of two currencies cannot be compared; take "
                        "currency(...) and amount(...) as the inputs",
                    )
                    break


def _text(scalar: Scalar) -> str:
    if isinstance(scalar.value, bool):
        return "true" if scalar.value else "false"
    return "" if scalar.value is None else str(scalar.value).strip()


def _header(key: Scalar) -> str:
    return condition_text(str(key.value))


def _reads(rows: tuple[RowSource, ...], inputs: tuple[Input, ...]) -> WholeCondition:
    """The condition "some row matches": what the table reads. Engines look at the rows instead."""
    conditions = [row.condition for row in rows]
    return condition_of(
        Or(tuple(condition.formula for condition in conditions)),
        source=" || ".join(f"({condition.source})" for condition in conditions),
        tree=tree.Logic(
            type=BOOL, start=0, end=0, every=False, parts=tuple(condition.tree for condition in conditions)
        ),
        parameters=frozenset().union(*(input_.expression.parameters for input_ in inputs)),
        cells=frozenset().union(*(condition.cells for condition in conditions)),
        data={name: digest for condition in conditions for name, digest in condition.data.items()},
        calendars=frozenset().union(*(condition.calendars for condition in conditions)),
    )
