"""Syntax tree -> typed tree: functions, methods, macros, typed literals and what is asked of the chain.

Guarantees: those of `checker`. What must be known at load (patterns, dates, steps, digits) is read at load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from controls.model.values import Value
from controls.rules.checker import EXAMPLES
from controls.rules.dates import DATE_FUNCTIONS, DateFunction
from controls.rules.functions import FUNCTIONS, METHODS, Function, pattern_test
from controls.rules.literals import parse_date, parse_duration, parse_time, parse_timestamp
from controls.rules.lookups import CONVERT, LookupChecker
from controls.rules.scope import RESERVED_NAMES, suggestion
from controls.rules.syntax import Call, Node, Path
from controls.rules.tree import (
    MACROS,
    CellRead,
    ChainRead,
    Constant,
    FactRead,
    FieldRead,
    Macro,
    Operation,
    Presence,
    Typed,
)
from controls.rules.types import BOOL, DATE, DURATION, MONEY, STRING, TIMESTAMP, ValueType, list_of

MAX_MACROS: Final = 2  # nested in one another: their lists multiply
MAX_ROUND: Final = 28

_CHAIN: Final = {"performed": BOOL, "claimed": BOOL, "person": STRING, "at": TIMESTAMP}
_LITERALS: Final[Mapping[str, tuple[ValueType, Callable[[str], Value]]]] = {
    "date": (DATE, parse_date),
    "timestamp": (TIMESTAMP, parse_timestamp),
    "duration": (DURATION, parse_duration),
    "time": (DURATION, parse_time),
}
_NAMES_OF_FUNCTIONS: Final = (*FUNCTIONS, *DATE_FUNCTIONS, *_LITERALS, "has", CONVERT)
_NAMES_OF_METHODS: Final = (*METHODS, *MACROS, "matches")


class Checker(LookupChecker):
    """Checks one condition, calls included."""

    def _call(self, node: Call) -> Typed | None:
        receiver = node.receiver
        if receiver is None:
            if node.name == "has":
                return self._has(node)
            if node.name == CONVERT:
                return self._conversion(node)
            if node.name in _LITERALS:
                return self._typed_literal(node)
            if node.name in DATE_FUNCTIONS:
                return self._date_function(node, DATE_FUNCTIONS[node.name])
            if node.name in FUNCTIONS:
                return self._function(node, FUNCTIONS[node.name], node.arguments)
            self._no_function(node, _NAMES_OF_FUNCTIONS, _NAMES_OF_METHODS)
            return None
        if isinstance(receiver, Path) and receiver.parts == ("chain",):
            return self._chain(node)
        if node.name in MACROS:
            return self._macro(node, receiver)
        if node.name in METHODS:
            return self._function(node, METHODS[node.name], (receiver, *node.arguments))
        if node.name == "matches":
            return self._matches(node, receiver)
        self._no_function(node, _NAMES_OF_METHODS, _NAMES_OF_FUNCTIONS)
        return None

    def _no_function(self, node: Call, known: Sequence[str], others: Sequence[str]) -> None:
        for argument in node.arguments:
            self.check(argument)
        if node.name in others and node.receiver is None:
            hint = f"; write value.{node.name}(...)"
        elif node.name in others:
            hint = f"; write {node.name}(value)"
        elif node.name.lower() == "not":
            hint = f"; write ! for `{node.name}`"
        else:
            hint = suggestion(node.name, known)
        self._wrong(node, "unknown_function", f"there is no `{node.name}()` here{hint}")

    def _function(self, node: Call, function: Function, arguments: Sequence[Node]) -> Typed | None:
        parts = [self.check(argument) for argument in arguments]
        found = tuple(part for part in parts if part is not None)
        if len(found) < len(parts):
            return None
        money = next((part for part in found if part.type == MONEY), None)
        if money is not None and node.name in ("min", "max"):
            read = [self._as_money(part, money) for part in found]
            found = tuple(part for part in read if part is not None)
            if len(found) < len(read):
                return None
        inexact = any(part.rounded for part in found)
        resolve = function.resolve_rounding if inexact and function.resolve_rounding else function.resolve
        signature = resolve([part.type for part in found])
        if signature is None:
            given = ", ".join(str(part.type) for part in found) or "nothing"
            self._wrong(node, "wrong_type", f"this takes {function.usage} and not {given}")
            return None
        type_, implementation = signature
        if node.name == "round" and not self._round_digits(found[1]):
            return None
        return Operation(
            type=type_,
            start=node.start,
            end=node.end,
            name=node.name,
            arguments=found,
            implementation=implementation,
            rounding=inexact and function.resolve_rounding is not None,
            elements=function.elements,
            rounded=inexact and not function.exact,
        )

    def _round_digits(self, digits: Typed) -> bool:
        if isinstance(digits, Constant) and isinstance(digits.value, int) and 0 <= digits.value <= MAX_ROUND:
            return True
        self._wrong(digits, "bad_literal", f"the digits are a number from 0 to {MAX_ROUND}, known at load")
        return False

    def _constant_text(self, node: Call, arguments: Sequence[Node], example: str) -> Constant | None:
        """The one argument of `node`, text that is known at load."""
        if len(arguments) != 1:
            self._wrong(node, "wrong_type", f"{node.name}() takes one text, such as {example}")
            return None
        text = self.check(arguments[0])
        if text is None:
            return None
        if not isinstance(text, Constant) or text.type != STRING:
            self._wrong(text, "wrong_type", f"{node.name}() takes a text known at load, such as {example}")
            return None
        return text

    def _date_function(self, node: Call, function: DateFunction) -> Typed | None:
        parts = [self.check(argument) for argument in node.arguments]
        found = tuple(part for part in parts if part is not None)
        if len(found) < len(parts):
            return None
        if [part.type for part in found] != [*function.takes, STRING]:
            given = ", ".join(str(part.type) for part in found) or "nothing"
            self._wrong(node, "wrong_type", f"this takes {function.usage} and not {given}")
            return None
        name = found[-1]
        if not isinstance(name, Constant):
            self._wrong(name, "wrong_type", f"the {function.named} is known at load: {function.usage}")
            return None
        try:
            implementation = function.bind(str(name.value), self._names.calendars)
        except ValueError as problem:
            self._wrong(name, f"unknown_{function.named}", str(problem))
            return None
        calendar = self._names.calendars[str(name.value)].digest if function.named == "calendar" else ""
        return self._operation(
            node, node.name, function.gives, found, implementation, rounding=False, calendar=calendar
        )

    def _typed_literal(self, node: Call) -> Typed | None:
        type_, parse = _LITERALS[node.name]
        text = self._constant_text(node, node.arguments, EXAMPLES[node.name])
        if text is None:
            return None
        assert isinstance(text.value, str)
        try:
            value = parse(text.value)
        except ValueError as problem:
            self._wrong(text, "bad_literal", str(problem))
            return None
        return Constant(type=type_, start=node.start, end=node.end, value=value, parameters=text.parameters)

    def _matches(self, node: Call, receiver: Node) -> Typed | None:
        subject = self.check(receiver)
        pattern = self._constant_text(node, node.arguments, 'r"^[A-Z]{2}"')
        if subject is None or pattern is None:
            return None
        if subject.type != STRING:
            self._wrong(subject, "wrong_type", f"matches() looks into text and not into {subject.type}")
            return None
        assert isinstance(pattern.value, str)
        try:
            implementation = pattern_test(pattern.value)
        except ValueError as problem:
            self._wrong(pattern, "bad_pattern", str(problem))
            return None
        return self._operation(node, "matches", BOOL, (subject, pattern), implementation, rounding=False)

    def _has(self, node: Call) -> Typed | None:
        if len(node.arguments) != 1:
            self._wrong(node, "wrong_type", "has() takes one fact, such as order.notional")
            return None
        part = self.check(node.arguments[0])
        if part is None:
            return None
        if not isinstance(part, FactRead | FieldRead | CellRead):
            message = "has() asks whether a fact, a field or a cell of a table is there; this is none"
            self._wrong(part, "wrong_type", message)
            return None
        return Presence(type=BOOL, start=node.start, end=node.end, part=part)

    def _chain(self, node: Call) -> Typed | None:
        if node.name not in _CHAIN:
            for argument in node.arguments:
                self.check(argument)
            hint = suggestion(node.name, _CHAIN)
            self._wrong(node, "unknown_function", f"there is no `chain.{node.name}()`{hint}")
            return None
        step = self._constant_text(node, node.arguments, '"execute"')
        if step is None:
            return None
        if not self._is_step(step):
            return None
        return ChainRead(
            type=_CHAIN[node.name], start=node.start, end=node.end, function=node.name, step=str(step.value)
        )

    def _macro(self, node: Call, receiver: Node) -> Typed | None:
        source = self.check(receiver)
        variable = self._variable(node)
        if source is None or variable is None:
            return None
        element = source.type.element
        if element is None:
            self._wrong(
                source, "wrong_type", f"{node.name}() goes through a list and not through {source.type}"
            )
            return None
        level = len(self._variables)
        if level >= MAX_MACROS:
            self._wrong(node, "too_deep", f"at most {MAX_MACROS} of {', '.join(MACROS)} stand in one another")
            return None
        self._variables.append((variable, element, source.rounded, self._called(source)))
        body = self.check(node.arguments[1])
        self._variables.pop()
        if body is None or (node.name != "map" and not self._is_bool(body, f"{node.name}()")):
            return None
        types = {"map": list_of(body.type), "filter": source.type}
        rounded = {"map": body.rounded, "filter": source.rounded}
        return Macro(
            type=types.get(node.name, BOOL),
            start=node.start,
            end=node.end,
            name=node.name,
            source=source,
            body=body,
            level=level,
            rounded=rounded.get(node.name, False),
        )

    def _variable(self, node: Call) -> str | None:
        if len(node.arguments) != 2:
            self._wrong(
                node, "wrong_type", f"{node.name}() takes a name and a condition: list.{node.name}(x, x > 1)"
            )
            return None
        name = node.arguments[0]
        if not isinstance(name, Path) or len(name.parts) != 1:
            self._wrong(name, "wrong_type", "the first argument is a plain name for the element")
            return None
        text = name.parts[0]
        taken = (
            text in RESERVED_NAMES
            or text in self._names.parameters
            or any(known == text for known, *_ in self._variables)
            or any(fact == text or fact.startswith(f"{text}.") for fact in self._names.facts)
        )
        if taken:
            self._wrong(name, "name_taken", f"`{text}` means something else already: take another name")
            return None
        return text
