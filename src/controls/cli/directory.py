"""`controls directory`: what files say of persons, proposed to a second administrator or only compared.

Each command acts as the administrator whose API key is in CONTROLS_KEY, directly on the database.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controls.cli.administration import KeyOption, administrator, propose, run_service, show_change
from controls.cli.directory_difference import print_differences
from controls.cli.output import JsonOption, guarded, print_json
from controls.cli.troubles import read_text
from controls.model.values import Json, microseconds
from controls.rules.literals import parse_timestamp
from controls.services.delegations import LONGEST, DelegationEnd, DelegationGrant
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_checks import check_people
from controls.services.directory_file import ABSENCE_COLUMNS, COLUMNS, read_absences, read_directory
from controls.services.directory_plans import PersonPlan
from controls.services.directory_queries import told_difference
from controls.services.mitigations import Mitigation, MitigationEnd
from controls.services.person_merge import PersonMerge
from controls.services.service import Service

app = typer.Typer(help="Persons with their accounts, roles, departments and absences.", no_args_is_help=True)

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show what would change, person by person; propose nothing.")
]


@app.command("import")
@guarded
def import_directory(
    file: Annotated[Path, typer.Argument(help=f"CSV, one row an account: {','.join(COLUMNS)}.")],
    *,
    dry_run: DryRun = False,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose to bring the directory up to a file; persons that it does not name stay as they are."""
    _bring(read_directory(read_text(file)), dry_run=dry_run, key=key, as_json=as_json)


@app.command("absences")
@guarded
def import_absences(
    file: Annotated[Path, typer.Argument(help=f"CSV, one row an absence: {','.join(ABSENCE_COLUMNS)}.")],
    *,
    dry_run: DryRun = False,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose when persons are away, from now on; persons that the file does not name stay as they are."""
    _bring(read_absences(read_text(file)), dry_run=dry_run, key=key, as_json=as_json)


@app.command("merge")
@guarded
def merge(
    person: Annotated[str, typer.Argument(help="The person who was found to be the other one.")],
    into: Annotated[str, typer.Argument(help="The person who stays, with everything that both have done.")],
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose that two persons are one and the same human being."""
    show_change(propose(key, PersonMerge(person, into)), as_json=as_json)


@app.command("delegate")
@guarded
def delegate(
    person: Annotated[str, typer.Argument(help="Whose duties these are, and who stays accountable.")],
    to: Annotated[str, typer.Argument(help="Who takes the steps meanwhile.")],
    *,
    chain: Annotated[str, typer.Option(help="The chain kind, such as order_to_settlement.")],
    steps: Annotated[str, typer.Option(help="Its steps, with commas between them.")],
    until: Annotated[str, typer.Option(help=f"Until when, with a zone; at most {LONGEST.days} days away.")],
    reason: Annotated[str, typer.Option(help="Why; recorded as a commitment.")],
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose that one person may take steps for another; what is done so counts for both."""
    wanted = tuple(step.strip() for step in steps.split(","))
    change = DelegationGrant(person, to, chain, wanted, _moment(until), reason)
    show_change(propose(key, change), as_json=as_json)


@app.command("undelegate")
@guarded
def undelegate(
    delegation: Annotated[str, typer.Argument(help="The delegation's id.")],
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose to revoke a delegation."""
    show_change(propose(key, DelegationEnd(delegation)), as_json=as_json)


@app.command("mitigate")
@guarded
def mitigate(
    person: Annotated[str, typer.Argument(help="Whose conflict is accepted.")],
    constraint: Annotated[str, typer.Argument(help="The constraint: an exclusive_roles or a coalition.")],
    *,
    owner: Annotated[str, typer.Option(help="The person who answers for it.")],
    control: Annotated[str, typer.Option(help="What is done instead; recorded as a commitment.")],
    evidence: Annotated[str, typer.Option(help="Where that can be seen; recorded as a commitment.")],
    until: Annotated[str, typer.Option(help="Until when, with a zone; at most 366 days away.")],
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose to accept a person's conflict with a constraint for a time."""
    change = Mitigation(person, constraint, owner, control, evidence, _moment(until))
    show_change(propose(key, change), as_json=as_json)


@app.command("unmitigate")
@guarded
def unmitigate(
    mitigation: Annotated[str, typer.Argument(help="The mitigation's id.")],
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose to accept a conflict no longer."""
    show_change(propose(key, MitigationEnd(mitigation)), as_json=as_json)


def _moment(text: str) -> int:
    """Microseconds of a time with its zone.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return microseconds(parse_timestamp(text))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time with its zone; write it like 2026-03-02T09:30:00Z", param_hint="--until"
        ) from None


def _bring(plans: tuple[PersonPlan, ...], *, dry_run: bool, key: str, as_json: bool) -> None:
    change = DirectoryChange(plans)
    if not dry_run:
        show_change(propose(key, change), as_json=as_json)
        return

    async def compare(service: Service) -> Json:
        administrator(service, key, change.scope)
        active, known = await service.snapshot()
        check_people(plans, directory=known, release=active.release, at=service.now())
        return told_difference(change, known, at=service.now())

    told = run_service(compare)
    assert isinstance(told, dict)
    if as_json:
        print_json(told)
    else:
        print_differences(told)
