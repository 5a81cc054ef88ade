"""What the ledger says of directory and keys, to hold the tables against.

Guarantees: persons, accounts, roles and keys are used only as the entries put them in force; a row that was
slipped into a table, or changed in it, is an error that permits nothing. (Logins and names are not in the
ledger, for privacy: which login stands for which account rests on the database.)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from typing import Any, Final, TypeAlias

from sqlalchemy import bindparam, select

from controls.ledger.canonical import canonical_bytes
from controls.model.errors import VerificationFailed
from controls.model.values import Json, from_microseconds, utc_text
from controls.store.among import also, among
from controls.store.connection import StoreConnection
from controls.store.rows import ApiKey
from controls.store.tables import blobs, entries

# One person's records in a form that compares: accounts and roles with their times.
Record: TypeAlias = tuple[str, str | None, str | None]
PersonState: TypeAlias = tuple[frozenset[Record], frozenset[Record]]

_OF_KINDS: Final = (
    select(entries.c.bytes)
    .where(entries.c.tenant == bindparam("tenant"), among(entries.c.kind, "kinds"))
    .order_by(entries.c.index)
)
_BLOBS: Final = select(blobs.c.digest, blobs.c.data).where(
    also(blobs.c.tenant, "tenant"), among(blobs.c.digest, "digests")
)


def time_text(at: int | None) -> str | None:
    """A moment as directory blobs hold it."""
    return None if at is None else utc_text(from_microseconds(at))


def key_digest(key: ApiKey) -> str:
    """What an entry says of a key: everything but the secret, which nobody stores."""
    told: dict[str, Json] = {
        "id": key.id,
        "name": key.name,
        "mac": key.mac,
        "scopes": list[Json](sorted(key.scopes)),
        "actions": list[Json](key.actions),
        "speaks_for": key.speaks_for,
        "account": key.account,
        "created_at": key.created_at,
    }
    return sha256(canonical_bytes(told)).hexdigest()


async def recorded_people(connection: StoreConnection, tenant: str) -> dict[str, PersonState]:
    """Every person's accounts and roles as the directory entries left them."""
    named = [str(entry["blob"]) async for entry in _entries(connection, tenant, ("genesis", "directory"))]
    rows = await connection.execute(_BLOBS, {"tenant": tenant, "digests": named})
    documents = {row.digest: json.loads(bytes(row.data)) for row in rows}
    people: dict[str, PersonState] = {}
    for digest in named:
        if digest not in documents:
            raise _differs("directory", f"the blob {digest} is missing")
        for person in documents[digest]["persons"]:
            people[person["id"]] = (
                frozenset((item["ref"], item["from"], item["to"]) for item in person["accounts"]),
                frozenset((item["role"], item["from"], item["to"]) for item in person["roles"]),
            )
    return people


async def check_people(connection: StoreConnection, tenant: str, stored: dict[str, PersonState]) -> None:
    """Refuse a directory that is not the one the entries made.

    Raises:
        VerificationFailed: it names the first person that differs.
    """
    recorded = await recorded_people(connection, tenant)
    for person in sorted(recorded.keys() | stored.keys()):
        if recorded.get(person) != stored.get(person):
            raise _differs("directory", f"accounts or roles of {person} are not those of the ledger")


async def check_keys(connection: StoreConnection, tenant: str, stored: Iterable[ApiKey]) -> None:
    """Refuse keys that are not the ones the entries made.

    Raises:
        VerificationFailed: it names the first key that differs.
    """
    made: dict[str, str] = {}
    revoked: set[str] = set()
    async for entry in _entries(connection, tenant, ("genesis", "key")):
        made |= entry.get("key_digests", {})
        if "key_revoked" in entry:
            revoked.add(entry["key_revoked"])
    found = {key.id: (key_digest(key), key.revoked_at is not None) for key in stored}
    for key in sorted(made.keys() | found.keys()):
        if found.get(key) != (made.get(key), key in revoked):
            raise _differs("keys", f"the key {key} is not as the ledger has it")


async def _entries(
    connection: StoreConnection, tenant: str, kinds: tuple[str, ...]
) -> AsyncIterator[dict[str, Any]]:
    for row in await connection.execute(_OF_KINDS, {"tenant": tenant, "kinds": kinds}):
        yield json.loads(bytes(row.bytes))


def _differs(what: str, detail: str) -> VerificationFailed:
    return VerificationFailed(
        "register_differs",
        f"The {what} in the database are not those of the ledger",
        detail=f"{detail[:1].upper()}{detail[1:]}.",
        help="Somebody wrote to the tables beside the service. Nothing is permitted: find out who, keep the "
        "database as evidence, and restore the tables from a backup.",
    )
