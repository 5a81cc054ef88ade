"""Whether a claim may end without having been performed, by what the duties say of the chain it leaves."""

from __future__ import annotations

from collections.abc import Iterable

from controls.duties.asked import Violation
from controls.duties.ending import too_few_left
from controls.duties.material import baseline
from controls.model.chain import Act, ChainHistory, ChainKind, Repeats
from controls.model.condition import Facts
from controls.model.duty import Constraint, ConstraintKind
from controls.model.errors import Conflict
from controls.rules.values_on_record import values_on_record
from controls.services.commands import Context
from controls.store.rows import StoredAct


def check_end(context: Context, stored: StoredAct) -> None:
    """See that the claim can end now.

    Raises:
        Conflict: too few persons would be left on steps that take a number of them, or nobody beside who took
            the last step.
    """
    active, act = context.active, stored.act
    kind = active.kinds.get(stored.kind)
    if kind is None:
        return  # nothing is asked of chains that no release in force knows
    history = context.work.history(stored.kind, act.chain)
    recorded = Facts(
        values_on_record(active.release.vocabulary, baseline(history)), history, context.work.now
    )
    facts = active.counted(recorded, kind=stored.kind)
    found = too_few_left(active.enforcement.constraints, kind=kind, act=act, facts=facts)
    if found is not None:
        raise _too_few(stored.act, *found, kind=kind, history=facts.chain)


def _too_few(
    act: Act, constraint: Constraint, left: Violation, *, kind: ChainKind, history: ChainHistory
) -> Conflict:
    if constraint.kind is ConstraintKind.SOLE_ACTOR:
        detail = (
            f"{act.chain} has gone through its last step, {', '.join(left.steps)}, because somebody else had "
            f"a hand in it, too ({constraint.id}); without {act.person} on {act.step} nobody has."
        )
        mend = f"Have another person act on {act.chain} first, or report {act.step} as performed."
    else:
        detail = (
            f"{', '.join(constraint.steps)} of {act.chain} need at least {left.limit} different persons "
            f"({constraint.id}); without {act.person} on {act.step} there can be {left.count} at most."
        )
        mend = _instead(kind, constraint.steps, history=history)
    return Conflict(
        "too_few_persons_left", "Too few persons would be left on the chain", detail=detail, help=mend
    )


def _instead(kind: ChainKind, steps: Iterable[str], *, history: ChainHistory) -> str:
    """What to do so that the claim can end: another person is needed on a step that others may still take."""
    known = (step for step in map(kind.step, steps) if step is not None)
    free = [
        step.id
        for step in known
        if step.repeats is Repeats.ANYONE or len(history.holders(step.id)) < history.needed(step.id)
    ]
    if free:
        return f"Have another person take {' or '.join(free)} first, or report it as performed."
    return (
        "Report it as performed once it is; if it never is, cancel the chain and begin one that replaces it."
    )
