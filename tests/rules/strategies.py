"""Generated conditions and facts, for every test that needs some.

`conditions(names)` gives source text that compiles, `fact_values(names)` values for `Facts.values` with some
missing. `condition_trees` and `trees` give the trees behind the text (`Tree`), which the oracle interprets:
it never sees the text, so that parser and printer are tested by each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import strategies as st

from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.values import Money, canonical
from controls.rules.calendars import Calendar
from controls.rules.condition import ConditionInvalid, Names, compile_condition
from controls.rules.datasets import Data
from controls.rules.rates import RATE_HEADER
from controls.rules.types import (
    BOOL,
    DATE,
    DECIMAL,
    DURATION,
    INT,
    MONEY,
    STRING,
    TIMESTAMP,
    Kind,
    ValueType,
    list_of,
    record_of,
)
from tests.rules.rule_sets import data_of_files
from tests.rules.trees import CALENDARS, COMPARISONS, RATES, ZONES, Tree, render

LINE = record_of({"account": STRING, "quantity": DECIMAL, "lots": INT, "price": MONEY, "final": BOOL})
STEPS = ("capture", "approve", "execute", "allocate")
PERSONS = ("ana", "luis", "Ñuño")
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

LISTS: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "symbols": ("string", ("buy", "Ñandú", "日本", 'a"b\\c', "x1", "ana")),
    "sizes": ("decimal", (Decimal(1), Decimal("0.5"), Decimal(100), Decimal("-2.25"))),
    "counts": ("int", (0, 3, 10**15)),
    "days": ("date", (date(2026, 3, 2), date(9999, 12, 31))),
    "nobody": ("string", ()),
}
# The header with its keys first, and the rows; what a row does not say is an empty cell.
TABLES: Mapping[str, tuple[tuple[str, ...], tuple[dict[str, Any], ...]]] = {
    "limits": (
        (
            "who:string key",
            "active:bool?",
            "amount:money",
            "lots:int?",
            "ratio:decimal?",
            "desk:string?",
            "since:timestamp?",
            "until:date?",
            "within:duration?",
        ),
        (
            {"who": "buy", "active": True, "amount": Money(Decimal("100.00"), "EUR"), "lots": 4},
            {"who": "sell", "active": False, "amount": Money(Decimal(0), "EUR"), "desk": "buy"},
            {"who": "ana", "amount": Money(Decimal(7), "USD"), "ratio": Decimal("0.05"), "lots": 0},
            {"who": "Ñuño", "amount": Money(Decimal(-1), "EUR"), "until": date(2026, 3, 3)},
            {
                "who": 'a"b\\c',
                "amount": Money(Decimal("2.25"), "EUR"),
                "since": datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
                "within": timedelta(hours=1),
                "ratio": Decimal(99999999999999999999999999999),
            },
        ),
    ),
    "slots": (
        ("number:decimal key", "late:bool key", "size:decimal", "day:date?", "side:string?"),
        tuple(
            {"number": Decimal(number), "late": late, "size": Decimal(number) / 2, **more}
            for number, late, more in (
                (0, True, {"day": date(2026, 3, 2)}),
                (1, True, {"side": "buy"}),
                (1, False, {"side": "日本"}),
                (2, False, {}),
                (7, False, {"day": date(2024, 2, 29), "side": "capture"}),
            )
        ),
    ),
}


def _csv(header: tuple[str, ...], rows: list[list[Any]]) -> str:
    def cell(value: Any) -> str:
        text = "" if value is None else str(canonical(value))
        return f'"{text.replace(chr(34), 2 * chr(34))}"'

    lines = [",".join(header), *(",".join(map(cell, row)) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def _data() -> Data:
    """The lists, tables and rates through the loader; the oracle has them as they stand above."""
    files = {
        f"lists/{name}.csv": _csv((f"item:{type_}",), [[item] for item in items])
        for name, (type_, items) in LISTS.items()
    }
    for name, (header, rows) in TABLES.items():
        names = [column.partition(":")[0] for column in header]
        files[f"tables/{name}.csv"] = _csv(header, [[row.get(column) for column in names] for row in rows])
    for name, rates in RATES.items():
        rows = [[base, quote, first, last, rate] for base, quote, first, last, rate in rates]
        files[f"rates/{name}.csv"] = _csv(tuple(RATE_HEADER.split(",")), rows)
    return data_of_files(files)


NAMES = Names(
    facts={
        "order.notional": MONEY,
        "account.open_exposure": MONEY,
        "order.quantity": DECIMAL,
        "order.price": DECIMAL,
        "order.fills": INT,
        "order.side": STRING,
        "order.instrument": STRING,
        "order.is_block": BOOL,
        "order.short": BOOL,
        "order.trade_date": DATE,
        "order.settlement_date": DATE,
        "order.received_at": TIMESTAMP,
        "order.patience": DURATION,
        "order.lines": list_of(LINE),
        "order.fees": list_of(MONEY),
        "order.ratios": list_of(DECIMAL),
        "order.tags": list_of(STRING),
        "order.broker": record_of({"lei": STRING, "rating": INT}),
        "person.id": STRING,
        "person.roles": list_of(STRING),
    },
    parameters={
        "threshold": (MONEY, Money(Decimal("100.00"), "EUR")),
        "collar": (DECIMAL, Decimal("0.05")),
        "lot": (INT, 4),
        "sides": (list_of(STRING), ("buy", "sell")),
        "desk": (STRING, "buy"),
        "armed": (BOOL, True),
    },
    steps=frozenset(STEPS),
    data=_data(),
    calendars={
        name: Calendar(name, days.first_year, days.last_year, days.weekend, days.holidays)
        for name, days in CALENDARS.items()
    },
)

PATTERNS = ("^b", "y$", "a|b", "^$", "[A-Z]{2}", "ñ", r"\d+", ".")
TEXTS = ("", "buy", "sell", "BUY", "trader", "Ñandú", "日本", 'a"b\\c', "two\nlines", "x1", *PERSONS, *STEPS)
WHOLE = (0, 1, 2, 3, 4, 7, 100, 10**15, 10**29 - 1)
NUMBERS = tuple(
    Decimal(text)
    for text in [
        "0",
        "0.0",
        "1",
        "1.00",
        "2",
        "3",
        "4.0",
        "0.5",
        "0.05",
        "0.1",
        "2.25",
        "7",
        "100",
        "150.00",
        "99.99",
        "0.0000000000000000000000000001",
        "10000000000000000000000000000",
        "99999999999999999999999999999",
        "1234567890123456789012345678.901234",
        "3333333333.33333333333333333333",
    ]
)
DATES = (date(2026, 3, 2), date(2026, 3, 3), date(2024, 2, 29), date(9999, 12, 31), date(1, 1, 1))
DATES += (date(2026, 3, 1), date(2026, 3, 6), date(2024, 1, 1), date(2027, 12, 31), date(2028, 1, 1))
MOMENTS = (NOW, NOW - timedelta(hours=1), NOW + timedelta(microseconds=1), datetime(2024, 2, 29, tzinfo=UTC))
# Late evenings, and the hours around the change of clocks in Madrid and in New York.
MOMENTS += (datetime(2026, 3, 2, 23, 30, tzinfo=UTC), datetime(2026, 3, 3, 4, 59, 59, 999_999, tzinfo=UTC))
MOMENTS += tuple(
    datetime(2026, month, day, hour, tzinfo=UTC)
    for month, day, hours in ((3, 29, (0, 1)), (10, 25, (0, 1)), (3, 8, (6, 7)), (11, 1, (5, 6)))
    for hour in hours
)
SPANS = tuple(
    timedelta(seconds=seconds) for seconds in (0, 1, 1800, 3600, 86400, 2 * 86400, 86401, 900_000 * 86400)
)


@dataclass(frozen=True)
class _Scope:
    """What may be mentioned at one place: names, and the macro variables around it."""

    names: Names
    variables: tuple[tuple[str, ValueType], ...] = ()

    def readable(self, wanted: ValueType) -> list[Tree]:
        """Every name and field of the type."""
        found: list[Tree] = []
        for name, type_ in self.names.facts.items():
            found += _reads(Tree("fact", (name,)), type_, wanted)
        for name, type_ in self.variables:
            # Several times: a body that ignores its element is dull.
            found += 6 * _reads(Tree("variable", (name,)), type_, wanted)
        if wanted == TIMESTAMP:
            found.append(Tree("now", ()))
        found += [
            tree for tree, element in self.lists() if tree.operator == "data" and wanted == list_of(element)
        ]
        return found

    def columns(self, wanted: ValueType | None = None) -> list[tuple[str, str]]:
        """Every column of the type, or of any, with its table in front."""
        return [
            (name, column)
            for name, table in self.names.data.tables.items()
            for column, data in table.columns.items()
            if wanted in (None, data.type)
        ]

    def parameters(self, wanted: ValueType) -> list[Tree]:
        return [
            Tree("parameter", (name,))
            for name, (type_, _) in self.names.parameters.items()
            if type_ == wanted
        ]

    def lists(self) -> list[tuple[Tree, ValueType]]:
        """Every list fact with its element's type."""
        return [
            (Tree("fact", (name,)), type_.element)
            for name, type_ in self.names.facts.items()
            if type_.element is not None
        ] + [(Tree("data", (name,)), data.type) for name, data in self.names.data.lists.items()]

    @property
    def steps(self) -> list[str]:
        return sorted(self.names.steps) or ["capture"]


