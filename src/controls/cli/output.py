"""How commands speak: stdout is data, stderr is words; `--json` for programs; telling exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from enum import IntEnum
from functools import wraps
from typing import Annotated, Final, NoReturn, ParamSpec, TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from controls.cli.troubles import settings_invalid
from controls.model.errors import ControlsError, InvalidInput, RuleFilesInvalid, VerificationFailed
from controls.model.values import Json
from controls.settings import Settings

# Tables in a pipe or a file are as wide as on an ordinary terminal.
OUT: Final = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 120)
ERR: Final = Console(stderr=True, soft_wrap=True, highlight=False)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")]


class Exit(IntEnum):
    """The exit codes of `controls`."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DENY = 3
    REVIEW = 4
    RULES_INVALID = 5
    TESTS_FAILED = 6
    VERIFICATION_FAILED = 7


_P = ParamSpec("_P")
_R = TypeVar("_R")


def guarded(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn the service's errors into words and exit codes; a defect keeps its traceback."""

    @wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except ControlsError as error:
            fail(error, as_json=bool(kwargs.get("as_json")))
        except ValidationError as error:
            if error.title != Settings.__name__:
                raise
            fail(settings_invalid(error), as_json=bool(kwargs.get("as_json")))

    return run


def fail(error: ControlsError, *, as_json: bool) -> NoReturn:
    """Say what went wrong and what to do, and end."""
    if as_json:
        print_json(
            {
                "code": error.code,
                "title": error.title,
                "detail": error.detail,
                "help": error.help,
                "errors": [
                    {"pointer": item.pointer, "code": item.code, "message": item.message}
                    for item in error.errors
                ],
            }
        )
    else:
        tell(error)
    raise typer.Exit(exit_code(error))


def tell(error: ControlsError) -> None:
    """Say what went wrong and what to do, in words."""
    stop = "" if error.title.endswith("?") else "."
    ERR.print(f"{error.title}{stop}", style="bold red", markup=False)
    if error.detail != error.title:
        ERR.print(error.detail, markup=False)
    if error.help:
        ERR.print(error.help, style="dim", markup=False)


def exit_code(error: ControlsError) -> Exit:
    if isinstance(error, RuleFilesInvalid):
        return Exit.RULES_INVALID
    if isinstance(error, VerificationFailed):
        return Exit.VERIFICATION_FAILED
    if error.code == "examples_failed":
        return Exit.TESTS_FAILED
    return Exit.USAGE if isinstance(error, InvalidInput) else Exit.FAILURE


def print_json(value: Json | Mapping[str, object]) -> None:
    """One JSON document on stdout. Figures of benchmarks may be floats; nothing else is."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def progress_bar() -> Progress:
    """A progress bar on stderr, shown on a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=ERR,
        disable=not ERR.is_terminal,
        transient=True,
    )
