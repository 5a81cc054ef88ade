"""Findings of an analysis of duties as CSV: one row each, for spreadsheets and other systems.

Guarantees: every conflict, group and violation is a row; no cell is a formula to a spreadsheet.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

from controls.cli.coverage_report import harmless
from controls.duties.access import Item
from controls.model.values import utc_text
from controls.services.duty_report import Report, kept_by

COLUMNS: Final = (
    "finding",  # conflict (could), group (could together), violation (did)
    "constraint",
    "chain_kind",
    "then",
    "severity",
    "kept_by",
    "person",
    "name",
    "items",
    "through",
    "conditional",
    "chain",
    "at",
    "decisions",
)


def findings_csv(report: Report) -> str:
    """All findings; the columns are `COLUMNS`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in _rows(report):
        writer.writerow({name: harmless(cell) for name, cell in row.items()})
    return text.getvalue()


def _rows(report: Report) -> Iterator[dict[str, str]]:
    for conflict in report.conflicts():
        separation = conflict.separation
        through = {name: None for item in conflict.items for name in report.through(conflict.index, item)}
        yield {
            "finding": "conflict",
            "constraint": separation.id,
            "chain_kind": separation.chain,
            "then": separation.then.value,
            "severity": separation.severity,
            "kept_by": kept_by(separation),
            "person": conflict.person,
            "name": report.name(conflict.person),
            "items": _names(conflict.items),
            "through": "; ".join(through),
            "conditional": _yes(answer=conflict.conditional or bool(separation.when)),
        }
    for found in report.examined.analysis.collusion:
        if not found.conflict:
            continue
        for member in found.group.members:
            yield {
                "finding": "group",
                "constraint": found.separation.id,
                "chain_kind": found.separation.chain,
                "then": found.separation.then.value,
                "severity": found.separation.severity,
                "kept_by": kept_by(found.separation),
                "person": member.person,
                "name": report.name(member.person),
                "items": _names(member.items),
                "conditional": _yes(answer=bool(found.separation.when)),
            }
    for breach in report.breaches:
        yield {
            "finding": "violation",
            "constraint": breach.constraint.id,
            "chain_kind": breach.kind,
            "then": breach.constraint.then.value,
            "person": breach.person,
            "name": report.name(breach.person),
            "items": "; ".join(act.step for act in breach.acts),
            "conditional": _yes(answer=breach.conditional),
            "chain": breach.chain or "; ".join(dict.fromkeys(act.chain for act in breach.acts)),
            "at": utc_text(breach.acts[-1].at),
            "decisions": "; ".join(act.decision for act in breach.acts),
        }


def _names(items: Iterable[Item]) -> str:
    return "; ".join(item.name for item in items)


def _yes(*, answer: bool) -> str:
    return "yes" if answer else "no"
