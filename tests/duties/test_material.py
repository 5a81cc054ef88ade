from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.material import Amendment, amendment, baseline, material_findings
from controls.model.chain import Act, ActState, Capacity, ChainHistory, ChainKind, Repeats
from controls.model.finding import Cause, Effect
from tests.duties.builders import a_history, a_kind, a_step, an_act, rules_of

ACCOUNT, AMOUNT, SSI = "order.account", "order.notional", "instruction.ssi"
SMALL = {ACCOUNT: "A-1", AMOUNT: "100 EUR"}
LARGE = {ACCOUNT: "A-1", AMOUNT: "900 EUR"}
KIND = a_kind(
    a_step("capture"),
    a_step("approve", after=("capture",), reapprove=True),
    a_step("execute", after=("approve",)),
    a_step("instruct", after=("execute",), material=(AMOUNT, SSI)),
    a_step("settle", after=("instruct",), material=(AMOUNT, SSI)),
    material=(ACCOUNT, AMOUNT),
)


def act(step: str, facts: Mapping[str, str], *, state: ActState = ActState.PERFORMED, index: int = 0) -> Act:
    return an_act(step, "ana", state=state, material=facts, index=index)


def refused(
    step: str,
    history: ChainHistory,
    facts: Mapping[str, str],
    *,
    kind: ChainKind = KIND,
    shared: Act | None = None,
) -> list[str]:
    found = kind.step(step)
    assert found is not None
    return rules_of(material_findings(kind, step=found, history=history, material=facts, shared=shared))


class TestFirstStep:
    def test_states_all_fields(self) -> None:
        """A chain begins with all material facts stated."""
        assert refused("capture", a_history(), SMALL) == []

    def test_what_was_approved_puts_nothing_in_force(self) -> None:
        """A chain may begin with other facts than a supervisor approved: that approval is then of no use."""
        approved = an_act("capture", "sara", material=LARGE, capacity=Capacity.APPROVER)
        assert refused("capture", a_history(approved), SMALL) == []
        assert baseline(a_history(approved, act("capture", SMALL))) == SMALL

    @pytest.mark.parametrize("absent", [ACCOUNT, AMOUNT])
    def test_missing_field_is_refused(self, absent: str) -> None:
        """A first step without one of them is refused by the name of the fact."""
        facts = {name: text for name, text in SMALL.items() if name != absent}
        step = KIND.step("capture")
        assert step is not None
        (found,) = material_findings(KIND, step=step, history=a_history(), material=facts)
        assert (found.rule, found.missing, found.cause) == ("material_missing", (absent,), Cause.MISSING)
        assert found.effect is Effect.DENY
        assert absent in found.message.en
        assert absent in found.message.es


class TestLaterStep:
    HISTORY = a_history(act("capture", SMALL))

    def test_same_facts_pass(self) -> None:
        """A later step with the recorded facts is not refused."""
        assert refused("approve", self.HISTORY, SMALL) == []

    def test_changed_fact_is_refused_with_both_values(self) -> None:
        """Approve small and execute large: refused, with the fact and both values in both languages."""
        step = KIND.step("execute")
        assert step is not None
        (found,) = material_findings(KIND, step=step, history=self.HISTORY, material=LARGE)
        assert found.rule == "material_changed"
        assert (found.values[AMOUNT], found.values[f"recorded.{AMOUNT}"]) == ("900 EUR", "100 EUR")
        for text in (found.message.en, found.message.es):
            assert all(word in text for word in (AMOUNT, "900 EUR", "100 EUR"))

    def test_absent_fact_is_refused(self) -> None:
        """Leaving a fact out is no way round it."""
        assert refused("execute", self.HISTORY, {ACCOUNT: "A-1"}) == ["material_missing"]

    def test_each_fact_has_its_finding(self) -> None:
        """Two changed facts are two findings."""
        facts = {ACCOUNT: "A-2", AMOUNT: "1 EUR"}
        assert refused("execute", self.HISTORY, facts) == ["material_changed", "material_changed"]

    @pytest.mark.parametrize("state", [ActState.ABANDONED, ActState.VOID, ActState.REOPENED])
    def test_abandoning_does_not_wash(self, state: ActState) -> None:
        """The facts of an abandoned first act stay recorded: capturing again with others is refused."""
        assert refused("capture", a_history(act("capture", SMALL, state=state)), LARGE) == [
            "material_changed"
        ]

    def test_own_claim_again_says_the_same(self) -> None:
        """Asking again with another amount is refused."""
        claim = act("capture", SMALL, state=ActState.CLAIMED)
        assert refused("capture", a_history(claim), LARGE, shared=claim) == ["material_changed"]
        assert refused("capture", a_history(claim), SMALL, shared=claim) == []


