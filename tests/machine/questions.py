"""What is asked in a play, and what is kept of the answers that are not the last word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tests.machine.plain_words import Chain


@dataclass(frozen=True)
class Question:
    """What an account asks for, maybe for another account, maybe with minutes of break-glass."""

    account: int
    chain: Chain
    step: str
    facts: Mapping[str, str]
    older: tuple[Chain, ...] = ()
    behalf: int | None = None
    minutes: int = 0
    claim: bool = True


@dataclass
class Held:
    """An answer that waits for a supervisor: until its minutes are over, where it is for break-glass."""

    answer: int
    question: Question
    rules: frozenset[str]
    state: object  # of the world when it was asked, and once it is approved, if nothing has happened since
    until: datetime | None = None
    approver: int = -1
    approved: datetime | None = None
    used: bool = False


@dataclass
class Use:
    """What was permitted by exceptions, which somebody must look at: the first answer for its claim by just
    these exceptions, of which `sole` says that the plain model can tell whether others are the same."""

    answer: int
    question: Question
    kind: str  # as the report of exceptions calls it
    at: datetime
    claim: str
    under: object
    sole: bool
    open: bool = True


@dataclass(frozen=True)
class Denied:
    """Something that was denied for what somebody had done."""

    question: Question
    rules: frozenset[str]
    at: datetime
    merges: int
