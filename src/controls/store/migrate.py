"""Bringing a database to a version of the tables, and back.

Guarantees: a migration is done whole or not at all; a ledger that holds entries is never taken away by a
downgrade unless its loss is asked for by name; every trouble surfaces as one `ControlsError` that says
what to do. The functions block: from async code call them in a thread.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

import controls
from controls.model.errors import Conflict, ControlsError, InvalidInput, Unavailable
from controls.store.database import LOCK_SECONDS, prepare_sqlite
from controls.store.rights import become_owner

if TYPE_CHECKING:  # Alembic is imported where it is used: a tenth of what starting any other command takes
    from alembic.config import Config
    from alembic.util import CommandError

# Alembic keeps what it works on in its modules, so two threads would write over each other.
_ALEMBIC: Final = Lock()

# Each driver the service uses, and the blocking one that migrations use instead.
_DRIVERS: Final[Mapping[str, str]] = {
    "sqlite+aiosqlite": "sqlite",
    "sqlite": "sqlite",
    "postgresql+asyncpg": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
}
# What an address may say to asyncpg and psycopg does not know under that name (None: not at all).
_ASYNCPG_ONLY: Final[Mapping[str, str | None]] = {
    "ssl": "sslmode",
    "timeout": "connect_timeout",
    "command_timeout": None,
    "statement_cache_size": None,
    "max_cached_statement_lifetime": None,
    "max_cacheable_statement_size": None,
    "prepared_statement_cache_size": None,
    "prepared_statement_name_func": None,
    "direct_tls": None,
}


class DatabaseUnreachable(Unavailable):
    """The database did not take the connection."""

    def __init__(self, url: URL, cause: BaseException) -> None:
        sqlite = url.get_backend_name() == "sqlite"
        super().__init__(
            "database_unreachable",
            "The database cannot be reached",
            detail=f"{url.render_as_string(hide_password=True)}: {_first_line(cause)}",
            help=(
                "Check that the folder exists, that the file is a database of this service and that nobody "
                "else keeps it locked."
                if sqlite
                else "Check the address, that the server runs and that this role may log in to this database."
            ),
        )


class RevisionUnknown(InvalidInput):
    """The asked or the stored version of the tables is none that this program knows."""

    def __init__(self, cause: CommandError) -> None:
        super().__init__(
            "revision_unknown",
            "This version of the tables is not known here",
            detail=_first_line(cause),
            help="Name a version that is in the folder `migrations`. If the database was migrated by a newer "
            "program, run that one.",
        )


class MigrationFailed(ControlsError):
    """The database refused a step; nothing of the migration was kept."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            "migration_failed",
            "The database refused the migration; nothing was changed",
            detail=_first_line(cause),
            help="On PostgreSQL migrate as a role that may become the owner of the tables (see "
            "deploy/postgresql-roles.sql), while nobody holds a lock on them.",
        )


class LedgerNotEmpty(Conflict):
    """A downgrade would delete what a ledger needs."""

    def __init__(self, table: str) -> None:
        super().__init__(
            "ledger_not_empty",
            "This downgrade would delete what the ledger needs",
            detail=f"{table} holds rows, and the older version of the tables has no place for them.",
            help="Export and verify the ledger first; then, if it really shall be deleted, say so: "
            "`-x allow_data_loss=yes` with alembic, or allow_data_loss=True in a program.",
        )


def migrate(url: str, *, revision: str = "head") -> str | None:
    """Bring the database up to `revision`, making its tables where there are none; its revision then.

    Raises:
        DatabaseUnreachable, RevisionUnknown, MigrationFailed: as their names say.
    """
    from alembic import command

    return _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, *, revision: str, allow_data_loss: bool = False) -> str | None:
    """Take the database back to `revision` (`base`: no tables at all); its revision then.

    Raises:
        LedgerNotEmpty: entries would be lost, and `allow_data_loss` does not say that they may.
        DatabaseUnreachable, RevisionUnknown, MigrationFailed: as their names say.
    """
    from alembic import command

    said = ["allow_data_loss=yes"] if allow_data_loss else []

    def run(config: Config) -> None:
        config.cmd_opts = Namespace(x=said)
        command.downgrade(config, revision)

    return _run(url, run)


def current_revision(url: str) -> str | None:
    """The version of the database's tables; None when it has none.

    Raises:
        DatabaseUnreachable: as its name says.
    """
    parsed = sync_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).exists():
        return None  # asking must not make an empty file
    with open_engine(url) as engine:
        return _revision(engine)


def newest_revision() -> str:
    """The version of the tables that this program works with."""
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None, "there is at least one migration"
    return newest


def migrations_folder() -> Path:
    """Where the migrations are: in the installed package, or beside `src` in a checkout."""
    package = Path(controls.__file__).parent
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


def sync_url(url: str) -> URL:
    """The same database through the blocking driver.

    Raises:
        InvalidInput: `url` is no address of a database that the service knows.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _bad_url("this is no address") from error
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise _bad_url(f"{parsed.drivername!r} is not known here")
    if driver == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise _bad_url("it must be a file")
        return parsed.set(drivername=driver, query={})
    query = {
        name: value
        for old, value in parsed.query.items()
        if (name := _ASYNCPG_ONLY.get(old, old)) is not None
    }
    return parsed.set(drivername=driver, query=query)


@contextmanager
def open_engine(url: str) -> Iterator[Engine]:
    """A blocking engine whose transactions hold DDL too; every database trouble in the block is ours.

    Raises:
        DatabaseUnreachable, MigrationFailed: as their names say.
    """
    address = sync_url(url)
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, poolclass=NullPool)
        prepare_sqlite(engine, begin="BEGIN IMMEDIATE")
    else:
        # A statement of a migration may take long; waiting for somebody's lock for long blocks the service.
        options = f"-c timezone=UTC -c lock_timeout={LOCK_SECONDS}s"
        engine = create_engine(
            address, poolclass=NullPool, connect_args={"connect_timeout": LOCK_SECONDS, "options": options}
        )
    try:
        with _reachable(engine):
            yield engine
    finally:
        engine.dispose()


@contextmanager
def _reachable(engine: Engine) -> Iterator[None]:
    try:
        engine.connect().close()
    except (DBAPIError, OSError) as error:
        raise DatabaseUnreachable(engine.url, error) from error
    try:
        yield
    except OperationalError as error:
        if error.connection_invalidated:
            raise DatabaseUnreachable(engine.url, error) from error
        raise MigrationFailed(error) from error
    except DBAPIError as error:
        raise MigrationFailed(error) from error


def _run(url: str, work: Callable[[Config], None]) -> str | None:
    from alembic.util import CommandError

    config = _config()
    with _ALEMBIC, open_engine(url) as engine:
        try:
            with engine.connect() as connection:
                config.attributes["connection"] = connection
                work(config)
        except CommandError as error:
            raise RevisionUnknown(error) from error
        return _revision(engine)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    # ConfigParser reads % as the start of an interpolation.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def _revision(engine: Engine) -> str | None:
    from alembic.migration import MigrationContext

    with engine.begin() as connection:
        become_owner(connection)  # a person who migrates may see the tables only as their owner
        return MigrationContext.configure(connection).get_current_revision()


def _first_line(cause: BaseException) -> str:
    text = str(getattr(cause, "orig", None) or cause).strip()
    return text.splitlines()[0] if text else type(cause).__name__


def _bad_url(why: str) -> InvalidInput:
    return InvalidInput(
        "database_url",
        "The address of the database cannot be used",
        detail=f"The address of the database cannot be used: {why}.",
        help="Use sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/NAME",
    )
