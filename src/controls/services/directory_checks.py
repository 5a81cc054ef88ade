"""Whether the directory may be changed as planned.

Guarantees: all mistakes are told at once, each with the place where it was said; what passes leaves no login
with two persons, no role that the release does not know, no grant that a constraint forbids, no person who
reports to a stranger or, by a detour, to himself or herself, and two administrators. (Whoever is at the top
reports to himself or herself at once: that says that nobody is above, where no superior says nothing.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from controls.model.errors import FieldError, InvalidInput
from controls.model.people import AccountKind, Attribute
from controls.rules.release import Release
from controls.services.directory_merge import merge_people
from controls.services.directory_plans import AccountLine, PersonPlan
from controls.services.grant_conflicts import GrantConflicts
from controls.services.privileged_roles import administering_roles
from controls.store.directory import Directory
from controls.store.people import AccountRecord, PersonRecord, holds

# A change takes two, so with fewer nothing could ever be changed again.
ADMINISTRATORS_NEEDED: Final = 2


def check_people(
    plans: Sequence[PersonPlan], *, directory: Directory, release: Release, at: int
) -> list[PersonRecord]:
    """The records that the plans would leave of their persons (new accounts without their references).

    Raises:
        InvalidInput: `errors` holds every mistake with its place.
    """
    records = merge_people(plans, people=directory.people, at=at, new_id=lambda prefix: prefix)
    people = dict(directory.people) | {record.id: record for record in records}
    errors = list(_accounts(plans, directory, at))
    conflicts = GrantConflicts(people, release=release, at=at)
    for plan, record in zip(plans, records, strict=True):
        roles = {line.role for line in plan.roles or ()}
        errors += [
            FieldError(plan.where, "unknown_role", f"{role} is not a role of the active release")
            for role in sorted(roles - release.roles.keys())
        ]
        errors += _superior(plan, people, at)
        before = directory.people.get(plan.id)
        errors += [
            FieldError(plan.where, conflict.kind.value, conflict.reason)
            for conflict in conflicts.of(record, before)
        ]
    changed = {record.id for record in records}
    where = plans[0].where if plans else ""
    errors += check_administrators(people, directory.people, changed, release=release, at=at, where=where)
    if errors:
        raise directory_errors(errors)
    return records


def check_administrators(
    after: Mapping[str, PersonRecord],
    before: Mapping[str, PersonRecord],
    changed: Iterable[str],
    *,
    release: Release,
    at: int,
    where: str,
) -> Iterator[FieldError]:
    """That a change of these persons leaves two administrators, where there were two."""
    roles = administering_roles(release)
    if any(_administers(before[person], roles, at) for person in changed if person in before):
        left, there = (
            sum(_administers(person, roles, at) for person in everybody.values())
            for everybody in (after, before)
        )
        if left < ADMINISTRATORS_NEEDED and left < there:
            told = f"{left} of the {there} administrators would be left; a change takes two"
            yield FieldError(where, "too_few_administrators", told)


def directory_errors(errors: Sequence[FieldError]) -> InvalidInput:
    """All mistakes of one change as one error."""
    return InvalidInput(
        "directory_invalid",
        "The directory cannot be changed like this; nothing was changed",
        detail="\n".join(f"{item.pointer}: {item.code}: {item.message}" for item in errors),
        help="Mend what is listed and try again.",
        errors=tuple(errors),
    )


def _accounts(plans: Iterable[PersonPlan], directory: Directory, at: int) -> Iterator[FieldError]:
    """Persons and logins that are named twice, and logins that are somebody else's."""
    persons: set[str] = set()
    owners: dict[str, str] = {}
    for plan in plans:
        known = directory.people.get(plan.id)
        if known is not None and known.merged_into:
            told = f"{plan.id} was found to be {directory.survivor(plan.id)}: name that person"
            yield FieldError(plan.where, "person_merged", told)
        if plan.id in persons:
            yield FieldError(plan.where, "person_twice", f"{plan.id} is named above already")
        persons.add(plan.id)
        yield from _renamed(plan, directory)
        for number, line in enumerate(plan.accounts):
            owner = owners.setdefault(line.login, plan.id)
            if owner != plan.id:
                told = f"account {line.login} belongs to {owner} above already"
                yield FieldError(line.where, "account_of_two", told)
            for other in plan.accounts[:number]:
                if (
                    other.login == line.login
                    and _times(other, at) != _times(line, at)
                    and _meet(other, line, at)
                ):
                    told = f"account {line.login} is there twice for a time that overlaps ({other.where})"
                    yield FieldError(line.where, "periods_overlap", told)
            for record in directory.accounts.get(line.login, ()):
                if record.person != plan.id and _overlap(_times(line, at), _held(record)):
                    told = f"account {line.login} belongs to {record.person}; end it there first"
                    yield FieldError(line.where, "account_taken", told)


def _renamed(plan: PersonPlan, directory: Directory) -> Iterator[FieldError]:
    """Logins that an account may not be called, because they are or were in use at the same time."""
    for old, new in plan.renamed.items():
        moved = [record for record in directory.accounts.get(old, ()) if record.person == plan.id]
        for record in directory.accounts.get(new, ()):
            if any(_overlap(_held(record), _held(item)) for item in moved):
                told = f"account {new} belongs to {record.person}, at a time at which {old} was in use"
                yield FieldError(plan.where, "account_taken", told)


def _held(record: AccountRecord) -> tuple[int, int | None]:
    return record.valid_from, record.valid_to


def _meet(one: AccountLine, other: AccountLine, at: int) -> bool:
    return _overlap(_times(one, at), _times(other, at))


def _times(line: AccountLine, at: int) -> tuple[int, int | None]:
    return at if line.valid_from is None else line.valid_from, line.valid_to


def _overlap(one: tuple[int, int | None], other: tuple[int, int | None]) -> bool:
    return (other[1] is None or one[0] < other[1]) and (one[1] is None or other[0] < one[1])


def _superior(plan: PersonPlan, people: Mapping[str, PersonRecord], at: int) -> Iterator[FieldError]:
    superior = plan.attributes.get(Attribute.REPORTS_TO)
    if not superior or superior == plan.id:
        return
    if superior not in people:
        told = f"{plan.id} would report to {superior}, who is not in the directory"
        yield FieldError(plan.where, "unknown_superior", told)
        return
    line = [plan.id]
    while superior and superior not in line:
        line.append(superior)
        superior = _reports_to(people.get(superior), at)
    if superior == plan.id:
        told = f"{' reports to '.join([*line, superior])}"
        yield FieldError(plan.where, "reports_in_a_circle", told)


def _reports_to(record: PersonRecord | None, at: int) -> str:
    known = record.attributes if record else ()
    return next(
        (item.value for item in known if item.attribute is Attribute.REPORTS_TO and holds(item, at)), ""
    )


def _administers(record: PersonRecord, roles: frozenset[str], at: int) -> bool:
    """Whether a person can act on changes, which takes one of these roles."""
    return any(item.role in roles and holds(item, at) for item in record.roles) and any(
        item.kind is AccountKind.PERSON and holds(item, at) for item in record.accounts
    )
