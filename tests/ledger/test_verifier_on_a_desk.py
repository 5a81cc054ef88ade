"""The stand-alone verifier on what the service itself wrote: reviews, amendments and changes included."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controls.bootstrap import read_rule_files
from controls.ledger.envelope import blob_digest
from controls.ledger.export import read_export
from controls.ledger.verifier import Failure, Key, Verification
from controls.rules.release import compile_release
from controls.services.administration import Confirm, Propose
from controls.services.answers import native_one
from controls.services.decisions import Decide
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.identifiers import new_id
from controls.services.keys import mint
from controls.services.ledger_export import export_ledger
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.provisioned_groups import ChangeGroup, CreateGroup
from controls.services.provisioned_users import ChangeUser, CreateUser, DeleteUser
from controls.services.provisioning import Act, Provision
from controls.services.reviews import Resolution, Resolve
from controls.services.scim_messages import GroupWanted, UserWanted
from controls.services.service import Service
from controls.store.database import Database
from tests.desk import DESK_PEOPLE, DESK_RULES, WALK, Desk, a_request, an_order, ask, start_desk, submit

from .ledger_builder import changed_entry, lines_of, sealed


async def a_day(desk: Desk, service: Service) -> Counter[str]:
    """One order walked through, one abandoned and taken over, one amended, one reviewed; one change."""
    told: Counter[str] = Counter()

    async def take(
        action: str, login: str, order: Any, *, report: Reported | None = Reported.PERFORMED
    ) -> dict[str, Any]:
        answer: dict[str, Any] = await submit(service, desk.decide(ask(action, login, order)))
        told[answer["outcome"]] += 1
        if answer["outcome"] == "permit" and report is not None:
            await submit(service, ReportOutcome(new_id("out"), desk.key_ids["caller"], answer["id"], report))
        return answer

    walked = an_order()
    for action, login in WALK:
        await take(action, login, walked)
    await take("reconcile", "tina.trader", walked)

    taken_over = an_order()
    await take("capture", "tina.trader", taken_over, report=Reported.ABANDONED)
    for _ in range(2):  # the second time shares the claim
        await take("capture", "tomas.trader", taken_over, report=None)

    amended = an_order()
    await take("capture", "tina.trader", amended)
    await take("approve", "rita.risk", amended)
    amended["properties"]["quantity"] = "1001"
    await take("amend", "tina.trader", amended, report=None)
    await take("approve", "raul.risk", amended)

    large = an_order(notional="6000000.00 EUR")
    answer = await take("capture", "tina.trader", large)
    supervisor, reason = desk.key_ids["supervisor1"], "checked by telephone"
    case = answer["review"] if isinstance(answer["review"], str) else answer["review"]["id"]
    await submit(service, Resolve(new_id("res"), supervisor, case, Resolution.APPROVE, reason))
    await take("capture", "tina.trader", large)

    people = read_directory(DESK_PEOPLE.replace("rosa.recon,reconciler", "rosa.recon,reconciler;supervisor"))
    propose = Propose(new_id("chg"), new_id("chg"), desk.key_ids["admin1"], DirectoryChange(tuple(people)))
    change = (await submit(service, propose))["change"]
    await submit(service, Confirm(new_id("chg"), desk.key_ids["admin2"], change))
    return told


async def recorded_day(desk: Desk) -> tuple[Counter[str], bytes]:
    """What was answered, and the export of the ledger afterwards."""
    service = desk.build()
    await service.start()
    try:
        told = await a_day(desk, service)
    finally:
        await service.close()
    return told, await exported(desk)


async def exported(desk: Desk) -> bytes:
    database = Database(desk.settings.database_url)
    try:
        export = export_ledger(database, desk.settings.tenant, origin="demo/desk", vkey=desk.vkey)
        return b"".join([line async for line in export])
    finally:
        await database.close()


def test_what_the_service_wrote_is_verified_and_nothing_else(
    migrated_sqlite_url: str, tmp_path: Path
) -> None:
    """A day's export holds, with the kept checkpoint; another person in any one entry does not."""
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url)
    told, export = asyncio.run(recorded_day(desk))
    assert told == {"permit": 16, "deny": 1, "review": 1}
    kept = desk.settings.checkpoint_file.read_text("utf-8")
    keys = [Key.of(desk.vkey)]
    report = Verification(keys, kept).run(export.splitlines(keepends=True))
    assert report.problems == []
    assert (report.chains, report.blobs, report.erased) == (5, 3, 0)
    lines = lines_of(export)
    assert report.entries == len([line for line in lines if line["type"] == "entry"])
    assert len(list(read_export(export.splitlines(keepends=True)))) == len(lines)
    for at, line in enumerate(lines):
        if line.get("columns", {}).get("person") is not None:
            other = {**changed_entry(line, person="p-99"), "columns": {**line["columns"], "person": "p-99"}}
            forged = sealed([*lines[:at], other, *lines[at + 1 :]])
            assert not Verification(keys).run(forged.splitlines(keepends=True)).verified


