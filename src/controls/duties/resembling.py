"""A chain that begins like another one, without a word of where it comes from.

Lineage follows only what callers declare, so whoever enters an order anew, under another id, another account
of the same person or as another type of resource, would begin with a clean history. Nobody can tell that from
two orders that happen to be alike, so it is no reason to refuse: it is flagged, and a supervisor looks at it.

The rule. A chain is alike if somebody began it, or changed its facts, not longer ago than the chain kind
remembers (`resembles`), whatever became of it, and the account, instrument, side and quantity were the same.
(Whoever only approved that has not begun it.)
Chains that hang together by declared links are not compared, so a block and its equal halves are not alike.
Of very many alike only the latest are looked at.
"""

from __future__ import annotations

from controls.duties.findings import BUILT_IN
from controls.duties.wording import MOST, moment, names
from controls.model.chain import Capacity, ChainHistory, ChainKind
from controls.model.finding import Effect, Finding, Origin, Text
from controls.model.lineage import LineageReading
from controls.model.trail import TrailAct, TrailReading


def resembling(
    kind: ChainKind, *, history: ChainHistory, reading: TrailReading, lineage: LineageReading | None
) -> Finding | None:
    """The finding about the chain of `history`, which begins or is amended; None where none is alike.

    Args:
        reading: the acts that began or amended chains with the same account, instrument, side and quantity.
        lineage: what the request has to do with other chains.
    """
    own = (kind.id, history.chain)
    family = frozenset((own,)) if lineage is None else lineage.family | {own}
    begun = (item for item in reading.acts if item.act.capacity is not Capacity.APPROVER)
    alike = {(item.kind, item.act.chain): item for item in begun}
    others = [item for chain, item in alike.items() if chain not in family]
    return _finding(history.chain, others) if others else None


def _finding(chain: str, others: list[TrailAct]) -> Finding:
    latest = [(item.act.chain, item.act.person, moment(item.act.at)) for item in reversed(others)]
    named = names(f"{other} ({person}, {at})" for other, person, at in latest)
    return Finding(
        rule="resembles",
        version=BUILT_IN,
        origin=Origin.DUTY,
        effect=Effect.FLAG,
        title=Text("It looks like another chain begun anew", "Parece otra cadena empezada de nuevo"),
        message=Text(
            f"{chain} has the account, instrument, side and quantity of {named.en}, and does not say that it "
            "comes from there. If it takes its place or is a part of it, cancel this chain and begin it with "
            "that link (lineage), so that what was done before counts.",
            f"{chain} tiene la cuenta, el instrumento, el sentido y la cantidad de {named.es}, y no indica "
            "que proceda de ahí. Si la sustituye o es parte de ella, cancele esta cadena e iníciela con ese "
            "enlace (lineage), para que cuente lo ya hecho.",
        ),
        values={
            "chain": chain,
            "chains": tuple(other for other, _, _ in latest[:MOST]),
            "count": len(latest),
        },
    )
