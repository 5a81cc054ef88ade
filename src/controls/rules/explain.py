"""A rule in plain English or Spanish, generated from what the engines run and not from what somebody wrote.

Guarantees: every part of a rule that can change an answer is said: actions, periods, condition, effect,
mode, what absent facts lead to, parameters and their basis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from controls.model.duty import Period
from controls.model.finding import Effect, Source, Text
from controls.model.values import Json
from controls.rules.condition import WholeCondition
from controls.rules.due import Due
from controls.rules.release import Release
from controls.rules.rule import DecisionTable, HitPolicy, MissingPolicy, Rule
from controls.rules.tree import Constant
from controls.rules.wording import Wording

_LABELS: Final[Mapping[str, Text]] = {
    "subject.type": Text("Type of the caller's subject", "Tipo de sujeto"),
    "subject.id": Text("Account", "Cuenta de usuario"),
    "action.name": Text("Action", "Acción"),
    "resource.type": Text("Type of resource", "Tipo de recurso"),
    "resource.id": Text("Resource", "Recurso"),
    "person.id": Text("Person", "Persona"),
    "due_at": Text("Due time", "Fin del plazo"),  # not a fact: messages of obligations may quote it
    "person.roles": Text("Roles of the person", "Funciones de la persona"),
}
_EFFECTS: Final[Mapping[Effect, Text]] = {
    Effect.DENY: Text("the request is denied.", "se deniega la solicitud."),
    Effect.REVIEW: Text(
        "the request is held until an authorised person has reviewed it.",
        "la solicitud queda retenida hasta que la revise una persona autorizada.",
    ),
    Effect.FLAG: Text(
        "the request is permitted, and a case is opened for later review.",
        "se permite la solicitud y se abre un caso para su revisión posterior.",
    ),
    Effect.OBLIGE: Text(
        "the request is permitted, with this obligation:", "se permite la solicitud, con esta obligación:"
    ),
}
_PERMITTED: Final = Text("the request is permitted.", "se permite la solicitud.")
_HITS: Final[Mapping[HitPolicy, Text]] = {
    HitPolicy.UNIQUE: Text(
        "It decides by a table; one row at most applies.",
        "Decide por una tabla; se aplica una fila como máximo.",
    ),
    HitPolicy.ANY: Text(
        "It decides by a table; rows that apply together agree.",
        "Decide por una tabla; las filas que se aplican a la vez coinciden.",
    ),
    HitPolicy.FIRST: Text(
        "It decides by a table; the first row that applies counts.",
        "Decide por una tabla; cuenta la primera fila que se aplica.",
    ),
    HitPolicy.PRIORITY: Text(
        "It decides by a table; the strictest row that applies counts.",
        "Decide por una tabla; cuenta la fila más estricta que se aplica.",
    ),
    HitPolicy.COLLECT: Text(
        "It decides by a table; all rows that apply count.",
        "Decide por una tabla; cuentan todas las filas que se aplican.",
    ),
}
_MISSING: Final[Mapping[MissingPolicy, Text]] = {
    MissingPolicy.REVIEW: Text(
        "If a fact that the rule needs is missing, the request is held for review.",
        "Si falta un dato que la regla necesita, la solicitud queda retenida para su revisión.",
    ),
    MissingPolicy.DENY: Text(
        "If a fact that the rule needs is missing, the request is denied.",
        "Si falta un dato que la regla necesita, se deniega la solicitud.",
    ),
    MissingPolicy.SKIP: Text(
        "If a fact that the rule needs is missing, the rule says nothing, because: {0}",
        "Si falta un dato que la regla necesita, la regla no dice nada, porque: {0}",
    ),
}
_ERROR: Final[Mapping[bool, Text]] = {
    False: Text(
        "If the rule cannot be computed, the request is held for review.",
        "Si la regla no se puede calcular, la solicitud queda retenida para su revisión.",
    ),
    True: Text(
        "If the rule cannot be computed, the request is denied.",
        "Si la regla no se puede calcular, se deniega la solicitud.",
    ),
}
_BASES: Final = {
    "law": Text("law", "norma"),
    "guidance": Text("guidance", "orientación del supervisor"),
    "policy": Text("the firm's policy", "política de la entidad"),
}
_SEVERITIES: Final = {
    "low": Text("low", "baja"),
    "medium": Text("medium", "media"),
    "high": Text("high", "alta"),
    "critical": Text("critical", "crítica"),
}
_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def _clock(time: timedelta) -> str:
    """A time of day as a clock shows it; 24:00 is the end of the day."""
    minutes = time // timedelta(minutes=1)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def explain_rule(release: Release, rule: Rule, *, language: str) -> str:
    """The rule as text of several lines.

    Args:
        release: where the names of facts and steps come from.
        rule: one of its rules.
        language: `en` or `es`.
    """
    return "\n".join(_Explainer(release, rule, language).lines()) + "\n"


class _Explainer:
    def __init__(self, release: Release, rule: Rule, language: str) -> None:
        self._release, self._rule, self._language = release, rule, language
        self._words = Wording(language, self._label, self._step)

    def lines(self) -> Iterator[str]:
        rule, say = self._rule, self._say
        yield f"{rule.id}: {self._of(rule.title)}"
        yield ""
        actions = tuple(self._action(name) for name in rule.on)
        listed = self._words.listed(actions, "or")
        yield say(
            f"The rule applies when somebody asks for: {listed}.",
            f"La regla se aplica al solicitar: {listed}.",
        )
        for period in rule.periods:
            yield self._period(period)
        if rule.observe:
            yield say(
                "It only observes: what it finds is recorded and changes no answer.",
                "Sólo observa: lo que encuentra se registra y no cambia ninguna respuesta.",
            )
        yield ""
        if rule.table is None:
            yield from self._fires(rule.condition, rule)
        else:
            yield from self._rows(rule.table)
        yield self._of(_MISSING[rule.missing]).format(rule.because)
        yield self._of(_ERROR[rule.missing is MissingPolicy.DENY])
        message = self._quote(self._of(rule.message))
        yield say(f"The person is told: {message}", f"A la persona se le dice: {message}")
        yield ""
        if rule.parameters:
            yield say("Parameters:", "Parámetros:")
            for name, parameter in rule.parameters.items():
                value = self._words.constant(parameter.value)
                yield f"- {self._words.quoted(name)}: {value} ({self._of(_BASES[parameter.basis])})"
        yield say("Sources:", "Fuentes:")
        yield from (self._source(source) for source in rule.sources)
        severity = self._of(_SEVERITIES[rule.severity])
        owner = say(f" Owner: {rule.owner}.", f" Responsable: {rule.owner}.") if rule.owner else ""
        yield say(f"Severity: {severity}.{owner}", f"Gravedad: {severity}.{owner}")

    def _fires(self, condition: object, rule: Rule | None) -> Iterator[str]:
        """When a condition holds, and what it leads to; None: it permits."""
        assert isinstance(condition, WholeCondition)
        say = self._say
        first, *rest = map(self._words.contracted, self._words.lines(condition.tree))
        if isinstance(condition.tree, Constant):
            yield say("In any case", "En todo caso")
        else:
            yield say(f"If {first}{'' if rest else ','}", f"Si {first}{'' if rest else ','}")
        yield from (f"  {line}" for line in rest)
        yield self._then(rule)
        yield from self._obligation(rule)

    def _then(self, rule: Rule | None) -> str:
        effect = self._of(_PERMITTED if rule is None else _EFFECTS[rule.then])
        return self._say(f"then {effect}", f"entonces {effect}")

    def _rows(self, table: DecisionTable) -> Iterator[str]:
        yield self._of(_HITS[table.hit])
        for number, row in enumerate(table.rows, 1):
            yield self._say(f"Row {number}:", f"Fila {number}:")
            yield from (f"  {line}" for line in self._fires(row.condition, row.speaks))
        yield self._say("If no row applies,", "Si no se aplica ninguna fila,")
        yield self._then(table.unmatched)

    def _say(self, english: str, spanish: str) -> str:
        return spanish if self._language == "es" else english

    def _of(self, text: Text) -> str:
        return self._say(text.en, text.es)

    def _label(self, fact: str) -> str:
        aggregate = self._release.aggregates.get(fact)
        if aggregate is not None and aggregate.title is not None:
            return self._of(aggregate.title)
        declared = self._release.vocabulary.facts.get(fact)
        if declared is not None:
            return self._of(declared.label)
        return self._of(_LABELS[fact]) if fact in _LABELS else fact

    def _step(self, step: str) -> str:
        for action in self._rule.on:
            kind = self._release.chains.get(action.partition(".")[0])
            found = None if kind is None else kind.step(step)
            if found is not None:
                return self._of(found.title)
        return step

    def _action(self, action: str) -> str:
        name = action.partition(".")[2]
        title = self._step(name)
        quoted = self._words.quoted(action)
        return quoted if title == name else f"{title} ({quoted})"

    def _period(self, period: Period) -> str:
        say, words = self._say, self._words
        if period.start is None and period.end is None:
            return say("It is always in force.", "Está siempre en vigor.")
        parts: list[str] = []
        if period.start is not None:
            parts.append(say("from ", "desde el ") + words.constant(period.start))
        if period.end is not None:
            parts.append(say("until ", "hasta el ") + words.constant(period.end))
        return say("It is in force ", "Está en vigor ") + ", ".join(parts) + "."

    def _obligation(self, rule: Rule | None) -> Iterator[str]:
        if rule is None or rule.then is not Effect.OBLIGE:
            return
        for name, value in (rule.obligation or {}).items():
            yield f"  - {self._plain(name)}: {self._plain(value)}"
        if rule.due is not None:
            yield self._say("  - due ", "  - plazo: ") + self._due(rule.due)

    def _due(self, due: Due) -> str:
        say, words = self._say, self._words
        start = words.quoted(self._label(due.start)) if due.start else words.phrase("now")
        if due.within is not None:
            span = self._with_parameter(words.constant(due.within), due, "within")
            return say(f"within {span} of {start}", f"en {span} desde {start}")
        assert due.place is not None
        hour = self._with_parameter(_clock(due.at), due, "at")
        days = self._with_parameter(words.constant(due.days), due, "days")
        if due.calendar is not None:
            calendar = words.quoted(due.calendar.name)
            later = say(f"business days later: {days}", f"días hábiles después: {days}")
            same = say("on that day, or on the next business day", "ese día, o el siguiente día hábil")
            day = later if due.days else self._with_parameter(same, due, "days")
            day = f"{day}, {say('calendar', 'calendario')} {calendar}"
        else:
            later = say(f"days later: {days}", f"días después: {days}")
            same = say("on that day", "ese mismo día")
            day = later if due.days else self._with_parameter(same, due, "days")
        text = say(
            f"before {hour} ({due.place.key}), counted from {start}; {day}",
            f"antes de las {hour} ({due.place.key}), a contar desde {start}; {day}",
        )
        if due.warn_at is None:
            return text
        warn = self._with_parameter(_clock(due.warn_at), due, "warn_at")
        return text + say(f", with a warning at {warn}", f", con aviso a las {warn}")

    def _with_parameter(self, text: str, due: Due, part: str) -> str:
        name = due.parameters.get(part)
        return text if name is None else self._words.phrase("parameter", text, self._words.quoted(name))

    def _plain(self, value: Json) -> str:
        if isinstance(value, dict):
            return "; ".join(f"{self._plain(name)}: {self._plain(item)}" for name, item in value.items())
        if isinstance(value, list):
            return ", ".join(map(self._plain, value))
        if isinstance(value, bool):
            return self._words.constant(value)
        return str(value).replace("_", " ")

    def _quote(self, template: str) -> str:
        """A message with the names of facts in the place of their values."""

        def named(part: re.Match[str]) -> str:
            name = part.group(1)
            return part.group()[0] if name is None else f"[{self._label(name)}]"

        return self._words.quoted(_PLACEHOLDER.sub(named, template))

    def _source(self, source: Source) -> str:
        article = f", {source.article}" if source.article else ""
        unread = self._say("; the source itself has not been read again", "; pendiente de releer la fuente")
        basis = self._of(_BASES[source.basis])
        return f"- {source.law}{article} ({basis}{'' if source.reviewed else unread})"
