"""A person's records after a change: what was there, ended or kept, and what is new.

Guarantees: what has ended stays as it was; what is in force and no longer wanted ends now, since until now
it was relied on; what is in force and still wanted goes on under its old begin and reference, whatever begin
the plan names, for a plan cannot know the moment of the change that began it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from controls.model.people import AccountKind, Attribute
from controls.services.directory_plans import AbsenceLine, AccountLine, PersonPlan, RoleLine
from controls.services.identifiers import NewId
from controls.store.people import Absence, AccountRecord, Assignment, AttributeRecord, PersonRecord, holds

_Kept = TypeVar("_Kept", AccountRecord, Assignment, Absence)
_Line = TypeVar("_Line", AccountLine, RoleLine, AbsenceLine)


def merge_people(
    plans: Iterable[PersonPlan], *, people: Mapping[str, PersonRecord], at: int, new_id: NewId
) -> list[PersonRecord]:
    """Each planned person's records after the change; `people` is who is known before it."""
    return [_merge(plan, people.get(plan.id, PersonRecord(plan.id, "")), at, new_id) for plan in plans]


def _merge(plan: PersonPlan, before: PersonRecord, at: int, new_id: NewId) -> PersonRecord:
    return PersonRecord(
        plan.id,
        plan.name or before.name,
        accounts=tuple(_accounts(plan, before, at, new_id)),
        roles=before.roles if plan.roles is None else tuple(_roles(plan.id, plan.roles, before, at)),
        attributes=tuple(_attributes(plan, before, at)),
        absences=before.absences
        if plan.absences is None
        else tuple(
            _periods(
                before.absences,
                plan.absences,
                at=at,
                begin=lambda line, start, _: Absence(plan.id, start, line.valid_to),
            )
        ),
        delegations=before.delegations,
        mitigations=before.mitigations,
        # Whoever says nothing of absences does not know of those that were erased.
        concealed=before.concealed and plan.absences is None,
    )


def _accounts(plan: PersonPlan, before: PersonRecord, at: int, new_id: NewId) -> Iterable[AccountRecord]:
    def begin(line: AccountLine, start: int, goes_on: AccountRecord | None) -> AccountRecord:
        ref = new_id("acc") if goes_on is None else goes_on.ref
        known = AccountKind.PERSON if goes_on is None else goes_on.kind
        return AccountRecord(line.login, ref, plan.id, start, line.valid_to, line.kind or known)

    known = [
        replace(record, login=plan.renamed.get(record.login, record.login)) for record in before.accounts
    ]
    planned = {line.login for line in plan.accounts}
    yield from (record for record in known if record.login not in planned)
    for login in sorted(planned):
        yield from _periods(
            [record for record in known if record.login == login],
            [line for line in plan.accounts if line.login == login],
            at=at,
            begin=begin,
            alike=lambda record, line: line.kind in (None, record.kind),
        )


def _roles(person: str, lines: set[RoleLine], before: PersonRecord, at: int) -> Iterable[Assignment]:
    for role in sorted({line.role for line in lines} | {item.role for item in before.roles}):
        yield from _periods(
            [item for item in before.roles if item.role == role],
            sorted((line for line in lines if line.role == role), key=lambda line: line.valid_from or 0),
            at=at,
            begin=lambda line, start, _: Assignment(person, line.role, start, line.valid_to),
        )


def _attributes(plan: PersonPlan, before: PersonRecord, at: int) -> Iterable[AttributeRecord]:
    for attribute in Attribute:
        records = [item for item in before.attributes if item.attribute is attribute]
        wanted = plan.attributes.get(attribute)
        if wanted is None or wanted == next((item.value for item in records if holds(item, at)), ""):
            yield from records
            continue
        for item in records:
            ended = replace(item, valid_to=at) if holds(item, at) else item
            if ended.valid_to != ended.valid_from:
                yield ended
        if wanted:
            yield AttributeRecord(plan.id, attribute, wanted, at, None)


def _periods(
    before: Iterable[_Kept],
    lines: Sequence[_Line],
    *,
    at: int,
    begin: Callable[[_Line, int, _Kept | None], _Kept],
    alike: Callable[[_Kept, _Line], bool] = lambda _record, _line: True,
) -> Iterable[_Kept]:
    """The records of one thing (a login, a role) after its lines were applied.

    Args:
        begin: makes the record of a line from its start on, going on with an earlier one or not.
        alike: whether a record may go on as this line.
    """
    alive = [record for record in before if record.valid_to is None or record.valid_to > at]
    after = {record.valid_from: record for record in before if record not in alive}
    current = [record for record in alive if record.valid_from <= at]
    later = {record.valid_from: record for record in alive if record.valid_from > at}
    known = bool(after)
    for line in dict.fromkeys(lines):
        start = at if line.valid_from is None else line.valid_from
        ended = line.valid_to is not None and line.valid_to <= at
        if ended and (known or current):
            continue
        same = later.get(start)
        if same is None and start <= at and not ended and current:
            same = current[0]
        if same is not None and not alike(same, line):
            same = None
        if same is not None:
            start = same.valid_from
            current = [record for record in current if record is not same]
        elif start in after or any(record.valid_from == start for record in current):
            start = at  # it had ended, or is ended below, and is given out again
        if line.valid_to is None or start < line.valid_to:
            after[start] = begin(line, start, same)
    for record in current:
        if record.valid_from < at:
            after[record.valid_from] = replace(record, valid_to=at)
    return after.values()
