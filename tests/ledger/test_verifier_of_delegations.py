"""The stand-alone verifier on acts of one person for another: by what right, and that they count for both."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from controls.ledger.canonical import exact_bytes
from controls.ledger.envelope import blob_digest
from controls.ledger.export import Blob
from controls.ledger.verifier import Failure, Report, show
from controls.model.values import Json, utc_text

from .ledger_builder import RELEASE_BYTES, START, LedgerBuilder
from .test_verifier import force_failures, verified

ACCOUNTS = {"acc-1": "ana", "acc-2": "bea", "acc-3": "eva"}


def delegating(*, end: datetime = START + timedelta(days=1), **changed: Json) -> LedgerBuilder:
    """A ledger on which eva has delegated to bea what the arguments say, in its entry 2."""
    ledger = LedgerBuilder(persons=ACCOUNTS)
    given: dict[str, Json] = {
        "id": "dlg-1",
        "delegate": "bea",
        "chain": "order",
        "steps": ["approve", "execute", "settle"],
        "from": utc_text(START),
        "to": utc_text(end),
    }
    account: Json = {"ref": "acc-3", "from": utc_text(START), "to": None}
    person: dict[str, Json] = {
        "id": "eva",
        "accounts": [account],
        "roles": [],
        "delegations": [given | changed],
    }
    data = exact_bytes({"v": 1, "persons": [person]})
    ledger.blobs.append(Blob(digest=blob_digest(data), data=data))
    ledger.propose("chg-1", "delegation", "zoe")
    ledger.confirm("chg-1", "directory", "abe", blob=ledger.blobs[-1].digest, delegation="dlg-1")
    return ledger


def for_eva(**changed: Json) -> dict[str, Any]:
    return {"on_behalf_of": {"person": "eva", "account": "acc-3", "delegation": "dlg-1"} | changed}


def problems(ledger: LedgerBuilder) -> list[str]:
    return [item.message for item in verified(ledger.export(), key=ledger.keys.verifying).problems]


def test_what_was_delegated_may_be_done_and_is_counted() -> None:
    """In force from the entry that confirms it; a bot's owner is named without a delegation."""
    ledger = delegating()
    ledger.end(
        ledger.claim("ana", "capture", account="acc-1", on_behalf_of={"person": "ana", "account": "acc-1"})
    )
    ledger.claim("bea", "approve", account="acc-2", **for_eva())
    report: Report = verified(ledger.export(), key=ledger.keys.verifying)
    assert (report.problems, report.delegated) == ([], 1)
    shown = StringIO()
    show(report, shown)
    assert "1 acts of one person for another" in shown.getvalue()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"delegate": "ana"}, {}),
        ({"chain": "claim"}, {}),
        ({"steps": ["execute"]}, {}),
        ({"from": utc_text(START + timedelta(hours=1))}, {}),
        ({"to": utc_text(START + timedelta(milliseconds=1))}, {}),
        ({}, {"delegation": "dlg-2"}),
        ({}, {"account": "acc-1"}),
        ({}, {"account": "acc-9"}),
    ],
)
def test_what_was_not_delegated_is_found(given: dict[str, Json], said: dict[str, Json]) -> None:
    """Somebody else's, of another chain, another step, before, after, unknown, or another one's account."""
    ledger = delegating(**given)
    ledger.claim("bea", "approve", account="acc-2", **for_eva(**said))
    assert force_failures(ledger) == [3]


def test_a_delegation_that_was_revoked_is_over() -> None:
    """The entry that ends it says until when it was in force."""
    ledger = delegating()
    ledger.claim("bea", "approve", account="acc-2", **for_eva())
    ended = delegating(end=ledger.now)
    ledger.blobs.append(ended.blobs[-1])
    ledger.propose("chg-2", "delegation_end", "zoe")
    ledger.confirm("chg-2", "directory", "abe", blob=ended.blobs[-1].digest, delegation="dlg-1")
    ledger.claim("bea", "settle", account="acc-2", **for_eva())
    assert force_failures(ledger) == [6]


@pytest.mark.parametrize("person", ["bea", "eva"])
def test_it_counts_for_both(person: str) -> None:
    """Neither checks what one did for the other, nor takes what is left of the chain."""
    ledger = delegating()
    ledger.claim("bea", "approve", account="acc-2", **for_eva())
    account = {"bea": "acc-2", "eva": "acc-3"}[person]
    ledger.claim(person, "capture", account=account)
    assert problems(ledger) == [f"{person} has acted on approve, capture, of which `maker_checker` allows 1"]
    ledger = delegating()
    for step in ("approve", "execute", "settle"):
        ledger.claim("bea", step, account="acc-2", **for_eva())
    ledger.claim(person, "capture", account=account)
    assert f"{person} has acted on every mandatory step of the chain" in problems(ledger)


