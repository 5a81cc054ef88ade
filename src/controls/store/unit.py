"""Loading and writing one unit of work: the SQL on both sides of a `Workspace`.

Guarantees: the tenant's head row is locked before anything else is read, so there is one lock and no
order to get wrong; `now` is the database's clock read with that row and never before the last entry's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    Dialect,
    Insert,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    text,
    update,
)

from controls.ledger.merkle import Frontier
from controls.model.errors import NotFound
from controls.model.lineage import ChainKey
from controls.model.values import from_microseconds
from controls.store.among import also, among
from controls.store.connection import StoreConnection
from controls.store.ledger_reads import completed_tiles
from controls.store.lineage import LINKED, link_row, load_links
from controls.store.merging import near_chains, shared_chains
from controls.store.observations import load_windows, observation_row
from controls.store.rows import (
    EXCEPTION,
    Change,
    Head,
    ReviewCase,
    StoredAct,
    approval_from,
    approval_row,
)
from controls.store.tables import (
    acts,
    approval_uses,
    approvals,
    blobs,
    changes,
    checkpoints,
    disclosures,
    entries,
    heads,
    idempotency,
    lineage_links,
    observations,
    reviews,
    tiles,
    trail_marks,
)
from controls.store.trail_hands import load_hands
from controls.store.trails import begin_marks, load_marks
from controls.store.workspace import NEAR_AT_MOST, Needs, Sealed, StoredAnswer, Workspace

# How many expired claims one sweep opens cases for, so that a sweep never holds the lock for long.
EXPIRED_AT_ONCE: Final = 100

_CLOCK: Final = {
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    "postgresql": "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
}

_HEAD: Final = select(heads).where(heads.c.tenant == bindparam("tenant"))
_LOCKED: Final = _HEAD.with_for_update().subquery("head")
# Around the locking query: PostgreSQL reads a clock beside it before it waits for the lock.
_LOCK: Final = {name: select(_LOCKED, text(f"{clock} AS now")) for name, clock in _CLOCK.items()}
_READ: Final = {
    name: select(_HEAD.subquery("head"), text(f"{clock} AS now")) for name, clock in _CLOCK.items()
}


async def lock_head(
    connection: StoreConnection, tenant: str, *, clock: Callable[[], datetime] | None = None
) -> tuple[Head, datetime]:
    """Take the tenant's lock; the head as it is now, and `now`.

    Args:
        clock: sets `now` instead of the database's clock; for replays and scenarios only.

    Raises:
        NotFound: the tenant has no ledger yet.
    """
    return await _head(connection, _LOCK, tenant, clock=clock)


async def read_head(
    connection: StoreConnection, tenant: str, *, clock: Callable[[], datetime] | None = None
) -> tuple[Head, datetime]:
    """`lock_head` without the lock, for what is only read."""
    return await _head(connection, _READ, tenant, clock=clock)


async def _head(
    connection: StoreConnection,
    queries: Mapping[str, Select[Any]],
    tenant: str,
    *,
    clock: Callable[[], datetime] | None,
) -> tuple[Head, datetime]:
    row = (await connection.execute(queries[connection.dialect.name], {"tenant": tenant})).one_or_none()
    if row is None:
        raise NotFound(
            "not_initialised",
            "This ledger has not been started",
            help="Run `controls init` (or `controls demo`) first.",
        )
    now = from_microseconds(row.now) if clock is None else clock()
    head = Head(
        tenant=row.tenant,
        origin=row.origin,
        frontier=Frontier.from_bytes(bytes(row.frontier)),
        last_at=row.last_at,
        directory_index=row.directory_index,
        keys_index=row.keys_index,
        release=row.release,
    )
    return head, max(now, from_microseconds(head.last_at))


async def create_head(connection: StoreConnection, head: Head) -> None:
    """Start a tenant's ledger; fails when it has one."""
    await connection.execute(insert(heads), [_head_row(head)])


