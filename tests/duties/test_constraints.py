from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.constraints import (
    FORMULAS,
    Asked,
    Violation,
    built_in,
    concerns,
    exclusive_roles,
    needed_past,
    past_of,
    violation,
    with_built_in,
)
from controls.model.chain import Act, ActState, Capacity, ChainHistory, ChainKind
from controls.model.condition import Truth
from controls.model.duty import Constraint, ConstraintKind, Group, Period, Scope
from controls.model.finding import Effect
from tests.duties.builders import (
    KIND,
    NOW,
    STEPS,
    Fixed,
    a_constraint,
    a_history,
    a_kind,
    a_step,
    an_act,
    asking,
    done,
    facts_of,
)

ENDED = (ActState.ABANDONED, ActState.VOID, ActState.REOPENED)


def says(constraint: Constraint, asked: Asked) -> Violation | None:
    return violation(constraint, asked=asked, facts=facts_of(asked.history))


class TestWholeChain:
    RULE = a_constraint(ConstraintKind.WHOLE_CHAIN)

    def test_last_missing_step_is_refused(self) -> None:
        """Whoever had a hand in all other mandatory steps may not take the remaining one."""
        history = done(*((step, "ana") for step in STEPS[:-1]))
        found = says(self.RULE, asking("settle", "ana", history))
        assert found is not None
        assert (found.count, found.limit, len(found.acts)) == (5, 4, 4)

    def test_somebody_else_may_take_it(self) -> None:
        """The same chain is open to a person without acts on it."""
        history = done(*((step, "ana") for step in STEPS[:-1]))
        assert says(self.RULE, asking("settle", "ben", history)) is None

    def test_one_step_by_another_is_enough(self) -> None:
        """A person with all mandatory steps but two may take one of them."""
        history = done(*((step, "ana") for step in STEPS[:-2]))
        assert says(self.RULE, asking("settle", "ana", history)) is None

    @pytest.mark.parametrize("state", ENDED)
    def test_ended_acts_count(self, state: ActState) -> None:
        """What became of an act does not free its person: abandoned, void and reopened acts count."""
        history = a_history(*(an_act(step, "ana", state=state) for step in STEPS[:-1]))
        assert says(self.RULE, asking("settle", "ana", history)) is not None

    def test_approvals_count(self) -> None:
        """Approving a step counts as having a hand in it."""
        acts = [an_act(step, "ana") for step in STEPS[:-2]]
        history = a_history(*acts, an_act("allocate", "ana", capacity=Capacity.APPROVER))
        assert says(self.RULE, asking("settle", "ana", history)) is not None

    def test_optional_step_is_never_the_one(self) -> None:
        """An optional step is not refused by the whole chain, and is not needed to complete it."""
        kind = a_kind(a_step("one"), a_step("extra", optional=True), a_step("two"))
        history = done(("one", "ana"))
        assert says(self.RULE, asking("extra", "ana", history, kind=kind)) is None
        assert says(self.RULE, asking("two", "ana", history, kind=kind)) is not None
        both = done(("one", "ana"), ("two", "ana"))
        assert says(self.RULE, asking("extra", "ana", both, kind=kind)) is None
        assert not concerns(self.RULE, kind=kind, step="extra")

    def test_own_step_again_counts_once(self) -> None:
        """Asking again for the own live claim is no further step."""
        history = a_history(*(an_act(step, "ana", state=ActState.CLAIMED) for step in STEPS[:-1]))
        assert says(self.RULE, asking("allocate", "ana", history)) is None


