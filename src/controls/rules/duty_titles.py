"""Titles of constraints that nobody has written: what is counted, in English and Spanish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Text
from controls.rules.diagnostics import listed

_PER: Final[Mapping[Scope, Text]] = {
    Scope.CHAIN: Text("", ""),
    Scope.ACCOUNT: Text(" and account", " y cuenta"),
    Scope.INSTRUMENT: Text(" and instrument", " e instrumento"),
    Scope.DESK: Text(" and desk", " y mesa"),
}
_ATTRIBUTES: Final = {
    "reports_to": Text("reporting line", "línea jerárquica"),
    "household": Text("household", "hogar"),
    "department": Text("department", "departamento"),
    "desk": Text("desk", "mesa"),
}


def title_of(constraint: Constraint) -> Text:
    """What a constraint is called where its file gives no title."""
    return _TITLES[constraint.kind](constraint)


def _separate(item: Constraint) -> Text:
    steps, per = listed(item.steps), _PER[item.scope]
    where = Text(f" (per person{per.en})", f" (por persona{per.es})") if per.en else per
    return Text(f"Different persons{where.en}: {steps}", f"Personas distintas{where.es}: {steps}")


def _at_most(item: Constraint) -> Text:
    what = listed(group.name for group in item.groups) if item.groups else listed(item.steps)
    per = _PER[item.scope]
    return Text(
        f"At most {item.limit} per person{per.en}: {what}",
        f"Como máximo {item.limit} por persona{per.es}: {what}",
    )


def _at_least(item: Constraint) -> Text:
    steps = listed(item.steps)
    return Text(f"At least {item.limit} persons: {steps}", f"Al menos {item.limit} personas: {steps}")


def _bind(item: Constraint) -> Text:
    steps = listed(item.steps)
    return Text(f"The same person: {steps}", f"La misma persona: {steps}")


def _votes(item: Constraint) -> Text:
    step = listed(item.steps)
    return Text(f"{item.limit} votes: {step}", f"{item.limit} votos: {step}")


def _roles(item: Constraint) -> Text:
    roles = listed(item.roles)
    if item.dynamic:
        return Text(
            f"At most {item.limit} of these roles on one chain: {roles}",
            f"Como máximo {item.limit} de estas funciones en una misma cadena: {roles}",
        )
    return Text(
        f"At most {item.limit} of these roles: {roles}",
        f"Como máximo {item.limit} de estas funciones: {roles}",
    )


def _relation(item: Constraint) -> Text:
    named = [_ATTRIBUTES[name] for name in (*item.forbid, *item.differ)]
    steps = listed(item.steps)
    return Text(
        f"Unrelated persons ({listed(name.en for name in named)}): {steps}",
        f"Personas sin relación ({listed(name.es for name in named)}): {steps}",
    )


def _wall(item: Constraint) -> Text:
    return Text(
        f"Chinese wall: one {item.dataset} of each {item.conflict_class}",
        f"Barrera de información: un {item.dataset} de cada {item.conflict_class}",
    )


def _cooling_off(item: Constraint) -> Text:
    steps = listed(item.steps)
    return Text(f"Apart in time: {steps}", f"Separados en el tiempo: {steps}")


def _coalition(item: Constraint) -> Text:
    steps = listed(item.steps)
    return Text(
        f"Not by fewer than {item.limit} persons together: {steps}",
        f"No por menos de {item.limit} personas juntas: {steps}",
    )


_TITLES: Final[Mapping[ConstraintKind, Callable[[Constraint], Text]]] = {
    ConstraintKind.SEPARATE: _separate,
    ConstraintKind.AT_MOST: _at_most,
    ConstraintKind.AT_LEAST: _at_least,
    ConstraintKind.BIND: _bind,
    ConstraintKind.VOTES: _votes,
    ConstraintKind.EXCLUSIVE_ROLES: _roles,
    ConstraintKind.RELATION: _relation,
    ConstraintKind.CHINESE_WALL: _wall,
    ConstraintKind.COOLING_OFF: _cooling_off,
    ConstraintKind.COALITION: _coalition,
}
