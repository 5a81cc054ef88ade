"""A condition with other values of its parameters, made from its tree.

Guarantees: the tree that comes out is what the same text would make with those values, or there is none; a
value that was turned into something else at load (a pattern, a date) is not replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from controls.model.values import Value
from controls.rules.tree import Constant, Operation, Typed, parameters_of
from controls.rules.types import fits


class NotReplaceable(ValueError):
    """The tree does not hold the parameter's value as such."""


def with_parameters(tree: Typed, values: Mapping[str, Value]) -> Typed:
    """`tree` (`WholeCondition.tree`) with each parameter of `values` at its value there.

    Raises:
        NotReplaceable: what a parameter became cannot be made again from here.
    """
    if not parameters_of(tree) & values.keys():
        return tree
    if isinstance(tree, Constant):
        (name,) = tree.parameters
        if not fits(values[name], tree.type):
            raise NotReplaceable(f"what {name} became at load cannot be compared by itself")
        return replace(tree, value=values[name])
    if isinstance(tree, Operation) and tree.name == "matches":
        raise NotReplaceable("a pattern cannot be compared by itself")
    changed: dict[str, Any] = {}
    for field in fields(tree):
        part = getattr(tree, field.name)
        if isinstance(part, Typed):
            changed[field.name] = with_parameters(part, values)
        elif isinstance(part, tuple) and part and all(isinstance(item, Typed) for item in part):
            changed[field.name] = tuple(with_parameters(item, values) for item in part)
    return replace(tree, **changed)
