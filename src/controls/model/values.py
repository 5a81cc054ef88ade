"""Typed values of facts: exact decimals, money with a currency, UTC times; never a float.

`canonical` gives every value one text form, so that equal values have equal text: it is what the
ledger stores, what material fields are compared by and what approvals are bound to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final, TypeAlias

import orjson

from controls.model.record import record

MAX_DIGITS: Final = 34  # IEEE 754 decimal128: as exact as any counterparty's system
MAX_EXPONENT: Final = 28
SMALL_INTEGER: Final = 2**53 - 1  # beyond it JSON readers disagree (RFC 8259, section 6)

# Decimal arithmetic of conditions: exact within 34 digits, and an error rather than a rounding.
EXACT: Final = Context(prec=MAX_DIGITS)


class Missing(Enum):
    """The one value that says: this fact was not there."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING


@record
class Money:
    """An exact amount of one currency (ISO 4217 code)."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{decimal_text(self.amount)} {self.currency}"


Value: TypeAlias = (
    "bool | int | Decimal | Money | str | date | datetime | timedelta"
    " | tuple[Value, ...] | Mapping[str, Value]"
)
Json: TypeAlias = "bool | int | Decimal | str | list[Json] | dict[str, Json] | None"


def decimal_text(number: Decimal) -> str:
    """One text for one number: no exponent, no trailing zeros, no negative zero (`1.50` -> `1.5`)."""
    if not number:
        return "0"
    text = str(number)
    if "E" in text:
        text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text


def parse_decimal(text: str) -> Decimal:
    """The exact number `text` says, at most 34 digits and between 1E-28 and 1E+28.

    Raises:
        ValueError: not a plain decimal number, or out of range; the message says which.
    """
    if len(text) > 80:
        raise ValueError("a number has at most 34 digits")
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a decimal number such as 1234.50") from None
    if not number.is_finite() or not text.isascii() or "_" in text or text != text.strip():
        raise ValueError(f"{text!r} is not a decimal number such as 1234.50")
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if number and (len(digits) > MAX_DIGITS or exponent < -MAX_EXPONENT or number.adjusted() > MAX_EXPONENT):
        raise ValueError("a number has at most 34 digits and lies between 1E-28 and 1E+28")
    return number or Decimal(0)


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC with six digits: `2026-03-02T09:30:00.000000Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    # As `isoformat` in a third of the time, but that it leaves out microseconds which are none.
    text = orjson.dumps(moment, option=orjson.OPT_UTC_Z)[1:-1].decode()
    return text if moment.microsecond else f"{text[:-1]}.000000Z"


def canonical(value: Value) -> Json:
    """The JSON form of a value under which equal values have equal bytes; big integers become text."""
    form = _FORMS.get(value.__class__)
    if form is not None:
        return form(value)
    if isinstance(value, Mapping):
        return {name: canonical(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    for kind, form in _FORMS.items():  # a kind of text, of number, ...
        if isinstance(value, kind):
            return form(value)
    raise TypeError(f"a {value.__class__.__name__} has no place among the values of facts")


def _integer_form(value: int) -> Json:
    return value if -SMALL_INTEGER <= value <= SMALL_INTEGER else str(value)


def _duration_text(value: timedelta) -> str:
    return f"PT{decimal_text(Decimal(value // _MICROSECOND).scaleb(-6))}S"


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# By class, each before those that it is a kind of.
_FORMS: Final[Mapping[type, Callable[[Any], Json]]] = {
    str: str,
    bool: bool,
    int: _integer_form,
    Decimal: decimal_text,
    Money: str,
    datetime: utc_text,
    date: date.isoformat,
    timedelta: _duration_text,
}


def microseconds(moment: datetime) -> int:
    """Integer microseconds since 1970-01-01 UTC: how times are stored."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(count: int) -> datetime:
    """The moment `count` microseconds after 1970-01-01 UTC."""
    return _EPOCH + timedelta(microseconds=count)
