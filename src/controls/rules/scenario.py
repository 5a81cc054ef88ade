"""A scenario as its file says it: people, a clock, and steps with the answers they must get.

Guarantees: complete in itself. Times are absolute and never go back, the facts of each step are whole, and
everybody who asks or approves is among the people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from controls.model.finding import Text
from controls.model.people import Attribute
from controls.model.values import Json


class Report(StrEnum):
    """What the caller says became of a permitted step."""

    PERFORMED = "performed"
    ABANDONED = "abandoned"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class ExpectedObligation:
    """A duty that must come with the permit; `due` None: whenever it is due."""

    id: str
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a step must be told. What is None is not looked at.

    `findings` are all that deny, ask for a review or flag; `contains` must be among them; `obligations`
    are all that come with the permit.
    """

    outcome: str
    findings: frozenset[str] | None = None
    contains: frozenset[str] = frozenset()
    obligations: tuple[ExpectedObligation, ...] | None = None


@dataclass(frozen=True, slots=True)
class ScenarioPerson:
    """Somebody of a scenario; `attributes` are what the directory is to know besides."""

    id: str
    roles: tuple[str, ...]
    accounts: tuple[str, ...]
    attributes: Mapping[Attribute, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScenarioDelegation:
    """Steps of the scenario's chains that `person` lets `delegate` take, from the start on `until` then."""

    person: str
    delegate: str
    steps: tuple[str, ...]
    until: datetime
    line: int = 0


@dataclass(frozen=True, slots=True)
class ScenarioStep:
    """One question. `facts` holds raw property values under fact names, the scenario's own included.

    `on_behalf_of` is the account for whose person it is asked (empty: for nobody else); `break_glass` the
    reason why denials are to be lifted (empty: none is).
    """

    who: str
    action: str
    at: datetime
    resource_id: str
    facts: Mapping[str, Json]
    expect: Expectation
    claim: bool = True
    approved_by: str = ""
    not_approved_by: str = ""
    on_behalf_of: str = ""
    break_glass: str = ""
    report: Report = Report.PERFORMED
    line: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps that are asked one after the other, in a ledger of their own."""

    id: str
    title: Text
    start: datetime
    resource_type: str
    people: tuple[ScenarioPerson, ...]
    steps: tuple[ScenarioStep, ...]
    delegations: tuple[ScenarioDelegation, ...] = ()
    file: str = ""
    line: int = field(default=0, compare=False)
