"""`controls rules test` and `controls rules coverage`: what examples and scenarios say of rule files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer
import watchfiles
from rich.table import Table

from controls.bootstrap import shipped
from controls.cli.coverage_report import FORMATS, clause_rows, coverage_rows, written
from controls.cli.interrupts import Interrupts
from controls.cli.junit import junit_of, junit_of_invalid
from controls.cli.output import ERR, OUT, Exit, JsonOption, fail, guarded, print_json
from controls.cli.troubles import database_explained, read_rules, unwritable
from controls.model.errors import ControlsError, Level, RuleFilesInvalid
from controls.rules.branch_coverage import Watched
from controls.rules.clauses import clauses_of
from controls.rules.files import is_rule_file
from controls.services.queries import Queries
from controls.services.releases import CheckedRelease, check_release
from controls.settings import Settings
from controls.store.database import Database

FolderArgument = Annotated[
    Path | None, typer.Argument(help="The folder with rule files; the shipped ones when left out.")
]
# How long a look for changes lasts; the first test begins after one, so that no change is missed.
LOOK_MILLISECONDS: Final = 200


@guarded
def run_tests(
    folder: FolderArgument = None,
    *,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML to this file.")] = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show what no example and no scenario has shown yet.")
    ] = False,
    threshold: Annotated[
        int | None, typer.Option(min=0, max=100, help="Fail when less than this percentage is covered.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Test again whenever a file changes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run every example and play every scenario on both engines, and show each result."""
    if watch and as_json:
        raise typer.BadParameter("--watch tells people, --json tells programs: use one of them")

    def once() -> Exit:
        return _test(
            folder or shipped("rules"),
            junit=junit,
            coverage=coverage,
            threshold=threshold,
            as_json=as_json,
        )

    if watch:
        _again_and_again(folder or shipped("rules"), once)
    elif (code := once()) is not Exit.OK:
        raise typer.Exit(code)


def _again_and_again(folder: Path, once: Callable[[], Exit]) -> None:
    """Run now and after every change, until Ctrl-C."""
    read_rules(folder)  # else a folder that is none would be watched for ever
    first = True
    with Interrupts().raised(), suppress(KeyboardInterrupt):
        for changes in watchfiles.watch(
            folder,
            watch_filter=lambda _change, path: is_rule_file(path),
            rust_timeout=LOOK_MILLISECONDS,
            yield_on_timeout=True,
            raise_interrupt=False,
        ):
            if not changes and not first:
                continue
            first = False
            with suppress(typer.Exit):  # the error has been told; the next change may mend it
                try:
                    once()
                except ControlsError as error:
                    fail(error, as_json=False)
            ERR.print("Waiting for changes; Ctrl-C ends.", style="dim")


def _test(where: Path, *, junit: Path | None, coverage: bool, threshold: int | None, as_json: bool) -> Exit:
    try:
        checked = check_release(read_rules(where))
    except RuleFilesInvalid as invalid:
        _write(junit, junit_of_invalid(invalid.diagnostics))
        tell_invalid(where, invalid, as_json=as_json)
        return Exit.RULES_INVALID
    _write(junit, junit_of(checked, threshold=threshold))
    percent = checked.coverage.percent
    short = threshold is not None and percent < threshold
    if as_json:
        print_json(
            summary(checked)
            | {
                "results": [asdict(item) | {"passed": item.passed} for item in checked.examples],
                "scenario_results": [item.as_json() for item in checked.scenarios],
                "coverage": {
                    "percent": percent,
                    "threshold": threshold,
                    "items": [_watched_json(item) for item in checked.coverage.watched],
                },
            }
        )
    else:
        _show(checked)
        if coverage:
            _show_coverage(checked)
        tell_failures(where, checked)
        reached = f"; {threshold} asked for" if threshold is not None else ""
        ERR.print(
            f"{percent} % of the ways of rules are covered{reached}.", style="bold red" if short else ""
        )
    return Exit.TESTS_FAILED if checked.failures or short else Exit.OK


def _write(junit: Path | None, document: bytes) -> None:
    if junit is None:
        return
    try:
        junit.write_bytes(document)
    except OSError as error:
        raise unwritable(junit, error) from None


def tell_invalid(where: Path, invalid: RuleFilesInvalid, *, as_json: bool) -> None:
    """Print every diagnostic with its place."""
    if as_json:
        print_json({"valid": False, "diagnostics": [asdict(item) for item in invalid.diagnostics]})
        return
    for item in invalid.diagnostics:
        typer.echo(f"{where}/{item}")
    count = sum(item.level is Level.ERROR for item in invalid.diagnostics)
    ERR.print(f"{count} mistake{'s' * (count != 1)}; nothing was loaded.", style="bold red")
    ERR.print("`controls rules explain CODE` says more about each code.", style="dim")


