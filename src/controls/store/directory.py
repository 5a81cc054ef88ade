"""The directory as one immutable snapshot of all persons, valid for one directory version.

Guarantees: a login belongs to at most one person at any moment; what is asked about a moment is answered
for that moment (half-open validity). What is asked about everybody at once is made once for each stretch of
time in which nothing begins or ends.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Table, bindparam, delete, select, update

from controls.model.crowd import Crowd
from controls.model.people import (
    Account,
    AccountKind,
    Attribute,
    Delegation,
    Person,
    Principal,
    Profile,
)
from controls.model.values import from_microseconds
from controls.store.among import among
from controls.store.connection import StoreConnection
from controls.store.people import (
    Absence,
    AccountRecord,
    Assignment,
    AttributeRecord,
    DelegationRecord,
    MitigationRecord,
    PersonRecord,
    Provisioned,
    Record,
    holds,
)
from controls.store.registers import check_keys, checked_people, recorded_people
from controls.store.rows import ApiKey
from controls.store.tables import (
    absences,
    accounts,
    api_keys,
    assignments,
    attributes,
    delegations,
    heads,
    merged_persons,
    mitigations,
    persons,
    provisioned,
)

_T = TypeVar("_T")


class _Stretches(Generic[_T]):
    """A value that changes only at known moments, kept for the stretch between two that was asked last."""

    def __init__(self, records: Callable[[], Iterable[Record]], make: Callable[[int], _T]) -> None:
        self._records = records
        self._moments: list[int] | None = None  # found when first asked for
        self._make = make
        self._held: tuple[int, _T] | None = None

    def at(self, moment: int) -> _T:
        if self._moments is None:
            ends = {end for item in self._records() for end in (item.valid_from, item.valid_to)}
            self._moments = sorted(end for end in ends if end is not None)
        stretch, held = bisect_right(self._moments, moment), self._held
        if held is None or held[0] != stretch:
            self._held = held = stretch, self._make(moment)
        return held[1]


class Directory:
    """The directory as of one ledger entry."""

    def __init__(
        self,
        *,
        index: int,
        people: Iterable[PersonRecord],
        provisioned: Iterable[Provisioned] = (),
        before: Directory | None = None,
    ) -> None:
        """The directory of these persons; `before`: of all others as there."""
        self.index = index
        self.people: dict[str, PersonRecord] = dict(before.people) if before else {}
        self.accounts: dict[str, list[AccountRecord]] = dict(before.accounts) if before else {}  # by login
        self.references: dict[str, AccountRecord] = dict(before.references) if before else {}
        # Who was found to be whom, to the last of them.
        self.survivors: dict[str, str] = {}
        self.provisioned: dict[tuple[str, str], Provisioned] = dict(before.provisioned) if before else {}
        self.provisioned |= {(item.sort, item.id): item for item in provisioned}
        for record in people:
            self._put(record)
        for person in self.people.values():
            if person.merged_into:
                self.survivors[person.id] = self._last(person.merged_into)
        self._logins = _Stretches(self._of_crowd, _no_accounts)  # those that were asked for
        self._profiles = _Stretches(self._of_profiles, self._profiles_at)
        self._present = _Stretches(self._of_presence, self._present_at)
        self._crowd = _Stretches(self._of_crowd, self._crowd_at)
        self._crowd_with_away = _Stretches(self._of_crowd, self._crowd_with_away_at)
        self._ids: Sequence[str] | None = None

    def _put(self, record: PersonRecord) -> None:
        before = self.people.get(record.id)
        for login in {item.login for item in (*record.accounts, *(before.accounts if before else ()))}:
            # A list of before may be another directory's, so it is never changed.
            held = [item for item in self.accounts.pop(login, ()) if item.person != record.id]
            held += [item for item in record.accounts if item.login == login]
            if held:
                self.accounts[login] = held
        self.references.update({item.ref: item for item in record.accounts})
        self.people[record.id] = record

    def _last(self, person: str) -> str:
        while self.people[person].merged_into:
            person = self.people[person].merged_into
        return person

    def survivor(self, person: str) -> str:
        """Who a person is: somebody else if found to be, else himself or herself."""
        return self.survivors.get(person, person)

    @property
    def ids(self) -> Sequence[str]:
        """Everybody, in order."""
        if self._ids is None:
            self._ids = sorted(self.people)
        return self._ids

    def account(self, login: str, *, at: int) -> Account | None:
        """The account with this login at the moment `at` (microseconds), with its person's roles then."""
        found = self._logins.at(at)
        known = found.get(login)
        if known is None:
            for record in self.accounts.get(login, ()):
                if holds(record, at):
                    person = Person(record.person, self.roles(record.person, at=at))
                    known = found[login] = Account(login, record.ref, person, record.kind)
                    break
        return known

    def principal(self, login: str, *, delegate: str, kind: str, step: str, at: int) -> Principal:
        """Whose account this is at the moment `at`, and what lets `delegate` take the step of a chain of that
        kind for that person: the delegation in force that lasts longest."""
        account = self.account(login, at=at)
        if account is None:
            return Principal(None)
        covering = [
            item
            for item in self.people[account.person.id].delegations
            if self.survivor(item.delegate) == delegate
            and item.kind == kind
            and step in item.steps
            and holds(item, at)
        ]
        if not covering:
            return Principal(account)
        last = max(covering, key=lambda item: (item.valid_to, item.id))
        return Principal(account, Delegation(last.id, delegate, from_microseconds(last.valid_to)))

    def mitigated(self, person: str, *, at: int) -> Mapping[str, str]:
        """The constraints with which a person's conflict is accepted then, each with the mitigation's id."""
        known = self.people.get(person)
        found = known.mitigations if known else ()
        return {item.constraint: item.id for item in found if holds(item, at)}

    def roles(self, person: str, *, at: int) -> frozenset[str]:
        """The roles assigned to a person then, without inheritance."""
        known = self.people.get(person)
        return frozenset(item.role for item in known.roles if holds(item, at)) if known else frozenset()

    def profiles(self, *, at: int) -> Mapping[str, Profile]:
        """What is known of every person then besides roles, by person; a person without attributes too."""
        return self._profiles.at(at)

    def present(self, *, at: int) -> frozenset[str]:
        """The persons who can act then: they have an account in force that is no bot's, and are not away.
        Nobody counts on a person of whom that was erased."""
        return self._present.at(at)

    def available(self, person: str, *, at: int) -> bool:
        """Whether a person can act then (`present`)."""
        return person in self._present.at(at)

    def _of_profiles(self) -> Iterable[Record]:
        return (item for one in self.people.values() for item in one.attributes)

    def _of_presence(self) -> Iterable[Record]:
        return (item for one in self.people.values() for of in (one.accounts, one.absences) for item in of)

    def _of_crowd(self) -> Iterable[Record]:
        return (
            item
            for one in self.people.values()
            for of in (
                one.accounts,
                one.absences,
                one.roles,
                one.attributes,
                one.delegations,
                one.mitigations,
            )
            for item in of
        )

    def crowd(self, *, at: int, away: bool = False) -> Crowd:
        """Those who can act then, with their roles, or also those who are `away` and will be back; the same
        object while nothing begins or ends."""
        return (self._crowd_with_away if away else self._crowd).at(at)

    def crowd_throughout(self, start: int, end: int) -> Crowd:
        """Those who can act during all of a stretch of time (microseconds, half-open), with the roles that
        they hold at its beginning and its end; whoever is away for some of it is not counted on."""
        # Not through what is kept for the stretch that is asked about all the time.
        present = self._present_at(start) & self._present_at(end - 1)
        return Crowd(
            {
                person: self.roles(person, at=start) & self.roles(person, at=end - 1)
                for person in sorted(present)
                if not any(
                    item.valid_from < end and (item.valid_to is None or item.valid_to > start)
                    for item in self.people[person].absences
                )
            },
            self._profiles_at(start),
            self._lent_at(start),
            eased=self._eased_at(start),
        )

    def _crowd_at(self, at: int) -> Crowd:
        return self._crowd_of(self.present(at=at), at=at)

    def _crowd_with_away_at(self, at: int) -> Crowd:
        return self._crowd_of((one.id for one in self.people.values() if _has_account(one, at=at)), at=at)

    def _crowd_of(self, persons: Iterable[str], *, at: int) -> Crowd:
        held = {person: self.roles(person, at=at) for person in sorted(persons)}
        return Crowd(held, self.profiles(at=at), self._lent_at(at), eased=self._eased_at(at))

    def _eased_at(self, at: int) -> bool:
        return any(holds(item, at) for one in self.people.values() for item in one.mitigations)

    def _lent_at(self, at: int) -> frozenset[tuple[str, str]]:
        return frozenset(
            (item.kind, step)
            for one in self.people.values()
            for item in one.delegations
            if holds(item, at)
            for step in item.steps
        )

    def _profiles_at(self, at: int) -> Mapping[str, Profile]:
        return {one.id: self._profile(one, at) for one in self.people.values()}

    def _profile(self, person: PersonRecord, at: int) -> Profile:
        held = {item.attribute.value: item.value for item in person.attributes if holds(item, at)}
        if self.survivors and Attribute.REPORTS_TO in held:
            held[Attribute.REPORTS_TO] = self.survivor(held[Attribute.REPORTS_TO])
        return Profile(person.id, **held)

    def _present_at(self, at: int) -> frozenset[str]:
        return frozenset(
            one.id
            for one in self.people.values()
            if _has_account(one, at=at)
            and not one.concealed
            and not any(holds(item, at) for item in one.absences)
        )


