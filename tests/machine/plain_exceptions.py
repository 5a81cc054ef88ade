"""Whether an exception may be made, and what an act is done under, by the plain model alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from tests.machine.plain_model import World
from tests.machine.plain_words import FIRST, Accepted, Ask, Duty, Lent

# What one person may do too much of, whoever else acts.
OF_ONE = frozenset({"separate", "at_most", "votes", "exclusive_roles"})
LONGEST_LENT = timedelta(days=92)
LONGEST_ACCEPTED = timedelta(days=366)
LOOKED_AT_WITHIN = timedelta(days=1)


def may_lend(world: World, lent: Lent) -> bool:
    """Whether somebody may let somebody else take steps: the own ones, and none with which the other one
    could break a constraint alone that he or she could not break before."""
    if not _of_record(world, lent.person, lent.delegate) or lent.person == lent.delegate:
        return False
    if not world.now < lent.until <= world.now + LONGEST_LENT or not lent.steps:
        return False
    if not lent.steps <= _own(world, lent.person, lent.kind):
        return False
    return not _could_break_more(world, lent)


def ends_by_merging(world: World, lent_to_the_one: Iterable[int]) -> None:
    """Of what was lent to who was found to be another one, by number: what that one could not be lent."""
    waiting = sorted(lent_to_the_one)
    while waiting:
        number = waiting.pop(0)
        left = [item for item in world.lent if item.number not in (number, *waiting)]
        item = next(item for item in world.lent if item.number == number)
        if _could_break_more(replace(world, lent=left), item):
            world.end(number)


def _could_break_more(world: World, lent: Lent) -> bool:
    """Whether a delegate could break a constraint alone, with what is lent and not without."""
    before = _own(world, lent.delegate, lent.kind).union(
        *(
            item.steps
            for item in world.lent
            if (item.delegate, item.kind) == (lent.delegate, lent.kind) and world.now < item.until
        )
    )
    kind = world.kinds[lent.kind]
    duties = [duty for duty in world.duties if duty.then == "deny" and duty.kind in OF_ONE]
    duties = [duty for duty in duties if duty.scope == "chain" and not duty.of_roles]
    duties.append(Duty("whole_chain", "whole_chain", "deny", tuple(kind.mandatory)))

    def could_break(duty: Duty, steps: Iterable[str]) -> bool:
        return world.too_much(duty, {FIRST[kind.id] if step == "amend" else step for step in steps})

    return any(could_break(duty, before | lent.steps) and not could_break(duty, before) for duty in duties)


def may_accept(world: World, accepted: Accepted) -> bool:
    """Whether somebody's conflict may be accepted: by another one, with roles or a coalition, for a time."""
    duty = next(duty for duty in world.duties if duty.id == accepted.rule)
    return (
        _of_record(world, accepted.person, accepted.owner)
        and accepted.person != accepted.owner
        and may_be_accepted(duty)
        and world.now < accepted.until <= world.now + LONGEST_ACCEPTED
    )


def used(world: World, ask: Ask, lifted: Iterable[str]) -> str:
    """The exception by which an act is permitted, of several the one that lets pass most; empty: none."""
    if [*lifted]:
        return "break_glass"
    accepted = any(
        world.applies(duty, ask)
        and world.breaks(duty, ask, who)
        and world.known_to_apply(duty, ask, who)
        and world.accepts(duty, who)
        for duty in world.duties
        for who in ask.hands
    )
    if accepted:
        return "mitigation"
    return "" if ask.beside is None else "delegation"


def lent_by(world: World, ask: Ask) -> frozenset[int]:
    """The delegations, by number, that let somebody do this for longest."""
    numbers = {
        item.number: item.until
        for item in world.lent
        if (item.person, item.delegate, item.kind) == (ask.behalf, ask.person, ask.chain[0])
        and ask.step in item.steps
        and world.now < item.until
    }
    return frozenset(number for number, until in numbers.items() if until == max(numbers.values()))


def may_be_accepted(duty: Duty) -> bool:
    """Whether anybody's conflict with a constraint can be accepted at all."""
    return (duty.of_roles or duty.kind == "coalition") and not duty.absolute


def _of_record(world: World, *persons: int) -> bool:
    """Whoever was found to be somebody else has no roles any more."""
    return all(world.roles[person] for person in persons)


def _own(world: World, person: int, kind: str) -> frozenset[str]:
    steps = {step.id for step in world.kinds[kind].steps} | {"amend"}
    return frozenset(step for step in steps if world.granted(person, kind, step))
