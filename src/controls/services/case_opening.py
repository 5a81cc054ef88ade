"""Which case a decision opens for a supervisor, and by when somebody must look at it.

Guarantees: what waits, what went ahead with a flag, what a second person may lift and what was lifted each
open a case of their own kind, and so does each step taken by a delegation. The same request again shares the
open one; but each use of an exception has its own, which only asking again for the same claim by the same
exceptions shares: once somebody has looked at it, that opens none.
"""

from __future__ import annotations

from collections.abc import Sequence

from controls.decide import Situation, cleared_finding, holding, material_of_approval
from controls.duties.acting import other_of, use_of_delegation
from controls.duties.breaking import REVIEW_WITHIN
from controls.duties.findings import MITIGATION
from controls.model.chain import AMEND, ChainKind
from controls.model.decision import Decision
from controls.model.finding import Effect, Finding, Outcome
from controls.model.request import Request
from controls.model.values import Json, microseconds
from controls.services.commands import Context
from controls.services.records import titles
from controls.store.rows import BREAK_GLASS, EXCEPTION, ReviewCase


def case_of(
    context: Context,
    request: Request,
    situation: Situation,
    decision: Decision,
    *,
    chain: ChainKind | None,
    claim: str,
) -> ReviewCase | None:
    """The case for a supervisor: the open one about the same thing, or a new one; None when none is due."""
    given = decision.delegation
    if decision.permitted and not decision.findings and not decision.cleared and given is None:
        return None
    step = chain is not None and (chain.step(request.action) is not None or request.action == AMEND)
    if step and not request.claim:
        return None  # an opinion was asked for; nobody need look at it
    flags = [item for item in decision.findings if item.effect is Effect.FLAG and not item.observed]
    wanted: Sequence[Finding] = holding(decision.findings)
    due_at = None
    if decision.outcome is Outcome.REVIEW:
        kind = "hold"
    elif decision.breakable and request.break_glass is not None:
        kind = BREAK_GLASS
        due_at = context.work.at + request.break_glass.minutes * 60_000_000
    elif decision.permitted and (
        given is not None or decision.broke_glass or any(MITIGATION in item.values for item in flags)
    ):
        kind, wanted = EXCEPTION, (*_lent(request, decision), *decision.cleared, *flags)
        due_at = microseconds(context.work.now + REVIEW_WITHIN)
    elif decision.permitted and flags:
        kind, wanted = "flag", flags
    else:
        return None
    named = tuple(cleared_finding(item) for item in wanted)
    material = material_of_approval(request, decision.material, situation.principal)
    other = other_of(situation.principal, situation.account)
    for known in context.work.reviews_for(request.resource_type, request.resource_id):
        if (
            known.kind == kind
            and known.person == decision.person
            and known.action == request.action
            and known.material == material
            and known.findings == named
            and (_same_use(known, decision, claim) if kind == EXCEPTION else _waits(known, context.work.at))
        ):
            return known if known.state == "open" else None
    return ReviewCase(
        id=context.new_id("rev"),
        kind=kind,
        state="open",
        decision=request.id,
        claim=claim,
        person=decision.person,
        action=request.action,
        resource_type=request.resource_type,
        resource_id=request.resource_id,
        chain_kind=decision.chain_kind,
        material=material,
        findings=named,
        reasons=(
            *_asked_for(request),
            *(reason for reason in titles(wanted) if isinstance(reason, dict)),
        ),
        opened_at=context.work.at,
        due_at=due_at,
        beside="" if other is None else other.person.id,
    )


def _lent(request: Request, decision: Decision) -> tuple[Finding, ...]:
    """That the step is taken for another person, where it is."""
    given, principal = decision.delegation, decision.principal
    if given is None or principal is None or principal.account is None:
        return ()
    person = principal.account.person.id
    return (use_of_delegation(person, decision.person, given, action=request.action),)


def _same_use(known: ReviewCase, decision: Decision, claim: str) -> bool:
    """Whether a case is about this use of an exception: nobody has lifted anything for the claim since."""
    return known.claim == claim and not decision.approval


def _waits(known: ReviewCase, at: int) -> bool:
    """Whether a case can still be approved."""
    return known.state == "open" and (known.due_at is None or at < known.due_at)


def _asked_for(request: Request) -> tuple[dict[str, Json], ...]:
    """What the person said who asks for an exception."""
    glass = request.break_glass
    if glass is None:
        return ()
    title = {"en": "Break-glass was asked for", "es": "Se ha pedido una excepción de emergencia"}
    told = {
        "en": f"For {glass.minutes} minutes, because: {glass.reason}",
        "es": f"Para {glass.minutes} minutos, porque: {glass.reason}",
    }
    return ({"rule": BREAK_GLASS, "effect": "deny", "title": dict(title), "message": dict(told)},)
