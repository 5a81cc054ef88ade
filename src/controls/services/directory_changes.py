"""Bringing the directory up to what is planned of persons.

Guarantees: an account never moves to another person while it is valid; nothing is forgotten (what ends stays
on record); the entry's blob holds no names and no logins, and what is private only as commitments. A person
that no plan names is left as is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from controls.decide import ActiveRelease
from controls.ledger.canonical import exact_bytes
from controls.ledger.envelope import blob_digest
from controls.model.duty import ConstraintKind
from controls.model.errors import FieldError
from controls.model.values import Json
from controls.services.commands import Context
from controls.services.directory_file import directory_errors
from controls.services.directory_merge import merge_people
from controls.services.directory_plans import PersonPlan
from controls.store.directory import Directory, replace_people
from controls.store.people import PersonRecord, private_document, private_path, public_document
from controls.store.workspace import Workspace


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

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, Json]]:
        work = context.work
        people = context.directory.people
        records = merge_people(self.people, people=people, at=work.at, new_id=context.new_id)
        work.later(partial(replace_people, tenant=work.head.tenant, people=records))
        digest, opened = record_people(work, records)
        work.set_head(directory_index=index)
        return {"blob": digest, "persons": len(records)}, opened

    def payload(self) -> dict[str, Json]:
        return {"people": [person.payload() for person in self.people]}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> DirectoryChange:
        return cls(tuple(PersonPlan.from_payload(person) for person in payload["people"]))


def check_people(
    people: Iterable[PersonPlan], *, directory: Directory, active: ActiveRelease, at: int
) -> None:
    """Check a file against the release and the directory it meets.

    Raises:
        InvalidInput: unknown roles, roles that exclude each other, accounts of somebody else; by line.
    """
    errors: list[FieldError] = []
    for person in people:
        where, roles = person.where, {line.role for line in person.roles or ()}
        errors += [
            FieldError(where, "unknown_role", f"{role} is not a role of the active release")
            for role in sorted(roles - active.release.roles.keys())
        ]
        errors += _exclusions(person, active, where=where)
        for line in person.accounts:
            start = at if line.valid_from is None else line.valid_from
            errors += [
                FieldError(
                    line.where,
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
    for role in sorted({line.role for line in person.roles or ()}):
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


def record_people(work: Workspace, records: Sequence[PersonRecord]) -> tuple[str, dict[str, Json]]:
    """Put what the ledger keeps of persons among the blobs; its digest, and what opens its commitments."""
    private = {
        private_path(position): said
        for position, record in enumerate(records)
        if (said := private_document(record))
    }
    hidden, opened = work.conceal(private)
    people: list[Json] = [
        public_document(record) | ({"private": hidden[path]} if path in hidden else {})
        for path, record in ((private_path(position), record) for position, record in enumerate(records))
    ]
    blob = exact_bytes({"v": 1, "persons": people})
    digest = blob_digest(blob)
    work.new_blobs[digest] = blob
    return digest, opened
