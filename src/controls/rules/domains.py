"""What a fact may be, and few values that stand for all of them as far as given constants can tell.

Guarantees: `samples_of` covers: for every value that the domain allows, a sample compares with each of the
constants exactly as that value does. The decimal line is taken as it is, with its 34 digits: two neighbours
have nothing between them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from itertools import chain, combinations, product
from math import ceil, floor
from string import ascii_lowercase, ascii_uppercase
from typing import Final, TypeAlias, cast

from controls.model.values import MAX_DIGITS, MAX_EXPONENT, Missing, Money, Value, decimal_text
from controls.rules.common_shapes import MAX_LIST, MAX_STRING
from controls.rules.formats import FORMATS
from controls.rules.readers import FIRST_MOMENT, LAST_MOMENT, MAX_INTEGER
from controls.rules.types import STRING, Kind, ValueType
from controls.rules.vocabulary import SERVICE_FACTS, Vocabulary

Sample: TypeAlias = "Value | Missing"

MAX_MEMBERS: Final = 5  # constants looked for in one list fact: its samples are all their subsets

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = 24 * 3600 * 1_000_000
_PRECISE: Final = Context(prec=200)
COMMON_CURRENCIES: Final = ("EUR", "USD", "GBP", "CHF", "JPY")


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that one fact may have. `values`: the only strings, when not empty; `format`: the
    form that they have; `optional`: or none.
    """

    type: ValueType
    values: tuple[str, ...] = ()
    format: str = ""
    max_length: int = MAX_STRING
    max_items: int = MAX_LIST
    optional: bool = True

    @property
    def finite(self) -> bool:
        """Whether `samples_of` holds every value, whatever is asked of it."""
        return self.type.kind is Kind.BOOL or (self.type.kind is Kind.STRING and bool(self.values))

    def takes(self, text: str) -> bool:
        """Whether a text is of its form and length."""
        if self.format:
            return FORMATS[self.format].has(text)
        return len(text) <= self.max_length


def domains_of(vocabulary: Vocabulary) -> dict[str, Domain]:
    """The domain of every fact that conditions may read, the service's own included."""
    found = {
        # Only a person may be unknown: the rest stands in every request.
        name: Domain(type_, optional=name.startswith("person."))
        for name, type_ in SERVICE_FACTS.items()
    }
    found["subject.type"] = Domain(STRING, tuple(sorted(vocabulary.subject_types)), optional=False)
    found.update(
        (name, Domain(fact.type, fact.values, fact.format, fact.max_length, fact.max_items))
        for name, fact in vocabulary.facts.items()
    )
    return found


