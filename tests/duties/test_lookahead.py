"""The look-ahead: against trying everything, against CP-SAT, and what it says in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from random import Random
from typing import Any

import pytest

from controls.duties import forecast
from controls.duties.ballots import ballots_of
from controls.duties.constraints import FORMULAS
from controls.duties.lookahead import LINES_AHEAD, LookAhead, Taken
from controls.duties.remaining import TRANSLATIONS
from controls.model.chain import AMEND, ActState, Capacity, ChainHistory, ChainKind, Repeats, Votes
from controls.model.condition import Facts, Truth, Verdict
from controls.model.crowd import Crowd
from controls.model.duty import Constraint, ConstraintKind, Grant, Period, Scope
from controls.model.finding import Cause, Effect, Finding, Outcome, strictest
from controls.model.people import Profile
from controls.model.trail import TrailAct
from controls.rules.condition import compile_condition
from controls.rules.scope import Names
from controls.rules.types import BOOL, INT, STRING
from tests.conftest import LONG_RUN
from tests.duties.builders import (
    KIND,
    NOW,
    STEPS,
    Fixed,
    a_constraint,
    a_grant,
    a_history,
    a_kind,
    a_step,
    an_act,
    done,
)
from tests.duties.rests import CLOSURE, Case, a_case, by_cp_sat, by_trying, with_elsewhere, with_principals

BUILT_IN = {ConstraintKind.WHOLE_CHAIN, ConstraintKind.SOLE_ACTOR}
# A wall stands between chains, so that nothing of it is in the rest of one.
WRITTEN = [kind for kind in TRANSLATIONS if kind not in BUILT_IN | {ConstraintKind.CHINESE_WALL}]
# What passes with time cannot be tried at one moment.
TRIED = [kind for kind in WRITTEN if kind in FORMULAS and kind is not ConstraintKind.COOLING_OFF]


# -- two independent words ---------------------------------------------------------------------------------


@pytest.mark.differential
def test_it_strands_exactly_where_every_way_ends_in_a_denial() -> None:
    """Taking the rest in every order by everybody, each decided by order, grants and formulas."""
    seen = {True: 0, False: 0}
    for seed in range(20_000 if LONG_RUN else 500):
        case = a_case(Random(seed), kinds=TRIED, small=True)
        found, possible = case.looked_ahead(), by_trying(case)
        assert (found is None) is possible, (seed, found)
        assert found is None or found.rule == "would_strand"
        seen[possible] += 1
    assert min(seen.values()) > sum(seen.values()) // 4, f"one-sided: {seen}"


@pytest.mark.differential
def test_what_was_done_for_others_counts_for_both_in_what_remains() -> None:
    """Where half of the acts are two persons', too, it strands exactly where every way ends in a denial."""
    seen = {True: 0, False: 0}
    for seed in range(20_000 if LONG_RUN else 400):
        random = Random(seed)
        case = with_principals(random, a_case(random, kinds=TRIED, small=True))
        found, possible = case.looked_ahead(), by_trying(case)
        assert (found is None) is possible, (seed, found)
        seen[possible] += 1
    assert min(seen.values()) > sum(seen.values()) // 5, f"one-sided: {seen}"


@pytest.mark.differential
def test_what_was_done_elsewhere_keeps_from_what_remains() -> None:
    """Under walls and separations over an account it strands exactly where every way ends in a denial."""
    seen = {True: 0, False: 0}
    changed = 0
    for seed in range(20_000 if LONG_RUN else 500):
        random = Random(seed)
        before = a_case(random, kinds=TRIED, small=True)
        case = with_elsewhere(random, before)
        found, possible = case.looked_ahead(), by_trying(case)
        assert (found is None) is possible, (seed, found)
        seen[possible] += 1
        changed += before.looked_ahead() is None and not possible
    assert min(seen.values()) > sum(seen.values()) // 5, f"one-sided: {seen}"
    assert changed > sum(seen.values()) // 20


@pytest.mark.differential
def test_it_strands_exactly_where_no_order_of_the_steps_would_do() -> None:
    """Constraints that mind an order, in chains that leave it open: no order is missed, and none assumed.
    Only where other steps may be taken between two votes it may be that it is not told."""
    seen = {True: 0, False: 0}
    kinds = [ConstraintKind.SEPARATE, ConstraintKind.BIND, ConstraintKind.RELATION]
    for seed in range(20_000 if LONG_RUN else 400):
        case = a_case(Random(seed), kinds=kinds if seed % 2 else TRIED, small=True, loose=True)
        found, possible = case.looked_ahead(), by_trying(case)
        if found is not None and found.rule == "strand_unknown":
            assert any(step.votes > 1 for step in case.kind.steps), seed
            continue
        assert (found is None) is possible, (seed, found)
        seen[possible] += 1
    assert min(seen.values()) > sum(seen.values()) // 5, f"one-sided: {seen}"


@pytest.mark.differential
def test_it_strands_exactly_where_cp_sat_finds_nobody() -> None:
    """Every constraint kind, with votes, absent people and residues of all sorts."""
    seen = {True: 0, False: 0}
    for seed in range(20_000 if LONG_RUN else 400):
        case = a_case(Random(seed), kinds=WRITTEN)
        found, possible = case.looked_ahead(), by_cp_sat(case)
        assert (found is None) is possible, (seed, found)
        seen[possible] += 1
    assert min(seen.values()) > sum(seen.values()) // 4, f"one-sided: {seen}"


