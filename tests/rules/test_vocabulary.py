"""Reading a request's properties as facts: types, bounds, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.values import Json, Money, parse_decimal
from controls.rules.release import compile_release
from controls.rules.types import fits
from controls.rules.vocabulary import (
    KEPT_NAMES,
    KEPT_TEXTS,
    MAX_KEPT,
    SERVICE_FACTS,
    Vocabulary,
    read_facts,
)
from tests.rules.rule_sets import desk_files

DESK = compile_release(desk_files()).vocabulary


def read_one(name: str, raw: Json) -> object:
    reading = read_facts(DESK, {name: raw})
    return reading.malformed[0].message if reading.malformed else reading.values.get(name)


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("order.notional", "1500000.00 EUR", Money(Decimal("1500000.00"), "EUR")),
        ("order.notional", "-0.00 USD", Money(Decimal(0), "USD")),
        ("order.quantity", "100.5", Decimal("100.5")),
        ("order.quantity", 100, Decimal(100)),
        ("order.quantity", "1E+3", Decimal(1000)),
        ("order.quantity", "9" * 34 + "E-10", Decimal("9" * 34 + "E-10")),
        ("order.legs", 3, 3),
        ("order.legs", "-12345678901234567890", -12345678901234567890),
        ("order.solicited", True, True),
        ("order.solicited", False, False),
        ("order.side", "buy", "buy"),
        ("order.account", "Cafe\u0301", "Café"),
        ("order.state", "two\nlines, a\ttab", "two\nlines, a\ttab"),
        ("order.state", "日本 Ñandú", "日本 Ñandú"),
        ("order.account", "x" * 1024, "x" * 1024),
        ("order.traded_on", "2026-03-02", date(2026, 3, 2)),
        ("order.received_at", "2026-03-02T10:30:00+01:00", datetime(2026, 3, 2, 9, 30, tzinfo=UTC)),
        ("order.received_at", "1990-01-01T00:00:00Z", datetime(1990, 1, 1, tzinfo=UTC)),
        ("account.valid_for", "PT30M", timedelta(minutes=30)),
        ("account.flags", ["a", "b"], ("a", "b")),
        ("account.flags", [], ()),
        (
            "order.lines",
            [{"account": "A", "quantity": 5, "price": None, "costs": "1.00 EUR"}],
            ({"account": "A", "quantity": Decimal(5), "costs": Money(Decimal("1.00"), "EUR")},),
        ),
    ],
)
def test_values_come_out_in_their_declared_type(name: str, raw: Json, value: object) -> None:
    """Each type takes its JSON form and gives one exact value."""
    assert read_one(name, raw) == value
    assert fits(read_facts(DESK, {name: raw}).values[name], DESK.facts[name].type)


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("order.notional", Decimal("1500000.5"), "as a string"),
        ("order.notional", 1500000, "as a string"),
        ("order.notional", "1500000.00", "with its currency"),
        ("order.notional", "1500000.00 eur", "with its currency"),
        ("order.notional", "1500000.00  EUR", "with its currency"),
        ("order.notional", "NaN EUR", "with its currency"),
        ("order.notional", "\u0661 EUR", "with its currency"),
        ("order.quantity", Decimal("100.5"), "as a string"),
        ("order.quantity", True, "as a string"),
        ("order.quantity", "1e400", "34 digits"),
        ("order.quantity", "9" * 35, "34 digits"),
        ("order.quantity", 10**28, "34 digits"),
        ("order.quantity", " 1", "34 digits"),
        ("order.quantity", "1\n", "34 digits"),
        ("order.quantity", "1_0", "34 digits"),
        ("order.legs", True, "whole number"),
        ("order.legs", Decimal("3.0"), "whole number"),
        ("order.legs", "3.0", "whole number"),
        ("order.legs", "007", "whole number"),
        ("order.legs", 10**28, "whole number"),
        ("order.solicited", 1, "true or false"),
        ("order.solicited", "true", "true or false"),
        ("order.side", "hold", "send one of: buy, sell"),
        ("order.side", 1, "send one of: buy, sell"),
        ("order.account", 5, "send a string"),
        ("order.account", "x" * 1025, "1024 characters"),
        ("order.account", "", "not empty, or leave it out"),
        ("order.account", " \t", "not empty, or leave it out"),
        ("order.account", "\u3000", "not empty, or leave it out"),
        ("order.account", "A-100 ", "without blanks before or after"),
        ("order.account", " A-100", "without blanks before or after"),
        ("order.account", "A-100\n", "without blanks before or after"),
        ("order.account", "A-100\u00a0", "without blanks before or after"),
        ("order.account", "A-\u200b100", "cannot be seen"),
        ("order.account", "A-100\ufeff", "cannot be seen"),
        ("order.account", "A-\x7f100", "cannot be seen"),
        ("order.account", "A-\u202e001", "cannot be seen"),
        ("order.account", "\ud800", "valid Unicode"),
        ("order.account", "\ufb2c" * 1024, "1024 characters"),
        ("order.traded_on", "2026-02-30", "date"),
        ("order.traded_on", 20260302, "date"),
        ("order.received_at", "2026-03-02T10:30:00", "zone"),
        ("order.received_at", "1989-12-31T23:59:59Z", "between 1990 and 2100"),
        ("order.received_at", "2100-01-01T00:00:00Z", "between 1990 and 2100"),
        ("order.received_at", 0, "zone"),
        ("account.valid_for", "P1M", "duration"),
        ("account.valid_for", 5, "duration"),
        ("account.flags", "a", "send a list"),
        ("account.flags", ["a", None], "[1]: send a string"),
        ("account.flags", ["a", ""], "[1]: send a text that is not empty"),
        ("account.flags", ["a"] * 21, "at most 20 items"),
        ("order.lines", [{"account": "A"}, {"quantity": Decimal("1.5")}], "[1] quantity: send a number"),
        ("order.lines", [{"accont": "A"}], "[0]: send only the fields account, costs, price, quantity"),
        ("order.lines", ["A"], "[0]: send an object"),
    ],
)
def test_what_is_not_of_its_type_is_malformed(name: str, raw: Json, words: str) -> None:
    """A malformed property is no value, and its message says in two languages what to send."""
    reading = read_facts(DESK, {name: raw})
    assert reading.values == {}
    (problem,) = reading.malformed
    assert problem.name == name
    assert words in problem.message.en
    assert problem.message.es
    assert problem.message.es != problem.message.en


def test_null_is_absent_and_strangers_are_named() -> None:
    """Null is neither a value nor malformed; undeclared names, also the service's own, are listed."""
    reading = read_facts(DESK, {"order.quantity": None, "order.colour": "red", "person.id": "p-1"})
    assert reading.values == {}
    assert reading.malformed == ()
    assert reading.undeclared == ("order.colour", "person.id")


