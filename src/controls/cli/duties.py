"""`controls duties analyse`: who could break a separation of duties, who did, and how many it would take.

`controls duties exceptions`: who used an exception, and what is still to be looked at.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from controls.bootstrap import shipped
from controls.cli.duty_csv import findings_csv
from controls.cli.duty_page import LANGUAGES, page
from controls.cli.duty_tables import show
from controls.cli.exceptions import show_exceptions
from controls.cli.output import ERR, Exit, JsonOption, guarded, print_json
from controls.cli.troubles import database_explained, read_rules, read_text, unwritable
from controls.model.errors import Forbidden, InvalidInput, Unauthenticated
from controls.model.finding import Outcome
from controls.model.values import Json, microseconds
from controls.rules.release import compile_release
from controls.services.access_exports import read_exports
from controls.services.directory_file import read_directory
from controls.services.duty_analysis import Examined, examine_directory, examine_exports
from controls.services.duty_ledger import examine_ledger
from controls.services.duty_report import Report
from controls.services.exceptions import Exceptions
from controls.services.foreign_separations import read_separations
from controls.services.keys import authenticate
from controls.services.queries import PAGE_LIMIT
from controls.settings import Settings
from controls.store.database import Database
from controls.store.directory import load_keys

app = typer.Typer(help="Separation of duties.", no_args_is_help=True)

_GRANT_EXITS = {Outcome.DENY: Exit.DENY, Outcome.REVIEW: Exit.REVIEW}


class FailOn(StrEnum):
    """What ends the command with exit code 6."""

    CONFLICTS = "conflicts"  # with what the directory itself must keep, or a violation
    VIOLATIONS = "violations"


@app.command()
@guarded
def analyse(
    directory: Annotated[
        Path | None, typer.Option(help="CSV of persons, accounts and roles instead of a ledger.")
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(help="Folder with rule files; a ledger's release in force, or the shipped ones."),
    ] = None,
    export: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another system's CSV (or .gz), instead of a ledger: user,role; user,permission; "
            "role,permission; role,inherits; or kind,a,b. Repeat it for several files.",
        ),
    ] = None,
    constraints: Annotated[
        list[Path] | None,
        typer.Option(help="CSV with separations: role_a,role_b; or roles (or permissions),max,people."),
    ] = None,
    grant: Annotated[
        list[str] | None,
        typer.Option(help="PERSON=ROLE: what that would change, before it is done. May be repeated."),
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Show names; on a ledger it takes CONTROLS_KEY, scope directory.")
    ] = False,
    key: Annotated[
        str, typer.Option("--key", envvar="CONTROLS_KEY", help="API key of whoever may see names.")
    ] = "",
    csv: Annotated[Path | None, typer.Option(help="Write every finding to this CSV file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with heat maps to this file.")] = None,
    language: Annotated[str, typer.Option(help="Of the page: en or es.")] = "en",
    fail_on: Annotated[
        FailOn | None, typer.Option("--fail-on", help="End with exit code 6 on these.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show conflicts, violations and collusion numbers of a ledger, a directory file or foreign exports.

    With --grant it ends with 3 (deny) or 4 (review) where the grant breaks what the directory must keep.
    """
    if language not in LANGUAGES:
        raise typer.BadParameter(f"name one of {', '.join(LANGUAGES)}", param_hint="--language")
    asked = [_grant(text) for text in grant or ()]
    if export:
        if directory or rules or not constraints:
            raise InvalidInput(
                "sources_unclear",
                "Exports are measured by a constraints file",
                help="Give --export with --constraints, and neither --directory nor --rules.",
            )
        examined = examine_exports(read_exports(export), read_separations(constraints))
    else:
        examined = _directory_or_ledger(directory, rules, constraints or [], key=key if names else None)
    report = Report(examined.granting(asked), with_names=names)
    if csv is not None:
        _write(csv, findings_csv(report))
    if html is not None:
        _write(html, page(report, language=language))
    if as_json:
        print_json(report.as_json())
    else:
        show(report)
    if asked and report.grants_outcome in _GRANT_EXITS:
        raise typer.Exit(_GRANT_EXITS[report.grants_outcome])
    if fail_on is not None and (
        report.breaches or (fail_on is FailOn.CONFLICTS and report.standing_conflicts)
    ):
        raise typer.Exit(Exit.TESTS_FAILED)


@app.command()
@guarded
def exceptions(
    limit: Annotated[int, typer.Option(min=1, max=PAGE_LIMIT, help="How many, from the newest on.")] = 50,
    cursor: Annotated[str, typer.Option(help="`next` of the page before, as --json shows it.")] = "",
    *,
    as_json: JsonOption = False,
) -> None:
    """Show who acted for somebody else or had a constraint lifted, when and on which chain, and whether
    somebody has looked at it; what should have been looked at by now stands out."""
    settings = Settings()

    async def read() -> dict[str, Json]:
        database = Database(settings.database_url)
        try:
            report = Exceptions(database, settings.tenant)
            return await report.page(at=microseconds(datetime.now(UTC)), limit=limit, cursor=cursor or None)
        finally:
            await database.close()

    with database_explained(settings.database_url):
        told = asyncio.run(read())
    if as_json:
        print_json(told)
    else:
        show_exceptions(told)


def _directory_or_ledger(
    directory: Path | None, rules: Path | None, constraints: list[Path], *, key: str | None
) -> Examined:
    """What is examined; `key` is that of whoever wants to see names, None if nobody does."""
    now = datetime.now(UTC)
    more = read_separations(constraints)
    if directory is not None:
        plans = read_directory(read_text(directory))
        return examine_directory(
            plans, compile_release(read_rules(rules or shipped("rules"))), now=now, more=more
        )
    settings = Settings()
    release = None if rules is None else compile_release(read_rules(rules))

    async def read() -> Examined:
        database = Database(settings.database_url)
        try:
            if key is not None:
                await _may_see_names(database, settings.tenant, key)
            return await examine_ledger(
                database, settings.tenant, now=now, release=release, more=more, with_names=key is not None
            )
        finally:
            await database.close()

    with database_explained(settings.database_url):
        return asyncio.run(read())


async def _may_see_names(database: Database, tenant: str, text: str) -> None:
    """Refuse names to whoever does not show a key with the scope `directory`."""
    if not text:
        raise Unauthenticated(
            "key_missing",
            "Names are for administrators",
            help="Set CONTROLS_KEY to an API key with the scope directory, or leave --names out.",
        )
    async with database.read() as connection:
        keys = await load_keys(connection, tenant)
    live = {id_: item for id_, item in keys.items() if item.revoked_at is None}
    if "directory" not in authenticate(text, live.get).scopes:
        raise Forbidden(
            "scope_missing",
            "This key lacks the scope directory",
            help="Use an administrator's key, or leave --names out.",
        )


def _grant(text: str) -> tuple[str, str]:
    person, sign, role = text.rpartition("=")
    if not sign or not person.strip() or not role.strip():
        raise InvalidInput(
            "grant_unclear", f"{text!r} is no grant", help="Write it as PERSON=ROLE, such as p-07=trader."
        )
    return person.strip(), role.strip()


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise unwritable(path, error) from None
    ERR.print(f"Written: {path}", markup=False)
