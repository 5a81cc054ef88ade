"""The one place where findings become an outcome.

Guarantees: pure (same request, same situation, same answer to the byte); whatever is missing, malformed,
unknown or broken leads to a finding that does not permit; the strictest finding wins; an approval clears
exactly the findings it names, and only when they are all that is found: never a deny but those that
`controls.duties.breaking` lets a second person lift, where the request asks for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from controls.duties.acting import acting_findings, claimed_act, other_of, principal_act
from controls.duties.amending import Amending, amended_findings
from controls.duties.approving import Approving, approver_findings
from controls.duties.ballots import Ballots, ballots_of
from controls.duties.breaking import beyond_glass, no_step_to_break, not_broken
from controls.duties.enforcement import Enforcement
from controls.duties.facts import facts_about, facts_about_nobody, facts_of
from controls.duties.hearing import Question
from controls.duties.lineage import Joined, joined_findings, lineage_findings
from controls.duties.lookahead import LookAhead, Taken
from controls.duties.material import Amendment, amendment, baseline, lines_findings, material_findings
from controls.duties.moving import Arrival, moved_findings
from controls.duties.order import OrderAnswer, step_order
from controls.duties.resembling import resembling
from controls.duties.trails import RESEMBLES, trails_of
from controls.ledger.canonical import canonical_bytes, form_text
from controls.model import reasons
from controls.model.chain import AMEND, ChainHistory, ChainKind, Step, Votes
from controls.model.condition import Facts
from controls.model.crowd import Crowd
from controls.model.decision import Approval, ClaimIntent, ClearedFinding, Decision, Obligation
from controls.model.duty import ConstraintKind
from controls.model.errors import ControlsError
from controls.model.finding import Cause, Effect, Finding, Outcome, strictest
from controls.model.lineage import LineageReading, Link, StatedLink
from controls.model.people import Account, Principal, Profile
from controls.model.record import record
from controls.model.request import Request
from controls.model.trail import Trail, TrailPlace, TrailReading
from controls.model.values import Json, Value, canonical, utc_text
from controls.model.window import AggregateReading
from controls.rules.engine import Engine
from controls.rules.release import Release
from controls.rules.rule import Rule
from controls.rules.values_on_record import values_on_record
from controls.rules.vocabulary import FactReading
from controls.rules.watching import Watched, watched_by

# What a caller says about time is recorded; further off than this it is refused.
ASSERTED_TIME_TOLERANCE: Final = timedelta(minutes=5)
# The most allocation lines one request may carry: each becomes a ledger entry.
MAX_LINES: Final = 500

# The resource type of review cases: resolving one is itself decided.
REVIEW: Final = "review"


@dataclass(frozen=True, slots=True)
class ActiveRelease:
    """A release with what is built from it once: Casbin's enforcers, the rule engine and indexes."""

    release: Release
    enforcement: Enforcement
    engine: Engine
    rules: Mapping[tuple[str, str], Rule] = field(init=False)  # by id and version: an id may have several
    trails: Mapping[str, tuple[Trail, ...]] = field(init=False)  # by chain kind; only kinds with any
    ballots: Mapping[str, Ballots] = field(init=False)  # by chain kind; only kinds with any
    related: frozenset[str] = field(init=False)  # chain kinds with a constraint over how persons are related
    watched: Mapping[str, Watched] = field(init=False)  # by `resource.action`; only actions with any
    ahead: LookAhead = field(init=False)
    kinds: Mapping[str, ChainKind] = field(init=False)  # by their own ids

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", {(rule.id, rule.version): rule for rule in self.release.rules})
        kinds = self.release.chains.values()
        constraints = self.release.constraints
        object.__setattr__(self, "trails", trails_of(constraints, chains=kinds))
        object.__setattr__(self, "ballots", ballots_of(constraints, chains=kinds))
        about = {item.chain for item in constraints if item.kind is ConstraintKind.RELATION}
        related = frozenset(kind.id for kind in kinds if not about.isdisjoint(("", kind.id)))
        object.__setattr__(self, "related", related)
        object.__setattr__(self, "watched", watched_by(self.release.rules, self.release.aggregates))
        ahead = LookAhead(self.release.grants, self.release.roles, constraints, kinds)
        object.__setattr__(self, "ahead", ahead)
        object.__setattr__(self, "kinds", {kind.id: kind for kind in kinds})

    def counted(self, facts: Facts, *, kind: str) -> Facts:
        """`facts` about a chain of a kind, with the votes that its steps take."""
        ballots = self.ballots.get(kind)
        if ballots is None:
            return facts
        return Facts(facts.values, ballots.counted(facts), facts.now, facts.gaps, facts.later)


