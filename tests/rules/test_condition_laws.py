"""Laws of conditions over generated text and facts; the meaning is checked against `oracle`."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from controls.model.chain import ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.values import Value
from controls.rules.condition import (
    ConditionError,
    ConditionInvalid,
    WholeCondition,
    compile_condition,
)
from controls.rules.formula import And, Constant, Formula, Leaf, Not, Or
from tests.rules.oracle import Oracle, Unk
from tests.rules.strategies import (
    LISTS,
    NAMES,
    NOW,
    TABLES,
    condition_trees,
    conditions,
    fact_values,
    histories,
)
from tests.rules.trees import RATES, Tree, render

LONG_RUN = os.environ.get("CONTROLS_FUZZ") == "1"
DIFFERENTIAL = settings(
    max_examples=30_000 if LONG_RUN else 400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
FEW = settings(DIFFERENTIAL, max_examples=2_000 if LONG_RUN else 80)
CONSTANT_CODES = {"constant_condition", "constant_error"}
PARAMETERS = {name: value for name, (_, value) in NAMES.parameters.items()}
ITEMS = {name: items for name, (_, items) in LISTS.items()}
ROWS = {name: (sum(" key" in column for column in header), rows) for name, (header, rows) in TABLES.items()}


def facts() -> st.SearchStrategy[Facts]:
    return st.builds(Facts, values=fact_values(NAMES), chain=histories(NAMES), now=st.just(NOW))


def compiled(tree: Tree, **style: Any) -> WholeCondition:
    """The condition of `tree`; only constant ones may be refused."""
    source = render(tree, **style)
    try:
        return compile_condition(source, names=NAMES)
    except ConditionInvalid as invalid:
        assume({error.code for error in invalid.errors} - CONSTANT_CODES)
        raise


def errors_of(source: str) -> tuple[ConditionError, ...]:
    try:
        compile_condition(source, names=NAMES)
    except ConditionInvalid as invalid:
        return invalid.errors
    return ()


def expected(tree: Tree, facts: Facts) -> tuple[Truth, set[str], bool]:
    found = Oracle(facts, PARAMETERS, lists=ITEMS, tables=ROWS).value(tree)
    if isinstance(found, Unk):
        return Truth.UNKNOWN, set(found.missing), found.failed
    return (Truth.TRUE if found else Truth.FALSE), set(), False


@pytest.mark.fuzz
@pytest.mark.differential
@DIFFERENTIAL
@given(tree=condition_trees(NAMES), brackets=st.booleans(), cases=st.lists(facts(), min_size=1, max_size=2))
def test_conditions_mean_what_the_oracle_says(tree: Tree, brackets: bool, cases: list[Facts]) -> None:
    """Truth, missing facts and failure agree with an independent interpreter in exact fractions."""
    condition = compiled(tree, brackets=brackets)
    for case in cases:
        verdict = condition.evaluate(case)
        # How a cell's key is shown has tests of its own.
        missing = {re.sub(r"\[.*\]", "", name) for name in verdict.missing}
        found = (verdict.truth, missing, verdict.error != "")
        assert found == expected(tree, case), (condition.source, verdict)
        assert condition.test(case) == verdict.truth


@FEW
@given(tree=condition_trees(NAMES), case=facts())
def test_a_condition_is_its_leaves_under_kleene(tree: Tree, case: Facts) -> None:
    """Minimum, maximum and 2 - x over the leaves' truths give the condition's truth."""
    condition = compiled(tree)

    def truth(formula: Formula) -> int:
        match formula:
            case Leaf(condition=leaf):
                assert leaf.test(case) == leaf.evaluate(case).truth
                return leaf.test(case)
            case And(parts=parts):
                return min(truth(part) for part in parts)
            case Or(parts=parts):
                return max(truth(part) for part in parts)
            case Not(part=part):
                return 2 - truth(part)
            case Constant(truth=known):
                return known

    assert truth(condition.formula) == condition.test(case)


@FEW
@given(tree=condition_trees(NAMES), case=facts())
def test_reasons_come_from_the_facts(tree: Tree, case: Facts) -> None:
    """What was read was there and is among the names; what is missing was not; FALSE has no reasons."""
    condition = compiled(tree)
    verdict = condition.evaluate(case)
    cells = {name: verdict.read[name] for name in verdict.read if name.startswith("table.")}
    rates = {name: verdict.read[name] for name in verdict.read if name.startswith("rate.")}
    facts_read = {name: value for name, value in verdict.read.items() if name not in {*cells, *rates}}
    assert facts_read.items() <= {name: case.values[name] for name in facts_read}.items()
    assert set(facts_read) <= condition.names <= set(NAMES.facts)
    assert set(cells) <= condition.cells
    for name, value in cells.items():
        table, _, column = re.sub(r"\[.*\]", "", name).removeprefix("table.").partition(".")
        assert value in NAMES.data.tables[table].columns[column].cells.values()
    for name, value in rates.items():
        table, pair = re.match(r"rate\.(\w+)\[(\w+/\w+), ", name).groups()
        assert value in [rate for *pairs, _, _, rate in RATES[table] if "/".join(pairs) == pair]
    assert not set(verdict.missing) & set(case.values)
    if verdict.truth is not Truth.UNKNOWN:
        assert (verdict.missing, verdict.error) == ((), "")
    else:
        assert verdict.missing or verdict.error


@FEW
@given(tree=condition_trees(NAMES))
def test_brackets_and_blanks_change_nothing(tree: Tree) -> None:
    """The least brackets and many brackets, blanks and none, give the same key."""
    keys = {compiled(tree, brackets=brackets).key for brackets in (False, True)}
    keys |= {compiled(tree, blank=blank).key for blank in ("", " \n\t", " // a remark\n")}
    assert len(keys) == 1


@FEW
@given(tree=condition_trees(NAMES), case=facts())
def test_renamed_parameters_have_the_same_leaves(tree: Tree, case: Facts) -> None:
    """A parameter's name is not in the keys: its value is."""
    renamed = {f"my_{name}": known for name, known in NAMES.parameters.items()}

    def rename(part: Any) -> Any:
        if not isinstance(part, Tree):
            return part
        if part.operator == "parameter":
            return Tree("parameter", (f"my_{part.parts[0]}",))
        return Tree(part.operator, tuple(rename(inner) for inner in part.parts))

    names = replace(NAMES, parameters=renamed)
    condition = compiled(tree)
    other = compile_condition(render(rename(tree)), names=names)
    assert other.key == condition.key
    assert other.test(case) == condition.test(case)


