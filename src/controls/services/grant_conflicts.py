"""Whether a grant of roles breaks a constraint over who may hold what, before it is made.

Guarantees: only what is granted anew is held against the constraints, at every moment at which the person's
roles change from now on; a person who was in conflict before may still be changed otherwise, and roles may
always be taken away. Roles count with all that they imply (NIST static separation of duty with hierarchy,
ANSI INCITS 359-2004, 6.3). That too few persons could do the steps of a `coalition` together (Li, Tripunitara
and Bizri 2007) is told of grants without a condition: what a condition lets pass, the constraint itself stops
when it is asked for.
Roles that exclude one another are held together, too, where one of them is by what others have delegated to
the person: whether the role or the delegation came first does not matter.
What is mitigated (`mitigations`) may be granted: the constraint speaks again when that has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, TypeAlias

from controls.decide import ActiveRelease
from controls.duties.hearing import ANYONE
from controls.model.chain import ChainKind
from controls.model.duty import Constraint, ConstraintKind
from controls.model.values import from_microseconds
from controls.rules.release import Release
from controls.store.people import DelegationRecord, PersonRecord, holds

# Who can do which of some steps: a bit for each step, with the first two persons of whom just that is true.
Hands: TypeAlias = Mapping[int, list[str]]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A constraint that a grant would break."""

    constraint: str
    kind: ConstraintKind
    reason: str


@dataclass(slots=True)
class GrantConflicts:
    """Holds one change of the directory against a release.

    `people` is everybody as after the change, and `at` is now, in microseconds.
    """

    people: Mapping[str, PersonRecord]
    release: Release
    at: int
    # Many persons hold the same roles, so what follows from them is worked out once.
    _hands: dict[tuple[str, int], Hands] = field(default_factory=dict, init=False)
    _implied: dict[frozenset[str], frozenset[str]] = field(default_factory=dict, init=False)
    _masks: dict[tuple[str, str, frozenset[str]], int] = field(default_factory=dict, init=False)
    _lent: dict[str, list[DelegationRecord]] | None = field(default=None, init=False)  # by delegate

    def of(self, after: PersonRecord, before: PersonRecord | None) -> Iterator[Conflict]:
        """Every constraint that a person's new roles would break, once.

        Args:
            before: the same person before the change, if known then.
        """
        told: set[str] = set()
        for moment in sorted({max(self.at, item.valid_from) for item in after.roles}):
            held, known = self._roles(after, moment), self._roles(before, moment)
            if held <= known:
                continue
            lent = self._roles_lent(after.id, moment)
            for constraint in self.release.constraints:
                if constraint.id in told or _accepted(after, constraint, moment):
                    continue
                if _asks(constraint, moment):
                    reason = _CHECKS[constraint.kind](
                        self, constraint, Held(after.id, held, known, moment, lent)
                    )
                    if reason:
                        told.add(constraint.id)
                        yield Conflict(constraint.id, constraint.kind, reason)

    def _roles(self, record: PersonRecord | None, at: int) -> frozenset[str]:
        """What a person holds at a moment, with all that it implies."""
        assigned = frozenset(item.role for item in record.roles if holds(item, at)) if record else frozenset()
        if assigned not in self._implied:
            each = (self.release.roles.get(role, frozenset()) for role in assigned)
            self._implied[assigned] = frozenset().union(*each)
        return self._implied[assigned]

    def _roles_lent(self, person: str, at: int) -> frozenset[str]:
        """The roles of others, with all that they imply, by which a person may act for them at a moment."""
        if self._lent is None:
            self._lent = {}
            for record in self.people.values():
                for item in record.delegations:
                    self._lent.setdefault(survivor(item.delegate, self.people), []).append(item)
        found: set[str] = set()
        resources = {kind.id: resource for resource, kind in self.release.chains.items()}
        for item in self._lent.get(person, ()):
            if not holds(item, at):
                continue
            granted = {
                grant.role
                for grant in self.release.grants
                if grant.resource == resources.get(item.kind)
                and not set(grant.actions).isdisjoint(item.steps)
            }
            for own in self.people[item.person].roles:
                implied = self.release.roles.get(own.role, frozenset())
                if holds(own, at) and not granted.isdisjoint(implied):
                    found |= implied
        return frozenset(found)

    def exclusive(self, constraint: Constraint, held: Held) -> str:
        """Why holding these roles breaks an `exclusive_roles`."""
        both = sorted(held.roles.union(held.lent).intersection(constraint.roles))
        if len(both) <= constraint.limit:
            return ""
        told = f"{' and '.join(both)}, of which {constraint.id} allows {constraint.limit}"
        return f"{held.person} would hold {told}"

    def coalition(self, constraint: Constraint, held: Held) -> str:
        """Why, with these roles, too few persons could do all steps of a `coalition`."""
        for kind in self.release.chains.values():
            if constraint.chain in ("", kind.id) and {step.id for step in kind.steps} >= set(
                constraint.steps
            ):
                own = self._does(constraint, kind.resource, held.roles)
                before = self._does(constraint, kind.resource, held.before)
                reason = self._too_few(constraint, kind.resource, held, own=own, before=before)
                if reason:
                    return reason
        return ""

    def of_steps(
        self, person: str, before: Set[str], after: Set[str], *, kind: ChainKind
    ) -> Iterator[Conflict]:
        """Every `coalition` of which a person could do too much who may take these steps of a chain."""
        held = Held(person, frozenset(), frozenset(), self.at)
        for constraint in self.release.constraints:
            if constraint.kind is not ConstraintKind.COALITION or constraint.chain not in ("", kind.id):
                continue
            if _asks(constraint, self.at) and {step.id for step in kind.steps} >= set(constraint.steps):
                known, own = _mask(constraint, before), _mask(constraint, after)
                reason = self._too_few(constraint, kind.resource, held, own=own, before=known)
                if reason:
                    yield Conflict(constraint.id, constraint.kind, reason)

    def _too_few(self, constraint: Constraint, resource: str, held: Held, *, own: int, before: int) -> str:
        """Why somebody who may take the steps `own`, and not only those of `before`, makes too small a group
        that could do all steps of a coalition."""
        others = self._others(constraint, resource, held)
        group = self._group(constraint, own, others)
        if group is None or self._group(constraint, before, others) is not None:
            return ""
        names = " and ".join([held.person, *group])
        return (
            f"{names} could do {', '.join(constraint.steps)} together, and {constraint.id} asks "
            f"for {constraint.limit} persons at least"
        )

    def _others(self, constraint: Constraint, resource: str, held: Held) -> dict[int, str]:
        """Who else can do which steps: one person for each set of steps that no other set includes."""
        place = constraint.id, held.at
        if place not in self._hands:
            found: dict[int, list[str]] = {}
            for person, record in self.people.items():
                known = found.setdefault(self._does(constraint, resource, self._roles(record, held.at)), [])
                if len(known) < 2:
                    known.append(person)
            self._hands[place] = found
        others = {
            mask: next(person for person in known if person != held.person)
            for mask, known in self._hands[place].items()
            if mask and known != [held.person]
        }
        return {mask: others[mask] for mask in _largest(others)}

    def _does(self, constraint: Constraint, resource: str, roles: frozenset[str]) -> int:
        """The steps that these roles are granted without a condition."""
        place = constraint.id, resource, roles
        if place not in self._masks:
            granted = {
                action
                for grant in self.release.grants
                if grant.resource == resource and grant.when is None and grant.role in roles | {ANYONE}
                for action in grant.actions
            }
            self._masks[place] = _mask(constraint, granted)
        return self._masks[place]

    @staticmethod
    def _group(constraint: Constraint, own: int, others: Mapping[int, str]) -> list[str] | None:
        """The others with whom somebody who does `own` makes too small a group that can do it all."""

        @cache
        def cover(left: int, size: int) -> tuple[int, ...] | None:
            if not left:
                return ()
            if not size:
                return None
            lowest = left & -left
            for mask in others:
                if mask & lowest:
                    rest = cover(left & ~mask, size - 1)
                    if rest is not None:
                        return (mask, *rest)
            return None

        chosen = cover((1 << len(constraint.steps)) - 1 & ~own, constraint.limit - 2)
        return None if chosen is None else [others[mask] for mask in chosen]


