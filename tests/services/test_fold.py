"""The ledger is the whole truth: what decisions read is a fold over its entries and nothing else.

The fold here is written from the design, not from the service. It takes an export, entries and disclosures,
and must come to the very rows that the service keeps.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import select

from controls.ledger.canonical import canonical_bytes
from controls.ledger.export import Blob, ExportedEntry, read_export
from controls.ledger.verifier import Key, Verification
from controls.model.chain import AMEND, Act, ActState, Capacity, ChainKind, Repeats, Step
from controls.model.values import microseconds
from controls.rules.aggregates import Aggregate, Counting
from controls.rules.release import Release, release_from_document
from controls.services.administration import Confirm, Propose
from controls.services.delegations import DelegationGrant
from controls.services.identifiers import new_id
from controls.services.ledger_export import export_ledger
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.reviews import Resolution, Resolve, SweepExpired
from controls.services.service import Service
from controls.store.database import Database
from controls.store.observations import Series
from controls.store.rows import StoredAct
from controls.store.tables import (
    accounts,
    acts,
    aggregates,
    approval_uses,
    approvals,
    assignments,
    observations,
    reviews,
)
from tests.desk import Desk, an_order, ask, start_desk, submit
from tests.ledger.test_verifier_on_a_desk import a_day
from tests.services.test_counting import PEOPLE, RULES, START, order, quote, started

CASE = (
    "id",
    "kind",
    "state",
    "decision",
    "claim",
    "person",
    "action",
    "resource_id",
    "chain_kind",
    "follows",
    "beside",
)


class Folded:
    """Acts, cases, approvals, accounts and roles as the entries tell them."""

    def __init__(self, blobs: Mapping[str, bytes]) -> None:
        self.blobs = blobs
        self.acts: dict[str, StoredAct] = {}
        self.cases: dict[str, dict[str, Any]] = {}
        self.approvals: dict[str, dict[str, Any]] = {}
        self.used: dict[str, str] = {}
        self.people: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, dict[str, str]] = {}  # what each question about a chain says of it

    def take(self, line: ExportedEntry) -> None:
        entry = json.loads(line.data)
        private = {path: item["value"] for path, item in (line.disclosure or {}).items()}  # type: ignore[index,call-overload]
        kind = entry["kind"]
        if kind in ("genesis", "directory"):
            found = json.loads(self.blobs[entry["blob"]])["persons"]
            self.people |= {person["id"]: person for person in found}
        if kind == "decision":
            self.decision(entry, private, line.index)
        elif kind == "outcome":
            self.end(entry["claim"], ActState(entry["outcome"]), entry)
        elif kind == "expiry":
            self.expiry(entry)
        elif kind == "resolution":
            self.resolution(entry, line.index)
        elif entry.get("act") in ("propose", "confirm") and kind != "refusal":
            self.change(entry, line.index)

    def end(self, claim: str, state: ActState, entry: dict[str, Any]) -> None:
        """What became of a claim; if that ended with it, that is when it was done, for whomever."""
        stored = self.acts[claim]
        self.acts[claim] = replace(stored, act=replace(stored.act, state=state))
        if stored.act.done_at is None:
            now = datetime.fromisoformat(entry["at"])
            for name in (claim, f"{claim}:for"):
                if name in self.acts:
                    ended = replace(self.acts[name].act, done_at=now)
                    self.acts[name] = replace(self.acts[name], act=ended)

    def decision(self, entry: dict[str, Any], private: dict[str, Any], index: int) -> None:
        taken, claim = entry.get("claim"), ""
        if "chain" in entry:
            self.facts[entry["id"]] = self.material(entry, private)
        if taken is not None:
            claim = taken["id"]
            if not taken["shared"]:
                self.claim(entry, index)
        request = entry["request"]
        if "review" in entry and entry["review"] not in self.cases:
            self.cases[entry["review"]] = {
                "id": entry["review"],
                "kind": self.kind(entry),
                "state": "open",
                "decision": entry["id"],
                "claim": claim,
                "person": entry["person"],
                "action": request["action"],
                "resource_id": request["resource"]["id"],
                "chain_kind": entry.get("chain", {}).get("kind", ""),
                "follows": "",
                "beside": self.beside(entry),
            }
        if "approval" in entry:
            self.used[entry["approval"]["id"]] = entry["id"]

    def kind(self, entry: dict[str, Any]) -> str:
        """What a case is about: what waits, who acted for another, or what went ahead with a flag."""
        if entry["outcome"] == "review":
            return "hold"
        return "exception" if self.beside(entry) else "flag"

    @staticmethod
    def beside(entry: dict[str, Any]) -> str:
        """The other person for whom somebody acted."""
        person = str(entry.get("on_behalf_of", {}).get("person", ""))
        return "" if person == entry["person"] else person

    def kind_and_step(self, entry: dict[str, Any]) -> tuple[ChainKind, Step | None]:
        release: Release = release_from_document(self.blobs[entry["release"]])
        kind = next(item for item in release.chains.values() if item.id == entry["chain"]["kind"])
        return kind, kind.step(entry["request"]["action"])

    def material(self, entry: dict[str, Any], private: dict[str, Any]) -> dict[str, str]:
        kind, step = self.kind_and_step(entry)
        facts = {name: private.get(name, value) for name, value in entry["request"]["properties"].items()}
        names = (*(kind.material if step is None else kind.material_of(step)), *kind.if_stated)
        material = {name: text_of(facts[name]) for name in names if name in facts}
        if step is not None and step.lines in facts:
            material[step.lines] = sha256(text_of(facts[step.lines]).encode()).hexdigest()
        return material

    def claim(self, entry: dict[str, Any], index: int) -> None:
        taken, chain = entry["claim"], entry["chain"]
        for stored in list(self.acts.values()):
            act, here = stored.act, (stored.kind, stored.act.chain) == (chain["kind"], chain["id"])
            if here and act.stands() and act.step in entry.get("reopens", ()):
                self.end(act.claim, ActState.REOPENED, entry)
        kind, step = self.kind_and_step(entry)
        at = datetime.fromisoformat(entry["at"])
        self.acts[taken["id"]] = StoredAct(
            act=Act(
                claim=taken["id"],
                decision=entry["id"],
                chain=chain["id"],
                step=taken["step"],
                person=entry["person"],
                account=entry["account"],
                capacity=Capacity.ACTOR,
                state=ActState.PERFORMED if taken["step"] == AMEND else ActState.CLAIMED,
                at=at,
                done_at=at if step is None or kind.progress_claimed else None,
                valid_until=datetime.fromisoformat(taken["valid_until"]),
                index=index,
                key=entry["key"],
                material=self.facts[entry["id"]],
                beside=self.beside(entry),
            ),
            kind=chain["kind"],
            exclusive=step is not None and step.repeats is Repeats.NEVER,
        )
        if self.beside(entry):
            theirs = replace(
                self.acts[taken["id"]].act,
                claim=f"{taken['id']}:for",
                person=entry["on_behalf_of"]["person"],
                account=entry["on_behalf_of"]["account"],
                capacity=Capacity.PRINCIPAL,
                state=ActState.PERFORMED,
                beside=entry["person"],
            )
            self.acts[theirs.claim] = StoredAct(act=theirs, kind=chain["kind"], exclusive=False)

    def expiry(self, entry: dict[str, Any]) -> None:
        stored = self.acts[entry["claim"]]
        self.acts[entry["claim"]] = replace(stored, case=entry["review"])
        self.cases[entry["review"]] = {
            "id": entry["review"],
            "kind": "expired",
            "state": "open",
            "decision": stored.act.decision,
            "claim": stored.act.claim,
            "person": stored.act.person,
            "action": stored.act.step,
            "resource_id": stored.act.chain,
            "chain_kind": stored.kind,
            "follows": "",
            "beside": "",
        }

    def resolution(self, entry: dict[str, Any], index: int) -> None:
        case = self.cases[entry["review"]]
        if "follow_up" in entry:
            told = {"id": entry["follow_up"], "kind": "follow_up", "follows": case["id"]}
            self.cases[entry["follow_up"]] = case | told
        case["state"] = {"approve": "approved", "reject": "rejected"}[entry["resolution"]]
        if "void" in entry:
            self.end(entry["void"], ActState.VOID, entry)
        given = entry.get("approval")
        if given is None:
            return
        self.approvals[given["id"]] = {
            "review": case["id"],
            "approver": entry["person"],
            "person": case["person"],
            "action": case["action"],
            "resource_id": case["resource_id"],
        }
        if entry["approver_act"]:
            until = datetime.fromisoformat(given["expires_at"])
            where = (entry["chain"]["kind"], entry["chain"]["id"])
            begun = any(
                (stored.kind, stored.act.chain) == where and stored.act.capacity is Capacity.ACTOR
                for stored in self.acts.values()
            )
            self.plain(given["id"], entry, entry["step"], index, until, Capacity.APPROVER)
            if not begun:  # where it counts is what was asked
                stored = self.acts[given["id"]]
                act = replace(stored.act, material=self.facts[case["decision"]])
                self.acts[given["id"]] = replace(stored, act=act)

    def change(self, entry: dict[str, Any], index: int) -> None:
        at = datetime.fromisoformat(entry["at"])
        self.plain(entry["id"], entry, entry["act"], index, at, Capacity.ACTOR)

    def plain(
        self, claim: str, entry: dict[str, Any], step: str, index: int, until: datetime, capacity: Capacity
    ) -> None:
        self.acts[claim] = StoredAct(
            act=Act(
                claim=claim,
                decision=entry["id"],
                chain=entry["chain"]["id"],
                step=step,
                person=entry["person"],
                account=entry["account"],
                capacity=capacity,
                state=ActState.PERFORMED,
                at=datetime.fromisoformat(entry["at"]),
                done_at=datetime.fromisoformat(entry["at"]),
                valid_until=until,
                index=index,
                key=entry["key"],
            ),
            kind=entry["chain"]["kind"],
            exclusive=capacity is Capacity.ACTOR,
        )


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else canonical_bytes(value).decode()


def folded(export: bytes) -> Folded:
    lines = list(read_export(export.splitlines(keepends=True)))
    fold = Folded({line.digest: line.data for line in lines if isinstance(line, Blob)})
    for line in lines:
        if isinstance(line, ExportedEntry):
            fold.take(line)
    return fold


def columns(rows: Iterable[Any], *names: str) -> list[dict[str, Any]]:
    return [{name: getattr(row, name) for name in names} for row in rows]


async def more_of_a_day(desk: Desk, service: Service, now: list[datetime]) -> None:
    """What `a_day` leaves out: a step that one person took for another, a rejected flag and its follow-up, an
    expired claim and its end."""
    order = an_order()

    async def take(action: str, login: str, *, on_behalf_of: str = "") -> dict[str, Any]:
        asked = ask(action, login, order, on_behalf_of=on_behalf_of)
        answer: dict[str, Any] = await submit(service, desk.decide(asked))
        assert answer["outcome"] == "permit", answer["findings"]
        command = ReportOutcome(new_id("out"), desk.key_ids["caller"], answer["id"], Reported.PERFORMED)
        await submit(service, command)
        return answer

    async def resolve(case: str, resolution: Resolution) -> dict[str, Any]:
        told: dict[str, Any] = await submit(
            service, Resolve(new_id("res"), desk.key_ids["supervisor2"], case, resolution, "why")
        )
        return told

    until = microseconds(now[0] + timedelta(days=1))
    grant = DelegationGrant("p-05", "p-06", "order_to_settlement", ("capture",), until, "away")
    proposed = await submit(service, Propose(new_id("chg"), new_id("change"), desk.key_ids["admin1"], grant))
    await submit(service, Confirm(new_id("chg"), desk.key_ids["admin2"], proposed["change"]))
    await take("capture", "tomas.trader", on_behalf_of="tina.trader")
    for action, login in (
        ("approve", "rita.risk"),
        ("execute", "tina.trader"),
        ("allocate", "mara.middle"),
        ("confirm", "mara.middle"),
        ("instruct", "clara.clerk"),
    ):
        await take(action, login)
    flagged = await take("settle", "carlos.clerk")
    told = await resolve(flagged["review"]["id"], Resolution.REJECT)
    await resolve(told["follow_up"], Resolution.APPROVE)
    await submit(service, desk.decide(ask("capture", "tomas.trader")))
    now[0] += timedelta(days=2)
    assert (await submit(service, SweepExpired(new_id("swp"))))["opened"] >= 1
    cases = (await service.queries.reviews(state="open", limit=50, cursor=None))["reviews"]
    expired = [case["id"] for case in cases if case["kind"] == "expired"]  # type: ignore[call-overload,index,union-attr]
    await resolve(expired[0], Resolution.APPROVE)


def test_the_state_is_a_fold_over_the_entries(migrated_database_url: str, tmp_path: Path) -> None:
    """Acts, cases, approvals, accounts and roles follow from the export alone, to the last field."""
    now = [datetime.fromisoformat("2026-03-02T09:30:00+00:00")]

    def clock() -> datetime:
        now[0] += timedelta(milliseconds=5)
        return now[0]

    desk = start_desk(tmp_path, database_url=migrated_database_url, clock=clock)

    async def run() -> tuple[bytes, dict[str, list[Any]]]:
        service = desk.build(clock=clock)
        await service.start()
        try:
            await a_day(desk, service)
            await more_of_a_day(desk, service, now)
        finally:
            await service.close()
        database = Database(desk.settings.database_url)
        try:
            lines = export_ledger(database, desk.settings.tenant, origin="demo/desk", vkey=desk.vkey)
            export = b"".join([line async for line in lines])
            async with database.read() as connection:
                tables = (acts, reviews, approvals, approval_uses, accounts, assignments)
                return export, {table.name: list(await connection.execute(select(table))) for table in tables}
        finally:
            await database.close()

    export, kept = asyncio.run(run())
    fold = folded(export)
    assert fold.acts == {row.claim: StoredAct.read(row) for row in kept["acts"]}
    assert {stored.act.state for stored in fold.acts.values()} == set(ActState)
    by_id = {case["id"]: case for case in columns(kept["reviews"], *CASE)}
    assert fold.cases == by_id
    kinds = {"hold", "flag", "expired", "follow_up", "exception"}
    assert {case["kind"] for case in fold.cases.values()} == kinds
    given = columns(kept["approvals"], "review", "approver", "person", "action", "resource_id")
    assert list(fold.approvals.values()) == given != []
    assert fold.used == {row.approval: row.decision for row in kept["approval_uses"]} != {}
    told = {(item["ref"], person) for person, said in fold.people.items() for item in said["accounts"]}
    assert told == {(row.ref, row.person) for row in kept["accounts"]}
    roles = {(person, item["role"]) for person, said in fold.people.items() for item in said["roles"]}
    assert roles == {(row.person, row.role) for row in kept["role_assignments"]}


# --- Aggregates -----------------------------------------------------------------------------------------


class Recounted:
    """All requests that the entries tell of, and what each aggregate must have said to each of them."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def read(self, aggregate: Aggregate, asked: dict[str, Any]) -> Any:
        """The value from the list of all earlier requests; None where there is none."""
        if not set(aggregate.by) <= asked["facts"].keys():
            return None
        inside = [
            item
            for item in self.counted(aggregate)
            if asked["at"] - item["at"] < aggregate.within
            and all(item["facts"].get(name) == asked["facts"][name] for name in aggregate.by)
            and not (aggregate.others_only and item["resource"] == asked["resource"])
        ]
        if not aggregate.amount:
            return len(inside)
        amounts = [amount_of(item["facts"][aggregate.amount]) for item in inside]
        (currency,) = {unit for _, unit in amounts} or {amount_of(asked["facts"][aggregate.amount])[1]}
        return f"{sum((number for number, _ in amounts), Decimal(0))} {currency}".rstrip()

    def counted(self, aggregate: Aggregate) -> list[dict[str, Any]]:
        return [
            item
            for item in self.requests
            if item["action"] in aggregate.actions
            and (item["granted"] or aggregate.counting is Counting.ASKED)
            and set(aggregate.by) <= item["facts"].keys()
        ]


