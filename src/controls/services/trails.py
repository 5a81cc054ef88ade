"""Which places of trails a request looks at, and what it reads there.

Guarantees: a trail whose fact the request does not state is not read at all, so that whatever counts on it
applies; chain kinds without trails ask for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from controls.decide import material_of
from controls.duties.moving import Arrival
from controls.ledger.canonical import form_text
from controls.model.chain import AMEND, Act, ChainHistory, ChainKind
from controls.model.people import Account
from controls.model.request import Request
from controls.model.trail import Trail, TrailAct, TrailPlace, TrailReading, of_chain
from controls.model.values import Json, microseconds
from controls.rules.vocabulary import FactReading
from controls.services.commands import Context
from controls.store.trails import TrailKey, TrailQuery, value_digest
from controls.store.workspace import Needs

_MICROSECOND: Final = timedelta(microseconds=1)
_FOR_EVER: Final = -1  # before any act


# What a request looks up: each trail with the place on it.
Places: TypeAlias = tuple[tuple[Trail, TrailQuery], ...]


def trail_places(
    context: Context, request: Request, reading: FactReading, *, kind: ChainKind, account: Account | None
) -> Places:
    """What a request about a step of `kind` looks up on trails; it must be loaded before it is read."""
    return tuple(_looked_up(context, request, reading, kind=kind, account=account))


def read_trails(context: Context, places: Places) -> Mapping[str, TrailReading]:
    """What was loaded, by the name of the trail."""
    return {
        trail.name: TrailReading(context.work.trail(query), query.besides or "") for trail, query in places
    }


def _looked_up(
    context: Context, request: Request, reading: FactReading, *, kind: ChainKind, account: Account | None
) -> Iterator[tuple[Trail, TrailQuery]]:
    trails = context.active.trails.get(kind.id)
    if trails is None:
        return
    step = kind.steps[0].id if request.action == AMEND else request.action
    if account is None or kind.step(step) is None:
        return
    for trail in trails:
        if not trail.concerns(step):
            continue
        query = _query(trail, reading.forms, person=account.person.id, active_at=context.work.at)
        if query is not None:
            yield trail, query


def approval_places(
    context: Context,
    history: ChainHistory,
    held: Mapping[str, Json],
    *,
    kind: ChainKind,
    step: str,
    person: str,
) -> Places:
    """Where an approval of `step` counts: wherever its chain has been and, where the question that is held
    begins the chain or moves it (`held`: its facts), where that says; it must be loaded before it is read."""
    found: dict[tuple[Trail, TrailQuery], None] = {}
    for trail in context.active.trails.get(kind.id, ()):
        if not trail.concerns(step):
            continue
        acts = _counted(trail, history)
        for forms in [*(act.material for act in acts if history.begun()), held]:
            query = _query(trail, forms, person=person, active_at=context.work.at)
            if query is not None:
                found[trail, query] = None
    return tuple(found)


def may_move(context: Context, kind: ChainKind) -> bool:
    """Whether anything is counted by where chains of the kind are."""
    return any(not trail.latest for trail in context.active.trails.get(kind.id, ()))


def earlier_places(context: Context, history: ChainHistory, places: Places) -> Places:
    """The other places where a chain has been, of those trails on which a request looks up `places`: what was
    amended, and what a step states otherwise than the chain did."""
    found: dict[tuple[Trail, TrailQuery], None] = {}
    for trail, stated in places:
        for act in () if trail.latest else _counted(trail, history):
            query = _query(trail, act.material, person=stated.key.person, active_at=context.work.at)
            if query is not None and query != stated:
                found[trail, query] = None
    return tuple(found)


def arrivals(
    context: Context, history: ChainHistory, reading: FactReading, *, kind: ChainKind
) -> Iterator[tuple[Trail, Arrival, tuple[TrailQuery, ...]]]:
    """Where an amendment that states these facts would bring a chain that has not been there, with all that
    must be loaded to know what is there: by whoever has a hand in the chain, from the first act on it on."""
    material = material_of(kind, step=None, forms=reading.forms)
    for trail in context.active.trails.get(kind.id, ()):
        acts = () if trail.latest else _counted(trail, history)
        there = _query(trail, material, person="", active_at=context.work.at)
        if not acts or there is None or any(_is_at(trail, act, there) for act in acts):
            continue
        queries = _whoever_acted(trail, acts, place=there)
        names = (*trail.facts, *filter(None, (trail.part,)))
        moved = tuple(
            TrailAct(kind.id, trail.first if act.step == AMEND else act.step, act, there.besides or "")
            for act in acts
        )
        yield trail, Arrival({name: material[name] for name in names}, moved, None), queries


def places_of(
    context: Context, history: ChainHistory, *, kind: ChainKind
) -> Iterator[tuple[Trail, str, tuple[TrailQuery, ...]]]:
    """Where a chain has been on the trails that constraints look at on a condition, each place with its part
    and all that must be loaded to know what is there, as for `arrivals`."""
    for trail in context.active.trails.get(kind.id, ()):
        if trail.conditional:
            acts = _counted(trail, history)
            stated = (_query(trail, act.material, person="", active_at=0) for act in acts)
            for place in dict.fromkeys(filter(None, stated)):
                yield trail, place.besides or "", _whoever_acted(trail, acts, place=place)


def _whoever_acted(trail: Trail, acts: Sequence[Act], *, place: TrailQuery) -> tuple[TrailQuery, ...]:
    """What is at a place by anybody who has one of these acts, from the first of them on."""
    since = _since(trail, active_at=microseconds(min(act.at for act in acts)))
    persons = [""] if trail.anybody else dict.fromkeys(act.person for act in acts)
    return tuple(
        TrailQuery(TrailKey(trail.name, place.key.value, person), since, place.besides) for person in persons
    )


def arrivals_at_once(
    context: Context, reading: FactReading, *, kind: ChainKind, persons: Iterable[str]
) -> Iterator[TrailQuery]:
    """What `arrivals` looks up where these persons begin the chain in the unit of work that amends it."""
    material = material_of(kind, step=None, forms=reading.forms)
    for trail in context.active.trails.get(kind.id, ()):
        for person in () if trail.latest else persons:
            query = _query(trail, material, person=person, active_at=context.work.at)
            if query is not None:
                yield query


def places_ahead(
    context: Context, history: ChainHistory, material: Mapping[str, Json], *, kind: ChainKind
) -> Places:
    """Where a chain is or has been, on the trails that looking ahead looks at; an act that states `material`
    included. What is not material may be said otherwise at later steps."""
    names = context.active.ahead.reaching(kind.id)
    found: dict[tuple[Trail, TrailQuery], None] = {}
    for trail in context.active.trails.get(kind.id, ()) if names else ():
        if trail.name in names:
            for stated in (material, *(act.material for act in _counted(trail, history))):
                query = _query(trail, stated, person="", active_at=context.work.at)
                if query is not None:
                    found[trail, query] = None
    return tuple(found)


def need_places(needs: Needs, places: Places) -> None:
    """Name what `read_places` reads."""
    for _, query in places:
        needs.places[query.key.place] = min(query.since, needs.places.get(query.key.place, query.since))


def read_places(context: Context, places: Places) -> Mapping[str, tuple[TrailPlace, ...]]:
    """Who has acted there, by the name of the trail. What could not be loaded is not known: where a chain was
    brought in this very unit of work."""
    found: dict[str, tuple[TrailPlace, ...]] = {}
    for trail, query in places:
        hands = context.work.hands_at(query.key.place)
        if hands is not None:
            place = TrailPlace(query.key.value, query.besides or "", hands)
            found[trail.name] = (*found.get(trail.name, ()), place)
    return found


def _is_at(trail: Trail, act: Act, place: TrailQuery) -> bool:
    query = _query(trail, act.material, person="", active_at=0)
    return query is not None and (query.key, query.besides) == (place.key, place.besides)


def _counted(trail: Trail, history: ChainHistory) -> Sequence[Act]:
    """The acts of a chain that count wherever it is on a trail."""
    return of_chain(history.acts, partial(_where, trail))


def _where(trail: Trail, act: Act) -> tuple[str | None, ...] | None:
    """The place that an act states; None where it does not state all of it."""
    place = tuple(act.material.get(fact) for fact in (*trail.facts, *filter(None, (trail.part,))))
    return None if None in place else place


def _query(trail: Trail, forms: Mapping[str, Json], *, person: str, active_at: int) -> TrailQuery | None:
    """The place where the facts say that a request is; None where they do not."""
    value = _stated(trail.facts, forms)
    part = _stated((trail.part,), forms) if trail.part else None
    if value is None or (trail.part and part is None):
        return None
    key = TrailKey(trail.name, value, "" if trail.anybody else person)
    return TrailQuery(key, _since(trail, active_at=active_at), part, trail.latest)


def _stated(facts: tuple[str, ...], forms: Mapping[str, Json]) -> str | None:
    stated = [form_text(forms[fact]) for fact in facts if fact in forms]
    return value_digest(*stated) if len(stated) == len(facts) else None


def _since(trail: Trail, *, active_at: int) -> int:
    return _FOR_EVER if trail.within is None else active_at - trail.within // _MICROSECOND
