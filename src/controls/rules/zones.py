"""Time zones by name, and what a clock in one of them shows.

Guarantees: zones come from the `tzdata` package that the lock file pins and never from the machine's own
database, so that two machines with the same release give the same answer. A clock always shows exactly one
date and time; the other way round is defined for every date and time of day, see `moment_at`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from controls.rules.scope import suggestion

_ONE_SECOND: Final = timedelta(seconds=1)


@cache
def zone_names() -> frozenset[str]:
    """The names of all zones, such as Europe/Madrid."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="ascii").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of that name.

    Raises:
        ValueError: there is none; the message names a near one.
    """
    if name not in zone_names():
        region = name.partition("/")[0] + "/"  # comparing with all of them would take 50 milliseconds
        near = suggestion(name[:60], (known for known in zone_names() if known.startswith(region)))
        raise ValueError(f"`{name[:60]}` is no time zone such as Europe/Madrid{near}")
    with (files("tzdata") / "zoneinfo" / name).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def date_in(moment: datetime, place: ZoneInfo) -> date:
    """The date that a clock in `place` shows at `moment`.

    Raises:
        OverflowError: before the year 1 or after 9999 there.
    """
    return moment.astimezone(place).date()


def time_in(moment: datetime, place: ZoneInfo) -> timedelta:
    """The time of day that a clock in `place` shows at `moment`: hours, minutes and so on, as a span.

    It is what the clock shows, not the time since midnight: 04:00 is four hours also on the day on which
    the clock leapt from 02:00 to 03:00.

    Raises:
        OverflowError: before the year 1 or after 9999 there.
    """
    shown = moment.astimezone(place)
    return timedelta(
        hours=shown.hour, minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond
    )


def moment_at(day: date, time: timedelta, place: ZoneInfo) -> datetime:
    """The first moment, in UTC, at which a clock in `place` shows `time` on `day` or later.

    A time that the clock shows twice (it was put back) is the first of the two. A time that it never shows
    (it was put forward) is the moment of the change. `time` may be 24 hours: the end of the day.

    Raises:
        OverflowError: before the year 1 or after 9999 in UTC.
    """
    wanted = datetime(day.year, day.month, day.day) + time  # noqa: DTZ001 - what a clock shows has no offset
    aware = wanted.replace(tzinfo=place)
    found = aware.astimezone(UTC)
    if _shown(found, place) == wanted:
        return found
    # In a gap PEP 495 gives the offset from before for fold 0 and the one from after for fold 1: the change
    # lies between the two readings, on a whole second.
    early = aware.replace(fold=1).astimezone(UTC)
    steps = (found - early) // _ONE_SECOND + 1
    early = early.replace(microsecond=0)
    low, high = 0, steps  # at `low` the clock shows less than what is wanted, at `high` it does not
    while high - low > 1:
        middle = (low + high) // 2
        if _shown(early + middle * _ONE_SECOND, place) < wanted:
            low = middle
        else:
            high = middle
    return early + high * _ONE_SECOND


def _shown(moment: datetime, place: ZoneInfo) -> datetime:
    return moment.astimezone(place).replace(tzinfo=None, fold=0)
