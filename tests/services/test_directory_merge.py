"""What a change makes of a person's records: nothing is forgotten, and what is wanted is what holds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from controls.model.people import AccountKind, Attribute
from controls.services.directory_merge import merge_people
from controls.services.directory_plans import AbsenceLine, AccountLine, PersonPlan, RoleLine, open_roles
from controls.store.people import PersonRecord, Record, holds

LATER = 10**9


def merged(*plans: PersonPlan, step: int = 10) -> PersonRecord:
    """What plans for one person, made at 10, 20, ..., leave of him or her."""
    numbers = count()
    record = PersonRecord(plans[0].id, "")
    for turn, plan in enumerate(plans, start=1):
        (record,) = merge_people(
            [plan],
            people={record.id: record},
            at=turn * step,
            new_id=lambda prefix: f"{prefix}_{next(numbers)}",
        )
    return record


def times(records: Iterable[Record]) -> list[tuple[int, int | None]]:
    return sorted((item.valid_from, item.valid_to) for item in records)


def account(
    login: str = "ana", start: int | None = None, end: int | None = None, **more: AccountKind
) -> AccountLine:
    return AccountLine(login, start, end, "line 2", **more)


def test_an_attribute_that_is_not_named_stays() -> None:
    """A file without the column changes nothing of it."""
    record = merged(
        PersonPlan("p", attributes={Attribute.DESK: "rates", Attribute.DEPARTMENT: "sales"}),
        PersonPlan("p", attributes={Attribute.DESK: "credit"}),
    )
    found = [(item.attribute, item.value, item.valid_from, item.valid_to) for item in record.attributes]
    assert sorted(found) == [
        ("department", "sales", 10, None),
        ("desk", "credit", 20, None),
        ("desk", "rates", 10, 20),
    ]


def test_an_empty_attribute_ends() -> None:
    """The record stays, end-dated."""
    record = merged(
        PersonPlan("p", attributes={Attribute.DESK: "rates"}),
        PersonPlan("p", attributes={Attribute.DESK: ""}),
    )
    assert times(record.attributes) == [(10, 20)]


def test_the_same_again_changes_nothing() -> None:
    """A plan that was made already leaves every record as it is, references included."""
    plan = PersonPlan(
        "p",
        accounts=[account(), account("ana.bot", kind=AccountKind.BOT)],
        roles={RoleLine("trader"), RoleLine("clerk", 50, 80)},
        attributes={Attribute.DESK: "rates"},
        absences=[AbsenceLine(5, 90), AbsenceLine(95, None)],
    )
    assert merged(plan, plan) == merged(plan)


def test_a_role_may_have_a_time() -> None:
    """What begins later waits; what is no longer wanted ends now, or never begins."""
    record = merged(PersonPlan("p", roles={RoleLine("trader", 50, 80), RoleLine("clerk")}))
    assert times(record.roles) == [(10, None), (50, 80)]
    ended = merged(
        PersonPlan("p", roles={RoleLine("trader", 50, 80), RoleLine("clerk")}), PersonPlan("p", roles=set())
    )
    assert times(ended.roles) == [(10, 20)]


def test_absences_are_replaced_from_now_on() -> None:
    """What is over stays on record; the one that runs ends now when the plan does not name it."""
    record = merged(
        PersonPlan("p", absences=[AbsenceLine(10, 15), AbsenceLine(18, 40), AbsenceLine(60, 70)]),
        PersonPlan("p", absences=[AbsenceLine(30, 50)]),
    )
    assert times(record.absences) == [(10, 15), (18, 20), (30, 50)]


def test_an_account_that_becomes_a_bot_s_is_another_account() -> None:
    """Records of before must not read as a bot's: the old account ends and a new one begins."""
    record = merged(
        PersonPlan("p", accounts=[account()]), PersonPlan("p", accounts=[account(kind=AccountKind.BOT)])
    )
    assert [(item.ref, item.kind) for item in sorted(record.accounts, key=lambda item: item.valid_from)] == [
        ("acc_0", AccountKind.PERSON),
        ("acc_1", AccountKind.BOT),
    ]
    assert times(record.accounts) == [(10, 20), (20, None)]


def test_a_login_named_in_two_rows_is_one_account() -> None:
    """Rows that repeat an account do not double it, however often they are imported."""
    plan = PersonPlan("p", accounts=[account(), account()])
    assert times(merged(plan, plan).accounts) == [(10, None)]


PERIODS = st.tuples(st.none() | st.integers(0, 60), st.none() | st.integers(1, 70)).filter(
    lambda period: period[1] is None or (period[0] or 0) < period[1]
)
PLANS = st.builds(
    PersonPlan,
    id=st.just("p"),
    roles=st.none() | st.sets(st.builds(RoleLine, st.sampled_from(("a", "b")))),
    attributes=st.dictionaries(st.sampled_from(Attribute), st.sampled_from(("", "x", "y"))),
    absences=st.none() | st.lists(PERIODS.map(lambda period: AbsenceLine(*period)), max_size=1),
)


@given(st.lists(PLANS, min_size=1, max_size=5))
def test_what_has_ended_never_changes_and_one_attribute_holds_at_a_time(plans: list[PersonPlan]) -> None:
    """Whatever is planned later, the past stays, no record is empty, and what the last plan says holds."""
    before = merged(*plans[:-1]) if plans[:-1] else PersonRecord("p", "")
    after, at = merged(*plans), len(plans) * 10
    ended = {item for item in before.records() if item.valid_to is not None and item.valid_to <= at}
    assert ended <= set(after.records())
    assert all(item.valid_to is None or item.valid_from < item.valid_to for item in after.records())
    for moment in range(0, 80, 5):
        held = [item.attribute for item in after.attributes if holds(item, moment)]
        assert len(held) == len(set(held))
        held_roles = [item.role for item in after.roles if holds(item, moment)]
        assert len(held_roles) == len(set(held_roles))
    for attribute, value in plans[-1].attributes.items():
        assert [
            item.value for item in after.attributes if item.attribute is attribute and holds(item, at)
        ] == ([value] if value else [])
    if plans[-1].roles is not None:
        now = {item.role for item in after.roles if holds(item, at)}
        assert open_roles(now) == plans[-1].roles


@given(PLANS)
def test_a_plan_survives_being_stored(plan: PersonPlan) -> None:
    """A proposed change is confirmed as it was proposed."""
    assert PersonPlan.from_payload(plan.payload()) == plan
