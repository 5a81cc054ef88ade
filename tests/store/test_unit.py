"""`controls.store.unit` and `workspace`: one unit of work is read, done and written under one lock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text

from controls.ledger.envelope import EntryKind, parse_entry
from controls.ledger.merkle import Frontier, leaf_hash
from controls.model.chain import ActState
from controls.model.decision import Approval, ClearedFinding
from controls.model.errors import NotFound
from controls.store.database import Database, WriteRefused
from controls.store.guards import self_test
from controls.store.ledger_reads import entry_count, iterate_entries
from controls.store.rows import Change, Head, ReviewCase
from controls.store.unit import create_head, forget_answers, lock_head, recorded
from controls.store.workspace import Needs, StoredAnswer, Workspace
from tests.store.ledgers import NOON, ORIGIN, RELEASE, Ledger, stored_act, verify_note

KIND = "order_to_settlement"
CHAIN = Needs(chains={(KIND, "O-1")})
FINDINGS = (ClearedFinding("big_order", "1", "sha256:2"),)
CASE = ReviewCase(
    id="rev_1",
    kind="hold",
    state="open",
    decision="dec_1",
    claim="",
    person="p1",
    action="execute",
    resource_type="order",
    resource_id="O-1",
    chain_kind=KIND,
    material="sha256:1",
    findings=FINDINGS,
    reasons=({"rule": "big_order", "title": "Tamaño"},),
    opened_at=5,
)
APPROVAL = Approval(
    id="app_1",
    review="rev_1",
    approver="p9",
    person="p1",
    action="execute",
    resource_type="order",
    resource_id="O-1",
    material="sha256:1",
    findings=FINDINGS,
    expires_at=NOON,
)


def nothing(workspace: Workspace) -> None:
    """A unit of work that only reads."""


# -- The lock ---------------------------------------------------------------------------------------------


async def test_a_tenant_without_a_ledger_is_told_to_start_one(database: Database) -> None:
    """The message says which command starts it."""

    async def lock() -> None:
        async with database.write() as connection:
            await lock_head(connection, "t")

    with pytest.raises(NotFound) as missing:
        await lock()
    assert "controls init" in missing.value.help


async def test_a_ledger_is_started_once(ledger: Ledger) -> None:
    """A second start is refused by the database."""
    await ledger.append(2)
    with pytest.raises(WriteRefused):
        await ledger.start()
    async with ledger.database.read() as connection:
        assert await entry_count(connection, "t") == 2


async def test_now_is_the_time_of_the_database(ledger: Ledger) -> None:
    """Without a clock of its own, a unit of work has the real time, in UTC."""
    workspace, _ = await ledger.work(nothing)
    assert abs(workspace.now - datetime.now(UTC)) < timedelta(seconds=5)
    assert workspace.now.tzinfo is UTC


async def test_time_never_goes_back(ledger: Ledger) -> None:
    """A clock that is set back gives entries the time of the last one."""
    late, _ = await ledger.work(lambda w: w.append(EntryKind.KEY, "a", {}), clock=lambda: NOON)
    early, _ = await ledger.work(
        lambda w: w.append(EntryKind.KEY, "b", {}), clock=lambda: NOON - timedelta(days=1)
    )
    assert late.now == early.now == NOON
    assert [parse_entry(data)["at"] for data in ledger.data] == ["2026-03-02T12:00:00.000000Z"] * 2


@pytest_asyncio.fixture
async def replicas(migrated_database_url: str) -> AsyncIterator[list[Ledger]]:
    """Four services on one database."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(4):
            database = Database(migrated_database_url)
            stack.push_async_callback(database.close)
            found.append(Ledger(database, seed=number))
        await found[0].start()
        yield found


