"""`controls.duties.backstop`: which constraints become limits of the database, and what these say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controls.duties.backstop import step_limits
from controls.model.chain import AMEND
from controls.model.condition import Truth
from controls.model.duty import Constraint, ConstraintKind, Group, Period, Scope, StepLimit
from controls.model.finding import Effect

from .builders import KIND, NOW, Fixed, a_constraint, a_kind, a_step

PAIR = ("approve", "execute")


def limited(*constraints: Constraint) -> set[tuple[str, str, int]]:
    """Rule, recorded act and limit of everything but the whole chain."""
    found = step_limits(constraints, chains=[KIND])
    return {(item.rule, item.act, item.most) for item in found if item.rule != "whole_chain"}


def test_the_whole_chain_is_a_limit_of_every_kind() -> None:
    """All mandatory steps but one; an amendment counts as an act on the first step."""
    other = a_kind(a_step("begin"), a_step("look", optional=True), a_step("end"), name="other", resource="x")
    found = step_limits((), chains=[KIND, other])
    assert [item for item in found if item.kind == "other"] == [
        StepLimit("other", "whole_chain", AMEND, "begin", 1),
        StepLimit("other", "whole_chain", "begin", "begin", 1),
        StepLimit("other", "whole_chain", "end", "end", 1),
    ]
    ours = [item for item in found if item.kind == KIND.id]
    assert {item.step for item in ours} == {step.id for step in KIND.steps}
    assert {item.most for item in ours} == {len(KIND.steps) - 1}


def test_an_amendment_of_an_optional_first_step_is_no_act_on_the_whole_chain() -> None:
    """It counts as an act on a step that nobody must take."""
    kind = a_kind(a_step("begin", optional=True), a_step("do"), a_step("end"))
    assert {item.act for item in step_limits((), chains=[kind])} == {"do", "end"}


def test_what_nothing_sets_aside_is_a_limit() -> None:
    """`separate` allows one of its steps, `at_most` so many; both hold for every kind if they name none."""
    apart = a_constraint(ConstraintKind.SEPARATE, *PAIR, name="apart", absolute=True)
    few = a_constraint(ConstraintKind.AT_MOST, "capture", *PAIR, name="few", chain="", limit=2, absolute=True)
    assert limited(apart, few) == {
        *(("apart", step, 1) for step in PAIR),
        *(("few", step, 2) for step in ("capture", AMEND, *PAIR)),
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"absolute": False},
        {"then": Effect.REVIEW},
        {"when": Fixed(Truth.TRUE)},
        {"effective": Period(start=NOW)},
        {"scope": Scope.ACCOUNT},
        {"within": timedelta(days=1)},
        {"ordered": True},
        {"groups": (Group("both", PAIR),)},
        {"chain": "another"},
    ],
)
def test_what_may_be_set_aside_or_depends_on_more_is_none(changed: dict[str, object]) -> None:
    """An exception, an approval, a fact, a moment may allow it, so that the database must not refuse it."""
    constraint = a_constraint(ConstraintKind.SEPARATE, *PAIR, **({"absolute": True} | changed))  # type: ignore[arg-type]
    assert limited(constraint) == set()


@pytest.mark.parametrize(
    "kind", [kind for kind in ConstraintKind if kind not in {ConstraintKind.SEPARATE, ConstraintKind.AT_MOST}]
)
def test_other_kinds_are_none(kind: ConstraintKind) -> None:
    """What helps, or asks who holds a step now, is not counted by the database."""
    if kind is not ConstraintKind.WHOLE_CHAIN:
        assert limited(a_constraint(kind, *PAIR, limit=1, absolute=True)) == set()
