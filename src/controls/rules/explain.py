"""A rule in plain English or Spanish, generated from what the engines run and not from what somebody wrote.

Guarantees: every part of a rule that can change an answer is said: actions, periods, condition, effect,
mode, what absent facts lead to, parameters and their basis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from controls.model.finding import Effect, Text
from controls.model.values import Json
from controls.rules.condition import WholeCondition
from controls.rules.due import Due
from controls.rules.explaining import BASES, EFFECTS, Explaining
from controls.rules.release import Release
from controls.rules.rule import DecisionTable, HitPolicy, MissingPolicy, Rule
from controls.rules.tree import Constant

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


class _Explainer(Explaining):
    def __init__(self, release: Release, rule: Rule, language: str) -> None:
        kinds = (release.chains.get(action.partition(".")[0]) for action in rule.on)
        super().__init__(release, language, kinds=(kind for kind in kinds if kind is not None))
        self._rule = rule

    def lines(self) -> Iterator[str]:
        rule, say = self._rule, self.say
        yield f"{rule.id}: {self.of(rule.title)}"
        yield ""
        actions = tuple(self._action(name) for name in rule.on)
        listed = self.words.listed(actions, "or")
        yield say(
            f"The rule applies when somebody asks for: {listed}.",
            f"La regla se aplica al solicitar: {listed}.",
        )
        for period in rule.periods:
            yield self.period(period)
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
        yield self.of(_MISSING[rule.missing]).format(rule.because)
        yield self.of(_ERROR[rule.missing is MissingPolicy.DENY])
        message = self._quote(self.of(rule.message))
        yield say(f"The person is told: {message}", f"A la persona se le dice: {message}")
        yield ""
        if rule.parameters:
            yield say("Parameters:", "Parámetros:")
            for name, parameter in rule.parameters.items():
                value = self.words.constant(parameter.value)
                yield f"- {self.words.quoted(name)}: {value} ({self.of(BASES[parameter.basis])})"
        yield say("Sources:", "Fuentes:")
        yield from (self.source(source) for source in rule.sources)
        severity = self.of(_SEVERITIES[rule.severity])
        owner = say(f" Owner: {rule.owner}.", f" Responsable: {rule.owner}.") if rule.owner else ""
        yield say(f"Severity: {severity}.{owner}", f"Gravedad: {severity}.{owner}")

    def _fires(self, condition: object, rule: Rule | None) -> Iterator[str]:
        """When a condition holds, and what it leads to; None: it permits."""
        assert isinstance(condition, WholeCondition)
        say = self.say
        first, *rest = map(self.words.contracted, self.words.lines(condition.tree))
        if isinstance(condition.tree, Constant):
            yield say("In any case", "En todo caso")
        else:
            yield say(f"If {first}{'' if rest else ','}", f"Si {first}{'' if rest else ','}")
        yield from (f"  {line}" for line in rest)
        yield self._then(rule)
        yield from self._obligation(rule)

    def _then(self, rule: Rule | None) -> str:
        effect = self.of(_PERMITTED if rule is None else EFFECTS[rule.then])
        return self.say(f"then {effect}", f"entonces {effect}")

    def _rows(self, table: DecisionTable) -> Iterator[str]:
        yield self.of(_HITS[table.hit])
        for number, row in enumerate(table.rows, 1):
            yield self.say(f"Row {number}:", f"Fila {number}:")
            yield from (f"  {line}" for line in self._fires(row.condition, row.speaks))
        yield self.say("If no row applies,", "Si no se aplica ninguna fila,")
        yield self._then(table.unmatched)

    def _action(self, action: str) -> str:
        name = action.partition(".")[2]
        title = self.step(name)
        return self.words.quoted(action) if title == name else self.named(title, action)

    def _obligation(self, rule: Rule | None) -> Iterator[str]:
        if rule is None or rule.then is not Effect.OBLIGE:
            return
        for name, value in (rule.obligation or {}).items():
            yield f"  - {self._plain(name)}: {self._plain(value)}"
        if rule.due is not None:
            yield self.say("  - due ", "  - plazo: ") + self._due(rule.due)

    def _due(self, due: Due) -> str:
        say, words = self.say, self.words
        start = words.quoted(self.label(due.start)) if due.start else words.phrase("now")
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
        return text if name is None else self.words.phrase("parameter", text, self.words.quoted(name))

    def _plain(self, value: Json) -> str:
        if isinstance(value, dict):
            return "; ".join(f"{self._plain(name)}: {self._plain(item)}" for name, item in value.items())
        if isinstance(value, list):
            return ", ".join(map(self._plain, value))
        if isinstance(value, bool):
            return self.words.constant(value)
        return str(value).replace("_", " ")

    def _quote(self, template: str) -> str:
        """A message with the names of facts in the place of their values."""

        def named(part: re.Match[str]) -> str:
            name = part.group(1)
            return part.group()[0] if name is None else f"[{self.label(name)}]"

        return self.words.quoted(_PLACEHOLDER.sub(named, template))
