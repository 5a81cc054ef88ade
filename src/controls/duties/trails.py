"""Which trails the constraints of a release look at, and which of them a step reads.

Guarantees: whatever a constraint counts beyond its chain, and whatever a new chain may be the same as, leaves
a mark while a release with it is in force (and for what came before, the store makes the marks when the
release is activated); kinds of chains that nothing of this is about have no trails, and cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from controls.model.chain import ChainKind
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.trail import Trail, compared_facts

RESEMBLES: Final = "resembles"  # the trail of chains that may be the same


def trail_name(constraint: Constraint) -> str:
    """The trail that a constraint looks at; empty when it looks at its chain alone."""
    if constraint.kind is ConstraintKind.CHINESE_WALL:
        return f"{constraint.conflict_class}/{constraint.dataset}"
    if constraint.scope is Scope.CHAIN:
        return ""
    if constraint.kind is ConstraintKind.COOLING_OFF:
        return f"{constraint.scope.value}.anybody"
    return constraint.scope.value


def scope_fact(scope: Scope, *, kind: ChainKind) -> str:
    """The fact that says the value of a scope on chains of this kind, such as `order.account`."""
    return f"{kind.resource}.{scope.value}"


def trails_of(
    constraints: Iterable[Constraint], *, chains: Iterable[ChainKind]
) -> Mapping[str, tuple[Trail, ...]]:
    """The trails of each chain kind that has any, by its id."""
    beyond = [item for item in constraints if trail_name(item)]
    found = {kind.id: _trails(kind, beyond) + _compared(kind) for kind in chains}
    return {kind: trails for kind, trails in found.items() if trails}


def _trails(kind: ChainKind, constraints: Iterable[Constraint]) -> tuple[Trail, ...]:
    named: dict[str, list[Constraint]] = {}
    for constraint in constraints:
        own = not constraint.steps or any(kind.step(step) is not None for step in constraint.steps)
        if constraint.chain in ("", kind.id) and own:
            named.setdefault(trail_name(constraint), []).append(constraint)
    return tuple(_trail(kind, name, named[name]) for name in sorted(named))


def _compared(kind: ChainKind) -> tuple[Trail, ...]:
    if kind.resembles is None:
        return ()
    compared = Trail(
        name=RESEMBLES,
        kind=kind.id,
        fact="+".join(compared_facts(kind.resource)),
        steps=kind.beginnings,
        first=kind.steps[0].id,
        anybody=True,
        within=kind.resembles,
        latest=True,
    )
    return (compared,)


def _trail(kind: ChainKind, name: str, constraints: list[Constraint]) -> Trail:
    one = constraints[0]
    wall = one.kind is ConstraintKind.CHINESE_WALL
    every = any(not item.steps for item in constraints)
    return Trail(
        name=name,
        kind=kind.id,
        fact=one.conflict_class if wall else scope_fact(one.scope, kind=kind),
        part=one.dataset if wall else "",
        steps=frozenset() if every else frozenset(step for item in constraints for step in item.steps),
        first=kind.steps[0].id,
        anybody=one.kind is ConstraintKind.COOLING_OFF,
        within=_longest(item.within for item in constraints),
        conditional=any(item.when is not None for item in constraints),
    )


def _longest(spans: Iterable[timedelta | None]) -> timedelta | None:
    """The longest of several spans, of which None is without end."""
    known: list[timedelta] = []
    for span in spans:
        if span is None:
            return None
        known.append(span)
    return max(known)
