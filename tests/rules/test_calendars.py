"""Business calendars: their arithmetic, their files, and the ones that are shipped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from functools import cache

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from controls.rules.arithmetic import NotComputable
from controls.rules.calendar_files import calendars_of
from controls.rules.calendars import Calendar
from controls.rules.diagnostics import Diagnostics
from controls.rules.release import compile_release
from controls.rules.sources import read_sources
from tests.rules.rule_sets import desk_files, diagnostics_of
from tests.rules.shipped_desk import shipped_files

WEEKEND = frozenset((5, 6))
DESK = Calendar(
    "desk", 2024, 2027, WEEKEND, frozenset((date(2026, 1, 1), date(2026, 4, 3), date(2026, 4, 6)))
)
ONE_DAY = timedelta(days=1)


def calendars() -> st.SearchStrategy[Calendar]:
    """Any weekend that leaves a day, and holidays as they come."""
    days = st.dates(date(2026, 1, 1), date(2027, 12, 31))
    return st.builds(
        Calendar,
        name=st.just("any"),
        first_year=st.just(2026),
        last_year=st.just(2027),
        weekend=st.frozensets(st.integers(0, 6), max_size=6),
        holidays=st.frozensets(days, max_size=40),
    )


dates = st.dates(date(2026, 1, 1), date(2027, 12, 31))


# --- Arithmetic -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("2026-03-02", "2026-03-02", 0),
        ("2026-03-02", "2026-03-03", 1),
        ("2026-03-06", "2026-03-09", 1),  # over a weekend
        ("2026-03-07", "2026-03-09", 1),  # from a Saturday
        ("2026-03-06", "2026-03-08", 0),  # to a Sunday
        ("2026-04-02", "2026-04-07", 1),  # over Easter
        ("2026-03-09", "2026-03-06", -1),
    ],
)
def test_business_days_after_one_day_up_to_another(start: str, end: str, count: int) -> None:
    """The first day is not counted and the last one is."""
    assert DESK.business_days(date.fromisoformat(start), date.fromisoformat(end)) == count


@pytest.mark.parametrize(
    ("day", "count", "result"),
    [
        ("2026-03-06", 0, "2026-03-06"),
        ("2026-03-07", 0, "2026-03-09"),
        ("2026-03-06", 1, "2026-03-09"),
        ("2026-03-07", 1, "2026-03-09"),
        ("2026-04-02", 1, "2026-04-07"),
        ("2026-04-02", 2, "2026-04-08"),
        ("2026-03-09", -1, "2026-03-06"),
        ("2026-03-08", -1, "2026-03-06"),
        ("2026-03-08", -5, "2026-03-02"),
    ],
)
def test_so_many_business_days_later_or_before(day: str, count: int, result: str) -> None:
    """The count begins with the next business day; 0 is the day itself if it is one."""
    assert DESK.add_business_days(date.fromisoformat(day), count) == date.fromisoformat(result)


@given(calendar=calendars(), one=dates, other=dates, third=dates)
def test_counts_add_up(calendar: Calendar, one: date, other: date, third: date) -> None:
    """Adjoining spans add up, backwards is the negative, and a day more counts exactly if it is business."""
    count = calendar.business_days
    assert count(one, other) + count(other, third) == count(one, third)
    assert count(one, other) == -count(other, one)
    assume(one > date(2026, 1, 1))
    assert count(one - ONE_DAY, one) == calendar.is_business_day(one)


@given(calendar=calendars(), day=dates, steps=st.integers(1, 300))
def test_adding_is_counting_the_other_way_round(calendar: Calendar, day: date, steps: int) -> None:
    """So many business days later there lie just as many in between, and it is the first such day."""
    try:
        later = calendar.add_business_days(day, steps)
    except NotComputable:
        assert calendar.business_days(day, date(2027, 12, 31)) < steps
        return
    assert later > day
    assert calendar.is_business_day(later)
    assert calendar.business_days(day, later) == steps
    assert calendar.business_days(day, later - ONE_DAY) == steps - 1


@given(calendar=calendars(), day=dates, steps=st.integers(1, 300))
def test_going_back_is_the_mirror_of_going_on(calendar: Calendar, day: date, steps: int) -> None:
    """From a business day, so many later and as many back is where one was."""
    assume(calendar.is_business_day(day))
    try:
        later = calendar.add_business_days(day, steps)
    except NotComputable:
        return
    assert calendar.add_business_days(later, -steps) == day


@given(calendar=calendars(), day=dates)
def test_no_business_day_later_is_the_next_one_at_the_earliest(calendar: Calendar, day: date) -> None:
    """0 is the first business day from the day on."""
    walked = next(
        (
            found
            for step in range((date(2027, 12, 31) - day).days + 1)
            if calendar.is_business_day(found := day + step * ONE_DAY)
        ),
        None,
    )
    if walked is None:
        with pytest.raises(NotComputable):
            calendar.add_business_days(day, 0)
    else:
        assert calendar.add_business_days(day, 0) == walked


@pytest.mark.parametrize("day", [date(2023, 12, 31), date(2028, 1, 1), date.min, date.max])
def test_outside_its_years_a_calendar_knows_nothing(day: date) -> None:
    """Such a day is an error in each function, never a business day and never a holiday."""
    inside = date(2026, 3, 2)
    for ask in (
        lambda: DESK.is_business_day(day),
        lambda: DESK.business_days(day, inside),
        lambda: DESK.business_days(inside, day),
        lambda: DESK.add_business_days(day, 0),
    ):
        with pytest.raises(NotComputable, match="outside the years 2024 to 2027 of the calendar desk"):
            ask()


@pytest.mark.parametrize("count", [10_000, -10_000, 10**28])
def test_a_result_outside_its_years_is_an_error(count: int) -> None:
    """No count leads out of the calendar."""
    with pytest.raises(NotComputable, match="leave the years 2024 to 2027"):
        DESK.add_business_days(date(2026, 3, 2), count)


# --- Files ----------------------------------------------------------------------------------------------

FILE = """\
title: {en: Test, es: Prueba}
first_year: 2026
last_year: 2027
weekend: [saturday, sunday]
holidays:
  2026-01-01: New Year's Day
  2026-12-25: Christmas Day
