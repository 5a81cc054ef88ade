"""Bodies of the routes over review cases and exceptions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from controls.api.schemas import Asked, ChainName, FindingTold, Receipt, Told, Translated


class ResolutionRequest(Asked):
    """A supervisor's word on a review case. Who speaks is the account that the key is bound to."""

    resolution: Literal["approve", "reject"]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"\S")]


class ApprovalGiven(Told):
    """What a supervisor's approval is called, and until when it can be used."""

    id: str
    expires_at: str


class ResolutionAnswer(Told):
    """The case is resolved, on record."""

    id: str
    review: str
    state: Literal["approved", "rejected"]
    approval: ApprovalGiven | None = None
    follow_up: str | None = None
    findings: list[FindingTold]
    receipt: Receipt


class ReasonTold(Told):
    """Why a case was opened."""

    rule: str
    effect: str
    title: Translated
    message: Translated


class ResourceTold(Told):
    type: str
    id: str


class Resolved(Told):
    """Who resolved a case, and in which entry."""

    at: str
    by: str
    resolution: str


class ReviewTold(Told):
    """A review case. `due_at`: until when break-glass may be authorised, or by when an exception must be
    looked at; `on_behalf_of` is the person for whom it was asked."""

    id: str
    kind: Literal["hold", "flag", "expired", "follow_up", "merge", "break_glass", "exception"]
    state: Literal["open", "approved", "rejected"]
    decision: str
    person: str
    action: str
    resource: ResourceTold
    reasons: list[ReasonTold]
    opened_at: str
    claim: str | None = None
    chain: ChainName | None = None
    follows: str | None = None
    due_at: str | None = None
    on_behalf_of: str | None = None
    resolved: Resolved | None = None


class ReviewState(Told):
    """What became of a case with a deadline: `overdue` should have been looked at by `due_at`, `lapsed` was
    not authorised by then."""

    id: str
    state: Literal["open", "approved", "rejected", "overdue", "lapsed"]
    due_at: str
    resolved_by: str | None = None


class ReviewPage(Told):
    """Review cases, oldest first; `next` is the cursor of the following page."""

    reviews: list[ReviewTold]
    next: str | None = None


class ExceptionTold(Told):
    """One step that was taken for another person (`delegation`), a constraint that was lifted (`break_glass`)
    or is asked to be (`break_glass_request`), or an act in an accepted conflict (`mitigation`), with what
    became of the case about it. An act under several is there once, by what lets pass most; `delegation`
    names the one that it was done by, whatever else it needed."""

    kind: Literal["delegation", "break_glass", "break_glass_request", "mitigation"]
    at: str
    person: str
    on_behalf_of: str | None = None
    chain: ChainName
    step: str
    decision: str
    delegation: str | None = None
    rules: list[str] | None = None
    authorised_by: str | None = None
    review: ReviewState | None = None


class ExceptionPage(Told):
    """Exceptions, newest first; `overdue` counts all that should have been looked at by now; `next` is the
    cursor of the following page."""

    at: str
    overdue: int
    exceptions: list[ExceptionTold]
    next: str | None = None
