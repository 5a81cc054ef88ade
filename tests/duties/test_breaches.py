"""Constraints measured against recorded acts: what breaks them, and what the acts do not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.duties.breaches import Breach, Breaches
from controls.duties.constraints import built_in
from controls.model.chain import AMEND, Act, ActState, Capacity, ChainHistory
from controls.model.condition import Truth
from controls.model.duty import Constraint, ConstraintKind, Grant, Group, Period, Scope

from .builders import KIND, NOW, STEPS, Fixed, a_constraint, a_grant, a_history, an_act, done

KINDS = {KIND.id: KIND}
GRANTS = (
    a_grant("trader", "capture", "execute"),
    a_grant("senior", "approve"),
    a_grant("officer", "approve", "allocate"),
    a_grant("clerk", "settle"),
    a_grant("desk", AMEND),
)
CLOSURE = {
    "desk": frozenset({"desk"}),
    "trader": frozenset({"trader", "desk"}),
    "senior": frozenset({"senior", "trader", "desk"}),
    "officer": frozenset({"officer"}),
    "clerk": frozenset({"clerk"}),
    "all_round": frozenset({"all_round", "trader", "desk", "clerk"}),
}
SEPARATE = a_constraint(ConstraintKind.SEPARATE, "capture", "approve", name="separate")
AT_MOST = a_constraint(ConstraintKind.AT_MOST, *STEPS, limit=2, name="at_most")
EXCLUSIVE = a_constraint(
    ConstraintKind.EXCLUSIVE_ROLES, chain="", roles=("desk", "officer", "clerk"), limit=1, name="exclusive"
)


def breaches_of(
    constraints: Sequence[Constraint],
    *histories: ChainHistory,
    roles: Mapping[str, frozenset[str]] | None = None,
    grants: Sequence[Grant] = GRANTS,
) -> tuple[Breach, ...]:
    held = roles or {}
    found = Breaches(
        constraints,
        kinds=KINDS,
        grants=grants,
        closure=CLOSURE,
        roles_at=lambda person, _: held.get(person, frozenset()),
    )
    for history in histories:
        found.add(history)
    return found.found()


def told(found: Sequence[Breach]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(one.constraint.id, one.person, one.chain, tuple(act.step for act in one.acts)) for one in found]


acts = st.builds(
    an_act,
    st.sampled_from((*STEPS, AMEND)),
    st.sampled_from(("ana", "bea", "cai")),
    state=st.sampled_from(ActState),
    capacity=st.sampled_from(Capacity),
)


@given(st.lists(acts, max_size=8))
def test_persons_who_did_too_much_are_those_of_plain_sets(given_acts: list[Act]) -> None:
    """Every act counts, whatever became of it; an amendment as the first step."""
    (whole, _) = built_in(KIND)
    found = breaches_of([SEPARATE, AT_MOST, whole], a_history(*given_acts))
    expected = set()
    for person in ("ana", "bea", "cai"):
        steps = {"capture" if act.step == AMEND else act.step for act in given_acts if act.person == person}
        if steps >= {"capture", "approve"}:
            expected.add(("separate", person))
        if len(steps) > 2:
            expected.add(("at_most", person))
        if steps >= set(STEPS):
            expected.add(("whole_chain", person))
    assert {(one.constraint.id, one.person) for one in found} == expected
    assert len(found) == len(expected)


@given(st.lists(acts, max_size=6))
def test_people_renamed_are_told_by_their_new_names(given_acts: list[Act]) -> None:
    """Nothing depends on who somebody is."""
    (whole, sole) = built_in(KIND)
    rules = [
        SEPARATE,
        AT_MOST,
        whole,
        sole,
        a_constraint(ConstraintKind.BIND, "execute", "settle", name="bind"),
    ]
    names = {"ana": "x3", "bea": "x1", "cai": "x2"}
    renamed = [
        an_act(act.step, names[act.person], state=act.state, capacity=act.capacity) for act in given_acts
    ]
    one = {(item.constraint.id, names[item.person]) for item in breaches_of(rules, a_history(*given_acts))}
    assert one == {(item.constraint.id, item.person) for item in breaches_of(rules, a_history(*renamed))}


def test_a_breach_names_the_acts_of_both_sides() -> None:
    """The earlier acts and the one that broke it; on its chain."""
    found = breaches_of(
        [SEPARATE], done(("capture", "ana"), ("approve", "ana")), done(("capture", "ana"), chain="O-2")
    )
    assert told(found) == [("separate", "ana", "O-1", ("capture", "approve"))]
    assert not found[0].conditional


def test_two_chains_are_two_histories() -> None:
    """One side on each is no breach."""
    assert not breaches_of([SEPARATE], done(("capture", "ana")), done(("approve", "ana"), chain="O-2"))


def test_kinds_about_who_holds_a_step_look_at_what_stands() -> None:
    """`at_least`, `bind` and the sole actor: an abandoned act by another person breaks nothing."""
    rules = [
        a_constraint(ConstraintKind.BIND, "execute", "settle", name="bind"),
        a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", limit=2, name="at_least"),
        built_in(KIND)[1],
    ]
    clean = done(
        ("capture", "ana"), ("approve", "bea"), ("execute", "bea"), ("allocate", "cai"), ("settle", "bea")
    )
    assert not breaches_of(rules, clean)
    abandoned = a_history(
        an_act("capture", "ana", state=ActState.ABANDONED),
        an_act("capture", "bea"),
        an_act("approve", "bea"),
        an_act("execute", "ana", state=ActState.VOID),
        an_act("execute", "cai", state=ActState.ABANDONED),
        an_act("execute", "bea"),
        an_act("settle", "bea"),
    )
    assert told(breaches_of(rules, abandoned)) == [
        ("at_least", "bea", "O-1", ("capture", "approve")),
        ("sole_actor", "bea", "O-1", ("capture", "approve", "execute", "settle")),
    ]
    parted = done(("capture", "ana"), ("approve", "bea"), ("execute", "bea"), ("settle", "cai"))
    assert told(breaches_of(rules, parted)) == [("bind", "cai", "O-1", ("execute", "settle"))]


def test_votes_that_may_still_come_are_waited_for() -> None:
    """A step of two votes may bring one more person, whatever its condition says."""
    rules = [
        a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", limit=2, name="at_least"),
        a_constraint(ConstraintKind.VOTES, "approve", limit=2, name="votes", when=Fixed(Truth.FALSE)),
    ]
    history = done(("capture", "ana"), ("approve", "ana"))
    assert told(breaches_of(rules[:1], history)) == [("at_least", "ana", "O-1", ("capture", "approve"))]
    assert not breaches_of(rules, history)


def test_coalitions_and_roles_used_on_a_chain_are_looked_at() -> None:
    """By their formulas, as every kind that needs no more than the chain."""
    coalition = a_constraint(ConstraintKind.COALITION, *STEPS, limit=3, name="coalition")
    history = done(
        ("capture", "ana"), ("approve", "bea"), ("execute", "ana"), ("allocate", "bea"), ("settle", "ana")
    )
    assert told(breaches_of([coalition], history)) == [("coalition", "ana", "O-1", STEPS)]
    dynamic = replace(
        a_constraint(ConstraintKind.EXCLUSIVE_ROLES, roles=("trader", "clerk"), limit=1, name="dynamic"),
        dynamic=True,
        groups=(Group("trader", ("capture", "execute")), Group("clerk", ("settle",))),
    )
    (found,) = breaches_of([dynamic], history)
    assert (found.constraint.id, found.person, found.chain) == ("dynamic", "ana", "O-1")


def test_an_approver_takes_part_like_an_actor() -> None:
    """Whoever approves a step has it counted against him or her."""
    history = a_history(an_act("capture", "ana"), an_act("approve", "ana", capacity=Capacity.APPROVER))
    assert told(breaches_of([SEPARATE], history)) == [("separate", "ana", "O-1", ("capture", "approve"))]


def test_a_condition_is_not_evaluated_and_that_is_told() -> None:
    """The facts of then are not in the open."""
    rule = a_constraint(ConstraintKind.SEPARATE, "capture", "approve", when=Fixed(Truth.FALSE))
    (found,) = breaches_of([rule], done(("capture", "ana"), ("approve", "ana")))
    assert found.conditional


@pytest.mark.parametrize(("start", "breaks"), [(NOW, True), (NOW + timedelta(seconds=1), False)])
def test_only_acts_within_the_period_break_a_constraint(start: datetime, breaks: bool) -> None:
    """Half-open, at the time of the act that broke it."""
    rules = [
        a_constraint(ConstraintKind.SEPARATE, "capture", "approve", effective=Period(start=start)),
        a_constraint(
            ConstraintKind.EXCLUSIVE_ROLES,
            chain="",
            roles=("trader", "clerk"),
            limit=1,
            effective=Period(start=start),
        ),
        a_constraint(
            ConstraintKind.AT_MOST,
            "capture",
            "settle",
            limit=1,
            scope=Scope.ACCOUNT,
            effective=Period(start=start),
        ),
    ]
    steps = ("capture", "approve", "settle")
    history = a_history(*(an_act(step, "ana", material={"order.account": "A-1"}) for step in steps))
    held = {"ana": frozenset({"trader", "clerk"})}
    assert len(breaches_of(rules, history, roles=held)) == (3 if breaks else 0)


def test_counts_over_an_account_span_its_chains() -> None:
    """Two chains of one account count together, those of another account do not."""
    rule = a_constraint(ConstraintKind.AT_MOST, "capture", limit=1, scope=Scope.ACCOUNT, name="per_account")

    def on(account: str, chain: str, step: str = "capture") -> Act:
        return an_act(step, "ana", chain=chain, material={"order.account": account})

    first = a_history(on("A-1", "O-1"))
    (found,) = breaches_of([rule], first, a_history(on("A-1", "O-2"), chain="O-2"))
    assert [act.chain for act in found.acts] == ["O-1", "O-2"]
    assert found.chain == ""
    assert not breaches_of([rule], first, a_history(on("A-2", "O-2"), chain="O-2"))
    # A chain that was amended from one account to another is a chain of both.
    moved = a_history(on("A-2", "O-2"), on("A-1", "O-2", AMEND), chain="O-2")
    assert len(breaches_of([rule], first, moved)) == 1
    unstated = done(("capture", "ana"), chain="O-2")
    assert not breaches_of([rule], first, unstated)


def test_too_few_persons_is_said_of_the_chain_as_it_is() -> None:
    """Where a step repeats, one more may have come."""
    rule = a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", limit=2, name="at_least")
    alone = done(("capture", "ana"), ("approve", "ana"))
    assert told(breaches_of([rule], alone)) == [("at_least", "ana", "O-1", ("capture", "approve"))]
    assert not breaches_of([rule], done(("capture", "ana"), ("approve", "ana"), ("approve", "bea")))


# -- which roles were used ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "steps", "used"),
    [
        ({"trader", "officer"}, ("capture", "allocate"), True),
        ({"trader", "officer"}, ("capture", "approve"), True),  # the approval can only be the officer's
        ({"trader", "officer"}, ("capture", "execute"), False),  # one side alone
        ({"senior", "officer"}, ("capture", "approve"), False),  # the approval can be either's
        ({"senior", "officer"}, ("approve", "allocate"), False),
        ({"senior", "officer"}, ("execute", "approve", "allocate"), True),
        ({"desk", "clerk"}, (AMEND, "settle"), True),
        ({"all_round"}, ("capture", "settle"), True),
        ({"all_round"}, ("capture", "execute"), False),
        ({"trader"}, ("capture", "settle"), False),  # no role held then allows the settlement
    ],
)
def test_roles_are_used_where_the_acts_show_it(held: set[str], steps: tuple[str, ...], used: bool) -> None:
    """Over all chains; each role by an action of its own, and only by grants that the person had."""
    histories = [done((step, "ana"), chain=f"O-{number}") for number, step in enumerate(steps)]
    found = breaches_of([EXCLUSIVE], *histories, roles={"ana": frozenset(held)})
    assert bool(found) == used
    for breach in found:
        assert breach.chain == ""
        assert len(breach.acts) == 2


def test_what_everybody_may_do_shows_no_role() -> None:
    """A grant to anyone could have allowed it."""
    grants = (*GRANTS, a_grant("anyone", "settle"))
    history = done(("capture", "ana"), ("settle", "ana"))
    held = {"ana": frozenset({"trader", "clerk"})}
    assert not breaches_of([EXCLUSIVE], history, roles=held, grants=grants)
    assert breaches_of([EXCLUSIVE], history, roles=held)


def test_roles_are_those_of_the_moment() -> None:
    """Whoever changed jobs has used both roles, though never held both."""

    def roles_at(_: str, at: datetime) -> frozenset[str]:
        return frozenset({"trader"} if at == NOW else {"clerk"})

    found = Breaches([EXCLUSIVE], kinds=KINDS, grants=GRANTS, closure=CLOSURE, roles_at=roles_at)
    found.add(
        a_history(an_act("capture", "ana"), an_act("settle", "ana", at=NOW + timedelta(days=1), chain="O-1"))
    )
    assert told(found.found()) == [("exclusive", "ana", "", ("capture", "settle"))]


def test_approving_shows_no_role() -> None:
    """An approver acts as supervisor, not by the grant of the step."""
    history = a_history(an_act("capture", "ana"), an_act("settle", "ana", capacity=Capacity.APPROVER))
    assert not breaches_of([EXCLUSIVE], history, roles={"ana": frozenset({"trader", "clerk"})})


def test_chains_of_unknown_kinds_are_told_and_not_looked_at() -> None:
    """A release without the kind says nothing of its acts."""
    found = Breaches([SEPARATE], kinds=KINDS, grants=(), closure={}, roles_at=lambda *_: frozenset())
    found.add(done(("capture", "ana"), ("approve", "ana"), kind="other"))
    assert (found.found(), found.unknown_kinds, found.chains, found.acts) == ((), {"other"}, 0, 0)
