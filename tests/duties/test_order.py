from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.order import OrderAnswer, awaited, step_order
from controls.model.chain import Act, ActState, Capacity, ChainHistory, ChainKind, Repeats
from controls.model.finding import Effect
from tests.duties.builders import KIND, NOW, STEPS, a_history, a_kind, a_step, an_act, done, rules_of

LATER = NOW + timedelta(hours=25)


def asked(
    step: str,
    person: str,
    history: ChainHistory,
    *,
    kind: ChainKind = KIND,
    late: bool = False,
) -> OrderAnswer:
    found = kind.step(step)
    assert found is not None
    return step_order(kind, step=found, history=history, person=person, now=LATER if late else NOW)


def refused(
    step: str, person: str, history: ChainHistory, *, kind: ChainKind = KIND, late: bool = False
) -> list[str]:
    return rules_of(asked(step, person, history, kind=kind, late=late).findings)


class TestUnknownChain:
    def test_first_step_begins(self) -> None:
        """A step that comes after nothing begins a chain."""
        assert refused("capture", "ana", a_history()) == []

    @pytest.mark.parametrize("step", STEPS[1:])
    def test_no_other_step_does(self, step: str) -> None:
        """Any other step on an unknown chain is refused, and told how a chain begins."""
        answer = asked(step, "ana", a_history())
        assert rules_of(answer.findings) == ["unknown_chain"]
        assert "begins with: Capture" in answer.findings[0].message.en
        assert answer.findings[0].effect is Effect.DENY

    def test_an_approval_of_what_was_then_not_done_begins_nothing(self) -> None:
        """Else an optional first step would be skipped on a chain that nobody has begun."""
        kind = a_kind(a_step("draft", optional=True), a_step("capture", after=("draft",)), a_step("approve"))
        approved = an_act("draft", "sara", capacity=Capacity.APPROVER)
        assert refused("capture", "ana", a_history(approved), kind=kind) == ["unknown_chain"]

    def test_free_order_begins_anywhere(self) -> None:
        """In a chain kind of free order any step may begin."""
        kind = a_kind(*KIND.steps, free=True)
        assert refused("settle", "ana", a_history(), kind=kind) == []


class TestNotYet:
    @pytest.mark.parametrize(
        ("state", "claimed_is_enough", "expected"),
        [
            (ActState.PERFORMED, False, []),
            (ActState.CLAIMED, False, ["not_yet"]),
            (ActState.CLAIMED, True, []),
            (ActState.PERFORMED, True, []),
            (ActState.ABANDONED, True, ["not_yet"]),
            (ActState.VOID, False, ["not_yet"]),
            (ActState.REOPENED, True, ["not_yet"]),
        ],
    )
    def test_progress(self, state: ActState, claimed_is_enough: bool, expected: list[str]) -> None:
        """A step comes after another once that one is performed or, where the kind says so, claimed."""
        kind = a_kind(*KIND.steps, progress_claimed=claimed_is_enough)
        assert (
            refused("approve", "ben", a_history(an_act("capture", "ana", state=state)), kind=kind) == expected
        )

    def test_an_approval_is_no_progress(self) -> None:
        """An approver's act does not perform the step."""
        begun = an_act("capture", "ana", state=ActState.ABANDONED)
        history = a_history(begun, an_act("capture", "eva", capacity=Capacity.APPROVER))
        assert refused("approve", "ben", history) == ["not_yet"]

    def test_names_what_is_missing(self) -> None:
        """The finding names the steps that are waited for."""
        kind = a_kind(a_step("one"), a_step("two"), a_step("three", after=("one", "two")))
        answer = asked("three", "ana", done(("one", "ana")), kind=kind)
        assert answer.findings[0].values["steps"] == ("two",)
        assert "Two" in answer.findings[0].message.en

    def test_free_order_waits_for_nothing(self) -> None:
        """In a chain kind of free order nothing is waited for."""
        kind = a_kind(*KIND.steps, free=True)
        assert refused("settle", "ben", done(("capture", "ana")), kind=kind) == []


