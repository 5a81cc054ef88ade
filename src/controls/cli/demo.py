"""`controls demo`: a desk's day through the HTTP API of its own service, and a verified ledger."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from controls.bootstrap import shipped
from controls.cli.demo_day import (
    ADMINISTRATORS,
    ATTEMPTS,
    ORDERS,
    PEOPLE,
    STEPS,
    SUPERVISORS,
    Attempt,
    account_of,
    request,
)
from controls.cli.interrupts import Interrupts
from controls.cli.ledger import export_to
from controls.cli.operate import start
from controls.cli.output import ERR, OUT, Exit, guarded, progress_bar
from controls.model.errors import ControlsError
from controls.model.values import Json
from controls.settings import Mode, Settings
from controls.store.migrate import migrate

CALLER: Final = "order-system"
START_SECONDS: Final = 30.0
_interrupts: Final = Interrupts()


@dataclass(frozen=True, slots=True)
class Refused:
    """A row of the table: who tried what, and why not."""

    order: str
    step: str
    who: str
    outcome: str
    rule: str
    reason: str


@dataclass(slots=True)
class Day:
    """What happened."""

    date: date = field(default_factory=lambda: datetime.now(UTC).date())
    requests: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    refused: list[Refused] = field(default_factory=list)
    flags: int = 0
    resolved: int = 0
    finished: int = 0


class Client:
    """The calling system and the supervisors, over one connection."""

    def __init__(self, port: int, keys: dict[str, str]) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._keys = keys
        self._number = 0

    def post(self, path: str, body: Json, *, key: str = CALLER) -> dict[str, Any]:
        self._number += 1
        headers = {
            "Authorization": f"Bearer {self._keys[key]}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"demo-{self._number}",
        }
        self._connection.request("POST", path, json.dumps(body).encode(), headers)
        answer = self._connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read())
        if answer.status != 200:
            raise ControlsError(
                str(told.get("code", "http_error")),
                f"{path} answered {answer.status}",
                detail=str(told.get("detail", told)),
                help="This is a defect of the demo: report it.",
            )
        return told


@guarded
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the day instead of staying up.")] = False,
    port: Annotated[int, typer.Option(help="Port of the service; 0 takes a free one.")] = 0,
    language: Annotated[str, typer.Option(help="Language of the reasons: en or es.")] = "en",
) -> None:
    """Play a small desk's day against a service with a new SQLite ledger, and verify what it recorded."""
    if language not in ("en", "es"):
        raise typer.BadParameter("is en or es", param_hint="--language")
    with _interrupts.raised(), tempfile.TemporaryDirectory(prefix="controls-demo-") as name:
        folder = Path(name)
        settings = Settings(
            database_url=f"sqlite+aiosqlite:///{folder}/controls.db",
            mode=Mode.DEMO,
            signing_key_file=folder / "ledger.key",
            checkpoint_file=folder / "checkpoint.txt",
            log_level="warning",
        )
        ERR.print("Migrating an embedded SQLite database and starting a ledger in it.")
        migrate(settings.database_url)
        started = asyncio.run(
            start(
                settings,
                origin="demo/desk",
                people=PEOPLE,
                rules=shipped("rules"),
                administrators=list(ADMINISTRATORS),
                caller=CALLER,
                supervisors=SUPERVISORS,
            )
        )
        keys = started["keys"]
        assert isinstance(keys, dict)
        with _served(settings, folder, port) as (address, service):
            client = Client(address, {name: str(text) for name, text in keys.items()})
            day = _play(client, language)
            _print_refused(day)
            _print_summary(day)
            verified = _verify(settings, folder, str(started["vkey"]))
            if not verified:
                raise typer.Exit(Exit.VERIFICATION_FAILED)
            if not once:
                OUT.print(f"\nThe service is running at http://127.0.0.1:{address}")
                OUT.print(f"Its API key: {keys[CALLER]}", markup=False)
                OUT.print("Ctrl-C ends it and removes the demo's database.")
                _wait_for_interrupt(service, folder / "service.log")


def _play(client: Client, language: str) -> Day:
    """Forty orders through the whole chain, with everything that somebody tries on the way."""
    day = Day()
    with progress_bar() as bar:
        task = bar.add_task("Orders", total=ORDERS)
        for number in range(1, ORDERS + 1):
            _play_order(client, day, number, language)
            bar.update(task, completed=number)
    return day


def _play_order(client: Client, day: Day, number: int, language: str) -> None:
    for step in STEPS:
        done = False
        for attempt in ATTEMPTS.get(number, ()):
            if (attempt.before or attempt.step) == step:
                done = _try(client, day, number, attempt, language) or done
        if not done:
            who = account_of(step, number)
            body = request(step, number, who, now=datetime.now(UTC), day=day.date)
            answer = _ask(client, day, body, language)
            if answer["outcome"] != "permit":
                return
            _perform(client, answer)
    day.finished += 1


