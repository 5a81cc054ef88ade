"""The outlook of one chain: what remains, who can do it, and how many may be away, now or on a day to come.

Guarantees: chain, people and rules are of one moment, read in one transaction; nothing is recorded. What was
done on the chains that this one comes from, and on those that came of it, counts as in decisions. The facts
that the chain's acts put on record hold for what remains; what nobody has stated yet counts as it does when a
step is decided (`duties.lookahead`), so that what depends on it is `unknown`. On a day, only who is there for
all of it (UTC) is counted on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Final

from controls.decide import ActiveRelease
from controls.duties.lookahead import LINES_AHEAD, Taken
from controls.duties.material import baseline
from controls.duties.outlook import Outlook, outlook_of_lines
from controls.duties.satisfiability import Verdict
from controls.duties.wording import names, step_titles
from controls.model.chain import ChainHistory, ChainKind
from controls.model.condition import Facts
from controls.model.crowd import Crowd
from controls.model.errors import FieldError, InvalidInput, NotFound, Unavailable
from controls.model.finding import Text
from controls.model.trail import TrailAct
from controls.model.values import Json, microseconds, utc_text
from controls.rules.values_on_record import values_on_record
from controls.services.commands import Context
from controls.services.lineage import line_acts
from controls.services.queries import kind_of_chain
from controls.services.service import Service
from controls.services.trails import need_places, places_ahead, read_places
from controls.store.unit import load, read_head
from controls.store.workspace import Needs, Workspace

# How many persons are named for one step; `count` says how many there are.
NAMED_AT_MOST: Final = 200
# How far ahead a day may be: further, no directory says who will be there.
DAYS_AT_MOST: Final = 730
_ATTEMPTS: Final = 3


async def chain_outlook(service: Service, id: str, *, kind: str | None, on: date | None) -> dict[str, Json]:
    """The outlook of the chain, now or on a day.

    Raises:
        NotFound: nothing is known of it.
        Conflict: several chain kinds have a chain of this id, and `kind` is None.
        InvalidInput: the day is past, or too far off.
        Unavailable: what is in force changed meanwhile.
    """
    for _ in range(_ATTEMPTS):
        await service.snapshot()
        async with service.database.read() as connection:
            head, now = await read_head(connection, service.tenant, clock=service.writer.settings.clock)
            active, directory = service.state.active, service.state.directory
            if (
                active is None
                or directory is None
                or not service.state.holds(head.release, head.directory_index, head.keys_index)
            ):
                continue
            wanted = await kind_of_chain(connection, service.tenant, id, kind=kind)
            work = Workspace(head, now=now, entropy=_nothing)
            needs = Needs()
            needs.chains.add((wanted, id))
            context = Context(work, active, directory, {}, _no_name)
            needs.with_chains.append(partial(_name_places, context, needs, wanted, id))
            await load(connection, work, needs)
        chain, history = active.kinds.get(wanted), work.history(wanted, id)
        if not history.acts or chain is None:
            raise NotFound(
                "chain_unknown",
                "Nothing is known of this chain",
                detail="" if not history.acts else f"The rules in force know no chain kind {wanted}.",
                help="Check its id and kind.",
            )
        if on is None:
            crowd = directory.crowd(at=microseconds(now))
        else:
            start = _start_of(on, now=now)
            crowd = directory.crowd_throughout(
                max(microseconds(start), microseconds(now)), microseconds(start + timedelta(days=1))
            )
        own = (wanted, id)
        lines = [line_acts(context, line) for line in work.lineage.lines(own) if line]
        places = read_places(context, places_ahead(context, history, {}, kind=chain))
        taken = replace(_taken(active, chain, history, now=now), places=places)
        # No part of what is kept for decisions is touched, so a thread may work it out beside them.
        found = await asyncio.to_thread(_outlook, active, taken, lines, crowd=crowd)
        return _told(found, chain, id=id, now=now, on=on)
    raise Unavailable(
        "outlook_overtaken", "What is in force changed meanwhile", help="Ask for the outlook again."
    )


def _name_places(context: Context, needs: Needs, kind: str, chain: str) -> None:
    known = context.active.kinds.get(kind)
    if known is not None:
        need_places(needs, places_ahead(context, context.work.history(kind, chain), {}, kind=known))


def _outlook(
    active: ActiveRelease, taken: Taken, lines: Sequence[Sequence[TrailAct]], *, crowd: Crowd
) -> Outlook:
    """The outlook with what was done on all lines that the chain is part of."""

    def found(lines: Sequence[Sequence[TrailAct]]) -> Outlook:
        return active.ahead.outlook(replace(taken, lines=lines), crowd=crowd)

    if len(lines) < 2:
        return found(lines)
    # What is proven on some of them is proven; what is possible on all of them together is on each.
    return outlook_of_lines([found((line,)) for line in lines[:LINES_AHEAD]], together=found(lines))


def _start_of(day: date, *, now: datetime) -> datetime:
    today = now.astimezone(UTC).date()
    last = today + timedelta(days=DAYS_AT_MOST)
    if not today <= day <= last:
        told = f"must be a day from {today} to {last}"
        raise InvalidInput(
            "day_out_of_range",
            "An outlook is for today or a day to come",
            detail=f"on={day} {told}.",
            help="Leave `on` out for now.",
            errors=(FieldError("/on", "day_out_of_range", told),),
        )
    return datetime.combine(day, time(), UTC)


def _taken(active: ActiveRelease, kind: ChainKind, history: ChainHistory, *, now: datetime) -> Taken:
    """The chain with its newest act on it, and the facts on record."""
    material = baseline(history)
    values = values_on_record(active.release.vocabulary, material)
    history = active.counted(Facts(values, history, now), kind=kind.id).chain
    *before, last = history.acts
    act = replace(last, material=material)
    return Taken(kind, replace(history, acts=tuple(before)), act, values, now=now)


def _told(found: Outlook, kind: ChainKind, *, id: str, now: datetime, on: date | None) -> dict[str, Json]:
    words = _sentence(found, kind)
    told: dict[str, Json] = {
        "kind": kind.id,
        "id": id,
        "at": utc_text(now),
        "state": _STATES[found.verdict] if found.steps else "done",
        "message": {"en": words.en, "es": words.es},
        "steps": [
            {
                "step": one.step,
                "takes": one.takes,
                "count": len(one.people),
                "persons": list(one.people[:NAMED_AT_MOST]),
            }
            for one in found.steps
        ],
        "stranded": list(found.stranded),
        "single_points_of_failure": list(found.critical),
        "untold": list(found.untold),
    }
    if on is not None:
        told["on"] = on.isoformat()
    if found.steps and found.verdict is Verdict.SATISFIABLE:
        told["resilience"] = {"absences": found.absences, "exact": found.exact}
    return told


_STATES: Final = {
    Verdict.SATISFIABLE: "can_be_done",
    Verdict.UNSATISFIABLE: "stranded",
    Verdict.GAVE_UP: "unknown",
}


def _sentence(found: Outlook, kind: ChainKind) -> Text:
    if not found.steps:
        return Text("Nothing remains to be done.", "No queda nada por hacer.")
    if found.verdict is Verdict.UNSATISFIABLE:
        steps = step_titles(found.stranded, kind=kind)
        return Text(
            f"Those who are authorised and present cannot do what remains: {steps.en}.",
            f"Quienes están autorizados y presentes no pueden dar lo que queda: {steps.es}.",
        )
    if found.verdict is Verdict.GAVE_UP:
        return Text(
            "It cannot be told whether what remains can be done: see who can do it. It may depend on facts "
            "that are not stated yet, on an exception (a delegation, an accepted conflict), or be too much "
            "work.",
            "No se puede saber si lo que queda se podrá hacer: vea quién puede hacerlo. Puede depender de "
            "datos aún no indicados, de una excepción (una delegación, un conflicto aceptado) o ser "
            "demasiado trabajo.",
        )
    if found.critical:
        people = names(found.critical)
        return Text(
            f"What remains can be done, but not without any one of: {people.en}.",
            f"Lo que queda se puede hacer, pero no si falta alguna de estas personas: {people.es}.",
        )
    if not found.absences:
        people = names(found.untold)
        return Text(
            "What remains can be done; whether it could without one of these persons cannot be told: "
            f"{people.en}.",
            "Lo que queda se puede hacer; no se puede saber si se podría sin alguna de estas "
            f"personas: {people.es}.",
        )
    count = found.absences
    least = Text("", "") if found.exact else Text("at least ", "al menos ")
    return Text(
        f"What remains can be done whoever is away, up to {least.en}{count} "
        f"{'person' if count == 1 else 'persons'}.",
        f"Lo que queda se puede hacer falte quien falte, hasta {least.es}{count} "
        f"{'persona' if count == 1 else 'personas'}.",
    )


def _nothing(_: int) -> bytes:
    raise AssertionError("an outlook conceals nothing, for it records nothing")


def _no_name(_: str) -> str:
    raise AssertionError("an outlook names nothing, for it records nothing")
