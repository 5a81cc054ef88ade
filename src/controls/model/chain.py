"""Chain kinds (what an order goes through) and the history of one chain (who did what)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from controls.model.finding import Text
from controls.model.record import record

AMEND: Final = "amend"  # the action that changes material facts; its acts are part of the history


class Repeats(StrEnum):
    """Who may take a step that has been taken before."""

    NEVER = "never"
    SAME_PERSON = "same_person"
    ANYONE = "anyone"


@dataclass(frozen=True, slots=True)
class Step:
    """One action of a chain. `after` names the steps that must come before it.

    A step of several `votes` takes that many persons, each of whom claims and performs it once; it counts as
    performed when all of them have.
    """

    id: str
    title: Text
    office: str = ""
    after: tuple[str, ...] = ()
    optional: bool = False
    repeats: Repeats = Repeats.NEVER
    reapprove: bool = False  # a permitted `amend` reopens it
    material: tuple[str, ...] | None = None  # None: the chain kind's list
    lines: str = ""  # the fact whose elements become ledger entries of their own (allocation lines)
    votes: int = 1


@dataclass(frozen=True, slots=True)
class ChainKind:
    """A kind of chain: its steps, their order and the facts that may not change along the way.

    `if_stated` are further such facts, which a step may leave out: what was stated of them first holds.
    `resembles` is for how long a chain is remembered as one that a new one may be the same as (None: a new
    chain is compared with none).
    """

    id: str
    title: Text
    resource: str
    steps: tuple[Step, ...]
    material: tuple[str, ...] = ()
    if_stated: tuple[str, ...] = ()
    free_order: bool = False
    progress_claimed: bool = False  # a step comes after another once that one is claimed
    sole_actor_allowed: bool = False
    claim_valid_for: timedelta = timedelta(hours=24)
    resembles: timedelta | None = None
    mandatory: tuple[str, ...] = field(init=False, compare=False)  # ids of the steps that are not optional
    _by_id: Mapping[str, Step] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        mandatory = tuple(step.id for step in self.steps if not step.optional)
        object.__setattr__(self, "mandatory", mandatory)
        object.__setattr__(self, "_by_id", {step.id: step for step in reversed(self.steps)})

    def step(self, name: str) -> Step | None:
        return self._by_id.get(name)

    @property
    def beginnings(self) -> frozenset[str]:
        """The steps that may be a chain's first."""
        return frozenset(step.id for step in self.steps if self.free_order or not step.after)

    def following(self, *steps: str) -> frozenset[str]:
        """All steps that come after one of `steps`, directly or not."""
        found: set[str] = set()
        frontier = set(steps)
        while frontier:
            after = {step.id for step in self.steps if frontier.intersection(step.after)} - found
            found |= after
            frontier = after
        return frozenset(found)

    def material_of(self, step: Step) -> tuple[str, ...]:
        return self.material if step.material is None else step.material


class ActState(StrEnum):
    """What became of an act. Ending a claim frees the step, never the person."""

    CLAIMED = "claimed"
    PERFORMED = "performed"
    ABANDONED = "abandoned"
    VOID = "void"
    REOPENED = "reopened"  # an amendment asks for the step again


class Capacity(StrEnum):
    """In what capacity a person acted on a step."""

    ACTOR = "actor"
    APPROVER = "approver"
    PRINCIPAL = "principal"  # somebody else acted for this person


STANDING = frozenset({ActState.CLAIMED, ActState.PERFORMED})


@record
class Act:
    """One person's act on one step of one chain.

    `claim` is the claim's id; `decision` the decision that granted it; `key` the credential that asked;
    `at` when it was granted, and `done_at` when it was done with: performed, or its claim ended otherwise
    (None: it is still claimed, and may be performed at any time). What is done with its decision, and the
    claim of a kind that takes claims for progress, is done at once; for whom somebody acts, when that one is;
    `material` the canonical text of the material facts then, and the digest of the step's lines under their
    name; `index` its ledger entry. Where somebody acted
    for somebody else there are two acts on the step, the actor's and the principal's, and `beside` is the
    other person on each.
    """

    claim: str
    decision: str
    chain: str
    step: str
    person: str
    account: str
    capacity: Capacity
    state: ActState
    at: datetime
    done_at: datetime | None
    valid_until: datetime
    index: int
    key: str = ""
    material: Mapping[str, str] = field(default_factory=dict)
    beside: str = ""

    @property
    def hands(self) -> frozenset[str]:
        """The one or two persons whose act it is."""
        return frozenset((self.person, self.beside or self.person))

    def younger_than(self, span: timedelta, *, now: datetime) -> bool:
        """Whether less than `span` has passed since it was done with; what is not done with has not begun to
        age. An act that was done with only after `now` was not at `now`."""
        return self.done_at is None or now - self.done_at < span

    def open_at(self, now: datetime) -> bool:
        """Whether it was not done with at `now`: what it claims might still be performed."""
        return self.done_at is None or now < self.done_at

    def stands(self) -> bool:
        """Whether the act holds its step: claimed or performed, by its actor."""
        return self.capacity is Capacity.ACTOR and self.state in STANDING


@dataclass(frozen=True, slots=True)
class Votes:
    """How many persons a step takes, and the constraints that ask for so many (none: the step itself)."""

    needed: int
    rules: tuple[str, ...] = ()


@record
class ChainHistory:
    """All acts on one chain in ledger order; `votes` are the steps that take more than one person now."""

    kind: str
    chain: str
    acts: tuple[Act, ...] = ()
    votes: Mapping[str, Votes] | None = None

    def begun(self) -> bool:
        """Whether anybody has acted on the chain; approving what is then not done begins nothing."""
        return any(act.capacity is Capacity.ACTOR for act in self.acts)

    def steps_of(self, person: str) -> frozenset[str]:
        """Steps that count against the person: whatever became of them, and those approved too."""
        return frozenset(act.step for act in self.acts if act.person == person)

    def actors(self) -> frozenset[str]:
        """Persons whose acts stand."""
        return frozenset(act.person for act in self.acts if act.stands())

    def parties(self) -> frozenset[str]:
        """Everybody who had a hand in the chain, approvers, abandoned claims and those for whom others acted
        included."""
        return frozenset(act.person for act in self.acts)

    def standing(self, step: str) -> tuple[Act, ...]:
        """The acts that hold `step` now."""
        return tuple(act for act in self.acts if act.step == step and act.stands())

    def needed(self, step: str) -> int:
        """How many persons `step` takes."""
        if self.votes is None or step not in self.votes:
            return 1
        return self.votes[step].needed

    def holders(self, step: str) -> frozenset[str]:
        """The persons who hold `step` now."""
        return frozenset(act.person for act in self.acts if act.step == step and act.stands())

    def performers(self, step: str) -> frozenset[str]:
        """The persons who have performed `step`, and whose acts stand."""
        return frozenset(
            act.person
            for act in self.acts
            if act.step == step and act.state is ActState.PERFORMED and act.stands()
        )

    def performed(self, step: str) -> bool:
        """Whether `step` is done: by one person, or by as many as it takes votes."""
        if self.votes is not None and step in self.votes:
            return len(self.performers(step)) >= self.votes[step].needed
        return any(act.step == step and act.state is ActState.PERFORMED and act.stands() for act in self.acts)

    def last(self, step: str) -> Act | None:
        """The latest act that holds `step`."""
        found = self.standing(step)
        return found[-1] if found else None
