"""A condition as a formula over leaves, the shape both engines understand.

Kleene's tables: `and` is the minimum, `or` the maximum, `not` is 2 - x, over FALSE=0, UNKNOWN=1, TRUE=2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from controls.model.condition import Condition, Truth


@dataclass(frozen=True, slots=True)
class Leaf:
    """An indivisible test. `key` is its canonical text: equal keys mean equal leaves."""

    key: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Formula


@dataclass(frozen=True, slots=True)
class Constant:
    truth: Truth


Formula: TypeAlias = "Leaf | And | Or | Not | Constant"
