"""The findings that the service itself makes, in English and Spanish, with what to do about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from controls.model.finding import Cause, Effect, Finding, Origin, Text
from controls.model.values import Json, Value

VERSION = "1"

_UNREAD: Final = {
    "context.at": Text(
        'send a time with its zone between 1990 and 2100, such as "2026-03-02T09:30:00Z", or none',
        'envíe una hora con su zona entre 1990 y 2100, por ejemplo "2026-03-02T09:30:00Z", o ninguna',
    ),
    "context.claim": Text(
        "send true or false, or leave it out: a permit then claims",
        "envíe true o false, o no lo envíe: un permiso entonces reserva el paso",
    ),
}


def _finding(
    rule: str,
    *,
    title: Text,
    message: Text,
    origin: Origin = Origin.REQUEST,
    effect: Effect = Effect.DENY,
    cause: Cause = Cause.FIRED,
    values: Mapping[str, Value] | None = None,
    missing: Iterable[str] = (),
) -> Finding:
    return Finding(
        rule=rule,
        version=VERSION,
        origin=origin,
        effect=effect,
        title=title,
        message=message,
        cause=cause,
        values=values or {},
        missing=tuple(missing),
    )


def unknown_subject(subject_type: str) -> Finding:
    """Nobody of that name is in the directory now; the name itself stays out of the finding."""
    return _finding(
        "unknown_subject",
        title=Text("Nobody known asks", "Quien pregunta no es conocido"),
        message=Text(
            f"The directory holds no {subject_type} of this name that is valid now; "
            "add the account to the directory, or ask with the right one.",
            f"El directorio no contiene ningún {subject_type} vigente con ese nombre; "
            "dé de alta la cuenta o pregunte con la correcta.",
        ),
    )


def unknown_action(action: str, resource_type: str) -> Finding:
    return _finding(
        "unknown_action",
        title=Text("Unknown action", "Acción desconocida"),
        message=Text(
            f"No rule file knows the action {action} on a resource of type {resource_type}.",
            f"Ningún fichero de reglas conoce la acción {action} sobre un recurso de tipo {resource_type}.",
        ),
        values={"action.name": action, "resource.type": resource_type},
    )


def malformed_fact(name: str, problem: Text) -> Finding:
    return _finding(
        "malformed_fact",
        title=Text("A fact cannot be read", "Un dato no se puede leer"),
        message=Text(f"{name}: {problem.en}", f"{name}: {problem.es}"),
        cause=Cause.ERROR,
        missing=(name,),
    )


def unread_context(properties: Mapping[str, Json]) -> list[Finding]:
    """What `at` and `claim` in an AuthZEN context say that is neither a time nor a boolean. Taken for facts
    like any other, the one would pass unchecked and the other ("false") claim what it says not to."""
    if _UNREAD.keys().isdisjoint(properties):
        return []
    return [malformed_fact(name, problem) for name, problem in _UNREAD.items() if name in properties]


def misspelt_fact(name: str) -> Finding:
    """The name that was sent stays out of the finding: nobody declared it, so that it may tell anything."""
    return _finding(
        "misspelt_fact",
        effect=Effect.REVIEW,
        title=Text("A fact is stated under another name", "Un dato consta con otro nombre"),
        message=Text(
            f"{name} is not stated, but something under almost that name or out of its place, which no rule "
            "reads: correct it.",
            f"No consta {name}, pero sí algo con casi ese nombre o fuera de su sitio, que ninguna regla lee: "
            "corríjalo.",
        ),
        cause=Cause.MISSING,
        missing=(name,),
    )


def asserted_time_off(asserted: str, now: str) -> Finding:
    return _finding(
        "asserted_time_off",
        title=Text("The stated time is off", "La hora indicada no es correcta"),
        message=Text(
            f"context.at says {asserted}, more than 5 minutes from {now}; send the present time or none.",
            f"context.at dice {asserted}, a más de 5 minutos de {now}; envíe la hora actual o ninguna.",
        ),
        values={"context.at": asserted},
    )


def party_to_chain(person: str, chain: str) -> Finding:
    return _finding(
        "party_to_chain",
        origin=Origin.DUTY,
        title=Text("Supervisor is a party", "El supervisor es parte"),
        message=Text(
            f"{person} has a hand in {chain} already and cannot supervise it; another supervisor must.",
            f"{person} ya interviene en {chain} y no puede supervisarla; debe hacerlo otro supervisor.",
        ),
        values={"person.id": person, "chain": chain},
    )


def engine_failure(code: str, detail: str) -> Finding:
    return _finding(
        "engine_failure",
        origin=Origin.SYSTEM,
        title=Text("The rules could not be evaluated", "No se pudieron evaluar las reglas"),
        message=Text(
            f"The rule engine failed ({code}): {detail} Nothing is permitted until it is mended.",
            f"El motor de reglas falló ({code}): {detail} No se permite nada hasta corregirlo.",
        ),
        cause=Cause.ERROR,
        values={"error": code},
    )


def too_many_lines(count: int, limit: int) -> Finding:
    return _finding(
        "too_many_lines",
        title=Text("Too many allocation lines", "Demasiadas líneas de asignación"),
        message=Text(
            f"{count} allocation lines were sent and one request may carry {limit}; split the allocation.",
            f"Se enviaron {count} líneas y una petición admite {limit}; divida la asignación.",
        ),
        values={"lines": count, "limit": limit},
    )
