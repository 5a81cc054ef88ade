"""Findings of duties in plain English and Spanish, each with the figures behind it.

Guarantees: a sentence names the earlier steps, by whom and when; `values` holds the figures (person, step,
steps, count, limit), so that an approval of a finding lapses as soon as one of them changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from controls.duties.constraints import Asked, Violation
from controls.duties.wording import acts, names, step_title, step_titles
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Cause, Effect, Finding, Origin, Text
from controls.model.values import Value

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
    return Finding(
        rule=constraint.id,
        version=constraint.version,
        origin=Origin.DUTY,
        effect=effect,
        title=constraint.title,
        message=constraint.message or _sentence(constraint, found=found, asked=asked),
        cause=cause,
        values=values,
        missing=found.missing,
        sources=constraint.sources,
    )


def roles_finding(constraint: Constraint, *, found: Violation, person: str) -> Finding:
    """The finding of `exclusive_roles` about a person as such, without any step asked for."""
    return Finding(
        rule=constraint.id,
        version=constraint.version,
        origin=Origin.DUTY,
        effect=constraint.then,
        title=constraint.title,
        message=constraint.message or _exclusive_roles(found, person=person),
        values={"person": person, "roles": found.roles, "count": found.count, "limit": found.limit},
        sources=constraint.sources,
    )


def _sentence(constraint: Constraint, *, found: Violation, asked: Asked) -> Text:
    if constraint.kind is ConstraintKind.WHOLE_CHAIN:
        text = _whole_chain(found, asked=asked)
    elif constraint.kind is ConstraintKind.SOLE_ACTOR:
        text = _sole_actor(found, asked=asked)
    elif constraint.kind is ConstraintKind.SEPARATE:
        text = _separate(found, asked=asked)
    elif constraint.kind is ConstraintKind.AT_MOST:
        text = _at_most(found, asked=asked, on_account=constraint.scope is Scope.ACCOUNT)
    elif constraint.kind is ConstraintKind.AT_LEAST:
        text = _at_least(found, asked=asked)
    elif constraint.kind is ConstraintKind.BIND:
        text = _bind(found, asked=asked)
    else:
        text = _exclusive_roles(found, person=asked.person)
    if not found.missing and not found.error:
        return text
    why = names(found.missing) if found.missing else Text(found.error, found.error)
    return Text(
        f"{text.en} Whether this rule applies could not be told ({why.en}), so it applies.",
        f"{text.es} No se ha podido saber si esta regla se aplica ({why.es}), así que se aplica.",
    )


def _whole_chain(found: Violation, *, asked: Asked) -> Text:
    step, earlier = _step(asked), acts(found.acts, kind=asked.kind)
    return Text(
        f"With {step.en}, {asked.person} would have a hand in all {found.count} mandatory steps of this "
        f"chain; at most {found.limit} are allowed to one person. Earlier: {earlier.en}.",
        f"Con {step.es}, {asked.person} intervendría en los {found.count} pasos obligatorios de esta "
        f"cadena; una persona puede intervenir como máximo en {found.limit}. Antes: {earlier.es}.",
    )


def _sole_actor(found: Violation, *, asked: Asked) -> Text:
    step, earlier = _step(asked), acts(found.acts, kind=asked.kind)
    return Text(
        f"{step.en} is the last step of the chain and nobody but {asked.person} holds a step of it so far "
        f"(own acts: {earlier.en}). Somebody else must take {step.en}.",
        f"{step.es} es el último paso de la cadena y hasta ahora nadie más que {asked.person} tiene un paso "
        f"de ella (actos propios: {earlier.es}). {step.es} corresponde a otra persona.",
    )


def _separate(found: Violation, *, asked: Asked) -> Text:
    step, earlier = _step(asked), acts(found.acts, kind=asked.kind)
    others = step_titles(found.steps, kind=asked.kind)
    return Text(
        f"{step.en} is kept apart from {others.en} on one chain, and {asked.person} had a hand there: "
        f"{earlier.en}. Somebody else must take {step.en}.",
        f"{step.es} va separado de {others.es} en una misma cadena, y {asked.person} ya intervino ahí: "
        f"{earlier.es}. {step.es} corresponde a otra persona.",
    )


def _at_most(found: Violation, *, asked: Asked, on_account: bool) -> Text:
    step = _step(asked)
    earlier = acts(found.acts, kind=asked.kind, with_chain=on_account)
    steps = step_titles(found.steps, kind=asked.kind)
    if on_account:
        return Text(
            f"With {step.en}, {asked.person} would have taken {found.count} of these steps ({steps.en}) over "
            f"all chains of the account; at most {found.limit} are allowed. Earlier: {earlier.en}.",
            f"Con {step.es}, {asked.person} sumaría {found.count} de estos pasos ({steps.es}) entre todas "
            f"las cadenas de la cuenta; el máximo es {found.limit}. Antes: {earlier.es}.",
        )
    return Text(
        f"With {step.en}, {asked.person} would have a hand in {found.count} of these steps ({steps.en}); at "
        f"most {found.limit} are allowed to one person. Earlier: {earlier.en}.",
        f"Con {step.es}, {asked.person} intervendría en {found.count} de estos pasos ({steps.es}); una "
        f"persona puede intervenir como máximo en {found.limit}. Antes: {earlier.es}.",
    )


def _at_least(found: Violation, *, asked: Asked) -> Text:
    step, earlier = _step(asked), acts(found.acts, kind=asked.kind)
    steps = step_titles(found.steps, kind=asked.kind)
    return Text(
        f"These steps ({steps.en}) need at least {found.limit} different persons; with {asked.person} on "
        f"{step.en} there can be {found.count} at most. So far: {earlier.en}.",
        f"Estos pasos ({steps.es}) exigen al menos {found.limit} personas distintas; con {asked.person} en "
        f"{step.es} pueden ser {found.count} como máximo. Hasta ahora: {earlier.es}.",
    )


def _bind(found: Violation, *, asked: Asked) -> Text:
    step, earlier = _step(asked), acts(found.acts, kind=asked.kind)
    others = step_titles(found.steps, kind=asked.kind)
    return Text(
        f"{step.en} goes with {others.en}: one person takes both, and that is not {asked.person}: "
        f"{earlier.en}.",
        f"{step.es} va unido a {others.es}: los hace una misma persona, y no es {asked.person}: "
        f"{earlier.es}.",
    )


def _exclusive_roles(found: Violation, *, person: str) -> Text:
    roles = names(found.roles)
    return Text(
        f"{person} holds {found.count} roles that exclude each other ({roles.en}); at most {found.limit} of "
        "them may be held by one person.",
        f"{person} tiene {found.count} roles que se excluyen entre sí ({roles.es}); una persona puede "
        f"tener como máximo {found.limit}.",
    )


def _step(asked: Asked) -> Text:
    return step_title(asked.step, kind=asked.kind)
