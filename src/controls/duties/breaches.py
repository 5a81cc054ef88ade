"""Who did what a constraint keeps apart: the constraints of a release measured against recorded acts.

Guarantees: one definition of every constraint, that of `controls.duties.constraints`, asked again for each
act with the acts before it, those on the other chains of its lines included (`controls.duties.lineage`); the
use of two roles is told only where acts show both, each by an action of its own. An act shows a role where
every grant that can have allowed it, by the roles held then, is that role's. Relations are those that the
directory knew at the time: what it did not know is not said to have been broken.
The constraints are those given, whatever was in force when the acts were done: what an older release allowed,
or a supervisor approved, is a breach here. A condition (`when`) is not evaluated, for its facts are not
recorded in the open: the breach says that it is conditional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from controls.duties.breaches_across import Across, is_across
from controls.duties.constraints import FORMULAS, Asked, concerns, exclusive_roles
from controls.duties.hearing import ANYONE
from controls.model.chain import AMEND, Act, Capacity, ChainHistory, ChainKind, Votes
from controls.model.duty import Constraint, ConstraintKind, Grant, Scope
from controls.model.lineage import ChainKey, Lineage
from controls.model.people import Profile
from controls.model.trail import TrailAct

Action: TypeAlias = tuple[str, str]  # resource type and action

# Kinds whose formula needs no more than the acts on one chain (and its lines), and who is related to whom.
_ON_CHAIN: Final = frozenset(
    {
        ConstraintKind.WHOLE_CHAIN,
        ConstraintKind.SOLE_ACTOR,
        ConstraintKind.SEPARATE,
        ConstraintKind.AT_MOST,
        ConstraintKind.AT_LEAST,
        ConstraintKind.BIND,
        ConstraintKind.VOTES,
        ConstraintKind.COALITION,
        ConstraintKind.RELATION,
    }
)
# Kinds that ask who holds a step now: an act that ended without holding it broke nothing.
_OF_STANDING: Final = frozenset({ConstraintKind.AT_LEAST, ConstraintKind.BIND, ConstraintKind.SOLE_ACTOR})


@dataclass(frozen=True, slots=True)
class Breach:
    """One constraint that one person's acts break: on one chain, or over several where `chain` is empty."""

    constraint: Constraint
    person: str
    kind: str
    chain: str
    acts: tuple[Act, ...]  # in ledger order, the one that broke it last

    @property
    def conditional(self) -> bool:
        """Whether the constraint has a condition, which was not evaluated."""
        return self.constraint.when is not None


