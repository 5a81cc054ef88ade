"""What the tests under pressure share: a desk with rules to race against, service processes that can be
killed, and an audit of the ledger that trusts nothing the service said.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from controls.ledger.verifier import Key, Verification
from controls.services.commands import Command
from controls.services.idempotency import Once
from controls.services.identifiers import new_id
from controls.services.ledger_export import export_ledger
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.service import Service
from controls.store.database import Database
from tests.desk import Desk, run_apart, start_desk
from tests.forks import Fork, forks

RULES = Path(__file__).parent / "rules"
PEOPLE = """\
person,name,account,roles
p-01,Alma Arce,alma.admin,administrator
p-02,Blas Bueno,blas.admin,administrator
p-03,Sara Sanz,sara.super,supervisor
p-04,Saul Soto,saul.super,supervisor
p-05,Tina Toro,tina.trader,hand
p-05,Tina Toro,tina.bot,hand
p-06,Tomas Tena,tomas.trader,hand
p-07,Rita Rey,rita.risk,hand
p-08,Raul Rios,raul.risk,hand
p-09,Mara Mesa,mara.middle,hand
"""
LOGINS = ("tina.trader", "tina.bot", "tomas.trader", "rita.risk", "raul.risk", "mara.middle")
STEPS = ("capture", "approve", "execute", "allocate", "confirm", "instruct", "settle", "reconcile")
START_SECONDS = 60.0


def pressure_desk(folder: Path, database_url: str, **more: Any) -> Desk:
    """A ledger with the rules of this folder."""
    return start_desk(folder, database_url=database_url, rules=RULES, directory=PEOPLE, **more)


def body(
    action: str, login: str, chain: str, *, resource: str = "order", **properties: str
) -> dict[str, Any]:
    """A request under the rules of this folder."""
    facts: dict[str, str] = {"account": "A-1"}
    if resource == "order":
        facts["notional"] = "1000.00 EUR"
    elif resource == "lot":
        facts["quantity"] = "1"
    else:
        facts = {}
    return {
        "subject": {"type": "account", "id": login},
        "action": {"name": action},
        "resource": {"type": resource, "id": chain, "properties": facts | properties},
    }


# -- in this process ---------------------------------------------------------------------------------------


@asynccontextmanager
async def running(desk: Desk, *, clock: Callable[[], datetime] | None = None) -> AsyncIterator[Service]:
    """A started service on the desk's ledger, closed in the end."""
    service = desk.build(clock=clock)
    await service.start()
    try:
        yield service
    finally:
        await service.close()


def report(desk: Desk, decision: str, said: Reported = Reported.PERFORMED, *, key: str = "caller") -> Command:
    """The command that reports what became of a decision."""
    return ReportOutcome(new_id("out"), desk.key_ids[key], decision, said)


def once(desk: Desk, token: str, *bodies: Mapping[str, Any], key: str = "caller") -> Once:
    """The command for `bodies` under an Idempotency-Key."""
    digest = json.dumps(bodies, sort_keys=True).encode()
    return Once(desk.decide(*bodies, key=key), "/v1/decisions", token, digest)


# -- processes of their own --------------------------------------------------------------------------------


@dataclass(slots=True)
class ServiceProcess:
    """`controls serve` in a process of its own, on a free port of the loopback interface."""

    desk: Desk
    port: int = 0
    process: Fork | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.desk.folder / f"service-{self.port}.log"

    def launch(self) -> None:
        """Start it without waiting."""
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        env = {**os.environ, **self.desk.environment(), "CONTROLS_LOG_LEVEL": "warning"}
        arguments = ("serve", "--port", str(self.port))
        self.process = forks().start(*arguments, env=env, out=self.log, err=self.log)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the service did not start:\n{self.log.read_text()[-3000:]}")
            try:
                if httpx2.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a crash would: no handler runs, nothing is flushed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None


@contextmanager
def processes(desk: Desk, count: int) -> Iterator[list[ServiceProcess]]:
    """`count` ready service processes on one ledger; none is left running."""
    with ExitStack() as stack:
        started = [ServiceProcess(desk) for _ in range(count)]
        for service in started:
            stack.callback(service.kill)
            service.launch()
        for service in started:
            service.wait_until_ready()
        yield started
        for service in started:
            service.stop()


@asynccontextmanager
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A client that opens as many connections as it is asked for."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(limits=limits, timeout=60) as opened:
        yield opened


