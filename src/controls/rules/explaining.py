"""What explanations of rules, duties, chain kinds and grants share: names, periods and sources in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from controls.model.chain import ChainKind
from controls.model.condition import Condition
from controls.model.duty import Period
from controls.model.finding import Effect, Source, Text
from controls.rules.condition import WholeCondition
from controls.rules.release import Release
from controls.rules.wording import Wording
from controls.rules.zones import zone

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
EFFECTS: Final[Mapping[Effect, Text]] = {
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
BASES: Final = {
    "law": Text("law", "norma"),
    "guidance": Text("guidance", "orientación del supervisor"),
    "policy": Text("the firm's policy", "política de la entidad"),
}


class Explaining:
    """Words about parts of a release in one language, `en` or `es`; steps are those of `kinds`."""

    def __init__(self, release: Release, language: str, *, kinds: Iterable[ChainKind]) -> None:
        self.release, self.language, self.kinds = release, language, tuple(kinds)
        self.words = Wording(language, self.label, self.step)

    def say(self, english: str, spanish: str) -> str:
        return spanish if self.language == "es" else english

    def of(self, text: Text) -> str:
        return self.say(text.en, text.es)

    def label(self, fact: str) -> str:
        """What people call a fact."""
        aggregate = self.release.aggregates.get(fact)
        if aggregate is not None and aggregate.title is not None:
            return self.of(aggregate.title)
        declared = self.release.vocabulary.facts.get(fact)
        if declared is not None:
            return self.of(declared.label)
        return self.of(_LABELS[fact]) if fact in _LABELS else fact

    def step(self, step: str) -> str:
        """What people call a step."""
        found = next((item for kind in self.kinds if (item := kind.step(step)) is not None), None)
        return step if found is None else self.of(found.title)

    def named(self, title: str, name: str) -> str:
        """A title with the name that stands in the files, where the two differ."""
        return self.words.quoted(name) if title == name else f"{title} ({self.words.quoted(name)})"

    def period(self, period: Period) -> str:
        say, words = self.say, self.words
        if period.start is None and period.end is None:
            return say("It is always in force.", "Está siempre en vigor.")
        place = zone(period.zone)

        def day(moment: datetime) -> str:
            return f"{words.constant(moment.astimezone(place).date())}, 00:00 ({period.zone})"

        parts: list[str] = []
        if period.start is not None:
            parts.append(say("from ", "desde el ") + day(period.start))
        if period.end is not None:
            parts.append(say("until ", "hasta el ") + day(period.end))
        return say("It is in force ", "Está en vigor ") + ", ".join(parts) + "."

    def source(self, source: Source) -> str:
        article = f", {source.article}" if source.article else ""
        unread = self.say("; the source itself has not been read again", "; pendiente de releer la fuente")
        basis = self.of(BASES[source.basis])
        return f"- {source.law}{article} ({basis}{'' if source.reviewed else unread})"

    def steps(self, steps: Iterable[str], word: str = "and") -> str:
        return self.words.listed(tuple(self.named(self.step(step), step) for step in steps), word)

    def roles(self, roles: Iterable[str], word: str = "and") -> str:
        titles = self.release.role_titles
        return self.words.listed(
            tuple(self.named(self.of(titles.get(role, Text(role, role))), role) for role in roles), word
        )

    def where(self, condition: Condition, *, lead: str) -> Iterator[str]:
        """A condition as lines after what leads to it."""
        assert isinstance(condition, WholeCondition)
        first, *rest = map(self.words.contracted, self.words.lines(condition.tree))
        yield f"{lead} {first}{'' if rest else '.'}"
        yield from (f"  {line}" for line in rest)
