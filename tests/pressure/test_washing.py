"""Attempts to wash history or to get above the rules: each is refused, and each attempt is on record."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from controls.api.app import create_app
from controls.model.errors import ControlsError, Unauthenticated
from controls.services import service as service_module
from controls.services.administration import Confirm, Propose
from controls.services.commands import Command
from controls.services.directory_changes import DirectoryChange
from controls.services.directory_file import read_directory
from controls.services.identifiers import new_id
from controls.services.key_changes import KeyRevocation
from controls.services.outcomes import Reported
from controls.services.reviews import Resolution, Resolve, SweepExpired
from controls.services.service import Service
from tests.databases import PostgresServer, database_on
from tests.desk import DESK_KEYS, DESK_PEOPLE, WALK, Desk, KeySpec, an_order, ask, lines_of, start_desk
from tests.services.test_duty_kinds import PEOPLE as PAYERS
from tests.services.test_duty_kinds import RULES as PAUSING
from tests.services.test_duty_kinds import instruction, trade

from .running import audit, body, once, pressure_desk, report, running

KEYS = {**DESK_KEYS, "admin1_other": KeySpec(("directory", "release", "read"), account="alma.other")}
PEOPLE = (
    DESK_PEOPLE + "p-01,Alma Arce,alma.other,administrator\np-15,Hilda Hoz,hilda.both,trader;middle_office\n"
)
LARGE, SMALL = "6000000.00 EUR", "1500000.00 EUR"


@dataclass(slots=True)
class Seat:
    """A service on a desk, and the short forms in which these tests speak to it."""

    desk: Desk
    service: Service

    async def tell(self, command: Command) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(await self.service.writer.submit(command))
        return told

    async def ask(self, action: str, login: str, order: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        return await self.tell(self.desk.decide(ask(action, login, order, **more)))

    async def claim(self, action: str, login: str, order: Mapping[str, Any], **more: Any) -> str:
        """The id of the decision that permitted it."""
        answer = await self.ask(action, login, order, **more)
        assert answer["outcome"] == "permit", answer["findings"]
        return str(answer["id"])

    async def perform(self, action: str, login: str, order: Mapping[str, Any]) -> str:
        decision = await self.claim(action, login, order)
        await self.tell(report(self.desk, decision))
        return decision

    async def approve(self, review: str, supervisor: str = "supervisor1") -> dict[str, Any]:
        return await self.tell(self.resolution(review, supervisor))

    def resolution(
        self, review: str, supervisor: str, resolution: Resolution = Resolution.APPROVE
    ) -> Resolve:
        return Resolve(new_id("res"), self.desk.key_ids[supervisor], review, resolution, "looked at it")

    async def last_entry(self) -> dict[str, Any]:
        note = await self.service.queries.checkpoint()
        told = await self.service.queries.entry(int(note.splitlines()[1]) - 1)
        entry: Any = told["entry"]
        return dict(entry)

    async def refused(self, command: Command, code: str) -> dict[str, Any]:
        """The command is refused with this code, and the ledger's newest entry says so; that entry."""
        with pytest.raises(ControlsError) as caught:
            await self.service.writer.submit(command)
        assert caught.value.code == code
        entry = await self.last_entry()
        assert (entry["kind"], entry["code"], entry["key"]) == ("refusal", code, command.key)
        return entry

    async def denied(self, rule: str, action: str, login: str, order: Mapping[str, Any], **more: Any) -> None:
        """The request is denied by this rule (perhaps among others), and the newest entry says so."""
        await self.denies(rule, ask(action, login, order, **more))

    async def denies(self, rule: str, said: dict[str, Any]) -> None:
        answer = await self.tell(self.desk.decide(said))
        assert answer["outcome"] == "deny"
        assert rule in {finding["rule"] for finding in answer["findings"]}
        entry = await self.last_entry()
        assert (entry["kind"], entry["id"], entry["outcome"]) == ("decision", answer["id"], "deny")
        assert rule in {finding["rule"] for finding in entry["findings"]}

    async def approved_capture(self, order: Mapping[str, Any]) -> str:
        """A large order of Tina's that a supervisor has approved; the review's id."""
        answer = await self.ask("capture", "tina.trader", order)
        assert answer["outcome"] == "review"
        await self.approve(answer["review"]["id"])
        return str(answer["review"]["id"])


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk that all tests of this module share: each has orders of its own. Audited in the end."""
    folder = tmp_path_factory.mktemp("washing")
    with ExitStack() as stack:
        if request.param == "sqlite":
            template: Path = request.getfixturevalue("sqlite_template")
            for part in template.parent.iterdir():
                shutil.copy(part, folder / part.name)
            url = f"sqlite+aiosqlite:///{folder / template.name}"
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            name = request.getfixturevalue("postgres_template")
            url = server.url(stack.enter_context(database_on(server, template=name)))
        started = start_desk(folder, database_url=url, directory=PEOPLE, keys=KEYS)
        yield started
        audit(started)


@pytest.fixture
async def seat(desk: Desk) -> AsyncIterator[Seat]:
    async with running(desk) as service:
        yield Seat(desk, service)


@dataclass(slots=True)
class Clock:
    """The time of one ledger, set by its test."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


