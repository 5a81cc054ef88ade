"""The start-up self-test: are the ledger's guards in place, and does the database hold the true ledger?

Guarantees: `self_test` ends without an error only when guards, head row, entries, tiles, the last
checkpoint and the checkpoint kept outside the database all tell the same story. It reads the end of the
ledger, not all of it: for that there is the verifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import select

from controls.ledger.merkle import EMPTY_ROOT, Frontier, ReadNode, leaf_hash, verify_consistency
from controls.model.errors import NotFound, VerificationFailed
from controls.store.connection import StoreConnection
from controls.store.guard_checks import check_guards, check_surroundings
from controls.store.ledger_reads import (
    TILE_WIDTH,
    entry_count,
    latest_checkpoint,
    prove_consistency,
    split,
    with_nodes,
)
from controls.store.tables import entries, heads, tiles

__all__ = ["check_guards", "check_surroundings", "self_test"]

_RESTORE: Final = (
    "Do not write to this database. Keep it as it is, make an export of it, verify that, and go back to the "
    "last good copy."
)
_FORKED: Final = (
    "This is what a restored old backup, or a wrong database, looks like. Going on would give a second, "
    "different history to entries that others already hold receipts for. Do not write to this database. "
    "Find the database that the kept checkpoint is from, or recover up to it (replica, WAL archive). If its "
    "entries are lost for good: keep this database and the checkpoint as evidence, tell those who rely on "
    "the ledger, and start a new ledger with another origin."
)


async def self_test(
    connection: StoreConnection,
    tenant: str,
    *,
    verify_note: Callable[[str], tuple[int, bytes]],
    kept_checkpoint: str | None,
) -> None:
    """Refuse a database that is not guarded or does not hold this tenant's whole ledger.

    Args:
        connection: one consistent read (`Database.read`), opened after `kept_checkpoint` was fetched: else
            another replica may have kept a newer one in between.
        verify_note: size and root of a signed checkpoint whose signatures it checked, or VerificationFailed.
        kept_checkpoint: the newest checkpoint kept outside the database; None when none was kept yet.

    Raises:
        VerificationFailed: with what is wrong and what to do.
    """
    missing = await check_guards(connection)
    if missing:
        raise VerificationFailed(
            "guards_missing",
            "The guards of the ledger are not in place",
            detail="; ".join(missing),
            help="Find out who changed the database, and verify an export of the ledger. Then put the guards "
            "back: restore the tables' definitions from a backup, or migrate a new database and copy the "
            "verified ledger into it.",
        )
    head = (await connection.execute(select(heads).where(heads.c.tenant == tenant))).one_or_none()
    count = await entry_count(connection, tenant)
    if head is None:
        if count:
            raise _broken("head_missing", f"There are {count} entries, but no head row.")
        if kept_checkpoint is not None:
            size, _ = verify_note(kept_checkpoint)
            raise _forked(f"The kept checkpoint covers {size} entries; this database has no ledger.")
        return
    frontier = _frontier(head)
    await _check_entries(connection, tenant, size=frontier.size, count=count)
    await _check_hashes(connection, tenant, frontier)
    await _check_last_checkpoint(connection, tenant, frontier, verify_note)
    if kept_checkpoint is not None:
        await _check_kept(connection, tenant, frontier, verify_note(kept_checkpoint))


def _frontier(head: Any) -> Frontier:
    try:
        frontier = Frontier.from_bytes(bytes(head.frontier))
    except ValueError as error:
        raise _broken("head_malformed", f"The head row holds no frontier: {error}.") from error
    if frontier.size != head.size:
        raise _broken(
            "head_malformed", f"The head row says {head.size} entries, its frontier {frontier.size}."
        )
    return frontier


async def _check_entries(connection: StoreConnection, tenant: str, *, size: int, count: int) -> None:
    last = select(entries.c.index).where(entries.c.tenant == tenant).order_by(entries.c.index.desc()).limit(1)
    index = (await connection.execute(last)).scalar_one_or_none()
    end = 0 if index is None else index + 1
    if end != size or count != size:
        raise _broken(
            "head_mismatch",
            f"The head says {size} entries; there are {count}, and the last one is number {end - 1}.",
        )


async def _check_hashes(connection: StoreConnection, tenant: str, frontier: Frontier) -> None:
    """Bytes against leaves at the ledger's end, leaves against the last full tile, tiles against the head."""
    full = frontier.size // TILE_WIDTH
    start = max(0, full - 1) * TILE_WIDTH
    query = (
        select(entries.c.index, entries.c.bytes, entries.c.leaf)
        .where(entries.c.tenant == tenant, entries.c.index >= start)
        .order_by(entries.c.index)
    )
    leaves = []
    for row in await connection.execute(query):
        leaves.append(bytes(row.leaf))
        if leaf_hash(bytes(row.bytes)) != leaves[-1]:
            raise _broken("entry_changed", f"The bytes of entry {row.index} do not have its leaf hash.")
    if full:
        tile = select(tiles.c.data).where(
            tiles.c.tenant == tenant, tiles.c.level == 0, tiles.c.index == full - 1
        )
        data = (await connection.execute(tile)).scalar_one_or_none()
        if data is None or split(bytes(data)) != leaves[:TILE_WIDTH]:
            raise _broken("tile_mismatch", f"Tile {full - 1} is missing or is not that of its entries.")
    stored = await with_nodes(connection, tenant, build=lambda node: _edge(frontier.size, node))
    if stored != frontier.hashes:
        raise _broken("frontier_mismatch", "The stored tree does not have the hashes that the head row has.")


def _edge(size: int, node: ReadNode) -> tuple[bytes, ...]:
    """The roots of the largest complete subtrees of a tree, from left to right."""
    found, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            found.append(node(level, start >> level))
            start += 1 << level
    return tuple(found)


async def _check_last_checkpoint(
    connection: StoreConnection,
    tenant: str,
    frontier: Frontier,
    verify_note: Callable[[str], tuple[int, bytes]],
) -> None:
    try:
        size, note = await latest_checkpoint(connection, tenant)
    except NotFound:
        if frontier.size:
            raise _broken(
                "checkpoint_missing", f"No checkpoint covers the {frontier.size} entries."
            ) from None
        return
    signed_size, root = verify_note(note)
    if signed_size != size or size != frontier.size or root != frontier.root():
        raise _broken(
            "checkpoint_mismatch",
            f"The last checkpoint (stored as {size}, signed for {signed_size}) is not that of the head "
            f"({frontier.size} entries, root {frontier.root().hex()}).",
        )


async def _check_kept(
    connection: StoreConnection, tenant: str, frontier: Frontier, kept: tuple[int, bytes]
) -> None:
    size, root = kept
    if size > frontier.size:
        raise _forked(f"The kept checkpoint covers {size} entries; this database has only {frontier.size}.")
    if size == 0:
        if root != EMPTY_ROOT:
            raise _forked("The kept checkpoint is of an empty ledger and does not have its root.")
        return
    proof = await prove_consistency(connection, tenant, size1=size, size2=frontier.size)
    try:
        verify_consistency(proof, size1=size, size2=frontier.size, root1=root, root2=frontier.root())
    except VerificationFailed as error:
        raise _forked(
            f"The first {size} entries of this database are not those of the kept checkpoint."
        ) from error


def _broken(code: str, detail: str) -> VerificationFailed:
    return VerificationFailed(
        code, "The ledger in the database is not whole or was changed", detail=detail, help=_RESTORE
    )


def _forked(detail: str) -> VerificationFailed:
    return VerificationFailed(
        "ledger_forked", "The database is not that of the kept checkpoint", detail=detail, help=_FORKED
    )