def _no_accounts(_at: int) -> dict[str, Account]:
    return {}


def _has_account(person: PersonRecord, *, at: int) -> bool:
    """Whether the person has an account in force that is no bot's."""
    return any(item.kind is AccountKind.PERSON and holds(item, at) for item in person.accounts)


async def load_directory(
    connection: StoreConnection, tenant: str, *, index: int, known: Directory | None = None
) -> Directory:
    """The tenant's directory as stored now; `index` is the entry that made it so.

    What identity providers changed since `known`, one person at a time and many times a day, is added to that
    one; what administrators changed makes all of it be read and compared anew.

    Raises:
        VerificationFailed: the tables do not hold what the ledger's entries made.
    """
    if known is not None and known.index < index:
        recorded = await recorded_people(connection, tenant, after=known.index, upto=index)
        if recorded.alone:
            stored = await _stored_people(connection, tenant, only=recorded.people)
            found = await _provisioned(connection, tenant, only=recorded.resources)
            people = checked_people(recorded.people, stored)
            return Directory(index=index, people=people, provisioned=found, before=known)
    recorded = await recorded_people(connection, tenant, after=-1, upto=index)
    stored = await _stored_people(connection, tenant)
    found = await _provisioned(connection, tenant)
    people = checked_people(recorded.people, stored)
    return Directory(index=index, people=people, provisioned=found)


