"""What can be true: verdicts against brute force, against the language's own generator, and edge by edge."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controls.model.chain import ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.values import Money
from controls.rules import linear
from controls.rules.condition import ConditionInvalid, Names, WholeCondition, compile_condition
from controls.rules.domains import Domain
from controls.rules.satisfiable import (
    Answer,
    Impossible,
    NotDecided,
    Wanted,
    Witness,
    find,
    implies,
    satisfiable,
)
from controls.rules.types import BOOL, DATE, DECIMAL, INT, MONEY, STRING, list_of
from tests.rules.strategies import NAMES, NOW, conditions, random_facts, random_history

DOMAINS = {
    "a.whole": Domain(INT),
    "a.exact": Domain(DECIMAL),
    "a.cash": Domain(MONEY),
    "a.side": Domain(STRING, values=("buy", "sell", "short")),
    "a.name": Domain(STRING, max_length=5),
    "a.flag": Domain(BOOL),
    "a.sure": Domain(BOOL, optional=False),
    "a.tags": Domain(list_of(STRING)),
    "a.day": Domain(DATE),
}
SMALL = Names(facts={name: domain.type for name, domain in DOMAINS.items()}, steps=frozenset({"s", "t"}))
# Every constant of the generated leaves, what lies beside it, and what no leaf mentions.
VALUES: dict[str, tuple[Any, ...]] = {
    "a.whole": (0, 1, 2, 3, 4, 5),
    "a.exact": tuple(map(Decimal, ("0", "1", "1.25", "1.5", "2", "3"))),
    "a.cash": (*(Money(Decimal(n), "EUR") for n in ("0", "1", "1.5", "2", "3")), Money(Decimal(1), "USD")),
    "a.side": ("buy", "sell", "short"),
    "a.name": ("x", "y", "zzz"),
    "a.flag": (True, False),
    "a.sure": (True, False),
    "a.tags": ((), ("p",), ("q",), ("p", "q"), ("r",)),
    "a.day": (date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4)),
}
SIGNS = ("==", "!=", "<", "<=", ">", ">=")


def _leaf(random: Random) -> str:
    sign, equality = random.choice(SIGNS), random.choice(("==", "!="))
    return random.choice(
        (
            f"a.whole {sign} {random.choice((1, 2, 4))}",
            f"{random.choice(('1.5', '2.0', '3'))} {sign} a.whole",
            f"a.exact {sign} {random.choice(('1.0', '1.5', '2.0', '2'))}",
            f'a.cash {sign} "{random.choice(("1 EUR", "2 EUR", "1 USD"))}"',
            f"amount(a.cash) {sign} {random.choice((1, 2))}",
            f'currency(a.cash) {equality} "{random.choice(("EUR", "USD", "none"))}"',
            f'a.side {equality} "{random.choice(("buy", "sell", "lend"))}"',
            f'a.side.startsWith("{random.choice(("s", "sh", "b"))}")',
            f'a.name {equality} "{random.choice(("x", "y", "longer than five"))}"',
            'a.name in ["x", "y"]',
            "a.whole in [1, 2]",
            'a.side in ["buy", "short"]',
            f'"{random.choice("pq")}" in a.tags',
            f"has({random.choice(sorted(VALUES))})",
            "a.flag",
            "a.sure",
            f'a.day {sign} date("2026-03-0{random.choice("23")}")',
        )
    )


def _condition(random: Random, depth: int) -> str:
    if depth == 0 or random.random() < 0.2:
        return _leaf(random)
    parts = [_condition(random, depth - 1) for _ in range(random.randint(2, 3))]
    match random.randint(0, 7):
        case 0:
            return f"!({parts[0]})"
        case 1:
            return f"(({parts[0]}) ? ({parts[1]}) : ({parts[-1]}))"
        case 2:
            return f"(({parts[0]}) {random.choice(('==', '!='))} ({parts[1]}))"
        case number:
            return "(" + (" && " if number < 6 else " || ").join(parts) + ")"


def _compiled(source: str, names: Names = SMALL) -> WholeCondition | None:
    try:
        return compile_condition(source, names=names)
    except ConditionInvalid:
        return None  # constant by itself: refused before anybody asks


def _grid(condition: WholeCondition) -> Iterator[Facts]:
    """Every combination of the small values of the facts that are read."""
    names = sorted(condition.names)
    options = [(*VALUES[name], *((None,) if DOMAINS[name].optional else ())) for name in names]
    for values in product(*options):
        given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        yield Facts(given, ChainHistory("", "c"), NOW)


RANDOMS = st.integers(0, 2**64 - 1).map(Random)


@settings(max_examples=400, deadline=None)
@given(random=RANDOMS, truth=st.sampled_from(Truth))
def test_the_fragment_is_decided_as_brute_force_decides_it(random: Random, truth: Truth) -> None:
    """On small values that tell all constants apart, each truth is found exactly where it exists."""
    condition = _compiled(_condition(random, 2))
    if condition is None or len(condition.names) > 5:
        return
    answer = find((Wanted(condition.tree, frozenset({truth})),), domains=DOMAINS)
    exists = any(condition.test(facts) == truth for facts in _grid(condition))
    if isinstance(answer, Witness):
        assert condition.test(answer.facts) == truth
    else:
        assert isinstance(answer, Impossible), condition.source
        assert not exists, condition.source
    assert isinstance(answer, Witness) or not exists


@settings(max_examples=150, deadline=None)
@given(random=RANDOMS)
def test_implication_is_decided_as_brute_force_decides_it(random: Random) -> None:
    """One condition implies another exactly when no small facts say otherwise."""
    one, other = (_compiled(_condition(random, 1)) for _ in range(2))
    if one is None or other is None or len(one.names | other.names) > 4:
        return
    answer = implies(one.tree, other.tree, domains=DOMAINS)
    if isinstance(answer, Witness):
        assert one.test(answer.facts) == Truth.TRUE
        assert other.test(answer.facts) != Truth.TRUE
        return
    assert isinstance(answer, Impossible)
    both = _compiled(f"({one.source}) && ({other.source})")
    for facts in _grid(one if both is None else both):
        assert one.test(facts) != Truth.TRUE or other.test(facts) == Truth.TRUE


@settings(max_examples=300, deadline=None)
@given(source=conditions(NAMES, depth=3), random=RANDOMS, truth=st.sampled_from(Truth))
def test_no_verdict_over_the_whole_language_is_wrong(source: str, random: Random, truth: Truth) -> None:
    """Arithmetic, macros, the chain: what is called impossible never happens, a witness always does."""
    condition = compile_condition(source, names=NAMES)
    answer = find((Wanted(condition.tree, frozenset({truth})),), domains={})
    if isinstance(answer, Witness):
        assert condition.test(answer.facts) == truth
    elif isinstance(answer, Impossible):
        for _ in range(40):
            facts = Facts(random_facts(random, NAMES), random_history(random, NAMES), NOW)
            assert condition.test(facts) != truth, source


def _ask(source: str) -> Answer:
    return satisfiable(compile_condition(source, names=NAMES).tree, domains={})


@pytest.mark.parametrize(
    "source",
    [
        "order.fills > 5 && order.fills < 6",  # no whole number lies between
        "order.quantity > 3.0 && order.quantity < 3.0000000000000000000000000001",  # and no decimal here
        "order.quantity > 1234567.0 && order.quantity < 1234567.000000000000000000000000001",
        'order.notional > "100 EUR" && order.notional < "50 EUR"',
        'order.notional > "100 EUR" && order.notional < "500 USD"',  # two currencies do not mix
        'order.side == "buy" && order.side == "sell"',
        "order.short && !order.short",
        "!has(order.side) && order.side != desk",
        'chain.performed("execute") && !chain.claimed("execute")',
        '"execute" in chain.steps && !chain.claimed("execute")',
        'order.received_at < timestamp("1980-01-01T00:00:00Z")',  # nobody can send such a moment
        'order.trade_date > date("9999-12-31")',
        '(order.short ? order.side == "a" : order.side == "a") && order.side != "a"',
    ],
)
def test_what_can_never_be(source: str) -> None:
    """Contradictions over one fact are found without a solver."""
    assert isinstance(_ask(source), Impossible)


@pytest.mark.parametrize(
    "source",
    [
        "order.fills > 5 && order.fills < 7",
        "order.quantity > 3.0 && order.quantity < 3.0000000000000000000000000002",
        "order.quantity < 0.0 && order.quantity > -0.0000000000000000000000000002",
        'order.notional > "100 EUR" || order.notional < "50 USD"',
        "order.notional + account.open_exposure > threshold",
        'order.lines.exists(line, line.quantity > 50.0 && line.account == "zz")',
        '"trader" in person.roles && !("clerk" in person.roles)',
        'order.instrument.startsWith("ES")',
        "now - order.received_at > order.patience",
        'order.trade_date == date("9999-12-31")',
    ],
)
def test_what_can_be_has_a_witness(source: str) -> None:
    """The witness is a request on which the condition really is true."""
    answer = _ask(source)
    assert isinstance(answer, Witness)
    assert compile_condition(source, names=NAMES).test(answer.facts) == Truth.TRUE


CROSSING = [
    "order.quantity - order.price > 3.0 && order.price - order.quantity > 1.0",
    'order.settlement_date - order.trade_date > duration("P3D") && order.settlement_date < order.trade_date',
    "order.quantity * 2 + order.price > 7.0 && order.quantity == 3.0 && order.price < 1.0",
    "order.notional + account.open_exposure > threshold && order.notional < account.open_exposure"
    ' && account.open_exposure < "50 EUR"',
    "order.side == order.instrument && order.side == desk && order.instrument != desk"
    " && order.fills > order.fills + 1",
]


@pytest.mark.parametrize("source", CROSSING)
def test_the_solver_sees_what_crosses_facts(source: str) -> None:
    """Linear arithmetic over several facts, money and days included."""
    assert linear.available()
    assert isinstance(_ask(source), Impossible)


def test_without_the_solver_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional: without it the answer is that nothing was decided."""
    monkeypatch.setattr(linear, "_z3", lambda: None)
    assert isinstance(_ask(CROSSING[0]), NotDecided)


