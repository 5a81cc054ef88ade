"""A formula in plain Python: Kleene's tables applied to it as it was written.

Guarantees: no lowering, no index, no state. It is what generated functions are held against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Protocol, TypeAlias

from controls.model.condition import Truth
from controls.rules.formula import And, Constant, Formula, Leaf, Not, Or


class Truths(Protocol):
    """The truths of leaves by number, each 0 (false), 1 (unknown) or 2 (true)."""

    def __getitem__(self, number: int, /) -> int: ...


Kleene: TypeAlias = Callable[[Truths], int]


def kleene(formula: Formula, *, index: Mapping[str, int]) -> Kleene:
    """A function from the truths of leaves to the truth of `formula`.

    Args:
        formula: the formula as the author wrote it.
        index: where each leaf's truth stands among the truths of leaves, by `Leaf.key`.
    """
    match formula:
        case Leaf(key=key):
            return itemgetter(index[key])
        case Constant(truth=truth):
            return _constant(truth)
        case Not(part=part):
            return _negation(kleene(part, index=index))
        case And(parts=parts):
            return _conjunction(tuple(kleene(part, index=index) for part in parts))
        case Or(parts=parts):
            return _disjunction(tuple(kleene(part, index=index) for part in parts))


def _constant(truth: Truth) -> Kleene:
    value = int(truth)
    return lambda leaves: value


def _negation(part: Kleene) -> Kleene:
    return lambda leaves: 2 - part(leaves)


def _conjunction(parts: tuple[Kleene, ...]) -> Kleene:
    def lowest(leaves: Truths) -> int:
        result = 2
        for part in parts:
            truth = part(leaves)
            if truth < result:
                if not truth:
                    return 0
                result = truth
        return result

    return lowest


def _disjunction(parts: tuple[Kleene, ...]) -> Kleene:
    def highest(leaves: Truths) -> int:
        result = 0
        for part in parts:
            truth = part(leaves)
            if truth > result:
                if truth == 2:
                    return 2
                result = truth
        return result

    return highest
