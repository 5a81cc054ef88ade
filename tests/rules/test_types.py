"""Value types and the text forms of typed constants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.values import Money, canonical
from controls.rules.literals import parse_date, parse_duration, parse_money, parse_timestamp
from controls.rules.types import (
    BOOL,
    DECIMAL,
    INT,
    MONEY,
    STRING,
    comparable,
    fits,
    list_of,
    record_of,
    type_from_text,
    unified,
)


def test_types_are_named_in_text() -> None:
    """The names of rule files give the types, nested ones included, and come back as text."""
    line = record_of({"price": MONEY})
    assert type_from_text("money") == MONEY
    assert type_from_text(" list<string> ") == list_of(STRING)
    assert type_from_text("list<record>", {"price": MONEY}) == list_of(line)
    assert str(list_of(line)) == "list<record>"
    assert line.field("price") == MONEY
    assert line.field("cost") is None


@pytest.mark.parametrize(
    "text", ["", "Money", "float", "list", "list<>", "list<float>", "record", "list<record>"]
)
def test_other_types_are_refused(text: str) -> None:
    """What is no type, or a record without fields, says what may be written."""
    with pytest.raises(ValueError, match=r"no such type|needs `fields`"):
        type_from_text(text)


def test_only_whole_numbers_widen() -> None:
    """int and decimal meet in decimal; nothing else meets."""
    assert unified(INT, DECIMAL) == DECIMAL
    assert unified(DECIMAL, MONEY) is None
    assert comparable(INT, DECIMAL, ordered=True)
    assert comparable(BOOL, BOOL, ordered=False)
    assert not comparable(BOOL, BOOL, ordered=True)
    assert not comparable(list_of(INT), list_of(INT), ordered=False)


FITTING = [
    (True, BOOL, True),
    (True, INT, False),
    (1, INT, True),
    (1, DECIMAL, False),
    (Decimal("NaN"), DECIMAL, False),
    (Money(Decimal("Infinity"), "EUR"), MONEY, False),
    (("a", 1), list_of(STRING), False),
    ({"a": 1}, record_of({"a": INT, "b": INT}), True),
    ({"c": 1}, record_of({"a": INT}), False),
    (({"a": 1}, {}), list_of(record_of({"a": INT})), True),
    (datetime(2026, 1, 1, tzinfo=UTC), type_from_text("date"), False),
    (datetime(2026, 1, 1, tzinfo=UTC), type_from_text("timestamp"), True),
]


@pytest.mark.parametrize(("value", "type_", "fitting"), FITTING)
def test_values_fit_exactly_their_type(value: Any, type_: Any, fitting: bool) -> None:
    """A bool is no int, a time no date, and numbers are finite."""
    assert fits(value, type_) is fitting


READ: list[tuple[Callable[[str], Any], str, Any]] = [
    (parse_money, "10000000.00 EUR", Money(Decimal(10000000), "EUR")),
    (parse_money, "-0.5 USD", Money(Decimal("-0.5"), "USD")),
    (parse_date, "2024-02-29", date(2024, 2, 29)),
    (parse_timestamp, "2026-03-02T10:30:00+01:00", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
    (parse_timestamp, "2026-03-02T09:30:00.5Z", datetime(2026, 3, 2, 9, 30, 0, 500_000, tzinfo=UTC)),
    (parse_duration, "PT30M", timedelta(minutes=30)),
    (parse_duration, "P1DT12H", timedelta(hours=36)),
    (parse_duration, "P2W", timedelta(days=14)),
    (parse_duration, "PT0.000001S", timedelta(microseconds=1)),
]


@pytest.mark.parametrize(("parse", "text", "value"), READ)
def test_constants_are_read(parse: Callable[[str], Any], text: str, value: Any) -> None:
    """The usual forms give the value; times are in UTC."""
    assert parse(text) == value


UNREAD: list[tuple[Callable[[str], Any], str]] = [
    *[
        (parse_money, text)
        for text in ("5", "5EUR", "5 eur", "5  EUR", "x EUR", "1e99 EUR", "5 EUR ", "٥ EUR")
    ],
    *[(parse_date, text) for text in ("2026-2-3", "2026-02-30", "20260203", "0000-01-01", "٢٠٢٦-٠١-٠١")],
    *[
        (parse_timestamp, text)
        for text in (
            "2026-03-02T09:30:00",
            "2026-03-02 09:30:00Z",
            "2026-03-02T25:00:00Z",
            "2026-03-02T09:30Z",
        )
    ],
    *[
        (parse_duration, text)
        for text in ("P", "PT", "P1DT", "P1M", "P1Y", "-PT1H", "PT1.5H", "30M", "P1W1D", "PT1X")
    ],
]


@pytest.mark.parametrize(("parse", "text"), UNREAD)
def test_what_has_no_exact_meaning_is_refused(parse: Callable[[str], Any], text: str) -> None:
    """Other forms are refused with a sentence."""
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


@given(st.timedeltas(timedelta(0), timedelta(days=9_000)), st.datetimes(timezones=st.just(UTC)))
def test_canonical_times_are_read_back(span: timedelta, moment: datetime) -> None:
    """What the ledger stores for times is text that these functions read."""
    assert parse_duration(str(canonical(span))) == span
    assert parse_timestamp(str(canonical(moment))) == moment
