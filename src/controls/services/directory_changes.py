"""Bringing the directory up to what is planned of persons.

Guarantees: an account never moves to another person while it is valid; nothing is forgotten (what ends stays
on record); the entry's blob holds no names and no logins, and what is private only as commitments. A person
that no plan names is left as is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from controls.ledger.canonical import exact_bytes
from controls.ledger.envelope import blob_digest
from controls.model.values import Json
from controls.services.commands import Context
from controls.services.directory_checks import check_people
from controls.services.directory_merge import merge_people
from controls.services.directory_plans import PersonPlan
from controls.store.directory import replace_people
from controls.store.people import PersonRecord, private_document, private_path, public_document
from controls.store.workspace import Workspace


@dataclass(slots=True)
class DirectoryChange:
    """Bring persons up to what is planned of them."""

    people: tuple[PersonPlan, ...]
    kind: ClassVar[str] = "directory"
    scope: ClassVar[str] = "directory"

    def check(self, context: Context) -> str:
        directory, release, at = context.directory, context.active.release, context.work.at
        check_people(self.people, directory=directory, release=release, at=at)
        accounts = sum(len(plan.accounts) for plan in self.people)
        absences = sum(len(plan.absences or ()) for plan in self.people)
        away = f" and {absences} absences" if absences else ""
        return f"{len(self.people)} persons with {accounts} accounts{away}"

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
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


def put_person(
    context: Context, record: PersonRecord, *, index: int, about: dict[str, Json]
) -> tuple[dict[str, Json], dict[str, str]]:
    """Write one person's records as entry `index` makes them; its fields, with `about`, and what opens its
    commitments."""
    work = context.work
    work.later(partial(replace_people, tenant=work.head.tenant, people=[record]))
    digest, opened = record_people(work, [record])
    work.set_head(directory_index=index)
    return {"blob": digest, "persons": 1, **about}, opened


def record_people(work: Workspace, records: Sequence[PersonRecord]) -> tuple[str, dict[str, str]]:
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
