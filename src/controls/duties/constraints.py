"""Duty constraints: one pure function per kind, with its formula.

Guarantees: unknown never loosens (a constraint whose condition cannot be told applies); what became of an
act never helps the person whose act it was (abandoned, void and reopened acts and approvals count against
him or her like performed ones); whoever amends has a hand in what began the chain, so that nobody checks
what he or she has made of it; asking again for one's own step counts once; renaming persons changes nothing.

In the formulas p is the person who asks, s the step asked for, S the constraint's steps, M the mandatory
steps of the chain kind, mine = all steps that p has any act on, in any state and capacity (an amendment is
an act on the first step of the kind, too), and standing(x) = the persons who hold step x as its actors
(claimed or performed).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Final, Protocol

from controls.model.chain import AMEND, Act, ChainHistory, ChainKind
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind, Period, Scope
from controls.model.finding import Effect, Text
from controls.model.record import record

ALWAYS: Final = Period()


@record
class Asked:
    """Person p asks for step s on a chain of `kind` with `history`.

    `roles` are those that p holds with all they inherit. `account_histories` are the histories of all
    chains of the account, with or without this one; None says that they could not be told.
    """

    person: str
    step: str
    kind: ChainKind
    history: ChainHistory
    roles: frozenset[str] = frozenset()
    account_histories: tuple[ChainHistory, ...] | None = None
    mine: frozenset[str] = field(init=False)  # steps that count against p on this chain

    def __post_init__(self) -> None:
        mine = self.history.steps_of(self.person)
        if AMEND in mine:
            mine |= self.amended
        object.__setattr__(self, "mine", mine)

    @property
    def amended(self) -> frozenset[str]:
        """The step that an amendment counts as an act on: the one that stated the facts it changes."""
        return frozenset(step.id for step in self.kind.steps[:1])


@record
class Violation:
    """Why a constraint speaks: the count that passes the limit and the earlier acts behind it.

    `steps` (or `roles`) are what was counted. `missing` and `error` say what kept the constraint's
    condition, or the count, from being told; then the constraint applies all the same.
    """

    count: int
    limit: int
    steps: tuple[str, ...] = ()
    acts: tuple[Act, ...] = ()
    roles: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    error: str = ""


class Formula(Protocol):
    """One constraint kind: why `constraint` is violated if the step were taken, None when it is kept."""

    def __call__(self, constraint: Constraint, /, *, asked: Asked) -> Violation | None: ...


def whole_chain(_: Constraint, /, *, asked: Asked) -> Violation | None:
    """Nobody takes part in every mandatory step: violated if s in M and M <= mine | {s}."""
    mandatory = asked.kind.mandatory
    if asked.step not in mandatory or not asked.mine.issuperset(_others(mandatory, asked.step)):
        return None
    return Violation(
        count=len(mandatory),
        limit=len(mandatory) - 1,
        steps=mandatory,
        acts=_acts_of(asked, _others(mandatory, asked.step)),
    )


def sole_actor(_: Constraint, /, *, asked: Asked) -> Violation | None:
    """The last step takes somebody else before it: violated if s = last(M) and no x has standing(x) - {p}."""
    mandatory = asked.kind.mandatory
    if not mandatory or asked.step != mandatory[-1]:
        return None
    if any(act.person != asked.person and act.stands() for act in asked.history.acts):
        return None
    return Violation(count=0, limit=1, steps=(asked.step,), acts=_acts_of(asked, asked.mine))


def separate(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """No two of S by one person: violated if mine & (S - {s}) is not empty."""
    if asked.mine.isdisjoint(constraint.steps):
        return None
    before = asked.mine.intersection(_others(constraint.steps, asked.step))
    if not before:
        return None
    return Violation(
        count=len(before) + 1,
        limit=1,
        steps=_in_order(before, constraint.steps),
        acts=_acts_of(asked, before),
    )


def at_most(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """At most `limit` of S by one person: violated if |(mine & S) | {s}| > limit.

    With scope account: violated if |{(chain, x) : x in S, p has any act on x of a chain of the account}
    | {(this chain, s)}| > limit, and also when the account's chains cannot be told.
    """
    if constraint.scope is Scope.ACCOUNT:
        return _at_most_on_account(constraint, asked=asked)
    counted = asked.mine.intersection(constraint.steps)
    count = len(counted) + (asked.step not in counted)
    if count <= constraint.limit:
        return None
    return Violation(
        count=count,
        limit=constraint.limit,
        steps=constraint.steps,
        acts=_acts_of(asked, counted - {asked.step}),
    )


def at_least(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """At least `limit` persons in S: violated if |standing(S) | {p}| + |M & S - {s} not standing| < limit.

    That is: even if every step of the set that is still open went to somebody new, they would be too few.
    """
    holders = [act for act in asked.history.acts if act.step in constraint.steps and act.stands()]
    held = {act.step for act in holders}
    persons = {act.person for act in holders} | {asked.person}
    mandatory = asked.kind.mandatory
    still_open = [
        step
        for step in dict.fromkeys(constraint.steps)
        if step != asked.step and step not in held and step in mandatory
    ]
    count = len(persons) + len(still_open)
    if count >= constraint.limit:
        return None
    return Violation(count=count, limit=constraint.limit, steps=constraint.steps, acts=tuple(holders))


def bind(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    """All of S by one person: violated if standing(x) - {p} is not empty for some x in S - {s}."""
    others = _others(constraint.steps, asked.step)
    acts = tuple(
        act
        for act in asked.history.acts
        if act.person != asked.person and act.step in others and act.stands()
    )
    if not acts:
        return None
    persons = {act.person for act in acts} | {asked.person}
    taken = {act.step for act in acts}
    return Violation(count=len(persons), limit=1, steps=_in_order(taken, constraint.steps), acts=acts)


def exclusive_roles(constraint: Constraint, *, roles: frozenset[str]) -> Violation | None:
    """At most `limit` of the listed roles R by one person: violated if |roles & R| > limit.

    Static: needs no chain, so that a directory can be checked before anybody asks.
    """
    together = roles.intersection(constraint.roles)
    if len(together) <= constraint.limit:
        return None
    return Violation(count=len(together), limit=constraint.limit, roles=_in_order(together, constraint.roles))


def _roles_of(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    return exclusive_roles(constraint, roles=asked.roles)


FORMULAS: Final[Mapping[ConstraintKind, Formula]] = {
    ConstraintKind.WHOLE_CHAIN: whole_chain,
    ConstraintKind.SOLE_ACTOR: sole_actor,
    ConstraintKind.SEPARATE: separate,
    ConstraintKind.AT_MOST: at_most,
    ConstraintKind.AT_LEAST: at_least,
    ConstraintKind.BIND: bind,
    ConstraintKind.EXCLUSIVE_ROLES: _roles_of,
}


def concerns(constraint: Constraint, *, kind: ChainKind, step: str) -> bool:
    """Whether the constraint can ever speak when `step` of a chain of `kind` is asked for.

    A constraint without a chain kind holds for every kind that has its steps.
    """
    if constraint.chain not in ("", kind.id):
        return False
    if constraint.kind is ConstraintKind.EXCLUSIVE_ROLES:
        return True
    if constraint.kind is ConstraintKind.WHOLE_CHAIN:
        return step in kind.mandatory
    if constraint.kind is ConstraintKind.SOLE_ACTOR:
        return step in kind.mandatory[-1:]
    return step in constraint.steps


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


def built_in(kind: ChainKind) -> tuple[Constraint, ...]:
    """The constraints that every chain kind has, whatever the files say."""
    whole = Constraint(
        id="whole_chain",
        version="1",
        kind=ConstraintKind.WHOLE_CHAIN,
        chain=kind.id,
        then=Effect.DENY,
        title=Text("Nobody handles a whole chain", "Nadie lleva una cadena entera"),
        absolute=True,
    )
    if kind.sole_actor_allowed:
        return (whole,)
    return (
        whole,
        Constraint(
            id="sole_actor",
            version="1",
            kind=ConstraintKind.SOLE_ACTOR,
            chain=kind.id,
            then=Effect.DENY,
            title=Text(
                "The last step is not for the chain's only actor",
                "El último paso no es para quien ha actuado solo en la cadena",
            ),
            absolute=True,
        ),
    )


def with_built_in(
    constraints: Iterable[Constraint], *, chains: Iterable[ChainKind]
) -> tuple[Constraint, ...]:
    """The constraints of a release with the built-in ones of every chain kind that it does not carry itself.

    Raises:
        ValueError: a built-in kind is there in a weaker form (another effect, a condition, a period).
    """
    given = tuple(constraints)
    own = [item for item in given if item.kind in (ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR)]
    for item in own:
        if item.then is not Effect.DENY or item.when is not None or item.effective != ALWAYS:
            raise ValueError(
                f"constraint {item.id!r} weakens {item.kind.value}: that one is built in, so leave it out"
            )
    present = {(item.kind, item.chain) for item in own}
    added = [
        item
        for kind in chains
        for item in built_in(kind)
        if (item.kind, kind.id) not in present and (item.kind, "") not in present
    ]
    return (*added, *given)


def _at_most_on_account(constraint: Constraint, /, *, asked: Asked) -> Violation | None:
    known = asked.account_histories
    this = (asked.history.kind, asked.history.chain, asked.step)
    first: dict[tuple[str, str, str], Act] = {}
    for history in (*(known or ()), asked.history):
        if constraint.chain in ("", history.kind):
            for act in history.acts:
                if act.person == asked.person and act.step in constraint.steps:
                    first.setdefault((history.kind, history.chain, act.step), act)
    count = len(first) + (this not in first)
    if known is not None and count <= constraint.limit:
        return None
    return Violation(
        count=count,
        limit=constraint.limit,
        steps=constraint.steps,
        acts=tuple(act for pair, act in first.items() if pair != this),
        missing=() if known is not None else (f"{asked.kind.resource}.account",),
    )


def _others(steps: tuple[str, ...], step: str) -> tuple[str, ...]:
    return tuple(other for other in steps if other != step)


def _in_order(found: Iterable[str], listed: tuple[str, ...]) -> tuple[str, ...]:
    """`found` in the order in which the rule file lists them."""
    wanted = set(found)
    return tuple(dict.fromkeys(item for item in listed if item in wanted))


def _acts_of(asked: Asked, steps: Iterable[str]) -> tuple[Act, ...]:
    wanted = frozenset(steps)
    if not wanted.isdisjoint(asked.amended):
        wanted |= {AMEND}
    return tuple(act for act in asked.history.acts if act.person == asked.person and act.step in wanted)
