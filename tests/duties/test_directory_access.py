"""A directory and a release as access and separations: nothing of the release is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from controls.duties.access import Access, Item, Sort, members
from controls.duties.analysis import Analysis, Separation
from controls.duties.constraints import built_in
from controls.duties.directory_access import directory_access, separations_of, step_item
from controls.model.condition import Truth
from controls.model.duty import ConstraintKind, Group, Period, Scope

from .builders import KIND, NOW, STEPS, Fixed, a_constraint, a_grant

CLOSURE = {
    "anyone": frozenset({"anyone"}),
    "desk": frozenset({"desk"}),
    "trader": frozenset({"trader", "desk"}),
    "clerk": frozenset({"clerk"}),
}


def holders(access: Access, item: Item, *, unconditionally: bool = False) -> list[str]:
    return [access.people[index] for index in members(access.holders(item, unconditionally=unconditionally))]


def test_grants_reach_persons_through_inheritance_and_conditions_are_told_apart() -> None:
    """Roles, the roles that they inherit, `anyone`, and grants with a condition."""
    access = directory_access(
        {"ana": ["trader"], "bea": ["clerk"], "cai": ["unknown"]},
        closure=CLOSURE,
        grants=[
            a_grant("desk", "capture", "read"),
            a_grant("trader", "execute", when=Fixed(Truth.TRUE)),
            a_grant("anyone", "approve"),
            a_grant("clerk", "settle", resource="other"),
        ],
        kinds=[KIND],
    )
    assert holders(access, step_item(KIND, "capture")) == ["ana"]
    assert holders(access, step_item(KIND, "approve")) == ["ana", "bea", "cai"]
    assert holders(access, step_item(KIND, "execute")) == ["ana"]
    assert holders(access, step_item(KIND, "execute"), unconditionally=True) == []
    assert holders(access, step_item(KIND, "settle")) == []
    assert holders(access, Item(Sort.ROLE, "desk")) == ["ana"]
    assert not access.knows(Item(Sort.STEP, "order.read"))
    assert [item.name for item in access.roles] == ["clerk", "desk", "trader", "unknown"]


def test_every_constraint_is_a_separation_or_says_why_not() -> None:
    """Each kind with its numbers; none is left out."""
    whole, sole = built_in(KIND)
    by_groups = a_constraint(ConstraintKind.AT_MOST, *STEPS, limit=1, name="groups")
    static = a_constraint(
        ConstraintKind.EXCLUSIVE_ROLES, chain="", roles=("desk", "clerk"), limit=1, name="roles"
    )
    constraints = [
        whole,
        sole,
        a_constraint(ConstraintKind.SEPARATE, "capture", "approve", name="separate", when=Fixed(Truth.TRUE)),
        a_constraint(ConstraintKind.AT_MOST, *STEPS, limit=2, name="at_most"),
        a_constraint(ConstraintKind.AT_MOST, *STEPS, limit=2, name="account", scope=Scope.ACCOUNT),
        a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=3, name="at_least"),
        a_constraint(ConstraintKind.BIND, *STEPS, name="bind"),
        static,
        a_constraint(ConstraintKind.COALITION, *STEPS, limit=2, name="coalition"),
        replace(static, id="dynamic", dynamic=True),
        replace(by_groups, groups=(Group("g", STEPS),)),
        a_constraint(ConstraintKind.COOLING_OFF, *STEPS, name="cooling_off"),
        a_constraint(
            ConstraintKind.SEPARATE, "capture", "approve", name="later",
            effective=Period(start=NOW + timedelta(days=1)),
        ),
    ]  # fmt: skip
    separations, unchecked = separations_of(constraints, kinds=[KIND], now=NOW)

    def numbers(one: Separation) -> tuple[str, int | None, int | None, bool, int]:
        return (one.id, one.most, one.people, one.standing, len(one.items))

    assert [numbers(one) for one in separations] == [
        ("whole_chain", 4, 1, False, 5),
        ("separate", 1, None, False, 2),
        ("at_most", 2, None, False, 5),
        ("at_least", None, 3, False, 5),
        ("roles", 1, None, True, 2),
        ("coalition", None, 2, True, 5),
    ]
    assert [one.when for one in separations] == ["", 'order.side == "buy"', "", "", "", ""]
    assert len(separations) + len(unchecked) == len(constraints)
    assert [item.constraint.id for item in unchecked] == [
        "sole_actor",
        "account",
        "bind",
        "dynamic",
        "groups",
        "cooling_off",
        "later",
    ]
    assert len({item.reason.en for item in unchecked}) == 7
    assert all(item.reason.en != item.reason.es for item in unchecked)


def test_whoever_could_do_the_whole_chain_is_in_conflict_with_it() -> None:
    """And one person is then the smallest group."""
    access = directory_access(
        {"ana": ["trader", "clerk"], "bea": ["clerk"]},
        closure=CLOSURE,
        grants=[a_grant("desk", *STEPS[:3]), a_grant("clerk", *STEPS[3:])],
        kinds=[KIND],
    )
    separations, _ = separations_of(built_in(KIND), kinds=[KIND], now=NOW)
    analysis = Analysis(access, separations)
    assert [conflict.person for conflict in analysis.conflicts()] == ["ana"]
    (found,) = analysis.collusion
    assert [member.person for member in found.group.members] == ["ana"]
    assert not found.conflict  # it asks for the number alone
