"""The answer to one request, and the approvals that may clear its review findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controls.model.chain import Votes
from controls.model.finding import Deadline, Effect, Finding, Outcome
from controls.model.lineage import Link
from controls.model.people import Delegation, Principal
from controls.model.record import record
from controls.model.values import Json, Value, utc_text


@record
class ClaimIntent:
    """What a permit on a chain step claims. `shared` names the live claim that asking again shares; `links`
    are those that the chain begins with."""

    step: str
    valid_until: datetime
    material: Mapping[str, str]
    shared: str = ""
    reopens: tuple[str, ...] = ()  # steps that a permitted amendment opens again
    links: tuple[Link, ...] = ()


@record
class Obligation:
    """A dated duty that comes with a permit, in machine-readable form.

    `deadline` is None when the rule states no due time, or when a supervisor let pass that it, or whether
    the duty exists at all, could not be computed.
    """

    id: str
    rule: str
    properties: Mapping[str, Json]
    deadline: Deadline | None = None

    def as_json(self) -> dict[str, Json]:
        """As the caller is told and as the ledger keeps it; moments are RFC 3339 in UTC."""
        told: dict[str, Json] = {"id": self.id, "rule": self.rule, "properties": dict(self.properties)}
        if self.deadline is not None:
            told["due_at"] = utc_text(self.deadline.due_at)
            if self.deadline.warn_at is not None:
                told["warn_at"] = utc_text(self.deadline.warn_at)
            if self.deadline.zone:
                told["zone"] = self.deadline.zone
        return told


@dataclass(frozen=True, slots=True)
class ClearedFinding:
    """A finding as an approval names it: exactly this rule, version and these values."""

    rule: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Approval:
    """A supervisor's approval: clears exactly the named findings for this person, action and resource.

    Denials are among them only where it authorises break-glass.
    """

    id: str
    review: str
    approver: str
    person: str
    action: str
    resource_type: str
    resource_id: str
    material: str
    findings: tuple[ClearedFinding, ...]
    expires_at: datetime
    used: bool = False


@record
class Decision:
    """The answer with its reasons.

    `facts` are the typed facts that were read; `engine` says which engines evaluated the rules;
    `approval` names the approval that cleared `cleared` findings; `votes` are the chain's steps that take
    more than one person; `principal` is whom the request was made for. `breakable`: break-glass was asked
    for, and a second person may lift what denies.
    """

    request: str
    outcome: Outcome
    findings: tuple[Finding, ...]
    person: str = ""
    account: str = ""
    chain_kind: str = ""
    claim: ClaimIntent | None = None
    approval: str = ""
    cleared: tuple[Finding, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    facts: Mapping[str, Value] = field(default_factory=dict)
    material: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[Mapping[str, Value], ...] = ()
    engine: str = ""
    votes: Mapping[str, Votes] | None = None
    principal: Principal | None = None
    breakable: bool = False

    @property
    def broke_glass(self) -> bool:
        """Whether a denial was lifted."""
        return any(finding.effect is Effect.DENY for finding in self.cleared)

    @property
    def delegation(self) -> Delegation | None:
        """What lets the person do it for another one; None: it is done for nobody else, or by no right."""
        principal = self.principal
        if principal is None or principal.account is None or principal.account.person.id == self.person:
            return None
        return principal.delegation

    @property
    def permitted(self) -> bool:
        return self.outcome is Outcome.PERMIT
