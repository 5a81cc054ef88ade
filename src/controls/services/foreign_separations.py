"""Separations of duty that another system's owners keep as a file: pairs, or sets with a limit.

Guarantees: every row is a separation or an error with its line. The columns decide what a row says:

    role_a,role_b                    nobody holds both (or permission_a,permission_b)
    roles,max                        names separated by `;`: nobody holds more than `max` of them (1 if empty)
    permissions,max,people           and no fewer than `people` persons together hold all of them

A column `id` (rule_id, risk_id), `severity` (risk_level) and `description` (title) may stand beside.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from controls.duties.access import Item, Sort
from controls.duties.analysis import Separation
from controls.model.finding import Effect, Text
from controls.services.foreign_csv import ForeignFile, Row, foreign_file

MAX_SEPARATIONS: Final = 50_000
MAX_ITEMS: Final = 500  # of one separation

_ID: Final = ("id", "rule_id", "risk_id", "constraint_id")
_SEVERITY: Final = ("severity", "risk_level", "level")
_DESCRIPTION: Final = ("description", "title")


def read_separations(paths: Iterable[Path]) -> tuple[Separation, ...]:
    """The separations of several files, in their order.

    Raises:
        InvalidInput: a file cannot be read, or a row says nothing that could be checked.
    """
    found: dict[str, Separation] = {}
    for path in paths:
        with foreign_file(path) as file:
            _read(file, found)
    return tuple(found.values())


def _read(file: ForeignFile, found: dict[str, Separation]) -> None:
    columns = {
        sort: (file.column(f"{sort}_a"), file.column(f"{sort}_b"), file.column(f"{sort}s")) for sort in Sort
    }
    known = [sort for sort, (a, b, many) in columns.items() if (a and b) or many]
    if len(known) != 1:
        said = (
            f"the columns {', '.join(file.header)} hold neither role_a,role_b nor roles, or several of them"
        )
        raise file.wrong(1, "wrong_header", f"{said} (permission_a,permission_b; permissions)")
    a, b, many = columns[known[0]]
    before = len(found)
    for row in file.rows():
        texts = (
            [part.strip() for part in row.cells[many].split(";")] if many else [row.cells[a], row.cells[b]]
        )
        names = [file.checked_name(row, many or a, text) for text in texts if text or not many]
        separation = _separation(file, row, tuple(Item(known[0], name) for name in names))
        if separation.id in found:
            raise file.wrong(row.line, "duplicate_id", f"{separation.id!r} is there already: rename one")
        if len(found) >= MAX_SEPARATIONS:
            raise file.wrong(row.line, "too_many_rows", f"at most {MAX_SEPARATIONS} separations; split them")
        found[separation.id] = separation
    if len(found) == before:
        raise file.wrong(1, "empty_file", "holds no separation below its header")


def _separation(file: ForeignFile, row: Row, items: tuple[Item, ...]) -> Separation:
    if len(set(items)) < len(items) or not 2 <= len(items) <= MAX_ITEMS:
        said = f"names {len(items)} things; a separation takes 2 to {MAX_ITEMS} different ones"
        raise file.wrong(row.line, "bad_set", said)
    most = _number(file, row, "max", low=1, high=len(items) - 1)
    people = _number(file, row, "people", low=2, high=len(items))
    if most is None and people is None:
        most = 1
    name, severity, description = (file.column(*names) for names in (_ID, _SEVERITY, _DESCRIPTION))
    listed = ", ".join(item.name for item in items[:5]) + (", …" if len(items) > 5 else "")
    told = row.cells[description] if description else ""
    return Separation(
        id=file.name(row, name) if name else f"{file.path.name}:{row.line}",
        items=items,
        then=Effect.DENY,
        title=Text(told or listed, told or listed),
        most=most,
        people=people,
        severity=file.name(row, severity) if severity and row.cells[severity] else "",
    )


def _number(file: ForeignFile, row: Row, column: str, *, low: int, high: int) -> int | None:
    """A whole number of an optional column; None where it is empty."""
    found = file.column(column)
    text = row.cells[found] if found else ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6 and low <= int(text) <= high):
        raise file.wrong(
            row.line, "out_of_range", f"{column} {text[:40]!r} is no number from {low} to {high}"
        )
    return int(text)
