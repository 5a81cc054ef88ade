"""`controls replay`: what an event log would have met, played through the service in a store of its own."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from controls.bootstrap import build_service, new_ledger_signer, writer_settings
from controls.cli.output import ERR, OUT, JsonOption, guarded, print_json, progress_bar
from controls.cli.troubles import read_rules, read_text
from controls.model.chain import ChainKind
from controls.model.errors import InvalidInput
from controls.rules.release import Release
from controls.services.activate import activate
from controls.services.directory_file import read_directory
from controls.services.directory_plans import AccountLine, PersonPlan, open_roles
from controls.services.event_log import Event, read_log
from controls.services.genesis import Genesis, start_ledger
from controls.services.grant_conflicts import without_grant_constraints
from controls.services.keys import mint
from controls.services.metrics import Metrics
from controls.services.releases import activatable
from controls.services.replay import ReplayClock, Report, chain_named, everyone, replay_events
from controls.settings import Mode, Settings
from controls.store.database import Database
from controls.store.migrate import migrate

_ADMINISTRATORS = ("replay.administrator.1", "replay.administrator.2")


@guarded
def replay(
    log: Annotated[Path, typer.Argument(help="Event log: CSV or .csv.gz, case,activity,resource,timestamp.")],
    rules: Annotated[Path, typer.Option(help="Folder with rule files.")],
    chain: Annotated[str, typer.Option(help="Id of the chain kind whose steps are the log's activities.")],
    directory: Annotated[
        Path | None, typer.Option(help="CSV of persons; resources that it does not know are denied.")
    ] = None,
    all_known: Annotated[
        bool, typer.Option("--everyone", help="Every resource is a known person with every role.")
    ] = False,
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask the service about every row of a log and report what it would have refused."""
    if "CONTROLS_DATABASE_URL" in os.environ:
        raise InvalidInput(
            "store_configured",
            "A replay never touches a configured store",
            help="Unset CONTROLS_DATABASE_URL; a replay makes a temporary store of its own.",
        )
    if (directory is None) is not all_known:
        raise InvalidInput(
            "who_is_known", "Say who the persons are", help="Give either --directory FILE or --everyone."
        )
    release = activatable(read_rules(rules))
    kind = chain_named(release.chains.values(), chain)
    events = read_log(log)
    if directory is not None:
        people = read_directory(read_text(directory))
    else:
        people = everyone(events, release.roles)
    with tempfile.TemporaryDirectory(prefix="controls-replay-") as folder:
        report = asyncio.run(_play(Path(folder), release, kind, events, people))
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)


async def _play(
    folder: Path, release: Release, kind: ChainKind, events: Sequence[Event], people: Sequence[PersonPlan]
) -> Report:
    settings = Settings(
        database_url=f"sqlite+aiosqlite:///{folder}/replay.db",
        mode=Mode.DEMO,
        signing_key_file=folder / "ledger.key",
        checkpoint_file=folder / "checkpoint.txt",
    )
    await asyncio.to_thread(migrate, settings.database_url)
    if not events:
        return Report()
    clock = ReplayClock(min(event.at for event in events))
    _, key = mint(name="replay", scopes=("decide",), speaks_for="*", at=0, entropy=os.urandom)
    signer = new_ledger_signer(settings, origin="demo/replay")
    database = Database(settings.database_url)
    active = activate(release, engine=settings.engine)
    try:
        await start_ledger(
            database,
            writer_settings(settings, signer, Metrics(), clock=clock),
            Genesis(
                origin=signer.origin,
                vkey=signer.vkey,
                active=without_grant_constraints(active),
                people=(*people, *_administrators()),
                administrators=_ADMINISTRATORS,
                keys=(key,),
            ),
        )
    finally:
        active.engine.close()
        await database.close()
    service = build_service(settings, clock=clock)
    await service.start()
    try:
        with progress_bar() as bar:
            task = bar.add_task("Replaying", total=len(events))
            report = await replay_events(
                service,
                events,
                kind=kind,
                key=key.id,
                clock=clock,
                progress=lambda done: bar.update(task, completed=done),
            )
    finally:
        await service.close()
    return report


def _administrators() -> tuple[PersonPlan, ...]:
    return tuple(
        PersonPlan(
            id=login,
            accounts=[AccountLine(login=login, valid_from=None, valid_to=None, where="")],
            roles=open_roles(["administrator"]),
        )
        for login in _ADMINISTRATORS
    )


def _print(report: Report) -> None:
    told = report.as_json()
    ERR.print(f"{report.rows} rows, {report.checked} of them steps of the chain, {len(report.cases)} cases.")
    summary = Table("outcome", "events", box=None, pad_edge=False)
    for name in ("permit", "review", "deny"):
        summary.add_row(name, str(report.outcomes[name]))
    OUT.print(summary)
    OUT.print(f"{told['cases_with_denial']} cases with a denial.")
    if report.findings:
        reasons = Table("finding", "times", box=None, pad_edge=False)
        for rule, count in report.findings.most_common():
            reasons.add_row(rule, str(count))
        OUT.print(reasons)
    for item in report.examples[:5]:
        OUT.print(f"line {item['line']}: {item['outcome']}: {item['reason']}", markup=False)
