"""What `difference` claims about random rules, held against every request over small domains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from controls.model.chain import ChainHistory
from controls.model.condition import Facts
from controls.model.errors import RuleFilesInvalid
from controls.model.finding import Effect
from controls.model.values import Money
from controls.rules import linear
from controls.rules.changes import Change, ChangeClass, looser, tighter
from controls.rules.compare_rules import said_by
from controls.rules.difference import difference
from controls.rules.engine import build_engine
from controls.rules.rule import Rule
from controls.rules.rule_sets import RuleSet, rule_set

from .strategies import NOW

VOCABULARY = """\
facts:
  order.a: {type: int, label: {en: A, es: A}}
  order.b: {type: decimal, label: {en: B, es: B}}
  order.side: {type: string, values: [buy, sell], label: {en: Side, es: Sentido}}
  order.block: {type: bool, label: {en: Block, es: Bloque}}
  order.value: {type: money, label: {en: Value, es: Importe}}
"""
ROLES = """\
roles:
  trader: {title: {en: Trader, es: Operador}}
grants:
  - {role: trader, actions: [send], resource: order}
"""
# Every constant that a generated condition may compare with lies between some of these.
DOMAINS: dict[str, tuple[Any, ...]] = {
    "order.a": (None, -1, 0, 1, 2, 3, 4),
    "order.b": (None, *(Decimal(number) / 2 for number in range(-1, 8))),
    "order.side": (None, "buy", "sell"),
    "order.block": (None, True, False),
    "order.value": (
        None, Money(Decimal(0), "EUR"), Money(Decimal(2), "EUR"), Money(Decimal(4), "EUR"),
        Money(Decimal(2), "USD"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Spec:
    """A rule to be written; `low` and `high` are its parameters, `listed` is what stands in its list."""

    when: str
    then: str
    missing: str
    low: int
    high: int
    observe: bool = False
    listed: tuple[str, ...] = ("buy",)

    def text(self) -> str:
        given = f"{{name: fires, expect: {self.then}}}, {{name: silent, expect: permit}}"
        lines = [
            "- id: r",
            "  title: {en: R, es: R}",
            "  source: {law: Policy, basis: policy}",
            "  on: [order.send]",
            f"  when: {self.when!r}",
            f"  then: {self.then}",
            "  message: {en: x, es: x}",
            f"  missing: {self.missing}",
            f"  examples: [{given}]",
        ]
        used = [(name, getattr(self, name)) for name in ("low", "high") if name in self.when]
        if used:
            lines.append("  parameters:")
            lines += [f"    {name}: {{value: {value}, type: int, basis: law}}" for name, value in used]
        lines += ["  because: it may be left out"] if self.missing == "skip" else []
        lines += ["  obligation: {what: report}"] if self.then == "oblige" else []
        lines += ["  mode: observe"] if self.observe else []
        return "\n".join(lines)

    def rules(self) -> RuleSet:
        files = {"vocabulary.yaml": VOCABULARY, "roles.yaml": ROLES, "regulatory/s/r.yaml": self.text()}
        if "list.sides" in self.when:
            files["lists/sides.csv"] = "\n".join(("side:string", *self.listed, ""))
        return rule_set(files)


OPERATORS = st.sampled_from(("==", "!=", "<", "<=", ">", ">="))
NUMBERS = st.sampled_from(("0", "1", "2", "3", "low", "high"))
LEAVES = st.one_of(
    st.builds("order.a {} {}".format, OPERATORS, NUMBERS),
    st.builds("order.b {} {}".format, OPERATORS, NUMBERS),
    st.builds("order.a + order.b {} {}".format, OPERATORS, NUMBERS),
    st.builds("order.b - order.a {} {}".format, OPERATORS, NUMBERS),
    st.builds("order.b * 2 {} order.a + {}".format, OPERATORS, NUMBERS),
    st.builds("abs(order.b - 1) {} {}".format, OPERATORS, NUMBERS),
    st.builds("max(order.a, order.b) {} {}".format, OPERATORS, NUMBERS),
    st.builds("order.a {} (order.block ? {} : {})".format, OPERATORS, NUMBERS, NUMBERS),
    st.builds("order.a % 2 == {}".format, NUMBERS),
    st.builds('order.value {} "{}.00 EUR"'.format, OPERATORS, st.sampled_from("123")),
    st.builds("amount(order.value) {} order.b".format, OPERATORS),
    st.sampled_from(
        (
            'order.side == "buy"', 'order.side in ["sell"]', "order.block", "has(order.a)",
            "order.side in list.sides", "!(order.side in list.sides)",
            'currency(order.value) == "EUR"', 'order.side.startsWith("b")', "size(order.side) > low",
        )
    ),
)  # fmt: skip


def _grown(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} && {})".format, parts, parts),
        st.builds("({} || {})".format, parts, parts),
        st.builds("!({})".format, parts),
        st.builds("({} ? {} : {})".format, parts, parts, parts),
    )


CONDITIONS = st.recursive(LEAVES, _grown, max_leaves=4)
SPECS = st.builds(
    Spec,
    when=CONDITIONS,
    then=st.sampled_from(("deny", "deny", "review", "flag", "oblige")),
    missing=st.sampled_from(("review", "deny", "skip")),
    low=st.integers(0, 3),
    high=st.integers(0, 3),
    observe=st.booleans().flatmap(lambda chosen: st.booleans() if chosen else st.just(value=False)),
    listed=st.sampled_from((("buy",), ("sell",), ("buy", "sell"))),
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Spec, Spec]:
    """A rule and what somebody made of it: mostly one or two things are different."""
    before, other = draw(SPECS), draw(SPECS)
    aspects = ("when", "then", "missing", "low", "high", "observe", "listed")
    names = draw(st.sets(st.sampled_from(aspects), min_size=1))
    if "when" in names and draw(st.booleans()):  # a piece more, which is what people do
        joined = draw(st.sampled_from(("({}) && ({})", "({}) || ({})")))
        other = replace(other, when=joined.format(before.when, other.when))
    return before, replace(before, **{name: getattr(other, name) for name in names})


def requests(rule: Rule, other: Rule) -> Iterator[Facts]:
    """Every request over the domains of the facts that one of the two reads."""
    names = sorted(rule.condition.names | other.condition.names)
    for values in product(*(DOMAINS[name] for name in names)):
        given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        yield Facts({**given, "action.name": "send"}, ChainHistory("", "o-1"), NOW)


def answers(before: Rule, after: Rule) -> Iterator[tuple[Effect | None, Effect | None, bool]]:
    """What both say of every request, and whether one of them could not be computed."""
    with (
        closing(build_engine("reference", (before,))) as one,
        closing(build_engine("reference", (after,))) as other,
    ):
        for facts in requests(before, after):
            findings = [(engine.evaluate("order.send", facts) or (None,))[0] for engine in (one, other)]
            first, second = (None if f is None or f.observed else f.effect for f in findings)
            yield first, second, any(f is not None and f.cause.value == "error" for f in findings)


def overall(changes: tuple[Change, ...]) -> Change | None:
    """The change of the rule as a whole: where several things changed, they are taken together."""
    found = [item for item in changes if item.what not in ("wording", "obligation", "file")]
    return next((item for item in found if item.what == "rule"), found[0] if found else None)


def check(before: Spec, after: Spec) -> ChangeClass | None:
    """Hold what is claimed against all requests."""
    try:
        a, b = before.rules(), after.rules()
    except RuleFilesInvalid:  # a constant condition, an unused parameter
        assume(condition=False)
        raise
    (one,), (other,) = a.release.rules, b.release.rules
    changes = difference(a, b).changes
    for change in changes:
        for shown in change.shown:
            assert shown.before is not shown.after
        if change.kind is ChangeClass.BOTH:
            assert any(looser(item.before, item.after) for item in change.shown)
            assert any(tighter(item.before, item.after) for item in change.shown)
    found = overall(changes)
    kind = ChangeClass.NEUTRAL if found is None else found.kind
    for shown in () if found is None else found.shown:
        said = [said_by(rule, action=shown.action, facts=shown.facts) for rule in (one, other)]
        assert said == [shown.before, shown.after]
    errors_aside = found is not None and "cannot be computed" in found.reason
    for first, second, error in answers(one, other):
        if error and errors_aside:
            continue
        if kind in (ChangeClass.TIGHTENING, ChangeClass.NEUTRAL):
            assert not looser(first, second), (first, second)
        if kind in (ChangeClass.LOOSENING, ChangeClass.NEUTRAL):
            assert not tighter(first, second), (first, second)
    return None if found is None else found.kind


@given(pairs())
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_contradicts_a_claim(pair: tuple[Spec, Spec]) -> None:
    """A class holds for every request over small domains, and every shown request is answered as shown."""
    check(*pair)


@given(pairs())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_other_way_round_is_the_opposite(pair: tuple[Spec, Spec]) -> None:
    """What tightens one way loosens the other way, unless nobody could tell."""
    before, after = pair
    there, back = check(before, after), check(after, before)
    opposite = {
        ChangeClass.TIGHTENING: ChangeClass.LOOSENING,
        ChangeClass.LOOSENING: ChangeClass.TIGHTENING,
    }
    if there is not None and back is not None and ChangeClass.NOT_PROVED not in (there, back):
        assert back is opposite.get(there, there)


OUTCOMES = st.sampled_from(("permit", "flag", "review", "deny"))


@dataclass(frozen=True)
class Table:
    """A rule with a decision table of two rows, the second of which takes any side."""

    hit: str
    first: str
    second: str
    default: str
    missing: str

    def rules(self) -> RuleSet:
        outcomes = sorted({self.first, self.second, self.default})
        lines = [
            "- id: r",
            "  title: {en: R, es: R}",
            "  source: {law: Policy, basis: policy}",
            "  on: [order.send]",
            "  table:",
            f"    hit: {self.hit}",
            "    inputs: [order.side, order.block]",
            "    rows:",
            f"      - {{order.side: buy, order.block: 'true', then: {self.first}}}",
            f"      - {{order.side: '-', order.block: 'true', then: {self.second}}}",
            f"    default: {self.default}",
            "  message: {en: x, es: x}",
            f"  missing: {self.missing}",
            *(["  because: it may be left out"] if self.missing == "skip" else []),
            f"  examples: [{', '.join(f'{{name: {name}, expect: {name}}}' for name in outcomes)}]",
        ]
        files = {"vocabulary.yaml": VOCABULARY, "roles.yaml": ROLES, "regulatory/s/r.yaml": "\n".join(lines)}
        return rule_set(files)


TABLES = st.builds(
    Table,
    hit=st.sampled_from(("first", "first", "priority", "collect")),
    first=OUTCOMES,
    second=OUTCOMES,
    default=OUTCOMES,
    missing=st.sampled_from(("review", "deny", "skip")),
)


@given(TABLES, TABLES, st.sets(st.sampled_from(("first", "second", "default", "missing")), min_size=1))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_contradicts_what_is_claimed_about_a_table(
    before: Table, other: Table, names: set[str]
) -> None:
    """Where inputs may be absent a stricter cell can end a doubt that was stricter still: no false claim."""
    after = replace(before, **{name: getattr(other, name) for name in names})
    try:
        a, b = before.rules(), after.rules()
    except RuleFilesInvalid:  # a table that never says anything
        assume(condition=False)
        raise
    found = overall(difference(a, b).changes)
    kind = ChangeClass.NEUTRAL if found is None else found.kind
    (one,), (two,) = a.release.rules, b.release.rules
    for facts in requests(one, two):
        first, second = (said_by(rule, action="order.send", facts=facts) for rule in (one, two))
        if kind in (ChangeClass.TIGHTENING, ChangeClass.NEUTRAL):
            assert not looser(first, second), (first, second, facts)
        if kind in (ChangeClass.LOOSENING, ChangeClass.NEUTRAL):
            assert not tighter(first, second), (first, second, facts)


@given(SPECS, st.integers(0, 3))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_without_the_solver_nothing_false_is_claimed(spec: Spec, low: int) -> None:
    """The solver only proves more; where it is absent the reason says how to get it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_z3", lambda: None)
        after = replace(spec, low=low)
        if check(spec, after) is ChangeClass.NOT_PROVED:
            found = overall(difference(spec.rules(), after.rules()).changes)
            assert found is not None
            assert "controls[solver]" in found.reason
