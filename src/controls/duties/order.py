"""Order and repetition of steps: may this step be taken at this point of the chain, by this person?

Guarantees: progress is read from the chain's history only, never from what a caller says; a claim holds its
step until its outcome is reported or a supervisor clears it, also after it has expired; a step of several
votes takes that many different persons, once each, and is not done before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from controls.duties.findings import denial
from controls.duties.wording import act, acts, joined, moment, step_title, step_titles
from controls.model.chain import Act, ActState, Capacity, ChainHistory, ChainKind, Repeats, Step
from controls.model.finding import Finding, Text
from controls.model.record import record
from controls.model.values import Value


@record
class OrderAnswer:
    """The refusals, none when the step may be taken now; and the person's own live claim, which is shared."""

    findings: tuple[Finding, ...] = ()
    shared: Act | None = None


_NOTHING_BEFORE: Final = OrderAnswer()


def step_order(
    kind: ChainKind, *, step: Step, history: ChainHistory, person: str, now: datetime, beside: str = ""
) -> OrderAnswer:
    """Whether `person` may take `step` now, as far as the order of steps and their repetition go.

    Args:
        beside: whom the person acts for; empty for nobody else.
    """
    if not history.acts and (kind.free_order or not step.after):
        return _NOTHING_BEFORE  # what begins a chain comes after nothing, and nobody holds it
    findings: list[Finding] = []
    if not kind.free_order:
        found = _begins_nothing(kind, step=step, history=history) or _not_yet(
            kind, step=step, history=history
        )
        if found is not None:
            findings.append(found)
    held = history.standing(step.id)
    own = [item for item in held if item.person == person and item.beside == beside]
    shared = next((item for item in reversed(own) if _live(item, now=now)), None)
    if history.needed(step.id) > 1:
        hands = (person, beside or person)
        voted = [item for item in held if not item.hands.isdisjoint(hands)]
        found = None if shared is not None else _voted(kind, step=step, history=history, own=voted, now=now)
        return OrderAnswer(findings=(*findings, *(() if found is None else (found,))), shared=shared)
    once = step.repeats is Repeats.NEVER and any(item.state is ActState.PERFORMED for item in held)
    if shared is None or once or len(own) < len(held):
        found = _held(kind, step=step, held=held, own=own, now=now)
        if found is not None:
            findings.append(found)
    return OrderAnswer(findings=tuple(findings), shared=shared)


def awaited(kind: ChainKind, *, step: Step, history: ChainHistory) -> tuple[str, ...]:
    """The steps that must be done before `step` and are not, in the order of the chain kind.

    An optional step that nobody has begun does not block; what it comes after does in its place. One that
    was abandoned or voided counts as not begun, one that is claimed or was reopened as begun.
    """
    missing: set[str] = set()
    pending = list(step.after)
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if _done(name, kind=kind, history=history):
            continue
        before = kind.step(name)
        if before is not None and before.optional and not _begun(name, history=history):
            pending.extend(before.after)
        else:
            missing.add(name)
    if not missing:
        return ()
    order = {item.id: index for index, item in enumerate(kind.steps)}
    return tuple(sorted(missing, key=lambda name: (order.get(name, len(order)), name)))


def _done(name: str, *, kind: ChainKind, history: ChainHistory) -> bool:
    if kind.progress_claimed:
        return len(history.holders(name)) >= history.needed(name)
    return history.performed(name)


def _begun(name: str, *, history: ChainHistory) -> bool:
    begun = (ActState.CLAIMED, ActState.PERFORMED, ActState.REOPENED)
    return any(
        item.step == name and item.capacity is Capacity.ACTOR and item.state in begun for item in history.acts
    )


def _live(item: Act, *, now: datetime) -> bool:
    return item.state is ActState.CLAIMED and now < item.valid_until


def _begins_nothing(kind: ChainKind, *, step: Step, history: ChainHistory) -> Finding | None:
    if history.begun() or not step.after:
        return None
    return unknown_chain(kind, action=step.id, title=step.title, history=history)


