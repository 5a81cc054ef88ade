"""Conditions as connectives over leaves, and the truths they may have when leaves are only partly known.

A set of truths is a mask: 1 for false, 2 for unknown, 4 for true. A goal is what several conditions shall be
together. Guarantees: `possible` never leaves out a truth that some choice of the leaves' truths gives (it may
hold more: leaves are taken as independent), so that `reached` never denies a goal that some choice reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Final, TypeAlias

from controls.model.condition import Truth
from controls.rules.tree import Choice, Comparison, Logic, Negation, Typed, key_of
from controls.rules.types import BOOL

ANY: Final = 7

Mask: TypeAlias = int


def mask_of(truths: Iterable[int]) -> Mask:
    """The set of the truths 0 (false), 1 (unknown) and 2 (true)."""
    return reduce(lambda mask, truth: mask | 1 << truth, truths, 0)


@dataclass(frozen=True, slots=True)
class LeafAt:
    """The leaf of that index."""

    index: int


@dataclass(frozen=True, slots=True)
class Joined:
    """`all` (every) or `any` of its parts."""

    every: bool
    parts: tuple[Skeleton, ...]


@dataclass(frozen=True, slots=True)
class Opposite:
    part: Skeleton


@dataclass(frozen=True, slots=True)
class Chosen:
    test: Skeleton
    yes: Skeleton
    no: Skeleton


@dataclass(frozen=True, slots=True)
class Same:
    """Whether two conditions are equal, or are not (`opposite`)."""

    left: Skeleton
    right: Skeleton
    opposite: bool


Skeleton: TypeAlias = "LeafAt | Joined | Opposite | Chosen | Same"


@dataclass(frozen=True, slots=True)
class Among:
    """The condition of that index has one of the truths."""

    index: int
    mask: Mask


@dataclass(frozen=True, slots=True)
class Combined:
    """`every` one of the parts, or one of them at least."""

    every: bool
    parts: tuple[Goal, ...]


Goal: TypeAlias = "Among | Combined"


def reached(goal: Goal, truths: Callable[[int], Mask]) -> bool:
    """Whether the goal is reached when each condition has one of the truths of its mask."""
    match goal:
        case Among(index=index, mask=mask):
            return bool(truths(index) & mask)
        case Combined(every=every, parts=parts):
            found = (reached(part, truths) for part in parts)
            return all(found) if every else any(found)


class Leaves:
    """The leaves of several conditions, each once."""

    def __init__(self) -> None:
        self.nodes: list[Typed] = []
        self._indexes: dict[str, int] = {}

    def skeleton(self, node: Typed) -> Skeleton:
        """The connectives of `node`; what is none becomes a leaf."""
        match node:
            case Logic(every=every, parts=parts):
                return Joined(every, tuple(self.skeleton(part) for part in parts))
            case Negation(part=part):
                return Opposite(self.skeleton(part))
            case Choice(test=test, yes=yes, no=no):
                return Chosen(self.skeleton(test), self.skeleton(yes), self.skeleton(no))
            case Comparison(operator=operator, left=left, right=right) if left.type == BOOL:
                return Same(self.skeleton(left), self.skeleton(right), operator == "!=")
            case _:
                index = self._indexes.setdefault(key_of(node), len(self.nodes))
                if index == len(self.nodes):
                    self.nodes.append(node)
                return LeafAt(index)


def possible(skeleton: Skeleton, leaves: Sequence[Mask]) -> Mask:
    """The truths that `skeleton` may have when each leaf has one of its mask."""
    match skeleton:
        case LeafAt(index=index):
            return leaves[index]
        case Joined(every=every, parts=parts):
            table = _ALL if every else _ANY
            mask = 4 if every else 1
            for part in parts:
                mask = table[mask][possible(part, leaves)]
            return mask
        case Opposite(part=part):
            return _OPPOSITE[possible(part, leaves)]
        case Chosen(test=test, yes=yes, no=no):
            return _chosen(*(possible(part, leaves) for part in (test, yes, no)))
        case Same(left=left, right=right, opposite=opposite):
            mask = _SAME[possible(left, leaves)][possible(right, leaves)]
            return _OPPOSITE[mask] if opposite else mask


def _truths(mask: Mask) -> tuple[int, ...]:
    return tuple(truth for truth in (0, 1, 2) if mask >> truth & 1)


def _table(connect: Callable[[int, int], int]) -> tuple[tuple[Mask, ...], ...]:
    return tuple(
        tuple(
            mask_of(connect(*pair) for pair in product(_truths(left), _truths(right))) for right in range(8)
        )
        for left in range(8)
    )


def _same(left: int, right: int) -> int:
    if Truth.UNKNOWN in (left, right):
        return Truth.UNKNOWN
    return Truth.TRUE if left == right else Truth.FALSE


def _chosen(test: Mask, yes: Mask, no: Mask) -> Mask:
    mask = (yes if test & 4 else 0) | (no if test & 1 else 0)
    if test & 2:
        mask |= mask_of(one if one == other else 1 for one, other in product(_truths(yes), _truths(no)))
    return mask


_ALL: Final = _table(min)
_ANY: Final = _table(max)
_SAME: Final = _table(_same)
_OPPOSITE: Final = tuple(mask_of(2 - truth for truth in _truths(mask)) for mask in range(8))
