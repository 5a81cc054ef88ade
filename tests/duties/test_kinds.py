"""Constraints that look at time, at other chains, at relations, at groups and at roles in use."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.constraints import FORMULAS, Asked, Violation, concerns, violation
from controls.duties.covers import fewest
from controls.duties.relations import reports_to
from controls.model.chain import AMEND, Act, ActState, Capacity
from controls.model.condition import Truth
from controls.model.duty import Constraint, ConstraintKind, Group, Scope
from controls.model.people import Profile
from controls.model.trail import TrailAct, TrailReading
from tests.duties.builders import (
    KIND,
    NOW,
    STEPS,
    a_constraint,
    a_history,
    a_kind,
    a_step,
    an_act,
    asking,
    done,
    facts_of,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVERY_STATE = list(ActState)


def says(constraint: Constraint, asked: Asked) -> Violation | None:
    return violation(constraint, asked=asked, facts=facts_of(asked.history))


def speaks(constraint: Constraint, asked: Asked) -> bool:
    return says(constraint, asked) is not None


def people(*profiles: Profile) -> dict[str, Profile]:
    return {profile.person: profile for profile in profiles}


class TestRelation:
    MINE = a_constraint(ConstraintKind.RELATION, "capture", "approve", forbid=("reports_to",))
    HOME = a_constraint(ConstraintKind.RELATION, "capture", "approve", forbid=("household",))
    TEAM = a_constraint(ConstraintKind.RELATION, "capture", "approve", differ=("department", "desk"))
    # zoe is at the top; ana reports to ben, who reports to zoe; cai reports to zoe.
    LINE = people(
        Profile("ana", reports_to="ben"),
        Profile("ben", reports_to="zoe"),
        Profile("cai", reports_to="zoe"),
        Profile("zoe", reports_to="zoe"),
    )

    @pytest.mark.parametrize(
        ("first", "second", "refused"),
        [
            ("ana", "ben", True),
            ("ben", "ana", True),
            ("ana", "zoe", True),
            ("zoe", "ana", True),
            ("ana", "cai", False),
            ("cai", "ben", False),
            ("ana", "ana", False),
            ("zoe", "zoe", False),
        ],
    )
    def test_reporting_line_both_ways(self, first: str, second: str, refused: bool) -> None:
        """Neither above nor below, directly or not; colleagues may check each other."""
        asked = asking("approve", second, done(("capture", first)), profiles=self.LINE)
        assert speaks(self.MINE, asked) is refused

    def test_everybody_is_of_the_own_household(self) -> None:
        """What two persons must not have in common, one person has in common with himself, known or not."""
        for rule, relation in ((self.HOME, "household"), (self.TEAM, "department")):
            found = says(rule, asking("approve", "ana", done(("capture", "ana"))))
            assert found is not None
            assert found.relations[0] == relation
            assert found.missing == ()

    def test_a_circle_ends(self) -> None:
        """Two who report to each other are related to each other, and have nobody above them."""
        circle = people(
            Profile("ana", reports_to="ben"),
            Profile("ben", reports_to="ana"),
            Profile("cai", reports_to="cai"),
        )
        assert reports_to("ana", "ben", profiles=circle) == (Truth.TRUE, ())
        assert reports_to("ana", "cai", profiles=circle) == (Truth.FALSE, ())

    @pytest.mark.parametrize(
        ("profiles", "missing"),
        [
            ({}, ("directory.ben.reports_to", "directory.ana.reports_to")),
            (
                people(Profile("ana", reports_to="zoe")),
                ("directory.ben.reports_to", "directory.zoe.reports_to"),
            ),
            (
                people(Profile("ana", reports_to="zoe"), Profile("ben", reports_to="ben")),
                ("directory.zoe.reports_to",),
            ),
        ],
    )
    def test_an_unknown_line_applies(self, profiles: dict[str, Profile], missing: tuple[str, ...]) -> None:
        """Where the line breaks off, nobody can tell who is above: it names whose superior it is."""
        found = says(self.MINE, asking("approve", "ben", done(("capture", "ana")), profiles=profiles))
        assert found is not None
        assert found.missing == missing

    def test_a_known_relation_needs_no_rest(self) -> None:
        """What is known to hold is a violation, whatever else is missing."""
        profiles = people(Profile("ana", reports_to="ben"))
        found = says(self.MINE, asking("approve", "ben", done(("capture", "ana")), profiles=profiles))
        assert found is not None
        assert (found.missing, found.relations) == ((), ("reports_to",))

    @pytest.mark.parametrize(
        ("homes", "refused", "missing"),
        [
            (("h1", "h1"), True, ()),
            (("h1", "h2"), False, ()),
            (("h1", ""), True, ("directory.ben.household",)),
            (("", ""), True, ("directory.ben.household", "directory.ana.household")),
        ],
    )
    def test_household(self, homes: tuple[str, str], refused: bool, missing: tuple[str, ...]) -> None:
        """People who live together do not check each other; an unknown household applies."""
        profiles = people(Profile("ana", household=homes[0]), Profile("ben", household=homes[1]))
        found = says(self.HOME, asking("approve", "ben", done(("capture", "ana")), profiles=profiles))
        assert (found is not None) is refused
        assert (() if found is None else found.missing) == missing

    @pytest.mark.parametrize(
        ("team", "refused"),
        [
            (("front", "equities"), True),
            (("front", "bonds"), True),
            (("risk", "equities"), True),
            (("risk", "x"), False),
        ],
    )
    def test_all_that_must_differ_differs(self, team: tuple[str, str], refused: bool) -> None:
        """One thing in common is enough to be refused."""
        profiles = people(Profile("ana", department="front", desk="equities"), Profile("ben", *team))
        asked = asking("approve", "ben", done(("capture", "ana")), profiles=profiles)
        assert speaks(self.TEAM, asked) is refused

    @pytest.mark.parametrize("state", EVERY_STATE)
    def test_whatever_became_of_the_act(self, state: ActState) -> None:
        """An ended act of a related person counts, and so does an approval."""
        history = a_history(an_act("capture", "ana", state=state))
        assert speaks(self.MINE, asking("approve", "ben", history, profiles=self.LINE))
        approved = a_history(an_act("capture", "ana", capacity=Capacity.APPROVER))
        assert speaks(self.MINE, asking("approve", "ben", approved, profiles=self.LINE))

    def test_whoever_amends_has_a_hand_in_the_first_step(self) -> None:
        """The superior of who amended the order is related to what he or she would approve."""
        history = a_history(an_act("capture", "cai"), an_act(AMEND, "ana"))
        found = says(self.MINE, asking("approve", "ben", history, profiles=self.LINE))
        assert found is not None
        assert [act.step for act in found.acts] == [AMEND]

    def test_ordered_looks_back_only(self) -> None:
        """In its ordered form a step is held against those listed before it."""
        ordered = replace(self.MINE, ordered=True)
        assert speaks(ordered, asking("approve", "ben", done(("capture", "ana")), profiles=self.LINE))
        assert not speaks(ordered, asking("capture", "ben", done(("approve", "ana")), profiles=self.LINE))
        assert speaks(self.MINE, asking("capture", "ben", done(("approve", "ana")), profiles=self.LINE))


class TestOrdered:
    """The order-dependent forms of Simon and Zurko: a step is held only against those listed before it."""

    @pytest.mark.parametrize(
        ("first", "second", "refused"), [("capture", "approve", True), ("approve", "capture", False)]
    )
    def test_separate(self, first: str, second: str, refused: bool) -> None:
        """Checking one's own work is refused; doing what one has checked before is not."""
        rule = a_constraint(ConstraintKind.SEPARATE, "capture", "approve", ordered=True)
        assert speaks(rule, asking(second, "ana", done((first, "ana")))) is refused
        assert speaks(replace(rule, ordered=False), asking(second, "ana", done((first, "ana"))))

    @pytest.mark.parametrize(
        ("first", "second", "refused"), [("capture", "settle", True), ("settle", "capture", False)]
    )
    def test_bind(self, first: str, second: str, refused: bool) -> None:
        """Who ends it is who began it; whoever begins is bound by nothing."""
        rule = a_constraint(ConstraintKind.BIND, "capture", "settle", ordered=True)
        assert speaks(rule, asking(second, "ana", done((first, "ben")))) is refused


