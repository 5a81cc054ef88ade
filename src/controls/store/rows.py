"""Values that the store keeps and their columns: acts, review cases, approvals, keys, changes, the head."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from controls.ledger.merkle import Frontier
from controls.model.chain import Act, ActState, Capacity
from controls.model.decision import Approval, ClearedFinding
from controls.model.record import record
from controls.model.values import Json, from_microseconds, microseconds


@dataclass(frozen=True, slots=True)
class Head:
    """The tenant's one lock: where its ledger ends and which directory, keys and release are in force."""

    tenant: str
    origin: str
    frontier: Frontier
    last_at: int
    directory_index: int
    keys_index: int
    release: str


@record
class StoredAct:
    """An act with what only the store needs: its chain kind, and what the database itself keeps of it.

    `exclusive`: nobody else may hold the step beside it; `voting`: the person may not hold it twice.
    """

    act: Act
    kind: str
    exclusive: bool
    voting: bool = False
    case: str = ""

    def row(self, tenant: str) -> dict[str, Any]:
        act = self.act
        return {
            "tenant": tenant,
            "claim": act.claim,
            "decision": act.decision,
            "kind": self.kind,
            "chain": act.chain,
            "step": act.step,
            "person": act.person,
            "account": act.account,
            "capacity": act.capacity.value,
            "state": act.state.value,
            "at": microseconds(act.at),
            "done_at": None if act.done_at is None else microseconds(act.done_at),
            "valid_until": microseconds(act.valid_until),
            "index": act.index,
            "key": act.key,
            "material": orjson.dumps(dict(act.material), option=orjson.OPT_SORT_KEYS).decode(),
            "exclusive": self.exclusive,
            "voting": self.voting,
            "case": self.case,
            "beside": act.beside,
        }

    @staticmethod
    def read(row: Any) -> StoredAct:
        return StoredAct(
            act=Act(
                claim=row.claim,
                decision=row.decision,
                chain=row.chain,
                step=row.step,
                person=row.person,
                account=row.account,
                capacity=Capacity(row.capacity),
                state=ActState(row.state),
                at=from_microseconds(row.at),
                done_at=None if row.done_at is None else from_microseconds(row.done_at),
                valid_until=from_microseconds(row.valid_until),
                index=row.index,
                key=row.key,
                material=json.loads(row.material),
                beside=row.beside,
            ),
            kind=row.kind,
            exclusive=bool(row.exclusive),
            voting=bool(row.voting),
            case=row.case,
        )


# Kinds of cases about exceptions.
BREAK_GLASS: Final = "break_glass"
EXCEPTION: Final = "exception"


@dataclass(frozen=True, slots=True)
class ReviewCase:
    """A case for a supervisor.

    `kind`: `hold` (the action waits), `flag` (it went ahead), `expired` (a claim outlived its time),
    `follow_up` (a flag was rejected), `merge` (two persons of the chain were found to be one), `break_glass`
    (a second person may lift what denies, until `due_at`) or `exception` (break-glass, a mitigation or a
    delegation was used; somebody must look at it by `due_at`). `findings` are what an approval would clear,
    of an exception what it was used for; `reasons` what a supervisor reads; `beside` is the person for whom
    `person` asked.
    """

    id: str
    kind: str
    state: str  # open | approved | rejected
    decision: str
    claim: str
    person: str
    action: str
    resource_type: str
    resource_id: str
    chain_kind: str
    material: str
    findings: tuple[ClearedFinding, ...]
    reasons: tuple[Mapping[str, Json], ...]
    opened_at: int
    resolved_at: int | None = None
    resolved_by: str | None = None
    resolution: str | None = None
    follows: str = ""
    beside: str = ""
    due_at: int | None = None

    def row(self, tenant: str) -> dict[str, Any]:
        return {
            "tenant": tenant,
            "id": self.id,
            "kind": self.kind,
            "state": self.state,
            "decision": self.decision,
            "claim": self.claim,
            "person": self.person,
            "action": self.action,
            "resource_type": self.resource_type,
            "resource_id": self.resource_id,
            "chain_kind": self.chain_kind,
            "material": self.material,
            "findings": _findings_text(self.findings),
            "reasons": json.dumps([dict(reason) for reason in self.reasons], ensure_ascii=False),
            "opened_at": self.opened_at,
            "resolved_at": self.resolved_at,
            "resolved_by": self.resolved_by,
            "resolution": self.resolution,
            "follows": self.follows,
            "beside": self.beside,
            "due_at": self.due_at,
        }

    @staticmethod
    def read(row: Any) -> ReviewCase:
        fields = {name: getattr(row, name) for name in ReviewCase.__dataclass_fields__}
        fields["findings"] = _findings_from(row.findings)
        fields["reasons"] = tuple(json.loads(row.reasons))
        return ReviewCase(**fields)


