"""`controls init`, `migrate` and `serve`: starting a ledger and running the service."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from controls.bootstrap import (
    build_app,
    build_service,
    configure_logging,
    new_ledger_signer,
    read_rule_files,
    shipped,
    writer_settings,
)
from controls.cli.output import ERR, OUT, JsonOption, guarded, print_json
from controls.model.errors import InvalidInput
from controls.model.values import Json
from controls.services.directory_file import read_directory
from controls.services.genesis import Genesis, start_ledger
from controls.services.keys import mint
from controls.services.metrics import Metrics
from controls.services.releases import activatable
from controls.services.state import activate
from controls.settings import Settings
from controls.store.database import Database
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
    started = asyncio.run(
        start(
            settings,
            origin=origin,
            people=_read_text(directory),
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


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            "file_unreadable", f"{path} cannot be read", detail=str(error), help="Name a UTF-8 CSV file."
        ) from None


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
    release = activatable(read_rule_files(rules))
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
    signer = new_ledger_signer(settings, origin=origin)
    database = Database(settings.database_url)
    active = activate(release, engine=settings.engine)
    started = False
    try:
        await start_ledger(
            database,
            writer_settings(settings, signer, Metrics()),
            Genesis(
                origin=origin,
                vkey=signer.vkey,
                active=active,
                people=plan,
                administrators=administrators,
                keys=tuple(key for _, (_, key) in keys),
            ),
        )
        started = True
    finally:
        active.engine.close()
        await database.close()
        if not started:  # the key of a ledger that never was is of no use, and would block the next try
            settings.signing_key_file.unlink()
    signer.flush()
    return {
        "origin": origin,
        "vkey": signer.vkey,
        "release": release.digest,
        "keys": {name: text for name, (text, _) in keys},
    }


@guarded
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
) -> None:
    """Run the service (one process; run several against one PostgreSQL to use more cores)."""
    settings = Settings()
    configure_logging(settings.log_level)
    app = build_app(build_service(settings), settings)
    ERR.print(f"Serving on http://{host}:{port} (Ctrl-C stops).")
    # What is loaded by now lives as long as the process: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    uvicorn.run(app, host=host, port=port, log_config=None, access_log=False, server_header=False)


def _make_folder(database_url: str) -> None:
    """SQLite makes its file, but not the folder for it."""
    prefix = "sqlite+aiosqlite:///"
    if database_url.startswith(prefix):
        Path(database_url.removeprefix(prefix)).parent.mkdir(parents=True, exist_ok=True)
