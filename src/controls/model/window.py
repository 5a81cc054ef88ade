"""Counts and sums in sliding windows: what is kept of each request, and what a window over it says. Pure.

Guarantees: exact, and the cost of a window does not grow with what is in it. The observations of one series
are numbered and carry running totals, so the newest one and the oldest one inside the window tell the count
(`last.number - first.number + 1`) and the sum (`last.total - first.total + first.amount`); what has left the
window may be deleted without a trace. A window is half-open: what lies exactly its length back is out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final

from controls.model.values import Money, Value

# Exact for sums of 10^12 amounts of 34 digits between 1E-28 and 1E+28, and an error rather than a rounding.
_WIDE: Final = Context(prec=120, traps=[Inexact, InvalidOperation])

NOT_STATED: Final = "?"  # the unit of an amount that a request did not state
PLAIN: Final = ""  # the unit of a plain number; that of money is its currency


@dataclass(frozen=True, slots=True)
class Observation:
    """One earlier request in a series.

    `number` counts from 1; `at` is in microseconds. `run` says how many observations in a row, this one the
    last of them, have its `unit`, and `total` is the sum of their amounts.
    """

    number: int
    at: int
    unit: str
    amount: Decimal
    run: int
    total: Decimal


@dataclass(frozen=True, slots=True)
class Window:
    """The newest observation of a series, and the oldest one that is still inside the window."""

    first: Observation | None = None
    last: Observation | None = None

    @property
    def count(self) -> int:
        if self.first is None or self.last is None:
            return 0
        return self.last.number - self.first.number + 1

    @property
    def unit(self) -> str | None:
        """The unit that all amounts inside have; None when they differ or when there is none."""
        if self.first is None or self.last is None or self.last.run < self.count:
            return None
        return self.last.unit

    @property
    def total(self) -> Decimal:
        """The sum of the amounts inside, which must be of one unit; 0 when there is none."""
        if self.first is None or self.last is None:
            return Decimal(0)
        return exact_difference(_WIDE.add(self.last.total, self.first.amount), self.first.total)

    def following(self, *, at: int, amount: Decimal | Money | None) -> Observation:
        """The observation that comes next; `amount` None: the request did not state it."""
        unit, number = _unit(amount), _number(amount)
        last = self.last
        if last is None:
            return Observation(1, at, unit, number, 1, number)
        if last.unit != unit:
            return Observation(last.number + 1, at, unit, number, 1, number)
        return Observation(last.number + 1, at, unit, number, last.run + 1, _WIDE.add(last.total, number))

    def followed_by(self, observation: Observation) -> Window:
        """This window once `observation` has been made now."""
        return Window(self.first or observation, observation)


def exact_difference(one: Decimal, other: Decimal) -> Decimal:
    return _WIDE.subtract(one, other)


def significant_digits(number: Decimal) -> int:
    return len(_WIDE.normalize(number).as_tuple().digits)


def _unit(amount: Decimal | Money | None) -> str:
    if amount is None:
        return NOT_STATED
    return amount.currency if isinstance(amount, Money) else PLAIN


def _number(amount: Decimal | Money | None) -> Decimal:
    if amount is None:
        return Decimal(0)
    return amount.amount if isinstance(amount, Money) else amount


@dataclass(frozen=True, slots=True)
class Gap:
    """Why an aggregate has no value: facts that the request lacks, or what keeps it from being computed."""

    missing: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class AggregateReading:
    """The aggregates that the rules of one action read, by name: each has a value or a gap."""

    values: Mapping[str, Value] = field(default_factory=dict)
    gaps: Mapping[str, Gap] = field(default_factory=dict)
