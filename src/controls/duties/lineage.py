"""History of a lineage: splitting, merging, cancelling, rebooking and netting reset nothing.

A chain is linked to older ones by its first act, for good: links are never removed, and none are added later.
So links lead from younger to older chains and make no circles, and what a chain comes from never grows.

The rule. A *line* is a chain with everything that it comes from, directly or not: the whole past of its
money. What a person did anywhere on a line counts as if it had been done on one chain. A step on a chain is
a step on every line that the chain is part of: its own, and those of all that has come of it since. So

    a constraint is violated if it is violated over any line with the acts on all chains of the line;

and lines within others need no asking, for whatever is counted only grows. Siblings (two halves of one block)
are on no line together, so a step on one is no step on the other; but what was done on the block counts on
both, what is done on a half counts for the block, and if the halves are ever joined again all of it counts
together, when they are joined and before: joining what is broken as one is refused.

What counts from other chains is what counts *against* persons: the acts that `separate`, `at_most`, `votes`,
`coalition`, `relation`, `cooling_off`, roles in use and the whole chain look at, whatever became of them.
What *helps* must stand on the chain itself: order of steps, repetition, material facts, `bind`, `at_least`,
votes given, and the other actor that the last step takes. Hence the law: adding links never turns a
denial into a permit.

A constraint about one chain kind counts the acts on chains of that kind. A constraint whose steps belong to
several kinds counts those on all of them: a step is the same step wherever it is called the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from controls.duties.asked import Asked, Violation
from controls.duties.constraints import FORMULAS, applied, concerns
from controls.duties.findings import denial
from controls.duties.wording import acts, joined
from controls.model.chain import ChainHistory, ChainKind
from controls.model.condition import Facts
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Cause, Finding, Origin, Text
from controls.model.lineage import MAX_CHAINS, LineageReading, Link
from controls.model.people import Profile
from controls.model.record import record
from controls.model.trail import TrailAct

# Kinds whose breach is a matter of the acts alone, whenever they were done.
_JOINED: frozenset[ConstraintKind] = frozenset(
    {
        ConstraintKind.WHOLE_CHAIN,
        ConstraintKind.SEPARATE,
        ConstraintKind.AT_MOST,
        ConstraintKind.VOTES,
        ConstraintKind.COALITION,
        ConstraintKind.RELATION,
        ConstraintKind.EXCLUSIVE_ROLES,
    }
)


def lineage_findings(
    kind: ChainKind | None, *, resource_type: str, history: ChainHistory, reading: LineageReading
) -> Iterator[Finding]:
    """What is wrong with the links that a request states."""
    if reading.unknown:
        yield _unknown(reading)
    if kind is None:
        yield _no_chain(resource_type)
    elif not history.begun():
        if len(reading.family) > MAX_CHAINS:
            yield _too_large(history, size=len(reading.family))
    elif not set(reading.stated) <= set(reading.recorded):
        yield _other_links(history, recorded=reading.recorded)


@record
class Joined:
    """What the acts of chains that are joined are measured by."""

    constraints: Sequence[Constraint]
    kinds: Mapping[str, ChainKind]  # by id
    facts: Facts
    profiles: Mapping[str, Profile]


def joined_findings(rules: Joined, *, history: ChainHistory, reading: LineageReading) -> Iterator[Finding]:
    """What is broken over the chains that a new chain joins, and over none of their lines by itself; and by
    what was approved of the new chain before it named these, whoever approved it."""
    if len(reading.parents) < 2 and not history.acts:
        return
    together = tuple(item for line in reading.lines for item in line)
    if len(reading.parents) > 1:
        yield from _joined(rules, reading.parents, together, chain=history.chain)
    if history.acts and together:
        approved = tuple(TrailAct(history.kind, act.step, act) for act in history.acts)
        # Groups are asked about when somebody acts; what is not known was told when it was approved.
        persons = [item for item in rules.constraints if item.kind is not ConstraintKind.COALITION]
        rules = replace(rules, constraints=persons)
        yield from _joined(
            rules, (together, approved), (*together, *approved), chain=history.chain, sure=True
        )


def _joined(
    rules: Joined,
    parts: Iterable[Sequence[TrailAct]],
    together: Sequence[TrailAct],
    *,
    chain: str,
    sure: bool = False,
) -> Iterator[Finding]:
    broken = broken_together(rules, together, sure=sure)
    if not broken:
        return
    known = {breach for part in parts for breach in broken_together(rules, part, sure=sure)}
    for (number, person), (violation, where) in broken.items():
        if (number, person) not in known:
            yield _broken_together(rules.constraints[number], person, violation, kind=where, chain=chain)


def broken_together(
    rules: Joined, items: Iterable[TrailAct], *, sure: bool = False
) -> dict[tuple[int, str], tuple[Violation, ChainKind]]:
    """The constraints that acts break taken together, by the constraint's number and person.

    What is counted only grows, so it is enough to ask for each person's last act on each step, unless the
    order of steps matters. With `sure`, what the directory does not know breaks nothing.
    """
    ordered = sorted(items, key=lambda item: (item.act.index, item.act.claim))
    last = {(item.act.person, item.kind, item.step): place for place, item in enumerate(ordered)}
    found: dict[tuple[int, str], tuple[Violation, ChainKind]] = {}
    every = [(number, rule) for number, rule in enumerate(rules.constraints) if _counts_joined(rule)]
    minding = [(number, rule) for number, rule in every if rule.ordered]
    for place, item in enumerate(ordered):
        person, kind_id, step = key = (item.act.person, item.kind, item.step)
        asking = every if last[key] == place else minding
        kind = rules.kinds.get(kind_id)
        if kind is None or not asking:
            continue
        asked = Asked(
            person=person,
            step=step,
            kind=kind,
            history=ChainHistory(kind_id, ""),
            now=item.act.at,
            lineage=tuple(ordered[:place]),
            profiles=rules.profiles,
        )
        for number, constraint in asking:
            if not concerns(constraint, kind=kind, step=step):
                continue
            violation = FORMULAS[constraint.kind](constraint, asked=asked)
            if violation is not None and not (sure and violation.missing):
                violation = applied(constraint, found=violation, facts=rules.facts)
                if violation is not None:
                    found[number, person] = violation, kind
    return found


def _counts_joined(constraint: Constraint) -> bool:
    if constraint.kind is ConstraintKind.EXCLUSIVE_ROLES and not constraint.dynamic:
        return False
    return constraint.kind in _JOINED and constraint.scope is Scope.CHAIN


def _unknown(reading: LineageReading) -> Finding:
    named = joined([Text(f"{item.type} {item.id}", f"{item.type} {item.id}") for item in reading.unknown])
    return denial(
        "lineage_unknown",
        origin=Origin.REQUEST,
        title=Text("No such older chain", "No existe esa cadena anterior"),
        message=Text(
            f"The request says that it comes from {named.en}, and nobody has begun such a chain. Name chains "
            "that have begun, each with its resource type.",
            f"La petición dice proceder de {named.es}, y nadie ha iniciado tal cadena. Indique cadenas ya "
            "iniciadas, cada una con su tipo de recurso.",
        ),
        values={"lineage": tuple(f"{item.relation}:{item.type}:{item.id}" for item in reading.unknown)},
        cause=Cause.FIRED,
    )


def _no_chain(resource_type: str) -> Finding:
    return denial(
        "lineage_without_chain",
        origin=Origin.REQUEST,
        title=Text("Nothing to link", "Nada que enlazar"),
        message=Text(
            f"A {resource_type} has no chain in the rules in force, so it cannot come from another one. "
            "Leave the lineage out.",
            f"Un recurso {resource_type} no tiene cadena en las reglas vigentes, así que no puede proceder "
            "de otra. Omita el linaje.",
        ),
        values={"resource.type": resource_type},
    )


def _other_links(history: ChainHistory, *, recorded: tuple[Link, ...]) -> Finding:
    if recorded:
        named = joined(
            [Text(f"{link.relation} {link.chain}", f"{link.relation} {link.chain}") for link in recorded]
        )
        known = Text(f"it began with these links: {named.en}", f"empezó con estos enlaces: {named.es}")
    else:
        known = Text("it began without any link", "empezó sin ningún enlace")
    return denial(
        "lineage_changed",
        title=Text("The lineage is another one", "El linaje es otro"),
        message=Text(
            f"What chain {history.chain} comes from was said by its first act, and {known.en}. State these "
            "links or none; for others, cancel the chain and begin a new one that replaces it.",
            f"La procedencia de la cadena {history.chain} la fijó su primer acto, y {known.es}. Indique los "
            "mismos enlaces o ninguno; para otros, cancele la cadena y empiece una nueva que la sustituya.",
        ),
        values={
            "chain": history.chain,
            "lineage": tuple(f"{item.relation}:{item.chain}" for item in recorded),
        },
    )


def _too_large(history: ChainHistory, *, size: int) -> Finding:
    return denial(
        "lineage_too_large",
        title=Text("Too many chains hang together", "Demasiadas cadenas enlazadas"),
        message=Text(
            f"With these links, {size} chains would hang together with {history.chain}; at most {MAX_CHAINS} "
            "may, so that all of their history can be counted. Link fewer, or split over several blocks.",
            f"Con estos enlaces, {size} cadenas quedarían unidas a {history.chain}; pueden ser como máximo "
            f"{MAX_CHAINS}, para poder contar toda su historia. Enlace menos o reparta en varios bloques.",
        ),
        values={"chain": history.chain, "count": size, "limit": MAX_CHAINS},
    )


def _broken_together(
    constraint: Constraint, person: str, violation: Violation, *, kind: ChainKind, chain: str
) -> Finding:
    earlier = acts(violation.acts, kind=kind, with_chain=True)
    rule, title = constraint.id, constraint.title
    return Finding(
        rule="joined_history",
        version=constraint.version,
        origin=Origin.DUTY,
        effect=constraint.then,
        title=Text("What is joined breaks a rule", "Lo que se une incumple una regla"),
        message=Text(
            f"{chain} would join chains that may not be one: taken together, {person} breaks {rule} "
            f"({title.en}), {violation.count} where {violation.limit} are allowed. Done: {earlier.en}.",
            f"{chain} uniría cadenas que no pueden ser una: en conjunto, {person} incumple {rule} "
            f"({title.es}), {violation.count} cuando se permiten {violation.limit}. Hecho: {earlier.es}.",
        ),
        cause=Cause.MISSING if violation.missing else Cause.FIRED,
        values={
            "rule": rule,
            "person": person,
            "count": violation.count,
            "limit": violation.limit,
            "steps": violation.steps,
        },
        missing=violation.missing,
        sources=constraint.sources,
    )