class TestOptionalStep:
    KIND = a_kind(
        a_step("capture"),
        a_step("check", after=("capture",), optional=True),
        a_step("execute", after=("check",)),
    )

    def waits(self, *acts: Act) -> tuple[str, ...]:
        execute = self.KIND.step("execute")
        assert execute is not None
        return awaited(self.KIND, step=execute, history=a_history(*acts))

    def test_not_begun_does_not_block(self) -> None:
        """An optional step that nobody has begun is passed over."""
        assert self.waits(an_act("capture", "ana")) == ()

    def test_what_it_comes_after_blocks_in_its_place(self) -> None:
        """Passing over an optional step does not pass over the step before it."""
        assert self.waits(an_act("capture", "ana", state=ActState.CLAIMED)) == ("capture",)

    @pytest.mark.parametrize(
        ("state", "blocks"),
        [
            (ActState.CLAIMED, True),
            (ActState.REOPENED, True),
            (ActState.PERFORMED, False),
            (ActState.ABANDONED, False),
            (ActState.VOID, False),
        ],
    )
    def test_begun_blocks(self, state: ActState, blocks: bool) -> None:
        """An optional step that was begun or reopened must be performed; an abandoned one need not."""
        waits = self.waits(an_act("capture", "ana"), an_act("check", "ben", state=state))
        assert waits == (("check",) if blocks else ())

    def test_an_approval_does_not_begin_it(self) -> None:
        """An optional step that was only approved of has not been begun."""
        assert self.waits(an_act("capture", "ana"), an_act("check", "ben", capacity=Capacity.APPROVER)) == ()


class TestRepetition:
    def kind(self, repeats: Repeats) -> ChainKind:
        return a_kind(a_step("capture", repeats=repeats), a_step("settle", after=("capture",)))

    @pytest.mark.parametrize(
        ("repeats", "state", "person", "expected"),
        [
            (Repeats.NEVER, ActState.PERFORMED, "ana", ["already_performed"]),
            (Repeats.NEVER, ActState.PERFORMED, "ben", ["already_performed"]),
            (Repeats.NEVER, ActState.CLAIMED, "ana", []),
            (Repeats.NEVER, ActState.CLAIMED, "ben", ["claimed_by_other"]),
            (Repeats.NEVER, ActState.ABANDONED, "ben", []),
            (Repeats.NEVER, ActState.VOID, "ben", []),
            (Repeats.NEVER, ActState.REOPENED, "ben", []),
            (Repeats.SAME_PERSON, ActState.PERFORMED, "ana", []),
            (Repeats.SAME_PERSON, ActState.PERFORMED, "ben", ["already_performed"]),
            (Repeats.SAME_PERSON, ActState.CLAIMED, "ana", []),
            (Repeats.SAME_PERSON, ActState.CLAIMED, "ben", ["claimed_by_other"]),
            (Repeats.SAME_PERSON, ActState.ABANDONED, "ben", []),
            (Repeats.ANYONE, ActState.PERFORMED, "ana", []),
            (Repeats.ANYONE, ActState.PERFORMED, "ben", []),
            (Repeats.ANYONE, ActState.CLAIMED, "ben", []),
        ],
    )
    def test_table(self, repeats: Repeats, state: ActState, person: str, expected: list[str]) -> None:
        """Who may take a step again depends on what the step says and on what holds it."""
        history = a_history(an_act("capture", "ana", state=state))
        assert refused("capture", person, history, kind=self.kind(repeats)) == expected

    @pytest.mark.parametrize("repeats", list(Repeats))
    def test_own_live_claim_is_shared(self, repeats: Repeats) -> None:
        """Asking again for the own live claim is not refused and returns that claim."""
        claim = an_act("capture", "ana", state=ActState.CLAIMED)
        answer = asked("capture", "ana", a_history(claim), kind=self.kind(repeats))
        assert answer == OrderAnswer(findings=(), shared=claim)

    @pytest.mark.parametrize("repeats", [Repeats.SAME_PERSON, Repeats.ANYONE])
    def test_new_claim_after_performing(self, repeats: Repeats) -> None:
        """A repeating step that was performed is claimed anew, not shared."""
        answer = asked("capture", "ana", done(("capture", "ana")), kind=self.kind(repeats))
        assert answer == OrderAnswer(findings=(), shared=None)

    def test_new_live_claim_beside_a_performed_act(self) -> None:
        """While a repetition is claimed, asking again shares that claim."""
        claim = an_act("capture", "ana", state=ActState.CLAIMED, index=1)
        history = a_history(an_act("capture", "ana"), claim)
        assert asked("capture", "ana", history, kind=self.kind(Repeats.SAME_PERSON)).shared == claim

    def test_own_claim_beside_somebody_elses_act(self) -> None:
        """A live claim does not help where somebody else holds the step too."""
        history = a_history(an_act("capture", "ben"), an_act("capture", "ana", state=ActState.CLAIMED))
        assert refused("capture", "ana", history) == ["already_performed"]

    def test_another_persons_claim_is_not_shared(self) -> None:
        """On a step that anyone repeats, only the own claim is shared."""
        history = a_history(an_act("capture", "ben", state=ActState.CLAIMED))
        assert asked("capture", "ana", history, kind=self.kind(Repeats.ANYONE)).shared is None

    @pytest.mark.parametrize("repeats", [Repeats.NEVER, Repeats.SAME_PERSON])
    def test_expired_claim_of_another_still_holds(self, repeats: Repeats) -> None:
        """A claim past its time holds its step until a supervisor clears it, and the finding says so."""
        history = a_history(an_act("capture", "ana", state=ActState.CLAIMED))
        answer = asked("capture", "ben", history, kind=self.kind(repeats), late=True)
        assert rules_of(answer.findings) == ["claimed_by_other"]
        assert "expired at 2026-03-03 09:30:00 UTC" in answer.findings[0].message.en
        assert "supervisor must clear it" in answer.findings[0].message.en
        assert "venció el 2026-03-03 09:30:00 UTC" in answer.findings[0].message.es

    @pytest.mark.parametrize("repeats", [Repeats.NEVER, Repeats.SAME_PERSON])
    def test_own_expired_claim_is_not_shared(self, repeats: Repeats) -> None:
        """An own claim past its time is refused: first its outcome is to be reported."""
        history = a_history(an_act("capture", "ana", state=ActState.CLAIMED))
        answer = asked("capture", "ana", history, kind=self.kind(repeats), late=True)
        assert rules_of(answer.findings) == ["claim_expired"]
        assert answer.shared is None

    def test_claim_expires_at_its_very_end(self) -> None:
        """A claim is live before its last moment and not at it."""
        claim = an_act("capture", "ana", state=ActState.CLAIMED, valid_for=timedelta(0))
        assert refused("capture", "ana", a_history(claim)) == ["claim_expired"]

    def test_an_approvers_act_holds_nothing(self) -> None:
        """An approval of a step does not take it."""
        history = a_history(an_act("capture", "ben", capacity=Capacity.APPROVER))
        assert refused("capture", "ana", history) == []

    def test_only_the_same_person_is_named(self) -> None:
        """Who may not repeat a step is told who may."""
        kind = self.kind(Repeats.SAME_PERSON)
        answer = asked("capture", "ben", done(("capture", "ana")), kind=kind)
        assert "Only ana may repeat it." in answer.findings[0].message.en
        assert "Sólo ana puede repetirlo." in answer.findings[0].message.es

    def test_all_refusals_at_once(self) -> None:
        """A step that is both too early and taken is refused for both reasons."""
        history = a_history(
            an_act("capture", "ana", state=ActState.REOPENED),
            an_act("approve", "ben", state=ActState.CLAIMED),
        )
        assert refused("approve", "cai", history) == ["not_yet", "claimed_by_other"]


