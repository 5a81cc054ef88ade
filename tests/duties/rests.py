"""Chains at random with what remains of them, and two independent words on whether that can be done.

`by_trying` takes the remaining steps in every order by everybody, asking grants, order and constraints at
each as a decision does. `by_cp_sat` is a model of all constraint kinds, written person by person from what
their formulas say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations, product
from random import Random

from ortools.sat.python import cp_model

from controls.duties.constraints import FORMULAS, Asked, concerns, with_built_in
from controls.duties.lookahead import LookAhead, Taken
from controls.duties.order import step_order
from controls.duties.trails import trail_name
from controls.model.chain import AMEND, Act, ActState, Capacity, ChainHistory, ChainKind, Votes
from controls.model.crowd import Crowd
from controls.model.duty import Constraint, ConstraintKind, Grant, Group, Scope
from controls.model.finding import Effect, Finding
from controls.model.people import Profile
from controls.model.trail import TrailAct, TrailHand, TrailPlace, TrailReading
from controls.model.values import microseconds
from tests.duties.builders import NOW, a_constraint, a_grant, a_kind, a_step, an_act

ROLES = ("red", "green", "blue", "boss")
CLOSURE = {
    "red": frozenset[str](),
    "green": frozenset[str](),
    "blue": frozenset[str](),
    "boss": frozenset({"red", "green"}),
}
# How long ago something was done: what counts for two days is forgotten within one, or not.
AGES = (timedelta(0), timedelta(hours=23), timedelta(hours=24), timedelta(hours=25), timedelta(days=9))
ATTRIBUTES = ("department", "desk", "household")


@dataclass(frozen=True)
class Case:
    """A chain of `kind` after `taken`: what remains, for whom, under what, and what was done `elsewhere`."""

    kind: ChainKind
    grants: tuple[Grant, ...]
    constraints: tuple[Constraint, ...]
    crowd: Crowd
    taken: Taken
    elsewhere: tuple[TrailAct, ...] = ()

    @property
    def history(self) -> ChainHistory:
        """The chain once the step is taken."""
        acts = tuple(
            replace(act, state=ActState.REOPENED) if act.step in self.taken.reopens and act.stands() else act
            for act in self.taken.history.acts
        )
        return replace(self.taken.history, acts=(*acts, self.taken.act))

    @property
    def remaining(self) -> dict[str, int]:
        """The steps that must still be taken, each with the persons that it still takes."""
        history = self.history
        found = {}
        for step in self.kind.steps:
            left = history.needed(step.id) - len(holders(history, step.id))
            begun = any(
                act.step == step.id
                and act.capacity is Capacity.ACTOR
                and act.state in (ActState.CLAIMED, ActState.PERFORMED, ActState.REOPENED)
                for act in history.acts
            )
            if left > 0 and (not step.optional or (begun and not self.kind.free_order)):
                found[step.id] = left
        return found

    def may(self, person: str, step: str) -> bool:
        """Whether the person can act and has a grant of the step."""
        roles = self.crowd.roles.get(person)
        if roles is None:
            return False
        held = {"anyone"}.union(roles, *(CLOSURE[role] for role in roles))
        return any(grant.role in held and step in grant.actions for grant in self.grants)

    def looked_ahead(self) -> Finding | None:
        ahead = LookAhead(self.grants, CLOSURE, self.constraints, [self.kind])
        return ahead.finding(self.taken, crowd=self.crowd)


def holders(history: ChainHistory, step: str) -> set[str]:
    return {act.person for act in history.acts if act.step == step and act.stands()}


def a_case(
    random: Random, *, kinds: Sequence[ConstraintKind], small: bool = False, loose: bool = False
) -> Case:
    """Any chain, about half of which can be finished.

    Args:
        kinds: the constraint kinds to choose from, besides the two built in.
        small: small enough to be tried in every way.
        loose: a chain that mostly leaves the order of its steps open, with constraints that mind it.
    """
    names = [f"s{number}" for number in range(random.randint(2, 4 if small else 6))]
    linear = not loose and random.random() < 0.7
    steps = [
        a_step(
            name,
            after=(names[at - 1],) if linear and at else tuple(random.sample(names[:at], min(at, 1))),
            optional=random.random() < 0.15 and len(names) > 3,
            reapprove=random.random() < 0.2,
        )
        for at, name in enumerate(names)
    ]
    if sum(1 for step in steps if not step.optional) < 2:
        steps = [replace(step, optional=False) for step in steps]
    votes = {}
    if ConstraintKind.VOTES in kinds and random.random() < 0.4:
        votes = {random.choice(names): Votes(2 if small else random.choice((2, 3)))}
        steps = [replace(step, votes=votes[step.id].needed) if step.id in votes else step for step in steps]
    free = random.random() < (0.5 if loose else 0.15)
    kind = a_kind(*steps, free=free, sole_actor_allowed=random.random() < 0.3)
    people = [f"p{number}" for number in range(random.randint(1, 4 if small else 7))]
    crowd = Crowd(
        {person: frozenset(random.sample(ROLES, random.choice((1, 1, 2)))) for person in people},
        profiles(random, [*people, "gone", "left"]),
    )
    grants = [
        a_grant(random.choice((*ROLES, "anyone")), name, name=f"{name}-{number}")
        for name in names
        for number in range(random.choice((1, 1, 2)))
    ]
    constraints = tuple(
        a_rule(random, random.choice(kinds), kind, name=f"c{number}", loose=loose)
        for number in range(random.randint(0, 3 if small else 5))
    )
    history = ChainHistory(
        kind.id, "O-1", tuple(acts(random, names, [*people, "gone", "left"])), votes or None
    )
    return Case(kind, tuple(grants), constraints, crowd, a_taking(random, kind, history, people))


def profiles(random: Random, people: Iterable[str]) -> dict[str, Profile]:
    """Somebody's superior may be anybody, himself or herself, or not known."""
    named = list(people)
    return {
        person: Profile(
            person,
            **{name: random.choice(("x", "y", "z", "")) for name in ATTRIBUTES},
            reports_to=random.choice((*named, named[0], person, "")),
        )
        for person in named
    }