@pytest.mark.differential
def test_nothing_is_assumed_of_what_may_apply_or_not() -> None:
    """Half of the constraints depend on facts to come, votes among them: it is silent only where every way in
    which they may turn out can be finished, and strands only where none can."""
    seen = {"": 0, "would_strand": 0, "strand_unknown": 0}
    for seed in range(10_000 if LONG_RUN else 150):
        random = Random(seed)
        case = a_case(random, kinds=[*TRIED, ConstraintKind.VOTES], small=True)
        rules = [
            replace(
                rule,
                limit=2 if rule.kind is ConstraintKind.VOTES else rule.limit,
                when=Fixed(Truth.UNKNOWN) if random.random() < 0.6 else None,
            )
            for rule in case.constraints
        ]
        found = replace(case, constraints=tuple(rules)).looked_ahead()
        doubtful = [rule for rule in rules if rule.when is not None]
        surely = in_force(case, [rule for rule in rules if rule.when is None])
        settled = [  # nobody asks any more how many votes they take
            step.id
            for step in case.kind.steps
            if surely.remaining.keys().isdisjoint({step.id})
            and (case.kind.free_order or surely.remaining.keys().isdisjoint(case.kind.following(step.id)))
        ]
        possible = {
            by_trying(
                in_force(case, [rule for rule in rules if rule.when is None or rule in some], but=settled)
            )
            for count in range(len(doubtful) + 1)
            for some in combinations(doubtful, count)
        }
        told = "" if found is None else found.rule
        if told == "strand_unknown":
            # What is asked of the votes and of who may vote is one question, and taken for two.
            assert len(possible) == 2 or any(rule.kind is ConstraintKind.VOTES for rule in doubtful), seed
        else:
            assert possible == {not told}, (seed, found)
        seen[told] += 1
    assert min(seen.values()) > sum(seen.values()) // 12, f"one-sided: {seen}"


def in_force(case: Case, rules: list[Constraint], *, but: Sequence[str] = ()) -> Case:
    """The same where these constraints apply, and no others; to the votes that they ask for, too, `but` not
    on these steps."""
    ballots = ballots_of(rules, chains=[case.kind]).get(case.kind.id)
    history = replace(case.taken.history, votes=None)
    if ballots is not None:
        known = ballots.counted(Facts({}, history, NOW))
        votes = {step: count for step, count in (known.votes or {}).items() if step not in but}
        history = replace(history, votes=votes)
    return replace(case, constraints=tuple(rules), taken=replace(case.taken, history=history))


def test_what_is_kept_is_what_would_be_worked_out() -> None:
    """One look-ahead asked about many chains says of each what a new one says, to the last word."""
    for seed in range(40):
        first = a_case(Random(seed), kinds=WRITTEN)
        kept = LookAhead(first.grants, CLOSURE, first.constraints, [first.kind])
        for other in range(30):
            taken = a_case(Random(1_000 * seed + other), kinds=WRITTEN).taken
            steps = {step.id for step in first.kind.steps}
            if {act.step for act in (*taken.history.acts, taken.act)} - steps <= {AMEND}:
                asked = replace(taken, kind=first.kind, history=replace(taken.history, votes=None))
                new = LookAhead(first.grants, CLOSURE, first.constraints, [first.kind])
                assert kept.finding(asked, crowd=first.crowd) == new.finding(asked, crowd=first.crowd)


def test_names_say_nothing() -> None:
    """Persons under other names are stranded alike."""
    for seed in range(60):
        case = a_case(Random(seed), kinds=[kind for kind in WRITTEN if kind is not ConstraintKind.RELATION])
        found = case.looked_ahead()
        names = {
            person: f"x{hash(person) % 1_000}-{person}" for person in [*case.crowd.roles, "gone", "left"]
        }
        acts = tuple(replace(act, person=names[act.person]) for act in case.taken.history.acts)
        taken = replace(
            case.taken,
            history=replace(case.taken.history, acts=acts),
            act=replace(case.taken.act, person=names[case.taken.act.person]),
        )
        crowd = Crowd({names[person]: roles for person, roles in case.crowd.roles.items()})
        other = replace(case, taken=taken, crowd=crowd).looked_ahead()
        assert (other is None) is (found is None)
        if other is not None and found is not None:
            assert other.values["steps"] == found.values["steps"]


# -- a small desk ------------------------------------------------------------------------------------------

EVERY = Grant("every", "red", STEPS, "order")


def looked(
    step: str,
    person: str,
    *people: str,
    history: ChainHistory | None = None,
    kind: ChainKind = KIND,
    grants: tuple[Grant, ...] = (EVERY,),
    constraints: tuple[Constraint, ...] = (),
    crowd: Crowd | None = None,
    lines: Sequence[Sequence[TrailAct]] = (),
    **stated: str,
) -> Finding | None:
    """What is found when the person takes the step, everybody named having the role `red`."""
    history = a_history() if history is None else history
    act = replace(an_act(step, person, state=ActState.CLAIMED), material=stated)
    reopens = tuple(item.id for item in kind.steps if item.reapprove) if step == AMEND else ()
    values = {f"order.{name}": value for name, value in stated.items()}
    act = replace(act, material={name: str(value) for name, value in values.items()})
    ahead = LookAhead(grants, CLOSURE, constraints, [kind])
    taken = Taken(kind, history, act, values, reopens, lines=lines)
    return ahead.finding(taken, crowd=crowd or Crowd({name: frozenset({"red"}) for name in people}))


def test_what_is_delegated_is_no_proof() -> None:
    """Whether somebody could do the rest for somebody else is not worked out, and said so."""
    ana = {"ana": frozenset({"red"})}
    for lent, rule in (
        (frozenset({(KIND.id, "settle")}), "strand_unknown"),
        (frozenset({("other_chain", "settle")}), "would_strand"),
    ):
        found = looked("capture", "ana", "ana", crowd=Crowd(ana, lent=lent))
        assert found is not None
        assert (found.rule, found.effect) == (rule, Effect.REVIEW)
        assert ("steps of it are delegated" in found.message.en) is (rule == "strand_unknown")


