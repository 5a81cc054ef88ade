"""Conditions whose leaves are given outright, and an oracle for them that shares nothing with the engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from controls.model.chain import ChainHistory
from controls.model.condition import Facts, Truth, Verdict
from controls.model.finding import Effect, Text
from controls.rules.formula import And, Constant, Formula, Leaf, Not, Or
from controls.rules.rule import CompiledCondition, Rule

ACTION = "order.approve"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ERROR = 3  # a leaf's fact may say 0, 1, 2 or this: unknown because of an error


@dataclass(frozen=True)
class SyntheticLeaf:
    """A leaf that reads its truth from the fact of its own name; without the fact it is unknown."""

    source: str

    def test(self, facts: Facts) -> int:
        value = facts.values.get(self.source, 1)
        assert isinstance(value, int)
        return 1 if value == ERROR else value

    def evaluate(self, facts: Facts) -> Verdict:
        value = facts.values.get(self.source, 1)
        if value == ERROR:
            return Verdict(Truth.UNKNOWN, error=f"{self.source} went wrong")
        if value == 1:
            return Verdict(Truth.UNKNOWN, missing=(self.source,))
        assert isinstance(value, int)
        return Verdict(Truth(value), read={self.source: value})


@dataclass(frozen=True)
class SyntheticCondition:
    """A condition over synthetic leaves, evaluated by the oracle."""

    formula: Formula
    source: str = "synthetic"
    names: frozenset[str] = frozenset()

    def test(self, facts: Facts) -> int:
        return oracle(self.formula, facts).truth

    def evaluate(self, facts: Facts) -> Verdict:
        return oracle(self.formula, facts)


def oracle(formula: Formula, facts: Facts) -> Verdict:
    """Kleene's tables, written as plainly as they can be."""
    if isinstance(formula, Leaf):
        return formula.condition.evaluate(facts)
    if isinstance(formula, Constant):
        return Verdict(formula.truth)
    if isinstance(formula, Not):
        inner = oracle(formula.part, facts)
        return replace(inner, truth=Truth(2 - inner.truth))
    parts = [oracle(part, facts) for part in formula.parts]
    truths = [part.truth for part in parts]
    truth = min(truths, default=Truth.TRUE) if isinstance(formula, And) else max(truths, default=Truth.FALSE)
    return Verdict(
        truth,
        read={name: value for part in parts for name, value in part.read.items()},
        missing=tuple(dict.fromkeys(name for part in parts for name in part.missing)),
        error="; ".join(part.error for part in parts if part.error),
    )


def leaf(name: str) -> Leaf:
    return Leaf(name, SyntheticLeaf(name))


def leaves(count: int, *, prefix: str = "leaf") -> tuple[Leaf, ...]:
    return tuple(leaf(f"{prefix}{number}") for number in range(count))


def facts_of(values: Mapping[str, int], *, now: datetime = NOW) -> Facts:
    return Facts(values, ChainHistory("order", "o-1"), now)


def all_facts(names: Sequence[Leaf], truth: int) -> Facts:
    return facts_of({item.key: truth for item in names})


def a_rule(formula: Formula, *, id: str = "rule", on: tuple[str, ...] = (ACTION,)) -> Rule:
    condition: CompiledCondition = SyntheticCondition(formula)
    return Rule(
        id=id,
        version="1",
        title=Text(en=f"Rule {id}", es=f"Regla {id}"),
        on=on,
        condition=condition,
        then=Effect.DENY,
        message=Text(en="It fired", es="Se disparó"),
    )


def formula_from(program: bytes, *, names: Sequence[Leaf]) -> Formula:
    """A formula from bytes, by a stack machine: cheap to generate, and shorter bytes are smaller formulas."""
    stack: list[Formula] = []
    for byte in program:
        if byte < 130 or not stack:
            stack.append(names[byte % len(names)])
        elif byte < 160:
            stack.append(Not(stack.pop()))
        elif byte < 250:
            count = 2 + byte % 5
            parts, stack = tuple(stack[-count:]), stack[:-count]
            stack.append(And(parts) if byte < 205 else Or(parts))
        else:
            stack.append(Constant(Truth(byte % 3)))
    return And(tuple(stack)) if len(program) % 2 else Or(tuple(stack))
