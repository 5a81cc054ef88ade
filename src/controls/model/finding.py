"""Findings and the outcomes they lead to. The strictest finding wins; nothing here ever loosens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from controls.model.record import record
from controls.model.values import Value


class Outcome(StrEnum):
    """What the caller is told. Anything but an explicit `permit` means: do not proceed."""

    PERMIT = "permit"
    REVIEW = "review"
    DENY = "deny"
    WOULD_PERMIT = "would_permit"  # asked with `claim: false` on a chain step: an opinion, never a permit


class Effect(StrEnum):
    """What one finding asks for, in rising strictness."""

    OBLIGE = "oblige"
    FLAG = "flag"
    REVIEW = "review"
    DENY = "deny"


_STRICTNESS = {Effect.OBLIGE: 0, Effect.FLAG: 0, Effect.REVIEW: 1, Effect.DENY: 2}
_OUTCOMES = (Outcome.PERMIT, Outcome.REVIEW, Outcome.DENY)


def strictest(effects: Iterable[Effect]) -> Outcome:
    """The outcome of several findings: that of the strictest one, `permit` when there is none."""
    return _OUTCOMES[max((_STRICTNESS[effect] for effect in effects), default=0)]


@dataclass(frozen=True, slots=True)
class Text:
    """The same sentence in English and in Spanish."""

    en: str
    es: str

    def as_json(self) -> dict[str, str]:
        return {"en": self.en, "es": self.es}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule comes from: a law's article, guidance or the firm's own policy."""

    law: str
    article: str
    basis: str  # law | guidance | policy
    reviewed: bool = True


class Origin(StrEnum):
    """Which part of the service found it."""

    REQUEST = "request"
    GRANT = "grant"
    DUTY = "duty"
    RULE = "rule"
    SYSTEM = "system"


class Cause(StrEnum):
    """Why a rule is among the findings."""

    FIRED = "fired"
    MISSING = "missing"  # an input that the condition needed was absent
    ERROR = "error"  # the condition could not be computed


@record
class Deadline:
    """When an obligation is due. At `due_at` it is too late; `zone` names the zone that it was reckoned in,
    empty where it is a span.
    """

    due_at: datetime
    warn_at: datetime | None = None
    zone: str = ""


@record
class Finding:
    """One rule, duty or check that spoke, with the very values that made it speak.

    `rule` and `version` name what fired (a version changes with the rule's meaning); `values` maps fact
    names to values; `missing` names absent facts; `observed` findings are recorded and change nothing;
    `silent` ones are recorded and left out of the answer; `deadline` is that of an obligation.
    """

    rule: str
    version: str
    origin: Origin
    effect: Effect
    title: Text
    message: Text
    cause: Cause = Cause.FIRED
    values: Mapping[str, Value] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    observed: bool = False
    silent: bool = False
    deadline: Deadline | None = None