def test_one_person_alone_strands_every_chain() -> None:
    """Somebody alone may begin what nobody else can finish: the supervisor is told what is missing."""
    found = looked("capture", "ana", "ana")
    assert found is not None
    assert (found.rule, found.effect, found.version) == ("would_strand", Effect.REVIEW, "1")
    assert strictest([found.effect]) is Outcome.REVIEW
    assert found.values == {
        "person": "ana",
        "step": "capture",
        "steps": ("approve", "execute", "allocate", "settle"),
        "roles": ("boss", "red"),
    }
    assert found.message.en == (
        "If ana takes Capture on this chain, those who are authorised and present could not do these steps "
        "together any more: Approve (who could: 1; roles that may: boss, red), Execute (who could: 1; roles "
        "that may: boss, red), Allocate (who could: 1; roles that may: boss, red), Settle (who could: 1; "
        "roles that may: boss, red). Let somebody else take Capture, or see that one more person with one of "
        "these roles is there; a supervisor may approve it as is."
    )


def test_a_step_that_nobody_is_left_for_is_told_in_both_languages() -> None:
    """With its roles, and how many could take it by themselves."""
    grants = (a_grant("red", *STEPS[:-1], name="rest"), a_grant("blue", "settle", name="last"))
    found = looked("capture", "ana", "ana", "ben", grants=grants)
    assert found is not None
    assert found.values == {"person": "ana", "step": "capture", "steps": ("settle",), "roles": ("blue",)}
    assert found.message.en == (
        "If ana takes Capture on this chain, nobody who is authorised and present could take this step any "
        "more: Settle (who could: 0; roles that may: blue). Let somebody else take Capture, or see "
        "that one more person with one of these roles is there; a supervisor may approve it as is."
    )
    assert found.message.es == (
        "Si ana da el paso Capture (es) en esta cadena, nadie autorizado y presente podría dar ya este paso: "
        "Settle (es) (quienes podrían: 0; roles que pueden: blue). Que dé el paso Capture (es) otra "
        "persona, o procure que haya una persona más con uno de esos roles; un supervisor puede aprobarlo "
        "tal cual."
    )


def test_two_persons_are_enough_for_the_built_in_constraints() -> None:
    """As long as the other one is there to take the last step."""
    assert looked("capture", "ana", "ana", "ben") is None
    assert looked("allocate", "ana", "ana", history=done(*((step, "ana") for step in STEPS[:3]))) is not None


def test_the_last_step_leaves_nothing_to_look_for() -> None:
    """Whoever takes it, nobody else is needed."""
    history = done(*((step, "ben") for step in STEPS[:-1]))
    assert looked("settle", "ana", "nobody", history=history) is None


def test_steps_that_only_together_are_too_much_are_all_named() -> None:
    """Two steps that must be two persons' have one who could take either."""
    apart = a_constraint(ConstraintKind.SEPARATE, "allocate", "settle")
    grants = (
        a_grant("red", "capture", "approve", "execute", name="front"),
        a_grant("blue", "allocate", "settle", name="back"),
    )
    crowd = Crowd({"ana": frozenset({"red"}), "bea": frozenset({"red"}), "ben": frozenset({"blue"})})
    found = looked("capture", "ana", grants=grants, constraints=(apart,), crowd=crowd)
    assert found is not None
    assert found.values["steps"] == ("allocate", "settle")
    assert found.values["roles"] == ("blue",)
    assert "these steps together" in found.message.en
    assert "Allocate (who could: 1; roles that may: blue), Settle (who could: 1" in found.message.en
    assert "no podrían dar ya entre todos estos pasos: Allocate (es)" in found.message.es
    review = replace(apart, then=Effect.REVIEW)
    assert looked("capture", "ana", grants=grants, constraints=(review,), crowd=crowd) is None


def test_a_step_that_is_granted_to_nobody_is_told_so() -> None:
    """That is a gap in the rules, not in the staff."""
    grants = (a_grant("red", *STEPS[:-1]),)
    found = looked("capture", "ana", "ana", "ben", grants=grants)
    assert found is not None
    assert "Settle (granted to no role)" in found.message.en
    assert "Settle (es) (no se concede a ningún rol)" in found.message.es
    assert found.values["roles"] == ()


def test_who_is_away_is_not_counted_on_and_still_has_done_what_he_did() -> None:
    """Ben has left: what he did counts, and he does nothing more."""
    history = done(("capture", "ben"), ("approve", "ana"))
    assert looked("execute", "ana", "ana", "ben", history=history) is None
    assert looked("execute", "ana", "ana", history=history) is None  # ben is somebody else on the chain
    alone = done(("capture", "ana"), ("approve", "ana"))
    assert looked("execute", "ana", "ana", history=alone) is not None


def test_roles_are_inherited() -> None:
    """Boss has what red has."""
    crowd = Crowd({"ana": frozenset({"red"}), "bob": frozenset({"boss"})})
    assert looked("capture", "ana", crowd=crowd) is None
    crowd = Crowd({"ana": frozenset({"red"}), "bob": frozenset({"blue"})})
    assert looked("capture", "ana", crowd=crowd) is not None


def test_an_amendment_opens_steps_again_and_is_a_hand_in_the_first() -> None:
    """What must be approved again needs somebody who may."""
    steps = [
        a_step("capture"),
        a_step("approve", after=("capture",), reapprove=True),
        a_step("execute", after=("approve",)),
    ]
    kind = a_kind(*steps)
    apart = a_constraint(ConstraintKind.SEPARATE, "capture", "approve")
    history = done(("capture", "ana"), ("approve", "ben"))
    for people, rule in ((("ana", "ben"), "would_strand"), (("ana", "ben", "cleo"), None)):
        found = looked(AMEND, "ben", *people, history=history, kind=kind, constraints=(apart,))
        assert (None if found is None else found.rule) == rule


