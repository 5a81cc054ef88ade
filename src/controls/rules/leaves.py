"""Leaves of conditions: what each depends on, and whether samples of that decide it exactly."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from controls.model.chain import ActState
from controls.model.values import MISSING, Value
from controls.rules.domains import MAX_MEMBERS, Domain, Sample, is_ordered, samples_of
from controls.rules.tree import (
    CellRead,
    ChainRead,
    Comparison,
    Constant,
    Conversion,
    FactRead,
    ListRead,
    Membership,
    Now,
    Operation,
    Presence,
    Typed,
    walk,
)
from controls.rules.types import TIMESTAMP, Kind

_STEP_SAMPLES: Final = (MISSING, ActState.CLAIMED.value, ActState.PERFORMED.value)
_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_MEMBERS: Final = frozenset({Kind.STRING, Kind.INT, Kind.DECIMAL, Kind.DATE, Kind.TIMESTAMP, Kind.DURATION})


@dataclass(frozen=True, slots=True)
class Variable:
    """Something that leaves depend on: a fact, the state of a step (claimed, performed), or the time."""

    fact: str = ""
    step: str = ""
    domain: Domain = field(default=Domain(TIMESTAMP, optional=False), compare=False)

    @property
    def finite(self) -> bool:
        return bool(self.step) or self.domain.finite

    def samples(self, constants: Collection[Value]) -> tuple[Sample, ...]:
        """Values that stand for all of them, as far as `constants` can tell."""
        return _STEP_SAMPLES if self.step else samples_of(self.domain, constants)


NOW: Final = Variable()


@dataclass(frozen=True, slots=True)
class Classified:
    """A leaf. `exact`: the samples of its variables, made with `constants`, decide it."""

    node: Typed
    variables: tuple[Variable, ...]
    exact: bool = False
    constants: tuple[Value, ...] = ()


def classified(nodes: Iterable[Typed], domains: Mapping[str, Domain]) -> list[Classified]:
    """The leaves of one question, whose constant parts have been folded."""
    leaves = [_classified(node, domains) for node in nodes]
    wanted: dict[Variable, set[Value]] = {}
    for leaf in leaves:
        for variable in leaf.variables:
            if leaf.exact and variable.domain.type.kind is Kind.LIST:
                wanted.setdefault(variable, set()).update(leaf.constants)
    wide = {variable for variable, constants in wanted.items() if len(constants) > MAX_MEMBERS}
    if not wide:
        return leaves
    return [
        Classified(leaf.node, leaf.variables) if wide.intersection(leaf.variables) else leaf
        for leaf in leaves
    ]


def against_constant(node: Comparison) -> tuple[Typed, str, Value] | None:
    """A comparison with a constant, turned so that the constant stands on the right."""
    if isinstance(node.right, Constant):
        return node.left, node.operator, node.right.value
    if isinstance(node.left, Constant):
        return node.right, _FLIPPED[node.operator], node.left.value
    return None


def _classified(node: Typed, domains: Mapping[str, Domain]) -> Classified:
    variables: dict[Variable, None] = {}
    known = True
    for part in walk(node):
        if isinstance(part, FactRead):
            variables[Variable(fact=part.name, domain=domains.get(part.name) or Domain(part.type))] = None
        elif isinstance(part, Now):
            variables[NOW] = None
        elif isinstance(part, ChainRead):
            step = part.step or _step_sought(node)
            known = known and bool(step) and part.function not in ("person", "at")
            if step:
                variables[Variable(step=step)] = None
        elif isinstance(part, ListRead | CellRead | Conversion):
            known = False  # what lists, tables and rates hold today proves nothing about a rule
    found = tuple(variables)
    if known and all(variable.finite for variable in found):
        return Classified(node, found, exact=True)
    if known and len(found) == 1:
        constants = _constants(node, found[0].domain)
        if constants is not None:
            return Classified(node, found, exact=True, constants=constants)
    return Classified(node, found)


def _step_sought(node: Typed) -> str:
    """The step that `"step" in chain.steps` asks for."""
    if (
        isinstance(node, Membership)
        and isinstance(node.item, Constant)
        and isinstance(node.source, ChainRead)
    ):
        return str(node.item.value)
    return ""


def _constants(node: Typed, domain: Domain) -> tuple[Value, ...] | None:
    """What a leaf over one variable compares it with; None when it does more than that."""
    kind = domain.type.kind
    match node:
        case Presence(part=FactRead()):
            return ()
        case Comparison():
            return _compared(node, kind)
        case Membership(item=FactRead(), source=Constant(value=tuple() as constants)):
            return constants if is_ordered(kind) or kind is Kind.STRING else None
        case Membership(item=Constant(value=constant), source=FactRead()):
            element = domain.type.element
            return (constant,) if element is not None and element.kind in _MEMBERS else None
        case _:
            return None


def _compared(node: Comparison, kind: Kind) -> tuple[Value, ...] | None:
    turned = against_constant(node)
    if turned is None:
        return None
    part, operator, constant = turned
    equality = operator in ("==", "!=")
    match part:
        case FactRead() | Now():
            return (constant,) if is_ordered(kind) or (kind is Kind.STRING and equality) else None
        case Operation(name="amount", arguments=(FactRead(),)):
            return (constant,)
        case Operation(name="currency", arguments=(FactRead(),)):
            return (constant,) if equality else None
        case _:
            return None