class TestSoleActor:
    RULE = a_constraint(ConstraintKind.SOLE_ACTOR)

    def test_only_actor_is_refused_the_last_step(self) -> None:
        """Skipping steps does not help: the chain's only actor may not end it."""
        found = says(self.RULE, asking("settle", "ana", done(("capture", "ana"))))
        assert found is not None
        assert [act.step for act in found.acts] == ["capture"]

    def test_on_an_empty_chain_too(self) -> None:
        """Whoever would begin a chain with its last step would be its only actor."""
        assert says(self.RULE, asking("settle", "ana", a_history())) is not None

    def test_somebody_elses_act_opens_it(self) -> None:
        """One standing act of another person is enough."""
        assert says(self.RULE, asking("settle", "ana", done(("capture", "ben")))) is None

    @pytest.mark.parametrize("state", ENDED)
    def test_ended_act_of_another_does_not_help(self, state: ActState) -> None:
        """An abandoned claim of somebody else does not make a second actor."""
        history = a_history(an_act("capture", "ana"), an_act("approve", "ben", state=state))
        assert says(self.RULE, asking("settle", "ana", history)) is not None

    def test_approval_of_another_does_not_help(self) -> None:
        """An approver holds no step, so approving does not make a second actor."""
        history = a_history(an_act("capture", "ana"), an_act("approve", "ben", capacity=Capacity.APPROVER))
        assert says(self.RULE, asking("settle", "ana", history)) is not None

    def test_other_steps_are_free(self) -> None:
        """Only the last mandatory step is refused."""
        assert says(self.RULE, asking("allocate", "ana", done(("capture", "ana")))) is None

    def test_last_mandatory_step_not_last_listed(self) -> None:
        """An optional step after it does not take the place of the last mandatory one."""
        kind = a_kind(a_step("one"), a_step("two"), a_step("extra", optional=True))
        assert says(self.RULE, asking("two", "ana", done(("one", "ana")), kind=kind)) is not None
        assert says(self.RULE, asking("extra", "ana", done(("one", "ana")), kind=kind)) is None


class TestSeparate:
    RULE = a_constraint(ConstraintKind.SEPARATE, "capture", "approve", "settle")

    @pytest.mark.parametrize(
        ("before", "asked", "refused"),
        [
            ("capture", "approve", True),
            ("approve", "capture", True),
            ("settle", "approve", True),
            ("capture", "settle", True),
            ("execute", "approve", False),
            ("approve", "approve", False),
        ],
    )
    def test_pairs(self, before: str, asked: str, refused: bool) -> None:
        """Any two different steps of the list exclude each other, in both directions."""
        found = says(self.RULE, asking(asked, "ana", done((before, "ana"))))
        assert (found is not None) == refused

    @pytest.mark.parametrize("state", ENDED)
    def test_ended_acts_count(self, state: ActState) -> None:
        """Abandoning the maker's step does not make a checker."""
        history = a_history(an_act("capture", "ana", state=state))
        assert says(self.RULE, asking("approve", "ana", history)) is not None

    @pytest.mark.parametrize("state", [ActState.PERFORMED, *ENDED])
    def test_an_amendment_is_a_maker_s_act(self, state: ActState) -> None:
        """Whoever amended what was captured has a hand in the capture, and does not check it."""
        history = a_history(an_act("capture", "ben"), an_act("amend", "ana", state=state))
        found = says(self.RULE, asking("approve", "ana", history))
        assert found is not None
        assert [(act.step, act.person) for act in found.acts] == [("amend", "ana")]
        assert says(self.RULE, asking("approve", "eva", history)) is None

    def test_names_the_acts(self) -> None:
        """The violation holds the earlier acts and the steps in the file's order."""
        history = done(("settle", "ana"), ("capture", "ana"), ("execute", "ana"), ("capture", "ben"))
        found = says(self.RULE, asking("approve", "ana", history))
        assert found is not None
        assert found.steps == ("capture", "settle")
        assert [(act.step, act.person) for act in found.acts] == [("settle", "ana"), ("capture", "ana")]


class TestAtMost:
    RULE = a_constraint(ConstraintKind.AT_MOST, "capture", "approve", "execute", limit=2)

    @pytest.mark.parametrize(
        ("before", "asked", "count"),
        [
            ((), "capture", None),
            (("capture",), "approve", None),
            (("capture", "approve"), "execute", 3),
            (("capture", "approve"), "approve", None),
            (("capture", "capture", "capture"), "approve", None),
            (("allocate", "settle", "capture"), "approve", None),
        ],
    )
    def test_counts_distinct_steps(self, before: tuple[str, ...], asked: str, count: int | None) -> None:
        """Distinct steps of the list count, this one included, and one asked again counts once."""
        found = says(self.RULE, asking(asked, "ana", done(*((step, "ana") for step in before))))
        assert (None if found is None else found.count) == count

    @pytest.mark.parametrize("state", ENDED)
    def test_ended_acts_count(self, state: ActState) -> None:
        """An abandoned step uses up the limit like a performed one."""
        history = a_history(an_act("capture", "ana", state=state), an_act("approve", "ana"))
        assert says(self.RULE, asking("execute", "ana", history)) is not None

    def test_others_do_not_count(self) -> None:
        """Only the person's own acts count."""
        assert says(self.RULE, asking("execute", "ana", done(("capture", "ben"), ("approve", "ben")))) is None