class Breaches:
    """Collects breaches over all chains, one chain at a time.

    Args:
        constraints: those of a release, the built-in ones included.
        kinds: the chain kinds by id.
        grants: who may do what; they tell by which roles a step can have been taken.
        closure: each role with all that it inherits, itself included.
        roles_at: the roles that were assigned to a person at a moment.
        profiles_at: what the directory knew of persons at a moment.
        lineage: which chains come from which.
    """

    def __init__(
        self,
        constraints: Iterable[Constraint],
        *,
        kinds: Mapping[str, ChainKind],
        grants: Iterable[Grant],
        closure: Mapping[str, frozenset[str]],
        roles_at: Callable[[str, datetime], frozenset[str]],
        profiles_at: Callable[[datetime], Mapping[str, Profile]] = lambda _: {},
        lineage: Lineage | None = None,
    ) -> None:
        self._kinds = kinds
        self._shown = _ShownRoles(grants, closure=closure)
        self._roles_at = roles_at
        self._profiles_at = profiles_at
        self._lineage = lineage or Lineage()
        every = tuple(constraints)
        self._votes = {kind.id: most_votes(kind, every) for kind in kinds.values()}
        self._on_chain = tuple(filter(_is_on_chain, every))
        self._across = Across(every)
        self._of_roles = tuple(filter(_is_of_roles, every))
        self._found: list[Breach] = []
        self._linked: dict[ChainKey, ChainHistory] = {}  # looked at when all chains are there
        # person -> role -> the first act on each action that shows the role
        self._used: dict[str, dict[str, dict[Action, Act]]] = {}
        self.chains = 0
        self.acts = 0
        self.unknown_kinds: set[str] = set()

    def add(self, history: ChainHistory) -> None:
        """Look at all acts on one chain, in ledger order."""
        kind = self._kinds.get(history.kind)
        if kind is None:
            self.unknown_kinds.add(history.kind)
            return
        self.chains += 1
        self.acts += len(history.acts)
        if self._lineage.linked((history.kind, history.chain)):
            self._linked[history.kind, history.chain] = history
        else:
            self._found += self._on_chain_of(history, kind=kind, lines=((),))
        for act in history.acts:
            self._note_roles(act, kind=kind)
        self._across.add(history, kind=kind)

    def _on_chain_of(
        self, history: ChainHistory, *, kind: ChainKind, lines: Sequence[Sequence[TrailAct]]
    ) -> Iterable[Breach]:
        """The breaches that acts of one chain complete; `lines` are the other acts of each of its lines."""
        latest: dict[tuple[int, str], Breach] = {}
        for number, act in enumerate(history.acts):
            acts = history.acts[:number]
            before = ChainHistory(history.kind, history.chain, acts, votes=self._votes[kind.id])
            step = kind.steps[0].id if act.step == AMEND else act.step
            earlier = [tuple(item for item in line if item.act.index < act.index) for line in lines]
            for place, constraint in enumerate(self._on_chain):
                if not concerns(constraint, kind=kind, step=step):
                    continue
                if constraint.kind in _OF_STANDING and not act.stands():
                    continue
                breach = self._breach(constraint, act, step=step, before=before, kind=kind, lines=earlier)
                # Too few persons is said of the chain as it is now: one more may come, where a step repeats.
                whole = constraint.kind in (ConstraintKind.AT_LEAST, ConstraintKind.COALITION)
                if breach is not None:
                    latest[place, "" if whole else act.person] = breach
                elif whole:
                    latest.pop((place, ""), None)
        return latest.values()

    def _breach(
        self,
        constraint: Constraint,
        act: Act,
        *,
        step: str,
        before: ChainHistory,
        kind: ChainKind,
        lines: Iterable[tuple[TrailAct, ...]],
    ) -> Breach | None:
        if not constraint.effective.holds(act.at):
            return None
        related = constraint.kind is ConstraintKind.RELATION
        profiles = self._profiles_at(act.at) if related else {}
        for line in lines:
            asked = Asked(
                person=act.person,
                step=step,
                kind=kind,
                history=before,
                now=act.at,
                beside=act.beside,
                profiles=profiles,
                lineage=line,
            )
            violation = FORMULAS[constraint.kind](constraint, asked=asked)
            if violation is not None and not violation.missing:
                return Breach(constraint, act.person, before.kind, before.chain, (*violation.acts, act))
        return None

    def found(self) -> tuple[Breach, ...]:
        """All breaches so far, by constraint, chain and person."""
        every = [*self._found, *self._over_lines(), *self._over_places(), *self._over_roles()]
        order = {
            id(item): place
            for place, item in enumerate((*self._on_chain, *self._across.constraints, *self._of_roles))
        }
        return tuple(
            sorted(every, key=lambda item: (order[id(item.constraint)], item.kind, item.chain, item.person))
        )

    def _over_lines(self) -> Iterator[Breach]:
        """What the acts of linked chains complete, on whatever chain of a line the others were done."""
        for chain, history in self._linked.items():
            lines = [self._line(others) for others in self._lineage.lines(chain)]
            yield from self._on_chain_of(history, kind=self._kinds[chain[0]], lines=lines)

    def _line(self, chains: Iterable[ChainKey]) -> list[TrailAct]:
        acts = [
            TrailAct(kind, self._kinds[kind].steps[0].id if act.step == AMEND else act.step, act)
            for kind, chain in chains
            if (kind, chain) in self._linked
            for act in self._linked[kind, chain].acts
        ]
        return sorted(acts, key=lambda item: (item.act.index, item.act.claim))

    def _note_roles(self, act: Act, *, kind: ChainKind) -> None:
        """The roles that an act shows to have been used: by who acted and, where that was for somebody else,
        by that person, whose roles they are. (An approver acts as supervisor, not by the step's grant.)"""
        if act.capacity is Capacity.APPROVER or (act.capacity is Capacity.ACTOR and act.beside):
            return
        action = (kind.resource, act.step)
        for role in self._shown.by(action, held=self._roles_at(act.person, act.at)):
            for person in sorted(act.hands):
                self._used.setdefault(person, {}).setdefault(role, {}).setdefault(action, act)

    def _over_places(self) -> Iterator[Breach]:
        for item in self._across.found():
            yield Breach(item.constraint, item.person, item.kind, item.chain, item.acts)

    def _over_roles(self) -> Iterable[Breach]:
        for constraint in self._of_roles:
            for person, used in self._used.items():
                roles = _told_apart(constraint.roles, used=used)
                if exclusive_roles(constraint, roles=frozenset(roles)) is not None:
                    acts = _in_order(used[role][action] for role, action in roles.items())
                    if constraint.effective.holds(acts[-1].at):
                        yield Breach(constraint, person, constraint.chain, "", acts)


