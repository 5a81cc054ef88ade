"""What two persons break together beyond one chain, once they are found to be one.

Guarantees: an act is told of that broke nothing when it was done, and breaks a constraint over all chains of
an account, an instrument, a desk or a conflict class (`controls.duties.breaches_across`) as one of the person
that the two are. The chains looked at are the newest of those that the two have in common there, at most
`controls.store.workspace.NEAR_AT_MOST`; what is older is told by the analysis of duties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from controls.duties.breaches_across import Across, Crossing
from controls.model.chain import Act, ChainHistory, ChainKind
from controls.model.duty import Constraint


def broken_at_places(
    constraints: Sequence[Constraint],
    histories: Sequence[ChainHistory],
    *,
    kinds: Mapping[str, ChainKind],
    as_one: Callable[[Act], Act],
    person: str,
) -> Iterator[Crossing]:
    """What `person` breaks by acts that broke nothing before `as_one` said whose they all are.

    Cooling-off is never among it: whoever takes the steps, the time between them is the same.
    """
    before, after = Across(constraints), Across(constraints)
    for history in histories:
        united = ChainHistory(history.kind, history.chain, tuple(map(as_one, history.acts)))
        before.add(history, kind=kinds[history.kind])
        after.add(united, kind=kinds[history.kind])
    known = {(crossing.constraint.id, crossing.acts[-1].claim) for crossing in before.every()}
    for crossing in after.every():
        if crossing.person == person and (crossing.constraint.id, crossing.acts[-1].claim) not in known:
            yield crossing
