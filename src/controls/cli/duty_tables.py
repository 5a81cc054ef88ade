"""An analysis of duties on the terminal: the constraints, who is behind them, and what is not known.

Guarantees: what is cut says how much of it there is; the whole is in `--json`, `--csv` and `--html`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from controls.cli.output import ERR, OUT
from controls.duties.analysis import Collusion, GrantEffect, Matrix, Separation
from controls.duties.collusion import Group
from controls.model.finding import strictest
from controls.services.duty_report import ConstraintRow, Report

ROWS: Final = 40  # of constraints; 10 of persons, roles and violations
FEW: Final = 10
COLUMNS: Final = 12  # of a matrix that fits


def show(report: Report) -> None:
    """Tables on stdout, the sum and what was not looked at on stderr."""
    _constraints(report)
    _collusion(report)
    _people(report)
    _roles(report)
    _violations(report)
    for matrix in report.matrices:
        _matrix(matrix)
    for grant in report.examined.grants:
        _grant(grant, report)
    _sum(report)


def asks(separation: Separation) -> str:
    """What a separation asks, in short."""
    parts: list[str] = []
    if separation.most is not None:
        parts.append(f"at most {separation.most} of {len(separation.items)}")
    if separation.people is not None and separation.people > 1:
        parts.append(f"all {len(separation.items)} take {separation.people} persons")
    return ", ".join(parts)


def _constraints(report: Report) -> None:
    rows = sorted(report.constraints, key=lambda row: (-(row.did or 0), -(row.could or 0)))
    level = any(row.separation is not None and row.separation.severity for row in rows)
    heads = ["constraint", "chain", "severity" if level else "then", "asks", "could", "did"]
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows[:ROWS]:
        severity = row.separation.severity if row.separation is not None else ""
        cells = (row.id, row.chain, severity if level else row.then.value, _asks(row), _could(row))
        table.add_row(*map(_cell, cells), _cell("-" if row.did is None else str(row.did)))
    OUT.print(table)
    _cut(len(rows), ROWS, "constraints")


def _asks(row: ConstraintRow) -> str:
    said = row.kind if row.separation is None else asks(row.separation)
    if row.when:
        said += ", on a condition"
    return said + (f" (nobody knows {', '.join(item.name for item in row.unknown)})" if row.unknown else "")


def _could(row: ConstraintRow) -> str:
    if row.could is None:
        found = row.collusion
        return "-" if found is None else _verdict(found)
    return (
        str(row.could) if row.could == row.unconditionally else f"{row.could} ({row.unconditionally} always)"
    )


def _verdict(found: Collusion) -> str:
    if found.conflict:
        return f"{len(found.group.members)} together"
    return "not proved" if found.open else "0"


def _collusion(report: Report) -> None:
    found = report.examined.analysis.collusion
    if not found:
        return
    OUT.print()
    table = Table(
        "together they could do all of", "persons", "", "the smallest group", box=None, pad_edge=False
    )
    for item in found[:ROWS]:
        where = f"{item.separation.id} {item.separation.chain}".strip()
        table.add_row(_cell(where), _size(item), _proof(item), _cell(_members(item, report)))
    OUT.print(table)
    _cut(len(found), ROWS, "groups")


def _size(found: Collusion) -> str:
    said, always = _number(found.group), _number(found.unconditional)
    return said if said == always else f"{said} ({always} always)"


def _number(group: Group) -> str:
    if group.nobody:
        return "none"
    return str(len(group.members)) if group.proved else f"{group.at_least} to {len(group.members)}"


def _proof(found: Collusion) -> str:
    return "proved" if found.group.proved else "not proved: the search was cut"


def _members(found: Collusion, report: Report) -> str:
    if found.group.nobody:
        return "nobody holds " + ", ".join(item.name for item in found.group.nobody)
    return "; ".join(
        f"{_called(member.person, report)}: {', '.join(item.name for item in member.items)}"
        for member in found.group.members
    )


def _called(person: str, report: Report) -> str:
    name = report.name(person)
    return f"{person} ({_plain(name)})" if name else person


def _people(report: Report) -> None:
    if not report.people:
        return
    shown = report.people[:FEW]
    wanted = {row.person for row in shown}
    behind: dict[str, dict[str, None]] = {}
    for conflict in report.conflicts():
        if conflict.person in wanted:
            behind.setdefault(conflict.person, {})[conflict.separation.id] = None
    OUT.print()
    table = Table("person", "conflicts", "violations", "constraints", box=None, pad_edge=False)
    for row in shown:
        table.add_row(
            _cell(_called(row.person, report)),
            str(row.conflicts),
            "-" if report.examined.breaches is None else str(row.breaches),
            _cell(_some(list(behind.get(row.person, ())))),
        )
    OUT.print(table)
    _cut(len(report.people), FEW, "persons with findings")


def _roles(report: Report) -> None:
    if not report.roles:
        return
    OUT.print()
    table = Table("role", "holders in conflict", "breaks on its own", box=None, pad_edge=False)
    for row in report.roles[:FEW]:
        alone = _some([item.id for item in row.alone])
        table.add_row(_cell(row.role), f"{row.in_conflict} of {row.holders}", _cell(alone))
    OUT.print(table)
    _cut(len(report.roles), FEW, "roles")


def _violations(report: Report) -> None:
    if not report.breaches:
        return
    OUT.print()
    table = Table("violation", "person", "chain", "acts", box=None, pad_edge=False)
    for breach in report.breaches[:FEW]:
        acts = ", ".join(f"{act.step} ({act.at:%Y-%m-%d}, entry {act.index})" for act in breach.acts)
        condition = " (its condition was not evaluated)" if breach.conditional else ""
        chain = breach.chain or ", ".join(dict.fromkeys(act.chain for act in breach.acts))
        cells = (breach.constraint.id + condition, _called(breach.person, report), chain, acts)
        table.add_row(*map(_cell, cells))
    OUT.print(table)
    _cut(len(report.breaches), FEW, "violations")


def _matrix(matrix: Matrix) -> None:
    """Persons by pair; `x` marks a pair that a constraint keeps from one person."""
    if len(matrix.items) > COLUMNS:
        ERR.print(
            f"{matrix.title.en}: {len(matrix.items)} columns, shown by --html and --json.", markup=False
        )
        return
    OUT.print()
    names = [item.name.rpartition(".")[2] for item in matrix.items]
    table = Table(box=None, pad_edge=False)
    for head in (matrix.title.en, *names):
        table.add_column(_cell(head))
    for row, name in enumerate(names):
        marks = (
            "x" if (min(row, column), max(row, column)) in matrix.apart else ""
            for column in range(len(names))
        )
        table.add_row(
            _cell(name), *(f"{count}{mark}" for count, mark in zip(matrix.counts[row], marks, strict=True))
        )
    OUT.print(table)


def _grant(grant: GrantEffect, report: Report) -> None:
    outcome = strictest(grant.effects).value
    OUT.print(f"\n{_called(grant.person, report)} = {grant.item.name}: {outcome}", style="bold", markup=False)
    if grant.already:
        OUT.print("  held already, by another way")
    for conflict in grant.conflicts:
        separation = conflict.separation
        keeper = "the directory must keep it" if separation.standing else "kept on each chain"
        held = ", ".join(item.name for item in conflict.items)
        OUT.print(f"  {separation.id} ({separation.then.value}, {keeper}): {held}", markup=False)
    for before, after in grant.collusion:
        where = f"{after.separation.id} {after.separation.chain}".strip()
        OUT.print(f"  {where}: from {_size(before)} to {_size(after)} persons together", markup=False)
    if not grant.conflicts and not grant.collusion:
        OUT.print("  no new conflict")


def _sum(report: Report) -> None:
    source = report.examined.source
    in_conflict = report.examined.analysis.in_conflict.bit_count()
    broken = sum(1 for row in report.constraints if row.could)
    said = (
        f"{source['people']} persons, {source['assignments']} assignments: {in_conflict} persons could break "
        f"{broken} constraints"
    )
    if report.examined.breaches is None:
        ERR.print(f"{said}.", markup=False)
    else:
        ERR.print(
            f"{said}; {len(report.breaches)} violations in {source['acts']} acts on "
            f"{source['chains']} chains.",
            markup=False,
        )
    unchecked = {row.id: row.unchecked.en for row in report.constraints if row.unchecked is not None}
    for id_, reason in unchecked.items():
        ERR.print(f"{id_}: not told by the directory: {reason}.", markup=False)
    for note in report.examined.notes:
        ERR.print(note.en, markup=False)


def _cell(text: str) -> Text:
    """A cell of data: no markup, and nothing that would move the cursor."""
    return Text(_plain(text))


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + rest


def _cut(there: int, shown: int, what: str) -> None:
    if there > shown:
        OUT.print(f"… {shown} of {there} {what}; --csv, --html and --json have more.", style="dim")
