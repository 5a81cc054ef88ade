"""Breaches beyond one chain, or of a time between steps: in one pass over the acts of each place.

A place is an account, an instrument, a desk or a conflict class as chains state it (`controls.model.trail`),
and the chain itself for a time that steps are kept apart. What is counted is what `controls.duties.across`
counts when each act is asked for with those before it; here the acts are gone through once, so that a person
with a hundred thousand of them on one account costs as much as a thousand with a hundred.

Guarantees: a chain that was amended from one account to another is one of both, with all its acts; behind a
wall each act counts for the dataset that its chain stated when it was done. Times are as they were when the
later act was asked for: what was only claimed then counted. What a chain does not state is not guessed: it is
at no place. What was approved before a chain began is where `model.trail.of_chain` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Final, TypeAlias

from controls.duties.across import counted_as
from controls.duties.asked import counts
from controls.duties.trails import scope_fact
from controls.model.chain import AMEND, Act, ChainHistory, ChainKind
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.trail import TrailAct, of_chain

_NEVER: Final = datetime.max.replace(tzinfo=UTC)
# A constraint by its number, where it looks, and whose acts (nothing: anybody's).
Place: TypeAlias = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class _Done:
    """An act at a place: its kind of chain, the step that it counts as, and its dataset behind a wall."""

    act: Act
    kind: str
    step: str
    part: str = ""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Acts of several chains, or of one (`kind` and `chain`), that break a constraint; the last one by
    `person`."""

    constraint: Constraint
    person: str
    kind: str
    chain: str
    acts: tuple[Act, ...]


Broken: TypeAlias = Iterator[tuple[Act, ...]]


class Across:
    """Collects acts chain by chain, and tells what they break together."""

    def __init__(self, constraints: Iterable[Constraint]) -> None:
        self.constraints = tuple(filter(is_across, constraints))
        self._places: dict[Place, list[_Done]] = {}

    def add(self, history: ChainHistory, *, kind: ChainKind) -> None:
        """Note the acts of one chain, in ledger order, wherever a constraint looks at them."""
        for number, constraint in enumerate(self.constraints):
            if constraint.chain in ("", kind.id):
                for value, done in _placed(constraint, history, kind):
                    if not constraint.steps or done.step in constraint.steps:
                        anybody = constraint.kind is ConstraintKind.COOLING_OFF
                        place = (number, value, "" if anybody else done.act.person)
                        self._places.setdefault(place, []).append(done)

    def found(self) -> Iterator[Crossing]:
        """The latest breach of each constraint at each place by each person."""
        for place in self._places:
            latest = {crossing.person: crossing for crossing in self._at(place)}
            yield from latest.values()

    def every(self) -> Iterator[Crossing]:
        """Each act that broke a constraint at some place when it was done, with those that it broke it by."""
        for place in self._places:
            yield from self._at(place)

    def _at(self, place: Place) -> Iterator[Crossing]:
        constraint = self.constraints[place[0]]
        on_one = constraint.scope is Scope.CHAIN and constraint.kind is ConstraintKind.COOLING_OFF
        in_order = sorted(self._places[place], key=lambda done: done.act.index)
        for broken in _BROKEN[constraint.kind](constraint, in_order):
            act = broken[-1]
            if constraint.effective.holds(act.at):
                kind, chain = (in_order[0].kind, act.chain) if on_one else (constraint.chain, "")
                yield Crossing(constraint, act.person, kind, chain, broken)


def too_many(constraint: Constraint, items: Iterable[TrailAct]) -> Broken:
    """Acts at one place, given in ledger order, by which one person has more steps there than allowed."""
    found: dict[str, list[_Done]] = {}
    for item in items:
        done = _Done(item.act, item.kind, item.step, item.part)
        found.setdefault(item.act.person, []).append(done)
    for acts in found.values():
        yield from _too_many(constraint, acts)


def is_across(constraint: Constraint) -> bool:
    """Whether the constraint looks beyond one chain, or at the time between steps."""
    if constraint.kind in (ConstraintKind.COOLING_OFF, ConstraintKind.CHINESE_WALL):
        return True
    return constraint.kind in _BROKEN and constraint.scope is not Scope.CHAIN


def _placed(constraint: Constraint, history: ChainHistory, kind: ChainKind) -> Iterator[tuple[str, _Done]]:
    """The acts of a chain, each with the places where the constraint finds it."""
    if constraint.kind is ConstraintKind.CHINESE_WALL:
        yield from _behind_walls(constraint, history, kind)
    elif constraint.scope is Scope.CHAIN:
        for act in history.acts:
            yield f"{history.kind}:{history.chain}", _Done(act, kind.id, _step(act, kind))
    else:
        yield from _at_values(scope_fact(constraint.scope, kind=kind), history, kind)