async def test_writers_on_many_replicas_make_one_ledger(replicas: list[Ledger]) -> None:
    """Batches of several services at once get contiguous indexes, and the tree is that of all of them."""

    async def write(ledger: Ledger) -> None:
        for count in (1, 40, 7, 60, 2):
            await ledger.append(count)

    await asyncio.gather(*(write(ledger) for ledger in replicas))
    async with replicas[0].database.read() as connection:
        await self_test(connection, "t", verify_note=verify_note, kept_checkpoint=replicas[1].checkpoint)
        rows = [row async for row in iterate_entries(connection, "t", start=0, end=1_000)]
    assert [row.index for row in rows] == list(range(440))
    assert {bytes(row.bytes) for row in rows} == {data for ledger in replicas for data in ledger.data}
    assert [row.at for row in rows] == sorted(row.at for row in rows)


async def test_tenants_do_not_meet(ledger: Ledger) -> None:
    """Each tenant has its own indexes and tree."""
    other = await Ledger(ledger.database, tenant="u", seed=8).start()
    for count in (3, 255):
        await ledger.append(count)
        await other.append(count + 10)
    async with ledger.database.read() as connection:
        for each in (ledger, other):
            await self_test(connection, each.tenant, verify_note=verify_note, kept_checkpoint=each.checkpoint)
        assert await entry_count(connection, "t") == 258
        assert await entry_count(connection, "u") == 278


# -- Entries ----------------------------------------------------------------------------------------------


async def test_an_entry_says_where_it_belongs(ledger: Ledger) -> None:
    """The envelope holds ledger, kind, id, time, release and directory; the columns agree with it."""

    def do(workspace: Workspace) -> None:
        index = workspace.append(EntryKind.DECISION, "dec_1", {"outcome": "deny"}, chain="O-1", person="p1")
        assert index == 0 == workspace.next_index - 1

    workspace, sealed = await ledger.work(do)
    entry = parse_entry(workspace.entries[0].data)
    assert entry["ledger"] == ORIGIN
    assert (entry["kind"], entry["id"], entry["outcome"]) == ("decision", "dec_1", "deny")
    assert (entry["release"], entry["directory"]) == (RELEASE, -1)
    async with ledger.database.read() as connection:
        (row,) = [row async for row in iterate_entries(connection, "t", start=0, end=1)]
        assert (row.id, row.kind, row.chain, row.person, row.at) == (
            *("dec_1", "decision", "O-1", "p1", workspace.at),
        )
        assert bytes(row.leaf) == leaf_hash(bytes(row.bytes)) == sealed.tree.root
        assert await recorded(connection, "t", ["dec_0", "dec_1"])
        assert not await recorded(connection, "t", ["dec_0"])
        assert not await recorded(connection, "u", ["dec_1"])


async def test_private_values_are_not_in_the_entry(ledger: Ledger) -> None:
    """The bytes hold commitments; values and salts are in the disclosure alone."""

    def do(workspace: Workspace) -> None:
        hidden, opened = workspace.conceal({"subject.name": "Ana Ñuñez"})
        workspace.append(EntryKind.DECISION, "dec_1", {"hidden": hidden}, disclosure=opened)

    await ledger.work(do)
    async with ledger.database.read() as connection:
        (row,) = [row async for row in iterate_entries(connection, "t", start=0, end=1)]
    assert "Ñuñez".encode() not in bytes(row.bytes)
    assert "subject.name" in json.loads(bytes(row.bytes))["hidden"]
    assert "Ana Ñuñez" in row.disclosure


async def test_an_id_is_recorded_once(ledger: Ledger) -> None:
    """A unit of work that would record an id again is undone as a whole."""
    await ledger.work(lambda w: w.append(EntryKind.KEY, "key_1", {}))
    with pytest.raises(WriteRefused):
        await ledger.work(
            lambda w: (w.append(EntryKind.KEY, "key_2", {}), w.append(EntryKind.KEY, "key_1", {}))
        )
    async with ledger.database.read() as connection:
        assert await entry_count(connection, "t") == 1
        await self_test(connection, "t", verify_note=verify_note, kept_checkpoint=None)


