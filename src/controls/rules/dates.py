"""Functions of conditions whose last argument names a calendar or a time zone.

What they give is said where it is computed: `Calendar.business_days`, `Calendar.add_business_days`,
`Calendar.is_business_day`, `zones.date_in` (date_of) and `zones.time_in` (time_of_day). A time of day is a
span since midnight as the clock shows it, to be held against `time("16:00")`.

Guarantees: calendar and zone are bound at load, so that a name that means nothing never reaches a decision;
what a function gives depends on its arguments and the release only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from controls.rules.arithmetic import Implementation
from controls.rules.calendars import Calendar
from controls.rules.scope import suggestion
from controls.rules.tree import Constant, Operation, Typed, walk
from controls.rules.types import BOOL, DATE, DURATION, INT, TIMESTAMP, ValueType
from controls.rules.zones import date_in, time_in, zone

Binder: TypeAlias = Callable[[str, Mapping[str, Calendar]], Implementation]


@dataclass(frozen=True, slots=True)
class DateFunction:
    """A function with a name at its end.

    Attributes:
        usage: how a diagnostic shows it.
        takes: the types of the arguments before the name.
        gives: the type of the result.
        bind: the implementation for a name, called with the name as last argument again.
        named: what the name is of: `calendar` or `zone`. `bind` raises ValueError where there is none.
    """

    usage: str
    takes: tuple[ValueType, ...]
    gives: ValueType
    bind: Binder
    named: str


def calendar_named(name: str, calendars: Mapping[str, Calendar]) -> Calendar:
    """The calendar of that name.

    Raises:
        ValueError: there is none; the message says what to do.
    """
    calendar = calendars.get(name)
    if calendar is None:
        hint = suggestion(name[:60], calendars) or ": add its file"
        raise ValueError(f"there is no calendars/{name[:60]}.yaml{hint}")
    return calendar


def _of_calendar(call: Callable[[Calendar], Callable[..., object]]) -> Binder:
    def bind(name: str, calendars: Mapping[str, Calendar]) -> Implementation:
        method = call(calendar_named(name, calendars))
        return lambda *arguments: method(*arguments[:-1])

    return bind


def _of_zone(read: Callable[..., object]) -> Binder:
    def bind(name: str, _calendars: Mapping[str, Calendar]) -> Implementation:
        place = zone(name)
        return lambda moment, _name: read(moment, place)

    return bind


DATE_FUNCTIONS: Final[Mapping[str, DateFunction]] = {
    "business_days": DateFunction(
        'business_days(date, date, "calendar")',
        (DATE, DATE),
        INT,
        _of_calendar(lambda calendar: calendar.business_days),
        "calendar",
    ),
    "add_business_days": DateFunction(
        'add_business_days(date, number, "calendar")',
        (DATE, INT),
        DATE,
        _of_calendar(lambda calendar: calendar.add_business_days),
        "calendar",
    ),
    "is_business_day": DateFunction(
        'is_business_day(date, "calendar")',
        (DATE,),
        BOOL,
        _of_calendar(lambda calendar: calendar.is_business_day),
        "calendar",
    ),
    "date_of": DateFunction(
        'date_of(timestamp, "Europe/Madrid")', (TIMESTAMP,), DATE, _of_zone(date_in), "zone"
    ),
    "time_of_day": DateFunction(
        'time_of_day(timestamp, "Europe/Madrid")', (TIMESTAMP,), DURATION, _of_zone(time_in), "zone"
    ),
}


def calendars_of(node: Typed) -> frozenset[str]:
    """The names of the calendars that `node` counts by."""
    found: set[str] = set()
    for part in walk(node):
        if isinstance(part, Operation) and part.name in DATE_FUNCTIONS:
            name = part.arguments[-1]
            if DATE_FUNCTIONS[part.name].named == "calendar" and isinstance(name, Constant):
                found.add(str(name.value))
    return frozenset(found)