def _at_values(fact: str, history: ChainHistory, kind: ChainKind) -> Iterator[tuple[str, _Done]]:
    def value_of(act: Act) -> str | None:
        return act.material.get(fact) or None

    acts = of_chain(history.acts, value_of)
    for value in dict.fromkeys(filter(None, map(value_of, acts))):
        for act in acts:
            yield value, _Done(act, kind.id, _step(act, kind))
    for act in _alone(history, acts):
        own = value_of(act)
        if own is not None:
            yield own, _Done(act, kind.id, _step(act, kind))


def _behind_walls(
    constraint: Constraint, history: ChainHistory, kind: ChainKind
) -> Iterator[tuple[str, _Done]]:
    def pair_of(act: Act) -> tuple[str, str] | None:
        value, part = act.material.get(constraint.conflict_class), act.material.get(constraint.dataset)
        return (value, part) if value and part else None

    acts = of_chain(history.acts, pair_of)
    known = next(filter(None, map(pair_of, acts)), None)
    for act in acts:
        known = pair_of(act) or known
        if known is not None:
            yield known[0], _Done(act, kind.id, _step(act, kind), known[1])
    for act in _alone(history, acts):
        own = pair_of(act)
        if own is not None:
            yield own[0], _Done(act, kind.id, _step(act, kind), own[1])


def _alone(history: ChainHistory, acts: Sequence[Act]) -> Iterable[Act]:
    """The acts that do not count where the chain does, of which `acts` do."""
    counted = {act.claim for act in acts}
    return () if len(acts) == len(history.acts) else (x for x in history.acts if x.claim not in counted)


def _step(act: Act, kind: ChainKind) -> str:
    return kind.steps[0].id if act.step == AMEND else act.step


def _recent(constraint: Constraint, earlier: _Done, later: _Done) -> bool:
    return constraint.within is None or earlier.act.younger_than(constraint.within, now=later.act.at)


def _later(one: _Done | None, other: _Done) -> _Done:
    """Of two acts the one that counts for longer, `other` if they are equal."""
    return one if one is not None and _end(one) > _end(other) else other


def _end(done: _Done) -> datetime:
    """When the act began to age; what is only claimed has not yet."""
    return _NEVER if done.act.done_at is None else done.act.done_at


def _kept_apart(constraint: Constraint, acts: list[_Done]) -> Broken:
    """Steps that were taken after others of the constraint, too soon or at all."""
    last: dict[str, _Done] = {}
    for done in acts:
        recent = [
            other
            for other in last.values()
            if _recent(constraint, other, done)
            and counts(constraint, done.step, other.act, on=other.step, now=done.act.at)
        ]
        if recent:
            yield (*(other.act for other in sorted(recent, key=lambda item: item.act.index)), done.act)
        last[done.step] = _later(last.get(done.step), done)


def _too_many(constraint: Constraint, acts: list[_Done]) -> Broken:
    """More steps of chains than allowed, those counted that are recent."""
    counted: dict[tuple[str, str, str], _Done] = {}
    ends: list[tuple[datetime, int, tuple[str, str, str]]] = []  # of those, and of some before: a heap
    for number, done in enumerate(acts):
        key = (done.kind, done.act.chain, counted_as(constraint, done.step))
        if constraint.within is None:
            counted.setdefault(key, done)
            if len(counted) > constraint.limit:
                yield tuple(item.act for item in counted.values())
            continue
        while ends and done.act.at - ends[0][0] >= constraint.within:
            end, _, old = heappop(ends)
            if old in counted and _end(counted[old]) == end:
                del counted[old]
        kept = _later(counted.get(key), done)
        counted[key] = kept
        heappush(ends, (_end(kept), number, key))
        if len(counted) > constraint.limit:
            others = (item for place, item in counted.items() if place != key)
            yield (*(other.act for other in sorted(others, key=lambda item: item.act.index)), done.act)


def _behind_two(constraint: Constraint, acts: list[_Done]) -> Broken:
    """Acts for one dataset of a conflict class after others for another."""
    last: dict[str, _Done] = {}
    for done in acts:
        recent = [
            other for part, other in last.items() if part != done.part and _recent(constraint, other, done)
        ]
        if recent:
            yield (*(other.act for other in sorted(recent, key=lambda item: item.act.index)), done.act)
        last[done.part] = _later(last.get(done.part), done)


_BROKEN: Final[Mapping[ConstraintKind, Callable[[Constraint, list[_Done]], Broken]]] = {
    ConstraintKind.SEPARATE: _kept_apart,
    ConstraintKind.COOLING_OFF: _kept_apart,
    ConstraintKind.AT_MOST: _too_many,
    ConstraintKind.CHINESE_WALL: _behind_two,
}
