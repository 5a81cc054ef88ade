"""What a change does to the directory, person by person, as a reader wants to see it.

Guarantees: every record that would begin, end or change is told once; a person who would be as before is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from controls.model.values import Json
from controls.store.people import (
    Absence,
    AccountRecord,
    Assignment,
    AttributeRecord,
    DelegationRecord,
    MitigationRecord,
    PersonRecord,
    Record,
    time_text,
)


@dataclass(frozen=True, slots=True)
class PersonDifference:
    """What would become of one person; records are as after the change."""

    person: str
    name: str
    new: bool
    renamed: str = ""  # the name before
    added: Sequence[Record] = field(default=())
    changed: Sequence[Record] = field(default=())
    ended: Sequence[Record] = field(default=())

    @property
    def empty(self) -> bool:
        return not (self.new or self.renamed or self.added or self.changed or self.ended)

    def as_json(self) -> dict[str, Json]:
        """The same for programs."""
        told: dict[str, Json] = {
            "person": self.person,
            "name": self.name,
            "change": "added" if self.new else "changed",
        }
        if self.renamed:
            told["name_before"] = self.renamed
        for name, records in (("added", self.added), ("changed", self.changed), ("ended", self.ended)):
            told[name] = [record_json(record) for record in records]
        return told


def difference(
    before: Mapping[str, PersonRecord], after: Iterable[PersonRecord], *, at: int
) -> list[PersonDifference]:
    """What a change at `at` (microseconds) does to those persons who would not be as before."""
    found = [_difference(before.get(record.id), record, at) for record in after]
    return [one for one in found if not one.empty]


def _difference(before: PersonRecord | None, after: PersonRecord, at: int) -> PersonDifference:
    known = {_identity(record): record for record in before.records()} if before else {}
    left = {_identity(record): record for record in after.records()}
    added, changed, ended = list[Record](), list[Record](), list[Record]()
    for identity, record in left.items():
        if identity not in known:
            added.append(record)
        elif record != known[identity]:
            (ended if record.valid_to is not None and record.valid_to <= at else changed).append(record)
    # What was to begin later, or began at this very moment, leaves no record when it is called off.
    ended += [record for identity, record in known.items() if identity not in left]
    renamed = before.name if before and before.name != after.name else ""
    return PersonDifference(after.id, after.name, before is None, renamed, added, changed, ended)


def _identity(record: Record) -> tuple[str, ...]:
    """What makes two records the same one at different times."""
    match record:
        case AccountRecord():
            return "account", record.login, record.kind.value, str(record.valid_from)
        case Assignment():
            return "role", record.role, str(record.valid_from)
        case AttributeRecord():
            return "attribute", record.attribute.value, record.value, str(record.valid_from)
        case Absence():
            return "absence", str(record.valid_from)
        case DelegationRecord():
            return "delegation", record.id
        case MitigationRecord():
            return "mitigation", record.id


def record_json(record: Record) -> dict[str, Json]:
    """A record as listings and differences show it."""
    told: dict[str, Json]
    match record:
        case AccountRecord():
            told = {"account": record.login, "kind": record.kind.value}
        case Assignment():
            told = {"role": record.role}
        case AttributeRecord():
            told = {record.attribute.value: record.value}
        case Absence():
            told = {"absence": True}
        case DelegationRecord():
            told = {"delegation": record.id, "delegate": record.delegate}
        case MitigationRecord():
            told = {"mitigation": record.id, "constraint": record.constraint}
    return told | {"from": time_text(record.valid_from), "to": time_text(record.valid_to)}


def summary_of(found: Sequence[PersonDifference]) -> str:
    """How much changes, in one sentence without names."""
    new = sum(one.new for one in found)
    parts = [f"{new} new persons", f"{len(found) - new} changed"] if found else ["nothing changes"]
    for what in ("added", "changed", "ended"):
        count = len(list(chain.from_iterable(getattr(one, what) for one in found)))
        if count:
            parts.append(f"{count} records {what}")
    return ", ".join(parts)
