"""What two persons did, read and written as one person's.

Guarantees: entries keep the person under whom each act was recorded; the tables, which only follow from the
entries, say the survivor from then on, so that whatever reads histories finds them united.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, func, select, update

from controls.store.connection import StoreConnection
from controls.store.tables import acts, trail_marks

_SHARED: Final = (
    select(acts.c.kind, acts.c.chain)
    .where(
        acts.c.tenant == bindparam("tenant"),
        acts.c.person.in_((bindparam("merged"), bindparam("survivor"))),
    )
    .group_by(acts.c.kind, acts.c.chain)
    .having(func.count(acts.c.person.distinct()) == 2)
)
# An act of one for the other is that of one person, then: nobody is beside it.
_UNITE: Final = [
    *(
        update(table)
        .where(table.c.tenant == bindparam("b_tenant"), table.c.person == bindparam("b_merged"))
        .values(person=bindparam("b_survivor"))
        for table in (acts, trail_marks)
    ),
    update(acts)
    .where(acts.c.tenant == bindparam("b_tenant"), acts.c.beside == bindparam("b_merged"))
    .values(beside=bindparam("b_survivor")),
    update(acts)
    .where(
        acts.c.tenant == bindparam("b_tenant"),
        acts.c.beside == bindparam("b_survivor"),
        acts.c.person == acts.c.beside,
    )
    .values(beside=""),
]


async def shared_chains(
    connection: StoreConnection, tenant: str, *, merged: str, survivor: str
) -> set[tuple[str, str]]:
    """The chains (kind and id) on which both have acted. Reads all acts, once in a life."""
    asked = {"tenant": tenant, "merged": merged, "survivor": survivor}
    return {(row.kind, row.chain) for row in await connection.execute(_SHARED, asked)}


async def unite(connection: StoreConnection, tenant: str, *, merged: str, survivor: str) -> None:
    """Make all acts of one person those of another."""
    for statement in _UNITE:
        await connection.execute(statement, {"b_tenant": tenant, "b_merged": merged, "b_survivor": survivor})
