"""The database refuses acts that pass the limits of the release in force, whoever writes; and no others."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from controls.duties.backstop import step_limits
from controls.duties.constraints import violation, with_built_in
from controls.model.chain import AMEND, ActState, Capacity, ChainHistory, ChainKind
from controls.model.duty import Constraint, ConstraintKind, StepLimit
from controls.model.errors import VerificationFailed
from controls.model.finding import Effect
from controls.store.database import Database, WriteRefused
from controls.store.limits import keep_limits
from controls.store.merging import unite
from controls.store.migrate import open_engine
from controls.store.rows import StoredAct
from controls.store.tables import acts, duty_limits, heads, merged_persons
from controls.store.workspace import Needs
from tests.duties.builders import a_constraint, a_kind, a_step, asking, facts_of

from .ledgers import RELEASE, Ledger, stored_act

ALL = list(HealthCheck)
KIND = a_kind(a_step("capture"), a_step("approve"), a_step("settle"), name="order_to_settlement")
APART = a_constraint(ConstraintKind.SEPARATE, "approve", "settle", name="apart", chain=KIND.id, absolute=True)
LIMITS = step_limits([APART], chains=[KIND])


def an_act(claim: str, step: str, person: str = "p1", **more: object) -> StoredAct:
    return stored_act(claim, step=step, person=person, **({"exclusive": False} | more))


async def limit(ledger: Ledger, limits: Iterable[StepLimit] = LIMITS, *, release: str = RELEASE) -> None:
    async with ledger.database.write() as connection:
        await keep_limits(connection, tenant=ledger.tenant, release=release, limits=limits)


async def put(ledger: Ledger, *added: StoredAct) -> None:
    """Write acts in one unit of work, past everything that decides."""
    chains = {(act.kind, act.act.chain) for act in added}
    await ledger.work(lambda work: [work.add_act(act) for act in added], needs=Needs(chains=chains))


async def stored(ledger: Ledger) -> list[str]:
    async with ledger.database.read() as connection:
        return list((await connection.execute(select(acts.c.claim).order_by(acts.c.claim))).scalars())


# -- What is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(ActState))
@pytest.mark.parametrize("capacity", list(Capacity))
async def test_nobody_handles_a_whole_chain(ledger: Ledger, state: ActState, capacity: Capacity) -> None:
    """The act that would make it whole is refused, whatever became of the others, with its unit of work."""
    await limit(ledger, step_limits((), chains=[KIND]))
    await put(ledger, an_act("c1", "capture", state=state, capacity=capacity), an_act("c2", "approve"))
    await put(ledger, an_act("c3", "settle", "p2"), an_act("c4", "settle", chain="O-2"))
    with pytest.raises(WriteRefused, match="too many steps"):
        await put(ledger, an_act("c5", "settle", index=1), an_act("c6", "capture", "p3", chain="O-3"))
    assert await stored(ledger) == ["c1", "c2", "c3", "c4"]


async def test_steps_are_kept_apart(ledger: Ledger) -> None:
    """Either first, within one unit of work as well."""
    await limit(ledger)
    await put(ledger, an_act("c1", "settle"), an_act("c2", "capture"), an_act("c3", "settle"))
    for refused in (
        [an_act("c4", "approve")],
        [an_act("c5", "approve", "p2"), an_act("c6", "settle", "p2")],
    ):
        with pytest.raises(WriteRefused, match="too many steps"):
            await put(ledger, *refused)
    assert await stored(ledger) == ["c1", "c2", "c3"]


async def test_an_amendment_counts_as_an_act_on_the_first_step(ledger: Ledger) -> None:
    """Asked and counted."""
    await limit(ledger, step_limits((), chains=[KIND]))
    await put(ledger, an_act("c1", AMEND), an_act("c2", "settle"))
    await put(ledger, an_act("c3", "settle", "p2"), an_act("c4", "approve", "p2"))
    for number, (step, person) in enumerate([("approve", "p1"), (AMEND, "p2"), ("capture", "p2")]):
        with pytest.raises(WriteRefused):
            await put(ledger, an_act(f"d{number}", step, person))


async def test_limits_are_those_of_the_release_in_force(ledger: Ledger) -> None:
    """Another release's, another kind's and another tenant's say nothing."""
    await limit(ledger, release="sha256:other")
    await limit(ledger, [replace(item, kind="another") for item in LIMITS])
    async with ledger.database.write() as connection:
        await keep_limits(connection, tenant="another", release=RELEASE, limits=LIMITS)
    await put(ledger, *(an_act(f"c{n}", step.id) for n, step in enumerate(KIND.steps)))
    async with ledger.database.write() as connection:
        await connection.execute(update(heads).values(release="sha256:other"))
    with pytest.raises(WriteRefused):
        await put(ledger, an_act("c9", "settle"))


