"""Whoever approves a step has a hand in it, and so must not be related to those who act beside him or her.

Guarantees: the constraints over relations are asked of the approver as of somebody who takes the step, next
to the person who asks for it and to everybody with a hand in the other steps; who is known to be related
approves nothing, whether the constraint denies or asks for a review. What the directory does not know denies
where the constraint denies; where it asks for a review, a supervisor's look is what it asks for, so that it
is told on record and keeps nobody from approving.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from controls.duties.asked import Asked, others_of
from controls.duties.constraints import applied, concerns
from controls.duties.findings import constraint_finding
from controls.duties.relations import relation
from controls.model.chain import Act, ActState, Capacity
from controls.model.condition import Facts
from controls.model.duty import Constraint, ConstraintKind
from controls.model.finding import Effect, Finding
from controls.model.record import record
from controls.model.trail import TrailAct


@record
class Approving:
    """That somebody, of whom it is `asked` as if he or she took the step, is to approve it for `askers`.

    `lines` are the acts on the other chains of each line that the chain is part of; `facts` are those that
    the chain's acts put on record.
    """

    asked: Asked
    askers: tuple[str, ...]
    lines: Sequence[tuple[TrailAct, ...]]
    facts: Facts


def approver_findings(constraints: Iterable[Constraint], approving: Approving) -> Iterator[Finding]:
    """What keeps the approver from approving."""
    asked = approving.asked
    for constraint in constraints:
        if constraint.kind is ConstraintKind.RELATION and concerns(
            constraint, kind=asked.kind, step=asked.step
        ):
            found = _found(constraint, approving)
            if found is not None:
                yield found


def _found(constraint: Constraint, approving: Approving) -> Finding | None:
    asked = approving.asked
    # Those who ask have not acted yet, and they do it on the very step: nobody else on it is beside anybody.
    others = tuple(act for act in asked.history.acts if asked.step_of(act) != asked.step)
    requested = tuple(_requested(asked, person) for person in approving.askers)
    over = replace(constraint, steps=(*others_of(constraint, asked.step), asked.step), ordered=False)
    told: Finding | None = None
    for line in approving.lines or ((),):
        beside = replace(
            asked,
            step="",
            history=replace(asked.history, acts=(*others, *requested)),
            lineage=tuple(item for item in line if item.step != asked.step),
        )
        related = relation(over, asked=beside)
        found = None if related is None else applied(constraint, found=related, facts=approving.facts)
        if related is None or found is None:
            continue
        told = constraint_finding(constraint, found=found, asked=asked)
        if not related.missing or told.effect is not Effect.REVIEW:
            return told
    return None if told is None else replace(told, effect=Effect.FLAG)


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
        valid_until=asked.now,
        index=-1,
    )
