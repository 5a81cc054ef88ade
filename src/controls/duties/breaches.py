"""Who did what a constraint keeps apart: the constraints of a release measured against recorded acts.

Guarantees: one definition of every constraint, that of `controls.duties.constraints`, asked again for each
act with the acts before it; the use of two roles is told only where acts show both, each by an action of its
own. An act shows a role where every grant that can have allowed it, by the roles held then, is that role's.
The constraints are those given, whatever was in force when the acts were done: what an older release allowed,
or a supervisor approved, is a breach here. A condition (`when`) is not evaluated, for its facts are not
recorded in the open: the breach says that it is conditional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from controls.duties.constraints import FORMULAS, Asked, concerns, exclusive_roles
from controls.duties.hearing import ANYONE
from controls.model.chain import AMEND, Act, Capacity, ChainHistory, ChainKind, Votes
from controls.model.duty import Constraint, ConstraintKind, Grant, Scope

Action: TypeAlias = tuple[str, str]  # resource type and action

# Kinds whose formula needs no more than the acts on one chain; of kinds that are not here nothing is said.
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
    """

    def __init__(
        self,
        constraints: Iterable[Constraint],
        *,
        kinds: Mapping[str, ChainKind],
        grants: Iterable[Grant],
        closure: Mapping[str, frozenset[str]],
        roles_at: Callable[[str, datetime], frozenset[str]],
    ) -> None:
        self._kinds = kinds
        self._shown = _ShownRoles(grants, closure=closure)
        self._roles_at = roles_at
        every = tuple(constraints)
        self._votes = {kind.id: most_votes(kind, every) for kind in kinds.values()}
        self._on_chain = tuple(filter(_is_on_chain, every))
        self._on_account = tuple(filter(_is_on_account, every))
        self._of_roles = tuple(filter(_is_of_roles, every))
        self._found: list[Breach] = []
        # (constraint, account, person) -> the first act on each step of each of the account's chains
        self._accounts: dict[tuple[int, str, str], dict[tuple[str, str, str], Act]] = {}
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
        latest: dict[tuple[int, str], Breach] = {}
        for number, act in enumerate(history.acts):
            acts = history.acts[:number]
            before = ChainHistory(history.kind, history.chain, acts, votes=self._votes[kind.id])
            step = kind.steps[0].id if act.step == AMEND else act.step
            for place, constraint in enumerate(self._on_chain):
                if not concerns(constraint, kind=kind, step=step):
                    continue
                if constraint.kind in _OF_STANDING and not act.stands():
                    continue
                breach = _breach(constraint, act, step=step, before=before, kind=kind)
                # Too few persons is said of the chain as it is now: one more may come, where a step repeats.
                whole = constraint.kind in (ConstraintKind.AT_LEAST, ConstraintKind.COALITION)
                if breach is not None:
                    latest[place, "" if whole else act.person] = breach
                elif whole:
                    latest.pop((place, ""), None)
            self._note_roles(act, kind=kind)
        self._found += latest.values()
        self._note_accounts(history, kind=kind)

    def found(self) -> tuple[Breach, ...]:
        """All breaches so far, by constraint, chain and person."""
        every = [*self._found, *self._over_accounts(), *self._over_roles()]
        order = {
            id(item): place
            for place, item in enumerate((*self._on_chain, *self._on_account, *self._of_roles))
        }
        return tuple(
            sorted(every, key=lambda item: (order[id(item.constraint)], item.kind, item.chain, item.person))
        )

    def _note_roles(self, act: Act, *, kind: ChainKind) -> None:
        if act.capacity is Capacity.ACTOR:  # an approver acts as supervisor, not by the step's grant
            action = (kind.resource, act.step)
            used = self._used.setdefault(act.person, {})
            for role in self._shown.by(action, held=self._roles_at(act.person, act.at)):
                used.setdefault(role, {}).setdefault(action, act)

    def _note_accounts(self, history: ChainHistory, *, kind: ChainKind) -> None:
        """A chain belongs to each account that any of its acts states; all its acts count there."""
        stated = [act.material.get(f"{kind.resource}.account", "") for act in history.acts]
        for account in filter(None, dict.fromkeys(stated if self._on_account else ())):
            for act in history.acts:
                step = kind.steps[0].id if act.step == AMEND else act.step
                for place, constraint in enumerate(self._on_account):
                    if step in constraint.steps and constraint.chain in ("", kind.id):
                        acts = self._accounts.setdefault((place, account, act.person), {})
                        acts.setdefault((history.kind, history.chain, step), act)

    def _over_accounts(self) -> Iterable[Breach]:
        for (place, _, person), acts in self._accounts.items():
            constraint = self._on_account[place]
            if len(acts) > constraint.limit and constraint.effective.holds(max(a.at for a in acts.values())):
                yield Breach(constraint, person, constraint.chain, "", _in_order(acts.values()))

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
    return _is_on_chain(constraint) or _is_on_account(constraint) or _is_of_roles(constraint)


def _is_on_chain(constraint: Constraint) -> bool:
    if constraint.kind is ConstraintKind.EXCLUSIVE_ROLES:
        return constraint.dynamic
    return constraint.kind in _ON_CHAIN and constraint.scope is Scope.CHAIN


def _is_on_account(constraint: Constraint) -> bool:
    forever = constraint.within is None and not constraint.groups
    return constraint.kind is ConstraintKind.AT_MOST and constraint.scope is Scope.ACCOUNT and forever


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


def _breach(
    constraint: Constraint, act: Act, *, step: str, before: ChainHistory, kind: ChainKind
) -> Breach | None:
    if not constraint.effective.holds(act.at):
        return None
    asked = Asked(person=act.person, step=step, kind=kind, history=before, now=act.at)
    violation = FORMULAS[constraint.kind](constraint, asked=asked)
    if violation is None:
        return None
    return Breach(constraint, act.person, before.kind, before.chain, (*violation.acts, act))


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
