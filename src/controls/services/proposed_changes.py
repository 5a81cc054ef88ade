"""Which changes could flip a decision: read off its findings, rule by rule and duty by duty.

Guarantees: what is proposed is what somebody could bring about (another value of a fact that callers state, a
role that the directory would not refuse, a person who is there now, a step that the chain waits for, a moment
to come); a finding of which whoever asks is not told leads to no proposal. Nothing here says that a change
suffices: that is decided (`changed_worlds`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from controls.decide import ActiveRelease, facts_in
from controls.duties.hearing import ANYONE
from controls.duties.material import baseline
from controls.model.chain import ActState, ChainHistory, ChainKind
from controls.model.condition import Condition, Facts
from controls.model.duty import Constraint, ConstraintKind, Grant
from controls.model.finding import Effect, Finding
from controls.model.people import Account, AccountKind
from controls.model.request import Request
from controls.model.values import MISSING, from_microseconds, microseconds
from controls.rules.condition import WholeCondition
from controls.rules.domains import Domain, domains_of, is_ordered
from controls.rules.rule import Rule
from controls.rules.turning_points import Proposed, by_distance, sample, turning_points
from controls.rules.values_on_record import values_on_record
from controls.services.changed_worlds import (
    AnotherPerson,
    Change,
    EarlierStep,
    Later,
    OtherFact,
    OtherRole,
    World,
)
from controls.services.grant_conflicts import GrantConflicts
from controls.store.directory import Directory
from controls.store.people import Assignment, holds

# How many persons are looked at; more are for a search (`/access/v1/search/subject`).
PEOPLE_AT_MOST: Final = 1_000
_WITHOUT_ROLES: Final = 3
# How many persons are tried for a step that is still to be done.
_HANDS_AT_MOST: Final = 8
_MOMENTS_AT_MOST: Final = 8
_ROLES_AT_MOST: Final = 16
_VALUES_AT_MOST: Final = 32  # of all facts, for one decision
# No later than this is proposed: further ahead, nobody knows the rules.
HORIZON: Final = timedelta(days=730)
# Facts of the service's own by which a rule tells persons apart.
_PERSONAL: Final = frozenset({"subject.id", "person.id", "person.roles"})
# What the service itself finds whoever asks.
_IMPERSONAL: Final = frozenset(
    {
        "malformed_fact",
        "misspelt_fact",
        "material_missing",
        "material_changed",
        "amend_too_late",
        "unknown_action",
        "unknown_chain",
    }
)


@dataclass(slots=True)
class Proposals:
    """What could be otherwise about one request.

    `covered` says whether whoever asks may speak for a login; `open_work` how many steps each person holds
    unfinished.
    """

    active: ActiveRelease
    directory: Directory
    request: Request
    now: datetime
    covered: Callable[[str], bool]
    open_work: Mapping[str, int]
    domains: Mapping[str, Domain] = field(init=False)  # of the facts that callers state
    _people: list[AnotherPerson] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        vocabulary = self.active.release.vocabulary
        stated = {name for name, fact in vocabulary.facts.items() if fact.source == "caller"}
        self.domains = {name: item for name, item in domains_of(vocabulary).items() if name in stated}

    @property
    def kind(self) -> ChainKind | None:
        return self.active.release.chains.get(self.request.resource_type)

    def people(self) -> list[AnotherPerson]:
        """Everybody who is there now, by open work and then by pseudonym, each with one login."""
        if self._people is None:
            at = microseconds(self.now)
            found = []
            for person in self.directory.present(at=at):
                logins = sorted(
                    item.login
                    for item in self.directory.people[person].accounts
                    if item.kind is AccountKind.PERSON and holds(item, at) and self.covered(item.login)
                )
                account = self.directory.account(logins[0], at=at) if logins else None
                if account is not None:
                    found.append(AnotherPerson(account, self.open_work.get(person, 0)))
            self._people = sorted(found, key=lambda item: (item.open, item.account.person.id))
        return self._people

    def others(self, world: World) -> list[AnotherPerson]:
        """Those who could ask instead, where somebody else could make a difference."""
        if not any(self._personal(finding) for finding in _told(world)):
            return []
        account = world.situation.account
        # Whoever asks for somebody else could also ask for himself or herself.
        own = "" if account is None or world.request.on_behalf_of else account.person.id
        roles = self.eligible(world.request.action)
        others = [item for item in self.people() if item.account.person.id != own]
        able = [item for item in others if ANYONE in roles or item.account.person.roles & roles]
        # Whoever has no role for it could only with one more: of those a few will do.
        rest = (item for item in others if ANYONE not in roles and not item.account.person.roles & roles)
        return [*able, *islice(rest, _WITHOUT_ROLES)]

    def _personal(self, finding: Finding) -> bool:
        rule = self.active.rules.get((finding.rule, finding.version))
        if rule is None:
            return finding.rule not in _IMPERSONAL
        names = rule.condition.names
        return not names.isdisjoint(_PERSONAL) or not names.isdisjoint(self.active.release.aggregates)

    def after(self, world: World) -> list[Change]:
        """What could be otherwise besides who asks, so that the findings of this world go away."""
        reading = _Reading(self, world)
        for finding in _told(world):
            reading.read(finding)
        return reading.changes()

    def steps(self, steps: Iterable[str], world: World, history: ChainHistory) -> Iterator[EarlierStep]:
        """Who could do each of these steps first: whoever has claimed it, else those with a role for it."""
        kind = self.kind
        account = world.situation.account
        for name in steps:
            if kind is None or kind.step(name) is None or name == world.request.action:
                continue
            held = history.standing(name)
            claimed = (act.account for act in held if act.state is ActState.CLAIMED)
            yield from self._holders(name, claimed)
            if held and len(held) >= history.needed(name):
                continue
            roles = self.eligible(name)
            able = (item for item in self.people() if ANYONE in roles or item.account.person.roles & roles)
            own = account.person.id if account is not None else ""
            ranked = sorted(islice(able, _HANDS_AT_MOST), key=lambda item: item.account.person.id == own)
            yield from (EarlierStep(name, item.account, held=False) for item in ranked)

    def _holders(self, step: str, references: Iterable[str]) -> Iterator[EarlierStep]:
        for reference in references:
            record = self.directory.references.get(reference)
            account = (
                None if record is None else self.directory.account(record.login, at=microseconds(self.now))
            )
            if account is not None:
                yield EarlierStep(step, account, held=True)

    def eligible(self, action: str) -> frozenset[str]:
        """The roles that could be granted the action, those that inherit one of them included."""
        granted = {grant.role for grant in self.grants(action)}
        roles = self.active.release.roles
        return frozenset(granted | {role for role, implied in roles.items() if implied & granted})

    def grants(self, action: str) -> list[Grant]:
        resource = self.request.resource_type
        return [
            item
            for item in self.active.release.grants
            if item.resource == resource and action in item.actions
        ]

    def roles_to_give(self, account: Account) -> Iterator[OtherRole]:
        """Roles that could be granted the action, of those that the directory would take."""
        at = microseconds(self.now)
        before = self.directory.people[account.person.id]
        conflicts = GrantConflicts(self.directory.people, release=self.active.release, at=at)
        for role in sorted(self.eligible(self.request.action) - account.person.roles - {ANYONE}):
            more = Assignment(account.person.id, role, at, None)
            if next(conflicts.of(replace(before, roles=(*before.roles, more)), before), None) is None:
                yield OtherRole(account.person.id, role, given=True)


def _told(world: World) -> Iterator[Finding]:
    """The findings that keep it from being permitted, of which whoever asks is told."""
    for finding in world.decision.findings:
        if finding.effect in (Effect.DENY, Effect.REVIEW) and not finding.observed and not finding.silent:
            yield finding


@dataclass(slots=True)
class _Reading:
    """The findings of one world, read one by one."""

    all: Proposals
    world: World
    facts: Facts = field(init=False)
    values: dict[str, dict[Proposed, None]] = field(default_factory=dict, init=False)
    moments: set[datetime] = field(default_factory=set, init=False)
    steps: dict[str, None] = field(default_factory=dict, init=False)
    roles: dict[OtherRole, None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.facts = facts_in(self.world.request, self.world.situation, active=self.all.active)

    def changes(self) -> list[Change]:
        found: list[Change] = []
        found += islice(self._facts(), _VALUES_AT_MOST)
        found += [*self.roles][:_ROLES_AT_MOST]
        found += self.all.steps(self.steps, self.world, self.facts.chain)
        now = self.world.situation.now
        late = self.all.now + HORIZON
        found += [Later(item) for item in sorted(self.moments) if now < item < late][:_MOMENTS_AT_MOST]
        return found

    def _facts(self) -> Iterator[OtherFact]:
        for name, proposed in self.values.items():
            current = self.facts.values.get(name, MISSING)
            stated = name in self.world.request.properties
            kind = self.all.domains[name].type.kind
            ordered = is_ordered(kind)
            for value in by_distance(proposed, current, kind=kind) if ordered else proposed:
                if value != current or (value is MISSING and stated):
                    yield OtherFact(name, value, stated, nearest=ordered)

    def read(self, finding: Finding) -> None:
        active = self.all.active
        rule = active.rules.get((finding.rule, finding.version))
        constraint = next((item for item in active.enforcement.constraints if item.id == finding.rule), None)
        if rule is not None:
            self._rule(rule)
        elif constraint is not None:
            self._constraint(constraint, finding)
        else:
            self._built_in(finding)
        for name in finding.missing:
            if not self.values.get(name):
                self._sample(name)

    def _sample(self, name: str) -> None:
        """Propose any value at all for a fact."""
        domain = self.all.domains.get(name)
        known = None if domain is None else sample(domain)
        if known is not None:
            self._value(name, known)

    def _value(self, name: str, value: Proposed) -> None:
        if name in self.all.domains and not isinstance(value, Mapping | tuple):
            self.values.setdefault(name, {})[value] = None

    def _condition(self, condition: Condition) -> None:
        if not isinstance(condition, WholeCondition):
            return
        found = turning_points(condition.tree, self.facts, self.all.domains)
        for name, values in found.values.items():
            self.values.setdefault(name, {}).update(values)
        self.moments |= found.moments
        self.steps |= found.steps

    def _rule(self, rule: Rule) -> None:
        for condition in rule.conditions:
            self._condition(condition)
        self.moments.update(period.end for period in rule.periods if period.end is not None)
        aggregates = self.all.active.release.aggregates
        for name in rule.condition.names & aggregates.keys():
            self.moments.update(at + aggregates[name].within for at in self.world.counted)

    def _constraint(self, constraint: Constraint, finding: Finding) -> None:
        if constraint.when is not None:
            self._condition(constraint.when)
        moments = (finding.values.get("until"), constraint.effective.end)
        self.moments.update(at for at in moments if isinstance(at, datetime))
        account = self.world.situation.account
        if constraint.kind is ConstraintKind.EXCLUSIVE_ROLES and account is not None:
            implied = self.all.active.release.roles
            for role in sorted(account.person.roles):
                if implied.get(role, frozenset()).intersection(constraint.roles):
                    self.roles[OtherRole(account.person.id, role, given=False)] = None

    def _built_in(self, finding: Finding) -> None:
        account = self.world.situation.account
        if finding.rule in ("no_grant", "grant_unknown"):
            for grant in self.all.grants(self.world.request.action):
                if grant.when is not None:
                    self._condition(grant.when)
            if account is not None:
                self.roles.update(dict.fromkeys(self.all.roles_to_give(account)))
                records = self.all.directory.people[account.person.id].roles
                self.moments.update(from_microseconds(item.valid_from) for item in records)
        elif finding.rule in ("not_yet", "unknown_chain"):
            self._steps_before(finding)
        elif finding.rule in ("material_changed", "material_missing"):
            recorded = values_on_record(
                self.all.active.release.vocabulary, baseline(self.world.situation.history)
            )
            for name in (*finding.missing, *finding.values):
                if name in recorded:
                    self._value(name, recorded[name])
        elif finding.rule == "malformed_fact":
            for name in finding.missing:
                self._value(name, MISSING)
                self._sample(name)
        elif finding.rule == "misspelt_fact":
            for name in finding.missing:
                self._sample(name)
        elif finding.rule in ("would_strand", "strand_unknown"):
            at = microseconds(self.world.situation.now)
            away = (item for one in self.all.directory.people.values() for item in one.absences)
            ends = (item.valid_to for item in away if holds(item, at) and item.valid_to is not None)
            self.moments.update(from_microseconds(end) for end in ends)

    def _steps_before(self, finding: Finding) -> None:
        kind = self.all.kind
        told = finding.values.get("steps")
        if isinstance(told, tuple):
            self.steps.update(dict.fromkeys(str(step) for step in told))
        elif kind is not None:
            self.steps.update(dict.fromkeys(step.id for step in kind.steps if not step.after))
