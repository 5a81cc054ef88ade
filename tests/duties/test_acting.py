"""Acting for somebody else as the formulas see it, and what one person alone could break."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.acting import principal_act
from controls.duties.alone import could_break
from controls.duties.constraints import FORMULAS, Asked, built_in, concerns
from controls.duties.order import step_order
from controls.duties.wording import act as in_words
from controls.model.chain import Act, ActState, ChainHistory, Repeats, Votes
from controls.model.duty import Constraint, ConstraintKind, Group, Scope
from controls.model.finding import Effect
from controls.model.people import Account, Person
from tests.duties.builders import KIND, NOW, STEPS, a_constraint, a_history, a_kind, a_step, an_act, done

COUNTING = (
    ConstraintKind.WHOLE_CHAIN,
    ConstraintKind.SEPARATE,
    ConstraintKind.AT_MOST,
    ConstraintKind.VOTES,
)


def done_for(act: Act, principal: str) -> tuple[Act, Act]:
    """The act and that of the person for whom it was done."""
    account = Account(principal, f"acc-{principal}", Person(principal, frozenset()))
    return replace(act, beside=principal), principal_act(act, account)


def asked(
    step: str, person: str, history: ChainHistory, *, beside: str = "", principal: bool = False
) -> Asked:
    return Asked(person, step, KIND, history, NOW, beside=beside, principal=principal)


def speaks(constraint: Constraint, question: Asked) -> bool:
    return FORMULAS[constraint.kind](constraint, asked=question) is not None


class TestCountsForBoth:
    @given(
        taken=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from("ab")), max_size=5),
        step=st.sampled_from(STEPS),
        kind=st.sampled_from(COUNTING),
    )
    def test_what_was_done_for_somebody_counts_as_if_he_or_she_had_done_it(
        self, taken: list[tuple[str, str]], step: str, kind: ConstraintKind
    ) -> None:
        """Whatever counts acts against persons says the same of the principal as of who acts himself."""
        constraint = a_constraint(kind, "capture", "approve", "settle", limit=2)
        if kind is ConstraintKind.VOTES:
            constraint = replace(constraint, steps=("approve",), distinct_from=("capture", "settle"))
        own = [an_act(name, person, index=index) for index, (name, person) in enumerate(taken)]
        others = [item for act in own for item in done_for(replace(act, person="d"), act.person)]
        for person in "ab":
            alone = speaks(constraint, asked(step, person, a_history(*own)))
            assert speaks(constraint, asked(step, person, a_history(*others))) is alone

    def test_the_delegate_is_counted_as_well(self) -> None:
        """Who acted for somebody has acted."""
        history = a_history(*done_for(an_act("capture", "dora"), "bea"))
        maker = a_constraint(ConstraintKind.SEPARATE, "capture", "approve")
        assert [speaks(maker, asked("approve", person, history)) for person in ("dora", "bea", "ana")] == [
            True,
            True,
            False,
        ]

    def test_two_persons_do_not_make_two_of_one_act(self) -> None:
        """`at_least`: what one did for the other and that one's own acts may be one person's."""
        rule = a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", limit=2)
        history = a_history(an_act("capture", "bea"))
        assert speaks(rule, asked("approve", "dora", history, beside="bea"))
        assert speaks(rule, asked("approve", "bea", history, beside="dora", principal=True))
        assert not speaks(rule, asked("approve", "dora", history))
        delegated = a_history(*done_for(an_act("capture", "dora"), "bea"))
        assert speaks(rule, asked("approve", "bea", delegated))
        assert speaks(rule, asked("approve", "dora", delegated))
        assert not speaks(rule, asked("approve", "ana", delegated))

    def test_the_last_step_takes_somebody_who_had_no_part_in_what_was_done(self) -> None:
        """`sole_actor`: neither the delegate nor the delegator is somebody else to the other."""
        (rule,) = (item for item in built_in(KIND) if item.kind is ConstraintKind.SOLE_ACTOR)
        history = a_history(*done_for(an_act("capture", "dora"), "bea"))
        assert speaks(rule, asked("settle", "bea", history))
        assert speaks(rule, asked("settle", "dora", history))
        assert not speaks(rule, asked("settle", "ana", history))

    def test_one_person_is_whoever_acts(self) -> None:
        """`bind`: a delegate goes on with what he or she began, for whomever; the delegator does not."""
        rule = a_constraint(ConstraintKind.BIND, "capture", "approve")
        history = a_history(*done_for(an_act("capture", "dora"), "bea"))
        assert not speaks(rule, asked("approve", "dora", history, beside="bea"))
        assert not speaks(rule, asked("approve", "bea", history, beside="dora", principal=True))
        assert speaks(rule, asked("approve", "bea", history))

    def test_a_hand_in_everything_makes_a_small_coalition(self) -> None:
        """`coalition`: of two persons whose act it is, the one counts that makes them fewer."""
        rule = a_constraint(ConstraintKind.COALITION, "capture", "approve", "execute", limit=3)
        history = a_history(an_act("capture", "bea"), *done_for(an_act("approve", "dora", index=1), "bea"))
        assert speaks(rule, asked("execute", "ana", history))
        apart = a_history(an_act("capture", "bea"), an_act("approve", "dora", index=1))
        assert not speaks(rule, asked("execute", "ana", apart))


class TestOrder:
    def test_a_vote_is_of_both(self) -> None:
        """Live or given, it is neither's to give again; the same claim is shared."""
        step = a_step("vote", votes=2)
        kind = a_kind(step, a_step("pay", after=("vote",)))
        live = done_for(an_act("vote", "dora", state=ActState.CLAIMED), "bea")
        given = done_for(an_act("vote", "dora"), "bea")
        for acts, rule in ((live, "claimed_by_other"), (given, "already_performed")):
            history = ChainHistory(kind.id, "O-1", acts, {"vote": Votes(2)})
            for person, beside in (("bea", ""), ("dora", ""), ("ana", "bea")):
                answer = step_order(kind, step=step, history=history, person=person, now=NOW, beside=beside)
                assert [item.rule for item in answer.findings] == [rule]
            free = step_order(kind, step=step, history=history, person="ana", now=NOW)
            assert free.findings == ()
        history = ChainHistory(kind.id, "O-1", live, {"vote": Votes(2)})
        answer = step_order(kind, step=step, history=history, person="dora", now=NOW, beside="bea")
        assert (answer.findings, answer.shared) == ((), live[0])

    @pytest.mark.parametrize("repeats", [Repeats.NEVER, Repeats.SAME_PERSON])
    def test_a_claim_is_that_of_who_made_it_for_the_same_person(self, repeats: Repeats) -> None:
        """Not taken over by the one or by the other alone."""
        step = a_step("only", repeats=repeats)
        kind = a_kind(step, a_step("then", after=("only",)))
        history = a_history(*done_for(an_act("only", "dora", state=ActState.CLAIMED), "bea"), kind=kind)
        for person, beside in (("bea", ""), ("dora", ""), ("dora", "ana")):
            answer = step_order(kind, step=step, history=history, person=person, now=NOW, beside=beside)
            assert [item.rule for item in answer.findings] == ["claimed_by_other"]
            assert answer.shared is None

    def test_it_says_for_whom(self) -> None:
        """In both languages, whichever of the two acts is told."""
        actor, principal = done_for(an_act("capture", "dora"), "bea")
        assert in_words(actor, kind=KIND).en.startswith("Capture, by dora on behalf of bea,")
        assert in_words(principal, kind=KIND).es.startswith("Capture (es), en nombre de bea por dora,")


