"""What a transaction is spoken to through, and the form of it that never leaves its thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Engine, Executable

_T = TypeVar("_T")


class StoreConnection(Protocol):
    """The part of SQLAlchemy's AsyncConnection that the store uses."""

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]: ...

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]: ...

    async def run_sync(self, function: Callable[[Connection], _T]) -> _T: ...


class BlockingConnection:
    """SQLAlchemy's AsyncConnection over an ordinary one: the same calls, each of which simply blocks.

    For a thread that does nothing else, such as the one that writes to SQLite: aiosqlite would change
    threads four times for every statement.
    """

    def __init__(self, engine: Engine) -> None:
        self._connection: Connection = engine.connect()

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    async def begin(self) -> None:
        self._connection.begin()

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.exec_driver_sql(statement, parameters)

    async def run_sync(self, function: Callable[[Connection], _T]) -> _T:
        return function(self._connection)

    async def commit(self) -> None:
        self._connection.commit()

    async def rollback(self) -> None:
        self._connection.rollback()

    async def invalidate(self) -> None:
        self._connection.invalidate()

    async def close(self) -> None:
        self._connection.close()
