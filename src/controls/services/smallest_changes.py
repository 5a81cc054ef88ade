"""The smallest sets of changes that flip a decision, found by deciding with each: one change, then two.

Guarantees: every set offered was decided, and its outcome is that decision's; no part of it gets as far by
itself; every single change that was proposed is tried before any two, and every two of which neither permits
by itself. What is not looked at (for want of time, or past a limit) is said: `complete` is false then. Of
values of one amount, of moments, and of persons for one earlier step, the first that will do stands for the
others. Persons who could ask instead are all counted; with a second change only those are tried who leave the
fewest findings, and told where nobody could without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from controls.model.finding import Effect, Outcome
from controls.services.changed_worlds import (
    AnotherPerson,
    Change,
    Changes,
    EarlierStep,
    OtherRole,
    World,
    Worlds,
)
from controls.services.proposed_changes import PEOPLE_AT_MOST, Proposals

# How many pairs of changes are decided at the most.
PAIRS_AT_MOST: Final = 2_000
# How many persons are told who could ask instead and come to the same outcome; others are only counted.
PERSONS_TOLD: Final = 10
# How many persons are tried with a second change.
_PERSONS_IN_PAIRS: Final = 3
_RANKS: Final = {Outcome.PERMIT: 0, Outcome.WOULD_PERMIT: 0, Outcome.REVIEW: 1, Outcome.DENY: 2}


@dataclass(frozen=True, slots=True)
class Offer:
    """A smallest set of changes, and the outcome with them."""

    changes: Changes
    outcome: Outcome

    def covers(self, changes: Changes, rank: int) -> bool:
        """Whether this is a part of `changes`, or stands for a part of them, and gets as far."""
        others = {item.about: item for item in changes}
        more = len(changes) > len(self.changes)
        return _RANKS[self.outcome] <= rank and all(
            item.about in others
            and (item == others[item.about] or item.alternative or (more and isinstance(item, AnotherPerson)))
            for item in self.changes
        )


@dataclass(slots=True)
class SmallestChanges:
    """The search for one request; `run` once."""

    worlds: Worlds
    proposals: Proposals
    offers: list[Offer] = field(default_factory=list, init=False)
    found: int = field(default=0, init=False)  # those among them, and persons who are only counted
    complete: bool = field(default=True, init=False)

    async def run(self) -> World:
        """Fill `offers`; the present, whose outcome they flip."""
        base = (await self._decide([()]))[()]
        rank = _RANKS[base.outcome]
        if rank == 0:
            return base
        people = self.proposals.others(base)
        self.complete = len(people) <= PEOPLE_AT_MOST
        singles: list[Changes] = [(item,) for item in (*people[:PEOPLE_AT_MOST], *self.proposals.after(base))]
        found = await self._decide(singles)
        self._take(singles, found, below=rank)
        pairs = self._pairs({changes[0]: found[changes] for changes in singles if changes in found})
        if len(pairs) > PAIRS_AT_MOST:
            self.complete = False
        pairs = pairs[:PAIRS_AT_MOST]
        self._take(pairs, await self._decide(pairs), below=rank)
        self.offers.sort(key=lambda offer: (_RANKS[offer.outcome], len(offer.changes)))
        return base

    async def _decide(self, wanted: Sequence[Changes]) -> Mapping[Changes, World]:
        found = {changes: world async for changes, world in self.worlds.each(wanted)}
        if len(found) < len(wanted):
            self.complete = False
        return found

    def _take(self, tried: Iterable[Changes], found: Mapping[Changes, World], *, below: int) -> None:
        persons = Counter[Outcome]()
        for changes in tried:
            world = found.get(changes)
            rank = below if world is None else _RANKS[world.outcome]
            if (
                world is not None
                and rank < below
                and not any(offer.covers(changes, rank) for offer in self.offers)
            ):
                self.found += 1
                alone = len(changes) == 1 and isinstance(changes[0], AnotherPerson)
                persons[world.outcome] += alone
                if not alone or persons[world.outcome] <= PERSONS_TOLD:
                    self.offers.append(Offer(changes, world.outcome))

    def _pairs(self, singles: Mapping[Change, World]) -> list[Changes]:
        """Two changes each, those first that leave the fewest findings: any two of the singles, and each with
        what its own world proposes."""
        left = {change: _blocking(world) for change, world in singles.items()}
        pool = [change for change, world in singles.items() if _RANKS[world.outcome]]
        persons = [change for change in pool if isinstance(change, AnotherPerson)]
        persons = sorted(persons, key=left.__getitem__)[:_PERSONS_IN_PAIRS]
        pool = [change for change in pool if not isinstance(change, AnotherPerson)] + persons
        pool.sort(key=left.__getitem__)
        pairs: dict[frozenset[Change], Changes] = {}
        for change in pool:
            for more in self.proposals.after(singles[change]):
                if more not in singles and _together(change, more):
                    pairs.setdefault(frozenset((change, more)), self._ordered(change, more))
        for one, other in combinations(pool, 2):
            if _together(one, other):
                pairs.setdefault(frozenset((one, other)), self._ordered(one, other))
        return list(pairs.values())

    def _ordered(self, *changes: Change) -> Changes:
        """The changes with earlier steps in the order of the chain."""
        kind = self.proposals.kind
        places = {} if kind is None else {step.id: place for place, step in enumerate(kind.steps)}
        return tuple(
            sorted(changes, key=lambda item: places[item.step] if isinstance(item, EarlierStep) else -1)
        )


def _blocking(world: World) -> int:
    """How many findings keep it from being permitted."""
    findings = world.decision.findings
    return sum(item.effect in (Effect.DENY, Effect.REVIEW) and not item.observed for item in findings)


def _together(one: Change, other: Change) -> bool:
    """Whether two changes can be made at once: of different things, and roles of whoever asks."""
    if one.about == other.about:
        return False
    for person, role in ((one, other), (other, one)):
        if isinstance(person, AnotherPerson) and isinstance(role, OtherRole):
            return person.account.person.id == role.person
    return True