def _reads(base: Tree, type_: ValueType, wanted: ValueType) -> list[Tree]:
    found = [base] if type_ == wanted else []
    for field, inner in type_.fields:
        found += _reads(Tree("field", (base, field)), inner, wanted)
    return found


def _plain_value(random: Random, type_: ValueType) -> Any:
    match type_.kind:
        case Kind.BOOL:
            return random.random() < 0.5
        case Kind.INT:
            return random.choice((random.randint(0, 12), random.randint(0, 12), random.choice(WHOLE)))
        case Kind.DECIMAL:
            return random.choice((Decimal(random.randint(0, 20_000)).scaleb(-2), random.choice(NUMBERS)))
        case Kind.MONEY:
            return Money(_plain_value(random, DECIMAL), "USD" if random.random() < 0.08 else "EUR")
        case Kind.STRING:
            return random.choice(TEXTS)
        case Kind.DATE:
            return random.choice(DATES)
        case Kind.TIMESTAMP:
            return random.choice(MOMENTS)
        case Kind.DURATION:
            return random.choice(SPANS)
        case _:
            raise ValueError(f"no literals of {type_}")


def random_value(random: Random, type_: ValueType) -> Any:
    """A fact's value of the type, negative ones and records with missing fields included."""
    if type_.kind is Kind.LIST:
        assert type_.element is not None
        return tuple(random_value(random, type_.element) for _ in range(random.randint(0, 4)))
    if type_.kind is Kind.RECORD:
        return {name: random_value(random, inner) for name, inner in type_.fields if random.random() > 0.15}
    value = _plain_value(random, type_)
    if type_.kind not in (Kind.INT, Kind.DECIMAL, Kind.DURATION) or random.random() > 0.2:
        return value
    # Not `-value` for decimals: that rounds to 28 digits.
    return value.copy_negate() if isinstance(value, Decimal) else -value


