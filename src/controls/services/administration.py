"""Changes to directory, keys and releases: one administrator proposes, another one confirms.

Guarantees: both acts are decided like any other step (the chain kind `administration`, whose built-in whole
chain keeps one person from doing both) and are entries; a confirmed change takes effect in the transaction
that records its confirmation (the last one, where several are asked for), and decisions after that entry use
it. Names, logins and secrets are never in an entry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Protocol

from controls.decide import Situation, decide
from controls.ledger.envelope import EntryKind
from controls.model.chain import Act, ActState, Capacity
from controls.model.decision import Decision
from controls.model.errors import Conflict, FieldError, Forbidden, NotFound
from controls.model.request import Request
from controls.model.values import Json
from controls.rules.vocabulary import read_facts
from controls.services.answers import encode, receipt
from controls.services.commands import Context, Render
from controls.services.delegations import DelegationEnd, DelegationGrant
from controls.services.directory_changes import DirectoryChange
from controls.services.key_changes import KeyCreation, KeyRevocation
from controls.services.mitigations import Mitigation, MitigationEnd
from controls.services.person_merge import PersonMerge
from controls.services.records import decision_entry
from controls.services.release_changes import ReleaseActivation
from controls.store.rows import Change, StoredAct
from controls.store.workspace import Needs

CHANGE: Final = "change"
PROPOSE: Final = "propose"
CONFIRM: Final = "confirm"


class ChangeKind(Protocol):
    """One kind of change: it can be checked when proposed, and applied when confirmed."""

    kind: ClassVar[str]
    scope: ClassVar[str]  # of the keys that may propose and confirm it

    def check(self, context: Context) -> str:
        """One sentence that says what the change does; raises a ControlsError when it may not be made."""
        ...

    def apply(self, context: Context, *, index: int) -> tuple[dict[str, Json], dict[str, str]]:
        """Put it into force as entry `index`; that entry's fields and what opens its commitments. Must have
        been checked."""
        ...

    def payload(self) -> dict[str, Json]: ...


_KINDS: Final[Mapping[str, Any]] = {
    kind.kind: kind
    for kind in (
        DirectoryChange,
        PersonMerge,
        DelegationGrant,
        DelegationEnd,
        Mitigation,
        MitigationEnd,
        KeyCreation,
        KeyRevocation,
        ReleaseActivation,
    )
}
_ENTRIES: Final = {
    PersonMerge.kind: EntryKind.DIRECTORY,
    DelegationGrant.kind: EntryKind.DIRECTORY,
    DelegationEnd.kind: EntryKind.DIRECTORY,
    Mitigation.kind: EntryKind.DIRECTORY,
    MitigationEnd.kind: EntryKind.DIRECTORY,
    DirectoryChange.kind: EntryKind.DIRECTORY,
    KeyCreation.kind: EntryKind.KEY,
    KeyRevocation.kind: EntryKind.KEY,
    ReleaseActivation.kind: EntryKind.RELEASE,
}


def read_change(kind: str, payload: str) -> ChangeKind:
    """The change that was stored.

    Raises:
        Conflict: an older program stored it, and what it left out cannot be guessed.
    """
    try:
        change: ChangeKind = _KINDS[kind].from_payload(json.loads(payload))
    except (KeyError, TypeError, ValueError) as error:
        lacking = isinstance(error, KeyError)
        told = f"lacks {error.args[0]}, which this version needs" if lacking else "has another form"
        raise Conflict(
            "change_outdated",
            "This change was proposed to an older version of the service",
            detail=f"What is stored of it {told}.",
            help="Propose it anew, and let another administrator confirm that.",
        ) from error
    return change


@dataclass(slots=True)
class Propose:
    """Propose a change as the administrator that the key is bound to."""

    id: str
    change_id: str
    key: str
    change: ChangeKind
    alone: bool = False
    weight: int = field(default=1, init=False)
    claims: tuple[str, ...] = field(default=(), init=False)

    def prepare(self, context: Context, needs: Needs) -> None:
        needs.chains.add(("administration", self.change_id))

    def execute(self, context: Context) -> Render:
        work = context.work
        decision, request = _decided(context, self.id, self.key, PROPOSE, self.change_id)
        _check_scope(context, self.key, self.change)
        _check_stranger(decision, self.change)
        summary = self.change.check(context)
        payload = json.dumps(self.change.payload(), ensure_ascii=False, sort_keys=True)
        fields, disclosure = _fields(context, request, decision, key=self.key)
        hidden, opened = work.conceal({"payload": payload})
        about = _about(self.change)
        fields |= {"change": self.change_id, "change_kind": self.change.kind, "act": PROPOSE, **hidden}
        if about:
            fields["proposes"] = about["release"]
        index = work.append(
            EntryKind.CHANGE,
            self.id,
            fields,
            chain=f"administration:{self.change_id}",
            person=decision.person,
            disclosure=disclosure | opened,
        )
        leaf = work.entries[-1].leaf
        _record_act(context, decision, self.id, self.change_id, PROPOSE, index, self.key)
        work.add_change(
            Change(
                id=self.change_id,
                kind=self.change.kind,
                state="proposed",
                summary=summary,
                payload=payload,
                proposed_by=decision.person,
                proposed_at=work.at,
            )
        )
        return lambda sealed: encode(
            {
                "change": self.change_id,
                "kind": self.change.kind,
                "state": "proposed",
                "summary": summary,
                **about,
                "receipt": receipt(index, leaf, sealed),
            }
        )

    def refused_act(self) -> dict[str, Json]:
        return {"act": PROPOSE, "change": self.change_id, "change_kind": self.change.kind}


@dataclass(slots=True)
class Confirm:
    """Confirm a proposed change as a second administrator; it takes effect at once, or with the last of the
    votes that the release asks for.

    `prepared` is the digest of the release that this process has ready, if the change is one of release, and
    `merging` the two persons whose common chains are to be read, if it is one of a merge.
    """

    id: str
    key: str
    change_id: str
    prepared: str = ""
    merging: tuple[str, str] | None = None
    alone: bool = True
    weight: int = field(default=1, init=False)
    claims: tuple[str, ...] = field(default=(), init=False)

    def prepare(self, context: Context, needs: Needs) -> None:
        needs.changes.add(self.change_id)
        if self.merging is not None:
            needs.merging.add(self.merging)
        needs.chains.add(("administration", self.change_id))

    def execute(self, context: Context) -> Render:
        work = context.work
        proposed = work.changes.get(self.change_id)
        if proposed is None:
            raise NotFound(
                "change_unknown", "There is no such change", help="List them: controls changes list."
            )
        if proposed.state != "proposed":
            raise Conflict("change_done", "This change was confirmed already", help="Nothing is left to do.")
        decision, request = _decided(context, self.id, self.key, CONFIRM, self.change_id)
        change = read_change(proposed.kind, proposed.payload)
        _check_scope(context, self.key, change)
        about = _about(change)
        if about and about["release"] != self.prepared:
            raise Conflict(
                "release_not_prepared",
                "Nobody has tried this release here",
                help="Confirm it with `controls changes confirm` or over the API, which try it first.",
            )
        if isinstance(change, PersonMerge) and change.persons != self.merging:
            raise Conflict(
                "merge_not_prepared",
                "Nobody has looked up what both persons did",
                help="Confirm it with `controls changes confirm` or over the API, which look first.",
            )
        _check_stranger(decision, change)
        summary = change.check(context)
        fields, disclosure = _fields(context, request, decision, key=self.key)
        fields |= {"change": self.change_id, "act": CONFIRM}
        index = work.next_index
        kind, opened, votes = EntryKind.CHANGE, dict[str, str](), _votes(context, decision, self.change_id)
        done = votes["given"] == votes["needed"]
        if done:
            kind = _ENTRIES[proposed.kind]
            made, opened = change.apply(context, index=index)
            fields |= made
        else:
            fields |= {"change_kind": proposed.kind}
            fields |= {"proposes": about["release"]} if about else {}
        work.append(
            kind,
            self.id,
            fields,
            chain=f"administration:{self.change_id}",
            person=decision.person,
            disclosure=disclosure | opened,
        )
        leaf = work.entries[-1].leaf
        _record_act(context, decision, self.id, self.change_id, CONFIRM, index, self.key)
        if done:
            if isinstance(change, PersonMerge):
                change.follow_up(context, entry=self.id)
            work.change_change(
                replace(proposed, state="confirmed", confirmed_by=decision.person, confirmed_at=work.at)
            )
        return lambda sealed: encode(
            {
                "change": self.change_id,
                "kind": proposed.kind,
                "state": "confirmed" if done else "proposed",
                "summary": summary,
                **about,
                **({} if votes["needed"] == 1 else {"votes": dict[str, Json](votes)}),
                "receipt": receipt(index, leaf, sealed),
            }
        )

    def refused_act(self) -> dict[str, Json]:
        return {"act": CONFIRM, "change": self.change_id}


def _votes(context: Context, decision: Decision, change: str) -> dict[str, int]:
    """How many persons a confirmation takes, and how many there are with this one."""
    history = context.work.history("administration", change)
    asked = (decision.votes or {}).get(CONFIRM)
    given = history.performers(CONFIRM) | {decision.person}
    return {"given": len(given), "needed": 1 if asked is None else asked.needed}


def _about(change: ChangeKind) -> dict[str, Json]:
    """What an answer says of the release that a change is about."""
    return {"release": change.digest} if isinstance(change, ReleaseActivation) else {}


def _check_scope(context: Context, key: str, change: ChangeKind) -> None:
    if change.scope not in context.keys[key].scopes:
        raise Forbidden(
            "scope_missing",
            "The API key does not cover this change",
            detail=f"A change of kind {change.kind} needs the scope {change.scope}.",
            help="Use another key.",
        )


def _check_stranger(decision: Decision, change: ChangeKind) -> None:
    if isinstance(change, PersonMerge) and decision.person in change.persons:
        raise Conflict(
            "own_merge",
            "Nobody has a hand in finding who he or she is",
            detail=f"{decision.person} is one of the two persons of this change.",
            help="Two other administrators propose and confirm it.",
        )
    if isinstance(change, Mitigation) and decision.person == change.person:
        raise Conflict(
            "own_mitigation",
            "Nobody accepts his or her own conflict",
            detail=f"{decision.person} is the person of this change.",
            help="Two other administrators propose and confirm it.",
        )
    if isinstance(change, DelegationGrant) and decision.person == change.delegate:
        raise Conflict(
            "own_delegation",
            "Nobody gives himself or herself somebody else's duties",
            detail=f"{decision.person} is the delegate of this change.",
            help="Two other administrators propose and confirm it.",
        )


def _decided(context: Context, id: str, key: str, action: str, change: str) -> tuple[Decision, Request]:
    """The decision on the administrator's own act, which must be permit."""
    work, active = context.work, context.active
    login = context.keys[key].account
    if not login:
        raise Forbidden(
            "key_not_personal",
            "A change is made by a person",
            help="Use a key that is bound to an administrator's account.",
        )
    request = Request(
        id=id,
        subject_type=min(active.release.vocabulary.subject_types),
        subject_id=login,
        action=action,
        resource_type=CHANGE,
        resource_id=change,
        properties={},
    )
    situation = Situation(
        reading=read_facts(active.release.vocabulary, {}),
        account=context.directory.account(login, at=work.at),
        history=work.history("administration", change),
        now=work.now,
        profiles=context.directory.profiles(at=work.at) if "administration" in active.related else {},
        # A change waits for whoever is to confirm it, and a review here would be a refusal without recourse.
        crowd=context.directory.crowd(at=work.at, away=True),
    )
    decision = decide(request, situation, active=active)
    if not decision.permitted:
        raise Conflict(
            "change_refused",
            f"This person may not {action} this change",
            detail="; ".join(finding.message.en for finding in decision.findings),
            help="A change is proposed by one administrator and confirmed by another one.",
            errors=tuple(FieldError("", item.rule, item.message.en) for item in decision.findings),
        )
    return decision, request


def _fields(
    context: Context, request: Request, decision: Decision, *, key: str
) -> tuple[dict[str, Json], dict[str, str]]:
    release = context.active.release
    reading = read_facts(release.vocabulary, {})
    return decision_entry(context.work, release, request=request, decision=decision, reading=reading, key=key)


def _record_act(
    context: Context, decision: Decision, id: str, change: str, step: str, index: int, key: str
) -> None:
    voting = step in (decision.votes or {})
    context.work.add_act(
        StoredAct(
            act=Act(
                claim=id,  # the act is done with its entry: nothing else names it
                decision=id,
                chain=change,
                step=step,
                person=decision.person,
                account=decision.account,
                capacity=Capacity.ACTOR,
                state=ActState.PERFORMED,
                at=context.work.now,
                done_at=context.work.now,
                valid_until=context.work.now,
                index=index,
                key=key,
            ),
            kind="administration",
            exclusive=not voting,
            voting=voting,
        )
    )
