"""Whoever approves is held against the relations of whoever asks and of all others on the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from controls.duties.approving import Approving, approver_findings
from controls.duties.asked import Asked
from controls.duties.later import Taken
from controls.duties.lookahead import LookAhead
from controls.duties.stranding import Orphan, would_strand
from controls.model.chain import AMEND, Capacity, ChainHistory
from controls.model.condition import Facts, Truth
from controls.model.crowd import Crowd
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Cause, Effect, Finding
from controls.model.people import Profile
from controls.model.trail import TrailAct, TrailReading
from tests.duties.builders import KIND, NOW, Fixed, a_constraint, a_history, an_act

# Sara is above Tina, who is above Teo; Olga is at the top of another house.
PROFILES = {
    "sara": Profile("sara", reports_to="sara", department="front"),
    "tina": Profile("tina", reports_to="sara", department="front"),
    "teo": Profile("teo", reports_to="tina", department="back"),
    "olga": Profile("olga", reports_to="olga", department="control"),
    "nemo": Profile("nemo"),
}
LINE = replace(
    a_constraint(ConstraintKind.RELATION, "capture", "approve", name="line"), forbid=("reports_to",)
)


def found(
    approver: str,
    *askers: str,
    rule: Constraint = LINE,
    step: str = "capture",
    history: ChainHistory | None = None,
    lines: tuple[tuple[TrailAct, ...], ...] = (),
    trails: Mapping[str, Sequence[TrailReading]] | None = None,
    rules: frozenset[str] = frozenset(),
) -> Finding | None:
    """What keeps the approver from approving the step for those who ask; one finding at most."""
    history = a_history() if history is None else history
    asked = Asked(approver, step, KIND, history, NOW, profiles=PROFILES)
    facts = Facts({}, history, NOW)
    ahead = LookAhead((), {}, (rule,), [asked.kind])
    approving = Approving(asked, askers, lines, (facts,), trails or {}, rules)
    findings = list(approver_findings((rule,), approving, ahead))
    assert len(findings) < 2
    return findings[0] if findings else None


@pytest.mark.parametrize(("approver", "speaks"), [("sara", True), ("teo", True), ("olga", False)])
@pytest.mark.parametrize("then", [Effect.DENY, Effect.REVIEW])
def test_nobody_approves_for_the_superior_nor_for_a_subordinate(
    approver: str, speaks: bool, then: Effect
) -> None:
    """The trader asks; who is above or below her is kept from approving, and told why."""
    told = found(approver, "tina", rule=replace(LINE, then=then))
    assert (told is not None) is speaks
    if told is not None:
        assert (told.rule, told.effect, told.cause) == ("line", then, Cause.FIRED)
        assert told.values["relations"] == ("reports_to",)
        assert (told.values["person"], told.values["step"]) == (approver, "capture")
        assert approver in told.message.en
        assert approver in told.message.es


def test_one_of_two_who_ask_is_enough() -> None:
    """A delegate and whom he acts for are both asked about."""
    assert found("teo", "olga", "tina") is not None
    assert found("teo", "olga") is None


def test_what_is_not_known_denies_where_the_rule_denies_and_is_told_where_it_asks_for_a_review() -> None:
    """A supervisor's look is what a review asks for, and nobody could give it if no line were known."""
    told = found("nemo", "tina")
    assert told is not None
    assert (told.effect, told.cause) == (Effect.DENY, Cause.MISSING)
    told = found("nemo", "tina", rule=replace(LINE, then=Effect.REVIEW))
    assert told is not None
    assert (told.effect, told.cause) == (Effect.FLAG, Cause.MISSING)
    assert told.missing == ("directory.nemo.reports_to",)


def test_what_is_known_on_one_line_is_not_lost_in_what_is_unknown_on_another() -> None:
    """Nor in a condition that is not known: it is taken to hold."""
    review = replace(LINE, then=Effect.REVIEW)
    lines = [
        (TrailAct(KIND.id, "approve", an_act("approve", person, chain="O-2")),) for person in ("nemo", "tina")
    ]
    for order in (lines, lines[::-1]):
        told = found("teo", "olga", rule=review, lines=tuple(order))
        assert told is not None
        assert told.effect is Effect.REVIEW
    told = found("teo", "olga", rule=review, lines=tuple(lines[:1]))
    assert told is not None
    assert told.effect is Effect.FLAG
    doubtful = replace(review, when=Fixed(Truth.UNKNOWN, missing=("order.side",)))
    told = found("teo", "tina", rule=doubtful)
    assert told is not None
    assert (told.effect, told.missing) == (Effect.REVIEW, ("order.side",))


