"""What is claimed about two due times, held against every few hours of the calendars' years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.model.chain import ChainHistory
from controls.model.condition import Facts
from controls.model.finding import Deadline
from controls.rules.calendars import Calendar
from controls.rules.changes import ChangeClass
from controls.rules.compare_due import compared_due
from controls.rules.due import Due
from controls.rules.zones import zone

TIGHTENING, LOOSENING, _, NEUTRAL, NOT_PROVED = ChangeClass
WEEKEND = frozenset((5, 6))
PLAIN = Calendar("desk", 2026, 2026, WEEKEND, frozenset())
EASTER = Calendar("desk", 2026, 2026, WEEKEND, frozenset((date(2026, 4, 3), date(2026, 4, 6))))
LONGER = Calendar("desk", 2026, 2027, WEEKEND, frozenset())
FRIDAYS = Calendar("souk", 2026, 2026, frozenset((4, 5)), frozenset((date(2026, 12, 31),)))
SUNDAY = Calendar("desk", 2026, 2026, WEEKEND, frozenset((date(2026, 2, 1),)))
LATER = Calendar("desk", 2028, 2028, WEEKEND, frozenset())
MADRID, NEW_YORK, TOKYO = (zone(name) for name in ("Europe/Madrid", "America/New_York", "Asia/Tokyo"))


def at(hour: int) -> timedelta:
    return timedelta(hours=hour)


def on(
    days: int, hour: int, *, calendar: Calendar | None = None, place: object = MADRID, start: str = ""
) -> Due:
    assert place in (MADRID, NEW_YORK, TOKYO)
    return Due(start=start, days=days, calendar=calendar, at=at(hour), place=place)  # type: ignore[arg-type]


DUES = st.builds(
    on,
    st.integers(0, 3),
    st.sampled_from((0, 9, 18, 24)),
    calendar=st.sampled_from((None, PLAIN, PLAIN, EASTER, FRIDAYS, SUNDAY)),
    place=st.sampled_from((MADRID, MADRID, MADRID, NEW_YORK, TOKYO)),
)


def moved(before: Due, after: Due) -> Iterator[timedelta]:
    """How much later it is due when it is asked for at each of many moments, where both sides can tell."""
    now = datetime(2025, 12, 31, tzinfo=UTC)
    while now < datetime(2027, 1, 2, tzinfo=UTC):
        facts = Facts({}, ChainHistory("", ""), now)
        found = [due.deadline(facts) for due in (before, after)]
        times = [item.due_at for item in found if isinstance(item, Deadline)]
        if len(times) == 2:
            yield times[1] - times[0]
        now += timedelta(hours=5)


@settings(max_examples=60, deadline=None)
@given(DUES, DUES)
def test_no_moment_contradicts_a_claim_about_a_due_time(before: Due, after: Due) -> None:
    """Never earlier where it loosens, never later where it tightens, and the opposite the other way round."""
    kind, why = compared_due(before, after)
    back, _ = compared_due(after, before)
    nothing = timedelta(0)
    changes = set(moved(before, after))
    if kind is TIGHTENING:
        assert max(changes) <= nothing, why
        assert back is LOOSENING
    if kind is LOOSENING:
        assert min(changes) >= nothing, why
        assert back is TIGHTENING
    if kind is NEUTRAL:
        assert changes == {nothing}, why
    if kind is NOT_PROVED and (before.calendar or after.calendar):
        assert min(changes) < nothing < max(changes), why


@pytest.mark.parametrize(
    ("before", "after", "kind", "told"),
    [
        # With a calendar
        (
            on(1, 18, calendar=PLAIN),
            on(2, 18, calendar=PLAIN),
            LOOSENING,
            "from 2026-01-01, 2026-01-05 18:00",
        ),
        (on(2, 18, calendar=PLAIN), on(1, 18, calendar=PLAIN), TIGHTENING, "leaving aside what passes"),
        (on(1, 18, calendar=PLAIN), on(2, 9, calendar=PLAIN), LOOSENING, "never due earlier"),
        (on(1, 18, calendar=PLAIN), on(1, 12, calendar=PLAIN), TIGHTENING, "never due later"),
        (on(1, 0, calendar=PLAIN), on(0, 24, calendar=PLAIN), NOT_PROVED, "from 2026-01-03"),
        # One holiday more may only delay it, ...
        (
            on(1, 18, calendar=PLAIN),
            on(1, 18, calendar=EASTER),
            LOOSENING,
            "from 2026-04-02, 2026-04-07 18:00",
        ),
        # ... one on a Sunday does nothing, and further years are beside the point.
        (on(1, 18, calendar=PLAIN), on(1, 18, calendar=SUNDAY), NEUTRAL, "whatever the day"),
        (on(1, 18, calendar=PLAIN), on(1, 18, calendar=LONGER), NEUTRAL, "leaving aside what passes"),
        (on(1, 18, calendar=PLAIN), on(1, 18, calendar=FRIDAYS), NOT_PROVED, "on others later"),
        (on(1, 18, calendar=PLAIN), on(1, 18, calendar=LATER), NOT_PROVED, "no year in common"),
        (
            on(2, 18, calendar=PLAIN),
            on(2, 18),
            TIGHTENING,
            "2026-01-03 18:00 Europe/Madrid instead of 2026-01-05",
        ),
        (
            on(1, 18, calendar=PLAIN),
            on(1, 18, calendar=PLAIN, place=NEW_YORK),
            NOT_PROVED,
            "America/New_York",
        ),
        (on(1, 18, calendar=PLAIN), on(2, 18, calendar=PLAIN, place=NEW_YORK), LOOSENING, "America/New_York"),
        # Without one
        (on(0, 24), on(1, 0), NEUTRAL, "same moment"),
        (on(0, 18), on(1, 9), LOOSENING, "never due earlier"),
        (on(3, 18), on(2, 24), TIGHTENING, "never due later"),
        (on(1, 18), on(1, 18, place=NEW_YORK), NOT_PROVED, "another zone"),
        # Another start, another form
        (on(1, 18), on(1, 18, start="order.placed_at"), NOT_PROVED, "counts from another moment"),
        (on(1, 18), Due(within=at(24)), NOT_PROVED, "so long after a moment"),
        (Due(within=at(24)), Due(within=at(25)), LOOSENING, "always due later"),
        (Due(within=at(24)), None, LOOSENING, "no longer due"),
        (None, Due(within=at(24)), TIGHTENING, "now due"),
    ],
)
def test_a_due_time_moves_one_way_or_it_is_not_proved(
    before: Due | None, after: Due | None, kind: ChangeClass, told: str
) -> None:
    """With the days that show it, in the zone's own time."""
    found, why = compared_due(before, after)
    assert (found, told in why) == (kind, True), why
