"""Observations in the database: what a window reads, that it is quick, and that no number is given twice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, insert, select, text

from controls.model.values import Money, from_microseconds, microseconds
from controls.model.window import Observation, Window
from controls.store import observations as module
from controls.store.database import Database, WriteRefused
from controls.store.observations import (
    CountedAggregate,
    Series,
    begin_aggregates,
    end_aggregates,
    forget_observations,
    load_windows,
    observation_row,
)
from controls.store.tables import aggregates, observations

T = "t"
HOUR = timedelta(hours=1)
AT = microseconds(datetime(2026, 3, 2, 12, tzinfo=UTC))
MINUTE = 60_000_000
ONE = CountedAggregate("one", 0, b"1" * 32)
TWO = CountedAggregate("two", AT - 3, b"2" * 32)


@pytest.fixture
async def database(migrated_database_url: str) -> AsyncIterator[Database]:
    opened = Database(migrated_database_url)
    async with opened.write() as connection:
        await begin_aggregates(connection, tenant=T, begun=[ONE, TWO])
    yield opened
    await opened.close()


def name_of(series: Series, tenant: str = T) -> str:
    return series.name({"one": ONE, "two": TWO}[series.aggregate].salt)


async def write(
    database: Database, series: Series, *moments: int, tenant: str = T, amount: str = "1.50"
) -> None:
    """Observations of `series` at these moments."""
    window, rows = Window(), []
    for at in moments:
        made = window.following(at=at, amount=Money(Decimal(amount), "EUR"))
        window = window.followed_by(made)
        rows.append(observation_row(name_of(series), made, tenant))
    async with database.write() as connection:
        await connection.execute(insert(observations), rows)


async def windows(database: Database, *wanted: Series, within: timedelta = HOUR) -> dict[Series, Window]:
    async with database.read() as connection:
        _, found = await load_windows(connection, T, dict.fromkeys(wanted, within), at=AT)
    return found


async def test_a_window_is_read_back_as_it_was_written(database: Database) -> None:
    """Newest and oldest inside, exact to the microsecond and to the last digit."""
    series = Series("one", '["A"]')
    start = AT - 60 * MINUTE
    await write(database, series, start - 5, start, start + 1, AT - 7, AT, amount="0.1234567890123456789")
    found = (await windows(database, series))[series]
    amount = Decimal("0.1234567890123456789")
    assert found.first == Observation(3, start + 1, "EUR", amount, 3, 3 * amount)
    assert found.last == Observation(5, AT, "EUR", amount, 5, 5 * amount)
    assert (found.count, found.total, found.unit) == (3, 3 * amount, "EUR")


async def test_several_series_are_read_at_once(database: Database) -> None:
    """Each has its own window: by aggregate, group and resource; other tenants have theirs."""
    series = [
        Series("one", '["A"]'),
        Series("one", '["A"]', "order/1"),
        Series("two", '["A"]'),
        Series("two", "[]"),
    ]
    for number, item in enumerate(series[:3], start=1):
        await write(database, item, *range(AT - number, AT))
    await write(database, series[3], AT - 1, AT, tenant="other")
    found = await windows(database, *series)
    assert [found[item].count for item in series] == [1, 2, 3, 0]
    assert found[series[3]] == Window()


async def test_what_is_out_of_the_window_is_only_gone_on_from(database: Database) -> None:
    """The newest row is read even when it is old, so that the numbering goes on."""
    series = Series("one", '["A"]')
    await write(database, series, AT - 90 * MINUTE, AT - 60 * MINUTE)
    found = (await windows(database, series))[series]
    assert found.first is None
    assert found.last is not None
    assert (found.count, found.last.number) == (0, 2)


async def test_an_aggregate_that_is_not_counted_has_no_window(database: Database) -> None:
    """What was never begun, or was ended, is not there; its rows cannot be found any more."""
    series, unknown = Series("one", '["A"]'), Series("three", '["A"]')
    await write(database, series, AT)
    assert set(await windows(database, series, unknown)) == {series}
    async with database.write() as connection:
        await end_aggregates(connection, tenant="other", versions=["one"])
    assert set(await windows(database, series)) == {series}
    async with database.write() as connection:
        await end_aggregates(connection, tenant=T, versions=["one"])
        assert [row.aggregate for row in await connection.execute(select(aggregates))] == ["two"]
    assert await windows(database, series) == {}


def test_an_aggregate_is_complete_once_its_window_lies_after_its_beginning() -> None:
    """To the microsecond; one that began with the ledger always is."""
    begun = replace(ONE, since=AT - 60 * MINUTE)
    assert begun.complete(at=AT, within=HOUR)
    assert not begun.complete(at=AT - 1, within=HOUR)
    assert ONE.complete(at=AT, within=timedelta(days=366))


def test_a_name_needs_the_salt() -> None:
    """The same group has another name under another salt, and other groups have other names."""
    series = Series("one", '["A"]')
    names = {series.name(ONE.salt), series.name(TWO.salt), replace(series, resource="order/1").name(ONE.salt)}
    assert len(names) == 3
    assert all(len(name) == 32 for name in names)
    assert replace(series, aggregate="two").name(ONE.salt) == series.name(ONE.salt)


async def test_a_number_is_given_once(database: Database) -> None:
    """If two writers ever came to the same one, the second would fail instead of losing a count."""
    series = Series("one", '["A"]')
    await write(database, series, AT)
    with pytest.raises(WriteRefused, match=r"(?i)unique"):
        await write(database, series, AT + 1)


async def test_a_window_costs_two_look_ups(database: Database) -> None:
    """Ten thousand rows inside or one: the plan goes by the indexes, and reads no series through."""
    series = Series("one", '["A"]')
    await write(database, series, *range(AT - 10_000, AT))
    async with database.write() as connection:
        dialect = connection.dialect.name
        if dialect == "postgresql":
            await connection.execute(text("ANALYZE aggregate_observations"))
        explain = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN (ANALYZE, FORMAT TEXT) "
        asked = module._asked(dialect, {name_of(series): AT - 60 * MINUTE}) | {"tenant": T}
        plan = list(await connection.execute(text(explain + str(module._WINDOWS[dialect])), asked))
    told = "\n".join(str(row[-1]) for row in plan)
    assert "Seq Scan on aggregate_observations" not in told
    if dialect == "sqlite":
        assert "SCAN o" not in told
        assert "series=? AND number=?" in told
        assert "series=? AND at>?" in told
    else:
        read = [float(rows) for rows in re.findall(r"actual time=\S+ rows=([0-9.]+)", told)]
        assert max(read) <= 2, told
    found = (await windows(database, series))[series]
    assert (found.count, found.total) == (10_000, Decimal("15000.00"))


async def test_a_purge_takes_the_oldest_first(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at a time, and nothing that is younger or somebody else's; windows do not notice."""
    monkeypatch.setattr(module, "PURGED_AT_ONCE", 4)
    series, other = Series("one", '["A"]'), Series("two", '["A"]')
    await write(database, series, *range(AT - 10, AT))
    await write(database, other, *range(AT - 9, AT), tenant="other")
    before = (await windows(database, series, within=timedelta(microseconds=3)))[series]

    async def purge() -> tuple[bool, int]:
        async with database.write() as connection:
            more = await forget_observations(connection, T, before=AT - 2)
            mine = select(func.count()).select_from(observations).where(observations.c.tenant == T)
            return more, int((await connection.execute(mine)).scalar_one())

    assert [await purge() for _ in range(3)] == [(True, 5), (False, 2), (False, 2)]
    after = (await windows(database, series, within=timedelta(microseconds=3)))[series]
    assert (after, after.count, after.total) == (before, 2, Decimal("3.00"))
    async with database.read() as connection:
        left = (await connection.execute(select(func.count()).select_from(observations))).scalar_one()
    assert left == 2 + 9


def test_moments_are_microseconds() -> None:
    """What these tests count in."""
    assert from_microseconds(AT + MINUTE) - from_microseconds(AT) == timedelta(minutes=1)