def looked_at(constraint: Constraint) -> bool:
    """Whether `Breaches` looks for breaches of the constraint; of others it says nothing."""
    return _is_on_chain(constraint) or is_across(constraint) or _is_of_roles(constraint)


def _is_on_chain(constraint: Constraint) -> bool:
    if constraint.kind is ConstraintKind.EXCLUSIVE_ROLES:
        return constraint.dynamic
    return constraint.kind in _ON_CHAIN and constraint.scope is Scope.CHAIN


def _is_of_roles(constraint: Constraint) -> bool:
    return constraint.excludes_roles


def most_votes(kind: ChainKind, constraints: Iterable[Constraint]) -> Mapping[str, Votes]:
    """The votes that each step takes at most, whatever the facts: nobody is missed who may still come."""
    needed = {step.id: step.votes for step in kind.steps}
    for constraint in constraints:
        if constraint.kind is ConstraintKind.VOTES and constraint.chain in ("", kind.id):
            for step in needed.keys() & set(constraint.steps):
                needed[step] = max(needed[step], constraint.limit)
    return {step: Votes(count) for step, count in needed.items() if count > 1}


class _ShownRoles:
    """Which roles an action shows to have been used, by the roles that its person held."""

    def __init__(self, grants: Iterable[Grant], *, closure: Mapping[str, frozenset[str]]) -> None:
        self._closure = closure
        self._granted: dict[Action, set[str]] = {}
        for grant in grants:
            for action in grant.actions:
                self._granted.setdefault((grant.resource, action), set()).add(grant.role)
        self._known: dict[tuple[Action, frozenset[str]], frozenset[str]] = {}

    def by(self, action: Action, *, held: frozenset[str]) -> frozenset[str]:
        """The roles that every grant that can have allowed it belongs to: granted to them or to an heir."""
        key = (action, held)
        if key not in self._known:
            granted = self._granted.get(action, set())
            mine = {ANYONE}.union(held, *(self._closure.get(role, frozenset()) for role in held))
            possible = [self._closure.get(role, frozenset()) | {role} for role in granted & mine]
            self._known[key] = frozenset.intersection(*possible) if possible else frozenset()
        return self._known[key]


def _told_apart(roles: Sequence[str], *, used: Mapping[str, Mapping[Action, Act]]) -> dict[str, Action]:
    """As many of the roles as possible, each with an action of its own: a maximum matching (Kuhn)."""
    taken: dict[Action, str] = {}

    def place(role: str, seen: set[Action]) -> bool:
        for action in sorted(used.get(role, ())):
            if action not in seen:
                seen.add(action)
                if action not in taken or place(taken[action], seen):
                    taken[action] = role
                    return True
        return False

    for role in dict.fromkeys(roles):
        place(role, set())
    return {role: action for action, role in sorted(taken.items())}


def _in_order(acts: Iterable[Act]) -> tuple[Act, ...]:
    return tuple(sorted(acts, key=lambda act: (act.index, act.claim)))
