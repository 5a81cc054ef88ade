"""What a rule's verdict becomes: the finding that a person reads and the ledger keeps.

Guarantees: a rule that is true speaks with its own effect; one that could not be computed asks for a review
at least, whatever its `missing` policy; one that lacks an input follows that policy; a false one is silent.
An obligation whose due time cannot be computed asks for a review at least: it is never left out.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Final

from controls.model.condition import Facts, Truth, Verdict
from controls.model.finding import Cause, Deadline, Effect, Finding, Origin, Text
from controls.model.values import Value
from controls.rules.messages import render
from controls.rules.reading import Unknown
from controls.rules.rule import MissingPolicy, Rule

# What a message calls the due time of its rule's obligation.
DUE_AT: Final = "due_at"

_MISSING_EFFECTS: Final = {
    MissingPolicy.REVIEW: Effect.REVIEW,
    MissingPolicy.DENY: Effect.DENY,
    MissingPolicy.SKIP: None,
}


def finding_of(rule: Rule, *, verdict: Verdict, facts: Facts) -> Finding | None:
    """The finding of one rule in force, or None when the rule has nothing to say.

    Args:
        rule: the rule, already known to watch the action and to be in force.
        verdict: its condition's verdict on `facts`.
        facts: what its message may quote besides what its condition read.
    """
    if verdict.truth == Truth.FALSE:
        return None
    if verdict.truth == Truth.TRUE:
        due = None if rule.due is None else rule.due.deadline(facts)
        if isinstance(due, Unknown):
            return _without_deadline(rule, verdict, due)
        return _finding(
            rule,
            _with_start(rule, verdict, facts),
            effect=rule.then,
            cause=Cause.FIRED,
            message=_message(rule, verdict, facts, due),
            deadline=due,
        )
    if verdict.error:
        effect = Effect.DENY if rule.missing is MissingPolicy.DENY else Effect.REVIEW
        message = Text(
            en=f"This rule could not be computed: {verdict.error}",
            es=f"No se pudo calcular esta regla: {verdict.error}",
        )
        return _finding(rule, verdict, effect=effect, cause=Cause.ERROR, message=message)
    wanted = _MISSING_EFFECTS[rule.missing]
    if wanted is None:
        return None
    return _finding(rule, verdict, effect=wanted, cause=Cause.MISSING, message=_missing(verdict.missing))


def _without_deadline(rule: Rule, verdict: Verdict, why: Unknown) -> Finding:
    """The rule obliges, and by when is not known: never a permit without the duty."""
    absent = ", ".join(why.missing)
    return _finding(
        rule,
        Verdict(Truth.UNKNOWN, read=verdict.read, missing=why.missing, error=why.error),
        effect=Effect.DENY if rule.missing is MissingPolicy.DENY else Effect.REVIEW,
        cause=Cause.ERROR if why.error else Cause.MISSING,
        message=Text(
            en=f"The due time of this obligation could not be computed: {why.error or f'missing {absent}'}",
            es=f"No se pudo calcular el plazo de esta obligación: {why.error or f'falta {absent}'}",
        ),
    )


def _with_start(rule: Rule, verdict: Verdict, facts: Facts) -> Verdict:
    """The verdict, with the fact that the due time counts from among what was read."""
    if rule.due is None or not rule.due.start:
        return verdict
    start = rule.due.start
    return replace(verdict, read={**verdict.read, start: facts.values[start]})


def _finding(
    rule: Rule,
    verdict: Verdict,
    *,
    effect: Effect,
    cause: Cause,
    message: Text,
    deadline: Deadline | None = None,
) -> Finding:
    return Finding(
        rule=rule.id,
        version=rule.version,
        origin=Origin.RULE,
        effect=effect,
        title=rule.title,
        message=message,
        cause=cause,
        values=verdict.read,
        missing=verdict.missing,
        sources=rule.sources,
        observed=rule.observe,
        silent=rule.silent and cause is Cause.FIRED,
        deadline=deadline,
    )


def _message(rule: Rule, verdict: Verdict, facts: Facts, due: Deadline | None) -> Text:
    values: dict[str, Value] = {**facts.values, **verdict.read}
    values.update((name, parameter.value) for name, parameter in rule.parameters.items())
    if due is not None:
        place = UTC if rule.due is None or rule.due.place is None else rule.due.place
        values[DUE_AT] = due.due_at.astimezone(place)
    return Text(
        en=render(rule.message.en, values, language="en"), es=render(rule.message.es, values, language="es")
    )


def _missing(names: tuple[str, ...]) -> Text:
    if not names:
        return Text(
            en="This rule could not be decided from what the request says.",
            es="Esta regla no se pudo decidir con lo que dice la solicitud.",
        )
    listed = ", ".join(names)
    return Text(
        en=f"This rule could not be checked. Missing: {listed}.",
        es=f"No se pudo comprobar esta regla. Falta: {listed}.",
    )
