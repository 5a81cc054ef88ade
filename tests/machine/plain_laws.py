"""What must be true of a history, and of what is left to do, by the plain model alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, permutations
from typing import TypeAlias

from tests.machine.plain_model import World
from tests.machine.plain_words import Act, Ask, Chain, Duty

# Nobody waits longer until something may be done.
LONGEST_WAIT = timedelta(hours=24)
# What waits for time to pass: nobody is kept from a step for good by these.
TIMED = frozenset({"cooling_off", "chinese_wall"})


# A constraint, the line or chain where it is broken, and by whom.
Broken: TypeAlias = tuple[str, object, object]


class Unsettled(Exception):
    """Too much would have to be tried."""


def broken(world: World) -> frozenset[Broken]:
    """Each constraint that denies and that the history as it stands violates; with where: whatever the facts,
    or by those in force of a chain.

    Said of the history as a whole: not step by step, as verdicts are.
    """
    return frozenset(_broken(world))


def unexcused(world: World, excused: Iterable[Broken]) -> list[Broken]:
    """What is broken that was not, where it is now or on a part of that."""

    def within(part: object, whole: object) -> bool:
        sets = isinstance(part, frozenset) and isinstance(whole, frozenset)
        return part == whole or (sets and part <= whole)  # type: ignore[operator]

    return [
        (rule, where, who)
        for rule, where, who in broken(world)
        if not any(rule == known and who == whose and within(part, where) for known, part, whose in excused)
    ]


def _broken(world: World) -> Iterator[Broken]:
    chains = {act.chain for act in world.acts}
    lines = {frozenset(line) for chain in chains for line in world.lines(chain)}
    duties = [
        duty
        for duty in world.duties
        if duty.then == "deny" and not duty.large and not duty.ordered and not duty.of_roles
    ]
    whole = [
        Duty("whole_chain", "whole_chain", "deny", tuple(kind.mandatory)) for kind in world.kinds.values()
    ]
    for line in lines:
        hands, actors = dict[int, set[str]](), dict[int, set[str]]()
        for act in world.acts:
            if act.chain in line:
                hands.setdefault(act.person, set()).add(act.counts)
                if act.capacity != "approver":
                    actors.setdefault(act.person, set()).add(act.counts)
        for duty in (*whole, *(duty for duty in duties if duty.scope == "chain")):
            for person, steps in hands.items():
                if world.too_much(duty, steps):
                    yield duty.id, line, person
            if duty.kind == "relation":
                for (one, these), (other, those) in combinations(actors.items(), 2):
                    different = any(a != b for a in these & {*duty.steps} for b in those & {*duty.steps})
                    if different and world.related(duty, one, other):
                        yield duty.id, line, frozenset({one, other})
        for duty in world.duties:
            if duty.ordered and (duty.kind, duty.then, duty.scope) == ("separate", "deny", "chain"):
                yield from ((duty.id, line, who) for who in _out_of_order(world, line, duty))
    for duty in duties:
        yield from _broken_beyond(world, duty)
    for chain in chains:
        kind = world.kinds[chain[0]]
        stand = [act for act in world.on(chain) if act.stands]
        if world.alone(chain, stand):
            yield "sole_actor", chain, frozenset(act.person for act in stand)
        by_amount = [
            duty
            for duty in world.duties
            if duty.large and duty.then == "deny" and not duty.ordered and not duty.of_roles
            if kind.material and world.in_force(chain).get("amount") != "small" and duty.scope == "chain"
        ]
        yield from _broken_as_amended(world, chain, by_amount)
        for duty in (*duties, *by_amount):
            if not {*duty.steps} <= {step.id for step in kind.steps}:
                continue
            holders = {step: {act.person for act in world.standing(chain, step)} for step in duty.steps}
            apart = (a and b and len(a | b) > 1 for a, b in combinations(holders.values(), 2))
            if duty.kind == "bind" and any(apart):
                yield duty.id, chain, frozenset().union(*holders.values())
            if duty.kind == "at_least":
                ask = Ask(None, chain, "", world.in_force(chain))
                acts = [act for step in duty.steps for act in world.standing(chain, step)]
                few = world.fewest(act.hands for act in acts) if acts else duty.limit
                if world.most_persons(duty, ask, acts) == few < duty.limit:
                    yield duty.id, chain, frozenset().union(*holders.values())


def _out_of_order(world: World, line: frozenset[Chain], duty: Duty) -> Iterator[int]:
    """Who did a step after one that is listed before it, or may still do so."""
    acts = [act for act in world.acts if act.chain in line and act.counts in duty.steps]
    for (number, one), (place, other) in permutations(enumerate(acts), 2):
        listed = duty.steps.index(one.counts) < duty.steps.index(other.counts)
        done_before = place < number and other.done is not None and other.done <= one.at
        if listed and one.person == other.person and not done_before and not duty.large:
            yield one.person


def _broken_as_amended(world: World, chain: Chain, duties: Iterable[Duty]) -> Iterator[Broken]:
    """What persons' acts on a chain break by the facts in force: of those that it rests on."""
    rests = [act for act in world.on(chain) if act.state != "reopened"]
    hands: dict[int, set[str]] = {}
    for act in rests:
        hands.setdefault(act.person, set()).add(act.counts)
    for duty in duties:
        for person, steps in hands.items():
            if world.too_much(duty, steps):
                yield duty.id, chain, person
        if duty.kind == "relation":
            acted = [act for act in rests if act.capacity != "approver" and act.counts in duty.steps]
            for one, other in combinations(acted, 2):
                apart = one.counts != other.counts and one.person != other.person
                if apart and world.related(duty, one.person, other.person):
                    yield duty.id, chain, frozenset({one.person, other.person})


