"""What was delegated to somebody who is found to be somebody else.

Guarantees: it goes on for the one who stays, but for what could not be delegated to that one next to what he
or she holds and is lent already (`delegation_conflicts`): that ends. Of several that only together could
break a constraint the ones that were made first go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from controls.decide import ActiveRelease
from controls.services.delegation_conflicts import DelegationConflicts
from controls.services.grant_conflicts import survivor
from controls.store.people import DelegationRecord, PersonRecord, holds


def delegations_over(
    people: Mapping[str, PersonRecord],
    *,
    goes: PersonRecord,
    stays: PersonRecord,
    active: ActiveRelease,
    at: int,
) -> list[DelegationRecord]:
    """What others have delegated to `goes` and could not delegate to `stays`.

    Args:
        people: everybody as before the two were found to be one.
        goes, stays: the two as they are afterwards.
    """
    lent = [
        item
        for record in people.values()
        for item in record.delegations
        if holds(item, at) and survivor(item.delegate, people) == goes.id
        if item.person not in (goes.id, stays.id)
    ]
    after = {**people, goes.id: goes, stays.id: stays}
    for item in lent:
        left = tuple(other for other in after[item.person].delegations if other.id != item.id)
        after[item.person] = replace(after[item.person], delegations=left)
    over = []
    for item in sorted(lent, key=lambda item: (item.valid_from, item.id)):
        kind = active.kinds.get(item.kind)
        conflicts = DelegationConflicts(after, active, at)
        if kind is not None and any(conflicts.of(replace(item, delegate=stays.id), kind)):
            over.append(item)
        else:
            giver = after[item.person]
            after[item.person] = replace(giver, delegations=(*giver.delegations, item))
    return over


def without(giver: PersonRecord, over: list[DelegationRecord], *, at: int) -> PersonRecord:
    """A person with these delegations ended."""
    ids = {item.id for item in over}
    left = (item.ended(at) if item.id in ids else item for item in giver.delegations)
    return replace(giver, delegations=tuple(item for item in left if item.valid_from < item.valid_to))