def test_who_acted_on_the_other_steps_counts_too() -> None:
    """On this chain in any state, on the chains of its lines, and by an amendment."""
    history = a_history(an_act("approve", "tina"))
    assert found("teo", "olga", history=history) is not None
    assert found("teo", "olga", history=a_history(an_act(AMEND, "tina")), step="approve") is not None
    line = (TrailAct(KIND.id, "approve", an_act("approve", "tina", chain="O-2")),)
    assert found("teo", "olga", lines=((), line)) is not None
    assert found("teo", "olga", lines=((),)) is None
    assert found("teo", "olga", history=a_history(an_act("settle", "tina"))) is None  # no step of the rule


def test_others_on_the_step_itself_are_beside_nobody() -> None:
    """Two votes on one step, or two approvals of it, are of one department as a rule."""
    history = a_history(an_act("capture", "tina"))
    assert found("teo", "olga", history=history) is None
    line = (TrailAct(KIND.id, "capture", an_act("capture", "tina", chain="O-2")),)
    assert found("teo", "olga", lines=(line,)) is None


def test_an_order_is_minded_and_who_asks_always_counts() -> None:
    """Of steps listed later nothing is asked; the one that is asked for now is."""
    ordered = replace(LINE, ordered=True)
    later = a_history(an_act("approve", "tina"))
    assert found("teo", "olga", rule=ordered, history=later) is None
    assert found("teo", "tina", rule=ordered) is not None
    earlier = a_history(an_act("capture", "tina"))
    assert found("teo", "olga", rule=ordered, step="approve", history=earlier) is not None


def test_other_constraints_and_those_that_do_not_apply_say_nothing() -> None:
    """A condition that is false, a step that the rule is not about, a kind that is no relation."""
    assert found("teo", "tina", rule=replace(LINE, when=Fixed(Truth.FALSE))) is None
    assert found("teo", "tina", rule=replace(LINE, when=Fixed(Truth.UNKNOWN))) is not None
    assert found("teo", "tina", step="settle") is None
    assert found("teo", "tina", rule=a_constraint(ConstraintKind.SEPARATE, "capture", "approve")) is None
    other_team = replace(LINE, forbid=(), differ=("department",))
    assert found("sara", "tina", rule=other_team) is not None
    assert found("olga", "tina", rule=other_team) is None


# --- Beyond the chain -------------------------------------------------------------------------------------

APART = replace(a_constraint(ConstraintKind.SEPARATE, "capture", "approve", name="apart"), scope=Scope.DESK)
FEW = replace(a_constraint(ConstraintKind.AT_MOST, "capture", name="few", limit=2), scope=Scope.ACCOUNT)
WALL = a_constraint(
    ConstraintKind.CHINESE_WALL, name="wall", conflict_class="issuer.sector", dataset="issuer.id"
)
HOUR = timedelta(hours=1)
COOL = a_constraint(ConstraintKind.COOLING_OFF, "capture", "approve", name="cool", within=HOUR)


def there(*acts: tuple[str, str], part: str = "X", ago: timedelta = timedelta(0)) -> TrailReading:
    """A place where these steps were taken by these persons, each on a chain of its own."""
    done = [
        an_act(step, person, chain=f"O-{number}", at=NOW - ago, index=number)
        for number, (step, person) in enumerate(acts, start=2)
    ]
    return TrailReading(tuple(TrailAct(KIND.id, act.step, act, part) for act in done), "Y")


