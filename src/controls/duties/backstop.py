"""What the database itself keeps to, even if everything above it were wrong: limits on acts of one chain.

Guarantees: a limit says exactly what the formula of its constraint says of one chain, no more: with S its
steps, an act on s of S is refused if |(mine & S) | {s}| > most. So is the whole chain (S all mandatory steps,
all but one allowed), `separate` (one) and `at_most`. Only what holds for everybody, always, and what no
approval or exception sets aside becomes a limit: a constraint that denies, is `absolute` and has neither
condition, period, order nor groups. Acts on the other chains of a line are not counted here: what they add
can only deny more, and the verifier counts them (`controls.duties.lineage`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controls.duties.built_in import ALWAYS, with_built_in
from controls.model.chain import AMEND, ChainKind
from controls.model.duty import Constraint, ConstraintKind, Scope, StepLimit
from controls.model.finding import Effect


def step_limits(constraints: Iterable[Constraint], *, chains: Iterable[ChainKind]) -> tuple[StepLimit, ...]:
    """The limits of a release, in order; constraints are those of its files or with the built-in ones."""
    kinds = tuple(chains)
    every = with_built_in(constraints, chains=kinds)
    found = (limit for kind in kinds for constraint in every for limit in _limits(constraint, kind))
    return tuple(sorted(found, key=lambda limit: (limit.kind, limit.rule, limit.act, limit.step)))


def _limits(constraint: Constraint, kind: ChainKind) -> Iterator[StepLimit]:
    if constraint.chain not in ("", kind.id) or not _unconditional(constraint):
        return
    if constraint.kind is ConstraintKind.WHOLE_CHAIN:
        steps, most = kind.mandatory, len(kind.mandatory) - 1
    elif constraint.kind is ConstraintKind.SEPARATE:
        steps, most = constraint.steps, 1
    elif constraint.kind is ConstraintKind.AT_MOST:
        steps, most = constraint.steps, constraint.limit
    else:
        return
    first = kind.steps[0].id
    for step in dict.fromkeys(steps):
        yield StepLimit(kind.id, constraint.id, step, step, most)
        if step == first:  # an amendment is an act on it, too
            yield StepLimit(kind.id, constraint.id, AMEND, step, most)


def _unconditional(constraint: Constraint) -> bool:
    return (
        constraint.then is Effect.DENY
        and constraint.absolute
        and constraint.when is None
        and constraint.effective == ALWAYS
        and constraint.scope is Scope.CHAIN
        and constraint.within is None
        and not constraint.ordered
        and not constraint.groups
    )
