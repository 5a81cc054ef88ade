"""How persons stand to each other: reporting lines, households, departments and desks.

Guarantees: what the directory does not know is never taken for "not related". The line of whoever is at the
top ends in that person: he or she reports to himself or herself; an empty superior is one that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from controls.duties.asked import Asked, Violation, in_order, others_of
from controls.model.condition import Truth
from controls.model.duty import Constraint
from controls.model.people import Profile

Profiles: TypeAlias = Mapping[str, Profile]
# Whether two persons are related, and what of the directory was missing to tell.
Told: TypeAlias = tuple[Truth, tuple[str, ...]]
OF_DIRECTORY: Final = "directory."  # begins the names of what the directory does not say


def relation(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """Nobody acts beside a related person: violated if there is an act of some q on some x in S - {s}, and it
    is not known that no listed relation holds between p and q. (Everybody is of his or her own household.)
    """
    if constraint.ordered:
        others = tuple(item.act for item in asked.in_order(constraint))
    else:
        others = asked.acts_on(others_of(constraint, asked.step), by=constraint)
    if not others:
        return None
    listed = (*constraint.forbid, *constraint.differ)
    told = {person: _related(asked, person, listed) for person in {act.person for act in others}}
    related = [act for act in others if told[act.person][0]]
    doubtful = [act for act in others if told[act.person][1]]
    acts = related or doubtful
    if not acts:
        return None
    held = {name for act in related for name in told[act.person][0]}
    missing = {name: None for act in (() if related else doubtful) for name in told[act.person][1]}
    return Violation(
        count=len({act.person for act in acts}),
        limit=0,
        steps=in_order({asked.step_of(act) for act in acts}, constraint.steps),
        acts=tuple(acts),
        relations=in_order(held, listed) or listed,
        missing=tuple(missing),
    )


def reports_to(person: str, superior: str, *, profiles: Profiles) -> Told:
    """Whether `superior` is above `person`, directly or not. A circle has nobody above it."""
    seen: set[str] = set()
    below = person
    while below not in seen:
        seen.add(below)
        above = _attribute(below, "reports_to", profiles)
        if not above:
            return Truth.UNKNOWN, (_name(below, "reports_to"),)
        if above == superior and above != below:
            return Truth.TRUE, ()
        below = above
    return Truth.FALSE, ()


def _line(one: str, other: str, profiles: Profiles) -> Told:
    """Whether one of two persons is above the other; nobody is above himself or herself."""
    if one == other:
        return Truth.FALSE, ()
    up, missing_up = reports_to(one, other, profiles=profiles)
    down, missing_down = reports_to(other, one, profiles=profiles)
    if Truth.TRUE in (up, down):
        return Truth.TRUE, ()
    missing = tuple(dict.fromkeys((*missing_up, *missing_down)))
    return (Truth.UNKNOWN if missing else Truth.FALSE), missing


def _same(attribute: str) -> Callable[[str, str, Profiles], Told]:
    """Whether two persons have the same of something."""

    def same(one: str, other: str, profiles: Profiles) -> Told:
        if one == other:
            return Truth.TRUE, ()
        values = {person: _attribute(person, attribute, profiles) for person in (one, other)}
        missing = tuple(_name(person, attribute) for person, value in values.items() if not value)
        if missing:
            return Truth.UNKNOWN, missing
        return (Truth.TRUE if values[one] == values[other] else Truth.FALSE), ()

    return same


RELATIONS: Final[Mapping[str, Callable[[str, str, Profiles], Told]]] = {
    "reports_to": _line,
    "household": _same("household"),
    "department": _same("department"),
    "desk": _same("desk"),
}


def _related(asked: Asked, other: str, listed: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The listed relations in which p and another person stand, and what was missing to tell of the rest."""
    held: list[str] = []
    missing: list[str] = []
    for name in listed:
        truth, unknown = RELATIONS[name](asked.person, other, asked.profiles)
        if truth is Truth.TRUE:
            held.append(name)
        missing += unknown
    return tuple(held), tuple(missing)


def _attribute(person: str, attribute: str, profiles: Profiles) -> str:
    profile = profiles.get(person)
    return "" if profile is None else str(getattr(profile, attribute))


def _name(person: str, attribute: str) -> str:
    """What a finding calls something that the directory does not say."""
    return f"{OF_DIRECTORY}{person}.{attribute}"
