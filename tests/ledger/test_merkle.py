"""The Merkle tree: roots, frontiers, proofs, and what their verification refuses."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controls.ledger.merkle import (
    EMPTY_ROOT,
    BatchTree,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of_range,
    verify_consistency,
    verify_inclusion,
    verify_subtree_consistency,
    verify_subtree_inclusion,
)
from controls.model.errors import VerificationFailed

LEAVES = tuple(leaf_hash(b"%d" % number) for number in range(700))


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def node(level: int, index: int) -> bytes:
    return naive_root(LEAVES[index << level : (index + 1) << level])


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def check_vector(kind: str, case: dict[str, Any]) -> None:
    proof = [decoded(item) for item in case["proof"] or ()]
    if kind == "inclusion":
        verify_inclusion(
            decoded(case["leafHash"]),
            index=case["leafIdx"],
            size=case["treeSize"],
            proof=proof,
            root=decoded(case["root"]),
        )
    elif kind == "subtreeinclusion":
        verify_subtree_inclusion(
            decoded(case["leafHash"]),
            index=case["leafIdx"],
            start=case["start"],
            end=case["end"],
            proof=proof,
            root=decoded(case["root"]),
        )
    elif kind == "consistency":
        verify_consistency(
            proof,
            size1=case["size1"],
            size2=case["size2"],
            root1=decoded(case["root1"]),
            root2=decoded(case["root2"]),
        )
    else:
        verify_subtree_consistency(
            proof,
            start=case["start"],
            end=case["end"],
            size=case["size"],
            root1=decoded(case["root1"]),
            root2=decoded(case["root2"]),
        )


def test_the_vectors_of_transparency_dev_are_answered_as_they_say(shared_data: Path) -> None:
    """Every proof that is right verifies, and every one that is wrong on purpose is refused."""
    vectors = json.loads((shared_data / "merkle" / "vectors.json").read_text("utf-8"))
    wrong: list[str] = []
    count = 0
    for kind in ("inclusion", "consistency", "subtreeinclusion", "subtreeconsistency"):
        for case in vectors[kind]:
            count += 1
            try:
                check_vector(kind, case)
                refused = False
            except VerificationFailed:
                refused = True
            if refused != case["wantErr"]:
                wrong.append(case["file"])
    assert count == 518
    assert wrong == []


def test_the_roots_of_rfc_6962_are_reproduced(shared_data: Path) -> None:
    """Leaf hash, node hash and the roots of eight sizes are those of the published constants."""
    vectors = json.loads((shared_data / "tlog" / "vectors.json").read_text("utf-8"))["rfc6962"]
    leaves = [leaf_hash(bytes.fromhex(item)) for item in vectors["leaf_inputs_hex"]]
    for size, root in enumerate(vectors["root_by_size_hex"]):
        assert Frontier().append(leaves[:size]).root().hex() == root
    assert leaf_hash(b"").hex() == vectors["empty_leaf"]
    assert leaf_hash(b"L123456").hex() == vectors["leaf_L123456"]
    assert node_hash(b"N123", b"N456").hex() == vectors["node_N123_N456"]


def test_proofs_of_a_real_log_of_a_thousand_million_leaves_hold(shared_data: Path) -> None:
    """The inclusion and consistency proofs of Google's Argon 2020 log verify against its signed heads."""
    folder = shared_data / "tlog" / "ct_argon2020"
    head, about, entry, included, consistent = (
        json.loads((folder / f"{name}.json").read_text("utf-8"))
        for name in ("sth", "README", "entries", "proof", "consistency")
    )
    root = decoded(head["sha256_root_hash"])
    verify_inclusion(
        leaf_hash(decoded(entry["entries"][0]["leaf_input"])),
        index=included["leaf_index"],
        size=head["tree_size"],
        proof=[decoded(item) for item in included["audit_path"]],
        root=root,
    )
    verify_consistency(
        [decoded(item) for item in consistent["consistency"]],
        size1=about["old_size"],
        size2=head["tree_size"],
        root1=decoded(about["old_root"]),
        root2=root,
    )


@given(st.lists(st.integers(min_value=0, max_value=60), max_size=8))
def test_a_frontier_grown_in_batches_has_the_defined_root(batches: list[int]) -> None:
    """However the leaves arrive, the root is that of the recursive definition, and bytes keep it."""
    frontier, size = Frontier(), 0
    for batch in batches:
        frontier = Frontier.from_bytes(frontier.append(LEAVES[size : size + batch]).to_bytes())
        size += batch
    assert frontier.size == size
    assert frontier.root() == naive_root(LEAVES[:size])