@dataclass(frozen=True, slots=True)
class Held:
    """What a person would hold at one moment, what without the change, and what others lend to him or her."""

    person: str
    roles: frozenset[str]
    before: frozenset[str]
    at: int
    lent: frozenset[str] = frozenset()


def survivor(person: str, people: Mapping[str, PersonRecord]) -> str:
    """Who a person is found to be, among `people`."""
    while (known := people.get(person)) is not None and known.merged_into:
        person = known.merged_into
    return person


def without_grant_constraints(active: ActiveRelease) -> ActiveRelease:
    """The release as it meets a directory that is older than its constraints over who may hold what."""
    kept = tuple(item for item in active.release.constraints if not _is_of_grants(item))
    return replace(active, release=replace(active.release, constraints=kept))


def _accepted(record: PersonRecord, constraint: Constraint, moment: int) -> bool:
    """Whether a person's conflict with a constraint is accepted then; never where that is absolute."""
    return not constraint.absolute and any(
        item.constraint == constraint.id and holds(item, moment) for item in record.mitigations
    )


def _is_of_grants(constraint: Constraint) -> bool:
    return constraint.kind in _CHECKS and not constraint.dynamic


def _asks(constraint: Constraint, moment: int) -> bool:
    """Whether a constraint says then who may hold what."""
    return (
        _is_of_grants(constraint)
        and constraint.when is None
        and constraint.effective.holds(from_microseconds(moment))
    )


def _mask(constraint: Constraint, steps: Set[str]) -> int:
    """The constraint's steps among these, a bit for each."""
    return sum(1 << number for number, step in enumerate(constraint.steps) if step in steps)


def _largest(masks: Mapping[int, str]) -> list[int]:
    """The masks, larger ones first, without those that another one includes."""
    kept: list[int] = []
    for mask in sorted(masks, key=lambda mask: -mask.bit_count()):
        if not any(mask | other == other for other in kept):
            kept.append(mask)
    return kept


_CHECKS: Final[Mapping[ConstraintKind, Callable[[GrantConflicts, Constraint, Held], str]]] = {
    ConstraintKind.EXCLUSIVE_ROLES: GrantConflicts.exclusive,
    ConstraintKind.COALITION: GrantConflicts.coalition,
}
