"""What a release says of who may do the rest of a chain, prepared for one chain kind.

Guarantees: only what denies is here. A constraint that asks for a review can be had with a supervisor's word,
so it keeps nobody from anything for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import combinations
from typing import Final, NamedTuple

from controls.duties.constraints import ALWAYS, concerns, exclusive_roles
from controls.duties.hearing import ANYONE, NO_ROLES
from controls.duties.trails import trail_name
from controls.duties.turns import is_open
from controls.model.chain import ChainKind, Repeats
from controls.model.condition import Condition
from controls.model.duty import Constraint, ConstraintKind, Grant
from controls.model.finding import Effect

# Nobody waits longer until what was done on other chains counts no more.
WAIT: Final = timedelta(days=1)


class Right(NamedTuple):
    """A grant of one step: whoever holds `role`, or a role that inherits it, may take step number `step`."""

    id: str
    step: int
    role: str
    when: Condition | None
    fixed: tuple[str, ...]  # the facts it reads that hold for the rest of the chain once they are stated

    @property
    def personal(self) -> bool:
        """Whether it depends on who the person is, besides the roles."""
        return self.when is not None and any(name.startswith("person.") for name in self.when.names)


class Limit(NamedTuple):
    """A constraint that denies; `steps` is the set of those that it is asked at."""

    constraint: Constraint
    steps: int
    fixed: tuple[str, ...]

    @property
    def moving(self) -> bool:
        """Whether it may apply or not."""
        return self.constraint.when is not None or self.constraint.effective != ALWAYS


class Ballot(NamedTuple):
    """A step (`number`) that may take several persons: `least` by itself, and as many as any of those
    constraints in `asked` asks for that applies."""

    number: int
    step: str
    least: int
    asked: tuple[Limit, ...]
    waiting: int  # the set of steps that wait for it

    @property
    def most(self) -> int:
        return max(self.least, *(limit.constraint.limit for limit in self.asked), 0)


class ChainRules:
    """The rules of one chain kind. Steps are numbered in the order of the kind; a set of steps is an integer.

    `rights` are its grants and `limits` its constraints; `exclusions` are those over roles that persons hold,
    whatever they do. `ballots` are of the steps that may take several persons, and `again` are the steps that
    may be taken more than once. `rings`: some of the limits are over groups of persons. `open_pairs` are, for
    each limit that minds the order of its steps (by its number), the pairs of them that the chain lets take
    either order. `other` is the number that stands for amendments and steps that the kind has no more, and
    for nothing that is ever wanted. `foreign` are those of steps of other kinds that a constraint over
    several kinds counts together with steps of this one. `reaching` are the limits (by number) that
    keep persons from steps by what was done beyond the chain and for longer than anybody waits, each with
    its trail.
    """

    def __init__(
        self,
        kind: ChainKind,
        *,
        grants: Iterable[Grant],
        closure: Mapping[str, frozenset[str]],
        constraints: Iterable[Constraint],
    ) -> None:
        self.kind = kind
        self.steps = tuple(step.id for step in kind.steps)
        self.bits = {step: 1 << number for number, step in enumerate(self.steps)}
        self.mandatory = sum(self.bits[step] for step in kind.mandatory)
        self._closure = closure
        self.rights = [
            Right(grant.id, number, grant.role, grant.when, self._fixed(grant.when, (step,)))
            for number, step in enumerate(self.steps)
            for grant in grants
            if grant.resource == kind.resource and step in grant.actions
        ]
        every = tuple(constraints)
        ballots = filter(None, (self._ballot(step.id, step.votes, every) for step in kind.steps))
        # Those that nothing waits for first.
        self.ballots = tuple(sorted(ballots, key=lambda ballot: ballot.waiting.bit_count()))
        self.again = frozenset(step.id for step in kind.steps if step.repeats is not Repeats.NEVER)
        # Past the numbers of all votes beyond the first of a step.
        self.other = 1 << len(self.steps) + sum(ballot.most - 1 for ballot in self.ballots)
        limits = [self._limit(item) for item in every if item.then is Effect.DENY]
        limits = [limit for limit in limits if limit.steps]
        named = {
            step: None
            for limit in limits
            for step in (*limit.constraint.steps, *limit.constraint.distinct_from)
            if not limit.constraint.chain and step not in self.bits
        }
        self.foreign = {step: self.other << 1 + place for place, step in enumerate(named)}
        self.exclusions = [limit for limit in limits if _is_static(limit.constraint)]
        self.limits = [limit for limit in limits if not _is_static(limit.constraint)]
        self.open_pairs = [
            (number, pair)
            for number, limit in enumerate(self.limits)
            if limit.constraint.ordered and limit.constraint.within is None
            for pair in combinations(dict.fromkeys(limit.constraint.steps), 2)
            if self.bits.keys() >= set(pair) and is_open(kind, *pair)
        ]
        self.reaching = [
            (number, trail_name(limit.constraint))
            for number, limit in enumerate(self.limits)
            if limit.constraint.kind in (ConstraintKind.SEPARATE, ConstraintKind.CHINESE_WALL)
            and limit.constraint.within is not None
            and limit.constraint.within > WAIT
        ]
        self.rings = any(limit.constraint.kind is ConstraintKind.COALITION for limit in self.limits)
        # Where rules move, so do the answers.
        self.moving_rights = [
            (index, right) for index, right in enumerate(self.rights) if right.when and not right.personal
        ]
        self.personal = [(index, right) for index, right in enumerate(self.rights) if right.personal]
        self.moving_limits = [limit for limit in (*self.exclusions, *self.limits) if limit.moving]
        self.relations = tuple(
            dict.fromkeys(
                name for limit in self.limits for name in (*limit.constraint.forbid, *limit.constraint.differ)
            )
        )
        self._signs: dict[frozenset[str], int] = {}

    def sign(self, roles: frozenset[str]) -> int:
        """The rights of somebody with these roles (by number) and, after them, the exclusions broken."""
        found = self._signs.get(roles)
        if found is None:
            held = frozenset({ANYONE}).union(roles, *(self._closure.get(role, NO_ROLES) for role in roles))
            bits = [right.role in held for right in self.rights]
            bits += [exclusive_roles(limit.constraint, roles=held) is not None for limit in self.exclusions]
            found = self._signs[roles] = sum(1 << number for number, bit in enumerate(bits) if bit)
        return found

    def eligible(self, step: int) -> tuple[str, ...]:
        """The roles that some grant lets take the step, on whatever condition."""
        granted = {right.role for right in self.rights if right.step == step}
        return tuple(sorted(granted | {role for role, held in self._closure.items() if held & granted}))

    def _limit(self, constraint: Constraint) -> Limit:
        asked = [step for step in self.steps if concerns(constraint, kind=self.kind, step=step)]
        steps = sum(self.bits[step] for step in asked)
        return Limit(constraint, steps, self._fixed(constraint.when, asked))

    def _ballot(self, step: str, least: int, constraints: Sequence[Constraint]) -> Ballot | None:
        waiting = self.kind.following(step)
        # Whoever asks for a step that waits for the votes asks how many there must be, too.
        asked = tuple(
            Limit(item, self.bits[step], self._fixed(item.when, (step, *waiting)))
            for item in constraints
            if item.kind is ConstraintKind.VOTES and item.chain in ("", self.kind.id) and step in item.steps
        )
        found = Ballot(self.steps.index(step), step, least, asked, sum(self.bits[other] for other in waiting))
        return found if found.most > 1 else None

    def _fixed(self, when: Condition | None, steps: Sequence[str]) -> tuple[str, ...]:
        """The facts that a condition reads and that are material at each of `steps`: what is stated of them
        now must be stated again there."""
        if when is None or not steps:
            return ()
        material = [frozenset(self.kind.material_of(step)) for step in self.kind.steps if step.id in steps]
        return tuple(sorted(when.names.intersection(*material)))


def _is_static(constraint: Constraint) -> bool:
    return constraint.kind is ConstraintKind.EXCLUSIVE_ROLES and not constraint.dynamic
