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
    severity: str = "medium"
    owner: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    obligation: Mapping[str, Json] | None = None
    due: Due | None = None  # when the obligation is due
    examples: tuple[Example, ...] = ()
    file: str = ""
    line: int = field(default=0, compare=False)  # known only when loaded from files
