"""Grants and duty constraints as compiled from rule files; `controls.duties` gives them their meaning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
    EXCLUSIVE_ROLES = "exclusive_roles"
    WHOLE_CHAIN = "whole_chain"  # built in for every chain kind; no file can weaken it
    SOLE_ACTOR = "sole_actor"  # built in unless the chain kind says `sole_actor: allowed`


class Scope(StrEnum):
    CHAIN = "chain"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open time of validity; None is unbounded."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return (self.start is None or self.start <= now) and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule over who did which steps; `chain` is the chain kind's id."""

    id: str
    version: str
    kind: ConstraintKind
    chain: str
    then: Effect
    title: Text
    steps: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    limit: int = 0  # `max` of at_most and exclusive_roles, `min` of at_least
    scope: Scope = Scope.CHAIN
    when: Condition | None = None
    absolute: bool = False
    message: Text | None = None
    sources: tuple[Source, ...] = ()
    effective: Period = Period()