async def test_nobody_acts_as_a_person_who_was_found_to_be_another(ledger: Ledger) -> None:
    """The acts of both count together, and new ones are the survivor's; only a merge moves an act."""
    await limit(ledger)
    await put(ledger, an_act("c1", "approve", "p1"))
    with pytest.raises(WriteRefused, match="stays what it is"):
        async with ledger.database.write() as connection:
            await unite(connection, ledger.tenant, merged="p1", survivor="p2")
    async with ledger.database.write() as connection:
        merged = {"tenant": ledger.tenant, "person": "p1", "survivor": "p2"}
        await connection.execute(insert(merged_persons), [merged])
        await unite(connection, ledger.tenant, merged="p1", survivor="p2")
    with pytest.raises(WriteRefused, match="found to be another"):
        await put(ledger, an_act("c2", "settle", "p1"))
    with pytest.raises(WriteRefused, match="too many steps"):
        await put(ledger, an_act("c3", "settle", "p2"))


async def besides(ledger: Ledger) -> dict[str, tuple[str, str]]:
    query = select(acts.c.claim, acts.c.person, acts.c.beside)
    async with ledger.database.read() as connection:
        return {row.claim: (row.person, row.beside) for row in await connection.execute(query)}


async def test_for_whom_an_act_was_done_stays_as_it_is(ledger: Ledger) -> None:
    """Neither forgotten nor made somebody else's, but by a merge: of the other person, or of the two."""
    first, other = an_act("c1", "approve", "p1"), an_act("c2", "approve", "p4", chain="O-2")
    await put(ledger, *(replace(item, act=replace(item.act, beside="p2")) for item in (first, other)))
    for statement in ("beside = ''", "beside = 'p3'", "beside = person", "beside = 'p1', person = 'p2'"):
        with pytest.raises(WriteRefused, match="stays what it is"):
            async with ledger.database.write() as connection:
                await connection.exec_driver_sql(f"UPDATE acts SET {statement} WHERE claim = 'c1'")
    with pytest.raises(WriteRefused, match="stays what it is"):
        async with ledger.database.write() as connection:
            await unite(connection, ledger.tenant, merged="p2", survivor="p1")
    async with ledger.database.write() as connection:
        merged = {"tenant": ledger.tenant, "person": "p2", "survivor": "p1"}
        await connection.execute(insert(merged_persons), [merged])
        await unite(connection, ledger.tenant, merged="p2", survivor="p1")
    assert await besides(ledger) == {"c1": ("p1", ""), "c2": ("p4", "p1")}
    gone = an_act("c3", "settle", "p5")
    with pytest.raises(WriteRefused, match="found to be another"):
        await put(ledger, replace(gone, act=replace(gone.act, beside="p2")))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE acts SET step = 'capture'",
        "UPDATE acts SET person = 'p9'",
        "UPDATE acts SET beside = 'p9'",
        "UPDATE acts SET beside = person",
        "UPDATE acts SET chain = 'O-9'",
        "UPDATE acts SET kind = 'other'",
        "UPDATE acts SET tenant = 'other'",
        "UPDATE acts SET claim = 'other'",
        "UPDATE acts SET exclusive = true",
        "UPDATE acts SET capacity = 'approver'",
        "UPDATE acts SET at = at - 1",
        "UPDATE acts SET done_at = at - 1",
        "DELETE FROM acts",
        "DELETE FROM acts WHERE claim = 'c1'",
    ],
)
async def test_history_cannot_be_washed(ledger: Ledger, statement: str) -> None:
    """An act neither goes away nor becomes another; what becomes of it may change."""
    await put(ledger, an_act("c1", "approve"))
    with pytest.raises(WriteRefused):
        async with ledger.database.write() as connection:
            await connection.exec_driver_sql(statement)
    async with ledger.database.write() as connection:
        await connection.exec_driver_sql("UPDATE acts SET state = 'abandoned', \"case\" = 'rev_1'")
    assert await stored(ledger) == ["c1"]