def random_facts(random: Random, names: Names) -> dict[str, Any]:
    missing = random.choice((0.0, 0.15, 0.4))
    return {
        name: random_value(random, type_) for name, type_ in names.facts.items() if random.random() >= missing
    }


def random_history(random: Random, names: Names) -> ChainHistory:
    steps = sorted(names.steps) or ["capture"]
    acts = [
        Act(
            claim=f"claim-{index}",
            decision=f"decision-{index}",
            chain="o-1",
            step=random.choice(steps),
            person=random.choice(PERSONS),
            account="acct",
            capacity=random.choice((Capacity.ACTOR, Capacity.ACTOR, Capacity.APPROVER)),
            state=random.choice((ActState.PERFORMED, *ActState)),
            at=random.choice(MOMENTS),
            done_at=NOW,
            valid_until=NOW,
            index=index,
        )
        for index in range(random.randint(0, 5))
    ]
    return ChainHistory("order_to_settlement", "o-1", tuple(acts))


_ARITHMETIC: Mapping[ValueType, tuple[tuple[str, ValueType, ValueType], ...]] = {
    INT: (("+", INT, INT), ("-", INT, INT), ("*", INT, INT), ("%", INT, INT)),
    DECIMAL: (
        ("+", DECIMAL, DECIMAL),
        ("-", DECIMAL, DECIMAL),
        ("*", DECIMAL, DECIMAL),
        ("/", DECIMAL, DECIMAL),
        ("%", DECIMAL, DECIMAL),
        ("+", INT, DECIMAL),
        ("*", DECIMAL, INT),
        ("/", INT, INT),
        ("/", DECIMAL, DECIMAL),
        ("/", MONEY, MONEY),
        ("/", DURATION, DURATION),
    ),
    MONEY: (
        ("+", MONEY, MONEY),
        ("-", MONEY, MONEY),
        ("*", MONEY, DECIMAL),
        ("*", INT, MONEY),
        ("/", MONEY, DECIMAL),
    ),
    DATE: (("+", DATE, DURATION), ("-", DATE, DURATION), ("+", DURATION, DATE)),
    TIMESTAMP: (("+", TIMESTAMP, DURATION), ("-", TIMESTAMP, DURATION), ("+", DURATION, TIMESTAMP)),
    DURATION: (
        ("-", DATE, DATE),
        ("-", TIMESTAMP, TIMESTAMP),
        ("+", DURATION, DURATION),
        ("-", DURATION, DURATION),
        ("*", DURATION, INT),
        ("*", INT, DURATION),
    ),
}
_ORDERED = (INT, DECIMAL, MONEY, STRING, DATE, TIMESTAMP, DURATION)
_QUANTITIES = (INT, DECIMAL, MONEY, DURATION)


