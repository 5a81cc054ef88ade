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
from controls.model.trail import TrailAct, TrailReading


@record
class Asked:
    """Person p asks for step s on a chain of `kind` with `history`, at the moment `now`.

    `roles` are those that p holds with all they inherit. `trails` are the acts on other chains that share a
    value with this one, by the name of the trail; one that is not there could not be told. `profiles` is what
    the directory knows of persons; one who is not there is not known. `lineage` are the acts on the other
    chains of one line that this chain is part of (see `controls.duties.lineage`).

    Where somebody acts for somebody else, the question is asked of both: `beside` is the other of the two,
    and p is the `principal` if the other one is who acts.
    """

    person: str
    step: str
    kind: ChainKind
    history: ChainHistory
    now: datetime
    roles: frozenset[str] = frozenset()
    trails: Mapping[str, TrailReading] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    lineage: tuple[TrailAct, ...] = ()
    beside: str = ""
    principal: bool = False
    mine: frozenset[str] = field(init=False)  # steps that count against p, on this kind's chains of the line
    everywhere: frozenset[str] = field(init=False)  # and on all chains of the line

    def __post_init__(self) -> None:
        mine = self.history.steps_of(self.person)
        if AMEND in mine:
            mine |= self.amended
        everywhere = mine
        if self.lineage:
            own = [item for item in self.lineage if item.act.person == self.person]
            mine = mine.union(item.step for item in own if item.kind == self.kind.id)
            everywhere = mine.union(item.step for item in own)
        object.__setattr__(self, "mine", mine)
        object.__setattr__(self, "everywhere", everywhere)

    @property
    def hands(self) -> frozenset[str]:
        """Whose act it would be."""
        return frozenset((self.person, self.beside or self.person))

    @property
    def amended(self) -> frozenset[str]:
        """The step that an amendment counts as an act on: the one that stated the facts it changes."""
        return frozenset(step.id for step in self.kind.steps[:1])

    def step_of(self, act: Act) -> str:
        """The step that an act of this kind of chain counts as an act on."""
        return self.kind.steps[0].id if act.step == AMEND and self.kind.steps else act.step

    def mine_of(self, constraint: Constraint) -> frozenset[str]:
        """The steps that count against p where `constraint` looks."""
        return self.mine if constraint.chain else self.everywhere

    def acts_of(self, steps: Iterable[str], *, by: Constraint) -> tuple[Act, ...]:
        """The acts of p that count as acts on one of `steps` where the constraint `by` looks."""
        return tuple(act for act in self.acts_on(steps, by=by) if act.person == self.person)

    def acts_on(self, steps: Iterable[str], *, by: Constraint) -> tuple[Act, ...]:
        """The acts of anybody, in any state and capacity, that count as acts on one of `steps` where the
        constraint `by` looks: on this chain, and on the other chains of its line."""
        wanted = frozenset(steps)
        named = wanted if wanted.isdisjoint(self.amended) else wanted | {AMEND}
        here = tuple(act for act in self.history.acts if act.step in named)
        if not self.lineage:
            return here
        return (*self.others_on(wanted, by=by), *here)

    def in_order(self, by: Constraint) -> tuple[TrailAct, ...]:
        """The acts of anybody that count when s is asked for, where the order of steps matters."""
        line = (item for item in self.lineage if not by.chain or item.kind == self.kind.id)
        here = (TrailAct(self.kind.id, self.step_of(act), act) for act in self.history.acts)
        return tuple(
            item for item in (*line, *here) if counts(by, self.step, item.act, on=item.step, now=self.now)
        )

    def others_on(self, steps: Iterable[str], *, by: Constraint) -> tuple[Act, ...]:
        """Those of `acts_on` that are on the other chains of the line."""
        wanted = frozenset(steps)
        return tuple(
            item.act
            for item in self.lineage
            if item.step in wanted and (not by.chain or item.kind == self.kind.id)
        )


@record
class Violation:
    """Why a constraint speaks: the count that passes the limit and the earlier acts behind it.

    `steps` (or `roles`) are what was counted; `relations` those in which the acts' persons stand to p;
    `until` is the moment from which the constraint says nothing more if nobody acts meanwhile (None: there is
    none, or it cannot be told). `missing` and `error` say what kept the constraint's condition, or the count,
    from being told; then the constraint applies all the same.
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
    """The steps of the constraint that may count when `step` is asked for: S - {s}."""
    return tuple(other for other in constraint.steps if other != step)


def counts(constraint: Constraint, step: str, act: Act, *, on: str, now: datetime) -> bool:
    """Whether an act on a step of S - {s} counts when s, which is `step`, is asked for at `now`.

    Where the constraint minds the order, that step is listed before s, or the act was not done with: then it
    can still be performed after s, however early it was claimed.

    Args:
        on: what the act is an act on; it counts for nothing where that is no step of S - {s}.
    """
    steps = constraint.steps
    if on == step or on not in steps:
        return False
    if not constraint.ordered or step not in steps:
        return True
    return steps.index(on) < steps.index(step) or act.open_at(now)


def in_order(found: Iterable[str], listed: Iterable[str]) -> tuple[str, ...]:
    """`found` in the order in which the rule file lists them."""
    wanted = set(found)
    return tuple(dict.fromkeys(item for item in listed if item in wanted))
