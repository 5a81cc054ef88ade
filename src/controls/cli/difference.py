"""`controls rules diff`: what one rule set asks for and another one does not, by meaning."""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from controls.bootstrap import build_service
from controls.cli.output import ERR, OUT, Exit, JsonOption, guarded, print_json
from controls.cli.troubles import database_explained, read_rules
from controls.model.errors import NotFound
from controls.model.values import Value, canonical
from controls.rules.changes import Change, ChangeClass, Shown, answer_text
from controls.rules.difference import Difference, difference
from controls.rules.rule_sets import RuleSet, rule_set, stored_rule_set
from controls.settings import Settings
from controls.store.ledger_reads import blob

ACTIVE: Final = "active"
_WIDTH: Final = 44  # of a value in the table; longer ones stand below it in full

SideArgument = Annotated[
    str, typer.Argument(help="A folder with rule files, a release's digest (sha256:...), or `active`.")
]

_STYLES: Final = {
    ChangeClass.LOOSENING: "red",
    ChangeClass.BOTH: "red",
    ChangeClass.NOT_PROVED: "yellow",
    ChangeClass.TIGHTENING: "green",
    ChangeClass.NEUTRAL: "dim",
}


class FailOn(StrEnum):
    """What ends the command with exit code 6."""

    LOOSENING = "loosening"  # or both, or a request that gets a milder answer
    NOT_PROVED = "not-proved"  # as loosening, and whatever could not be proved


@guarded
def diff(
    a: SideArgument,
    b: SideArgument,
    *,
    fail_on: Annotated[
        FailOn | None, typer.Option("--fail-on", help="End with exit code 6 when B is looser than A.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changes from rule set A to rule set B, and whether it tightens or loosens what is asked."""
    found = difference(_side(a), _side(b))
    if as_json:
        print_json(found.as_json())
    else:
        _show(found)
    unproved = found.counts[ChangeClass.NOT_PROVED.value] > 0
    if fail_on is not None and (found.loosens or (fail_on is FailOn.NOT_PROVED and unproved)):
        raise typer.Exit(Exit.TESTS_FAILED)


def _side(name: str) -> RuleSet:
    if name == ACTIVE or name.startswith("sha256:"):
        return stored_rule_set(_stored(name))
    return rule_set(read_rules(Path(name)))


def _stored(name: str) -> bytes:
    """The document of a release in the configured database."""
    settings = Settings()

    async def read() -> bytes:
        service = build_service(settings)
        try:
            await service.start()
            active = service.state.active
            if name == ACTIVE and active is not None:
                return active.release.document
            async with service.database.read() as connection:
                document = await blob(connection, service.tenant, name)
            if document is None:
                raise NotFound(
                    "release_unknown",
                    f"There is no release {name} in this ledger",
                    help="Name a release that was activated here, by its whole digest.",
                )
            return document
        finally:
            await service.close()

    with database_explained(settings.database_url):
        return asyncio.run(read())


def _show(found: Difference) -> None:
    if not found.changes:
        ERR.print("Nothing differs: every request gets the same answer.")
        return
    table = Table("class", "what", "which", "A", "B", box=None, pad_edge=False)
    for change in found.changes:
        before, after = (change.before, change.after) if change.act == "changed" else _there(change)
        cells = (change.what, change.id, _short(before), _short(after))
        table.add_row(Text(change.kind.value, style=_STYLES[change.kind]), *map(Text, cells))
    OUT.print(table)
    for change in found.changes:
        if change.kind is not ChangeClass.NEUTRAL:
            _explain(change)
    if found.permissions:
        OUT.print()
        rights = Table("role", "may take", "in A", "in B", "class", box=None, pad_edge=False)
        for right in found.permissions:
            rights.add_row(
                *map(Text, (right.role, right.action, right.before, right.after, right.kind.value))
            )
        OUT.print(rights)
    counts = ", ".join(f"{count} {kind}" for kind, count in found.counts.items() if count)
    ERR.print(f"{len(found.changes)} changes: {counts}.", markup=False)


def _there(change: Change) -> tuple[str, str]:
    return (change.before or "there", "") if change.act == "removed" else ("", change.after or "there")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _explain(change: Change) -> None:
    """The proof of one change: its places, the reason, and the requests that show it."""
    one, other = change.where
    places = " -> ".join(str(place) for place in dict.fromkeys((one, other)) if place is not None)
    basis = f" (basis {change.basis})" if change.basis else ""
    OUT.print(f"\n{change.what} {change.id}{basis}: {change.kind.value}", style="bold", markup=False)
    if places:
        OUT.print(f"  {places}", markup=False)
    if len(_short(change.before)) == _WIDTH or len(_short(change.after)) == _WIDTH:
        OUT.print(f"  A: {change.before}\n  B: {change.after}", markup=False)
    OUT.print(f"  {change.reason}", markup=False)
    for shown in change.shown:
        OUT.print(f"  {_request(shown)}", markup=False)


def _request(shown: Shown) -> str:
    values = shown.facts.values
    facts = [f"{name} = {_value(values[name])}" for name in sorted(shown.names) if name in values]
    facts += [f"no {name}" for name in sorted(shown.names) if name not in values]
    facts += [f"{act.step} {act.state.value}" for act in shown.facts.chain.acts]
    given = ", ".join(facts) or "nothing stated"
    return f"{shown.action} with {given}: A {answer_text(shown.before)}, B {answer_text(shown.after)}"


def _value(value: Value) -> str:
    return json.dumps(canonical(value), ensure_ascii=False, default=str)