def _cell(random: Random, scope: _Scope, columns: list[tuple[str, str]]) -> Tree:
    """A cell of one of the columns, by keys that are found about as often as not."""
    table, column = random.choice(columns)
    keys = [
        Tree("literal", (random.choice(("buy", "ana", "sell")),))
        if type_ == STRING and random.random() < 0.2
        else _operand(random, scope, type_)
        for _, type_ in scope.names.data.tables[table].keys
    ]
    return Tree("cell", (table, column, *keys))


def _operand(random: Random, scope: _Scope, type_: ValueType) -> Tree:
    """A name of the type, or a literal."""
    columns = scope.columns(type_)
    if columns and random.random() < 0.12:
        return _cell(random, scope, columns)
    readable = scope.readable(type_)
    constants = scope.parameters(type_)
    kind = random.randint(0, 9)
    if readable and (kind < 7 or type_.kind is Kind.LIST):
        return random.choice(readable)
    if constants and (kind < 9 or type_.kind is Kind.LIST):
        return random.choice(constants)
    if type_.kind is Kind.LIST:
        assert type_.element is not None
        return Tree("list", (_not_bare_money(_operand(random, scope, type_.element)),))
    if type_ == STRING and kind == 9:
        return Tree("chain", ("person", random.choice(scope.steps)))
    if type_ == TIMESTAMP and kind == 9:
        return Tree("chain", ("at", random.choice(scope.steps)))
    return Tree("literal", (_plain_value(random, type_),))