def test_an_optional_step_counts_once_others_wait_for_it() -> None:
    """Reopened, it must be taken again; untouched, nobody need ever take it."""
    steps = [
        a_step("capture"),
        a_step("check", after=("capture",), optional=True),
        a_step("settle", after=("check",)),
    ]
    kind = a_kind(*steps)
    grants = (a_grant("red", "capture", "settle"), a_grant("blue", "check", name="checker"))
    assert looked("capture", "ana", "ana", "ben", kind=kind, grants=grants) is None
    history = a_history(an_act("check", "cleo", state=ActState.REOPENED))
    found = looked("capture", "ana", "ana", "ben", kind=kind, grants=grants, history=history)
    assert found is not None
    assert found.values["steps"] == ("check",)
    free = replace(kind, free_order=True)
    assert looked("capture", "ana", "ana", "ben", kind=free, grants=grants, history=history) is None


def test_votes_that_are_missing_need_as_many_persons() -> None:
    """Two votes, of which ben has given one: somebody else must give the other."""
    kind = a_kind(*(replace(step, votes=2 if step.id == "approve" else 1) for step in KIND.steps))
    history = replace(done(("capture", "ana"), ("approve", "ben")), votes={"approve": Votes(2)})
    apart = (a_constraint(ConstraintKind.SEPARATE, "capture", "approve"),)
    found = looked("execute", "ben", "ana", "ben", kind=kind, history=history, constraints=apart)
    assert found is not None
    assert found.values["steps"] == ("approve",)
    people = ("ana", "ben", "cleo")
    assert looked("execute", "ben", *people, kind=kind, history=history, constraints=apart) is None


def test_an_amendment_is_no_vote() -> None:
    """Four persons must take a hand: who amended, and is away, has none in the step of two votes."""
    steps = [a_step("capture"), a_step("check"), a_step("approve", votes=2, reapprove=True)]
    kind = a_kind(*steps, free=True)
    four = a_constraint(ConstraintKind.AT_LEAST, "capture", "check", "approve", limit=4)
    grants = (a_grant("red", "capture", "check", "approve"),)
    history = replace(a_history(an_act(AMEND, "ana")), votes={"approve": Votes(2)})
    for people, rule in ((("ben", "cleo", "dan"), "would_strand"), (("ben", "cleo", "dan", "eva"), None)):
        found = looked(
            "capture", "ben", *people, history=history, kind=kind, grants=grants, constraints=(four,)
        )
        assert (None if found is None else found.rule) == rule


def test_what_is_over_some_day_strands_nobody() -> None:
    """One person may capture and settle on one account, a month apart; for ever, nobody is left to settle."""
    month = timedelta(days=30)
    grants = (a_grant("red", "settle"), a_grant("blue", *STEPS[:-1], name="others"))
    crowd = Crowd({"ana": frozenset({"red"}), "ben": frozenset({"blue"}), "cleo": frozenset({"blue"})})
    for kind, limit in ((ConstraintKind.SEPARATE, 0), (ConstraintKind.AT_MOST, 1)):
        for within, rule in ((None, "would_strand"), (month, None)):
            apart = a_constraint(kind, STEPS[0], STEPS[-1], scope=Scope.ACCOUNT, within=within, limit=limit)
            found = looked(STEPS[0], "ana", grants=grants, constraints=(apart,), crowd=crowd)
            assert (None if found is None else found.rule) == rule


def test_relations_are_looked_at_of_those_who_are_gone_too() -> None:
    """The only one left for the last step is of the department of somebody who has left."""
    other = replace(a_constraint(ConstraintKind.RELATION, "execute", "settle"), differ=("department",))
    history = done(("capture", "ana"), ("approve", "ben"), ("execute", "gone"))
    for department, stranded in (("trading", True), ("operations", False), ("", True)):
        profiles = {
            "ana": Profile("ana", department="trading"),
            "ben": Profile("ben", department=department),
            "gone": Profile("gone", department="trading"),
        }
        crowd = Crowd({"ana": frozenset({"red"}), "ben": frozenset({"red"})}, profiles)
        found = looked("allocate", "ana", history=history, constraints=(other,), crowd=crowd)
        assert (found is not None) is stranded, department


# -- conditions --------------------------------------------------------------------------------------------

NAMES = Names(
    facts={"order.side": STRING, "order.size": INT, "order.urgent": BOOL, "person.id": STRING},
    steps=frozenset(STEPS),
)
MATERIAL = a_kind(*(replace(step, material=("order.side",)) for step in KIND.steps), material=("order.side",))


def conditional(text: str) -> tuple[Grant, ...]:
    """Everything to red, but the last step only on a condition."""
    condition = compile_condition(text, names=NAMES)
    return (a_grant("red", *STEPS[:-1], name="rest"), Grant("last", "red", ("settle",), "order", condition))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('order.side == "buy"', None),  # material: it holds to the end
        ('order.side == "sell"', "would_strand"),
        ("order.size > 5", None),  # may be stated by then, whatever is stated now
        ("order.urgent", None),
        ("has(order.urgent)", None),
        ('chain.performed("allocate")', None),  # the chain will be further on
        ('!chain.performed("capture")', None),  # claimed, not performed: not known
        ('chain.claimed("execute") && order.side == "sell"', "would_strand"),
        ('chain.person("capture") == "ana"', None),
        ('chain.person("capture") == "ben"', "would_strand"),  # who took it is known for good
        ('chain.person("settle") == "ben"', None),
        ('now > timestamp("2030-01-01T00:00:00Z")', None),
        ('"capture" in chain.steps', None),
    ],
)
def test_a_grant_is_judged_by_what_holds_for_the_rest(text: str, rule: str | None) -> None:
    """Material facts and who did what are known; what is still to come counts as met."""
    found = looked(
        "capture", "ana", "ana", "ben", kind=MATERIAL, grants=conditional(text), side="buy", size="1"
    )
    assert (None if found is None else found.rule) == rule


