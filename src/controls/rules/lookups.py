"""Syntax tree -> typed tree: `list.NAME`, `table.NAME[key].column`, `convert(money, currency, day, "NAME")`.

Guarantees: those of `checker`. A look-up names a list, table or rates of the release, with keys that its rows
can have; nothing goes through a long list row by row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from controls.rules.checker import TreeChecker
from controls.rules.datasets import DataColumn, DataTable
from controls.rules.diagnostics import listed
from controls.rules.rates import Rates
from controls.rules.scope import suggestion
from controls.rules.syntax import Call, ConditionError, Index, Node, Path, Select
from controls.rules.tree import (
    CellRead,
    Constant,
    Conversion,
    FieldRead,
    ListRead,
    Membership,
    Operation,
    Typed,
    VariableRead,
    children,
    key_of,
)
from controls.rules.types import DATE, MONEY, STRING, comparable, list_of

CONVERT: Final = "convert"
MAX_WALKED: Final = 1_000  # as many items as a fact may have: what grows with the list is paid per request


class LookupChecker(TreeChecker):
    """Checks one condition, look-ups included."""

    def _path(self, node: Path) -> Typed | None:
        match node.parts:
            case ("list", name, *fields):
                return self._fields(node, self._list_read(node, name), fields)
            case ("table", name, *_):
                if self._table(node, name) is not None:
                    self._wrong(node, "wrong_type", f"look into a table by its key: table.{name}[key].column")
                return None
            case ("list" | "table" as word,):
                example = "list.restricted" if word == "list" else "table.limits[person.id].amount"
                self._wrong(node, "unknown_name", f"say which {word}, as in {example}")
                return None
        return super()._path(node)

    def _select(self, node: Select) -> Typed | None:
        if isinstance(node.base, Index):
            return self._cell(node, node.base)
        return super()._select(node)

    def _index(self, node: Index) -> Typed | None:
        table = self._indexed(node)
        if table is not None:
            self._wrong(node, "wrong_type", f"say which column: {listed(table.columns)}")
        return None

    def _list_read(self, node: Node, name: str) -> Typed | None:
        found = self._names.data.lists.get(name)
        if found is None:
            self._unknown(node, "list", name, self._names.data.lists)
            return None
        return ListRead(type=list_of(found.type), start=node.start, end=node.end, data=found)

    def _cell(self, node: Select, row: Index) -> Typed | None:
        parts = [self.check(key) for key in row.keys]
        table = self._indexed(row)
        if table is None:
            return None
        column = self._column(node, table)
        names = listed(name for name, _ in table.keys)
        if len(parts) != len(table.keys):
            self._wrong(row, "wrong_type", f"the key of this table is [{names}]")
            return None
        keys = [key for key in parts if key is not None]
        if column is None or len(keys) < len(parts):
            return None
        for key, (name, type_) in zip(keys, table.keys, strict=True):
            if not comparable(key.type, type_, ordered=False):
                self._wrong(key, "incomparable_types", f"the key {name} is {type_}, and this is {key.type}")
                return None
        return CellRead(
            type=column.type,
            start=node.start,
            end=node.end,
            table=table.name,
            keys=tuple(keys),
            column=node.field,
            data=column,
            name=f"table.{table.name}[{', '.join(map(self._said, keys))}].{node.field}",
        )

    def _conversion(self, node: Call) -> Typed | None:
        parts = [self.check(argument) for argument in node.arguments]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        usage = 'convert(money, "EUR", date, "NAME of rates/NAME.csv")'
        if [part.type for part in found] != [MONEY, STRING, DATE, STRING]:
            given = ", ".join(str(part.type) for part in found) or "nothing"
            self._wrong(node, "wrong_type", f"this takes {usage} and not {given}")
            return None
        money, currency, day, name = found
        if not isinstance(name, Constant):
            self._wrong(name, "wrong_type", f"the table of rates is known at load: {usage}")
            return None
        rates = self._names.data.rates.get(str(name.value))
        if rates is None:
            hint = suggestion(str(name.value)[:80], self._names.data.rates) or ": add its file"
            message = f"there is no rates/{str(name.value)[:63]}.csv{hint}"
            self._wrong(name, "unknown_rates", message)
            return None
        if not self._is_quoted(currency, rates):
            return None
        return Conversion(
            type=MONEY,
            start=node.start,
            end=node.end,
            rounded=True,
            money=money,
            currency=currency,
            day=day,
            rates=rates,
        )

    def _is_quoted(self, currency: Typed, rates: Rates) -> bool:
        """Whether the table has rates of a currency that is known at load; notes it when not."""
        if not isinstance(currency, Constant) or currency.value in rates.currencies:
            return True
        code = str(currency.value)
        known = suggestion(code[:20], rates.currencies) or f": it has {listed(rates.currencies) or 'none'}"
        message = f"rates/{rates.name}.csv has no rate of `{code[:20]}`{known}"
        self._wrong(currency, "bad_literal", message)
        return False

    def _indexed(self, node: Index) -> DataTable | None:
        """The table that brackets stand behind; None when it is none, which is then noted."""
        base = node.base
        if isinstance(base, Path) and len(base.parts) == 2 and base.parts[0] == "table":
            return self._table(base, base.parts[1])
        self._wrong(node, "wrong_type", "brackets look into a table: table.NAME[key].column")
        return None

    def _table(self, node: Node, name: str) -> DataTable | None:
        found = self._names.data.tables.get(name)
        if found is None:
            self._unknown(node, "table", name, self._names.data.tables)
        return found

    def _column(self, node: Select, table: DataTable) -> DataColumn | None:
        found = table.columns.get(node.field)
        if found is None:
            hint = suggestion(node.field[:80], table.columns) or f": it has {listed(table.columns)}"
            message = f"table.{table.name} has no column `{node.field[:80]}` to look up{hint}"
            self._wrong(node, "unknown_name", message)
        return found

    def _unknown(self, node: Node, word: str, name: str, known: Mapping[str, object]) -> None:
        hint = suggestion(name[:80], known) or f": its rows belong into {word}s/{name[:63]}.csv"
        self._wrong(node, "unknown_name", f"there is no {word} `{name[:80]}`{hint}")

    def _said(self, key: Typed) -> str:
        """A key as people read it in the name of a cell."""
        if isinstance(key, Constant) and isinstance(key.value, str):
            return json.dumps(key.value, ensure_ascii=False)
        return self._called(key) if isinstance(key, VariableRead | FieldRead) else key_of(key)


def walked_too_long(node: Typed) -> list[ConditionError]:
    """An error for every long list that something goes through; `in` and size() look up."""
    found: list[ConditionError] = []
    for child in children(node):
        if isinstance(child, ListRead) and len(child.data.items) > MAX_WALKED:
            counts = isinstance(node, Operation) and node.name == "size"
            if not counts and not isinstance(node, Membership):
                many = f"list.{child.data.name} has {len(child.data.items):,} items"
                message = f"{many}: past {MAX_WALKED:,} ask only `in` and size(), which look it up"
                found.append(ConditionError(child.start, child.end - child.start, "too_large", message))
        found += walked_too_long(child)
    return found