class TestScopes:
    SEPARATE = a_constraint(ConstraintKind.SEPARATE, "execute", "settle", scope=Scope.INSTRUMENT, within=DAY)
    GROUPS = a_constraint(
        ConstraintKind.AT_MOST, "capture", "execute", "settle", limit=1, scope=Scope.ACCOUNT,
        groups=(Group("front", ("capture", "execute")), Group("back", ("settle",))),
    )  # fmt: skip

    @pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.INSTRUMENT, Scope.DESK])
    def test_separate_over_other_chains(self, scope: Scope) -> None:
        """A step on another chain of the account, instrument or desk keeps a person from the other one."""
        rule = replace(self.SEPARATE, scope=scope)
        other = (done(("execute", "ana"), chain="O-2"),)
        found = says(rule, asking("settle", "ana", a_history(), elsewhere=other))
        assert found is not None
        assert [act.chain for act in found.acts] == ["O-2"]
        assert not speaks(rule, asking("settle", "ben", a_history(), elsewhere=other))
        assert not speaks(rule, asking("execute", "ana", a_history(), elsewhere=other))

    @pytest.mark.parametrize(
        ("age", "refused"), [(DAY - HOUR, True), (DAY - timedelta(microseconds=1), True), (DAY, False)]
    )
    def test_within_looks_back_so_far(self, age: timedelta, refused: bool) -> None:
        """An act counts while it is younger than `within`, on this chain as on others."""
        old = an_act("execute", "ana", at=NOW - age, chain="O-2")
        other = (a_history(old, chain="O-2"),)
        assert speaks(self.SEPARATE, asking("settle", "ana", a_history(), elsewhere=other)) is refused
        here = a_history(replace(old, chain="O-1"))
        assert speaks(self.SEPARATE, asking("settle", "ana", here)) is refused

    @pytest.mark.parametrize(
        "kind", [ConstraintKind.SEPARATE, ConstraintKind.AT_MOST, ConstraintKind.COOLING_OFF]
    )
    def test_an_unstated_value_applies(self, kind: ConstraintKind) -> None:
        """Where the request does not say of which desk it is, nobody can tell what counts."""
        rule = a_constraint(kind, "execute", "settle", scope=Scope.DESK, within=DAY, limit=2)
        found = says(rule, asking("settle", "ana", a_history(), elsewhere=None))
        assert found is not None
        assert found.missing == ("order.desk",)

    def test_groups_count_once_a_chain(self) -> None:
        """What is counted is a duty on a chain, however many of its steps a person takes there."""
        front = (done(("capture", "ana"), chain="O-2"),)
        assert not speaks(self.GROUPS, asking("settle", "ana", a_history()))
        found = says(self.GROUPS, asking("settle", "ana", a_history(), elsewhere=front))
        assert found is not None
        assert found.count == 2
        assert not speaks(self.GROUPS, asking("execute", "ana", done(("capture", "ana"))))

    def test_groups_on_one_chain(self) -> None:
        """On a chain, a third step of the same duty is no third duty."""
        rule = replace(self.GROUPS, scope=Scope.CHAIN)
        assert not speaks(rule, asking("execute", "ana", done(("capture", "ana"))))
        found = says(rule, asking("settle", "ana", done(("capture", "ana"), ("execute", "ana"))))
        assert found is not None
        assert (found.count, found.limit) == (2, 1)

    def test_an_amendment_is_an_act_on_the_first_step(self) -> None:
        """Whoever amends an order of the account has a hand in its capture."""
        rule = a_constraint(ConstraintKind.SEPARATE, "capture", "settle", scope=Scope.ACCOUNT)
        assert speaks(rule, asking("settle", "ana", a_history(an_act(AMEND, "ana"))))

    def test_steps_of_several_chain_kinds(self) -> None:
        """Beyond one chain, a constraint may hold the step of one kind against that of another."""
        rule = a_constraint(ConstraintKind.SEPARATE, "ssi_change", "settle", scope=Scope.ACCOUNT, chain="")
        other = (done(("ssi_change", "ana"), chain="S-1", kind="ssi"),)
        assert speaks(rule, asking("settle", "ana", a_history(), elsewhere=other))
        assert not speaks(
            replace(rule, chain="order_chain"), asking("settle", "ana", a_history(), elsewhere=other)
        )


