from __future__ import annotations

from datetime import timedelta

import pytest

from controls.duties.constraints import exclusive_roles, violation
from controls.duties.findings import constraint_finding, roles_finding
from controls.model.condition import Truth
from controls.model.duty import Constraint, ConstraintKind, Group, Scope
from controls.model.finding import Cause, Effect, Finding, Origin, Source, Text
from controls.model.people import Profile
from controls.model.trail import TrailAct, TrailReading
from tests.duties.builders import (
    KIND,
    STEPS,
    Fixed,
    a_constraint,
    asking,
    done,
    facts_of,
    trails_over,
)

MOMENT = "2026-03-02 09:30:00 UTC"


def finding(constraint: Constraint, step: str, person: str, *pairs: tuple[str, str]) -> Finding:
    history = done(*pairs)
    wall = TrailReading(tuple(TrailAct(history.kind, act.step, act, "B") for act in history.acts), "A")
    asked = asking(
        step,
        person,
        history,
        roles=frozenset({"trader", "clerk"}),
        trails=trails_over((done(*pairs, chain="O-2"),)) | {"issuer.sector/issuer.id": wall},
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
    (
        a_constraint(ConstraintKind.VOTES, "approve", limit=2, distinct_from=("capture",)),
        "approve",
        (("capture", "p-1"),),
    ),
    (
        a_constraint(ConstraintKind.RELATION, "capture", "approve", differ=("department",)),
        "approve",
        (("capture", "p-2"),),
    ),
    (
        a_constraint(ConstraintKind.COOLING_OFF, "capture", "approve", within=timedelta(hours=1)),
        "approve",
        (("capture", "p-2"),),
    ),
    (
        a_constraint(
            ConstraintKind.CHINESE_WALL,
            "capture",
            "approve",
            conflict_class="issuer.sector",
            dataset="issuer.id",
            within=timedelta(days=90),
        ),
        "approve",
        (("capture", "p-1"),),
    ),
    (
        a_constraint(ConstraintKind.COALITION, "capture", "approve", limit=2),
        "approve",
        (("capture", "p-1"),),
    ),
    (
        a_constraint(
            ConstraintKind.AT_MOST,
            "capture",
            "approve",
            limit=1,
            groups=(Group("record", ("capture",)), Group("authorise", ("approve",))),
        ),
        "approve",
        (("capture", "p-1"),),
    ),
    (
        a_constraint(ConstraintKind.SEPARATE, "capture", "approve", scope=Scope.DESK, within=timedelta(1)),
        "approve",
        (("capture", "p-1"),),
    ),
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


def test_dynamic_roles_name_the_steps_that_used_them() -> None:
    """Of roles in use, the sentence says which, and by which acts."""
    rule = a_constraint(
        ConstraintKind.EXCLUSIVE_ROLES,
        roles=("trader", "clerk"),
        limit=1,
        dynamic=True,
        groups=(Group("trader", ("capture",)), Group("clerk", ("approve",))),
    )
    made = finding(rule, "approve", "p-1", ("capture", "p-1"))
    assert "would use 2 roles" in made.message.en
    assert "usaría 2 roles" in made.message.es
    assert made.values["roles"] == ("trader", "clerk")
    assert MOMENT in made.message.en


def test_a_relation_says_which_one_holds_and_no_more() -> None:
    """What the directory knows of anybody is not told, only how two persons are related."""
    rule = a_constraint(
        ConstraintKind.RELATION, "capture", "approve", forbid=("household",), differ=("desk",)
    )
    profiles = {
        "p-1": Profile("p-1", household="Calle Mayor 1", desk="rates"),
        "p-2": Profile("p-2", household="Calle Mayor 1", desk="credit"),
    }
    history = done(("capture", "p-2"))
    asked = asking("approve", "p-1", history, profiles=profiles)
    found = violation(rule, asked=asked, facts=facts_of(history))
    assert found is not None
    made = constraint_finding(rule, found=found, asked=asked)
    assert made.values["relations"] == ("household",)
    for text, words in ((made.message.en, "the same household"), (made.message.es, "el mismo hogar")):
        assert words in text
        assert "Calle" not in text
        assert "rates" not in text


def test_what_ends_by_itself_says_when() -> None:
    """A cooling-off period names the moment from which the step is free."""
    rule = a_constraint(ConstraintKind.COOLING_OFF, "capture", "approve", within=timedelta(hours=24))
    made = finding(rule, "approve", "p-1", ("capture", "p-2"))
    assert "2026-03-03 09:30:00 UTC" in made.message.en
    assert "2026-03-03 09:30:00 UTC" in made.message.es


def test_an_unstated_side_of_a_wall_is_asked_for() -> None:
    """Who does not say on which side of a wall an order is, is told which facts to state."""
    rule = a_constraint(
        ConstraintKind.CHINESE_WALL,
        "capture",
        conflict_class="issuer.sector",
        dataset="issuer.id",
        within=timedelta(days=90),
    )
    history = done(("approve", "p-2"))
    asked = asking("capture", "p-1", history, trails={})
    found = violation(rule, asked=asked, facts=facts_of(history))
    assert found is not None
    made = constraint_finding(rule, found=found, asked=asked)
    assert made.cause is Cause.MISSING
    assert made.missing == ("issuer.sector", "issuer.id")
    assert "issuer.sector, issuer.id" in made.message.en


@pytest.mark.parametrize(
    ("constraint", "english", "spanish"),
    [
        (
            a_constraint(ConstraintKind.SEPARATE, "capture", "approve", scope=Scope.ACCOUNT),
            "what p-1 did there is not known.",
            "no se sabe qué hizo ahí p-1.",
        ),
        (
            a_constraint(ConstraintKind.AT_MOST, "capture", "approve", limit=2, scope=Scope.ACCOUNT),
            "how many p-1 has taken so far is not known.",
            "no se sabe a cuánto llega p-1.",
        ),
        (
            a_constraint(
                ConstraintKind.COOLING_OFF,
                "capture",
                "approve",
                within=timedelta(hours=1),
                scope=Scope.ACCOUNT,
            ),
            "when that was is not known.",
            "no se sabe cuándo fue eso.",
        ),
    ],
    ids=["separate", "at_most", "cooling_off"],
)
def test_what_is_not_known_is_not_said_to_have_been_done(
    constraint: Constraint, english: str, spanish: str
) -> None:
    """Where a chain is was not stated: nobody is said to have had a hand in anything there."""
    asked = asking("approve", "p-1", done(), elsewhere=None)
    found = violation(constraint, asked=asked, facts=facts_of(done()))
    assert found is not None
    message = constraint_finding(constraint, found=found, asked=asked).message
    assert english in message.en
    assert spanish in message.es
    for said in ("had a hand", "must wait", "would have taken", "Earlier"):
        assert said not in message.en
    assert "could not be told (order.account), so it applies." in message.en


def test_a_relation_that_is_not_known_is_not_said_to_hold() -> None:
    """The directory says nothing of the two: nobody reads that they share a household."""
    constraint = a_constraint(ConstraintKind.RELATION, "capture", "approve", forbid=("household",))
    asked = asking("approve", "p-1", done(("capture", "p-2")))
    found = violation(constraint, asked=asked, facts=facts_of(done()))
    assert found is not None
    message = constraint_finding(constraint, found=found, asked=asked).message
    assert "who stands to" not in message.en.replace("for nobody who stands to", "")
    assert "Whether p-1 does is not known." in message.en
    assert "No se sabe si p-1 la tiene." in message.es
