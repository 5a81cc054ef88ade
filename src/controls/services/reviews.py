"""Review cases: a supervisor who is no party approves or rejects, and that is itself decided and recorded.

Guarantees: a resolution that does not evaluate to permit changes nothing (and is recorded); an approval
clears exactly the findings of its case, for the same person, action, resource and material facts, once and
until it expires; the approver counts as having acted on the step, and nobody approves what is asked for by a
person to whom he or she may not be related (`controls.duties.approving`). The case of a break-glass is
approved by a second person while its minutes last; what is done under it opens a case that a third one
resolves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from controls.decide import REVIEW, ReviewedChain, Situation, decide
from controls.duties.approving import Approving
from controls.ledger.envelope import EntryKind
from controls.model.chain import Act, ActState, Capacity, ChainHistory
from controls.model.decision import Approval, Decision
from controls.model.errors import Conflict, FieldError, Forbidden, NotFound
from controls.model.request import Request
from controls.model.values import Json, from_microseconds, utc_text
from controls.rules.vocabulary import read_facts
from controls.services.answers import encode, finding_json, receipt
from controls.services.approving import HeldStep, holds
from controls.services.claim_ends import check_end
from controls.services.commands import Context, Render
from controls.services.lineage import line_parties
from controls.services.records import decision_entry
from controls.store.rows import BREAK_GLASS, EXCEPTION, ReviewCase, StoredAct
from controls.store.workspace import Needs

APPROVAL_VALID_FOR: Final = timedelta(hours=24)
RESOLVE: Final = "resolve"


class Resolution(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


_STATES: Final = {Resolution.APPROVE: "approved", Resolution.REJECT: "rejected"}


@dataclass(slots=True)
class Resolve:
    """Resolve an open case as the person the key is bound to."""

    id: str
    key: str
    review: str
    resolution: Resolution
    reason: str
    alone: bool = False
    weight: int = field(default=1, init=False)
    claims: tuple[str, ...] = field(default=(), init=False)
    _held: HeldStep | None = field(default=None, init=False)  # what this person is about to approve

    def prepare(self, context: Context, needs: Needs) -> None:
        needs.reviews.add(self.review)
        account = context.directory.account(context.keys[self.key].account, at=context.work.at)
        self._held = None
        if account is not None and self.resolution is Resolution.APPROVE:
            self._held = HeldStep(self.review, account.person.id)
            self._held.prepare(context, needs)

    def execute(self, context: Context) -> Render:
        work = context.work
        case = work.reviews.get(self.review)
        if case is None:
            raise NotFound(
                "review_unknown", "There is no such review case", help="List the open ones: GET /v1/reviews."
            )
        if case.state != "open":
            raise Conflict(
                "review_closed",
                f"This case has been {case.state} already",
                help="A case is resolved once; look at its resolution.",
            )
        voids = case.kind == "expired" and self.resolution is Resolution.APPROVE
        if voids and work.claims[case.claim].act.state is not ActState.CLAIMED:
            state = work.claims[case.claim].act.state.value
            raise Conflict(
                "claim_settled",
                f"The claim is {state} meanwhile",
                detail=f"Its outcome was reported after this case was opened: {case.action} of "
                f"{case.resource_id} is {state}, and that stands.",
                help="Reject the case, which closes it and leaves the claim as it is.",
            )
        if voids:
            check_end(context, work.claims[case.claim])
        lapsed = case.kind == BREAK_GLASS and case.due_at is not None and work.at >= case.due_at
        if lapsed and self.resolution is Resolution.APPROVE:
            raise Conflict(
                "break_glass_lapsed",
                "This request for break-glass is over",
                detail=f"It was for {case.action} of {case.resource_id} until "
                f"{utc_text(from_microseconds(case.due_at or 0))}.",
                help="Reject it, which closes the case; the person may ask again.",
            )
        decision, request = self._decide(context, case)
        if not decision.permitted:
            raise Conflict(
                "resolution_refused",
                "This person may not resolve this case",
                detail="; ".join(finding.message.en for finding in decision.findings),
                help="Another supervisor must resolve it: one with no hand in the chain, whom no rule keeps "
                "from the step.",
                errors=tuple(
                    FieldError("", finding.rule, finding.message.en) for finding in decision.findings
                ),
            )
        return self._record(context, case, decision, request)

    def _decide(self, context: Context, case: ReviewCase) -> tuple[Decision, Request]:
        work, active = context.work, context.active
        login = context.keys[self.key].account
        if not login:
            raise Forbidden(
                "key_not_personal",
                "A review is resolved by a person",
                help="Use a key that is bound to one account.",
            )
        request = Request(
            id=self.id,
            subject_type=next(iter(sorted(active.release.vocabulary.subject_types))),
            subject_id=login,
            action=RESOLVE,
            resource_type=REVIEW,
            resource_id=case.id,
            properties={},
        )
        approving = None if self._held is None else self._held.approving(context, case)
        situation = Situation(
            reading=read_facts(active.release.vocabulary, {}),
            account=context.directory.account(login, at=work.at),
            history=ChainHistory("", case.id),
            now=work.now,
            reviewed=ReviewedChain(case.resource_id, self._parties(context, case, approving), approving),
        )
        return decide(request, situation, active=active), request

    def _parties(self, context: Context, case: ReviewCase, approving: Approving | None) -> frozenset[str]:
        """Everybody with a hand in the chain, or in what it comes from, and those who ask."""
        history = self._history(context, case)
        parties = history.parties() | line_parties(context, (history.kind, history.chain))
        if approving is not None:  # a chain that nobody has begun comes from what the question says
            parties |= {item.act.person for line in approving.lines for item in line}
        return parties | {context.directory.survivor(person) for person in (case.person, case.beside)}

    def _approves(self, case: ReviewCase) -> bool:
        return holds(case) and self.resolution is Resolution.APPROVE

    def _history(self, context: Context, case: ReviewCase) -> ChainHistory:
        if not case.chain_kind:
            return ChainHistory("", case.resource_id)
        return context.work.history(case.chain_kind, case.resource_id)

    def _record(self, context: Context, case: ReviewCase, decision: Decision, request: Request) -> Render:
        work, release = context.work, context.active.release
        fields, disclosure = decision_entry(
            work,
            release,
            request=request,
            decision=decision,
            reading=read_facts(release.vocabulary, {}),
            key=self.key,
        )
        hidden, reason = work.conceal({"reason": self.reason})
        fields |= {"review": case.id, "resolution": self.resolution.value, **hidden}
        approval = self._approval(context, case, decision)
        void = case.kind == "expired" and self.resolution is Resolution.APPROVE
        follow = case.kind in ("flag", EXCEPTION) and self.resolution is Resolution.REJECT
        if approval is not None:
            fields["approval"] = {"id": approval.id, "expires_at": utc_text(approval.expires_at)}
        if case.chain_kind:
            fields["chain"] = {"kind": case.chain_kind, "id": case.resource_id}
            fields["step"] = case.action
            fields["approver_act"] = approval is not None
        if void:
            fields["void"] = case.claim
        follow_up = context.new_id("rev") if follow else ""
        if follow:
            fields["follow_up"] = follow_up
        index = work.append(
            EntryKind.RESOLUTION,
            self.id,
            fields,
            chain=f"{case.chain_kind}:{case.resource_id}" if case.chain_kind else None,
            person=decision.person,
            disclosure=disclosure | reason,
        )
        leaf = work.entries[-1].leaf
        work.change_review(
            replace(
                case,
                state=_STATES[self.resolution],
                resolved_at=work.at,
                resolved_by=decision.person,
                resolution=self.id,
            )
        )
        if approval is not None:
            work.add_approval(approval)
            self._make_party(context, case, decision, approval, index)
        if void:
            work.change_act(case.claim, state=ActState.VOID)
        if follow:
            follow_case = replace(
                case, id=follow_up, kind="follow_up", opened_at=work.at, follows=case.id, due_at=None
            )
            work.add_review(follow_case)
        state = _STATES[self.resolution]

        def told() -> dict[str, Json]:
            answer: dict[str, Json] = {"id": self.id, "review": case.id, "state": state}
            if approval is not None:
                answer["approval"] = {"id": approval.id, "expires_at": utc_text(approval.expires_at)}
            if follow:
                answer["follow_up"] = follow_up
            answer["findings"] = [finding_json(finding) for finding in decision.findings]
            return answer

        return lambda sealed: encode(told() | {"receipt": receipt(index, leaf, sealed)})

    def _approval(self, context: Context, case: ReviewCase, decision: Decision) -> Approval | None:
        if not self._approves(case):
            return None
        until = context.work.now + APPROVAL_VALID_FOR
        if case.due_at is not None:
            until = from_microseconds(case.due_at)
        return Approval(
            id=context.new_id("apr"),
            review=case.id,
            approver=decision.person,
            person=case.person,
            action=case.action,
            resource_type=case.resource_type,
            resource_id=case.resource_id,
            material=case.material,
            findings=case.findings,
            expires_at=until,
        )

    def _make_party(
        self, context: Context, case: ReviewCase, decision: Decision, approval: Approval, index: int
    ) -> None:
        """Approving a step counts as acting on it, from now on."""
        if not case.chain_kind:
            return
        context.work.add_act(
            StoredAct(
                act=Act(
                    claim=approval.id,
                    decision=self.id,
                    chain=case.resource_id,
                    step=case.action,
                    person=decision.person,
                    account=decision.account,
                    capacity=Capacity.APPROVER,
                    state=ActState.PERFORMED,
                    at=context.work.now,
                    done_at=context.work.now,
                    valid_until=approval.expires_at,
                    index=index,
                    key=self.key,
                    material={} if self._held is None else self._held.material(context, case),
                ),
                kind=case.chain_kind,
                exclusive=False,
            ),
            context.active.trails.get(case.chain_kind, ()),
        )

    def refused_act(self) -> dict[str, Json]:
        return {"act": RESOLVE, "review": self.review, "resolution": self.resolution.value}


@dataclass(slots=True)
class SweepExpired:
    """Open a case for every claim that is past its time and was never reported."""

    id: str
    key: str = ""
    alone: bool = False
    weight: int = field(default=1, init=False)

    def prepare(self, context: Context, needs: Needs) -> None:
        needs.expired_before_now = True

    def execute(self, context: Context) -> Render:
        work = context.work
        opened = 0
        for stored in work.expired:
            act = work.claims[stored.act.claim].act
            if act.state is not ActState.CLAIMED:
                continue
            case = context.new_id("rev")
            work.append(
                EntryKind.EXPIRY,
                context.new_id("exp"),
                {
                    "claim": act.claim,
                    "chain": {"kind": stored.kind, "id": act.chain},
                    "step": act.step,
                    "person": act.person,
                    "review": case,
                },
                chain=f"{stored.kind}:{act.chain}",
                person=act.person,
            )
            work.change_act(act.claim, case=case)
            work.add_review(_expired_case(case, stored, at=work.at, resource=_resource(context, stored)))
            opened += 1
        return lambda _sealed: encode({"opened": opened})

    def refused_act(self) -> dict[str, Json]:
        return {"act": "sweep"}


def _resource(context: Context, stored: StoredAct) -> str:
    for resource, kind in context.active.release.chains.items():
        if kind.id == stored.kind:
            return resource
    return stored.kind


def _expired_case(case: str, stored: StoredAct, *, at: int, resource: str) -> ReviewCase:
    act = stored.act
    until = utc_text(act.valid_until)
    return ReviewCase(
        id=case,
        kind="expired",
        state="open",
        decision=act.decision,
        claim=act.claim,
        person=act.person,
        action=act.step,
        resource_type=resource,
        resource_id=act.chain,
        chain_kind=stored.kind,
        material="",
        findings=(),
        reasons=(
            {
                "rule": "claim_expired",
                "effect": "flag",
                "title": {"en": "A claim has expired", "es": "Ha caducado una reserva"},
                "message": {
                    "en": f"{act.person} claimed {act.step} of {act.chain} until {until} and no outcome was "
                    "reported. Approve to void the claim and free the step; reject to keep it.",
                    "es": f"{act.person} reservó {act.step} de {act.chain} hasta {until} y no se comunicó "
                    "ningún resultado. Apruebe para anular la reserva y liberar el paso; rechace para "
                    "mantenerla.",
                },
            },
        ),
        opened_at=at,
    )
