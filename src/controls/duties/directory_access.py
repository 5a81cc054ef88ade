"""A directory and a release as access and separations, for static analysis.

Guarantees: every constraint of the release is either among the separations or among the unchecked ones, with
the reason; nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from controls.duties.access import Access, Item, Sort
from controls.duties.analysis import Separation
from controls.duties.hearing import ANYONE
from controls.model.chain import ChainKind
from controls.model.duty import Constraint, ConstraintKind, Grant, Scope
from controls.model.finding import Text

_BIND: Final = Text(
    "it asks for one person, so that it keeps nobody apart; whether somebody can is a matter of open chains",
    "exige una sola persona, así que no separa a nadie; si alguien puede es cuestión de las cadenas abiertas",
)
_PERIOD: Final = Text("it is not in force now", "no está en vigor ahora")
_ACCOUNT: Final = Text(
    "it counts over many chains, so that roles alone do not tell",
    "cuenta sobre muchas cadenas, así que las funciones solas no lo dicen",
)
_DYNAMIC: Final = Text(
    "the roles may be held together, and not used on one chain",
    "las funciones pueden tenerse juntas, y no usarse en una misma cadena",
)
_GROUPS: Final = Text(
    "it counts duties of several steps, which the directory does not tell",
    "cuenta funciones de varios pasos, lo que el directorio no dice",
)
_SOLE: Final = Text(
    "it is about who has acted on a chain so far, which roles do not tell",
    "trata de quién ha actuado hasta ahora en una cadena, lo que las funciones no dicen",
)
_KIND: Final = Text(
    "it depends on the single request, which roles do not tell",
    "depende de cada petición, lo que las funciones no dicen",
)


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A constraint about which the directory alone tells nothing, and why."""

    constraint: Constraint
    reason: Text


def step_item(kind: ChainKind, step: str) -> Item:
    """A step as the item that grants give: the action on the chain's resource."""
    return Item(Sort.STEP, f"{kind.resource}.{step}")


def directory_access(
    roles_of: Mapping[str, Iterable[str]],
    *,
    closure: Mapping[str, frozenset[str]],
    grants: Iterable[Grant],
    kinds: Iterable[ChainKind],
) -> Access:
    """Who holds which roles and may take which steps.

    Args:
        roles_of: person -> the roles assigned now.
        closure: each role with all that it inherits.
        grants: who may do what; those of actions that are no steps say nothing here.
        kinds: the chain kinds.
    """
    steps = {(kind.resource, step.id): step_item(kind, step.id) for kind in kinds for step in kind.steps}
    gives: dict[Item, set[Item]] = {
        Item(Sort.ROLE, role): {Item(Sort.ROLE, other) for other in implied if other != role}
        for role, implied in closure.items()
    }
    conditional: dict[Item, set[Item]] = {}
    for grant in grants:
        side = gives if grant.when is None else conditional
        given = {steps[grant.resource, name] for name in grant.actions if (grant.resource, name) in steps}
        if given:
            side.setdefault(Item(Sort.ROLE, grant.role), set()).update(given)
    return Access(
        {person: [Item(Sort.ROLE, role) for role in roles] for person, roles in roles_of.items()},
        gives=gives,
        gives_on_condition=conditional,
        everybody=[Item(Sort.ROLE, ANYONE)],
    )


def separations_of(
    constraints: Iterable[Constraint], *, kinds: Iterable[ChainKind], now: datetime
) -> tuple[tuple[Separation, ...], tuple[Unchecked, ...]]:
    """What the constraints ask of a directory now, and those that ask nothing of it."""
    by_id = {kind.id: kind for kind in kinds}
    found: list[Separation] = []
    unchecked: list[Unchecked] = []
    for constraint in constraints:
        in_force = constraint.effective.holds(now)
        said = _separation(constraint, kind=by_id.get(constraint.chain)) if in_force else _PERIOD
        if isinstance(said, Separation):
            found.append(said)
        else:
            unchecked.append(Unchecked(constraint, said))
    return tuple(found), tuple(unchecked)


def _separation(constraint: Constraint, *, kind: ChainKind | None) -> Separation | Text:
    """What the constraint asks of a directory, or why it asks nothing."""
    most: int | None = None
    people: int | None = None
    steps = constraint.steps
    match constraint.kind:
        case ConstraintKind.EXCLUSIVE_ROLES if constraint.excludes_roles:
            items = tuple(Item(Sort.ROLE, role) for role in dict.fromkeys(constraint.roles))
            return _of(constraint, items, most=constraint.limit, standing=True)
        case ConstraintKind.EXCLUSIVE_ROLES:
            return _DYNAMIC
        case ConstraintKind.COALITION if kind is not None:
            items = tuple(step_item(kind, step) for step in dict.fromkeys(steps))
            return _of(constraint, items, people=constraint.limit, standing=True)
        case ConstraintKind.WHOLE_CHAIN if kind is not None:
            steps = kind.mandatory
            most, people = len(steps) - 1, 1  # with how many it would take
        case ConstraintKind.AT_MOST if constraint.groups:
            return _GROUPS
        case ConstraintKind.SEPARATE:
            most = 1
        case ConstraintKind.AT_MOST if constraint.scope is Scope.CHAIN:
            most = constraint.limit
        case ConstraintKind.AT_LEAST:
            people = constraint.limit
        case ConstraintKind.BIND:
            return _BIND
        case ConstraintKind.AT_MOST:
            return _ACCOUNT
        case ConstraintKind.SOLE_ACTOR:
            return _SOLE
        case _:
            return _KIND
    if kind is None:
        return _KIND
    items = tuple(step_item(kind, step) for step in dict.fromkeys(steps))
    return _of(constraint, items, most=most, people=people, standing=False)


def _of(
    constraint: Constraint,
    items: tuple[Item, ...],
    *,
    standing: bool,
    most: int | None = None,
    people: int | None = None,
) -> Separation:
    return Separation(
        id=constraint.id,
        items=items,
        then=constraint.then,
        title=constraint.title,
        most=most,
        people=people,
        kind=constraint.kind.value,
        chain=constraint.chain,
        standing=standing,
        when="" if constraint.when is None else constraint.when.source,
    )