BEGUN_AT = datetime.now(UTC)


@asynccontextmanager
async def timed(folder: Path, url: str) -> AsyncIterator[tuple[Seat, Clock]]:
    """A desk of its own with a clock of its own."""
    clock = Clock(BEGUN_AT)
    own = start_desk(folder, database_url=url, directory=PEOPLE, keys=KEYS, clock=clock)
    async with running(own, clock=clock) as service:
        yield Seat(own, service), clock


# -- ending claims -----------------------------------------------------------------------------------------


async def test_abandon_what_was_performed(seat: Seat) -> None:
    """What was done is not undone by a report."""
    decision = await seat.perform("capture", "tina.trader", an_order())
    await seat.refused(report(seat.desk, decision, Reported.ABANDONED), "already_performed")
    await seat.refused(report(seat.desk, decision, Reported.PERFORMED), "already_performed")


async def test_perform_what_was_abandoned(seat: Seat) -> None:
    """An abandoned claim stays abandoned, so that nobody does the step beside its new holder."""
    order = an_order()
    decision = await seat.claim("capture", "tina.trader", order)
    await seat.tell(report(seat.desk, decision, Reported.ABANDONED))
    await seat.claim("capture", "tomas.trader", order)
    await seat.refused(report(seat.desk, decision), "already_abandoned")


