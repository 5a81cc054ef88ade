"""Constraints that look beyond one person's steps on one chain, through the whole service."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from controls.bootstrap import read_rule_files
from controls.ledger.verifier import Key, Verification
from controls.model.duty import ConstraintKind
from controls.model.errors import Conflict
from controls.model.values import microseconds
from controls.rules.release import compile_release
from controls.services.administration import Confirm, Propose
from controls.services.delegations import DelegationGrant
from controls.services.duty_ledger import examine_ledger
from controls.services.identifiers import new_id
from controls.services.ledger_export import export_ledger
from controls.services.outcomes import Reported, ReportOutcome
from controls.services.releases import check_release
from controls.store.tables import acts, trail_marks
from controls.store.trails import change_trails
from tests.desk import DESK_KEYS, Desk, KeySpec, activation_of, ask, start_desk, submit
from tests.rules.rule_sets import FIXTURES
from tests.services.test_counting import Counted, started

RULES = FIXTURES / "kinds"
PEOPLE = """\
person,name,account,roles
p-01,Alma Arce,alma.admin,administrator
p-02,Blas Bueno,blas.admin,administrator
p-03,Sara Sanz,sara.super,supervisor
p-04,Saul Soto,saul.super,supervisor
p-05,Ana Amor,ana,dealer;payer
p-05,Ana Amor,ana.bot,dealer;payer
p-06,Ben Bravo,ben,dealer;payer
p-07,Cai Cano,cai,dealer;payer
p-08,Dee Duro,dee,dealer;payer
p-09,Eva Egea,eva,dealer;payer
"""
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def desk(tmp_path: Path, migrated_database_url: str) -> Desk:
    return start_desk(
        tmp_path, database_url=migrated_database_url, rules=RULES, directory=PEOPLE, clock=lambda: START
    )


@pytest.fixture
async def running(desk: Desk) -> AsyncIterator[Counted]:
    async with started(desk) as counted:
        yield counted


def trade(action: str, login: str, number: str = "T-1", **facts: str | None) -> dict[str, Any]:
    """A request about a trade of which nothing is in common with others but what `facts` says."""
    said: dict[str, str | None] = {
        "account": f"A-{number}",
        "instrument": f"I-{number}",
        "desk": f"D-{number}",
        "notional": "1000.00 EUR",
        "sector": f"S-{number}",
        "issuer": f"C-{number}",
    } | facts
    issuer = {"sector": said.pop("sector"), "id": said.pop("issuer")}
    return {
        "subject": {"type": "account", "id": login},
        "action": {"name": action},
        "resource": {"type": "trade", "id": number, "properties": {k: v for k, v in said.items() if v}},
        "context": {"issuer": {name: value for name, value in issuer.items() if value}},
    }


def instruction(action: str, login: str, account: str) -> dict[str, Any]:
    return {
        "subject": {"type": "account", "id": login},
        "action": {"name": action},
        "resource": {"type": "instruction", "id": f"N-{account}", "properties": {"account": account}},
    }


def rules_of(answer: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in answer["findings"]}


async def take(
    running: Counted, body: dict[str, Any], reported: Reported = Reported.PERFORMED
) -> dict[str, Any]:
    """Ask, and report the outcome of what is permitted; the answer to the report."""
    answer = await running.ask(body)
    assert answer["outcome"] == "permit", answer["findings"]
    command = ReportOutcome(new_id("out"), running.desk.key_ids["caller"], answer["id"], reported)
    told: dict[str, Any] = await submit(running.service, command)
    return told


async def claim(running: Counted, body: dict[str, Any]) -> str:
    """Ask for what is permitted, and report nothing yet; the decision."""
    answer = await running.ask(body)
    assert answer["outcome"] == "permit", answer["findings"]
    return str(answer["id"])


async def report(running: Counted, decision: str, reported: Reported = Reported.PERFORMED) -> None:
    await submit(
        running.service, ReportOutcome(new_id("out"), running.desk.key_ids["caller"], decision, reported)
    )


def test_the_examples_of_the_rules_pass() -> None:
    """Every kind has examples that fire and that do not, and each leads to what it says."""
    checked = check_release(read_rule_files(RULES))
    assert checked.failures == ()
    assert len(checked.examples) > 20
    own = [item for item in checked.coverage.watched if item.sources == () and item.id in CONSTRAINTS]
    assert {item.id for item in own if item.fired and item.silent} == CONSTRAINTS


CONSTRAINTS = {
    *("large_payment", "not_my_boss", "other_team", "wall", "cool_off", "instrument_limit", "not_my_desk"),
    *("roles_in_use", "ring", "two_duties"),
}


# --- Votes ------------------------------------------------------------------------------------------------


async def test_a_step_of_two_votes(running: Counted) -> None:
    """Two persons claim and perform it, each once; a third one finds none left; progress is told."""
    told = await take(running, trade("approve", "ana"))
    assert told["chain"]["steps"] == {"approve": "claimed"}
    assert told["chain"]["votes"] == {"approve": {"given": 1, "needed": 2}}
    again = await running.ask(trade("approve", "ana.bot"))
    assert rules_of(again) == {"already_performed"}
    second = await running.ask(trade("approve", "ben"))
    assert second["outcome"] == "permit"
    shared = await running.ask(trade("approve", "ben"))
    assert shared["claim"]["id"] == second["claim"]["id"]
    assert rules_of(await running.ask(trade("approve", "cai"))) == {"claimed_by_other"}
    command = ReportOutcome(new_id("out"), running.desk.key_ids["caller"], second["id"], Reported.PERFORMED)
    assert (await submit(running.service, command))["chain"]["steps"] == {"approve": "performed"}
    assert rules_of(await running.ask(trade("approve", "cai"))) == {"already_performed"}


async def test_votes_that_a_constraint_asks_for(running: Counted) -> None:
    """A large payment takes two persons who neither captured nor executed it; a small one takes one."""
    large = {"notional": "2000000.00 EUR"}
    await take(running, trade("pay", "ana", "T-1"))
    assert await running.outcome(trade("settle", "ben", "T-1")) == "permit"
    await take(running, trade("capture", "ana", "T-2", **large))
    assert rules_of(await running.ask(trade("pay", "ana", "T-2", **large))) == {"large_payment"}
    await take(running, trade("pay", "ben", "T-2", **large))
    waits = await running.ask(trade("settle", "cai", "T-2", **large))
    assert rules_of(waits) == {"not_yet"}
    assert "1 of 2 votes, by large_payment" in waits["findings"][0]["message"]["en"]
    assert waits["chain"]["votes"]["pay"] == {"given": 1, "needed": 2}
    await take(running, trade("pay", "dee", "T-2", **large))
    assert await running.outcome(trade("settle", "cai", "T-2", **large)) == "permit"


async def test_an_abandoned_vote_is_free_and_counts_against_its_person(running: Counted) -> None:
    """Somebody else may vote in its place; whoever abandoned it keeps having had a hand in the step."""
    large = {"notional": "2000000.00 EUR"}
    await take(running, trade("pay", "ana", **large), Reported.ABANDONED)
    await take(running, trade("pay", "ben", **large))
    assert await running.outcome(trade("pay", "cai", **large)) == "permit"
    assert rules_of(await running.ask(trade("execute", "ana", **large))) >= {"large_payment"}


async def test_an_amendment_asks_for_all_votes_again(running: Counted) -> None:
    """Votes on other facts are opened: both persons vote again, on what is in force now."""
    await take(running, trade("capture", "ana"))
    for login in ("ben", "cai"):
        await take(running, trade("approve", login))
    other = await running.ask(trade("approve", "dee", notional="900.00 EUR"))
    assert "material_changed" in rules_of(other)
    assert await running.outcome(trade("amend", "ana", notional="900.00 EUR")) == "permit"
    assert await running.outcome(trade("approve", "ben")) == "deny"
    for login in ("ben", "cai"):
        await take(running, trade("approve", login, notional="900.00 EUR"))
    done = await running.ask(trade("approve", "dee", notional="900.00 EUR"))
    assert rules_of(done) == {"already_performed"}


# --- Beyond the chain -------------------------------------------------------------------------------------


async def test_a_wall_stands_between_the_companies_of_a_sector(running: Counted) -> None:
    """Whoever acted on one company stays away from its competitors for ninety days, by every account."""
    oil, other = {"sector": "oil", "issuer": "A"}, {"sector": "oil", "issuer": "B"}
    await take(running, trade("capture", "ana", "T-1", **oil))
    await take(running, trade("execute", "ana.bot", "T-2", **oil))
    refused = await running.ask(trade("capture", "ana.bot", "T-3", **other))
    assert rules_of(refused) == {"wall"}
    assert "on chain T-1" in refused["findings"][0]["message"]["en"]
    assert await running.outcome(trade("capture", "ben", "T-3", **other)) == "permit"
    assert await running.outcome(trade("capture", "ana", "T-4", sector="gas", issuer="B")) == "permit"
    running.now += 90 * DAY - timedelta(microseconds=1)
    assert await running.outcome(trade("capture", "ana", "T-5", **other)) == "deny"
    running.now += timedelta(microseconds=1)
    assert await running.outcome(trade("capture", "ana", "T-5", **other)) == "permit"


async def test_a_wall_is_the_one_of_whom_it_is_done_for_as_well(running: Counted) -> None:
    """Whoever acts for somebody else stays away from what either of the two must stay away from."""
    keys, service = running.desk.key_ids, running.service
    until = microseconds(START + DAY)
    grant = DelegationGrant("p-05", "p-06", "trade", ("capture",), until, "on holiday")
    proposed = await submit(service, Propose(new_id("chg"), new_id("change"), keys["admin1"], grant))
    await submit(service, Confirm(new_id("chg"), keys["admin2"], str(proposed["change"])))
    await take(running, trade("capture", "ana", "T-1", sector="oil", issuer="A"))
    await take(running, trade("capture", "ben", "T-2", sector="gas", issuer="A"))

    async def for_ana(number: str, sector: str, issuer: str) -> Any:
        body = trade("capture", "ben", number, sector=sector, issuer=issuer) | {"on_behalf_of": "ana"}
        return await running.ask(body)

    assert rules_of(await for_ana("T-3", "oil", "B")) == {"wall"}  # of Ana's
    assert rules_of(await for_ana("T-4", "gas", "B")) == {"wall"}  # of Ben's
    assert (await for_ana("T-5", "oil", "A"))["outcome"] == "permit"
    # What was done for Ana is behind both walls from then on.
    assert await running.outcome(trade("capture", "ben", "T-6", sector="oil", issuer="B")) == "deny"
    assert (await for_ana("T-7", "tin", "A"))["outcome"] == "permit"
    assert await running.outcome(trade("capture", "ana", "T-8", sector="tin", issuer="B")) == "deny"


async def test_a_wall_wants_to_know_the_side(running: Counted) -> None:
    """What does not say of which company it is, is refused, whoever asks."""
    told = await running.ask(trade("capture", "ana", sector="oil", issuer=None))
    assert rules_of(told) == {"wall", "material_missing"}
    (finding,) = [item for item in told["findings"] if item["rule"] == "wall"]
    assert finding["missing"] == ["issuer.sector", "issuer.id"]


async def test_nobody_amends_to_the_other_side(running: Counted) -> None:
    """An amendment is held against the wall as a capture is, and binds whoever makes it."""
    await take(running, trade("capture", "ana", "T-1", sector="oil", issuer="A"))
    refused = await running.ask(trade("amend", "ana", "T-1", sector="oil", issuer="B"))
    assert rules_of(refused) == {"wall"}
    assert await running.outcome(trade("amend", "ben", "T-1", sector="oil", issuer="B")) == "permit"
    # The chain is of both companies now, and so are the acts of both persons.
    assert await running.outcome(trade("capture", "ben", "T-2", sector="oil", issuer="A")) == "deny"
    assert await running.outcome(trade("capture", "ana", "T-3", sector="oil", issuer="A")) == "deny"


async def test_a_change_cools_off_on_the_account(running: Counted) -> None:
    """For a day after its settlement instruction was changed, nobody pays on the account."""
    await take(running, instruction("change", "ana", "A-T-1"))
    for login in ("ana", "ben"):
        refused = await running.ask(trade("pay", login))
        assert rules_of(refused) == {"cool_off"}
        assert "2026-03-03 09:30:00 UTC" in refused["findings"][0]["message"]["en"]
    assert await running.outcome(trade("pay", "ben", "T-2")) == "permit"
    running.now += DAY
    assert await running.outcome(trade("pay", "ben")) == "permit"
    assert await running.outcome(instruction("check", "ben", "A-T-1")) == "permit"


@pytest.mark.parametrize(
    ("reported", "told"),
    [(Reported.PERFORMED, ", performed "), (Reported.ABANDONED, ", claimed until ")],
)
async def test_nobody_waits_out_a_time_under_a_claim(running: Counted, reported: Reported, told: str) -> None:
    """A change that was claimed on Monday and made on Tuesday, or given up then, cools off on Wednesday."""
    change = await claim(running, instruction("change", "ana", "A-T-1"))
    for day in (1, 2):
        running.now = START + day * DAY
        waits = await running.ask(trade("pay", "ben"))
        assert rules_of(waits) == {"cool_off"}
        (finding,) = waits["findings"]
        assert "(claimed)" in finding["message"]["en"]
        assert "begins when what is only claimed is reported as performed" in finding["message"]["en"]
        assert "empieza cuando lo que sólo está reservado" in finding["message"]["es"]
        assert "until" not in finding["values"]
    running.now = START + 3 * DAY - timedelta(seconds=10)
    await report(running, change, reported)
    running.now += timedelta(seconds=10)
    (finding,) = (await running.ask(trade("pay", "ben")))["findings"]
    assert finding["rule"] == "cool_off"
    assert f"2026-03-02 09:30:00 UTC{told}2026-03-05 09:29:50 UTC" in finding["message"]["en"]
    assert "It may be taken from 2026-03-06 09:29:50 UTC on." in finding["message"]["en"]
    running.now = START + 4 * DAY - timedelta(seconds=10, microseconds=1)
    assert await running.outcome(trade("pay", "ben")) == "deny"
    running.now += timedelta(microseconds=1)
    assert await running.outcome(trade("pay", "ben")) == "permit"


async def test_a_window_goes_on_from_when_it_was_done(running: Counted) -> None:
    """A wall and a limit a day count from the performance, and as long as there may still be one."""
    oil, other = {"sector": "oil", "issuer": "A"}, {"sector": "oil", "issuer": "B"}
    first = await claim(running, trade("capture", "ana", "T-1", instrument="X", **oil))
    running.now += 91 * DAY
    waits = await running.ask(trade("capture", "ana", "T-9", **other))
    assert rules_of(waits) == {"wall"}
    assert "as long as one of them is only claimed" in waits["findings"][0]["message"]["en"]
    assert "mientras uno de ellos sólo esté reservado" in waits["findings"][0]["message"]["es"]
    for number in (2, 3):
        await take(running, trade("capture", "ana", f"T-{number}", instrument="X"))
    assert rules_of(await running.ask(trade("capture", "ana", "T-4", instrument="X"))) == {"instrument_limit"}
    await report(running, first)
    running.now += DAY - timedelta(microseconds=1)
    assert await running.outcome(trade("capture", "ana", "T-4", instrument="X")) == "deny"
    running.now += timedelta(microseconds=1)
    assert await running.outcome(trade("capture", "ana", "T-4", instrument="X")) == "permit"
    running.now += 89 * DAY - timedelta(microseconds=1)
    assert await running.outcome(trade("capture", "ana", "T-9", **other)) == "deny"
    running.now += timedelta(microseconds=1)
    assert await running.outcome(trade("capture", "ana", "T-9", **other)) == "permit"


async def test_so_many_of_one_instrument_a_day(running: Counted) -> None:
    """A person captures three trades of an instrument within a day, whatever became of them; lists count."""
    same = {"instrument": "X"}
    await take(running, trade("capture", "ana", "T-1", **same), Reported.ABANDONED)
    told = await running.outcome(*(trade("capture", "ana", f"T-{number}", **same) for number in (2, 3, 4)))
    assert told == ["permit", "permit", "deny"]
    assert await running.outcome(trade("capture", "ben", "T-4", **same)) == "permit"
    assert await running.outcome(trade("capture", "ana", "T-5")) == "permit"
    running.now += DAY
    assert await running.outcome(trade("capture", "ana", "T-6", **same)) == "permit"


async def test_whoever_traded_for_a_desk_does_not_value_its_trades(running: Counted) -> None:
    """A step on any trade of the desk keeps a person from the other one on all of them."""
    same = {"desk": "rates"}
    assert await running.outcome(trade("execute", "ana", "T-1", **same)) == "permit"
    refused = await running.ask(trade("value", "ana", "T-2", **same))
    assert rules_of(refused) == {"not_my_desk"}
    assert await running.outcome(trade("value", "ana", "T-2", desk="credit")) == "permit"
    assert await running.outcome(trade("value", "ben", "T-1", **same)) == "permit"


async def test_roles_are_used_one_at_a_time(running: Counted) -> None:
    """A person who is dealer and payer is one of both on each trade."""
    assert await running.outcome(trade("execute", "ana", "T-1")) == "permit"
    assert rules_of(await running.ask(trade("pay", "ana", "T-1"))) == {"roles_in_use"}
    assert await running.outcome(trade("pay", "ana", "T-2")) == "permit"


async def test_what_the_directory_does_not_know_is_looked_at(running: Counted) -> None:
    """Where nobody knows how two persons are related, a supervisor decides."""
    await take(running, trade("capture", "ana"))
    held = await running.ask(trade("execute", "ben"))
    assert held["outcome"] == "review"
    (finding,) = held["findings"]
    assert (finding["rule"], finding["cause"]) == ("not_my_boss", "missing")
    assert "directory.p-06.reports_to" in finding["missing"]


# --- Releases and the ledger ------------------------------------------------------------------------------


async def marks(running: Counted) -> list[tuple[Any, ...]]:
    async with running.service.database.read() as connection:
        return sorted(tuple(row) for row in await connection.execute(select(trail_marks)))


async def test_a_release_that_brings_a_trail_finds_its_past(running: Counted) -> None:
    """Constraints that come back hold against all that was done meanwhile, as if they had been there."""

    def without(text: str) -> str:
        return text.partition("- id: wall")[0]

    await take(running, trade("capture", "ana", "T-1", sector="oil", issuer="A"))
    await running.activate(RULES, kinds=without)
    assert await marks(running) == []
    for number in ("T-2", "T-3", "T-4"):
        assert (
            await running.outcome(trade("capture", "ana", number, sector="oil", issuer="B", instrument="X"))
            == "permit"
        )
    assert await marks(running) == []
    await running.activate(RULES)
    told = await running.ask(trade("capture", "ana", "T-5", sector="oil", issuer="A", instrument="X"))
    assert rules_of(told) == {"wall", "instrument_limit"}


async def test_marks_follow_from_the_acts(running: Counted) -> None:
    """What was written step by step is what is made anew from the acts alone."""
    decisions = []
    for body in (
        trade("capture", "ana", "T-1"),
        trade("capture", "ben", "T-2", account="A-T-1", instrument="I-T-1", sector="S-T-1", issuer="C-T-1"),
        trade("amend", "cai", "T-2", account="A-9", instrument="I-9"),
        trade("execute", "dee", "T-3"),
        trade("value", "ana", "T-3"),
        instruction("change", "ana", "A-T-1"),
    ):
        decisions.append(await claim(running, body))
        running.now += HOUR
    early = await marks(running)
    for decision, reported in zip(decisions, (Reported.PERFORMED, Reported.ABANDONED), strict=False):
        running.now += HOUR
        await report(running, decision, reported)
    before = await marks(running)
    assert len(before) == len(early) > 12
    assert before != early
    active = running.service.state.active
    assert active is not None
    trails = [trail for leading in active.trails.values() for trail in leading]
    async with running.service.database.write() as connection:
        await change_trails(connection, tenant=running.desk.settings.tenant, begun=trails, ended=[])
    assert await marks(running) == before


async def test_a_kind_without_such_constraints_leaves_no_marks(
    tmp_path: Path, migrated_sqlite_url: str
) -> None:
    """Chains of releases that look at nothing beyond them are written as they were."""
    desk = start_desk(tmp_path, database_url=migrated_sqlite_url, clock=lambda: START)
    async with started(desk) as plain:
        assert await plain.outcome(ask("capture", "tina.trader")) == "permit"
        assert await marks(plain) == []
        async with plain.service.database.read() as connection:
            assert (await connection.execute(select(func.count()).select_from(acts))).scalar_one() == 1


async def test_the_verifier_agrees(running: Counted) -> None:
    """The export of all this verifies: votes, amendments and limits are what the release allows."""
    large = {"notional": "2000000.00 EUR"}
    await take(running, trade("capture", "ana", **large))
    for login in ("ben", "cai"):
        await take(running, trade("approve", login, **large))
    assert await running.outcome(trade("amend", "ana", notional="3000000.00 EUR")) == "permit"
    for login in ("ben", "dee"):
        await take(running, trade("approve", login, notional="3000000.00 EUR"))
    for login in ("dee", "eva"):
        await take(running, trade("pay", login, notional="3000000.00 EUR"))
    desk = running.desk
    lines = export_ledger(running.service.database, desk.settings.tenant, origin="demo/desk", vkey=desk.vkey)
    export = b"".join([line async for line in lines])
    report = Verification([Key.of(desk.vkey)], None).run(export.splitlines(keepends=True))
    assert report.problems == []
    assert report.verified


# --- The service's own changes ----------------------------------------------------------------------------

THREE_ADMINISTRATORS = PEOPLE + "p-10,Clara Coll,clara.admin,administrator\n"
TWO_CONFIRM = "\n- {id: two_confirm, kind: votes, chain: administration, step: confirm, votes: 2}\n"


async def test_a_change_waits_for_its_last_vote(tmp_path: Path, migrated_database_url: str) -> None:
    """Where a confirmation takes two votes, author, approver and deployer are three persons."""
    rules = tmp_path / "rules"
    shutil.copytree(RULES, rules)
    duties = rules / "duties" / "kinds.yaml"
    duties.write_text(duties.read_text("utf-8") + TWO_CONFIRM, "utf-8")
    keys = {
        name: KeySpec(scopes=("directory", "release"), account=login)
        for name, login in (("admin1", "alma.admin"), ("admin2", "blas.admin"), ("admin3", "clara.admin"))
    }
    desk = start_desk(
        tmp_path,
        database_url=migrated_database_url,
        rules=rules,
        directory=THREE_ADMINISTRATORS,
        keys=keys | {"caller": DESK_KEYS["caller"]},
        clock=lambda: START,
    )
    async with started(desk) as running:
        change = await activation_of(running.service, compile_release(read_rule_files(RULES)))

        async def confirm(key: str) -> Any:
            command = Confirm(new_id("chg"), desk.key_ids[key], proposed["change"])
            command.prepared = await running.service.releases.prepared(proposed["change"])
            return await submit(running.service, command)

        command = Propose(new_id("chg"), new_id("change"), desk.key_ids["admin1"], change)
        proposed = await submit(running.service, command)
        before = running.service.state.active
        assert before is not None
        first = await confirm("admin2")
        assert (first["state"], first["votes"]) == ("proposed", {"given": 1, "needed": 2})
        assert running.service.state.active is before
        for again in ("admin1", "admin2"):
            with pytest.raises(Conflict) as refused:
                await confirm(again)
            assert refused.value.code == "change_refused"
        last = await confirm("admin3")
        assert (last["state"], last["votes"]) == ("confirmed", {"given": 2, "needed": 2})
        await running.outcome(trade("capture", "ana"))
        assert running.service.state.active is not None
        assert running.service.state.active.release.digest == change.digest
        lines = export_ledger(
            running.service.database, desk.settings.tenant, origin="demo/desk", vkey=desk.vkey
        )
        export = b"".join([line async for line in lines])
        report = Verification([Key.of(desk.vkey)], None).run(export.splitlines(keepends=True))
        assert report.problems == []


# --- Relations --------------------------------------------------------------------------------------------

RELATED = """\
person,name,account,roles,department,household,reports_to
p-01,Alma Arce,alma.admin,administrator,,,
p-02,Blas Bueno,blas.admin,administrator,,,
p-05,Ana Amor,ana,dealer;payer,markets,h-1,p-06
p-06,Ben Bravo,ben,dealer;payer,markets,h-2,p-08
p-07,Cai Cano,cai,dealer;payer,operations,h-1,p-08
p-08,Dee Duro,dee,dealer;payer,operations,h-3,p-08
p-09,Eva Egea,eva,dealer;payer,risk,h-4,p-08
"""


@pytest.mark.parametrize(
    ("second", "rules"),
    [
        ("ben", {"not_my_boss"}),  # her superior
        ("dee", {"not_my_boss"}),  # and his
        ("cai", {"not_my_boss"}),  # of her household
        ("eva", set()),
    ],
)
async def test_related_persons_do_not_take_both(
    tmp_path: Path, migrated_sqlite_url: str, second: str, rules: set[str]
) -> None:
    """The directory says who is related to whom, and by which way is told."""
    desk = start_desk(
        tmp_path, database_url=migrated_sqlite_url, rules=RULES, directory=RELATED, clock=lambda: START
    )
    async with started(desk) as running:
        await take(running, trade("capture", "ana"))
        answer = await running.ask(trade("execute", second))
        assert rules_of(answer) == rules
        assert answer["outcome"] == ("review" if rules else "permit")
        for finding in answer["findings"]:
            related = "household" if second == "cai" else "reports_to"
            assert finding["values"]["relations"] == [related]
            assert finding["cause"] == "fired"
            assert "h-1" not in str(finding)


async def test_what_a_supervisor_let_pass_is_told_from_the_ledger(
    tmp_path: Path, migrated_database_url: str
) -> None:
    """Who acted beside a related person; who acted beside somebody else is not named."""
    supervisor = "p-03,Sara Sanz,sara.super,supervisor,,,\n"
    desk = start_desk(
        tmp_path,
        database_url=migrated_database_url,
        rules=RULES,
        directory=RELATED + supervisor,
        clock=lambda: START,
    )
    async with started(desk) as running:
        await take(running, trade("capture", "ana"))
        await take(running, trade("capture", "eva", "T-2"))
        await running.approve(await running.ask(trade("execute", "ben")), "supervisor1")
        await take(running, trade("execute", "ben"))
        await take(running, trade("execute", "cai", "T-2"))
        found = await examine_ledger(running.service.database, desk.settings.tenant, now=START + DAY)
    assert found.breaches is not None
    related = [item for item in found.breaches if item.constraint.kind is ConstraintKind.RELATION]
    told = [(item.constraint.id, item.person, item.chain, item.acts[-1].step) for item in related]
    assert told == [("not_my_boss", "p-06", "T-1", "execute")]
    assert ("not_my_boss", "trade") in found.looked_at
