"""A ledger's directory and acts, for the analysis of duties.

Guarantees: one consistent read. The acts are those that decisions read, a fold over the ledger's entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from controls.duties.analysis import Separation
from controls.duties.breaches import Breaches, looked_at
from controls.model.chain import ChainHistory
from controls.model.errors import NotFound, VerificationFailed
from controls.model.finding import Text
from controls.model.values import Json, microseconds
from controls.rules.diagnostics import listed
from controls.rules.release import Release, release_from_document
from controls.services.duty_analysis import Examined, examine_roles
from controls.store.connection import StoreConnection
from controls.store.database import Database
from controls.store.directory import Directory, keys_index, load_directory
from controls.store.ledger_reads import blob
from controls.store.lineage import all_links
from controls.store.listings import in_force, iterate_acts
from controls.store.rows import StoredAct


async def examine_ledger(
    database: Database,
    tenant: str,
    *,
    now: datetime,
    release: Release | None = None,
    more: Iterable[Separation] = (),
    with_names: bool = False,
) -> Examined:
    """A ledger's directory and acts under the release in force, or under another one: who could, who did.

    Names are read only for whoever may see them.

    Raises:
        NotFound: the tenant has no ledger.
        VerificationFailed: what is stored is not what was stored.
    """
    async with database.read() as connection:
        if await keys_index(connection, tenant) < 0:
            raise NotFound(
                "not_initialised",
                "This ledger has not been started",
                help="Run `controls init` first, or name a directory file with --directory.",
            )
        digest, index, _ = await in_force(connection, tenant)
        directory = await load_directory(connection, tenant, index=index)
        if release is None:
            release = await _stored_release(connection, tenant, digest)
        breaches, notes = await _breaches(connection, tenant, release, directory)
    at = microseconds(now)
    found = examine_roles(
        {person: directory.roles(person, at=at) for person in directory.ids},
        release,
        now=now,
        more=more,
        names={record.id: record.name for record in directory.people.values() if record.name}
        if with_names
        else {},
    )
    source: dict[str, Json] = {
        "kind": "ledger",
        "release": release.digest,
        "in_force": release.digest == digest,
        "directory": index,
        "chains": breaches.chains,
        "acts": breaches.acts,
        **found.source,
    }
    return replace(
        found,
        source=source,
        breaches=breaches.found(),
        looked_at=frozenset((item.id, item.chain) for item in release.constraints if looked_at(item)),
        notes=(*found.notes, *notes),
    )


async def _stored_release(connection: StoreConnection, tenant: str, digest: str) -> Release:
    document = await blob(connection, tenant, digest)
    if document is None:
        raise VerificationFailed(
            "release_missing",
            "The active release is not in the database",
            detail=f"The head row names {digest}, and no such blob is stored.",
            help="Restore the database from a backup and verify its export.",
        )
    return release_from_document(document)


async def _breaches(
    connection: StoreConnection, tenant: str, release: Release, directory: Directory
) -> tuple[Breaches, tuple[Text, ...]]:
    breaches = Breaches(
        release.constraints,
        kinds={kind.id: kind for kind in release.chains.values()},
        grants=release.grants,
        closure=release.roles,
        roles_at=lambda person, at: directory.roles(person, at=microseconds(at)),
        profiles_at=lambda at: directory.profiles(at=microseconds(at)),
        lineage=await all_links(connection, tenant),
    )
    held: list[StoredAct] = []
    async for row in iterate_acts(connection, tenant):
        stored = StoredAct.read(row)
        if held and (held[0].kind, held[0].act.chain) != (stored.kind, stored.act.chain):
            _add(breaches, held)
            held = []
        held.append(stored)
    if held:
        _add(breaches, held)
    notes = [
        Text(
            "Acts are measured by the constraints of this release, also those done under earlier ones; what "
            "a supervisor approved is among them.",
            "Los actos se miden con las reglas de esta versión, también los hechos con otras anteriores; lo "
            "que aprobó un supervisor está entre ellos.",
        )
    ]
    if breaches.unknown_kinds:
        kinds = listed(sorted(breaches.unknown_kinds))
        notes.append(
            Text(
                f"Acts on chains of the kinds {kinds} were not looked at: this release does not have them.",
                f"No se han mirado los actos en cadenas de tipo {kinds}: esta versión no las tiene.",
            )
        )
    return breaches, tuple(notes)


def _add(breaches: Breaches, chain: list[StoredAct]) -> None:
    first = chain[0]
    breaches.add(ChainHistory(first.kind, first.act.chain, tuple(stored.act for stored in chain)))
