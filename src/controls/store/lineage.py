"""Links between chains: written with the first act of a chain, read in the deciding transaction.

Guarantees: links are read and written under the tenant's lock, so that two units of work never begin the same
chain with different links; chains without links cost no statement of their own (`LINKED` is a column of the
query for their acts); what is read at once is bounded, because no chain is begun with links to so many that
more than `MAX_CHAINS` would hang together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, TextClause, literal_column, select, text

from controls.model.lineage import ChainKey, Lineage, Link, Relation
from controls.store.connection import StoreConnection
from controls.store.tables import lineage_links

# Of a row of acts: whether its chain has links, to older chains or from younger ones.
LINKED: Final[ColumnElement[Any]] = literal_column(
    "(EXISTS (SELECT 1 FROM lineage_links l WHERE l.chain = acts.chain AND l.kind = acts.kind"
    " AND l.tenant = acts.tenant) OR EXISTS (SELECT 1 FROM lineage_links l WHERE l.to_chain = acts.chain"
    " AND l.to_kind = acts.kind AND l.tenant = acts.tenant))"
).label("linked")

_SEEDS: Final = {
    "sqlite": "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(:seeds)",
    "postgresql": 'SELECT q.kind COLLATE "C", q.chain COLLATE "C"'
    " FROM unnest(CAST(:kinds AS varchar[]), CAST(:chains AS varchar[])) AS q(kind, chain)",
}
_OLDER: Final = (
    "SELECT l.to_kind, l.to_chain FROM {0} JOIN lineage_links l"
    " ON l.chain = {0}.chain AND l.kind = {0}.kind AND l.tenant = :tenant"
)
_YOUNGER: Final = (
    "SELECT l.kind, l.chain FROM {0} JOIN lineage_links l"
    " ON l.to_chain = {0}.chain AND l.to_kind = {0}.kind AND l.tenant = :tenant"
)


def _links(seeds: str) -> TextClause:
    """All links between the chains that the seeds come from, what came of those, and what that comes from."""
    return text(
        f"WITH RECURSIVE root(kind, chain) AS ({seeds} UNION {_OLDER.format('root')}),"  # noqa: S608  # of the texts above
        f" young(kind, chain) AS (SELECT kind, chain FROM root UNION {_YOUNGER.format('young')}),"
        f" near(kind, chain) AS (SELECT kind, chain FROM young UNION {_OLDER.format('near')})"
        " SELECT l.kind, l.chain, l.relation, l.to_kind, l.to_chain FROM near JOIN lineage_links l"
        " ON l.chain = near.chain AND l.kind = near.kind AND l.tenant = :tenant"
        ' ORDER BY l."index", l.number'
    )


_LINKS: Final = {dialect: _links(seeds) for dialect, seeds in _SEEDS.items()}


async def load_links(
    connection: StoreConnection, tenant: str, chains: Iterable[ChainKey]
) -> list[tuple[ChainKey, Link]]:
    """The links of everything that hangs together with these chains, each with the chain that has it."""
    seeds = sorted(chains)
    dialect = connection.dialect.name
    parameters: dict[str, Any] = {"tenant": tenant}
    if dialect == "sqlite":
        parameters["seeds"] = json.dumps(seeds)
    else:
        parameters |= {"kinds": [kind for kind, _ in seeds], "chains": [chain for _, chain in seeds]}
    rows = await connection.execute(_LINKS[dialect], parameters)
    return [((row.kind, row.chain), Link(Relation(row.relation), row.to_kind, row.to_chain)) for row in rows]


async def all_links(connection: StoreConnection, tenant: str) -> Lineage:
    """Every link of the tenant's chains, to look at all of them."""
    found = Lineage()
    query = select(lineage_links).where(lineage_links.c.tenant == tenant)
    for row in await connection.execute(query.order_by(lineage_links.c.index, lineage_links.c.number)):
        found.add((row.kind, row.chain), Link(Relation(row.relation), row.to_kind, row.to_chain))
    return found


def link_row(tenant: str, chain: ChainKey, link: Link, *, index: int, number: int) -> dict[str, Any]:
    """The row of a link; `index` is the entry that declared it, `number` its place there."""
    return {
        "tenant": tenant,
        "kind": chain[0],
        "chain": chain[1],
        "relation": link.relation.value,
        "to_kind": link.kind,
        "to_chain": link.chain,
        "index": index,
        "number": number,
    }