async def test_when_an_act_was_done_is_said_once(ledger: Ledger) -> None:
    """After it was claimed, and for good."""
    await put(ledger, an_act("c1", "approve"))
    async with ledger.database.write() as connection:
        await connection.exec_driver_sql("UPDATE acts SET state = 'performed', done_at = at + 5")
    for moment in ("at", "at + 4", "at + 6", "NULL"):
        with pytest.raises(WriteRefused):
            async with ledger.database.write() as connection:
                await connection.exec_driver_sql(f"UPDATE acts SET done_at = {moment}")
    async with ledger.database.write() as connection:
        await connection.exec_driver_sql("UPDATE acts SET state = 'void', done_at = at + 5")
    async with ledger.database.read() as connection:
        assert (await connection.execute(select(acts.c.done_at - acts.c.at))).scalar_one() == 5


@pytest.mark.parametrize("action", ["REPLACE INTO", "INSERT OR REPLACE INTO"])
async def test_an_act_is_not_replaced(migrated_sqlite_url: str, action: str) -> None:
    """Neither by its claim nor through the step that it holds."""
    database = Database(migrated_sqlite_url)
    try:
        ledger = await Ledger(database).start()
        await put(ledger, an_act("c1", "approve", exclusive=True))
        for claim, person in (("c1", "p2"), ("c2", "p2")):
            row = an_act(claim, "approve", person, exclusive=True).row(ledger.tenant)
            names = ", ".join(f'"{name}"' for name in row)
            statement = f"{action} acts ({names}) VALUES ({', '.join('?' * len(row))})"
            with pytest.raises(WriteRefused):
                async with database.write() as connection:
                    await connection.exec_driver_sql(statement, tuple(row.values()))
        assert await stored(ledger) == ["c1"]
    finally:
        await database.close()


async def test_acts_are_not_truncated(migrated_postgres_url: str) -> None:
    """Nor what they are measured by."""
    database = Database(migrated_postgres_url)
    try:
        for table in ("acts", "duty_limits"):
            with pytest.raises(WriteRefused):
                async with database.write() as connection:
                    await connection.execute(text(f"TRUNCATE {table}"))
    finally:
        await database.close()


# -- The limits themselves --------------------------------------------------------------------------------


async def test_limits_are_written_once_and_never_more_than_a_release_sets(ledger: Ledger) -> None:
    """What is missing is added; what nobody set is named, and the release is not used with it."""
    await limit(ledger, LIMITS[:-1])
    await limit(ledger)
    await limit(ledger)
    async with ledger.database.read() as connection:
        rows = (await connection.execute(select(duty_limits))).all()
    assert len(rows) == len(LIMITS)
    with pytest.raises(VerificationFailed) as refused:
        await limit(ledger, LIMITS[1:])
    assert refused.value.code == "limits_changed"
    assert f"{LIMITS[0].kind} {LIMITS[0].rule}" in refused.value.detail


# -- Neither more nor less than the formulas ----------------------------------------------------------------


@dataclass(frozen=True)
class Desk:
    """A chain kind, its constraints with the built-in ones, and what people ask for, one after the other."""

    kind: ChainKind
    constraints: tuple[Constraint, ...]
    asked: tuple[tuple[str, str, Capacity, ActState], ...]