class TestStepsOwnList:
    def test_only_its_fields_are_compared(self) -> None:
        """A step with its own list need not state the other facts."""
        assert refused("instruct", a_history(act("capture", SMALL)), {AMOUNT: "100 EUR", SSI: "S-1"}) == []

    def test_first_statement_holds(self) -> None:
        """A fact that only later steps list is fixed by the first act that stated it, abandoned or not."""
        history = a_history(
            act("capture", SMALL),
            act("instruct", {AMOUNT: "100 EUR", SSI: "S-1"}, state=ActState.ABANDONED),
        )
        assert refused("settle", history, {AMOUNT: "100 EUR", SSI: "S-2"}) == ["material_changed"]
        assert refused("settle", history, {AMOUNT: "100 EUR", SSI: "S-1"}) == []


class TestIfStated:
    """Facts that a step may leave out, as a market order has no limit."""

    LIMIT = "order.limit_price"
    KIND = replace(KIND, if_stated=(LIMIT,))
    CAPTURED = a_history(act("capture", SMALL | {LIMIT: "4.55"}))

    def test_may_be_left_out(self) -> None:
        """At the first step and at every later one."""
        assert refused("capture", a_history(), SMALL, kind=self.KIND) == []
        assert refused("approve", self.CAPTURED, SMALL, kind=self.KIND) == []

    def test_what_was_stated_first_holds(self) -> None:
        """Also at a step with a list of its own, and once one in between left it out."""
        history = a_history(*self.CAPTURED.acts, act("execute", SMALL))
        for step, facts in (("approve", SMALL), ("settle", {AMOUNT: "100 EUR", SSI: "S-1"})):
            for limit, found in (("4.55", []), ("455", ["material_changed"])):
                assert refused(step, history, facts | {self.LIMIT: limit}, kind=self.KIND) == found

    def test_may_come_later(self) -> None:
        """What no step has stated yet is free for the next one."""
        history = a_history(act("capture", SMALL))
        assert refused("approve", history, SMALL | {self.LIMIT: "455"}, kind=self.KIND) == []

    def test_an_amendment_changes_it(self) -> None:
        """To what it states; one that leaves it out leaves it as it was."""
        for amended, limit in ((SMALL | {self.LIMIT: "4.60"}, "4.60"), (SMALL, "4.55")):
            assert amendment(self.KIND, history=self.CAPTURED, material=amended) == Amendment()
            history = a_history(*self.CAPTURED.acts, act("amend", amended))
            assert refused("approve", history, SMALL | {self.LIMIT: limit}, kind=self.KIND) == []
            other = SMALL | {self.LIMIT: "4.65"}
            assert refused("approve", history, other, kind=self.KIND) == ["material_changed"]


class TestBaseline:
    @pytest.mark.parametrize(
        ("state", "amount"),
        [
            (ActState.PERFORMED, "900 EUR"),
            (ActState.CLAIMED, "900 EUR"),
            (ActState.ABANDONED, "100 EUR"),
            (ActState.VOID, "100 EUR"),
        ],
    )
    def test_standing_amendment_changes_it(self, state: ActState, amount: str) -> None:
        """Only an amendment that stands changes what is recorded."""
        history = a_history(act("capture", SMALL), act("amend", LARGE, state=state))
        assert baseline(history)[AMOUNT] == amount

    def test_latest_amendment_wins(self) -> None:
        """Of several amendments the latest one holds."""
        middle = SMALL | {AMOUNT: "500 EUR"}
        history = a_history(act("capture", SMALL), act("amend", LARGE), act("amend", middle))
        assert baseline(history)[AMOUNT] == "500 EUR"

    def test_first_act_counts_even_as_an_abandoned_amendment(self) -> None:
        """Whatever the first act was called and became, what it stated is recorded."""
        assert baseline(a_history(act("amend", SMALL, state=ActState.ABANDONED))) == SMALL

    def test_empty_history_records_nothing(self) -> None:
        """A chain that nobody has begun has no recorded facts."""
        assert baseline(a_history()) == {}


