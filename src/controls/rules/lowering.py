"""Formulas -> shards of AND-only conjuncts over attributes 0/1/2, within what durable-rules is trusted with.

Guarantees, for every assignment of truths to leaves:
- a rule is TRUE exactly when every literal of one of its TRUE conjuncts is 2, and at least UNKNOWN exactly
  when every literal of one of its POSSIBLE conjuncts is 1 or 2 (Kleene's tables);
- a rule has at most 64 conjuncts of a form, a conjunct at most 24 literals, a shard at most 60 conjuncts
  and 200 attributes. A sub-formula that would pass a limit becomes one literal, computed by Kleene in Python.

Negation stays out of the engine: `not leaf` is an attribute of its own whose value is 2 - leaf. So every
test is for a value of 1 or 2, and an attribute whose value is 0 need not be handed over at all: an absent
attribute fails its tests just as 0 does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, TypeAlias

from controls.model.condition import Truth
from controls.rules.formula import And, Constant, Formula, Leaf, Not, Or
from controls.rules.reference import Kleene, kleene

MAX_CONJUNCTS: Final = 64  # of one rule in one form, after expansion of its disjunctions
MAX_LITERALS: Final = 24  # in one conjunct
SHARD_CONJUNCTS: Final = 60  # below the 64 matching siblings at which the C engine gives up (error 303)
SHARD_ATTRIBUTES: Final = 200  # below the 252 properties that the C engine accepts (error 302)

# A literal is 2 * n for the attribute number n itself and 2 * n + 1 for its negation.
Literal: TypeAlias = int
Conjunct: TypeAlias = frozenset[Literal]
Shape: TypeAlias = "int | tuple[str | Shape, ...]"

_UNKNOWN: Final[Literal] = -1  # the constant: possible, and never true


@dataclass(frozen=True, slots=True)
class Clause:
    """One conjunct, its literals in rising order, and the position of the rule that it makes speak."""

    rule: int
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Shard:
    """Clauses that one C rule set may hold, and the literals whose values it must be given."""

    clauses: tuple[Clause, ...]
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Lowered:
    """The rules of one action, ready for durable-rules.

    Attribute n is leaf n, or the composite n - number of leaves. `possible` shards say something new only
    when an attribute is 1 or when `always_possible` (a constant is UNKNOWN): otherwise every value is 0 or
    2, and `true` and `possible` conjuncts are satisfied together.
    """

    true: tuple[Shard, ...]
    possible: tuple[Shard, ...]
    composites: tuple[Kleene, ...]
    always_possible: bool


def leaves_of(formulas: Iterable[Formula]) -> tuple[Leaf, ...]:
    """Every leaf once, by its key, in the order of first appearance."""
    found: dict[str, Leaf] = {}

    def walk(formula: Formula) -> None:
        match formula:
            case Leaf(key=key):
                found.setdefault(key, formula)
            case And(parts=parts) | Or(parts=parts):
                for part in parts:
                    walk(part)
            case Not(part=part):
                walk(part)
            case Constant():
                pass

    for formula in formulas:
        walk(formula)
    return tuple(found.values())


def lower(formulas: Sequence[Formula], *, leaves: Sequence[Leaf]) -> Lowered:
    """The shards of the rules whose formulas are given; `leaves` must hold every leaf of theirs."""
    lowering = _Lowering(leaves)
    true: list[Clause] = []
    possible: list[Clause] = []
    always_possible = False
    for rule, formula in enumerate(formulas):
        for conjunct in lowering.conjuncts(formula, negated=False):
            if _UNKNOWN in conjunct:
                always_possible = True
            else:
                true.append(Clause(rule, tuple(sorted(conjunct))))
            possible.append(Clause(rule, tuple(sorted(conjunct - {_UNKNOWN}))))
    return Lowered(_shards(true), _shards(possible), tuple(lowering.composites), always_possible)


class _Lowering:
    """Numbers leaves and composites while formulas are expanded."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._index = {leaf.key: number for number, leaf in enumerate(leaves)}
        self._composite: dict[Shape, int] = {}
        self.composites: list[Kleene] = []

    def conjuncts(self, formula: Formula, *, negated: bool) -> tuple[Conjunct, ...]:
        """The disjunction of conjuncts that equals `formula`, or its negation, in Kleene's logic."""
        match formula:
            case Leaf(key=key):
                return (frozenset((2 * self._index[key] + negated,)),)
            case Constant(truth=truth):
                return _of_constant(2 - truth if negated else truth)
            case Not(part=part):
                return self.conjuncts(part, negated=not negated)
            case And(parts=parts) | Or(parts=parts):
                together = isinstance(formula, And) != negated  # De Morgan
                return self._combined(formula, parts, negated=negated, together=together)

    def _combined(
        self, formula: Formula, parts: tuple[Formula, ...], *, negated: bool, together: bool
    ) -> tuple[Conjunct, ...]:
        expanded = [self.conjuncts(part, negated=negated) for part in parts]
        while True:
            combined = _product(expanded) if together else _absorbed(chain.from_iterable(expanded))
            if combined is not None:
                return combined
            # Past the limits: the widest part becomes one literal, or the whole if every part is one.
            widest = max(range(len(parts)), key=lambda position: _size(expanded[position]))
            if _size(expanded[widest]) == (1, 1):
                return self._as_composite(formula, negated=negated)
            expanded[widest] = self._as_composite(parts[widest], negated=negated)

    def _as_composite(self, formula: Formula, *, negated: bool) -> tuple[Conjunct, ...]:
        shape = self._shape(formula)
        if shape not in self._composite:
            self._composite[shape] = len(self._index) + len(self.composites)
            self.composites.append(kleene(formula, index=self._index))
        return (frozenset((2 * self._composite[shape] + negated,)),)

    def _shape(self, formula: Formula) -> Shape:
        """What tells formulas apart: equal shapes have equal truths. Conditions need not be hashable."""
        match formula:
            case Leaf(key=key):
                return self._index[key]
            case Constant(truth=truth):
                return ("constant", int(truth))
            case Not(part=part):
                return ("not", self._shape(part))
            case And(parts=parts):
                return ("and", *map(self._shape, parts))
            case Or(parts=parts):
                return ("or", *map(self._shape, parts))


