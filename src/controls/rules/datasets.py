"""Lists and tables of a release: `lists/NAME.csv` and `tables/NAME.csv`, for conditions to look into; and the
reading of `rates/NAME.csv`, tables with columns of their own (see `rates`).

The first row says what the columns are, as `name:type`: the types are those of facts, without money in a
list or a key (two currencies can never be compared), and the forms of identifiers (`isin`; see `formats`),
which are texts. A table marks its key columns, an optional column may have empty cells, and a note is for the
people who edit the file and for nothing else:

    issuer:isin,remark:note                         trader:string key,limit:money,until:date?,remark:note
    ES0113900J37,until the results are out          p-ana,2000000.00 EUR,2026-12-31,head of desk

Guarantees: every cell is of its column's type, every key and every item there once; the order of rows, the
order of columns that are no key, notes and the layout change neither a release nor its digest. A look-up
takes the same time however many rows there are, and nothing is copied for it. A digest changes with any
value that a condition could read through it, and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple, TypeAlias, cast

from controls.model.values import Json, Value, canonical
from controls.rules.common_shapes import MAX_STRING, SCALAR_TYPES
from controls.rules.csv_files import MAX_COLUMNS, MAX_ROWS, Grid, Row
from controls.rules.diagnostics import Diagnostics, closest, listed, quoted
from controls.rules.formats import FORMATS
from controls.rules.rates import RATE_COLUMNS, RATE_HEADER, Rate, Rates, rates_of
from controls.rules.readers import MalformedValue, Reader, reader_of
from controls.rules.types import MONEY, STRING, Kind, ValueType, type_from_text
from controls.rules.versions import version_of

_COLUMN: Final = re.compile(r"([a-z][a-z0-9_]{0,62})\s*:\s*([a-z]{1,20})\s*(\?|\skey)?\Z")
_NOTE: Final = "note"
_TRUTHS: Final = {"true": True, "false": False}

Keys: TypeAlias = "tuple[Value, ...]"


class DataKind(StrEnum):
    """The kinds of files that hold data and no rules."""

    LIST = "list"
    TABLE = "table"
    RATE = "rate"


@dataclass(frozen=True, slots=True, eq=False)
class DataList:
    """A list: its items in a fixed order, and as a set. `digest` stands for all of them."""

    name: str
    type: ValueType  # of an item
    items: tuple[Value, ...]
    members: frozenset[Value]
    digest: str


@dataclass(frozen=True, slots=True, eq=False)
class DataColumn:
    """A column of a table: its cells by the row's keys; empty ones are left out."""

    type: ValueType
    cells: Mapping[Keys, Value]
    digest: str  # of the keys and these cells


@dataclass(frozen=True, slots=True, eq=False)
class DataTable:
    """A table: its key columns in order, and every other column by name."""

    name: str
    keys: tuple[tuple[str, ValueType], ...]
    columns: Mapping[str, DataColumn]