def test_a_grant_that_looks_at_the_person_is_asked_about_each() -> None:
    """Ana has begun, so only ben may take the last step: he must be one of those who are granted it."""
    for allowed, rule in (("ben", None), ("cleo", None), ("nobody", "would_strand")):
        grants = conditional(f'person.id == "{allowed}"')
        found = looked("capture", "ana", "ana", "ben", "cleo", grants=grants)
        assert (None if found is None else found.rule) == rule
    apart = a_constraint(ConstraintKind.SEPARATE, "capture", "settle")
    found = looked(
        "capture", "ana", "ana", "ben", grants=conditional('person.id == "ana"'), constraints=(apart,)
    )
    assert found is not None
    assert found.values["steps"] == ("settle",)


def failing(name: str = "last") -> Grant:
    """A grant of the last step whose condition cannot be computed."""
    return a_grant("red", "settle", when=Fixed(Truth.UNKNOWN, error="division by zero"), name=name)


def test_a_grant_that_cannot_be_computed_permits_nothing_and_proves_nothing() -> None:
    """It is not known whether anybody may take the last step."""
    grants = (a_grant("red", *STEPS[:-1], name="rest"), failing())
    found = looked("capture", "ana", "ana", "ben", grants=grants)
    assert found is not None
    assert (found.rule, found.effect, found.cause) == ("strand_unknown", Effect.REVIEW, Cause.MISSING)
    assert found.values == {"person": "ana", "step": "capture", "rules": ("last",)}
    assert found.message.en == (
        "It could not be told whether the rest of this chain can still be done if ana takes Capture: that "
        "depends on rules of which it is not known yet whether they apply (last). A supervisor must look at "
        "who can do the rest."
    )
    assert "eso depende de reglas de las que aún no se sabe si se aplican (last)" in found.message.es
    assert looked("capture", "ana", "ana", "ben", grants=(*grants, EVERY)) is None  # nothing depends on it


VOTED = a_kind(
    *(replace(step, material=("order.side",)) for step in KIND.steps if step.id != "allocate"),
    material=("order.side",),
)


def two_votes(text: str, **more: Any) -> Constraint:
    """Two votes on the approval, by others than who captured, on a condition."""
    when = compile_condition(text, names=NAMES)
    more = {"distinct_from": ("capture",), "limit": 2, "when": when, "name": "two"} | more
    return a_constraint(ConstraintKind.VOTES, "approve", **more)


@pytest.mark.parametrize(
    ("text", "people", "rule"),
    [
        ('order.side == "buy"', 2, "would_strand"),  # material: two votes there will be
        ('order.side == "sell"', 2, None),
        ("order.size > 5", 2, "strand_unknown"),  # one is stated now, and nine may be when it is approved
        ("order.size > 5", 3, None),  # whatever is stated then
        ("order.size > 5", 1, "would_strand"),
        ("order.urgent", 2, "strand_unknown"),
        ('chain.performed("execute")', 2, "strand_unknown"),
        ('now > timestamp("2030-01-01T00:00:00Z")', 2, "strand_unknown"),
        ('person.id == "ben"', 2, "strand_unknown"),
        ('chain.person("capture") == "ana"', 2, "would_strand"),
    ],
)
def test_votes_that_may_be_asked_for_later(text: str, people: int, rule: str | None) -> None:
    """How many there must be is told by facts that hold then; what the request states now proves nothing."""
    crowd = ("ana", "ben", "cleo")[:people]
    for votes in (None, {}, {"approve": Votes(2, ("two",))}):  # as the facts of this request have them
        found = looked(
            "capture",
            "ana",
            *crowd,
            kind=VOTED,
            constraints=(two_votes(text),),
            history=replace(a_history(), votes=votes),
            side="buy",
            size="1",
        )
        assert (None if found is None else found.rule) == rule
        if rule == "strand_unknown":
            assert found is not None
            assert found.values["rules"] == ("two",)


def test_a_fact_that_is_material_where_the_votes_are_given_may_be_another_one_where_they_are_counted() -> (
    None
):
    """Who executes states no side, and must wait for as many votes as there may be then."""
    steps = [replace(step, material=() if step.id == "execute" else None) for step in VOTED.steps]
    kind = a_kind(*steps, material=("order.side",))
    apart = a_constraint(ConstraintKind.SEPARATE, "capture", "approve")
    rules = (apart, two_votes('order.side == "sell"'))
    assert looked("capture", "ana", "ana", "ben", kind=VOTED, constraints=rules, side="buy") is None
    found = looked("capture", "ana", "ana", "ben", kind=kind, constraints=rules, side="buy")
    assert found is not None
    assert (found.rule, found.values["rules"]) == ("strand_unknown", ("two",))


def test_votes_that_nobody_waits_for_any_more_are_not_asked_for() -> None:
    """The approval has its one vote, by the facts of those who went on; nothing comes after the last step."""
    kind = a_kind(*VOTED.steps[:2], replace(VOTED.steps[-1], after=("approve",)), material=("order.side",))
    doubt = two_votes("order.size > 5")
    history = done(("capture", "ana"), ("approve", "ben"))
    grants = (a_grant("red", "capture", "approve", "settle"),)
    asked: dict[str, Any] = {"kind": kind, "constraints": (doubt,), "grants": grants}
    assert looked("settle", "ana", "ana", "ben", history=history, **asked) is None
    found = looked("approve", "ben", "ana", "ben", history=done(("capture", "ana")), **asked)
    assert found is not None
    assert found.rule == "strand_unknown"


