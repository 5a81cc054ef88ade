"""Exact arithmetic of conditions over whole numbers, decimals, money, dates and durations.

Guarantees: a result is exact or an `ArithmeticError`, never silently rounded, and depends on the operands'
values only, not on how they are written. Results have at most 34 digits and lie between 1E-28 and 1E+28;
whole numbers have at most 29 digits.

One exception: a quotient of decimals may need more digits than there are. It is rounded to 34 digits, half
even, and so are what is computed further with it (`a / b + 1`) and amounts in another currency, until
`round(x, digits)` makes an exact number of it. Which operations those are is known at load
(`rounding=True`), not by looking at the values.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, TypeAlias, cast

from controls.model.values import MAX_DIGITS, MAX_EXPONENT, Money
from controls.rules.types import DATE, DECIMAL, DURATION, INT, MONEY, TIMESTAMP, Kind, ValueType

Number: TypeAlias = "int | Decimal"
Implementation: TypeAlias = Callable[..., object]

_MAX_WHOLE: Final = 10 ** (MAX_EXPONENT + 1)
_ONE_DAY: Final = timedelta(days=1)
_ONE_MICROSECOND: Final = timedelta(microseconds=1)


class NotComputable(ArithmeticError):
    """An evaluation error with a sentence of its own."""


def describe(problem: ArithmeticError) -> str:
    """One sentence for any error of this module."""
    if isinstance(problem, NotComputable):
        return str(problem)
    if isinstance(problem, ZeroDivisionError):
        return "division by zero"
    if isinstance(problem, decimal.Inexact) and not isinstance(problem, decimal.Overflow | decimal.Underflow):
        return f"the result needs more than {MAX_DIGITS} digits; use round()"
    return "the result is out of range"


def _context(*, exact: bool) -> Context:
    trapped = [decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow, decimal.Subnormal]
    if exact:
        trapped.append(decimal.Inexact)
    return Context(
        prec=MAX_DIGITS,
        rounding=ROUND_HALF_EVEN,
        Emin=-MAX_EXPONENT,
        Emax=MAX_EXPONENT,
        capitals=1,
        clamp=0,
        flags=[],
        traps=trapped,
    )


_EXACT: Final = _context(exact=True)
_ROUNDED: Final = _context(exact=False)
# Holds any sum on its way without rounding: operands reach from 1E-61 to 1E+28.
_WIDE: Final = Context(prec=150, traps=[decimal.InvalidOperation, decimal.Inexact])


def whole(number: int) -> int:
    """`number`, if a decimal could hold it."""
    if -_MAX_WHOLE < number < _MAX_WHOLE:
        return number
    raise NotComputable("the result is out of range")


def same_currency(left: Money, right: Money) -> None:
    if left.currency != right.currency:
        raise NotComputable(f"{left.currency} and {right.currency} cannot be mixed")


def _remainder(left: int, right: int) -> int:
    # The sign is the dividend's, as in CEL and for decimals; Python's own is the divisor's.
    if right == 0:
        raise ZeroDivisionError
    found = abs(left) % abs(right)
    return -found if left < 0 else found


def _days(span: timedelta) -> timedelta:
    if span % _ONE_DAY:
        raise NotComputable("a date moves by whole days only")
    return span


class _Operators:
    """The operators under one context."""

    def __init__(self, context: Context) -> None:
        add, subtract, multiply = context.add, context.subtract, context.multiply

        def divide(left: Number, right: Number) -> Decimal:
            if right == 0:
                raise ZeroDivisionError
            return _ROUNDED.divide(left, right)

        def remainder(left: Number, right: Number) -> Decimal:
            if right == 0:
                raise ZeroDivisionError
            return context.remainder(left, right)

        def add_money(left: Money, right: Money) -> Money:
            same_currency(left, right)
            return Money(add(left.amount, right.amount), left.currency)

        def subtract_money(left: Money, right: Money) -> Money:
            same_currency(left, right)
            return Money(subtract(left.amount, right.amount), left.currency)

        def divide_money(left: Money, right: Money) -> Decimal:
            same_currency(left, right)
            return divide(left.amount, right.amount)

        self.table: dict[tuple[str, Kind, Kind], tuple[ValueType, Implementation]] = {
            ("+", Kind.INT, Kind.INT): (INT, lambda left, right: whole(left + right)),
            ("-", Kind.INT, Kind.INT): (INT, lambda left, right: whole(left - right)),
            ("*", Kind.INT, Kind.INT): (INT, lambda left, right: whole(left * right)),
            ("/", Kind.INT, Kind.INT): (DECIMAL, divide),
            ("%", Kind.INT, Kind.INT): (INT, _remainder),
            ("+", Kind.MONEY, Kind.MONEY): (MONEY, add_money),
            ("-", Kind.MONEY, Kind.MONEY): (MONEY, subtract_money),
            ("/", Kind.MONEY, Kind.MONEY): (DECIMAL, divide_money),
        }
        numbers = ((Kind.INT, Kind.DECIMAL), (Kind.DECIMAL, Kind.INT), (Kind.DECIMAL, Kind.DECIMAL))
        for left, right in numbers:
            self.table["+", left, right] = (DECIMAL, add)
            self.table["-", left, right] = (DECIMAL, subtract)
            self.table["*", left, right] = (DECIMAL, multiply)
            self.table["/", left, right] = (DECIMAL, divide)
            self.table["%", left, right] = (DECIMAL, remainder)
        for number in (Kind.INT, Kind.DECIMAL):
            self.table["*", Kind.MONEY, number] = (
                MONEY,
                lambda money, factor: Money(multiply(money.amount, factor), money.currency),
            )
            self.table["*", number, Kind.MONEY] = (
                MONEY,
                lambda factor, money: Money(multiply(money.amount, factor), money.currency),
            )
            self.table["/", Kind.MONEY, number] = (
                MONEY,
                lambda money, divisor: Money(divide(money.amount, divisor), money.currency),
            )


def _spans(left: timedelta, right: timedelta) -> Decimal:
    if not right:
        raise ZeroDivisionError
    return _ROUNDED.divide(left // _ONE_MICROSECOND, right // _ONE_MICROSECOND)


_TIMES: Final[dict[tuple[str, Kind, Kind], tuple[ValueType, Implementation]]] = {
    ("-", Kind.DATE, Kind.DATE): (DURATION, lambda left, right: left - right),
    ("+", Kind.DATE, Kind.DURATION): (DATE, lambda day, span: day + _days(span)),
    ("-", Kind.DATE, Kind.DURATION): (DATE, lambda day, span: day - _days(span)),
    ("+", Kind.DURATION, Kind.DATE): (DATE, lambda span, day: day + _days(span)),
    ("-", Kind.TIMESTAMP, Kind.TIMESTAMP): (DURATION, lambda left, right: left - right),
    ("+", Kind.TIMESTAMP, Kind.DURATION): (TIMESTAMP, lambda moment, span: moment + span),
    ("-", Kind.TIMESTAMP, Kind.DURATION): (TIMESTAMP, lambda moment, span: moment - span),
    ("+", Kind.DURATION, Kind.TIMESTAMP): (TIMESTAMP, lambda span, moment: moment + span),
    ("+", Kind.DURATION, Kind.DURATION): (DURATION, lambda left, right: left + right),
    ("-", Kind.DURATION, Kind.DURATION): (DURATION, lambda left, right: left - right),
    ("*", Kind.DURATION, Kind.INT): (DURATION, lambda span, factor: span * factor),
    ("*", Kind.INT, Kind.DURATION): (DURATION, lambda factor, span: span * factor),
    ("/", Kind.DURATION, Kind.DURATION): (DECIMAL, _spans),
}
_BY_ROUNDING: Final = {False: _Operators(_EXACT), True: _Operators(_ROUNDED)}


def operator_for(
    symbol: str, left: ValueType, right: ValueType, *, rounding: bool
) -> tuple[ValueType, Implementation] | None:
    """The type and the implementation of `left symbol right`; None when there is none."""
    key = (symbol, left.kind, right.kind)
    return _BY_ROUNDING[rounding].table.get(key) or _TIMES.get(key)


def negated(value: Number | Money | timedelta) -> object:
    if isinstance(value, Money):
        return Money(value.amount.copy_negate(), value.currency)
    if isinstance(value, Decimal):
        return value.copy_negate()
    return -value


def absolute(value: Number | Money | timedelta) -> object:
    if isinstance(value, Money):
        return Money(value.amount.copy_abs(), value.currency)
    if isinstance(value, Decimal):
        return value.copy_abs()
    return abs(value)


def rounded(value: Number | Money, digits: int) -> object:
    """`value` with at most `digits` digits after the point, half to even."""
    if isinstance(value, Money):
        return Money(_quantized(value.amount, digits), value.currency)
    return value if isinstance(value, int) else _quantized(value, digits)


def _quantized(number: Decimal, digits: int) -> Decimal:
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and -exponent <= digits:
        return number
    return number.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN, context=_ROUNDED)


def exchanged(amount: Decimal, rate: Decimal, *, against: bool) -> Decimal:
    """`amount` times the rate, or `against` its direction divided by it; rounded to 34 digits, half even."""
    return _ROUNDED.divide(amount, rate) if against else _ROUNDED.multiply(amount, rate)


def total(
    values: Sequence[Number] | Sequence[Money] | Sequence[timedelta], *, kind: Kind, rounding: bool
) -> object:
    """The sum of `values`, which are of `kind`.

    Numbers are added without limits on the way, so that their order does not matter; the result has them.
    """
    if kind is Kind.DURATION:
        return sum((value for value in values if isinstance(value, timedelta)), timedelta(0))
    if kind is Kind.MONEY:
        money = [value for value in values if isinstance(value, Money)]
        if not money:
            raise NotComputable("the sum of no money has no currency")
        for value in money:
            same_currency(money[0], value)
        return Money(_sum([value.amount for value in money], rounding=rounding), money[0].currency)
    numbers = [value for value in values if isinstance(value, int | Decimal)]
    if kind is Kind.INT:
        return whole(sum(int(number) for number in numbers))
    return _sum(numbers, rounding=rounding)


def _sum(numbers: Sequence[Number], *, rounding: bool) -> Decimal:
    subtotal = Decimal(0)
    for number in numbers:
        subtotal = _WIDE.add(subtotal, number)
    return (_ROUNDED if rounding else _EXACT).plus(subtotal)


def largest(values: Sequence[object], *, smallest: bool) -> object:
    """The greatest (or the smallest) of `values` of one ordered kind; money of one currency."""
    if not values:
        raise NotComputable("a list without elements has no least or greatest one")
    first = values[0]
    if isinstance(first, Money):
        money = [value for value in values if isinstance(value, Money)]
        for value in money:
            same_currency(first, value)
        choose = min if smallest else max
        return choose(money, key=lambda value: value.amount)
    ordered = cast("Sequence[Decimal]", values)
    return min(ordered) if smallest else max(ordered)
