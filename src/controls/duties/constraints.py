"""Duty constraints: one pure function per kind, with its formula.

Guarantees: unknown never loosens (a constraint whose condition cannot be told applies); what became of an
act never helps the person whose act it was (abandoned, void and reopened acts and approvals count against
him or her like performed ones); whoever amends has a hand in what began the chain, so that nobody checks
what he or she has made of it; asking again for one's own step counts once; renaming persons changes nothing;
where somebody acts for somebody else, everything is asked of both, and counts for both ever after.

In the formulas p is the person who asks, s the step asked for, S the constraint's steps, M the mandatory
steps of the chain kind, mine = all steps that p has any act on, in any state and capacity (an amendment is
an act on the first step of the kind, too), and standing(x) = the persons who hold step x as its actors
(claimed or performed). What counts against persons counts on the whole line that the chain is part of
(`controls.duties.lineage`), what must stand on the chain itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import IntEnum
from typing import Final, Protocol

from controls.duties.across import at_most_across, chinese_wall, cooling_off, counted_as, separate_across
from controls.duties.asked import Asked, Violation, counts, in_order, others_of
from controls.duties.built_in import ALWAYS, built_in, with_built_in
from controls.duties.covers import fewest
from controls.duties.relations import relation
from controls.model.chain import ChainKind
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind, Scope

__all__ = [
    "ALWAYS",
    "FORMULAS",
    "Asked",
    "Formula",
    "Past",
    "Violation",
    "applied",
    "built_in",
    "concerns",
    "exclusive_roles",
    "needed_past",
    "past_of",
    "violation",
    "with_built_in",
]


class Formula(Protocol):
    """One constraint kind: why `constraint` is violated if the step were taken, None when it is kept."""

    def __call__(self, constraint: Constraint, /, *, asked: Asked) -> Violation | None: ...


class Past(IntEnum):
    """What there must be on a chain and its lines before a constraint can have anything to say."""

    NONE = 0
    ANY = 1  # an act of anybody
    OWN = 2  # an act of the person who asks


def past_of(asked: Asked) -> Past:
    """What there is, for the person who asks."""
    if asked.everywhere:
        return Past.OWN
    return Past.ANY if asked.history.acts or asked.lineage else Past.NONE


def needed_past(constraint: Constraint, *, kind: ChainKind) -> Past:
    """The past without which the constraint is silent, whoever takes which step of a chain of `kind`."""
    open_steps = sum(1 for step in kind.mandatory if step in constraint.steps)
    match constraint.kind:
        case ConstraintKind.WHOLE_CHAIN:
            return Past.OWN if len(kind.mandatory) > 1 else Past.NONE
        case ConstraintKind.SEPARATE:
            return Past.OWN if constraint.scope is Scope.CHAIN else Past.NONE
        case ConstraintKind.AT_MOST:
            return Past.OWN if constraint.scope is Scope.CHAIN and constraint.limit > 0 else Past.NONE
        case ConstraintKind.VOTES:
            return Past.OWN
        case ConstraintKind.EXCLUSIVE_ROLES:
            return Past.OWN if constraint.dynamic and constraint.limit > 0 else Past.NONE
        case ConstraintKind.BIND | ConstraintKind.RELATION:
            return Past.ANY
        case ConstraintKind.AT_LEAST | ConstraintKind.COALITION:
            # As long as every step is open, each can still go to somebody new.
            return Past.ANY if open_steps >= constraint.limit else Past.NONE
        case _:
            return Past.NONE


def whole_chain(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """Nobody takes part in every mandatory step: violated if s in M and M <= mine | {s}."""
    mandatory = asked.kind.mandatory
    if asked.step not in mandatory:
        return None
    others = tuple(step for step in mandatory if step != asked.step)
    if not asked.mine_of(constraint).issuperset(others):
        return None
    return Violation(
        count=len(mandatory),
        limit=len(mandatory) - 1,
        steps=mandatory,
        acts=asked.acts_of(others, by=constraint),
    )


def sole_actor(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """The last step takes somebody else before it: violated if s = last(M) and no act stands that is not p's
    (what somebody did for p, or p for somebody, is p's)."""
    mandatory = asked.kind.mandatory
    if not mandatory or asked.step != mandatory[-1]:
        return None
    if any(asked.person not in act.hands and act.stands() for act in asked.history.acts):
        return None
    return Violation(count=0, limit=1, steps=(asked.step,), acts=asked.acts_of(asked.mine, by=constraint))


def separate(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """No two of S by one person: violated if mine & (S - {s}) is not empty.

    Where a constraint minds the order of S, those of S - {s} count, here and below, that are listed before s,
    and of the others what is claimed and not yet done (`controls.duties.asked.counts`).
    """
    if constraint.scope is not Scope.CHAIN:
        return separate_across(constraint, asked=asked)
    if asked.mine_of(constraint).isdisjoint(constraint.steps):
        return None
    before = asked.mine_of(constraint).intersection(others_of(constraint, asked.step))
    if not before:
        return None
    acts = asked.acts_of(before, by=constraint)
    if constraint.ordered:
        own = [item for item in asked.in_order(constraint) if item.act.person == asked.person]
        if not own:
            return None
        before, acts = frozenset(item.step for item in own), tuple(item.act for item in own)
    return Violation(count=len(before) + 1, limit=1, steps=in_order(before, constraint.steps), acts=acts)


def at_most(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """At most `limit` of S by one person: violated if |(mine & S) | {s}| > limit.

    With groups, what is counted is the groups of those steps.
    """
    if constraint.scope is not Scope.CHAIN:
        return at_most_across(constraint, asked=asked)
    before = asked.mine_of(constraint).intersection(constraint.steps)
    counted = {counted_as(constraint, step) for step in before} if constraint.groups else before
    count = len(counted) + (counted_as(constraint, asked.step) not in counted)
    if count <= constraint.limit:
        return None
    return Violation(
        count=count,
        limit=constraint.limit,
        steps=constraint.steps,
        acts=asked.acts_of(before - {asked.step}, by=constraint),
    )


def at_least(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """At least `limit` persons in S: violated if |standing(S) | {p}| + the sum over x in M & S of the persons
    that x still takes once p has taken s < limit.

    That is: even if all that is still open in the set went to somebody new, they would be too few. A step
    takes one person, or as many as it has votes. What one did for another is one of the two persons',
    whichever makes them fewer.
    """
    holders = [act for act in asked.history.acts if act.step in constraint.steps and act.stands()]
    if asked.beside or any(act.beside for act in holders):
        count = fewest([asked.hands, *(act.hands for act in holders)])
    else:
        count = len({act.person for act in holders} | {asked.person})
    for step in constraint.steps:
        if count >= constraint.limit:
            return None
        if step in asked.kind.mandatory:
            held = {act.person for act in holders if act.step == step}
            if step == asked.step:
                held.add(asked.person)
            count += max(0, asked.history.needed(step) - len(held))
    if count >= constraint.limit:
        return None
    return Violation(count=count, limit=constraint.limit, steps=constraint.steps, acts=tuple(holders))


def bind(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """All of S by one person: violated if standing(x) - {p} is not empty for some x in S - {s}.

    One person is whoever acts: for whom does not matter.
    """
    if asked.principal:
        return None
    acts = tuple(
        act
        for act in asked.history.acts
        if act.person != asked.person and act.stands()
        if counts(constraint, asked.step, act, on=act.step, now=asked.now)
    )
    if not acts:
        return None
    persons = {act.person for act in acts} | {asked.person}
    taken = {act.step for act in acts}
    return Violation(count=len(persons), limit=1, steps=in_order(taken, constraint.steps), acts=acts)


def votes(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """No vote by who took a step of D, and none of D by who voted: with S = {v} violated if s = v and
    mine & D is not empty, or s in D and v in mine.

    How many votes v takes, and that a person has one, is a matter of order (`controls.duties.order`).
    """
    apart = constraint.distinct_from if asked.step in constraint.steps else constraint.steps
    before = asked.mine_of(constraint).intersection(apart) - {asked.step}
    if not before:
        return None
    return Violation(
        count=len(before) + 1,
        limit=1,
        steps=in_order(before, apart),
        acts=asked.acts_of(before, by=constraint),
    )


def coalition(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """No fewer than `limit` persons do all of S together (Li, Tripunitara and Bizri 2007): violated if
    c + |M & S - {s} without any act| < limit, where c is the size of the smallest group of persons such that
    each step of S that has an act, or is s, has one by a member (with p's on s).

    That is: even if every step of the set that is still open went to somebody new.
    """
    hands: dict[str, set[str]] = {asked.step: set(asked.hands)}
    acts = asked.acts_on(constraint.steps, by=constraint)
    for act in acts:
        hands.setdefault(asked.step_of(act), set()).add(act.person)
    still_open = [step for step in asked.kind.mandatory if step in constraint.steps and step not in hands]
    if len(still_open) >= constraint.limit:
        return None
    count = fewest(frozenset(persons) for persons in hands.values()) + len(still_open)
    if count >= constraint.limit:
        return None
    return Violation(count=count, limit=constraint.limit, steps=constraint.steps, acts=acts)


def exclusive_roles(constraint: Constraint, *, roles: frozenset[str]) -> Violation | None:
    """At most `limit` of the listed roles R by one person: violated if |roles & R| > limit.

    Static (NIST SSD, ANSI INCITS 359): needs no chain, so that a directory is checked before anybody asks.
    """
    together = roles.intersection(constraint.roles)
    if len(together) <= constraint.limit:
        return None
    return Violation(count=len(together), limit=constraint.limit, roles=in_order(together, constraint.roles))


def roles_used(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """At most `limit` of R used by one person on a chain (NIST DSD with the chain for a session): violated if
    |T| > limit for the smallest T <= R such that each step of mine | {s} that some role of R may take is one
    that a role of T may take.
    """
    taken = asked.mine_of(constraint) | {asked.step}
    used: dict[str, frozenset[str]] = {}  # step -> the listed roles that may take it
    for step in taken:
        able = frozenset(group.name for group in constraint.groups if step in group.steps)
        if able:
            used[step] = able
    count = fewest(used.values())
    if count <= constraint.limit:
        return None
    return Violation(
        count=count,
        limit=constraint.limit,
        roles=in_order({role for able in used.values() for role in able}, constraint.roles),
        acts=asked.acts_of(used.keys() - {asked.step}, by=constraint),
    )


def _roles_of(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    if constraint.dynamic:
        return roles_used(constraint, asked=asked)
    return exclusive_roles(constraint, roles=asked.roles)


FORMULAS: Final[Mapping[ConstraintKind, Formula]] = {
    ConstraintKind.WHOLE_CHAIN: whole_chain,
    ConstraintKind.SOLE_ACTOR: sole_actor,
    ConstraintKind.SEPARATE: separate,
    ConstraintKind.AT_MOST: at_most,
    ConstraintKind.AT_LEAST: at_least,
    ConstraintKind.BIND: bind,
    ConstraintKind.VOTES: votes,
    ConstraintKind.EXCLUSIVE_ROLES: _roles_of,
    ConstraintKind.RELATION: relation,
    ConstraintKind.CHINESE_WALL: chinese_wall,
    ConstraintKind.COOLING_OFF: cooling_off,
    ConstraintKind.COALITION: coalition,
}


def concerns(constraint: Constraint, *, kind: ChainKind, step: str) -> bool:
    """Whether the constraint can ever speak when `step` of a chain of `kind` is asked for.

    A constraint without a chain kind holds for every kind that has its steps.
    """
    if constraint.chain not in ("", kind.id):
        return False
    if constraint.kind is ConstraintKind.EXCLUSIVE_ROLES:
        return not constraint.dynamic or any(step in group.steps for group in constraint.groups)
    if constraint.kind is ConstraintKind.WHOLE_CHAIN:
        return step in kind.mandatory
    if constraint.kind is ConstraintKind.SOLE_ACTOR:
        return step in kind.mandatory[-1:]
    if constraint.kind is ConstraintKind.CHINESE_WALL and not constraint.steps:
        return True
    return step in constraint.steps or step in constraint.distinct_from


def violation(constraint: Constraint, *, asked: Asked, facts: Facts) -> Violation | None:
    """Why `constraint`, which concerns the step, speaks; None when it is kept or does not apply now.

    It applies when its period holds at `facts.now` and its condition is not false: what is unknown applies,
    and the violation says which facts were missing.
    """
    found = FORMULAS[constraint.kind](constraint, asked=asked)
    return None if found is None else applied(constraint, found=found, facts=facts)


def applied(constraint: Constraint, *, found: Violation, facts: Facts) -> Violation | None:
    """What remains of a violation `found` by the formula once period and condition are asked.

    They come second because the formula is cheaper and mostly says that all is well.
    """
    if not constraint.effective.holds(facts.now):
        return None
    if constraint.when is None:
        return found
    verdict = constraint.when.evaluate(facts)
    if verdict.truth is Truth.FALSE:
        return None
    if verdict.truth is Truth.TRUE:
        return found
    missing = tuple(dict.fromkeys((*found.missing, *verdict.missing)))
    return replace(found, missing=missing, error=verdict.error)
