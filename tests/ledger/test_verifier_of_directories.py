"""The stand-alone verifier on directories: who may change them how, and what they only commit to."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import cast

import pytest

from controls.ledger.canonical import exact_bytes
from controls.ledger.commitment import commit
from controls.ledger.envelope import blob_digest
from controls.ledger.export import Blob
from controls.ledger.verifier import Failure, Report, show
from controls.model.values import Json, utc_text

from .ledger_builder import RELEASE, START, LedgerBuilder
from .test_verifier import force_failures, verified


def with_provider(roles: list[str]) -> LedgerBuilder:
    """A ledger on which two administrators gave out a provider's key for these roles, and three persons."""
    ledger = LedgerBuilder()
    ledger.propose("chg-1", "key_creation")
    ledger.confirm("chg-1", "key", key_created="key-2", provides={"key-2": list[Json](roles)})
    ledger.propose("chg-2", "directory")
    everybody = ledger.people(ana=["trader"], bea=["administrator"], eva=["chief", "trader"])
    ledger.confirm("chg-2", "directory", blob=everybody)
    return ledger


def test_a_provider_changes_the_directory_within_the_reach_of_its_key() -> None:
    """New persons, the roles that the key names, and as often as it likes: counted, and no failure."""
    ledger = with_provider(["trader", "clerk"])
    ledger.provision(ledger.people(zoe=[]))
    ledger.provision(ledger.people(zoe=["clerk"], ana=[]))
    ledger.provision(ledger.people(zoe=["trader"]))
    ledger.claim("zoe", "capture", account="acc-zoe")
    assert force_failures(ledger) == []
    report = verified(ledger.export(), key=ledger.keys.verifying)
    assert report.provisioned == 3
    shown = StringIO()
    show(report, shown)
    assert "3 changes by identity providers, each within the reach of its key" in shown.getvalue()


@pytest.mark.parametrize(
    ("roles", "people", "told"),
    [
        (["trader"], {"zoe": ["clerk"]}, "clerk of zoe was changed by a key that may not give it"),
        (["clerk"], {"ana": []}, "trader of ana was changed by a key that may not give it"),
        (["administrator"], {"zoe": ["administrator"]}, "administrator of zoe was changed by a key"),
        (["chief"], {"zoe": ["chief"]}, "chief of zoe was changed by a key that may not give it"),
        (["trader"], {"bea": ["administrator"]}, "bea, who administers or supervises, was changed"),
        (["trader"], {"eva": ["chief"]}, "eva, who administers or supervises, was changed"),
    ],
)
def test_what_is_beyond_the_reach_of_a_provider_s_key_is_found(
    roles: list[str], people: dict[str, list[str]], told: str
) -> None:
    """Roles that it does not name, roles above it whatever it names, and persons who hold such a role."""
    ledger = with_provider(roles)
    ledger.provision(ledger.people(**people))
    report = verified(ledger.export(), key=ledger.keys.verifying)
    assert (report.code, report.failures) == (Failure.FORCE, 1)
    assert told in report.problems[0].message


def test_only_a_provider_s_key_changes_the_directory_by_itself() -> None:
    """Neither another key, nor one that was revoked, nor nobody's."""
    for key in ("key-1", "key-9"):
        ledger = with_provider(["trader"])
        ledger.provision(ledger.people(zoe=["trader"]), key=key)
        assert force_failures(ledger)[0] == 5
    ledger = with_provider(["trader"])
    ledger.propose("chg-3", "key_revocation")
    ledger.confirm("chg-3", "key", key_revoked="key-2")
    ledger.provision(ledger.people(zoe=["trader"]))
    assert force_failures(ledger) == [7]


def test_a_release_that_does_not_say_who_is_above_a_key_lets_no_provider_in() -> None:
    """What cannot be read is not passed over."""
    content = {**RELEASE, "files": {**RELEASE["files"], "roles.yaml": {"roles": {"trader": 7}}}}
    ledger = LedgerBuilder(exact_bytes(cast("Json", content)))
    ledger.propose("chg-1", "key_creation")
    ledger.confirm("chg-1", "key", key_created="key-2", provides={"key-2": ["trader"]})
    ledger.provision(ledger.people(zoe=["trader"]))
    assert force_failures(ledger) == [3]


def test_an_account_that_moves_to_another_person_is_found() -> None:
    """Whoever put it into force: records under the account would be read as those of somebody else."""
    ledger = LedgerBuilder(persons={"acc-1": "ana"})
    ledger.propose("chg-1", "directory")
    ledger.confirm("chg-1", "directory", blob=ledger.directory_blob({"acc-1": "bea"}))
    assert force_failures(ledger) == [2]