def test_more_votes_may_help_and_hinder() -> None:
    """Four must take a hand, which they do only if two vote: where it is not known whether two do, it is not
    known whether the rest can be done."""
    four = a_constraint(ConstraintKind.AT_LEAST, "capture", "approve", "settle", limit=4, name="four")
    kind = a_kind(*(replace(step, after=()) for step in (VOTED.steps[0], VOTED.steps[1], VOTED.steps[-1])))
    grants = (a_grant("red", "capture", "approve", "settle"),)
    for truth, rule in (
        (Truth.TRUE, None),
        (Truth.UNKNOWN, "strand_unknown"),
        (Truth.FALSE, "would_strand"),
    ):
        rules = (four, two_votes("order.urgent", distinct_from=(), when=Fixed(truth)))
        found = looked(
            "capture", "ana", "ana", "ben", "cleo", "dan", kind=kind, constraints=rules, grants=grants
        )
        assert (None if found is None else found.rule) == rule, truth


def test_too_many_ways_to_vote_are_told_and_not_guessed() -> None:
    """Five more steps that may take two persons each, or one: it is said that this is not looked through."""
    names = [f"s{number}" for number in range(6)]
    kind = a_kind(*(a_step(name) for name in names), free=True)
    when = compile_condition("order.urgent", names=NAMES)
    rules = tuple(
        a_constraint(ConstraintKind.VOTES, name, limit=2, when=when, name=f"two-{name}") for name in names
    )
    crowd = ("ana", "ben", "cleo")
    grants = (a_grant("red", *names),)
    found = looked("s0", "ana", *crowd, kind=kind, constraints=rules, grants=grants)
    assert found is not None
    assert (found.rule, found.values["rules"]) == ("strand_unknown", tuple(rule.id for rule in rules[1:]))
    assert looked("s0", "ana", *crowd, kind=kind, constraints=rules[:5], grants=grants) is None


@pytest.mark.parametrize(("repeats", "rule"), [(Repeats.ANYONE, "strand_unknown"), (Repeats.NEVER, None)])
def test_who_took_a_step_that_may_be_taken_again_is_not_known_for_good(
    repeats: Repeats, rule: str | None
) -> None:
    """Ana has captured; where somebody may capture once more, the last one to have done so may be another."""
    kind = a_kind(replace(KIND.steps[0], repeats=repeats), *KIND.steps[1:])
    when = compile_condition('chain.person("capture") == "ben"', names=NAMES)
    five = a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=5, when=when)
    found = looked("capture", "ana", "ana", "ben", kind=kind, constraints=(five,))
    assert (None if found is None else found.rule) == rule


@pytest.mark.parametrize(
    ("when", "rule"),
    [
        (None, "would_strand"),
        (Fixed(Truth.TRUE), "would_strand"),
        (Fixed(Truth.FALSE), None),
        (Fixed(Truth.UNKNOWN, missing=("order.size",)), "strand_unknown"),
        (Fixed(Truth.UNKNOWN, error="broken"), "strand_unknown"),
    ],
)
def test_a_constraint_that_may_apply_or_not_is_no_proof(when: Fixed | None, rule: str | None) -> None:
    """Three persons are two too few, if they must be five."""
    five = a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=5, when=when, name="five")
    found = looked("capture", "ana", "ana", "ben", "cleo", constraints=(five,))
    assert (None if found is None else found.rule) == rule
    if rule == "strand_unknown":
        assert found is not None
        assert found.values["rules"] == ("five",)
    people = ("ana", "ben", "cleo", "dan", "eva")
    assert looked("capture", "ana", *people, constraints=(five,)) is None  # whether it applies or not


def test_what_nobody_could_do_either_way_is_proven() -> None:
    """The doubtful constraint is not why: without it, too, one person is too few."""
    doubt = a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=5, when=Fixed(Truth.UNKNOWN), name="five")
    found = looked("capture", "ana", "ana", constraints=(doubt,))
    assert found is not None
    assert found.rule == "would_strand"


def test_a_constraint_counts_while_it_is_in_force() -> None:
    """Half-open, as everywhere."""
    for start, rule in ((NOW, "would_strand"), (NOW + timedelta(seconds=1), None)):
        period = Period(start=start)
        five = a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=5, effective=period)
        found = looked("capture", "ana", "ana", "ben", constraints=(five,))
        assert (None if found is None else found.rule) == rule


def test_exclusive_roles_keep_people_from_every_step() -> None:
    """Whoever holds both is no help."""
    either = a_constraint(ConstraintKind.EXCLUSIVE_ROLES, limit=1, roles=("red", "blue"))
    for roles, rule in ((("red",), None), (("red", "blue"), "would_strand")):
        crowd = Crowd({"ana": frozenset({"red"}), "ben": frozenset(roles)})
        found = looked("capture", "ana", constraints=(either,), crowd=crowd)
        assert (None if found is None else found.rule) == rule


