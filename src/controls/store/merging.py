"""What two persons did, read and written as one person's.

Guarantees: entries keep the person under whom each act was recorded; the tables, which only follow from the
entries, say the survivor from then on, so that whatever reads histories finds them united.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, func, select, text, update

from controls.model.lineage import ChainKey, Lineage
from controls.store.connection import StoreConnection
from controls.store.lineage import LINKED, load_links
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
_OF_LINES: Final = (
    select(acts.c.person, acts.c.kind, acts.c.chain, LINKED)
    .where(
        acts.c.tenant == bindparam("tenant"),
        acts.c.person.in_((bindparam("merged"), bindparam("survivor"))),
    )
    .distinct()
)
# Where both have left marks, and on which chains, those first that one of them was last at.
_NEAR: Final = text(
    "WITH places AS (SELECT trail, value FROM trail_marks"
    " WHERE tenant = :tenant AND person IN (:merged, :survivor)"
    " GROUP BY trail, value HAVING count(DISTINCT person) = 2)"
    " SELECT a.kind, a.chain FROM places p"
    " JOIN trail_marks m ON m.value = p.value AND m.trail = p.trail AND m.tenant = :tenant"
    " AND m.person IN (:merged, :survivor)"
    " JOIN acts a ON a.claim = m.claim AND a.tenant = m.tenant"
    " GROUP BY a.kind, a.chain ORDER BY max(a.at) DESC, a.chain, a.kind LIMIT :most"
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
) -> set[ChainKey]:
    """The chains on which both have acted, and those of lines on which both have that either acted on. Reads
    all acts, once in a life."""
    asked = {"tenant": tenant, "merged": merged, "survivor": survivor}
    shared: set[ChainKey] = {(row.kind, row.chain) for row in await connection.execute(_SHARED, asked)}
    touched: dict[str, set[ChainKey]] = {merged: set(), survivor: set()}
    for row in await connection.execute(_OF_LINES, asked):
        if row.linked:
            touched[row.person].add((row.kind, row.chain))
    fewer, others = sorted(touched.values(), key=len)
    lineage = Lineage()
    for chain, link in await load_links(connection, tenant, fewer) if fewer and others else ():
        lineage.add(chain, link)
    for chain in fewer:
        for line in lineage.lines(chain):
            met = others & line
            if met:
                shared |= met | {chain}
    return shared


async def near_chains(
    connection: StoreConnection, tenant: str, *, merged: str, survivor: str, most: int
) -> list[ChainKey]:
    """The chains on which either has acted of the accounts, instruments, desks and conflict classes on which
    both have, as constraints that look beyond a chain have left marks; the newest `most` of them. Reads all
    marks, once in a life."""
    asked = {"tenant": tenant, "merged": merged, "survivor": survivor, "most": most}
    return [(row.kind, row.chain) for row in await connection.execute(_NEAR, asked)]


async def unite(connection: StoreConnection, tenant: str, *, merged: str, survivor: str) -> None:
    """Make all acts of one person those of another."""
    for statement in _UNITE:
        await connection.execute(statement, {"b_tenant": tenant, "b_merged": merged, "b_survivor": survivor})
