"""Material facts: what was said when the chain began holds for every later step, until it is amended.

Guarantees: a step whose material facts differ from the recorded ones, or are absent, is denied, and so is one
with another value of a fact that holds once it is stated (`if_stated`); abandoning what was said first does
not unsay it; only an amendment that stands changes anything, and not after the chain has gone past what had
to be approved again. The lines of a step (an allocation's) are those of its claim: whoever shares a live
claim, or votes on one step with others, states the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping

from controls.duties.findings import denial
from controls.duties.order import unknown_chain
from controls.duties.wording import AMENDMENT, acts
from controls.model.chain import AMEND, STANDING, Act, Capacity, ChainHistory, ChainKind, Step
from controls.model.finding import Cause, Finding, Text
from controls.model.record import record


@record
class Amendment:
    """The refusals, none when the amendment may be made; and the steps that it opens again."""

    findings: tuple[Finding, ...] = ()
    reopens: tuple[str, ...] = ()


def baseline(history: ChainHistory) -> dict[str, str]:
    """The material facts in force: those of the first act, whatever became of it, as amended since.

    A fact that only later steps list is in force from the first act that stated it. Amendments count while
    they stand (claimed or performed), the latest one last. What a supervisor approved need not come to pass,
    so that it puts nothing in force.
    """
    facts: dict[str, str] = {}
    amended: dict[str, str] = {}
    for index, act in enumerate(history.acts):
        if act.capacity is Capacity.APPROVER:
            continue
        if act.step != AMEND or index == 0:
            for name, text in act.material.items():
                facts.setdefault(name, text)
        elif act.state in STANDING:
            amended.update(act.material)
    return facts | amended


def required(kind: ChainKind, *, step: Step) -> tuple[str, ...]:
    """The facts that a request for `step` must state: its list, and to amend all of the chain kind."""
    own = kind.material_of(step)
    return own if step.id != AMEND else tuple(dict.fromkeys((*kind.material, *own)))


def material_findings(
    kind: ChainKind,
    *,
    step: Step,
    history: ChainHistory,
    material: Mapping[str, str],
    shared: Act | None = None,
) -> tuple[Finding, ...]:
    """One finding for each material fact that is absent from the request or not what was recorded.

    `material` holds the canonical texts of the request's facts. They are compared with the facts in force,
    with what was approved where the approval stands (so that abandoning an amendment after the approval
    does not bring the old amount back), and with `shared`, the person's own live claim on the step, whose
    facts are on record. An amendment is compared with `shared` only.
    """
    recorded: list[Mapping[str, str]] = [] if shared is None else [shared.material]
    if step.id != AMEND and history.acts:
        recorded.append(baseline(history))
        again = {item.id for item in kind.steps if item.reapprove}
        recorded.extend(act.material for act in history.acts if act.step in again and act.stands())
    needed = required(kind, step=step)
    findings = [_missing(step.title, name=name) for name in needed if name not in material]
    for name in (*needed, *kind.if_stated) if recorded else ():
        asked = material.get(name)
        if asked is None:
            continue
        other = next((facts[name] for facts in recorded if facts.get(name, asked) != asked), None)
        if other is not None:
            findings.append(_changed(step, name=name, asked=asked, recorded=other))
    return tuple(findings)


def lines_findings(
    step: Step, *, history: ChainHistory, material: Mapping[str, str], shared: Act | None
) -> tuple[Finding, ...]:
    """The refusal of other lines than the step's claim was made with; none when they are the same.

    A claim is authority for the lines that were decided on with it, and for no others: else an allocation
    could wait under its claim until it is known whom the price favours.

    Args:
        material: holds under the name of the step's lines a text that differs whenever the lines do.
        shared: the person's own live claim on the step.
    """
    claims = history.standing(step.id) if history.needed(step.id) > 1 else (shared,) if shared else ()
    stated = material.get(step.lines)
    other = next((item for item in claims if item.material.get(step.lines) != stated), None)
    return () if other is None else (_other_lines(step, claim=other),)


def amendment(kind: ChainKind, *, history: ChainHistory, material: Mapping[str, str]) -> Amendment:
    """Whether the material facts may be changed to `material` now, and which standing steps that opens again.

    It takes a chain that has begun and all of its material facts; it is too late once a step that comes
    after one to be approved again is claimed or performed.
    """
    findings = [_missing(AMENDMENT, name=name) for name in kind.material if name not in material]
    if not history.begun():
        findings.append(unknown_chain(kind, action=AMEND, title=AMENDMENT, history=history))
    again = tuple(step.id for step in kind.steps if step.reapprove)
    later = kind.following(*again) - {AMEND}
    past = tuple(act for act in history.acts if act.step in later and act.stands())
    if past:
        findings.append(_too_late(kind, past=past))
    if findings:
        return Amendment(findings=tuple(findings))
    return Amendment(reopens=tuple(name for name in again if history.standing(name)))


def _missing(title: Text, *, name: str) -> Finding:
    return denial(
        "material_missing",
        title=Text("A material fact is missing", "Falta un dato esencial"),
        message=Text(
            f"{title.en} must state {name}, and the request does not. Add it and ask again.",
            f"{title.es} debe indicar {name}, y la petición no lo hace. Añádalo y vuelva a preguntar.",
        ),
        values={"field": name},
        missing=(name,),
        cause=Cause.MISSING,
    )


def _changed(step: Step, *, name: str, asked: str, recorded: str) -> Finding:
    return denial(
        "material_changed",
        title=Text("A material fact has changed", "Ha cambiado un dato esencial"),
        message=Text(
            f"{name} is {asked} in this request for {step.title.en}, but {recorded} is recorded on the "
            "chain. Only a permitted amendment changes it.",
            f"{name} es {asked} en esta petición de {step.title.es}, pero en la cadena consta {recorded}. "
            "Sólo lo cambia una modificación autorizada.",
        ),
        # Under the fact's own name, so that what is private of the fact is private here.
        values={"field": name, name: asked, f"recorded.{name}": recorded},
    )


def _other_lines(step: Step, *, claim: Act) -> Finding:
    return denial(
        "lines_changed",
        title=Text("The lines are not those of the claim", "Las líneas no son las de la reserva"),
        message=Text(
            f"{step.title.en} is claimed with other {step.lines} ({claim.decision}). State those, or report "
            "that claim as abandoned and ask anew, which is on record.",
            f"{step.title.es} está reservado con otras {step.lines} ({claim.decision}). Indique aquéllas, o "
            "comunique esa reserva como abandonada y vuelva a preguntar, de lo que queda constancia.",
        ),
        values={"field": step.lines, "decision": claim.decision},
    )


def _too_late(kind: ChainKind, *, past: tuple[Act, ...]) -> Finding:
    done = acts(past, kind=kind)
    return denial(
        "amend_too_late",
        title=Text("Too late to amend", "Demasiado tarde para modificar"),
        message=Text(
            f"The chain has gone past what an amendment would open again: {done.en}. Cancel it and begin a "
            "new one.",
            f"La cadena ya ha pasado de lo que una modificación volvería a abrir: {done.es}. Cancélela y "
            "empiece otra.",
        ),
        values={"steps": tuple(dict.fromkeys(act.step for act in past))},
    )
