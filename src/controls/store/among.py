"""`column IN (a list)` as one statement with one parameter, on both databases.

Guarantees: the text of the statement does not depend on how long the list is, so it is compiled once; the
list may hold more values than a statement may have parameters; an index on the column is used. (A pair such
as `(kind, chain) IN (...)` would not use one on SQLite: it reads the whole table.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Dialect, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


class TextList(TypeDecorator[Iterable[str]]):
    """A list of texts as one parameter: an array on PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(ARRAY(Text()) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> Any:
        wanted = sorted(set(value or ()))
        return wanted if dialect.name == "postgresql" else json.dumps(wanted)


class _Also(FunctionElement[bool]):
    """An equality that may filter but never choose the index."""

    name = "also"
    type = Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # a condition as it stands: "... = 1" around it would hide the column


class _Among(FunctionElement[bool]):
    """A column and the list it is looked up in."""

    name = "among"
    type = Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # a condition as it stands: "... = 1" around it would hide the column


def among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The condition that `column` is one of the texts given as parameter `name`."""
    return _Among(column, bindparam(name, type_=TextList()))


def also(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The condition that `column` equals parameter `name`, where another condition is to choose the index.

    SQLite without statistics takes an equality on the first column of any index for selective, and a tenant
    is nothing less than that.
    """
    return _Also(column, bindparam(name, type_=column.type))


@compiles(_Also, "sqlite")
def _also_on_sqlite(element: _Also, compiler: SQLCompiler, **options: Any) -> str:
    column, wanted = (compiler.process(clause, **options) for clause in element.clauses)
    return f"+{column} = {wanted}"


@compiles(_Also, "postgresql")
def _also_on_postgresql(element: _Also, compiler: SQLCompiler, **options: Any) -> str:
    column, wanted = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = {wanted}"


@compiles(_Among, "sqlite")
def _on_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, wanted = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({wanted}))"  # noqa: S608  # both are placeholders


@compiles(_Among, "postgresql")
def _on_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, wanted = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({wanted})"
