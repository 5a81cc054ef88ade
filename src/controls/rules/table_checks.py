"""What a decision table promises, held against its rows: overlaps, gaps and rows that nothing reaches.

Guarantees: a table that passes has for every input exactly what its hit policy says (as far as `coverage`
is exact); each diagnostic stands at the offending cell and shows an input that proves it; what could not be
decided within the budget is refused, not passed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from controls.model.values import Value, canonical
from controls.rules.coverage import Budget, Column, Example, Undecided, column_of, gaps, hidden, overlaps
from controls.rules.decision_tables import RowSource, TableSource
from controls.rules.diagnostics import Diagnostics, Place, quoted
from controls.rules.rule import HitPolicy

MAX_SHOWN: Final = 10  # overlaps or gaps of one table: who mends these sees the next
HIDDEN_STEPS: Final = 100_000  # for rows that nothing reaches, of one table


def check_rows(table: TableSource, *, budget: Budget, diagnostics: Diagnostics) -> None:
    """Note what is wrong with the rows taken together."""
    budget.next_table()
    columns = [
        column_of(
            [row.cells[number] for row in table.rows], type_=input_.expression.type, values=input_.values
        )
        for number, input_ in enumerate(table.inputs)
    ]
    check = _Check(table, columns, budget, diagnostics)
    if not check.cells():
        return
    try:
        check.overlaps()
        if not table.default:
            check.gaps()
    except Undecided:
        diagnostics.add(
            table.node.place_of("rows"),
            "not_decided",
            "whether these rows overlap or leave gaps takes too long to find out: state a `default`, split "
            "the table, or give it fewer inputs",
        )
    with suppress(Undecided):  # such a row says nothing wrong: what is not found in time is left
        check.hidden(Budget(table=HIDDEN_STEPS))


class _Check:
    def __init__(
        self, table: TableSource, columns: Sequence[Column], budget: Budget, diagnostics: Diagnostics
    ) -> None:
        self._table = table
        self._columns = columns
        self._budget = budget
        self._diagnostics = diagnostics

    def cells(self) -> bool:
        """Whether each cell takes some value, and each input is tested by some row."""
        before = self._diagnostics.count
        for number, column in enumerate(self._columns):
            real = sum(1 << piece for piece, value in enumerate(column.examples) if value is not None)
            for row, box in zip(self._table.rows, column.boxes, strict=True):
                if not box & real:
                    place = row.scalars[number].place
                    self._diagnostics.add(place, "impossible_cell", "no value passes this test")
            if all(row.cells[number].any for row in self._table.rows):
                name = self._table.inputs[number].name
                place = self._table.node.items("inputs")[number].place
                self._diagnostics.add(place, "unused_input", f"no row tests {quoted(name)}: remove it")
        return self._diagnostics.count == before

    def overlaps(self) -> None:
        hit = self._table.hit
        if hit not in (HitPolicy.UNIQUE, HitPolicy.ANY):
            return
        rows = self._table.rows
        wrong = (
            found
            for found in overlaps(self._columns, self._budget)
            if hit is HitPolicy.UNIQUE or rows[found[0]].said != rows[found[1]].said
        )
        for earlier, later, example in islice(wrong, MAX_SHOWN):
            self._add_overlap(earlier, later, example)

    def _add_overlap(self, earlier: int, later: int, example: Example) -> None:
        one, other = self._table.rows[earlier], self._table.rows[later]
        both = f"row {earlier + 1} ({_where(one.place)}: {_cells(one)}) and row {later + 1} ({_cells(other)})"
        taken = f"both take {self._told(example)}"
        if self._table.hit is HitPolicy.UNIQUE:
            self._diagnostics.add(
                other.scalars[0].place,
                "overlapping_rows",
                f"{both} {taken}: with `hit: unique` only one may",
            )
        else:
            self._diagnostics.add(
                other.scalars[0].place,
                "conflicting_rows",
                f"{both} {taken} and say different things: with `hit: any` they must agree",
            )

    def hidden(self, budget: Budget) -> None:
        if self._table.hit is not HitPolicy.FIRST:
            return
        for number, row in enumerate(self._table.rows):
            if number and hidden(self._columns, number, budget):
                self._diagnostics.add(
                    row.scalars[0].place,
                    "unreachable_row",
                    f"the rows before row {number + 1} take all that it takes: remove it or move it up",
                )

    def gaps(self) -> None:
        for example in islice(gaps(self._columns, self._budget), MAX_SHOWN):
            self._diagnostics.add(
                self._table.node.place_of("rows"),
                "uncovered_input",
                f"no row takes {self._told(example)}: add one, or say in `default` what it leads to",
            )

    def _told(self, example: Example) -> str:
        return ", ".join(
            f"{input_.name} = {_written(value)}"
            for input_, value in zip(self._table.inputs, example, strict=True)
        )


def _written(value: Value) -> str:
    """A value as a request or an example states it."""
    form = canonical(value)
    return form if isinstance(form, str) else json.dumps(form)


def _cells(row: RowSource) -> str:
    return " | ".join(str(scalar.value) for scalar in row.scalars)


def _where(place: Place) -> str:
    return f"{place.file}:{place.line}"