def with_merge(*, says: dict[str, Json], into: str = "ana") -> LedgerBuilder:
    """A ledger on which zoe, who captured, is merged in the blob; the entry says `says`."""
    ledger = LedgerBuilder(persons={"acc-1": "ana", "acc-2": "zoe"})
    ledger.end(ledger.claim("ana", "capture", chain="O-1", account="acc-1"))
    ledger.claim("zoe", "approve", chain="O-1", account="acc-2")
    ledger.propose("chg-1", "merge")
    people: list[Json] = [{"id": "zoe", "accounts": [], "roles": [], "merged_into": into}]
    data = exact_bytes({"v": 1, "persons": people})
    ledger.blobs.append(Blob(digest=blob_digest(data), data=data))
    ledger.confirm("chg-1", "directory", blob=ledger.blobs[-1].digest, **says)
    return ledger


def test_persons_found_to_be_one_are_one_from_then_on() -> None:
    """What they did before is not held against the one; what that one does then is."""
    merges: dict[str, Json] = {"merges": {"person": "zoe", "into": "ana"}}
    ledger = with_merge(says=merges)
    report = verified(ledger.export(), key=ledger.keys.verifying)
    assert (report.problems, report.merged) == ([], 1)
    for step in ("execute", "settle"):
        ledger.claim("ana", step, chain="O-1", account="acc-1")
    report = verified(ledger.export(), key=ledger.keys.verifying)
    assert [item.message for item in report.problems] == [
        "ana has acted on every mandatory step of the chain"
    ]
    shown = StringIO()
    show(report, shown)
    assert "1 found to be another one" in shown.getvalue()


def test_only_the_entry_of_a_merge_merges() -> None:
    """The directory and the entry say the same of who was found to be whom."""
    for says in (
        {},
        {"merges": {"person": "zoe", "into": "bea"}},
        {"merges": {"person": "eva", "into": "ana"}},
    ):
        assert force_failures(with_merge(says=cast("dict[str, Json]", says))) == [5]


def test_an_approval_of_whom_one_was_found_to_be_is_none() -> None:
    """Nobody approves for himself or herself under another name."""
    for approver, failures in (("zoe", [7]), ("eva", [])):
        ledger = LedgerBuilder(persons={"acc-1": "ana", "acc-2": "zoe", "acc-3": "eva"})
        approval = ledger.approve(ledger.open_case("ana", "capture"), approver, "capture")
        ledger.propose("chg-1", "merge")
        people: list[Json] = [{"id": "zoe", "accounts": [], "roles": [], "merged_into": "ana"}]
        data = exact_bytes({"v": 1, "persons": people})
        ledger.blobs.append(Blob(digest=blob_digest(data), data=data))
        merges: Json = {"person": "zoe", "into": "ana"}
        ledger.confirm("chg-1", "directory", blob=ledger.blobs[-1].digest, merges=merges)
        ledger.add("refusal", code="nothing")
        ledger.add("refusal", code="nothing")
        ledger.claim("ana", "capture", approval=approval)
        assert force_failures(ledger) == failures


def test_what_a_directory_commits_to_is_disclosed_with_its_entry() -> None:
    """The right value verifies; another value, or one that nobody committed to, does not."""
    value: dict[str, Json] = {"desk": [{"value": "rates", "from": utc_text(START), "to": None}]}
    salt = bytes(range(32))
    hidden = {"hmac": commit("persons/1", value, salt)}

    def ledger_with(path: str, said: Json) -> Report:
        ledger = LedgerBuilder()
        people: list[Json] = [
            {"id": "ana", "accounts": [], "roles": []},
            {"id": "bea", "accounts": [], "roles": [], "private": hidden},
        ]
        data = exact_bytes({"v": 1, "persons": people})
        ledger.blobs.append(Blob(digest=blob_digest(data), data=data))
        ledger.propose("chg-1", "directory")
        ledger.confirm("chg-1", "directory", blob=ledger.blobs[-1].digest)
        opened: dict[str, Json] = {path: {"salt": salt.hex(), "value": said}} if path else {}
        ledger.entries[-1] = replace(ledger.entries[-1], disclosure=opened or None)
        return verified(ledger.export(), key=ledger.keys.verifying)

    report = ledger_with("persons/1", value)
    assert (report.verified, report.disclosed, report.erased) == (True, 1, 0)
    report = ledger_with("", None)
    assert (report.verified, report.disclosed, report.erased) == (True, 0, 1)
    for path, said in (("persons/1", {**value, "desk": []}), ("persons/0", value)):
        assert ledger_with(path, said).code == Failure.DISCLOSURE