@given(st.integers(min_value=0, max_value=600), st.integers(min_value=0, max_value=70))
def test_a_batch_proves_each_of_its_leaves(old: int, batch: int) -> None:
    """From the frontier alone a batch has the new root, the new frontier and every new leaf's proof."""
    new = old + batch
    tree = BatchTree(Frontier().append(LEAVES[:old]), LEAVES[old:new])
    assert tree.root == naive_root(LEAVES[:new])
    assert tree.frontier == Frontier().append(LEAVES[:new])
    for index in range(old, new):
        proof = tree.inclusion_proof(index)
        assert proof == inclusion_proof(index, new, node)
        verify_inclusion(LEAVES[index], index=index, size=new, proof=proof, root=tree.root)
    assert all(item.hash == node(item.level, item.index) for item in tree.new_nodes())
    expected = {
        (level, index) for level in range(11) for index in range(old >> level, new >> level) if new >> level
    }
    assert {(item.level, item.index) for item in tree.new_nodes()} == expected


def test_a_batch_proves_only_its_own_leaves() -> None:
    """A leaf before or after the batch is refused, not answered wrongly."""
    tree = BatchTree(Frontier().append(LEAVES[:5]), LEAVES[5:8])
    for index in (4, 8, -1):
        with pytest.raises(ValueError, match="not among the new leaves"):
            tree.inclusion_proof(index)


@given(st.integers(min_value=1, max_value=600), st.data())
def test_proofs_from_stored_nodes_verify(size: int, data: st.DataObject) -> None:
    """Inclusion of any leaf and consistency with any earlier size follow from complete subtrees."""
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    earlier = data.draw(st.integers(min_value=1, max_value=size))
    root = naive_root(LEAVES[:size])
    proof = inclusion_proof(index, size, node)
    verify_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=root)
    verify_consistency(
        consistency_proof(earlier, size, node),
        size1=earlier,
        size2=size,
        root1=naive_root(LEAVES[:earlier]),
        root2=root,
    )


@given(st.integers(min_value=2, max_value=600), st.data())
def test_a_changed_proof_is_refused(size: int, data: st.DataObject) -> None:
    """One flipped bit, a hash more or less, another index or another size: none of them verifies."""
    index = data.draw(st.integers(min_value=0, max_value=size - 1))
    root = naive_root(LEAVES[:size])
    proof = list(inclusion_proof(index, size, node))
    place = data.draw(st.integers(min_value=0, max_value=len(proof) - 1))
    bit = data.draw(st.integers(min_value=0, max_value=255))
    flipped = (int.from_bytes(proof[place]) ^ (1 << bit)).to_bytes(32)
    changed = [*proof[:place], flipped, *proof[place + 1 :]]
    for wrong in (changed, proof[:-1], [*proof, root], [EMPTY_ROOT, *proof], [item[:31] for item in proof]):
        with pytest.raises(VerificationFailed):
            verify_inclusion(LEAVES[index], index=index, size=size, proof=wrong, root=root)
    for other in (index - 1, index + 1):
        with pytest.raises(VerificationFailed):
            verify_inclusion(LEAVES[index], index=other, size=size, proof=proof, root=root)


@given(st.integers(min_value=2, max_value=600), st.data())
def test_a_forked_log_is_not_consistent(size: int, data: st.DataObject) -> None:
    """A tree with another leaf below the first size, or a changed proof, is refused."""
    earlier = data.draw(st.integers(min_value=1, max_value=size - 1))
    proof = list(consistency_proof(earlier, size, node))
    root1, root2 = naive_root(LEAVES[:earlier]), naive_root(LEAVES[:size])
    at = data.draw(st.integers(min_value=0, max_value=earlier - 1))
    forked = naive_root([*LEAVES[:at], leaf_hash(b"forged"), *LEAVES[at + 1 : earlier]])
    place = random.Random(size).randrange(len(proof))
    changed = [*proof[:place], leaf_hash(b"other"), *proof[place + 1 :]]
    for first, wrong in ((forked, proof), (root1, changed), (root1, proof[:-1]), (root1, [*proof, root1])):
        with pytest.raises(VerificationFailed):
            verify_consistency(wrong, size1=earlier, size2=size, root1=first, root2=root2)


def test_nothing_is_proved_from_an_empty_tree() -> None:
    """An empty tree is consistent with the empty tree only, and its proof towards any size is empty."""
    verify_consistency((), size1=0, size2=0, root1=EMPTY_ROOT, root2=EMPTY_ROOT)
    assert consistency_proof(0, 5, node) == ()
    with pytest.raises(VerificationFailed):
        verify_consistency((), size1=0, size2=5, root1=EMPTY_ROOT, root2=naive_root(LEAVES[:5]))


def test_impossible_sizes_are_refused() -> None:
    """A leaf beyond the tree and a first tree larger than the second are errors of the caller."""
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(5, 5, node)
    with pytest.raises(ValueError, match="no prefix"):
        consistency_proof(6, 5, node)
    with pytest.raises(ValueError, match="no subtree"):
        root_of_range(2, end=6, node=node)


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 7, b"\x00" * 7 + b"\x01", b"\x00" * 8 + b"\x00" * 32, b"\xff" * (8 + 64 * 32)]
)
def test_bytes_that_are_no_frontier_are_refused(data: bytes) -> None:
    """The number of hashes must be the number of bits set in the size."""
    with pytest.raises(ValueError, match=r"."):
        Frontier.from_bytes(data)
