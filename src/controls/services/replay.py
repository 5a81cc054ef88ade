"""Playing an event log through the real service: store, Casbin, rules and ledger.

Guarantees: each row that is a step of the chain and names a resource is one request, in file order, on a
store of its own; `now` follows the log's clock and never goes back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from controls.model.chain import ChainKind
from controls.model.errors import NotFound
from controls.model.finding import Effect, Outcome
from controls.model.request import Request
from controls.model.values import Json
from controls.services.answers import Item, Told
from controls.services.decisions import Decide
from controls.services.directory_plans import AccountLine, PersonPlan, open_roles
from controls.services.event_log import Event
from controls.services.service import Service
from controls.store.workspace import Sealed

# Rows decided in one unit of work; they share one `now`, that of the first.
ROWS_AT_ONCE: Final = 64
EXAMPLES: Final = 20


@dataclass(slots=True)
class ReplayClock:
    """The log's own time."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass(slots=True)
class Report:
    """What a log would have met."""

    rows: int = 0
    checked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    denied_cases: set[str] = field(default_factory=set)
    cases: set[str] = field(default_factory=set)
    examples: list[dict[str, Json]] = field(default_factory=list)

    def add(self, event: Event, told: Told) -> None:
        outcome = told.decision.outcome
        self.checked += 1
        self.cases.add(event.case)
        self.outcomes[outcome.value] += 1
        if outcome is Outcome.PERMIT:
            return
        if outcome is Outcome.DENY:
            self.denied_cases.add(event.case)
        speaking = [item for item in told.decision.findings if item.effect in (Effect.DENY, Effect.REVIEW)]
        self.findings.update(item.rule for item in speaking)
        if len(self.examples) < EXAMPLES:
            self.examples.append(
                {
                    "line": event.line,
                    "case": event.case,
                    "activity": event.activity,
                    "resource": event.resource,
                    "outcome": outcome.value,
                    "reason": speaking[0].message.en if speaking else "",
                }
            )

    def as_json(self) -> dict[str, Json]:
        return {
            "rows": self.rows,
            "checked_events": self.checked,
            "cases": len(self.cases),
            "outcomes": {name: self.outcomes[name] for name in ("permit", "review", "deny")},
            "denied_events": self.outcomes["deny"],
            "cases_with_denial": len(self.denied_cases),
            "findings": dict[str, Json](sorted(self.findings.items())),
            "examples": list[Json](self.examples),
        }


def chain_named(chains: Iterable[ChainKind], name: str) -> ChainKind:
    """The chain kind with this id.

    Raises:
        NotFound: the rule files have none of that name.
    """
    known = {kind.id: kind for kind in chains}
    if name not in known:
        raise NotFound(
            "chain_unknown",
            f"The rule files have no chain kind {name!r}",
            help=f"They have: {', '.join(sorted(known))}.",
        )
    return known[name]


def everyone(events: Iterable[Event], roles: Iterable[str]) -> tuple[PersonPlan, ...]:
    """A directory in which every resource of the log is a person with every role."""
    held = open_roles(roles)
    names = sorted({event.resource for event in events if event.resource})
    return tuple(
        PersonPlan(
            id=f"p-{number:06}",
            accounts=[AccountLine(login=name, valid_from=None, valid_to=None, where=name)],
            roles=set(held),
        )
        for number, name in enumerate(names, start=1)
    )


async def replay_events(
    service: Service,
    events: Sequence[Event],
    *,
    kind: ChainKind,
    key: str,
    clock: ReplayClock,
    progress: Callable[[int], None],
) -> Report:
    """Ask about every row that is a step of `kind`, in order."""
    report = Report(rows=len(events))
    steps = {step.id for step in kind.steps}
    asked = [event for event in events if event.activity in steps and event.resource]
    for start in range(0, len(asked), ROWS_AT_ONCE):
        rows = asked[start : start + ROWS_AT_ONCE]
        clock.now = max(clock.now, rows[0].at)
        commands = [Decide((_request(service, event, kind),), key, _silent) for event in rows]
        await asyncio.gather(*(service.writer.submit(command) for command in commands))
        for event, command in zip(rows, commands, strict=True):
            told = command.told[0]
            assert isinstance(told, Told)
            report.add(event, told)
        progress(start + len(rows))
    return report


def _request(service: Service, event: Event, kind: ChainKind) -> Request:
    return Request(
        id=service.new_id("dec"),
        subject_type="account",
        subject_id=event.resource,
        action=event.activity,
        resource_type=kind.resource,
        resource_id=event.case,
        properties={},
    )


def _silent(_items: Sequence[Item], _sealed: Sealed) -> bytes:
    """A replay reads what was told, not how it would be written."""
    return b""
