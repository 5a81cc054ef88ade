"""What a change of the directory may not do, with the conflict named."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.bootstrap import read_rule_files
from controls.model.duty import Constraint, ConstraintKind, Period
from controls.model.errors import InvalidInput
from controls.model.finding import Effect, Text
from controls.model.people import AccountKind, Attribute
from controls.model.values import microseconds
from controls.rules.release import Release, compile_release
from controls.services.directory_checks import check_people
from controls.services.directory_merge import merge_people
from controls.services.directory_plans import AccountLine, PersonPlan, RoleLine
from controls.services.privileged_roles import privileged_roles
from controls.store.directory import Directory
from tests.desk import DESK_RULES

NOW = microseconds(datetime(2026, 3, 2, 9, 30, tzinfo=UTC))
DAY = 86_400_000_000
ADMINISTRATORS = ("p-01", "p-02")


@pytest.fixture(scope="module")
def release() -> Release:
    return compile_release(read_rule_files(DESK_RULES))


def a_plan(person: str, *roles: str | RoleLine, **more: object) -> PersonPlan:
    """A person with an account, and roles from now on."""
    lines = {role if isinstance(role, RoleLine) else RoleLine(role) for role in roles}
    accounts = [AccountLine(f"{person}.login", None, None, f"/{person}/accounts/0")]
    return PersonPlan(person, where=f"/{person}", **{"roles": lines, "accounts": accounts, **more})  # type: ignore[arg-type]


def a_directory(*plans: PersonPlan) -> Directory:
    """Two administrators, and the persons of the plans since yesterday."""
    everybody = [*(a_plan(person, "administrator") for person in ADMINISTRATORS), *plans]
    return Directory(
        index=1, people=merge_people(everybody, people={}, at=NOW - DAY, new_id=lambda prefix: prefix)
    )


def refusals(release: Release, directory: Directory, *plans: PersonPlan) -> list[tuple[str, str]]:
    """Place and code of everything that is wrong with a change made now."""
    try:
        check_people(plans, directory=directory, release=release, at=NOW)
    except InvalidInput as refused:
        return [(item.pointer, item.code) for item in refused.errors]
    return []


def test_roles_that_exclude_each_other_are_refused_with_what_they_imply(release: Release) -> None:
    """The conflict names the constraint, the roles and how many it allows."""
    plan = a_plan("p-9", "trader", "settlement_clerk")
    with pytest.raises(InvalidInput) as refused:
        check_people([plan], directory=a_directory(), release=release, at=NOW)
    (error,) = refused.value.errors
    assert (error.pointer, error.code) == ("/p-9", "exclusive_roles")
    assert error.message == "p-9 would hold settlement_clerk and trader, of which front_back allows 1"


def test_a_role_given_on_top_of_one_that_stays_is_refused(release: Release) -> None:
    """What the person holds already counts; what is taken away in the same change does not."""
    directory = a_directory(a_plan("p-9", "trader"))
    both, other = a_plan("p-9", "trader", "reconciler"), a_plan("p-9", "reconciler")
    assert refusals(release, directory, both) == [("/p-9", "exclusive_roles")]
    assert refusals(release, directory, other) == []


def test_roles_one_after_the_other_exclude_nothing(release: Release) -> None:
    """Each moment is looked at by itself, the future ones too."""
    after = RoleLine("reconciler", NOW + 9 * DAY)
    before = RoleLine("trader", None, NOW + 9 * DAY)
    overlapping = RoleLine("trader", None, NOW + 10 * DAY)
    assert refusals(release, a_directory(), a_plan("p-9", before, after)) == []
    assert refusals(release, a_directory(), a_plan("p-9", overlapping, after)) == [
        ("/p-9", "exclusive_roles")
    ]


def test_who_is_in_conflict_already_may_be_changed_otherwise(release: Release) -> None:
    """A constraint may be younger than a grant: taking a role away is never refused for it."""
    held = ("trader", "reconciler", "settlement_clerk")
    directory = a_directory(a_plan("p-9", *held))
    fewer, as_before = a_plan("p-9", "trader", "reconciler"), a_plan("p-9", *held)
    assert refusals(release, directory, fewer) == []
    assert refusals(release, directory, as_before) == []
    assert refusals(release, directory, PersonPlan("p-9", where="/p-9", absences=[])) == []
    more = a_plan("p-9", *held, "middle_office")
    assert refusals(release, directory, more) == [("/p-9", "exclusive_roles")]


def test_a_constraint_that_is_not_in_effect_refuses_nothing(release: Release) -> None:
    """Effective dates count as of the moment at which the roles would be held together."""
    tomorrow = datetime(2026, 3, 3, tzinfo=UTC)
    later = replace(
        release,
        constraints=tuple(
            replace(item, effective=Period(tomorrow, tomorrow + timedelta(days=9)))
            for item in release.constraints
            if item.id == "front_back"
        ),
    )
    soon = RoleLine("reconciler", NOW + 2 * DAY, NOW + 5 * DAY)
    assert refusals(later, a_directory(), a_plan("p-9", "trader", "reconciler")) == []
    assert refusals(later, a_directory(), a_plan("p-9", "trader", soon)) == [("/p-9", "exclusive_roles")]


def test_unknown_roles_are_refused(release: Release) -> None:
    """Every role is one of the release in force."""
    assert refusals(release, a_directory(), a_plan("p-9", "astronaut")) == [("/p-9", "unknown_role")]


def test_an_account_belongs_to_one_person_at_a_time(release: Release) -> None:
    """Of somebody else in the directory, of somebody else in the same change, or twice of the same."""
    directory = a_directory(a_plan("p-8", "trader"))

    def line(number: int, *times: int | None) -> AccountLine:
        begin, end = times or (None, None)
        return AccountLine("p-8.login", begin, end, f"/p-9/accounts/{number}")

    taken = a_plan("p-9", "trader", accounts=[line(0)])
    assert refusals(release, directory, taken) == [("/p-9/accounts/0", "account_taken")]
    ended = a_plan("p-8", accounts=[AccountLine("p-8.login", None, NOW + DAY, "/p-8/accounts/0")])
    after = a_plan("p-9", accounts=[line(0, NOW + DAY, None)])
    assert refusals(release, directory, after) == [("/p-9/accounts/0", "account_taken")]
    assert ("/p-9/accounts/0", "account_of_two") in refusals(release, directory, ended, after)
    twice = a_plan("p-8", accounts=[line(0), line(1, NOW + DAY, None)])
    assert refusals(release, directory, twice) == [("/p-9/accounts/1", "periods_overlap")]
    apart = a_plan("p-8", accounts=[line(0, None, NOW + DAY), line(1, NOW + 2 * DAY, None)])
    assert refusals(release, directory, apart) == []


def test_a_person_is_named_once_in_a_change(release: Release) -> None:
    """Two plans for one person would overwrite each other."""
    plan = a_plan("p-9", "trader")
    assert ("/p-9", "person_twice") in refusals(release, a_directory(), plan, plan)


def test_nobody_reports_to_a_stranger_or_in_a_circle(release: Release) -> None:
    """Superiors are persons of the directory or of the same change, and their line has an end."""

    def under(person: str, superior: str) -> PersonPlan:
        return a_plan(person, attributes={Attribute.REPORTS_TO: superior})

    assert refusals(release, a_directory(), under("p-9", "p-404")) == [("/p-9", "unknown_superior")]
    assert refusals(release, a_directory(), under("p-9", "p-9")) == []  # at the top
    assert refusals(release, a_directory(), under("p-8", "p-9"), under("p-9", "p-01")) == []
    directory = a_directory(a_plan("p-7"), under("p-8", "p-7"), under("p-9", "p-8"))
    assert refusals(release, directory, under("p-7", "p-9")) == [("/p-7", "reports_in_a_circle")]
    # One person of the circle leaves it in the same change.
    assert refusals(release, directory, under("p-7", "p-9"), under("p-8", "p-01")) == []


def test_two_administrators_are_left(release: Release) -> None:
    """With fewer, no change could ever be confirmed; a bot is nobody's second pair of eyes."""
    directory = a_directory()
    assert refusals(release, directory, a_plan("p-02", "trader")) == [("/p-02", "too_few_administrators")]
    bot = [AccountLine("p-02.login", None, None, "/p-02", AccountKind.BOT)]
    assert refusals(release, directory, a_plan("p-02", "administrator", accounts=bot)) == [
        ("/p-02", "too_few_administrators")
    ]
    replaced = (a_plan("p-02", "trader"), a_plan("p-03", "administrator"))
    assert refusals(release, directory, *replaced) == []


