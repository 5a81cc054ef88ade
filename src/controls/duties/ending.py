"""What the end of a claim leaves of a chain that takes a number of persons.

Guarantees: no claim ends that a constraint `at_least` which denies was kept by, where what is still open on
the chain does not make up for it: a step that others hold besides, or an optional one. (A mandatory step that
nobody holds any more takes somebody anew, so that as many may come as before.) Nothing else that a duty says
is broken by an end: what was done counts against persons for good, and what must be one person's (`bind`) has
one holder less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from controls.duties.asked import Asked, Violation
from controls.duties.constraints import violation
from controls.model.chain import Act, ActState, ChainHistory, ChainKind
from controls.model.condition import Facts
from controls.model.duty import Constraint, ConstraintKind
from controls.model.finding import Effect


def too_few_left(
    constraints: Iterable[Constraint], *, kind: ChainKind, act: Act, facts: Facts
) -> tuple[Constraint, Violation] | None:
    """The first constraint that the end of `act` would break, or break further; None where there is none.

    Args:
        facts: those on record of the chain, with its history and the votes that its steps take.
    """
    if not act.stands():
        return None
    history = facts.chain
    ended = replace(act, state=ActState.ABANDONED)
    after = replace(history, acts=tuple(ended if item.claim == act.claim else item for item in history.acts))
    for constraint in constraints:
        if (
            constraint.kind is ConstraintKind.AT_LEAST
            and constraint.then is Effect.DENY
            and constraint.chain in ("", kind.id)
            and act.step in constraint.steps
        ):
            found = _of_holders(constraint, after, kind=kind, facts=facts)
            before = _of_holders(constraint, history, kind=kind, facts=facts)
            if found is not None and (before is None or found.count < before.count):
                return constraint, found
    return None


def _of_holders(
    constraint: Constraint, history: ChainHistory, *, kind: ChainKind, facts: Facts
) -> Violation | None:
    """Whether those who hold the steps are too few, whoever comes: what is found of one who holds one."""
    held = next((act for act in history.acts if act.step in constraint.steps and act.stands()), None)
    if held is None:
        return None
    asked = Asked(
        person=held.person,
        step=held.step,
        kind=kind,
        history=history,
        now=facts.now,
        beside=held.beside,
    )
    return violation(constraint, asked=asked, facts=facts)
