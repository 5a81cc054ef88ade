"""A small trading desk for tests: a migrated and started ledger, its keys, and the requests of its people.

`start_desk` is blocking and works with or without a running event loop. Nothing here knows HTTP: tests of
the API, of the command line and of the service itself all begin with the same `Desk`.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from controls.bootstrap import build_service, open_signer, read_rule_files, writer_settings
from controls.decide import ActiveRelease
from controls.model.lineage import Relation, StatedLink
from controls.model.request import BreakGlass, Request
from controls.rules.release import Release, compile_release
from controls.services import keys as api_keys
from controls.services.activate import activate
from controls.services.answers import native_list, native_one
from controls.services.commands import Command
from controls.services.decisions import Decide
from controls.services.directory_file import read_directory
from controls.services.genesis import Genesis, start_ledger
from controls.services.identifiers import new_id
from controls.services.metrics import Metrics
from controls.services.release_changes import ReleaseActivation, activation
from controls.services.service import Service
from controls.services.signing import create_key_file
from controls.settings import Mode, Settings
from controls.store.database import Database
from controls.store.ledger_reads import blob
from controls.store.listings import in_force
from controls.store.migrate import current_revision, migrate
from controls.store.rows import ApiKey
from tests.begun_ledgers import Begun, contents, digest, newest, take_over

DESK_RULES = Path(__file__).parent / "fixtures" / "rules" / "desk"

# person, accounts and roles of the desk in `fixtures/rules/desk`; the logins are what callers name.
DESK_PEOPLE = """\
person,name,account,roles
p-01,Alma Arce,alma.admin,administrator
p-02,Blas Bueno,blas.admin,administrator
p-03,Sara Sanz,sara.super,supervisor
p-04,Saul Soto,saul.super,supervisor
p-05,Tina Toro,tina.trader,trader
p-05,Tina Toro,tina.bot,trader
p-06,Tomas Tena,tomas.trader,trader
p-07,Rita Rey,rita.risk,risk_officer
p-08,Raul Rios,raul.risk,risk_officer
p-09,Mara Mesa,mara.middle,middle_office
p-10,Mateo Mir,mateo.middle,middle_office
p-11,Clara Cano,clara.clerk,settlement_clerk
p-12,Carlos Cid,carlos.clerk,settlement_clerk
p-13,Rosa Roca,rosa.recon,reconciler
p-14,Hugo Haro,hugo.head,head_of_desk;trader
"""

ADMINISTRATORS = ("alma.admin", "blas.admin")

# Who takes an order through the whole chain without breaking anything.
WALK: tuple[tuple[str, str], ...] = (
    ("capture", "tina.trader"),
    ("approve", "rita.risk"),
    ("execute", "tina.trader"),
    ("allocate", "mara.middle"),
    ("confirm", "mara.middle"),
    ("instruct", "clara.clerk"),
    ("settle", "clara.clerk"),
    ("reconcile", "rosa.recon"),
)


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A key to be made: the arguments of `controls.services.keys.mint`."""

    scopes: Sequence[str]
    account: str = ""
    speaks_for: str = ""
    actions: Sequence[str] = ("*",)
    roles: Sequence[str] = ()


