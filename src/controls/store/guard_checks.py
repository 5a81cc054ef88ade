"""Are the ledger's guards in place? Every trigger, key and table shape against what the migrations made.

Guarantees: a guard that is missing, switched off, emptied or made conditional is named, and so is what
works around one (a foreign trigger, a rule, a table that hides the real one). Nothing is changed.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from itertools import groupby
from typing import Any, Final

from sqlalchemy import text

from controls.store.connection import StoreConnection
from controls.store.guard_definitions import (
    GUARDED,
    GUARDED_NAMES,
    POSTGRES_FUNCTIONS,
    POSTGRES_TRIGGERS,
    SQLITE_TRIGGERS,
    fingerprint,
)
from controls.store.tables import acts, entries, heads, lineage_links, observations, trail_marks

# The unique indexes over what is held: name -> columns, and the mark of the acts that it is over.
LIVE: Final = {
    "uq_acts_live_step": (["tenant", "kind", "chain", "step"], "exclusive"),
    "uq_acts_live_vote": (["tenant", "kind", "chain", "step", "person"], "voting"),
}

_SQLITE_QUERY: Final = text(
    "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"
    " UNION ALL SELECT name, tbl_name, sql FROM sqlite_temp_master WHERE type = 'trigger'"
)
# Tables are looked up as the service does it, so that a table that hides the real one is found out.
_POSTGRES_QUERY: Final = text(
    "SELECT t.tgname AS name, c.relname AS table, t.tgtype AS kind, CAST(t.tgenabled AS text) AS enabled,"
    " t.tgqual IS NOT NULL OR CAST(t.tgattr AS text) <> '' AS conditional, p.proname AS function,"
    " concat_ws(' ', l.lanname, p.prosecdef, p.proconfig,"
    " replace(p.prosrc, quote_ident(n.nspname) || '.', '')) AS body"
    " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang"
    " WHERE NOT t.tgisinternal AND t.tgrelid IN"
    " (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS name)"
)
_POSTGRES_STRANGE: Final = text(
    "SELECT relname AS table, relkind <> 'r' AS kind, relpersistence <> 'p' AS persistence,"
    " EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid) AS rules, relrowsecurity AS security,"
    " EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent)) AS family"
    " FROM pg_class c WHERE oid IN"
    " (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS name)"
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
    " has_table_privilege(oid, 'TRUNCATE') AS truncate FROM pg_class WHERE oid IN"
    " (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS name)"
    " ORDER BY relname"
)
_POSTGRES_FORGETFUL: Final = text(
    "SELECT name FROM pg_settings WHERE setting = 'off'"
    " AND name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name"
)
# Tables whose columns and keys are as the migrations made them, and the indexes of two of them, all in one
# answer each: asked table by table and index by index this was much of what starting a service on a small
# ledger costs.
_SHAPED: Final = (*GUARDED, lineage_links, observations, trail_marks)
_SQLITE_SHAPES: Final = text(
    'SELECT made.name AS "table", shape.name AS "column", shape.pk AS place'
    " FROM sqlite_master made JOIN pragma_table_xinfo(made.name, 'main') shape"
    " WHERE made.type = 'table' AND shape.hidden <> 1"
)
_POSTGRES_SHAPES: Final = text(
    'SELECT c.relname AS "table", a.attname AS "column",'
    " coalesce(array_position(k.conkey, a.attnum), 0) AS place"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'"
    " WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND c.oid IN"
    " (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS name)"
)
# A row for each column of each index, in order.
_SQLITE_INDEXES: Final = text(
    'SELECT made.name AS "table", list.name AS name, list."unique" AS only, list.origin = \'u\' AS stated,'
    ' shape.name AS "column",'
    " (SELECT sql FROM sqlite_master WHERE type = 'index' AND name = list.name) AS definition"
    " FROM sqlite_master made JOIN pragma_index_list(made.name, 'main') list"
    " JOIN pragma_index_info(list.name, 'main') shape"
    " WHERE made.type = 'table' AND made.name IN (:entries, :acts) ORDER BY list.name, shape.seqno"
)
_POSTGRES_INDEXES: Final = text(
    'SELECT c.relname AS "table", i.relname AS name, x.indisunique AS only,'
    " EXISTS (SELECT FROM pg_constraint WHERE conindid = i.oid AND conrelid = c.oid AND contype = 'u')"
    ' AS stated, a.attname AS "column", pg_get_indexdef(i.oid) AS definition'
    " FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid"
    " CROSS JOIN unnest(x.indkey) WITH ORDINALITY AS part(number, place)"
    " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = part.number"
    " WHERE c.oid IN (to_regclass(:entries), to_regclass(:acts)) AND part.place <= x.indnkeyatts"
    " ORDER BY i.oid, part.place"
)
_WHERE: Final = re.compile(r"\)\s+where\s+(.+)", re.IGNORECASE | re.DOTALL)


async def check_guards(connection: StoreConnection) -> tuple[str, ...]:
    """What is missing of the guards or was changed; empty when all is as the migrations made it."""
    if connection.dialect.name == "sqlite":
        found = await _check_sqlite(connection)
    else:
        found = await _check_postgresql(connection)
    found += await _wrong_shapes(connection)
    return tuple(found)


async def check_surroundings(connection: StoreConnection) -> tuple[str, ...]:
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
            if row.table in (heads.name, acts.name) and "update" in more:
                more.remove("update")
            if more:
                found.append(f"the service has the right to {' and '.join(more)} on {row.table}")
    forgetful = (await connection.execute(_POSTGRES_FORGETFUL)).scalars()
    found += [f"{setting} is off: a crash can undo what was answered" for setting in forgetful]
    return tuple(found)


async def _check_sqlite(connection: StoreConnection) -> list[str]:
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


async def _check_postgresql(connection: StoreConnection) -> list[str]:
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


async def _wrong_shapes(connection: StoreConnection) -> list[str]:
    if connection.dialect.name == "sqlite":
        rows = (await connection.execute(_SQLITE_SHAPES)).all()
    else:
        tables = {"tables": [table.name for table in _SHAPED]}
        rows = (await connection.execute(_POSTGRES_SHAPES, tables)).all()
    present: dict[str, dict[str, int]] = {}  # table -> column -> its place in the primary key, 0 for none
    for row in rows:
        present.setdefault(row.table, {})[row.column] = row.place
    found = []
    for table in _SHAPED:
        columns = present.get(table.name)
        if columns is None:
            found.append(f"the table {table.name} is missing")
            continue
        if columns.keys() != set(table.columns.keys()):
            found.append(f"the columns of {table.name} were changed")
        key = sorted(filter(columns.get, columns), key=columns.__getitem__)
        if key != [column.name for column in table.primary_key.columns]:
            found.append(f"the primary key of {table.name} is missing or was changed")
    return [*found, *await _wrong_indexes(connection, present)]


async def _wrong_indexes(connection: StoreConnection, present: Container[str]) -> list[str]:
    sqlite = connection.dialect.name == "sqlite"
    asked = {"entries": entries.name, "acts": acts.name}
    rows = await connection.execute(_SQLITE_INDEXES if sqlite else _POSTGRES_INDEXES, asked)
    indexes = [list(parts) for _, parts in groupby(rows, key=lambda row: (row.table, row.name))]
    found = []
    if entries.name in present and not any(
        parts[0].table == entries.name and parts[0].stated and _columns(parts) == ["id", "tenant"]
        for parts in indexes
    ):
        found.append(f"{entries.name} does not keep ids unique")
    if acts.name in present:
        guarding = {parts[0].name for parts in indexes if parts[0].table == acts.name and _guards_live(parts)}
        found += [
            f"the unique index {name} is missing or was changed" for name in LIVE if name not in guarding
        ]
    return found


def _columns(parts: Sequence[Any]) -> list[str]:
    return [part.column for part in parts]


def _guards_live(parts: Sequence[Any]) -> bool:
    index = parts[0]
    if index.name not in LIVE:
        return False
    columns, mark = LIVE[index.name]
    where = _WHERE.search(index.definition)
    return (
        bool(index.only)
        and _columns(parts) == columns
        and where is not None
        and all(word in where[1] for word in (mark, "'claimed'", "'performed'"))
    )
