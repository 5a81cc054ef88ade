"""The stand-alone verifier: what it accepts, what it finds, and that it stands alone."""

from __future__ import annotations

import ast
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.ledger import verifier
from controls.ledger.canonical import exact_bytes
from controls.ledger.commitment import commit
from controls.ledger.envelope import blob_digest
from controls.ledger.export import Blob
from controls.ledger.merkle import Frontier, leaf_hash
from controls.ledger.note import Signer, generate_key
from controls.ledger.verifier import Failure, Key, Report, Tree, Verification

from .ledger_builder import (
    KEYS,
    ORIGIN,
    RELEASE,
    RELEASE_BYTES,
    RELEASE_DIGEST,
    TENANT,
    LedgerBuilder,
    Line,
    a_note,
    an_order,
    asked,
    changed_entry,
    lines_of,
    sealed,
    where,
    written,
)

LONG_RUN = os.environ.get("CONTROLS_FUZZ") == "1"
OTHER = generate_key(ORIGIN, seed=bytes(32))


def verified(export: bytes, *, kept: str | None = None, key: str = KEYS.verifying) -> Report:
    """What the verifier says of an export."""
    return Verification([Key.of(key)], kept).run(export.splitlines(keepends=True))


def first_failure(export: bytes, *, kept: str | None = None) -> Failure:
    report = verified(export, kept=kept)
    assert not report.verified
    return Failure(report.code)


def entry_lines(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["type"] == "entry"]


# -- what is accepted ------------------------------------------------------------------------------------


def test_an_honest_ledger_is_verified() -> None:
    """The counts of the report are those of the ledger."""
    ledger = an_order(sign_each=True)
    report = verified(ledger.export())
    assert (report.problems, report.code, report.verified) == ([], 0, True)
    assert (report.origin, report.tenant) == (ORIGIN, "main")
    assert (report.entries, report.chains, report.blobs) == (11, 1, 2)
    assert report.checkpoints == len(ledger.checkpoints) == 6
    assert (report.disclosed, report.erased) == (9, 0)
    assert report.root == Frontier().append([leaf_hash(item.data) for item in ledger.entries]).root().hex()


def test_an_empty_ledger_needs_a_checkpoint_too() -> None:
    """An export without entries is verified when the empty tree was signed, and not otherwise."""
    ledger = LedgerBuilder()
    ledger.entries.clear()
    ledger.sign()
    export = ledger.export()
    assert verified(export).verified
    assert first_failure(sealed(drop("checkpoint", 0)(lines_of(export)))) == Failure.ROOT


def test_erased_values_are_counted_and_everything_else_still_holds() -> None:
    """Deleting disclosures, whole or in part, breaks no proof."""
    lines = lines_of(an_order().export())
    entries = [line for line in entry_lines(lines) if line["disclosure"]]
    entries[0]["disclosure"] = None
    del entries[1]["disclosure"]["order.notional"]
    report = verified(sealed(lines))
    assert (report.verified, report.disclosed, report.erased) == (True, 6, 3)


def test_a_checkpoint_that_the_auditor_kept_is_a_prefix() -> None:
    """A checkpoint of any earlier size, whether in the export or not, is confirmed."""
    ledger = an_order()
    early = a_note(Frontier().append([leaf_hash(item.data) for item in ledger.entries[:4]]))
    ledger.checkpoints.clear()
    assert verified(ledger.export(), kept=early).verified
    assert verified(ledger.export(), kept=ledger.checkpoints[-1].note).verified


@given(st.integers(min_value=0, max_value=200), st.integers(min_value=0, max_value=200))
def test_its_tree_is_the_package_s_tree(size: int, more: int) -> None:
    """The verifier's own Merkle tree and that of the writer agree on every prefix."""
    tree = Tree()
    leaves = [b"%d" % number for number in range(size + more)]
    for leaf in leaves:
        tree.append(leaf)
    for prefix in (size, size + more):
        assert tree.root(prefix) == Frontier().append([leaf_hash(leaf) for leaf in leaves[:prefix]]).root()


def test_its_commitments_are_the_package_s_commitments() -> None:
    """Both recompute the same bytes, also for text that is not in normal form C."""
    value = {"en": "late", "es": ["man\u0303ana", 5, None, True]}
    assert verifier.commitment("messages", value, "07" * 32) == commit("messages", value, b"\x07" * 32)  # type: ignore[arg-type]


def test_its_kinds_are_the_package_s_kinds() -> None:
    """No kind of entry is unknown to it."""
    from controls.ledger.envelope import EntryKind

    assert frozenset(EntryKind) == verifier.KINDS


# -- tampering: each class of failure ----------------------------------------------------------------------


def drop(kind: str, at: int) -> Callable[[list[Line]], list[Line]]:
    """Without the `at`-th line of a kind."""

    def change(lines: list[Line]) -> list[Line]:
        gone = [line for line in lines if line["type"] == kind][at]
        return [line for line in lines if line is not gone]

    return change


def on_entry(at: int, change: Callable[[Line], Line]) -> Callable[[list[Line]], list[Line]]:
    def whole(lines: list[Line]) -> list[Line]:
        return [change(line) if line.get("index") == at else line for line in lines]

    return whole


def on_kind(kind: str, change: Callable[[Line], Line]) -> Callable[[list[Line]], list[Line]]:
    def whole(lines: list[Line]) -> list[Line]:
        return [change(line) if line["type"] == kind else line for line in lines]

    return whole


def swap_entries(lines: list[Line]) -> list[Line]:
    """Entries 4 and 5 change places and indexes."""
    one, other = (entry_lines(lines)[at] for at in (4, 5))
    one["index"], other["index"] = 5, 4
    first = lines.index(one)
    lines[first], lines[first + 1] = other, one
    return lines


def cut_tail(lines: list[Line]) -> list[Line]:
    """The last entry goes, and every number that tells is put right."""
    last = entry_lines(lines)[-1]
    lines = [line for line in lines if line is not last]
    lines[0]["to"] -= 1
    lines[-1]["entries"] -= 1
    return lines


