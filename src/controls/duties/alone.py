"""What one person alone could break: the steps that he or she may take, held against the duties of a chain.

Guarantees: one definition of every constraint, that of `controls.duties.constraints`, asked of a person who
has had a hand in all the other steps. Constraints that ask who stands where, how persons are related, or what
was done on other chains, say nothing of one person's permissions: they are asked when a step is.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from controls.duties.constraints import FORMULAS, Asked, concerns
from controls.model.chain import AMEND, Act, ActState, Capacity, ChainHistory, ChainKind
from controls.model.duty import Constraint, ConstraintKind, Scope
from controls.model.finding import Effect

_OF_ONE: Final = frozenset(
    {
        ConstraintKind.WHOLE_CHAIN,
        ConstraintKind.SEPARATE,
        ConstraintKind.AT_MOST,
        ConstraintKind.VOTES,
        ConstraintKind.EXCLUSIVE_ROLES,
    }
)
_WHENEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def could_break(constraint: Constraint, steps: Collection[str], *, kind: ChainKind) -> bool:
    """Whether somebody who may take all of `steps` could break a constraint that denies, on one chain."""
    if constraint.then is not Effect.DENY or constraint.kind not in _OF_ONE or constraint.excludes_roles:
        return False
    if constraint.scope is not Scope.CHAIN:
        return False
    taken = tuple(_had_a_hand(step) for step in sorted(steps))
    return any(_speaks(constraint, last, kind=kind, taken=taken) for last in taken)


def _speaks(constraint: Constraint, last: Act, *, kind: ChainKind, taken: tuple[Act, ...]) -> bool:
    """Whether it speaks when the person does this one after all the others."""
    step = kind.steps[0].id if last.step == AMEND else last.step  # as what an amendment is held against
    if not concerns(constraint, kind=kind, step=step):
        return False
    others = tuple(act for act in taken if act is not last)
    asked = Asked("p", step, kind, ChainHistory(kind.id, "", others), _WHENEVER)
    return FORMULAS[constraint.kind](constraint, asked=asked) is not None


def _had_a_hand(step: str) -> Act:
    """An act that counts against the person and holds nothing."""
    return Act(
        claim=step,
        decision="",
        chain="",
        step=step,
        person="p",
        account="",
        capacity=Capacity.ACTOR,
        state=ActState.ABANDONED,
        at=_WHENEVER,
        done_at=_WHENEVER,
        valid_until=_WHENEVER,
        index=0,
    )
