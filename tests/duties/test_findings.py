from __future__ import annotations

import pytest

from controls.duties.constraints import exclusive_roles, violation
from controls.duties.findings import constraint_finding, roles_finding
from controls.model.condition import Truth
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Cause, Effect, Finding, Origin, Source, Text
from tests.duties.builders import (
    KIND,
    STEPS,
    Fixed,
    a_constraint,
    asking,
    done,
    facts_of,
)

MOMENT = "2026-03-02 09:30:00 UTC"


def finding(constraint: Constraint, step: str, person: str, *pairs: tuple[str, str]) -> Finding:
    history = done(*pairs)
    asked = asking(
        step,
        person,
        history,
        roles=frozenset({"trader", "clerk"}),
        elsewhere=(done(*pairs, chain="O-2"),),
    )
    found = violation(constraint, asked=asked, facts=facts_of(history))
    assert found is not None
    return constraint_finding(constraint, found=found, asked=asked)


CASES = [
    (a_constraint(ConstraintKind.WHOLE_CHAIN), "settle", tuple((step, "p-1") for step in STEPS[:-1])),
    (a_constraint(ConstraintKind.SOLE_ACTOR), "settle", (("capture", "p-1"),)),
    (a_constraint(ConstraintKind.SEPARATE, "capture", "approve"), "approve", (("capture", "p-1"),)),
    (a_constraint(ConstraintKind.AT_MOST, "capture", "approve", limit=1), "approve", (("capture", "p-1"),)),
    (
        a_constraint(ConstraintKind.AT_MOST, "capture", "approve", limit=1, scope=Scope.ACCOUNT),
        "approve",
        (("capture", "p-1"),),
    ),
    (
        a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", limit=2),
        "approve",
        (("capture", "p-1"),),
    ),
    (a_constraint(ConstraintKind.BIND, "capture", "approve"), "approve", (("capture", "p-2"),)),
]


@pytest.mark.parametrize(("constraint", "step", "pairs"), CASES, ids=lambda item: getattr(item, "kind", ""))
def test_names_step_person_and_moment(
    constraint: Constraint, step: str, pairs: tuple[tuple[str, str], ...]
) -> None:
    """Every sentence names the earlier act, by whom and when, in both languages; the values the figures."""
    made = finding(constraint, step, "p-1", *pairs)
    first_step, first_person = pairs[0]
    for text, title in ((made.message.en, "Capture"), (made.message.es, "Capture (es)")):
        assert title in text
        assert first_person in text
        assert "p-1" in text
        assert MOMENT in text
    assert first_step == "capture"
    assert made.values["person"] == "p-1"
    assert made.values["step"] == step
    assert {"count", "limit", "steps"} <= set(made.values)
    assert (made.rule, made.version, made.origin) == ("rule", "7", Origin.DUTY)


def test_limit_and_count_are_said() -> None:
    """A counting constraint says what was counted and what is allowed."""
    constraint = a_constraint(ConstraintKind.AT_MOST, "capture", "approve", "execute", limit=2)
    made = finding(constraint, "execute", "p-1", ("capture", "p-1"), ("approve", "p-1"))
    assert made.values["count"] == 3
    assert made.values["limit"] == 2
    assert "in 3 of these steps" in made.message.en
    assert "at most 2" in made.message.en
    assert "en 3 de estos pasos" in made.message.es
    assert "como máximo en 2" in made.message.es


def test_file_message_is_taken_as_it_is() -> None:
    """A constraint's own message replaces the default sentence, braces and all."""
    own = Text("Ask {somebody} else.", "Pregunte a {otra} persona.")
    constraint = a_constraint(ConstraintKind.SEPARATE, "capture", "approve", message=own)
    assert finding(constraint, "approve", "p-1", ("capture", "p-1")).message == own


def test_effect_and_sources_are_the_constraints() -> None:
    """A finding asks for what its constraint asks for, and carries its sources."""
    source = Source(law="Internal policy", article="4.2", basis="policy")
    constraint = Constraint(
        id="few",
        version="3",
        kind=ConstraintKind.SEPARATE,
        chain=KIND.id,
        then=Effect.FLAG,
        title=Text("Few hands", "Pocas manos"),
        steps=("capture", "approve"),
        sources=(source,),
    )
    made = finding(constraint, "approve", "p-1", ("capture", "p-1"))
    assert (made.effect, made.sources, made.cause) == (Effect.FLAG, (source,), Cause.FIRED)


def test_unknown_condition_is_said() -> None:
    """A constraint that applies because its condition is unknown says which fact was missing."""
    constraint = a_constraint(
        ConstraintKind.SEPARATE,
        "capture",
        "approve",
        when=Fixed(Truth.UNKNOWN, missing=("order.notional",)),
    )
    made = finding(constraint, "approve", "p-1", ("capture", "p-1"))
    assert (made.cause, made.missing) == (Cause.MISSING, ("order.notional",))
    assert "could not be told (order.notional)" in made.message.en
    assert "(order.notional)" in made.message.es


@pytest.mark.parametrize(
    ("then", "effect"),
    [(Effect.FLAG, Effect.REVIEW), (Effect.REVIEW, Effect.REVIEW), (Effect.DENY, Effect.DENY)],
)
def test_broken_condition_asks_for_a_review_at_least(then: Effect, effect: Effect) -> None:
    """A condition that could not be computed never leaves a mere flag."""
    constraint = a_constraint(
        ConstraintKind.SEPARATE,
        "capture",
        "approve",
        then=then,
        when=Fixed(Truth.UNKNOWN, error="two currencies"),
    )
    made = finding(constraint, "approve", "p-1", ("capture", "p-1"))
    assert (made.cause, made.effect) == (Cause.ERROR, effect)
    assert "two currencies" in made.message.en


def test_exclusive_roles_without_a_chain() -> None:
    """A directory can be told which roles a person may not hold together."""
    constraint = a_constraint(ConstraintKind.EXCLUSIVE_ROLES, roles=("trader", "clerk"), limit=1)
    found = exclusive_roles(constraint, roles=frozenset({"clerk", "trader", "boss"}))
    assert found is not None
    made = roles_finding(constraint, found=found, person="p-1")
    assert made.values == {"person": "p-1", "roles": ("trader", "clerk"), "count": 2, "limit": 1}
    assert "trader, clerk" in made.message.en
    assert made.message == finding(constraint, "capture", "p-1").message