def test_a_lone_solution_is_found_by_the_solver() -> None:
    """Where guessing fails, the solver's values are evaluated and returned."""
    source = (
        "order.quantity * 3 + order.price == 1001.0 && order.price - order.quantity == 1.0"
        " && order.quantity > 7.5 && order.price < 400.25"
    )
    answer = _ask(source)
    assert isinstance(answer, Witness)
    assert answer.facts.values == {"order.quantity": Decimal(250), "order.price": Decimal(251)}


def test_a_question_too_large_for_the_bounds_is_not_decided() -> None:
    """Sixteen facts that hang together in every way: an honest answer in bounded time."""
    names = Names(facts={f"f.x{number}": BOOL for number in range(18)})
    pairs = [f"(f.x{a} != f.x{b})" for a in range(18) for b in range(a + 1, 18) if (a + b) % 2 == 0]
    condition = compile_condition(" && ".join(pairs[:60]), names=names)
    assert isinstance(satisfiable(condition.tree, domains={}), Impossible | NotDecided)


def test_a_fact_that_is_always_there_is_never_absent() -> None:
    """The domain decides: what the service itself states cannot be missing."""
    names = Names(facts={"action.name": STRING})
    condition = compile_condition("!has(action.name)", names=names)
    known = {"action.name": Domain(STRING, values=("approve",), optional=False)}
    assert isinstance(satisfiable(condition.tree, domains=known), Impossible)
    assert isinstance(satisfiable(condition.tree, domains={}), Witness)


