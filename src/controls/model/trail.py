"""Trails: acts of many chains that are looked at together, because their chains share a value.

An account, an instrument and a desk are such values, and so is the conflict class of a Chinese wall. The
facts that say them are material facts of the chain kind, so that every chain states them and none changes
them but by an amendment. A chain that was amended from one value to another is a chain of both, with all its
acts: else an amendment would empty a limit that has been reached. What was approved before a chain began
counts where it was said to be; if the chain then begins elsewhere, that is not what was approved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from controls.model.chain import Act, Capacity
from controls.model.record import record

# What chains that may be the same are compared by.
_COMPARED: Final = ("account", "instrument", "side", "quantity")


def compared_facts(resource: str) -> tuple[str, ...]:
    """The facts by which chains over this type of resource are found to be the same."""
    return tuple(f"{resource}.{name}" for name in _COMPARED)


@dataclass(frozen=True, slots=True)
class Trail:
    """One trail as far as it leads over chains of the kind `kind`.

    `name` is shared by all kinds of the trail. `fact` says the value by which acts belong together (several
    facts, joined by `+`, say it together), and `part` (empty: nothing) a fact that tells them apart again:
    the dataset within a conflict class. `steps` are those whose acts leave a mark, and at which it is looked
    up (none: all); an amendment counts as an act on `first`, the first step of the kind. With `anybody`, acts
    are looked up whoever's they are, else those of the person who asks. `within` is how far back anybody
    looks (None: for ever); with `latest`, the last few acts are enough. `conditional`: some constraint looks
    only on a condition.
    """

    name: str
    kind: str
    fact: str
    part: str = ""
    steps: frozenset[str] = frozenset()
    first: str = ""
    anybody: bool = False
    within: timedelta | None = field(default=None, compare=False)
    latest: bool = field(default=False, compare=False)
    conditional: bool = field(default=False, compare=False)
    facts: tuple[str, ...] = field(init=False, compare=False, repr=False)  # that together say the value

    def __post_init__(self) -> None:
        object.__setattr__(self, "facts", tuple(self.fact.split("+")))

    def concerns(self, step: str) -> bool:
        """Whether acts on `step` leave a mark."""
        return not self.steps or step in self.steps


@dataclass(frozen=True, slots=True)
class TrailAct:
    """An act on a trail: the kind of its chain, the step that it counts as, and its part of the trail."""

    kind: str
    step: str
    act: Act
    part: str = ""


@record
class TrailHand:
    """That somebody has acted at a place of a trail, however often: the kind of the chain, the step that the
    act counts as and its part of the trail; `at` (microseconds) is from when the last such act ages."""

    person: str
    kind: str
    step: str
    part: str
    at: int


@record
class TrailPlace:
    """A place where a chain is, or has been: whose `hands` were there; `part` is the chain's own there."""

    value: str
    part: str = ""
    hands: Sequence[TrailHand] = ()


def of_chain(acts: Sequence[Act], place: Callable[[Act], object]) -> Sequence[Act]:
    """Those of a chain's acts, in ledger order, that count wherever the chain is: none before it has begun,
    and then all but the approvals of a beginning at another place, which count at that place alone.

    Args:
        place: where an act says that its chain is; None where it says nothing.
    """
    begun = next((n for n, act in enumerate(acts) if act.capacity is not Capacity.APPROVER), len(acts))
    if begun == 0:
        return acts
    if begun == len(acts):
        return ()
    own = (None, place(acts[begun]))
    return (*(act for act in acts[:begun] if place(act) in own), *acts[begun:])


@record
class TrailReading:
    """The acts that a request finds on a trail, this unit of work's included; `part` is the request's own.

    `elsewhere` are the readings of the other places where the request's chain has been, for it counts at all
    of them.
    """

    acts: tuple[TrailAct, ...] = ()
    part: str = ""
    elsewhere: tuple[TrailReading, ...] = ()
