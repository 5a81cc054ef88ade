"""The Merkle tree of RFC 6962 / RFC 9162: roots, frontiers, proofs and their verification.

Guarantees:

- leaf hashes and node hashes cannot be taken for one another (prefix 0x00 and 0x01);
- a proof has exactly one right length for its sizes, and any other is refused;
- proofs for a batch need only the frontier before it and its own leaf hashes (no look at the storage).

Sizes and indexes are numbers of leaves; hashes are 32 bytes. Leaves `[start, end)` make a *subtree* when
`start` is a multiple of the least power of two that is not below `end - start`; a subtree is *complete*
when its size is a power of two, 2^level, and then it is node `(level, start >> level)`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

from controls.model.errors import VerificationFailed

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
MAX_SIZE: Final = 2**63 - 1  # what a signed column holds

# Reads the hash of the complete subtree of 2^level leaves at `index` (of its level).
ReadNode: TypeAlias = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """The hash of the leaf that holds `data`."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node over two subtrees."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that is needed to go on with a tree of `size` leaves.

    `hashes` are the roots of its largest complete subtrees, from left to right: one for every bit of
    `size` that is set, so at most 63.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE or len(self.hashes) != self.size.bit_count():
            raise ValueError(f"{len(self.hashes)} complete subtrees do not make {self.size} leaves")
        if any(len(item) != HASH_SIZE for item in self.hashes):
            raise ValueError(f"a hash has {HASH_SIZE} bytes")

    def append(self, leaf_hashes: Sequence[bytes]) -> Frontier:
        """The frontier after these further leaves."""
        stack = list(self.hashes)
        size = self.size
        for leaf in leaf_hashes:
            current = leaf
            bits = size
            while bits & 1:
                current = node_hash(stack.pop(), current)
                bits >>= 1
            stack.append(current)
            size += 1
        return Frontier(size=size, hashes=tuple(stack))

    def root(self) -> bytes:
        """The root of the tree."""
        if not self.hashes:
            return EMPTY_ROOT
        current = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            current = node_hash(left, current)
        return current

    def to_bytes(self) -> bytes:
        """The size in eight bytes, big end first, and the hashes."""
        return struct.pack(">Q", self.size) + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """The frontier of which `data` is the `to_bytes`.

        Raises:
            ValueError: `data` is not a frontier.
        """
        if len(data) < 8 or len(data) % HASH_SIZE != 8:
            raise ValueError(f"{len(data)} bytes are not a frontier")
        (size,) = struct.unpack_from(">Q", data)
        hashes = tuple(data[at : at + HASH_SIZE] for at in range(8, len(data), HASH_SIZE))
        return cls(size=size, hashes=hashes)


@dataclass(frozen=True, slots=True)
class Node:
    """A complete subtree of 2^level leaves, the `index`-th of its level."""

    level: int
    index: int
    hash: bytes