@dataclass(frozen=True, slots=True)
class _Line:
    """An ordered kind as whole numbers: `scale` of them make one unit of the kind's values.

    `steps`: round distances, the largest first, for samples that people can read. `digits`: at most so
    many digits before the zeros at the end; 0 for any number.
    """

    first: int
    last: int
    number: Callable[[Value], Fraction]
    value: Callable[[int], Value]
    scale: int = 1
    steps: tuple[int, ...] = (1,)
    digits: int = 0

    def samples(self, cuts: Iterable[Fraction]) -> list[Value]:
        """Each cut that is a value, and one value in each gap that has any."""
        edges = sorted(set(cuts))
        found: list[int] = []
        for lower, upper in zip([None, *edges], [*edges, None], strict=True):
            between = self._between(lower, upper)
            if between is not None:
                found.append(between)
            if upper is not None and self.is_value(upper):
                found.append(int(upper * self.scale))
        return [self.value(number) for number in found]

    def _between(self, lower: Fraction | None, upper: Fraction | None) -> int | None:
        low = self.first if lower is None else max(self.first, self._up(floor(lower * self.scale) + 1))
        high = self.last if upper is None else min(self.last, self._down(ceil(upper * self.scale) - 1))
        if low > high:
            return None
        if lower is None and upper is None:
            return 0 if low <= 0 <= high else low
        for step in self.steps:
            number = high // step * step if lower is None else -(-low // step) * step  # near the constant
            if low <= number <= high and self._fits(number):
                return number
        return low

    def is_value(self, cut: Fraction) -> bool:
        scaled = cut * self.scale
        return scaled.denominator == 1 and self.first <= scaled <= self.last and self._fits(int(scaled))

    def _fits(self, number: int) -> bool:
        return self._up(number) == number

    def _up(self, number: int) -> int:
        """The least number that is one of the line's, from `number` on."""
        return -self._toward_zero(-number) if number < 0 else self._away(number)

    def _down(self, number: int) -> int:
        return -self._away(-number) if number < 0 else self._toward_zero(number)

    def _toward_zero(self, number: int) -> int:
        excess = len(str(number)) - self.digits
        return number if self.digits == 0 or excess <= 0 else number - number % 10**excess

    def _away(self, number: int) -> int:
        excess = len(str(number)) - self.digits
        return number if self.digits == 0 or excess <= 0 else -(-number // 10**excess) * 10**excess


_SCALE: Final = 10**MAX_EXPONENT


def _exact(number: int) -> Decimal:
    return Decimal(decimal_text(Decimal(number).scaleb(-MAX_EXPONENT, context=_PRECISE)))


def _moment(number: int) -> datetime:
    return _EPOCH + timedelta(microseconds=number)


def _microseconds(value: Value) -> Fraction:
    return Fraction((cast(datetime, value) - _EPOCH) // _MICROSECOND)


_DECIMALS: Final = _Line(
    first=-(10**MAX_DIGITS - 1) * 10 ** (2 * MAX_EXPONENT + 1 - MAX_DIGITS),
    last=(10**MAX_DIGITS - 1) * 10 ** (2 * MAX_EXPONENT + 1 - MAX_DIGITS),
    number=lambda value: Fraction(cast(Decimal, value)),
    value=_exact,
    scale=_SCALE,
    steps=tuple(10**power for power in range(MAX_EXPONENT, -1, -2)),
    digits=MAX_DIGITS,
)
_LINES: Final[Mapping[Kind, _Line]] = {
    Kind.INT: _Line(
        first=1 - 10 * MAX_INTEGER,  # what the arithmetic of conditions gives, not only what callers may send
        last=10 * MAX_INTEGER - 1,
        number=lambda value: Fraction(cast(int, value)),
        value=lambda number: number,
    ),
    Kind.DECIMAL: _DECIMALS,
    Kind.DATE: _Line(
        first=date.min.toordinal(),
        last=date.max.toordinal(),
        number=lambda value: Fraction(cast(date, value).toordinal()),
        value=date.fromordinal,
    ),
    Kind.TIMESTAMP: _Line(
        first=int(_microseconds(FIRST_MOMENT)),
        last=int(_microseconds(LAST_MOMENT)) - 1,
        number=_microseconds,
        value=_moment,
        steps=(_DAY, 3_600_000_000, 1_000_000, 1),
    ),
    Kind.DURATION: _Line(
        first=timedelta.min // _MICROSECOND,
        last=timedelta.max // _MICROSECOND,
        number=lambda value: Fraction(cast(timedelta, value) // _MICROSECOND),
        value=lambda number: timedelta(microseconds=number),
        steps=(_DAY, 3_600_000_000, 1_000_000, 1),
    ),
}


def is_ordered(kind: Kind) -> bool:
    """Whether comparisons by size with constants of the kind can be sampled; those of money too."""
    return kind in _LINES or kind is Kind.MONEY


def number_of(value: Value, kind: Kind) -> Fraction:
    """A value of an ordered kind on its line: days, microseconds, or the number itself."""
    return _LINES[kind].number(value)


def value_at(number: Fraction, kind: Kind) -> Value | None:
    """The value at a place of its line; None when there is none."""
    line = _LINES[kind]
    return line.value(int(number * line.scale)) if line.is_value(number) else None


def bounds_of(kind: Kind) -> tuple[Fraction, Fraction]:
    """The least and the greatest value of an ordered kind."""
    line = _LINES[kind]
    return Fraction(line.first, line.scale), Fraction(line.last, line.scale)


def samples_of(domain: Domain, constants: Collection[Value]) -> tuple[Sample, ...]:
    """Values that stand for all of the domain, `MISSING` among them when it is optional.

    Args:
        domain: what may be.
        constants: what the fact is compared with, for equality only where it is text; for a list, what is
            looked for in it (at most MAX_MEMBERS). For money also numbers, which its amount is compared with
            in every currency, and texts, which its currency is compared with.
    """
    found = _present(domain, constants)
    return (*found, Missing.MISSING) if domain.optional else tuple(found)


def _present(domain: Domain, constants: Collection[Value]) -> list[Value]:
    kind = domain.type.kind
    if kind is Kind.BOOL:
        return [True, False]
    if kind is Kind.STRING:
        return _strings(domain, cast("Collection[str]", constants))
    if kind is Kind.MONEY:
        return _moneys(constants)
    if kind is Kind.RECORD:
        return [{}]
    if kind is Kind.LIST:
        known = [item for item in dict.fromkeys(constants) if not domain.values or item in domain.values]
        sizes = range(min(len(known), domain.max_items) + 1)
        return list(chain.from_iterable(combinations(known, size) for size in sizes))
    line = _LINES[kind]
    # A whole number may be compared with fractions.
    number = _DECIMALS.number if kind is Kind.INT else line.number
    return line.samples(number(constant) for constant in constants)


def _strings(domain: Domain, constants: Collection[str]) -> list[Value]:
    if domain.values:
        return list(domain.values)
    found: list[Value] = [text for text in dict.fromkeys(constants) if domain.takes(text)]
    names: Iterable[str] = chain(("other",), ascii_lowercase, map(chr, range(0x4E00, 0x9FFF)))
    if domain.format:
        names = map(FORMATS[domain.format].sample, range(len(found) + 1))
    fresh = next((name for name in names if name not in constants and domain.takes(name)), None)
    return found if fresh is None else [*found, fresh]


def _moneys(constants: Collection[Value]) -> list[Value]:
    cuts: dict[str, set[Fraction]] = {}
    everywhere: set[Fraction] = set()
    for constant in constants:
        if isinstance(constant, Money):
            cuts.setdefault(constant.currency, set()).add(Fraction(constant.amount))
        elif not isinstance(constant, str):
            everywhere.add(_DECIMALS.number(constant))
        elif len(constant) == 3 and constant.isascii() and constant.isalpha() and constant.isupper():
            cuts.setdefault(constant, set())
    codes = chain(COMMON_CURRENCIES, map("".join, product(ascii_uppercase, repeat=3)))
    cuts[next(code for code in codes if code not in cuts)] = set()
    return [
        Money(cast(Decimal, amount), currency)
        for currency, own in cuts.items()
        for amount in _DECIMALS.samples(own | everywhere)
    ]