def old_columns(**columns: Any) -> Callable[[Line], Line]:
    return lambda line: {**line, "columns": {**line["columns"], **columns}}


def other_value(line: Line) -> Line:
    disclosure = {
        **line["disclosure"],
        "order.notional": {**line["disclosure"]["order.notional"], "value": "1"},
    }
    return {**line, "disclosure": disclosure}


def signed_by(signing: str, origin: str = ORIGIN) -> Callable[[list[Line]], list[Line]]:
    """All checkpoints signed with another key, or for another origin."""

    def change(lines: list[Line]) -> list[Line]:
        hashes = [leaf_hash(line["bytes"].encode()) for line in entry_lines(lines)]
        for line in lines:
            if line["type"] == "checkpoint":
                frontier = Frontier().append(hashes[: line["size"]])
                line["note"] = a_note(frontier, signer=Signer.parse(signing), origin=origin)
        return lines

    return change


def fields(**others: Any) -> Callable[[Line], Line]:
    """With other fields in the line itself."""
    return lambda line: {**line, **others}


def content(**others: Any) -> Callable[[Line], Line]:
    """With other fields in the entry's bytes."""
    return lambda line: changed_entry(line, **others)


def both(columns: dict[str, Any], **others: Any) -> Callable[[Line], Line]:
    """With other fields in the entry's bytes and columns to match."""
    return lambda line: old_columns(**columns)(changed_entry(line, **others))


def longer(name: str) -> Callable[[Line], Line]:
    """With a space at the end of a field's text."""
    return lambda line: {**line, name: line[name] + " "}


FIRST_ID = "0195" + "0" * 28
LONG_AGO = {"at": "1970-01-01T00:00:01.000000Z"}
AGAIN = {"kind": "genesis", "tenant": TENANT}
NOTHING = {"x": {"salt": "0" * 64, "value": 1}}
TAMPERED: list[tuple[str, Failure, bool, Callable[[list[Line]], list[Line]]]] = [
    ("an entry's content", Failure.ROOT, False, on_entry(5, content(note="x"))),
    ("an entry's person, column too", Failure.ROOT, False, on_entry(9, both({"person": "x"}, person="x"))),
    ("entries in another order", Failure.TIME, False, swap_entries),
    ("the last entry cut off", Failure.ROOT, False, cut_tail),
    ("an entry left out", Failure.GAP, False, drop("entry", 4)),
    ("an entry left out, signed again", Failure.GAP, True, drop("entry", 4)),
    ("the last entry left out, header as it was", Failure.ROOT, False, drop("entry", 10)),
    ("the last checkpoint left out", Failure.ROOT, False, drop("checkpoint", 1)),
    ("no blob", Failure.MISSING_BLOB, False, drop("blob", 0)),
    ("a blob changed", Failure.BLOB, False, on_kind("blob", longer("data"))),
    ("signed with another key", Failure.SIGNATURE, False, signed_by(OTHER.signing)),
    ("signed for another origin", Failure.SIGNATURE, False, signed_by(KEYS.signing, "example.com/other")),
    ("header names another key", Failure.SIGNATURE, False, on_kind("header", fields(vkey=OTHER.verifying))),
    ("header names another origin", Failure.SIGNATURE, False, on_kind("header", fields(origin="x"))),
    ("header names another tenant", Failure.SIGNATURE, False, on_kind("header", fields(tenant="x"))),
    ("a second beginning", Failure.MALFORMED, True, on_entry(8, both({"kind": "genesis"}, **AGAIN))),
    ("an entry of another ledger", Failure.SIGNATURE, True, on_entry(5, content(ledger="x"))),
    ("column id", Failure.COLUMNS, False, on_entry(3, old_columns(id="other"))),
    ("column kind", Failure.COLUMNS, False, on_entry(3, old_columns(kind="review"))),
    ("column at", Failure.COLUMNS, False, on_entry(3, old_columns(at=5))),
    ("column chain", Failure.COLUMNS, False, on_entry(3, old_columns(chain="order:O-2"))),
    ("column person", Failure.COLUMNS, False, on_entry(3, old_columns(person=None))),
    ("a further column", Failure.COLUMNS, False, on_entry(3, old_columns(other=1))),
    ("an entry without its person", Failure.COLUMNS, True, on_entry(1, content(person="-"))),
    ("a disclosed value", Failure.DISCLOSURE, False, on_entry(1, other_value)),
    ("a disclosure of nothing", Failure.DISCLOSURE, False, on_entry(0, fields(disclosure=NOTHING))),
    ("an id used twice", Failure.REPEATED_ID, True, on_entry(10, both({"id": FIRST_ID}, id=FIRST_ID))),
    ("time going back", Failure.TIME, True, on_entry(10, both({"at": 1_000_000}, **LONG_AGO))),
    ("a partial export", Failure.MALFORMED, False, on_kind("header", fields(**{"from": 1}))),
    ("another format", Failure.MALFORMED, False, on_kind("header", fields(format="controls-export/2"))),
    ("a further field", Failure.MALFORMED, False, on_entry(3, fields(more=1))),
    ("bytes that are not canonical", Failure.MALFORMED, True, on_entry(3, longer("bytes"))),
    ("an unknown kind of entry", Failure.MALFORMED, True, on_entry(10, content(kind="other"))),
    ("no header", Failure.MALFORMED, False, drop("header", 0)),
    ("a checkpoint twice", Failure.MALFORMED, False, lambda lines: [*lines[:-1], lines[-2], lines[-1]]),
    ("more entries announced", Failure.GAP, False, on_kind("header", fields(to=12))),
    ("more entries at the end", Failure.GAP, False, on_kind("end", fields(entries=12))),
]


