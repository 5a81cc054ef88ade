"""No claim ends that a number of persons was made up by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controls.model.errors import Conflict
from controls.services.duty_ledger import examine_ledger
from controls.services.identifiers import new_id
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.reviews import Resolution, Resolve, SweepExpired
from tests.desk import start_desk, submit
from tests.services.test_counting import Counted, started
from tests.services.test_duty_kinds import DAY, PEOPLE, START, take

FILES = {
    "vocabulary.yaml": "facts:\n  job.size: {type: string, public: true, label: {en: Size, es: Tamaño}}\n",
    "roles.yaml": "roles:\n  dealer: {title: {en: Dealer, es: Operador}}\n"
    "  payer: {title: {en: Payer, es: Pagador}}\n"
    "grants:\n  - {role: dealer, actions: [begin, check, note, close], resource: job}\n",
    "chains/job.yaml": "chain: job\ntitle: {en: Job, es: Tarea}\nresource: job\nsteps:\n"
    "  - {id: begin, title: {en: Begin, es: Inicio}}\n"
    "  - {id: check, repeats: anyone, title: {en: Check, es: Control}}\n"
    "  - {id: note, optional: true, title: {en: Note, es: Nota}}\n"
    "  - {id: close, title: {en: Close, es: Cierre}}\n",
    "duties/three.yaml": "- {id: three, kind: at_least, steps: [begin, check, note, close], min: 3, "
    "then: deny}\n",
}


@pytest.fixture
async def running(tmp_path: Path, migrated_database_url: str) -> AsyncIterator[Counted]:
    async with playing(tmp_path, migrated_database_url) as counted:
        yield counted


@asynccontextmanager
async def playing(folder: Path, url: str, *, replaced: tuple[str, str] = ("", "")) -> AsyncIterator[Counted]:
    """A desk on whose record too few persons are never found; `replaced`: a text of its rules by another."""
    rules = folder / "rules"
    for name, text in FILES.items():
        (rules / name).parent.mkdir(parents=True, exist_ok=True)
        (rules / name).write_text(text.replace(*replaced), "utf-8")
    desk = start_desk(folder, database_url=url, rules=rules, directory=PEOPLE, clock=lambda: START)
    async with started(desk) as counted:
        yield counted
        found = await examine_ledger(counted.service.database, desk.settings.tenant, now=counted.now)
        assert found.breaches == ()


def job(action: str, login: str) -> dict[str, Any]:
    return {
        "subject": {"type": "account", "id": login},
        "action": {"name": action},
        "resource": {"type": "job", "id": "J-1", "properties": {}},
    }


async def claimed(running: Counted, action: str, login: str) -> str:
    answer = await running.ask(job(action, login))
    assert answer["outcome"] == "permit", answer["findings"]
    return str(answer["id"])


async def abandon(running: Counted, decision: str) -> dict[str, Any]:
    key = running.desk.key_ids["caller"]
    told: dict[str, Any] = await submit(
        running.service, ReportOutcome(new_id("out"), key, decision, Reported.ABANDONED)
    )
    return told


@pytest.mark.parametrize("step", ["check", "note"])
async def test_who_was_the_third_person_stays_until_another_one_has_come(running: Counted, step: str) -> None:
    """Ana began and closes, Ben checks; Cai makes three, on a step that others hold or need not be taken."""
    await take(running, job("begin", "ana"))
    third = await claimed(running, step, "cai")
    await take(running, job("check", "ben"))
    await take(running, job("close", "ana"))
    with pytest.raises(Conflict) as refused:
        await abandon(running, third)
    assert refused.value.code == "too_few_persons_left"
    assert "need at least 3 different persons (three); without p-07" in str(refused.value.detail)
    free = {"check": "check or note", "note": "check"}[step]
    assert f"Have another person take {free} first" in str(refused.value.help)
    await take(running, job("check", "dee"))
    assert (await abandon(running, third))["outcome"] == "abandoned"


async def test_what_somebody_must_still_take_makes_up_for_it(running: Counted) -> None:
    """As long as the close is open it can be a third person's."""
    await take(running, job("begin", "ana"))
    third = await claimed(running, "check", "cai")
    await take(running, job("check", "ben"))
    assert (await abandon(running, third))["outcome"] == "abandoned"
    refused = await running.ask(job("close", "ana"))
    assert [finding["rule"] for finding in refused["findings"]] == ["three"]
    await take(running, job("close", "dee"))


async def test_nor_is_it_void_because_it_has_expired(running: Counted) -> None:
    """A supervisor leaves it to whoever takes the step besides."""
    await take(running, job("begin", "ana"))
    await claimed(running, "check", "cai")
    await take(running, job("check", "ben"))
    await take(running, job("close", "ana"))
    running.now += 2 * DAY
    await submit(running.service, SweepExpired(new_id("exp")))
    page: Any = await running.service.queries.reviews(state="open", limit=5, cursor=None)
    (case,) = [item["id"] for item in page["reviews"] if item["kind"] == "expired"]

    async def void() -> Any:
        key = running.desk.key_ids["supervisor1"]
        return await submit(
            running.service, Resolve(new_id("res"), key, case, Resolution.APPROVE, "he is gone")
        )

    with pytest.raises(Conflict) as refused:
        await void()
    assert refused.value.code == "too_few_persons_left"
    await take(running, job("check", "dee"))
    assert (await void())["state"] == "approved"


async def test_where_nobody_else_can_come_the_refusal_says_so(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Cai holds the note, which no other takes beside him, and the rest is done."""
    async with playing(tmp_path, migrated_database_url, replaced=("repeats: anyone, ", "")) as running:
        third = await claimed(running, "note", "cai")
        for step, login in (("begin", "ana"), ("check", "ben"), ("close", "ana")):
            await take(running, job(step, login))
        with pytest.raises(Conflict) as refused:
            await abandon(running, third)
        assert refused.value.help == (
            "Report it as performed once it is; if it never is, cancel the chain and begin one that "
            "replaces it."
        )


async def test_nobody_waits_for_outcomes_that_are_never_reported(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Where a claim is all the progress there is, no case asks a supervisor to void what was done."""
    claimed_is_enough = ("resource: job\n", "resource: job\nprogress: claimed\n")
    async with playing(tmp_path, migrated_database_url, replaced=claimed_is_enough) as running:
        await claimed(running, "begin", "ana")
        running.now += 2 * DAY
        assert await submit(running.service, SweepExpired(new_id("exp"))) == {"opened": 0}
