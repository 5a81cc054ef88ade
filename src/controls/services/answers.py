"""How decisions are told: the native answer and AuthZEN's, with the receipt that proves the record.

Guarantees: built only after the batch's place in the tree is known, so that an answer and its receipt are
one; both forms say the same outcome. A silent finding, and a case about nothing else, is never in an answer:
with it or without, the answer says the same.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import orjson

from controls.duties.acting import accountable
from controls.model.chain import ActState, ChainHistory
from controls.model.decision import Decision
from controls.model.finding import Effect, Finding, Origin, Outcome, Source
from controls.model.people import Account, Delegation
from controls.model.record import record
from controls.model.values import Json, canonical, utc_text
from controls.store.workspace import Sealed


@record
class Told:
    """One decision with everything that was recorded along with it."""

    decision: Decision
    index: int
    leaf: bytes
    release: str
    claim: str = ""
    valid_until: str = ""  # of the claim
    review: str = ""
    chain: ChainHistory | None = None


@dataclass(frozen=True, slots=True)
class Unread:
    """An item of a list that could not be read; it is answered with false and never decided."""

    reason: str


Item: TypeAlias = "Told | Unread"
# Builds the whole answer from its items, in the order they were asked.
Teller: TypeAlias = Callable[[Sequence[Item], Sealed], bytes]


def encode(value: Json | Mapping[str, Json]) -> bytes:
    """Compact JSON in UTF-8."""
    return orjson.dumps(value)


def native_one(items: Sequence[Item], sealed: Sealed) -> bytes:
    """The answer to one decision request."""
    return encode(native(items[0], sealed))


def native_list(items: Sequence[Item], sealed: Sealed) -> bytes:
    """The answers to a list of decision requests, in order."""
    return encode([native(item, sealed) for item in items])


def authzen_one(items: Sequence[Item], sealed: Sealed) -> bytes:
    """AuthZEN's answer to one evaluation."""
    return encode(authzen(items[0], sealed))


def authzen_list(items: Sequence[Item], sealed: Sealed) -> bytes:
    """AuthZEN's answer to several evaluations, in order."""
    return encode({"evaluations": [authzen(item, sealed) for item in items]})


def native(item: Item, sealed: Sealed) -> dict[str, Json]:
    """The full answer: outcome, reasons, what was claimed, and the receipt."""
    if isinstance(item, Unread):
        return {"decision": False, "error": {"status": 400, "message": item.reason}}
    decision = item.decision
    answer: dict[str, Json] = {
        "id": decision.request,
        "outcome": decision.outcome.value,
        "decision": decision.outcome is Outcome.PERMIT,
        "findings": [finding_json(finding) for finding in decision.findings if not finding.silent],
        "obligations": [duty.as_json() for duty in decision.obligations],
    }
    principal = decision.principal
    if principal is not None and principal.account is not None:
        told = _principal_json(principal.account, principal.delegation, actor=decision.person)
        answer["on_behalf_of"] = told
    if decision.approval:
        answer["approval"] = {
            "id": decision.approval,
            "cleared": [finding_json(finding) for finding in decision.cleared],
        }
    if item.claim and decision.claim is not None:
        answer["claim"] = {
            "id": item.claim,
            "step": decision.claim.step,
            "valid_until": item.valid_until,
        }
    if item.review and not _only_silent(decision):
        answer["review"] = {"id": item.review, "href": f"/v1/reviews/{item.review}"}
    if item.chain is not None:
        answer["chain"] = chain_json(item.chain)
    answer["release"] = item.release
    answer["receipt"] = receipt(item.index, item.leaf, sealed)
    return answer


def _principal_json(account: Account, delegation: Delegation | None, *, actor: str) -> dict[str, Json]:
    """For whom it was asked, by what right, and who is accountable."""
    person, given = account.person.id, delegation
    told: dict[str, Json] = {"person": person, "account": account.ref}
    if given is not None:
        told |= {"delegation": given.id, "until": utc_text(given.until)}
    if actor:
        told["reason"] = dict(accountable(person, actor, given).as_json())
    return told


def _only_silent(decision: Decision) -> bool:
    """The case of the decision is about flags of which whoever asked is not told."""
    flags = [item for item in decision.findings if item.effect is Effect.FLAG and not item.observed]
    passed = decision.outcome is Outcome.PERMIT and not decision.broke_glass
    return passed and decision.delegation is None and all(item.silent for item in flags)


def authzen(item: Item, sealed: Sealed) -> dict[str, Json]:
    """AuthZEN 1.0 decision: a boolean, and the reasons in `context`."""
    full = native(item, sealed)
    decided = full.pop("decision")
    return {"decision": decided, "context": full}


def finding_json(finding: Finding) -> dict[str, Json]:
    """A finding as a caller reads it."""
    told: dict[str, Json] = {
        "rule": finding.rule,
        "version": finding.version,
        "effect": finding.effect.value,
        "cause": finding.cause.value,
        "title": dict(finding.title.as_json()),
        "message": dict(finding.message.as_json()),
        "values": {name: canonical(value) for name, value in finding.values.items()},
    }
    if finding.missing:
        told["missing"] = list(finding.missing)
    if finding.sources:
        told["source"] = [source_json(source) for source in finding.sources]
    if finding.observed:
        told["observed"] = True
    if finding.origin is not Origin.RULE:
        told["origin"] = finding.origin.value
    return told


def source_json(source: Source) -> dict[str, Json]:
    told: dict[str, Json] = {"law": source.law, "article": source.article, "basis": source.basis}
    if not source.reviewed:
        told["reviewed"] = False
    return told


def chain_json(history: ChainHistory) -> dict[str, Json]:
    """Where the chain stands: which steps are claimed and which performed, and how many votes those have that
    take several."""
    steps: dict[str, Json] = {}
    for act in history.acts:
        if act.stands() and steps.get(act.step) != ActState.PERFORMED.value:
            steps[act.step] = act.state.value
    told: dict[str, Json] = {"kind": history.kind, "id": history.chain, "steps": steps}
    if history.votes is not None:
        counted: dict[str, Json] = {}
        for name in [name for name in steps if name in history.votes]:
            given, needed = len(history.performers(name)), history.needed(name)
            counted[name] = {"given": given, "needed": needed}
            if given < needed:
                steps[name] = ActState.CLAIMED.value
        if counted:
            told["votes"] = counted
    return told


def receipt(index: int, leaf: bytes, sealed: Sealed) -> dict[str, Json]:
    """Proof that the entry is in the signed tree (RFC 9162 inclusion proof, C2SP checkpoint)."""
    tree = sealed.tree
    return {
        "index": index,
        "leaf": _base64(leaf),
        "proof": {
            "size": tree.size,
            "root": _base64(tree.root),
            "hashes": [_base64(item) for item in tree.inclusion_proof(index)],
        },
        "checkpoint": sealed.checkpoint,
    }


@lru_cache(1_024)
def _base64(data: bytes) -> str:
    """As `base64.b64encode`, in half the time: an answer holds a dozen hashes, most of them of its neighbours
    too."""
    return b2a_base64(data, newline=False).decode()