@pytest.mark.parametrize(("what", "expected", "sign", "change"), TAMPERED, ids=[item[0] for item in TAMPERED])
def test_tampering_is_found_and_named(
    what: str, expected: Failure, sign: bool, change: Callable[[list[Line]], list[Line]]
) -> None:
    """Even when the file's digest (and, where marked, all signatures) were made anew."""
    export = sealed(change(lines_of(an_order().export())), sign=sign)
    assert first_failure(export) == expected


def test_the_first_bad_entry_is_named() -> None:
    """With a checkpoint after each act, a changed entry is found within its batch."""
    lines = lines_of(an_order(sign_each=True).export())
    report = verified(sealed(on_entry(5, content(note="x"))(lines)))
    assert [(item.failure, item.entry) for item in report.problems] == [("root", 5)]
    assert "5 to 6" in report.problems[0].message


def test_a_failure_does_not_hide_the_next() -> None:
    """All failures are reported with their entries; the exit code is that of the first."""
    lines = on_entry(3, old_columns(person="x"))(lines_of(an_order().export()))
    report = verified(sealed(on_entry(7, other_value)(lines)))
    assert [(item.failure, item.entry) for item in report.problems] == [("columns", 3), ("disclosure", 7)]
    assert (report.code, report.failures) == (15, 2)


def test_a_rewritten_ledger_is_not_the_one_that_the_auditor_saw() -> None:
    """Whoever holds the key can sign another history, but not one that fits a checkpoint kept outside."""
    ledger = an_order()
    kept = ledger.sign()
    lines = on_entry(10, content(outcome="review"))(lines_of(ledger.export()))
    forged = sealed(lines, sign=True)
    assert verified(forged).verified
    assert first_failure(forged, kept=kept) == Failure.KEPT_CHECKPOINT


def test_a_cut_ledger_is_not_the_one_that_the_auditor_saw() -> None:
    """A whole ledger that ends earlier verifies by itself, and not with the kept checkpoint."""
    ledger = an_order(sign_each=True)
    kept = ledger.sign()
    short = LedgerBuilder()
    short.entries = ledger.entries[:9]
    assert verified(short.export()).verified
    assert first_failure(short.export(), kept=kept) == Failure.KEPT_CHECKPOINT
    forged = kept.replace("example.com/ledger\n11", "example.com/ledger\n9")
    assert first_failure(ledger.export(), kept=forged) == Failure.KEPT_CHECKPOINT


# -- duties ------------------------------------------------------------------------------------------------


def duty_failures(ledger: LedgerBuilder) -> list[tuple[int | None, str]]:
    report = verified(ledger.export())
    assert {item.failure for item in report.problems} <= {"duty"}
    assert (report.code == Failure.DUTY) == bool(report.problems)
    return [(item.entry, item.message) for item in report.problems]


def test_one_person_on_a_whole_chain_is_found() -> None:
    """Acts on all mandatory steps by one person break the ledger, whatever became of them."""
    ledger = LedgerBuilder()
    abandoned = ledger.claim("ana", "settle")
    ledger.end(abandoned, "abandoned")
    for step in ("capture", "execute"):
        ledger.end(ledger.claim("ana", step))
    assert duty_failures(ledger) == []
    ledger.claim("ana", "approve")
    (index, message), *_ = found = duty_failures(ledger)
    assert index == 7
    assert "every mandatory step" in message
    assert "maker_checker" in found[1][1]


def test_an_approver_has_acted_on_the_step() -> None:
    """The approver of a consumed approval counts on its step, for the whole chain and for `separate`."""
    ledger = LedgerBuilder()
    approval = ledger.approve(ledger.open_case("ana", "capture"), "eva", "capture")
    ledger.claim("ana", "capture", approval=approval)
    ledger.claim("eva", "approve")
    assert [index for index, _ in duty_failures(ledger)] == [4]
    approval = ledger.approve(ledger.open_case("ana", "execute"), "eva", "execute")
    ledger.claim("ana", "execute", approval=approval)
    ledger.approve(ledger.open_case("bea", "settle"), "eva", "settle")
    assert [index for index, _ in duty_failures(ledger)] == [4, 9]


def test_resolving_a_review_is_an_act_of_the_approver() -> None:
    """A supervisor who approved a step, used or not, cannot go on to handle the rest of the chain."""
    ledger = LedgerBuilder()
    where: dict[str, Any] = {"kind": "order", "id": "O-1"}
    ledger.approve(ledger.open_case("ana", "capture"), "eva", "capture")
    case = ledger.open_case("ana", "approve")
    ledger.add("resolution", person="eva", chain=where, step="approve", approver_act=False, review=case)
    ledger.claim("eva", "execute")
    ledger.claim("eva", "settle")
    assert duty_failures(ledger) == []
    ledger.claim("eva", "approve")
    assert [index for index, _ in duty_failures(ledger)] == [7, 7]


@pytest.mark.parametrize("kind", ["release", "directory", "key"])
def test_a_change_takes_two_administrators(kind: str) -> None:
    """Whoever proposed a change of rules, directory or keys is not the one who confirms it."""
    for second, expected in (("bea", []), ("ana", [2])):
        ledger = LedgerBuilder()
        ledger.propose("chg-1", "key_creation" if kind == "key" else kind)
        ledger.confirm("chg-1", kind, second, **({"key_created": "key-2"} if kind == "key" else {}))
        assert [index for index, _ in duty_failures(ledger)] == expected


def test_an_amendment_is_an_act_on_the_first_step() -> None:
    """Whoever amends an order has a hand in its capture, and does not approve it."""
    ledger = LedgerBuilder()
    ledger.end(ledger.claim("ana", "capture"))
    ledger.amend("bea")
    ledger.claim("bea", "execute")
    assert duty_failures(ledger) == []
    ledger.claim("bea", "approve")
    assert [index for index, _ in duty_failures(ledger)] == [5]


