"""Reading the ledger: entries, hashes of the tree, proofs, checkpoints and blobs.

Guarantees: proofs are built from stored leaf hashes and tiles alone, never from the head row's frontier,
so that a wrong frontier cannot prove itself. A tile (C2SP tlog-tiles) of level L and index N holds the 256
hashes of tree level 8*L from 256*N on, and is stored once, when it is full.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import func, select

from controls.ledger.merkle import HASH_SIZE, ReadNode, consistency_proof, inclusion_proof, node_hash
from controls.model.errors import NotFound, VerificationFailed
from controls.store.connection import StoreConnection
from controls.store.tables import blobs, checkpoints, disclosures, entries, tiles

TILE_WIDTH: Final = 256
TILE_LEVELS: Final = 8
PAGE: Final = 1000

_T = TypeVar("_T")


async def completed_tiles(
    connection: StoreConnection, tenant: str, old_size: int, leaves: Sequence[bytes]
) -> list[dict[str, Any]]:
    """The tiles that become full when `leaves` are appended to a tree of `old_size`."""
    found: list[dict[str, Any]] = []
    level, old, hashes = 0, old_size, list(leaves)
    while hashes:
        start = old - old % TILE_WIDTH
        if (old + len(hashes)) // TILE_WIDTH == old // TILE_WIDTH:
            return found
        row = await _stored_hashes(connection, tenant, level, start, old) + hashes
        full = len(row) // TILE_WIDTH
        above = []
        for number in range(full):
            data = row[number * TILE_WIDTH : (number + 1) * TILE_WIDTH]
            found.append({"level": level, "index": start // TILE_WIDTH + number, "data": b"".join(data)})
            above.append(_root(data))
        level, old, hashes = level + 1, start // TILE_WIDTH, above
    return found


async def _stored_hashes(
    connection: StoreConnection, tenant: str, level: int, start: int, end: int
) -> list[bytes]:
    """Hashes `[start, end)` of tile level `level`, all of one unfinished tile."""
    if start == end:
        return []
    if level == 0:
        query = (
            select(entries.c.leaf)
            .where(entries.c.tenant == tenant, entries.c.index >= start, entries.c.index < end)
            .order_by(entries.c.index)
        )
        hashes = [bytes(row.leaf) for row in await connection.execute(query)]
    else:
        query = (
            select(tiles.c.data)
            .where(
                tiles.c.tenant == tenant,
                tiles.c.level == level - 1,
                tiles.c.index >= start,
                tiles.c.index < end,
            )
            .order_by(tiles.c.index)
        )
        hashes = [_root(_full(bytes(row.data))) for row in await connection.execute(query)]
    if len(hashes) != end - start:
        raise VerificationFailed(
            "tree_incomplete",
            "Hashes of the ledger's tree are missing",
            detail=f"level {level} holds {len(hashes)} of the hashes {start} to {end - 1}",
            help="Verify an export of this ledger and restore the last good backup.",
        )
    return hashes


def split(data: bytes) -> list[bytes]:
    """The hashes in a tile."""
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def _full(data: bytes) -> list[bytes]:
    """The hashes in a stored tile, which must be full."""
    if len(data) != TILE_WIDTH * HASH_SIZE:
        raise VerificationFailed(
            "tile_malformed",
            "A stored tile of the ledger's tree is not whole",
            detail=f"it holds {len(data)} bytes and must hold {TILE_WIDTH * HASH_SIZE}",
            help="Verify an export of this ledger and restore the last good backup.",
        )
    return split(data)


def _root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


async def with_nodes(connection: StoreConnection, tenant: str, *, build: Callable[[ReadNode], _T]) -> _T:
    """What `build` makes of the tree's nodes: it is run once to learn which, then with them."""
    wanted: list[tuple[int, int]] = []

    def note(level: int, index: int) -> bytes:
        wanted.append((level, index))
        return bytes(HASH_SIZE)

    build(note)
    known = {key: await _node(connection, tenant, key[0], key[1]) for key in dict.fromkeys(wanted)}
    return build(lambda level, index: known[level, index])


async def _node(connection: StoreConnection, tenant: str, level: int, index: int) -> bytes:
    tile_level, rest = divmod(level, TILE_LEVELS)
    start, width = index << rest, 1 << rest
    number = start // TILE_WIDTH
    query = select(tiles.c.data).where(
        tiles.c.tenant == tenant, tiles.c.level == tile_level, tiles.c.index == number
    )
    row = (await connection.execute(query)).one_or_none()
    if row is not None:
        offset = start % TILE_WIDTH
        return _root(_full(bytes(row.data))[offset : offset + width])
    return _root(await _stored_hashes(connection, tenant, tile_level, start, start + width))


async def prove_inclusion(
    connection: StoreConnection, tenant: str, *, index: int, size: int
) -> tuple[bytes, ...]:
    """RFC 9162 inclusion proof of entry `index` in the tree of `size` entries."""
    return await with_nodes(
        connection, tenant, build=lambda node: inclusion_proof(index, size=size, node=node)
    )