class TestAtMostOnAccount:
    RULE = a_constraint(ConstraintKind.AT_MOST, "capture", limit=3, scope=Scope.ACCOUNT)

    def chains(self, count: int) -> tuple[ChainHistory, ...]:
        return tuple(done(("capture", "ana"), chain=f"O-{at}") for at in range(2, 2 + count))

    @pytest.mark.parametrize(("before", "refused"), [(0, False), (2, False), (3, True), (5, True)])
    def test_counts_over_all_chains(self, before: int, refused: bool) -> None:
        """The same step on another chain of the account counts again."""
        asked = asking("capture", "ana", a_history(), elsewhere=self.chains(before))
        assert (says(self.RULE, asked) is not None) == refused

    def test_this_chain_counts_once(self) -> None:
        """Asking again for the own claim counts once, whether or not this chain is among the account's."""
        own = a_history(an_act("capture", "ana", state=ActState.CLAIMED))
        for chains in (self.chains(2), (*self.chains(2), own)):
            assert says(self.RULE, asking("capture", "ana", own, elsewhere=chains)) is None

    def test_other_persons_and_chain_kinds_do_not_count(self) -> None:
        """Acts of others, and steps of the same name in another chain kind, are not counted."""
        chains = (
            done(("capture", "ben"), chain="O-2"),
            done(("capture", "ana"), chain="O-3", kind="purchase"),
            *self.chains(2)[:2],
        )
        assert says(self.RULE, asking("capture", "ana", a_history(), elsewhere=chains)) is None

    def test_same_chain_id_in_two_kinds_counts_twice(self) -> None:
        """For a constraint over all chain kinds, chains of two kinds are two, even under one id."""
        rule = replace(self.RULE, chain="", limit=2)
        chains = (done(("capture", "ana"), chain="O-2"), done(("capture", "ana"), chain="O-2", kind="buy"))
        found = says(rule, asking("capture", "ana", a_history(), elsewhere=chains))
        assert found is not None
        assert found.count == 3

    def test_unknown_account_is_refused(self) -> None:
        """When the account's chains cannot be told, the limit cannot be shown to hold."""
        found = says(self.RULE, asking("capture", "ana", a_history(), elsewhere=None))
        assert found is not None
        assert found.missing == ("order.account",)


class TestAtLeast:
    RULE = a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", "execute", limit=3)

    @pytest.mark.parametrize(
        ("before", "step", "person", "count"),
        [
            ((), "capture", "ana", None),
            ((("capture", "ana"),), "approve", "ben", None),
            ((("capture", "ana"),), "approve", "ana", 2),
            ((("capture", "ana"), ("approve", "ben")), "execute", "cai", None),
            ((("capture", "ana"), ("approve", "ben")), "execute", "ben", 2),
            ((("capture", "ana"), ("approve", "ana")), "execute", "ana", 1),
        ],
    )
    def test_enough_persons_must_remain_possible(
        self, before: tuple[tuple[str, str], ...], step: str, person: str, count: int | None
    ) -> None:
        """Persons so far, this one, and one for each step still open must reach the minimum."""
        found = says(self.RULE, asking(step, person, done(*before)))
        assert (None if found is None else found.count) == count

    def test_optional_steps_promise_nobody(self) -> None:
        """An open optional step is not counted on."""
        kind = a_kind(a_step("capture"), a_step("approve"), a_step("execute", optional=True))
        assert says(self.RULE, asking("capture", "ana", a_history(), kind=kind)) is not None

    def test_abandoned_acts_do_not_count(self) -> None:
        """Who abandoned a step is not one of the persons; the step is open again."""
        history = a_history(an_act("capture", "ben", state=ActState.ABANDONED), an_act("approve", "ana"))
        found = says(self.RULE, asking("execute", "ana", history))
        assert found is not None
        assert found.count == 2

    def test_own_claim_again_counts_once(self) -> None:
        """Asking again for the own live claim is neither a person nor a step more."""
        history = a_history(an_act("capture", "ana"), an_act("approve", "ben", state=ActState.CLAIMED))
        assert says(self.RULE, asking("approve", "ben", history)) is None


