"""From a request and its situation to findings, and from findings to an outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Final

from controls.decide.approved import clears, holding
from controls.decide.situation import ActiveRelease, Situation
from controls.duties.acting import acting_findings, claimed_act, other_of, principal_act
from controls.duties.amending import Amending, amended_findings
from controls.duties.approving import approver_findings
from controls.duties.breaking import beyond_glass, no_step_to_break, not_broken
from controls.duties.facts import facts_about, facts_about_nobody, facts_of
from controls.duties.hearing import Question
from controls.duties.lineage import Joined, joined_findings, lineage_findings
from controls.duties.lookahead import Taken
from controls.duties.material import Amendment, amendment, baseline, lines_findings, material_findings
from controls.duties.moving import moved_findings
from controls.duties.order import OrderAnswer, step_order
from controls.duties.resembling import resembling
from controls.duties.trails import RESEMBLES
from controls.ledger.canonical import canonical_bytes, form_text
from controls.model import reasons
from controls.model.chain import AMEND, ChainKind, Step, Votes
from controls.model.condition import Facts
from controls.model.decision import ClaimIntent, Decision, Obligation
from controls.model.errors import ControlsError
from controls.model.finding import Cause, Effect, Finding, Outcome, strictest
from controls.model.lineage import Link
from controls.model.request import Request
from controls.model.values import Json, Value, utc_text
from controls.rules.values_on_record import values_on_record

# What a caller says about time is recorded; further off than this it is refused.
ASSERTED_TIME_TOLERANCE: Final = timedelta(minutes=5)
# The most allocation lines one request may carry: each becomes a ledger entry.
MAX_LINES: Final = 500

# The resource type of review cases: resolving one is itself decided.
REVIEW: Final = "review"


def decide(request: Request, situation: Situation, *, active: ActiveRelease) -> Decision:
    """The decision on one request. Never raises for anything that a caller or a rule author can cause."""
    release = active.release
    reading = situation.reading
    findings = [reasons.malformed_fact(problem.name, problem.message) for problem in reading.malformed]
    if reading.misspelt:
        findings += map(reasons.misspelt_fact, reading.misspelt)
    asserted = request.asserted_at
    if asserted is not None and abs(asserted - situation.now) > ASSERTED_TIME_TOLERANCE:
        findings.append(reasons.asserted_time_off(utc_text(asserted), utc_text(situation.now)))
    kind = release.chains.get(request.resource_type)
    if kind is not None:
        findings += reasons.unread_context(request.properties)
    known_action = f"{request.resource_type}.{request.action}" in release.actions
    if not known_action:
        findings.append(reasons.unknown_action(request.action, request.resource_type))
    lineage = situation.lineage
    if lineage is not None:
        findings += lineage_findings(
            kind, resource_type=request.resource_type, history=situation.history, reading=lineage
        )
    account = situation.account
    if account is None or request.subject_type not in release.vocabulary.subject_types:
        findings.append(reasons.unknown_subject(request.subject_type))
    if account is None or not known_action or request.subject_type not in release.vocabulary.subject_types:
        return _concluded(request, situation, active=active, kind=kind, findings=findings)
    facts = facts_in(request, situation, active=active)
    history = facts.chain
    findings += acting_findings(situation.principal, account, action=request.action)
    other = other_of(situation.principal, account)
    step = kind.step(request.action) if kind is not None else None
    order = OrderAnswer()
    amended = Amendment()
    if kind is not None and step is not None:
        order = step_order(
            kind,
            history=history,
            person=account.person.id,
            step=step,
            now=situation.now,
            beside="" if other is None else other.person.id,
        )
        findings += order.findings
        material = material_of(kind, step=step, forms=reading.forms)
        findings += material_findings(kind, history=history, step=step, material=material)
        if step.lines:
            findings += lines_findings(step, history=history, material=material, shared=order.shared)
    elif kind is not None and request.action == AMEND:
        material = material_of(kind, step=None, forms=reading.forms)
        amended = amendment(kind, history=history, material=material)
        findings += amended.findings
    else:
        material = _own_properties(request, reading.forms)
    if step is not None and step.lines:
        lines = reading.values.get(step.lines)
        if isinstance(lines, tuple) and len(lines) > MAX_LINES:
            findings.append(reasons.too_many_lines(len(lines), MAX_LINES))
    elsewhere = () if lineage is None else lineage.lines
    question = Question(
        person=account.person,
        action=request.action,
        resource_type=request.resource_type,
        facts=facts,
        history=history,
        now=situation.now,
        kind=kind,
        step=kind.steps[0] if kind is not None and request.action == AMEND else step,
        trails=situation.trails,
        profiles=situation.profiles,
        lines=elsewhere,
        mitigated=situation.mitigated.get(account.person.id, {}),
    )
    both = [facts]
    if other is not None:
        theirs = facts_about(other, facts, situation.their_aggregates)
        both.append(theirs)
        question = replace(
            question,
            person=other.person,
            facts=theirs,
            actor=question,
            trails=situation.their_trails,
            mitigated=situation.mitigated.get(other.person.id, {}),
        )
    findings += active.enforcement.decide(question).findings
    if kind is not None and situation.arriving:
        of_all = facts_about_nobody(facts)
        findings += moved_findings(
            active.enforcement.constraints, situation.arriving, kind=kind, facts=of_all
        )
    links: tuple[Link, ...] = ()
    if lineage is not None and kind is not None and not history.begun():
        links = lineage.stated
        of_all = facts_about_nobody(facts)
        rules = Joined(active.enforcement.constraints, active.kinds, of_all, situation.profiles)
        findings += joined_findings(rules, history=history, reading=lineage)
    alike = situation.trails.get(RESEMBLES)
    if alike is not None and kind is not None and (request.action == AMEND or not history.begun()):
        found = resembling(kind, history=history, reading=alike, lineage=lineage)
        if found is not None:
            findings.append(found)
    reviewed = situation.reviewed
    if reviewed is not None and account.person.id in reviewed.parties:
        findings.append(reasons.party_to_chain(account.person.id, reviewed.name))
    if reviewed is not None and reviewed.approving is not None:
        findings += approver_findings(active.enforcement.constraints, reviewed.approving, active.ahead)
    try:
        for known in both:
            fired = active.engine.evaluate(f"{request.resource_type}.{request.action}", known)
            findings += [item for item in fired if known is facts or item not in findings]
    except ControlsError as failure:
        findings.append(reasons.engine_failure(failure.code, failure.detail))
    claim = None
    glass = request.break_glass is not None
    if glass and (kind is None or (step is None and request.action != AMEND)):
        findings.append(no_step_to_break())
    if kind is not None and (step is not None or request.action == AMEND):
        shared = order.shared
        claim = ClaimIntent(
            step=request.action,
            valid_until=situation.now + kind.claim_valid_for if shared is None else shared.valid_until,
            material=material,
            shared="" if shared is None else shared.claim,
            reopens=amended.reopens,
            links=links,
        )
        act = claimed_act(request, account, claim=claim, now=situation.now, other=other)
        if request.action == AMEND and not amended.findings:
            amending = Amending(
                kind,
                history,
                act,
                amended.reopens,
                recorded=values_on_record(release.vocabulary, baseline(history)),
                stated=reading.values,
                ballots=active.ballots.get(kind.id),
                profiles=situation.profiles,
                lines=elsewhere,
                places=situation.been,
            )
            findings += amended_findings(active.enforcement.constraints, amending)
        denied = beyond_glass(findings, active.enforcement.constraints) if glass else _denies(findings)
        if situation.crowd is not None and not denied:
            theirs_too = () if other is None else (principal_act(act, other),)
            so_far = replace(history, acts=history.acts + theirs_too) if theirs_too else history
            taken = Taken(
                kind, so_far, act, reading.values, claim.reopens, lines=elsewhere, places=situation.places
            )
            ahead = active.ahead.finding(taken, crowd=situation.crowd)
            findings += () if ahead is None else (ahead,)
    return _concluded(
        request,
        situation,
        active=active,
        kind=kind,
        findings=findings,
        material=material,
        claim=claim,
        step=step,
        votes=history.votes,
    )


def facts_in(request: Request, situation: Situation, *, active: ActiveRelease) -> Facts:
    """What conditions read about the request, the votes that the chain's steps take included."""
    values = facts_of(request, values=situation.reading.values, account=situation.account)
    gaps = None
    if situation.aggregates is not None:
        values |= situation.aggregates.values
        gaps = situation.aggregates.gaps
    facts = Facts(values, situation.history, situation.now, gaps)
    kind = active.release.chains.get(request.resource_type)
    return facts if kind is None else active.counted(facts, kind=kind.id)


