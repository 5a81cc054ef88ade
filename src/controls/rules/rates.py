"""Rates of exchange of a release, `rates/NAME.csv`, and what an amount is worth by them in another currency.

    base:string key,quote:string key,from:date key,until:date,rate:decimal,remark:note
    EUR,USD,2026-03-01,2026-03-31,1.085,house rate of March

says that from 1 to 31 March 2026, both days included, one EUR is 1.085 USD.

Guarantees: a conversion rests on the one rate that the table states for the two currencies and the day, in
either direction; there is no other day's rate and no way by a third currency. Without one it is a
`NotComputable`, so that what needs it is never passed over. The result is the product with the rate, or the
quotient by it against its direction, rounded half even to 34 digits as every quotient (`arithmetic`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from controls.model.values import Json, Money, canonical
from controls.rules.arithmetic import NotComputable, exchanged
from controls.rules.versions import version_of

# The columns of a file, the keys first and the others by name, as `datasets` has them.
RATE_COLUMNS: Final = ("base:string key", "quote:string key", "from:date key", "rate:decimal", "until:date")
RATE_HEADER: Final = "base:string key,quote:string key,from:date key,until:date,rate:decimal"

_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")


class Rate(NamedTuple):
    """From `start` to `end`, both included, one `base` is `rate` of `quote`."""

    start: date
    end: date
    base: str
    quote: str
    rate: Decimal

    def __str__(self) -> str:
        return f"{self.base}/{self.quote} from {self.start} to {self.end}: {canonical(self.rate)}"


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """A table of rates. `pairs`: by two currencies in the order of the alphabet, those of a pair by day."""

    name: str
    pairs: Mapping[tuple[str, str], tuple[Rate, ...]]
    digest: str

    @property
    def currencies(self) -> tuple[str, ...]:
        return tuple(sorted({currency for pair in self.pairs for currency in pair}))

    def on(self, one: str, other: str, day: date) -> Rate:
        """The rate between two different currencies on a day.

        Raises:
            NotComputable: the table states none; the message says where one belongs.
        """
        known = self.pairs.get(_pair(one, other), ())
        index = bisect_right(known, day, key=lambda rate: rate.start) - 1
        if index < 0 or known[index].end < day:
            raise NotComputable(
                f"rates/{self.name}.csv has no rate between {one[:20]} and {other[:20]} on {day}"
            )
        return known[index]


def converted(money: Money, rate: Rate) -> Money:
    """`money` in the other currency of the rate.

    Raises:
        ArithmeticError: the result is out of range.
    """
    against = money.currency == rate.quote
    amount = exchanged(money.amount, rate.rate, against=against)
    return Money(amount, rate.base if against else rate.quote)


Refuse: TypeAlias = Callable[[int, str, str, str], None]


def rates_of(name: str, rows: Iterable[tuple[int, Rate]], refuse: Refuse) -> Rates:
    """The table that rows of a file make; what is wrong is told to `refuse`: line, column, code, message."""
    pairs: dict[tuple[str, str], list[tuple[Rate, int]]] = {}
    for line, rate in rows:
        if _is_sound(line, rate, refuse):
            pairs.setdefault(_pair(rate.base, rate.quote), []).append((rate, line))
    for found in pairs.values():
        found.sort()
        for (before, first), (rate, line) in pairwise(found):
            if rate.start <= before.end:
                message = f"line {first} already has {before}: one rate a day, in one direction"
                refuse(line, "from", "overlapping_rates", message)
    told: list[Json] = [
        [rate.base, rate.quote, rate.start.isoformat(), rate.end.isoformat(), canonical(rate.rate)]
        for pair in sorted(pairs)
        for rate, _ in pairs[pair]
    ]
    by_day = {pair: tuple(rate for rate, _ in found) for pair, found in pairs.items()}
    return Rates(name, by_day, version_of({"rates": told}))


def _is_sound(line: int, rate: Rate, refuse: Refuse) -> bool:
    wrong = [
        (column, f"{code[:20]!r} is no currency: write its three letters, such as EUR")
        for column, code in (("base", rate.base), ("quote", rate.quote))
        if _CURRENCY.match(code) is None
    ]
    if rate.base == rate.quote:
        wrong.append(("quote", f"{rate.base} needs no rate to itself: remove the row"))
    if rate.rate <= 0:
        wrong.append(("rate", f"a rate is more than 0; this is {canonical(rate.rate)}"))
    if rate.end < rate.start:
        wrong.append(("until", f"it ends on {rate.end}, before it begins on {rate.start}"))
    for column, message in wrong:
        refuse(line, column, "bad_value", message)
    return not wrong


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)
