"""Grants and duty constraints as compiled from rule files; `controls.duties` gives them their meaning."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from controls.model.condition import Condition
from controls.model.finding import Effect, Source, Text


@dataclass(frozen=True, slots=True)
class Grant:
    """Whoever holds `role` (or one that inherits it) may take `actions` on resources of type `resource`."""

    id: str
    role: str
    actions: tuple[str, ...]
    resource: str
    when: Condition | None = None


class ConstraintKind(StrEnum):
    SEPARATE = "separate"
    AT_MOST = "at_most"
    AT_LEAST = "at_least"
    BIND = "bind"
    VOTES = "votes"
    EXCLUSIVE_ROLES = "exclusive_roles"
    RELATION = "relation"
    CHINESE_WALL = "chinese_wall"
    COOLING_OFF = "cooling_off"
    COALITION = "coalition"
    WHOLE_CHAIN = "whole_chain"  # built in for every chain kind; no file can weaken it
    SOLE_ACTOR = "sole_actor"  # built in unless the chain kind says `sole_actor: allowed`


class Scope(StrEnum):
    """Whose acts count: those on the chain, or on every chain of its account, instrument or desk."""

    CHAIN = "chain"
    ACCOUNT = "account"
    INSTRUMENT = "instrument"
    DESK = "desk"


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open time of validity; None is unbounded. `zone`: where its days begin, for who reads them."""

    start: datetime | None = None
    end: datetime | None = None
    zone: str = field(default="UTC", compare=False)

    def holds(self, now: datetime) -> bool:
        return (self.start is None or self.start <= now) and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that count as one: a duty of several steps, or what one of several exclusive roles may do."""

    name: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule over who did which steps; `chain` is the chain kind's id, empty for every kind.

    `controls.duties.constraints` gives each kind its formula. Which fields a kind has:

    - `steps`: all but static `exclusive_roles`; of `votes` the one step that is voted on; of `chinese_wall`
      none for every step. `roles`: `exclusive_roles`.
    - `limit`: `max` of `at_most` and `exclusive_roles`, `min` of `at_least`, `votes` of `votes`, `people` of
      `coalition`.
    - `scope`: `at_most`, `separate`, `cooling_off`. `within`: how far back acts count (None: for ever), of
      the first two and `chinese_wall`; of `cooling_off` it is `apart`. From when they were done, not claimed.
    - `ordered`: of `separate`, `bind`, `relation` and `cooling_off`, that only steps count which are listed
      before the one asked for (the order-dependent form of Simon and Zurko 1997), or are claimed and may
      still be performed after it.
    - `groups`: of `at_most`, what is counted instead of `steps`, whose union `steps` then is; of
      `exclusive_roles` that are `dynamic`, the steps of the chain kind that each role may take.
    - `forbid` and `differ`: `relation`. `conflict_class` and `dataset`, facts: `chinese_wall`.
    - `distinct_from`: `votes`, steps that nobody may take beside a vote.
    """

    id: str
    version: str
    kind: ConstraintKind
    chain: str
    then: Effect
    title: Text
    steps: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    limit: int = 0
    scope: Scope = Scope.CHAIN
    within: timedelta | None = None
    ordered: bool = False
    groups: tuple[Group, ...] = ()
    dynamic: bool = False
    forbid: tuple[str, ...] = ()
    differ: tuple[str, ...] = ()
    conflict_class: str = ""
    dataset: str = ""
    distinct_from: tuple[str, ...] = ()
    when: Condition | None = None
    absolute: bool = False
    message: Text | None = None
    sources: tuple[Source, ...] = ()
    effective: Period = Period()

    @property
    def excludes_roles(self) -> bool:
        """Whether roles may not be held together, whatever anybody does with them."""
        return self.kind is ConstraintKind.EXCLUSIVE_ROLES and not self.dynamic


@dataclass(frozen=True, slots=True)
class StepLimit:
    """Whoever has acts on more than `most` steps of a set on one chain of `kind` passes the limit of `rule`.

    An act that is recorded as `act` is one on the step `step` of the set; a set has several of these.
    """

    kind: str
    rule: str
    act: str
    step: str
    most: int