def test_two_live_claims_on_a_step_are_found() -> None:
    """A step that never repeats is held by one claim: claimed, performed or past its time."""
    for end in ("", "performed", "expired"):
        ledger = LedgerBuilder()
        claim = ledger.claim("ana", "capture")
        if end == "performed":
            ledger.end(claim)
        elif end == "expired":
            ledger.add("expiry", claim=claim, review="R-1")
        ledger.claim("bea", "capture")
        assert [message for _, message in duty_failures(ledger)] == [
            "step capture is claimed by bea while ana holds it"
        ]


@pytest.mark.parametrize("how", ["abandoned", "void"])
def test_an_ended_claim_frees_the_step_but_not_the_person(how: str) -> None:
    """After abandoned or void somebody else may take the step; the person keeps having acted on it."""
    ledger = LedgerBuilder()
    claim = ledger.claim("ana", "capture")
    if how == "void":
        ledger.add("expiry", claim=claim, review="R-1")
        ledger.add("resolution", review="R-1", void=claim, person="eva")
    else:
        ledger.end(claim, how)
    ledger.claim("bea", "capture")
    assert duty_failures(ledger) == []
    ledger.claim("ana", "approve")
    assert len(duty_failures(ledger)) == 1


def test_repeating_steps_may_be_taken_again() -> None:
    """`anyone` by anybody, `same_person` by the one who holds it, and by nobody else."""
    ledger = LedgerBuilder()
    for person in ("ana", "bea", "ana"):
        ledger.claim(person, "note")
    ledger.end(ledger.claim("ana", "execute"))
    ledger.claim("ana", "execute")
    assert duty_failures(ledger) == []
    ledger.claim("bea", "execute")
    assert [index for index, _ in duty_failures(ledger)] == [7]


def test_asking_again_shares_only_ones_own_live_claim() -> None:
    """A shared claim is the same person's, on the same step of the same chain, and still holds."""
    ledger = LedgerBuilder()
    claim = ledger.claim("ana", "capture")
    ledger.share("ana", "capture", claim)
    assert duty_failures(ledger) == []
    ledger.share("bea", "capture", claim)
    ledger.share("ana", "execute", claim)
    ledger.share("ana", "capture", claim, chain="O-2")
    ledger.share("ana", "capture", "claim-never")
    ledger.end(claim, "abandoned")
    ledger.share("ana", "capture", claim)
    assert [index for index, _ in duty_failures(ledger)] == [3, 4, 5, 6, 8]


def test_an_amendment_opens_steps_that_say_so() -> None:
    """A reopened step may be taken again; a step without `reapprove` may not be reopened."""
    ledger = LedgerBuilder()
    ledger.end(ledger.claim("ana", "capture"))
    ledger.end(ledger.claim("bea", "approve"))
    ledger.amend("ana", "approve")
    ledger.claim("eva", "approve")
    assert duty_failures(ledger) == []
    ledger.amend("ana", "capture")
    assert [index for index, _ in duty_failures(ledger)] == [7]


def test_ends_must_fit_what_was_claimed() -> None:
    """Unknown claims, abandoning what was performed and performing what was ended are found."""
    ledger = LedgerBuilder()
    first, second = ledger.claim("ana", "capture"), ledger.claim("bea", "approve")
    ledger.end(first)
    ledger.end(first)
    ledger.end(second, "abandoned")
    assert duty_failures(ledger) == []
    ledger.end(first, "abandoned")
    ledger.end(second)
    ledger.end("claim-never")
    ledger.end(first, "lost")
    ledger.add("expiry", claim="claim-never", review="R-1")
    assert [index for index, _ in duty_failures(ledger)] == [6, 7, 8, 9, 10]


def test_a_claim_needs_a_permit_and_a_known_step() -> None:
    """A claim under a refusal, made twice, or on what the release does not know is found."""
    ledger = LedgerBuilder()
    ledger.claim("ana", "capture")
    taken: dict[str, Any] = {"id": "claim-1", "step": "settle", "shared": False, "valid_until": "x"}
    where: dict[str, Any] = {"kind": "order", "id": "O-1"}
    request = asked("settle")
    ledger.add("decision", person="bea", outcome="permit", chain=where, claim=taken, request=request)
    ledger.add("decision", person="bea", outcome="deny", chain=where, claim={**taken, "id": "claim-x"})
    ledger.claim("bea", "dance")
    ledger.claim("bea", "capture", kind="unknown")
    assert [index for index, _ in duty_failures(ledger)] == [2, 3, 4, 5]


def test_a_permitted_step_is_claimed() -> None:
    """Nobody is permitted a step beside all claims, where it would count in no duty: without a claim, with
    that of another step, or with that of another chain than was asked about."""
    ledger = LedgerBuilder()
    ledger.add("decision", person="ana", outcome="permit", request=asked("capture"))
    ledger.claim("ana", "capture", request=asked("settle"))
    ledger.claim("ana", "capture", chain="O-2", request=asked("capture", chain="O-3"))
    ledger.add("decision", person="ana", outcome="permit", request=asked("read"))
    ledger.add("decision", person="ana", outcome="permit", request=asked("capture", kind="record"))
    ledger.claim("ana", "capture", chain="O-4")
    assert [index for index, _ in duty_failures(ledger)] == [1, 2, 3]


def test_only_constraints_that_always_hold_are_recomputed() -> None:
    """`separate` with a condition or another effect, and other kinds, are left to the replay."""
    ledger = LedgerBuilder()
    for step in ("capture", "note", "settle"):
        ledger.claim("ana", step)
    assert duty_failures(ledger) == []


def test_chains_and_their_kinds_do_not_mix() -> None:
    """The same id in another kind is another chain, with its own mandatory steps."""
    ledger = LedgerBuilder()
    for step in ("capture", "execute", "settle"):
        ledger.claim("ana", step, chain="X-1")
    ledger.claim("ana", "approve", chain="X-2")
    ledger.claim("ana", "a", chain="X-1", kind="claim")
    assert duty_failures(ledger) == []
    ledger.claim("ana", "b", chain="X-1", kind="claim")
    assert [index for index, _ in duty_failures(ledger)] == [6]


