"""Clocks in time zones: what they show, and when they first show it."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import tzdata
from hypothesis import given
from hypothesis import strategies as st

from controls.rules.zones import date_in, moment_at, time_in, zone, zone_names
from tests.rules.oracle import offset
from tests.rules.trees import ZONES

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def at(day: str, time: str, name: str) -> str:
    hours, minutes = time.split(":")
    clock = timedelta(hours=int(hours), minutes=int(minutes))
    return moment_at(date.fromisoformat(day), clock, zone(name)).isoformat()


@pytest.mark.parametrize(
    ("day", "time", "name", "moment"),
    [
        ("2026-03-02", "16:00", "Europe/Madrid", "2026-03-02T15:00:00+00:00"),
        ("2026-07-02", "16:00", "Europe/Madrid", "2026-07-02T14:00:00+00:00"),
        ("2026-07-02", "24:00", "Europe/Madrid", "2026-07-02T22:00:00+00:00"),
        # 02:00 became 03:00: 02:30 never was, and the clock passed it at the change.
        ("2026-03-29", "02:00", "Europe/Madrid", "2026-03-29T01:00:00+00:00"),
        ("2026-03-29", "02:30", "Europe/Madrid", "2026-03-29T01:00:00+00:00"),
        ("2026-03-29", "03:00", "Europe/Madrid", "2026-03-29T01:00:00+00:00"),
        ("2026-03-29", "03:01", "Europe/Madrid", "2026-03-29T01:01:00+00:00"),
        # 03:00 became 02:00: 02:30 was twice, and the first counts.
        ("2026-10-25", "02:30", "Europe/Madrid", "2026-10-25T00:30:00+00:00"),
        ("2026-10-25", "03:00", "Europe/Madrid", "2026-10-25T02:00:00+00:00"),
        ("2026-11-01", "01:30", "America/New_York", "2026-11-01T05:30:00+00:00"),
        ("2026-03-08", "02:30", "America/New_York", "2026-03-08T07:00:00+00:00"),
        # Half an hour, at midnight, and a whole day that never was.
        ("2026-10-04", "02:15", "Australia/Lord_Howe", "2026-10-03T15:30:00+00:00"),
        ("2018-11-04", "00:00", "America/Sao_Paulo", "2018-11-04T03:00:00+00:00"),
        ("2011-12-30", "12:00", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
        ("2011-12-30", "24:00", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
    ],
)
def test_the_moment_at_which_a_clock_first_shows_a_time(day: str, time: str, name: str, moment: str) -> None:
    """Times that are twice are the first one; times that never are, the moment of the change."""
    assert at(day, time, name) == moment


def moments() -> st.SearchStrategy[datetime]:
    """Between 1990 and 2100, as facts may be; whole minutes often."""
    first, last = datetime(1990, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
    any_moment = st.datetimes(first, last, timezones=st.just(UTC))
    return st.one_of(any_moment, any_moment.map(lambda moment: moment.replace(second=0, microsecond=0)))


names = st.sampled_from(sorted(zone_names()))


@given(moment=moments(), name=names)
def test_what_a_clock_shows_is_shown_no_later(moment: datetime, name: str) -> None:
    """Reading a clock and looking for that reading leads back, or to the earlier of two such moments."""
    place = zone(name)
    found = moment_at(date_in(moment, place), time_in(moment, place), place)
    assert found <= moment
    assert time_in(found, place) == time_in(moment, place)
    assert date_in(found, place) == date_in(moment, place)


@given(
    day=st.dates(date(1990, 1, 1), date(2099, 12, 31)),
    minutes=st.integers(0, 24 * 60),
    name=st.one_of(names, st.sampled_from(ZONES)),
)
def test_it_is_the_first_moment_at_which_the_clock_has_got_there(day: date, minutes: int, name: str) -> None:
    """Walking minute by minute finds the same moment, also around changes of the clock."""
    place, time = zone(name), minutes * MINUTE
    found = moment_at(day, time, place)
    wanted = datetime(day.year, day.month, day.day) + time  # noqa: DTZ001 - what the clock shows

    def reached(moment: datetime) -> bool:
        return moment.astimezone(place).replace(tzinfo=None) >= wanted

    assert reached(found)
    assert not any(reached(found - step * MINUTE) for step in range(1, 181))


@given(moment=moments().filter(lambda moment: moment.year >= 2007), name=st.sampled_from(ZONES))
def test_clocks_go_by_the_law(moment: datetime, name: str) -> None:
    """What the database says of these zones is what a second reading of the law says."""
    shown = moment + offset(moment, name)
    assert date_in(moment, zone(name)) == shown.date()
    assert time_in(moment, zone(name)) == timedelta(
        hours=shown.hour, minutes=shown.minute, seconds=shown.second, microseconds=shown.microsecond
    )


@pytest.mark.parametrize(
    ("day", "time", "name"),
    [
        (date.min, timedelta(0), "Asia/Tokyo"),
        (date.max, timedelta(hours=23), "America/New_York"),
        (date.max, DAY, "UTC"),
    ],
)
def test_the_ends_of_time_are_errors(day: date, time: timedelta, name: str) -> None:
    """Beyond the years 1 to 9999 there is an overflow, which conditions turn into an error."""
    with pytest.raises(OverflowError):
        moment_at(day, time, zone(name))


@pytest.fixture
def other_database(tmp_path: Path) -> Iterator[None]:
    """A machine whose own database takes Madrid for Tokyo."""
    (tmp_path / "Europe").mkdir()
    tokyo = Path(tzdata.__file__).parent / "zoneinfo" / "Asia" / "Tokyo"
    (tmp_path / "Europe" / "Madrid").write_bytes(tokyo.read_bytes())
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    zone.cache_clear()
    yield
    zoneinfo.reset_tzpath(before)
    zoneinfo.ZoneInfo.clear_cache()
    zone.cache_clear()


@pytest.mark.usefixtures("other_database")
def test_the_machines_own_database_does_not_matter() -> None:
    """Zones come from the package that the lock file names."""
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert noon.astimezone(zoneinfo.ZoneInfo("Europe/Madrid")).hour == 21
    assert time_in(noon, zone("Europe/Madrid")) == timedelta(hours=13)


@pytest.mark.parametrize(
    "name", ["", "Europe", "europe/madrid", "../Europe/Madrid", "/etc/localtime", "zones", "A" * 5_000]
)
def test_other_names_are_refused(name: str) -> None:
    """Folders, paths and other spellings are no zones, whatever the file system makes of them."""
    with pytest.raises(ValueError, match="no time zone such as Europe/Madrid"):
        zone(name)