def test_privileged_roles_are_those_that_reach_changes_and_reviews(release: Release) -> None:
    """Built in or by inheritance, whatever they are called."""
    assert privileged_roles(release) == {"administrator", "supervisor", "head_of_desk"}


# -- coalitions --------------------------------------------------------------------------------------------


def a_ring(people: int, *steps: str) -> Constraint:
    return Constraint(
        id="ring",
        version="1",
        kind=ConstraintKind.COALITION,
        chain="order_to_settlement",
        then=Effect.FLAG,
        title=Text("Ring", "Anillo"),
        steps=steps,
        limit=people,
    )


def with_ring(release: Release, people: int, *steps: str) -> Release:
    kind = release.chains["order"].id
    ring = replace(a_ring(people, *steps), chain=kind)
    return replace(release, constraints=(ring,))


STEPS = ("capture", "approve", "execute", "allocate")


def test_a_grant_with_which_too_few_could_do_it_all_is_refused(release: Release) -> None:
    """The conflict names the constraint, the persons and the steps."""
    ring = with_ring(release, 3, *STEPS)
    desk = (a_plan("p-5", "trader"), a_plan("p-6", "risk_officer"), a_plan("p-7", "middle_office"))
    assert refusals(with_ring(release, 2, *STEPS), a_directory(), *desk) == []
    plan = a_plan("p-9", "trader", "risk_officer")
    with pytest.raises(InvalidInput) as refused:
        check_people([plan], directory=a_directory(), release=with_ring(release, 2, *STEPS), at=NOW)
    (error,) = refused.value.errors
    assert (error.pointer, error.code) == ("/p-9", "coalition")
    assert error.message == (
        "p-9 could do capture, approve, execute, allocate together, and ring asks for 2 persons at least"
    )
    # A risk officer has the grants of the middle office: with a trader, two persons do it all.
    assert refusals(ring, a_directory(desk[0]), desk[1]) == [("/p-6", "coalition")]
    assert refusals(ring, a_directory(), *desk) == [("/p-5", "coalition"), ("/p-6", "coalition")]


