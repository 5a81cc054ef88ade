"""No chain is stranded unawares: the look-ahead through the whole service, on record like any finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controls.model.errors import Conflict
from controls.services.administration import Confirm, Propose
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_absences, read_directory
from controls.services.identifiers import new_id
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.reviews import Resolution, Resolve
from controls.services.service import Service
from tests.desk import DESK_PEOPLE, Desk, an_order, ask, start_desk, submit

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NO_RECONCILER = "".join(line for line in DESK_PEOPLE.splitlines(keepends=True) if "reconciler" not in line)


def rules_of(answer: dict[str, Any]) -> list[str]:
    return [finding["rule"] for finding in answer["findings"]]


async def decided(service: Service, desk: Desk, action: str, login: str, order: Any, **more: Any) -> Any:
    return await submit(service, desk.decide(ask(action, login, order, **more)))


async def changed(service: Service, desk: Desk, change: DirectoryChange) -> None:
    """Two administrators change the directory."""
    name = new_id("change")
    await submit(service, Propose(new_id("chg"), name, desk.key_ids["admin1"], change))
    await submit(service, Confirm(new_id("chg"), desk.key_ids["admin2"], name))


async def test_a_desk_that_cannot_finish_a_chain_is_told_at_its_first_step(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """The finding names who is missing, is on record, and waits for a supervisor like any review."""
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url, directory=NO_RECONCILER)
    service = desk.build()
    await service.start()
    try:
        order = an_order()
        answer = await decided(service, desk, "capture", "tina.trader", order)
        assert (answer["decision"], answer["outcome"], rules_of(answer)) == (
            False,
            "review",
            ["would_strand"],
        )
        (finding,) = answer["findings"]
        assert "Reconcile (who could: 0; roles that may: reconciler)" in finding["message"]["en"]
        assert "Conciliación (quienes podrían: 0" in finding["message"]["es"]
        recorded: Any = await service.queries.entry(answer["receipt"]["index"])
        (said,) = recorded["entry"]["findings"]
        assert (said["rule"], said["effect"]) == ("would_strand", "review")
        assert said["values"] == {
            "person": "p-05",
            "step": "capture",
            "steps": ["reconcile"],
            "roles": ["reconciler"],
        }
        opinion = await decided(service, desk, "capture", "tina.trader", order, context={"claim": False})
        assert (opinion["outcome"], rules_of(opinion)) == ("review", ["would_strand"])
        resolve = Resolve(
            new_id("res"), desk.key_ids["supervisor1"], answer["review"]["id"], Resolution.APPROVE, "hiring"
        )
        assert (await submit(service, resolve))["state"] == "approved"
        again = await decided(service, desk, "capture", "tina.trader", order)
        assert (again["outcome"], rules_of(again)) == ("permit", [])
        recorded = await service.queries.entry(again["receipt"]["index"])
        assert [item["rule"] for item in recorded["entry"]["cleared"]] == ["would_strand"]
    finally:
        await service.close()


async def test_whoever_joins_the_desk_is_counted_on_at_once(tmp_path: Path, migrated_sqlite_url: str) -> None:
    """The decision after the directory's change is made with the directory's people."""
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url, directory=NO_RECONCILER)
    service = desk.build()
    await service.start()
    try:
        assert (await decided(service, desk, "capture", "tina.trader", an_order()))["outcome"] == "review"
        joined = "person,name,account,roles\np-13,Rosa Roca,rosa.recon,reconciler\n"
        await changed(service, desk, DirectoryChange(read_directory(joined)))
        assert (await decided(service, desk, "capture", "tina.trader", an_order()))["outcome"] == "permit"
    finally:
        await service.close()


async def test_who_is_away_is_counted_on_from_the_day_of_return(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """Time passes, nobody changes anything, and the chain can be finished again."""
    now = [START]
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url, clock=lambda: now[0])
    service = desk.build(clock=lambda: now[0])
    await service.start()
    try:
        away = "person,absent_from,absent_to\np-13,2026-03-03T00:00:00Z,2026-03-05T00:00:00Z\n"
        await changed(service, desk, DirectoryChange(read_absences(away)))
        for days, outcome in ((0, "permit"), (1, "review"), (2, "review"), (3, "permit")):
            now[0] = START + timedelta(days=days)
            answer = await decided(service, desk, "capture", "tina.trader", an_order())
            assert answer["outcome"] == outcome, days
    finally:
        await service.close()


async def test_somebody_is_kept_for_the_step_that_nobody_else_can_take(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """Three persons must have a hand in it, and only Rita may settle: allocating is for somebody else."""
    kept = (line for line in DESK_PEOPLE.splitlines(keepends=True) if "settlement_clerk" not in line)
    people = "".join(kept).replace("rita.risk,risk_officer", "rita.risk,risk_officer;settlement_clerk")
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url, directory=people)
    service = desk.build()
    await service.start()
    try:
        order = an_order()
        for action, login in (("capture", "hugo.head"), ("approve", "rita.risk"), ("execute", "tina.trader")):
            answer = await decided(service, desk, action, login, order)
            assert answer["outcome"] == "permit", answer["findings"]
            key = desk.key_ids["caller"]
            await submit(service, ReportOutcome(new_id("out"), key, answer["id"], Reported.PERFORMED))
        refused = await decided(service, desk, "allocate", "rita.risk", order)
        assert (refused["outcome"], rules_of(refused)) == ("review", ["would_strand"])
        assert refused["findings"][0]["values"]["steps"] == ["settle"]
        assert (await decided(service, desk, "allocate", "mara.middle", order))["outcome"] == "permit"
    finally:
        await service.close()


async def test_a_change_waits_for_an_administrator_who_is_away_and_not_for_one_who_is_gone(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """Blas is on leave: what Alma proposes can wait. When he has left, nobody could ever confirm it."""
    now = [START]
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url, clock=lambda: now[0])
    service = desk.build(clock=lambda: now[0])
    await service.start()
    try:
        away = "person,absent_from,absent_to\np-02,2026-03-03T00:00:00Z,2026-03-05T00:00:00Z\n"
        await changed(service, desk, DirectoryChange(read_absences(away)))
        leaving = (
            "person,name,account,roles,valid_from,valid_to\n"
            "p-02,Blas Bueno,blas.admin,administrator,,2026-04-01T00:00:00Z\n"
        )
        await changed(service, desk, DirectoryChange(read_directory(leaving)))
        joining = DirectoryChange(read_directory("person,name,account,roles\np-20,Nora Nil,nora,trader\n"))
        proposal = Propose(new_id("chg"), new_id("change"), desk.key_ids["admin1"], joining)
        now[0] = START + timedelta(days=1)
        assert (await submit(service, proposal))["state"] == "proposed"
        now[0] = START + timedelta(days=60)
        proposal = Propose(new_id("chg"), new_id("change"), desk.key_ids["admin1"], joining)
        with pytest.raises(Conflict, match="nobody who is authorised and present could take this step"):
            await submit(service, proposal)
    finally:
        await service.close()
