"""A second meaning of conditions, written from the language's description and not from its code.

Interprets the trees of `trees` directly. Numbers are fractions, and the limits of decimals are worked
out on them; Kleene's tables are sets of what is still possible. Nothing of `controls.rules` is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from controls.model.chain import ActState, Capacity
from controls.model.condition import Facts
from controls.model.values import Money
from tests.rules.trees import CALENDARS, RATES, Days, Tree

DIGITS = 34
LARGEST = Fraction(10) ** 29
SMALLEST = Fraction(1, 10**28)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Unk:
    """Nothing known: which facts were missing, and whether something failed."""

    missing: frozenset[str] = frozenset()
    failed: bool = False

    def __or__(self, other: Unk) -> Unk:
        return Unk(self.missing | other.missing, self.failed or other.failed)


@dataclass(frozen=True)
class Cash:
    amount: Fraction
    currency: str


FAILED = Unk(failed=True)


class Oracle:
    """Interprets trees for one set of facts.

    `lists` holds rows of one value, `tables` rows as mappings, the first `n` of whose columns are keys.
    """

    def __init__(
        self,
        facts: Facts,
        parameters: Mapping[str, Any],
        *,
        lists: Mapping[str, Sequence[Any]] | None = None,
        tables: Mapping[str, tuple[int, Sequence[Mapping[str, Any]]]] | None = None,
    ) -> None:
        self.facts = facts
        self.lists = lists or {}
        self.tables = tables or {}
        self.parameters = {name: plain(value) for name, value in parameters.items()}

    def value(self, tree: Tree, env: Mapping[str, Any] | None = None) -> Any:
        """The value of `tree`, or an `Unk`. `env` maps variables to (element, rounded, name)."""
        env = env or {}
        method: Callable[..., Any] = getattr(self, f"_{_METHODS.get(tree.operator, tree.operator)}")
        return method(tree, env)

    def _literal(self, tree: Tree, _env: Any) -> Any:
        return plain(tree.parts[0])

    def _parameter(self, tree: Tree, _env: Any) -> Any:
        return self.parameters[tree.parts[0]]

    def _variable(self, tree: Tree, env: Any) -> Any:
        return env[tree.parts[0]][0]

    def _now(self, _tree: Tree, _env: Any) -> Any:
        return self.facts.now

    def _fact(self, tree: Tree, _env: Any) -> Any:
        name = tree.parts[0]
        if name not in self.facts.values:
            return Unk(frozenset({name}))
        return plain(self.facts.values[name])

    def _field(self, tree: Tree, env: Any) -> Any:
        record = self.value(tree.parts[0], env)
        if isinstance(record, Unk):
            return record
        if tree.parts[1] not in record:
            return Unk(frozenset({f"{called(tree.parts[0], env)}.{tree.parts[1]}"}))
        return record[tree.parts[1]]

    def _data(self, tree: Tree, _env: Any) -> Any:
        return tuple(plain(item) for item in self.lists[tree.parts[0]])

    def _row(self, tree: Tree, env: Any) -> Any:
        """The one row whose keys are the given ones, by looking at all of them; None without one."""
        table, _column, *parts = tree.parts
        keys = [self.value(part, env) for part in parts]
        unknown = union(keys)
        if unknown is not None:
            return unknown
        width, rows = self.tables[table]
        found = [row for row in rows if [plain(value) for value in row.values()][:width] == keys]
        assert len(found) <= 1
        return found[0] if found else None

    def _cell(self, tree: Tree, env: Any) -> Any:
        row = self._row(tree, env)
        if isinstance(row, Unk):
            return row
        table, column, *_keys = tree.parts
        if row is None or column not in row:
            return Unk(frozenset({f"table.{table}.{column}"}))
        return plain(row[column])

    def _steps(self, _tree: Tree, _env: Any) -> Any:
        found: list[str] = []
        for act in self.facts.chain.acts:
            if self._holds(act) and act.step not in found:
                found.append(act.step)
        return tuple(found)

    @staticmethod
    def _holds(act: Any) -> bool:
        return act.capacity == Capacity.ACTOR and act.state in (ActState.CLAIMED, ActState.PERFORMED)

    def _chain(self, tree: Tree, _env: Any) -> Any:
        function, step = tree.parts
        holding = [act for act in self.facts.chain.acts if act.step == step and self._holds(act)]
        if function == "performed":
            return any(act.state == ActState.PERFORMED for act in holding)
        if function == "claimed":
            return len(holding) > 0
        if not holding:
            return Unk(frozenset({f'chain.{function}("{step}")'}))
        return holding[-1].person if function == "person" else holding[-1].at

    def _not(self, tree: Tree, env: Any) -> Any:
        value = self.value(tree.parts[0], env)
        return value if isinstance(value, Unk) else value is False

    def _negative(self, tree: Tree, env: Any) -> Any:
        value = self.value(tree.parts[0], env)
        if isinstance(value, Cash):
            return Cash(-value.amount, value.currency)
        return value if isinstance(value, Unk) else -value

    def _and(self, tree: Tree, env: Any) -> Any:
        return kleene(False, [self.value(part, env) for part in tree.parts])

    def _or(self, tree: Tree, env: Any) -> Any:
        return kleene(True, [self.value(part, env) for part in tree.parts])

    def _choice(self, tree: Tree, env: Any) -> Any:
        test, yes, no = (self.value(part, env) for part in tree.parts)
        if not isinstance(test, Unk):
            return yes if test else no
        holes = [hole for value in (yes, no) for hole in holes_of(value)]
        return yes if not holes and yes == no else union([test, yes, no])

    def _list(self, tree: Tree, env: Any) -> Any:
        return tuple(self.value(part, env) for part in tree.parts)

    def _compare(self, tree: Tree, env: Any) -> Any:
        left, right = (self.value(part, env) for part in tree.parts)
        return compare(tree.operator, left, right)

    def _in(self, tree: Tree, env: Any) -> Any:
        item, source = (self.value(part, env) for part in tree.parts)
        if isinstance(source, Unk):
            return union([item, source])
        return kleene(True, [compare("==", item, element) for element in source])

    def _arithmetic(self, tree: Tree, env: Any) -> Any:
        left, right = (self.value(part, env) for part in tree.parts)
        if isinstance(left, Unk) or isinstance(right, Unk):
            return union([left, right])
        loose = any(rounds(part, env) for part in tree.parts)
        return arithmetic(tree.operator, left, right, loose=loose)

    def _call(self, tree: Tree, env: Any) -> Any:
        name, *parts = tree.parts
        if name == "has":
            return self._has(parts[0], env)
        found = [self.value(part, env) for part in parts]
        unknown = [value for value in found if isinstance(value, Unk)]
        if not unknown and name != "size":
            unknown = [hole for value in found for hole in holes_of(value)]
        if unknown:
            return union(unknown)
        if name in ("business_days", "add_business_days", "is_business_day"):
            return business(name, found)
        if name == "convert":
            return exchanged(*found)
        if name in ("date_of", "time_of_day"):
            return on_the_clock(name, *found)
        loose = any(rounds(part, env) for part in parts)
        return function(name, found, loose=loose)

    def _sum(self, tree: Tree, env: Any) -> Any:
        kind, source = tree.parts
        items = self.value(source, env)
        return union(holes_of(items)) or total(list(items), kind, loose=rounds(source, env))

    def _has(self, part: Tree, env: Any) -> Any:
        if part.operator == "fact":
            return part.parts[0] in self.facts.values
        if part.operator == "cell":
            row = self._row(part, env)
            return row if isinstance(row, Unk) else row is not None and part.parts[1] in row
        record = self.value(part.parts[0], env)
        return not isinstance(record, Unk) and part.parts[1] in record

    def _method(self, tree: Tree, env: Any) -> Any:
        name, *parts = tree.parts
        text, argument = (self.value(part, env) for part in parts)
        if isinstance(text, Unk) or isinstance(argument, Unk):
            return union([text, argument])
        if name == "matches":
            return re.search(argument.replace("$", r"\Z"), text) is not None
        if name == "contains":
            return text.find(argument) >= 0
        cut = text[: len(argument)] if name == "startsWith" else text[len(text) - len(argument) :]
        return len(argument) <= len(text) and cut == argument

    def _macro(self, tree: Tree, env: Any) -> Any:
        name, source, variable, body = tree.parts
        items = self.value(source, env)
        if isinstance(items, Unk):
            return items
        loose, label = rounds(source, env), called(source, env)
        found = [self.value(body, {**env, variable: (item, loose, label)}) for item in items]
        match name:
            case "map":
                return tuple(found)
            case "exists":
                return kleene(True, found)
            case "all":
                return kleene(False, found)
            case "exists_one":
                if sum(truth is True for truth in found) > 1:
                    return False
                unknown = union(found)
                return unknown or sum(truth is True for truth in found) == 1
            case _:
                unknown = union(found)
                return unknown or tuple(
                    item for item, truth in zip(items, found, strict=True) if truth is True
                )


_METHODS = {"&&": "and", "||": "or", "?:": "choice"}
_METHODS |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), "compare")
_METHODS |= dict.fromkeys(("+", "-", "*", "/", "%"), "arithmetic")


def plain(value: Any) -> Any:
    """A model value as the oracle has it."""
    if isinstance(value, bool | str | date | datetime | timedelta):
        return value
    if isinstance(value, int | Decimal):
        return Fraction(value)
    if isinstance(value, Money):
        return Cash(Fraction(value.amount), value.currency)
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return tuple(plain(item) for item in value)


def union(values: list[Any]) -> Unk | None:
    found = None
    for value in values:
        if isinstance(value, Unk):
            found = value if found is None else found | value
    return found


def holes_of(value: Any) -> list[Unk]:
    if isinstance(value, Unk):
        return [value]
    return [item for item in value if isinstance(item, Unk)] if isinstance(value, tuple) else []


def kleene(decisive: bool, values: list[Any]) -> Any:
    """What every way to fill the unknown ones in leads to, if they all lead to the same."""
    possible = {decisive} if any(value is decisive for value in values) else set()
    if not possible:
        possible = {not decisive} | ({decisive} if union(values) else set())
    return possible.pop() if len(possible) == 1 else union(values)


def compare(operator: str, left: Any, right: Any) -> Any:
    if isinstance(left, Unk) or isinstance(right, Unk):
        return union([left, right])
    if isinstance(left, Cash):
        if left.currency != right.currency:
            return FAILED
        left, right = left.amount, right.amount
    if operator in ("==", "!="):
        return (left == right) is (operator == "==")
    smaller, equal = left < right, left == right
    return {"<": smaller, "<=": smaller or equal, ">": not smaller and not equal, ">=": not smaller}[operator]


def limited(number: Fraction, *, loose: bool) -> Fraction | Unk:
    """`number` if a decimal of 34 digits holds it; rounded to one when `loose`."""
    if number == 0:
        return number
    size = abs(number)
    if size < SMALLEST:
        return FAILED
    exponent = 0  # of the first digit
    while size >= Fraction(10) ** (exponent + 1):
        exponent += 1
    while size < Fraction(10) ** exponent:
        exponent -= 1
    unit = Fraction(10) ** (exponent - DIGITS + 1)
    digits = number / unit
    rounded = Fraction(round(digits))  # half to even
    if rounded != digits and not loose:
        return FAILED
    found = rounded * unit
    return found if abs(found) < LARGEST else FAILED


def quotient(left: Fraction, right: Fraction) -> Fraction | Unk:
    return FAILED if right == 0 else limited(left / right, loose=True)


def arithmetic(operator: str, left: Any, right: Any, *, loose: bool) -> Any:
    if isinstance(left, Cash) or isinstance(right, Cash):
        return cash(operator, left, right, loose=loose)
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        if operator == "/":
            return quotient(left, right)
        if operator == "%":
            if right == 0:
                return FAILED
            whole = abs(left) // abs(right)
            rest = abs(left) - whole * abs(right)
            return FAILED if whole >= 10**DIGITS else limited(-rest if left < 0 else rest, loose=loose)
        found = {"+": left + right, "-": left - right, "*": left * right}[operator]
        return limited(found, loose=loose)
    return times(operator, left, right)


def cash(operator: str, left: Any, right: Any, *, loose: bool) -> Any:
    if isinstance(left, Cash) and isinstance(right, Cash):
        if left.currency != right.currency:
            return FAILED
        found = arithmetic(operator, left.amount, right.amount, loose=loose)
        return found if operator == "/" or isinstance(found, Unk) else Cash(found, left.currency)
    money, number = (left, right) if isinstance(left, Cash) else (right, left)
    found = arithmetic(operator, money.amount, number, loose=loose)
    return found if isinstance(found, Unk) else Cash(found, money.currency)


def exchanged(money: Cash, currency: str, day: date, table: str) -> Cash | Unk:
    """The money at the rate of the day, by looking at all rates."""
    if money.currency == currency:
        return money
    for base, quote, first, last, rate in RATES[table]:
        if first <= day <= last and {base, quote} == {money.currency, currency}:
            exact = money.amount * Fraction(rate) if base == money.currency else money.amount / Fraction(rate)
            found = limited(exact, loose=True)
            return found if isinstance(found, Unk) else Cash(found, currency)
    return FAILED


def times(operator: str, left: Any, right: Any) -> Any:
    if isinstance(left, Fraction) or (operator == "+" and isinstance(left, timedelta)):
        left, right = right, left  # the span or number stands on the right
    if isinstance(right, Fraction):
        right = int(right)
    try:
        if operator == "/":
            return quotient(Fraction(left // MICROSECOND), Fraction(right // MICROSECOND))
        if operator == "*":
            return left * right
        calendar = isinstance(left, date) and not isinstance(left, datetime)
        if calendar and isinstance(right, timedelta) and (right.seconds or right.microseconds):
            return FAILED
        return left + right if operator == "+" else left - right
    except OverflowError:
        return FAILED


def function(name: str, values: list[Any], *, loose: bool) -> Any:
    first = values[0]
    match name:
        case "size":
            return Fraction(len(first))
        case "abs":
            if isinstance(first, Cash):
                return Cash(abs(first.amount), first.currency)
            return abs(first)
        case "amount":
            return first.amount
        case "currency":
            return first.currency
        case "round":
            number = first.amount if isinstance(first, Cash) else first
            found = limited(round_half_even(number, values[1]), loose=False)  # 9.99E+28 may pass the limit
            return Cash(found, first.currency) if isinstance(first, Cash) and found != FAILED else found
        case "distinct":
            return tuple(item for index, item in enumerate(first) if item not in first[:index])
        case _:
            items = list(first) if isinstance(first, tuple) else values
            if len({item.currency for item in items if isinstance(item, Cash)}) > 1 or not items:
                return FAILED
            ordered = sorted(items, key=lambda item: item.amount if isinstance(item, Cash) else item)
            return ordered[0] if name == "min" else ordered[-1]


def is_open(day: date, days: Days) -> bool:
    return day.weekday() not in days.weekend and day not in days.holidays


def inside(day: date, days: Days) -> bool:
    return days.first_year <= day.year <= days.last_year


def business(name: str, values: list[Any]) -> Any:
    """What is said of calendars, by walking from day to day."""
    days = CALENDARS[values[-1]]
    first, second = values[0], values[1]
    if not inside(first, days):
        return FAILED
    if name == "is_business_day":
        return is_open(first, days)
    if name == "business_days":
        if not inside(second, days):
            return FAILED
        early, late = min(first, second), max(first, second)
        between = [early + timedelta(days=step) for step in range(1, (late - early).days + 1)]
        count = sum(is_open(day, days) for day in between)
        return Fraction(count if first <= second else -count)
    step, left = (-1 if second < 0 else 1), abs(second)
    if second == 0 and not is_open(first, days):
        left = 1
    day: date = first
    while left > 0:
        day += timedelta(days=step)
        if not inside(day, days):
            return FAILED
        left -= is_open(day, days)
    return day


def on_the_clock(name: str, moment: datetime, zone: str) -> Any:
    try:
        shown = moment + offset(moment, zone)
    except OverflowError:
        return FAILED
    midnight = datetime(shown.year, shown.month, shown.day, tzinfo=UTC)
    return shown.date() if name == "date_of" else shown - midnight


def offset(moment: datetime, zone: str) -> timedelta:
    """How far the zone's clock is ahead of UTC: by the rules of today, or for older times by the books."""
    if zone == "UTC":
        return timedelta(0)
    if moment.year < 2007:
        found = moment.astimezone(ZoneInfo(zone)).utcoffset()
        assert found is not None
        return found
    year = moment.year
    if zone == "Europe/Madrid":  # Directive 2000/84/EC
        summer = sunday(year, 4, -1, hour=1) <= moment < sunday(year, 11, -1, hour=1)
        return timedelta(hours=2 if summer else 1)
    if zone == "America/New_York":  # Energy Policy Act of 2005
        summer = sunday(year, 3, 2, hour=7) <= moment < sunday(year, 11, 1, hour=6)
        return timedelta(hours=-4 if summer else -5)
    assert zone == "Asia/Tokyo"
    return timedelta(hours=9)


