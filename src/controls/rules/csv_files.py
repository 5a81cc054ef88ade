"""CSV text -> rows of cells with their places: RFC 4180 in UTF-8, a row on a line.

Guarantees: for any text, a grid or diagnostics or both, in linear time; a cell's text is the same whatever
quotes, blanks and line ends are around it. Characters that cannot be seen, with which a look-up would miss,
and what a spreadsheet would run as a formula are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from controls.rules.diagnostics import Diagnostics, Place, quoted
from controls.rules.files import MAX_CSV_BYTES, sound_text

MAX_ROWS: Final = 100_000  # below the header
MAX_LINES: Final = 3 * MAX_ROWS  # empty ones and those that cannot be read included
MAX_COLUMNS: Final = 50
MAX_LINE: Final = 60_000  # characters

# A quote in a cell in quotes is written twice; without quotes around it, a cell holds none.
_CELL: Final = {
    sign: re.compile(rf'(?:[ \t]*"([^"]*(?:""[^"]*)*)"[ \t]*|([^"{sign}]*))(?={sign}|\Z)') for sign in ",;"
}
# What spreadsheets run instead of show (OWASP, CSV injection); a lone sign, or one before a number or money,
# is none.
_FORMULA: Final = re.compile(r"[=@]|[+-](?!\Z|[0-9.]+( [A-Z]{3})?\Z)")


class Row(NamedTuple):
    line: int  # of the file, from 1
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """The header and the rows of one file, all of the header's length. `lines`: none in a stored release."""

    file: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    lines: tuple[str, ...] = ()
    header_line: int = 1
    separator: str = ","

    def place(self, line: int, column: int) -> Place:
        """Where the cell of a line stands; columns count from 0."""
        if not self.lines:
            return Place(self.file, 1, 1)
        starts = _starts(self.lines[line - 1], self.separator)
        return Place(self.file, line, 1 + starts[min(column, len(starts) - 1)])


def read_csv(file: str, text: str, diagnostics: Diagnostics, *, semicolons: bool = False) -> Grid | None:
    """The rows of a file that can be read, or None when nothing can; the rest is in `diagnostics`.

    Lines without any content are left out.

    Args:
        file: its name in diagnostics.
        text: what it holds.
        diagnostics: takes what is wrong.
        semicolons: they separate the columns when the header has one, as spreadsheets write where the comma
            is the decimal sign.
    """
    sound = sound_text(file, text, diagnostics, most=MAX_CSV_BYTES)
    if sound is None:
        return None
    if sound.count("\n") >= MAX_LINES:
        message = f"a file has at most {MAX_LINES:,} lines, empty ones included: remove those"
        diagnostics.add(Place(file, MAX_LINES + 1, 1), "wrong_length", message)
        return None
    lines = tuple(sound.split("\n"))
    separator = _separator(lines) if semicolons else ","
    header: Row | None = None
    rows: list[Row] = []
    for number, line in enumerate(lines, start=1):
        cells = _cells(Place(file, number, 1), line, separator, diagnostics)
        if header is None:
            if cells is None or not _is_header(Place(file, number, 1), cells, diagnostics):
                return None
            header = Row(number, cells) if any(cells) else None
        elif cells is not None and any(cells):
            rows.append(Row(number, cells))
        if len(rows) > MAX_ROWS:
            diagnostics.add(Place(file, number, 1), "wrong_length", f"a file has at most {MAX_ROWS:,} rows")
            return None
    if header is None:
        diagnostics.add(Place(file, 1, 1), "empty_file", "the file says nothing: begin with a header")
        return None
    grid = Grid(file, header.cells, tuple(rows), lines, header.line, separator)
    return replace(grid, rows=tuple([row for row in rows if _is_sound(grid, row, diagnostics)]))


def _separator(lines: tuple[str, ...]) -> str:
    header = next((line for line in lines if line.strip(" \t,;")), "")
    return ";" if ";" in header else ","


def _is_header(place: Place, cells: tuple[str, ...], diagnostics: Diagnostics) -> bool:
    if len(cells) > MAX_COLUMNS:
        diagnostics.add(place, "wrong_length", f"a file has at most {MAX_COLUMNS} columns")
    elif any(sign in cell for cell in cells for sign in ";\t"):
        diagnostics.add(place, "bad_csv", "separate the columns by commas: save as CSV with commas")
    else:
        return True
    return False


def _cells(place: Place, line: str, separator: str, diagnostics: Diagnostics) -> tuple[str, ...] | None:
    if len(line) > MAX_LINE:
        diagnostics.add(place, "too_long", f"a row has at most {MAX_LINE:,} characters")
        return None
    if '"' not in line:
        return tuple([cell.strip() for cell in line.split(separator)])
    cells: list[str] = []
    start = 0
    while start <= len(line):
        found = _CELL[separator].match(line, start)
        if found is None:
            diagnostics.add(
                place._replace(column=start + 1),
                "bad_csv",
                "this cell's quotes do not fit: put quotes around all of it, write a quote in it twice, and "
                "keep it on one line",
            )
            return None
        inside, bare = found.groups()
        cells.append((bare if inside is None else inside.replace('""', '"')).strip())
        start = found.end() + 1
    return tuple(cells)


def _starts(line: str, separator: str) -> list[int]:
    """Where each cell of a line that could be read begins, blanks left out; and where the line ends."""
    starts: list[int] = []
    start = 0
    while start <= len(line):
        found = _CELL[separator].match(line, start)
        end = len(line) if found is None else found.end()
        rest = line[start:end]
        starts.append(start + len(rest) - len(rest.lstrip()) if rest.strip() else start)
        start = end + 1
    return [*starts, len(line)]


def _is_sound(grid: Grid, row: Row, diagnostics: Diagnostics) -> bool:
    before = diagnostics.count
    width = len(grid.header)
    if len(row.cells) != width:
        diagnostics.add(
            grid.place(row.line, min(width, len(row.cells))),
            "wrong_length",
            f"this row has {len(row.cells)} cells and the header {width}: put quotes around a cell that "
            "holds a comma, and leave a cell empty where there is nothing to say",
        )
    for column, cell in enumerate(row.cells):
        if not cell.isprintable():
            hidden = next(letter for letter in cell if not letter.isprintable())
            diagnostics.add(
                grid.place(row.line, column),
                "bad_character",
                f"the character U+{ord(hidden):04X} in this cell cannot be seen, and would keep it from "
                "being found: remove it",
            )
        elif cell and cell[0] in "=@+-" and _FORMULA.match(cell):
            diagnostics.add(
                grid.place(row.line, column),
                "formula_cell",
                f"{quoted(cell)} is a formula to a spreadsheet: write the value itself",
            )
    return diagnostics.count == before
