"""Whether a delegation could break a constraint, before it is made.

Guarantees: a delegate is never given a step together with which he or she could break alone what he or she
could not break before: roles that exclude one another (those by which the delegator may take the step count
as the delegate's), steps that are kept apart, too many steps of one chain or all of them, and so few persons
that could do the steps of a `coalition`. What others have delegated to the same person counts as well.
Everything else is asked at each decision, of both persons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from controls.decide import ActiveRelease
from controls.duties.alone import could_break
from controls.duties.hearing import ANYONE
from controls.model.chain import ChainKind
from controls.model.duty import Constraint, ConstraintKind
from controls.model.values import from_microseconds
from controls.services.grant_conflicts import Conflict, GrantConflicts, survivor
from controls.store.people import Assignment, DelegationRecord, PersonRecord, holds


@dataclass(frozen=True, slots=True)
class DelegationConflicts:
    """Holds one delegation, not made yet, against a release; `people` is everybody as now."""

    people: Mapping[str, PersonRecord]
    active: ActiveRelease
    at: int

    def steps_of(self, person: str, kind: ChainKind) -> frozenset[str]:
        """The steps and amendments that a person's own roles may take, whatever the conditions."""
        held = self._implied(self._assigned(person))
        return frozenset(
            action
            for grant in self.active.release.grants
            if grant.resource == kind.resource and grant.role in held
            for action in grant.actions
        )

    def of(self, delegation: DelegationRecord, kind: ChainKind) -> Iterator[Conflict]:
        """Every constraint that the delegate could break with it and not without."""
        delegate = self.people[delegation.delegate]
        before = [item for item in self._lent_to(delegate.id) if item.id != delegation.id]
        known = _with_roles(delegate, [role for item in before for role in self._roles_by(item)], self)
        after = _with_roles(known, self._roles_by(delegation), self)
        conflicts = GrantConflicts(
            dict(self.people) | {delegate.id: after}, release=self.active.release, at=self.at
        )
        for conflict in conflicts.of(after, known):
            if conflict.kind is ConstraintKind.EXCLUSIVE_ROLES:
                yield conflict
        own = self.steps_of(delegate.id, kind).union(
            step for item in before if item.kind == kind.id for step in item.steps
        )
        yield from conflicts.of_steps(delegate.id, own, own.union(delegation.steps), kind=kind)
        for constraint in self.active.enforcement.constraints:
            if constraint.chain in ("", kind.id) and self._in_force(constraint, delegation):
                both = own.union(delegation.steps)
                if could_break(constraint, both, kind=kind) and not could_break(constraint, own, kind=kind):
                    steps = ", ".join(sorted(both.intersection(step.id for step in kind.steps)))
                    told = (
                        f"{delegate.id} could take {steps} of one chain, which {constraint.id} does not allow"
                    )
                    yield Conflict(constraint.id, constraint.kind, told)

    def _lent_to(self, person: str) -> Iterator[DelegationRecord]:
        """What others have delegated to a person, under whatever name, and is in force."""
        for record in self.people.values():
            for item in record.delegations:
                if holds(item, self.at) and survivor(item.delegate, self.people) == person:
                    yield item

    def _roles_by(self, delegation: DelegationRecord) -> list[str]:
        """The delegator's roles by which the steps may be taken: with them the delegate acts."""
        release = self.active.release
        resources = {kind.id: resource for resource, kind in release.chains.items()}
        granted = {
            grant.role
            for grant in release.grants
            if grant.resource == resources.get(delegation.kind)
            and not set(grant.actions).isdisjoint(delegation.steps)
        }
        assigned = self._assigned(delegation.person)
        return [role for role in sorted(assigned) if granted & self._implied(frozenset((role,)))]

    def _assigned(self, person: str) -> frozenset[str]:
        known = self.people.get(person)
        return frozenset(item.role for item in known.roles if holds(item, self.at)) if known else frozenset()

    def _implied(self, roles: frozenset[str]) -> frozenset[str]:
        each = (self.active.release.roles.get(role, frozenset()) for role in roles)
        return frozenset({ANYONE}).union(roles, *each)

    def _in_force(self, constraint: Constraint, delegation: DelegationRecord) -> bool:
        moments = (self.at, delegation.valid_to)
        return any(constraint.effective.holds(from_microseconds(moment)) for moment in moments)


def _with_roles(record: PersonRecord, roles: list[str], conflicts: DelegationConflicts) -> PersonRecord:
    """The person as if these roles were assigned now."""
    more = (Assignment(record.id, role, conflicts.at, None) for role in dict.fromkeys(roles))
    return replace(record, roles=(*record.roles, *more))
