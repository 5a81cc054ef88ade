"""Chain kinds and grants in plain English or Spanish, from what is enforced.

Guarantees: every part that can change an answer is said: of a chain kind its steps with their order, votes
and repetitions, its material facts and the duties over it, those that are built in included; of a grant its
condition, what an unknown one leads to, and who holds it by inheritance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from controls.model.chain import ChainKind, Repeats, Step
from controls.model.duty import Grant
from controls.model.finding import Text
from controls.rules.explaining import Explaining
from controls.rules.messages import shown
from controls.rules.release import Release
from controls.rules.system import ANYONE

_REPEATS: Final[Mapping[Repeats, Text]] = {
    Repeats.NEVER: Text("", ""),
    Repeats.SAME_PERSON: Text("may be repeated by whoever took it", "puede repetirlo quien lo dio"),
    Repeats.ANYONE: Text("may be repeated by anybody", "puede repetirlo cualquiera"),
}


def explain_chain(release: Release, kind: ChainKind, *, language: str) -> str:
    """A chain kind as text of several lines.

    Args:
        release: where the names of facts, roles and steps come from.
        kind: one of its chain kinds.
        language: `en` or `es`.
    """
    return "\n".join(_Chain(release, language, kinds=[kind]).lines(kind)) + "\n"


def explain_grant(release: Release, grant: Grant, *, language: str) -> str:
    """A grant of the release as text of several lines; the rest as in `explain_chain`."""
    kind = release.chains.get(grant.resource)
    return "\n".join(_Given(release, language, kinds=[] if kind is None else [kind]).lines(grant)) + "\n"


class _Chain(Explaining):
    def lines(self, kind: ChainKind) -> Iterator[str]:
        say, words = self.say, self.words
        yield f"{kind.id}: {self.of(kind.title)}"
        yield ""
        resource = words.quoted(kind.resource)
        yield say(
            f"Every resource of the type {resource} goes through these steps:",
            f"Todo recurso del tipo {resource} pasa por estos pasos:",
        )
        for number, step in enumerate(kind.steps, 1):
            yield f"{number}. {self._described(step)}"
        yield ""
        if kind.free_order:
            yield say("Steps may be taken in any order.", "Los pasos pueden darse en cualquier orden.")
        elif kind.progress_claimed:
            yield say(
                "A step may be taken once those before it have been claimed.",
                "Un paso puede darse cuando los anteriores se han reservado.",
            )
        else:
            yield say(
                "A step may be taken once those before it have been reported as performed.",
                "Un paso puede darse cuando los anteriores se han comunicado como realizados.",
            )
        valid = shown(kind.claim_valid_for, language=self.language)
        yield say(f"A claim holds for {valid}.", f"Una reserva vale {valid}.")
        yield self._material(kind.material)
        if kind.if_stated:
            listed = self._labels(kind.if_stated)
            yield say(
                f"A step may leave these out, and what was stated of them first holds: {listed}.",
                f"Un paso puede omitir estos datos, y vale lo primero que se indicó de ellos: {listed}.",
            )
        yield from self._duties(kind)

    def _described(self, step: Step) -> str:
        say, words = self.say, self.words
        parts = [self.named(self.of(step.title), step.id)]
        if step.office:
            parts.append(say("office ", "área ") + words.quoted(step.office))
        if step.after:
            parts.append(say("after ", "después de ") + self.steps(step.after))
        if step.optional:
            parts.append(say("optional", "opcional"))
        if step.votes > 1:
            votes = words.constant(step.votes)
            parts.append(say(f"takes {votes} persons", f"requiere {votes} personas"))
        parts += [self.of(_REPEATS[step.repeats])] if step.repeats is not Repeats.NEVER else []
        if step.reapprove:
            parts.append(say("opened again by an amendment", "se reabre con una modificación"))
        if step.material is not None:
            parts.append(self._material(step.material, inner=True))
        if step.lines:
            lines = words.quoted(self.label(step.lines))
            parts.append(say(f"each of {lines} is recorded", f"se registra cada elemento de {lines}"))
        return "; ".join(parts)

    def _material(self, names: Iterable[str], *, inner: bool = False) -> str:
        listed = self._labels(names)
        if not listed:
            return self.say(
                "it states no facts again" if inner else "No facts are held to what was said at first.",
                "no vuelve a indicar datos"
                if inner
                else "Ningún dato queda fijado por lo dicho al principio.",
            )
        if inner:
            return self.say(f"states again: {listed}", f"vuelve a indicar: {listed}")
        return self.say(
            f"What was said at first holds for every later step, until it is amended: {listed}.",
            f"Lo dicho al principio vale para todos los pasos siguientes, hasta que se modifique: {listed}.",
        )

    def _labels(self, names: Iterable[str]) -> str:
        return self.words.listed(tuple(self.words.quoted(self.label(name)) for name in names), "and")

    def _duties(self, kind: ChainKind) -> Iterator[str]:
        """The constraints over chains of the kind, those that are built in first."""
        yield ""
        yield self.say("Duties over it:", "Reglas de separación de funciones:")
        for item in self.release.constraints:
            if item.chain in ("", kind.id) and not item.excludes_roles:
                yield f"- {item.id}: {self.of(item.title)}"


class _Given(Explaining):
    def lines(self, grant: Grant) -> Iterator[str]:
        say = self.say
        yield f"{grant.id}"
        yield ""
        actions = self.words.listed(
            tuple(self.named(self.step(action), f"{grant.resource}.{action}") for action in grant.actions),
            "and",
        )
        if grant.role == ANYONE:
            yield say(
                f"Everybody of record may: {actions}.", f"Cualquier persona registrada puede: {actions}."
            )
        else:
            role = self.roles((grant.role,))
            yield say(
                f"Whoever holds the role {role} may: {actions}.",
                f"Quien tiene el rol {role} puede: {actions}.",
            )
            heirs = sorted(
                name
                for name, implied in self.release.roles.items()
                if grant.role in implied and name != grant.role
            )
            if heirs:
                named = self.roles(heirs)
                yield say(
                    f"These roles inherit it and may as well: {named}.",
                    f"Estos roles lo heredan y también pueden: {named}.",
                )
        if grant.when is None:
            yield say("It is given on no condition.", "Se concede sin condición.")
        else:
            yield from self.where(grant.when, lead=say("It is given only where", "Se concede sólo cuando"))
            yield say("Where that is not known, it is not given.", "Si no se sabe si es así, no se concede.")
        yield say(
            "Duties and rules may still forbid what it gives.",
            "Lo que concede puede impedirlo aún otra regla.",
        )
