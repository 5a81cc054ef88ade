"""Whether a claim may end without having been performed, by what the duties say of the chain it leaves."""

from __future__ import annotations

from collections.abc import Iterable

from controls.duties.ending import too_few_left
from controls.duties.material import baseline
from controls.model.chain import ChainHistory, ChainKind, Repeats
from controls.model.condition import Facts
from controls.model.errors import Conflict
from controls.services.commands import Context
from controls.services.values_on_record import values_on_record
from controls.store.rows import StoredAct


def check_end(context: Context, stored: StoredAct) -> None:
    """See that the claim can end now.

    Raises:
        Conflict: too few persons would be left on steps that take a number of them.
    """
    active, act = context.active, stored.act
    kind = active.kinds.get(stored.kind)
    if kind is None:
        return  # nothing is asked of chains that no release in force knows
    history = context.work.history(stored.kind, act.chain)
    recorded = Facts(values_on_record(active, baseline(history)), history, context.work.now)
    facts = active.counted(recorded, kind=stored.kind)
    found = too_few_left(active.enforcement.constraints, kind=kind, act=act, facts=facts)
    if found is not None:
        constraint, left = found
        raise Conflict(
            "too_few_persons_left",
            "Too few persons would be left on the chain",
            detail=f"{', '.join(constraint.steps)} of {act.chain} need at least {left.limit} different "
            f"persons ({constraint.id}); without {act.person} on {act.step} there can be {left.count} at "
            "most.",
            help=_instead(kind, constraint.steps, history=facts.chain),
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