def test_a_release_that_cannot_be_read_is_a_failure() -> None:
    """Duties are never passed over because their rules are unreadable."""
    broken: list[Any] = [{**RELEASE, "format": 2}, {"format": 1, "files": {"chains/x.yaml": [{"chain": 1}]}}]
    for release in broken:
        data = exact_bytes(release)
        ledger = LedgerBuilder(data)
        ledger.claim("ana", "capture")
        assert "cannot be read" in duty_failures(ledger)[0][1]


# -- what is in force --------------------------------------------------------------------------------------


def force_failures(ledger: LedgerBuilder) -> list[int | None]:
    report = verified(ledger.export(), key=ledger.keys.verifying)
    assert {item.failure for item in report.problems} <= {"force"}
    assert (report.code == Failure.FORCE) == bool(report.problems)
    return [item.entry for item in report.problems]


def test_a_release_that_no_entry_put_in_force_is_found() -> None:
    """Another release, though it is in the export, decides nothing before two administrators activate it."""
    other = exact_bytes({**RELEASE, "note": "weaker"})
    ledger = LedgerBuilder()
    ledger.blobs.append(Blob(digest=blob_digest(other), data=other))
    ledger.claim("ana", "capture", release=blob_digest(other))
    assert force_failures(ledger) == [1]
    ledger.propose("chg-1", "release", release=blob_digest(other))
    ledger.confirm("chg-1", "release", release=blob_digest(other))
    ledger.claim("bea", "approve")
    assert force_failures(ledger) == [1]
    ledger.claim("eva", "execute", release=RELEASE_DIGEST)
    assert force_failures(ledger) == [1, 5]


def test_another_release_than_the_proposed_one_is_found() -> None:
    """What the second administrator confirms is what the first one proposed, to the byte."""
    other = exact_bytes({**RELEASE, "note": "weaker"})
    ledger = LedgerBuilder()
    ledger.blobs.append(Blob(digest=blob_digest(other), data=other))
    ledger.propose("chg-1", "release")
    ledger.confirm("chg-1", "release", release=blob_digest(other))
    assert force_failures(ledger) == [2]


def test_a_watched_folder_publishes_on_a_demo_only() -> None:
    """No administrator stands behind such a release: the report counts it, and only a demo may have one."""
    for origin, expected in (("demo/desk", []), ("bank.example/orders", [1])):
        other = exact_bytes({**RELEASE, "note": "weaker"})
        ledger = LedgerBuilder(origin=origin)
        ledger.blobs.append(Blob(digest=blob_digest(other), data=other))
        ledger.publish(blob_digest(other))
        ledger.claim("bea", "capture")
        assert force_failures(ledger) == expected
        assert verified(ledger.export(), key=ledger.keys.verifying).watched == 1


def test_a_change_that_nobody_proposed_is_found() -> None:
    """A change is proposed before it is confirmed, once, and as what it then is."""
    ledger = LedgerBuilder()
    ledger.confirm("chg-1", "key", key_created="key-2")
    ledger.propose("chg-2", "key_creation")
    ledger.confirm("chg-2", "release")
    ledger.propose("chg-3", "key_creation")
    ledger.confirm("chg-3", "key", key_created="key-3")
    ledger.confirm("chg-3", "key", key_created="key-4")
    ledger.propose("chg-4", "holiday")
    assert force_failures(ledger) == [1, 3, 6, 7]


def test_a_key_that_nobody_gave_out_is_found() -> None:
    """A key acts from its creation to its revocation; a refusal may still name a revoked one."""
    ledger = LedgerBuilder()
    ledger.claim("ana", "capture", key="key-1")
    ledger.propose("chg-1", "key_creation")
    ledger.confirm("chg-1", "key", key_created="key-2", key="key-1")
    ledger.claim("bea", "approve", key="key-2")
    ledger.propose("chg-2", "key_revocation")
    ledger.confirm("chg-2", "key", key_revoked="key-1")
    ledger.add("refusal", key="key-1", code="key_revoked")
    ledger.add("expiry", key="", claim="claim-1", review="R-1")
    assert force_failures(ledger) == []
    ledger.claim("ana", "execute", key="key-1")
    ledger.claim("eva", "settle", key="key-9")
    ledger.add("refusal", key="key-9", code="key_revoked")
    assert force_failures(ledger) == [9, 10, 11]


def test_an_account_that_is_somebody_else_s_is_found() -> None:
    """An account stands for the person that the directory names, while the directory says so."""
    ledger = LedgerBuilder(persons={"acc-1": "ana", "acc-2": "bea"})
    ledger.claim("ana", "capture", account="acc-1")
    ledger.claim("eva", "approve", account="acc-2")
    ledger.claim("eva", "execute", account="acc-3")
    assert force_failures(ledger) == [2, 3]
    ledger.propose("chg-1", "directory")
    moved = ledger.directory_blob({"acc-1": "ana"}, end=ledger.now)
    ledger.confirm("chg-1", "directory", blob=moved)
    ledger.claim("ana", "settle", account="acc-1")
    ledger.add("decision", outcome="deny", directory=0)
    assert force_failures(ledger) == [2, 3, 6, 7]


def test_a_directory_that_cannot_be_read_is_a_failure() -> None:
    """Accounts are never passed over because their directory is unreadable."""
    ledger = LedgerBuilder()
    ledger.propose("chg-1", "directory")
    ledger.confirm("chg-1", "directory", blob=RELEASE_DIGEST)
    assert force_failures(ledger) == [2]


def test_an_approval_that_nobody_gave_is_found() -> None:
    """An approval comes from the resolution of an open case about the same person, action and resource."""
    ledger = LedgerBuilder()
    ledger.claim("ana", "capture", approval={"id": "A-1", "review": "R-1", "approver": "eva"})
    assert force_failures(ledger) == [1]
    for person, step, chain, approver in (
        ("bea", "execute", "O-2", "eva"),
        ("ana", "note", "O-2", "eva"),
        ("ana", "execute", "O-3", "eva"),
        ("ana", "execute", "O-2", "mia"),
    ):
        ledger = LedgerBuilder()
        approval = ledger.approve(ledger.open_case("ana", "execute", chain="O-2"), "eva", "execute")
        ledger.claim(person, step, chain=chain, approval={**approval, "approver": approver})
        assert force_failures(ledger) == [3]


