"""What single conditions mean: a table of cases, keys and formulas, reasons, and computed values."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.values import Money
from controls.rules.condition import (
    ConditionInvalid,
    Names,
    Unknown,
    WholeCondition,
    compile_condition,
    compile_expression,
)
from controls.rules.folding import Folder
from controls.rules.formula import And, Leaf, Not, Or
from controls.rules.types import BOOL, DECIMAL, INT, MONEY, STRING, list_of
from tests.rules.strategies import NAMES

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def money(text: str) -> Money:
    amount, currency = text.split()
    return Money(Decimal(amount), currency)


def act(step: str, person: str, state: ActState = ActState.PERFORMED, **more: Any) -> Act:
    return Act(
        claim="c",
        decision="d",
        chain="o-1",
        step=step,
        person=person,
        account="a",
        capacity=more.get("capacity", Capacity.ACTOR),
        state=state,
        at=more.get("at", NOW),
        done_at=NOW,
        valid_until=NOW,
        index=0,
    )


VALUES: dict[str, Any] = {
    "order.notional": money("90 EUR"),
    "account.open_exposure": money("20 EUR"),
    "order.quantity": Decimal("150.0"),
    "order.fills": 7,
    "order.side": "buy",
    "order.instrument": "ES0113900J37",
    "order.is_block": True,
    "order.trade_date": date(2026, 3, 2),
    "order.settlement_date": date(2026, 3, 4),
    "order.received_at": NOW - timedelta(minutes=45),
    "order.lines": (
        {"account": "A", "quantity": Decimal(100), "final": True},
        {"account": "B", "quantity": Decimal(50), "price": money("10 EUR")},
    ),
    "order.fees": (money("1 EUR"), money("2 USD")),
    "order.ratios": (),
    "order.tags": ("x", "ñ", "x"),
    "order.broker": {"lei": "529900"},
    "person.id": "ana",
    "person.roles": ("trader", "risk"),
}
CHAIN = ChainHistory(
    "order_to_settlement",
    "o-1",
    (
        act("capture", "luis"),
        act("approve", "ana", ActState.CLAIMED),
        act("allocate", "ana", ActState.ABANDONED),
        act("execute", "luis", capacity=Capacity.APPROVER),
    ),
)


def facts(**values: Any) -> Facts:
    return Facts(values={**VALUES, **values}, chain=CHAIN, now=NOW)


def condition(source: str, **parameters: Any) -> WholeCondition:
    names = Names(NAMES.facts, {**NAMES.parameters, **parameters}, NAMES.steps)
    return compile_condition(source, names=names)


T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN
CASES = [
    # comparisons
    ("order.notional + account.open_exposure > threshold", T),
    ("order.notional > threshold", F),
    ('order.notional >= "90.00 EUR"', T),
    ('"90 EUR" == order.notional', T),
    ('order.notional < "100 USD"', U),
    ('order.notional != "100 USD"', U),
    ("order.quantity == 150", T),
    ("order.quantity > 149.999", T),
    ("order.fills < 7.5", T),
    ('order.side < "c"', T),
    ('order.side == "Buy"', F),
    ("order.is_block == (order.fills > 6)", T),
    ("order.short", U),
    ("!order.short", U),
    # Kleene
    ("order.short && order.fills > 100", F),
    ("order.fills > 100 && order.short", F),
    ("order.short || order.is_block", T),
    ("order.short || order.fills > 100", U),
    ("order.short ? order.is_block : order.fills > 1", T),
    ("order.short ? order.is_block : order.fills > 100", U),
    ('(order.short ? "a" : "a") == order.side', F),
    ("order.is_block ? order.short : order.fills > 1", U),
    # errors are absorbed like missing facts
    ("order.quantity / (order.fills - 7) > 1", U),
    ("order.quantity / (order.fills - 7) > 1 && order.fills > 100", F),
    ("order.is_block || order.quantity / (order.fills - 7) > 1", T),
    # arithmetic
    ("order.fills / 2 == 3.5", T),
    ("order.fills % 4 == 3", T),
    ("-order.fills % 4 == -3", T),
    ("order.quantity % 0.4 == 0", T),
    ("-order.quantity + 150 == 0", T),
    ("order.notional * 2 > threshold", T),
    ("order.notional / account.open_exposure == 4.5", T),
    ("order.notional - threshold < threshold * 0", T),
    ("order.quantity / 7 + 1 > 22.4", T),
    ("round(order.quantity / 7, 2) == 21.43", T),
    ("round(2.5 * order.fills, 0) == 18", T),  # 17.5
    ("round(order.quantity + 0.5, 0) == 150", T),  # half to even
    ("abs(order.fills - 10) == 3", T),
    ("0.1 + 0.2 * order.fills == 1.5", T),
    # presence
    ("has(order.short)", F),
    ("has(order.broker.lei) && !has(order.broker.rating)", T),
    ("has(order.short) && order.short", F),
    ("!has(order.price) || order.price > 5", T),
    # texts
    ('order.side.startsWith("b") && order.side.endsWith("y") && order.side.contains("u")', T),
    ('order.side.contains("x")', F),
    (r'order.instrument.matches(r"^[A-Z]{2}[A-Z0-9]{9}\d$")', T),
    ('order.side.matches("^B")', F),
    ('order.side.matches("(?i)^B")', T),
    ("size(order.side) == 3", T),
    ("order.side == desk", T),
    # lists
    ('order.side in ["buy", "sell"]', T),
    ("order.side in sides", T),
    ('order.side in ["sell"]', F),
    ("order.fills in [1, 7.0]", T),
    ('"trader" in person.roles', T),
    ("order.price in order.ratios", F),  # nothing is in an empty list
    ("order.quantity in [order.price, 150]", T),
    ("order.quantity in [order.price, 151]", U),
    ('"1.00 EUR" in order.fees', T),
    ('"3 EUR" in order.fees', U),
    ("size(order.lines) == 2", T),
    ("order.lines.exists(l, l.quantity > 60)", T),
    ("order.lines.all(l, l.quantity > 60)", F),
    ('order.lines.exists(l, l.price > "5 EUR")', T),
    ('order.lines.all(l, l.price > "5 EUR")', U),
    ("order.lines.exists_one(l, l.quantity > 60)", T),
    ("order.ratios.all(r, r > 5) && !order.ratios.exists(r, r > 5)", T),
    ("sum(order.lines.map(l, l.quantity)) == order.quantity", T),
    ("sum(order.ratios) == 0", T),
    ('sum(order.fees) > "1 EUR"', U),
    ("min(order.ratios) > 0", U),
    ("max(order.lines.map(l, l.quantity)) == 100", T),
    ("min(order.fills, order.quantity, 3.5) == 3.5", T),
    ('max(order.notional, "100 EUR") == threshold', T),
    ("size(distinct(order.tags)) == 2", T),
    ("size(order.lines.filter(l, has(l.price))) == 1", T),
    ("size(order.lines.map(l, l.price)) == 2", T),
    ("sum(order.lines.map(l, l.price)) == threshold", U),
    ("order.lines.all(l, order.lines.exists_one(m, m.account == l.account))", T),
    ('currency(order.notional) == "EUR" && amount(order.notional) == 90', T),
    # dates
    ("order.settlement_date - order.trade_date == duration('P2D')", T),
    ('order.trade_date + duration("P2D") == order.settlement_date', T),
    ('order.trade_date >= date("2026-03-02")', T),
    ('now - order.received_at > duration("PT30M")', T),
    ('now == timestamp("2026-03-02T10:30:00+01:00")', T),
    ('order.patience > duration("PT1S")', U),
    ('order.trade_date + (now - order.received_at) > date("2026-01-01")', U),
    ('(now - order.received_at) / duration("PT1H") == 0.75', T),
    ('(now - order.received_at) * 2 == duration("PT90M")', T),
    # the chain
    ('chain.performed("capture") && !chain.performed("approve")', T),
    ('chain.claimed("approve") && !chain.claimed("allocate") && !chain.claimed("execute")', T),
    ('chain.person("approve") == person.id', T),
    ('chain.person("capture") == person.id', F),
    ('chain.person("allocate") == person.id', U),
    ('chain.at("capture") == now', T),
    ('chain.at("execute") == now', U),
    ('"capture" in chain.steps && size(chain.steps) == 2', T),
]


@pytest.mark.parametrize(("source", "truth"), CASES)
def test_conditions_mean_what_they_say(source: str, truth: Truth) -> None:
    """A condition has the truth that its reader expects, on both paths."""
    found = condition(source)
    assert found.evaluate(facts()).truth is truth
    assert found.test(facts()) == truth


EDGES = [
    ("order.quantity + 1 > 0", Decimal("9" * 29), U),  # 1E+29 is too large
    ("order.quantity + 0 > 0", Decimal("9" * 29), T),
    ("order.quantity + 0.00001 > 0", Decimal("9" * 29), T),  # exactly 34 digits
    ("order.quantity + 0.000001 > 0", Decimal("9" * 29), U),  # 35 digits are not rounded
    ("order.quantity * 10 > 0", Decimal("1E+28"), U),
    ("order.quantity == 10000000000000000000000000000", Decimal("1E+28"), T),
    ("order.quantity * 0.1 == 0", Decimal("1E-28"), U),
    ("order.quantity > 0", Decimal("1E-28"), T),
    ("order.quantity / 3 * 3 < 1", Decimal(1), T),  # a quotient is rounded to 34 digits
    ("round(order.quantity / 3, 28) * 3 < 1", Decimal(1), T),
    ("order.quantity == 0", Decimal("-0"), T),
    ("order.quantity >= 0 && -order.quantity <= 0", Decimal("-0.00"), T),
    ("1 / order.quantity > 0", Decimal("-0"), U),
    ("order.quantity in [0]", Decimal("-0.0"), T),
    ("order.quantity in [1.5]", Decimal("1.50"), T),
    ("round(order.quantity, 0) == order.quantity", Decimal("1E+28"), T),
    ("round(order.quantity, 0) > 0", Decimal("9" * 29 + ".5"), U),  # half to even gives 1E+29
    ("round(order.quantity, 2) == 2.68", Decimal("2.675"), T),
    ("round(order.quantity, 2) == 2.66", Decimal("2.665"), T),
    ("order.quantity * order.quantity > 0", Decimal("1.00000000000000001"), U),  # 35 digits
    (
        "order.quantity * 1.0000000000000000000000000000 == 1",
        Decimal("1." + "0" * 28),
        T,
    ),  # values, not digits
]


@pytest.mark.parametrize(("source", "quantity", "truth"), EDGES)
def test_decimals_are_exact_or_an_error(source: str, quantity: Decimal, truth: Truth) -> None:
    """At the edges of 34 digits and 1E±28 a result is exact, or unknown with an error; zero has no sign."""
    verdict = condition(source).evaluate(facts(**{"order.quantity": quantity}))
    assert verdict.truth is truth
    assert bool(verdict.error) is (truth is U)


def test_whole_numbers_have_the_limits_of_decimals() -> None:
    """A product of whole numbers that no decimal could hold is an error."""
    verdict = condition("order.fills * order.fills > 0").evaluate(facts(**{"order.fills": 10**15}))
    assert verdict.error == "the result is out of range"


def test_mixed_currencies_name_both() -> None:
    """The reader is told which currencies met."""
    verdict = condition('order.notional > "5 USD"').evaluate(facts())
    assert verdict.error == "EUR and USD cannot be mixed"


def test_missing_facts_are_all_named() -> None:
    """An unknown leaf names every fact that it missed, and no other one."""
    verdict = condition("order.price * 2 > order.quantity / order.price || order.short").evaluate(facts())
    assert verdict.missing == ("order.price", "order.short")
    assert verdict.read == {"order.quantity": Decimal("150.0")}


def test_only_what_was_needed_is_missing() -> None:
    """A missing fact beside a decisive part is not reported."""
    verdict = condition("(order.price > 1 || order.is_block) && order.short").evaluate(facts())
    assert verdict.missing == ("order.short",)


def test_missing_fields_are_named_under_their_list() -> None:
    """A field that a line lacks is reported as the vocabulary calls it."""
    assert condition('order.lines.all(l, l.price > "5 EUR")').evaluate(facts()).missing == (
        "order.lines.price",
    )
    assert condition("order.broker.rating > 3").evaluate(facts()).missing == ("order.broker.rating",)


def test_missing_acts_are_named_by_their_question() -> None:
    """Nobody holds the step: the answer is missing, not wrong."""
    assert condition('chain.person("execute") == person.id').evaluate(facts()).missing == (
        'chain.person("execute")',
    )


def test_a_fact_of_another_type_is_an_error() -> None:
    """A reader's mistake never makes a rule silently not fire."""
    verdict = condition("order.quantity > 5").evaluate(facts(**{"order.quantity": "150"}))
    assert verdict.truth is U
    assert verdict.error == "order.quantity is str and not decimal"
    assert condition("order.fills == 1").evaluate(facts(**{"order.fills": True})).truth is U
    lines = condition("order.lines.exists(l, l.quantity > 5)").evaluate(facts(**{"order.lines": ("x",)}))
    assert lines.truth is U
    assert "vocabulary" in lines.error