def _try(client: Client, day: Day, number: int, attempt: Attempt, language: str) -> bool:
    """Whether the attempt ended with the step done."""
    now = datetime.now(UTC)
    body = request(attempt.step, number, attempt.who, now=now, day=day.date, attempt=attempt)
    answer = _ask(client, day, body, language)
    if answer["outcome"] == "review" and attempt.approved:
        supervisor = SUPERVISORS[number % len(SUPERVISORS)]
        client.post(
            f"/v1/reviews/{answer['review']['id']}/resolution",
            {"resolution": "approve", "reason": "Checked with the client and the head of desk."},
            key=supervisor,
        )
        day.resolved += 1
        answer = _ask(client, day, body, language)
    if answer["outcome"] != "permit":
        return False
    _perform(client, answer)
    return True


def _ask(client: Client, day: Day, body: dict[str, Json], language: str) -> dict[str, Any]:
    answer = client.post("/v1/decisions", body)
    day.requests += 1
    day.outcomes[answer["outcome"]] += 1
    if answer["outcome"] == "permit":
        day.flags += "review" in answer
        return answer
    strictest = next(item for item in answer["findings"] if item["effect"] == answer["outcome"])
    resource, subject = body["resource"], body["subject"]
    assert isinstance(resource, dict)
    assert isinstance(subject, dict)
    day.refused.append(
        Refused(
            order=str(resource["id"]),
            step=str(body["action"]["name"]) if isinstance(body["action"], dict) else "",
            who=str(subject["id"]),
            outcome=answer["outcome"],
            rule=strictest["rule"],
            reason=strictest["message"][language],
        )
    )
    return answer


def _perform(client: Client, answer: dict[str, Any]) -> None:
    client.post(f"/v1/decisions/{answer['id']}/outcome", {"outcome": "performed"})


def _print_refused(day: Day) -> None:
    table = Table(title="Refused and referred", title_justify="left", show_lines=False)
    for column in ("order", "step", "asked by", "outcome"):
        table.add_column(column, no_wrap=True)
    table.add_column("finding and reason", overflow="fold")
    for row in day.refused:
        style = "red" if row.outcome == "deny" else "yellow"
        reason = f"[bold]{row.rule}[/]: {escape(row.reason)}"
        table.add_row(row.order, row.step, row.who, f"[{style}]{row.outcome}[/]", reason)
    OUT.print(table, soft_wrap=False)


def _print_summary(day: Day) -> None:
    OUT.print(
        f"{ORDERS} orders, {day.finished} of them settled and reconciled. {day.requests} questions: "
        f"{day.outcomes['permit']} permitted, {day.outcomes['review']} referred to a supervisor "
        f"({day.resolved} approved), {day.outcomes['deny']} denied; {day.flags} permits raised a flag."
    )


def _verify(settings: Settings, folder: Path, vkey: str) -> bool:
    """Export the ledger and let the stand-alone verifier look at it."""
    export = folder / "ledger.jsonl"
    entries = asyncio.run(export_to(settings, export))
    OUT.print(f"\nLedger of {entries} entries exported. The stand-alone verifier says:")
    OUT.file.flush()
    done = subprocess.run(
        [sys.executable, "-m", "controls.ledger.verifier", str(export), "--key", vkey], check=False
    )
    return done.returncode == 0


@contextmanager
def _served(settings: Settings, folder: Path, port: int) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The service as a process of its own, ended with the block."""
    if port == 0:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
    said = settings.model_dump(mode="json", exclude_none=True)
    environment = os.environ | {f"CONTROLS_{name.upper()}": str(value) for name, value in said.items()}
    process: subprocess.Popen[bytes] | None = None
    with (folder / "service.log").open("wb") as log:
        try:
            with _interrupts.held_back():  # in the middle of it the process would run on, known to nobody
                process = subprocess.Popen(
                    [sys.executable, "-m", "controls.cli.main", "serve", "--port", str(port)],
                    env=environment,
                    stdout=log,
                    stderr=log,
                )
            _until_ready(process, port, folder / "service.log")
            yield port, process
        finally:
            if process is not None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=START_SECONDS)


def _until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise ControlsError(
        "service_not_started",
        "The demo's service did not start",
        detail=log.read_text(errors="replace")[-2000:],
        help="The end of its log is above.",
    )


def _wait_for_interrupt(service: subprocess.Popen[bytes], log: Path) -> None:
    try:
        service.wait()
    except KeyboardInterrupt:
        ERR.print("Stopping.")
        return
    raise ControlsError(
        "service_ended",
        "The demo's service ended",
        detail=log.read_text(errors="replace")[-2000:],
        help="The end of its log is above.",
    )