class TestCoolingOff:
    RULE = a_constraint(ConstraintKind.COOLING_OFF, "capture", "settle", within=DAY)

    @pytest.mark.parametrize(("age", "refused"), [(timedelta(0), True), (DAY - HOUR, True), (DAY, False)])
    @pytest.mark.parametrize("person", ["ana", "ben"])
    def test_whoever_took_the_step(self, age: timedelta, refused: bool, person: str) -> None:
        """It is the matter that cools off, not the person; at its very end the step is free."""
        history = a_history(an_act("capture", person, at=NOW - age))
        found = says(self.RULE, asking("settle", "ana", history))
        assert (found is not None) is refused
        if found is not None:
            assert found.until == NOW - age + DAY

    def test_the_same_step_again_is_no_matter(self) -> None:
        """Only the other steps keep their distance."""
        assert not speaks(self.RULE, asking("capture", "ben", done(("capture", "ana"))))

    def test_on_other_chains(self) -> None:
        """With a scope, a change on another chain of the account counts; the latest one says until when."""
        rule = replace(self.RULE, scope=Scope.ACCOUNT)
        acts = [an_act("capture", "ben", at=NOW - age, chain="O-2") for age in (5 * HOUR, HOUR, 9 * HOUR)]
        acts = [replace(act, claim=f"c-{number}") for number, act in enumerate(acts)]
        found = says(rule, asking("settle", "ana", a_history(), elsewhere=(a_history(*acts, chain="O-2"),)))
        assert found is not None
        assert (found.until, len(found.acts)) == (NOW - HOUR + DAY, 3)

    @pytest.mark.parametrize(
        ("first", "second", "refused"), [("capture", "settle", True), ("settle", "capture", False)]
    )
    def test_ordered(self, first: str, second: str, refused: bool) -> None:
        """A change before the payment counts, one after it does not."""
        assert (
            speaks(replace(self.RULE, ordered=True), asking(second, "ben", done((first, "ana")))) is refused
        )


