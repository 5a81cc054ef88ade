"""What the ledger says of directory and keys, to hold the tables against.

Guarantees: persons, accounts, roles and keys are used only as the entries put them in force; a row that was
slipped into a table, or changed in it, is an error that permits nothing. What is only committed to is held
against the commitment, with the salt of the last disclosure; where that was erased nobody can tell any more
whether it is as it was, so nothing of it is used (`concealed`). (Logins and names are not in the ledger, for
privacy: which login stands for which account rests on the database.)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import and_, bindparam, select, text

from controls.ledger.canonical import canonical_bytes
from controls.ledger.commitment import commit
from controls.model.errors import VerificationFailed
from controls.model.values import Json
from controls.store.among import also, among
from controls.store.connection import StoreConnection
from controls.store.people import PersonRecord, private_document, private_path, public_document
from controls.store.rows import ApiKey
from controls.store.tables import OF_REGISTERS, blobs, disclosures, entries

# The condition of the index goes with each query, word by word: else it is not used.
_OF_KINDS: Final = (
    select(entries.c.bytes)
    .where(entries.c.tenant == bindparam("tenant"), text(OF_REGISTERS), among(entries.c.kind, "kinds"))
    .order_by(entries.c.index)
)
_DIRECTORIES: Final = (
    select(entries.c.kind, entries.c.bytes, disclosures.c.data)
    .join_from(
        entries,
        disclosures,
        and_(disclosures.c.tenant == entries.c.tenant, disclosures.c.index == entries.c.index),
        isouter=True,
    )
    .where(
        entries.c.tenant == bindparam("tenant"),
        text(OF_REGISTERS),
        entries.c.index > bindparam("after"),
        entries.c.index <= bindparam("upto"),
    )
    .order_by(entries.c.index)
)
_BLOBS: Final = select(blobs.c.digest, blobs.c.data).where(
    also(blobs.c.tenant, "tenant"), among(blobs.c.digest, "digests")
)


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


@dataclass(frozen=True, slots=True)
class RecordedPerson:
    """What the last entry about a person says: in clear, committed to, and what opens that."""

    said: Mapping[str, Any]
    path: str
    opening: Mapping[str, Any] | None

    @property
    def erased(self) -> bool:
        """Whether something was committed to, and what opens it is gone."""
        return "private" in self.said and self.opening is None

    def known_of(self, stored: PersonRecord) -> PersonRecord:
        """What is known of a person who is stored so: nothing that was erased, nor what had been when the
        entry was made and is not said anew."""
        return stored.conceal() if self.erased else replace(stored, concealed="concealed" in self.said)

    def differs_from(self, stored: PersonRecord) -> str:
        """Why this is not what the entry that stored this person would say; empty when it is."""
        wrong = f"what is stored of {stored.id} is not what the ledger has"
        said = {
            name: _sorted(value) for name, value in self.said.items() if name not in ("private", "concealed")
        }
        if said != {name: _sorted(value) for name, value in public_document(stored).items()}:
            return wrong
        private, committed = private_document(stored), self.said.get("private")
        if self.erased:
            return ""  # of what is stored of it nothing is used
        if self.opening is None or not private or not committed:
            return wrong if private or committed else ""
        salt = bytes.fromhex(self.opening["salt"])
        return "" if committed == {"hmac": commit(self.path, private, salt)} else wrong


@dataclass(frozen=True, slots=True)
class Recorded:
    """What entries say of the persons that they name, the last word about each.

    `alone`: all of them were made by an identity provider, and `resources` are what they were about.
    """

    people: Mapping[str, RecordedPerson]
    alone: bool
    resources: frozenset[str]


async def recorded_people(connection: StoreConnection, tenant: str, *, after: int, upto: int) -> Recorded:
    """What the directory entries with an index above `after`, up to and with `upto`, left of persons."""
    made = [
        (json.loads(bytes(row.bytes)), json.loads(row.data or "{}"))
        for row in await connection.execute(_DIRECTORIES, {"tenant": tenant, "after": after, "upto": upto})
        if row.kind != "key"
    ]
    named = [str(entry["blob"]) for entry, _ in made]
    rows = await connection.execute(_BLOBS, {"tenant": tenant, "digests": named})
    documents = {row.digest: json.loads(bytes(row.data)) for row in rows}
    people: dict[str, RecordedPerson] = {}
    for digest, (_, opened) in zip(named, made, strict=True):
        if digest not in documents:
            raise _differs("directory", f"the blob {digest} is missing")
        for position, person in enumerate(documents[digest]["persons"]):
            path = private_path(position)
            people[person["id"]] = RecordedPerson(person, path, opened.get(path))
    return Recorded(
        people,
        alone=all("provision" in entry for entry, _ in made),
        resources=frozenset(str(entry["resource"]) for entry, _ in made if "resource" in entry),
    )


def checked_people(
    recorded: Mapping[str, RecordedPerson], stored: Mapping[str, PersonRecord]
) -> list[PersonRecord]:
    """The stored persons, who must be as the entries made them, without what was erased of them.

    Raises:
        VerificationFailed: it names the first person that differs.
    """
    for person in sorted(recorded.keys() | stored.keys()):
        here, there = stored.get(person), recorded.get(person)
        if here is None or there is None:
            raise _differs(
                "directory", f"{person} is only in {'the ledger' if here is None else 'the tables'}"
            )
        wrong = there.differs_from(here)
        if wrong:
            raise _differs("directory", wrong)
    return [recorded[person].known_of(record) for person, record in stored.items()]


def _sorted(value: Any) -> Any:
    """A document's list whatever its order: the first ledgers have theirs in that of the file."""
    return sorted(value, key=canonical_bytes) if isinstance(value, list) else value


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
