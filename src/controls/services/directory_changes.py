"""Bringing persons, accounts and roles up to a directory file.

Guarantees: an account never moves to another person while it is valid; nothing is forgotten (roles and
accounts end, their records stay); the entry's blob holds pseudonyms and roles only, never names or logins.
A person that the file does not name is left as is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar, cast

from controls.decide import ActiveRelease
from controls.ledger.canonical import canonical_bytes
from controls.ledger.envelope import blob_digest
from controls.model.duty import ConstraintKind
from controls.model.errors import FieldError
from controls.model.values import Json
from controls.services.commands import Context
from controls.services.directory_file import AccountLine, PersonPlan, directory_errors
from controls.services.identifiers import NewId
from controls.store.directory import AccountRecord, Assignment, Directory, replace_person
from controls.store.registers import time_text


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """One person as the directory will hold him or her."""

    id: str
    name: str
    accounts: tuple[AccountRecord, ...]
    roles: tuple[Assignment, ...]


@dataclass(slots=True)
class DirectoryChange:
    """Import the persons of a file."""

    people: tuple[PersonPlan, ...]
    kind: ClassVar[str] = "directory"
    scope: ClassVar[str] = "directory"

    def check(self, context: Context) -> str:
        check_people(self.people, directory=context.directory, active=context.active, at=context.work.at)
        accounts = sum(len(person.accounts) for person in self.people)
        return f"{len(self.people)} persons with {accounts} accounts"

    def apply(self, context: Context, *, index: int) -> dict[str, Json]:
        work = context.work
        records = merge_people(self.people, directory=context.directory, at=work.at, new_id=context.new_id)
        for record in records:
            work.later(write_person(work.head.tenant, record))
        blob = directory_blob(records)
        digest = blob_digest(blob)
        work.new_blobs[digest] = blob
        work.set_head(directory_index=index)
        return {"blob": digest, "persons": len(records)}

    def payload(self) -> dict[str, Json]:
        return {
            "people": [
                {
                    "id": person.id,
                    "name": person.name,
                    "line": person.line,
                    "roles": list[Json](sorted(person.roles)),
                    "accounts": [asdict(account) for account in person.accounts],
                }
                for person in self.people
            ]
        }

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> DirectoryChange:
        return cls(
            tuple(
                PersonPlan(
                    id=person["id"],
                    name=person["name"],
                    line=person["line"],
                    roles=set(person["roles"]),
                    accounts=[AccountLine(**account) for account in person["accounts"]],
                )
                for person in payload["people"]
            )
        )


def check_people(
    people: Iterable[PersonPlan], *, directory: Directory, active: ActiveRelease, at: int
) -> None:
    """Check a file against the release and the directory it meets.

    Raises:
        InvalidInput: unknown roles, roles that exclude each other, accounts of somebody else; by line.
    """
    errors: list[FieldError] = []
    for person in people:
        where = f"line {person.line}"
        errors += [
            FieldError(where, "unknown_role", f"{role} is not a role of the active release")
            for role in sorted(person.roles - active.release.roles.keys())
        ]
        errors += _exclusions(person, active, where=where)
        for line in person.accounts:
            start = at if line.valid_from is None else line.valid_from
            errors += [
                FieldError(
                    f"line {line.line}",
                    "account_taken",
                    f"account {line.login} belongs to {record.person}; end it there first",
                )
                for record in directory.accounts.get(line.login, ())
                if record.person != person.id
                and (record.valid_to is None or record.valid_to > start)
                and (line.valid_to is None or record.valid_from < line.valid_to)
            ]
    if errors:
        raise directory_errors(errors)


def _exclusions(person: PersonPlan, active: ActiveRelease, *, where: str) -> Iterable[FieldError]:
    held: set[str] = set()
    for role in person.roles:
        held |= active.release.roles.get(role, frozenset())
    for constraint in active.release.constraints:
        if constraint.kind is ConstraintKind.EXCLUSIVE_ROLES and constraint.when is None:
            both = sorted(held.intersection(constraint.roles))
            if len(both) > constraint.limit:
                yield FieldError(
                    where,
                    "exclusive_roles",
                    f"{person.id} would hold {' and '.join(both)}, of which {constraint.id} allows "
                    f"{constraint.limit}",
                )


def merge_people(
    people: Iterable[PersonPlan], *, directory: Directory, at: int, new_id: NewId
) -> list[PersonRecord]:
    """Each person's records after the import: what was there, ended or kept, and what is new."""
    known = [record for records in directory.accounts.values() for record in records]
    by_person: dict[str, list[AccountRecord]] = {}
    for record in known:
        by_person.setdefault(record.person, []).append(record)
    return [_merge(person, by_person.get(person.id, []), directory, at, new_id) for person in people]


