"""The findings of the look-ahead, in English and Spanish, with what to do about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from controls.duties.findings import BUILT_IN
from controls.duties.wording import joined, names, step_title, step_titles
from controls.model.chain import ChainKind
from controls.model.finding import Cause, Effect, Finding, Origin, Text
from controls.model.values import Value


class Orphan(NamedTuple):
    """A step that would be left over: how many could take it by itself, and the roles that may."""

    step: str
    able: int
    roles: tuple[str, ...]


def would_strand(kind: ChainKind, *, person: str, action: str, orphans: Sequence[Orphan]) -> Finding:
    """Nobody is left to do the rest: names the steps in question and who is missing for them."""
    step = step_title(action, kind=kind)
    lacking = joined([_lacking(orphan, kind=kind) for orphan in orphans])
    if len(orphans) == 1:
        cannot = Text(
            f"nobody who is authorised and present could take this step any more: {lacking.en}",
            f"nadie autorizado y presente podría dar ya este paso: {lacking.es}",
        )
    else:
        cannot = Text(
            f"those who are authorised and present could not do these steps together any more: {lacking.en}",
            f"quienes están autorizados y presentes no podrían dar ya entre todos estos pasos: {lacking.es}",
        )
    return Finding(
        rule="would_strand",
        version=BUILT_IN,
        origin=Origin.DUTY,
        effect=Effect.REVIEW,
        title=Text("The chain could not be finished", "La cadena no se podría terminar"),
        message=Text(
            f"If {person} takes {step.en} on this chain, {cannot.en}. Let somebody else take {step.en}, or "
            "see that one more person with one of these roles is there; a supervisor may approve it as is.",
            f"Si {person} da el paso {step.es} en esta cadena, {cannot.es}. Que dé el paso {step.es} otra "
            "persona, o procure que haya una persona más con uno de esos roles; un supervisor puede "
            "aprobarlo tal cual.",
        ),
        values={
            "person": person,
            "step": action,
            "steps": tuple(orphan.step for orphan in orphans),
            "roles": tuple(dict.fromkeys(role for orphan in orphans for role in orphan.roles)),
        },
    )


def strand_unknown(
    kind: ChainKind, *, person: str, action: str, rules: Sequence[str], excepted: bool = False, lines: int = 0
) -> Finding:
    """It could not be told: because of `rules` that may apply or not, because somebody may have an exception
    (`excepted`), because the step is one on too many `lines` of chains, or for want of time."""
    step = step_title(action, kind=kind)
    values: dict[str, Value] = {"person": person, "step": action, "rules": tuple(rules)}
    if excepted:
        why = Text(
            "nobody could do the rest by the own grants and all constraints, but steps of it are delegated "
            "or somebody's conflict is accepted, and whether that helps is not worked out",
            "nadie podría dar el resto con sus propias autorizaciones y todas las reglas, pero hay pasos "
            "delegados o un conflicto aceptado, y no se calcula si eso ayuda",
        )
    elif rules:
        listed = names(rules)
        why = Text(
            f"that depends on rules of which it is not known yet whether they apply ({listed.en})",
            f"eso depende de reglas de las que aún no se sabe si se aplican ({listed.es})",
        )
    elif lines:
        values["lines"] = lines
        why = Text(
            f"the step counts on {lines} lines of chains, one for each that has come of this one, and by what"
            " was done on all of them together nobody could do it",
            f"el paso cuenta en {lines} líneas de cadenas, una por cada una que ha salido de esta, y con lo "
            "hecho en todas ellas juntas nadie podría darlo",
        )
    else:
        why = Text(
            "there are more ways to share the steps than can be looked through in the time of one decision",
            "hay más repartos de los pasos que los que caben en el tiempo de una decisión",
        )
    return Finding(
        rule="strand_unknown",
        version=BUILT_IN,
        origin=Origin.DUTY,
        effect=Effect.REVIEW,
        title=Text(
            "Whether the chain can be finished is not known", "No se sabe si la cadena se podrá terminar"
        ),
        message=Text(
            f"It could not be told whether the rest of this chain can still be done if {person} takes "
            f"{step.en}: {why.en}. A supervisor must look at who can do the rest.",
            f"No se ha podido saber si el resto de esta cadena se puede dar todavía si {person} da el paso "
            f"{step.es}: {why.es}. Un supervisor debe ver quién puede dar el resto.",
        ),
        cause=Cause.MISSING if rules else Cause.ERROR,
        values=values,
    )


def _lacking(orphan: Orphan, *, kind: ChainKind) -> Text:
    """A step, how many could take it, and which roles may."""
    title = step_title(orphan.step, kind=kind)
    roles = names(orphan.roles)
    if not orphan.roles:
        return Text(f"{title.en} (granted to no role)", f"{title.es} (no se concede a ningún rol)")
    return Text(
        f"{title.en} (who could: {orphan.able}; roles that may: {roles.en})",
        f"{title.es} (quienes podrían: {orphan.able}; roles que pueden: {roles.es})",
    )


def by_approving(found: Finding, *, kind: ChainKind) -> Finding:
    """The same of somebody who is to approve the step: it is for others; what is not known is only told."""
    step = step_title(str(found.values["step"]), kind=kind)
    hand = Text(
        f"If {found.values['person']} approves {step.en}, that counts as a hand in it.",
        f"Si {found.values['person']} aprueba {step.es}, eso cuenta como haber intervenido en el paso.",
    )
    if found.rule != "would_strand":
        rest = Text(
            "Whether the rest of the chain could be done then cannot be told.",
            "No se puede saber si entonces se podría dar el resto de la cadena.",
        )
        return replace(found, effect=Effect.FLAG, message=_both(hand, rest))
    steps, roles = found.values["steps"], found.values["roles"]
    assert isinstance(steps, tuple)
    assert isinstance(roles, tuple)
    left, may = step_titles(map(str, steps), kind=kind), names(map(str, roles))
    rest = Text(
        f"Those who are authorised and present could then not do what remains: {left.en}. Let another "
        f"supervisor approve it, or see that one more person is there with one of these roles: {may.en}.",
        f"Quienes están autorizados y presentes no podrían dar entonces lo que queda: {left.es}. Que lo "
        f"apruebe otro supervisor, o procure que haya una persona más con uno de estos roles: {may.es}.",
    )
    return replace(found, message=_both(hand, rest))


def _both(one: Text, other: Text) -> Text:
    """Two sentences, one after the other."""
    return Text(f"{one.en} {other.en}", f"{one.es} {other.es}")
