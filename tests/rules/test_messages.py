"""Message templates."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.values import Money, Value
from controls.rules.messages import MAX_RENDERED, placeholders, render


@pytest.mark.parametrize(
    ("template", "values", "text"),
    [
        (
            "{a.b} of {c}",
            {"a.b": Money(Decimal("10000000.10"), "EUR"), "c": Decimal("0.10")},
            "10000000.1 EUR of 0.1",
        ),
        ("{a}", {}, "?"),
        ("{{a}} {a}", {"a": 5}, "{a} 5"),
        ("{a}", {"a": Decimal("1E-28")}, "0." + "0" * 27 + "1"),
        ("{a}", {"a": True}, "true"),
        ("{a}", {"a": ("x", "y")}, "x, y"),
        ("{a}", {"a": date(2026, 3, 2)}, "2026-03-02"),
        ("{a}", {"a": datetime(2026, 3, 2, 9, 30, tzinfo=UTC)}, "2026-03-02T09:30:00.000000Z"),
        ("{a}", {"a": ({"x": Decimal("1.50")},)}, '[{"x": "1.5"}]'),
        ("{a}", {"a": "red\x1b[31m\nnew line"}, "red\ufffd[31m\ufffdnew line"),
        ("{a}", {"a": "{b}", "b": "no"}, "{b}"),
        ("a } b { c", {}, "a } b { c"),
    ],
)
def test_placeholders_are_filled_with_exact_values(
    template: str, values: dict[str, Value], text: str
) -> None:
    """Numbers keep their digits, absent values show as a question mark, values are never templates."""
    assert render(template, values, language="en") == text


@given(template=st.text(alphabet="{}ab.", max_size=60), value=st.text(max_size=5_000))
def test_rendering_is_total_and_bounded(template: str, value: str) -> None:
    """Any template with any value gives at most 2,000 characters."""
    assert len(render(template * 40, {"a": value, "b": value}, language="es")) <= MAX_RENDERED


def test_placeholders_have_their_offsets() -> None:
    """Names come with their places; lone braces are shown as such, doubled ones are none."""
    assert placeholders("x {a} {{b}} {c.d} }") == ((2, "a"), (12, "c.d"), (18, "}"))
