"""`controls decisions whatif`: what would have to be otherwise for a decision to come out otherwise."""

from __future__ import annotations

from typing import Annotated

import typer

from controls.cli.administration import run_service
from controls.cli.output import ERR, OUT, JsonOption, guarded, print_json
from controls.model.errors import Unauthenticated
from controls.model.values import Json
from controls.services.counterfactuals import Counterfactuals
from controls.services.keys import authenticate
from controls.services.service import Service

app = typer.Typer(help="Decisions on record.", no_args_is_help=True)

LANGUAGES = ("en", "es")


@app.callback()
def _group() -> None:
    """Keeps `whatif` a command of its own while it is the only one."""


@app.command()
@guarded
def whatif(
    decision: Annotated[str, typer.Argument(help="The id of a decision that denied or asked for a review.")],
    *,
    key: Annotated[
        str,
        typer.Option("--key", envvar="CONTROLS_KEY", help="API key with the scopes read and decide."),
    ] = "",
    language: Annotated[str, typer.Option(help="en or es.")] = "en",
    as_json: JsonOption = False,
) -> None:
    """Show the smallest changes that would flip a decision, each of them decided with; records nothing."""
    if language not in LANGUAGES:
        raise typer.BadParameter(f"name one of {', '.join(LANGUAGES)}", param_hint="--language")

    async def work(service: Service) -> Json:
        if not key:
            raise Unauthenticated(
                "key_missing",
                "Nobody asks",
                help="Set CONTROLS_KEY to an API key with the scopes read and decide.",
            )
        known = authenticate(key, service.state.key)
        if known.revoked_at is not None:
            raise Unauthenticated("key_revoked", "This API key has been revoked", help="Use another key.")
        return await Counterfactuals(service).of(decision, key=known)

    told = run_service(work)
    assert isinstance(told, dict)
    if as_json:
        print_json(told)
        return
    ERR.print(_text(told["message"], language), markup=False)
    offers = told["counterfactuals"]
    for offer in offers if isinstance(offers, list) else ():
        if isinstance(offer, dict):
            OUT.print(_text(offer["message"], language), markup=False)


def _text(message: Json, language: str) -> str:
    assert isinstance(message, dict)
    return str(message[language])