def test_too_much_work_is_told_and_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is a review, never silence; and it is the same every time."""
    names = [f"s{number}" for number in range(11)]
    kind = a_kind(*(a_step(name) for name in names), free=True)
    # Mycielski's graph, for which three colours are too few.
    apart = [(0, 1), (0, 3), (1, 2), (2, 4), (3, 4)]
    apart += [pair for one, other in apart for pair in ((one, other + 5), (other, one + 5))]
    apart += [(number, 10) for number in range(5, 10)]
    pairs = tuple(
        a_constraint(ConstraintKind.SEPARATE, names[one], names[other], name=f"{one}-{other}")
        for one, other in apart
    )
    crowd = Crowd({name: frozenset({"red"}) for name in ("ana", "ben", "cleo")})
    asked = {"kind": kind, "grants": (a_grant("red", *names),), "constraints": pairs, "crowd": crowd}
    found = looked("s0", "ana", **asked)  # type: ignore[arg-type]
    assert found is not None
    assert found.rule == "would_strand"
    monkeypatch.setattr(forecast, "WORK", 3)
    found = looked("s0", "ana", **asked)  # type: ignore[arg-type]
    assert found is not None
    assert (found.rule, found.effect, found.cause) == ("strand_unknown", Effect.REVIEW, Cause.ERROR)
    assert found.values["rules"] == ()
    assert "more ways to share the steps than can be looked through" in found.message.en
    assert "más repartos de los pasos" in found.message.es


class Counted:
    """A condition of a given truth that counts how often it was asked."""

    source = "order.side == 'buy'"
    names = frozenset({"order.side"})
    asked = 0
    truth = Truth.TRUE

    def test(self, _: Facts) -> int:
        self.asked += 1
        return int(self.truth)

    def evaluate(self, facts: Facts) -> Verdict:
        return Verdict(Truth(self.test(facts)))


def people(count: int) -> Iterator[str]:
    return (f"p{number:03}" for number in range(count))


def test_what_was_answered_is_not_worked_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alike persons on another chain get the kept answer; another crowd or another truth does not."""
    solved = []
    solve = forecast.solve
    monkeypatch.setattr(forecast, "solve", lambda *given, **more: solved.append(1) or solve(*given, **more))
    when = Counted()
    five = a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=3, when=when)  # type: ignore[arg-type]
    ahead = LookAhead((EVERY,), CLOSURE, (five,), [KIND])
    crowd = Crowd(dict.fromkeys(people(100), frozenset({"red"})))
    for number, person in enumerate(people(20)):
        history = a_history(an_act("capture", f"p{number + 50:03}"), chain=f"O-{number}")
        taken = Taken(KIND, history, an_act("approve", person, state=ActState.CLAIMED), {})
        assert ahead.finding(taken, crowd=crowd) is None
    assert (len(solved), when.asked) == (1, 0)  # whatever holds, the rest can be done
    taken = Taken(KIND, a_history(an_act("capture", "p001")), an_act("approve", "p001"), {})
    assert ahead.finding(taken, crowd=crowd) is None  # one person with two steps is not two with one
    assert len(solved) == 2
    assert ahead.finding(taken, crowd=Crowd(crowd.roles)) is None
    assert len(solved) == 3


def test_conditions_are_asked_where_they_matter() -> None:
    """Two people are never three; whether they must be is told of each chain by its own facts."""
    when = Counted()
    three = a_constraint(ConstraintKind.AT_LEAST, *STEPS, limit=3, when=when)  # type: ignore[arg-type]
    ahead = LookAhead((EVERY,), CLOSURE, (three,), [KIND])
    crowd = Crowd(dict.fromkeys(people(2), frozenset({"red"})))
    history = a_history(an_act("capture", "p000"))
    taken = Taken(KIND, history, an_act("approve", "p001", state=ActState.CLAIMED), {})
    told = {Truth.TRUE: "would_strand", Truth.FALSE: "", Truth.UNKNOWN: "strand_unknown"}
    for truth, code in [*told.items(), (Truth.TRUE, "would_strand")]:
        when.truth = truth
        found = ahead.finding(taken, crowd=crowd)
        assert (found.rule if found else "") == code
    assert when.asked == 4


def test_an_approval_counts_against_the_approver_here_too() -> None:
    """Whoever approved the exception of a step has a hand in it."""
    apart = a_constraint(ConstraintKind.SEPARATE, "capture", "settle")
    history = a_history(an_act("capture", "ben", capacity=Capacity.APPROVER))
    grants = (a_grant("red", *STEPS[:-1], name="rest"), a_grant("blue", "settle", name="last"))
    crowd = Crowd({"ana": frozenset({"red"}), "ben": frozenset({"blue"})})
    found = looked("capture", "ana", grants=grants, constraints=(apart,), history=history, crowd=crowd)
    assert found is not None
    assert found.values["steps"] == ("settle",)


@pytest.mark.parametrize(("who", "code"), [("ana", "would_strand"), ("ben", "")])
@pytest.mark.parametrize("kind", [ConstraintKind.SEPARATE, ConstraintKind.AT_MOST, ConstraintKind.VOTES])
def test_what_was_done_on_a_chain_of_another_kind_counts(kind: ConstraintKind, who: str, code: str) -> None:
    """Only Ana may settle; whoever pledged, on the chain that this one comes from, may not."""
    both: dict[str, Any] = {"chain": "", "limit": 1}
    steps = ("settle",) if kind is ConstraintKind.VOTES else ("settle", "pledge")
    apart = a_constraint(kind, *steps, distinct_from=("pledge",) if len(steps) == 1 else (), **both)
    grants = (a_grant("red", *STEPS[:-1], name="rest"), a_grant("blue", "settle", name="last"))
    crowd = Crowd({"ana": frozenset({"blue"}), "ben": frozenset({"red"}), "cai": frozenset({"red"})})
    pledged = TrailAct("loan", "pledge", an_act("pledge", who, chain="L-1"))
    history = a_history(an_act("capture", "ben"))
    found = looked(
        "approve",
        "cai",
        grants=grants,
        constraints=(apart,),
        history=history,
        crowd=crowd,
        lines=((pledged,),),
    )
    assert (found.rule if found else "") == code


