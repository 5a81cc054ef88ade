"""Marks of acts that constraints look at beyond their chain: written and read in the deciding transaction.

Guarantees: what a unit of work finds on a trail is all there is, this batch included, because marks are
written and read under the tenant's lock; it costs one statement for a batch and one index range for each
trail asked about, bounded by how far back anybody looks. An act counts for every value that its chain has
had: when an amendment moves a chain to another value, its earlier acts are marked there too, and its later
ones at both. (`model.trail.of_chain` says what of approvals from before it began.) A mark ages with its act,
so it is that of a claim until this ends (`STILL_CLAIMED`): no window leaves out what is done with late.

Marks follow from the acts and their material facts alone, so a release that brings a new trail finds its
whole past: `change_trails` makes the marks when the release is activated, under the lock, some thousands of
acts a second. What a mark says of the values are digests of one length; the values stand in the acts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, Final, TypeAlias

from sqlalchemy import TextClause, bindparam, delete, insert, select, text

from controls.model.chain import AMEND, Act, Capacity
from controls.model.record import record
from controls.model.trail import Trail, of_chain
from controls.model.values import microseconds
from controls.store.connection import StoreConnection
from controls.store.rows import StoredAct
from controls.store.tables import OF_CLAIMED, STILL_CLAIMED, acts, trail_marks

# How many acts `change_trails` reads at a time.
PAGE: Final = 5_000
# How many acts are read where the latest are enough, and others of the same moment, however many there are.
LATEST: Final = 16


@lru_cache(4_096)
def value_digest(*values: str) -> str:
    """What stands for a value, or for several together (none of which holds a NUL): 128 bits of SHA-256."""
    return sha256("\0".join(values).encode()).hexdigest()[:32]


# A trail, and the digest of a value on it.
PlaceKey: TypeAlias = tuple[str, str]


@record
class TrailKey:
    """One place to look: a trail, the digest of a value, and whose acts (empty: anybody's)."""

    trail: str
    value: str
    person: str

    @property
    def place(self) -> PlaceKey:
        return self.trail, self.value


@record
class TrailQuery:
    """What is looked for: marks later than `since` (microseconds), other parts than `besides` (None: all);
    with `latest`, the last LATEST of these are enough."""

    key: TrailKey
    since: int
    besides: str | None = None
    latest: bool = False


@record
class Mark:
    """One act at one place: `kind` is its chain's, `step` the one that it counts as, `at` (microseconds) from
    when it ages."""

    key: TrailKey
    part: str
    at: int
    claim: str
    kind: str
    step: str

    def row(self, tenant: str) -> dict[str, Any]:
        return {
            "tenant": tenant,
            "trail": self.key.trail,
            "value": self.key.value,
            "person": self.key.person,
            "at": self.at,
            "claim": self.claim,
            "part": self.part,
            "kind": self.kind,
            "step": self.step,
        }


def added_marks(trail: Trail, *, earlier: Sequence[StoredAct], new: StoredAct) -> Iterator[Mark]:
    """The marks that an act adds to those of the earlier acts of its chain."""
    own = _place(trail, new.act)
    if all(stored.act.capacity is Capacity.APPROVER for stored in earlier):
        if own is not None:
            yield from _marks(trail, new, own)
            if new.act.capacity is not Capacity.APPROVER:  # the chain begins here
                for stored in earlier:
                    if _place(trail, stored.act) is None:
                        yield from _marks(trail, stored, own)
        return
    chain = earlier
    if earlier[0].act.capacity is Capacity.APPROVER:
        counted = {act.claim for act in of_chain([item.act for item in earlier], partial(_place, trail))}
        chain = [stored for stored in earlier if stored.act.claim in counted]
    before = dict.fromkeys(place for stored in chain if (place := _place(trail, stored.act)) is not None)
    for place in before if own is None or own in before else (*before, own):
        yield from _marks(trail, new, place)
    if own is not None and own not in before:
        for stored in chain:
            yield from _marks(trail, stored, own)


def _place(trail: Trail, act: Act) -> tuple[str, str] | None:
    """Value and part that an act states; None when it does not state both."""
    material = act.material
    values = [material[fact] for fact in trail.facts if fact in material]
    part = material.get(trail.part)
    if len(values) < len(trail.facts) or (trail.part and part is None):
        return None
    return value_digest(*values), value_digest(part) if part is not None else ""


def _marks(trail: Trail, stored: StoredAct, place: tuple[str, str]) -> Iterator[Mark]:
    act, (value, part) = stored.act, place
    step = trail.first if act.step == AMEND else act.step
    if trail.concerns(step):
        key = TrailKey(trail.name, value, "" if trail.anybody else act.person)
        # What chains may be the same as is a matter of when they began.
        since = act.at if trail.latest else act.done_at
        at = STILL_CLAIMED if since is None else microseconds(since)
        yield Mark(key, part, at, act.claim, stored.kind, step)


_ASKED: Final = {
    "sqlite": "SELECT json_extract(value, '$[0]') AS trail, json_extract(value, '$[1]') AS value,"
    " json_extract(value, '$[2]') AS person, json_extract(value, '$[3]') AS since,"
    " json_extract(value, '$[4]') AS besides, json_extract(value, '$[5]') AS latest FROM json_each(:asked)",
    "postgresql": "SELECT * FROM unnest(CAST(:trails AS text[]), CAST(:named AS text[]),"
    " CAST(:persons AS text[]), CAST(:since AS bigint[]), CAST(:besides AS text[]), CAST(:latest AS bool[]))"
    " AS q(trail, value, person, since, besides, latest)",
}


_GREATER: Final = {"sqlite": "max", "postgresql": "greatest"}
_PARAMETERS: Final = ("trails", "named", "persons", "since", "besides", "latest")


def _found(dialect: str) -> TextClause:
    return text(
        f"WITH q AS ({_ASKED[dialect]}), asked AS (SELECT trail, value, person, besides,"  # noqa: S608  # of the texts above
        f" CASE WHEN latest THEN {_GREATER[dialect]}(since, coalesce((SELECT x.at - 1 FROM trail_marks x"
        " WHERE x.value = q.value AND x.trail = q.trail AND x.person = q.person AND x.tenant = :tenant"
        f" ORDER BY x.at DESC LIMIT 1 OFFSET {LATEST - 1}), since)) ELSE since END AS since FROM q)"
        " SELECT m.trail AS m_trail, m.value AS m_value, m.person AS m_person, m.part AS m_part,"
        " m.at AS m_at, m.step AS m_step, a.* FROM asked"
        " JOIN trail_marks m ON m.value = asked.value AND m.trail = asked.trail AND m.person = asked.person"
        " AND m.at > asked.since AND m.tenant = :tenant"
        " AND (asked.besides IS NULL OR m.part <> asked.besides)"
        " JOIN acts a ON a.claim = m.claim AND a.tenant = m.tenant"
    )


_FOUND: Final = {dialect: _found(dialect) for dialect in _ASKED}


async def load_marks(
    connection: StoreConnection, tenant: str, queries: Iterable[TrailQuery]
) -> list[tuple[Mark, StoredAct]]:
    """What is found, each mark with its act; a mark that two queries find is there twice."""
    wanted = sorted(queries, key=lambda query: (query.key.trail, query.key.value, query.key.person))
    dialect = connection.dialect.name
    rows = await connection.execute(_FOUND[dialect], _parameters(dialect, wanted) | {"tenant": tenant})
    found: list[tuple[Mark, StoredAct]] = []
    for row in rows:
        stored = StoredAct.read(row)
        key = TrailKey(row.m_trail, row.m_value, row.m_person)
        found.append((Mark(key, row.m_part, row.m_at, stored.act.claim, stored.kind, row.m_step), stored))
    return found


_BEGIN: Final = text(
    f"UPDATE trail_marks SET at = :at WHERE tenant = :tenant AND claim = :claim AND {OF_CLAIMED}"  # noqa: S608
)


async def begin_marks(connection: StoreConnection, tenant: str, claims: Iterable[str], *, at: int) -> None:
    """From `at` on the marks of acts age whose claims have ended."""
    ended = [{"tenant": tenant, "claim": claim, "at": at} for claim in claims]
    if ended:
        await connection.execute(_BEGIN, ended)


def _parameters(dialect: str, wanted: Sequence[TrailQuery]) -> dict[str, Any]:
    asked = [
        (query.key.trail, query.key.value, query.key.person, query.since, query.besides, query.latest)
        for query in wanted
    ]
    if dialect == "sqlite":
        return {"asked": json.dumps(asked)}
    columns = [list(column) for column in zip(*asked, strict=True)]
    return dict(zip(_PARAMETERS, columns, strict=True))


# The acts of one chain kind, whole chains after each other.
_PAGE: Final = (
    select(acts)
    .where(
        acts.c.tenant == bindparam("tenant"),
        acts.c.kind == bindparam("kind"),
        acts.c.chain > bindparam("after"),
    )
    .order_by(acts.c.chain, acts.c.index, acts.c.claim)
    .limit(bindparam("page"))
)
_CHAIN: Final = (
    select(acts)
    .where(
        acts.c.tenant == bindparam("tenant"),
        acts.c.kind == bindparam("kind"),
        acts.c.chain == bindparam("chain"),
    )
    .order_by(acts.c.index, acts.c.claim)
)
_END: Final = delete(trail_marks).where(
    trail_marks.c.tenant == bindparam("b_tenant"),
    trail_marks.c.trail == bindparam("b_trail"),
    trail_marks.c.kind == bindparam("b_kind"),
)


def change_of_trails(before: Iterable[Trail], after: Iterable[Trail]) -> tuple[list[Trail], list[Trail]]:
    """The trails that begin and those that end when a release takes the place of another; one that goes on
    with other facts or steps does both."""
    old, new = set(before), set(after)

    def in_order(trails: Iterable[Trail]) -> list[Trail]:
        return sorted(trails, key=lambda trail: (trail.kind, trail.name))

    return in_order(new - old), in_order(old - new)


async def change_trails(
    connection: StoreConnection,
    *,
    tenant: str,
    begun: Sequence[Trail],
    ended: Iterable[Trail],
    page: int = PAGE,
) -> None:
    """Delete the marks of the trails that end, and make those of all acts so far on the trails that begin.

    Args:
        page: how many acts are read at a time.
    """
    for trail in (*ended, *begun):
        gone = {"b_tenant": tenant, "b_trail": trail.name, "b_kind": trail.kind}
        await connection.execute(_END, gone)
    for kind in dict.fromkeys(trail.kind for trail in begun):
        leading = [trail for trail in begun if trail.kind == kind]
        async for chains in _chains(connection, {"tenant": tenant, "kind": kind}, page=page):
            made = {mark: None for chain in chains for mark in _all_marks(leading, chain)}
            if made:
                await connection.execute(insert(trail_marks), [mark.row(tenant) for mark in made])


async def _chains(
    connection: StoreConnection, wanted: Mapping[str, str], *, page: int
) -> AsyncIterator[Iterable[list[StoredAct]]]:
    """The acts of every chain of a kind, some chains at a time."""
    after = ""
    while True:
        rows = await connection.execute(_PAGE, {**wanted, "after": after, "page": page})
        found: dict[str, list[StoredAct]] = {}
        count = 0
        for row in rows:
            count += 1
            found.setdefault(row.chain, []).append(StoredAct.read(row))
        if not found:
            return
        after = next(reversed(found))
        if count == page:  # the last chain may go on
            rest = await connection.execute(_CHAIN, {**wanted, "chain": after})
            found[after] = [StoredAct.read(row) for row in rest]
        yield found.values()


def _all_marks(trails: Iterable[Trail], chain: Sequence[StoredAct]) -> Iterator[Mark]:
    for trail in trails:
        for number, stored in enumerate(chain):
            yield from added_marks(trail, earlier=chain[:number], new=stored)
