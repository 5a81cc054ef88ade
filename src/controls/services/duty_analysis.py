"""What `controls duties analyse` looks at: a directory under a release, or the exports of another system.

Guarantees: every constraint of the release is either checked or told, with the reason; what the sources do
not say is in the notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeAlias

from controls.duties.access import Access, Item, Sort
from controls.duties.analysis import Analysis, GrantEffect, Separation, effect_of_grant, items_of
from controls.duties.breaches import Breach, most_votes
from controls.duties.directory_access import Unchecked, directory_access, separations_of, step_item
from controls.model.errors import InvalidInput
from controls.model.finding import Text
from controls.model.values import Json, microseconds
from controls.rules.diagnostics import closest, listed
from controls.rules.release import Release
from controls.services.access_exports import Exported
from controls.services.directory_plans import PersonPlan, RoleLine

Key: TypeAlias = tuple[str, str]  # a constraint's id and chain kind

MATRIX_ITEMS: Final = 60  # a matrix of more cannot be read


@dataclass(frozen=True, slots=True)
class MatrixOf:
    """The items of one matrix, in order."""

    title: Text
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Examined:
    """What was looked at and what was found.

    `breaches` is None where no acts were read, so that nothing can be said of what was done; where they were,
    `looked_at` are the constraints that they were measured by. `names` gives a person's name or login by
    pseudonym; `titles` what an item is called.
    """

    source: Mapping[str, Json]
    analysis: Analysis
    unchecked: tuple[Unchecked, ...]
    matrices: tuple[MatrixOf, ...]
    breaches: tuple[Breach, ...] | None
    names: Mapping[str, str]
    titles: Mapping[Item, Text]
    notes: tuple[Text, ...]
    looked_at: frozenset[Key] = frozenset()
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
    """A directory file under a release: who could, with the roles that the file gives for `now`. `more` are
    separations beside those of the release."""
    plans, at = tuple(people), microseconds(now)
    note = Text(
        "No ledger was read: what people did was not looked at.",
        "No se ha leído ningún registro: no se ha mirado lo que hizo cada persona.",
    )
    found = examine_roles(
        {plan.id: frozenset(line.role for line in plan.roles or () if _holds(line, at)) for plan in plans},
        release,
        now=now,
        more=more,
        names={plan.id: plan.name for plan in plans if plan.name},
    )
    source: dict[str, Json] = {"kind": "directory", "release": release.digest, **found.source}
    return replace(found, source=source, notes=(*found.notes, note))


def _holds(line: RoleLine, at: int) -> bool:
    return (line.valid_from is None or line.valid_from <= at) and (
        line.valid_to is None or at < line.valid_to
    )


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


def examine_roles(
    roles_of: Mapping[str, frozenset[str]],
    release: Release,
    *,
    now: datetime,
    more: Iterable[Separation],
    names: Mapping[str, str],
) -> Examined:
    """A directory under a release, wherever it was read: who could; of what was done nothing is said."""
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
    voted = [f"{kind.resource}.{step}" for kind in kinds for step in most_votes(kind, release.constraints)]
    if voted:
        names_of = listed(voted)
        notes.append(
            Text(
                f"The smallest groups take one person a step; these take more: {names_of}.",
                f"Los grupos mínimos cuentan una persona por paso; estos exigen más: {names_of}.",
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
