"""What desks, chains and histories are made of, for the plain model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

Chain = tuple[str, str]  # kind and id
FOR_EVER = timedelta(days=36_600)
FIRST = {"deal": "a", "note": "p"}  # the first step of each kind of chain
UNKNOWN = -1  # instead of a person: nobody of record


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
    absolute: bool = False  # no exception ever relaxes it

    @property
    def of_roles(self) -> bool:
        """Whether it is about the roles that somebody has, whatever is done with them."""
        return self.kind == "exclusive_roles" and not self.dynamic

    def but(self, **changed: Any) -> Duty:
        return replace(self, **changed)


@dataclass(frozen=True)
class Act:
    """What somebody did. Of what was done for somebody else there are two, one of each person."""

    chain: Chain
    step: str
    person: int
    at: datetime
    decision: str
    state: str = "claimed"  # performed, abandoned, void, reopened
    capacity: str = "actor"  # approver, principal
    beside: int | None = None  # for whom the actor acted; who acted for the principal
    facts: Mapping[str, str] = field(default_factory=dict)
    done: datetime | None = None  # when it was performed, or given up otherwise

    def younger(self, span: timedelta, now: datetime) -> bool:
        """Whether not so much time has passed since it was done; what may still be done is always young."""
        return self.done is None or self.done > now - span

    @property
    def counts(self) -> str:
        return FIRST[self.chain[0]] if self.step == "amend" else self.step

    @property
    def acted(self) -> bool:
        return self.capacity == "actor"

    @property
    def stands(self) -> bool:
        return self.acted and self.state in ("claimed", "performed")

    @property
    def hands(self) -> frozenset[int]:
        """Whose act it is."""
        return frozenset({self.person} if self.beside is None else {self.person, self.beside})


@dataclass(frozen=True)
class Ask:
    person: int | None  # None: the account is unknown
    chain: Chain
    step: str
    facts: Mapping[str, str]
    older: tuple[Chain, ...] = ()
    behalf: int | None = None  # for whom it is said to be done; UNKNOWN: for nobody of record
    glass: bool = False  # what a second person may lift is to be lifted

    @property
    def counts(self) -> str:
        """The step that the act counts as: whoever amends has a hand in what began the chain."""
        return FIRST[self.chain[0]] if self.step == "amend" else self.step

    @property
    def beside(self) -> int | None:
        """The other person whose act it would be."""
        return None if self.behalf in (None, UNKNOWN, self.person) else self.behalf

    @property
    def hands(self) -> tuple[int, ...]:
        """Whose act it would be: of who acts, and of the person for whom."""
        assert self.person is not None
        return (self.person,) if self.beside is None else (self.person, self.beside)


@dataclass(frozen=True)
class Lent:
    """A delegation: somebody takes steps for somebody else, until then."""

    person: int
    delegate: int
    kind: str
    steps: frozenset[str]
    until: datetime
    number: int = 0  # of all exceptions, in the order in which they were made


@dataclass(frozen=True)
class Accepted:
    """A mitigation: somebody's conflict with a constraint is accepted by another person, until then."""

    person: int
    rule: str
    owner: int
    until: datetime
    number: int = 0
