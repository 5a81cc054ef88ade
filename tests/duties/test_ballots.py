"""Steps of several votes: how many they take, who may give them, and what waits for the last one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.ballots import Ballots, ballots_of
from controls.duties.constraints import at_least
from controls.duties.material import amendment
from controls.duties.order import OrderAnswer, step_order
from controls.model.chain import ActState, ChainHistory, ChainKind, Votes
from controls.model.condition import Truth
from controls.model.duty import ConstraintKind, Period
from tests.duties.builders import (
    KIND,
    NOW,
    Counting,
    Fixed,
    a_constraint,
    a_history,
    a_kind,
    a_step,
    an_act,
    asking,
    done,
    facts_of,
    rules_of,
)

LATER = NOW + timedelta(hours=25)
RELEASE = a_kind(
    a_step("instruct"),
    a_step("release", after=("instruct",), votes=2, reapprove=True),
    a_step("settle", after=("release",)),
    material=("order.notional",),
)
TWO = a_constraint(ConstraintKind.VOTES, "approve", name="two", limit=2)
BEGUN = an_act("instruct", "zoe")


def voting(*constraints: object, kind: ChainKind = RELEASE) -> Ballots:
    return ballots_of(constraints, chains=[kind])[kind.id]  # type: ignore[arg-type]


def voted(history: ChainHistory) -> ChainHistory:
    return voting().counted(facts_of(history))


def asked(step: str, person: str, history: ChainHistory, *, late: bool = False) -> OrderAnswer:
    found = RELEASE.step(step)
    assert found is not None
    return step_order(RELEASE, step=found, history=voted(history), person=person, now=LATER if late else NOW)


class TestHowMany:
    def test_kinds_without_votes_have_no_ballots(self) -> None:
        """Nothing is kept of chain kinds whose steps take one person each."""
        assert ballots_of([TWO], chains=[RELEASE, a_kind(*KIND.steps, name="other")]).keys() == {
            "order_chain"
        }
        assert not ballots_of([], chains=[KIND])

    @pytest.mark.parametrize(
        ("when", "needed"),
        [
            (None, 2),
            (Fixed(Truth.TRUE), 2),
            (Fixed(Truth.UNKNOWN, missing=("x",)), 2),
            (Fixed(Truth.FALSE), 1),
        ],
    )
    def test_a_constraint_asks_unless_its_condition_is_false(self, when: Fixed | None, needed: int) -> None:
        """What cannot be told asks for the votes."""
        rule = a_constraint(ConstraintKind.VOTES, "approve", limit=2, when=when)
        assert voting(rule, kind=KIND).counted(facts_of(a_history())).needed("approve") == needed

    @pytest.mark.parametrize(("end", "needed"), [(NOW, 1), (LATER, 2)])
    def test_only_while_it_is_in_force(self, end: object, needed: int) -> None:
        """Outside its period a constraint asks for nothing."""
        rule = a_constraint(ConstraintKind.VOTES, "approve", limit=2, effective=Period(end=end))  # type: ignore[arg-type]
        assert voting(rule, kind=KIND).counted(facts_of(a_history())).needed("approve") == needed

    def test_the_most_that_is_asked_for_counts(self) -> None:
        """Of several, the largest number counts, and those that ask for it are named."""
        three = a_constraint(ConstraintKind.VOTES, "release", name="three", limit=3)
        also = a_constraint(ConstraintKind.VOTES, "release", name="also", limit=3)
        one = a_constraint(ConstraintKind.VOTES, "release", name="few", limit=2)
        counted = voting(one, three, also).counted(facts_of(a_history()))
        assert counted.votes == {"release": Votes(3, ("three", "also"))}

    def test_conditions_see_the_step_as_the_chain_kind_has_it(self) -> None:
        """A condition over progress reads the votes that the step takes by itself; it is evaluated once, and
        only when somebody asks about its step."""
        rule = a_constraint(ConstraintKind.VOTES, "release", limit=3, when=Counting())
        condition = rule.when
        assert isinstance(condition, Counting)
        counted = voting(rule).counted(facts_of(done(("instruct", "zoe"), ("release", "ana"))))
        assert (counted.needed("instruct"), counted.needed("settle"), condition.asked) == (1, 1, [])
        assert (counted.needed("release"), counted.performed("release")) == (3, False)
        assert [facts.chain.performed("release") for facts in condition.asked] == [False]


class TestWhoMayVote:
    @pytest.mark.parametrize("state", [ActState.CLAIMED, ActState.PERFORMED])
    def test_a_second_person_may(self, state: ActState) -> None:
        """A vote of one person leaves the step open to another one."""
        history = a_history(BEGUN, an_act("release", "ana", state=state))
        answer = asked("release", "ben", history)
        assert (answer.findings, answer.shared) == ((), None)

    def test_nobody_votes_twice(self) -> None:
        """Whose vote is given has none left, and is told how many are given."""
        history = a_history(BEGUN, an_act("release", "ana"))
        answer = asked("release", "ana", history)
        assert rules_of(answer.findings) == ["already_performed"]
        assert "1 of 2 votes are given" in answer.findings[0].message.en
        assert "1 de 2 votos" in answer.findings[0].message.es

    def test_the_own_live_claim_is_shared(self) -> None:
        """Asking again for the own vote shares the claim, also where all votes are taken."""
        claim = an_act("release", "ana", state=ActState.CLAIMED)
        history = a_history(BEGUN, claim, an_act("release", "ben"))
        assert asked("release", "ana", history) == OrderAnswer(shared=claim)

    def test_the_own_expired_claim_is_not(self) -> None:
        """A claim past its time holds the person's vote until a supervisor clears it."""
        history = a_history(BEGUN, an_act("release", "ana", state=ActState.CLAIMED))
        assert rules_of(asked("release", "ana", history, late=True).findings) == ["claim_expired"]

    @pytest.mark.parametrize(
        ("second", "rule"),
        [(ActState.CLAIMED, "claimed_by_other"), (ActState.PERFORMED, "already_performed")],
    )
    def test_a_third_person_has_none(self, second: ActState, rule: str) -> None:
        """Once so many persons hold the step, nobody else may."""
        history = a_history(BEGUN, an_act("release", "ana"), an_act("release", "ben", state=second))
        answer = asked("release", "cai", history)
        assert rules_of(answer.findings) == [rule]
        assert "Release, by ana" in answer.findings[0].message.en
        assert answer.findings[0].values["persons"] == ("ana", "ben")

    @pytest.mark.parametrize("state", [ActState.ABANDONED, ActState.VOID, ActState.REOPENED])
    def test_an_ended_vote_is_free_again(self, state: ActState) -> None:
        """What was abandoned, voided or reopened is no vote: the person and others may vote."""
        history = a_history(BEGUN, an_act("release", "ana", state=state), an_act("release", "ben"))
        assert asked("release", "ana", history).findings == ()
        assert asked("release", "cai", history).findings == ()