def unknown_chain(kind: ChainKind, *, action: str, title: Text, history: ChainHistory) -> Finding:
    """The refusal of an action that does not begin a chain, on a chain that nobody has begun."""
    first = step_titles((step.id for step in kind.steps if not step.after), kind=kind)
    return denial(
        "unknown_chain",
        title=Text("No such chain", "No existe esa cadena"),
        message=Text(
            f"Nothing is known of chain {history.chain}, and {title.en} does not begin one. A chain begins "
            f"with: {first.en}.",
            f"No se sabe nada de la cadena {history.chain}, y {title.es} no la inicia. Una cadena empieza "
            f"por: {first.es}.",
        ),
        values={"chain": history.chain, "step": action},
    )


def _not_yet(kind: ChainKind, *, step: Step, history: ChainHistory) -> Finding | None:
    missing = awaited(kind, step=step, history=history)
    if not missing:
        return None
    titles = joined([_with_votes(name, kind=kind, history=history) for name in missing])
    values: dict[str, Value] = {"step": step.id, "steps": missing}
    rules = _rules(missing, history=history)
    if rules:
        values["rules"] = rules
    if kind.progress_claimed:
        state = Text("claimed", "reservados")
    else:
        state = Text("reported as performed", "comunicados como realizados")
    return denial(
        "not_yet",
        title=Text("An earlier step is not done", "Falta un paso anterior"),
        message=Text(
            f"{step.title.en} comes after steps that are not yet {state.en}: {titles.en}.",
            f"{step.title.es} va después de pasos que aún no están {state.es}: {titles.es}.",
        ),
        values=values,
    )


def _held(
    kind: ChainKind, *, step: Step, held: tuple[Act, ...], own: list[Act], now: datetime
) -> Finding | None:
    """Why those who hold the step now keep this person, whose `own` acts are among theirs, from taking it."""
    if not held or step.repeats is Repeats.ANYONE:
        return None
    claim = next((item for item in reversed(held) if item.state is ActState.CLAIMED), None)
    if step.repeats is Repeats.SAME_PERSON and own:
        # Whoever holds it may repeat it, but not beside an own claim that was left open.
        return None if claim is None or claim not in own else _expired(kind, claim=claim, now=now)
    performed = next((item for item in reversed(held) if item.state is ActState.PERFORMED), None)
    if performed is not None:
        return _performed(kind, step=step, performed=performed, held=held)
    assert claim is not None
    if claim in own:
        return _expired(kind, claim=claim, now=now)
    return _claimed_by_other(kind, step=step, claim=claim, now=now)


def _voted(
    kind: ChainKind, *, step: Step, history: ChainHistory, own: list[Act], now: datetime
) -> Finding | None:
    """Why somebody without a live claim may not vote on a step of several votes; None when he or she may."""
    held = history.standing(step.id)
    needed = history.needed(step.id)
    if own:
        vote = own[-1]
        if vote.state is ActState.PERFORMED:
            return _vote_given(kind, vote=vote, history=history)
        # It is live only where it is shared, or was claimed in the name of one of the two persons.
        return _expired(kind, claim=vote, now=now) or _claimed_by_other(kind, step=step, claim=vote, now=now)
    if len({item.person for item in held}) < needed:
        return None
    given = acts(held, kind=kind)
    done = history.performed(step.id)
    rest = Text("", "")
    if not done:
        rest = Text(
            " Not all of them are reported as performed yet.",
            " Aún no todos se han comunicado como realizados.",
        )
    return denial(
        "already_performed" if done else "claimed_by_other",
        title=Text("All votes are taken", "Todos los votos están dados"),
        message=Text(
            f"{step.title.en} takes {needed} votes, and {needed} are taken: {given.en}.{rest.en}",
            f"{step.title.es} admite {needed} votos, y {needed} ya están ocupados: {given.es}.{rest.es}",
        ),
        values={"step": step.id, "votes": needed, "persons": tuple(sorted({item.person for item in held}))},
    )