class BatchTree:
    """A frontier with a batch of new leaves appended: new root, and proofs for each of the new leaves.

    The cost of everything together is about two hashes a leaf and one for every level of the tree; what
    the proofs of a batch share is worked out once.
    """

    __slots__ = ("_base", "_levels", "_paths", "_tails", "frontier", "old_size", "root", "size")

    def __init__(self, frontier: Frontier, leaf_hashes: Sequence[bytes]) -> None:
        self.old_size = frontier.size
        self.size = frontier.size + len(leaf_hashes)
        # For each level: the complete nodes of the new tree from node `_base[level]` on. The first of them
        # may be of the old frontier; nothing further left is ever a sibling of a new leaf's path.
        self._levels: list[list[bytes]] = []
        self._base: list[int] = []
        # For each level: the hash of the leaves right of the last complete node, if there are any.
        self._tails: list[bytes | None] = []
        self._paths: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self.root = self._build(frontier, leaf_hashes)
        edge = [hashes[-1] for level, hashes in enumerate(self._levels) if self.size >> level & 1]
        self.frontier = Frontier(size=self.size, hashes=tuple(reversed(edge)))

    def _build(self, frontier: Frontier, leaf_hashes: Sequence[bytes]) -> bytes:
        old = list(frontier.hashes)
        fresh = list(leaf_hashes)
        tail: bytes | None = None
        level = 0
        while self.size >> level:
            first = self.old_size >> level
            if first & 1:
                fresh.insert(0, old.pop())
                first -= 1
            self._levels.append(fresh)
            self._base.append(first)
            self._tails.append(tail)
            if self.size >> level & 1:
                tail = fresh[-1] if tail is None else node_hash(fresh[-1], tail)
            fresh = [node_hash(fresh[at], fresh[at + 1]) for at in range(0, len(fresh) - 1, 2)]
            level += 1
        self._tails.append(tail)
        return EMPTY_ROOT if tail is None else tail

    def inclusion_proof(self, index: int) -> tuple[bytes, ...]:
        """The proof that new leaf `index` is in the tree of `size` leaves, lowest sibling first.

        Raises:
            ValueError: `index` is not a leaf of this batch.
        """
        if not self.old_size <= index < self.size:
            raise ValueError(f"leaf {index} is not among the new leaves {self.old_size} to {self.size - 1}")
        return self._path(0, index)

    def _path(self, level: int, index: int) -> tuple[bytes, ...]:
        """The siblings from node `(level, index)`, complete or not, up to the root."""
        if level >= len(self._levels):
            return ()
        known = self._paths.get((level, index))
        if known is None:
            sibling = self._sibling(level, index)
            above = self._path(level + 1, index >> 1)
            known = self._paths[level, index] = above if sibling is None else (sibling, *above)
        return known

    def _sibling(self, level: int, index: int) -> bytes | None:
        complete = self.size >> level
        sibling = index ^ 1
        if sibling < complete:
            return self._levels[level][sibling - self._base[level]]
        # Right of the last complete node there is at most one incomplete one; its left brother has none
        # when there is nothing there, and goes up alone.
        return self._tails[level] if sibling == complete else None

    def new_nodes(self) -> Iterator[Node]:
        """Every complete subtree that this batch completed, leaves included, lowest level first."""
        for level, hashes in enumerate(self._levels):
            base = self._base[level]
            for index in range(self.old_size >> level, self.size >> level):
                yield Node(level=level, index=index, hash=hashes[index - base])


def root_of_range(start: int, *, end: int, node: ReadNode) -> bytes:
    """The root over leaves `[start, end)`, which must be a subtree, from complete subtrees."""
    _check_subtree(start, end)
    current: bytes | None = None
    while end > start:
        level = ((end - start) & (start - end)).bit_length() - 1  # the last, smallest complete subtree
        last = node(level, (end >> level) - 1)
        current = last if current is None else node_hash(last, current)
        end -= 1 << level
    return EMPTY_ROOT if current is None else current


def inclusion_proof(index: int, size: int, node: ReadNode) -> tuple[bytes, ...]:
    """The proof that leaf `index` is in the tree of `size` leaves (RFC 9162, 2.1.3.1), lowest sibling first.

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    start, end = 0, size
    proof: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(root_of_range(middle, end=end, node=node))
            end = middle
        else:
            proof.append(root_of_range(start, end=middle, node=node))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(size1: int, size2: int, node: ReadNode) -> tuple[bytes, ...]:
    """The proof that the tree of `size1` leaves is a prefix of that of `size2` (RFC 9162, 2.1.4.1).

    Empty when the sizes are equal or the first tree is empty.

    Raises:
        ValueError: the first tree is larger than the second.
    """
    if not 0 <= size1 <= size2:
        raise ValueError(f"a tree of {size1} leaves is no prefix of one of {size2}")
    if size1 == 0:
        return ()
    start, end = 0, size2
    proof: list[bytes] = []
    while end != size1:
        middle = start + _split(end - start)
        if size1 <= middle:
            proof.append(root_of_range(middle, end=end, node=node))
            end = middle
        else:
            proof.append(root_of_range(start, end=middle, node=node))
            start = middle
    if start != 0:  # else the verifier has this hash: it is the first root
        proof.append(root_of_range(start, end=end, node=node))
    return tuple(reversed(proof))


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf with hash `leaf` is leaf `index` of the tree of `size` leaves with that root.

    Raises:
        VerificationFailed: it is not proved.
    """
    if not 0 <= index < size:
        raise _failed("inclusion", f"a tree of {size} leaves has no leaf {index}")
    _check_hashes("inclusion", (leaf, root, *proof))
    sides: list[bool] = []  # from the root down: whether the sibling is on the left
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        sides.append(index >= middle)
        if index < middle:
            end = middle
        else:
            start = middle
    if len(proof) != len(sides):
        raise _failed("inclusion", f"the proof has {len(proof)} hashes and must have {len(sides)}")
    current = leaf
    for sibling, left in zip(proof, reversed(sides), strict=True):
        current = node_hash(sibling, current) if left else node_hash(current, sibling)
    if current != root:
        raise _failed("inclusion", f"the proof leads to the root {current.hex()}, not to {root.hex()}")