class TestWhatWaits:
    @pytest.mark.parametrize(
        ("votes", "expected"),
        [
            ((), ["not_yet"]),
            ((("ana", ActState.PERFORMED),), ["not_yet"]),
            ((("ana", ActState.PERFORMED), ("ben", ActState.CLAIMED)), ["not_yet"]),
            ((("ana", ActState.PERFORMED), ("ben", ActState.ABANDONED)), ["not_yet"]),
            ((("ana", ActState.PERFORMED), ("ben", ActState.PERFORMED)), []),
        ],
    )
    def test_the_next_step_waits_for_the_last_vote(
        self, votes: tuple[tuple[str, ActState], ...], expected: list[str]
    ) -> None:
        """A step comes after all votes, and is told how many there are."""
        history = a_history(BEGUN, *(an_act("release", person, state=state) for person, state in votes))
        answer = asked("settle", "dee", history)
        assert rules_of(answer.findings) == expected
        given_ones = sum(state is ActState.PERFORMED for _, state in votes)
        for finding in answer.findings:
            assert f"Release ({given_ones} of 2 votes)" in finding.message.en
            assert f"Release (es) ({given_ones} de 2 votos)" in finding.message.es

    def test_the_rule_that_asks_is_named(self) -> None:
        """Where a constraint asks for the votes, the finding says which."""
        rule = a_constraint(ConstraintKind.VOTES, "approve", name="two_eyes", limit=2)
        history = voting(rule, kind=KIND).counted(facts_of(done(("capture", "ana"), ("approve", "ben"))))
        execute = KIND.step("execute")
        assert execute is not None
        (finding,) = step_order(KIND, step=execute, history=history, person="cai", now=NOW).findings
        assert finding.values["rules"] == ("two_eyes",)
        assert "Approve (1 of 2 votes, by two_eyes)" in finding.message.en

    def test_where_claims_are_enough(self) -> None:
        """With `progress: claimed`, as many claims as votes."""
        kind = a_kind(*RELEASE.steps, progress_claimed=True)
        settle = kind.step("settle")
        assert settle is not None
        for persons, expected in ((("ana",), ["not_yet"]), (("ana", "ben"), [])):
            acts = [an_act("release", person, state=ActState.CLAIMED) for person in persons]
            history = voted(a_history(BEGUN, *acts))
            answer = step_order(kind, step=settle, history=history, person="dee", now=NOW)
            assert rules_of(answer.findings) == expected

    def test_performed_is_said_of_all_votes(self) -> None:
        """Conditions over progress hold once the last vote is given."""
        assert not voted(a_history(BEGUN, an_act("release", "ana"))).performed("release")
        assert voted(a_history(BEGUN, an_act("release", "ana"), an_act("release", "ben"))).performed(
            "release"
        )

    def test_an_amendment_opens_all_votes(self) -> None:
        """Votes on other facts are no votes: whoever has voted votes again."""
        history = voted(a_history(BEGUN, an_act("release", "ana"), an_act("release", "ben")))
        opened = amendment(RELEASE, history=history, material={"order.notional": "1"})
        assert opened.reopens == ("release",)


