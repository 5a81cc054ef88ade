"""The commonest leaves as Python text, to stand in a generated function without a call.

Guarantees: the text says what `controls.rules.evaluate` says of the leaf wherever the facts it reads are
there and of their class; everything else (missing, mistyped, about a later request) is left to that. A text
is made of what is written here; names and constants of a rule are handed over beside it and never become
part of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple, cast

from controls.model.values import Money
from controls.rules.tree import (
    Comparison,
    Constant,
    FactRead,
    ListRead,
    Membership,
    Now,
    Operation,
    Presence,
    Typed,
)
from controls.rules.types import BOOL, Kind, class_of


class Inlined(NamedTuple):
    """An expression with the value 3 (true) or 0 (false), or that of `{slow}` where it cannot tell.

    `{0}`, `{1}`, ... stand for the names under which `values` are handed over. It uses `stated` (the facts'
    values), `get` (their `get`), `plain` (nothing is known of facts that are not stated), `now` (the moment,
    None where it is not known) and `v` and `w`.
    """

    text: str
    values: tuple[object, ...]


# Only these get into a text.
_OPERATORS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})


def inlined(node: Typed) -> Inlined | None:
    """The leaf `node` as text; None where it takes a call."""
    match node:
        case Presence(part=FactRead(name=name)):
            return Inlined("(3 if {0} in stated else 0 if plain else {slow})", (name,))
        case FactRead(name=name, type=kind) if kind == BOOL:
            return Inlined("(3 if (v := get({0})) is True else 0 if v is False else {slow})", (name,))
        case Comparison(operator=operator) if operator not in _OPERATORS:
            return None
        case Comparison(operator=operator, left=left, right=right) if _moments(left, right):
            return _of_moments(f"v {operator} w", left, right)
        case Comparison(operator=operator, left=FactRead() as left, right=right):
            return _comparison(operator, left, right)
        case Comparison(
            operator=operator,
            left=Operation(name="-", arguments=(one, other)),
            right=Constant(value=timedelta() as span),
        ) if _moments(one, other):
            return _of_moments(f"v - w {operator} {{0}}", one, other, span)
        case Membership(item=FactRead() as item, source=source):
            return _membership(item, source)
        case _:
            return None


def _comparison(operator: str, left: FactRead, right: Typed) -> Inlined | None:
    kind = class_of(left.type)
    if kind is None:
        return None
    if isinstance(right, FactRead):
        other = class_of(right.type)
        if other is None or Money in (kind, other):
            return None
        text = (
            f"((3 if v {operator} w else 0) if (v := get({{0}})).__class__ is {{1}} "
            "and (w := get({2})).__class__ is {3} else {slow})"
        )
        return Inlined(text, (left.name, kind, right.name, other))
    if not isinstance(right, Constant):
        return None
    if kind is Money:
        money = cast(Money, right.value)
        text = (
            f"((3 if v.amount {operator} {{2}} else 0) if (v := get({{0}})).__class__ is {{1}} "
            "and v.currency == {3} else {slow})"
        )
        return Inlined(text, (left.name, kind, money.amount, money.currency))
    text = f"((3 if v {operator} {{2}} else 0) if (v := get({{0}})).__class__ is {{1}} else {{slow}})"
    return Inlined(text, (left.name, kind, right.value))


def _moments(*nodes: Typed) -> bool:
    return all(isinstance(node, Now | FactRead) and node.type.kind is Kind.TIMESTAMP for node in nodes)


def _of_moments(test: str, one: Typed, other: Typed, *values: object) -> Inlined:
    """A test of two moments `v` and `w`, each stated or now."""
    known: list[object] = [*values, datetime]
    kind = f"{{{len(values)}}}"
    asked = []
    for variable, node in (("v", one), ("w", other)):
        read = "now"
        if isinstance(node, FactRead):
            read = f"get({{{len(known)}}})"
            known.append(node.name)
        asked.append(f"({variable} := {read}).__class__ is {kind}")
    return Inlined(f"((3 if {test} else 0) if {' and '.join(asked)} else {{slow}})", tuple(known))


def _membership(item: FactRead, source: Typed) -> Inlined | None:
    """Only of values that are equal as Python has it, and lists that hold something (see `evaluate`)."""
    kind = class_of(item.type)
    if kind is None or item.type.kind in (Kind.MONEY, Kind.LIST):
        return None
    members: frozenset[object] = frozenset()
    if isinstance(source, ListRead):
        members = source.data.members
    elif isinstance(source, Constant):
        members = frozenset(cast("tuple[object, ...]", source.value))
    if not members:
        return None
    text = "((3 if v in {2} else 0) if (v := get({0})).__class__ is {1} else {slow})"
    return Inlined(text, (item.name, kind, members))