# Where each sort of a person's records is.
_KEPT: Final[Mapping[str, Table]] = {
    "accounts": accounts,
    "roles": assignments,
    "attributes": attributes,
    "absences": absences,
    "delegations": delegations,
    "mitigations": mitigations,
}
_NAMING: Final = (persons.c.id, merged_persons.c.person, *(table.c.person for table in _KEPT.values()))
_ALL: Final = {
    column.table: select(column.table).where(column.table.c.tenant == bindparam("tenant"))
    for column in _NAMING
}
_SOME: Final = {column.table: _ALL[column.table].where(among(column, "people")) for column in _NAMING}
_FORGET: Final = [
    delete(column.table).where(column.table.c.tenant == bindparam("tenant"), among(column, "people"))
    for column in _NAMING
]


async def _stored_people(
    connection: StoreConnection, tenant: str, *, only: Iterable[str] | None = None
) -> dict[str, PersonRecord]:
    """Every person that any table of the directory names, or those of them who are asked for."""
    wanted = None if only is None else list(only)

    async def rows(table: Table) -> Iterable[Any]:
        query = (_ALL if wanted is None else _SOME)[table]
        return await connection.execute(query, {"tenant": tenant, "people": wanted})

    names = {row.id: row.name for row in await rows(persons)}
    merged = {row.person: row.survivor for row in await rows(merged_persons)}
    held: dict[str, list[AccountRecord]] = {}
    for row in await rows(accounts):
        record = AccountRecord(
            row.login, row.ref, row.person, row.valid_from, row.valid_to, AccountKind(row.kind)
        )
        held.setdefault(row.person, []).append(record)
    given: dict[str, list[Assignment]] = {}
    for row in await rows(assignments):
        given.setdefault(row.person, []).append(
            Assignment(row.person, row.role, row.valid_from, row.valid_to)
        )
    known: dict[str, list[AttributeRecord]] = {}
    for row in await rows(attributes):
        known.setdefault(row.person, []).append(
            AttributeRecord(row.person, Attribute(row.attribute), row.value, row.valid_from, row.valid_to)
        )
    away: dict[str, list[Absence]] = {}
    for row in await rows(absences):
        away.setdefault(row.person, []).append(Absence(row.person, row.valid_from, row.valid_to))
    lent: dict[str, list[DelegationRecord]] = {}
    for row in await rows(delegations):
        steps = tuple(json.loads(row.steps))
        lent.setdefault(row.person, []).append(
            DelegationRecord(row.id, row.person, row.delegate, row.kind, steps, row.valid_from, row.valid_to)
        )
    eased: dict[str, list[MitigationRecord]] = {}
    for row in await rows(mitigations):
        fields = {name: getattr(row, name) for name in MitigationRecord.__dataclass_fields__}
        eased.setdefault(row.person, []).append(MitigationRecord(**fields))
    return {
        person: PersonRecord(
            person,
            names.get(person, ""),
            tuple(held.get(person, ())),
            tuple(given.get(person, ())),
            tuple(known.get(person, ())),
            tuple(away.get(person, ())),
            tuple(lent.get(person, ())),
            tuple(eased.get(person, ())),
            merged.get(person, ""),
        )
        for person in names | merged | held | given | known | away | lent | eased
    }


