"""Cells of decision tables: what they say, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from controls.model.chain import ChainHistory
from controls.model.condition import Facts
from controls.rules.cells import CellError, parse_cell
from controls.rules.condition import Names, compile_condition
from controls.rules.readers import reader_of
from controls.rules.types import BOOL, DATE, DECIMAL, DURATION, INT, MONEY, STRING, TIMESTAMP, ValueType
from tests.rules.strategies import NOW
from tests.rules.tables import COLUMNS, CellCase, cells

SIDES = ("buy", "sell")


def takes(cell: str, value: Any, type_: ValueType, values: tuple[str, ...] = ()) -> int:
    """The truth of a cell for a value, both as people write them."""
    test = parse_cell(cell, type_=type_, values=values)
    condition = compile_condition(test.condition("order.x"), names=Names(facts={"order.x": type_}))
    read = {} if value is None else {"order.x": reader_of(type_, max_length=100, max_items=1)(value)}
    return condition.test(Facts(read, ChainHistory("", ""), NOW))


@pytest.mark.parametrize(
    ("cell", "type_", "inside", "outside"),
    [
        ("buy", STRING, ["buy"], ["sell", "Buy"]),
        ('"a, b"', STRING, ["a, b"], ["a", "b"]),
        ('"-", "< 5"', STRING, ["-", "< 5"], ["5"]),
        ("buy, sell", STRING, ["buy", "sell"], ["hold"]),
        ("not(buy, sell)", STRING, ["hold"], ["buy", "sell"]),
        ("Delta (EUR)", STRING, ["Delta (EUR)"], ["Delta"]),
        ("true", BOOL, [True], [False]),
        ("FALSE", BOOL, [False], [True]),
        ("5", INT, [5], [4, 6]),
        ("< -5", INT, [-6], [-5, 0]),
        ("<= 5", DECIMAL, ["5", "4.99", "-1"], ["5.0000001"]),
        (">= 5.50", DECIMAL, ["5.5", "6"], ["5.49"]),
        ("[1..5)", DECIMAL, ["1", "4.999"], ["0.999", "5"]),
        ("(1..5]", DECIMAL, ["1.001", "5"], ["1", "5.001"]),
        ("[1..1]", DECIMAL, ["1"], ["1.1", "0.9"]),
        ("< 0, 3, > 10", INT, [-1, 3, 11], [0, 2, 10]),
        ("not([0..9], 20)", INT, [-1, 10, 21], [0, 9, 20]),
        ("[1000.00 EUR..5000.00 EUR)", MONEY, ["1000.00 EUR", "4999.99 EUR"], ["5000 EUR", "0 EUR"]),
        ("1.00 EUR, 2.00 EUR", MONEY, ["1 EUR", "2.0 EUR"], ["3 EUR"]),
        (">= 2026-03-02", DATE, ["2026-03-02"], ["2026-03-01"]),
        ("< 2026-03-02T10:00:00+01:00", TIMESTAMP, ["2026-03-02T08:59:59Z"], ["2026-03-02T09:00:00Z"]),
        ("<= PT24H", DURATION, ["P1D", "PT1S"], ["PT24H0.5S"]),
    ],
)
def test_what_a_cell_takes(cell: str, type_: ValueType, inside: list[Any], outside: list[Any]) -> None:
    """Each form takes what it says and nothing else; an absent input is unknown."""
    assert [takes(cell, value, type_) for value in inside] == [2] * len(inside)
    assert [takes(cell, value, type_) for value in outside] == [0] * len(outside)
    assert takes(cell, None, type_) == 1


def test_another_currency_is_unknown() -> None:
    """What 10 USD are in EUR is not known: neither inside nor outside."""
    assert takes("< 1000.00 EUR", "10.00 USD", MONEY) == 1
    assert takes("not(5.00 EUR)", "10.00 USD", MONEY) == 1


def test_any_value() -> None:
    """A dash takes everything and asks nothing."""
    assert parse_cell(" - ", type_=INT).any
    assert parse_cell("-", type_=STRING).condition("order.side") == ""


@pytest.mark.parametrize(
    ("cell", "type_", "offset", "code"),
    [
        ("", STRING, 0, "empty_cell"),
        ("  ", INT, 2, "empty_cell"),
        ("1,000", INT, 1, "bad_cell"),
        ("1.000,50", DECIMAL, 5, "bad_cell"),
        ("buy,sell", STRING, 3, "bad_cell"),
        ("buy, ", STRING, 4, "bad_cell"),
        ("buy, , sell", STRING, 5, "bad_cell"),
        ("byu", STRING, 0, "unknown_value"),
        ("not(buy, hold)", STRING, 9, "unknown_value"),
        ("< buy", STRING, 0, "bad_cell"),
        ("[buy..sell]", STRING, 0, "bad_cell"),
        ('"buy', STRING, 0, "bad_cell"),
        ('""', STRING, 0, "bad_cell"),
        ('bu"y', STRING, 0, "bad_cell"),
        ("yes", BOOL, 0, "bad_value"),
        ("< 5.5", INT, 2, "bad_value"),
        ("= 5", INT, 0, "bad_cell"),
        ("5 6", INT, 0, "bad_value"),
        ("1e999", DECIMAL, 0, "bad_value"),
        ("< 1000", MONEY, 2, "bad_value"),
        ("[1..5", INT, 0, "bad_cell"),
        ("[1.5]", INT, 0, "bad_cell"),
        ("[1...5]", INT, 4, "bad_value"),
        ("[5..1]", INT, 0, "empty_range"),
        ("[5..5)", INT, 0, "empty_range"),
        ("[1 EUR..5 USD]", MONEY, 0, "mixed_currencies"),
        ("02/03/2026", DATE, 0, "bad_value"),
        ("not(not(5))", INT, 4, "bad_value"),
        ("not()", INT, 4, "bad_cell"),
        ("3, -", INT, 3, "bad_value"),
    ],
)
def test_what_is_wrong_with_a_cell(cell: str, type_: ValueType, offset: int, code: str) -> None:
    """The error stands at its character, so that nothing is read as something else."""
    with pytest.raises(CellError) as caught:
        parse_cell(cell, type_=type_, values=SIDES if type_ == STRING else ())
    assert (caught.value.offset, caught.value.code) == (offset, code)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("=> 10", "'>= 10'"),
        ("=< 10", "'<= 10'"),
        ("≥ 10", "'>= 10'"),
        ("==10", "'10'"),
        ("3, =>10", "'>= 10'"),
    ],
)
def test_a_bound_written_otherwise_is_told_how_to_write_it(text: str, told: str) -> None:
    """As other languages and hands write it."""
    with pytest.raises(CellError, match=r"write .* instead of") as caught:
        parse_cell(text, type_=INT)
    assert told in str(caught.value)


@given(cells())
def test_a_cell_says_what_it_was_written_for(tested: CellCase) -> None:
    """Generated cells, evaluated as conditions, agree with the predicate they were made with."""
    column = COLUMNS[tested.column]
    cell = parse_cell(tested.text, type_=column.type, values=column.values)
    if cell.any:
        assert all(tested.takes(value) for value in column.domain)
        return
    name = column.fact
    condition = compile_condition(cell.condition(name), names=Names(facts={name: column.type}))
    for value in column.domain:
        truth = condition.test(Facts({name: value}, ChainHistory("", ""), NOW))
        assert truth == (2 if tested.takes(value) else 0), (tested.text, value)
