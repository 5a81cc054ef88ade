"""Runs the examples that stand beside rules, each rule by itself, on the engines given.

Guarantees: an example passes only when every engine gives exactly the expected outcome of its one rule; an
engine that fails is a failed example, never a skipped one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.condition import Facts
from controls.model.duty import Period
from controls.model.finding import Effect, Finding
from controls.model.values import Value, utc_text
from controls.rules.engine import EngineFailure
from controls.rules.readers import Reader
from controls.rules.release import Release
from controls.rules.rule import Example, Rule
from controls.rules.vocabulary import SERVICE_READERS, read_facts

PERMIT: Final = "permit"
_STRICTNESS: Final = tuple(reversed(Effect))
_WITHOUT_PERIOD: Final = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_PERSON: Final = "p-example"
_CHAIN: Final = "example"


class ExampleEngine(Protocol):
    """The part of an engine that examples need."""

    name: str

    def evaluate_rule(self, rule: Rule, action: str, facts: Facts) -> tuple[Finding, ...]: ...


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """What one engine made of one example.

    `expected` and `got` are outcomes, with the due time where the example states one; `got` may also be
    `error`, with the reason in `detail`.
    """

    rule: str
    version: str
    example: str
    engine: str
    expected: str
    got: str
    detail: str
    file: str
    line: int

    @property
    def passed(self) -> bool:
        return self.got == self.expected


def run_examples(release: Release, engines: Sequence[ExampleEngine]) -> tuple[ExampleResult, ...]:
    """Every example of every rule on every engine.

    Args:
        release: the rules with their examples.
        engines: built from `release.rules`.
    """
    results: list[ExampleResult] = []
    for rule in release.rules:
        for example in rule.examples:
            facts = facts_of_example(release, rule, example)
            results += [_run(rule, example, facts, engine) for engine in engines]
    return tuple(results)


def facts_of_example(release: Release, rule: Rule, example: Example) -> Facts:
    """What the conditions may read in an example: what it gives, and the service's own facts."""
    action = example.action or rule.on[0]
    resource, _, name = action.partition(".")
    now = example.at or moment_within(rule.periods)
    values: dict[str, Value] = {
        "subject.type": "account",
        "subject.id": "example",
        "action.name": name,
        "resource.type": resource,
        "resource.id": _CHAIN,
        "person.id": _PERSON,
        "person.roles": (),
    }
    stated = {key: value for key, value in example.given.items() if _reader(release, key) is None}
    values.update(read_facts(release.vocabulary, stated).values)
    for key, raw in example.given.items():
        reader = _reader(release, key)
        if reader is not None:
            values[key] = reader(raw)
    return Facts(values=values, chain=_history(release, example, resource=resource, now=now), now=now)


def _reader(release: Release, name: str) -> Reader | None:
    """What reads a fact that no caller states: one of the service's own, or an aggregate."""
    aggregate = release.aggregates.get(name)
    return SERVICE_READERS.get(name) if aggregate is None else aggregate.reader


def _run(rule: Rule, example: Example, facts: Facts, engine: ExampleEngine) -> ExampleResult:
    detail = ""
    try:
        findings = engine.evaluate_rule(rule, example.action or rule.on[0], facts)
    except EngineFailure as failure:
        got, detail = "error", str(failure)
    else:
        # A decision table may say several things.
        own = sorted(findings, key=lambda item: _STRICTNESS.index(item.effect))
        got = own[0].effect.value if own else PERMIT
        if own:
            deadline = own[0].deadline
            if example.due is not None and deadline is not None:
                got = _with_due(got, deadline.due_at)
            missing = f" (missing: {', '.join(own[0].missing)})" if own[0].missing else ""
            detail = f"{own[0].cause.value}{missing}: {own[0].message.en}"
    return ExampleResult(
        rule=rule.id,
        version=rule.version,
        example=example.name,
        engine=engine.name,
        expected=example.expect if example.due is None else _with_due(example.expect, example.due),
        got=got,
        detail=detail,
        file=rule.file,
        line=example.line,
    )


def _with_due(outcome: str, due: datetime) -> str:
    return f"{outcome}, due {utc_text(due)}"


def moment_within(periods: tuple[Period, ...]) -> datetime:
    """A moment at which the rule applies: in its latest period, as early as may be."""
    period = max(periods, key=lambda item: item.start or _FIRST)
    if period.holds(_WITHOUT_PERIOD):
        return _WITHOUT_PERIOD
    if period.start is not None:
        return period.start
    assert period.end is not None
    return period.end - timedelta(microseconds=1)


def _history(release: Release, example: Example, *, resource: str, now: datetime) -> ChainHistory:
    kind = release.chains.get(resource)
    acts = tuple(
        Act(
            claim=f"claim-{index}",
            decision=f"decision-{index}",
            chain=_CHAIN,
            step=act.step,
            person=act.person,
            account=act.person,
            capacity=Capacity.ACTOR,
            state=ActState.PERFORMED,
            at=act.at or now,
            done_at=act.at or now,
            valid_until=(act.at or now) + timedelta(hours=24),
            index=index,
        )
        for index, act in enumerate(example.performed)
    )
    return ChainHistory(kind="" if kind is None else kind.id, chain=_CHAIN, acts=acts)