class TestChineseWall:
    RULE = a_constraint(
        ConstraintKind.CHINESE_WALL, conflict_class="issuer.sector", dataset="issuer.id", within=90 * DAY
    )
    NAME = "issuer.sector/issuer.id"

    def asked(self, person: str, part: str, *acts: tuple[str, str, timedelta]) -> Asked:
        marks = tuple(
            TrailAct("order_chain", "capture", an_act("capture", who, at=NOW - age, chain=f"O-{at}"), dataset)
            for at, (who, dataset, age) in enumerate(acts, start=2)
        )
        return asking("capture", person, a_history(), trails={self.NAME: TrailReading(marks, part)})

    def test_one_dataset_of_a_class(self) -> None:
        """Whoever acted on one company of a class may go on there, and not act on its competitor."""
        acted = ("ana", "oil-1", DAY)
        assert not speaks(self.RULE, self.asked("ana", "oil-1", acted))
        assert not speaks(self.RULE, self.asked("ben", "oil-2", acted))
        found = says(self.RULE, self.asked("ana", "oil-2", acted))
        assert found is not None
        assert (found.count, found.until) == (2, NOW + 89 * DAY)

    @pytest.mark.parametrize(("age", "refused"), [(89 * DAY, True), (90 * DAY, False)])
    def test_the_wall_comes_down(self, age: timedelta, refused: bool) -> None:
        """An act binds for as long as the constraint says."""
        assert speaks(self.RULE, self.asked("ana", "oil-2", ("ana", "oil-1", age))) is refused

    def test_an_unstated_side_applies(self) -> None:
        """Who does not say on which side the order is may not take it."""
        found = says(self.RULE, asking("capture", "ana", a_history(), trails={}))
        assert found is not None
        assert found.missing == ("issuer.sector", "issuer.id")

    def test_steps_narrow_it(self) -> None:
        """With steps, only these bind and only these are kept."""
        rule = replace(self.RULE, steps=("execute",))
        assert not speaks(rule, self.asked("ana", "oil-2", ("ana", "oil-1", DAY)))
        assert not concerns(rule, kind=KIND, step="capture")
        assert concerns(self.RULE, kind=KIND, step="capture")


