"""What constraints that reach beyond a chain hold against those who could do the rest of it.

Guarantees: what is held against somebody is held for longer than anybody waits (`WAIT`); it is what the
formulas of walls and of what separates steps over an account, an instrument or a desk (`across`) say at each
of the steps, asked then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from controls.duties.chain_rules import WAIT, ChainRules
from controls.duties.later import Taken
from controls.duties.remaining_people import Beyond
from controls.model.chain import AMEND
from controls.model.duty import Constraint, ConstraintKind
from controls.model.trail import TrailAct, TrailPlace
from controls.model.values import microseconds

_Held: TypeAlias = Iterable[tuple[str, int]]


def held_beyond(rules: ChainRules, taken: Taken) -> Beyond:
    """What is held against whom once the act is done; nothing of limits whose places are not known."""
    found: list[tuple[int, tuple[tuple[str, int], ...]]] = []
    for number, trail in rules.reaching:
        places = taken.places.get(trail)
        if places is not None:
            constraint = rules.limits[number].constraint
            wall = constraint.kind is ConstraintKind.CHINESE_WALL
            walls = _walled(constraint, rules, taken, places)
            held = walls if wall else _separated(constraint, rules, taken, places)
            found.append((number, _together(held)))
    return tuple(found)


def held_besides(rules: ChainRules, beyond: Beyond, taken: Taken, line: Sequence[TrailAct]) -> Beyond:
    """The same with what separates steps holds against persons of their acts on a line, wherever it is."""
    found: list[tuple[int, tuple[tuple[str, int], ...]]] = []
    for number, held in beyond:
        constraint = rules.limits[number].constraint
        wall = constraint.kind is ConstraintKind.CHINESE_WALL
        found.append((number, held if wall else _together((*held, *_of(line, constraint, rules, taken)))))
    return tuple(found)


def _separated(
    constraint: Constraint, rules: ChainRules, taken: Taken, places: Sequence[TrailPlace]
) -> Iterator[tuple[str, int]]:
    since = _since(constraint, taken)
    for place in places:
        for hand in place.hands:
            if hand.at > since and hand.step in constraint.steps and constraint.chain in ("", hand.kind):
                yield hand.person, _bit(hand.step, rules)
    yield from _of(_own(rules, taken), constraint, rules, taken)


def _walled(
    constraint: Constraint, rules: ChainRules, taken: Taken, places: Sequence[TrailPlace]
) -> Iterator[tuple[str, int]]:
    since, named = _since(constraint, taken), frozenset(constraint.steps)
    for place in places:
        for hand in place.hands:
            if hand.at > since and hand.part != place.part and (not named or hand.step in named):
                yield hand.person, 1
    if len({place.part for place in places}) > len({place.value for place in places}):
        # The chain was moved and is on two sides of the wall, and so is everybody with a hand in it.
        for item in _own(rules, taken):
            if not named or item.step in named:
                yield item.act.person, 1


def _own(rules: ChainRules, taken: Taken) -> Iterator[TrailAct]:
    for act in (*taken.history.acts, taken.act):
        yield TrailAct(rules.kind.id, act.step if act.step != AMEND else rules.steps[0], act)


def _of(acts: Iterable[TrailAct], constraint: Constraint, rules: ChainRules, taken: Taken) -> _Held:
    """The steps that count against persons for long enough."""
    until, within = _until(taken), _within(constraint)
    for item in acts:
        named = item.step in constraint.steps and constraint.chain in ("", item.kind)
        if named and item.act.younger_than(within, now=until):
            yield item.act.person, _bit(item.step, rules)


def _bit(step: str, rules: ChainRules) -> int:
    return rules.bits.get(step) or rules.foreign.get(step, 0)


def _until(taken: Taken) -> datetime:
    """What is forgotten by then is not held."""
    return taken.moment + WAIT


def _since(constraint: Constraint, taken: Taken) -> int:
    """Marks that are no later than this (microseconds) are of what is forgotten by then."""
    return microseconds(_until(taken) - _within(constraint))


def _within(constraint: Constraint) -> timedelta:
    assert constraint.within is not None, "what counts for ever does not reach beyond a chain"
    return constraint.within


def _together(held: _Held) -> tuple[tuple[str, int], ...]:
    """All steps of each person, by name."""
    found: dict[str, int] = {}
    for person, steps in held:
        found[person] = found.get(person, 0) | steps
    return tuple(sorted(found.items()))
