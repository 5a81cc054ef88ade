"""An amendment that moves a chain: what was done on it counts at the new place as well, whoever did it.

Guarantees: an amendment that brings a chain to another account, instrument, desk or side of a wall is held
against what all acts on the chain that count there (`controls.model.trail.of_chain`) break together with
those that are there already, by the definition that breaches are looked for by
(`controls.duties.breaches_across`). So no amendment makes of acts that were allowed a breach by somebody who
has not even asked; whoever amends is asked besides, as for any other step. What cannot be told is broken.

A wall keeps a person from what is on its other side, so that a chain which only changes its own side breaks
nothing by that: its acts are held against those on other chains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from controls.duties.asked import Violation, counts
from controls.duties.breaches_across import is_across, too_many
from controls.duties.constraints import applied
from controls.duties.findings import BUILT_IN
from controls.duties.trails import trail_name
from controls.duties.wording import acts
from controls.model.chain import Act, ChainKind
from controls.model.condition import Facts
from controls.model.duty import Constraint, ConstraintKind
from controls.model.finding import Cause, Effect, Finding, Origin, Text
from controls.model.record import record
from controls.model.trail import TrailAct
from controls.model.values import Value


@record
class Arrival:
    """A chain that an amendment would bring to a place of a trail where it has not been.

    `facts` say where that is. `moved` are the acts that come with the chain, `there` those that are there
    already, of all whose acts are moved or, where the trail is anybody's, of all (None: that is not known).
    """

    facts: Mapping[str, str]
    moved: tuple[TrailAct, ...]
    there: tuple[TrailAct, ...] | None


def moved_findings(
    constraints: Iterable[Constraint], arrivals: Mapping[str, Arrival], *, kind: ChainKind, facts: Facts
) -> Iterator[Finding]:
    """What the acts of a chain would break where an amendment brings it; `arrivals` by the trail's name."""
    for constraint in constraints:
        arrival = arrivals.get(trail_name(constraint))
        if arrival is None or not is_across(constraint) or constraint.chain not in ("", kind.id):
            continue
        for person, violation in _violations(constraint, arrival):
            found = applied(constraint, found=violation, facts=facts)
            if found is not None:
                yield _finding(constraint, person, found, arrival=arrival, kind=kind, chain=facts.chain.chain)


def _violations(constraint: Constraint, arrival: Arrival) -> Iterator[tuple[str, Violation]]:
    """The latest breach by each person."""
    moved = [item for item in arrival.moved if _counts(constraint, item)]
    if arrival.there is None:
        if moved:
            names = tuple(arrival.facts)
            yield moved[-1].act.person, Violation(count=0, limit=constraint.limit, missing=names)
        return
    there = [item for item in arrival.there if _counts(constraint, item)]
    if constraint.kind is ConstraintKind.CHINESE_WALL:
        own = {item.act.claim for item in moved}
        there = [item for item in there if item.act.claim not in own]
    ordered = sorted((*there, *moved), key=lambda item: (item.act.index, item.act.claim))
    if constraint.kind is ConstraintKind.AT_MOST:
        broken, limit = too_many(constraint, ordered), constraint.limit
    else:
        broken, limit = _clashes(constraint, ordered, moved), 1
    claims = {item.act.claim for item in moved}
    latest = {each[-1].person: each for each in broken if any(act.claim in claims for act in each)}
    for person, found in latest.items():
        yield person, Violation(count=len(found), limit=limit, acts=found)


def _counts(constraint: Constraint, item: TrailAct) -> bool:
    return constraint.chain in ("", item.kind) and (not constraint.steps or item.step in constraint.steps)


def _clashes(
    constraint: Constraint, ordered: Sequence[TrailAct], moved: Sequence[TrailAct]
) -> Iterator[tuple[Act, ...]]:
    """Each act with those before it that it is kept apart from, where one of them is moved."""
    for number, later in enumerate(ordered):
        if later in moved:
            before = ordered[:number]
        else:
            before = [item for item in moved if item.act.index < later.act.index]
        found = [item.act for item in before if _kept_apart(constraint, item, later)]
        if found:
            yield (*found, later.act)


def _kept_apart(constraint: Constraint, earlier: TrailAct, later: TrailAct) -> bool:
    within = constraint.within
    if within is not None and not earlier.act.younger_than(within, now=later.act.at):
        return False
    if constraint.kind is not ConstraintKind.COOLING_OFF and earlier.act.person != later.act.person:
        return False
    if constraint.kind is ConstraintKind.CHINESE_WALL:
        return earlier.part != later.part
    return counts(constraint, later.step, earlier.act, on=earlier.step, now=later.act.at)


def _finding(
    constraint: Constraint, person: str, found: Violation, *, arrival: Arrival, kind: ChainKind, chain: str
) -> Finding:
    done = acts(found.acts, kind=kind, with_chain=True)
    where = ", ".join(f"{name} {text}" for name, text in arrival.facts.items())
    rule, title = constraint.id, constraint.title
    if found.acts:
        told = Text(
            f"there {person} would break {rule} ({title.en}), also by what was done before: {done.en}.",
            f"ahí {person} incumpliría {rule} ({title.es}), también con lo hecho antes: {done.es}.",
        )
    else:
        told = Text(
            f"whether {person} would break {rule} ({title.en}) there could not be told. Ask again.",
            f"no se ha podido saber si {person} incumpliría ahí {rule} ({title.es}). Vuelva a preguntar.",
        )
    values: dict[str, Value] = {"rule": rule, "person": person, "count": found.count, "limit": found.limit}
    return Finding(
        rule="moved_history",
        version=BUILT_IN,
        origin=Origin.DUTY,
        effect=Effect.REVIEW if found.error and constraint.then is not Effect.DENY else constraint.then,
        title=Text("What is moved breaks a rule", "Lo que se traslada incumple una regla"),
        message=Text(
            f"The amendment would move {chain} to {where}, where all that was done on it counts, too, and "
            f"{told.en} Leave {chain} where it is, or cancel it and let other persons begin a new one.",
            f"La modificación trasladaría {chain} a {where}, donde cuenta también todo lo hecho en ella, y "
            f"{told.es} Deje {chain} donde está, o cancélela y que otras personas empiecen una nueva.",
        ),
        cause=Cause.MISSING if found.missing else Cause.FIRED,
        # Under the facts' own names, so that what is private of them is private here.
        values={**values, "steps": tuple(dict.fromkeys(act.step for act in found.acts)), **arrival.facts},
        missing=found.missing,
        sources=constraint.sources,
    )
