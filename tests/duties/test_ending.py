"""What the end of a claim leaves of the persons that steps must have."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from controls.duties.constraints import FORMULAS
from controls.duties.ending import too_few_left
from controls.model.chain import Act, ActState, ChainHistory, Votes
from controls.model.condition import Facts, Truth
from controls.model.duty import Constraint, ConstraintKind
from controls.model.finding import Effect

from .builders import KIND, NOW, Fixed, a_constraint, a_history, an_act, asking

STEPS = ("capture", "approve", "execute")
THREE = a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=3, name="three")


def held(*pairs: tuple[str, str], state: ActState = ActState.CLAIMED) -> list[Act]:
    return [an_act(step, person, state=state, index=index) for index, (step, person) in enumerate(pairs)]


def left(
    acts: list[Act], ends: int, rule: Constraint = THREE, votes: dict[str, Votes] | None = None
) -> int | None:
    """How many persons there can be without an act, where they are too few."""
    facts = Facts({}, replace(a_history(*acts), votes=votes), NOW)
    found = too_few_left([rule], kind=KIND, act=acts[ends], facts=facts)
    return None if found is None else found[1].count


def test_a_step_that_somebody_else_holds_takes_nobody_anew() -> None:
    """Nothing makes up for who leaves it; of one who leaves a step to nobody somebody comes."""
    acts = held(("capture", "ana"), ("approve", "ben"), ("approve", "cai"), ("execute", "ana"))
    assert [left(acts, number) for number in range(4)] == [None, 2, 2, None]
    assert left(acts[:3], 2) is None  # the execution is open
    assert left([*acts, *held(("approve", "dee"))], 2) is None
    assert left(acts, 2, votes={"approve": Votes(2)}) is None  # and so is the second vote
    ended = [*acts[:2], replace(acts[2], state=ActState.ABANDONED), acts[3]]
    assert left(ended, 2) is None


def test_what_was_too_few_already_is_not_made_fewer() -> None:
    four = replace(THREE, limit=4)
    acts = held(("capture", "ana"), ("approve", "ben"), ("approve", "cai"), ("execute", "ana"))
    assert left(acts, 2, four) == 2
    assert left([*acts, *held(("execute", "ben"))], 1, four) is None


def test_only_what_denies_and_applies_keeps_a_claim() -> None:
    acts = held(("capture", "ana"), ("approve", "ben"), ("approve", "cai"), ("execute", "ana"))
    assert left(acts, 2, replace(THREE, then=Effect.REVIEW)) is None
    assert left(acts, 2, replace(THREE, chain="other")) is None
    assert left(acts, 2, replace(THREE, when=Fixed(Truth.FALSE))) is None
    assert left(acts, 2, replace(THREE, when=Fixed(Truth.UNKNOWN))) == 2


@given(
    drawn=st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from("abcd")), min_size=1, max_size=6),
    ends=st.integers(0, 5),
    limit=st.integers(2, 4),
)
def test_no_end_that_is_let_pass_breaks_what_was_kept(
    drawn: list[tuple[str, str]], ends: int, limit: int
) -> None:
    """Of those who hold a step nobody is then refused by the formula who was not before."""
    rule = replace(THREE, limit=limit)
    acts = held(*drawn)
    ends %= len(acts)
    acts = [replace(act, claim=f"c{number}") for number, act in enumerate(acts)]

    def broken(history: ChainHistory) -> bool:
        return any(
            FORMULAS[rule.kind](rule, asked=asking(act.step, act.person, history)) is not None
            for act in history.acts
            if act.stands()
        )

    after = [*acts]
    after[ends] = replace(acts[ends], state=ActState.ABANDONED)
    if left(acts, ends, rule) is None and not broken(a_history(*acts)):
        assert not broken(a_history(*after))