def test_answers_are_the_same_every_time() -> None:
    """No clock and no chance: the same question has the same answer and the same witness."""
    source = "order.notional + account.open_exposure > threshold && order.lines.exists(x, x.final)"
    assert _ask(source) == _ask(source)


# -- sums and products -------------------------------------------------------------------------------------


def both(one: str, other: str, *, truths: tuple[Truth, Truth]) -> Answer:
    trees = [compile_condition(text, names=SMALL).tree for text in (one, other)]
    wanted = [Wanted(tree, frozenset({truth})) for tree, truth in zip(trees, truths, strict=True)]
    return find(wanted, domains=DOMAINS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.whole + a.exact > 5", "a.whole + a.exact > 3"),
        ("abs(a.exact - a.whole) * 2 > 5", "abs(a.exact - a.whole) * 2 > 3"),
        ("a.exact * a.whole > 5", "a.exact * a.whole > 3"),
        ("a.exact / a.whole > 5", "a.exact / a.whole > 3"),
        ("size(a.tags) + a.whole > 5", "size(a.tags) + a.whole > 3"),
        ("max(a.exact, a.whole) > 5", "max(a.exact, a.whole, 4) > 3"),
        ("a.whole > (a.sure ? a.exact : 5)", "a.whole > (a.sure ? a.exact : 4)"),
        ("a.exact + a.whole > a.exact", "a.exact + a.whole >= a.exact"),
    ],
)
@pytest.mark.skipif(not linear.available(), reason="needs z3: pip install 'controls[solver]'")
def test_the_same_sum_is_the_same_in_two_conditions(one: str, other: str) -> None:
    """Whatever it is, and whether it can be computed or not: more than 5 is more than 3."""
    assert both(one, other, truths=(Truth.TRUE, Truth.FALSE)) == Impossible()
    assert both(one, other, truths=(Truth.TRUE, Truth.UNKNOWN)) == Impossible()


