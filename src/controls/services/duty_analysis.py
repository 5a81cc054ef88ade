"""What `controls duties analyse` looks at: a ledger, a directory file, or the exports of another system.

Guarantees: one consistent read of a ledger; every constraint of the release is either checked or told, with
the reason; what the sources do not say is in the notes. Acts are those that decisions read, a fold over the
ledger's entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from controls.duties.access import Access, Item, Sort
from controls.duties.analysis import Analysis, GrantEffect, Separation, effect_of_grant, items_of
from controls.duties.breaches import Breach, Breaches
from controls.duties.directory_access import Unchecked, directory_access, separations_of, step_item
from controls.model.chain import ChainHistory
from controls.model.errors import InvalidInput, NotFound, VerificationFailed
from controls.model.finding import Text
from controls.model.values import Json, microseconds
from controls.rules.diagnostics import closest, listed
from controls.rules.release import Release, release_from_document
from controls.services.access_exports import Exported
from controls.services.directory_file import PersonPlan
from controls.store.connection import StoreConnection
from controls.store.database import Database
from controls.store.directory import Directory, keys_index, load_directory
from controls.store.ledger_reads import blob
from controls.store.listings import in_force, iterate_acts
from controls.store.rows import StoredAct

MATRIX_ITEMS: Final = 60  # a matrix of more cannot be read


@dataclass(frozen=True, slots=True)
class MatrixOf:
    """The items of one matrix, in order."""

    title: Text
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Examined:
    """What was looked at and what was found.

    `breaches` is None where no acts were read, so that nothing can be said of what was done. `names` gives a
    person's name or login by pseudonym; `titles` what an item is called.
    """

    source: Mapping[str, Json]
    analysis: Analysis
    unchecked: tuple[Unchecked, ...]
    matrices: tuple[MatrixOf, ...]
    breaches: tuple[Breach, ...] | None
    names: Mapping[str, str]
    titles: Mapping[Item, Text]
    notes: tuple[Text, ...]
    grants: tuple[GrantEffect, ...] = ()

    def granting(self, grants: Iterable[tuple[str, str]]) -> Examined:
        """The same with what it would change to assign each (person or name, role or permission) in turn.

        Raises:
            InvalidInput: somebody or something that is named is not known.
        """
        analysis = self.analysis
        effects: list[GrantEffect] = []
        for who, what in grants:
            person = _person(who, analysis.access, names=self.names)
            effect, analysis = effect_of_grant(analysis, person=person, item=_item(what, analysis.access))
            effects.append(effect)
        return replace(self, grants=(*self.grants, *effects))


def examine_directory(
    people: Iterable[PersonPlan], release: Release, *, now: datetime, more: Iterable[Separation] = ()
) -> Examined:
    """A directory file under a release: who could. `more` are separations beside those of the release."""
    plans = tuple(people)
    note = Text(
        "No ledger was read: what people did was not looked at.",
        "No se ha leído ningún registro: no se ha mirado lo que hizo cada persona.",
    )
    found = _examined(
        {plan.id: frozenset(plan.roles) for plan in plans},
        release,
        now=now,
        more=more,
        names={plan.id: plan.name for plan in plans if plan.name},
    )
    source: dict[str, Json] = {"kind": "directory", "release": release.digest, **found.source}
    return replace(found, source=source, notes=(*found.notes, note))


def examine_exports(exported: Exported, separations: Iterable[Separation]) -> Examined:
    """The exports of another system under separations from a file: who could.

    Raises:
        InvalidInput: no separation names anything that the exports have.
    """
    analysis = Analysis(exported.access, separations)
    notes = [
        Text(
            "Each user of the exports is taken for one person; what users did was not looked at.",
            "Cada usuario de las exportaciones se toma por una persona; no se ha mirado lo que hizo.",
        )
    ]
    for file, columns in sorted(exported.unread.items()):
        names = listed(columns)
        notes.append(
            Text(
                f"{file}: the columns {names} were not read: all its rows count.",
                f"{file}: no se han leído las columnas {names}: cuentan todas sus filas.",
            )
        )
    _check_known(analysis)
    matrices: list[MatrixOf] = []
    for sort, title in (
        (Sort.ROLE, Text("Roles", "Funciones")),
        (Sort.PERMISSION, Text("Permissions", "Permisos")),
    ):
        items = items_of(analysis.separations, sort)
        if items:
            matrices.append(_most_held(title, items, analysis, notes))
    return Examined(
        source={"kind": "exports", **_size(exported.access)},
        analysis=analysis,
        unchecked=(),
        matrices=tuple(matrices),
        breaches=None,
        names=exported.names,
        titles={},
        notes=tuple(notes),
    )


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
    found = _examined(
        {person: directory.roles(person, at=at) for person in directory.names},
        release,
        now=now,
        more=more,
        names={person: name for person, name in directory.names.items() if name} if with_names else {},
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
    return replace(found, source=source, breaches=breaches.found(), notes=(*found.notes, *notes))


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
    account = next((stored.scope_account for stored in chain if stored.scope_account), "")
    history = ChainHistory(first.kind, first.act.chain, tuple(stored.act for stored in chain))
    breaches.add(history, account=account)


def _examined(
    roles_of: Mapping[str, frozenset[str]],
    release: Release,
    *,
    now: datetime,
    more: Iterable[Separation],
    names: Mapping[str, str],
) -> Examined:
    """What both kinds of directory have in common."""
    kinds = tuple(release.chains.values())
    access = directory_access(roles_of, closure=release.roles, grants=release.grants, kinds=kinds)
    separations, unchecked = separations_of(release.constraints, kinds=kinds, now=now)
    foreign = tuple(more)
    taken = {item.id for item in separations} | {item.constraint.id for item in unchecked}
    for separation in foreign:
        if separation.id in taken:
            raise InvalidInput(
                "duplicate_id",
                f"The rules have a constraint {separation.id!r} already",
                help="Give the row of the constraints file another id.",
            )
    analysis = Analysis(access, (*separations, *foreign))
    if foreign:
        _check_known(Analysis(access, foreign))
    unknown = sorted({role for roles in roles_of.values() for role in roles} - release.roles.keys())
    notes: list[Text] = []
    if unknown:
        names_of = listed(unknown)
        notes.append(
            Text(
                f"Assigned roles that the rules do not know give nothing: {names_of}.",
                f"Las funciones asignadas que las reglas no conocen no dan nada: {names_of}.",
            )
        )
    titles = {Item(Sort.ROLE, role): title for role, title in release.role_titles.items()}
    titles |= {step_item(kind, step.id): step.title for kind in kinds for step in kind.steps}
    matrices = [
        MatrixOf(kind.title, tuple(step_item(kind, step.id) for step in kind.steps)) for kind in kinds
    ]
    roles = items_of(analysis.separations, Sort.ROLE)
    if roles:
        matrices.append(_most_held(Text("Roles", "Funciones"), roles, analysis, notes))
    return Examined(
        source=_size(access),
        analysis=analysis,
        unchecked=unchecked,
        matrices=tuple(matrices),
        breaches=None,
        names=names,
        titles=titles,
        notes=tuple(notes),
    )


def _size(access: Access) -> dict[str, Json]:
    return {"people": len(access.people), "assignments": access.assignments}


def _check_known(analysis: Analysis) -> None:
    """Refuse separations that have nothing to do with what was read: they would all be kept."""
    if not any(analysis.access.knows(item) for one in analysis.separations for item in one.items):
        named = listed(sorted({item.name for one in analysis.separations[:3] for item in one.items})[:6])
        raise InvalidInput(
            "constraints_unmatched",
            "The constraints name nothing that is assigned to anybody",
            detail=f"None of their roles or permissions ({named}, ...) is in the files read.",
            help="See that both speak of roles, or both of permissions, in the same spelling.",
        )


def _most_held(title: Text, items: tuple[Item, ...], analysis: Analysis, notes: list[Text]) -> MatrixOf:
    """The matrix of the items, or of those that most persons hold where they are too many to read."""
    if len(items) <= MATRIX_ITEMS:
        return MatrixOf(title, items)
    ordered = sorted(items, key=lambda item: (-analysis.access.holders(item).bit_count(), item))
    shown = set(ordered[:MATRIX_ITEMS])
    notes.append(
        Text(
            f"{title.en}: the matrix shows the {MATRIX_ITEMS} of {len(items)} that most persons hold.",
            f"{title.es}: la matriz muestra los {MATRIX_ITEMS} de {len(items)} que más personas tienen.",
        )
    )
    return MatrixOf(title, tuple(item for item in items if item in shown))


def _person(who: str, access: Access, *, names: Mapping[str, str]) -> str:
    """The pseudonym that is meant by a pseudonym, name or login."""
    if who in access.people:
        return who
    found = [person for person, name in names.items() if name == who]
    if len(found) == 1:
        return found[0]
    raise InvalidInput(
        "person_unknown",
        f"{who!r} is {'several persons' if found else 'nobody'} here",
        help=f"Name a person by pseudonym{closest(who, access.people)}.",
    )


def _item(what: str, access: Access) -> Item:
    """The role or permission of this name."""
    for sort in (Sort.ROLE, Sort.PERMISSION):
        if access.knows(Item(sort, what)):
            return Item(sort, what)
    known = [role.name for role in access.roles]
    raise InvalidInput(
        "role_unknown",
        f"{what!r} is no role here{closest(what, known)}",
        help="Name a role of roles.yaml, or a role or permission of the exports.",
    )
