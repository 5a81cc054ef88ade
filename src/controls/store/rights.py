"""Who may do what with which table on PostgreSQL: the rights that every migration run sets anew.

Guarantees: a table that is not named here is closed to everybody but its owner; the service can add to the
ledger and read it, and nothing else; nothing is granted to PUBLIC. The roles themselves are made by
`deploy/postgresql-roles.sql`; a role that does not exist gets nothing. SQLite has no roles: there all this
does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

OWNER: Final = "controls_owner"
SERVICE: Final = "controls_service"
READER: Final = "controls_reader"

_APPEND: Final = ("SELECT", "INSERT")
_KEEP: Final = (*_APPEND, "UPDATE")
_REPLACE: Final = (*_KEEP, "DELETE")

SERVICE_RIGHTS: Final[Mapping[str, tuple[str, ...]]] = {
    "alembic_version": ("SELECT",),
    "ledger_entries": _APPEND,
    "ledger_blobs": _APPEND,
    "ledger_tiles": _APPEND,
    "ledger_checkpoints": _APPEND,
    "ledger_heads": _KEEP,
    "ledger_disclosures": (*_APPEND, "DELETE"),  # erasure deletes value and salt, every proof stays valid
    "acts": _KEEP,
    "trail_marks": _REPLACE,  # a release that drops a trail deletes its marks, a merge renames its person
    "lineage_links": _APPEND,
    "duty_limits": _APPEND,
    "reviews": _KEEP,
    "approvals": _APPEND,
    "approval_uses": _APPEND,
    "idempotency": _REPLACE,  # stored answers are purged after 24 hours
    "aggregates": (*_APPEND, "DELETE"),  # a release that drops one deletes its salt
    "aggregate_observations": (*_APPEND, "DELETE"),  # deleted once they have left the longest window
    "persons": _REPLACE,  # a directory change writes a person's rows anew
    "accounts": _REPLACE,
    "role_assignments": _REPLACE,
    "person_attributes": _REPLACE,
    "absences": _REPLACE,
    "delegations": _REPLACE,
    "mitigations": _REPLACE,
    "merged_persons": _REPLACE,
    "scim_resources": _REPLACE,
    "api_keys": _KEEP,
    "changes": _KEEP,
}
# What anybody may see of the ledger: no disclosures, no working state with values of requests in it.
READER_RIGHTS: Final[Mapping[str, tuple[str, ...]]] = {
    "alembic_version": ("SELECT",),
    "ledger_entries": ("SELECT",),
    "ledger_blobs": ("SELECT",),
    "ledger_tiles": ("SELECT",),
    "ledger_checkpoints": ("SELECT",),
    "ledger_heads": ("SELECT",),
}

# Any number will do, as long as every version of the service takes the same.
_MIGRATION_LOCK: Final = 7_302_011_946


def wait_for_other_migrations(connection: Connection) -> None:
    """Hold back other migrations of this database until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})


def become_owner(connection: Connection) -> None:
    """Act as the owning role until the transaction ends, where this database was set up for it."""
    if connection.dialect.name != "postgresql":
        return
    # The role belongs to the server; whether this database uses it shows in the right to make tables.
    # Who may not become the owner goes on as himself: that is enough where there is nothing to do.
    # There is no current schema for somebody who may use it only as the owner.
    query = text(
        "SELECT count(*) FROM pg_roles WHERE rolname = :owner AND rolname <> current_user"
        " AND has_schema_privilege(oid, coalesce(current_schema(), 'public'), 'CREATE')"
        " AND pg_has_role(current_user, oid, 'MEMBER')"
    )
    if connection.execute(query, {"owner": OWNER}).scalar_one():
        connection.execute(text(f"SET LOCAL ROLE {OWNER}"))


def set_rights(connection: Connection) -> None:
    """Take all rights on our tables and functions from everybody, and give what this module lists."""
    if connection.dialect.name != "postgresql" or not _owns_tables(connection):
        return
    roles = _existing(
        connection, "SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)", (SERVICE, READER)
    )
    tables = _existing(
        connection,
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY(:names)",
        tuple(SERVICE_RIGHTS),
    )
    functions = connection.execute(
        text(
            "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
            " AND prorettype = 'trigger'::regtype AND proname LIKE 'guard\\_%'"
        )
    ).scalars()
    from_whom = ", ".join(["PUBLIC", *sorted(roles)])
    for function in sorted(functions):
        connection.execute(text(f'REVOKE ALL ON FUNCTION "{function}"() FROM {from_whom}'))
    for table in sorted(tables):
        connection.execute(text(f"REVOKE ALL ON TABLE {table} FROM {from_whom}"))
        for role, rights in ((SERVICE, SERVICE_RIGHTS), (READER, READER_RIGHTS)):
            if role in roles and table in rights:
                connection.execute(text(f"GRANT {', '.join(rights[table])} ON TABLE {table} TO {role}"))


def _owns_tables(connection: Connection) -> bool:
    """Whether we may give rights: somebody who only looks whether there is anything to do may not."""
    query = text(
        "SELECT coalesce(pg_has_role(current_user, relowner, 'USAGE'), false) FROM pg_class"
        " WHERE oid = to_regclass('alembic_version')"
    )
    return bool(connection.execute(query).scalar_one_or_none())


def _existing(connection: Connection, query: str, names: tuple[str, ...]) -> set[str]:
    return set(connection.execute(text(query), {"names": list(names)}).scalars())
