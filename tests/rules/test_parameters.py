"""A parameter stays within the bounds that stand beside it."""

from __future__ import annotations

import pytest

from controls.model.errors import RuleFilesInvalid
from controls.rules.explanations import BASE, RULE
from controls.rules.release import compile_release


def codes(limit: str, *, when: str = "order.quantity > limit") -> list[str]:
    """The codes of the diagnostics when the rule's parameter is declared so."""
    text = BASE[RULE].replace("{value: 100, type: int, basis: policy}", limit)
    text = text.replace("order.quantity > limit", when)
    try:
        compile_release({**BASE, RULE: text})
    except RuleFilesInvalid as invalid:
        return [item.code for item in invalid.diagnostics]
    return []


@pytest.mark.parametrize(
    ("value", "bounds", "wanted"),
    [
        ("100", "min: 100, max: 100", []),
        ("100", "min: 1", []),
        ("100", "max: 99", ["parameter_bounds"]),
        ("100", "min: 101", ["parameter_bounds"]),
        ("100", "min: 200, max: 50", ["parameter_bounds"] * 2),
        ("100", "max: much", ["bad_value"]),
    ],
)
def test_whole_numbers(value: str, bounds: str, wanted: list[str]) -> None:
    assert codes(f"{{value: {value}, type: int, basis: policy, {bounds}}}") == wanted


@pytest.mark.parametrize(
    ("bound", "wanted"),
    [("5.00 EUR", []), ("4.99 EUR", ["parameter_bounds"]), ("9.00 USD", ["parameter_bounds"])],
)
def test_money_has_bounds_of_its_own_currency(bound: str, wanted: list[str]) -> None:
    """An amount in another currency bounds nothing, so the value is not within."""
    declared = f'{{value: "5.00 EUR", type: money, basis: policy, max: "{bound}"}}'
    assert codes(declared, when="order.quantity > 3 && order.value > limit") == wanted


def test_words_have_no_bounds() -> None:
    declared = "{value: paid, type: string, basis: policy, min: a}"
    assert codes(declared, when="order.quantity > 3 && order.status == limit") == ["misplaced_key"]
