"""Small chains, acts and constraints for the tests of duties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from controls.duties.constraints import Asked
from controls.duties.hearing import Question
from controls.model.chain import (
    Act,
    ActState,
    Capacity,
    ChainHistory,
    ChainKind,
    Repeats,
    Step,
)
from controls.model.condition import Condition, Facts, Truth, Verdict
from controls.model.duty import Constraint, ConstraintKind, Grant, Period, Scope
from controls.model.finding import Effect, Finding, Text
from controls.model.people import Person, Profile
from controls.model.trail import TrailAct, TrailReading

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
STEPS = ("capture", "approve", "execute", "allocate", "settle")


@dataclass(slots=True)
class Fixed:
    """A condition whose truth is given."""

    truth: Truth
    missing: tuple[str, ...] = ()
    error: str = ""
    source: str = 'order.side == "buy"'
    names: frozenset[str] = frozenset({"order.side"})

    def evaluate(self, _: Facts) -> Verdict:
        return Verdict(self.truth, missing=self.missing, error=self.error)

    def test(self, _: Facts) -> int:
        return int(self.truth)


@dataclass(slots=True)
class Counting:
    """A condition that is true and counts how often it was asked."""

    asked: list[Facts] = field(default_factory=list)
    source: str = "true"
    names: frozenset[str] = frozenset()

    def evaluate(self, facts: Facts) -> Verdict:
        self.asked.append(facts)
        return Verdict(Truth.TRUE)

    def test(self, facts: Facts) -> int:
        return int(self.evaluate(facts).truth)


def a_step(
    name: str,
    *,
    after: tuple[str, ...] = (),
    optional: bool = False,
    repeats: Repeats = Repeats.NEVER,
    reapprove: bool = False,
    material: tuple[str, ...] | None = None,
    votes: int = 1,
) -> Step:
    return Step(
        id=name,
        title=Text(name.capitalize(), f"{name.capitalize()} (es)"),
        after=after,
        optional=optional,
        repeats=repeats,
        reapprove=reapprove,
        material=material,
        votes=votes,
    )


def a_kind(
    *steps: Step,
    name: str = "order_chain",
    resource: str = "order",
    free: bool = False,
    progress_claimed: bool = False,
    sole_actor_allowed: bool = False,
    material: tuple[str, ...] = (),
    resembles: timedelta | None = None,
) -> ChainKind:
    """A chain kind; without steps the five of `STEPS`, each after the one before."""
    given = steps or tuple(a_step(step, after=STEPS[max(0, at - 1) : at]) for at, step in enumerate(STEPS))
    return ChainKind(
        id=name,
        title=Text(name, name),
        resource=resource,
        steps=given,
        material=material,
        free_order=free,
        progress_claimed=progress_claimed,
        sole_actor_allowed=sole_actor_allowed,
        resembles=resembles,
    )


KIND = a_kind()


def an_act(
    step: str,
    person: str,
    *,
    state: ActState = ActState.PERFORMED,
    capacity: Capacity = Capacity.ACTOR,
    at: datetime = NOW,
    done_at: datetime | None = None,
    valid_for: timedelta = timedelta(hours=24),
    material: Mapping[str, str] | None = None,
    chain: str = "O-1",
    index: int = 0,
) -> Act:
    """An act; unless `done_at` says when, one that is not only claimed was done at once."""
    return Act(
        claim=f"clm-{chain}-{step}-{person}",
        decision="dec",
        chain=chain,
        step=step,
        person=person,
        account=f"acc-{person}",
        capacity=capacity,
        state=state,
        at=at,
        done_at=at if done_at is None and state is not ActState.CLAIMED else done_at,
        valid_until=at + valid_for,
        index=index,
        material=material or {},
    )


def a_history(*acts: Act, kind: str = "order_chain", chain: str = "O-1") -> ChainHistory:
    return ChainHistory(kind=kind, chain=chain, acts=acts)


def done(*pairs: tuple[str, str], chain: str = "O-1", kind: str = "order_chain") -> ChainHistory:
    """A history of performed steps: (step, person) in order."""
    return a_history(*(an_act(step, person, chain=chain) for step, person in pairs), chain=chain, kind=kind)


def a_constraint(
    kind: ConstraintKind,
    *steps: str,
    name: str = "rule",
    chain: str = "order_chain",
    then: Effect = Effect.DENY,
    limit: int = 0,
    roles: tuple[str, ...] = (),
    scope: Scope = Scope.CHAIN,
    when: Condition | None = None,
    effective: Period | None = None,
    message: Text | None = None,
    **more: Any,
) -> Constraint:
    return Constraint(
        id=name,
        version="7",
        kind=kind,
        chain=chain,
        then=then,
        title=Text("A rule", "Una regla"),
        steps=steps,
        roles=roles,
        limit=limit,
        scope=scope,
        when=when,
        effective=effective or Period(),
        message=message,
        **more,
    )


def asking(
    step: str,
    person: str,
    history: ChainHistory,
    *,
    kind: ChainKind = KIND,
    roles: frozenset[str] = frozenset(),
    now: datetime = NOW,
    elsewhere: tuple[ChainHistory, ...] | None = (),
    trails: Mapping[str, TrailReading] | None = None,
    profiles: Mapping[str, Profile] | None = None,
) -> Asked:
    return Asked(
        person=person,
        step=step,
        kind=kind,
        history=history,
        now=now,
        roles=roles,
        trails=trails_over(elsewhere) if trails is None else trails,
        profiles=profiles or {},
    )


def trails_over(elsewhere: tuple[ChainHistory, ...] | None) -> dict[str, TrailReading]:
    """Every trail of a scope with the acts of these chains; None: of no scope it can be told where it is."""
    if elsewhere is None:
        return {}
    acts = tuple(TrailAct(history.kind, act.step, act) for history in elsewhere for act in history.acts)
    names = [scope.value for scope in Scope if scope is not Scope.CHAIN]
    return {f"{name}{whose}": TrailReading(acts) for name in names for whose in ("", ".anybody")}


def facts_of(history: ChainHistory, *, now: datetime = NOW) -> Facts:
    return Facts(values={}, chain=history, now=now)


def a_grant(
    role: str,
    *actions: str,
    resource: str = "order",
    when: Fixed | Counting | None = None,
    name: str = "grant",
) -> Grant:
    return Grant(id=name, role=role, actions=actions, resource=resource, when=when)


def a_question(
    action: str,
    person: str | None,
    *roles: str,
    history: ChainHistory | None = None,
    kind: ChainKind | None = KIND,
    resource: str = "order",
    elsewhere: tuple[ChainHistory, ...] | None = (),
    trails: Mapping[str, TrailReading] | None = None,
    profiles: Mapping[str, Profile] | None = None,
    now: datetime = NOW,
) -> Question:
    """A question about a step of `kind`, or with `kind=None` about an action without a chain."""
    asked = a_history() if history is None else history
    if kind is None:
        asked = ChainHistory(kind="", chain="")
    return Question(
        person=None if person is None else Person(person, frozenset(roles)),
        action=action,
        resource_type=resource,
        facts=facts_of(asked, now=now),
        history=asked,
        now=now,
        kind=kind,
        step=None if kind is None else kind.step(action),
        trails=trails_over(elsewhere) if trails is None else trails,
        profiles=profiles or {},
    )


def rules_of(findings: tuple[Finding, ...] | list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]