def acts(random: Random, names: Sequence[str], people: Sequence[str]) -> Iterable[Act]:
    """Some steps that were taken, abandoned, approved or reopened, and now and then an amendment."""
    done = random.randint(0, len(names) - 1)
    for index, name in enumerate(names[:done]):
        yield an_act(name, random.choice(people), index=index)
    for index in range(random.choice((0, 0, 1, 2))):
        state = random.choice((ActState.ABANDONED, ActState.VOID, ActState.REOPENED))
        yield an_act(random.choice(names), random.choice(people), state=state, index=10 + index)
    if random.random() < 0.15:
        yield an_act(random.choice(names), random.choice(people), capacity=Capacity.APPROVER, index=20)
    if done and random.random() < 0.15:
        yield an_act(AMEND, random.choice(people), index=30)


def a_taking(random: Random, kind: ChainKind, history: ChainHistory, people: Sequence[str]) -> Taken:
    """Somebody takes a step that is free, or amends."""
    free = [step.id for step in kind.steps if len(holders(history, step.id)) < history.needed(step.id)]
    reopens: tuple[str, ...] = ()
    step = (random.choice(free) if kind.free_order else free[0]) if free else AMEND
    if step == AMEND or (history.begun() and random.random() < 0.1):
        step = AMEND
        held = [item for item in kind.steps if history.standing(item.id)]
        reopens = tuple(item.id for item in held[-1:] if item.reapprove)
    act = replace(an_act(step, random.choice(people), index=99), claim="new", state=ActState.CLAIMED)
    return Taken(kind, history, act, {}, reopens)


