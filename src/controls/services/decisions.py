"""Asking: one request or a list of them, decided and recorded in one unit of work.

Guarantees: every answered decision is an entry; what a permit claims, the case that a review opens and the
lines of an allocation are written in the same transaction; later items of a list see the earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from controls.decide import (
    REVIEW,
    Situation,
    decide,
)
from controls.duties.acting import other_of, principal_act
from controls.ledger.envelope import EntryKind
from controls.model.chain import Act, ActState, Capacity, ChainHistory, ChainKind, Repeats
from controls.model.decision import Decision
from controls.model.errors import InvalidInput
from controls.model.request import Request
from controls.model.values import Json, canonical, utc_text
from controls.rules.vocabulary import read_facts
from controls.services.answers import Item, Teller, Told, Unread
from controls.services.case_opening import case_of
from controls.services.commands import Context, Render
from controls.services.records import decision_entry
from controls.services.situations import Asked
from controls.store.rows import StoredAct
from controls.store.workspace import Needs, Sealed

# The service's own acts of these types go through their own routes, never through a plain question.
ADMINISTERED: Final = frozenset({REVIEW, "change"})


class Semantic(StrEnum):
    """AuthZEN's evaluations_semantic: when to stop answering a list."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"

    def stops(self, *, permitted: bool) -> bool:
        if self is Semantic.EXECUTE_ALL:
            return False
        return permitted is (self is Semantic.PERMIT_ON_FIRST_PERMIT)


@dataclass(slots=True)
class Decide:
    """Decide requests in order. An `Unread` item is answered with false and leaves no record."""

    requests: tuple[Request | Unread, ...]
    key: str
    tell: Teller
    semantic: Semantic = Semantic.EXECUTE_ALL
    alone: bool = False
    id: str = field(init=False)
    weight: int = field(init=False)
    claims: tuple[str, ...] = field(default=(), init=False)
    told: list[Item] = field(default_factory=list, init=False)
    _asked: dict[str, Asked] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.id = next((item.id for item in self.requests if isinstance(item, Request)), "")
        self.weight = len(self.requests)

    def prepare(self, context: Context, needs: Needs) -> None:
        vocabulary = context.active.release.vocabulary
        for request in self.requests:
            if isinstance(request, Unread):
                continue
            reading = read_facts(vocabulary, request.properties)
            asked = self._asked[request.id] = Asked(request, reading)
            asked.prepare(context, needs)

    def execute(self, context: Context) -> Render:
        for request in self.requests:
            if isinstance(request, Request) and request.resource_type in ADMINISTERED:
                raise _administered(request.resource_type)
        told: list[Item] = []  # afresh on every attempt
        for request in self.requests:
            if isinstance(request, Unread):
                told.append(request)
                permitted = False
            else:
                answer = _one(context, self._asked.pop(request.id), key=self.key)
                told.append(answer)
                permitted = answer.decision.permitted
            if self.semantic.stops(permitted=permitted):
                break
        self.told = told
        self.claims = tuple(item.claim for item in told if isinstance(item, Told) and item.claim)
        tell = self.tell

        def render(sealed: Sealed) -> bytes:
            return tell(told, sealed)

        return render

    def refused_act(self) -> dict[str, Json]:
        return {"act": "decide", "decision": self.id}


def _administered(resource_type: str) -> InvalidInput:
    return InvalidInput(
        "administered_resource",
        f"{resource_type!r} is a resource of the service itself",
        help="Use /v1/reviews or the administration commands.",
    )


def _one(context: Context, asked: Asked, *, key: str) -> Told:
    active = context.active
    situation = asked.situation(context)
    decision = decide(asked.request, situation, active=active)
    kind = active.release.chains.get(asked.request.resource_type)
    told = _record(context, asked.request, situation, decision, kind=kind, key=key)
    asked.observe(context, decision)
    return told


