"""A regulatory rule as compiled from its file, ready for an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from controls.model.condition import Condition
from controls.model.duty import Period
from controls.model.finding import Effect, Source, Text
from controls.model.values import Json, Value
from controls.rules.due import Due
from controls.rules.formula import Formula


class CompiledCondition(Condition, Protocol):
    """A type-checked condition: evaluates itself, and shows its formula to engines."""

    formula: Formula
    names: frozenset[str]  # facts it may read
    calendars: frozenset[str]  # business calendars it counts by


class MissingPolicy(StrEnum):
    """What an unknown condition leads to."""

    REVIEW = "review"
    DENY = "deny"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Parameter:
    value: Value
    type: str
    basis: str  # law | guidance | policy


@dataclass(frozen=True, slots=True)
class ExampleAct:
    """A step that has been performed before the example's request; at its very moment without `at`."""

    step: str
    person: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """A case beside its rule: `given` holds raw property values under fact names."""

    name: str
    given: Mapping[str, Json]
    expect: str  # permit | review | deny | flag | oblige
    action: str = ""  # one of the rule's `on`; the first when empty
    at: datetime | None = None  # when it is asked; a moment at which the rule applies when None
    performed: tuple[ExampleAct, ...] = ()
    due: datetime | None = None  # when the obligation is due; None: not looked at
    line: int = field(default=0, compare=False)  # known only when loaded from files


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `on` holds `resource.action` names; `version` changes with the rule's meaning."""

    id: str
    version: str
    title: Text
    on: tuple[str, ...]
    condition: CompiledCondition
    then: Effect
    message: Text  # templates with {fact} and {parameter} placeholders
    missing: MissingPolicy = MissingPolicy.REVIEW
    because: str = ""
    sources: tuple[Source, ...] = ()
    periods: tuple[Period, ...] = (Period(),)
    observe: bool = False
    silent: bool = False  # what it finds is for compliance: not in the answer to whoever asks
    severity: str = "medium"
    owner: str = ""
    jurisdiction: tuple[
        str, ...
    ] = ()  # whose law: EU, or ISO 3166 codes; what it applies to is in `condition`
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    obligation: Mapping[str, Json] | None = None
    due: Due | None = None  # when the obligation is due
    examples: tuple[Example, ...] = ()
    file: str = ""
    line: int = field(default=0, compare=False)  # known only when loaded from files
    # A decision table instead of `when` and `then`: what counts are its rows. `condition` is then "some row
    # matches" (it says which facts are read) and `then` the strictest of the outcomes.
    table: DecisionTable | None = None

    @property
    def conditions(self) -> tuple[CompiledCondition, ...]:
        """What engines evaluate: the condition, or that of each row."""
        if self.table is None:
            return (self.condition,)
        return tuple(row.condition for row in self.table.rows)

    @property
    def obliges(self) -> bool:
        """Whether its obligation may come with a permit."""
        if self.table is None:
            return self.then is Effect.OBLIGE
        spoken = [*(row.speaks for row in self.table.rows), self.table.unmatched]
        return any(rule is not None and rule.then is Effect.OBLIGE for rule in spoken)


class HitPolicy(StrEnum):
    """Which of the rows that match speak (DMN 1.x, clause 8.2.8)."""

    UNIQUE = "unique"  # at most one row matches any input: proven at load
    ANY = "any"  # rows that match the same input say the same: proven at load
    FIRST = "first"  # the first row that matches
    PRIORITY = "priority"  # the strictest row that matches
    COLLECT = "collect"  # all rows that match


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a decision table; `speaks` is what it is when it hits, None for `permit`."""

    condition: CompiledCondition
    speaks: Rule | None


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """Rows in the order of the file. `unmatched` speaks when none of them matches; None: that permits."""

    hit: HitPolicy
    rows: tuple[Row, ...]
    unmatched: Rule | None
