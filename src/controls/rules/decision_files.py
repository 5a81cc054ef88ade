"""`decisions/*.csv` -> nodes: the rows of a decision table, each cell a text with its place.

Guarantees: the same nodes whatever the separator, the quotes and the layout, so that they are what a release
keeps; all rows are as long as the header.
"""

from __future__ import annotations

from typing import Final

from controls.rules.csv_files import read_csv
from controls.rules.diagnostics import Diagnostics, Place
from controls.rules.nodes import FileText, Node, Scalar, Sequence

MAX_ROWS: Final = 1_000  # below the header


def read_rows(file: str, text: str, diagnostics: Diagnostics) -> Node | None:
    """The header and the rows, each a list of texts; None when something is wrong, which is noted."""
    before = diagnostics.count
    grid = read_csv(file, text, diagnostics, semicolons=True)
    if grid is None or diagnostics.count > before:
        return None
    if not grid.rows:
        diagnostics.add(Place(file, 1, 1), "empty_file", "write at least one row below the columns' names")
        return None
    if len(grid.rows) > MAX_ROWS:
        place = grid.place(grid.rows[MAX_ROWS].line, 0)
        diagnostics.add(place, "wrong_length", f"a decision table has at most {MAX_ROWS:,} rows: split it")
        return None

    source = FileText(file)

    def row(line: int, cells: tuple[str, ...]) -> Sequence:
        columns = [grid.place(line, number).column for number in range(len(cells))]
        scalars = tuple(
            Scalar(source, line, column, cell) for column, cell in zip(columns, cells, strict=True)
        )
        return Sequence(source, line, columns[0], scalars)

    rows = (row(found.line, found.cells) for found in grid.rows)
    return Sequence(source, 1, 1, (row(grid.header_line, grid.header), *rows))