def verify_consistency(proof: Sequence[bytes], *, size1: int, size2: int, root1: bytes, root2: bytes) -> None:
    """Check that the tree of `size1` leaves with `root1` is a prefix of that of `size2` with `root2`.

    Raises:
        VerificationFailed: it is not proved; nothing can be proved from an empty tree to a larger one.
    """
    if size1 == size2 == 0 and root1 == root2 == EMPTY_ROOT and not proof:
        return
    if size1 <= 0:
        raise _failed("consistency", "an empty tree proves nothing about a larger one")
    verify_subtree_consistency(proof, start=0, end=size1, size=size2, root1=root1, root2=root2)


def verify_subtree_inclusion(
    leaf: bytes, *, index: int, start: int, end: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that the leaf with hash `leaf` is leaf `index` of the subtree `[start, end)` with that root.

    Raises:
        VerificationFailed: it is not proved, or `[start, end)` is no subtree.
    """
    if not _is_subtree(start, end):
        raise _failed("inclusion", f"leaves {start} to {end} are no subtree")
    verify_inclusion(leaf, index=index - start, size=end - start, proof=proof, root=root)


def verify_subtree_consistency(
    proof: Sequence[bytes], *, start: int, end: int, size: int, root1: bytes, root2: bytes
) -> None:
    """Check that `root1` is that of the subtree `[start, end)` of the tree of `size` leaves with `root2`.

    An empty subtree has the empty root and is part of every tree: `root2` then proves nothing.

    Raises:
        VerificationFailed: it is not proved, or `[start, end)` is no subtree.
    """
    if not 0 <= start <= end <= size or not _is_subtree(start, end):
        raise _failed("consistency", f"leaves {start} to {end} are no subtree of a tree of {size}")
    _check_hashes("consistency", proof)
    if start == end:
        if proof or root1 != EMPTY_ROOT:
            raise _failed("consistency", "an empty subtree has the empty root and an empty proof")
        return
    sides: list[str] = []  # from the root down: where the sibling is, and to what it belongs
    low, high = 0, size
    while (start, end) != (low, high):
        middle = low + _split(high - low)
        if end <= middle:
            sides.append("right")
            high = middle
        elif start >= middle:
            sides.append("left")
            low = middle
        else:  # the subtree begins here and ends beyond the middle: the left half is part of both
            sides.append("both")
            start = low = middle
    whole = "both" not in sides
    if len(proof) != len(sides) + (0 if whole else 1):
        raise _failed("consistency", f"the proof has {len(proof)} hashes: not the number for these sizes")
    first = second = root1 if whole else proof[0]
    for sibling, side in zip(proof if whole else proof[1:], reversed(sides), strict=True):
        if side == "right":
            second = node_hash(second, sibling)
        else:
            second = node_hash(sibling, second)
            if side == "both":
                first = node_hash(sibling, first)
    if first != root1:
        raise _failed("consistency", f"the proof leads to first root {first.hex()}, not to {root1.hex()}")
    if second != root2:
        raise _failed("consistency", f"the proof leads to second root {second.hex()}, not to {root2.hex()}")


def _split(size: int) -> int:
    """The largest power of two below `size` (at least 2): where RFC 6962 splits a tree."""
    return 1 << (size - 1).bit_length() - 1


def _is_subtree(start: int, end: int) -> bool:
    if not 0 <= start <= end:
        return False
    return start == end or start % (1 << (end - start - 1).bit_length()) == 0


def _check_subtree(start: int, end: int) -> None:
    if not _is_subtree(start, end):
        raise ValueError(f"leaves {start} to {end} are no subtree")


def _check_hashes(what: str, hashes: Sequence[bytes]) -> None:
    if any(len(item) != HASH_SIZE for item in hashes):
        raise _failed(what, f"a hash has {HASH_SIZE} bytes")


def _failed(what: str, detail: str) -> VerificationFailed:
    return VerificationFailed(
        f"{what}_not_proved",
        f"The {what} proof does not hold",
        detail=detail,
        help="Do not trust this tree: keep both sides' data and compare them with a checkpoint you kept.",
    )