def _broken_beyond(world: World, duty: Duty) -> Iterator[Broken]:
    """What one person's acts on chains of one place break; a chain that was moved is of all its places, but
    breaks no wall by itself."""
    wall = duty.kind == "chinese_wall"
    if not wall and (duty.scope == "chain" or duty.kind == "cooling_off"):
        return
    names = ("sector", "issuer") if wall else (duty.scope,)
    found: dict[tuple[str, int], list[tuple[Act, str]]] = {}
    for act in world.acts:
        for said in world.places(act, *names):
            if not duty.steps or act.counts in duty.steps:
                found.setdefault((said[0], act.person), []).append((act, said[-1]))
    for (place, person), acts in found.items():
        for last, part in acts:
            recent = [
                (act, other) for act, other in acts if act.at <= last.at and act.younger(duty.within, last.at)
            ]  # those of the same moment, too
            match duty.kind:
                case "chinese_wall":
                    bad = any(other != part and act.chain != last.chain for act, other in recent)
                case "separate":
                    bad = any(act.counts != last.counts for act, _ in recent)
                case _:
                    bad = len({(act.chain, act.counts) for act, _ in recent}) > duty.limit
            if bad:
                yield duty.id, place, person
                break


def can_be_finished(
    world: World, chain: Chain, facts: Mapping[str, str], people: Iterable[int], *, tries: int = 400
) -> bool:
    """Whether people who are there can do what remains of a chain, by trying every way.

    Claims are taken as performed. A review can be had with a supervisor's word, and time passes. People take
    steps for others, too, where the world has delegations.

    Raises:
        Unsettled: after so many tries.
    """
    kind, people = world.kinds[chain[0]], sorted(people)
    lasting = tuple(duty for duty in world.duties if duty.kind not in TIMED and duty.scope == "chain")
    near = {other for line in world.lines(chain) for other in line}
    beyond = [duty for duty in world.duties if _keeps_for_long(duty, kind.material)]
    world = _performed(world)
    far = [act for act in world.acts if act.chain not in near]
    world = replace(world, duties=lasting, acts=[act for act in world.acts if act.chain in near])
    left = [tries]
    seen: set[frozenset[tuple[str, int, int | None]]] = set()
    lent = [item for item in world.lent if item.kind == kind.id and item.delegate in people]
    takers = [
        *((person, None) for person in people),
        *sorted({(item.delegate, item.person) for item in lent}),
    ]

    def rest(now: World) -> list[str]:
        ask = Ask(None, chain, "", facts)
        needed = set(kind.mandatory)
        # Of optional steps those count that somebody has begun.
        needed |= {
            act.step
            for act in now.on(chain)
            if not kind.free and act.acted and act.step != "amend"
            if act.stands or act.state == "reopened"
        }
        return [step for step in sorted(needed) if not now.performed(ask, step)]

    def finish(now: World) -> bool:
        state = frozenset((act.step, act.person, act.beside) for act in now.on(chain) if act.stands)
        if state in seen:
            return False
        seen.add(state)
        remaining = rest(now)
        if not remaining:
            return True
        for step in remaining:
            for person, behalf in takers:
                if left[0] == 0:
                    raise Unsettled
                left[0] -= 1
                ask = Ask(person, chain, step, facts, behalf=behalf)
                if "deny" in now.verdict(ask).values():
                    continue
                everywhere = replace(now, acts=[*far, *now.acts], now=now.now + LONGEST_WAIT)
                if any(_denied(everywhere, duty, ask) for duty in beyond):
                    continue
                after = replace(now, acts=[*now.acts])
                after.take(ask, "")
                if finish(_performed(after)):
                    return True
        return False

    return finish(world)


def _keeps_for_long(duty: Duty, material: Collection[str]) -> bool:
    """Whether it looks beyond the chain for what keeps somebody from a step for longer than anybody waits.
    Where a chain is that may say something else at each step, nobody knows."""
    place = "sector" if duty.kind == "chinese_wall" else duty.scope
    return duty.within > LONGEST_WAIT and duty.kind in ("separate", "chinese_wall") and place in material


def _denied(world: World, duty: Duty, ask: Ask) -> bool:
    return duty.then == "deny" and any(
        world.applies(duty, ask) and world.breaks(duty, ask, who) and not world.accepts(duty, who)
        for who in ask.hands
    )


def _performed(world: World) -> World:
    claimed = {act.decision for act in world.acts if act.stands and act.done is None}
    done = [replace(act, done=world.now) if act.decision in claimed else act for act in world.acts]
    return replace(world, acts=[replace(act, state="performed") if act.stands else act for act in done])
