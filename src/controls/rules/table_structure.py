"""What a decision table and its CSV file may say: the part of `structure` that is about them."""

from __future__ import annotations

from typing import Final

from controls.rules.shapes import (
    CellShape,
    ChoiceShape,
    EitherShape,
    Key,
    ListShape,
    MappingShape,
    Shape,
    TableShape,
    TextShape,
)
from controls.rules.syntax import MAX_SOURCE

_CELL: Final = CellShape(max_length=2_000)
DECISION_FILE: Final = ListShape(
    ListShape(TextShape(what="a cell", max_length=_CELL.max_length, empty_too=True), maximum=50),
    minimum=2,
    maximum=1_001,
)
_COLUMN: Final = TextShape(what="a column's name", max_length=MAX_SOURCE)


def table_shape(*, condition: Shape, name: TextShape, type_: Shape, outcome: Shape) -> MappingShape:
    """The `table` of a rule.

    Args:
        condition: the shape of the text of a fact or expression.
        name: that of a plain name.
        type_: that of a scalar type.
        outcome: that of an outcome.
    """
    return MappingShape(
        "a decision table",
        (
            Key(
                "hit",
                ChoiceShape(("unique", "any", "first", "priority", "collect")),
                "which of the rows that match speak: unique (there is only one), any (they say the same), "
                "first, priority (the strictest) or collect (all of them)",
                required=True,
            ),
            Key(
                "inputs",
                ListShape(
                    EitherShape(
                        condition,
                        MappingShape(
                            "an input",
                            (
                                Key("name", name, "what its column is called", required=True),
                                Key("value", condition, "the fact or expression that it is", required=True),
                            ),
                        ),
                    ),
                    maximum=20,
                ),
                "what the columns test: facts or expressions, each under its own text or as {name, value}",
                required=True,
            ),
            Key(
                "outputs",
                TableShape("the further outputs", key=name, value=type_, maximum=20),
                "columns with values that messages may use, each with its type",
            ),
            Key(
                "rows",
                EitherShape(
                    TextShape(
                        what="a file such as decisions/order_limits.csv",
                        pattern=r"decisions/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.csv",
                        max_length=120,
                    ),
                    ListShape(TableShape("a row", key=_COLUMN, value=_CELL, maximum=50)),
                ),
                "the rows, each column: cell; or the CSV file that holds them. Cells: - (any), value, a, b, "
                "< 5, [1..5), not(a, b); the column `then` says permit, flag, oblige, review or deny",
                required=True,
            ),
            Key(
                "default",
                outcome,
                "what an input that no row takes leads to (without it there must be no such input)",
            ),
        ),
    )