@st.composite
def desks(draw: st.DrawFn) -> Desk:
    names = draw(st.sampled_from([("a", "b"), ("a", "b", "c"), ("a", "b", "c", "d")]))
    optional = draw(st.sets(st.sampled_from(names), max_size=len(names) - 2))
    kind = a_kind(*(a_step(name, optional=name in optional) for name in names))
    some = st.lists(st.sampled_from(names), min_size=2, unique=True).map(tuple)
    constraints = draw(
        st.lists(
            st.builds(
                lambda steps, sort, limit, chain, absolute, then, ordered: a_constraint(
                    sort,
                    *steps,
                    chain=chain,
                    limit=limit,
                    absolute=absolute,
                    then=then,
                    ordered=ordered and sort is ConstraintKind.SEPARATE,
                ),
                steps=some,
                sort=st.sampled_from([ConstraintKind.SEPARATE, ConstraintKind.AT_MOST]),
                limit=st.integers(1, 3),
                chain=st.sampled_from(["", kind.id]),
                absolute=st.booleans(),
                then=st.sampled_from([Effect.DENY, Effect.DENY, Effect.REVIEW]),
                ordered=st.booleans(),
            ),
            max_size=3,
        )
    )
    named = [replace(item, id=f"rule_{number}") for number, item in enumerate(constraints)]
    asked = st.tuples(
        st.sampled_from([*names, AMEND]),
        st.sampled_from(["p1", "p1", "p2"]),
        st.sampled_from(Capacity),
        st.sampled_from(ActState),
    )
    every = with_built_in(named, chains=[kind])
    return Desk(kind, every, tuple(draw(st.lists(asked, min_size=1, max_size=10))))


@contextmanager
def rolled_back(connection: Connection) -> Any:
    transaction = connection.begin()
    try:
        yield
    finally:
        transaction.rollback()


def check_like_the_formulas(connection: Connection, desk: Desk) -> None:
    """An act is refused where a constraint that nothing sets aside is violated by its formula, else never."""
    hard = [
        item
        for item in desk.constraints
        if item.kind is not ConstraintKind.SOLE_ACTOR
        and item.then is Effect.DENY
        and item.absolute
        and not item.ordered
    ]
    head = {"tenant": "x", "origin": "o", "size": 0, "frontier": b"\0" * 8, "last_at": 0}
    head |= {"directory_index": 0, "keys_index": 0, "release": RELEASE}
    connection.execute(insert(heads), [head])
    limits = step_limits(desk.constraints, chains=[desk.kind])
    rows = [{name: getattr(item, name) for name in StepLimit.__slots__} for item in limits]
    connection.execute(insert(duty_limits), [{"tenant": "x", "release": RELEASE, **row} for row in rows])
    kept: list[StoredAct] = []
    for number, (step, person, capacity, state) in enumerate(desk.asked):
        counted = desk.kind.steps[0].id if step == AMEND else step
        history = ChainHistory(desk.kind.id, "O-1", tuple(item.act for item in kept))
        asked = asking(counted, person, history, kind=desk.kind)
        facts = facts_of(history)
        wrong = any(
            violation(item, asked=asked, facts=facts)
            for item in hard
            if item.kind is ConstraintKind.WHOLE_CHAIN or counted in item.steps
            if item.kind is not ConstraintKind.WHOLE_CHAIN or counted in desk.kind.mandatory
        )
        new = an_act(f"c{number}", step, person, kind=desk.kind.id, capacity=capacity, state=state)
        try:
            with connection.begin_nested():
                connection.execute(insert(acts), [new.row("x")])
        except IntegrityError:
            assert wrong, (new, history)
        else:
            assert not wrong, (new, history)
            kept.append(new)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_database_refuses_exactly_what_the_formulas_do(kind: str, request: pytest.FixtureRequest) -> None:
    """Random kinds, constraints and acts: what breaks nothing that is backed is taken, all else is not."""
    url = request.getfixturevalue(f"migrated_{kind}_url")
    with open_engine(url) as engine, engine.connect() as connection:

        @settings(
            max_examples=settings().max_examples // (1 if kind == "sqlite" else 3), suppress_health_check=ALL
        )
        @given(desk=desks())
        def check(desk: Desk) -> None:
            with rolled_back(connection):
                check_like_the_formulas(connection, desk)

        check()
