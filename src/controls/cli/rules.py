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
from controls.model.values import Json
from controls.rules.catalogue import CATALOGUE
from controls.rules.diagnostics import closest, quoted
from controls.rules.explain import explain_rule
from controls.rules.explain_chains import explain_chain, explain_grant
from controls.rules.explain_duties import explain_constraint
from controls.rules.explanations import Explanation
from controls.rules.release import Release, compile_release
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
    name: Annotated[
        str, typer.Argument(help="A code of a diagnostic, or the id of a rule, duty, chain kind or grant.")
    ],
    *,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="The folder with the rule; the shipped ones when left out.")
    ] = None,
    language: Annotated[str, typer.Option(help="Of an explanation of rules: en or es.")] = "en",
    as_json: JsonOption = False,
) -> None:
    """Say what a diagnostic's code means and what to do, or what a rule, duty, chain kind or grant does."""
    if language not in LANGUAGES:
        raise typer.BadParameter(f"name one of {', '.join(LANGUAGES)}", param_hint="--language")
    if name in CATALOGUE:
        _explain_code(CATALOGUE[name], as_json=as_json)
        return
    release = compile_release(read_rules(rules or shipped("rules")))
    sort, texts = _explanations(release, name, language=language)
    if not texts:
        kinds = (kind.id for kind in release.chains.values())
        named = [rule.id for rule in release.rules] + [item.id for item in release.constraints]
        named += [grant.id for grant in release.grants]
        raise InvalidInput(
            "unknown_name",
            f"{quoted(name)} is no code, rule, duty, chain kind or grant"
            f"{closest(name, (*CATALOGUE, *named, *kinds))}",
            help="`controls rules check` shows codes; name the rest by its id, and its folder with --rules.",
        )
    if as_json:
        print_json({sort: name, "language": language, "explanations": texts})
    else:
        typer.echo("\n".join(str(item["text"]) for item in texts), nl=False)


def _explanations(release: Release, name: str, *, language: str) -> tuple[str, list[dict[str, Json]]]:
    """Of what sort the name is, and each thing of that name explained (a rule has several versions, a duty
    may be about several chain kinds)."""
    found: dict[str, list[dict[str, Json]]] = {
        "rule": [
            {"version": rule.version, "text": explain_rule(release, rule, language=language)}
            for rule in release.rules
            if rule.id == name
        ],
        "duty": [
            {
                "version": item.version,
                "chain": item.chain,
                "text": explain_constraint(release, item, language=language),
            }
            for item in release.constraints
            if item.id == name
        ],
        "chain": [
            {"text": explain_chain(release, kind, language=language)}
            for kind in release.chains.values()
            if kind.id == name
        ],
        "grant": [
            {"text": explain_grant(release, grant, language=language)}
            for grant in release.grants
            if grant.id == name
        ],
    }
    return next(((sort, texts) for sort, texts in found.items() if texts), ("", []))


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
