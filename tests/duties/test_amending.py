"""What an amendment makes a constraint say of what was done, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.amending import Amending, amended_findings
from controls.duties.ballots import Ballots
from controls.duties.breaches import Breaches
from controls.duties.constraints import with_built_in
from controls.model.chain import AMEND, Act, ActState, Capacity, ChainKind, Votes
from controls.model.condition import Facts, Truth, Verdict
from controls.model.duty import Constraint, ConstraintKind, Period, Scope
from controls.model.finding import Cause, Effect, Finding
from controls.model.trail import TrailAct, TrailReading

from .builders import KIND, NOW, STEPS, a_constraint, a_history, a_kind, an_act, done

AMOUNT = "order.amount"
HOUR = timedelta(hours=1)
REOPENING = a_kind(
    *(replace(step, reapprove=step.id == "approve") for step in KIND.steps), material=(AMOUNT,)
)


@dataclass(slots=True)
class Above:
    """Whether the amount is above a hundred; `error` is what kept it from being told."""

    error: str = ""
    source: str = "order.amount > 100"
    names: frozenset[str] = field(default=frozenset({AMOUNT}))

    def evaluate(self, facts: Facts) -> Verdict:
        amount = facts.values.get(AMOUNT)
        if not isinstance(amount, int) or self.error:
            return Verdict(Truth.UNKNOWN, missing=() if self.error else (AMOUNT,), error=self.error)
        return Verdict(Truth.TRUE if amount > 100 else Truth.FALSE)

    def test(self, facts: Facts) -> int:
        return int(self.evaluate(facts).truth)


LARGE = Above()
APART = a_constraint(ConstraintKind.SEPARATE, "capture", "execute", when=LARGE, name="apart")


def amended(
    rules: Constraint | tuple[Constraint, ...],
    *acts: Act,
    was: int | None = 50,
    will: int | None = 500,
    by: str = "zoe",
    reopens: tuple[str, ...] = (),
    kind: ChainKind = REOPENING,
    votes: dict[str, Votes] | None = None,
    lines: tuple[tuple[TrailAct, ...], ...] = (),
    places: Mapping[str, tuple[TrailReading, ...]] | None = None,
) -> list[Finding]:
    """What is found where somebody amends the amount."""
    act = an_act(AMEND, by, state=ActState.CLAIMED, index=99, material={AMOUNT: str(will)})
    amending = Amending(
        kind,
        a_history(*acts),
        act,
        reopens,
        recorded={} if was is None else {AMOUNT: was},
        stated={} if will is None else {AMOUNT: will},
        ballots=None if votes is None else Ballots(votes, ()),
        profiles={},
        lines=lines,
        places=places or {},
    )
    return list(amended_findings((rules,) if isinstance(rules, Constraint) else rules, amending))


def there(*acts: Act, part: str = "", of: str = "") -> TrailReading:
    """A place with these acts, which are of another part of it."""
    return TrailReading(tuple(TrailAct(KIND.id, act.step, act, of) for act in acts), part)


BOTH = done(("capture", "ana"), ("execute", "ana")).acts


@pytest.mark.parametrize(
    ("was", "will", "speaks"),
    [
        (50, 500, True),
        (500, 900, False),
        (500, 50, False),
        (50, 60, False),
        (None, 500, False),
        (50, None, True),
    ],
)
def test_it_speaks_where_it_did_not_apply_and_does_or_may(
    was: int | None, will: int | None, speaks: bool
) -> None:
    """Where it applied, or might have, whoever acted was asked; what is not stated now may be large."""
    found = amended(APART, *BOTH, was=was, will=will)
    assert [finding.rule for finding in found] == ["amended_history"] * speaks
    if will is None:
        assert (found[0].cause, found[0].missing) == (Cause.MISSING, (AMOUNT,))


def test_it_tells_the_effect_and_the_reason() -> None:
    """What could not be computed asks for a review at the least."""
    for then in (Effect.DENY, Effect.REVIEW, Effect.FLAG):
        (finding,) = amended(replace(APART, then=then), *BOTH)
        assert (finding.effect, finding.cause) == (then, Cause.FIRED)
    assert amended(replace(APART, effective=Period(end=NOW)), *BOTH) == []
    assert amended(replace(APART, when=Above(error="no rate")), *BOTH) == []  # it might have applied before
    assert amended(replace(APART, when=None), *BOTH) == []  # it always did
    assert amended(replace(APART, chain="other"), *BOTH) == []
    (finding,) = amended(replace(APART, message=KIND.title), *BOTH)
    assert finding.message.en.endswith(KIND.title.en)


def test_what_looks_beyond_the_chain_is_asked_wherever_the_chain_has_been() -> None:
    """With what was done before each act; what others did since was asked by their facts."""
    rule = replace(APART, scope=Scope.ACCOUNT, chain="")
    early, late = (an_act("capture", "ana", chain="O-2", index=number) for number in (1, 8))
    own = an_act("execute", "ana", index=5)
    places = {"account": (there(), there(early))}
    (finding,) = amended(rule, own, places=places)
    assert (finding.values["persons"], finding.cause) == (("ana",), Cause.FIRED)
    assert "on chain O-2" in finding.message.en
    assert amended(rule, own, places={"account": (there(late),)}) == []
    assert amended(rule, replace(own, state=ActState.REOPENED), places=places) == []
    assert amended(replace(rule, within=HOUR), replace(own, at=NOW + HOUR), places=places) == []
    (finding,) = amended(rule, own)  # it is not known
    assert (finding.cause, finding.missing) == (Cause.MISSING, ("order.account",))


def test_a_chain_breaks_no_wall_by_itself() -> None:
    """Having been on both sides of it."""
    wall = a_constraint(
        ConstraintKind.CHINESE_WALL, when=LARGE, chain="", conflict_class="issuer.sector", dataset="issuer.id"
    )
    both = [an_act("capture", "ana", index=1), an_act("execute", "ana", index=2)]
    other = an_act("settle", "ana", chain="O-2", index=0)

    def told(*acts: Act) -> list[Finding]:
        return amended(wall, *both, places={"issuer.sector/issuer.id": (there(*acts, part="X", of="Y"),)})

    assert told(*both) == []
    assert len(told(*both, other)) == 1


def test_nothing_is_asked_about_the_roles_that_somebody_holds() -> None:
    roles = a_constraint(ConstraintKind.EXCLUSIVE_ROLES, roles=("a", "b"), limit=0, when=LARGE)
    assert amended(roles, *BOTH) == []


def test_acts_count_whatever_became_of_them_but_for_those_opened_again() -> None:
    first = an_act("capture", "ana")
    for state in (ActState.ABANDONED, ActState.VOID, ActState.CLAIMED, ActState.PERFORMED):
        assert amended(APART, first, an_act("execute", "ana", state=state))
    assert amended(APART, first, an_act("execute", "ana", capacity=Capacity.APPROVER))
    assert amended(APART, first, an_act("execute", "ana", capacity=Capacity.PRINCIPAL))
    assert amended(APART, first, an_act("execute", "ana", state=ActState.REOPENED)) == []
    checked = replace(APART, steps=("capture", "approve"))
    again = (first, an_act("approve", "ana"))
    assert amended(checked, *again)
    assert amended(checked, *again, reopens=("approve",)) == []
    given_up = (first, an_act("approve", "ana", state=ActState.ABANDONED))
    assert amended(checked, *given_up, reopens=("approve",))


def test_an_earlier_amendment_counts_and_this_one_is_asked_as_any_step() -> None:
    """Whoever amended has a hand in what began the chain; of who does it now the constraint itself speaks."""
    assert amended(APART, an_act("capture", "ana"), an_act("execute", "bea"), an_act(AMEND, "bea"))
    assert amended(APART, an_act("capture", "ana"), an_act("execute", "bea"), by="bea") == []


def test_what_was_done_before_on_a_line_counts() -> None:
    earlier = TrailAct(KIND.id, "capture", an_act("capture", "ana", chain="O-0", index=1))
    later = TrailAct(KIND.id, "capture", an_act("capture", "ana", chain="O-2", index=8))
    own = an_act("execute", "ana", index=5)
    (finding,) = amended(APART, own, lines=((later,), (earlier,)))
    assert "on chain O-0" in finding.message.en
    assert amended(APART, own, lines=((later,),)) == []


def test_what_an_amendment_opens_again_leaves_enough_persons() -> None:
    """Of a step that must be taken again somebody comes; of one that need not nobody may."""
    three = a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", "execute", limit=3, name="three")
    acts = done(("capture", "ana"), ("approve", "bea"), ("execute", "cai")).acts
    assert amended(three, *acts, reopens=("approve",)) == []
    optional = a_kind(*(replace(step, optional=step.id == "approve") for step in REOPENING.steps))
    (finding,) = amended(three, *acts, reopens=("approve",), kind=optional)
    assert (finding.values["count"], finding.values["limit"], finding.effect) == (2, 3, Effect.DENY)
    assert amended(replace(three, limit=2), *acts, reopens=("approve",), kind=optional) == []
    assert amended(replace(three, limit=4), *acts, reopens=("approve",), kind=optional)  # it becomes worse
    assert amended(replace(three, limit=4), *acts, kind=optional) == []  # it was so
    (finding,) = amended(replace(three, when=LARGE, limit=4, then=Effect.REVIEW), *acts, kind=optional)
    assert (finding.values["count"], finding.effect) == (3, Effect.REVIEW)
    two = {"approve": Votes(2)}
    assert amended(three, *acts, reopens=("approve",), kind=optional, votes=two)


def test_who_took_the_last_step_is_not_left_alone() -> None:
    """Whoever amends is there, too, unless it is the same person, or was done for that one."""
    (sole,) = [item for item in with_built_in((), chains=[REOPENING]) if item.id == "sole_actor"]
    acts = done(("capture", "ana"), ("approve", "bea"), ("settle", "ana")).acts
    (finding,) = amended(sole, *acts, by="ana", reopens=("approve",))
    assert finding.values["rule"] == "sole_actor"
    assert amended(sole, *acts, by="bea", reopens=("approve",)) == []
    assert amended(sole, *acts, by="ana") == []
    assert amended(sole, *acts[:2], by="ana", reopens=("approve",)) == []
    for_bea = replace(acts[2], beside="bea")
    assert amended(sole, acts[0], for_bea, acts[1], by="ana", reopens=("approve",)) != []


RULES = (
    APART,
    a_constraint(ConstraintKind.AT_MOST, *STEPS, limit=2, when=LARGE, name="most"),
    a_constraint(ConstraintKind.BIND, "approve", "settle", when=LARGE, name="bind"),
    a_constraint(
        ConstraintKind.VOTES,
        "approve",
        limit=2,
        distinct_from=("capture", "settle"),
        when=LARGE,
        name="votes",
    ),
    a_constraint(ConstraintKind.COALITION, *STEPS[:3], limit=2, when=LARGE, name="ring"),
    a_constraint(ConstraintKind.COOLING_OFF, "capture", "settle", within=HOUR, when=LARGE),
    a_constraint(ConstraintKind.SEPARATE, "approve", "capture", ordered=True, when=LARGE, name="ordered"),
)
drawn = st.builds(
    an_act,
    st.sampled_from((*STEPS, AMEND)),
    st.sampled_from("abc"),
    state=st.sampled_from([state for state in ActState if state is not ActState.REOPENED]),
    capacity=st.sampled_from(Capacity),
)


@given(st.lists(drawn, max_size=7))
def test_it_is_what_is_found_when_the_ledger_is_looked_over(given_acts: list[Act]) -> None:
    """An amendment is let pass if and only if looking for breaches afterwards finds none."""
    acts = [replace(act, index=number, claim=f"c{number}") for number, act in enumerate(given_acts)]
    after = Breaches(
        RULES, kinds={KIND.id: REOPENING}, grants=(), closure={}, roles_at=lambda *_: frozenset()
    )
    after.add(a_history(*acts))
    told = {finding.values["rule"] for finding in amended(RULES, *acts)}
    assert told == {breach.constraint.id for breach in after.found()}