def sunday(year: int, month: int, number: int, *, hour: int) -> datetime:
    """The Sunday of that number in a month; -1 is the last one before it."""
    first = datetime(year, month, 1, hour, tzinfo=UTC)
    ahead = (6 - first.weekday()) % 7
    return first + timedelta(days=ahead + 7 * (number - 1 if number > 0 else number))


def round_half_even(number: Fraction, digits: Fraction) -> Fraction:
    unit = Fraction(1, 10 ** int(digits))
    return Fraction(round(number / unit)) * unit


def total(items: list[Any], kind: str, *, loose: bool) -> Any:
    if kind == "money":
        if len({item.currency for item in items}) != 1:
            return FAILED  # of none, the currency is not known
        found = limited(sum((item.amount for item in items), Fraction(0)), loose=loose)
        return found if isinstance(found, Unk) else Cash(found, items[0].currency)
    if kind == "duration":
        try:
            return sum(items, timedelta(0))
        except OverflowError:
            return FAILED
    return limited(sum(items, Fraction(0)), loose=loose)


def called(tree: Tree, env: Mapping[str, Any]) -> str:
    """What a missing field of the tree's elements is reported under."""
    match tree.operator:
        case "fact":
            return str(tree.parts[0])
        case "field":
            return f"{called(tree.parts[0], env)}.{tree.parts[1]}"
        case "variable":
            return str(env[tree.parts[0]][2])
        case "macro" if tree.parts[0] == "filter":
            return called(tree.parts[1], env)
        case _:
            return "element"


def rounds(tree: Tree, env: Mapping[str, Any]) -> bool:
    """Whether a number may rest on a rounded quotient, so that what is computed with it rounds too."""
    operator, parts = tree.operator, tree.parts
    match operator:
        case "/":
            return True
        case "sum":
            return rounds(parts[1], env)
        case "+" | "-" | "*" | "%" | "negative" | "list":
            return any(rounds(part, env) for part in parts)
        case "?:":
            return rounds(parts[1], env) or rounds(parts[2], env)
        case "variable":
            return bool(env[parts[0]][1])
        case "field":
            return rounds(parts[0], env)
        case "call":
            name, *arguments = parts
            if name == "convert":
                return True
            exact = ("round", "size", "currency", "has")
            return name not in exact and any(rounds(part, env) for part in arguments)
        case "macro":
            name, source, variable, body = parts
            if name == "filter":
                return rounds(source, env)
            return name == "map" and rounds(body, {**env, variable: (None, rounds(source, env), "")})
        case _:
            return False