"""
RULE = """\
id: test.rule
title: {en: A, es: B}
source: {law: Policy, basis: policy}
on: [order.capture]
when: is_business_day(date_of(now, "Europe/Madrid"), "test")
then: deny
message: {en: "{resource.id}", es: "{resource.id}"}
examples:
  - {name: a Monday, at: "2026-03-02T09:30:00Z", expect: deny}
  - {name: Christmas, at: "2026-12-25T09:30:00Z", expect: permit}
"""


def with_calendar(text: str, *, rule: str = "") -> dict[str, str]:
    files = {**desk_files(), "calendars/test.yaml": text}
    return files | ({"regulatory/test/rule.yaml": rule} if rule else {})


def mistakes(files: Mapping[str, str]) -> list[str]:
    return [f"{item.file}:{item.line}:{item.column}: {item.code}" for item in diagnostics_of(dict(files))]


def test_wrong_years_are_one_mistake() -> None:
    """And not one for every holiday."""
    (found,) = diagnostics_of(with_calendar(FILE.replace("year: 202", "year: 203")))
    assert (found.code, found.line) == ("out_of_range", 6)
    assert "the calendar is for 2036 to 2037, and 2 of its days lie outside" in found.message


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("2026-12-25: ", "2026-02-30: ", "calendars/test.yaml:7:3: bad_date"),
        ("2026-12-25: ", "2028-12-25: ", "calendars/test.yaml:7:3: out_of_range"),
        ("2026-12-25: ", "2026-01-01: ", "calendars/test.yaml:7:3: duplicate_key"),
        ("2026-12-25: ", "Christmas: ", "calendars/test.yaml:7:3: bad_text"),
        ("Christmas Day", "", "calendars/test.yaml:7:3: empty_value"),
        ("last_year: 2027", "last_year: 2025", "calendars/test.yaml:3:12: out_of_range"),
        ("last_year: 2027", "last_year: 2126", "calendars/test.yaml:3:12: out_of_range"),
        ("[saturday, sunday]", "[saturday, sonday]", "calendars/test.yaml:4:21: unknown_value"),
        (
            "[saturday, sunday]",
            "[monday, tuesday, wednesday, thursday, friday, saturday, sunday]",
            "calendars/test.yaml:4:10: wrong_length",
        ),
        ("weekend: [saturday, sunday]\n", "", "calendars/test.yaml:1:1: missing_key"),
        ("holidays:", "hollidays:", "calendars/test.yaml:5:1: unknown_key"),
    ],
)
def test_mistakes_in_a_calendar_have_their_place(old: str, new: str, mistake: str) -> None:
    """Each is found at its line and column, and the rules that use the calendar are not blamed as well."""
    assert old in FILE
    found = mistakes(with_calendar(FILE.replace(old, new), rule=RULE))
    assert mistake in found
    assert all(item.startswith("calendars/test.yaml") for item in found)


def test_a_rule_may_use_a_calendar_that_is_there() -> None:
    """Rule and calendar make a release; without the calendar the rule's condition is wrong at that word."""
    assert mistakes(with_calendar(FILE, rule=RULE)) == []
    files = with_calendar(FILE, rule=RULE)
    del files["calendars/test.yaml"]
    assert mistakes(files) == ["regulatory/test/rule.yaml:5:54: unknown_calendar"]


@pytest.mark.parametrize("path", ["calendars/TARGET.yaml", "calendars/a-b.yaml", "calendars/eu/target.yaml"])
def test_a_calendar_has_a_name_that_conditions_can_say(path: str) -> None:
    """Small letters, digits and underscores, in the one folder."""
    (mistake,) = diagnostics_of({**desk_files(), path: FILE})
    assert (mistake.code, "calendars/target.yaml" in mistake.message) == ("unknown_file", True)


