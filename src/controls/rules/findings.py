"""What a rule's verdict becomes: the finding that a person reads and the ledger keeps.

Guarantees: a rule that is true speaks with its own effect; one that could not be computed asks for a review
at least, whatever its `missing` policy; one that lacks an input follows that policy; a false one is silent.
"""

from __future__ import annotations

from typing import Final

from controls.model.condition import Facts, Truth, Verdict
from controls.model.finding import Cause, Effect, Finding, Origin, Text
from controls.model.values import Value
from controls.rules.messages import render
from controls.rules.rule import MissingPolicy, Rule

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
        return _finding(
            rule, verdict, effect=rule.then, cause=Cause.FIRED, message=_message(rule, verdict, facts)
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


def _finding(rule: Rule, verdict: Verdict, *, effect: Effect, cause: Cause, message: Text) -> Finding:
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
    )


def _message(rule: Rule, verdict: Verdict, facts: Facts) -> Text:
    values: dict[str, Value] = {**facts.values, **verdict.read}
    values.update((name, parameter.value) for name, parameter in rule.parameters.items())
    return Text(en=render(rule.message.en, values), es=render(rule.message.es, values))


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