def _tree(random: Random, scope: _Scope, type_: ValueType, depth: int) -> Tree:
    if depth <= 0 or not random.randint(0, 3):
        return _condition(random, scope, 0) if type_ == BOOL else _operand(random, scope, type_)
    if type_ == BOOL:
        return _condition(random, scope, depth)
    if type_.kind is Kind.LIST:
        return _list(random, scope, type_, depth - 1)
    less = depth - 1
    forms = ["choice", "operand"]
    if type_ in _ARITHMETIC:
        forms += ["arithmetic"] * 4
    if type_ in _QUANTITIES:
        forms += ["abs", "negative", "sum", "extreme"]
    forms += {
        INT: ["size", "round", "business_days"],
        DECIMAL: ["amount", "round"],
        MONEY: ["round", *(["convert", "convert"] if scope.names.data.rates else [])],
        STRING: ["currency"],
        DATE: ["add_business_days", "date_of"],
        DURATION: ["time_of_day"],
    }.get(type_, [])
    match random.choice(forms):
        case "choice":
            test, yes, no = (_tree(random, scope, wanted, less) for wanted in (BOOL, type_, type_))
            return Tree("?:", (test, _not_bare_money(yes), no))
        case "arithmetic":
            operator, left, right = random.choice(_ARITHMETIC[type_])
            return _beside(
                Tree(operator, (_tree(random, scope, left, less), _tree(random, scope, right, less)))
            )
        case "negative":
            return Tree("negative", (_not_bare_money(_tree(random, scope, type_, less)),))
        case "abs":
            return Tree("call", ("abs", _not_bare_money(_tree(random, scope, type_, less))))
        case "sum":
            return Tree("sum", (type_.kind, _list(random, scope, list_of(type_), less)))
        case "extreme":
            name = random.choice(("min", "max"))
            if random.random() < 0.5:
                return Tree("call", (name, _list(random, scope, list_of(type_), less)))
            parts = [_tree(random, scope, type_, less) for _ in range(random.randint(2, 3))]
            return Tree("call", (name, _not_bare_money(parts[0]), *parts[1:]))
        case "size":
            element = random.choice((STRING, DECIMAL, MONEY))
            if element == STRING and random.random() < 0.5:
                return Tree("call", ("size", _tree(random, scope, STRING, less)))
            if scope.lists() and random.random() < 0.5:
                return Tree("call", ("size", random.choice(scope.lists())[0]))
            return Tree("call", ("size", _list(random, scope, list_of(element), less)))
        case "round":
            digits = Tree("literal", (random.choice((0, 1, 2, 10, 28)),))
            return Tree("call", ("round", _not_bare_money(_tree(random, scope, type_, less)), digits))
        case "business_days":
            return _dated(random, scope, "business_days", (DATE, DATE), less)
        case "add_business_days":
            return _dated(random, scope, "add_business_days", (DATE, INT), less)
        case "date_of" | "time_of_day" as name:
            return _dated(random, scope, name, (TIMESTAMP,), less)
        case "convert":
            return _conversion(random, scope, less)
        case "amount":
            return Tree("call", ("amount", _not_bare_money(_tree(random, scope, MONEY, less))))
        case "currency":
            return Tree("call", ("currency", _not_bare_money(_tree(random, scope, MONEY, less))))
        case _:
            return _operand(random, scope, type_)


def _dated(random: Random, scope: _Scope, name: str, types: tuple[ValueType, ...], depth: int) -> Tree:
    """A function that names a calendar or a zone at its end."""
    parts = [_tree(random, scope, type_, depth) for type_ in types]
    names = ZONES if types == (TIMESTAMP,) else tuple(CALENDARS)
    return Tree("call", (name, *parts, Tree("literal", (random.choice(names),))))


def _conversion(random: Random, scope: _Scope, depth: int) -> Tree:
    """Money into a currency of the table: another one is refused where it is known at load."""
    table = random.choice(tuple(scope.names.data.rates))
    codes = ("EUR", "USD") if table == "thirds" else ("EUR", "EUR", "USD", "GBP")
    currency = Tree("literal", (random.choice(codes),))
    if depth > 0 and random.random() < 0.2:
        currency = Tree("call", ("currency", _not_bare_money(_tree(random, scope, MONEY, depth - 1))))
    money, day = _not_bare_money(_tree(random, scope, MONEY, depth)), _tree(random, scope, DATE, depth)
    return Tree("call", ("convert", money, currency, day, Tree("literal", (table,))))


