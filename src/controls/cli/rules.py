"""`controls rules`: check, test and describe rule files; nothing here needs a database."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from controls.bootstrap import shipped
from controls.cli.output import ERR, OUT, Exit, JsonOption, guarded, print_json
from controls.cli.troubles import read_rules, unwritable
from controls.model.errors import RuleFilesInvalid
from controls.rules.schema import KINDS, json_schema
from controls.services.releases import check_release, example_failure

app = typer.Typer(help="Check, test and describe rule files.", no_args_is_help=True)

FolderArgument = Annotated[
    Path | None, typer.Argument(help="The folder with rule files; the shipped ones when left out.")
]


@app.command("check")
@guarded
def check(folder: FolderArgument = None, *, as_json: JsonOption = False) -> None:
    """Load the files and run their examples; print everything that is wrong, with file, line and column."""
    _check(folder, as_json=as_json, only_loading=True)


@app.command("test")
@guarded
def run_examples(folder: FolderArgument = None, *, as_json: JsonOption = False) -> None:
    """Run every example of every rule on both engines and show each result."""
    _check(folder, as_json=as_json, only_loading=False)


def _check(folder: Path | None, *, as_json: bool, only_loading: bool) -> None:
    where = folder or shipped("rules")
    try:
        checked = check_release(read_rules(where))
    except RuleFilesInvalid as invalid:
        if as_json:
            print_json({"valid": False, "diagnostics": [asdict(item) for item in invalid.diagnostics]})
        else:
            for item in invalid.diagnostics:
                typer.echo(f"{where / item.file}:{item.line}:{item.column}: {item.code}: {item.message}")
            ERR.print(f"{len(invalid.diagnostics)} mistakes; nothing was loaded.", style="bold red")
        raise typer.Exit(Exit.RULES_INVALID) from None
    release, failed = checked.release, checked.failed
    if as_json:
        print_json(
            {
                "valid": True,
                "release": release.digest,
                "rules": len(release.rules),
                "constraints": len(release.constraints),
                "chains": len(release.chains),
                "examples": len(checked.examples),
                "failed": [asdict(result) for result in failed],
            }
        )
    else:
        if not only_loading:
            table = Table("rule", "example", "engine", "expected", "got", "", box=None, pad_edge=False)
            for result in checked.examples:
                mark = "ok" if result.passed else "FAILED"
                table.add_row(result.rule, result.example, result.engine, result.expected, result.got, mark)
            OUT.print(table)
        for failure in failed:
            typer.echo(f"{where}/{example_failure(failure)}")
        ERR.print(
            f"{len(release.rules)} rules, {len(release.constraints)} duty constraints, "
            f"{len(release.chains)} chain kinds; {len(checked.examples) - len(failed)} of "
            f"{len(checked.examples)} examples passed. {release.digest}",
            style="green" if not failed else "bold red",
        )
    if failed:
        raise typer.Exit(Exit.TESTS_FAILED)


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