class TestCoalition:
    RULE = a_constraint(ConstraintKind.COALITION, "capture", "execute", "allocate", "settle", limit=3)

    @pytest.mark.parametrize(
        ("before", "person", "count"),
        [
            ((), "ana", None),
            ((("capture", "ana"), ("execute", "ben"), ("allocate", "cai")), "dee", None),
            ((("capture", "ana"), ("execute", "ben"), ("allocate", "ana")), "ben", 2),
            ((("capture", "ana"), ("execute", "ben"), ("allocate", "ana")), "cai", None),
            ((("capture", "ana"), ("execute", "ana"), ("allocate", "ana")), "ben", 2),
        ],
    )
    def test_too_few_persons_together(
        self, before: tuple[tuple[str, str], ...], person: str, count: int | None
    ) -> None:
        """No two of them may together have a hand in all of it."""
        found = says(self.RULE, asking("settle", person, done(*before)))
        assert (None if found is None else found.count) == count

    def test_speaks_as_soon_as_it_cannot_be_kept(self) -> None:
        """What is still open can bring one new person each, and no more."""
        assert not speaks(self.RULE, asking("execute", "ana", done(("capture", "ana"))))
        assert speaks(self.RULE, asking("allocate", "ana", done(("capture", "ana"), ("execute", "ana"))))

    def test_hands_count_and_not_names(self) -> None:
        """A third person who only had a hand beside others does not make the two fewer suspects."""
        history = a_history(
            an_act("capture", "cai", state=ActState.ABANDONED),
            an_act("capture", "ana"),
            an_act("execute", "ben"),
            an_act("allocate", "ana"),
        )
        assert speaks(self.RULE, asking("settle", "ben", history))

    def test_optional_steps_bring_nobody(self) -> None:
        """An optional step that nobody has begun is not counted on."""
        kind = a_kind(
            a_step("capture"), a_step("execute", optional=True), a_step("allocate"), a_step("settle")
        )
        assert speaks(self.RULE, asking("allocate", "ana", done(("capture", "ana")), kind=kind))


class TestRolesInUse:
    """NIST's dynamic separation with the chain in the place of the session."""

    RULE = a_constraint(
        ConstraintKind.EXCLUSIVE_ROLES, roles=("trader", "clerk"), limit=1, dynamic=True,
        groups=(Group("trader", ("capture", "execute")), Group("clerk", ("capture", "settle"))),
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("before", "step", "refused"),
        [
            ((), "execute", False),
            (("execute",), "settle", True),
            (("capture",), "settle", False),
            (("capture",), "execute", False),
            (("capture", "execute"), "settle", True),
            (("approve",), "settle", False),
        ],
    )
    def test_uses_by_steps(self, before: tuple[str, ...], step: str, refused: bool) -> None:
        """Holding both is no matter; taking on one chain what only one and what only the other may is."""
        history = done(*((taken, "ana") for taken in before))
        both = frozenset({"trader", "clerk"})
        assert speaks(self.RULE, asking(step, "ana", history, roles=both)) is refused
        assert not speaks(self.RULE, asking(step, "ben", history, roles=both))

    def test_a_role_that_was_given_up_was_used(self) -> None:
        """What counts is what was done, whatever roles the person holds by now."""
        assert speaks(
            self.RULE, asking("settle", "ana", done(("execute", "ana")), roles=frozenset({"clerk"}))
        )

    def test_concerns_the_steps_of_the_roles(self) -> None:
        """It can only speak where one of the roles is used."""
        assert {step for step in STEPS if concerns(self.RULE, kind=KIND, step=step)} == {
            "capture",
            "execute",
            "settle",
        }


class TestVotes:
    RULE = a_constraint(ConstraintKind.VOTES, "settle", limit=2, distinct_from=("capture", "execute"))

    @pytest.mark.parametrize(
        ("before", "step", "refused"),
        [
            ("capture", "settle", True),
            ("approve", "settle", False),
            ("settle", "capture", True),
            ("capture", "execute", False),
            ("settle", "settle", False),
        ],
    )
    def test_apart_from_the_vote(self, before: str, step: str, refused: bool) -> None:
        """Nobody votes on what he or she had a hand in, nor the other way round."""
        assert speaks(self.RULE, asking(step, "ana", done((before, "ana")))) is refused


# --- Laws -------------------------------------------------------------------------------------------------