def _of_constant(truth: int) -> tuple[Conjunct, ...]:
    if truth == Truth.UNKNOWN:
        return (frozenset((_UNKNOWN,)),)
    return (frozenset(),) if truth == Truth.TRUE else ()


def _size(conjuncts: tuple[Conjunct, ...]) -> tuple[int, int]:
    return len(conjuncts), sum(len(conjunct) for conjunct in conjuncts)


def _product(factors: Iterable[tuple[Conjunct, ...]]) -> tuple[Conjunct, ...] | None:
    """All ways to take one conjunct of every factor; None past the limits."""
    result: tuple[Conjunct, ...] = (frozenset(),)
    for factor in factors:
        product = _absorbed(left | right for left in result for right in factor)
        if product is None:
            return None
        result = product
    return result


def _absorbed(conjuncts: Iterable[Conjunct]) -> tuple[Conjunct, ...] | None:
    """Without conjuncts that imply another one (absorption, a law of Kleene's); None past the limits."""
    kept: list[Conjunct] = []
    for conjunct in sorted(set(conjuncts), key=lambda item: (len(item), sorted(item))):
        if any(other <= conjunct for other in kept):
            continue
        if len(kept) == MAX_CONJUNCTS or len(conjunct) > MAX_LITERALS:
            return None
        kept.append(conjunct)
    return tuple(kept)


def _shards(clauses: Iterable[Clause]) -> tuple[Shard, ...]:
    shards: list[Shard] = []
    members: list[Clause] = []
    literals: set[Literal] = set()
    for clause in clauses:
        widened = literals.union(clause.literals)
        if len(members) == SHARD_CONJUNCTS or len(widened) > SHARD_ATTRIBUTES:
            shards.append(Shard(tuple(members), tuple(sorted(literals))))
            members, widened = [], set(clause.literals)
        members.append(clause)
        literals = widened
    if members:
        shards.append(Shard(tuple(members), tuple(sorted(literals))))
    return tuple(shards)