def _record(
    context: Context,
    request: Request,
    situation: Situation,
    decision: Decision,
    *,
    kind: ChainKind | None,
    key: str,
) -> Told:
    work, release = context.work, context.active.release
    fields, disclosure = decision_entry(
        work,
        release,
        request=request,
        decision=decision,
        reading=situation.reading,
        key=key,
        aggregates=situation.aggregates,
    )
    intent = decision.claim
    claim = valid_until = ""
    if intent is not None:
        valid_until = utc_text(intent.valid_until)
        claim = intent.shared or context.new_id("clm")
        fields["claim"] = {
            "id": claim,
            "step": intent.step,
            "shared": bool(intent.shared),
            "valid_until": valid_until,
        }
        if intent.links:
            fields["lineage"] = [
                {"relation": link.relation.value, "kind": link.kind, "id": link.chain}
                for link in intent.links
            ]
        if intent.reopens:
            fields["reopens"] = list(intent.reopens)
    if decision.approval:
        approval = work.approvals[decision.approval]
        fields["approval"] = {
            "id": approval.id,
            "review": approval.review,
            "approver": approval.approver,
        }
        if decision.broke_glass:
            fields["break_glass"] = True
    case = case_of(context, request, situation, decision, chain=kind, claim=claim)
    if case is not None:
        fields["review"] = case.id
    if decision.lines:
        fields["lines"] = len(decision.lines)
    chain_name = f"{kind.id}:{request.resource_id}" if kind is not None else None
    index = work.append(
        EntryKind.DECISION,
        request.id,
        fields,
        chain=chain_name,
        person=decision.person or None,
        disclosure=disclosure,
    )
    leaf = work.entries[-1].leaf
    _record_lines(context, request, decision, chain=chain_name, fields=fields, key=key)
    if case is not None and case.id not in work.reviews:
        work.add_review(case)
    if decision.approval:
        work.use_approval(decision.approval, request.id)
    if intent is not None and kind is not None and not intent.shared:
        for act in work.history(kind.id, request.resource_id).acts:
            if act.step in intent.reopens and act.stands():
                work.change_act(act.claim, state=ActState.REOPENED)
        work.add_links((kind.id, request.resource_id), intent.links, index=index)
        step = kind.step(intent.step)
        voting = decision.votes is not None and intent.step in decision.votes
        other = other_of(situation.principal, situation.account)
        act = Act(
            claim=claim,
            decision=request.id,
            chain=request.resource_id,
            step=intent.step,
            person=decision.person,
            account=decision.account,
            capacity=Capacity.ACTOR,
            # An amendment is no step that somebody performs later: the permit changes the facts.
            state=ActState.PERFORMED if step is None else ActState.CLAIMED,
            at=work.now,
            done_at=work.now if step is None or kind.progress_claimed else None,
            valid_until=intent.valid_until,
            index=index,
            key=key,
            material=intent.material,
            beside="" if other is None else other.person.id,
        )
        exclusive = step is not None and step.repeats is Repeats.NEVER and not voting
        trails = context.active.trails.get(kind.id, ())
        work.add_act(StoredAct(act, kind.id, exclusive=exclusive, voting=voting), trails)
        if other is not None:
            work.add_act(StoredAct(principal_act(act, other), kind.id, exclusive=False), trails)
    return Told(
        decision=decision,
        index=index,
        leaf=leaf,
        release=release.digest,
        claim=claim,
        valid_until=valid_until,
        review=case.id if case is not None else "",
        chain=_chain(work.history(kind.id, request.resource_id), decision) if kind is not None else None,
    )


def _chain(history: ChainHistory, decision: Decision) -> ChainHistory:
    """Where the chain stands now, with the votes that its steps were found to take."""
    if decision.votes is None:
        return history
    return ChainHistory(history.kind, history.chain, history.acts, decision.votes)


def _record_lines(
    context: Context,
    request: Request,
    decision: Decision,
    *,
    chain: str | None,
    fields: Mapping[str, Json],
    key: str,
) -> None:
    """Each line of a permitted allocation as an entry of its own."""
    work = context.work
    for number, line in enumerate(decision.lines):
        hidden, disclosure = work.conceal({"allocation": canonical(line)})
        work.append(
            EntryKind.ALLOCATION,
            context.new_id("alc"),
            {
                "key": key,
                "decision": request.id,
                "chain": fields["chain"],
                "person": decision.person,
                "account": decision.account,
                "line": number + 1,
                "of": len(decision.lines),
                **hidden,
            },
            chain=chain,
            person=decision.person,
            disclosure=disclosure,
        )


def refused_request(request: Request, *, key: str, code: str) -> dict[str, Json]:
    """What a refusal entry says in clear of a request that was never decided."""
    return {
        "key": key,
        "code": code,
        "act": "decide",
        "action": request.action,
        "resource": {"type": request.resource_type, "id": request.resource_id},
        "subject_type": request.subject_type,
    }