def test_one_bad_property_does_not_spoil_the_others() -> None:
    """Every problem is reported, and what is right is read."""
    reading = read_facts(DESK, {"order.side": "hold", "order.quantity": "5", "order.notional": 5})
    assert dict(reading.values) == {"order.quantity": Decimal(5)}
    assert [problem.name for problem in reading.malformed] == ["order.side", "order.notional"]


@given(text=st.text(alphabet="0123456789.-+eE", min_size=1, max_size=90))
def test_decimals_are_read_as_the_model_reads_them(text: str) -> None:
    """The short cut for plain numbers takes and refuses exactly what `parse_decimal` does."""
    try:
        expected: object = parse_decimal(text)
    except ValueError:
        expected = None
    reading = read_facts(DESK, {"order.quantity": text})
    assert reading.values.get("order.quantity") == expected
    assert str(reading.values.get("order.quantity")) == str(expected)


_RAW = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["account", "price", "x"]), inner)
    ),
    max_leaves=6,
)


@given(raw=_RAW, name=st.sampled_from(sorted(DESK.facts)))
def test_anything_is_read_or_refused(raw: Json, name: str) -> None:
    """For any JSON value, a reading has a value of the declared type, a problem, or nothing for null."""
    reading = read_facts(DESK, {name: raw})
    if name in reading.values:
        assert fits(reading.values[name], DESK.facts[name].type)
        assert not reading.malformed
    else:
        assert raw is None or reading.malformed


def test_declarations_carry_what_files_say() -> None:
    """Labels, units, tags, bounds and who states a fact are kept."""
    side, lines, desk = (DESK.facts[name] for name in ("order.side", "order.lines", "subject.desk"))
    assert (side.values, side.fix, side.public, side.label.es) == (("buy", "sell"), "54", True, "Sentido")
    assert (lines.max_items, str(lines.type)) == (500, "list<record>")
    assert (desk.stated, desk.source, DESK.facts["subject.role"].stated) == (True, "caller", False)
    assert DESK.facts["order.quantity"].unit == "units"


def test_conditions_may_name_the_services_own_facts() -> None:
    """The service's facts are among the types, and no vocabulary can hide them."""
    assert SERVICE_FACTS.items() <= DESK.types.items()
    assert Vocabulary({}).types == dict(SERVICE_FACTS)
    assert Vocabulary({}).subject_types == {"account", "user"}


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from([*sorted(DESK.facts), "order.nothing"]),
            st.sampled_from(
                [
                    "buy",
                    "1",
                    "01.0",
                    "1 EUR",
                    "1.00 EUR",
                    "2026-03-02",
                    "2026-03-02T09:30:00Z",
                    "PT30M",
                    "",
                    " x",
                ]
            )
            | st.sampled_from([1, True, False, None, Decimal("1.0"), ["a"], [{"account": "A"}]]),
            max_size=6,
        ),
        max_size=6,
    )
)
def test_what_others_stated_changes_nothing(items: list[dict[str, Json]]) -> None:
    """A request is read after many others as if it were the first."""
    for item in items:
        kept, alone = read_facts(DESK, item), read_facts(Vocabulary(DESK.facts), item)
        assert kept == alone
        assert kept.forms == alone.forms
        assert [*map(type, kept.values.values())] == [*map(type, alone.values.values())]


def test_what_is_kept_is_bounded() -> None:
    """Of ever new texts and names only some are kept, and of long texts none."""
    vocabulary = Vocabulary(DESK.facts)
    for number in range(3 * KEPT_TEXTS):
        for text in (f"A-{number}", f"A-{number}" + "x" * MAX_KEPT):
            assert read_facts(vocabulary, {"order.account": text}).values == {"order.account": text}
    (_, _, texts), *_ = vocabulary.columns.of({"order.account": "A"}) or ()
    assert 0 < len(texts) <= KEPT_TEXTS
    assert all(isinstance(text, str) and len(text) <= MAX_KEPT for text in texts)
    for names in islice(permutations(sorted(DESK.facts), 4), 3 * KEPT_NAMES):
        read_facts(vocabulary, dict.fromkeys(names))
    assert 0 < len(vocabulary.columns._by_names) <= KEPT_NAMES