class TestAmendment:
    def test_reopens_what_was_approved(self) -> None:
        """A permitted amendment names the standing steps to be approved again."""
        history = a_history(act("capture", SMALL), act("approve", SMALL))
        assert amendment(KIND, history=history, material=LARGE) == Amendment(reopens=("approve",))

    def test_nothing_approved_nothing_reopened(self) -> None:
        """Before the approval there is nothing to open again."""
        history = a_history(act("capture", SMALL), act("approve", SMALL, state=ActState.ABANDONED))
        assert amendment(KIND, history=history, material=LARGE) == Amendment()

    @pytest.mark.parametrize("step", ["execute", "instruct", "settle"])
    @pytest.mark.parametrize("state", [ActState.CLAIMED, ActState.PERFORMED])
    def test_too_late(self, step: str, state: ActState) -> None:
        """Once any step after the approval is claimed or performed, directly after or not, it is too late."""
        history = a_history(act("capture", SMALL), act("approve", SMALL), act(step, SMALL, state=state))
        answer = amendment(KIND, history=history, material=LARGE)
        assert rules_of(answer.findings) == ["amend_too_late"]
        assert answer.reopens == ()

    @pytest.mark.parametrize("state", [ActState.ABANDONED, ActState.VOID])
    def test_an_abandoned_later_step_does_not_hold_it_up(self, state: ActState) -> None:
        """A later step that was given up is no longer in the way."""
        history = a_history(act("capture", SMALL), act("approve", SMALL), act("execute", SMALL, state=state))
        assert amendment(KIND, history=history, material=LARGE).findings == ()

    def test_states_all_material_facts(self) -> None:
        """An amendment that leaves out a material fact is refused."""
        history = a_history(act("capture", SMALL))
        answer = amendment(KIND, history=history, material={AMOUNT: "1 EUR"})
        assert rules_of(answer.findings) == ["material_missing"]

    def test_unknown_chain(self) -> None:
        """There is nothing to amend on a chain that nobody has begun."""
        answer = amendment(KIND, history=a_history(), material=LARGE)
        assert rules_of(answer.findings) == ["unknown_chain"]
        approved = a_history(an_act("capture", "eva", capacity=Capacity.APPROVER))
        assert rules_of(amendment(KIND, history=approved, material=LARGE).findings) == ["unknown_chain"]

    def test_earlier_amendments_are_not_in_the_way(self) -> None:
        """A chain may be amended more than once, also where the amendment is a step after the approval."""
        kind = a_kind(
            a_step("capture"),
            a_step("approve", after=("capture",), reapprove=True),
            a_step("amend", after=("approve",), optional=True, repeats=Repeats.ANYONE),
            a_step("execute", after=("approve",)),
            material=(ACCOUNT, AMOUNT),
        )
        history = a_history(act("capture", SMALL), act("approve", SMALL), act("amend", LARGE))
        assert amendment(kind, history=history, material=SMALL).findings == ()

    def test_as_a_step_is_bound_to_its_own_claim_only(self) -> None:
        """An amendment may differ from what is recorded, and not from the live claim that it shares."""
        kind = a_kind(a_step("capture"), a_step("amend", material=()), material=(ACCOUNT, AMOUNT))
        claim = act("amend", LARGE, state=ActState.CLAIMED)
        history = a_history(act("capture", SMALL), claim)
        assert refused("amend", history, SMALL, kind=kind) == []
        assert refused("amend", history, SMALL, kind=kind, shared=claim) == ["material_changed"]
        assert refused("amend", history, {}, kind=kind) == ["material_missing", "material_missing"]

    def test_abandoning_it_after_the_approval_brings_nothing_back(self) -> None:
        """Capture large, amend to small, have it approved, abandon the amendment: large is not executed."""
        history = a_history(
            act("capture", LARGE),
            act("amend", SMALL, state=ActState.ABANDONED),
            act("approve", SMALL),
        )
        assert refused("execute", history, LARGE) == ["material_changed"]
        assert refused("execute", history, SMALL) == ["material_changed"]


amounts = st.sampled_from(["1 EUR", "2 EUR", "3 EUR"])


@given(
    first=amounts,
    acts=st.lists(
        st.tuples(
            st.sampled_from(["capture", "approve", "execute"]), amounts, st.sampled_from(list(ActState))
        ),
        max_size=6,
    ),
    asked=amounts,
)
def test_without_amendments_the_first_statement_holds(
    first: str, acts: list[tuple[str, str, ActState]], asked: str
) -> None:
    """Whatever is claimed, performed and abandoned afterwards, only the first amount ever passes."""
    history = a_history(
        act("capture", {ACCOUNT: "A-1", AMOUNT: first}, state=ActState.ABANDONED),
        *(act(step, {ACCOUNT: "A-1", AMOUNT: amount}, state=state) for step, amount, state in acts),
    )
    passed = refused("execute", history, {ACCOUNT: "A-1", AMOUNT: asked}) == []
    assert not passed or asked == first