def with_principals(random: Random, case: Case) -> Case:
    """The same case where half of all acts were done for somebody else."""
    people = [*case.crowd.roles, "gone", "left"]

    def both(act: Act) -> tuple[Act, ...]:
        other = random.choice(people)
        if act.capacity is not Capacity.ACTOR or other == act.person or random.random() < 0.5:
            return (act,)
        theirs = replace(
            act,
            claim=f"{act.claim}:for",
            person=other,
            beside=act.person,
            capacity=Capacity.PRINCIPAL,
            state=ActState.PERFORMED,
        )
        return replace(act, beside=other), theirs

    acts = tuple(item for act in case.taken.history.acts for item in both(act))
    taken, *theirs = both(case.taken.act)
    history = replace(case.taken.history, acts=(*acts, *theirs))
    return replace(case, taken=replace(case.taken, history=history, act=taken))


def with_elsewhere(random: Random, case: Case) -> Case:
    """The same case, some of its acts older, with constraints that look beyond the chain, and acts on others
    that they look at."""
    people = [*case.crowd.roles, "gone"]
    steps = [step.id for step in case.kind.steps]
    apart = a_rule(random, ConstraintKind.SEPARATE, case.kind, name="apart")
    apart = replace(
        apart,
        # A step that still takes votes, though what waits for it is done, might come later than it is listed.
        ordered=apart.ordered and not case.taken.history.votes,
        scope=Scope.ACCOUNT,
        within=random.choice((timedelta(days=2), timedelta(days=30))),
        chain=random.choice(("", case.kind.id)),
    )
    wall = replace(
        a_constraint(ConstraintKind.CHINESE_WALL, *random.choice(((), steps[:2], steps[-1:])), name="wall"),
        conflict_class="sector",
        dataset="issuer",
        within=timedelta(days=2),
    )
    beyond = random.choice(((apart,), (wall,), (apart, wall)))
    acts = tuple(
        TrailAct(
            random.choice((case.kind.id, "another_chain")),
            step := random.choice((*steps, "elsewhere")),
            an_act(
                step,
                random.choice(people),
                chain=f"O-{number + 7}",
                index=-number,
                at=NOW - random.choice(AGES),
            ),
            random.choice(("ours", "theirs")),
        )
        for number in range(random.randint(1, 4))
    )
    hands = tuple(
        TrailHand(item.act.person, item.kind, item.step, item.part, microseconds(item.act.at))
        for item in acts
    )
    places = {trail_name(rule): (TrailPlace("value", "ours", hands),) for rule in beyond}

    def older(act: Act) -> Act:
        at = act.at - random.choice(AGES)
        return act if act.state is ActState.CLAIMED else replace(act, at=at, done_at=at)

    history = case.taken.history
    history = replace(history, acts=tuple(older(act) for act in history.acts))
    return replace(
        case,
        constraints=(*case.constraints, *beyond),
        taken=replace(case.taken, history=history, places=places),
        elsewhere=acts,
    )


def a_rule(
    random: Random, kind: ConstraintKind, chain: ChainKind, *, name: str, loose: bool = False
) -> Constraint:
    """A constraint of this kind that denies, mostly over two or three steps.

    Args:
        loose: mostly one that minds an order, also where the chain leaves it open.
    """
    names = [step.id for step in chain.steps]
    in_line = all(step.after == tuple(names[at - 1 : at]) for at, step in enumerate(chain.steps) if at)
    ordered = (loose or (in_line and not chain.free_order)) and random.random() < (0.7 if loose else 0.3)
    steps = random.sample(names, min(len(names), random.choice((2, 2, 3, len(names)))))
    steps = steps if loose else sorted(steps)
    limit = random.choice((1, 2, 2, 3))
    made = a_constraint(kind, *steps, name=name, limit=limit)
    if kind is ConstraintKind.AT_MOST:
        groups = ()
        if random.random() < 0.3:
            cut = random.randint(1, len(steps) - 1)
            groups = (Group("first", tuple(steps[:cut])), Group("second", tuple(steps[cut:])))
        return replace(made, groups=groups)
    if kind in (ConstraintKind.AT_LEAST, ConstraintKind.COALITION):
        return replace(made, limit=min(limit, len(steps)))
    if kind is ConstraintKind.EXCLUSIVE_ROLES:
        roles = tuple(random.sample(ROLES, 3))
        if random.random() < 0.5:
            return replace(made, steps=(), roles=roles, limit=random.choice((1, 2)))
        groups = tuple(
            Group(role, tuple(sorted(random.sample(names, random.choice((1, 2)))))) for role in roles[:2]
        )
        return replace(made, steps=(), roles=roles[:2], limit=1, dynamic=True, groups=groups)
    if kind is ConstraintKind.VOTES:
        # How many persons a step takes is said by the steps of a case.
        return replace(made, limit=1, steps=tuple(steps[:1]), distinct_from=tuple(steps[1:]))
    if kind is ConstraintKind.RELATION:
        forbid = ("reports_to",) if random.random() < 0.4 else ()
        differ = () if forbid and random.random() < 0.5 else (random.choice(ATTRIBUTES),)
        return replace(made, forbid=forbid, differ=differ, ordered=ordered)
    if kind in (ConstraintKind.SEPARATE, ConstraintKind.BIND):
        return replace(made, ordered=ordered)
    return made