async def a_provided_day(desk: Desk) -> None:
    """A provider brings a user, gives a role and deletes it; administrators say where people sit."""
    service = desk.build()
    await service.start()

    async def provide(act: Act) -> dict[str, Any]:
        command = Provision(new_id("prv"), desk.key_ids["provider"], act, "")
        told = await service.writer.submit(command)
        found: dict[str, Any] = json.loads(told) if told else {}
        return found

    try:
        await provide(CreateGroup(GroupWanted("trader")))
        nina = (
            await provide(CreateUser(UserWanted("nina@bank.example", "x-1", "Nina", department="Sales")))
        )["id"]
        await provide(ChangeGroup("trader", GroupWanted(added=frozenset({nina})), patches=True))
        await submit(service, desk.decide(ask("capture", "nina@bank.example", an_order())))
        header = "person,name,account,roles,desk,household,reports_to\n"
        seated = read_directory(header + "p-05,Tina Toro,tina.trader,trader,rates,flat 7,p-14\n")
        propose = Propose(new_id("chg"), new_id("chg"), desk.key_ids["admin1"], DirectoryChange(seated))
        change = (await submit(service, propose))["change"]
        await submit(service, Confirm(new_id("chg"), desk.key_ids["admin2"], change))
        await provide(ChangeUser(nina, UserWanted(login="nina.nunez@bank.example", active=False)))
        await provide(DeleteUser(nina))
    finally:
        await service.close()


def test_a_directory_that_a_provider_keeps_is_verified(migrated_sqlite_url: str, tmp_path: Path) -> None:
    """Every change is counted and within the key's reach; what was committed to is disclosed; a service
    starts on it again. Another role in the provider's directory is found."""
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url)
    asyncio.run(a_provided_day(desk))
    export = asyncio.run(exported(desk))
    keys = [Key.of(desk.vkey)]
    report = Verification(keys).run(export.splitlines(keepends=True))
    assert report.problems == []
    assert (report.provisioned, report.erased) == (5, 0)
    asyncio.run(asked_of(desk, "capture", "tina.trader", an_order()))
    lines = lines_of(export)
    provided = [line["entry"] for line in map(parsed, lines) if "provision" in line["entry"]]
    blob = next(line for line in lines if line["type"] == "blob" and line["digest"] == provided[2]["blob"])
    swapped = blob["data"].replace('"role":"trader"', '"role":"auditor"')
    assert swapped != blob["data"]
    other = blob_digest(swapped.encode())
    forged = [
        {**line, "digest": other, "data": swapped}
        if line is blob
        else changed_entry(line, blob=other)
        if parsed(line)["entry"].get("blob") == blob["digest"]
        else line
        for line in lines
    ]
    forged.sort(key=lambda line: (line["type"] != "header", line["type"] != "blob", line.get("digest", "")))
    report = Verification(keys).run(sealed(forged).splitlines(keepends=True))
    assert any("auditor of per_" in problem.message for problem in report.problems)