def test_long_lists_in_one_another_are_an_error() -> None:
    """Two nested macros look at 100,000 elements at most."""
    nested = condition("order.tags.all(t, order.tags.exists(u, u == t))")
    assert nested.test(facts(**{"order.tags": ("x",) * 300})) == T
    verdict = nested.evaluate(facts(**{"order.tags": ("x",) * 400}))
    assert verdict.truth is U
    assert "100000" in verdict.error


def test_the_formula_shows_the_boolean_skeleton() -> None:
    """Connectives are the formula's; ?: and macros are leaves; parameters are their values in keys."""
    found = condition(
        "order.notional > threshold && (order.short || !order.is_block)"
        " && (order.short ? order.is_block : order.fills > lot)"
    )
    formula = found.formula
    assert isinstance(formula, And)
    first, second, third = formula.parts
    assert isinstance(first, Leaf)
    assert first.key == '(order.notional > money("100 EUR"))'
    assert first.condition.source == "order.notional > threshold"
    assert isinstance(second, Or)
    assert isinstance(second.parts[1], Not)
    assert isinstance(third, Leaf)
    assert third.key == "(order.short ? order.is_block : (order.fills > 4))"
    assert found.parameters == {"threshold", "lot"}
    assert found.names == {"order.notional", "order.short", "order.is_block", "order.fills"}


