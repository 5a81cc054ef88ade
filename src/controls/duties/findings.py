"""Findings of duties in plain English and Spanish, each with the figures behind it.

Guarantees: a sentence names the earlier steps, by whom and when; `values` holds the figures (person, step,
steps, count, limit), so that an approval of a finding lapses as soon as one of them changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from controls.duties.asked import Asked, Violation
from controls.duties.sentences import exclusive_roles, sentence
from controls.model.duty import Constraint
from controls.model.finding import Cause, Effect, Finding, Origin, Text
from controls.model.values import Value

MITIGATION: Final = "mitigation"  # the value that names what a conflict is accepted by
BUILT_IN: Final = "1"  # version of the findings whose meaning is in the code


def denial(
    rule: str,
    *,
    title: Text,
    message: Text,
    origin: Origin = Origin.DUTY,
    values: Mapping[str, Value] | None = None,
    missing: tuple[str, ...] = (),
    cause: Cause = Cause.FIRED,
) -> Finding:
    """A built-in finding that denies."""
    return Finding(
        rule=rule,
        version=BUILT_IN,
        origin=origin,
        effect=Effect.DENY,
        title=title,
        message=message,
        cause=cause,
        values={} if values is None else values,
        missing=missing,
    )


def constraint_finding(constraint: Constraint, *, found: Violation, asked: Asked) -> Finding:
    """The finding of a violated constraint; its own message, where the file gives one, is taken as it is.

    A constraint whose condition could not be computed asks for a review at the least.
    """
    effect = constraint.then
    cause = Cause.FIRED
    if found.error:
        cause = Cause.ERROR
        effect = Effect.DENY if effect is Effect.DENY else Effect.REVIEW
    elif found.missing:
        cause = Cause.MISSING
    values: dict[str, Value] = {
        "person": asked.person,
        "step": asked.step,
        "count": found.count,
        "limit": found.limit,
    }
    if found.roles:
        values["roles"] = found.roles
    else:
        values["steps"] = found.steps
    if found.relations:
        values["relations"] = found.relations
    if found.until is not None:
        values["until"] = found.until
    return Finding(
        rule=constraint.id,
        version=constraint.version,
        origin=Origin.DUTY,
        effect=effect,
        title=constraint.title,
        message=constraint.message or sentence(constraint, found=found, asked=asked),
        cause=cause,
        values=values,
        missing=found.missing,
        sources=constraint.sources,
    )


def mitigated_finding(finding: Finding, mitigation: str) -> Finding:
    """A finding of a conflict that is accepted: the act goes ahead, and somebody must look at it."""
    told = finding.message
    return replace(
        finding,
        effect=Effect.FLAG if finding.effect in (Effect.DENY, Effect.REVIEW) else finding.effect,
        message=Text(
            f"{told.en} This conflict is accepted (mitigation {mitigation}); somebody must look at the act.",
            f"{told.es} Este conflicto está aceptado (mitigación {mitigation}); alguien debe revisar lo "
            "hecho.",
        ),
        values={**finding.values, MITIGATION: mitigation},
    )


def roles_finding(constraint: Constraint, *, found: Violation, person: str) -> Finding:
    """The finding of `exclusive_roles` about a person as such, without any step asked for."""
    return Finding(
        rule=constraint.id,
        version=constraint.version,
        origin=Origin.DUTY,
        effect=constraint.then,
        title=constraint.title,
        message=constraint.message or exclusive_roles(found, person=person),
        values={"person": person, "roles": found.roles, "count": found.count, "limit": found.limit},
        sources=constraint.sources,
    )