@pytest.mark.parametrize("then", [Effect.DENY, Effect.REVIEW, Effect.FLAG])
@pytest.mark.parametrize(
    ("rule", "name", "own"),
    [
        (APART, "desk", (("approve", "sara"),)),
        (FEW, "account", (("capture", "sara"), ("capture", "sara"))),
        (WALL, "issuer.sector/issuer.id", (("settle", "sara"),)),
    ],
)
def test_what_the_approver_did_on_other_chains_counts(
    rule: Constraint, name: str, own: tuple[tuple[str, str], ...], then: Effect
) -> None:
    """Of the approver only, in each of the places where the approval counts; the earlier chain is named."""
    rule = replace(rule, then=then)
    others = there(*((step, "olga") for step, _ in own))
    for readings, speaks in (
        ((there(*own),), True),
        ((others, there(*own)), True),
        ((others,), False),
        ((others, there(*own[1:])), False),
    ):
        told = found("sara", "tina", rule=rule, trails={name: readings})
        assert (told is not None) is speaks
        if told is not None:
            assert (told.effect, told.cause, told.values["person"]) == (then, Cause.FIRED, "sara")
            assert "O-2" in told.message.en
            assert "O-2" in told.message.es
    assert (
        found("sara", "tina", rule=replace(rule, when=Fixed(Truth.FALSE)), trails={name: [there(*own)]})
        is None
    )


@pytest.mark.parametrize("rule", [APART, FEW, WALL])
def test_where_it_would_count_is_not_known(rule: Constraint) -> None:
    """As with what the directory does not say: it denies, or is told where a review is asked for."""
    for then, effect in ((Effect.DENY, Effect.DENY), (Effect.REVIEW, Effect.FLAG)):
        told = found("sara", "tina", rule=replace(rule, then=then))
        assert told is not None
        assert (told.effect, told.cause) == (effect, Cause.MISSING)


def test_a_time_between_steps_is_of_anybody() -> None:
    """It keeps from approving where it denies, unless just that is what is approved; else it is told."""
    soon = a_history(an_act("approve", "olga", at=NOW - HOUR / 2))
    for then, rules, effect in (
        (Effect.DENY, (), Effect.DENY),
        (Effect.DENY, ("cool",), Effect.FLAG),
        (Effect.REVIEW, (), Effect.FLAG),
        (Effect.REVIEW, ("cool",), Effect.FLAG),
    ):
        told = found("sara", "tina", rule=replace(COOL, then=then), history=soon, rules=frozenset(rules))
        assert told is not None
        assert told.effect is effect
    late = a_history(an_act("approve", "olga", at=NOW - HOUR))
    assert found("sara", "tina", rule=COOL, history=late) is None
    line = (TrailAct(KIND.id, "approve", an_act("approve", "olga", chain="O-2", at=NOW - HOUR / 2)),)
    assert found("sara", "tina", rule=COOL, lines=((), line)) is not None
    beyond = replace(COOL, scope=Scope.DESK)
    place = there(("approve", "olga"), ago=HOUR / 2)
    assert found("sara", "tina", rule=beyond, trails={"desk.anybody": [place]}) is not None


def test_what_is_lifted_for_who_asks_is_not_lifted_for_who_approves() -> None:
    """What counts persons is asked of each person, also where it is what the case is about."""
    told = found(
        "sara", "tina", rule=APART, trails={"desk": [there(("approve", "sara"))]}, rules=frozenset({"apart"})
    )
    assert told is not None
    assert told.effect is Effect.DENY


@pytest.mark.parametrize(("rules", "effect"), [(set(), Effect.REVIEW), ({"would_strand"}, Effect.FLAG)])
def test_a_case_about_stranding_is_dealt_with_by_approving_it(rules: set[str], effect: Effect) -> None:
    """A hand that leaves nobody for the rest keeps from approving. Where the case is about just that, it is
    told on record."""

    class Ahead:
        """Without the approver's hand the rest can be done, and with it nobody is left."""

        def finding(self, taken: Taken, *, crowd: Crowd) -> Finding | None:
            lost = taken.act.capacity is Capacity.APPROVER
            orphans = [Orphan("settle", 0, ("clerk",))] if lost else []
            told = would_strand(KIND, person="sara", action="approve", orphans=orphans)
            return told if lost else None

    history = a_history(an_act("capture", "ana"))
    asked = Asked("sara", "approve", KIND, history, NOW)
    facts = Facts({}, history, NOW)
    approving = Approving(asked, ("ben",), (), (facts,), {}, frozenset(rules), Crowd({}))
    (told,) = approver_findings((), approving, Ahead())  # type: ignore[arg-type]  # all that is asked of it
    assert (told.rule, told.effect) == ("would_strand", effect)