async def load(connection: StoreConnection, work: Workspace, needs: Needs) -> None:
    """Read everything the batch's commands named, under the lock."""
    tenant = work.head.tenant
    if needs.decisions:
        for row in await connection.execute(_DECISIONS, {"tenant": tenant, "ids": needs.decisions}):
            entry = json.loads(row.bytes)
            work.decisions[row.id] = {**entry, "index": row.index}
            if entry.get("chain"):
                needs.chains.add((entry["chain"]["kind"], entry["chain"]["id"]))
    if needs.reviews:
        for row in await connection.execute(_REVIEWS, {"tenant": tenant, "ids": needs.reviews}):
            case = ReviewCase.read(row)
            work.reviews[case.id] = case
            work.questions[case.id] = row
            if case.chain_kind:
                needs.chains.add((case.chain_kind, case.resource_id))
    if needs.expired_before_now:
        await _load_expired(connection, work)
    if needs.tokens:
        await _load_answers(connection, work, needs.tokens)
    for merged, survivor in sorted(needs.merging):
        work.shared |= await shared_chains(connection, tenant, merged=merged, survivor=survivor)
        work.near += await near_chains(
            connection, tenant, merged=merged, survivor=survivor, most=NEAR_AT_MOST + 1
        )
    needs.chains |= work.shared.union(work.near[:NEAR_AT_MOST])
    for name in needs.with_cases:
        name()
    if needs.chains or needs.joined:
        linked = await _load_chains(connection, work, needs.chains | needs.joined)
        if linked or needs.joined:
            await _load_lineage(connection, work, needs, linked=linked & needs.chains)
    for name in needs.with_chains:
        name()
    if needs.trails:
        work.load_marks(await load_marks(connection, tenant, needs.trails))
        work.looked_up |= needs.trails
    if needs.places:
        work.load_hands(await load_hands(connection, tenant, needs.places))
    if needs.resources:
        await _load_resources(connection, work, needs.resources)
    if needs.series:
        work.counted, work.windows = await load_windows(connection, tenant, needs.series, at=work.at)
    if needs.changes:
        for row in await connection.execute(_CHANGES, {"tenant": tenant, "ids": needs.changes}):
            work.changes[row.id] = Change.read(row)


# Made once: what a batch asks for goes into the parameters, not into the text.
_DECISIONS: Final = select(entries.c.id, entries.c.bytes, entries.c.index).where(
    also(entries.c.tenant, "tenant"), among(entries.c.id, "ids")
)
_REVIEWS: Final = (
    select(reviews, entries.c.bytes, disclosures.c.data.label("disclosure"))
    .outerjoin(entries, and_(entries.c.tenant == reviews.c.tenant, entries.c.id == reviews.c.decision))
    .outerjoin(
        disclosures,
        and_(disclosures.c.tenant == entries.c.tenant, disclosures.c.index == entries.c.index),
    )
    .where(also(reviews.c.tenant, "tenant"), among(reviews.c.id, "ids"))
)
_CHANGES: Final = select(changes).where(also(changes.c.tenant, "tenant"), among(changes.c.id, "ids"))
_CHAINS: Final = (
    select(acts, LINKED)
    .where(also(acts.c.tenant, "tenant"), among(acts.c.chain, "chains"))
    .order_by(acts.c.index)
)
_CLAIMS: Final = (
    select(acts).where(also(acts.c.tenant, "tenant"), among(acts.c.claim, "claims")).order_by(acts.c.index)
)
_ANSWERS: Final = select(idempotency).where(
    also(idempotency.c.tenant, "tenant"),
    among(idempotency.c.key, "keys"),
    among(idempotency.c.route, "routes"),
    among(idempotency.c.token, "tokens"),
)
_CASES: Final = select(reviews).where(
    also(reviews.c.tenant, "tenant"),
    or_(also(reviews.c.state, "state"), also(reviews.c.kind, "kind")),
    among(reviews.c.resource_id, "resources"),
)
_APPROVALS: Final = (
    select(approvals, approval_uses.c.approval.label("used"))
    .outerjoin(
        approval_uses,
        and_(approval_uses.c.tenant == approvals.c.tenant, approval_uses.c.approval == approvals.c.id),
    )
    .where(also(approvals.c.tenant, "tenant"), among(approvals.c.resource_id, "resources"))
)


async def _load_chains(connection: StoreConnection, work: Workspace, chains: Set[ChainKey]) -> set[ChainKey]:
    """Load the acts of chains; those of them that are linked to others."""
    wanted = {"tenant": work.head.tenant, "chains": {chain for _, chain in chains}}
    rows = [row for row in await connection.execute(_CHAINS, wanted) if (row.kind, row.chain) in chains]
    work.load_acts(map(StoredAct.read, rows))
    return {(row.kind, row.chain) for row in rows if row.linked}