def tell_failures(where: Path, checked: CheckedRelease) -> None:
    """Print every failed example and scenario with its place, and the sum of it all."""
    for failure in checked.failures:
        typer.echo(f"{where}/{failure}")
    release = checked.release
    played = len(checked.scenarios)
    well = played - len(checked.failed_scenarios)
    scenarios = f"{well} of {played} scenarios and " if played else ""
    ERR.print(
        f"{len(release.rules)} rules, {len(release.constraints)} duty constraints, "
        f"{len(release.chains)} chain kinds; {scenarios}"
        f"{len(checked.examples) - len(checked.failed)} of {len(checked.examples)} examples passed. "
        f"{release.digest}",
        style="bold red" if checked.failures else "green",
    )


def summary(checked: CheckedRelease) -> dict[str, object]:
    """The counts of a set that loaded, and what failed."""
    release = checked.release
    return {
        "valid": True,
        "release": release.digest,
        "rules": len(release.rules),
        "constraints": len(release.constraints),
        "chains": len(release.chains),
        "examples": len(checked.examples),
        "failed": [asdict(result) for result in checked.failed],
        "scenarios": len(checked.scenarios),
        "failed_scenarios": [item.as_json() for item in checked.failed_scenarios],
        "diagnostics": [asdict(item) for item in checked.analysis.diagnostics],
        "uncompared": checked.analysis.uncompared,
    }


def _show(checked: CheckedRelease) -> None:
    table = Table("rule", "example", "engine", "expected", "got", "", box=None, pad_edge=False)
    for result in checked.examples:
        mark = "ok" if result.passed else "FAILED"
        table.add_row(result.rule, result.example, result.engine, result.expected, result.got, mark)
    OUT.print(table)
    if checked.scenarios:
        table = Table("scenario", "file", "steps", "played", "", box=None, pad_edge=False)
        for item in checked.scenarios:
            mark = "ok" if item.passed else "FAILED"
            table.add_row(item.scenario, item.file, str(item.steps), str(len(item.played)), mark)
        OUT.print(table)


def _show_coverage(checked: CheckedRelease) -> None:
    table = Table("kind", "id", "covered", "not covered", box=None, pad_edge=False)
    for item in checked.coverage.watched:
        if item.unseen():
            seen, whole = item.counted()
            table.add_row(item.kind, item.id, f"{seen}/{whole}", "\n".join(item.unseen()))
    OUT.print(table, markup=False)


def _watched_json(item: Watched) -> dict[str, object]:
    seen, whole = item.counted()
    return {
        "kind": item.kind,
        "id": item.id,
        "covered": seen,
        "ways": whole,
        "unseen": list(item.unseen()),
        "branches": [asdict(branch) for branch in item.branches],
    }


@guarded
def show_coverage(
    folder: FolderArgument = None,
    *,
    clauses: Annotated[
        bool, typer.Option("--clauses", help="By regulation and article instead of by rule.")
    ] = False,
    ledger: Annotated[
        bool,
        typer.Option("--ledger", help="Ask the ledger in CONTROLS_DATABASE_URL when each rule last fired."),
    ] = False,
    form: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "md",
    as_json: JsonOption = False,
) -> None:
    """List what examples and scenarios cover, by rule or by clause, as Markdown, CSV or JSON."""
    if form not in FORMATS:
        raise typer.BadParameter(f"name one of {', '.join(FORMATS)}", param_hint="--format")
    if ledger and not clauses:
        raise typer.BadParameter("--ledger goes with --clauses")
    where = folder or shipped("rules")
    form = "json" if as_json else form
    try:
        checked = check_release(read_rules(where))
    except RuleFilesInvalid as invalid:
        tell_invalid(where, invalid, as_json=form == "json")
        raise typer.Exit(Exit.RULES_INVALID) from None
    watched = checked.coverage.watched
    if clauses:
        fired = _last_fired({item.id for item in watched}) if ledger else None
        rows = clause_rows(clauses_of(watched, last_fired=fired))
    else:
        rows = coverage_rows(watched)
    typer.echo(written(rows, form=form), nl=False)
    if checked.failures:
        for failure in checked.failures:
            ERR.print(f"{where}/{failure}", style="bold red", markup=False)
        raise typer.Exit(Exit.TESTS_FAILED)


def _last_fired(rules: set[str]) -> dict[str, datetime]:
    settings = Settings()

    async def read() -> dict[str, datetime]:
        database = Database(settings.database_url)
        try:
            return await Queries(database, settings.tenant).last_fired(rules)
        finally:
            await database.close()

    with database_explained(settings.database_url):
        return asyncio.run(read())