@record
class Situation:
    """Everything a decision reads besides the request, as of the lock.

    `account` is the subject's account now, if there is one. `trails` are the acts of other chains that
    constraints look at (what is not there could not be told, or is looked at by none), and `profiles` what
    the directory knows of persons, where a constraint asks. `approvals` are those given for this resource.
    `reviewed` is what a `review` resource is about. `aggregates` are those that the rules of the action read
    (None: they read none). `crowd` is everybody who can act (None: nobody looks ahead whether the rest of a
    chain can be done), and `places` where the chain is, which is looked at then. `lineage` is what other
    chains have to do with it (None: nothing). `principal` is whom the request is made for (None: it names
    nobody), `their_trails` and `their_aggregates` what is read of that person.
    `arriving` is, by trail, where an amendment would bring the chain, if anywhere, and `been` what was done
    where it has been by those who act on it (of trails that are looked at on a condition).
    `mitigated` are, by person, the constraints with which a conflict is accepted, each with the mitigation.
    """

    reading: FactReading
    account: Account | None
    history: ChainHistory
    now: datetime
    approvals: Sequence[Approval] = ()
    trails: Mapping[str, TrailReading] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    reviewed: ReviewedChain | None = None
    aggregates: AggregateReading | None = None
    crowd: Crowd | None = None
    places: Mapping[str, Sequence[TrailPlace]] = field(default_factory=dict)
    lineage: LineageReading | None = None
    mitigated: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    principal: Principal | None = None
    their_trails: Mapping[str, TrailReading] = field(default_factory=dict)
    their_aggregates: AggregateReading | None = None
    arriving: Mapping[str, Arrival] = field(default_factory=dict)
    been: Mapping[str, Sequence[TrailReading]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReviewedChain:
    """The chain (or plain resource) that a review case belongs to, and who had a hand in it. `approving`:
    which step is to be approved (None: none is)."""

    name: str
    parties: frozenset[str]
    approving: Approving | None = None


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
            if _clears(offered, request, situation, material=material, held=held):
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


def cleared_finding(finding: Finding) -> ClearedFinding:
    """The finding as an approval names it; the digest changes with any value that made it speak."""
    values = {name: canonical(value) for name, value in finding.values.items()}
    told = canonical_bytes([finding.effect.value, finding.cause.value, values, list(finding.missing)])
    return ClearedFinding(finding.rule, finding.version, sha256(told).hexdigest())


def material_digest(
    material: Mapping[str, str], *, lineage: Sequence[StatedLink] = (), on_behalf_of: str = ""
) -> str:
    """What an approval binds the material facts by, and what the resource was said to come from."""
    told: dict[str, Json] = dict(material)
    if on_behalf_of:
        told["request.on_behalf_of"] = on_behalf_of
    if lineage:
        told["resource.lineage"] = list[Json](
            sorted(f"{link.relation.value}:{link.type}:{link.id}" for link in lineage)
        )
    return sha256(canonical_bytes(told)).hexdigest()


def material_of_approval(request: Request, material: Mapping[str, str], principal: Principal | None) -> str:
    """What an approval binds a request by: its facts, what it comes from, and for whom it is made."""
    known = None if principal is None else principal.account
    return material_digest(
        material, lineage=request.lineage, on_behalf_of="" if known is None else known.person.id
    )


def holding(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings that hold an action up, of which an approval must name each."""
    stopping = (Effect.REVIEW, Effect.DENY)
    return tuple(item for item in findings if item.effect in stopping and not item.observed)


def _clears(
    offered: Approval,
    request: Request,
    situation: Situation,
    *,
    material: Mapping[str, str],
    held: Sequence[Finding],
) -> bool:
    return (
        not offered.used
        and situation.account is not None
        and offered.person == situation.account.person.id
        and offered.action == request.action
        and offered.resource_type == request.resource_type
        and offered.resource_id == request.resource_id
        and situation.now < offered.expires_at
        and offered.material == material_of_approval(request, material, situation.principal)
        and not _party_to_line(offered.approver, situation)
        and not _is_principal(offered.approver, situation)
        and set(offered.findings) == {cleared_finding(item) for item in held}
    )


def _party_to_line(person: str, situation: Situation) -> bool:
    """Whether somebody had a hand in what the chain comes from, or in what has come of it."""
    lines = () if situation.lineage is None else situation.lineage.lines
    return any(item.act.person == person for line in lines for item in line)


def _is_principal(person: str, situation: Situation) -> bool:
    """Whether the request is made for this person."""
    principal = situation.principal
    known = None if principal is None else principal.account
    return known is not None and known.person.id == person


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
