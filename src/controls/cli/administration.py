"""`controls keys | changes | release`: changes that one administrator proposes, another confirms.

Each command acts as the administrator whose API key is in CONTROLS_KEY, directly on the database.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from controls.bootstrap import build_service, shipped
from controls.cli.directory_difference import print_differences
from controls.cli.output import ERR, OUT, JsonOption, guarded, print_json
from controls.cli.troubles import database_explained, read_rules
from controls.model.errors import Forbidden, Unauthenticated
from controls.model.values import Json, from_microseconds, utc_text
from controls.services.administration import PROPOSE, ChangeKind, Confirm, Propose
from controls.services.key_changes import KeyCreation, KeyRevocation
from controls.services.keys import SCOPES, authenticate, mint
from controls.services.queries import PAGE_LIMIT
from controls.services.release_changes import ReleaseActivation
from controls.services.service import Service
from controls.settings import Settings
from controls.store.directory import load_keys
from controls.store.listings import proposed_changes
from controls.store.rows import ApiKey, Change

keys = typer.Typer(help="API keys.", no_args_is_help=True)
changes = typer.Typer(help="Changes that wait for a second administrator.", no_args_is_help=True)
release = typer.Typer(help="The rule files in force.", no_args_is_help=True)

KeyOption = Annotated[
    str, typer.Option("--key", envvar="CONTROLS_KEY", help="API key of the administrator who acts.")
]


def run_service(work: Callable[[Service], Awaitable[Json]]) -> Json:
    settings = Settings()

    async def run() -> Json:
        service = build_service(settings)
        try:
            await service.start()
            return await work(service)
        finally:
            await service.close()

    with database_explained(settings.database_url):
        return asyncio.run(run())


def administrator(service: Service, text: str, *scopes: str) -> ApiKey:
    if not text:
        raise Unauthenticated(
            "key_missing", "Nobody acts", help="Set CONTROLS_KEY to an administrator's API key."
        )
    key = authenticate(text, service.state.key)
    if key.scopes.isdisjoint(scopes):
        raise Forbidden(
            "scope_missing", f"This key lacks the scope {' or '.join(scopes)}", help="Use another key."
        )
    return key


def propose(text: str, change: ChangeKind) -> dict[str, Json]:
    async def found(_service: Service, _key: ApiKey) -> ChangeKind:
        return change

    return propose_found(text, change.scope, found)


def propose_found(
    text: str, scope: str, find: Callable[[Service, ApiKey], Awaitable[ChangeKind]]
) -> dict[str, Json]:
    async def work(service: Service) -> Json:
        key = administrator(service, text, scope)
        change = await find(service, key)
        command = Propose(
            id=service.new_id("chg"), change_id=service.new_id("change"), key=key.id, change=change
        )
        answer: Json = json.loads(await service.writer.submit(command))
        return answer

    answer = run_service(work)
    assert isinstance(answer, dict)
    return answer


def show_change(answer: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    elif isinstance(answer, dict):
        OUT.print(f"{answer['change']}: {answer['state']}: {answer['summary']}", markup=False)
        if answer["state"] == "proposed":
            ERR.print(
                "It takes effect when another administrator runs: "
                f"controls changes confirm {answer['change']}"
            )


@keys.command("create")
@guarded
def create_key(
    name: Annotated[str, typer.Argument(help="What the key is for, such as order-system.")],
    scope: Annotated[list[str], typer.Option(help="One or more of: " + ", ".join(sorted(SCOPES)) + ".")],
    account: Annotated[str, typer.Option(help="Login the key is bound to; none for a system.")] = "",
    speaks_for: Annotated[str, typer.Option(help="Logins it may bring requests of, such as 'desk.*'.")] = "",
    action: Annotated[
        list[str] | None, typer.Option(help="resource.action patterns; all when left out.")
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="With the scope scim: a role that the identity provider may give."),
    ] = None,
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose a new API key; its text is shown now and works once the change is confirmed."""
    text, minted = mint(
        name=name,
        scopes=scope,
        actions=action or ("*",),
        speaks_for=speaks_for,
        account=account,
        roles=role or (),
        at=time.time_ns() // 1000,
        entropy=os.urandom,
    )
    answer = propose(key, KeyCreation(minted))
    show_change({**answer, "id": minted.id, "key": text}, as_json=as_json)
    if not as_json:
        OUT.print(f"The key, shown only now: {text}", markup=False)