def test_an_approval_is_used_once_and_before_it_expires() -> None:
    """Two decisions that rest on one approval are found, on a chain or not; so is a late one."""
    ledger = LedgerBuilder()
    approval = ledger.approve(ledger.open_case("ana", "capture"), "eva", "capture")
    ledger.end(ledger.claim("ana", "capture", approval=approval), "abandoned")
    assert force_failures(ledger) == []
    ledger.claim("ana", "capture", approval=approval)
    assert force_failures(ledger) == [5]

    ledger = LedgerBuilder()
    approval = ledger.approve(ledger.open_case("ana", "read", kind="record"), "eva", "capture")
    for _ in range(2):
        asks = asked("read", kind="record")
        ledger.add("decision", person="ana", outcome="permit", request=asks, approval=approval)
    assert force_failures(ledger) == [4]

    ledger = LedgerBuilder()
    approval = ledger.approve(ledger.open_case("ana", "capture"), "eva", "capture", hours=0)
    ledger.claim("ana", "capture", approval=approval)
    assert force_failures(ledger) == [3]


def test_a_case_is_resolved_once_and_after_it_was_opened() -> None:
    """A resolution is that of an open case, and voids only the claim that its case is about."""
    ledger = LedgerBuilder()
    claim, other = ledger.claim("ana", "capture"), ledger.claim("bea", "approve")
    ledger.add("resolution", person="eva", review="R-0", resolution="reject")
    ledger.add("expiry", claim=claim, review="R-1")
    ledger.add("resolution", person="eva", review="R-1", void=other)
    case = ledger.open_case("ana", "execute")
    ledger.add("resolution", person="eva", review=case, resolution="reject", follow_up="R-2")
    ledger.add("resolution", person="eva", review="R-2", resolution="approve")
    ledger.add("resolution", person="eva", review="R-2", resolution="approve")
    assert force_failures(ledger) == [3, 5, 9]


# -- flipped bits ------------------------------------------------------------------------------------------


def small_export() -> bytes:
    ledger = LedgerBuilder()
    ledger.sign()
    ledger.end(ledger.claim("ana", "capture"))
    return ledger.export()


SMALL = small_export()


