"""Persons, accounts and roles as one immutable snapshot, valid for one directory version.

Guarantees: a login belongs to at most one person at any moment; what is asked about a moment is answered
for that moment (half-open validity).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from controls.model.people import Account, Person
from controls.store.connection import StoreConnection
from controls.store.registers import PersonState, check_keys, check_people, time_text
from controls.store.rows import ApiKey
from controls.store.tables import accounts, api_keys, assignments, heads, persons


@dataclass(frozen=True, slots=True)
class AccountRecord:
    login: str
    ref: str
    person: str
    valid_from: int
    valid_to: int | None


@dataclass(frozen=True, slots=True)
class Assignment:
    person: str
    role: str
    valid_from: int
    valid_to: int | None


def _holds(record: AccountRecord | Assignment, at: int) -> bool:
    return record.valid_from <= at and (record.valid_to is None or at < record.valid_to)


class Directory:
    """The directory as of one ledger entry."""

    def __init__(
        self,
        *,
        index: int,
        names: dict[str, str],
        accounts: Iterable[AccountRecord],
        assignments: Iterable[Assignment],
    ) -> None:
        self.index = index
        self.names = names
        self.accounts: dict[str, list[AccountRecord]] = {}
        for record in accounts:
            self.accounts.setdefault(record.login, []).append(record)
        self.assignments: dict[str, list[Assignment]] = {}
        for assignment in assignments:
            self.assignments.setdefault(assignment.person, []).append(assignment)

    def account(self, login: str, *, at: int) -> Account | None:
        """The account with this login at the moment `at` (microseconds), with its person's roles then."""
        for record in self.accounts.get(login, ()):
            if _holds(record, at):
                return Account(login, record.ref, Person(record.person, self.roles(record.person, at=at)))
        return None

    def roles(self, person: str, *, at: int) -> frozenset[str]:
        return frozenset(item.role for item in self.assignments.get(person, ()) if _holds(item, at))


async def load_directory(connection: StoreConnection, tenant: str, *, index: int) -> Directory:
    """The tenant's directory as stored now; `index` is the entry that made it so."""
    named = await connection.execute(select(persons).where(persons.c.tenant == tenant))
    names = {row.id: row.name for row in named}
    held = await connection.execute(select(accounts).where(accounts.c.tenant == tenant))
    known = [AccountRecord(row.login, row.ref, row.person, row.valid_from, row.valid_to) for row in held]
    given = await connection.execute(select(assignments).where(assignments.c.tenant == tenant))
    roles = [Assignment(row.person, row.role, row.valid_from, row.valid_to) for row in given]
    await check_people(connection, tenant, _states(known, roles))
    return Directory(index=index, names=names, accounts=known, assignments=roles)


def _states(known: Iterable[AccountRecord], roles: Iterable[Assignment]) -> dict[str, PersonState]:
    """The tables in the form that the ledger's directory compares with."""
    accounts_of: dict[str, set[tuple[str, str | None, str | None]]] = {}
    roles_of: dict[str, set[tuple[str, str | None, str | None]]] = {}
    for record in known:
        times = time_text(record.valid_from), time_text(record.valid_to)
        accounts_of.setdefault(record.person, set()).add((record.ref, *times))
    for item in roles:
        times = time_text(item.valid_from), time_text(item.valid_to)
        roles_of.setdefault(item.person, set()).add((item.role, *times))
    return {
        person: (frozenset(accounts_of.get(person, ())), frozenset(roles_of.get(person, ())))
        for person in accounts_of.keys() | roles_of.keys()
    }


async def add_people(
    connection: StoreConnection,
    tenant: str,
    *,
    names: Mapping[str, str],
    records: Iterable[AccountRecord],
    roles: Iterable[Assignment],
) -> None:
    """Write a first directory; `names` holds every person's."""
    everybody: list[dict[str, Any]] = [
        {"tenant": tenant, "id": person, "name": name} for person, name in names.items()
    ]
    logins = [{"tenant": tenant} | _fields(record) for record in records]
    held = [{"tenant": tenant} | _fields(item) for item in roles]
    for table, rows in ((persons, everybody), (accounts, logins), (assignments, held)):
        if rows:
            await connection.execute(table.insert(), rows)


async def replace_person(
    connection: StoreConnection,
    tenant: str,
    *,
    person: str,
    name: str,
    records: Iterable[AccountRecord],
    roles: Iterable[Assignment],
) -> None:
    """Write one person's name, accounts and roles over what was there."""
    for table, column in ((persons, "id"), (accounts, "person"), (assignments, "person")):
        await connection.execute(delete(table).where(table.c.tenant == tenant, table.c[column] == person))
    await connection.execute(persons.insert(), [{"tenant": tenant, "id": person, "name": name}])
    rows: list[dict[str, Any]] = [{"tenant": tenant} | _fields(record) for record in records]
    if rows:
        await connection.execute(accounts.insert(), rows)
    rows = [{"tenant": tenant} | _fields(item) for item in roles]
    if rows:
        await connection.execute(assignments.insert(), rows)


def _fields(record: AccountRecord | Assignment) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


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