# `caller` is the desk's order system: it may speak for everybody. The others belong to one person each.
DESK_KEYS: Mapping[str, KeySpec] = {
    "caller": KeySpec(("decide", "outcome", "read", "verify"), speaks_for="*"),
    "other": KeySpec(("decide", "outcome", "read"), speaks_for="*"),
    "traders": KeySpec(("decide",), speaks_for="*.trader", actions=("order.capture", "order.execute")),
    "reader": KeySpec(("read",)),
    "verifier": KeySpec(("verify",)),
    "admin1": KeySpec(("directory", "release", "read"), account="alma.admin"),
    "admin2": KeySpec(("directory", "release", "read"), account="blas.admin"),
    "supervisor1": KeySpec(("review", "read"), account="sara.super"),
    "supervisor2": KeySpec(("review", "read"), account="saul.super"),
    "provider": KeySpec(("scim",), speaks_for="*", roles=("trader", "risk_officer", "reconciler")),
    "head": KeySpec(("review", "read", "decide"), account="hugo.head"),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """A started ledger and everything a test needs to use it."""

    folder: Path
    settings: Settings
    vkey: str
    keys: Mapping[str, str]  # name -> the text that goes after `Bearer `
    key_ids: Mapping[str, str]

    def build(self, *, clock: Callable[[], datetime] | None = None) -> Service:
        """A service on this ledger, to be started and closed by the test."""
        return build_service(self.settings, clock=clock)

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for programs that the test starts."""
        said = self.settings.model_dump(mode="json", exclude_none=True)
        return {f"CONTROLS_{name.upper()}": str(value) for name, value in said.items()}

    def headers(self, key: str = "caller", *, token: str | None = None) -> dict[str, str]:
        """Authorization, and a fresh Idempotency-Key unless `token` gives one."""
        return {
            "Authorization": f"Bearer {self.keys[key]}",
            "Idempotency-Key": token or secrets.token_hex(8),
        }

    def decide(self, *bodies: Mapping[str, Any], key: str = "caller") -> Decide:
        """The command that one or several bodies of `ask` make, for `service.writer.submit`."""
        return Decide(
            tuple(a_request(body) for body in bodies),
            self.key_ids[key],
            native_one if len(bodies) == 1 else native_list,
        )


def start_desk(
    folder: Path,
    *,
    database_url: str,
    rules: Path = DESK_RULES,
    directory: str = DESK_PEOPLE,
    administrators: Sequence[str] = ADMINISTRATORS,
    keys: Mapping[str, KeySpec] | None = None,
    engine: str = "both",
    clock: Callable[[], datetime] | None = None,
    **more: Any,
) -> Desk:
    """Migrate the database if it needs it and start a ledger in it, or give it one begun alike before.

    Args:
        folder: takes the signing key and the kept checkpoint.
        database_url: empty or migrated, but without a ledger.
        rules: a rules folder.
        directory: CSV text of the first directory; must hold both `administrators`.
        keys: other keys than `DESK_KEYS`.
        more: other settings.

    Ledgers begun alike have one genesis, at one time, under one key, and the same API keys: a test of two
    that must be told apart gives each something of its own.
    """
    settings = Settings(
        database_url=database_url,
        mode=Mode.DEMO,
        engine=engine,
        signing_key_file=folder / "ledger.key",
        checkpoint_file=folder / "checkpoint.txt",
        **more,
    )
    files = tuple(read_rule_files(rules).items())
    kind = make_url(database_url).get_backend_name()
    at = None if clock is None else clock()
    specs = repr(sorted((keys or DESK_KEYS).items()))
    alike = (kind, files, directory, tuple(administrators), specs, at, repr(sorted(more.items())))
    begun = _BEGUN.get(alike)
    if begun is not None and take_over(begun, database_url):
        settings.signing_key_file.touch(mode=0o600, exist_ok=False)
        settings.signing_key_file.write_bytes(begun.signing_key)
        settings.checkpoint_file.write_bytes(begun.checkpoint)
    else:
        begun = _begin(settings, files, directory, administrators, keys or DESK_KEYS, clock)
        if len(_BEGUN) < MOST_KEPT:
            _BEGUN[alike] = begun
    return Desk(folder, settings, vkey=begun.vkey, keys=begun.keys, key_ids=begun.key_ids)


MOST_KEPT = 100
_BEGUN: dict[Hashable, Begun] = {}


def _begin(
    settings: Settings,
    files: tuple[tuple[str, str], ...],
    directory: str,
    administrators: Sequence[str],
    keys: Mapping[str, KeySpec],
    clock: Callable[[], datetime] | None,
) -> Begun:
    before = digest(settings.database_url)
    if current_revision(settings.database_url) != newest():
        migrate(settings.database_url)
        before = None
    vkey = create_key_file(settings.signing_key_file, origin="demo/desk", entropy=os.urandom(32))
    made = {name: _mint(name, spec) for name, spec in keys.items()}
    people = read_directory(directory)
    active = activated(files)

    async def start() -> None:
        signer = open_signer(settings)
        database = Database(settings.database_url)
        try:
            await start_ledger(
                database,
                writer_settings(settings, signer, Metrics(), clock=clock),
                Genesis(
                    origin=signer.origin,
                    vkey=vkey,
                    active=active,
                    people=people,
                    administrators=administrators,
                    keys=tuple(key for _, key in made.values()),
                ),
            )
            signer.flush()
        finally:
            await database.close()

    run_apart(start)
    return Begun(
        vkey=vkey,
        keys={name: text for name, (text, _) in made.items()},
        key_ids={name: key.id for name, (_, key) in made.items()},
        signing_key=settings.signing_key_file.read_bytes(),
        checkpoint=settings.checkpoint_file.read_bytes(),
        before=before,
        tables=contents(settings.database_url),
    )


# Many ledgers that are not the same begin with the same rules.


@cache
def compiled(files: tuple[tuple[str, str], ...]) -> Release:
    """The release that rule files (path, text) make."""
    return compile_release(dict(files))


@cache
def activated(files: tuple[tuple[str, str], ...]) -> ActiveRelease:
    """The same, ready for a ledger to begin with; its engine is plain Python and holds nothing open."""
    return activate(compiled(files), engine="reference")


def run_apart(work: Callable[[], Any]) -> Any:
    """Run a coroutine function to its end in a loop of its own, whether or not one is running here."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


def _mint(name: str, spec: KeySpec) -> tuple[str, ApiKey]:
    return api_keys.mint(
        name=name,
        scopes=spec.scopes,
        actions=spec.actions,
        speaks_for=spec.speaks_for,
        account=spec.account,
        roles=spec.roles,
        at=time.time_ns() // 1000,
        entropy=os.urandom,
    )


async def activation_of(service: Service, release: Release) -> ReleaseActivation:
    """The change that puts `release` in the place of the one that is in force."""
    async with service.database.read() as connection:
        digest, *_ = await in_force(connection, service.tenant)
        replaced = await blob(connection, service.tenant, digest)
    assert replaced is not None
    return activation(release.document, against=replaced)


# -- what the desk asks ------------------------------------------------------------------------------------


def an_order(order: str | None = None, **properties: Any) -> dict[str, Any]:
    """An ordinary order as a request's `resource`; keyword arguments change or (None) remove properties."""
    facts: dict[str, Any] = {
        "account": "A-100",
        "instrument": "ES0000012345",
        "side": "buy",
        "quantity": "1000",
        "notional": "1500000.00 EUR",
        "average_price": "1500.00",
    } | properties
    return {
        "type": "order",
        "id": order or f"O-{secrets.token_hex(6)}",
        "properties": {name: value for name, value in facts.items() if value is not None},
    }


def lines_of(*quantities: str, price: str = "1500.00", account: str = "A-{}") -> list[dict[str, str]]:
    """Allocation lines with these quantities, each for an account of its own."""
    return [
        {"account": account.format(number), "quantity": quantity, "price": price, "costs": "1.00 EUR"}
        for number, quantity in enumerate(quantities, start=1)
    ]


def ask(
    action: str,
    login: str,
    order: str | Mapping[str, Any] | None = None,
    *,
    subject_type: str = "account",
    context: Mapping[str, Any] | None = None,
    on_behalf_of: str = "",
    break_glass: Mapping[str, Any] | None = None,
    **properties: Any,
) -> dict[str, Any]:
    """The body of `POST /v1/decisions`: may `login` take `action` on the order?

    The order is an id, a whole resource, or nothing for a new one. The facts that the desk's rules want at
    this step (open exposure, allocation lines) are there.
    """
    resource = dict(order) if isinstance(order, Mapping) else an_order(order)
    facts = dict(resource.get("properties", {}))
    if action == "allocate" and resource["type"] == "order":
        facts["lines"] = lines_of("600", "400")
    facts |= properties
    resource["properties"] = {name: value for name, value in facts.items() if value is not None}
    said: dict[str, Any] = dict(context or {})
    if action == "approve":
        said.setdefault("account", {"open_exposure": "0.00 EUR"})
    body: dict[str, Any] = {
        "subject": {"type": subject_type, "id": login},
        "action": {"name": action},
        "resource": resource,
    }
    if said:
        body["context"] = said
    if on_behalf_of:
        body["on_behalf_of"] = on_behalf_of
    if break_glass:
        body["break_glass"] = dict(break_glass)
    return body


def a_request(body: Mapping[str, Any]) -> Request:
    """The request that a body of `ask` is, for tests below the API."""
    resource, context = body["resource"], dict(body.get("context", {}))
    stated = dict(resource["properties"])
    links = [
        StatedLink(Relation(link["relation"]), link.get("type", resource["type"]), link["id"])
        for link in stated.pop("lineage", [])
    ]
    properties = {f"{resource['type']}.{name}": value for name, value in stated.items()}
    properties |= {f"subject.{name}": value for name, value in body["subject"].get("properties", {}).items()}
    claim = bool(context.pop("claim", True))
    at = context.pop("at", None)
    for name, value in context.items():
        if isinstance(value, Mapping):
            properties |= {f"{name}.{inner}": item for inner, item in value.items()}
        else:
            properties[f"context.{name}"] = value
    return Request(
        id=new_id("dec"),
        subject_type=body["subject"]["type"],
        subject_id=body["subject"]["id"],
        action=body["action"]["name"],
        resource_type=resource["type"],
        resource_id=resource["id"],
        properties=properties,
        asserted_at=datetime.fromisoformat(at) if at else None,
        claim=claim,
        lineage=tuple(links),
        on_behalf_of=body.get("on_behalf_of", ""),
        break_glass=BreakGlass(**{"minutes": 30, **body["break_glass"]}) if "break_glass" in body else None,
    )


async def submit(service: Service, command: Command) -> Any:
    """Run a command and read its answer."""
    return json.loads(await service.writer.submit(command))


def outcomes(answers: Iterable[Mapping[str, Any]]) -> list[str]:
    """The outcomes of several native answers."""
    return [answer["outcome"] for answer in answers]