async def test_what_is_in_force_is_kept_with_the_head(ledger: Ledger) -> None:
    """A new directory, new keys and a new release are what the next unit of work sees."""

    def do(workspace: Workspace) -> None:
        index = workspace.append(EntryKind.DIRECTORY, "dir_1", {})
        workspace.set_head(directory_index=index, keys_index=index, release="sha256:new")

    await ledger.work(do)
    head = (await ledger.work(nothing))[0].head
    assert (head.directory_index, head.keys_index, head.release) == (0, 0, "sha256:new")
    assert head.frontier.size == 1


# -- Acts -------------------------------------------------------------------------------------------------


async def test_acts_come_back_as_they_were(ledger: Ledger) -> None:
    """Every field survives the way through the database, in ledger order."""
    second = stored_act("c2", step="approve", person="p2", index=1, exclusive=False, voting=True)
    first = stored_act("c1", index=0, case="rev_1", state=ActState.PERFORMED)
    elsewhere = stored_act("c3", chain="O-2", index=2)

    def do(workspace: Workspace) -> None:
        for act in (second, first, elsewhere):
            workspace.add_act(act)
        assert [act.claim for act in workspace.history(KIND, "O-1").acts] == ["c1", "c2"]

    await ledger.work(do)
    workspace, _ = await ledger.work(nothing, needs=CHAIN)
    assert workspace.history(KIND, "O-1").acts == (first.act, second.act)
    assert workspace.claims == {"c1": first, "c2": second}
    assert workspace.history(KIND, "O-9").acts == ()


async def test_a_changed_act_is_seen_at_once_and_afterwards(ledger: Ledger) -> None:
    """The state of a claim changes for later commands of the batch, and in the database."""
    await ledger.work(lambda w: w.add_act(stored_act("c1")))

    def perform(workspace: Workspace) -> None:
        workspace.change_act("c1", state=ActState.PERFORMED)
        workspace.change_act("c1", case="rev_1")
        assert workspace.history(KIND, "O-1").acts[0].state is ActState.PERFORMED

    then, _ = await ledger.work(perform, needs=CHAIN)
    workspace, _ = await ledger.work(nothing, needs=CHAIN)
    told = stored_act("c1", state=ActState.PERFORMED, case="rev_1")
    assert workspace.claims["c1"] == replace(told, act=replace(told.act, done_at=then.now))


async def test_a_person_has_one_live_vote(ledger: Ledger) -> None:
    """On a step of several votes, the database refuses a second live claim of the same person only."""
    vote = {"exclusive": False, "voting": True}
    await ledger.work(lambda w: w.add_act(stored_act("c1", **vote)))
    await ledger.work(lambda w: w.add_act(stored_act("c2", person="p2", **vote)))
    with pytest.raises(WriteRefused):
        await ledger.work(lambda w: w.add_act(stored_act("c3", **vote)))
    await ledger.work(lambda w: w.change_act("c1", state=ActState.ABANDONED), needs=CHAIN)
    await ledger.work(lambda w: w.add_act(stored_act("c4", **vote)))


@pytest.mark.parametrize("held", [ActState.CLAIMED, ActState.PERFORMED])
async def test_a_step_has_one_live_claim(ledger: Ledger, held: ActState) -> None:
    """Even if everything above were wrong, the database refuses a second live claim of a step."""
    await ledger.work(lambda w: w.add_act(stored_act("c1", state=held)))
    for other in ("c2", "c3"):
        with pytest.raises(WriteRefused):
            await ledger.work(lambda w, other=other: w.add_act(stored_act(other, person="p2")))  # type: ignore[misc]


async def test_a_step_that_repeats_has_many(ledger: Ledger) -> None:
    """The backstop only knows steps that do not repeat; ended claims and other steps do not count."""

    def do(workspace: Workspace) -> None:
        for number in range(2):
            workspace.add_act(stored_act(f"r{number}", exclusive=False))
            workspace.add_act(stored_act(f"e{number}", state=ActState.ABANDONED))
            workspace.add_act(stored_act(f"s{number}", step=f"step{number}"))
            workspace.add_act(stored_act(f"k{number}", kind=f"kind{number}"))

    await ledger.work(do)
    workspace, _ = await ledger.work(nothing, needs=CHAIN)
    assert len(workspace.history(KIND, "O-1").acts) == 6


