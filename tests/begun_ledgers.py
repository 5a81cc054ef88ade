"""Ledgers begun once per process: nearly every test begins with a desk's ledger, and most with the same one.

Guarantees: who is given a ledger finds in its own database, byte for byte (SQLite) or row for row
(PostgreSQL), what `start_ledger` wrote into one like it: of the same kind, migrated and without a ledger.
Any other database is left alone. What starting a ledger does is tested where it is the subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from controls.store.migrate import newest_revision
from controls.store.tables import heads, metadata

newest = cache(newest_revision)


@dataclass(frozen=True, slots=True)
class Begun:
    """A ledger with one entry."""

    vkey: str
    keys: Mapping[str, str]  # name -> text
    key_ids: Mapping[str, str]
    signing_key: bytes
    checkpoint: bytes
    before: bytes | None  # SQLite: a digest of the file without a ledger
    tables: Mapping[str, bytes]  # its tables by name, or the whole file under no name


def digest(url: str) -> bytes | None:
    """Of the SQLite file at `url`; None for another kind of database, or one that is in use or not there."""
    path = _file(url)
    if path is None or not path.exists() or any(path.with_name(path.name + end).exists() for end in SIDE):
        return None
    return sha256(path.read_bytes()).digest()


def contents(url: str) -> Mapping[str, bytes]:
    """What the database at `url` holds, for `take_over`."""
    path = _file(url)
    if path is not None:
        return {"": path.read_bytes()}
    with psycopg.connect(_conninfo(url)) as connection:
        found = {table.name: _copied(connection, table.name) for table in metadata.sorted_tables}
    return {name: rows for name, rows in found.items() if rows}


def take_over(begun: Begun, url: str) -> bool:
    """Whether the database at `url` was as the other was before; if so it holds that ledger now."""
    path = _file(url)
    if path is not None:
        if begun.before is None or digest(url) != begun.before:
            return False
        path.write_bytes(begun.tables[""])
        return True
    with psycopg.connect(_conninfo(url)) as connection, connection.cursor() as cursor:
        try:
            cursor.execute(_VERSION)
        except psycopg.errors.UndefinedTable:
            return False
        if cursor.fetchall() != [(newest(),)]:
            return False
        for name, rows in begun.tables.items():
            with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(name))) as copy:
                copy.write(rows)
    return True


SIDE = ("-wal", "-shm", "-journal")
_VERSION = f"SELECT version_num FROM alembic_version WHERE NOT EXISTS (SELECT FROM {heads.name})"


def _copied(connection: psycopg.Connection, name: str) -> bytes:
    statement = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(bytes(block) for block in copy)


def _file(url: str) -> Path | None:
    parsed = make_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def _conninfo(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