def test_a_condition_without_constant_parts_is_not_copied() -> None:
    """Conditions are folded again by every question about them."""
    tree = condition('order.side == "buy" && !(order.quantity in [1, 2] || order.fills + 1 > 2)').tree
    assert Folder().fold(tree) is not tree  # the list is a constant
    folded = Folder().fold(tree)
    assert Folder().fold(folded) is folded


def test_a_parameter_can_switch_a_part_off() -> None:
    """Parts that parameters decide leave the formula; the parameters still count as used."""
    found = condition("order.short && armed || order.fills > 5 && !armed")
    assert found.key == "order.short"
    assert found.names == {"order.short"}
    assert found.parameters == {"armed"}


KEYS = [
    ("order.fills > lot", "order.fills > 4"),
    ("order.fills > lot", "order.fills > 2 + 2.0"),
    ("order.notional > threshold", 'order.notional > "100 EUR"'),
    ("order.side in sides", "order.side in ['buy', 'sell']"),
    ("order.tags.exists(t, t == 'x')", 'order.tags . exists( u, u == "x" )'),
    ("order.fills > 1 && order.short", "(order.fills > 1.0) && (order.short && order.short)"),
    ("!!order.short", "order.short"),
    (
        'order.received_at > timestamp("2026-01-01T00:00:00Z")',
        'order.received_at > timestamp("2026-01-01T01:00:00+01:00")',
    ),
    ('order.patience > duration("PT60S")', 'order.patience > duration("PT1M")'),
]


