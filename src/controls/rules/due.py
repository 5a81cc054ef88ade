"""When an obligation is due, computed with each permit.

Guarantees: a due time follows from `now` under the lock, and from a fact that the caller states only where
the rule says `from`; it is a moment, or an `Unknown` that says why there is none, never a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from controls.model.condition import Facts
from controls.model.finding import Deadline
from controls.model.values import Value
from controls.rules.arithmetic import describe
from controls.rules.calendars import Calendar
from controls.rules.reading import Unknown
from controls.rules.zones import date_in, moment_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Either so long after the start, or at a time of day so many days after the start's date.

    `parameters`: which of `within`, `days`, `at` and `warn_at` are a parameter's value, and whose.

    Attributes:
        start: the fact that says when the count begins; empty: at `now`.
        within: how long after the start; None for the other form, which the rest is about.
        days: how many days later; business days where there is a calendar.
        at: the time of that day in `place`, 24 hours being its end; from then on it is too late.
        warn_at: an earlier time of that day.
    """

    start: str = ""
    within: timedelta | None = None
    days: int = 0
    calendar: Calendar | None = None
    at: timedelta = timedelta(0)
    warn_at: timedelta | None = None
    place: ZoneInfo | None = None
    parameters: Mapping[str, str] = field(default_factory=dict, compare=False)

    def with_parameters(self, values: Mapping[str, Value]) -> Due:
        """The same where the parameters that are named have these values."""
        changed = {name: values[of] for name, of in self.parameters.items() if of in values}
        return replace(self, **cast("dict[str, Any]", changed))

    def deadline(self, facts: Facts) -> Deadline | Unknown:
        """The deadline of a permit given on `facts`."""
        start: object = facts.values.get(self.start) if self.start else facts.now
        if start is None:
            return Unknown((self.start,))
        try:
            if isinstance(start, datetime):
                return self._deadline(start)
            if isinstance(start, date) and self.within is None:
                return self.on(start)
        except ArithmeticError as problem:
            return Unknown((), f"the due time: {describe(problem)}")
        return Unknown((), f"the due time: {self.start} is {start.__class__.__name__}")

    def _deadline(self, start: datetime) -> Deadline:
        if self.within is not None:
            return Deadline(start + self.within)
        assert self.place is not None
        return self.on(date_in(start, self.place))

    def on(self, first: date) -> Deadline:
        """The deadline on a day, counted from the start's date.

        Raises:
            ArithmeticError: it leaves the years that the calendar states.
        """
        assert self.place is not None
        if self.calendar is not None:
            day = self.calendar.add_business_days(first, self.days)
        else:
            day = first + timedelta(days=self.days)
        return Deadline(
            moment_at(day, self.at, self.place),
            warn_at=None if self.warn_at is None else moment_at(day, self.warn_at, self.place),
            zone=self.place.key,
        )
