"""What the page with an analysis of duties says, in English and in Spanish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controls.model.finding import Effect


@dataclass(frozen=True, slots=True)
class Words:
    """Every word of the page in one language; braces are filled with numbers."""

    language: str
    title: str
    skip: str
    source: Mapping[str, str]
    summary: str
    in_conflict: str
    broken: str
    violations: str
    not_read: str
    grants: str
    grant_heads: tuple[str, ...]
    unchanged: str
    constraints: str
    constraint_heads: tuple[str, ...]
    effect: Mapping[Effect, str]
    kept: Mapping[bool, str]
    not_told: str
    condition: str
    unknown: str
    always: str
    together: str
    not_proved: str
    matrix: str
    matrix_caption: str
    apart: str
    level: str
    collusion: str
    collusion_heads: tuple[str, ...]
    proved: Mapping[bool, str]
    nobody: str
    people: str
    people_heads: tuple[str, ...]
    roles: str
    role_heads: tuple[str, ...]
    violation_heads: tuple[str, ...]
    conditional: str
    entry: str
    done: str
    notes: str
    none: str
    nothing: str
    rows: str
    cut: str


_ENGLISH: Final = Words(
    language="en",
    title="Separation of duties",
    skip="Skip to the findings",
    source={
        "ledger": "A ledger: {people} persons, {assignments} assignments; release",
        "directory": "A directory file: {people} persons, {assignments} assignments; release",
        "exports": "Exports of another system: {people} users, {assignments} assignments.",
    },
    summary="Summary",
    in_conflict="Persons who could break a constraint",
    broken="Constraints that somebody could break",
    violations="Violations",
    not_read="not looked at",
    grants="What these grants would change",
    grant_heads=("Person", "Role", "New conflicts", "Smallest groups, before and after"),
    unchanged="unchanged",
    constraints="Constraints",
    constraint_heads=("Constraint", "Effect", "What it asks", "Could", "Did"),
    effect={effect: effect.value for effect in Effect},
    kept={True: "the directory must keep it", False: "kept again on each chain"},
    not_told="The directory does not tell",
    condition="Only when (not evaluated)",
    unknown="Nobody holds or could be given",
    always="{could} ({always} at any time)",
    together="{count} together",
    not_proved="not proved",
    matrix="Persons by pair",
    matrix_caption="How many persons hold both; on the diagonal, how many hold the one.",
    apart="kept apart",
    level="nobody",
    collusion="How few could do it all together",
    collusion_heads=("Constraint", "Persons", "Proof", "The smallest group found"),
    proved={True: "proved", False: "not proved: the search was cut"},
    nobody="Nobody holds",
    people="Persons",
    people_heads=("Person", "Conflicts", "Violations", "Constraints"),
    roles="Roles",
    role_heads=("Role", "Holders", "Holders in conflict", "Breaks on its own"),
    violation_heads=("Constraint", "Person", "Chain", "Acts"),
    conditional="its condition was not evaluated",
    entry="entry",
    done="done",
    notes="What was not looked at, and how to read this",
    none="None.",
    nothing="-",
    rows="Rows: {there}",
    cut="The first {shown} of {there} rows; the CSV file has all.",
)

_SPANISH: Final = Words(
    language="es",
    title="Segregación de funciones",
    skip="Ir a los resultados",
    source={
        "ledger": "Un registro: {people} personas, {assignments} asignaciones; versión",
        "directory": "Un fichero de directorio: {people} personas, {assignments} asignaciones; versión",
        "exports": "Exportaciones de otro sistema: {people} usuarios, {assignments} asignaciones.",
    },
    summary="Resumen",
    in_conflict="Personas que podrían incumplir una regla",
    broken="Reglas que alguien podría incumplir",
    violations="Incumplimientos",
    not_read="no se ha mirado",
    grants="Qué cambiarían estas asignaciones",
    grant_heads=("Persona", "Función", "Conflictos nuevos", "Grupos mínimos, antes y después"),
    unchanged="sin cambios",
    constraints="Reglas",
    constraint_heads=("Regla", "Efecto", "Qué exige", "Podrían", "Lo hicieron"),
    effect={
        Effect.DENY: "denegar",
        Effect.REVIEW: "revisar",
        Effect.FLAG: "señalar",
        Effect.OBLIGE: "obligar",
    },
    kept={True: "la debe cumplir el directorio", False: "se vuelve a exigir en cada cadena"},
    not_told="El directorio no lo dice",
    condition="Solo cuando (no evaluado)",
    unknown="Nadie lo tiene ni puede recibirlo",
    always="{could} ({always} en todo momento)",
    together="{count} juntas",
    not_proved="no demostrado",
    matrix="Personas por pareja",
    matrix_caption="Cuántas personas tienen ambos; en la diagonal, cuántas tienen el uno.",
    apart="separados",
    level="nadie",
    collusion="Cuán pocas personas podrían hacerlo todo juntas",
    collusion_heads=("Regla", "Personas", "Prueba", "El grupo más pequeño hallado"),
    proved={True: "demostrado", False: "no demostrado: se cortó la búsqueda"},
    nobody="Nadie tiene",
    people="Personas",
    people_heads=("Persona", "Conflictos", "Incumplimientos", "Reglas"),
    roles="Funciones",
    role_heads=("Función", "Titulares", "Titulares en conflicto", "Incumple por sí sola"),
    violation_heads=("Regla", "Persona", "Cadena", "Actos"),
    conditional="su condición no se ha evaluado",
    entry="entrada",
    done="realizado el",
    notes="Qué no se ha mirado y cómo leer esto",
    none="Ninguno.",
    nothing="-",
    rows="Filas: {there}",
    cut="Las primeras {shown} de {there} filas; el fichero CSV las tiene todas.",
)

WORDS: Final[Mapping[str, Words]] = {"en": _ENGLISH, "es": _SPANISH}