@pytest.mark.parametrize(("one", "other"), KEYS)
def test_equal_meaning_has_equal_keys(one: str, other: str) -> None:
    """Names of parameters and variables, brackets, blanks and ways to write a constant do not matter."""
    assert condition(one).key == condition(other).key


def test_rounding_is_part_of_the_key() -> None:
    """A sum with a quotient rounds, and the same sum with the digits written out does not."""
    third = "0." + "3" * 34
    assert condition("order.quantity + 1 / 3 > 1").test(facts()) == T
    assert condition("order.quantity + 1 / 3 > 1").key != "((order.quantity + " + third + ") > 1)"


def test_unicode_is_compared_in_composed_form() -> None:
    """A literal in decomposed form equals a fact in composed form, as the vocabulary reader makes them."""
    assert condition('order.side == "n\u0303"').test(facts(**{"order.side": "ñ"})) == T
    assert condition('order.side == "\\u00f1"').test(facts(**{"order.side": "ñ"})) == T
    assert condition("size(order.side) == 2").test(facts(**{"order.side": "日本"})) == T


def test_regular_expressions_take_linear_time() -> None:
    """A pattern that brings a backtracking engine to its knees is answered at once."""
    found = condition('order.instrument.matches("^(a+)+$")')
    start = time.perf_counter()
    assert found.test(facts(**{"order.instrument": "a" * 20_000 + "!"})) == F
    assert time.perf_counter() - start < 1


