"""Reads without the lock: the acts of one chain or of all, review cases, changes, what is in force."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import func, select, tuple_

from controls.model.chain import ActState
from controls.store.connection import StoreConnection
from controls.store.tables import acts, changes, heads, reviews

PAGE: Final = 1000


async def in_force(connection: StoreConnection, tenant: str) -> tuple[str, int, int]:
    """The active release and the entries that made directory and keys what they are."""
    query = select(heads.c.release, heads.c.directory_index, heads.c.keys_index)
    row = (await connection.execute(query.where(heads.c.tenant == tenant))).one()
    return row.release, row.directory_index, row.keys_index


async def kinds_of_chain(connection: StoreConnection, tenant: str, chain: str) -> list[str]:
    """The chain kinds under which a chain of this id is known."""
    query = select(acts.c.kind).where(acts.c.tenant == tenant, acts.c.chain == chain).distinct()
    return sorted(row.kind for row in await connection.execute(query))


async def acts_of_chain(connection: StoreConnection, tenant: str, kind: str, chain: str) -> Sequence[Any]:
    """The acts on one chain in ledger order."""
    query = (
        select(acts)
        .where(acts.c.tenant == tenant, acts.c.kind == kind, acts.c.chain == chain)
        .order_by(acts.c.index, acts.c.claim)
    )
    return (await connection.execute(query)).all()


async def chains_after(
    connection: StoreConnection, tenant: str, kind: str, *, after: str, limit: int
) -> list[str]:
    """The ids of the chains of one kind on record, in their order, starting after the given one."""
    query = (
        select(acts.c.chain)
        .where(acts.c.tenant == tenant, acts.c.kind == kind, acts.c.chain > after)
        .distinct()
        .order_by(acts.c.chain)
        .limit(limit)
    )
    return [row.chain for row in await connection.execute(query)]


async def iterate_acts(connection: StoreConnection, tenant: str) -> AsyncIterator[Any]:
    """All acts, chain by chain and in ledger order on each, a page at a time."""
    order = (acts.c.chain, acts.c.kind, acts.c.index, acts.c.claim)
    query = select(acts).where(acts.c.tenant == tenant).order_by(*order).limit(PAGE)
    rows = (await connection.execute(query)).all()
    while rows:
        for row in rows:
            yield row
        last = rows[-1]
        after = tuple_(*order) > (last.chain, last.kind, last.index, last.claim)
        rows = (await connection.execute(query.where(after))).all()


async def open_work(connection: StoreConnection, tenant: str) -> dict[str, int]:
    """How many steps each person holds whose outcome is awaited, those left out that have a case already."""
    query = (
        select(acts.c.person, func.count().label("held"))
        .where(acts.c.tenant == tenant, acts.c.state == ActState.CLAIMED.value, acts.c.case == "")
        .group_by(acts.c.person)
    )
    return {row.person: row.held for row in await connection.execute(query)}


async def reviews_page(
    connection: StoreConnection,
    tenant: str,
    *,
    state: str | None,
    limit: int,
    after: tuple[int, str] | None,
) -> Sequence[Any]:
    """Review cases by age, starting after the given (opened_at, id)."""
    query = select(reviews).where(reviews.c.tenant == tenant)
    if state is not None:
        query = query.where(reviews.c.state == state)
    if after is not None:
        query = query.where(tuple_(reviews.c.opened_at, reviews.c.id) > after)
    query = query.order_by(reviews.c.opened_at, reviews.c.id).limit(limit)
    return (await connection.execute(query)).all()


async def review_named(connection: StoreConnection, tenant: str, id: str) -> Any:
    query = select(reviews).where(reviews.c.tenant == tenant, reviews.c.id == id)
    return (await connection.execute(query)).one_or_none()


async def open_review_count(connection: StoreConnection, tenant: str) -> int:
    query = (
        select(func.count()).select_from(reviews).where(reviews.c.tenant == tenant, reviews.c.state == "open")
    )
    return int((await connection.execute(query)).scalar_one())


async def proposed_changes(connection: StoreConnection, tenant: str) -> Sequence[Any]:
    """Changes that wait for a second administrator, oldest first."""
    query = (
        select(changes)
        .where(changes.c.tenant == tenant, changes.c.state == "proposed")
        .order_by(changes.c.proposed_at, changes.c.id)
    )
    return (await connection.execute(query)).all()


_WITHOUT_PAYLOAD = [column for column in changes.c if column.name != "payload"]  # it may be megabytes


async def changes_page(
    connection: StoreConnection,
    tenant: str,
    *,
    kind: str | None = None,
    state: str | None = None,
    limit: int,
    before: tuple[int, str] | None = None,
) -> Sequence[Any]:
    """Changes without their payloads, newest first, starting before the given (proposed_at, id)."""
    query = select(*_WITHOUT_PAYLOAD).where(changes.c.tenant == tenant)
    if kind is not None:
        query = query.where(changes.c.kind == kind)
    if state is not None:
        query = query.where(changes.c.state == state)
    if before is not None:
        query = query.where(tuple_(changes.c.proposed_at, changes.c.id) < before)
    query = query.order_by(changes.c.proposed_at.desc(), changes.c.id.desc()).limit(limit)
    return (await connection.execute(query)).all()


async def change_named(connection: StoreConnection, tenant: str, id: str) -> Any:
    query = select(changes).where(changes.c.tenant == tenant, changes.c.id == id)
    return (await connection.execute(query)).one_or_none()
