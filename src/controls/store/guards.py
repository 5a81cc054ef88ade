"""The start-up self-test: are the ledger's guards in place, and does the database hold the true ledger?

Guarantees: `check_guards` names every guard, key and table shape that is not as the migrations made it;
`self_test` ends without an error only when guards, head row, entries, tiles, the last checkpoint and the
checkpoint kept outside the database all tell the same story. It reads the end of the ledger, not all of
it: for that there is the verifier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Inspector, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from controls.ledger.merkle import EMPTY_ROOT, Frontier, ReadNode, leaf_hash, verify_consistency
from controls.model.errors import NotFound, VerificationFailed
from controls.store.guard_definitions import (
    GUARDED,
    GUARDED_NAMES,
    POSTGRES_FUNCTIONS,
    POSTGRES_TRIGGERS,
    SQLITE_TRIGGERS,
    fingerprint,
)
from controls.store.ledger_reads import (
    TILE_WIDTH,
    entry_count,
    latest_checkpoint,
    prove_consistency,
    split,
    with_nodes,
)
from controls.store.tables import acts, entries, heads, tiles

LIVE_STEP: Final = "uq_acts_live_step"

_SQLITE_QUERY: Final = text(
    "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"
    " UNION ALL SELECT name, tbl_name, sql FROM sqlite_temp_master WHERE type = 'trigger'"
)
# Tables are looked up as the service does it, so that a table that hides the real one is found out.
_POSTGRES_TABLES: Final = "(SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS name)"
_POSTGRES_QUERY: Final = text(
    "SELECT t.tgname AS name, c.relname AS table, t.tgtype AS kind, CAST(t.tgenabled AS text) AS enabled,"
    " t.tgqual IS NOT NULL OR CAST(t.tgattr AS text) <> '' AS conditional, p.proname AS function,"
    " concat_ws(' ', l.lanname, p.prosecdef, p.proconfig,"
    " replace(p.prosrc, quote_ident(n.nspname) || '.ledger_entries', 'ledger_entries')) AS body"
    " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang"
    f" WHERE NOT t.tgisinternal AND t.tgrelid IN {_POSTGRES_TABLES}"
)
_POSTGRES_STRANGE: Final = text(
    "SELECT relname AS table, relkind <> 'r' AS kind, relpersistence <> 'p' AS persistence,"
    " EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid) AS rules, relrowsecurity AS security,"
    " EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent)) AS family"
    f" FROM pg_class c WHERE oid IN {_POSTGRES_TABLES}"
)
_STRANGE: Final = {
    "kind": "is not an ordinary table",
    "persistence": "is not written durably",
    "rules": "has a rule that rewrites statements",
    "security": "hides rows by a policy",
    "family": "inherits or is inherited from",
}
_POSTGRES_ROLE: Final = text(
    "SELECT relname AS table, pg_has_role(current_user, relowner, 'USAGE') AS owner,"
    " has_table_privilege(oid, 'UPDATE') AS update, has_table_privilege(oid, 'DELETE') AS delete,"
    f" has_table_privilege(oid, 'TRUNCATE') AS truncate FROM pg_class WHERE oid IN {_POSTGRES_TABLES}"
    " ORDER BY relname"
)

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


# -- Guards -----------------------------------------------------------------------------------------------


async def check_guards(connection: AsyncConnection) -> tuple[str, ...]:
    """What is missing of the guards or was changed; empty when all is as the migrations made it."""
    if connection.dialect.name == "sqlite":
        found = await _check_sqlite(connection)
    else:
        found = await _check_postgresql(connection)
    found += await connection.run_sync(lambda blocking: list(_wrong_shapes(blocking)))
    return tuple(found)


async def check_surroundings(connection: AsyncConnection) -> tuple[str, ...]:
    """What weakens the guards without being wrong: fit for a development database, not for production."""
    if connection.dialect.name == "sqlite":
        level = (await connection.execute(text("PRAGMA synchronous"))).scalar_one()
        return () if level >= 2 else ("synchronous is below FULL: a power loss can undo what was answered",)
    found: list[str] = []
    superuser = (await connection.execute(text("SHOW is_superuser"))).scalar_one() == "on"
    if superuser:
        found.append("the service connects as a superuser, who can switch every guard off")
    rows = (await connection.execute(_POSTGRES_ROLE, {"tables": list(GUARDED_NAMES)})).all()
    owned = [row.table for row in rows if row.owner]
    if owned and not superuser:
        found.append(f"the service owns {', '.join(owned)} and can switch the guards off")
    if not owned and not superuser:
        for row in rows:
            more = [name for name in ("update", "delete", "truncate") if getattr(row, name)]
            if row.table == heads.name and "update" in more:
                more.remove("update")
            if more:
                found.append(f"the service has the right to {' and '.join(more)} on {row.table}")
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        if (await connection.execute(text(f"SHOW {setting}"))).scalar_one() == "off":
            found.append(f"{setting} is off: a crash can undo what was answered")
    return tuple(found)


async def _check_sqlite(connection: AsyncConnection) -> list[str]:
    found = []
    if not (await connection.execute(text("PRAGMA recursive_triggers"))).scalar_one():
        found.append("recursive_triggers is off on this connection")
    present = {row.name: row for row in await connection.execute(_SQLITE_QUERY)}
    for name, expected in SQLITE_TRIGGERS.items():
        row = present.pop(name, None)
        if row is None:
            found.append(f"the trigger {name} is missing")
        elif fingerprint(row.sql) != expected:
            found.append(f"the trigger {name} was changed")
    found += [
        f"{row.tbl_name} has a trigger {row.name} that is not ours"
        for row in present.values()
        if row.tbl_name.lower() in GUARDED_NAMES
    ]
    return found


async def _check_postgresql(connection: AsyncConnection) -> list[str]:
    asked = {"tables": list(GUARDED_NAMES)}
    found = []
    # A trigger's name is its own on one table only.
    present = {(row.table, row.name): row for row in await connection.execute(_POSTGRES_QUERY, asked)}
    for name, expected in POSTGRES_TRIGGERS.items():
        row = present.pop((expected.table, name), None)
        if row is None:
            found.append(f"the trigger {name} is missing")
            continue
        if row.enabled != "A":
            found.append(f"the trigger {name} is not enabled always")
        if row.conditional or row.kind != expected.kind or row.function != expected.function:
            found.append(f"the trigger {name} was changed")
        elif fingerprint(row.body) != POSTGRES_FUNCTIONS[expected.function]:
            found.append(f"the function {row.function} of the trigger {name} was changed")
    found += [f"{table} has a trigger {name} that is not ours" for table, name in present]
    for row in await connection.execute(_POSTGRES_STRANGE, asked):
        found += [f"{row.table} {words}" for name, words in _STRANGE.items() if getattr(row, name)]
    return found


def _wrong_shapes(connection: Connection) -> Iterator[str]:
    inspector = inspect(connection)
    present = set(inspector.get_table_names())
    for table in (*GUARDED, acts):
        if table.name not in present:
            yield f"the table {table.name} is missing"
            continue
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        if columns != set(table.columns.keys()):
            yield f"the columns of {table.name} were changed"
        key = inspector.get_pk_constraint(table.name)["constrained_columns"]
        if key != [column.name for column in table.primary_key.columns]:
            yield f"the primary key of {table.name} is missing or was changed"
        if table is entries and ["tenant", "id"] not in _unique(inspector, table.name):
            yield f"{table.name} does not keep ids unique"
        if table is acts and not any(_guards_live_step(index) for index in inspector.get_indexes(acts.name)):
            yield f"the unique index {LIVE_STEP} is missing or was changed"


def _unique(inspector: Inspector, table: str) -> list[list[str]]:
    return [constraint["column_names"] for constraint in inspector.get_unique_constraints(table)]


def _guards_live_step(index: Any) -> bool:
    where = " ".join(
        str(value) for name, value in index.get("dialect_options", {}).items() if "where" in name
    )
    return (
        index["name"] == LIVE_STEP
        and bool(index["unique"])
        and index["column_names"] == ["tenant", "kind", "chain", "step"]
        and all(word in where for word in ("exclusive", "'claimed'", "'performed'"))
    )


# -- The ledger's end -------------------------------------------------------------------------------------


async def self_test(
    connection: AsyncConnection,
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


async def _check_entries(connection: AsyncConnection, tenant: str, *, size: int, count: int) -> None:
    last = select(entries.c.index).where(entries.c.tenant == tenant).order_by(entries.c.index.desc()).limit(1)
    index = (await connection.execute(last)).scalar_one_or_none()
    end = 0 if index is None else index + 1
    if end != size or count != size:
        raise _broken(
            "head_mismatch",
            f"The head says {size} entries; there are {count}, and the last one is number {end - 1}.",
        )


async def _check_hashes(connection: AsyncConnection, tenant: str, frontier: Frontier) -> None:
    """Bytes against leaves for the last tiles' entries, leaves against the last full tile, tiles against the head."""
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
    connection: AsyncConnection,
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
    connection: AsyncConnection, tenant: str, frontier: Frontier, kept: tuple[int, bytes]
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