def _vote_given(kind: ChainKind, *, vote: Act, history: ChainHistory) -> Finding:
    done = act(vote, kind=kind)
    count, needed = len(history.performers(vote.step)), history.needed(vote.step)
    return denial(
        "already_performed",
        title=Text("The own vote is given", "El voto propio ya está dado"),
        message=Text(
            f"One vote is for one person, and this one is given: {done.en}. {count} of {needed} votes are "
            "given; the others are for other persons.",
            f"Cada persona tiene un voto, y este ya está dado: {done.es}. Se han dado {count} de {needed} "
            "votos; los demás corresponden a otras personas.",
        ),
        values={"step": vote.step, "person": vote.person, "at": vote.at, "votes": needed},
    )


def _with_votes(name: str, *, kind: ChainKind, history: ChainHistory) -> Text:
    """A step's title, with the votes it has and takes where that is more than one."""
    title, needed = step_title(name, kind=kind), history.needed(name)
    if needed < 2:
        return title
    held = history.holders(name) if kind.progress_claimed else history.performers(name)
    rules = _rules((name,), history=history)
    why = Text(f", by {', '.join(rules)}", f", según {', '.join(rules)}") if rules else Text("", "")
    return Text(
        f"{title.en} ({len(held)} of {needed} votes{why.en})",
        f"{title.es} ({len(held)} de {needed} votos{why.es})",
    )


def _rules(steps: tuple[str, ...], *, history: ChainHistory) -> tuple[str, ...]:
    """The constraints that ask for several votes on one of the steps."""
    votes = history.votes or {}
    return tuple(dict.fromkeys(rule for step in steps if step in votes for rule in votes[step].rules))


def _performed(kind: ChainKind, *, step: Step, performed: Act, held: tuple[Act, ...]) -> Finding:
    done = act(performed, kind=kind)
    if step.repeats is Repeats.SAME_PERSON:
        holders = sorted({item.person for item in held})
        who = joined([Text(item, item) for item in holders])
        rest = Text(f" Only {who.en} may repeat it.", f" Sólo {who.es} puede repetirlo.")
    else:
        rest = Text(" It is not repeated.", " No se repite.")
    return denial(
        "already_performed",
        title=Text("Already performed", "Ya realizado"),
        message=Text(
            f"This step has been performed: {done.en}.{rest.en}",
            f"Este paso ya se ha realizado: {done.es}.{rest.es}",
        ),
        values={"step": step.id, "person": performed.person, "at": performed.at},
    )


def _claimed_by_other(kind: ChainKind, *, step: Step, claim: Act, now: datetime) -> Finding:
    taken, until = act(claim, kind=kind), moment(claim.valid_until)
    if now < claim.valid_until:
        rest = Text(f"The claim holds until {until}.", f"La reserva vale hasta {until}.")
    else:
        rest = Text(
            f"The claim expired at {until} without an outcome and still holds the step: a supervisor must "
            "clear it.",
            f"La reserva venció el {until} sin resultado y sigue ocupando el paso: debe levantarla un "
            "supervisor.",
        )
    return denial(
        "claimed_by_other",
        title=Text("Claimed by somebody else", "Reservado por otra persona"),
        message=Text(
            f"This step is claimed by somebody, or for somebody, else: {taken.en}. {rest.en}",
            f"Este paso lo ha reservado otra persona, o se ha reservado para otra: {taken.es}. {rest.es}",
        )
        if claim.beside
        else Text(
            f"Somebody else has claimed this step: {taken.en}. {rest.en}",
            f"Otra persona ha reservado este paso: {taken.es}. {rest.es}",
        ),
        values={"step": step.id, "person": claim.person, "valid_until": claim.valid_until},
    )


def _expired(kind: ChainKind, *, claim: Act, now: datetime) -> Finding | None:
    """The person's own claim, once it is past its time: it is not shared any more, and still holds."""
    if _live(claim, now=now):
        return None
    taken, until = act(claim, kind=kind), moment(claim.valid_until)
    return denial(
        "claim_expired",
        title=Text("The claim has expired", "La reserva ha vencido"),
        message=Text(
            f"The own claim on this step ({taken.en}) expired at {until}. Report its outcome, or have a "
            "supervisor clear it.",
            f"La reserva propia de este paso ({taken.es}) venció el {until}. Comunique su resultado o pida "
            "a un supervisor que la levante.",
        ),
        values={"step": claim.step, "person": claim.person, "valid_until": claim.valid_until},
    )