async def replace_people(connection: StoreConnection, tenant: str, people: Iterable[PersonRecord]) -> None:
    """Write the names and records of persons over what was there of them."""
    changed = list(people)
    for forget in _FORGET:
        await connection.execute(forget, {"tenant": tenant, "people": [record.id for record in changed]})
    written = {persons: [{"tenant": tenant, "id": record.id, "name": record.name} for record in changed]}
    written[merged_persons] = [
        {"tenant": tenant, "person": record.id, "survivor": record.merged_into}
        for record in changed
        if record.merged_into
    ]
    for name, table in _KEPT.items():
        found = [item for record in changed for item in getattr(record, name)]
        written[table] = [{"tenant": tenant} | _fields(item) for item in found]
    for table, rows in written.items():
        if rows:
            await connection.execute(table.insert(), rows)


async def _provisioned(
    connection: StoreConnection, tenant: str, *, only: Iterable[str] | None = None
) -> list[Provisioned]:
    query = select(provisioned).where(provisioned.c.tenant == tenant)
    if only is not None:
        query = query.where(provisioned.c.id.in_(list(only)))
    return [
        Provisioned(row.sort, row.id, row.external_id, row.created_at, row.changed_at, row.deleted)
        for row in await connection.execute(query)
    ]


async def replace_provisioned(connection: StoreConnection, tenant: str, known: Iterable[Provisioned]) -> None:
    """Write what an identity provider calls users and groups over what was there of them."""
    for item in known:
        same = provisioned.c.tenant == tenant, provisioned.c.sort == item.sort, provisioned.c.id == item.id
        await connection.execute(delete(provisioned).where(*same))
        await connection.execute(provisioned.insert(), [{"tenant": tenant} | _fields(item)])


def _fields(record: Record | Provisioned) -> dict[str, Any]:
    told = {name: getattr(record, name) for name in record.__dataclass_fields__}
    if isinstance(record, DelegationRecord):
        told["steps"] = json.dumps(record.steps)
    return told


async def keys_index(connection: StoreConnection, tenant: str) -> int:
    """The entry that last changed the tenant's API keys; -1 when it has no ledger."""
    query = select(heads.c.keys_index).where(heads.c.tenant == tenant)
    index: int | None = (await connection.execute(query)).scalar_one_or_none()
    return -1 if index is None else index


async def load_keys(connection: StoreConnection, tenant: str) -> dict[str, ApiKey]:
    """All API keys of the tenant by id, revoked ones included."""
    rows = await connection.execute(select(api_keys).where(api_keys.c.tenant == tenant))
    keys = {row.id: ApiKey.read(row) for row in rows}
    await check_keys(connection, tenant, keys.values())
    return keys


async def revoke_key(connection: StoreConnection, tenant: str, key: str, *, at: int) -> None:
    """End a key's life; it stays on record."""
    await connection.execute(
        update(api_keys).where(api_keys.c.tenant == tenant, api_keys.c.id == key), {"revoked_at": at}
    )


async def add_key(connection: StoreConnection, tenant: str, key: ApiKey) -> None:
    """Put a new key on record."""
    await connection.execute(api_keys.insert(), [key.row(tenant)])