def request_of(line: ExportedEntry) -> dict[str, Any]:
    """A request as its entry and disclosure tell it."""
    entry = json.loads(line.data)
    private = {path: item["value"] for path, item in (line.disclosure or {}).items()}  # type: ignore[index,call-overload]
    request = entry["request"]
    facts = {name: private.get(name, value) for name, value in request["properties"].items()}
    facts |= {"person.id": entry["person"]}
    granted = entry["outcome"] == "permit" and not entry.get("claim", {}).get("shared")
    return {
        "at": datetime.fromisoformat(entry["at"]),
        "action": f"{request['resource']['type']}.{request['action']}",
        "resource": (request["resource"]["type"], request["resource"]["id"]),
        "facts": facts,
        "granted": granted,
        "opinion": request.get("claim") is False,
        "aggregates": {
            name: private[name] if isinstance(value, dict) and "hmac" in value else value
            for name, value in entry.get("aggregates", {}).items()
        },
    }


def amount_of(value: Any) -> tuple[Decimal, str]:
    """A number or an amount of money, whatever its zeros."""
    number, _, currency = str(value).partition(" ")
    return Decimal(number), currency


def rows_of(aggregate: Aggregate, requests: list[dict[str, Any]], salt: bytes) -> list[tuple[Any, ...]]:
    """The rows that these requests leave: name of the series, number, time and amount."""
    found: list[tuple[Any, ...]] = []
    numbers: dict[str, int] = {}
    for item in requests:
        group = json.dumps([item["facts"][name] for name in aggregate.by], separators=(",", ":"))
        resources = ["", "/".join(item["resource"])] if aggregate.others_only else [""]
        for resource in resources:
            name = Series(aggregate.version, group, resource).name(salt)
            numbers[name] = numbers.get(name, 0) + 1
            amount = amount_of(item["facts"][aggregate.amount])[0] if aggregate.amount else Decimal(0)
            found.append((name, numbers[name], microseconds(item["at"]), amount))
    return found


