"""The generated function of an action says what Kleene's tables say, and computes no more than it must."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.condition import Facts, Truth, Verdict
from controls.rules.condition import Names, compile_condition
from controls.rules.engine_errors import EngineFailure
from controls.rules.formula import And, Constant, Formula, Leaf, Not, Or
from controls.rules.generated import GeneratedEvaluator
from controls.rules.lowering import leaves_of
from controls.rules.reference import kleene
from controls.rules.types import INT, list_of
from tests.rules.synthetic import NOW, SyntheticLeaf, facts_of, formula_from, leaves

NAMES = leaves(8)


@dataclass(frozen=True)
class CountedLeaf(SyntheticLeaf):
    """A synthetic leaf that counts how often it was computed."""

    counts: Counter[str]

    def test(self, facts: Facts) -> int:
        self.counts[self.source] += 1
        return super().test(facts)


def counted(formula: Formula, counts: Counter[str]) -> Formula:
    match formula:
        case Leaf(key=key):
            return Leaf(key, CountedLeaf(key, counts))
        case And(parts=parts):
            return And(tuple(counted(part, counts) for part in parts))
        case Or(parts=parts):
            return Or(tuple(counted(part, counts) for part in parts))
        case Not(part=part):
            return Not(counted(part, counts))
        case Constant():
            return formula


@given(
    programs=st.lists(st.binary(min_size=1, max_size=24), min_size=1, max_size=6),
    truths=st.lists(st.integers(0, 2), min_size=len(NAMES), max_size=len(NAMES)),
)
def test_it_says_what_kleene_says(programs: list[bytes], truths: list[int]) -> None:
    """For formulas that share leaves; what was computed suffices, and nothing was computed twice."""
    counts: Counter[str] = Counter()
    formulas = [counted(formula_from(program, names=NAMES), counts) for program in programs]
    found = leaves_of(formulas)
    index = {leaf.key: number for number, leaf in enumerate(found)}
    facts = facts_of({leaf.key: truth for leaf, truth in zip(NAMES, truths, strict=True)})
    told, known = GeneratedEvaluator(formulas, leaves=found).evaluate(facts)
    asked = set(counts)
    assert max(counts.values(), default=1) == 1
    everything = bytes(facts.values[leaf.key] for leaf in found)  # type: ignore[misc]
    assert told == bytes(kleene(formula, index=index)(everything) for formula in formulas)
    assert told == bytes(kleene(formula, index=index)(known) for formula in formulas)
    assert known == bytes(
        truth if leaf.key in asked else 1 for leaf, truth in zip(found, everything, strict=True)
    )


@pytest.mark.parametrize(
    ("formula", "truth"),
    [(And(()), 2), (Or(()), 0), (Not(And(())), 0), *((Constant(truth), truth) for truth in Truth)],
)
def test_formulas_without_leaves(formula: Formula, truth: int) -> None:
    """As the tables of decision tables have them."""
    assert GeneratedEvaluator([formula], leaves=()).evaluate(facts_of({})) == (bytes([truth]), b"")


def test_deep_formulas_compile() -> None:
    """As deep as a condition may be (32 levels)."""
    (a, b, *_) = NAMES
    formula: Formula = a
    for _ in range(11):
        formula = Not(And((b, Or((formula, b)))))
    evaluator = GeneratedEvaluator([formula], leaves=leaves_of([formula]))
    index = {leaf.key: number for number, leaf in enumerate(leaves_of([formula]))}
    for one in range(3):
        for other in range(3):
            told, _ = evaluator.evaluate(facts_of({a.key: one, b.key: other}))
            assert told[0] == kleene(formula, index=index)(
                bytes([other, one] if index[b.key] == 0 else [one, other])
            )


class NoTruth(SyntheticLeaf):
    def test(self, facts: Facts) -> int:
        return 7

    def evaluate(self, facts: Facts) -> Verdict:
        raise AssertionError("not asked for reasons")


def test_what_is_no_truth_is_refused() -> None:
    """A leaf that answers nonsense fails the request."""
    leaf = Leaf("a", NoTruth("a"))
    with pytest.raises(EngineFailure, match="neither false, unknown nor true"):
        GeneratedEvaluator([leaf], leaves=(leaf,)).evaluate(facts_of({}))


def test_facts_of_other_types_are_unknown_and_spoil_nothing_else() -> None:
    """A list whose elements are not of the vocabulary's type makes its own leaf unknown only."""
    names = Names(facts={"order.days": list_of(INT), "order.lots": INT})
    condition = compile_condition("order.days.exists(day, day > 3) || order.lots > 5", names=names)
    evaluator = GeneratedEvaluator([condition.formula], leaves=leaves_of([condition.formula]))
    for lots, truth in ((9, 2), (1, 1)):
        facts = Facts({"order.days": ("mistyped",), "order.lots": lots}, facts_of({}).chain, NOW)
        told, known = evaluator.evaluate(facts)
        assert (told, known) == (bytes([truth]), bytes([1, 2 if lots == 9 else 0]))
