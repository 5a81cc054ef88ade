"""A condition with other values of its parameters, made from its tree.

Guarantees: the tree that comes out is what the same text would make with those values, or there is none; a
value that was turned into something else at load (a pattern, a date) is not replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from controls.model.values import Value
from controls.rules.tree import Constant, Operation, Typed, parameters_of, with_children
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
    return with_children(tree, lambda part: with_parameters(part, values))
