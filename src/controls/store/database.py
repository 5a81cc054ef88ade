"""Connections and transactions on SQLite and PostgreSQL.

Guarantees: a write transaction holds the database's one write lock (SQLite) or is ready to take the
tenant's head row lock (PostgreSQL); every database trouble surfaces as one of three errors that say
whether anything can have been written: `WriteRefused` (certainly not: the database is well and did not take
these data), `StoreUnavailable` (certainly not: no commit was sent, and any other write would have failed
too) and `CommitUnknown` (perhaps: look the ids up).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any, Final

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.ext.asyncio import create_async_engine

from controls.model.errors import Conflict, InvalidInput, Unavailable
from controls.store.connection import SqliteWrites, StoreConnection, WritingConnection

# Pages of SQLite's log (256 MB) after which a commit itself moves them into the database file. `settle` does
# it beside the commits, and far sooner: in a commit it makes everybody wait for a tenth of a second.
WAL_PAGES: Final = 65_536
# What a connection to SQLite keeps of the file. In its usual 2 MB a list of decisions does not fit: pages
# were written twice, and read again, within one transaction.
CACHE_KIB: Final = 16_384
# How long one statement may wait for a lock or run before the caller is told to retry.
LOCK_SECONDS: Final = 10
STATEMENT_SECONDS: Final = 20

# Classes of SQLSTATE by which PostgreSQL says that what it was given is at fault: how many values, which
# values, a constraint, too much of something, a guard.
_DATA_AT_FAULT: Final = frozenset({"21", "22", "23", "54", "P0"})

_RETRY = "Nothing was permitted. Retry with the same Idempotency-Key once the database answers again."


class StoreUnavailable(Unavailable):
    """The database could not do it, and certainly wrote nothing."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            "store_unavailable",
            "The ledger cannot record the decision",
            detail=f"The database refused or did not answer ({type(cause).__name__}).",
            help=_RETRY,
        )


class CommitUnknown(Unavailable):
    """The connection was lost while committing: the transaction may or may not have been written."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            "commit_unknown",
            "It is not known whether the decision was recorded",
            detail=f"The database stopped answering during COMMIT ({type(cause).__name__}).",
            help=_RETRY,
        )


class WriteRefused(Conflict):
    """A database constraint or guard refused the write; the whole transaction was rolled back."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            "write_refused",
            "The database's own constraints refused this write",
            detail=str(getattr(cause, "orig", cause)).splitlines()[0],
            help="This is the last line of defence and should never be reached: report it.",
        )


