"""`controls rules`: check, test and describe rule files; nothing here needs a database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from controls.bootstrap import shipped
from controls.cli import rule_tests
from controls.cli.output import ERR, Exit, JsonOption, guarded, print_json
from controls.cli.rule_tests import FolderArgument, summary, tell_failures, tell_invalid
from controls.cli.troubles import read_rules, unwritable
from controls.model.errors import RuleFilesInvalid
from controls.rules.schema import KINDS, json_schema
from controls.services.releases import check_release

app = typer.Typer(help="Check, test and describe rule files.", no_args_is_help=True)

app.command("test")(rule_tests.run_tests)
app.command("coverage")(rule_tests.show_coverage)


@app.command("check")
@guarded
def check(
    folder: FolderArgument = None,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Take warnings for mistakes: exit code 5.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Load the files, run examples and scenarios; print everything that is wrong, with file and line."""
    where = folder or shipped("rules")
    try:
        checked = check_release(read_rules(where))
    except RuleFilesInvalid as invalid:
        tell_invalid(where, invalid, as_json=as_json)
        raise typer.Exit(Exit.RULES_INVALID) from None
    if as_json:
        print_json(summary(checked))
    else:
        for item in checked.analysis.diagnostics:
            typer.echo(f"{where}/{item}")
        tell_failures(where, checked)
        if checked.analysis.uncompared:
            ERR.print(f"{checked.analysis.uncompared} pairs of rules were too many to look for shadowed ones.")
    if checked.failures:
        raise typer.Exit(Exit.TESTS_FAILED)
    if strict and checked.analysis.diagnostics:
        raise typer.Exit(Exit.RULES_INVALID)


@app.command()
@guarded
def schema(
    kind: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(KINDS)}.")] = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write all schemas into this folder.")
    ] = None,
) -> None:
    """Print the JSON Schema of one kind of rule file, or write all of them, for editors."""
    if output is not None:
        try:
            output.mkdir(parents=True, exist_ok=True)
            for name in KINDS:
                text = json.dumps(json_schema(name), indent=2, ensure_ascii=False) + "\n"
                (output / f"{name}.json").write_text(text, encoding="utf-8")
        except OSError as error:
            raise unwritable(output, error) from None
        ERR.print(f"{len(KINDS)} schemas written to {output}.")
    elif kind in KINDS:
        print_json(json_schema(kind))
    else:
        raise typer.BadParameter(f"name one of {', '.join(KINDS)}, or --output FOLDER")
