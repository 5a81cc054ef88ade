"""How commands speak: help, words and JSON for every error, and the exit codes that a script can rely on."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
import typer

from controls.cli.main import app
from controls.cli.output import Exit, exit_code, guarded
from controls.model.errors import (
    Conflict,
    ControlsError,
    Diagnostic,
    FieldError,
    Forbidden,
    InvalidInput,
    NotFound,
    RuleFilesInvalid,
    Unauthenticated,
    Unavailable,
    VerificationFailed,
)
from controls.services.signing import create_key_file
from tests.databases import PROJECT

from .commands import controls, program

COMMANDS = {
    "bench", "changes", "changes confirm", "changes list", "changes show", "decisions",
    "decisions whatif", "demo", "directory", "directory absences", "directory delegate",
    "directory import", "directory merge", "directory mitigate", "directory undelegate",
    "directory unmitigate", "duties", "duties analyse", "duties exceptions", "init", "keys",
    "keys create", "keys list", "keys revoke", "ledger", "ledger checkpoint", "ledger export", "migrate",
    "release", "release activate", "release list", "release rollback", "replay", "rules", "rules check",
    "rules coverage", "rules diff", "rules explain", "rules schema", "rules test", "serve",
}  # fmt: skip


def every(command: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """The command and all below it."""
    yield name, command
    for child, below in getattr(command, "commands", {}).items():
        yield from every(below, f"{name} {child}".strip())


KNOWN = dict(every(typer.main.get_command(app)))


def test_these_are_the_commands() -> None:
    """No command is lost or added unseen."""
    assert set(KNOWN) - {""} == COMMANDS


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_help_says_what_a_command_does_and_names_every_option(name: str) -> None:
    """`--help` ends with 0 and shows the purpose, each option, each argument and each subcommand."""
    command = KNOWN[name]
    said = controls(*name.split(), "--help", env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert said.code == 0
    assert command.help
    assert command.help.split("\n")[0] in said.out
    for parameter in command.params:
        for option in parameter.opts if isinstance(parameter, click.Option) else ():
            assert option in said.out
        if name and parameter.name != "help":
            text = getattr(parameter, "help", None)
            assert text, f"{name} says nothing about {parameter.name}"
            assert text.split("\n")[0] in said.out
    for child in getattr(command, "commands", {}):
        assert child in said.out


def test_what_has_words_for_people_has_json_for_programs() -> None:
    """Every command that answers takes --json, but for those that stay up or print a document anyway."""
    leaves = {name for name, command in KNOWN.items() if not hasattr(command, "commands")}
    without = {
        name for name in leaves if not any("--json" in parameter.opts for parameter in KNOWN[name].params)
    }
    assert without == {"serve", "demo", "rules schema"}


def test_nothing_said_is_a_usage_error_that_shows_the_help() -> None:
    """`controls` alone, an unknown command and an unknown option end with 2."""
    assert "Usage" in controls().out + controls().err
    for arguments in ((), ("rules",), ("nonsense",), ("migrate", "--nonsense"), ("directory", "import")):
        assert controls(*arguments).code == Exit.USAGE, arguments


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ControlsError("a", "A"), 1),
        (NotFound("a", "A"), 1),
        (Conflict("a", "A"), 1),
        (Forbidden("a", "A"), 1),
        (Unauthenticated("a", "A"), 1),
        (Unavailable("a", "A"), 1),
        (InvalidInput("a", "A"), 2),
        (RuleFilesInvalid((Diagnostic("a.yaml", 1, 1, "bad", "it is bad"),)), 5),
        (ControlsError("examples_failed", "A"), 6),
        (VerificationFailed("a", "A"), 7),
    ],
)
def test_each_class_of_error_has_its_exit_code(error: ControlsError, code: int) -> None:
    """The exit codes of interfaces.md."""
    assert exit_code(error) == code

    @guarded
    def fails() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        fails()
    assert ended.value.exit_code == code


def test_an_error_in_words_is_on_stderr_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Title, detail and help, with square brackets as they are; nothing on stdout."""

    @guarded
    def fails() -> None:
        raise InvalidInput("broken", "It is broken", detail="[bold]here[/]", help="Mend it.")

    with pytest.raises(typer.Exit):
        fails()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "It is broken.\n[bold]here[/]\nMend it.\n"


def test_an_error_as_json_is_on_stdout_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """One document with code, title, detail, help and all field errors; nothing on stderr."""

    @guarded
    def fails(*, as_json: bool) -> None:
        raise InvalidInput(
            "broken", "Está roto", help="Mend it.", errors=(FieldError("line 3", "bad_id", "is bad"),)
        )

    with pytest.raises(typer.Exit):
        fails(as_json=True)
    said = capsys.readouterr()
    assert said.err == ""
    assert json.loads(said.out) == {
        "code": "broken",
        "title": "Está roto",
        "detail": "Está roto",
        "help": "Mend it.",
        "errors": [{"pointer": "line 3", "code": "bad_id", "message": "is bad"}],
    }


def test_a_defect_keeps_its_traceback() -> None:
    """What is no error of the service's own is not dressed up as one."""

    @guarded
    def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()


@pytest.mark.parametrize(
    "arguments",
    [
        ("migrate",),
        ("ledger", "checkpoint"),
        ("ledger", "export", "--output", "never.jsonl"),
        ("changes", "list"),
        ("keys", "list"),
    ],
)
def test_settings_that_cannot_be_used_are_named(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """A wrong variable is a usage error with the variable's name, in words and as JSON."""
    wrong = {
        "CONTROLS_MODE": "sandbox",
        "CONTROLS_DATABASE_URL": "mysql://somewhere",
        "CONTROLS_POOL_SIZE": "many",
    }
    words = controls(*arguments, env=wrong)
    assert (words.code, words.out) == (Exit.USAGE, "")
    assert all(name in words.err for name in wrong)
    said = controls(*arguments, "--json", env=wrong)
    assert (said.code, said.err) == (Exit.USAGE, "")
    told = said.json()
    assert told["code"] == "settings_invalid"
    assert {item["pointer"] for item in told["errors"]} == set(wrong)


@pytest.mark.parametrize(
    "arguments",
    [("ledger", "checkpoint"), ("ledger", "export", "--output", "never.jsonl"), ("keys", "list")],
)
def test_a_database_without_tables_is_told_apart_from_one_that_is_down(
    arguments: tuple[str, ...], empty: Mapping[str, str], tmp_path: Path
) -> None:
    """Who forgot `controls migrate` is told so, and no file is made by asking."""
    key = Path(empty["CONTROLS_SIGNING_KEY_FILE"])
    create_key_file(key, origin="bank.example/orders", entropy=bytes(32))
    env = {**empty, "CONTROLS_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/other.db"}
    said = controls(*arguments, "--json", env={**env, "CONTROLS_KEY": "ck_1"})
    assert said.code == Exit.USAGE
    assert said.json()["code"] == "not_migrated"
    assert "controls migrate" in said.json()["help"]
    assert not Path("never.jsonl").exists()


def test_the_program_runs_under_both_names() -> None:
    """`controls` is what the package installs; `python -m controls.cli.main` is the same."""
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts["controls"] == "controls.cli.main:main"
    assert scripts["controls-verify"] == "controls.ledger.verifier:main"
    said = program("--help", env={"COLUMNS": "100"})
    assert said.code == 0
    assert "provable records" in said.out