async def test_a_step_that_is_freed_can_be_taken_in_the_same_batch(ledger: Ledger) -> None:
    """One command ends a claim, the next takes the step: no constraint stands in the way."""
    await ledger.work(lambda w: w.add_act(stored_act("c1")))

    def do(workspace: Workspace) -> None:
        workspace.change_act("c1", state=ActState.ABANDONED)
        workspace.add_act(stored_act("c2", person="p2", index=1))

    await ledger.work(do, needs=CHAIN)
    workspace, _ = await ledger.work(nothing, needs=CHAIN)
    assert [act.state for act in workspace.history(KIND, "O-1").acts] == [
        ActState.ABANDONED,
        ActState.CLAIMED,
    ]


async def test_expired_claims_are_found_once(ledger: Ledger) -> None:
    """A live claim past its time, without a case of its own, is found; all others are not."""

    def do(workspace: Workspace) -> None:
        for claim, fields in {
            "old": {"valid_until": NOON - timedelta(seconds=1)},
            "cased": {"valid_until": NOON - timedelta(seconds=1), "case": "rev_1"},
            "done": {"valid_until": NOON - timedelta(seconds=1), "state": ActState.PERFORMED},
            "new": {"valid_until": NOON + timedelta(seconds=1)},
        }.items():
            workspace.add_act(stored_act(claim, step=claim, **fields))

    await ledger.work(do, clock=lambda: NOON)
    sweep = Needs(expired_before_now=True)
    workspace, _ = await ledger.work(
        lambda w: w.change_act("old", case="rev_2"), needs=sweep, clock=lambda: NOON
    )
    assert [item.act.claim for item in workspace.expired] == ["old"]
    workspace, _ = await ledger.work(nothing, needs=sweep, clock=lambda: NOON)
    assert workspace.expired == []


# -- Reviews, approvals, changes, answers -------------------------------------------------------------------


async def test_reviews_and_approvals_come_back_as_they_were(ledger: Ledger) -> None:
    """By resource while they are open, by id afterwards; an approval says whether it was used."""

    def do(workspace: Workspace) -> None:
        workspace.add_review(CASE)
        workspace.add_review(replace(CASE, id="rev_2"))
        workspace.add_approval(APPROVAL)

    await ledger.work(do)
    needs = Needs(resources={("order", "O-1")})

    def resolve(workspace: Workspace) -> None:
        assert workspace.reviews_for("order", "O-1") == (CASE, replace(CASE, id="rev_2"))
        assert workspace.approvals_for("order", "O-1") == (APPROVAL,)
        workspace.change_review(
            replace(CASE, state="approved", resolved_at=9, resolved_by="p9", resolution="res_1")
        )
        workspace.use_approval("app_1", "dec_2")
        assert workspace.approvals_for("order", "O-1")[0].used

    await ledger.work(resolve, needs=needs)
    workspace, _ = await ledger.work(nothing, needs=needs)
    assert [case.id for case in workspace.reviews_for("order", "O-1")] == ["rev_2"]
    assert workspace.approvals_for("order", "O-1") == (replace(APPROVAL, used=True),)
    workspace, _ = await ledger.work(nothing, needs=Needs(reviews={"rev_1"}))
    assert workspace.reviews["rev_1"].resolved_by == "p9"


async def test_an_approval_is_used_once(ledger: Ledger) -> None:
    """A second use is refused by the database, whatever the code above thinks."""
    await ledger.work(lambda w: w.add_approval(APPROVAL))
    needs = Needs(resources={("order", "O-1")})
    await ledger.work(lambda w: w.use_approval("app_1", "dec_1"), needs=needs)
    with pytest.raises(WriteRefused):
        await ledger.work(lambda w: w.use_approval("app_1", "dec_2"), needs=needs)


