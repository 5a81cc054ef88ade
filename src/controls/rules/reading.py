"""What conditions read on their way to an answer: the unknown, cells, rates, and a record of it all.

Guarantees: a key that is not in a table, or whose cell is empty, is missing and never an error; whether a
table has a row for a key that is not known is not known either. A rate that is not there is an error: no
`missing: skip` passes over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import TypeAlias, cast

from controls.model.condition import Facts
from controls.model.record import record
from controls.model.values import Money, Value
from controls.rules.arithmetic import describe
from controls.rules.rates import converted
from controls.rules.tree import CellRead, Constant, Conversion, Now, Operation, Typed, is_quotable


@record
class Unknown:
    """No value: the facts that were missing, and the first thing that could not be computed."""

    missing: tuple[str, ...] = ()
    error: str = ""

    def joined(self, other: Unknown) -> Unknown:
        if other is self:
            return self
        missing = tuple(dict.fromkeys((*self.missing, *other.missing)))
        return Unknown(missing, self.error or other.error)


# The elements that the macros around are at, each after the number of visits that its macro makes.
Variables: TypeAlias = "tuple[object, ...]"
Run: TypeAlias = Callable[[Facts, Variables], object]


class Recording(Mapping[str, Value]):
    """Facts that remember which of them were read; cells of tables and rates are noted beside them.

    A list is not: it may be long, and the version of the rule stands for what it held.
    """

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        self.read: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        value = self._values[name]
        self.read[name] = value
        return value

    def __contains__(self, name: object) -> bool:
        present = name in self._values
        if present:
            self.read[cast(str, name)] = self._values[cast(str, name)]
        return present

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def look_up(cell: CellRead, keys_of: Run) -> Run:
    """The closure that reads a cell; `keys_of` computes the row's keys."""
    cells, name = cast("Mapping[object, Value]", cell.data.cells), cell.name
    absent, quotable = Unknown((name,)), is_quotable(cell)

    def read(facts: Facts, variables: Variables) -> object:
        keys = keys_of(facts, variables)
        if isinstance(keys, Unknown):
            return keys
        value = cells.get(keys)
        if value is None:
            return absent
        if quotable and isinstance(facts.values, Recording):
            facts.values.read[name] = value
        return value

    return read


def presence(cell: CellRead, keys_of: Run) -> Run:
    """The closure that tells whether there is something in a cell."""
    cells = cell.data.cells

    def present(facts: Facts, variables: Variables) -> object:
        keys = keys_of(facts, variables)
        return keys if isinstance(keys, Unknown) else keys in cells

    return present


def exchange(node: Conversion, money_of: Run, parts_of: Run) -> Run:
    """The closure that converts money; `parts_of` computes the money, the currency and the day."""
    convert = _exchange(node, parts_of)
    if not isinstance(node.currency, Constant) or not _is_today(node.day):
        return convert
    currency = node.currency.value

    def convert_today(facts: Facts, variables: Variables) -> object:
        # The commonest case: limits in the currency of most orders, at today's rate, which is always known.
        money = money_of(facts, variables)
        if isinstance(money, Money) and money.currency == currency:
            return money
        return convert(facts, variables)

    return convert_today


def _is_today(day: Typed) -> bool:
    return isinstance(day, Operation) and day.name == "date_of" and isinstance(day.arguments[0], Now)


def _exchange(node: Conversion, parts_of: Run) -> Run:
    rates, quotable = node.rates, is_quotable(node)

    def convert(facts: Facts, variables: Variables) -> object:
        parts = parts_of(facts, variables)
        if isinstance(parts, Unknown):
            return parts
        money, currency, day = cast("tuple[Money, str, date]", parts)
        if money.currency == currency:
            return money
        try:
            rate = rates.on(money.currency, currency, day)
            found = converted(money, rate)
        except ArithmeticError as problem:
            return Unknown((), describe(problem))
        if quotable and isinstance(facts.values, Recording):
            facts.values.read[node.name_of(rate, day)] = rate.rate
        return found

    return convert
