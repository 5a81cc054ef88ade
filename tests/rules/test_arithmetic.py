"""Arithmetic of decimals, whole numbers and money against fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.values import Money
from controls.rules.arithmetic import absolute, largest, negated, operator_for, rounded, total
from controls.rules.types import DECIMAL, INT, MONEY, Kind
from tests.rules.oracle import Unk, arithmetic, limited, round_half_even

NUMBERS = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**20), 10**20),
    st.integers(-20, 8),
)
SYMBOLS = st.sampled_from("+-*/%")


def computed(symbol: str, left: Decimal, right: Decimal, *, rounding: bool) -> Decimal | None:
    """The result, or None for an arithmetic error."""
    found = operator_for(symbol, DECIMAL, DECIMAL, rounding=rounding)
    assert found is not None
    try:
        result: Decimal = found[1](left, right)
    except ArithmeticError:
        return None
    return result


@given(SYMBOLS, NUMBERS, NUMBERS, st.booleans())
def test_results_are_exact_or_errors(symbol: str, left: Decimal, right: Decimal, rounding: bool) -> None:
    """Every result is the fraction's, rounded to 34 digits only where rounding is allowed."""
    wanted = arithmetic(symbol, Fraction(left), Fraction(right), loose=rounding)
    found = computed(symbol, left, right, rounding=rounding)
    assert found == (None if isinstance(wanted, Unk) else wanted)


@given(SYMBOLS, NUMBERS, NUMBERS, st.integers(1, 5))
def test_results_depend_on_values_and_not_on_digits(
    symbol: str, left: Decimal, right: Decimal, zeros: int
) -> None:
    """Trailing zeros of an operand change nothing."""
    longer = Decimal(f"{left:f}" + ("" if "." in f"{left:f}" else ".") + "0" * zeros)
    assert computed(symbol, longer, right, rounding=False) == computed(symbol, left, right, rounding=False)


@given(NUMBERS, st.integers(0, 28))
def test_rounding_is_half_to_even(number: Decimal, digits: int) -> None:
    """round() gives the nearest number with so many digits, the even one of two."""
    assert rounded(number, digits) == round_half_even(Fraction(number), Fraction(digits))
    assert rounded(Money(number, "EUR"), digits) == Money(rounded(number, digits), "EUR")


@given(st.lists(NUMBERS, max_size=6), st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_order(numbers: list[Decimal], random: Any) -> None:
    """A sum is the fractions' sum in any order, even when it passes the limits on the way."""
    wanted = limited(sum(map(Fraction, numbers), Fraction(0)), loose=False)
    random.shuffle(numbers)
    if isinstance(wanted, Unk):
        with pytest.raises(ArithmeticError):
            total(numbers, kind=Kind.DECIMAL, rounding=False)
    else:
        assert total(numbers, kind=Kind.DECIMAL, rounding=False) == wanted


def test_sums_may_pass_the_limits_on_the_way() -> None:
    """What counts is the sum, not how it came about."""
    most = Decimal("9e28")
    assert total([most, most, -most], kind=Kind.DECIMAL, rounding=False) == most


@given(NUMBERS)
def test_signs_are_exact(number: Decimal) -> None:
    """Negation and absolute value never round and know money."""
    assert negated(number) == -Fraction(number)
    assert absolute(Money(number, "EUR")) == Money(abs(number), "EUR")


@pytest.mark.parametrize("values", [[], ()])
def test_of_nothing_there_is_no_extreme(values: Any) -> None:
    """Neither least nor greatest nor the currency of a sum exists for an empty list."""
    with pytest.raises(ArithmeticError, match="without elements"):
        largest(values, smallest=True)
    with pytest.raises(ArithmeticError, match="no currency"):
        total(values, kind=Kind.MONEY, rounding=False)


@pytest.mark.parametrize("symbol", ["+", "-", "/"])
def test_two_currencies_are_never_mixed(symbol: str) -> None:
    """Sums, differences and ratios of two currencies are errors, and so are extremes and totals."""
    euros, dollars = Money(Decimal(1), "EUR"), Money(Decimal(1), "USD")
    found = operator_for(symbol, MONEY, MONEY, rounding=False)
    assert found is not None
    with pytest.raises(ArithmeticError, match="EUR and USD"):
        found[1](euros, dollars)
    with pytest.raises(ArithmeticError, match="EUR and USD"):
        largest((euros, dollars), smallest=False)


def test_what_means_nothing_has_no_operator() -> None:
    """Money times money and the remainder of money do not exist."""
    assert operator_for("*", MONEY, MONEY, rounding=False) is None
    assert operator_for("%", MONEY, INT, rounding=False) is None
