"""What a duty constraint is asked, and what it answers when it speaks.

Guarantees: what became of an act never helps the person whose act it was; whoever amends has a hand in what
began the chain, so that nobody checks what he or she has made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from datetime import datetime

from controls.model.chain import AMEND, Act, ChainHistory, ChainKind
from controls.model.duty import Constraint
from controls.model.people import Profile
from controls.model.record import record
from controls.model.trail import TrailReading


@record
class Asked:
    """Person p asks for step s on a chain of `kind` with `history`, at the moment `now`.

    `roles` are those that p holds with all they inherit. `trails` are the acts on other chains that share a
    value with this one, by the name of the trail; one that is not there could not be told. `profiles` is what
    the directory knows of persons; one who is not there is not known.
    """

    person: str
    step: str
    kind: ChainKind
    history: ChainHistory
    now: datetime
    roles: frozenset[str] = frozenset()
    trails: Mapping[str, TrailReading] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    mine: frozenset[str] = field(init=False)  # steps that count against p on this chain

    def __post_init__(self) -> None:
        mine = self.history.steps_of(self.person)
        if AMEND in mine:
            mine |= self.amended
        object.__setattr__(self, "mine", mine)

    @property
    def amended(self) -> frozenset[str]:
        """The step that an amendment counts as an act on: the one that stated the facts it changes."""
        return frozenset(step.id for step in self.kind.steps[:1])

    def step_of(self, act: Act) -> str:
        """The step that an act of this chain counts as an act on."""
        return self.kind.steps[0].id if act.step == AMEND and self.kind.steps else act.step

    def acts_of(self, steps: Iterable[str]) -> tuple[Act, ...]:
        """The acts of p that count as acts on one of `steps`."""
        return tuple(act for act in self.acts_on(steps) if act.person == self.person)

    def acts_on(self, steps: Iterable[str]) -> tuple[Act, ...]:
        """The acts of anybody, in any state and capacity, that count as acts on one of `steps`."""
        wanted = frozenset(steps)
        if not wanted.isdisjoint(self.amended):
            wanted |= {AMEND}
        return tuple(act for act in self.history.acts if act.step in wanted)


@record
class Violation:
    """Why a constraint speaks: the count that passes the limit and the earlier acts behind it.

    `steps` (or `roles`) are what was counted; `relations` those in which the acts' persons stand to p;
    `until` is the moment from which the constraint says nothing more if nobody acts meanwhile. `missing` and
    `error` say what kept the constraint's condition, or the count, from being told; then the constraint
    applies all the same.
    """

    count: int
    limit: int
    steps: tuple[str, ...] = ()
    acts: tuple[Act, ...] = ()
    roles: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    until: datetime | None = None
    missing: tuple[str, ...] = ()
    error: str = ""


def others_of(constraint: Constraint, step: str) -> tuple[str, ...]:
    """The steps of the constraint that count when `step` is asked for: S - {s}, or those listed before it."""
    if constraint.ordered and step in constraint.steps:
        return constraint.steps[: constraint.steps.index(step)]
    return tuple(other for other in constraint.steps if other != step)


def in_order(found: Iterable[str], listed: Iterable[str]) -> tuple[str, ...]:
    """`found` in the order in which the rule file lists them."""
    wanted = set(found)
    return tuple(dict.fromkeys(item for item in listed if item in wanted))
