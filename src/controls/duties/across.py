"""Constraints that look beyond one chain: scopes, cooling-off periods and Chinese walls; one formula each.

In the formulas p is the person who asks, s the step asked for, S the constraint's steps, and the trail is the
acts on chains that share a value with this one (its account, instrument or desk, or its conflict class),
those of this chain included. A chain that was amended from one value to another is on the trails of both, so
that each of them is asked. An act is recent if it is younger than `within`: now - done(act) < within. There
done(act) is when it was reported as performed, or when its claim ended in another way; what is only claimed
can be performed at any time, so it is recent for as long as it is that (nobody waits out a time under a
claim). The step asked for is measured when it is asked for. What cannot be told is a violation that names the
fact which was missing. Every act counts, whatever became of it. What keeps steps apart looks at the whole
line of the chain besides (`controls.duties.lineage`); what limits how much is done on an account, instrument
or desk counts the chains of that one, whatever they come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from controls.duties.asked import Asked, Violation, counts, in_order, others_of
from controls.duties.trails import scope_fact, trail_name
from controls.model.chain import Act
from controls.model.duty import Constraint, Scope
from controls.model.trail import TrailAct, TrailReading

_NOTHING: Final = TrailReading()


def separate_across(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """No two of S by one person on the trail: violated if p has a recent act on it on some x in S - {s}."""
    found = _apart(constraint, asked=asked)
    mine = [item for item in found if item.act.person == asked.person]
    missing = _missing(constraint, asked=asked)
    if not mine and not missing:
        return None
    steps = {item.step for item in mine}
    return Violation(
        count=len(steps) + 1,
        limit=1,
        steps=in_order(steps, constraint.steps) or others_of(constraint, asked.step),
        acts=_acts(mine),
        missing=missing,
    )


def at_most_across(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """At most `limit` of S by one person on the trail: violated if |{(chain, x) : x in S, p has a recent act
    on x of a chain of the trail} | {(this chain, s)}| > limit; with groups, x is the step's group.
    """
    this = (asked.kind.id, asked.history.chain, counted_as(constraint, asked.step))
    missing = _missing(constraint, asked=asked)
    for reading in _readings(constraint, asked=asked):
        first: dict[tuple[str, str, str], TrailAct] = {}
        for item in _counted(constraint, asked=asked, steps=constraint.steps, besides=reading.acts):
            if item.act.person == asked.person:
                first.setdefault((item.kind, item.act.chain, counted_as(constraint, item.step)), item)
        count = len(first) + (this not in first)
        if count > constraint.limit or missing:
            return Violation(
                count=count,
                limit=constraint.limit,
                steps=constraint.steps,
                acts=_acts(item for pair, item in first.items() if pair != this),
                missing=missing,
            )
    return None


def cooling_off(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """No two of S closer than `apart`, whoever takes them: violated if there is an act on some x in S - {s},
    of this chain or (beyond scope chain) of the trail, that is younger than `apart`: now - done(act) < apart.

    That is: the pause begins when x is done, not when it was claimed. As long as x is only claimed it has not
    begun, and when it ends cannot be told: the step asked for waits.
    """
    found = _apart(constraint, asked=asked)
    missing = _missing(constraint, asked=asked)
    if not found and not missing:
        return None
    return Violation(
        count=len(found),
        limit=0,
        steps=in_order({item.step for item in found}, constraint.steps) or others_of(constraint, asked.step),
        acts=_acts(found),
        until=_end(found, constraint.within),
        missing=missing,
    )


def chinese_wall(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """One dataset of a conflict class for each person (Brewer and Nash 1989): violated if p has a recent act
    on a chain of the same class and of another dataset than this one, or one of the two is not stated.
    """
    if trail_name(constraint) not in asked.trails:
        return Violation(count=0, limit=1, missing=(constraint.conflict_class, constraint.dataset))
    for reading in _readings(constraint, asked=asked):
        other = [
            item
            for item in reading.acts
            if item.act.person == asked.person
            and item.part != reading.part
            and _recent(item.act, asked=asked, within=constraint.within)
            and (not constraint.steps or item.step in constraint.steps)
        ]
        if other:
            return Violation(
                count=len({item.part for item in other}) + 1,
                limit=1,
                acts=_acts(other),
                until=_end(other, constraint.within),
            )
    return None


def counted_as(constraint: Constraint, step: str) -> str:
    """What a step is counted as: its group, where the constraint has groups, else itself."""
    return next((group.name for group in constraint.groups if step in group.steps), step)


def _apart(constraint: Constraint, *, asked: Asked) -> list[TrailAct]:
    """The recent acts that the step is kept apart from, of the line, too."""
    steps = others_of(constraint, asked.step)
    there = (item for reading in _readings(constraint, asked=asked) for item in reading.acts)
    found = _counted(constraint, asked=asked, steps=steps, besides=(*asked.lineage, *there))
    if not constraint.ordered:
        return found
    return [item for item in found if counts(constraint, asked.step, item.act, on=item.step, now=asked.now)]


def _readings(constraint: Constraint, *, asked: Asked) -> tuple[TrailReading, ...]:
    """What was read at each place of the chain; of no place, where that cannot be told, nothing."""
    reading = asked.trails.get(trail_name(constraint), _NOTHING)
    return (reading, *reading.elsewhere)


def _counted(
    constraint: Constraint, *, asked: Asked, steps: Iterable[str], besides: Iterable[TrailAct]
) -> list[TrailAct]:
    """The recent acts on `steps`, of this chain and `besides`, once each, in ledger order."""
    wanted = frozenset(steps)
    here = [TrailAct(asked.kind.id, asked.step_of(act), act) for act in asked.history.acts]
    found: dict[tuple[str, str, str], TrailAct] = {}
    for item in (*here, *besides):
        if (
            item.step in wanted
            and constraint.chain in ("", item.kind)
            and _recent(item.act, asked=asked, within=constraint.within)
        ):
            found.setdefault((item.kind, item.act.chain, item.act.claim), item)
    return sorted(found.values(), key=lambda item: (item.act.index, item.act.claim))


def _recent(act: Act, *, asked: Asked, within: timedelta | None) -> bool:
    return within is None or act.younger_than(within, now=asked.now)


def _missing(constraint: Constraint, *, asked: Asked) -> tuple[str, ...]:
    """The fact that was not stated and says where the trail is; nothing where it is known or not needed."""
    if constraint.scope is Scope.CHAIN or trail_name(constraint) in asked.trails:
        return ()
    return (scope_fact(constraint.scope, kind=asked.kind),)


def _end(found: Sequence[TrailAct], within: timedelta | None) -> datetime | None:
    """The moment at which the latest of the acts is no longer recent; None while one is only claimed."""
    done = [item.act.done_at for item in found if item.act.done_at is not None]
    if within is None or not done or len(done) < len(found):
        return None
    return max(done) + within


def _acts(items: Iterable[TrailAct]) -> tuple[Act, ...]:
    return tuple(item.act for item in items)