def test_aggregates_are_a_fold_over_the_entries(migrated_database_url: str, tmp_path: Path) -> None:
    """What every decision read, and every row that is kept, follow from the entries before it."""
    desk = start_desk(
        tmp_path, database_url=migrated_database_url, rules=RULES, directory=PEOPLE, clock=lambda: START
    )

    async def run() -> tuple[bytes, list[Any], list[Any]]:
        async with started(desk) as counted:
            for number in range(30):
                counted.now += timedelta(seconds=number % 7, milliseconds=number)
                login = ("tina.trader", "tomas.trader", "tina.bot")[number % 3]
                alike = {"instrument": "X", "quantity": str(number % 2), "account": "AB"[number % 2]}
                await counted.ask(
                    order(f"O-{number // 2}", login=login, notional=f"{number * 100}.50 EUR", **alike),
                    order(f"P-{number}", login=login, claim=False, **alike),
                    quote(
                        account="AB"[number % 2],
                        size=f"{number}.5",
                        legs=number,
                        price="1.00 EUR",
                        login=login,
                    ),
                    quote("look", price="1.00 EUR", login=login),
                )
            lines = export_ledger(
                counted.service.database, desk.settings.tenant, origin="demo/desk", vkey=desk.vkey
            )
            export = b"".join([line async for line in lines])
            async with counted.service.database.read() as connection:
                salts = list(await connection.execute(select(aggregates)))
                return export, salts, list(await connection.execute(select(observations)))

    export, salts, rows = asyncio.run(run())
    assert Verification([Key.of(desk.vkey)], None).run(export.splitlines(keepends=True)).verified
    lines = list(read_export(export.splitlines(keepends=True)))
    blobs = {line.digest: line.data for line in lines if isinstance(line, Blob)}
    told = [line for line in lines if isinstance(line, ExportedEntry)]
    release = release_from_document(blobs[json.loads(told[0].data)["release"]])
    fold, reads, outcomes = Recounted(), 0, set()
    for line in told:
        if json.loads(line.data)["kind"] != "decision":
            continue
        asked = request_of(line)
        outcomes.add(json.loads(line.data)["outcome"])
        for name, said in asked["aggregates"].items():
            aggregate = release.aggregates[name]
            expected = fold.read(aggregate, asked)
            assert amount_of(said) == amount_of(expected), (name, asked)
            reads += 1
        if not asked["opinion"]:
            fold.requests.append(asked)
    assert reads > 200
    assert {"permit", "deny", "would_permit"} <= outcomes
    by_version = {item.version: item for item in release.aggregates.values()}
    expected_rows = [
        row
        for salt in salts
        for row in rows_of(
            by_version[salt.aggregate], fold.counted(by_version[salt.aggregate]), bytes(salt.salt)
        )
    ]
    kept = [(row.series, row.number, row.at, Decimal(row.amount)) for row in rows]
    assert sorted(kept) == sorted(expected_rows) != []
