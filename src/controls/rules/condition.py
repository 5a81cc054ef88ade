"""Condition text -> something that evaluates itself and shows its formula. The public face of the language.

Guarantees: `compile_condition` raises `ConditionInvalid` or gives a total condition: `evaluate` and `test`
never raise, read nothing but the facts, and always agree with Kleene's tables over the formula's leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, cast

from controls.model.condition import Facts, Truth, Verdict
from controls.model.values import Value
from controls.rules.calls import Checker
from controls.rules.dates import calendars_of
from controls.rules.evaluate import compiled, connected, negated
from controls.rules.folding import Folder
from controls.rules.formula import And, Constant, Formula, Leaf, Not, Or
from controls.rules.inlined import Inlined, inlined
from controls.rules.literals import parse_money
from controls.rules.lookups import walked_too_long
from controls.rules.reading import Recording, Run, Unknown
from controls.rules.scope import RESERVED_NAMES, Names
from controls.rules.syntax import ConditionError, ConditionInvalid, Node, parse
from controls.rules.tree import Constant as ConstantNode
from controls.rules.tree import (
    Logic,
    Negation,
    Typed,
    cells_of,
    data_of,
    facts_of,
    is_text,
    key_of,
    parameters_of,
)
from controls.rules.types import BOOL, DECIMAL, INT, MONEY, Kind, ValueType

__all__ = [
    "RESERVED_NAMES",
    "CompiledExpression",
    "CompiledTest",
    "ConditionError",
    "ConditionInvalid",
    "Names",
    "Unknown",
    "WholeCondition",
    "compile_condition",
    "compile_expression",
    "condition_of",
    "condition_of_tree",
]

_NOTHING_TO_SAY: Final = Verdict(Truth.FALSE)


@dataclass(slots=True, unsafe_hash=True)
class CompiledTest:
    """A part of a condition, or all of it. Two with equal keys have equal meaning."""

    key: str
    source: str = field(compare=False)
    names: frozenset[str] = field(compare=False)  # facts it may read
    run: Run = field(compare=False, repr=False)
    inline: Inlined | None = field(default=None, compare=False, repr=False, kw_only=True)

    def test(self, facts: Facts) -> int:
        """The truth as 0 (false), 1 (unknown) or 2 (true)."""
        try:
            found = self.run(facts, ())
        except BAD_FACTS:
            # Elements of lists are not looked at one by one before; `evaluate` says what is wrong with them.
            return 1
        return 2 if found is True else 0 if found is False else 1

    def evaluate(self, facts: Facts) -> Verdict:
        """The truth with its reasons.

        FALSE has none: nothing fired. `read` holds the facts and the cells of tables that were looked at and
        present. `missing` and `error` are set for UNKNOWN only, and only by what kept the answer from being
        known.
        """
        if self.test(facts) == 0:
            return _NOTHING_TO_SAY
        values = Recording(facts.values)
        try:
            recording = Facts(
                values=values, chain=facts.chain, now=facts.now, gaps=facts.gaps, later=facts.later
            )
            found = self.run(recording, ())
        except BAD_FACTS as problem:
            found = Unknown((), f"the facts are not of the vocabulary's types: {problem}")
        if isinstance(found, Unknown):
            return Verdict(Truth.UNKNOWN, read=values.read, missing=found.missing, error=found.error)
        return Verdict(Truth.TRUE, read=values.read)


@dataclass(slots=True, unsafe_hash=True)
class WholeCondition(CompiledTest):
    """A whole condition with its formula, its tree, and the parameters and calendars that its text mentions.

    `cells`: the cells of tables that a verdict may quote. `data`: the lists and columns of tables that the
    text mentions, with the digests of what they hold.
    """

    formula: Formula = field(compare=False)
    parameters: frozenset[str] = field(compare=False)
    calendars: frozenset[str] = field(compare=False)
    cells: frozenset[str] = field(compare=False)
    data: Mapping[str, str] = field(compare=False)
    tree: Typed = field(compare=False, repr=False)


@dataclass(slots=True, unsafe_hash=True)
class CompiledExpression:
    """A computed value. Two with equal keys have equal meaning."""

    key: str
    source: str = field(compare=False)
    type: ValueType = field(compare=False)
    names: frozenset[str] = field(compare=False)  # facts it may read
    parameters: frozenset[str] = field(compare=False)
    data: Mapping[str, str] = field(compare=False)  # as in `WholeCondition`
    run: Run = field(compare=False, repr=False)

    def evaluate(self, facts: Facts) -> Value | Unknown:
        """The value, or what was missing and what could not be computed. Never raises."""
        try:
            found = self.run(facts, ())
        except BAD_FACTS as problem:
            return Unknown((), f"the facts are not of the vocabulary's types: {problem}")
        if isinstance(found, tuple):
            for item in found:
                if isinstance(item, Unknown):
                    return item
        return found if isinstance(found, Unknown) else _widened(cast(Value, found), self.type)


# What Python raises for operands of a wrong class: elements of a list that the vocabulary reader let through.
BAD_FACTS: Final = (TypeError, ValueError, AttributeError, ArithmeticError)


def compile_condition(source: str, *, names: Names) -> WholeCondition:
    """The condition that `source` says.

    Args:
        source: the text, in the language of the module `syntax`.
        names: the facts, parameters and steps that it may mention.

    Raises:
        ConditionInvalid: with all errors; offsets count characters of `source` from 0.
    """
    typed = _checked(parse(source), names)
    if typed.type != BOOL:
        message = f"a condition is true or false; this is {typed.type}: compare it with something"
        raise ConditionInvalid(
            [ConditionError(typed.start, typed.end - typed.start, "not_a_condition", message)]
        )
    return condition_of_tree(typed, source=source)


def condition_of_tree(typed: Typed, *, source: str) -> WholeCondition:
    """The condition that a checked tree of `source` makes.

    Raises:
        ConditionInvalid: it is decided by its constants, or one of them cannot be computed.
    """
    folder = Folder()
    folded = folder.fold(typed)
    folder.decided(folded)
    formula = _formula(folded, source, {})
    if isinstance(formula, Constant) and not folder.errors:
        word = "true" if formula.truth is Truth.TRUE else "false"
        message = f"the parameters make this always {word}"
        folder.errors.append(ConditionError(0, len(source), "constant_condition", message))
    if folder.errors:
        raise ConditionInvalid(folder.errors)
    return condition_of(
        formula,
        source=source,
        parameters=parameters_of(typed),
        cells=cells_of(typed),
        data=data_of(typed),
        calendars=calendars_of(typed),
        tree=typed,
    )


def condition_of(
    formula: Formula,
    *,
    source: str,
    tree: Typed,
    parameters: frozenset[str] = frozenset(),
    cells: frozenset[str] = frozenset(),
    data: Mapping[str, str],
    calendars: frozenset[str] = frozenset(),
) -> WholeCondition:
    """The condition that has a formula over compiled leaves; the rest is as in `WholeCondition`."""
    leaves = {leaf.key: leaf for leaf in _leaves(formula)}
    facts = frozenset(name for leaf in leaves.values() for name in cast(CompiledTest, leaf.condition).names)
    return WholeCondition(
        key=_formula_key(formula),
        source=source,
        names=facts,
        run=_formula_run(formula),
        formula=formula,
        parameters=parameters,
        cells=cells,
        data=data,
        calendars=calendars,
        tree=tree,
    )


def compile_expression(source: str, *, names: Names, expect: ValueType | None = None) -> CompiledExpression:
    """The value that `source` computes; it may be a constant.

    Args:
        source: the text.
        names: what it may mention.
        expect: the type it must have; a whole number will do for a decimal, and text for money.

    Raises:
        ConditionInvalid: with all errors.
    """
    typed = _checked(parse(source), names)
    wanted = typed.type if expect is None else expect
    if wanted == MONEY and is_text(typed):
        typed = _money(typed)
    if typed.type != wanted and (typed.type, wanted) != (INT, DECIMAL):
        message = f"{wanted} is wanted here, and this is {typed.type}"
        raise ConditionInvalid([ConditionError(typed.start, typed.end - typed.start, "wrong_type", message)])
    folder = Folder()
    folded = folder.fold(typed)
    if folder.errors:
        raise ConditionInvalid(folder.errors)
    return CompiledExpression(
        key=key_of(folded),
        source=source,
        type=wanted,
        names=facts_of(folded),
        parameters=parameters_of(typed),
        data=data_of(typed),
        run=compiled(folded),
    )


def _checked(tree: Node, names: Names) -> Typed:
    checker = Checker(names)
    typed = checker.check(tree)
    for name in sorted(names.parameters.keys() & RESERVED_NAMES):
        checker.errors.append(ConditionError(0, 0, "name_taken", f"a parameter cannot be called `{name}`"))
    if typed is not None:
        checker.errors += walked_too_long(typed)
    if checker.errors or typed is None:
        raise ConditionInvalid(checker.errors)
    return typed


def _money(text: Typed) -> Typed:
    assert isinstance(text, ConstantNode)
    try:
        value = parse_money(str(text.value))
    except ValueError as problem:
        error = ConditionError(text.start, text.end - text.start, "bad_literal", str(problem))
        raise ConditionInvalid([error]) from None
    return ConstantNode(type=MONEY, start=text.start, end=text.end, value=value)


def _formula(node: Typed, source: str, leaves: dict[str, Leaf]) -> Formula:
    """The boolean skeleton of `node`: constants are gone, and what is no connective is a leaf."""
    match node:
        case ConstantNode(value=value):
            return Constant(Truth.TRUE if value else Truth.FALSE)
        case Logic(every=every, parts=parts):
            return _connective([_formula(part, source, leaves) for part in parts], every=every)
        case Negation(part=part):
            inner = _formula(part, source, leaves)
            if isinstance(inner, Constant):
                return Constant(Truth(2 - inner.truth))
            return inner.part if isinstance(inner, Not) else Not(inner)
        case _:
            key = key_of(node)
            if key not in leaves:
                text = source[node.start : node.end]
                test = CompiledTest(key, text, facts_of(node), compiled(node), inline=inlined(node))
                leaves[key] = Leaf(key, test)
            return leaves[key]


def _connective(parts: list[Formula], *, every: bool) -> Formula:
    decisive = Truth.FALSE if every else Truth.TRUE
    kept: dict[Formula, None] = {}  # in order, without repetitions
    for part in parts:
        if isinstance(part, Constant):
            if part.truth is decisive:
                return part
        elif isinstance(part, And if every else Or):
            kept.update(dict.fromkeys(part.parts))
        else:
            kept[part] = None
    if not kept:
        return Constant(Truth.TRUE if every else Truth.FALSE)
    if len(kept) == 1:
        return next(iter(kept))
    return And(tuple(kept)) if every else Or(tuple(kept))


def _leaves(formula: Formula) -> Iterator[Leaf]:
    match formula:
        case Leaf():
            yield formula
        case And(parts=parts) | Or(parts=parts):
            for part in parts:
                yield from _leaves(part)
        case Not(part=part):
            yield from _leaves(part)
        case Constant():
            return


def _formula_run(formula: Formula) -> Run:
    match formula:
        case Leaf(condition=condition):
            return cast(CompiledTest, condition).run
        case And(parts=parts):
            return connected([_formula_run(part) for part in parts], every=True)
        case Or(parts=parts):
            return connected([_formula_run(part) for part in parts], every=False)
        case Not(part=part):
            return negated(_formula_run(part))
        case Constant(truth=truth):  # a row of a decision table that takes anything
            value = truth is Truth.TRUE
            return lambda _facts, _variables: value


def _formula_key(formula: Formula) -> str:
    match formula:
        case Leaf(key=key):
            return key
        case And(parts=parts):
            return f"({' && '.join(map(_formula_key, parts))})"
        case Or(parts=parts):
            return f"({' || '.join(map(_formula_key, parts))})"
        case Not(part=part):
            return f"!{_formula_key(part)}"
        case Constant(truth=truth):
            return truth.name.lower()


def _widened(value: Value, type_: ValueType) -> Value:
    """`value` as the type says: whole numbers that stand among decimals are decimals."""
    if type_ == DECIMAL and isinstance(value, int):
        return Decimal(value)
    if type_.kind is Kind.LIST and isinstance(value, tuple) and type_.element is not None:
        element = type_.element
        return tuple(_widened(item, element) for item in value)
    return value