def flipped(bit: int) -> bytes:
    data = bytearray(SMALL)
    data[bit // 8] ^= 1 << bit % 8
    return bytes(data)


def bits(size: int) -> range | list[int]:
    """All bits in a long run; one bit of every byte, another in each, otherwise."""
    return range(8 * size) if LONG_RUN else [8 * at + at * 5 % 8 for at in range(size)]


def test_every_flipped_bit_of_an_export_is_found() -> None:
    """No region of the file can change by a bit and still verify."""
    assert verified(SMALL).verified
    assert [bit for bit in bits(len(SMALL)) if verified(flipped(bit)).verified] == []


def test_every_flipped_bit_is_found_without_the_help_of_the_digest() -> None:
    """With the file's digest made anew, the signed tree and the entries still tell."""
    lines = SMALL.splitlines(keepends=True)
    end = json.loads(lines[-1])
    size = len(SMALL) - len(lines[-1])
    unseen: list[int] = []
    for bit in bits(size):
        before = flipped(bit)[:size]
        end["sha256"] = sha256(before).hexdigest()
        last = json.dumps(end, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        if verified(before + last).verified:
            unseen.append(bit)
    assert unseen == []


@given(st.integers(min_value=0, max_value=len(SMALL) - 1))
def test_a_truncated_export_is_found(size: int) -> None:
    """A file cut at any byte is not verified."""
    assert not verified(SMALL[:size]).verified


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    """Whatever the file holds, the answer is a report and not a traceback."""
    assert verified(data).code == Failure.MALFORMED


@given(st.data())
def test_any_value_in_any_place_gets_an_answer(data: st.DataObject) -> None:
    """A line with any field replaced by any JSON value is reported, never crashed on."""
    lines = lines_of(SMALL)
    line = data.draw(st.sampled_from(lines[:-1]))
    name = data.draw(st.sampled_from(sorted(line)))
    value: Any = data.draw(
        st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.just([]) | st.just({})
    )
    if value == line[name] and type(value) is type(line[name]):
        return
    line[name] = value
    report = verified(sealed(lines))
    assert not report.verified or (name, value) in (("disclosure", None), ("disclosure", {}))


@given(st.data())
def test_any_field_of_an_entry_gets_an_answer(data: st.DataObject) -> None:
    """An entry with any field of any type, properly signed, is reported, never crashed on."""
    ledger = LedgerBuilder(persons={"acc-1": "ana"})
    approval = ledger.approve(ledger.open_case("ana", "capture"), "eva", "capture")
    claim = ledger.claim(
        "ana", "capture", account="acc-1", key="key-1", approval=approval, reopens=["approve"]
    )
    ledger.add("expiry", claim=claim, review="R-1")
    ledger.add("resolution", person="eva", review="R-1", void=claim, follow_up="R-2")
    ledger.propose("chg-1", "directory")
    ledger.confirm("chg-1", "directory", blob=ledger.directory_blob({"acc-1": "ana"}))
    lines = lines_of(ledger.export())
    entry = data.draw(st.sampled_from(entry_lines(lines)))
    name = data.draw(st.sampled_from(sorted(json.loads(entry["bytes"]))))
    value: Any = data.draw(
        st.none()
        | st.booleans()
        | st.integers(-3, 3)
        | st.text(max_size=3)
        | st.just([1])
        | st.just({"a": 1})
    )
    changed = on_entry(entry["index"], content(**{name: value}))(lines)
    verified(sealed(changed, sign=True))


# -- the command -------------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> int:
    try:
        return verifier.main([str(item) for item in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_the_command_says_in_words_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and the counts; else the failure's exit code and the first bad entry."""
    export = an_order(sign_each=True).export()
    assert run(written(tmp_path, export), "--key", KEYS.verifying) == 0
    assert "VERIFIED" in capsys.readouterr().out
    broken = sealed(on_entry(3, old_columns(person="x"))(lines_of(export)))
    assert run(written(tmp_path, broken), "--key", KEYS.verifying) == 15
    assert "entry 3: columns: " in capsys.readouterr().out


def test_the_command_writes_one_json_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the report is one object, with the problems in it."""
    broken = sealed(on_entry(3, old_columns(person="x"))(lines_of(an_order().export())))
    assert run(written(tmp_path, broken), "--key", KEYS.verifying, "--json") == 15
    report = json.loads(capsys.readouterr().out)
    assert (report["verified"], report["code"], report["entries"]) == (False, 15, 11)
    assert report["problems"][0]["entry"] == 3


def test_the_command_reads_gzip_and_finds_damage_in_it(tmp_path: Path) -> None:
    """A gzipped export is verified; a damaged or cut archive is malformed."""
    path = tmp_path / "export.jsonl.gz"
    packed = gzip.compress(an_order().export(), mtime=0)
    path.write_bytes(packed)
    assert run(path, "--key", KEYS.verifying) == 0
    for damaged in (packed[:-20], packed[:100], packed[:60] + b"\xff\x00\xff" + packed[63:]):
        path.write_bytes(damaged)
        assert run(path, "--key", KEYS.verifying) == 10


def test_the_command_takes_a_kept_checkpoint(tmp_path: Path) -> None:
    """--checkpoint reads a file; one of another history is exit code 13."""
    ledger = an_order()
    kept = tmp_path / "kept.txt"
    kept.write_text(ledger.sign(), "utf-8")
    path = written(tmp_path, ledger.export())
    assert run(path, "--key", KEYS.verifying, "--checkpoint", kept) == 0
    other = LedgerBuilder()
    other.add("change", reason="other")
    kept.write_text(other.sign(), "utf-8")
    assert run(path, "--key", KEYS.verifying, "--checkpoint", kept) == 13


def test_a_wrong_command_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing file, a malformed key or no key at all is no verification."""
    path = written(tmp_path, SMALL)
    assert run(tmp_path / "absent", "--key", KEYS.verifying) == 2
    assert run(path, "--key", KEYS.verifying[:-3]) == 2
    assert run(path, "--key", KEYS.signing) == 2
    assert run(path, "--key", KEYS.verifying, "--checkpoint", tmp_path / "absent") == 2
    assert run(path) == 2
    assert "controls-verify" in capsys.readouterr().err


def test_each_failure_is_documented() -> None:
    """The help lists an exit code for each class, and no class has two."""
    assert len({int(item) for item in Failure}) == len(Failure)
    for failure in Failure:
        assert f"{int(failure)} " in (verifier.__doc__ or "").partition("Exit code:")[2]


def test_it_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    """So that an auditor can read all of what the check rests on."""
    tree = ast.parse(Path(verifier.__file__).read_text("utf-8"))
    names = {item.name for node in ast.walk(tree) if isinstance(node, ast.Import) for item in node.names}
    names |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}


def test_it_runs_as_a_copied_file_without_the_package(tmp_path: Path) -> None:
    """Copied elsewhere, with only `cryptography` to import, it verifies and refuses as before."""
    import cryptography

    site = tmp_path / "site"
    site.mkdir()
    installed = Path(cryptography.__file__).parent.parent
    for path in installed.iterdir():
        if path.name.startswith(("cryptography", "cffi", "_cffi_backend", "pycparser")):
            (site / path.name).symlink_to(path)
    copy = tmp_path / "verifier.py"
    shutil.copyfile(verifier.__file__, copy)
    export = an_order().export()
    for content, expected in ((export, 0), (export.replace(b"ana", b"eva"), 12)):
        path = written(tmp_path, content)
        done = subprocess.run(
            [sys.executable, "-S", str(copy), str(path), "--key", KEYS.verifying, "--json"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(site), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode in ((expected,) if not expected else tuple(Failure)), done.stderr
        assert json.loads(done.stdout)["verified"] is (expected == 0)
    alone = subprocess.run(
        [sys.executable, "-S", "-c", "import controls"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": os.environ["PATH"]},
        capture_output=True,
        timeout=60,
    )
    assert alone.returncode != 0, "the package must not be importable here, or the test shows nothing"


# -- votes, groups and order -------------------------------------------------------------------------------


def a_release(*duties: dict[str, Any], **approve: Any) -> bytes:
    """The builder's release with these duties, and these words on the step `approve`."""
    files = json.loads(RELEASE_BYTES)["files"]
    (step,) = (step for step in files["chains/order.yaml"]["steps"] if step["id"] == "approve")
    step |= approve
    files["duties/separate.yaml"] = [{"then": "deny"} | item for item in duties]
    return exact_bytes({"format": 1, "files": files})


GROUPS = {"a": ["capture", "execute"], "b": "settle"}
THREE = ["capture", "execute", "settle"]


@pytest.mark.parametrize(
    ("duty", "steps", "found"),
    [
        ({"kind": "at_most", "steps": THREE, "max": 2}, "capture execute settle", 1),
        ({"kind": "at_most", "steps": THREE, "max": 2}, "capture execute capture", 0),
        ({"kind": "at_most", "groups": GROUPS, "max": 1}, "capture execute", 0),
        ({"kind": "at_most", "groups": GROUPS, "max": 1}, "capture settle", 1),
        ({"kind": "separate", "steps": ["capture", "settle"], "ordered": True}, "capture settle", 1),
        ({"kind": "separate", "steps": ["settle", "capture"], "ordered": True}, "capture settle", 0),
        ({"kind": "separate", "steps": ["settle", "capture"], "ordered": True}, "capture settle capture", 1),
        ({"kind": "votes", "step": "settle", "votes": 2, "distinct_from": ["capture"]}, "capture settle", 1),
        ({"kind": "votes", "step": "settle", "votes": 2, "distinct_from": "execute"}, "settle execute", 1),
        ({"kind": "votes", "step": "settle", "votes": 2, "distinct_from": ["execute"]}, "capture settle", 0),
        ({"kind": "separate", "steps": ["capture", "settle"], "scope": "account"}, "capture settle", 0),
        ({"kind": "at_most", "steps": ["capture", "settle"], "max": 1, "when": "true"}, "capture settle", 0),
        ({"kind": "relation", "steps": ["capture", "settle"], "differ": ["desk"]}, "capture settle", 0),
    ],
)
def test_what_one_person_took_is_held_against_the_limits(
    duty: dict[str, Any], steps: str, found: int
) -> None:
    """Constraints that deny without a condition are recomputed, ordered ones and groups too."""
    ledger = LedgerBuilder(a_release({"id": "limit"} | duty))
    for step in steps.split():
        ledger.end(ledger.claim("ana", step), "abandoned")
    assert len(duty_failures(ledger)) == found


@pytest.mark.parametrize(
    ("approve", "duties"),
    [
        ({"votes": 2}, ()),
        ({}, ({"id": "two", "kind": "votes", "step": "approve", "votes": 2},)),
        ({}, ({"id": "two", "kind": "votes", "step": "approve", "votes": 2, "when": "order.large"},)),
    ],
)
def test_a_step_takes_as_many_votes_as_it_has(
    approve: dict[str, Any], duties: tuple[dict[str, Any], ...]
) -> None:
    """Two different persons hold a step of two votes; a third one, or one of them again, is found."""
    ledger = LedgerBuilder(a_release(*duties, **approve))
    ledger.end(ledger.claim("bea", "approve"))
    ledger.claim("eva", "approve")
    assert duty_failures(ledger) == []
    ledger.claim("ida", "approve")
    assert [message for _, message in duty_failures(ledger)] == [
        "step approve is claimed by ida, and has its 2 votes"
    ]
    again = LedgerBuilder(a_release(*duties, **approve))
    again.claim("bea", "approve")
    again.claim("bea", "approve")
    assert [message for _, message in duty_failures(again)] == [
        "step approve is claimed by bea, whose vote on it is given or claimed"
    ]


@pytest.mark.parametrize(
    ("duty", "voters", "found"),
    [
        ({}, ["bea"], ["it takes effect with 1 of the 2 votes that confirm takes"]),
        ({}, ["eva", "bea"], []),
        ({}, ["bea", "bea"], ["it takes effect with 1 of the 2 votes that confirm takes"]),
        ({"when": "order.large"}, ["bea"], []),
    ],
)
def test_a_change_takes_effect_with_its_last_vote(
    duty: dict[str, Any], voters: list[str], found: list[str]
) -> None:
    """Where a release asks for two confirmations without a condition, one alone puts nothing into force."""
    two = {"id": "two", "kind": "votes", "chain": "administration", "step": "confirm", "votes": 2}
    ledger = LedgerBuilder(a_release(two | duty))
    ledger.propose("chg-1", "key_creation")
    for voter in voters[:-1]:
        ledger.add(
            "change",
            act="confirm",
            person=voter,
            change="chg-1",
            change_kind="key_creation",
            **where("chg-1"),
        )
    ledger.confirm("chg-1", "key", voters[-1], key_created="key-2")
    assert [message for _, message in duty_failures(ledger)] == found


# -- lineages ----------------------------------------------------------------------------------------------


def from_chain(*names: str) -> list[dict[str, str]]:
    """What an entry says of the chains that its own comes from."""
    return [{"relation": "split_from", "kind": "order", "id": name} for name in names]


APART = {"id": "apart", "kind": "separate", "steps": ["capture", "approve"]}


def linked(*names: str) -> LedgerBuilder:
    """Ana captured O-1, and bea executed O-2, which comes of chains of these names."""
    ledger = LedgerBuilder(a_release(APART))
    ledger.claim("ana", "capture", chain="O-1")
    ledger.claim("bea", "execute", chain="O-2", lineage=from_chain(*names))
    return ledger


def messages(ledger: LedgerBuilder) -> list[str]:
    return [message for _, message in duty_failures(ledger)]


def test_what_a_chain_comes_from_counts_on_it() -> None:
    """`separate` looks at all of a line: up and down, and not at chains that are not linked."""
    apart = ["ana has acted on approve, capture, of which `apart` allows 1"]
    for names, found in (((), []), (("O-1",), apart)):
        ledger = linked(*names)
        ledger.claim("ana", "approve", chain="O-2")
        assert messages(ledger) == found
    ledger = linked("O-1")
    ledger.claim("bea", "capture", chain="O-3", lineage=from_chain("O-2"))
    ledger.claim("bea", "approve", chain="O-1")
    assert messages(ledger) == ["bea has acted on approve, capture, of which `apart` allows 1"]


def test_a_chain_that_joins_others_is_measured_by_all_of_them() -> None:
    """What one person did on chains that are joined is told, unless one of them was broken by itself."""
    ledger = linked()
    ledger.claim("ana", "approve", chain="O-2")
    ledger.claim("eva", "settle", chain="O-3", lineage=from_chain("O-1", "O-2"))
    assert messages(ledger) == ["chains are joined on which ana together breaks `apart`"]


def test_links_are_declared_by_the_first_act_to_older_chains() -> None:
    """A chain that nobody has begun is none to come from, nor is the chain itself; links are not added."""
    for name in ("O-2", "O-9"):
        assert messages(linked(name)) == [f"the chain comes from order {name}, which nobody has begun"]
    ledger = linked()
    ledger.claim("bea", "capture", chain="O-2", lineage=from_chain("O-1"))
    assert messages(ledger) == ["links are declared by an act that is not the first of its chain"]