def _merge(
    person: PersonPlan, before: list[AccountRecord], directory: Directory, at: int, new_id: NewId
) -> PersonRecord:
    accounts = {(record.login, record.valid_from): record for record in before}
    for login in dict.fromkeys(line.login for line in person.accounts):
        lines = [line for line in person.accounts if line.login == login]
        _merge_account(login, lines, person=person.id, accounts=accounts, at=at, new_id=new_id)
    roles = list(directory.assignments.get(person.id, ()))
    held = {item.role for item in roles if item.valid_to is None or item.valid_to > at}
    roles = [
        Assignment(item.person, item.role, item.valid_from, max(at, item.valid_from))
        if item.role not in person.roles and (item.valid_to is None or item.valid_to > at)
        else item
        for item in roles
    ]
    roles = [item for item in roles if item.valid_to is None or item.valid_to > item.valid_from]
    roles += [Assignment(person.id, role, at, None) for role in sorted(person.roles - held)]
    name = person.name or directory.names.get(person.id, "")
    return PersonRecord(person.id, name, tuple(accounts.values()), tuple(roles))


def _merge_account(
    login: str,
    lines: Sequence[AccountLine],
    *,
    person: str,
    accounts: dict[tuple[str, int], AccountRecord],
    at: int,
    new_id: NewId,
) -> None:
    """Bring the records of one login, by their begin, to what its lines say.

    What has ended stays. The line that holds now goes on with the record in force, whatever begin that one
    has: a file cannot know the moment of the import that began it. Without such a line the record in force
    ends now, since until now it was relied on. What was to begin later begins as the lines say.
    """
    alive = [
        record
        for record in accounts.values()
        if record.login == login and (record.valid_to is None or record.valid_to > at)
    ]
    for record in alive:
        del accounts[login, record.valid_from]
    current = [record for record in alive if record.valid_from <= at]
    later = {record.valid_from: record for record in alive if record.valid_from > at}
    known = any(record.login == login for record in accounts.values())
    for line in lines:
        start = at if line.valid_from is None else line.valid_from
        ended = line.valid_to is not None and line.valid_to <= at
        if ended and (known or current):
            continue
        same = later.get(start)
        if same is None and start <= at and not ended and current:
            same = current.pop(0)
        if same is not None:
            start = same.valid_from
        elif (login, start) in accounts:
            start = at  # it had ended, and is given out again
        ref = new_id("acc") if same is None else same.ref
        accounts[login, start] = AccountRecord(login, ref, person, start, line.valid_to)
    for record in current:
        if record.valid_from < at:
            accounts[login, record.valid_from] = replace(record, valid_to=at)


def write_person(tenant: str, record: PersonRecord) -> Any:
    """The write of one person's records, to be made with the unit of work."""
    return partial(
        replace_person,
        tenant=tenant,
        person=record.id,
        name=record.name,
        records=record.accounts,
        roles=record.roles,
    )


def directory_blob(records: Iterable[PersonRecord]) -> bytes:
    """What the ledger keeps of a directory: pseudonyms, account references and roles with their times."""
    people: list[Json] = [
        {
            "id": record.id,
            "accounts": [
                {"ref": item.ref, "from": time_text(item.valid_from), "to": time_text(item.valid_to)}
                for item in record.accounts
            ],
            "roles": [
                {"role": item.role, "from": time_text(item.valid_from), "to": time_text(item.valid_to)}
                for item in record.roles
            ],
        }
        for record in records
    ]
    return canonical_bytes(cast("Json", {"v": 1, "persons": people}))