async def prove_consistency(
    connection: StoreConnection, tenant: str, *, size1: int, size2: int
) -> tuple[bytes, ...]:
    """RFC 9162 consistency proof between two tree sizes."""
    return await with_nodes(
        connection, tenant, build=lambda node: consistency_proof(size1, size2=size2, node=node)
    )


async def latest_checkpoint(
    connection: StoreConnection, tenant: str, *, at_least: int = 0
) -> tuple[int, str]:
    """Size and note of the newest checkpoint (or of the first one that covers `at_least` entries)."""
    query = select(checkpoints.c.size, checkpoints.c.note).where(checkpoints.c.tenant == tenant)
    if at_least:
        query = query.where(checkpoints.c.size >= at_least).order_by(checkpoints.c.size)
    else:
        query = query.order_by(checkpoints.c.size.desc())
    row = (await connection.execute(query.limit(1))).one_or_none()
    if row is None:
        raise NotFound("no_checkpoint", "There is no such checkpoint yet", help="Ask for a smaller size.")
    return row.size, row.note


async def checkpoint_at(connection: StoreConnection, tenant: str, size: int) -> str | None:
    """The checkpoint of exactly this size, if one was signed."""
    query = select(checkpoints.c.note).where(checkpoints.c.tenant == tenant, checkpoints.c.size == size)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else str(row.note)


async def entry_at(connection: StoreConnection, tenant: str, index: int) -> Any:
    """Row of one entry with its disclosure, or None."""
    return await _entry(connection, tenant, entries.c.index == index)


async def entry_named(connection: StoreConnection, tenant: str, id: str) -> Any:
    """Row of the entry with this id, with its disclosure, or None."""
    return await _entry(connection, tenant, entries.c.id == id)


async def _entry(connection: StoreConnection, tenant: str, where: Any) -> Any:
    query = _with_disclosures().where(entries.c.tenant == tenant, where)
    return (await connection.execute(query)).one_or_none()


def _with_disclosures() -> Any:
    return select(entries, disclosures.c.data.label("disclosure")).outerjoin(
        disclosures,
        (disclosures.c.tenant == entries.c.tenant) & (disclosures.c.index == entries.c.index),
    )


async def iterate_entries(
    connection: StoreConnection, tenant: str, *, start: int, end: int
) -> AsyncIterator[Any]:
    """Entries `[start, end)` in order, a page at a time."""
    at = start
    while at < end:
        query = (
            _with_disclosures()
            .where(entries.c.tenant == tenant, entries.c.index >= at, entries.c.index < min(end, at + PAGE))
            .order_by(entries.c.index)
        )
        for row in (await connection.execute(query)).all():
            yield row
        at += PAGE


async def iterate_decisions_backwards(connection: StoreConnection, tenant: str) -> AsyncIterator[Any]:
    """Time and bytes of all decisions, the newest first, a page at a time."""
    newest = select(func.max(entries.c.index)).where(entries.c.tenant == tenant)
    last: int | None = (await connection.execute(newest)).scalar_one()
    end = -1 if last is None else last + 1
    while end > 0:
        page = (
            select(entries.c.at, entries.c.bytes)
            .where(entries.c.tenant == tenant, entries.c.kind == "decision")
            .where(entries.c.index >= end - PAGE, entries.c.index < end)
            .order_by(entries.c.index.desc())
        )
        for row in (await connection.execute(page)).all():
            yield row
        end -= PAGE


async def iterate_checkpoints(connection: StoreConnection, tenant: str, *, end: int) -> AsyncIterator[Any]:
    """Checkpoints up to size `end`, smallest first."""
    at = 0
    while True:
        query = (
            select(checkpoints.c.size, checkpoints.c.note)
            .where(checkpoints.c.tenant == tenant, checkpoints.c.size > at, checkpoints.c.size <= end)
            .order_by(checkpoints.c.size)
            .limit(PAGE)
        )
        rows = (await connection.execute(query)).all()
        for row in rows:
            yield row
            at = row.size
        if not rows:
            return


async def blob(connection: StoreConnection, tenant: str, digest: str) -> bytes | None:
    """The bytes of one content-addressed blob."""
    query = select(blobs.c.data).where(blobs.c.tenant == tenant, blobs.c.digest == digest)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else bytes(row.data)


async def blob_digests(connection: StoreConnection, tenant: str) -> list[str]:
    """Digests of all blobs, sorted."""
    query = select(blobs.c.digest).where(blobs.c.tenant == tenant).order_by(blobs.c.digest)
    return [row.digest for row in await connection.execute(query)]


async def entry_count(connection: StoreConnection, tenant: str) -> int:
    """How many entries are stored, counted by the entries themselves."""
    query = select(func.count()).select_from(entries).where(entries.c.tenant == tenant)
    return int((await connection.execute(query)).scalar_one())
