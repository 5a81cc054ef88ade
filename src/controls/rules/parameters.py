"""A rule's parameters from its file: constants with a type, a basis, and the bounds that they stay within.

Guarantees: a parameter that comes out has a name that means nothing else, and a value of its type between its
`min` and its `max`, where there are any: whoever edits a limit cannot leave what its author thought of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controls.model.values import Money, Value
from controls.rules.common_shapes import MAX_LIST, MAX_STRING
from controls.rules.condition import RESERVED_NAMES
from controls.rules.diagnostics import Diagnostics, quoted
from controls.rules.findings import DUE_AT
from controls.rules.messages import shown
from controls.rules.nodes import MappingNode, Node, as_json
from controls.rules.readers import MalformedValue, reader_of
from controls.rules.types import Kind, ValueType, comparable
from controls.rules.vocabulary import type_of


@dataclass(slots=True)
class Parameters:
    """A rule's parameters, and the names of those that are wrong."""

    known: dict[str, tuple[ValueType, Value]] = field(default_factory=dict)
    basis: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


def parameters_of(
    node: MappingNode, *, types: Mapping[str, ValueType], diagnostics: Diagnostics
) -> Parameters:
    """The parameters of a rule.

    Args:
        node: the rule, its structure checked.
        types: the facts that a parameter may not be taken for.
        diagnostics: takes what is wrong.
    """
    found = Parameters()
    declared = node.mapping("parameters")
    for name, entry in sorted(declared.entries.items()) if declared is not None else ():
        parameter = entry.value
        assert isinstance(parameter, MappingNode)
        if name in RESERVED_NAMES or name == DUE_AT:
            diagnostics.add(
                entry.key.place,
                "reserved_name",
                f"{quoted(name)} is a word of conditions or messages: choose another",
            )
            found.broken.add(name)
            continue
        if any(fact.partition(".")[0] == name for fact in types):
            diagnostics.add(
                entry.key.place,
                "conflicting_name",
                f"facts begin with {quoted(name + '.')}: give the parameter another name",
            )
            continue
        type_ = type_of(parameter, diagnostics)
        raw = parameter.get("value")
        value = None if type_ is None or raw is None else _read(raw, type_, diagnostics)
        if type_ is None or raw is None or value is None:
            found.broken.add(name)
            continue
        _check_bounds(parameter, raw, type_, value, diagnostics)
        found.known[name] = (type_, value)
        found.basis[name] = parameter.text("basis")
    return found


def _read(raw: Node, type_: ValueType, diagnostics: Diagnostics) -> Value | None:
    try:
        return reader_of(type_, max_length=MAX_STRING, max_items=MAX_LIST)(as_json(raw))
    except MalformedValue as problem:
        diagnostics.add(raw.place, "bad_value", problem.message.en.replace("send ", "write ", 1))
        return None


def _check_bounds(
    parameter: MappingNode, raw: Node, type_: ValueType, value: Value, diagnostics: Diagnostics
) -> None:
    for key, word in (("min", "at least"), ("max", "at most")):
        bound = parameter.get(key)
        if bound is None:
            continue
        if type_.kind is Kind.STRING or not comparable(type_, type_, ordered=True):
            place = parameter.entries[key].key.place
            diagnostics.add(
                place, "misplaced_key", f"{quoted(key)} is for numbers, money and times, not for {type_}"
            )
            continue
        limit = _read(bound, type_, diagnostics)
        if limit is None:
            continue
        low, high = (limit, value) if key == "min" else (value, limit)
        if not _in_order(low, high):
            told = shown(limit, language="en")
            diagnostics.add(raw.place, "parameter_bounds", f"this is {word} {told}, as {quoted(key)} says")


def _in_order(low: Any, high: Any) -> bool:
    """Whether `low` is not above `high`; amounts of two currencies are in no order."""
    if isinstance(low, Money):
        return bool(low.currency == high.currency and low.amount <= high.amount)
    return bool(low <= high)
