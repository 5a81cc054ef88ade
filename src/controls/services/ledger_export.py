"""The whole ledger as one file that an outsider can verify with the public key and nothing else.

Guarantees: one consistent read; deterministic bytes for the same entries; memory does not grow with the
ledger.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

from controls.ledger.export import Columns, ExportedEntry, ExportWriter, Header
from controls.model.errors import NotFound, VerificationFailed
from controls.store.database import Database
from controls.store.ledger_reads import (
    blob,
    blob_digests,
    checkpoint_at,
    iterate_checkpoints,
    iterate_entries,
    latest_checkpoint,
)


async def export_ledger(
    database: Database,
    tenant: str,
    *,
    origin: str,
    vkey: str,
    size: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AsyncIterator[bytes]:
    """The export's lines, up to the newest checkpoint or to the one of `size` entries.

    Raises:
        NotFound: no checkpoint of that size was signed.
        VerificationFailed: blobs or entries are missing from the database.
    """
    async with database.read() as connection:
        if size is None:
            size, _ = await latest_checkpoint(connection, tenant)
        elif await checkpoint_at(connection, tenant, size) is None:
            raise NotFound(
                "no_checkpoint",
                f"No checkpoint of {size} entries was signed",
                help="Leave the size out to export up to the newest checkpoint.",
            )
        writer = ExportWriter(Header(origin=origin, tenant=tenant, vkey=vkey, start=0, end=size))
        yield writer.header()
        for digest in await blob_digests(connection, tenant):
            data = await blob(connection, tenant, digest)
            if data is None:
                raise _missing(f"the blob {digest}")
            yield writer.blob(digest, data)
        done = 0
        async for row in iterate_entries(connection, tenant, start=0, end=size):
            if row.index != done:
                raise _missing(f"entry {done}")
            yield writer.entry(
                ExportedEntry(
                    index=row.index,
                    columns=Columns(row.id, row.kind, row.at, row.chain, row.person),
                    data=bytes(row.bytes),
                    disclosure=json.loads(row.disclosure) if row.disclosure is not None else None,
                )
            )
            done += 1
            progress(done, size)
        if done != size:
            raise _missing(f"entry {done}")
        async for row in iterate_checkpoints(connection, tenant, end=size):
            yield writer.checkpoint(row.size, row.note)
        yield writer.end()


def _missing(what: str) -> VerificationFailed:
    return VerificationFailed(
        "ledger_incomplete",
        "The ledger in the database is not whole",
        detail=f"{what} is missing.",
        help="Somebody bypassed the database's guards: keep the database as evidence and restore a backup.",
    )