# -- every way ---------------------------------------------------------------------------------------------


def by_trying(case: Case) -> bool:
    """Whether some order of the remaining steps and some choice of persons gets through every decision."""
    constraints = with_built_in(case.constraints, chains=[case.kind])
    seen: set[frozenset[tuple[str, str]]] = set()

    def done(history: ChainHistory, left: Mapping[str, int]) -> bool:
        key = frozenset((act.step, act.person) for act in history.acts if act.claim.startswith("try"))
        if key in seen:
            return False
        seen.add(key)
        if not any(left.values()):
            return True
        for step, person in product(
            [step for step, count in left.items() if count], sorted(case.crowd.roles)
        ):
            if case.may(person, step) and allowed(case, constraints, history, step, person):
                act = replace(an_act(step, person, index=100 + len(history.acts)), claim=f"try-{len(seen)}")
                rest = {**left, step: left[step] - 1}
                if done(replace(history, acts=(*history.acts, act)), rest):
                    return True
        return False

    history = case.history
    performed = tuple(
        replace(act, state=ActState.PERFORMED) if act.state is ActState.CLAIMED else act
        for act in history.acts
    )
    return done(replace(history, acts=performed), case.remaining)


def allowed(
    case: Case, constraints: Iterable[Constraint], history: ChainHistory, step: str, person: str
) -> bool:
    """Whether a decision would let the person take the step, as far as order and constraints go."""
    found = case.kind.step(step)
    assert found is not None
    if step_order(case.kind, step=found, history=history, person=person, now=case.taken.act.at).findings:
        return False
    roles = case.crowd.roles[person]
    asked = Asked(
        person=person,
        step=step,
        kind=case.kind,
        history=history,
        roles=frozenset({"anyone"}).union(roles, *(CLOSURE[role] for role in roles)),
        now=case.taken.act.at,
        profiles=case.crowd.profiles,
        trails={name: TrailReading(case.elsewhere, "ours") for name in case.taken.places},
    )
    return not any(
        constraint.then is Effect.DENY
        and concerns(constraint, kind=case.kind, step=step)
        and FORMULAS[constraint.kind](
            constraint,
            # Nobody waits longer than a day until something is forgotten.
            asked=asked if constraint.within is None else replace(asked, now=asked.now + timedelta(hours=24)),
        )
        is not None
        for constraint in constraints
    )


# -- CP-SAT ------------------------------------------------------------------------------------------------


def by_cp_sat(case: Case) -> bool:
    """Whether CP-SAT finds persons for the remaining steps."""
    return _Model(case).satisfiable()


