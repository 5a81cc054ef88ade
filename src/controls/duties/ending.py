"""What the end of a claim leaves of a chain that takes a number of persons.

Guarantees: no claim ends that a constraint `at_least` which denies was kept by, where what is still open on
the chain does not make up for it: a step that others hold besides, or an optional one. (A mandatory step that
nobody holds any more takes somebody anew, so that as many may come as before.) Nor does one by which somebody
else than who took the last step had a hand in the chain (`sole_actor`), unless another one has by then: the
last step is not taken back, and nobody need come for the others. Nothing else that a duty says is broken by
an end: what was done counts against persons for good, and what must be one person's (`bind`) has one holder
less.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from controls.duties.asked import Asked, Violation
from controls.duties.constraints import concerns, violation
from controls.model.chain import Act, ActState, ChainKind
from controls.model.condition import Facts
from controls.model.duty import Constraint, ConstraintKind
from controls.model.finding import Effect

# What is kept by those who hold steps, and broken by one less of them.
KEPT_BY_HOLDERS: Final = frozenset({ConstraintKind.AT_LEAST, ConstraintKind.SOLE_ACTOR})


def too_few_left(
    constraints: Iterable[Constraint], *, kind: ChainKind, act: Act, facts: Facts
) -> tuple[Constraint, Violation] | None:
    """The first constraint that the end of `act` would break, or break further; None where there is none.

    Args:
        facts: those on record of the chain, with its history and the votes that its steps take.
    """
    if not act.stands():
        return None
    ended = replace(act, state=ActState.ABANDONED)
    acts = tuple(ended if item.claim == act.claim else item for item in facts.chain.acts)
    after = replace(facts, chain=replace(facts.chain, acts=acts))
    for constraint in constraints:
        if constraint.kind in KEPT_BY_HOLDERS and constraint.then is Effect.DENY:
            found = fewer_holders(constraint, kind=kind, before=facts, after=after)
            if found is not None:
                return constraint, found
    return None


def fewer_holders(
    constraint: Constraint, *, kind: ChainKind, before: Facts, after: Facts
) -> Violation | None:
    """Why those who hold steps of the chain of `after` are too few, whoever comes, where they were not as few
    on the one of `before`, by the facts there."""
    found = _of_holders(constraint, kind=kind, facts=after)
    if found is None:
        return None
    known = _of_holders(constraint, kind=kind, facts=before)
    return found if known is None or found.count < known.count else None


def _of_holders(constraint: Constraint, *, kind: ChainKind, facts: Facts) -> Violation | None:
    """What is found of those who hold a step that the constraint is asked at."""
    for act in facts.chain.acts:
        if not act.stands() or not concerns(constraint, kind=kind, step=act.step):
            continue
        both = constraint.kind is ConstraintKind.SOLE_ACTOR and act.beside
        for person in (act.person, act.beside) if both else (act.person,):
            asked = Asked(
                person=person,
                step=act.step,
                kind=kind,
                history=facts.chain,
                now=facts.now,
                beside=act.beside,
            )
            found = violation(constraint, asked=asked, facts=facts)
            if found is not None:
                return found
    return None
