"""Constraints that mind the order of their steps, over random plays of claims and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.asked import counts
from controls.duties.breaches import Breaches
from controls.duties.constraints import FORMULAS
from controls.duties.lineage import Joined, broken_together
from controls.duties.moving import Arrival, moved_findings
from controls.model.chain import Act, ActState, ChainHistory
from controls.model.condition import Facts
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.trail import TrailAct

from .builders import KIND, NOW, a_constraint, a_history, an_act, asking

MINUTE = timedelta(minutes=1)
Moves: TypeAlias = list[tuple[str, str, int | None]]
APART = a_constraint(
    ConstraintKind.SEPARATE, "capture", "approve", "settle", ordered=True, chain="", name="apart"
)
SAME = a_constraint(ConstraintKind.BIND, "capture", "approve", "settle", ordered=True, name="same")
COOL = a_constraint(
    ConstraintKind.COOLING_OFF, "capture", "approve", "settle", ordered=True, within=3 * MINUTE
)
# Who does what next: claims a step, or is done with the claim that is so many back.
moves = st.lists(
    st.tuples(st.sampled_from(APART.steps), st.sampled_from("abc"), st.none() | st.integers(0, 3)),
    max_size=14,
)


def played(rule: Constraint, drawn: Moves) -> list[Act]:
    """What comes of it, a minute each; what the constraint denies is not done."""
    acts: list[Act] = []
    for minute, (step, person, ends) in enumerate(drawn):
        now = NOW + minute * MINUTE
        open_ = [number for number, act in enumerate(acts) if act.done_at is None]
        if ends is not None and open_:
            number = open_[-1 - ends % len(open_)]
            acts[number] = replace(acts[number], state=ActState.PERFORMED, done_at=now)
        elif FORMULAS[rule.kind](rule, asked=asking(step, person, a_history(*acts), now=now)) is None:
            claimed = an_act(step, person, state=ActState.CLAIMED, at=now, index=minute)
            acts.append(replace(claimed, claim=f"c{minute}"))
    return acts


def out_of_order(one: Act, other: Act) -> bool:
    """Whether the other act, on a step listed later, was not done before the first one was asked for."""
    listed = APART.steps.index(one.step) < APART.steps.index(other.step)
    return listed and (other.done_at is None or other.done_at > one.at)


@given(moves)
def test_nobody_does_a_step_after_one_that_is_listed_before_it(
    drawn: Moves,
) -> None:
    acts = played(APART, drawn)
    assert not any(one.person == other.person and out_of_order(one, other) for one in acts for other in acts)


@given(moves)
def test_whoever_does_a_step_after_another_is_who_did_that(drawn: Moves) -> None:
    acts = played(SAME, drawn)
    assert not any(one.person != other.person and out_of_order(one, other) for one in acts for other in acts)


@given(moves)
def test_nothing_is_done_sooner_after_another_than_it_may_be(
    drawn: Moves,
) -> None:
    """That is done before it was asked for, or asked for when the pause is over."""
    acts = played(COOL, drawn)
    for one in acts:
        for other in acts:
            if out_of_order(one, other):
                assert one.done_at is not None
                assert other.at - one.done_at >= 3 * MINUTE


@given(moves)
def test_whoever_looks_for_breaches_finds_the_same(drawn: Moves) -> None:
    """By going over all acts, and by asking what acts of two chains break together."""
    everything = played(replace(APART, steps=()), drawn)
    expected = {
        one.person
        for one in everything
        for other in everything
        if one.person == other.person and out_of_order(one, other)
    }
    nobody: Mapping[str, frozenset[str]] = {}
    for rule in (APART, replace(APART, scope=Scope.ACCOUNT)):
        found = Breaches(
            [rule], kinds={KIND.id: KIND}, grants=(), closure=nobody, roles_at=lambda *_: frozenset()
        )
        found.add(a_history(*(replace(act, material={"order.account": "A"}) for act in everything)))
        assert {breach.person for breach in found.found()} == expected
    rules = Joined([APART], {KIND.id: KIND}, Facts({}, a_history(), NOW + timedelta(days=1)), {})
    together = broken_together(rules, [TrailAct(KIND.id, act.step, act) for act in everything])
    assert {person for _, person in together} == expected


@pytest.mark.parametrize(("minutes", "breaks"), [(None, True), (5, True), (2, False)])
def test_so_it_is_where_an_amendment_brings_a_chain(minutes: int | None, breaks: bool) -> None:
    """Ana claimed the settlement there, and captured here before it was done, or after."""
    rule = replace(APART, scope=Scope.ACCOUNT)
    done_at = None if minutes is None else NOW + minutes * MINUTE
    state = ActState.CLAIMED if minutes is None else ActState.PERFORMED
    early = an_act("settle", "ana", chain="O-2", state=state, done_at=done_at, index=1)
    late = an_act("capture", "ana", at=NOW + 3 * MINUTE, index=2)
    assert counts(rule, "capture", early, on="settle", now=late.at) is breaks
    there, moved = (TrailAct(KIND.id, act.step, act) for act in (early, late))
    facts = Facts({}, ChainHistory(KIND.id, "O-1", (late,)), NOW + timedelta(days=1))
    arriving = {"account": Arrival({"order.account": "B"}, (moved,), (there,))}
    assert bool(list(moved_findings([rule], arriving, kind=KIND, facts=facts))) is breaks
