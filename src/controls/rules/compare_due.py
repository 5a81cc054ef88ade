"""When an obligation is due, before and after.

Guarantees: an earlier due time is a tightening and a later one a loosening where no request's moves the other
way, though the answer stays the same: whoever is obliged has less time, or more. With a calendar that is
looked up for every day of its years; without one it follows from the number of days and the time of day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from controls.rules.changes import ChangeClass
from controls.rules.compare_conditions import Comparison
from controls.rules.due import Due
from controls.rules.zones import date_in, moment_at

_ONE_DAY: Final = timedelta(days=1)
_LATER: Final = "what it obliges to is never due earlier"
_EARLIER: Final = "what it obliges to is never due later"


def compared_due(before: Due | None, after: Due | None) -> tuple[ChangeClass, str]:
    """The class of a changed due time, and why."""
    if before is None or after is None:
        if before is None:
            return ChangeClass.TIGHTENING, "what it obliges to is now due at a time"
        return ChangeClass.LOOSENING, "what it obliges to is no longer due at a time"
    if replace(before, warn_at=after.warn_at) == after:
        return ChangeClass.NEUTRAL, "only the time of the warning changed"
    if before.start != after.start:
        return ChangeClass.NOT_PROVED, "it counts from another moment, and which one is earlier is not known"
    if before.within is not None and after.within is not None:
        if after.within < before.within:
            return ChangeClass.TIGHTENING, "what it obliges to is always due earlier"
        return ChangeClass.LOOSENING, "what it obliges to is always due later"
    if before.place is None or after.place is None:
        return ChangeClass.NOT_PROVED, "so long after a moment, or at a time of a day: either may be earlier"
    if before.calendar is not None or after.calendar is not None:
        return _day_by_day(before, after)
    if before.place.key != after.place.key:
        return ChangeClass.NOT_PROVED, "the times are of another zone, whose clocks may be set anew"
    # A clock never shows an earlier day and time later; the end of a day is the beginning of the next one.
    old, new = (due.days * _ONE_DAY + due.at for due in (before, after))
    if old == new:
        return ChangeClass.NEUTRAL, "it is due at the same moment"
    return (ChangeClass.LOOSENING, _LATER) if old < new else (ChangeClass.TIGHTENING, _EARLIER)


def with_due(found: Comparison, before: Due | None, after: Due | None) -> Comparison:
    """How a rule's answers changed, together with when what it obliges to is due."""
    if before == after:
        return found
    kind, why = compared_due(before, after)
    both = "; ".join(filter(None, (found.why, why)))
    if kind is ChangeClass.NEUTRAL:
        return replace(found, why=both)
    if found.kind in (ChangeClass.NEUTRAL, kind):
        return Comparison(kind, found.shown, both)
    if found.kind is ChangeClass.BOTH:
        return found
    return Comparison(ChangeClass.NOT_PROVED, found.shown, f"{why}, and the answers do not move that way")


def due_text(due: Due | None) -> str:
    """The due time as its rule file says it, nearly."""
    if due is None:
        return ""
    start = f" from {due.start}" if due.start else ""
    if due.within is not None:
        return f"within {due.within}{start}"
    days = f"{due.days} {'days' if due.calendar is None else f'business days of {due.calendar.name}'}"
    place = "" if due.place is None else f" {due.place.key}"
    return f"{days}{start} at {_clock(due.at)}{place}"


def _day_by_day(before: Due, after: Due) -> tuple[ChangeClass, str]:
    """What follows from looking at each day; days on which either side has no answer are left aside."""
    earlier = later = aside = ""
    looked = False
    for one, other in _first_days(before, after):
        try:
            old, new = before.on(one).due_at, after.on(other).due_at
        except ArithmeticError:
            aside = ", leaving aside what passes the years that the calendars state"
            continue
        looked = True
        told = f"counted from {one}, {_local(new, after)} instead of {_local(old, before)}"
        if new < old:
            earlier = earlier or told
        elif new > old:
            later = later or told
        if earlier and later:
            return (
                ChangeClass.NOT_PROVED,
                f"on some days it is due earlier ({earlier}), on others later ({later})",
            )
    if not looked:
        return ChangeClass.NOT_PROVED, "the two calendars have no year in common"
    if earlier:
        return ChangeClass.TIGHTENING, f"{_EARLIER}{aside}: {earlier}"
    if later:
        return ChangeClass.LOOSENING, f"{_LATER}{aside}: {later}"
    return ChangeClass.NEUTRAL, f"it is due at the same moment whatever the day{aside}"


def _first_days(before: Due, after: Due) -> Iterator[tuple[date, date]]:
    """Every pair of dates that both sides may count from: of one day, or of one moment in both zones."""
    calendars = [due.calendar for due in (before, after) if due.calendar is not None]
    first = max(calendar.first_year for calendar in calendars)
    last = min(calendar.last_year for calendar in calendars)
    one, other = before.place, after.place
    assert one is not None
    assert other is not None
    for number in range(date(first, 1, 1).toordinal(), date(last, 12, 31).toordinal() + 1):
        day = date.fromordinal(number)
        yield day, day
        if one.key != other.key:
            for place in (one, other):  # between midnights of the two clocks, no date changes
                midnight = moment_at(day, timedelta(0), place)
                yield date_in(midnight, one), date_in(midnight, other)


def _local(moment: datetime, due: Due) -> str:
    return f"{moment.astimezone(due.place):%Y-%m-%d %H:%M} {due.place}"


def _clock(time: timedelta) -> str:
    hours, seconds = divmod(int(time.total_seconds()), 3_600)
    return f"{hours:02}:{seconds // 60:02}"
