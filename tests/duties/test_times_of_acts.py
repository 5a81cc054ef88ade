"""From when acts count, in every formula that looks at times: when they were done, not claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.asked import Violation
from controls.duties.constraints import FORMULAS
from controls.duties.sentences import sentence
from controls.duties.trails import trail_name
from controls.model.chain import Act, ActState, Capacity
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.trail import TrailAct, TrailReading

from .builders import KIND, NOW, a_constraint, a_history, an_act, asking

HOUR = timedelta(hours=1)
WITHIN = 4 * HOUR
STEPS = ("capture", "approve", "settle")
RULES = (
    a_constraint(ConstraintKind.COOLING_OFF, *STEPS, within=WITHIN),
    a_constraint(ConstraintKind.COOLING_OFF, *STEPS, within=WITHIN, scope=Scope.ACCOUNT, ordered=True),
    a_constraint(ConstraintKind.SEPARATE, *STEPS, within=WITHIN, scope=Scope.ACCOUNT),
    a_constraint(ConstraintKind.AT_MOST, *STEPS, within=WITHIN, scope=Scope.DESK, limit=2),
    a_constraint(
        ConstraintKind.CHINESE_WALL,
        within=WITHIN,
        conflict_class="issuer.sector",
        dataset="issuer.id",
    ),
)


def found(rule: Constraint, acts: Sequence[Act], *, step: str = "settle") -> Violation | None:
    """What the formula says now of Ana's step after these acts, all of one place and behind another wall."""
    own = a_history(*(act for act in acts if act.chain == "O-1"))
    reading = TrailReading(tuple(TrailAct(KIND.id, act.step, act, "X") for act in acts), "Y")
    asked = asking(step, "ana", own, trails={trail_name(rule): reading})
    return FORMULAS[rule.kind](rule, asked=asked)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.kind.value} {rule.scope.value}")
@pytest.mark.parametrize("state", [ActState.PERFORMED, ActState.ABANDONED, ActState.VOID, ActState.REOPENED])
def test_an_act_counts_from_when_it_was_done(rule: Constraint, state: ActState) -> None:
    """However long it was claimed before: until exactly so long after, and always while it is claimed."""
    acts = [
        an_act(step, "ana", at=NOW - 99 * HOUR, chain=f"O-{number}", index=number, state=state)
        for number, step in enumerate(("capture", "approve"), start=1)
    ]
    assert found(rule, acts) is None

    def done(ago: timedelta) -> Violation | None:
        return found(rule, [replace(act, done_at=NOW - ago) for act in acts])

    assert done(WITHIN) is None
    violation = done(WITHIN - timedelta(microseconds=1))
    assert violation is not None
    if rule.kind in (ConstraintKind.COOLING_OFF, ConstraintKind.CHINESE_WALL):
        assert violation.until == NOW + timedelta(microseconds=1)
    claimed = found(rule, [replace(act, state=ActState.CLAIMED, done_at=None) for act in acts])
    assert claimed is not None
    assert claimed.until is None


def test_when_it_ends_is_not_told_while_anything_is_claimed() -> None:
    """Of several acts the last one says it, and none if one of them may still be done."""
    rule = RULES[0]
    done = an_act("capture", "ana", at=NOW - HOUR)
    claimed = an_act("approve", "ben", at=NOW - 2 * HOUR, state=ActState.CLAIMED)
    first, both = found(rule, [done]), found(rule, [done, claimed])
    assert first is not None
    assert both is not None
    assert (first.until, both.until) == (NOW - HOUR + WITHIN, None)
    asked = asking("settle", "ana", a_history(done, claimed))
    told = [sentence(rule, found=item, asked=asked).en for item in (first, both)]
    assert told[0].endswith("It may be taken from 2026-03-02 12:30:00 UTC on.")
    assert told[1].endswith("The time begins when what is only claimed is reported as performed.")


@pytest.mark.parametrize(
    ("state", "capacity", "words"),
    [
        (ActState.PERFORMED, Capacity.ACTOR, ", performed "),
        (ActState.ABANDONED, Capacity.ACTOR, ", claimed until "),
        (ActState.VOID, Capacity.ACTOR, ", claimed until "),
        (ActState.REOPENED, Capacity.ACTOR, ", done or claimed until "),
        (ActState.PERFORMED, Capacity.PRINCIPAL, ", done or claimed until "),
    ],
)
def test_a_message_says_when_an_act_was_done(state: ActState, capacity: Capacity, words: str) -> None:
    """Beside when it was claimed, unless that was in the same second."""
    rule = RULES[0]
    act = an_act("capture", "ana", at=NOW - 5 * HOUR, state=state, capacity=capacity)
    asked = asking("settle", "ana", a_history(act))

    def told(done_at: datetime) -> str:
        violation = found(rule, [replace(act, done_at=done_at)])
        assert violation is not None
        return sentence(rule, found=violation, asked=asked).en

    assert f"2026-03-02 04:30:00 UTC{words}2026-03-02 08:30:00 UTC" in told(NOW - HOUR)
    at_once = replace(act, at=NOW - HOUR, done_at=NOW - HOUR + timedelta(microseconds=9))
    violation = found(rule, [at_once])
    assert violation is not None
    assert words not in sentence(rule, found=violation, asked=asked).en


MOMENTS = st.none() | st.integers(0, 9).map(lambda hours: NOW - hours * HOUR)
ACTS = st.lists(
    st.tuples(
        st.sampled_from(STEPS),
        st.sampled_from(["ana", "ben"]),
        st.sampled_from(["O-1", "O-2"]),
        st.sampled_from(ActState),
        MOMENTS,
        MOMENTS,
    ),
    max_size=5,
)


@given(rule=st.sampled_from(RULES), step=st.sampled_from(STEPS), drawn=ACTS)
def test_doing_it_later_never_helps(
    rule: Constraint,
    step: str,
    drawn: list[tuple[str, str, str, ActState, datetime | None, datetime | None]],
) -> None:
    """What is denied stays denied if any act was done later, or not yet: as many count, and for as long."""
    acts = [
        replace(
            an_act(what, person, at=NOW - 9 * HOUR, chain=chain, index=number, state=state),
            claim=f"c{number}",
            done_at=done_at,
        )
        for number, (what, person, chain, state, done_at, _) in enumerate(drawn)
    ]
    later = [
        replace(act, done_at=None if act.done_at is None or other is None else max(act.done_at, other))
        for act, (*_, other) in zip(acts, drawn, strict=True)
    ]
    before, after = found(rule, acts, step=step), found(rule, later, step=step)
    if before is not None:
        assert after is not None
        assert after.count >= before.count
        assert after.until is None or (before.until is not None and after.until >= before.until)