def test_a_ring_of_others_does_not_concern_a_grant(release: Release) -> None:
    """Where others could already do it all, a person is refused only a part in a ring of his or her own."""
    ring = with_ring(release, 3, *STEPS)
    directory = a_directory(a_plan("p-5", "trader"), a_plan("p-6", "risk_officer"))
    assert refusals(ring, directory, a_plan("p-9", "settlement_clerk")) == []
    assert refusals(ring, directory, a_plan("p-9", "trader")) == [("/p-9", "coalition")]
    assert refusals(ring, directory, a_plan("p-5", "trader", "reconciler")) == []


PERSONS = ("p-3", "p-4", "p-5", "p-6")
HELD = st.sets(st.sampled_from(("trader", "risk_officer", "middle_office", "settlement_clerk")), max_size=2)


@given(
    before=st.dictionaries(st.sampled_from(PERSONS), HELD),
    person=st.sampled_from(PERSONS),
    roles=HELD,
    people=st.integers(2, 4),
)
def test_coalitions_are_those_that_trying_all_groups_finds(
    release: Release, before: dict[str, set[str]], person: str, roles: set[str], people: int
) -> None:
    """Refused is what makes a group of too few, with this person in it, that was none before."""
    ring = with_ring(release, people, *STEPS, "instruct")
    directory = a_directory(*(a_plan(name, *held) for name, held in before.items()))

    def can(held: set[str]) -> set[str]:
        implied = set().union(*(release.roles[role] for role in held)) if held else set()
        granted = (grant for grant in release.grants if grant.role in implied and grant.resource == "order")
        return {step for grant in granted if grant.when is None for step in grant.actions}

    def rings(own: set[str]) -> bool:
        others = [held for name, held in before.items() if name != person]
        return any(
            can(own).union(*map(can, group)) >= {*STEPS, "instruct"}
            for size in range(people - 1)
            for group in combinations(others, size)
        )

    expected = rings(roles) and not rings(before.get(person, set()))
    assert (refusals(ring, directory, a_plan(person, *roles)) == [(f"/{person}", "coalition")]) is expected
