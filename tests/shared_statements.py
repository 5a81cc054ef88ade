"""SQL written once per process. Every engine that SQLAlchemy makes writes its statements anew, and most tests
make two engines: a sixth of what tests with a database took.

Guarantees: what is shared was written by the same driver for the same version of the same kind of database,
from the same statement (SQLAlchemy's own key); everything else of an engine stays its own.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

_WRITTEN: Final[LRUCache[Any, Any]] = LRUCache(5_000)


class SharedStatements:
    """In place of an engine's own cache of statements, whose keys begin with the engine's dialect."""

    def get(self, key: tuple[Any, ...]) -> Any:
        return _WRITTEN.get(_kind(key))

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        _WRITTEN[_kind(key)] = compiled


def _kind(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *statement = key
    return (type(dialect), getattr(dialect, "server_version_info", None), *statement)


def share_statements() -> None:
    """From here on engines share what they write."""
    DefaultDialect.engine_created = classmethod(_created)  # type: ignore[assignment]


def _created(_: type[DefaultDialect], engine: Engine) -> None:
    """What SQLAlchemy calls with each engine that it has made; by itself it does nothing."""
    engine._compiled_cache = SharedStatements()  # type: ignore[assignment]