def _is_money_text(tree: Tree) -> bool:
    return tree.operator == "literal" and isinstance(tree.parts[0], Money)


def _not_bare_money(tree: Tree) -> Tree:
    """Text is read as money only beside money: `abs("5 EUR")` is no money."""
    return Tree("parameter", ("threshold",)) if _is_money_text(tree) else tree


def _beside(tree: Tree) -> Tree:
    """The same for both operands of an operator."""
    left, right = tree.parts
    if tree.operator in ("*", "/") or _is_money_text(right):
        left = _not_bare_money(left)
    if tree.operator == "*":
        right = _not_bare_money(right)
    return Tree(tree.operator, (left, right))


def _list(random: Random, scope: _Scope, type_: ValueType, depth: int) -> Tree:
    element = type_.element
    assert element is not None
    forms = ["operand", "literal"]
    if depth > 0:
        forms += ["distinct", "choice"]
        if len(scope.variables) < 2:
            forms += ["filter", "map", "map"] if scope.lists() else ["filter"]
    match random.choice(forms):
        case "choice":
            yes, no = (_list(random, scope, type_, depth - 1) for _ in range(2))
            return Tree("?:", (_condition(random, scope, depth - 1), yes, no))
        case "distinct":
            return Tree("call", ("distinct", _list(random, scope, type_, depth - 1)))
        case "filter":
            return _macro(
                random, scope, "filter", _list(random, scope, type_, depth - 1), element, BOOL, depth - 1
            )
        case "map":
            source, inner = random.choice(scope.lists())
            return _macro(random, scope, "map", source, inner, element, depth - 1)
        case "literal":
            items = [_tree(random, scope, element, depth - 1) for _ in range(random.randint(1, 3))]
            return Tree("list", (_not_bare_money(items[0]), *items[1:]))
        case _:
            readable = scope.readable(type_)
            if readable:
                return random.choice(readable)
            first = _not_bare_money(_operand(random, scope, element))
            return Tree("list", (first, _operand(random, scope, element)))


def _macro(
    random: Random,
    scope: _Scope,
    name: str,
    source: Tree,
    element: ValueType,
    body: ValueType,
    depth: int,
) -> Tree:
    variable = "xyz"[len(scope.variables)]
    inner = _Scope(scope.names, (*scope.variables, (variable, element)))
    found = _tree(random, inner, body, depth)
    if name == "map":
        found = _not_bare_money(found)
    return Tree("macro", (name, source, variable, found))


def _condition(random: Random, scope: _Scope, depth: int) -> Tree:
    less = depth - 1
    forms = ["compare", "compare", "compare", "bool", "has", "text", "chain", "in", "business_day"]
    if depth > 0:
        forms += ["connective"] * 4 + ["not", "not", "choice", "equal"]
        if len(scope.variables) < 2 and scope.lists():
            forms += ["macro", "macro"]
    match random.choice(forms):
        case "compare":
            type_ = random.choice(_ORDERED)
            right = random.choice((type_, type_, DECIMAL)) if type_ == INT else type_
            operator = random.choice(COMPARISONS)
            left = _some_read(random, scope, type_) if depth <= 0 else _tree(random, scope, type_, less)
            return _beside(Tree(operator, (left, _tree(random, scope, right, less))))
        case "has":
            reads = [tree for type_ in (*_ORDERED, BOOL) for tree in scope.readable(type_)]
            reads = [tree for tree in reads if tree.operator in ("fact", "field")]
            if scope.columns() and random.random() < 0.25:
                reads = [_cell(random, scope, scope.columns())]
            return Tree("call", ("has", random.choice(reads)))
        case "text":
            subject = _some_read(random, scope, STRING)
            name = random.choice(("startsWith", "endsWith", "contains", "matches"))
            if name == "matches":
                return Tree("method", (name, subject, Tree("literal", (random.choice(PATTERNS),))))
            return Tree("method", (name, subject, _operand(random, scope, STRING)))
        case "chain":
            function = random.choice(("performed", "claimed", "steps"))
            step = random.choice(scope.steps)
            if function == "steps":
                return Tree("in", (Tree("literal", (step,)), Tree("steps", ())))
            return Tree("chain", (function, step))
        case "in":
            element = random.choice((STRING, DECIMAL, INT, MONEY, DATE))
            item = _some_read(random, scope, element)
            return Tree("in", (item, _list(random, scope, list_of(element), less)))
        case "business_day":
            if depth > 0:
                return _dated(random, scope, "is_business_day", (DATE,), less)
            names = Tree("literal", (random.choice(tuple(CALENDARS)),))
            return Tree("call", ("is_business_day", _some_read(random, scope, DATE), names))
        case "connective":
            operator = random.choice(("&&", "||"))
            parts = tuple(_condition(random, scope, less) for _ in range(random.randint(2, 4)))
            return Tree(operator, parts)
        case "not":
            return Tree("not", (_condition(random, scope, less),))
        case "choice":
            return Tree("?:", tuple(_condition(random, scope, less) for _ in range(3)))
        case "equal":
            operator = random.choice(("==", "!="))
            return Tree(operator, (_condition(random, scope, less), _condition(random, scope, less)))
        case "macro":
            name = random.choice(("exists", "all", "exists_one"))
            source, element = random.choice(scope.lists())
            return _macro(random, scope, name, source, element, BOOL, less)
        case _:
            return _some_read(random, scope, BOOL)