def test_a_step_of_that_name_on_a_chain_of_another_kind_is_not_taken_for_this_one() -> None:
    """What another kind calls `settle` is no step of this chain: only Ana may, and she has not."""
    apart = a_constraint(ConstraintKind.SEPARATE, "capture", "settle", chain="")
    grants = (a_grant("red", *STEPS[:-1], name="rest"), a_grant("blue", "settle", name="last"))
    crowd = Crowd({"ana": frozenset({"blue"}), "ben": frozenset({"red"}), "cai": frozenset({"red"})})
    for kind, code in (("loan", ""), (KIND.id, "would_strand")):
        elsewhere = TrailAct(kind, "capture", an_act("capture", "ana", chain="L-1"))
        found = looked(
            "approve",
            "cai",
            grants=grants,
            constraints=(apart,),
            history=a_history(an_act("capture", "ben")),
            crowd=crowd,
            lines=((elsewhere,),),
        )
        assert (found.rule if found else "") == code


# -- several lines -----------------------------------------------------------------------------------------


def lines_of(*captured: str) -> tuple[tuple[TrailAct, ...], ...]:
    """A line for each person who captured a part of the chain."""
    return tuple(
        (TrailAct(KIND.id, "capture", an_act("capture", person, chain=f"P-{number}", index=number)),)
        for number, person in enumerate(captured)
    )


APART = a_constraint(ConstraintKind.SEPARATE, "capture", "settle")
CLERKS = tuple(f"c{number}" for number in range(12))


def settled_by(clerks: Sequence[str], captured: Sequence[str]) -> Finding | None:
    """Ana approves a chain whose parts were captured by these persons; a clerk who captured none of a line
    must settle."""
    grants = (a_grant("red", *STEPS[:-1], name="rest"), a_grant("blue", "settle", name="last"))
    return looked(
        "approve",
        "ana",
        grants=grants,
        constraints=(APART,),
        history=a_history(an_act("capture", "ben")),
        crowd=Crowd({"ana": frozenset({"red"}), **{name: frozenset({"blue"}) for name in clerks}}),
        lines=lines_of(*captured),
    )


def test_a_step_is_looked_at_on_each_of_its_lines() -> None:
    """On the twelfth line nobody is left; and lines that are alike are looked at once, however many."""
    assert settled_by(CLERKS, CLERKS) is None  # each line has eleven others, who are alike
    found = settled_by(("c0",), ("ana",) * 11 + ("c0",))
    assert found is not None
    assert found.rule == "would_strand"


def test_more_lines_than_are_looked_at_are_never_silent() -> None:
    """Where what was done on all lines together leaves nobody, and they are too many for a look at each."""
    roles = {name: frozenset({f"own-{number}"}) for number, name in enumerate(CLERKS)}  # none are alike
    grants = [a_grant(f"own-{number}", "settle", name=f"own-{number}") for number in range(12)]
    closure = CLOSURE | {f"own-{number}": frozenset[str]() for number in range(12)}
    ahead = LookAhead((a_grant("red", *STEPS[:-1], name="rest"), *grants), closure, (APART,), [KIND])

    def told(clerks: Sequence[str], captured: Sequence[str]) -> Finding | None:
        crowd = Crowd({"ana": frozenset({"red"}), **{name: roles[name] for name in clerks}})
        act = an_act("approve", "ana", state=ActState.CLAIMED)
        history = a_history(an_act("capture", "ben"))
        return ahead.finding(Taken(KIND, history, act, {}, lines=lines_of(*captured)), crowd=crowd)

    assert told(CLERKS, CLERKS[:11]) is None  # c11 is free on all of them
    found = told(CLERKS, CLERKS)
    assert found is not None
    assert (found.rule, found.effect, found.cause) == ("strand_unknown", Effect.REVIEW, Cause.ERROR)
    assert found.values == {"person": "ana", "step": "approve", "rules": (), "lines": 12}
    assert "the step counts on 12 lines of chains" in found.message.en
    assert "el paso cuenta en 12 líneas de cadenas" in found.message.es
    assert told(CLERKS[:LINES_AHEAD], CLERKS[:LINES_AHEAD]) is None  # looked at one by one
    found = told(CLERKS[:1], CLERKS)
    assert found is not None
    assert found.rule == "would_strand"  # the first line is proof enough


@pytest.mark.differential
def test_lines_are_looked_at_as_one_by_one() -> None:
    """Whatever the lines, it is silent only where each of them by itself would be, and strands only where one
    of them would; few lines are always told as one by one."""
    kinds = [kind for kind in WRITTEN if kind is not ConstraintKind.COALITION]
    seen: dict[str, int] = {}
    for seed in range(2_000 if LONG_RUN else 120):
        random = Random(seed)
        case = a_case(random, kinds=kinds if seed % 3 else WRITTEN)
        names, people = [step.id for step in case.kind.steps], [*case.crowd.roles, "gone"]
        lines = tuple(
            tuple(
                TrailAct(case.kind.id, step, an_act(step, random.choice(people), chain=f"L-{number}"))
                for step in random.sample(names, random.choice((0, 1, 1, 2)))
            )
            for number in range(random.choice((2, 3, 20)))
        )
        alone = [replace(case, taken=replace(case.taken, lines=(line,))).looked_ahead() for line in lines]
        rules = {"" if found is None else found.rule for found in alone}
        found = replace(case, taken=replace(case.taken, lines=lines)).looked_ahead()
        told = "" if found is None else found.rule
        if told == "strand_unknown":
            assert len(lines) > LINES_AHEAD, seed
        else:
            assert (told == "") is (rules == {""}), (seed, rules)
        seen[told] = seen.get(told, 0) + 1
    assert min(seen.get(rule, 0) for rule in ("", "would_strand")) > 10, seen