PERSONS = ("ana", "ben", "cai", "dee")
DEPARTMENTS = ("front", "risk", "")
# Of these every act counts, whoever's it is and whatever became of it: history never loosens them.
MONOTONE = (
    a_constraint(ConstraintKind.SEPARATE, "capture", "approve", "settle", ordered=True),
    a_constraint(ConstraintKind.SEPARATE, "capture", "settle", scope=Scope.INSTRUMENT, within=DAY),
    a_constraint(
        ConstraintKind.AT_MOST, *STEPS, limit=1, groups=(Group("one", STEPS[:2]), Group("two", STEPS[2:]))
    ),
    a_constraint(ConstraintKind.AT_MOST, "capture", "settle", limit=2, scope=Scope.DESK, within=DAY),
    a_constraint(ConstraintKind.RELATION, "capture", "approve", "settle", forbid=("reports_to", "household")),
    a_constraint(ConstraintKind.RELATION, "capture", "approve", differ=("department",), ordered=True),
    a_constraint(ConstraintKind.COOLING_OFF, "capture", "approve", "settle", within=HOUR),
    a_constraint(
        ConstraintKind.COOLING_OFF, "capture", "settle", scope=Scope.ACCOUNT, within=DAY, ordered=True
    ),
    a_constraint(ConstraintKind.CHINESE_WALL, conflict_class="a.class", dataset="a.set", within=DAY),
    a_constraint(ConstraintKind.COALITION, *STEPS, limit=3),
    a_constraint(
        ConstraintKind.EXCLUSIVE_ROLES, roles=("x", "y", "z"), limit=1, dynamic=True,
        groups=(Group("x", STEPS[:2]), Group("y", STEPS[1:4]), Group("z", STEPS[3:])),
    ),
    a_constraint(ConstraintKind.VOTES, "approve", limit=2, distinct_from=("capture", "settle")),
)  # fmt: skip

ages = st.sampled_from([timedelta(0), timedelta(minutes=59), HOUR, 23 * HOUR, DAY])


@st.composite
def some_acts(draw: st.DrawFn, *, chain: str, least: int = 0, most: int = 6) -> tuple[Act, ...]:
    number = draw(st.integers(least, most))
    return tuple(
        replace(
            an_act(
                draw(st.sampled_from([*STEPS, AMEND])),
                draw(st.sampled_from(PERSONS)),
                state=draw(st.sampled_from(EVERY_STATE)),
                capacity=draw(st.sampled_from([Capacity.ACTOR, Capacity.ACTOR, Capacity.APPROVER])),
                at=NOW - draw(ages),
                chain=chain,
                index=at,
            ),
            claim=f"{chain}-{draw(st.uuids())}",
        )
        for at in range(number)
    )


some_people = st.builds(
    lambda *told: {
        person: Profile(person, department=department, household=household, reports_to=superior)
        for person, department, household, superior in zip(PERSONS, *told, strict=True)
    },
    st.tuples(*[st.sampled_from(DEPARTMENTS)] * 4),
    st.tuples(*[st.sampled_from(DEPARTMENTS)] * 4),
    st.tuples(*[st.sampled_from([*PERSONS, ""])] * 4),
)


def trails_of(acts: tuple[Act, ...]) -> dict[str, TrailReading]:
    marks = tuple(
        TrailAct("order_chain", "capture" if act.step == AMEND else act.step, act, f"set-{number % 2}")
        for number, act in enumerate(acts)
    )
    names = [f"{scope.value}{whose}" for scope in Scope for whose in ("", ".anybody")]
    return {name: TrailReading(marks, "set-0") for name in (*names, "a.class/a.set")}


@given(
    constraint=st.sampled_from(MONOTONE),
    acts=some_acts(chain="O-1"),
    more=some_acts(chain="O-1", most=3),
    elsewhere=some_acts(chain="O-2", most=4),
    further=some_acts(chain="O-3", most=3),
    step=st.sampled_from(STEPS),
    profiles=some_people,
)
def test_adding_acts_never_loosens(
    constraint: Constraint,
    acts: tuple[Act, ...],
    more: tuple[Act, ...],
    elsewhere: tuple[Act, ...],
    further: tuple[Act, ...],
    step: str,
    profiles: dict[str, Profile],
) -> None:
    """More history, here or on other chains, never turns a violation into none."""
    formula = FORMULAS[constraint.kind]
    before = asking(step, "ana", a_history(*acts), trails=trails_of(elsewhere), profiles=profiles)
    after = asking(
        step, "ana", a_history(*acts, *more), trails=trails_of((*elsewhere, *further)), profiles=profiles
    )
    if concerns(constraint, kind=KIND, step=step) and formula(constraint, asked=before) is not None:
        assert formula(constraint, asked=after) is not None


