"""Whether a grant of roles breaks a constraint over who may hold what, before it is made.

Guarantees: only what is granted anew is held against the constraints, at every moment at which the person's
roles change from now on; a person who was in conflict before may still be changed otherwise, and roles may
always be taken away. Roles count with all that they imply (NIST static separation of duty with hierarchy,
ANSI INCITS 359-2004, 6.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from controls.model.duty import Constraint, ConstraintKind
from controls.model.values import from_microseconds
from controls.rules.release import Release
from controls.store.people import PersonRecord, holds


@dataclass(frozen=True, slots=True)
class Holding:
    """What a person would hold at one moment, with all that it implies."""

    person: str
    roles: frozenset[str]
    everybody: Callable[[], Mapping[str, frozenset[str]]]  # the same for all persons, the change included


@dataclass(frozen=True, slots=True)
class Conflict:
    """A constraint that a grant would break."""

    constraint: str
    kind: ConstraintKind
    reason: str


def _exclusive(constraint: Constraint, holding: Holding, _release: Release) -> str:
    both = sorted(holding.roles.intersection(constraint.roles))
    if len(both) <= constraint.limit:
        return ""
    return (
        f"{holding.person} would hold {' and '.join(both)}, of which {constraint.id} allows "
        f"{constraint.limit}"
    )


# For each kind that is about who may hold what: why a holding breaks it, or nothing.
Check: TypeAlias = Callable[[Constraint, Holding, Release], str]
_CHECKS: Final[Mapping[ConstraintKind, Check]] = {ConstraintKind.EXCLUSIVE_ROLES: _exclusive}


def grant_conflicts(
    after: PersonRecord,
    *,
    before: PersonRecord | None,
    people: Mapping[str, PersonRecord],
    release: Release,
    at: int,
) -> Iterator[Conflict]:
    """Every constraint that the person's new roles would break, once.

    Args:
        before: the same person before the change, if known then.
        people: everybody as after the change.
        at: now, in microseconds; what begins later is looked at as of then.
    """
    told: set[str] = set()
    for moment in sorted({max(at, item.valid_from) for item in after.roles}):
        held = _roles(after, moment)
        if held <= (_roles(before, moment) if before else frozenset()):
            continue
        everybody = partial(_everybody, people, release, moment)
        holding = Holding(after.id, _implied(held, release), everybody)
        for constraint in release.constraints:
            check = _CHECKS.get(constraint.kind) if not constraint.dynamic else None
            if check is None or constraint.id in told or constraint.when is not None:
                continue
            if constraint.effective.holds(from_microseconds(moment)):
                reason = check(constraint, holding, release)
                if reason:
                    told.add(constraint.id)
                    yield Conflict(constraint.id, constraint.kind, reason)


def _everybody(people: Mapping[str, PersonRecord], release: Release, at: int) -> Mapping[str, frozenset[str]]:
    return {person: _implied(_roles(record, at), release) for person, record in people.items()}


def _roles(record: PersonRecord, at: int) -> frozenset[str]:
    return frozenset(item.role for item in record.roles if holds(item, at))


def _implied(roles: frozenset[str], release: Release) -> frozenset[str]:
    return frozenset().union(*(release.roles.get(role, frozenset()) for role in roles))