def _some_read(random: Random, scope: _Scope, type_: ValueType) -> Tree:
    columns = scope.columns(type_)
    if columns and random.random() < 0.12:
        return _cell(random, scope, columns)
    readable = scope.readable(type_)
    if readable:
        return random.choice(readable)
    step = random.choice(scope.steps)
    if type_ == BOOL:
        return Tree("chain", ("performed", step))
    if type_ == STRING:
        return Tree("chain", ("person", step))
    return Tree("literal", (_plain_value(random, type_),))


def random_condition(random: Random, names: Names, *, depth: int) -> Tree:
    return _condition(random, _Scope(names), depth)


def random_expression(random: Random, type_: ValueType, names: Names, *, depth: int) -> Tree:
    return _not_bare_money(_tree(random, _Scope(names), type_, depth))


# A seed and a depth shrink in an instant, and a generator on plain randomness is twenty times faster than
# one on Hypothesis's choices: far more and far richer cases in the same time.
_RANDOMS = st.integers(0, 2**64 - 1).map(Random)


def _depths(most: int) -> st.SearchStrategy[int]:
    """Shrinks to shallow trees and prefers deep ones."""
    return st.sampled_from([*range(most + 1), most, most, most])


def condition_trees(names: Names = NAMES, *, depth: int = 4) -> st.SearchStrategy[Tree]:
    """A typed condition; it may still be refused as a constant one (`constant_condition`)."""
    return st.builds(
        lambda random, depth: random_condition(random, names, depth=depth), _RANDOMS, _depths(depth)
    )


def trees(type_: ValueType, names: Names = NAMES, *, depth: int = 4) -> st.SearchStrategy[Tree]:
    """A typed expression of the type."""
    return st.builds(
        lambda random, depth: random_expression(random, type_, names, depth=depth),
        _RANDOMS,
        _depths(depth),
    )


def fact_values(names: Names = NAMES) -> st.SearchStrategy[dict[str, Any]]:
    """Values for `Facts.values`: of each fact's type, and some facts are missing."""
    return _RANDOMS.map(lambda random: random_facts(random, names))


def histories(names: Names = NAMES) -> st.SearchStrategy[ChainHistory]:
    """A chain with acts in every state, in any order."""
    return _RANDOMS.map(lambda random: random_history(random, names))


def compiles(source: str, names: Names = NAMES) -> bool:
    try:
        compile_condition(source, names=names)
    except ConditionInvalid:
        return False
    return True


def conditions(names: Names = NAMES, *, depth: int = 4) -> st.SearchStrategy[str]:
    """The text of a condition that compiles under `names`."""
    return condition_trees(names, depth=depth).map(render).filter(lambda source: compiles(source, names))
