"""Turning points: what is proposed turns the comparison, and nothing nearer does."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.values import MISSING, Money
from controls.rules.condition import Names, WholeCondition, compile_condition
from controls.rules.domains import Domain
from controls.rules.turning_points import TurningPoints, turning_points
from controls.rules.types import BOOL, DATE, DECIMAL, INT, MONEY, STRING, TIMESTAMP, list_of

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TYPES = {
    "order.notional": MONEY,
    "order.limit": MONEY,
    "order.price": DECIMAL,
    "order.legs": INT,
    "order.day": DATE,
    "order.at": TIMESTAMP,
    "order.venue": STRING,
    "order.side": STRING,
    "order.solicited": BOOL,
    "order.flags": list_of(STRING),
}
DOMAINS = {name: Domain(type_) for name, type_ in TYPES.items()} | {
    "order.side": Domain(STRING, values=("buy", "sell"))
}


def condition_of(source: str) -> WholeCondition:
    return compile_condition(source, names=Names(TYPES, steps=frozenset({"approve"})))


def facts_of(values: dict[str, Any], *, now: datetime = NOW, history: ChainHistory | None = None) -> Facts:
    return Facts(values, history or ChainHistory("order", "O-1"), now)


def points(source: str, values: dict[str, Any], **more: Any) -> TurningPoints:
    return turning_points(condition_of(source).tree, facts_of(values, **more), DOMAINS)


def proposed(source: str, name: str, **values: Any) -> list[Any]:
    given = {key.replace("__", "."): value for key, value in values.items()}
    return list(points(source, given).values.get(name, ()))


def eur(text: str) -> Money:
    return Money(Decimal(text), "EUR")


@given(
    sign=st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    factor=st.integers(-3, 3).filter(bool),
    threshold=st.integers(-10_000, 10_000),
    cents=st.integers(-1_000_000, 1_000_000),
)
def test_the_nearest_amount_that_turns(sign: str, factor: int, threshold: int, cents: int) -> None:
    """Of a linear comparison, the proposed amount turns it, and the cents between leave it as it is."""
    source = f"order.price * {factor}.0 + 7.5 {sign} {threshold}.0"
    condition = condition_of(source)
    current = Decimal(cents) / 100

    def truth(price: Decimal) -> int:
        return condition.test(facts_of({"order.price": price}))

    found = list(points(source, {"order.price": current}).values.get("order.price", ()))
    turning = [price for price in found if truth(price) != truth(current)]
    assert turning == found
    if not found:
        assert sign in ("==", "!=")  # the exact number is no whole number of cents
        return
    nearest = min(found, key=lambda price: abs(price - current))
    toward = Decimal("0.01") if nearest > current else Decimal("-0.01")
    assert truth(nearest - toward) == truth(current)


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_an_amount_of_money_comes_down_to_the_limit(excess: int, limit: int) -> None:
    """With another amount beside it, in its own currency and to the cent."""
    notional = eur(f"{limit + excess}.01")
    source = f'order.notional + order.limit > "{limit + 500}.00 EUR"'
    found = proposed(source, "order.notional", order__notional=notional, order__limit=eur("500.00"))
    assert found == [eur(f"{limit}.00")]


@pytest.mark.parametrize(
    ("source", "name", "values", "expected"),
    [
        ("order.legs >= 3", "order.legs", {"order.legs": 9}, [2]),
        ("order.legs * 2 > 7", "order.legs", {"order.legs": 9}, [3]),
        ("order.legs in [1, 2]", "order.legs", {"order.legs": 9}, [1, 2]),
        ('order.day < date("2026-03-01")', "order.day", {"order.day": date(2026, 2, 1)}, [date(2026, 3, 1)]),
        ('order.notional > "100.00 JPY"', "order.notional", {"order.notional": Money(Decimal(900), "JPY")},
         [Money(Decimal(100), "JPY")]),
        ('order.notional > "100.00 EUR"', "order.notional", {}, [eur("100"), eur("100.01")]),
        ("order.solicited", "order.solicited", {"order.solicited": True}, [False]),
        ("!order.solicited", "order.solicited", {}, [True, False]),
        ('order.side == "buy"', "order.side", {"order.side": "buy"}, ["sell"]),
        ('order.venue == "XMAD"', "order.venue", {"order.venue": "XPAR"}, ["XMAD"]),
        ('order.venue in ["A", "B"]', "order.venue", {"order.venue": "C"}, ["A", "B"]),
        ("has(order.legs)", "order.legs", {"order.legs": 9}, [MISSING]),
        ("has(order.legs)", "order.legs", {}, [0]),
        ('"x" in order.flags', "order.flags", {"order.flags": ("x", "y")}, [("y",)]),
        ('"x" in order.flags', "order.flags", {"order.flags": ("y",)}, [("y", "x")]),
        ("order.price / 0.0 > 1.0", "order.price", {"order.price": Decimal(1)}, []),
    ],
)  # fmt: skip
def test_what_is_proposed(source: str, name: str, values: dict[str, Any], expected: list[Any]) -> None:
    """Each kind of fact and test."""
    found = list(points(source, values).values.get(name, ()))
    assert sorted(map(str, found)) == sorted(map(str, expected))


def test_mixed_currencies_propose_nothing() -> None:
    """What cannot be compared has no boundary, and nothing is converted behind anybody's back."""
    assert not proposed(
        'order.notional > "100.00 EUR"', "order.notional", order__notional=Money(Decimal(900), "USD")
    )


def test_a_moment_is_the_first_second() -> None:
    """Waiting by the clock: a span since a fact, and a time of day in a zone (daylight saving included)."""
    asked = NOW - timedelta(hours=1, seconds=5)
    found = points('now - order.at < duration("PT24H")', {"order.at": asked})
    assert asked + timedelta(hours=24) in found.moments
    source = 'time_of_day(now, "Europe/Madrid") < time("17:35")'
    assert min(points(source, {}).moments) == datetime(2026, 3, 2, 16, 35, tzinfo=UTC)
    summer = datetime(2026, 3, 30, 10, tzinfo=UTC)
    assert min(points(source, {}, now=summer).moments) == datetime(2026, 3, 30, 15, 35, tzinfo=UTC)
    assert all(moment >= NOW for moment in found.moments)


def test_a_step_that_is_not_done() -> None:
    """A test of progress proposes the step, unless it is done."""
    assert list(points('chain.performed("approve")', {}).steps) == ["approve"]
    act = Act(
        claim="c", decision="d", chain="O-1", step="approve", person="p", account="a",
        capacity=Capacity.ACTOR, state=ActState.PERFORMED, at=NOW, done_at=NOW, valid_until=NOW,
        index=1,
    )  # fmt: skip
    done = ChainHistory("order", "O-1", (act,))
    assert not points('chain.performed("approve")', {}, history=done).steps


def test_proposals_turn_a_whole_condition() -> None:
    """Of a condition with several parts, each part is proposed for by itself."""
    values = {"order.notional": eur("900"), "order.side": "buy", "order.solicited": False}
    source = 'order.notional > "100.00 EUR" && order.side == "buy" && !order.solicited'
    condition, found = condition_of(source), points(source, values)
    assert condition.test(facts_of(values)) == Truth.TRUE
    assert {name: list(of) for name, of in found.values.items()} == {
        "order.notional": [eur("100")],
        "order.side": ["sell"],
        "order.solicited": [True],
    }
    for name, of in found.values.items():
        for value in of:
            assert condition.test(facts_of({**values, name: value})) == Truth.FALSE
