"""Reads for the report of exceptions: cases with a deadline, and the decisions that opened them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select, tuple_

from controls.store.among import also, among
from controls.store.connection import StoreConnection
from controls.store.rows import EXCEPTION
from controls.store.tables import entries, reviews


async def dated_cases(
    connection: StoreConnection, tenant: str, *, limit: int, before: tuple[int, str] | None
) -> Sequence[Any]:
    """Cases with a deadline, newest first, starting before the given (opened_at, id)."""
    query = select(reviews).where(reviews.c.tenant == tenant, reviews.c.due_at.is_not(None))
    if before is not None:
        query = query.where(tuple_(reviews.c.opened_at, reviews.c.id) < before)
    query = query.order_by(reviews.c.opened_at.desc(), reviews.c.id.desc()).limit(limit)
    return (await connection.execute(query)).all()


async def overdue_cases(connection: StoreConnection, tenant: str, *, at: int) -> int:
    """How many exceptions should have been looked at by `at` and were not."""
    query = (
        select(func.count())
        .select_from(reviews)
        .where(
            reviews.c.tenant == tenant,
            reviews.c.due_at.is_not(None),
            reviews.c.due_at <= at,
            reviews.c.state == "open",
            reviews.c.kind == EXCEPTION,
        )
    )
    return int((await connection.execute(query)).scalar_one())


async def decisions_named(connection: StoreConnection, tenant: str, ids: Iterable[str]) -> Sequence[Any]:
    """Ids and bytes of the entries with these ids."""
    query = select(entries.c.id, entries.c.bytes).where(
        also(entries.c.tenant, "tenant"), among(entries.c.id, "ids")
    )
    return (await connection.execute(query, {"tenant": tenant, "ids": list(ids)})).all()
