"""PostgreSQL databases that tests use one after the other, each finding one that is as good as new.

Emptying a database costs a twentieth of making and dropping one, which flushes the whole server twice.
Guarantees: whoever takes a database finds the tables as the template has them, no row, and nobody else
connected; one of which more than its rows was changed is dropped, and another is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg
from psycopg import sql

from tests.databases import PostgresServer

FIRST_MADE = 16384  # the first number that PostgreSQL gives to what is not of its own

END_EVERYBODY = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_get_activity(NULL)
WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""

# Everything but rows that tests change: tables, columns, guards, rights, owners, settings, the revision.
DEFINITIONS = f"""
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
  SELECT concat_ws(' ', oid, relname, relnamespace, relowner, relkind, relpersistence, relreplident,
    relrowsecurity, relforcerowsecurity, relacl, reloptions) FROM pg_class WHERE oid >= {FIRST_MADE}
  UNION ALL SELECT concat_ws(' ', datdba, datacl, datconnlimit) FROM pg_database
    WHERE datname = current_database()
  UNION ALL SELECT concat_ws(' ', nspname, nspowner, nspacl) FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%temp\\_%'
  UNION ALL SELECT setting::text FROM pg_db_role_setting AS setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  UNION ALL SELECT item::text FROM pg_attribute AS item WHERE attrelid >= {FIRST_MADE}
  UNION ALL SELECT item::text FROM pg_attrdef AS item
  UNION ALL SELECT item::text FROM pg_constraint AS item WHERE oid >= {FIRST_MADE}
  UNION ALL SELECT item::text FROM pg_trigger AS item
  UNION ALL SELECT item::text FROM pg_event_trigger AS item
  UNION ALL SELECT item::text FROM pg_policy AS item
  UNION ALL SELECT item::text FROM pg_rewrite AS item WHERE oid >= {FIRST_MADE}
  UNION ALL SELECT item::text FROM pg_proc AS item WHERE oid >= {FIRST_MADE}
  UNION ALL SELECT item::text FROM pg_default_acl AS item
  UNION ALL SELECT item::text FROM pg_extension AS item
  UNION ALL SELECT version_num FROM alembic_version
) AS definitions (line)
"""


class ReusedDatabases:
    """Copies of one template that are lent to one test at a time."""

    def __init__(self, server: PostgresServer, *, template: str) -> None:
        self._server, self._template = server, template
        self._free: dict[str, str] = {}  # name -> its definitions when it was made

    @contextmanager
    def one(self) -> Iterator[str]:
        """The name of a migrated database without a row, for the length of the block."""
        if self._free:
            name, made = self._free.popitem()
        else:
            name = self._server.create_database(template=self._template)
            with psycopg.connect(self._server.conninfo_of(name)) as connection:
                made = _definitions(connection)
        try:
            yield name
        finally:
            if self._emptied(name, made):
                self._free[name] = made
            else:
                self._server.drop_database(name)

    def drop_all(self) -> None:
        for name in self._free:
            self._server.drop_database(name)
        self._free.clear()

    def _emptied(self, name: str, made: str) -> bool:
        """Whether the database still is what was made, and so has been emptied; nobody is connected to it
        after that."""
        try:
            connection = psycopg.connect(self._server.conninfo_of(name))
        except psycopg.OperationalError:  # it is not there
            return False
        with connection:
            try:
                connection.execute(END_EVERYBODY)
                same = _definitions(connection) == made
            except psycopg.Error:  # it has no revision any more
                return False
            if same:
                connection.execute(_emptying())
        return same


def _definitions(connection: psycopg.Connection) -> str:
    """A digest of what the database is without its rows."""
    found = connection.execute(DEFINITIONS).fetchone()
    assert found is not None
    return str(found[0])


@cache
def _emptying() -> sql.Composed:
    """Deletes every row, which only the owner can, with the guards off."""
    from controls.store.guard_definitions import GUARDED_NAMES, POSTGRES_TRIGGERS
    from controls.store.tables import metadata

    guards_off = sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER")
    guards_on = sql.SQL("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}")
    statements = [
        *(guards_off.format(sql.Identifier(table)) for table in GUARDED_NAMES),
        *(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)) for table in metadata.tables),
        *(
            guards_on.format(sql.Identifier(trigger.table), sql.Identifier(guard))
            for guard, trigger in POSTGRES_TRIGGERS.items()
        ),
    ]
    return sql.SQL("; ").join(statements)