EXPRESSIONS = [
    ("order.fills", DECIMAL, Decimal(7)),
    ("order.fills + 1", INT, 8),
    ('"5 EUR"', MONEY, money("5 EUR")),
    ("threshold", MONEY, money("100 EUR")),
    ("order.is_block ? 1 : 2.5", DECIMAL, Decimal(1)),
    ("[order.fills, 2.5]", list_of(DECIMAL), (Decimal(7), Decimal("2.5"))),
    ("order.side", None, "buy"),
    ("order.trade_date + duration('P1D')", None, date(2026, 3, 3)),
    ("order.lines.map(l, l.account)", list_of(STRING), ("A", "B")),
]


@pytest.mark.parametrize(("source", "wanted", "value"), EXPRESSIONS)
def test_expressions_compute_values_of_their_type(source: str, wanted: Any, value: Any) -> None:
    """An expression gives the value, and whole numbers become decimals where those are wanted."""
    found = compile_expression(source, names=NAMES, expect=wanted).evaluate(facts())
    assert found == value
    assert found.__class__ is value.__class__


def test_expressions_say_why_there_is_no_value() -> None:
    """Missing facts and failures come back as values; elements that are unknown make the list unknown."""
    assert compile_expression("order.price + 1", names=NAMES).evaluate(facts()) == Unknown(("order.price",))
    listed = compile_expression("[1, order.price]", names=NAMES).evaluate(facts())
    assert listed == Unknown(("order.price",))
    failed = compile_expression("order.quantity / (order.fills - 7)", names=NAMES).evaluate(facts())
    assert failed == Unknown((), "division by zero")


@pytest.mark.parametrize(
    ("source", "wanted"), [("order.side", INT), ("1.5", INT), ('"5"', MONEY), ("1", BOOL)]
)
def test_expressions_of_another_type_are_refused(source: str, wanted: Any) -> None:
    """A value that cannot stand where it is wanted is an error at load."""
    with pytest.raises(ConditionInvalid):
        compile_expression(source, names=NAMES, expect=wanted)
