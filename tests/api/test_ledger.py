"""What anybody with a verifier's key can check over HTTP."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from controls.api import schemas
from controls.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from controls.ledger.note import Checkpoint, Verifier, open_note
from tests.api.conftest import Api


def checkpoint_of(api: Api, note: str) -> Checkpoint:
    """The checkpoint in a note that this ledger signed."""
    opened = open_note(note, verifiers=[Verifier.parse(api.desk.vkey)])
    return Checkpoint.parse_own(opened.text, origin="demo/desk")


def hashes(texts: list[str]) -> list[bytes]:
    return [b64decode(text) for text in texts]


def test_a_receipt_proves_the_record(either_api: Api) -> None:
    """The answer's receipt leads from the entry's bytes to a signed tree head."""
    receipt = either_api.ask("capture", "tina.trader")["receipt"]
    proof = receipt["proof"]
    signed = checkpoint_of(either_api, receipt["checkpoint"])
    entry = either_api.get(f"/v1/ledger/entries/{receipt['index']}").json()
    leaf = leaf_hash(entry["bytes"].encode())
    assert leaf == b64decode(receipt["leaf"]) == b64decode(entry["leaf"])
    assert (signed.size, signed.root) == (proof["size"], b64decode(proof["root"]))
    verify_inclusion(
        index=receipt["index"], size=signed.size, leaf=leaf, proof=hashes(proof["hashes"]), root=signed.root
    )


def test_entries_are_proven_in_any_signed_tree(either_api: Api) -> None:
    """An old entry is proven in the newest tree and in an older one."""
    older = either_api.size()
    either_api.ask("capture", "tina.trader")
    for size in ("", f"?size={older}"):
        told: Any = either_api.get(f"/v1/ledger/entries/0{size}").json()
        schemas.ProvenEntry.model_validate(told)
        signed = checkpoint_of(either_api, told["proof"]["checkpoint"])
        assert told["entry"]["kind"] == "genesis"
        verify_inclusion(
            index=0,
            size=signed.size,
            leaf=leaf_hash(told["bytes"].encode()),
            proof=hashes(told["proof"]["hashes"]),
            root=signed.root,
        )


def test_the_tree_only_grows(either_api: Api) -> None:
    """A checkpoint taken earlier is proven to be a prefix of a later one."""
    first = checkpoint_of(either_api, either_api.get("/v1/ledger/checkpoint").text)
    either_api.ask("capture", "tina.trader")
    told = either_api.get(f"/v1/ledger/consistency?from={first.size}").json()
    schemas.ConsistencyProof.model_validate(told)
    second = checkpoint_of(either_api, told["checkpoint"])
    assert second.size > first.size
    verify_consistency(
        size1=first.size,
        size2=second.size,
        proof=hashes(told["hashes"]),
        root1=first.root,
        root2=second.root,
    )
    same = either_api.get(f"/v1/ledger/consistency?from={first.size}&to={second.size}")
    assert same.json()["checkpoint"] == told["checkpoint"]


def test_a_verifier_sees_no_private_values(api: Api) -> None:
    """Disclosures are for keys that may also read; the proof is the same for both."""
    index = api.ask("capture", "tina.trader")["receipt"]["index"]
    reader = api.get(f"/v1/ledger/entries/{index}").json()
    verifier = api.get(f"/v1/ledger/entries/{index}", key="verifier").json()
    assert "order.quantity" in reader["disclosure"]
    assert "disclosure" not in verifier
    assert verifier["bytes"] == reader["bytes"]


def test_what_is_not_there_is_not_found(api: Api) -> None:
    """Entries beyond the end and trees that nobody signed are 404; a tree too small is 422."""
    size = api.size()
    assert api.get(f"/v1/ledger/entries/{size}").json()["code"] == "entry_unknown"
    assert api.get(f"/v1/ledger/entries/0?size={size + 1}").json()["code"] == "no_checkpoint"
    assert api.get(f"/v1/ledger/consistency?from=1&to={size + 1}").json()["code"] == "no_checkpoint"
    assert api.get(f"/v1/ledger/entries/{size - 1}?size=1").json()["code"] == "size_too_small"
