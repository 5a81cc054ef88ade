"""Which regulation, article by article, stands behind which rules, and how well these are tested and used.

Guarantees: every clause that a rule or a duty cites is one line, whatever cites it, in an order that
depends on the clauses alone; what no case makes fire, or keep silent, is named, and so is what never fired.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from controls.model.finding import Source
from controls.rules.branch_coverage import Watched


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause with all that rests on it.

    The counts are of examples and of scenarios, over all its rules. `untested` names rules that no case
    makes fire or that none keeps silent; `last_fired` and `never_fired` are known only where a ledger was
    asked.
    """

    source: Source
    rules: tuple[str, ...]
    examples_firing: int
    examples_silent: int
    scenarios_firing: int
    scenarios_silent: int
    untested: tuple[str, ...]
    never_fired: tuple[str, ...] = ()
    last_fired: datetime | None = None


def clauses_of(
    watched: Iterable[Watched], *, last_fired: Mapping[str, datetime] | None = None
) -> tuple[Clause, ...]:
    """The clauses that rules and duties cite, by law, article and basis.

    Args:
        watched: rules and duties with what their cases showed.
        last_fired: when each rule last fired on record; None: nobody asked a ledger.
    """
    found: dict[tuple[str, str, str, bool], list[Watched]] = {}
    for item in watched:
        for source in dict.fromkeys(item.sources):
            key = (source.law, source.article, source.basis, source.reviewed)
            found.setdefault(key, []).append(item)
    return tuple(_clause(Source(*key), found[key], last_fired) for key in sorted(found))


def _clause(source: Source, citing: list[Watched], last_fired: Mapping[str, datetime] | None) -> Clause:
    rules = tuple(sorted({item.id for item in citing}))
    fired = [last_fired[rule] for rule in rules if rule in last_fired] if last_fired is not None else []
    return Clause(
        source=source,
        rules=rules,
        examples_firing=sum(len(item.fired_examples) for item in citing),
        examples_silent=sum(len(item.silent_examples) for item in citing),
        scenarios_firing=len(set[str]().union(*(item.fired_scenarios for item in citing))),
        scenarios_silent=len(set[str]().union(*(item.silent_scenarios for item in citing))),
        untested=tuple(sorted({item.id for item in citing if not (item.fired and item.silent)})),
        never_fired=() if last_fired is None else tuple(rule for rule in rules if rule not in last_fired),
        last_fired=max(fired, default=None),
    )