def test_a_calendar_is_part_of_the_release_and_of_what_rules_mean() -> None:
    """Another holiday is another release and another version of the rules that count by it, of no others."""

    def versions(text: str) -> tuple[str, dict[str, str]]:
        release = compile_release(with_calendar(text, rule=RULE))
        return release.digest, {rule.id: rule.version for rule in release.rules}

    digest, before = versions(FILE)
    renamed_digest, renamed = versions(FILE.replace("Christmas Day", "Navidad"))
    changed_digest, changed = versions(FILE + "  2026-12-26: Boxing Day\n")
    assert len({digest, renamed_digest, changed_digest}) == 3
    assert renamed == before
    assert {name for name in before if changed[name] != before[name]} == {"test.rule"}


# --- The shipped ones -----------------------------------------------------------------------------------


@cache
def shipped() -> Mapping[str, Calendar]:
    diagnostics = Diagnostics()
    found = calendars_of(read_sources(shipped_files(), diagnostics), diagnostics)
    diagnostics.raise_if_any()
    return found.by_name


def easter(year: int) -> date:
    """Easter Sunday (Meeus, Jones and Butcher)."""
    golden, century, rest = year % 19, year // 100, year % 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (golden + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * late + 114, 31)
    return date(year, month, day + 1)


def weekday(year: int, month: int, day: int, number: int) -> date:
    """A weekday of a month by its number, Monday being day 0; number -1 is the last one."""
    days = [date(year, month, 1) + step * ONE_DAY for step in range(31)]
    return [found for found in days if found.month == month and found.weekday() == day][
        number - 1 if number > 0 else number
    ]


def observed(holiday: date, *, saturday: bool = True) -> set[date]:
    if holiday.weekday() == 6:
        return {holiday + ONE_DAY}
    if holiday.weekday() == 5:
        return {holiday - ONE_DAY} if saturday else set()
    return {holiday}


def target(year: int) -> set[date]:
    fixed = {date(year, 1, 1), date(year, 5, 1), date(year, 12, 25), date(year, 12, 26)}
    return fixed | {easter(year) - 2 * ONE_DAY, easter(year) + ONE_DAY}


def new_york(year: int) -> set[date]:
    """NYSE Rule 7.2; and the day of mourning of 2025, which no rule gives."""
    moved = {weekday(year, 1, 0, 3), weekday(year, 2, 0, 3), weekday(year, 5, 0, -1), weekday(year, 9, 0, 1)}
    moved |= {weekday(year, 11, 3, 4), easter(year) - 2 * ONE_DAY}
    moved |= observed(date(year, 1, 1), saturday=False) | observed(date(year, 6, 19))
    moved |= observed(date(year, 7, 4)) | observed(date(year, 12, 25))
    return moved | ({date(2025, 1, 9)} if year == 2025 else set())


def us_settlement(year: int) -> set[date]:
    banks = {weekday(year, 10, 0, 2)} | observed(date(year, 11, 11), saturday=False)
    return (new_york(year) | banks) - {date(2025, 1, 9)}


@pytest.mark.parametrize(
    ("name", "holidays"),
    [
        ("target", target),
        ("bme_madrid", target),
        ("us_securities", new_york),
        ("us_settlement", us_settlement),
    ],
)
def test_shipped_calendars_follow_their_rules(name: str, holidays: object) -> None:
    """The files hold just the days that the rules of each market give for 2024 to 2030."""
    assert callable(holidays)
    calendar = shipped()[name]
    assert (calendar.first_year, calendar.last_year, calendar.weekend) == (2024, 2030, WEEKEND)
    assert calendar.holidays == {day for year in range(2024, 2031) for day in holidays(year)}


def test_easter_sundays_are_those_of_the_almanac() -> None:
    """The rule above is held against published dates."""
    known = {
        2024: "03-31",
        2025: "04-20",
        2026: "04-05",
        2027: "03-28",
        2028: "04-16",
        2029: "04-01",
        2030: "04-21",
    }
    assert {year: f"{easter(year):%m-%d}" for year in known} == known


# As published: the ECB's closing days, the NYSE's holidays, and FINRA's further days without settlement.
PUBLISHED = {
    "target": ["01-01", "04-03", "04-06", "05-01", "12-25", "12-26"],
    "bme_madrid": ["01-01", "04-03", "04-06", "05-01", "12-25", "12-26"],
    "us_securities": [
        "01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25",
    ],
    "us_settlement": [
        "01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "10-12", "11-11", "11-26",
        "12-25",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_shipped_calendars_hold_the_published_days_of_2026(name: str) -> None:
    """Independently of any rule: the list of one year as its market gave it out."""
    of_2026 = sorted(f"{day:%m-%d}" for day in shipped()[name].holidays if day.year == 2026)
    assert of_2026 == PUBLISHED[name]


def test_every_shipped_calendar_is_checked() -> None:
    """A new file needs its list here."""
    assert set(shipped()) == set(PUBLISHED)
