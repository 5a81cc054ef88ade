"""The directory snapshot: what is asked about a moment is answered for that moment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controls.model.people import AccountKind, Attribute, Profile
from controls.store.directory import Directory
from controls.store.people import (
    Absence,
    AccountRecord,
    Assignment,
    AttributeRecord,
    PersonRecord,
    Provisioned,
    holds,
    private_document,
    public_document,
)

MOMENTS = st.integers(0, 12)
PERIODS = st.tuples(MOMENTS, st.none() | st.integers(1, 12)).filter(
    lambda period: period[1] is None or period[0] < period[1]
)


def a_person(person: str = "p-1", **records: object) -> PersonRecord:
    """A person with an account from the beginning on, unless other accounts are named."""
    accounts = {"accounts": (AccountRecord(person, f"acc-{person}", person, 0, None),)}
    return PersonRecord(person, "", **{**accounts, **records})  # type: ignore[arg-type]


@st.composite
def people(draw: st.DrawFn) -> list[PersonRecord]:
    made = []
    for person in draw(st.sets(st.sampled_from(("p-1", "p-2", "p-3")), min_size=1)):
        accounts = [
            AccountRecord(f"{person}.{number}", f"{person}/{number}", person, start, end, kind)
            for number, ((start, end), kind) in enumerate(
                draw(st.lists(st.tuples(PERIODS, st.sampled_from(AccountKind)), max_size=3))
            )
        ]
        cuts = sorted(draw(st.sets(MOMENTS, max_size=4)))
        desks = [
            AttributeRecord(person, Attribute.DESK, f"desk-{start}", start, end)
            for start, end in zip(cuts, [*cuts[1:], None], strict=False)
        ]
        absences = [Absence(person, start, end) for start, end in draw(st.lists(PERIODS, max_size=3))]
        made.append(
            PersonRecord(person, "", tuple(accounts), attributes=tuple(desks), absences=tuple(absences))
        )
    return made


@given(people(), st.lists(MOMENTS, min_size=1, max_size=8))
def test_who_can_act_and_what_is_known_follow_the_records_at_every_moment(
    everybody: list[PersonRecord], moments: list[int]
) -> None:
    """Whatever was asked before, the answers are those of the records that hold at the moment asked about."""
    directory = Directory(index=1, people=everybody)
    for at in moments:

        def now(start: int, end: int | None, at: int = at) -> bool:
            return start <= at and (end is None or at < end)

        for person in everybody:
            desks = [item.value for item in person.attributes if now(item.valid_from, item.valid_to)]
            assert directory.profiles(at=at)[person.id] == Profile(person.id, desk=(desks or [""])[0])
            acts = any(
                item.kind is AccountKind.PERSON and now(item.valid_from, item.valid_to)
                for item in person.accounts
            )
            away = any(now(item.valid_from, item.valid_to) for item in person.absences)
            assert directory.available(person.id, at=at) is (acts and not away)
            assert (person.id in directory.present(at=at)) is (acts and not away)


def test_what_does_not_change_is_made_once() -> None:
    """Asked again in the same stretch of time, everybody's profiles are the same object."""
    desk = AttributeRecord("p-1", Attribute.DESK, "rates", 5, 9)
    directory = Directory(index=1, people=[a_person(attributes=(desk,), absences=(Absence("p-1", 2, 3),))])
    assert directory.profiles(at=5) is directory.profiles(at=8)
    assert directory.profiles(at=9) is not directory.profiles(at=8)
    assert directory.present(at=3) is directory.present(at=10**15)


def test_a_stranger_is_not_available() -> None:
    """Nobody is known who is not in the directory."""
    directory = Directory(index=1, people=[a_person()])
    assert not directory.available("p-9", at=1)
    assert "p-9" not in directory.profiles(at=1)
    assert directory.roles("p-9", at=1) == frozenset()


def test_an_account_says_whose_hands_are_on_it() -> None:
    """A bot's account is its owner's, and is told apart; alone it makes nobody available."""
    bot = AccountRecord("ana.bot", "acc-1", "p-1", 0, None, AccountKind.BOT)
    directory = Directory(index=1, people=[a_person(accounts=(bot,))])
    account = directory.account("ana.bot", at=1)
    assert account is not None
    assert (account.person.id, account.kind) == ("p-1", AccountKind.BOT)
    assert not directory.available("p-1", at=1)


def test_where_a_person_is_and_with_whom_is_not_said_in_clear() -> None:
    """Department, desk, household and absences are in the private part only, names and logins in neither."""
    record = PersonRecord(
        "p-1",
        "Ana Arce",
        (AccountRecord("ana.login", "acc-1", "p-1", 0, None),),
        (Assignment("p-1", "trader", 0, None),),
        tuple(AttributeRecord("p-1", attribute, f"some-{attribute}", 0, None) for attribute in Attribute),
        (Absence("p-1", 7, 8),),
    )
    public, private = str(public_document(record)), str(private_document(record))
    assert "some-reports_to" in public
    for said in ("some-department", "some-desk", "some-household", "00:00:00.000007Z"):
        assert said in private
        assert said not in public
    for said in ("Ana", "ana.login"):
        assert said not in public + private


@given(people(), people())
def test_what_changed_on_top_of_what_was_known_is_the_whole(
    before: list[PersonRecord], after: list[PersonRecord]
) -> None:
    """A directory that differs from another in some persons is as if all had been read anew, and the other
    one stays as it was."""
    known = Directory(index=1, people=before, provisioned=[provisioned("a"), provisioned("b")])
    kept = {login: list(records) for login, records in known.accounts.items()}
    changed = Directory(index=2, people=after, provisioned=[provisioned("b", deleted=True)], before=known)
    everybody = {item.id: item for item in before} | {item.id: item for item in after}
    whole = Directory(
        index=2,
        people=everybody.values(),
        provisioned=[provisioned("a"), provisioned("b", deleted=True)],
    )
    assert changed.people == whole.people
    assert changed.ids == whole.ids
    assert changed.provisioned == whole.provisioned
    assert {login: set(records) for login, records in changed.accounts.items()} == {
        login: set(records) for login, records in whole.accounts.items()
    }
    assert changed.references.items() >= whole.references.items()
    for at in range(0, 13, 3):
        assert changed.profiles(at=at) == whole.profiles(at=at)
        assert changed.present(at=at) == whole.present(at=at)
    assert known.accounts == kept


def provisioned(name: str, *, deleted: bool = False) -> Provisioned:
    return Provisioned("User", name, f"x-{name}", 0, 1, deleted)


@given(people(), st.integers(0, 12), st.integers(1, 6))
def test_throughout_a_time_is_at_every_moment_of_it(
    records: list[PersonRecord], start: int, length: int
) -> None:
    """Whoever is counted on for a stretch can act at each of its moments; who can at all of them is counted
    on, unless an account ends and another begins meanwhile."""
    directory = Directory(index=1, people=records)
    kept = directory.crowd(at=start)
    always = frozenset.intersection(*(directory.present(at=at) for at in range(start, start + length)))
    counted = directory.crowd_throughout(start, start + length).roles.keys()
    present = directory.present(at=start) & directory.present(at=start + length - 1)
    away = {
        one.id
        for one in records
        for at in range(start, start + length)
        if any(holds(item, at) for item in one.absences)
    }
    assert counted == present - away
    assert always <= counted
    assert directory.crowd(at=start) is kept