@dataclass(frozen=True, slots=True)
class Data:
    """All lists, tables and rates by name. `broken`: `list.NAME` and the like of files that are wrong."""

    lists: Mapping[str, DataList] = field(default_factory=dict)
    tables: Mapping[str, DataTable] = field(default_factory=dict)
    rates: Mapping[str, Rates] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file as a release keeps it: columns and rows as text, in the one order that the content has."""

    path: str
    kind: DataKind
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    content: DataList | DataTable | Rates

    def as_json(self) -> Json:
        return {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}


def data_of(files: Iterable[DataFile], broken: frozenset[str]) -> Data:
    """What the files hold, by name."""
    contents = [file.content for file in files]
    return Data(
        {item.name: item for item in contents if isinstance(item, DataList)},
        {item.name: item for item in contents if isinstance(item, DataTable)},
        {item.name: item for item in contents if isinstance(item, Rates)},
        broken,
    )


def grid_of_json(value: Json, *, file: str) -> Grid:
    """The grid of what `DataFile.as_json` gave.

    Raises:
        ValueError: it never gave that.
    """
    if not isinstance(value, dict) or set(value) != {"columns", "rows"}:
        raise ValueError("it holds no columns and rows")
    header, rows = _texts(value["columns"]), value["rows"]
    if not isinstance(rows, list) or len(rows) > MAX_ROWS or len(header) > MAX_COLUMNS:
        raise ValueError("it holds no rows, or too many")
    found = [Row(1, _texts(row)) for row in rows]
    if any(len(row.cells) != len(header) for row in found):
        raise ValueError("its rows are not as long as its header")
    return Grid(file, header, tuple(found))


def _texts(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("it holds something else than text")
    return tuple(str(item) for item in value)


def data_file(grid: Grid, *, kind: DataKind, name: str, diagnostics: Diagnostics) -> DataFile | None:
    """What a grid holds; None when something is wrong with it, which `diagnostics` then say."""
    before = diagnostics.count
    columns = _columns(grid, diagnostics)
    if diagnostics.count == before:
        _check_columns(grid, columns, kind, diagnostics)
    if diagnostics.count > before:
        return None
    values = _values(grid, columns, diagnostics)
    if diagnostics.count > before:
        return None
    content: DataList | DataTable | Rates
    if kind is DataKind.LIST:
        content = _list(name, columns[0], values)
    elif kind is DataKind.TABLE:
        content = _table(name, columns, values)
    else:
        content = _rates(name, columns, values, grid, diagnostics)
        if diagnostics.count > before:
            return None
    texts = sorted(tuple(row.cells[column.at] for column in columns) for row in grid.rows)
    return DataFile(grid.file, kind, tuple(column.text for column in columns), tuple(texts), content)


class _Column(NamedTuple):
    """A column that is no note. `at`: where it stands in the file."""

    name: str
    type: ValueType
    format: str
    key: bool
    optional: bool
    at: int

    @property
    def text(self) -> str:
        return f"{self.name}:{self.format or self.type}{' key' if self.key else '?' if self.optional else ''}"


def _columns(grid: Grid, diagnostics: Diagnostics) -> list[_Column]:
    """The keys in the file's order, then the others by name."""
    found: list[_Column] = []
    seen: set[str] = set()
    for at, cell in enumerate(grid.header):
        place = grid.place(grid.header_line, at)
        parts = _COLUMN.match(cell)
        if parts is None:
            diagnostics.add(
                place,
                "bad_column",
                f"{quoted(cell)} is no column: write name:type, such as limit:money, trader:string key for a "
                "key, until:date? where cells may be empty, or remark:note",
            )
            continue
        name, type_, mark = parts.groups()
        if name in seen:
            diagnostics.add(place, "duplicate_column", f"there are two columns {quoted(name)}: rename one")
        seen.add(name)
        if type_ == _NOTE:
            if mark:
                diagnostics.add(place, "bad_column", "a note is never a key and may always be empty")
        elif type_ not in SCALAR_TYPES and type_ not in FORMATS:
            known = (*SCALAR_TYPES, *FORMATS, _NOTE)
            diagnostics.add(
                place,
                "unknown_value",
                f"{quoted(type_)} is not one of {listed(known)}{closest(type_, known)}",
            )
        else:
            key = mark is not None and mark != "?"
            form = type_ if type_ in FORMATS else ""
            value_type = STRING if form else type_from_text(type_)
            found.append(_Column(name, value_type, form, key, mark == "?", at))
    return sorted(found, key=lambda column: (not column.key, "" if column.key else column.name))


def _check_columns(grid: Grid, columns: Sequence[_Column], kind: DataKind, diagnostics: Diagnostics) -> None:
    start = grid.place(grid.header_line, 0)
    keys = [column for column in columns if column.key]
    if kind is DataKind.RATE:
        if tuple(column.text for column in columns) != RATE_COLUMNS:
            diagnostics.add(start, "bad_header", f"rates have the columns {RATE_HEADER}, and notes")
        return
    if kind is DataKind.LIST:
        if len(columns) != 1:
            diagnostics.add(
                start, "bad_header", "a list has one column, and notes: what has more is a table in tables/"
            )
        elif keys or columns[0].optional:
            diagnostics.add(start, "bad_header", "the column of a list has no mark: its items are there once")
    elif not keys or len(keys) == len(columns):
        diagnostics.add(
            start, "bad_header", "a table has a key column (trader:string key) and a column to look up"
        )
    for column in columns if kind is DataKind.LIST else keys:
        if column.type == MONEY:
            diagnostics.add(
                grid.place(grid.header_line, column.at),
                "bad_column",
                "money is nothing to look up by, since two currencies cannot be compared: use another type",
            )