class Database:
    """One database, reached through SQLAlchemy's async engines.

    `durable=False` is for a SQLite file that is thrown away with its process: a crash of the machine may
    lose what was committed, and a commit waits for no disk.
    """

    def __init__(self, url: str, *, pool_size: int = 5, durable: bool = True) -> None:
        parsed = make_url(url)
        self.dialect = parsed.get_backend_name()
        self._writes: SqliteWrites | None = None  # the one writing connection to a SQLite file
        if parsed.drivername == "sqlite+aiosqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise InvalidInput(
                    "database_url",
                    "The database must be a file",
                    help="Name a file: sqlite+aiosqlite:///var/controls.db",
                )
            writing = create_engine(
                parsed.set(drivername="sqlite"),
                poolclass=QueuePool,
                pool_size=1,
                max_overflow=0,
                connect_args={"check_same_thread": False},
                hide_parameters=True,  # errors are logged, and parameters hold what is private
            )
            self._writes = SqliteWrites(writing, path=parsed.database, turn_seconds=LOCK_SECONDS)
            self._reader = create_async_engine(url, pool_size=pool_size, max_overflow=0, hide_parameters=True)
            prepare_sqlite(writing, begin="BEGIN IMMEDIATE", durable=durable)
            prepare_sqlite(self._reader.sync_engine, begin="BEGIN")
        elif parsed.drivername == "postgresql+asyncpg":
            self._reader = create_async_engine(
                url,
                pool_size=pool_size,
                max_overflow=2,
                pool_timeout=LOCK_SECONDS,
                hide_parameters=True,
                connect_args={
                    "timeout": LOCK_SECONDS,
                    "command_timeout": STATEMENT_SECONDS,
                    "server_settings": {
                        "application_name": "controls",
                        "lock_timeout": f"{LOCK_SECONDS}s",
                        "statement_timeout": f"{STATEMENT_SECONDS}s",
                        "idle_in_transaction_session_timeout": "30s",
                        "timezone": "UTC",
                    },
                },
            )
        else:
            raise InvalidInput(
                "database_url",
                f"{parsed.drivername!r} is not a database this service knows",
                help="Use sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER@HOST/NAME",
            )

    @asynccontextmanager
    async def write(self) -> AsyncIterator[StoreConnection]:
        """One write transaction, committed when the block ends without an error.

        Raises:
            WriteRefused, StoreUnavailable, CommitUnknown: see the module's guarantee.
        """
        try:
            connection: WritingConnection
            if self._writes is not None:
                connection = await self._writes.connect()
            else:
                connection = await self._reader.connect()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise StoreUnavailable(error) from error
        broken = True
        try:
            try:
                await connection.begin()
                yield connection
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                broken = not await _rolled_back(connection)
                refused = self.dialect == "postgresql" and _postgresql_refused(error)
                if refused or (self.dialect == "sqlite" and _sqlite_refused(error)):
                    raise WriteRefused(error) from error
                raise StoreUnavailable(error) from error
            except BaseException:
                broken = not await _rolled_back(connection)
                raise
            try:
                await connection.commit()
                broken = False
            except IntegrityError as error:
                broken = not await _rolled_back(connection)
                raise WriteRefused(error) from error
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                await _rolled_back(connection)
                raise CommitUnknown(error) from error
        finally:
            await _release(connection, broken=broken)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[StoreConnection]:
        """One consistent read."""
        try:
            async with self._reader.connect() as connection:
                if self.dialect == "postgresql":
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                async with connection.begin():
                    yield connection
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise StoreUnavailable(error) from error

    async def settle(self) -> None:
        """Move what SQLite's log holds into the database file, beside the writer and without stopping it."""
        if self._writes is not None:
            await asyncio.to_thread(_checkpoint, self._writes.path)

    async def close(self) -> None:
        if self._writes is not None:
            await self._writes.close()
        await self._reader.dispose()


def _checkpoint(path: str) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.Error as error:  # nothing is lost: the log holds it, and the next round tries again
        raise StoreUnavailable(error) from error


def _postgresql_refused(error: Exception) -> bool:
    """Whether the server is well and did not take the data, so that other data may fare better."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, StatementError)  # parameters that never reached the driver
    if error.connection_invalidated:
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # asyncpg could not encode a value: that error of its own is a ValueError
        return isinstance(getattr(error.orig, "__cause__", None), ValueError)
    return str(state)[:2] in _DATA_AT_FAULT


def _sqlite_refused(error: Exception) -> bool:
    """The same for SQLite: a locked, full or unreadable file is an OperationalError or DatabaseError."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, StatementError)
    return isinstance(error, IntegrityError | DataError | InterfaceError | ProgrammingError)


async def _rolled_back(connection: WritingConnection) -> bool:
    """Whether the connection could be rolled back; if not it must not be used again."""
    try:
        await connection.rollback()
    except (SQLAlchemyError, OSError, TimeoutError):
        return False
    return True


async def _release(connection: WritingConnection, *, broken: bool) -> None:
    """Give the connection back, or throw it away when its state is not certain."""
    try:
        if broken:
            await connection.invalidate()
        await connection.close()
    except (SQLAlchemyError, OSError, TimeoutError):
        # The pool has dropped the connection already; the error that matters is being raised.
        return


def prepare_sqlite(engine: Engine, *, begin: str, durable: bool = True) -> None:
    """WAL, full durability and the trigger settings that the ledger's guards rest on, on every connection."""
    synchronous = "FULL" if durable else "OFF"

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            f"wal_autocheckpoint={WAL_PAGES}",
            f"cache_size=-{CACHE_KIB}",
            "recursive_triggers=ON",
            "foreign_keys=ON",
            f"busy_timeout={LOCK_SECONDS * 1000}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
