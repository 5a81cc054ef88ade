"""`controls migrate` and `controls init`: the tables, and what a ledger starts with."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from controls.bootstrap import (
    new_ledger_signer,
    shipped,
    writer_settings,
)
from controls.cli.output import ERR, OUT, JsonOption, guarded, print_json
from controls.cli.troubles import database_explained, read_rules, read_text, unwritable
from controls.model.errors import ControlsError, InvalidInput
from controls.model.values import Json
from controls.services.activate import activate
from controls.services.directory_file import read_directory
from controls.services.genesis import Genesis, start_ledger
from controls.services.keys import mint
from controls.services.metrics import Metrics
from controls.services.releases import activatable
from controls.settings import Settings
from controls.store.database import CommitUnknown, Database
from controls.store.migrate import migrate as migrate_database

ADMINISTRATION_SCOPES = ("directory", "release", "read", "verify")


@guarded
def migrate(*, as_json: JsonOption = False) -> None:
    """Bring the database to this version's tables and guards (CONTROLS_DATABASE_URL)."""
    settings = Settings()
    _make_folder(settings.database_url)
    revision = migrate_database(settings.database_url)
    if as_json:
        print_json({"revision": revision})
    else:
        OUT.print(f"The database is at revision {revision}.")


@guarded
def init(
    directory: Annotated[
        Path, typer.Option(help="CSV of persons, accounts and roles: person,name,account,roles.")
    ],
    administrator: Annotated[
        list[str], typer.Option(help="Login of an administrator; give it twice, for two different persons.")
    ],
    origin: Annotated[
        str, typer.Option(help="Name of this ledger for all time, such as bank.example/orders.")
    ],
    rules: Annotated[
        Path | None, typer.Option(help="Folder with rule files; the shipped ones when left out.")
    ] = None,
    caller: Annotated[
        str, typer.Option(help="Name of the first calling system; a key is made for it.")
    ] = "order-system",
    *,
    as_json: JsonOption = False,
) -> None:
    """Start the ledger: two administrators, the first release, the signing key and the first API keys."""
    settings = Settings()
    with database_explained(settings.database_url):
        started = asyncio.run(
            start(
                settings,
                origin=origin,
                people=read_text(directory),
                rules=rules or shipped("rules"),
                administrators=administrator,
                caller=caller,
            )
        )
    if as_json:
        print_json(started)
        return
    keys = started["keys"]
    OUT.print(f"Ledger {origin} started. Verify exports of it with this key:\n  {started['vkey']}")
    OUT.print("API keys (shown only now; keep them safe):")
    for name, text in keys.items() if isinstance(keys, dict) else ():
        OUT.print(f"  {name}: {text}", markup=False)
    OUT.print("From now on, changes to directory, keys and release need both administrators.")


async def start(
    settings: Settings,
    *,
    origin: str,
    people: str,
    rules: Path,
    administrators: list[str],
    caller: str,
    supervisors: tuple[str, ...] = (),
) -> dict[str, Json]:
    """Start the ledger of `settings`; its verifier key and the API keys by name."""
    release = await asyncio.to_thread(activatable, read_rules(rules))
    plan = read_directory(people)
    now = time.time_ns() // 1000
    keys = [
        (
            caller,
            mint(
                name=caller,
                scopes=("decide", "outcome", "read", "verify"),
                speaks_for="*",
                at=now,
                entropy=os.urandom,
            ),
        )
    ]
    keys += [
        (login, mint(name=login, scopes=ADMINISTRATION_SCOPES, account=login, at=now, entropy=os.urandom))
        for login in administrators
    ]
    keys += [
        (login, mint(name=login, scopes=("review", "read"), account=login, at=now, entropy=os.urandom))
        for login in supervisors
    ]
    if len({name for name, _ in keys}) < len(keys):
        raise InvalidInput(
            "key_names",
            "Two of the first keys would have the same name",
            help="Give each administrator once, and the calling system a name of its own.",
        )
    _check_places(settings)
    signer = new_ledger_signer(settings, origin=origin)
    notes: list[str] = []  # filled once the ledger is committed: then its key must be kept, come what may
    database = Database(settings.database_url)
    try:
        active = activate(release, engine=settings.engine)
        try:
            await start_ledger(
                database,
                replace(
                    writer_settings(settings, signer, Metrics()),
                    published=lambda _size, note: notes.append(note),
                ),
                Genesis(
                    origin=origin,
                    vkey=signer.vkey,
                    active=active,
                    people=plan,
                    administrators=administrators,
                    keys=tuple(key for _, (_, key) in keys),
                ),
            )
        finally:
            active.engine.close()
    except CommitUnknown as error:
        notes.append("")  # perhaps
        raise ControlsError(
            "commit_unknown",
            "It is not known whether the ledger was started",
            detail=error.detail,
            help="Run `controls ledger checkpoint`. If it says that there is none, remove "
            f"{settings.signing_key_file} and run `controls init` again; else use a new database: the keys "
            "of this ledger's administrators are lost.",
        ) from error
    finally:
        await database.close()
        if not notes:  # the key of a ledger that never was is of no use, and would block the next try
            settings.signing_key_file.unlink()
    try:
        signer.keep(notes[0], now=True)
    except OSError as error:
        ERR.print(f"The first checkpoint was not kept: {error}", style="bold red", markup=False)
    return {
        "origin": origin,
        "vkey": signer.vkey,
        "release": release.digest,
        "keys": {name: text for name, (text, _) in keys},
    }


def _check_places(settings: Settings) -> None:
    """Refuse, before anything is made, a place for checkpoints that cannot be used or holds another one.

    Raises:
        InvalidInput: see above.
    """
    path = settings.checkpoint_file
    if path.exists():
        raise InvalidInput(
            "checkpoint_exists",
            f"A checkpoint is kept in {path} already",
            detail=f"{path} was kept of another ledger, and is what shows if that one is restored from an "
            "old backup.",
            help="Name another file in CONTROLS_CHECKPOINT_FILE; move this one away only if nobody needs it.",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        trial = path.with_name(f"{path.name}.{os.getpid()}.trial")
        trial.touch()
        trial.unlink()
        settings.signing_key_file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


def _make_folder(database_url: str) -> None:
    """SQLite makes its file, but not the folder for it."""
    prefix = "sqlite+aiosqlite:///"
    if database_url.startswith(prefix):
        folder = Path(database_url.removeprefix(prefix)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from None