def approval_row(approval: Approval, tenant: str) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "id": approval.id,
        "review": approval.review,
        "approver": approval.approver,
        "person": approval.person,
        "action": approval.action,
        "resource_type": approval.resource_type,
        "resource_id": approval.resource_id,
        "material": approval.material,
        "findings": _findings_text(approval.findings),
        "expires_at": microseconds(approval.expires_at),
    }


def approval_from(row: Any) -> Approval:
    return Approval(
        id=row.id,
        review=row.review,
        approver=row.approver,
        person=row.person,
        action=row.action,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        material=row.material,
        findings=_findings_from(row.findings),
        expires_at=from_microseconds(row.expires_at),
        used=row.used is not None,
    )


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A credential: what it may do (`scopes`, `actions`), for whom it may speak, and whose it is."""

    id: str
    name: str
    mac: str
    scopes: frozenset[str]
    actions: tuple[str, ...]  # resource.action patterns; of an identity provider: role.NAME for each it gives
    speaks_for: str  # a pattern over account logins
    account: str  # the login it is bound to; empty for systems
    created_at: int
    revoked_at: int | None = None

    def row(self, tenant: str) -> dict[str, Any]:
        return {
            "tenant": tenant,
            "id": self.id,
            "name": self.name,
            "mac": self.mac,
            "scopes": json.dumps(sorted(self.scopes)),
            "actions": json.dumps(list(self.actions)),
            "speaks_for": self.speaks_for,
            "account": self.account,
            "created_at": self.created_at,
            "revoked_at": self.revoked_at,
        }

    @staticmethod
    def read(row: Any) -> ApiKey:
        return ApiKey(
            id=row.id,
            name=row.name,
            mac=row.mac,
            scopes=frozenset(json.loads(row.scopes)),
            actions=tuple(json.loads(row.actions)),
            speaks_for=row.speaks_for,
            account=row.account,
            created_at=row.created_at,
            revoked_at=row.revoked_at,
        )


@dataclass(frozen=True, slots=True)
class Change:
    """A proposed change to directory, keys or release, waiting for a second administrator."""

    id: str
    kind: str
    state: str  # proposed | confirmed
    summary: str
    payload: str
    proposed_by: str
    proposed_at: int
    confirmed_by: str | None = None
    confirmed_at: int | None = None

    def row(self, tenant: str) -> dict[str, Any]:
        return {"tenant": tenant} | {name: getattr(self, name) for name in Change.__dataclass_fields__}

    @staticmethod
    def read(row: Any) -> Change:
        return Change(**{name: getattr(row, name) for name in Change.__dataclass_fields__})


def _findings_text(findings: tuple[ClearedFinding, ...]) -> str:
    return json.dumps([[item.rule, item.version, item.digest] for item in findings])


def _findings_from(text: str) -> tuple[ClearedFinding, ...]:
    return tuple(ClearedFinding(rule, version, digest) for rule, version, digest in json.loads(text))
