"""Casbin against definitions written a second time, for the kinds that look beyond acts on one chain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from controls.duties.enforcement import Enforcement
from controls.duties.hearing import Question
from controls.model.chain import Act, ActState, Capacity
from controls.model.condition import Truth
from controls.model.duty import Constraint, ConstraintKind, Group, Scope
from controls.model.finding import Effect
from controls.model.people import Profile
from controls.model.trail import TrailAct, TrailReading
from tests.duties.builders import (
    KIND,
    NOW,
    STEPS,
    Fixed,
    a_constraint,
    a_grant,
    a_history,
    a_question,
    an_act,
    rules_of,
)

PERSONS = ("ana", "ben", "cai")
HOUR = timedelta(hours=1)
ROLES = (Group("trader", ("capture", "execute")), Group("clerk", ("execute", "allocate", "settle")))
GROUPS = (Group("front", ("capture", "execute")), Group("back", ("allocate", "settle")))
DUTIES = (
    a_constraint(ConstraintKind.SEPARATE, "capture", "settle", name="other_chains", scope=Scope.ACCOUNT),
    a_constraint(ConstraintKind.SEPARATE, "capture", "approve", "settle", name="after", ordered=True),
    a_constraint(ConstraintKind.AT_MOST, *chain(*(group.steps for group in GROUPS)), name="groups", limit=1,
                 groups=GROUPS),
    a_constraint(ConstraintKind.AT_MOST, "capture", "settle", name="of_desk", limit=2, scope=Scope.DESK,
                 within=HOUR),
    a_constraint(ConstraintKind.BIND, "capture", "settle", name="same", ordered=True, then=Effect.REVIEW),
    a_constraint(ConstraintKind.VOTES, "settle", name="votes", limit=2, distinct_from=("execute",)),
    a_constraint(ConstraintKind.RELATION, "capture", "settle", name="team", differ=("department",)),
    a_constraint(ConstraintKind.RELATION, "approve", "settle", name="line", forbid=("reports_to",)),
    a_constraint(ConstraintKind.CHINESE_WALL, name="wall", conflict_class="a", dataset="b", within=HOUR),
    a_constraint(ConstraintKind.COOLING_OFF, "capture", "approve", name="cool", within=HOUR),
    a_constraint(ConstraintKind.COALITION, "capture", "approve", "execute", name="ring", limit=3,
                 then=Effect.FLAG),
    a_constraint(ConstraintKind.EXCLUSIVE_ROLES, name="in_use", roles=("trader", "clerk"), limit=1,
                 dynamic=True, groups=ROLES),
)  # fmt: skip


@st.composite
def acts_of(draw: st.DrawFn, name: str) -> tuple[Act, ...]:
    ages = st.sampled_from([timedelta(0), HOUR / 2, HOUR, 2 * HOUR])

    def act(index: int) -> Act:
        state = draw(st.sampled_from(list(ActState)))
        made = an_act(
            draw(st.sampled_from(STEPS)),
            draw(st.sampled_from(PERSONS)),
            state=state,
            capacity=draw(st.sampled_from([Capacity.ACTOR, Capacity.ACTOR, Capacity.APPROVER])),
            at=NOW - 3 * HOUR,
            done_at=None if state is ActState.CLAIMED else NOW - draw(ages),
            chain=name,
            index=index,
        )
        return replace(made, claim=f"{name}-{index}")

    return tuple(act(index) for index in range(draw(st.integers(0, 6))))


@st.composite
def questions(draw: st.DrawFn) -> Question:
    superiors = dict(zip(PERSONS, draw(st.tuples(*[st.sampled_from([*PERSONS, ""])] * 3)), strict=True))
    elsewhere = draw(acts_of("O-2"))
    marks = tuple(
        TrailAct("order_chain", act.step, act, draw(st.sampled_from(["x", "y"]))) for act in elsewhere
    )
    names = draw(st.sets(st.sampled_from(["account", "desk", "a/b"]), min_size=1))
    return a_question(
        draw(st.sampled_from(STEPS)),
        draw(st.sampled_from(PERSONS)),
        "front",
        history=a_history(*draw(acts_of("O-1"))),
        trails={name: TrailReading(marks, "x") for name in names},
        profiles={
            person: Profile(person, department=draw(st.sampled_from(["", "d1", "d2"])), reports_to=superior)
            for person, superior in superiors.items()
        },
    )


def is_recent(act: Act) -> bool:
    """Done within the last hour, or not yet."""
    return act.done_at is None or act.done_at > NOW - HOUR


def violated(rule: Constraint, question: Question) -> bool:
    """The definition of each rule above, in plain words of Python."""
    assert question.person is not None
    assert question.step is not None
    me, step = question.person.id, question.step.id
    here = question.history.acts
    mine = {act.step for act in here if act.person == me}
    if isinstance(rule.when, Fixed) and rule.when.truth is Truth.FALSE:
        return False
    if rule.id == "wall":
        seen = question.trails.get("a/b")
        if seen is None:
            return True
        recent = [item for item in seen.acts if is_recent(item.act) and item.act.person == me]
        return "y" in {item.part for item in recent}
    if rule.id == "in_use":
        only = {"trader": {"capture"}, "clerk": {"allocate", "settle"}}
        taken = mine | {step}
        return step in {"capture", "execute", "allocate", "settle"} and all(
            taken & steps for steps in only.values()
        )
    if step not in {*rule.steps, *rule.distinct_from}:
        return False
    others = set(rule.steps) - {step}
    if rule.id == "other_chains":
        seen = question.trails.get("account")
        if seen is None:
            return True
        return bool((mine | {item.act.step for item in seen.acts if item.act.person == me}) & others)
    if rule.id == "after":
        before = {"capture": set(), "approve": {"capture"}, "settle": {"capture", "approve"}}[step]
        return bool(mine & before)
    if rule.id == "groups":
        duty = {"capture": "front", "execute": "front", "allocate": "back", "settle": "back"}
        return len({duty[taken] for taken in mine | {step} if taken in duty}) > 1
    if rule.id == "of_desk":
        seen = question.trails.get("desk")
        if seen is None:
            return True
        found = [*here, *(item.act for item in seen.acts)]
        pairs = {
            (act.chain, act.step)
            for act in found
            if act.person == me and act.step in rule.steps and is_recent(act)
        }
        return len(pairs | {("O-1", step)}) > 2
    if rule.id == "same":
        standing = {act.person for act in here if act.step == "capture" and act.stands()}
        return step == "settle" and bool(standing - {me})
    if rule.id == "votes":
        return ("execute" if step == "settle" else "settle") in mine
    if rule.id in ("team", "line"):
        who = {act.person for act in here if act.step in others}
        return any(related(rule.id, me, other, question.profiles) for other in who)
    if rule.id == "cool":
        return any(act.step in others and is_recent(act) for act in here)
    assert rule.id == "ring"
    hands = {name: {act.person for act in here if act.step == name} for name in rule.steps}
    hands[step].add(me)
    done = [people for people in hands.values() if people]
    group = next(
        size
        for size in range(4)
        if any(all(set(some) & people for people in done) for some in combinations(PERSONS, size))
    )
    return group + len(hands) - len(done) < 3


def related(how: str, one: str, other: str, profiles: dict[str, Profile]) -> bool:  # type: ignore[type-arg]
    """Whether two persons are not known to be unrelated."""
    if one == other:
        return how == "team"
    if how == "team":
        teams = [profiles[person].department for person in (one, other)]
        return "" in teams or teams[0] == teams[1]
    lines = []
    for person in (one, other):
        above: list[str] = []
        while (up := profiles[above[-1] if above else person].reports_to) and up not in above:
            above.append(up)
        lines.append((above, up == ""))
    return other in lines[0][0] or one in lines[1][0] or lines[0][1] or lines[1][1]


truths = st.none() | st.sampled_from(list(Truth)).map(Fixed)


@given(question=questions(), chosen=st.lists(st.tuples(st.sampled_from(DUTIES), truths), max_size=4))
def test_enforcement_is_what_the_definitions_say(
    question: Question, chosen: list[tuple[Constraint, Fixed | None]]
) -> None:
    """Casbin's answer and all findings are those of an independent evaluation of the definitions."""
    rules = list({rule.id: replace(rule, when=when) for rule, when in chosen}.values())
    kind = replace(KIND, sole_actor_allowed=True)
    asked = replace(question, kind=kind)
    made = Enforcement((a_grant("front", *STEPS),), {"front": frozenset()}, rules, (kind,))
    answer = made.decide(asked)
    assert asked.person is not None
    me = asked.person.id
    whole = set(STEPS) <= {act.step for act in asked.history.acts if act.person == me} | {asked.action}
    expected = [rule for rule in rules if violated(rule, asked)]
    told = [rule for rule in rules_of(answer.findings) if rule != "whole_chain"]
    assert sorted(told) == sorted(rule.id for rule in expected)
    assert answer.allowed is not (whole or any(rule.then is Effect.DENY for rule in expected))


def test_every_kind_can_be_violated_and_kept() -> None:
    """The definitions above are not all of one answer: a quiet and a speaking case of each."""
    empty = a_question(
        "settle",
        "ana",
        "front",
        trails={name: TrailReading() for name in ("account", "desk", "a/b")},
        profiles={person: Profile(person) for person in PERSONS},
    )
    busy = replace(
        empty,
        history=a_history(
            *(an_act(step, "ana", at=NOW) for step in ("capture", "execute", "allocate")),
            an_act("capture", "ben"),
            an_act("approve", "ana"),
            an_act("approve", "ben"),
        ),
        trails={},
    )
    quiet = {rule.id for rule in DUTIES if not violated(rule, empty)}
    loud = {rule.id for rule in DUTIES if violated(rule, busy)}
    capture = replace(busy, action="approve", step=KIND.step("approve"))
    loud |= {rule.id for rule in DUTIES if violated(rule, capture)}
    assert quiet == {rule.id for rule in DUTIES}
    assert loud == {rule.id for rule in DUTIES}
