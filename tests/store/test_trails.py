"""Marks of acts beyond their chain: found by value and person, made for the past too, small and few."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from controls.model.chain import AMEND, ActState, Capacity
from controls.model.trail import Trail
from controls.model.values import microseconds
from controls.store.rows import StoredAct
from controls.store.tables import trail_marks
from controls.store.trails import (
    Mark,
    TrailKey,
    TrailQuery,
    added_marks,
    change_of_trails,
    change_trails,
    value_digest,
)
from controls.store.workspace import Needs, Workspace

from .ledgers import NOON, Ledger, stored_act

KIND = "order_to_settlement"
ACCOUNT = Trail("account", KIND, "order.account", first="capture")
SETTLED = Trail("account", KIND, "order.account", steps=frozenset({"settle"}), first="capture")
ANYBODY = Trail("account.anybody", KIND, "order.account", first="capture", anybody=True)
BEGUN = Trail("resembles", KIND, "order.account", first="capture", anybody=True, latest=True)
WALL = Trail("issuer.sector/issuer.id", KIND, "issuer.sector", part="issuer.id", first="capture")


def an_act(claim: str, account: str | None = "A", **changed: object) -> StoredAct:
    facts = {} if account is None else {"order.account": account}
    return stored_act(claim, material=facts, exclusive=False, **changed)


def at(value: str, person: str = "p1", *, trail: Trail = ACCOUNT) -> TrailKey:
    return TrailKey(trail.name, value_digest(value), "" if trail.anybody else person)


async def found(ledger: Ledger, key: TrailKey, *, since: int = -1, besides: str | None = None) -> list[str]:
    """The claims of the acts that somebody finds there."""
    needs = Needs(trails={TrailQuery(key, since, None if besides is None else value_digest(besides))})
    workspace, _ = await ledger.work(lambda _: None, needs=needs)
    return [item.act.claim for item in workspace.trail(TrailQuery(key, since))]


async def put(ledger: Ledger, acts: Iterable[StoredAct], *trails: Trail) -> None:
    """Add acts one unit of work at a time, each with its chain loaded."""
    for act in acts:
        await ledger.work(
            lambda work, act=act: work.add_act(act, trails),  # type: ignore[misc]
            needs=Needs(chains={(act.kind, act.act.chain)}),
        )


async def test_acts_are_found_by_value_and_person(ledger: Ledger) -> None:
    """A person's acts on all chains of a value, and nobody else's and no other value's."""
    await put(
        ledger,
        [
            an_act("c1"),
            an_act("c2", chain="O-2", index=1),
            an_act("c3", chain="O-3", index=2, person="p2"),
            an_act("c4", "B", chain="O-4", index=3),
        ],
        ACCOUNT,
        ANYBODY,
    )
    assert await found(ledger, at("A")) == ["c1", "c2"]
    assert await found(ledger, at("B")) == ["c4"]
    assert await found(ledger, at("A", "p2")) == ["c3"]
    assert await found(ledger, at("A", trail=ANYBODY)) == ["c1", "c2", "c3"]
    assert await found(ledger, at("C")) == []


async def test_only_so_far_back(ledger: Ledger) -> None:
    """What is not later than asked for is not read."""
    times = [NOON - timedelta(hours=hours) for hours in (3, 2, 1)]
    acts = [an_act(f"c{n}", chain=f"O-{n}", at=time, done_at=time) for n, time in enumerate(times)]
    await put(ledger, acts, ACCOUNT)
    assert await found(ledger, at("A"), since=microseconds(times[1])) == ["c2"]
    assert await found(ledger, at("A"), since=microseconds(times[1]) - 1) == ["c1", "c2"]


async def test_what_is_claimed_is_found_however_far_back(ledger: Ledger) -> None:
    """Until its claim ends; from then on its mark ages, and so does that of whom it was done for."""
    long_ago = NOON - timedelta(days=9)
    await put(
        ledger,
        [
            an_act("c1", at=long_ago, decision="d"),
            an_act("c1:for", at=long_ago, decision="d", person="p2", capacity=Capacity.PRINCIPAL),
        ],
        ACCOUNT,
        BEGUN,
    )
    assert await found(ledger, at("A"), since=microseconds(NOON)) == ["c1"]
    assert await found(ledger, at("A", "p2"), since=microseconds(NOON)) == ["c1:for"]
    # What chains may be the same as is a matter of when they began.
    begun = at("A", trail=BEGUN)
    assert await found(ledger, begun, since=microseconds(long_ago)) == []
    assert await found(ledger, begun, since=microseconds(long_ago) - 1) == ["c1", "c1:for"]
    workspace, _ = await ledger.work(
        lambda work: work.change_act("c1", state=ActState.ABANDONED), needs=Needs(chains={(KIND, "O-1")})
    )
    for person, claim in (("p1", "c1"), ("p2", "c1:for")):
        assert await found(ledger, at("A", person), since=workspace.at - 1) == [claim]
        assert await found(ledger, at("A", person), since=workspace.at) == []
    assert await found(ledger, begun, since=microseconds(long_ago) - 1) == ["c1", "c1:for"]


async def test_other_parts_only(ledger: Ledger) -> None:
    """Behind a wall only acts on other datasets of the class are read."""

    def on(claim: str, dataset: str, chain: str) -> StoredAct:
        facts = {"issuer.sector": "oil", "issuer.id": dataset}
        return stored_act(claim, chain=chain, material=facts, exclusive=False)

    await put(ledger, [on("c1", "X", "O-1"), on("c2", "Y", "O-2"), on("c3", "X", "O-3")], WALL)
    oil = at("oil", trail=WALL)
    assert await found(ledger, oil, besides="X") == ["c2"]
    assert await found(ledger, oil, besides="Y") == ["c1", "c3"]
    assert await found(ledger, oil, besides="Z") == ["c1", "c2", "c3"]