class TestAlone:
    @pytest.mark.parametrize(
        ("constraint", "steps", "breaks"),
        [
            (a_constraint(ConstraintKind.SEPARATE, "capture", "approve"), {"capture", "approve"}, True),
            (a_constraint(ConstraintKind.SEPARATE, "capture", "approve"), {"capture", "settle"}, False),
            # An amendment is held against what the first step is held against, and it may come last.
            (
                replace(a_constraint(ConstraintKind.SEPARATE, "approve", "capture"), ordered=True),
                {"approve", "amend"},
                True,
            ),
            (a_constraint(ConstraintKind.AT_MOST, *STEPS[:3], limit=2), set(STEPS[:3]), True),
            (a_constraint(ConstraintKind.AT_MOST, *STEPS[:3], limit=2), set(STEPS[:2]), False),
            (a_constraint(ConstraintKind.WHOLE_CHAIN), set(STEPS), True),
            (a_constraint(ConstraintKind.WHOLE_CHAIN), set(STEPS[1:]), False),
            (a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=5), set(STEPS), False),
            (a_constraint(ConstraintKind.BIND, *STEPS), set(STEPS), False),
            (
                replace(a_constraint(ConstraintKind.SEPARATE, *STEPS), scope=Scope.ACCOUNT),
                set(STEPS),
                False,
            ),
            (replace(a_constraint(ConstraintKind.SEPARATE, *STEPS), then=Effect.REVIEW), set(STEPS), False),
            (
                replace(a_constraint(ConstraintKind.VOTES, "approve", limit=2), distinct_from=("capture",)),
                {"approve", "capture"},
                True,
            ),
            (
                replace(
                    a_constraint(ConstraintKind.EXCLUSIVE_ROLES, limit=1),
                    roles=("maker", "checker"),
                    dynamic=True,
                    groups=(Group("maker", ("capture",)), Group("checker", ("approve",))),
                ),
                {"capture", "approve"},
                True,
            ),
        ],
    )
    def test_what_one_person_could_break(self, constraint: Constraint, steps: set[str], breaks: bool) -> None:
        """With a hand in all of these steps of one chain, and by what denies."""
        assert could_break(constraint, steps, kind=KIND) is breaks

    @given(steps=st.sets(st.sampled_from(STEPS)), kind=st.sampled_from(COUNTING))
    def test_it_is_breakable_exactly_where_some_order_of_them_is_refused(
        self, steps: set[str], kind: ConstraintKind
    ) -> None:
        """Taking them all one after the other, in the order of the chain."""
        constraint = a_constraint(kind, "capture", "approve", "settle", limit=2)
        if kind is ConstraintKind.VOTES:
            constraint = replace(constraint, steps=("approve",), distinct_from=("capture", "settle"))
        taken: list[str] = []
        refused = False
        for step in [name for name in STEPS if name in steps]:
            if concerns(constraint, kind=KIND, step=step):
                refused |= speaks(constraint, asked(step, "p", done(*((name, "p") for name in taken))))
            taken.append(step)
        assert could_break(constraint, steps, kind=KIND) is refused