class TestAtLeast:
    RULE = a_constraint(ConstraintKind.AT_LEAST, "instruct", "release", limit=3)

    @pytest.mark.parametrize(
        ("before", "step", "person", "count"),
        [
            ((), "instruct", "ana", None),
            ((("instruct", "ana"),), "release", "ana", 2),
            ((("instruct", "ana"),), "release", "ben", None),
            ((("instruct", "ana"), ("release", "ben")), "release", "ana", 2),
            ((("instruct", "ana"), ("release", "ben")), "release", "cai", None),
        ],
    )
    def test_every_vote_may_bring_a_person(
        self, before: tuple[tuple[str, str], ...], step: str, person: str, count: int | None
    ) -> None:
        """An open step of two votes is counted on for two persons, and one that has one for one more."""
        found = at_least(self.RULE, asked=asking(step, person, voted(done(*before)), kind=RELEASE))
        assert (None if found is None else found.count) == count


@given(
    votes=st.lists(
        st.tuples(st.sampled_from(["ana", "ben", "cai", "dee"]), st.sampled_from(list(ActState))), max_size=6
    ),
    person=st.sampled_from(["ana", "ben", "cai", "dee", "eva"]),
)
def test_votes_are_so_many_different_persons(votes: list[tuple[str, ActState]], person: str) -> None:
    """Whoever may vote is new among at most one holder; whoever may not is refused for one reason."""
    acts = [an_act("release", who, state=state) for who, state in votes]
    history = a_history(BEGUN, *acts)
    answer = asked("release", person, history)
    holders = {act.person for act in acts if act.stands()}
    own = [act for act in acts if act.person == person and act.stands()]
    if answer.shared is not None:
        assert answer.shared in own
    elif answer.findings:
        assert len(answer.findings) == 1
        assert person in holders or len(holders) >= 2
    else:
        assert person not in holders
        assert len(holders) < 2
    given_ones = {act.person for act in acts if act.state is ActState.PERFORMED}
    assert (asked("settle", "zoe", history).findings == ()) is (len(given_ones) >= 2)