@keys.command("revoke")
@guarded
def revoke_key(
    id: Annotated[str, typer.Argument(help="The key's id.")],
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose to end a key's life."""
    show_change(propose(key, KeyRevocation(id)), as_json=as_json)


@keys.command("list")
@guarded
def list_keys(*, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show all keys with what they may do; never a secret."""

    async def work(service: Service) -> Json:
        administrator(service, key, "directory")
        async with service.database.read() as connection:
            known = await load_keys(connection, service.tenant)
        return [_key_json(item) for item in sorted(known.values(), key=lambda item: (item.name, item.id))]

    rows = run_service(work)
    if as_json:
        print_json(rows)
        return
    table = Table("id", "name", "scopes", "speaks for", "account", "state", box=None, pad_edge=False)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            scopes = row["scopes"]
            table.add_row(
                str(row["id"]),
                str(row["name"]),
                " ".join(map(str, scopes if isinstance(scopes, list) else ())),
                str(row["speaks_for"]),
                str(row["account"]),
                "revoked" if row["revoked_at"] else "live",
            )
    OUT.print(table)


def _key_json(key: ApiKey) -> Json:
    revoked = None if key.revoked_at is None else utc_text(from_microseconds(key.revoked_at))
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list[Json](sorted(key.scopes)),
        "actions": list[Json](key.actions),
        "speaks_for": key.speaks_for,
        "account": key.account,
        "created_at": utc_text(from_microseconds(key.created_at)),
        "revoked_at": revoked,
    }


@changes.command("list")
@guarded
def list_changes(*, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show what waits for a second administrator."""

    async def work(service: Service) -> Json:
        administrator(service, key, "directory", "release")
        async with service.database.read() as connection:
            waiting = [Change.read(row) for row in await proposed_changes(connection, service.tenant)]
        return [
            {
                "change": item.id,
                "kind": item.kind,
                "summary": item.summary,
                "proposed_by": item.proposed_by,
                "proposed_at": utc_text(from_microseconds(item.proposed_at)),
            }
            for item in waiting
        ]

    rows = run_service(work)
    if as_json:
        print_json(rows)
        return
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            OUT.print(f"{row['change']}  {row['proposed_by']}  {row['summary']}", markup=False)
    if not rows:
        ERR.print("Nothing waits.")


@changes.command("show")
@guarded
def show(
    change: Annotated[str, typer.Argument(help="The change's id.")],
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show a change; a proposed one of the directory with what it would do, person by person."""

    async def work(service: Service) -> Json:
        seen = "directory" in administrator(service, key, "directory", "release").scopes
        _, known = await service.snapshot()
        return await service.changes.change(change, directory=known if seen else None, at=service.now())

    told = run_service(work)
    assert isinstance(told, dict)
    if as_json:
        print_json(told)
        return
    OUT.print(f"{told['change']}: {told['state']}: {told['summary']}", markup=False)
    OUT.print(f"proposed {told['proposed_at']} by {told['proposed_by']}", markup=False)
    if "confirmed_at" in told:
        OUT.print(f"confirmed {told['confirmed_at']} by {told['confirmed_by']}", markup=False)
    if "outdated" in told:
        OUT.print(str(told["outdated"]), markup=False)
    if "effect" in told:
        print_differences(told)


@changes.command("confirm")
@guarded
def confirm(
    change: Annotated[str, typer.Argument(help="The change's id.")],
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Confirm a change that another administrator proposed; it takes effect at once."""

    async def work(service: Service) -> Json:
        acting = administrator(service, key, "directory", "release")
        command = Confirm(id=service.new_id("chg"), key=acting.id, change_id=change)
        command.prepared = await service.on_record(
            service.releases.prepared(change), key=acting.id, act=command.refused_act()
        )
        command.merging = await service.changes.merging(change)
        answer: Json = json.loads(await service.writer.submit(command))
        return answer

    show_change(run_service(work), as_json=as_json)


def _propose_release(key: str, asked: Callable[[Service], Awaitable[ReleaseActivation]]) -> Json:
    """Propose the release that `asked` finds; one that cannot be used is refused on record."""

    async def found(service: Service, acting: ApiKey) -> ChangeKind:
        act = {"act": PROPOSE, "change_kind": ReleaseActivation.kind}
        return await service.on_record(asked(service), key=acting.id, act=act)

    return propose_found(key, ReleaseActivation.scope, found)


@release.command("activate")
@guarded
def activate_release(
    folder: Annotated[Path | None, typer.Argument(help="Folder with rule files; the shipped ones.")] = None,
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose to put a folder of rule files into force; they must load and pass examples and scenarios."""
    files = read_rules(folder or shipped("rules"))
    show_change(_propose_release(key, lambda service: service.releases.of_files(files)), as_json=as_json)


@release.command("rollback")
@guarded
def roll_back(
    digest: Annotated[str, typer.Argument(help="A release that was in force before, as `list` shows it.")],
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Propose to put an earlier release into force again."""
    show_change(_propose_release(key, lambda service: service.releases.of_digest(digest)), as_json=as_json)


@release.command("list")
@guarded
def list_releases(
    limit: Annotated[int, typer.Option(min=1, max=PAGE_LIMIT, help="How many, from the newest on.")] = 50,
    *,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show the releases that are proposed, in force and past; the newest first."""

    async def work(service: Service) -> Json:
        administrator(service, key, "release", "read")
        return (await service.changes.releases(limit=limit, cursor=None))["releases"]

    rows = run_service(work)
    if as_json:
        print_json(rows)
        return
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            acts = (
                f"{act} {row[f'{act}_at']} by {row.get(f'{act}_by', 'init')}"
                for act in ("proposed", "confirmed")
                if f"{act}_at" in row
            )
            OUT.print(f"{row['state']:8}  {row['release']}  {', '.join(acts)}", markup=False)