class TestBind:
    RULE = a_constraint(ConstraintKind.BIND, "execute", "settle")

    @pytest.mark.parametrize(("person", "refused"), [("ana", False), ("ben", True)])
    def test_same_person(self, person: str, refused: bool) -> None:
        """The second of two bound steps is for who holds the first."""
        found = says(self.RULE, asking("settle", person, done(("execute", "ana"))))
        assert (found is not None) == refused

    def test_free_while_nobody_holds_the_other(self) -> None:
        """An abandoned act binds nobody."""
        history = a_history(an_act("execute", "ana", state=ActState.ABANDONED))
        assert says(self.RULE, asking("settle", "ben", history)) is None

    def test_own_step_held_by_another_is_no_matter_of_bind(self) -> None:
        """Whether a step may be taken twice is not decided here."""
        assert says(self.RULE, asking("settle", "ben", done(("settle", "ana")))) is None


class TestExclusiveRoles:
    RULE = a_constraint(ConstraintKind.EXCLUSIVE_ROLES, roles=("trader", "clerk", "auditor"), limit=1)

    @pytest.mark.parametrize(
        ("held", "count"),
        [(set(), None), ({"trader"}, None), ({"trader", "boss"}, None), ({"trader", "clerk"}, 2)],
    )
    def test_counts_listed_roles(self, held: set[str], count: int | None) -> None:
        """More of the listed roles than the limit is a violation, with or without a chain."""
        found = exclusive_roles(self.RULE, roles=frozenset(held))
        assert (None if found is None else found.count) == count
        asked = asking("capture", "ana", a_history(), roles=frozenset(held))
        assert says(self.RULE, asked) == found


class TestApplies:
    HISTORY = done(("capture", "ana"))

    def rule(self, *, when: Fixed | None = None, effective: Period | None = None) -> Constraint:
        return a_constraint(ConstraintKind.SEPARATE, "capture", "approve", when=when, effective=effective)

    @pytest.mark.parametrize(
        ("truth", "applies"), [(Truth.TRUE, True), (Truth.UNKNOWN, True), (Truth.FALSE, False)]
    )
    def test_unknown_never_loosens(self, truth: Truth, applies: bool) -> None:
        """A constraint applies unless its condition is false."""
        found = says(self.rule(when=Fixed(truth)), asking("approve", "ana", self.HISTORY))
        assert (found is not None) == applies

    def test_unknown_names_what_is_missing(self) -> None:
        """The violation of a constraint with an unknown condition names the absent facts."""
        rule = self.rule(when=Fixed(Truth.UNKNOWN, missing=("order.notional",)))
        found = says(rule, asking("approve", "ana", self.HISTORY))
        assert found is not None
        assert found.missing == ("order.notional",)

    @pytest.mark.parametrize(
        ("period", "applies"),
        [
            (Period(), True),
            (Period(start=NOW), True),
            (Period(end=NOW), False),
            (Period(start=NOW + timedelta(seconds=1)), False),
            (Period(end=NOW + timedelta(seconds=1)), True),
        ],
    )
    def test_period_is_half_open(self, period: Period, applies: bool) -> None:
        """A constraint applies from its start on and no more at its end."""
        found = says(self.rule(effective=period), asking("approve", "ana", self.HISTORY))
        assert (found is not None) == applies

    @pytest.mark.parametrize(
        ("rule", "step", "expected"),
        [
            (a_constraint(ConstraintKind.SEPARATE, "capture", "approve"), "approve", True),
            (a_constraint(ConstraintKind.SEPARATE, "capture", "approve"), "settle", False),
            (a_constraint(ConstraintKind.SEPARATE, "capture", "approve", chain="other"), "approve", False),
            (a_constraint(ConstraintKind.SEPARATE, "capture", "approve", chain=""), "approve", True),
            (a_constraint(ConstraintKind.EXCLUSIVE_ROLES, roles=("a", "b")), "settle", True),
            (a_constraint(ConstraintKind.WHOLE_CHAIN), "capture", True),
            (a_constraint(ConstraintKind.SOLE_ACTOR), "capture", False),
            (a_constraint(ConstraintKind.SOLE_ACTOR), "settle", True),
        ],
    )
    def test_concerns(self, rule: Constraint, step: str, expected: bool) -> None:
        """A constraint concerns the steps it lists, on its own chain kind or, without one, on all."""
        assert concerns(rule, kind=KIND, step=step) is expected