acts = st.builds(
    an_act,
    st.sampled_from(STEPS),
    st.sampled_from(["ana", "ben", "cai"]),
    state=st.sampled_from(list(ActState)),
    capacity=st.sampled_from([Capacity.ACTOR, Capacity.APPROVER]),
)


@given(
    history=st.lists(acts, max_size=8).map(lambda items: a_history(*items)),
    step=st.sampled_from(STEPS),
    repeats=st.sampled_from(list(Repeats)),
    late=st.booleans(),
)
def test_a_held_step_has_one_person(history: ChainHistory, step: str, repeats: Repeats, late: bool) -> None:
    """Unless anyone repeats it, a step that somebody else holds is refused; a shared claim is one's own."""
    kind = a_kind(*(a_step(name, repeats=repeats) for name in STEPS))
    answer = asked(step, "ana", history, kind=kind, late=late)
    holders = {act.person for act in history.standing(step)}
    if repeats is not Repeats.ANYONE and holders and "ana" not in holders:
        assert answer.findings
    if repeats is Repeats.NEVER and history.performed(step):
        assert "already_performed" in rules_of(answer.findings)
    if answer.shared is not None:
        assert answer.shared.person == "ana"
        assert answer.shared.step == step
        assert answer.shared.state is ActState.CLAIMED
        assert not late
