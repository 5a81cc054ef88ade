"""The search for smallest changes against trying every set of them, over decisions that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from controls.decide import Situation
from controls.model.chain import ChainHistory
from controls.model.decision import Decision
from controls.model.finding import Outcome
from controls.model.people import Account, Person
from controls.model.request import Request
from controls.rules.vocabulary import FactReading
from controls.services import smallest_changes
from controls.services.changed_worlds import (
    AnotherPerson,
    Change,
    Changes,
    OtherFact,
    OtherRole,
    World,
    Worlds,
)
from controls.services.proposed_changes import Proposals
from controls.services.smallest_changes import Offer, SmallestChanges

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RANKS = {Outcome.PERMIT: 0, Outcome.REVIEW: 1, Outcome.DENY: 2}
PLACES = 5


def a_fact(place: int, value: int = 1, *, nearest: bool = False) -> OtherFact:
    return OtherFact(f"order.f{place}", value, stated=True, nearest=nearest)


def a_person(number: int) -> AnotherPerson:
    return AnotherPerson(Account(f"login-{number}", f"acc-{number}", Person(f"p-{number}", frozenset())), 0)


def a_world(outcome: Outcome) -> World:
    request = Request("r", "account", "ana", "approve", "order", "O-1", {})
    situation = Situation(FactReading({}, {}), None, ChainHistory("", "O-1"), NOW)
    return World(request, situation, Decision("r", outcome, ()))


@dataclass
class MadeUp:
    """Worlds and proposals in one, whose outcomes are a table; sets beyond it deny."""

    outcomes: Mapping[frozenset[Change], Outcome]
    first: Sequence[Change]
    people: Sequence[AnotherPerson] = ()
    then: Mapping[Change, Sequence[Change]] = field(default_factory=dict)
    base: Outcome = Outcome.DENY
    time: int = 10_000
    tried: list[Changes] = field(default_factory=list)
    kind: None = None

    async def each(self, wanted: Sequence[Changes]) -> AsyncIterator[tuple[Changes, World]]:
        for changes in wanted:
            if len(self.tried) >= self.time:
                return
            self.tried.append(changes)
            outcome = self.outcomes.get(frozenset(changes), self.base if not changes else Outcome.DENY)
            yield changes, a_world(outcome)

    def others(self, world: World) -> Sequence[AnotherPerson]:
        return self.people

    def after(self, world: World) -> Sequence[Change]:
        return self.first if len(self.tried) == 1 else ()


def searched(made_up: Any) -> SmallestChanges:
    search = SmallestChanges(cast(Worlds, made_up), cast(Proposals, made_up))
    asyncio.run(search.run())
    return search


def smallest(made_up: MadeUp) -> set[tuple[frozenset[Change], Outcome]]:
    """By definition: better than the present, and no proper part as good."""
    base = RANKS[made_up.base]
    rank = {
        frozenset(some): RANKS[made_up.outcomes.get(frozenset(some), Outcome.DENY)]
        for size in (1, 2)
        for some in combinations(made_up.first, size)
    }
    return {
        (some, next(outcome for outcome, of in RANKS.items() if of == reached))
        for some, reached in rank.items()
        if reached < base and not any(other < some and rank[other] <= reached for other in rank)
    }


@given(
    base=st.sampled_from([Outcome.REVIEW, Outcome.DENY]),
    drawn=st.lists(st.sampled_from(list(RANKS)), min_size=PLACES + PLACES * (PLACES - 1) // 2, max_size=15),
)
def test_as_trying_every_set(base: Outcome, drawn: list[Outcome]) -> None:
    """Whatever single changes and pairs lead to, exactly the smallest sets that improve are offered."""
    facts = [a_fact(place) for place in range(PLACES)]
    sets = [frozenset(some) for size in (1, 2) for some in combinations(facts, size)]
    made_up = MadeUp(dict(zip(sets, drawn, strict=True)), facts, base=base)
    search = searched(made_up)
    assert {(frozenset(offer.changes), offer.outcome) for offer in search.offers} == smallest(made_up)
    assert len(search.offers) == len({frozenset(offer.changes) for offer in search.offers})
    assert search.complete


def test_permits_come_first_and_single_changes() -> None:
    """The order in which offers are told."""
    one, two, three = a_fact(1), a_fact(2), a_fact(3)
    outcomes = {
        frozenset([one]): Outcome.REVIEW,
        frozenset([two, three]): Outcome.PERMIT,
        frozenset([one, two]): Outcome.PERMIT,
    }
    found = searched(MadeUp(outcomes, [one, two, three])).offers
    assert [(len(offer.changes), offer.outcome) for offer in found] == [
        (2, Outcome.PERMIT),
        (2, Outcome.PERMIT),
        (1, Outcome.REVIEW),
    ]


def test_the_nearest_value_stands_for_those_beyond() -> None:
    """Of amounts of one fact, the first that permits; a nearer one that does less is told beside it."""
    near, middle, far = (a_fact(1, value, nearest=True) for value in (9, 5, 1))
    outcomes = {frozenset([near]): Outcome.REVIEW, frozenset([middle]): Outcome.PERMIT}
    outcomes |= {frozenset([far]): Outcome.PERMIT}
    assert searched(MadeUp(outcomes, [near, middle, far])).offers == [
        Offer((middle,), Outcome.PERMIT),
        Offer((near,), Outcome.REVIEW),
    ]


def test_all_listed_values_and_persons_are_told() -> None:
    """What has no order among itself does not stand for another."""
    changes: list[Change] = [a_fact(1, 1), a_fact(1, 2), OtherRole("p-0", "a", given=True)]
    people = [a_person(1), a_person(2)]
    outcomes = {frozenset([item]): Outcome.PERMIT for item in (*changes, *people)}
    found = searched(MadeUp(outcomes, changes, people)).offers
    assert {offer.changes[0] for offer in found} == {*changes, *people}


def test_what_follows_from_a_change_is_tried_with_it() -> None:
    """A change that only the first change's own world proposes."""

    @dataclass
    class Following(MadeUp):
        def after(self, world: World) -> Sequence[Change]:
            return [a_fact(1)] if len(self.tried) == 1 else [a_fact(2)]

    made_up = Following({frozenset([a_fact(1), a_fact(2)]): Outcome.PERMIT}, ())
    assert [set(offer.changes) for offer in searched(made_up).offers] == [{a_fact(1), a_fact(2)}]


def test_a_role_is_for_whoever_asks() -> None:
    """A role of one person is not tried with another person asking."""
    role, person = OtherRole("p-0", "a", given=True), a_person(1)
    made_up = MadeUp({frozenset([role, person]): Outcome.PERMIT}, [role], [person])
    assert not searched(made_up).offers


def test_what_was_not_tried_is_said(monkeypatch: Any) -> None:
    """Want of time, and too many pairs."""
    facts = [a_fact(place) for place in range(PLACES)]
    late = searched(MadeUp({}, facts, time=7))
    assert not late.complete
    monkeypatch.setattr(smallest_changes, "PAIRS_AT_MOST", 3)
    made_up = MadeUp({}, facts)
    assert not searched(made_up).complete
    assert len(made_up.tried) == 1 + PLACES + 3


def test_nothing_is_sought_where_it_is_permitted() -> None:
    """Asked again, it is permitted: one decision and no offers."""
    made_up = MadeUp({}, [a_fact(1)], base=Outcome.PERMIT)
    search = searched(made_up)
    assert (search.offers, search.complete, made_up.tried) == ([], True, [()])
