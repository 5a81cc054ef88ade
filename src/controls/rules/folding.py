"""Constant parts of a condition, computed at load.

Guarantees: what does not depend on facts, data, the chain or the time is a constant afterwards; a part of a
condition that is decided by what is written there, and a constant that cannot be computed, are errors.
A part that parameters decide is none: a parameter may switch a part off.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from operator import is_
from typing import Final, cast

from controls.model.chain import ChainHistory
from controls.model.condition import Facts
from controls.model.values import Value
from controls.rules.evaluate import compiled
from controls.rules.reading import Unknown
from controls.rules.syntax import ConditionError
from controls.rules.tree import (
    CellRead,
    ChainRead,
    Choice,
    Comparison,
    Constant,
    Conversion,
    FactRead,
    FieldRead,
    ListOf,
    ListRead,
    Logic,
    Macro,
    Membership,
    Negation,
    Now,
    Operation,
    Presence,
    Typed,
    VariableRead,
    children,
    key_of,
    parameters_of,
)
from controls.rules.types import BOOL

_NO_FACTS: Final = Facts(values={}, chain=ChainHistory("", ""), now=datetime(1970, 1, 1, tzinfo=UTC))


class Folder:
    """Folds one condition; `errors` holds what was found wrong."""

    def __init__(self) -> None:
        self.errors: list[ConditionError] = []

    def fold(self, node: Typed, *, around: int = 0) -> Typed:
        """`node` with its constant parts computed; `around` macros stand around it."""
        if isinstance(node, Constant):
            return node
        folded = self._with_folded_parts(node, around)
        if isinstance(folded, Choice) and isinstance(folded.test, Constant):
            return folded.yes if folded.test.value else folded.no
        if _closed(folded, around):
            return self._constant(folded, around)
        if isinstance(folded, Comparison) and key_of(folded.left) == key_of(folded.right):
            self._wrong(folded, "constant_condition", "both sides are the same")
        return folded

    def decided(self, node: Typed) -> None:
        """Note that a condition is decided by what is written there, if it is."""
        if isinstance(node, Constant) and node.type == BOOL and not node.parameters:
            word = "true" if node.value else "false"
            self._wrong(node, "constant_condition", f"this is always {word}: leave it out")

    def _wrong(self, node: Typed, code: str, message: str) -> None:
        self.errors.append(ConditionError(node.start, node.end - node.start, code, message))

    def _with_folded_parts(self, node: Typed, around: int) -> Typed:
        match node:
            case FieldRead(base=base):
                return _with(node, base=self.fold(base, around=around))
            case CellRead(keys=keys):
                return _with(node, keys=tuple([self.fold(key, around=around) for key in keys]))
            case Conversion(money=money, currency=currency, day=day):
                return _with(
                    node,
                    money=self.fold(money, around=around),
                    currency=self.fold(currency, around=around),
                    day=self.fold(day, around=around),
                )
            case Comparison(left=left, right=right):
                return _with(node, left=self.fold(left, around=around), right=self.fold(right, around=around))
            case Membership(item=item, source=source):
                return _with(
                    node, item=self.fold(item, around=around), source=self.fold(source, around=around)
                )
            case Operation(arguments=parts):
                return _with(node, arguments=tuple([self.fold(part, around=around) for part in parts]))
            case ListOf(items=items):
                return _with(node, items=tuple([self.fold(part, around=around) for part in items]))
            case Logic(parts=parts):
                return _with(node, parts=tuple([self._condition(part, around) for part in parts]))
            case Negation(part=part):
                return _with(node, part=self._condition(part, around))
            case Choice(test=test, yes=yes, no=no):
                return _with(
                    node,
                    test=self._condition(test, around),
                    yes=self.fold(yes, around=around),
                    no=self.fold(no, around=around),
                )
            case Macro(name=name, source=source, body=body):
                inner = self.fold(body, around=around + 1)
                if name != "map":
                    self.decided(inner)
                return _with(node, source=self.fold(source, around=around), body=inner)
            case _:
                return node

    def _condition(self, node: Typed, around: int) -> Typed:
        folded = self.fold(node, around=around)
        self.decided(folded)
        return folded

    def _constant(self, node: Typed, around: int) -> Typed:
        value = compiled(node)(_NO_FACTS, (1, None) * around)
        if not isinstance(value, Unknown) and isinstance(value, tuple):
            value = next((item for item in value if isinstance(item, Unknown)), value)
        if isinstance(value, Unknown):
            self._wrong(node, "constant_error", f"this can never be computed: {value.error}")
            return node
        return Constant(
            type=node.type,
            start=node.start,
            end=node.end,
            rounded=node.rounded,
            value=cast(Value, value),
            parameters=parameters_of(node),
        )


def _with(node: Typed, **parts: Typed | tuple[Typed, ...]) -> Typed:
    """`node` with the given parts; itself where they are its own, since copies cost more than folding."""
    if all(_same(getattr(node, name), part) for name, part in parts.items()):
        return node
    return replace(node, **parts)  # type: ignore[arg-type]


def _same(before: Typed | tuple[Typed, ...], after: Typed | tuple[Typed, ...]) -> bool:
    if isinstance(before, tuple) and isinstance(after, tuple):
        return all(map(is_, before, after))
    return before is after


def _closed(node: Typed, around: int) -> bool:
    """Whether `node` has one value whatever the facts are."""
    if isinstance(node, FactRead | ListRead | CellRead | ChainRead | Now | Presence):
        return False
    if isinstance(node, VariableRead):
        return node.level >= around
    return all(_closed(child, around) for child in children(node))
