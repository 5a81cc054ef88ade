"""What a request has to do with other chains: which ones must be loaded, and what counts of them.

Guarantees: only chains that somebody has begun can be named; the acts of every line that a step is on are
read, this unit of work's included; resources without links cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from controls.model.chain import AMEND, ChainKind
from controls.model.lineage import ChainKey, LineageReading, Link, StatedLink
from controls.model.request import Request
from controls.model.trail import TrailAct
from controls.services.commands import Context
from controls.store.workspace import Needs


def need_lineage(context: Context, request: Request, needs: Needs) -> None:
    """What must be loaded for the links that a request states."""
    for stated in request.lineage:
        link = _link(context, stated)
        if link is not None:
            needs.joined.add(link.older)


def read_lineage(context: Context, request: Request, *, kind: ChainKind | None) -> LineageReading | None:
    """What there is to know of other chains; None where the request and its chain have no links."""
    lineage = context.work.lineage
    own = (kind.id if kind is not None else "", request.resource_id)
    if not request.lineage and not lineage.linked(own):
        return None
    found: list[Link] = []
    unknown: list[StatedLink] = []
    for stated in request.lineage:
        link = _link(context, stated)
        if link is None or link.older == own or not context.work.history(*link.older).begun():
            unknown.append(stated)
        else:
            found.append(link)
    links = tuple(dict.fromkeys(found))
    recorded = lineage.links(own)
    if kind is None or context.work.history(*own).begun():
        lines = tuple(line_acts(context, line) for line in lineage.lines(own))
        # Nobody asks for it once the chain has begun, but to see what an amended one is like.
        family = frozenset(lineage.related((own,)) if request.action == AMEND else ())
        return LineageReading(links, tuple(unknown), recorded, lines, family=family)
    older = tuple(dict.fromkeys(link.older for link in links))
    together = line_acts(context, lineage.ancestry(older))
    single = len(older) == 1
    return LineageReading(
        links,
        tuple(unknown),
        recorded,
        lines=(together,),
        parents=(together,)
        if single
        else tuple(line_acts(context, lineage.ancestry((chain,))) for chain in older),
        family=frozenset(lineage.related(older) | {own}),
    )


def line_acts(context: Context, chains: Iterable[ChainKey]) -> tuple[TrailAct, ...]:
    """The acts on these chains in ledger order, each as the step that it counts as."""
    first = {kind.id: kind.steps[0].id for kind in context.active.release.chains.values() if kind.steps}
    acts = [
        TrailAct(kind, first.get(kind, act.step) if act.step == AMEND else act.step, act)
        for kind, chain in chains
        for act in context.work.history(kind, chain).acts
    ]
    return tuple(sorted(acts, key=lambda item: (item.act.index, item.act.claim)))


def line_parties(context: Context, chain: ChainKey) -> frozenset[str]:
    """Everybody who had a hand in another chain of a line that this one is part of."""
    lines = context.work.lineage.lines(chain)
    return frozenset(item.act.person for line in lines for item in line_acts(context, line))


def _link(context: Context, stated: StatedLink) -> Link | None:
    kind = context.active.release.chains.get(stated.type)
    return None if kind is None else Link(stated.relation, kind.id, stated.id)