async def test_an_amendment_moves_a_chain_to_both(ledger: Ledger) -> None:
    """A chain that was amended from one account to another is one of both, with all its acts."""
    await put(
        ledger,
        [
            an_act("c1"),
            an_act("c2", "B", step=AMEND, index=1, person="p2"),
            an_act("c3", "B", step="settle", index=2),
            an_act("c4", None, step="reconcile", index=3, person="p2"),
        ],
        ACCOUNT,
    )
    for account in ("A", "B"):
        assert await found(ledger, at(account)) == ["c1", "c3"]
        assert await found(ledger, at(account, "p2")) == ["c2", "c4"]


async def test_a_batch_sees_its_own_marks(ledger: Ledger) -> None:
    """Later commands of a unit of work find what earlier ones did, and what became of it."""
    await put(ledger, [an_act("c1")], ACCOUNT)

    def do(workspace: Workspace) -> None:
        workspace.add_act(an_act("c2", chain="O-2", index=1), [ACCOUNT])
        workspace.change_act("c2", state=ActState.ABANDONED)
        acts = [(item.act.claim, item.act.state) for item in workspace.trail(TrailQuery(at("A"), -1))]
        assert acts == [("c1", ActState.CLAIMED), ("c2", ActState.ABANDONED)]

    await ledger.work(do, needs=Needs(trails={TrailQuery(at("A"), -1)}))
    assert await found(ledger, at("A")) == ["c1", "c2"]


async def test_a_long_value_is_a_short_mark(ledger: Ledger) -> None:
    """Values of any length are looked up, and told apart to the last character."""
    await put(ledger, [an_act("c1", "x" * 100_000), an_act("c2", "x" * 99_999, chain="O-2")], ACCOUNT)
    assert await found(ledger, at("x" * 100_000)) == ["c1"]


@pytest.mark.parametrize("page", [1, 2, 3, 1_000])
async def test_a_new_trail_has_its_whole_past(ledger: Ledger, page: int) -> None:
    """What a release brings is marked from the acts so far, in whole chains whatever the size of a page."""
    acts = [
        an_act("c1"),
        an_act("c2", "B", step=AMEND, index=1),
        an_act("c3", "B", step="settle", index=2, person="p2"),
        an_act("c4", chain="O-2", index=3),
        an_act("c5", "B", chain="O-3", step="settle", index=4),
        an_act("c6", chain="O-4", kind="another_kind", index=5),
    ]
    await put(ledger, acts)
    async with ledger.database.write() as connection:
        await change_trails(connection, tenant="t", begun=[ACCOUNT], ended=[], page=page)
    assert await found(ledger, at("A")) == ["c1", "c2", "c4"]
    assert await found(ledger, at("B")) == ["c1", "c2", "c5"]
    assert await found(ledger, at("B", "p2")) == ["c3"]
    async with ledger.database.write() as connection:
        await change_trails(connection, tenant="t", begun=[SETTLED], ended=[ACCOUNT], page=page)
    assert await found(ledger, at("B")) == ["c5"]
    async with ledger.database.write() as connection:
        await change_trails(connection, tenant="t", begun=[], ended=[SETTLED], page=page)
    async with ledger.database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(trail_marks))).scalar_one() == 0


def test_what_begins_and_what_ends() -> None:
    """A trail with other steps is made anew; how far back it is looked up changes nothing that is kept."""
    assert change_of_trails([ACCOUNT], [ACCOUNT, WALL]) == ([WALL], [])
    assert change_of_trails([ACCOUNT, WALL], [SETTLED]) == ([SETTLED], [ACCOUNT, WALL])
    longer = Trail("account", KIND, "order.account", first="capture", within=timedelta(1))
    assert change_of_trails([ACCOUNT], [longer]) == ([], [])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["capture", "settle", AMEND]),
            st.sampled_from(["p1", "p2"]),
            st.sampled_from(["A", "B", None]),
            st.sampled_from([Capacity.ACTOR, Capacity.ACTOR, Capacity.APPROVER]),
        ),
        max_size=6,
    ),
    st.sampled_from([ACCOUNT, SETTLED, ANYBODY]),
)
def test_an_act_counts_for_every_value_of_its_chain(
    acts: list[tuple[str, str, str | None, Capacity]], trail: Trail
) -> None:
    """However the acts came, the marks are each act of the steps at each value of its chain, once; what was
    approved before the chain began somewhere else is at its own."""
    chain = [
        an_act(f"c{number}", account, step=step, person=person, index=number, capacity=capacity)
        for number, (step, person, account, capacity) in enumerate(acts)
    ]
    begun = next((number for number, act in enumerate(acts) if act[3] is Capacity.ACTOR), None)
    alone = {
        number
        for number, (_, _, account, _) in enumerate(acts)
        if begun is None or (number < begun and account not in (None, acts[begun][2]))
    }
    made: list[Mark] = []
    for number, stored in enumerate(chain):
        made += added_marks(trail, earlier=chain[:number], new=stored)
    values = {act[2] for number, act in enumerate(acts) if number not in alone}
    expected = {
        (value_digest(value), "" if trail.anybody else stored.act.person, stored.act.claim)
        for number, stored in enumerate(chain)
        for value in ({acts[number][2]} if number in alone else values)
        if value is not None
        if trail.concerns("capture" if stored.act.step == AMEND else stored.act.step)
    }
    assert {(mark.key.value, mark.key.person, mark.claim) for mark in made} == expected
    assert len(made) == len(expected)
