"""Message templates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from controls.model.values import EXACT, Money, Value
from controls.rules.messages import MAX_RENDERED, placeholders, render, shown

LENGTHS = (
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
    timedelta(milliseconds=1),
    timedelta(microseconds=1),
)


@pytest.mark.parametrize(
    ("template", "values", "english", "spanish"),
    [
        (
            "{a.b} x {c}",
            {"a.b": Money(Decimal("10000000.10"), "EUR"), "c": Decimal("0.10")},
            "10,000,000.10 EUR x 0.1",
            "10.000.000,10 EUR x 0,1",
        ),
        ("{a}", {"a": Money(Decimal("1234.5678"), "USD")}, "1,234.5678 USD", "1.234,5678 USD"),
        ("{a}", {"a": Money(Decimal(1500), "JPY")}, "1,500 JPY", "1.500 JPY"),
        ("{a}", {"a": Money(Decimal("-0.5"), "EUR")}, "-0.50 EUR", "-0,50 EUR"),
        ("{a}", {}, "?", "?"),
        ("{{a}} {a}", {"a": 5}, "{a} 5", "{a} 5"),
        ("{a}", {"a": Decimal("1E-28")}, "0." + "0" * 27 + "1", "0," + "0" * 27 + "1"),
        ("{a}", {"a": Decimal("-1234567.50")}, "-1,234,567.5", "-1.234.567,5"),
        ("{a} {b}", {"a": True, "b": False}, "yes no", "sí no"),
        ("{a}", {"a": ("x", "y")}, "x, y", "x, y"),
        ("{a}", {"a": (Decimal("1000.5"), 2)}, "1,000.5; 2", "1.000,5; 2"),
        ("{a}", {"a": date(2026, 3, 2)}, "March 2, 2026", "2 de marzo de 2026"),
        (
            "{a}",
            {"a": datetime(2026, 3, 2, 9, 30, tzinfo=UTC)},
            "March 2, 2026, 09:30 UTC",
            "2 de marzo de 2026, 09:30 UTC",
        ),
        (
            "{a}",
            {"a": datetime(2026, 3, 2, 9, 30, 1, 5, tzinfo=UTC)},
            "March 2, 2026, 09:30:01.000005 UTC",
            "2 de marzo de 2026, 09:30:01.000005 UTC",
        ),
        (
            "{a}",
            {"a": datetime(2026, 3, 2, 18, tzinfo=ZoneInfo("Europe/Madrid"))},
            "March 2, 2026, 18:00 (Europe/Madrid)",
            "2 de marzo de 2026, 18:00 (Europe/Madrid)",
        ),
        ("{a}", {"a": timedelta(microseconds=200)}, "200 microseconds", "200 microsegundos"),
        ("{a}", {"a": timedelta(days=30)}, "30 days", "30 días"),
        ("{a}", {"a": timedelta(days=1, hours=2)}, "1 day 2 hours", "1 día 2 horas"),
        ("{a}", {"a": timedelta(minutes=-90)}, "-1 hour 30 minutes", "-1 hora 30 minutos"),
        ("{a}", {"a": timedelta(0)}, "0 seconds", "0 segundos"),
        ("{a}", {"a": ({"x": Decimal("1.50")},)}, '[{"x": "1.5"}]', '[{"x": "1.5"}]'),
        ("{a}", {"a": "red\x1b[31m\nnew line"}, "red\ufffd[31m\ufffdnew line", "red\ufffd[31m\ufffdnew line"),
        ("{a}", {"a": "{b}", "b": "no"}, "{b}", "{b}"),
        ("{a}", {"a": "1234.50"}, "1234.50", "1234.50"),
        ("a } b { c", {}, "a } b { c", "a } b { c"),
    ],
)
def test_placeholders_are_filled_as_the_language_writes_them(
    template: str, values: dict[str, Value], english: str, spanish: str
) -> None:
    """Numbers keep their digits, text is text, absent values are a question mark, values no templates."""
    assert render(template, values, language="en") == english
    assert render(template, values, language="es") == spanish


def numbers(digits: int) -> st.SearchStrategy[Decimal]:
    whole = st.integers(-(10**digits) + 1, 10**digits - 1)
    return st.builds(lambda number, places: Decimal(number).scaleb(-places, EXACT), whole, st.integers(0, 28))


@given(number=numbers(34).filter(lambda number: abs(number) < 10**29))
def test_no_digit_is_lost_or_added(number: Decimal) -> None:
    """What is shown reads back as the very number, in both languages."""
    assert Decimal(shown(number, language="en").replace(",", "")) == number
    assert Decimal(shown(number, language="es").replace(".", "").replace(",", ".")) == number


@given(number=numbers(15), language=st.sampled_from(("en", "es")))
def test_numbers_are_written_as_babel_writes_them(number: Decimal, language: str) -> None:
    """Where Babel is exact, it says the same."""
    expected = format_decimal(number, locale=language, decimal_quantization=False)
    assert shown(number, language=language) == (expected if number else "0")


@given(
    span=st.timedeltas(timedelta(days=-4_000), timedelta(days=4_000)), language=st.sampled_from(("en", "es"))
)
def test_durations_are_told_to_the_microsecond(span: timedelta, language: str) -> None:
    """The parts add up to the whole."""
    lengths = dict(zip(("d", "h", "min", "s", "mil", "mic"), LENGTHS, strict=True))
    text = shown(span, language=language)
    words = text.removeprefix("-").split()
    total = timedelta(0)
    for count, unit in zip(words[::2], words[1::2], strict=True):
        first = next(start for start in ("mic", "mil", "min", "d", "h", "s") if unit.startswith(start))
        total += int(count.replace(",", "").replace(".", "")) * lengths[first]
    assert (-total if text.startswith("-") else total) == span


@given(template=st.text(alphabet="{}ab.", max_size=60), value=st.text(max_size=5_000))
def test_rendering_is_total_and_bounded(template: str, value: str) -> None:
    """Any template with any value gives at most 2,000 characters."""
    assert len(render(template * 40, {"a": value, "b": value}, language="es")) <= MAX_RENDERED


def test_placeholders_have_their_offsets() -> None:
    """Names come with their places; lone braces are shown as such, doubled ones are none."""
    assert placeholders("x {a} {{b}} {c.d} }") == ((2, "a"), (12, "c.d"), (18, "}"))
