"""What each kind of constraint tells the person, in plain English and Spanish.

Guarantees: a sentence names the earlier steps, by whom (as a pseudonym) and when, and says who may act
instead, or from when; of relations it says which one holds, and nothing else of what the directory knows of
anybody; what is not known is not said to have been done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from controls.duties.asked import Asked, Violation
from controls.duties.relations import OF_DIRECTORY
from controls.duties.wording import acts, joined, moment, names, step_title, step_titles
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Text

Sentence: TypeAlias = Callable[[Constraint, Violation, Asked], Text]


def sentence(constraint: Constraint, *, found: Violation, asked: Asked) -> Text:
    """Why the constraint speaks."""
    text = _SENTENCES[constraint.kind](constraint, found, asked)
    if not found.missing and not found.error:
        return text
    why = names(found.missing) if found.missing else Text(found.error, found.error)
    return Text(
        f"{text.en} Whether this rule applies could not be told ({why.en}), so it applies.",
        f"{text.es} No se ha podido saber si esta regla se aplica ({why.es}), así que se aplica.",
    )


def exclusive_roles(found: Violation, *, person: str) -> Text:
    """Of roles that a person holds, without any step asked for."""
    roles = names(found.roles)
    return Text(
        f"{person} holds {found.count} roles that exclude each other ({roles.en}); at most {found.limit} of "
        "them may be held by one person.",
        f"{person} tiene {found.count} roles que se excluyen entre sí ({roles.es}); una persona puede "
        f"tener como máximo {found.limit}.",
    )


def _whole_chain(_: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _earlier(found, asked)
    return Text(
        f"With {step.en}, {asked.person} would have a hand in all {found.count} mandatory steps of this "
        f"chain; at most {found.limit} are allowed to one person. Earlier: {earlier.en}.",
        f"Con {step.es}, {asked.person} intervendría en los {found.count} pasos obligatorios de esta "
        f"cadena; una persona puede intervenir como máximo en {found.limit}. Antes: {earlier.es}.",
    )


def _sole_actor(_: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _earlier(found, asked)
    return Text(
        f"{step.en} is the last step of the chain and nobody but {asked.person} holds a step of it so far "
        f"(own acts: {earlier.en}). Somebody else must take {step.en}.",
        f"{step.es} es el último paso de la cadena y hasta ahora nadie más que {asked.person} tiene un paso "
        f"de ella (actos propios: {earlier.es}). {step.es} corresponde a otra persona.",
    )


def _separate(constraint: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _acts(constraint, found, asked)
    others, where = step_titles(found.steps, kind=asked.kind), _WHERE[constraint.scope]
    if not found.acts:
        return Text(
            f"{step.en} is kept apart from {others.en} {where.en}, and what {asked.person} did there is not "
            "known.",
            f"{step.es} va separado de {others.es} {where.es}, y no se sabe qué hizo ahí {asked.person}.",
        )
    return Text(
        f"{step.en} is kept apart from {others.en} {where.en}, and {asked.person} had a hand there: "
        f"{earlier.en}. Somebody else must take {step.en}.",
        f"{step.es} va separado de {others.es} {where.es}, y {asked.person} ya intervino ahí: "
        f"{earlier.es}. {step.es} corresponde a otra persona.",
    )


def _at_most(constraint: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _acts(constraint, found, asked)
    steps, what = step_titles(found.steps, kind=asked.kind), Text("steps", "pasos")
    if constraint.groups:
        steps, what = _groups(constraint, asked), Text("duties", "funciones")
    if constraint.scope is not Scope.CHAIN:
        over = _OVER[constraint.scope]
        if found.count <= found.limit:
            return Text(
                f"At most {found.limit} of these {what.en} ({steps.en}) are allowed to one person over "
                f"{over.en}, and how many {asked.person} has taken so far is not known.",
                f"Una persona puede sumar como máximo {found.limit} de {_THESE[what.es]} {what.es} "
                f"({steps.es}) entre {over.es}, y no se sabe a cuánto llega {asked.person}.",
            )
        return Text(
            f"With {step.en}, {asked.person} would have taken {found.count} of these {what.en} ({steps.en}) "
            f"over {over.en}; at most {found.limit} are allowed. Earlier: {earlier.en}.",
            f"Con {step.es}, {asked.person} sumaría {found.count} de {_THESE[what.es]} {what.es} "
            f"({steps.es}) entre {over.es}; el máximo es {found.limit}. Antes: {earlier.es}.",
        )
    return Text(
        f"With {step.en}, {asked.person} would have a hand in {found.count} of these {what.en} ({steps.en}); "
        f"at most {found.limit} are allowed to one person. Earlier: {earlier.en}.",
        f"Con {step.es}, {asked.person} intervendría en {found.count} de {_THESE[what.es]} {what.es} "
        f"({steps.es}); una persona puede intervenir como máximo en {found.limit}. Antes: {earlier.es}.",
    )


def _at_least(_: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _earlier(found, asked)
    steps = step_titles(found.steps, kind=asked.kind)
    return Text(
        f"These steps ({steps.en}) need at least {found.limit} different persons; with {asked.person} on "
        f"{step.en} there can be {found.count} at most. So far: {earlier.en}.",
        f"Estos pasos ({steps.es}) exigen al menos {found.limit} personas distintas; con {asked.person} en "
        f"{step.es} pueden ser {found.count} como máximo. Hasta ahora: {earlier.es}.",
    )


def _bind(_: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _earlier(found, asked)
    others = step_titles(found.steps, kind=asked.kind)
    return Text(
        f"{step.en} goes with {others.en}: one person takes both, and that is not {asked.person}: "
        f"{earlier.en}.",
        f"{step.es} va unido a {others.es}: los hace una misma persona, y no es {asked.person}: "
        f"{earlier.es}.",
    )


def _votes(constraint: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _earlier(found, asked)
    vote, others = (
        step_titles(item, kind=asked.kind) for item in (constraint.steps, constraint.distinct_from)
    )
    return Text(
        f"Whoever votes on {vote.en} takes none of these steps: {others.en}. {asked.person} had a hand "
        f"there: {earlier.en}. Somebody else must take {step.en}.",
        f"Quien vota en {vote.es} no da ninguno de estos pasos: {others.es}. {asked.person} ya intervino "
        f"ahí: {earlier.es}. {step.es} corresponde a otra persona.",
    )


def _roles(constraint: Constraint, found: Violation, asked: Asked) -> Text:
    if not constraint.dynamic:
        return exclusive_roles(found, person=asked.person)
    step, roles, earlier = _step(asked), names(found.roles), _earlier(found, asked)
    return Text(
        f"With {step.en}, {asked.person} would use {found.count} roles that exclude each other on one chain "
        f"({roles.en}); at most {found.limit} may be used by one person. Earlier: {earlier.en}.",
        f"Con {step.es}, {asked.person} usaría {found.count} roles que se excluyen entre sí en una misma "
        f"cadena ({roles.es}); una persona puede usar como máximo {found.limit}. Antes: {earlier.es}.",
    )


def _relation(_: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _earlier(found, asked)
    others = step_titles(found.steps, kind=asked.kind)
    how = joined([_RELATED[name] for name in found.relations])
    if any(name.startswith(OF_DIRECTORY) for name in found.missing):
        return Text(
            f"{step.en} is for nobody who stands to whoever took {others.en} like this: {how.en}. Whether "
            f"{asked.person} does is not known. Earlier: {earlier.en}.",
            f"{step.es} no corresponde a quien tenga esta relación con quien dio {others.es}: {how.es}. No "
            f"se sabe si {asked.person} la tiene. Antes: {earlier.es}.",
        )
    return Text(
        f"{step.en} is not for {asked.person}, who stands to whoever took {others.en} like this: {how.en}. "
        f"Earlier: {earlier.en}. Somebody else must take {step.en}.",
        f"{step.es} no corresponde a {asked.person}, que tiene esta relación con quien dio {others.es}: "
        f"{how.es}. Antes: {earlier.es}. {step.es} corresponde a otra persona.",
    )


def _chinese_wall(_: Constraint, found: Violation, asked: Asked) -> Text:
    step = _step(asked)
    if not found.acts:
        return Text(
            f"{step.en} must say on which side of the Chinese wall it is, and the request does not.",
            f"{step.es} debe indicar en qué lado de la barrera de información está, y la petición no lo "
            "hace.",
        )
    earlier = acts(found.acts, kind=asked.kind, with_chain=True)
    until = _WHILE_CLAIMED
    if found.until is not None:
        until = Text(moment(found.until), f"el {moment(found.until)}")
    return Text(
        f"{asked.person} has acted on another side of this Chinese wall: {earlier.en}. Somebody else must "
        f"take {step.en}; for {asked.person} the wall stands until {until.en}.",
        f"{asked.person} ha actuado en otro lado de esta barrera de información: {earlier.es}. {step.es} "
        f"corresponde a otra persona; para {asked.person} la barrera está hasta {until.es}.",
    )


def _cooling_off(constraint: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _acts(constraint, found, asked)
    others = step_titles(found.steps, kind=asked.kind)
    if not found.acts:
        return Text(
            f"{step.en} keeps a distance in time from {others.en}, whoever takes them, and when that was is "
            "not known.",
            f"{step.es} guarda una distancia en el tiempo con {others.es}, los dé quien los dé, y no se sabe "
            "cuándo fue eso.",
        )
    text = Text(
        f"{step.en} keeps a distance in time from {others.en}, whoever takes them, so {asked.person} must "
        f"wait. Earlier: {earlier.en}.",
        f"{step.es} guarda una distancia en el tiempo con {others.es}, los dé quien los dé, así que "
        f"{asked.person} debe esperar. Antes: {earlier.es}.",
    )
    if any(act.done_at is None for act in found.acts):
        return Text(
            f"{text.en} The time begins when what is only claimed is reported as performed.",
            f"{text.es} El tiempo empieza cuando lo que sólo está reservado se notifica como realizado.",
        )
    if found.until is None:
        return text
    until = moment(found.until)
    return Text(f"{text.en} It may be taken from {until} on.", f"{text.es} Puede darse a partir del {until}.")


def _coalition(_: Constraint, found: Violation, asked: Asked) -> Text:
    step, earlier = _step(asked), _earlier(found, asked)
    steps = step_titles(found.steps, kind=asked.kind)
    return Text(
        f"No fewer than {found.limit} persons may together have done all of these steps ({steps.en}); with "
        f"{asked.person} on {step.en}, {found.count} would do. Earlier: {earlier.en}.",
        f"Menos de {found.limit} personas juntas no pueden haber dado todos estos pasos ({steps.es}); con "
        f"{asked.person} en {step.es} bastarían {found.count}. Antes: {earlier.es}.",
    )


_SENTENCES: Final[Mapping[ConstraintKind, Sentence]] = {
    ConstraintKind.WHOLE_CHAIN: _whole_chain,
    ConstraintKind.SOLE_ACTOR: _sole_actor,
    ConstraintKind.SEPARATE: _separate,
    ConstraintKind.AT_MOST: _at_most,
    ConstraintKind.AT_LEAST: _at_least,
    ConstraintKind.BIND: _bind,
    ConstraintKind.VOTES: _votes,
    ConstraintKind.EXCLUSIVE_ROLES: _roles,
    ConstraintKind.RELATION: _relation,
    ConstraintKind.CHINESE_WALL: _chinese_wall,
    ConstraintKind.COOLING_OFF: _cooling_off,
    ConstraintKind.COALITION: _coalition,
}
_WHILE_CLAIMED: Final = Text(
    "as long as one of them is only claimed, and its time begins when that is reported as performed",
    "mientras uno de ellos sólo esté reservado, y su plazo empieza cuando se notifica como realizado",
)
_WHERE: Final[Mapping[Scope, Text]] = {
    Scope.CHAIN: Text("on one chain", "en una misma cadena"),
    Scope.ACCOUNT: Text("on all chains of one account", "en todas las cadenas de una misma cuenta"),
    Scope.INSTRUMENT: Text("on all chains of one instrument", "en todas las cadenas de un mismo instrumento"),
    Scope.DESK: Text("on all chains of one desk", "en todas las cadenas de una misma mesa"),
}
_OVER: Final[Mapping[Scope, Text]] = {
    Scope.ACCOUNT: Text("all chains of the account", "todas las cadenas de la cuenta"),
    Scope.INSTRUMENT: Text("all chains of the instrument", "todas las cadenas del instrumento"),
    Scope.DESK: Text("all chains of the desk", "todas las cadenas de la mesa"),
}
_THESE: Final = {"pasos": "estos", "funciones": "estas"}
_RELATED: Final[Mapping[str, Text]] = {
    "reports_to": Text("one reports to the other", "uno depende jerárquicamente del otro"),
    "household": Text("the same household", "el mismo hogar"),
    "department": Text("the same department", "el mismo departamento"),
    "desk": Text("the same desk", "la misma mesa"),
}


def _step(asked: Asked) -> Text:
    return step_title(asked.step, kind=asked.kind)


def _acts(constraint: Constraint, found: Violation, asked: Asked) -> Text:
    """The earlier acts, with their chains where other chains count too."""
    if constraint.scope is Scope.CHAIN:
        return _earlier(found, asked)
    return acts(found.acts, kind=asked.kind, with_chain=True)


def _earlier(found: Violation, asked: Asked) -> Text:
    """The earlier acts, with their chains where they are on others than this one."""
    beyond = any(act.chain != asked.history.chain for act in found.acts)
    return acts(found.acts, kind=asked.kind, with_chain=beyond)


def _groups(constraint: Constraint, asked: Asked) -> Text:
    """Each group with its steps."""
    told = [(group.name, step_titles(group.steps, kind=asked.kind)) for group in constraint.groups]
    return Text(
        "; ".join(f"{name}: {steps.en}" for name, steps in told),
        "; ".join(f"{name}: {steps.es}" for name, steps in told),
    )