def _asks_presence(tree: Any) -> bool:
    if not isinstance(tree, Tree):
        return False
    return (tree.operator == "call" and tree.parts[0] == "has") or any(map(_asks_presence, tree.parts))


@FEW
@given(
    tree=condition_trees(NAMES).filter(lambda tree: not _asks_presence(tree)),
    case=facts(),
    more=fact_values(NAMES),
)
def test_a_known_answer_survives_more_facts(tree: Tree, case: Facts, more: dict[str, Value]) -> None:
    """Without has(), facts that were missing can only turn unknown into an answer, never an answer over."""
    condition = compiled(tree)
    before = condition.test(case)
    after = condition.test(Facts(values={**more, **case.values}, chain=case.chain, now=case.now))
    assert before in (1, after)


LAWS = [
    ("!({a} && {b})", "!({a}) || !({b})"),
    ("!({a} || {b})", "!({a}) && !({b})"),
    ("!(!({a}))", "{a}"),
    ("({a}) && ({b})", "({b}) && ({a})"),
    ("({a}) || ({b})", "({b}) || ({a})"),
    ("(({a}) && ({b})) && ({c})", "({a}) && (({b}) && ({c}))"),
    ("({a}) && (({b}) || ({c}))", "(({a}) && ({b})) || (({a}) && ({c}))"),
    ("({a}) || (({b}) && ({c}))", "(({a}) || ({b})) && (({a}) || ({c}))"),
    ("({a}) && (({a}) || ({b}))", "{a}"),
    ("({a}) ? ({b}) : ({b})", "{b}"),
    ("({a}) == ({b})", "({b}) == ({a})"),
    ("({a}) != ({b})", "!(({a}) == ({b}))"),
]


@FEW
@given(
    law=st.sampled_from(LAWS),
    parts=st.tuples(*[conditions(NAMES, depth=2)] * 3),
    case=facts(),
)
def test_kleene_laws(law: tuple[str, str], parts: tuple[str, str, str], case: Facts) -> None:
    """De Morgan, commutativity, associativity, distributivity, absorption, double negation."""
    a, b, c = parts
    found = []
    for side in law:
        source = side.format(a=f"({a})", b=f"({b})", c=f"({c})")
        try:
            found.append(compile_condition(source, names=NAMES).test(case))
        except ConditionInvalid as invalid:
            assume({error.code for error in invalid.errors} - CONSTANT_CODES)
            raise
    assert found[0] == found[1]


@FEW
@given(source=st.text(max_size=60) | st.text("abx.()[]!&|?:=<>+-*/%,\"' \n\\0123456789r", max_size=200))
def test_any_text_is_a_condition_or_invalid(source: str) -> None:
    """Random text raises nothing but ConditionInvalid, whose errors lie in the text and say something."""
    for error in errors_of(source):
        assert 0 <= error.offset <= error.offset + error.length <= max(len(source), error.offset)
        assert error.code
        assert error.message


@FEW
@given(
    source=conditions(NAMES), where=st.integers(0, 5000), what=st.sampled_from("()[].,!&|=<>+-*/%?:\"'x1 \0é")
)
def test_damaged_conditions_are_refused_or_mean_something(source: str, where: int, what: str) -> None:
    """One character put in or taken out never leads to another error than ConditionInvalid."""
    place = where % (len(source) + 1)
    for damaged in (source[:place] + what + source[place:], source[:place] + source[place + 1 :]):
        if not errors_of(damaged):
            found = compile_condition(damaged, names=NAMES)
            assert found.test(Facts(values={}, chain=ChainHistory("", ""), now=NOW)) in (0, 1, 2)


@FEW
@given(tree=condition_trees(NAMES), case=facts(), data=st.data())
def test_facts_of_wrong_types_never_raise(tree: Tree, case: Facts, data: st.DataObject) -> None:
    """A reader's mistake makes a condition unknown or leaves it alone, and raises nothing."""
    condition = compiled(tree)
    strange = st.sampled_from([None, 1.5, "text", (), (None,), ({},), {}, object(), -1, True])
    values: dict[str, Any] = {name: data.draw(strange) for name in sorted(condition.names)}
    verdict = condition.evaluate(Facts(values={**case.values, **values}, chain=case.chain, now=NOW))
    assert verdict.truth in Truth
