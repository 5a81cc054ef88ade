"""The typed tree of a condition: what the checker makes and the evaluator compiles.

Guarantees: every node has a type; `key_of` gives equal text only to nodes of equal meaning, whatever their
parameters, variables, brackets and blanks are called or look like.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from controls.model.values import Money, Value, canonical, decimal_text
from controls.rules.arithmetic import Implementation
from controls.rules.datasets import DataColumn, DataList
from controls.rules.rates import Rate, Rates
from controls.rules.types import Kind, ValueType

MACROS: Final = ("exists", "all", "exists_one", "filter", "map")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """A piece of a condition with its type and its place in the source.

    `rounded`: the value may rest on a rounded quotient, so that arithmetic with it rounds too.
    """

    type: ValueType
    start: int
    end: int
    rounded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Typed):
    """A value known at load; `parameters` are those it comes from."""

    value: Value
    parameters: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactRead(Typed):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRead(Typed):
    """A field of a record; `name` is what to call it when it is missing."""

    base: Typed
    field: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableRead(Typed):
    """A macro's element; `level` counts the macros around that macro."""

    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRead(Typed):
    """`list.NAME`. Never folded: it may be long, and what it holds today is no law of the condition."""

    data: DataList


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRead(Typed):
    """`table.NAME[keys].column`; `name` is how people see it, when it is read and when it is missing."""

    table: str
    keys: tuple[Typed, ...]
    column: str
    data: DataColumn
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion(Typed):
    """`convert(money, currency, day, "NAME")`: the money in that currency at the rate of the day."""

    money: Typed
    currency: Typed
    day: Typed
    rates: Rates

    def name_of(self, rate: Rate, day: date) -> str:
        """How people see the rate of a day when it is read."""
        return f"rate.{self.rates.name}[{rate.base}/{rate.quote}, {day}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRead(Typed):
    """`chain.function("step")`, or `chain.steps` with an empty step."""

    function: str
    step: str

    @property
    def name(self) -> str:
        return f'chain.{self.function}("{self.step}")' if self.step else f"chain.{self.function}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Now(Typed):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence(Typed):
    """`has(part)`, of a reading."""

    part: Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Typed):
    operator: str
    left: Typed
    right: Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership(Typed):
    item: Typed
    source: Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Typed):
    """An operator or function that needs all its arguments.

    `rounding`: it rounds instead of failing. `elements`: it needs all elements of its lists as well.
    `calendar`: the digest of the calendar that it counts by, if any.
    """

    name: str
    arguments: tuple[Typed, ...]
    implementation: Implementation
    rounding: bool = False
    elements: bool = True
    calendar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logic(Typed):
    """`&&` (every) or `||` of its parts."""

    every: bool
    parts: tuple[Typed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Negation(Typed):
    part: Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Typed):
    test: Typed
    yes: Typed
    no: Typed


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(Typed):
    items: tuple[Typed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Macro(Typed):
    """One of MACROS over `source`; `body` reads the element as the variable of `level`."""

    name: str
    source: Typed
    body: Typed
    level: int


def children(node: Typed) -> tuple[Typed, ...]:
    match node:
        case FieldRead(base=base):
            return (base,)
        case CellRead(keys=keys):
            return keys
        case Conversion(money=money, currency=currency, day=day):
            return (money, currency, day)
        case Presence(part=part) | Negation(part=part):
            return (part,)
        case Comparison(left=left, right=right):
            return (left, right)
        case Membership(item=item, source=source):
            return (item, source)
        case Operation(arguments=parts) | Logic(parts=parts) | ListOf(items=parts):
            return parts
        case Choice(test=test, yes=yes, no=no):
            return (test, yes, no)
        case Macro(source=source, body=body):
            return (source, body)
        case _:
            return ()


def with_children(node: Typed, change: Callable[[Typed], Typed]) -> Typed:
    """The node with each of its children changed."""
    changed: dict[str, Any] = {}
    for field in fields(node):
        part = getattr(node, field.name)
        if isinstance(part, Typed):
            changed[field.name] = change(part)
        elif isinstance(part, tuple) and part and all(isinstance(item, Typed) for item in part):
            changed[field.name] = tuple(change(item) for item in part)
    return replace(node, **changed)


def walk(node: Typed) -> Iterator[Typed]:
    """The node and everything below it, in the source's order."""
    yield node
    for child in children(node):
        yield from walk(child)


def facts_of(node: Typed) -> frozenset[str]:
    return frozenset(part.name for part in walk(node) if isinstance(part, FactRead))


def data_of(node: Typed) -> dict[str, str]:
    """The lists, columns of tables and rates that `node` may read, each with its digest."""
    found: dict[str, str] = {}
    for part in walk(node):
        if isinstance(part, ListRead):
            found[f"list.{part.data.name}"] = part.data.digest
        elif isinstance(part, CellRead):
            found[f"table.{part.table}.{part.column}"] = part.data.digest
        elif isinstance(part, Conversion):
            found[f"rate.{part.rates.name}"] = part.rates.digest
    return found


def is_quotable(read: CellRead | Conversion) -> bool:
    """Whether it reads one cell or rate in one evaluation: what a macro goes through does not."""
    return not any(isinstance(part, VariableRead) for part in walk(read))


def cells_of(node: Typed) -> frozenset[str]:
    """The names of the cells of tables that are recorded when they are read."""
    return frozenset(part.name for part in walk(node) if isinstance(part, CellRead) and is_quotable(part))


def parameters_of(node: Typed) -> frozenset[str]:
    found: frozenset[str] = frozenset()
    for part in walk(node):
        if isinstance(part, Constant):
            found |= part.parameters
    return found


def key_of(node: Typed) -> str:
    """The canonical text of `node`."""
    match node:
        case Constant(value=value):
            return constant_text(value)
        case FactRead(name=name):
            return name
        case FieldRead(base=base, field=field):
            return f"{key_of(base)}.{field}"
        case VariableRead(level=level):
            return f"${level}"
        case ListRead(data=data):
            return f"list.{data.name}#{data.digest}"
        case CellRead(table=table, keys=keys, column=column, data=cells):
            return f"table.{table}#{cells.digest}[{', '.join(map(key_of, keys))}].{column}"
        case Conversion(rates=rates):
            return f"convert#{rates.digest}({', '.join(map(key_of, children(node)))})"
        case ChainRead():
            return node.name
        case Now():
            return "now"
        case Presence(part=part):
            return f"has({key_of(part)})"
        case Comparison(operator=operator, left=left, right=right):
            return f"({key_of(left)} {operator} {key_of(right)})"
        case Membership(item=item, source=source):
            return f"({key_of(item)} in {key_of(source)})"
        case Operation(name=name, arguments=arguments, rounding=rounding, calendar=calendar):
            # The mark tells `a + 0.333` that rounds (a folded quotient) from one that does not.
            mark = ("~" if rounding else "") + (f"#{calendar}" if calendar else "")
            if name[0].isalpha():
                return f"{name}{mark}({', '.join(map(key_of, arguments))})"
            if len(arguments) == 1:
                return f"({name}{key_of(arguments[0])})"
            return f"({key_of(arguments[0])} {name}{mark} {key_of(arguments[1])})"
        case Logic(every=every, parts=parts):
            return f"({(' && ' if every else ' || ').join(map(key_of, parts))})"
        case Negation(part=part):
            return f"!{key_of(part)}"
        case Choice(test=test, yes=yes, no=no):
            return f"({key_of(test)} ? {key_of(yes)} : {key_of(no)})"
        case ListOf(items=items):
            return f"[{', '.join(map(key_of, items))}]"
        case Macro(name=name, source=source, body=body, level=level):
            return f"{key_of(source)}.{name}(${level}, {key_of(body)})"
        case _:
            raise TypeError(f"{node.__class__.__name__} has no text")


def constant_text(value: Value) -> str:
    """A constant as it would be written; numbers of equal value have equal text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return decimal_text(Decimal(value))
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Money):
        return f'money("{value}")'
    if isinstance(value, datetime):
        return f'timestamp("{canonical(value)}")'
    if isinstance(value, date):
        return f'date("{value.isoformat()}")'
    if isinstance(value, timedelta):
        return f'duration("{canonical(value)}")'
    if isinstance(value, tuple):
        return f"[{', '.join(map(constant_text, value))}]"
    raise TypeError("a record is no constant")


def is_text(node: Typed) -> bool:
    """Whether `node` is text written in the condition itself, so that it may stand for money."""
    return isinstance(node, Constant) and node.type.kind is Kind.STRING and not node.parameters
