"""Whoever approves a step has a hand in it, and so is held against what constraints say of those who take it.

Guarantees: what looks beyond the chain is asked of the approver as of somebody who takes the step, by the
same formulas: relations next to the person who asks for it and to everybody with a hand in the other steps,
and what is counted over an account, an instrument or a desk, walls and times between steps wherever the
approval will count. Who is known to break one of these approves nothing, whether the constraint denies or
asks for a review. What is not known denies where the constraint denies; where it asks for a review, a
supervisor's look is what it asks for, so that it is told on record and keeps nobody from approving.

A time between steps is not about who takes them, so that no other approver would do: where it asks for a
review, or is what the case is about, approving is how it is dealt with, and it is told on record.

What looks at one chain and its lines needs no asking: an approver has no other act there (a party approves
nothing), and one step is within every limit; of steps that must be held, an approver holds none. But a hand
in the step may keep the approver from a step to come that nobody else could take: who would so strand a chain
that is under way approves nothing of it, unless the case is about just that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import product

from controls.duties.asked import Asked, Violation, counts
from controls.duties.breaches_across import is_across
from controls.duties.constraints import FORMULAS, applied, concerns
from controls.duties.findings import constraint_finding
from controls.duties.later import Taken
from controls.duties.lookahead import LookAhead
from controls.duties.material import baseline
from controls.duties.relations import relation
from controls.duties.stranding import by_approving
from controls.duties.trails import trail_name
from controls.model.chain import Act, ActState, Capacity
from controls.model.condition import Facts
from controls.model.crowd import Crowd
from controls.model.duty import Constraint, ConstraintKind
from controls.model.finding import Effect, Finding
from controls.model.record import record
from controls.model.trail import TrailAct, TrailPlace, TrailReading


@record
class Approving:
    """That somebody, of whom it is `asked` as if he or she took the step, is to approve it for `askers`.

    `lines` are the acts on the other chains of each line that the chain is part of; `facts` are those that
    the chain's acts put on record, or else the question that is held; and where that is an amendment, those
    besides that the chain would have with it. `trails` are, by the name of the trail, the readings of each
    place where the approval will count (none: that cannot be told); `rules` are those that hold the step up.
    `crowd` are those who can act now (None: the rest of the chain is not looked at), and `places` where the
    chain is, or has been.
    """

    asked: Asked
    askers: tuple[str, ...]
    lines: Sequence[tuple[TrailAct, ...]]
    facts: tuple[Facts, ...]
    trails: Mapping[str, Sequence[TrailReading]] = field(default_factory=dict)
    rules: frozenset[str] = frozenset()
    crowd: Crowd | None = None
    places: Mapping[str, Sequence[TrailPlace]] = field(default_factory=dict)


def approver_findings(
    constraints: Iterable[Constraint], approving: Approving, ahead: LookAhead
) -> Iterator[Finding]:
    """What keeps the approver from approving, and what is told of him or her besides."""
    asked = approving.asked
    for constraint in constraints:
        if not concerns(constraint, kind=asked.kind, step=asked.step):
            continue
        if constraint.kind is ConstraintKind.RELATION:
            found = _finding(constraint, _related(constraint, approving), approving)
        elif is_across(constraint):
            found = _finding(constraint, _across(constraint, approving), approving)
        else:
            continue
        if found is not None:
            yield found
    if approving.crowd is not None and asked.history.begun():
        found = _stranding(ahead, approving, crowd=approving.crowd)
        if found is not None:
            yield found if found.rule not in approving.rules else replace(found, effect=Effect.FLAG)


def _stranding(ahead: LookAhead, approving: Approving, *, crowd: Crowd) -> Finding | None:
    """What becomes of the rest of the chain with the approver's hand in the step, if worse than without.
    Where that cannot be told it is told so, and keeps nobody from approving."""
    asked, facts = approving.asked, approving.facts[0]
    history = facts.chain
    material = baseline(history)
    hand = _requested(asked, asked.person)
    hand = replace(hand, capacity=Capacity.APPROVER, state=ActState.PERFORMED, material=material)
    taken = Taken(
        asked.kind,
        history,
        hand,
        facts.values,
        now=asked.now,
        lines=approving.lines,
        places=approving.places,
    )
    found = ahead.finding(taken, crowd=crowd)
    if found is None:
        return None
    *before, last = history.acts
    without = replace(
        taken, history=replace(history, acts=tuple(before)), act=replace(last, material=material)
    )
    known = ahead.finding(without, crowd=crowd)
    same = known is not None and known.rule == found.rule
    return None if same else by_approving(found, kind=asked.kind)


def _finding(constraint: Constraint, violations: Iterable[Violation], approving: Approving) -> Finding | None:
    """The finding of what is known, if anything is, else of what is not."""
    asked = approving.asked
    told: Finding | None = None
    for violation, facts in product(violations, approving.facts):
        found = applied(constraint, found=violation, facts=facts)
        if found is None:
            continue
        told = constraint_finding(constraint, found=found, asked=asked)
        timed = constraint.kind is ConstraintKind.COOLING_OFF
        if constraint.id in approving.rules and timed:
            continue
        if told.effect is not Effect.REVIEW or not (violation.missing or timed):
            return told
    return None if told is None else replace(told, effect=Effect.FLAG)


def _related(constraint: Constraint, approving: Approving) -> Iterator[Violation]:
    asked = approving.asked

    # Those who ask have not acted yet, and they do it on the very step: nobody else on it is beside anybody.
    def counted(act: Act, on: str) -> bool:
        return counts(constraint, asked.step, act, on=on, now=asked.now)

    others = tuple(act for act in asked.history.acts if counted(act, asked.step_of(act)))
    requested = tuple(_requested(asked, person) for person in approving.askers)
    over = replace(constraint, ordered=False)
    for line in approving.lines or ((),):
        beside = replace(
            asked,
            step="",
            history=replace(asked.history, acts=(*others, *requested)),
            lineage=tuple(item for item in line if counted(item.act, item.step)),
        )
        found = relation(over, asked=beside)
        if found is not None:
            yield found


def _across(constraint: Constraint, approving: Approving) -> Iterator[Violation]:
    name = trail_name(constraint)
    for reading in approving.trails.get(name, ()) or (None,):
        trails = {} if reading is None else {name: reading}
        for line in approving.lines or ((),):
            there = replace(approving.asked, trails=trails, lineage=line)
            found = FORMULAS[constraint.kind](constraint, asked=there)
            if found is not None:
                yield found


def _requested(asked: Asked, person: str) -> Act:
    """The act that the person asks for."""
    return Act(
        claim="",
        decision="",
        chain=asked.history.chain,
        step=asked.step,
        person=person,
        account="",
        capacity=Capacity.ACTOR,
        state=ActState.CLAIMED,
        at=asked.now,
        done_at=None,
        valid_until=asked.now,
        index=-1,
    )