async def _load_lineage(
    connection: StoreConnection, work: Workspace, needs: Needs, *, linked: Set[ChainKey]
) -> None:
    """Load the links around chains, and the acts on all lines of those that are linked, and on all that the
    joined ones come from."""
    for chain, link in await load_links(connection, work.head.tenant, linked | needs.joined):
        work.lineage.add(chain, link)
    wanted = work.lineage.ancestry(work.lineage.progeny(linked) | needs.joined)
    wanted -= needs.chains | needs.joined
    if wanted:
        await _load_chains(connection, work, wanted)


async def _load_answers(
    connection: StoreConnection, work: Workspace, tokens: Set[tuple[str, str, str]]
) -> None:
    keys, routes, names = (set(column) for column in zip(*tokens, strict=True))
    wanted = {"tenant": work.head.tenant, "keys": keys, "routes": routes, "tokens": names}
    claims: set[str] = set()
    for row in await connection.execute(_ANSWERS, wanted):
        if (row.key, row.route, row.token) in tokens:
            answer = StoredAnswer(row.body, row.answer, tuple(json.loads(row.claims)), row.at)
            work.answers[row.key, row.route, row.token] = answer
            claims.update(answer.claims)
    if claims:
        rows = await connection.execute(_CLAIMS, {"tenant": work.head.tenant, "claims": claims})
        work.load_acts(StoredAct.read(row) for row in rows)


async def _load_resources(
    connection: StoreConnection, work: Workspace, resources: Set[tuple[str, str]]
) -> None:
    wanted = {"tenant": work.head.tenant, "resources": {resource for _, resource in resources}}
    for row in await connection.execute(_CASES, wanted | {"state": "open", "kind": EXCEPTION}):
        if (row.resource_type, row.resource_id) in resources:
            work.reviews[row.id] = ReviewCase.read(row)
    for row in await connection.execute(_APPROVALS, wanted):
        if (row.resource_type, row.resource_id) in resources:
            work.approvals[row.id] = approval_from(row)


async def _load_expired(connection: StoreConnection, work: Workspace) -> None:
    query = (
        select(acts)
        .where(
            acts.c.tenant == work.head.tenant,
            acts.c.state == "claimed",
            acts.c.done_at.is_(None),  # where a claim is all the progress there is, nobody waits for more
            acts.c.case == "",
            acts.c.valid_until < work.at,
        )
        .order_by(acts.c.valid_until)
        .limit(EXPIRED_AT_ONCE)
    )
    work.expired = [StoredAct.read(row) for row in await connection.execute(query)]
    work.load_acts(work.expired)


async def flush(connection: StoreConnection, work: Workspace, sealed: Sealed) -> None:
    """Write the whole unit of work; the caller commits."""
    tenant = work.head.tenant
    await _insert(
        connection,
        entries,
        [
            {
                "tenant": tenant,
                "index": entry.index,
                "id": entry.id,
                "kind": entry.kind.value,
                "at": entry.at,
                "chain": entry.chain,
                "person": entry.person,
                "bytes": entry.data,
                "leaf": entry.leaf,
            }
            for entry in work.entries
        ],
    )
    opened = [entry for entry in work.entries if entry.disclosure is not None]
    rows = [{"tenant": tenant, "index": entry.index, "data": entry.disclosure} for entry in opened]
    await _insert(connection, disclosures, rows)
    for digest, data in work.new_blobs.items():
        await _insert_blob(connection, tenant, digest, data)
    # Ended claims first: a new claim may take the step that one of them frees.
    await _update(connection, acts, "claim", [stored.row(tenant) for stored in work.changed_acts.values()])
    await _insert(connection, acts, [stored.row(tenant) for stored in work.new_acts.values()])
    await _insert(connection, trail_marks, [mark.row(tenant) for mark in work.new_marks])
    await begin_marks(connection, tenant, work.begun_marks, at=work.at)
    links = [
        link_row(tenant, chain, link, index=index, number=number)
        for number, (chain, link, index) in enumerate(work.new_links)
    ]
    await _insert(connection, lineage_links, links)
    await _insert(
        connection,
        observations,
        [
            observation_row(series.name(work.counted[series.aggregate].salt), observation, tenant)
            for series, observation in work.new_observations
        ],
    )
    await _insert(connection, reviews, [case.row(tenant) for case in work.new_reviews.values()])
    await _update(connection, reviews, "id", [case.row(tenant) for case in work.changed_reviews.values()])
    await _insert(connection, approvals, [approval_row(item, tenant) for item in work.new_approvals])
    await _insert(
        connection,
        approval_uses,
        [
            {"tenant": tenant, "approval": approval, "decision": decision}
            for approval, decision in work.approval_uses
        ],
    )
    await _insert(connection, changes, [change.row(tenant) for change in work.new_changes.values()])
    await _update(connection, changes, "id", [change.row(tenant) for change in work.changed_changes.values()])
    for operation in work.operations:
        await operation(connection)
    await _insert(
        connection,
        idempotency,
        [
            {
                "tenant": tenant,
                "key": key,
                "route": route,
                "token": token,
                "body": answer.body,
                "answer": answer.answer,
                "claims": json.dumps(list(answer.claims)),
                "at": answer.at,
            }
            for (key, route, token), answer in work.new_answers.items()
        ],
    )
    tree = sealed.tree
    full = await completed_tiles(
        connection, tenant, work.head.frontier.size, [entry.leaf for entry in work.entries]
    )
    await _insert(connection, tiles, [{"tenant": tenant, **tile} for tile in full])
    if work.entries:
        note = {"tenant": tenant, "size": tree.frontier.size, "note": sealed.checkpoint}
        await _insert(connection, checkpoints, [note])
    head = {
        "b_tenant": tenant,
        "size": tree.frontier.size,
        "frontier": tree.frontier.to_bytes(),
        "last_at": work.at,
        "directory_index": work.head.directory_index,
        "keys_index": work.head.keys_index,
        "release": work.head.release,
    }
    statement, arranged = _prepared(connection.dialect, _NEW_HEAD)
    await connection.exec_driver_sql(statement, arranged(head))