def _denies(findings: Sequence[Finding]) -> bool:
    return any(finding.effect is Effect.DENY and not finding.observed for finding in findings)


def _concluded(
    request: Request,
    situation: Situation,
    *,
    active: ActiveRelease,
    kind: ChainKind | None,
    findings: Sequence[Finding],
    material: Mapping[str, str] | None = None,
    claim: ClaimIntent | None = None,
    step: Step | None = None,
    votes: Mapping[str, Votes] | None = None,
) -> Decision:
    """The strictest finding wins; an approval may clear what holds the action up."""
    material = material or {}
    account = situation.account
    outcome = strictest(finding.effect for finding in findings if not finding.observed)
    kept: tuple[Finding, ...] = tuple(findings)
    cleared: tuple[Finding, ...] = ()
    approval = ""
    breakable = False
    if outcome is Outcome.DENY and request.break_glass is not None:
        beyond = beyond_glass(kept, active.enforcement.constraints)
        breakable = not beyond
        kept = kept if breakable else (*kept, not_broken(beyond))
    if (outcome is Outcome.REVIEW or breakable) and account is not None:
        held = holding(kept)
        for offered in situation.approvals:
            if clears(offered, request, situation, material=material, held=held):
                approval = offered.id
                cleared = held
                kept = tuple(item for item in kept if item not in held)
                outcome = Outcome.PERMIT
                break
    chain_step = claim is not None
    if outcome is Outcome.PERMIT and chain_step and not request.claim:
        outcome = Outcome.WOULD_PERMIT
    permitted = outcome is Outcome.PERMIT
    lines: tuple[Mapping[str, Value], ...] = ()
    if permitted and step is not None and step.lines:
        stated = situation.reading.values.get(step.lines, ())
        if isinstance(stated, tuple):
            lines = tuple(line for line in stated if isinstance(line, Mapping))
    return Decision(
        request=request.id,
        outcome=outcome,
        findings=kept,
        person=account.person.id if account is not None else "",
        account=account.ref if account is not None else "",
        chain_kind=kind.id if kind is not None else "",
        claim=claim if permitted else None,
        approval=approval if permitted else "",
        cleared=cleared,
        obligations=_obligations(kept, cleared, active=active) if permitted else (),
        material=material,
        lines=lines,
        engine=active.engine.name,
        votes=votes,
        principal=situation.principal,
        breakable=breakable and not approval,
    )


