"""Lowering keeps a formula's meaning and stays within the limits of the C engine."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.model.condition import Truth
from controls.rules import lowering
from controls.rules.formula import And, Constant, Formula, Leaf, Not, Or
from controls.rules.lowering import Lowered, Shard, leaves_of, lower
from tests.rules.synthetic import facts_of, formula_from, leaves, oracle

A, B, C, D = leaves(4)


def lowered_truth(lowered: Lowered, *, truths: bytes, rule: int = 0) -> int:
    """What an engine that understands conjuncts makes of one rule."""
    truths += bytes([composite(truths) for composite in lowered.composites])

    def value(literal: int) -> int:
        return 2 - truths[literal // 2] if literal % 2 else truths[literal // 2]

    def fires(shards: tuple[Shard, ...], *, at_least: int) -> bool:
        return any(
            clause.rule == rule and all(value(literal) >= at_least for literal in clause.literals)
            for shard in shards
            for clause in shard.clauses
        )

    if fires(lowered.true, at_least=2):
        return 2
    return 1 if fires(lowered.possible, at_least=1) else 0


def clauses(shards: tuple[Shard, ...]) -> list[tuple[int, ...]]:
    return [clause.literals for shard in shards for clause in shard.clauses]


def assert_same_truth(formula: Formula, names: tuple[Leaf, ...], lowered: Lowered) -> None:
    for truths in product((0, 1, 2), repeat=len(names)):
        wanted = oracle(
            formula, facts_of({item.key: truth for item, truth in zip(names, truths, strict=True)})
        )
        assert lowered_truth(lowered, truths=bytes(truths)) == wanted.truth, truths


def test_disjunctions_become_conjuncts() -> None:
    """`a && (b || !c)` is two conjuncts, and the negation is an attribute of its own."""
    lowered = lower([And((A, Or((B, Not(C)))))], leaves=(A, B, C))
    assert clauses(lowered.true) == [(0, 2), (0, 5)]
    assert clauses(lowered.possible) == [(0, 2), (0, 5)]
    assert lowered.composites == ()


def test_an_unknown_constant_is_possible_and_never_true() -> None:
    """A conjunct with an unknown constant is left out of the true form and stays in the possible one."""
    lowered = lower([And((A, Constant(Truth.UNKNOWN)))], leaves=(A,))
    assert clauses(lowered.true) == []
    assert clauses(lowered.possible) == [(0,)]
    assert lowered.always_possible


def test_implied_conjuncts_are_absorbed() -> None:
    """`a || (a && b)` is `a`."""
    assert clauses(lower([Or((And((A, B)), A))], leaves=(A, B)).true) == [(0,)]


def test_a_contradiction_is_still_possible() -> None:
    """`a && !a` is unknown when `a` is: nothing may be simplified as if logic had two values."""
    assert_same_truth(And((A, Not(A))), (A,), lower([And((A, Not(A)))], leaves=(A,)))


@given(st.binary(min_size=1, max_size=40))
def test_lowered_formulas_keep_their_truth(program: bytes) -> None:
    """For every assignment of the three truths to five leaves, both forms mean what the formula means."""
    names = leaves(5)
    formula = formula_from(program, names=names)
    assert_same_truth(formula, names, lower([formula], leaves=names))


@given(st.binary(min_size=1, max_size=40))
def test_lowered_formulas_keep_their_truth_past_the_limits(program: bytes) -> None:
    """The same with limits so low that most sub-formulas become composites."""
    names = leaves(5)
    formula = formula_from(program, names=names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lowering, "MAX_CONJUNCTS", 2)
        patch.setattr(lowering, "MAX_LITERALS", 2)
        patch.setattr(lowering, "SHARD_CONJUNCTS", 2)
        patch.setattr(lowering, "SHARD_ATTRIBUTES", 3)
        lowered = lower([formula], leaves=names)
    assert all(len(literals) <= 2 for literals in clauses(lowered.true))
    assert all(len(shard.clauses) <= 2 and len(shard.literals) <= 3 for shard in lowered.possible)
    assert_same_truth(formula, names, lowered)


def test_a_conjunction_of_disjunctions_stays_within_the_conjunct_limit() -> None:
    """Ten disjunctions of three would be 59,049 conjuncts: all but some become composites."""
    names = leaves(30)
    formula = And(tuple(Or(names[start : start + 3]) for start in range(0, 30, 3)))
    lowered = lower([formula], leaves=names)
    assert 1 < len(clauses(lowered.true)) <= lowering.MAX_CONJUNCTS
    assert lowered.composites
    for truths in (bytes([2, 0, 0] * 10), bytes([1, 0, 2] * 9 + [0, 0, 1]), bytes([2] * 27 + [0] * 3)):
        wanted = min(max(truths[start : start + 3]) for start in range(0, 30, 3))
        assert lowered_truth(lowered, truths=truths) == wanted


def test_a_conjunction_of_too_many_leaves_becomes_one_composite() -> None:
    """25 leaves in one conjunct are one more than a conjunct may hold."""
    names = leaves(25)
    lowered = lower([And(names)], leaves=names)
    assert clauses(lowered.true) == [(50,)]
    assert lowered_truth(lowered, truths=bytes([2] * 24 + [1])) == 1


def test_a_disjunction_of_too_many_leaves_becomes_one_composite() -> None:
    """65 conjuncts are one more than a rule may have."""
    names = leaves(65)
    lowered = lower([Or(names)], leaves=names)
    assert clauses(lowered.true) == [(130,)]
    assert lowered_truth(lowered, truths=bytes([0] * 64 + [2])) == 2


def test_equal_composites_are_computed_once() -> None:
    """Two rules with the same sub-formula past the limits share its attribute."""
    names = leaves(65)
    lowered = lower([Or(names), And((names[0], Or(names))), Not(Or(names))], leaves=names)
    assert len(lowered.composites) == 1


def test_shards_hold_at_most_sixty_conjuncts() -> None:
    """130 rules of one conjunct make shards of 60, 60 and 10."""
    names = leaves(130)
    lowered = lower(names, leaves=names)
    assert [len(shard.clauses) for shard in lowered.true] == [60, 60, 10]


def test_shards_hold_at_most_two_hundred_attributes() -> None:
    """Twenty rules of 24 leaves each need 480 attributes, so three shards of 192, 192 and 96."""
    names = leaves(480)
    formulas = [And(names[start : start + 24]) for start in range(0, 480, 24)]
    lowered = lower(formulas, leaves=names)
    assert [len(shard.literals) for shard in lowered.true] == [192, 192, 96]


def test_leaves_are_told_apart_by_key() -> None:
    """The same key in two places is one leaf."""
    again = leaves(1)[0]
    assert leaves_of([And((A, Not(B))), Or((again, C))]) == (A, B, C)
