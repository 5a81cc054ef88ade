"""Likely values of facts, near the constants that conditions mention: where to look for an example first."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

from controls.model.values import EXACT, MISSING, Money, Value
from controls.rules.domains import COMMON_CURRENCIES, Sample
from controls.rules.formats import FORMATS
from controls.rules.leaves import Variable
from controls.rules.readers import MAX_INTEGER
from controls.rules.tree import Constant, ListRead, Typed, walk
from controls.rules.types import Kind, ValueType

MAX_GUESSES: Final = 16  # of one fact

_NOW: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_NUMBERS: Final = (Decimal(0), Decimal(1), Decimal(-1), Decimal(1_000_000_000))
_SPANS: Final = (timedelta(0), timedelta(hours=1), timedelta(days=400))
_LONGEST: Final = timedelta(days=36_000)  # from now, it must not leave the calendar's years
_STEPS: Final = ("performed", "claimed", MISSING)

_Moment = TypeVar("_Moment", date, datetime)


def hints_of(nodes: Iterable[Typed]) -> tuple[Value, ...]:
    """The constants in `nodes`, those inside lists one by one."""
    found: dict[Value, None] = {}
    for node in nodes:
        for part in walk(node):
            if isinstance(part, Constant):
                values = part.value if isinstance(part.value, tuple) else (part.value,)
                found.update(dict.fromkeys(values))
            elif isinstance(part, ListRead):
                found.update(dict.fromkeys(part.data.items[:2]))
    return tuple(found)


def guesses_of(variable: Variable, hints: Collection[Value]) -> tuple[Sample, ...]:
    """Values that `variable` may have, the likeliest first."""
    if variable.step:
        return _STEPS
    domain = variable.domain
    values: Iterable[Value] = (
        domain.values if domain.finite and domain.values else _of_type(domain.type, hints)
    )
    if domain.format and domain.type.kind is Kind.STRING:
        fresh = map(FORMATS[domain.format].sample, range(2))
        values = (*(hint for hint in hints if isinstance(hint, str) and domain.takes(hint)), *fresh)
    absent = (MISSING,) if domain.optional else ()
    return (*list(values)[:MAX_GUESSES], *absent)


def _of_type(type_: ValueType, hints: Collection[Value]) -> list[Value]:
    if type_.kind is Kind.LIST:
        assert type_.element is not None
        items = _of_type(type_.element, hints)[:5]
        return [*((item,) for item in items), (), tuple(items[:2]), tuple(items)]
    if type_.kind is Kind.RECORD:
        columns = [(name, _of_type(field, hints)) for name, field in type_.fields]
        return [
            # Fields differ from one another, and each value comes with several of the next field.
            {
                name: found[(row * (place + 1) + place) % len(found)]
                for place, (name, found) in enumerate(columns)
            }
            for row in range(5)
        ]
    return list(dict.fromkeys(_of_scalar(type_.kind, hints)))


def _of_scalar(kind: Kind, hints: Collection[Value]) -> Iterable[Value]:
    match kind:
        case Kind.BOOL:
            return (True, False)
        case Kind.STRING:
            return (*(hint for hint in hints if isinstance(hint, str)), "other", "another")
        case Kind.INT:
            return (int(number) for number in _numbers(hints))
        case Kind.DECIMAL:
            return _numbers(hints)
        case Kind.MONEY:
            currencies = [hint.currency for hint in hints if isinstance(hint, Money)] or COMMON_CURRENCIES[:1]
            return (Money(number, currencies[0]) for number in _numbers(hints))
        case Kind.DURATION:
            return (*_spans(hints), *_SPANS)
        case Kind.DATE:
            days = [hint for hint in hints if isinstance(hint, date) and not isinstance(hint, datetime)]
            return _around(_NOW.date(), days, hints)
        case _:
            return _around(_NOW, [hint for hint in hints if isinstance(hint, datetime)], hints)


def _numbers(hints: Collection[Value]) -> list[Decimal]:
    found: list[Decimal] = list(_NUMBERS)
    for hint in hints:
        amount = hint.amount if isinstance(hint, Money) else hint
        if isinstance(amount, int | Decimal) and not isinstance(amount, bool):
            number = Decimal(amount)
            found += [number, EXACT.add(number, 1), EXACT.subtract(number, 1), EXACT.multiply(number, 2)]
    return [number for number in found if abs(number) < MAX_INTEGER]


def _spans(hints: Collection[Value]) -> list[timedelta]:
    found = [hint for hint in hints if isinstance(hint, timedelta) and abs(hint) < _LONGEST]
    return [hint + shift for hint in found for shift in (_DAY, -_DAY, _DAY * 0)]


def _around(start: _Moment, known: list[_Moment], hints: Collection[Value]) -> list[_Moment]:
    """Moments beside the known ones and beside the start, as far away as the spans that are mentioned."""
    found = list(known)
    for span in (*_SPANS, *_spans(hints), _DAY, 3 * _DAY):
        found += [start - span, start + span]
    return found
