"""Overlaps and gaps of decision tables, held against counting through every combination of values."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings

from controls.model.values import Money
from controls.rules.cells import parse_cell
from controls.rules.coverage import Budget, Column, Undecided, column_of, gaps, hidden, overlaps
from controls.rules.types import BOOL, DATE, INT, STRING
from tests.conftest import LONG_RUN
from tests.rules.tables import COLUMNS, TableCase, tables

EXAMPLES = 2_000 if LONG_RUN else 100


def columns_of(table: TableCase) -> list[Column]:
    found = []
    for place, number in enumerate(table.columns):
        column = COLUMNS[number]
        cells = [
            parse_cell(tests[place].text, type_=column.type, values=column.values) for tests, _ in table.rows
        ]
        found.append(column_of(cells, type_=column.type, values=column.values))
    return found


def takes(table: TableCase, row: int, values: tuple[Any, ...]) -> bool:
    return row in table.matching(values)


@given(tables())
@settings(max_examples=EXAMPLES)
def test_overlaps_are_those_of_brute_force(table: TableCase) -> None:
    """The same pairs, and the shown input is really taken by both rows."""
    expected = {
        (one, other)
        for values in table.inputs()
        for other in table.matching(values)
        for one in table.matching(values)
        if one < other
    }
    found = list(overlaps(columns_of(table), Budget()))
    assert {(one, other) for one, other, _ in found} == expected
    for one, other, example in found:
        assert takes(table, one, example)
        assert takes(table, other, example)


@given(tables())
@settings(max_examples=EXAMPLES)
def test_gaps_are_those_of_brute_force(table: TableCase) -> None:
    """There is a gap exactly when some combination is taken by no row, and the shown input is one."""
    expected = any(not table.matching(values) for values in table.inputs())
    found = list(gaps(columns_of(table), Budget()))
    assert bool(found) == expected
    for example in found:
        assert not table.matching(example), example


@given(tables())
@settings(max_examples=EXAMPLES)
def test_hidden_rows_are_those_of_brute_force(table: TableCase) -> None:
    """A row is hidden when each combination that it takes is taken by a row before it."""
    columns = columns_of(table)
    for row in range(1, len(table.rows)):
        expected = all(
            table.matching(values)[0] < row for values in table.inputs() if takes(table, row, values)
        )
        assert hidden(columns, row, Budget()) == expected


def column(*cells: str, type_: Any, values: tuple[str, ...] = ()) -> Column:
    return column_of(
        [parse_cell(cell, type_=type_, values=values) for cell in cells], type_=type_, values=values
    )


def test_whole_numbers_and_days_have_no_values_between_neighbours() -> None:
    """[1..2] and [3..] leave no gap for whole numbers, and days run on without one."""
    assert list(gaps([column("<= 2", ">= 3", type_=INT)], Budget())) == []
    assert list(gaps([column("<= 2026-02-28", ">= 2026-03-01", type_=DATE)], Budget())) == []
    assert list(gaps([column("<= 2", ">= 4", type_=INT)], Budget())) == [(3,)]


def test_the_first_and_the_last_day_there_is() -> None:
    """Nothing lies before the first day or behind the last one."""
    assert list(gaps([column("[0001-01-01..9999-12-31]", type_=DATE)], Budget())) == []


def test_values_that_a_vocabulary_lists_are_all_there_are() -> None:
    """With listed values a table can be complete; with free text it needs a row for any other text."""
    assert list(gaps([column("buy", "sell", type_=STRING, values=("buy", "sell"))], Budget())) == []
    assert list(gaps([column("buy", "sell", type_=STRING)], Budget())) == [("another value",)]
    assert list(gaps([column("another value", type_=STRING)], Budget())) == [("another value.",)]
    assert list(gaps([column("buy", "not(buy)", type_=STRING)], Budget())) == []
    assert list(gaps([column("true", "false", type_=BOOL)], Budget())) == []


def test_a_gap_in_one_corner_of_a_hundred_thousand_combinations() -> None:
    """Five inputs of ten steps each, all covered but one corner, within the budget."""
    steps = [f"[{number}..{number + 1})" for number in range(8)]
    rows = [
        [step if place == index else "-" for place in range(5)]
        for index in range(5)
        for step in (*steps, "< 0")
    ]
    columns = [column(*(row[place] for row in rows), type_=INT) for place in range(5)]
    assert list(gaps(columns, Budget())) == [(8, 8, 8, 8, 8)]


def test_a_search_that_takes_too_long_is_undecided() -> None:
    """Past the budget there is no answer, and so none that says "no gap"."""
    random = Random(7)
    rows = []
    for _ in range(120):
        tested = random.sample(range(20), 4)
        rows.append([random.choice(("true", "false")) if place in tested else "-" for place in range(20)])
    columns = [column(*(row[place] for row in rows), type_=BOOL) for place in range(20)]
    with pytest.raises(Undecided):
        list(gaps(columns, Budget(table=5_000)))
    with pytest.raises(Undecided):
        list(overlaps(columns, Budget(release=50)))


def test_examples_of_money_have_the_currency_of_the_column() -> None:
    """What is shown can be sent as it stands."""
    (example,) = gaps([column("< 5.00 CHF", ">= 6.00 CHF", type_=COLUMNS[5].type)], Budget())
    assert isinstance(example[0], Money)
    assert str(example[0]) == "5 CHF"