def test_a_shared_claim_is_shared_for_the_same_person() -> None:
    """Who made it for eva does not take it over for himself or herself."""
    ledger = delegating()
    claim = ledger.claim("bea", "approve", account="acc-2", **for_eva())
    ledger.share("bea", "approve", claim)
    assert problems(ledger) == [f"claim {claim} is shared, but bea never made it so on step approve"]


def test_one_vote_for_two_persons() -> None:
    """A vote that was given for somebody is that person's as well."""
    release = RELEASE_BYTES.replace(b'"id":"approve"', b'"id":"approve","votes":3')
    for person, told in (("eva", 1), ("ana", 0)):
        ledger = LedgerBuilder(release, persons=ACCOUNTS)
        made = delegating()
        ledger.blobs.append(made.blobs[-1])
        ledger.propose("chg-1", "delegation", "zoe")
        ledger.confirm("chg-1", "directory", "abe", blob=made.blobs[-1].digest, delegation="dlg-1")
        ledger.claim("bea", "approve", account="acc-2", **for_eva())
        ledger.claim(person, "approve", account={"eva": "acc-3", "ana": "acc-1"}[person])
        assert len(problems(ledger)) == told


def test_an_approval_of_whom_it_is_done_for_is_none() -> None:
    """Nobody approves what is done on his or her behalf."""
    ledger = delegating()
    case = ledger.open_case("bea", "approve", account="acc-2", **for_eva())
    approval = ledger.approve(case, "eva", "approve")
    ledger.claim("bea", "approve", account="acc-2", approval=approval, **for_eva())
    found = verified(ledger.export(), key=ledger.keys.verifying)
    assert found.code == Failure.FORCE
    assert "is of the person who used it" in found.problems[0].message


# -- break-glass -------------------------------------------------------------------------------------------


def lifted(rule: str, **more: Json) -> dict[str, Any]:
    cleared: list[Json] = [{"rule": rule, "version": "1", "effect": "deny"}]
    return {"break_glass": True, "cleared": cleared, **more}


def broken(**said: Any) -> LedgerBuilder:
    """ana captured, and approves with what `said` says of an exception."""
    absolute = b'"id":"maker_checker"', b'"absolute":true,"id":"maker_checker"'
    release = RELEASE_BYTES.replace(*absolute) if said.pop("absolute", False) else RELEASE_BYTES
    ledger = LedgerBuilder(release, persons=ACCOUNTS)
    ledger.claim("ana", "capture", account="acc-1")
    approval = ledger.approve(ledger.open_case("ana", "approve", account="acc-1"), "eva", "approve")
    if said.pop("approved", True):
        said["approval"] = approval
    ledger.claim("ana", "approve", account="acc-1", **said)
    return ledger


def test_what_a_second_person_lifted_is_no_failure_and_counted() -> None:
    """Of that very constraint, for that one act."""
    report = verified(broken(**lifted("maker_checker")).export(), key=LedgerBuilder().keys.verifying)
    assert (report.problems, report.exceptions) == ([], 1)
    shown = StringIO()
    show(report, shown)
    assert "exceptions   1 acts for which a second person lifted a constraint" in shown.getvalue()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (lifted("few"), "allows 1"),
        (lifted("maker_checker", absolute=True), "allows 1"),
        (lifted("maker_checker", approved=False), "without an approval"),
        ({}, "allows 1"),
    ],
)
def test_what_nobody_lifted_is_found(said: dict[str, Any], told: str) -> None:
    """Another constraint, an absolute one, without a second person, or without any exception."""
    found = problems(broken(**said))
    assert len(found) == 1
    assert told in found[0]


def test_the_whole_chain_is_lifted_by_nobody() -> None:
    """It is built in."""
    ledger = delegating()
    for step in ("approve", "execute", "settle"):
        ledger.claim("ana", step, account="acc-1")
    case = ledger.open_case("ana", "capture", account="acc-1")
    approval = ledger.approve(case, "zoe", "capture")
    said = lifted("maker_checker")
    said["cleared"].append({"rule": "whole_chain", "version": "1", "effect": "deny"})
    ledger.claim("ana", "capture", account="acc-1", approval=approval, **said)
    assert problems(ledger) == ["ana has acted on every mandatory step of the chain"]
