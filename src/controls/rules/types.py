"""The types of values that conditions may mention.

Guarantees: types are immutable and hashable; a whole number widens to a decimal and nothing else converts
by itself; only scalars are compared, and only with their own kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from controls.model.values import Money, Value


class Kind(StrEnum):
    BOOL = "bool"
    INT = "int"
    DECIMAL = "decimal"
    MONEY = "money"
    STRING = "string"
    DATE = "date"
    TIMESTAMP = "timestamp"
    DURATION = "duration"
    LIST = "list"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class ValueType:
    """A type. `element` is that of a list's elements; `fields` are a record's, by name in order."""

    kind: Kind
    element: ValueType | None = None
    fields: tuple[tuple[str, ValueType], ...] = ()

    def field(self, name: str) -> ValueType | None:
        for known, type_ in self.fields:
            if known == name:
                return type_
        return None

    def __str__(self) -> str:
        return f"list<{self.element}>" if self.kind is Kind.LIST else self.kind.value


BOOL: Final = ValueType(Kind.BOOL)
INT: Final = ValueType(Kind.INT)
DECIMAL: Final = ValueType(Kind.DECIMAL)
MONEY: Final = ValueType(Kind.MONEY)
STRING: Final = ValueType(Kind.STRING)
DATE: Final = ValueType(Kind.DATE)
TIMESTAMP: Final = ValueType(Kind.TIMESTAMP)
DURATION: Final = ValueType(Kind.DURATION)

_SCALARS: Final = {
    type_.kind.value: type_ for type_ in (BOOL, INT, DECIMAL, MONEY, STRING, DATE, TIMESTAMP, DURATION)
}
_ORDERED: Final = frozenset(
    {Kind.INT, Kind.DECIMAL, Kind.MONEY, Kind.STRING, Kind.DATE, Kind.TIMESTAMP, Kind.DURATION}
)
_NUMBERS: Final = frozenset({Kind.INT, Kind.DECIMAL})
# The one class of the values of a kind. Exactly this one: a bool is no int, a datetime no date.
_CLASSES: Final[Mapping[Kind, type]] = {
    Kind.BOOL: bool,
    Kind.INT: int,
    Kind.DECIMAL: Decimal,
    Kind.MONEY: Money,
    Kind.STRING: str,
    Kind.DATE: date,
    Kind.TIMESTAMP: datetime,
    Kind.DURATION: timedelta,
    Kind.LIST: tuple,
}


def list_of(element: ValueType) -> ValueType:
    return ValueType(Kind.LIST, element=element)


def record_of(fields: Mapping[str, ValueType]) -> ValueType:
    return ValueType(Kind.RECORD, fields=tuple(fields.items()))


def type_from_text(text: str, fields: Mapping[str, ValueType] | None = None) -> ValueType:
    """The type that a rule file names: `money`, `list<string>`, `record`, `list<record>`.

    Args:
        text: the type's name as written.
        fields: the fields of the record that `text` mentions.

    Raises:
        ValueError: no such type, or a record without fields; the message says what may be written.
    """
    name = text.strip()
    if name.startswith("list<") and name.endswith(">"):
        return list_of(type_from_text(name[5:-1], fields))
    if name == Kind.RECORD:
        if not fields:
            raise ValueError("a record needs `fields`")
        return record_of(fields)
    if name not in _SCALARS:
        raise ValueError(f"no such type; write one of {', '.join(_SCALARS)}, record, or list<...> of one")
    return _SCALARS[name]


def is_number(type_: ValueType) -> bool:
    return type_.kind in _NUMBERS


def is_scalar(type_: ValueType) -> bool:
    return type_.kind is not Kind.LIST and type_.kind is not Kind.RECORD


def unified(left: ValueType, right: ValueType) -> ValueType | None:
    """The type that holds values of both, or None: whole numbers widen to decimals."""
    if left == right:
        return left
    if is_number(left) and is_number(right):
        return DECIMAL
    return None


def comparable(left: ValueType, right: ValueType, *, ordered: bool) -> bool:
    """Whether values of the two can be compared for equality or, when `ordered`, by size."""
    both = unified(left, right)
    if both is None or not is_scalar(both):
        return False
    return both.kind in _ORDERED or not ordered


def class_of(type_: ValueType) -> type | None:
    """The exact class of the type's values; None for records, which are any mapping."""
    return _CLASSES.get(type_.kind)


def fits(value: Value, type_: ValueType) -> bool:
    """Whether `value` is of `type_`, elements and fields included; absent fields are allowed."""
    if isinstance(value, Mapping):
        return type_.kind is Kind.RECORD and all(
            (field := type_.field(name)) is not None and fits(item, field) for name, item in value.items()
        )
    if value.__class__ is not class_of(type_):
        return False
    if isinstance(value, tuple):
        element = type_.element
        return element is not None and all(fits(item, element) for item in value)
    if isinstance(value, Money):
        return value.amount.is_finite()
    return not isinstance(value, Decimal) or value.is_finite()
