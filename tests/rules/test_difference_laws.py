"""What `difference` claims about random rules, held against every request over small domains."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
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
from controls.model.finding import Cause, Effect, Finding
from controls.model.values import Money
from controls.rules import linear
from controls.rules.changes import Change, ChangeClass, looser, tighter
from controls.rules.compare_rules import said_by
from controls.rules.difference import difference
from controls.rules.engine import build_engine
from controls.rules.rule import Rule
from controls.rules.rule_sets import RuleSet, rule_set

from .strategies import NOW

LONG_RUN = os.environ.get("CONTROLS_FUZZ") == "1"
LAWS = settings(deadline=None, suppress_health_check=list(HealthCheck))

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
            findings = [engine.evaluate("order.send", facts) for engine in (one, other)]
            first, second = (strictest(found) for found in findings)
            yield first, second, any(item.cause is Cause.ERROR for found in findings for item in found)


def strictest(found: Sequence[Finding]) -> Effect | None:
    """A table may say several things."""
    said = [item.effect for item in found if not item.observed]
    return max(said, key=list(Effect).index, default=None)


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


@pytest.mark.fuzz
@given(pairs())
@settings(LAWS, max_examples=4_000 if LONG_RUN else 70)
def test_no_request_contradicts_a_claim(pair: tuple[Spec, Spec]) -> None:
    """A class holds for every request over small domains, and every shown request is answered as shown."""
    check(*pair)


@pytest.mark.fuzz
@given(pairs())
@settings(LAWS, max_examples=1_000 if LONG_RUN else 30)
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


OUTCOMES = st.sampled_from(("permit", "flag", "review", "deny", "oblige"))
CELLS = {
    "order.side": ("-", "buy", "sell", "not(buy)"),
    "order.block": ("-", "true", "false"),
    "large": ("-", "true", "false"),  # a parameter is in this input
    "order.a": ("-", "< 2", ">= 2", "[1..2]", "3"),
}
SPLITS = {  # cells of one input that cover its values once: rows of `hit: unique`
    "order.side": ("buy", "sell"),
    "order.block": ("true", "false"),
    "large": ("true", "false"),
    "order.a": ("< 1", "[1..2]", "> 2"),
}


@dataclass(frozen=True)
class Table:
    """A rule with a decision table: rows of two cells and an outcome. `low` is its parameter, if any."""

    hit: str
    inputs: tuple[str, str]
    rows: tuple[tuple[str, str, str], ...]
    default: str
    missing: str
    low: int = 1

    def rules(self) -> RuleSet:
        outcomes = sorted({*(row[-1] for row in self.rows), self.default})
        inputs = ["{name: large, value: order.b > low}" if name == "large" else name for name in self.inputs]
        parameters = f"  parameters: {{low: {{value: {self.low}, type: int, basis: law}}}}"
        lines = [
            "- id: r",
            "  title: {en: R, es: R}",
            "  source: {law: Policy, basis: policy}",
            "  on: [order.send]",
            parameters if "large" in self.inputs else "",
            "  table:",
            f"    hit: {self.hit}",
            f"    inputs: [{', '.join(inputs)}]",
            "    rows:",
            *(
                f"      - {{{self.inputs[0]}: '{one}', {self.inputs[1]}: '{other}', then: {then}}}"
                for one, other, then in self.rows
            ),
            f"    default: {self.default}",
            "  message: {en: x, es: x}",
            "  obligation: {what: report}" if "oblige" in outcomes else "",
            f"  missing: {self.missing}",
            "  because: it may be left out" if self.missing == "skip" else "",
            f"  examples: [{', '.join(f'{{name: {name}, expect: {name}}}' for name in outcomes)}]",
        ]
        text = "\n".join(line for line in lines if line)
        return rule_set({"vocabulary.yaml": VOCABULARY, "roles.yaml": ROLES, "regulatory/s/r.yaml": text})


@st.composite
def _tables(draw: st.DrawFn) -> Table:
    inputs = tuple(draw(st.permutations(sorted(CELLS)))[:2])
    hit = draw(st.sampled_from(("first", "first", "priority", "collect", "any", "unique")))
    if hit in ("unique", "any"):  # rows that take each input once, or agree
        grid = list(product(SPLITS[inputs[0]], (*SPLITS[inputs[1]],)))
        kept = draw(st.lists(st.sampled_from(grid), min_size=2, max_size=6, unique=True))
        same = draw(OUTCOMES)
        rows = tuple((*cells, same if hit == "any" else draw(OUTCOMES)) for cells in kept)
    else:
        row = st.tuples(*(st.sampled_from(CELLS[name]) for name in inputs), OUTCOMES)
        rows = tuple(draw(st.lists(row, min_size=2, max_size=4, unique_by=lambda cells: cells[:2])))
    missing = draw(st.sampled_from(("review", "deny", "skip")))
    return Table(hit, inputs, rows, draw(OUTCOMES), missing, draw(st.integers(0, 2)))


@st.composite
def table_pairs(draw: st.DrawFn) -> tuple[Table, Table]:
    """A table and what somebody made of it: a cell, an outcome, the order, a row, the parameter, anything."""
    before, other = draw(_tables()), draw(_tables())
    rows = list(before.rows)
    place = draw(st.integers(0, len(rows) - 1))
    match draw(st.sampled_from(("outcome", "outcome", "cell", "order", "row", "low", "hit", "rest", "all"))):
        case "outcome":
            rows[place] = (*rows[place][:2], draw(OUTCOMES))
        case "cell":
            at = draw(st.integers(0, 1))
            cells = list(rows[place])
            cells[at] = draw(st.sampled_from(CELLS[before.inputs[at]]))
            rows[place] = (cells[0], cells[1], cells[2])
        case "order":
            rows = draw(st.permutations(rows))
        case "row":
            del rows[place]
        case "low":
            return before, replace(before, low=other.low)
        case "hit":
            return before, replace(before, hit=draw(st.sampled_from(("first", "priority", "collect"))))
        case "rest":
            return before, replace(before, default=other.default, missing=other.missing)
        case _:
            return before, other
    return before, replace(before, rows=tuple(rows))


def check_tables(before: Table, after: Table) -> tuple[ChangeClass, str]:
    """Hold what is claimed about two tables against all requests."""
    try:
        a, b = before.rules(), after.rules()
    except RuleFilesInvalid:  # a row that nothing reaches, a table that never says anything
        assume(condition=False)
        raise
    found = overall(difference(a, b).changes)
    kind = ChangeClass.NEUTRAL if found is None else found.kind
    (one,), (two,) = a.release.rules, b.release.rules
    for shown in () if found is None else found.shown:
        said = [said_by(rule, action=shown.action, facts=shown.facts) for rule in (one, two)]
        assert said == [shown.before, shown.after]
    for first, second, _ in answers(one, two):
        if kind in (ChangeClass.TIGHTENING, ChangeClass.NEUTRAL):
            assert not looser(first, second), (first, second)
        if kind in (ChangeClass.LOOSENING, ChangeClass.NEUTRAL):
            assert not tighter(first, second), (first, second)
    if kind is ChangeClass.BOTH:
        assert found is not None
        assert any(looser(item.before, item.after) for item in found.shown)
        assert any(tighter(item.before, item.after) for item in found.shown)
    return kind, "" if found is None else found.reason


@pytest.mark.fuzz
@given(table_pairs())
@settings(LAWS, max_examples=3_000 if LONG_RUN else 60)
def test_no_request_contradicts_what_is_claimed_about_a_table(pair: tuple[Table, Table]) -> None:
    """Whatever is absent, under every hit policy; all but flags beside obligations is proved."""
    kind, reason = check_tables(*pair)
    if kind is ChangeClass.NOT_PROVED:
        assert "collect" in (pair[0].hit, pair[1].hit), reason
        assert "neither of the two is the stricter one" in reason


def test_flags_beside_obligations_are_not_weighed_against_each_other() -> None:
    """`collect` may ask for both, and what is lost beside the other one has no rank."""
    rows = (("buy", "-", "flag"), ("-", "true", "oblige"))
    before = Table("collect", ("order.side", "order.block"), rows, "permit", "review")
    kind, reason = check_tables(before, replace(before, rows=(rows[0], ("-", "false", "oblige"))))
    assert kind is ChangeClass.NOT_PROVED
    assert "neither of the two is the stricter one" in reason


@pytest.mark.fuzz
@given(SPECS, st.integers(0, 3))
@settings(LAWS, max_examples=1_000 if LONG_RUN else 30)
def test_without_the_solver_nothing_false_is_claimed(spec: Spec, low: int) -> None:
    """The solver only proves more; where it is absent the reason says how to get it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_z3", lambda: None)
        after = replace(spec, low=low)
        if check(spec, after) is ChangeClass.NOT_PROVED:
            found = overall(difference(spec.rules(), after.rules()).changes)
            assert found is not None
            assert "controls[solver]" in found.reason
