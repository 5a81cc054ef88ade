"""Which places of trails a request looks at, and what it reads there.

Guarantees: a trail whose fact the request does not state is not read at all, so that whatever counts on it
applies; chain kinds without trails ask for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Final, TypeAlias

from controls.ledger.canonical import form_text
from controls.model.chain import AMEND, Act, ChainHistory, ChainKind
from controls.model.people import Account
from controls.model.request import Request
from controls.model.trail import Trail, TrailReading, of_chain
from controls.model.values import Json
from controls.rules.vocabulary import FactReading
from controls.services.commands import Context
from controls.store.trails import TrailKey, TrailQuery, value_digest

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
    """Where an approval of `step` counts: wherever its chain has been or, before anybody has begun that,
    where the facts say of the question that is held; it must be loaded before it is read."""
    found: dict[tuple[Trail, TrailQuery], None] = {}
    for trail in context.active.trails.get(kind.id, ()):
        if not trail.concerns(step):
            continue
        acts = of_chain(history.acts, partial(_where, trail))
        for forms in [act.material for act in acts] if history.begun() else [held]:
            query = _query(trail, forms, person=person, active_at=context.work.at)
            if query is not None:
                found[trail, query] = None
    return tuple(found)


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