async def test_a_review_brings_its_chain(ledger: Ledger) -> None:
    """Who resolves a case must be no party to the chain, so its history is loaded too."""
    await ledger.work(lambda w: (w.add_review(CASE), w.add_act(stored_act("c1"))))
    workspace, _ = await ledger.work(nothing, needs=Needs(reviews={"rev_1"}))
    assert workspace.history(KIND, "O-1").parties() == {"p1"}


async def test_a_decision_brings_its_chain(ledger: Ledger) -> None:
    """Who reports an outcome names the decision; its entry and the chain's history are loaded."""

    def do(workspace: Workspace) -> None:
        workspace.append(EntryKind.DECISION, "dec_1", {"chain": {"kind": KIND, "id": "O-1"}}, chain="O-1")
        workspace.add_act(stored_act("c1"))

    await ledger.work(do)
    workspace, _ = await ledger.work(nothing, needs=Needs(decisions={"dec_1", "dec_2"}))
    assert set(workspace.decisions) == {"dec_1"}
    assert workspace.decisions["dec_1"]["index"] == 0
    assert len(workspace.history(KIND, "O-1").acts) == 1


async def test_changes_come_back_as_they_were(ledger: Ledger) -> None:
    """A proposed change waits for its second administrator, and is confirmed once."""
    change = Change("chg_1", "directory", "proposed", "two persons", "{}", "p1", 5)
    await ledger.work(lambda w: w.add_change(change))
    confirmed = replace(change, state="confirmed", confirmed_by="p2", confirmed_at=6)

    def confirm(workspace: Workspace) -> None:
        assert workspace.changes["chg_1"] == change
        workspace.change_change(confirmed)

    needs = Needs(changes={"chg_1"})
    await ledger.work(confirm, needs=needs)
    assert (await ledger.work(nothing, needs=needs))[0].changes["chg_1"] == confirmed


async def test_answers_are_kept_to_the_byte_and_forgotten_in_time(ledger: Ledger) -> None:
    """A stored answer brings the claims it was given for, and goes when its time is over."""
    token = ("key_1", "/v1/decisions", "abc")
    answer = StoredAnswer(b"\x00body", b"answer\xff", ("c1",), 100)

    def do(workspace: Workspace) -> None:
        workspace.add_act(stored_act("c1"))
        workspace.remember(token, answer)

    await ledger.work(do)
    needs = Needs(tokens={token, ("key_2", "/v1/decisions", "abc")})
    workspace, _ = await ledger.work(nothing, needs=needs)
    assert workspace.answers == {token: answer}
    assert set(workspace.claims) == {"c1"}
    for before, left in ((100, 1), (101, 0)):
        async with ledger.database.write() as connection:
            await forget_answers(connection, "t", before=before)
        assert len((await ledger.work(nothing, needs=needs))[0].answers) == left


async def test_nothing_is_written_when_a_later_write_fails(ledger: Ledger) -> None:
    """An administration's write that fails takes entries, acts and head with it."""
    await ledger.append(1)

    async def fail(connection: object) -> None:
        raise RuntimeError("not this time")

    def do(workspace: Workspace) -> None:
        workspace.append(EntryKind.KEY, "key_1", {})
        workspace.add_act(stored_act("c1"))
        workspace.later(fail)

    with pytest.raises(RuntimeError, match="not this time"):
        await ledger.work(do)
    async with ledger.database.read() as connection:
        assert await entry_count(connection, "t") == 1
        assert (await connection.execute(text("SELECT count(*) FROM acts"))).scalar_one() == 0
        await self_test(connection, "t", verify_note=verify_note, kept_checkpoint=ledger.checkpoint)


async def test_a_head_may_start_with_what_is_in_force(database: Database) -> None:
    """What `create_head` is given is what the first unit of work sees."""
    head = Head("t", ORIGIN, Frontier(), 7, 1, 2, RELEASE)
    async with database.write() as connection:
        await create_head(connection, head)
    async with database.write() as connection:
        assert (await lock_head(connection, "t"))[0] == head