def related(case: Case, one: str, other: str, names: Iterable[str]) -> bool:
    """Whether two persons stand in one of the relations, or it is not known that they do not."""

    def of(person: str, name: str) -> str:
        profile = case.crowd.profiles.get(person)
        return "" if profile is None else getattr(profile, name)

    def line(person: str) -> list[str]:
        found = [person]
        while (above := of(found[-1], "reports_to")) and above not in found:
            found.append(above)
        return found if above else [*found, ""]  # an empty name: the end of the line is not known

    for name in names:
        if one == other:
            if name != "reports_to":  # everybody is of his or her own department
                return True
        elif name == "reports_to":
            up, down = line(one), line(other)
            if "" in (*up, *down) or other in up[1:] or one in down[1:]:
                return True
        elif not of(one, name) or not of(other, name) or of(one, name) == of(other, name):
            return True
    return False


class _Model:
    """Variables say who takes which of the remaining steps, one for each person and each vote."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.model = cp_model.CpModel()
        self.people = sorted(case.crowd.roles)
        self.slots = [(step, vote) for step, left in case.remaining.items() for vote in range(left)]
        self.x = {
            (person, slot): self.model.new_bool_var("")
            for slot in self.slots
            for person in self.people
            if case.may(person, slot[0])
        }
        self.mine: dict[str, set[str]] = {}
        self.stands: dict[str, set[str]] = {}
        first = case.kind.steps[0].id
        for act in case.history.acts:
            self.mine.setdefault(act.person, set()).add(first if act.step == AMEND else act.step)
            if act.stands():
                self.stands.setdefault(act.person, set()).add(act.step)

    def satisfiable(self) -> bool:
        for slot in self.slots:
            self.model.add_exactly_one(
                [self.x[person, slot] for person in self.people if (person, slot) in self.x]
            )
        for step in {step for step, _ in self.slots}:
            for person in self.people:  # one vote each
                own = self.own(person, [step])
                self.model.add(sum(own) <= (0 if step in self.stands.get(person, ()) else 1))
        for constraint in with_built_in(self.case.constraints, chains=[self.case.kind]):
            if constraint.then is Effect.DENY:
                getattr(self, constraint.kind.value)(constraint)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        status = solver.solve(self.model)
        assert status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.INFEASIBLE)
        return status != cp_model.INFEASIBLE

    # what persons take and have

    def own(self, person: str, steps: Iterable[str]) -> list[cp_model.IntVar]:
        wanted = set(steps)
        return [self.x[person, slot] for slot in self.slots if slot[0] in wanted and (person, slot) in self.x]

    def takes(self, person: str, steps: Iterable[str]) -> cp_model.IntVar:
        return self.any_of(self.own(person, steps))

    def any_of(self, found: Sequence[cp_model.IntVar]) -> cp_model.IntVar:
        one = self.model.new_bool_var("")
        self.model.add_max_equality(one, found or [self.model.new_constant(0)])
        return one

    def has(self, person: str, step: str) -> cp_model.IntVar:
        """Whether a step counts against the person in the end."""
        return self.model.new_constant(1) if step in self.mine.get(person, ()) else self.takes(person, [step])

    def forbid(self, *together: cp_model.IntVar) -> None:
        self.model.add(sum(together) < len(together))

    def remains(self, steps: Iterable[str]) -> bool:
        return any(step in self.case.remaining for step in steps)

    def counts_for(self, constraint: Constraint, step: str) -> list[str]:
        """The other steps that count when `step` is taken after them."""
        if not constraint.ordered:
            return [other for other in constraint.steps if other != step]
        return list(constraint.steps[: constraint.steps.index(step)])

    # the kinds

    def few(self, steps: Sequence[str], most: int, *, parts: Sequence[Sequence[str]] = ()) -> None:
        """Whoever takes one of `steps` has no more than `most` of them, or of the parts that hold them."""
        for person in self.people:
            taking = self.takes(person, steps)
            held = [step for step in steps if not parts or any(step in part for part in parts)]
            used = [(self.model.new_bool_var(""), part) for part in parts or [[step] for step in held]]
            for step in held:
                covers = [one for one, part in used if step in part]
                self.model.add(sum(covers) >= self.has(person, step)).only_enforce_if(taking)
            self.model.add(sum(one for one, _ in used) <= most).only_enforce_if(taking)

    def whole_chain(self, _: Constraint) -> None:
        self.few(self.case.kind.mandatory, len(self.case.kind.mandatory) - 1)

    def sole_actor(self, _: Constraint) -> None:
        last = self.case.kind.mandatory[-1]
        if last not in self.case.remaining:
            return
        follow = set() if self.case.kind.free_order else self.case.kind.following(last)
        before = [step for step in self.case.remaining if step != last and step not in follow]
        people = sorted({*self.people, *self.stands})
        earlier = {
            person: self.model.new_constant(1) if self.stands.get(person) else self.takes(person, before)
            for person in people
        }
        self.model.add(sum(earlier.values()) >= 1)
        for person in people:  # nobody is alone with it
            others = [earlier[other] for other in people if other != person]
            others += [self.takes(other, [last]) for other in self.people if other != person]
            self.model.add(sum(others) >= 1)

    def separate(self, constraint: Constraint) -> None:
        for step in constraint.steps:
            for other in self.counts_for(constraint, step):
                for person in self.people:
                    self.forbid(self.takes(person, [step]), self.has(person, other))

    def at_most(self, constraint: Constraint) -> None:
        self.few(constraint.steps, constraint.limit, parts=[group.steps for group in constraint.groups])

    def at_least(self, constraint: Constraint) -> None:
        if self.remains(constraint.steps):
            count = [
                self.model.new_constant(1)
                if self.stands.get(person, set()).intersection(constraint.steps)
                else self.takes(person, constraint.steps)
                for person in sorted({*self.people, *self.stands})
            ]
            self.model.add(sum(count) >= constraint.limit)

    def bind(self, constraint: Constraint) -> None:
        for step in constraint.steps:
            for other in self.counts_for(constraint, step):
                for person in self.people:
                    for holder in {*self.people, *self.stands} - {person}:
                        if other in self.stands.get(holder, ()):
                            self.model.add(self.takes(person, [step]) == 0)
                        self.forbid(self.takes(person, [step]), self.takes(holder, [other]))

    def votes(self, constraint: Constraint) -> None:
        for vote in constraint.steps:
            for step in constraint.distinct_from:
                for person in self.people:
                    self.forbid(self.takes(person, [vote]), self.has(person, step))
                    self.forbid(self.takes(person, [step]), self.has(person, vote))

    def exclusive_roles(self, constraint: Constraint) -> None:
        if constraint.dynamic:
            steps = [step for group in constraint.groups for step in group.steps]
            self.few(
                list(dict.fromkeys(steps)),
                constraint.limit,
                parts=[group.steps for group in constraint.groups],
            )
            return
        for person, roles in self.case.crowd.roles.items():
            held = roles.union(*(CLOSURE[role] for role in roles))
            if len(held.intersection(constraint.roles)) > constraint.limit:
                self.model.add(sum(self.own(person, self.case.remaining)) == 0)

    def relation(self, constraint: Constraint) -> None:
        names = (*constraint.forbid, *constraint.differ)
        for step in constraint.steps:
            for other in self.counts_for(constraint, step):
                for person in self.people:
                    for doer in {*self.people, *self.mine}:
                        if related(self.case, person, doer, names):
                            self.forbid(self.takes(person, [step]), self.has(doer, other))

    def cooling_off(self, _: Constraint) -> None:
        """Whoever waits keeps it."""

    def coalition(self, constraint: Constraint) -> None:
        if not self.remains(constraint.steps):
            return
        everybody = sorted({*self.people, *self.mine})
        done = [
            step
            for step in constraint.steps
            if step in self.case.remaining or any(step in mine for mine in self.mine.values())
        ]
        for few in range(constraint.limit):
            for group in combinations(everybody, few):  # they have no hand in something
                missed = []
                for step in done:
                    one = self.model.new_bool_var("")
                    hands = [self.has(person, step) for person in group]
                    self.model.add(sum(hands) == 0).only_enforce_if(one)
                    missed.append(one)
                self.model.add_bool_or(missed)
