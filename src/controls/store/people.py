"""What the directory keeps of each person, and what the ledger says of it.

Guarantees: every record is end-dated and half-open (`valid_from <= at < valid_to`), and none is forgotten;
what the ledger says in clear is pseudonyms, roles, times, kinds of accounts, who reports to whom, who acts
for whom and who was found to be whom.
Department, desk, household and absences tell where a person is and with whom he or she lives: they are one
commitment a person, with what is done about accepted conflicts. Names and logins are not in the ledger at
all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from controls.model.people import AccountKind, Attribute
from controls.model.values import Json, from_microseconds, utc_text

# Said in clear: the pseudonym of another person.
_PUBLIC: Final = frozenset({Attribute.REPORTS_TO})


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """That a login belongs to a person for a time; `ref` is what records call it."""

    login: str
    ref: str
    person: str
    valid_from: int
    valid_to: int | None
    kind: AccountKind = AccountKind.PERSON


@dataclass(frozen=True, slots=True)
class Assignment:
    """That a person holds a role for a time."""

    person: str
    role: str
    valid_from: int
    valid_to: int | None


@dataclass(frozen=True, slots=True)
class AttributeRecord:
    """What a person's department, desk, household or superior is for a time; one of each at any moment."""

    person: str
    attribute: Attribute
    value: str
    valid_from: int
    valid_to: int | None


@dataclass(frozen=True, slots=True)
class Absence:
    """A time in which a person is away."""

    person: str
    valid_from: int
    valid_to: int | None


@dataclass(frozen=True, slots=True)
class DelegationRecord:
    """That `delegate` may take `steps` of chains of `kind` for a person, by that person's grants, for a time.

    It always has an end; one that was revoked ended then.
    """

    id: str
    person: str
    delegate: str
    kind: str
    steps: tuple[str, ...]
    valid_from: int
    valid_to: int

    def ended(self, at: int) -> DelegationRecord:
        """The same without what it would have had after `at`."""
        return self if self.valid_to <= at else replace(self, valid_to=at)


@dataclass(frozen=True, slots=True)
class MitigationRecord:
    """That a person's conflict with a constraint is accepted by its `owner` for a time, which always ends.

    `control` is what is done instead, `evidence` where that can be seen: the ledger only commits to both.
    """

    id: str
    person: str
    constraint: str
    owner: str
    control: str
    evidence: str
    valid_from: int
    valid_to: int

    def ended(self, at: int) -> MitigationRecord:
        """The same without what it would have had after `at`."""
        return self if self.valid_to <= at else replace(self, valid_to=at)


Record: TypeAlias = (
    AccountRecord | Assignment | AttributeRecord | Absence | DelegationRecord | MitigationRecord
)


def holds(record: Record, at: int) -> bool:
    """Whether a record is in force at a moment (microseconds)."""
    return record.valid_from <= at and (record.valid_to is None or at < record.valid_to)


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What an identity provider calls a user (`id`: an account) or a group (`id`: a role) that it keeps here.

    Not in the ledger, as logins are not. A deleted one is gone for the provider, and stays in the directory.
    """

    sort: str  # User | Group
    id: str
    external_id: str
    created_at: int
    changed_at: int
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """One person as the directory holds him or her.

    `concealed`: attributes, absences and what is done about accepted conflicts, to which the ledger only
    commits, were erased. What a change of the directory says anew of the person is known again; that nobody
    knows of the absences lasts until one says which there are.
    """

    id: str
    name: str
    accounts: tuple[AccountRecord, ...] = ()
    roles: tuple[Assignment, ...] = ()
    attributes: tuple[AttributeRecord, ...] = ()
    absences: tuple[Absence, ...] = ()
    delegations: tuple[DelegationRecord, ...] = ()
    mitigations: tuple[MitigationRecord, ...] = ()
    merged_into: str = ""  # who this person was found to be; whoever was merged has nothing in force any more
    concealed: bool = False

    def conceal(self) -> PersonRecord:
        """The same without what the ledger only commits to."""
        public = tuple(item for item in self.attributes if item.attribute in _PUBLIC)
        mitigations = tuple(replace(item, control="", evidence="") for item in self.mitigations)
        return replace(self, attributes=public, absences=(), mitigations=mitigations, concealed=True)

    def records(self) -> Iterable[Record]:
        """All records, of every sort."""
        yield from self.accounts
        yield from self.roles
        yield from self.attributes
        yield from self.absences
        yield from self.delegations
        yield from self.mitigations

    def in_order(self) -> PersonRecord:
        """The same with its records in the one order that documents have."""
        return replace(
            self,
            accounts=tuple(sorted(self.accounts, key=lambda item: (item.valid_from, item.ref))),
            roles=tuple(sorted(self.roles, key=lambda item: (item.role, item.valid_from))),
            attributes=tuple(sorted(self.attributes, key=lambda item: (item.attribute, item.valid_from))),
            absences=tuple(sorted(self.absences, key=lambda item: item.valid_from)),
            delegations=tuple(sorted(self.delegations, key=lambda item: item.id)),
            mitigations=tuple(sorted(self.mitigations, key=lambda item: item.id)),
        )


def time_text(at: int | None) -> str | None:
    """A moment as directory blobs hold it."""
    return None if at is None else utc_text(from_microseconds(at))


def public_document(record: PersonRecord) -> dict[str, Json]:
    """What the ledger says of a person in clear. What a person does not have is left out, but for accounts
    and roles."""
    ordered = record.in_order()
    said: dict[str, Json] = {
        "id": record.id,
        "accounts": [
            {
                "ref": item.ref,
                **_times(item),
                **({} if item.kind is AccountKind.PERSON else {"kind": item.kind.value}),
            }
            for item in ordered.accounts
        ],
        "roles": [{"role": item.role, **_times(item)} for item in ordered.roles],
    }
    if ordered.delegations:
        said["delegations"] = [
            {
                "id": item.id,
                "delegate": item.delegate,
                "chain": item.kind,
                "steps": list[Json](item.steps),
                **_times(item),
            }
            for item in ordered.delegations
        ]
    if ordered.mitigations:
        said["mitigations"] = [
            {"id": item.id, "constraint": item.constraint, "owner": item.owner, **_times(item)}
            for item in ordered.mitigations
        ]
    if record.merged_into:
        said["merged_into"] = record.merged_into
    if record.concealed:
        said["concealed"] = True
    return said | _attributes(ordered, _PUBLIC)


def private_document(record: PersonRecord) -> dict[str, Json]:
    """What the ledger only commits to; empty when there is nothing of it."""
    ordered = record.in_order()
    said = _attributes(ordered, frozenset(Attribute) - _PUBLIC)
    if ordered.absences:
        said["absences"] = [_times(item) for item in ordered.absences]
    if ordered.mitigations:
        said["mitigations"] = [
            {"id": item.id, "control": item.control, "evidence": item.evidence}
            for item in ordered.mitigations
        ]
    return said


def private_path(position: int) -> str:
    """The path of a person's commitment and its disclosure, by the person's place in the blob."""
    return f"persons/{position}"


def _attributes(record: PersonRecord, wanted: frozenset[Attribute]) -> dict[str, Json]:
    said: dict[str, Json] = {}
    for attribute in sorted(wanted):
        found = [
            {"value": item.value, **_times(item)} for item in record.attributes if item.attribute is attribute
        ]
        if found:
            said[attribute.value] = list[Json](found)
    return said


def _times(record: Record) -> dict[str, Json]:
    return {"from": time_text(record.valid_from), "to": time_text(record.valid_to)}
