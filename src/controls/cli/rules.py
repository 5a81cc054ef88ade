"""`controls rules`: check, test and describe rule files; nothing here needs a database."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from textwrap import indent
from typing import Annotated

import typer

from controls.bootstrap import shipped
from controls.cli import rule_tests
from controls.cli.difference import diff
from controls.cli.output import ERR, Exit, JsonOption, guarded, print_json
from controls.cli.rule_tests import FolderArgument, summary, tell_failures, tell_invalid
from controls.cli.troubles import read_rules, unwritable
from controls.model.errors import InvalidInput, RuleFilesInvalid
from controls.rules.catalogue import CATALOGUE
from controls.rules.diagnostics import closest, quoted
from controls.rules.explain import explain_rule
from controls.rules.explanations import Explanation
from controls.rules.release import compile_release
from controls.rules.schema import KINDS, json_schema
from controls.rules.wording import LANGUAGES
from controls.services.releases import check_release

app = typer.Typer(help="Check, test and describe rule files.", no_args_is_help=True)
app.command("diff")(diff)

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
            ERR.print(
                f"{checked.analysis.uncompared} pairs of rules were too many to look for shadowed ones."
            )
    if checked.failures:
        raise typer.Exit(Exit.TESTS_FAILED)
    if strict and checked.analysis.diagnostics:
        raise typer.Exit(Exit.RULES_INVALID)


@app.command()
@guarded
def explain(
    name: Annotated[str, typer.Argument(help="A code of a diagnostic, or the id of a rule.")],
    *,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="The folder with the rule; the shipped ones when left out.")
    ] = None,
    language: Annotated[str, typer.Option(help="Of a rule's explanation: en or es.")] = "en",
    as_json: JsonOption = False,
) -> None:
    """Say what a diagnostic's code means and what to do, or what a rule does, in plain words."""
    if language not in LANGUAGES:
        raise typer.BadParameter(f"name one of {', '.join(LANGUAGES)}", param_hint="--language")
    if name in CATALOGUE:
        _explain_code(CATALOGUE[name], as_json=as_json)
        return
    release = compile_release(read_rules(rules or shipped("rules")))
    found = [rule for rule in release.rules if rule.id == name]
    if not found:
        near = closest(name, (*CATALOGUE, *(rule.id for rule in release.rules)))
        raise InvalidInput(
            "unknown_name",
            f"{quoted(name)} is no code and no rule{near}",
            help="`controls rules check` shows codes; name a rule by its id, and its folder with --rules.",
        )
    texts = [explain_rule(release, rule, language=language) for rule in found]
    if as_json:
        versions = [{"version": rule.version, "text": text} for rule, text in zip(found, texts, strict=True)]
        print_json({"rule": name, "language": language, "explanations": versions})
    else:
        typer.echo("\n".join(texts), nl=False)


def _explain_code(item: Explanation, *, as_json: bool) -> None:
    example = item.example
    if as_json:
        shown = example if isinstance(example, str) else asdict(example)
        told = {"code": item.code, "level": item.level, "meaning": item.meaning, "remedy": item.remedy}
        print_json({**told, "example": shown})
        return
    typer.echo(f"{item.code} ({item.level})\n\n{item.meaning}\n")
    if isinstance(example, str):
        typer.echo(f"It comes from {example}.")
    elif example.old and not example.new:
        typer.echo(f"In {example.file}, it comes from leaving out:\n{indent(example.old.rstrip(), '    ')}")
    else:
        typer.echo(f"In {example.file}, it comes from:\n{indent(example.new.rstrip(), '    ')}")
        if example.old:
            typer.echo(f"while this is sound:\n{indent(example.old.rstrip(), '    ')}")
    typer.echo(f"\nWhat to do: {item.remedy}")


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
