"""Business calendars, and counting in business days.

Guarantees: a calendar answers for the years that it states and raises `NotComputable` for every other
day, so that an outdated file is an error and never a business day; every count takes logarithmic time.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import date

from controls.model.values import Json
from controls.rules.arithmetic import NotComputable
from controls.rules.nodes import canonical_json


@dataclass(frozen=True, slots=True)
class Calendar:
    """The business days of some years: all days but those of the weekend and the holidays.

    Attributes:
        first_year: the first year it answers for.
        last_year: the last one.
        weekend: weekdays without business, Monday being 0; at most six.
        holidays: further days without business; they lie in its years.
    """

    name: str
    first_year: int
    last_year: int
    weekend: frozenset[int]
    holidays: frozenset[date]
    _days: tuple[int, ...] = field(init=False, repr=False, compare=False)  # business days, as ordinals

    def __post_init__(self) -> None:
        closed = {day.toordinal() for day in self.holidays}
        first, last = date(self.first_year, 1, 1).toordinal(), date(self.last_year, 12, 31).toordinal()
        days = (
            day
            for day in range(first, last + 1)
            if (day - 1) % 7 not in self.weekend and day not in closed  # day 1, a Monday, began it all
        )
        object.__setattr__(self, "_days", tuple(days))

    @property
    def digest(self) -> str:
        """Equal for calendars of equal meaning, whatever the holidays are called."""
        meaning: list[Json] = [
            self.first_year,
            self.last_year,
            list[Json](sorted(self.weekend)),
            [day.isoformat() for day in sorted(self.holidays)],
        ]
        return hashlib.sha256(canonical_json(meaning)).hexdigest()

    def is_business_day(self, day: date) -> bool:
        """Whether `day` is neither of the weekend nor a holiday.

        Raises:
            NotComputable: it lies in none of the calendar's years.
        """
        return self._up_to(day) > bisect_left(self._days, day.toordinal())

    def business_days(self, start: date, end: date) -> int:
        """How many business days lie after `start` and up to `end`, that one included.

        With `end` before `start` it is the same count the other way round, as a negative number. So it is 0
        from a day to itself, and counts over adjoining spans add up.

        Raises:
            NotComputable: one of the two lies in none of the calendar's years.
        """
        return self._up_to(end) - self._up_to(start)

    def add_business_days(self, day: date, count: int) -> date:
        """The business day that is `count` of them after `day`; before it, when `count` is negative.

        The count begins with the next business day: one after a Friday, Saturday or Sunday is the Monday.
        With 0 it is `day` itself, or the next business day where `day` is none.

        Raises:
            NotComputable: `day` or the result lies in none of the calendar's years.
        """
        before = self._up_to(day)
        passed = bisect_left(self._days, day.toordinal())  # without `day` itself
        index = before + count - 1 if count > 0 else passed + count
        if not 0 <= index < len(self._days):
            raise NotComputable(f"{abs(count)} business days from {day} leave {self._span()}")
        return date.fromordinal(self._days[index])

    def _up_to(self, day: date) -> int:
        """How many business days there are up to `day`, that one included."""
        if not self.first_year <= day.year <= self.last_year:
            raise NotComputable(f"{day} is outside {self._span()}")
        return bisect_right(self._days, day.toordinal())

    def _span(self) -> str:
        return f"the years {self.first_year} to {self.last_year} of the calendar {self.name}"