@given(
    constraint=st.sampled_from(MONOTONE),
    acts=some_acts(chain="O-1"),
    elsewhere=some_acts(chain="O-2", most=4),
    step=st.sampled_from(STEPS),
    person=st.sampled_from(PERSONS),
    names=st.permutations(["ben", "ana", "x, (y)", "') or (True"]),
    profiles=some_people,
)
def test_renaming_persons_changes_nothing(
    constraint: Constraint,
    acts: tuple[Act, ...],
    elsewhere: tuple[Act, ...],
    step: str,
    person: str,
    names: list[str],
    profiles: dict[str, Profile],
) -> None:
    """Under other names for the same persons, every constraint says the same of the same acts."""
    name = dict(zip(PERSONS, names, strict=True)) | {"": ""}

    def renamed(given_acts: tuple[Act, ...]) -> tuple[Act, ...]:
        return tuple(replace(act, person=name[act.person]) for act in given_acts)

    others = {
        name[one]: replace(told, person=name[one], reports_to=name[told.reports_to])
        for one, told in profiles.items()
    }
    formula = FORMULAS[constraint.kind]
    before = formula(
        constraint,
        asked=asking(step, person, a_history(*acts), trails=trails_of(elsewhere), profiles=profiles),
    )
    after = formula(
        constraint,
        asked=asking(
            step,
            name[person],
            a_history(*renamed(acts)),
            trails=trails_of(renamed(elsewhere)),
            profiles=others,
        ),
    )
    assert (before is None) is (after is None)
    if before is not None and after is not None:
        assert renamed(before.acts) == after.acts
        assert (before.count, before.steps, before.relations) == (after.count, after.steps, after.relations)
        assert len(before.missing) == len(after.missing)


@given(
    constraint=st.sampled_from(MONOTONE),
    acts=some_acts(chain="O-1"),
    elsewhere=some_acts(chain="O-2", most=4),
    step=st.sampled_from(STEPS),
    profiles=some_people,
    known=st.sets(st.sampled_from(PERSONS)),
)
def test_knowing_less_never_loosens(
    constraint: Constraint,
    acts: tuple[Act, ...],
    elsewhere: tuple[Act, ...],
    step: str,
    profiles: dict[str, Profile],
    known: set[str],
) -> None:
    """What the directory or the request leaves out never turns a violation into none."""
    formula = FORMULAS[constraint.kind]
    fewer = {person: told for person, told in profiles.items() if person in known}
    history = a_history(*acts)
    whole = asking(step, "ana", history, trails=trails_of(elsewhere), profiles=profiles)
    less = asking(step, "ana", history, trails={}, profiles=fewer)
    if formula(constraint, asked=whole) is not None and concerns(constraint, kind=KIND, step=step):
        assert formula(constraint, asked=less) is not None


@given(
    constraint=st.sampled_from([item for item in MONOTONE if item.kind is not ConstraintKind.COOLING_OFF]),
    acts=some_acts(chain="O-1"),
    step=st.sampled_from(STEPS),
    profiles=some_people,
)
def test_own_live_claim_counts_once(
    constraint: Constraint, acts: tuple[Act, ...], step: str, profiles: dict[str, Profile]
) -> None:
    """What was permitted is not refused when the same person asks for the claimed step again at once."""
    formula = FORMULAS[constraint.kind]
    claim = an_act(step, "ana", state=ActState.CLAIMED)
    before = asking(step, "ana", a_history(*acts), trails=trails_of(()), profiles=profiles)
    after = asking(step, "ana", a_history(*acts, claim), trails=trails_of(()), profiles=profiles)
    if formula(constraint, asked=before) is None:
        assert formula(constraint, asked=after) is None


@given(st.lists(st.sets(st.sampled_from("abcde"), min_size=1).map(frozenset), max_size=6))
def test_the_fewest_that_hit_every_set(sets: list[frozenset[str]]) -> None:
    """The smallest group found is the smallest of all groups that have one of each set."""
    smallest = next(
        size
        for size in range(6)
        if any(all(set(group) & found for found in sets) for group in combinations("abcde", size))
    )
    assert fewest(sets) == smallest


def test_the_fewest_of_many_is_quick() -> None:
    """Fourteen steps with forty persons on each are no more than that many remainders."""
    persons = [f"p-{number}" for number in range(40)]
    sets = [frozenset(persons[step * 2 :: 3]) for step in range(14)]
    assert fewest(sets) == 3
