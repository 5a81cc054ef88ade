"""Leaves written into the generated function say what their closures say, whatever is stated as a fact."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product

import pytest

from controls.model.condition import Facts
from controls.model.values import MISSING, Money
from controls.model.window import Gap
from controls.rules.condition import CompiledTest, Names, compile_condition
from controls.rules.generated import GeneratedEvaluator
from controls.rules.lowering import leaves_of
from controls.rules.types import BOOL, DATE, DECIMAL, INT, MONEY, STRING, TIMESTAMP, ValueType, list_of
from tests.rules.synthetic import NOW, facts_of


class Text(str):
    """A text that is none to the language, which takes exactly `str`."""

    __slots__ = ()


TYPES: dict[str, ValueType] = {
    "f.b": BOOL, "f.c": BOOL, "f.i": INT, "f.j": INT, "f.d": DECIMAL, "f.e": DECIMAL, "f.m": MONEY,
    "f.n": MONEY, "f.s": STRING, "f.t": STRING, "f.day": DATE, "f.at": TIMESTAMP,
    "f.on": TIMESTAMP, "f.list": list_of(STRING),
}  # fmt: skip
VALUES: tuple[object, ...] = (
    MISSING, None, True, False, 0, 1, 1.0, Decimal(1), Decimal("-0"), Decimal("NaN"), Decimal("sNaN"), "",
    "a", Text("a"), Money(Decimal(1), "EUR"), Money(Decimal("1.00"), "USD"), date(2026, 1, 1),
    datetime(2026, 1, 1, tzinfo=UTC), timedelta(0), (), ("a",), (1,), ["a"], {"a": 1},
)  # fmt: skip
STATES = [
    (gaps, later)
    for gaps in (None, Gap(missing=("f.x",)), Gap(error="not counted"))
    for later in (False, True)
]


@pytest.mark.differential
@pytest.mark.parametrize(
    "source",
    [
        "f.b", "!f.b", "has(f.i)", "f.b != f.c", "f.i == 1", "f.i < f.j", "f.i <= f.d", "f.d > 1",
        "f.d == f.e", "f.i in [0, 1]", "f.d in [0.5, 1]", 'f.m < "1.00 EUR"', 'f.m != "1.00 USD"',
        "f.m == f.n", 'f.s == "a"', "f.s < f.t", 'f.s in ["a", "b"]', "f.s in f.list",
        'f.day >= date("2026-01-01")',
        'f.at == timestamp("2026-01-01T00:00:00Z")', "f.at <= now", "now < f.at", "f.on == f.at",
        'f.at - f.on > duration("PT0S")', 'now - f.at <= duration("P1D")', 'f.at - now >= duration("PT0S")',
        'now - now == duration("PT0S")',
    ],
)  # fmt: skip
def test_generated_text_against_closures(source: str) -> None:
    """Mistyped, absent, of another currency, a subclass, with a gap, or of a later request."""
    condition = compile_condition(source, names=Names(facts=TYPES))
    leaves = leaves_of([condition.formula])
    assert all(isinstance(leaf.condition, CompiledTest) for leaf in leaves)
    evaluator = GeneratedEvaluator([condition.formula], leaves=leaves)
    chain = facts_of({}).chain
    names = sorted(condition.names)
    for stated in product(VALUES, repeat=len(names)):
        values = {name: value for name, value in zip(names, stated, strict=True) if value is not MISSING}
        for gap, later in STATES:
            gaps = None if gap is None else dict.fromkeys(names, gap)
            facts = Facts(values, chain, NOW, gaps=gaps, later=later)  # type: ignore[arg-type]
            (told,), _ = evaluator.evaluate(facts)
            assert told == condition.test(facts) == condition.evaluate(facts).truth, (stated, gap, later)
