"""What a transaction is spoken to through, and the form of it that writes to a SQLite file.

Guarantees: one transaction at a time writes to the file; what waits for a disk or for another process
(COMMIT, and BEGIN IMMEDIATE when the file is locked) waits in a thread, and while it does nobody else is kept
waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Engine, Executable
from sqlalchemy.exc import OperationalError

_T = TypeVar("_T")


class StoreConnection(Protocol):
    """The part of SQLAlchemy's AsyncConnection that the store uses."""

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]: ...

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]: ...

    async def run_sync(self, function: Callable[[Connection], _T]) -> _T: ...


class WritingConnection(StoreConnection, Protocol):
    """The part of AsyncConnection that begins and ends a write transaction."""

    def begin(self) -> Any: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...

    async def invalidate(self) -> None: ...

    async def close(self) -> None: ...


class SqliteWrites:
    """The one connection that writes to a SQLite file, lent to one transaction after another.

    Once a transaction has begun, a statement neither waits nor takes long: it is a plain call. aiosqlite
    changes threads four times for each, and two threads that both compute take the interpreter from one
    another at every statement; measured, that was a fifth of the time of a decision.
    """

    def __init__(self, engine: Engine, *, path: str, turn_seconds: float) -> None:
        self.path = path
        self._engine = engine
        self._turn_seconds = turn_seconds
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="controls-sqlite")

    async def connect(self) -> WritingConnection:
        """The connection, once whoever has it gives it back.

        Raises:
            TimeoutError: that took too long.
            SQLAlchemyError: the file cannot be opened.
        """
        async with asyncio.timeout(self._turn_seconds):
            await self._turn.acquire()
        try:
            return _Turn(self._engine.connect(), self._thread, self._turn, self._turn_seconds)
        except BaseException:
            self._turn.release()
            raise

    async def close(self) -> None:
        """End the thread, which may still wait for SQLite's lock, and close the file."""
        await asyncio.to_thread(self._thread.shutdown)
        self._engine.dispose()


class _Turn:
    """AsyncConnection's calls over the lent connection."""

    def __init__(
        self, connection: Connection, thread: ThreadPoolExecutor, turn: asyncio.Lock, lock_seconds: float
    ) -> None:
        self._connection = connection
        self._thread = thread
        self._turn = turn
        self._lock_seconds = lock_seconds

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    async def begin(self) -> None:
        try:
            # Mostly nobody else writes: then there is nothing to wait for, and no thread to change to.
            self._wait_for_locks(0)
            self._connection.begin()
        except OperationalError:
            self._wait_for_locks(self._lock_seconds)
            await self._apart(self._connection.begin)
        else:
            self._wait_for_locks(self._lock_seconds)

    def _wait_for_locks(self, seconds: float) -> None:
        """Set how long SQLite waits for locks, past SQLAlchemy, which would begin a transaction for it."""
        driver = self._connection.connection.dbapi_connection
        assert driver is not None
        driver.execute(f"PRAGMA busy_timeout={round(seconds * 1000)}")

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.exec_driver_sql(statement, parameters)

    async def run_sync(self, function: Callable[[Connection], _T]) -> _T:
        return function(self._connection)

    async def commit(self) -> None:
        await self._apart(self._connection.commit)

    async def rollback(self) -> None:
        self._connection.rollback()

    async def invalidate(self) -> None:
        self._connection.invalidate()

    async def close(self) -> None:
        try:
            self._connection.close()
        finally:
            self._turn.release()

    async def _apart(self, call: Callable[[], object]) -> None:
        waiting = asyncio.get_running_loop().run_in_executor(self._thread, call)
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            await asyncio.wait([waiting])  # the thread must have done with the connection first
            raise
