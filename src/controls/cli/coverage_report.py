"""Coverage as rows, and rows as Markdown, CSV or JSON: the same columns in each."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from controls.model.values import Json, utc_text
from controls.rules.branch_coverage import Watched
from controls.rules.clauses import Clause

FORMATS: Final = ("md", "csv", "json")

Row = Mapping[str, Json]


def clause_rows(clauses: Iterable[Clause]) -> list[Row]:
    """One row a clause. `attention` says what is cited but untested, or never fired."""
    return [_clause_row(item) for item in clauses]


def _clause_row(clause: Clause) -> Row:
    source = clause.source
    attention: list[Json] = [f"untested: {rule}" for rule in clause.untested]
    attention += [f"never fired: {rule}" for rule in clause.never_fired]
    return {
        "law": source.law,
        "article": source.article,
        "basis": source.basis,
        "reviewed": source.reviewed,
        "rules": list[Json](clause.rules),
        "examples_firing": clause.examples_firing,
        "examples_silent": clause.examples_silent,
        "scenarios_firing": clause.scenarios_firing,
        "scenarios_silent": clause.scenarios_silent,
        "last_fired": None if clause.last_fired is None else utc_text(clause.last_fired),
        "attention": attention,
    }


def coverage_rows(watched: Iterable[Watched]) -> list[Row]:
    """One row for each rule, duty and condition of a grant."""
    return [
        {
            "kind": item.kind,
            "id": item.id,
            "covered": seen,
            "ways": whole,
            "examples_firing": len(item.fired_examples),
            "examples_silent": len(item.silent_examples),
            "scenarios_firing": len(item.fired_scenarios),
            "scenarios_silent": len(item.silent_scenarios),
            "not_covered": list[Json](item.unseen()),
        }
        for item in watched
        for seen, whole in (item.counted(),)
    ]


def written(rows: Sequence[Row], *, form: str) -> str:
    """The rows as text that ends with a line break; `form` is one of `FORMATS`."""
    if form == "json":
        return json.dumps(list(rows), ensure_ascii=False, indent=2) + "\n"
    return _csv(rows) if form == "csv" else _markdown(rows)


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0] if rows else ())
    writer.writerows([harmless(_cell(value)) for value in row.values()] for row in rows)
    return text.getvalue()


def harmless(cell: str) -> str:
    """Spreadsheets take cells that begin so for formulas; some leave out white space before."""
    return f"'{cell}" if cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else cell


def _markdown(rows: Sequence[Row]) -> str:
    if not rows:
        return "Nothing.\n"
    lines = [_line(name.replace("_", " ") for name in rows[0]), _line("---" for _ in rows[0])]
    lines += [
        _line(_bold(name, _cell(value, "<br>").replace("|", "\\|")) for name, value in row.items())
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bold(name: str, cell: str) -> str:
    """What asks for attention stands out."""
    return f"**{cell}**" if cell and name in ("attention", "not_covered") else cell


def _cell(value: Json, between: str = "; ") -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return between.join(map(str, value)) if isinstance(value, list) else str(value)