def _values(grid: Grid, columns: Sequence[_Column], diagnostics: Diagnostics) -> list[list[Value | None]]:
    """The typed cells of each row in the order of `columns`; None for an empty one."""
    readers = [_reader(column.type, column.format) for column in columns]
    leading = sum(column.key for column in columns) or 1
    rows: list[list[Value | None]] = []
    lines: dict[tuple[Value | None, ...], int] = {}
    for row in grid.rows:
        before = diagnostics.count
        values: list[Value | None] = []
        for number, (column, read) in enumerate(zip(columns, readers, strict=True)):
            text = row.cells[column.at]
            value: Value | None = None
            if text:
                try:
                    value = read(text)
                except MalformedValue as problem:
                    message = problem.message.en.replace("send ", "write ", 1)
                    place = grid.place(row.line, column.at)
                    diagnostics.add(place, "bad_value", f"{quoted(text)} in {column.name}: {message}")
            elif not column.optional:
                place = grid.place(row.line, column.at)
                other = (
                    f"mark it as {column.name}:{column.format or column.type}?"
                    if number >= leading
                    else "remove the row"
                )
                diagnostics.add(place, "empty_cell", f"{quoted(column.name)} is empty: fill it, or {other}")
            values.append(value)
        keys = tuple(values[:leading])
        if diagnostics.count == before and lines.setdefault(keys, row.line) != row.line:
            said = ", ".join(row.cells[column.at] for column in columns[:leading])
            diagnostics.add(
                grid.place(row.line, columns[0].at),
                "duplicate_key",
                f"{quoted(said)} is already on line {lines[keys]}: keep one",
            )
        rows.append(values)
    return rows


@cache
def _reader(type_: ValueType, format: str) -> Reader:
    if type_.kind is Kind.BOOL:
        as_fact = reader_of(type_, max_length=MAX_STRING, max_items=1)
        return lambda raw: as_fact(_TRUTHS.get(str(raw).lower(), raw))  # spreadsheets write TRUE
    return reader_of(type_, format=format, max_length=MAX_STRING, max_items=1)


def _list(name: str, column: _Column, rows: Sequence[Sequence[Value | None]]) -> DataList:
    found = [row[0] for row in rows if row[0] is not None]
    items = tuple(sorted(found, key=lambda item: str(canonical(item))))
    digest = version_of({"type": str(column.type), "items": [canonical(item) for item in items]})
    return DataList(name, column.type, items, frozenset(items), digest)


def _table(name: str, columns: Sequence[_Column], rows: Sequence[Sequence[Value | None]]) -> DataTable:
    width = sum(column.key for column in columns)
    types: list[Json] = [str(column.type) for column in columns[:width]]
    found: dict[str, DataColumn] = {}
    for number, column in enumerate(columns[width:], start=width):
        filled = [row for row in rows if row[number] is not None]
        cells = {cast(Keys, tuple(row[:width])): cast(Value, row[number]) for row in filled}
        told: list[Json] = [[*map(canonical, keys), canonical(cell)] for keys, cell in cells.items()]
        told.sort(key=repr)
        digest = version_of({"keys": types, "type": str(column.type), "cells": told})
        found[column.name] = DataColumn(column.type, cells, digest)
    return DataTable(name, tuple((column.name, column.type) for column in columns[:width]), found)


def _rates(
    name: str,
    columns: Sequence[_Column],
    rows: Sequence[Sequence[Value | None]],
    grid: Grid,
    diagnostics: Diagnostics,
) -> Rates:
    places = {column.name: column.at for column in columns}

    def refuse(line: int, column: str, code: str, message: str) -> None:
        diagnostics.add(grid.place(line, places[column]), code, message)

    found = []
    for row, (base, quote, start, rate, end) in zip(grid.rows, rows, strict=True):
        told = Rate(cast(date, start), cast(date, end), str(base), str(quote), cast(Decimal, rate))
        found.append((row.line, told))
    return rates_of(name, found, refuse)