_NEW_HEAD: Final = (
    update(heads)
    .where(heads.c.tenant == bindparam("b_tenant"))
    .values(
        {
            name: bindparam(name)
            for name in ("size", "frontier", "last_at", "directory_index", "keys_index", "release")
        }
    )
)


async def forget_answers(connection: StoreConnection, tenant: str, *, before: int) -> None:
    """Purge stored answers older than `before` (microseconds)."""
    await connection.execute(
        delete(idempotency).where(idempotency.c.tenant == tenant, idempotency.c.at < before)
    )


async def recorded(connection: StoreConnection, tenant: str, ids: Sequence[str]) -> bool:
    """Whether an entry with one of these ids is in the ledger."""
    query = select(entries.c.id).where(also(entries.c.tenant, "tenant"), among(entries.c.id, "ids")).limit(1)
    return (await connection.execute(query, {"tenant": tenant, "ids": ids})).first() is not None


async def _insert(connection: StoreConnection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert whole rows (every column given), as the driver takes them."""
    if rows:
        statement, arranged = _prepared(connection.dialect, _insertion(table))
        await connection.exec_driver_sql(statement, [arranged(row) for row in rows])


@cache
def _insertion(table: Table) -> Insert:
    return insert(table)


@cache
def _prepared(
    dialect: Dialect, statement: Insert | Update
) -> tuple[str, Callable[[dict[str, Any]], tuple[Any, ...]]]:
    """A statement as the driver takes it, and what puts its values in order."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), itemgetter(*(compiled.positiontup or ()))


async def _insert_blob(connection: StoreConnection, tenant: str, digest: str, data: bytes) -> None:
    known = select(blobs.c.digest).where(blobs.c.tenant == tenant, blobs.c.digest == digest)
    if (await connection.execute(known)).first() is None:
        await connection.execute(insert(blobs), [{"tenant": tenant, "digest": digest, "data": data}])


async def _update(connection: StoreConnection, table: Any, key: str, rows: list[dict[str, Any]]) -> None:
    """Rewrite whole rows found by tenant and `key`."""
    if not rows:
        return
    columns = [column.name for column in table.columns if column.name not in ("tenant", key)]
    statement = (
        update(table)
        .where(table.c.tenant == bindparam("b_tenant"), table.c[key] == bindparam("b_key"))
        .values({name: bindparam(f"v_{name}") for name in columns})
    )
    await connection.execute(
        statement,
        [
            {"b_tenant": row["tenant"], "b_key": row[key]} | {f"v_{name}": row[name] for name in columns}
            for row in rows
        ],
    )


def _head_row(head: Head) -> dict[str, Any]:
    return {
        "tenant": head.tenant,
        "origin": head.origin,
        "size": head.frontier.size,
        "frontier": head.frontier.to_bytes(),
        "last_at": head.last_at,
        "directory_index": head.directory_index,
        "keys_index": head.keys_index,
        "release": head.release,
    }