@pytest.mark.skipif(not linear.available(), reason="needs z3: pip install 'controls[solver]'")
def test_different_products_may_fail_at_different_digits() -> None:
    """That is told apart from what nobody could decide; and a request with 34 digits shows that it is so."""
    one, other = "a.exact * 5 > 0", "a.exact * 6 > 0"
    answer = both(one, other, truths=(Truth.TRUE, Truth.UNKNOWN))
    assert answer == NotDecided(but_for_digits=True)
    long = Facts(
        {"a.exact": Decimal("200000.0000000000000000000000000002")}, ChainHistory("", ""), NOW
    )  # five times it ends in a zero that needs no digit
    assert [compile_condition(text, names=SMALL).test(long) for text in (one, other)] == [2, 1]


def test_a_part_that_a_parameter_switches_off_is_decided() -> None:
    """`false && x` is false and never open."""
    names = Names(facts=SMALL.facts, parameters={"armed": (BOOL, False)}, steps=SMALL.steps)
    tree = compile_condition("armed && a.whole > 1 || a.flag", names=names).tree
    wanted = (Wanted(tree, frozenset({Truth.TRUE})), Wanted(flag_is(False), frozenset({Truth.TRUE})))
    assert find(wanted, domains=DOMAINS, solve=False) == Impossible()


def flag_is(truth: bool) -> Any:
    """The tree of `a.flag` or of its opposite."""
    return compile_condition("a.flag" if truth else "!a.flag", names=SMALL).tree


def test_what_nobody_understands_has_one_truth_in_two_conditions() -> None:
    """Without the solver, too."""
    macro = 'a.tags.exists(t, t.startsWith("x"))'
    trees = [compile_condition(text, names=SMALL).tree for text in (f"{macro} && a.flag", macro)]
    wanted = (Wanted(trees[0], frozenset({Truth.TRUE})), Wanted(trees[1], frozenset({Truth.FALSE})))
    assert find(wanted, domains=DOMAINS, solve=False) == Impossible()
