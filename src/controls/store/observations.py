"""What aggregates count: observations of earlier requests, written and read in the deciding transaction.

Guarantees: a unit of work reads a window under the tenant's lock with two index look-ups, however much is in
it, for any number of series in one statement; the primary key keeps two writers from ever giving one number
of a series twice.

What is kept says as little as may be. A series is named by HMAC-SHA256 (RFC 2104) over the values of its
group, so that nobody who reads the table learns the account or person behind a row. Those values have few
possibilities, so a plain hash would be found out by trying them all: the key is 32 random bytes of the
aggregate itself, kept beside it and deleted when a release drops it. No decision, person or resource stands
in a row. Amounts stand there in clear, as in the acts, because sums need them; nothing but the key above
ties them to anybody, and a row is deleted once it has left the longest window. So erasing the disclosure of
an entry leaves the sums of the running windows as they are, and what it added to them goes with the window.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from hmac import digest
from typing import Any, Final

from sqlalchemy import TextClause, bindparam, delete, insert, select, text

from controls.ledger.canonical import canonical_bytes
from controls.model.values import decimal_text
from controls.model.window import Observation, Window
from controls.store.among import also, among
from controls.store.connection import StoreConnection
from controls.store.tables import aggregates, observations

SALT_SIZE: Final = 32
# How many rows one sweep deletes, so that a sweep never holds the lock for long.
PURGED_AT_ONCE: Final = 10_000

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Series:
    """The requests that one window is over: of an aggregate (by its version), a group, and one resource.

    `resource` empty: of all resources.
    """

    aggregate: str
    group: str
    resource: str = ""

    def name(self, salt: bytes) -> str:
        """How the table calls it: 128 bits, which only the salt's holder can make from the group."""
        return digest(salt, canonical_bytes([self.group, self.resource]), "sha256").hex()[:32]


@dataclass(frozen=True, slots=True)
class CountedAggregate:
    """An aggregate of the release in force. All requests since `since` (microseconds) have been observed."""

    version: str
    since: int
    salt: bytes

    def complete(self, *, at: int, within: timedelta) -> bool:
        """Whether nothing inside the window that ends at `at` went unobserved."""
        return self.since <= at - within // _MICROSECOND


_COUNTED: Final = select(aggregates).where(
    also(aggregates.c.tenant, "tenant"), among(aggregates.c.aggregate, "aggregates")
)
_ASKED: Final = {
    "sqlite": "SELECT json_extract(value, '$[0]') AS series, json_extract(value, '$[1]') AS start"
    " FROM json_each(:series)",
    "postgresql": "SELECT * FROM unnest(CAST(:series AS text[]), CAST(:starts AS bigint[]))"
    " AS a(series, start)",
}
_NEWEST: Final = (
    "SELECT n.number FROM aggregate_observations n WHERE n.series = asked.series AND n.tenant = :tenant"
    " ORDER BY n.number DESC LIMIT 1"
)
_OLDEST: Final = (
    "SELECT f.number FROM aggregate_observations f WHERE f.series = asked.series AND f.tenant = :tenant"
    " AND f.at > asked.start ORDER BY f.at, f.number LIMIT 1"
)


def _windows(asked: str) -> TextClause:
    rows = "SELECT o.* FROM asked JOIN aggregate_observations o ON o.series = asked.series"
    return text(
        f"WITH asked AS ({asked})"
        f" {rows} AND o.tenant = :tenant AND o.number = ({_NEWEST})"
        f" UNION {rows} AND o.tenant = :tenant AND o.number = ({_OLDEST})"
    )


_WINDOWS: Final = {dialect: _windows(asked) for dialect, asked in _ASKED.items()}


async def load_windows(
    connection: StoreConnection, tenant: str, wanted: Mapping[Series, timedelta], *, at: int
) -> tuple[dict[str, CountedAggregate], dict[Series, Window]]:
    """The aggregates of the wanted series by version, and the windows of the given lengths that end at `at`.

    An aggregate that nobody has begun to count is not among them, nor are its windows.
    """
    versions = {series.aggregate for series in wanted}
    rows = await connection.execute(_COUNTED, {"tenant": tenant, "aggregates": versions})
    counted = {row.aggregate: CountedAggregate(row.aggregate, row.since, bytes(row.salt)) for row in rows}
    names = {
        series.name(counted[series.aggregate].salt): series
        for series in wanted
        if series.aggregate in counted
    }
    starts = {name: at - wanted[series] // _MICROSECOND for name, series in names.items()}
    found: dict[str, list[Observation]] = {}
    if names:
        asked = _asked(connection.dialect.name, starts) | {"tenant": tenant}
        for row in await connection.execute(_WINDOWS[connection.dialect.name], asked):
            found.setdefault(row.series, []).append(_read(row))
    return counted, {
        series: _window(found.get(name, ()), start=starts[name]) for name, series in names.items()
    }


def _asked(dialect: str, starts: Mapping[str, int]) -> dict[str, Any]:
    if dialect == "sqlite":
        return {"series": json.dumps(list(starts.items()))}
    return {"series": list(starts), "starts": list(starts.values())}


def _window(rows: Iterable[Observation], *, start: int) -> Window:
    """The window of a series from its newest and its oldest row inside, in any order; they may be one."""
    ordered = sorted(rows, key=lambda row: row.number)
    if not ordered:
        return Window()
    first, last = ordered[0], ordered[-1]
    return Window(first if first.at > start else None, last)


def _read(row: Any) -> Observation:
    return Observation(row.number, row.at, row.unit, Decimal(row.amount), row.run, Decimal(row.total))


def observation_row(name: str, observation: Observation, tenant: str) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "series": name,
        "number": observation.number,
        "at": observation.at,
        "unit": observation.unit,
        "amount": decimal_text(observation.amount),
        "run": observation.run,
        "total": decimal_text(observation.total),
    }


async def begin_aggregates(
    connection: StoreConnection, *, tenant: str, begun: Iterable[CountedAggregate]
) -> None:
    """Count these aggregates from their `since` on."""
    rows = [
        {"tenant": tenant, "aggregate": item.version, "since": item.since, "salt": item.salt}
        for item in begun
    ]
    if rows:
        await connection.execute(insert(aggregates), rows)


async def end_aggregates(connection: StoreConnection, *, tenant: str, versions: Iterable[str]) -> None:
    """Count these no more. Their salts go, so that nobody can tell any longer whose their rows were."""
    ended = delete(aggregates).where(
        aggregates.c.tenant == tenant, aggregates.c.aggregate == bindparam("version")
    )
    for version in versions:
        await connection.execute(ended, {"version": version})


async def forget_observations(connection: StoreConnection, tenant: str, *, before: int) -> bool:
    """Purge the oldest observations made before `before` (microseconds), `PURGED_AT_ONCE` or a few more.

    Returns:
        Whether there may be more of them.
    """
    oldest = (
        select(observations.c.at)
        .where(observations.c.tenant == tenant, observations.c.at < before)
        .order_by(observations.c.at)
        .offset(PURGED_AT_ONCE)
        .limit(1)
    )
    at = (await connection.execute(oldest)).scalar_one_or_none()
    until = before if at is None else at + 1
    await connection.execute(
        delete(observations).where(observations.c.tenant == tenant, observations.c.at < until)
    )
    return at is not None