@pytest.mark.parametrize("reported", Reported)
async def test_wait_out_a_pause_under_a_claim(
    migrated_database_url: str, tmp_path: Path, reported: Reported
) -> None:
    """A pause begins when what it comes after is done: not when that was claimed, however long that was, and
    whatever is said to have become of it."""
    clock = Clock(datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
    own = start_desk(
        tmp_path, database_url=migrated_database_url, rules=PAUSING, directory=PAYERS, clock=clock
    )
    async with running(own, clock=clock) as service:
        seat = Seat(own, service)
        answer = await seat.tell(own.decide(instruction("change", "ana", "A-T-1")))
        assert answer["outcome"] == "permit"
        clock.now += timedelta(hours=24)
        await seat.denies("cool_off", trade("pay", "ben"))
        await seat.tell(report(own, str(answer["id"]), reported))
        for wait in (timedelta(0), timedelta(seconds=10), timedelta(hours=23, minutes=59, seconds=49)):
            clock.now += wait
            await seat.denies("cool_off", trade("pay", "ben"))
        clock.now += timedelta(seconds=1)
        assert (await seat.tell(own.decide(trade("pay", "ben"))))["outcome"] == "permit"
    audit(own)


async def test_another_key_reports_the_outcome(seat: Seat) -> None:
    """Only the credential that claimed may say what became of it."""
    decision = await seat.claim("capture", "tina.trader", an_order())
    for said in Reported:
        entry = await seat.refused(report(seat.desk, decision, said, key="other"), "not_your_claim")
        assert entry["decision"] == decision


async def test_report_on_what_claimed_nothing(seat: Seat) -> None:
    """An opinion (`claim: false`) and a deny claim nothing, and nothing can be reported on them."""
    order = an_order()
    opinion = await seat.ask("capture", "tina.trader", order, context={"claim": False})
    assert (opinion["outcome"], opinion["decision"]) == ("would_permit", False)
    await seat.refused(report(seat.desk, opinion["id"]), "no_claim")
    denied = await seat.ask("execute", "tina.trader", order)
    await seat.refused(report(seat.desk, denied["id"]), "no_claim")
    await seat.refused(report(seat.desk, "dec_unknown"), "decision_unknown")


async def test_abandon_a_step_after_a_later_one_was_claimed(
    migrated_database_url: str, tmp_path: Path
) -> None:
    """Where progress is by claims, a step cannot be given back from under the next one."""
    desk = pressure_desk(tmp_path, migrated_database_url)

    def slip(action: str, login: str) -> dict[str, Any]:
        return body(action, login, "S-1", resource="slip")

    async with running(desk) as service:
        seat = Seat(desk, service)
        first = await seat.tell(desk.decide(slip("capture", "tina.trader")))
        second = await seat.tell(desk.decide(slip("approve", "rita.risk")))
        assert (first["outcome"], second["outcome"]) == ("permit", "permit")
        await seat.refused(report(desk, first["id"], Reported.ABANDONED), "later_step_claimed")
        await seat.tell(report(desk, second["id"], Reported.ABANDONED))
        await seat.tell(report(desk, first["id"], Reported.ABANDONED))
        # Rita has had one step and takes another; the third would be the whole chain, abandoned or not.
        assert (await seat.tell(desk.decide(slip("capture", "rita.risk"))))["decision"]
        assert (await seat.tell(desk.decide(slip("approve", "tomas.trader"))))["decision"]
        await seat.denies("whole_chain", slip("settle", "rita.risk"))
    audit(desk)


async def test_an_abandoned_step_goes_on_counting(migrated_database_url: str, tmp_path: Path) -> None:
    """Abandoning frees the step for others, not the person: limits and separations count it as before."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    async with running(desk) as service:
        seat = Seat(desk, service)
        for step in ("capture", "execute", "allocate"):
            answer = await seat.tell(desk.decide(body(step, "tina.trader", "O-1")))
            await seat.tell(report(desk, answer["id"], Reported.ABANDONED))
        await seat.denies("maker_checker", body("approve", "tina.trader", "O-1"))
        await seat.denies("few_hands", body("settle", "tina.bot", "O-1"))
        assert (await seat.tell(desk.decide(body("capture", "tomas.trader", "O-1"))))["decision"]
    audit(desk).check_duties()


# -- facts -------------------------------------------------------------------------------------------------


CHANGED: list[dict[str, Any]] = [{"notional": "1500000.01 EUR"}, {"account": "A-101"}, {"side": None}]


@pytest.mark.parametrize("end", [None, Reported.PERFORMED, Reported.ABANDONED])
async def test_ask_again_with_other_facts(seat: Seat, end: Reported | None) -> None:
    """What was said first holds: for the same step, whoever asks and whatever became of the first claim."""
    for changed in CHANGED:
        order = an_order()
        decision = await seat.claim("capture", "tina.trader", order)
        if end is not None:
            await seat.tell(report(seat.desk, decision, end))
        rule = "material_missing" if None in changed.values() else "material_changed"
        await seat.denied(rule, "capture", "tina.trader", order, **changed)
        await seat.denied(rule, "capture", "tomas.trader", order, **changed)


async def test_approve_small_and_execute_large(seat: Seat) -> None:
    """The amount that was approved is the amount that is executed, settled and reconciled."""
    order = an_order()
    await seat.perform("capture", "tina.trader", order)
    await seat.perform("approve", "rita.risk", order)
    await seat.denied("material_changed", "execute", "tina.trader", order, notional="9000000.00 EUR")
    await seat.denied("material_changed", "execute", "tina.trader", order, notional="1500000.00 USD")
    await seat.perform("execute", "tina.trader", order)


async def test_allocate_again_to_other_accounts(seat: Seat) -> None:
    """An allocation does not wait under its claim until it is known whom the price favours: another division
    of the fill takes another claim, and that the first one was given up is on record."""
    order = an_order()
    for step, login in WALK[:3]:
        await seat.perform(step, login, order)
    claimed = await seat.claim("allocate", "mara.middle", order)
    for other in (lines_of("999", "1"), lines_of("600", "400", account="B-{}"), [], None):
        await seat.denied("lines_changed", "allocate", "mara.middle", order, lines=other)
    assert await seat.claim("allocate", "mara.middle", order) != claimed
    await seat.tell(report(seat.desk, claimed, Reported.ABANDONED))
    await seat.claim("allocate", "mara.middle", order, lines=lines_of("999", "1"))


async def test_an_approval_is_for_the_lines_that_were_shown(seat: Seat) -> None:
    """What a supervisor approved of an allocation is who gets what, though no finding names it."""
    order = an_order()
    for step, login in (("capture", "tina.trader"), ("approve", "rita.risk"), ("execute", "hilda.both")):
        await seat.perform(step, login, order)
    answer = await seat.ask("allocate", "hilda.both", order)
    assert [finding["rule"] for finding in answer["findings"]] == ["trade_and_allocate"]
    await seat.approve(answer["review"]["id"])
    other = await seat.ask("allocate", "hilda.both", order, lines=lines_of("999", "1"))
    assert (other["outcome"], other["review"]["id"] != answer["review"]["id"]) == ("review", True)
    await seat.claim("allocate", "hilda.both", order)


async def test_the_second_account_of_a_person(migrated_database_url: str, tmp_path: Path) -> None:
    """A bot's acts are its owner's: it cannot check what its owner made, nor take a fourth step."""
    desk = pressure_desk(tmp_path, migrated_database_url)
    async with running(desk) as service:
        seat = Seat(desk, service)
        assert (await seat.tell(desk.decide(body("capture", "tina.trader", "O-1"))))["decision"]
        await seat.denies("maker_checker", body("approve", "tina.bot", "O-1"))
        for step in ("execute", "allocate"):
            assert (await seat.tell(desk.decide(body(step, "tina.bot", "O-1"))))["decision"]
        await seat.denies("few_hands", body("confirm", "tina.trader", "O-1"))


async def test_a_time_that_is_off(seat: Seat) -> None:
    """Neither back-dated nor post-dated: more than five minutes off is denied, and drives nothing."""
    for minutes in (-60 * 24 * 365, -5.1, 5.1):
        at = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
        await seat.denied("asserted_time_off", "capture", "tina.trader", an_order(), context={"at": at})


ODD = (
    "O-'; --",
    'O-"\\',
    "O-%",
    "O-_",
    "O-ñ€𝛑",
    "O-\u2028",
    "O-\x01",
    "O-\x7f",
    "O " * 100,
    "ſ",
    "[]",
    "null",
    "1",
)


async def test_an_id_that_a_database_might_read_otherwise(seat: Seat) -> None:
    """Whatever characters the chain's id has, its history is found: the step is not given twice."""
    for odd in ODD:
        order = an_order(odd + secrets.token_hex(4))
        await seat.perform("capture", "tina.trader", order)
        await seat.denied("already_performed", "capture", "tomas.trader", order)
        await seat.claim("approve", "rita.risk", order)


# -- the same key again ------------------------------------------------------------------------------------


async def test_replay_after_the_claim_ended(seat: Seat) -> None:
    """A stored permit is repeated to the byte while its claim is live, and never after that."""
    for end in Reported:
        said, token = ask("capture", "tina.trader", an_order()), secrets.token_hex(8)
        first = await seat.service.writer.submit(once(seat.desk, token, said))
        assert await seat.service.writer.submit(once(seat.desk, token, said)) == first
        await seat.tell(report(seat.desk, json.loads(first)["id"], end))
        await seat.refused(once(seat.desk, token, said), "claim_ended")
        assert (await seat.last_entry())["act"] == "decide"


async def test_replay_after_the_claim_expired(migrated_database_url: str, tmp_path: Path) -> None:
    """A claim that nobody reported on ends by itself; its permit is not repeated afterwards."""
    async with timed(tmp_path, migrated_database_url) as (seat, clock):
        said, token = ask("capture", "tina.trader", an_order()), secrets.token_hex(8)
        first = await seat.service.writer.submit(once(seat.desk, token, said))
        clock.now += timedelta(hours=23, minutes=59)
        assert await seat.service.writer.submit(once(seat.desk, token, said)) == first
        clock.now += timedelta(minutes=1)
        await seat.refused(once(seat.desk, token, said), "claim_ended")
        await seat.denied("claim_expired", "capture", "tina.trader", said["resource"])


async def test_the_same_key_with_another_body(seat: Seat) -> None:
    """An Idempotency-Key stands for one body, also while the first one is still waiting."""
    token = secrets.token_hex(8)
    one, other = (once(seat.desk, token, ask("capture", "tina.trader", an_order())) for _ in range(2))
    both = await asyncio.gather(*map(seat.service.writer.submit, (one, other)), return_exceptions=True)
    assert isinstance(both[0], bytes)
    assert isinstance(both[1], ControlsError)
    assert both[1].code == "idempotency_key_reused"
    await seat.refused(
        once(seat.desk, token, ask("capture", "tina.trader", an_order())), "idempotency_key_reused"
    )
    # The key of another caller is another key.
    mine = once(seat.desk, token, ask("capture", "tina.trader", an_order()), key="other")
    assert (await seat.tell(mine))["decision"]


async def test_replay_of_an_amendment(seat: Seat) -> None:
    """A lost answer to an amendment can be had again, until something else happens on the chain."""
    order, token = an_order(), secrets.token_hex(8)
    await seat.perform("capture", "tina.trader", order)
    amend = ask("amend", "tina.trader", order, quantity="1001")
    first = await seat.service.writer.submit(once(seat.desk, token, amend))
    assert json.loads(first)["decision"]
    assert await seat.service.writer.submit(once(seat.desk, token, amend)) == first
    order["properties"]["quantity"] = "1002"
    await seat.claim("amend", "tina.trader", order)
    await seat.refused(once(seat.desk, token, amend), "claim_ended")


# -- amendments --------------------------------------------------------------------------------------------


async def test_an_amendment_after_approval_opens_the_approval_again(seat: Seat) -> None:
    """Small when approved and large when amended: it must be approved anew, as the large order it is."""
    order = an_order(notional=SMALL)
    await seat.perform("capture", "tina.trader", order)
    approval = await seat.perform("approve", "rita.risk", order)
    order["properties"]["notional"] = LARGE
    amended = await seat.claim("amend", "tina.trader", order)
    await seat.denied("not_yet", "execute", "tina.trader", order)
    await seat.refused(report(seat.desk, approval), "already_reopened")
    await seat.refused(report(seat.desk, amended, Reported.ABANDONED), "already_performed")
    answer = await seat.ask("approve", "rita.risk", order)
    assert answer["outcome"] == "review"
    await seat.approve(answer["review"]["id"])
    await seat.perform("approve", "rita.risk", order)
    await seat.denied("material_changed", "execute", "tina.trader", order, notional=SMALL)
    await seat.claim("execute", "tina.trader", order)


async def test_an_amendment_takes_a_claimed_approval_away(seat: Seat) -> None:
    """An approval that is claimed and not yet reported is opened again as well."""
    order = an_order()
    await seat.perform("capture", "tina.trader", order)
    approval = await seat.claim("approve", "rita.risk", order)
    order["properties"]["quantity"] = "999999"
    await seat.claim("amend", "tina.trader", order)
    await seat.refused(report(seat.desk, approval), "already_reopened")
    await seat.denied("not_yet", "execute", "tina.trader", order)


async def test_amend_after_execution(seat: Seat) -> None:
    """Once execution is claimed it is too late to amend."""
    for report_execution in (False, True):
        order = an_order()
        await seat.perform("capture", "tina.trader", order)
        await seat.perform("approve", "rita.risk", order)
        execution = await seat.claim("execute", "tina.trader", order)
        if report_execution:
            await seat.tell(report(seat.desk, execution))
        order["properties"]["notional"] = "1.00 EUR"
        await seat.denied("amend_too_late", "amend", "tina.trader", order)


# -- approvals ---------------------------------------------------------------------------------------------


async def test_an_approval_is_used_once(seat: Seat, logged: list[Any]) -> None:
    """Ending the claim does not give the approval back; nor can two requests of one batch share it."""
    order = an_order(notional=LARGE)
    await seat.approved_capture(order)
    commands = [seat.desk.decide(ask("capture", "tina.trader", order)) for _ in range(5)]
    told = await asyncio.gather(*map(seat.service.writer.submit, commands))
    answers = [json.loads(item) for item in told]
    assert sorted(answer["outcome"] for answer in answers) == ["permit"] + ["review"] * 4
    assert "batch_rolled_back" not in {entry["event"] for entry in logged}, "only the database noticed"
    decision = next(answer["id"] for answer in answers if answer["decision"])
    await seat.tell(report(seat.desk, decision, Reported.ABANDONED))
    again = await seat.ask("capture", "tina.trader", order)
    assert again["outcome"] == "review"
    entry = await seat.last_entry()
    assert (entry["id"], entry["outcome"]) == (again["id"], "review")


async def test_two_services_race_for_one_approval(desk: Desk) -> None:
    """The same from two services at once."""
    order = an_order(notional=LARGE)
    async with running(desk) as first, running(desk) as second:
        await Seat(desk, first).approved_capture(order)
        told = await asyncio.gather(
            *(
                service.writer.submit(desk.decide(ask("capture", "tina.trader", order)))
                for _ in range(10)
                for service in (first, second)
            )
        )
    assert sorted(json.loads(item)["outcome"] for item in told) == ["permit"] + ["review"] * 19


async def test_an_approval_lapses_when_a_fact_changes(seat: Seat) -> None:
    """What was approved is what was shown to the supervisor, not the order's number."""
    for changed in ({"notional": "6000000.01 EUR"}, {"quantity": "1001"}, {"instrument": "ES0000099999"}):
        order = an_order(notional=LARGE)
        await seat.approved_capture(order)
        answer = await seat.ask("capture", "tina.trader", order, **changed)
        assert answer["outcome"] == "review"
        entry = await seat.last_entry()
        assert (entry["id"], entry["outcome"]) == (answer["id"], "review")


async def test_an_approval_is_for_one_person_and_one_action(seat: Seat) -> None:
    """Somebody else cannot use it, and it does not clear the same finding at another step."""
    order = an_order(notional=LARGE)
    await seat.approved_capture(order)
    assert (await seat.ask("capture", "tomas.trader", order))["outcome"] == "review"
    await seat.perform("capture", "tina.trader", order)
    assert (await seat.ask("approve", "rita.risk", order))["outcome"] == "review"


async def test_an_approval_expires(migrated_database_url: str, tmp_path: Path) -> None:
    """A day later it clears nothing any more."""
    async with timed(tmp_path, migrated_database_url) as (seat, clock):
        order, late = an_order(notional=LARGE), an_order(notional=LARGE)
        await seat.approved_capture(order)
        await seat.approved_capture(late)
        clock.now += timedelta(hours=23, minutes=59)
        assert (await seat.ask("capture", "tina.trader", order))["outcome"] == "permit"
        clock.now += timedelta(minutes=1)
        assert (await seat.ask("capture", "tina.trader", late))["outcome"] == "review"
        # A clock that is set back does not bring it back to life.
        clock.now -= timedelta(hours=2)
        assert (await seat.ask("capture", "tina.trader", late))["outcome"] == "review"


# -- supervisors -------------------------------------------------------------------------------------------


async def test_a_supervisor_approves_the_own_request(seat: Seat) -> None:
    """The head of desk is a trader too; what he asks for, somebody else approves."""
    order = an_order(notional=LARGE)
    answer = await seat.ask("capture", "hugo.head", order)
    assert answer["outcome"] == "review"
    for resolution in Resolution:
        await seat.refused(seat.resolution(answer["review"]["id"], "head", resolution), "resolution_refused")
    await seat.approve(answer["review"]["id"])
    assert (await seat.ask("capture", "hugo.head", order))["outcome"] == "permit"


async def test_a_supervisor_who_acted_on_the_chain(seat: Seat) -> None:
    """Who captured the order does not approve what comes later, even if he abandoned the capture."""
    for end in Reported:
        order = an_order(notional=LARGE)
        answer = await seat.ask("capture", "hugo.head", order)
        await seat.approve(answer["review"]["id"])
        await seat.tell(report(seat.desk, await seat.claim("capture", "hugo.head", order), end))
        if end is Reported.ABANDONED:
            answer = await seat.ask("capture", "tina.trader", order)
        else:
            answer = await seat.ask("approve", "rita.risk", order)
        assert answer["outcome"] == "review"
        await seat.refused(seat.resolution(answer["review"]["id"], "head"), "resolution_refused")


async def test_a_supervisor_approves_twice_on_one_chain(seat: Seat) -> None:
    """The earlier approver is a party: the second approval on the chain takes another supervisor."""
    order = an_order(notional=LARGE)
    await seat.approved_capture(order)
    await seat.perform("capture", "tina.trader", order)
    answer = await seat.ask("approve", "rita.risk", order)
    review = answer["review"]["id"]
    await seat.refused(seat.resolution(review, "supervisor1"), "resolution_refused")
    await seat.approve(review, "supervisor2")
    await seat.refused(seat.resolution(review, "supervisor1"), "review_closed")


async def test_two_supervisors_resolve_at_once(seat: Seat) -> None:
    """A case is resolved once, however close the second resolution comes."""
    answer = await seat.ask("capture", "tina.trader", an_order(notional=LARGE))
    both = [
        seat.resolution(answer["review"]["id"], "supervisor1"),
        seat.resolution(answer["review"]["id"], "supervisor2", Resolution.REJECT),
    ]
    told = await asyncio.gather(*map(seat.service.writer.submit, both), return_exceptions=True)
    assert isinstance(told[0], bytes)
    assert isinstance(told[1], ControlsError)
    assert told[1].code == "review_closed"
    assert (await seat.last_entry())["code"] == "review_closed"


async def test_a_key_without_a_person_resolves_nothing(seat: Seat) -> None:
    """A system cannot supervise."""
    answer = await seat.ask("capture", "tina.trader", an_order(notional=LARGE))
    await seat.refused(seat.resolution(answer["review"]["id"], "caller"), "key_not_personal")


async def test_a_supervisor_voids_what_was_performed(migrated_database_url: str, tmp_path: Path) -> None:
    """The case of an expired claim stays open when the step is reported late; voiding it is refused."""
    async with timed(tmp_path, migrated_database_url) as (seat, clock):
        order = an_order()
        decision = await seat.claim("capture", "tina.trader", order)
        clock.now += timedelta(hours=25)
        await seat.tell(SweepExpired(new_id("swp")))
        cases = (await seat.service.queries.reviews(state="open", limit=10, cursor=None))["reviews"]
        assert isinstance(cases, list)
        (case,) = (item for item in cases if isinstance(item, dict))
        assert case["kind"] == "expired"
        await seat.tell(report(seat.desk, decision))
        await seat.refused(seat.resolution(str(case["id"]), "supervisor1"), "claim_settled")
        await seat.tell(seat.resolution(str(case["id"]), "supervisor1", Resolution.REJECT))
        await seat.denied("already_performed", "capture", "tomas.trader", order)


# -- keys and administrators -------------------------------------------------------------------------------


async def test_an_administrator_confirms_the_own_change(seat: Seat) -> None:
    """Neither with the same account nor with another one of the same person; nor without a person."""
    change = DirectoryChange(read_directory("person,name,account,roles\np-90,New One,new.one,trader\n"))
    proposed = await seat.tell(Propose(new_id("chg"), new_id("chg"), seat.desk.key_ids["admin1"], change))
    for key in ("admin1", "admin1_other"):
        entry = await seat.refused(
            Confirm(new_id("chg"), seat.desk.key_ids[key], proposed["change"]), "change_refused"
        )
        assert entry["change"] == proposed["change"]
    confirm = Confirm(new_id("chg"), seat.desk.key_ids["caller"], proposed["change"])
    await seat.refused(confirm, "key_not_personal")
    confirm = Confirm(new_id("chg"), seat.desk.key_ids["supervisor1"], proposed["change"])
    await seat.refused(confirm, "change_refused")
    await seat.denied("unknown_subject", "capture", "new.one", an_order())
    await seat.tell(Confirm(new_id("chg"), seat.desk.key_ids["admin2"], proposed["change"]))
    await seat.claim("capture", "new.one", an_order())
    again = Confirm(new_id("chg"), seat.desk.key_ids["admin2"], proposed["change"])
    await seat.refused(again, "change_done")


async def test_a_key_that_is_revoked_meanwhile(
    migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that has not heard of the revocation asks under the lock, refuses and records it."""
    monkeypatch.setattr(service_module, "WATCH_SECONDS", 3600)
    desk = start_desk(tmp_path, database_url=migrated_database_url)
    async with running(desk) as here, running(desk) as there:
        seat, other = Seat(desk, here), Seat(desk, there)
        order = an_order()
        decision = await seat.claim("capture", "tina.trader", order)
        revocation = KeyRevocation(desk.key_ids["caller"])
        proposed = await other.tell(Propose(new_id("chg"), new_id("chg"), desk.key_ids["admin1"], revocation))
        await other.tell(Confirm(new_id("chg"), desk.key_ids["admin2"], proposed["change"]))
        known = here.state.key(desk.key_ids["caller"])
        assert known is not None
        assert known.revoked_at is None, "this replica has heard of it already"
        with pytest.raises(Unauthenticated):
            await seat.ask("capture", "tina.trader", an_order())
        await seat.refused(desk.decide(ask("approve", "rita.risk", order)), "key_revoked")
        await seat.refused(report(desk, decision), "key_revoked")
    assert audit(desk).refusals() == ["key_revoked"] * 3


async def test_a_key_speaks_for_somebody_else(desk: Desk) -> None:
    """Over HTTP: a subject or an action outside the key's patterns is 403, recorded, and decides nothing."""
    async with running(desk) as service:
        seat = Seat(desk, service)
        transport = httpx2.ASGITransport(create_app(service, settings=desk.settings))
        async with httpx2.AsyncClient(transport=transport, base_url="http://desk") as http:

            async def post(path: str, said: Any, key: str) -> httpx2.Response:
                return await http.post(path, json=said, headers=desk.headers(key))

            allowed = await post("/v1/decisions", ask("capture", "tina.trader"), "traders")
            assert (allowed.status_code, allowed.json()["decision"]) == (200, True)
            for said, code in (
                (ask("capture", "tina.bot"), "subject_not_covered"),
                (ask("approve", "tina.trader"), "action_not_covered"),
                ([ask("capture", "tina.trader"), ask("capture", "rita.risk")], "subject_not_covered"),
            ):
                before = int((await service.queries.checkpoint()).splitlines()[1])
                refused = await post("/v1/decisions", said, "traders")
                assert (refused.status_code, refused.json()["code"]) == (403, code)
                assert int((await service.queries.checkpoint()).splitlines()[1]) == before + 1
                entry = await seat.last_entry()
                assert (entry["kind"], entry["code"], entry["key"]) == (
                    "refusal",
                    code,
                    desk.key_ids["traders"],
                )
            scope = await post(
                f"/v1/decisions/{allowed.json()['id']}/outcome", {"outcome": "performed"}, "traders"
            )
            assert scope.status_code == 403
            assert (await seat.last_entry())["code"] == "scope_missing"
