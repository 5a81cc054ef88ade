"""Which aggregates the requests of each action have to do with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controls.rules.aggregates import Aggregate
from controls.rules.rule import Rule


@dataclass(frozen=True, slots=True)
class Watched:
    """What the requests of one action have to do with aggregates: those its rules read, those it adds to."""

    read: tuple[Aggregate, ...] = ()
    observed: tuple[Aggregate, ...] = ()


def watched_by(rules: Iterable[Rule], known: Mapping[str, Aggregate]) -> dict[str, Watched]:
    """What each action, as `resource.action`, has to do with aggregates; only those with any."""
    read: dict[str, set[str]] = {}
    for rule in rules if known else ():
        for action in rule.on:
            read.setdefault(action, set()).update(rule.condition.names & known.keys())
    actions = {action for action, names in read.items() if names}
    actions |= {action for aggregate in known.values() for action in aggregate.actions}
    return {
        action: Watched(
            read=tuple(known[name] for name in sorted(read.get(action, ()))),
            observed=tuple(aggregate for aggregate in known.values() if action in aggregate.actions),
        )
        for action in actions
    }