def parsed(line: dict[str, Any]) -> dict[str, Any]:
    """A line of an export with its entry read, if it is one."""
    return {**line, "entry": json.loads(line["bytes"]) if line["type"] == "entry" else {}}


# -- what an administrator of the database slips in --------------------------------------------------------


def slip_in(desk: Desk, statement: str, row: Mapping[str, Any]) -> None:
    """Write behind the service's back, where no guard is: these tables are the service's to change."""
    database = sqlite3.connect(desk.settings.database_url.partition("///")[2])
    with database:
        database.execute(statement.format(", ".join(row), ", ".join(f":{name}" for name in row)), row)
    database.close()


async def asked_of(desk: Desk, action: str, login: str, order: Any, *, key: str = "") -> dict[str, Any]:
    service = desk.build()
    await service.start()
    try:
        request = a_request(ask(action, login, order))
        answer: dict[str, Any] = await submit(
            service, Decide((request,), key or desk.key_ids["caller"], native_one)
        )
        return answer
    finally:
        await service.close()


def a_release(desk: Desk) -> str:
    files = {name: text for name, text in read_rule_files(DESK_RULES).items() if "duties" not in name}
    release = compile_release(files)
    row = {"tenant": "default", "digest": release.digest, "data": release.document}
    slip_in(desk, "INSERT INTO ledger_blobs ({}) VALUES ({})", row)
    slip_in(desk, "UPDATE ledger_heads SET release = :release", {"release": release.digest})
    asyncio.run(asked_of(desk, "capture", "tina.trader", an_order()))
    return "the release"


def a_key(desk: Desk) -> str:
    now = time.time_ns() // 1000
    _, key = mint(name="mine", scopes=["decide"], speaks_for="*", at=now, entropy=os.urandom)
    slip_in(desk, "INSERT INTO api_keys ({}) VALUES ({})", key.row("default"))
    asyncio.run(asked_of(desk, "capture", "tina.trader", an_order(), key=key.id))
    return "the key"


def an_account(desk: Desk) -> str:
    """The bot of one trader becomes another's, so that one person seems to be two."""
    moved = {"login": "tina.bot", "person": "p-06"}
    slip_in(desk, "UPDATE accounts SET person = :person WHERE login = :login", moved)
    asyncio.run(asked_of(desk, "capture", "tina.bot", an_order()))
    return "the account"


def an_approval(desk: Desk) -> str:
    large = an_order(notional="6000000.00 EUR")
    case = asyncio.run(asked_of(desk, "capture", "tina.trader", large))["review"]["id"]
    row = {"review": case, "now": time.time_ns() // 1000 + 10**12}
    slip_in(
        desk,
        "INSERT INTO approvals SELECT tenant, 'apr_1', id, 'p-03', person, action, resource_type, "
        "resource_id, material, findings, :now FROM reviews WHERE id = :review",
        row,
    )
    assert asyncio.run(asked_of(desk, "capture", "tina.trader", large))["outcome"] == "permit"
    return "approval apr_1"


@pytest.mark.parametrize("forged", [a_release, a_key, an_account, an_approval])
def test_what_is_slipped_into_the_database_does_not_verify(
    migrated_sqlite_url: str, tmp_path: Path, forged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can write to the database, and runs a service that does not compare, misleads no verifier."""

    async def look_away(*_: object) -> None:
        """What a doctored service would do with its registers."""

    monkeypatch.setattr("controls.store.directory.check_keys", look_away)
    monkeypatch.setattr(
        "controls.store.directory.checked_people", lambda _recorded, stored: tuple(stored.values())
    )
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url)
    keys = [Key.of(desk.vkey)]
    whole = asyncio.run(exported(desk))
    assert Verification(keys).run(whole.splitlines(keepends=True)).verified
    what = forged(desk)
    report = Verification(keys).run(asyncio.run(exported(desk)).splitlines(keepends=True))
    assert report.code == Failure.FORCE
    assert report.problems[0].message.startswith(what)
