"""Syntax tree -> typed tree: names and operators. Lists and tables are in `lookups`, calls in `calls`.

Guarantees: in a typed tree every name exists and every operation has operands it can work with, so that at
run time nothing can fail but arithmetic and missing facts. Errors do not hide one another: what cannot be
typed is left out, and the rest is checked all the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

from controls.rules import literals
from controls.rules.arithmetic import Implementation, negated, operator_for
from controls.rules.scope import RESERVED_NAMES, Names, longest_fact, suggestion, unknown_name
from controls.rules.syntax import (
    Binary,
    Call,
    Conditional,
    ConditionError,
    Connective,
    Index,
    ListLiteral,
    Literal,
    Node,
    Path,
    Select,
    Unary,
)
from controls.rules.tree import (
    ChainRead,
    Choice,
    Comparison,
    Constant,
    FactRead,
    FieldRead,
    ListOf,
    Logic,
    Macro,
    Membership,
    Negation,
    Now,
    Operation,
    Typed,
    VariableRead,
    is_text,
)
from controls.rules.types import (
    BOOL,
    DECIMAL,
    DURATION,
    INT,
    MONEY,
    STRING,
    TIMESTAMP,
    Kind,
    ValueType,
    comparable,
    is_number,
    list_of,
    unified,
)

_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
# How text would be written as one of these types.
EXAMPLES: Final = {
    "date": '"2026-03-02"',
    "timestamp": '"2026-03-02T09:30:00Z"',
    "duration": '"PT30M"',
    "time": '"16:00"',
}


class TreeChecker(ABC):
    """Checks one condition. `errors` holds what was found wrong; `check` gives None where there is any."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._variables: list[tuple[str, ValueType, bool, str]] = []  # name, type, rounded, what to call it
        self.errors: list[ConditionError] = []

    def check(self, node: Node) -> Typed | None:
        """The typed tree of `node`; None when something in it is wrong, which `errors` then holds."""
        match node:
            case Literal():
                return self._literal(node)
            case Path():
                return self._path(node)
            case Select():
                return self._select(node)
            case Index():
                return self._index(node)
            case Unary():
                return self._unary(node)
            case Binary():
                return self._binary(node)
            case Connective():
                return self._connective(node)
            case Conditional():
                return self._conditional(node)
            case ListLiteral():
                return self._list(node)
            case Call():
                return self._call(node)
            case _:
                raise TypeError(f"{node.__class__.__name__} cannot be checked")

    @abstractmethod
    def _call(self, node: Call) -> Typed | None:
        """The typed tree of a call, a macro included."""

    @abstractmethod
    def _index(self, node: Index) -> Typed | None:
        """The typed tree of brackets behind something."""

    def _wrong(self, node: Node | Typed, code: str, message: str) -> None:
        self.errors.append(ConditionError(node.start, node.end - node.start, code, message))

    # Names and values

    def _literal(self, node: Literal) -> Typed:
        value = node.value
        type_ = BOOL if value is True or value is False else STRING if isinstance(value, str) else DECIMAL
        if type_ is DECIMAL and isinstance(value, int):
            type_ = INT
        return Constant(type=type_, start=node.start, end=node.end, value=value)

    def _path(self, node: Path) -> Typed | None:
        root = node.parts[0]
        for level in range(len(self._variables) - 1, -1, -1):
            name, type_, rounded, _origin = self._variables[level]
            if name == root:
                found = VariableRead(type=type_, start=node.start, end=node.end, level=level, rounded=rounded)
                return self._fields(node, found, node.parts[1:])
        if node.parts == ("now",):
            return Now(type=TIMESTAMP, start=node.start, end=node.end)
        if node.parts == ("chain", "steps"):
            return ChainRead(type=list_of(STRING), start=node.start, end=node.end, function="steps", step="")
        length = longest_fact(node.parts, self._names.facts)
        if length:
            fact = ".".join(node.parts[:length])
            read = FactRead(type=self._names.facts[fact], start=node.start, end=node.end, name=fact)
            return self._fields(node, read, node.parts[length:])
        if root in self._names.parameters and root not in RESERVED_NAMES:
            type_, value = self._names.parameters[root]
            constant = Constant(
                type=type_, start=node.start, end=node.end, value=value, parameters=frozenset({root})
            )
            return self._fields(node, constant, node.parts[1:])
        known = [name for name, *_ in self._variables]
        message = unknown_name(".".join(node.parts), names=self._names, variables=known)
        self._wrong(node, "unknown_name", message)
        return None

    def _select(self, node: Select) -> Typed | None:
        return self._fields(node, self.check(node.base), (node.field,))

    def _fields(self, node: Node, base: Typed | None, fields: Sequence[str]) -> Typed | None:
        for field in fields:
            if base is None:
                return None
            if base.type.kind is not Kind.RECORD:
                self._wrong(node, "wrong_type", f"{base.type} has no field `{field}`")
                return None
            type_ = base.type.field(field)
            if type_ is None:
                known = suggestion(field, [name for name, _ in base.type.fields])
                self._wrong(node, "unknown_name", f"there is no field `{field}`{known}")
                return None
            base = FieldRead(
                type=type_,
                start=node.start,
                end=node.end,
                base=base,
                field=field,
                name=f"{self._called(base)}.{field}",
                rounded=base.rounded,
            )
        return base

    def _called(self, node: Typed) -> str:
        """What a missing part of `node` is reported under: `order.lines.price`."""
        match node:
            case FactRead(name=name) | FieldRead(name=name):
                return name
            case VariableRead(level=level):
                return self._variables[level][3]
            case Macro(name="filter", source=source):
                return self._called(source)
            case _:
                return "element"

    # Operators

    def _unary(self, node: Unary) -> Typed | None:
        part = self.check(node.operand)
        if part is None:
            return None
        if node.operator == "!":
            if not self._is_bool(part, "!"):
                return None
            return Negation(type=BOOL, start=node.start, end=node.end, part=part)
        if part.type not in (INT, DECIMAL, MONEY, DURATION):
            self._wrong(node, "wrong_type", f"- takes a number, money or a duration and not {part.type}")
            return None
        return self._operation(node, "-", part.type, (part,), negated, rounding=False)

    def _is_bool(self, part: Typed, sign: str) -> bool:
        if part.type == BOOL:
            return True
        self._wrong(
            part, "wrong_type", f"{sign} takes conditions; this is {part.type}: compare it with something"
        )
        return False

    def _connective(self, node: Connective) -> Typed | None:
        parts = [self.check(part) for part in node.parts]
        found = [part for part in parts if part is not None]
        good = [self._is_bool(part, node.operator) for part in found]
        if len(found) < len(parts) or not all(good):
            return None
        return Logic(
            type=BOOL, start=node.start, end=node.end, every=node.operator == "&&", parts=tuple(found)
        )

    def _conditional(self, node: Conditional) -> Typed | None:
        test, yes, no = self.check(node.test), self.check(node.yes), self.check(node.no)
        good = test is None or self._is_bool(test, "?")
        if test is None or yes is None or no is None or not good:
            return None
        one, other = self._as_money(yes, no), self._as_money(no, yes)
        if one is None or other is None:
            return None
        common = unified(one.type, other.type)
        if common is None:
            self._wrong(node, "wrong_type", f"the two results differ: {one.type} and {other.type}")
            return None
        rounded = one.rounded or other.rounded
        return Choice(
            type=common, start=node.start, end=node.end, test=test, yes=one, no=other, rounded=rounded
        )

    def _binary(self, node: Binary) -> Typed | None:
        left, right = self.check(node.left), self.check(node.right)
        if left is None or right is None:
            return None
        if node.operator == "in":
            return self._membership(node, left, right)
        one, other = self._as_money(left, right), self._as_money(right, left)
        if one is None or other is None:
            return None
        if node.operator in _COMPARISONS:
            ordered = node.operator not in ("==", "!=")
            if not comparable(one.type, other.type, ordered=ordered):
                self._wrong(node, "incomparable_types", _incomparable(one, other, node.operator))
                return None
            return Comparison(
                type=BOOL, start=node.start, end=node.end, operator=node.operator, left=one, right=other
            )
        rounding = one.rounded or other.rounded
        found = operator_for(node.operator, one.type, other.type, rounding=rounding)
        if found is None:
            message = f"{node.operator} does not take {one.type} and {other.type}{_money_hint(one, other)}"
            self._wrong(node, "wrong_type", message)
            return None
        type_, implementation = found
        rounding = rounding and type_ in (DECIMAL, MONEY) and node.operator != "/"
        return self._operation(node, node.operator, type_, (one, other), implementation, rounding=rounding)

    def _operation(
        self,
        node: Node,
        name: str,
        type_: ValueType,
        arguments: tuple[Typed, ...],
        implementation: Implementation,
        *,
        rounding: bool,
        calendar: str = "",
    ) -> Typed:
        inexact = name == "/" or any(argument.rounded for argument in arguments)
        return Operation(
            type=type_,
            start=node.start,
            end=node.end,
            name=name,
            arguments=arguments,
            implementation=implementation,
            rounding=rounding,
            rounded=inexact and type_ in (DECIMAL, MONEY),
            calendar=calendar,
        )

    def _as_money(self, part: Typed, other: Typed) -> Typed | None:
        """`part`, read as money where it is text beside money; None when it is bad money."""
        if MONEY not in (other.type, other.type.element):
            return part
        if isinstance(part, ListOf):
            items = [self._as_money(item, other) for item in part.items]
            found = tuple(item for item in items if item is not None)
            if len(found) < len(items):
                return None
            element = MONEY if all(item.type == MONEY for item in found) else part.type.element
            assert element is not None
            return ListOf(type=list_of(element), start=part.start, end=part.end, items=found)
        if not is_text(part):
            return part
        assert isinstance(part, Constant)
        assert isinstance(part.value, str)
        try:
            money = literals.parse_money(part.value)
        except ValueError as problem:
            self._wrong(part, "bad_literal", str(problem))
            return None
        return Constant(type=MONEY, start=part.start, end=part.end, value=money)

    def _membership(self, node: Binary, item: Typed, source: Typed) -> Typed | None:
        if source.type.kind is not Kind.LIST:
            hint = "; for text within text use contains()" if source.type == STRING else ""
            self._wrong(source, "wrong_type", f"`in` looks into a list and not into {source.type}{hint}")
            return None
        if isinstance(source, ChainRead) and isinstance(item, Constant) and not self._is_step(item):
            return None
        one, many = self._as_money(item, source), self._as_money(source, item)
        if one is None or many is None:
            return None
        element = many.type.element
        assert element is not None
        if not comparable(one.type, element, ordered=False):
            message = f"{one.type} is never in {many.type}{_money_hint(one, many)}"
            self._wrong(node, "incomparable_types", message)
            return None
        return Membership(type=BOOL, start=node.start, end=node.end, item=one, source=many)

    def _is_step(self, text: Constant) -> bool:
        """Whether `text` names a step; notes it when not."""
        step = str(text.value)
        if not self._names.steps or step in self._names.steps:
            return True
        hint = suggestion(step, self._names.steps)
        self._wrong(text, "unknown_step", f"no chain has a step `{step[:80]}`{hint}")
        return False

    def _list(self, node: ListLiteral) -> Typed | None:
        parts = [self.check(item) for item in node.items]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        money = next((part for part in found if part.type == MONEY), None)
        if money is not None:
            read = [self._as_money(part, money) for part in found]
            found = [part for part in read if part is not None]
            if len(found) < len(read):
                return None
        common: ValueType | None = found[0].type
        for part in found[1:]:
            common = unified(common, part.type) if common is not None else None
            if common is None:
                message = f"a list holds values of one type; this is {part.type} after {found[0].type}"
                self._wrong(part, "wrong_type", message)
                return None
        assert common is not None
        return ListOf(
            type=list_of(common),
            start=node.start,
            end=node.end,
            items=tuple(found),
            rounded=any(part.rounded for part in found),
        )


def _money_hint(one: Typed, other: Typed) -> str:
    types = (one.type, other.type)
    if any(MONEY in (type_, type_.element) for type_ in types) and any(is_number(type_) for type_ in types):
        return '; write money with its currency: "10000000.00 EUR", or take amount(...)'
    return ""


def _incomparable(one: Typed, other: Typed, sign: str) -> str:
    if one.type == other.type:
        what = "lists and records cannot be compared: use size, in, exists or all"
        return what if one.type.kind in (Kind.LIST, Kind.RECORD) else f"{one.type} has no order: use == or !="
    kinds = (one.type.kind, other.type.kind)
    text = is_text(one) or is_text(other)
    hint = _money_hint(one, other)
    for kind, example in EXAMPLES.items():
        if kind in kinds and text:
            hint = f"; write {kind}({example})"
    if text and not hint and any(is_number(part.type) for part in (one, other)):
        hint = "; write the number without quotes"
    return f"{one.type} {sign} {other.type}: values of different types cannot be compared{hint}"