class TestBuiltIn:
    def test_every_kind_has_both(self) -> None:
        """Each chain kind gets the whole chain and, unless it opts out visibly, the sole actor."""
        open_kind = a_kind(a_step("one"), a_step("two"), name="open", sole_actor_allowed=True)
        added = with_built_in((), chains=(KIND, open_kind))
        assert [(item.kind, item.chain) for item in added] == [
            (ConstraintKind.WHOLE_CHAIN, "order_chain"),
            (ConstraintKind.SOLE_ACTOR, "order_chain"),
            (ConstraintKind.WHOLE_CHAIN, "open"),
        ]
        assert all(item.then is Effect.DENY and item.absolute for item in added)

    def test_those_already_there_are_kept(self) -> None:
        """Constraints of a release that carries them are not doubled."""
        given_ones = built_in(KIND)
        assert with_built_in(given_ones, chains=(KIND,)) == given_ones

    @pytest.mark.parametrize(
        "weaker",
        [
            a_constraint(ConstraintKind.WHOLE_CHAIN, then=Effect.REVIEW),
            a_constraint(ConstraintKind.WHOLE_CHAIN, when=Fixed(Truth.TRUE)),
            a_constraint(ConstraintKind.WHOLE_CHAIN, effective=Period(end=NOW)),
            a_constraint(ConstraintKind.SOLE_ACTOR, then=Effect.FLAG),
        ],
    )
    def test_nothing_weakens_them(self, weaker: Constraint) -> None:
        """A weaker form of a built-in constraint is refused when the release is built."""
        with pytest.raises(ValueError, match="built in"):
            with_built_in((weaker,), chains=(KIND,))


# --- Laws -------------------------------------------------------------------------------------------------

PERSONS = ("ana", "ben", "cai", "dee")
AGAINST = (
    a_constraint(ConstraintKind.WHOLE_CHAIN),
    a_constraint(ConstraintKind.SEPARATE, "capture", "approve", "settle"),
    a_constraint(ConstraintKind.AT_MOST, *STEPS, limit=2),
    a_constraint(ConstraintKind.AT_MOST, "capture", "settle", limit=2, scope=Scope.ACCOUNT),
)
ALL = (
    *AGAINST,
    a_constraint(ConstraintKind.SOLE_ACTOR),
    a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=3),
    a_constraint(ConstraintKind.BIND, "execute", "settle"),
)

acts = st.builds(
    an_act,
    st.sampled_from(STEPS),
    st.sampled_from(PERSONS),
    state=st.sampled_from(list(ActState)),
    capacity=st.sampled_from([Capacity.ACTOR, Capacity.ACTOR, Capacity.APPROVER]),
)
histories = st.lists(acts, max_size=9).map(lambda items: a_history(*items))
kinds = st.sets(st.sampled_from(STEPS), max_size=3).map(
    lambda optional: a_kind(*(a_step(step, optional=step in optional) for step in STEPS))
)


@given(
    constraint=st.sampled_from(AGAINST),
    history=histories,
    more=st.lists(acts, min_size=1, max_size=4),
    step=st.sampled_from(STEPS),
    kind=kinds,
    elsewhere=histories,
)
def test_adding_acts_never_loosens(
    constraint: Constraint,
    history: ChainHistory,
    more: list[Act],
    step: str,
    kind: ChainKind,
    elsewhere: ChainHistory,
) -> None:
    """More history never turns a violation of what counts against a person into none."""
    longer = replace(history, acts=(*history.acts, *more))
    others = (replace(elsewhere, chain="O-2"),)
    before = FORMULAS[constraint.kind](
        constraint, asked=asking(step, "ana", history, kind=kind, elsewhere=())
    )
    after = FORMULAS[constraint.kind](
        constraint, asked=asking(step, "ana", longer, kind=kind, elsewhere=others)
    )
    if before is not None:
        assert after is not None
        assert after.count >= before.count


@given(
    constraint=st.sampled_from([*AGAINST, a_constraint(ConstraintKind.SOLE_ACTOR)]),
    history=histories,
    ended=st.sets(st.integers(0, 8)),
    state=st.sampled_from(ENDED),
    step=st.sampled_from(STEPS),
    kind=kinds,
)
def test_abandoning_never_helps(
    constraint: Constraint,
    history: ChainHistory,
    ended: set[int],
    state: ActState,
    step: str,
    kind: ChainKind,
) -> None:
    """Ending acts, whoever's they are, never turns a violation of these kinds into none."""
    washed = replace(
        history,
        acts=tuple(
            replace(act, state=state) if at in ended and act.stands() else act
            for at, act in enumerate(history.acts)
        ),
    )
    formula = FORMULAS[constraint.kind]
    if formula(constraint, asked=asking(step, "ana", history, kind=kind)) is not None:
        assert formula(constraint, asked=asking(step, "ana", washed, kind=kind)) is not None


