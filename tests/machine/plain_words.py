"""What desks, chains and histories are made of, for the plain model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

Chain = tuple[str, str]  # kind and id
FOR_EVER = timedelta(days=36_600)
FIRST = {"deal": "a", "note": "p"}  # the first step of each kind of chain


@dataclass(frozen=True)
class Step:
    id: str
    after: tuple[str, ...] = ()
    optional: bool = False
    repeats: str = "never"
    votes: int = 1
    reapprove: bool = False


@dataclass(frozen=True)
class Kind:
    id: str
    steps: tuple[Step, ...]
    free: bool = False
    claimed: bool = False  # progress: claimed
    sole_allowed: bool = False
    material: tuple[str, ...] = ()

    @property
    def mandatory(self) -> list[str]:
        return [step.id for step in self.steps if not step.optional]

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.id == name)


@dataclass(frozen=True)
class Duty:
    id: str
    kind: str
    then: str
    steps: tuple[str, ...] = ()
    limit: int = 0
    scope: str = "chain"
    within: timedelta = FOR_EVER
    ordered: bool = False
    groups: tuple[tuple[str, ...], ...] = ()
    roles: tuple[str, ...] = ()
    dynamic: bool = False
    forbid: tuple[str, ...] = ()
    differ: tuple[str, ...] = ()
    distinct_from: tuple[str, ...] = ()
    chain: str = ""  # of which kind, where its steps do not say it
    large: bool = False  # only where the amount is large

    def but(self, **changed: Any) -> Duty:
        return replace(self, **changed)


@dataclass(frozen=True)
class Act:
    chain: Chain
    step: str
    person: int
    at: datetime
    decision: str
    state: str = "claimed"  # performed, abandoned, void, reopened
    approver: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> str:
        return FIRST[self.chain[0]] if self.step == "amend" else self.step

    @property
    def stands(self) -> bool:
        return not self.approver and self.state in ("claimed", "performed")


@dataclass(frozen=True)
class Ask:
    person: int | None  # None: the account is unknown
    chain: Chain
    step: str
    facts: Mapping[str, str]
    older: tuple[Chain, ...] = ()

    @property
    def counts(self) -> str:
        """The step that the act counts as: whoever amends has a hand in what began the chain."""
        return FIRST[self.chain[0]] if self.step == "amend" else self.step