def material_of(kind: ChainKind, *, step: Step | None, forms: Mapping[str, Json]) -> dict[str, str]:
    """Canonical text of the material facts that were stated, and the digest of the step's lines; what is
    absent is absent."""
    names = (*(kind.material if step is None else kind.material_of(step)), *kind.if_stated)
    # Most are texts, which are their own.
    found = {
        name: form if (form := forms[name]).__class__ is str else form_text(form)
        for name in names
        if name in forms
    }
    if step is not None and step.lines in forms:
        found.setdefault(step.lines, sha256(canonical_bytes(forms[step.lines])).hexdigest())
    return found


def _own_properties(request: Request, forms: Mapping[str, Json]) -> dict[str, str]:
    """Where no chain kind names material facts, all that was stated about the resource is material."""
    prefix = f"{request.resource_type}."
    return {name: form_text(form) for name, form in forms.items() if name.startswith(prefix)}


def _obligations(
    kept: Sequence[Finding], cleared: Sequence[Finding], *, active: ActiveRelease
) -> tuple[Obligation, ...]:
    """The duties that come with a permit, one of each rule, however many rows of a decision table oblige.

    A rule that obliges asks for a review where it, or its due time, could not be computed. Whoever clears
    that lets the action pass and not the duty: it stays, without a deadline.
    """
    found: dict[str, Obligation] = {}
    for finding in (*kept, *cleared):
        rule = active.rules.get((finding.rule, finding.version))
        if rule is None or finding.observed or not rule.obliges:
            continue
        if finding.cause is Cause.FIRED and finding.effect is not Effect.OBLIGE:
            continue  # a row of a decision table that says something else
        found.setdefault(
            rule.id,
            Obligation(id=rule.id, rule=rule.id, properties=rule.obligation or {}, deadline=finding.deadline),
        )
    return tuple(found.values())