@given(
    constraint=st.sampled_from(ALL),
    history=histories,
    step=st.sampled_from(STEPS),
    person=st.sampled_from(PERSONS),
    names=st.permutations(["ana", "ben", "x, (y)", "') or (True"]),
    kind=kinds,
)
def test_renaming_persons_changes_nothing(
    constraint: Constraint,
    history: ChainHistory,
    step: str,
    person: str,
    names: list[str],
    kind: ChainKind,
) -> None:
    """Under other names for the same persons, every constraint says the same of the same acts."""
    name = dict(zip(PERSONS, names, strict=True))
    renamed = replace(history, acts=tuple(replace(act, person=name[act.person]) for act in history.acts))
    formula = FORMULAS[constraint.kind]
    before = formula(constraint, asked=asking(step, person, history, kind=kind))
    after = formula(constraint, asked=asking(step, name[person], renamed, kind=kind))
    if before is not None:
        before = replace(before, acts=tuple(replace(act, person=name[act.person]) for act in before.acts))
    assert after == before


@given(
    constraint=st.sampled_from(ALL),
    history=histories,
    step=st.sampled_from(STEPS),
    kind=kinds,
)
def test_own_live_claim_counts_once(
    constraint: Constraint, history: ChainHistory, step: str, kind: ChainKind
) -> None:
    """What was permitted is not refused when the same person asks for the claimed step again at once."""
    formula = FORMULAS[constraint.kind]
    if formula(constraint, asked=asking(step, "ana", history, kind=kind)) is None:
        claim = an_act(step, "ana", state=ActState.CLAIMED)
        claimed = replace(history, acts=(*history.acts, claim))
        assert formula(constraint, asked=asking(step, "ana", claimed, kind=kind)) is None


@given(
    constraint=st.sampled_from(
        [
            *ALL,
            a_constraint(ConstraintKind.AT_MOST, *STEPS, limit=0),
            *(a_constraint(ConstraintKind.AT_LEAST, *STEPS[:3], limit=limit) for limit in (1, 3, 4)),
            *(a_constraint(ConstraintKind.COALITION, *STEPS[:4], limit=limit) for limit in (2, 4, 5)),
            a_constraint(ConstraintKind.RELATION, *STEPS, forbid=("reports_to",), differ=("department",)),
            a_constraint(ConstraintKind.VOTES, "approve", limit=2, distinct_from=("capture",)),
            a_constraint(
                ConstraintKind.EXCLUSIVE_ROLES,
                roles=("maker", "checker"),
                limit=1,
                dynamic=True,
                groups=(Group("maker", ("capture", "execute")), Group("checker", ("approve", "settle"))),
            ),
        ]
    ),
    history=histories,
    step=st.sampled_from(STEPS),
    kind=kinds | st.just(a_kind(a_step("capture"), a_step("approve", optional=True))),
    person=st.sampled_from([*PERSONS, "somebody new"]),
)
def test_silent_without_the_past_they_need(
    constraint: Constraint, history: ChainHistory, step: str, kind: ChainKind, person: str
) -> None:
    """A constraint that is not asked for want of a past would have had nothing to say."""
    asked = asking(step, person, history, kind=kind)
    if needed_past(constraint, kind=kind) > past_of(asked):
        assert FORMULAS[constraint.kind](constraint, asked=asked) is None


def test_what_past_they_need() -> None:
    """The property above is about most kinds, and about none that speaks of a first step."""
    assert {item.kind: needed_past(item, kind=KIND).name for item in ALL} == {
        ConstraintKind.WHOLE_CHAIN: "OWN",
        ConstraintKind.SEPARATE: "OWN",
        ConstraintKind.AT_MOST: "NONE",  # the last one counts the acts of an account
        ConstraintKind.SOLE_ACTOR: "NONE",
        ConstraintKind.AT_LEAST: "ANY",
        ConstraintKind.BIND: "ANY",
    }
    own = a_constraint(ConstraintKind.AT_MOST, *STEPS, limit=2)
    assert needed_past(own, kind=KIND).name == "OWN"
    assert needed_past(a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=6), kind=KIND).name == "NONE"