async def post(
    http: httpx2.AsyncClient,
    service: ServiceProcess,
    said: Any,
    *,
    path: str = "/v1/decisions",
    key: str = "caller",
    token: str | None = None,
) -> httpx2.Response:
    """POST to a service as the desk's caller."""
    return await http.post(f"{service.url}{path}", json=said, headers=service.desk.headers(key, token=token))


# -- afterwards --------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Audit:
    """The ledger as an outsider sees it: an export that the stand-alone verifier has accepted."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    export: bytes = b""

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["kind"] == kind]

    def by_id(self) -> dict[str, dict[str, Any]]:
        return {entry["id"]: entry for entry in self.entries}

    def refusals(self) -> list[str]:
        """The codes of recorded refusals, in order."""
        return [entry["code"] for entry in self.of_kind("refusal")]

    def claims(self) -> list[dict[str, Any]]:
        """Permits that claimed something new."""
        decided = self.of_kind("decision")
        return [entry for entry in decided if "claim" in entry and not entry["claim"]["shared"]]

    def steps_by_person(self, chain: str) -> Mapping[str, set[str]]:
        """Which steps of the chain each person has claimed, or somebody for that person."""
        taken: dict[str, set[str]] = defaultdict(set)
        for entry in self.claims():
            if entry["chain"]["id"] == chain:
                for person in hands(entry):
                    taken[person].add(entry["claim"]["step"])
        return taken

    def captures_by_account(self) -> Counter[tuple[str, str]]:
        """How many lots each person has captured on each account."""
        return Counter(
            (entry["person"], entry["request"]["properties"]["lot.account"])
            for entry in self.claims()
            if entry["chain"]["kind"] == "lot" and entry["claim"]["step"] == "capture"
        )

    def check_answers(self, answers: Sequence[Mapping[str, Any]]) -> None:
        """Every answer is on record as it was given, and its receipt names its entry."""
        known = self.by_id()
        for answer in answers:
            entry = known[answer["id"]]
            assert entry["outcome"] == answer["outcome"]
            assert self.entries[answer["receipt"]["index"]]["id"] == answer["id"]

    def check_duties(self) -> None:
        """No constraint of this folder's rules is broken, counted over the entries alone."""
        decided: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for entry in self.claims():
            chain = (entry["chain"]["kind"], entry["chain"]["id"])
            for person in hands(entry):
                decided[chain][person].add(entry["claim"]["step"])
        for (kind, chain), persons in decided.items():
            for person, steps in persons.items():
                steps.discard("amend")
                assert steps != set(STEPS), f"{person} has the whole chain {chain}"
                if kind == "order_to_settlement":
                    assert len(steps) <= 3, f"{person} has {sorted(steps)} of {chain}"
                    assert not {"capture", "approve"} <= steps, f"{person} made and checked {chain}"
        assert all(count <= 3 for count in self.captures_by_account().values())


def hands(entry: Mapping[str, Any]) -> set[str]:
    """Whose act an entry of a decision records: who acted, and for whom."""
    named = entry.get("on_behalf_of")
    return {entry["person"], *([] if named is None else [named["person"]])}


async def _export(desk: Desk) -> bytes:
    database = Database(desk.settings.database_url)
    try:
        origin = desk.vkey.partition("+")[0]
        lines = export_ledger(database, desk.settings.tenant, origin=origin, vkey=desk.vkey)
        return b"".join([line async for line in lines])
    finally:
        await database.close()


def audit(desk: Desk) -> Audit:
    """Export the ledger and have the stand-alone verifier check it (with the checkpoint kept outside)."""
    export: bytes = run_apart(lambda: _export(desk))
    kept = desk.settings.checkpoint_file.read_text("utf-8")
    found = Verification([Key.of(desk.vkey)], kept).run(export.splitlines(keepends=True))
    assert found.verified, found.problems
    lines = [json.loads(line) for line in export.splitlines()]
    entries = [json.loads(line["bytes"]) for line in lines if line["type"] == "entry"]
    moments = [entry["at"] for entry in entries]
    assert moments == sorted(moments), "time went back"
    return Audit(entries, export)


def verified_by_program(desk: Desk, checked: Audit) -> None:
    """The same by the program that an auditor runs, in a process of its own."""
    path = desk.folder / "export.jsonl"
    path.write_bytes(checked.export)
    command = [sys.executable, "-m", "controls.ledger.verifier", str(path), "--key", desk.vkey]
    done = subprocess.run(
        [*command, "--checkpoint", str(desk.settings.checkpoint_file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def eventually(check: Callable[[], Any], *, seconds: float = 20.0) -> None:
    """Wait until `check` is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
