"""Runs the migrations, for `controls migrate`, for the tests and for the `alembic` command alike.

Guarantees: one transaction for everything, so a migration that fails leaves nothing behind (SQLite too);
one migration at a time on one database; on PostgreSQL, what is made belongs to `controls_owner` where that
role is set up, and the rights of the other roles are set anew afterwards.

The database is, in this order: the connection that the caller passes in `config.attributes["connection"]`;
`-x url=...`; the option `sqlalchemy.url`; the variable CONTROLS_DATABASE_URL.
"""

from __future__ import annotations

import os

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from controls.store.migrate import open_engine
from controls.store.rights import become_owner, set_rights, wait_for_other_migrations
from controls.store.tables import metadata


def run(connection: Connection) -> None:
    """Run what was asked for; commits, unless the caller has begun a transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        # Alembic takes SQLite for unable to roll DDL back; `open_engine` makes it able.
        transactional_ddl=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        wait_for_other_migrations(connection)
        become_owner(connection)
        context.run_migrations()
        set_rights(connection)


def database_url() -> str:
    """The address that the `alembic` command was given."""
    url = (
        context.get_x_argument(as_dictionary=True).get("url")
        or context.config.get_alembic_option("sqlalchemy.url")
        or os.environ.get("CONTROLS_DATABASE_URL")
    )
    if not url:
        raise CommandError("Name the database: `-x url=...` or the variable CONTROLS_DATABASE_URL.")
    return str(url)


if context.is_offline_mode():
    raise CommandError(
        "These migrations look at the database (are there entries? which roles?), so they cannot be "
        "written as a script: run them without --sql."
    )

given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with open_engine(database_url()) as engine, engine.connect() as own:
        run(own)
