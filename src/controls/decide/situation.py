"""What a decision reads besides the request: the release in force, and all that is known as of the lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from controls.duties.approving import Approving
from controls.duties.ballots import Ballots, ballots_of
from controls.duties.enforcement import Enforcement
from controls.duties.lookahead import LookAhead
from controls.duties.moving import Arrival
from controls.duties.trails import trails_of
from controls.model.chain import ChainHistory, ChainKind
from controls.model.condition import Facts
from controls.model.crowd import Crowd
from controls.model.decision import Approval
from controls.model.duty import ConstraintKind
from controls.model.lineage import LineageReading
from controls.model.people import Account, Principal, Profile
from controls.model.record import record
from controls.model.trail import Trail, TrailPlace, TrailReading
from controls.model.window import AggregateReading
from controls.rules.engine import Engine
from controls.rules.release import Release
from controls.rules.rule import Rule
from controls.rules.vocabulary import FactReading
from controls.rules.watching import Watched, watched_by


@dataclass(frozen=True, slots=True)
class ActiveRelease:
    """A release with what is built from it once: Casbin's enforcers, the rule engine and indexes."""

    release: Release
    enforcement: Enforcement
    engine: Engine
    rules: Mapping[tuple[str, str], Rule] = field(init=False)  # by id and version: an id may have several
    trails: Mapping[str, tuple[Trail, ...]] = field(init=False)  # by chain kind; only kinds with any
    ballots: Mapping[str, Ballots] = field(init=False)  # by chain kind; only kinds with any
    related: frozenset[str] = field(init=False)  # chain kinds with a constraint over how persons are related
    watched: Mapping[str, Watched] = field(init=False)  # by `resource.action`; only actions with any
    ahead: LookAhead = field(init=False)
    kinds: Mapping[str, ChainKind] = field(init=False)  # by their own ids

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", {(rule.id, rule.version): rule for rule in self.release.rules})
        kinds = self.release.chains.values()
        constraints = self.release.constraints
        object.__setattr__(self, "trails", trails_of(constraints, chains=kinds))
        object.__setattr__(self, "ballots", ballots_of(constraints, chains=kinds))
        about = {item.chain for item in constraints if item.kind is ConstraintKind.RELATION}
        related = frozenset(kind.id for kind in kinds if not about.isdisjoint(("", kind.id)))
        object.__setattr__(self, "related", related)
        object.__setattr__(self, "watched", watched_by(self.release.rules, self.release.aggregates))
        ahead = LookAhead(self.release.grants, self.release.roles, constraints, kinds)
        object.__setattr__(self, "ahead", ahead)
        object.__setattr__(self, "kinds", {kind.id: kind for kind in kinds})

    def counted(self, facts: Facts, *, kind: str) -> Facts:
        """`facts` about a chain of a kind, with the votes that its steps take."""
        ballots = self.ballots.get(kind)
        if ballots is None:
            return facts
        return Facts(facts.values, ballots.counted(facts), facts.now, facts.gaps, facts.later)


@record
class Situation:
    """Everything a decision reads besides the request, as of the lock.

    `account` is the subject's account now, if there is one. `trails` are the acts of other chains that
    constraints look at (what is not there could not be told, or is looked at by none), and `profiles` what
    the directory knows of persons, where a constraint asks. `approvals` are those given for this resource.
    `reviewed` is what a `review` resource is about. `aggregates` are those that the rules of the action read
    (None: they read none). `crowd` is everybody who can act (None: nobody looks ahead whether the rest of a
    chain can be done), and `places` where the chain is, which is looked at then. `lineage` is what other
    chains have to do with it (None: nothing). `principal` is whom the request is made for (None: it names
    nobody), `their_trails` and `their_aggregates` what is read of that person.
    `arriving` is, by trail, where an amendment would bring the chain, if anywhere, and `been` what was done
    where it has been by those who act on it (of trails that are looked at on a condition).
    `mitigated` are, by person, the constraints with which a conflict is accepted, each with the mitigation.
    """

    reading: FactReading
    account: Account | None
    history: ChainHistory
    now: datetime
    approvals: Sequence[Approval] = ()
    trails: Mapping[str, TrailReading] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    reviewed: ReviewedChain | None = None
    aggregates: AggregateReading | None = None
    crowd: Crowd | None = None
    places: Mapping[str, Sequence[TrailPlace]] = field(default_factory=dict)
    lineage: LineageReading | None = None
    mitigated: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    principal: Principal | None = None
    their_trails: Mapping[str, TrailReading] = field(default_factory=dict)
    their_aggregates: AggregateReading | None = None
    arriving: Mapping[str, Arrival] = field(default_factory=dict)
    been: Mapping[str, Sequence[TrailReading]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReviewedChain:
    """The chain (or plain resource) that a review case belongs to, and who had a hand in it. `approving`:
    which step is to be approved (None: none is)."""

    name: str
    parties: frozenset[str]
    approving: Approving | None = None
