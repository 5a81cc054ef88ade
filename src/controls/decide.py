"""The one place where findings become an outcome.

Guarantees: pure (same request, same situation, same answer to the byte); whatever is missing, malformed,
unknown or broken leads to a finding that does not permit; the strictest finding wins; an approval clears
exactly the review findings it names, never a deny, and only when it clears all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Final

from controls.duties.enforcement import Enforcement, Question
from controls.duties.material import amendment, check_material
from controls.duties.order import check_order
from controls.ledger.canonical import canonical_bytes
from controls.model import reasons
from controls.model.chain import Act, ChainHistory, ChainKind, Step
from controls.model.condition import Facts
from controls.model.decision import Approval, ClaimIntent, ClearedFinding, Decision, Obligation
from controls.model.duty import Scope
from controls.model.errors import ControlsError
from controls.model.finding import Effect, Finding, Outcome, strictest
from controls.model.people import Account
from controls.model.request import Request
from controls.model.values import Json, Value, canonical
from controls.rules.engine import Engine
from controls.rules.release import Release
from controls.rules.vocabulary import FactReading

# What a caller says about time is recorded; further off than this it is refused.
ASSERTED_TIME_TOLERANCE: Final = timedelta(minutes=5)

AMEND: Final = "amend"
REVIEW_RESOURCE: Final = "review"


@dataclass(frozen=True, slots=True)
class ActiveRelease:
    """A release with what was built from it once: Casbin's enforcers and the rule engines."""

    release: Release
    enforcement: Enforcement
    engine: Engine


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a decision reads besides the request, as of the lock.

    `account` is the subject's account now, if there is one; `account_acts` the acts on all chains of the
    account that the order names (only filled when a constraint looks at them); `approvals` those given
    for this resource; `reviewed` the chain a review belongs to, with `reviewed_parties` who had a hand.
    """

    reading: FactReading
    account: Account | None
    history: ChainHistory
    account_acts: tuple[Act, ...]
    approvals: tuple[Approval, ...]
    now: Facts | None = None
    reviewed_parties: frozenset[str] = frozenset()
    reviewed_chain: str = ""


def decide(request: Request, situation: Situation, *, active: ActiveRelease) -> Decision:
    """The decision on one request. Never raises for anything a caller or a rule author can cause."""
    raise NotImplementedError
