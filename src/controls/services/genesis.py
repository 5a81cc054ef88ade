"""Starting a ledger: entry 0 names the first two administrators, the release, the directory and the key.

Guarantees: the two administrators are different persons who hold the role; a ledger is started once; from
entry 1 on every change of directory, keys or release takes two administrators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from controls.decide import ActiveRelease
from controls.duties.backstop import step_limits
from controls.ledger.envelope import EntryKind
from controls.ledger.merkle import Frontier
from controls.model.errors import Conflict, FieldError, InvalidInput, NotFound
from controls.services.counting import begin_all
from controls.services.directory_changes import record_people
from controls.services.directory_checks import check_people
from controls.services.directory_merge import merge_people
from controls.services.directory_plans import PersonPlan
from controls.services.key_changes import provides
from controls.services.records import LANGUAGE
from controls.services.writer import WriterSettings
from controls.store.connection import StoreConnection
from controls.store.database import Database
from controls.store.directory import Directory, add_key, replace_people
from controls.store.limits import keep_limits
from controls.store.registers import key_digest
from controls.store.rows import ApiKey, Head
from controls.store.unit import create_head, flush, lock_head
from controls.store.workspace import Operation, Workspace

ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Genesis:
    """What a ledger starts with."""

    origin: str
    vkey: str
    active: ActiveRelease
    people: tuple[PersonPlan, ...]
    administrators: Sequence[str]  # logins
    keys: tuple[ApiKey, ...]


async def start_ledger(database: Database, settings: WriterSettings, genesis: Genesis) -> int:
    """Write entry 0 and everything it names; how many persons the directory holds.

    Raises:
        Conflict: the tenant has a ledger already.
        InvalidInput: the administrators are not two different persons with the role.
    """
    tenant = settings.tenant
    async with database.write() as connection:
        if await _exists(connection, tenant):
            raise Conflict(
                "initialised",
                "This ledger has been started already",
                help="A ledger is started once. Use another tenant or another database for a new one.",
            )
        head = Head(
            tenant=tenant,
            origin=genesis.origin,
            frontier=Frontier(),
            last_at=0,
            directory_index=0,
            keys_index=0,
            release=genesis.active.release.digest,
        )
        await create_head(connection, head)
        head, now = await lock_head(connection, tenant, clock=settings.clock)
        work = Workspace(head, now=now, entropy=settings.entropy)
        empty = Directory(index=0, people=())
        check_people(genesis.people, directory=empty, release=genesis.active.release, at=work.at)
        records = merge_people(genesis.people, people={}, at=work.at, new_id=settings.new_id)
        chosen = _administrators(genesis, Directory(index=0, people=records), at=work.at)
        work.later(partial(replace_people, tenant=tenant, people=records))
        for key in genesis.keys:
            work.later(_writes_key(tenant, key, work.at))
        digest, opened = record_people(work, records)
        work.new_blobs[genesis.active.release.digest] = genesis.active.release.document
        begin_all(work, genesis.active.release)
        release = genesis.active.release
        limits = step_limits(release.constraints, chains=release.chains.values())
        work.later(partial(keep_limits, tenant=tenant, release=release.digest, limits=limits))
        work.append(
            EntryKind.GENESIS,
            settings.new_id("gen"),
            {
                "administrators": list(chosen),
                "vkey": genesis.vkey,
                "blob": digest,
                "persons": len(records),
                "keys": [key.id for key in genesis.keys],
                "key_digests": {key.id: key_digest(replace(key, created_at=work.at)) for key in genesis.keys},
                **provides(genesis.keys),
                "language": LANGUAGE,
                "tenant": tenant,
            },
            disclosure=opened,
        )
        sealed = work.seal(settings.sign)
        await flush(connection, work, sealed)
    if settings.published is not None:
        settings.published(sealed.tree.size, sealed.checkpoint)
    return len(records)


async def _exists(connection: StoreConnection, tenant: str) -> bool:
    try:
        await lock_head(connection, tenant)
    except NotFound:
        return False
    return True


def _administrators(genesis: Genesis, directory: Directory, *, at: int) -> tuple[str, ...]:
    """The two persons behind the named logins."""
    errors: list[FieldError] = []
    chosen: list[str] = []
    for login in genesis.administrators:
        account = directory.account(login, at=at)
        if account is None:
            errors.append(FieldError(login, "account_unknown", "is not an account of the directory file"))
        elif ADMINISTRATOR not in account.person.roles:
            errors.append(FieldError(login, "not_administrator", "its person lacks the role administrator"))
        else:
            chosen.append(account.person.id)
    if not errors and len(set(chosen)) < 2:
        errors.append(FieldError("administrators", "two_persons", "name accounts of two different persons"))
    if errors:
        raise InvalidInput(
            "administrators_invalid",
            "A ledger starts with two administrators",
            detail="; ".join(f"{item.pointer}: {item.message}" for item in errors),
            help="Name two accounts of different persons who hold the role administrator.",
            errors=tuple(errors),
        )
    return tuple(chosen)


def _writes_key(tenant: str, key: ApiKey, at: int) -> Operation:
    born = replace(key, created_at=at)
    return partial(add_key, tenant=tenant, key=born)
