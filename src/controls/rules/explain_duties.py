"""Duty constraints in plain English or Spanish, from what is enforced.

Guarantees: every part that can change an answer is said: what is counted, over which acts, the condition and
what an unknown one leads to, the effect, and what no exception lifts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Text
from controls.rules.explaining import EFFECTS, Explaining
from controls.rules.messages import shown
from controls.rules.release import Release

_SCOPES: Final[Mapping[Scope, Text]] = {
    Scope.CHAIN: Text("on one chain", "en una misma cadena"),
    Scope.ACCOUNT: Text("on all chains of one account", "en todas las cadenas de una misma cuenta"),
    Scope.INSTRUMENT: Text("on all chains of one instrument", "en todas las cadenas de un mismo instrumento"),
    Scope.DESK: Text("on all chains of one desk", "en todas las cadenas de una misma mesa"),
}
_ATTRIBUTES: Final = {
    "reports_to": Text("one reports to the other", "una depende jerárquicamente de la otra"),
    "household": Text("they live in one household", "viven en un mismo hogar"),
    "department": Text("department", "departamento"),
    "desk": Text("desk", "mesa"),
}
# Kinds that count only what holds its step.
_STANDING: Final = frozenset({ConstraintKind.AT_LEAST, ConstraintKind.BIND, ConstraintKind.SOLE_ACTOR})
_COUNTED: Final[Mapping[bool, Text]] = {
    False: Text(
        "Persons are counted, not accounts. Acts that were abandoned or voided count as well, and those on "
        "chains that this one comes from.",
        "Se cuentan personas, no cuentas de usuario. También cuentan los actos abandonados o anulados, y los "
        "de las cadenas de las que procede.",
    ),
    True: Text(
        "Persons are counted, not accounts. Only acts that are claimed or performed count.",
        "Se cuentan personas, no cuentas de usuario. Sólo cuentan los actos reservados o realizados.",
    ),
}
_COUNTED_ROLES: Final = Text(
    "Roles count with all that they inherit.", "Los roles cuentan con todo lo que heredan."
)


def explain_constraint(release: Release, constraint: Constraint, *, language: str) -> str:
    """A duty constraint as text of several lines.

    Args:
        release: where the names of facts, roles and steps come from.
        constraint: one of its constraints.
        language: `en` or `es`.
    """
    kinds = [
        kind
        for kind in release.chains.values()
        if constraint.chain in ("", kind.id)
        and (not constraint.steps or any(kind.step(step) for step in constraint.steps))
    ]
    return "\n".join(_Duty(release, language, kinds=kinds).lines(constraint)) + "\n"


class _Duty(Explaining):
    def lines(self, item: Constraint) -> Iterator[str]:
        say = self.say
        yield f"{item.id}: {self.of(item.title)}"
        yield ""
        if item.excludes_roles:
            yield say("The duty is about who holds which roles.", "La regla trata de quién tiene qué roles.")
        else:
            named = self.words.listed(
                tuple(self.named(self.of(kind.title), kind.id) for kind in self.kinds), "and"
            )
            yield say(f"The duty holds on chains of: {named}.", f"La regla rige en las cadenas de: {named}.")
        yield self.period(item.effective)
        if item.when is not None:
            yield from self.where(item.when, lead=say("It applies where", "Se aplica cuando"))
            yield say(
                "Where it is not known whether that is so, it applies.",
                "Si no se sabe si es así, se aplica.",
            )
        yield ""
        yield from _SENTENCES[item.kind](self, item)
        if item.ordered:
            yield say(
                "Only steps count that are listed before the one asked for, or are claimed and not yet done.",
                "Sólo cuentan los pasos que figuran antes del que se pide, o que están reservados y aún no "
                "realizados.",
            )
        if item.within is not None and item.kind is not ConstraintKind.COOLING_OFF:
            span = shown(item.within, language=self.language)
            yield say(
                f"Only acts of the last {span} count.", f"Sólo cuentan los actos de los últimos {span}."
            )
        if item.within is not None:
            yield say(
                "The time of a step begins when it is performed; while it is only claimed, it has not begun.",
                "El plazo de un paso empieza cuando se realiza; mientras está sólo reservado, aún no.",
            )
        yield say("Otherwise ", "Si no, ") + self.of(EFFECTS[item.then])
        yield self.of(_COUNTED_ROLES if item.excludes_roles else _COUNTED[item.kind in _STANDING])
        if item.absolute:
            yield say("No emergency access lifts it.", "Ningún acceso de emergencia la levanta.")
        if item.message is not None:
            message = self.words.quoted(self.of(item.message))
            yield say(f"The person is told: {message}", f"A la persona se le dice: {message}")
        if item.sources:
            yield ""
            yield say("Sources:", "Fuentes:")
            yield from (self.source(source) for source in item.sources)

    def separate(self, item: Constraint) -> Iterator[str]:
        steps, scope = self.steps(item.steps), self.of(_SCOPES[item.scope])
        yield self.say(
            f"Nobody takes more than one of these steps {scope}: {steps}.",
            f"Nadie da más de uno de estos pasos {scope}: {steps}.",
        )

    def at_most(self, item: Constraint) -> Iterator[str]:
        scope, limit = self.of(_SCOPES[item.scope]), self.words.constant(item.limit)
        if not item.groups:
            steps = self.steps(item.steps)
            yield self.say(
                f"Nobody takes more than {limit} of these steps {scope}: {steps}.",
                f"Nadie da más de {limit} de estos pasos {scope}: {steps}.",
            )
            return
        yield self.say(
            f"Nobody takes on more than {limit} of these duties {scope}:",
            f"Nadie asume más de {limit} de estas funciones {scope}:",
        )
        yield from self._groups(item)

    def _groups(self, item: Constraint) -> Iterator[str]:
        for group in item.groups:
            yield f"- {self.words.quoted(group.name)}: {self.steps(group.steps)}"

    def at_least(self, item: Constraint) -> Iterator[str]:
        steps, limit = self.steps(item.steps), self.words.constant(item.limit)
        yield self.say(
            f"At least {limit} different persons take these steps between them: {steps}. Nobody takes a step "
            "after which that could not be reached any more.",
            f"Al menos {limit} personas distintas dan entre todas estos pasos: {steps}. Nadie da un paso "
            "después del cual ya no se podría alcanzar.",
        )

    def bind(self, item: Constraint) -> Iterator[str]:
        steps = self.steps(item.steps)
        yield self.say(
            f"One and the same person takes these steps: {steps}.",
            f"Una misma persona da estos pasos: {steps}.",
        )

    def votes(self, item: Constraint) -> Iterator[str]:
        step, limit = self.steps(item.steps), self.words.constant(item.limit)
        yield self.say(
            f"The step {step} takes {limit} persons, each of whom takes it once.",
            f"El paso {step} requiere {limit} personas, y cada una lo da una vez.",
        )
        if item.distinct_from:
            others = self.steps(item.distinct_from, "or")
            yield self.say(
                f"None of them has a hand in: {others}.", f"Ninguna de ellas interviene en: {others}."
            )

    def exclusive_roles(self, item: Constraint) -> Iterator[str]:
        roles, limit = self.roles(item.roles), self.words.constant(item.limit)
        if not item.dynamic:
            yield self.say(
                f"Nobody holds more than {limit} of these roles: {roles}.",
                f"Nadie tiene más de {limit} de estos roles: {roles}.",
            )
            return
        yield self.say(
            f"Nobody uses more than {limit} of these roles on one chain: {roles}. A role is used by taking a "
            "step that it is granted:",
            f"Nadie ejerce más de {limit} de estos roles en una misma cadena: {roles}. Un rol se ejerce al "
            "dar un paso que se le concede:",
        )
        yield from self._groups(item)

    def relation(self, item: Constraint) -> Iterator[str]:
        steps = self.steps(item.steps)
        yield self.say(
            f"Whoever takes one of these steps is not related to those who took the others: {steps}.",
            f"Quien da uno de estos pasos no está relacionado con quienes dieron los demás: {steps}.",
        )
        if item.forbid:
            named = self.words.listed(tuple(self.of(_ATTRIBUTES[name]) for name in item.forbid), "or")
            yield self.say(f"Two persons are related where {named}.", f"Dos personas lo están si {named}.")
        if item.differ:
            named = self.words.listed(tuple(self.of(_ATTRIBUTES[name]) for name in item.differ), "and")
            yield self.say(f"They differ in: {named}.", f"Difieren en: {named}.")
        yield self.say(
            "What the directory does not tell counts as related.",
            "Lo que el directorio no dice cuenta como relación.",
        )

    def chinese_wall(self, item: Constraint) -> Iterator[str]:
        of_class = self.words.quoted(self.label(item.conflict_class))
        dataset = self.words.quoted(self.label(item.dataset))
        yield self.say(
            f"Whoever has acted for one {dataset} does not act for another one of the same {of_class}.",
            f"Quien ha actuado para un valor de {dataset} no actúa para otro con el mismo {of_class}.",
        )
        if item.steps:
            steps = self.steps(item.steps)
            yield self.say(f"These steps count: {steps}.", f"Cuentan estos pasos: {steps}.")

    def cooling_off(self, item: Constraint) -> Iterator[str]:
        assert item.within is not None
        steps, scope = self.steps(item.steps), self.of(_SCOPES[item.scope])
        span = shown(item.within, language=self.language)
        yield self.say(
            f"These steps are at least {span} apart {scope}, whoever takes them: {steps}.",
            f"Estos pasos distan al menos {span} {scope}, los dé quien los dé: {steps}.",
        )

    def coalition(self, item: Constraint) -> Iterator[str]:
        steps, limit = self.steps(item.steps), self.words.constant(item.limit)
        yield self.say(
            f"Fewer than {limit} persons do not take all of these steps between them: {steps}.",
            f"Menos de {limit} personas no dan entre ellas todos estos pasos: {steps}.",
        )

    def whole_chain(self, _item: Constraint) -> Iterator[str]:
        for kind in self.kinds:
            steps = self.steps(kind.mandatory)
            yield self.say(
                f"Nobody takes part in every mandatory step of one chain: {steps}. It is built in; no file "
                "weakens it.",
                f"Nadie interviene en todos los pasos obligatorios de una misma cadena: {steps}. Está "
                "incorporada; ningún fichero la debilita.",
            )

    def sole_actor(self, _item: Constraint) -> Iterator[str]:
        for kind in self.kinds:
            last = self.steps(kind.mandatory[-1:])
            yield self.say(
                f"The last mandatory step, {last}, is not taken by whoever is the only one to have acted so "
                "far. It is built in.",
                f"El último paso obligatorio, {last}, no lo da quien es el único que ha actuado hasta ahora. "
                "Está incorporada.",
            )


_SENTENCES: Final[Mapping[ConstraintKind, Callable[[_Duty, Constraint], Iterator[str]]]] = {
    ConstraintKind.SEPARATE: _Duty.separate,
    ConstraintKind.AT_MOST: _Duty.at_most,
    ConstraintKind.AT_LEAST: _Duty.at_least,
    ConstraintKind.BIND: _Duty.bind,
    ConstraintKind.VOTES: _Duty.votes,
    ConstraintKind.EXCLUSIVE_ROLES: _Duty.exclusive_roles,
    ConstraintKind.RELATION: _Duty.relation,
    ConstraintKind.CHINESE_WALL: _Duty.chinese_wall,
    ConstraintKind.COOLING_OFF: _Duty.cooling_off,
    ConstraintKind.COALITION: _Duty.coalition,
    ConstraintKind.WHOLE_CHAIN: _Duty.whole_chain,
    ConstraintKind.SOLE_ACTOR: _Duty.sole_actor,
}
